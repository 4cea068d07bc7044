// Package erasure codes stripes: it computes parity shards from data shards, and gives back
// lost shards from others.
//
// A Scheme is the redundancy rule: replica:N keeps N copies, rs:K+M adds M parity shards to
// K data shards and stands the loss of any M, lrc:K+L+R adds L local parities, one for each
// group of K/L data shards, and R global ones, so that a single lost shard is rebuilt from
// its group alone.
//
// A Code works bytewise: byte i of a parity shard depends on byte i of the data shards only.
// So a range of a lost shard is rebuilt from the same range of others, and data shards
// (columns) may differ in length: a shorter column continues as zeros, an empty one is a
// known zero that nobody has to store.
//
// # What it promises
//
// Any pattern that can be decoded gives back exactly the stripe; any other gives
// ErrTooFewShards, never wrong bytes. The generator matrices are part of the on-disk format
// and never change: over GF(2^8) with polynomial 0x11d, replica rows are 1; one parity of rs
// is the sum (all ones); parity i of rs:K+M with M > 1 has the Cauchy coefficients
// 1/((K+i) xor j) for column j; an lrc has, for column j of coefficient c_j, local rows of
// ones over each group and global rows c_j, c_j^2, c_j^3, …, where c_j is j'+1 in the first
// and (j'+1)·16 in the second of two groups of up to 15 columns (j' within the group) and
// the j-th power of 2 otherwise.
package erasure

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/klauspost/reedsolomon"
)

// ErrTooFewShards means that the shards at hand do not determine those that are wanted.
var ErrTooFewShards = errors.New("too few shards")

// A ShardsError says how many shards were at hand when they were too few.
type ShardsError struct {
	Scheme Scheme
	Have   int   // shards at hand
	Want   []int // shards to give back
}

func (e *ShardsError) Error() string {
	return fmt.Sprintf("%v: %d of %d shards of %v do not give back shards %v", ErrTooFewShards, e.Have, e.Scheme.N(), e.Scheme, e.Want)
}

// Unwrap makes a ShardsError an ErrTooFewShards.
func (e *ShardsError) Unwrap() error { return ErrTooFewShards }

// A Code encodes and rebuilds stripes of one scheme. It may be used by many goroutines.
type Code struct {
	scheme  Scheme
	rows    [][]byte // generator: row i gives shard i from the K columns
	encoder reedsolomon.Encoder

	mu      sync.Mutex
	solved  map[string]*solution // guarded by mu
	decodes map[string]bool      // guarded by mu; lrc only
}

// A solution computes some shards from others.
type solution struct {
	reads   []int
	encoder reedsolomon.Encoder
}

var codes sync.Map // Scheme -> *Code

// New returns the code of a scheme.
func New(s Scheme) (*Code, error) {
	if c, ok := codes.Load(s); ok {
		return c.(*Code), nil
	}
	if err := s.Validate(); err != nil {
		return nil, err
	}
	c := &Code{scheme: s, rows: s.generator(), solved: map[string]*solution{}, decodes: map[string]bool{}}
	if s.M > 0 {
		enc, err := multiplier(c.rows[s.K:], s.K)
		if err != nil {
			return nil, fmt.Errorf("scheme %v: %w", s, err)
		}
		c.encoder = enc
	}
	made, _ := codes.LoadOrStore(s, c)
	return made.(*Code), nil
}

// multiplier is an encoder that multiplies k inputs with a matrix. Up to ten inputs one
// goroutine is the fastest; beyond, the library takes its quick path only with two.
func multiplier(matrix [][]byte, k int) (reedsolomon.Encoder, error) {
	goroutines := 1
	if k > 10 {
		goroutines = 2
	}
	return reedsolomon.New(k, len(matrix), reedsolomon.WithCustomMatrix(matrix), reedsolomon.WithMaxGoroutines(goroutines))
}

// Scheme returns the code's scheme.
func (c *Code) Scheme() Scheme { return c.scheme }

// pieceSize bounds what is coded at once: a piece of every shard stays in the caches.
const pieceSize = 256 << 10

var zeros [pieceSize]byte

// Encode computes the parity shards of a stripe. shards has N slices: K columns of any
// lengths, then parity, each as long as the longest column, whose bytes are overwritten.
func (c *Code) Encode(shards [][]byte) error {
	k := c.scheme.K
	if len(shards) != c.scheme.N() {
		return fmt.Errorf("encode %v: %d shards given, %d wanted", c.scheme, len(shards), c.scheme.N())
	}
	size := longest(shards[:k])
	for i, p := range shards[k:] {
		if len(p) != size {
			return fmt.Errorf("encode %v: parity shard %d has %d bytes and the longest column %d", c.scheme, k+i, len(p), size)
		}
	}
	if c.encoder == nil || size == 0 {
		return nil
	}
	return multiply(c.encoder, shards[:k], shards[k:], size)
}

