package disks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// Options say how a disk is opened.
type Options struct {
	// ReadOnly takes no lock, so that a disk can be read beside its writer.
	ReadOnly bool
	// FirstSegment is the size up to which the first segment grows; 0 means 1 MiB. The next are
	// twice as large each, up to 64 times.
	FirstSegment int64
	// Direct is from how many bytes on every append is as with AppendOptions.Direct; 0 means
	// none is that does not ask for it.
	Direct int64
}

const (
	firstSegment = 1 << 20
	lastSegment  = 64 << 20
	openFiles    = 12 // segments that a disk keeps open beside the newest
)

// Segments is a Disk of append-only segments on a file system.
type Segments struct {
	fs   fileSystem
	o    Options
	lock *os.File

	mu       sync.Mutex
	id       Identity            // guarded by mu
	segs     map[uint32]*segment // guarded by mu
	active   *segment            // guarded by mu
	next     uint32              // guarded by mu
	used     int64               // guarded by mu
	dirDirty bool                // guarded by mu; a segment was made since the last sync
	failures int                 // guarded by mu; of syncs
	failed   error               // guarded by mu; the last of them
	clock    int64               // guarded by mu; orders uses of files
	closed   bool                // guarded by mu
	iovs     [][]byte            // guarded by mu; scratch of Append
	heads    []byte              // guarded by mu
	calm     int                 // guarded by mu; small appends in a row
	indirect bool                // guarded by mu; the file system does not write without its page cache
	cached   bool                // guarded by mu; nor read
	mark     file                // guarded by mu; nil until the first Mark

	syncing sync.Mutex
	freeing sync.Mutex

	number atomic.Int32  // of the identity, for count
	arm    atomic.Uint64 // segment (32 bits) and offset where the last access ended

	reads, writes, syncs, readSeeks, writeSeeks, bytesRead, bytesWritten atomic.Int64
}

// A segment is one file. Its fields are guarded by the disk's mu unless said otherwise.
type segment struct {
	number     uint32
	generation uint64
	f          file
	cold       directIO // for reads past the page cache; nil until the first
	direct     file     // of the active segment, once much was appended at a time; see direct.go
	users      int
	used       int64 // of the disk's clock
	end        int64
	ahead      int64 // zeros were written from end up to here
	synced     int64 // what is before is durable
	sealed     bool
	resumed    bool   // of an earlier process, and nothing was appended since
	broken     bool   // a write or sync failed: never appended to or synced again
	doubted    uint64 // not 0: the generation of which an earlier process found it broken
	dirty      bool
	entries    []Entry // of a segment that is not sealed
	holes      *holes  // guarded by the disk's freeing
	recount    bool    // holes are out of date
}

// CreateDir makes a disk in a new directory.
func CreateDir(dir string, id Identity) (*Segments, error) {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, spaceError(err)
	}
	if _, err := os.Stat(filepath.Join(dir, identityFile)); err == nil {
		return nil, fmt.Errorf("%s holds a disk: %w", dir, fs.ErrExist)
	}
	if err := os.Mkdir(filepath.Join(dir, "segments"), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, spaceError(err)
	}
	d := newSegments(osFS{dir}, Options{})
	if err := d.SetIdentity(id); err != nil {
		return nil, err
	}
	return OpenDir(dir, Options{})
}

// OpenDir opens the disk in a directory.
func OpenDir(dir string, o Options) (*Segments, error) {
	d := newSegments(osFS{dir}, o)
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLost, err)
	}
	if !o.ReadOnly {
		lock, err := lockDir(dir)
		if err != nil {
			return nil, err
		}
		d.lock = lock
	}
	if err := d.open(); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// CreateMem makes a disk in an empty file system in memory.
func CreateMem(m *MemFS, id Identity) (*Segments, error) {
	d := newSegments(m, Options{})
	if err := d.SetIdentity(id); err != nil {
		return nil, err
	}
	return OpenMem(m, Options{})
}

// OpenMem opens the disk that a file system in memory holds.
func OpenMem(m *MemFS, o Options) (*Segments, error) {
	d := newSegments(m, o)
	return d, d.open()
}

func newSegments(f fileSystem, o Options) *Segments {
	return &Segments{fs: f, o: o, segs: map[uint32]*segment{}, next: 1}
}

const identityFile = "disk.json"

// identityFormat is the version of the identity file.
const identityFormat = 1

