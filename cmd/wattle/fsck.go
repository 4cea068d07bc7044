package main

import (
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/cluster"
)

func fsckCommand() *cli.Command {
	return &cli.Command{
		Name: "fsck", Usage: "check the catalog against itself and the disks; changes nothing", Category: "cluster",
		Description: "Compares every object's extents with the stripes, and the stripes' places with the headers on the\n" +
			"disks; with --deep every shard is read and verified. Exit codes: 0 sound, 5 shards are missing or\n" +
			"corrupt and repair can mend it, 7 data is lost, 1 the catalog contradicts itself. While another\n" +
			"process writes, what changes meanwhile may be reported.\n\n" + examples("wattle fsck", "wattle fsck --deep --rate 100MB --json"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "deep", Usage: "read and verify every shard"},
			&cli.StringFlag{Name: "rate", Usage: "with --deep, read at most `BYTES` a second"},
		},
		Action: func(c *cli.Context) error {
			if err := arguments(c, 0, 0, "no arguments"); err != nil {
				return err
			}
			o := cluster.FsckOptions{Deep: c.Bool("deep")}
			var err error
			if o.Rate, err = rate(c.String("rate")); err != nil {
				return err
			}
			e := envOf(c)
			return e.with(c.Context, true, func(cl *cluster.Cluster) error {
				r, err := cl.Fsck(c.Context, o)
				if err != nil {
					return err
				}
				if e.json {
					err = e.document(r)
				} else {
					showFsck(e.out, r)
				}
				if err != nil {
					return err
				}
				return fsckOutcome(r)
			})
		},
	}
}

func showFsck(w io.Writer, r cluster.FsckReport) {
	fmt.Fprintf(w, "%s of objects in %s, %s in %s; %s in place\n", count(int(r.Versions), "version"), count(int(r.Buckets), "bucket"),
		count(int(r.Extents), "extent"), count(int(r.Stripes), "stripe"), count(int(r.Shards), "shard"))
	fmt.Fprintf(w, "%d contradictions in the catalog, %d shards missing, %d corrupt, %s; %d stripes degraded, %d lost\n", r.Catalog, r.Missing, r.Corrupt,
		count(int(r.Orphans), "orphan"), r.Degraded, r.Lost)
	if len(r.Absent) > 0 {
		fmt.Fprintf(w, "not looked at, since they are away: %s\n", shorten(r.Absent, 5))
	}
	for _, f := range r.Findings {
		fmt.Fprintf(w, "  %s\n", f)
	}
}

func fsckOutcome(r cluster.FsckReport) error {
	err := r.Err()
	switch {
	case r.Lost > 0 && r.Catalog == 0:
		return fmt.Errorf("%s: %w", shorten(r.LostKeys, 5), err)
	case err != nil:
		return err
	case r.Degraded > 0:
		return fmt.Errorf("%s: %w; `wattle repair` makes their shards anew", count(int(r.Degraded), "stripe"), errDegraded)
	}
	return nil
}
