package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/placement"
)

// A move is a shard that was copied or made anew, and that the catalog still has at its old
// place. Whoever moves shards (repair, rebalance, compaction) collects moves and hands them
// to relocate.
type move struct {
	stripe   uint64
	shard    int
	freed    bool // the stripe's data was gone when it was copied, only its journal is left
	copied   bool // the shard is at its old place
	old, new place
}

// copyShard copies shard i of a stripe to a disk, verified, with the journal that rides in
// it, which goes on to name the newest batch that was committed before its own. The copy is
// not durable and nobody knows it before relocate.
func (c *Cluster) copyShard(ctx context.Context, s *stripe, freed bool, i int, to placement.DiskID, o disks.AppendOptions) (move, error) {
	m := move{stripe: s.ID, shard: i, freed: freed, copied: true, old: s.Places[i]}
	from, dst := c.disk(m.old.Disk), c.disk(to)
	if from == nil || dst == nil {
		return m, disks.ErrLost
	}
	sh := disks.Shard{Header: c.header(s, i)}
	sh.Copied = true
	if freed {
		h, j, err := c.journalOf(ctx, s, i)
		if err != nil {
			return m, err
		}
		sh.Journal, sh.Committed, sh.Columns = j, h.Committed, make([]uint32, len(s.Columns))
	} else {
		old, err := from.ReadShard(ctx, m.old.Address)
		if errors.Is(err, disks.ErrCorrupt) && !c.needed(s) { // its data may be sound, and its journal is of no use
			old, err = c.dataOf(ctx, s, i)
		}
		if err == nil && (old.Stripe != s.ID || int(old.Index) != i) {
			err = disks.ErrCorrupt
		}
		if err != nil {
			return m, fmt.Errorf("disk %s: %w", c.name(m.old.Disk), err)
		}
		sh.Data, sh.Journal, sh.Columns = old.Data, old.Journal, old.Columns // none of them when its data is gone
		if old.Journal != nil {
			sh.Committed = old.Committed
		}
	}
	at, err := dst.Append(ctx, []disks.Shard{sh}, o)
	if err != nil {
		c.suspect(to, err)
		return m, fmt.Errorf("disk %s: %w", c.name(to), err)
	}
	m.new = place{to, at[0]}
	return m, nil
}

// dataOf reads a shard without its journal.
func (c *Cluster) dataOf(ctx context.Context, s *stripe, i int) (disks.Shard, error) {
	sh := disks.Shard{Header: c.header(s, i), Data: make([]byte, s.size(i))}
	return sh, c.disk(s.Places[i].Disk).Read(ctx, s.ref(i), 0, sh.Data)
}

// relocate makes moves true: it syncs the disks that took the shards, and then, in one
// transaction, sets each address where stripe, index and old address are unchanged; also,
// when not nil, is part of that transaction. The old places are given back once no reader
// needs them, and the new ones of moves that lost a race at once. It returns how many won.
func (c *Cluster) relocate(ctx context.Context, moves []move, also func(*tx) error) (int, error) {
	if err := c.syncTargets(ctx, moves); err != nil {
		return 0, err
	}
	left := make([]bool, len(moves))
	for i, m := range moves {
		left[i] = m.copied || m.old != m.new && c.holds(ctx, m) // a disk that began anew may give the same address
	}
	if err := c.reaping.Acquire(ctx, 1); err != nil { // a stripe is freed whole: not while a shard of it is on its way
		return 0, err
	}
	defer c.reaping.Release(1)
	won := 0
	gone, orphans := map[placement.DiskID][]disks.Address{}, map[placement.DiskID][]disks.Address{}
	err := c.catalog.update(ctx, func(t *tx) error {
		lost, err := t.relocateAll(moves)
		if err != nil {
			return err
		}
		for i, m := range moves {
			switch {
			case lost[i]:
				orphans[m.new.Disk] = append(orphans[m.new.Disk], m.new.Address)
			case left[i]:
				gone[m.old.Disk] = append(gone[m.old.Disk], m.old.Address)
			}
			won += btoi(!lost[i])
		}
		if also != nil {
			return also(t)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	c.freeAt(orphans, false)
	c.retire(gone)
	return won, nil
}

// holds tells whether the shard of a move still lies at its old place, damaged perhaps. A
// disk that was lost may have begun anew, and hold something else there.
func (c *Cluster) holds(ctx context.Context, m move) bool {
	d := c.disk(m.old.Disk)
	if m.old.Disk == none || d == nil {
		return false
	}
	h, _, err := d.ReadJournal(ctx, m.old.Address)
	return err == nil && h.Stripe == m.stripe && int(h.Index) == m.shard
}

func (c *Cluster) syncTargets(ctx context.Context, moves []move) error {
	var done []placement.DiskID
	for _, m := range moves {
		id := m.new.Disk
		if slices.Contains(done, id) {
			continue
		}
		done = append(done, id)
		d := c.disk(id)
		if d == nil {
			return fmt.Errorf("disk %s: %w", c.name(id), disks.ErrLost)
		}
		if err := d.Sync(ctx); err != nil {
			return fmt.Errorf("disk %s: %w", c.name(id), err)
		}
	}
	for _, m := range moves {
		if c.doubtful(m.new) {
			return fmt.Errorf("disk %s: %w", c.name(m.new.Disk), errBroken)
		}
	}
	return nil
}

// A retirement is a set of places that the catalog has not named since the moves that
// followed batch seq.
type retirement struct {
	seq uint64
	at  map[placement.DiskID][]disks.Address
}

// retire frees old places of shards that moved as soon as nobody reads who may have looked
// them up before. What a process leaves, the inventory of a later one frees.
func (c *Cluster) retire(at map[placement.DiskID][]disks.Address) {
	c.mu.Lock()
	if len(at) > 0 {
		c.retired = append(c.retired, retirement{c.committed.Load(), at})
	}
	list := c.retired
	c.retired = nil
	c.mu.Unlock()
	var kept []retirement
	for _, r := range list {
		if c.read(r.seq) {
			kept = append(kept, r)
			continue
		}
		c.freeAt(r.at, false)
	}
	c.mu.Lock()
	c.retired = append(kept, c.retired...)
	c.mu.Unlock()
}

// read tells whether somebody reads who may have begun at seq or before.
func (c *Cluster) read(seq uint64) bool {
	c.mu.Lock()
	for s := range c.pins {
		if s <= seq {
			c.mu.Unlock()
			return true
		}
	}
	c.mu.Unlock()
	return oldestLease(c.leaseDir(), seq+1) <= seq
}
