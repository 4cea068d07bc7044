package disks

import (
	"context"
	"sync"
	"testing"
)

// TestCounting: what is told under a context is what the disk counts, and nothing is told
// under another.
func TestCounting(t *testing.T) {
	d, err := CreateMem(NewMemFS(), Identity{Cluster: "c", Disk: "d", Number: 7, Capacity: 1 << 40})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var told Counters
	ctx := Counting(context.Background(), func(disk int32, c Counters) {
		mu.Lock()
		defer mu.Unlock()
		if disk != 7 {
			t.Errorf("told of disk %d", disk)
		}
		told = told.Plus(c)
	})
	work := func(ctx context.Context) {
		sh := Shard{Header: Header{Stripe: 9, K: 1, Columns: []uint32{50_000}}, Data: make([]byte, 50_000), Journal: []byte("journal")}
		at, err := d.Append(ctx, []Shard{sh}, AppendOptions{})
		if err != nil {
			t.Fatal(err)
		}
		r, dst := Ref{Address: at[0], Stripe: 9, K: 1, Size: 50_000}, make([]byte, 20_000)
		for _, err := range []error{d.Sync(ctx), d.Read(ctx, r, 100, dst), d.ReadRaw(ctx, r, 0, dst)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if _, err := d.ReadShard(ctx, at[0]); err != nil {
			t.Fatal(err)
		}
	}
	before := d.Counters()
	work(ctx)
	if want := d.Counters().Minus(before); told != want || want.Reads < 5 || want.Writes != 1 || want.Syncs != 1 || want.BytesWritten < 50_000 {
		t.Errorf("told %+v, counted %+v", told, want)
	}
	before = told
	work(context.Background())
	if told != before {
		t.Errorf("told of what was done under another context: %+v", told.Minus(before))
	}
}
