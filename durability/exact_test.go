package durability

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"testing"

	"pgregory.net/rapid"
)

// precision of the independent check, in bits: about 210 digits.
const precision = 700

// bigPDL is the probability of loss within t by the plain exponential of the generator, signs
// and all, in enough digits for the cancellations not to matter. It shares nothing with the
// code under test but the rates.
func bigPDL(c *Markov, start int, t float64) *big.Float {
	n := len(c.loss) + 1
	zero := func() *big.Float { return new(big.Float).SetPrec(precision) }
	q := make([][]*big.Float, n)
	for i := range q {
		q[i] = make([]*big.Float, n)
		for j := range q[i] {
			q[i][j] = zero()
		}
	}
	add := func(i, j int, rate float64) {
		r := zero().SetFloat64(rate)
		q[i][j].Add(q[i][j], r)
		q[i][i].Sub(q[i][i], r)
	}
	fastest := 0.0
	for i, arcs := range c.arcs {
		for _, a := range arcs {
			add(i, a.to, a.rate)
		}
		add(i, n-1, c.loss[i])
		fastest = math.Max(fastest, c.exit(i))
	}
	squarings := max(0, int(math.Ceil(math.Log2(fastest*t)))+8)
	h := zero().SetMantExp(zero().SetFloat64(t), -squarings)
	for i := range q {
		for j := range q[i] {
			q[i][j].Mul(q[i][j], h)
		}
	}
	x, term := identity(n), identity(n)
	for k := 1; k < 80; k++ {
		term = times(term, q)
		for i := range term {
			for j := range term[i] {
				term[i][j].Quo(term[i][j], zero().SetInt64(int64(k)))
				x[i][j].Add(x[i][j], term[i][j])
			}
		}
	}
	for range squarings {
		x = times(x, x)
	}
	return x[start][n-1]
}

func identity(n int) [][]*big.Float {
	m := make([][]*big.Float, n)
	for i := range m {
		m[i] = make([]*big.Float, n)
		for j := range m[i] {
			m[i][j] = new(big.Float).SetPrec(precision)
		}
		m[i][i].SetInt64(1)
	}
	return m
}

func times(a, b [][]*big.Float) [][]*big.Float {
	out := identity(len(a))
	p := new(big.Float).SetPrec(precision)
	for i := range a {
		for j := range a {
			sum := out[i][j].SetInt64(0)
			for k := range a {
				if a[i][k].Sign() != 0 && b[k][j].Sign() != 0 {
					sum.Add(sum, p.Mul(a[i][k], b[k][j]))
				}
			}
		}
	}
	return out
}

// agree wants a to be b within a relative tolerance.
func agree(t testing.TB, what string, got float64, want *big.Float, tolerance float64) {
	t.Helper()
	w, _ := want.Float64()
	diff, _ := new(big.Float).Quo(new(big.Float).Sub(big.NewFloat(got).SetPrec(precision), want), want).Float64()
	if math.Abs(diff) > tolerance || math.IsNaN(diff) {
		t.Errorf("%s: got %.15g, want %.15g: off by %.2g", what, got, w, diff)
	}
}

func near(t testing.TB, what string, got, want, tolerance float64) {
	t.Helper()
	agree(t, what, got, new(big.Float).SetPrec(precision).SetFloat64(want), tolerance)
}

