package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/cluster"
	"github.com/wattle-storage/wattle/energy"
	"github.com/wattle-storage/wattle/placement"
)

func energyCommand() *cli.Command {
	return &cli.Command{
		Name: "energy", Usage: "say what the cluster's drives draw, and what replication would", Category: "energy",
		Description: "First what the drives draw now, each at its profile's idle watts (a failed or missing one 0 W), and per terabyte;\nthen the ledger: what drives and coding have used since the cluster was made, by cause, bucket, user, site or drive.\n\n" +
			examples("wattle energy", "wattle energy --by bucket", "wattle energy --by bucket --spread-unallocated", "wattle energy --by user", "wattle energy --explain", "wattle energy --set spin-down=53m",
				"wattle energy --set gap=all --set core-watts=6", "wattle energy --measure 2s", "wattle energy --json | jq '.ledger.by.bucket'"),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "by", Usage: "only the ledger, by `KEY`: cause, bucket, user, site or drive"},
			&cli.BoolFlag{Name: "spread-unallocated", Usage: "let buckets bear what no bucket holds, in proportion to what they bear"},
			&cli.BoolFlag{Name: "explain", Usage: "show formulas, inputs and sources"},
			&cli.StringSliceFlag{Name: "set", Usage: "count otherwise from now on: `NAME=VALUE`, spin-down=never|TIME (modelled drives stop so long after their last I/O), gap=all|none|TIME (at most so much of a time in which nobody opened the cluster), core-watts=W|default"},
			&cli.DurationFlag{Name: "measure", Usage: "read the machine's own meters (RAPL, hwmon) over a `TIME`, beside the model"},
		},
		Action: func(c *cli.Context) error {
			if err := arguments(c, 0, 0, "no arguments"); err != nil {
				return err
			}
			by := c.String("by")
			if by != "" && !slices.Contains(groupings, by) {
				return usage("--by %s: want cause, bucket, user, site or drive", by)
			}
			if d := c.Duration("measure"); d < 0 || d > time.Hour {
				return usage("--measure %s: want up to an hour", d)
			}
			var changed energy.Settings
			for _, s := range c.StringSlice("set") {
				if err := applySetting(&changed, s); err != nil {
					return err
				}
			}
			e := envOf(c)
			return e.with(c.Context, !c.IsSet("set"), func(cl *cluster.Cluster) error { return runEnergy(c, e, cl, by) })
		},
	}
}

func runEnergy(c *cli.Context, e *env, cl *cluster.Cluster, by string) error {
	if list := c.StringSlice("set"); len(list) > 0 {
		err := cl.SetLedger(func(s *energy.Settings) {
			for _, text := range list {
				_ = applySetting(s, text) // it was tried before
			}
		})
		if err != nil {
			return err
		}
	}
	r, err := energyReport(c.Context, cl)
	if err != nil {
		return err
	}
	if r.Ledger, err = ledgerReport(c.Context, cl, c.Bool("spread-unallocated")); err != nil {
		return err
	}
	r.Measured = measure(c.Duration("measure"))
	if e.json {
		return e.document(r)
	}
	explain := c.Bool("explain")
	if by == "" {
		showEnergy(e.out, r, explain)
		fmt.Fprintln(e.out)
		by = "cause"
	}
	showLedger(e.out, r.Ledger, by)
	if c.String("by") == "" || explain || c.IsSet("set") {
		showStates(e.out, r.Ledger)
	}
	if c.String("by") == "" || c.IsSet("measure") {
		showMeasured(e.out, r.Measured)
	}
	if explain {
		explainLedger(e.out, r.Ledger)
	}
	return nil
}

// An energyAnswer compares the cluster with three copies on the same drives.
type energyAnswer struct {
	Scheme      string         `json:"scheme"`
	State       string         `json:"state"`
	Fill        float64        `json:"fill"` // share of the usable bytes in use
	Account     energy.Account `json:"account"`
	Replica     replica        `json:"replica"`
	Ratio       float64        `json:"ratio"` // W per usable TB, scheme over replica
	Off         int            `json:"drives_off"`
	Comparisons []technology   `json:"technologies"`

	Ledger   ledgerAnswer      `json:"ledger"`
	Measured []energy.Measured `json:"measured"`
}

// A replica is the same drives holding three copies.
type replica struct {
	Scheme       string  `json:"scheme"`
	UsableBytes  int64   `json:"usable_bytes"`
	WPerUsableTB float64 `json:"w_per_usable_tb"`
	WPerStoredTB float64 `json:"w_per_stored_tb"`
}

// A technology is what all drives of it draw, and per terabyte.
type technology struct {
	Technology string  `json:"technology"`
	Drives     int     `json:"drives"`
	WPerDrive  float64 `json:"w_per_drive"`
	WPerRawTB  float64 `json:"w_per_raw_tb"`
}

