package whatif

import (
	"fmt"
	"math"

	"github.com/wattle-storage/wattle/energy"
)

// option answers choice i in full.
func (a *answer) option(i int) (*swing, Option, error) {
	c := a.choice(i)
	p, err := a.planOf(c)
	if err != nil {
		if i < len(a.choices) {
			return nil, Option{}, fmt.Errorf("option %q: %w", either(c.Name, fmt.Sprint(i)), err)
		}
		return nil, Option{}, err
	}
	s := a.swingOf(p)
	o, err := a.expand(c, s)
	return s, o, err
}

// expand makes the full answer of a plan.
func (a *answer) expand(c Choice, s *swing) (Option, error) {
	p, x := s.p, &s.typical
	o := Option{
		Name: p.name, Scheme: p.scheme, Disk: p.disk, Pools: p.pools, Sites: len(p.sites), Layout: p.layout,
		PlannedFill: p.fill, Reserve: p.reserve, Amplification: p.amplification, RawTB: x.q[qRawTB], StoredTB: p.stored,
		Drives: x.q[qDrives], Servers: x.q[qServers], Racks: x.q[qRacks], BoundBy: x.bound.String(),
		States:  States{x.q[qIdle], x.q[qRandom], x.q[qSequential], x.q[qStandby]},
		ReadIOs: p.readIOs, WriteIOs: p.writeIOs, SitesSurvived: p.tolerance.Sites, LeftOver: p.tolerance.Left,
		ReadsSurvive: p.tolerance.Sites, WritesSurvive: p.writesSurvive,
		Warnings: append([]string{}, p.warnings...), Because: map[string]string{},
	}
	for i, l := range p.lines {
		if p.disk == "" {
			o.Fleet = append(o.Fleet, Drives{l.disk, x.counts[i], l.tb, l.owned, l.site})
		}
	}
	o.UsableTB = o.RawTB * (1 - p.reserve) / (p.overhead * p.amplification)
	o.Fill = o.StoredTB / o.UsableTB
	a.power(&o, s)
	a.consequences(&o, s)
	o.BelowSurvive = a.belowSurvive(p.tolerance)
	if x.overloaded {
		o.Warnings = append(o.Warnings, "the drives cannot serve the work: they would be busy for more than all of their time")
	}
	if err := a.compare(&o, c, s); err != nil {
		return o, err
	}
	a.growth(&o)
	a.owned(&o, s)
	if math.Abs(p.stored/a.base.p.stored-1) > 1e-9 {
		o.Warnings = append(o.Warnings, fmt.Sprintf("it stores %s TB, the baseline %s TB: compare the figures for each terabyte only", energy.Four(p.stored), energy.Four(a.base.p.stored)))
	}
	return o, nil
}

func (a *answer) belowSurvive(t Tolerance) bool {
	if a.s.Survive == "" {
		return false
	}
	want, err := ParseTolerance(a.s.Survive)
	return err == nil && t.Less(want)
}

// The parts of the watts, from the inside out.
var parts = []struct {
	name string
	q    int
}{{"drive", qDriveW}, {"slot", qSlotW}, {"server", qServerW}, {"nic", qNICW}, {"psu_loss", qPSUW}, {"switch", qSwitchW}, {"facility", qFacilityW}}

// partsWithin lists the parts within a boundary.
func partsWithin(b Boundary) int {
	return map[Boundary]int{AtDrive: 1, AtServer: 5, AtRack: 6, AtFacility: 7}[b]
}

func of(q int) func(*outcome) float64 { return func(o *outcome) float64 { return o.q[q] } }

