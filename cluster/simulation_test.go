package cluster

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/erasure"
	"github.com/wattle-storage/wattle/placement"
	"github.com/wattle-storage/wattle/seal"
)

// A simulation drives a cluster in a world and holds all that it answers against a model.
// What it does is a plan drawn from a seed: each step has a seed of its own, so that a plan
// from which steps were taken out does the rest as before.
//
// Disks that fail, fill, slow down or rot are affected until all is healed, and never more
// are affected than the scheme stands: so any acknowledged change that is lost is a bug. In
// wild plans more may be, and then a read may fail, but never give wrong bytes.
type simulation struct {
	w     *world
	rng   *rand.Rand // of the step that runs
	dir   string
	shape shape
	wild  bool
	c     *Cluster
	byID  map[placement.DiskID]placementDisk
	rule  placement.Rule

	cells    map[string]*cell
	buckets  map[string]*cell // extra ones; present or absent
	ghosts   []ghost
	todo     chan *op   // taken by workers that have nothing to do
	opsMu    sync.Mutex // for changes of ops, and reads of it by the cluster's goroutines
	ops      []*op
	held     []*heldReader
	pasts    []*simKey
	set      map[string]*cell // by bucket/name of a setting
	uploads  []*simUpload
	names    int            // given to contents, tags and disks
	affected map[int32]bool // since all was whole
	tainted  map[int32]bool // of those: what is stored there may be bad
	rotted   map[int32]bool // ever: bad shards that were made anew elsewhere may still lie there
	lostAny  bool           // wild: more was affected than the scheme stands
	auditor  auditor

	log    []string
	err    error
	steps  int
	counts counts
}

// counts say what a simulation did.
type counts struct {
	Steps, Events, Ops, Puts, Gets, Versions, Parts, Maps, Moved, Crashes, Recoveries, Heals, Faults, Acked, Refused, Lost int
}

func (c *counts) add(d counts) {
	c.Steps += d.Steps
	c.Events += d.Events
	c.Ops += d.Ops
	c.Puts += d.Puts
	c.Gets += d.Gets
	c.Versions += d.Versions
	c.Parts += d.Parts
	c.Maps += d.Maps
	c.Moved += d.Moved
	c.Crashes += d.Crashes
	c.Recoveries += d.Recoveries
	c.Heals += d.Heals
	c.Faults += d.Faults
	c.Acked += d.Acked
	c.Refused += d.Refused
	c.Lost += d.Lost
}

// An op is a call of the cluster under way in a goroutine of its own.
type op struct {
	name   string
	run    func()
	finish func() // in the scheduler, when run is done
	began  int    // events by then
	done   bool   // guarded by the world's mu
	calm   bool   // no disk was affected and the power stayed on
}

// A shape is what a simulated cluster is made of.
type shape struct {
	scheme                     string
	sites, racks, hosts, disks int
	shard                      uint32
}

var simShapes = []shape{
	{"rs:2+2", 2, 1, 2, 2, 36 << 10},
	{"replica:3", 3, 1, 1, 2, 68 << 10},
	{"rs:3+3", 3, 1, 2, 1, 28 << 10},
	{"rs:2+1", 3, 1, 1, 2, 36 << 10},
	{"rs:4+5", 3, 2, 1, 2, 20 << 10},
	{"lrc:4+2+2", 2, 2, 1, 3, 20 << 10},
}

// A step is one thing that a plan does.
type step struct {
	kind int
	seed uint64
}

// drawPlan draws a plan of n steps.
func drawPlan(seed uint64, n int) []step {
	rng := rand.New(rand.NewPCG(seed, 1))
	total := 0
	for _, k := range stepKinds {
		total += k.weight
	}
	plan := make([]step, n)
	for i := range plan {
		at := rng.IntN(total)
		for k, kind := range stepKinds {
			if at -= kind.weight; at < 0 {
				plan[i] = step{k, rng.Uint64()}
				break
			}
		}
	}
	return plan
}

