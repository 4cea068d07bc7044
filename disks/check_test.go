package disks

import (
	"errors"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

var free = func(int) error { return nil }

// checked is what Check says of each stripe on a disk: 0 sound, 1 data, 2 journal, 3 both.
func checked(t testing.TB, d Checker) map[uint64]int {
	t.Helper()
	got := map[uint64]int{}
	list, err := d.Segments()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		err := d.Check(ctx, s.Number, free, func(c Checked) error {
			n := 0
			if c.Data != nil {
				n |= 1
			}
			if c.Journal != nil {
				n |= 2
			}
			got[c.Stripe] = n
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return got
}

// TestCheckFindsEveryFlip: whichever bit of a shard flips, the check names that shard and no
// other. WATTLE_FLIPS sets the number of flips.
func TestCheckFindsEveryFlip(t *testing.T) {
	fs := NewMemFS()
	d, err := CreateMem(fs, testIdentity)
	if err != nil {
		t.Fatal(err)
	}
	var list []Shard
	for id := range uint64(40) {
		list = append(list, testShard(id+1, int(id*id*2)))
	}
	a, err := d.Append(ctx, list, AppendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for id, n := range checked(t, d) {
		if n != 0 {
			t.Fatalf("stripe %d is sound and found to be %d", id, n)
		}
	}
	flips, rng := 300, rand.New(rand.NewPCG(3, 4))
	if n, err := strconv.Atoi(os.Getenv("WATTLE_FLIPS")); err == nil {
		flips = n
	}
	data := &fs.names[segmentName(1)].data
	for range flips {
		i := rng.IntN(len(list))
		size := HeaderSize(2) + int(stored(uint32(len(list[i].Data))))
		if len(list[i].Journal) > 0 {
			size += len(list[i].Journal) + sumSize
		}
		at, bit := int(a[i].Offset)+rng.IntN(size), byte(1)<<rng.IntN(8)
		data.flip(int64(at), bit)
		got := checked(t, d)
		for id, n := range got {
			if bad := id == list[i].Stripe; bad != (n != 0) {
				t.Fatalf("bit %x of byte %d of stripe %d flipped; stripe %d is found to be %d", bit, at-int(a[i].Offset), list[i].Stripe, id, n)
			}
		}
		if len(got) != len(list) && at-int(a[i].Offset) >= 4 {
			t.Fatalf("%d shards of %d", len(got), len(list))
		}
		data.flip(int64(at), bit)
	}
}

// TestCheckAfterFree: freed shards are not reported; of those whose journal stays the data is
// gone and the journal sound.
func TestCheckAfterFree(t *testing.T) {
	d, err := CreateMem(NewMemFS(), testIdentity)
	if err != nil {
		t.Fatal(err)
	}
	list := []Shard{testShard(1, 20_000), testShard(2, 9000), testShard(3, 9000), testShard(4, 1<<20), testShard(5, 1<<20)}
	a, err := d.Append(ctx, list, AppendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Free(ctx, a[1:3], true); err != nil {
		t.Fatal(err)
	}
	var gone []uint64
	segments, err := d.Segments()
	if err != nil || len(segments) < 2 || !segments[len(segments)-1].Open {
		t.Fatalf("segments %+v, %v", segments, err)
	}
	total := 0
	for _, s := range segments {
		err := d.Check(ctx, s.Number, func(n int) error { total += n; return nil }, func(c Checked) error {
			if errors.Is(c.Data, ErrGone) && c.Journal == nil {
				gone = append(gone, c.Stripe)
			} else if c.Data != nil || c.Journal != nil {
				t.Errorf("stripe %d: %v, %v", c.Stripe, c.Data, c.Journal)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(gone) != 1 || gone[0] != 3 {
		t.Errorf("data gone of stripes %v, want 3", gone)
	}
	if total < 2<<20 {
		t.Errorf("%d bytes were read", total)
	}
	stop := errors.New("stop")
	if err := d.Check(ctx, 1, func(int) error { return stop }, nil); !errors.Is(err, stop) {
		t.Errorf("the pace stopped it: %v", err)
	}
	if err := d.Check(ctx, 99, free, nil); err != nil {
		t.Errorf("a segment that is gone: %v", err)
	}
}
