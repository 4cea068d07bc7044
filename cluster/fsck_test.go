package cluster

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/wattle-storage/wattle/disks"
)

func fsckOf(t testing.TB, c *Cluster, o FsckOptions) FsckReport {
	t.Helper()
	rep, err := c.Fsck(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// TestFsckSound: after all kinds of work a cluster is sound, and a look changes nothing.
func TestFsckSound(t *testing.T) {
	s := newStill(t, InitOptions{}, func(c *Cluster, m *memDisks) map[string][]byte { return thinned(t, c) })
	c, _ := s.open(t)
	if err := c.Set(ctx, "bucket", SettingVersioning, VersioningEnabled); err != nil {
		t.Fatal(err)
	}
	put(t, c, "lone0", randomBytes(5000, 9))
	for _, step := range []func() error{
		func() error { return nil },
		func() error { _, err := c.Compact(ctx, CompactOptions{Checkpoint: true}); return err },
		func() error { return c.Delete(ctx, "bucket", "lone1") },
		func() error { _, err := c.Repair(ctx, nil); return err },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
		for _, deep := range []bool{false, true} {
			if rep := fsckOf(t, c, FsckOptions{Deep: deep}); rep.Err() != nil || rep.Missing+rep.Corrupt+rep.Degraded > 0 || rep.Shards == 0 {
				t.Errorf("deep %v: %+v", deep, rep)
			}
		}
	}
}

// TestFsckFinds: what is bent in the catalog or on the disks is found, one by one.
func TestFsckFinds(t *testing.T) {
	s := newStill(t, InitOptions{}, func(c *Cluster, m *memDisks) map[string][]byte { return thinned(t, c) })
	bend := func(q string, args ...any) func(c *Cluster, m *memDisks) error {
		return func(c *Cluster, m *memDisks) error {
			return c.catalog.update(ctx, func(t *tx) error { return t.exec(q, args...) })
		}
	}
	for name, fault := range map[string]func(c *Cluster, m *memDisks) error{
		"refs":   bend(`UPDATE stripes SET refs = refs + 1 WHERE refs > 0 AND id = (SELECT max(id) FROM stripes WHERE refs > 0)`),
		"live":   bend(`UPDATE stripes SET live = live - 1 WHERE id = (SELECT max(id) FROM stripes WHERE refs > 0)`),
		"stripe": bend(`DELETE FROM stripes WHERE id = (SELECT max(id) FROM stripes WHERE refs > 0)`),
		"size":   bend(`UPDATE objects SET size = size + 1 WHERE key = 'lone2'`),
		"bucket": bend(`UPDATE objects SET bucket = 99 WHERE key = 'lone2'`),
		"latest": bend(`UPDATE objects SET latest = 0 WHERE key = 'lone2'`),
		"layout": bend(`UPDATE objects SET layout = x'05' WHERE key = 'lone2'`),
		"share":  bend(`UPDATE shared SET refs = 7`),
		"shared": bend(`DELETE FROM shared`),
		"object": bend(`DELETE FROM objects WHERE key = 'lone2'`),
	} {
		c, m := s.open(t)
		if err := fault(c, m); err != nil {
			t.Fatal(err)
		}
		if rep := fsckOf(t, c, FsckOptions{}); !errors.Is(rep.Err(), ErrInconsistent) || len(rep.Findings) == 0 {
			t.Errorf("%s: %+v", name, rep)
		}
		c.Close()
	}
	c, m := s.open(t)
	st := someStripe(t, c, "large")
	if err := m.open[int32(st.Places[0].Disk)].Corrupt(st.Places[0].Address, 1, rand.New(rand.NewPCG(1, 1))); err != nil {
		t.Fatal(err)
	}
	if rep := fsckOf(t, c, FsckOptions{}); rep.Corrupt+rep.Degraded > 0 {
		t.Errorf("headers alone: %+v", rep)
	}
	if rep := fsckOf(t, c, FsckOptions{Deep: true}); rep.Corrupt != 1 || rep.Degraded != 1 || rep.Err() != nil {
		t.Errorf("one corrupt: %+v", rep)
	}
	for _, p := range st.Places[1:] {
		if p.Disk != none {
			if err := c.disk(p.Disk).Free(ctx, []disks.Address{p.Address}, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	rep := fsckOf(t, c, FsckOptions{})
	if rep.Lost != 1 || !errors.Is(rep.Err(), ErrDataLost) || len(rep.LostKeys) != 1 || rep.LostKeys[0] != "bucket/large" {
		t.Errorf("lost: %+v", rep)
	}
}
