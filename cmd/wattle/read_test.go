package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wattle-storage/wattle/cluster"
	"github.com/wattle-storage/wattle/erasure"
	"github.com/wattle-storage/wattle/seal"
)

var (
	readRuns = flag.Int("read.n", 3, "histories of TestRead")
	readKeep = flag.String("read.keep", "", "directory for the disks of a history that failed")
	readSeed = flag.Uint64("read.seed", 1, "the first of them")
)

// readSchemes are those of TestRead, each with the sites, and disks a site, of its cluster, and
// how many disks it may lose.
var readSchemes = []struct {
	scheme              string
	sites, disks, spare int
}{
	{"rs:2+2", 3, 2, 2}, {"lrc:4+2+2", 3, 4, 3}, {"replica:3", 3, 1, 2}, {"rs:5+4", 3, 4, 4},
	{"lrc:6+2+3", 3, 5, 4}, {"rs:3+1", 1, 5, 1}, {"lrc:4+2+1", 1, 9, 2},
}

// TestRead lays scripts/read.py, which knows doc/format.md and nothing else, beside `wattle
// export`: the same versions with the same bytes, after random histories, with as many disks
// gone or rotten as the scheme stands. It needs python3, and for the encrypted ones among the
// histories its package cryptography.
func TestRead(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("scripts/read.py needs python3, which is not there")
	}
	encrypted := exec.Command("python3", "-c", "import cryptography").Run() == nil
	for seed := *readSeed; seed < *readSeed+uint64(*readRuns); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			h := newHistory(t, seed, encrypted)
			for range 3 {
				h.some()
			}
			h.harm()
			defer h.keep()
			h.compare()
		})
	}
}

// A history is a cluster and what happens to it.
type history struct {
	t     *testing.T
	rng   *rand.Rand
	dir   string
	spare int
	keys  seal.Ring
	file  string // of the keys
	away  string // the directory of a disk that lacks something
	c     *cluster.Cluster
	when  time.Time
}

var readBuckets = []string{"first", "second"}

func newHistory(t *testing.T, seed uint64, encrypted bool) *history {
	s := readSchemes[seed%uint64(len(readSchemes))]
	h := &history{t: t, rng: rand.New(rand.NewPCG(seed, 1)), dir: filepath.Join(t.TempDir(), "c"), spare: s.spare, file: filepath.Join(t.TempDir(), "keys"), when: time.Now()}
	scheme, err := erasure.Parse(s.scheme)
	h.ok(err)
	o := cluster.InitOptions{Map: cluster.DefaultMap(s.sites, 1, 1, s.disks, 1<<30), Scheme: scheme}
	if encrypted && seed%3 == 0 {
		h.addKey()
		o.Key = h.keys[0]
	}
	h.ok(cluster.Init(h.dir, o))
	h.open()
	for _, b := range readBuckets {
		h.ok(h.c.MakeBucket(t.Context(), b))
	}
	h.close()
	return h
}

func (h *history) ok(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *history) addKey() {
	h.keys = append(h.keys, seal.NewKey())
	h.ok(seal.AddToFile(h.file, h.keys[len(h.keys)-1]))
}

func (h *history) options() cluster.Options {
	return cluster.Options{Keys: h.keys, Now: func() time.Time { return h.when }}
}

func (h *history) open() {
	c, err := cluster.Open(h.t.Context(), h.dir, h.options())
	h.ok(err)
	h.c = c
}

func (h *history) close() { h.ok(h.c.Close()) }

