package cluster

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/placement"
)

type damage struct {
	stripe uint64
	shard  int
}

// pin keeps what is in the catalog now on the disks until the returned function is called.
func (c *Cluster) pin() (func(), error) {
	if c.readOnly {
		return func() {}, nil // the lease holds it
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	seq := c.committed.Load()
	c.pins[seq]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.pins[seq]--; c.pins[seq] == 0 {
			delete(c.pins, seq)
		}
	}, nil
}

// pinned is the oldest sequence that a reader may still see.
func (c *Cluster) pinned() uint64 {
	c.mu.Lock()
	seq := c.committed.Load()
	for s := range c.pins {
		seq = min(seq, s)
	}
	c.mu.Unlock()
	return min(seq, oldestLease(c.leaseDir(), seq))
}

func (c *Cluster) leaseDir() string { return filepath.Join(c.dir, "leases") }

// reap frees, beside other work, stripes that no object and no reader needs.
func (c *Cluster) reap() {
	if !c.reaping.TryAcquire(1) {
		return
	}
	c.background.Go(func() {
		defer c.reaping.Release(1)
		if err := c.reapSome(1024); err != nil {
			c.notify("free space: %v", err)
		}
		c.retire(nil)
	})
}

func (c *Cluster) reapNow() {
	c.reaping.Acquire(context.Background(), 1) //nolint:errcheck // it cannot end
	defer c.reaping.Release(1)
	if err := c.reapSome(1 << 20); err != nil {
		c.notify("free space: %v", err)
	}
	c.retire(nil)
}

// reapSome frees up to limit stripes: their shards together, then their rows. The journal
// of a stripe stays, since recovery replays it.
func (c *Cluster) reapSome(limit int) error {
	if c.spent.Load() {
		list, err := c.catalog.spent(context.Background(), c.checkpoint.Load(), limit)
		c.spent.Store(err != nil || len(list) == limit)
		if err == nil {
			err = c.free(list)
		}
		if err != nil {
			return err
		}
	}
	if !c.catalog.dying.Swap(false) {
		return nil
	}
	committed, pinned := c.committed.Load(), c.pinned()
	aged, err := c.ripe(context.Background(), time.Now())
	if err != nil {
		c.catalog.dying.Store(true)
		return err
	}
	pinned = min(pinned, aged)
	list, err := c.catalog.dead(context.Background(), pinned+1, limit)
	if err != nil || pinned < committed || len(list) > 0 { // there may be more, now or later
		c.catalog.dying.Store(true)
	}
	// Not those of the newest batch: when the catalog is lost before another batch says that it
	// was committed, recovery asks whether it is whole.
	list = slices.DeleteFunc(list, func(s *stripe) bool { return s.Seq >= committed })
	if err != nil {
		return err
	}
	return c.free(list)
}

// free gives back the space of stripes that nobody reads, without the journals that recovery
// needs, and then takes note of it.
func (c *Cluster) free(list []*stripe) error {
	if len(list) == 0 {
		return nil
	}
	whole, data := map[placement.DiskID][]disks.Address{}, map[placement.DiskID][]disks.Address{}
	for _, s := range list {
		at := whole
		if c.needed(s) {
			at = data
		}
		for _, p := range s.Places {
			if p.Disk != none {
				at[p.Disk] = append(at[p.Disk], p.Address)
			}
		}
	}
	failed := c.freeAt(data, true)
	maps.Copy(failed, c.freeAt(whole, false))
	done := list[:0]
	for _, s := range list {
		if !slices.ContainsFunc(s.Places, func(p place) bool { return p.Disk != none && failed[p.Disk] != nil }) {
			done = append(done, s)
		}
	}
	if len(done) == 0 {
		return nil
	}
	return c.catalog.update(context.Background(), func(t *tx) error { return t.freeStripes(done, c.needed) })
}

// damaged queues a bad shard for repair.
func (c *Cluster) damaged(s *stripe, i int, err error) {
	if errors.Is(err, disks.ErrLost) || errors.Is(err, errLate) || errors.Is(err, context.DeadlineExceeded) {
		return // the disk is away, which its state says already
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.damages[damage{s.ID, i}] = true
	if i < len(s.Places) {
		c.errors[s.Places[i].Disk]++
	}
}

// absorbDamage moves what reads found bad into the catalog.
func (c *Cluster) absorbDamage() error {
	c.mu.Lock()
	found := c.damages
	c.damages = map[damage]bool{}
	c.mu.Unlock()
	if len(found) == 0 {
		return nil
	}
	return c.catalog.update(context.Background(), func(t *tx) error {
		for d := range found {
			if err := t.addDamage(d.stripe, d.shard); err != nil {
				return err
			}
		}
		return nil
	})
}
