package main

import (
	"fmt"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/cluster"
)

func backupCommand() *cli.Command {
	return &cli.Command{
		Name: "backup", Usage: "copy the catalog to a second directory, beside all other work", ArgsUsage: "DIRECTORY", Category: "cluster",
		Description: "The copy is checked, and older ones beyond --keep are removed. `wattle recover --from COPY` makes the\n" +
			"catalog from it and from what the disks say of later changes; `wattle export --catalog COPY`\n" +
			"reads objects as they were.\n\n" +
			examples("wattle backup /mnt/other/wattle", "wattle backup --keep 30 --json /mnt/other/wattle"),
		Flags: []cli.Flag{&cli.IntFlag{Name: "keep", Value: 7, Usage: "the newest `N` copies"}},
		Action: func(c *cli.Context) error {
			if err := arguments(c, 1, 1, "a directory"); err != nil {
				return err
			}
			if c.Int("keep") < 1 {
				return usage("--keep %d: want 1 or more", c.Int("keep"))
			}
			e := envOf(c)
			return e.with(c.Context, true, func(cl *cluster.Cluster) error {
				r, err := cl.Backup(c.Context, c.Args().First(), c.Int("keep"))
				if err != nil {
					return err
				}
				if e.json {
					return e.document(r)
				}
				fmt.Fprintf(e.out, "%s: %s, the state after batch %s with %s, in %s\n", r.Path, size(r.Bytes), humanize.Comma(int64(r.Batch)),
					count(int(r.Objects), "object"), r.Elapsed.Round(time.Millisecond))
				for _, old := range r.Removed {
					e.talk("removed %s", old)
				}
				return nil
			})
		},
	}
}
