package disks

import (
	"slices"
	"sync/atomic"
)

// memPages are the bytes of a file in memory. A page that is nil is a hole. The other pages of a
// clone belong to both: a page is copied before it is written to, unless it is mine.
type memPages struct {
	size   int64
	list   []*[pageSize]byte
	mine   []bool   // by page: no clone has it
	stamps []uint64 // by page: of its last change, which no other change of any page has; 0 for none
}

var lastStamp atomic.Uint64

func (p *memPages) clone() memPages {
	clear(p.mine)
	return memPages{p.size, slices.Clone(p.list), make([]bool, len(p.list)), slices.Clone(p.stamps)}
}

// version hashes the stamps of the pages of [from, to), and what of it is there.
func (p *memPages) version(from, to int64) uint64 {
	sum := scatter(uint64(min(to, p.size) - from))
	for i := from / pageSize; i*pageSize < min(to, p.size); i++ {
		sum = scatter(sum + p.stamps[i])
	}
	return sum
}

// scatter is one to one, and neighbours come far apart (the finalizer of SplitMix64).
func scatter(v uint64) uint64 {
	v += 0x9e3779b97f4a7c15
	v = (v ^ v>>30) * 0xbf58476d1ce4e5b9
	v = (v ^ v>>27) * 0x94d049bb133111eb
	return v ^ v>>31
}

// read fills b from off on; all of it must be there.
func (p *memPages) read(b []byte, off int64) {
	for len(b) > 0 {
		at := int(off % pageSize)
		n := min(len(b), pageSize-at)
		if page := p.list[off/pageSize]; page != nil {
			copy(b[:n], page[at:])
		} else {
			clear(b[:n])
		}
		b, off = b[n:], off+int64(n)
	}
}

func (p *memPages) write(b []byte, off int64) {
	p.grow(off + int64(len(b)))
	for len(b) > 0 {
		at := int(off % pageSize)
		n := copy(p.own(off / pageSize)[at:], b)
		b, off = b[n:], off+int64(n)
	}
}

// zero makes n bytes zero, and whole pages holes.
func (p *memPages) zero(off, n int64) {
	p.grow(off + n)
	for end := off + n; off < end; {
		i, at := off/pageSize, off%pageSize
		n := min(end-off, pageSize-at)
		switch {
		case p.list[i] == nil:
		case n == pageSize:
			p.list[i], p.mine[i], p.stamps[i] = nil, false, lastStamp.Add(1)
		default:
			clear(p.own(i)[at : at+n])
		}
		off += n
	}
}

// flip flips bits of the byte at off.
func (p *memPages) flip(off int64, bits byte) { p.own(off / pageSize)[off%pageSize] ^= bits }

// own returns a page to be written to.
func (p *memPages) own(i int64) *[pageSize]byte {
	if !p.mine[i] {
		page := new([pageSize]byte)
		if p.list[i] != nil {
			*page = *p.list[i]
		}
		p.list[i], p.mine[i] = page, true
	}
	p.stamps[i] = lastStamp.Add(1)
	return p.list[i]
}

func (p *memPages) grow(size int64) {
	if size <= p.size {
		return
	}
	p.size = size
	if more := int((size+pageSize-1)/pageSize) - len(p.list); more > 0 {
		p.list = append(p.list, make([]*[pageSize]byte, more)...)
		p.mine = append(p.mine, make([]bool, more)...)
		p.stamps = append(p.stamps, make([]uint64, more)...)
	}
}

func (p *memPages) truncate(size int64) {
	if size >= p.size {
		p.grow(size)
		return
	}
	n := int((size + pageSize - 1) / pageSize)
	p.size, p.list, p.mine, p.stamps = size, p.list[:n], p.mine[:n], p.stamps[:n]
	if at := size % pageSize; at > 0 && p.list[n-1] != nil {
		clear(p.own(int64(n - 1))[at:])
	}
}

// allocated is the bytes of the pages that are there, the last one as far as the file goes.
func (p *memPages) allocated() int64 {
	n := int64(0)
	for i, page := range p.list {
		if page != nil {
			n += min(pageSize, p.size-int64(i)*pageSize)
		}
	}
	return n
}

// dataFrom is the first offset from off on that lies in a page that is there, or the size.
func (p *memPages) dataFrom(off int64) int64 {
	for i := off / pageSize; i < int64(len(p.list)); i++ {
		if p.list[i] != nil {
			return max(off, i*pageSize)
		}
	}
	return max(off, p.size)
}
