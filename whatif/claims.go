package whatif

import (
	"fmt"
	"math"

	"github.com/wattle-storage/wattle/durability"
	"github.com/wattle-storage/wattle/energy"
)

// A Claim is a statement, and what the model says of it.
type Claim struct {
	Claim     string             `json:"claim"`
	Source    string             `json:"source"` // article (CIO.Focus, November 2015) or wattle
	Inputs    map[string]any     `json:"inputs"`
	Result    map[string]float64 `json:"result"`
	Verdict   string             `json:"verdict"` // holds, holds if …, or does not hold
	Condition string             `json:"condition"`
}

// The verdicts.
const (
	Holds       = "holds"
	HoldsIf     = "holds if"
	DoesNotHold = "does not hold"
)

// Claims reckons the article's claims and Wattle's own with the model.
func Claims() ([]Claim, error) {
	var list []Claim
	for _, f := range []func() (Claim, error){
		claimFragments, claimHelium, claimHeliumFleet, claimFreeCooling, claimParis, claimColdAisle, claimPUE, claimDCEM, claimConsolidation,
		claimHeatCarbon, claimHeatBill, claimMesh, claimRebound, claimPacked,
	} {
		c, err := f()
		if err != nil {
			return nil, fmt.Errorf("claim %q: %w", c.Claim, err)
		}
		list = append(list, c)
	}
	return list, nil
}

// plain is a scenario of drives alone: full, without reserve, with fractions of drives.
func plain(schemes, disks []string, sites int) Scenario {
	none := 0.0
	return Scenario{Boundary: AtDrive, StoredTB: 10000, Fill: 1, Reserve: &none, Fractional: true, Baseline: schemes[0],
		Sweep: Sweep{Schemes: schemes, Disks: disks, Sites: []int{sites}}}
}

// claimFragments: redundancy is what halves the energy, so it hangs on what is replaced.
func claimFragments() (Claim, error) {
	c := Claim{Claim: "fragments over sites use half the energy of replicated storage", Source: "article",
		Inputs: map[string]any{"code": "rs:10+5", "sites": 3, "disk": "helium-5w@8TB", "boundary": "drive", "claimed_ratio": 0.5}}
	r, err := Run(plain([]string{"replica:3", "rs:10+5"}, []string{"helium-5w@8TB"}, 3))
	if err != nil {
		return c, err
	}
	o := r.Options[1]
	copies := o.Ratio.Typical * 3 / 0.5
	c.Result = map[string]float64{"ratio_to_3_copies": o.Ratio.Typical, "ratio_to_2_copies": o.RatioTwin.Typical, "redundancy": o.Factors["redundancy"], "copies_for_half": copies}
	c.Verdict = HoldsIf
	c.Condition = fmt.Sprintf("%s or more copies are what you replace; against %s, which survives as much, it is %s. Redundancy does it, not the sites: to survive one of 3 evenly used sites takes at least 1.5x",
		short(copies), o.Twin, change(o.RatioTwin.Typical))
	return c, nil
}

func heliumAt(tb float64) (Option, error) {
	r, err := Run(plain([]string{"replica:1"}, []string{"air-7w@6TB", fmt.Sprintf("helium-5w@%.9fTB", tb)}, 1))
	if err != nil {
		return Option{}, err
	}
	return r.Options[1], nil
}

// claimHelium solves for the capacity that the claimed −44 % per terabyte needs.
func claimHelium() (Claim, error) {
	c := Claim{Claim: "helium drives of 5 W for 7 W take 44 % off each terabyte", Source: "article",
		Inputs: map[string]any{"air": "air-7w", "helium": "helium-5w", "boundary": "drive", "claimed_ratio": 0.56}}
	same, err := heliumAt(6)
	if err != nil {
		return c, err
	}
	larger, err := closeIn(func(factor float64) (float64, error) {
		o, err := heliumAt(6 * factor)
		return o.Ratio.Typical, err
	}, 1, 4, 0.56, false)
	if err != nil {
		return c, err
	}
	c.Result = map[string]float64{"ratio_per_drive": same.Factors["w_per_drive"], "ratio_per_tb_at_equal_capacity": same.Ratio.Typical, "capacity_factor_for_claim": larger}
	c.Verdict = HoldsIf
	c.Condition = fmt.Sprintf("the helium drive also holds %+.1f %% more; 7 W to 5 W alone is %s", 100*(larger-1), change(same.Ratio.Typical))
	return c, nil
}

