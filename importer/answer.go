package importer

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/wattle-storage/wattle/whatif"
)

// An Answer is what `wattle import` says, in the JSON that doc/import.md documents.
type Answer struct {
	Found    *Found             `json:"found"`
	Guessed  []Note             `json:"guessed"`
	Missing  []Note             `json:"missing"`
	Answer   *whatif.Option     `json:"answer"`
	Evidence map[string]float64 `json:"evidence"` // parts of the watts by the status they rest on
	Levers   []Lever            `json:"levers"`   // the largest, at most three, the first first
	Others   []Lever            `json:"others"`   // those that come after, or are not feasible
	Joint    *whatif.Estimate   `json:"joint"`    // of all levers together
	Product  float64            `json:"product"`  // of their factors
	Verdict  string             `json:"verdict"`
	Findings []Finding          `json:"findings"`
	Digest   string             `json:"inputs_digest"`

	Scenario whatif.Scenario `json:"-"`
	Report   whatif.Report   `json:"-"` // of today, the levers and them together
	best     *whatif.Option
}

const (
	mostLevers = 3
	worthWhile = 0.97 // of a factor: less is within what nobody measures
)

// First answers a scenario made of a cluster: what it draws, and what would change that most.
// The scenario may have been edited; its pools and drives must be those found.
func (f *Found) First(s whatif.Scenario) (*Answer, error) {
	if s.Survive == "" { // no less than today
		t := f.Survives()
		s.Survive = fmt.Sprintf("%d+%d", t.Sites, t.Left)
	}
	a := &Answer{Found: f, Scenario: s, Levers: []Lever{}, Others: []Lever{}, Findings: f.Findings()}
	levers := f.levers(s)
	if err := f.judge(s, levers); err != nil {
		return nil, err
	}
	if err := a.pick(f, s, levers); err != nil {
		return nil, err
	}
	s.Options = nil
	for i := range a.Levers {
		s.Options = append(s.Options, f.choice(s, a.Levers[i].Name, a.Levers[i:i+1]))
	}
	for i := 1; i < len(a.Levers); i++ {
		s.Options = append(s.Options, f.choice(s, joined(i+1), a.Levers[:i+1]))
	}
	var err error
	if a.Report, err = whatif.Run(s); err != nil {
		return nil, err
	}
	for i := range a.Levers {
		o := byName(a.Report, joined(i+1))
		if i == 0 {
			o = byName(a.Report, a.Levers[0].Name)
		}
		a.Levers[i].Joint, a.Joint, a.best = o.Ratio, o.Ratio, o
	}
	a.settle(f)
	return a, nil
}

// judge works out each lever alone.
func (f *Found) judge(s whatif.Scenario, levers []Lever) error {
	s.Options = nil
	for i := range levers {
		s.Options = append(s.Options, f.choice(s, fmt.Sprintf("lever %d", i), levers[i:i+1]))
	}
	r, err := whatif.Run(s)
	if err != nil {
		return err
	}
	for i := range levers {
		f.judgeLever(&levers[i], r.Baseline, byName(r, fmt.Sprintf("lever %d", i)))
	}
	return nil
}

func joined(n int) string { return fmt.Sprintf("levers 1 to %d", n) }

func byName(r whatif.Report, name string) *whatif.Option {
	for i := range r.Options {
		if r.Options[i].Name == name {
			return &r.Options[i]
		}
	}
	return nil
}

func (a *Answer) settle(f *Found) {
	o := a.Report.Baseline
	a.Answer, a.Evidence, a.Digest = &o, o.Evidence, a.Report.InputsDigest
	a.Guessed, a.Missing = f.Guessed, f.Missing
	if a.Guessed == nil {
		a.Guessed = []Note{}
	}
	if a.Missing == nil {
		a.Missing = []Note{}
	}
	a.Product = 1
	for _, l := range a.Levers {
		a.Product *= l.Factor.Typical
	}
	switch {
	case len(a.Levers) == 0 && !f.Known():
		a.Verdict = "what is stored is not known, so no change can be judged: give --scheme and --stored"
	case len(a.Levers) == 0:
		a.Verdict = "no change needed: nothing that this cluster's servers allow would lower its watts by more than 3 %"
	default:
		a.Verdict = fmt.Sprintf("%s together: %.2f of today's watts for each stored TB", count(len(a.Levers), "change"), a.Joint.Typical)
	}
}