// TestPDLAgainstBigFloats: right to 1e-9 from certain loss down to below 1e-50, by both ways
// of solving, with slow and fast repair and for short and long times.
func TestPDLAgainstBigFloats(t *testing.T) {
	for _, c := range []struct {
		n, m       int
		lam, mu, t float64
		mode       RepairMode
	}{
		{1, 0, 1e-6, 1, 8766, Parallel},
		{3, 2, 1.7e-6, 0.04, 8766, Parallel},
		{6, 2, 1e-4, 0.02, 87600, Single},
		{14, 4, 1.6e-6, 4, 8766, Parallel},
		{14, 4, 1e-3, 1e-3, 8766, Parallel},
		{15, 6, 1.7e-6, 2, 87660, Single},
		{20, 3, 4.6e-7, 1e-2, 1, Parallel},
		{15, 8, 1.7e-6, 0.04, 24, Parallel},
		{30, 7, 1e-7, 1, 8766, Parallel},
		{40, 12, 1.14e-6, 0.1, 87660, Parallel},
		{100, 9, 1e-6, 0.05, 8766, Single},
	} {
		chain, err := MDS(c.n, c.m, c.lam, c.mu, c.mode)
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("%d shards, %d may be lost, %v %v for %v h", c.n, c.m, c.lam, c.mu, c.t)
		m := chain.Markov()
		want := bigPDL(m, 0, c.t)
		got, err := chain.PDL(c.t)
		if err != nil {
			t.Fatal(err)
		}
		agree(t, name, got, want, 1e-9)
		fastest := 0.0
		for s := range m.States() {
			fastest = math.Max(fastest, m.exit(s))
		}
		agree(t, name+", doubled", m.doubled(0, c.t, fastest, m.loss), want, 1e-9)
		if fastest*c.t < 1e6 {
			agree(t, name+", uniformised", m.uniformised(0, c.t, fastest, m.loss), want, 1e-9)
			agree(t, name+", uniformised faster", m.uniformised(0, c.t, 1.7*fastest, m.loss), want, 1e-9)
		}
	}
}

// TestSitesAgainstEveryState: the chain by multiset of losses is that of all states, each shard
// and site told from the others, solved in big floats.
func TestSitesAgainstEveryState(t *testing.T) {
	for _, c := range []struct {
		sizes []int
		m     int
	}{{[]int{1, 1, 1}, 2}, {[]int{1, 2}, 2}, {[]int{2, 2}, 1}} {
		r := Rates{Fail: 2e-5, Repair: Repairs(0.03, Parallel), Site: 3e-6, Return: 1e-3, Bursts: []Burst{{Rate: 1e-4, Share: 0.25, Hosts: 8}}}
		s := Stripe{Sites: c.sizes, Lose: MDSLose(c.m)}
		chain, lumped, err := s.Chain(r, MostStates)
		if err != nil || lumped {
			t.Fatal(lumped, err)
		}
		got, err := chain.PDL(0, 8766)
		if err != nil {
			t.Fatal(err)
		}
		agree(t, fmt.Sprint(c), got, bigPDL(everyState(c.sizes, c.m, r), 0, 8766), 1e-9)
	}
}

// everyState is the chain whose state is a set of lost shards and a set of destroyed sites.
func everyState(sizes []int, m int, r Rates) *Markov {
	n := 0
	var site []int
	for i, c := range sizes {
		n += c
		for range c {
			site = append(site, i)
		}
	}
	chain := NewMarkov(1 << (n + len(sizes)))
	for state := range chain.States() {
		standing := func(s int) bool { return state>>n>>s&1 == 0 }
		to := func(next int, rate float64) {
			lost := 0
			for i := range n {
				if next>>i&1 == 1 || next>>n>>site[i]&1 == 1 {
					lost++
				}
			}
			if lost > m {
				next = chain.States()
			}
			chain.Arc(state, next, rate)
		}
		for i := range n {
			if standing(site[i]) {
				if state>>i&1 == 0 {
					to(state|1<<i, r.Fail)
				} else {
					to(state&^(1<<i), r.Repair(1)) // parallel: each by itself
				}
			}
		}
		for s := range sizes {
			shards, alive := 0, []int{}
			for i := range n {
				if site[i] == s {
					shards |= 1 << i
					if state>>i&1 == 0 {
						alive = append(alive, i)
					}
				}
			}
			if !standing(s) {
				to(state&^shards&^(1<<n<<s), r.Return)
				continue
			}
			to(state&^shards|1<<n<<s, r.Site)
			for set := 1; set < 1<<len(alive); set++ { // two of eight hosts die
				next, hit := state, bits(set)
				for k, i := range alive {
					if set>>k&1 == 1 {
						next |= 1 << i
					}
				}
				b := r.Bursts[0]
				to(next, b.Rate*choose(b.Hosts-len(alive), 2-hit)/choose(b.Hosts, 2))
			}
		}
	}
	return chain
}

