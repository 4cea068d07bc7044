package durability

import (
	"fmt"
	"math"
)

// A Chain is a line of states 0, 1, … losses. Fail[j] is the rate from j losses to j+1, and
// Repair[j] from j to j−1; Repair[0] is not used. len(Fail) losses are one too many.
type Chain struct {
	Fail, Repair []float64
}

// Validate tells why a chain cannot be, if so.
func (c Chain) Validate() error {
	if n := len(c.Fail); n == 0 || n > MaxShards || n != len(c.Repair) {
		return inputf("%d fail rates and %d repair rates: want as many of one as of the other (repair[0] is not used), 1 to %d", n, len(c.Repair), MaxShards)
	}
	for j := range c.Fail {
		if err := positive(fmt.Sprintf("fail[%d]", j), c.Fail[j]); err != nil {
			return err
		}
		if err := notNegative(fmt.Sprintf("repair[%d]", j), c.Repair[j]); err != nil {
			return err
		}
	}
	return nil
}

// MTTDL is the mean time from no losses to too many: the sum over j of the mean time h(j) from
// j losses to j+1, with h(j) = (1 + Repair[j]·h(j−1)) / Fail[j].
func (c Chain) MTTDL() float64 {
	sum, h := 0.0, 0.0
	for j, f := range c.Fail {
		h = (1 + c.up(j)*h) / f
		sum += h
	}
	return sum
}

// up is the repair rate, 0 from no losses.
func (c Chain) up(j int) float64 {
	if j == 0 {
		return 0
	}
	return c.Repair[j]
}

// PDL is the probability of too many losses within t, from none.
func (c Chain) PDL(t float64) (float64, error) { return c.Markov().PDL(0, t) }

// Markov returns the same chain in the general form.
func (c Chain) Markov() *Markov {
	m := NewMarkov(len(c.Fail))
	for j := range c.Fail {
		m.Arc(j, j+1, c.Fail[j])
		m.Arc(j, j-1, c.up(j))
	}
	return m
}

// Escape returns, by number of losses, the probability of one more before the next repair
// leads back to none: v(j) = P(too many | j lost, before none are). It is what importance
// sampling wants to know.
func (c Chain) Escape() []float64 {
	n := len(c.Fail)
	v := make([]float64, n+1)
	v[n] = 1
	// With g(j) = v(j)/v(j+1): g(1) = f1/(f1+r1), g(j) = f/(f + r(1−g(j−1))), and 1−g by its own recurrence.
	g, not := make([]float64, n+1), 1.0
	for j := 1; j < n; j++ {
		f, r := c.Fail[j], c.Repair[j]*not
		g[j], not = f/(f+r), r/(f+r)
	}
	for j := n - 1; j >= 1; j-- {
		v[j] = g[j] * v[j+1]
	}
	v[0] = v[1]
	if n == 1 {
		v[0] = 1
	}
	return v
}

// A RepairMode says how many lost shards of a stripe are made anew at a time.
type RepairMode string

// The modes: each lost shard by itself, or one after another.
const (
	Parallel RepairMode = "parallel"
	Single   RepairMode = "single"
)

// MDS is the chain of a stripe of n shards of which any m may be lost, each failing at rate
// lam and repaired at rate mu.
func MDS(n, m int, lam, mu float64, mode RepairMode) (Chain, error) {
	if err := shards(n, m); err != nil {
		return Chain{}, err
	}
	if err := positive("failure rate", lam); err != nil {
		return Chain{}, err
	}
	if err := positive("repair rate", mu); err != nil {
		return Chain{}, err
	}
	if mode != Parallel && mode != Single && mode != "" {
		return Chain{}, inputf("repair %q: want parallel or single", mode)
	}
	c := Chain{make([]float64, m+1), make([]float64, m+1)}
	for j := range m + 1 {
		c.Fail[j] = float64(n-j) * lam
		c.Repair[j] = math.Min(float64(j), 1) * mu
		if mode != Single {
			c.Repair[j] = float64(j) * mu
		}
	}
	return c, nil
}
