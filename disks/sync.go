package disks

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// Sync makes durable what was appended before.
func (d *Segments) Sync(ctx context.Context) error {
	d.mu.Lock()
	failures := d.failures
	d.mu.Unlock()
	d.syncing.Lock()
	defer d.syncing.Unlock()
	d.mu.Lock()
	if d.failures != failures { // while this call waited; what it came for may be in what was lost
		defer d.mu.Unlock()
		return d.failed
	}
	if d.closed {
		defer d.mu.Unlock()
		return fs.ErrClosed
	}
	var dirty []*segment
	files := map[*segment]file{} // Close may come while a disk hangs
	ends := map[*segment]int64{}
	for _, s := range d.segs {
		if s.dirty {
			s.dirty = false
			s.users++
			dirty = append(dirty, s)
			files[s], ends[s] = s.f, s.end
		}
	}
	dir := d.dirDirty
	d.dirDirty = false
	d.mu.Unlock()
	if err := ctx.Err(); err != nil {
		d.unsynced(dirty, dir)
		return err
	}
	slices.SortFunc(dirty, func(a, b *segment) int { return int(a.number) - int(b.number) })
	var failed error
	for _, s := range dirty {
		d.count(ctx, Counters{Syncs: 1})
		if err := files[s].sync(); err != nil && failed == nil {
			failed = fmt.Errorf("segment %d: sync: %w", s.number, err)
		}
	}
	if failed == nil && dir {
		failed = d.fs.syncDir()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range dirty {
		s.users--
		if failed != nil {
			d.breakSegment(s)
		} else {
			s.synced = max(s.synced, ends[s])
		}
	}
	if failed != nil {
		d.dirDirty = d.dirDirty || dir
		d.failures++
		d.failed = failed
	}
	return failed
}

// Harden makes durable all that is there.
func (d *Segments) Harden(ctx context.Context) error {
	if d.o.ReadOnly {
		return ErrReadOnly
	}
	for _, n := range d.numbers() {
		if err := ctx.Err(); err != nil {
			return err
		}
		s, err := d.acquire(n)
		if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrGone) {
			continue // nothing of it is used
		}
		if err != nil {
			return err
		}
		d.count(ctx, Counters{Syncs: 1})
		err = s.f.sync()
		d.release(s)
		if err != nil {
			return fmt.Errorf("segment %d: sync: %w", n, err)
		}
	}
	return d.fs.syncDir()
}

// unsynced takes back what a Sync that did nothing had taken on.
func (d *Segments) unsynced(dirty []*segment, dir bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range dirty {
		s.dirty = !s.broken
		s.users--
	}
	d.dirDirty = d.dirDirty || dir
}

// Doubtful tells whether a shard that was appended may be gone though a later Sync returned
// nil: a write or sync of its segment failed before it was durable.
func (d *Segments) Doubtful(a Address) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.segs[a.Segment]
	return s == nil || s.broken && int64(a.Offset)+int64(a.Length) > s.synced
}

func doubtName(n uint32) string { return fmt.Sprintf("segments/%08d.doubt", n) }

// noteDoubt leaves a file beside a broken segment that says up to where it is durable. Until
// the power goes off what is beyond reads well, and nobody else could tell. After that it is
// there or not, so that the note need not be durable, nor is anything lost without it that
// others do not have. d.mu is held.
func (d *Segments) noteDoubt(s *segment) {
	f, err := d.fs.open(doubtName(s.number), forCreating)
	if err != nil {
		return
	}
	defer f.close()
	p := binary.LittleEndian.AppendUint64(nil, s.generation)
	f.writev([][]byte{binary.LittleEndian.AppendUint64(p, uint64(s.synced))}, 0) //nolint:errcheck // as above
}

// readDoubt takes over what an earlier process noted of a segment.
func (d *Segments) readDoubt(s *segment) {
	if p, err := d.readFile(doubtName(s.number)); err == nil && len(p) == 16 {
		s.broken, s.doubted = true, binary.LittleEndian.Uint64(p)
		s.synced = int64(binary.LittleEndian.Uint64(p[8:]))
	}
}
