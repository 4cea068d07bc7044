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
// ErrTooFewShards, never wrong bytes.
//
// # The matrices
//
// The generator matrices are part of the format on disk and never change. They are over
// GF(2^8) with polynomial x^8+x^4+x^3+x^2+1 (0x11d) and generator 2. Shards 0 to K-1 are the
// columns themselves. The coefficient of column j is
//
//   - 1 in a copy of replica:N, and in the parity of rs:K+1;
//   - 1/((K+p) xor j), a Cauchy matrix, in parity p of rs:K+M with M > 1;
//   - 1 in the local parity of the column's own group, and 0 in those of others;
//   - c^(p+1) in global parity p of an lrc with R <= 2, where c = 2^(g+17i) for column i of
//     group g when there are at most 17 groups of at most 15 columns, and c = 2^j otherwise;
//   - (K xor j)/((K+p+1) xor j) in global parity p of an lrc with R > 2.
//
// An lrc with R <= 2 and groups of that size is maximally recoverable: it decodes whatever
// any code of its shape could. The groups are lines of GF(2^8) over GF(16) without their
// zero, so that the sum of two elements of one group is never that of two of another, which
// is what R = 2 asks for. With R > 2 the sum of the local parities and the globals are R+1
// rows of a Cauchy matrix (a pyramid code), so that any R+1 lost shards come back, the most
// that can be promised for any pattern, though not every pattern of more that another code
// might decode.
package erasure

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
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
	encoder *product // nil without parity

	mu        sync.Mutex           // guards what follows
	solutions map[string]*solution // by wanted shards and shards at hand
	decodes   map[string]bool      // by mask of shards at hand; lrc only
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
	if s.Kind == Product {
		return nil, fmt.Errorf("%w: %v is modelled and not written", ErrScheme, s)
	}
	c := &Code{scheme: s, rows: s.generator(), solutions: map[string]*solution{}, decodes: map[string]bool{}}
	if s.M > 0 {
		enc, err := newProduct(c.rows[s.K:], s.K)
		if err != nil {
			return nil, fmt.Errorf("scheme %v: %w", s, err)
		}
		c.encoder = enc
	}
	made, _ := codes.LoadOrStore(s, c)
	return made.(*Code), nil
}

// Scheme returns the code's scheme.
func (c *Code) Scheme() Scheme { return c.scheme }

// pieceSize bounds what is coded at once: a piece of every shard stays in the caches.
const pieceSize = 64 << 10

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
	if c.encoder == nil {
		return nil
	}
	return multiply(c.encoder, shards[:k], shards[k:])
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
	const piece = 2 * pieceSize
	scratch := make([]byte, c.scheme.M*min(size, piece))
	fresh := make([][]byte, len(shards))
	for from := 0; from < size; from += piece {
		n := min(piece, size-from)
		for i, p := range shards {
			fresh[i] = cut(p, from, n)
		}
		for i := range c.scheme.M {
			fresh[k+i] = scratch[i*n : (i+1)*n]
		}
		if err := c.Encode(fresh); err != nil {
			return false, err
		}
		for i, p := range fresh[k:] {
			if !bytes.Equal(p, shards[k+i][from:from+n]) {
				return false, nil
			}
		}
	}
	return true, nil
}

// cut returns the part of p within n bytes from an offset.
func cut(p []byte, from, n int) []byte { return p[min(from, len(p)):min(from+n, len(p))] }

func longest(shards [][]byte) int {
	n := 0
	for _, p := range shards {
		n = max(n, len(p))
	}
	return n
}

// multiply runs enc over in as far as the longest of out. Inputs that end earlier continue
// as zeros; of outputs only their own length is computed. The library wants equal lengths,
// so each range between two ends is coded by itself.
func multiply(enc *product, in, out [][]byte) error {
	size := longest(out)
	work := make([][]byte, len(in)+len(out))
	var scratch []byte
	for from := 0; from < size; {
		n := min(pieceSize, size-from)
		for _, list := range [][][]byte{in, out} {
			for _, p := range list {
				if len(p) > from {
					n = min(n, len(p)-from)
				}
			}
		}
		for i, p := range in {
			if work[i] = cut(p, from, n); len(work[i]) == 0 {
				work[i] = zeros[:n]
			}
		}
		for i, p := range out {
			w := &work[len(in)+i]
			if *w = cut(p, from, n); len(*w) > 0 {
				continue
			}
			if scratch == nil {
				scratch = make([]byte, len(out)*min(size, pieceSize))
			}
			*w = scratch[i*n : (i+1)*n]
		}
		if err := enc.run(work, n); err != nil {
			return err
		}
		from += n
	}
	return nil
}
