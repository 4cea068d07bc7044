package disks

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// A Fault is what a Faulty disk does wrong. The zero Fault is nothing.
type Fault struct {
	Lost  bool          // every call fails
	Full  bool          // appends fail with ErrFull
	Hang  bool          // calls wait until their context ends or the fault is lifted
	Slow  time.Duration // calls take that much longer
	Rot   bool          // a bit of what is read is flipped
	Stale bool          // reads give what is stored after the place asked for

	// Calls until one fails, once; 0 is never.
	FailAppend, FailSync, FailRead int
	// Torn makes a failing append store its first shards all the same.
	Torn bool
}

// Faulty is a Disk that fails on demand.
type Faulty struct {
	Disk

	mu     sync.Mutex
	fault  Fault         // guarded by mu
	lifted chan struct{} // guarded by mu; closed when the fault changes
	rng    *rand.Rand    // guarded by mu
	watch  func(op string) error
}

// NewFaulty wraps a disk. watch, when not nil, is asked before every call that reaches the
// disk ("append", "sync", "read", "free") and may fail it.
func NewFaulty(d Disk, watch func(op string) error) *Faulty {
	return &Faulty{Disk: d, lifted: make(chan struct{}), rng: rand.New(rand.NewPCG(1, 1)), watch: watch}
}

// Set replaces the fault.
func (f *Faulty) Set(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
	close(f.lifted)
	f.lifted = make(chan struct{})
}

// enter applies what concerns every call; n, when not nil, picks the countdown of this kind.
func (f *Faulty) enter(ctx context.Context, op string, n func(*Fault) *int) (Fault, error) {
	f.mu.Lock()
	fault, lifted := f.fault, f.lifted
	failNow := false
	if n != nil {
		if c := n(&f.fault); *c > 0 {
			*c--
			failNow = *c == 0
		}
	}
	f.mu.Unlock()
	if fault.Slow > 0 {
		select {
		case <-time.After(fault.Slow):
		case <-ctx.Done():
			return fault, ctx.Err()
		}
	}
	if fault.Hang {
		select {
		case <-lifted:
		case <-ctx.Done():
			return fault, ctx.Err()
		}
	}
	switch {
	case fault.Lost:
		return fault, ErrLost
	case failNow:
		return fault, fmt.Errorf("%s: injected fault: %w", op, ErrLost)
	}
	if f.watch != nil {
		return fault, f.watch(op)
	}
	return fault, nil
}

// Append stores shards, or fails.
func (f *Faulty) Append(ctx context.Context, shards []Shard, o AppendOptions) ([]Address, error) {
	fault, err := f.enter(ctx, "append", func(x *Fault) *int { return &x.FailAppend })
	if err != nil {
		if fault.Torn && len(shards) > 1 {
			_, _ = f.Disk.Append(ctx, shards[:len(shards)/2], o)
		}
		return nil, err
	}
	if fault.Full {
		return nil, ErrFull
	}
	return f.Disk.Append(ctx, shards, o)
}

// Sync makes durable what was appended, or fails.
func (f *Faulty) Sync(ctx context.Context) error {
	if _, err := f.enter(ctx, "sync", func(x *Fault) *int { return &x.FailSync }); err != nil {
		return err
	}
	return f.Disk.Sync(ctx)
}

// Doubtful asks the disk within.
func (f *Faulty) Doubtful(a Address) bool { return Doubtful(f.Disk, a) }

// Harden makes durable what is there, or fails.
func (f *Faulty) Harden(ctx context.Context) error {
	if _, err := f.enter(ctx, "sync", func(x *Fault) *int { return &x.FailSync }); err != nil {
		return err
	}
	return f.Disk.Harden(ctx)
}

// Read reads verified bytes: rot and staleness come before the checksums, so they are errors.
func (f *Faulty) Read(ctx context.Context, r Ref, off int, dst []byte) error {
	fault, err := f.enter(ctx, "read", func(x *Fault) *int { return &x.FailRead })
	if err != nil {
		return err
	}
	if fault.Rot || fault.Stale {
		return ErrCorrupt
	}
	return f.Disk.Read(ctx, r, off, dst)
}