// some opens the cluster, does some things, and closes it.
func (h *history) some() {
	if len(h.keys) > 0 && h.rng.IntN(3) == 0 {
		h.addKey()
		h.ok(cluster.RotateKey(h.t.Context(), h.dir, h.options(), h.keys[len(h.keys)-1]))
	}
	if h.away == "" && h.rng.IntN(3) == 0 {
		h.fail()
	}
	h.open()
	for range 4 + h.rng.IntN(8) {
		h.together(1 + h.rng.IntN(12))
		switch h.rng.IntN(8) {
		case 0:
			if _, _, err := h.c.Checkpoint(h.t.Context()); h.away == "" {
				h.ok(err)
			}
		case 1:
			if _, err := h.c.Compact(h.t.Context(), cluster.CompactOptions{Checkpoint: h.rng.IntN(2) == 0}); h.away == "" {
				h.ok(err)
			}
		case 2:
			_ = h.c.RemoveBucket(h.t.Context(), "third")
		}
	}
	h.close()
	if h.away != "" && h.rng.IntN(2) == 0 {
		h.restore()
	}
}

// fail takes a disk out of service.
func (h *history) fail() {
	list, err := filepath.Glob(filepath.Join(h.dir, "sites/*/*/*/*"))
	h.ok(err)
	h.away = list[h.rng.IntN(len(list))]
	_, err = cluster.Fail(h.dir, h.domain())
	h.ok(err)
}

// restore puts it back, with what it had, and repairs, or not yet.
func (h *history) restore() {
	_, err := cluster.Restore(h.dir, h.domain())
	h.ok(err)
	h.open()
	if h.rng.IntN(2) == 0 {
		_, err := h.c.Repair(h.t.Context(), nil)
		h.ok(err)
		h.away = ""
	}
	h.close()
}

// domain is the name of the disk that is away.
func (h *history) domain() string {
	name, err := filepath.Rel(filepath.Join(h.dir, "sites"), h.away)
	h.ok(err)
	return filepath.ToSlash(name)
}

// together does n things at a time, so that they share batches and preconditions fail in them.
func (h *history) together(n int) {
	var wait sync.WaitGroup
	h.when = h.when.Add(time.Duration(h.rng.Int64N(int64(time.Hour))))
	for range n {
		do := h.change(rand.New(rand.NewPCG(h.rng.Uint64(), 2)))
		wait.Go(do)
	}
	wait.Wait()
}

func readSize(rng *rand.Rand) int {
	switch rng.IntN(12) {
	case 0:
		return 0
	case 1:
		return 1
	case 2:
		return 64<<10 - 1 + rng.IntN(3)
	case 3:
		return rng.IntN(700_000)
	case 4:
		return 1 << 20
	default:
		return rng.IntN(9_000)
	}
}

func readBody(rng *rand.Rand) *bytes.Reader {
	p := make([]byte, readSize(rng))
	for i := 0; i < len(p); i += 8 {
		p[i] = byte(rng.Uint64()) // the rest stays zero, as in many a file
	}
	return bytes.NewReader(p)
}

