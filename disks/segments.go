package disks

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
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
	// Direct is from how many bytes on an append goes past the system's page cache, where the
	// file system can; 0 means 64 KiB.
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
	indirect bool                // guarded by mu; the file system does not go without its page cache
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
	direct     file // of the active segment, once much was appended at a time; see direct.go
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
		err = json.Unmarshal(p, &d.id)
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

func segmentName(n uint32) string { return fmt.Sprintf("segments/%08d.seg", n) }

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
		s.f.close()
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
		oldest.f.close()
		oldest.f = nil
	}
}

func (d *Segments) release(s *segment) {
	d.mu.Lock()
	s.users--
	d.mu.Unlock()
}

// reserve is the space that puts may not take: two segments or 3 %, whichever is less.
func reserve(capacity int64) int64 { return min(2*lastSegment, capacity*3/100) }

// Append stores shards.
func (d *Segments) Append(ctx context.Context, shards []Shard, o AppendOptions) ([]Address, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if d.o.ReadOnly {
		return nil, ErrReadOnly
	}
	total := int64(0)
	for _, s := range shards {
		if len(s.Columns) != int(s.K) || len(s.Data) > maxShard || len(s.Journal) > maxJournal {
			return nil, fmt.Errorf("shard of %d columns of %d, %d bytes, journal of %d", len(s.Columns), s.K, len(s.Data), len(s.Journal))
		}
		total += shardSize(int(s.K), uint32(len(s.Data)), uint32(len(s.Journal)))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, fs.ErrClosed
	}
	room := d.id.Capacity - d.used
	if !o.UseReserve {
		room -= reserve(d.id.Capacity)
	}
	if total > room {
		return nil, fmt.Errorf("%d bytes wanted, %d left: %w", total, max(0, room), ErrFull)
	}
	places := make([]Address, 0, len(shards))
	for len(shards) > 0 {
		n, err := d.appendSome(ctx, shards, &places)
		if err != nil {
			return nil, err
		}
		shards = shards[n:]
	}
	return places, nil
}

// appendSome appends as many shards as go into one segment, at least one; d.mu is held.
func (d *Segments) appendSome(ctx context.Context, shards []Shard, places *[]Address) (int, error) {
	first := shardSize(int(shards[0].K), uint32(len(shards[0].Data)), uint32(len(shards[0].Journal)))
	if err := d.roll(ctx, first); err != nil {
		return 0, err
	}
	s := d.active
	if err := d.vouch(s); err != nil {
		return 0, err
	}
	n, size := d.fitting(s, shards)
	at, direct := s.end, size >= d.directFrom() && d.openDirect(s)
	if direct {
		at = pages(at)
	}
	start := at
	iov := d.iovs[:0]
	d.heads = slices.Grow(d.heads[:0], d.headBytes(shards[:n]))
	for i, sh := range shards[:n] {
		sh.Paged = direct && i == n-1
		size := sh.length(uint32(at), uint32(len(sh.Data)), uint32(len(sh.Journal)))
		iov = d.lay(iov, s, uint32(at), size, sh)
		a := Address{s.number, uint32(at), uint32(size)}
		s.entries = append(s.entries, Entry{a, sh.Header, uint32(len(sh.Data)), uint32(len(sh.Journal))})
		s.entries[len(s.entries)-1].Columns = slices.Clone(sh.Columns)
		*places = append(*places, a)
		at += size
	}
	d.iovs = iov
	d.count(ctx, Counters{Writes: 1, WriteSeeks: d.seeks(s, start, at-start), BytesWritten: at - start})
	write := s.f.writev
	if direct {
		write = func(p [][]byte, off int64) error { return d.writeDirect(s, p, off) }
	}
	if err := write(iov, start); err != nil {
		d.breakSegment(s)
		return 0, fmt.Errorf("segment %d: write: %w", s.number, err)
	}
	clear(iov)
	written := at - s.end
	d.used += written
	s.end, s.dirty = at, true
	d.writeAhead(s, written)
	return n, nil
}

