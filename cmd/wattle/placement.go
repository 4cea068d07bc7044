package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/wattle-storage/wattle/cluster"
	"github.com/wattle-storage/wattle/erasure"
	"github.com/wattle-storage/wattle/placement"
)

func placementCommand() *cli.Command {
	return &cli.Command{
		Name: "placement", Usage: "build, change, measure and explain placement tables, of a cluster or of none", ArgsUsage: "build|change|metrics|plan|explain [BUCKET/KEY]", Category: "placement",
		Description: `build    deals the shards of all groups to the disks of a topology
change   makes the next table for another topology by the fewest moves, from --old;
         disks keep their numbers by path, new ones get the next numbers
metrics  measures a mapping, from whatever tool; with --from and --old what changed, too
plan     says what an energy policy would switch off and save
explain  says why each shard of an object lies where it does

A mapping file has a line for each group: the numbers of its disks, -1 for none.

` + examples("wattle placement build --topology T.yaml --scheme rs:10+5 --limit site=5,host=1 --pgs 65536 --mapping T.map --json",
			"wattle placement change --from T.yaml --old T.map --topology T2.yaml --scheme rs:10+5 --limit site=5,host=1 --mapping T2.map",
			"wattle placement metrics --topology T.yaml --scheme rs:10+5 --limit site=5,host=1 --mapping crush.map",
			"wattle placement plan --topology T.yaml --scheme rs:10+5 --limit site=5,host=1 --policy role-split",
			"wattle placement explain photos/fjord.jpg"),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "topology", Usage: "`FILE` with the tree of disks"},
			&cli.StringFlag{Name: "from", Usage: "`FILE` with the tree before a change"},
			&cli.StringFlag{Name: "scheme", Value: "rs:9+6", Usage: "replica:N, rs:K+M or lrc:K+L+R"},
			&cli.StringFlag{Name: "limit", Usage: "shards of a stripe a domain may hold, such as `site=5,host=1` (default: the tightest even spread)"},
			&cli.IntFlag{Name: "pgs", Usage: "`N` placement groups, a power of two (default: 100 shards on the smallest disk)"},
			&cli.IntFlag{Name: "scatter", Usage: "about `N` disks that share a group with a disk (default: as many as can be)"},
			&cli.Uint64Flag{Name: "seed", Usage: "`SEED` of the mixing"},
			&cli.StringFlag{Name: "mapping", Usage: "`FILE` of the table: written by build and change, read by metrics"},
			&cli.StringFlag{Name: "old", Usage: "`FILE` of the table before a change"},
			&cli.BoolFlag{Name: "holes", Usage: "leave shards without a disk where fewer fit than there are"},
			&cli.StringFlag{Name: "moves", Usage: "`FILE` to list the moves of a change in: group, shard, from, to"},
			&cli.StringFlag{Name: "policy", Value: "all", Usage: "role-split, site-gear, shedding, read-choice or all"},
			&cli.Float64Flag{Name: "use", Value: 50, Usage: "`PERCENT` of the capacity in use, for plan"},
			&cli.StringFlag{Name: "carbon", Usage: "g/kWh of sites for plan, such as `north=60,south=450`"},
		},
		Action: func(c *cli.Context) error {
			e, verb := envOf(c), c.Args().First()
			most := 1
			if verb == "explain" {
				most = 2
			}
			if err := arguments(c, 1, most, "build, change, metrics, plan or explain BUCKET/KEY"); err != nil {
				return err
			}
			if verb == "explain" {
				return runExplain(c.Context, e, c.Args().Get(1))
			}
			if !slices.Contains([]string{"build", "change", "metrics", "plan"}, verb) {
				return usage("placement %s: want build, change, metrics, plan or explain", verb)
			}
			j, err := readTableJob(c)
			if err != nil {
				return err
			}
			switch verb {
			case "build":
				return j.build(e)
			case "change":
				return j.change(e)
			case "metrics":
				return j.metrics(e)
			}
			return j.plan(e, c)
		},
	}
}

// A tableJob is what build, change, metrics and plan are asked for.
type tableJob struct {
	tree, from *placement.Tree
	scheme     erasure.Scheme
	limits     placement.Limits
	options    placement.Options
	mapping    string
	old        string
	moves      string
}

