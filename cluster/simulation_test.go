package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/placement"
)

var errPower = errors.New("power is off")

// A power cuts all disks and the catalog off after a number of calls.
type power struct {
	mu   sync.Mutex
	left int // calls until it goes off; below 0: never
	off  bool
}

func (p *power) call(string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left > 0 {
		p.left--
	}
	p.off = p.off || p.left == 0
	if p.off {
		return errPower
	}
	return nil
}

// armed tells whether the power is still to go off.
func (p *power) armed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.left >= 0
}

func (p *power) set(left int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left, p.off = left, false
}

// memDisks opens disks in memory, each wrapped to fail on demand.
type memDisks struct {
	mu     sync.Mutex
	fs     map[int32]*disks.MemFS
	open   map[int32]*disks.Faulty
	faults map[int32]disks.Fault
	power  *power
}

func newMemDisks() *memDisks {
	return &memDisks{fs: map[int32]*disks.MemFS{}, open: map[int32]*disks.Faulty{}, faults: map[int32]disks.Fault{}, power: &power{left: -1}}
}

func (m *memDisks) Create(id disks.Identity) (disks.Disk, error) {
	m.mu.Lock()
	m.fs[id.Number] = disks.NewMemFS()
	f := m.fs[id.Number]
	m.mu.Unlock()
	return disks.CreateMem(f, id)
}

func (m *memDisks) Open(id disks.Identity, readOnly bool) (disks.Disk, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.faults[id.Number].Lost {
		return nil, disks.ErrLost
	}
	d, err := disks.OpenMem(m.fs[id.Number], disks.Options{ReadOnly: readOnly})
	if err != nil {
		return nil, err
	}
	f := disks.NewFaulty(d, m.power.call)
	f.Set(m.faults[id.Number])
	m.open[id.Number] = f
	return f, nil
}

func (m *memDisks) List() ([]disks.Identity, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []disks.Identity
	for n, f := range m.fs {
		if m.faults[n].Lost {
			continue
		}
		d, err := disks.OpenMem(f, disks.Options{ReadOnly: true})
		if err != nil {
			continue
		}
		list = append(list, d.Identity())
	}
	slices.SortFunc(list, func(a, b disks.Identity) int { return int(a.Number - b.Number) })
	return list, nil
}

func (m *memDisks) set(n int32, f disks.Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults[n] = f
	if d := m.open[n]; d != nil {
		d.Set(f)
	}
}

// A simulation drives a cluster with a model beside it. All that happens follows from the
// seed, but for the order of goroutines.
type simulation struct {
	t    *testing.T
	rng  *rand.Rand
	dir  string
	m    *memDisks
	c    *Cluster
	want map[string][]byte // what is acknowledged
	// refused holds the outcomes of changes that failed since the last one that did not: until
	// a later batch is committed, Recover may find one whole on the disks and keep it, and says so.
	refused map[string][][]byte
	down    map[int32]bool // disks with a fault
	log     []string

	deadline time.Duration // short in some runs, so that sound disks are late
}

func (s *simulation) note(format string, a ...any) {
	s.log = append(s.log, fmt.Sprintf(format, a...))
}

func (s *simulation) fatal(format string, a ...any) {
	s.t.Helper()
	for _, l := range s.log[max(0, len(s.log)-25):] {
		s.t.Log(l)
	}
	s.t.Fatalf(format, a...)
}

func (s *simulation) open() {
	c, err := Open(ctx, s.dir, Options{Open: s.m, Deadline: s.deadline})
	if err != nil {
		s.fatal("open: %v", err)
	}
	c.beforeCommit = func() error { return s.m.power.call("commit") }
	s.c = c
}

