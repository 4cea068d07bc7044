package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/cluster"
	"github.com/wattle-storage/wattle/dashboard"
	"github.com/wattle-storage/wattle/energy"
	"github.com/wattle-storage/wattle/gateway"
)

func serveCommand() *cli.Command {
	return &cli.Command{
		Name: "serve", Category: "cluster",
		Usage: "serve the cluster over the S3 protocol",
		Description: "The root key comes from WATTLE_ROOT_USER and WATTLE_ROOT_PASSWORD; without them one is made and printed\nonce. The server stops on SIGINT or SIGTERM after the requests in flight, and reads its certificate\nagain on SIGHUP.\n\n" +
			examples("wattle serve", "wattle serve --listen 127.0.0.1:9000",
				"wattle serve --listen :9000 --cert tls.crt --key tls.key"),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "listen", Usage: "`HOST:PORT` to listen on", Value: "127.0.0.1:9000", EnvVars: []string{"WATTLE_LISTEN"}},
			&cli.StringFlag{Name: "dashboard", Usage: "`HOST:PORT` of the page to look at, or off", Value: dashboard.DefaultAddress, EnvVars: []string{"WATTLE_DASHBOARD"}},
			&cli.BoolFlag{Name: "dashboard-sign-in", Usage: "want an administrator's key for the dashboard from this machine too, as is right behind a proxy"},
			&cli.BoolFlag{Name: "dashboard-read-only", Usage: "no buttons to fail and restore disks of a simulated cluster"},
			&cli.StringFlag{Name: "region", Usage: "`NAME` of the region that requests are signed for", Value: "us-east-1", EnvVars: []string{"WATTLE_REGION"}},
			&cli.StringFlag{Name: "domain", Usage: "take requests for BUCKET.`DOMAIN` too", EnvVars: []string{"WATTLE_DOMAIN"}},
			&cli.StringFlag{Name: "cert", Usage: "certificate `FILE` (PEM); makes it HTTPS", EnvVars: []string{"WATTLE_CERT"}},
			&cli.StringFlag{Name: "key", Usage: "private key `FILE` of the certificate (PEM)", EnvVars: []string{"WATTLE_KEY"}},
			&cli.BoolFlag{Name: "insecure", Usage: "allow plain HTTP on an address that others can reach"},
			&cli.StringFlag{Name: "etag", Usage: "`KIND` of ETags: md5, or opaque, which saves the processor time of MD5", Value: "md5"},
			&cli.IntFlag{Name: "connections", Usage: "serve at most `N` connections", Value: 4096},
			&cli.IntFlag{Name: "requests", Usage: "serve at most `N` requests at a time; more are told to slow down", Value: 1024},
			&cli.DurationFlag{Name: "grace", Usage: "`TIME` that requests in flight have to end when the server stops", Value: 30 * time.Second},
			&cli.DurationFlag{Name: "abort-uploads-after", Usage: "drop multipart uploads that are older than `TIME`; 0 keeps them", Value: 7 * 24 * time.Hour},
			&cli.IntFlag{Name: "upkeep-rate", Usage: "`MB` a second that repair, scrub and compaction may read and write; 0 leaves them to the commands", Value: 50},
			&cli.StringFlag{Name: "standby", Usage: "ship the catalog's changes to `DIRECTORY`, as `wattle standby` does", EnvVars: []string{"WATTLE_STANDBY"}},
			&cli.DurationFlag{Name: "standby-every", Value: 100 * time.Millisecond, Usage: "let changes that come within `TIME` go together"},
			&cli.StringFlag{Name: "grid", Usage: "say the grams of CO2e of requests too, by the grid of a `COUNTRY` such as FR, or by g/kWh"},
			&cli.StringFlag{Name: "log", Usage: "`KIND` of request log on stderr: text, json or none", Value: "text"},
		},
		Action: serveAction,
	}
}

// memoryGoal is what the garbage collector keeps the server's memory near, by collecting more
// often: twice the stripes in flight and what thousands of connections need.
const memoryGoal = 224 << 20

