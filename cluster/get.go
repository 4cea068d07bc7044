package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/energy"
	"github.com/wattle-storage/wattle/placement"
	"github.com/wattle-storage/wattle/seal"
)

// Stat returns what the catalog knows of an object.
func (c *Cluster) Stat(ctx context.Context, bucket, key string) (Object, error) {
	o, layout, err := c.catalog.lookup(ctx, bucket, key)
	if err != nil {
		return o, err
	}
	return o, c.safety(ctx, &o, layout)
}

// Head returns what the catalog knows of a version of an object, the latest when version is
// empty, without a look at its stripes. When that is a delete marker, it returns it with
// ErrObjectNotFound, or with ErrDeleteMarker when it was asked for by version.
func (c *Cluster) Head(ctx context.Context, bucket, key, version string) (Object, error) {
	o, _, err := c.catalog.find(ctx, bucket, key, version)
	return o, err
}

// safety says how much more an object's worst stripe may lose as the disks stand.
func (c *Cluster) safety(ctx context.Context, o *Object, layout []extent) error {
	o.Scheme = c.config.Scheme.String()
	o.Survives = c.config.Scheme.Tolerates()
	for _, e := range layout {
		for i := uint64(0); i < max(1, uint64(e.Count)); i++ {
			s, err := c.catalog.stripeByID(ctx, e.Stripe+i)
			if err != nil {
				return err
			}
			gone := 0
			for j, ok := range s.have(c.readable) {
				if !ok && s.stored(j) {
					gone++
				}
			}
			if gone == 0 {
				continue
			}
			o.Missing = max(o.Missing, gone)
			o.Survives = min(o.Survives, c.survives(s, c.readable))
		}
	}
	return nil
}

// Get opens an object, or a range of it, for reading. What was looked up stays readable
// until Close, whatever is put, deleted or moved meanwhile.
func (c *Cluster) Get(ctx context.Context, bucket, key string, o GetOptions) (Reader, error) {
	unpin, err := c.pin()
	if err != nil {
		return nil, err
	}
	obj, layout, err := c.catalog.find(ctx, bucket, key, o.Version)
	if err != nil {
		unpin()
		return nil, err
	}
	from, to, err := o.bounds(obj)
	if err == nil && o.Select != nil {
		from, to, err = o.Select(obj)
		to = min(from+to, obj.Size)
	}
	if err != nil {
		unpin()
		return nil, err
	}
	obj.Scheme = c.config.Scheme.String()
	c.serving.Add(1)
	done := func() { c.serving.Add(-1); unpin() }
	ctx, cancel := context.WithCancel(ctx)
	parts := c.parts(layout, from, to)
	b := c.bill(energy.ForGet, energy.Share{Bucket: bucket, Weight: 1, User: o.User})
	return &reader{c: c, bill: b, ctx: b.on(ctx), cancel: cancel, unpin: done, object: obj,
		parts: parts, many: len(parts) > 1, bad: map[placement.DiskID]bool{}}, nil
}

// bounds turns options into a range of the object.
func (o GetOptions) bounds(obj Object) (from, to int64, err error) {
	from, to = o.Offset, obj.Size
	if from < 0 {
		from = max(0, obj.Size+from)
	}
	if from > obj.Size || from == obj.Size && from > 0 {
		return 0, 0, fmt.Errorf("%s/%s has %d bytes, and the range begins at %d: %w", obj.Bucket, obj.Key, obj.Size, from, ErrRange)
	}
	if o.Length > 0 && o.Length < to-from {
		to = from + o.Length
	}
	return from, to, nil
}

// A part is a range of one stripe: of a packed extent, or of the data of a spread one.
type part struct {
	id       uint64
	packed   *extent
	shard    uint32 // column length of a spread stripe, before it was encrypted
	from, to int64
	key      seal.ID // 0: it is not encrypted
	salt     seal.Salt
	stripe   *stripe // nil, or as it was looked up already
}

