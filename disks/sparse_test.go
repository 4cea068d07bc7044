package disks

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"pgregory.net/rapid"
)

// TestDataFrom: what is skipped as a hole reads as zeros, and all that is not zero is found.
func TestDataFrom(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/segments", 0o700); err != nil {
		t.Fatal(err)
	}
	for name, fs := range map[string]fileSystem{"memory": NewMemFS(), "directory": osFS{dir}} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				f, err := fs.open("f", forCreating)
				if err != nil {
					t.Fatal(err)
				}
				defer fs.remove("f") //nolint:errcheck // it was made above
				defer f.close()      //nolint:errcheck // as above
				want := fill(t, f)
				size := int64(len(want))
				for at := rapid.Int64Range(0, 5000).Draw(t, "from"); at < size; at++ {
					next := dataFrom(f, at, size)
					if next < at || next > size {
						t.Fatalf("data from %d, in a file of %d bytes: at %d", at, size, next)
					}
					if !allZero(want[at:next]) {
						t.Fatalf("[%d, %d) is taken for a hole, and is not zero", at, next)
					}
					at = max(at+997, next)
				}
				end := rapid.Int64Range(0, size).Draw(t, "end")
				least := rapid.Int64Range(0, end).Draw(t, "least")
				from, err := zerosBefore(f, end, least)
				if err != nil {
					t.Fatal(err)
				}
				if rest := bytes.TrimRight(want[least:end], "\x00"); from != least+int64(len(rest)) {
					t.Errorf("zeros before %d from %d on: %d, want %d", end, least, from, least+int64(len(rest)))
				}
			})
		})
	}
}

// fill writes to a file, and punches holes in it, and returns what it holds then.
func fill(t *rapid.T, f file) []byte {
	var want []byte
	for range rapid.IntRange(1, 8).Draw(t, "steps") {
		off, n := rapid.IntRange(0, 60_000).Draw(t, "offset"), rapid.IntRange(1, 30_000).Draw(t, "length")
		if end := min(off+n, len(want)); rapid.Bool().Draw(t, "punch") {
			if end > off {
				if err := f.punch(int64(off), int64(end-off)); err != nil {
					t.Skip(err)
				}
				clear(want[off:end])
			}
			continue
		}
		p := bytes.Repeat([]byte{byte(rapid.IntRange(0, 1).Draw(t, "byte"))}, n)
		if err := f.writev([][]byte{p}, int64(off)); err != nil {
			t.Fatal(err)
		}
		want = append(want, make([]byte, max(0, off+n-len(want)))...)
		copy(want[off:], p)
	}
	return want
}

func TestZeroRun(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := make([]byte, rapid.IntRange(0, 20_000).Draw(t, "size"))
		first := len(p)
		if len(p) > 0 && rapid.Bool().Draw(t, "set") {
			first = rapid.IntRange(0, len(p)-1).Draw(t, "at")
			p[first] = 1
		}
		want := len(p)
		if first < len(p) {
			want = first / alignment * alignment
		}
		if got := zeroRun(p); got != want {
			t.Errorf("%d bytes, the first that is not zero at %d: %d, want %d", len(p), first, got, want)
		}
	})
}

// TestVersion: a range of a segment of which the version is one that it had before holds the
// bytes that it held then, whatever was written, punched, flipped, synced and lost meanwhile.
func TestVersion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fs := NewMemFS()
		f, err := fs.open(segmentName(1), forCreating)
		if err != nil {
			t.Fatal(err)
		}
		held := map[[2]int64]map[uint64][]byte{}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			off, n := rapid.Int64Range(0, 30_000).Draw(t, "offset"), rapid.Int64Range(1, 9000).Draw(t, "length")
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0, 1:
				err = f.writev([][]byte{bytes.Repeat([]byte{byte(rapid.IntRange(0, 3).Draw(t, "byte"))}, int(n))}, off)
			case 2:
				err = f.punch(off, n)
			case 3:
				fs.Flip(segmentName(1), off, 1) //nolint:errcheck // behind the end it flips nothing
			case 4:
				err = errors.Join(f.sync(), fs.syncDir())
			case 5:
				fs.Crash(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)))
				if f, err = fs.open(segmentName(1), forWriting); err != nil {
					return // lost with the directory
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range [][2]int64{{0, 100}, {3000, 9000}, {4096, 8192}, {10_000, 33_000}} {
				size, _ := f.size()
				v, ok := fs.Version(1, r[0], r[1])
				p := make([]byte, max(0, min(size, r[1])-r[0]))
				if err := f.readv([][]byte{p}, r[0]); !ok || err != nil && len(p) > 0 {
					t.Fatal(ok, err)
				}
				if held[r] == nil {
					held[r] = map[uint64][]byte{}
				}
				if old, ok := held[r][v]; ok && !bytes.Equal(old, p) {
					t.Fatalf("version %x of %v holds other bytes than before", v, r)
				}
				held[r][v] = p
			}
		}
	})
}

// TestVersionStays: what nobody writes to keeps its version, and over two crashes too.
func TestVersionStays(t *testing.T) {
	fs := NewMemFS()
	f, err := fs.open(segmentName(1), forCreating)
	if err == nil {
		err = errors.Join(f.writev([][]byte{make([]byte, 5*pageSize)}, 0), f.sync(), fs.syncDir())
	}
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	fs.Crash(rng)
	before, _ := fs.Version(1, pageSize, 2*pageSize)
	for range 2 {
		if f, err = fs.open(segmentName(1), forWriting); err == nil {
			err = f.writev([][]byte{{1}}, 3*pageSize)
		}
		if err != nil {
			t.Fatal(err)
		}
		fs.Crash(rng)
		if v, ok := fs.Version(1, pageSize, 2*pageSize); !ok || v != before {
			t.Errorf("version %x, %v, want %x", v, ok, before)
		}
	}
	if _, ok := fs.Version(2, 0, 1); ok {
		t.Error("a segment that is not there has a version")
	}
}

func TestSegmentName(t *testing.T) {
	for _, n := range []uint32{1, 9, 10, 12_345_678, 99_999_999, 100_000_000, 1<<32 - 1} {
		name := segmentName(n)
		if want := fmt.Sprintf("segments/%08d.seg", n); name != want {
			t.Errorf("%d is %s, want %s", n, name, want)
		}
		if got, ok := segmentNumber(name); !ok || got != n {
			t.Errorf("%s is %d, %v, want %d", name, got, ok, n)
		}
	}
}
