package importer

import (
	"encoding/csv"
	"errors"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wattle-storage/wattle/energy"
	"github.com/wattle-storage/wattle/whatif"
)

// A Sheet is the data points of a storage cluster for a year's report of a data centre (Energy
// Efficiency Directive, Delegated Regulation (EU) 2024/1364; CSRD), in the JSON that
// doc/import.md documents.
type Sheet struct {
	Year    int      `json:"year"`
	Fields  []Field  `json:"fields"`
	Missing []string `json:"missing"`
	Split   []Share  `json:"split"`
	Sources []Source `json:"sources"`
	Digest  string   `json:"inputs_digest"`
	Remarks []string `json:"remarks"`

	Indicators []Indicator `json:"indicators"` // those of the regulation, answered or not
}

// A Field is a data point. Low and High are there where it is modelled.
type Field struct {
	Name   string   `json:"name"`
	Label  string   `json:"label"`
	Value  *float64 `json:"value"`
	Low    *float64 `json:"low,omitempty"`
	High   *float64 `json:"high,omitempty"`
	Unit   string   `json:"unit"`
	Method Method   `json:"method"`
	Source string   `json:"source"`

	Indicator string `json:"indicator,omitempty"` // of Delegated Regulation (EU) 2024/1364, for the part that is this storage
}

// A Method says how a data point came about.
type Method string

// The methods.
const (
	Counted  Method = "counted" // in the cluster's own dump
	Metered  Method = "metered"
	Modelled Method = "modelled"
	Told     Method = "given"
	Computed Method = "computed" // of other fields
)

// A Share is a bucket's or tenant's part of the year's energy. Shares sum to the whole, to the
// watt-hour.
type Share struct {
	Tenant     string  `json:"tenant,omitempty"`
	Bucket     string  `json:"bucket"` // "" for what is allocated to nobody
	Bytes      int64   `json:"stored_bytes"`
	KWh        float64 `json:"kwh"`
	ByRequests float64 `json:"kwh_by_requests,omitempty"` // of that
	Kg         float64 `json:"kgco2e_location"`
}

// A Meter is measured energy.
type Meter struct {
	KWh      float64
	Facility bool // with the building's losses, not the IT's alone
	From, To time.Time
	Days     float64 // metered, 0 for a year
	Cost     float64
	Currency string
	Source   string
	Notes    []string
}

// Facts are what neither the dump nor the scenario can tell.
type Facts struct {
	Year       int
	Meter      *Meter
	Tenants    []Tenant
	ByRequests float64 // part of the energy that is split by requests, the rest being by raw bytes held
	Spread     bool    // give what is allocated to nobody to the buckets, in proportion
}

// A Tenant is a bucket with what it stores.
type Tenant struct {
	Tenant, Bucket string
	Bytes          int64
	Overhead       float64 // raw bytes for each stored one; 0: the cluster's
	Requests       float64 // of the year, or of any time that is the same for all
}

// Sheet fills in the data points of a year.
func (f *Found) Sheet(s whatif.Scenario, facts Facts) (*Sheet, error) {
	r, err := whatif.Run(s)
	if err != nil {
		return nil, err
	}
	o := r.Baseline
	sh := &Sheet{Year: facts.Year, Sources: f.Sources, Digest: r.InputsDigest, Missing: []string{}, Split: []Share{}}
	b := sheetBuild{Sheet: sh, f: f, s: s, r: r, o: o, facts: facts}
	b.capacities()
	it, all := b.energies()
	b.indicators(it, all)
	kg := b.carbon(all)
	b.money(all)
	sh.indicate()
	sh.Split = split(all, kg, f, facts)
	sh.Remarks = []string{
		"reporting under Delegated Regulation (EU) 2024/1364 binds operators of sites of 500 kW of installed IT and more; tenants supply figures",
		"figures are of this storage alone, the operator adds those of all its tenants",
		"CSTOR: whether raw or usable capacity is meant was not read in the annex's own words, so that both stand; ask your operator",
	}
	if why := facts.noRequests(); why != "" {
		sh.Remarks = append(sh.Remarks, why)
	}
	for _, n := range f.Missing {
		sh.Missing = append(sh.Missing, n.String())
	}
	return sh, nil
}

