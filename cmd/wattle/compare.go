package main

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/durability"
	"github.com/wattle-storage/wattle/whatif"
)

// compareOwn are the flags of whatif that compare decides itself, or reads as durability does.
var compareOwn = map[string]bool{"scheme": true, "baseline": true, "survive": true, "afr": true, "burst": true, "explain": true, "html": true, "sites": true, "disk": true, "usable": true}

func compareCommand() *cli.Command {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "at-least", Value: "11n", Usage: "`NINES` of a year by disks and bursts at the high AFR, such as 11n, or the share lost, such as 1e-11"},
		&cli.StringFlag{Name: "at-least-disasters", Usage: "`NINES` with disasters of sites too"},
		&cli.StringFlag{Name: "survive", Value: "site", Usage: "site, site+1, 2sites, … : `SITES` lost at once and shards lost then"},
		&cli.StringFlag{Name: "scheme", Usage: "only these `SCHEMES`, with commas, also product:DATA+PARITYxSITES (default: all)"},
		&cli.IntFlag{Name: "most-shards", Value: 30, Usage: "`N` shards of a stripe at most"},
		&cli.StringFlag{Name: "rank", Value: "watts", Usage: "`ORDER`: watts, kwh, co2e, eur, nines or raw"},
		&cli.StringFlag{Name: "usable", Value: "10PB", Usage: "usable `SIZE` of the baseline; stored = usable x fill"},
		&cli.StringFlag{Name: "sites", Value: "3", Usage: "numbers of equal `SITES`"},
		&cli.StringFlag{Name: "disk", Usage: "drive `PROFILES` (see wattle profiles), such as helium-5w@8TB"},
		&cli.StringFlag{Name: "html", Usage: "write the report, with the Pareto front, to `FILE`"},
		&cli.BoolFlag{Name: "all", Usage: "all that qualify, not the best ten"},
	}
	flags = append(flags, rateFlags()...)
	taken := map[string]bool{}
	for _, f := range flags {
		taken[f.Names()[0]] = true
	}
	for _, f := range whatifFlags {
		if !compareOwn[f.name] && !taken[f.name] {
			flags = append(flags, &cli.StringFlag{Name: f.name, Usage: f.usage})
		}
	}
	return &cli.Command{
		Name: "compare", Usage: "find the schemes that are as safe as asked, and rank them by watts", Category: "energy", ArgsUsage: "[SCENARIO.yaml]",
		Description: `Every replica, rs and lrc scheme of up to --most-shards shards that survives what is asked is
reckoned on the same disks and sites; of those that meet the targets at the high AFR, each
width with its fewest parities is ranked, beside the copies that are as safe and one copy
less. When none does, the best that can be had is shown, and what holds it back. Flags of
whatif describe workload, servers, building, carbon and prices.

` + examples(
			"wattle compare --at-least 11n --usable 10PB --sites 3,4",
			"wattle compare --at-least 11n --at-least-disasters 6n --survive site+1 --sites 4 --html front.html",
			"wattle compare --at-least 11n --sites 3 --scheme rs:9+6,product:10+4x3",
			"wattle compare --at-least 9n --sites 3 --afr 0.5%/1%/2% --price-kwh 0.25 --rank eur --json"),
		Flags: flags,
		Action: func(c *cli.Context) error {
			if err := arguments(c, 0, 1, "at most one scenario file"); err != nil {
				return err
			}
			return runCompare(envOf(c), c)
		},
	}
}

func runCompare(e *env, c *cli.Context) error {
	t, err := targetsOf(c)
	if err != nil {
		return err
	}
	s, err := comparedScenario(c)
	if err != nil {
		return err
	}
	r, err := whatif.Equal(s, t)
	if err != nil {
		return asUsage(err)
	}
	if err := r.Rank(c.String("rank")); err != nil {
		return usageError{fmt.Errorf("--rank: %w", err)}
	}
	if name := c.String("html"); name != "" {
		var page bytes.Buffer
		if err := r.HTML(&page); err != nil {
			return err
		}
		if err := writeWhole(name, &page); err != nil {
			return err
		}
		e.talk("%s written", name)
	}
	if e.json {
		return e.document(r)
	}
	showComparison(e.out, r, c.Bool("all"))
	return nil
}