func serveAction(c *cli.Context) error {
	e := envOf(c)
	if c.Args().Present() {
		return usage("serve takes no argument, and %q was given; --dir names the cluster", c.Args().First())
	}
	log, err := logger(c.String("log"), c.App.ErrWriter)
	if err != nil {
		return err
	}
	if k := c.String("etag"); k != "md5" && k != "opaque" {
		return usage("--etag %q: want md5 or opaque", k)
	}
	if every := c.Duration("standby-every"); every < 0 || every > time.Hour {
		return usage("--standby-every %v: want 0 up to an hour", every)
	}
	grid, err := gridOf(c.String("grid"))
	if err != nil {
		return err
	}
	root, made, err := rootKey(os.Getenv)
	if err != nil {
		return err
	}
	o := gateway.Options{Address: c.String("listen"), Region: c.String("region"), Domain: c.String("domain"), CertFile: c.String("cert"), KeyFile: c.String("key"),
		Insecure: c.Bool("insecure"), OpaqueETags: c.String("etag") == "opaque", Connections: c.Int("connections"), Requests: c.Int("requests"),
		Root: root, MetricsToken: os.Getenv("WATTLE_METRICS_TOKEN"), Log: log, Grid: grid}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryGoal)
	}
	return e.with(c.Context, false, func(cl *cluster.Cluster) error {
		users, err := usersOf(cl, e.dir)
		if err != nil {
			return err
		}
		o.Users = users
		srv, err := gateway.New(cl, o)
		if err != nil {
			return usageError{err}
		}
		kept := &dashboard.Upkeep{Rate: int64(c.Int("upkeep-rate")) * 1_000_000}
		page, err := newPage(c, cl, o, kept, log)
		if err != nil {
			return err
		}
		ready := func() {
			scheme := "http"
			if o.CertFile != "" {
				scheme = "https"
			}
			fmt.Fprintf(e.out, "serving %s at %s://%s, region %s\n", e.dir, scheme, o.Address, o.Region)
			if page != nil {
				fmt.Fprintf(e.out, "dashboard at %s\n", page.url())
			}
			if made {
				fmt.Fprintf(e.out, "access key %s\nsecret key %s\n(made for this run; set WATTLE_ROOT_USER and WATTLE_ROOT_PASSWORD to choose)\n", root.Access, root.Secret)
			}
		}
		ctx, stop := context.WithCancel(c.Context)
		jobs := gateway.NewUpkeep(cl)
		var beside sync.WaitGroup
		defer beside.Wait()
		defer stop()
		beside.Go(func() {
			if err := gateway.ServeAdmin(ctx, filepath.Join(e.dir, adminSocket), users, jobs); err != nil {
				log.Error("commands cannot reach this server", "error", err)
			}
		})
		if kept.Rate > 0 {
			beside.Go(func() { upkeep(ctx, cl, jobs, log, kept) })
		}
		if to := c.String("standby"); to != "" {
			beside.Go(func() { standby(ctx, cl, log, to, c.Duration("standby-every")) })
		}
		if page != nil {
			beside.Go(func() {
				if err := page.run(ctx); err != nil {
					log.Error("dashboard", "error", err)
				}
			})
		}
		return runServe(c.Context, srv, page, cl, log, c.Duration("grace"), c.Duration("abort-uploads-after"), ready)
	})
}

// runServe serves until ctx ends, then lets the requests in flight end.
func runServe(ctx context.Context, srv *gateway.Server, page *page, cl *cluster.Cluster, log *slog.Logger, grace, uploads time.Duration, ready func()) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ready) }()
	sweep := time.NewTicker(10 * time.Minute)
	defer sweep.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-hup:
			if err := errors.Join(srv.Reload(), page.reload()); err != nil {
				log.Error("certificate not read again", "error", err)
			}
		case now := <-sweep.C:
			if uploads > 0 {
				dropUploads(ctx, cl, log, now.Add(-uploads))
			}
			if n, err := gateway.Expire(ctx, cl, now); err != nil {
				log.Error("lifecycle", "error", err)
			} else if n > 0 {
				log.Info("lifecycle", "ended", n)
			}
		case <-ctx.Done():
			limit, cancel := context.WithTimeout(context.Background(), grace)
			defer cancel()
			err := srv.Shutdown(limit)
			<-done //nolint:errcheck // it served until it was told to end
			return err
		}
	}
}

func dropUploads(ctx context.Context, cl *cluster.Cluster, log *slog.Logger, before time.Time) {
	old, err := cl.AbortUploadsBefore(ctx, before)
	for _, u := range old {
		log.Info("old upload dropped", "bucket", u.Bucket, "key", u.Key, "upload", u.ID, "begun", u.Created)
	}
	if err != nil {
		log.Error("drop old uploads", "error", err)
	}
}