// parts cuts [from, to) of an object into the stripes that hold it.
func (c *Cluster) parts(layout []extent, from, to int64) []part {
	var list []part
	at := int64(0)
	k := c.config.Scheme.K
	for i := range layout {
		e := &layout[i]
		e.stripes(k, func(id uint64, n int64) {
			a, b := max(from, at), min(to, at+n)
			if a < b {
				p := part{id: id, shard: e.Shard, from: a - at, to: b - at, key: e.Key, salt: e.Salt}
				if e.Count == 0 {
					p.packed = e
				}
				list = append(list, p)
			}
			at += n
		})
	}
	return list
}

// A reader reads parts ahead, two at a time, and hands them out in order. When more is under
// way than the machine has processors it reads each when it is its turn: what others do fills
// the processors, and what was just read is still in the cache of the one that sends it; sound
// stripes it hands on in pieces then.
type reader struct {
	c      *Cluster
	ctx    context.Context
	cancel context.CancelFunc
	unpin  func()
	bill   *bill
	object Object

	parts []part
	many  bool
	ahead []*fetch
	now   *fetch
	err   error

	patient atomic.Bool // the others did not do: ask late disks too

	mu       sync.Mutex
	degraded Degraded                  // guarded by mu
	bad      map[placement.DiskID]bool // guarded by mu
}

// A fetch is a part on its way: columns of bytes, in order.
type fetch struct {
	mem  []byte
	cols [][]byte
	err  error
	done chan struct{}
}

const readAhead = 2

func (r *reader) Object() Object { return r.object }

func (r *reader) Energy() Spent { return r.bill.spent() }

// planned is how many stripes Estimate looks at.
const planned = 4

// Estimate returns what reading will take, by the model and before anything was read: one
// read, after a seek, of each column of the first stripes, from drives that are awake and
// sound, and in proportion for the rest.
func (r *reader) Estimate() Spent {
	s := Spent{Status: energy.Model, Boundary: energy.Boundary}
	total, seen := int64(0), int64(0)
	for i := range r.parts {
		p := &r.parts[i]
		total += p.to - p.from
		if i >= planned {
			continue
		}
		if p.stripe, _ = r.c.catalog.stripeToRead(r.ctx, p.id); p.stripe == nil {
			continue // reading will say why
		}
		s.Joules += r.c.estimate(*p)
		seen += p.to - p.from
	}
	if seen > 0 {
		s.Joules *= float64(total) / float64(seen)
	}
	return s
}

// estimate is what reading a part takes, in joules.
func (c *Cluster) estimate(p part) (joules float64) {
	read := func(i int, n int64) {
		if d := p.stripe.Places[i].Disk; d != none {
			m := energy.MeterOf(c.byID[d].Profile)
			joules += float64(m.Energy(m.Busy(energy.Work{Reads: 1, ReadSeeks: 1, BytesRead: n})).Joules())
		}
	}
	if p.packed != nil {
		if col := int(p.packed.Col); col < len(p.stripe.Places) {
			read(col, p.packed.Len)
		}
		return joules
	}
	order, lo, hi := p.ranges(len(p.stripe.Columns))
	for _, i := range order {
		read(i, int64(hi[i]-lo[i]))
	}
	return joules
}

func (r *reader) Degraded() Degraded {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.degraded
	d.Disks = nil
	for id := range r.bad {
		d.Disks = append(d.Disks, r.c.name(id))
	}
	slices.Sort(d.Disks)
	return d
}

// next makes the next part the current one.
func (r *reader) next() error {
	if r.err != nil {
		return r.err
	}
	r.drop()
	for len(r.ahead) < readAhead && len(r.parts) > 0 {
		crowded := r.c.crowded()
		if crowded && len(r.ahead) > 0 {
			break
		}
		f, p := &fetch{done: make(chan struct{})}, r.parts[0]
		if len(r.ahead) > 0 {
			if f.mem = r.c.pool.try(r.c.need(p)); f.mem == nil {
				break
			}
		} else if f.mem, r.err = r.c.pool.get(r.ctx, r.c.need(p)); r.err != nil {
			return r.err
		}
		mem := f.mem
		r.parts = r.parts[1:]
		r.ahead = append(r.ahead, f)
		if crowded || len(r.ahead) == 1 && len(r.parts) == 0 { // nothing to read meanwhile
			f.cols, f.err = r.fetch(p, mem)
			close(f.done)
			break
		}
		go func() {
			defer close(f.done)
			f.cols, f.err = r.fetch(p, mem)
		}()
	}
	if len(r.ahead) == 0 {
		r.err = io.EOF
		return r.err
	}
	r.now, r.ahead = r.ahead[0], r.ahead[1:]
	<-r.now.done
	r.err = r.now.err
	return r.err
}

