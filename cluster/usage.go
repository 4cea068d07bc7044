package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Usage is what a bucket holds: the bytes of all versions and of parts of uploads, and the
// number of versions, delete markers aside.
type Usage struct {
	Bytes   int64 `json:"bytes"`
	Objects int64 `json:"objects"`
}

// Plus returns the sum of two usages.
func (u Usage) Plus(v Usage) Usage { return Usage{u.Bytes + v.Bytes, u.Objects + v.Objects} }

// Minus returns what is left of u without v.
func (u Usage) Minus(v Usage) Usage { return Usage{u.Bytes - v.Bytes, u.Objects - v.Objects} }

// usage counts what buckets hold along with the batches that change it.
type usage struct {
	mu       sync.Mutex
	by       map[string]Usage // guarded by mu; nil until TrackUsage
	reserved map[string]Usage // guarded by mu; what is on its way
}

// count adds to what a bucket has in m.
func count(m map[string]Usage, bucket string, more Usage) {
	if m[bucket] = m[bucket].Plus(more); m[bucket] == (Usage{}) {
		delete(m, bucket)
	}
}

// add counts what a batch has changed, and gives back at the same moment what its requests had
// reserved.
func (u *usage) add(gained map[string]Usage, batch []*request) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.by == nil {
		return
	}
	for name, g := range gained {
		count(u.by, name, g)
	}
	for _, r := range batch {
		r.room.release()
	}
}

// A Reservation is room in a bucket for what is on its way. It ends when the batch that stores
// it is counted, or with Release.
type Reservation struct {
	u      *usage
	bucket string
	took   Usage // guarded by u.mu
}

// Held is what buckets hold and have reserved, at one moment.
type Held struct{ u *usage }

// Of returns what a bucket holds and has reserved.
func (h Held) Of(bucket string) Usage { return h.u.by[bucket].Plus(h.u.reserved[bucket]) }

// Buckets returns the names of all buckets of which that is more than nothing.
func (h Held) Buckets() []string {
	all := maps.Clone(h.u.by)
	maps.Copy(all, h.u.reserved)
	return slices.Sorted(maps.Keys(all))
}

// Reserve returns an empty reservation. It wants TrackUsage.
func (c *Cluster) Reserve(bucket string) *Reservation {
	return &Reservation{u: &c.usage, bucket: bucket}
}

// Take reserves more, unless allow, which sees what is held at that moment, gives an error.
// Nothing is counted while it decides.
func (r *Reservation) Take(more Usage, allow func(Held) error) error {
	r.u.mu.Lock()
	defer r.u.mu.Unlock()
	if err := allow(Held{r.u}); err != nil {
		return err
	}
	count(r.u.reserved, r.bucket, more)
	r.took = r.took.Plus(more)
	return nil
}

// Release gives back what was not stored. It may be called again, and of nil.
func (r *Reservation) Release() {
	if r == nil {
		return
	}
	r.u.mu.Lock()
	defer r.u.mu.Unlock()
	r.release()
}

// release is Release with u.mu held.
func (r *Reservation) release() {
	if r == nil || r.took == (Usage{}) {
		return
	}
	count(r.u.reserved, r.bucket, Usage{}.Minus(r.took))
	r.took = Usage{}
}

// gain notes that a bucket holds more, or less, from this transaction on.
func (t *tx) gain(bucket, bytes, objects int64) {
	for name, b := range t.bucketID {
		if b.id == bucket {
			if t.gained == nil {
				t.gained = map[string]Usage{}
			}
			t.gained[name] = t.gained[name].Plus(Usage{bytes, objects})
		}
	}
}

// TrackUsage begins to count what buckets hold, for Usages. It reads every row of the catalog
// once, and must be called before the first change.
func (c *Cluster) TrackUsage(ctx context.Context) error {
	by, err := c.catalog.usages(ctx)
	if err != nil {
		return fmt.Errorf("usage of buckets: %w", err)
	}
	c.usage.mu.Lock()
	defer c.usage.mu.Unlock()
	c.usage.by, c.usage.reserved = by, map[string]Usage{}
	return nil
}

// Usages returns what each bucket holds after the last batch, or, without TrackUsage, as the
// catalog has it. A bucket that holds nothing is left out.
func (c *Cluster) Usages(ctx context.Context) (map[string]Usage, error) {
	c.usage.mu.Lock()
	by := maps.Clone(c.usage.by)
	c.usage.mu.Unlock()
	if by != nil {
		return by, nil
	}
	return c.catalog.usages(ctx)
}

// Usage returns what a bucket holds, as Usages does.
func (c *Cluster) Usage(ctx context.Context, bucket string) (Usage, error) {
	c.usage.mu.Lock()
	u, tracked := c.usage.by[bucket], c.usage.by != nil
	c.usage.mu.Unlock()
	if tracked {
		return u, nil
	}
	by, err := c.catalog.usages(ctx)
	return by[bucket], err
}

// usages sums what buckets hold.
func (c *catalog) usages(ctx context.Context) (map[string]Usage, error) {
	rows, err := c.query(ctx, `SELECT b.name, sum(x.size), sum(x.n) FROM (
			SELECT bucket, sum(size) AS size, sum(1 - marker) AS n FROM objects GROUP BY bucket
			UNION ALL SELECT u.bucket, sum(p.size), 0 FROM parts p JOIN uploads u ON u.id = p.upload GROUP BY u.bucket
		) x JOIN buckets b ON b.id = x.bucket GROUP BY b.id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	by := map[string]Usage{}
	for rows.Next() {
		var name string
		var u Usage
		if err := rows.Scan(&name, &u.Bytes, &u.Objects); err != nil {
			return nil, err
		}
		if u != (Usage{}) {
			by[name] = u
		}
	}
	return by, rows.Err()
}