type sheetBuild struct {
	*Sheet
	f     *Found
	s     whatif.Scenario
	r     whatif.Report
	o     whatif.Option
	facts Facts
}

func (b *sheetBuild) add(name, label string, v float64, unit string, m Method, source string) {
	b.Fields = append(b.Fields, Field{Name: name, Label: label, Value: &v, Unit: unit, Method: m, Source: source})
}

func (b *sheetBuild) addBand(name, label string, e whatif.Estimate, unit, source string) {
	low, v, high := e.Low, e.Typical, e.High
	b.Fields = append(b.Fields, Field{Name: name, Label: label, Value: &v, Low: &low, High: &high, Unit: unit, Method: Modelled, Source: source})
}

func (b *sheetBuild) lack(name, label, unit, why string) {
	b.Fields = append(b.Fields, Field{Name: name, Label: label, Unit: unit, Method: "missing", Source: why})
	b.Missing = append(b.Missing, label+": "+why)
}

func (b *sheetBuild) capacities() {
	dump := "dump of " + or(b.f.Taken, "an unknown day")
	c := b.f.Sizes
	b.add("cstor_raw", "storage capacity, raw", float64(c.Raw)/1e15, "PB", Counted, dump)
	if c.Usable > 0 {
		b.add("cstor_usable", "storage capacity, usable", float64(c.Usable)/1e15, "PB", Computed, fmt.Sprintf("raw less a reserve of %.0f %%, over the schemes' overhead", 100*c.Reserve))
	} else {
		b.lack("cstor_usable", "storage capacity, usable", "PB", "no scheme is known: give --scheme")
	}
	if c.Stored > 0 {
		b.add("stored", "data stored", float64(c.Stored)/1e15, "PB", Counted, dump)
	}
	n, ssd := 0, 0
	for _, x := range b.f.Fleet {
		n += x.Count
		if x.Technology == "ssd" {
			ssd += x.Count
		}
	}
	hosts := 0
	for _, s := range b.f.Sites {
		hosts += s.Hosts
	}
	b.add("drives", "drives", float64(n), "", Counted, dump)
	b.add("drives_ssd", "of them solid-state", float64(ssd), "", Counted, dump)
	b.add("servers", "servers with storage", float64(hosts), "", Counted, dump)
}

// energies gives the IT's energy and that of all, in kWh of a year.
func (b *sheetBuild) energies() (it, all whatif.Estimate) {
	pue := whatif.Estimate{Low: 1, Typical: 1, High: 1}
	if b.o.PUE != nil {
		pue = *b.o.PUE
	}
	m := b.facts.Meter
	if m == nil {
		all = b.o.KWhPerYear
		it = all
		if b.r.Boundary == whatif.AtFacility {
			it = scaleBy(all, 1/pue.Typical)
			b.addBand("energy_total", "energy of storage with the building", all, "kWh", "Wattle's energy model, boundary facility; "+b.Digest)
		} else {
			b.lack("energy_total", "energy of storage with the building", "kWh", "the boundary is "+string(b.r.Boundary))
		}
		b.addBand("energy_it", "energy of storage, IT alone", it, "kWh", "Wattle's energy model; "+b.Digest)
		b.Missing = append(b.Missing, "metered energy: give --kwh or --bill")
		return it, all
	}
	year, source := m.KWh, m.Source
	if d := m.Days; d > 0 && math.Abs(d-365.25) > 1.5 {
		year *= 365.25 / d
		source += fmt.Sprintf(", %.0f metered days scaled to a year", d)
	}
	point := whatif.Estimate{Low: year, Typical: year, High: year}
	b.Missing = append(b.Missing, m.Notes...)
	if m.Facility {
		it = scaleBy(point, 1/pue.Typical)
		b.add("energy_total", "energy of storage with the building", year, "kWh", Metered, source)
		b.add("energy_it", "energy of storage, IT alone", it.Typical, "kWh", Computed, "metered over PUE")
		return it, point
	}
	all = scaleBy(point, pue.Typical)
	b.add("energy_it", "energy of storage, IT alone", year, "kWh", Metered, source)
	b.add("energy_total", "energy of storage with the building", all.Typical, "kWh", Computed, "metered times PUE")
	if model := b.o.KWhPerYear; b.r.Boundary == whatif.AtFacility && model.Typical > 0 && (all.Typical < model.Low || all.Typical > model.High) {
		b.Remarks = append(b.Remarks, fmt.Sprintf("the meter gives %.0f kWh with the building, the model %s: does the meter count these servers alone?", all.Typical, whatif.Short(model)))
	}
	return point, all
}