// change returns one change. That it may be refused is part of the history.
func (h *history) change(rng *rand.Rand) func() {
	ctx, c := h.t.Context(), h.c
	bucket, other := readBuckets[rng.IntN(2)], readBuckets[rng.IntN(2)]
	keys := []string{"a", "a/b", "x//y", "æ", "..", "long/" + strings.Repeat("n", 300), "d", "e"}
	key, from := keys[rng.IntN(len(keys))], keys[rng.IntN(len(keys))]
	version := h.version(rng, bucket, key)
	o := cluster.PutOptions{}
	switch rng.IntN(6) {
	case 0:
		o.IfAbsent = true
	case 1:
		if now, err := c.Head(ctx, bucket, key, ""); err == nil {
			o.IfSequence = now.Sequence
		}
	case 2:
		o.ContentType, o.Meta, o.ETag = "text/plain", map[string]string{"k": "v"}, "etag-"+key
	case 4:
		o.Replace, o.Headers, o.ACL = true, map[string]string{"Cache-Control": "no-store"}, "all"
		o.Checksum = cluster.Checksum{Algorithm: "CRC32C", Value: "AAAAAA==", Composite: rng.IntN(2) == 0}
	case 3:
		o.IfMatch = "etag-" + key
	}
	switch n := rng.IntN(20); n {
	case 0:
		return func() { _ = c.Delete(ctx, bucket, key) }
	case 1, 2:
		return func() {
			_, _ = c.DeleteVersion(ctx, bucket, key, cluster.DeleteOptions{Version: version, IfMatch: o.IfMatch, IfSequence: o.IfSequence})
		}
	case 3, 4:
		o.Replace, o.Version = o.Replace || o.Meta != nil && rng.IntN(2) == 0, h.version(rng, other, from)
		return func() { _, _ = c.Copy(ctx, other, from, bucket, key, o) }
	case 5:
		setting := []string{cluster.VersioningEnabled, cluster.VersioningSuspended}[rng.IntN(2)]
		return func() { _ = c.Set(ctx, bucket, cluster.SettingVersioning, setting) }
	case 6:
		return func() { _ = c.SetTags(ctx, bucket, key, version, map[string]string{"t": key}) }
	case 7:
		if rng.IntN(2) == 0 {
			return func() { _ = c.SetLegalHold(ctx, bucket, key, version, rng.IntN(3) == 0) }
		}
		r := cluster.Retention{Mode: "GOVERNANCE", Until: h.when.Add(time.Hour)}
		return func() { _ = c.SetRetention(ctx, bucket, key, version, r) }
	case 8, 9:
		return func() { h.upload(rng, bucket, key, o) }
	case 10:
		return func() {
			_ = c.MakeBucketWith(ctx, "third", map[string]string{cluster.SettingVersioning: cluster.VersioningEnabled})
			_, _ = c.Put(ctx, "third", key, readBody(rng), o)
			if rng.IntN(2) == 0 {
				_ = c.Delete(ctx, "third", key)
			}
		}
	default:
		body := readBody(rng)
		o.Size = []int64{0, int64(body.Len()), int64(body.Len()) / 2, 2 * int64(body.Len())}[rng.IntN(4)]
		return func() { _, _ = c.Put(ctx, bucket, key, body, o) }
	}
}

// version is the id of some version of a key, or empty.
func (h *history) version(rng *rand.Rand, bucket, key string) string {
	ids := []string{"", cluster.NullVersion}
	h.ok(h.c.Versions(h.t.Context(), bucket, key, "", "", func(o cluster.Object) bool {
		if o.Key == key {
			ids = append(ids, o.VersionID())
		}
		return true
	}))
	return ids[rng.IntN(len(ids))]
}

// upload makes an object of parts, one of which may be replaced or left out; or aborts, or leaves it there.
func (h *history) upload(rng *rand.Rand, bucket, key string, o cluster.PutOptions) {
	ctx, c := h.t.Context(), h.c
	u, err := c.StartUpload(ctx, bucket, key, o)
	if err != nil {
		return
	}
	for _, n := range []int{1, 3, 7, 3}[:1+rng.IntN(4)] {
		if _, err := c.PutPart(ctx, bucket, key, u.ID, n, readBody(rng), cluster.PutOptions{}); err != nil {
			return
		}
	}
	parts, err := c.Parts(ctx, bucket, key, u.ID, 0, 100)
	if err != nil {
		return
	}
	switch rng.IntN(6) {
	case 0:
		_ = c.AbortUpload(ctx, bucket, key, u.ID)
	case 1:
	default:
		_, _ = c.CompleteUpload(ctx, bucket, key, u.ID, parts[rng.IntN(len(parts)):], o)
	}
}

// harm takes the catalog away, and as many disks as the scheme stands; one of them is rotten instead.
func (h *history) harm() {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		_ = os.Remove(filepath.Join(h.dir, "catalog.db"+suffix))
	}
	list, err := filepath.Glob(filepath.Join(h.dir, "sites/*/*/*/*"))
	h.ok(err)
	if h.rng.IntN(4) != 0 { // else those of a site first
		h.rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	}
	if i := slices.Index(list, h.away); i > 0 {
		list[0], list[i] = list[i], list[0]
	}
	for i, disk := range list[:h.spare] {
		if i == 0 && h.rng.IntN(2) == 0 {
			h.rot(disk)
		} else {
			h.ok(os.RemoveAll(disk))
		}
	}
}

