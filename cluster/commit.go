package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/placement"
)

// Limits of a batch. They bound memory and the time that its last request waits.
const (
	batchBytes   = 8 << 20
	batchRecords = 4096
	batchJournal = 1 << 20
)

// A request is one change on its way into a batch.
type request struct {
	rec  record
	data []byte // bytes to pack: an object of up to packLimit, or the end of a larger one

	// of a large object: stripes on the disks already, the last one still in memory, and
	// the disks that hold what is not synced yet
	written []*stripe
	tail    *buffer
	dirty   map[placement.DiskID]bool

	bill *bill        // of what a large object used before the batch
	user string       // who asked, "" when nobody known did
	room *Reservation // nil, or what ends when the batch is counted

	many []*request // in place of all else: requests that go into one batch
	done chan result
}

type result struct {
	object Object
	err    error
}

// submit hands a request to the committer and waits until it is durable or refused. Once
// the committer has taken a request it finishes it, whatever becomes of ctx.
func (c *Cluster) submit(ctx context.Context, r *request) (Object, error) {
	if c.readOnly {
		return Object{}, ErrReadOnly
	}
	r.done = make(chan result, 1)
	c.submitting.Add(1)
	defer c.submitting.Add(-1)
	select {
	case c.requests <- r:
	case <-ctx.Done():
		return Object{}, ctx.Err()
	case <-c.closing:
		return Object{}, errClosed
	}
	res := <-r.done
	return res.object, res.err
}

var errClosed = errors.New("the cluster is closed")

// commitLoop takes requests into batches and commits batch after batch.
func (c *Cluster) commitLoop() {
	defer close(c.committerDone)
	var expected int       // requests that are likely to come soon
	var took time.Duration // to commit the last batch
	for {
		batch, ok := c.gather(expected, min(took/4, maxLinger))
		if !ok {
			if c.tried || c.unsaid >= sayAtClose {
				c.commit([]*request{{rec: record{Kind: recFence, Time: c.now()}, done: make(chan result, 1)}}, func() {})
				c.mark()
			}
			return
		}
		start := time.Now()
		c.commit(batch, func() { expected = int(c.submitting.Load()) })
		took = time.Since(start)
		c.mark()
		c.reap()
	}
}

// mark has the disks that hold the journal of the last batch remember that it was committed,
// without a sync: else a catalog that lacks only that batch would look like one that never
// committed it, and recovery would have to read all of it.
func (c *Cluster) mark() {
	if c.carrier == nil {
		return
	}
	for i, p := range c.carrier.Places {
		if d, ok := c.disk(p.Disk).(disks.Marker); ok && c.carrier.carries(i) {
			d.Mark(disks.Mark{Incarnation: c.incarnation, Committed: c.committed.Load()}) //nolint:errcheck // a hint
		}
	}
	c.carrier = nil
}

// maxLinger bounds the wait for company.
const maxLinger = 5 * time.Millisecond

// gather waits for a first request and takes with it all that wait, then waits up to linger
// until as many as are expected have come: whoever was answered a moment ago may have more.
// Without that, clients fall into two halves of which one waits for the other's batch.
func (c *Cluster) gather(expected int, linger time.Duration) ([]*request, bool) {
	var batch []*request
	bytes, journal := 0, 0
	var add func(r *request)
	add = func(r *request) {
		if r.many != nil {
			for _, one := range r.many {
				add(one)
			}
			return
		}
		batch = append(batch, r)
		bytes += len(r.data)
		journal += 64 + len(r.rec.Key) + 24*len(r.rec.Layout) + metaBytes(r.rec.Meta) + r.rec.more()
	}
	full := func() bool { return bytes >= batchBytes || journal >= batchJournal || len(batch) >= batchRecords }
	select {
	case r := <-c.requests:
		add(r)
	case <-c.closing:
		select {
		case r := <-c.requests:
			add(r)
		default:
			return nil, false
		}
	}
	var timer <-chan time.Time
	for !full() {
		select {
		case r := <-c.requests:
			add(r)
			continue
		default:
		}
		if len(batch) >= expected || linger <= 0 {
			break
		}
		if timer == nil {
			timer = time.After(linger)
		}
		select {
		case r := <-c.requests:
			add(r)
		case <-timer:
			return batch, true
		}
	}
	return batch, true
}

func metaBytes(m map[string]string) int {
	n := 0
	for k, v := range m {
		n += len(k) + len(v) + 2
	}
	return n
}

// commit makes a batch durable and answers its requests; before the first answer it calls
// answering. When the batch cannot be written whole, each request is tried alone, so that
// one that is too much does not take others with it.
func (c *Cluster) commit(batch []*request, answering func()) {
	results, err := c.tryCommit(batch)
	answering()
	switch {
	case err == nil:
		for i, r := range batch {
			r.done <- results[i]
		}
	case len(batch) == 1:
		batch[0].done <- result{err: err}
	default:
		for _, r := range batch {
			if r.rec.Kind == recMoved { // alone it would take more space than it frees
				r.done <- result{err: err}
				continue
			}
			c.commit([]*request{r}, answering)
		}
	}
}

