package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/placement"
)

// alone is where the bytes of an object lie that fills one stripe or a column of one.
func alone(t *testing.T, c *Cluster, key string) (*stripe, extent) {
	t.Helper()
	_, layout, err := c.catalog.find(ctx, "bucket", key, "")
	if err != nil || len(layout) != 1 {
		t.Fatalf("%d extents, %v", len(layout), err)
	}
	s, err := c.catalog.stripeByID(ctx, layout[0].Stripe)
	if err != nil {
		t.Fatal(err)
	}
	return s, layout[0]
}

// TestCrowdedReads: what is handed on in pieces while others fill the processors is what was
// put, whatever the disks do, or breaks off.
func TestCrowdedReads(t *testing.T) {
	c, m := newMemCluster(t, InitOptions{Map: DefaultMap(1, 1, 6, 1, 1e12), Scheme: scheme(t, "rs:4+2")}, 0)
	c.processors = 0
	want := map[string][]byte{}
	for i, n := range []int{packLimit + 1, 200_000, 1 << 20, 1<<20 + 1, 5_000_000} {
		key := fmt.Sprint(n)
		want[key] = randomBytes(n, uint64(i))
		put(t, c, key, want[key])
	}
	s, _ := alone(t, c, "200000")
	second, fourth, parity := int32(s.Places[1].Disk), int32(s.Places[3].Disk), int32(s.Places[4].Disk)
	check := func(what string, rebuilt bool) {
		t.Helper()
		for key, p := range want {
			if d := wantBytes(t, c, key, p); d.Stripes > 0 != rebuilt && key == "200000" || d.Stripes > 0 && !rebuilt {
				t.Errorf("%s, %s: %+v", what, key, d)
			}
			from, to := len(p)/5, len(p)/5*4
			if got, _, err := read(c, key, GetOptions{Offset: int64(from), Length: int64(to - from)}); err != nil || !bytes.Equal(got, p[from:to]) {
				t.Errorf("%s: bytes %d to %d of %s: %d bytes, %v", what, from, to, key, len(got), err)
			}
		}
	}
	check("sound", false)
	m.set(second, disks.Fault{FailRead: 1})
	check("a read that fails once", false)
	m.set(second, disks.Fault{Rot: true})
	check("a rotten disk", true)
	m.set(fourth, disks.Fault{Lost: true})
	check("and one lost", true)
	m.set(parity, disks.Fault{Rot: true})
	for key, p := range want {
		got, _, err := read(c, key, GetOptions{})
		if !bytes.HasPrefix(p, got) || err == nil && len(got) < len(p) || err != nil && !errors.Is(err, ErrDataLost) {
			t.Errorf("three of 4+2 bad, %s: %d bytes, %v", key, len(got), err)
		}
		if key == "200000" && err == nil {
			t.Errorf("three bad shards, and no error")
		}
	}
	if n := c.Memory(); n != 0 {
		t.Errorf("%d bytes of memory were not given back", n)
	}
}

// TestPackedRebuilt: a packed object whose shard is away comes from shards that are not
// verified one by one; a rotten one among them is found all the same.
func TestPackedRebuilt(t *testing.T) {
	c, m := newMemCluster(t, InitOptions{Map: DefaultMap(1, 1, 6, 1, 1e12), Scheme: scheme(t, "rs:4+2")}, 0)
	want := randomBytes(50_000, 1)
	put(t, c, "k", want)
	s, e := alone(t, c, "k")
	m.set(int32(s.Places[e.Col].Disk), disks.Fault{Lost: true})
	before := c.Counters()
	if d := wantBytes(t, c, "k", want); d.Stripes != 1 || d.Shards != 1 {
		t.Errorf("one shard away: %+v", d)
	}
	if n := c.Counters().BytesRead - before.BytesRead; n > int64(c.config.Scheme.K)*int64(len(want)+64) {
		t.Errorf("%d bytes were read for %d of each of 4 shards", n, len(want))
	}
	before = c.Counters()
	if d := wantBytes(t, c, "k", want); d.Stripes != 1 || d.Shards != 1 || c.Counters().Reads != before.Reads {
		t.Errorf("read again: %+v, %d reads", d, c.Counters().Reads-before.Reads)
	}
	at := spot{s.ID, e.Off, e.Col}
	c.rebuilds.newer[at][7] ^= 1 // what is remembered is verified too
	rotten := []placement.DiskID{s.Places[len(s.Columns)].Disk, s.Places[len(s.Columns)+1].Disk}
	m.set(int32(rotten[0]), disks.Fault{Rot: true})
	if d := wantBytes(t, c, "k", want); d.Stripes != 1 || d.Shards != 2 {
		t.Errorf("one away and one rotten: %+v", d)
	}
	if !c.damages[damage{s.ID, len(s.Columns)}] {
		t.Errorf("the rotten shard is not known to be: %v", c.damages)
	}
	m.set(int32(rotten[1]), disks.Fault{Rot: true})
	c.rebuilds.newer = map[spot][]byte{}
	if got, _, err := read(c, "k", GetOptions{}); !errors.Is(err, ErrDataLost) || len(got) > 0 {
		t.Errorf("one away and two rotten: %d bytes, %v", len(got), err)
	}
}

// TestRebuiltBytes: what is remembered of rebuilt bytes stays within its limit, the last used
// the longest.
func TestRebuiltBytes(t *testing.T) {
	w := newRebuilds(scheme(t, "rs:4+2"))
	p := randomBytes(packLimit, 1)
	const n = 3 * rebuiltBytes / packLimit
	for i := range uint64(n) {
		w.remember(spot{stripe: i}, slices.Clone(p))
		if i > 0 && !w.find(spot{}, make([]byte, len(p))) {
			t.Fatalf("what is asked for is forgotten after %d others", i)
		}
		if held := (len(w.newer) + len(w.older)) * len(p); held > rebuiltBytes {
			t.Fatalf("%d bytes are remembered", held)
		}
	}
	got := make([]byte, len(p))
	if !w.find(spot{stripe: n - 1}, got) || !bytes.Equal(got, p) || w.find(spot{stripe: 1}, got) || w.find(spot{stripe: n - 1}, got[1:]) {
		t.Error("the last one is forgotten, or the first one is not, or another length is taken for it")
	}
}
