//go:build !linux

package disks

import (
	"errors"
	"io"
)

func (o osFile) readv(p [][]byte, off int64) error  { return o.copyRead(p, off) }
func (o osFile) writev(p [][]byte, off int64) error { return o.copyWrite(p, off) }
func (o osFile) sync() error                        { return spaceError(o.f.Sync()) }
func (o osFile) punch(off, n int64) error           { return errPunch }

// copyRead and copyWrite serve systems without vectored I/O at offsets.
func (o osFile) copyRead(p [][]byte, off int64) error {
	n := 0
	for _, b := range p {
		n += len(b)
	}
	all := make([]byte, n)
	if _, err := o.f.ReadAt(all, off); err != nil {
		return shortError(err)
	}
	for _, b := range p {
		all = all[copy(b, all):]
	}
	return nil
}

func (o osFile) copyWrite(p [][]byte, off int64) error {
	var all []byte
	for _, b := range p {
		all = append(all, b...)
	}
	_, err := o.f.WriteAt(all, off)
	return spaceError(err)
}

func shortError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errShort
	}
	return err
}
