package placement

import (
	"cmp"
	"fmt"
	"slices"
)

// A Move is a shard that changes its disk. From is None for a shard that had none.
type Move struct {
	PG    int    `json:"pg"`
	Shard int    `json:"shard"`
	From  DiskID `json:"from"`
	To    DiskID `json:"to"`
	Lost  bool   `json:"lost,omitempty"` // From is not in the new map: the shard must be made anew
}

// A Hole is a shard that has no disk, for want of room within the limits.
type Hole struct {
	PG    int `json:"pg"`
	Shard int `json:"shard"`
}

// A Plan is the way from one table to the next.
type Plan struct {
	Table *Table
	Moves []Move // the groups that lost the most shards first
	Holes []Hole
	Bound int64 // no table whose disks are within a shard of their shares takes fewer moves

	off int64 // shards that disks have beyond what they should, or lack
}

// Change makes the table for map m from the one that was in force: disks that m lacks, or
// has marked Out, give up all their shards, and the others what is above their share, by
// as few moves as can be. Limits are never relaxed.
func Change(old *Table, m *Map, r Rule, o Options) (*Plan, error) {
	t, err := m.Tree()
	if err != nil {
		return nil, err
	}
	return t.Change(old, r.Limits(), o)
}

// Change makes the table for t from an old one with as many shards a group.
func (t *Tree) Change(old *Table, l Limits, o Options) (*Plan, error) {
	var best *Plan
	var failed error
	for w := range tries {
		p, err := t.reach(old, l, o, w)
		switch {
		case err != nil:
			failed = err
		case best == nil || p.better(best):
			best = p
		}
		if best != nil && best.off == 0 && int64(len(best.Moves)) <= best.Bound {
			break
		}
	}
	if best == nil {
		return nil, failed
	}
	return best, nil
}

// The ways from one table to the next. The first, as a rule, needs no more moves than the
// bound; a few tables are reached by fewer moves, or only, on another.
const (
	evenFirst = iota // what spreads each group evenly over the domains, then what the limits allow
	direct           // whatever the limits allow at once
	chains           // one shard after another, by the shortest chain
	ways

	tries = 3 * ways // with another seed each time round
)

// better tells whether p leaves fewer holes than q, or disks nearer to their shares, or takes
// fewer moves.
func (p *Plan) better(q *Plan) bool {
	return cmp.Or(len(p.Holes)-len(q.Holes), int(p.off-q.off), len(p.Moves)-len(q.Moves)) < 0
}

// reach finds moves from an old table to one for t.
func (t *Tree) reach(old *Table, l Limits, o Options, try int) (*Plan, error) {
	way := try % ways
	o.Seed += uint64(try / ways)
	o.PGs = old.PGs()
	s, err := t.solver(old.n, l, o)
	if err != nil {
		return nil, err
	}
	if s.fit < s.n && !o.Holes {
		return nil, s.tooFew(l)
	}
	c := s.change(old, o.Scatter == 0)
	if way == evenFirst {
		c.by(&s.even)
		c.exchange(0)
	}
	c.by(&s.limits)
	if way != chains && c.need[0] > 0 {
		c.exchange(0)
	}
	c.augment()
	p := c.plan(old)
	if len(p.Holes) > s.pgs*(s.n-s.fit) {
		return nil, fmt.Errorf("%w: %d shards found no disk with %s, of which only %d have to", ErrRule, len(p.Holes), l, s.pgs*(s.n-s.fit))
	}
	return p, nil
}

// plan compares the rows with those of the old table.
func (c *changer) plan(old *Table) *Plan {
	p := &Plan{Table: c.table(), Bound: c.bound}
	for x, load := range c.load {
		p.off += max(load-c.want[x], c.want[x]-load)
	}
	lost := make(map[int]int)
	for j, to := range p.Table.rows {
		from, pg, i := old.rows[j], j/c.n, j%c.n
		_, lives := c.tree.at[from]
		gone := from != None && !lives
		if gone {
			lost[pg]++
		}
		switch {
		case to == None:
			p.Holes = append(p.Holes, Hole{pg, i})
		case to != from:
			p.Moves = append(p.Moves, Move{pg, i, from, to, gone})
		}
	}
	slices.SortStableFunc(p.Moves, func(a, b Move) int {
		return cmp.Or(lost[b.PG]-lost[a.PG], a.PG-b.PG)
	})
	return p
}
