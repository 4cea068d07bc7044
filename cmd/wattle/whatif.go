package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/mattn/go-isatty"
	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/energy"
	"github.com/wattle-storage/wattle/whatif"
)

func whatifCommand() *cli.Command {
	flags := []cli.Flag{
		&cli.BoolFlag{Name: "fractional", Usage: "count fractions of drives, servers and racks, for laws rather than purchases"},
		&cli.BoolFlag{Name: "iec", Usage: "print terabytes as TiB"},
		&cli.BoolFlag{Name: "csv", Usage: "answer in CSV, a row for each option"},
		&cli.BoolFlag{Name: "markdown", Usage: "answer in Markdown"},
		&cli.BoolFlag{Name: "stream", Usage: "answer in JSON, one option a line, for sweeps of any length"},
		&cli.BoolFlag{Name: "schema", Usage: "print the JSON Schema of a scenario"},
		&cli.StringSliceFlag{Name: "input", Usage: "any uncertain input by its identity, `ID=RANGE`; --explain watts lists them"},
	}
	for _, f := range whatifFlags {
		flags = append(flags, &cli.StringFlag{Name: f.name, Usage: f.usage})
	}
	return &cli.Command{
		Name: "whatif", Usage: "say what a fleet draws, and what it would under another scheme, disk or plan", Category: "energy", ArgsUsage: "[SCENARIO.yaml]",
		Description: "Lists, separated by commas, make every combination. A RANGE is a number or LOW/TYPICAL/HIGH.\n\n" + examples(
			"wattle whatif --usable 10PB",
			"wattle whatif --usable 10PB --scheme replica:3,replica:2,rs:9+6 --disk seagate-ecv4-6tb-sas,hgst-he12-12tb --sites 3",
			"wattle whatif --usable 10PB --reads 50000 --layout packed,striped --scheme rs:10+5",
			"wattle whatif --stored 7PB --boundary drive --disk air-7w@6TB,helium-5w@8TB --explain w_per_stored_tb",
			"wattle whatif scenario.yaml --html report.html",
			"wattle whatif --schema > scenario.schema.json"),
		Flags: flags,
		Action: func(c *cli.Context) error {
			if err := arguments(c, 0, 1, "at most one scenario file"); err != nil {
				return err
			}
			e := envOf(c)
			if c.Bool("schema") {
				return e.document(whatif.Schema())
			}
			s, err := scenarioOf(c)
			if err != nil {
				return asUsage(err)
			}
			return runWhatif(e, c, s)
		},
	}
}

// runWhatif answers a scenario in the form that was asked for.
func runWhatif(e *env, c *cli.Context, s whatif.Scenario) error {
	forms := 0
	for _, on := range []bool{c.Bool("csv"), c.Bool("markdown"), c.Bool("stream"), c.String("explain") != "", c.String("solve") != ""} {
		if on {
			forms++
		}
	}
	if forms > 1 || e.json && (c.Bool("csv") || c.Bool("markdown")) {
		return usage("whatif: --json, --csv, --markdown, --stream, --explain and --solve contradict one another: give one")
	}
	switch {
	case c.String("solve") != "" || c.String("target") != "":
		return solveWhatif(e, c, s)
	case c.String("explain") != "":
		return explainWhatif(e, c.String("explain"), s)
	case c.Bool("stream"):
		return asUsage(whatif.Each(s, func(o whatif.Option) error { return e.emit(o) }))
	}
	r, err := whatif.Run(s)
	if err != nil {
		return asUsage(err)
	}
	if name := c.String("html"); name != "" {
		if err := writePage(e, name, &r, c.Bool("iec")); err != nil {
			return err
		}
	}
	switch {
	case e.json:
		return e.document(r)
	case c.Bool("csv"):
		r.CSV(e.out)
	case c.Bool("markdown"):
		r.Markdown(e.out, c.Bool("iec"))
	case c.String("html") != "":
		r.Brief(e.out)
	default:
		r.Text(e.out, c.Bool("iec"), colorful(e.out))
	}
	return nil
}

func explainWhatif(e *env, field string, s whatif.Scenario) error {
	list, err := whatif.Explain(s, field)
	if err != nil {
		return asUsage(err)
	}
	if e.json {
		return e.document(list)
	}
	whatif.WriteExplanations(e.out, list)
	return nil
}

func writePage(e *env, name string, r *whatif.Report, iec bool) error {
	var page bytes.Buffer
	if err := r.HTML(&page, iec); err != nil {
		return err
	}
	if err := writeWhole(name, &page); err != nil {
		return err
	}
	e.talk("wrote %s", name)
	return nil
}

