package cluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/wattle-storage/wattle/erasure"
)

var (
	powerSeeds = flag.Int("power.seeds", 2, "histories of TestCatalogPower")
	powerSeed  = flag.Uint64("power.seed", 1, "the first of them")
	powerCuts  = flag.Int("power.cuts", 60, "power cuts of each")
)

var rs21 = erasure.Scheme{Kind: erasure.RS, K: 2, M: 1}

// A fileOp is a call of SQLite on one of the files of a catalog.
type fileOp struct {
	file string // "" of the catalog, or its suffix
	kind byte   // w(rite), t(runcate), s(ync), d(elete)
	off  int64  // of a write; the size of a truncate
	data []byte
}

// A recorder takes down what SQLite does to the files of one catalog, through a VFS that stands
// before that of the system.
type recorder struct {
	path string // of the catalog

	mu   sync.Mutex
	ops  []fileOp           // guarded by mu
	open map[uintptr]string // guarded by mu; by file of SQLite

	unsynced string // a planted bug: syncs of this file are forgotten, though SQLite asks for them
}

func (r *recorder) note(op fileOp) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if op.kind == 's' && op.file == r.unsynced {
		return
	}
	r.ops = append(r.ops, op)
}

// len is how many calls there were.
func (r *recorder) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ops)
}

// of tells which file of the catalog a path or an open file is.
func (r *recorder) of(path string) (string, bool) {
	suffix, ok := strings.CutPrefix(path, r.path)
	return suffix, ok && (suffix == "" || suffix == "-wal" || suffix == "-journal")
}

func (r *recorder) file(f uintptr) (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name, ok := r.open[f]
	return name, ok
}

// Functions of SQLite as its translation to Go calls them.
type (
	openFunc     = func(tls *libc.TLS, vfs, name, file uintptr, flags int32, out uintptr) int32
	deleteFunc   = func(tls *libc.TLS, vfs, name uintptr, dirSync int32) int32
	closeFunc    = func(tls *libc.TLS, file uintptr) int32
	writeFunc    = func(tls *libc.TLS, file, from uintptr, n int32, off int64) int32
	truncateFunc = func(tls *libc.TLS, file uintptr, size int64) int32
	syncFunc     = func(tls *libc.TLS, file uintptr, flags int32) int32
)

// memory is what lies at an address of SQLite's memory, and function a function there.
func memory[T any](p uintptr) *T  { return *(**T)(unsafe.Pointer(&p)) }
func function[F any](p uintptr) F { return *(*F)(unsafe.Pointer(&p)) }
func address[F any](f F) uintptr  { return *(*uintptr)(unsafe.Pointer(&f)) }

// A wiretap is the VFS. There is one, of the first test that needs it, and it stays.
type wiretap struct {
	tls    *libc.TLS
	vfs    uintptr
	system sqlite3.Tsqlite3_vfs

	mu      sync.Mutex
	rec     *recorder                               // guarded by mu; whom it tells, or nil
	methods map[uintptr]uintptr                     // guarded by mu; of the system's files: ours
	real    map[uintptr]sqlite3.Tsqlite3_io_methods // guarded by mu; of ours: the system's
	keep    []any                                   // what SQLite has the addresses of
}

var tap = sync.OnceValue(func() *wiretap {
	w := &wiretap{tls: libc.NewTLS(), methods: map[uintptr]uintptr{}, real: map[uintptr]sqlite3.Tsqlite3_io_methods{}}
	was := sqlite3.Xsqlite3_vfs_find(w.tls, 0)
	w.system = *memory[sqlite3.Tsqlite3_vfs](was)
	w.vfs = libc.Xmalloc(w.tls, libc.Tsize_t(unsafe.Sizeof(w.system)))
	v := memory[sqlite3.Tsqlite3_vfs](w.vfs)
	*v = w.system
	name, err := libc.CString("wiretap")
	if err != nil {
		panic(err)
	}
	var open openFunc = w.xOpen
	var remove deleteFunc = w.xDelete
	w.keep = append(w.keep, open, remove)
	v.FpNext, v.FzName, v.FxOpen, v.FxDelete = 0, name, address(open), address(remove)
	return w
})