func scaleBy(e whatif.Estimate, x float64) whatif.Estimate {
	e.Low, e.Typical, e.High = e.Low*x, e.Typical*x, e.High*x
	return e
}

func (b *sheetBuild) indicators(it, all whatif.Estimate) {
	if p := b.s.Facility.PUE; p != nil {
		b.add("pue", "PUE (EN 50600-4-2)", p.Typical, "", Told, "as given")
	} else if b.o.PUE != nil {
		b.addBand("pue", "PUE (EN 50600-4-2)", *b.o.PUE, "", "default of the model, no figure of the building")
		b.Missing = append(b.Missing, "PUE of the building: give --pue")
	}
	for _, x := range []struct {
		name, label, unit string
		v                 *whatif.Range
		flag              string
		part, what        string // the field that it gives
		of                float64
		ofUnit, how       string
	}{
		{"ref", "REF, renewable energy factor (EN 50600-4-3)", "", b.s.Facility.REF, "--ref", "renewable", "renewable energy", all.Typical, "kWh", "REF times the energy with the building"},
		{"erf", "ERF, energy reuse factor (EN 50600-4-6)", "", b.s.Facility.ERF, "--erf", "heat_reused", "waste heat reused", all.Typical, "kWh", "ERF times the energy with the building"},
		{"wue", "WUE, water usage effectiveness (EN 50600-4-9)", "L/kWh", b.s.Facility.WUE, "--wue", "water", "water", it.Typical, "L", "WUE times the IT's energy"},
	} {
		if x.v == nil {
			b.lack(x.name, x.label, x.unit, "as the operator gives it: "+x.flag)
			continue
		}
		b.add(x.name, x.label, x.v.Typical, x.unit, Told, "as given")
		b.add(x.part, x.what, x.v.Typical*x.of, x.ofUnit, Computed, x.how)
	}
}

// carbon gives kilograms a year, location-based.
func (b *sheetBuild) carbon(all whatif.Estimate) (kg float64) {
	if b.s.Carbon.Country == "" && b.s.Carbon.GPerKWh == nil {
		b.Missing = append(b.Missing, "country of the grid: give --country or --grid")
	}
	if b.o.KgLocation != nil && b.o.KWhPerYear.Typical > 0 {
		per := b.o.KgLocation.Typical / b.o.KWhPerYear.Typical
		kg = per * all.Typical
		method := Computed
		if b.facts.Meter == nil {
			method = Modelled
		}
		b.add("scope2_location", "scope 2, location-based", kg, "kgCO2e", method, fmt.Sprintf("%.4g g/kWh: %s", 1000*per, b.gridSource()))
	} else {
		b.lack("scope2_location", "scope 2, location-based", "kgCO2e", "no carbon intensity")
	}
	if m := b.s.Carbon.Market; m != nil {
		b.add("scope2_market", "scope 2, market-based", m.GPerKWh.Typical*all.Typical/1000, "kgCO2e", Computed, fmt.Sprintf("%.4g g/kWh: %s", m.GPerKWh.Typical, or(m.Source, "as given")))
	} else {
		b.lack("scope2_market", "scope 2, market-based", "kgCO2e", "no contract and no residual mix: give --market G/KWH=SOURCE")
	}
	return kg
}

