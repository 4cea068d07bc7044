package erasure

import "slices"

// Arithmetic of GF(2^8) with polynomial x^8+x^4+x^3+x^2+1, as the library has it. It serves
// to build and invert small matrices; bytes of shards go through the library.

var exps, logs = tables()

func tables() (e [510]byte, l [256]int) {
	x := 1
	for i := range 255 {
		e[i], e[i+255] = byte(x), byte(x)
		l[x] = i
		if x <<= 1; x > 255 {
			x ^= 0x11d
		}
	}
	return e, l
}

func mul(a, b byte) byte {
	if a == 0 || b == 0 {
		return 0
	}
	return exps[logs[a]+logs[b]]
}

func inverse(a byte) byte { return exps[255-logs[a]] }

func power(a byte, n int) byte {
	v := byte(1)
	for range n {
		v = mul(v, a)
	}
	return v
}

// addScaled adds f times src to dst.
func addScaled(dst, src []byte, f byte) {
	if f == 0 {
		return
	}
	for i, v := range src {
		dst[i] ^= mul(v, f)
	}
}

// An elimination keeps rows in echelon form.
type elimination struct {
	rows   [][]byte
	pivots []int
}

// reduce returns row less what the kept rows explain of it.
func (e *elimination) reduce(row []byte) []byte {
	r := slices.Clone(row)
	for i, p := range e.pivots {
		addScaled(r, e.rows[i], r[p])
	}
	return r
}

// add keeps row and returns true, unless the kept rows explain it.
func (e *elimination) add(row []byte) bool {
	r := e.reduce(row)
	p := slices.IndexFunc(r, func(v byte) bool { return v != 0 })
	if p < 0 {
		return false
	}
	f := inverse(r[p])
	for i := range r {
		r[i] = mul(r[i], f)
	}
	e.rows, e.pivots = append(e.rows, r), append(e.pivots, p)
	return true
}

// spans tells whether the kept rows explain row.
func (e *elimination) spans(row []byte) bool {
	return !slices.ContainsFunc(e.reduce(row), func(v byte) bool { return v != 0 })
}

func (c *Code) rank(have []bool) int {
	var e elimination
	for _, i := range indexes(have) {
		e.add(c.rows[i])
	}
	return len(e.rows)
}

// solve finds a matrix X with want = X · reads, over some of the shards of have.
func (c *Code) solve(want, have []int) (reads []int, matrix [][]byte, ok bool) {
	// rows of the elimination carry behind their K coefficients how they are made of reads
	k := c.scheme.K
	var e elimination
	var basis elimination
	for _, i := range have {
		if len(reads) < k && basis.add(c.rows[i]) {
			reads = append(reads, i)
		}
	}
	for j, i := range reads {
		row := make([]byte, k+len(reads))
		copy(row, c.rows[i])
		row[k+j] = 1
		e.add(row)
	}
	used := make([]bool, len(reads))
	for _, w := range want {
		row := make([]byte, k+len(reads))
		copy(row, c.rows[w])
		r := e.reduce(row)
		if slices.ContainsFunc(r[:k], func(v byte) bool { return v != 0 }) {
			return nil, nil, false
		}
		for j, v := range r[k:] {
			used[j] = used[j] || v != 0
		}
		matrix = append(matrix, r[k:])
	}
	return prune(reads, matrix, used)
}

// prune leaves out reads that no wanted shard needs.
func prune(reads []int, matrix [][]byte, used []bool) ([]int, [][]byte, bool) {
	var kept []int
	thin := make([][]byte, len(matrix))
	for j, u := range used {
		if !u {
			continue
		}
		kept = append(kept, reads[j])
		for i := range matrix {
			thin[i] = append(thin[i], matrix[i][j])
		}
	}
	return kept, thin, len(kept) > 0
}