// crowded tells whether at least as many reads and writes of objects are under way beside
// one's own as there are processors.
func (c *Cluster) crowded() bool { return c.serving.Load() > int64(c.processors) }

func (r *reader) drop() {
	if r.now != nil && r.now.mem != nil {
		r.c.pool.put(r.now.mem)
	}
	r.now = nil
}

func (r *reader) Read(p []byte) (int, error) {
	for r.now == nil || len(r.now.cols) == 0 {
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.now.cols[0])
	if r.now.cols[0] = r.now.cols[0][n:]; len(r.now.cols[0]) == 0 {
		r.now.cols = r.now.cols[1:]
	}
	return n, nil
}

func (r *reader) WriteTo(w io.Writer) (int64, error) {
	total := int64(0)
	for {
		for r.now != nil && len(r.now.cols) > 0 {
			n, err := w.Write(r.now.cols[0])
			total += int64(n)
			if err != nil {
				return total, err
			}
			r.now.cols = r.now.cols[1:]
		}
		n, err := r.stream(w)
		total += n
		if err == nil && n == 0 {
			err = r.next()
		}
		if err == io.EOF {
			return total, nil
		} else if err != nil {
			return total, err
		}
	}
}

// piece is about how many bytes of a stripe are read, verified and handed on at a time when others
// fill the processors: few enough that they are still in the cache of the one that sends them.
const piece = 512 << 10

// stream hands the next part on in pieces of whole columns, when nothing else is on its way and
// others fill the processors. What it cannot read it leaves to next, which makes it anew.
func (r *reader) stream(w io.Writer) (total int64, err error) {
	if r.err != nil || len(r.ahead) > 0 || len(r.parts) == 0 || !r.c.crowded() {
		return 0, nil
	}
	p := &r.parts[0]
	if !r.streams(p) {
		return 0, nil
	}
	r.drop()
	mem, err := r.c.pool.get(r.ctx, max(piece, int(p.shard)))
	if err != nil {
		return 0, err
	}
	defer r.c.pool.put(mem)
	order, lo, hi := p.ranges(len(p.stripe.Columns))
	r.expect(p.stripe, order, lo, hi, nil)
	for whole := true; whole && len(order) > 0; {
		n := 0
		for len(order) > 0 {
			i := order[0]
			size := hi[i] - lo[i]
			if n+size > len(mem) {
				break
			}
			if whole = r.direct(p.stripe, i, lo[i], mem[n:n+size], false) == nil; !whole {
				break
			}
			n, order = n+size, order[1:]
		}
		sent, err := w.Write(mem[:n])
		total += int64(sent)
		p.from += int64(sent)
		if err != nil {
			return total, err
		}
	}
	if len(order) == 0 {
		r.parts = r.parts[1:]
	}
	return total, nil
}

// streams tells whether a part can be handed on column by column: it is of several, they are
// stored as they are, and none is known to be away.
func (r *reader) streams(p *part) bool {
	if p.packed != nil || p.key != 0 || p.to-p.from <= int64(p.shard) {
		return false
	}
	if p.stripe == nil {
		p.stripe, _ = r.c.catalog.stripeToRead(r.ctx, p.id)
	}
	if p.stripe == nil {
		return false // next will say why
	}
	order, _, _ := p.ranges(len(p.stripe.Columns))
	return !slices.ContainsFunc(order, func(i int) bool {
		d := p.stripe.Places[i].Disk
		return d == none || r.c.disk(d) == nil || r.c.late(d)
	})
}

func (r *reader) Close() error {
	r.cancel()
	r.drop()
	for _, f := range r.ahead {
		<-f.done
		if f.mem != nil {
			r.c.pool.put(f.mem)
		}
	}
	r.ahead = nil
	if r.err == nil {
		r.err = errClosed
	}
	r.unpin()
	r.unpin = func() {}
	return nil
}