// claimHeliumFleet puts the same drives into servers and a building.
func claimHeliumFleet() (Claim, error) {
	c := Claim{Claim: "helium's saving of a drive is the saving of the bill", Source: "wattle",
		Inputs: map[string]any{"air": "air-7w@8TB", "helium": "helium-5w@8TB", "boundary": "facility", "stored_tb": 10000}}
	s := Scenario{StoredTB: 10000, Baseline: "replica:3@air-7w@8TB", Sweep: Sweep{Schemes: []string{"replica:3"}, Disks: []string{"air-7w@8TB", "helium-5w@8TB"}, Sites: []int{3}}}
	r, err := Run(s)
	if err != nil {
		return c, err
	}
	o := r.Options[1]
	c.Result = map[string]float64{"ratio_low": o.Ratio.Low, "ratio": o.Ratio.Typical, "ratio_high": o.Ratio.High, "w_per_drive": o.Factors["w_per_drive"], "overhead": o.Factors["overhead"]}
	c.Verdict = DoesNotHold
	c.Condition = fmt.Sprintf("what stands around a drive stays: %s of a drive becomes %s of the bill (%s [%s–%s])", change(o.Factors["w_per_drive"]), change(o.Ratio.Typical),
		short(o.Ratio.Typical), short(o.Ratio.Low), short(o.Ratio.High))
	return c, nil
}

// Paris Orly, typical year (IWEC): monthly means and mean daily maxima in °C, and sums over
// its hours. The hours themselves may not be handed on.
var (
	parisMeans  = []float64{3.9, 4.2, 7.0, 10.0, 14.3, 16.8, 19.4, 19.7, 15.7, 11.3, 6.4, 4.5}
	parisMaxima = []float64{6.3, 7.0, 10.4, 14.1, 19.0, 21.1, 24.2, 25.0, 20.0, 16.0, 8.8, 7.0}
)

const (
	parisDeviation  = 3.2 // K, of daily means within a month; fitted to the sums below
	parisCoolMonths = 5   // with at least 28 days whose maximum stays below 15 °C
	parisSource     = "Paris Orly, IWEC typical year"
)

// parisFree are the hours of the year at or below supply − approach.
var parisFree = []struct {
	supply, approach float64
	hours            float64
}{{16, 5, 4604}, {18, 3, 6215}, {27, 5, 8221}}

func paris(supply, approach, ret float64) (*FreeHours, *FacilityAnswer, error) {
	s := plain([]string{"replica:1"}, []string{"helium-5w@8TB"}, 1)
	s.Boundary = AtFacility
	s.Facility = Facility{Temperatures: &Temperatures{Means: parisMeans, Maxima: parisMaxima, Deviation: parisDeviation}, Cooling: &Cooling{Supply: supply, Approach: approach, Return: ret}}
	r, err := Run(s)
	if err != nil {
		return nil, nil, err
	}
	return r.Options[0].Facility.Free, r.Options[0].Facility, nil
}

