package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-cmp/cmp"

	"github.com/wattle-storage/wattle/placement"
)

// audit holds every place that the catalog names against what lies there, without asking the
// gate. A shard may be missing where no place was recorded, and bad only on a tainted disk.
// When all is healed nothing may be missing, no shard be tainted, parity fit the data, and
// every stripe lie within the rule.
func (s *simulation) audit(healed bool) error {
	return s.c.catalog.stripes(ctx, func(st *stripe, freed bool) error {
		if st.Refs == 0 && !s.c.needed(st) {
			return nil
		}
		shards := make([][]byte, len(st.Places))
		for i := range st.Places {
			if !st.needs(i, freed) {
				continue
			}
			p, err := s.auditShard(st, freed, i, healed)
			if err != nil {
				return fmt.Errorf("stripe %x of batch %d (%d refs, freed %v, journal of %d), shard %d at %+v: %w", st.ID, st.Seq, st.Refs, freed, st.Journal, i, st.Places[i], err)
			}
			shards[i] = p
		}
		if !healed || freed || st.Refs == 0 {
			return nil
		}
		return s.auditStripe(st, shards)
	})
}

func (s *simulation) auditShard(st *stripe, freed bool, i int, healed bool) ([]byte, error) {
	at := st.Places[i]
	if at.Disk == none {
		if healed {
			return nil, errors.New("it is nowhere")
		}
		return nil, nil
	}
	if s.tainted[int32(at.Disk)] && !healed {
		return nil, nil
	}
	d, ok := s.c.disk(at.Disk).(*simDisk)
	if !ok {
		if healed {
			return nil, errors.New("its disk is away")
		}
		return nil, nil
	}
	h, journal, err := d.inner.ReadJournal(ctx, at.Address)
	if err != nil && h.Stripe == st.ID && !s.c.needed(st) {
		err = nil // its journal is of no use any more
	}
	if err == nil && (h.Stripe != st.ID || int(h.Index) != i) {
		err = fmt.Errorf("stripe %x, shard %d lies there", h.Stripe, h.Index)
	}
	if err == nil && st.carries(i) && s.c.needed(st) && (len(journal) != int(st.Journal) || h.Sequence != st.Seq) {
		err = fmt.Errorf("a journal of %d bytes of batch %d rides in it", len(journal), h.Sequence)
	}
	if err != nil || freed || st.Refs == 0 || st.size(i) == 0 { // data that nobody uses may be freed at any time
		return nil, err
	}
	p := make([]byte, st.size(i))
	return p, d.inner.Read(ctx, st.ref(i), 0, p)
}

// auditStripe holds a whole stripe against its code and the rule.
func (s *simulation) auditStripe(st *stripe, shards [][]byte) error {
	again := make([][]byte, len(shards))
	for i := range shards {
		again[i] = make([]byte, st.size(i))
		if i < len(st.Columns) {
			copy(again[i], shards[i])
		}
	}
	if err := s.c.code(st.Scheme).Encode(again); err != nil {
		return err
	}
	for i := range shards {
		if !bytes.Equal(again[i], shards[i]) && st.size(i) > 0 {
			return fmt.Errorf("stripe %x of batch %d: shard %d does not fit the others", st.ID, st.Seq, i)
		}
	}
	row := st.row()
	for i, d := range row {
		if d == none {
			continue
		}
		rest := slices.Clone(row)
		rest[i] = none
		if !s.c.config.Map.Allowed(s.c.config.Rule, rest, d) {
			return fmt.Errorf("stripe %x of batch %d lies on %v, against the rule %+v", st.ID, st.Seq, row, s.c.config.Rule)
		}
	}
	return nil
}

// A picture is what of the catalog recovery must bring back.
type picture struct {
	Buckets []Bucket
	Objects []Object
	Uses    map[uint64][2]int64 // of stripes: references and live bytes
}

func (s *simulation) picture() (picture, error) {
	p := picture{Uses: map[uint64][2]int64{}}
	var err error
	if p.Buckets, err = s.c.catalog.buckets(ctx); err != nil {
		return p, err
	}
	for _, b := range p.Buckets {
		if err := s.c.catalog.objects(ctx, b.Name, "", false, "", 1<<30, func(o Object) bool {
			p.Objects = append(p.Objects, o)
			return true
		}); err != nil {
			return p, err
		}
	}
	return p, s.c.catalog.stripes(ctx, func(st *stripe, _ bool) error {
		if st.Refs != 0 {
			p.Uses[st.ID] = [2]int64{st.Refs, st.Live}
		}
		return nil
	})
}

func (p picture) diff(q picture) string { return cmp.Diff(p, q) }

// shards is how many shards a stripe may have on a set of disks.
func (s *simulation) shards(set map[int32]bool) int {
	site, rack, host := map[string]int{}, map[string]int{}, map[string]int{}
	bound := func(n, limit int) int {
		if limit > 0 {
			return min(n, limit)
		}
		return n
	}
	for n := range set {
		d := s.byID[placement.DiskID(n)]
		host[d.site+"/"+d.rack+"/"+d.host]++
	}
	for k, n := range host {
		rack[dirOf(k)] += bound(n, s.rule.Host)
	}
	for k, n := range rack {
		site[dirOf(k)] += bound(n, s.rule.Rack)
	}
	total := 0
	for _, n := range site {
		total += bound(n, s.rule.Site)
	}
	return total
}

func dirOf(path string) string {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' {
			return path[:i]
		}
	}
	return ""
}