// TestSimulation puts, overwrites, copies, deletes and reads while disks and sites fail and
// return and the power goes off at any call, and holds what is read against a map.
// WATTLE_SIM_SEED and WATTLE_SIM_STEPS choose a run.
func TestSimulation(t *testing.T) {
	steps, seeds := 120, []uint64{1, 2, 3, 4}
	if v, err := strconv.Atoi(os.Getenv("WATTLE_SIM_STEPS")); err == nil {
		steps = v
	}
	if v, err := strconv.ParseUint(os.Getenv("WATTLE_SIM_SEED"), 10, 64); err == nil {
		seeds = []uint64{v}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			simulate(t, seed, steps)
		})
	}
}

func simulate(t *testing.T, seed uint64, steps int) {
	s := &simulation{t: t, rng: rand.New(rand.NewPCG(seed, 0)), dir: filepath.Join(t.TempDir(), "c"), m: newMemDisks(),
		want: map[string][]byte{}, refused: map[string][][]byte{}, down: map[int32]bool{}, deadline: 50 * time.Millisecond}
	if seed%3 == 0 {
		s.deadline = time.Millisecond
	}
	t.Logf("replay with WATTLE_SIM_SEED=%d WATTLE_SIM_STEPS=%d", seed, steps)
	schemes := []string{"rs:4+5", "rs:9+6", "replica:3", "lrc:6+2+4"}
	o := InitOptions{Map: DefaultMap(3, 2, 1, 3, 1e12), Scheme: scheme(t, schemes[seed%uint64(len(schemes))]), PGs: 64}
	if err := initWith(s.dir, o, s.m); err != nil {
		t.Fatal(err)
	}
	s.open()
	defer func() { s.c.Close() }()
	if err := s.c.MakeBucket(ctx, "bucket"); err != nil {
		t.Fatal(err)
	}
	actions := []func(){s.puts, s.puts, s.puts, s.puts, s.deletes, s.copies, s.reads, s.reads, s.fault, s.repair, s.crash, s.crash, s.recover}
	for range steps {
		actions[s.rng.IntN(len(actions))]()
	}
	s.heal()
	s.check()
}

func (s *simulation) key() string { return fmt.Sprint("k", s.rng.IntN(40)) }

func (s *simulation) body() []byte {
	n := []int{0, 10, 4096, 20_000, packLimit + 1, 300_000}[s.rng.IntN(6)]
	return randomBytes(n+s.rng.IntN(50), s.rng.Uint64())
}

// puts stores some objects at the same time.
func (s *simulation) puts() {
	type one struct {
		key string
		p   []byte
		err error
	}
	var list []*one
	seen := map[string]bool{}
	for range 1 + s.rng.IntN(8) {
		if k := s.key(); !seen[k] {
			seen[k] = true
			list = append(list, &one{key: k, p: s.body()})
		}
	}
	var wg sync.WaitGroup
	for _, o := range list {
		wg.Go(func() { _, o.err = s.c.Put(ctx, "bucket", o.key, bytes.NewReader(o.p), PutOptions{}) })
	}
	wg.Wait()
	if !slices.ContainsFunc(list, func(o *one) bool { return o.err != nil }) {
		clear(s.refused)
	}
	for _, o := range list {
		s.note("put %s, %d bytes: %v", o.key, len(o.p), o.err)
		if o.err == nil {
			s.want[o.key] = o.p
		} else {
			s.settle(o.key, o.p, true)
		}
	}
}

// settle finds out what became of a change that was not acknowledged: the old state or the
// new, whole. While the power is off it looks after the crash.
func (s *simulation) settle(key string, fresh []byte, exists bool) {
	s.restart()
	got, err := s.get(key)
	if s.powerOff() { // while it was read
		s.restart()
		got, err = s.get(key)
	}
	old, had := s.want[key]
	switch {
	case err == nil && exists && bytes.Equal(got, fresh):
		s.want[key] = fresh
	case err == nil && had && bytes.Equal(got, old), errors.Is(err, ErrObjectNotFound) && !had:
		if !exists {
			fresh = nil
		}
		s.refused[key] = append(s.refused[key], fresh)
	case errors.Is(err, ErrObjectNotFound) && !exists:
		delete(s.want, key)
	default:
		s.autopsy()
		s.fatal("%s after a change that failed: %d bytes, %v; neither the old state nor the new", key, len(got), err)
	}
}

