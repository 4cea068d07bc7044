package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/seal"
)

var (
	errPower    = errors.New("power is off")
	errInjected = errors.New("input/output error (injected)")
)

// A world is the machine that a simulated cluster runs on: its disks, the file system under
// each, the power, and the clock of a synctest bubble. Every call that reaches a disk or
// commits to the catalog waits at the gate until the scheduler, when nothing else can run,
// lets one through; so the order of all that happens follows from the seed.
type world struct {
	fs    map[int32]*disks.MemFS
	first int64 // size of a disk's first segment
	bug   *mutant
	s     *simulation
	keys  seal.Ring // of a cluster that is encrypted

	coded atomic.Int64 // calls of threadTime

	mu     sync.Mutex
	rng    *rand.Rand           // guarded by mu; of the step that runs
	state  map[int32]*diskState // guarded by mu
	open   map[int32]*simDisk   // guarded by mu; of this era
	calls  []*call              // guarded by mu; at the gate, in order of disk, kind and shard
	era    int                  // guarded by mu; counts the processes
	off    bool                 // guarded by mu; the power is
	cut    int                  // guarded by mu; calls until the power goes off; 0 for never
	events int                  // guarded by mu
	sum    uint64               // guarded by mu; of the events, for replays
	last   [64]event            // guarded by mu
	record bool
	all    []event // guarded by mu; with record
}

// A diskState is what is wrong with a disk; the zero state is nothing.
type diskState struct {
	lost, full bool
	slow       time.Duration
	failing    map[string]int // by call of the file system: calls until one fails, or -1 for all
	err        error          // what those fail with
}

// An event is one call that was let through.
type event struct {
	op      string
	disk    int32
	a, b    uint64
	verdict error
}

// A call waits at the gate.
type call struct {
	disk    int32 // -1 for the catalog
	op      string
	a, b    uint64 // what it is about
	at      time.Time
	reserve bool   // an append that may use the space kept for it
	land    func() // does what the call would do, when the power goes off in the midst of it
	answer  chan error
}

func newWorld(first int64) *world {
	return &world{fs: map[int32]*disks.MemFS{}, first: first, state: map[int32]*diskState{}, open: map[int32]*simDisk{}}
}

func (c *call) compare(d *call) int {
	for _, x := range [][2]uint64{{uint64(c.disk + 1), uint64(d.disk + 1)}, {uint64(c.op[0]), uint64(d.op[0])}, {c.a, d.a}, {c.b, d.b}} {
		if x[0] != x[1] {
			if x[0] < x[1] {
				return -1
			}
			return 1
		}
	}
	return 0
}

// ask waits at the gate for the verdict about a call of an era. A call that ends with its
// context is withdrawn, unless it writes: a write that hangs in the kernel lands later.
func (w *world) ask(ctx context.Context, era int, c *call) error {
	w.mu.Lock()
	if w.off || era != w.era {
		w.mu.Unlock()
		return errPower
	}
	c.at, c.answer = time.Now(), make(chan error, 1)
	i, _ := slices.BinarySearchFunc(w.calls, c, func(d, c *call) int {
		if d.compare(c) <= 0 {
			return -1 // after those that are equal
		}
		return 1
	})
	w.calls = slices.Insert(w.calls, i, c)
	w.mu.Unlock()
	if c.land != nil {
		return <-c.answer
	}
	select {
	case err := <-c.answer:
		return err
	case <-ctx.Done():
		w.mu.Lock()
		defer w.mu.Unlock()
		if i := slices.Index(w.calls, c); i >= 0 {
			w.calls = slices.Delete(w.calls, i, i+1)
		}
		return ctx.Err()
	}
}