func energyReport(ctx context.Context, cl *cluster.Cluster) (energyAnswer, error) {
	r := energyAnswer{Scheme: cl.Scheme().String(), State: energy.Idle.String()}
	s, err := cl.Status(ctx)
	if err != nil {
		return r, err
	}
	var drives []energy.Drive
	states := cl.DiskStates()
	for _, site := range s.Sites {
		for _, d := range site.Disks {
			state := energy.Idle
			if st := states[placement.DiskID(d.ID)]; st == "failed" || st == "missing" {
				state = energy.Off
				r.Off++
			}
			drives = append(drives, energy.Drive{Site: site.Name, Profile: d.Profile, Capacity: d.Capacity, State: state})
		}
	}
	if r.Account, err = energy.Plain(drives, s.UsableBytes, s.StoredBytes); err != nil {
		return r, err
	}
	if s.UsableBytes > 0 {
		r.Fill = float64(s.StoredBytes) / float64(s.UsableBytes)
	}
	const copies = 3
	r.Replica = replica{Scheme: "replica:3", UsableBytes: s.CapacityBytes / copies}
	w := energy.Watts(r.Account.Watts)
	r.Replica.WPerUsableTB = w.PerTB(r.Replica.UsableBytes)
	if r.Fill > 0 { // equally full: the same share of what is usable
		r.Replica.WPerStoredTB = r.Replica.WPerUsableTB / r.Fill
	}
	r.Ratio = s.Overhead / copies
	r.Comparisons, err = technologies(drives)
	return r, err
}

func technologies(drives []energy.Drive) ([]technology, error) {
	var list []technology
	raw := map[string]int64{}
	for _, d := range drives {
		p, err := energy.Lookup(d.Profile)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(list, func(t technology) bool { return t.Technology == p.Technology })
		if i < 0 {
			i = len(list)
			list = append(list, technology{Technology: p.Technology})
		}
		list[i].Drives++
		list[i].WPerDrive += float64(p.Watts(energy.Idle))
		raw[p.Technology] += d.Capacity
	}
	for i := range list {
		t := &list[i]
		t.WPerRawTB = energy.Watts(t.WPerDrive).PerTB(raw[t.Technology])
		t.WPerDrive /= float64(t.Drives)
	}
	return list, nil
}

func showEnergy(w io.Writer, r energyAnswer, explain bool) {
	a := r.Account
	fmt.Fprintf(w, "%s for %d drives, %.0f kWh a year (boundary: %ss alone, %s)\n", energy.Watts(a.Watts), a.Drives, a.KWhPerYear, a.Boundary, r.State)
	if r.Off > 0 {
		fmt.Fprintf(w, "%s out of service and counted as 0 W\n", count(r.Off, "drive"))
	}
	fmt.Fprintln(w)
	t := newTable("site", "drives", "W", "W/TB raw")
	for _, s := range a.BySite {
		t.AppendRow([]any{s.Name, s.Drives, fmt.Sprintf("%.1f", s.Watts), fmt.Sprintf("%.3f", s.WPerTB)})
	}
	show(w, t)
	fmt.Fprintln(w)
	t = newTable("profile", "drives", "W", "W/TB raw", "status")
	for _, s := range a.ByProfile {
		t.AppendRow([]any{s.Name, s.Drives, fmt.Sprintf("%.1f", s.Watts), fmt.Sprintf("%.3f", s.WPerTB), s.Status})
	}
	show(w, t)
	fmt.Fprintln(w)
	t = newTable("per terabyte, same drives", r.Scheme, r.Replica.Scheme)
	row := func(name string, x, y float64) {
		t.AppendRow([]any{name, fmt.Sprintf("%.3f W", x), fmt.Sprintf("%.3f W", y)})
	}
	row("raw", a.WPerRawTB, a.WPerRawTB)
	row("usable", a.WPerUsableTB, r.Replica.WPerUsableTB)
	if a.StoredBytes > 0 {
		row(fmt.Sprintf("stored (%.4g %% full)", 100*r.Fill), a.WPerStoredTB, r.Replica.WPerStoredTB)
	}
	show(w, t)
	fmt.Fprintf(w, "\n%s draws %.3f of what %s would for each usable terabyte (%+.0f %%), by redundancy alone\n", r.Scheme, r.Ratio, r.Replica.Scheme, 100*(r.Ratio-1))
	for i, x := range r.Comparisons {
		for _, y := range r.Comparisons[i+1:] {
			lo, hi := x, y
			if lo.WPerRawTB > hi.WPerRawTB {
				lo, hi = hi, lo
			}
			fmt.Fprintf(w, "%s against %s: %.2f against %.2f W a drive (%+.0f %%), %.3f against %.3f W per raw TB (%+.0f %%)\n", lo.Technology, hi.Technology,
				lo.WPerDrive, hi.WPerDrive, 100*(lo.WPerDrive/hi.WPerDrive-1), lo.WPerRawTB, hi.WPerRawTB, 100*(lo.WPerRawTB/hi.WPerRawTB-1))
		}
	}
	if explain {
		explainEnergy(w, r)
	}
}

func explainEnergy(w io.Writer, r energyAnswer) {
	fmt.Fprintln(w, "\nwatts = sum over drives in service of the profile's idle watts")
	fmt.Fprintln(w, "W per raw TB = watts / raw capacity; usable = raw capacity / overhead of the scheme; stored = bytes of objects; TB = 1e12 bytes")
	fmt.Fprintf(w, "replica:3 on the same drives: usable = raw capacity / 3, equally full; ratio = overhead / 3 = %.4f\n", r.Ratio)
	fmt.Fprintln(w, "not counted: servers, enclosures, power supplies, network, cooling; reads and writes beyond idle")
	for _, p := range r.Account.ByProfile {
		fmt.Fprintf(w, "%s: %s [%s]\n", p.Name, p.Source, p.Status)
	}
}
