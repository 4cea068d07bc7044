package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/energy"
)

func profilesCommand() *cli.Command {
	return &cli.Command{
		Name: "profiles", Usage: "list the drives whose power is known, with sources", Category: "energy", Description: examples("wattle profiles", "wattle profiles --json"),
		Action: func(c *cli.Context) error {
			e := envOf(c)
			list := energy.Profiles()
			t := newTable("id", "technology", "TB", "idle W", "active W", "standby W", "W/TB idle", "source")
			for _, p := range list {
				if e.json {
					if err := e.emit(p); err != nil {
						return err
					}
				}
				perTB := known(0)
				if p.CapacityTB > 0 && p.IdleW > 0 {
					perTB = fmt.Sprintf("%.3f", p.IdleW/p.CapacityTB)
				}
				t.AppendRow([]any{p.ID, p.Technology, known(p.CapacityTB), known(p.IdleW), known(p.ActiveW), known(p.StandbyW), perTB, p.Source})
			}
			if !e.json {
				show(e.out, t)
			}
			return nil
		},
	}
}

// known prints a figure, or nothing when it is not known.
func known(v float64) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf("%.4g", v)
}
