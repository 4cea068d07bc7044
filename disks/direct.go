package disks

import (
	"errors"
	"math"
	"sync"
	"unsafe"
)

// By AppendOptions.Direct what is appended goes to the device past the system's page cache:
// through it each byte is copied once more into memory that has to be found first, and written
// back at the next sync all at once. A write past it takes whole pages, in memory, in the file
// and in length. Shards are therefore gathered in a buffer of pages, and the last of an
// append is padded to a page (Header.Paged). Where a file system cannot do without its cache,
// or is one, everything goes through it.

// directFrom is from how many bytes on an append goes past the cache.
func (d *Segments) directFrom(o AppendOptions) int64 {
	switch {
	case d.o.Direct > 0:
		return d.o.Direct
	case o.Direct:
		return smallAppend + 1 // what is written ahead of is not direct
	}
	return math.MaxInt64
}

// A directFS can open files whose bytes go past the page cache.
type directFS interface {
	openDirect(name string, mode openMode) (directIO, error)
}

// A directIO is a file that is read and written past the page cache, by whole pages in pages of
// memory.
type directIO interface {
	file
	// readPages reads p, or at least so many bytes of it where the file ends.
	readPages(p []byte, least int, off int64) error
}

// errIndirect means that a read or write has to go through the page cache.
var errIndirect = errors.New("the file system does not go without its page cache")

// openDirect tells whether appends to a segment may go past the page cache; d.mu is held.
func (d *Segments) openDirect(s *segment) bool {
	if s.direct != nil || d.indirect {
		return !d.indirect
	}
	if f, ok := d.fs.(directFS); ok {
		if opened, err := f.openDirect(segmentName(s.number), forWriting); err == nil {
			s.direct = opened
			return true
		}
	}
	d.indirect = true
	return false
}

func (s *segment) closeDirect() {
	if s.direct != nil {
		s.direct.close()
		s.direct = nil
	}
}

// directBuffer is how much is gathered for one write.
const directBuffer = 512 << 10

var directBuffers = sync.Pool{New: func() any {
	p := make([]byte, directBuffer+pageSize)
	from := -uintptr(unsafe.Pointer(&p[0])) % pageSize
	return (*[directBuffer]byte)(p[from : from+directBuffer])
}}

// writeDirect writes whole pages at a multiple of a page; d.mu is held.
func (d *Segments) writeDirect(s *segment, p [][]byte, off int64) error {
	buffer := directBuffers.Get().(*[directBuffer]byte)
	defer directBuffers.Put(buffer)
	n := 0
	flush := func() error {
		err := errIndirect
		if !d.indirect {
			err = s.direct.writev([][]byte{buffer[:n]}, off)
		}
		if errors.Is(err, errIndirect) { // found out only now
			d.indirect = true
			err = s.f.writev([][]byte{buffer[:n]}, off)
		}
		off += int64(n)
		n = 0
		return err
	}
	for _, b := range p {
		for len(b) > 0 {
			m := copy(buffer[n:], b)
			b, n = b[m:], n+m
			if n == len(buffer) {
				if err := flush(); err != nil {
					return err
				}
			}
		}
	}
	if n == 0 {
		return nil
	}
	return flush()
}
