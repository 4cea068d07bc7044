package whatif

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/wattle-storage/wattle/energy"
)

// An Explanation is how a figure of an option came about.
type Explanation struct {
	Option  string             `json:"option"`
	Field   string             `json:"field"`
	Formula string             `json:"formula"`
	Value   Estimate           `json:"value"`
	Plain   map[string]float64 `json:"plain"`   // the numbers without band that it is made of
	Inputs  []Influence        `json:"inputs"`  // tornado: the strongest first, those without influence last
	AllLow  float64            `json:"all_low"` // with every input at the end that lowers it
	AllHigh float64            `json:"all_high"`
	Sources map[string]Source  `json:"sources"`
}

// A field is a figure that can be explained.
type field struct {
	formula, unit string
	f             func(p *plan, o *outcome) float64
}

func yearly(_ *plan, o *outcome) float64 { return energy.Watts(o.q[qWatts]).KWhPerYear() }

func quantity(q int) func(*plan, *outcome) float64 {
	return func(_ *plan, o *outcome) float64 { return o.q[q] }
}

func perQuantity(a, b int) func(*plan, *outcome) float64 {
	return func(_ *plan, o *outcome) float64 { return o.q[a] / o.q[b] }
}

func (p *plan) usablePart() float64 { return (1 - p.reserve) / (p.overhead * p.amplification) }

const wattsFormula = `drives · (W of a drive in its mix of states + slot_w) + servers · (server_w + nic_w), over psu_efficiency, + racks · switch_w, · PUE, up to the boundary`

