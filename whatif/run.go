package whatif

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/wattle-storage/wattle/energy"
	"github.com/wattle-storage/wattle/erasure"
)

// mostOptions is the number of options up to which a report holds all of them. Of more it
// holds the front and the best; Each gives all.
const mostOptions = 500

// Run answers a scenario.
func Run(s Scenario) (Report, error) {
	a, err := newAnswer(s)
	if err != nil {
		return Report{}, err
	}
	list, err := a.chosen()
	if err != nil {
		return Report{}, err
	}
	var swings []*swing
	var options []Option
	for _, i := range list {
		sw, o, err := a.option(i)
		if err != nil {
			return Report{}, err
		}
		swings, options = append(swings, sw), append(options, o)
	}
	r, err := a.report(options, swings)
	r.Considered = a.size()
	if len(list) < r.Considered {
		r.Warnings = append(r.Warnings, fmt.Sprintf("%d options were reckoned; shown are the front (least W per stored TB at each tolerance) and the best %d; --stream gives all", r.Considered, mostRows))
	}
	return r, err
}

// chosen lists the options that a report holds: all, or when there are too many, those that
// were given one by one, the least W per stored TB at each tolerance, and the best.
func (a *answer) chosen() ([]int, error) {
	var list []int
	if a.size() <= mostOptions {
		for i := range a.size() {
			list = append(list, i)
		}
		return list, nil
	}
	front, best := map[Tolerance]Brief{}, []Brief{}
	err := a.briefs(func(b Brief) {
		if f, ok := front[b.Tolerance]; !ok || b.WPerStoredTB.Typical < f.WPerStoredTB.Typical {
			front[b.Tolerance] = b
		}
		if best = append(best, b); len(best) >= 20*mostRows {
			best = least(best, mostRows)
		}
	})
	for _, b := range least(best, mostRows) {
		list = append(list, b.Index)
	}
	for _, b := range front {
		list = append(list, b.Index)
	}
	for i := range min(len(a.choices), mostRows) {
		list = append(list, i)
	}
	slices.Sort(list)
	return slices.Compact(list), err
}

// least are the n briefs with the least W per stored TB.
func least(list []Brief, n int) []Brief {
	slices.SortStableFunc(list, func(a, b Brief) int { return cmp.Compare(a.WPerStoredTB.Typical, b.WPerStoredTB.Typical) })
	return list[:min(n, len(list))]
}

