package cluster

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/energy"
	"github.com/wattle-storage/wattle/placement"
)

// CompactOptions say how a compaction works. The zero value takes every step that wins space.
type CompactOptions struct {
	Rate       int64    // bytes a second, read and written, over all disks; 0: no limit
	Checkpoint bool     // make a checkpoint, also when it takes more space than it frees
	Progress   Progress `json:"-"`
}

// CompactReport says what Compact did.
type CompactReport struct {
	Stripes         int64         `json:"stripes"` // evacuated
	Objects         int64         `json:"objects"` // extents of objects that moved
	MovedBytes      int64         `json:"moved_bytes"`
	Refused         int64         `json:"refused"`    // extents that changed meanwhile, or could not be stored
	Checkpoint      uint64        `json:"checkpoint"` // the batch of the checkpoint that was made; 0: none
	CheckpointBytes int64         `json:"checkpoint_bytes"`
	Segments        int64         `json:"segments"` // emptied
	Shards          int64         `json:"shards"`   // copied out of them
	WrittenBytes    int64         `json:"written_bytes"`
	UsedBefore      int64         `json:"used_before"`
	UsedAfter       int64         `json:"used_after"`
	Amplification   float64       `json:"write_amplification"` // bytes written for each byte won
	Elapsed         time.Duration `json:"elapsed_ns"`
}

const (
	wasteful     = 1.25 // times what live bytes take in full stripes
	worthwhile   = 0.8  // of the old space is what the new one may take at most
	compactItems = 500_000
	groupBytes   = 4 << 20 // of extents that are packed together
	groupItems   = 1024
	sparse       = 0.5 // part of a segment that is live, below which it is emptied
	sparseLeast  = 64 << 10
)

// Compact packs what is left in wasteful stripes again, makes a checkpoint so that old
// journals can go, frees what is dead, and empties segments with little life. It can be
// cut at any point.
func (c *Cluster) Compact(ctx context.Context, o CompactOptions) (CompactReport, error) {
	if c.readOnly {
		return CompactReport{}, ErrReadOnly
	}
	start, written := time.Now(), c.Counters().BytesWritten
	ctx = c.bill(energy.ForUpkeep).on(ctx)
	m := &compaction{c: c, o: o, pace: c.newPace(o.Rate)}
	c.reapNow()
	m.rep.UsedBefore = c.used()
	err := m.run(ctx)
	m.rep.UsedAfter = c.used()
	m.rep.WrittenBytes = c.Counters().BytesWritten - written
	if won := m.rep.UsedBefore - m.rep.UsedAfter; won > 0 {
		m.rep.Amplification = float64(m.rep.WrittenBytes) / float64(won)
	}
	m.rep.Elapsed = time.Since(start)
	return m.rep, err
}

// used sums the space in use on the disks that are there, without what is written ahead.
func (c *Cluster) used() int64 {
	n := int64(0)
	for _, id := range c.diskIDs() {
		if d := c.disk(id); d != nil {
			s := d.Space()
			n += s.Used - s.Ahead
		}
	}
	return n
}

// A compaction is one run of Compact.
type compaction struct {
	c    *Cluster
	o    CompactOptions
	pace *pace
	rep  CompactReport
}

func (m *compaction) run(ctx context.Context) error {
	for {
		more, err := m.round(ctx)
		if err != nil {
			return err
		}
		m.c.reapNow()
		if !more {
			break
		}
	}
	if err := m.checkpoint(ctx); err != nil {
		return err
	}
	m.c.reapNow()
	return m.segments(ctx)
}

// A resident is a packed extent that lives in a wasteful stripe, and a version that has it.
type resident struct {
	bucket, key string
	seq         int64
	extent
}

// A waste is a stripe that takes more than it should.
type waste struct {
	id        uint64
	refs      int64
	raw       int64 // bytes on the disks
	per       float64
	residents []resident
}

// round evacuates the most wasteful stripes, as many as memory allows to look at together. It
// tells whether another round may find more.
func (m *compaction) round(ctx context.Context) (bool, error) {
	unpin, err := m.c.pin() // what is looked at stays until the end of the round
	if err != nil {
		return false, err
	}
	defer unpin()
	list, full, err := m.wasteful(ctx)
	if err != nil || len(list) == 0 {
		return false, err
	}
	if list, err = m.inhabit(ctx, list); err != nil {
		return false, err
	}
	var all []resident
	old, evacuated := int64(0), int64(0)
	for _, w := range list {
		all = append(all, w.residents...)
		old += w.raw
		evacuated++
	}
	groups := grouped(all)
	fresh := int64(0)
	for _, g := range groups {
		fresh += m.c.packedSpace(g)
	}
	if len(all) == 0 || float64(fresh) > worthwhile*float64(old) {
		return false, nil
	}
	done, refused := 0, m.rep.Refused
	for _, g := range groups {
		if err := m.move(ctx, g); err != nil {
			return false, err
		}
		if done += len(g); m.o.Progress != nil {
			m.o.Progress(int64(done), int64(len(all)))
		}
	}
	m.rep.Stripes += evacuated
	return full && m.rep.Refused == refused, nil
}

