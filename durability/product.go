package durability

import "math"

// A Product is a product code: Rows sites, each with a row of Cols shards of which RowM may be
// lost, and columns across the sites of which ColM may be (1 for XOR). Wattle does not write
// it; the code is that of f4 (Muralidhar et al., OSDI 2014) with 3 rows of 14 and RowM 4.
//
// It decodes by peeling: rows and columns with no more losses than they stand are filled in,
// until nothing changes.
type Product struct {
	Rows, Cols int
	RowM, ColM int
}

// A ProductLoss is what a product code does not stand.
type ProductLoss struct {
	P     float64 // probability that shards lost each with probability q cannot be given back
	Least int     // fewest losses that cannot
	Count float64 // how many patterns of that many losses
}

// maxWork bounds the sum over the kinds of columns.
var maxWork = 3e8

// Loss sums over how many columns have lost which rows: a column matters by its set of lost
// rows, and only if that is more than ColM of them. It is exact.
func (c Product) Loss(q float64) (ProductLoss, error) {
	if err := c.validate(q); err != nil {
		return ProductLoss{}, err
	}
	s := productSum{Product: c, q: q, out: ProductLoss{Least: math.MaxInt}}
	for set := range 1 << c.Rows {
		if rows := bits(set); rows > c.ColM {
			s.kinds = append(s.kinds, set)
			s.p = append(s.p, math.Pow(q, float64(rows))*math.Pow(1-q, float64(c.Rows-rows)))
		} else {
			s.rest += math.Pow(q, float64(rows)) * math.Pow(1-q, float64(c.Rows-rows))
		}
	}
	s.counts = make([]int, len(s.kinds))
	s.walk(0, c.Cols, 1, 1, 0)
	if s.out.Count == 0 {
		s.out.Least = 0 // nothing is ever lost
	}
	return s.out, nil
}

func (c Product) validate(q float64) error {
	if c.Rows < 1 || c.Cols < 1 || c.Rows > 8 || c.Rows*c.Cols > 1<<12 {
		return inputf("product code of %d rows and %d columns: want 1 to 8 rows and 1 column or more", c.Rows, c.Cols)
	}
	if c.RowM < 0 || c.RowM >= c.Cols || c.ColM < 0 || c.ColM >= c.Rows {
		return inputf("product code that stands %d of %d losses in a row and %d of %d in a column: want fewer than all", c.RowM, c.Cols, c.ColM, c.Rows)
	}
	if math.IsNaN(q) || q < 0 || q > 1 {
		return inputf("shard loss probability %v: want 0 to 1", q)
	}
	kinds := 0
	for set := range 1 << c.Rows {
		if bits(set) > c.ColM {
			kinds++
		}
	}
	if n := choose(c.Cols+kinds, kinds); n*float64(kinds*c.Rows) > maxWork {
		return inputf("product code of %d rows and %d columns: %.2g kinds of loss are too many to add up; use fewer rows or columns", c.Rows, c.Cols, n)
	}
	return nil
}

func bits(set int) int {
	n := 0
	for ; set > 0; set &= set - 1 {
		n++
	}
	return n
}

type productSum struct {
	Product
	q      float64
	kinds  []int
	p      []float64 // probability of a column of that kind
	rest   float64   // of one that its own parity gives back
	counts []int
	out    ProductLoss
}

// walk chooses how many of the columns left are of kind i, with the ways and the probability so far.
func (s *productSum) walk(i, left int, ways, p float64, losses int) {
	if i == len(s.kinds) {
		if !s.stalls() {
			return
		}
		s.out.P += ways * p * math.Pow(s.rest, float64(left))
		switch {
		case losses < s.out.Least:
			s.out.Least, s.out.Count = losses, ways
		case losses == s.out.Least:
			s.out.Count += ways
		}
		return
	}
	power := 1.0
	for n := 0; n <= left; n++ {
		s.counts[i] = n
		s.walk(i+1, left-n, ways*choose(left, n), p*power, losses+n*bits(s.kinds[i]))
		power *= s.p[i]
	}
	s.counts[i] = 0
}

// stalls tells whether peeling ends before all is given back. Rows are filled in one by one; a
// column counts against a row while it has more than ColM losses in rows not yet filled in.
func (s *productSum) stalls() bool {
	stuck := 1<<s.Rows - 1
	for again := true; again && stuck != 0; {
		again = false
		for row := range s.Rows {
			if stuck&(1<<row) == 0 {
				continue
			}
			n := 0
			for i, set := range s.kinds {
				if set&(1<<row) != 0 && bits(set&stuck) > s.ColM {
					n += s.counts[i]
				}
			}
			if n <= s.RowM {
				stuck &^= 1 << row
				again = true
			}
		}
	}
	return stuck != 0
}

// undecodable is the share of the patterns with so many losses in each row that cannot be
// decoded. A row with no more than RowM is given back by itself; a single one with more, by the
// columns; of two, what is lost in both stays, and stalls when it is more than RowM. Three and
// more are counted as lost, which errs on the side of loss. ColM is 1.
func (c Product) undecodable(lost []byte) float64 {
	var stuck []int
	for _, l := range lost {
		if n := c.lostOf(l); n > c.RowM {
			stuck = append(stuck, n)
		}
	}
	switch len(stuck) {
	case 0, 1:
		return 0
	case 2:
		p := 0.0
		for both := min(stuck[0], stuck[1]); both > c.RowM; both-- {
			p += hypergeometric(c.Cols, stuck[0], stuck[1], both)
		}
		return math.Min(1, p)
	}
	return 1
}

func (c Product) lostOf(l byte) int {
	if l == down {
		return c.Cols
	}
	return int(l)
}

// beyond is the number of losses at sites that stand, the worst of them apart, from which on a
// stripe is counted as lost: two more than the fewest that can be fatal, which keeps the chain small.
func (c Product) beyond() int { return c.RowM + 1 + 2 }

// moves is the step of a product code's chain from losses by row to others.
func (c Product) moves(latent float64) func(before, after []byte) (survive, gone float64) {
	return func(before, after []byte) (float64, float64) {
		was, is, standing, worst := 0, 0, 0, 0
		for i := range after {
			was, is = was+c.lostOf(before[i]), is+c.lostOf(after[i])
			if after[i] != down {
				standing, worst = standing+int(after[i]), max(worst, int(after[i]))
			}
		}
		if is <= was {
			return 1, 0
		}
		worse, less := c.undecodable(after), c.undecodable(before)
		if worse >= 1 || standing-worst > c.beyond() {
			return 0, 1
		}
		gone := math.Max(0, worse-less) / (1 - less)
		l := c.latentLoss(after, latent)
		return (1 - gone) * (1 - l), gone + (1-gone)*l
	}
}

// latentLoss is the probability that one or two of the shards left are unreadable, and enough.
func (c Product) latentLoss(lost []byte, p float64) float64 {
	if p == 0 {
		return 0
	}
	now, sum := c.undecodable(lost), 0.0
	more := []byte(string(lost))
	for i, l := range lost {
		alive := c.Cols - c.lostOf(l)
		if alive == 0 {
			continue
		}
		more[i]++
		sum += float64(alive) * p * math.Max(0, c.undecodable(more)-now)
		for j := i; j < len(lost); j++ {
			pairs := choose(alive, 2)
			if j > i {
				pairs = float64(alive * (c.Cols - c.lostOf(lost[j])))
			}
			if pairs > 0 {
				more[j]++
				sum += pairs * p * p * math.Max(0, c.undecodable(more)-now)
				more[j]--
			}
		}
		more[i]--
	}
	return math.Min(1, sum/(1-now))
}