// need is the memory to read a part with.
func (c *Cluster) need(p part) int {
	switch {
	case p.packed != nil && p.key != 0: // it opens as a whole
		return int(p.packed.sealed(p.packed.Len))
	case p.packed != nil:
		return int(p.to - p.from)
	case p.key != 0:
		return c.config.Scheme.K * int(seal.Len(int64(p.shard)))
	}
	return inSteps(c.config.Scheme.K * int(p.shard))
}

// fetch reads a part into mem. When an address no longer holds what the catalog said, it
// looks again, since the shard may have moved; only an unchanged address is damage.
func (r *reader) fetch(p part, mem []byte) ([][]byte, error) {
	s, err := p.stripe, error(nil)
	if s == nil {
		s, err = r.c.catalog.stripeToRead(r.ctx, p.id)
	}
	if err != nil {
		return nil, r.wrap(err)
	}
	for try := -1; ; try++ {
		cols, err := r.read(s, p, mem)
		if err == nil {
			return cols, nil
		}
		if r.ctx.Err() != nil {
			return nil, r.ctx.Err()
		}
		if !r.patient.Swap(true) {
			continue
		}
		again, e := r.c.catalog.stripeByID(r.ctx, p.id)
		if e != nil || try == 2 || slices.Equal(again.Places, s.Places) {
			return nil, r.wrap(err)
		}
		s = again
	}
}

func (r *reader) wrap(err error) error {
	return fmt.Errorf("%s/%s: %w", r.object.Bucket, r.object.Key, err)
}

func (r *reader) read(s *stripe, p part, mem []byte) ([][]byte, error) {
	switch {
	case p.packed != nil:
		return r.readPacked(s, p, mem)
	case p.key != 0:
		return r.readSealed(s, p, mem)
	}
	order, lo, hi := p.ranges(len(s.Columns))
	if err := r.readSpread(s, p.shard, order, lo, hi, nil, mem); err != nil {
		return nil, err
	}
	c, first, last := int(p.shard), order[0], order[len(order)-1] // the columns of a range lie end to end
	return [][]byte{mem[first*c+lo[first] : last*c+hi[last]]}, nil
}

// ranges tells which columns of a spread stripe of k columns a part needs, and from where to
// where.
func (p part) ranges(k int) (order, lo, hi []int) {
	c := int64(p.shard)
	lo, hi = make([]int, k), make([]int, k)
	for i := range k {
		a, b := max(p.from-int64(i)*c, 0), min(p.to-int64(i)*c, c)
		if a < b {
			lo[i], hi[i] = int(a), int(b)
			order = append(order, i)
		}
	}
	return order, lo, hi
}

// readPacked reads a packed extent: from its one shard, or rebuilt.
func (r *reader) readPacked(s *stripe, p part, mem []byte) ([][]byte, error) {
	e := p.packed
	col, whole := int(e.Col), mem
	size := e.sealed(e.Len)
	if col >= len(s.Columns) || int64(e.Off)+size > int64(s.Columns[col]) {
		return nil, fmt.Errorf("stripe %x: %w: extent outside its column", s.ID, ErrDataLost)
	}
	if int64(len(whole)) < size { // the sum is of the whole extent
		whole = make([]byte, size)
	}
	good, err := r.c.openPacked(s, e)
	if err != nil {
		return nil, err
	}
	err = r.direct(s, col, int(e.Off), whole, true)
	var plain []byte
	if err == nil {
		plain, err = good(whole)
	}
	if err != nil {
		r.note(s, col, err)
		if plain, err = r.rebuildPacked(s, e, whole, good); err != nil {
			return nil, err
		}
	}
	if int64(len(plain)) < e.Len {
		return nil, fmt.Errorf("stripe %x: %w: extent shorter than its length", s.ID, ErrDataLost)
	}
	return [][]byte{plain[p.from:p.to]}, nil
}

