package disks

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
)

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
		n, err := d.appendSome(ctx, shards, &places, d.directFrom(o))
		if err != nil {
			return nil, err
		}
		shards = shards[n:]
	}
	return places, nil
}

// appendSome appends as many shards as go into one segment, at least one; d.mu is held.
func (d *Segments) appendSome(ctx context.Context, shards []Shard, places *[]Address, directFrom int64) (int, error) {
	first := shardSize(int(shards[0].K), uint32(len(shards[0].Data)), uint32(len(shards[0].Journal)))
	if err := d.roll(ctx, first); err != nil {
		return 0, err
	}
	s := d.active
	if err := d.vouch(s); err != nil {
		return 0, err
	}
	n, size := d.fitting(s, shards)
	at, direct := s.end, size >= directFrom && d.openDirect(s)
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