// gridSource is where the carbon intensity comes from, with its year.
func (b *sheetBuild) gridSource() string {
	if b.s.Carbon.GPerKWh != nil {
		return "as given"
	}
	for _, id := range sortedKeys(b.r.Inputs) {
		if e := b.r.Inputs[id]; e.Unit == "g/kWh" {
			if s, ok := b.r.Sources[e.Source]; ok {
				return fmt.Sprintf("%s %d (%s)", s.Title, s.Year, or(s.Method, "method not told"))
			}
			return e.Source
		}
	}
	return "the model's default"
}

func (b *sheetBuild) money(all whatif.Estimate) {
	if m := b.facts.Meter; m != nil && m.Cost > 0 {
		b.add("cost", "cost of the energy metered", m.Cost, or(m.Currency, "EUR"), Metered, m.Source)
	}
	if b.o.KgEmbodied != nil && b.o.KgEmbodied.Typical > 0 {
		b.addBand("embodied", "making of the drives, a year of their service", *b.o.KgEmbodied, "kgCO2e", "life-cycle studies, see wattle whatif")
	}
}

// split gives the year's energy to buckets by the raw bytes that they hold, and a part by the
// requests that they got, if asked. What nobody holds is a row of its own, or is spread over the others.
func split(all whatif.Estimate, kg float64, f *Found, facts Facts) []Share {
	if len(facts.Tenants) == 0 {
		return []Share{}
	}
	overhead := 1.0
	if f.Sizes.Usable > 0 {
		overhead = float64(f.Sizes.Raw) * (1 - f.Sizes.Reserve) / float64(f.Sizes.Usable)
	}
	weights := make([]float64, len(facts.Tenants))
	sum := 0.0
	list := make([]Share, len(facts.Tenants))
	for i, t := range facts.Tenants {
		o := t.Overhead
		if o == 0 {
			o = overhead
		}
		weights[i] = float64(t.Bytes) * o
		sum += weights[i]
		list[i] = Share{Tenant: t.Tenant, Bucket: t.Bucket, Bytes: t.Bytes}
	}
	if free := float64(f.Sizes.Raw) - sum; free > 0 && !facts.Spread || sum == 0 {
		weights, list = append(weights, math.Max(free, 0)), append(list, Share{Bucket: ""})
		sum += math.Max(free, 0)
	}
	total := int64(math.Round(all.Typical * 1000)) // Wh
	requests, asked := facts.requests(len(list))
	moved := int64(0)
	if asked > 0 {
		moved = int64(math.Round(float64(total) * facts.ByRequests))
	}
	byRequests := apportion(moved, requests, asked)
	for i, wh := range apportion(total-moved, weights, sum) {
		list[i].KWh, list[i].ByRequests = float64(wh+byRequests[i])/1000, float64(byRequests[i])/1000
		if total > 0 {
			list[i].Kg = kg * float64(wh+byRequests[i]) / float64(total)
		}
	}
	return list
}

// requests are those of each row, and their sum.
func (f Facts) requests(rows int) (list []float64, sum float64) {
	list = make([]float64, rows)
	for i, t := range f.Tenants {
		list[i] = t.Requests
		sum += t.Requests
	}
	return list, sum
}

// noRequests says why a split by requests was not made, or "".
func (f Facts) noRequests() string {
	switch _, asked := f.requests(len(f.Tenants)); {
	case asked > 0 && f.ByRequests == 0:
		return "requests were given and not used: say which part of the energy goes with them (--by-requests); at rest drives and servers draw most of it"
	case asked == 0 && f.ByRequests > 0:
		return "no bucket has requests: all is split by raw bytes held"
	}
	return ""
}

// apportion deals a whole number out in proportion, the rest to those with the largest
// remainder.
func apportion(total int64, weights []float64, sum float64) []int64 {
	out := make([]int64, len(weights))
	if sum <= 0 {
		if len(out) > 0 {
			out[len(out)-1] = total
		}
		return out
	}
	type rest struct {
		i int
		r float64
	}
	var list []rest
	left := total
	for i, w := range weights {
		exact := float64(total) * (w / sum)
		out[i] = int64(exact)
		left -= out[i]
		list = append(list, rest{i, exact - math.Floor(exact)})
	}
	slices.SortStableFunc(list, func(a, b rest) int {
		switch {
		case a.r > b.r:
			return -1
		case a.r < b.r:
			return 1
		}
		return a.i - b.i
	})
	for j := 0; left > 0 && len(list) > 0; j++ {
		out[list[j%len(list)].i]++
		left--
	}
	return out
}

