package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/cluster"
)

// object reads an address that names an object.
func object(s string) (bucket, key string, err error) {
	if bucket, key, err = cluster.ParseAddress(s); err == nil && key == "" {
		err = usage("%q names a bucket; want an object, as in bucket/key", s)
	}
	return bucket, key, err
}

func mbCommand() *cli.Command {
	return &cli.Command{
		Name: "mb", Usage: "make buckets", ArgsUsage: "BUCKET…", Category: "objects", Description: examples("wattle mb photos"),
		Action: func(c *cli.Context) error { return eachBucket(c, (*cluster.Cluster).MakeBucket) },
	}
}

func rbCommand() *cli.Command {
	return &cli.Command{
		Name: "rb", Usage: "remove empty buckets", ArgsUsage: "BUCKET…", Category: "objects", Description: examples("wattle rb photos"),
		Action: func(c *cli.Context) error { return eachBucket(c, (*cluster.Cluster).RemoveBucket) },
	}
}

func eachBucket(c *cli.Context, f func(*cluster.Cluster, context.Context, string) error) error {
	if err := arguments(c, 1, -1, "bucket names"); err != nil {
		return err
	}
	e := envOf(c)
	return e.with(c.Context, false, func(cl *cluster.Cluster) error {
		for _, a := range c.Args().Slice() {
			bucket, key, err := cluster.ParseAddress(a)
			if err == nil && key != "" {
				err = usage("%q names an object; want a bucket", a)
			}
			if err == nil {
				err = f(cl, c.Context, bucket)
			}
			if err != nil {
				return err
			}
			if e.json {
				if err := e.emit(map[string]string{"bucket": bucket, "status": "done"}); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func putCommand() *cli.Command {
	return &cli.Command{
		Name: "put", Usage: "store files, a tree or stdin", ArgsUsage: "FILE… BUCKET/KEY", Category: "objects",
		Description: examples("wattle put fjord.jpg photos/2026/fjord.jpg", "wattle put a.txt b.txt texts/", "tar c . | wattle put - backups/home.tar",
			"wattle put -r $(go env GOROOT)/src goroot/src", "wattle put --meta author=me --content-type text/plain notes.txt docs/notes"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "recursive", Aliases: []string{"r"}, Usage: "store a tree; modes and times are kept as metadata"},
			&cli.StringSliceFlag{Name: "meta", Usage: "`NAME=VALUE` to keep beside the object"},
			&cli.StringFlag{Name: "content-type", Usage: "`TYPE` (default: by the file's name)"},
			&cli.BoolFlag{Name: "if-absent", Usage: "fail when the key exists"},
			&cli.BoolFlag{Name: "no-create", Usage: "with -r, do not make the bucket"},
			verboseFlag,
		},
		Action: func(c *cli.Context) error {
			if err := arguments(c, 2, -1, "files and an address"); err != nil {
				return err
			}
			o, err := putOptions(c)
			if err != nil {
				return err
			}
			e, args := envOf(c), c.Args().Slice()
			files, to := args[:len(args)-1], args[len(args)-1]
			return e.with(c.Context, false, func(cl *cluster.Cluster) error {
				if c.Bool("recursive") {
					return putTrees(c.Context, e, cl, files, to, o, !c.Bool("no-create"))
				}
				return putFiles(c.Context, e, cl, files, to, o)
			})
		},
	}
}

func putOptions(c *cli.Context) (cluster.PutOptions, error) {
	o := cluster.PutOptions{ContentType: c.String("content-type"), IfAbsent: c.Bool("if-absent")}
	for _, m := range c.StringSlice("meta") {
		k, v, ok := strings.Cut(m, "=")
		if !ok || k == "" {
			return o, usage("--meta %q: want NAME=VALUE", m)
		}
		if o.Meta == nil {
			o.Meta = map[string]string{}
		}
		o.Meta[k] = v
	}
	return o, nil
}

func putFiles(ctx context.Context, e *env, cl *cluster.Cluster, files []string, to string, o cluster.PutOptions) error {
	bucket, key, err := cluster.ParseAddress(to)
	if err != nil {
		return err
	}
	if len(files) > 1 && key != "" && !strings.HasSuffix(key, "/") {
		return usage("several files need a bucket or a prefix that ends with /, not %q", to)
	}
	for _, f := range files {
		k := key
		if k == "" || strings.HasSuffix(k, "/") {
			if f == "-" {
				return usage("stdin needs a key: want an address such as %s", path.Join(to, "name"))
			}
			k += filepath.Base(f)
		}
		if err := putFile(ctx, e, cl, f, bucket, k, o); err != nil {
			return err
		}
	}
	return nil
}

func putFile(ctx context.Context, e *env, cl *cluster.Cluster, file, bucket, key string, o cluster.PutOptions) error {
	r, total := e.in, int64(0)
	if file != "-" {
		f, err := openFile(ctx, file)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if info.IsDir() {
			return usage("%s is a directory; use put -r", file)
		}
		r, total = f, info.Size()
		o.Size = total
		if o.ContentType == "" {
			o.ContentType = mime.TypeByExtension(filepath.Ext(file))
		}
	}
	b := e.bar(key, total)
	obj, err := cl.Put(ctx, bucket, key, feed{ctx, r, b}, o)
	b.done()
	if err != nil {
		return err
	}
	return e.stored(obj)
}

// openFile opens a file for reading. A pipe that nobody writes to is waited for until ctx ends.
func openFile(ctx context.Context, path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return os.Open(path)
	}
	type opened struct {
		f   *os.File
		err error
	}
	done := make(chan opened, 1)
	go func() {
		f, err := os.Open(path)
		done <- opened{f, err}
	}()
	select {
	case o := <-done:
		return o.f, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// stored answers a put.
func (e *env) stored(o cluster.Object) error {
	if e.json {
		return e.emit(o)
	}
	if o.Missing > 0 {
		e.talk("%s/%s: %d shards could not be placed; it survives %s more until `wattle repair`", o.Bucket, o.Key, o.Missing, count(o.Survives, "loss"))
	}
	if !e.quiet {
		fmt.Fprintf(e.out, "%s/%s  %s  %s\n", o.Bucket, o.Key, size(o.Size), o.Scheme)
	}
	if e.verbose && o.Energy != nil {
		e.talk("%s/%s: %s", o.Bucket, o.Key, told(*o.Energy))
	}
	return nil
}

func getCommand() *cli.Command {
	return &cli.Command{
		Name: "get", Usage: "fetch an object, a tree, or to stdout", ArgsUsage: "BUCKET/KEY [FILE]", Category: "objects",
		Description: examples("wattle get photos/2026/fjord.jpg", "wattle get photos/2026/fjord.jpg copy.jpg", "wattle get backups/home.tar - | tar x",
			"wattle get -r goroot/src out"),
		Flags: []cli.Flag{&cli.BoolFlag{Name: "recursive", Aliases: []string{"r"}, Usage: "fetch all keys below a prefix into a directory"}, verboseFlag},
		Action: func(c *cli.Context) error {
			if err := arguments(c, 1, 2, "an address and perhaps a file"); err != nil {
				return err
			}
			e := envOf(c)
			return e.with(c.Context, true, func(cl *cluster.Cluster) error {
				if c.Bool("recursive") {
					return getTree(c.Context, e, cl, c.Args().Get(0), c.Args().Get(1))
				}
				bucket, key, err := object(c.Args().Get(0))
				if err != nil {
					return err
				}
				file := c.Args().Get(1)
				if file == "" {
					file = path.Base(key)
				}
				return getObject(c.Context, e, cl, bucket, key, file, cluster.GetOptions{})
			})
		},
	}
}

func catCommand() *cli.Command {
	return &cli.Command{
		Name: "cat", Usage: "write objects to stdout", ArgsUsage: "BUCKET/KEY…", Category: "objects",
		Description: examples("wattle cat docs/notes", "wattle cat --offset -100 logs/today", "wattle cat --offset 1048576 --length 4096 data/blob"),
		Flags: []cli.Flag{
			&cli.Int64Flag{Name: "offset", Usage: "begin at this byte; below 0 counts from the end"},
			&cli.Int64Flag{Name: "length", Usage: "at most this many bytes"},
		},
		Action: func(c *cli.Context) error {
			if err := arguments(c, 1, -1, "addresses"); err != nil {
				return err
			}
			if c.Int64("length") < 0 || c.IsSet("length") && c.Int64("length") == 0 {
				return usage("--length %d: want 1 or more", c.Int64("length"))
			}
			e := envOf(c)
			return e.with(c.Context, true, func(cl *cluster.Cluster) error {
				var degraded error
				for _, a := range c.Args().Slice() {
					bucket, key, err := object(a)
					if err == nil {
						err = getObject(c.Context, e, cl, bucket, key, "-", cluster.GetOptions{Offset: c.Int64("offset"), Length: c.Int64("length")})
					}
					if errors.Is(err, errDegraded) {
						degraded, err = err, nil
					}
					if err != nil {
						return err
					}
				}
				return degraded
			})
		},
	}
}

// getObject writes an object to a file, which appears whole or not at all, or to stdout.
func getObject(ctx context.Context, e *env, cl *cluster.Cluster, bucket, key, file string, o cluster.GetOptions) error {
	r, err := cl.Get(ctx, bucket, key, o)
	if err != nil {
		return err
	}
	defer r.Close()
	b := e.bar(key, r.Object().Size)
	if file == "-" {
		_, err = io.Copy(e.out, counted{r, b})
	} else {
		if info, e := os.Stat(file); e == nil && info.IsDir() {
			file = filepath.Join(file, path.Base(key))
		}
		err = writeWhole(file, counted{r, b})
	}
	b.done()
	if err != nil {
		return err
	}
	d, spent := r.Degraded(), r.Energy()
	if e.verbose {
		e.talk("%s/%s: %s", bucket, key, told(spent))
	}
	if e.json && file != "-" {
		o := r.Object()
		if err := e.emit(gotten{o.Bucket, o.Key, file, o.Size, d, spent}); err != nil {
			return err
		}
	}
	if d.Shards > 0 {
		return degradedError(bucket+"/"+key, d)
	}
	return nil
}

// gotten is the answer of a get to a file.
type gotten struct {
	Bucket   string           `json:"bucket"`
	Key      string           `json:"key"`
	File     string           `json:"file"`
	Size     int64            `json:"size"`
	Degraded cluster.Degraded `json:"degraded"`
	Energy   cluster.Spent    `json:"energy"`
}

func degradedError(what string, d cluster.Degraded) error {
	return fmt.Errorf("%s: %w: %s rebuilt (%s); `wattle repair` makes them anew", what, errDegraded, count(d.Shards, "shard"), shorten(d.Disks, 3))
}

func shorten(list []string, n int) string {
	if len(list) == 0 {
		return "never placed"
	}
	if len(list) > n {
		list = append(slices.Clone(list[:n]), fmt.Sprintf("and %d more", len(list)-n))
	}
	return strings.Join(list, ", ")
}

// counted tells a bar what goes through.
type counted struct {
	cluster.Reader
	b *bar
}

func (c counted) WriteTo(w io.Writer) (int64, error) {
	return c.Reader.WriteTo(tally{w, c.b})
}

type tally struct {
	w io.Writer
	b *bar
}

func (t tally) Write(p []byte) (int, error) {
	n, err := t.w.Write(p)
	t.b.add(int64(n))
	return n, err
}

// writeWhole writes a file under another name and renames it when it is whole.
func writeWhole(file string, r io.WriterTo) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".wattle-*")
	if err != nil {
		return err
	}
	_, err = r.WriteTo(f)
	if err == nil {
		err = f.Chmod(0o644)
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

func lsCommand() *cli.Command {
	return &cli.Command{
		Name: "ls", Usage: "list buckets, or keys", ArgsUsage: "[BUCKET[/PREFIX]]", Category: "objects",
		Description: examples("wattle ls", "wattle ls photos", "wattle ls -r photos/2026/"),
		Flags:       []cli.Flag{&cli.BoolFlag{Name: "recursive", Aliases: []string{"r"}, Usage: "list all keys below, not only the next level"}},
		Action: func(c *cli.Context) error {
			if err := arguments(c, 0, 1, "at most one address"); err != nil {
				return err
			}
			e := envOf(c)
			return e.with(c.Context, true, func(cl *cluster.Cluster) error {
				if !c.Args().Present() {
					return listBuckets(c.Context, e, cl)
				}
				bucket, prefix, err := cluster.ParseAddress(c.Args().First())
				if err != nil {
					return err
				}
				delimiter := "/"
				if c.Bool("recursive") {
					delimiter = ""
				}
				return listKeys(c.Context, e, cl, bucket, prefix, delimiter)
			})
		},
	}
}

func listBuckets(ctx context.Context, e *env, cl *cluster.Cluster) error {
	list, err := cl.Buckets(ctx)
	if err != nil {
		return err
	}
	t := newTable("bucket", "objects", "size", "made")
	for _, b := range list {
		if e.json {
			if err := e.emit(b); err != nil {
				return err
			}
		}
		t.AppendRow([]any{b.Name, humanize.Comma(b.Objects), size(b.Bytes), b.Created.Format("2006-01-02 15:04")})
	}
	if !e.json && len(list) > 0 {
		show(e.out, t)
	}
	return nil
}

func listKeys(ctx context.Context, e *env, cl *cluster.Cluster, bucket, prefix, delimiter string) error {
	for after := ""; ; {
		p, err := cl.List(ctx, bucket, cluster.ListOptions{Prefix: prefix, Delimiter: delimiter, After: after})
		if err != nil {
			return err
		}
		type line struct{ key, text string }
		var lines []line
		for _, o := range p.Objects {
			if e.json {
				if err := e.emit(o); err != nil {
					return err
				}
				continue
			}
			lines = append(lines, line{o.Key, fmt.Sprintf("%s  %10s  %s", o.Modified.Format("2006-01-02 15:04"), size(o.Size), o.Key)})
		}
		for _, q := range p.Prefixes {
			if e.json {
				if err := e.emit(map[string]string{"bucket": bucket, "prefix": q}); err != nil {
					return err
				}
				continue
			}
			lines = append(lines, line{q, fmt.Sprintf("%16s  %10s  %s", "", "", q)})
		}
		slices.SortFunc(lines, func(a, b line) int { return strings.Compare(a.key, b.key) })
		for _, l := range lines {
			fmt.Fprintln(e.out, l.text)
		}
		if after = p.Next; after == "" {
			return nil
		}
	}
}

func rmCommand() *cli.Command {
	return &cli.Command{
		Name: "rm", Usage: "delete objects", ArgsUsage: "BUCKET/KEY…", Category: "objects",
		Description: examples("wattle rm photos/old.jpg", "wattle rm -r photos/2019/"),
		Flags:       []cli.Flag{&cli.BoolFlag{Name: "recursive", Aliases: []string{"r"}, Usage: "delete all keys that begin with the address"}},
		Action: func(c *cli.Context) error {
			if err := arguments(c, 1, -1, "addresses"); err != nil {
				return err
			}
			e := envOf(c)
			return e.with(c.Context, false, func(cl *cluster.Cluster) error {
				for _, a := range c.Args().Slice() {
					if err := removeAt(c.Context, e, cl, a, c.Bool("recursive")); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

func removeAt(ctx context.Context, e *env, cl *cluster.Cluster, address string, recursive bool) error {
	bucket, key, err := cluster.ParseAddress(address)
	if err != nil {
		return err
	}
	if !recursive {
		if key == "" {
			return usage("%q names a bucket; to remove it use rb, or rm -r for all that is in it", address)
		}
		if err := cl.Delete(ctx, bucket, key); err != nil {
			return err
		}
		return e.removed(bucket, key)
	}
	for {
		p, err := cl.List(ctx, bucket, cluster.ListOptions{Prefix: key})
		if err != nil || len(p.Objects) == 0 {
			return err
		}
		err = parallel(p.Objects, 64, func(o cluster.Object) error { return cl.Delete(ctx, bucket, o.Key) })
		if err != nil {
			return err
		}
		for _, o := range p.Objects {
			if err := e.removed(bucket, o.Key); err != nil {
				return err
			}
		}
	}
}

func (e *env) removed(bucket, key string) error {
	if e.json {
		return e.emit(map[string]string{"bucket": bucket, "key": key, "status": "deleted"})
	}
	return nil
}

func statCommand() *cli.Command {
	return &cli.Command{
		Name: "stat", Usage: "say what is known of an object", ArgsUsage: "BUCKET/KEY…", Category: "objects", Description: examples("wattle stat photos/fjord.jpg"),
		Action: func(c *cli.Context) error {
			if err := arguments(c, 1, -1, "addresses"); err != nil {
				return err
			}
			e := envOf(c)
			return e.with(c.Context, true, func(cl *cluster.Cluster) error {
				for _, a := range c.Args().Slice() {
					bucket, key, err := object(a)
					if err != nil {
						return err
					}
					o, err := cl.Stat(c.Context, bucket, key)
					if err != nil {
						return err
					}
					if err := showObject(e, o); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

func showObject(e *env, o cluster.Object) error {
	if e.json {
		return e.emit(o)
	}
	fmt.Fprintf(e.out, "%s/%s\n  size      %s (%s bytes)\n  modified  %s\n  scheme    %s, survives %s\n", o.Bucket, o.Key, size(o.Size), humanize.Comma(o.Size),
		o.Modified.Format("2006-01-02 15:04:05 MST"), o.Scheme, count(o.Survives, "more loss"))
	if o.Missing > 0 {
		fmt.Fprintf(e.out, "  degraded  %s out of reach\n", count(o.Missing, "shard"))
	}
	if o.ContentType != "" {
		fmt.Fprintf(e.out, "  type      %s\n", o.ContentType)
	}
	for _, k := range slices.Sorted(maps.Keys(o.Meta)) {
		fmt.Fprintf(e.out, "  meta      %s=%s\n", k, o.Meta[k])
	}
	return nil
}

func cpCommand() *cli.Command {
	return &cli.Command{
		Name: "cp", Usage: "copy an object; the copy shares its bytes", ArgsUsage: "BUCKET/KEY BUCKET/KEY", Category: "objects",
		Description: examples("wattle cp photos/fjord.jpg archive/fjord.jpg"),
		Action: func(c *cli.Context) error {
			if err := arguments(c, 2, 2, "two addresses"); err != nil {
				return err
			}
			fromBucket, fromKey, err := object(c.Args().Get(0))
			if err != nil {
				return err
			}
			bucket, key, err := cluster.ParseAddress(c.Args().Get(1))
			if err != nil {
				return err
			}
			if key == "" || strings.HasSuffix(key, "/") {
				key += path.Base(fromKey)
			}
			e := envOf(c)
			return e.with(c.Context, false, func(cl *cluster.Cluster) error {
				o, err := cl.Copy(c.Context, fromBucket, fromKey, bucket, key, cluster.PutOptions{})
				if err != nil {
					return err
				}
				if e.json {
					return e.emit(o)
				}
				return nil
			})
		},
	}
}

func duCommand() *cli.Command {
	return &cli.Command{
		Name: "du", Usage: "sum sizes below an address", ArgsUsage: "[BUCKET[/PREFIX]]", Category: "objects", Description: examples("wattle du", "wattle du photos/2026/"),
		Action: func(c *cli.Context) error {
			if err := arguments(c, 0, 1, "at most one address"); err != nil {
				return err
			}
			e := envOf(c)
			return e.with(c.Context, true, func(cl *cluster.Cluster) error {
				o := cluster.FindOptions{}
				if a := c.Args().First(); a != "" {
					var err error
					if o.Bucket, o.Prefix, err = cluster.ParseAddress(a); err != nil {
						return err
					}
				}
				var objects, bytes int64
				err := cl.Find(c.Context, o, func(o cluster.Object) error {
					objects++
					bytes += o.Size
					return nil
				})
				if err != nil {
					return err
				}
				raw := int64(float64(bytes) * cl.Scheme().Overhead())
				if e.json {
					return e.emit(map[string]any{"address": c.Args().First(), "objects": objects, "bytes": bytes, "raw_bytes_full_stripes": raw})
				}
				fmt.Fprintf(e.out, "%s in %s; %s raw in full stripes of %s\n", size(bytes), count(int(objects), "object"), size(raw), cl.Scheme())
				return nil
			})
		},
	}
}

func findCommand() *cli.Command {
	return &cli.Command{
		Name: "find", Usage: "find objects by metadata", ArgsUsage: "[BUCKET[/PREFIX]]", Category: "objects",
		Description: examples("wattle find photos --meta camera=x100", "wattle find --content-type image/jpeg --larger 10MB"),
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "meta", Usage: "`NAME=VALUE` that must be there"},
			&cli.StringFlag{Name: "content-type", Usage: "`TYPE` that it must have"},
			&cli.StringFlag{Name: "larger", Usage: "at least this `SIZE`"},
			&cli.StringFlag{Name: "smaller", Usage: "at most this `SIZE`"},
		},
		Action: func(c *cli.Context) error {
			if err := arguments(c, 0, 1, "at most one address"); err != nil {
				return err
			}
			o, err := findOptions(c)
			if err != nil {
				return err
			}
			e := envOf(c)
			return e.with(c.Context, true, func(cl *cluster.Cluster) error {
				return cl.Find(c.Context, o, func(o cluster.Object) error {
					if e.json {
						return e.emit(o)
					}
					_, err := fmt.Fprintf(e.out, "%s/%s\n", o.Bucket, o.Key)
					return err
				})
			})
		},
	}
}

func findOptions(c *cli.Context) (o cluster.FindOptions, err error) {
	if a := c.Args().First(); a != "" {
		if o.Bucket, o.Prefix, err = cluster.ParseAddress(a); err != nil {
			return o, err
		}
	}
	p, err := putOptions(c)
	if err != nil {
		return o, err
	}
	o.Meta, o.ContentType = p.Meta, p.ContentType
	for name, to := range map[string]*int64{"larger": &o.MinSize, "smaller": &o.MaxSize} {
		if s := c.String(name); s != "" {
			n, err := humanize.ParseBytes(s)
			if err != nil {
				return o, usage("--%s %q: want a size such as 10MB", name, s)
			}
			*to = int64(n)
		}
	}
	return o, nil
}
