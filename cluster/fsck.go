package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/placement"
)

// ErrInconsistent means that the catalog contradicts itself.
var ErrInconsistent = errors.New("the catalog contradicts itself; `wattle recover` makes it anew from the disks")

// FsckOptions say how thoroughly Fsck looks.
type FsckOptions struct {
	Deep     bool  // read and verify every shard, not its header alone
	Rate     int64 // with Deep, bytes a second over all disks; 0: no limit
	Progress Progress
}

// FsckReport says what Fsck looked at and what is wrong. It changes nothing.
type FsckReport struct {
	Buckets  int64 `json:"buckets"`
	Versions int64 `json:"versions"` // of objects
	Extents  int64 `json:"extents"`
	Stripes  int64 `json:"stripes"`
	Shards   int64 `json:"shards"` // found where they should be, and sound as far as was looked
	Bytes    int64 `json:"bytes_read"`

	Catalog  int64 `json:"catalog_errors"` // contradictions in the catalog
	Missing  int64 `json:"missing"`        // shards that are not where they should be
	Corrupt  int64 `json:"corrupt"`        // with Deep: shards that do not verify
	Orphans  int64 `json:"orphans"`        // shards that nothing refers to
	Degraded int64 `json:"degraded"`       // stripes that lack shards
	Lost     int64 `json:"lost"`           // stripes that cannot be decoded

	LostKeys []string      `json:"lost_objects,omitempty"`
	Absent   []string      `json:"absent_disks,omitempty"`
	Findings []string      `json:"findings,omitempty"` // the first of them, in words
	Elapsed  time.Duration `json:"elapsed_ns"`
}

// Err is what the report comes to: nil, ErrInconsistent or ErrDataLost. Degraded stripes are
// no error.
func (r FsckReport) Err() error {
	switch {
	case r.Catalog > 0:
		return fmt.Errorf("%d findings: %w", r.Catalog, ErrInconsistent)
	case r.Lost > 0:
		return fmt.Errorf("%d stripes: %w", r.Lost, ErrDataLost)
	}
	return nil
}

// An fsck is one run of Fsck.
type fsck struct {
	c   *Cluster
	o   FsckOptions
	rep FsckReport

	uses map[uint64]*use  // by stripe, as the objects say
	bad  map[damage]bool  // shards that are missing or corrupt
	at   map[place]damage // where the catalog has shards
}

// A use is what extents say of a stripe.
type use struct {
	refs, live int64
	columns    []uint32 // the least that each column must hold
}

// Fsck checks the catalog against itself and against what lies on the disks. It reads only,
// and may run beside a writer: then what changes meanwhile may be reported as missing.
func (c *Cluster) Fsck(ctx context.Context, o FsckOptions) (FsckReport, error) {
	start := time.Now()
	f := &fsck{c: c, o: o, uses: map[uint64]*use{}, bad: map[damage]bool{}, at: map[place]damage{}}
	err := f.run(ctx)
	f.rep.Elapsed = time.Since(start)
	return f.rep, err
}

func (f *fsck) run(ctx context.Context) error {
	bad, err := f.c.catalog.integrity(ctx)
	if err != nil {
		return fmt.Errorf("catalog: %w: %w", err, ErrInconsistent)
	}
	for _, b := range bad {
		f.catalog("database file: %s", b)
	}
	if err := f.objects(ctx); err != nil {
		return err
	}
	if err := f.stripes(ctx); err != nil {
		return err
	}
	if err := f.disks(ctx); err != nil {
		return err
	}
	return f.outcome(ctx)
}

func (f *fsck) find(count *int64, format string, a ...any) {
	*count++
	if len(f.rep.Findings) < maxFindings {
		f.rep.Findings = append(f.rep.Findings, fmt.Sprintf(format, a...))
	}
}

func (f *fsck) catalog(format string, a ...any) { f.find(&f.rep.Catalog, "catalog: "+format, a...) }

// objects sums what every version, shared layout, uploaded part and checkpoint says of stripes.
func (f *fsck) objects(ctx context.Context) error {
	var err error
	if f.rep.Buckets, _, _, err = f.c.catalog.totals(ctx); err != nil {
		return err
	}
	err = f.c.catalog.audit(ctx, func(what string, size int64, blob []byte) {
		f.rep.Versions++
		f.layout(what, size, blob)
	}, f.catalog)
	if err != nil {
		return err
	}
	p, err := f.c.catalog.checkpointed()
	if err != nil {
		f.catalog("%v", err)
		return nil
	}
	f.layout("checkpoint", p.Size, appendLayout(nil, p.Layout))
	return nil
}

// layout takes the extents of one thing in. A size below 0 is not known.
func (f *fsck) layout(what string, size int64, blob []byte) {
	d := &decoder{p: blob}
	layout := d.layout()
	if d.err != nil || len(d.p) > 0 {
		f.catalog("%s: its layout is malformed: %v", what, d.err)
		return
	}
	total, k := int64(0), f.c.config.Scheme.K
	for _, e := range layout {
		f.rep.Extents++
		total += e.Len
		if e.Count == 0 && int(e.Col) >= k {
			f.catalog("%s: an extent in column %d of %d", what, e.Col, k)
			continue
		}
		e.stripes(k, func(id uint64, n int64) { f.use(e, id, n, k) })
	}
	if size >= 0 && total != size {
		f.catalog("%s: %d bytes in its extents, and %d in its row", what, total, size)
	}
}

