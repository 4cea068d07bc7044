package disks

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"unsafe"
)

// A fileSystem is what segments need of the world: one directory of files.
type fileSystem interface {
	// open opens a file, for reading only, or for writing, or made anew, which it must not
	// be there for.
	open(name string, mode openMode) (file, error)
	remove(name string) error
	rename(from, to string) error
	list() ([]string, error)
	syncDir() error
}

type openMode int

const (
	forReading openMode = iota
	forWriting
	forCreating
)

// A file is read and written at offsets. Short reads are errors.
type file interface {
	readv(p [][]byte, off int64) error
	writev(p [][]byte, off int64) error
	sync() error
	size() (int64, error)
	allocated() (int64, error)
	punch(off, n int64) error
	truncate(size int64) error
	close() error
}

// errPunch means that a file system cannot punch holes.
var errPunch = errors.New("holes cannot be punched")

// A MemFS is a file system in memory. It remembers what was synced, so that Crash can lose
// the rest.
type MemFS struct {
	mu      sync.Mutex
	names   map[string]*memFile // guarded by mu
	durable map[string]*memFile // guarded by mu; as of the last syncDir
	fault   func(FSCall) error  // guarded by mu
	known   struct {            // guarded by mu; the identity file that was decoded last
		text []byte
		id   Identity
	}
}

// An FSCall is a call that reaches a MemFS: create, read, write, sync, punch, remove, rename
// or syncdir.
type FSCall struct {
	Op, Name string
	Offset   int64
	Size     int
}

// SetFault has f asked before every call; an error that it returns is the call's. A write that
// fails leaves its first half, and a sync that fails lets go of what it was to make durable, as
// kernels do: it is still read, no later sync writes it, and a crash may lose it. f is called
// with the file system locked, and must not call it.
func (m *MemFS) SetFault(f func(FSCall) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = f
}

// ask tells whether a call fails; m.mu is held.
func (m *MemFS) ask(op, name string, off int64, n int) error {
	if m.fault == nil {
		return nil
	}
	return m.fault(FSCall{op, name, off, n})
}

// Sizes returns the files and their sizes.
func (m *MemFS) Sizes() map[string]int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := map[string]int64{}
	for n, f := range m.names {
		list[n] = f.data.size
	}
	return list
}

// Version is a number that stays the same as long as nobody writes to a range of a segment, nor to
// its header, and that changes with that; ok is false where there is no such segment. What was
// verified need not be verified again while it stays.
func (m *MemFS) Version(segment uint32, from, to int64) (v uint64, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.names[segmentName(segment)]
	if f == nil {
		return 0, false
	}
	return scatter(f.data.version(0, segmentHeader) + scatter(f.data.version(from, to))), true
}

// Flip flips bit 0 to 7 of a byte of a file, for good.
func (m *MemFS) Flip(name string, off int64, bit int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.names[name]
	if f == nil || off < 0 || off >= f.data.size {
		return fmt.Errorf("%s, offset %d: %w", name, off, fs.ErrNotExist)
	}
	for _, p := range []*memPages{&f.data, &f.synced} {
		if off < p.size {
			p.flip(off, 1<<bit)
		}
	}
	return nil
}

// NewMemFS returns an empty file system.
func NewMemFS() *MemFS {
	return &MemFS{names: map[string]*memFile{}, durable: map[string]*memFile{}}
}

// Clone returns a file system of its own with the same files, all as if they were synced.
func (m *MemFS) Clone() *MemFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := NewMemFS()
	for n, f := range m.names {
		g := &memFile{fs: c, name: n, data: f.data.clone(), synced: f.data.clone()}
		c.names[n], c.durable[n] = g, g
	}
	return c
}

type memFile struct {
	fs      *MemFS
	name    string
	data    memPages   // guarded by fs.mu
	synced  memPages   // guarded by fs.mu
	pending []memWrite // guarded by fs.mu; since the last sync
	limbo   []memWrite // guarded by fs.mu; of syncs that failed
}

// A memWrite is a write that is not synced yet, or a hole of n zeros, or, with cut, a
// truncation to off.
type memWrite struct {
	off, n int64
	p      []byte // nil for a hole
	cut    bool
}

// on makes the first n bytes of the write in data.
func (w memWrite) on(data *memPages, n int64) {
	switch {
	case w.cut:
		data.truncate(w.off)
	case w.p == nil:
		data.zero(w.off, n)
	default:
		data.write(w.p[:n], w.off)
	}
}

// Crash loses what was not synced: each write since is kept, lost or torn, and each file
// that was made, renamed or removed since the last sync of the directory is there or not,
// as rng says. Files that are open must not be used any more.
func (m *MemFS) Crash(rng *rand.Rand) {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := maps.Clone(m.durable)
	for _, n := range slices.Sorted(maps.Keys(m.names)) {
		if m.durable[n] != m.names[n] && rng.IntN(2) == 0 {
			names[n] = m.names[n]
		}
	}
	m.names, m.durable = map[string]*memFile{}, map[string]*memFile{}
	for _, n := range slices.Sorted(maps.Keys(names)) {
		old := names[n]
		f := &memFile{fs: m, name: n, data: old.synced.clone()}
		for _, w := range slices.Concat(old.limbo, old.pending) {
			n := w.n
			switch rng.IntN(3) {
			case 0:
				continue
			case 1:
				n = rng.Int64N(n + 1)
			}
			w.on(&f.data, n)
		}
		f.synced = f.data.clone()
		m.names[n], m.durable[n] = f, f
	}
}