// turn waits until nothing can run by itself and lets one call through, or some time pass
// when none may go; idle is how many turns in a row had none.
func (w *world) turn(idle *int) {
	synctest.Wait()
	w.mu.Lock()
	now, ready := time.Now(), w.calls
	if slices.ContainsFunc(w.calls, func(c *call) bool { return w.held(c, now) }) {
		ready = nil
		for _, c := range w.calls {
			if !w.held(c, now) {
				ready = append(ready, c)
			}
		}
	}
	if len(ready) == 0 {
		w.mu.Unlock()
		*idle++
		time.Sleep(min(time.Millisecond<<min(*idle, 20), 200*time.Millisecond))
		return
	}
	*idle = 0
	c := ready[w.rng.IntN(len(ready))]
	i := slices.Index(w.calls, c)
	w.calls = slices.Delete(w.calls, i, i+1)
	err := w.verdict(c)
	w.log(event{c.op, c.disk, c.a, c.b, err})
	if w.cut > 0 {
		if w.cut--; w.cut == 0 {
			w.calls = slices.Insert(w.calls, 0, c)
			w.powerOff()
			w.mu.Unlock()
			return
		}
	}
	w.mu.Unlock()
	c.answer <- err
}

func (w *world) held(c *call, now time.Time) bool {
	if c.disk < 0 {
		return false
	}
	slow := w.state[c.disk].slow
	return slow > 0 && now.Sub(c.at) < slow
}

func (w *world) verdict(c *call) error {
	if c.disk < 0 {
		return nil
	}
	switch st := w.state[c.disk]; {
	case st.lost:
		return disks.ErrLost
	case st.full && c.op == "append" && !c.reserve:
		return disks.ErrFull
	}
	return nil
}

func (w *world) log(e event) {
	w.last[w.events%len(w.last)] = e
	if w.record {
		w.all = append(w.all, e)
	}
	w.events++
	for _, v := range []uint64{uint64(e.op[0]), uint64(e.disk), e.a, e.b} {
		w.sum = (w.sum ^ v) * 0x100000001b3
	}
	if e.verdict != nil {
		w.sum++
	}
}

// powerOff fails all that waits and all that comes. w.mu is held.
func (w *world) powerOff() {
	w.off, w.cut = true, 0
	w.end()
}

// end answers what waits at the gate when a process ends: some of the writes on their way
// still reach the file system, where a crash may lose or tear them. w.mu is held.
func (w *world) end() {
	calls := w.calls
	w.calls = nil
	for _, c := range calls {
		if c.land != nil && w.verdict(c) == nil && w.rng.IntN(2) == 0 {
			w.mu.Unlock()
			c.land()
			w.mu.Lock()
		}
		c.answer <- errPower
	}
}

// restart begins the next era; after the power went off, what was not synced is lost, torn or
// kept.
func (w *world) restart() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.era++
	w.end()
	if w.off {
		for _, n := range slices.Sorted(maps.Keys(w.fs)) {
			w.fs[n].Crash(w.rng)
		}
	}
	w.off, w.open = false, map[int32]*simDisk{}
}

// fault is what the file system of disk n asks before each call.
func (w *world) fault(n int32) func(disks.FSCall) error {
	return func(c disks.FSCall) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		st := w.state[n]
		left, ok := st.failing[c.Op]
		switch {
		case !ok:
			return nil
		case left < 0:
			return st.err
		}
		if left--; left > 0 {
			st.failing[c.Op] = left
			return nil
		}
		delete(st.failing, c.Op)
		return st.err
	}
}

// set replaces what is wrong with a disk.
func (w *world) set(n int32, st diskState) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*w.state[n] = st
}

// flip flips a bit of the n bytes behind the header of a shard.
func (w *world) flip(rng *rand.Rand, disk int32, e disks.Entry, n int) {
	at := int64(e.Offset) + int64(disks.HeaderSize(int(e.K))) + rng.Int64N(int64(n))
	w.fs[disk].Flip(fmt.Sprintf("segments/%08d.seg", e.Segment), at, rng.IntN(8)) //nolint:errcheck // a torn shard may end before
}

// change runs a change of the catalog when the gate opens.
func (w *world) change(era int) around {
	return func(change func() error) error {
		if err := w.ask(context.Background(), era, &call{disk: -1, op: "catalog"}); err != nil {
			return err
		}
		if w.bug.change != nil {
			return w.bug.change(w.s, change)
		}
		return change()
	}
}

