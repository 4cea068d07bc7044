package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
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
		r, err := Run(ctx, Config{Dir: b.TempDir(), Sizes: []int64{}, Large: -1, Keys: -1, Rounds: 3, Loop: true, Upkeep: 64 << 20})
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

// TestPlainUpkeep: the plain repair gives back the disk that was there, whatever files it lies
// in, and the scrub reads all of it and sees a flipped bit.
func TestPlainUpkeep(t *testing.T) {
	const k, m, piece = 4, 2, 1024
	dir := t.TempDir()
	for _, size := range []int{1, 1024, 10_000} {
		shards := make([][]byte, k+m)
		for i := range shards {
			shards[i] = randomBytes(size, byte(i))
		}
		coder, err := newCoder(k, m)
		if err = errors.Join(err, coder.Encode(shards)); err != nil {
			t.Fatal(err)
		}
		var of [][]string
		for i, s := range shards {
			of = append(of, scatter(t, filepath.Join(dir, fmt.Sprint(size, i)), s))
		}
		p, err := NewPlain(k, m, piece)
		if err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(dir, "out")
		if err := p.Repair(of[1:], out, int64(size)); err != nil {
			t.Fatal(err)
		}
		pieces := (size + piece - 1) / piece
		got, err := os.ReadFile(out)
		if err != nil || len(got) != size+8*(k+1)*pieces || !bytes.Equal(got[:size], shards[0]) {
			t.Errorf("%d bytes: %d other bytes came back, %v", size, len(got), err)
		}
		want := Counts{Reads: p.Counts().Reads, Writes: int64(pieces) + 1, Syncs: 1, BytesRead: int64(k * size), BytesWritten: int64(len(got))}
		if p.Counts() != want {
			t.Errorf("%d bytes: counts %+v, want %+v", size, p.Counts(), want)
		}
		n, sum, err := p.Scrub(of)
		if err != nil || n != int64(size*(k+m)) {
			t.Errorf("scrub read %d bytes of %d, %v", n, size*(k+m), err)
		}
		flip(t, of[k][0])
		if _, other, err := p.Scrub(of); err != nil || other == sum {
			t.Errorf("scrub sums a flipped bit to the same, %v", err)
		}
	}
}

// scatter writes bytes to files of at most 3000, an empty one among them.
func scatter(t *testing.T, prefix string, p []byte) (files []string) {
	t.Helper()
	for len(p) > 0 || len(files) < 2 {
		n := min(3000, len(p))
		if len(files) == 1 {
			n = 0
		}
		files = append(files, fmt.Sprint(prefix, "-", len(files)))
		if err := os.WriteFile(files[len(files)-1], p[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		p = p[n:]
	}
	return files
}

func flip(t *testing.T, path string) {
	t.Helper()
	p, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p[0] ^= 4
	if err := os.WriteFile(path, p, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestUpkeep: both programs repair and scrub, in turns, and leave nothing behind.
func TestUpkeep(t *testing.T) {
	dir := t.TempDir()
	const disk = 3 << 20
	r, err := Run(ctx, Config{Dir: dir, Scheme: erasure.Scheme{Kind: erasure.RS, K: 2, M: 1}, Sizes: []int64{}, Large: -1, Keys: -1, Rounds: 2, Loop: true, Upkeep: disk})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Rows) != 2 {
		t.Fatalf("%d rows", len(r.Rows))
	}
	reads := map[string]int64{"repair": 2 * disk, "scrub": 3 * disk}
	for _, row := range r.Rows {
		for _, s := range append(row.Store, row.Other...) {
			if n, want := s.Counts.BytesRead, reads[row.Operation]; n < want || n > want+want/20 {
				t.Errorf("%s: %d bytes read, want about %d", row.Operation, n, want)
			}
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestSpace: what cannot fit is refused before anything is written.
func TestSpace(t *testing.T) {
	dir := t.TempDir()
	if _, ok := freeSpace(dir); !ok {
		t.Skip("how much is free is not known here")
	}
	_, err := Run(ctx, Config{Dir: dir, Sizes: []int64{}, Large: -1, Keys: -1, Upkeep: 1 << 55})
	if !errors.Is(err, ErrSpace) {
		t.Errorf("error %v, want %v", err, ErrSpace)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
