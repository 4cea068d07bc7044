package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/cluster"
)

func standbyCommand() *cli.Command {
	return &cli.Command{
		Name: "standby", Usage: "ship the catalog's changes to a second directory, or take over from it", ArgsUsage: "DIRECTORY", Category: "cluster",
		Description: "Keeps a checked copy of the catalog in the directory, and ships the journal of each batch there that\n" +
			"is committed after it, beside a server and all other work, until it is interrupted. No change waits\n" +
			"for that; what could not be shipped is shipped later. With --promote it makes the catalog from the\n" +
			"copy, what was shipped, and what the disks say, and shuts out writers that still have the old one.\n" +
			"`wattle serve --standby DIRECTORY` ships from within the server, as soon as a batch is committed.\n\n" +
			examples("wattle standby /mnt/other/wattle", "wattle standby --every 10s /mnt/other/wattle", "wattle standby --once /mnt/other/wattle", "wattle standby --promote /mnt/other/wattle"),
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: "every", Value: time.Second, Usage: "look for changes every `TIME`"},
			&cli.BoolFlag{Name: "once", Usage: "catch up once and end"},
			&cli.BoolFlag{Name: "promote", Usage: "take over: the old catalog is gone, or must not be used any more"},
			&cli.BoolFlag{Name: "force", Usage: "with --promote: do without acknowledged changes that are nowhere"},
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
			case every < 100*time.Millisecond || every > time.Hour:
				return usage("--every %v: want 100ms up to an hour", every)
			case c.Bool("once"):
				return runShip(c.Context, e, c.Args().First())
			}
			return runStandby(c.Context, e, c.Args().First(), every)
		},
	}
}

func runShip(ctx context.Context, e *env, dir string) error {
	return e.with(ctx, true, func(cl *cluster.Cluster) error {
		s, err := cl.Ship(ctx, dir)
		if err != nil {
			return err
		}
		return e.standbyLine(s)
	})
}

// runStandby follows. The cluster is opened anew now and then, and after trouble: its map may
// have changed.
func runStandby(ctx context.Context, e *env, dir string, every time.Duration) error {
	for ctx.Err() == nil {
		err := e.with(ctx, true, func(cl *cluster.Cluster) error {
			return cl.Follow(ctx, dir, every, func(s cluster.StandbyStatus, err error) {
				if err == nil {
					err = e.standbyLine(s)
				}
				if err != nil {
					e.talk("the standby is behind since %s, and catches up when it can: %v", moment(s.Even), err)
				}
			})
		})
		switch {
		case err == nil:
			continue
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, cluster.ErrFenced):
			return err
		}
		e.talk("nothing is shipped this time: %v", err)
		select {
		case <-ctx.Done():
		case <-time.After(max(every, time.Second)):
		}
	}
	return nil
}

// standbyLine says how far a standby is.
func (e *env) standbyLine(s cluster.StandbyStatus) error {
	if e.json {
		return e.emit(s)
	}
	_, err := fmt.Fprintf(e.out, "%s  batch %s is there; the copy holds batch %s\n", time.Now().UTC().Format(time.RFC3339), humanize.Comma(int64(s.Batch)), humanize.Comma(int64(s.CopyBatch)))
	return err
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
	fmt.Fprintf(e.out, "recovery point: batch %s, last change %s; %s\n", humanize.Comma(int64(r.Batch)), since(r.Changed), lacks(r))
	fmt.Fprintf(e.out, "the copy of %s held batch %s, what was shipped goes up to batch %s, the disks have the rest; %s had been shipped only\n",
		moment(r.CopyTime), humanize.Comma(int64(r.CopyBatch)), humanize.Comma(int64(r.ShippedBatch)), count(int(r.OnlyShipped), "batch"))
	fmt.Fprintf(e.out, "%s in %s; took %s; older writers than incarnation %d are refused\n", count(int(r.Recovery.Objects), "object"),
		count(int(r.Recovery.Buckets), "bucket"), r.Elapsed.Round(time.Millisecond), r.Incarnation)
	for _, u := range r.Recovery.Uncertain {
		e.talk("%s", u)
	}
	return nil
}

// lacks says what a promotion did without.
func lacks(r cluster.PromoteReport) string {
	if r.Missing == 0 {
		return "nothing acknowledged is missing"
	}
	return count(int(r.Missing), "acknowledged batch") + " missing, by wish"
}

// since is a time for people, and how long ago it was.
func since(t time.Time) string {
	if t.Unix() <= 0 {
		return moment(t)
	}
	return moment(t) + ", " + ago(time.Since(t).Seconds()) + " ago"
}

// moment is a time for people.
func moment(t time.Time) string {
	if t.Unix() <= 0 {
		return "no changes yet"
	}
	return t.UTC().Format(time.RFC3339)
}
