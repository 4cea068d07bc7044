package cluster

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/wattle-storage/wattle/disks"
)

// TestRecoverFromBackup: a copy of the catalog and the journals above it give the newest state,
// and the disks alone still do after that; without the journals a copy gives its own.
func TestRecoverFromBackup(t *testing.T) {
	c, dir := newCluster(t, InitOptions{})
	old := randomBytes(50_000, 1)
	put(t, c, "kept", old)
	put(t, c, "over", old)
	put(t, c, "gone", old)
	if _, err := c.Compact(ctx, CompactOptions{Checkpoint: true}); err != nil {
		t.Fatal(err)
	}
	put(t, c, "between", old)
	rep, err := c.Backup(ctx, filepath.Join(t.TempDir(), "b"), 0)
	if err != nil || !rep.Verified || rep.Objects != 4 {
		t.Fatalf("%+v, %v", rep, err)
	}
	if last, ok, err := LastBackup(dir); err != nil || !ok || last.Path != rep.Path {
		t.Errorf("last: %+v, %v, %v", last, ok, err)
	}
	fresh := randomBytes(60_000, 2)
	put(t, c, "over", fresh)
	put(t, c, "new", fresh)
	if err := c.Delete(ctx, "bucket", "gone"); err != nil {
		t.Fatal(err)
	}
	want := &still{want: map[string][]byte{"kept": old, "between": old, "over": fresh, "new": fresh}}
	c.Close()
	for i, from := range []string{rep.Path, ""} {
		removeCatalog(filepath.Join(dir, "catalog.db"))
		got, err := Recover(ctx, dir, Options{From: from}, nil)
		if err != nil || from != "" && got.Checkpoint != rep.Batch {
			t.Fatalf("%d: %+v, %v", i, got, err)
		}
		c = open(t, dir, Options{})
		if err := want.check(c); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		if s, err := c.Scrub(ctx, ScrubOptions{Restart: true}); err != nil || s.Corrupt+s.Missing > 0 { // it must not take what recovery needs
			t.Fatalf("%d: %+v, %v", i, s, err)
		}
		c = reopen(t, c, Options{})
		if _, err := c.Repair(ctx, nil); err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	removeCatalog(filepath.Join(dir, "catalog.db"))
	other, _ := newCluster(t, InitOptions{})
	wrong, err := other.Backup(ctx, t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Recover(ctx, dir, Options{From: wrong.Path}, nil); err == nil {
		t.Error("began from another cluster's catalog")
	}
	asOf, _, err := OpenDisks(ctx, []string{filepath.Join(dir, "sites")}, t.TempDir(), rep.Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer asOf.Close()
	if o, err := asOf.Stat(ctx, "bucket", "gone"); err != nil || o.Size != int64(len(old)) {
		t.Errorf("as of the copy: %+v, %v", o, err)
	}
	wantBytes(t, asOf, "kept", old)
	now, _, err := OpenDisks(ctx, []string{filepath.Join(dir, "sites", "site1"), filepath.Join(dir, "sites", "site2")}, t.TempDir(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer now.Close()
	if err := want.check(now); err != nil {
		t.Fatal(err)
	}
	if _, err := now.Put(ctx, "bucket", "x", bytes.NewReader(old), PutOptions{}); err == nil {
		t.Error("disks that were opened for reading took a put")
	}
	if _, err := os.Stat(filepath.Join(dir, "catalog.db")); err == nil {
		t.Error("a catalog appeared in the cluster")
	}
}

// TestRecoverCrash: recovery that is cut at any call leaves what another one needs.
func TestRecoverCrash(t *testing.T) {
	t.Parallel()
	s := newStill(t, InitOptions{}, func(c *Cluster, m *memDisks) map[string][]byte {
		want := thinned(t, c)
		if _, err := c.Compact(ctx, CompactOptions{Checkpoint: true}); err != nil {
			t.Fatal(err)
		}
		put(t, c, "later", randomBytes(500, 5))
		want["later"] = randomBytes(500, 5)
		return want
	})
	for n := 1; ; n += 3 {
		c, m := s.open(t)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if n%2 == 0 {
			removeCatalog(filepath.Join(c.dir, "catalog.db"))
		}
		m.power.set(n)
		_, err := Recover(ctx, c.dir, Options{Open: m}, nil)
		if !m.power.wentOff() {
			if err != nil {
				t.Fatal(err)
			}
			return
		}
		rng := rand.New(rand.NewPCG(uint64(n), 1))
		for i := range int32(len(m.fs)) {
			m.fs[i].Crash(rng)
		}
		m.power.set(-1)
		if rep, err := Recover(ctx, c.dir, Options{Open: m}, nil); err != nil || len(rep.Unreadable) > 0 {
			t.Fatalf("power off at call %d: %+v, %v", n, rep, err)
		}
		c = openMem(t, c.dir, m)
		if err := s.check(c); err != nil {
			t.Fatalf("power off at call %d: %v", n, err)
		}
		c.Close()
	}
}

// TestRecoverRefuses: with more disks away than the scheme stands recovery does not make a
// catalog that lacks what was acknowledged: repair would take the rest for orphans.
func TestRecoverRefuses(t *testing.T) {
	s := newStill(t, InitOptions{Scheme: scheme(t, "rs:2+1")}, func(c *Cluster, m *memDisks) map[string][]byte { return thinned(t, c) })
	refused := false
	for away := range 6 {
		c, m := s.open(t)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		for i := range away {
			m.set(int32(i), disks.Fault{Lost: true})
		}
		removeCatalog(filepath.Join(c.dir, "catalog.db"))
		rep, err := Recover(ctx, c.dir, Options{Open: m}, nil)
		switch {
		case errors.Is(err, ErrIncomplete):
			refused = true
			if _, err := os.Stat(filepath.Join(c.dir, "catalog.db")); err == nil {
				t.Errorf("%d disks away: refused, and a catalog is there", away)
			}
		case err != nil:
			t.Fatalf("%d disks away: %v", away, err)
		case away <= 1 && (len(rep.Unreadable) > 0 || int(rep.Objects) != len(s.want)):
			t.Errorf("%d disks away: %+v", away, rep)
		case int(rep.Objects) != len(s.want):
			t.Errorf("%d disks away: %d objects of %d, and nothing was said", away, rep.Objects, len(s.want))
		}
		if refused {
			if _, err := Recover(ctx, c.dir, Options{Open: m, Force: true}, nil); err != nil {
				t.Errorf("%d disks away, forced: %v", away, err)
			}
		}
	}
	if !refused {
		t.Error("never refused")
	}
}
