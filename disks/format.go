package disks

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"
)

// The format of segments; doc/format.md describes it byte by byte.
const (
	segmentHeader = 64
	blockSize     = 16 << 10
	sumSize       = 8
	alignment     = 64
	fixedHeader   = 64 // of a shard, before its column lengths
	trailerSize   = 32

	formatVersion = 1

	maxShard   = 64 << 20 // bytes of data; far above what is written, bounds what is believed
	maxJournal = 64 << 20
)

var (
	segmentMagic = [8]byte{'W', 'A', 'T', 'T', 'L', 'S', 'E', 'G'}
	footerMagic  = [8]byte{'W', 'A', 'T', 'T', 'L', 'E', 'N', 'D'}
	shardMagic   = uint32(0x64685357) // "WShd"
)

const journalBlock = 0xffffffff

// Flags of a shard: Header.Copied and Header.Paged.
const (
	flagCopied = 1
	flagPaged  = 2
)

var le = binary.LittleEndian

// HeaderSize is the size of a shard's header for k data columns.
func HeaderSize(k int) int { return fixedHeader + (4*k+7)/8*8 + sumSize }

// stored is the size of n bytes of data with their checksums.
func stored(n uint32) int64 {
	return int64(n) + sumSize*((int64(n)+blockSize-1)/blockSize)
}

// shardSize is the size of a shard on disk.
func shardSize(k int, data, journal uint32) int64 {
	n := int64(HeaderSize(k)) + stored(data)
	if journal > 0 {
		n += int64(journal) + sumSize
	}
	return (n + alignment - 1) / alignment * alignment
}

// length is the length of a shard at an offset, with its padding.
func (h Header) length(offset, data, journal uint32) int64 {
	n := shardSize(int(h.K), data, journal)
	if h.Paged {
		n = pages(int64(offset)+n) - int64(offset)
	}
	return n
}

// pages rounds up to whole pages.
func pages(n int64) int64 { return (n + pageSize - 1) / pageSize * pageSize }

// seed is the seed of a block's checksum.
func seed(generation, stripe uint64, index uint8, block uint32) uint64 {
	var p [21]byte
	le.PutUint64(p[:], generation)
	le.PutUint64(p[8:], stripe)
	p[16] = index
	le.PutUint32(p[17:], block)
	return xxhash.Sum64(p[:])
}

// headerSeed binds a header to its segment and offset.
func headerSeed(generation uint64, offset uint32) uint64 {
	return seed(generation, uint64(offset), 0, journalBlock-1)
}

func sumWith(seed uint64, p []byte) uint64 {
	var d xxhash.Digest
	d.ResetWithSeed(seed)
	d.Write(p)
	return d.Sum64()
}

// appendHeader appends the header of a shard that lies at offset.
func appendHeader(p []byte, generation uint64, offset uint32, h Header, size, journal uint32) []byte {
	from := len(p)
	p = le.AppendUint32(p, shardMagic)
	flags := byte(0)
	if h.Copied {
		flags |= flagCopied
	}
	if h.Paged {
		flags |= flagPaged
	}
	p = append(p, formatVersion, flags, h.Index, h.K)
	p = append(p, h.Scheme[:]...)
	p = append(p, h.Transform, 0, 0, 0)
	p = le.AppendUint32(p, h.KeyID)
	p = le.AppendUint32(p, h.Incarnation)
	p = le.AppendUint64(p, h.Stripe)
	p = le.AppendUint64(p, h.Sequence)
	p = le.AppendUint64(p, h.Committed)
	p = le.AppendUint32(p, size)
	p = le.AppendUint32(p, journal)
	p = le.AppendUint64(p, 0)
	for _, c := range h.Columns {
		p = le.AppendUint32(p, c)
	}
	if len(h.Columns)%2 == 1 {
		p = le.AppendUint32(p, 0)
	}
	return le.AppendUint64(p, sumWith(headerSeed(generation, offset), p[from:]))
}

