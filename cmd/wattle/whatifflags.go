package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/wattle-storage/wattle/energy"
	"github.com/wattle-storage/wattle/whatif"
)

// A whatifFlag is shorthand for a field of the scenario.
type whatifFlag struct {
	name, usage string
	set         func(*whatif.Scenario, string) error
}

// whatifFlags are the flags of whatif that take a value.
var whatifFlags = []whatifFlag{
	{"usable", "usable `SIZE` of the baseline, such as 10PB; stored = usable x fill", sizeOf(func(s *whatif.Scenario) *whatif.Terabytes { return &s.UsableTB })},
	{"stored", "`SIZE` that users store", sizeOf(func(s *whatif.Scenario) *whatif.Terabytes { return &s.StoredTB })},
	{"scheme", "`SCHEMES`, such as replica:3,rs:9+6", words(func(s *whatif.Scenario) *whatif.Words { return &s.Sweep.Schemes })},
	{"disk", "drive `PROFILES` (see wattle profiles), such as helium-5w@8TB", words(func(s *whatif.Scenario) *whatif.Words { return &s.Sweep.Disks })},
	{"sites", "numbers of equal `SITES`", setSites},
	{"fill", "`PARTS` of the usable terabytes that are stored, 0 to 1", oneOrMore(parsePositive,
		func(s *whatif.Scenario, v float64) { s.Fill = v }, func(s *whatif.Scenario) *[]float64 { return &s.Sweep.Fills })},
	{"reserve", "`PARTS` of the raw terabytes kept free", oneOrMore(parseNumber,
		func(s *whatif.Scenario, v float64) { s.Reserve = &v }, func(s *whatif.Scenario) *[]float64 { return &s.Sweep.Reserves })},
	{"amplification", "raw terabytes `TIMES` this, for under-filled stripes, minimum allocation, compaction", oneOrMore(parsePositive,
		func(s *whatif.Scenario, v float64) { s.Amplification = v }, func(s *whatif.Scenario) *[]float64 { return &s.Sweep.Amplifications })},
	{"layout", "packed or striped, or both", oneOrMore(parseWord,
		func(s *whatif.Scenario, v string) { s.Workload.Layout = v }, func(s *whatif.Scenario) *[]string { return (*[]string)(&s.Sweep.Layouts) })},
	{"pue", "`PUE` as RANGES", oneOrMore(whatif.ParseRange,
		func(s *whatif.Scenario, v whatif.Range) { s.Facility.PUE = &v }, func(s *whatif.Scenario) *[]whatif.Range { return &s.Sweep.PUEs })},
	{"grid", "carbon intensity in `G/KWH` as RANGES", oneOrMore(whatif.ParseRange,
		func(s *whatif.Scenario, v whatif.Range) { s.Carbon.GPerKWh = &v }, func(s *whatif.Scenario) *[]whatif.Range { return &s.Sweep.GPerKWh })},
	{"slot", "overhead of a drive's slot in `WATTS`, as RANGES", oneOrMore(whatif.ParseRange,
		func(s *whatif.Scenario, v whatif.Range) { s.Server.SlotW = &v }, func(s *whatif.Scenario) *[]whatif.Range { return &s.Sweep.SlotW })},
	{"boundary", "drive, server, rack or facility", func(s *whatif.Scenario, v string) error { s.Boundary = whatif.Boundary(v); return nil }},
	{"baseline", "option, `SCHEME` or SCHEME@DISK to compare with", word(func(s *whatif.Scenario) *string { return &s.Baseline })},
	{"survive", "tolerance `SITES[+SHARDS]` below which options are greyed", word(func(s *whatif.Scenario) *string { return &s.Survive })},
	{"reads", "`READS` a second", number(func(s *whatif.Scenario) *float64 { return &s.Workload.Reads })},
	{"writes", "`WRITES` a second", number(func(s *whatif.Scenario) *float64 { return &s.Workload.Writes })},
	{"read-size", "`SIZE` of an object read, default 64KiB", bytesOf(func(s *whatif.Scenario) *whatif.Bytes { return &s.Workload.ReadSize })},
	{"write-size", "`SIZE` of an object written, default 64KiB", bytesOf(func(s *whatif.Scenario) *whatif.Bytes { return &s.Workload.WriteSize })},
	{"peak", "peak rate over mean `RATE`", number(func(s *whatif.Scenario) *float64 { return &s.Workload.Peak })},
	{"burst", "`OBJECTS` that share a stripe when written", number(func(s *whatif.Scenario) *float64 { return &s.Workload.Burst })},
	{"degraded", "`PART` of the reads that are degraded", number(func(s *whatif.Scenario) *float64 { return &s.Workload.Degraded })},
	{"utilisation-cap", "`PART` of a drive's rate in use at the peak, at most", number(func(s *whatif.Scenario) *float64 { return &s.Workload.Utilised })},
	{"idle-state", "`STATE` between requests: idle, idle_a, idle_b, idle_c", word(func(s *whatif.Scenario) *string { return &s.Workload.IdleState })},
	{"standby", "`PART` of the drives' time in standby", number(func(s *whatif.Scenario) *float64 { return &s.Workload.Standby })},
	{"states", "parts of the time by `STATE=PART`, such as idle=0.1,random=0.8,random_write=0.1", setStates},
	{"iops", "random I/Os a second of a drive, as `RANGE`", band(func(s *whatif.Scenario) **whatif.Range { return &s.Drive.IOPS })},
	{"mb-s", "sequential MB a second of a drive, as `RANGE`", band(func(s *whatif.Scenario) **whatif.Range { return &s.Drive.MBs })},
	{"afr", "part of the drives that fails in a year, as `RANGE`", band(func(s *whatif.Scenario) **whatif.Range { return &s.Drive.AFR })},
	{"server-w", "watts of a server without drives, as `RANGE`", band(func(s *whatif.Scenario) **whatif.Range { return &s.Server.Watts })},
	{"nic-w", "watts of its network card, as `RANGE`", band(func(s *whatif.Scenario) **whatif.Range { return &s.Server.NICW })},
	{"bays", "`DRIVES` in a server", whole(func(s *whatif.Scenario) *int { return &s.Server.Drives })},
	{"psu", "efficiency of power supplies as `RANGE`, or an 80 PLUS class: bronze, silver, gold, platinum, titanium", setPSU},
	{"psu-load", "`LOAD` of the power supplies for a class, 0.1 to 1", number(func(s *whatif.Scenario) *float64 { return &s.Server.PSULoad })},
	{"servers-per-rack", "`SERVERS` in a rack", whole(func(s *whatif.Scenario) *int { return &s.Rack.Servers })},
	{"switch-w", "watts of a rack's switches, as `RANGE`", band(func(s *whatif.Scenario) **whatif.Range { return &s.Rack.SwitchW })},
	{"rack-kw", "most `KILOWATTS` of a rack at the peak", number(func(s *whatif.Scenario) *float64 { return &s.Rack.MaxKW })},
	{"fixed-w", "losses of the building that do not follow the load, watts as `RANGE`", band(func(s *whatif.Scenario) **whatif.Range { return &s.Facility.FixedW })},
	{"proportional", "losses of the building for each watt of the IT, as `RANGE`", band(func(s *whatif.Scenario) **whatif.Range { return &s.Facility.Proportional })},
	{"other-it-w", "`WATTS` of other IT in the same building", number(func(s *whatif.Scenario) *float64 { return &s.Facility.OtherITW })},
	{"temperatures", "`FILE` of 8,760 hourly temperatures, CSV or EPW", func(s *whatif.Scenario, v string) error { temperatures(s).File = v; return nil }},
	{"monthly-means", "twelve mean temperatures in °C, in place of a file", numbers(func(s *whatif.Scenario) *[]float64 { return &temperatures(s).Means })},
	{"monthly-maxima", "twelve mean daily maxima in °C", numbers(func(s *whatif.Scenario) *[]float64 { return &temperatures(s).Maxima })},
	{"daily-swing", "kelvin from a day's mean to its warmest hour: one or twelve", numbers(func(s *whatif.Scenario) *[]float64 { return &temperatures(s).Swing })},
	{"deviation", "standard deviation of daily means in a month, `KELVIN`", number(func(s *whatif.Scenario) *float64 { return &temperatures(s).Deviation })},
	{"supply", "`°C` of the cold aisle", number(func(s *whatif.Scenario) *float64 { return &cooling(s).Supply })},
	{"return", "`°C` of the hot aisle", number(func(s *whatif.Scenario) *float64 { return &cooling(s).Return })},
	{"approach", "`KELVIN` by which the air outside must be cooler", number(func(s *whatif.Scenario) *float64 { return &cooling(s).Approach })},
	{"compressor", "watts of the compressor at full load for each of the IT, as `RANGE`", band(func(s *whatif.Scenario) **whatif.Range { return &cooling(s).Compressor })},
	{"fans", "watts of fans and pumps for each of the IT, as `RANGE`", band(func(s *whatif.Scenario) **whatif.Range { return &cooling(s).Fans })},
	{"other", "watts of all that is neither IT nor cooling for each of the IT, as `RANGE`", band(func(s *whatif.Scenario) **whatif.Range { return &cooling(s).Other })},
	{"cooling-share", "cooling's `PART` of what is not IT", number(func(s *whatif.Scenario) *float64 { return &s.Facility.CoolingShare })},
	{"cooling-cut", "`PART` of cooling's energy that a measure saves", number(func(s *whatif.Scenario) *float64 { return &s.Facility.CoolingCut })},
	{"wished-saving", "`PART` of the bill that free cooling is said to save", number(func(s *whatif.Scenario) *float64 { return &s.Facility.WishedSaving })},
	{"erf", "part of the energy reused as heat, as `RANGE`", band(func(s *whatif.Scenario) **whatif.Range { return &s.Facility.ERF })},
	{"ref", "part of the energy from renewable sources, as `RANGE`", band(func(s *whatif.Scenario) **whatif.Range { return &s.Facility.REF })},
	{"wue", "litres of water for each kWh of the IT, as `RANGE`", band(func(s *whatif.Scenario) **whatif.Range { return &s.Facility.WUE })},
	{"heat-price", "`EUR/KWH` of the heat that reuse displaces", optional(func(s *whatif.Scenario) **float64 { return &s.Facility.HeatPrice })},
	{"heat-grid", "`G/KWH` of the heat that reuse displaces", optional(func(s *whatif.Scenario) **float64 { return &s.Facility.HeatGPerKWh })},
	{"country", "`COUNTRY` of the grid, such as FR", word(func(s *whatif.Scenario) *string { return &s.Carbon.Country })},
	{"grid-source", "`TABLE` of the grid's carbon, such as codecarbon-2023", word(func(s *whatif.Scenario) *string { return &s.Carbon.Source })},
	{"market", "market-based intensity `RANGE=SOURCE`, such as 20=contract-2026", setMarket},
	{"embodied", "`METHOD` of embodied carbon: per_drive or per_tb", word(func(s *whatif.Scenario) *string { return &s.Embodied.Method })},
	{"kg-per-drive", "kgCO2e of making a drive, as `RANGE`", band(func(s *whatif.Scenario) **whatif.Range { return &s.Embodied.KgPerDrive })},
	{"kg-per-tb", "kgCO2e of making a raw terabyte, as `RANGE`", band(func(s *whatif.Scenario) **whatif.Range { return &s.Embodied.KgPerTB })},
	{"server-kg", "kgCO2e of making a server without drives, as `RANGE`", band(func(s *whatif.Scenario) **whatif.Range { return &s.Embodied.ServerKg })},
	{"life", "`YEARS` of service", number(func(s *whatif.Scenario) *float64 { return &s.Embodied.LifeYears })},
	{"price-kwh", "euro for a kWh, as `RANGE`", band(func(s *whatif.Scenario) **whatif.Range { return &s.Prices.EURPerKWh })},
	{"price-drive", "euro for a drive, as `RANGE`", band(func(s *whatif.Scenario) **whatif.Range { return &s.Prices.EURPerDrive })},
	{"price-tb", "euro for a raw terabyte, as `RANGE`", band(func(s *whatif.Scenario) **whatif.Range { return &s.Prices.EURPerTB })},
	{"price-server", "euro for a server without drives, as `RANGE`", band(func(s *whatif.Scenario) **whatif.Range { return &s.Prices.EURPerServer })},
	{"growth", "growth of the stored terabytes a year, 0.2 for 20 %", number(func(s *whatif.Scenario) *float64 { return &s.Growth.PerYear })},
	{"years", "`YEARS` of growth to show", whole(func(s *whatif.Scenario) *int { return &s.Growth.Years })},
	{"rebound", "`PART` of the freed watts that gets filled again", optional(func(s *whatif.Scenario) **float64 { return &s.Growth.Rebound })},
	{"profiles", "`FILE` of drive profiles of your own, YAML", func(s *whatif.Scenario, v string) error {
		list, err := readProfiles(v)
		s.Profiles = append(s.Profiles, list...)
		return err
	}},
	{"solve", "find the value of the uncertain input `ID` at which --target is met", nil},
	{"target", "what to solve for, `FIELD=VALUE`, of the first option, or of --option", nil},
	{"option", "`NAME` of the option that --solve looks at", nil},
	{"html", "write the report to `FILE`, one page that opens offline", nil},
	{"explain", "formula, inputs and sources of a `FIELD`, such as watts", nil},
}

