package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/wattle-storage/wattle/disks"
)

// memDir is a directory for the test alone, in memory where the system has such a place: the
// catalog syncs with every batch, and thousands of those are only waiting on a busy disk.
func memDir(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "wattle-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// A still is a closed cluster on disks in memory that can be opened again and again as it was,
// and what its objects hold.
type still struct {
	dir  string
	fs   map[int32]*disks.MemFS
	want map[string][]byte
}

// newStill makes a cluster of six disks, lets fill work with it, and closes it. What fill
// returns is what the objects of the bucket must hold from then on.
func newStill(t testing.TB, o InitOptions, fill func(c *Cluster, m *memDisks) map[string][]byte) *still {
	t.Helper()
	if o.Map == nil {
		o.Map = DefaultMap(3, 1, 2, 1, 1e9)
	}
	if o.Scheme.N() == 0 {
		o.Scheme = scheme(t, "rs:2+2")
	}
	c, m := newMemCluster(t, o, 0)
	want := fill(c, m)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return &still{c.dir, m.fs, want}
}

// open opens a copy.
func (s *still) open(t testing.TB) (*Cluster, *memDisks) {
	t.Helper()
	m, dir := newMemDisks(), filepath.Join(memDir(t), "c")
	for n, f := range s.fs {
		m.fs[n] = f.Clone()
	}
	if err := os.CopyFS(dir, os.DirFS(s.dir)); err != nil {
		t.Fatal(err)
	}
	return openMem(t, dir, m), m
}

func openMem(t testing.TB, dir string, m *memDisks) *Cluster {
	t.Helper()
	c, err := Open(ctx, dir, Options{Open: m})
	if err != nil {
		t.Fatal(err)
	}
	c.catalog.watch = func() error { return m.power.call("commit") }
	t.Cleanup(func() { c.Close() })
	return c
}

// check reads all objects.
func (s *still) check(c *Cluster) error {
	n := 0
	if err := c.Find(ctx, FindOptions{Bucket: "bucket"}, func(Object) error { n++; return nil }); err != nil {
		return err
	}
	if n != len(s.want) {
		return fmt.Errorf("%d objects of %d", n, len(s.want))
	}
	for key, want := range s.want {
		got, _, err := read(c, key, GetOptions{})
		if err != nil || !bytes.Equal(got, want) {
			return fmt.Errorf("%s: %d bytes, %w; want %d", key, len(got), err, len(want))
		}
	}
	return nil
}

// crashEverywhere lets the power go off at every call of the disks and every commit of the
// catalog that op makes, one after another, loses what was not synced, and holds what is read
// then against what must be there: from the catalog, after op went to its end, and with the
// catalog made anew from the disks.
func (s *still) crashEverywhere(t *testing.T, op func(c *Cluster) error) {
	t.Helper()
	calls := 0
	for n := 1; ; n++ {
		c, m := s.open(t)
		m.power.set(n)
		err := op(c)
		if !m.power.wentOff() { // n is past the end
			if err != nil {
				t.Fatalf("without a crash: %v", err)
			}
			c.Close()
			break
		}
		calls++
		c.Close()
		rng := rand.New(rand.NewPCG(uint64(n), 0))
		for i := range int32(len(m.fs)) {
			m.fs[i].Crash(rng)
		}
		m.power.set(-1)
		if n%3 == 0 {
			removeCatalog(filepath.Join(c.dir, "catalog.db"))
			if rep, err := Recover(ctx, c.dir, Options{Open: m}, nil); err != nil || len(rep.Unreadable) > 0 {
				t.Fatalf("power off at call %d: recover: %+v, %v", n, rep, err)
			}
		}
		c = openMem(t, c.dir, m)
		if err := s.check(c); err != nil {
			t.Fatalf("power off at call %d: %v", n, err)
		}
		if err := op(c); err != nil {
			t.Fatalf("power off at call %d: again: %v", n, err)
		}
		if err := s.check(c); err != nil {
			t.Fatalf("power off at call %d and again: %v", n, err)
		}
		if n%4 == 0 {
			c = s.recovered(t, c, m)
			if err := s.check(c); err != nil {
				t.Fatalf("power off at call %d, again, recover: %v", n, err)
			}
		}
		if err := c.Close(); err != nil {
			t.Fatalf("power off at call %d: close: %v", n, err)
		}
	}
	if calls == 0 {
		t.Error("no call was cut")
	}
	t.Logf("%d calls were cut", calls)
}

func (p *power) wentOff() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.off
}

// recovered makes the catalog anew from the disks.
func (s *still) recovered(t testing.TB, c *Cluster, m *memDisks) *Cluster {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	removeCatalog(filepath.Join(c.dir, "catalog.db"))
	rep, err := Recover(ctx, c.dir, Options{Open: m}, nil)
	if err != nil || len(rep.Unreadable) > 0 {
		t.Fatalf("recover: %+v, %v", rep, err)
	}
	return openMem(t, c.dir, m)
}

// mixed fills a bucket with objects of some sizes, and some that are deleted again.
func mixed(t testing.TB, c *Cluster) map[string][]byte {
	want := map[string][]byte{}
	for i, n := range []int{0, 100, 5000, 5000, packLimit, packLimit + 1, 300_000, 700_000} {
		key := fmt.Sprintf("k%d", i)
		p := randomBytes(n, uint64(i))
		put(t, c, key, p)
		put(t, c, key+"-gone", randomBytes(n, 99))
		want[key] = p
	}
	for key := range want {
		if err := c.Delete(ctx, "bucket", key+"-gone"); err != nil {
			t.Fatal(err)
		}
	}
	return want
}

// someStripe returns a stripe of an object.
func someStripe(t testing.TB, c *Cluster, key string) *stripe {
	t.Helper()
	_, layout, err := c.catalog.lookup(ctx, "bucket", key)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.catalog.stripeByID(ctx, layout[0].Stripe)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// plant appends a shard to a disk and syncs it.
func plant(t testing.TB, c *Cluster, to place, s disks.Shard) place {
	t.Helper()
	d := c.disk(to.Disk)
	at, err := d.Append(ctx, []disks.Shard{s}, disks.AppendOptions{})
	if err = errors.Join(err, d.Sync(ctx)); err != nil {
		t.Fatal(err)
	}
	return place{to.Disk, at[0]}
}
