package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/placement"
)

type suspicion struct {
	until time.Time
	err   error
}

func (c *Cluster) disk(id placement.DiskID) disks.Disk {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.disks[id]
}

func (c *Cluster) name(id placement.DiskID) string { return c.byID[id].path() }

// diskIDs returns all disks of the map in order.
func (c *Cluster) diskIDs() []placement.DiskID {
	var list []placement.DiskID
	for id := range c.byID {
		list = append(list, id)
	}
	slices.Sort(list)
	return list
}

// readable tells whether a disk can be asked for shards.
func (c *Cluster) readable(id placement.DiskID) bool { return c.disk(id) != nil }

// usable tells whether new shards may go to a disk.
func (c *Cluster) usable(id placement.DiskID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.disks[id] == nil {
		return false
	}
	s, ok := c.suspects[id]
	return !ok || time.Now().After(s.until)
}

// late tells whether a disk missed a deadline a moment ago.
func (c *Cluster) late(id placement.DiskID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.suspects[id]
	return ok && errors.Is(s.err, errLate) && time.Now().Before(s.until)
}

// suspect keeps new shards away from a disk that just failed a write.
func (c *Cluster) suspect(id placement.DiskID, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	c.mu.Lock()
	_, known := c.suspects[id]
	c.errors[id]++
	c.suspects[id] = suspicion{time.Now().Add(30 * time.Second), err}
	c.mu.Unlock()
	switch {
	case known:
	case !errors.Is(err, disks.ErrNoSpace):
		c.notify("disk %s: %v; its shards go elsewhere", c.name(id), err)
	case !c.told.Swap(true): // disks that share a file system fill together
		c.notify("disk %s: %v", c.name(id), err)
	}
}

// cause is what refusals add to ErrTooManyFailures: ErrNoSpace when that is why.
func (c *Cluster) cause() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.suspects {
		if time.Now().Before(s.until) && isFull(s.err) {
			return fmt.Errorf("%w: %w", ErrTooManyFailures, ErrNoSpace)
		}
	}
	return ErrTooManyFailures
}

func isFull(err error) bool { return errors.Is(err, disks.ErrNoSpace) || errors.Is(err, disks.ErrFull) }

// why says which disks cannot be written, for an error.
func (c *Cluster) why() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	sites := map[string][]string{}
	total := map[string]int{}
	for id, d := range c.byID {
		total[d.site]++
		if c.disks[id] == nil {
			sites[d.site] = append(sites[d.site], d.path())
		} else if s, ok := c.suspects[id]; ok && time.Now().Before(s.until) {
			sites[d.site] = append(sites[d.site], fmt.Sprintf("%s (%v)", d.path(), s.err))
		}
	}
	var list []string
	for site, names := range sites {
		if len(names) == total[site] {
			list = append(list, "all of "+site)
			continue
		}
		list = append(list, names...)
	}
	slices.Sort(list)
	if len(list) > 6 {
		list = append(list[:6], fmt.Sprintf("and %d more", len(list)-6))
	}
	if len(list) == 0 {
		return "too few disks"
	}
	return "down: " + strings.Join(list, ", ")
}

// States of a disk in a Status.
const (
	stateActive  = "active"
	stateFailed  = "failed"
	stateMissing = "missing"
	stateSuspect = "suspect"
)

// DiskStates returns the state of every disk: active, failed (by `wattle fail`), missing
// (gone or damaged) or suspect (a write failed a moment ago).
func (c *Cluster) DiskStates() map[placement.DiskID]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	states := map[placement.DiskID]string{}
	for id := range c.byID {
		switch why, gone := c.absent[id]; {
		case gone && why == stateFailed:
			states[id] = stateFailed
		case gone:
			states[id] = stateMissing
		case time.Now().Before(c.suspects[id].until):
			states[id] = stateSuspect
		default:
			states[id] = stateActive
		}
	}
	return states
}
