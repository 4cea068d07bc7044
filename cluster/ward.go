package cluster

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/placement"
)

// Patients are looked after by the ward: of each disk what the stripes of a ward need is read
// with few calls, and what was made anew goes to each disk with one. While one ward waits for
// disks another decodes.

const (
	wards     = 3   // at the same time
	wardShare = 9   // of the stripes' memory is what one ward takes
	wardMost  = 128 // stripes in one
)

// A bed is a patient while it is looked after.
type bed struct {
	patient
	b      *buffer
	away   bool     // some of its disks may come back
	wanted []int    // of bad: those that have data
	have   []bool   // what may still be asked for
	use    [][]byte // what was read
	dst    [][]byte

	journal   []byte // that rides in the stripe, when it was read along
	committed uint64

	shards []disks.Shard // made anew, as bad lists them
	err    error
}

// nextWard takes the first patients off a list: of those that are as urgent as the first, as many
// as fit a ward's memory.
func (r *repair) nextWard(list []sickness) (ward, rest []sickness) {
	n, bytes := 0, 0
	for ; n < min(len(list), wardMost); n++ {
		s := list[n]
		if n > 0 && (int64(bytes+s.bytes) > r.c.pool.size/wardShare || s.urgent() != list[0].urgent()) {
			break
		}
		bytes += s.bytes
	}
	return list[:n], list[n:]
}

