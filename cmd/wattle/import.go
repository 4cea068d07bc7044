package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/energy"
	"github.com/wattle-storage/wattle/importer"
	"github.com/wattle-storage/wattle/whatif"
)

func importCommand() *cli.Command {
	return &cli.Command{
		Name: "import", Usage: "read what a cluster says of itself: its watts, and what would change them most", Category: "energy", ArgsUsage: "FILE…",
		Description: "Reads ceph report, ceph osd tree|df|metadata|dump, ceph df (as JSON), mc admin info --json (MinIO, RustFS),\n" +
			"smartctl -x --json, lsblk -J, and CSV of drives (model,count,capacity; or a log by day); also packed with gzip,\n" +
			"and directories of them, one a host. Several files add up to one cluster. Names of hosts, racks, sites and\n" +
			"pools, addresses and serial numbers are not kept.\n\n" + examples(
			"wattle import report.json",
			"wattle import tree.json df.json metadata.json --scenario cluster.yaml --topology disks.yaml",
			"wattle import smart/ --scheme rs:4+2 --stored 60TB --pue 1.3 --country DE --price-kwh 0.24",
			"wattle import info.json --html answer.html"),
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "keep-names", Usage: "keep the names of hosts, racks, sites and pools"},
			&cli.StringFlag{Name: "scheme", Usage: "redundancy `SCHEME` of pools that do not tell theirs"},
			&cli.StringFlag{Name: "stored", Usage: "`SIZE` that users store, where the dump does not tell"},
			&cli.StringFlag{Name: "scenario", Usage: "write the cluster as a scenario for wattle whatif to `FILE`"},
			&cli.StringFlag{Name: "topology", Usage: "write its drives as a topology for wattle init to `FILE`"},
			&cli.StringFlag{Name: "html", Usage: "write the answer to `FILE`, one page that opens offline"},
			&cli.StringFlag{Name: "unknown", Usage: "write a template for drives of which no figures were read to `FILE`"},
		}, clusterFlags()...),
		Action: func(c *cli.Context) error {
			if err := arguments(c, 1, -1, "files, such as the output of `ceph report`"); err != nil {
				return err
			}
			e := envOf(c)
			f, s, err := imported(c, c.Args().Slice())
			if err != nil {
				return usageError{err}
			}
			return runImport(e, c, f, s)
		},
	}
}

// runImport answers, and writes the files that were asked for.
func runImport(e *env, c *cli.Context, f *importer.Found, s whatif.Scenario) error {
	a, err := f.First(s)
	if err != nil {
		return asUsage(err)
	}
	if name := c.String("scenario"); name != "" {
		text, err := f.ScenarioYAML(s)
		if err != nil {
			return err
		}
		if err := replaceFile(name, text); err != nil {
			return err
		}
	}
	if name := c.String("topology"); name != "" {
		if err := replaceFile(name, f.TopologyYAML()); err != nil {
			return err
		}
	}
	if name := c.String("unknown"); name != "" {
		if err := replaceFile(name, f.UnknownYAML()); err != nil {
			return err
		}
	}
	if name := c.String("html"); name != "" {
		var page bytes.Buffer
		if err := a.HTML(&page); err != nil {
			return err
		}
		if err := replaceFile(name, page.Bytes()); err != nil {
			return err
		}
	}
	if e.json {
		return e.document(a)
	}
	showImport(e.out, a)
	return nil
}

// clusterFlags say of a cluster what its dumps do not.
func clusterFlags() []cli.Flag {
	list := []cli.Flag{
		&cli.StringFlag{Name: "pue", Usage: "PUE of the building, as `RANGE`: a number or LOW/TYPICAL/HIGH"},
		&cli.StringFlag{Name: "grid", Usage: "carbon intensity in g/kWh, as `RANGE`"},
	}
	for _, f := range whatifFlags {
		if slices.Contains(importFlags, f.name) {
			list = append(list, &cli.StringFlag{Name: f.name, Usage: f.usage})
		}
	}
	return list
}

// importFlags are the flags of whatif that say something of a cluster as it is.
var importFlags = []string{"slot", "boundary", "reads", "writes", "read-size", "write-size", "peak", "iops", "mb-s", "afr", "server-w", "nic-w", "psu", "psu-load", "switch-w", "rack-kw",
	"fixed-w", "proportional", "erf", "ref", "wue", "country", "grid-source", "market", "embodied", "kg-per-drive", "kg-per-tb", "server-kg", "life",
	"price-kwh", "price-drive", "price-tb", "price-server", "profiles"}

// imported reads files and makes a scenario of them and the flags.
func imported(c *cli.Context, args []string) (*importer.Found, whatif.Scenario, error) {
	files, err := inputFiles(args, c.App.Reader)
	if err != nil {
		return nil, whatif.Scenario{}, err
	}
	f, err := importer.Read(files, importer.Options{KeepNames: c.Bool("keep-names")})
	if err != nil {
		return nil, whatif.Scenario{}, err
	}
	stored := whatif.Terabytes(0)
	if text := c.String("stored"); text != "" {
		if stored, err = whatif.ParseTerabytes(text); err != nil {
			return nil, whatif.Scenario{}, fmt.Errorf("--stored: %w", err)
		}
	}
	if !(stored >= 0 && stored < 1e6) {
		return nil, whatif.Scenario{}, fmt.Errorf("--stored: %v TB: want more than nothing and less than 1 EB", float64(stored))
	}
	if err := f.Assume(c.String("scheme"), int64(float64(stored)*1e12)); err != nil {
		return nil, whatif.Scenario{}, err
	}
	s := f.Scenario()
	return f, s, overlay(c, f, &s)
}