func longest(shards [][]byte) int {
	n := 0
	for _, p := range shards {
		n = max(n, len(p))
	}
	return n
}

// multiply runs enc over [0, size) of in and out. Inputs that end earlier continue as
// zeros; of outputs only their own length is wanted.
func multiply(enc reedsolomon.Encoder, in, out [][]byte, size int) error {
	ends := []int{size}
	for _, p := range slices.Concat(in, out) {
		if len(p) < size {
			ends = append(ends, len(p))
		}
	}
	slices.Sort(ends)
	work := make([][]byte, len(in)+len(out))
	var scratch []byte
	from := 0
	for _, end := range slices.Compact(ends) {
		for from < end {
			to := min(end, from+pieceSize)
			for i, p := range in {
				if len(p) <= from {
					work[i] = zeros[:to-from]
				} else {
					work[i] = p[from:to]
				}
			}
			for i, p := range out {
				if len(p) > from {
					work[len(in)+i] = p[from:to]
					continue
				}
				if scratch == nil {
					scratch = make([]byte, len(out)*min(size, pieceSize))
				}
				at := i * min(size, pieceSize)
				work[len(in)+i] = scratch[at : at+to-from]
			}
			if err := enc.Encode(work); err != nil {
				return err
			}
			from = to
		}
	}
	return nil
}

// Decodable tells whether the shards that are there determine the whole stripe.
func (c *Code) Decodable(have []bool) bool {
	n := 0
	for _, ok := range have {
		if ok {
			n++
		}
	}
	if c.scheme.Kind != LRC || n < c.scheme.K || n == len(have) {
		return n >= c.scheme.K
	}
	key := maskKey(have)
	c.mu.Lock()
	ok, known := c.decodes[key]
	c.mu.Unlock()
	if known {
		return ok
	}
	ok = c.rank(have) == c.scheme.K
	c.mu.Lock()
	if len(c.decodes) < 1<<16 {
		c.decodes[key] = ok
	}
	c.mu.Unlock()
	return ok
}

// Recoverable tells whether shard want can be given back from the shards that are there.
// A local group may do that when the whole stripe cannot be decoded any more.
func (c *Code) Recoverable(want int, have []bool) bool {
	if have[want] {
		return true
	}
	_, _, ok := c.solve([]int{want}, indexes(have))
	return ok
}

func indexes(have []bool) []int {
	var list []int
	for i, ok := range have {
		if ok {
			list = append(list, i)
		}
	}
	return list
}

func maskKey(have []bool) string {
	key := make([]byte, (len(have)+7)/8)
	for i, ok := range have {
		if ok {
			key[i/8] |= 1 << (i % 8)
		}
	}
	return string(key)
}

// Plan returns the shards to read to rebuild all of want, in order, the cheapest set that
// it finds: local groups for an lrc when they do, else the cheapest shards that determine
// what is wanted. cost may be nil, which makes every read cost 1. When the shards that are
// there do not suffice, the error is a *ShardsError.
func (c *Code) Plan(want []int, have []bool, cost func(shard int) float64) ([]int, error) {
	price := make([]float64, len(have))
	for i := range price {
		price[i] = 1
		if cost != nil {
			price[i] = cost(i)
		}
	}
	at := indexes(have)
	at = slices.DeleteFunc(at, func(i int) bool { return slices.Contains(want, i) })
	local, localOK := c.localReads(want, have)
	slices.SortStableFunc(at, func(a, b int) int {
		switch {
		case price[a] < price[b]:
			return -1
		case price[a] > price[b]:
			return 1
		}
		return a - b
	})
	reads, ok := c.independent(want, at)
	if localOK && (!ok || total(local, price) <= total(reads, price)) {
		return local, nil
	}
	if !ok {
		return nil, &ShardsError{c.scheme, len(at), slices.Clone(want)}
	}
	return reads, nil
}

func total(reads []int, price []float64) float64 {
	sum := 0.0
	for _, i := range reads {
		sum += price[i]
	}
	return sum
}