// Each answers a scenario option by option, for sweeps of any length.
func Each(s Scenario, f func(Option) error) error {
	a, err := newAnswer(s)
	if err != nil {
		return err
	}
	for i := range a.size() {
		_, o, err := a.option(i)
		if err == nil && a.size() <= mostOptions {
			a.safety(&o)
		} else if !a.s.NoDurability {
			o.because("nines", unsafe)
		}
		if err == nil {
			err = f(o)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// An answer is a model with its baseline.
type answer struct {
	*model
	choices   []Choice // explicit ones, before the sweep
	sweep     Sweep
	base      *swing
	baseName  string
	basePlain *swing // with fractions of drives, once asked for
	twins     map[string]*swing
}

func newAnswer(s Scenario) (*answer, error) {
	m, err := newModel(s)
	if err != nil {
		return nil, err
	}
	a := &answer{model: m, sweep: s.Sweep, twins: map[string]*swing{}}
	if len(s.Pools) > 0 {
		a.choices = append(a.choices, Choice{Name: "today"})
	}
	a.choices = append(a.choices, s.Options...)
	if a.sweep.empty() && len(a.choices) == 0 {
		a.sweep.Schemes = defaultSchemes
	}
	if len(a.sweep.Schemes) == 0 && !a.sweep.empty() && len(s.Pools) == 0 {
		a.sweep.Schemes = defaultSchemes
	}
	c, err := a.baseline()
	if err != nil {
		return nil, err
	}
	p, err := m.planOf(c)
	if err != nil {
		return nil, err
	}
	a.base, a.baseName = m.swingOf(p), p.name
	return a, a.unusedInputs()
}

func (a *answer) size() int {
	if a.sweep.empty() {
		return len(a.choices)
	}
	return len(a.choices) + a.sweep.Size()
}

func (a *answer) choice(i int) Choice {
	if i < len(a.choices) {
		return a.choices[i]
	}
	c := a.sweep.at(i - len(a.choices))
	c.Name = a.sweep.name(c)
	return c
}

// unnamed is choice without the cost of a name.
func (a *answer) unnamed(i int) Choice {
	if i < len(a.choices) {
		return a.choices[i]
	}
	return a.sweep.at(i - len(a.choices))
}

// baseline finds the choice that the others are compared with: the one that was named, or
// today's pools, or three copies.
func (a *answer) baseline() (Choice, error) {
	want := a.s.Baseline
	if want == "" {
		if len(a.s.Pools) > 0 {
			return a.choices[0], nil
		}
		want = defaultSchemes[0]
	}
	scheme, disk, sized := strings.Cut(want, "@")
	var names []string
	for i := range min(a.size(), 1000) {
		c := a.choice(i)
		names = append(names, c.Name)
		if c.Name == want || c.Scheme == want || sized && c.Scheme == scheme && c.Disk == disk {
			return c, nil
		}
	}
	if _, err := erasure.ParseModelled(scheme); err != nil {
		return Choice{}, &FieldError{Field: "baseline", Err: fmt.Errorf("%q is not an option, nor a scheme%s", clip(want), suggestion(want, names))}
	}
	c := Choice{}
	if a.size() > len(a.choices) {
		c = a.sweep.at(0)
	} else if len(a.choices) > 0 && len(a.choices[0].Pools) == 0 && a.choices[0].Scheme != "" {
		c = a.choices[0]
	}
	c.Pools, c.Scheme = nil, scheme
	if sized {
		c.Disk = disk
		if _, err := energy.Find(a.s.Profiles, disk); err != nil {
			return c, &FieldError{Field: "baseline", Err: err}
		}
	}
	c.Name = want
	return c, nil
}

// unusedInputs refuses figures for inputs that no option has.
func (a *answer) unusedInputs() error {
	if len(a.s.Inputs) == 0 {
		return nil
	}
	for i := range min(a.size(), 1000) {
		if _, err := a.planOf(a.choice(i)); err != nil {
			return err
		}
	}
	if len(a.in.errs) > 0 {
		return errors.Join(a.in.errs...)
	}
	for _, id := range sortedKeys(a.s.Inputs) {
		if !a.in.used[id] {
			return &FieldError{Field: "inputs", Err: fmt.Errorf("no option depends on %q%s; --explain watts lists the inputs", id, suggestion(id, a.in.ids))}
		}
	}
	return nil
}

// mostTwins bounds the memory of a long sweep.
const mostTwins = 500

// twin is the replication twin of a plan, on the same drives and sites.
func (a *answer) twin(c Choice, p *plan) (*swing, error) {
	c.Scheme, c.Pools = p.twin, nil
	if len(p.pools) > 0 {
		for _, pool := range p.pools { // every pool by its own twin
			scheme, err := erasure.ParseModelled(pool.Scheme)
			if err != nil {
				return nil, err
			}
			pool.Scheme = Twin(scheme, len(p.sites)).String()
			c.Pools = append(c.Pools, pool)
		}
		c.Scheme = ""
		c.Fleet = openFleet(p)
		c.Fill = p.fill
		if p.fill > 1 || p.fill <= 0 {
			c.Fill = defaultFill
		}
	}
	c.Name = c.Scheme
	key := fmt.Sprintf("%+v %v %v %v %v", c, deref(c.Reserve), c.PUE, c.GPerKWh, c.SlotW)
	if t, ok := a.twins[key]; ok {
		return t, nil
	}
	t, err := a.planOf(c)
	if err != nil {
		return nil, err
	}
	if len(a.twins) >= mostTwins {
		clear(a.twins)
	}
	a.twins[key] = a.swingOf(t)
	return a.twins[key], nil
}

func deref(f *float64) float64 {
	if f == nil {
		return -1
	}
	return *f
}

// openFleet is a plan's drives with as many of the first kind of each class as it takes, and
// those aside.
func openFleet(p *plan) []Fleet {
	var list []Fleet
	seen := map[int]bool{}
	for _, l := range p.lines {
		if l.aside {
			list = append(list, Fleet{Disk: l.disk, Count: int(l.count), Aside: true})
		} else if !seen[l.class] {
			seen[l.class] = true
			name := ""
			if len(p.pools) > 0 {
				name = className(p, l.class)
			}
			list = append(list, Fleet{Disk: l.disk, CapacityTB: Terabytes(l.tb), DeviceClass: name})
		}
	}
	return list
}

func className(p *plan, class int) string {
	var names []string
	for _, pool := range p.pools {
		if !slices.Contains(names, pool.DeviceClass) {
			names = append(names, pool.DeviceClass)
		}
	}
	return names[class]
}

// digest is the SHA-256 of all that the answer depends on.
func digest(s Scenario, in *inputs) (string, error) {
	type pair struct {
		ID string
		E  Estimate
	}
	var list []pair
	for i, id := range in.ids {
		list = append(list, pair{id, in.list[i]})
	}
	slices.SortFunc(list, func(a, b pair) int { return strings.Compare(a.ID, b.ID) })
	b, err := json.Marshal(struct {
		Scenario Scenario
		Inputs   []pair
	}{s, list})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
