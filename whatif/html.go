package whatif

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/wattle-storage/wattle/energy"
)

//go:embed report.html
var reportHTML string

var reportTemplate = template.Must(template.New("report").Parse(reportHTML))

// A page is what the template shows.
type page struct {
	Title, Boundary, Baseline, Best string
	Unit                            string // TB or TiB
	Cards                           []card
	Lines                           []string
	Evidence                        []share
	Sections                        []Section
	Flips                           []string
	Measure                         []string
	Groups                          []group
	More                            int
	Parts                           []legend
	Bars                            []bar
	Falls                           []fall
	FallsTo                         string
	Growth                          *chart
	Heat                            *heat
	Facility                        []string
	Rebound                         string
	Yardsticks                      []string
	Notes                           []string
	Defaults                        []input
	Inputs                          []input
	Sources                         []named
	Digest                          string
}

type card struct{ Value, Unit, Label, Hover string }

type share struct {
	Name    string
	Percent float64
}

type group struct {
	Name  string
	Below bool
	Rows  []row
}

type row struct {
	Name  string
	Base  bool
	Cells []cell
}

type cell struct {
	Text, Hover, Class string
}

type legend struct{ Name, Class string }

type bar struct {
	Name, Value, Hover string
	Parts              []barPart
	Low, Width         float64 // of the whisker, percent
}

type barPart struct {
	Class, Hover string
	Width        float64
}

type fall struct {
	Name, Value string
	From, Width float64
	Class       string
}

type input struct{ ID, Value, Unit, Status, Source string }

type named struct{ ID, Text string }

// A Section is what a caller knows beside the options: lines, a table, a list, each if there is
// any.
type Section struct {
	Title string
	Lines []string
	Head  []string
	Rows  [][]string
	List  []string
}

// HTML writes the answer as one page that opens offline.
func (r *Report) HTML(w io.Writer, iec bool) error {
	u := unitsOf(iec)
	p := page{Title: either(r.Name, "What if"), Boundary: string(r.Boundary), Baseline: r.Baseline.Name, Unit: u.name, Digest: r.InputsDigest, Sections: r.Sections}
	r.pageAdvice(&p)
	r.pageTable(&p, u)
	r.pageBars(&p, u)
	r.pageFalls(&p, u)
	p.Growth = r.growthChart()
	p.Heat = r.heatMap()
	r.pageNotes(&p)
	r.pageInputs(&p)
	return reportTemplate.Execute(w, p)
}

func (r *Report) pageAdvice(p *page) {
	a := r.Advice
	if a == nil {
		return
	}
	p.Best = a.Best
	hover := func(e Estimate) string {
		return fmt.Sprintf("%s less %s; %s to %s", r.Baseline.Name, a.Best, short(e.Low), short(e.High))
	}
	mwh, tonnes := scaled(a.Saved.KWh, 1e-3), scaled(a.Saved.Kg, 1e-3)
	p.Cards = []card{
		{Short(mwh), "MWh a year", "energy saved", hover(mwh)},
		{Short(tonnes), "t CO2e a year", "carbon saved, location-based", hover(tonnes)},
	}
	if a.Saved.EUR != nil {
		p.Cards = append(p.Cards, card{Short(*a.Saved.EUR), "EUR a year", "electricity saved", hover(*a.Saved.EUR)})
	} else {
		p.Cards = append(p.Cards, card{"–", "EUR a year", "no price was given", "give prices.eur_per_kwh"})
	}
	if lines := r.Headline(); len(lines) > 0 {
		p.Lines = lines[min(1, len(lines)-1):]
	}
	for _, st := range []energy.Status{energy.Input, energy.Datasheet, energy.Claim, energy.Model, energy.Recalled, energy.Default} {
		if v := a.Evidence[string(st)]; v > 0.0005 {
			p.Evidence = append(p.Evidence, share{string(st), 100 * v})
		}
	}
	for _, f := range a.Flips {
		p.Flips = append(p.Flips, f.String())
	}
	for _, m := range a.Measure {
		p.Measure = append(p.Measure, fmt.Sprintf("%s, now %s %s (%s): %.0f %% of the uncertainty of the saving", m.Input, Short(m.Value), m.Value.Unit, m.Value.Status, 100*m.Weight))
	}
	p.Yardsticks = a.Yardsticks
	if best := r.option(a.Best); best != nil && best.Rebound != nil {
		p.Rebound = best.Rebound.String()
	}
}

