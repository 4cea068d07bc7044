package md5lanes

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func TestSums(t *testing.T) {
	var wg sync.WaitGroup
	r := rand.NewChaCha8([32]byte{1})
	for i := range 70 {
		p := make([]byte, []int{0, 1, 55, 56, 63, 64, 65, 4096, chunkSize - 1, chunkSize, chunkSize + 64, 3*chunkSize + 17, 10 * chunkSize, 1000003}[i%14])
		r.Read(p)
		wg.Go(func() {
			h := New()
			defer h.Close()
			io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{bytes.NewReader(p)}, make([]byte, 1+i*997))
			if got, want := h.Sum(), md5.Sum(p); got != want {
				t.Errorf("%d bytes: %x, want %x", len(p), got, want)
			}
		})
	}
	wg.Wait()
	work.mu.Lock()
	defer work.mu.Unlock()
	if len(work.pending) > 0 || work.pressing != 0 || work.open != 0 {
		t.Errorf("%d streams are still listed, %d pressing, %d open", len(work.pending), work.pressing, work.open)
	}
}

// A stream that is open and gets nothing keeps no other waiting.
func TestIdleStream(t *testing.T) {
	idle := New()
	defer idle.Close()
	idle.Write(make([]byte, chunkSize-1))
	p := make([]byte, 10*chunkSize+1)
	h := New()
	defer h.Close()
	h.Write(p)
	if got, want := h.Sum(), md5.Sum(p); got != want {
		t.Errorf("%x, want %x", got, want)
	}
}

// Streams in lanes, of lengths that differ, hash like each by itself.
func TestCompress(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, lanes).Draw(t, "streams")
		var batch []*Hash
		var data, whole [][]byte
		for range n {
			p := bytes.Repeat(rapid.SliceOfN(rapid.Byte(), 64, 64).Draw(t, "block"), rapid.IntRange(1, 9).Draw(t, "blocks"))
			batch, data, whole = append(batch, New()), append(data, p), append(whole, p)
		}
		compress(batch, data)
		for i, h := range batch {
			got := h.Sum()
			h.Close()
			if want := md5.Sum(whole[i]); got != want {
				t.Fatalf("stream %d of %d: %x, want %x", i, n, got, want)
			}
		}
	})
}

func TestCloseEarly(t *testing.T) {
	h := New()
	h.Write(make([]byte, 5*chunkSize+5))
	h.Close()
	h.Close()
	if h.chunk != nil || len(h.queue) > 0 {
		t.Error("closed, and it still holds chunks")
	}
}

func ExampleHash() {
	h := New()
	defer h.Close()
	io.WriteString(h, "wattle")
	fmt.Printf("%x\n", h.Sum())
	// Output: 5ba05038f06129e2542c535acef739f9
}

func BenchmarkLanes(b *testing.B) {
	for _, n := range []int{1, 2, 4, 8, 16, 64} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p := make([]byte, 1<<20)
			b.SetBytes(int64(n) << 20)
			for b.Loop() {
				var wg sync.WaitGroup
				for range n {
					wg.Go(func() {
						h := New()
						defer h.Close()
						h.Write(p)
						h.Sum()
					})
				}
				wg.Wait()
			}
		})
	}
}