// fitting counts the shards that go into a segment, at least one, and their bytes; d.mu is
// held.
func (d *Segments) fitting(s *segment, shards []Shard) (n int, size int64) {
	limit := d.limit(s.number)
	for _, sh := range shards {
		more := shardSize(int(sh.K), uint32(len(sh.Data)), uint32(len(sh.Journal)))
		if n > 0 && s.end+size+more > limit {
			break
		}
		size += more
		n++
	}
	return n, size
}

// vouch writes the header of a segment of an earlier process again before the first append, and
// has the directory synced: that process may have made it and not lived to sync it, or its
// sync may have failed, and then what is read of it is not on the disk. d.mu is held.
func (d *Segments) vouch(s *segment) error {
	if !s.resumed {
		return nil
	}
	if err := s.f.writev([][]byte{appendSegmentHeader(nil, d.id, s.number, s.generation)}, 0); err != nil {
		d.breakSegment(s)
		return fmt.Errorf("segment %d: write header: %w", s.number, err)
	}
	s.resumed, d.dirDirty = false, true
	return nil
}

// headBytes is the room for headers, sums and padding of shards.
func (d *Segments) headBytes(shards []Shard) int {
	n := 0
	for _, s := range shards {
		n += HeaderSize(int(s.K)) + sumSize*(len(s.Data)/blockSize+2) + alignment
	}
	return n + pageSize
}

// lay adds a shard to iov, with its header and sums in d.heads, which has room.
func (d *Segments) lay(iov [][]byte, s *segment, at uint32, size int64, sh Shard) [][]byte {
	take := func(n int) []byte {
		from := len(d.heads)
		d.heads = d.heads[:from+n]
		return d.heads[from : from+n : from+n]
	}
	head := take(HeaderSize(int(sh.K)))
	appendHeader(head[:0], s.generation, at, sh.Header, uint32(len(sh.Data)), uint32(len(sh.Journal)))
	iov = append(iov, head)
	for b := 0; b*blockSize < len(sh.Data); b++ {
		block := sh.Data[b*blockSize : min((b+1)*blockSize, len(sh.Data))]
		sum := take(sumSize)
		le.PutUint64(sum, sumWith(seed(s.generation, sh.Stripe, sh.Index, uint32(b)), block))
		iov = append(iov, block, sum)
	}
	used := int64(len(head)) + stored(uint32(len(sh.Data)))
	if len(sh.Journal) > 0 {
		sum := take(sumSize)
		le.PutUint64(sum, sumWith(seed(s.generation, sh.Stripe, sh.Index, journalBlock), sh.Journal))
		iov = append(iov, sh.Journal, sum)
		used += int64(len(sh.Journal)) + sumSize
	}
	if pad := int(size - used); pad > 0 {
		p := take(pad)
		clear(p)
		iov = append(iov, p)
	}
	return iov
}

// limit is the size up to which the n-th segment grows: 1, 2, 4, … 64 MiB.
func (d *Segments) limit(n uint32) int64 {
	first := int64(firstSegment)
	if d.o.FirstSegment > 0 {
		first = min(first, d.o.FirstSegment)
	}
	return first << min(n-1, 6)
}

// roll makes sure that the active segment takes size more bytes; d.mu is held.
func (d *Segments) roll(ctx context.Context, size int64) error {
	if s := d.active; s != nil {
		if s.end == segmentHeader || s.end+size <= d.limit(s.number) {
			return nil
		}
		if err := d.seal(ctx, s); err != nil {
			return err
		}
	}
	return d.begin()
}

// seal writes the footer of a full segment; d.mu is held.
func (d *Segments) seal(ctx context.Context, s *segment) error {
	d.cutAhead(s)
	footer := appendFooter(nil, s.generation, s.entries)
	d.count(ctx, Counters{Writes: 1, WriteSeeks: d.seeks(s, s.end, int64(len(footer))), BytesWritten: int64(len(footer))})
	if err := s.f.writev([][]byte{footer}, s.end); err != nil {
		d.breakSegment(s)
		return fmt.Errorf("segment %d: write footer: %w", s.number, err)
	}
	d.used += int64(len(footer))
	s.closeDirect()
	s.sealed, s.dirty, s.entries, s.recount = true, true, nil, true
	s.users--
	d.active = nil
	return nil
}