func (m *MemFS) open(name string, mode openMode) (file, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.names[name]
	if mode == forCreating {
		if err := m.ask("create", name, 0, 0); err != nil {
			return nil, err
		}
	}
	switch {
	case mode == forCreating && f != nil:
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	case mode == forCreating:
		f = &memFile{fs: m, name: name}
		m.names[name] = f
	case f == nil:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return f, nil
}

// openDirect opens a file that takes whole pages only.
func (m *MemFS) openDirect(name string, mode openMode) (directIO, error) {
	f, err := m.open(name, mode)
	if err != nil {
		return nil, err
	}
	return pagedFile{f}, nil
}

type pagedFile struct{ file }

func (f pagedFile) writev(p [][]byte, off int64) error {
	for _, b := range p {
		wholePages(b, off)
	}
	return f.file.writev(p, off)
}

func (f pagedFile) readPages(p []byte, least int, off int64) error {
	wholePages(p, off)
	size, err := f.size()
	if err != nil {
		return err
	}
	if n := max(0, min(int64(len(p)), size-off)); n >= int64(least) {
		return f.readv([][]byte{p[:n]}, off)
	}
	return errShort
}

func wholePages(p []byte, off int64) {
	if off%pageSize != 0 || len(p)%pageSize != 0 || uintptr(unsafe.Pointer(unsafe.SliceData(p)))%pageSize != 0 {
		panic("a direct read or write of part of a page")
	}
}

func (m *MemFS) remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ask("remove", name, 0, 0); err != nil {
		return err
	}
	if m.names[name] == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	delete(m.names, name)
	return nil
}

func (m *MemFS) rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ask("rename", from, 0, 0); err != nil {
		return err
	}
	f := m.names[from]
	if f == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	delete(m.names, from)
	m.names[to] = f
	return nil
}

func (m *MemFS) list() ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.names)), nil
}

func (m *MemFS) syncDir() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ask("syncdir", "", 0, 0); err != nil {
		return err
	}
	m.durable = maps.Clone(m.names)
	return nil
}

func (f *memFile) readv(p [][]byte, off int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.ask("read", f.name, off, 0); err != nil {
		return err
	}
	for _, b := range p {
		if off < 0 || off+int64(len(b)) > f.data.size {
			return errShort
		}
		f.data.read(b, off)
		off += int64(len(b))
	}
	return nil
}

func (f *memFile) writev(p [][]byte, off int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	all := slices.Concat(p...)
	err := f.fs.ask("write", f.name, off, len(all))
	if err != nil {
		all = all[:len(all)/2]
	}
	if len(all) > 0 {
		f.keep(memWrite{off: off, n: int64(len(all)), p: all})
	}
	return err
}

// keep makes a write in memory; fs.mu is held.
func (f *memFile) keep(w memWrite) {
	w.on(&f.data, w.n)
	f.pending = append(f.pending, w)
}

func (f *memFile) sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.ask("sync", f.name, 0, 0); err != nil {
		f.limbo, f.pending = append(f.limbo, f.pending...), nil
		return err
	}
	f.limbo = f.shorten(f.limbo)
	for _, w := range f.pending {
		w.on(&f.synced, w.n)
	}
	f.pending = nil
	return nil
}

// shorten makes the truncations among writes durable, as a sync that follows does: it keeps the
// length of a file, whatever became of bytes before. What is left of the writes is returned.
func (f *memFile) shorten(writes []memWrite) []memWrite {
	var left []memWrite
	for _, w := range writes {
		if !w.cut {
			left = append(left, w)
			continue
		}
		f.synced.truncate(w.off)
		for i := range left {
			left[i].n = max(0, min(left[i].n, w.off-left[i].off))
		}
	}
	return slices.DeleteFunc(left, func(w memWrite) bool { return w.n == 0 })
}

func (f *memFile) size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return f.data.size, nil
}

func (f *memFile) allocated() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return f.data.allocated(), nil
}

func (f *memFile) punch(off, n int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.ask("punch", f.name, off, int(n)); err != nil {
		return err
	}
	if end := min(off+n, f.data.size); end > off {
		f.keep(memWrite{off: off, n: end - off})
	}
	return nil
}

func (f *memFile) truncate(size int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.ask("truncate", f.name, size, 0); err != nil {
		return err
	}
	f.keep(memWrite{off: size, cut: true})
	return nil
}

func (f *memFile) close() error { return nil }

// A sparseFile tells where its holes end, so that nobody has to read them.
type sparseFile interface {
	// dataFrom returns the first offset from off on that does not lie in a hole: off itself
	// where that is not known.
	dataFrom(off int64) int64
}

// dataFrom returns the first offset in [off, end) that may not lie in a hole, or end.
func dataFrom(f file, off, end int64) int64 {
	if s, ok := f.(sparseFile); ok {
		return min(end, max(off, s.dataFrom(off)))
	}
	return off
}

func (f *memFile) dataFrom(off int64) int64 {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return f.data.dataFrom(off)
}

// zeroRun is how many bytes at the beginning of p are zero, in whole steps of the alignment.
func zeroRun(p []byte) int {
	n := 0
	for n+pageSize <= len(p) && bytes.Equal(p[n:n+pageSize], zeros[:pageSize]) {
		n += pageSize
	}
	for n < len(p) && allZero(p[n:min(n+alignment, len(p))]) {
		n = min(n+alignment, len(p))
	}
	return n
}

func allZero(p []byte) bool {
	for len(p) >= 8 {
		if le.Uint64(p) != 0 {
			return false
		}
		p = p[8:]
	}
	for _, v := range p {
		if v != 0 {
			return false
		}
	}
	return true
}

const pageSize = 4096

var errShort = errors.New("the file ends before")
