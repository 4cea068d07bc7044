package disks

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// A SegmentInfo is how full a segment is. Allocated is what the file takes of its file
// system, without holes; Size is its length.
type SegmentInfo struct {
	Number          uint32
	Size, Allocated int64
	Open            bool // more will be appended
}

// A Checked is a shard as Check found it. Data is nil when header and data verify, ErrGone
// when the data was freed and the journal kept, and otherwise what is wrong. Journal is the
// same for the journal, and nil when there is none.
type Checked struct {
	Entry
	Data, Journal error
}

// A Checker is a disk that can verify all that it holds in the order in which it lies there.
type Checker interface {
	// Segments lists the segments in order of number.
	Segments() ([]SegmentInfo, error)
	// Check reads a segment from its beginning to its end and calls yield for every shard
	// of its index that was not freed. Before each read of n bytes it calls pace, which may
	// wait. A segment that is gone holds nothing.
	Check(ctx context.Context, segment uint32, pace func(n int) error, yield func(Checked) error) error
}

// checkWindow is how much Check reads at a time, a longer shard excepted.
const checkWindow = coldRead

// Segments lists the segments.
func (d *Segments) Segments() ([]SegmentInfo, error) {
	if d.o.ReadOnly {
		if err := d.discover(); err != nil {
			return nil, err
		}
	}
	var list []SegmentInfo
	for _, n := range d.numbers() {
		s, err := d.acquire(n)
		if errors.Is(err, ErrGone) {
			continue
		}
		if err != nil { // damaged: nothing of it is used, and its space is not known
			list = append(list, SegmentInfo{Number: n})
			continue
		}
		i := SegmentInfo{Number: n}
		i.Size, err = s.f.size()
		if err == nil {
			i.Allocated, err = s.f.allocated()
		}
		d.release(s)
		if err != nil {
			return nil, fmt.Errorf("segment %d: %w", n, err)
		}
		d.mu.Lock()
		i.Open = d.active == s
		d.mu.Unlock()
		list = append(list, i)
	}
	return list, nil
}

// Check verifies the shards of a segment.
func (d *Segments) Check(ctx context.Context, segment uint32, pace func(n int) error, yield func(Checked) error) error {
	entries, err := d.present(ctx, segment)
	if err != nil || len(entries) == 0 {
		return err
	}
	s, err := d.acquire(segment)
	if errors.Is(err, ErrGone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.release(s)
	slices.SortFunc(entries, func(a, b Entry) int { return int(int64(a.Offset) - int64(b.Offset)) })
	buffer := alignedBuffers.Get().(*aligned)
	defer alignedBuffers.Put(buffer)
	for len(entries) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, size := run(entries)
		if err := pace(size); err != nil {
			return err
		}
		if err := d.checkRun(ctx, s, entries[:n], size, buffer, yield); err != nil {
			return err
		}
		entries = entries[n:]
	}
	return nil
}

// run is how many of the first entries lie end to end within a window, and their bytes.
func run(entries []Entry) (n, size int) {
	from := entries[0].Offset
	for n < len(entries) && entries[n].Offset == from+uint32(size) && (n == 0 || size+int(entries[n].Length) <= checkWindow) {
		size += int(entries[n].Length)
		n++
	}
	return n, size
}

// checkRun reads shards that lie end to end at once. When that fails each is read by itself,
// so that one bad sector does not condemn its neighbours.
func (d *Segments) checkRun(ctx context.Context, s *segment, entries []Entry, size int, buffer *aligned, yield func(Checked) error) error {
	read := func(at int64, n int) ([]byte, error) {
		if n > coldRead {
			p := make([]byte, n)
			return p, d.readv(ctx, s, [][]byte{p}, at, n)
		}
		return d.readCold(ctx, s, buffer[:], at, n)
	}
	window, err := read(int64(entries[0].Offset), size)
	at := 0
	for _, e := range entries {
		var p []byte
		c, one := Checked{Entry: e}, err
		switch {
		case err == nil:
			p = window[at : at+int(e.Length)]
		case len(entries) > 1:
			p, one = read(int64(e.Offset), int(e.Length))
		}
		at += int(e.Length)
		if one != nil {
			c.Data, c.Journal = one, one
		} else {
			c.verify(p, s.generation)
		}
		if err := yield(c); err != nil {
			return err
		}
	}
	return nil
}

// verify checks the bytes of a shard against its sums.
func (c *Checked) verify(p []byte, generation uint64) {
	if _, size, journal, err := parseHeader(p, generation, c.Offset); err != nil || size != c.Size || journal != c.JournalSize {
		c.Data = fmt.Errorf("segment %d, offset %d: header: %w", c.Segment, c.Offset, ErrCorrupt)
		c.Journal = c.Data
		return
	}
	p = p[HeaderSize(int(c.K)):]
	data := p[:stored(c.Size)]
	for b, at := uint32(0), 0; at < len(data); b++ {
		n := min(blockSize, len(data)-at-sumSize)
		if le.Uint64(data[at+n:]) != sumWith(seed(generation, c.Stripe, c.Index, b), data[at:at+n]) {
			c.Data = fmt.Errorf("segment %d, offset %d, block %d: %w", c.Segment, c.Offset, b, ErrCorrupt)
			if c.JournalSize > 0 && hole(data) {
				c.Data = ErrGone
			}
			break
		}
		at += n + sumSize
	}
	if c.JournalSize == 0 {
		return
	}
	p = p[len(data):]
	if le.Uint64(p[c.JournalSize:]) != sumWith(seed(generation, c.Stripe, c.Index, journalBlock), p[:c.JournalSize]) {
		c.Journal = fmt.Errorf("segment %d, offset %d: journal: %w", c.Segment, c.Offset, ErrCorrupt)
	}
}

// hole tells whether data was freed: all of it reads as zeros, sums too. Where holes cannot
// be punched freed data stays as it is, and verifies.
func hole(data []byte) bool { return allZero(data) }