// claimFreeCooling asks what free cooling can take off the bill at most, and takes off in
// Paris.
func claimFreeCooling() (Claim, error) {
	const share = defaultCoolingShare
	c := Claim{Claim: "free cooling saves 25 to 35 % of the bill, by year", Source: "article",
		Inputs: map[string]any{"pue": assumed["pue"].Typical, "cooling_share": share, "supply_c": 16, "return_c": 25, "approach_k": 3, "place": parisSource + ", synthetic year of its monthly figures"}}
	free, _, err := paris(16, 3, 25)
	if err != nil {
		return c, err
	}
	pue := assumed["pue"].Typical
	c.Result = map[string]float64{
		"most_saved_at_pue": energy.MostSaved(pue, share), "pue_for_25_percent": energy.LeastPUE(0.25, share), "pue_for_35_percent": energy.LeastPUE(0.35, share),
		"paris_saved_of_facility_bill": free.SavedOfFacility, "paris_saved_of_cooling_bill": free.SavedOfCooling, "paris_pue_without": free.PUEWithout,
	}
	c.Verdict = HoldsIf
	c.Condition = fmt.Sprintf("the PUE without it is %s (−25 %%) to %s (−35 %%) or more, with cooling at %.0f %% of what is not IT; in Paris at 16/25 °C it is −%.0f %% of the cooling's bill, −%.0f %% of the facility's",
		short(c.Result["pue_for_25_percent"]), short(c.Result["pue_for_35_percent"]), 100*share, 100*free.SavedOfCooling, 100*free.SavedOfFacility)
	return c, nil
}

// claimParis counts months by three definitions.
func claimParis() (Claim, error) {
	c := Claim{Claim: "Paris stays below 15 °C for five months", Source: "article",
		Inputs: map[string]any{"place": parisSource, "monthly_means_c": parisMeans, "monthly_maxima_c": parisMaxima, "limit_c": 15}}
	below := func(list []float64) (n float64) {
		for _, t := range list {
			if t < 15 {
				n++
			}
		}
		return n
	}
	c.Result = map[string]float64{"months_by_mean": below(parisMeans), "months_by_mean_daily_maximum": below(parisMaxima), "months_with_28_days_below": parisCoolMonths}
	c.Verdict = HoldsIf
	c.Condition = fmt.Sprintf("it means months with at least 28 days whose maximum stays below 15 °C (%d); by mean daily maxima there are %.0f, by means %.0f",
		parisCoolMonths, c.Result["months_by_mean_daily_maximum"], c.Result["months_by_mean"])
	return c, nil
}

// claimColdAisle compares hours of free cooling at supply temperatures.
func claimColdAisle() (Claim, error) {
	c := Claim{Claim: "the cold aisle must be kept at 16 °C", Source: "article",
		Inputs: map[string]any{"place": parisSource, "ashrae_recommended_c": []float64{energy.ASHRAE[0].Low, energy.ASHRAE[0].High}, "supply_c/approach_k": []string{"16/5", "18/3", "27/5"}}}
	c.Result = map[string]float64{}
	for _, p := range parisFree {
		free, _, err := paris(p.supply, p.approach, 0)
		if err != nil {
			return c, err
		}
		key := fmt.Sprintf("free_hours_%.0f_%.0f", p.supply, p.approach)
		c.Result[key], c.Result["synthetic_"+key] = p.hours, float64(free.Free)
	}
	c.Verdict = DoesNotHold
	if within := energy.ASHRAE[0]; within.Low <= 16 && 16 <= within.High {
		c.Verdict = Holds
	}
	c.Condition = fmt.Sprintf("ASHRAE recommends %v–%v °C; air outside is cold enough in Paris for %s hours of the year at 16 °C (approach 5 K), %s at 18 °C (3 K) and %s at 27 °C (5 K): 16 °C may be held, and costs hours of free cooling",
		energy.ASHRAE[0].Low, energy.ASHRAE[0].High, short(c.Result["free_hours_16_5"]), short(c.Result["free_hours_18_3"]), short(c.Result["free_hours_27_5"]))
	return c, nil
}