// comparedScenario reads the scenario, the flags of whatif, and those of durability.
func comparedScenario(c *cli.Context) (whatif.Scenario, error) {
	s, err := fileAndFlags(c)
	if err != nil {
		return s, usageError{err}
	}
	base, err := baseOf(c)
	if err != nil {
		return s, err
	}
	if base.AFR != (durability.Band{}) {
		s.Drive.AFR = &whatif.Range{Low: base.AFR.Low, Typical: base.AFR.Typical, High: base.AFR.High}
	} else if s.Drive.AFR == nil {
		a := durability.DefaultAFR
		s.Drive.AFR = &whatif.Range{Low: a.Low, Typical: a.Typical, High: a.High}
	}
	s.Durability = base
	if s.UsableTB == 0 && s.StoredTB == 0 || c.IsSet("usable") {
		tb, err := terabytes("usable", c.String("usable"))
		if err != nil {
			return s, err
		}
		s.UsableTB = whatif.Terabytes(tb)
	}
	if len(s.Sites) == 0 || c.IsSet("sites") {
		if err := setSites(&s, c.String("sites")); err != nil {
			return s, usageError{fmt.Errorf("--sites: %w", err)}
		}
	}
	if c.IsSet("disk") {
		s.Sweep.Disks = split(c.String("disk"))
	}
	return s, asUsage(s.Validate())
}

// fileAndFlags reads the scenario file, if any, and lays those flags of whatif over it that
// compare has too.
func fileAndFlags(c *cli.Context) (s whatif.Scenario, err error) {
	if c.NArg() == 1 {
		text, err := readLimited(c.Args().First(), c.App.Reader)
		if err != nil {
			return s, err
		}
		if s, err = whatif.Parse(c.Args().First(), text); err != nil {
			return s, err
		}
	}
	for _, f := range whatifFlags {
		if f.set != nil && !compareOwn[f.name] && c.IsSet(f.name) {
			if err := f.set(&s, c.String(f.name)); err != nil {
				return s, fmt.Errorf("--%s: %w", f.name, err)
			}
		}
	}
	return s, readTemperatures(&s)
}

func targetsOf(c *cli.Context) (t whatif.Targets, err error) {
	if t.Nines, err = ninesOf("at-least", c.String("at-least")); err != nil {
		return t, err
	}
	if text := c.String("at-least-disasters"); text != "" {
		if t.DisasterNines, err = ninesOf("at-least-disasters", text); err != nil {
			return t, err
		}
	}
	if t.MostShards = c.Int("most-shards"); t.MostShards < 2 || t.MostShards > durability.MaxShards {
		return t, usage("--most-shards %d: want 2 to %d", t.MostShards, durability.MaxShards)
	}
	if text := c.String("scheme"); text != "" {
		schemes, err := schemesOf(text)
		if err != nil {
			return t, usageError{err}
		}
		for _, s := range schemes {
			t.Schemes = append(t.Schemes, s.String())
		}
	}
	t.Survive, err = surviveOf(c.String("survive"))
	return t, err
}

// ninesOf reads 11n, 11 or a share such as 1e-11.
func ninesOf(flag, text string) (float64, error) {
	number, _ := strings.CutSuffix(text, "n")
	v, err := strconv.ParseFloat(number, 64)
	switch {
	case err == nil && number == text && v > 0 && v < 1:
		return durability.Nines(v), nil
	case err == nil && v >= 1 && v <= 100:
		return v, nil
	}
	return 0, usage("--%s %q: want nines such as 11n, or the share of the bytes that may be lost in a year, such as 1e-11", flag, text)
}

