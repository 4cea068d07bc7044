package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/cluster"
	"github.com/wattle-storage/wattle/energy"
	"github.com/wattle-storage/wattle/placement"
)

func energyCommand() *cli.Command {
	return &cli.Command{
		Name: "energy", Usage: "say what the cluster's drives draw, and what replication would", Category: "energy",
		Description: "Counts the drives alone, each at its profile's idle watts; a failed or missing drive counts 0 W.\n\n" + examples("wattle energy", "wattle energy --explain", "wattle energy --json"),
		Flags:       []cli.Flag{&cli.BoolFlag{Name: "explain", Usage: "show formulas, inputs and sources"}},
		Action: func(c *cli.Context) error {
			if err := arguments(c, 0, 0, "no arguments"); err != nil {
				return err
			}
			e := envOf(c)
			return e.with(c.Context, true, func(cl *cluster.Cluster) error {
				r, err := energyReport(c.Context, cl)
				if err != nil {
					return err
				}
				if e.json {
					return e.document(r)
				}
				showEnergy(e.out, r, c.Bool("explain"))
				return nil
			})
		},
	}
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
