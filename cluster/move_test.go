package cluster

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/placement"
)

// firstStripe returns a stripe that holds data, and one of its shards that is on a disk.
func firstStripe(t *testing.T, c *Cluster) (*stripe, int) {
	t.Helper()
	var found *stripe
	shard := 0
	if err := c.catalog.stripes(ctx, func(s *stripe, freed bool) error {
		for i, p := range s.Places {
			if found == nil && s.Live > 0 && !freed && s.size(i) > 0 && p.Disk != none {
				found, shard = s, i
			}
		}
		return nil
	}); err != nil || found == nil {
		t.Fatalf("no stripe with data: %v", err)
	}
	return found, shard
}

// spare returns a disk that the rule allows for shard i of s.
func spare(t *testing.T, c *Cluster, s *stripe, i int) placement.DiskID {
	t.Helper()
	row := s.row()
	old := row[i]
	row[i] = none
	list := c.config.Map.Candidates(c.config.Rule, row, func(d placement.DiskID) bool { return d == old })
	if len(list) == 0 {
		t.Fatal("no other disk within the rule")
	}
	return list[0]
}

// there tells whether a shard can be read at a place.
func there(c *Cluster, p place) bool {
	_, err := c.disk(p.Disk).ReadShard(ctx, p.Address)
	return err == nil
}

