package cluster

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/google/go-cmp/cmp"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/placement"
)

// An auditor knows what audits verified, and the version of the bytes that they read: as long as
// nobody writes to these, what they say stays as it is, and is not read again.
type auditor struct {
	shards  map[place]verified
	fit     map[uint64]uint64 // of stripes whose parity fits: version of all shards
	scratch []byte
}

// verified is what a shard said of itself.
type verified struct {
	version uint64
	header  disks.Header // without columns
	journal int          // bytes, or below 0 when it does not verify
	size    uint32       // of its data that was read and verifies; 0 for none
}

// audit holds every place that the catalog names against what lies there, without asking the
// gate. A shard may be missing where no place was recorded, and bad only on a tainted disk or
// when the catalog knows it, since recovery found no better one.
// When all is healed nothing may be missing, no shard be tainted, parity fit the data, and
// every stripe lie within the rule.
func (s *simulation) audit(healed bool) error {
	return s.auditable(func(st *stripe, freed bool) error {
		whole, sum := healed && !freed && st.Refs > 0, uint64(0)
		for i := range st.Places {
			if !st.needs(i, freed) {
				continue
			}
			version, err := s.auditShard(st, freed, i, healed, !whole)
			if err != nil && !healed && s.knownBad(st, i) {
				continue
			}
			if err != nil {
				return fmt.Errorf("stripe %x of batch %d (%d refs, freed %v, journal of %d), shard %d at %+v: %w", st.ID, st.Seq, st.Refs, freed, st.Journal, i, st.Places[i], err)
			}
			sum = sum*0x9e3779b97f4a7c15 + version
		}
		if !whole {
			return nil
		}
		if err := s.auditStripe(st, sum); err != nil {
			return err
		}
		return s.auditRow(st)
	})
}

// auditable calls yield for the stripes that an object uses, or whose journal recovery needs.
func (s *simulation) auditable(yield func(st *stripe, freed bool) error) error {
	rows, err := s.c.catalog.query(ctx, `SELECT id, seq, journal, refs, freed, info FROM stripes
		WHERE refs <> 0 OR journal > 0 AND seq > ? ORDER BY id`, int64(s.c.checkpoint.Load()))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		st := &stripe{}
		var info sql.RawBytes
		var freed int64
		if err := rows.Scan(into(&st.ID), into(&st.Seq), into(&st.Journal), into(&st.Refs), into(&freed), &info); err != nil {
			return err
		}
		if err := st.decodeInfo(info); err != nil {
			return err
		}
		if err := yield(st, freed != 0); err != nil {
			return err
		}
	}
	return rows.Err()
}

// knownBad tells whether the catalog has a shard down for repair.
func (s *simulation) knownBad(st *stripe, i int) bool {
	bad, err := s.c.catalog.damage(ctx)
	return err == nil && slices.Contains(bad[st.ID], i)
}

// auditShard returns the version of the bytes of shard i of a stripe, 0 where it need not be
// there. Its data is read on demand alone.
func (s *simulation) auditShard(st *stripe, freed bool, i int, healed, data bool) (uint64, error) {
	at := st.Places[i]
	if at.Disk == none {
		if healed {
			return 0, errors.New("it is nowhere")
		}
		return 0, nil
	}
	if s.tainted[int32(at.Disk)] && !healed {
		return 0, nil
	}
	d, ok := s.c.disk(at.Disk).(*simDisk)
	if !ok {
		if healed {
			return 0, errors.New("its disk is away")
		}
		return 0, nil
	}
	v, err := s.verify(d, at)
	if err != nil {
		return 0, err
	}
	h, needed := v.header, s.c.needed(st)
	switch {
	case h.Stripe != st.ID || int(h.Index) != i:
		return 0, fmt.Errorf("stripe %x, shard %d lies there", h.Stripe, h.Index)
	case v.journal < 0 && needed: // else it is of no use any more
		return 0, fmt.Errorf("journal: %w", disks.ErrCorrupt)
	case st.carries(i) && needed && (v.journal != int(st.Journal) || h.Sequence != st.Seq):
		return 0, fmt.Errorf("a journal of %d bytes of batch %d rides in it", v.journal, h.Sequence)
	case !data || freed || st.Refs == 0 || v.size == st.size(i): // data that nobody uses may be freed at any time
		return v.version, nil
	}
	if err := d.inner.Read(ctx, st.ref(i), 0, s.room(int(st.size(i)))); err != nil {
		return 0, err
	}
	v.size = st.size(i)
	s.auditor.shards[at] = v
	return v.version, nil
}

// verify reads the header and journal of a shard, unless that is known.
func (s *simulation) verify(d *simDisk, at place) (verified, error) {
	version, there := s.w.fs[d.n].Version(at.Segment, int64(at.Offset), int64(at.Offset)+int64(at.Length))
	if v, ok := s.auditor.shards[at]; ok && there && v.version == version {
		return v, nil
	}
	delete(s.auditor.shards, at)
	v := verified{version: version}
	h, journal, err := d.inner.ReadJournal(ctx, at.Address)
	if v.header, v.journal = h, len(journal); err != nil {
		if h.Stripe == 0 || !errors.Is(err, disks.ErrCorrupt) {
			return v, err
		}
		v.journal = -1
	}
	v.header.Columns = nil
	if there {
		s.auditor.shards[at] = v
	}
	return v, nil
}

// room is scratch space of n bytes.
func (s *simulation) room(n int) []byte {
	s.auditor.scratch = slices.Grow(s.auditor.scratch[:0], n)[:n]
	return s.auditor.scratch
}

// auditStripe holds the shards of a whole stripe against each other, unless that was done with
// the same bytes.
func (s *simulation) auditStripe(st *stripe, version uint64) error {
	if known, ok := s.auditor.fit[st.ID]; ok && known == version {
		return nil
	}
	n := 0
	for i := range st.Places {
		n += int(st.size(i))
	}
	all := s.room(2 * n)
	shards, again := make([][]byte, len(st.Places)), make([][]byte, len(st.Places))
	for i := range shards {
		n := int(st.size(i))
		shards[i], again[i], all = all[:n:n], all[n:2*n:2*n], all[2*n:]
		if n > 0 {
			if err := s.c.disk(st.Places[i].Disk).(*simDisk).inner.Read(ctx, st.ref(i), 0, shards[i]); err != nil {
				return fmt.Errorf("stripe %x of batch %d, shard %d: %w", st.ID, st.Seq, i, err)
			}
		}
		if i < len(st.Columns) {
			copy(again[i], shards[i])
		}
	}
	if err := s.c.code(st.Scheme).Encode(again); err != nil {
		return err
	}
	for i := range shards {
		if !bytes.Equal(again[i], shards[i]) {
			return fmt.Errorf("stripe %x of batch %d: shard %d does not fit the others", st.ID, st.Seq, i)
		}
	}
	s.auditor.fit[st.ID] = version
	return nil
}

// auditRow holds the places of a stripe against the rule.
func (s *simulation) auditRow(st *stripe) error {
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

func (p picture) diff(q picture) string {
	if reflect.DeepEqual(p, q) { // of which cmp would find nothing, in ten times the time
		return ""
	}
	return cmp.Diff(p, q)
}

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
