package bench

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// fileSystem names the kind of file system that dir lies on.
func fileSystem(dir string) string {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return "unknown"
	}
	switch uint32(s.Type) {
	case unix.EXT4_SUPER_MAGIC:
		return "ext4"
	case unix.TMPFS_MAGIC:
		return "tmpfs"
	case unix.XFS_SUPER_MAGIC:
		return "xfs"
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlay"
	}
	return fmt.Sprintf("%#x", uint32(s.Type))
}

// settle waits until the file system of dir has written what it holds back, so that one
// measurement does not pay for the one before it.
func settle(dir string) {
	f, err := os.Open(dir)
	if err != nil {
		return
	}
	defer f.Close()
	_ = unix.Syncfs(int(f.Fd())) // only to be fair: without it the measurement stands
}

// freeSpace is how many bytes may still be written below dir, if that is known.
func freeSpace(dir string) (int64, bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, false
	}
	return int64(s.Bavail) * int64(s.Bsize), true
}

// forget drops the files below dir from the page cache, so that the next to read them reads the
// disk, whoever read or wrote them before. What is not written back yet stays.
func forget(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	})
}

// datasync makes a file's bytes durable.
func datasync(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }

const pipeSize = 1 << 20

// widen gives a pipe the buffer of a patient reader.
func widen(f *os.File) { _, _ = unix.FcntlInt(f.Fd(), unix.F_SETPIPE_SZ, pipeSize) }

// drain empties a pipe until it is closed, without copying, and says how many bytes came.
func drain(f *os.File) (int64, error) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	in, out := int(f.Fd()), int(null.Fd()) // Fd makes both blocking
	for total := int64(0); ; {
		n, err := unix.Splice(in, nil, out, nil, pipeSize, unix.SPLICE_F_MOVE)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EINVAL): // this kernel does not splice here
			m, err := io.Copy(io.Discard, f)
			return total + m, err
		case err != nil || n == 0:
			return total, err
		}
		total += max(0, n)
	}
}
