package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/wattle-storage/wattle/disks"
)

// thinned fills a bucket with lone small puts and shared batches, and deletes most of both.
func thinned(t testing.TB, c *Cluster) map[string][]byte {
	want := map[string][]byte{}
	var wg sync.WaitGroup
	for i := range 24 {
		key, p := fmt.Sprint("b", i), randomBytes(3000+i*400, uint64(i))
		want[key] = p
		wg.Go(func() {
			if _, err := c.Put(ctx, "bucket", key, bytes.NewReader(p), PutOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i := range 6 {
		key, p := fmt.Sprint("lone", i), randomBytes(4096, uint64(i))
		put(t, c, key, p)
		want[key] = p
	}
	want["large"] = randomBytes(packLimit+5000, 1)
	put(t, c, "large", want["large"])
	if _, err := c.Copy(ctx, "bucket", "lone0", "bucket", "copy", PutOptions{}); err != nil {
		t.Fatal(err)
	}
	want["copy"] = want["lone0"]
	for i := range 24 {
		if i%4 > 0 {
			key := fmt.Sprint("b", i)
			if err := c.Delete(ctx, "bucket", key); err != nil {
				t.Fatal(err)
			}
			delete(want, key)
		}
	}
	return want
}

func TestCompactCrash(t *testing.T) {
	t.Parallel()
	s := newStill(t, InitOptions{}, func(c *Cluster, m *memDisks) map[string][]byte { return thinned(t, c) })
	s.crashEverywhere(t, func(c *Cluster) error {
		_, err := c.Compact(ctx, CompactOptions{Checkpoint: true})
		return err
	})
}

// raw is the space in use on the disks and the bytes of objects.
func raw(t testing.TB, c *Cluster) (used, stored int64) {
	t.Helper()
	_, _, stored, err := c.catalog.totals(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return c.used(), stored
}

// TestCompactDeletes: after nine tenths of a random set were deleted, space returns to near
// what the scheme takes, with bounded writing; and what is left is read from either side of it.
func TestCompactDeletes(t *testing.T) {
	t.Parallel()
	c, dir := newCluster(t, InitOptions{Map: DefaultMap(1, 1, 8, 1, 1e12), Scheme: scheme(t, "rs:6+2")})
	rng := rand.New(rand.NewPCG(1, 2))
	want := map[string][]byte{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for w := range 64 {
		wg.Go(func() {
			for i := range 50 {
				key := fmt.Sprintf("%d/%d", w, i)
				p := randomBytes(1000+(w*i*37)%20_000, uint64(w*50+i))
				if _, err := c.Put(ctx, "bucket", key, bytes.NewReader(p), PutOptions{}); err != nil {
					t.Error(err)
				}
				mu.Lock()
				want[key] = p
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	slow, err := c.Get(ctx, "bucket", "1/1", GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	old := want["1/1"]
	for i := range 50 {
		for w := range 64 {
			if key := fmt.Sprintf("%d/%d", w, i); rng.IntN(10) > 0 {
				wg.Go(func() {
					if err := c.Delete(ctx, "bucket", key); err != nil {
						t.Error(err)
					}
				})
				delete(want, key)
			}
		}
		wg.Wait()
	}
	rep, err := c.Compact(ctx, CompactOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if rep.UsedAfter < rep.UsedBefore/2 { // the reader holds all that was there when it began
		t.Errorf("freed under a reader: %+v", rep)
	}
	var b bytes.Buffer
	if _, err := slow.WriteTo(&b); err != nil || !bytes.Equal(b.Bytes(), old) {
		t.Errorf("the slow reader got %d bytes, %v", b.Len(), err)
	}
	slow.Close()
	again, err := c.Compact(ctx, CompactOptions{})
	if err != nil {
		t.Fatal(err)
	}
	used, stored := raw(t, c)
	if over := float64(used) / (float64(stored) * c.config.Scheme.Overhead()); over > 1.3 {
		t.Errorf("%d bytes in use for %d stored, %.2f times the scheme's; %+v then %+v", used, stored, over, rep, again)
	}
	written := rep.WrittenBytes + again.WrittenBytes
	if amp := float64(written) / float64(rep.UsedBefore-again.UsedAfter); amp > 0.5 {
		t.Errorf("%.2f bytes were written for each byte won", amp)
	}
	t.Logf("used %d, then %d for %d stored (%.2f of ideal); %d written", rep.UsedBefore, used, stored, float64(used)/float64(stored)/c.config.Scheme.Overhead(), written)
	check := func() {
		for key, p := range want {
			wantBytes(t, c, key, p)
		}
	}
	check()
	c.Close()
	for _, name := range []string{"catalog.db", "catalog.db-wal", "catalog.db-shm"} {
		os.Remove(filepath.Join(dir, name))
	}
	got, err := Recover(ctx, dir, Options{}, nil)
	if err != nil || int(got.Objects) != len(want) || got.Checkpoint == 0 {
		t.Fatalf("recover: %+v, %v", got, err)
	}
	c = open(t, dir, Options{})
	check()
}

// TestCompactLonePuts: a burst of lone 4 KiB puts, each stored 1+m times, ends near the
// scheme's overhead.
func TestCompactLonePuts(t *testing.T) {
	c, _ := newCluster(t, InitOptions{Map: DefaultMap(1, 1, 15, 1, 1e12), Scheme: scheme(t, "rs:9+6")})
	for i := range 150 {
		put(t, c, fmt.Sprint(i), randomBytes(4096, uint64(i)))
	}
	before, _ := raw(t, c)
	rep, err := c.Compact(ctx, CompactOptions{})
	if err != nil {
		t.Fatal(err)
	}
	used, stored := raw(t, c)
	if over := float64(used) / float64(stored); over > 1.25*c.config.Scheme.Overhead() {
		t.Errorf("%.2f bytes a byte stored, %.2f before; %+v", over, float64(before)/float64(stored), rep)
	}
	t.Logf("%.2f bytes a byte stored, %.2f before; %+v", float64(used)/float64(stored), float64(before)/float64(stored), rep)
	if again, err := c.Compact(ctx, CompactOptions{}); err != nil || again.Objects > 0 || again.WrittenBytes > 0 {
		t.Errorf("again: %+v, %v", again, err)
	}
	for i := range 150 {
		wantBytes(t, c, fmt.Sprint(i), randomBytes(4096, uint64(i)))
	}
}

// TestCompactBesideWrites: objects that are overwritten, deleted and copied while they are
// moved are what the writers made them.
func TestCompactBesideWrites(t *testing.T) {
	c, m := newMemCluster(t, InitOptions{Map: DefaultMap(1, 1, 8, 1, 1e9), Scheme: scheme(t, "rs:4+2")}, 0)
	var wg sync.WaitGroup
	want := make([]map[string][]byte, 4)
	for w := range want {
		want[w] = map[string][]byte{}
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 0))
			for i := range 150 {
				key := fmt.Sprintf("%d/%d", w, rng.IntN(20))
				switch {
				case rng.IntN(3) == 0 && want[w][key] != nil:
					if err := c.Delete(ctx, "bucket", key); err != nil {
						t.Error(err)
					}
					delete(want[w], key)
				case rng.IntN(4) == 0 && want[w][key] != nil:
					if _, err := c.Copy(ctx, "bucket", key, "bucket", key+"c", PutOptions{}); err != nil {
						t.Error(err)
					}
					want[w][key+"c"] = want[w][key]
				default:
					p := randomBytes(rng.IntN(9000), uint64(i))
					if _, err := c.Put(ctx, "bucket", key, bytes.NewReader(p), PutOptions{}); err != nil {
						t.Error(err)
					}
					want[w][key] = p
				}
			}
		})
	}
	stop := make(chan struct{})
	var moved int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			rep, err := c.Compact(ctx, CompactOptions{Checkpoint: true})
			if err != nil {
				t.Error(err)
				return
			}
			moved += rep.Objects
		}
	}()
	wg.Wait()
	close(stop)
	<-done
	if moved == 0 {
		t.Error("nothing was moved beside the writers")
	}
	all := &still{want: map[string][]byte{}}
	for _, w := range want {
		for key, p := range w {
			all.want[key] = p
		}
	}
	if err := all.check(c); err != nil {
		t.Fatal(err)
	}
	c = all.recovered(t, c, m)
	if err := all.check(c); err != nil {
		t.Fatalf("recovered: %v", err)
	}
	if rep, err := c.Repair(ctx, nil); err != nil || rep.Left+rep.Lost > 0 {
		t.Fatalf("%+v, %v", rep, err)
	}
	if rep, err := c.Scrub(ctx, ScrubOptions{Parity: 1}); err != nil || rep.Corrupt+rep.Missing+rep.ParityBad > 0 {
		t.Fatalf("%+v, %v", rep, err)
	}
}

// TestCheckpointLost: when a checkpoint cannot be read, recovery says so, and does with the
// journals that are left.
func TestCheckpointLost(t *testing.T) {
	s := newStill(t, InitOptions{}, func(c *Cluster, m *memDisks) map[string][]byte {
		put(t, c, "before", randomBytes(100, 1))
		if _, _, err := c.Checkpoint(ctx); err != nil {
			t.Fatal(err)
		}
		put(t, c, "after", randomBytes(100, 2))
		return map[string][]byte{"before": randomBytes(100, 1), "after": randomBytes(100, 2)}
	})
	c, m := s.open(t)
	p, err := c.catalog.checkpointed()
	if err != nil {
		t.Fatal(err)
	}
	st, err := c.catalog.stripeByID(ctx, p.Layout[0].Stripe)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range st.Places {
		if at.Disk != none {
			if err := c.disk(at.Disk).Free(ctx, []disks.Address{at.Address}, true); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.Close()
	for _, name := range []string{"catalog.db", "catalog.db-wal", "catalog.db-shm"} {
		os.Remove(filepath.Join(c.dir, name))
	}
	if _, err := Recover(ctx, c.dir, Options{Open: m}, nil); !errors.Is(err, ErrIncomplete) {
		t.Errorf("without force: %v", err)
	}
	rep, err := Recover(ctx, c.dir, Options{Open: m, Force: true}, nil)
	if err != nil || rep.Checkpoint != 0 || len(rep.Uncertain) == 0 {
		t.Fatalf("%+v, %v", rep, err)
	}
	if !slices.ContainsFunc(rep.Uncertain, func(u string) bool { return strings.Contains(u, "checkpoint of batch") }) {
		t.Errorf("uncertain: %q", rep.Uncertain)
	}
}

// TestCheckpointMadeAnew: a checkpoint that is lost while the catalog is there is no loss:
// repair makes another.
func TestCheckpointMadeAnew(t *testing.T) {
	s := newStill(t, InitOptions{}, func(c *Cluster, m *memDisks) map[string][]byte {
		put(t, c, "k", randomBytes(100, 1))
		if _, _, err := c.Checkpoint(ctx); err != nil {
			t.Fatal(err)
		}
		return map[string][]byte{"k": randomBytes(100, 1)}
	})
	c, m := s.open(t)
	p, err := c.catalog.checkpointed()
	if err != nil {
		t.Fatal(err)
	}
	st, err := c.catalog.stripeByID(ctx, p.Layout[0].Stripe)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range st.Places {
		if at.Disk != none {
			if err := c.disk(at.Disk).Free(ctx, []disks.Address{at.Address}, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	rep, err := c.Repair(ctx, nil)
	if err != nil || rep.Lost > 0 {
		t.Fatalf("%+v, %v", rep, err)
	}
	if again, err := c.catalog.checkpointed(); err != nil || again.Batch <= p.Batch {
		t.Errorf("%+v, %v", again, err)
	}
	c = s.recovered(t, c, m)
	if err := s.check(c); err != nil {
		t.Fatal(err)
	}
}
