package main

import (
	"fmt"
	"os"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/bench"
	"github.com/wattle-storage/wattle/erasure"
)

func benchCommand() *cli.Command {
	d := bench.Defaults
	return &cli.Command{
		Name: "bench", Category: "cluster",
		Usage: "measure puts and gets beside a plain program that codes and syncs files",
		Description: "A scratch cluster and a plain loop (read, code, hash, one synced file a shard) take turns in the same\ndirectory; the last columns are the median over the rounds of wattle's time and processor time\nan operation over the other's, below 1 where wattle is faster. Syncs are those of the disks; the\ncatalog adds one a batch. For disks worth measuring name a directory on them.\n\n" +
			examples("wattle bench", "wattle bench --scratch /mnt/ssd --scheme rs:12+4 --size 4KiB --concurrency 1,8,32",
				"wattle bench --size none --large 1GiB --rounds 5 --json", "wattle bench --size none --large none --keys 0 --scheme rs:2+1 --upkeep 10GB"),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "s3", Usage: "measure the S3 endpoint at `URL` instead, Wattle's or another; the key is that of AWS_ACCESS_KEY_ID"},
			&cli.StringFlag{Name: "against", Usage: "with --s3: measure the endpoint at `URL` in turn with it, with the same key, and tell the ratio"},
			&cli.StringFlag{Name: "region", Usage: "with --s3: `NAME` of the region", Value: "us-east-1"},
			&cli.BoolFlag{Name: "mixed", Usage: "with --s3: also rounds of three gets to a put"},
			&cli.BoolFlag{Name: "verify", Usage: "with --s3: compare every byte that is read"},
			&cli.IntFlag{Name: "server-pid", Usage: "with --s3: `PID` of the server, whose processor time is counted", DefaultText: "who listens on the port"},
			&cli.StringFlag{Name: "scratch", Usage: "`DIRECTORY` for scratch files, removed at the end", DefaultText: "the system's temporary directory"},
			&cli.StringFlag{Name: "scheme", Usage: "redundancy, as `rs:K+M`, replica:N or lrc:K+L+R", Value: d.Scheme.String()},
			&cli.StringSliceFlag{Name: "size", Usage: "`SIZES` of small objects, or none", Value: cli.NewStringSlice("4KiB", "64KiB", "1MiB")},
			&cli.IntSliceFlag{Name: "concurrency", Usage: "`NUMBERS` of operations at a time", Value: cli.NewIntSlice(d.Concurrency...)},
			&cli.Float64Flag{Name: "seconds", Usage: "`SECONDS` a round of one kind", Value: d.Time.Seconds()},
			&cli.IntFlag{Name: "rounds", Usage: "`N` rounds, the programs taking turns", Value: d.Rounds},
			&cli.StringFlag{Name: "large", Usage: "`SIZE` of the object that is streamed, or none", Value: "256MiB"},
			&cli.StringFlag{Name: "upkeep", Usage: "measure repair of a lost disk that holds `SIZE` too, and scrub of all disks; nothing of them is in memory when it begins", DefaultText: "neither"},
			&cli.IntFlag{Name: "keys", Usage: "`N` keys to list; 0 for none", Value: d.Keys},
			&cli.IntFlag{Name: "writers", Usage: "`N` shards of a small object that the plain loop writes and syncs at a time", Value: 1},
			&cli.BoolFlag{Name: "loop", Usage: "measure the plain loop too; --loop=false for wattle alone", Value: true},
		},
		Action: benchAction,
	}
}

func benchAction(c *cli.Context) error {
	e := envOf(c)
	if c.Args().Present() {
		return usage("bench takes no argument, and %q was given; --scratch names a directory", c.Args().First())
	}
	cfg, err := benchConfig(c)
	if err != nil {
		return err
	}
	if c.IsSet("s3") {
		return benchS3(c, cfg)
	}
	cfg.Progress = func(what string) { e.talk("%s", what) }
	r, err := bench.Run(c.Context, cfg)
	if err != nil {
		return err
	}
	if e.json {
		return e.document(benchJSON(r))
	}
	fmt.Fprintf(e.out, "%s on %s; peak memory %s\n\n", r.Scheme, r.FileSystem, humanize.IBytes(uint64(r.PeakMemory)))
	t := newTable("operation", "size", "at a time", "MB/s", "objects/s", "p50", "p99", "CPU s/GB", "CPU/op", "batch", "writes/op", "syncs/op", "reads/op", "bytes/op", "time ÷", "CPU ÷", "of")
	for _, row := range benchJSON(r).Rows {
		t.AppendRow(row.cells())
	}
	show(e.out, t)
	return nil
}

