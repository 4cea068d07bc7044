package disks

import "context"

// A Tally is told which calls of one piece of work reached the device of a disk, by the
// disk's number. It may be called from many goroutines, and must be quick.
type Tally func(disk int32, c Counters)

type tallyKey struct{}

// Counting returns a context under which disks tell t of what they do, beside counting it
// themselves. So work can be charged to whom it was done for.
func Counting(ctx context.Context, t Tally) context.Context {
	return context.WithValue(ctx, tallyKey{}, t)
}

// Plus returns the sum of counters.
func (c Counters) Plus(d Counters) Counters {
	return Counters{c.Reads + d.Reads, c.Writes + d.Writes, c.Syncs + d.Syncs, c.ReadSeeks + d.ReadSeeks, c.WriteSeeks + d.WriteSeeks,
		c.BytesRead + d.BytesRead, c.BytesWritten + d.BytesWritten}
}

// Minus returns the difference of counters.
func (c Counters) Minus(d Counters) Counters {
	return Counters{c.Reads - d.Reads, c.Writes - d.Writes, c.Syncs - d.Syncs, c.ReadSeeks - d.ReadSeeks, c.WriteSeeks - d.WriteSeeks,
		c.BytesRead - d.BytesRead, c.BytesWritten - d.BytesWritten}
}

// nearby is how far ahead of the last access another is not a seek: what a system reads
// ahead, and a drive has under its heads soon.
const nearby = 128 << 10

// seeks moves the heads to [at, at+n) of a segment, and returns 1 if they had to move.
func (d *Segments) seeks(s *segment, at, n int64) int64 {
	last := d.arm.Swap(uint64(s.number)<<32 | uint64(at+n))
	if end := int64(last & (1<<32 - 1)); uint32(last>>32) == s.number && at >= end && at-end <= nearby {
		return 0
	}
	return 1
}

// count adds c to the disk's counters, and tells the tally of ctx.
func (d *Segments) count(ctx context.Context, c Counters) {
	d.reads.Add(c.Reads)
	d.writes.Add(c.Writes)
	d.syncs.Add(c.Syncs)
	d.readSeeks.Add(c.ReadSeeks)
	d.writeSeeks.Add(c.WriteSeeks)
	d.bytesRead.Add(c.BytesRead)
	d.bytesWritten.Add(c.BytesWritten)
	if t, ok := ctx.Value(tallyKey{}).(Tally); ok {
		t(d.number.Load(), c)
	}
}
