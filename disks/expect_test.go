package disks

import (
	"bytes"
	"context"
	"testing"
)

// A foretold is a file system whose files note what they are told to expect.
type foretold struct {
	*MemFS
	ranges *[][2]int64
}

func (f foretold) open(name string, mode openMode) (file, error) {
	g, err := f.MemFS.open(name, mode)
	return foretoldFile{g, f.ranges}, err
}

type foretoldFile struct {
	file
	ranges *[][2]int64
}

func (f foretoldFile) expect(off, n int64) { *f.ranges = append(*f.ranges, [2]int64{off, n}) }

// TestExpect: what a disk is told to expect are the bytes that reading then takes, and what no
// shard has is not expected.
func TestExpect(t *testing.T) {
	ctx := context.Background()
	fs := foretold{NewMemFS(), new([][2]int64)}
	d := newSegments(fs, Options{})
	if err := d.SetIdentity(Identity{Cluster: "c", Disk: "d", Number: 1, Capacity: 1 << 40}); err != nil {
		t.Fatal(err)
	}
	if err := d.open(); err != nil {
		t.Fatal(err)
	}
	data := bytes.Repeat([]byte("fjord"), 10_000)
	at, err := d.Append(ctx, []Shard{{Header: Header{Stripe: 9, K: 1, Columns: []uint32{50_000}}, Data: data}}, AppendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r := Ref{Address: at[0], Stripe: 9, K: 1, Size: 50_000}
	for _, c := range []struct{ off, n int }{{0, 50_000}, {0, 1}, {blockSize - 1, 2}, {49_999, 1}} {
		*fs.ranges = nil
		before := d.Counters()
		Expect(d, r, c.off, c.n)
		if d.Counters() != before {
			t.Errorf("%v: a hint was counted", c)
		}
		dst := make([]byte, c.n)
		if err := d.Read(ctx, r, c.off, dst); err != nil || !bytes.Equal(dst, data[c.off:c.off+c.n]) {
			t.Fatalf("%v: %v", c, err)
		}
		read := d.Counters().Minus(before).BytesRead
		if len(*fs.ranges) != 1 || (*fs.ranges)[0][1] < read || (*fs.ranges)[0][1] > read+blockSize+sumSize {
			t.Errorf("%v: expected %v, and %d bytes were read", c, *fs.ranges, read)
		}
	}
	*fs.ranges = nil
	Expect(d, r, 49_999, 2)
	Expect(d, r, 0, 0)
	r.Segment = 77
	Expect(d, r, 0, 1)
	if len(*fs.ranges) > 0 {
		t.Errorf("expected %v of what is not there", *fs.ranges)
	}
}