// ReadBill reads a CSV of period_start, period_end, kwh and perhaps cost and currency.
func ReadBill(r io.Reader, facility bool) (*Meter, error) {
	rows, cols, err := smallCSV(r, "period_start", "period_end", "kwh")
	if err != nil {
		return nil, err
	}
	m := &Meter{Facility: facility, Source: "bill of " + count(len(rows), "period")}
	type period struct{ from, to time.Time }
	var list []period
	for i, row := range rows {
		from, err1 := parseDay(row[cols["period_start"]])
		to, err2 := parseDay(row[cols["period_end"]])
		kwh, err3 := strconv.ParseFloat(row[cols["kwh"]], 64)
		if err := errors.Join(err1, err2, err3); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+2, err)
		}
		if !(kwh >= 0 && kwh < 1e12) || !to.After(from) {
			return nil, fmt.Errorf("line %d: %g kWh from %s to %s: want a positive amount and a period that ends after its start", i+2, kwh, from.Format(time.DateOnly), to.Format(time.DateOnly))
		}
		m.KWh += kwh
		m.Days += to.Sub(from).Hours() / 24
		list = append(list, period{from, to})
		if c, ok := cols["cost"]; ok && row[c] != "" {
			cost, err := strconv.ParseFloat(row[c], 64)
			if err != nil || !(cost >= 0 && cost < 1e12) {
				return nil, fmt.Errorf("line %d: cost %q: want a number", i+2, clean(row[c]))
			}
			m.Cost += cost
		}
		if c, ok := cols["currency"]; ok && row[c] != "" {
			if m.Currency != "" && m.Currency != row[c] {
				return nil, fmt.Errorf("line %d: currency %s after %s: want one", i+2, clean(row[c]), m.Currency)
			}
			m.Currency = clean(row[c])
		}
	}
	slices.SortFunc(list, func(a, b period) int { return a.from.Compare(b.from) })
	for i := 1; i < len(list); i++ {
		if gap := list[i].from.Sub(list[i-1].to).Hours() / 24; gap < -1.01 {
			return nil, fmt.Errorf("the periods from %s and from %s overlap: energy would count twice", list[i-1].from.Format(time.DateOnly), list[i].from.Format(time.DateOnly))
		} else if gap > 1.01 {
			m.Notes = append(m.Notes, fmt.Sprintf("bill: no period from %s to %s", list[i-1].to.Format(time.DateOnly), list[i].from.Format(time.DateOnly)))
		}
	}
	m.From, m.To = list[0].from, list[len(list)-1].to
	return m, nil
}

