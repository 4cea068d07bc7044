// Package diskstest holds the test that every kind of disk passes.
package diskstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/wattle-storage/wattle/disks"
)

// A Kind makes disks of one kind.
type Kind struct {
	// New makes an empty disk of that capacity.
	New func(t *testing.T, capacity int64) disks.Disk
	// Reopen closes a disk and opens it again.
	Reopen func(t *testing.T, d disks.Disk) disks.Disk
}

var ctx = context.Background()

// Bytes are n bytes that depend on seed.
func Bytes(n int, seed uint64) []byte {
	p := make([]byte, n)
	rng := rand.NewPCG(seed, 7)
	for i := range p {
		p[i] = byte(rng.Uint64())
	}
	return p
}

// Shard is a shard of stripe id with n bytes of data and a journal of j bytes.
func Shard(id uint64, n, j int) disks.Shard {
	s := disks.Shard{Header: disks.Header{Stripe: id, Index: uint8(id % 5), K: 3, Scheme: [4]byte{2, 3, 2}, Incarnation: 9,
		Sequence: id + 100, Committed: id + 99, Columns: []uint32{uint32(n), 0, uint32(n / 2)}}, Data: Bytes(n, id)}
	if j > 0 {
		s.Journal = Bytes(j, id+1)
	}
	return s
}

// Ref is what reads a shard at an address.
func Ref(s disks.Shard, a disks.Address) disks.Ref {
	return disks.Ref{Address: a, Stripe: s.Stripe, Index: s.Index, K: s.K, Size: uint32(len(s.Data))}
}