// breakSegment closes a segment to appends and syncs after a failure; d.mu is held.
func (d *Segments) breakSegment(s *segment) {
	s.broken, s.dirty = true, false
	s.closeDirect()
	d.noteDoubt(s)
	if d.active == s {
		d.active = nil
		s.users--
	}
}

// noteDoubt leaves a file beside a broken segment that says up to where it is durable. Until
// the power goes off what is beyond reads well, and nobody else could tell. After that it is
// there or not, so that the note need not be durable, nor is anything lost without it that
// others do not have. d.mu is held.
func (d *Segments) noteDoubt(s *segment) {
	f, err := d.fs.open(doubtName(s.number), forCreating)
	if err != nil {
		return
	}
	defer f.close()
	p := binary.LittleEndian.AppendUint64(nil, s.generation)
	f.writev([][]byte{binary.LittleEndian.AppendUint64(p, uint64(s.synced))}, 0) //nolint:errcheck // as above
}

// readDoubt takes over what an earlier process noted of a segment.
func (d *Segments) readDoubt(s *segment) {
	if p, err := d.readFile(doubtName(s.number)); err == nil && len(p) == 16 {
		s.broken, s.doubted = true, binary.LittleEndian.Uint64(p)
		s.synced = int64(binary.LittleEndian.Uint64(p[8:]))
	}
}

func doubtName(n uint32) string { return fmt.Sprintf("segments/%08d.doubt", n) }

// begin makes the next segment; d.mu is held.
func (d *Segments) begin() error {
	n := d.next
	d.next++
	f, err := d.fs.open(segmentName(n), forCreating)
	if err != nil {
		return fmt.Errorf("segment %d: %w", n, err)
	}
	s := &segment{number: n, generation: rand.Uint64(), f: f, end: segmentHeader, dirty: true, users: 1}
	d.segs[n], d.dirDirty = s, true
	if err := f.writev([][]byte{appendSegmentHeader(nil, d.id, n, s.generation)}, 0); err != nil {
		s.users = 0
		d.breakSegment(s)
		return fmt.Errorf("segment %d: write header: %w", n, err)
	}
	d.used += segmentHeader
	d.active = s
	d.trim()
	return nil
}

// Sync makes durable what was appended before.
func (d *Segments) Sync(ctx context.Context) error {
	d.mu.Lock()
	failures := d.failures
	d.mu.Unlock()
	d.syncing.Lock()
	defer d.syncing.Unlock()
	d.mu.Lock()
	if d.failures != failures { // while this call waited; what it came for may be in what was lost
		defer d.mu.Unlock()
		return d.failed
	}
	if d.closed {
		defer d.mu.Unlock()
		return fs.ErrClosed
	}
	var dirty []*segment
	files := map[*segment]file{} // Close may come while a disk hangs
	ends := map[*segment]int64{}
	for _, s := range d.segs {
		if s.dirty {
			s.dirty = false
			s.users++
			dirty = append(dirty, s)
			files[s], ends[s] = s.f, s.end
		}
	}
	dir := d.dirDirty
	d.dirDirty = false
	d.mu.Unlock()
	if err := ctx.Err(); err != nil {
		d.unsynced(dirty, dir)
		return err
	}
	slices.SortFunc(dirty, func(a, b *segment) int { return int(a.number) - int(b.number) })
	var failed error
	for _, s := range dirty {
		d.count(ctx, Counters{Syncs: 1})
		if err := files[s].sync(); err != nil && failed == nil {
			failed = fmt.Errorf("segment %d: sync: %w", s.number, err)
		}
	}
	if failed == nil && dir {
		failed = d.fs.syncDir()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range dirty {
		s.users--
		if failed != nil {
			d.breakSegment(s)
		} else {
			s.synced = max(s.synced, ends[s])
		}
	}
	if failed != nil {
		d.dirDirty = d.dirDirty || dir
		d.failures++
		d.failed = failed
	}
	return failed
}

// Doubtful tells whether a shard that was appended may be gone though a later Sync returned
// nil: a write or sync of its segment failed before it was durable.
func (d *Segments) Doubtful(a Address) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.segs[a.Segment]
	return s == nil || s.broken && int64(a.Offset)+int64(a.Length) > s.synced
}