// surviveOf reads site, site+1, 2sites+1, none, or as whatif does.
func surviveOf(text string) (whatif.Tolerance, error) {
	head, tail, plus := strings.Cut(text, "+")
	switch {
	case head == "none":
		head = "0"
	case head == "site":
		head = "1"
	default:
		head = strings.TrimSuffix(strings.TrimSuffix(head, "s"), "site")
	}
	if plus {
		head += "+" + tail
	}
	t, err := whatif.ParseTolerance(head)
	if err != nil {
		return t, usage("--survive %q: want none, site, site+1 or 2sites", text)
	}
	return t, nil
}

// shownRows is how many of those that qualify are shown without --all.
const shownRows = 10

func showComparison(w io.Writer, c whatif.Comparison, all bool) {
	fmt.Fprintln(w, c.Asked())
	if c.Best != nil {
		showReachable(w, c)
		return
	}
	rows := c.Qualifying
	if !all && len(rows) > shownRows {
		rows = rows[:shownRows]
	}
	priced, disks := rows[0].Option.EUREnergy != nil, map[string]bool{}
	for _, q := range c.Qualifying {
		disks[q.Option.Disk] = true
	}
	head := []any{"scheme", "sites", "raw", "drives", "nines", "with disasters", "W/stored TB", "kWh/y", "kgCO2e/y"}
	if priced {
		head = append(head, "EUR/y")
	}
	if len(disks) > 1 {
		head = append(head, "disk")
	}
	t := newTable(append(head, "to copies as safe", "to a copy less")...)
	for _, q := range append(rows[:len(rows):len(rows)], c.Twins...) {
		o := q.Option
		row := []any{o.Scheme, o.Sites, fmt.Sprintf("%.2fx", o.RawTB*(1-o.Reserve)/o.UsableTB), fmt.Sprintf("%.0f", o.Drives), ninesText(q.Nines), ninesText(q.DisasterNines),
			whatif.Short(o.WPerStoredTB), whatif.Short(o.KWhPerYear), estimateText(o.KgLocation)}
		if priced {
			row = append(row, estimateText(o.EUREnergy))
		}
		if len(disks) > 1 {
			row = append(row, o.Disk)
		}
		t.AppendRow(append(row, ratioText(q.TwinAbove, q.RatioAbove), ratioText(q.TwinBelow, q.RatioBelow)))
	}
	show(w, t)
	if n := len(c.Qualifying) - len(rows); n > 0 {
		fmt.Fprintf(w, "and %d more that meet it; --all shows them\n", n)
	}
	fmt.Fprintf(w, "\n%s\n", c.Reading())
}

func showReachable(w io.Writer, c whatif.Comparison) {
	b := c.Best
	o := b.Option
	fmt.Fprintf(w, "none of %d schemes does. The best is %s over %s on %s: %s nines, %s with disasters, %s W per stored TB\n",
		c.Considered, o.Scheme, count(o.Sites, "site"), o.Disk, ninesText(b.Nines), ninesText(b.DisasterNines), whatif.Short(o.WPerStoredTB))
	for _, m := range b.Missing {
		fmt.Fprintln(w, "  missing: "+m)
	}
	fmt.Fprintf(w, "  bound by: %s\n\n", b.Binding)
	t := newTable("change", "nines gained")
	for _, l := range b.Levers {
		t.AppendRow([]any{l.Change, fmt.Sprintf("%+.1f", l.Nines+0)})
	}
	show(w, t)
	fmt.Fprintf(w, "\n%s\n", c.Reading())
}

func estimateText(e *whatif.Estimate) string {
	if e == nil {
		return "–"
	}
	return whatif.Short(*e)
}

func ratioText(twin string, e *whatif.Estimate) string {
	if e == nil {
		return ""
	}
	return whatif.Short(*e) + " of " + twin
}
