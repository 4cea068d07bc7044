package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"
)

// A reserve is space that a cluster's directory keeps on its file system, in a file that is
// given up when the file system is full: catalog and disks share it, and so no object could be
// deleted otherwise. Without the reserve no puts are taken.
type reserve struct {
	path string
	held atomic.Bool // the file is there
	off  atomic.Bool // it cannot be made here
}

const (
	reserveFile  = "reserve"
	reserveBytes = 4 << 20
	reserveSpare = 256 << 10
	reserveLow   = 2 << 20 // free bytes below which puts are refused, and deletes may take the reserve
)

// openReserve takes the reserve in dir, or gives it up when the file system is full.
func openReserve(dir string) *reserve {
	r := &reserve{path: filepath.Join(dir, reserveFile)}
	if info, err := os.Stat(r.path); err == nil && info.Size() == reserveBytes {
		r.held.Store(true)
	}
	if free, ok := freeBytes(dir); !ok {
		r.off.Store(true)
	} else if free < reserveLow {
		r.give()
	} else {
		r.take()
	}
	return r
}

// freeBytes is what is left on the file system of a directory.
func freeBytes(dir string) (int64, bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, false
	}
	return int64(s.Bavail) * int64(s.Bsize), true //nolint:unconvert // the types differ between systems
}

// take makes the file where there is room for it.
func (r *reserve) take() {
	if r.off.Load() || r.held.Load() {
		return
	}
	if free, ok := freeBytes(filepath.Dir(r.path)); !ok || free < reserveBytes+reserveSpare {
		return
	}
	if err := os.WriteFile(r.path, make([]byte, reserveBytes), 0o600); err != nil {
		os.Remove(r.path)
		r.off.Store(!errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EDQUOT))
		return
	}
	r.held.Store(true)
}

// give gives the space up, and tells whether there was any to give.
func (r *reserve) give() bool {
	if !r.held.Swap(false) {
		return false
	}
	return os.Remove(r.path) == nil
}

// admits refuses puts when only deletes should go on.
func (r *reserve) admits() error {
	if r == nil || r.off.Load() {
		return nil
	}
	dir := filepath.Dir(r.path)
	r.take()
	free, ok := freeBytes(dir)
	if !ok || r.off.Load() || r.held.Load() && free >= reserveLow {
		return nil
	}
	return fmt.Errorf("%w: %s has %s left, which deletes need: delete something, or make room", ErrNoSpace, dir, humanize.IBytes(uint64(free)))
}

// close takes the file again, for the next process.
func (r *reserve) close() {
	if r != nil {
		r.take()
	}
}

// gives tells whether a change frees space.
func (r record) gives() bool {
	return r.Kind == recDelete || r.Kind == recAbort || r.Kind == recRemoveBucket
}

// makeRoom gives the reserve to deletes when the file system is full, and forgets that disks
// were.
func (c *Cluster) makeRoom() {
	r := c.reserve
	if r == nil {
		return
	}
	if free, ok := freeBytes(c.dir); !ok || free >= reserveLow || !r.give() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, s := range c.suspects {
		if isFull(s.err) {
			delete(c.suspects, id)
		}
	}
}
