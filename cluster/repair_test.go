package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/placement"
)

// loseDisk makes a disk an empty one, as after a replacement.
func loseDisk(t testing.TB, c *Cluster, m *memDisks, id placement.DiskID) *Cluster {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	d, err := m.Create(c.config.identity(c.byID[id]))
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
	return openMem(t, c.dir, m)
}

func whole(t testing.TB, c *Cluster) {
	t.Helper()
	st, err := c.Status(ctx)
	if err != nil || st.Stripes.Degraded > 0 || st.PendingRepairs > 0 {
		t.Fatalf("%+v, %d pending, %v", st.Stripes, st.PendingRepairs, err)
	}
}

func TestRepairCrash(t *testing.T) {
	t.Parallel()
	s := newStill(t, InitOptions{}, func(c *Cluster, m *memDisks) map[string][]byte {
		want := mixed(t, c)
		c = loseDisk(t, c, m, 2)
		c.Close()
		return want
	})
	s.crashEverywhere(t, func(c *Cluster) error {
		rep, err := c.Repair(ctx, nil)
		if err == nil && rep.Left+rep.Lost > 0 {
			err = fmt.Errorf("%+v", rep)
		}
		return err
	})
}

// TestRepairGoesOn: what a repair did before it was stopped is not done again, and the most
// endangered stripes are first.
func TestRepairGoesOn(t *testing.T) {
	s := newStill(t, InitOptions{}, func(c *Cluster, m *memDisks) map[string][]byte {
		want := map[string][]byte{"large": randomBytes(100<<20, 1)}
		put(t, c, "large", want["large"])
		return want
	})
	c, m := s.open(t)
	_, layout, err := c.catalog.lookup(ctx, "bucket", "large")
	if err != nil {
		t.Fatal(err)
	}
	worst := layout[0].Stripe + uint64(layout[0].Count) - 3
	c = loseDisk(t, c, m, 2)
	st, err := c.catalog.stripeByID(ctx, worst)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(st.Places, func(p place) bool { return p.Disk != 2 })
	if err := m.open[int32(st.Places[i].Disk)].Corrupt(st.Places[i].Address, 3, rand.New(rand.NewPCG(1, 1))); err != nil {
		t.Fatal(err)
	}
	c.damaged(st, i, disks.ErrCorrupt)
	stop, cancel := context.WithCancel(ctx)
	first, err := c.RepairWith(stop, RepairOptions{Progress: func(done, total int64) {
		if 2*done > total {
			cancel()
		}
	}})
	if err == nil || first.Stripes < repairGroup/3 {
		t.Fatalf("%+v, %v", first, err)
	}
	if st, err = c.catalog.stripeByID(ctx, worst); err != nil || c.survives(st, c.readable) < 2 {
		t.Errorf("the stripe that lacked two shards was not among the first, %v", err)
	}
	rest, err := c.Repair(ctx, nil)
	if err != nil || rest.Left+rest.Lost > 0 || rest.Shards == 0 {
		t.Fatalf("%+v, %v", rest, err)
	}
	if total := first.Shards + rest.Shards; total < 100 || total > 200 {
		t.Errorf("%d and then %d shards were made anew, of about 134", first.Shards, rest.Shards)
	}
	whole(t, c)
	if err := s.check(c); err != nil {
		t.Fatal(err)
	}
}

