package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/wattle-storage/wattle/placement"
)

func capacityOf(n int64) func(string) int64 { return func(string) int64 { return n } }

// settled checks that every shard is where the table wants it, that stripes keep the rule,
// and that all objects read well.
func settled(t *testing.T, c *Cluster, want map[string][]byte) {
	t.Helper()
	st, err := c.Status(ctx)
	if err != nil || st.Stripes.Degraded > 0 || st.PendingRepairs > 0 {
		t.Fatalf("%+v, %d pending, %v", st.Stripes, st.PendingRepairs, err)
	}
	if err := c.catalog.stripes(ctx, func(s *stripe, freed bool) error {
		if freed || s.Refs == 0 {
			return nil
		}
		row := c.table.Disks(c.table.PG(s.ID))
		for i, p := range s.Places {
			if p.Disk != none && !slices.Contains(row, p.Disk) {
				t.Errorf("stripe %x, shard %d is on %s, which the table does not want", s.ID, i, c.name(p.Disk))
			}
			others := s.row()
			others[i] = none
			if p.Disk != none && !c.config.Map.Allowed(c.config.Rule, others, p.Disk) {
				t.Errorf("stripe %x breaks the rule with shard %d", s.ID, i)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for k, p := range want {
		wantBytes(t, c, k, p)
	}
}

func fill(t *testing.T, c *Cluster) map[string][]byte {
	t.Helper()
	want := map[string][]byte{}
	for i := range 60 {
		k := fmt.Sprint("k", i)
		want[k] = randomBytes([]int{0, 900, 40_000, 300_000}[i%4], uint64(i))
		put(t, c, k, want[k])
	}
	for _, k := range []string{"k3", "k7", "k9"} { // their journals stay
		if err := c.Delete(ctx, "bucket", k); err != nil {
			t.Fatal(err)
		}
		delete(want, k)
	}
	return want
}

// TestGrowAndShrink: a site comes and goes, all stays readable, and what moves is what must.
func TestGrowAndShrink(t *testing.T) {
	c, dir := newCluster(t, InitOptions{Scheme: scheme(t, "rs:4+3"), Rule: placement.Rule{Site: 3}})
	want := fill(t, c)
	c.Close()
	rep, err := Add(ctx, dir, Options{}, AddOptions{Kind: "site", Path: "site4", Racks: 2, Disks: 3, Profiles: []string{"air-7w"}, Capacity: capacityOf(1e12)})
	if err != nil || len(rep.Added) != 6 || rep.Epoch != 2 || int64(rep.Moves) < rep.Bound || float64(rep.Moves) > 1.02*float64(rep.Bound) {
		t.Fatalf("%+v, %v", rep, err)
	}
	if _, err := Add(ctx, dir, Options{}, AddOptions{Kind: "site", Path: "site4", Capacity: capacityOf(1)}); !errors.Is(err, ErrExists) {
		t.Errorf("the same site twice: %v", err)
	}
	c = open(t, dir, Options{})
	r, err := c.Rebalance(ctx, RebalanceOptions{})
	if err != nil || r.Shards == 0 || r.Left+r.Lost+r.Held > 0 || r.Bytes > r.Wanted {
		t.Fatalf("%+v, %v", r, err)
	}
	settled(t, c, want)
	if r, err = c.Rebalance(ctx, RebalanceOptions{}); err != nil || r.Shards != 0 {
		t.Errorf("again: %+v, %v", r, err)
	}
	put(t, c, "new", want["k2"])
	want["new"] = want["k2"]
	c.Close()
	if rep, err = Drain(ctx, dir, Options{}, "site4"); err != nil || len(rep.Drained) != 6 {
		t.Fatalf("%+v, %v", rep, err)
	}
	if rep, err = Drop(ctx, dir, Options{}); err != nil || len(rep.Dropped) != 0 {
		t.Fatalf("dropped disks that hold shards: %+v, %v", rep, err)
	}
	c = open(t, dir, Options{})
	if _, err := c.Rebalance(ctx, RebalanceOptions{}); err != nil {
		t.Fatal(err)
	}
	settled(t, c, want)
	c.Close()
	if rep, err = Drop(ctx, dir, Options{}); err != nil || len(rep.Dropped) != 6 || rep.Moves != 0 {
		t.Fatalf("%+v, %v", rep, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "sites", "site4")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory of the site: %v", err)
	}
	c = open(t, dir, Options{})
	settled(t, c, want)
	for id, d := range c.disks {
		if d.Identity().Epoch != c.config.Map.Epoch {
			t.Errorf("disk %s describes epoch %d", c.name(id), d.Identity().Epoch)
		}
	}
}

// TestRecoverChanged: with the catalog gone, the table comes back off the places, so that
// nothing needs to move.
func TestRecoverChanged(t *testing.T) {
	c, dir := newCluster(t, InitOptions{Scheme: scheme(t, "rs:4+3"), Rule: placement.Rule{Site: 3}, PGs: 64})
	want := fill(t, c)
	c.Close()
	if _, err := Add(ctx, dir, Options{}, AddOptions{Kind: "host", Path: "site2/rack1/hostx", Disks: 2, Capacity: capacityOf(1e12)}); err != nil {
		t.Fatal(err)
	}
	c = open(t, dir, Options{})
	if _, err := c.Rebalance(ctx, RebalanceOptions{}); err != nil {
		t.Fatal(err)
	}
	c.Close()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		os.Remove(filepath.Join(dir, "catalog.db"+suffix))
	}
	if rep, err := Recover(ctx, dir, Options{}, nil); err != nil || len(rep.Missing)+len(rep.Unreadable) > 0 {
		t.Fatalf("%+v, %v", rep, err)
	}
	c = open(t, dir, Options{})
	if c.config.Map.Epoch != 2 || len(c.byID) != 20 {
		t.Fatalf("epoch %d, %d disks", c.config.Map.Epoch, len(c.byID))
	}
	r, err := c.Rebalance(ctx, RebalanceOptions{})
	if err != nil || r.Wanted > 400_000 {
		t.Errorf("%d bytes have to move after a recovery, %v", r.Wanted, err)
	}
	settled(t, c, want)
}

// TestReplace: a disk that works is copied, and one that is lost is made anew, both to the new
// disk.
func TestReplace(t *testing.T) {
	for _, lost := range []bool{false, true} {
		c, dir := newCluster(t, InitOptions{Scheme: scheme(t, "rs:4+3")})
		want := fill(t, c)
		c.Close()
		const name = "site2/rack1/host1/disk2"
		if lost {
			if _, err := Fail(dir, name); err != nil {
				t.Fatal(err)
			}
		}
		rep, err := Replace(ctx, dir, Options{}, name, "", 0)
		if err != nil || !slices.Equal(rep.Added, []string{name + "-2"}) || !slices.Equal(rep.Drained, []string{name}) {
			t.Fatalf("%+v, %v", rep, err)
		}
		c = open(t, dir, Options{})
		if lost {
			if r, err := c.Repair(ctx, nil); err != nil || r.Left+r.Lost > 0 {
				t.Fatalf("%+v, %v", r, err)
			}
		}
		if r, err := c.Rebalance(ctx, RebalanceOptions{}); err != nil || r.Left+r.Lost > 0 || (r.Shards == 0) != lost {
			t.Fatalf("lost %v: %+v, %v", lost, r, err)
		}
		settled(t, c, want)
		c.Close()
		if rep, err = Drop(ctx, dir, Options{}); err != nil || !slices.Equal(rep.Dropped, []string{name}) {
			t.Fatalf("%+v, %v", rep, err)
		}
		c = open(t, dir, Options{})
		settled(t, c, want)
	}
}

// TestRefusedChange: what would break the rule is refused and changes nothing.
func TestRefusedChange(t *testing.T) {
	c, dir := newCluster(t, InitOptions{Scheme: scheme(t, "rs:4+3"), Rule: placement.Rule{Site: 3}})
	c.Close()
	if _, err := Drain(ctx, dir, Options{}, "site1"); !errors.Is(err, ErrTooManyFailures) {
		t.Errorf("drain of a site that is needed: %v", err)
	}
	if _, err := Drain(ctx, dir, Options{}, "site9"); !errors.Is(err, ErrUnknownDomain) {
		t.Errorf("drain of nothing: %v", err)
	}
	if _, err := Replace(ctx, dir, Options{}, "site1/rack1", "", 0); !errors.Is(err, ErrUnknownDomain) {
		t.Errorf("replace of a rack: %v", err)
	}
	for _, a := range []AddOptions{{Kind: "rack", Path: "site9/rack1"}, {Kind: "rack", Path: "site1"}, {Kind: "planet", Path: "x"}, {Kind: "host", Path: "site1/rack9/h"}} {
		a.Capacity = capacityOf(1e12)
		if _, err := Add(ctx, dir, Options{}, a); !errors.Is(err, ErrUnknownDomain) {
			t.Errorf("%+v: %v", a, err)
		}
	}
	if _, err := Add(ctx, dir, Options{}, AddOptions{Kind: "disk", Path: "site1/rack1/host1/new", Capacity: capacityOf(0)}); !errors.Is(err, placement.ErrMap) {
		t.Errorf("a disk of 0 bytes: %v", err)
	}
	c = open(t, dir, Options{})
	if c.config.Map.Epoch != 1 || len(c.byID) != 18 {
		t.Errorf("epoch %d, %d disks", c.config.Map.Epoch, len(c.byID))
	}
}

// TestRebalanceBounds: a bound of bytes between sites holds, and later runs go on.
func TestRebalanceBounds(t *testing.T) {
	c, dir := newCluster(t, InitOptions{Scheme: scheme(t, "rs:4+3"), Rule: placement.Rule{Site: 3}})
	want := fill(t, c)
	c.Close()
	if _, err := Add(ctx, dir, Options{}, AddOptions{Kind: "site", Path: "site4", Racks: 2, Disks: 3, Capacity: capacityOf(1e12)}); err != nil {
		t.Fatal(err)
	}
	c = open(t, dir, Options{})
	const most = 300_000
	for runs := 0; ; runs++ {
		r, err := c.Rebalance(ctx, RebalanceOptions{PairBytes: most})
		if err != nil || runs > 100 {
			t.Fatalf("run %d: %+v, %v", runs, r, err)
		}
		for pair, n := range r.Between {
			if n > most {
				t.Fatalf("%s: %d bytes", pair, n)
			}
		}
		if r.Held == 0 {
			if runs == 0 {
				t.Fatal("the bound held nothing back")
			}
			break
		}
	}
	settled(t, c, want)
}

// TestRebalanceBeside: puts, reads and deletes go on while shards move.
func TestRebalanceBeside(t *testing.T) {
	c, dir := newCluster(t, InitOptions{Scheme: scheme(t, "rs:4+3"), Rule: placement.Rule{Site: 3}})
	want := fill(t, c)
	c.Close()
	if _, err := Add(ctx, dir, Options{}, AddOptions{Kind: "site", Path: "site4", Racks: 2, Disks: 3, Capacity: capacityOf(1e12)}); err != nil {
		t.Fatal(err)
	}
	c = open(t, dir, Options{})
	stop, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			for i := 0; stop.Err() == nil; i++ {
				k := fmt.Sprintf("w%d-%d", w, i%5)
				p := randomBytes(50_000, uint64(w*100+i))
				if _, err := c.Put(ctx, "bucket", k, bytes.NewReader(p), PutOptions{}); err != nil {
					t.Errorf("put beside: %v", err)
				}
				if got, _, err := read(c, k, GetOptions{}); err != nil || !bytes.Equal(got, p) {
					t.Errorf("get beside: %d bytes, %v", len(got), err)
				}
				if err := c.Delete(ctx, "bucket", k); err != nil {
					t.Errorf("delete beside: %v", err)
				}
				for _, k := range []string{"k2", "k11"} {
					if got, d, err := read(c, k, GetOptions{}); err != nil || !bytes.Equal(got, want[k]) || d.Shards > 0 {
						t.Errorf("%s while it moves: %d bytes, %+v, %v", k, len(got), d, err)
					}
				}
			}
		})
	}
	for range 3 {
		if r, err := c.Rebalance(ctx, RebalanceOptions{Rate: 200 << 20}); err != nil || r.Lost > 0 {
			t.Errorf("%+v, %v", r, err)
		}
	}
	cancel()
	wg.Wait()
	if r, err := c.Rebalance(ctx, RebalanceOptions{}); err != nil || r.Left > 0 {
		t.Errorf("%+v, %v", r, err)
	}
	settled(t, c, want)
}

