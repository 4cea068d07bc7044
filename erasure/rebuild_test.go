package erasure

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// lossesOf calls f with every pattern of lost shards of n.
func lossesOf(lost, n int, f func(have []bool)) {
	have := slices.Repeat([]bool{true}, n)
	var choose func(from, left int)
	choose = func(from, left int) {
		if left == 0 {
			f(have)
			return
		}
		for i := from; i <= n-left; i++ {
			have[i] = false
			choose(i+1, left-1)
			have[i] = true
		}
	}
	choose(0, lost)
}

func decodable(code *Code, lost int) (got, all int) {
	lossesOf(lost, code.scheme.N(), func(have []bool) {
		all++
		if code.Decodable(have) {
			got++
		}
	})
	return got, all
}

func TestTolerates(t *testing.T) {
	for text, want := range map[string]int{"replica:1": 0, "replica:3": 2, "rs:4+2": 2, "rs:9+6": 6, "rs:1+3": 3,
		"lrc:4+1+1": 2, "lrc:6+3+1": 2, "lrc:6+2+2": 3, "lrc:12+2+2": 3, "lrc:12+4+2": 3, "lrc:4+2+3": 4, "lrc:6+2+3": 4, "lrc:8+2+4": 5, "lrc:12+2+3": 4} {
		s := mustParse(t, text)
		if s.Tolerates() != want {
			t.Errorf("%s tolerates %d, want %d", text, s.Tolerates(), want)
		}
		code, err := New(s)
		if err != nil {
			t.Fatal(err)
		}
		for lost := range want + 1 {
			if got, all := decodable(code, lost); got != all {
				t.Errorf("%s: only %d of %d patterns of %d losses decode", text, got, all, lost)
			}
		}
		if got, all := decodable(code, want+1); got == all {
			t.Errorf("%s: all %d patterns of %d losses decode", text, all, want+1)
		}
	}
}

// TestFourLosses holds the share of four-failure patterns that an LRC decodes: 86 % for
// 6+2+2 (Huang et al., Erasure Coding in Windows Azure Storage, 2012, section 2.2), and as
// much for 12+2+2.
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

// TestMaximallyRecoverable compares with what any code of the shape could decode: after
// each group has made good one loss, the globals that are left make good one each.
func TestMaximallyRecoverable(t *testing.T) {
	for _, text := range []string{"lrc:4+1+1", "lrc:4+2+2", "lrc:6+2+2", "lrc:6+3+2", "lrc:8+2+2", "lrc:8+4+2", "lrc:9+3+2", "lrc:10+5+1", "lrc:12+2+2", "lrc:12+4+2"} {
		s := mustParse(t, text)
		code, err := New(s)
		if err != nil {
			t.Fatal(err)
		}
		for lost := range min(s.M, 5) + 1 {
			lossesOf(lost, s.N(), func(have []bool) {
				if got, want := code.Decodable(have), possible(s, have); got != want {
					t.Fatalf("%s, have %v: decodable %v, possible %v", text, have, got, want)
				}
			})
		}
	}
}

// TestWideLocal draws patterns for shapes too wide to try them all.
func TestWideLocal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := mustParse(t, rapid.SampledFrom([]string{"lrc:60+4+2", "lrc:64+8+2", "lrc:40+2+2", "lrc:60+20+2", "lrc:24+2+5", "lrc:96+8+4"}).Draw(t, "scheme"))
		code, err := New(s)
		if err != nil {
			t.Fatal(err)
		}
		have := slices.Repeat([]bool{true}, s.N())
		for _, i := range rapid.SliceOfNDistinct(rapid.IntRange(0, s.N()-1), s.R+1, s.R+1, rapid.ID).Draw(t, "lost") {
			have[i] = false
		}
		if !code.Decodable(have) {
			t.Fatalf("%v does not stand %d losses: have %v", s, s.R+1, have)
		}
	})
}

