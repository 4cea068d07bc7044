package whatif

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/wattle-storage/wattle/energy"
)

// units are those in which terabytes are printed.
type units struct {
	tb   float64
	name string
}

func unitsOf(iec bool) units {
	if iec {
		return units{1e12 / (1 << 40), "TiB"}
	}
	return units{1, "TB"}
}

func (u units) size(tb float64) string { return short(tb*u.tb) + " " + u.name }

// perTB is a figure for each terabyte.
func (u units) perTB(e Estimate) string { return Short(scaled(e, 1/u.tb)) }

func scaled(e Estimate, f float64) Estimate {
	e.Low, e.Typical, e.High = e.Low*f, e.Typical*f, e.High*f
	return e
}

// short is a figure to three digits, with thousands marked.
func short(v float64) string {
	if v == 0 || !finite(v) {
		return strings.TrimPrefix(fmt.Sprint(v), "+")
	}
	if math.Abs(v) >= 1e9 {
		return fmt.Sprintf("%.3g", v)
	}
	if math.Abs(v) >= 1000 {
		s := fmt.Sprintf("%.0f", v)
		neg := strings.HasPrefix(s, "-")
		s = strings.TrimPrefix(s, "-")
		for i := len(s) - 3; i > 0; i -= 3 {
			s = s[:i] + "," + s[i:]
		}
		if neg {
			s = "-" + s
		}
		return s
	}
	digits := max(0, 2-int(math.Floor(math.Log10(math.Abs(v)))))
	return fmt.Sprintf("%.*f", min(digits, 6), v)
}

// Short is an estimate to three digits: 1.31 [1.10–1.62].
func Short(e Estimate) string {
	s := short(e.Typical)
	if low, high := short(e.Low), short(e.High); low != s || high != s {
		s += " [" + low + "–" + high + "]"
	}
	return s
}

func shortPtr(e *Estimate) string {
	if e == nil {
		return "–"
	}
	return Short(*e)
}

// order is the options as tables show them: grouped by tolerance, the safest first, then by
// W per stored TB.
func order(list []Option) []Option {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b Option) int {
		x, y := Tolerance{a.SitesSurvived, a.LeftOver}, Tolerance{b.SitesSurvived, b.LeftOver}
		switch {
		case y.Less(x):
			return -1
		case x.Less(y):
			return 1
		case a.WPerStoredTB.Typical < b.WPerStoredTB.Typical:
			return -1
		case a.WPerStoredTB.Typical > b.WPerStoredTB.Typical:
			return 1
		}
		return 0
	})
	return list
}

// Text writes the answer for people; color greys options below the tolerance asked for.
func (r *Report) Text(w io.Writer, iec, color bool) {
	u := unitsOf(iec)
	r.textDefaults(w)
	r.textHeadline(w)
	r.textAdvice(w)
	render(w, r.optionTable(u, color))
	fmt.Fprintf(w, "\nboundary %s; bands are [low–high]; nines count bursts and disasters; ratios are of W per stored TB, to %s and to the replication with the same tolerance\n", r.Boundary, r.Baseline.Name)
	r.textFactors(w)
	r.textGrowth(w)
	r.textWarnings(w)
}

// Brief writes the first lines for people.
func (r *Report) Brief(w io.Writer) { r.textHeadline(w) }

func (r *Report) textDefaults(w io.Writer) {
	if len(r.Defaults) == 0 {
		return
	}
	fmt.Fprintln(w, "assumed, since nobody said (flags and scenario fields override):")
	var items []string
	for _, id := range sortedKeys(r.Defaults) {
		e := r.Defaults[id]
		items = append(items, strings.TrimSpace(id+" "+Short(e)+" "+e.Unit))
	}
	for line := range strings.Lines(text.WrapSoft(strings.Join(items, " · "), 100)) {
		fmt.Fprintln(w, "  "+strings.TrimRight(line, " \n"))
	}
	fmt.Fprintln(w)
}

// textHeadline is the first screen: what is saved, by what, how sure.
func (r *Report) textHeadline(w io.Writer) {
	for _, line := range r.Headline() {
		fmt.Fprintln(w, line)
	}
	fmt.Fprintln(w)
}

