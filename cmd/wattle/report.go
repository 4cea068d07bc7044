package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/importer"
)

func reportCommand() *cli.Command {
	return &cli.Command{
		Name: "report", Usage: "fill in a sheet for auditors", Category: "energy", ArgsUsage: "eed FILE…",
		Description: "FILEs are those of wattle import. Each data point has its value, unit, method and source; what is missing is\n" +
			"listed. A split by bucket sums to the meter, to the watt-hour.\n\n" + examples(
			"wattle report eed report.json --kwh 61200 --pue 1.32 --country FR",
			"wattle report eed report.json --bill bill.csv --market 20=contract-2026 --html sheet.html",
			"wattle report eed drives.csv --scheme rs:8+3 --stored 4PB --csv",
			"wattle report eed info.json --buckets buckets.csv --by-requests 0.2 --json"),
		Flags: append([]cli.Flag{
			&cli.IntFlag{Name: "year", Usage: "`YEAR` of the report; default the last one that is over"},
			&cli.Float64Flag{Name: "kwh", Usage: "`KWH` metered in the year"},
			&cli.StringFlag{Name: "bill", Usage: "`FILE` of metered periods, CSV: period_start,period_end,kwh[,cost,currency]"},
			&cli.BoolFlag{Name: "at-facility", Usage: "the meter counts the building's losses too, not the IT alone"},
			&cli.StringFlag{Name: "buckets", Usage: "`FILE` of buckets for the split, CSV: bucket,bytes[,tenant,overhead,requests]"},
			&cli.Float64Flag{Name: "by-requests", Usage: "`PART` of the energy, 0 to 1, that is split by the buckets' requests, the rest being by raw bytes held"},
			&cli.BoolFlag{Name: "spread", Usage: "give what is allocated to nobody to the buckets"},
			&cli.BoolFlag{Name: "keep-names", Usage: "keep the names of files"},
			&cli.StringFlag{Name: "scheme", Usage: "redundancy `SCHEME` of pools that do not tell theirs"},
			&cli.StringFlag{Name: "stored", Usage: "`SIZE` that users store, where the dump does not tell"},
			&cli.BoolFlag{Name: "csv", Usage: "answer in CSV"}, &cli.BoolFlag{Name: "markdown", Usage: "answer in Markdown"},
			&cli.StringFlag{Name: "html", Usage: "write one page to `FILE`"},
		}, clusterFlags()...),
		Action: func(c *cli.Context) error {
			args := c.Args().Slice()
			if len(args) == 0 || args[0] != "eed" {
				return usage("report: want the sheet's name, eed, and files; see `wattle report --help`")
			}
			if len(args) < 2 {
				return usage("report eed: want files, such as the output of `ceph report`")
			}
			return runReport(envOf(c), c, args[1:], time.Now())
		},
	}
}

func runReport(e *env, c *cli.Context, files []string, now time.Time) error {
	facts, err := factsOf(c, now)
	if err != nil {
		return usageError{err}
	}
	f, s, err := imported(c, files)
	if err != nil {
		return usageError{err}
	}
	sheet, err := f.Sheet(s, facts)
	if err != nil {
		return asUsage(err)
	}
	if name := c.String("html"); name != "" {
		var page bytes.Buffer
		if err := sheet.HTML(&page); err != nil {
			return err
		}
		if err := replaceFile(name, page.Bytes()); err != nil {
			return err
		}
	}
	switch {
	case e.json:
		return e.document(sheet)
	case c.Bool("csv"):
		return sheet.CSV(e.out)
	case c.Bool("markdown"):
		sheet.Markdown(e.out)
		return nil
	}
	showSheet(e.out, sheet)
	return nil
}

// factsOf reads what the dump cannot tell.
func factsOf(c *cli.Context, now time.Time) (facts importer.Facts, err error) {
	facts.Year, facts.Spread, facts.ByRequests = c.Int("year"), c.Bool("spread"), c.Float64("by-requests")
	if !(facts.ByRequests >= 0 && facts.ByRequests <= 1) {
		return facts, fmt.Errorf("--by-requests %v: want a part from 0 to 1", facts.ByRequests)
	}
	if facts.Year == 0 {
		facts.Year = now.Year() - 1
	}
	if facts.Year < 2000 || facts.Year > 2200 {
		return facts, fmt.Errorf("--year %d: want a year", facts.Year)
	}
	if c.IsSet("kwh") && c.String("bill") != "" {
		return facts, fmt.Errorf("--kwh and --bill contradict one another: give one")
	}
	if c.IsSet("kwh") {
		v := c.Float64("kwh")
		if !(v > 0 && v < 1e12) {
			return facts, fmt.Errorf("--kwh %v: want the energy of the year", v)
		}
		facts.Meter = &importer.Meter{KWh: v, Facility: c.Bool("at-facility"), Source: "as given"}
	}
	if name := c.String("bill"); name != "" {
		if facts.Meter, err = readFile(name, func(r io.Reader) (*importer.Meter, error) { return importer.ReadBill(r, c.Bool("at-facility")) }); err != nil {
			return facts, err
		}
	}
	if name := c.String("buckets"); name != "" {
		if facts.Tenants, err = readFile(name, importer.ReadTenants); err != nil {
			return facts, err
		}
	}
	return facts, nil
}

// readFile reads a file by a reader; errors name it.
func readFile[T any](name string, read func(io.Reader) (T, error)) (T, error) {
	f, err := os.Open(name)
	if err != nil {
		var none T
		return none, err
	}
	defer f.Close()
	v, err := read(f)
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return v, err
}

func showSheet(w io.Writer, s *importer.Sheet) {
	fmt.Fprintf(w, "Storage, %d\n\n", s.Year)
	t := newTable("data point", "EED", "value", "unit", "method", "source")
	for _, f := range s.Fields {
		cell := f.Cells()
		v := orDash(cell[2])
		if cell[3] != cell[4] {
			v += fmt.Sprintf(" [%s–%s]", cell[3], cell[4])
		}
		t.AppendRow([]any{f.Label, f.Indicator, v, f.Unit, f.Method, clipTo(f.Source, 60)})
	}
	show(w, t)
	if len(s.Split) > 0 {
		fmt.Fprintln(w)
		sum := 0.0
		t = newTable("tenant", "bucket", "stored", "kWh", "kg CO2e")
		for _, x := range s.Split {
			name := x.Bucket
			if name == "" {
				name = "(unallocated)"
			}
			sum += x.KWh
			t.AppendRow([]any{x.Tenant, name, size(x.Bytes), fmt.Sprintf("%.3f", x.KWh), fmt.Sprintf("%.3f", x.Kg)})
		}
		t.AppendRow([]any{"", "sum", "", fmt.Sprintf("%.3f", sum), ""})
		show(w, t)
	}
	if len(s.Missing) > 0 {
		fmt.Fprintln(w, "\nMissing")
		for _, m := range s.Missing {
			fmt.Fprintf(w, "  %s\n", m)
		}
	}
	fmt.Fprintln(w, "\nNot answered of what Delegated Regulation (EU) 2024/1364 asks operators for")
	for _, line := range s.NotAnswered() {
		fmt.Fprintf(w, "  %s\n", line)
	}
	fmt.Fprintln(w, "\nInputs")
	for _, x := range s.Sources {
		fmt.Fprintf(w, "  %s, %s, sha256 %s\n", x.Name, x.Kind, x.SHA256)
	}
	fmt.Fprintf(w, "  model inputs %s\n", s.Digest)
	for _, r := range s.Remarks {
		fmt.Fprintf(w, "  %s\n", r)
	}
}

func clipTo(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
