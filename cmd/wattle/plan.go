package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/erasure"
	"github.com/wattle-storage/wattle/importer"
	"github.com/wattle-storage/wattle/whatif"
)

func planCommand() *cli.Command {
	return &cli.Command{
		Name: "plan", Usage: "plan the move of a cluster to another scheme or other drives, and say when not to", Category: "energy", ArgsUsage: "FILE… --to SCHEME@DISK",
		Description: "FILEs are those of wattle import. The move is worked out in bytes, days, kWh and carbon, with the day on which\n" +
			"each is paid back. Commands for the cluster's own tools are printed, never run.\n\n" + examples(
			"wattle plan report.json --to rs:8+3",
			"wattle plan --from report.json --to rs:8+3@seagate-x22-22tb --country DE --price-kwh 0.24 --price-drive 380",
			"wattle plan report.json --to replica:3 --fill 0.9",
			"wattle plan report.json --to rs:4+4 --keep-names --crushmap map.txt",
			"wattle plan --to rs:10+4 --store seaweedfs"),
		Flags: append([]cli.Flag{
			&cli.StringSliceFlag{Name: "from", Usage: "`FILE` of wattle import, as the arguments"},
			&cli.StringFlag{Name: "to", Usage: "`TARGET`: SCHEME, DISK or SCHEME@DISK"},
			&cli.Float64Flag{Name: "fill", Usage: "retire servers until the rest is so `FULL`, 0 to 1, of what may be filled"},
			&cli.StringFlag{Name: "pace", Usage: "MB/s that the move takes of each drive, as `RANGE`; default 12/25/50"},
			&cli.Float64Flag{Name: "wan", Usage: "at most so many `MB/S` between sites"},
			&cli.Float64Flag{Name: "growth", Usage: "growth of the stored bytes a year, 0.2 for 20 %"},
			&cli.BoolFlag{Name: "keep-names", Usage: "keep the names of hosts, racks, sites and pools"},
			&cli.StringFlag{Name: "scheme", Usage: "redundancy `SCHEME` of pools that do not tell theirs"},
			&cli.StringFlag{Name: "stored", Usage: "`SIZE` that users store, where the dump does not tell"},
			&cli.StringFlag{Name: "crushmap", Usage: "write a crushmap with a rule for the scheme, as text for crushtool, to `FILE`"},
			&cli.StringFlag{Name: "store", Usage: "print the scheme's settings for `STORE` (ceph, minio, rustfs, seaweedfs, garage) and nothing else"},
			&cli.IntFlag{Name: "sites", Usage: "`SITES`, for --store", Value: 1},
		}, clusterFlags()...),
		Action: func(c *cli.Context) error {
			e := envOf(c)
			if store := c.String("store"); store != "" {
				return runStore(e, store, c.String("to"), c.Int("sites"))
			}
			files := append(c.StringSlice("from"), c.Args().Slice()...)
			if len(files) == 0 {
				return usage("plan: want files, such as the output of `ceph report`; see `wattle plan --help`")
			}
			if c.String("to") == "" && c.Float64("fill") == 0 {
				return usage("plan: want --to SCHEME, DISK or SCHEME@DISK, such as --to rs:8+3, or --fill")
			}
			return runPlan(e, c, files, time.Now())
		},
	}
}

// runStore prints a scheme in the words of a store.
func runStore(e *env, store, scheme string, sites int) error {
	s, err := erasure.Parse(scheme)
	if err != nil {
		return usage("plan: --to %s: %v", scheme, err)
	}
	lines, err := importer.StoreSettings(store, s, sites)
	if err != nil {
		return usageError{err}
	}
	if e.json {
		return e.document(map[string]any{"store": store, "scheme": s.String(), "settings": lines})
	}
	fmt.Fprintln(e.out, strings.Join(lines, "\n"))
	return nil
}