// solveWhatif finds the value of an input at which a field has a value.
func solveWhatif(e *env, c *cli.Context, s whatif.Scenario) error {
	field, text, ok := strings.Cut(c.String("target"), "=")
	target, err := parseNumber(text)
	if !ok || err != nil || c.String("solve") == "" {
		return usage("whatif: want --solve ID --target FIELD=VALUE, such as --solve slot_w --target watts=500")
	}
	v, err := whatif.Solve(s, c.String("option"), c.String("solve"), field, target)
	if err != nil {
		return asUsage(err)
	}
	if e.json {
		return e.document(map[string]any{"input": c.String("solve"), "value": v, "field": field, "target": target})
	}
	fmt.Fprintf(e.out, "%s = %s makes %s %s\n", c.String("solve"), energy.Four(v), field, energy.Four(target))
	return nil
}

// asUsage makes what is wrong with a scenario an error of usage.
func asUsage(err error) error {
	if err == nil {
		return nil
	}
	return usageError{asFlags(err)}
}

// flagOf names the flag that stands for a field of the scenario.
var flagOf = map[string]string{
	"sweep.schemes": "scheme", "sweep.disks": "disk", "sweep.fills": "fill", "sweep.reserves": "reserve", "sweep.amplifications": "amplification",
	"sweep.layouts": "layout", "sweep.pues": "pue", "sweep.g_per_kwh": "grid", "sweep.slot_w": "slot", "sweep.sites": "sites", "usable_tb": "usable",
	"stored_tb": "stored", "facility.pue": "pue", "carbon.g_per_kwh": "grid", "server.slot_w": "slot", "explain": "explain", "baseline": "baseline",
}

// asFlags names flags in place of fields where no file says otherwise.
func asFlags(err error) error {
	var f *whatif.FieldError
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			_ = asFlags(e)
		}
	}
	if errors.As(err, &f) && f.Line == 0 {
		name, _, _ := strings.Cut(f.Field, "[")
		if flag, ok := flagOf[name]; ok {
			f.Field = "--" + flag
		}
	}
	return err
}

func colorful(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && isatty.IsTerminal(f.Fd())
}

// scenarioOf reads the scenario file, if any, and lays the flags over it.
func scenarioOf(c *cli.Context) (s whatif.Scenario, err error) {
	if c.NArg() == 1 {
		text, err := readLimited(c.Args().First(), c.App.Reader)
		if err != nil {
			return s, err
		}
		if s, err = whatif.Parse(c.Args().First(), text); err != nil {
			return s, err
		}
		for _, f := range facilities(&s) { // files stand beside the scenario
			if t := f.Temperatures; t != nil && t.File != "" && !filepath.IsAbs(t.File) {
				t.File = filepath.Join(filepath.Dir(c.Args().First()), t.File)
			}
		}
	}
	for _, f := range whatifFlags {
		if c.IsSet(f.name) && f.set != nil {
			if err := f.set(&s, c.String(f.name)); err != nil {
				return s, fmt.Errorf("--%s: %w", f.name, err)
			}
		}
	}
	s.Fractional = s.Fractional || c.Bool("fractional")
	if err := setInputs(&s, c.StringSlice("input")); err != nil {
		return s, err
	}
	if err := readTemperatures(&s); err != nil {
		return s, err
	}
	return s, asFlags(s.Validate())
}

const maxFile = 16 << 20

// readLimited reads a file, or stdin for -.
func readLimited(name string, stdin io.Reader) ([]byte, error) {
	r := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = f
	}
	text, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxFile)
	}
	return text, err
}

// facilities are those of a scenario and of its sites.
func facilities(s *whatif.Scenario) []*whatif.Facility {
	list := []*whatif.Facility{&s.Facility}
	for i := range s.Sites {
		if s.Sites[i].Facility != nil {
			list = append(list, s.Sites[i].Facility)
		}
	}
	return list
}

// readTemperatures reads the temperature files that a scenario names.
func readTemperatures(s *whatif.Scenario) error {
	for _, f := range facilities(s) {
		t := f.Temperatures
		if t == nil || t.File == "" {
			continue
		}
		text, err := readLimited(t.File, nil)
		if err != nil {
			return err
		}
		if t.Hourly, err = energy.ReadTemperatures(text); err != nil {
			return fmt.Errorf("%s: %w", t.File, err)
		}
		t.File = ""
	}
	return nil
}

// readProfiles reads drives of the user's own.
func readProfiles(name string) ([]energy.Profile, error) {
	text, err := readLimited(name, nil)
	if err != nil {
		return nil, err
	}
	list, err := energy.ReadProfiles(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return list, nil
}