// commit is asked before each commit of the catalog.
func (w *world) commit(era int) func() error {
	return func() error { return w.ask(context.Background(), era, &call{disk: -1, op: "commit", a: 1}) }
}

// options open a cluster in this world.
func (w *world) options() Options {
	w.mu.Lock()
	defer w.mu.Unlock()
	return Options{Open: w, Keys: w.keys, around: w.change(w.era), watch: w.commit(w.era), threadTime: w.threadTime}
}

// threadTime is as if coding always took the same: else the ledger, and what a checkpoint takes
// of it, would be of other lengths each time.
func (w *world) threadTime() (time.Duration, bool) {
	return time.Duration(w.coded.Add(1)) * 10 * time.Microsecond, true
}

// The world makes, opens and lists disks.

func (w *world) Create(id disks.Identity) (disks.Disk, error) {
	w.mu.Lock()
	if w.fs[id.Number] != nil {
		w.mu.Unlock()
		return nil, &fs.PathError{Op: "create", Path: id.Disk, Err: fs.ErrExist}
	}
	f := disks.NewMemFS()
	w.fs[id.Number], w.state[id.Number] = f, &diskState{}
	w.mu.Unlock()
	f.SetFault(w.fault(id.Number))
	return disks.CreateMem(f, id)
}

// Remove takes a disk away for good.
func (w *world) Remove(id disks.Identity) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.fs, id.Number)
	return nil
}

func (w *world) Open(id disks.Identity, readOnly bool) (disks.Disk, error) {
	w.mu.Lock()
	era, f := w.era, w.fs[id.Number]
	lost := f == nil || w.state[id.Number].lost
	w.mu.Unlock()
	if lost {
		return nil, disks.ErrLost
	}
	d, err := disks.OpenMem(f, disks.Options{ReadOnly: readOnly, FirstSegment: w.first})
	if err != nil {
		return nil, err
	}
	s := &simDisk{inner: d, w: w, n: id.Number, era: era}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !readOnly {
		w.open[id.Number] = s
	}
	return s, nil
}

func (w *world) List() ([]disks.Identity, error) {
	var list []disks.Identity
	for _, n := range slices.Sorted(maps.Keys(w.fs)) {
		w.mu.Lock()
		lost := w.state[n].lost
		w.mu.Unlock()
		if lost {
			continue
		}
		if d, err := disks.OpenMem(w.fs[n], disks.Options{ReadOnly: true}); err == nil {
			list = append(list, d.Identity())
			d.Close()
		}
	}
	return list, nil
}

type inner = disks.Segments

// A simDisk is a disk of an era, behind the gate.
type simDisk struct {
	*inner
	w   *world
	n   int32
	era int
}

func (d *simDisk) ask(ctx context.Context, op string, a, b uint64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return d.w.ask(ctx, d.era, &call{disk: d.n, op: op, a: a, b: b})
}

func (d *simDisk) Append(ctx context.Context, shards []disks.Shard, o disks.AppendOptions) ([]disks.Address, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if d.w.bug.shard != nil {
		shards = slices.Clone(shards)
		for i := range shards {
			d.w.bug.shard(&shards[i])
		}
	}
	c := &call{disk: d.n, op: "append", a: shards[0].Stripe, b: uint64(shards[0].Index), reserve: o.UseReserve}
	c.land = func() { d.inner.Append(context.Background(), shards, o) } //nolint:errcheck // nobody is there to hear it
	if err := d.w.ask(ctx, d.era, c); err != nil {
		return nil, err
	}
	return d.inner.Append(context.WithoutCancel(ctx), shards, o)
}

func (d *simDisk) sync(ctx context.Context, f func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c := &call{disk: d.n, op: "sync", land: func() { f(context.Background()) }} //nolint:errcheck // as above
	if err := d.w.ask(ctx, d.era, c); err != nil {
		return err
	}
	return f(context.WithoutCancel(ctx))
}