type setter = func(*whatif.Scenario, string) error

func temperatures(s *whatif.Scenario) *whatif.Temperatures {
	if s.Facility.Temperatures == nil {
		s.Facility.Temperatures = &whatif.Temperatures{}
	}
	return s.Facility.Temperatures
}

func cooling(s *whatif.Scenario) *whatif.Cooling {
	if s.Facility.Cooling == nil {
		s.Facility.Cooling = &whatif.Cooling{}
	}
	return s.Facility.Cooling
}

func word(at func(*whatif.Scenario) *string) setter {
	return func(s *whatif.Scenario, v string) error { *at(s) = v; return nil }
}

func words(at func(*whatif.Scenario) *whatif.Words) setter {
	return func(s *whatif.Scenario, v string) error { *at(s) = split(v); return nil }
}

func split(v string) []string {
	list := strings.Split(v, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

func number(at func(*whatif.Scenario) *float64) setter {
	return func(s *whatif.Scenario, v string) (err error) { *at(s), err = parseNumber(v); return err }
}

func optional(at func(*whatif.Scenario) **float64) setter {
	return func(s *whatif.Scenario, v string) error {
		x, err := parseNumber(v)
		*at(s) = &x
		return err
	}
}

func numbers(at func(*whatif.Scenario) *[]float64) setter {
	return func(s *whatif.Scenario, v string) error {
		*at(s) = nil
		for _, part := range split(v) {
			x, err := parseNumber(part)
			if err != nil {
				return err
			}
			*at(s) = append(*at(s), x)
		}
		return nil
	}
}

// parseNumber reads a number; 70% is 0.7.
func parseNumber(v string) (float64, error) {
	text, percent := strings.CutSuffix(strings.TrimSpace(v), "%")
	x, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
		return 0, fmt.Errorf("%q: want a number", v)
	}
	if percent {
		x /= 100
	}
	return x, nil
}

func whole(at func(*whatif.Scenario) *int) setter {
	return func(s *whatif.Scenario, v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return fmt.Errorf("%q: want a whole number, 1 or more", v)
		}
		*at(s) = n
		return nil
	}
}