// shown are the options of the page: the baseline, and the first rows in the order of tables.
func (r *Report) shown() []Option {
	list := order(r.Options)
	if len(list) > mostRows {
		list = list[:mostRows]
	}
	if !slices.ContainsFunc(list, func(o Option) bool { return o.Name == r.Baseline.Name }) {
		list = order(append(slices.Clone(list), r.Baseline))
	}
	return list
}

// about is the hover text of an estimate.
func (r *Report) about(e Estimate) string {
	s := fmt.Sprintf("%s to %s %s · %s", short(e.Low), short(e.High), e.Unit, e.Status)
	if src, ok := r.Sources[e.Source]; ok {
		s += " · " + src.Title
	}
	return s
}

func (r *Report) pageTable(p *page, u units) {
	p.More = max(0, r.Considered-len(r.shown()))
	for _, o := range r.shown() {
		name := Tolerance{o.SitesSurvived, o.LeftOver}.String()
		if n := len(p.Groups); n == 0 || p.Groups[n-1].Name != name {
			p.Groups = append(p.Groups, group{Name: name, Below: o.BelowSurvive})
		}
		g := &p.Groups[len(p.Groups)-1]
		g.Rows = append(g.Rows, row{o.Name, o.Name == r.Baseline.Name, r.cells(o, u)})
	}
}

func (r *Report) cells(o Option, u units) []cell {
	estimate := func(e *Estimate, f float64, field string) cell {
		if e == nil {
			return cell{"–", o.Because[field], ""}
		}
		return cell{short(e.Typical * f), r.about(scaled(*e, f)), ""}
	}
	return []cell{
		{u.perTB(o.WPerStoredTB), r.about(o.WPerStoredTB), ""},
		{fmt.Sprintf("%.3f", o.Ratio.Typical), o.Verdict + "; " + r.about(*o.Ratio) + "; " + factorText(o.Factors), o.Verdict},
		{fmt.Sprintf("%.3f to %s", o.RatioTwin.Typical, o.Twin), o.VerdictTwin + "; " + r.about(*o.RatioTwin), o.VerdictTwin},
		{nines(o.NinesDisasters), ninesHover(o), ""},
		{short(o.Watts.Typical / 1000), r.about(o.Watts), ""},
		estimate(&o.KWhPerYear, 1e-3, ""),
		estimate(o.KgLocation, 1e-3, ""),
		estimate(o.KgMarket, 1e-3, "kgco2e_market_per_year"),
		estimate(o.KgEmbodied, 1e-3, ""),
		estimate(o.EUREnergy, 1, "eur_energy_per_year"),
		{short(o.Drives), "bound by " + o.BoundBy + "; " + short(o.Servers) + " servers, " + short(o.Racks) + " racks", ""},
		{short(o.RawTB * u.tb), "usable " + u.size(o.UsableTB) + ", stored " + u.size(o.StoredTB), ""},
	}
}

func ninesHover(o Option) string {
	if o.NinesIndependent == nil {
		return o.Because["nines"]
	}
	return fmt.Sprintf("%s when disks fail one by one, %s with bursts, %s with disasters too", nines(o.NinesIndependent), nines(o.NinesBursts), nines(o.NinesDisasters))
}

