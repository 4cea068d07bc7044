package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/placement"
)

// A patient is a stripe to repair and the shards that it lacks.
type patient struct {
	*stripe
	freed    bool
	bad      []int
	survives int // how many more shards it may lose; the fewest come first
}

// Repair makes lost and damaged shards anew on sound disks within the rule, the most
// endangered stripes first, and puts back copies of journals. It looks at what is on each
// disk, without reading shards that are sound, and frees shards that no stripe refers to.
func (c *Cluster) Repair(ctx context.Context, p Progress) (RepairReport, error) {
	var rep RepairReport
	if c.readOnly {
		return rep, ErrReadOnly
	}
	start := time.Now()
	if err := c.absorbDamage(); err != nil {
		return rep, err
	}
	list, err := c.patients(ctx)
	if err != nil {
		return rep, err
	}
	total, done := int64(0), int64(0)
	for _, s := range list {
		for _, i := range s.bad {
			total += int64(s.size(i))
		}
	}
	lost := map[uint64]bool{}
	const group = 64
	for chunk := range slices.Chunk(list, group) {
		if err := ctx.Err(); err != nil {
			return rep, err
		}
		if err := c.repairGroup(ctx, chunk, &rep, lost); err != nil {
			return rep, err
		}
		for _, s := range chunk {
			for _, i := range s.bad {
				done += int64(s.size(i))
			}
		}
		if p != nil {
			p(done, total)
		}
	}
	if len(lost) > 0 {
		if rep.LostKeys, err = c.catalog.keysOf(ctx, c.config.Scheme.K, lost); err != nil {
			return rep, err
		}
	}
	rep.Elapsed = time.Since(start)
	return rep, nil
}

// patients finds the stripes that lack shards: never placed, on a disk that is away, known
// to be damaged, or not on the disk that should hold them.
func (c *Cluster) patients(ctx context.Context) ([]patient, error) {
	there, err := c.inventory(ctx)
	if err != nil {
		return nil, err
	}
	damage, err := c.catalog.damage(ctx)
	if err != nil {
		return nil, err
	}
	var list []patient
	err = c.catalog.stripes(ctx, func(s *stripe, freed bool) error {
		if s.Refs == 0 && !freed {
			return nil // about to be freed
		}
		p := patient{stripe: s, freed: freed}
		for i, at := range s.Places {
			if freed && !s.carries(i) || !s.stored(i) {
				continue
			}
			if at.Disk == none || !c.readable(at.Disk) || !there[at] || slices.Contains(damage[s.ID], i) {
				p.bad = append(p.bad, i)
			}
		}
		if len(p.bad) > 0 {
			p.survives = c.survives(s, c.readable)
			list = append(list, p)
		}
		return nil
	})
	slices.SortStableFunc(list, func(a, b patient) int { return a.survives - b.survives })
	return list, err
}