func benchConfig(c *cli.Context) (bench.Config, error) {
	cfg := bench.Config{Dir: c.String("scratch"), Rounds: c.Int("rounds"), Loop: c.Bool("loop"), Writers: c.Int("writers"), Concurrency: c.IntSlice("concurrency"),
		Time: time.Duration(c.Float64("seconds") * float64(time.Second)), Keys: c.Int("keys"), Sizes: []int64{}}
	var err error
	if cfg.Scheme, err = erasure.Parse(c.String("scheme")); err != nil {
		return cfg, err
	}
	if cfg.Dir != "" {
		if info, err := os.Stat(cfg.Dir); err != nil {
			return cfg, usage("--scratch: %w; name a directory that exists", err)
		} else if !info.IsDir() {
			return cfg, usage("--scratch %s is not a directory", cfg.Dir)
		}
	}
	for _, s := range c.StringSlice("size") {
		if s == "none" {
			continue
		}
		n, err := humanize.ParseBytes(s)
		if err != nil || n > 1<<30 {
			return cfg, usage("--size %q: want a size of up to 1GiB such as 4KiB", s)
		}
		cfg.Sizes = append(cfg.Sizes, int64(n))
	}
	if cfg.Writers < 1 || cfg.Writers > cfg.Scheme.N() {
		return cfg, usage("--writers %d: want 1 to %d, the shards of %s", cfg.Writers, cfg.Scheme.N(), cfg.Scheme)
	}
	for _, n := range cfg.Concurrency {
		if n < 1 || n > 4096 {
			return cfg, usage("--concurrency %d: want 1 to 4096", n)
		}
	}
	if cfg.Large = -1; c.String("large") != "none" {
		n, err := humanize.ParseBytes(c.String("large"))
		if err != nil || n == 0 || n > 1<<42 {
			return cfg, usage("--large %q: want a size such as 1GiB, or none", c.String("large"))
		}
		cfg.Large = int64(n)
	}
	if text := c.String("upkeep"); text != "" && text != "none" {
		n, err := humanize.ParseBytes(text)
		if err != nil || n == 0 || n > 1<<42 {
			return cfg, usage("--upkeep %q: want what a disk holds, such as 10GB, or none", text)
		}
		cfg.Upkeep = int64(n)
	}
	if cfg.Keys <= 0 {
		cfg.Keys = -1
	}
	if cfg.Rounds < 1 || cfg.Time <= 0 || cfg.Time > time.Hour {
		return cfg, usage("--rounds %d and --seconds %v: want at least 1 round and more than 0 seconds", cfg.Rounds, c.Float64("seconds"))
	}
	return cfg, nil
}

// A benchReport is what `bench --json` prints.
type benchReport struct {
	Scheme     string     `json:"scheme"`
	FileSystem string     `json:"file_system"`
	PeakMemory int64      `json:"peak_memory_bytes"`
	Rows       []benchRow `json:"rows"`
}

type benchRow struct {
	Operation   string     `json:"operation"`
	Size        int64      `json:"size_bytes"`
	Concurrency int        `json:"concurrency"`
	Store       benchRate  `json:"wattle"`
	Other       *benchRate `json:"other,omitempty"`
	Against     string     `json:"against,omitempty"`
	WallRatio   float64    `json:"wall_ratio,omitempty"`
	CPURatio    float64    `json:"cpu_ratio,omitempty"`
}

type benchRate struct {
	Rounds       int     `json:"rounds"`
	Operations   int64   `json:"operations"`
	MBPerSecond  float64 `json:"mb_per_second"`
	PerSecond    float64 `json:"operations_per_second"`
	P50          float64 `json:"p50_ms"`
	P99          float64 `json:"p99_ms"`
	CPUPerGB     float64 `json:"cpu_seconds_per_gb"`
	CPUPerOp     float64 `json:"cpu_ms_per_operation"`
	Batch        float64 `json:"mean_batch,omitempty"`
	WritesPerOp  float64 `json:"writes_per_operation"`
	SyncsPerOp   float64 `json:"syncs_per_operation"`
	ReadsPerOp   float64 `json:"reads_per_operation"`
	WrittenPerOp float64 `json:"bytes_written_per_operation"`
	ReadPerOp    float64 `json:"bytes_read_per_operation"`
}

func rateOf(list []bench.Sample) benchRate {
	s := bench.Typical(list)
	n, wall := float64(max(1, s.Operations)), s.Wall.Seconds()
	r := benchRate{Rounds: len(list), Operations: s.Operations, PerSecond: n / wall, MBPerSecond: float64(s.Bytes) / 1e6 / wall,
		P50: float64(s.Percentile(50)) / 1e6, P99: float64(s.Percentile(99)) / 1e6, CPUPerOp: s.CPU.Seconds() * 1e3 / n,
		WritesPerOp: float64(s.Counts.Writes) / n, SyncsPerOp: float64(s.Counts.Syncs) / n, ReadsPerOp: float64(s.Counts.Reads) / n,
		WrittenPerOp: float64(s.Counts.BytesWritten) / n, ReadPerOp: float64(s.Counts.BytesRead) / n}
	if s.Bytes > 0 {
		r.CPUPerGB = s.CPU.Seconds() / (float64(s.Bytes) / 1e9)
	}
	if s.Counts.Batches > 0 {
		r.Batch = n / float64(s.Counts.Batches)
	}
	return r
}

func benchJSON(r bench.Report) benchReport {
	out := benchReport{Scheme: r.Scheme, FileSystem: r.FileSystem, PeakMemory: r.PeakMemory}
	for _, row := range r.Rows {
		b := benchRow{Operation: row.Operation, Size: row.Size, Concurrency: row.Concurrency, Store: rateOf(row.Store), Against: row.Against}
		if len(row.Other) > 0 {
			o := rateOf(row.Other)
			b.Other = &o
			b.WallRatio, b.CPURatio = row.Ratio()
		}
		out.Rows = append(out.Rows, b)
	}
	return out
}

func (r benchRow) cells() []any {
	number := func(v float64) string {
		if v == 0 {
			return "-"
		}
		return fmt.Sprintf("%.3g", v)
	}
	whole := func(v float64) string { return humanize.Comma(int64(v + 0.5)) }
	milli := func(v float64) string { return time.Duration(v * 1e6).Round(time.Microsecond).String() }
	s := r.Store
	size := "-"
	if r.Size > 0 {
		size = humanize.IBytes(uint64(r.Size))
	}
	return []any{r.Operation, size, r.Concurrency, number(s.MBPerSecond), whole(s.PerSecond), milli(s.P50), milli(s.P99), number(s.CPUPerGB), milli(s.CPUPerOp), number(s.Batch),
		number(s.WritesPerOp), number(s.SyncsPerOp), number(s.ReadsPerOp), whole(s.WrittenPerOp + s.ReadPerOp), number(r.WallRatio), number(r.CPURatio), r.Against}
}