func (c *Cluster) tryCommit(batch []*request) ([]result, error) {
	if err := c.uncertain.Load(); err != nil { // another batch would say of the last one that it was given up
		return nil, *err
	}
	if slices.ContainsFunc(batch, func(r *request) bool { return r.rec.gives() }) {
		c.makeRoom()
	}
	seq, err := c.nextSequence()
	if err != nil {
		return nil, err
	}
	bill := c.batchBill(batch)
	packed := c.packBatch(batch, bill)
	stripes := packed
	dirty := map[placement.DiskID]bool{}
	for _, r := range batch {
		if r.tail != nil {
			stripes = append(stripes, r.tail)
		}
		for d := range r.dirty {
			dirty[d] = true
		}
	}
	if len(stripes) == 0 {
		packed = []*buffer{newBuffer(c.stripeID(), c.config.Scheme, make([]uint32, c.config.Scheme.K), nil)}
		stripes = packed
	}
	records := make([]record, 0, len(batch))
	for _, r := range batch {
		records = append(records, r.rec)
	}
	carrier := stripes[0]
	carrier.journal = c.sealJournal(encodeJournal(records), seq)
	carrier.Journal = uint32(len(carrier.journal))
	takes := slices.ContainsFunc(records, func(r record) bool { return r.Kind == recPut || r.Kind == recPart })
	for _, b := range stripes {
		b.Key = c.sealing()
		b.Seq, b.reserve = seq, !takes // deletes and compaction must go on when the disks are full
	}
	defer func() {
		for _, b := range packed {
			c.release(b)
		}
	}()
	ended := make(chan error, 1)
	go func() {
		err := c.store(bill.on(context.Background()), stripes, true, dirty, nil)
		if err == nil {
			err = c.settle(batch, dirty)
		}
		ended <- err
	}()
	stored := sync.OnceValue(func() error { return <-ended })
	results, err := c.record(batch, stripes, records, seq, stored)
	if e := stored(); e != nil {
		err = e // record may have ended before it came to ask
	}
	if errors.Is(err, errUncertain) { // its shards stay: the catalog may name them
		return nil, err
	}
	if err != nil {
		c.abort(stripes, carrier)
		return nil, err
	}
	c.outbox.add(shipment{seq: seq, before: c.committed.Load(), time: c.now(), incarnation: c.incarnation, journal: carrier.journal})
	c.committed.Store(seq)
	c.carrier = carrier.stripe
	bill.divide(batch, results)
	c.commits.Add(1)
	c.tried, c.unsaid = false, batchSize(batch, stripes)
	for _, r := range batch {
		if r.tail != nil {
			c.release(r.tail)
		}
	}
	return results, nil
}

// sayAtClose is the size of a last batch from which on closing commits a fence after it.
// Without one nothing on the disks says that it was committed, and recovery has to verify all
// of it.
const sayAtClose = 1 << 20

// batchSize is the bytes of the data that a batch stored.
func batchSize(batch []*request, stripes []*buffer) int64 {
	n := int64(0)
	add := func(s *stripe) {
		for _, size := range s.Columns {
			n += int64(size)
		}
	}
	for _, b := range stripes {
		add(b.stripe)
	}
	for _, r := range batch {
		for _, s := range r.written {
			add(s)
		}
	}
	return n
}

// sequenceBlock is how many sequences are reserved at a time.
const sequenceBlock = 1024

// nextSequence returns a sequence that no batch ever had, not even one of a process that
// crashed: what the catalog has not reserved is not used. Since batches are decided one
// after another, the next carrier of a journal, by naming the newest sequence committed
// before, tells recovery that all between that and its own were given up.
func (c *Cluster) nextSequence() (uint64, error) {
	seq := c.sequence.Load() + 1
	if seq > c.reserved {
		next := seq + sequenceBlock
		if err := c.catalog.update(context.Background(), func(t *tx) error { return t.setNumber("reserved", next) }); err != nil {
			return 0, err
		}
		c.reserved = next
	}
	c.sequence.Store(seq)
	return seq, nil
}

// abort frees what was written of a batch that was given up.
func (c *Cluster) abort(stripes []*buffer, carrier *buffer) {
	c.tried = true
	scrap := make([]*stripe, len(stripes))
	for i, b := range stripes {
		scrap[i] = b.stripe
	}
	c.scrap(scrap)
	carrier.journal, carrier.Journal = nil, 0
}

// settle checks the stripes of large objects that were written before the batch, after the
// sync of their disks: shards on a disk whose sync failed are not there, nor those whose
// segment broke before, on behalf of somebody else.
func (c *Cluster) settle(batch []*request, synced map[placement.DiskID]bool) error {
	for _, r := range batch {
		for _, s := range r.written {
			for i, p := range s.Places {
				if p.Disk != none && (!synced[p.Disk] || c.doubtful(p)) {
					s.Places[i] = place{Disk: none}
				}
			}
			if err := c.enough(s); err != nil {
				return err
			}
		}
	}
	return nil
}

