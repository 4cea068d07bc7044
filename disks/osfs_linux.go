package disks

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// maxVectors is the kernel's limit on buffers of a vectored call.
const maxVectors = 1024

func (o osFile) readv(p [][]byte, off int64) error {
	return o.vectored(p, off, unix.Preadv)
}

func (o osFile) writev(p [][]byte, off int64) error {
	return spaceError(o.vectored(p, off, unix.Pwritev))
}

// vectored repeats a call until all of p went through.
func (o osFile) vectored(p [][]byte, off int64, call func(int, [][]byte, int64) (int, error)) error {
	return o.hold(func(fd int) error { return vectored(fd, p, off, call) })
}

// hold runs a call on the file's descriptor, which stays that file's until the call is done.
func (o osFile) hold(call func(fd int) error) error {
	conn, err := o.f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) {
		for failed = call(int(fd)); failed == unix.EINTR; {
			failed = call(int(fd))
		}
	})
	if err != nil {
		return err
	}
	return failed
}

func vectored(fd int, p [][]byte, off int64, call func(int, [][]byte, int64) (int, error)) error {
	var rest [][]byte
	for len(p) > 0 {
		n, err := call(fd, p[:min(len(p), maxVectors)], off)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return errShort
		}
		off += int64(n)
		for len(p) > 0 && n >= len(p[0]) {
			n -= len(p[0])
			p = p[1:]
		}
		if n > 0 {
			rest = append(rest[:0], p...)
			rest[0] = rest[0][n:]
			p = rest
		}
	}
	return nil
}

func (o osFile) sync() error { return spaceError(o.hold(datasync)) }

func (o osFile) punch(off, n int64) error {
	err := o.hold(func(fd int) error {
		return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
	})
	if err == unix.ENOTSUP || err == unix.ENOSYS {
		return errPunch
	}
	return err
}

// dataFrom asks for the end of a hole. All else reads and writes at offsets, so that nobody
// minds where this leaves the file.
func (o osFile) dataFrom(off int64) int64 {
	next := off
	o.hold(func(fd int) error { //nolint:errcheck // then nothing is known of holes
		at, err := unix.Seek(fd, off, unix.SEEK_DATA)
		if err == unix.ENXIO { // nothing but a hole, up to the end
			at, err = unix.Seek(fd, 0, unix.SEEK_END)
		}
		if err == nil {
			next = at
		}
		return err
	})
	return next
}

func (o osFile) expect(off, n int64) {
	o.hold(func(fd int) error { return unix.Fadvise(fd, off, n, unix.FADV_WILLNEED) }) //nolint:errcheck // a hint
}

// openDirect opens a file for reads or writes that go past the page cache. A file system in
// memory is nothing but a page cache.
func (o osFS) openDirect(name string, mode openMode) (directIO, error) {
	flag := os.O_RDONLY
	if mode != forReading {
		flag = os.O_WRONLY
	}
	f, err := os.OpenFile(o.path(name), flag|unix.O_DIRECT, 0)
	if errors.Is(err, unix.EINVAL) {
		return nil, errIndirect
	}
	if err != nil {
		return nil, err
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &fs); err != nil || fs.Type == unix.TMPFS_MAGIC || fs.Type == unix.RAMFS_MAGIC {
		f.Close()
		return nil, errIndirect
	}
	return directFile{osFile{f}}, nil
}

// A directFile refuses what the kernel does not take without the page cache.
type directFile struct{ osFile }

func (d directFile) readPages(p []byte, least int, off int64) error {
	for done := 0; done < least; {
		n := 0
		err := d.hold(func(fd int) (err error) {
			n, err = unix.Pread(fd, p[done:], off+int64(done))
			return err
		})
		switch {
		case err == unix.EINVAL:
			return errIndirect
		case err != nil:
			return err
		case n == 0 || done+n < least && n%pageSize != 0:
			return errShort
		}
		done += n
	}
	return nil
}

func (d directFile) writev(p [][]byte, off int64) error {
	err := d.vectored(p, off, unix.Pwritev)
	if err == unix.EINVAL {
		return errIndirect
	}
	return spaceError(err)
}
