package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/wattle-storage/wattle/seal"
)

// packLimit is the size up to which an object (or the rest of a larger one) lies in one
// column, beside others: one I/O and one disk awake for a read.
const packLimit = 64 << 10

// An extent is a part of an object as a range of one stripe or of a run of stripes.
//
// A packed extent (Count 0) is the bytes [Off, Off+Len) of data column Col of Stripe; Sum
// is their checksum. A spread extent (Count > 0) fills Count stripes with ids from Stripe
// on, column after column, each column Shard bytes long but for the end.
//
// With a Key the bytes are encrypted, and take more room in their columns than Len and Shard
// say: an envelope around those of a packed extent, around each unit of a spread one's columns.
// Sum is then of what is stored.
type extent struct {
	Stripe uint64
	Count  uint32
	Shard  uint32
	Col    uint8
	Off    uint32
	Len    int64
	Sum    uint64

	Key  seal.ID // 0: not encrypted
	Salt seal.Salt
}

// sealed is the room that n bytes of the extent take in a column.
func (e extent) sealed(n int64) int64 {
	switch {
	case e.Key == 0:
		return n
	case e.Count == 0: // one unit, however long
		return n + seal.Overhead
	}
	return seal.Len(n)
}

// columns returns the lengths of the k columns of a stripe in which the extent has n bytes;
// those of a packed one reach to its end.
func (e extent) columns(n int64, k int) []uint32 {
	if e.Count == 0 {
		cols := make([]uint32, k)
		cols[e.Col] = e.Off + uint32(e.sealed(n))
		return cols
	}
	cols := spread(n, k, e.Shard)
	for i, c := range cols {
		cols[i] = uint32(e.sealed(int64(c)))
	}
	return cols
}

// room is the bytes that n bytes of the extent take in a stripe of k columns.
func (e extent) room(n int64, k int) int64 {
	if e.Key == 0 || e.Count == 0 {
		return e.sealed(n)
	}
	total := int64(0)
	for _, c := range e.columns(n, k) {
		total += int64(c)
	}
	return total
}

// stripes calls f with the id of each stripe of the extent and the bytes it has there.
func (e extent) stripes(k int, f func(id uint64, n int64)) {
	if e.Count == 0 {
		f(e.Stripe, e.Len)
		return
	}
	per, left := int64(k)*int64(e.Shard), e.Len
	for i := uint32(0); i < e.Count; i++ {
		n := min(per, left)
		f(e.Stripe+uint64(i), n)
		left -= n
	}
}

// packedSum is the checksum of a packed extent. Its seed holds the place, so that bytes
// read from elsewhere do not verify.
func packedSum(stripe uint64, col uint8, off uint32, p []byte) uint64 {
	var place [13]byte
	binary.LittleEndian.PutUint64(place[:], stripe)
	place[8] = col
	binary.LittleEndian.PutUint32(place[9:], off)
	var d xxhash.Digest
	d.ResetWithSeed(xxhash.Sum64(place[:]))
	d.Write(p)
	return d.Sum64()
}

// spread returns the lengths of k columns that hold size bytes, at most shard bytes each.
func spread(size int64, k int, shard uint32) []uint32 {
	cols := make([]uint32, k)
	for i := range cols {
		n := min(size, int64(shard))
		cols[i] = uint32(n)
		size -= n
	}
	return cols
}

// shardFor is the column length for size bytes over k columns: even, but no shorter than
// 4 KiB, no longer than most.
func shardFor(size int64, k int, most uint32) uint32 {
	even := (size + int64(k) - 1) / int64(k)
	return uint32(min(max(even, 4096), int64(most)))
}

var errMalformed = errors.New("malformed")

// A decoder takes values off a byte slice; its first error stays.
type decoder struct {
	p   []byte
	err error
}

func (d *decoder) uint() uint64 {
	if d.err != nil {
		return 0
	}
	v, n := binary.Uvarint(d.p)
	if n <= 0 {
		d.err = errMalformed
		return 0
	}
	d.p = d.p[n:]
	return v
}

// atMost is a value that must not be larger than top.
func (d *decoder) atMost(top uint64) uint64 {
	v := d.uint()
	if d.err == nil && v > top {
		d.err = fmt.Errorf("%w: %d is over %d", errMalformed, v, top)
		return 0
	}
	return v
}