// ward looks after patients. The catalog is asked again, since moves and deletes may have come
// since the list was made.
func (r *repair) ward(ctx context.Context, list []sickness) error {
	if list[0].urgent() {
		ctx = urgent(ctx)
	}
	beds, err := r.admit(ctx, list)
	defer func() {
		for _, b := range beds {
			if b.b != nil {
				r.c.release(b.b)
			}
		}
	}()
	if err != nil {
		return err
	}
	r.readAll(ctx, beds)
	for _, b := range beds {
		if b.err == nil {
			b.err = r.rebuild(ctx, b)
		}
		if errors.Is(b.err, ErrDataLost) && !b.freed && b.Refs == 0 { // freed in part, before the catalog was lost
			b.bare, b.err = true, nil
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	r.placeAll(ctx, beds)
	for _, b := range beds {
		if err := r.discharge(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// admit gives those who are still sick a bed, with memory of the pool.
func (r *repair) admit(ctx context.Context, list []sickness) ([]*bed, error) {
	ids := make([]uint64, len(list))
	for i, s := range list {
		ids[i] = s.id
	}
	stripes, err := r.c.catalog.standingOf(ctx, ids)
	if err != nil {
		return nil, err
	}
	var beds []*bed
	bytes := 0
	for _, s := range list {
		st := stripes[s.id]
		if st.stripe == nil || st.Refs == 0 && !r.c.needed(st.stripe) {
			continue
		}
		b := &bed{patient: patient{stripe: st.stripe, freed: st.freed, gone: s.gone}}
		for _, i := range s.bad {
			if st.needs(i, st.freed) {
				b.bad = append(b.bad, i)
			}
		}
		if b.away = r.confirm(ctx, &b.patient); len(b.bad) == 0 {
			continue
		}
		beds = append(beds, b)
		bytes += b.bytes()
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = r.c.pool.reserve(ctx, int64(bytes))
	if err != nil && ctx.Err() != nil {
		return nil, err
	}
	for _, b := range beds {
		if b.err = err; err == nil {
			r.prepare(b)
		}
	}
	return beds, nil
}

// bytes is the memory that a patient takes.
func (p *patient) bytes() int {
	if p.freed {
		return 0
	}
	return stripeBytes(p.Scheme, p.Columns)
}

// prepare lays a bed's memory out.
func (r *repair) prepare(b *bed) {
	n := b.bytes()
	if n == 0 {
		b.b = &buffer{stripe: b.stripe, shards: make([][]byte, len(b.Places))}
		return
	}
	b.b = newBuffer(b.ID, b.Scheme, b.Columns, r.c.pool.take(n))
	b.have = b.stripe.have(r.c.readable)
	b.use, b.dst = make([][]byte, len(b.Places)), make([][]byte, len(b.Places))
	for _, at := range b.Places {
		b.away = b.away || at.Disk != none && !r.c.readable(at.Disk)
	}
	for _, i := range b.bad {
		if b.have[i] = b.size(i) == 0; !b.have[i] {
			b.wanted = append(b.wanted, i)
			b.dst[i] = b.b.shards[i]
		}
	}
}

// plan returns the shards to read of a bed's stripe.
func (r *repair) plan(b *bed) ([]int, error) {
	return r.c.code(b.Scheme).Plan(b.wanted, b.have, func(i int) float64 { return r.cost(b.stripe, i, b.use) })
}

// A wantOf is what is read for a bed.
type wantOf struct {
	disks.Want
	bed   *bed
	shard int
}

// readAll reads what is planned for all beds, all disks at the same time. What cannot be read is
// left to rebuild, which looks for another way.
func (r *repair) readAll(ctx context.Context, beds []*bed) {
	of := map[placement.DiskID][]*wantOf{}
	for _, b := range beds {
		if b.err != nil || len(b.wanted) == 0 {
			continue
		}
		reads, err := r.plan(b)
		if err != nil {
			continue // rebuild says so
		}
		journal := r.c.needed(b.stripe) && slices.ContainsFunc(b.bad, b.carries)
		for _, i := range reads {
			if p := b.Places[i]; p.Disk != none && b.size(i) > 0 {
				w := &wantOf{Want: disks.Want{Ref: b.ref(i), Data: b.b.shards[i], Whole: journal && b.carries(i)}, bed: b, shard: i}
				of[p.Disk] = append(of[p.Disk], w)
				journal = journal && !w.Whole
			}
		}
	}
	var g errgroup.Group
	for _, id := range slices.Sorted(maps.Keys(of)) {
		g.Go(func() error { r.readDisk(ctx, id, of[id]); return nil })
	}
	g.Wait() //nolint:errcheck // there is none
	for _, id := range slices.Sorted(maps.Keys(of)) {
		for _, w := range of[id] {
			r.took(w)
		}
	}
}

// readDisk reads what is wanted of a disk.
func (r *repair) readDisk(ctx context.Context, id placement.DiskID, list []*wantOf) {
	n := 0
	wants := make([]*disks.Want, len(list))
	for j, w := range list {
		wants[j] = &w.Want
		n += len(w.Data)
	}
	if err := r.count(ctx, id, n, &r.rep.BytesRead); err != nil {
		for _, w := range wants {
			w.Err = err
		}
		return
	}
	r.c.readBulk(ctx, id, wants)
}

// took takes note of what was read for a bed, or that it could not be. A copy of the journal
// that does not verify says nothing of the data beside it.
func (r *repair) took(w *wantOf) {
	b := w.bed
	switch {
	case w.Err == nil && w.Whole && w.Header.Stripe == b.ID && int(w.Header.Index) == w.shard && w.Journal != nil:
		b.journal, b.committed = w.Journal, w.Header.Committed
		fallthrough
	case w.Err == nil:
		b.use[w.shard] = w.Data
	case !w.Whole && !errors.Is(w.Err, context.Canceled):
		b.away = b.away || unreachable(w.Err)
		r.c.damaged(b.stripe, w.shard, w.Err)
		b.have[w.shard] = false
	}
}

// readBulk reads shards of a disk, each with an error of its own.
func (c *Cluster) readBulk(ctx context.Context, id placement.DiskID, list []*disks.Want) {
	d, ok := c.disk(id).(disks.BulkReader)
	if !ok {
		for _, w := range list {
			w.Err = c.readOne(ctx, id, w)
		}
		return
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.readTimeout()+time.Duration(len(list))*slowRead, errLate)
	defer cancel()
	d.ReadBulk(ctx, list)
	for _, w := range list {
		if w.Err != nil && context.Cause(ctx) == errLate {
			c.suspect(id, errLate)
			w.Err = errLate
		}
	}
}

// slowRead is what a shard among many adds to the time that reading them may take: a seek of a
// busy drive, and more.
const slowRead = 50 * time.Millisecond

// readOne reads a shard of a disk that does not read many at once.
func (c *Cluster) readOne(ctx context.Context, id placement.DiskID, w *disks.Want) (err error) {
	d := c.disk(id)
	if d == nil {
		return disks.ErrLost
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.readTimeout(), errLate)
	defer cancel()
	if err = d.Read(ctx, w.Ref, 0, w.Data); err == nil && w.Whole {
		w.Header, w.Journal, err = d.ReadJournal(ctx, w.Address)
	}
	if err != nil && context.Cause(ctx) == errLate {
		c.suspect(id, errLate)
		return errLate
	}
	return err
}

// rebuild computes the bad shards of a stripe, all from one reading of the cheapest others: what
// was read, and what else it takes. Where nothing can be read for a moment the error is not
// ErrDataLost.
func (r *repair) rebuild(ctx context.Context, b *bed) error {
	if len(b.wanted) == 0 {
		return nil
	}
	code := r.c.code(b.Scheme)
	for {
		reads, err := r.plan(b)
		if err != nil {
			return r.cannot(b, err)
		}
		failed := false
		for _, i := range reads {
			if b.use[i] != nil {
				continue
			}
			if err := r.read(ctx, b.stripe, i, b.b.shards[i]); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				b.away = b.away || unreachable(err)
				r.c.damaged(b.stripe, i, err)
				failed, b.have[i] = true, false
				break
			}
			b.use[i] = b.b.shards[i]
		}
		if failed {
			continue
		}
		only := make([][]byte, len(b.use))
		for _, i := range reads {
			only[i] = b.use[i]
		}
		return billOf(ctx).coding(func() error { return code.Rebuild(only, b.dst, int(b.longest())) })
	}
}

// placeAll appends what was made anew: to each disk that the table names with one call, and what
// that disk does not take to another, one by one.
func (r *repair) placeAll(ctx context.Context, beds []*bed) {
	at := map[placement.DiskID]*delivery{}
	var rest []shardIn
	for _, b := range beds {
		if b.err == nil {
			b.err = r.dress(ctx, b)
		}
		if b.err != nil {
			continue
		}
		b.old = slices.Clone(b.Places)
		for n, i := range b.bad {
			targets, within := r.c.targets(b.stripe, i, r.o.AllowMisplaced)
			if within == 0 {
				rest = append(rest, shardIn{b, n})
				continue
			}
			id := targets[0]
			b.Places[i] = place{Disk: id} // so that its others go elsewhere
			if at[id] == nil {
				at[id] = &delivery{disk: id}
			}
			at[id].work = append(at[id].work, shardIn{b, n})
		}
	}
	var g errgroup.Group
	order := slices.Sorted(maps.Keys(at))
	for _, id := range order {
		g.Go(func() error { r.appendAll(ctx, at[id]); return nil })
	}
	g.Wait() //nolint:errcheck // there is none
	for _, id := range order {
		rest = append(rest, r.settled(ctx, at[id])...)
	}
	for _, w := range rest {
		if w.bed.err == nil {
			w.bed.err = r.placeOne(ctx, w)
		}
	}
}

// A delivery is what goes to one disk, and where it went.
type delivery struct {
	disk   placement.DiskID
	work   []shardIn
	places []disks.Address
	err    error
}

// A shardIn is the n-th bad shard of a bed.
type shardIn struct {
	bed *bed
	n   int
}

// dress makes the bad shards of a bed as disks store them.
func (r *repair) dress(ctx context.Context, b *bed) error {
	for _, i := range b.bad {
		s := disks.Shard{Header: r.c.header(b.stripe, i), Data: b.b.shards[i]}
		s.Copied = true
		if b.freed || b.bare { // its data is gone; a shard without columns keeps the journal
			s.Data, s.Columns = nil, make([]uint32, len(b.Columns))
		}
		if b.carries(i) && r.c.needed(b.stripe) {
			var err error
			if b.journal == nil {
				if b.journal, b.committed, err = r.c.journal(ctx, b.stripe, b.bad); err != nil {
					return err
				}
			}
			s.Journal, s.Committed = b.journal, b.committed
		}
		b.shards = append(b.shards, s)
	}
	return nil
}

func (r *repair) appendAll(ctx context.Context, a *delivery) {
	d := r.c.disk(a.disk)
	if d == nil { // it was failed a moment ago
		a.err = disks.ErrLost
		return
	}
	shards := make([]disks.Shard, len(a.work))
	for j, w := range a.work {
		shards[j] = w.bed.shards[w.n]
	}
	if a.places, a.err = d.Append(ctx, shards, disks.AppendOptions{UseReserve: true, Direct: true}); a.err != nil {
		r.c.suspect(a.disk, a.err)
	}
}

// settled takes note of what a disk took, and returns what it did not.
func (r *repair) settled(ctx context.Context, a *delivery) (rest []shardIn) {
	for j, w := range a.work {
		b, i := w.bed, w.bed.bad[w.n]
		if a.err != nil {
			b.Places[i] = b.old[i]
			rest = append(rest, w)
			continue
		}
		if err := r.moved(ctx, w, place{a.disk, a.places[j]}); err != nil && b.err == nil {
			b.err = err
		}
	}
	return rest
}

// moved takes note of the new place of a shard.
func (r *repair) moved(ctx context.Context, w shardIn, to place) error {
	b, i := w.bed, w.bed.bad[w.n]
	b.Places[i] = to
	r.mu.Lock()
	r.moves = append(r.moves, move{stripe: b.ID, shard: i, freed: b.freed, old: b.old[i], new: to})
	r.rep.Shards++
	r.mu.Unlock()
	return r.count(ctx, to.Disk, int(to.Length), &r.rep.BytesWrite)
}

// discharge takes note of how a patient fared.
func (r *repair) discharge(ctx context.Context, b *bed) error {
	switch {
	case b.err != nil && ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(b.err, ErrDataLost) && r.freedMeanwhile(ctx, b.stripe, b.freed):
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case b.err == nil:
		r.rep.Stripes++
	case errors.Is(b.err, ErrDataLost):
		r.lost[b.ID] = true
		r.rep.Lost++
	default:
		if r.rep.Left < toldLeft {
			r.c.notify("repair of stripe %x: %v", b.ID, b.err)
		}
		r.rep.Left++
	}
	return nil
}