// overlay lays the flags over a scenario.
func overlay(c *cli.Context, f *importer.Found, s *whatif.Scenario) error {
	for _, x := range []struct {
		name string
		at   **whatif.Range
	}{{"pue", &s.Facility.PUE}, {"grid", &s.Carbon.GPerKWh}, {"slot", &s.Server.SlotW}} {
		if text := c.String(x.name); text != "" {
			r, err := whatif.ParseRange(text)
			if err != nil {
				return fmt.Errorf("--%s: %w", x.name, err)
			}
			*x.at = &r
		}
	}
	for _, x := range whatifFlags {
		if x.name != "slot" && slices.Contains(importFlags, x.name) && c.IsSet(x.name) {
			if err := x.set(s, c.String(x.name)); err != nil {
				return fmt.Errorf("--%s: %w", x.name, err)
			}
		}
	}
	f.Given(c.IsSet("price-kwh"), c.IsSet("reads") || c.IsSet("writes"), c.IsSet("country") || c.IsSet("grid"))
	return s.Validate()
}

// inputFiles lists the files of arguments; directories are walked, their first level names hosts.
func inputFiles(args []string, stdin io.Reader) (list []importer.File, err error) {
	for _, arg := range args {
		if arg == "-" {
			list = append(list, importer.File{Name: "stdin", Open: func() (io.ReadCloser, error) { return io.NopCloser(stdin), nil }})
			continue
		}
		info, err := os.Stat(arg)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			list = append(list, importer.File{Name: arg, Open: func() (io.ReadCloser, error) { return os.Open(arg) }})
			continue
		}
		err = filepath.WalkDir(arg, func(path string, d fs.DirEntry, err error) error {
			if err != nil || strings.HasPrefix(d.Name(), ".") && path != arg {
				if d != nil && d.IsDir() && err == nil {
					return fs.SkipDir
				}
				return err
			}
			if !d.Type().IsRegular() {
				return nil
			}
			if len(list) >= importer.MaxFiles {
				return fmt.Errorf("%s: more than %d files", arg, importer.MaxFiles)
			}
			host := ""
			if rel, err := filepath.Rel(arg, path); err == nil && strings.ContainsRune(rel, filepath.Separator) {
				host, _, _ = strings.Cut(rel, string(filepath.Separator))
			}
			list = append(list, importer.File{Name: path, Host: host, Open: func() (io.ReadCloser, error) { return os.Open(path) }})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s: no files there", strings.Join(args, " "))
	}
	return list, nil
}

// replaceFile writes a file, or nothing of it.
func replaceFile(name string, text []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(name), ".wattle-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if _, err = tmp.Write(text); err == nil {
		err = tmp.Chmod(0o644)
	}
	if e := tmp.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), name)
}

// showImport prints the first answer: what stands, what it draws, what would change that.
func showImport(w io.Writer, a *importer.Answer) {
	showFound(w, a.Found)
	showDraw(w, a)
	showLevers(w, a)
	if len(a.Findings) > 0 {
		fmt.Fprintln(w, "\nSafety")
		for _, f := range a.Findings {
			fmt.Fprintf(w, "  %-8s %s\n           %s; do: %s\n", f.Level, f.What, f.Why, f.Do)
		}
	}
	showNotes(w, "Guessed", a.Guessed)
	showNotes(w, "Missing", a.Missing)
}

func showNotes(w io.Writer, title string, list []importer.Note) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", title)
	for i, n := range list {
		if i == 12 {
			fmt.Fprintf(w, "  and %d more: --json lists them\n", len(list)-i)
			break
		}
		fmt.Fprintf(w, "  %s\n", n)
	}
}

