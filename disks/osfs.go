package disks

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// An osFS is a directory. Segments lie in its folder segments.
type osFS struct{ dir string }

func (o osFS) path(name string) string { return filepath.Join(o.dir, filepath.FromSlash(name)) }

func (o osFS) open(name string, mode openMode) (file, error) {
	flags := map[openMode]int{forReading: os.O_RDONLY, forWriting: os.O_RDWR, forCreating: os.O_RDWR | os.O_CREATE | os.O_EXCL}[mode]
	f, err := os.OpenFile(o.path(name), flags, 0o600)
	if err != nil {
		return nil, spaceError(err)
	}
	return osFile{f}, nil
}

func (o osFS) remove(name string) error     { return os.Remove(o.path(name)) }
func (o osFS) rename(from, to string) error { return os.Rename(o.path(from), o.path(to)) }

func (o osFS) list() ([]string, error) {
	var names []string
	for _, dir := range []string{"", "segments"} {
		entries, err := os.ReadDir(o.path(dir))
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			names = append(names, strings.TrimPrefix(dir+"/"+e.Name(), "/"))
		}
	}
	return names, nil
}

func (o osFS) syncDir() error {
	for _, dir := range []string{"segments", ""} {
		d, err := os.Open(o.path(dir))
		if err != nil {
			return err
		}
		err = d.Sync()
		d.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// osFile is a file of the operating system; vectored I/O and holes are per system.
type osFile struct{ f *os.File }

func (o osFile) close() error { return o.f.Close() }

func (o osFile) truncate(size int64) error { return spaceError(o.f.Truncate(size)) }

func (o osFile) size() (int64, error) {
	info, err := o.f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (o osFile) allocated() (int64, error) {
	info, err := o.f.Stat()
	if err != nil {
		return 0, err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return min(st.Blocks*512, info.Size()), nil
	}
	return info.Size(), nil
}

// spaceError tells a full or read-only file system, which many disks may share, from a
// failing disk.
func spaceError(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return err
}

// lockDir takes the lock of a disk's directory for one writer.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "LOCK"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, spaceError(err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		var holder [128]byte
		n, _ := f.ReadAt(holder[:], 0)
		f.Close()
		return nil, fmt.Errorf("%w: %s", ErrLocked, strings.TrimSpace(string(holder[:n])))
	}
	if err := f.Truncate(0); err == nil {
		fmt.Fprintf(f, "process %d\n", os.Getpid())
	}
	return f, nil
}
