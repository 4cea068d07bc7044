// Package bench measures a cluster beside the simplest programs that do the same work.
//
// The plain loop reads an object in pieces, codes them with the same library, hashes each
// piece of a shard and writes one file a shard, each synced; its reverse reads, hashes and
// joins. Copying the file and syncing it is the other yardstick. The store and the loop
// take turns on the same directory, and their ratio is taken round by round: on a busy
// machine the ratio means something when the seconds do not.
//
// What is counted (writes, syncs, bytes, commits) is exact. Processor seconds are those of
// this process and of the commands that it ran, user and system; what the kernel does
// later on its own is in nobody's account.
package bench

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// A Sample is what some operations, all alike, took.
type Sample struct {
	Operations int64
	Bytes      int64 // of user data
	Wall, CPU  time.Duration
	Counts     Counts

	latencies []time.Duration // sorted
}

// Counts are what the operations asked of the disks.
type Counts struct {
	Reads, Writes, Syncs    int64
	BytesRead, BytesWritten int64
	Batches                 int64 // catalog transactions; the store alone has them
}

func (c Counts) minus(d Counts) Counts {
	return Counts{c.Reads - d.Reads, c.Writes - d.Writes, c.Syncs - d.Syncs,
		c.BytesRead - d.BytesRead, c.BytesWritten - d.BytesWritten, c.Batches - d.Batches}
}

// Percentile is the latency that p percent of the operations did not exceed.
func (s Sample) Percentile(p float64) time.Duration {
	n := len(s.latencies)
	if n == 0 {
		return 0
	}
	rank := int(p/100*float64(n)+0.999999) - 1
	return s.latencies[min(max(rank, 0), n-1)]
}

// A load says how many operations to run: as many at a time as Concurrency, for about Time,
// and no more than Most, which is at least 1.
type load struct {
	Concurrency int
	Time        time.Duration
	Most        int64
}

// run measures a load of operations that move size bytes each. Each has its own number,
// counting from 0, and the worker that runs it.
func (l load) run(ctx context.Context, size int64, counts func() Counts, op func(ctx context.Context, worker int, i int64) error) (Sample, error) {
	numbers := make(chan int64)
	latencies := make([][]time.Duration, l.Concurrency)
	before := counts()
	start, cpu := time.Now(), cpuTime()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(numbers)
		for i := int64(0); i < l.Most && (i == 0 || time.Since(start) < l.Time); i++ {
			select {
			case numbers <- i:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for w := range l.Concurrency {
		g.Go(func() error {
			for i := range numbers {
				begin := time.Now()
				if err := op(ctx, w, i); err != nil {
					return err
				}
				latencies[w] = append(latencies[w], time.Since(begin))
			}
			return nil
		})
	}
	err := g.Wait()
	s := Sample{Wall: time.Since(start), CPU: cpuTime() - cpu, Counts: counts().minus(before), latencies: slices.Concat(latencies...)}
	slices.Sort(s.latencies)
	s.Operations = int64(len(s.latencies))
	s.Bytes = s.Operations * size
	return s, err
}