// claimPUE adds load to a building with fixed losses.
func claimPUE() (Claim, error) {
	c := Claim{Claim: "PUE falls when load is added, while the energy rises", Source: "article",
		Inputs: map[string]any{"fixed_w": 20000, "proportional": 0.2, "stored_tb": []float64{10000, 20000}, "disk": "helium-5w@8TB"}}
	at := func(tb float64) (Option, error) {
		s := plain([]string{"replica:3"}, []string{"helium-5w@8TB"}, 1)
		s.Boundary, s.StoredTB, s.Facility = AtFacility, Terabytes(tb), Facility{FixedW: Exactly(20000), Proportional: Exactly(0.2)}
		r, err := Run(s)
		if err != nil {
			return Option{}, err
		}
		return r.Options[0], nil
	}
	a, err := at(10000)
	if err != nil {
		return c, err
	}
	b, err := at(20000)
	if err != nil {
		return c, err
	}
	c.Result = map[string]float64{"pue_before": a.PUE.Typical, "pue_after": b.PUE.Typical, "kwh_before": a.KWhPerYear.Typical, "kwh_after": b.KWhPerYear.Typical}
	c.Verdict = DoesNotHold
	if b.PUE.Typical < a.PUE.Typical && b.KWhPerYear.Typical > a.KWhPerYear.Typical {
		c.Verdict = Holds
	}
	c.Condition = fmt.Sprintf("where losses are fixed in part: PUE %s → %s, %s → %s MWh a year; so absolute kWh stand beside PUE", short(a.PUE.Typical), short(b.PUE.Typical), short(a.KWhPerYear.Typical/1000), short(b.KWhPerYear.Typical/1000))
	return c, nil
}

// claimDCEM gives the four indicators of an example.
func claimDCEM() (Claim, error) {
	c := Claim{Claim: "DCEM says more than PUE: task efficiency, reuse and renewables", Source: "article",
		Inputs: map[string]any{"pue": 1.58, "erf": 0.1, "ref": 0.2, "standard": "ETSI ES 205 200-2-1"}}
	s := plain([]string{"replica:3"}, []string{"helium-5w@8TB"}, 1)
	s.Boundary, s.Facility = AtFacility, Facility{PUE: Exactly(1.58), ERF: Exactly(0.1), REF: Exactly(0.2)}
	r, err := Run(s)
	if err != nil {
		return c, err
	}
	k := r.Options[0].Facility.DCEM
	c.Result = map[string]float64{"kpi_ec_kwh": k.Consumption, "kpi_te": k.TaskEfficiency, "kpi_reuse": k.Reuse, "kpi_ren": k.Renewable}
	c.Verdict, c.Condition = Holds, "the four indicators; a class or score needs the weights and limits of the standard, which you give (facility.dcem)"
	return c, nil
}

// claimConsolidation fills what is idle.
func claimConsolidation() (Claim, error) {
	c := Claim{Claim: "only 35 % of the resources are in use at an instant; consolidation saves the rest", Source: "article",
		Inputs: map[string]any{"fill_before": 0.35, "fill_after": defaultFill, "scheme": "replica:3", "disk": defaultDisk, "sites": 3, "boundary": "facility"}}
	s := Scenario{StoredTB: 10000, Sweep: Sweep{Schemes: []string{"replica:3"}, Fills: []float64{0.35, defaultFill}, Sites: []int{3}}}
	r, err := Run(s)
	if err != nil {
		return c, err
	}
	o := r.Options[1]
	most := o.Drives * assumed["iops/hdd"].Typical * defaultUtilised
	c.Result = map[string]float64{"ratio": o.Ratio.Typical, "fill": o.Factors["fill"], "reads_per_s_at_most": most}
	c.Verdict = HoldsIf
	c.Condition = fmt.Sprintf("the emptied drives go: filling 35 %% to %.0f %% gives %s of the watts per stored TB, up to %s reads a second; beyond, spindles are missing", 100*defaultFill, short(o.Ratio.Typical), short(most))
	return c, nil
}