// Harden makes durable all that is there.
func (d *Segments) Harden(ctx context.Context) error {
	if d.o.ReadOnly {
		return ErrReadOnly
	}
	for _, n := range d.numbers() {
		if err := ctx.Err(); err != nil {
			return err
		}
		s, err := d.acquire(n)
		if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrGone) {
			continue // nothing of it is used
		}
		if err != nil {
			return err
		}
		d.count(ctx, Counters{Syncs: 1})
		err = s.f.sync()
		d.release(s)
		if err != nil {
			return fmt.Errorf("segment %d: sync: %w", n, err)
		}
	}
	return d.fs.syncDir()
}

// unsynced takes back what a Sync that did nothing had taken on.
func (d *Segments) unsynced(dirty []*segment, dir bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range dirty {
		s.dirty = !s.broken
		s.users--
	}
	d.dirDirty = d.dirDirty || dir
}

// Read reads and verifies a range of a shard.
func (d *Segments) Read(ctx context.Context, r Ref, off int, dst []byte) error {
	if err := d.check(ctx, r, off, len(dst)); err != nil || len(dst) == 0 {
		return err
	}
	s, err := d.acquire(r.Segment)
	if err != nil {
		return err
	}
	defer d.release(s)
	first, last := off/blockSize, (off+len(dst)-1)/blockSize
	blocks := make([][]byte, 0, last-first+1)
	iov := make([][]byte, 0, 2*(last-first+1))
	sums := make([]byte, sumSize*(last-first+1))
	n := 0
	for b := first; b <= last; b++ {
		from, to := b*blockSize, min((b+1)*blockSize, int(r.Size))
		var p []byte
		if from >= off && to <= off+len(dst) {
			p = dst[from-off : to-off]
		} else {
			p = make([]byte, to-from)
		}
		blocks = append(blocks, p)
		iov = append(iov, p, sums[(b-first)*sumSize:(b-first+1)*sumSize])
		n += len(p) + sumSize
	}
	at := int64(r.Offset) + int64(HeaderSize(int(r.K))) + int64(first)*(blockSize+sumSize)
	if err := d.readv(ctx, s, iov, at, n); err != nil {
		return err
	}
	for i, p := range blocks {
		b := first + i
		if le.Uint64(sums[i*sumSize:]) != sumWith(seed(s.generation, r.Stripe, r.Index, uint32(b)), p) {
			return fmt.Errorf("segment %d, offset %d, block %d: %w", r.Segment, r.Offset, b, ErrCorrupt)
		}
		if from := b * blockSize; from < off {
			copy(dst, p[off-from:])
		} else if from+len(p) > off+len(dst) {
			copy(dst[from-off:], p)
		}
	}
	return nil
}

// ReadRaw reads a range of a shard and nothing else.
func (d *Segments) ReadRaw(ctx context.Context, r Ref, off int, dst []byte) error {
	if err := d.check(ctx, r, off, len(dst)); err != nil || len(dst) == 0 {
		return err
	}
	s, err := d.acquire(r.Segment)
	if err != nil {
		return err
	}
	defer d.release(s)
	var iov [][]byte
	var skip [sumSize]byte
	n := 0
	for p, at := dst, off; len(p) > 0; {
		part := min(len(p), blockSize-at%blockSize)
		iov = append(iov, p[:part])
		p, at, n = p[part:], at+part, n+part
		if len(p) > 0 {
			iov, n = append(iov, skip[:]), n+sumSize
		}
	}
	at := int64(r.Offset) + int64(HeaderSize(int(r.K))) + int64(off) + int64(off/blockSize)*sumSize
	return d.readv(ctx, s, iov, at, n)
}

