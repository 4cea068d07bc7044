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
		Description: "The most endangered stripes come first. A disk that was away is read before its shards are\n" +
			"trusted again. What was done stays done when it is interrupted.\n\n" +
			examples("wattle repair", "wattle restore site site2 && wattle repair", "wattle repair --rate 100MB", "wattle repair --allow-misplaced"),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "rate", Usage: "read and write at most `BYTES` a second, over all disks"},
			&cli.BoolFlag{Name: "allow-misplaced", Usage: "where no other disk is left, put shards where the rule does not allow them (a site is gone for good)"},
		},
		Action: func(c *cli.Context) error {
			if err := arguments(c, 0, 0, "no arguments"); err != nil {
				return err
			}
			o := cluster.RepairOptions{AllowMisplaced: c.Bool("allow-misplaced")}
			var err error
			if o.Rate, err = rate(c.String("rate")); err != nil {
				return err
			}
			e := envOf(c)
			return e.withUpkeep(c.Context, func(cl upkeeper) error { return runRepair(c.Context, e, cl, o) })
		},
	}
}

func runRepair(ctx context.Context, e *env, cl upkeeper, o cluster.RepairOptions) error {
	b := e.bar("repair", 0)
	o.Progress = b.set
	r, err := cl.RepairWith(ctx, o)
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
	fmt.Fprintf(w, "repaired %s: %s made anew, %s read, %s written in %s, about %d J in the drives\n", count(int(r.Stripes), "stripe"), count(int(r.Shards), "shard"),
		size(r.BytesRead), size(r.BytesWrite), r.Elapsed.Round(time.Millisecond), r.Joules)
	if len(r.Checked) > 0 {
		fmt.Fprintf(w, "back after an absence and read: %s; %s sound\n", shorten(r.Checked, 5), count(int(r.Kept), "shard"))
	}
	if r.Cured > 0 {
		fmt.Fprintf(w, "%s moved from where the rule does not allow them\n", count(int(r.Cured), "shard"))
	}
	if r.Misplaced > 0 {
		fmt.Fprintf(w, "%s put where the rule does not allow them, by wish\n", count(int(r.Misplaced), "shard"))
	}
}

func repairOutcome(r cluster.RepairReport) error {
	switch {
	case r.Lost > 0:
		return fmt.Errorf("%s beyond repair, in %s: %w", count(int(r.Lost), "stripe"), shorten(r.LostKeys, 5), cluster.ErrDataLost)
	case r.Left > 0:
		return fmt.Errorf("%s: %w: no sound disk within the rule can take their shards; restore or add disks, or give up the rule with --allow-misplaced", count(int(r.Left), "stripe"), errDegraded)
	}
	return nil
}
