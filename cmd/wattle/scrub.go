package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/cluster"
	"github.com/wattle-storage/wattle/energy"
)

func scrubCommand() *cli.Command {
	return &cli.Command{
		Name: "scrub", Usage: "verify every shard, remove orphans, repair what is found", Category: "cluster",
		Description: "Reads each disk in the order in which the shards lie there, and compares parity with data in\n" +
			"a sample of the stripes, another one in every pass. A pass that was interrupted goes on.\n\n" +
			examples("wattle scrub", "wattle scrub --rate 50MB --joules 20000", "wattle scrub --parity --no-repair", "wattle scrub --status"),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "rate", Usage: "read at most `BYTES` a second, over all disks"},
			&cli.Float64Flag{Name: "joules", Usage: "stop for the day (UTC) when the drives have used `JOULES` for it"},
			&cli.BoolFlag{Name: "parity", Usage: "compare parity with data in all stripes"},
			&cli.Float64Flag{Name: "sample", Value: 1, Usage: "compare parity with data in `PERCENT` of the stripes"},
			&cli.BoolFlag{Name: "no-repair", Usage: "change nothing: leave damage and orphans as they are"},
			&cli.BoolFlag{Name: "restart", Usage: "begin a new pass, though the last was not finished"},
			&cli.BoolFlag{Name: "status", Usage: "show the last pass; no disk is touched"},
		},
		Action: func(c *cli.Context) error {
			if err := arguments(c, 0, 0, "no arguments"); err != nil {
				return err
			}
			e := envOf(c)
			if c.Bool("status") {
				return scrubStatus(e)
			}
			o, err := scrubOptions(c)
			if err != nil {
				return err
			}
			return e.withUpkeep(c.Context, func(cl upkeeper) error { return runScrub(c.Context, e, cl, o) })
		},
	}
}

func scrubOptions(c *cli.Context) (cluster.ScrubOptions, error) {
	o := cluster.ScrubOptions{NoRepair: c.Bool("no-repair"), Restart: c.Bool("restart"), Joules: energy.Joules(c.Float64("joules"))}
	var err error
	if o.Rate, err = rate(c.String("rate")); err != nil {
		return o, err
	}
	if o.Joules < 0 || o.Joules > 1e15 {
		return o, usage("--joules %v: want a number of joules", c.Float64("joules"))
	}
	switch p := c.Float64("sample"); {
	case c.Bool("parity"):
		o.Parity = 1
	case p == 0:
		o.Parity = -1
	case p > 0 && p <= 100:
		o.Parity = p / 100
	default:
		return o, usage("--sample %v: want a percentage from 0 to 100", p)
	}
	return o, nil
}

// rate reads a number of bytes a second; "" is 0, no limit.
func rate(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := humanize.ParseBytes(strings.TrimSuffix(text, "/s"))
	if err != nil || n == 0 || n > 1<<62 {
		return 0, usage("--rate %q: want bytes a second, such as 50MB", text)
	}
	return int64(n), nil
}

func runScrub(ctx context.Context, e *env, cl upkeeper, o cluster.ScrubOptions) error {
	b := e.bar("scrub", 0)
	o.Progress = b.set
	r, err := cl.Scrub(ctx, o)
	b.done()
	if err != nil {
		return err
	}
	if e.json {
		err = e.document(r)
	} else {
		showScrub(e.out, r)
	}
	if err != nil {
		return err
	}
	return scrubOutcome(r)
}

func scrubOutcome(r cluster.ScrubReport) error {
	switch found := r.Corrupt + r.Missing + r.ParityBad; {
	case r.Repair != nil:
		return repairOutcome(*r.Repair)
	case r.Inconsistent > 0:
		return fmt.Errorf("%s disagree with their parity and do not tell where: %w", count(int(r.Inconsistent), "stripe"), cluster.ErrDataLost)
	case found > 0:
		return fmt.Errorf("%s: %w; `wattle repair` makes them anew", count(int(found), "bad shard"), errDegraded)
	}
	return nil
}

func showScrub(w io.Writer, r cluster.ScrubReport) {
	state := "complete"
	if !r.Complete {
		state = "not complete: " + r.Stopped
	}
	fmt.Fprintf(w, "pass %d, %s; %s in %s verified, %s read\n", r.Pass, state, count(int(r.Shards), "shard"), count(int(r.Segments), "segment"), size(r.BytesRead))
	fmt.Fprintf(w, "%d corrupt, %d missing; %s (%s) and %s; parity of %s checked, %d disagree\n", r.Corrupt, r.Missing,
		count(int(r.Orphans), "orphan"), size(r.OrphanBytes), count(int(r.Leftovers), "leftover"), count(int(r.Parity), "stripe"), r.ParityBad)
	fmt.Fprintf(w, "about %s J in the drives while they read, %s J of it on %s\n", humanize.Comma(r.Joules), humanize.Comma(r.JoulesToday), day(r))
	if len(r.Absent) > 0 {
		fmt.Fprintf(w, "not read, since they are away: %s\n", shorten(r.Absent, 5))
	}
	for _, f := range r.Findings {
		fmt.Fprintf(w, "  %s\n", f)
	}
	if r.Repair != nil {
		showRepair(w, *r.Repair)
	}
}

func day(r cluster.ScrubReport) string {
	if r.Day == "" {
		return time.Now().UTC().Format(time.DateOnly)
	}
	return r.Day
}

func scrubStatus(e *env) error {
	r, ok, err := cluster.LastScrub(e.dir)
	switch {
	case err != nil:
		return err
	case e.json:
		return e.document(r)
	case !ok:
		fmt.Fprintln(e.out, "never scrubbed")
	default:
		fmt.Fprintf(e.out, "begun %s, last worked on %s\n", r.Started.Format(time.RFC3339), r.Updated.Format(time.RFC3339))
		showScrub(e.out, r)
	}
	return nil
}