func showFound(w io.Writer, f *importer.Found) {
	hosts, racks := 0, 0
	for _, s := range f.Sites {
		hosts, racks = hosts+s.Hosts, racks+s.Racks
	}
	fmt.Fprintf(w, "%s: %s in %s, %s, %s\n", strings.TrimSpace(f.System+" "+f.Version), count(f.DriveCount(), "drive"), count(hosts, "server"), count(racks, "rack"), count(len(f.Sites), "site"))
	c := f.Sizes
	fmt.Fprintf(w, "%s raw", size(c.Raw))
	if c.Used > 0 {
		fmt.Fprintf(w, ", %s (%s) in use", size(c.Used), percent(c.Used, c.Raw))
	}
	if c.Stored > 0 {
		fmt.Fprintf(w, "; %s stored", size(c.Stored))
	}
	if c.Usable > 0 {
		fmt.Fprintf(w, " of %s usable", size(c.Usable))
	}
	fmt.Fprint(w, "\n\n")
	t := newTable("drives", "model", "TB", "turns in", "for", "watts by")
	for _, b := range f.Fleet {
		tb := ""
		if b.Bytes > 0 {
			tb = fmt.Sprintf("%.4g", float64(b.Bytes)/1e12)
		}
		t.AppendRow([]any{b.Count, orDash(b.Model), tb, b.Technology, b.Role, b.How})
	}
	show(w, t)
	if len(f.Pools) == 0 {
		return
	}
	fmt.Fprintln(w)
	t = newTable("pool", "scheme", "stored", "apart by", "PGs", "min_size")
	for _, p := range f.Pools {
		t.AppendRow([]any{p.Name, orDash(p.Scheme), size(p.Stored), orDash(p.Domain), blank(p.PGs), blank(p.MinSize)})
	}
	show(w, t)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func blank(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

// showDraw prints absolute figures first, then those for a terabyte, then what they rest on.
func showDraw(w io.Writer, a *importer.Answer) {
	o := a.Answer
	fmt.Fprintf(w, "\nA year: %s kWh", whatif.Short(o.KWhPerYear))
	if o.KgLocation != nil {
		fmt.Fprintf(w, ", %s t CO2e", whatif.Short(scaled(*o.KgLocation, 1e-3)))
	}
	if o.EUREnergy != nil {
		fmt.Fprintf(w, ", %s euro", whatif.Short(*o.EUREnergy))
	}
	fmt.Fprintf(w, "\n%s W (boundary: %s), %s W a raw TB", whatif.Short(o.Watts), a.Report.Boundary, whatif.Short(o.WPerRawTB))
	if a.Found.Known() {
		fmt.Fprintf(w, ", %s a usable TB, %s a stored TB", whatif.Short(o.WPerUsableTB), whatif.Short(o.WPerStoredTB))
		fmt.Fprintf(w, "\nsurvives %s", tolerance(a.Found))
		if o.NinesDisasters != nil {
			fmt.Fprintf(w, ", %.1f nines a year (disks, bursts, disasters)", o.NinesDisasters.Typical)
		}
		fmt.Fprintf(w, "; %.0f %% full of what the reserve of %.0f %% leaves", 100*o.Fill, 100*o.Reserve)
	}
	fmt.Fprintf(w, "\n%.0f %% of the watts rest on defaults, %.0f %% on figures of other drives, %.0f %% on figures that were read or given\n",
		100*a.Evidence[string(energy.Default)], 100*a.Evidence[string(energy.Model)], 100*(1-a.Evidence[string(energy.Default)]-a.Evidence[string(energy.Model)]))
	if adv := a.Report.Advice; adv != nil && len(adv.Measure) > 0 {
		var names []string
		for _, m := range adv.Measure {
			names = append(names, m.Input)
		}
		fmt.Fprintf(w, "worth measuring: %s\n", strings.Join(names, ", "))
	}
}

func scaled(e whatif.Estimate, by float64) whatif.Estimate {
	e.Low, e.Typical, e.High = e.Low*by, e.Typical*by, e.High*by
	return e
}

func tolerance(f *importer.Found) string {
	t := f.Survives()
	s := fmt.Sprintf("the loss of any %s", count(t.Left, "drive"))
	if t.Sites > 0 {
		s = fmt.Sprintf("the loss of any %s and then %s", count(t.Sites, "site"), count(t.Left, "drive"))
	}
	return s + " (its weakest pool)"
}

func showLevers(w io.Writer, a *importer.Answer) {
	fmt.Fprintf(w, "\n%s\n", upperFirst(a.Verdict))
	for i, l := range a.Levers {
		fmt.Fprintf(w, "\n%d. %s: %s\n", i+1, l.Name, l.What)
		fmt.Fprintf(w, "   x %s alone (%s)", whatif.Short(l.Factor), l.Verdict)
		if i > 0 {
			fmt.Fprintf(w, ", x %s with those above", whatif.Short(*l.Joint))
		}
		fmt.Fprintf(w, "; leaves %s, %s", count(l.Servers, "server"), count(l.Drives, "drive"))
		fmt.Fprintf(w, "\n   saves %s kWh", whatif.Short(l.KWh))
		if l.Kg != nil {
			fmt.Fprintf(w, ", %s t CO2e", whatif.Short(scaled(*l.Kg, 1e-3)))
		}
		if l.EUR != nil {
			fmt.Fprintf(w, ", %s euro", whatif.Short(*l.EUR))
		}
		fmt.Fprintf(w, " a year\n   needs: %s\n   breaks: %s\n", strings.Join(l.Needs, "; "), strings.Join(l.Breaks, "; "))
	}
	if len(a.Levers) > 1 {
		fmt.Fprintf(w, "\nThe factors multiply to %.3f; worked out together they give %s.\n", a.Product, whatif.Short(*a.Joint))
	}
	for _, l := range a.Others {
		fmt.Fprintf(w, "   also %s (%s): x %s alone; %s\n", l.Name, l.What, whatif.Short(l.Factor), l.Why)
	}
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