// wiretapped has SQLite's files of a catalog opened through the VFS until the test ends.
func wiretapped(t *testing.T, path string) *recorder {
	t.Helper()
	r := &recorder{path: path, open: map[uintptr]string{}, unsynced: "none"}
	w := tap()
	was := sqlite3.Xsqlite3_vfs_find(w.tls, 0)
	w.mu.Lock()
	w.rec = r
	w.mu.Unlock()
	if rc := sqlite3.Xsqlite3_vfs_register(w.tls, w.vfs, 1); rc != 0 {
		t.Fatalf("register: %d", rc)
	}
	t.Cleanup(func() {
		sqlite3.Xsqlite3_vfs_register(w.tls, was, 1)
		w.mu.Lock()
		w.rec = nil
		w.mu.Unlock()
	})
	return r
}

func (w *wiretap) recorder() *recorder {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rec
}

func (w *wiretap) xOpen(tls *libc.TLS, vfs, name, file uintptr, flags int32, out uintptr) int32 {
	rc := function[openFunc](w.system.FxOpen)(tls, vfs, name, file, flags, out)
	r := w.recorder()
	if rc != 0 || name == 0 || r == nil {
		return rc
	}
	suffix, ok := r.of(libc.GoString(name))
	if !ok {
		return rc
	}
	f := memory[sqlite3.Tsqlite3_file](file)
	f.FpMethods = w.ours(tls, f.FpMethods)
	r.mu.Lock()
	r.open[file] = suffix
	r.mu.Unlock()
	return rc
}

// ours are methods that tell the recorder, and else do what those of the system do.
func (w *wiretap) ours(tls *libc.TLS, system uintptr) uintptr {
	w.mu.Lock()
	defer w.mu.Unlock()
	if m, ok := w.methods[system]; ok {
		return m
	}
	real := *memory[sqlite3.Tsqlite3_io_methods](system)
	m := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(real)))
	ours := memory[sqlite3.Tsqlite3_io_methods](m)
	*ours = real
	var (
		shut     closeFunc    = w.xClose
		write    writeFunc    = w.xWrite
		truncate truncateFunc = w.xTruncate
		flush    syncFunc     = w.xSync
	)
	w.keep = append(w.keep, shut, write, truncate, flush)
	ours.FxClose, ours.FxWrite, ours.FxTruncate, ours.FxSync = address(shut), address(write), address(truncate), address(flush)
	w.methods[system], w.real[m] = m, real
	return m
}

func (w *wiretap) methodsOf(file uintptr) (*recorder, sqlite3.Tsqlite3_io_methods) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rec, w.real[memory[sqlite3.Tsqlite3_file](file).FpMethods]
}

// took tells the recorder of a call that went well.
func (w *wiretap) took(r *recorder, file uintptr, rc int32, op fileOp) int32 {
	if r != nil && rc == 0 {
		if name, ok := r.file(file); ok {
			op.file = name
			r.note(op)
		}
	}
	return rc
}

func (w *wiretap) xWrite(tls *libc.TLS, file, from uintptr, n int32, off int64) int32 {
	r, m := w.methodsOf(file)
	data := bytes.Clone(unsafe.Slice(memory[byte](from), int(n)))
	return w.took(r, file, function[writeFunc](m.FxWrite)(tls, file, from, n, off), fileOp{kind: 'w', off: off, data: data})
}

func (w *wiretap) xTruncate(tls *libc.TLS, file uintptr, size int64) int32 {
	r, m := w.methodsOf(file)
	return w.took(r, file, function[truncateFunc](m.FxTruncate)(tls, file, size), fileOp{kind: 't', off: size})
}

func (w *wiretap) xSync(tls *libc.TLS, file uintptr, flags int32) int32 {
	r, m := w.methodsOf(file)
	return w.took(r, file, function[syncFunc](m.FxSync)(tls, file, flags), fileOp{kind: 's'})
}

func (w *wiretap) xClose(tls *libc.TLS, file uintptr) int32 {
	r, m := w.methodsOf(file)
	if r != nil {
		r.mu.Lock()
		delete(r.open, file)
		r.mu.Unlock()
	}
	return function[closeFunc](m.FxClose)(tls, file)
}

func (w *wiretap) xDelete(tls *libc.TLS, vfs, name uintptr, dirSync int32) int32 {
	rc := function[deleteFunc](w.system.FxDelete)(tls, vfs, name, dirSync)
	if r := w.recorder(); r != nil && rc == 0 {
		if suffix, ok := r.of(libc.GoString(name)); ok {
			r.note(fileOp{file: suffix, kind: 'd'})
		}
	}
	return rc
}