// fields are the figures that can be explained, by their name in JSON.
var fields = map[string]field{
	"drives":                   {"the larger of raw need / TB of a drive, peak I/Os / (IOPS · utilisation cap), peak MB/s / (MB/s · cap), and what the topology asks for; whole ones", "", quantity(qDrives)},
	"servers":                  {"drives of a site / drives in a server, whole ones, over all sites", "", quantity(qServers)},
	"racks":                    {"servers of a site / servers in a rack, whole ones, or more where a rack's kilowatts bind", "", quantity(qRacks)},
	"raw_tb":                   {"drives · TB of a drive; the need is stored · overhead · amplification / (fill · (1 − reserve))", "TB", quantity(qRawTB)},
	"usable_tb":                {"raw · (1 − reserve) / (overhead · amplification)", "TB", func(p *plan, o *outcome) float64 { return o.q[qRawTB] * p.usablePart() }},
	"fill":                     {"stored / usable", "", func(p *plan, o *outcome) float64 { return p.stored / (o.q[qRawTB] * p.usablePart()) }},
	"watts":                    {wattsFormula, "W", quantity(qWatts)},
	"watts_by_part.drive":      {"drives · Σ part of the time in a state · W in that state", "W", quantity(qDriveW)},
	"watts_by_part.slot":       {"drives · slot_w", "W", quantity(qSlotW)},
	"watts_by_part.server":     {"servers · server_w", "W", quantity(qServerW)},
	"watts_by_part.nic":        {"servers · nic_w", "W", quantity(qNICW)},
	"watts_by_part.psu_loss":   {"all behind the power supplies · (1 / psu_efficiency − 1)", "W", quantity(qPSUW)},
	"watts_by_part.switch":     {"racks · switch_w", "W", quantity(qSwitchW)},
	"watts_by_part.facility":   {"watts of the IT · (PUE − 1), site by site", "W", quantity(qFacilityW)},
	"w_per_raw_tb":             {"watts / raw_tb", "W/TB", perQuantity(qWatts, qRawTB)},
	"w_per_usable_tb":          {"watts / usable_tb", "W/TB", func(p *plan, o *outcome) float64 { return o.q[qWatts] / (o.q[qRawTB] * p.usablePart()) }},
	"w_per_stored_tb":          {"watts / stored_tb; watts = " + wattsFormula, "W/TB", perStored},
	"kwh_per_year":             {"watts · 8,766 h", "kWh", yearly},
	"pue":                      {"watts / watts of the IT", "", perQuantity(qWatts, qITW)},
	"kw_per_rack":              {"watts of the IT at the peak / racks", "kW", func(_ *plan, o *outcome) float64 { return o.q[qPeakW] / 1000 / o.q[qRacks] }},
	"inrush_kw_per_rack":       {"all drives at the peak of spin-up, with slots and servers, over psu_efficiency, / racks", "kW", func(_ *plan, o *outcome) float64 { return o.q[qInrushW] / 1000 / o.q[qRacks] }},
	"iops_utilisation":         {"peak I/Os / (drives · IOPS of a drive)", "", quantity(qIOPSInUse)},
	"kgco2e_location_per_year": {"Σ kWh of a site · g/kWh of its grid / 1000", "kgCO2e", quantity(qKgLocation)},
	"kgco2e_market_per_year":   {"kWh · g/kWh of the contract or residual mix / 1000", "kgCO2e", quantity(qKgMarket)},
	"kgco2e_embodied_total":    {"drives bought · (1 + AFR · years) · kg of a drive + servers · kg of a server where given; owned drives count 0. Racks, switches and the building are not counted", "kgCO2e", quantity(qKgEmbodied)},
	"kgco2e_embodied_per_year": {"kgco2e_embodied_total / years of service", "kgCO2e", func(p *plan, o *outcome) float64 { return o.q[qKgEmbodied] / p.life }},
	"eur_energy_per_year":      {"kwh_per_year · eur_per_kwh", "EUR", func(p *plan, o *outcome) float64 { return yearly(p, o) * o.q[qPrice] }},
	"eur_capital":              {"drives bought · price (of a drive, or of its terabytes) + servers · price where given", "EUR", quantity(qEURCapital)},
	"litres_per_year":          {"kWh of the IT · wue", "L", func(_ *plan, o *outcome) float64 { return energy.Watts(o.q[qITW]).KWhPerYear() * o.q[qWUE] }},
	"erf":                      {"energy reused / all energy", "", perQuantity(qReused, qWatts)},
	"ref":                      {"renewable energy / all energy", "", perQuantity(qRenewed, qWatts)},
	"cue":                      {"kgco2e_location_per_year / kWh of the IT", "kgCO2e/kWh", func(_ *plan, o *outcome) float64 { return o.q[qKgLocation] / energy.Watts(o.q[qITW]).KWhPerYear() }},
	"ratio":                    {"W per stored TB over the baseline's, as one function of the inputs of both", "", perStored},
	"ratio_fractional":         {"as ratio, of fractions of drives, servers and racks on both sides", "", perStored},
	"ratio_twin":               {"W per stored TB over the replication twin's, as one function of the inputs of both", "", perStored},
}

// texts are the fields that no uncertain input changes, with how they come about.
var texts = map[string]string{
	"stored_tb":            "as given, or of the pools, or usable_tb · fill of the baseline; the same for all options",
	"fill_planned":         "as given; of drives that are all counted, stored / usable",
	"reserve":              "as given, or assumed",
	"amplification":        "as given, or 1; of pools, their mean by the raw terabytes they hold",
	"read_ios":             "packed: 1 up to 64 KiB, then one for each 256 KiB, at most k; striped: k; degraded: k",
	"write_ios":            "n, shared by the objects of a burst when packed",
	"sites_survived":       "the most sites whose shards, ⌈n/S⌉ at most on each, may all be lost",
	"left_over":            "shards that may be lost with those sites down",
	"reads_survive_sites":  "as sites_survived",
	"writes_survive_sites": "the most sites that may be down with one shard more to spare",
	"states.idle":          "what random, sequential and standby leave",
	"states.random":        "I/Os a second / (drives · IOPS of a drive)",
	"states.sequential":    "MB/s beyond 64 KiB an I/O / (drives · MB/s of a drive)",
	"states.standby":       "as given, at most what the work leaves",
}