func logger(kind string, w io.Writer) (*slog.Logger, error) {
	switch kind {
	case "text":
		return slog.New(slog.NewTextHandler(w, nil)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, nil)), nil
	case "none":
		return slog.New(slog.DiscardHandler), nil
	}
	return nil, usage("--log %q: want text, json or none", kind)
}

// gridOf reads the carbon intensity that --grid gives: of a country, or itself.
func gridOf(text string) (energy.Estimate, error) {
	if text == "" {
		return energy.Estimate{}, nil
	}
	if g, err := strconv.ParseFloat(text, 64); err == nil {
		if !(g > 0 && g <= 5000) {
			return energy.Estimate{}, usage("--grid %s: want g/kWh above 0 and up to 5000, or a country such as FR", text)
		}
		return energy.Point(g, "g/kWh", energy.Input, "serve --grid"), nil
	}
	e, err := energy.Intensity(text, "")
	if err != nil {
		return e, usage("--grid: %w", err)
	}
	e.Source += " " + strings.ToUpper(text)
	return e, nil
}

// rootKey takes the root key from the environment, or makes one.
func rootKey(getenv func(string) string) (k gateway.Credentials, made bool, err error) {
	k = gateway.Credentials{Access: getenv("WATTLE_ROOT_USER"), Secret: getenv("WATTLE_ROOT_PASSWORD")}
	switch {
	case k.Access == "" && k.Secret == "":
		return gateway.NewKey(), true, nil
	case k.Access == "" || k.Secret == "":
		return k, false, usage("set both WATTLE_ROOT_USER and WATTLE_ROOT_PASSWORD, or neither")
	case len(k.Secret) < 8:
		return k, false, usage("WATTLE_ROOT_PASSWORD has %d characters, and at least 8 are needed", len(k.Secret))
	}
	return k, false, nil
}

// standby ships the catalog's changes elsewhere until ctx ends.
func standby(ctx context.Context, cl *cluster.Cluster, log *slog.Logger, dir string, every time.Duration) {
	err := cl.Follow(ctx, dir, every, func(s cluster.StandbyStatus, err error) {
		if err != nil {
			log.Error("standby is behind, and catches up when it can", "directory", s.Directory, "batch", s.Batch, "even", s.Even, "error", err)
			return
		}
		log.Info("standby", "directory", s.Directory, "copy", s.CopyBatch, "batch", s.Batch)
	})
	if err != nil && ctx.Err() == nil {
		log.Error("standby: nothing is shipped any more", "directory", dir, "error", err)
	}
}

// Times between rounds of upkeep.
const (
	repairEvery  = time.Minute
	compactEvery = 24 * time.Hour
	scrubEvery   = 7 * 24 * time.Hour
)

// upkeep repairs what is degraded, compacts and scrubs, one after another, until ctx ends.
func upkeep(ctx context.Context, cl *cluster.Cluster, jobs *gateway.Upkeep, log *slog.Logger, kept *dashboard.Upkeep) {
	rate := kept.Rate
	done := func(what string, err error) {
		if err != nil && ctx.Err() == nil {
			log.Error(what, "error", err)
		}
	}
	compacted, scrubbed := time.Now(), time.Now()
	tick := time.NewTicker(repairEvery)
	defer tick.Stop()
	for {
		kept.Next(time.Now().Add(repairEvery))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-kept.Hurried():
			tick.Reset(repairEvery)
		}
		s, err := cl.Status(ctx)
		done("status", err)
		if err == nil && s.PendingRepairs+s.Stripes.Degraded > 0 {
			kept.Begin(time.Now())
			r, err := jobs.RepairWith(ctx, cluster.RepairOptions{Rate: rate, Progress: kept.Progress})
			kept.End(time.Now(), r)
			done("repair", err)
			if r.Shards > 0 {
				log.Info("repaired", "stripes", r.Stripes, "shards", r.Shards, "left", r.Left, "lost", r.Lost)
			}
		}
		if now := time.Now(); now.Sub(compacted) > compactEvery {
			compacted = now
			r, err := jobs.Compact(ctx, cluster.CompactOptions{Rate: rate})
			done("compact", err)
			log.Info("compacted", "stripes", r.Stripes, "moved_bytes", r.MovedBytes)
		}
		if now := time.Now(); now.Sub(scrubbed) > scrubEvery {
			scrubbed = now
			r, err := jobs.Scrub(ctx, cluster.ScrubOptions{Rate: rate})
			done("scrub", err)
			log.Info("scrubbed", "shards", r.Shards, "corrupt", r.Corrupt, "missing", r.Missing, "complete", r.Complete)
		}
	}
}
