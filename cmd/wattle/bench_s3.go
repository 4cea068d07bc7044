package main

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/bench"
)

// An s3Report is what `bench --s3 --json` prints.
type s3Report struct {
	URL        string  `json:"url"`
	Against    string  `json:"against,omitempty"`
	ServerPID  int     `json:"server_pid,omitempty"`
	PeakMemory int64   `json:"server_peak_memory_bytes,omitempty"`
	Rows       []s3Row `json:"rows"`
}

type s3Row struct {
	Operation   string  `json:"operation"`
	Size        int64   `json:"size_bytes"`
	Concurrency int     `json:"concurrency"`
	Rounds      int     `json:"rounds"`
	Operations  int64   `json:"operations"`
	PerSecond   float64 `json:"operations_per_second"`
	MBPerSecond float64 `json:"mb_per_second"`
	P50         float64 `json:"p50_ms"`
	P99         float64 `json:"p99_ms"`
	ServerPerOp float64 `json:"server_cpu_ms_per_operation,omitempty"`
	ServerPerGB float64 `json:"server_cpu_seconds_per_gb,omitempty"`
	ClientPerOp float64 `json:"client_cpu_ms_per_operation"`
	Other       float64 `json:"other_operations_per_second,omitempty"`
	Ratio       float64 `json:"rate_ratio,omitempty"` // median over the rounds
}

// benchS3 measures an endpoint, ours or another.
func benchS3(c *cli.Context, cfg bench.Config) error {
	e := envOf(c)
	s := bench.S3Config{URL: c.String("s3"), Against: c.String("against"), Region: c.String("region"), Access: firstOf(os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("WATTLE_ROOT_USER")),
		Secret: firstOf(os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("WATTLE_ROOT_PASSWORD")), Sizes: cfg.Sizes, Concurrency: cfg.Concurrency, Time: cfg.Time, Rounds: cfg.Rounds,
		Mixed: c.Bool("mixed"), Verify: c.Bool("verify"), Keys: max(0, cfg.Keys), PID: c.Int("server-pid"), Progress: func(what string) { e.talk("%s", what) }}
	if s.Access == "" || s.Secret == "" {
		return usage("--s3 needs a key: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	if len(s.Sizes) == 0 && s.Keys == 0 {
		return usage("--s3 with --size none and --keys 0 has nothing to do")
	}
	r, err := bench.RunS3(c.Context, s)
	if err != nil {
		return err
	}
	out := s3JSON(r)
	out.Against = s.Against
	if e.json {
		return e.document(out)
	}
	where := "not a process of this machine"
	if r.PID > 0 {
		where = fmt.Sprintf("process %d, peak memory %s", r.PID, humanize.IBytes(uint64(r.PeakMemory)))
	}
	if s.Against != "" {
		where += "; beside " + s.Against
	}
	fmt.Fprintf(e.out, "%s, %s\n\n", r.URL, where)
	t := newTable("operation", "size", "at a time", "operations/s", "MB/s", "p50", "p99", "server CPU/op", "server CPU s/GB", "client CPU/op", "other/s", "rate ÷")
	for _, row := range out.Rows {
		t.AppendRow(row.cells())
	}
	show(e.out, t)
	return nil
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// s3JSON takes of each row the round of median rate.
func s3JSON(r bench.S3Report) s3Report {
	out := s3Report{URL: r.URL, ServerPID: r.PID, PeakMemory: r.PeakMemory}
	for _, row := range r.Rows {
		s := median(row.Rounds)
		n := float64(max(1, s.Operations))
		j := s3Row{Operation: row.Operation, Size: row.Size, Concurrency: row.Concurrency, Rounds: len(row.Rounds), Operations: s.Operations, PerSecond: s.Rate(),
			MBPerSecond: float64(s.Bytes) / 1e6 / s.Wall.Seconds(), P50: float64(s.Percentile(50)) / 1e6, P99: float64(s.Percentile(99)) / 1e6,
			ServerPerOp: s.ServerCPU.Seconds() * 1e3 / n, ClientPerOp: s.CPU.Seconds() * 1e3 / n, Ratio: row.Ratio()}
		if s.Bytes > 0 {
			j.ServerPerGB = s.ServerCPU.Seconds() / (float64(s.Bytes) / 1e9)
		}
		if len(row.Others) > 0 {
			j.Other = median(row.Others).Rate()
		}
		out.Rows = append(out.Rows, j)
	}
	return out
}

// median is the round of median rate.
func median(rounds []bench.S3Sample) bench.S3Sample {
	rounds = slices.SortedFunc(slices.Values(rounds), func(a, b bench.S3Sample) int { return cmp.Compare(a.Rate(), b.Rate()) })
	return rounds[(len(rounds)-1)/2]
}

func (r s3Row) cells() []any {
	milli := func(v float64) string {
		if v == 0 {
			return "-"
		}
		return time.Duration(v * 1e6).Round(time.Microsecond).String()
	}
	number := func(v float64) string {
		if v == 0 {
			return "-"
		}
		return fmt.Sprintf("%.3g", v)
	}
	size := "-"
	if r.Size > 0 {
		size = humanize.IBytes(uint64(r.Size))
	}
	return []any{r.Operation, size, r.Concurrency, humanize.Comma(int64(r.PerSecond + 0.5)), number(r.MBPerSecond), milli(r.P50), milli(r.P99), milli(r.ServerPerOp), number(r.ServerPerGB), milli(r.ClientPerOp), number(r.Other), number(r.Ratio)}
}