func init() {
	for i, name := range Factors {
		texts["factors."+name] = "the option's over the baseline's: " + factorTexts[i]
	}
}

// factorTexts say what each of Factors is the ratio of.
var factorTexts = [...]string{"raw for each stored terabyte in full stripes", "1 / fill", "1 / (1 − reserve)", "amplification", "drives for each raw TB", "raw TB bought / raw TB needed",
	"W of a drive in its mix of states", "W of all IT within the boundary / W of the drives", "all watts / W of the IT"}

// Fields names the fields that can be explained; those of sites are watts_by_site.NAME.
func Fields() []string { return append(sortedKeys(fields), sortedKeys(texts)...) }

// mostExplained is the number of options that Explain tells about.
const mostExplained = 12

// Explain tells how a field of every option came about, the first ones when there are many.
func Explain(s Scenario, name string) ([]Explanation, error) {
	a, err := newAnswer(s)
	if err != nil {
		return nil, err
	}
	if text, ok := texts[name]; ok {
		return a.explainText(name, text)
	}
	fd, ok := fields[name]
	if site, of := strings.CutPrefix(name, "watts_by_site."); of {
		fd, ok = a.siteField(site)
	}
	if !ok {
		return nil, &FieldError{Field: "explain", Err: fmt.Errorf("%q: want one of %s, watts_by_site.NAME%s", clip(name), strings.Join(Fields(), ", "), suggestion(name, Fields()))}
	}
	var list []Explanation
	for i := range min(a.size(), mostExplained) {
		c := a.choice(i)
		sw, _, err := a.option(i)
		if err != nil {
			return nil, err
		}
		other := sw
		f := func(x, _ *outcome) float64 { return fd.f(sw.p, x) }
		switch name {
		case "ratio":
			other = a.base
		case "ratio_fractional":
			sw, other = a.fractions(sw), a.baseFractions()
		case "ratio_twin":
			if other, err = a.twin(c, sw.p); err != nil {
				return nil, err
			}
		}
		if strings.HasPrefix(name, "ratio") {
			o := other
			f = func(x, y *outcome) float64 { return fd.f(sw.p, x) / fd.f(o.p, y) }
		}
		list = append(list, a.explain(name, fd, sw, other, f))
	}
	return list, nil
}

// siteField is the watts of a site, in options that have it.
func (a *answer) siteField(name string) (field, bool) {
	at := func(p *plan) int { return slices.IndexFunc(p.sites, func(s site) bool { return s.name == name }) }
	return field{"as watts, of this site's part of the drives", "W", func(p *plan, o *outcome) float64 {
		if i := at(p); i >= 0 {
			return o.siteW[i]
		}
		return 0
	}}, at(a.base.p) >= 0
}

// explainText tells a figure that no uncertain input changes.
func (a *answer) explainText(name, text string) (list []Explanation, err error) {
	for i := range min(a.size(), mostExplained) {
		_, o, err := a.option(i)
		if err != nil {
			return nil, err
		}
		v, err := o.Field(name)
		if err != nil {
			return nil, err
		}
		list = append(list, Explanation{Option: o.Name, Field: name, Formula: text, Value: energy.Point(v, "", energy.Model, "model"), AllLow: v, AllHigh: v, Sources: map[string]Source{}})
	}
	return list, nil
}

func (a *answer) explain(name string, fd field, x, y *swing, f func(x, y *outcome) float64) Explanation {
	p := x.p
	e := Explanation{Option: p.name, Field: name, Formula: fd.formula, Sources: map[string]Source{}, Plain: map[string]float64{
		"stored_tb": p.stored, "overhead": p.overhead, "planned fill": p.fill, "reserve": p.reserve, "amplification": p.amplification, "sites": float64(len(p.sites)),
		"drives": x.typical.q[qDrives], "drives in a server": p.bays, "servers in a rack": p.perRack, "years of service": p.life,
	}}
	d := deviation{typical: f(&x.typical, &y.typical)}
	e.Inputs = a.tornado(x, y, f)
	for _, i := range e.Inputs {
		d.add(i.Low, i.High)
	}
	e.Inputs = append(e.Inputs, a.points(x.p, y.p, f)...)
	for _, i := range e.Inputs {
		a.source(e.Sources, i.Value.Source)
	}
	e.Value = d.estimate(fd.unit)
	e.AllLow, e.AllHigh = a.corner(x.p, y.p, e.Inputs, f, false), a.corner(x.p, y.p, e.Inputs, f, true)
	return e
}