func parseDay(text string) (time.Time, error) {
	for _, layout := range []string{time.DateOnly, time.RFC3339, "02.01.2006", "2006-01-02 15:04:05"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("date %q: want YYYY-MM-DD", clean(text))
}

// ReadTenants reads a CSV of bucket and bytes, and perhaps tenant, overhead and requests.
func ReadTenants(r io.Reader) ([]Tenant, error) {
	rows, cols, err := smallCSV(r, "bucket", "bytes")
	if err != nil {
		return nil, err
	}
	var list []Tenant
	for i, row := range rows {
		n, err := parseSize(row[cols["bytes"]], "")
		if err != nil && row[cols["bytes"]] != "0" {
			return nil, fmt.Errorf("line %d: %w", i+2, err)
		}
		t := Tenant{Bucket: clean(row[cols["bucket"]]), Bytes: n}
		if c, ok := cols["tenant"]; ok {
			t.Tenant = clean(row[c])
		}
		if c, ok := cols["requests"]; ok && row[c] != "" {
			v, err := strconv.ParseFloat(row[c], 64)
			if err != nil || !(v >= 0 && v <= 1e18) {
				return nil, fmt.Errorf("line %d: requests %q: want a count", i+2, clean(row[c]))
			}
			t.Requests = v
		}
		if c, ok := cols["overhead"]; ok && row[c] != "" {
			v, err := strconv.ParseFloat(row[c], 64)
			if err != nil || !(v >= 1 && v <= 100) {
				return nil, fmt.Errorf("line %d: overhead %q: want raw bytes for each stored one, 1 to 100", i+2, clean(row[c]))
			}
			t.Overhead = v
		}
		if t.Bucket == "" {
			return nil, fmt.Errorf("line %d: a bucket without a name", i+2)
		}
		list = append(list, t)
	}
	return list, nil
}

// smallCSV reads a CSV that fits in memory, with the columns that it must have.
func smallCSV(r io.Reader, want ...string) (rows [][]string, cols map[string]int, err error) {
	limited := &io.LimitedReader{R: r, N: maxValue + 1}
	c := csv.NewReader(limited)
	c.TrimLeadingSpace, c.Comment = true, '#'
	all, err := c.ReadAll()
	if err != nil {
		return nil, nil, err
	}
	if limited.N == 0 {
		return nil, nil, fmt.Errorf("more than %d MB", maxValue>>20)
	}
	if len(all) < 2 {
		return nil, nil, errors.New("no rows: want a header and lines below it")
	}
	cols = map[string]int{}
	for i, h := range all[0] {
		cols[strings.ToLower(strings.TrimSpace(strings.TrimPrefix(h, "\ufeff")))] = i
	}
	for _, name := range want {
		if _, ok := cols[name]; !ok {
			return nil, nil, fmt.Errorf("no column %q: want %s", name, strings.Join(want, ","))
		}
	}
	for _, row := range all[1:] {
		for i := range row {
			row[i] = strings.TrimSpace(row[i])
		}
	}
	return all[1:], cols, nil
}

// Cells are a field in words: name, label, value, low, high, unit, method, source, indicator.
func (f Field) Cells() []string {
	show := func(v *float64) string {
		if v == nil {
			return ""
		}
		return figure(*v)
	}
	return []string{f.Name, f.Label, show(f.Value), show(f.Low), show(f.High), f.Unit, string(f.Method), f.Source, f.Indicator}
}

// figure prints counts whole and the rest to four digits.
func figure(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1e15 {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return energy.Four(v)
}

var sheetHeader = []string{"name", "data point", "value", "low", "high", "unit", "method", "source", "indicator"}

// CSV writes the fields, then the split.
func (s *Sheet) CSV(w io.Writer) error {
	c := csv.NewWriter(w)
	_ = c.Write(sheetHeader)
	for _, f := range s.Fields {
		_ = c.Write(f.Cells())
	}
	for _, x := range s.Split {
		name := or(x.Bucket, "unallocated")
		_ = c.Write([]string{"split", strings.TrimSpace(x.Tenant + " " + name), strconv.FormatFloat(x.KWh, 'f', 3, 64), "", "", "kWh", string(Computed), "by raw bytes held" + map[bool]string{true: ", and by requests"}[x.ByRequests > 0], ""})
	}
	for _, m := range s.Missing {
		_ = c.Write([]string{"missing", m, "", "", "", "", "", "", ""})
	}
	for _, x := range s.Indicators {
		if x.Why != "" {
			_ = c.Write([]string{"not_answered", x.Name, "", "", "", x.Unit, "", x.Annex + ": " + x.Why, x.Symbol})
		}
	}
	c.Flush()
	return c.Error()
}

// Markdown writes the sheet as tables.
func (s *Sheet) Markdown(w io.Writer) {
	fmt.Fprintf(w, "# Storage, %d\n\n| data point | indicator | value | unit | method | source |\n|---|---|---:|---|---|---|\n", s.Year)
	esc := strings.NewReplacer("|", "\\|", "\n", " ")
	for _, f := range s.Fields {
		c := f.Cells()
		v := c[2]
		if c[3] != "" && c[3] != c[4] {
			v += " [" + c[3] + "–" + c[4] + "]"
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s |\n", esc.Replace(c[1]), c[8], v, c[5], c[6], esc.Replace(c[7]))
	}
	if len(s.Split) > 0 {
		fmt.Fprint(w, "\n| tenant | bucket | kWh | kgCO2e |\n|---|---|---:|---:|\n")
		for _, x := range s.Split {
			fmt.Fprintf(w, "| %s | %s | %.3f | %.3f |\n", esc.Replace(x.Tenant), esc.Replace(or(x.Bucket, "unallocated")), x.KWh, x.Kg)
		}
	}
	if len(s.Missing) > 0 {
		fmt.Fprint(w, "\n## Missing\n\n")
		for _, m := range s.Missing {
			fmt.Fprintf(w, "- %s\n", m)
		}
	}
	fmt.Fprintf(w, "\n## Not answered of %s\n\n", regulation)
	for _, line := range s.NotAnswered() {
		fmt.Fprintf(w, "- %s\n", line)
	}
	fmt.Fprint(w, "\n## Inputs\n\n")
	for _, x := range s.Sources {
		fmt.Fprintf(w, "- %s, %s, %d bytes, sha256 %s\n", x.Name, x.Kind, x.Bytes, x.SHA256)
	}
	fmt.Fprintf(w, "- model inputs %s\n", s.Digest)
	for _, m := range s.Remarks {
		fmt.Fprintf(w, "- %s\n", m)
	}
}

var sheetPage = template.Must(template.New("sheet").Funcs(template.FuncMap{"cells": Field.Cells, "or": or}).Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Storage, {{.Year}}</title>
<style>
:root{color-scheme:light dark}
body{font:15px/1.45 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%;margin:1rem 0}
th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid color-mix(in srgb,currentColor 20%,transparent);vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.missing{opacity:.8}small{opacity:.85;overflow-wrap:anywhere}.missing small{opacity:1}
@media (max-width:40rem){body{margin-top:1rem;padding:0 .6rem}table{font-size:13px}th,td{padding:.35rem .3rem}th:nth-child(6),td:nth-child(6){display:none}}
</style>
<h1>Storage, {{.Year}}</h1>
<table><tr><th>data point<th><abbr title="of Delegated Regulation (EU) 2024/1364">indicator</abbr><th class="n">value<th>unit<th>method<th>source</tr>
{{range .Fields}}{{$c := cells .}}<tr{{if not .Value}} class="missing"{{end}}><td>{{.Label}}<td>{{.Indicator}}<td class="n">{{index $c 2}}{{if .Low}} <small>[{{index $c 3}}–{{index $c 4}}]</small>{{end}}<td>{{.Unit}}<td>{{.Method}}<td><small>{{.Source}}</small></tr>
{{end}}</table>
{{if .Split}}<h2>By bucket</h2><table><tr><th>tenant<th>bucket<th class="n">kWh<th class="n">kg CO2e</tr>
{{range .Split}}<tr><td>{{.Tenant}}<td>{{or .Bucket "unallocated"}}<td class="n">{{printf "%.3f" .KWh}}<td class="n">{{printf "%.3f" .Kg}}</tr>
{{end}}</table>{{end}}
{{if .Missing}}<h2>Missing</h2><ul>{{range .Missing}}<li>{{.}}{{end}}</ul>{{end}}
<h2>Not answered of ` + regulation + `</h2><ul>{{range .NotAnswered}}<li>{{.}}{{end}}</ul>
<h2>Inputs</h2><ul>{{range .Sources}}<li><small>{{.Name}}, {{.Kind}}, {{.Bytes}} bytes, sha256 {{.SHA256}}</small>{{end}}
<li><small>model inputs {{.Digest}}</small>{{range .Remarks}}<li><small>{{.}}</small>{{end}}</ul>
`))

// HTML writes the sheet as one page that opens offline.
func (s *Sheet) HTML(w io.Writer) error { return sheetPage.Execute(w, s) }