// power fills in the watts.
func (a *answer) power(o *Option, s *swing) {
	p := s.p
	o.Watts = s.band("W", of(qWatts))
	o.WattsByPart, o.WattsBySite = map[string]Estimate{}, map[string]Estimate{}
	for _, part := range parts[:partsWithin(p.boundary)] {
		o.WattsByPart[part.name] = s.band("W", of(part.q))
	}
	for i, x := range p.sites {
		o.WattsBySite[x.name] = s.band("W", func(o *outcome) float64 { return o.siteW[i] })
	}
	perRack := func(q int) Estimate {
		return s.band("kW", func(o *outcome) float64 { return o.q[q] / 1000 / math.Max(o.q[qRacks], 1e-9) })
	}
	o.KWPerRack, o.InrushKW = perRack(qPeakW), perRack(qInrushW)
	o.DrivesBand = s.band("", of(qDrives))
	if o.DrivesBand.Low != o.DrivesBand.High {
		o.Warnings = append(o.Warnings, fmt.Sprintf("%.0f to %.0f drives, by what a drive can do", o.DrivesBand.Low, o.DrivesBand.High))
	}
	o.IOPSInUse = s.band("", of(qIOPSInUse))
	usable := (1 - p.reserve) / (p.overhead * p.amplification)
	o.WPerRawTB = s.band("W/TB", func(o *outcome) float64 { return o.q[qWatts] / o.q[qRawTB] })
	o.WPerUsableTB = s.band("W/TB", func(o *outcome) float64 { return o.q[qWatts] / (o.q[qRawTB] * usable) })
	o.WPerStoredTB = s.band("W/TB", func(o *outcome) float64 { return perStored(p, o) })
	o.KWhPerYear = s.band("kWh", func(o *outcome) float64 { return energy.Watts(o.q[qWatts]).KWhPerYear() })
	if p.boundary == AtFacility {
		o.PUE = ptr(s.band("", func(o *outcome) float64 { return o.q[qWatts] / o.q[qITW] }))
		o.CUE = ptr(s.band("kgCO2e/kWh", func(o *outcome) float64 { return o.q[qKgLocation] / energy.Watts(o.q[qITW]).KWhPerYear() }))
	} else {
		o.Because["pue"] = "the boundary is " + string(p.boundary)
		o.Because["cue"] = o.Because["pue"]
	}
}

func ptr[T any](v T) *T { return &v }

// consequences fills in what follows from the watts.
func (a *answer) consequences(o *Option, s *swing) {
	p := s.p
	year := func(o *outcome) float64 { return energy.Watts(o.q[qWatts]).KWhPerYear() }
	o.KgLocation = ptr(s.band("kgCO2e", of(qKgLocation)))
	answer := func(to **Estimate, field, why, unit string, known bool, f func(*outcome) float64) {
		if !known {
			o.Because[field] = why
			return
		}
		*to = ptr(s.band(unit, f))
	}
	answer(&o.KgMarket, "kgco2e_market_per_year", "no contract and no residual mix was given (carbon.market)", "kgCO2e", p.market >= 0, of(qKgMarket))
	answer(&o.EUREnergy, "eur_energy_per_year", "no price was given (prices.eur_per_kwh)", "EUR", p.eurKWh >= 0, func(o *outcome) float64 { return year(o) * o.q[qPrice] })
	answer(&o.EURCapital, "eur_capital", "no price was given (prices.eur_per_drive or eur_per_tb)", "EUR", p.eurDrive >= 0 || p.eurTB >= 0, of(qEURCapital))
	answer(&o.Litres, "litres_per_year", "no water use was given (facility.wue)", "L", p.wue >= 0, func(o *outcome) float64 { return energy.Watts(o.q[qITW]).KWhPerYear() * o.q[qWUE] })
	reuse, renew := false, false
	for _, x := range p.sites {
		reuse, renew = reuse || x.erf >= 0, renew || x.ref >= 0
	}
	answer(&o.ERF, "erf", "no reuse of heat was given (facility.erf)", "", reuse, func(o *outcome) float64 { return o.q[qReused] / o.q[qWatts] })
	answer(&o.REF, "ref", "no renewable part was given (facility.ref)", "", renew, func(o *outcome) float64 { return o.q[qRenewed] / o.q[qWatts] })
	o.KgTotal = ptr(s.band("kgCO2e", of(qKgEmbodied)))
	o.KgEmbodied = ptr(s.band("kgCO2e", func(o *outcome) float64 { return o.q[qKgEmbodied] / p.life }))
	if reuse {
		o.HeatReuse = a.heat(s)
	}
	o.Facility = a.facilityAnswer(s)
	o.Evidence = a.evidence(s)
	o.SpinDown = a.spinDown(p)
}

// heat is what reused heat is worth to its user.
func (a *answer) heat(s *swing) *HeatReuse {
	reused := func(o *outcome) float64 { return energy.Watts(o.q[qReused]).KWhPerYear() }
	h := &HeatReuse{KWhPerYear: s.band("kWh", reused)}
	if price := a.s.Facility.HeatPrice; price != nil {
		h.EURPerYear = ptr(s.band("EUR", func(o *outcome) float64 { return reused(o) * *price }))
	}
	if g := a.s.Facility.HeatGPerKWh; g != nil {
		h.AvoidedKg = ptr(s.band("kgCO2e", func(o *outcome) float64 { return reused(o) * *g / 1000 }))
	}
	return h
}