// points are the inputs without a band that a figure depends on.
func (a *answer) points(x, y *plan, f func(x, y *outcome) float64) (list []Influence) {
	all := slices.Concat(x.all, y.all)
	slices.Sort(all)
	v := slices.Clone(a.in.typical)
	at := func() float64 {
		var o, b outcome
		x.eval(v, &o)
		y.eval(v, &b)
		return f(&o, &b)
	}
	typical := at()
	for _, i := range slices.Compact(all) {
		if i < 0 || i == a.in.constant || a.in.wide(i) {
			continue
		}
		v[i] = a.in.typical[i]*1.001 + 1e-6
		if math.Abs(at()-typical) > noise*math.Abs(typical) {
			list = append(list, Influence{Input: a.in.ids[i], Value: a.in.list[i], Low: typical, High: typical})
		}
		v[i] = a.in.typical[i]
	}
	return list
}

// corner is a figure with every input at the end that raises it, or lowers it.
func (a *answer) corner(x, y *plan, inputs []Influence, f func(x, y *outcome) float64, raise bool) float64 {
	v := slices.Clone(a.in.typical)
	for _, i := range inputs {
		v[a.in.index[i.Input]] = i.Value.Low
		if (i.High > i.Low) == raise {
			v[a.in.index[i.Input]] = i.Value.High
		}
	}
	var o, b outcome
	x.eval(v, &o)
	y.eval(v, &b)
	return f(&o, &b)
}

// WriteExplanations tells explanations to people.
func WriteExplanations(w io.Writer, list []Explanation) {
	sources := map[string]Source{}
	for i, e := range list {
		if i == 0 {
			fmt.Fprintf(w, "%s = %s\n", e.Field, e.Formula)
		}
		fmt.Fprintf(w, "\n%s: %s\n", e.Option, strings.TrimSpace(Short(e.Value)+" "+e.Value.Unit))
		if len(e.Plain) == 0 {
			continue
		}
		fmt.Fprintf(w, "  all inputs at once at their ends: %s to %s\n", short(e.AllLow), short(e.AllHigh))
		var plain []string
		for _, k := range sortedKeys(e.Plain) {
			plain = append(plain, k+" "+short(e.Plain[k]))
		}
		fmt.Fprintf(w, "  with %s\n", strings.Join(plain, " · "))
		t := newTable("  input", "value", "unit", "status", "at its low", "at its high", "of the variance", "source")
		for _, x := range e.Inputs {
			t.AppendRow([]any{"  " + x.Input, Short(x.Value), x.Value.Unit, string(x.Value.Status), short(x.Low), short(x.High), fmt.Sprintf("%.0f %%", 100*x.Weight), x.Value.Source})
		}
		if len(e.Inputs) == 0 {
			fmt.Fprintln(w, "  no uncertain input changes it")
			continue
		}
		render(w, t)
		for id, s := range e.Sources {
			sources[id] = s
		}
	}
	if len(sources) > 0 {
		fmt.Fprintln(w, "\nsources:")
	}
	for _, id := range sortedKeys(sources) {
		fmt.Fprintf(w, "  %s: %s\n", id, sources[id])
	}
}

// String names a source.
func (s Source) String() string {
	text := s.Title
	if s.Publisher != "" {
		text += ", " + s.Publisher
	}
	if s.Year != 0 {
		text += fmt.Sprintf(", %d", s.Year)
	}
	if s.Method != "" {
		text += ", method " + s.Method
	}
	return text
}
