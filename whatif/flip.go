package whatif

import (
	"math"
	"slices"
)

// A lever is a parameter that may change the winner.
type lever struct {
	name, unit string
	by         string
	from, to   float64
	log        bool
	now        func(*answer) float64
	set        func(*Scenario, float64)
	loose      func(*Choice) // takes the parameter away from a choice
	cost       func(*plan, *outcome) float64
}

// carbonPerTB is the carbon of a year, operational and embodied, for each terabyte stored.
func carbonPerTB(p *plan, o *outcome) float64 {
	return (o.q[qKgLocation] + o.q[qKgEmbodied]/p.life) / p.stored
}

func levers() []lever {
	return []lever{
		{"reads", "/s", "W per stored TB", 1, 1e7, true, func(a *answer) float64 { return a.s.Workload.Reads },
			func(s *Scenario, v float64) { s.Workload.Reads = v }, func(*Choice) {}, perStored},
		{"slot_w", "W", "W per stored TB", 0, 50, false, func(a *answer) float64 { return a.in.typical[a.base.p.slot] },
			func(s *Scenario, v float64) { s.Server.SlotW = Exactly(v) }, func(c *Choice) { c.SlotW = nil }, perStored},
		{"pue", "", "W per stored TB", 1, 3, false, func(a *answer) float64 { return a.base.typical.q[qWatts] / a.base.typical.q[qITW] },
			func(s *Scenario, v float64) { s.Facility.PUE = Exactly(v); s.Facility.forget() }, func(*Choice) {}, perStored},
		{"g_per_kwh", "g/kWh", "kgCO2e with embodied", 0.1, 2000, true, func(a *answer) float64 { return grid(&a.base.typical) },
			func(s *Scenario, v float64) { s.Carbon = Carbon{GPerKWh: Exactly(v)} }, func(*Choice) {}, carbonPerTB},
	}
}

// forget leaves a facility with nothing but its constant PUE.
func (f *Facility) forget() {
	f.FixedW, f.Proportional, f.Temperatures, f.Cooling = nil, nil, nil, nil
}

// mostRivals is the number of options among which flips are looked for.
const mostRivals = 24

// flips looks, lever by lever, for the nearest value at which another option wins.
func (a *answer) flips(best string) []Flip {
	rivals := a.rivals(best)
	if len(rivals) < 2 {
		return nil
	}
	var list []Flip
	for _, l := range levers() {
		switch {
		case l.name == "reads" && a.s.Workload.States != nil,
			l.name == "slot_w" && a.boundary == AtDrive,
			l.name == "pue" && a.boundary != AtFacility:
			continue
		}
		if f, ok := a.flip(l, rivals); ok {
			list = append(list, f)
		}
	}
	return list
}

// rivals are the choices that may win: the baseline, and those that survive as much as asked,
// the first ones when there are many.
func (a *answer) rivals(best string) []Choice {
	list := []Choice{a.baseChoice()}
	for i := range a.size() {
		c := a.choice(i)
		if c.Name == a.baseName || len(list) >= mostRivals && c.Name != best {
			continue
		}
		p, err := a.planOf(c)
		if err == nil && !p.tolerance.Less(a.wanted()) {
			list = append(list, c)
		}
		if len(list) > mostRivals {
			break
		}
	}
	return list
}

// flip scans a lever from where it stands to both ends, and closes in on the nearest change.
func (a *answer) flip(l lever, rivals []Choice) (Flip, bool) {
	now := l.now(a)
	winner := func(v float64) string { return a.winner(l, rivals, v) }
	f := Flip{Parameter: l.name, Unit: l.unit, By: l.by, Now: now, From: l.from, To: l.to, Winner: winner(now)}
	if f.Winner == "" {
		return f, false
	}
	const steps = 24
	scale := func(i int) float64 {
		if l.log {
			return l.from * math.Pow(l.to/l.from, float64(i)/steps)
		}
		return l.from + (l.to-l.from)*float64(i)/steps
	}
	nearest := math.Inf(1)
	try := func(from, to float64) {
		at, then := a.close(winner, f.Winner, from, to)
		if d := math.Abs(math.Log((at + 1e-9) / (now + 1e-9))); d < nearest {
			nearest = d
			f.At, f.Then = &at, then
		}
	}
	last := now
	for i := range steps + 1 {
		if v := scale(i); v > now {
			if w := winner(v); w != f.Winner && w != "" {
				try(last, v)
				break
			}
			last = v
		}
	}
	last = now
	for i := steps; i >= 0; i-- {
		if v := scale(i); v < now {
			if w := winner(v); w != f.Winner && w != "" {
				try(last, v)
				break
			}
			last = v
		}
	}
	return f, true
}

// close bisects between a value where a name wins and one where it does not.
func (a *answer) close(winner func(float64) string, name string, holds, not float64) (at float64, then string) {
	then = winner(not)
	for range 40 {
		mid := (holds + not) / 2
		if holds > 0 && not > 0 {
			mid = math.Sqrt(holds * not)
		}
		if w := winner(mid); w == name {
			holds = mid
		} else {
			not, then = mid, w
		}
	}
	return not, then
}

// winner is the choice with the least cost when a lever stands at v. A tie goes to the first.
func (a *answer) winner(l lever, rivals []Choice, v float64) string {
	s := a.s
	s.Sites = slices.Clone(s.Sites)
	if l.name == "pue" || l.name == "g_per_kwh" {
		for i := range s.Sites {
			if l.name == "g_per_kwh" && s.Sites[i].GPerKWh == nil {
				s.Sites[i].Country = ""
			}
		}
	}
	l.set(&s, v)
	m := a.with(s)
	best, least := "", math.Inf(1)
	var o outcome
	for _, c := range rivals {
		l.loose(&c)
		p, err := m.planOf(c)
		if err != nil {
			return ""
		}
		p.eval(m.in.typical, &o)
		if cost := l.cost(p, &o); cost < least*(1-1e-9) {
			best, least = either(c.Name, p.name), cost
		}
	}
	return best
}

// with is the model of a changed scenario; what is stored stays.
func (a *answer) with(s Scenario) *model {
	m := *a.model
	m.s, m.in = s, newInputs(s.Inputs)
	m.forget()
	if s.Server.PSUPlus == "" {
		m.psu = m.in.either("psu_efficiency", s.Server.PSU)
	} else {
		m.psu = m.in.add("psu_efficiency", a.in.list[a.psu])
	}
	return &m
}
