package cluster

import (
	"context"
	"maps"
	"slices"
	"testing"

	"github.com/wattle-storage/wattle/disks"
)

// A mutant is a bug put into the world of a simulation, to see that it is found.
type mutant struct {
	name     string
	shard    func(*disks.Shard)                                       // changes what is appended
	sync     func(d *simDisk, sync func() error) error                // in place of a sync
	read     func(d *simDisk, r disks.Ref, off int, dst []byte) error // in place of a verified read
	kept     bool                                                     // disks say that all was kept
	change   func(s *simulation, change func() error) error           // in place of a change of the catalog
	opened   func(s *simulation)                                      // after the cluster was opened
	acked    func(s *simulation)                                      // after a change was acknowledged
	reading  func(s *simulation)                                      // after a reader was opened
	catalog  func(s *simulation)                                      // after an old catalog was put back
	mostSeed int                                                      // within how many seeds it must be found
}

func every(n int) func() bool {
	i := 0
	return func() bool { i++; return i%n == 0 }
}

// mutants makes them anew, since some count.
func mutants() []*mutant {
	fifth, seventh, ninth := every(5), every(7), every(9)
	late := map[*simDisk]func() error{}
	return []*mutant{
		{name: "skips a sync", mostSeed: 20, sync: func(_ *simDisk, sync func() error) error {
			if fifth() {
				return nil
			}
			return sync()
		}},
		{name: "commits before the sync", mostSeed: 20, sync: func(d *simDisk, sync func() error) error {
			before := late[d]
			late[d] = sync
			if before == nil {
				return nil
			}
			return before()
		}},
		{name: "syncs again after a sync that failed", mostSeed: 120, kept: true, sync: func(_ *simDisk, sync func() error) error {
			if err := sync(); err == nil {
				return nil
			}
			return sync()
		}},
		{name: "stores two parity shards in the wrong order", mostSeed: 5, shard: func(s *disks.Shard) {
			if i := s.Index - s.K; s.Index >= s.K && i < 2 {
				s.Index = s.K + 1 - i
			}
		}},
		{name: "keeps the journal on one disk", mostSeed: 5, shard: func(s *disks.Shard) {
			if s.Index > s.K {
				s.Journal = nil
			}
		}},
		{name: "does not check sums", mostSeed: 40, read: func(d *simDisk, r disks.Ref, off int, dst []byte) error {
			return d.inner.ReadRaw(ctx, r, off, dst)
		}},
		{name: "checks sums without a seed", mostSeed: 20, read: func(d *simDisk, r disks.Ref, off int, dst []byte) error {
			if ninth() { // the head came down elsewhere, and what lies there has a sum that fits
				r.Stripe, r.Address = d.misplaced(r)
			}
			return d.inner.Read(ctx, r, off, dst)
		}},
		{name: "acknowledges what it did not commit", mostSeed: 5, change: func(_ *simulation, change func() error) error {
			if seventh() {
				return nil
			}
			return change()
		}},
		{name: "keeps a stale address after a move", mostSeed: 20, change: (*simulation).forgetMoves},
		{name: "remembers what a change replaced", mostSeed: 20, change: func(s *simulation, change func() error) error {
			if s.c == nil {
				return change()
			}
			m := s.c.catalog.memo
			m.mu.Lock()
			objects := maps.Clone(m.objects.newer)
			m.mu.Unlock()
			err := change()
			m.mu.Lock()
			if objects != nil {
				maps.Copy(objects, m.objects.newer)
				m.objects.newer = objects
			}
			m.mu.Unlock()
			return err
		}},
		{name: "punches a dead extent out of a live stripe", mostSeed: 20, acked: (*simulation).punchDead},
		{name: "frees under a reader", mostSeed: 60, reading: func(s *simulation) {
			s.c.mu.Lock()
			clear(s.c.pins)
			s.c.mu.Unlock()
		}},
		{name: "uses sequences again", mostSeed: 400, opened: func(s *simulation) { s.c.sequence.Store(s.c.committed.Load()) }},
		{name: "sweeps with an old catalog", mostSeed: 60, catalog: (*simulation).disguise},
	}
}

