package disks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

var ctx = context.Background()

var testIdentity = Identity{Cluster: "c", Disk: "d", Capacity: 1 << 40}

func testShard(id uint64, n int) Shard {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(uint64(i)*31 + id)
	}
	s := Shard{Header: Header{Stripe: id, Index: 1, K: 2, Scheme: [4]byte{2, 2, 1}, Sequence: id, Columns: []uint32{uint32(n), uint32(n)}}, Data: p}
	if id%3 == 0 {
		s.Journal = fmt.Appendf(nil, "journal of %d", id)
	}
	return s
}

func (s Shard) at(a Address) Ref {
	return Ref{Address: a, Stripe: s.Stripe, Index: s.Index, K: s.K, Size: uint32(len(s.Data))}
}

// whole tells whether a shard reads back as it was.
func whole(d *Segments, s Shard, a Address) error {
	got, err := d.ReadShard(ctx, a)
	if err == nil && (!bytes.Equal(got.Data, s.Data) || !bytes.Equal(got.Journal, s.Journal) || got.Stripe != s.Stripe) {
		err = errors.New("other bytes, and no error")
	}
	return err
}

// TestCrash: what was synced is there after a crash, whatever came after; what was not is
// whole, an error, or not there; and no address is given twice.
func TestCrash(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fs := NewMemFS()
		d, err := CreateMem(fs, testIdentity)
		if err != nil {
			t.Fatal(err)
		}
		type stored struct {
			s      Shard
			synced bool
			freed  bool
		}
		known := map[Address]*stored{}
		id := uint64(0)
		store := func(t *rapid.T, list []Shard) {
			d.o.Direct = rapid.SampledFrom([]int64{0, 1}).Draw(t, "direct")
			places, err := d.Append(ctx, list, AppendOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for i, a := range places {
				if old := known[a]; old != nil && (old.synced || old.freed) {
					t.Fatalf("address %+v of stripe %d given to stripe %d", a, old.s.Stripe, list[i].Stripe)
				}
				known[a] = &stored{s: list[i]}
			}
		}
		shard := func(size int) Shard {
			id++
			return testShard(id, size)
		}
		appendSome := func(t *rapid.T) {
			var list []Shard
			for range rapid.IntRange(1, 4).Draw(t, "shards") {
				list = append(list, shard(rapid.SampledFrom([]int{0, 10, 5000, 40_000, 400_000}).Draw(t, "size")))
			}
			store(t, list)
		}
		sync := func(t *rapid.T) {
			if err := d.Sync(ctx); err != nil {
				t.Fatal(err)
			}
			for _, k := range known {
				k.synced = true
			}
		}
		free := func(t *rapid.T) {
			for a, k := range known {
				if k.synced && !k.freed && rapid.Bool().Draw(t, "free") {
					k.freed = true
					if err := d.Free(ctx, []Address{a}, false); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		trickle := func(t *rapid.T) { // enough small appends that zeros are written ahead of them
			for range calmAppends + 4 {
				store(t, []Shard{shard(900)})
				if rapid.Bool().Draw(t, "synced") {
					sync(t)
				}
			}
		}
		crash := func(t *rapid.T) {
			if rapid.Bool().Draw(t, "closed") {
				d.Close()
			}
			fs.Crash(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "crash"), 0)))
			if d, err = OpenMem(fs, Options{}); err != nil {
				t.Fatal(err)
			}
			found := map[Address]uint64{}
			if err := d.Scan(ctx, func(e Entry) error { found[e.Address] = e.Stripe; return nil }); err != nil {
				t.Fatal(err)
			}
			for a, k := range known {
				err := whole(d, k.s, a)
				switch {
				case k.freed: // there or not
				case k.synced && (err != nil || found[a] != k.s.Stripe):
					t.Fatalf("stripe %d at %+v was synced: %v; found in the scan: %v", k.s.Stripe, a, err, found[a] == k.s.Stripe)
				case err != nil && err.Error() == "other bytes, and no error":
					t.Fatalf("stripe %d: wrong bytes", k.s.Stripe)
				case !k.synced && found[a] == k.s.Stripe: // an orphan: freeing it must not hurt others
					k.freed = true
					if err := d.Free(ctx, []Address{a}, false); err != nil {
						t.Fatal(err)
					}
				case !k.synced:
					delete(known, a)
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){"append": appendSome, "sync": sync, "free": free, "crash": crash, "trickle": trickle})
	})
}