// parseHeader reads a header that lies at offset. It believes nothing before the checksum
// holds.
func parseHeader(p []byte, generation uint64, offset uint32) (Header, uint32, uint32, error) {
	var h Header
	if len(p) < fixedHeader || le.Uint32(p) != shardMagic {
		return h, 0, 0, ErrGone
	}
	k := int(p[7])
	n := HeaderSize(k)
	if len(p) < n {
		return h, 0, 0, fmt.Errorf("header: %w", ErrCorrupt)
	}
	if le.Uint64(p[n-sumSize:]) != sumWith(headerSeed(generation, offset), p[:n-sumSize]) {
		return h, 0, 0, fmt.Errorf("header: %w", ErrCorrupt)
	}
	if p[4] > formatVersion {
		return h, 0, 0, fmt.Errorf("shard of version %d: %w", p[4], ErrVersion)
	}
	h = Header{Copied: p[5]&flagCopied != 0, Paged: p[5]&flagPaged != 0, Index: p[6], K: p[7], Scheme: [4]byte(p[8:]), Transform: p[12], KeyID: le.Uint32(p[16:]), Incarnation: le.Uint32(p[20:]),
		Stripe: le.Uint64(p[24:]), Sequence: le.Uint64(p[32:]), Committed: le.Uint64(p[40:])}
	size, journal := le.Uint32(p[48:]), le.Uint32(p[52:])
	if size > maxShard || journal > maxJournal {
		return h, 0, 0, fmt.Errorf("header of %d bytes of data and %d of journal: %w", size, journal, ErrCorrupt)
	}
	h.Columns = make([]uint32, k)
	for i := range h.Columns {
		h.Columns[i] = le.Uint32(p[fixedHeader+4*i:])
	}
	return h, size, journal, nil
}

// appendSegmentHeader appends the first 64 bytes of a segment.
func appendSegmentHeader(p []byte, id Identity, number uint32, generation uint64) []byte {
	from := len(p)
	p = append(p, segmentMagic[:]...)
	p = le.AppendUint16(p, formatVersion)
	p = le.AppendUint16(p, 0)
	p = le.AppendUint32(p, number)
	p = le.AppendUint64(p, generation)
	for _, s := range []string{id.Cluster, id.Disk} {
		p = le.AppendUint64(p, sumWith(0, []byte(s)))
		p = le.AppendUint64(p, sumWith(1, []byte(s)))
	}
	return le.AppendUint64(p, xxhash.Sum64(p[from:]))
}

// parseSegmentHeader returns the generation of a segment of this disk.
func parseSegmentHeader(p []byte, id Identity, number uint32) (uint64, error) {
	if len(p) < segmentHeader || !bytes.Equal(p[:8], segmentMagic[:]) || le.Uint64(p[56:]) != xxhash.Sum64(p[:56]) {
		return 0, fmt.Errorf("segment header: %w", ErrCorrupt)
	}
	if v := le.Uint16(p[8:]); v > formatVersion || le.Uint16(p[10:]) != 0 {
		return 0, fmt.Errorf("segment of version %d, flags %#x: %w", v, le.Uint16(p[10:]), ErrVersion)
	}
	generation := le.Uint64(p[16:])
	if !bytes.Equal(p[:56], appendSegmentHeader(nil, id, number, generation)[:56]) {
		return 0, fmt.Errorf("segment %d: %w", number, ErrForeign)
	}
	return generation, nil
}

// appendFooter appends the index of a segment: for each shard its offset and header, then a
// trailer with the number of entries, their size and a checksum.
func appendFooter(p []byte, generation uint64, entries []Entry) []byte {
	from := len(p)
	for _, e := range entries {
		p = le.AppendUint32(p, e.Offset)
		p = appendHeader(p, generation, e.Offset, e.Header, e.Size, e.JournalSize)
	}
	size := len(p) - from
	trailer := len(p)
	p = append(p, footerMagic[:]...)
	p = le.AppendUint32(p, uint32(len(entries)))
	p = le.AppendUint32(p, uint32(size))
	p = le.AppendUint64(p, generation)
	d := xxhash.New()
	d.Write(p[from:trailer])
	d.Write(p[trailer:])
	return le.AppendUint64(p, d.Sum64())
}

// parseTrailer returns the number of entries and their size, if p may be a trailer.
func parseTrailer(p []byte, generation uint64, before int64) (entries, size uint32, ok bool) {
	if len(p) != trailerSize || !bytes.Equal(p[:8], footerMagic[:]) || le.Uint64(p[16:]) != generation {
		return 0, 0, false
	}
	entries, size = le.Uint32(p[8:]), le.Uint32(p[12:])
	return entries, size, int64(size) <= before && int64(entries)*(4+int64(HeaderSize(0))) <= int64(size)
}

// parseFooter reads the entries and the trailer of a footer.
func parseFooter(p []byte, generation uint64, segment, n uint32) ([]Entry, bool) {
	body, trailer := p[:len(p)-trailerSize], p[len(p)-trailerSize:]
	if le.Uint64(trailer[24:]) != xxhash.Sum64(p[:len(p)-sumSize]) {
		return nil, false
	}
	entries := make([]Entry, 0, n)
	for len(body) > 4 {
		offset := le.Uint32(body)
		h, size, journal, err := parseHeader(body[4:], generation, offset)
		if err != nil {
			return nil, false
		}
		entries = append(entries, Entry{Address{segment, offset, uint32(h.length(offset, size, journal))}, h, size, journal})
		body = body[4+HeaderSize(int(h.K)):]
	}
	return entries, len(body) == 0 && len(entries) == int(n)
}
