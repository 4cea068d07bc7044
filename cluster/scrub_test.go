package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wattle-storage/wattle/disks"
)

// ill is a cluster with one of each fault that a scrub finds.
func ill(t testing.TB, c *Cluster, m *memDisks) map[string][]byte {
	want := mixed(t, c)
	rng := rand.New(rand.NewPCG(1, 1))
	s := someStripe(t, c, "k6") // rotten
	if err := m.open[int32(s.Places[0].Disk)].Corrupt(s.Places[0].Address, 3, rng); err != nil {
		t.Fatal(err)
	}
	s = someStripe(t, c, "k7") // gone
	if err := c.disk(s.Places[1].Disk).Free(ctx, []disks.Address{s.Places[1].Address}, false); err != nil {
		t.Fatal(err)
	}
	s = someStripe(t, c, "k5") // verifies and is wrong
	p := plant(t, c, s.Places[3], disks.Shard{Header: c.header(s, 3), Data: randomBytes(int(s.size(3)), 5)})
	err := c.catalog.update(ctx, func(x *tx) error {
		_, err := x.move(s.ID, 3, s.Places[3], p)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	h := c.header(s, 2) // of a process that is gone, known to nobody
	h.Stripe, h.Incarnation = 12345, 1
	plant(t, c, s.Places[2], disks.Shard{Header: h, Data: randomBytes(3000, 5)})
	return want
}

func TestScrub(t *testing.T) {
	s := newStill(t, InitOptions{}, func(c *Cluster, m *memDisks) map[string][]byte { return ill(t, c, m) })
	c, _ := s.open(t)
	for _, pass := range []struct {
		o     ScrubOptions
		bad   int64 // of each kind
		fixed bool
	}{{ScrubOptions{NoRepair: true, Parity: -1}, 1, false}, {ScrubOptions{Parity: 1}, 1, true}, {ScrubOptions{Parity: 1}, 0, false}} {
		rep, err := c.Scrub(ctx, pass.o)
		if err != nil || !rep.Complete {
			t.Fatalf("%+v, %v", rep, err)
		}
		parity := int64(0)
		if pass.o.Parity > 0 {
			parity = pass.bad
		}
		if rep.Corrupt != pass.bad || rep.Missing != pass.bad || rep.ParityBad != parity || rep.Inconsistent != 0 || (rep.Orphans > 0) != (pass.bad > 0) {
			t.Errorf("pass %d with %+v found %+v", rep.Pass, pass.o, rep)
		}
		if (rep.Repair != nil) != pass.fixed {
			t.Errorf("pass %d: repair %+v", rep.Pass, rep.Repair)
		}
		if pass.fixed && (rep.Repair.Shards != 3 || rep.Repair.Left+rep.Repair.Lost > 0) {
			t.Errorf("repair: %+v", *rep.Repair)
		}
		if int64(len(rep.Findings)) != 2*pass.bad+parity {
			t.Errorf("findings %q", rep.Findings)
		}
		if err := s.check(c); err != nil {
			t.Fatal(err)
		}
		c = reopenMem(t, c)
	}
}

func reopenMem(t testing.TB, c *Cluster) *Cluster {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return openMem(t, c.dir, c.opener.(*memDisks))
}

// TestScrubGoesOn: a pass that is interrupted goes on, and in the end has read everything once.
func TestScrubGoesOn(t *testing.T) {
	s := newStill(t, InitOptions{}, func(c *Cluster, m *memDisks) map[string][]byte {
		want := mixed(t, c)
		want["large"] = randomBytes(8<<20, 3)
		put(t, c, "large", want["large"])
		return want
	})
	c, _ := s.open(t)
	whole, err := c.Scrub(ctx, ScrubOptions{Parity: 1})
	if err != nil || !whole.Complete {
		t.Fatal(err)
	}
	runs := 0
	for {
		runs++
		stop, cancel := context.WithCancel(ctx)
		left := 3 << 20
		rep, err := c.Scrub(stop, ScrubOptions{Parity: 1, Progress: func(done, total int64) {
			if done > int64(left) {
				cancel()
			}
		}})
		cancel()
		if rep.Complete {
			if err != nil || rep.Pass != 2 {
				t.Fatalf("pass %d: %v", rep.Pass, err)
			}
			if rep.Segments != whole.Segments || rep.Parity != whole.Parity {
				t.Errorf("in %d runs %d segments and %d stripes, at once %d and %d", runs, rep.Segments, rep.Parity, whole.Segments, whole.Parity)
			}
			break
		}
		if !errors.Is(err, context.Canceled) || rep.Stopped == "" {
			t.Fatalf("%+v, %v", rep, err)
		}
		c = reopenMem(t, c)
	}
	if runs < 2 {
		t.Errorf("%d runs", runs)
	}
	if last, ok, err := LastScrub(c.dir); err != nil || !ok || !last.Complete || last.Pass != 2 {
		t.Errorf("last scrub: %+v, %v, %v", last, ok, err)
	}
}

func TestScrubBudget(t *testing.T) {
	s := newStill(t, InitOptions{}, func(c *Cluster, m *memDisks) map[string][]byte {
		put(t, c, "large", randomBytes(30<<20, 3))
		return nil
	})
	c, _ := s.open(t)
	rep, err := c.Scrub(ctx, ScrubOptions{Joules: 1})
	if err != nil || rep.Complete || rep.Stopped == "" || rep.JoulesToday < 1 {
		t.Fatalf("%+v, %v", rep, err)
	}
	rep, err = c.Scrub(ctx, ScrubOptions{})
	if err != nil || !rep.Complete || rep.Joules < 1 || rep.Joules > 24 { // at 5 or 7 W: 60 MB at 200 MB/s, and a seek for each of 249 shards at most
		t.Errorf("%+v, %v", rep, err)
	}
}

func TestScrubCrash(t *testing.T) {
	t.Parallel()
	s := newStill(t, InitOptions{}, func(c *Cluster, m *memDisks) map[string][]byte { return ill(t, c, m) })
	s.crashEverywhere(t, func(c *Cluster) error {
		rep, err := c.Scrub(ctx, ScrubOptions{Parity: 1})
		if err == nil && rep.Repair != nil && rep.Repair.Lost > 0 {
			err = fmt.Errorf("lost: %+v", *rep.Repair)
		}
		return err
	})
}

func TestPace(t *testing.T) {
	p, now := pace{rate: 1000}, time.Unix(1e9, 0)
	total := time.Duration(0)
	for range 50 { // 100 bytes at a time are 0.1 s each
		d := p.delay(now, 100)
		now = now.Add(d)
		total += d
	}
	if total < 4700*time.Millisecond || total > 5*time.Second {
		t.Errorf("5000 bytes at 1000 B/s took %v", total)
	}
	if d := p.delay(now.Add(time.Hour), 1e6); d != 0 {
		t.Errorf("after a pause the next waits %v", d)
	}
	if d := new(pace).delay(now, 1e9); d != 0 {
		t.Errorf("without a rate: %v", d)
	}
}

// TestYield: upkeep goes at an eighth of its pace while requests are served, unless it is urgent.
func TestYield(t *testing.T) {
	took := func(ctx context.Context, busy bool) (d time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			p, start := &pace{rate: 1e6, busy: func() bool { return busy }}, time.Now()
			for range 100 {
				if err := p.wait(ctx, 100_000); err != nil {
					t.Fatal(err)
				}
			}
			d = time.Since(start).Round(time.Second)
		})
		return d
	}
	for _, c := range []struct {
		ctx  context.Context
		busy bool
		want time.Duration
	}{{ctx, false, 10 * time.Second}, {ctx, true, 79 * time.Second}, {urgent(ctx), true, 10 * time.Second}} {
		if got := took(c.ctx, c.busy); got != c.want {
			t.Errorf("busy %v: 10 MB at 1 MB/s took %v, want %v", c.busy, got, c.want)
		}
	}
	c, _ := newMemCluster(t, InitOptions{}, 0)
	put(t, c, "k", randomBytes(100, 1))
	if n := c.serving.Load(); n != 0 {
		t.Errorf("%d requests after a put", n)
	}
	r, err := c.Get(ctx, "bucket", "k", GetOptions{})
	if err != nil || c.serving.Load() != 1 {
		t.Errorf("%d requests during a get, %v", c.serving.Load(), err)
	}
	r.Close()
	if r.Close(); c.serving.Load() != 0 {
		t.Errorf("%d requests after it", c.serving.Load())
	}
}