// misplaced returns another shard of the disk that is as long, or the same.
func (d *simDisk) misplaced(r disks.Ref) (uint64, disks.Address) {
	stripe, at := r.Stripe, r.Address
	d.inner.Scan(ctx, func(e disks.Entry) error { //nolint:errcheck // then there is none
		if e.Stripe != r.Stripe && e.Index == r.Index && e.Size == r.Size && e.K == r.K {
			stripe, at = e.Stripe, e.Address
		}
		return nil
	})
	return stripe, at
}

// doing tells whether one of the operations is under way.
func (s *simulation) doing(names ...string) bool {
	s.opsMu.Lock()
	defer s.opsMu.Unlock()
	return slices.ContainsFunc(s.ops, func(o *op) bool { return slices.Contains(names, o.name) })
}

// forgetMoves makes a change and then sets the places of shards that moved back.
func (s *simulation) forgetMoves(change func() error) error {
	if s.c == nil || !s.doing("repair", "compact") {
		return change()
	}
	before := map[uint64]*stripe{}
	look := func(yield func(*stripe)) error {
		return s.c.catalog.stripes(ctx, func(st *stripe, _ bool) error { yield(st); return nil })
	}
	if err := look(func(st *stripe) { before[st.ID] = st }); err != nil {
		return err
	}
	if err := change(); err != nil {
		return err
	}
	var moved []*stripe
	if err := look(func(st *stripe) {
		if old := before[st.ID]; old != nil && !slices.Equal(old.Places, st.Places) {
			moved = append(moved, old)
		}
	}); err != nil {
		return err
	}
	return s.c.catalog.change(context.Background(), func(t *tx) error {
		for _, st := range moved {
			if err := t.exec(`UPDATE stripes SET info = ? WHERE id = ?`, st.appendInfo(nil), int64(st.ID)); err != nil {
				return err
			}
		}
		return nil
	})
}

// punchDead frees a data shard of a stripe of which a part is dead.
func (s *simulation) punchDead() {
	var found *place
	s.c.catalog.stripes(ctx, func(st *stripe, _ bool) error { //nolint:errcheck // then there is none
		total := int64(0)
		for _, n := range st.Columns {
			total += int64(n)
		}
		if i := st.first(); found == nil && st.Refs > 0 && st.Live < total && st.Places[i].Disk != none {
			found = &st.Places[i]
		}
		return nil
	})
	if found == nil {
		return
	}
	if d, ok := s.c.disk(found.Disk).(*simDisk); ok {
		d.inner.Free(ctx, []disks.Address{found.Address}, false) //nolint:errcheck // then it stays
	}
}

// disguise has the old catalog say that it is as new as the disks.
func (s *simulation) disguise() {
	cat, err := openCatalog(s.catalogFiles()[0], forWriting)
	if err == nil {
		err = cat.update(ctx, func(t *tx) error {
			for _, k := range []string{"incarnation", "sequence", "reserved"} {
				if err := t.setNumber(k, 1<<20); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err == nil {
		err = cat.close()
	}
	if err != nil {
		s.fail("disguise: %v", err)
	}
}

// TestMutants: each of these bugs is found within a bounded number of seeds.
func TestMutants(t *testing.T) {
	for _, m := range mutants() {
		t.Run(m.name, func(t *testing.T) {
			if m.mostSeed > 20 && !*simAll {
				t.Skip("takes a while; make mutants")
			}
			for seed := range uint64(m.mostSeed) {
				r := trial{seed: 1 + seed, plan: drawPlan(1+seed, 150), shape: -1, mutant: m}
				if n, _, f := simulate(t, r); f != nil {
					t.Logf("found by seed %d after %d steps: %.150v", r.seed, n.Steps, f.err)
					return
				}
			}
			t.Errorf("not found by %d seeds", m.mostSeed)
		})
	}
}