// sector is what a disk writes at once, if it does.
const sector = 512

// A medium is one file as the power may leave it: what was synced, and what came after, of which
// each sector may have arrived or not.
type medium struct {
	synced  []byte
	there   bool
	pending []fileOp
	before  *medium // what was deleted, and may come back: no directory was synced since
}

func (m *medium) do(op fileOp) {
	switch op.kind {
	case 'd':
		*m = medium{before: &medium{synced: m.now(), there: m.there}}
	case 's':
		*m = medium{synced: m.now(), there: true}
	default:
		m.pending = append(m.pending, op)
	}
}

// now is the file with all that was written.
func (m *medium) now() []byte {
	p := bytes.Clone(m.synced)
	for _, op := range m.pending {
		p = op.apply(p)
	}
	return p
}

// apply makes a change; what lies beyond an end reads as zeros.
func (op fileOp) apply(p []byte) []byte {
	switch end := op.off + int64(len(op.data)); {
	case op.kind == 't' && op.off <= int64(len(p)):
		return p[:op.off]
	case op.kind == 't':
		return append(p, make([]byte, op.off-int64(len(p)))...)
	default:
		if grow := end - int64(len(p)); grow > 0 {
			p = append(p, make([]byte, grow)...)
		}
		copy(p[op.off:], op.data)
		return p
	}
}

// How much of what was not synced a power cut leaves.
const (
	leaveNothing = iota
	leaveAll
	leaveSome
	leaveHows
)

// cut is the file after a power cut, or nil when it is not there.
func (m *medium) cut(rng *rand.Rand, how int) []byte {
	if m.before != nil && (how == leaveNothing || how == leaveSome && rng.IntN(2) == 0) {
		return m.before.cut(rng, how)
	}
	switch {
	case how == leaveNothing && !m.there, !m.there && len(m.pending) == 0:
		return nil
	case how == leaveNothing:
		return bytes.Clone(m.synced)
	case how == leaveAll:
		return m.now()
	}
	sizes := []int{len(m.synced)}
	p := bytes.Clone(m.synced)
	versions := map[int][][]byte{} // by sector, each as long as one
	at := func(p []byte, i int) []byte {
		s := make([]byte, sector)
		copy(s, p[min(len(p), i*sector):])
		return s
	}
	for _, op := range m.pending {
		from, to := int(op.off), int(op.off)+len(op.data)
		if op.kind == 't' {
			from, to = min(from, len(p)), max(from, len(p))
		}
		before := p
		if op.kind == 't' {
			before = bytes.Clone(p)
		}
		for i := from / sector; i*sector < to; i++ {
			if versions[i] == nil {
				versions[i] = [][]byte{at(before, i)}
			}
		}
		p = op.apply(p)
		for i := from / sector; i*sector < to; i++ {
			versions[i] = append(versions[i], at(p, i))
		}
		sizes = append(sizes, len(p))
	}
	size := sizes[rng.IntN(len(sizes))]
	if rng.IntN(3) == 0 { // somewhere between
		lo, hi := slices.Min(sizes), slices.Max(sizes)
		size = lo + rng.IntN(hi-lo+1)/sector*sector
	}
	out := make([]byte, max(size, slices.Max(sizes)))
	copy(out, m.synced)
	arrive := rng.Float64()
	for i, list := range versions {
		pick := func() []byte {
			if rng.Float64() < arrive {
				return list[len(list)-1]
			}
			return list[rng.IntN(len(list))]
		}
		s := pick()
		if rng.IntN(20) == 0 { // torn
			s = append(bytes.Clone(s[:sector/2]), pick()[sector/2:]...)
		}
		copy(out[min(len(out), i*sector):], s)
	}
	return out[:size]
}

// A powerHistory is what was done to a catalog, call by call.
type powerHistory struct {
	rec     *recorder
	began   []int      // by change: the calls before it
	ended   []int      // by change: the calls until it was acknowledged
	digests [][32]byte // of what the catalog holds after that many changes; the first is of none
}

