package cluster

import (
	"context"
	"fmt"

	"github.com/wattle-storage/wattle/disks"
)

// A rebuild makes ranges of shards of a stripe anew for a read: it decodes the range of size
// bytes from off on, from the cheapest shards that can be read.
type rebuild struct {
	c         *Cluster
	s         *stripe
	want      [][]byte // by shard: what to fill, or nil
	off, size int
	raw       bool             // what is read is not verified: the result will be
	bad       func(int, error) // is told of shards that cannot be read

	shards [][]byte // the range of those that were read
	lent   [][]byte // of the pool
}

// run fills b.want. got holds the range of shards that were read and verified already, or nil.
func (b *rebuild) run(ctx context.Context, got [][]byte) error {
	code, n := b.c.code(b.s.Scheme), b.s.Scheme.N()
	have := b.s.have(b.c.readable)
	var wanted []int
	for i, p := range b.want {
		if p != nil {
			have[i] = false
			wanted = append(wanted, i)
		}
	}
	b.shards = make([][]byte, n)
	copy(b.shards, got)
	for {
		reads, err := code.Plan(wanted, have, b.cost)
		if err != nil {
			return fmt.Errorf("stripe %x of %s: %w: %w", b.s.ID, b.s.Scheme, ErrDataLost, err)
		}
		failed, err := b.read(ctx, reads)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			b.bad(failed, err)
			b.shards[failed], have[failed] = nil, false
			continue
		}
		use := make([][]byte, n)
		for _, i := range reads {
			use[i] = b.shards[i]
		}
		if err := billOf(ctx).coding(func() error { return code.Rebuild(use, b.want, b.size) }); err != nil {
			return fmt.Errorf("stripe %x: %w", b.s.ID, err)
		}
		return nil
	}
}

// cost is what it takes to read shard i.
func (b *rebuild) cost(i int) float64 {
	if b.shards[i] != nil || b.part(i) == 0 {
		return 0
	}
	if d := b.s.Places[i].Disk; d != none && b.c.late(d) {
		return float64(len(b.shards)) // any other way first
	}
	return 1
}

// part is how many bytes of the range shard i has.
func (b *rebuild) part(i int) int { return max(0, min(b.size, int(b.s.size(i))-b.off)) }

// read reads those of the shards that are not there yet. Their disks are told together. With an
// error it returns the shard that it is about.
func (b *rebuild) read(ctx context.Context, reads []int) (int, error) {
	total, missing := 0, 0
	for _, i := range reads {
		if b.shards[i] == nil {
			total += b.part(i)
			missing++
		}
	}
	if missing > 2 {
		for _, i := range reads {
			if d := b.c.disk(b.s.Places[i].Disk); b.shards[i] == nil && d != nil {
				disks.Expect(d, b.s.ref(i), b.off, b.part(i))
			}
		}
	}
	mem := b.lend(total)
	for _, i := range reads {
		if b.shards[i] != nil {
			continue
		}
		n := b.part(i)
		p := mem[:n:n]
		mem = mem[n:]
		if n > 0 {
			if err := b.c.readShard(ctx, b.s, i, b.off, p, b.raw); err != nil {
				return i, err
			}
		}
		b.shards[i] = p
	}
	return 0, nil
}

// lend is n bytes of the pool, or of the heap when it has none at once: who waits for more with
// memory in hand could wait for ever.
func (b *rebuild) lend(n int) []byte {
	if n > 0 {
		if p := b.c.pool.try(inSteps(n)); p != nil {
			b.lent = append(b.lent, p)
			return p
		}
	}
	return make([]byte, n)
}

func (b *rebuild) release() {
	for _, p := range b.lent {
		b.c.pool.put(p)
	}
	b.lent = nil
}