// Headline is what to read first: the saving of a year, the ratio with its factors and both
// baselines, and the quality of the evidence.
func (r *Report) Headline() []string {
	a := r.Advice
	if a == nil {
		return nil
	}
	best := r.option(a.Best)
	if best == nil || a.Best == r.Baseline.Name {
		return []string{fmt.Sprintf("nothing draws less than %s: %s W, %s W per stored TB", r.Baseline.Name, Short(r.Baseline.Watts), Short(r.Baseline.WPerStoredTB))}
	}
	saves := fmt.Sprintf("%s saves a year: %s MWh, %s t CO2e (location)", a.Best, Short(scaled(a.Saved.KWh, 1e-3)), Short(scaled(a.Saved.Kg, 1e-3)))
	if a.Saved.EUR != nil {
		saves += fmt.Sprintf(", %s EUR", Short(*a.Saved.EUR))
	}
	lines := []string{
		saves + " (against " + r.Baseline.Name + ")",
		fmt.Sprintf("it draws %s of the baseline's watts per stored TB (%s: %s), and %s of its replication twin's, %s (%s)",
			Short(*best.Ratio), change(best.Ratio.Typical), best.Verdict, Short(*best.RatioTwin), best.Twin, change(best.RatioTwin.Typical)),
		"factors: " + factorText(best.Factors) + plainText(best),
		r.safety(best),
	}
	return append(lines, fmt.Sprintf("%.0f %% of its watts rest on defaults, %.0f %% on data sheets, %.0f %% on drives of the same class, %.0f %% on your input",
		100*a.Evidence["default"], 100*(a.Evidence["datasheet"]+a.Evidence["claim"]), 100*a.Evidence["model"], 100*a.Evidence["input"]))
}

func change(ratio float64) string { return fmt.Sprintf("%+.0f %%", 100*(ratio-1)) }

// factorText lists the factors that are not 1.
func factorText(f map[string]float64) string {
	var parts []string
	product := 1.0
	for _, name := range Factors {
		product *= f[name]
		if math.Abs(f[name]-1) >= 0.0005 {
			parts = append(parts, fmt.Sprintf("%s %.3f", name, f[name]))
		}
	}
	if len(parts) == 0 {
		return "all 1"
	}
	return strings.Join(parts, " × ") + fmt.Sprintf(" = %.3f", product)
}

func (r *Report) option(name string) *Option {
	for i := range r.Options {
		if r.Options[i].Name == name {
			return &r.Options[i]
		}
	}
	if r.Baseline.Name == name {
		return &r.Baseline
	}
	return nil
}

func newTable(header ...any) table.Writer {
	t := table.NewWriter()
	t.AppendHeader(header)
	t.SetStyle(table.StyleDefault)
	s := t.Style()
	s.Options = table.OptionsNoBordersAndSeparators
	s.Format.Header = text.FormatDefault
	s.Box.PaddingLeft, s.Box.PaddingRight = "", "  "
	return t
}

// mostRows is the number of options that a table shows.
const mostRows = 50

