package disks

import (
	"context"
	"errors"
	"fmt"
)

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

// An Expecter is a disk that can be told what will be read of it soon, so that many disks fetch
// at the same time what one reader asks them for in turn. It is a hint, and waits for nothing.
type Expecter interface {
	Expect(r Ref, off, n int)
}

// Expect tells a disk that can be told that a range of a shard will be read soon.
func Expect(d Disk, r Ref, off, n int) {
	if e, ok := d.(Expecter); ok {
		e.Expect(r, off, n)
	}
}

// An expectingFile can be told what will be read soon.
type expectingFile interface{ expect(off, n int64) }

// Expect tells the system that a range of a shard will be read soon.
func (d *Segments) Expect(r Ref, off, n int) {
	if d.check(context.Background(), r, off, n) != nil || n == 0 {
		return
	}
	s, err := d.acquire(r.Segment)
	if err != nil {
		return // who reads will hear of it
	}
	defer d.release(s)
	if f, ok := s.f.(expectingFile); ok {
		from, to := off/blockSize, (off+n-1)/blockSize+1
		f.expect(int64(r.Offset)+int64(HeaderSize(int(r.K)))+int64(from)*(blockSize+sumSize), int64(to-from)*(blockSize+sumSize))
	}
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