func possible(s Scheme, have []bool) bool {
	lost := make([]int, s.L)
	globals := s.R
	for i, ok := range have {
		switch g := s.group(i); {
		case ok:
		case g < 0:
			globals--
		default:
			lost[g]++
		}
	}
	for _, n := range lost {
		globals -= max(0, n-1)
	}
	return globals >= 0
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
	have[0], have[7], have[13] = false, false, false // the second group lost its parity too
	reads, err := code.Plan([]int{0}, have, nil)
	if want := []int{1, 2, 3, 4, 5, 12}; err != nil || !slices.Equal(reads, want) {
		t.Errorf("shard 0: reads %v, %v; want %v", reads, err, want)
	}
	have[14], have[15] = false, false // now the second group is beyond help, the first is not
	if code.Decodable(have) || !code.Recoverable(0, have) || code.Recoverable(7, have) {
		t.Error("the first group's shard should be recoverable, and nothing else")
	}
	if !code.Recoverable(1, have) {
		t.Error("a shard that is there is not recoverable")
	}
}

func TestPlan(t *testing.T) {
	dear := func(shards ...int) func(int) float64 {
		return func(i int) float64 {
			if slices.Contains(shards, i) {
				return 20
			}
			return 1
		}
	}
	for _, c := range []struct {
		scheme string
		lost   []int
		want   []int
		cost   func(int) float64
		reads  []int
	}{
		{"replica:3", []int{0}, []int{0}, nil, []int{1}},
		{"replica:3", []int{0}, []int{0}, dear(1), []int{2}},
		{"rs:4+2", []int{1}, []int{1}, nil, []int{0, 2, 3, 4}},
		{"rs:4+2", []int{1}, []int{1}, dear(0), []int{2, 3, 4, 5}},
		{"rs:4+2", nil, nil, nil, nil},
		{"rs:4+2", nil, []int{2}, nil, []int{0, 1, 3, 4}}, // there, but wanted: not read
		{"lrc:6+2+2", []int{0, 3}, []int{0, 3}, nil, []int{1, 2, 4, 5, 6, 7}},
		{"lrc:6+2+2", []int{0, 3}, []int{3}, nil, []int{4, 5, 7}},
		{"lrc:6+2+2", []int{0}, []int{0}, dear(6), []int{1, 2, 3, 4, 5, 8}},
		{"lrc:6+2+2", []int{0, 1}, []int{0}, nil, []int{2, 3, 4, 5, 6, 8}},
		{"lrc:6+2+2", []int{8}, []int{8}, nil, []int{0, 1, 2, 3, 4, 5}},
		{"lrc:6+2+2", []int{6}, []int{6}, nil, []int{0, 1, 2}},
	} {
		t.Run(fmt.Sprint(c.scheme, c.want), func(t *testing.T) {
			s := mustParse(t, c.scheme)
			code, shards := stripe(t, s, slices.Repeat([]int{64}, s.K), 6)
			have := slices.Repeat([]bool{true}, s.N())
			for _, i := range c.lost {
				have[i] = false
			}
			reads, err := code.Plan(c.want, have, c.cost)
			if err != nil || !slices.Equal(reads, c.reads) {
				t.Fatalf("lost %v: reads %v, %v; want %v", c.lost, reads, err, c.reads)
			}
			checkRebuild(t, code, shards, reads, c.want, 0, 64)
		})
	}
}

// TestPlanIsCheapest tries every set of shards of a small lrc.
func TestPlanIsCheapest(t *testing.T) {
	s := mustParse(t, "lrc:4+2+2")
	code, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		have := slices.Repeat([]bool{true}, s.N())
		price := make([]float64, s.N())
		for i := range have {
			have[i] = rng.IntN(4) > 0
			price[i] = float64(1 + rng.IntN(9))
		}
		want := []int{rng.IntN(s.N())}
		have[want[0]] = false
		best := -1.0
		for mask := range 1 << s.N() {
			set := make([]bool, s.N())
			cost, ok := 0.0, true
			for i := range set {
				if set[i] = mask>>i&1 == 1; set[i] {
					cost += price[i]
					ok = ok && have[i]
				}
			}
			if ok && (best < 0 || cost < best) && code.Recoverable(want[0], set) {
				best = cost
			}
		}
		reads, err := code.Plan(want, have, func(i int) float64 { return price[i] })
		switch {
		case best < 0 && !errors.Is(err, ErrTooFewShards):
			t.Fatalf("have %v want %v: plan %v, %v; want none", have, want, reads, err)
		case best >= 0 && (err != nil || total(reads, price) != best):
			t.Fatalf("have %v want %v prices %v: plan %v, %v costs %v; want %v", have, want, price, reads, err, total(reads, price), best)
		}
	}
}

