package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/cluster"
)

func exportCommand() *cli.Command {
	return &cli.Command{
		Name: "export", Usage: "read all objects from disks alone, without a cluster around them", ArgsUsage: "DISK… OUT", Category: "cluster",
		Description: "DISK is a directory of a disk, or one that holds some below it: as many as are left. Nothing is\n" +
			"written to them. OUT/BUCKET/KEY gets the newest version of each object; a key that cannot be a\n" +
			"path goes to OUT/BUCKET.keys. OUT/BUCKET.jsonl lists what was found, with metadata and what\n" +
			"could not be read. With --versions older versions go to OUT/BUCKET.versions/KEY/VERSION.\n\n" +
			examples("wattle export /mnt/disk1 /mnt/disk2 /mnt/disk3 saved", "wattle export wattle-data/sites/site1 wattle-data/sites/site2 saved",
				"wattle export --catalog backups/wattle-catalog-….db wattle-data saved"),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "catalog", Usage: "objects as in this `COPY` of the catalog, as far as their bytes are still there"},
			&cli.StringFlag{Name: "bucket", Usage: "this `BUCKET` alone"},
			&cli.BoolFlag{Name: "versions", Usage: "older versions too, and delete markers in the lists"},
		},
		Action: func(c *cli.Context) error {
			if err := arguments(c, 2, -1, "disks and a directory to write to"); err != nil {
				return err
			}
			args := c.Args().Slice()
			x := &export{e: envOf(c), out: args[len(args)-1], bucket: c.String("bucket"), versions: c.Bool("versions")}
			return x.run(c.Context, args[:len(args)-1], c.String("catalog"))
		},
	}
}

// An export is one run of the command, and its account.
type export struct {
	e        *env
	out      string
	root     *os.Root // of out
	bucket   string
	versions bool

	found exported
}

// exported is what `export --json` prints.
type exported struct {
	Disks    int      `json:"disks"`
	Missing  []string `json:"missing_disks,omitempty"`
	Buckets  int      `json:"buckets"`
	Objects  int      `json:"objects"`            // written, whole
	Versions int      `json:"versions,omitempty"` // older ones, written, whole
	Bytes    int64    `json:"bytes"`
	Rebuilt  int      `json:"rebuilt"`   // of these, those that needed shards of others
	Escaped  int      `json:"escaped"`   // of these, those whose key cannot be a path
	Failed   int      `json:"failed"`    // not written
	Doubtful []string `json:"uncertain"` // what recovery says of changes that were not known committed
}

// A manifestLine describes one object.
type manifestLine struct {
	cluster.Object
	Version string `json:"version,omitempty"` // of an older version
	File    string `json:"file,omitempty"`    // below OUT
	Error   string `json:"error,omitempty"`
}