func readTableJob(c *cli.Context) (j tableJob, err error) {
	if j.scheme, err = erasure.Parse(c.String("scheme")); err != nil {
		return j, err
	}
	if c.String("topology") == "" {
		return j, usage("placement %s: name a topology with --topology", c.Args().First())
	}
	if j.tree, err = readTree(c.String("topology")); err != nil {
		return j, err
	}
	if file := c.String("from"); file != "" {
		if j.from, err = readTree(file); err != nil {
			return j, err
		}
		if j.tree, err = j.tree.Renumber(j.from); err != nil {
			return j, err
		}
	}
	if text := c.String("limit"); text != "" {
		if j.limits, err = placement.ParseLimits(text); err != nil {
			return j, usage("--limit: %v", err)
		}
	} else if j.limits, err = j.tree.Tightest(j.scheme.N()); err != nil {
		return j, err
	}
	j.options = placement.Options{PGs: c.Int("pgs"), Seed: c.Uint64("seed"), Scatter: c.Int("scatter"), Holes: c.Bool("holes")}
	j.mapping, j.old, j.moves = c.String("mapping"), c.String("old"), c.String("moves")
	return j, nil
}

func readTree(file string) (*placement.Tree, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	t, err := placement.ParseTree(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return t, nil
}

func readMapping(file string) (*placement.Table, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t, err := placement.ReadTable(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return t, nil
}

// writeMapping writes a table to a file, if one is named.
func writeMapping(file string, t *placement.Table) error {
	if file == "" {
		return nil
	}
	return writeWhole(file, t)
}

// A tableAnswer is what build, change and metrics print.
type tableAnswer struct {
	Scheme  string              `json:"scheme"`
	Limits  string              `json:"limits"`
	Levels  []string            `json:"levels"`
	Metrics placement.Metrics   `json:"metrics"`
	Change  *placement.Distance `json:"change,omitempty"`
	Holes   int                 `json:"holes,omitempty"`
	Elapsed float64             `json:"elapsed_s"`
	CPU     float64             `json:"cpu_s"`
}

func (j tableJob) answer(t *placement.Table) (tableAnswer, error) {
	m, err := j.tree.Measure(t, j.limits)
	return tableAnswer{Scheme: j.scheme.String(), Limits: j.limits.String(), Levels: j.tree.Levels(), Metrics: m}, err
}

func (j tableJob) build(e *env) error {
	start, cpu := time.Now(), cpuSeconds()
	t, err := j.tree.Build(j.scheme.N(), j.limits, j.options)
	if err != nil {
		return err
	}
	took, used := time.Since(start), cpuSeconds()-cpu
	if err := writeMapping(j.mapping, t); err != nil {
		return err
	}
	a, err := j.answer(t)
	if err != nil {
		return err
	}
	a.Elapsed, a.CPU = took.Seconds(), used
	return e.showTable(a)
}

func (j tableJob) change(e *env) error {
	if j.from == nil || j.old == "" {
		return usage("placement change: name the topology before with --from and its table with --old")
	}
	old, err := readMapping(j.old)
	if err != nil {
		return err
	}
	if old.N() != j.scheme.N() {
		return usage("%s has %d shards a group, and %s has %d", j.old, old.N(), j.scheme, j.scheme.N())
	}
	start, cpu := time.Now(), cpuSeconds()
	p, err := j.tree.Change(old, j.limits, j.options)
	if err != nil {
		return err
	}
	took, used := time.Since(start), cpuSeconds()-cpu
	if err := writeMapping(j.mapping, p.Table); err != nil {
		return err
	}
	if j.moves != "" {
		if err := writeWhole(j.moves, listMoves(p.Moves)); err != nil {
			return err
		}
	}
	a, err := j.answer(p.Table)
	if err != nil {
		return err
	}
	d, err := j.tree.Compare(old, p.Table, j.from, j.limits)
	if err != nil {
		return err
	}
	a.Change, a.Holes, a.Elapsed, a.CPU = &d, len(p.Holes), took.Seconds(), used
	if err := e.showTable(a); err != nil {
		return err
	}
	if len(p.Holes) > 0 {
		return fmt.Errorf("%s of %s without a disk: %w; %s, the first of group %d: add disks or domains", count(len(p.Holes), "shard"),
			humanize.Comma(int64(old.PGs()*old.N())), errDegraded, j.limits, p.Holes[0].PG)
	}
	return nil
}

func listMoves(moves []placement.Move) *bytes.Buffer {
	var b bytes.Buffer
	for _, m := range moves {
		fmt.Fprintln(&b, m.PG, m.Shard, m.From, m.To)
	}
	return &b
}

func (j tableJob) metrics(e *env) error {
	if j.mapping == "" {
		return usage("placement metrics: name the table with --mapping")
	}
	t, err := readMapping(j.mapping)
	if err != nil {
		return err
	}
	if t.N() != j.scheme.N() {
		return usage("%s has %d shards a group, and %s has %d", j.mapping, t.N(), j.scheme, j.scheme.N())
	}
	a, err := j.answer(t)
	if err != nil {
		return err
	}
	if j.old != "" {
		old, err := readMapping(j.old)
		if err != nil {
			return err
		}
		from := j.from
		if from == nil {
			from = j.tree
		}
		d, err := j.tree.Compare(old, t, from, j.limits)
		if err != nil {
			return err
		}
		a.Change = &d
	}
	return e.showTable(a)
}

func (e *env) showTable(a tableAnswer) error {
	if e.json {
		return e.document(a)
	}
	m := a.Metrics
	fmt.Fprintf(e.out, "%s, at most %s: %s groups of %d shards over %s disks, table %s\n", a.Scheme, a.Limits, humanize.Comma(int64(m.PGs)), m.Shards,
		humanize.Comma(int64(m.Disks)), size(m.TableSize))
	fmt.Fprintf(e.out, "load over target: %.4f at most, %.4f at least, deviation %.4f (%.1f shards on the smallest disk); usable %.2f %%\n",
		m.MaxOverTarget, m.MinOverTarget, m.StddevOverTarget, m.ShardsOnSmallest, 100*m.UsableFraction)
	if m.ShareLimited {
		fmt.Fprintln(e.out, "limits keep some domains below their part of the capacity; targets are what the limits allow")
	}
	fmt.Fprintf(e.out, "%s break a limit, %s name a disk twice, %s are short; %.0f peers a disk\n", count(m.LimitViolations, "group"), strconv.Itoa(m.DuplicatePGs),
		strconv.Itoa(m.ShortPGs), m.ScatterWidth)
	if d := a.Change; d != nil {
		fmt.Fprintf(e.out, "moved %s shards (%.2f %%), %s of them off disks that are gone, %s off disks that stay\n", humanize.Comma(d.MovedShards), 100*d.MovedOfAll,
			humanize.Comma(d.LostShards), humanize.Comma(d.Collateral))
		fmt.Fprintf(e.out, "the fewest possible: %s from these loads (%s), %.0f between exact shares (%s)\n", humanize.Comma(d.BoundOwn), times(d.MovedOverOwn), d.BoundIdeal, times(d.MovedOverIdeal))
	}
	if a.Elapsed > 0 {
		fmt.Fprintf(e.out, "%.3f s, %.3f s of CPU; digest %s\n", a.Elapsed, a.CPU, m.Digest[:16])
	} else {
		fmt.Fprintf(e.out, "digest %s\n", m.Digest[:16])
	}
	return nil
}

// cpuSeconds is the processor time that this process has used.
func cpuSeconds() float64 {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

func times(x float64) string {
	if x == 0 {
		return "nothing had to"
	}
	return fmt.Sprintf("%.4f times", x)
}

func runExplain(ctx context.Context, e *env, address string) error {
	bucket, key, err := object(address)
	if err != nil {
		return err
	}
	return e.with(ctx, true, func(cl *cluster.Cluster) error {
		list, err := cl.Explain(ctx, bucket, key)
		if err != nil {
			return err
		}
		if e.json {
			return e.document(list)
		}
		for i, s := range list {
			if i == 8 {
				fmt.Fprintf(e.out, "and %d stripes more; --json has all\n", len(list)-i)
				break
			}
			fmt.Fprintf(e.out, "stripe %s (%s): group %d of %d, its number times 2^64/1.618…, top bits\n", s.Stripe, s.Scheme, s.PG, s.PGs)
			t := newTable("shard", "disk", "bytes", "why")
			for _, sh := range s.Shards {
				t.AppendRow([]any{fmt.Sprintf("%d %s", sh.Shard, sh.Kind), sh.Disk, size(sh.Bytes), sh.Why})
			}
			show(e.out, t)
			fmt.Fprintf(e.out, "%s\n\n", s.Spread)
		}
		return nil
	})
}
