package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"mime"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/wattle-storage/wattle/cluster"
)

// Metadata that put -r keeps of files.
const (
	metaMode    = "mode"    // permission bits, octal
	metaTime    = "mtime"   // RFC 3339 with nanoseconds
	metaSymlink = "symlink" // where a symbolic link points
)

// together is how many files of a tree are put at a time, so that they share batches.
const together = 256

// parallel calls f for each item, n at a time, and returns the first error.
func parallel[T any](items []T, n int, f func(T) error) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	next := 0
	for range min(n, len(items)) {
		wg.Go(func() {
			for {
				mu.Lock()
				if failed != nil || next == len(items) {
					mu.Unlock()
					return
				}
				item := items[next]
				next++
				mu.Unlock()
				if err := f(item); err != nil {
					mu.Lock()
					if failed == nil {
						failed = err
					}
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return failed
}

// An entry is a file of a tree, and its key.
type entry struct {
	path, key string
	info      fs.FileInfo
}

func putTrees(ctx context.Context, e *env, cl *cluster.Cluster, roots []string, to string, o cluster.PutOptions, create bool) error {
	bucket, prefix, err := cluster.ParseAddress(to)
	if err != nil {
		return err
	}
	if err := cl.MakeBucket(ctx, bucket); err == nil && create {
		e.talk("made bucket %s", bucket)
	} else if err == nil {
		return errors.Join(cl.RemoveBucket(ctx, bucket), fmt.Errorf("%s: %w", bucket, cluster.ErrBucketNotFound))
	} else if !errors.Is(err, cluster.ErrExists) {
		return err
	}
	var list []entry
	total := int64(0)
	for _, root := range roots {
		at := prefix
		if len(roots) > 1 {
			at = path.Join(prefix, filepath.Base(root))
		}
		found, err := e.walk(root, at)
		if err != nil {
			return err
		}
		list = append(list, found...)
	}
	for _, f := range list {
		if f.info.Mode().IsRegular() {
			total += f.info.Size()
		}
	}
	b := e.bar("put", total)
	var mu sync.Mutex
	missing, survivesLeast := 0, 1<<30
	var spent cluster.Spent
	err = parallel(list, together, func(f entry) error {
		obj, err := putEntry(ctx, cl, bucket, f, o, b)
		if err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
		mu.Lock()
		defer mu.Unlock()
		missing, survivesLeast = max(missing, obj.Missing), min(survivesLeast, obj.Survives)
		if obj.Energy != nil {
			spent = spent.Plus(*obj.Energy)
		}
		if e.json {
			return e.emit(obj)
		}
		return nil
	})
	b.done()
	if err != nil {
		return err
	}
	if e.verbose {
		e.talk("%s: %s", to, told(spent))
	}
	if missing > 0 {
		e.talk("up to %d shards of an object could not be placed; the weakest survives %s more until `wattle repair`", missing, count(survivesLeast, "loss"))
	}
	if !e.json && !e.quiet {
		fmt.Fprintf(e.out, "%s: %s, %s\n", to, count(len(list), "file"), size(total))
	}
	return nil
}

// walk lists the files below root: regular ones, symbolic links (as such), and directories
// that are empty.
func (e *env) walk(root, prefix string) ([]entry, error) {
	if info, err := os.Stat(root); err != nil {
		return nil, err
	} else if !info.IsDir() {
		return nil, usage("%s is not a directory; use put without -r", root)
	}
	var list []entry
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		key := path.Join(prefix, filepath.ToSlash(rel))
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			children, err := os.ReadDir(p)
			if err == nil && len(children) == 0 && rel != "." {
				list = append(list, entry{p, key + "/", info})
			}
			return err
		case info.Mode().IsRegular(), info.Mode()&fs.ModeSymlink != 0:
			list = append(list, entry{p, key, info})
		default:
			e.talk("%s: left out, neither a file nor a link", p)
		}
		return nil
	})
	return list, err
}

func putEntry(ctx context.Context, cl *cluster.Cluster, bucket string, f entry, o cluster.PutOptions, b *bar) (cluster.Object, error) {
	meta := map[string]string{metaMode: fmt.Sprintf("%04o", f.info.Mode().Perm()), metaTime: f.info.ModTime().UTC().Format(time.RFC3339Nano)}
	for k, v := range o.Meta {
		meta[k] = v
	}
	o.Meta = meta
	var r io.Reader = strings.NewReader("")
	switch {
	case f.info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(f.path)
		if err != nil {
			return cluster.Object{}, err
		}
		meta[metaSymlink] = target
	case f.info.Mode().IsRegular():
		// Not through a link, nor waiting on a pipe, that took the file's place since the walk.
		file, err := os.OpenFile(f.path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
		if err != nil {
			return cluster.Object{}, err
		}
		defer file.Close()
		if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
			return cluster.Object{}, errors.Join(err, fmt.Errorf("it is not a file any more"))
		}
		r, o.Size = file, f.info.Size()
		if o.ContentType == "" {
			o.ContentType = mime.TypeByExtension(filepath.Ext(f.path))
		}
	}
	return cl.Put(ctx, bucket, f.key, feed{ctx, r, b}, o)
}

func getTree(ctx context.Context, e *env, cl *cluster.Cluster, from, out string) error {
	if out == "" || out == "-" {
		return usage("get -r: want a directory to write to")
	}
	bucket, prefix, err := cluster.ParseAddress(from)
	if err != nil {
		return err
	}
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	var list []cluster.Object
	total := int64(0)
	err = cl.Find(ctx, cluster.FindOptions{Bucket: bucket, Prefix: prefix}, func(o cluster.Object) error {
		list = append(list, o)
		total += o.Size
		return nil
	})
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return fmt.Errorf("%s: no key begins with %s: %w", bucket, prefix, cluster.ErrObjectNotFound)
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(out)
	if err != nil {
		return err
	}
	defer root.Close()
	g := &treeGet{ctx: ctx, e: e, cl: cl, root: root, prefix: prefix, b: e.bar("get", total)}
	if err = parallel(list, 8, g.object); err == nil {
		err = g.links(list)
	}
	g.b.done()
	if err != nil {
		return err
	}
	if e.verbose {
		e.talk("%s: %s", out, told(g.spent))
	}
	if e.json {
		return errors.Join(e.emit(map[string]any{"address": from, "objects": len(list), "bytes": total, "degraded": g.degraded, "energy": g.spent}), g.outcome(from))
	}
	if !e.quiet {
		fmt.Fprintf(e.out, "%s: %s, %s\n", out, count(len(list), "file"), size(total))
	}
	return g.outcome(from)
}

// A treeGet writes objects below a directory and never beside it: what the root refuses
// (a key that climbs out, a link that leads out) is an error.
type treeGet struct {
	ctx    context.Context
	e      *env
	cl     *cluster.Cluster
	root   *os.Root
	prefix string
	b      *bar

	mu       sync.Mutex
	degraded cluster.Degraded // guarded by mu
	spent    cluster.Spent    // guarded by mu
}

func (g *treeGet) outcome(from string) error {
	if g.degraded.Shards == 0 {
		return nil
	}
	return degradedError(from, g.degraded)
}

func (g *treeGet) name(o cluster.Object) (string, error) {
	rel := strings.TrimPrefix(o.Key, g.prefix)
	if !filepath.IsLocal(filepath.FromSlash(rel)) || path.Clean(rel) != strings.TrimSuffix(rel, "/") {
		return "", usage("key %q does not name a file below the directory; fetch it by itself", o.Key)
	}
	return filepath.FromSlash(rel), nil
}

func (g *treeGet) object(o cluster.Object) error {
	if _, ok := o.Meta[metaSymlink]; ok {
		return nil // after all files, so that none is written through it
	}
	name, err := g.name(o)
	if err != nil {
		return err
	}
	if strings.HasSuffix(o.Key, "/") {
		return g.root.MkdirAll(strings.TrimSuffix(name, string(filepath.Separator)), 0o755)
	}
	if err := g.root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	r, err := g.cl.Get(g.ctx, o.Bucket, o.Key, cluster.GetOptions{})
	if err != nil {
		return err
	}
	defer r.Close()
	if err := g.write(name, o, counted{r, g.b}); err != nil {
		return err
	}
	d := r.Degraded()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.spent = g.spent.Plus(r.Energy())
	g.degraded.Stripes += d.Stripes
	g.degraded.Shards += d.Shards
	for _, disk := range d.Disks {
		if len(g.degraded.Disks) < 100 && !strings.Contains(strings.Join(g.degraded.Disks, " ")+" ", disk+" ") {
			g.degraded.Disks = append(g.degraded.Disks, disk)
		}
	}
	return nil
}

// write writes a file under a name that nobody else uses and renames it when it is whole.
func (g *treeGet) write(name string, o cluster.Object, r io.WriterTo) error {
	temp := filepath.Join(filepath.Dir(name), fmt.Sprintf(".wattle-%016x", rand.Uint64()))
	f, err := g.root.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = r.WriteTo(f)
	mode, e := strconv.ParseUint(o.Meta[metaMode], 8, 32)
	if e != nil {
		mode = 0o644
	}
	if err == nil {
		err = f.Chmod(fs.FileMode(mode) & 0o777)
	}
	err = errors.Join(err, f.Close())
	if t, e := time.Parse(time.RFC3339Nano, o.Meta[metaTime]); err == nil && e == nil {
		err = g.root.Chtimes(temp, t, t)
	}
	if err == nil {
		err = g.root.Rename(temp, name)
	}
	if err != nil {
		g.root.Remove(temp)
	}
	return err
}

// links makes the symbolic links, and takes away those that lead outside, be it by way of
// others: a link to "a/.." leads elsewhere when a is a link itself.
func (g *treeGet) links(list []cluster.Object) error {
	made := map[string]cluster.Object{}
	for _, o := range list {
		name, err := g.link(o)
		if err != nil {
			return err
		}
		if name != "" {
			made[name] = o
		}
	}
	for again := true; again; {
		again = false
		for _, name := range slices.Sorted(maps.Keys(made)) {
			if _, err := g.root.Stat(name); err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ELOOP) {
				continue
			}
			g.outside(made[name])
			if err := g.root.Remove(name); err != nil {
				return err
			}
			delete(made, name)
			again = true
		}
	}
	return nil
}