func TestRelocate(t *testing.T) {
	c, _ := newCluster(t, InitOptions{Scheme: scheme(t, "rs:4+3")})
	body := randomBytes(200_000, 1)
	put(t, c, "k", body)
	s, i := firstStripe(t, c)
	to := spare(t, c, s, i)
	m, err := c.copyShard(ctx, s, false, i, to, disks.AppendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Get(ctx, "bucket", "k", GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	late := m // another mover that looked at the same time
	if late.new, err = func() (place, error) {
		m, err := c.copyShard(ctx, s, false, i, to, disks.AppendOptions{})
		return m.new, err
	}(); err != nil {
		t.Fatal(err)
	}
	if won, err := c.relocate(ctx, []move{m}, nil); won != 1 || err != nil {
		t.Fatalf("won %d, %v", won, err)
	}
	if won, err := c.relocate(ctx, []move{late}, nil); won != 0 || err != nil {
		t.Fatalf("the second mover won %d, %v", won, err)
	}
	if there(c, late.new) || !there(c, m.old) || !there(c, m.new) {
		t.Errorf("the loser's copy is there: %v; the old place: %v; the new: %v", there(c, late.new), there(c, m.old), there(c, m.new))
	}
	var got bytes.Buffer
	if _, err := r.WriteTo(&got); err != nil || !bytes.Equal(got.Bytes(), body) {
		t.Errorf("the reader got %d bytes, %v", got.Len(), err)
	}
	r.Close()
	c.retire(nil)
	if there(c, m.old) {
		t.Error("the old place is kept with no reader left")
	}
	if d := wantBytes(t, c, "k", body); d.Shards > 0 {
		t.Errorf("degraded after a move: %+v", d)
	}
	if now, err := c.catalog.stripeByID(ctx, s.ID); err != nil || now.Places[i] != m.new {
		t.Errorf("the catalog says %+v, %v", now.Places[i], err)
	}
}

// TestRelocateFreed: a stripe that is deleted while its shard is on its way stays deleted.
func TestRelocateFreed(t *testing.T) {
	c, _ := newCluster(t, InitOptions{Scheme: scheme(t, "rs:4+3")})
	put(t, c, "k", randomBytes(200_000, 1))
	s, i := firstStripe(t, c)
	m, err := c.copyShard(ctx, s, false, i, spare(t, c, s, i), disks.AppendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(ctx, "bucket", "k"); err != nil {
		t.Fatal(err)
	}
	c.reapNow()
	if won, err := c.relocate(ctx, []move{m}, nil); won != 0 || err != nil {
		t.Errorf("won %d, %v", won, err)
	}
	if there(c, m.new) {
		t.Error("the copy of a shard that nobody needs is kept")
	}
}

// TestRelocateCrowded: of two movers that put two shards of a stripe on one disk one loses.
func TestRelocateCrowded(t *testing.T) {
	c, _ := newCluster(t, InitOptions{Scheme: scheme(t, "rs:4+3")})
	body := randomBytes(200_000, 1)
	put(t, c, "k", body)
	s, _ := firstStripe(t, c)
	to := spare(t, c, s, 0)
	var moves []move
	for i := range 2 {
		m, err := c.copyShard(ctx, s, false, i, to, disks.AppendOptions{})
		if err != nil {
			t.Fatal(err)
		}
		moves = append(moves, m)
	}
	for i, want := range []int{1, 0} {
		if won, err := c.relocate(ctx, moves[i:i+1], nil); won != want || err != nil {
			t.Errorf("move %d: won %d, %v", i, won, err)
		}
	}
	if d := wantBytes(t, c, "k", body); d.Shards > 0 {
		t.Errorf("degraded: %+v", d)
	}
}

// TestMoveWithoutJournal: a shard whose journal rotted when a checkpoint had made it useless is
// moved all the same; else a disk that is drained would never be empty.
func TestMoveWithoutJournal(t *testing.T) {
	c, m := newMemCluster(t, InitOptions{Map: DefaultMap(1, 1, 6, 1, 1e12), Scheme: scheme(t, "rs:2+2")}, 0)
	put(t, c, "a", randomBytes(500, 1))
	id := uint64(0)
	if err := c.catalog.stripes(ctx, func(s *stripe, _ bool) error {
		if s.Refs > 0 {
			id = s.ID
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	put(t, c, "b", nil)
	s, _, err := c.catalog.standing(ctx, id)
	if err != nil || s == nil {
		t.Fatalf("%v, %v", s, err)
	}
	i := len(s.Places) - 1
	rotJournal(t, c, m, s, i)
	to := placement.DiskID(-1)
	for _, id := range c.diskIDs() {
		if !slices.Contains(s.row(), id) {
			to = id
		}
	}
	if c.needed(s) {
		t.Fatal("the checkpoint does not cover it")
	}
	mv, err := c.copyShard(ctx, s, false, i, to, disks.AppendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := c.relocate(ctx, []move{mv}, nil); err != nil || n != 1 {
		t.Fatalf("%d moved: %v", n, err)
	}
	if s, _, err = c.catalog.standing(ctx, id); err != nil || s.Places[i].Disk != to {
		t.Fatalf("%+v, %v", s, err)
	}
	if err := c.disk(to).Read(ctx, s.ref(i), 0, make([]byte, s.size(i))); err != nil {
		t.Errorf("what was moved: %v", err)
	}
}

// rotJournal flips a bit of the journal in shard i, which leaves its data whole.
func rotJournal(t *testing.T, c *Cluster, m *memDisks, s *stripe, i int) {
	t.Helper()
	at, d := s.Places[i], c.disk(s.Places[i].Disk)
	name := fmt.Sprintf("segments/%08d.seg", at.Segment)
	for off := int64(at.Offset) + int64(at.Length) - 1; ; off-- {
		if err := m.fs[int32(at.Disk)].Flip(name, off, 1); err != nil || off <= int64(at.Offset) {
			t.Fatalf("no bit of it is its journal's alone: %v", err)
		}
		_, whole := d.ReadShard(ctx, at.Address)
		data := d.Read(ctx, s.ref(i), 0, make([]byte, s.size(i)))
		if whole != nil && data == nil {
			return
		}
		m.fs[int32(at.Disk)].Flip(name, off, 1) //nolint:errcheck // as before
	}
}

// TestRelocateJournal: the journal of a stripe whose data is gone may move to a disk that the
// catalog still names for a shard that went with the data.
func TestRelocateJournal(t *testing.T) {
	c, _ := newCluster(t, InitOptions{Scheme: scheme(t, "rs:4+3")})
	put(t, c, "k", randomBytes(200_000, 1))
	s, _ := firstStripe(t, c)
	if err := c.Delete(ctx, "bucket", "k"); err != nil {
		t.Fatal(err)
	}
	c.reapNow()
	s, freed, err := c.catalog.standing(ctx, s.ID)
	if err != nil || s == nil || !freed {
		t.Fatalf("%+v, freed %v: %v", s, freed, err)
	}
	carries, gone := len(s.Columns), -1
	for i := range s.Columns {
		if !s.carries(i) && s.Places[i].Disk != none {
			gone = i
		}
	}
	m, err := c.copyShard(ctx, s, freed, carries, s.Places[gone].Disk, disks.AppendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if won, err := c.relocate(ctx, []move{m}, nil); won != 1 || err != nil {
		t.Errorf("won %d, %v", won, err)
	}
}

// TestWithin: a move that the rest of its stripe stands in the way of is dropped, and left for
// later unless the stripe is deleted: then what hinders it may never be made anew.
func TestWithin(t *testing.T) {
	c, _ := newCluster(t, InitOptions{Scheme: scheme(t, "rs:4+3")})
	put(t, c, "k", randomBytes(200_000, 1))
	s, _ := firstStripe(t, c)
	for refs, left := range []int64{0, 1} {
		s.Refs = int64(refs)
		m, err := c.copyShard(ctx, s, false, 0, s.Places[1].Disk, disks.AppendOptions{})
		if err != nil {
			t.Fatal(err)
		}
		r := &rebalance{c: c, rep: RebalanceReport{Between: map[string]int64{}, Reasons: map[string]int64{}}}
		if moves := r.within(s, false, []move{m}); len(moves) > 0 || r.rep.Left != left || len(r.rep.Reasons) != 1 {
			t.Errorf("%d references: %d moves, %+v", refs, len(moves), r.rep)
		}
	}
}

// TestRelocateInAnyOrder: a shard may go to the disk that another of the same stripe leaves in the
// same batch, whichever is told first.
func TestRelocateInAnyOrder(t *testing.T) {
	for _, order := range [][2]int{{0, 1}, {1, 0}} {
		c, _ := newCluster(t, InitOptions{Scheme: scheme(t, "rs:4+3")})
		body := randomBytes(200_000, 1)
		put(t, c, "k", body)
		s, _ := firstStripe(t, c)
		var moves [2]move
		for i, to := range []placement.DiskID{s.Places[1].Disk, spare(t, c, s, 1)} { // 0 goes where 1 was
			m, err := c.copyShard(ctx, s, false, i, to, disks.AppendOptions{})
			if err != nil {
				t.Fatal(err)
			}
			moves[i] = m
		}
		if won, err := c.relocate(ctx, []move{moves[order[0]], moves[order[1]]}, nil); won != 2 || err != nil {
			t.Errorf("order %v: won %d, %v", order, won, err)
		}
		if d := wantBytes(t, c, "k", body); d.Shards > 0 {
			t.Errorf("order %v: degraded: %+v", order, d)
		}
	}
}
