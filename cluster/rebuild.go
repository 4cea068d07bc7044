package cluster

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/erasure"
	"github.com/wattle-storage/wattle/seal"
)

// rebuilds is what reads that rebuild share: memory, for few of them at a time, each as much as a
// packed extent takes in all the shards that it comes from, and what was rebuilt last. Who has a
// slot waits for disks alone, so whoever waits for one may hold other memory.
type rebuilds struct {
	slots  *semaphore.Weighted
	size   int
	memory sync.Pool

	mu           sync.Mutex
	newer, older map[spot][]byte // guarded by mu
	held         int             // guarded by mu; bytes in newer
}

// Limits of rebuilds: reads that rebuild at a time, and bytes that are remembered.
const (
	rebuildSlots = 32
	rebuiltBytes = 16 << 20
)

// A spot is where a packed extent lies.
type spot struct {
	stripe uint64
	off    uint32
	col    uint8
}

func newRebuilds(s erasure.Scheme) *rebuilds {
	const most = (packLimit + seal.Overhead + 4095) / 4096 * 4096
	w := &rebuilds{slots: semaphore.NewWeighted(rebuildSlots), size: s.K * most, newer: map[spot][]byte{}}
	w.memory.New = func() any { p := make([]byte, w.size); return &p }
	return w
}

// find fills p with what was rebuilt there before, if that is remembered. What is sound is found
// again in the system's page cache; what is rebuilt would cost k reads each time. It is not verified
// again, and the caller does that as with what comes from a disk.
func (w *rebuilds) find(at spot, p []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	b, ok := w.newer[at]
	if !ok {
		if b, ok = w.older[at]; ok {
			delete(w.older, at)
			w.keep(at, b)
		}
	}
	return ok && len(b) == len(p) && copy(p, b) == len(p)
}

// remember keeps what was rebuilt, and takes it over.
func (w *rebuilds) remember(at spot, b []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keep(at, b)
}

// keep takes b in. When the newer half is full it becomes the older, and what was not asked for
// since is gone; w.mu is held.
func (w *rebuilds) keep(at spot, b []byte) {
	if w.held+len(b) > rebuiltBytes/2 {
		w.newer, w.older, w.held = map[spot][]byte{}, w.newer, 0
	}
	w.held += len(b) - len(w.newer[at])
	w.newer[at] = b
}

// A rebuild makes ranges of shards of a stripe anew for a read: it decodes the range of size
// bytes from off on, from the cheapest shards that can be read, some rows of it at a time.
type rebuild struct {
	c         *Cluster
	s         *stripe
	want      [][]byte // by shard: what to fill, or nil
	got       [][]byte // by shard: the range as it was read and verified already, or nil
	off, size int
	raw       bool             // what is read is not verified: the result will be
	bad       func(int, error) // is told of shards that cannot be read
}

// run fills b.want.
func (b *rebuild) run(ctx context.Context) error {
	w := b.c.rebuilds
	if err := w.slots.Acquire(ctx, 1); err != nil {
		return err
	}
	defer w.slots.Release(1)
	mem := w.memory.Get().(*[]byte)
	defer w.memory.Put(mem)
	code := b.c.code(b.s.Scheme)
	have := b.s.have(b.c.readable)
	var wanted []int
	for i, p := range b.want {
		if p != nil {
			have[i] = false
			wanted = append(wanted, i)
		}
	}
	var reads []int
	rows := 0
	for at := 0; at < b.size; {
		if reads == nil {
			var err error
			if reads, err = code.Plan(wanted, have, b.cost); err != nil {
				return fmt.Errorf("stripe %x of %s: %w: %w", b.s.ID, b.s.Scheme, ErrDataLost, err)
			}
			rows = b.plan(reads, at, len(*mem))
		}
		n := min(rows, b.size-at)
		shards, failed, err := b.read(ctx, reads, at, n, *mem)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			b.bad(failed, err)
			have[failed], reads = false, nil
			continue
		}
		dst := make([][]byte, len(b.want))
		for _, i := range wanted {
			dst[i] = cut(b.want[i], at, n)
		}
		if err := billOf(ctx).coding(func() error { return code.Rebuild(shards, dst, n) }); err != nil {
			return fmt.Errorf("stripe %x: %w", b.s.ID, err)
		}
		at += n
	}
	return nil
}

// cut is the part of p within n bytes from at on.
func cut(p []byte, at, n int) []byte { return p[min(at, len(p)):min(at+n, len(p))] }

// cost is what it takes to read shard i.
func (b *rebuild) cost(i int) float64 {
	if b.got[i] != nil || int(b.s.size(i)) <= b.off {
		return 0
	}
	if d := b.s.Places[i].Disk; d != none && b.c.late(d) {
		return float64(len(b.want)) // any other way first
	}
	return 1
}

// plan tells how many rows fit memory of size bytes, and the disks what they will be asked for.
func (b *rebuild) plan(reads []int, at, size int) (rows int) {
	missing := 0
	for _, i := range reads {
		if b.got[i] == nil {
			missing++
		}
	}
	for _, i := range reads {
		n := min(b.size, int(b.s.size(i))-b.off) - at
		if d := b.c.disk(b.s.Places[i].Disk); missing > 2 && b.got[i] == nil && n > 0 && d != nil {
			disks.Expect(d, b.s.ref(i), b.off+at, n)
		}
	}
	const block = 16 << 10 // by which disks verify
	rows = size / max(1, missing)
	if block < rows && rows < b.size {
		rows = rows / block * block
	}
	return rows
}

// read gives n rows of shards from at on, of those that are not there yet in mem. With an error
// it returns the shard that it is about.
func (b *rebuild) read(ctx context.Context, reads []int, at, n int, mem []byte) (shards [][]byte, failed int, err error) {
	shards = make([][]byte, len(b.want))
	for _, i := range reads {
		if b.got[i] != nil {
			shards[i] = cut(b.got[i], at, n)
			continue
		}
		size := max(0, min(n, int(b.s.size(i))-b.off-at))
		shards[i], mem = mem[:size:size], mem[size:]
		if size > 0 {
			if err := b.c.readShard(ctx, b.s, i, b.off+at, shards[i], b.raw); err != nil {
				return nil, i, err
			}
		}
	}
	return shards, 0, nil
}