// open reads the identity and finds the segments.
func (d *Segments) open() error {
	p, err := d.readFile(identityFile)
	if err == nil {
		d.id, err = decodeIdentity(d.fs, p)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: no identity file", ErrLost)
	case err != nil:
		return fmt.Errorf("identity file: %w: %w", ErrCorrupt, err)
	case d.id.Format > identityFormat:
		return fmt.Errorf("identity file of format %d: %w", d.id.Format, ErrVersion)
	}
	d.number.Store(d.id.Number)
	if err := d.discover(); err != nil {
		return err
	}
	if d.o.ReadOnly {
		return nil
	}
	return d.resume()
}

// decodeIdentity reads an identity file. A file system in memory remembers it: simulations open
// the same disk thousands of times.
func decodeIdentity(fs fileSystem, p []byte) (id Identity, err error) {
	m, memory := fs.(*MemFS)
	if memory {
		m.mu.Lock()
		defer m.mu.Unlock()
		if bytes.Equal(m.known.text, p) {
			return m.known.id, nil
		}
	}
	if err = json.Unmarshal(p, &id); err == nil && memory {
		m.known.text, m.known.id = p, id
	}
	return id, err
}

// discover lists the segments that are there.
func (d *Segments) discover() error {
	names, err := d.fs.list()
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range names {
		n, ok := segmentNumber(name)
		if !ok || d.segs[n] != nil {
			continue
		}
		d.segs[n] = &segment{number: n}
		d.next = max(d.next, n+1)
		if slices.Contains(names, doubtName(n)) {
			d.readDoubt(d.segs[n])
		}
	}
	return nil
}

func segmentName(n uint32) string {
	name := []byte("segments/00000000.seg")
	if n > 99_999_999 {
		return fmt.Sprintf("segments/%d.seg", n)
	}
	for at := len("segments/00000000") - 1; n > 0; n /= 10 {
		name[at] += byte(n % 10)
		at--
	}
	return string(name)
}

func segmentNumber(name string) (uint32, bool) {
	base, ok := strings.CutPrefix(name, "segments/")
	digits, seg := strings.CutSuffix(base, ".seg")
	n, err := strconv.ParseUint(digits, 10, 32)
	return uint32(n), ok && seg && err == nil && n > 0
}

// resume sums the space in use and continues the last segment when it was not sealed.
func (d *Segments) resume() error {
	for _, n := range d.numbers() {
		s, err := d.acquire(n)
		if err != nil {
			continue // damaged: what was in it is not there
		}
		bytes, err := s.f.allocated()
		if err == nil {
			d.used += bytes
		}
		d.release(s)
	}
	list := d.numbers()
	if len(list) == 0 {
		return nil
	}
	last := list[len(list)-1]
	s, err := d.acquire(last)
	if err != nil {
		return nil //nolint:nilerr // it stays as it is; the next append opens another
	}
	entries, end, sealed, err := d.index(context.Background(), s)
	d.release(s)
	if err != nil || sealed || s.broken {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	f, err := d.fs.open(segmentName(last), forWriting)
	if err != nil {
		return nil //nolint:nilerr // as above
	}
	if s.f != nil {
		s.closeFiles() //nolint:errcheck // they were only read
	}
	s.f, s.entries, s.end, s.synced, s.users, s.resumed = f, entries, end, end, 1, true
	d.used -= punchAhead(f)
	d.active = s
	return nil
}

func (d *Segments) numbers() []uint32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]uint32, 0, len(d.segs))
	for n := range d.segs {
		list = append(list, n)
	}
	slices.Sort(list)
	return list
}

func (d *Segments) readFile(name string) ([]byte, error) {
	f, err := d.fs.open(name, forReading)
	if err != nil {
		return nil, err
	}
	defer f.close()
	n, err := f.size()
	if err != nil {
		return nil, err
	}
	if n > 64<<20 {
		return nil, fmt.Errorf("%s has %d bytes: %w", name, n, ErrCorrupt)
	}
	p := make([]byte, n)
	return p, f.readv([][]byte{p}, 0)
}

// Identity returns what the disk says of itself.
func (d *Segments) Identity() Identity {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.id
}