// changed is how many changes were acknowledged after so many calls, and how many had begun.
func (h *powerHistory) changed(calls int) (acked, begun int) {
	for i := range h.ended {
		if h.ended[i] <= calls {
			acked = i + 1
		}
		if h.began[i] < calls {
			begun = i + 1
		}
	}
	return acked, begun
}

// digest is of all that a catalog says.
func digest(c *catalog) (d [32]byte, err error) {
	h := sha256.New()
	if err := c.dump(ctx, h, func(uint64) {}); err != nil {
		return d, err
	}
	err = c.stripes(ctx, func(s *stripe, freed bool) error {
		_, err := fmt.Fprintln(h, s.ID, s.Seq, s.Journal, s.Refs, s.Live, freed, s.Places)
		return err
	})
	return [32]byte(h.Sum(nil)), err
}

// makeHistory changes a catalog in a new directory, with checkpoints of the write-ahead log and
// openings in between. plant changes the recorder, or the connection that changes are made on.
func makeHistory(t *testing.T, seed uint64, plant func(*recorder, *catalog)) *powerHistory {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 7))
	h := &powerHistory{rec: wiretapped(t, filepath.Join(inMemory(t), "catalog.db"))}
	cat, err := newCatalog(h.rec.path, config{ID: "c", Scheme: rs21}, numbers{})
	if err != nil {
		t.Fatal(err)
	}
	tune := func() {
		if plant != nil {
			plant(h.rec, cat)
		}
		if _, err := cat.writes.conn.ExecContext(ctx, `PRAGMA wal_autocheckpoint(40)`); err != nil {
			t.Fatal(err)
		}
	}
	tune()
	defer func() { cat.close() }()
	note := func() {
		d, err := digest(cat)
		if err != nil {
			t.Fatal(err)
		}
		h.digests = append(h.digests, d)
	}
	note()
	for seq := uint64(1); seq <= 40; seq++ {
		h.began = append(h.began, h.rec.len())
		if err := cat.update(ctx, func(x *tx) error { return changeAtRandom(x, seq, rng) }); err != nil {
			t.Fatal(err)
		}
		h.ended = append(h.ended, h.rec.len())
		note()
		switch rng.IntN(12) {
		case 0:
			_, err = cat.writes.conn.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`)
		case 1:
			_, err = cat.writes.conn.ExecContext(ctx, `PRAGMA wal_checkpoint(RESTART)`)
		case 2:
			if err = cat.close(); err == nil {
				cat, err = openCatalog(h.rec.path, forWriting)
			}
			if err == nil {
				tune()
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// changeAtRandom makes a batch of changes.
func changeAtRandom(x *tx, seq uint64, rng *rand.Rand) error {
	x.seq = seq
	if seq == 1 {
		if _, _, err := x.apply(record{Kind: recMakeBucket, Bucket: "bucket"}, 0); err != nil {
			return err
		}
	}
	for i := range 1 + rng.IntN(8) {
		key := strings.Repeat("k", rng.IntN(300)) + fmt.Sprint(rng.IntN(30))
		r := record{Kind: recDelete, Bucket: "bucket", Key: key, Time: int64(seq)}
		if rng.IntN(4) > 0 {
			s := newStripe(seq<<10|uint64(i), rs21, []uint32{4096, 0})
			s.Seq = seq
			x.addStripe(s)
			r.Kind, r.Size = recPut, 100
			r.Layout = []extent{{Stripe: s.ID, Len: 100, Sum: rng.Uint64()}}
		}
		if _, fatal, err := x.apply(r, i+1); fatal {
			return err
		}
	}
	return x.setNumber("sequence", seq)
}

// inMemory is a directory in memory where that is had.
func inMemory(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "wattle-power-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// cut leaves in a directory what the power may leave after so many calls, and says what is wrong
// with the catalog that is opened from it.
func (h *powerHistory) cut(calls, how int, rng *rand.Rand, dir string) error {
	files := map[string]*medium{}
	for _, op := range h.rec.ops[:calls] {
		m := files[op.file]
		if m == nil {
			m = &medium{there: op.file == ""}
			files[op.file] = m
		}
		if op.kind == 's' && !m.there { // a new file: SQLite syncs its directory with it
			for _, other := range files {
				other.before = nil
			}
		}
		m.do(op)
	}
	path := filepath.Join(dir, "catalog.db")
	removeCatalog(path)
	os.Remove(path + "-journal")
	for _, name := range []string{"", "-journal", "-wal"} {
		if m := files[name]; m != nil {
			if p := m.cut(rng, how); p != nil {
				if err := os.WriteFile(path+name, p, 0o600); err != nil {
					return err
				}
			}
		}
	}
	cat, err := openCatalog(path, forWriting)
	if err != nil {
		return err
	}
	defer cat.close()
	if bad, err := cat.integrity(context.Background()); err != nil || len(bad) > 0 {
		return fmt.Errorf("integrity: %v %w", bad, err)
	}
	seq, err := cat.number("sequence")
	if err != nil {
		return err
	}
	if acked, begun := h.changed(calls); seq < uint64(acked) || seq > uint64(begun) {
		return fmt.Errorf("it has %d changes of %d acknowledged and %d begun", seq, acked, begun)
	}
	d, err := digest(cat)
	if err == nil && d != h.digests[seq] {
		err = fmt.Errorf("it is not what it was after change %d", seq)
	}
	return err
}

// cuts tries cuts of a history until one shows a fault.
func (h *powerHistory) cuts(t *testing.T, seed uint64, n int) (tried int, where [3]int, found error) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 8))
	dir := inMemory(t)
	first := h.began[0]
	for tried = 1; tried <= n; tried++ {
		calls, how := first+rng.IntN(h.rec.len()-first+1), rng.IntN(leaveHows+2)
		if err := h.cut(calls, min(how, leaveSome), rng, dir); err != nil {
			return tried, where, fmt.Errorf("seed %d, cut %d after %d calls, how %d: %w", seed, tried, calls, how, err)
		}
		where[h.stage(calls)]++
	}
	return n, where, nil
}

// stage is what SQLite was at after so many calls: writing the log, waiting for nothing, or
// writing the database.
func (h *powerHistory) stage(calls int) int {
	switch acked, begun := h.changed(calls); {
	case calls < h.rec.len() && h.rec.ops[calls].file == "" || calls > 0 && h.rec.ops[calls-1].file == "" && h.rec.ops[calls-1].kind == 'w':
		return 2
	case begun > acked:
		return 0
	default:
		return 1
	}
}

// TestCatalogPower cuts the power off at any call of the real SQLite on the files of a catalog:
// in a commit, after one, and in a checkpoint of its write-ahead log. Each sector that was
// written since the last sync is there, old, or torn, each file as long as it was or is, and a
// deleted log may be back. Every time the catalog opens, is whole, and has all that was
// acknowledged, and what was not whole or not at all.
func TestCatalogPower(t *testing.T) {
	var where [3]int
	calls := 0
	for seed := *powerSeed; seed < *powerSeed+uint64(*powerSeeds); seed++ {
		h := makeHistory(t, seed, nil)
		_, at, found := h.cuts(t, seed, *powerCuts)
		if found != nil {
			t.Fatal(found)
		}
		for i, n := range at {
			where[i] += n
		}
		calls += h.rec.len()
	}
	for i, n := range where {
		if n == 0 {
			t.Errorf("no cut at stage %d", i)
		}
	}
	t.Logf("%d histories of %d calls: %d cuts in commits, %d between, %d in checkpoints", *powerSeeds, calls, where[0], where[1], where[2])
}

// TestCatalogPowerFinds: what would make a catalog unsafe is found: commits that do not wait for
// their sync, and checkpoints that do not sync the database before the log is used again.
func TestCatalogPowerFinds(t *testing.T) {
	pragma := func(p string) func(*recorder, *catalog) {
		return func(_ *recorder, c *catalog) {
			if _, err := c.writes.conn.ExecContext(ctx, p); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name  string
		plant func(*recorder, *catalog)
	}{
		{"synchronous off", pragma(`PRAGMA synchronous(OFF)`)},
		{"synchronous normal", pragma(`PRAGMA synchronous(NORMAL)`)},
		{"log never synced", func(r *recorder, _ *catalog) { r.unsynced = "-wal" }},
		{"database never synced", func(r *recorder, _ *catalog) { r.unsynced = "" }},
	} {
		tried, _, found := makeHistory(t, 1, c.plant).cuts(t, 1, 1000)
		if found == nil {
			t.Errorf("%s: not found in %d cuts", c.name, tried)
		}
		t.Logf("%s: found by cut %d: %v", c.name, tried, found)
	}
}
