package cluster

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A history is what versions should be: of each key, the newest first.
type history struct {
	versioning string
	keys       map[string][]past
}

type past struct {
	id     string
	marker bool
	body   []byte
	tags   map[string]string
}

// put adds a version, as the bucket's versioning says.
func (h *history) put(key string, p past) {
	if h.versioning != VersioningEnabled {
		p.id = NullVersion
		h.keys[key] = slices.DeleteFunc(h.keys[key], func(o past) bool { return o.id == NullVersion })
	}
	h.keys[key] = slices.Insert(h.keys[key], 0, p)
}

func (h *history) latest(key string) *past {
	if l := h.keys[key]; len(l) > 0 && !l[0].marker {
		return &l[0]
	}
	return nil
}

// dump lists all versions of the bucket with what they hold, and its uploads with their parts.
func dump(t *testing.T, c *Cluster) []string {
	t.Helper()
	var list []string
	err := c.Versions(ctx, "bucket", "", "", "", func(o Object) bool {
		line := fmt.Sprintf("%s %s marker=%v latest=%v %d %s %v", o.Key, o.VersionID(), o.Marker, o.Latest, o.Size, o.ETag, o.Tags)
		if !o.Marker {
			p := bodyOf(t, c, o.Key, o.VersionID())
			line += fmt.Sprintf(" %x", md5.Sum(p))
			parts, err := c.ObjectParts(ctx, o)
			if err != nil {
				t.Fatal(err)
			}
			line += fmt.Sprint(" ", parts)
		}
		list = append(list, line)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	err = c.Uploads(ctx, "bucket", "", "", "", func(u Upload) bool {
		parts, err := c.Parts(ctx, "bucket", u.Key, u.ID, 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, fmt.Sprint(u, parts))
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func bodyOf(t *testing.T, c *Cluster, key, version string) []byte {
	t.Helper()
	r, err := c.Get(ctx, "bucket", key, GetOptions{Version: version})
	if err != nil {
		t.Fatalf("%s, version %s: %v", key, version, err)
	}
	defer r.Close()
	p, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("%s, version %s: %v", key, version, err)
	}
	return p
}

// check compares the cluster with the history.
func (h *history) check(t *testing.T, c *Cluster) {
	t.Helper()
	var got, want []string
	c.Versions(ctx, "bucket", "", "", "", func(o Object) bool {
		line := fmt.Sprint(o.Key, " ", o.VersionID(), " ", o.Marker, " ", o.Latest, " ", o.Tags)
		if !o.Marker {
			line += fmt.Sprintf(" %x", md5.Sum(bodyOf(t, c, o.Key, o.VersionID())))
		}
		got = append(got, line)
		return true
	})
	for _, key := range keysOfMap(h.keys) {
		for i, p := range h.keys[key] {
			line := fmt.Sprint(key, " ", p.id, " ", p.marker, " ", i == 0, " ", p.tags)
			if !p.marker {
				line += fmt.Sprintf(" %x", md5.Sum(p.body))
			}
			want = append(want, line)
		}
		o, err := c.Head(ctx, "bucket", key, "")
		if l := h.latest(key); (err == nil) != (l != nil) || err == nil && o.VersionID() != l.id {
			t.Errorf("head %s: %+v, %v; want %+v", key, o, err, l)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("versions (-want +got):\n%s", diff)
	}
}

func keysOfMap(m map[string][]past) []string {
	var keys []string
	for k, l := range m {
		if len(l) > 0 {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

// TestVersions makes a long history of puts, deletes, copies, uploads, tags and switches of
// versioning, compares it with a plain model, and then finds it all again on the disks.
func TestVersions(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			c, dir := newCluster(t, InitOptions{Scheme: scheme(t, "rs:4+2")})
			rng := rand.New(rand.NewPCG(seed, 1))
			h := &history{keys: map[string][]past{}}
			for range 120 {
				h.step(t, c, rng)
			}
			h.check(t, c)
			before := dump(t, c)
			c.Close()
			for _, name := range []string{"catalog.db", "catalog.db-wal", "catalog.db-shm"} {
				os.Remove(filepath.Join(dir, name))
			}
			if err := os.RemoveAll(filepath.Join(dir, "sites", "site2")); err != nil {
				t.Fatal(err)
			}
			if rep, err := Recover(ctx, dir, Options{}, nil); err != nil || len(rep.Unreadable) > 0 {
				t.Fatalf("%+v, %v", rep, err)
			}
			c = open(t, dir, Options{})
			if diff := cmp.Diff(before, dump(t, c)); diff != "" {
				t.Errorf("recovered (-before +after):\n%s", diff)
			}
			if s, err := c.Settings(ctx, "bucket"); err != nil || s.Values[SettingVersioning] != h.versioning {
				t.Errorf("settings %+v, %v; want versioning %q", s, err, h.versioning)
			}
			h.empty(t, c)
		})
	}
}

func (h *history) step(t *testing.T, c *Cluster, rng *rand.Rand) {
	t.Helper()
	key := fmt.Sprint("k", rng.IntN(5))
	fail := func(err error) {
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
	}
	switch rng.IntN(10) {
	case 0, 1, 2:
		p := randomBytes(rng.IntN(200_000), rng.Uint64())
		o, err := c.Put(ctx, "bucket", key, bytes.NewReader(p), PutOptions{Attributes: Attributes{ETag: "e"}})
		fail(err)
		h.put(key, past{id: o.VersionID(), body: p})
	case 3, 4:
		o, err := c.DeleteVersion(ctx, "bucket", key, DeleteOptions{})
		if h.versioning == "" {
			if (err == nil) != (h.latest(key) != nil) {
				t.Fatalf("delete %s: %v", key, err)
			}
			delete(h.keys, key)
			return
		}
		fail(err)
		h.put(key, past{id: o.VersionID(), marker: true})
	case 5:
		if l := h.keys[key]; len(l) > 0 {
			i := rng.IntN(len(l))
			_, err := c.DeleteVersion(ctx, "bucket", key, DeleteOptions{Version: l[i].id})
			fail(err)
			h.keys[key] = slices.Delete(slices.Clone(l), i, i+1)
		}
	case 6:
		h.upload(t, c, key, rng)
	case 7:
		from := fmt.Sprint("k", rng.IntN(5))
		if l := h.keys[from]; len(l) > 0 {
			src := l[rng.IntN(len(l))]
			o, err := c.Copy(ctx, "bucket", from, "bucket", key, PutOptions{Version: src.id})
			if src.marker != errors.Is(err, ErrDeleteMarker) {
				t.Fatalf("copy of %+v: %v", src, err)
			}
			if !src.marker {
				fail(err)
				h.put(key, past{id: o.VersionID(), body: src.body, tags: src.tags})
			}
		}
	case 8:
		if l := h.keys[key]; len(l) > 0 {
			i := rng.IntN(len(l))
			tags := map[string]string{"n": fmt.Sprint(rng.IntN(100))}
			err := c.SetTags(ctx, "bucket", key, l[i].id, tags)
			if l[i].marker != errors.Is(err, ErrDeleteMarker) {
				t.Fatalf("tags of %+v: %v", l[i], err)
			}
			if !l[i].marker {
				l[i].tags = tags
			}
		}
	case 9:
		if rng.IntN(3) == 0 {
			h.versioning = []string{VersioningEnabled, VersioningSuspended}[rng.IntN(2)]
			fail(c.Set(ctx, "bucket", SettingVersioning, h.versioning))
		}
	}
}

// upload makes an object of parts, of which one is uploaded twice and one is not used.
func (h *history) upload(t *testing.T, c *Cluster, key string, rng *rand.Rand) {
	t.Helper()
	u, err := c.StartUpload(ctx, "bucket", key, PutOptions{ContentType: "x/y", Attributes: Attributes{Tags: map[string]string{"of": "upload"}}})
	if err != nil {
		t.Fatal(err)
	}
	var parts []Part
	var whole []byte
	for _, n := range []int{1, 2, 2, 7, 9} {
		p := randomBytes(rng.IntN(150_000), rng.Uint64())
		sum := md5.Sum(p)
		part, err := c.PutPart(ctx, "bucket", key, u.ID, n, bytes.NewReader(p), PutOptions{Finish: func(size int64, a *Attributes) error {
			a.ETag = hex.EncodeToString(sum[:])
			return nil
		}})
		if err != nil || part.Size != int64(len(p)) || part.ETag != hex.EncodeToString(sum[:]) {
			t.Fatalf("%+v, %v", part, err)
		}
		if n == 2 && len(parts) == 2 {
			parts, whole = parts[:1], whole[:parts[0].Size]
		}
		if n != 7 {
			parts, whole = append(parts, part), append(whole, p...)
		}
	}
	if rng.IntN(3) == 0 { // left alone
		return
	}
	if rng.IntN(4) == 0 {
		if err := c.AbortUpload(ctx, "bucket", key, u.ID); err != nil {
			t.Fatal(err)
		}
		return
	}
	o, err := c.CompleteUpload(ctx, "bucket", key, u.ID, parts, PutOptions{Attributes: Attributes{ETag: "whole-3"}})
	if err != nil || o.Size != int64(len(whole)) || o.ContentType != "x/y" {
		t.Fatalf("%+v, %v", o, err)
	}
	h.put(key, past{id: o.VersionID(), body: whole, tags: map[string]string{"of": "upload"}})
	if _, err := c.CompleteUpload(ctx, "bucket", key, u.ID, parts, PutOptions{}); !errors.Is(err, ErrUploadNotFound) {
		t.Errorf("completed twice: %v", err)
	}
}

// empty deletes all and looks that no stripe is in use any more.
func (h *history) empty(t *testing.T, c *Cluster) {
	t.Helper()
	for key, l := range h.keys {
		for _, p := range l {
			if _, err := c.DeleteVersion(ctx, "bucket", key, DeleteOptions{Version: p.id}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := c.AbortUploadsBefore(ctx, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	c.catalog.stripes(ctx, func(s *stripe, freed bool) error {
		if s.Refs != 0 || s.Live != 0 {
			t.Errorf("stripe %x of nothing has %d references and %d live bytes", s.ID, s.Refs, s.Live)
		}
		return nil
	})
	if err := c.RemoveBucket(ctx, "bucket"); err != nil {
		t.Error(err)
	}
}

func TestUploadRefusals(t *testing.T) {
	c, _ := newCluster(t, InitOptions{})
	u, err := c.StartUpload(ctx, "bucket", "k", PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	part := func(n int, body string) Part {
		p, err := c.PutPart(ctx, "bucket", "k", u.ID, n, strings.NewReader(body), PutOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	old := part(1, "one")
	one, two := part(1, "uno"), part(2, "due")
	for name, parts := range map[string][]Part{
		"an older upload of the part": {old, two},
		"out of order":                {two, one},
		"twice":                       {one, one},
		"never uploaded":              {one, two, {Number: 3, Sequence: 9}},
	} {
		if _, err := c.CompleteUpload(ctx, "bucket", "k", u.ID, parts, PutOptions{}); !errors.Is(err, ErrPart) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.PutPart(ctx, "bucket", "other", u.ID, 1, strings.NewReader("x"), PutOptions{}); !errors.Is(err, ErrUploadNotFound) {
		t.Errorf("part of another key: %v", err)
	}
	if _, err := c.CompleteUpload(ctx, "bucket", "k", u.ID, []Part{one, two}, PutOptions{IfMatch: "x"}); !errors.Is(err, ErrObjectNotFound) {
		t.Errorf("condition on nothing: %v", err)
	}
	if _, err := c.CompleteUpload(ctx, "bucket", "k", u.ID, []Part{one, two}, PutOptions{IfAbsent: true}); err != nil {
		t.Error(err)
	}
	if got := bodyOf(t, c, "k", ""); string(got) != "unodue" {
		t.Errorf("got %q", got)
	}
	if err := c.Set(ctx, "bucket", SettingVersioning, "on"); err == nil {
		t.Error("versioning on was taken")
	}
	if _, err := c.Head(ctx, "bucket", "k", "v1"); !errors.Is(err, ErrBadName) {
		t.Errorf("version v1: %v", err)
	}
}

// TestSettingsAreFresh: what was committed is seen by the next reader, whatever is remembered.
func TestSettingsAreFresh(t *testing.T) {
	c, _ := newCluster(t, InitOptions{})
	if err := c.MakeBucketWith(ctx, "other", map[string]string{"acl": "a", SettingVersioning: VersioningEnabled}); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		value := fmt.Sprint(i)
		if err := c.Set(ctx, "other", "acl", value); err != nil {
			t.Fatal(err)
		}
		s, err := c.Settings(ctx, "other")
		if err != nil || s.Values["acl"] != value || s.Values[SettingVersioning] != VersioningEnabled {
			t.Fatalf("%+v, %v; want acl %s", s, err, value)
		}
	}
	if err := c.Unset(ctx, "other", "acl"); err != nil {
		t.Fatal(err)
	}
	if s, _ := c.Settings(ctx, "other"); len(s.Values) != 1 {
		t.Errorf("%+v", s)
	}
	if err := c.RemoveBucket(ctx, "other"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Settings(ctx, "other"); !errors.Is(err, ErrBucketNotFound) {
		t.Errorf("settings of a bucket that is gone: %v", err)
	}
}

// TestOlderCatalog opens a catalog of the first version.
func TestOlderCatalog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	if f, err := os.Create(path); err != nil || f.Close() != nil {
		t.Fatal(err)
	}
	old, err := dialCatalog(path, forWriting)
	if err != nil {
		t.Fatal(err)
	}
	err = old.update(ctx, func(t *tx) error {
		if err := t.define(schema); err != nil {
			return err
		}
		return errors.Join(t.exec(`INSERT INTO buckets (id, name, created) VALUES (1, 'bucket', 0)`),
			t.exec(`INSERT INTO objects (bucket, key, seq, size, modified, content_type, layout) VALUES (1, 'k', 7, 0, 0, '', x'00')`),
			t.setMeta("schema", []byte{1}))
	})
	if err := errors.Join(err, old.close()); err != nil {
		t.Fatal(err)
	}
	if _, err := openCatalog(path, forReading); err == nil || !strings.Contains(err.Error(), "older version") {
		t.Errorf("read: %v", err)
	}
	c, err := openCatalog(path, forWriting)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	o, _, err := c.lookup(ctx, "bucket", "k")
	if v, _ := c.meta("schema"); err != nil || o.VersionID() != NullVersion || v[0] != schemaVersion {
		t.Errorf("%+v, %v, schema %v", o, err, v)
	}
}