// Put appends and syncs shards.
func Put(t *testing.T, d disks.Disk, list ...disks.Shard) []disks.Address {
	t.Helper()
	places, err := d.Append(ctx, list, disks.AppendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	return places
}

// Want fails unless the shard is whole at a.
func Want(t *testing.T, d disks.Disk, s disks.Shard, a disks.Address) {
	t.Helper()
	got, err := d.ReadShard(ctx, a)
	if err != nil {
		t.Fatalf("stripe %d: %v", s.Stripe, err)
	}
	if !slices.Equal(got.Columns, s.Columns) || got.Stripe != s.Stripe || got.Index != s.Index || got.Sequence != s.Sequence ||
		got.Committed != s.Committed || got.Incarnation != s.Incarnation || got.Scheme != s.Scheme {
		t.Errorf("stripe %d: header %+v, want %+v", s.Stripe, got.Header, s.Header)
	}
	if !bytes.Equal(got.Data, s.Data) || !bytes.Equal(got.Journal, s.Journal) {
		t.Errorf("stripe %d: %d bytes and a journal of %d came back other than they went", s.Stripe, len(got.Data), len(got.Journal))
	}
	data := make([]byte, len(s.Data))
	if err := d.Read(ctx, Ref(s, a), 0, data); err != nil || !bytes.Equal(data, s.Data) {
		t.Errorf("stripe %d: read: %v", s.Stripe, err)
	}
}

func scan(t *testing.T, d disks.Disk) map[disks.Address]disks.Entry {
	t.Helper()
	found := map[disks.Address]disks.Entry{}
	if err := d.Scan(ctx, func(e disks.Entry) error { found[e.Address] = e; return nil }); err != nil {
		t.Fatal(err)
	}
	return found
}

// TestDisk runs the contract.
func TestDisk(t *testing.T, k Kind) {
	for name, f := range map[string]func(*testing.T, Kind){"shapes": shapes, "ranges": ranges, "bulk": bulk, "free": free, "full": full,
		"scan": scans, "wrong address": wrong, "together": together, "identity": identity, "many segments": segments} {
		t.Run(name, func(t *testing.T) { f(t, k) })
	}
}

// sizes stand on both sides of the borders of blocks.
var sizes = []int{0, 1, 63, 64, 4096, 16<<10 - 1, 16 << 10, 16<<10 + 1, 32 << 10, 100_000, 256 << 10}

func shapes(t *testing.T, k Kind) {
	d := k.New(t, 1<<40)
	var list []disks.Shard
	for i, n := range sizes {
		list = append(list, Shard(uint64(i), n, 0), Shard(uint64(i+50), n, 1+137*i))
	}
	places := Put(t, d, list...)
	for range 2 {
		for i, s := range list {
			Want(t, d, s, places[i])
			h, j, err := d.ReadJournal(ctx, places[i])
			if err != nil || h.Stripe != s.Stripe || !bytes.Equal(j, s.Journal) {
				t.Errorf("journal of stripe %d: %d bytes, %v", s.Stripe, len(j), err)
			}
		}
		d = k.Reopen(t, d)
	}
	if _, err := d.Append(ctx, []disks.Shard{{Header: disks.Header{K: 3}}}, disks.AppendOptions{}); err == nil {
		t.Error("a header of 3 columns that names none was taken")
	}
}

func ranges(t *testing.T, k Kind) {
	d := k.New(t, 1<<40)
	s := Shard(7, 50_000, 0)
	at := Ref(s, Put(t, d, s)[0])
	for _, r := range [][2]int{{0, 0}, {0, 1}, {49_999, 1}, {16383, 2}, {16384, 16384}, {1, 49_999}, {20_000, 100}, {32767, 17_233}} {
		for name, read := range map[string]func(context.Context, disks.Ref, int, []byte) error{"Read": d.Read, "ReadRaw": d.ReadRaw} {
			before := d.Counters()
			p := make([]byte, r[1])
			if err := read(ctx, at, r[0], p); err != nil || !bytes.Equal(p, s.Data[r[0]:r[0]+r[1]]) {
				t.Errorf("%s of %d bytes at %d: %v", name, r[1], r[0], err)
			}
			if n := d.Counters().Reads - before.Reads; n > 1 {
				t.Errorf("%s of %d bytes at %d: %d reads, want 1", name, r[1], r[0], n)
			}
		}
	}
	for _, r := range [][2]int{{-1, 2}, {49_999, 2}, {50_001, 1}} {
		if err := d.Read(ctx, at, r[0], make([]byte, r[1])); err == nil {
			t.Errorf("%d bytes at %d of 50,000 were read", r[1], r[0])
		}
	}
}

// bulk reads shards together, in any order, with and without their journals, and finds which of
// them is bad.
func bulk(t *testing.T, k Kind) {
	d := k.New(t, 1<<40)
	b, ok := d.(disks.BulkReader)
	if !ok {
		t.Skip("it reads shards one by one")
	}
	var list []disks.Shard
	for round := range 3 {
		for i, n := range append(sizes, 3<<20, 7) {
			list = append(list, Shard(uint64(100*round+i), n, (i%3)*(1+97*i)))
		}
	}
	var places []disks.Address
	for i, s := range list {
		o := disks.AppendOptions{Direct: i%2 == 0}
		a, err := d.Append(ctx, []disks.Shard{s}, o)
		if err != nil {
			t.Fatal(err)
		}
		places = append(places, a...)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	bad := map[int]bool{}
	for range 4 {
		for _, some := range []int{1, 2, len(list)} {
			var wants []*disks.Want
			of := rng.Perm(len(list))[:some]
			for _, i := range of {
				wants = append(wants, &disks.Want{Ref: Ref(list[i], places[i]), Data: make([]byte, len(list[i].Data)), Whole: rng.IntN(2) == 0})
			}
			before := d.Counters()
			b.ReadBulk(ctx, wants)
			if n := d.Counters().Reads - before.Reads; some == len(list) && len(bad) == 0 && n > int64(2*len(list)/3) {
				t.Errorf("%d shards: %d reads", some, n)
			}
			for j, i := range of {
				checkWant(t, wants[j], list[i], bad[i])
			}
		}
		if c, ok := d.(interface {
			Corrupt(disks.Address, int, *rand.Rand) error
		}); ok {
			i := 1 + rng.IntN(len(sizes)-1)
			if err := c.Corrupt(places[i], 1, rng); err != nil {
				t.Fatal(err)
			}
			bad[i] = !bad[i] || !intact(d, list[i], places[i])
		}
		d = k.Reopen(t, d)
		b = d.(disks.BulkReader)
	}
	gone := &disks.Want{Ref: disks.Ref{Address: disks.Address{Segment: 999, Offset: 64, Length: 4096}, K: 3, Size: 10}, Data: make([]byte, 10)}
	if b.ReadBulk(ctx, []*disks.Want{gone}); !errors.Is(gone.Err, disks.ErrGone) {
		t.Errorf("a segment that is not there: %v", gone.Err)
	}
}

// intact tells whether a shard reads well: two flips of a bit undo each other.
func intact(d disks.Disk, s disks.Shard, a disks.Address) bool {
	return d.Read(ctx, Ref(s, a), 0, make([]byte, len(s.Data))) == nil
}

func checkWant(t *testing.T, w *disks.Want, s disks.Shard, bad bool) {
	t.Helper()
	switch {
	case bad && !errors.Is(w.Err, disks.ErrCorrupt):
		t.Errorf("stripe %d, which is bad: %v", s.Stripe, w.Err)
	case bad:
	case w.Err != nil || !bytes.Equal(w.Data, s.Data):
		t.Errorf("stripe %d of %d bytes: other bytes, %v", s.Stripe, len(s.Data), w.Err)
	case w.Whole && (w.Header.Stripe != s.Stripe || w.Header.Index != s.Index || !bytes.Equal(w.Journal, s.Journal) || (w.Journal == nil) != (len(s.Journal) == 0)):
		t.Errorf("stripe %d: journal of %d bytes, want %d", s.Stripe, len(w.Journal), len(s.Journal))
	}
}

func free(t *testing.T, k Kind) {
	d := k.New(t, 1<<40)
	var list []disks.Shard
	for i := range 12 {
		list = append(list, Shard(uint64(i), 20_000, 500*(i%2)))
	}
	places := Put(t, d, list...)
	before := d.Space().Used
	for range 2 { // twice does no harm
		if err := d.Free(ctx, places[:4], false); err != nil {
			t.Fatal(err)
		}
		if err := d.Free(ctx, places[4:8], true); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	if used := d.Space().Used; used >= before {
		t.Errorf("%d bytes in use before and %d after", before, used)
	}
	for range 2 {
		found := scan(t, d)
		for i, s := range list {
			_, there := found[places[i]]
			_, j, err := d.ReadJournal(ctx, places[i])
			switch {
			case i >= 8:
				Want(t, d, s, places[i])
			case i >= 4 && len(s.Journal) > 0: // its journal stays
				if !there || err != nil || !bytes.Equal(j, s.Journal) {
					t.Errorf("journal of stripe %d: there %v, %v", s.Stripe, there, err)
				}
				if err := d.Read(ctx, Ref(s, places[i]), 0, make([]byte, 10)); err == nil {
					t.Errorf("data of stripe %d was read after it was freed", s.Stripe)
				}
			default:
				if there || !errors.Is(err, disks.ErrGone) {
					t.Errorf("stripe %d: there %v, %v; want ErrGone", s.Stripe, there, err)
				}
			}
		}
		d = k.Reopen(t, d)
	}
	fresh := Shard(99, 20_000, 0)
	if at := Put(t, d, fresh)[0]; slices.Contains(places, at) {
		t.Errorf("address %+v was given again", at)
	}
}

func full(t *testing.T, k Kind) {
	const capacity = 4 << 20
	d := k.New(t, capacity)
	var at []disks.Address
	for i := uint64(0); ; i++ {
		places, err := d.Append(ctx, []disks.Shard{Shard(i, 100_000, 0)}, disks.AppendOptions{})
		if errors.Is(err, disks.ErrFull) {
			break
		}
		if err != nil || i > 100 {
			t.Fatalf("shard %d: %v", i, err)
		}
		at = append(at, places...)
	}
	if n := len(at); n < 30 {
		t.Errorf("full after %d shards of 100 kB, of a disk of 4 MiB", n)
	}
	if _, err := d.Append(ctx, []disks.Shard{Shard(500, 50_000, 0)}, disks.AppendOptions{UseReserve: true}); err != nil {
		t.Errorf("the reserve: %v", err)
	}
	if err := d.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	if err := d.Free(ctx, at[:10], false); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Append(ctx, []disks.Shard{Shard(501, 100_000, 0)}, disks.AppendOptions{}); err != nil {
		t.Errorf("after space was freed: %v", err)
	}
	if s := d.Space(); s.Capacity != capacity || s.Used > capacity || s.Free < 0 {
		t.Errorf("space %+v", s)
	}
}

func scans(t *testing.T, k Kind) {
	d := k.New(t, 1<<40)
	if n := len(scan(t, d)); n > 0 {
		t.Errorf("%d shards on an empty disk", n)
	}
	want := map[disks.Address]disks.Shard{}
	for i := range 40 { // some MiB, so that segments are sealed
		s := Shard(uint64(i), 90_000, 100*(i%3))
		want[Put(t, d, s)[0]] = s
	}
	for range 2 {
		found := scan(t, d)
		if len(found) != len(want) {
			t.Errorf("%d shards found of %d", len(found), len(want))
		}
		for a, s := range want {
			e := found[a]
			if e.Stripe != s.Stripe || int(e.Size) != len(s.Data) || int(e.JournalSize) != len(s.Journal) || e.Sequence != s.Sequence {
				t.Errorf("%+v: %+v", a, e)
			}
		}
		d = k.Reopen(t, d)
	}
	stop := errors.New("stop")
	if err := d.Scan(ctx, func(disks.Entry) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("a scan that was stopped: %v", err)
	}
}

func wrong(t *testing.T, k Kind) {
	d := k.New(t, 1<<40)
	a, b := Shard(1, 30_000, 0), Shard(2, 30_000, 0)
	places := Put(t, d, a, b)
	p := make([]byte, 30_000)
	stale := Ref(a, places[1])
	if err := d.Read(ctx, stale, 0, p); !errors.Is(err, disks.ErrCorrupt) {
		t.Errorf("another shard's place: %v", err)
	}
	other := Ref(a, places[0])
	other.Index++
	if err := d.Read(ctx, other, 0, p); !errors.Is(err, disks.ErrCorrupt) {
		t.Errorf("another index: %v", err)
	}
	gone := places[0]
	gone.Segment = 77
	if err := d.Read(ctx, Ref(a, gone), 0, p); !errors.Is(err, disks.ErrGone) {
		t.Errorf("a segment that never was: %v", err)
	}
	far := places[1]
	far.Offset += 1 << 20
	if _, err := d.ReadShard(ctx, far); err == nil {
		t.Error("bytes behind the end were read")
	}
	if err := d.Free(ctx, []disks.Address{gone}, false); err != nil {
		t.Errorf("free in a segment that never was: %v", err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := d.Append(ended, []disks.Shard{a}, disks.AppendOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("append after its context ended: %v", err)
	}
}

// together appends, syncs, reads and frees at the same time.
func together(t *testing.T, k Kind) {
	d := k.New(t, 1<<40)
	var wg sync.WaitGroup
	errs := make(chan error, 8)
	for w := range 8 {
		wg.Go(func() {
			for i := range 20 {
				s := Shard(uint64(w*1000+i), 5000+w, 10)
				places, err := d.Append(ctx, []disks.Shard{s}, disks.AppendOptions{})
				if err == nil {
					err = d.Sync(ctx)
				}
				p := make([]byte, len(s.Data))
				if err == nil {
					err = d.Read(ctx, Ref(s, places[0]), 0, p)
				}
				if err == nil && !bytes.Equal(p, s.Data) {
					err = fmt.Errorf("stripe %d: other bytes", s.Stripe)
				}
				if err == nil && i%2 == 0 {
					err = d.Free(ctx, places, i%4 == 0)
				}
				if err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	if n := len(scan(t, d)); n != 8*15 { // half were freed, and of those half left their journal
		t.Errorf("%d shards or journals, want %d", n, 8*15)
	}
}

func identity(t *testing.T, k Kind) {
	d := k.New(t, 1<<40)
	id := d.Identity()
	id.Epoch, id.Map = 9, []byte(`{"a":1}`)
	if err := d.SetIdentity(id); err != nil {
		t.Fatal(err)
	}
	d = k.Reopen(t, d)
	if got := d.Identity(); got.Epoch != 9 || !bytes.Contains(got.Map, []byte(`"a"`)) || got.Cluster != id.Cluster || got.Disk != id.Disk {
		t.Errorf("identity %+v, want %+v", got, id)
	}
}

// segments fills more segments than a disk keeps open.
func segments(t *testing.T, k Kind) {
	d := k.New(t, 1<<40)
	want := map[uint64]disks.Address{}
	last := uint32(0)
	for i := uint64(0); last < 5; i++ {
		s := Shard(i, 1<<20, 0)
		want[i] = Put(t, d, s)[0]
		last = want[i].Segment
	}
	for range 2 {
		for i, a := range want {
			p := make([]byte, 100)
			if s := Shard(i, 1<<20, 0); d.Read(ctx, Ref(s, a), 5000, p) != nil || !bytes.Equal(p, s.Data[5000:5100]) {
				t.Errorf("stripe %d in segment %d cannot be read", i, a.Segment)
			}
		}
		d = k.Reopen(t, d)
	}
	for i, a := range want { // segments with nothing in them go, but for the newest
		if err := d.Free(ctx, []disks.Address{a}, false); err != nil {
			t.Fatalf("stripe %d: %v", i, err)
		}
	}
	if n := len(scan(t, d)); n > 0 {
		t.Errorf("%d shards left of none", n)
	}
	d = k.Reopen(t, d)
	if at := Put(t, d, Shard(1, 10, 0))[0]; at.Segment < last {
		t.Errorf("segment %d after %d", at.Segment, last)
	}
}