// wasteful lists stripes that take much more than their live bytes would in full stripes, the
// worst first, and tells whether there are more.
func (m *compaction) wasteful(ctx context.Context) ([]waste, bool, error) {
	var list []waste
	items := int64(0)
	err := m.c.catalog.stripes(ctx, func(s *stripe, freed bool) error {
		if freed || s.Refs == 0 || s.Live == 0 {
			return nil
		}
		raw := int64(0)
		for _, p := range s.Places {
			if p.Disk != none {
				raw += int64(p.Length)
			}
		}
		if per := float64(raw) / float64(s.Live); per > wasteful*s.Scheme.Overhead() {
			list = append(list, waste{id: s.ID, refs: s.Refs, raw: raw, per: per})
		}
		return nil
	})
	slices.SortFunc(list, func(a, b waste) int { return cmp.Or(cmp.Compare(b.per, a.per), cmp.Compare(a.id, b.id)) })
	for i, w := range list {
		if items += w.refs; items > compactItems {
			return list[:i], true, err
		}
	}
	return list, false, err
}

// inhabit finds the extents that live in stripes, and returns those stripes of which all is
// known: what uploads and checkpoints hold does not move.
func (m *compaction) inhabit(ctx context.Context, list []waste) ([]waste, error) {
	at := make(map[uint64]*waste, len(list))
	for i := range list {
		at[list[i].id] = &list[i]
	}
	err := m.c.catalog.layouts(ctx, func(bucket, key string, seq int64, layout []extent) error {
		for _, e := range layout {
			if w := at[e.Stripe]; w != nil && e.Count == 0 {
				w.residents = append(w.residents, resident{bucket, key, seq, e})
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list, func(w waste) bool { return int64(len(w.residents)) != w.refs }), nil
}

// grouped cuts extents into groups that are packed together, those of an old stripe side by
// side.
func grouped(all []resident) [][]resident {
	var groups [][]resident
	from, bytes := 0, int64(0)
	for i, r := range all {
		if i > from && (bytes+r.Len > groupBytes || i-from >= groupItems) {
			groups = append(groups, all[from:i])
			from, bytes = i, 0
		}
		bytes += r.Len
	}
	if from < len(all) {
		groups = append(groups, all[from:])
	}
	return groups
}

// packedSpace is the space that extents take when they are packed together, with headers, sums
// and the copies of their journal.
func (c *Cluster) packedSpace(g []resident) int64 {
	sizes, journal := make([]int, len(g)), int64(0)
	for i, r := range g {
		sizes[i] = int(r.sealed(r.Len))
		journal += int64(len(r.key)+len(r.bucket)) + 80
	}
	s := c.config.Scheme
	_, columns := pack(sizes, s.K, c.shard)
	total := journal * int64(s.M+1)
	for _, cols := range columns {
		n := int64(stripeBytes(s, cols))
		total += n + n/(16<<10)*8 + int64(s.N()*(disks.HeaderSize(s.K)+64))
	}
	return total
}

// move stores extents again, packed together, and has their objects use the new ones. They
// go into one batch; what the batch decides of each is final.
func (m *compaction) move(ctx context.Context, g []resident) error {
	reserved := int64(0)
	for _, r := range g {
		reserved += r.Len
	}
	if err := m.c.pool.reserve(ctx, reserved); err != nil {
		return err
	}
	defer m.c.pool.unreserve(reserved)
	many := make([]*request, 0, len(g))
	for _, r := range g {
		data, err := m.read(ctx, r)
		if errors.Is(err, ErrDataLost) || errors.Is(err, sql.ErrNoRows) {
			m.rep.Refused++ // repair will say it; or the stripe was deleted and freed meanwhile
			continue
		}
		if err != nil {
			return err
		}
		many = append(many, &request{data: data, rec: record{Kind: recMoved, Bucket: r.bucket, Key: r.key, Time: m.c.now(),
			FromSequence: r.seq, Old: r.extent}, done: make(chan result, 1)})
	}
	return m.submit(ctx, many)
}

// read reads an extent, rebuilt where it must be.
func (m *compaction) read(ctx context.Context, r resident) ([]byte, error) {
	if err := m.pace.wait(ctx, int(r.Len)); err != nil {
		return nil, err
	}
	p := make([]byte, r.Len)
	w := sink(p)
	err := m.c.assemble(ctx, []extent{r.extent}, func(id uint64) (*stripe, error) { return m.c.catalog.stripeByID(ctx, id) }, &w)
	return p, err
}

// A sink takes as many bytes as it is long.
type sink []byte

func (s *sink) Write(p []byte) (int, error) {
	n := copy(*s, p)
	*s = (*s)[n:]
	if n < len(p) {
		return n, io.ErrShortWrite
	}
	return n, nil
}

func (m *compaction) submit(ctx context.Context, many []*request) error {
	if len(many) == 0 {
		return nil
	}
	bytes := 0
	for _, r := range many {
		bytes += len(r.data)
	}
	if err := m.pace.wait(ctx, int(float64(bytes)*m.c.config.Scheme.Overhead())); err != nil {
		return err
	}
	if err := m.c.submitMany(ctx, many); err != nil {
		return err
	}
	var failed error
	for _, r := range many {
		res := <-r.done
		var refused requestError
		switch {
		case res.err == nil:
			m.rep.Objects++
			m.rep.MovedBytes += int64(len(r.data))
		case errors.As(res.err, &refused):
			m.rep.Refused++
		default:
			failed = res.err
		}
	}
	return failed
}

// submitMany hands requests to the committer for one batch. Each is answered by itself.
func (c *Cluster) submitMany(ctx context.Context, many []*request) error {
	select {
	case c.requests <- &request{many: many}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.closing:
		return errClosed
	}
}

// checkpoint makes one when that wins space.
func (m *compaction) checkpoint(ctx context.Context) error {
	if !m.o.Checkpoint {
		freed, err := m.c.catalog.freedJournals(ctx)
		if err != nil {
			return err
		}
		_, objects, _, err := m.c.catalog.totals(ctx)
		if err != nil {
			return err
		}
		const page, row = 4096, 200 // a shard of which the journal alone is left; a row of an object
		takes := float64(objects*row)*m.c.config.Scheme.Overhead() + page*float64(m.c.config.Scheme.N())
		if float64(freed*page*int64(m.c.config.Scheme.M+1)) < takes {
			return nil
		}
	}
	var err error
	m.rep.Checkpoint, m.rep.CheckpointBytes, err = m.c.Checkpoint(ctx)
	return err
}

// segments empties those of which little is live, and removes those in which nothing is.
// It looks through the catalog once for some disks at a time, after it has listed their
// segments: what a segment takes that is closed by then is in the catalog, or was given up.
func (m *compaction) segments(ctx context.Context) error {
	for group := range slices.Chunk(m.c.diskIDs(), disksTogether) {
		there := map[placement.DiskID][]disks.SegmentInfo{}
		for _, id := range group {
			d, ok := m.c.disk(id).(disks.Checker)
			if !ok {
				continue
			}
			list, err := d.Segments()
			if err != nil {
				return fmt.Errorf("disk %s: %w", m.c.name(id), err)
			}
			there[id] = list
		}
		live, err := m.tenants(ctx, there)
		if err != nil {
			return err
		}
		for _, id := range group {
			if err := m.disk(ctx, id, there[id], live[id]); err != nil {
				return fmt.Errorf("disk %s: %w", m.c.name(id), err)
			}
		}
	}
	return nil
}

// tenants returns the shards of some disks, by segment.
func (m *compaction) tenants(ctx context.Context, of map[placement.DiskID][]disks.SegmentInfo) (map[placement.DiskID]map[uint32][]tenant, error) {
	live := map[placement.DiskID]map[uint32][]tenant{}
	for id := range of {
		live[id] = map[uint32][]tenant{}
	}
	return live, m.c.catalog.stripes(ctx, func(s *stripe, _ bool) error {
		for i, p := range s.Places {
			if by := live[p.Disk]; by != nil {
				by[p.Segment] = append(by[p.Segment], tenant{s.ID, i, p.Length})
			}
		}
		return nil
	})
}

// A tenant is a shard in a segment.
type tenant struct {
	stripe uint64
	shard  int
	length uint32
}

func (m *compaction) disk(ctx context.Context, id placement.DiskID, list []disks.SegmentInfo, live map[uint32][]tenant) error {
	for _, seg := range list {
		n := int64(0)
		for _, t := range live[seg.Number] {
			n += int64(t.length)
		}
		switch {
		case seg.Open:
		case n == 0:
			// what was freed while the segment was open left it; it goes with the next freeing in it
			for id, err := range m.c.freeAt(map[placement.DiskID][]disks.Address{id: {{Segment: seg.Number, Offset: 64}}}, false) {
				m.c.notify("disk %s: segment %d: %v", m.c.name(id), seg.Number, err)
			}
		case seg.Allocated-n >= sparseLeast && float64(n) < sparse*float64(seg.Allocated):
			if err := m.empty(ctx, id, live[seg.Number]); err != nil {
				return err
			}
		}
	}
	return nil
}

// empty copies the shards of a segment to the newest one of the same disk.
func (m *compaction) empty(ctx context.Context, id placement.DiskID, list []tenant) error {
	var moves []move
	for _, t := range list {
		if err := m.pace.wait(ctx, 2*int(t.length)); err != nil {
			return err
		}
		s, freed, err := m.c.catalog.standing(ctx, t.stripe)
		if err != nil {
			return err
		}
		if s == nil || s.Places[t.shard].Disk != id || !freed && s.Refs == 0 {
			continue
		}
		mv, err := m.c.copyShard(ctx, s, freed, t.shard, id, disks.AppendOptions{UseReserve: true})
		if errors.Is(err, disks.ErrCorrupt) || errors.Is(err, disks.ErrGone) {
			m.c.damaged(s, t.shard, err)
			continue
		}
		if err != nil {
			return err
		}
		moves = append(moves, mv)
	}
	won, err := m.c.relocate(ctx, moves, nil)
	m.rep.Shards += int64(won)
	if err == nil && won == len(list) {
		m.rep.Segments++
	}
	return err
}