// claimHeatCarbon solves for the heater that must be displaced.
func claimHeatCarbon() (Claim, error) {
	c := Claim{Claim: "heat reused from servers as radiators saves 75 % of the carbon", Source: "article",
		Inputs: map[string]any{"claimed_saving": 0.75, "erf": 1, "grids": []string{"FR, ccf-2024", "EU, boavizta-2019"}}}
	c.Result = map[string]float64{}
	for _, x := range []struct{ name, country, table string }{{"fr", "FR", "ccf-2024"}, {"eu", "EU", "boavizta-2019"}} {
		g, err := energy.Intensity(x.country, x.table)
		if err != nil {
			return c, err
		}
		// carbon apart: g + h for a kWh of computing and one of heat; together: g
		c.Result["grid_"+x.name], c.Result["heater_"+x.name] = g.Typical, g.Typical*0.75/(1-0.75)
		c.Result["saved_if_electric_"+x.name] = g.Typical / (g.Typical + g.Typical)
	}
	c.Verdict = HoldsIf
	c.Condition = fmt.Sprintf("the heater displaced emits %s g/kWh on the French grid of %s g/kWh, or %s on the European of %s, and all heat is used; an electric radiator on the same grid gives −%.0f %%. Counted at the user of the heat, never taken off the store's own carbon",
		short(c.Result["heater_fr"]), short(c.Result["grid_fr"]), short(c.Result["heater_eu"]), short(c.Result["grid_eu"]), 100*c.Result["saved_if_electric_fr"])
	return c, nil
}

// claimHeatBill compares the price of the heat displaced with that of the electricity.
func claimHeatBill() (Claim, error) {
	c := Claim{Claim: "the heat given away repays the electricity bill", Source: "article",
		Inputs: map[string]any{"pue": 1.2, "erf": 0.7, "eur_per_kwh": 0.20, "price_source": "Eurostat, non-household, EU, H2-2023"}}
	price := 0.20
	s := plain([]string{"replica:3"}, []string{"helium-5w@8TB"}, 1)
	s.Boundary, s.Facility, s.Prices = AtFacility, Facility{PUE: Exactly(1.2), ERF: Exactly(0.7), HeatPrice: &price}, Prices{EURPerKWh: Exactly(price)}
	r, err := Run(s)
	if err != nil {
		return c, err
	}
	o := r.Options[0]
	paid := o.HeatReuse.EURPerYear.Typical / o.EUREnergy.Typical
	c.Result = map[string]float64{"repaid_when_heat_costs_as_much": paid, "heat_price_to_repay": price / paid}
	c.Verdict = HoldsIf
	c.Condition = fmt.Sprintf("a kWh of the heat displaced costs %s EUR or more, %s times the electricity; at an equal price %.0f %% is repaid", short(price/paid), short(1/paid), 100*paid)
	return c, nil
}

// claimMesh reckons the chance that data over S sites can be read, when each is up for a part
// of the time, independently.
func claimMesh() (Claim, error) {
	c := Claim{Claim: "the denser the mesh of small sites, the safer", Source: "article",
		Inputs: map[string]any{"sites": []int{3, 6, 12, 24, 48, 64}, "availabilities": []float64{0.9, 0.99, 0.999}, "code": "a third of the sites may be down (1.5x)", "independent": true}}
	c.Result = map[string]float64{}
	falls, rises := true, true
	for _, a := range []float64{0.9, 0.99, 0.999} {
		before, one := 1.0, 0.0
		for _, sites := range []int{3, 6, 12, 24, 48, 64} {
			u := unreadable(sites, sites/3, a)
			c.Result[fmt.Sprintf("unreadable_%d_sites_at_%v", sites, a)] = u
			falls = falls && u < before
			w := unreadable(sites, 1, a)
			c.Result[fmt.Sprintf("unreadable_%d_sites_at_%v_one_may_be_down", sites, a)] = w
			rises = rises && w > one
			before, one = u, w
		}
	}
	for _, sites := range []int{3, 6, 12, 24, 48, 64} {
		m, err := durability.Mesh{Sites: sites, Overhead: 1.5, Availability: 0.99}.Evaluate()
		if err != nil {
			return c, err
		}
		c.Result[fmt.Sprintf("lost_a_year_%d_sites", sites)] = m.LossYear
		c.Result[fmt.Sprintf("wan_repair_bytes_per_stored_byte_%d_sites_at_0.99", sites)] = m.WANRepair
	}
	c.Verdict = DoesNotHold
	if falls {
		c.Verdict = HoldsIf
	}
	c.Condition = fmt.Sprintf("a constant part of the sites may be down and they fail independently: unreadable for %.2g of the time over 3 sites of 90 %%, %.2g over 24; when only one may be down, more sites are worse (%.2g, %.2g). Lasting loss falls too (%.1g and %.1g of the stripes a year, a twentieth of the sites lost for good each year), but repair moves %.2g and %.2g bytes between sites for a byte stored, a year at 99 %%. The article's mesh only moves data; storing on it is our extrapolation",
		c.Result["unreadable_3_sites_at_0.9"], c.Result["unreadable_24_sites_at_0.9"], c.Result["unreadable_3_sites_at_0.9_one_may_be_down"], c.Result["unreadable_24_sites_at_0.9_one_may_be_down"],
		c.Result["lost_a_year_3_sites"], c.Result["lost_a_year_24_sites"], c.Result["wan_repair_bytes_per_stored_byte_3_sites_at_0.99"], c.Result["wan_repair_bytes_per_stored_byte_24_sites_at_0.99"])
	if !rises {
		c.Condition += "; with one spare the order is not the same at every availability"
	}
	return c, nil
}