func runPlan(e *env, c *cli.Context, files []string, now time.Time) error {
	var t importer.Target
	var err error
	if text := c.String("to"); text != "" {
		if t, err = importer.ParseTarget(text); err != nil {
			return usage("--to: %v", err)
		}
	}
	t.Fill = c.Float64("fill")
	if t.Fill < 0 || t.Fill > 1 {
		return usage("--fill %v: want 0 to 1, of what the reserve leaves", t.Fill)
	}
	pace := importer.DefaultPace
	if text := c.String("pace"); text != "" {
		if pace.Drive, err = whatif.ParseRange(text); err != nil || pace.Drive.Low <= 0 || pace.Drive.High > 1e5 {
			return usage("--pace %s: want MB/s above 0, or LOW/TYPICAL/HIGH", text)
		}
	}
	if pace.WAN = c.Float64("wan"); pace.WAN < 0 {
		return usage("--wan %v: want MB/s", pace.WAN)
	}
	growth := c.Float64("growth")
	if growth < -0.9 || growth > 10 {
		return usage("--growth %v: want a part a year, such as 0.2", growth)
	}
	f, s, err := imported(c, files)
	if err != nil {
		return usageError{err}
	}
	p, err := f.Plan(s, t, pace, growth, now)
	if err != nil {
		return asUsage(err)
	}
	if name := c.String("crushmap"); name != "" {
		if err := writeCrushMap(name, f, t); err != nil {
			return usageError{err}
		}
	}
	if e.json {
		return e.document(p)
	}
	showPlan(e.out, p)
	return nil
}

func writeCrushMap(name string, f *importer.Found, t importer.Target) error {
	if t.Scheme == "" {
		return fmt.Errorf("--crushmap: want a scheme in --to")
	}
	s, err := erasure.Parse(t.Scheme)
	if err != nil {
		return err
	}
	text, err := f.CrushMap(s)
	if err != nil {
		return err
	}
	return replaceFile(name, text)
}

func showPlan(w io.Writer, p *importer.Plan) {
	fmt.Fprintf(w, "%s: %s\n", strings.ToUpper(p.Verdict), strings.Join(p.Why, "; "))
	fmt.Fprintf(w, "\nMove: %s\n", strings.Join(p.What, "; "))
	fmt.Fprintf(w, "  %s read, %s written", size(p.BytesRead), size(p.BytesWritten))
	if p.BytesWAN > 0 {
		fmt.Fprintf(w, ", %s between sites", size(p.BytesWAN))
	}
	fmt.Fprintf(w, "\n  %s days at %s\n  %s kWh, with both generations running\n", whatif.Short(p.Days), p.Pace, whatif.Short(p.KWhMove))
	if p.NinesDuring != nil {
		fmt.Fprintf(w, "  nines a year: %.1f today, %.1f on the way, %.1f then (disks, bursts and disasters)\n", p.NinesFrom.Typical, p.NinesDuring.Typical, p.NinesTo.Typical)
	}
	fmt.Fprintf(w, "\nBought: %s kg CO2e", whatif.Short(p.KgBought))
	switch {
	case p.EURBought == nil:
		fmt.Fprint(w, "; no price was given (--price-drive or --price-tb)")
	case p.EURBought.Typical > 0:
		fmt.Fprintf(w, ", %s euro", whatif.Short(*p.EURBought))
	}
	fmt.Fprintf(w, "; drives owned already are sunk, %.0f kg of them written off\n", p.KgOff)
	fmt.Fprintf(w, "Saved a year: %s kWh", whatif.Short(p.KWhSaved))
	if p.KgSaved != nil {
		fmt.Fprintf(w, ", %s kg CO2e", whatif.Short(*p.KgSaved))
	}
	if p.EURSaved != nil {
		fmt.Fprintf(w, ", %s euro", whatif.Short(*p.EURSaved))
	}
	fmt.Fprint(w, "\n\n")
	t := newTable("pays back", "on", "between", "and")
	for _, x := range []struct {
		name string
		b    *importer.BreakEven
	}{{"energy", p.BreakEven.Energy}, {"carbon", p.BreakEven.Carbon}, {"money", p.BreakEven.Money}} {
		switch {
		case x.b != nil:
			t.AppendRow([]any{x.name, x.b.Date, x.b.Earliest, x.b.Latest})
		case x.name == "money" && p.EURBought == nil:
			t.AppendRow([]any{x.name, "no price given", "", ""})
		default:
			t.AppendRow([]any{x.name, "never", "", ""})
		}
	}
	show(w, t)
	if p.FullIn != nil {
		fmt.Fprintf(w, "full in %.1f years at %.0f %% growth\n", *p.FullIn, 100*p.Growth)
	}
	fmt.Fprintf(w, "not counted: %s\n", strings.Join(p.Not, ", "))
	fmt.Fprintf(w, "\nBy hand, with the cluster's own tools (nothing was run):\n")
	for _, s := range p.Steps {
		fmt.Fprintf(w, "  %s\n", s)
	}
}
