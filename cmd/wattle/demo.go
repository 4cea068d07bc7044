package main

import (
	"context"
	"crypto/sha256"
	"embed"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/cluster"
)

//go:embed samples
var samples embed.FS

func demoCommand() *cli.Command {
	return &cli.Command{
		Name: "demo", Usage: "store, lose a site, read all back, repair, and read the watts, in a temporary cluster", ArgsUsage: "[PATH]", Category: "cluster",
		Description: examples("wattle demo", "wattle demo ~/Pictures"),
		Action: func(c *cli.Context) error {
			if err := arguments(c, 0, 1, "at most one path"); err != nil {
				return err
			}
			return runDemo(c.Context, envOf(c), c.Args().First())
		},
	}
}

// runDemo shows the store at work and leaves nothing behind.
func runDemo(ctx context.Context, e *env, what string) (err error) {
	work, err := os.MkdirTemp("", "wattle-demo-")
	if err != nil {
		return err
	}
	defer func() {
		if e := os.RemoveAll(work); err == nil {
			err = e
		}
	}()
	d := &demo{ctx: ctx, e: e, out: e.out, dir: filepath.Join(work, "cluster")}
	if what == "" {
		if what, err = d.sources(work); err != nil {
			return err
		}
	}
	for _, step := range []func(string) error{d.init, d.put, d.fail, d.readAll, d.repair, d.report} {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := step(what); err != nil {
			return err
		}
	}
	d.say("Done; the cluster in %s is removed.", d.dir)
	return nil
}

type demo struct {
	ctx     context.Context
	e       *env
	out     io.Writer
	dir     string
	files   []entry
	digests map[string][32]byte
	bytes   int64
}

func (d *demo) say(format string, a ...any) { fmt.Fprintf(d.out, format+"\n", a...) }

// sources makes a tree of this executable and the files that are built in.
func (d *demo) sources(work string) (string, error) {
	root := filepath.Join(work, "files")
	if err := os.CopyFS(root, samples); err != nil {
		return "", err
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	in, err := os.Open(self)
	if err != nil {
		return "", err
	}
	defer in.Close()
	out, err := os.Create(filepath.Join(root, "wattle"))
	if err != nil {
		return "", err
	}
	_, err = io.Copy(out, in)
	if e := out.Close(); err == nil {
		err = e
	}
	return root, err
}

func (d *demo) with(readOnly bool, f func(*cluster.Cluster) error) error {
	quiet := &env{dir: d.dir, quiet: true, getenv: func(string) string { return "" }, out: io.Discard, errOut: io.Discard}
	return quiet.with(d.ctx, readOnly, f)
}

func (d *demo) init(string) error {
	if err := cluster.Init(d.dir, cluster.InitOptions{Map: cluster.DefaultMap(3, 2, 2, 3, 0)}); err != nil {
		return err
	}
	d.say("1. A cluster of 3 sites, 12 hosts and 36 drives, helium (5 W) and air (7 W) in turn, as directories.")
	return d.with(false, func(c *cluster.Cluster) error { return c.MakeBucket(d.ctx, "demo") })
}

func (d *demo) put(what string) error {
	info, err := os.Stat(what)
	if err != nil {
		return err
	}
	if info.IsDir() {
		if d.files, err = d.e.walk(what, ""); err != nil {
			return err
		}
	} else {
		d.files = []entry{{what, filepath.Base(what), info}}
	}
	d.digests = map[string][32]byte{}
	for _, f := range d.files {
		if !f.info.Mode().IsRegular() {
			continue
		}
		sum, n, err := digest(func(w io.Writer) error { return copyFile(w, f.path) })
		if err != nil {
			return err
		}
		d.digests[f.key] = sum
		d.bytes += n
	}
	start := time.Now()
	err = d.with(false, func(c *cluster.Cluster) error {
		return parallel(d.files, together, func(f entry) error {
			_, err := putEntry(d.ctx, c, "demo", f, cluster.PutOptions{}, &bar{})
			return err
		})
	})
	if err != nil {
		return err
	}
	d.say("2. Stored %s, %s, in %s as rs:9+6: nine data shards and six parities a stripe, five at each site,\n   synced and acknowledged. Raw bytes: 1.67 for each byte, where three copies take 3.",
		count(len(d.files), "file"), size(d.bytes), time.Since(start).Round(time.Millisecond))
	return nil
}

func copyFile(w io.Writer, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

func digest(write func(io.Writer) error) (sum [32]byte, n int64, err error) {
	h := sha256.New()
	c := &countWriter{w: h}
	err = write(c)
	h.Sum(sum[:0])
	return sum, c.n, err
}

type countWriter struct {
	w io.Writer
	n int64
}

func (c *countWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

func (d *demo) fail(string) error {
	names, err := cluster.Fail(d.dir, "site2")
	if err != nil {
		return err
	}
	d.say("3. Site site2 is lost, with %s: a third of all shards.", count(len(names), "drive"))
	return nil
}

func (d *demo) readAll(string) error {
	start, rebuilt := time.Now(), 0
	err := d.with(true, func(c *cluster.Cluster) error {
		for key, want := range d.digests {
			r, err := c.Get(d.ctx, "demo", key, cluster.GetOptions{})
			if err != nil {
				return err
			}
			got, _, err := digest(func(w io.Writer) error { _, err := r.WriteTo(w); return err })
			rebuilt += r.Degraded().Shards
			r.Close()
			if err != nil {
				return err
			}
			if got != want {
				return fmt.Errorf("%s: its SHA-256 is %x and was %x", path.Join("demo", key), got, want)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	d.say("4. Read everything back from the two sites that are left in %s: every SHA-256 is right;\n   %s were rebuilt on the way.", time.Since(start).Round(time.Millisecond), count(rebuilt, "shard"))
	return nil
}

func (d *demo) repair(string) error {
	if err := os.RemoveAll(filepath.Join(d.dir, "sites", "site2", "rack1")); err != nil {
		return err
	}
	if _, err := cluster.Restore(d.dir, "site2"); err != nil {
		return err
	}
	return d.with(false, func(c *cluster.Cluster) error {
		r, err := c.Repair(d.ctx, nil)
		if err != nil {
			return err
		}
		s, err := c.Status(d.ctx)
		if err != nil {
			return err
		}
		if s.Stripes.Degraded > 0 {
			return fmt.Errorf("%d stripes are still degraded after repair", s.Stripes.Degraded)
		}
		d.say("5. The site returns with one of its racks empty. Repair made %s anew (%s read, %s written)\n   and used the other rack's as they were. Nothing is degraded any more.",
			count(int(r.Shards), "shard"), size(r.BytesRead), size(r.BytesWrite))
		return nil
	})
}

func (d *demo) report(string) error {
	return d.with(true, func(c *cluster.Cluster) error {
		s, err := c.Status(d.ctx)
		if err != nil {
			return err
		}
		d.say("6. The cluster now:\n")
		showStatus(d.out, s)
		r, err := energyReport(d.ctx, c)
		if err != nil {
			return err
		}
		d.say("\n7. What it draws:\n")
		showEnergy(d.out, r, false)
		l, err := ledgerReport(d.ctx, c, false)
		if err != nil {
			return err
		}
		d.say("\n8. And what this demo has used, had it run on such drives:\n")
		showLedger(d.out, l, "cause")
		d.say("")
		return nil
	})
}
