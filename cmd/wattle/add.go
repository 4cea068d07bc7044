package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/cluster"
	"github.com/wattle-storage/wattle/energy"
)

func addCommand() *cli.Command {
	return &cli.Command{
		Name: "add", Usage: "add a site, rack, host or disk to the cluster", ArgsUsage: "site|rack|host|disk PATH", Category: "cluster",
		Description: "New objects use it at once; `wattle rebalance` brings it its share of the others.\n\n" +
			examples("wattle add site site4 --racks 2 --hosts 2 --disks 3", "wattle add host site1/rack2/host3 --disks 4 --profile helium-5w", "wattle add disk site1/rack1/host1/disk9 --capacity 18TB"),
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "racks", Value: 1, Usage: "`N` racks in a new site"},
			&cli.IntFlag{Name: "hosts", Value: 1, Usage: "`N` hosts in each new rack"},
			&cli.IntFlag{Name: "disks", Value: 1, Usage: "`N` disks on each new host"},
			&cli.StringFlag{Name: "profile", Usage: "drive `PROFILES` that the disks have in turn, with commas (default: those of the cluster)"},
			&cli.StringFlag{Name: "capacity", Usage: "`SIZE` of each disk (default: the profile's, or that of its like in the cluster)"},
		},
		Action: func(c *cli.Context) error {
			if err := arguments(c, 2, 2, "what it is (site, rack, host or disk) and its path"); err != nil {
				return err
			}
			for _, f := range []string{"racks", "hosts", "disks"} {
				if n := c.Int(f); n < 1 || n > 10_000 {
					return usage("--%s %d: want 1 or more", f, n)
				}
			}
			e := envOf(c)
			a := cluster.AddOptions{Kind: c.Args().Get(0), Path: c.Args().Get(1), Racks: c.Int("racks"), Hosts: c.Int("hosts"), Disks: c.Int("disks")}
			if n := a.Racks * a.Hosts * a.Disks; n > 10_000 {
				return usage("%d disks are more than a simulated cluster can have (10,000)", n)
			}
			if err := newDisks(c, e, &a); err != nil {
				return err
			}
			open, err := e.options()
			if err != nil {
				return err
			}
			rep, err := cluster.Add(c.Context, e.dir, open, a)
			if err != nil {
				return e.alone(c.Context, err)
			}
			if e.json {
				return e.document(rep)
			}
			showChange(e.out, rep)
			return nil
		},
	}
}

// newDisks chooses profiles and capacities of disks that are added.
func newDisks(c *cli.Context, e *env, a *cluster.AddOptions) error {
	size, err := capacity(c.String("capacity"))
	if err != nil {
		return err
	}
	like := map[string]int64{}
	if err := e.with(c.Context, true, func(cl *cluster.Cluster) error {
		for _, d := range cl.Map().Disks() {
			if !slices.Contains(a.Profiles, d.Profile) {
				a.Profiles = append(a.Profiles, d.Profile)
			}
			like[d.Profile] = max(like[d.Profile], d.Capacity)
		}
		return nil
	}); err != nil {
		return err
	}
	if s := c.String("profile"); s != "" {
		a.Profiles = strings.Split(s, ",")
	}
	for _, name := range a.Profiles {
		p, err := energy.Lookup(name)
		if err != nil {
			return usageError{err}
		}
		if size == 0 && p.CapacityTB == 0 && like[name] == 0 {
			return usage("profile %s has no capacity of its own: give one with --capacity, such as 18TB", name)
		}
		if like[name] == 0 || strings.Contains(name, "@") {
			like[name] = int64(p.CapacityTB * 1e12)
		}
	}
	a.Capacity = func(profile string) int64 {
		if size > 0 {
			return size
		}
		return like[profile]
	}
	return nil
}

func capacity(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := humanize.ParseBytes(text)
	if err != nil || n == 0 || n > 1<<56 {
		return 0, usage("--capacity %q: want a size such as 18TB", text)
	}
	return int64(n), nil
}

func showChange(w io.Writer, r cluster.ChangeReport) {
	if len(r.Added) > 0 {
		fmt.Fprintf(w, "added %s: %s\n", count(len(r.Added), "disk"), shorten(r.Added, 4))
	}
	if len(r.Drained) > 0 {
		fmt.Fprintf(w, "draining %s: %s\n", count(len(r.Drained), "disk"), shorten(r.Drained, 4))
	}
	if len(r.Dropped) > 0 {
		fmt.Fprintf(w, "off the map, empty: %s\n", shorten(r.Dropped, 4))
	}
	if r.Moves > 0 {
		fmt.Fprintf(w, "epoch %d: %.2f %% of the shards of a full cluster go elsewhere, %.4f of the fewest possible; `wattle rebalance` moves them\n", r.Epoch, 100*r.Share, float64(r.Moves)/float64(max(1, r.Bound)))
	}
}

func rebalanceFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "rate", Usage: "read and write at most `BYTES` a second, over all disks"},
		&cli.StringSliceFlag{Name: "cap", Usage: "move at most `BYTES` from any site to another in this run, or FROM:TO=BYTES for one pair; may be repeated"},
	}
}

func rebalanceCommand() *cli.Command {
	return &cli.Command{
		Name: "rebalance", Usage: "move shards to where the map wants them", Category: "cluster",
		Description: "Shards of disks that are being drained go first; disks that are empty then leave the map.\nReads and writes go on. What was done stays done when it is interrupted, or killed: the next run goes on.\n\n" +
			examples("wattle rebalance", "wattle rebalance --rate 100MB", "wattle rebalance --cap 10GB --cap site1:site4=50GB"),
		Flags: rebalanceFlags(),
		Action: func(c *cli.Context) error {
			if err := arguments(c, 0, 0, "no arguments"); err != nil {
				return err
			}
			o, err := rebalanceOptions(c)
			if err != nil {
				return err
			}
			return runRebalance(c.Context, envOf(c), o, false, nil)
		},
	}
}

func rebalanceOptions(c *cli.Context) (o cluster.RebalanceOptions, err error) {
	if o.Rate, err = rate(c.String("rate")); err != nil {
		return o, err
	}
	for _, text := range c.StringSlice("cap") {
		pair, number, one := strings.Cut(text, "=")
		if !one {
			number = text
		}
		n, err := humanize.ParseBytes(number)
		from, to, ok := strings.Cut(pair, ":")
		if err != nil || n > 1<<62 || one && !ok {
			return o, usage("--cap %q: want bytes, such as 10GB, or FROM:TO=10GB", text)
		}
		if !one {
			o.PairBytes = int64(n)
			continue
		}
		if o.Pairs == nil {
			o.Pairs = map[string]int64{}
		}
		o.Pairs[from+">"+to] = int64(n)
	}
	return o, nil
}

// A movedAnswer is what rebalance, drain and replace print.
type movedAnswer struct {
	Change    *cluster.ChangeReport   `json:"change,omitempty"`
	Repair    *cluster.RepairReport   `json:"repair,omitempty"`
	Rebalance cluster.RebalanceReport `json:"rebalance"`
	Dropped   []string                `json:"dropped,omitempty"`
	Holding   []string                `json:"holding,omitempty"`
}

// runRebalance repairs, if asked, rebalances, and takes drained disks off the map.
func runRebalance(ctx context.Context, e *env, o cluster.RebalanceOptions, repair bool, change *cluster.ChangeReport) error {
	a := movedAnswer{Change: change}
	err := e.withUpkeep(ctx, func(cl upkeeper) (err error) {
		if repair {
			b := e.bar("repair", 0)
			r, err := cl.RepairWith(ctx, cluster.RepairOptions{Progress: b.set})
			b.done()
			if a.Repair = &r; err != nil {
				return err
			}
		}
		b := e.bar("rebalance", 0)
		o.Progress = b.set
		a.Rebalance, err = cl.Rebalance(ctx, o)
		b.done()
		return err
	})
	if err != nil {
		return err
	}
	open, err := e.options()
	if err != nil {
		return err
	}
	rep, err := cluster.Drop(ctx, e.dir, open)
	if errors.Is(err, cluster.ErrLocked) { // a server has it open
		if rep.Holding, err = e.draining(ctx); len(rep.Holding) > 0 {
			e.talk("drained disks leave the map with the next `wattle rebalance` after the server was stopped")
		}
	}
	if err != nil {
		return err
	}
	a.Dropped, a.Holding = rep.Dropped, rep.Holding
	if e.json {
		err = e.document(a)
	} else {
		showMoved(e.out, a)
	}
	if err != nil {
		return err
	}
	return movedOutcome(e, a)
}

// draining lists the disks that give up their shards.
func (e *env) draining(ctx context.Context) (list []string, err error) {
	err = e.with(ctx, true, func(cl *cluster.Cluster) error {
		s, err := cl.Status(ctx)
		for _, site := range s.Sites {
			for _, d := range site.Disks {
				if d.Draining {
					list = append(list, d.Name)
				}
			}
		}
		return err
	})
	return list, err
}

func showMoved(w io.Writer, a movedAnswer) {
	if a.Change != nil {
		showChange(w, *a.Change)
	}
	if a.Repair != nil {
		showRepair(w, *a.Repair)
	}
	r := a.Rebalance
	fmt.Fprintf(w, "moved %s of %s, %s of %s, in %s\n", count(int(r.Shards), "shard"), count(int(r.Stripes), "stripe"), size(r.Bytes), size(r.Wanted), r.Elapsed.Round(time.Millisecond))
	if len(r.Between) > 0 {
		var list []string
		for pair, n := range r.Between {
			list = append(list, fmt.Sprintf("%s %s", strings.Replace(pair, ">", " to ", 1), size(n)))
		}
		slices.Sort(list)
		fmt.Fprintf(w, "between sites: %s\n", strings.Join(list, ", "))
	}
	if len(a.Dropped) > 0 {
		fmt.Fprintf(w, "empty and off the map: %s\n", shorten(a.Dropped, 4))
	}
}

