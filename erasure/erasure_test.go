package erasure

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// schemes are those that the tests of whole stripes draw from.
var schemes = []string{"replica:1", "replica:2", "replica:3", "rs:1+1", "rs:1+3", "rs:4+1", "rs:4+2", "rs:9+6", "rs:10+4", "rs:12+4", "rs:20+9",
	"lrc:6+2+2", "lrc:12+2+2", "lrc:12+4+2", "lrc:9+3+3", "lrc:4+1+1"}

// stripe makes a stripe with columns of the given lengths and its parity.
func stripe(t rapid.TB, s Scheme, lengths []int, seed uint64) (*Code, [][]byte) {
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
		rng.Read(shards[i]) // to be overwritten
	}
	if err := code.Encode(shards); err != nil {
		t.Fatal(err)
	}
	return code, shards
}

// TestParityIsTheGenerator computes parity byte by byte as the package comment has it.
func TestParityIsTheGenerator(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := mustParse(t, rapid.SampledFrom(schemes).Draw(t, "scheme"))
		lengths := rapid.SliceOfN(rapid.IntRange(0, 90), s.K, s.K).Draw(t, "lengths")
		code, shards := stripe(t, s, lengths, 7)
		for i := s.K; i < s.N(); i++ {
			want := make([]byte, longest(shards[:s.K]))
			for j, column := range shards[:s.K] {
				for b, v := range column {
					want[b] ^= slowMul(code.rows[i][j], v)
				}
			}
			if !bytes.Equal(shards[i], want) {
				t.Fatalf("%v: parity shard %d differs from the sum of its columns", s, i)
			}
		}
	})
}

// slowMul multiplies in GF(2^8) by shifts alone.
func slowMul(a, b byte) byte {
	var sum byte
	for ; b > 0; b >>= 1 {
		if b&1 == 1 {
			sum ^= a
		}
		high := a >> 7
		a = a<<1 ^ high*0x1d
	}
	return sum
}

func TestField(t *testing.T) {
	for a := range 256 {
		for b := range 256 {
			if got, want := mul(byte(a), byte(b)), slowMul(byte(a), byte(b)); got != want {
				t.Fatalf("%d times %d is %d, want %d", a, b, got, want)
			}
		}
		if a > 0 && slowMul(byte(a), inverse(byte(a))) != 1 {
			t.Fatalf("%d times its inverse %d is not 1", a, inverse(byte(a)))
		}
	}
}

// golden holds the CRC-32 of the parity of a stripe of random columns of 100, 107, 114, …
// bytes. A change of any of them would make stripes on disk unreadable.
var golden = map[string]uint32{
	"replica:3":  0x1e231da2,
	"rs:1+3":     0x6ac22cf1,
	"rs:4+1":     0x5dc7247e,
	"rs:4+2":     0x1960c290,
	"rs:9+6":     0x7aeba121,
	"rs:10+4":    0x59fe5d7e,
	"rs:10+5":    0x92a08a04,
	"rs:12+4":    0xcf34a46b,
	"rs:20+9":    0xfdff5f12,
	"rs:200+55":  0xd08e4a90,
	"lrc:6+2+2":  0xddc86194,
	"lrc:12+2+2": 0x0bd1f492,
	"lrc:12+4+2": 0x983ad04b,
	"lrc:9+3+3":  0x5ca5323f,
	"lrc:12+2+3": 0x1bffd46f,
	"lrc:60+3+2": 0x14699e56,
}

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

// TestGoldenRows holds rows that can be worked out by hand from the package comment.
func TestGoldenRows(t *testing.T) {
	for _, c := range []struct {
		scheme string
		shard  int
		want   []byte
	}{
		{"replica:2", 1, []byte{1}},
		{"rs:4+1", 4, []byte{1, 1, 1, 1}},
		{"rs:2+2", 2, []byte{inverse(2), inverse(3)}},
		{"lrc:4+2+2", 4, []byte{1, 1, 0, 0}},
		{"lrc:4+2+2", 6, []byte{1, exps[17], 2, exps[18]}},
		{"lrc:4+2+2", 7, []byte{1, exps[34], 4, exps[36]}},
		{"lrc:2+1+3", 3, []byte{mul(2, inverse(3)), mul(3, inverse(2))}},
	} {
		code, err := New(mustParse(t, c.scheme))
		if err != nil {
			t.Fatal(err)
		}
		if got := code.rows[c.shard]; !bytes.Equal(got, c.want) {
			t.Errorf("%s: row %d is %v, want %v", c.scheme, c.shard, got, c.want)
		}
	}
}

// TestProduct multiplies matrices of every width with the definition beside it.
func TestProduct(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	random := func(n int) []byte {
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(rng.Uint32())
		}
		return p
	}
	for _, inputs := range []int{1, 2, 9, 10, 11, 12, 20, 21, 33} {
		for _, outputs := range []int{1, 3, 10, 11, 25} {
			n := 1 + rng.IntN(200)
			var matrix, shards, want [][]byte
			for range inputs {
				shards = append(shards, random(n))
			}
			for range outputs {
				row, sum := random(inputs), make([]byte, n)
				for j, f := range row {
					addScaled(sum, shards[j], f)
				}
				matrix, want = append(matrix, row), append(want, sum)
			}
			for range outputs {
				shards = append(shards, random(n))
			}
			p, err := newProduct(matrix, inputs)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.run(shards, n); err != nil {
				t.Fatal(err)
			}
			for i, w := range want {
				if !bytes.Equal(shards[inputs+i], w) {
					t.Fatalf("%d inputs, %d outputs, %d bytes: output %d is wrong", inputs, outputs, n, i)
				}
			}
		}
	}
}

