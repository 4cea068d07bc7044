package cluster

import (
	"bytes"
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