func (s *simulation) get(key string) ([]byte, error) {
	p, _, err := read(s.c, key, GetOptions{})
	return p, err
}

func (s *simulation) deletes() {
	k := s.key()
	err := s.c.Delete(ctx, "bucket", k)
	s.note("delete %s: %v", k, err)
	_, had := s.want[k]
	switch {
	case err == nil && !had:
		s.fatal("deleted %s, which was not there", k)
	case err == nil:
		delete(s.want, k)
		clear(s.refused)
	case errors.Is(err, ErrObjectNotFound) && had:
		s.fatal("%s is gone", k)
	case !errors.Is(err, ErrObjectNotFound):
		s.settle(k, nil, false)
	}
}

func (s *simulation) copies() {
	from, to := s.key(), s.key()
	_, err := s.c.Copy(ctx, "bucket", from, "bucket", to, PutOptions{})
	s.note("copy %s to %s: %v", from, to, err)
	p, had := s.want[from]
	switch {
	case err == nil:
		s.want[to] = p
		clear(s.refused)
	case errors.Is(err, ErrObjectNotFound) && !had:
	case errors.Is(err, ErrObjectNotFound):
		s.fatal("%s is gone", from)
	default:
		s.settle(to, p, had)
	}
}

func (s *simulation) reads() {
	for range 5 {
		k := s.key()
		want, had := s.want[k]
		got, err := s.get(k)
		if had && (err != nil || !bytes.Equal(got, want)) || !had && !errors.Is(err, ErrObjectNotFound) {
			s.fatal("%s: %d bytes, %v; want %d bytes, there: %v", k, len(got), err, len(want), had)
		}
		if n := len(want); had && n > 1 {
			a := s.rng.IntN(n)
			size := 1 + s.rng.IntN(n-a)
			got, _, err := read(s.c, k, GetOptions{Offset: int64(a), Length: int64(size)})
			if err != nil || !bytes.Equal(got, want[a:a+size]) {
				s.fatal("%s from %d, %d bytes: %v", k, a, size, err)
			}
		}
	}
}

// fault breaks one disk or one site, after all is whole, so that nothing may be lost.
func (s *simulation) fault() {
	if len(s.down) > 0 {
		s.heal()
		return
	}
	if s.deadline < 10*time.Millisecond {
		s.heal() // what late disks did not take counts as a fault too
	}
	f := []disks.Fault{{Lost: true}, {Full: true}, {Rot: true}, {Stale: true}, {FailSync: 1 + s.rng.IntN(3)}, {FailAppend: 1 + s.rng.IntN(3), Torn: true}, {FailRead: 2}}[s.rng.IntN(7)]
	ids := s.c.diskIDs()
	n := ids[s.rng.IntN(len(ids))]
	list := []placement.DiskID{n}
	if s.rng.IntN(3) == 0 && f.Lost && s.c.config.Scheme.Kind != 3 {
		for _, id := range ids {
			if id != n && s.c.byID[id].site == s.c.byID[n].site {
				list = append(list, id)
			}
		}
	}
	s.note("fault %+v on %v", f, list)
	for _, id := range list {
		s.m.set(int32(id), f)
		s.down[int32(id)] = true
	}
}

// autopsy logs what is wrong with each stripe.
func (s *simulation) autopsy() {
	err := s.c.catalog.stripes(ctx, func(st *stripe, freed bool) error {
		for i := range st.Places {
			if freed || st.Refs == 0 || !st.stored(i) {
				continue
			}
			if err := s.c.readShard(ctx, st, i, 0, make([]byte, st.size(i)), false); err != nil {
				s.t.Logf("stripe %x of batch %d, %d refs, shard %d at %+v: %v", st.ID, st.Seq, st.Refs, i, st.Places[i], err)
			}
		}
		return nil
	})
	if err != nil {
		s.t.Log(err)
	}
}

