package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"testing"

	"github.com/wattle-storage/wattle/erasure"
)

var ctx = context.Background()

func newStore(t testing.TB, scheme string) *Store {
	t.Helper()
	s, err := erasure.Parse(scheme)
	if err != nil {
		t.Fatal(err)
	}
	st, err := NewStore(ctx, t.TempDir(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

// parallel runs op b.N times, n at a time.
func parallel(b *testing.B, n int, op func(i int64) error) {
	var next atomic.Int64
	b.SetParallelism(n) // times GOMAXPROCS; the benchmarks say objects, not goroutines
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := op(next.Add(1)); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkPutSmall stores 4 KiB objects, 16 a processor at a time, with wattle and with the
// plain loop.
func BenchmarkPutSmall(b *testing.B) {
	p := data(4 << 10)
	b.Run("wattle", func(b *testing.B) {
		s := newStore(b, "rs:12+4")
		b.SetBytes(int64(len(p)))
		parallel(b, 16, func(i int64) error { return s.Put(ctx, fmt.Sprintf("%09d", i), bytes.NewReader(p), int64(len(p))) })
	})
	b.Run("loop", func(b *testing.B) {
		l := newLoop(b, 12, 4, LoopPiece, 1)
		b.SetBytes(int64(len(p)))
		parallel(b, 16, func(i int64) error { return l.Put(fmt.Sprintf("%09d", i), bytes.NewReader(p)) })
	})
}

// BenchmarkGetSmall reads 4 KiB objects.
func BenchmarkGetSmall(b *testing.B) {
	p := data(4 << 10)
	s := newStore(b, "rs:12+4")
	const n = 512
	if _, err := (load{Concurrency: 64, Time: 1 << 40, Most: n}).run(ctx, 0, s.Counts, func(ctx context.Context, _ int, i int64) error {
		return s.Put(ctx, fmt.Sprint(i), bytes.NewReader(p), int64(len(p)))
	}); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(p)))
	parallel(b, 4, func(i int64) error { return s.Get(ctx, fmt.Sprint(i%n), io.Discard) })
}

// BenchmarkLarge streams a 256 MiB object from a file and to a pipe.
func BenchmarkLarge(b *testing.B) {
	const size = 256 << 20
	source := b.TempDir() + "/source"
	if err := writeSource(source, size); err != nil {
		b.Fatal(err)
	}
	s, l := newStore(b, "rs:10+4"), newLoop(b, 10, 4, LoopPiece, 1)
	run := func(name string, op func() error) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				if err := op(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	putStore := func() error {
		return fromFile(source, func(f *os.File) error { return s.Put(ctx, "large", f, size) })
	}
	putLoop := func() error { return fromFile(source, func(f *os.File) error { return l.Put("large", f) }) }
	if err := errors.Join(putStore(), putLoop()); err != nil { // for the gets, whichever run
		b.Fatal(err)
	}
	run("put/wattle", putStore)
	run("put/loop", putLoop)
	run("get/wattle", func() error { return toPipe(size, func(w *os.File) error { return s.Get(ctx, "large", w) }) })
	run("get/loop", func() error { return toPipe(size, func(w *os.File) error { return l.Get("large", w) }) })
}

// BenchmarkUpkeep repairs a lost disk and scrubs all of them, with wattle and the plain way.
func BenchmarkUpkeep(b *testing.B) {
	for b.Loop() {
		r, err := Run(ctx, Config{Dir: b.TempDir(), Sizes: []int64{}, Large: 128 << 20, Keys: -1, Rounds: 3, Loop: true, Upkeep: true})
		if err != nil {
			b.Fatal(err)
		}
		for _, row := range r.Rows {
			if row.Operation == "repair" || row.Operation == "scrub" {
				wall, cpu := row.Ratio()
				b.ReportMetric(1/wall, row.Operation+"-of-loop")
				b.ReportMetric(1/cpu, row.Operation+"-cpu-of-loop")
			}
		}
	}
}

// TestLoopUpkeep: the plain loop's repair gives back the file that was there, and its scrub
// finds a flipped bit.
func TestLoopUpkeep(t *testing.T) {
	l := newLoop(t, 4, 2, 1024, 1)
	for _, n := range []int{1, 4096, 40_000} {
		if err := l.Put("key", bytes.NewReader(randomBytes(n, 2))); err != nil {
			t.Fatal(err)
		}
		for i := range 6 {
			want, err := os.ReadFile(l.path(i, "key"))
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(os.Remove(l.path(i, "key")), l.Repair("key", i)); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(l.path(i, "key")); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes, shard %d: another file, %v", n, i, err)
			}
		}
		if read, err := l.Scrub("key"); err != nil || read < int64(n)*6/4 {
			t.Errorf("scrub: %d bytes, %v", read, err)
		}
	}
	p, err := os.ReadFile(l.path(5, "key"))
	if err != nil {
		t.Fatal(err)
	}
	p[100] ^= 4
	if err := os.WriteFile(l.path(5, "key"), p, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Scrub("key"); !errors.Is(err, ErrMismatch) {
		t.Errorf("scrub of a flipped bit: %v", err)
	}
}
