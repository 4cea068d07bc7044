package cluster

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/wattle-storage/wattle/disks"
)

var flips = flag.Int("flips", 20_000, "bits that TestBitFlips flips")

// TestBitFlips flips bits of data, sums and journals of the shards of as many disks as the
// scheme stands, some hundred at a time; reads give the right bytes, a scrub repairs all, and
// then no read finds anything to rebuild.
func TestBitFlips(t *testing.T) {
	c, m := newMemCluster(t, InitOptions{Map: DefaultMap(1, 1, 9, 1, 1e12), Scheme: scheme(t, "rs:4+3")}, 0)
	want := map[string][]byte{}
	for i := range 30 {
		key := fmt.Sprint("k", i)
		want[key] = randomBytes([]int{300, 9000, 60_000, 200_000}[i%4], uint64(i))
		put(t, c, key, want[key])
	}
	rng := rand.New(rand.NewPCG(1, 0))
	done, rounds, rebuilt, found := 0, 0, 0, int64(0)
	for done < *flips {
		rounds++
		ids := c.diskIDs()
		rng.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
		for _, id := range ids[:3] {
			var list []disks.Entry
			if err := c.disk(id).Scan(ctx, func(e disks.Entry) error { list = append(list, e); return nil }); err != nil {
				t.Fatal(err)
			}
			for range 2000 {
				e := list[rng.IntN(len(list))]
				head := disks.HeaderSize(int(e.K))
				if int(e.Length) == head {
					continue
				}
				at := int64(e.Offset) + int64(head) + rng.Int64N(int64(e.Length)-int64(head))
				if err := m.fs[int32(id)].Flip(fmt.Sprintf("segments/%08d.seg", e.Segment), at, rng.IntN(8)); err != nil {
					t.Fatal(err)
				}
				done++
			}
		}
		for key, p := range want {
			got, d, err := read(c, key, GetOptions{})
			if err != nil || !bytes.Equal(got, p) {
				t.Fatalf("round %d: %s: %d bytes, %v", rounds, key, len(got), err)
			}
			rebuilt += d.Shards
		}
		rep, err := c.Scrub(ctx, ScrubOptions{Parity: 1})
		if err != nil || rep.Repair == nil || rep.Repair.Lost+rep.Repair.Left > 0 {
			t.Fatalf("round %d: scrub: %+v, %v", rounds, rep, err)
		}
		found += rep.Corrupt
		for key, p := range want {
			if d := wantBytes(t, c, key, p); d.Shards > 0 {
				t.Fatalf("round %d: %s is degraded after the scrub: %+v", rounds, key, d)
			}
		}
	}
	if rebuilt == 0 || found == 0 {
		t.Errorf("%d shards were rebuilt by reads and %d found by scrubs", rebuilt, found)
	}
	t.Logf("%d flips in %d rounds: %d shards rebuilt by reads, %d found by scrubs and repaired, 0 wrong bytes", done, rounds, rebuilt, found)
}

// TestBitFlipsPastTolerance: with more shards rotten than the scheme stands a read fails, and
// says so, or gives the right bytes.
func TestBitFlipsPastTolerance(t *testing.T) {
	c, m := newMemCluster(t, InitOptions{Map: DefaultMap(1, 1, 6, 1, 1e12), Scheme: scheme(t, "rs:3+2")}, 0)
	want := randomBytes(100_000, 1)
	put(t, c, "k", want)
	rng := rand.New(rand.NewPCG(2, 0))
	lost := 0
	for range 300 {
		n := int32(rng.IntN(6))
		for name, size := range m.fs[n].Sizes() {
			if name != "disk.json" {
				m.fs[n].Flip(name, rng.Int64N(size), rng.IntN(8)) //nolint:errcheck // it is there
			}
		}
		got, _, err := read(c, "k", GetOptions{})
		switch {
		case err == nil && !bytes.Equal(got, want):
			t.Fatal("wrong bytes, and no error")
		case err != nil && !errors.Is(err, ErrDataLost):
			t.Fatal(err)
		case err != nil:
			lost++
		}
	}
	if lost == 0 {
		t.Error("nothing was lost")
	}
}
