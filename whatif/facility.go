package whatif

import (
	"crypto/sha256"
	"fmt"

	"github.com/wattle-storage/wattle/energy"
)

// A Weather is what a year of temperatures does to a facility.
type Weather struct {
	energy.Air
	Supply, Approach, Return float64
	Hourly                   []float64 // °C
	Loads                    []float64 // parts of the compressor's full load, hour by hour
}

const (
	defaultSupply   = 18
	defaultApproach = 3
)

// cooling is the plain part of a Cooling; its watts are inputs.
func (k *Cooling) cooling() energy.Cooling {
	if k == nil {
		k = &Cooling{}
	}
	approach := k.Approach
	if k.Supply == 0 && approach == 0 {
		approach = defaultApproach
	}
	return energy.Cooling{Supply: orElse(k.Supply, defaultSupply), Approach: approach, Return: k.Return}
}

// Year returns the hourly temperatures; a file must have been read into Hourly before.
func (t *Temperatures) Year() ([]float64, error) {
	switch {
	case len(t.Hourly) > 0:
		return t.Hourly, energy.WholeYear(t.Hourly)
	case len(t.Means) > 0:
		return t.synthetic()
	}
	return nil, fmt.Errorf("%w: the temperature file %q was not read", energy.ErrFacility, t.File)
}

func (t *Temperatures) synthetic() ([]float64, error) {
	if len(t.Means) != 12 {
		return nil, fmt.Errorf("%w: %d monthly means: want 12", energy.ErrFacility, len(t.Means))
	}
	means, swing := [12]float64(t.Means), [12]float64{}
	switch {
	case len(t.Maxima) > 0 && len(t.Swing) > 0:
		return nil, fmt.Errorf("%w: daily_swing contradicts monthly_maxima: give one", energy.ErrFacility)
	case len(t.Maxima) == 12:
		for i := range swing {
			if swing[i] = t.Maxima[i] - t.Means[i]; swing[i] < 0 {
				return nil, fmt.Errorf("%w: month %d: maximum %v °C is below mean %v °C", energy.ErrFacility, i+1, t.Maxima[i], t.Means[i])
			}
		}
	case len(t.Maxima) > 0:
		return nil, fmt.Errorf("%w: %d monthly maxima: want 12", energy.ErrFacility, len(t.Maxima))
	case len(t.Swing) == 12:
		swing = [12]float64(t.Swing)
	case len(t.Swing) == 1:
		for i := range swing {
			swing[i] = t.Swing[0]
		}
	case len(t.Swing) > 0:
		return nil, fmt.Errorf("%w: %d daily swings: want 1 or 12", energy.ErrFacility, len(t.Swing))
	}
	for _, v := range append(append([]float64{}, swing[:]...), t.Deviation) {
		if !(v >= 0 && v <= 40) {
			return nil, fmt.Errorf("%w: a swing or deviation of %v K: want 0 to 40", energy.ErrFacility, v)
		}
	}
	year := energy.SyntheticYear(means, swing, t.Deviation)
	return year, energy.WholeYear(year)
}

// weather reckons a year once for each facility.
func (m *model) weather(f *Facility) (Weather, error) {
	year, err := f.Temperatures.Year()
	if err != nil {
		return Weather{}, &FieldError{Field: "facility.temperatures", Err: err}
	}
	k := f.Cooling.cooling()
	key := fmt.Sprintf("%v %x", k, sha256.Sum256(fmt.Append(nil, year)))
	if w, ok := m.air[key]; ok {
		return w, nil
	}
	one := k
	one.Compressor = 1
	air, err := one.Over(year)
	if err != nil {
		return Weather{}, &FieldError{Field: "facility.cooling", Err: err}
	}
	w := Weather{Air: air, Supply: k.Supply, Approach: k.Approach, Return: orElse(k.Return, k.Supply+9), Hourly: year, Loads: make([]float64, len(year))}
	for i, t := range year {
		w.Loads[i] = k.Load(t)
	}
	m.air[key] = w
	return w, nil
}

// siteOf resolves a site's PUE and grid for a choice.
func (m *model) siteOf(s Site, c Choice) (site, error) {
	x := site{name: s.Name, erf: -1, ref: -1}
	var err error
	if x.grid, err = m.gridOf(s, c); err != nil {
		return x, err
	}
	f, prefix := &m.s.Facility, ""
	if s.Facility != nil {
		f, prefix = s.Facility, "site/"+s.Name+"/"
	}
	if f.ERF != nil {
		x.erf = m.in.own(prefix+"erf", "", *f.ERF)
	}
	if f.REF != nil {
		x.ref = m.in.own(prefix+"ref", "", *f.REF)
	}
	if c.PUE != nil {
		x.pue = pueOf{constant: m.in.own("pue="+c.PUE.String(), "", *c.PUE), compressor: -1, fans: -1, other: -1, fixed: -1, prop: -1}
		return x, nil
	}
	if p, ok := m.pues[prefix]; ok {
		x.pue = p
		return x, nil
	}
	x.pue, err = m.pueOf(f, prefix)
	m.pues[prefix] = x.pue
	return x, err
}

func (m *model) pueOf(f *Facility, prefix string) (pueOf, error) {
	p := pueOf{constant: -1, compressor: -1, fans: -1, other: -1, fixed: -1, prop: -1, otherIT: f.OtherITW}
	input := func(id string, r *Range) int { return m.in.eitherOf(prefix+id, id, r) }
	switch {
	case f.Temperatures != nil:
		w, err := m.weather(f)
		if err != nil {
			return p, err
		}
		k := f.Cooling
		if k == nil {
			k = &Cooling{}
		}
		p.load = w.Load
		p.compressor, p.fans, p.other = input("compressor", k.Compressor), input("fans", k.Fans), input("other", k.Other)
	case f.FixedW != nil || f.Proportional != nil:
		p.fixed, p.prop = input("fixed_w", f.FixedW), input("proportional", f.Proportional)
	default:
		p.constant = input("pue", f.PUE)
	}
	return p, nil
}

// gridOf is the input of a site's carbon intensity.
func (m *model) gridOf(s Site, c Choice) (int, error) {
	k := m.s.Carbon
	switch {
	case c.GPerKWh != nil:
		return m.in.own("g_per_kwh="+c.GPerKWh.String(), "g/kWh", *c.GPerKWh), nil
	case s.GPerKWh != nil:
		return m.in.own("site/"+s.Name+"/g_per_kwh", "g/kWh", *s.GPerKWh), nil
	case s.Country == "" && k.GPerKWh != nil:
		return m.in.own("g_per_kwh", "g/kWh", *k.GPerKWh), nil
	}
	country := either(s.Country, either(k.Country, "EU"))
	id := "grid/" + country
	if i, ok := m.in.index[id]; ok {
		return i, nil
	}
	e, err := energy.Intensity(country, k.Source)
	if err != nil {
		return 0, &FieldError{Field: "carbon", Err: err}
	}
	if s.Country == "" && k.Country == "" {
		e.Status = energy.Default
	}
	return m.in.add(id, e), nil
}

// pue is the PUE of a site whose IT draws it watts.
func (p *pueOf) pue(v []float64, it float64) float64 {
	switch {
	case p.constant >= 0:
		return v[p.constant]
	case p.compressor >= 0:
		return 1 + v[p.other] + v[p.fans] + v[p.compressor]*p.load
	case it+p.otherIT > 0:
		return 1 + v[p.prop] + v[p.fixed]/(it+p.otherIT)
	}
	return 1
}