func (d *Segments) check(ctx context.Context, r Ref, off, n int) error {
	if off < 0 || off+n > int(r.Size) || shardSize(int(r.K), r.Size, 0) > int64(r.Length) {
		return fmt.Errorf("range [%d, %d) of a shard of %d bytes in %d on disk: %w", off, off+n, r.Size, r.Length, ErrCorrupt)
	}
	return ctx.Err()
}

func (d *Segments) readv(ctx context.Context, s *segment, iov [][]byte, at int64, n int) error {
	d.count(ctx, Counters{Reads: 1, ReadSeeks: d.seeks(s, at, int64(n)), BytesRead: int64(n)})
	err := s.f.readv(iov, at)
	if errors.Is(err, errShort) {
		err = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if err != nil {
		return fmt.Errorf("segment %d, offset %d: %w", s.number, at, err)
	}
	return nil
}

// header reads and verifies the header of a shard.
func (d *Segments) header(ctx context.Context, s *segment, offset uint32) (Entry, error) {
	p := make([]byte, fixedHeader)
	if err := d.readv(ctx, s, [][]byte{p}, int64(offset), len(p)); err != nil {
		return Entry{}, err
	}
	if le.Uint32(p) != shardMagic {
		return Entry{}, ErrGone
	}
	rest := make([]byte, HeaderSize(int(p[7]))-fixedHeader)
	if err := d.readv(ctx, s, [][]byte{rest}, int64(offset)+fixedHeader, len(rest)); err != nil {
		return Entry{}, err
	}
	h, size, journal, err := parseHeader(append(p, rest...), s.generation, offset)
	return Entry{Address{s.number, offset, uint32(h.length(offset, size, journal))}, h, size, journal}, err
}

// ReadShard reads a whole shard.
func (d *Segments) ReadShard(ctx context.Context, a Address) (Shard, error) {
	h, journal, err := d.ReadJournal(ctx, a)
	if err != nil {
		return Shard{}, err
	}
	s, err := d.acquire(a.Segment)
	if err != nil {
		return Shard{}, err
	}
	e, err := d.header(ctx, s, a.Offset)
	d.release(s)
	if err != nil {
		return Shard{}, err
	}
	sh := Shard{Header: h, Journal: journal, Data: make([]byte, e.Size)}
	return sh, d.Read(ctx, Ref{e.Address, h.Stripe, h.Index, h.K, e.Size}, 0, sh.Data)
}

// ReadJournal reads the header and the journal of a shard; the journal is nil when it
// carries none.
func (d *Segments) ReadJournal(ctx context.Context, a Address) (Header, []byte, error) {
	if err := ctx.Err(); err != nil {
		return Header{}, nil, err
	}
	s, err := d.acquire(a.Segment)
	if err != nil {
		return Header{}, nil, err
	}
	defer d.release(s)
	e, err := d.header(ctx, s, a.Offset)
	if err != nil {
		return Header{}, nil, fmt.Errorf("segment %d, offset %d: %w", a.Segment, a.Offset, err)
	}
	if e.JournalSize == 0 {
		return e.Header, nil, nil
	}
	p := make([]byte, e.JournalSize+sumSize)
	if err := d.readv(ctx, s, [][]byte{p}, int64(a.Offset)+int64(HeaderSize(int(e.K)))+stored(e.Size), len(p)); err != nil {
		return Header{}, nil, err
	}
	j := p[:e.JournalSize]
	if le.Uint64(p[e.JournalSize:]) != sumWith(seed(s.generation, e.Stripe, e.Index, journalBlock), j) {
		return e.Header, nil, fmt.Errorf("segment %d, offset %d: journal: %w", a.Segment, a.Offset, ErrCorrupt)
	}
	return e.Header, j, nil
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
			err = errors.Join(err, s.f.close())
			s.f = nil
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