// ReadRaw reads bytes that nobody verified yet.
func (f *Faulty) ReadRaw(ctx context.Context, r Ref, off int, dst []byte) error {
	fault, err := f.enter(ctx, "read", func(x *Fault) *int { return &x.FailRead })
	if err != nil {
		return err
	}
	if fault.Stale {
		clear(dst)
		return nil
	}
	if err := f.Disk.ReadRaw(ctx, r, off, dst); err != nil {
		return err
	}
	if fault.Rot && len(dst) > 0 {
		f.mu.Lock()
		dst[f.rng.IntN(len(dst))] ^= 1 << f.rng.IntN(8)
		f.mu.Unlock()
	}
	return nil
}

// ReadShard reads a whole shard.
func (f *Faulty) ReadShard(ctx context.Context, a Address) (Shard, error) {
	fault, err := f.enter(ctx, "read", nil)
	if err == nil && (fault.Rot || fault.Stale) {
		err = ErrCorrupt
	}
	if err != nil {
		return Shard{}, err
	}
	return f.Disk.ReadShard(ctx, a)
}

// ReadJournal reads header and journal.
func (f *Faulty) ReadJournal(ctx context.Context, a Address) (Header, []byte, error) {
	if _, err := f.enter(ctx, "read", nil); err != nil {
		return Header{}, nil, err
	}
	return f.Disk.ReadJournal(ctx, a)
}

// Free gives back space, or fails.
func (f *Faulty) Free(ctx context.Context, list []Address, keepJournal bool) error {
	if _, err := f.enter(ctx, "free", nil); err != nil {
		return err
	}
	return f.Disk.Free(ctx, list, keepJournal)
}

// Scan lists shards, or fails.
func (f *Faulty) Scan(ctx context.Context, yield func(Entry) error) error {
	if _, err := f.enter(ctx, "read", nil); err != nil {
		return err
	}
	return f.Disk.Scan(ctx, yield)
}

// Newest is that of the disk within, if it has one.
func (f *Faulty) Newest(ctx context.Context) (Header, bool, error) {
	if n, ok := f.Disk.(interface {
		Newest(context.Context) (Header, bool, error)
	}); ok {
		return n.Newest(ctx)
	}
	return Header{}, false, nil
}

// Mark passes a mark on.
func (f *Faulty) Mark(m Mark) error {
	if q, ok := f.Disk.(Marker); ok {
		return q.Mark(m)
	}
	return nil
}

// Marked asks the disk within.
func (f *Faulty) Marked() Mark { return MarkOf(f.Disk) }

// Corrupt flips bits on the disk within, if it can.
func (f *Faulty) Corrupt(a Address, bits int, rng *rand.Rand) error {
	if c, ok := f.Disk.(interface {
		Corrupt(Address, int, *rand.Rand) error
	}); ok {
		return c.Corrupt(a, bits, rng)
	}
	return fmt.Errorf("this disk cannot be corrupted")
}

// Segments lists those of the disk within, if it has any.
func (f *Faulty) Segments() ([]SegmentInfo, error) {
	if c, ok := f.Disk.(Checker); ok {
		return c.Segments()
	}
	return nil, nil
}

// Check verifies the disk within, if it can be checked. With rot or staleness all is corrupt.
func (f *Faulty) Check(ctx context.Context, segment uint32, pace func(n int) error, yield func(Checked) error) error {
	fault, err := f.enter(ctx, "read", func(x *Fault) *int { return &x.FailRead })
	c, ok := f.Disk.(Checker)
	if err != nil || !ok {
		return err
	}
	return c.Check(ctx, segment, pace, func(found Checked) error {
		if fault.Rot || fault.Stale {
			found.Data = ErrCorrupt
			if found.JournalSize > 0 {
				found.Journal = ErrCorrupt
			}
		}
		return yield(found)
	})
}