func (f *fsck) use(e extent, id uint64, n int64, k int) {
	u := f.uses[id]
	if u == nil {
		u = &use{columns: make([]uint32, k)}
		f.uses[id] = u
	}
	u.refs++
	u.live += e.room(n, k)
	for i, c := range e.columns(n, k) {
		u.columns[i] = max(u.columns[i], c)
	}
}

// stripes compares the rows of stripes with their uses.
func (f *fsck) stripes(ctx context.Context) error {
	err := f.c.catalog.stripes(ctx, func(s *stripe, freed bool) error {
		f.rep.Stripes++
		u := f.uses[s.ID]
		delete(f.uses, s.ID)
		if u == nil {
			u = &use{}
		}
		if u.refs != s.Refs || u.live != s.Live {
			f.catalog("stripe %x: %d extents of %d bytes, and %d of %d in its row", s.ID, u.refs, u.live, s.Refs, s.Live)
		}
		if freed && u.refs > 0 {
			f.catalog("stripe %x is freed and has %d extents", s.ID, u.refs)
		}
		for i, least := range u.columns {
			if i >= len(s.Columns) || s.Columns[i] < least {
				f.catalog("stripe %x: column %d is shorter than an extent in it", s.ID, i)
				break
			}
		}
		f.places(s, freed)
		return nil
	})
	for id, u := range f.uses {
		f.catalog("stripe %x is not there and has %d extents", id, u.refs)
	}
	return err
}

// places checks where a stripe's shards are said to be.
func (f *fsck) places(s *stripe, freed bool) {
	seen := map[placement.DiskID]bool{}
	for i, p := range s.Places {
		if p.Disk == none {
			continue
		}
		if _, ok := f.c.byID[p.Disk]; !ok {
			f.catalog("stripe %x: shard %d is on disk %d, which the map does not have", s.ID, i, p.Disk)
			continue
		}
		if seen[p.Disk] {
			f.catalog("stripe %x: two shards on disk %s", s.ID, f.c.name(p.Disk))
		}
		seen[p.Disk] = true
		if other, ok := f.at[p]; ok {
			f.catalog("disk %s, segment %d, offset %d: both shard %d of stripe %x and shard %d of stripe %x", f.c.name(p.Disk), p.Segment, p.Offset, i, s.ID, other.shard, other.stripe)
		}
		if !freed || s.carries(i) && f.c.needed(s) {
			f.at[p] = damage{s.ID, i}
		}
	}
}

// disks looks at what is there.
func (f *fsck) disks(ctx context.Context) error {
	for _, id := range f.c.diskIDs() {
		d := f.c.disk(id)
		if d == nil {
			f.rep.Absent = append(f.rep.Absent, f.c.name(id))
			continue
		}
		var err error
		if checker, ok := d.(disks.Checker); ok && f.o.Deep {
			err = f.deep(ctx, id, checker)
		} else {
			err = d.Scan(ctx, func(e disks.Entry) error { f.see(id, disks.Checked{Entry: e}); return nil })
		}
		if err != nil {
			return fmt.Errorf("disk %s: %w", f.c.name(id), err)
		}
	}
	for p, d := range f.at {
		if f.c.readable(p.Disk) {
			f.bad[d] = true
			f.find(&f.rep.Missing, "disk %s: shard %d of stripe %x: not there", f.c.name(p.Disk), d.shard, d.stripe)
		}
	}
	return nil
}

func (f *fsck) deep(ctx context.Context, id placement.DiskID, d disks.Checker) error {
	list, err := d.Segments()
	if err != nil {
		return err
	}
	limit := &pace{rate: f.o.Rate}
	for _, seg := range list {
		if err := d.Check(ctx, seg.Number, func(n int) error {
			f.rep.Bytes += int64(n)
			if f.o.Progress != nil {
				f.o.Progress(f.rep.Bytes, 0)
			}
			return limit.wait(ctx, n)
		}, func(found disks.Checked) error { f.see(id, found); return nil }); err != nil {
			return err
		}
	}
	return nil
}

// see takes note of a shard on a disk.
func (f *fsck) see(id placement.DiskID, found disks.Checked) {
	p := place{id, found.Address}
	want, ok := f.at[p]
	if !ok || want != (damage{found.Stripe, int(found.Index)}) {
		f.rep.Orphans++
		return
	}
	delete(f.at, p)
	if err := errors.Join(found.Data, found.Journal); err != nil && !errors.Is(found.Data, disks.ErrGone) {
		f.bad[want] = true
		f.find(&f.rep.Corrupt, "disk %s: shard %d of stripe %x: %v", f.c.name(id), want.shard, want.stripe, err)
		return
	}
	f.rep.Shards++
}

// outcome counts what can still be read.
func (f *fsck) outcome(ctx context.Context) error {
	lost := map[uint64]bool{}
	err := f.c.catalog.stripes(ctx, func(s *stripe, freed bool) error {
		if freed || s.Refs == 0 {
			return nil
		}
		have, whole := s.have(f.c.readable), true
		for i := range have {
			have[i] = have[i] && !f.bad[damage{s.ID, i}]
			whole = whole && (have[i] || !s.stored(i))
		}
		if !whole {
			f.rep.Degraded++
		}
		if !whole && !f.c.code(s.Scheme).Decodable(have) {
			f.rep.Lost++
			lost[s.ID] = true
		}
		return nil
	})
	if err == nil && len(lost) > 0 {
		f.rep.LostKeys, err = f.c.catalog.keysOf(ctx, f.c.config.Scheme.K, lost)
	}
	slices.Sort(f.rep.Findings)
	return err
}