func TestTooFewShards(t *testing.T) {
	code, _ := stripe(t, mustParse(t, "rs:4+2"), []int{9, 8, 7, 6}, 1)
	_, err := code.Plan([]int{0, 1, 2}, []bool{false, false, false, true, true, true}, nil)
	var detail *ShardsError
	if !errors.Is(err, ErrTooFewShards) || !errors.As(err, &detail) || detail.Have != 3 || !slices.Equal(detail.Want, []int{0, 1, 2}) {
		t.Errorf("plan from three of six gives %v", err)
	}
	if want := "too few shards: 3 of 6 shards of rs:4+2 do not give back shards [0 1 2]"; err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
}

func TestRebuildRefuses(t *testing.T) {
	code, shards := stripe(t, mustParse(t, "rs:2+1"), []int{9, 8}, 1)
	for name, c := range map[string]struct {
		shards, dst [][]byte
		size        int
		want        string
	}{
		"slots":      {shards[:2], make([][]byte, 3), 9, "2 shards and 3 wanted given, 3 slots each expected"},
		"long shard": {shards, make([][]byte, 3), 8, "9 bytes of shard 0 in a range of 8"},
		"long dst":   {make([][]byte, 3), [][]byte{nil, nil, make([]byte, 5)}, 4, "5 bytes of shard 2 in a range of 4"},
		"too few":    {[][]byte{shards[0], nil, nil}, [][]byte{nil, make([]byte, 8), nil}, 9, "too few shards"},
	} {
		if err := code.Rebuild(c.shards, c.dst, c.size); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
	if err := code.Rebuild(make([][]byte, 3), make([][]byte, 3), 9); err != nil {
		t.Errorf("nothing wanted: %v", err)
	}
}

// TestKnownZero: an empty column is at hand without being read.
func TestKnownZero(t *testing.T) {
	code, shards := stripe(t, mustParse(t, "rs:4+2"), []int{40, 0, 0, 0}, 1)
	dst := [][]byte{make([]byte, 40), nil, nil, nil, nil, nil}
	if err := code.Rebuild([][]byte{nil, {}, {}, {}, nil, shards[5]}, dst, 40); err != nil || !bytes.Equal(dst[0], shards[0]) {
		t.Errorf("one parity and three known zeros do not give back the column: %v", err)
	}
}

// checkRebuild rebuilds a range of want from reads alone.
func checkRebuild(t rapid.TB, code *Code, shards [][]byte, reads, want []int, off, size int) {
	t.Helper()
	in, dst := make([][]byte, len(shards)), make([][]byte, len(shards))
	for _, i := range reads {
		in[i] = slices.Clip(bytes.Clone(cut(shards[i], off, size)))
		if in[i] == nil {
			in[i] = []byte{}
		}
	}
	for _, i := range want {
		dst[i] = make([]byte, len(cut(shards[i], off, size)))
	}
	if err := code.Rebuild(in, dst, size); err != nil {
		t.Fatalf("%v: rebuild %v from %v: %v", code.scheme, want, reads, err)
	}
	for _, i := range want {
		if !bytes.Equal(dst[i], cut(shards[i], off, size)) {
			t.Fatalf("%v: shard %d from %v has wrong bytes", code.scheme, i, reads)
		}
	}
	for _, i := range reads {
		if !bytes.Equal(in[i], cut(shards[i], off, size)) {
			t.Fatalf("%v: rebuild changed shard %d", code.scheme, i)
		}
	}
}

// TestRebuild: whatever is lost, a range of it comes back exactly or not at all.
func TestRebuild(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := mustParse(t, rapid.SampledFrom(schemes).Draw(t, "scheme"))
		lengths := rapid.SliceOfN(rapid.OneOf(rapid.Just(0), rapid.IntRange(1, 700)), s.K, s.K).Draw(t, "lengths")
		have := slices.Repeat([]bool{true}, s.N())
		for _, i := range rapid.SliceOfN(rapid.IntRange(0, s.N()-1), 1, s.M+2).Draw(t, "lost") {
			have[i] = false
		}
		checkErased(t, s, lengths, have, rapid.IntRange(0, 300).Draw(t, "off"), rapid.IntRange(1, 800).Draw(t, "size"))
	})
}

// checkErased rebuilds all that is lost of a stripe when that is possible, each shard that
// is recoverable by itself, and sees the others refused.
func checkErased(t rapid.TB, s Scheme, lengths []int, have []bool, off, size int) {
	t.Helper()
	code, shards := stripe(t, s, lengths, 3)
	var lost []int
	for i, ok := range have {
		if !ok {
			lost = append(lost, i)
		}
	}
	checkPlan(t, code, shards, lost, have, code.Decodable(have), off, size)
	for _, i := range lost {
		checkPlan(t, code, shards, []int{i}, have, code.Recoverable(i, have), off, size)
	}
}

