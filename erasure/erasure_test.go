package erasure

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func mustParse(t testing.TB, text string) Scheme {
	t.Helper()
	s, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// stripe makes a stripe with columns of the given lengths and its parity.
func stripe(t testing.TB, s Scheme, lengths []int, seed uint64) (*Code, [][]byte) {
	t.Helper()
	code, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	shards := make([][]byte, s.N())
	for i, n := range lengths {
		shards[i] = make([]byte, n)
		rng.Read(shards[i])
	}
	for i := s.K; i < s.N(); i++ {
		shards[i] = make([]byte, longest(shards[:s.K]))
	}
	if err := code.Encode(shards); err != nil {
		t.Fatal(err)
	}
	return code, shards
}

func TestParse(t *testing.T) {
	for _, text := range []string{"replica:1", "replica:3", "rs:9+6", "rs:10+5", "rs:1+254", "rs:254+1", "lrc:12+2+2", "lrc:6+2+2", "lrc:12+4+2"} {
		s := mustParse(t, text)
		if s.String() != text {
			t.Errorf("%s prints as %s", text, s)
		}
		back, err := SchemeFromCode(s.Code())
		if err != nil || back != s {
			t.Errorf("%s: code %v gives %v, %v", text, s.Code(), back, err)
		}
	}
	for _, text := range []string{"", "rs", "rs:", "rs:10", "rs:10+", "rs:0+3", "rs:3+0", "rs:200+56", "rs:-1+2", "rs:+1+2", "rs:03+2", "rs:1+2+3",
		"replica:0", "replica:256", "replica:x", "lrc:12+5+2", "lrc:12+2", "lrc:2+2+2", "raid:5", "RS:9+6", "rs:9+6 ", "rs:9999999999999999999+1"} {
		if s, err := Parse(text); !errors.Is(err, ErrScheme) {
			t.Errorf("Parse(%q) = %v, %v; want ErrScheme", text, s, err)
		}
	}
}

func TestTolerates(t *testing.T) {
	for text, want := range map[string]int{"replica:3": 2, "rs:9+6": 6, "rs:4+2": 2, "lrc:6+2+2": 3, "lrc:12+2+2": 3, "lrc:6+3+1": 2} {
		s := mustParse(t, text)
		if s.Tolerates() != want {
			t.Errorf("%s tolerates %d, want %d", text, s.Tolerates(), want)
		}
		code, err := New(s)
		if err != nil {
			t.Fatal(err)
		}
		if s.N() <= 16 {
			for e := 1; e <= want; e++ {
				if got, all := decodable(code, e); got != all {
					t.Errorf("%s: %d of %d patterns of %d losses decode", text, got, all, e)
				}
			}
		}
	}
}

// TestFourLosses holds the published share of four-failure patterns that an LRC decodes:
// 86 % for 6+2+2 (Huang et al., Erasure Coding in Windows Azure Storage, 2012, 2.2.2), and
// 1568 of 1820 for a maximally recoverable 12+2+2.
func TestFourLosses(t *testing.T) {
	for text, want := range map[string][2]int{"lrc:6+2+2": {180, 210}, "lrc:12+2+2": {1568, 1820}} {
		code, err := New(mustParse(t, text))
		if err != nil {
			t.Fatal(err)
		}
		if got, all := decodable(code, 4); [2]int{got, all} != want {
			t.Errorf("%s: %d of %d, want %v", text, got, all, want)
		}
	}
}

func decodable(code *Code, lost int) (got, all int) {
	n := code.scheme.N()
	have := make([]bool, n)
	for i := range have {
		have[i] = true
	}
	var choose func(from, left int)
	choose = func(from, left int) {
		if left == 0 {
			all++
			if code.Decodable(have) {
				got++
			}
			return
		}
		for i := from; i <= n-left; i++ {
			have[i] = false
			choose(i+1, left-1)
			have[i] = true
		}
	}
	choose(0, lost)
	return got, all
}

// TestGolden pins the matrices: parity of a stripe must be the same for ever.
func TestGolden(t *testing.T) {
	for text, want := range golden {
		s := mustParse(t, text)
		lengths := make([]int, s.K)
		for i := range lengths {
			lengths[i] = 100 + 7*i
		}
		_, shards := stripe(t, s, lengths, 1)
		if got := crc32.ChecksumIEEE(bytes.Join(shards[s.K:], nil)); got != want {
			t.Errorf("%s: parity digest %#08x, want %#08x", text, got, want)
		}
	}
}

func TestLocalRepair(t *testing.T) {
	code, shards := stripe(t, mustParse(t, "lrc:12+2+2"), slices.Repeat([]int{500}, 12), 2)
	for lost := range 14 {
		have := slices.Repeat([]bool{true}, 16)
		have[lost] = false
		reads, err := code.Plan([]int{lost}, have, nil)
		if err != nil || len(reads) != 6 {
			t.Fatalf("shard %d: reads %v, %v; want its group of 6", lost, reads, err)
		}
		checkRebuild(t, code, shards, reads, []int{lost}, 0, 500)
	}
	have := slices.Repeat([]bool{true}, 16)
	have[0], have[7], have[13] = false, false, false // both groups; the second lost its parity too
	reads, err := code.Plan([]int{0}, have, nil)
	if err != nil || len(reads) != 6 {
		t.Errorf("shard 0: reads %v, %v; want its group of 6", reads, err)
	}
	have[14], have[15] = false, false // now the second group is beyond help, the first is not
	if code.Decodable(have) || !code.Recoverable(0, have) || code.Recoverable(7, have) {
		t.Error("the first group's shard should be recoverable, and nothing else")
	}
}

// checkRebuild rebuilds a range of want from reads alone.
func checkRebuild(t testing.TB, code *Code, shards [][]byte, reads, want []int, off, size int) {
	t.Helper()
	cut := func(p []byte) []byte { return p[min(off, len(p)):min(off+size, len(p))] }
	in, dst := make([][]byte, len(shards)), make([][]byte, len(shards))
	for _, i := range reads {
		in[i] = slices.Clone(cut(shards[i]))
	}
	for _, i := range want {
		dst[i] = make([]byte, len(cut(shards[i])))
	}
	if err := code.Rebuild(in, dst, size); err != nil {
		t.Fatalf("%v: rebuild %v from %v: %v", code.scheme, want, reads, err)
	}
	for _, i := range want {
		if !bytes.Equal(dst[i], cut(shards[i])) {
			t.Fatalf("%v: shard %d from %v has wrong bytes", code.scheme, i, reads)
		}
	}
	for _, i := range reads {
		if !bytes.Equal(in[i], cut(shards[i])) {
			t.Fatalf("%v: rebuild changed shard %d", code.scheme, i)
		}
	}
}

var schemes = []string{"replica:1", "replica:2", "replica:3", "rs:1+1", "rs:4+1", "rs:4+2", "rs:9+6", "rs:10+4", "rs:12+4", "rs:20+9", "lrc:6+2+2", "lrc:12+2+2", "lrc:12+4+2", "lrc:9+3+3"}

// TestRebuild: whatever is lost, the stripe comes back exactly or not at all.
func TestRebuild(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := mustParseRapid(t, rapid.SampledFrom(schemes).Draw(t, "scheme"))
		lengths := rapid.SliceOfN(rapid.OneOf(rapid.Just(0), rapid.IntRange(1, 700)), s.K, s.K).Draw(t, "lengths")
		have := rapid.SliceOfN(rapid.Bool(), s.N(), s.N()).Draw(t, "have")
		for range s.N() / 2 {
			have[rapid.IntRange(0, s.N()-1).Draw(t, "keep")] = true
		}
		checkErased(t, s, lengths, have, rapid.IntRange(0, 300).Draw(t, "off"), rapid.IntRange(1, 800).Draw(t, "size"))
	})
}

