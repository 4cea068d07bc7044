package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/wattle-storage/wattle/erasure"
)

var ctx = context.Background()

func scheme(t testing.TB, text string) erasure.Scheme {
	t.Helper()
	s, err := erasure.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newCluster makes and opens a cluster of three sites with two racks of one host of three
// disks each, unless o says otherwise.
func newCluster(t testing.TB, o InitOptions) (*Cluster, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "c")
	if o.Map == nil {
		o.Map = DefaultMap(3, 2, 1, 3, 1e12)
	}
	if err := Init(dir, o); err != nil {
		t.Fatal(err)
	}
	c := open(t, dir, Options{})
	if err := c.MakeBucket(ctx, "bucket"); err != nil {
		t.Fatal(err)
	}
	return c, dir
}

func open(t testing.TB, dir string, o Options) *Cluster {
	t.Helper()
	c, err := Open(ctx, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func reopen(t testing.TB, c *Cluster, o Options) *Cluster {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, c.dir, o)
}

func randomBytes(n int, seed uint64) []byte {
	p := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), 7})
	rng.Read(p)
	return p
}

func put(t testing.TB, c *Cluster, key string, p []byte) Object {
	t.Helper()
	o, err := c.Put(ctx, "bucket", key, bytes.NewReader(p), PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func read(c *Cluster, key string, o GetOptions) ([]byte, Degraded, error) {
	r, err := c.Get(ctx, "bucket", key, o)
	if err != nil {
		return nil, Degraded{}, err
	}
	defer r.Close()
	var b bytes.Buffer
	_, err = r.WriteTo(&b)
	return b.Bytes(), r.Degraded(), err
}

func wantBytes(t testing.TB, c *Cluster, key string, want []byte) Degraded {
	t.Helper()
	got, d, err := read(c, key, GetOptions{})
	if err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s: %d bytes are not the %d that were put", key, len(got), len(want))
	}
	return d
}

var sizes = []int{0, 1, 100, 4096, packLimit - 1, packLimit, packLimit + 1, 100_000, 1 << 20, 9 * 256 << 10, 9*256<<10 + 1, 9*256<<10 + packLimit, 9*256<<10 + packLimit + 1, 7_654_321}

// TestEverySize puts objects of telling sizes and reads them sound, with a site gone, after
// repair elsewhere, and after recovery of the catalog from the disks.
func TestEverySize(t *testing.T) {
	for _, s := range []string{"rs:9+6", "replica:3", "lrc:6+2+2", "rs:2+1", "rs:4+2"} {
		t.Run(s, func(t *testing.T) {
			t.Parallel()
			c, dir := newCluster(t, InitOptions{Scheme: scheme(t, s)})
			want := map[string][]byte{}
			for i, n := range sizes {
				key := fmt.Sprintf("dir/%d", n)
				want[key] = randomBytes(n, uint64(i))
				put(t, c, key, want[key])
			}
			check := func() (d Degraded) {
				for key, p := range want {
					one := wantBytes(t, c, key, p)
					d.Shards += one.Shards
				}
				return d
			}
			if d := check(); d.Shards != 0 {
				t.Errorf("sound reads needed %d rebuilt shards", d.Shards)
			}
			c = reopen(t, c, Options{})
			check()
			gone := "site2"
			if s == "lrc:6+2+2" || s == "rs:2+1" && false {
				gone = "site2/rack1/host1/disk1"
			}
			if _, err := Fail(dir, gone); err != nil {
				t.Fatal(err)
			}
			c = reopen(t, c, Options{})
			if d := check(); d.Shards == 0 {
				t.Error("no read noticed that disks are gone")
			}
			c.Close()
			for _, name := range []string{"catalog.db", "catalog.db-wal", "catalog.db-shm"} {
				os.Remove(filepath.Join(dir, name))
			}
			rep, err := Recover(ctx, dir, Options{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if int(rep.Objects) != len(want) || len(rep.Unreadable) > 0 {
				t.Fatalf("recovered %+v, want %d objects", rep, len(want))
			}
			c = open(t, dir, Options{})
			check()
			c.Close()
			if _, err := Restore(dir, gone); err != nil {
				t.Fatal(err)
			}
			c = open(t, dir, Options{})
			fixed, err := c.Repair(ctx, nil)
			if err != nil || fixed.Left+fixed.Lost > 0 {
				t.Fatalf("repair: %+v, %v", fixed, err)
			}
			if d := check(); d.Shards != 0 {
				t.Errorf("after repair %d shards were missing", d.Shards)
			}
			st, err := c.Status(ctx)
			if err != nil || st.Stripes.Degraded != 0 || st.PendingRepairs != 0 {
				t.Errorf("status: %+v, %v", st, err)
			}
		})
	}
}

// A wrong idea of how long an object will be costs memory at most.
func TestWrongSizes(t *testing.T) {
	c, _ := newCluster(t, InitOptions{Scheme: scheme(t, "rs:3+2")})
	full := 3 * int(c.shard)
	for i, n := range []int{packLimit, packLimit + 1, 100_000, full - 1, full, full + 1, 2*full + 7, 2*full + packLimit + 9} {
		for j, hint := range []int{0, 1, packLimit, packLimit + 1, n - 1, n, n + 1, full - 3, full, full + 50_000, 3 * full} {
			key, p := fmt.Sprint(i, "-", j), randomBytes(n, uint64(i))
			if _, err := c.Put(ctx, "bucket", key, bytes.NewReader(p), PutOptions{Size: int64(hint)}); err != nil {
				t.Fatalf("%d bytes, announced %d: %v", n, hint, err)
			}
			wantBytes(t, c, key, p)
		}
	}
	if used := c.pool.lent; used != 0 {
		t.Errorf("%d bytes of stripe memory were not given back", used)
	}
}

// The memory of stripes that are out and that is kept for the next stays within the limit.
func TestPoolStaysWithinItsSize(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newPool(1 << 20)
		var out [][]byte
		for range 200 {
			if n := inSteps(rapid.IntRange(1, 300<<10).Draw(t, "size")); rapid.Bool().Draw(t, "get") {
				if b := p.try(n); b != nil {
					out = append(out, b)
				}
			} else if len(out) > 0 {
				p.put(out[0])
				out = out[1:]
			}
			kept := int64(0)
			for _, list := range p.free {
				for _, b := range list {
					kept += int64(len(b))
				}
			}
			if kept != p.kept || p.lent+p.kept > p.size {
				t.Fatalf("%d kept (%d), %d lent, of %d", kept, p.kept, p.lent, p.size)
			}
		}
	})
}

func TestRanges(t *testing.T) {
	c, _ := newCluster(t, InitOptions{})
	for _, n := range []int{5000, packLimit, 1 << 20, 5 << 20} {
		key := fmt.Sprint(n)
		p := randomBytes(n, 3)
		put(t, c, key, p)
		rng := rand.New(rand.NewPCG(1, 2))
		for range 50 {
			from := rng.IntN(n)
			size := 1 + rng.IntN(n-from)
			got, _, err := read(c, key, GetOptions{Offset: int64(from), Length: int64(size)})
			if err != nil || !bytes.Equal(got, p[from:from+size]) {
				t.Fatalf("%d bytes from %d of %d: %d bytes, %v", size, from, n, len(got), err)
			}
		}
		if got, _, err := read(c, key, GetOptions{Offset: -10}); err != nil || !bytes.Equal(got, p[n-10:]) {
			t.Errorf("the last ten bytes: %v", err)
		}
		if _, _, err := read(c, key, GetOptions{Offset: int64(n)}); !errors.Is(err, ErrRange) {
			t.Errorf("a range past the end: %v", err)
		}
	}
}

// TestOneRead: a sound 4 KiB object takes one read of one disk, and a range of a large one
// touches only the shards that hold it.
func TestOneRead(t *testing.T) {
	c, _ := newCluster(t, InitOptions{})
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() { put(t, c, fmt.Sprint(i), randomBytes(4096, uint64(i))) })
	}
	wg.Wait()
	for i := range 64 {
		before := c.Counters()
		wantBytes(t, c, fmt.Sprint(i), randomBytes(4096, uint64(i)))
		after := c.Counters()
		if n, b := after.Reads-before.Reads, after.BytesRead-before.BytesRead; n != 1 || b > 4096+16 {
			t.Fatalf("object %d took %d reads of %d bytes", i, n, b)
		}
	}
	put(t, c, "large", randomBytes(20<<20, 9))
	before := c.Counters()
	if _, _, err := read(c, "large", GetOptions{Offset: 3 << 20, Length: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	if n := c.Counters().Reads - before.Reads; n > 6 {
		t.Errorf("1 MiB took %d reads; it lies in at most 6 shards", n)
	}
}

func TestCorruption(t *testing.T) {
	c, _ := newCluster(t, InitOptions{Scheme: scheme(t, "rs:4+2"), Margin: 1})
	large := randomBytes(3<<20, 2)
	for seed := range uint64(10) {
		for key, p := range map[string][]byte{"small": randomBytes(3000, seed), "large": large} {
			put(t, c, key, p)
			where, err := c.Corrupt(ctx, "bucket", key, 2, seed)
			if err != nil || len(where) < 2 {
				t.Fatalf("corrupt: %v, %v", where, err)
			}
			wantBytes(t, c, key, p)
		}
	}
	rep, err := c.Repair(ctx, nil)
	if err != nil || rep.Lost > 0 || rep.Shards == 0 {
		t.Fatalf("repair: %+v, %v", rep, err)
	}
	if d := wantBytes(t, c, "large", large); d.Shards != 0 {
		t.Errorf("after repair: %+v", d)
	}
	if _, err := c.Corrupt(ctx, "bucket", "large", 3, 99); err != nil {
		t.Fatal(err)
	}
	if got, _, err := read(c, "large", GetOptions{}); err == nil && !bytes.Equal(got, large) || err != nil && !errors.Is(err, ErrDataLost) {
		t.Errorf("with three shards of rs:4+2 corrupt: %d bytes, %v", len(got), err)
	}
}

func TestDeleteFrees(t *testing.T) {
	c, _ := newCluster(t, InitOptions{})
	used := func() (n int64) {
		st, err := c.Status(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range st.Sites {
			for _, d := range s.Disks {
				if d.Used != d.Live+d.Dead+d.Pending+d.Padding {
					t.Errorf("%s: parts do not sum to %d: %+v", d.Name, d.Used, d)
				}
				n += d.Used
			}
		}
		return n
	}
	empty := used()
	for i := range 8 {
		put(t, c, fmt.Sprint(i), randomBytes(4<<20, uint64(i)))
	}
	full := used()
	if full-empty < 8*4<<20*15/9 {
		t.Errorf("32 MiB took %d bytes", full-empty)
	}
	for i := range 8 {
		if err := c.Delete(ctx, "bucket", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	c = reopen(t, c, Options{})
	if left := used(); left-empty > (full-empty)/20 {
		t.Errorf("after deleting all, %d of %d bytes are still in use", left-empty, full-empty)
	}
	if _, err := c.Stat(ctx, "bucket", "0"); !errors.Is(err, ErrObjectNotFound) {
		t.Errorf("stat of a deleted object: %v", err)
	}
}

func TestSlowReaderKeepsItsVersion(t *testing.T) {
	c, _ := newCluster(t, InitOptions{})
	old, fresh := randomBytes(9<<20, 1), randomBytes(9<<20, 2)
	put(t, c, "k", old)
	r, err := c.Get(ctx, "bucket", "k", GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 1000)
	if _, err := io.ReadFull(r, head); err != nil {
		t.Fatal(err)
	}
	put(t, c, "k", fresh)
	put(t, c, "other", fresh)
	c.reapNow()
	rest, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(append(head, rest...), old) {
		t.Errorf("the slow reader got %d bytes, %v", len(rest)+1000, err)
	}
	r.Close()
	wantBytes(t, c, "k", fresh)
}

func TestCopySharesBytes(t *testing.T) {
	c, _ := newCluster(t, InitOptions{})
	p := randomBytes(300_000, 4)
	if _, err := c.Put(ctx, "bucket", "a", bytes.NewReader(p), PutOptions{ContentType: "text/x", Meta: map[string]string{"who": "me"}}); err != nil {
		t.Fatal(err)
	}
	before := c.Counters().BytesWritten
	for _, key := range []string{"b", "c", "a"} { // the last one onto itself
		if _, err := c.Copy(ctx, "bucket", "a", "bucket", key, PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := c.Counters().BytesWritten - before; n > 100_000 {
		t.Errorf("three copies wrote %d bytes", n)
	}
	for _, key := range []string{"a", "b"} {
		if err := c.Delete(ctx, "bucket", key); err != nil {
			t.Fatal(err)
		}
	}
	c.reapNow()
	wantBytes(t, c, "c", p)
	o, err := c.Stat(ctx, "bucket", "c")
	if err != nil || o.ContentType != "text/x" || o.Meta["who"] != "me" {
		t.Errorf("%+v, %v", o, err)
	}
	if err := c.Delete(ctx, "bucket", "c"); err != nil {
		t.Fatal(err)
	}
	c.reapNow()
	if st, _ := c.Status(ctx); st.Stripes.Total != 0 {
		t.Errorf("%d stripes are left", st.Stripes.Total)
	}
}

func TestPreconditions(t *testing.T) {
	c, _ := newCluster(t, InitOptions{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for i := range 20 {
		wg.Go(func() {
			_, err := c.Put(ctx, "bucket", "once", strings.NewReader(fmt.Sprint(i)), PutOptions{IfAbsent: true})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if !errors.Is(err, ErrPrecondition) {
				t.Errorf("put %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d of 20 puts of a key that must be absent went through", won)
	}
	o, _ := c.Stat(ctx, "bucket", "once")
	if _, err := c.Put(ctx, "bucket", "once", strings.NewReader("x"), PutOptions{IfSequence: o.Sequence + 1}); !errors.Is(err, ErrPrecondition) {
		t.Errorf("wrong version: %v", err)
	}
	if _, err := c.Put(ctx, "bucket", "once", strings.NewReader("x"), PutOptions{IfSequence: o.Sequence}); err != nil {
		t.Errorf("right version: %v", err)
	}
}

func TestWritesWithDisksMissing(t *testing.T) {
	c, dir := newCluster(t, InitOptions{})
	if _, err := Fail(dir, "site1"); err != nil {
		t.Fatal(err)
	}
	c = reopen(t, c, Options{})
	p := randomBytes(3<<20, 1)
	o := put(t, c, "down", p)
	if o.Missing != 5 || o.Survives != 1 {
		t.Errorf("with a site down: %+v", o)
	}
	wantBytes(t, c, "down", p)
	for _, d := range []string{"site2/rack1", "site2/rack2"} {
		if _, err := Fail(dir, d); err != nil {
			t.Fatal(err)
		}
	}
	c = reopen(t, c, Options{})
	if _, err := c.Put(ctx, "bucket", "two", bytes.NewReader(p), PutOptions{}); !errors.Is(err, ErrTooManyFailures) {
		t.Errorf("with two sites down: %v", err)
	}
	if _, _, err := read(c, "down", GetOptions{}); !errors.Is(err, ErrDataLost) {
		t.Errorf("reading with too few shards: %v", err)
	}
	if _, err := c.Stat(ctx, "bucket", "two"); !errors.Is(err, ErrObjectNotFound) {
		t.Errorf("a refused object is visible: %v", err)
	}
	if _, err := Restore(dir, "site1"); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(dir, "site2"); err != nil {
		t.Fatal(err)
	}
	c = reopen(t, c, Options{})
	if rep, err := c.Repair(ctx, nil); err != nil || rep.Left > 0 || rep.Shards == 0 {
		t.Errorf("repair: %+v, %v", rep, err)
	}
	wantBytes(t, c, "down", p)
	if st, _ := c.Status(ctx); st.PendingRepairs != 0 || st.Survives != (Survival{1, 1}) {
		t.Errorf("status: %d pending, survives %+v", st.PendingRepairs, st.Survives)
	}
}

func TestRecoverHistory(t *testing.T) {
	c, dir := newCluster(t, InitOptions{})
	want := map[string][]byte{}
	for i := range 40 {
		key := fmt.Sprint("k", i)
		want[key] = randomBytes(1000*i, uint64(i))
		put(t, c, key, want[key])
	}
	for i := range 10 {
		key := fmt.Sprint("k", i)
		want[key] = randomBytes(500*i+1, uint64(100+i))
		put(t, c, key, want[key])
		gone := fmt.Sprint("k", 30+i)
		delete(want, gone)
		if err := c.Delete(ctx, "bucket", gone); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.MakeBucket(ctx, "second"); err != nil {
		t.Fatal(err)
	}
	if err := c.MakeBucket(ctx, "third"); err != nil {
		t.Fatal(err)
	}
	if err := c.RemoveBucket(ctx, "third"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Copy(ctx, "bucket", "k20", "second", "copy", PutOptions{}); err != nil {
		t.Fatal(err)
	}
	before, _ := c.List(ctx, "bucket", ListOptions{})
	c.Close()
	for _, name := range []string{"catalog.db", "catalog.db-wal", "catalog.db-shm"} {
		os.Remove(filepath.Join(dir, name))
	}
	if err := os.RemoveAll(filepath.Join(dir, "sites", "site3")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(ctx, dir, Options{}); !errors.Is(err, ErrNoCluster) || !strings.Contains(err.Error(), "recover") {
		t.Errorf("without a catalog: %v", err)
	}
	rep, err := Recover(ctx, dir, Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if rep.Buckets != 2 || rep.Objects != 31 || len(rep.Missing) != 6 || len(rep.Unreadable) > 0 {
		t.Errorf("%+v", rep)
	}
	c = open(t, dir, Options{})
	after, err := c.List(ctx, "bucket", ListOptions{})
	if diff := cmp.Diff(before, after); diff != "" || err != nil {
		t.Errorf("listing differs, %v:\n%s", err, diff)
	}
	for key, p := range want {
		wantBytes(t, c, key, p)
	}
	put(t, c, "new", want["k5"])
	c.Close()
	if names, err := Restore(dir, "site3"); err != nil || len(names) != 6 {
		t.Fatalf("restore: %v, %v", names, err)
	}
	c = open(t, dir, Options{})
	if rep, err := c.Repair(ctx, nil); err != nil || rep.Left+rep.Lost > 0 {
		t.Errorf("repair: %+v, %v", rep, err)
	}
	if d := wantBytes(t, c, "k29", want["k29"]); d.Shards > 0 {
		t.Errorf("still degraded: %+v", d)
	}
}

func TestStaleCatalog(t *testing.T) {
	c, dir := newCluster(t, InitOptions{})
	put(t, c, "a", []byte("one"))
	c.Close()
	old, err := os.ReadFile(filepath.Join(dir, "catalog.db"))
	if err != nil {
		t.Fatal(err)
	}
	c = open(t, dir, Options{})
	put(t, c, "a", []byte("two"))
	c.Close()
	if err := os.WriteFile(filepath.Join(dir, "catalog.db"), old, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(ctx, dir, Options{}); !errors.Is(err, ErrStaleCatalog) || !strings.Contains(err.Error(), "wattle recover") {
		t.Fatalf("an old catalog: %v", err)
	}
	if _, err := Recover(ctx, dir, Options{}, nil); err != nil {
		t.Fatal(err)
	}
	wantBytes(t, open(t, dir, Options{}), "a", []byte("two"))
}

// TestStaleByOneBatch: a catalog that lacks no more than the last batch is recognised, by the
// marks; readers are told; and recovery knows that the batch was committed.
func TestStaleByOneBatch(t *testing.T) {
	c, dir := newCluster(t, InitOptions{})
	put(t, c, "a", []byte("one"))
	rep, err := c.Backup(ctx, t.TempDir(), 1)
	if err != nil {
		t.Fatal(err)
	}
	put(t, c, "a", []byte("two"))
	c.Close()
	old, err := os.ReadFile(rep.Path)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "catalog.db"), old, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(ctx, dir, Options{}); !errors.Is(err, ErrStaleCatalog) {
		t.Fatalf("a catalog without the last batch: %v", err)
	}
	var told []string
	r := open(t, dir, Options{ReadOnly: true, Notify: func(format string, a ...any) { told = append(told, fmt.Sprintf(format, a...)) }})
	r.Close()
	if len(told) != 1 || !strings.Contains(told[0], ErrStaleCatalog.Error()) {
		t.Errorf("a reader is told %q", told)
	}
	if rep, err := Recover(ctx, dir, Options{}, nil); err != nil || len(rep.Uncertain) > 0 {
		t.Fatalf("%+v, %v", rep, err)
	}
	wantBytes(t, open(t, dir, Options{Notify: t.Logf}), "a", []byte("two"))
}

func TestOneWriter(t *testing.T) {
	c, dir := newCluster(t, InitOptions{})
	put(t, c, "a", []byte("x"))
	if _, err := Open(ctx, dir, Options{}); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("a second writer: %v", err)
	}
	r := open(t, dir, Options{ReadOnly: true})
	wantBytes(t, r, "a", []byte("x"))
	if _, err := r.Put(ctx, "bucket", "b", strings.NewReader(""), PutOptions{}); !errors.Is(err, ErrReadOnly) {
		t.Errorf("a put by a reader: %v", err)
	}
	put(t, c, "a", []byte("y"))
	c.reapNow() // the reader's lease holds the old bytes
	wantBytes(t, r, "a", []byte("y"))
}

func TestList(t *testing.T) {
	c, _ := newCluster(t, InitOptions{})
	keys := []string{"a", "a/b", "a/c/d", "a/c/e", "b", "c/", "c/x", "é", "日本", "z\xf0\x9f\x98\x80"}
	for _, k := range keys {
		put(t, c, k, nil)
	}
	slices.Sort(keys)
	for limit := 1; limit <= len(keys)+1; limit++ {
		var got []string
		for after, more := "", true; more; {
			p, err := c.List(ctx, "bucket", ListOptions{After: after, Limit: limit})
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range p.Objects {
				got = append(got, o.Key)
			}
			after, more = p.Next, p.Next != ""
		}
		if !slices.Equal(got, keys) {
			t.Fatalf("limit %d: %q", limit, got)
		}
		got = nil
		for after, more := "", true; more; {
			p, err := c.List(ctx, "bucket", ListOptions{After: after, Limit: limit, Delimiter: "/"})
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range p.Objects {
				got = append(got, o.Key)
			}
			got = append(got, p.Prefixes...)
			after, more = p.Next, p.Next != ""
		}
		slices.Sort(got)
		if want := []string{"a", "a/", "b", "c/", "z\xf0\x9f\x98\x80", "é", "日本"}; !slices.Equal(got, want) {
			t.Fatalf("limit %d, delimiter: %q", limit, got)
		}
	}
	p, _ := c.List(ctx, "bucket", ListOptions{Prefix: "a/", Delimiter: "/"})
	if len(p.Objects) != 1 || !slices.Equal(p.Prefixes, []string{"a/c/"}) {
		t.Errorf("%+v", p)
	}
}

func TestBadNames(t *testing.T) {
	c, _ := newCluster(t, InitOptions{})
	for _, key := range []string{"", strings.Repeat("x", 1025), "\xff", "a\x00b"} {
		if _, err := c.Put(ctx, "bucket", key, strings.NewReader(""), PutOptions{}); !errors.Is(err, ErrBadName) {
			t.Errorf("key %.10q: %v", key, err)
		}
	}
	for _, name := range []string{"", "ab", "UP", "a b", "-ab", "ab-", "a..b", strings.Repeat("x", 64)} {
		if err := c.MakeBucket(ctx, name); !errors.Is(err, ErrBadName) {
			t.Errorf("bucket %q: %v", name, err)
		}
	}
	if _, err := c.Put(ctx, "other", "k", strings.NewReader(""), PutOptions{}); !errors.Is(err, ErrBucketNotFound) {
		t.Errorf("no bucket: %v", err)
	}
	if err := c.MakeBucket(ctx, "bucket"); !errors.Is(err, ErrExists) {
		t.Errorf("a bucket twice: %v", err)
	}
	put(t, c, "k", nil)
	if err := c.RemoveBucket(ctx, "bucket"); !errors.Is(err, ErrBucketNotEmpty) {
		t.Errorf("a bucket that is not empty: %v", err)
	}
}