// TestMTTDL: the recurrence, the elimination and sixty digits agree.
func TestMTTDL(t *testing.T) {
	for _, c := range [][2]float64{{1e-6, 0.1}, {1e-9, 10}, {1e-2, 1e-3}} {
		for _, nm := range [][2]int{{14, 4}, {20, 6}, {40, 12}, {3, 2}} {
			chain, err := MDS(nm[0], nm[1], c[0], c[1], Parallel)
			if err != nil {
				t.Fatal(err)
			}
			want := bigMTTDL(chain)
			agree(t, fmt.Sprint("recurrence ", c, nm), chain.MTTDL(), want, 1e-12)
			got, err := chain.Markov().MTTDL(0)
			if err != nil {
				t.Fatal(err)
			}
			agree(t, fmt.Sprint("elimination ", c, nm), got, want, 1e-12)
		}
	}
}

// bigMTTDL solves −Q·h = 1 by Gaussian elimination in big floats.
func bigMTTDL(c Chain) *big.Float {
	n := len(c.Fail)
	f := func(v float64) *big.Float { return new(big.Float).SetPrec(precision).SetFloat64(v) }
	a := identity(n)
	b := make([]*big.Float, n)
	for i := range n {
		b[i] = f(1)
		a[i][i] = f(c.Fail[i])
		if i > 0 {
			a[i][i].Add(a[i][i], f(c.Repair[i]))
			a[i][i-1] = f(-c.Repair[i])
		}
		if i+1 < n {
			a[i][i+1] = f(-c.Fail[i])
		}
	}
	for i := n - 1; i > 0; i-- { // eliminate above
		k := new(big.Float).SetPrec(precision).Quo(a[i-1][i], a[i][i])
		for j := range n {
			a[i-1][j].Sub(a[i-1][j], new(big.Float).SetPrec(precision).Mul(k, a[i][j]))
		}
		b[i-1].Sub(b[i-1], new(big.Float).SetPrec(precision).Mul(k, b[i]))
	}
	return b[0].Quo(b[0], a[0][0])
}

// TestElimination: mean times in float64 by plain elimination lose all digits where ours keep them.
func TestElimination(t *testing.T) {
	c, _ := MDS(14, 6, 1e-6, 0.1, Parallel)
	n := len(c.Fail)
	// ordinary elimination from the first state down, in float64
	diag, rhs := make([]float64, n), make([]float64, n)
	for i := range n {
		diag[i], rhs[i] = c.Fail[i]+c.up(i), 1
		if i > 0 {
			k := c.Repair[i] / diag[i-1]
			diag[i] -= k * c.Fail[i-1]
			rhs[i] += k * rhs[i-1]
		}
	}
	h := rhs[n-1] / diag[n-1]
	for i := n - 2; i >= 0; i-- {
		h = (rhs[i] + c.Fail[i]*h) / diag[i]
	}
	if d := relativeDifference(h, c.MTTDL()); d < 0.1 {
		t.Errorf("plain elimination is off by %.2g only: the test no longer tests", d)
	}
	agree(t, "ours", c.MTTDL(), bigMTTDL(c), 1e-12)
}

// TestEscape: the probability to end in loss from j losses before there are none.
func TestEscape(t *testing.T) {
	c := Chain{[]float64{3, 2, 1}, []float64{0, 5, 7}}
	v := c.Escape()
	// by hand: v1 = 2/7·v2, v2 = 1/8 + 7/8·v1
	v2 := (1.0 / 8) / (1 - 7.0/8*2/7)
	for j, want := range []float64{2.0 / 7 * v2, 2.0 / 7 * v2, v2, 1} {
		near(t, fmt.Sprint("from ", j), v[j], want, 1e-14)
	}
}