func (d *decoder) int() int64 {
	if d.err != nil {
		return 0
	}
	v, n := binary.Varint(d.p)
	if n <= 0 {
		d.err = errMalformed
		return 0
	}
	d.p = d.p[n:]
	return v
}

func (d *decoder) fixed64() uint64 {
	if d.err == nil && len(d.p) < 8 {
		d.err = errMalformed
	}
	if d.err != nil {
		return 0
	}
	v := binary.LittleEndian.Uint64(d.p)
	d.p = d.p[8:]
	return v
}

// count is a number of things of at least size bytes each that must follow.
func (d *decoder) count(size int) int {
	n := d.uint()
	if d.err == nil && n > uint64(len(d.p)/size) {
		d.err = fmt.Errorf("%w: %d things in %d bytes", errMalformed, n, len(d.p))
	}
	if d.err != nil {
		return 0
	}
	return int(n)
}

func (d *decoder) string() string {
	n := d.count(1)
	if d.err != nil {
		return ""
	}
	s := string(d.p[:n])
	d.p = d.p[n:]
	return s
}

func appendString(p []byte, s string) []byte {
	p = binary.AppendUvarint(p, uint64(len(s)))
	return append(p, s...)
}

func appendLayout(p []byte, layout []extent) []byte {
	p = binary.AppendUvarint(p, uint64(len(layout)))
	for _, e := range layout {
		p = binary.AppendUvarint(p, e.Stripe)
		if e.Key == 0 {
			p = binary.AppendUvarint(p, uint64(e.Count))
		} else {
			p = binary.AppendUvarint(p, uint64(e.Count)|sealedExtent)
			p = append(binary.LittleEndian.AppendUint32(p, uint32(e.Key)), e.Salt[:]...)
		}
		p = binary.AppendUvarint(p, uint64(e.Len))
		if e.Count > 0 {
			p = binary.AppendUvarint(p, uint64(e.Shard))
			continue
		}
		p = append(p, e.Col)
		p = binary.AppendUvarint(p, uint64(e.Off))
		p = binary.LittleEndian.AppendUint64(p, e.Sum)
	}
	return p
}

// sealedExtent is added to the count of an extent that is encrypted; key and salt follow it.
const sealedExtent = 1 << 32

const maxObject = 1 << 50 // bytes; far past any object, small enough that sums do not overflow

func (d *decoder) layout() []extent {
	n := d.count(4)
	var layout []extent
	for i := 0; i < n && d.err == nil; i++ {
		e := extent{Stripe: d.atMost(1<<63 - 1)}
		d.countOf(&e)
		e.Len = int64(d.atMost(maxObject))
		if e.Count > 0 {
			e.Shard = uint32(d.atMost(1 << 30))
			if e.Shard == 0 && d.err == nil {
				d.err = errMalformed
			}
		} else {
			e.Col = uint8(d.atMostByte())
			e.Off = uint32(d.atMost(1 << 30))
			e.Sum = d.fixed64()
			if e.Len > packLimit && d.err == nil {
				d.err = errMalformed
			}
		}
		layout = append(layout, e)
	}
	return layout
}

// countOf reads an extent's count, and key and salt when it has them.
func (d *decoder) countOf(e *extent) {
	n := d.atMost(sealedExtent | 1<<31)
	if n&^sealedExtent > 1<<31 {
		d.err = fmt.Errorf("%w: a count of %d", errMalformed, n)
	}
	e.Count = uint32(n)
	if d.err != nil || n < sealedExtent {
		return
	}
	if len(d.p) < 4+seal.SaltSize {
		d.err = errMalformed
		return
	}
	if e.Key = seal.ID(binary.LittleEndian.Uint32(d.p)); e.Key == 0 {
		d.err = fmt.Errorf("%w: an encrypted extent without a key", errMalformed)
		return
	}
	e.Salt = seal.Salt(d.p[4:])
	d.p = d.p[4+seal.SaltSize:]
}

func (d *decoder) atMostByte() byte {
	if d.err == nil && len(d.p) < 1 {
		d.err = errMalformed
	}
	if d.err != nil {
		return 0
	}
	b := d.p[0]
	d.p = d.p[1:]
	return b
}