// A trial is what a simulation needs to be done again.
type trial struct {
	seed   uint64
	plan   []step
	wild   bool
	mutant *mutant // nil for none
	shape  int     // of simShapes, or below 0: by seed

	record bool // keep all events
}

// A failure is what a simulation found wrong.
type failure struct {
	err error
	log []string
}

// simulate runs a plan in a bubble of its own. It returns nil when nothing was wrong.
func simulate(t *testing.T, r trial) (counts, uint64, *failure) {
	var s *simulation
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, func(*testing.T) { s = r.do() })
	s.counts.Steps, s.counts.Events = s.steps, s.w.events
	if s.err == nil {
		return s.counts, s.w.sum, nil
	}
	for i, e := range s.w.all {
		if *simTrace != "" && fmt.Sprintf("%x", e.a) == *simTrace {
			t.Logf("event %d: %+v", i, e)
		}
	}
	return s.counts, s.w.sum, &failure{s.err, append(s.log[max(0, len(s.log)-40):], s.w.tail(24)...)}
}

// scratch is a directory for catalogs: in memory where that is had.
func scratch() string {
	base := ""
	if _, err := os.Stat("/dev/shm"); err == nil {
		base = "/dev/shm"
	}
	dir, err := os.MkdirTemp(base, "wattle-simulation-")
	if err != nil {
		panic(err)
	}
	return dir
}

func (r trial) do() *simulation {
	sh := simShapes[r.seed%uint64(len(simShapes))]
	if r.shape >= 0 {
		sh = simShapes[r.shape]
	}
	rng := rand.New(rand.NewPCG(r.seed, 2))
	s := &simulation{w: newWorld([]int64{16 << 10, 64 << 10, 1 << 20}[rng.IntN(3)]), rng: rng, shape: sh, wild: r.wild, todo: make(chan *op),
		cells: map[string]*cell{}, buckets: map[string]*cell{}, set: map[string]*cell{}, affected: map[int32]bool{}, tainted: map[int32]bool{}, rotted: map[int32]bool{},
		auditor: auditor{shards: map[place]verified{}, fit: map[uint64]uint64{}}}
	s.w.rng, s.w.s, s.w.record, s.w.bug = rng, s, r.record, r.mutant
	if s.w.bug == nil {
		s.w.bug = &mutant{}
	}
	if r.seed%3 == 1 && r.mutant == nil {
		s.w.keys = seal.Ring{seal.NewKey()}
	}
	tmp := scratch()
	defer os.RemoveAll(tmp)
	s.dir = filepath.Join(tmp, "c")
	s.start()
	defer s.end()
	for _, st := range r.plan {
		if s.err != nil {
			return s
		}
		s.steps++
		s.rng = rand.New(rand.NewPCG(st.seed, 3))
		s.w.mu.Lock()
		s.w.rng = s.rng
		s.w.mu.Unlock()
		stepKinds[st.kind].do(s)
		s.collect()
		if s.err == nil && s.powerIsOff() {
			s.note("the power is off")
			s.counts.Crashes++
			s.afterCrash()
		}
	}
	if s.err == nil {
		s.heal()
	}
	if s.err == nil {
		s.check()
	}
	return s
}

// start makes the cluster and its bucket.
func (s *simulation) start() {
	m := DefaultMap(s.shape.sites, s.shape.racks, s.shape.hosts, s.shape.disks, 1<<40)
	parsed, err := erasure.Parse(s.shape.scheme)
	if err == nil {
		o := InitOptions{Map: m, Scheme: parsed, PGs: 16}
		if len(s.w.keys) > 0 {
			o.Key = s.w.keys[0]
		}
		err = initWith(s.dir, o, s.w)
	}
	if err != nil {
		s.fail("init: %v", err)
		return
	}
	s.open()
	for _, name := range []string{"bucket", simHistory} {
		if s.err == nil {
			s.call("make bucket", func() { err = s.c.MakeBucket(ctx, name) })
			if err != nil {
				s.fail("make bucket: %v", err)
			}
		}
	}
	for i := range 6 {
		s.pasts = append(s.pasts, &simKey{key: fmt.Sprint("h", i), may: []chronicle{nil}})
	}
}