// unreadable is the chance that more than spare of n sites are down, each up with chance a.
func unreadable(n, spare int, a float64) (sum float64) {
	p := math.Pow(a, float64(n)) // that none is down
	for down := range n + 1 {
		if down > spare {
			sum += p
		}
		p *= float64(n-down) / float64(down+1) * (1 - a) / a
	}
	return sum
}

// claimRebound asks when growth has eaten the saving of the first claim.
func claimRebound() (Claim, error) {
	c := Claim{Claim: "what efficiency frees gets filled again (rebound)", Source: "article",
		Inputs: map[string]any{"code": "rs:10+5", "baseline": "replica:3", "growth_per_year": defaultGrowth}}
	r, err := Run(plain([]string{"replica:3", "rs:10+5"}, []string{"helium-5w@8TB"}, 3))
	if err != nil {
		return c, err
	}
	b := r.Options[1].Rebound
	c.Result = map[string]float64{"gone_at_growth_of_data": *b.GoneAtData, "years_until_growth_eats_it": *b.YearsToGrow}
	c.Verdict = HoldsIf
	c.Condition = fmt.Sprintf("the saving of half makes people store %.0f %% more, or after %.1f years of %.0f %% growth", 100**b.GoneAtData, *b.YearsToGrow, 100*defaultGrowth)
	return c, nil
}

// claimPacked compares the layouts under small reads.
func claimPacked() (Claim, error) {
	c := Claim{Claim: "small objects packed in one shard need fewer spindles than objects striped over k", Source: "wattle",
		Inputs: map[string]any{"scheme": "rs:10+5", "disk": defaultDisk, "usable_tb": 10000, "read_size": "64 KiB", "reads_per_s": 100000, "boundary": "facility"}}
	at := func(reads float64) (packed, striped Option, err error) {
		s := Scenario{UsableTB: 10000, Baseline: "rs:10+5", Workload: Workload{Reads: reads}, Sweep: Sweep{Schemes: []string{"rs:10+5"}, Layouts: layouts, Sites: []int{3}}}
		r, err := Run(s)
		if err != nil {
			return packed, striped, err
		}
		return r.Options[0], r.Options[1], nil
	}
	packed, striped, err := at(100000)
	if err != nil {
		return c, err
	}
	from, err := closeIn(func(reads float64) (float64, error) {
		p, s, err := at(reads)
		return s.Drives / p.Drives, err
	}, 1, 100000, 1.001, true)
	if err != nil {
		return c, err
	}
	c.Result = map[string]float64{"ios_packed": packed.ReadIOs, "ios_striped": striped.ReadIOs, "drives_packed": packed.Drives, "drives_striped": striped.Drives, "ratio": packed.WPerStoredTB.Typical / striped.WPerStoredTB.Typical, "reads_per_s_from": from}
	c.Verdict = HoldsIf
	c.Condition = fmt.Sprintf("more than %s reads a second are asked of 10 PB; at 100,000 packing draws %s of the watts; below, capacity binds both", short(from), short(c.Result["ratio"]))
	return c, nil
}
