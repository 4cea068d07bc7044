//go:build !linux

package disks

func (o osFile) readv(p [][]byte, off int64) error  { return o.copyRead(p, off) }
func (o osFile) writev(p [][]byte, off int64) error { return o.copyWrite(p, off) }
func (o osFile) sync() error                        { return spaceError(o.f.Sync()) }
func (o osFile) punch(off, n int64) error           { return errPunch }