// TestFlips: bits flip in as many shards of every stripe as the code stands. No read returns a
// wrong byte, a scrub finds every shard that was hit, and repair makes all whole. WATTLE_FLIPS
// sets the number of bits.
func TestFlips(t *testing.T) {
	t.Parallel()
	s := newStill(t, InitOptions{}, func(c *Cluster, m *memDisks) map[string][]byte { return mixed(t, c) })
	c, m := s.open(t)
	flips, rng := 2000, rand.New(rand.NewPCG(5, 6))
	if n, err := strconv.Atoi(os.Getenv("WATTLE_FLIPS")); err == nil {
		flips = n
	}
	flipped, found := 0, int64(0)
	for flipped < flips {
		hit := int64(0)
		err := c.catalog.stripes(ctx, func(st *stripe, freed bool) error {
			if freed || st.Refs == 0 {
				return nil
			}
			for _, i := range rng.Perm(len(st.Places))[:rng.IntN(st.Scheme.M+1)] {
				if st.Places[i].Disk == none || st.size(i) == 0 {
					continue
				}
				bits := 1 + 2*rng.IntN(40) // an odd number cannot undo itself
				if err := m.open[int32(st.Places[i].Disk)].Corrupt(st.Places[i].Address, bits, rng); err != nil {
					return err
				}
				flipped += bits
				hit++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.check(c); err != nil {
			t.Fatalf("after %d flips: %v", flipped, err)
		}
		rep, err := c.Scrub(ctx, ScrubOptions{Parity: -1})
		if err != nil || rep.Corrupt != hit || hit > 0 && (rep.Repair == nil || rep.Repair.Shards != hit || rep.Repair.Left+rep.Repair.Lost > 0) {
			t.Fatalf("%d shards were hit, and found: %+v, %v", hit, rep, err)
		}
		found += rep.Corrupt
	}
	if err := s.check(c); err != nil {
		t.Fatal(err)
	}
	whole(t, c)
	t.Logf("%d bits in %d shards, all found and repaired", flipped, found)
}