// TestRebalanceCrash cuts a rebalance off at many calls; what is there after a crash is whole,
// and the next run ends it.
func TestRebalanceCrash(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, calls := range []int{1, 4, 9, 23, 60, 150} {
		m, dir := newMemDisks(), filepath.Join(t.TempDir(), "c")
		o := InitOptions{Map: DefaultMap(3, 2, 1, 2, 1e12), Scheme: scheme(t, "rs:4+3"), Rule: placement.Rule{Site: 3}, PGs: 64}
		if err := initWith(dir, o, m); err != nil {
			t.Fatal(err)
		}
		c := openMem(t, dir, m)
		if err := c.MakeBucket(ctx, "bucket"); err != nil {
			t.Fatal(err)
		}
		want := fill(t, c)
		c.Close()
		if _, err := Add(ctx, dir, Options{Open: m}, AddOptions{Kind: "site", Path: "site4", Racks: 2, Disks: 2, Capacity: capacityOf(1e12)}); err != nil {
			t.Fatal(err)
		}
		c = openMem(t, dir, m)
		m.power.set(calls)
		_, err := c.Rebalance(ctx, RebalanceOptions{Parallel: 2})
		m.power.set(-1)
		c.Close()
		for n := range int32(len(m.fs)) {
			m.fs[n].Crash(rng)
		}
		c = openMem(t, dir, m)
		for k, p := range want {
			got, d, e := read(c, k, GetOptions{})
			if e != nil || !bytes.Equal(got, p) || d.Shards > 0 {
				t.Fatalf("cut after %d calls (%v): %s: %d bytes, %+v, %v", calls, err, k, len(got), d, e)
			}
		}
		if r, err := c.Rebalance(ctx, RebalanceOptions{}); err != nil || r.Left+r.Lost > 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		settled(t, c, want)
		c.Close()
	}
}

func FuzzDecodeTable(f *testing.F) {
	tab, err := placement.Build(DefaultMap(3, 1, 1, 2, 1e12), 4, placement.Rule{Site: 2}, placement.Options{PGs: 64})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(encodeTable(tab))
	f.Add([]byte{1, 2, 2, 0, 1, 1, 0})
	f.Fuzz(func(t *testing.T, p []byte) {
		tab, err := decodeTable(p)
		if err != nil {
			return
		}
		if again, err := decodeTable(encodeTable(tab)); err != nil || again.Digest() != tab.Digest() {
			t.Errorf("%x does not come back: %v", p, err)
		}
	})
}
