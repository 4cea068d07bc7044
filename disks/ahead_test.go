package disks

import (
	"math/rand/v2"
	"testing"
)

// trickle appends small shards one by one, each synced.
func trickle(t *testing.T, d *Segments, from, n int) map[Address]Shard {
	t.Helper()
	there := map[Address]Shard{}
	for i := range n {
		s := testShard(uint64(from+i), 700)
		places, err := d.Append(ctx, []Shard{s}, AppendOptions{})
		if err == nil {
			err = d.Sync(ctx)
		}
		if err != nil {
			t.Fatal(err)
		}
		there[places[0]] = s
	}
	return there
}

// TestAhead: small appends make zeros be written ahead, which are counted, which the next
// appends overwrite, and which closing takes back.
func TestAhead(t *testing.T) {
	dir := t.TempDir()
	d, err := CreateDir(dir, testIdentity)
	if err != nil {
		t.Fatal(err)
	}
	there := trickle(t, d, 1, calmAppends)
	before := d.Space()
	if before.Ahead == 0 {
		t.Fatal("nothing is written ahead")
	}
	if f := d.active.f; size(t, f) != d.active.ahead {
		t.Errorf("the file has %d bytes and should have %d", size(t, f), d.active.ahead)
	}
	for a, s := range trickle(t, d, 100, 10) {
		there[a] = s
	}
	if after := d.Space(); after.Ahead >= before.Ahead || after.Used != before.Used {
		t.Errorf("space was %+v and is %+v: what was ahead should be in use now", before, after)
	}
	end := d.active.end
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if d, err = OpenDir(dir, Options{}); err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if d.active.end != end || size(t, d.active.f) != end {
		t.Errorf("opened again the segment ends at %d in a file of %d bytes, and ended at %d", d.active.end, size(t, d.active.f), end)
	}
	for a, s := range there {
		if err := whole(d, s, a); err != nil {
			t.Errorf("stripe %d: %v", s.Stripe, err)
		}
	}
}

func size(t *testing.T, f file) int64 {
	t.Helper()
	n, err := f.size()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestAheadOfStreams: large appends write nothing ahead.
func TestAheadOfStreams(t *testing.T) {
	d, err := CreateMem(NewMemFS(), testIdentity)
	if err != nil {
		t.Fatal(err)
	}
	trickle(t, d, 1, calmAppends-1)
	for i := range 2 * calmAppends {
		if _, err := d.Append(ctx, []Shard{testShard(uint64(100+i), smallAppend)}, AppendOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	trickle(t, d, 200, 1)
	if s := d.Space(); s.Ahead != 0 {
		t.Errorf("%d bytes are ahead", s.Ahead)
	}
}

// TestAheadAfterCrash: zeros that a crash left behind give their space back, and what was
// synced stays.
func TestAheadAfterCrash(t *testing.T) {
	fs := NewMemFS()
	d, err := CreateMem(fs, testIdentity)
	if err != nil {
		t.Fatal(err)
	}
	there := trickle(t, d, 1, calmAppends+3)
	used := d.Space().Used - d.Space().Ahead
	fs.Crash(rand.New(rand.NewPCG(1, 2)))
	if d, err = OpenMem(fs, Options{}); err != nil {
		t.Fatal(err)
	}
	if s := d.Space(); s.Ahead != 0 || s.Used > used+2*pageSize {
		t.Errorf("space %+v after the crash: %d bytes were in use before", s, used)
	}
	for a, s := range trickle(t, d, 100, 3) {
		if there[a].Columns != nil {
			t.Errorf("address %+v given again", a)
		}
		there[a] = s
	}
	for a, s := range there {
		if err := whole(d, s, a); err != nil {
			t.Errorf("stripe %d: %v", s.Stripe, err)
		}
	}
}