func (x *export) run(ctx context.Context, paths []string, from string) error {
	if err := os.MkdirAll(x.out, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(x.out) // links that lie there lead nothing out
	if err != nil {
		return err
	}
	defer root.Close()
	x.root = root
	scratch, err := os.MkdirTemp(x.out, ".wattle-export-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	keys, err := x.e.ring()
	if err != nil {
		return err
	}
	cl, rep, err := cluster.OpenDisks(ctx, paths, scratch, from, keys)
	if err != nil {
		return err
	}
	defer cl.Close()
	x.found = exported{Disks: rep.Disks, Missing: rep.Missing, Doubtful: rep.Uncertain}
	x.e.talk("%s hold %s in %s; %s away", count(rep.Disks, "disk"), count(int(rep.Objects), "object"), count(int(rep.Buckets), "bucket"), count(len(rep.Missing), "disk"))
	for _, u := range rep.Uncertain {
		x.e.talk("%s", u)
	}
	buckets, err := cl.Buckets(ctx)
	if err != nil {
		return err
	}
	for _, b := range buckets {
		if x.bucket != "" && x.bucket != b.Name {
			continue
		}
		x.found.Buckets++
		if err := x.one(ctx, cl, b.Name); err != nil {
			return err
		}
	}
	if x.bucket != "" && x.found.Buckets == 0 {
		return fmt.Errorf("%s: %w", x.bucket, cluster.ErrBucketNotFound)
	}
	return x.tell()
}

func (x *export) tell() error {
	f := x.found
	if x.e.json {
		if err := x.e.document(f); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(x.e.out, "%s: %s in %s, %s; %d needed rebuilding\n", x.out, count(f.Objects, "object"), count(f.Buckets, "bucket"), size(f.Bytes), f.Rebuilt)
		if x.versions {
			fmt.Fprintf(x.e.out, "%s\n", count(f.Versions, "older version"))
		}
	}
	if f.Failed > 0 {
		return fmt.Errorf("%s could not be read; the lists in %s name them: %w", count(f.Failed, "object"), x.out, cluster.ErrDataLost)
	}
	return nil
}

// one exports a bucket. A name of a bucket is a safe name of a directory.
func (x *export) one(ctx context.Context, cl *cluster.Cluster, bucket string) (err error) {
	if err := x.root.MkdirAll(bucket, 0o700); err != nil {
		return fmt.Errorf("%s: %w", x.out, err)
	}
	root, err := x.root.OpenRoot(bucket)
	if err != nil {
		return fmt.Errorf("%s: %w", x.out, err)
	}
	defer root.Close()
	list, err := x.root.OpenFile(bucket+".jsonl", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, list.Sync(), list.Close()) }()
	enc := json.NewEncoder(list)
	enc.SetEscapeHTML(false)
	g := &treeGet{ctx: ctx, e: x.e, cl: cl, root: root, b: &bar{}}
	var links []cluster.Object
	err = cl.Find(ctx, cluster.FindOptions{Bucket: bucket}, func(o cluster.Object) error {
		if _, ok := o.Meta[metaSymlink]; ok {
			if _, err := g.name(o); err == nil {
				links = append(links, o)
			}
		}
		line := manifestLine{Object: o}
		if err := x.object(ctx, g, &line); err != nil {
			return err
		}
		return enc.Encode(line)
	})
	if err == nil && x.versions {
		err = x.older(ctx, g, bucket, enc)
	}
	if err != nil {
		return err
	}
	return g.links(links)
}

// older exports the versions of a bucket's objects that are not the latest.
func (x *export) older(ctx context.Context, g *treeGet, bucket string, enc *json.Encoder) (err error) {
	failed := g.cl.Versions(ctx, bucket, "", "", "", func(o cluster.Object) bool {
		if o.Latest && !o.Marker {
			return true
		}
		line := manifestLine{Object: o, Version: o.VersionID()}
		if !o.Marker {
			x.olderVersion(ctx, g, &line)
		}
		if err = ctx.Err(); err == nil {
			err = enc.Encode(line)
		}
		return err == nil
	})
	return errors.Join(failed, err)
}

func (x *export) olderVersion(ctx context.Context, g *treeGet, line *manifestLine) {
	line.File = filepath.Join(line.Bucket+".versions", escaped(line.Key), line.Version)
	if err := x.aside(ctx, g, line); err != nil {
		line.File, line.Error = "", err.Error()
		x.found.Failed++
		x.e.talk("%s/%s, version %s: %v", line.Bucket, line.Key, line.Version, err)
		return
	}
	x.found.Versions++
	x.found.Bytes += line.Size
}

// object writes one object where its key says, or, where that cannot be, under a name made
// of it.
func (x *export) object(ctx context.Context, g *treeGet, line *manifestLine) error {
	before := g.degraded.Shards
	line.File = filepath.Join(line.Bucket, filepath.FromSlash(line.Key))
	_, err := g.name(line.Object)
	if strings.HasSuffix(line.Key, "/") && line.Size > 0 {
		err = errors.New("a directory holds no bytes")
	}
	if err == nil {
		err = g.object(line.Object)
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, cluster.ErrDataLost) {
		line.File = filepath.Join(line.Bucket+".keys", escaped(line.Key))
		x.found.Escaped++
		err = x.aside(ctx, g, line)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		line.File, line.Error = "", err.Error()
		x.found.Failed++
		x.e.talk("%s/%s: %v", line.Bucket, line.Key, err)
	default:
		x.found.Objects++
		x.found.Bytes += line.Size
		if g.degraded.Shards > before {
			x.found.Rebuilt++
		}
	}
	return nil
}

// escaped is a file name for any key, no other key's.
func escaped(key string) string {
	name := url.PathEscape(key)
	if len(name) > 200 {
		name = fmt.Sprintf("%s-%016x", name[:180], xxhash.Sum64String(key))
	}
	return "key-" + name
}

func (x *export) aside(ctx context.Context, g *treeGet, line *manifestLine) error {
	if err := x.root.MkdirAll(filepath.Dir(line.File), 0o700); err != nil {
		return err
	}
	r, err := g.cl.Get(ctx, line.Bucket, line.Key, cluster.GetOptions{Version: line.Version})
	if err != nil {
		return err
	}
	defer r.Close()
	f, err := x.root.OpenFile(line.File, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if err = errors.Join(err, f.Close()); err != nil {
		x.root.Remove(line.File)
	}
	return err
}