// compare fills in the ratios to the baseline and to the replication twin.
func (a *answer) compare(o *Option, c Choice, s *swing) error {
	b := a.base
	o.Ratio = ptr(s.ratio(b, perStored))
	o.RatioPlain = ptr(a.fractions(s).ratio(a.baseFractions(), perStored))
	o.Verdict = verdict(*o.Ratio)
	o.Factors = factorsOf(s.p, &s.typical, b.p, &b.typical)
	if w := doesNotPay(o); w != "" {
		o.Warnings = append(o.Warnings, w)
	}
	o.Waterfall = Waterfall(perStored(b.p, &b.typical), perStored(s.p, &s.typical), o.Factors)
	if g := grid(&b.typical); g > 0 && grid(&s.typical) > 0 {
		o.CarbonFactors = factorsOf(s.p, &s.typical, b.p, &b.typical)
		o.CarbonFactors["grid"] = grid(&s.typical) / g
		if math.Abs(o.CarbonFactors["grid"]-1) < noise {
			o.CarbonFactors["grid"] = 1
		}
	}
	t, err := a.twin(c, s.p)
	if err != nil {
		return err
	}
	o.Twin = s.p.twin
	o.RatioTwin = ptr(s.ratio(t, perStored))
	o.VerdictTwin = verdict(*o.RatioTwin)
	return nil
}

// fractions is a plan whose drives, servers and racks need not be whole.
func (a *answer) fractions(s *swing) *swing {
	if s.p.fractional {
		return s
	}
	p := *s.p
	p.fractional = true
	return a.swingOf(&p)
}

func (a *answer) baseFractions() *swing {
	if a.basePlain == nil {
		a.basePlain = a.fractions(a.base)
	}
	return a.basePlain
}

// doesNotPay says why an option that has a saving of its own draws no less in the end, or "".
func doesNotPay(o *Option) string {
	best, worst := "", ""
	for _, name := range Factors {
		if f := o.Factors[name]; f < 0.995 && (best == "" || f < o.Factors[best]) {
			best = name
		}
		if f := o.Factors[name]; f > 1.005 && (worst == "" || f > o.Factors[worst]) {
			worst = name
		}
	}
	if o.Verdict == "less" || best == "" || worst == "" {
		return ""
	}
	why := worst
	if worst == "drive_count" {
		why += " (" + o.BoundBy + ")"
	}
	return fmt.Sprintf("it does not pay: %s × %.3f is eaten by %s × %.3f", best, o.Factors[best], why, o.Factors[worst])
}

// growth fills in the coming years. The watts follow the terabytes in proportion.
func (a *answer) growth(o *Option) {
	g := a.s.Growth
	rate := orElse(g.PerYear, defaultGrowth)
	for y := range int(orElse(float64(g.Years), defaultYears)) + 1 {
		f := math.Pow(1+rate, float64(y))
		o.Growth = append(o.Growth, GrowthYear{y, o.StoredTB * f, o.Watts.Typical * f, o.KWhPerYear.Typical * f})
	}
	r := o.Ratio.Typical
	if r >= 1 {
		return
	}
	o.Rebound = &Rebound{Part: g.Rebound, GoneAt: 1, GoneAtData: ptr(1/r - 1), PerYear: rate}
	if rate > 0 {
		o.Rebound.YearsToGrow = ptr(math.Log(1/r) / math.Log(1+rate))
	}
	if g.Rebound != nil {
		base := o.Watts.Typical / r
		o.Rebound.Watts = ptr(o.Watts.Typical + *g.Rebound*(base-o.Watts.Typical))
	}
}

// owned says what becomes of drives that were bought before.
func (a *answer) owned(o *Option, s *swing) {
	kept := map[string]float64{}
	for i, l := range s.p.lines {
		if l.owned {
			kept[l.disk] += s.typical.counts[i]
			failing := s.typical.counts[i] * a.in.typical[l.afr]
			o.Warnings = append(o.Warnings, fmt.Sprintf("%s: owned, counted without new carbon; about %s a year will fail, and their replacements are not counted", l.disk, energy.Four(failing)))
		}
	}
	for i, l := range a.base.p.lines {
		if gone := a.base.typical.counts[i] - kept[l.disk]; l.owned && gone > 0 {
			kg := a.in.typical[l.embodied] * gone
			if l.perTB {
				kg *= l.tb
			}
			kg *= math.Max(0, 1-l.age/a.base.p.life)
			o.WrittenOff += kg
			o.Warnings = append(o.Warnings, fmt.Sprintf("%.0f owned %s are written off, with %s kgCO2e of their making left", gone, l.disk, energy.Four(kg)))
		}
	}
}