func sizeOf(at func(*whatif.Scenario) *whatif.Terabytes) setter {
	return func(s *whatif.Scenario, v string) (err error) {
		if _, bare := strconv.ParseFloat(v, 64); bare == nil {
			return fmt.Errorf("%q: want a size with its unit, such as 10PB or 9TiB", v)
		}
		if *at(s), err = whatif.ParseTerabytes(v); err == nil && *at(s) <= 0 {
			err = fmt.Errorf("%q: want more than nothing", v)
		}
		return err
	}
}

func bytesOf(at func(*whatif.Scenario) *whatif.Bytes) setter {
	return func(s *whatif.Scenario, v string) error {
		tb, err := whatif.ParseTerabytes(v)
		if x, bare := strconv.ParseFloat(v, 64); bare == nil {
			tb = whatif.Terabytes(x / 1e12)
		}
		*at(s) = whatif.Bytes(math.Round(float64(tb) * 1e12))
		return err
	}
}

func band(at func(*whatif.Scenario) **whatif.Range) setter {
	return func(s *whatif.Scenario, v string) error {
		r, err := whatif.ParseRange(v)
		*at(s) = &r
		return err
	}
}

// oneOrMore sets a field of the scenario to one value, or sweeps over many.
func oneOrMore[T any](parse func(string) (T, error), one func(*whatif.Scenario, T), many func(*whatif.Scenario) *[]T) setter {
	return func(s *whatif.Scenario, v string) error {
		var list []T
		for _, part := range split(v) {
			x, err := parse(part)
			if err != nil {
				return err
			}
			list = append(list, x)
		}
		if len(list) == 1 {
			one(s, list[0])
		} else {
			*many(s) = list
		}
		return nil
	}
}