// end winds everything up, so that no goroutine is left.
func (s *simulation) end() {
	s.w.mu.Lock()
	s.w.powerOff()
	s.w.mu.Unlock()
	s.wind()
	if s.c != nil {
		s.c.Close()
	}
	close(s.todo)
	synctest.Wait()
}

func (s *simulation) note(format string, a ...any) {
	s.log = append(s.log, fmt.Sprintf("step %d: ", s.steps)+fmt.Sprintf(format, a...))
	if len(s.log) > 400 {
		s.log = slices.Clone(s.log[200:])
	}
}

func (s *simulation) fail(format string, a ...any) {
	if s.err == nil {
		s.err = fmt.Errorf(format, a...)
		s.note("FAILED: %v", s.err)
	}
}

// begin starts an op.
func (s *simulation) begin(o *op) {
	s.w.mu.Lock()
	o.began, o.calm = s.w.events, len(s.affected) == 0
	s.w.mu.Unlock()
	s.opsMu.Lock()
	s.ops = append(s.ops, o)
	s.opsMu.Unlock()
	s.counts.Ops++
	select {
	case s.todo <- o:
	default:
		go s.work(o)
	}
	synctest.Wait() // until it is at the gate, so that the next one comes after it
}

// work runs an op, and then others: a goroutine that was used has the stack that the next needs.
func (s *simulation) work(o *op) {
	for ; o != nil; o = <-s.todo {
		o.run()
		s.w.mu.Lock()
		o.done = true
		s.w.mu.Unlock()
	}
}

// collect finishes the ops that are done.
func (s *simulation) collect() {
	for i := 0; i < len(s.ops); i++ {
		s.w.mu.Lock()
		done := s.ops[i].done
		s.w.mu.Unlock()
		if done {
			o := s.ops[i]
			s.opsMu.Lock()
			s.ops = slices.Delete(s.ops, i, i+1)
			s.opsMu.Unlock()
			i--
			o.finish()
		}
	}
}

// turns lets n calls through, or fewer when all is done.
func (s *simulation) turns(n int) {
	idle := 0
	for range n {
		if len(s.ops) == 0 || s.err != nil {
			return
		}
		s.w.turn(&idle)
		s.collect()
		if idle > 1000 {
			s.fail("nothing happens, and %d calls of the cluster are not done: %s", len(s.ops), s.ops[0].name)
		}
	}
}

// settle waits until no op is under way.
func (s *simulation) settle() {
	s.turns(1 << 30)
}

// wind waits for the ops of a process whose power is off.
func (s *simulation) wind() {
	for i := 0; len(s.ops) > 0 && i < 1000; i++ {
		synctest.Wait()
		s.collect()
		time.Sleep(100 * time.Millisecond)
	}
}

// call runs f under the scheduler and waits for it.
func (s *simulation) call(name string, f func()) {
	over := false
	s.begin(&op{name: name, run: f, finish: func() { over = true }})
	idle := 0
	for !over && s.err == nil {
		s.w.turn(&idle)
		s.collect()
		if idle > 1000 {
			s.fail("%s does not end", name)
		}
	}
	if !over {
		s.wind()
	}
}

func (s *simulation) powerIsOff() bool {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	return s.w.off
}

// open opens the cluster, again and again when the power goes off meanwhile.
func (s *simulation) open() {
	for try := 0; s.err == nil; try++ {
		o := s.w.options()
		var c *Cluster
		var err error
		s.call("open", func() { c, err = Open(ctx, s.dir, o) })
		switch {
		case s.powerIsOff():
			s.counts.Crashes++
			if c != nil {
				c.Close()
			}
			s.w.restart()
		case err != nil:
			s.fail("open: %v", err)
		default:
			s.c = c
			c.shard = s.shape.shard
			s.know()
			if s.w.bug.opened != nil {
				s.w.bug.opened(s)
			}
			return
		}
	}
}