// TestReturnedDisk: a disk that was away is read when it is back; what is sound on it is used
// again, and what rotted meanwhile is made anew.
func TestReturnedDisk(t *testing.T) {
	s := newStill(t, InitOptions{}, func(c *Cluster, m *memDisks) map[string][]byte { return mixed(t, c) })
	c, m := s.open(t)
	rotten := someStripe(t, c, "k7")
	away := rotten.Places[0]
	if err := m.open[int32(away.Disk)].Corrupt(away.Address, 3, rand.New(rand.NewPCG(1, 1))); err != nil {
		t.Fatal(err)
	}
	m.set(int32(away.Disk), disks.Fault{Lost: true})
	c = reopenMem(t, c)
	s.want["new"] = randomBytes(400_000, 7)
	put(t, c, "new", s.want["new"])
	if err := c.Delete(ctx, "bucket", "k6"); err != nil {
		t.Fatal(err)
	}
	delete(s.want, "k6")
	m.set(int32(away.Disk), disks.Fault{})
	c = reopenMem(t, c)
	held := 0
	if err := c.catalog.stripes(ctx, func(st *stripe, freed bool) error {
		for _, p := range st.Places {
			if !freed && p.Disk == away.Disk {
				held++
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	rep, err := c.Repair(ctx, nil)
	if err != nil || rep.Left+rep.Lost > 0 {
		t.Fatalf("%+v, %v", rep, err)
	}
	if !slices.Equal(rep.Checked, []string{c.name(away.Disk)}) || rep.Kept < int64(held-1) || rep.Shards != 1 {
		t.Errorf("%+v; the disk held %d shards, one of them rotten", rep, held)
	}
	whole(t, c)
	if again, err := c.Repair(ctx, nil); err != nil || again.Checked != nil || again.Shards > 0 {
		t.Errorf("again: %+v, %v", again, err)
	}
	if err := s.check(c); err != nil {
		t.Fatal(err)
	}
}

// TestMisplaced: with a site gone for good shards may be put outside the rule, by wish, and
// status counts their stripes.
func TestMisplaced(t *testing.T) {
	s := newStill(t, InitOptions{Map: DefaultMap(3, 1, 4, 1, 1e9), Scheme: scheme(t, "rs:4+2"), Margin: -1}, func(c *Cluster, m *memDisks) map[string][]byte { return mixed(t, c) })
	c, m := s.open(t)
	for _, id := range c.diskIDs() {
		if c.byID[id].site == "site2" {
			m.set(int32(id), disks.Fault{Lost: true})
		}
	}
	c = reopenMem(t, c)
	rep, err := c.Repair(ctx, nil)
	if err != nil || rep.Left == 0 || rep.Misplaced > 0 {
		t.Fatalf("within the rule: %+v, %v", rep, err)
	}
	rep, err = c.RepairWith(ctx, RepairOptions{AllowMisplaced: true})
	if err != nil || rep.Left+rep.Lost > 0 || rep.Misplaced != rep.Shards {
		t.Fatalf("outside the rule: %+v, %v", rep, err)
	}
	st, err := c.Status(ctx)
	if err != nil || st.Stripes.Degraded > 0 || st.Stripes.Misplaced == 0 {
		t.Errorf("%+v, %v", st.Stripes, err)
	}
	if err := s.check(c); err != nil {
		t.Fatal(err)
	}
	for _, id := range c.diskIDs() { // the site comes back after all
		m.set(int32(id), disks.Fault{})
	}
	c = reopenMem(t, c)
	rep, err = c.Repair(ctx, nil)
	if err != nil || rep.Cured == 0 {
		t.Fatalf("with the site back: %+v, %v", rep, err)
	}
	if st, err = c.Status(ctx); err != nil || st.Stripes.Misplaced+st.Stripes.Degraded > 0 {
		t.Errorf("cured: %+v, %v", st.Stripes, err)
	}
	if err := s.check(c); err != nil {
		t.Fatal(err)
	}
}

// TestRepairReadsTheGroup: a lost shard of an LRC is made from its local group alone.
func TestRepairReadsTheGroup(t *testing.T) {
	s := newStill(t, InitOptions{Map: DefaultMap(1, 1, 12, 1, 1e9), Scheme: scheme(t, "lrc:6+2+2")}, func(c *Cluster, m *memDisks) map[string][]byte {
		put(t, c, "large", randomBytes(6*256<<10*4, 1)) // four whole stripes
		return nil
	})
	c, m := s.open(t)
	lost := someStripe(t, c, "large").Places[0].Disk
	c = loseDisk(t, c, m, lost)
	rep, err := c.Repair(ctx, nil)
	if err != nil || rep.Left+rep.Lost > 0 || rep.Shards == 0 {
		t.Fatalf("%+v, %v", rep, err)
	}
	if perShard := rep.BytesRead / rep.Shards; perShard > 6*256<<10 || rep.BytesRead > 6*256<<10*rep.Shards-3*256<<10 {
		t.Errorf("%d bytes were read for each of %d shards of 256 KiB; a group has three others", perShard, rep.Shards)
	}
}

// TestDisksBegunAnew: disks are replaced by empty ones, which give the same addresses again,
// to other shards or to the same. Nothing is taken for another, and nothing made anew is
// given back.
func TestDisksBegunAnew(t *testing.T) {
	t.Parallel()
	s := newStill(t, InitOptions{}, func(c *Cluster, m *memDisks) map[string][]byte {
		want := map[string][]byte{}
		for i := range 12 { // journals and shards of equal sizes, so that addresses agree in all
			key := fmt.Sprint("k", i)
			want[key] = randomBytes(600, uint64(i))
			put(t, c, key, want[key])
			if err := c.MakeBucket(ctx, fmt.Sprintf("bucket-%02d", i)); err != nil {
				t.Fatal(err)
			}
		}
		return want
	})
	c, m := s.open(t)
	for round := range 2 {
		for _, id := range c.diskIDs() {
			c = loseDisk(t, c, m, id)
			rep, err := c.Repair(ctx, nil)
			if err != nil || rep.Left+rep.Lost > 0 {
				t.Fatalf("round %d, disk %d: %+v, %v", round, id, rep, err)
			}
			if f := fsckOf(t, c, FsckOptions{Deep: true}); f.Err() != nil || f.Missing+f.Corrupt+f.Degraded > 0 {
				t.Fatalf("round %d, disk %d: %+v after %+v", round, id, f, rep)
			}
			if again, err := c.Repair(ctx, nil); err != nil || again.Shards > 0 {
				t.Fatalf("round %d, disk %d: the next repair made %d shards anew, %v", round, id, again.Shards, err)
			}
		}
	}
	if err := s.check(c); err != nil {
		t.Fatal(err)
	}
	c = s.recovered(t, c, m)
	if err := s.check(c); err != nil {
		t.Fatal(err)
	}
}

// TestJournalBesideFreedData: the journal of a stripe is had from a shard whose data is gone.
func TestJournalBesideFreedData(t *testing.T) {
	t.Parallel()
	c, _ := newCluster(t, InitOptions{})
	put(t, c, "k", randomBytes(10_000, 1))
	s, _ := firstStripe(t, c)
	var all []int
	for i, p := range s.Places {
		if s.carries(i) {
			all = append(all, i)
			if err := c.disk(p.Disk).Free(ctx, []disks.Address{p.Address}, true); err != nil {
				t.Fatal(err)
			}
		}
	}
	if j, _, err := c.journal(ctx, s, all); err != nil || len(j) != int(s.Journal) {
		t.Errorf("a journal of %d bytes, not %d: %v", len(j), s.Journal, err)
	}
}

// TestDamageOutlivesFreeing: what is known to be bad of a journal stays known when its stripe's
// data is freed, and is made anew.
func TestDamageOutlivesFreeing(t *testing.T) {
	t.Parallel()
	c, m := newMemCluster(t, InitOptions{Map: DefaultMap(1, 1, 6, 1, 1e12), Scheme: scheme(t, "rs:2+2")}, 0)
	put(t, c, "k", randomBytes(10_000, 1))
	s, _ := firstStripe(t, c)
	i := len(s.Places) - 1
	rotJournal(t, c, m, s, i)
	c.damaged(s, i, disks.ErrCorrupt)
	c.damaged(s, 1, disks.ErrCorrupt) // without a journal: it goes with the data
	if err := c.absorbDamage(); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(ctx, "bucket", "k"); err != nil {
		t.Fatal(err)
	}
	c.reapNow()
	bad, err := c.catalog.damage(ctx)
	if err != nil || !slices.Equal(bad[s.ID], []int{i}) {
		t.Fatalf("known to be bad: %v, %v", bad, err)
	}
	rep, err := c.Repair(ctx, nil)
	if err != nil || rep.Shards != 1 || rep.Left != 0 {
		t.Fatalf("%+v, %v", rep, err)
	}
	s, freed, err := c.catalog.standing(ctx, s.ID)
	if err != nil || !freed {
		t.Fatalf("freed %v: %v", freed, err)
	}
	if _, j, err := c.journalOf(ctx, s, i); err != nil || len(j) != int(s.Journal) {
		t.Errorf("a journal of %d bytes, not %d: %v", len(j), s.Journal, err)
	}
	if bad, err = c.catalog.damage(ctx); err != nil || len(bad) > 0 {
		t.Errorf("still known to be bad: %v, %v", bad, err)
	}
}

// TestRepairOutrun: what was made anew of a stripe that is freed meanwhile cannot be recorded, and
// repair looks again.
func TestRepairOutrun(t *testing.T) {
	c, _ := newCluster(t, InitOptions{Scheme: scheme(t, "rs:4+3")})
	put(t, c, "k", randomBytes(200_000, 1))
	s, _ := firstStripe(t, c)
	r := &repair{c: c}
	for _, deleted := range []bool{false, true} {
		m, err := c.copyShard(ctx, s, false, 0, spare(t, c, s, 0), disks.AppendOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if deleted {
			if err := c.Delete(ctx, "bucket", "k"); err != nil {
				t.Fatal(err)
			}
			c.reapNow()
		}
		r.moves = []move{m}
		if err := r.recordAll(ctx); err != nil || r.outrun != deleted {
			t.Errorf("deleted %v: outrun %v, %v", deleted, r.outrun, err)
		}
		if !deleted {
			s, _ = firstStripe(t, c)
		}
	}
}
