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
	return Counters{c.Reads + d.Reads, c.Writes + d.Writes, c.Syncs + d.Syncs, c.BytesRead + d.BytesRead, c.BytesWritten + d.BytesWritten}
}

// Minus returns the difference of counters.
func (c Counters) Minus(d Counters) Counters {
	return Counters{c.Reads - d.Reads, c.Writes - d.Writes, c.Syncs - d.Syncs, c.BytesRead - d.BytesRead, c.BytesWritten - d.BytesWritten}
}

// count adds c to the disk's counters, and tells the tally of ctx.
func (d *Segments) count(ctx context.Context, c Counters) {
	d.reads.Add(c.Reads)
	d.writes.Add(c.Writes)
	d.syncs.Add(c.Syncs)
	d.bytesRead.Add(c.BytesRead)
	d.bytesWritten.Add(c.BytesWritten)
	if t, ok := ctx.Value(tallyKey{}).(Tally); ok {
		t(d.number.Load(), c)
	}
}