// close ends the process in order.
func (s *simulation) close() {
	s.settle()
	if s.err != nil {
		return
	}
	s.drop()
	var err error
	s.call("close", func() { err = s.c.Close() })
	if err != nil && !s.powerIsOff() && len(s.affected) == 0 {
		s.fail("close: %v", err)
	}
	if s.err == nil {
		s.w.restart()
	}
}

// crash cuts the power off at once and starts again.
func (s *simulation) crash() {
	s.note("the power goes off with %d calls under way", len(s.ops))
	s.counts.Crashes++
	s.w.mu.Lock()
	if !s.w.off {
		s.w.powerOff()
	}
	s.w.mu.Unlock()
	s.afterCrash()
}

// afterCrash comes back when the power went off.
func (s *simulation) afterCrash() {
	s.wind()
	if len(s.ops) > 0 {
		s.fail("after the power went off, %q goes on", s.ops[0].name)
		return
	}
	s.drop()
	s.c.Close()
	s.w.restart()
	s.open()
	if s.err == nil {
		if err := s.audit(false); err != nil {
			s.fail("after the crash: %v", err)
		}
	}
}

// outcome tells how a change ended.
func (s *simulation) outcome(err error) outcome {
	switch {
	case err == nil:
		return acked
	case s.powerIsOff():
		return unknown
	}
	return refused
}

// changed records the end of a change of a cell.
func (s *simulation) changed(o *op, c *cell, b *content, err error) outcome {
	out := s.outcome(err)
	c.end(b, out)
	if out == acked {
		s.counts.Acked++
		s.layGhosts(o.began)
		if s.w.bug.acked != nil {
			s.w.bug.acked(s)
		}
	} else {
		s.counts.Refused++
		s.w.mu.Lock()
		s.ghosts = append(s.ghosts, ghost{c, b, s.w.events})
		s.w.mu.Unlock()
	}
	return out
}

// layGhosts forgets the changes that failed before a batch that was committed since began.
func (s *simulation) layGhosts(began int) {
	s.ghosts = slices.DeleteFunc(s.ghosts, func(g ghost) bool { return g.at < began })
	for _, p := range s.pasts {
		p.ghosts = slices.DeleteFunc(p.ghosts, func(g pastGhost) bool { return g.at < began })
	}
}

// now is how many events there were.
func (s *simulation) now() int {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	return s.w.events
}

// expected fails on an error that no fault accounts for.
func (s *simulation) expected(o *op, what string, err error) {
	if err == nil || s.powerIsOff() || s.wild && s.lostAny {
		return
	}
	if o.calm && len(s.affected) == 0 {
		s.fail("%s, with nothing wrong: %v", what, err)
	}
}

func (s *simulation) cell(key string) *cell {
	c := s.cells[key]
	if c == nil {
		c = &cell{values: []*content{nil}}
		s.cells[key] = c
	}
	return c
}

var (
	simSeed  = flag.Uint64("sim.seed", 0, "run this one seed of TestSimulation; a failing one is shortened")
	simSeeds = flag.Int("sim.seeds", 0, "run that many seeds from -sim.seed on")
	simSteps = flag.Int("sim.steps", 0, "steps of a seed")
	simTime  = flag.Duration("sim.time", 0, "stop after this long")
	simTrace = flag.String("sim.trace", "", "print the events about this stripe, in hexadecimal")
	simAll   = flag.Bool("sim.mutants", false, "look for all planted bugs")
	simWild  = flag.Bool("sim.wild", false, "go past what the schemes stand")
)

