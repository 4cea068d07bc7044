package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/cluster"
	"github.com/wattle-storage/wattle/gateway"
)

func bucketCommand() *cli.Command {
	return &cli.Command{
		Name: "bucket", Category: "cluster", ArgsUsage: "list|limit [BUCKET]",
		Usage: "show what buckets hold and may hold; set their quotas and rates",
		Description: "Limits bind what comes over S3, and not the commands. Quotas count all versions and the parts of\n" +
			"uploads; what would go over is refused with QuotaExceeded (403), what comes too fast with SlowDown\n" +
			"(503). Works with and without a running server.\n\n" +
			examples("wattle bucket list", "wattle bucket limit photos --bytes 10GB --objects 100000", "wattle bucket limit photos --requests 50 --rate 20MB", "wattle bucket limit photos --bytes none"),
		Flags: limitFlags(),
		Action: func(c *cli.Context) error {
			switch verb := c.Args().First(); {
			case verb == "list" && c.NArg() == 1:
				return bucketList(c)
			case verb == "limit" && c.NArg() == 2:
				return bucketLimit(c, c.Args().Get(1))
			}
			return usage("bucket takes list, or limit BUCKET")
		},
	}
}

func limitFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "bytes", Usage: "hold at most `SIZE`, or none for no limit"},
		&cli.StringFlag{Name: "objects", Usage: "hold at most `N` objects, or none"},
		&cli.StringFlag{Name: "requests", Usage: "serve at most `N` requests a second, or none"},
		&cli.StringFlag{Name: "rate", Usage: "move at most `SIZE` of bodies a second, or none"},
	}
}

// limits takes those that flags give into l.
func limits(c *cli.Context, l gateway.Limits) (gateway.Limits, error) {
	given := false
	for name, into := range map[string]*int64{"bytes": &l.Bytes, "objects": &l.Objects, "rate": &l.Rate} {
		text := c.String(name)
		if text == "" {
			continue
		}
		given = true
		n, err := humanize.ParseBytes(text)
		if text == "none" {
			n = 0
		} else if err != nil || n == 0 || n > 1<<60 {
			return l, usage("--%s %q: want a number above 0, such as 10GB or 1000, or none", name, text)
		}
		*into = int64(n)
	}
	if text := c.String("requests"); text != "" {
		given = true
		n, err := strconv.ParseFloat(text, 64)
		if text == "none" {
			n = 0
		} else if err != nil || !(n > 0 && n <= 1e9) {
			return l, usage("--requests %q: want a number a second above 0, such as 50, or none", text)
		}
		l.Requests = n
	}
	if !given {
		return l, usage("limit: say which, with --bytes, --objects, --requests or --rate")
	}
	return l, nil
}

// tellLimits writes limits for people.
func tellLimits(l gateway.Limits) string {
	s := ""
	add := func(set bool, text string) {
		if set && s != "" {
			s += ", "
		}
		if set {
			s += text
		}
	}
	add(l.Bytes > 0, size(l.Bytes))
	add(l.Objects > 0, humanize.Comma(l.Objects)+" objects")
	add(l.Requests > 0, strconv.FormatFloat(l.Requests, 'g', 6, 64)+" requests/s")
	add(l.Rate > 0, size(l.Rate)+"/s")
	if s == "" {
		return "none"
	}
	return s
}

func bucketLimit(c *cli.Context, bucket string) error {
	e := envOf(c)
	var l gateway.Limits
	err := e.with(c.Context, true, func(cl *cluster.Cluster) error {
		set, err := cl.Settings(c.Context, bucket)
		if err == nil {
			l, err = limits(c, gateway.LimitsOf(set.Values))
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := e.withUsers(c.Context, func(s userStore) error { return s.LimitBucket(c.Context, bucket, l) }); err != nil {
		return err
	}
	if e.json {
		return e.document(l)
	}
	fmt.Fprintf(e.out, "%s: limits %s\n", bucket, tellLimits(l))
	return nil
}

// A bucketLine is what `bucket list` says of one.
type bucketLine struct {
	Bucket string         `json:"bucket"`
	Owner  string         `json:"owner,omitempty"` // of one that was made over S3
	Usage  cluster.Usage  `json:"usage"`
	Limits gateway.Limits `json:"limits"`
}

func bucketList(c *cli.Context) error {
	e := envOf(c)
	return e.with(c.Context, true, func(cl *cluster.Cluster) error {
		list, err := bucketLines(c.Context, cl)
		if err != nil {
			return err
		}
		if e.json {
			return e.document(list)
		}
		t := newTable("bucket", "owner", "objects", "bytes", "limits")
		for _, b := range list {
			t.AppendRow([]any{b.Bucket, b.Owner, humanize.Comma(b.Usage.Objects), size(b.Usage.Bytes), tellLimits(b.Limits)})
		}
		show(e.out, t)
		return nil
	})
}

func bucketLines(ctx context.Context, cl *cluster.Cluster) ([]bucketLine, error) {
	names, err := cl.BucketNames(ctx)
	if err != nil {
		return nil, err
	}
	held, err := cl.Usages(ctx)
	if err != nil {
		return nil, err
	}
	list := []bucketLine{}
	for _, name := range names {
		set, err := cl.Settings(ctx, name)
		if err != nil {
			return nil, err
		}
		list = append(list, bucketLine{name, gateway.OwnerOf(set.Values), held[name], gateway.LimitsOf(set.Values)})
	}
	return list, nil
}
