// Package whatif reckons what a fleet of drives draws for every terabyte that users store,
// and what it would draw under another scheme, disk, site plan or facility.
//
// A Scenario becomes Options. Each option's drives follow from the terabytes, the redundancy
// and the work; the watts follow from the drives' states, the servers, the racks and the
// facility; energy, carbon, water and money follow from the watts.
//
// Uncertain figures are inputs with an identity, a low, a typical and a high value. What an
// option draws is one function of the inputs. Typical results come from typical inputs; the
// ends of a band come from moving one input at a time and adding the deviations of the
// logarithm in quadrature. The ratio of two options is evaluated as one function too, so an
// input that they share takes the same value on both sides: an option against itself is
// exactly 1, and replica:3 against rs:9+6 on the same disk is exactly 5/9, without width.
//
// Nothing here is random. doc/whatif.md has the formulas.
package whatif

import (
	"fmt"
	"slices"

	"github.com/wattle-storage/wattle/energy"
	"github.com/wattle-storage/wattle/erasure"
)

// A model is a scenario, ready to answer for its choices.
type model struct {
	s          Scenario
	in         *inputs
	boundary   Boundary
	stored     float64 // TB, of every choice
	todayFill  float64 // fill of the pools and fleet as they are, or the default
	firstDisk  string
	psu        int
	products   map[string]product
	profiles   map[string]energy.Profile // that options use
	classNames []string                  // of the choice at hand
	pues       map[string]pueOf
	placed     map[sitesKey][]site
	templates  map[string]*line
	uses       map[usesKey][3][]int
	schemes    map[string]erasure.Scheme
	air        map[string]Weather
}

// newModel checks a scenario and settles what all its choices share.
func newModel(s Scenario) (*model, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	s.Profiles = asInput(s.Profiles)
	m := &model{
		s: s, in: newInputs(s.Inputs), boundary: Boundary(either(string(s.Boundary), string(AtFacility))), todayFill: defaultFill,
		profiles: map[string]energy.Profile{}, air: map[string]Weather{},
	}
	m.forget()
	m.firstDisk = defaultDisk
	if len(s.Sweep.Disks) > 0 {
		m.firstDisk = s.Sweep.Disks[0]
	} else if len(s.Fleet) > 0 {
		m.firstDisk = s.Fleet[0].Disk
	}
	if err := m.settlePSU(); err != nil {
		return nil, err
	}
	return m, m.settleStored()
}

// asInput copies drives, with what a user's profile leaves out.
func asInput(list []energy.Profile) []energy.Profile {
	list = slices.Clone(list)
	for i := range list {
		p := &list[i]
		p.Status, p.Kind, p.Technology = energy.Input, either(p.Kind, "hdd"), either(p.Technology, "air")
		p.SourceID, p.Source = either(p.SourceID, "input:profiles"), either(p.Source, "given by the user")
	}
	return list
}

func (m *model) settlePSU() error {
	v := m.s.Server
	if v.PSUPlus == "" {
		m.psu = m.in.either("psu_efficiency", v.PSU)
		return nil
	}
	e, err := energy.PSUEfficiency(v.PSUPlus, orElse(v.PSULoad, defaultPSULoad))
	if err != nil {
		return &FieldError{Field: "server.psu_load", Err: err}
	}
	m.psu = m.in.add("psu_efficiency", energy.Point(e, "", energy.Input, "80plus"))
	return nil
}

// settleStored finds the terabytes that every choice stores: those of the pools, or of
// stored_tb, or usable_tb times the fill of the baseline.
func (m *model) settleStored() error {
	pools := 0.0
	for _, p := range m.s.Pools {
		pools += float64(p.StoredTB)
	}
	switch {
	case pools > 0 && (m.s.StoredTB > 0 || m.s.UsableTB > 0):
		return &FieldError{Field: "pools", Err: fmt.Errorf("contradict stored_tb and usable_tb: the pools say what is stored")}
	case pools > 0:
		m.stored = pools
		if len(m.s.Fleet) > 0 {
			today, err := m.planOf(Choice{})
			if err != nil {
				return err
			}
			if today.fill > 0 && today.fill <= 1 {
				m.todayFill = today.fill
			}
		}
	case m.s.StoredTB > 0:
		m.stored = float64(m.s.StoredTB)
	case m.s.UsableTB > 0:
		m.stored = float64(m.s.UsableTB) * orElse(m.baselineFill(), defaultFill)
	case len(m.s.Options) > 0 && len(m.s.Options[0].Pools) > 0:
		for _, p := range m.s.Options[0].Pools {
			m.stored += float64(p.StoredTB)
		}
	default:
		return &FieldError{Field: "usable_tb", Err: fmt.Errorf("how much? Give usable_tb (such as 10PB), stored_tb, or pools")}
	}
	return nil
}

// baselineFill is the fill of the baseline, as far as it is given.
func (m *model) baselineFill() float64 {
	for _, c := range m.s.Options {
		if c.Name != "" && c.Name == m.s.Baseline && c.Fill != 0 {
			return c.Fill
		}
	}
	if m.s.Fill == 0 && len(m.s.Sweep.Fills) > 0 {
		return m.s.Sweep.Fills[0]
	}
	return m.s.Fill
}

// forget empties what a model keeps of its inputs.
func (m *model) forget() {
	m.products, m.pues, m.placed = map[string]product{}, map[string]pueOf{}, map[sitesKey][]site{}
	m.templates, m.uses, m.schemes = map[string]*line{}, map[usesKey][3][]int{}, map[string]erasure.Scheme{}
}

// scheme reads a scheme, once.
func (m *model) scheme(text string) (erasure.Scheme, error) {
	if s, ok := m.schemes[text]; ok {
		return s, nil
	}
	s, err := erasure.ParseModelled(text)
	if err == nil {
		m.schemes[text] = s
	}
	return s, err
}
