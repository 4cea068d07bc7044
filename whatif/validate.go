package whatif

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/wattle-storage/wattle/energy"
	"github.com/wattle-storage/wattle/erasure"
)

// A check collects what is wrong with a scenario.
type check struct {
	s    *Scenario
	errs []error
}

func (c *check) wrong(field, format string, a ...any) {
	c.errs = append(c.errs, &FieldError{Field: field, Err: fmt.Errorf(format, a...)})
}

func (c *check) fails(field string, err error) {
	if err != nil {
		c.errs = append(c.errs, &FieldError{Field: field, Err: err})
	}
}

// within wants low ≤ v ≤ high; 0 is "not given" and passes.
func (c *check) within(field string, v, low, high float64, hint string) {
	if v != 0 && !(v >= low && v <= high) {
		c.wrong(field, "%v: want %v to %v%s", v, low, high, hint)
	}
}

func (c *check) band(field string, r *Range, low, high float64, hint string) {
	if r != nil && !(r.Low >= low && r.High <= high && r.Low <= r.Typical && r.Typical <= r.High) {
		c.wrong(field, "%s: want %v to %v%s", r, low, high, hint)
	}
}

func (c *check) oneOf(field, v string, list []string) {
	if v != "" && !slices.Contains(list, v) {
		c.wrong(field, "%q: want %s%s", clip(v), strings.Join(list, ", "), suggestion(v, list))
	}
}

// Validate tells what is wrong with a scenario: a FieldError for each field, joined.
func (s *Scenario) Validate() error {
	c := &check{s: s}
	c.oneOf("boundary", string(s.Boundary), boundaries)
	c.within("usable_tb", float64(s.UsableTB), 1e-9, 1e9, " TB")
	c.within("stored_tb", float64(s.StoredTB), 1e-9, 1e9, " TB")
	if s.UsableTB != 0 && s.StoredTB != 0 {
		c.wrong("stored_tb", "contradicts usable_tb: give one of them, the other follows from fill")
	}
	if s.Survive != "" {
		_, err := ParseTolerance(s.Survive)
		c.fails("survive", err)
	}
	c.shares("", s.Fill, s.Reserve, s.Amplification)
	c.profiles()
	c.pools("pools", s.Pools)
	c.fleet("fleet", s.Fleet)
	c.sites()
	c.sweep()
	for i := range s.Options {
		c.choice(fmt.Sprintf("options[%d]", i), &s.Options[i])
	}
	c.workload()
	c.machines()
	c.facility("facility", &s.Facility)
	c.carbon()
	c.rest()
	return errors.Join(c.errs...)
}

func (c *check) shares(prefix string, fill float64, reserve *float64, amplification float64) {
	c.within(prefix+"fill", fill, 0.001, 1, percentHint(fill))
	if reserve != nil && !(*reserve >= 0 && *reserve <= 0.95) {
		c.wrong(prefix+"reserve", "%v: want 0 to 0.95%s", *reserve, percentHint(*reserve))
	}
	c.within(prefix+"amplification", amplification, 1, 100, "")
}

func percentHint(v float64) string {
	if v > 1 && v <= 100 {
		return fmt.Sprintf("; for %v %% write %v", v, v/100)
	}
	return ""
}

// profiles looks at the user's drives; a drive beyond these watts is no drive.
func (c *check) profiles() {
	for i, p := range c.s.Profiles {
		f := fmt.Sprintf("profiles[%d]", i)
		if p.ID == "" || strings.ContainsAny(p.ID, "@/ ") {
			c.wrong(f+".id", "%q: want a name without @, / and blanks", p.ID)
		}
		c.fails(f, p.Validate())
	}
}

func (c *check) scheme(field, text string) {
	_, err := erasure.ParseModelled(text)
	c.fails(field, err)
}

func (c *check) disk(field, name string) (energy.Profile, bool) {
	p, err := energy.Find(c.s.Profiles, name)
	c.fails(field, err)
	return p, err == nil
}

// sized wants a drive with a capacity.
func (c *check) sized(field, name string, capacity Terabytes) {
	p, ok := c.disk(field, name)
	if !ok {
		return
	}
	if capacity == 0 && p.CapacityTB == 0 {
		c.wrong(field, "%s has no capacity of its own: write it as %s@8TB", name, name)
	}
	tb := float64(capacity)
	if tb == 0 {
		tb = p.CapacityTB
	}
	if tb != 0 && !(tb >= 0.001 && tb <= 1000) {
		c.wrong(field, "%s: a drive of %v TB: want 0.001 to 1000 TB", name, tb)
	}
}

