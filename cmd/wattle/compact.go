package main

import (
	"context"
	"fmt"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/cluster"
)

func compactCommand() *cli.Command {
	return &cli.Command{
		Name: "compact", Usage: "give back the space of deleted and thinly packed objects", Category: "cluster",
		Description: "Packs again what is left in wasteful stripes, makes a checkpoint so that old journals can go,\n" +
			"frees what is dead, and empties segments with little life. Wattle goes on beside it.\n\n" +
			examples("wattle compact", "wattle compact --rate 50MB", "wattle compact --checkpoint --json"),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "rate", Usage: "read and write at most `BYTES` a second, over all disks"},
			&cli.BoolFlag{Name: "checkpoint", Usage: "make a checkpoint, also when it takes more space than it frees"},
		},
		Action: func(c *cli.Context) error {
			if err := arguments(c, 0, 0, "no arguments"); err != nil {
				return err
			}
			o := cluster.CompactOptions{Checkpoint: c.Bool("checkpoint")}
			var err error
			if o.Rate, err = rate(c.String("rate")); err != nil {
				return err
			}
			e := envOf(c)
			return e.withUpkeep(c.Context, func(cl upkeeper) error { return runCompact(c.Context, e, cl, o) })
		},
	}
}

func runCompact(ctx context.Context, e *env, cl upkeeper, o cluster.CompactOptions) error {
	r, err := cl.Compact(ctx, o)
	if err != nil {
		return err
	}
	if e.json {
		return e.document(r)
	}
	fmt.Fprintf(e.out, "%s in use, %s before; %s written in %s\n", size(r.UsedAfter), size(r.UsedBefore), size(r.WrittenBytes), r.Elapsed.Round(time.Millisecond))
	fmt.Fprintf(e.out, "%s evacuated, %s (%s) moved, %s emptied\n", count(int(r.Stripes), "stripe"), count(int(r.Objects), "extent"), size(r.MovedBytes), count(int(r.Segments), "segment"))
	if r.Checkpoint > 0 {
		fmt.Fprintf(e.out, "checkpoint of batch %s, %s\n", humanize.Comma(int64(r.Checkpoint)), size(r.CheckpointBytes))
	}
	if r.Amplification > 0 {
		fmt.Fprintf(e.out, "%.2f bytes written for each byte won\n", r.Amplification)
	}
	if r.Refused > 0 {
		e.talk("%s changed meanwhile and stayed where it was", count(int(r.Refused), "extent"))
	}
	return nil
}