type fatal interface {
	Fatal(...any)
	Fatalf(string, ...any)
}

func mustParseRapid(t *rapid.T, text string) Scheme {
	s, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func checkErased(t fatal, s Scheme, lengths []int, have []bool, off, size int) {
	code, shards := stripe(nopTB{t: t}, s, lengths, 3)
	var want []int
	for i, ok := range have {
		if !ok {
			want = append(want, i)
		}
	}
	if len(want) == 0 {
		return
	}
	reads, err := code.Plan(want, have, nil)
	if code.Decodable(have) != (err == nil) && s.Kind != LRC {
		t.Fatalf("%v, have %v: decodable %v, plan %v", s, have, code.Decodable(have), err)
	}
	if err == nil {
		checkRebuild(nopTB{t: t}, code, shards, reads, want, off, size)
		return
	}
	if !errors.Is(err, ErrTooFewShards) {
		t.Fatalf("%v: %v", s, err)
	}
	in, dst := make([][]byte, s.N()), make([][]byte, s.N())
	for i, ok := range have {
		if ok {
			in[i] = shards[i]
		} else {
			dst[i] = make([]byte, len(shards[i]))
		}
	}
	if longest(shards) == 0 {
		return
	}
	if err := code.Rebuild(in, dst, longest(shards)); !errors.Is(err, ErrTooFewShards) {
		t.Fatalf("%v, have %v: rebuild gives %v", s, have, err)
	}
}

// nopTB lets helpers that take a testing.TB run under rapid and fuzzing.
type nopTB struct {
	testing.TB
	t fatal
}

func (n nopTB) Helper()                   {}
func (n nopTB) Fatal(a ...any)            { n.t.Fatal(a...) }
func (n nopTB) Fatalf(f string, a ...any) { n.t.Fatalf(f, a...) }

func TestVerify(t *testing.T) {
	code, shards := stripe(t, mustParse(t, "rs:9+6"), []int{10, 0, 30, 5, 5, 5, 5, 5, 99}, 4)
	if ok, err := code.Verify(shards); !ok || err != nil {
		t.Fatalf("sound stripe: %v, %v", ok, err)
	}
	for i, p := range shards {
		if len(p) == 0 {
			continue
		}
		p[len(p)-1] ^= 0x40
		if ok, _ := code.Verify(shards); ok {
			t.Errorf("a flipped bit in shard %d went unseen", i)
		}
		p[len(p)-1] ^= 0x40
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range append(schemes, "rs:9+", "lrc:1+1+1", "replica:-1", "x:1") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err == nil && s.String() != text {
			t.Errorf("%q prints as %q", text, s)
		}
	})
}