// localReads returns the shards of the local groups of all wanted shards, when each group
// lacks only one.
func (c *Code) localReads(want []int, have []bool) ([]int, bool) {
	s := c.scheme
	if s.Kind != LRC {
		return nil, false
	}
	read := map[int]bool{}
	groups := map[int]bool{}
	for _, w := range want {
		g := s.group(w)
		if g < 0 || groups[g] {
			return nil, false
		}
		groups[g] = true
		for _, i := range s.members(g) {
			if i == w {
				continue
			}
			if !have[i] || slices.Contains(want, i) {
				return nil, false
			}
			read[i] = true
		}
	}
	var list []int
	for i := range have {
		if read[i] {
			list = append(list, i)
		}
	}
	return list, true
}

// independent takes shards in the order given, leaving out those that add nothing, until
// all of want follow from them.
func (c *Code) independent(want, order []int) ([]int, bool) {
	if c.scheme.Kind != LRC {
		if len(order) < c.scheme.K {
			return nil, false
		}
		reads := slices.Clone(order[:c.scheme.K])
		slices.Sort(reads)
		return reads, true
	}
	var e elimination
	var reads []int
	for _, i := range order {
		if !e.add(c.rows[i]) {
			continue
		}
		reads = append(reads, i)
		if !slices.ContainsFunc(want, func(w int) bool { return !e.spans(c.rows[w]) }) {
			slices.Sort(reads)
			return reads, true
		}
	}
	return nil, false
}

// Rebuild computes shards that are wanted from others. shards[i] is a range of shard i, the
// same range for all, or nil when it is not at hand; one that is shorter than size continues
// as zeros. dst[i], when not nil, receives the first len(dst[i]) <= size bytes of that range
// of shard i. The shards of Plan suffice; shards is not modified.
func (c *Code) Rebuild(shards, dst [][]byte, size int) error {
	if len(shards) != c.scheme.N() || len(dst) != c.scheme.N() {
		return fmt.Errorf("rebuild %v: %d shards and %d wanted given, %d slots each expected", c.scheme, len(shards), len(dst), c.scheme.N())
	}
	var have, want []int
	var out [][]byte
	for i := range shards {
		if dst[i] != nil {
			if len(dst[i]) > size {
				return fmt.Errorf("rebuild %v: %d bytes of shard %d wanted of a range of %d", c.scheme, len(dst[i]), i, size)
			}
			want = append(want, i)
			out = append(out, dst[i])
		} else if shards[i] != nil {
			if len(shards[i]) > size {
				return fmt.Errorf("rebuild %v: %d bytes of shard %d given of a range of %d", c.scheme, len(shards[i]), i, size)
			}
			have = append(have, i)
		}
	}
	if len(want) == 0 || size == 0 {
		return nil
	}
	s, err := c.solution(want, have)
	if err != nil {
		return err
	}
	in := make([][]byte, len(s.reads))
	for j, i := range s.reads {
		in[j] = shards[i]
	}
	return multiply(s.encoder, in, out, size)
}

// solution finds, once, the matrix that computes want from have.
func (c *Code) solution(want, have []int) (*solution, error) {
	key := make([]byte, 0, len(want)+len(have)+1)
	for _, i := range want {
		key = append(key, byte(i))
	}
	key = append(key, 0xff)
	for _, i := range have {
		key = append(key, byte(i))
	}
	c.mu.Lock()
	s := c.solved[string(key)]
	c.mu.Unlock()
	if s != nil {
		return s, nil
	}
	reads, matrix, ok := c.solve(want, have)
	if !ok {
		return nil, &ShardsError{c.scheme, len(have), slices.Clone(want)}
	}
	enc, err := multiplier(matrix, len(reads))
	if err != nil {
		return nil, fmt.Errorf("rebuild %v: %w", c.scheme, err)
	}
	s = &solution{reads, enc}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.solved) >= 1024 {
		clear(c.solved)
	}
	c.solved[string(key)] = s
	return s, nil
}

// Verify tells whether the parity shards are those of the columns. All N shards are given,
// the columns with their own lengths.
func (c *Code) Verify(shards [][]byte) (bool, error) {
	if len(shards) != c.scheme.N() {
		return false, fmt.Errorf("verify %v: %d shards given, %d wanted", c.scheme, len(shards), c.scheme.N())
	}
	k, size := c.scheme.K, longest(shards[:c.scheme.K])
	for _, p := range shards[k:] {
		if len(p) != size {
			return false, nil
		}
	}
	fresh := slices.Clone(shards)
	for i := k; i < len(fresh); i++ {
		fresh[i] = make([]byte, size)
	}
	if err := c.Encode(fresh); err != nil {
		return false, err
	}
	for i := k; i < len(fresh); i++ {
		if !slices.Equal(fresh[i], shards[i]) {
			return false, nil
		}
	}
	return true, nil
}
