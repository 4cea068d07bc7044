package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/cluster"
)

func repairCommand() *cli.Command {
	return &cli.Command{
		Name: "repair", Usage: "make lost and damaged shards anew", Category: "cluster",
		Description: examples("wattle repair", "wattle restore site site2 && wattle repair"),
		Action: func(c *cli.Context) error {
			if err := arguments(c, 0, 0, "no arguments"); err != nil {
				return err
			}
			e := envOf(c)
			return e.with(c.Context, false, func(cl *cluster.Cluster) error { return runRepair(c.Context, e, cl) })
		},
	}
}

func runRepair(ctx context.Context, e *env, cl *cluster.Cluster) error {
	b := e.bar("repair", 0)
	r, err := cl.Repair(ctx, b.set)
	b.done()
	if err != nil {
		return err
	}
	if e.json {
		err = e.document(r)
	} else {
		showRepair(e.out, r)
	}
	if err != nil {
		return err
	}
	return repairOutcome(r)
}

func showRepair(w io.Writer, r cluster.RepairReport) {
	fmt.Fprintf(w, "repaired %s: %s made anew, %s read, %s written in %s\n", count(int(r.Stripes), "stripe"), count(int(r.Shards), "shard"),
		size(r.BytesRead), size(r.BytesWrite), r.Elapsed.Round(time.Millisecond))
}

func repairOutcome(r cluster.RepairReport) error {
	switch {
	case r.Lost > 0:
		return fmt.Errorf("%s beyond repair, in %s: %w", count(int(r.Lost), "stripe"), shorten(r.LostKeys, 5), cluster.ErrDataLost)
	case r.Left > 0:
		return fmt.Errorf("%s: %w: no sound disk within the rule can take their shards; restore or add disks", count(int(r.Left), "stripe"), errDegraded)
	}
	return nil
}
