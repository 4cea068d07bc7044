package whatif

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/wattle-storage/wattle/energy"
)

// Advice is what to read first: what the best option saves, how far to trust it, and what
// would change it.
type Advice struct {
	Best       string             `json:"best"` // least W per stored TB of those that survive as much as asked
	Saved      Savings            `json:"saved"`
	Evidence   map[string]float64 `json:"evidence"` // parts of the best option's watts by the status they rest on
	Flips      []Flip             `json:"flips"`
	Measure    []Influence        `json:"measure"` // inputs worth measuring next
	Yardsticks []string           `json:"yardsticks"`
}

// Savings are those of a year, baseline less best.
type Savings struct {
	Watts Estimate  `json:"watts"`
	KWh   Estimate  `json:"kwh_per_year"`
	Kg    Estimate  `json:"kgco2e_location_per_year"`
	EUR   *Estimate `json:"eur_energy_per_year"`
}

// A Flip is the value of a parameter at which another option wins; At is nil when none does
// between From and To.
type Flip struct {
	Parameter string   `json:"parameter"`
	Unit      string   `json:"unit"`
	By        string   `json:"by"` // what the winner has least of
	Now       float64  `json:"now"`
	At        *float64 `json:"at"`
	Winner    string   `json:"winner"` // now
	Then      string   `json:"then,omitempty"`
	From      float64  `json:"from"`
	To        float64  `json:"to"`
}

// An Influence is an input and what moving it to its ends does to a figure.
type Influence struct {
	Input  string   `json:"input"`
	Value  Estimate `json:"value"`
	Low    float64  `json:"low"`    // the figure with the input at its low end
	High   float64  `json:"high"`   // and at its high end
	Weight float64  `json:"weight"` // part of the variance
}

// evidence sums the watts by the status of the input that they rest on.
func (a *answer) evidence(s *swing) map[string]float64 {
	p, o := s.p, &s.typical
	by := map[energy.Status]float64{}
	status := func(i int) energy.Status { return a.in.list[i].Status }
	for i := range p.lines {
		a.driveEvidence(by, p, o, i)
	}
	if p.boundary != AtDrive {
		by[status(p.slot)] += o.q[qSlotW]
		by[status(p.server)] += o.q[qServerW]
		by[status(p.nic)] += o.q[qNICW]
		by[status(p.psu)] += o.q[qPSUW]
		by[status(p.sw)] += o.q[qSwitchW]
	}
	if p.boundary == AtFacility {
		for i := range p.sites {
			x := &p.sites[i].pue
			worst := energy.Input
			for _, in := range []int{x.constant, x.compressor, x.fans, x.other, x.fixed, x.prop} {
				if in >= 0 && status(in) == energy.Default {
					worst = energy.Default
				}
			}
			by[worst] += o.q[qFacilityW] * p.sites[i].share
		}
	}
	out := map[string]float64{}
	for st, w := range by {
		if w > 0 {
			out[string(st)] = w / o.q[qWatts]
		}
	}
	return out
}

// driveEvidence gives the watts of a line to the status of each state's figure.
func (a *answer) driveEvidence(by map[energy.Status]float64, p *plan, o *outcome, i int) {
	v, l := a.in.typical, &p.lines[i]
	add := func(w product, part float64) {
		st := a.in.list[w.own].Status
		if w.ratio != a.in.constant {
			st = a.in.list[w.ratio].Status
		}
		by[st] += o.counts[i] * part * v[w.own] * v[w.ratio]
	}
	if len(p.states) > 0 {
		for _, s := range p.states {
			add(s.watts[i], s.part)
		}
		return
	}
	c := &p.classes[l.class]
	iops, mbs := 0.0, 0.0
	for j := range p.lines {
		if p.lines[j].class == l.class {
			iops, mbs = iops+o.counts[j]*v[p.lines[j].iops], mbs+o.counts[j]*v[p.lines[j].mbs]
		}
	}
	t := p.times(c, iops, mbs, 1)
	add(l.watts[lineIdle], t.idle)
	add(l.watts[lineStandby], t.standby)
	add(l.watts[lineRandomRead], t.random*(1-t.writes))
	add(l.watts[lineRandomWrite], t.random*t.writes)
	add(l.watts[lineSeqRead], t.seq*(1-t.seqWrites))
	add(l.watts[lineSeqWrite], t.seq*t.seqWrites)
}