func TestCasesOfTheFile(t *testing.T) {
	file, err := os.Open("testdata/cases.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	f, err := ReadCases("cases.yaml", file)
	if err != nil {
		t.Fatal(err)
	}
	count := map[Verdict]int{}
	for _, c := range f.Cases {
		o := f.Check(c)
		count[o.Verdict]++
		if o.Verdict != Pass && o.Verdict != Irreproducible {
			t.Errorf("%s: %s %v", o.ID, o.Verdict, o.Err())
		}
	}
	if count[Pass] != 44 || count[Irreproducible] != 3 {
		t.Errorf("%v: want 44 passed and 3 not reproducible", count)
	}
}

// TestLRCByEnumeration: counts of patterns are those of going through all of them.
func TestLRCByEnumeration(t *testing.T) {
	for _, c := range []LRC{{6, 2, 2}, {4, 2, 1}, {7, 3, 2}, {5, 0, 2}, {6, 3, 0}} {
		sizes, rest := c.groups()
		lost := make([]float64, c.N()+1)
		for set := range 1 << c.N() {
			left, at := 0, 0
			for _, size := range sizes {
				left += max(0, bits(set>>at&(1<<size-1))-1)
				at += size
			}
			if left+bits(set>>at&(1<<rest-1)) > c.R {
				lost[bits(set)]++
			}
		}
		for e := range lost {
			got, all := c.Patterns(e)
			if got != lost[e] || all != choose(c.N(), e) {
				t.Errorf("%v, %d lost: %v of %v, want %v", c, e, got, all, lost[e])
			}
		}
	}
}

// TestLRCChain: exact by class, near the chain by number of losses, and between the codes that
// stand fewer and more.
func TestLRCChain(t *testing.T) {
	c := LRC{12, 2, 2}
	lam, mu := 1.7e-6, 1.0/24
	pdl := func(m *Markov, err error) float64 {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		p, err := m.PDL(0, YearHours)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	got := pdl(c.Chain(lam, Repairs(mu, Parallel)))
	level, _, err := Stripe{Sites: []int{16}, Lose: c.Lose()}.Chain(Rates{Fail: lam, Repair: Repairs(mu, Parallel)}, MostStates)
	byLevel := pdl(level, err)
	three, _ := MDS(16, 3, lam, mu, Parallel)
	four, _ := MDS(16, 4, lam, mu, Parallel)
	p3, p4 := pdl(three.Markov(), nil), pdl(four.Markov(), nil)
	if !(p4 < got && got < p3) {
		t.Errorf("lrc %.3g is not between %.3g and %.3g", got, p4, p3)
	}
	near(t, "by level", byLevel, got, 0.15)
	// without groups it is an MDS code
	plain := LRC{10, 0, 4}
	rs, _ := MDS(14, 4, lam, mu, Parallel)
	near(t, "no groups", pdl(plain.Chain(lam, Repairs(mu, Parallel))), pdl(rs.Markov(), nil), 1e-12)
}

// TestProductByEnumeration: small product codes, all patterns, peeled shard by shard.
func TestProductByEnumeration(t *testing.T) {
	for _, c := range []Product{{2, 4, 1, 1}, {3, 4, 1, 1}, {3, 3, 1, 2}, {4, 3, 1, 1}} {
		const q = 0.07
		p, least, count := 0.0, math.MaxInt, 0.0
		cells := c.Rows * c.Cols
		for set := range 1 << cells {
			if c.peels(set) {
				continue
			}
			e := bits(set)
			p += math.Pow(q, float64(e)) * math.Pow(1-q, float64(cells-e))
			if e < least {
				least, count = e, 0
			}
			if e == least {
				count++
			}
		}
		got, err := c.Loss(q)
		if err != nil {
			t.Fatal(err)
		}
		near(t, fmt.Sprint(c), got.P, p, 1e-12)
		if got.Least != least || got.Count != count {
			t.Errorf("%v: %d losses in %v ways, want %d in %v", c, got.Least, got.Count, least, count)
		}
	}
}

// peels fills in a grid, cell by cell.
func (c Product) peels(set int) bool {
	for again := true; again && set != 0; {
		again = false
		for r := range c.Rows {
			row := (1<<c.Cols - 1) << (r * c.Cols)
			if set&row != 0 && bits(set&row) <= c.RowM {
				set, again = set&^row, true
			}
		}
		for k := range c.Cols {
			col := 0
			for r := range c.Rows {
				col |= 1 << (r*c.Cols + k)
			}
			if set&col != 0 && bits(set&col) <= c.ColM {
				set, again = set&^col, true
			}
		}
	}
	return set == 0
}

// TestHypergeometric: sums to one, small and large, and sampling without replacement.
func TestHypergeometric(t *testing.T) {
	for _, c := range [][3]int{{20, 5, 6}, {5000, 50, 14}, {300, 299, 3}, {70, 0, 5}} {
		sum := 0.0
		for i := range c[2] + 1 {
			sum += hypergeometric(c[0], c[1], c[2], i)
		}
		near(t, fmt.Sprint(c), sum, 1, 1e-12)
	}
	near(t, "many drawn", hypergeometric(3e10, 3, 3e8, 1), 3*0.01*0.99*0.99, 1e-6)
	near(t, "two of two", hypergeometric(1000, 10, 2, 2), 10.0*9/(1000*999), 1e-14)
}

// TestMoreIsSafer: more parity, faster repair, better disks and less time never lose more.
func TestMoreIsSafer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 30).Draw(t, "n")
		m := rapid.IntRange(0, n-2).Draw(t, "m")
		lam := math.Pow(10, rapid.Float64Range(-8, -3).Draw(t, "lam"))
		mu := math.Pow(10, rapid.Float64Range(-3, 0).Draw(t, "mu"))
		mode := rapid.SampledFrom([]RepairMode{Parallel, Single}).Draw(t, "mode")
		pdl := func(n, m int, lam, mu, hours float64) float64 {
			c, err := MDS(n, m, lam, mu, mode)
			if err != nil {
				t.Fatal(err)
			}
			p, err := c.PDL(hours)
			if err != nil {
				t.Fatal(err)
			}
			if !(p >= 0 && p <= 1) {
				t.Fatalf("probability %v", p)
			}
			return p
		}
		base := pdl(n, m, lam, mu, YearHours)
		const slack = 1 + 1e-9
		for name, better := range map[string]float64{
			"more parity": pdl(n, m+1, lam, mu, YearHours), "faster repair": pdl(n, m, lam, 2*mu, YearHours),
			"better disks": pdl(n, m, lam/2, mu, YearHours), "less time": pdl(n, m, lam, mu, YearHours/2),
		} {
			if better > base*slack {
				t.Fatalf("%s: %g is more than %g", name, better, base)
			}
		}
	})
}

// TestLumped: the chain of (sites down, shards lost) is exact without disasters, and errs on the side of loss with them.
func TestLumped(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 10 {
		s := Stripe{Sites: Even(8+rng.IntN(8), 2+rng.IntN(3)), Lose: MDSLose(4)}
		r := Rates{Fail: 1e-5, Repair: Repairs(0.05, Parallel), Return: 1e-3}
		for _, c := range []struct{ site, over float64 }{{0, 1e-9}, {2e-7, 2}} {
			r.Site = c.site
			exact, _, err := s.Chain(r, MostStates)
			if err != nil {
				t.Fatal(err)
			}
			want, _ := exact.PDL(0, YearHours)
			got, _ := s.lumpedChain(r).PDL(0, YearHours)
			if got < want*(1-1e-3) || got > want*(1+c.over) {
				t.Errorf("%v, disasters %v: %g for %g", s.Sites, c.site, got, want)
			}
		}
	}
}
