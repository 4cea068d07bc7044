package main

import (
	"context"
	"fmt"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/cluster"
)

func standbyCommand() *cli.Command {
	return &cli.Command{
		Name: "standby", Usage: "keep a copy of the catalog ready in a second directory, or take over from it", ArgsUsage: "DIRECTORY", Category: "cluster",
		Description: "Copies the catalog, beside a server and all other work, whenever it changed, until it is interrupted.\n" +
			"With --promote it makes the catalog from the newest copy and from what the disks say of later\n" +
			"changes, and shuts out writers that still have the old one. `wattle serve --standby DIRECTORY`\n" +
			"follows from within the server.\n\n" +
			examples("wattle standby /mnt/other/wattle", "wattle standby --every 10s /mnt/other/wattle", "wattle standby --once /mnt/other/wattle", "wattle standby --promote /mnt/other/wattle"),
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: "every", Value: time.Minute, Usage: "copy no more often than every `TIME`"},
			&cli.BoolFlag{Name: "once", Usage: "make one copy and end"},
			&cli.BoolFlag{Name: "promote", Usage: "take over: the old catalog is gone, or must not be used any more"},
			&cli.BoolFlag{Name: "force", Usage: "with --promote: do without acknowledged changes that are on no disk that is there"},
		},
		Action: func(c *cli.Context) error {
			if err := arguments(c, 1, 1, "a directory"); err != nil {
				return err
			}
			e, every := envOf(c), c.Duration("every")
			switch {
			case c.Bool("promote") && (c.Bool("once") || c.IsSet("every")):
				return usage("--promote takes over; it goes with neither --once nor --every")
			case c.Bool("promote"):
				return runPromote(c.Context, e, c.Args().First(), c.Bool("force"))
			case c.Bool("force"):
				return usage("--force goes with --promote")
			case every < time.Second:
				return usage("--every %v: want a second or more", every)
			}
			return runStandby(c.Context, e, c.Args().First(), every, c.Bool("once"))
		},
	}
}

// runStandby opens the cluster for each round anew: a reader that stays would keep what is
// deleted meanwhile from being freed.
func runStandby(ctx context.Context, e *env, dir string, every time.Duration, once bool) error {
	var last cluster.BackupReport
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		err := e.with(ctx, true, func(cl *cluster.Cluster) error {
			r, fresh, err := cl.CopyChanged(ctx, dir, last)
			if err != nil || !fresh {
				return err
			}
			last = r
			return showCopy(e, r)
		})
		if once {
			return err
		}
		if err != nil && ctx.Err() == nil {
			e.talk("no copy this time: %v", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func showCopy(e *env, r cluster.BackupReport) error {
	if e.json {
		return e.emit(r)
	}
	fmt.Fprintf(e.out, "%s  batch %s, %s in %s\n", r.Time.Format(time.RFC3339), humanize.Comma(int64(r.Batch)), size(r.Bytes), r.Elapsed.Round(time.Millisecond))
	return nil
}

func runPromote(ctx context.Context, e *env, dir string, force bool) error {
	o, err := e.options()
	if err != nil {
		return err
	}
	o.Force = force
	r, err := cluster.Promote(ctx, e.dir, o, dir)
	if err != nil {
		return err
	}
	if e.json {
		return e.document(r)
	}
	fmt.Fprintf(e.out, "recovery point: batch %s, %s; the copy of %s held batch %s, the disks the rest\n", humanize.Comma(int64(r.Batch)),
		moment(r.Changed), moment(r.CopyTime), humanize.Comma(int64(r.CopyBatch)))
	fmt.Fprintf(e.out, "%s in %s; took %s; older writers than incarnation %d are refused\n", count(int(r.Recovery.Objects), "object"),
		count(int(r.Recovery.Buckets), "bucket"), r.Elapsed.Round(time.Millisecond), r.Incarnation)
	for _, u := range r.Recovery.Uncertain {
		e.talk("%s", u)
	}
	if n := len(r.Recovery.Gaps); n > 0 {
		e.talk("%s left out, by wish", count(n, "batch"))
	}
	return nil
}

// moment is a time for people.
func moment(t time.Time) string {
	if t.Unix() <= 0 {
		return "no changes yet"
	}
	return t.UTC().Format(time.RFC3339)
}
