package cluster

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/wattle-storage/wattle/erasure"
	"golang.org/x/sync/semaphore"
)

// defaultMemory bounds the stripes in flight of a cluster.
const defaultMemory = 96 << 20

// A pool lends the memory of stripes: first come, first served, all of a stripe at once, so
// that whoever holds memory can go on.
type pool struct {
	size int64
	sem  *semaphore.Weighted

	mu   sync.Mutex
	free map[int][][]byte // guarded by mu; by capacity
	lent int64            // guarded by mu; bytes of stripes that are out
	kept int64            // guarded by mu; bytes in free; with lent at most size
}

func newPool(size int64) *pool {
	return &pool{size: size, sem: semaphore.NewWeighted(size), free: map[int][][]byte{}}
}

func (p *pool) reserve(ctx context.Context, n int64) error {
	if n > p.size {
		return fmt.Errorf("%d bytes of stripe memory are needed and %d are allowed: use a larger memory limit or a narrower scheme", n, p.size)
	}
	return p.sem.Acquire(ctx, n)
}

func (p *pool) unreserve(n int64) { p.sem.Release(n) }

// get returns n bytes of any content.
func (p *pool) get(ctx context.Context, n int) ([]byte, error) {
	if err := p.reserve(ctx, int64(n)); err != nil {
		return nil, err
	}
	return p.take(n), nil
}

// take is memory that was reserved.
func (p *pool) take(n int) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lent += int64(n)
	if list := p.free[n]; len(list) > 0 {
		b := list[len(list)-1]
		p.free[n] = list[:len(list)-1]
		p.kept -= int64(n)
		return b
	}
	for size, list := range p.free { // others make room
		for len(list) > 0 && p.lent+p.kept > p.size {
			list[len(list)-1] = nil
			list = list[:len(list)-1]
			p.kept -= int64(size)
		}
		p.free[size] = list
	}
	return make([]byte, n)
}

// try is get when memory is there at once, and nil when it is not. Who holds memory already
// asks this way, since waiting with memory in hand could wait for ever.
func (p *pool) try(n int) []byte {
	if !p.sem.TryAcquire(int64(n)) {
		return nil
	}
	return p.take(n)
}

// put gives back what get returned. Memory that a hung disk may still write or read is
// dropped instead (drop), so that it is not lent again.
func (p *pool) put(b []byte) {
	const least = 64 << 10 // less is left to the collector
	p.mu.Lock()
	n := cap(b)
	p.lent -= int64(n)
	if n >= least && p.lent+p.kept+int64(n) <= p.size {
		p.free[n] = append(p.free[n], b[:n])
		p.kept += int64(n)
	}
	p.mu.Unlock()
	p.unreserve(int64(n))
}

func (p *pool) drop(b []byte) {
	p.mu.Lock()
	p.lent -= int64(cap(b))
	p.mu.Unlock()
	p.unreserve(int64(cap(b)))
}

// inSteps rounds sizes of memory up, so that what was lent for one stripe can be for others.
func inSteps(n int) int {
	step := 64 << 10
	if n > 1<<20 {
		step = 256 << 10
	}
	return (n + step - 1) / step * step
}

// A buffer is a stripe in memory, before or while it is written.
type buffer struct {
	*stripe
	shards  [][]byte // columns, then parity
	journal []byte   // rides in the shards that carry it

	plain   *plaintext // nil, or bytes of one object that are still to be encrypted
	mem     []byte     // of pool, or nil
	reserve bool       // may take the space that is kept from puts
	direct  bool       // past the page cache
	hung    atomic.Bool
}

// newBuffer lays a stripe's shards out in mem, column after column from data on, then
// parity; mem must hold them.
func newBuffer(id uint64, s erasure.Scheme, columns []uint32, mem []byte) *buffer {
	b := &buffer{stripe: newStripe(id, s, columns), mem: mem, shards: make([][]byte, s.N())}
	at := uint32(0)
	for i := range b.shards {
		n := b.size(i)
		b.shards[i] = mem[at : at+n : at+n]
		at += n
	}
	return b
}

// bytes is the memory that a stripe with these columns needs.
func stripeBytes(s erasure.Scheme, columns []uint32) int {
	n, longest := 0, uint32(0)
	for _, c := range columns {
		n += int(c)
		longest = max(longest, c)
	}
	return n + s.M*int(longest)
}

// release gives the buffer's memory back.
func (c *Cluster) release(b *buffer) {
	mem := b.mem
	b.mem, b.shards = nil, nil
	switch {
	case mem == nil:
	case b.hung.Load():
		c.pool.drop(mem)
	default:
		c.pool.put(mem)
	}
}

// Memory is the bytes of stripes in flight: of puts and gets that are under way.
func (c *Cluster) Memory() int64 {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	return c.pool.lent
}