func (r *Report) pageBars(p *page, u units) {
	for _, part := range parts[:partsWithin(r.Boundary)] {
		p.Parts = append(p.Parts, legend{strings.ReplaceAll(part.name, "_", " "), part.name})
	}
	list, top := r.shown(), 0.0
	for _, o := range list {
		top = math.Max(top, o.WPerStoredTB.High)
	}
	for _, o := range list {
		w := o.WPerStoredTB
		b := bar{Name: o.Name, Value: u.perTB(w), Hover: r.about(w), Low: 100 * w.Low / top, Width: 100 * (w.High - w.Low) / top}
		for _, part := range parts[:partsWithin(r.Boundary)] {
			e := scaled(o.WattsByPart[part.name], 1/o.StoredTB)
			b.Parts = append(b.Parts, barPart{part.name, part.name + ": " + u.perTB(e) + " W/" + u.name, 100 * e.Typical / top})
		}
		p.Bars = append(p.Bars, b)
	}
}

// pageFalls is the waterfall from the baseline to the best option.
func (r *Report) pageFalls(p *page, u units) {
	if r.Advice == nil || r.Advice.Best == r.Baseline.Name {
		return
	}
	best := r.option(r.Advice.Best)
	if best == nil {
		return
	}
	from, to := r.Baseline.WPerStoredTB.Typical, best.WPerStoredTB.Typical
	top, at := math.Max(from, to), from
	for _, name := range Factors {
		if d := best.Waterfall[name]; d > 0 {
			top += d
		}
	}
	p.FallsTo = best.Name
	p.Falls = append(p.Falls, fall{r.Baseline.Name, short(from/u.tb) + " W/" + u.name, 0, 100 * from / top, "whole"})
	for _, name := range Factors {
		d := best.Waterfall[name]
		if math.Abs(best.Factors[name]-1) < 0.0005 {
			continue
		}
		class := "less"
		if d > 0 {
			class = "more"
		}
		p.Falls = append(p.Falls, fall{fmt.Sprintf("%s × %.3f", strings.ReplaceAll(name, "_", " "), best.Factors[name]), fmt.Sprintf("%+.3g", d/u.tb), 100 * math.Min(at, at+d) / top, 100 * math.Abs(d) / top, class})
		at += d
	}
	p.Falls = append(p.Falls, fall{best.Name, short(to/u.tb) + " W/" + u.name, 0, 100 * to / top, "whole"})
}

func (r *Report) pageNotes(p *page) {
	seen := map[string]bool{}
	note := func(s string) {
		if !seen[s] {
			p.Notes = append(p.Notes, s)
		}
		seen[s] = true
	}
	for _, s := range r.Warnings {
		note(s)
	}
	for _, o := range r.shown() {
		for _, s := range o.Warnings {
			note(o.Name + ": " + s)
		}
	}
	note("not counted: " + strings.Join(r.NotCounted, "; "))
	f := r.Baseline.Facility
	if f == nil {
		return
	}
	p.Facility = append(p.Facility, f.Advice...)
	if h := f.Free; h != nil {
		p.Facility = append(p.Facility, fmt.Sprintf("supply at %s °C, approach %s K: %d hours without compressor, %d with it in part, %d in full; free cooling saves %.0f %% of the cooling's bill, %.0f %% of the facility's",
			short(h.Supply), short(h.Approach), h.Free, h.Partial, h.Compressor, 100*h.SavedOfCooling, 100*h.SavedOfFacility))
	}
}

func (r *Report) pageInputs(p *page) {
	list := func(m map[string]Estimate) (out []input) {
		for _, id := range sortedKeys(m) {
			e := m[id]
			out = append(out, input{id, Short(e), e.Unit, string(e.Status), r.Sources[e.Source].String()})
		}
		return out
	}
	p.Defaults, p.Inputs = list(r.Defaults), list(r.Inputs)
	for _, id := range sortedKeys(r.Sources) {
		if !strings.HasPrefix(id, "default:") && !strings.HasPrefix(id, "input:") {
			p.Sources = append(p.Sources, named{id, r.Sources[id].String()})
		}
	}
}