// heal lifts the faults and repairs.
func (s *simulation) heal() {
	for n := range s.down {
		s.m.set(n, disks.Fault{})
	}
	clear(s.down)
	s.restart()
	if err := s.c.Close(); err != nil {
		s.fatal("close: %v", err)
	}
	s.open()
	rep, err := s.c.Repair(ctx, nil)
	s.note("heal: %+v, %v", rep, err)
	if err != nil || rep.Lost > 0 || rep.Left > 0 {
		s.autopsy()
		s.fatal("repair with all disks back: %+v, %v", rep, err)
	}
	if st, err := s.c.Status(ctx); err != nil || st.Stripes.Degraded > 0 || st.PendingRepairs > 0 {
		s.fatal("after repair: %+v, %d pending, %v", st.Stripes, st.PendingRepairs, err)
	}
}

func (s *simulation) repair() {
	rep, err := s.c.Repair(ctx, nil)
	s.note("repair: %+v, %v", rep, err)
	if rep.Lost > 0 {
		s.autopsy()
		s.fatal("repair lost %d stripes", rep.Lost)
	}
	s.restart()
}

// crash lets the power go off at a call in the near future; what runs then fails.
func (s *simulation) crash() {
	n := 1 + s.rng.IntN(60)
	s.note("power goes off after %d calls", n)
	s.m.power.set(n)
	for range 6 {
		s.puts()
		if !s.powerOff() {
			s.deletes()
		}
		if s.rng.IntN(4) == 0 && !s.powerOff() {
			s.repair()
		}
		if !s.m.power.armed() {
			return // it went off and settle restarted
		}
	}
	s.restart()
	s.m.power.set(-1)
}

func (s *simulation) powerOff() bool {
	s.m.power.mu.Lock()
	defer s.m.power.mu.Unlock()
	return s.m.power.off
}

// restart comes back after the power went off: what was not synced is lost.
func (s *simulation) restart() {
	if !s.powerOff() {
		return
	}
	s.note("power is off; crash and restart")
	s.c.Close()
	for n := range int32(len(s.m.fs)) {
		s.m.fs[n].Crash(s.rng)
	}
	s.m.power.set(-1)
	for n := range s.down {
		if !s.m.faults[n].Lost {
			s.m.set(n, disks.Fault{}) // countdowns do not outlive the process
		}
	}
	s.open()
}

// recover throws the catalog away and makes it from the disks.
func (s *simulation) recover() {
	if err := s.c.Close(); err != nil {
		s.fatal("close: %v", err)
	}
	for _, name := range []string{"catalog.db", "catalog.db-wal", "catalog.db-shm"} {
		os.Remove(filepath.Join(s.dir, name))
	}
	rep, err := Recover(ctx, s.dir, Options{Open: s.m}, nil)
	s.note("recover: %+v, %v", rep, err)
	if err != nil || len(rep.Unreadable) > 0 {
		s.fatal("recover: %+v, %v", rep, err)
	}
	s.open()
	for k, outcomes := range s.refused {
		got, err := s.get(k)
		for _, p := range outcomes {
			switch {
			case err == nil && p != nil && bytes.Equal(got, p):
				s.want[k] = p
			case errors.Is(err, ErrObjectNotFound) && p == nil:
				delete(s.want, k)
			}
		}
	}
	clear(s.refused)
	s.check()
}

// check reads everything.
func (s *simulation) check() {
	n, seen := 0, map[string]bool{}
	err := s.c.Find(ctx, FindOptions{Bucket: "bucket"}, func(o Object) error {
		n++
		seen[o.Key] = true
		want, had := s.want[o.Key]
		got, err := s.get(o.Key)
		if err != nil || !had || !bytes.Equal(got, want) {
			s.fatal("%s: %d bytes, %v; want %d, there: %v", o.Key, len(got), err, len(want), had)
		}
		return nil
	})
	for k := range s.want {
		if !seen[k] {
			s.fatal("%s is gone", k)
		}
	}
	if err != nil || n != len(s.want) {
		s.fatal("%d objects of %d, %v", n, len(s.want), err)
	}
}