func parseWord(v string) (string, error) { return v, nil }

// parsePositive reads a number above 0.
func parsePositive(v string) (float64, error) {
	x, err := parseNumber(v)
	if err == nil && x <= 0 {
		err = fmt.Errorf("%q: want more than 0", v)
	}
	return x, err
}

func setSites(s *whatif.Scenario, v string) error {
	var list []int
	for _, part := range split(v) {
		n, err := strconv.Atoi(part)
		if err != nil || n < 1 || n > 1000 {
			return fmt.Errorf("%q: want numbers of sites, 1 to 1,000", part)
		}
		list = append(list, n)
	}
	if len(list) > 1 || len(s.Sites) > 0 {
		s.Sweep.Sites = list
		return nil
	}
	for i := range list[0] {
		s.Sites = append(s.Sites, whatif.Site{Name: fmt.Sprintf("site%d", i+1)})
	}
	return nil
}

func setStates(s *whatif.Scenario, v string) error {
	s.Workload.States = map[string]float64{}
	for _, part := range split(v) {
		name, text, ok := strings.Cut(part, "=")
		x, err := parseNumber(text)
		if !ok || err != nil {
			return fmt.Errorf("%q: want STATE=PART", part)
		}
		s.Workload.States[name] = x
	}
	return nil
}

