package erasure

import (
	"cmp"
	"fmt"
	"slices"
)

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

// Plan returns shards to read, in order, that give back all of want at least total cost.
// cost may be nil, which makes every read cost 1. Any K shards do for replica and rs. For an
// lrc the sets that the cheapest shards make and that local groups make are compared, the
// group preferred; each is free of shards that want does not need. When the shards that are
// there do not suffice, the error is a *ShardsError.
func (c *Code) Plan(want []int, have []bool, cost func(shard int) float64) ([]int, error) {
	if len(want) == 0 {
		return nil, nil
	}
	price := make([]float64, len(have))
	for i := range price {
		price[i] = 1
		if cost != nil {
			price[i] = cost(i)
		}
	}
	order := slices.DeleteFunc(indexes(have), func(i int) bool { return slices.Contains(want, i) })
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(price[a], price[b]) })
	best, ok := c.cheapest(want, order)
	if !ok {
		return nil, &ShardsError{c.scheme, len(order), slices.Clone(want)}
	}
	if c.scheme.Kind != LRC {
		return best, nil
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(c.apart(a, want), c.apart(b, want)) })
	if local, _ := c.cheapest(want, order); total(local, price) <= total(best, price) {
		return local, nil
	}
	return best, nil
}

func total(reads []int, price []float64) float64 {
	sum := 0.0
	for _, i := range reads {
		sum += price[i]
	}
	return sum
}

// apart is 0 for a shard in the local group of a wanted one, else 1.
func (c *Code) apart(i int, want []int) int {
	g := c.scheme.group(i)
	if g >= 0 && slices.ContainsFunc(want, func(w int) bool { return c.scheme.group(w) == g }) {
		return 0
	}
	return 1
}

// cheapest takes shards in the order given, leaving out those that add nothing, until all
// of want follow from them, and then leaves out those that want does not need.
func (c *Code) cheapest(want, order []int) ([]int, bool) {
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
			reads, _, ok := c.solve(want, reads)
			return reads, ok
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
	for i := range shards {
		if given := max(len(shards[i]), len(dst[i])); given > size {
			return fmt.Errorf("rebuild %v: %d bytes of shard %d in a range of %d", c.scheme, given, i, size)
		}
	}
	var have, want []int
	var out [][]byte
	for i := range shards {
		if dst[i] != nil {
			want, out = append(want, i), append(out, dst[i])
		} else if shards[i] != nil {
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
	return multiply(s.encoder, in, out)
}

// maxSolutions bounds the patterns that a Code remembers; a cluster that lost a few disks
// meets tens of them.
const maxSolutions = 1024

// A solution computes some shards from others.
type solution struct {
	reads   []int
	encoder *product
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
	s := c.solutions[string(key)]
	c.mu.Unlock()
	if s != nil {
		return s, nil
	}
	reads, matrix, ok := c.solve(want, have)
	if !ok {
		return nil, &ShardsError{c.scheme, len(have), slices.Clone(want)}
	}
	enc, err := newProduct(matrix, len(reads))
	if err != nil {
		return nil, fmt.Errorf("rebuild %v: %w", c.scheme, err)
	}
	s = &solution{reads, enc}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.solutions) >= maxSolutions {
		clear(c.solutions)
	}
	c.solutions[string(key)] = s
	return s, nil
}