// inventory lists what lies on the disks that can be read, and frees what nobody refers to:
// shards of stripes that the catalog does not know, written by processes that are gone, and
// old places of shards that moved.
func (c *Cluster) inventory(ctx context.Context) (map[place]bool, error) {
	known := map[uint64][]place{}
	if err := c.catalog.stripes(ctx, func(s *stripe, _ bool) error {
		known[s.ID] = s.Places
		return nil
	}); err != nil {
		return nil, err
	}
	there := map[place]bool{}
	orphans := map[placement.DiskID][]disks.Address{}
	for _, id := range c.diskIDs() {
		d := c.disk(id)
		if d == nil {
			continue
		}
		err := d.Scan(ctx, func(e disks.Entry) error {
			at := place{id, e.Address}
			places, ok := known[e.Stripe]
			switch {
			case ok && int(e.Index) < len(places) && places[e.Index] == at:
				there[at] = true
			case e.Incarnation < c.incarnation && c.pinned() == c.committed.Load():
				orphans[id] = append(orphans[id], e.Address)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("disk %s: %w", c.name(id), err)
		}
	}
	c.freeAt(orphans, false)
	return there, nil
}

// repairGroup rebuilds the shards of some stripes, syncs their new disks, and then records
// the new places.
func (c *Cluster) repairGroup(ctx context.Context, list []patient, rep *RepairReport, lost map[uint64]bool) error {
	var moves []move
	var sound []damage
	for _, p := range list {
		whole := true
		var away bool
		p.bad, away = c.confirm(ctx, p, &sound)
		for _, i := range slices.Clone(p.bad) {
			old := p.Places[i]
			to, err := c.rebuildShard(ctx, p, i, away, rep)
			switch {
			case errors.Is(err, ErrDataLost):
				lost[p.ID] = true
				rep.Lost++
				whole = false
			case err != nil && ctx.Err() != nil:
				return ctx.Err()
			case err != nil:
				c.notify("repair of stripe %x, shard %d: %v", p.ID, i, err)
				whole = false
			default:
				moves = append(moves, move{p.ID, i, p.freed, old, to})
				p.Places[i] = to
				p.bad = slices.DeleteFunc(p.bad, func(j int) bool { return j == i })
			}
			if lost[p.ID] {
				break
			}
		}
		switch {
		case whole:
			rep.Stripes++
		case !lost[p.ID]:
			rep.Left++
		}
	}
	_, err := c.relocate(ctx, moves, func(t *tx) error {
		for _, d := range sound {
			if err := t.clearDamage(d.stripe, d.shard); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// confirm reads shards that were reported as damaged and are on a disk that is there; those
// that verify now are sound. It returns the rest, and whether some of them could not be
// asked, so that they may come back.
func (c *Cluster) confirm(ctx context.Context, p patient, sound *[]damage) (bad []int, away bool) {
	for _, i := range p.bad {
		if p.Places[i].Disk != none && !p.freed {
			buf := make([]byte, p.size(i))
			err := c.readShard(ctx, p.stripe, i, 0, buf, false)
			if err == nil && p.carries(i) {
				_, _, err = c.disk(p.Places[i].Disk).ReadJournal(ctx, p.Places[i].Address)
			}
			if err == nil {
				*sound = append(*sound, damage{p.ID, i})
				continue
			}
			away = away || unreachable(err)
		}
		bad = append(bad, i)
	}
	return bad, away
}

// unreachable tells whether an error of a read says nothing about the shard.
func unreachable(err error) bool {
	return errors.Is(err, disks.ErrLost) || !errors.Is(err, disks.ErrCorrupt) && !errors.Is(err, disks.ErrGone)
}

// rebuildShard makes shard i anew, with its journal, and appends it to a disk.
func (c *Cluster) rebuildShard(ctx context.Context, p patient, i int, away bool, rep *RepairReport) (place, error) {
	data := make([]byte, p.size(i))
	if !p.freed && len(data) > 0 {
		want := make([][]byte, len(p.Places))
		want[i] = data
		before := c.Counters()
		away = away || slices.ContainsFunc(p.Places, func(at place) bool { return at.Disk != none && !c.readable(at.Disk) })
		err := c.rebuild(ctx, c.without(p), want, 0, len(data), nil, func(j int, err error) {
			away = away || unreachable(err)
			c.damaged(p.stripe, j, err)
		})
		rep.BytesRead += c.Counters().BytesRead - before.BytesRead
		if errors.Is(err, ErrDataLost) && away {
			return place{}, fmt.Errorf("too many of its disks are out of reach (%s)", c.why()) // they may come back
		}
		if err != nil {
			return place{}, err
		}
	}
	s := disks.Shard{Header: c.header(p.stripe, i), Data: data}
	if p.freed { // its data is gone; a shard without columns keeps the journal
		s.Data, s.Columns = nil, make([]uint32, len(p.Columns))
	}
	if p.carries(i) {
		var err error
		if s.Journal, err = c.journal(ctx, p.stripe, i); err != nil {
			return place{}, err
		}
	}
	for _, id := range c.targets(p.stripe, i) {
		at, err := c.disk(id).Append(ctx, []disks.Shard{s}, disks.AppendOptions{UseReserve: true})
		if err != nil {
			c.suspect(id, err)
			continue
		}
		rep.Shards++
		rep.BytesWrite += int64(at[0].Length)
		return place{id, at[0]}, nil
	}
	return place{}, fmt.Errorf("no disk within the rule can take it (%s)", c.why())
}

// without is the patient's stripe with its bad shards nowhere, so that none is read.
func (c *Cluster) without(p patient) *stripe {
	s := *p.stripe
	s.Places = slices.Clone(p.Places)
	for _, i := range p.bad {
		s.Places[i] = place{Disk: none}
	}
	return &s
}

// journal returns the journal of a stripe from any of its copies but that of shard i.
func (c *Cluster) journal(ctx context.Context, s *stripe, but int) ([]byte, error) {
	for i, p := range s.Places {
		if i == but || !s.carries(i) || p.Disk == none {
			continue
		}
		d := c.disk(p.Disk)
		if d == nil {
			continue
		}
		if _, j, err := d.ReadJournal(ctx, p.Address); err == nil {
			return j, nil
		}
	}
	return nil, fmt.Errorf("stripe %x: no copy of its journal can be read", s.ID)
}

// targets returns the disks that may take shard i: the table's first, then others.
func (c *Cluster) targets(s *stripe, i int) []placement.DiskID {
	row := s.row()
	row[i] = none
	for j, d := range row { // a disk that is away does not count against the rule: its shard will move too
		if d != none && !c.readable(d) {
			row[j] = none
		}
	}
	list := c.config.Map.Candidates(c.config.Rule, row, func(d placement.DiskID) bool { return !c.usable(d) })
	want := c.table.Disks(c.table.PG(s.ID))[i]
	if at := slices.Index(list, want); at > 0 {
		list = slices.Insert(slices.Delete(list, at, at+1), 0, want)
	}
	return list
}

// Corrupt flips bits in that many shards of each stripe of an object, for people who want
// to see what happens. It returns where.
func (c *Cluster) Corrupt(ctx context.Context, bucket, key string, shards int, seed uint64) ([]string, error) {
	_, layout, err := c.catalog.lookup(ctx, bucket, key)
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	var where []string
	for _, e := range layout {
		for n := uint64(0); n < max(1, uint64(e.Count)); n++ {
			s, err := c.catalog.stripeByID(ctx, e.Stripe+n)
			if err != nil {
				return where, err
			}
			names, err := c.corruptStripe(s, e, shards, rng)
			where = append(where, names...)
			if err != nil {
				return where, err
			}
		}
	}
	return where, nil
}

func (c *Cluster) corruptStripe(s *stripe, e extent, shards int, rng *rand.Rand) ([]string, error) {
	order, bits := rng.Perm(len(s.Places)), 3
	if e.Count == 0 { // begin with the shard that a read would use, and do not miss the object in it
		bits = min(1<<16, 16*int(s.longest())/max(1, int(e.Len))+3)
		order = append([]int{int(e.Col)}, slices.DeleteFunc(order, func(i int) bool { return i == int(e.Col) })...)
	}
	var where []string
	for _, i := range order {
		if len(where) == shards {
			break
		}
		p := s.Places[i]
		d, ok := c.disk(p.Disk).(interface {
			Corrupt(a disks.Address, bits int, rng *rand.Rand) error
		})
		if p.Disk == none || !ok || s.size(i) == 0 {
			continue
		}
		if err := d.Corrupt(p.Address, bits, rng); err != nil {
			return where, fmt.Errorf("disk %s: %w", c.name(p.Disk), err)
		}
		where = append(where, fmt.Sprintf("shard %d of stripe %x on %s", i, s.ID, c.name(p.Disk)))
	}
	return where, nil
}
