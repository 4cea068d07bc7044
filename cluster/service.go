package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/placement"
)

// A shelved disk was taken out of service while the cluster was open. It stays open until
// the cluster closes, since reads and writes may be under way on it.
type shelved struct {
	disk disks.Disk
	dir  fs.FileInfo // of its directory then; nil when it has none
}

// Fail takes the disks of a domain (a disk, host, rack or site) out of service at once, as if
// they were lost, until Restore. It returns their names. What is under way on them may still
// end; what comes after goes on without them.
func (c *Cluster) Fail(ctx context.Context, domain string) ([]string, error) {
	ids, names, err := c.domain(domain)
	if err != nil {
		return nil, err
	}
	err = c.changeUnchecked(ctx, func(list []string) []string { return append(list, names...) })
	if err != nil {
		return nil, err
	}
	if err := c.keepFaults(names, true); err != nil {
		return nil, err
	}
	for _, id := range ids {
		info, err := os.Stat(c.pathOf(id))
		if err != nil {
			info = nil
		}
		c.mu.Lock()
		if d := c.disks[id]; d != nil {
			c.shelf[id] = shelved{d, info}
			delete(c.disks, id)
		}
		c.absent[id] = stateFailed
		c.mu.Unlock()
	}
	c.noteDrives()
	return names, nil
}

// Restore puts the disks of a domain back into service, and returns their names. A disk whose
// directory is gone is made anew, empty. Repair reads the others before it trusts them. The
// error names disks that cannot be used again.
func (c *Cluster) Restore(ctx context.Context, domain string) ([]string, error) {
	ids, names, err := c.domain(domain)
	if err != nil {
		return nil, err
	}
	if err := c.keepFaults(names, false); err != nil {
		return nil, err
	}
	var failed []error
	for _, id := range ids {
		if c.disk(id) == nil {
			if err := c.returned(id); err != nil {
				failed = append(failed, fmt.Errorf("disk %s: %w", c.name(id), err))
			}
		}
		c.mu.Lock()
		delete(c.suspects, id)
		c.mu.Unlock()
	}
	c.noteDrives()
	return names, errors.Join(failed...)
}

// returned puts one disk back into service.
func (c *Cluster) returned(id placement.DiskID) error {
	c.mu.Lock()
	old, known := c.shelf[id]
	c.mu.Unlock()
	now, err := os.Stat(c.pathOf(id))
	switch {
	case known && (old.dir == nil || err == nil && os.SameFile(old.dir, now)):
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.shelf, id)
		delete(c.absent, id)
		c.disks[id] = old.disk
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return c.replace([]string{c.name(id)})
	}
	d, err := c.openDisk(c.config.identity(c.byID[id]))
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.absent[id] = err.Error()
		return err
	}
	delete(c.absent, id)
	c.disks[id] = d
	return nil
}

// domain finds the disks of a domain in a cluster that is open for writing.
func (c *Cluster) domain(name string) (ids []placement.DiskID, names []string, err error) {
	if c.readOnly {
		return nil, nil, ErrReadOnly
	}
	_, ids, err = c.config.Map.Find(name)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrUnknownDomain, err)
	}
	for _, id := range ids {
		names = append(names, c.name(id))
	}
	return ids, names, nil
}

// pathOf is the directory of a disk.
func (c *Cluster) pathOf(id placement.DiskID) string {
	return filepath.Join(c.dir, "sites", filepath.FromSlash(c.name(id)))
}

// keepFaults writes down what is out of service for whoever opens the cluster next.
func (c *Cluster) keepFaults(names []string, fail bool) error {
	c.faulting.Lock()
	defer c.faulting.Unlock()
	faults, err := readFaults(c.dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		if fail {
			faults[n] = true
		} else {
			delete(faults, n)
		}
	}
	return writeFaults(c.dir, faults)
}

// changeUnchecked changes the list of disks that repair must read before it trusts them.
func (c *Cluster) changeUnchecked(ctx context.Context, f func([]string) []string) error {
	return c.catalog.update(ctx, func(t *tx) error {
		list, err := c.catalog.unchecked()
		if err != nil {
			return err
		}
		list = f(list)
		slices.Sort(list)
		return t.setUnchecked(slices.Compact(list))
	})
}

// noteDrives lets the ledger know at once which drives are off.
func (c *Cluster) noteDrives() {
	c.book.mu.Lock()
	defer c.book.mu.Unlock()
	c.book.upkeep(c, c.clock())
}

// Simulated tells whether the disks only stand for disks: each is a directory on the file
// system of the cluster itself, so that none of them can fail alone.
func (c *Cluster) Simulated() bool {
	found := false
	for _, id := range c.diskIDs() {
		if _, err := os.Stat(c.pathOf(id)); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if !sameDevice(c.dir, c.pathOf(id)) {
			return false
		}
		found = true
	}
	return found
}