func (c *check) pools(field string, list []Pool) {
	for i, p := range list {
		f := fmt.Sprintf("%s[%d]", field, i)
		c.scheme(f+".scheme", p.Scheme)
		if !(p.StoredTB >= 0 && p.StoredTB <= 1e9) {
			c.wrong(f+".stored_tb", "%v TB: want 0 to 1e9", float64(p.StoredTB))
		}
		c.within(f+".amplification", p.Amplification, 1, 100, "")
	}
}

func (c *check) fleet(field string, list []Fleet) {
	for i, d := range list {
		f := fmt.Sprintf("%s[%d]", field, i)
		if d.Aside {
			c.disk(f+".disk", d.Disk)
		} else {
			c.sized(f+".disk", d.Disk, d.CapacityTB)
		}
		if d.Aside && d.Count == 0 {
			c.wrong(f+".count", "drives aside need a count: no terabytes say how many")
		}
		if d.Count < 0 || d.Count > 1e8 {
			c.wrong(f+".count", "%d: want 0 to 100,000,000 drives", d.Count)
		}
		c.within(f+".age_years", d.AgeYears, 0, 50, " years")
		if d.Site != "" && !slices.ContainsFunc(c.s.Sites, func(s Site) bool { return s.Name == d.Site }) {
			var names []string
			for _, s := range c.s.Sites {
				names = append(names, s.Name)
			}
			c.wrong(f+".site", "%q is not among the sites%s", d.Site, suggestion(d.Site, names))
		}
	}
}

func (c *check) sites() {
	seen := map[string]bool{}
	if len(c.s.Sites) > 1000 {
		c.wrong("sites", "%d sites: want 1,000 at most", len(c.s.Sites))
	}
	for i := range c.s.Sites {
		s, f := &c.s.Sites[i], fmt.Sprintf("sites[%d]", i)
		if s.Name == "" || seen[s.Name] {
			c.wrong(f+".name", "%q: want a name of its own", s.Name)
		}
		seen[s.Name] = true
		c.within(f+".share", s.Share, 1e-6, 1e6, "")
		c.country(f+".country", s.Country, c.s.Carbon.Source)
		c.band(f+".g_per_kwh", s.GPerKWh, 0, 2000, " g/kWh")
		if s.Facility != nil {
			c.facility(f+".facility", s.Facility)
		}
	}
}

func (c *check) sweep() {
	w := c.s.Sweep
	for i, v := range w.Schemes {
		c.scheme(fmt.Sprintf("sweep.schemes[%d]", i), v)
	}
	for i, v := range w.Disks {
		c.sized(fmt.Sprintf("sweep.disks[%d]", i), v, 0)
	}
	for i, v := range w.Sites {
		c.number(fmt.Sprintf("sweep.sites[%d]", i), v)
	}
	for i, v := range w.Fills {
		c.must(fmt.Sprintf("sweep.fills[%d]", i), v, 0.001, 1, percentHint(v))
	}
	for i, v := range w.Reserves {
		c.must(fmt.Sprintf("sweep.reserves[%d]", i), v, 0, 0.95, percentHint(v))
	}
	for i, v := range w.Amplifications {
		c.must(fmt.Sprintf("sweep.amplifications[%d]", i), v, 1, 100, "")
	}
	for i, v := range w.Layouts {
		c.oneOf(fmt.Sprintf("sweep.layouts[%d]", i), v, layouts)
	}
	if v := c.s.Facility; len(w.PUEs) > 0 && (v.FixedW != nil || v.Proportional != nil || v.Temperatures != nil) {
		c.wrong("sweep.pues", "contradicts fixed_w, proportional and temperatures: give one")
	}
	for i := range w.PUEs {
		c.band(fmt.Sprintf("sweep.pues[%d]", i), &w.PUEs[i], 1, 5, pueHint)
	}
	if len(w.GPerKWh) > 0 && c.s.Carbon.Country != "" {
		c.wrong("sweep.g_per_kwh", "contradicts carbon.country: give one of them")
	}
	for i := range w.GPerKWh {
		c.band(fmt.Sprintf("sweep.g_per_kwh[%d]", i), &w.GPerKWh[i], 0, 2000, " g/kWh")
	}
	for i := range w.SlotW {
		c.band(fmt.Sprintf("sweep.slot_w[%d]", i), &w.SlotW[i], 0, 100, " W")
	}
}

var layouts = []string{"packed", "striped"}

const pueHint = "; PUE is all energy over that of the IT, so never below 1"