// wanted is the least tolerance of a best option: as asked, or one site where the baseline
// has more.
func (a *answer) wanted() Tolerance {
	if t, err := ParseTolerance(a.s.Survive); err == nil {
		return t
	}
	return Tolerance{min(1, len(a.base.p.sites)-1), 0}
}

// advise looks at the best option. With too many options it looks at those of swings.
func (a *answer) advise(options []Option, swings []*swing) *Advice {
	best := a.base
	for _, s := range swings {
		if !s.p.tolerance.Less(a.wanted()) && perStored(s.p, &s.typical) < perStored(best.p, &best.typical)*(1-noise) {
			best = s
		}
	}
	adv := &Advice{Best: best.p.name, Evidence: a.evidence(best)}
	stored := a.base.p.stored
	saved := func(unit string, f func(*outcome) float64) Estimate {
		return a.base.difference(best, unit, func(p *plan, o *outcome) float64 { return f(o) / p.stored * stored })
	}
	kwh := func(o *outcome) float64 { return energy.Watts(o.q[qWatts]).KWhPerYear() }
	adv.Saved = Savings{Watts: saved("W", of(qWatts)), KWh: saved("kWh", kwh), Kg: saved("kgCO2e", of(qKgLocation))}
	if a.base.p.eurKWh >= 0 {
		adv.Saved.EUR = ptr(saved("EUR", func(o *outcome) float64 { return kwh(o) * o.q[qPrice] }))
	}
	adv.Measure = a.influences(best)
	adv.Flips = a.flips(best.p.name)
	adv.Yardsticks = yardsticks(adv.Saved)
	return adv
}

// influences are the three inputs, not given by the user, that widen the saving most; where
// nothing is saved, the watts.
func (a *answer) influences(best *swing) []Influence {
	f := func(p *plan, o *outcome) float64 { return o.q[qWatts] / p.stored * a.base.p.stored }
	g := func(x, y *outcome) float64 { return f(a.base.p, x) - f(best.p, y) }
	if best == a.base {
		g = func(x, _ *outcome) float64 { return f(a.base.p, x) }
	}
	list := a.tornado(a.base, best, g)
	list = slices.DeleteFunc(list, func(x Influence) bool { return x.Value.Status == energy.Input })
	return list[:min(3, len(list))]
}

// tornado lists the inputs of two plans by what their ends do to a figure of both, the
// strongest first.
func (a *answer) tornado(x, y *swing, f func(x, y *outcome) float64) []Influence {
	uses := slices.Concat(x.p.uses, y.p.uses)
	slices.Sort(uses)
	typical, total := f(&x.typical, &y.typical), 0.0
	var list []Influence
	for _, i := range slices.Compact(uses) {
		xLow, xHigh := x.ends(i)
		yLow, yHigh := y.ends(i)
		t := Influence{Input: a.in.ids[i], Value: a.in.list[i], Low: f(xLow, yLow), High: f(xHigh, yHigh)}
		t.Weight = max(math.Pow(t.Low-typical, 2), math.Pow(t.High-typical, 2))
		total += t.Weight
		if t.Weight > math.Pow(noise*typical, 2) {
			list = append(list, t)
		}
	}
	for i := range list {
		list[i].Weight /= total
	}
	slices.SortStableFunc(list, func(a, b Influence) int { return cmp.Compare(b.Weight, a.Weight) })
	return list
}

// Yardsticks: what the internet costs a user in a year, all in (article of 2015).
const (
	userKWh    = 346
	userKg     = 203
	userLitres = 2924
)

func yardsticks(s Savings) []string {
	var list []string
	if s.KWh.Typical > 0 {
		list = append(list, fmt.Sprintf("the saving is what the internet used for %s users in 2015 (%d kWh each a year, all of the internet)", short(s.KWh.Typical/userKWh), userKWh))
	}
	if s.Kg.Typical > 0 {
		list = append(list, fmt.Sprintf("its carbon is that of %s users (%d kg each; %d litres of water go with it)", short(s.Kg.Typical/userKg), userKg, userLitres))
	}
	return list
}