func (h *history) rot(disk string) {
	files, err := filepath.Glob(filepath.Join(disk, "segments/*.seg"))
	h.ok(err)
	for _, f := range files {
		p, err := os.ReadFile(f)
		h.ok(err)
		for range len(p)/20_000 + 1 {
			p[h.rng.IntN(len(p))] ^= 1 << h.rng.IntN(8)
		}
		h.ok(os.WriteFile(f, p, 0o600))
	}
}

func (h *history) keep() {
	if *readKeep != "" && h.t.Failed() {
		h.ok(os.CopyFS(filepath.Join(*readKeep, filepath.Base(h.t.Name())), os.DirFS(h.dir)))
		_ = os.Link(h.file, filepath.Join(*readKeep, filepath.Base(h.t.Name())+".keys"))
	}
}

// compare exports both ways.
func (h *history) compare() {
	t := h.t
	out := t.TempDir()
	ours, theirs := filepath.Join(out, "export"), filepath.Join(out, "read")
	var told bytes.Buffer
	x := &export{e: &env{getenv: func(string) string { return "" }, out: io.Discard, errOut: &told}, out: ours, versions: true}
	if len(h.keys) > 0 {
		x.e.keyFile = h.file
	}
	if err := x.run(context.Background(), []string{h.dir}, ""); err != nil {
		t.Fatalf("export: %v\n%s", err, &told)
	}
	args := []string{"../../scripts/read.py", "--versions", h.dir, theirs}
	if len(h.keys) > 0 {
		args = slices.Insert(args, 1, "--key-file", h.file)
	}
	said, err := exec.Command("python3", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("read.py: %v\n%s", err, said)
	}
	t.Logf("%s\n%s", h.c.Scheme(), said)
	want := h.listed(ours)
	if diff := cmp.Diff(want, h.listed(theirs)); diff != "" {
		t.Errorf("-export +read.py\n%s\n%s", diff, &told)
	}
	h.pastTolerance(want, args)
}

// pastTolerance lets all disks rot: what read.py writes then is still what it was, and what it cannot
// read it names.
func (h *history) pastTolerance(want map[string]string, args []string) {
	list, err := filepath.Glob(filepath.Join(h.dir, "sites/*/*/*/*"))
	h.ok(err)
	for _, disk := range list {
		h.rot(disk)
	}
	out := args[len(args)-1] + ".rotten"
	args[len(args)-1] = out
	said, _ := exec.Command("python3", args...).CombinedOutput()
	if bytes.Contains(said, []byte("Traceback")) {
		h.t.Errorf("read.py\n%s", said)
	}
	for name, got := range h.listed(out) {
		digest, _, _ := strings.Cut(got, ", ")
		if what, ok := want[name]; ok && digest != "" && !strings.HasPrefix(what, digest) {
			h.t.Errorf("%s: %s, want %s", name, got, what)
		}
	}
}

// listed is what the lists of an export say, with the digest of each file.
func (h *history) listed(out string) map[string]string {
	lists, err := filepath.Glob(filepath.Join(out, "*.jsonl"))
	h.ok(err)
	all := map[string]string{}
	for _, list := range lists {
		all[filepath.Base(list)] = "a bucket"
		p, err := os.ReadFile(list)
		h.ok(err)
		for line := range bytes.Lines(p) {
			var l manifestLine
			h.ok(json.Unmarshal(line, &l))
			what := "marker"
			switch {
			case l.Error != "":
				what = ""
			case !l.Marker:
				p, err := os.ReadFile(filepath.Join(out, l.File))
				h.ok(err)
				what = fmt.Sprintf("%d bytes: %x", len(p), sha256.Sum256(p))
			}
			all[fmt.Sprintf("%s %q %d", l.Bucket, l.Key, l.Sequence)] = fmt.Sprintf("%s, %d, %v, %q, %v, %+v, %v", what, l.Size, l.Modified.UnixNano(), l.ContentType, l.Meta, l.Attributes, l.Versioned)
		}
	}
	return all
}
