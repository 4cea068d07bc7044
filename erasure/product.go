package erasure

import (
	"crypto/subtle"
	"sync"

	"github.com/klauspost/reedsolomon"
)

// widest is how many inputs and outputs the library multiplies in one pass, in one goroutine.
// Of more it takes a slower path, or hands pieces to other goroutines.
const widest = 10

// A product multiplies inputs with a matrix, in blocks of the matrix that are not too wide.
type product struct {
	inputs int
	bands  []band
}

// A band is some rows of the matrix, cut into blocks; the results of all but the first are
// added to the first one's.
type band struct {
	from, to int // outputs
	blocks   []block
}

type block struct {
	from, to int // inputs
	encoder  reedsolomon.Encoder
}

func newProduct(matrix [][]byte, inputs int) (*product, error) {
	p := &product{inputs: inputs}
	for _, rows := range even(len(matrix)) {
		b := band{from: rows[0], to: rows[1]}
		for _, columns := range even(inputs) {
			part := make([][]byte, 0, b.to-b.from)
			for _, row := range matrix[b.from:b.to] {
				part = append(part, row[columns[0]:columns[1]])
			}
			enc, err := reedsolomon.New(columns[1]-columns[0], len(part), reedsolomon.WithCustomMatrix(part), reedsolomon.WithMaxGoroutines(1))
			if err != nil {
				return nil, err
			}
			b.blocks = append(b.blocks, block{columns[0], columns[1], enc})
		}
		p.bands = append(p.bands, b)
	}
	return p, nil
}

// even cuts n into ranges of the same length, or one less, as few as are not too wide.
func even(n int) (ranges [][2]int) {
	parts := (n + widest - 1) / widest
	for i := range parts {
		ranges = append(ranges, [2]int{i * n / parts, (i + 1) * n / parts})
	}
	return ranges
}

// partials is memory for what is added to outputs.
var partials = sync.Pool{New: func() any { return new([widest * pieceSize]byte) }}

// run multiplies: shards is the inputs and then the outputs, all n <= pieceSize bytes long.
func (p *product) run(shards [][]byte, n int) error {
	var work [2 * widest][]byte
	var partial *[widest * pieceSize]byte
	for _, b := range p.bands {
		out := shards[p.inputs+b.from : p.inputs+b.to]
		for i, c := range b.blocks {
			w := append(work[:0], shards[c.from:c.to]...)
			if i == 0 {
				if err := c.encoder.Encode(append(w, out...)); err != nil {
					return err
				}
				continue
			}
			if partial == nil {
				partial = partials.Get().(*[widest * pieceSize]byte)
				defer partials.Put(partial)
			}
			for j := range out {
				w = append(w, partial[j*n:(j+1)*n])
			}
			if err := c.encoder.Encode(w); err != nil {
				return err
			}
			for j, o := range out {
				subtle.XORBytes(o, o, w[c.to-c.from+j])
			}
		}
	}
	return nil
}
