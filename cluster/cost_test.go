package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/placement"
)

// newMemCluster makes a cluster on disks in memory.
func newMemCluster(t testing.TB, o InitOptions, deadline time.Duration) (*Cluster, *memDisks) {
	t.Helper()
	m, dir := newMemDisks(), filepath.Join(memDir(t), "c")
	if err := initWith(dir, o, m); err != nil {
		t.Fatal(err)
	}
	c, err := Open(ctx, dir, Options{Open: m, Deadline: deadline})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.MakeBucket(ctx, "bucket"); err != nil {
		t.Fatal(err)
	}
	return c, m
}

// crowd puts objects of size bytes, clients at a time, each object when the client's last one
// was acknowledged.
func crowd(t testing.TB, c *Cluster, clients, each, size int) {
	t.Helper()
	var wg sync.WaitGroup
	for w := range clients {
		wg.Go(func() {
			for i := range each {
				p := randomBytes(size, uint64(w*each+i))
				if _, err := c.Put(ctx, "bucket", fmt.Sprintf("%d/%d", w, i), bytes.NewReader(p), PutOptions{}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestBatches: clients that put at the same time share batches, and a batch syncs each disk
// that it touches once.
func TestBatches(t *testing.T) {
	for _, clients := range []int{8, 32} {
		c, m := newMemCluster(t, InitOptions{Map: DefaultMap(1, 1, 16, 1, 1e12), Scheme: scheme(t, "rs:12+4")}, 0)
		for _, id := range c.diskIDs() {
			m.set(int32(id), disks.Fault{Slow: 8 * time.Millisecond}) // as a sync that takes its time
		}
		before, commits := c.Counters(), c.Commits()
		const each = 12
		crowd(t, c, clients, each, 4096)
		batches := c.Commits() - commits
		syncs := c.Counters().Syncs - before.Syncs
		writes := c.Counters().Writes - before.Writes
		if mean := float64(clients*each) / float64(batches); mean < 0.7*float64(clients) {
			t.Errorf("%d clients: a mean batch of %.1f", clients, mean)
		}
		if syncs > writes || syncs > batches*16 {
			t.Errorf("%d clients: %d syncs and %d writes in %d batches of at most 16 disks", clients, syncs, writes, batches)
		}
	}
}

// TestSmallObjectSpace: a 4 KiB object in a full stripe takes at most 2.5 times its bytes,
// with all that goes with it.
func TestSmallObjectSpace(t *testing.T) {
	c, dir := newCluster(t, InitOptions{Map: DefaultMap(1, 1, 16, 1, 1e12), Scheme: scheme(t, "rs:12+4")})
	const clients, each = 256, 8
	crowd(t, c, clients, each, 4096)
	used := int64(0)
	for _, id := range c.diskIDs() {
		used += c.disk(id).Space().Used
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "catalog.db"))
	if err != nil {
		t.Fatal(err)
	}
	if per := float64(used+info.Size()) / (clients * each * 4096); per > 2.5 {
		t.Errorf("%.2f bytes a byte stored: %d on disks, %d in the catalog", per, used, info.Size())
	}
}

// TestRangeTouchesItsShards: a range of a large object reads the shards that hold it.
func TestRangeTouchesItsShards(t *testing.T) {
	c, _ := newCluster(t, InitOptions{Map: DefaultMap(1, 1, 14, 1, 1e12), Scheme: scheme(t, "rs:10+4")})
	p := randomBytes(30<<20, 1)
	put(t, c, "large", p)
	for _, off := range []int64{0, 1 << 20, 5<<20 + 17, 29 << 20} {
		before := c.Counters()
		got, _, err := read(c, "large", GetOptions{Offset: off, Length: 1 << 20})
		if err != nil || !bytes.Equal(got, p[off:off+1<<20]) {
			t.Fatalf("at %d: %v", off, err)
		}
		n := c.Counters()
		shards := int64(1<<20/int(c.shard)) + 2 // and the part ones at its ends
		if reads, bytes := n.Reads-before.Reads, n.BytesRead-before.BytesRead; reads > shards || bytes > 1<<20+64<<10 {
			t.Errorf("1 MiB at %d: %d reads of %d bytes, want at most %d reads", off, reads, bytes, shards)
		}
	}
}

// TestHungDisk: a disk that hangs holds nobody up for ever; puts go elsewhere and gets do
// without.
func TestHungDisk(t *testing.T) { synctest.Test(t, testHungDisk) } // so that only that disk is late

func testHungDisk(t *testing.T) {
	c, m := newMemCluster(t, InitOptions{Map: DefaultMap(3, 2, 1, 3, 1e12), Scheme: scheme(t, "rs:4+5")}, 100*time.Millisecond)
	small, large := randomBytes(4000, 1), randomBytes(900_000, 2)
	put(t, c, "small", small)
	put(t, c, "large", large)
	hung := c.diskIDs()[4]
	m.set(int32(hung), disks.Fault{Hang: true})
	for i := range 8 {
		put(t, c, fmt.Sprint("while", i), large)
	}
	if state := c.DiskStates()[hung]; state != stateSuspect {
		t.Errorf("the hung disk is %s", state)
	}
	wantBytes(t, c, "small", small)
	wantBytes(t, c, "large", large)
	m.set(int32(hung), disks.Fault{})
	if rep, err := c.Repair(ctx, nil); err != nil || rep.Lost > 0 {
		t.Errorf("repair: %+v, %v", rep, err)
	}
	for i := range 8 {
		wantBytes(t, c, fmt.Sprint("while", i), large)
	}
}

// TestSlowDisks: disks that are late, and too many to do without, are waited for.
func TestSlowDisks(t *testing.T) {
	c, m := newMemCluster(t, InitOptions{Map: DefaultMap(1, 1, 14, 1, 1e12), Scheme: scheme(t, "rs:10+4")}, 60*time.Millisecond)
	for _, id := range c.diskIDs()[2:] {
		m.set(int32(id), disks.Fault{Slow: 150 * time.Millisecond})
	}
	p := randomBytes(300_000, 1)
	if o, err := c.Put(ctx, "bucket", "slow", bytes.NewReader(p), PutOptions{}); err != nil || o.Missing > 0 {
		t.Fatalf("%d shards missing: %v", o.Missing, err)
	}
	for _, id := range c.diskIDs() {
		m.set(int32(id), disks.Fault{})
	}
	wantBytes(t, c, "slow", p)
}

// A doubter forgets, on demand, what was appended before.
type doubter struct {
	disks.Disk
	gone, before atomic.Int64
}

func (d *doubter) Append(ctx context.Context, s []disks.Shard, o disks.AppendOptions) ([]disks.Address, error) {
	places, err := d.Disk.Append(ctx, s, o)
	for _, a := range places {
		d.before.Store(int64(a.Segment)<<32 | int64(a.Offset))
	}
	return places, err
}

func (d *doubter) Doubtful(a disks.Address) bool {
	return int64(a.Segment)<<32|int64(a.Offset) <= d.gone.Load()
}

// TestFailedSyncOfAnother: a large put whose shards on a disk were made doubtful by a failed
// sync, not its own, counts them as missing, and is still whole.
func TestFailedSyncOfAnother(t *testing.T) {
	c, _ := newMemCluster(t, InitOptions{Map: DefaultMap(1, 1, 6, 1, 1e12), Scheme: scheme(t, "rs:4+2")}, 0)
	d := &doubter{Disk: c.disk(0)}
	c.mu.Lock()
	c.disks[0] = d
	c.mu.Unlock()
	p := randomBytes(5<<20, 1)
	half := len(p) / 2
	r := io.MultiReader(bytes.NewReader(p[:half]), readerFunc(func([]byte) (int, error) {
		for d.before.Load() == 0 {
			time.Sleep(time.Millisecond)
		}
		d.gone.Store(d.before.Load())
		return 0, io.EOF
	}), bytes.NewReader(p[half:]))
	o, err := c.Put(ctx, "bucket", "large", r, PutOptions{})
	if err != nil || o.Missing != 1 {
		t.Fatalf("%d shards missing: %v", o.Missing, err)
	}
	wantBytes(t, c, "large", p)
	if rep, err := c.Repair(ctx, nil); err != nil || rep.Shards == 0 || rep.Left > 0 {
		t.Errorf("repair: %+v, %v", rep, err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestFullDisks: with one disk full, puts go elsewhere; with all full they are refused, and
// deleting makes room again.
func TestFullDisks(t *testing.T) {
	c, _ := newCluster(t, InitOptions{Map: DefaultMap(3, 1, 1, 3, 8<<20), Scheme: scheme(t, "rs:4+2"), Margin: -1})
	p := randomBytes(1<<20, 1)
	n := 0
	for ; n < 100; n++ {
		if _, err := c.Put(ctx, "bucket", fmt.Sprint("k", n), bytes.NewReader(p), PutOptions{}); err != nil {
			if !errors.Is(err, ErrTooManyFailures) || !errors.Is(err, ErrNoSpace) {
				t.Errorf("put on full disks: %v", err)
			}
			break
		}
	}
	if n < 30 || n == 100 {
		t.Fatalf("%d objects of 1 MiB on nine disks of 8 MiB", n)
	}
	if page, err := c.List(ctx, "bucket", ListOptions{}); err != nil || len(page.Objects) != n {
		t.Errorf("%d objects listed, %d acknowledged, %v", len(page.Objects), n, err)
	}
	for i := range n / 2 {
		if err := c.Delete(ctx, "bucket", fmt.Sprint("k", i)); err != nil {
			t.Fatalf("delete on full disks: %v", err)
		}
	}
	c = reopen(t, c, Options{})
	for i := range n / 4 {
		put(t, c, fmt.Sprint("again", i), p)
	}
	for i := n / 2; i < n; i++ {
		wantBytes(t, c, fmt.Sprint("k", i), p)
	}
}

// TestInterruptedPut: a reader that fails, or a context that ends, leaves nothing behind.
func TestInterruptedPut(t *testing.T) {
	c, _ := newCluster(t, InitOptions{})
	put(t, c, "key", []byte("old"))
	used := func() (n int64) {
		for _, id := range c.diskIDs() {
			n += c.disk(id).Space().Used
		}
		return n
	}
	before, broken := used(), errors.New("the wire broke")
	for _, size := range []int64{100, 100_000, 9 << 20} {
		r := io.MultiReader(io.LimitReader(zeros{}, size), failing{broken})
		if _, err := c.Put(ctx, "bucket", "key", r, PutOptions{}); !errors.Is(err, broken) {
			t.Errorf("after %d bytes: %v", size, err)
		}
	}
	wantBytes(t, c, "key", []byte("old"))
	if n := used(); n > before+100_000 {
		t.Errorf("%d bytes in use before and %d after", before, n)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestPlacementOfSmallBatches: small batches touch few disks, and all disks in turn.
func TestPlacementOfSmallBatches(t *testing.T) {
	c, _ := newCluster(t, InitOptions{Map: DefaultMap(1, 1, 16, 1, 1e12), Scheme: scheme(t, "rs:12+4")})
	seen := map[placement.DiskID]int{}
	for i := range 40 {
		key := fmt.Sprint(i)
		put(t, c, key, randomBytes(4096, uint64(i)))
		_, layout, err := c.catalog.lookup(ctx, "bucket", key)
		if err != nil || len(layout) != 1 {
			t.Fatal(layout, err)
		}
		s, err := c.catalog.stripeByID(ctx, layout[0].Stripe)
		if err != nil {
			t.Fatal(err)
		}
		used := slices.DeleteFunc(s.row(), func(d placement.DiskID) bool { return d == none })
		if len(used) != 5 { // one column and four parities
			t.Errorf("a batch of one 4 KiB object on %d disks", len(used))
		}
		for _, d := range used {
			seen[d]++
		}
	}
	if len(seen) != 16 {
		t.Errorf("40 batches on %d of 16 disks", len(seen))
	}
}
