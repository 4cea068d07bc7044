package disks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"unsafe"
)

// Upkeep reads much, once, and what it reads nobody asks for again. Such reads go to the device
// past the system's page cache, where the file system can: through it each byte is copied once
// more into memory that has to be found first, and what gets would have found there is gone.

// A Want is a shard that ReadBulk reads, and what came of it.
type Want struct {
	Ref
	Data []byte // filled with the shard's data; Ref.Size bytes
	// Whole asks for the header and the journal too, which then are verified likewise.
	Whole bool

	Header  Header
	Journal []byte // nil when it carries none
	Err     error  // what Read or ReadJournal would have returned
}

// A BulkReader is a disk that reads many shards with few calls, and past the page cache.
type BulkReader interface {
	// ReadBulk reads shards, in the order in which they lie on the disk and those that lie
	// close to each other at once. Each has its own error.
	ReadBulk(ctx context.Context, list []*Want)
}

const (
	coldRead = 1<<20 + 64<<10 // at a time: four shards of 256 KiB
	bulkGap  = 64 << 10       // of others' bytes are read with what lies around them
)

// An aligned is memory for reads of whole pages.
type aligned [coldRead + 2*pageSize]byte

var alignedBuffers = sync.Pool{New: func() any {
	p := make([]byte, len(aligned{})+pageSize)
	from := -uintptr(unsafe.Pointer(&p[0])) % pageSize
	return (*aligned)(p[from : int(from)+len(aligned{})])
}}

// ReadBulk reads and verifies shards.
func (d *Segments) ReadBulk(ctx context.Context, list []*Want) {
	order := slices.SortedFunc(slices.Values(list), func(a, b *Want) int {
		return cmp.Or(cmp.Compare(a.Segment, b.Segment), cmp.Compare(a.Offset, b.Offset))
	})
	for len(order) > 0 {
		n := together(order)
		d.readTogether(ctx, order[:n])
		order = order[n:]
	}
}

// span is where what is wanted of a shard lies.
func (w *Want) span() (from, to int64) {
	from, to = int64(w.Offset), int64(w.Offset)+int64(HeaderSize(int(w.K)))+stored(w.Size)
	if w.Whole {
		to = int64(w.Offset) + int64(w.Length)
	}
	return from, to
}

// together is how many of the first shards are read at once.
func together(list []*Want) int {
	from, end := list[0].span()
	n := 1
	for ; n < len(list) && list[n].Segment == list[0].Segment; n++ {
		at, to := list[n].span()
		if at > end+bulkGap || max(end, to)-from > coldRead {
			break
		}
		end = max(end, to)
	}
	return n
}

// readTogether reads shards of a segment at once. When that fails each is read by itself, so
// that one bad sector does not condemn its neighbours.
func (d *Segments) readTogether(ctx context.Context, list []*Want) {
	from, end := list[0].span()
	for _, w := range list[1:] {
		_, to := w.span()
		end = max(end, to)
	}
	if end-from > coldRead {
		d.readAlone(ctx, list)
		return
	}
	s, err := d.acquire(list[0].Segment)
	if err != nil {
		for _, w := range list {
			w.Err = err
		}
		return
	}
	defer d.release(s)
	buffer := alignedBuffers.Get().(*aligned)
	defer alignedBuffers.Put(buffer)
	p, err := d.readCold(ctx, s, buffer[:], from, int(end-from))
	if err != nil {
		d.readAlone(ctx, list)
		return
	}
	for _, w := range list {
		at, to := w.span()
		if w.Err = d.check(ctx, w.Ref, 0, len(w.Data)); w.Err == nil {
			w.Err = w.take(p[at-from:to-from], s.generation)
		}
	}
}

// readAlone reads each shard in the common way.
func (d *Segments) readAlone(ctx context.Context, list []*Want) {
	for _, w := range list {
		w.Err = d.Read(ctx, w.Ref, 0, w.Data)
		if w.Whole && w.Err == nil {
			w.Header, w.Journal, w.Err = d.ReadJournal(ctx, w.Address)
		}
	}
}

// take verifies the bytes of a shard and takes what is wanted of them.
func (w *Want) take(p []byte, generation uint64) error {
	bad := func(what string) error {
		return fmt.Errorf("segment %d, offset %d, %s: %w", w.Segment, w.Offset, what, ErrCorrupt)
	}
	data := p[HeaderSize(int(w.K)):][:stored(w.Size)]
	for b, at := 0, 0; at < len(data); b++ {
		block := data[at : at+min(blockSize, len(data)-at-sumSize)]
		at += len(block) + sumSize
		if le.Uint64(data[at-sumSize:]) != sumWith(seed(generation, w.Stripe, w.Index, uint32(b)), block) {
			return bad(fmt.Sprint("block ", b))
		}
		copy(w.Data[b*blockSize:], block)
	}
	if !w.Whole {
		return nil
	}
	h, size, journal, err := parseHeader(p, generation, w.Offset)
	if err != nil {
		return fmt.Errorf("segment %d, offset %d: %w", w.Segment, w.Offset, err)
	}
	w.Header = h
	rest := p[HeaderSize(int(h.K))+int(min(stored(size), int64(len(p)-HeaderSize(int(h.K))))):]
	if journal == 0 {
		return nil
	}
	if size != w.Size || len(rest) < int(journal)+sumSize ||
		le.Uint64(rest[journal:]) != sumWith(seed(generation, h.Stripe, h.Index, journalBlock), rest[:journal]) {
		return bad("journal")
	}
	w.Journal = slices.Clone(rest[:journal])
	return nil
}

// readCold reads n bytes of a segment, past the page cache where that can be done. They are
// returned in buffer, which is aligned and has two pages more than n rounded up to pages.
func (d *Segments) readCold(ctx context.Context, s *segment, buffer []byte, at int64, n int) ([]byte, error) {
	f := d.coldFile(s)
	if f == nil {
		return buffer[:n], d.readv(ctx, s, [][]byte{buffer[:n]}, at, n)
	}
	from := at / pageSize * pageSize
	p := buffer[:pages(at+int64(n))-from]
	d.count(ctx, Counters{Reads: 1, ReadSeeks: d.seeks(s, at, int64(n)), BytesRead: int64(n)})
	err := f.readPages(p, int(at-from)+n, from)
	if errors.Is(err, errIndirect) { // found out only now
		d.mu.Lock()
		d.cached = true
		d.mu.Unlock()
		err = s.f.readv([][]byte{p[at-from:][:n]}, at)
	}
	if errors.Is(err, errShort) {
		err = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if err != nil {
		return nil, fmt.Errorf("segment %d, offset %d: %w", s.number, at, err)
	}
	return p[at-from:][:n], nil
}

// coldFile returns a segment's file for reads past the page cache, or nil.
func (d *Segments) coldFile(s *segment) directIO {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.cold != nil || d.cached {
		return s.cold
	}
	f, ok := d.fs.(directFS)
	if !ok {
		d.cached = true
		return nil
	}
	opened, err := f.openDirect(segmentName(s.number), forReading)
	if err != nil {
		d.cached = errors.Is(err, errIndirect)
		return nil
	}
	s.cold = opened
	return opened
}

// closeFiles closes what is open of a segment; the disk's mu is held.
func (s *segment) closeFiles() error {
	err := s.f.close()
	if s.cold != nil {
		err = errors.Join(err, s.cold.close())
	}
	s.f, s.cold = nil, nil
	return err
}
