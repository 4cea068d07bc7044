package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/placement"
)

// errLate is what a disk that missed its deadline is marked with.
var errLate = errors.New("later than its deadline")

// errBroken is what became of shards whose segment broke before it was synced.
var errBroken = errors.New("the segment broke before it was synced")

// A load is what one disk has to do in a round of writing: shards to append, then perhaps
// a sync.
type load struct {
	disk    placement.DiskID
	work    []shardOf
	sync    bool
	reserve bool // the space that is kept from puts may be taken
	direct  bool // past the page cache

	places []disks.Address
	err    error
	done   bool // in time and without error
}

type shardOf struct {
	b *buffer
	i int
}

// store writes the shards of stripes to the disks that the table names, each disk once and
// all at the same time, and then, with sync, makes them durable, with what was written
// earlier to the disks of also. A shard that fails goes to another disk within the rule;
// when there is none it stays without a place. In also, a disk that was not synced becomes
// false. The error of a stripe that is left below the margin says so; the places say what
// was written in any case.
func (c *Cluster) store(ctx context.Context, stripes []*buffer, sync bool, also map[placement.DiskID]bool, touched map[placement.DiskID]bool) error {
	pending := c.assign(stripes)
	loads := c.loads(stripes, sync, also)
	const rounds = 4
	for round := 0; ; round++ {
		failed := c.run(ctx, loads, touched)
		for _, l := range loads {
			if also[l.disk] && !l.done {
				also[l.disk] = false
			}
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
		pending = append(pending, failed...)
		if len(pending) == 0 || round == rounds {
			break
		}
		var again []*buffer
		pending, again = c.reassign(pending)
		if len(again) == 0 {
			break
		}
		loads = c.loadsOf(again, sync)
	}
	for _, w := range pending {
		w.b.Places[w.i] = place{Disk: none}
	}
	for _, b := range stripes {
		if err := c.enough(b.stripe); err != nil {
			return err
		}
	}
	return nil
}

// assign gives each shard the disk that the table names and returns those whose disk
// cannot be used.
func (c *Cluster) assign(stripes []*buffer) (pending []shardOf) {
	for _, b := range stripes {
		row := c.table.Disks(c.table.PG(b.ID))
		for i := range b.Places {
			b.Places[i] = place{Disk: none}
			if !b.stored(i) {
				continue
			}
			if row[i] >= 0 && c.usable(row[i]) {
				b.Places[i].Disk = row[i]
			} else {
				pending = append(pending, shardOf{b, i})
			}
		}
	}
	if len(pending) > 0 {
		pending, _ = c.reassign(pending)
	}
	return pending
}

// reassign finds other disks for shards, within the rule. It returns the shards for which
// there is none, and the stripes that got a new place.
func (c *Cluster) reassign(work []shardOf) (left []shardOf, moved []*buffer) {
	for _, w := range work {
		w.b.Places[w.i] = place{Disk: none}
		spare := c.config.Map.Candidates(c.config.Rule, w.b.row(), func(d placement.DiskID) bool { return !c.usable(d) })
		if len(spare) == 0 {
			left = append(left, w)
			continue
		}
		w.b.Places[w.i].Disk = spare[0]
		moved = append(moved, w.b)
	}
	return left, moved
}

// loads groups what has a disk and no address yet by disk.
func (c *Cluster) loads(stripes []*buffer, sync bool, also map[placement.DiskID]bool) []*load {
	loads := c.loadsOf(stripes, sync)
	if !sync {
		return loads
	}
	for d := range also {
		if !slices.ContainsFunc(loads, func(l *load) bool { return l.disk == d }) {
			loads = append(loads, &load{disk: d, sync: true})
		}
	}
	return loads
}

func (c *Cluster) loadsOf(stripes []*buffer, sync bool) []*load {
	at := map[placement.DiskID]*load{}
	var loads []*load
	seen := map[*buffer]bool{}
	for _, b := range stripes {
		if seen[b] {
			continue
		}
		seen[b] = true
		for i, p := range b.Places {
			if p.Disk == none || p.Length > 0 {
				continue
			}
			if at[p.Disk] == nil {
				at[p.Disk] = &load{disk: p.Disk, sync: sync}
				loads = append(loads, at[p.Disk])
			}
			at[p.Disk].work = append(at[p.Disk].work, shardOf{b, i})
			at[p.Disk].reserve = at[p.Disk].reserve || b.reserve
			at[p.Disk].direct = at[p.Disk].direct || b.direct
		}
	}
	return loads
}

// run does the loads at the same time. It returns the shards of disks that failed, or that
// were still busy a deadline after the last of the others was done.
func (c *Cluster) run(ctx context.Context, loads []*load, touched map[placement.DiskID]bool) (failed []shardOf) {
	done := make(chan *load, len(loads))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, l := range loads {
		shards := make([]disks.Shard, len(l.work)) // now: a disk that is late must not look at the buffers' owners
		for j, w := range l.work {
			shards[j] = c.shardOf(w)
		}
		go func() {
			l.places, l.err = c.do(ctx, l, shards)
			done <- l
		}()
	}
	waiting := map[*load]bool{}
	for _, l := range loads {
		waiting[l] = true
	}
	start, timer := time.Now(), time.NewTimer(c.deadline)
	defer timer.Stop()
	for len(waiting) > 0 {
		select {
		case l := <-done:
			delete(waiting, l)
			failed = append(failed, c.finish(l, touched)...)
			timer.Reset(c.deadline)
		case <-timer.C:
			if time.Since(start) < patience*c.deadline && (len(waiting) == len(loads) || !c.dispensable(waiting)) {
				timer.Reset(c.deadline) // the machine is slow, not a disk
				continue
			}
			for l := range waiting {
				failed = append(failed, c.abandon(l)...)
			}
			return failed
		}
	}
	return failed
}

// patience is how many deadlines all disks together may take.
const patience = 30

// dispensable tells whether stripes are still acknowledged without the disks that are late:
// whether each placement group decodes without them, and without margin more. Late disks that
// cannot be done without are worth waiting for.
func (c *Cluster) dispensable(late map[*load]bool) bool {
	gone := map[placement.DiskID]bool{}
	for l := range late {
		gone[l.disk] = true
	}
	code, table := c.code(c.config.Scheme), c.table
	margin := min(c.config.Margin, c.config.Scheme.Tolerates())
	seen := map[string]bool{}
	for pg := range table.PGs() {
		row := table.Disks(pg)
		have, key := make([]bool, len(row)), make([]byte, len(row))
		for i, d := range row {
			if have[i] = !gone[d] && d != none; have[i] {
				key[i] = 1
			}
		}
		if seen[string(key)] {
			continue
		}
		seen[string(key)] = true
		if !standsLoss(code.Decodable, have, margin) {
			return false
		}
	}
	return true
}

func (c *Cluster) do(ctx context.Context, l *load, shards []disks.Shard) ([]disks.Address, error) {
	d := c.disk(l.disk)
	if d == nil {
		return nil, disks.ErrLost
	}
	var places []disks.Address
	if len(shards) > 0 {
		var err error
		if places, err = d.Append(ctx, shards, disks.AppendOptions{UseReserve: l.reserve, Direct: l.direct}); err != nil {
			return nil, err
		}
	}
	if !l.sync {
		return places, nil
	}
	if err := d.Sync(ctx); err != nil {
		return nil, err
	}
	for _, a := range places {
		if disks.Doubtful(d, a) { // another's sync failed in between
			return nil, errBroken
		}
	}
	return places, nil
}

// shardOf makes the shard as a disk stores it.
func (c *Cluster) shardOf(w shardOf) disks.Shard {
	s := disks.Shard{Header: c.header(w.b.stripe, w.i), Data: w.b.shards[w.i]}
	if w.b.carries(w.i) {
		s.Journal = w.b.journal
	}
	return s
}

func (c *Cluster) header(s *stripe, i int) disks.Header {
	h := disks.Header{Stripe: s.ID, Index: uint8(i), Scheme: s.Scheme.Code(), K: uint8(len(s.Columns)),
		Incarnation: c.incarnation, Sequence: s.Seq, Committed: c.committed.Load(), Columns: s.Columns}
	if s.Key != 0 {
		h.Transform, h.KeyID = transformSealed, uint32(s.Key)
	}
	return h
}

func (c *Cluster) finish(l *load, touched map[placement.DiskID]bool) []shardOf {
	if l.err != nil {
		c.suspect(l.disk, l.err)
		return l.work
	}
	for j, w := range l.work {
		w.b.Places[w.i].Address = l.places[j]
	}
	if touched != nil {
		touched[l.disk] = true
	}
	l.done = true
	return nil
}

// abandon gives up on a disk that is late. Its goroutine may still use the buffers, which
// therefore are not lent again.
func (c *Cluster) abandon(l *load) []shardOf {
	for _, w := range l.work {
		w.b.hung.Store(true)
	}
	c.suspect(l.disk, errLate)
	return l.work
}

// enough tells whether a stripe has enough places to be acknowledged: what it has must
// decode after any margin more shards are lost.
func (c *Cluster) enough(s *stripe) error {
	if s.missing() == 0 {
		return nil
	}
	code := c.code(s.Scheme)
	have := s.have(func(placement.DiskID) bool { return true })
	margin := c.config.Margin
	if margin > s.Scheme.Tolerates() {
		margin = s.Scheme.Tolerates()
	}
	if !standsLoss(code.Decodable, have, margin) || s.Journal > 0 && c.copies(s) <= margin {
		return fmt.Errorf("%w: %d of %d shards of a stripe cannot be written (%s), and %s must stand %d more loss after a write",
			c.cause(), s.missing(), s.Scheme.N(), c.why(), s.Scheme, margin)
	}
	return nil
}

// copies counts the copies of the journal that have a place.
func (c *Cluster) copies(s *stripe) int {
	n := 0
	for i, p := range s.Places {
		if s.carries(i) && p.Disk != none {
			n++
		}
	}
	return n
}

// standsLoss tells whether what decodes still does after any more of have are lost.
func standsLoss(decodable func([]bool) bool, have []bool, more int) bool {
	if !decodable(have) {
		return false
	}
	if more <= 0 {
		return true
	}
	for i := range have {
		if !have[i] {
			continue
		}
		have[i] = false
		ok := standsLoss(decodable, have, more-1)
		have[i] = true
		if !ok {
			return false
		}
	}
	return true
}

// survives is how many more shards a stripe may lose, whichever they are.
func (c *Cluster) survives(s *stripe, usable func(placement.DiskID) bool) int {
	have, code := s.have(usable), c.code(s.Scheme)
	n := -1
	for n < s.Scheme.Tolerates() && standsLoss(code.Decodable, have, n+1) {
		n++
	}
	return n
}

// scrap frees the shards that were written for stripes that will not be committed.
func (c *Cluster) scrap(stripes []*stripe) {
	at := map[placement.DiskID][]disks.Address{}
	for _, s := range stripes {
		for _, p := range s.Places {
			if p.Disk != none && p.Length > 0 {
				at[p.Disk] = append(at[p.Disk], p.Address)
			}
		}
	}
	c.freeAt(at, false)
}

func (c *Cluster) freeAt(at map[placement.DiskID][]disks.Address, keepJournal bool) map[placement.DiskID]error {
	var mu sync.Mutex
	var wg sync.WaitGroup
	failed := map[placement.DiskID]error{}
	for id, list := range at {
		d := c.disk(id)
		if d == nil {
			continue
		}
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience*c.deadline)
			defer cancel()
			if err := d.Free(ctx, list, keepJournal); err != nil {
				mu.Lock()
				failed[id] = err
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return failed
}