// rebuildPacked makes the bytes of a packed extent anew. Their own sum tells whether they are
// right, so that the others are read without theirs first, and with them only when one of them
// turns out to be bad.
func (r *reader) rebuildPacked(s *stripe, e *extent, whole []byte, good func([]byte) ([]byte, error)) ([]byte, error) {
	r.rebuilt()
	at := spot{s.ID, e.Off, e.Col}
	if r.c.rebuilds.find(at, whole) {
		if plain, err := good(whole); err == nil {
			return plain, nil
		}
	}
	keep := func(p []byte) ([]byte, error) {
		stored := slices.Clone(p) // good decrypts in place
		plain, err := good(p)
		if err == nil {
			r.c.rebuilds.remember(at, stored)
		}
		return plain, err
	}
	want := make([][]byte, len(s.Places))
	want[e.Col] = whole
	if r.rebuild(s, want, int(e.Off), len(whole), nil, true) == nil {
		if plain, err := keep(whole); err == nil {
			return plain, nil
		}
	}
	if err := r.rebuild(s, want, int(e.Off), len(whole), nil, false); err != nil {
		return nil, err
	}
	plain, err := keep(whole)
	if err != nil {
		return nil, fmt.Errorf("stripe %x: %w: rebuilt bytes do not match the object's checksum: %w", s.ID, ErrDataLost, err)
	}
	return plain, nil
}

// openPacked returns what verifies the bytes of a packed extent, decrypts them in place when they are
// to be, and returns them.
func (c *Cluster) openPacked(s *stripe, e *extent) (func([]byte) ([]byte, error), error) {
	var box *seal.Box
	if e.Key != 0 {
		var err error
		if box, err = c.box(e.Key, e.Salt); err != nil {
			return nil, err
		}
	}
	return func(p []byte) ([]byte, error) {
		if packedSum(s.ID, e.Col, e.Off, p) != e.Sum {
			return nil, disks.ErrCorrupt
		}
		if box == nil {
			return p, nil
		}
		plain, err := box.Open(e.place(), p)
		if err != nil {
			err = fmt.Errorf("%w: %w", disks.ErrCorrupt, err)
		}
		return plain, err
	}, nil
}

// readSpread reads ranges of the columns in order, each column c bytes long in mem, and makes
// those anew that cannot be read or that are known to be bad.
func (r *reader) readSpread(s *stripe, c uint32, order, lo, hi []int, bad map[int]bool, mem []byte) error {
	cols := make([][]byte, s.Scheme.N())
	var failed []int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, i := range order {
		cols[i] = mem[i*int(c)+lo[i] : i*int(c)+hi[i]]
	}
	r.expect(s, order, lo, hi, bad)
	read := func(i int) {
		if !bad[i] {
			err := r.direct(s, i, lo[i], cols[i], false)
			if err == nil {
				return
			}
			r.note(s, i, err)
		}
		mu.Lock()
		failed = append(failed, i)
		mu.Unlock()
	}
	if len(order) == 1 || r.many || r.c.crowded() { // of many stripes two are read at the same time anyway
		for _, i := range order {
			read(i)
		}
	} else {
		half := (len(order) + 1) / 2
		for _, part := range [][]int{order[:half], order[half:]} {
			wg.Go(func() {
				for _, i := range part {
					read(i)
				}
			})
		}
		wg.Wait()
	}
	if err := r.ctx.Err(); err != nil {
		return err
	}
	if len(failed) > 0 {
		return r.rebuildSpread(s, cols, lo, hi, failed)
	}
	return nil
}

// expect has the disks of a stripe fetch at the same time what they will be asked for in turn.
func (r *reader) expect(s *stripe, order, lo, hi []int, bad map[int]bool) {
	if len(order) <= 2 { // they are read at the same time
		return
	}
	for _, i := range order {
		p := s.Places[i]
		if bad[i] || p.Disk == none || r.c.late(p.Disk) {
			continue
		}
		if d := r.c.disk(p.Disk); d != nil {
			disks.Expect(d, s.ref(i), lo[i], hi[i]-lo[i])
		}
	}
}

