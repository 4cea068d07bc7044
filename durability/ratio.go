package durability

import (
	"fmt"
	"math"
)

// A RatioEvidence is a simulated ratio of the losses of two systems, and what it rests on. Both
// met the same dice, cycle by cycle, so that its interval is that of the ratio and not those of
// two figures.
type RatioEvidence struct {
	Point       float64  `json:"point"`
	Low         float64  `json:"low"` // of the 95 % interval
	High        float64  `json:"high"`
	RelError    float64  `json:"relative_error"` // standard error of the logarithm
	Correlation float64  `json:"correlation"`    // of the losses of the two in the same cycles
	Apart       float64  `json:"relative_error_apart"`
	Seed        uint64   `json:"seed"`
	Thin        string   `json:"thin,omitempty"` // why it should not be relied on
	Exact       float64  `json:"exact_stand_in"` // of the two Markov chains
	Of          Evidence `json:"of"`
	To          Evidence `json:"to"`
}

// Ratio estimates the loss of a system over that of another, both under the same random
// numbers: cycle i of a kind of beginning has the same ages, times and luck in both.
func Ratio(of, to System, m Simulation) (RatioEvidence, error) {
	a, exactA, err := of.world(m)
	if err != nil {
		return RatioEvidence{}, err
	}
	b, exactB, err := to.world(m)
	if err != nil {
		return RatioEvidence{}, err
	}
	r := RatioEvidence{Seed: m.Seed}
	var sumA, sumB sums
	var shared pairSums
	others := map[string]beginning{}
	for _, k := range b.beginnings() {
		others[k.name] = k
	}
	for _, k := range a.beginnings() {
		other, both := others[k.name]
		if !both {
			r.Of.Strata = append(r.Of.Strata, a.stratum(k, &sumA))
			a.lengths(k, &sumA)
			continue
		}
		delete(others, k.name)
		shared.losses += r.pair(a, b, k, other, &sumA, &sumB)
		shared.lengths += pairLengths(a, b, k, other, &sumA, &sumB)
	}
	for _, k := range b.beginnings() {
		if _, alone := others[k.name]; alone {
			r.To.Strata = append(r.To.Strata, b.stratum(k, &sumB))
			b.lengths(k, &sumB)
		}
	}
	a.settle(&r.Of, sumA, exactA)
	b.settle(&r.To, sumB, exactB)
	r.settle(sumA, sumB, shared)
	return r, nil
}

// pairSums are the covariances of two systems: of their losses, and of the hours in cycles.
type pairSums struct{ losses, lengths float64 }

// pair makes the cycles of a stratum in both worlds; their covariance.
func (r *RatioEvidence) pair(a, b *world, ka, kb beginning, sumA, sumB *sums) float64 {
	ta, tb := a.tally(ka), b.tally(kb)
	product := 0.0
	for cycle := range a.m.Cycles {
		x, y := a.one(ka, cycle), b.one(kb, cycle)
		ta.add(x, sumA)
		tb.add(y, sumB)
		product += x * y
	}
	n := float64(a.m.Cycles)
	r.Of.Strata, r.To.Strata = append(r.Of.Strata, ta.end(sumA)), append(r.To.Strata, tb.end(sumB))
	return ta.times() * tb.times() * (product/n - ta.total/n*tb.total/n) / n
}

func pairLengths(a, b *world, ka, kb beginning, sumA, sumB *sums) float64 {
	ta, tb := a.lengthTally(ka), b.lengthTally(kb)
	product := 0.0
	for cycle := range ta.cycles {
		x, y := a.natural(ka, cycle), b.natural(kb, cycle)
		ta.add(x)
		tb.add(y)
		product += x * y
	}
	ta.end(sumA)
	tb.end(sumB)
	n := float64(ta.cycles)
	return ta.rate * tb.rate * (product/n - ta.sum/n*tb.sum/n) / n
}

// settle turns the sums into the ratio and its interval: of the logarithm, whose variance is that
// of both less twice what they share.
func (r *RatioEvidence) settle(a, b sums, shared pairSums) {
	if r.To.Exact > 0 {
		r.Exact = r.Of.Exact / r.To.Exact
	}
	switch {
	case r.Of.Hits == 0 || r.To.Hits == 0:
		r.Thin = fmt.Sprintf("%d and %d hits: no ratio; run more cycles", r.Of.Hits, r.To.Hits)
		return
	case r.Of.Thin != "":
		r.Thin = r.Of.Thin
	case r.To.Thin != "":
		r.Thin = r.To.Thin
	}
	va, vb, share := a.variance/(a.point*a.point), b.variance/(b.point*b.point), shared.losses/(a.point*b.point)
	soundA, soundB := 1+a.unsound, 1+b.unsound
	la, lb, lengths := a.unsoundVariance/(soundA*soundA), b.unsoundVariance/(soundB*soundB), shared.lengths/(soundA*soundB)
	startA, startB := math.Sqrt(a.startUp)/soundA, math.Sqrt(b.startUp)/soundB
	r.Apart = math.Sqrt(va + vb + la + lb + startA*startA + startB*startB)
	if va > 0 && vb > 0 {
		r.Correlation = math.Max(-1, math.Min(1, share/math.Sqrt(va*vb)))
	}
	r.RelError = math.Sqrt(less(va+vb, 2*share) + less(la+lb, 2*lengths) + math.Pow(startA-startB, 2))
	r.Point = r.Of.Point / r.To.Point
	r.Low, r.High = r.Point*math.Exp(-1.96*r.RelError), r.Point*math.Exp(1.96*r.RelError)
}

// less takes from a variance what is shared; rounding leaves no less than 0, and of equals nothing.
func less(variance, shared float64) float64 {
	if d := variance - shared; d > 1e-10*variance {
		return d
	}
	return 0
}