func (g *treeGet) outside(o cluster.Object) {
	g.e.talk("%s: left out, the link leads out of the directory, to %s", o.Key, o.Meta[metaSymlink])
}

// turnsBack tells whether a path goes up after it went down: where that leads depends on
// what is on the way.
func turnsBack(path string) bool {
	down := false
	for _, part := range strings.Split(filepath.ToSlash(path), "/") {
		if part == ".." && down {
			return true
		}
		down = down || part != ".." && part != "." && part != ""
	}
	return false
}

// link makes a symbolic link that, by what it says, leads nowhere outside, and returns its
// name; others are left out with a word.
func (g *treeGet) link(o cluster.Object) (string, error) {
	target, ok := o.Meta[metaSymlink]
	if !ok {
		return "", nil
	}
	name, err := g.name(o)
	if err != nil {
		return "", err
	}
	if filepath.IsAbs(target) || turnsBack(target) || !filepath.IsLocal(filepath.Join(filepath.Dir(name), target)) {
		g.outside(o)
		return "", nil
	}
	if err := g.root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return "", err
	}
	if info, err := g.root.Lstat(name); err == nil && !info.IsDir() {
		if err := g.root.Remove(name); err != nil {
			return "", err
		}
	}
	return name, g.root.Symlink(target, name)
}