func (c *check) must(field string, v, low, high float64, hint string) {
	if !(v >= low && v <= high) {
		c.wrong(field, "%v: want %v to %v%s", v, low, high, hint)
	}
}

func (c *check) number(field string, n int) {
	if n < 1 || n > 1000 {
		c.wrong(field, "%d sites: want 1 to 1,000", n)
	}
}

func (c *check) choice(f string, o *Choice) {
	if o.Scheme != "" {
		c.scheme(f+".scheme", o.Scheme)
		if len(o.Pools) > 0 {
			c.wrong(f+".scheme", "contradicts pools: give one of them")
		}
	}
	if o.Disk != "" {
		c.sized(f+".disk", o.Disk, 0)
		if len(o.Fleet) > 0 {
			c.wrong(f+".disk", "contradicts fleet: give one of them")
		}
	}
	c.pools(f+".pools", o.Pools)
	c.fleet(f+".fleet", o.Fleet)
	if o.Sites != 0 {
		c.number(f+".sites", o.Sites)
	}
	c.shares(f+".", o.Fill, o.Reserve, o.Amplification)
	if o.Bays != 0 {
		c.must(f+".bays", o.Bays, 1, 10000, " drives in a server")
	}
	c.oneOf(f+".layout", o.Layout, layouts)
	c.states(f+".states", o.States)
	c.band(f+".pue", o.PUE, 1, 5, pueHint)
	c.band(f+".g_per_kwh", o.GPerKWh, 0, 2000, " g/kWh")
	c.band(f+".slot_w", o.SlotW, 0, 100, " W")
}

func (c *check) workload() {
	w := c.s.Workload
	c.fails("workload", w.load(w.Layout).Validate())
	c.within("workload.utilisation_cap", w.Utilised, 0.01, 1, percentHint(w.Utilised))
	c.within("workload.standby", w.Standby, 0, 1, percentHint(w.Standby))
	c.oneOf("workload.idle_state", w.IdleState, []string{"idle", "idle_a", "idle_b", "idle_c"})
	c.states("workload.states", w.States)
	if w.States == nil {
		return
	}
	if w.Reads != 0 || w.Writes != 0 || w.Standby != 0 || w.IdleState != "" {
		c.wrong("workload.states", "contradicts reads_per_s, writes_per_s, standby and idle_state: give the states, or what they follow from")
	}
}

func (c *check) states(field string, states map[string]float64) {
	sum := 0.0
	for _, name := range sortedKeys(states) {
		_, err := parseState(name)
		c.fails(field, err)
		c.must(field+"."+name, states[name], 0, 1, percentHint(states[name]))
		sum += states[name]
	}
	if states != nil && math.Abs(sum-1) > 1e-6 {
		c.wrong(field, "the parts sum to %.6g: want 1", sum)
	}
}

func (c *check) machines() {
	d, v, r := c.s.Drive, c.s.Server, c.s.Rack
	c.band("drive.iops", d.IOPS, 1, 1e8, "")
	c.band("drive.mb_s", d.MBs, 0.1, 1e6, " MB/s")
	c.band("drive.afr", d.AFR, 0, 1, "")
	c.band("server.slot_w", v.SlotW, 0, 100, " W")
	c.band("server.watts", v.Watts, 0, 5000, " W")
	c.band("server.nic_w", v.NICW, 0, 500, " W")
	c.within("server.drives", float64(v.Drives), 1, 1000, " drives in a server")
	c.band("server.psu_efficiency", v.PSU, 0.3, 1, "")
	c.oneOf("server.psu_curve", v.PSUPlus, sortedKeys(energy.PSUCurves))
	c.within("server.psu_load", v.PSULoad, 0.1, 1, percentHint(v.PSULoad))
	if v.PSU != nil && v.PSUPlus != "" {
		c.wrong("server.psu_curve", "contradicts psu_efficiency: give one of them")
	}
	c.within("rack.servers", float64(r.Servers), 1, 1000, " servers in a rack")
	c.band("rack.switch_w", r.SwitchW, 0, 1e5, " W")
	c.within("rack.max_kw", r.MaxKW, 0.1, 1000, " kW")
}