// TestLongShards crosses the pieces that shards are coded in.
func TestLongShards(t *testing.T) {
	for _, text := range []string{"rs:4+2", "rs:12+4", "rs:23+11", "lrc:6+2+2"} {
		s := mustParse(t, text)
		lengths := slices.Repeat([]int{2*pieceSize + 77}, s.K)
		lengths[1], lengths[3] = pieceSize, pieceSize+1
		code, shards := stripe(t, s, lengths, 8)
		if ok, err := code.Verify(shards); !ok || err != nil {
			t.Errorf("%s: verify gives %v, %v", text, ok, err)
		}
		have := slices.Repeat([]bool{true}, s.N())
		have[0], have[1] = false, false
		reads, err := code.Plan([]int{0, 1}, have, nil)
		if err != nil {
			t.Fatal(err)
		}
		checkRebuild(t, code, shards, reads, []int{0, 1}, 5, 2*pieceSize+72)
	}
}

func TestEncodeRefuses(t *testing.T) {
	code, shards := stripe(t, mustParse(t, "rs:4+2"), []int{9, 8, 7, 6}, 1)
	if err := code.Encode(shards[:5]); err == nil || !strings.Contains(err.Error(), "5 shards given, 6 wanted") {
		t.Errorf("too few slices: %v", err)
	}
	shards[5] = shards[5][:8]
	if err := code.Encode(shards); err == nil || !strings.Contains(err.Error(), "parity shard 5 has 8 bytes") {
		t.Errorf("a short parity: %v", err)
	}
	if ok, err := code.Verify(shards); ok || err != nil {
		t.Errorf("a short parity verifies as %v, %v", ok, err)
	}
	if _, err := code.Verify(shards[:5]); err == nil {
		t.Error("five shards of six verify")
	}
}

func TestVerify(t *testing.T) {
	for _, text := range []string{"replica:3", "rs:9+6", "lrc:12+2+2"} {
		s := mustParse(t, text)
		lengths := make([]int, s.K)
		for i := range lengths {
			lengths[i] = 10 * i % 40
		}
		lengths[s.K-1] = 99
		code, shards := stripe(t, s, lengths, 4)
		if ok, err := code.Verify(shards); !ok || err != nil {
			t.Fatalf("%s: a sound stripe gives %v, %v", text, ok, err)
		}
		for i, p := range shards {
			if len(p) == 0 {
				continue
			}
			p[len(p)-1] ^= 0x40
			if ok, _ := code.Verify(shards); ok {
				t.Errorf("%s: a flipped bit in shard %d went unseen", text, i)
			}
			p[len(p)-1] ^= 0x40
		}
	}
}

// TestConcurrent shares one code, fresh for this test, among goroutines.
func TestConcurrent(t *testing.T) {
	s := mustParse(t, "lrc:10+2+3")
	var wg sync.WaitGroup
	for seed := range uint64(4) {
		wg.Go(func() {
			code, shards := stripe(t, s, slices.Repeat([]int{3000}, s.K), seed)
			for lost := range s.N() {
				have := slices.Repeat([]bool{true}, s.N())
				have[lost], have[(lost+3)%s.N()] = false, false
				if !code.Decodable(have) || !code.Recoverable(lost, have) {
					t.Errorf("two losses, %d and %d, are too many", lost, (lost+3)%s.N())
				}
				in, dst := slices.Clone(shards), make([][]byte, s.N())
				in[lost], in[(lost+3)%s.N()] = nil, nil
				dst[lost] = make([]byte, len(shards[lost]))
				if err := code.Rebuild(in, dst, 3000); err != nil || !bytes.Equal(dst[lost], shards[lost]) {
					t.Errorf("shard %d: not rebuilt: %v", lost, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestNewShares(t *testing.T) {
	s := mustParse(t, "rs:7+3")
	a, _ := New(s)
	b, _ := New(s)
	if a != b || a.Scheme() != s {
		t.Errorf("two codes of one scheme, %v and %v", a.Scheme(), b.Scheme())
	}
}

func ExampleCode_Encode() {
	s, _ := Parse("rs:3+1")
	code, _ := New(s)
	// columns of different lengths, the last one empty; parity is as long as the longest
	shards := [][]byte{{1, 2, 3}, {16}, nil, make([]byte, 3)}
	if err := code.Encode(shards); err != nil {
		fmt.Println(err)
	}
	fmt.Println(shards[3])
	// Output: [17 2 3]
}

func benchmark(b *testing.B, schemes []string, run func(b *testing.B, s Scheme, size int)) {
	for _, text := range schemes {
		for _, kib := range []int{64, 256} {
			b.Run(fmt.Sprintf("%s/%dKiB", text, kib), func(b *testing.B) { run(b, mustParse(b, text), kib<<10) })
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	benchmark(b, []string{"replica:3", "rs:9+6", "rs:10+4", "rs:12+4", "lrc:12+2+2"}, func(b *testing.B, s Scheme, size int) {
		code, shards := stripe(b, s, slices.Repeat([]int{size}, s.K), 5)
		b.SetBytes(int64(s.K * size))
		b.ReportAllocs()
		for b.Loop() {
			if err := code.Encode(shards); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkEncodeSmall is a lone object of 4 KiB in a stripe.
func BenchmarkEncodeSmall(b *testing.B) {
	s := mustParse(b, "rs:10+5")
	code, shards := stripe(b, s, []int{4096}, 5)
	b.SetBytes(4096)
	b.ReportAllocs()
	for b.Loop() {
		if err := code.Encode(shards); err != nil {
			b.Fatal(err)
		}
	}
}
