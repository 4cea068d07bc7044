package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/seal"
)

// newSealed makes and opens an encrypted cluster.
func newSealed(t testing.TB, text string) (*Cluster, string, seal.Ring) {
	t.Helper()
	dir, ring := filepath.Join(t.TempDir(), "c"), seal.Ring{seal.NewKey()}
	if err := Init(dir, InitOptions{Map: DefaultMap(3, 2, 1, 3, 1e12), Scheme: scheme(t, text), Key: ring[0]}); err != nil {
		t.Fatal(err)
	}
	c := open(t, dir, Options{Keys: ring})
	if err := c.MakeBucket(ctx, "bucket"); err != nil {
		t.Fatal(err)
	}
	return c, dir, ring
}

// hidden are words that no disk of an encrypted cluster may show.
var hidden = []string{"fjord", "bucket", "metadata-value", "text/secret", "plain line"}

// reveals returns the first of the words that a file below a directory holds.
func reveals(t testing.TB, dir string) (word, file string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		p, err := os.ReadFile(path)
		for _, w := range hidden {
			if bytes.Contains(p, []byte(w)) {
				word, file = w, path
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return word, file
}

// TestSealedMemory: the memory of a stripe holds what its bytes come to when they are encrypted,
// also when there are fewer than were announced. What rounding leaves is often enough, and not always.
func TestSealedMemory(t *testing.T) {
	for _, text := range []string{"lrc:4+2+2", "rs:9+6", "replica:3", "rs:2+2", "rs:12+4"} {
		c, _, _ := newSealed(t, text)
		k, room := c.config.Scheme.K, c.columnRoom(c.shard)
		full, worst := int64(k)*int64(room), int64(0)
		for size := int64(packLimit + 1); size <= full; size += 1 + size%613 {
			for _, n := range []int64{size, size - 1, size - int64(k), size * 9 / 10} {
				e := extent{Count: 1, Shard: shardFor(n, k, room), Key: c.sealing()}
				if need, have := stripeBytes(c.config.Scheme, e.columns(n, k)), c.memoryFor(size); need > have {
					t.Fatalf("%s: %d bytes of %d that were announced need %d, and have %d", text, n, size, need, have)
				}
			}
			plain := stripeBytes(c.config.Scheme, spread(size, k, shardFor(size, k, room)))
			if at := c.memoryFor(size); inSteps(plain) < at {
				worst = size
			}
		}
		if worst == 0 {
			continue // a full stripe comes before the first step that the tags pass
		}
		p := bytes.Repeat([]byte("plain"), int(worst)/5+1)[:worst]
		if _, err := c.Put(ctx, "bucket", "worst", bytes.NewReader(p), PutOptions{Size: worst}); err != nil {
			t.Fatal(err)
		}
		wantBytes(t, c, "worst", p)
	}
}

// TestSealed: objects of telling sizes are not to be seen on the disks, nor are their names, and
// come back sound, with a site gone, after repair, after compaction, and after recovery.
func TestSealed(t *testing.T) {
	for _, text := range []string{"rs:9+6", "replica:3", "lrc:6+2+2", "rs:4+2"} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			c, dir, ring := newSealed(t, text)
			want := map[string][]byte{}
			for _, n := range append(sizes, seal.Plain-1, seal.Plain, seal.Plain+1, packLimit+2, 9*16*seal.Plain, 9*16*seal.Plain+1) {
				key := fmt.Sprintf("fjord/%d", n)
				want[key] = bytes.Repeat([]byte("plain line\n"), n/11+1)[:n]
				_, err := c.Put(ctx, "bucket", key, bytes.NewReader(want[key]), PutOptions{ContentType: "text/secret", Meta: map[string]string{"m": "metadata-value"}})
				if err != nil {
					t.Fatal(err)
				}
			}
			check := func() {
				t.Helper()
				for key, p := range want {
					wantBytes(t, c, key, p)
				}
			}
			check()
			for i := 0; i < 40; i += 2 {
				put(t, c, fmt.Sprintf("fjord/small/%d", i), []byte("plain line"))
				put(t, c, fmt.Sprintf("fjord/small/%d", i+1), []byte("plain line"))
			}
			for i := range 40 {
				if err := c.Delete(ctx, "bucket", fmt.Sprintf("fjord/small/%d", i)); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := c.Compact(ctx, CompactOptions{Checkpoint: true}); err != nil {
				t.Fatal(err)
			}
			check()
			if rep, err := c.Scrub(ctx, ScrubOptions{Parity: 1}); err != nil || rep.Corrupt+rep.Missing+rep.ParityBad > 0 {
				t.Errorf("scrub: %+v, %v", rep, err)
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			if word, file := reveals(t, filepath.Join(dir, "sites")); word != "" {
				t.Errorf("%s shows %q", file, word)
			}
			if _, err := Fail(dir, "site1/rack1"); err != nil {
				t.Fatal(err)
			}
			c = open(t, dir, Options{Keys: ring})
			check()
			if _, err := c.Repair(ctx, nil); err != nil {
				t.Fatal(err)
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			removeCatalog(filepath.Join(dir, "catalog.db"))
			if rep, err := Recover(ctx, dir, Options{Keys: ring}, nil); err != nil || len(rep.Unreadable) > 0 {
				t.Fatalf("recover: %+v, %v", rep, err)
			}
			c = open(t, dir, Options{Keys: ring})
			check()
			if rep, err := c.Fsck(ctx, FsckOptions{Deep: true}); err != nil || rep.Err() != nil {
				t.Errorf("fsck: %+v, %v", rep, err)
			}
		})
	}
}

// TestSealedRanges: any range of an encrypted object is that range of its bytes, sound and with
// shards gone.
func TestSealedRanges(t *testing.T) {
	c, m, objects := newSealedMem(t)
	for _, gone := range []int{0, 3} {
		for i := range gone {
			m.open[int32(i)].Set(disks.Fault{Lost: true})
		}
		rapid.Check(t, func(rt *rapid.T) {
			i := rapid.IntRange(0, len(objects)-1).Draw(rt, "object")
			p := objects[i]
			from := rapid.IntRange(0, len(p)-1).Draw(rt, "from")
			n := rapid.IntRange(1, len(p)-from).Draw(rt, "length")
			got, _, err := read(c, fmt.Sprint(i), GetOptions{Offset: int64(from), Length: int64(n)})
			if err != nil || !bytes.Equal(got, p[from:from+n]) {
				rt.Fatalf("object of %d bytes, [%d, %d): %d bytes, %v", len(p), from, from+n, len(got), err)
			}
		})
	}
}

func newSealedMem(t *testing.T) (*Cluster, *memDisks, [][]byte) {
	m, dir, ring := newMemDisks(), filepath.Join(memDir(t), "c"), seal.Ring{seal.NewKey()}
	if err := initWith(dir, InitOptions{Scheme: scheme(t, "rs:4+4"), Map: DefaultMap(4, 1, 1, 2, 1e12), Key: ring[0]}, m); err != nil {
		t.Fatal(err)
	}
	c, err := Open(ctx, dir, Options{Open: m, Keys: ring})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.MakeBucket(ctx, "bucket"); err != nil {
		t.Fatal(err)
	}
	var objects [][]byte
	for i, n := range []int{1, 5000, packLimit, 100_000, 4*16*seal.Plain + 3*packLimit, 2*4*16*seal.Plain + 77} {
		objects = append(objects, randomBytes(n, uint64(i)))
		put(t, c, fmt.Sprint(i), objects[i])
	}
	return c, m, objects
}

// forge puts other bytes in the place of a shard, with sums that hold.
func forge(t testing.TB, c *Cluster, s *stripe, i int, data []byte) {
	t.Helper()
	p := plant(t, c, s.Places[i], disks.Shard{Header: c.header(s, i), Data: data})
	if err := c.catalog.update(ctx, func(x *tx) error {
		_, err := x.move(s.ID, i, s.Places[i], p)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	s.Places[i] = p
}

// TestForged: bytes that were changed, or come from another shard, stripe or object, with sums
// that hold, are found out; what can be made from the other shards is, and else nothing is given.
func TestForged(t *testing.T) {
	c, _, objects := newSealedMem(t)
	data := func(s *stripe, i int) []byte {
		p := make([]byte, s.size(i))
		if err := c.readShard(ctx, s, i, 0, p, false); err != nil {
			t.Fatal(err)
		}
		return p
	}
	large, other := someStripe(t, c, "5"), someStripe(t, c, "4")
	first, second := data(large, 0), data(large, 1)
	flipped := bytes.Clone(first)
	flipped[100_000] ^= 4
	for name, p := range map[string][]byte{"changed": flipped, "of another column": second, "of another object": data(other, 0)} {
		forge(t, c, large, 0, p)
		if d := wantBytes(t, c, "5", objects[5]); d.Shards == 0 {
			t.Errorf("%s: not noticed", name)
		}
	}
	small := someStripe(t, c, "1")
	at := slices.IndexFunc(small.Columns, func(n uint32) bool { return n >= 5000 })
	forge(t, c, small, at, make([]byte, small.size(at)))
	wantBytes(t, c, "1", objects[1])

	// all shards of a stripe replaced by those of another one, in agreement
	for i := range large.Places {
		forge(t, c, large, i, data(other, i))
	}
	if got, _, err := read(c, "5", GetOptions{Length: 100_000}); !errors.Is(err, ErrDataLost) || !errors.Is(err, seal.ErrTampered) || len(got) > 0 {
		t.Errorf("another stripe's bytes: %d bytes, %v", len(got), err)
	}
	// two columns of one stripe exchanged, and parity with them
	s := someStripe(t, c, "4")
	shards := make([][]byte, s.Scheme.N())
	for i := range shards {
		shards[i] = data(s, i)
	}
	shards[0], shards[1] = shards[1], shards[0]
	if err := c.code(s.Scheme).Encode(shards); err != nil {
		t.Fatal(err)
	}
	for i, p := range shards {
		forge(t, c, s, i, p)
	}
	if got, _, err := read(c, "4", GetOptions{Length: 100_000}); !errors.Is(err, ErrDataLost) || len(got) > 0 {
		t.Errorf("columns exchanged: %d bytes, %v", len(got), err)
	}
}

// state is what lies in a cluster's directory.
func state(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || filepath.Base(path) == "LOCK" || strings.HasSuffix(path, "-shm") {
			return err
		}
		p, err := os.ReadFile(path)
		files[path] = string(p)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestNoKey: without its keys, or with a wrong one, an encrypted cluster is not written to; it
// can be listed and checked, and gives no bytes. Recovery and export need the keys too.
func TestNoKey(t *testing.T) {
	c, dir, ring := newSealed(t, "rs:4+2")
	want := randomBytes(300_000, 1)
	put(t, c, "large", want)
	put(t, c, "small", want[:100])
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	before := state(t, dir)
	wrong := seal.Ring{seal.NewKey()}
	for name, keys := range map[string]seal.Ring{"none": nil, "wrong": wrong} {
		_, err := Open(ctx, dir, Options{Keys: keys})
		_, rec := Recover(ctx, dir, Options{Keys: keys}, nil)
		_, _, exp := OpenDisks(ctx, []string{filepath.Join(dir, "sites")}, t.TempDir(), "", keys)
		rot := RotateKey(ctx, dir, Options{Keys: keys}, seal.NewKey())
		_, add := Drain(ctx, dir, Options{Keys: keys}, "site1/rack1/host1/disk1")
		for i, err := range []error{err, rec, exp, rot, add} {
			if !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), ring.IDs()) {
				t.Errorf("%s, %d: %v", name, i, err)
			}
			if name == "wrong" && !strings.Contains(err.Error(), wrong.IDs()) {
				t.Errorf("%s, %d: it does not name the key that was given: %v", name, i, err)
			}
		}
	}
	if now := state(t, dir); len(now) != len(before) {
		t.Errorf("%d files were %d", len(now), len(before))
	} else {
		for path, p := range before {
			if now[path] != p {
				t.Errorf("%s changed", path)
			}
		}
	}
	if _, err := Open(ctx, dir, Options{Keys: wrong, ReadOnly: true}); !errors.Is(err, ErrKey) {
		t.Errorf("a reader with a wrong key: %v", err)
	}
	r := open(t, dir, Options{ReadOnly: true})
	if o, err := r.Stat(ctx, "bucket", "large"); err != nil || o.Size != int64(len(want)) {
		t.Errorf("%+v, %v", o, err)
	}
	if rep, err := r.Fsck(ctx, FsckOptions{Deep: true}); err != nil || rep.Err() != nil || rep.Degraded > 0 {
		t.Errorf("fsck without a key: %+v, %v", rep, err)
	}
	for _, key := range []string{"large", "small"} {
		if got, _, err := read(r, key, GetOptions{}); !errors.Is(err, ErrKey) || len(got) > 0 || !strings.Contains(err.Error(), ring.IDs()) {
			t.Errorf("%s: %d bytes, %v", key, len(got), err)
		}
	}
	r.Close()
	x, rep, err := OpenDisks(ctx, []string{filepath.Join(dir, "sites", "site1"), filepath.Join(dir, "sites", "site2")}, t.TempDir(), "", ring)
	if err != nil || rep.Objects != 2 {
		t.Fatalf("export: %+v, %v", rep, err)
	}
	defer x.Close()
	wantBytes(t, x, "large", want)
}

// TestRotate: what was written stays readable with the old key, what comes is encrypted with the
// new one, and neither is enough alone; recovery from the disks knows both. A cluster that was
// not encrypted begins to be.
func TestRotate(t *testing.T) {
	c, dir := newCluster(t, InitOptions{Scheme: scheme(t, "rs:4+2")})
	want := map[string][]byte{}
	add := func(name string) {
		t.Helper()
		for _, n := range []int{100, 200_000} {
			key := fmt.Sprintf("%s/%d", name, n)
			want[key] = randomBytes(n, uint64(n))
			put(t, c, key, want[key])
		}
	}
	check := func() {
		t.Helper()
		for key, p := range want {
			wantBytes(t, c, key, p)
		}
	}
	add("plain")
	var ring seal.Ring
	for i := range 2 {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		key := seal.NewKey()
		if err := RotateKey(ctx, dir, Options{Keys: ring}, key); !errors.Is(err, ErrKey) {
			t.Errorf("a key that would be lost at once: %v", err)
		}
		ring = append(ring, key)
		if err := RotateKey(ctx, dir, Options{Keys: ring}, key); err != nil {
			t.Fatal(err)
		}
		if err := RotateKey(ctx, dir, Options{Keys: ring}, key); !errors.Is(err, ErrExists) {
			t.Errorf("the same key again: %v", err)
		}
		c = open(t, dir, Options{Keys: ring})
		check()
		add(fmt.Sprint("key", i))
		check()
	}
	rep, err := c.Keys(ctx)
	if err != nil || len(rep.Keys) != 2 || rep.Keys[0].Bytes < 200_100 || rep.Keys[1].Bytes < 200_100 || rep.Plain.Bytes != 200_100 || !rep.Keys[1].Current || rep.Keys[0].Current {
		t.Errorf("%+v, %v", rep, err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for i := range ring {
		if _, err := Open(ctx, dir, Options{Keys: ring[i : i+1]}); !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), ring[1-i].ID().String()) {
			t.Errorf("with key %d alone: %v", i, err)
		}
	}
	removeCatalog(filepath.Join(dir, "catalog.db"))
	if _, err := Recover(ctx, dir, Options{Keys: ring}, nil); err != nil {
		t.Fatal(err)
	}
	c = open(t, dir, Options{Keys: ring})
	check()
	if c.sealing() != ring[1].ID() {
		t.Errorf("recovered, it encrypts with %s", c.sealing())
	}
}

// TestSealedFormat: an encrypted cluster has a format that older versions refuse, a plain one
// the format that they know.
func TestSealedFormat(t *testing.T) {
	c, dir, ring := newSealed(t, "rs:4+2")
	if c.config.Format != sealedFormat {
		t.Errorf("format %d", c.config.Format)
	}
	if plain, _ := newCluster(t, InitOptions{}); plain.config.Format != 1 {
		t.Errorf("a plain cluster has format %d", plain.config.Format)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	other := ring[0].Print()[:8] + "00000000000000000000000000000000"
	c.config.Keys = []seal.Print{other}
	if err := c.config.unlocks(ring); !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), "another key has the name") {
		t.Errorf("a key of the same name: %v", err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
}

// FuzzSealedJournal: no bytes make an encrypted journal be believed that was not written for its
// batch.
func FuzzSealedJournal(f *testing.F) {
	key := seal.NewKey()
	c := &Cluster{keys: seal.Ring{key}, config: config{ID: "c", Keys: []seal.Print{key.Print()}}}
	records := []record{{Kind: recDelete, Bucket: "bucket", Key: "k"}}
	sealed := c.sealJournal(encodeJournal(records), 7)
	f.Add(sealed)
	f.Add(sealed[:sealedJournalHead])
	f.Add(encodeJournal(records))
	f.Add([]byte{sealedJournal})
	f.Fuzz(func(t *testing.T, p []byte) {
		got, err := openJournal(p, c.keys, "c", 7)
		if len(p) > 0 && p[0] == sealedJournal && (err == nil) != bytes.Equal(p, sealed) {
			t.Errorf("%x: %+v, %v", p, got, err)
		}
		if _, err := openJournal(p, c.keys, "c", 8); err == nil && bytes.Equal(p, sealed) {
			t.Error("taken for another batch's")
		}
	})
}