// optionTable is the table of options, grouped by tolerance.
func (r *Report) optionTable(u units, color bool) table.Writer {
	t := newTable("survives", "option", "drives", "bound by", u.name+" raw", "W/stored "+u.name, "kW", "MWh/year", "t CO2e/year", "nines", "ratio", "twin", "verdict")
	var columns []table.ColumnConfig
	for _, n := range []int{3, 5, 6, 7, 8, 9, 10, 11} {
		columns = append(columns, table.ColumnConfig{Number: n, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(columns)
	list := order(r.Options)
	before := ""
	for i, o := range list {
		if i == mostRows {
			t.AppendRow(table.Row{"", fmt.Sprintf("… and %d more", len(list)-mostRows)})
			break
		}
		group := Tolerance{o.SitesSurvived, o.LeftOver}.String()
		shown := group
		if group == before {
			shown = ""
		}
		before = group
		row := table.Row{shown, o.Name, short(o.Drives), o.BoundBy, short(o.RawTB * u.tb), u.perTB(o.WPerStoredTB), Short(scaled(o.Watts, 1e-3)),
			short(o.KWhPerYear.Typical / 1000), shortTonnes(o.KgLocation), nines(o.NinesDisasters), Short(*o.Ratio), fmt.Sprintf("%.3f to %s", o.RatioTwin.Typical, o.Twin), o.Verdict}
		if o.BelowSurvive {
			row[0] = "below: " + group
			if color {
				for j := range row {
					row[j] = text.Faint.Sprint(row[j])
				}
			}
		}
		t.AppendRow(row)
	}
	return t
}

// plainText says what the ratio is before all is made whole, where that differs.
func plainText(o *Option) string {
	if p := o.RatioPlain; p != nil && math.Abs(p.Typical/o.Ratio.Typical-1) > 5e-4 {
		return fmt.Sprintf("; %s before drives, servers and racks are made whole", Short(*p))
	}
	return ""
}

// nines are those of a year, to a tenth.
func nines(e *Estimate) string {
	if e == nil {
		return "–"
	}
	return fmt.Sprintf("%.1f", e.Typical)
}

// safety compares what the best option and the baseline survive.
func (r *Report) safety(best *Option) string {
	one := func(o *Option) string {
		s := Tolerance{o.SitesSurvived, o.LeftOver}.String()
		if o.NinesDisasters != nil {
			s += " and has " + nines(o.NinesDisasters) + " nines a year"
		}
		return s
	}
	return fmt.Sprintf("it survives %s; the baseline survives %s", one(best), one(&r.Baseline))
}

func shortTonnes(e *Estimate) string {
	if e == nil {
		return "–"
	}
	return short(e.Typical / 1000)
}

func (r *Report) textFactors(w io.Writer) {
	fmt.Fprintln(w, "\nwhere the ratio to the baseline comes from:")
	t := newTable("  option", "factors")
	for i, o := range order(r.Options) {
		if i == mostRows {
			break
		}
		if o.Name != r.Baseline.Name {
			t.AppendRow(table.Row{"  " + o.Name, factorText(o.Factors)})
		}
	}
	render(w, t)
}

// render writes a table without blanks at the ends of its lines.
func render(w io.Writer, t table.Writer) {
	for line := range strings.Lines(t.Render() + "\n") {
		fmt.Fprintln(w, strings.TrimRight(line, " \n"))
	}
}

func (r *Report) textAdvice(w io.Writer) {
	a := r.Advice
	if a == nil {
		return
	}
	if len(a.Flips) > 0 {
		fmt.Fprintln(w, "what would change the winner:")
		for _, f := range a.Flips {
			fmt.Fprintln(w, "  "+f.String())
		}
	}
	if len(a.Measure) > 0 {
		fmt.Fprintln(w, "worth measuring next, since the saving hangs on them:")
		for _, m := range a.Measure {
			fmt.Fprintf(w, "  %s, %s [%s]: %.0f %% of the uncertainty\n", m.Input, strings.TrimSpace(Short(m.Value)+" "+m.Value.Unit), m.Value.Status, 100*m.Weight)
		}
	}
	fmt.Fprintln(w)
}

func (r *Report) textGrowth(w io.Writer) {
	a := r.Advice
	if a == nil {
		return
	}
	if best := r.option(a.Best); best != nil && best.Rebound != nil {
		fmt.Fprintln(w, "\n"+best.Rebound.String())
	}
	for _, y := range a.Yardsticks {
		fmt.Fprintln(w, "yardstick: "+y)
	}
}

// String tells a flip in a sentence.
func (f Flip) String() string {
	now := strings.TrimSpace(short(f.Now) + " " + f.Unit)
	if f.At == nil {
		return strings.TrimSpace(fmt.Sprintf("%s (now %s): %s stays best from %s to %s %s", f.Parameter, now, f.Winner, short(f.From), short(f.To), f.Unit)) + " (" + f.By + ")"
	}
	return fmt.Sprintf("%s (now %s): at %s %s wins over %s (%s)", f.Parameter, now, strings.TrimSpace(short(*f.At)+" "+f.Unit), f.Then, f.Winner, f.By)
}

// String tells what becomes of a saving.
func (b Rebound) String() string {
	s := fmt.Sprintf("rebound: the saving is gone when all of the freed watts get filled again, by %.0f %% more data", 100*(*b.GoneAtData))
	if b.YearsToGrow != nil {
		s += fmt.Sprintf("; growth of %.0f %% a year eats it in %.1f years", 100*b.PerYear, *b.YearsToGrow)
	}
	if b.Watts != nil {
		s += fmt.Sprintf("; with a rebound of %s it draws %s W", energy.Four(*b.Part), short(*b.Watts))
	}
	return s
}

func (r *Report) textWarnings(w io.Writer) {
	seen := map[string]bool{}
	say := func(s string) {
		if !seen[s] {
			fmt.Fprintln(w, "note: "+s)
		}
		seen[s] = true
	}
	for _, s := range r.Warnings {
		say(s)
	}
	for i, o := range r.Options {
		if i == mostRows {
			break
		}
		for _, s := range o.Warnings {
			say(o.Name + ": " + s)
		}
	}
	if f := r.Baseline.Facility; f != nil {
		for _, s := range f.Advice {
			say(s)
		}
	}
	say("not counted: " + strings.Join(r.NotCounted, "; "))
}

// Table is the table of options as CSV or Markdown: one row each, plain numbers.
func (r *Report) table() table.Writer {
	t := table.NewWriter()
	t.AppendHeader(table.Row{"option", "scheme", "disk", "sites", "sites_survived", "left_over", "stored_tb", "usable_tb", "raw_tb", "drives", "servers", "racks", "bound_by",
		"watts", "watts_low", "watts_high", "w_per_stored_tb", "w_per_stored_tb_low", "w_per_stored_tb_high", "kwh_per_year", "kgco2e_location_per_year", "kgco2e_market_per_year",
		"kgco2e_embodied_total", "eur_energy_per_year", "eur_capital", "litres_per_year", "ratio", "ratio_low", "ratio_high", "ratio_fractional", "ratio_twin", "twin", "verdict", "nines_independent", "nines_bursts", "nines_disasters", "boundary"})
	for _, o := range r.Options {
		t.AppendRow(table.Row{o.Name, o.Scheme, o.Disk, o.Sites, o.SitesSurvived, o.LeftOver, twelve(o.StoredTB), twelve(o.UsableTB), twelve(o.RawTB), twelve(o.Drives), twelve(o.Servers), twelve(o.Racks), o.BoundBy,
			twelve(o.Watts.Typical), twelve(o.Watts.Low), twelve(o.Watts.High), twelve(o.WPerStoredTB.Typical), twelve(o.WPerStoredTB.Low), twelve(o.WPerStoredTB.High), twelve(o.KWhPerYear.Typical),
			orNull(o.KgLocation), orNull(o.KgMarket), orNull(o.KgTotal), orNull(o.EUREnergy), orNull(o.EURCapital), orNull(o.Litres),
			twelve(o.Ratio.Typical), twelve(o.Ratio.Low), twelve(o.Ratio.High), twelve(o.RatioPlain.Typical), twelve(o.RatioTwin.Typical), o.Twin, o.Verdict, orNull(o.NinesIndependent), orNull(o.NinesBursts), orNull(o.NinesDisasters), string(r.Boundary)})
	}
	return t
}

func twelve(v float64) string { return string(energy.AppendNumber(nil, v)) }

func orNull(e *Estimate) string {
	if e == nil {
		return ""
	}
	return twelve(e.Typical)
}

// CSV writes a row for each option.
func (r *Report) CSV(w io.Writer) { fmt.Fprintln(w, r.table().RenderCSV()) }

// Markdown writes the headline and the table of options.
func (r *Report) Markdown(w io.Writer, iec bool) {
	fmt.Fprintf(w, "# %s\n\n", either(r.Name, "What if"))
	for _, line := range r.Headline() {
		fmt.Fprintf(w, "- %s\n", line)
	}
	fmt.Fprintln(w, "\n"+r.optionTable(unitsOf(iec), false).RenderMarkdown())
	if r.Advice != nil {
		fmt.Fprintln(w)
		for _, f := range r.Advice.Flips {
			fmt.Fprintf(w, "- %s\n", f)
		}
	}
	fmt.Fprintf(w, "\nBoundary: %s. Inputs: %s.\n", r.Boundary, r.InputsDigest)
}
