package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/cluster"
)

// errDanger is the outcome of a look that found data at risk.
var errDanger = errors.New("data is at risk")

func doctorCommand() *cli.Command {
	return &cli.Command{
		Name: "doctor", Usage: "look for unsafe settings and neglected care", Category: "cluster",
		Description: "Failure domains that are one, no spare, no backup, no scrub, clock jumps, files that others may\n" +
			"read. No shard is read. Exit code 1 when something puts data at risk now.\n\n" + examples("wattle doctor", "wattle doctor --json | jq '.[] | select(.level == \"danger\")'"),
		Action: func(c *cli.Context) error {
			if err := arguments(c, 0, 0, "no arguments"); err != nil {
				return err
			}
			e := envOf(c)
			return e.with(c.Context, true, func(cl *cluster.Cluster) error {
				list, err := cl.Doctor(c.Context, time.Now())
				if err != nil {
					return err
				}
				return showAdvice(e, list)
			})
		},
	}
}

func showAdvice(e *env, list []cluster.Advice) error {
	dangers := 0
	for _, a := range list {
		if a.Level == cluster.AdviceDanger {
			dangers++
		}
		if !e.json {
			fmt.Fprintf(e.out, "%-8s %s\n         %s\n", a.Level, a.What, a.Do)
		}
	}
	if e.json {
		if list == nil {
			list = []cluster.Advice{}
		}
		if err := e.document(list); err != nil {
			return err
		}
	} else if len(list) == 0 {
		fmt.Fprintln(e.out, "nothing to say")
	}
	if dangers > 0 {
		return fmt.Errorf("%s: %w", count(dangers, "finding"), errDanger)
	}
	return nil
}