func FuzzEncodeEraseRebuild(f *testing.F) {
	f.Add(uint8(6), []byte{1, 2, 3, 0, 50, 6, 7, 8, 200}, uint32(0b111111111), uint8(3), uint8(90))
	f.Add(uint8(11), []byte{9, 9}, uint32(0xf7fe), uint8(0), uint8(9))
	f.Add(uint8(0), []byte{255}, uint32(1), uint8(0), uint8(255))
	f.Fuzz(func(t *testing.T, scheme uint8, sizes []byte, mask uint32, off, size uint8) {
		s := mustParse(t, schemes[int(scheme)%len(schemes)])
		lengths := make([]int, s.K)
		for i := range min(len(sizes), s.K) {
			lengths[i] = int(sizes[i])
		}
		have := make([]bool, s.N())
		for i := range have {
			have[i] = mask>>i&1 == 1
		}
		checkErased(t, s, lengths, have, int(off), max(1, int(size)))
	})
}

func ExampleCode_Rebuild() {
	s, _ := Parse("rs:2+1")
	code, _ := New(s)
	shards := [][]byte{[]byte("wattle"), []byte("fence"), make([]byte, 6)}
	code.Encode(shards)

	lost := make([]byte, 5)
	code.Rebuild([][]byte{shards[0], nil, shards[2]}, [][]byte{nil, lost, nil}, 6)
	fmt.Printf("%s\n", lost)
	// Output: fence
}

func BenchmarkEncode(b *testing.B) {
	for _, text := range []string{"rs:10+4", "rs:12+4", "lrc:12+2+2"} {
		b.Run(text, func(b *testing.B) {
			s := mustParse(b, text)
			code, shards := stripe(b, s, slices.Repeat([]int{256 << 10}, s.K), 5)
			b.SetBytes(int64(s.K) * 256 << 10)
			for b.Loop() {
				if err := code.Encode(shards); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRebuild(b *testing.B) {
	for _, text := range []string{"rs:10+4", "lrc:12+2+2"} {
		b.Run(text, func(b *testing.B) {
			s := mustParse(b, text)
			code, shards := stripe(b, s, slices.Repeat([]int{256 << 10}, s.K), 5)
			have := slices.Repeat([]bool{true}, s.N())
			have[0] = false
			reads, _ := code.Plan([]int{0}, have, nil)
			in, dst := make([][]byte, s.N()), make([][]byte, s.N())
			for _, i := range reads {
				in[i] = shards[i]
			}
			dst[0] = make([]byte, 256<<10)
			b.SetBytes(256 << 10)
			for b.Loop() {
				if err := code.Rebuild(in, dst, 256<<10); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// golden holds the CRC-32 of the parity of a stripe of random columns of 100, 107, 114, …
// bytes.
var golden = map[string]uint32{"replica:3": 0x1e231da2, "rs:4+1": 0x5dc7247e, "rs:9+6": 0x7aeba121, "rs:10+4": 0x59fe5d7e,
	"lrc:12+2+2": 0x29ac3832, "lrc:12+4+2": 0x85ec4886}
