package bench

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"pgregory.net/rapid"
)

func randomBytes(n int, seed byte) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(p)
	return p
}

func newLoop(t testing.TB, k, m, piece, writers int) *Loop {
	t.Helper()
	l, err := NewLoop(t.TempDir(), k, m, piece, writers)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLoopRoundTrip(t *testing.T) {
	const k, m, piece = 4, 2, 1024
	for _, n := range []int{0, 1, 4, 4095, 4096, 4097, 3 * 4096, 3*4096 + 1, 40_000} {
		for _, writers := range []int{0, 1, 4} {
			l := newLoop(t, k, m, piece, writers)
			want := randomBytes(n, 1)
			if err := l.Put("key", bytes.NewReader(want)); err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := l.Get("key", &got); err != nil {
				t.Fatalf("%d bytes: %v", n, err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("%d bytes: they came back other than they went", n)
			}
			if syncs := l.Counts().Syncs; syncs != k+m {
				t.Errorf("%d bytes: %d syncs, want one a shard", n, syncs)
			}
		}
	}
}

func TestLoopCounts(t *testing.T) {
	l := newLoop(t, 4, 2, 1024, 0)
	if err := l.Put("key", bytes.NewReader(randomBytes(2*4096, 1))); err != nil {
		t.Fatal(err)
	}
	// six shards, each with two pieces and an end
	want := Counts{Writes: 6 * 3, Syncs: 6, BytesWritten: 6 * (2*1024 + 2*8 + trailerSize)}
	if got := l.Counts(); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
}

func TestLoopFindsDamage(t *testing.T) {
	for _, n := range []int{100, 9000} {
		l := newLoop(t, 4, 2, 1024, 0)
		if err := l.Put("key", bytes.NewReader(randomBytes(n, 1))); err != nil {
			t.Fatal(err)
		}
		p, err := os.ReadFile(l.path(2, "key"))
		if err != nil {
			t.Fatal(err)
		}
		p[7] ^= 4
		if err := os.WriteFile(l.path(2, "key"), p, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := l.Get("key", new(bytes.Buffer)); !errors.Is(err, ErrMismatch) {
			t.Errorf("%d bytes, one bit flipped: error %v, want %v", n, err, ErrMismatch)
		}
	}
}

func TestLoopProperties(t *testing.T) {
	dir := t.TempDir()
	made := 0
	rapid.Check(t, func(t *rapid.T) {
		k, m := rapid.IntRange(1, 12).Draw(t, "k"), rapid.IntRange(1, 4).Draw(t, "m")
		l, err := NewLoop(fmt.Sprintf("%s/%d", dir, made), k, m, rapid.IntRange(1, 3000).Draw(t, "piece"), 0)
		if err != nil {
			t.Fatal(err)
		}
		made++
		want := randomBytes(rapid.IntRange(0, 20_000).Draw(t, "size"), 2)
		if err := l.Put("key", bytes.NewReader(want)); err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if err := l.Get("key", &got); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Fatal("the bytes came back other than they went")
		}
	})
}

// FuzzLoopEnd gives Get shard files of any content: it answers with an error or bytes, and
// does not run wild.
func FuzzLoopEnd(f *testing.F) {
	l := newLoop(f, 1, 1, 1024, 0)
	for _, n := range []int{0, 10, 3000} {
		if err := l.Put("key", bytes.NewReader(randomBytes(n, 3))); err != nil {
			f.Fatal(err)
		}
		p, err := os.ReadFile(l.path(0, "key"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		l := newLoop(t, 1, 1, 1024, 0)
		if err := os.WriteFile(l.path(0, "key"), p, 0o600); err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if err := l.Get("key", &got); err == nil && got.Len() > len(p) {
			t.Errorf("a shard file of %d bytes gave %d", len(p), got.Len())
		}
	})
}