func checkPlan(t rapid.TB, code *Code, shards [][]byte, want []int, have []bool, possible bool, off, size int) {
	t.Helper()
	reads, err := code.Plan(want, have, nil)
	if possible != (err == nil) || err != nil && !errors.Is(err, ErrTooFewShards) {
		t.Fatalf("%v, have %v: possible %v, plan for %v gives %v", code.scheme, have, possible, want, err)
	}
	if err == nil {
		checkRebuild(t, code, shards, reads, want, off, size)
		return
	}
	in, dst := make([][]byte, len(shards)), make([][]byte, len(shards))
	for i, ok := range have {
		if ok {
			in[i] = cut(shards[i], off, size)
		}
	}
	for _, i := range want {
		dst[i] = make([]byte, size)
	}
	if err := code.Rebuild(in, dst, size); !errors.Is(err, ErrTooFewShards) {
		t.Fatalf("%v, have %v: rebuild of %v gives %v", code.scheme, have, want, err)
	}
	for _, i := range want {
		if !bytes.Equal(dst[i], make([]byte, size)) {
			t.Fatalf("%v, have %v: a refused rebuild wrote to shard %d", code.scheme, have, i)
		}
	}
}

// TestEveryPattern loses every set of shards of small stripes.
func TestEveryPattern(t *testing.T) {
	for _, text := range []string{"replica:3", "rs:1+2", "rs:4+2", "lrc:4+2+1", "lrc:4+2+2"} {
		s := mustParse(t, text)
		lengths := []int{7, 0, 33, 20}[:s.K]
		for lost := range s.N() + 1 {
			lossesOf(lost, s.N(), func(have []bool) { checkErased(t, s, lengths, have, 3, 31) })
		}
	}
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
	if err := code.Encode(shards); err != nil {
		fmt.Println(err)
	}

	lost := make([]byte, 5)
	if err := code.Rebuild([][]byte{shards[0], nil, shards[2]}, [][]byte{nil, lost, nil}, 6); err != nil {
		fmt.Println(err)
	}
	fmt.Printf("%s\n", lost)
	// Output: fence
}

func ExampleCode_Plan() {
	s, _ := Parse("lrc:12+2+2")
	code, _ := New(s)
	have := slices.Repeat([]bool{true}, s.N())
	have[3] = false
	reads, err := code.Plan([]int{3}, have, nil)
	fmt.Println(reads, err)
	// Output: [0 1 2 4 5 12] <nil>
}

func BenchmarkRebuild(b *testing.B) {
	benchmark(b, []string{"rs:9+6", "rs:10+4", "rs:12+4", "lrc:12+2+2"}, func(b *testing.B, s Scheme, size int) {
		for _, lost := range []int{1, s.Tolerates()} {
			b.Run(fmt.Sprintf("lost%d", lost), func(b *testing.B) { benchmarkRebuild(b, s, size, lost) })
		}
	})
}

func benchmarkRebuild(b *testing.B, s Scheme, size, lost int) {
	code, shards := stripe(b, s, slices.Repeat([]int{size}, s.K), 5)
	have := slices.Repeat([]bool{true}, s.N())
	in, dst := make([][]byte, s.N()), make([][]byte, s.N())
	var want []int
	for i := range lost {
		have[i] = false
		want = append(want, i)
		dst[i] = make([]byte, size)
	}
	reads, err := code.Plan(want, have, nil)
	if err != nil {
		b.Fatal(err)
	}
	for _, i := range reads {
		in[i] = shards[i]
	}
	b.SetBytes(int64(len(reads) * size))
	b.ReportAllocs()
	for b.Loop() {
		if err := code.Rebuild(in, dst, size); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPlan(b *testing.B) {
	for _, text := range []string{"rs:9+6", "lrc:12+2+2"} {
		b.Run(text, func(b *testing.B) {
			s := mustParse(b, text)
			code, err := New(s)
			if err != nil {
				b.Fatal(err)
			}
			have := slices.Repeat([]bool{true}, s.N())
			have[0] = false
			b.ReportAllocs()
			for b.Loop() {
				if _, err := code.Plan([]int{0}, have, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