// SetIdentity replaces the identity file.
func (d *Segments) SetIdentity(id Identity) error {
	if d.o.ReadOnly {
		return ErrReadOnly
	}
	id.Format = identityFormat
	p, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return err
	}
	const temp = identityFile + ".new"
	d.fs.remove(temp)
	f, err := d.fs.open(temp, forCreating)
	if err != nil {
		return err
	}
	err = errors.Join(f.writev([][]byte{append(p, '\n')}, 0), f.sync())
	if err = errors.Join(err, f.close()); err != nil {
		return err
	}
	if err := d.fs.rename(temp, identityFile); err != nil {
		return err
	}
	d.mu.Lock()
	d.id = id
	d.number.Store(id.Number)
	d.mu.Unlock()
	return d.fs.syncDir()
}

// acquire returns a segment whose file is open, and keeps it open until release.
func (d *Segments) acquire(n uint32) (*segment, error) {
	d.mu.Lock()
	s := d.segs[n]
	if s == nil && d.o.ReadOnly {
		d.mu.Unlock()
		if err := d.discover(); err != nil {
			return nil, err
		}
		d.mu.Lock()
		s = d.segs[n]
	}
	defer d.mu.Unlock()
	if s == nil {
		return nil, fmt.Errorf("segment %d: %w", n, ErrGone)
	}
	s.users++ // before it is opened, since opening closes files that nobody uses
	d.clock++
	s.used = d.clock
	if s.f == nil {
		if err := d.openSegment(s); err != nil {
			s.users--
			return nil, err
		}
	}
	return s, nil
}

// openSegment opens a segment's file; d.mu is held.
func (d *Segments) openSegment(s *segment) error {
	mode := forWriting
	if d.o.ReadOnly {
		mode = forReading
	}
	f, err := d.fs.open(segmentName(s.number), mode)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("segment %d: %w", s.number, ErrGone)
	}
	if err != nil {
		return fmt.Errorf("segment %d: %w", s.number, err)
	}
	var p [segmentHeader]byte
	err = f.readv([][]byte{p[:]}, 0)
	if errors.Is(err, errShort) {
		err = ErrCorrupt
	}
	if err == nil {
		s.generation, err = parseSegmentHeader(p[:], d.id, s.number)
	}
	if err != nil {
		f.close()
		return fmt.Errorf("segment %d: %w", s.number, err)
	}
	if s.doubted != 0 && s.doubted != s.generation {
		s.broken, s.doubted, s.synced = false, 0, 0
	}
	s.f = f
	d.trim()
	return nil
}

// trim closes the files that were used the longest ago; d.mu is held.
func (d *Segments) trim() {
	for {
		open, oldest := 0, (*segment)(nil)
		for _, s := range d.segs {
			if s.f == nil {
				continue
			}
			open++
			if s.users == 0 && !s.dirty && (oldest == nil || s.used < oldest.used) {
				oldest = s
			}
		}
		if open <= openFiles || oldest == nil {
			return
		}
		oldest.closeFiles() //nolint:errcheck // nothing of it is dirty
	}
}

func (d *Segments) release(s *segment) {
	d.mu.Lock()
	s.users--
	d.mu.Unlock()
}

// Space tells how the disk's bytes are used.
func (d *Segments) Space() Space {
	d.mu.Lock()
	defer d.mu.Unlock()
	used := d.used
	if d.o.ReadOnly {
		used = d.measure()
	}
	ahead := d.aheadBytes()
	return Space{Capacity: d.id.Capacity, Used: used + ahead, Ahead: ahead, Free: max(0, d.id.Capacity-used-reserve(d.id.Capacity))}
}

// measure asks the file system for the space in use; d.mu is held.
func (d *Segments) measure() int64 {
	total := int64(0)
	for n := range d.segs {
		f, err := d.fs.open(segmentName(n), forReading)
		if err != nil {
			continue
		}
		if bytes, err := f.allocated(); err == nil {
			total += bytes
		}
		f.close()
	}
	return total
}

// Counters tells what reached the device since the disk was opened.
func (d *Segments) Counters() Counters {
	return Counters{d.reads.Load(), d.writes.Load(), d.syncs.Load(), d.readSeeks.Load(), d.writeSeeks.Load(), d.bytesRead.Load(), d.bytesWritten.Load()}
}

// Close closes the files and gives up the lock. It does not sync.
func (d *Segments) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	if d.active != nil {
		d.cutAhead(d.active)
		d.active.closeDirect()
	}
	var err error
	for _, s := range d.segs {
		if s.f != nil {
			err = errors.Join(err, s.closeFiles())
		}
	}
	if d.mark != nil {
		err = errors.Join(err, d.mark.close())
	}
	if d.lock != nil {
		err = errors.Join(err, d.lock.Close())
	}
	return err
}