// doubtful tells whether a shard was on a disk when a sync failed that it had waited for.
func (c *Cluster) doubtful(p place) bool {
	d := c.disk(p.Disk)
	return d == nil || disks.Doubtful(d, p.Address)
}

// record commits the catalog's part of a batch. The changes are made while the disks still
// sync, and committed only after stored has told that all is on them.
func (c *Cluster) record(batch []*request, stripes []*buffer, records []record, seq uint64, stored func() error) ([]result, error) {
	results := make([]result, len(batch))
	var gained map[string]Usage
	err := c.catalog.update(context.Background(), func(t *tx) error {
		t.seq = seq
		defer func() { gained = t.gained }()
		for _, b := range stripes {
			t.addStripe(b.stripe)
		}
		for _, r := range batch {
			for _, s := range r.written {
				s.Seq = seq
				t.addStripe(s)
			}
		}
		for i, r := range records {
			o, fatal, err := t.apply(r, i)
			if fatal {
				return err
			}
			if i < len(batch) {
				results[i] = result{o, err}
			}
		}
		if err := t.setNumber("sequence", seq); err != nil {
			return err
		}
		if err := stored(); err != nil {
			return err
		}
		return c.book.ride(c, t, seq)
	})
	if err != nil {
		if n, e := c.catalog.number("sequence"); e != nil || n != seq {
			c.book.kept(c, false)
			if errors.Is(err, errUncertain) {
				c.uncertain.Store(&err)
			}
			return nil, err // rolled back, or nobody knows
		}
	}
	c.book.kept(c, true)
	c.usage.add(gained, batch)
	c.settings.forget(records)
	by := map[uint64]*stripe{}
	for _, b := range stripes {
		by[b.ID] = b.stripe
	}
	for i, r := range batch {
		if results[i].err == nil && (r.rec.Kind == recPut || r.rec.Kind == recPart) {
			c.describe(&results[i].object, r, by)
		}
	}
	return results, nil
}

// describe adds to a put's answer what its write left out.
func (c *Cluster) describe(o *Object, r *request, by map[uint64]*stripe) {
	o.Scheme = c.config.Scheme.String()
	o.Survives = c.config.Scheme.Tolerates()
	look := func(s *stripe) {
		if s == nil || s.missing() <= o.Missing {
			return
		}
		o.Missing = s.missing()
		o.Survives = c.survives(s, func(placement.DiskID) bool { return true })
	}
	for _, s := range r.written {
		look(s)
	}
	for _, e := range r.rec.Layout {
		look(by[e.Stripe])
	}
}

// packBatch packs the bytes of the batch's requests into stripes, codes them, and
// completes the requests' layouts.
func (c *Cluster) packBatch(batch []*request, bill *bill) []*buffer {
	var items []*request
	var sizes []int
	for _, r := range batch {
		r.rec.Layout = r.rec.Layout[:r.spreadExtents()]
		if len(r.data) > 0 {
			items = append(items, r)
			sizes = append(sizes, c.packedLen(len(r.data)))
		}
	}
	if len(items) == 0 {
		return nil
	}
	scheme := c.config.Scheme
	k := width(sizes, scheme.K)
	if slices.ContainsFunc(items, func(r *request) bool { return r.rec.Kind == recMoved }) {
		k = scheme.K // packed to stay: parity as short as can be
	}
	slots, columns := pack(sizes, k, c.shard)
	for i := range columns {
		columns[i] = append(columns[i], make([]uint32, scheme.K-len(columns[i]))...)
	}
	buffers := make([]*buffer, len(columns))
	for i, cols := range columns {
		n := stripeBytes(scheme, cols)
		if mem := c.pool.try(inSteps(n)); mem != nil {
			buffers[i] = newBuffer(c.stripeID(), scheme, cols, mem)
			continue
		}
		buffers[i] = newBuffer(c.stripeID(), scheme, cols, make([]byte, n)) // requests wait: this must not
		buffers[i].mem = nil
	}
	for i, r := range items {
		s, b := slots[i], buffers[slots[i].Stripe]
		r.rec.Layout = append(r.rec.Layout, c.packInto(b.shards[s.Col], extent{Stripe: b.ID, Col: uint8(s.Col), Off: s.Off, Len: int64(len(r.data))}, r.data))
	}
	code := c.code(scheme)
	for _, b := range buffers {
		if err := bill.coding(func() error { return code.Encode(b.shards) }); err != nil {
			panic(fmt.Sprintf("encode a packed stripe: %v", err)) // its shape is ours
		}
	}
	return buffers
}

// width is how many columns a batch is packed into. A disk that is written to must be
// synced, which costs as much as some ten KiB: what comes in small batches goes to few.
func width(sizes []int, k int) int {
	total := 0
	for _, n := range sizes {
		total += n
	}
	return min(k, total/columnGoal+1)
}

const columnGoal = 32 << 10

// spreadExtents counts the extents that the stream made; those after it are of a batch
// that was given up.
func (r *request) spreadExtents() int {
	n := 0
	for n < len(r.rec.Layout) && r.rec.Layout[n].Count > 0 {
		n++
	}
	return n
}