func (d *simDisk) Sync(ctx context.Context) error {
	if bug := d.w.bug.sync; bug != nil {
		return d.sync(ctx, func(ctx context.Context) error { return bug(d, func() error { return d.inner.Sync(ctx) }) })
	}
	return d.sync(ctx, d.inner.Sync)
}

func (d *simDisk) Harden(ctx context.Context) error {
	return d.sync(ctx, d.inner.Harden)
}

func (d *simDisk) Doubtful(a disks.Address) bool { return !d.w.bug.kept && d.inner.Doubtful(a) }

func (d *simDisk) Read(ctx context.Context, r disks.Ref, off int, dst []byte) error {
	if err := d.ask(ctx, "read", r.Stripe, uint64(r.Index)); err != nil {
		return err
	}
	if d.w.bug.read != nil {
		return d.w.bug.read(d, r, off, dst)
	}
	return d.inner.Read(ctx, r, off, dst)
}

func (d *simDisk) ReadBulk(ctx context.Context, list []*disks.Want) {
	err := d.ask(ctx, "read", list[0].Stripe, uint64(list[0].Index))
	if err == nil && d.w.bug.read == nil {
		d.inner.ReadBulk(ctx, list)
		return
	}
	for _, w := range list {
		if w.Err = err; err == nil {
			w.Err = d.w.bug.read(d, w.Ref, 0, w.Data)
		}
		if w.Whole && w.Err == nil {
			w.Header, w.Journal, w.Err = d.inner.ReadJournal(ctx, w.Address)
		}
	}
}

func (d *simDisk) ReadRaw(ctx context.Context, r disks.Ref, off int, dst []byte) error {
	if err := d.ask(ctx, "read", r.Stripe, uint64(r.Index)); err != nil {
		return err
	}
	return d.inner.ReadRaw(ctx, r, off, dst)
}

func (d *simDisk) ReadShard(ctx context.Context, a disks.Address) (disks.Shard, error) {
	if err := d.ask(ctx, "read", uint64(a.Segment), uint64(a.Offset)); err != nil {
		return disks.Shard{}, err
	}
	return d.inner.ReadShard(ctx, a)
}

func (d *simDisk) ReadJournal(ctx context.Context, a disks.Address) (disks.Header, []byte, error) {
	if err := d.ask(ctx, "read", uint64(a.Segment), uint64(a.Offset)); err != nil {
		return disks.Header{}, nil, err
	}
	return d.inner.ReadJournal(ctx, a)
}

func (d *simDisk) Free(ctx context.Context, list []disks.Address, keepJournal bool) error {
	if len(list) == 0 {
		return nil
	}
	least := slices.MinFunc(list, func(a, b disks.Address) int {
		return cmp.Or(cmp.Compare(a.Segment, b.Segment), cmp.Compare(a.Offset, b.Offset))
	})
	if err := d.ask(ctx, "free", uint64(least.Segment), uint64(least.Offset)); err != nil {
		return err
	}
	return d.inner.Free(ctx, list, keepJournal)
}

func (d *simDisk) Scan(ctx context.Context, yield func(disks.Entry) error) error {
	if err := d.ask(ctx, "list", 0, 0); err != nil {
		return err
	}
	return d.inner.Scan(ctx, yield)
}

func (d *simDisk) Newest(ctx context.Context) (disks.Header, bool, error) {
	if err := d.ask(ctx, "newest", 0, 0); err != nil {
		return disks.Header{}, false, err
	}
	return d.inner.Newest(ctx)
}

func (d *simDisk) Check(ctx context.Context, segment uint32, pace func(n int) error, yield func(disks.Checked) error) error {
	if err := d.ask(ctx, "list", uint64(segment), 0); err != nil {
		return err
	}
	return d.inner.Check(ctx, segment, pace, yield)
}

// tail is the last events, for people.
func (w *world) tail(n int) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []string
	for i := max(0, w.events-min(n, len(w.last))); i < w.events; i++ {
		e := w.last[i%len(w.last)]
		list = append(list, fmt.Sprintf("event %d: %s disk %d %x %x: %v", i, e.op, e.disk, e.a, e.b, e.verdict))
	}
	return list
}