// TestSimulation runs seeds of the simulation. See -sim.seed and its neighbours.
func TestSimulation(t *testing.T) {
	first, seeds, steps := uint64(1), 8, 120
	if *simSteps > 0 {
		steps = *simSteps
	}
	if *simSeed > 0 {
		first, seeds = *simSeed, 1
	}
	if *simSeeds > 0 {
		seeds = *simSeeds
	}
	defer debug.SetGCPercent(debug.SetGCPercent(1000)) // there is little that lives long
	var total counts
	start := time.Now()
	done := 0
	for i := range uint64(seeds) {
		if *simTime > 0 && time.Since(start) > *simTime {
			break
		}
		r := trial{seed: first + i, plan: drawPlan(first+i, steps), wild: *simWild, shape: -1, record: *simTrace != ""}
		n, _, f := simulate(t, r)
		total.add(n)
		done++
		if f != nil {
			report(t, r, f)
			return
		}
	}
	d := time.Since(start)
	t.Logf("%d seeds of %d steps in %v, %.0f steps and %.0f events a minute, nothing lost: %+v", done, steps, d.Round(time.Millisecond),
		float64(total.Steps)/d.Minutes(), float64(total.Events)/d.Minutes(), total)
}

// TestSimulationPastTolerance: with more gone than the scheme stands a read may fail, and
// says so, but never gives wrong bytes.
func TestSimulationPastTolerance(t *testing.T) {
	var total counts
	for seed := range uint64(3) {
		r := trial{seed: 1000 + seed, plan: drawPlan(1000+seed, 150), wild: true, shape: -1}
		n, _, f := simulate(t, r)
		total.add(n)
		if f != nil {
			report(t, r, f)
			return
		}
	}
	t.Logf("%+v", total)
}

// TestReplay: the same seed does the same, call by call. Goroutines that one call wakes together
// run in the runtime's order, which it changes when it preempts one on a busy machine; so a seed
// has a few tries to do the same twice.
func TestReplay(t *testing.T) {
	for seed := range uint64(3) {
		seen := map[uint64]bool{}
		again := false
		for try := 0; try < 8 && !again; try++ {
			r := trial{seed: 100 + seed, plan: drawPlan(100+seed, 60), shape: -1}
			_, sum, f := simulate(t, r)
			if f != nil {
				report(t, r, f)
				return
			}
			again = seen[sum]
			seen[sum] = true
		}
		if !again {
			t.Errorf("seed %d did %d things in as many runs", 100+seed, len(seen))
		}
	}
}

// report prints a failure with what it takes to see it again, in as few steps as it takes.
func report(t *testing.T, r trial, f *failure) {
	t.Helper()
	wild := ""
	if r.wild {
		wild = " WILD=1"
	}
	t.Errorf("seed %d: %v", r.seed, f.err)
	t.Logf("replay with: make sim SEED=%d STEPS=%d%s", r.seed, len(r.plan), wild)
	short, g := shorten(t, r, 60*time.Second)
	if g == nil {
		g = f
	}
	names := make([]string, len(short.plan))
	for i, st := range short.plan {
		names[i] = stepKinds[st.kind].name
	}
	t.Logf("%d of its steps do it: %s", len(short.plan), strings.Join(names, ", "))
	t.Logf("%v", g.err)
	for _, l := range g.log {
		t.Log(l)
	}
}

// shorten takes steps out of a failing plan for as long as it fails.
func shorten(t *testing.T, r trial, most time.Duration) (trial, *failure) {
	deadline := time.Now().Add(most)
	var failed *failure
	for size := (len(r.plan) + 1) / 2; size > 0; {
		cut := false
		for at := 0; at < len(r.plan); {
			if time.Now().After(deadline) {
				return r, failed
			}
			try := r
			try.plan = slices.Concat(r.plan[:at], r.plan[min(len(r.plan), at+size):])
			if _, _, f := simulate(t, try); f != nil {
				r, failed, cut = try, f, true
				continue
			}
			at += size
		}
		if !cut {
			size /= 2
		}
	}
	return r, failed
}

func sortedKeys[V any](m map[int32]V) []int32 { return slices.Sorted(maps.Keys(m)) }

var _ disks.Disk = (*simDisk)(nil)