func movedOutcome(e *env, a movedAnswer) error {
	r := a.Rebalance
	for _, why := range r.Why() {
		e.talk("%s", why)
	}
	if a.Repair != nil {
		if err := repairOutcome(*a.Repair); err != nil {
			return err
		}
	}
	switch {
	case r.Lost > 0:
		return fmt.Errorf("%s on disks that are away or damaged: %w; `wattle repair` makes them anew, then `wattle rebalance`", count(int(r.Lost), "shard"), errDegraded)
	case r.Left > 0:
		return fmt.Errorf("%s could not move: %w; run it again when the disks are back, or have room", count(int(r.Left), "shard"), errDegraded)
	case r.Held > 0:
		e.talk("%s held back by --cap; the next run goes on", count(int(r.Held), "shard"))
	case len(a.Holding) > 0:
		e.talk("still in use, by readers perhaps: %s; `wattle rebalance` ends it", shorten(a.Holding, 4))
	}
	return nil
}

func drainCommand() *cli.Command {
	return &cli.Command{
		Name: "drain", Usage: "move everything off a site, rack, host or disk, and take it off the map", ArgsUsage: "[site|rack|host|disk] NAME", Category: "cluster",
		Description: "Refused when the rest could not hold the shards within the rule. What is on disks that are away is\nmade anew from the others. It can be interrupted; `wattle rebalance` goes on.\n\n" +
			examples("wattle drain site site4", "wattle drain site1/rack1/host1/disk2 --rate 50MB", "wattle drain site4 --later && wattle rebalance"),
		Flags: append(rebalanceFlags(), &cli.BoolFlag{Name: "later", Usage: "only mark it; `wattle rebalance` does the work"}),
		Action: func(c *cli.Context) error {
			if err := arguments(c, 1, 2, "the name of a disk, host, rack or site"); err != nil {
				return err
			}
			o, err := rebalanceOptions(c)
			if err != nil {
				return err
			}
			e := envOf(c)
			open, err := e.options()
			if err != nil {
				return err
			}
			rep, err := cluster.Drain(c.Context, e.dir, open, c.Args().Get(c.NArg()-1))
			if err != nil {
				return e.alone(c.Context, err)
			}
			return carryOut(c, e, o, rep)
		},
	}
}

// carryOut moves what a change asks for, unless that is for later.
func carryOut(c *cli.Context, e *env, o cluster.RebalanceOptions, rep cluster.ChangeReport) error {
	if c.Bool("later") {
		if e.json {
			return e.document(rep)
		}
		showChange(e.out, rep)
		return nil
	}
	away := false
	if err := e.with(c.Context, true, func(cl *cluster.Cluster) error {
		s, err := cl.Status(c.Context)
		for _, site := range s.Sites {
			for _, d := range site.Disks {
				away = away || d.Draining && (d.State == "failed" || d.State == "missing")
			}
		}
		return err
	}); err != nil {
		return err
	}
	return runRebalance(c.Context, e, o, away, &rep)
}

func replaceCommand() *cli.Command {
	return &cli.Command{
		Name: "replace", Usage: "put a new disk in place of one, which may be lost", ArgsUsage: "DISK", Category: "cluster",
		Description: "The new disk stands beside the old one on the same host and takes over its shards: copied while\nthe old one can be read, else made anew. Then the old one leaves the map.\n\n" +
			examples("wattle replace site1/rack1/host1/disk2", "wattle replace site1/rack1/host1/disk2 --capacity 22TB --profile helium-5w"),
		Flags: append(rebalanceFlags(),
			&cli.StringFlag{Name: "profile", Usage: "drive `PROFILE` of the new disk (default: the old one's)"},
			&cli.StringFlag{Name: "capacity", Usage: "`SIZE` of the new disk (default: the old one's)"},
			&cli.BoolFlag{Name: "later", Usage: "only add and mark; `wattle rebalance` does the work"}),
		Action: func(c *cli.Context) error {
			if err := arguments(c, 1, 1, "the name of a disk"); err != nil {
				return err
			}
			o, err := rebalanceOptions(c)
			if err != nil {
				return err
			}
			n, err := capacity(c.String("capacity"))
			if err != nil {
				return err
			}
			if p := c.String("profile"); p != "" {
				if _, err := energy.Lookup(p); err != nil {
					return usageError{err}
				}
			}
			e := envOf(c)
			open, err := e.options()
			if err != nil {
				return err
			}
			rep, err := cluster.Replace(c.Context, e.dir, open, c.Args().First(), c.String("profile"), n)
			if err != nil {
				return e.alone(c.Context, err)
			}
			return carryOut(c, e, o, rep)
		},
	}
}
