package whatif

import (
	"math"

	"github.com/wattle-storage/wattle/energy"
)

// deviation adds the deviations of independent inputs in quadrature: of the logarithm, or of
// the figure itself where it is not positive.
type deviation struct {
	typical  float64
	up, down float64 // sums of squares
	plain    bool
}

// noise is the part of a figure below which a deviation is only rounding.
const noise = 1e-12

// add takes the figure with one input at its low and at its high end.
func (d *deviation) add(low, high float64) {
	if d.typical > 0 && low > 0 && high > 0 && !d.plain {
		d.square(logRatio(low, d.typical), logRatio(high, d.typical))
		return
	}
	if low != d.typical || high != d.typical {
		d.plain = true
		d.square(low-d.typical, high-d.typical)
	}
}

// logRatio is ln(x/typical), and 0 when that is no more than rounding.
func logRatio(x, typical float64) float64 {
	r := x/typical - 1
	if r < noise && r > -noise {
		return 0
	}
	return math.Log1p(r)
}

func (d *deviation) square(a, b float64) {
	up, down := max(a, b, 0), min(a, b, 0)
	d.up += up * up
	d.down += down * down
}

// ends are the ends of the band.
func (d *deviation) ends() (low, high float64) {
	if d.up == 0 && d.down == 0 {
		return d.typical, d.typical
	}
	if d.plain {
		return d.typical - math.Sqrt(d.down), d.typical + math.Sqrt(d.up)
	}
	return d.typical * math.Exp(-math.Sqrt(d.down)), d.typical * math.Exp(math.Sqrt(d.up))
}

func (d *deviation) estimate(unit string) Estimate {
	low, high := d.ends()
	return Estimate{Low: low, Typical: d.typical, High: high, Unit: unit, Status: energy.Model, Source: "model"}
}

// A swing is a plan at typical inputs, and with each of its inputs at either end.
type swing struct {
	p       *plan
	typical outcome
	at      map[int]*[2]outcome // by input: low, high
}

// swingOf evaluates a plan 1 + 2·inputs times.
func (m *model) swingOf(p *plan) *swing {
	s := &swing{p: p, at: make(map[int]*[2]outcome, len(p.uses))}
	v := m.in.typical
	p.eval(v, &s.typical)
	for _, i := range p.uses {
		e, pair := m.in.list[i], new([2]outcome)
		v[i] = e.Low
		p.eval(v, &pair[0])
		v[i] = e.High
		p.eval(v, &pair[1])
		v[i] = e.Typical
		s.at[i] = pair
	}
	return s
}

// ends are the outcomes with an input at either end; a plan that does not use it stays as it
// is.
func (s *swing) ends(i int) (low, high *outcome) {
	if pair, ok := s.at[i]; ok {
		return &pair[0], &pair[1]
	}
	return &s.typical, &s.typical
}

// band is the estimate of a figure of the outcome.
func (s *swing) band(unit string, f func(*outcome) float64) Estimate {
	d := deviation{typical: f(&s.typical)}
	for _, i := range s.p.uses {
		pair := s.at[i]
		d.add(f(&pair[0]), f(&pair[1]))
	}
	return d.estimate(unit)
}

// ratio is the estimate of a figure over that of another plan, as one function of the inputs
// of both.
func (s *swing) ratio(o *swing, f func(*plan, *outcome) float64) Estimate {
	of := func(a, b *outcome) float64 { return f(s.p, a) / f(o.p, b) }
	d := deviation{typical: of(&s.typical, &o.typical)}
	for _, i := range s.p.uses {
		aLow, aHigh := s.ends(i)
		bLow, bHigh := o.ends(i)
		d.add(of(aLow, bLow), of(aHigh, bHigh))
	}
	for _, i := range o.p.uses {
		if _, shared := s.at[i]; !shared {
			bLow, bHigh := o.ends(i)
			d.add(of(&s.typical, bLow), of(&s.typical, bHigh))
		}
	}
	return d.estimate("")
}

// difference is the estimate of a figure less that of another plan.
func (s *swing) difference(o *swing, unit string, f func(*plan, *outcome) float64) Estimate {
	of := func(a, b *outcome) float64 { return f(s.p, a) - f(o.p, b) }
	d := deviation{typical: of(&s.typical, &o.typical), plain: true}
	for _, i := range s.p.uses {
		aLow, aHigh := s.ends(i)
		bLow, bHigh := o.ends(i)
		d.add(of(aLow, bLow), of(aHigh, bHigh))
	}
	for _, i := range o.p.uses {
		if _, shared := s.at[i]; !shared {
			bLow, bHigh := o.ends(i)
			d.add(of(&s.typical, bLow), of(&s.typical, bHigh))
		}
	}
	return d.estimate(unit)
}

// perStored is the watts of a terabyte stored.
func perStored(p *plan, o *outcome) float64 { return o.q[qWatts] / p.stored }

// verdict reads the band of a ratio.
func verdict(r Estimate) string {
	switch {
	case r.High < 1:
		return "less"
	case r.Low > 1:
		return "more"
	}
	return "indistinct"
}