func setPSU(s *whatif.Scenario, v string) error {
	if _, ok := energy.PSUCurves[v]; ok {
		s.Server.PSUPlus, s.Server.PSU = v, nil
		return nil
	}
	r, err := whatif.ParseRange(v)
	if err != nil {
		classes := []string{}
		for name := range energy.PSUCurves {
			classes = append(classes, name)
		}
		slices.Sort(classes)
		return fmt.Errorf("%q: want an efficiency, or one of %s", v, strings.Join(classes, ", "))
	}
	s.Server.PSU, s.Server.PSUPlus = &r, ""
	return nil
}

func setMarket(s *whatif.Scenario, v string) error {
	text, source, ok := strings.Cut(v, "=")
	r, err := whatif.ParseRange(text)
	if !ok || err != nil {
		return fmt.Errorf("%q: want RANGE=SOURCE, such as 20=contract-2026", v)
	}
	s.Carbon.Market = &whatif.Market{GPerKWh: r, Source: source}
	return nil
}

func setInputs(s *whatif.Scenario, list []string) error {
	for _, text := range list {
		id, v, ok := strings.Cut(text, "=")
		r, err := whatif.ParseRange(v)
		if !ok || err != nil {
			return fmt.Errorf("--input %q: want ID=RANGE, such as hgst-he6-6tb/idle=5.1/5.3/5.5", text)
		}
		if s.Inputs == nil {
			s.Inputs = map[string]whatif.Range{}
		}
		s.Inputs[id] = r
	}
	return nil
}
