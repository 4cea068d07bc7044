package disks

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
)

// Scan calls yield for every shard that is there.
func (d *Segments) Scan(ctx context.Context, yield func(Entry) error) error {
	if d.o.ReadOnly {
		if err := d.discover(); err != nil {
			return err
		}
	}
	for _, n := range d.numbers() {
		if err := ctx.Err(); err != nil {
			return err
		}
		entries, err := d.present(ctx, n)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := yield(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// present lists the shards of a segment that were not freed, those that cannot be read for
// a moment among them. A segment that is gone or whose header is damaged holds none.
func (d *Segments) present(ctx context.Context, n uint32) ([]Entry, error) {
	s, err := d.acquire(n)
	if errors.Is(err, ErrGone) || errors.Is(err, ErrCorrupt) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer d.release(s)
	known, err := d.known(ctx, s)
	if err != nil {
		return nil, err
	}
	freed := make([]bool, len(known))
	look := func(from, to int) {
		for i := from; i < to; i++ {
			magic, err := d.magic(s, known[i])
			freed[i] = err == nil && magic != shardMagic || errors.Is(err, errShort)
		}
	}
	var wg sync.WaitGroup
	each := max(fewEntries, (len(known)+lookers-1)/lookers)
	for from := 0; from < len(known); from += each {
		if to := min(from+each, len(known)); to < len(known) {
			wg.Go(func() { look(from, to) })
		} else {
			look(from, to)
		}
	}
	wg.Wait()
	at := -1
	return slices.DeleteFunc(known, func(Entry) bool { at++; return freed[at] }), nil
}

// What stands at the beginnings of shards is read by some at a time: they lie apart, and
// each is a read of its own.
const (
	lookers    = 4
	fewEntries = 32 // by one
)

// known lists the shards of a segment, those that were freed among them where that is known.
func (d *Segments) known(ctx context.Context, s *segment) ([]Entry, error) {
	d.mu.Lock()
	known, open := slices.Clone(s.entries), d.active == s
	d.mu.Unlock()
	if open {
		return known, nil
	}
	known, _, _, err := d.index(ctx, s)
	return known, err
}

// magic reads the first word of a shard, which is zero once it was freed.
func (d *Segments) magic(s *segment, e Entry) (uint32, error) {
	var p [4]byte
	err := s.f.readv([][]byte{p[:]}, int64(e.Offset))
	return le.Uint32(p[:]), err
}

// index lists the shards of a segment from its footer, or, when it has none that verifies,
// from their headers. end is where the next shard may go.
func (d *Segments) index(ctx context.Context, s *segment) (entries []Entry, end int64, sealed bool, err error) {
	size, err := s.f.size()
	if err != nil {
		return nil, 0, false, fmt.Errorf("segment %d: %w", s.number, err)
	}
	if entries, ok := d.footer(ctx, s, size); ok {
		return entries, size, true, nil
	}
	entries, end, err = d.walk(ctx, s, size)
	return entries, end, false, err
}

func (d *Segments) footer(ctx context.Context, s *segment, size int64) ([]Entry, bool) {
	var trailer [trailerSize]byte
	if size < segmentHeader+trailerSize || d.readv(ctx, s, [][]byte{trailer[:]}, size-trailerSize, trailerSize) != nil {
		return nil, false
	}
	n, bytes, ok := parseTrailer(trailer[:], s.generation, size-trailerSize-segmentHeader)
	if !ok {
		return nil, false
	}
	p := make([]byte, int(bytes)+trailerSize)
	if d.readv(ctx, s, [][]byte{p}, size-int64(len(p)), len(p)) != nil {
		return nil, false
	}
	return parseFooter(p, s.generation, s.number, n)
}

// windows are buffers that scans read through.
var windows = sync.Pool{New: func() any { return new([windowSize]byte) }}

const windowSize = 512 << 10

// walk goes from header to header. After one that does not verify it looks for the next at
// every aligned offset; holes are skipped.
func (d *Segments) walk(ctx context.Context, s *segment, size int64) ([]Entry, int64, error) {
	var entries []Entry
	end := int64(segmentHeader)
	window := windows.Get().(*[windowSize]byte)
	defer windows.Put(window)
	for at := int64(segmentHeader); at+int64(HeaderSize(0)) <= size; {
		e, err := d.header(ctx, s, uint32(at))
		if err == nil && at+int64(e.Length) <= size {
			entries = append(entries, e)
			at += int64(e.Length)
			end = max(end, at)
			continue
		}
		if err != nil && !errors.Is(err, ErrGone) && !errors.Is(err, ErrCorrupt) {
			return entries, end, err
		}
		if err == nil { // torn: what it claims is never given to another shard
			end = max(end, at+int64(e.Length))
		}
		if at, err = d.resync(ctx, s, at+alignment, size, window[:]); err != nil {
			return entries, end, err
		}
	}
	// Whatever stands behind the last shard is stepped over, never written to.
	return entries, max(end, (size+alignment-1)/alignment*alignment), nil
}

// resync returns the next offset from at on that may hold a header. It looks first where one
// follows that was appended directly: at the next page. Then it looks at more and more at a
// time, since most holes are short.
func (d *Segments) resync(ctx context.Context, s *segment, at, size int64, window []byte) (int64, error) {
	for n, next := pages(at)+alignment-at, int64(pageSize); at < size; n, next = next, min(2*next, int64(len(window))) {
		if at = dataFrom(s.f, at, size) / alignment * alignment; at >= size {
			return size, nil
		}
		p := window[:min(n, size-at)]
		if err := d.readv(ctx, s, [][]byte{p}, at, len(p)); err != nil {
			return at, err // what is behind may be there
		}
		for i := 0; i+4 <= len(p); i += alignment {
			if le.Uint32(p[i:]) == shardMagic {
				return at + int64(i), nil
			}
		}
		at += int64(len(p)+alignment-1) / alignment * alignment
	}
	return size, nil
}

// Newest returns the header of the shard that was written last, if there is any.
func (d *Segments) Newest(ctx context.Context) (Header, bool, error) {
	numbers := d.numbers()
	for _, n := range slices.Backward(numbers) {
		if err := ctx.Err(); err != nil {
			return Header{}, false, err
		}
		s, err := d.acquire(n)
		if err != nil {
			continue
		}
		d.mu.Lock()
		known, open := s.entries, d.active == s
		d.mu.Unlock()
		if !open {
			known, _, _, err = d.index(ctx, s)
		}
		d.release(s)
		if err != nil {
			return Header{}, false, err
		}
		if len(known) > 0 {
			return known[len(known)-1].Header, true, nil
		}
	}
	return Header{}, false, nil
}

// holes are the freed ranges of a segment, in order, none touching another.
type holes struct {
	ranges [][2]int64
	left   int64 // bytes of shards that were not freed
}

// add makes [from, to) a hole, joined with its neighbours, and returns the joined one and
// the number of bytes that are new in it.
func (h *holes) add(from, to int64) ([2]int64, int64) {
	fresh := to - from
	i, _ := slices.BinarySearchFunc(h.ranges, from, func(r [2]int64, v int64) int {
		if r[1] < v {
			return -1
		}
		return 1
	})
	j := i
	lo, hi := from, to
	for j < len(h.ranges) && h.ranges[j][0] <= to {
		r := h.ranges[j]
		fresh -= max(0, min(to, r[1])-max(from, r[0]))
		lo, hi = min(lo, r[0]), max(hi, r[1])
		j++
	}
	h.ranges = slices.Replace(h.ranges, i, j, [2]int64{lo, hi})
	h.left -= fresh
	return [2]int64{lo, hi}, fresh
}

// Free gives back the space of shards.
func (d *Segments) Free(ctx context.Context, list []Address, keepJournal bool) error {
	if d.o.ReadOnly {
		return ErrReadOnly
	}
	bySegment := map[uint32][]Address{}
	for _, a := range list {
		bySegment[a.Segment] = append(bySegment[a.Segment], a)
	}
	d.freeing.Lock()
	defer d.freeing.Unlock()
	for _, n := range slices.Sorted(maps.Keys(bySegment)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := d.freeIn(ctx, n, bySegment[n], keepJournal); err != nil && !errors.Is(err, ErrGone) {
			return err
		}
	}
	return nil
}

func (d *Segments) freeIn(ctx context.Context, n uint32, list []Address, keepJournal bool) error {
	s, err := d.acquire(n)
	if err != nil {
		return err
	}
	defer d.release(s)
	d.mu.Lock()
	stale := s.recount
	s.recount = false
	d.mu.Unlock()
	if s.holes == nil || stale {
		if s.holes, err = d.findHoles(ctx, s); err != nil {
			return err
		}
	}
	slices.SortFunc(list, func(a, b Address) int { return int(int64(a.Offset) - int64(b.Offset)) })
	punch := map[int64]int64{}
	for _, a := range list {
		e, err := d.header(ctx, s, a.Offset)
		if errors.Is(err, ErrGone) {
			continue
		}
		if err != nil && !errors.Is(err, ErrCorrupt) { // nobody knows whether a journal must stay
			return err
		}
		from, to := int64(a.Offset), int64(a.Offset)+int64(a.Length)
		if err == nil && e.Length != a.Length {
			return fmt.Errorf("segment %d, offset %d: a shard of %d bytes, not %d: %w", n, a.Offset, e.Length, a.Length, ErrCorrupt)
		}
		if err == nil && keepJournal && e.JournalSize > 0 {
			from += int64(HeaderSize(int(e.K)))
			to = from + stored(e.Size)
		}
		if from == to {
			continue
		}
		joined, fresh := s.holes.add(from, to)
		for at := range punch {
			if at >= joined[0] && at < joined[1] {
				delete(punch, at)
			}
		}
		punch[joined[0]] = joined[1]
		d.mu.Lock()
		d.used -= fresh
		d.mu.Unlock()
	}
	for _, from := range slices.Sorted(maps.Keys(punch)) {
		if err := d.punch(s, from, punch[from]); err != nil {
			return fmt.Errorf("segment %d: %w", n, err)
		}
	}
	return d.dropEmpty(s)
}

// findHoles works out what was freed before this process: what the index knows and whose
// first word is zero, and what reads as zeros. Whatever else is not known to be a shard stays:
// it may be one whose header rotted.
func (d *Segments) findHoles(ctx context.Context, s *segment) (*holes, error) {
	known, err := d.known(ctx, s)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(known, func(a, b Entry) int { return int(int64(a.Offset) - int64(b.Offset)) })
	h := &holes{}
	at := int64(segmentHeader)
	for _, e := range known {
		if err := d.zeros(s, h, at, int64(e.Offset)); err != nil {
			return nil, err
		}
		at = int64(e.Offset) + int64(e.Length)
		h.left += int64(e.Length)
		magic, err := d.magic(s, e)
		if err != nil && !errors.Is(err, errShort) {
			return nil, err
		}
		if err == nil && magic == 0 {
			h.add(int64(e.Offset), at)
		} else if from, to := e.data(); e.JournalSize > 0 && d.emptied(s, from, to) {
			h.add(from, to)
		}
	}
	d.mu.Lock()
	if d.active == s { // what is appended from now on is not known to h
		h.left = 1 << 62
	}
	d.mu.Unlock()
	return h, nil
}

// data is where a shard's data and sums lie.
func (e Entry) data() (from, to int64) {
	from = int64(e.Offset) + int64(HeaderSize(int(e.K)))
	return from, from + stored(e.Size)
}

// emptied tells whether data was freed and the journal behind it kept: its last sum is gone.
func (d *Segments) emptied(s *segment, from, to int64) bool {
	var sum [sumSize]byte
	return to-from > sumSize && s.f.readv([][]byte{sum[:]}, to-sumSize) == nil && allZero(sum[:])
}

// zeros adds what reads as zeros between two shards to the holes, and counts the rest as left.
func (d *Segments) zeros(s *segment, h *holes, from, to int64) error {
	window := windows.Get().(*[windowSize]byte)
	defer windows.Put(window)
	for from < to {
		if next := dataFrom(s.f, from, to); next > from {
			h.left += next - from
			h.add(from, next)
			from = next
			continue
		}
		p := window[:min(windowSize, to-from)]
		if err := s.f.readv([][]byte{p}, from); err != nil {
			return err
		}
		h.left += int64(len(p))
		for i := 0; i < len(p); {
			end := i + zeroRun(p[i:])
			if end > i {
				h.add(from+int64(i), from+int64(end))
			}
			i = end + alignment // the one after the run is not zero
		}
		from += int64(len(p))
	}
	return nil
}

// punch makes a range a hole, or, where that cannot be done, zeroes the headers in it.
func (d *Segments) punch(s *segment, from, to int64) error {
	err := s.f.punch(from, to-from)
	if !errors.Is(err, errPunch) {
		return err
	}
	zero := make([]byte, alignment)
	for at := (from + alignment - 1) / alignment * alignment; at < to; at += alignment {
		var magic [4]byte
		if s.f.readv([][]byte{magic[:]}, at) == nil && le.Uint32(magic[:]) == shardMagic {
			if err := s.f.writev([][]byte{zero[:min(alignment, to-at)]}, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// dropEmpty removes a sealed segment in which nothing is left. The newest stays, so that its
// number, and with it an address that somebody still holds, is never given again.
func (d *Segments) dropEmpty(s *segment) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.holes.left > 0 || d.active == s || s.users > 1 || s.number+1 == d.next {
		return nil
	}
	if err := d.fs.remove(segmentName(s.number)); err != nil {
		return err
	}
	if s.broken {
		d.fs.remove(doubtName(s.number)) //nolint:errcheck // it may never have been there
	}
	if bytes, err := s.f.size(); err == nil && s.sealed { // header and footer
		d.used = max(0, d.used-segmentHeader-max(0, bytes-s.end))
	}
	s.dirty = false
	s.closeFiles() //nolint:errcheck // it is gone
	delete(d.segs, s.number)
	return nil
}

// Corrupt flips bits of the data of a stored shard, for tests and for people who want to
// see what happens.
func (d *Segments) Corrupt(a Address, bits int, rng *rand.Rand) error {
	s, err := d.acquire(a.Segment)
	if err != nil {
		return err
	}
	defer d.release(s)
	e, err := d.header(context.Background(), s, a.Offset)
	if err != nil {
		return err
	}
	if e.Size == 0 {
		return nil
	}
	for range bits {
		at := int64(a.Offset) + int64(HeaderSize(int(e.K))) + rng.Int64N(stored(e.Size))
		var b [1]byte
		if err := s.f.readv([][]byte{b[:]}, at); err != nil {
			return err
		}
		b[0] ^= 1 << rng.IntN(8)
		if err := s.f.writev([][]byte{b[:]}, at); err != nil {
			return err
		}
	}
	return nil
}