// rebuildSpread makes the failed columns anew over the smallest range that holds them all,
// with what was read already where it covers that range.
func (r *reader) rebuildSpread(s *stripe, cols [][]byte, lo, hi, failed []int) error {
	a, b := lo[failed[0]], hi[failed[0]]
	for _, i := range failed {
		a, b = min(a, lo[i]), max(b, hi[i])
	}
	got := make([][]byte, len(cols))
	for i := range lo {
		if cols[i] == nil || slices.Contains(failed, i) {
			continue
		}
		end := min(b, int(s.size(i)))
		if lo[i] <= a && hi[i] >= end {
			got[i] = cols[i][min(a-lo[i], len(cols[i])):max(min(a-lo[i], len(cols[i])), end-lo[i])]
		}
	}
	r.rebuilt()
	want := make([][]byte, len(cols))
	scratch := map[int][]byte{}
	for _, i := range failed {
		if lo[i] == a {
			want[i] = cols[i]
			continue
		}
		scratch[i] = make([]byte, hi[i]-a)
		want[i] = scratch[i]
	}
	if err := r.rebuild(s, want, a, b-a, got, false); err != nil {
		return err
	}
	for i, p := range scratch {
		copy(cols[i], p[lo[i]-a:])
	}
	return nil
}

// rebuild fills want with bytes from off on of those shards, from others over the range of
// size bytes. got holds the same range of shards that were read already, or nil. Raw, the others
// are not verified, and the result is the caller's to verify.
func (r *reader) rebuild(s *stripe, want [][]byte, off, size int, got [][]byte, raw bool) error {
	if got == nil {
		got = make([][]byte, len(want))
	}
	b := rebuild{c: r.c, s: s, want: want, got: got, off: off, size: size, raw: raw, bad: func(i int, err error) { r.note(s, i, err) }}
	return b.run(r.ctx)
}

// rebuilt counts a stripe for the answer.
func (r *reader) rebuilt() {
	r.mu.Lock()
	r.degraded.Stripes++
	r.mu.Unlock()
}

// note remembers a bad shard for the answer and for repair.
func (r *reader) note(s *stripe, i int, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	r.mu.Lock()
	r.degraded.Shards++
	if d := s.Places[i].Disk; d != none {
		r.bad[d] = true
	}
	r.mu.Unlock()
	r.c.damaged(s, i, err)
}

// direct reads bytes of shard i, unless its disk was late a moment ago: then the others are
// asked first.
func (r *reader) direct(s *stripe, i, off int, dst []byte, raw bool) error {
	if d := s.Places[i].Disk; d != none && !r.patient.Load() && r.c.late(d) {
		return fmt.Errorf("shard %d of stripe %x: disk %s: %w", i, s.ID, r.c.name(d), errLate)
	}
	return r.c.readShard(r.ctx, s, i, off, dst, raw)
}

// readTimeout is how long a disk may take over one read.
func (c *Cluster) readTimeout() time.Duration { return max(5*c.deadline, 5*time.Second) }

// readShard reads bytes of shard i. Zeros beyond a shorter column are not stored and not
// asked for.
func (c *Cluster) readShard(ctx context.Context, s *stripe, i, off int, dst []byte, raw bool) error {
	p := s.Places[i]
	if p.Disk == none {
		return fmt.Errorf("shard %d of stripe %x was never placed: %w", i, s.ID, disks.ErrLost)
	}
	d := c.disk(p.Disk)
	if d == nil {
		return fmt.Errorf("shard %d of stripe %x: disk %s: %w", i, s.ID, c.name(p.Disk), disks.ErrLost)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.readTimeout(), errLate)
	defer cancel()
	read := d.Read
	if raw {
		read = d.ReadRaw
	}
	if err := read(ctx, s.ref(i), off, dst); err != nil {
		if context.Cause(ctx) == errLate {
			c.suspect(p.Disk, errLate)
			err = errLate
		}
		return fmt.Errorf("shard %d of stripe %x: disk %s: %w", i, s.ID, c.name(p.Disk), err)
	}
	return nil
}

// assemble writes the bytes of a layout to w. Stripes are as find gives them, without the
// catalog.
func (c *Cluster) assemble(ctx context.Context, layout []extent, find func(id uint64) (*stripe, error), w io.Writer) error {
	total := int64(0)
	for _, e := range layout {
		total += e.Len
	}
	r := &reader{c: c, ctx: ctx, bad: map[placement.DiskID]bool{}}
	r.patient.Store(true)
	for _, p := range c.parts(layout, 0, total) {
		s, err := find(p.id)
		if err != nil {
			return err
		}
		cols, err := r.read(s, p, make([]byte, c.need(p)))
		if err != nil {
			return err
		}
		for _, col := range cols {
			if _, err := w.Write(col); err != nil {
				return err
			}
		}
	}
	return nil
}
