package main

import (
	"context"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/cluster"
)

func trashCommand() *cli.Command {
	return &cli.Command{
		Name: "trash", Usage: "show or set how long deleted bytes are kept before their space is freed", ArgsUsage: "[TIME|off]", Category: "cluster",
		Description: "Until then `wattle export --catalog COPY` reads objects as they were at the time of a copy that\n" +
			"`wattle backup` made. Their space stays in use.\n\n" + examples("wattle trash", "wattle trash 7d", "wattle trash off"),
		Action: func(c *cli.Context) error {
			if err := arguments(c, 0, 1, "a time, off, or nothing"); err != nil {
				return err
			}
			e := envOf(c)
			if c.NArg() == 0 {
				return e.with(c.Context, true, func(cl *cluster.Cluster) error { return showTrash(c.Context, e, cl) })
			}
			d, err := cluster.ParseTrash(c.Args().First())
			if err != nil {
				return usageError{err}
			}
			return e.withUpkeep(c.Context, func(cl upkeeper) error {
				if err := cl.SetTrash(c.Context, d); err != nil {
					return err
				}
				return showTrash(c.Context, e, cl)
			})
		},
	}
}

func showTrash(ctx context.Context, e *env, cl interface {
	Trash(context.Context) (time.Duration, error)
}) error {
	d, err := cl.Trash(ctx)
	if err != nil {
		return err
	}
	if e.json {
		return e.document(map[string]any{"trash_seconds": d.Seconds()})
	}
	if d == 0 {
		fmt.Fprintln(e.out, "off: space is freed when nobody reads it any more")
		return nil
	}
	fmt.Fprintf(e.out, "deleted bytes are kept for %v\n", d.Round(time.Second))
	return nil
}
