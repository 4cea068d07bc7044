package main

import (
	"fmt"
	"io"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/energy"
)

func profilesCommand() *cli.Command {
	return &cli.Command{
		Name: "profiles", Usage: "list the drives whose power is known, with sources", Category: "energy", ArgsUsage: "[PROFILE...]",
		Description: "Lists all drives of which a document was read; with names, tells all states of these drives, also\nof recalled ones and with a capacity (helium-5w@8TB).\n\n" +
			examples("wattle profiles", "wattle profiles hgst-he6-6tb recall-hgst-he8-8tb", "wattle profiles --profiles mine.yaml", "wattle profiles --json"),
		Flags: []cli.Flag{&cli.StringFlag{Name: "profiles", Usage: "`FILE` of drive profiles of your own, YAML"}},
		Action: func(c *cli.Context) error {
			e := envOf(c)
			own, err := ownProfiles(c.String("profiles"))
			if err != nil {
				return usageError{err}
			}
			if c.NArg() > 0 {
				return detailProfiles(e, own, c.Args().Slice())
			}
			return listProfiles(e, append(own, energy.Profiles()...))
		},
	}
}

// ownProfiles reads and checks a user's drives; no file has none.
func ownProfiles(file string) ([]energy.Profile, error) {
	if file == "" {
		return nil, nil
	}
	return readProfiles(file)
}

func listProfiles(e *env, list []energy.Profile) error {
	t := newTable("id", "technology", "TB", "idle W", "active W", "standby W", "W/TB idle", "source")
	for _, p := range list {
		if e.json {
			if err := e.emit(p); err != nil {
				return err
			}
			continue
		}
		perTB := known(0)
		if p.CapacityTB > 0 && p.IdleW > 0 {
			perTB = fmt.Sprintf("%.3f", p.IdleW/p.CapacityTB)
		}
		t.AppendRow(table.Row{p.ID, p.Technology, known(p.CapacityTB), known(p.IdleW), known(p.ActiveW), known(p.StandbyW), perTB, p.Source})
	}
	if !e.json {
		show(e.out, t)
	}
	return nil
}

// A profileDetail is a drive with what it draws in every state.
type profileDetail struct {
	energy.Profile
	States  map[string]energy.Estimate `json:"states"`
	Warning string                     `json:"warning,omitempty"`
}

var shownStates = []energy.State{energy.Idle, energy.IdleA, energy.IdleB, energy.IdleC, energy.Active, energy.RandomWrite, energy.Sequential,
	energy.SequentialWrite, energy.Standby, energy.SpinUp}

func detailProfiles(e *env, own []energy.Profile, names []string) error {
	for i, name := range names {
		p, err := energy.Find(own, name)
		if err != nil {
			return usageError{err}
		}
		d := profileDetail{p, map[string]energy.Estimate{}, p.Warning()}
		for _, s := range shownStates {
			d.States[s.String()] = p.Estimate(s)
		}
		if e.json {
			if err := e.emit(d); err != nil {
				return err
			}
			continue
		}
		if i > 0 {
			fmt.Fprintln(e.out)
		}
		showProfile(e.out, d)
	}
	return nil
}

func showProfile(w io.Writer, d profileDetail) {
	fmt.Fprintf(w, "%s: %s %s, %s, %s TB\n", d.ID, d.Vendor, d.Model, d.Technology, known(d.CapacityTB))
	t := newTable("state", "W", "low", "high", "status", "source")
	for _, s := range shownStates {
		x := d.States[s.String()]
		t.AppendRow(table.Row{s.String(), energy.Four(x.Typical), energy.Four(x.Low), energy.Four(x.High), string(x.Status), x.Source})
	}
	show(w, t)
	fmt.Fprintf(w, "source: %s\n", d.Source)
	if d.Note != "" {
		fmt.Fprintf(w, "note: %s\n", d.Note)
	}
	if d.Warning != "" {
		fmt.Fprintf(w, "warning: %s\n", d.Warning)
	}
}

// known prints a figure, or nothing when it is not known.
func known(v float64) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf("%.4g", v)
}