func openedTwice(t *testing.T, fs *MemFS, d *Segments) *Segments {
	t.Helper()
	d.Close()
	again, err := OpenMem(fs, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// TestTornTail: a header whose data was cut off keeps its claim, so that what is appended
// later is neither hidden by it nor freed with it.
func TestTornTail(t *testing.T) {
	fs := NewMemFS()
	d, _ := CreateMem(fs, testIdentity)
	first, torn := testShard(1, 1000), testShard(2, 50_000)
	a, err := d.Append(ctx, []Shard{first, torn}, AppendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f := fs.names[segmentName(1)]
	f.data.truncate(int64(a[1].Offset) + 500)
	d = openedTwice(t, fs, d)
	later := testShard(3, 2000)
	b, err := d.Append(ctx, []Shard{later}, AppendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if b[0].Segment == a[1].Segment && b[0].Offset < a[1].Offset+a[1].Length {
		t.Errorf("%+v lies in the claim of the torn %+v", b[0], a[1])
	}
	d = openedTwice(t, fs, d)
	found := 0
	if err := d.Scan(ctx, func(e Entry) error {
		if e.Stripe == later.Stripe || e.Stripe == first.Stripe {
			found++
		}
		return nil
	}); err != nil || found != 2 {
		t.Errorf("%d of 2 shards found, %v", found, err)
	}
	if err := d.Free(ctx, []Address{a[1]}, false); err != nil {
		t.Fatal(err)
	}
	for i, s := range []Shard{first, later} {
		if err := whole(d, s, []Address{a[0], b[0]}[i]); err != nil {
			t.Errorf("stripe %d after the torn one was freed: %v", s.Stripe, err)
		}
	}
}

// TestDamagedHeader: the scan goes on behind a header that does not verify.
func TestDamagedHeader(t *testing.T) {
	fs := NewMemFS()
	d, _ := CreateMem(fs, testIdentity)
	list := []Shard{testShard(1, 3000), testShard(2, 3000), testShard(3, 3000)}
	a, err := d.Append(ctx, list, AppendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	fs.names[segmentName(1)].data.flip(int64(a[1].Offset)+30, 1)
	d = openedTwice(t, fs, d)
	var found []uint64
	if err := d.Scan(ctx, func(e Entry) error { found = append(found, e.Stripe); return nil }); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(found) != "[1 3]" {
		t.Errorf("stripes %v, want 1 and 3", found)
	}
	if _, _, err := d.ReadJournal(ctx, a[1]); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a damaged header: %v", err)
	}
}

// TestDamagedFooter: a sealed segment whose footer rots is walked instead.
func TestDamagedFooter(t *testing.T) {
	for _, back := range []int{1, 20, 40, 200} {
		fs := NewMemFS()
		d, _ := CreateMem(fs, testIdentity)
		n := 0
		for id := uint64(1); d.next < 3; id++ { // until the first is sealed
			if _, err := d.Append(ctx, []Shard{testShard(id, 100_000)}, AppendOptions{}); err != nil {
				t.Fatal(err)
			}
			n++
		}
		f := fs.names[segmentName(1)]
		f.data.flip(f.data.size-int64(back), 0x10)
		d = openedTwice(t, fs, d)
		found := 0
		if err := d.Scan(ctx, func(e Entry) error { found++; return nil }); err != nil || found != n {
			t.Errorf("%d bytes from the end: %d of %d shards, %v", back, found, n, err)
		}
	}
}

// A brokenFS fails the calls that it is told to.
type brokenFS struct {
	*MemFS
	failWrite, failSync *error
}

type brokenFile struct {
	file
	fs brokenFS
}

func (b brokenFS) open(name string, mode openMode) (file, error) {
	f, err := b.MemFS.open(name, mode)
	return brokenFile{f, b}, err
}

func (b brokenFile) writev(p [][]byte, off int64) error {
	if *b.fs.failWrite != nil {
		return *b.fs.failWrite
	}
	return b.file.writev(p, off)
}

func (b brokenFile) sync() error {
	if *b.fs.failSync != nil {
		return *b.fs.failSync
	}
	return b.file.sync()
}

// TestFailureClosesSegment: after a write or a sync that failed, the segment takes no more
// and is not synced again, so that no later success covers for what was lost.
func TestFailureClosesSegment(t *testing.T) {
	broken := errors.New("input/output error")
	for _, what := range []string{"write", "sync"} {
		t.Run(what, func(t *testing.T) {
			var failWrite, failSync error
			fs := NewMemFS()
			d := newSegments(brokenFS{fs, &failWrite, &failSync}, Options{})
			if err := d.SetIdentity(testIdentity); err != nil {
				t.Fatal(err)
			}
			good := testShard(1, 1000)
			a, err := d.Append(ctx, []Shard{good}, AppendOptions{})
			if err != nil || d.Sync(ctx) != nil {
				t.Fatal(err)
			}
			waiting, err := d.Append(ctx, []Shard{testShard(9, 1000)}, AppendOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if what == "write" {
				failWrite = broken
				if _, err := d.Append(ctx, []Shard{testShard(2, 1000)}, AppendOptions{}); !errors.Is(err, broken) {
					t.Fatalf("append: %v", err)
				}
			} else {
				failSync = broken
				if _, err := d.Append(ctx, []Shard{testShard(2, 1000)}, AppendOptions{}); err != nil {
					t.Fatal(err)
				}
				if err := d.Sync(ctx); !errors.Is(err, broken) {
					t.Fatalf("sync: %v", err)
				}
			}
			failWrite, failSync = nil, nil
			if err := d.Sync(ctx); err != nil || !d.Doubtful(waiting[0]) || d.Doubtful(a[0]) {
				t.Errorf("sync afterwards: %v; doubtful: %v, and %v of what was synced before", err, d.Doubtful(waiting[0]), d.Doubtful(a[0]))
			}
			syncs := d.Counters().Syncs
			if err := d.Sync(ctx); err != nil {
				t.Fatal(err)
			}
			if d.Counters().Syncs != syncs {
				t.Error("the broken segment was synced again")
			}
			b, err := d.Append(ctx, []Shard{testShard(3, 1000)}, AppendOptions{})
			if err != nil || b[0].Segment == a[0].Segment {
				t.Errorf("the next shard went to %+v, %v", b, err)
			}
			if err := whole(d, good, a[0]); err != nil {
				t.Errorf("what was synced before: %v", err)
			}
		})
	}
}

// TestDoubtful: a shard whose segment broke on behalf of somebody else, before it was synced, is
// not durable, and the sync of the next segment does not hide that.
func TestDoubtful(t *testing.T) {
	for _, what := range []string{"sync", "write"} {
		fs := NewMemFS()
		d, err := CreateMem(fs, testIdentity)
		if err != nil {
			t.Fatal(err)
		}
		synced, err := d.Append(ctx, []Shard{testShard(1, 1000)}, AppendOptions{})
		if err != nil || d.Sync(ctx) != nil {
			t.Fatal(err)
		}
		late, err := d.Append(ctx, []Shard{testShard(2, 1000)}, AppendOptions{})
		if err != nil {
			t.Fatal(err)
		}
		fs.SetFault(func(c FSCall) error {
			if c.Op == what {
				return errors.New("input/output error")
			}
			return nil
		})
		_, err = d.Append(ctx, []Shard{testShard(3, 1000)}, AppendOptions{})
		if err := errors.Join(err, d.Sync(ctx)); err == nil {
			t.Fatalf("%s did not fail", what)
		}
		fs.SetFault(nil)
		after, err := d.Append(ctx, []Shard{testShard(4, 1000)}, AppendOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Sync(ctx); err != nil {
			t.Fatalf("a sync of the next segment: %v", err)
		}
		if d.Doubtful(synced[0]) || !d.Doubtful(late[0]) || d.Doubtful(after[0]) {
			t.Errorf("%s fails; doubtful: synced before %v, not synced %v, after %v", what, d.Doubtful(synced[0]), d.Doubtful(late[0]), d.Doubtful(after[0]))
		}
	}
}

// TestResumedSegment: what a process finds of a segment may not be on the disk: its maker died
// before it synced the directory, or its sync failed. A process that goes on with it makes up
// for that.
func TestResumedSegment(t *testing.T) {
	for _, what := range []string{"", "sync"} {
		for seed := range uint64(20) {
			fs := NewMemFS()
			d, err := CreateMem(fs, testIdentity)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.Append(ctx, []Shard{testShard(1, 1000)}, AppendOptions{}); err != nil {
				t.Fatal(err)
			}
			if what != "" {
				fs.SetFault(func(c FSCall) error {
					if c.Op == what {
						return errors.New("input/output error")
					}
					return nil
				})
				if d.Sync(ctx) == nil {
					t.Fatal("the sync did not fail")
				}
				fs.SetFault(nil)
			}
			d = openedTwice(t, fs, d)
			a, err := d.Append(ctx, []Shard{testShard(2, 1000)}, AppendOptions{})
			if err != nil || d.Sync(ctx) != nil {
				t.Fatal(err)
			}
			d.Close()
			fs.Crash(rand.New(rand.NewPCG(seed, 0)))
			d, err = OpenMem(fs, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := whole(d, testShard(2, 1000), a[0]); err != nil {
				t.Fatalf("seed %d, %q fails: what the second process synced: %v", seed, what, err)
			}
		}
	}
}

// TestFreeSparesNeighbours: a shard whose header rotted or cannot be read for a moment is not
// taken for one that was freed, and so not punched together with its neighbours.
func TestFreeSparesNeighbours(t *testing.T) {
	for _, what := range []string{"unreadable", "magic", "header"} {
		fs := NewMemFS()
		d, err := CreateMem(fs, testIdentity)
		if err != nil {
			t.Fatal(err)
		}
		list := []Shard{testShard(1, 1000), testShard(2, 1000), testShard(4, 1000)}
		a, err := d.Append(ctx, list, AppendOptions{})
		if err != nil {
			t.Fatal(err)
		}
		middle := int64(a[1].Offset)
		switch what {
		case "unreadable":
			fs.SetFault(func(c FSCall) error {
				if c.Op == "read" && c.Offset == middle {
					return errors.New("input/output error")
				}
				return nil
			})
		case "magic", "header":
			at := map[string]int64{"magic": middle, "header": middle + 30}[what]
			if err := fs.Flip(segmentName(1), at, 3); err != nil {
				t.Fatal(err)
			}
			d = openedTwice(t, fs, d)
		}
		err = d.Free(ctx, []Address{a[0], a[2]}, false)
		if what != "unreadable" && err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		fs.SetFault(nil)
		if err := d.Free(ctx, []Address{a[0], a[2]}, false); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		p := make([]byte, 1000)
		if err := d.Read(ctx, list[1].at(a[1]), 0, p); err != nil || !bytes.Equal(p, list[1].Data) {
			t.Errorf("%s: the shard between two that were freed: %v", what, err)
		}
	}
}

// TestFreeUnread: a header that cannot be read for a moment does not cost the journal.
func TestFreeUnread(t *testing.T) {
	fs := NewMemFS()
	d, err := CreateMem(fs, testIdentity)
	if err != nil {
		t.Fatal(err)
	}
	s := testShard(3, 1000)
	a, err := d.Append(ctx, []Shard{s, testShard(4, 1000)}, AppendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("input/output error")
	if err := d.Free(ctx, a[1:], true); err != nil { // so that the holes are known
		t.Fatal(err)
	}
	fs.SetFault(func(c FSCall) error {
		if c.Op == "read" {
			return broken
		}
		return nil
	})
	if err := d.Free(ctx, a[:1], true); !errors.Is(err, broken) {
		t.Errorf("free without its header: %v", err)
	}
	fs.SetFault(nil)
	if _, j, err := d.ReadJournal(ctx, a[0]); err != nil || !bytes.Equal(j, s.Journal) {
		t.Errorf("the journal is %q, %v", j, err)
	}
}

// TestFreeTwice: data that an earlier process freed is not given back again with the journal.
func TestFreeTwice(t *testing.T) {
	fs := NewMemFS()
	d, err := CreateMem(fs, testIdentity)
	if err != nil {
		t.Fatal(err)
	}
	a, err := d.Append(ctx, []Shard{testShard(3, 100_000), testShard(6, 50_000)}, AppendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Free(ctx, a[:1], true); err != nil {
		t.Fatal(err)
	}
	d = openedTwice(t, fs, d)
	before := d.Space().Used
	if err := d.Free(ctx, a[:1], false); err != nil {
		t.Fatal(err)
	}
	if won := before - d.Space().Used; won > 8192 {
		t.Errorf("header and journal gave back %d bytes", won)
	}
	if err := whole(d, testShard(6, 50_000), a[1]); err != nil {
		t.Error(err)
	}
}

func FuzzHeader(f *testing.F) {
	for _, s := range []Shard{testShard(3, 10), testShard(1, 100_000), {Header: Header{K: 0}}} {
		f.Add(appendHeader(nil, 7, 64, s.Header, uint32(len(s.Data)), uint32(len(s.Journal))), uint64(7), uint32(64))
	}
	f.Add([]byte("WShd"), uint64(0), uint32(0))
	f.Fuzz(func(t *testing.T, p []byte, generation uint64, offset uint32) {
		h, size, journal, err := parseHeader(p, generation, offset)
		if err != nil {
			return
		}
		if size > maxShard || journal > maxJournal {
			t.Errorf("%d bytes of data and %d of journal were believed", size, journal)
		}
		again := appendHeader(nil, generation, offset, h, size, journal)
		if h2, s2, j2, err := parseHeader(again, generation, offset); err != nil || fmt.Sprint(h2, s2, j2) != fmt.Sprint(h, size, journal) {
			t.Errorf("%+v came back as %+v, %v", h, h2, err)
		}
		if _, _, _, err := parseHeader(again, generation+1, offset); err == nil {
			t.Error("a header of another segment verifies")
		}
	})
}

func FuzzFooter(f *testing.F) {
	var entries []Entry
	for i, s := range []Shard{testShard(3, 10), testShard(1, 100)} {
		a := Address{5, uint32(64 + 1000*i), uint32(shardSize(2, uint32(len(s.Data)), uint32(len(s.Journal))))}
		entries = append(entries, Entry{a, s.Header, uint32(len(s.Data)), uint32(len(s.Journal))})
	}
	f.Add(appendFooter(nil, 9, entries))
	f.Add(appendFooter(nil, 9, nil))
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) < trailerSize {
			return
		}
		n, size, ok := parseTrailer(p[len(p)-trailerSize:], 9, int64(len(p)-trailerSize))
		if !ok || int(size) != len(p)-trailerSize {
			return
		}
		if list, ok := parseFooter(p, 9, 5, n); ok && !bytes.Equal(appendFooter(nil, 9, list), p) {
			t.Errorf("%d entries do not give the footer that they came from", len(list))
		}
	})
}

// FuzzSegment opens a disk on a segment of any bytes behind a good header: whatever it
// finds verifies, and it goes on working.
func FuzzSegment(f *testing.F) {
	seedDisk := func(n int, size int) []byte {
		fs := NewMemFS()
		d, _ := CreateMem(fs, testIdentity)
		for i := range n {
			if _, err := d.Append(ctx, []Shard{testShard(uint64(i), size)}, AppendOptions{}); err != nil {
				f.Fatal(err)
			}
		}
		p := make([]byte, fs.names[segmentName(1)].data.size)
		fs.names[segmentName(1)].data.read(p, 0)
		return p
	}
	f.Add([]byte{}, uint32(0))
	f.Add(seedDisk(3, 100), uint32(70))
	f.Add(seedDisk(2, 20_000), uint32(900))
	f.Add(seedDisk(12, 100_000)[:64+3000], uint32(0))
	f.Fuzz(func(t *testing.T, body []byte, flip uint32) {
		fs := NewMemFS()
		d, err := CreateMem(fs, testIdentity)
		if err != nil {
			t.Fatal(err)
		}
		a, err := d.Append(ctx, []Shard{testShard(77, 10)}, AppendOptions{})
		if err != nil || d.Sync(ctx) != nil {
			t.Fatal(err)
		}
		file := fs.names[segmentName(1)]
		file.data.write(body, file.data.size)
		if int(flip) > int(a[0].Offset+a[0].Length) && int64(flip) < file.data.size {
			file.data.flip(int64(flip), 0x80)
		}
		d = openedTwice(t, fs, d)
		found := false
		if err := d.Scan(ctx, func(e Entry) error {
			found = found || e.Stripe == 77
			if _, err := d.ReadShard(ctx, e.Address); err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Errorf("%+v: %v", e, err)
			}
			return nil
		}); err != nil && !errors.Is(err, ErrVersion) {
			t.Errorf("scan: %v", err)
		} else if err == nil && !found {
			t.Error("the sound shard was not found")
		}
		s := testShard(5, 3000)
		b, err := d.Append(ctx, []Shard{s}, AppendOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(whole(d, s, b[0]), whole(d, testShard(77, 10), a[0])); err != nil {
			t.Error(err)
		}
	})
}

// FuzzJournal reads a shard whose journal section has any bytes.
func FuzzJournal(f *testing.F) {
	f.Add([]byte("journal of 3"), byte(0))
	f.Add([]byte{}, byte(1))
	f.Fuzz(func(t *testing.T, p []byte, flip byte) {
		fs := NewMemFS()
		d, err := CreateMem(fs, testIdentity)
		if err != nil {
			t.Fatal(err)
		}
		s := testShard(3, 100)
		a, err := d.Append(ctx, []Shard{s}, AppendOptions{})
		if err != nil {
			t.Fatal(err)
		}
		file := fs.names[segmentName(1)]
		at := int64(a[0].Offset) + int64(HeaderSize(2)) + stored(100)
		p = p[:min(int64(len(p)), file.data.size-at)]
		file.data.write(p, at)
		if n := len(p); n > 0 {
			file.data.flip(at+int64(int(flip)%n), flip)
		}
		_, j, err := d.ReadJournal(ctx, a[0])
		if err == nil && !bytes.Equal(j, s.Journal) || err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("journal %q, %v", j, err)
		}
	})
}

// TestDirect: what is appended past the page cache lies in whole pages, is found again, also
// without its index, and gives back all of its space.
func TestDirect(t *testing.T) {
	for _, sizes := range [][]int{{100_000}, {1, 2, 3}, {0, 70_000, 10}, {2 * directBuffer, 5}} {
		fs := NewMemFS()
		d, err := CreateMem(fs, testIdentity)
		if err != nil {
			t.Fatal(err)
		}
		d.o.Direct = 1
		var all []Address
		var shards []Shard
		for round := range 3 {
			if round == 1 {
				d.o.Direct = 1 << 30 // behind it without
			}
			var batch []Shard
			for i, n := range sizes {
				s := testShard(uint64(10*round+i), n)
				s.Paged = true // as of another disk
				batch = append(batch, s)
			}
			a, err := d.Append(ctx, batch, AppendOptions{})
			if err != nil {
				t.Fatal(err)
			}
			all, shards = append(all, a...), append(shards, batch...)
			if round == 0 {
				if end := a[len(a)-1]; (end.Offset+end.Length)%pageSize != 0 || a[0].Offset%pageSize != 0 {
					t.Errorf("%v: %v do not fill pages", sizes, a)
				}
			}
			d.o.Direct = 1
		}
		for _, seal := range []bool{false, true} {
			if seal {
				d.mu.Lock()
				d.seal(ctx, d.active)
				d.mu.Unlock()
			}
			d = openedTwice(t, fs, d)
			d.o.Direct = 1
			for i, s := range shards {
				if err := whole(d, s, all[i]); err != nil {
					t.Errorf("%v, sealed %v: shard %d: %v", sizes, seal, i, err)
				}
			}
			i := 0
			if err := d.Scan(ctx, func(e Entry) error {
				if e.Address != all[i] {
					t.Errorf("%v, sealed %v: found %v, want %v", sizes, seal, e.Address, all[i])
				}
				i++
				return nil
			}); err != nil || i != len(all) {
				t.Errorf("%v, sealed %v: %d of %d shards, %v", sizes, seal, i, len(all), err)
			}
		}
		if _, err := d.Append(ctx, []Shard{testShard(99, 1)}, AppendOptions{}); err != nil { // the newest segment is never dropped
			t.Fatal(err)
		}
		if err := d.Free(ctx, all, false); err != nil {
			t.Fatal(err)
		}
		if n := len(fs.Sizes()); n != 2 {
			t.Errorf("%v: %d files are left: %v", sizes, n, fs.Sizes())
		}
	}
}

// TestDoubtOutlivesProcess: what waited for a sync that failed is doubtful for the next process
// too, until the power went off; what was synced before is not.
func TestDoubtOutlivesProcess(t *testing.T) {
	fs := NewMemFS()
	d, err := CreateMem(fs, testIdentity)
	if err != nil {
		t.Fatal(err)
	}
	put := func(id uint64) Address {
		t.Helper()
		a, err := d.Append(ctx, []Shard{testShard(id, 100)}, AppendOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return a[0]
	}
	sound := put(1)
	if err := d.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	late := put(2)
	fs.SetFault(func(c FSCall) error {
		if c.Op == "sync" {
			return errors.New("lost")
		}
		return nil
	})
	if d.Sync(ctx) == nil {
		t.Fatal("the sync did not fail")
	}
	fs.SetFault(nil)
	check := func(want bool) {
		t.Helper()
		if _, err := d.ReadShard(ctx, late); err != nil && want {
			t.Errorf("it reads well while the power is on: %v", err)
		}
		if Doubtful(d, late) != want || Doubtful(d, sound) {
			t.Errorf("doubtful: %v and %v, want %v and false", Doubtful(d, late), Doubtful(d, sound), want)
		}
	}
	check(true)
	d = openedTwice(t, fs, d)
	check(true)
	after := put(3)
	if err := d.Sync(ctx); err != nil || after.Segment == late.Segment {
		t.Errorf("the broken segment was continued: %v, %v", after, err)
	}
	d = openedTwice(t, fs, d)
	check(true)
}

// TestMemFSLength: a truncation whose sync failed is not made anew after a crash when a later
// sync kept what was written behind it.
func TestMemFSLength(t *testing.T) {
	for seed := range uint64(20) {
		m, fail := NewMemFS(), false
		m.SetFault(func(c FSCall) error {
			if c.Op == "sync" && fail {
				return errors.New("injected")
			}
			return nil
		})
		f, err := m.open("f", forCreating)
		if err != nil {
			t.Fatal(err)
		}
		p := [][]byte{bytes.Repeat([]byte{1}, 100)}
		if err := errors.Join(f.writev(p, 0), f.sync(), m.syncDir(), f.truncate(50)); err != nil {
			t.Fatal(err)
		}
		fail = true
		if f.sync() == nil {
			t.Fatal("the sync did not fail")
		}
		fail = false
		if err := errors.Join(f.writev(p, 50), f.sync()); err != nil {
			t.Fatal(err)
		}
		m.Crash(rand.New(rand.NewPCG(seed, 0)))
		if n := m.names["f"].data.size; n != 150 {
			t.Fatalf("seed %d: %d bytes", seed, n)
		}
	}
}

// TestScanUnread: what cannot be read behind a rotten header may hold shards: a scan says that it
// does not know them, so that nobody takes the segment for empty.
func TestScanUnread(t *testing.T) {
	m := NewMemFS()
	d, err := CreateMem(m, testIdentity)
	if err != nil {
		t.Fatal(err)
	}
	at, err := d.Append(ctx, []Shard{testShard(1, 1000), testShard(2, 1000)}, AppendOptions{})
	if err := errors.Join(err, d.Sync(ctx), d.Close()); err != nil {
		t.Fatal(err)
	}
	if err := m.Flip(segmentName(at[0].Segment), int64(at[0].Offset), 0); err != nil {
		t.Fatal(err)
	}
	r, err := OpenMem(m, Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	scan := func() (n int, err error) {
		err = r.Scan(ctx, func(Entry) error { n++; return nil })
		return n, err
	}
	if n, err := scan(); n != 1 || err != nil {
		t.Fatalf("%d shards, %v", n, err)
	}
	broken := errors.New("input/output error")
	m.SetFault(func(c FSCall) error {
		if c.Op == "read" && c.Offset == int64(at[0].Offset)+alignment {
			return broken
		}
		return nil
	})
	if n, err := scan(); !errors.Is(err, broken) {
		t.Errorf("%d shards, %v", n, err)
	}
}