func (c *check) facility(f string, v *Facility) {
	c.band(f+".pue", v.PUE, 1, 5, pueHint)
	c.band(f+".fixed_w", v.FixedW, 0, 1e9, " W")
	c.band(f+".proportional", v.Proportional, 0, 4, "")
	c.within(f+".other_it_w", v.OtherITW, 0, 1e9, " W")
	c.within(f+".cooling_share", v.CoolingShare, 0, 1, percentHint(v.CoolingShare))
	c.within(f+".cooling_cut", v.CoolingCut, 0, 1, percentHint(v.CoolingCut))
	c.within(f+".wished_saving", v.WishedSaving, 0, 1, percentHint(v.WishedSaving))
	c.band(f+".erf", v.ERF, 0, 1, "")
	c.band(f+".ref", v.REF, 0, 1, "")
	c.band(f+".wue", v.WUE, 0, 100, " L/kWh")
	ways := 0
	for _, given := range []bool{v.PUE != nil, v.FixedW != nil || v.Proportional != nil, v.Temperatures != nil} {
		if given {
			ways++
		}
	}
	if ways > 1 {
		c.wrong(f, "pue, fixed_w with proportional, and temperatures contradict one another: give one")
	}
	if v.Temperatures != nil {
		c.temperatures(f+".temperatures", v.Temperatures)
	}
	if k := v.Cooling; k != nil {
		if v.Temperatures == nil {
			c.wrong(f+".cooling", "needs temperatures")
		}
		c.band(f+".cooling.compressor", k.Compressor, 0, 4, "")
		c.band(f+".cooling.fans", k.Fans, 0, 4, "")
		c.band(f+".cooling.other", k.Other, 0, 4, "")
		c.fails(f+".cooling", energy.Cooling{Supply: k.Supply, Approach: k.Approach, Return: k.Return}.Validate())
	}
}

func (c *check) temperatures(f string, t *Temperatures) {
	ways := 0
	for _, given := range []bool{t.File != "", len(t.Hourly) > 0, len(t.Means) > 0} {
		if given {
			ways++
		}
	}
	switch {
	case ways != 1:
		c.wrong(f, "want exactly one of file, hourly and monthly_means")
	case len(t.Hourly) > 0:
		c.fails(f+".hourly", energy.WholeYear(t.Hourly))
	case len(t.Means) > 0:
		_, err := t.synthetic()
		c.fails(f, err)
	}
}

func (c *check) carbon() {
	k := c.s.Carbon
	c.country("carbon.country", k.Country, k.Source)
	c.band("carbon.g_per_kwh", k.GPerKWh, 0, 2000, " g/kWh")
	if k.GPerKWh != nil && k.Country != "" {
		c.wrong("carbon.country", "contradicts g_per_kwh: give one of them")
	}
	if k.Market != nil {
		c.band("carbon.market.g_per_kwh", &k.Market.GPerKWh, 0, 2000, " g/kWh")
		if k.Market.Source == "" {
			c.wrong("carbon.market.source", "want the contract or residual mix that the figure comes from")
		}
	}
}

func (c *check) country(field, country, source string) {
	if country != "" || source != "" {
		_, err := energy.Intensity(country, source)
		c.fails(field, err)
	}
}

func (c *check) rest() {
	e, p, g := c.s.Embodied, c.s.Prices, c.s.Growth
	c.oneOf("embodied.method", e.Method, []string{"per_drive", "per_tb"})
	c.band("embodied.kg_per_drive", e.KgPerDrive, 0, 1e5, " kg")
	c.band("embodied.kg_per_tb", e.KgPerTB, 0, 1e4, " kg")
	c.band("embodied.server_kg", e.ServerKg, 0, 1e4, " kg; a server embodies about 1,000 kg: were grams and kilograms mixed?")
	if d := e.Flash; d != nil {
		c.must("embodied.flash.gb_per_cm2", d.GBPerCm2, 0.1, 1e4, " GB/cm²")
		c.must("embodied.flash.kg_per_cm2", d.KgPerCm2, 0, 100, " kg/cm²")
		c.must("embodied.flash.base_kg", d.BaseKg, 0, 1000, " kg")
	}
	c.within("embodied.life_years", e.LifeYears, 0.1, 50, " years")
	c.band("prices.eur_per_kwh", p.EURPerKWh, -1, 10, " euro")
	c.band("prices.eur_per_drive", p.EURPerDrive, 0, 1e5, " euro")
	c.band("prices.eur_per_tb", p.EURPerTB, 0, 1e5, " euro")
	c.band("prices.eur_per_server", p.EURPerServer, 0, 1e6, " euro")
	if p.EURPerDrive != nil && p.EURPerTB != nil {
		c.wrong("prices.eur_per_tb", "contradicts eur_per_drive: give one of them")
	}
	c.within("growth.per_year", g.PerYear, -0.9, 10, percentHint(g.PerYear))
	c.within("growth.years", float64(g.Years), 1, 100, " years")
	if g.Rebound != nil {
		c.must("growth.rebound", *g.Rebound, -10, 100, "")
	}
}