func count(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// choice is the cluster under levers, as the energy model takes it.
func (f *Found) choice(s whatif.Scenario, name string, levers []Lever) whatif.Choice {
	c := whatif.Choice{Name: name, Pools: s.Pools, Fleet: s.Fleet}
	ch := change{pools: s.Pools, fill: f.fills(s)}
	shaped := false
	for _, l := range levers {
		switch l.Name {
		case "scheme":
			ch.pools = slices.Clone(ch.pools)
			for i, scheme := range l.scheme {
				ch.pools[i].Scheme = scheme
			}
			shaped = true
		case "fill":
			ch.fill, shaped = l.change.fill, true
		case "drives":
			ch.disk, ch.tb, shaped = l.change.disk, l.change.tb, true
		case "pue":
			c.PUE = l.pue
		case "spin_down":
			c.States = maps.Clone(l.states)
		}
	}
	if shaped {
		sh := f.shapeFor(s, ch)
		c.Pools, c.Fleet, c.Bays = ch.pools, sh.fleet, sh.bays
	}
	return c
}

// judgeLever fills in what the model answered.
func (f *Found) judgeLever(l *Lever, today whatif.Option, o *whatif.Option) {
	r := *o.Ratio
	l.Factor, l.Verdict = r, o.Verdict
	l.Servers, l.Drives = int(o.Servers), int(o.Drives)
	for _, d := range o.Fleet {
		if !d.Owned {
			l.Bought += int(d.Count)
		}
	}
	saved := func(of whatif.Estimate) whatif.Estimate {
		return whatif.Estimate{Low: of.Typical * (1 - r.High), Typical: of.Typical * (1 - r.Typical), High: of.Typical * (1 - r.Low), Unit: of.Unit, Status: "model", Source: "model"}
	}
	l.KWh = saved(today.KWhPerYear)
	if today.KgLocation != nil {
		e := saved(*today.KgLocation)
		l.Kg = &e
	}
	if today.EUREnergy != nil {
		e := saved(*today.EUREnergy)
		l.EUR = &e
	}
	if l.Nines = o.NinesDisasters; l.Nines != nil && today.NinesDisasters != nil && l.Nines.Typical < today.NinesDisasters.Typical-0.1 {
		l.Breaks = append(l.Breaks, fmt.Sprintf("durability: %.1f nines a year, today %.1f", l.Nines.Typical, today.NinesDisasters.Typical))
	}
	if o.Fill > 1.0001 {
		l.Feasible, l.Why = false, fmt.Sprintf("the drives would be %.0f %% full", 100*o.Fill)
	}
}

// pick takes the lever that does most with those taken before, until none does anything worth
// while: levers that need what others take away (a wide code many servers, large drives few)
// do not multiply.
func (a *Answer) pick(f *Found, s whatif.Scenario, levers []Lever) error {
	before, left := 1.0, levers
	for len(a.Levers) < mostLevers {
		s.Options = nil
		for i, l := range left {
			if l.Feasible {
				s.Options = append(s.Options, f.choice(s, fmt.Sprintf("lever %d", i), append(slices.Clone(a.Levers), l)))
			}
		}
		if len(s.Options) == 0 {
			break
		}
		r, err := whatif.Run(s)
		if err != nil {
			return err
		}
		best, factor := -1, worthWhile*before
		for i := range left {
			if o := byName(r, fmt.Sprintf("lever %d", i)); o != nil && o.Fill <= 1.0001 && o.Ratio.Typical < factor {
				best, factor = i, o.Ratio.Typical
			}
		}
		if best < 0 {
			break
		}
		name := left[best].Name
		a.Levers, before = append(a.Levers, left[best]), factor
		left = slices.DeleteFunc(slices.Clone(left), func(l Lever) bool { return l.Name == name })
	}
	a.leave(left)
	return nil
}

// leave lists the levers that were not taken and would do something alone, of each name the best.
func (a *Answer) leave(left []Lever) {
	slices.SortStableFunc(left, func(x, y Lever) int { return cmp.Compare(x.Factor.Typical, y.Factor.Typical) })
	for _, l := range left {
		if l.Factor.Typical > worthWhile || slices.ContainsFunc(a.Others, func(o Lever) bool { return o.Name == l.Name }) {
			continue
		}
		if l.Why == "" {
			l.Why = "adds nothing to the others"
			if len(a.Levers) == mostLevers {
				l.Why = "does less than the others"
			}
		}
		a.Others = append(a.Others, l)
	}
}
