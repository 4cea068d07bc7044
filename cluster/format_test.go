package cluster

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/wattle-storage/wattle/disks"
)

// untar unpacks a committed cluster.
func untar(t testing.TB, path string) string {
	t.Helper()
	dir := t.TempDir()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	r := tar.NewReader(z)
	for {
		h, err := r.Next()
		if err == io.EOF {
			return filepath.Join(dir, "old")
		}
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, filepath.FromSlash(h.Name))
		if h.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(name, 0o700); err != nil {
				t.Fatal(err)
			}
			continue
		}
		p, err := io.ReadAll(r)
		if err == nil {
			err = os.WriteFile(name, p, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func lines(n int, of string) []byte {
	var b bytes.Buffer
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, "line %d of %s\n", i, of)
	}
	return b.Bytes()
}

// TestFormat1: a cluster that the first version of the format made opens, reads, is written
// to, compacted, and recovered from its disks with a site gone.
func TestFormat1(t *testing.T) {
	dir := untar(t, "testdata/format1.tar.gz")
	want := map[string][]byte{"dir/small": lines(10, "small"), "dir/medium": lines(4000, "medium"), "dir/large": lines(12000, "large"),
		"dir/empty": {}, "over": lines(10, "small"), "copy": lines(12000, "large")}
	check := func(c *Cluster) {
		t.Helper()
		n := 0
		if err := c.Find(ctx, FindOptions{Bucket: "photos"}, func(o Object) error {
			n++
			r, err := c.Get(ctx, "photos", o.Key, GetOptions{})
			if err != nil {
				return err
			}
			defer r.Close()
			var b bytes.Buffer
			if _, err := r.WriteTo(&b); err != nil || !bytes.Equal(b.Bytes(), want[o.Key]) {
				t.Errorf("%s: %d bytes, %v", o.Key, b.Len(), err)
			}
			if kind := o.Meta["kind"]; filepath.Dir(o.Key) == "dir" && "dir/"+kind != o.Key {
				t.Errorf("%s: metadata %v", o.Key, o.Meta)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if n != len(want) {
			t.Errorf("%d objects of %d", n, len(want))
		}
	}
	c := open(t, dir, Options{})
	check(c)
	if _, err := c.Put(ctx, "photos", "new", bytes.NewReader(lines(50, "new")), PutOptions{}); err != nil {
		t.Fatal(err)
	}
	want["new"] = lines(50, "new")
	check(c)
	for _, compact := range []bool{false, true} {
		if compact {
			if _, err := c.Compact(ctx, CompactOptions{Checkpoint: true}); err != nil {
				t.Fatal(err)
			}
			check(c)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := Fail(dir, "site2"); err != nil {
			t.Fatal(err)
		}
		removeCatalog(filepath.Join(dir, "catalog.db"))
		if rep, err := Recover(ctx, dir, Options{}, nil); err != nil || len(rep.Unreadable) > 0 {
			t.Fatalf("%+v, %v", rep, err)
		}
		if _, err := Restore(dir, "site2"); err != nil {
			t.Fatal(err)
		}
		c = open(t, dir, Options{})
		check(c)
	}
	if _, err := c.catalog.bucket(ctx, "gone"); !errors.Is(err, ErrBucketNotFound) {
		t.Errorf("the bucket that was removed: %v", err)
	}
}

// TestModes: nobody but the owner may read what a cluster writes.
func TestModes(t *testing.T) {
	c, dir := newCluster(t, InitOptions{})
	put(t, c, "a", randomBytes(1<<20, 1))
	if _, err := c.Scrub(ctx, ScrubOptions{}); err != nil {
		t.Fatal(err)
	}
	r := open(t, dir, Options{ReadOnly: true})
	defer r.Close()
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: mode %v", p, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestRecoverReadsLittle: recovery reads a hundredth of the stored bytes at most, for objects
// from 1 MiB on, also when a large one is last and the process was killed.
func TestRecoverReadsLittle(t *testing.T) {
	for _, of := range []struct {
		name  string
		size  int
		count int
		small int // after them
		crash bool
	}{{"closed", 1 << 20, 48, 24, false}, {"crashed", 1 << 20, 48, 24, true}, {"one large", 64 << 20, 1, 24, false}, {"one large last", 64 << 20, 1, 0, true}} {
		t.Run(of.name, func(t *testing.T) {
			c, m := newMemCluster(t, InitOptions{Map: DefaultMap(1, 1, 8, 1, 1e12), Scheme: scheme(t, "rs:6+2")}, 0)
			p := randomBytes(of.size, 1)
			for i := range of.count {
				put(t, c, fmt.Sprint(i), p)
			}
			for i := range of.small { // so that each disk has a later batch
				put(t, c, fmt.Sprint("small", i), p[:100])
			}
			if of.crash {
				for marked := false; !marked; time.Sleep(time.Millisecond) { // it comes right after the answer
					for _, id := range c.diskIDs() {
						marked = marked || disks.MarkOf(c.disk(id)).Committed == c.committed.Load()
					}
				}
				m.power.set(1)
			}
			c.Close()
			m.power.set(-1)
			removeCatalog(filepath.Join(c.dir, "catalog.db"))
			rep, err := Recover(ctx, c.dir, Options{Open: m}, nil)
			if err != nil || int(rep.Objects) != of.count+of.small {
				t.Fatalf("%+v, %v", rep, err)
			}
			part := float64(rep.BytesRead) / float64(rep.BytesUsed)
			t.Logf("%d of %d bytes were read, %.3f %%", rep.BytesRead, rep.BytesUsed, 100*part)
			if part > 0.01 {
				t.Errorf("%.2f %% of the stored bytes were read", 100*part)
			}
		})
	}
}
