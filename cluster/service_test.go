package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// TestFailWhileOpen: a site goes and comes back under a cluster that is in use.
func TestFailWhileOpen(t *testing.T) {
	c, dir := newCluster(t, InitOptions{})
	before := randomBytes(3<<20, 1)
	put(t, c, "before", before)
	if !c.Simulated() {
		t.Error("a cluster of directories on one file system does not count as simulated")
	}
	var wg sync.WaitGroup
	for i := range 8 { // in flight while the site goes
		wg.Go(func() {
			put(t, c, fmt.Sprint("during", i), randomBytes(200_000, uint64(i)))
			wantBytes(t, c, "before", before)
		})
	}
	names, err := c.Fail(ctx, "site2")
	wg.Wait()
	if err != nil || len(names) != 6 {
		t.Fatalf("failed %v: %v; want 6 disks", names, err)
	}
	if d := wantBytes(t, c, "before", before); d.Shards == 0 {
		t.Error("a read without a site was not degraded")
	}
	after := randomBytes(2<<20, 2)
	put(t, c, "after", after)
	s, err := c.Status(ctx)
	if err != nil || s.Stripes.Degraded == 0 || s.RepairIO == 0 || s.Sites[1].Disks[0].State != stateFailed {
		t.Fatalf("status %+v: %v; want a failed site and repairs to do", s.Stripes, err)
	}
	l, err := c.Ledger()
	if err != nil || !l.Drives[s.Sites[1].Disks[0].ID].Off || l.Drives[s.Sites[0].Disks[0].ID].Off {
		t.Errorf("the ledger does not know which drives are off: %v", err)
	}
	if faults, err := readFaults(dir); err != nil || len(faults) != 6 {
		t.Errorf("%d faults are written down, want 6: %v", len(faults), err)
	}

	if _, err := c.Restore(ctx, "site2"); err != nil {
		t.Fatal(err)
	}
	r, err := c.Repair(ctx, nil)
	if err != nil || r.Left != 0 || r.Lost != 0 || r.Shards == 0 || len(r.Checked) != 6 {
		t.Fatalf("repair %+v: %v; want 6 disks read and the shards of what was put meanwhile", r, err)
	}
	whole(t, c)
	wantBytes(t, c, "before", before)
	c = reopen(t, c, Options{})
	whole(t, c)
	wantBytes(t, c, "after", after)
	for i := range 8 {
		wantBytes(t, c, fmt.Sprint("during", i), randomBytes(200_000, uint64(i)))
	}
}

// TestRestoreLost: a disk whose directory went while it was out of service begins anew, and
// one that was failed before the cluster was opened comes back too.
func TestRestoreLost(t *testing.T) {
	c, dir := newCluster(t, InitOptions{})
	p := randomBytes(4<<20, 3)
	put(t, c, "object", p)
	const lost, kept = "site1/rack1/host1/disk1", "site3/rack2/host1/disk2"
	if _, err := c.Fail(ctx, kept); err != nil {
		t.Fatal(err)
	}
	c = reopen(t, c, Options{})
	for _, d := range []string{lost, lost} { // failing twice is failing once
		if _, err := c.Fail(ctx, d); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, "sites", lost)); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{lost, kept, kept} {
		if _, err := c.Restore(ctx, d); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := c.Repair(ctx, nil); err != nil || r.Shards == 0 || r.Left != 0 {
		t.Fatalf("repair %+v: %v", r, err)
	}
	whole(t, c)
	wantBytes(t, c, "object", p)
}

// TestRepairWhileFailing: repair goes on, or says why not, while disks go and come under it.
func TestRepairWhileFailing(t *testing.T) {
	c, _ := newCluster(t, InitOptions{})
	p := randomBytes(6<<20, 4)
	put(t, c, "object", p)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			d := fmt.Sprintf("site%d/rack%d/host1/disk%d", 1+i%3, 1+i%2, 1+i%3)
			if _, err := c.Fail(ctx, d); err != nil {
				t.Error(err)
			}
			if _, err := c.Restore(ctx, d); err != nil {
				t.Error(err)
			}
		}
	})
	for range 6 {
		c.Repair(ctx, nil) //nolint:errcheck // it may find a disk gone under it
	}
	close(stop)
	wg.Wait()
	if _, err := c.Repair(ctx, nil); err != nil {
		t.Fatal(err)
	}
	whole(t, c)
	wantBytes(t, c, "object", p)
}

func TestFailRefuses(t *testing.T) {
	c, dir := newCluster(t, InitOptions{})
	if _, err := c.Fail(ctx, "site9"); !errors.Is(err, ErrUnknownDomain) {
		t.Errorf("fail site9: %v, want %v", err, ErrUnknownDomain)
	}
	if _, err := c.Restore(ctx, "../etc"); !errors.Is(err, ErrUnknownDomain) {
		t.Errorf("restore ../etc: %v, want %v", err, ErrUnknownDomain)
	}
	r := open(t, dir, Options{ReadOnly: true})
	if _, err := r.Fail(ctx, "site1"); !errors.Is(err, ErrReadOnly) {
		t.Errorf("fail by a reader: %v, want %v", err, ErrReadOnly)
	}
}

// TestRepairTellsLittle: with a site away, repair does not say of each stripe that it has to
// wait.
func TestRepairTellsLittle(t *testing.T) {
	c, _ := newCluster(t, InitOptions{})
	put(t, c, "object", randomBytes(30<<20, 5))
	if _, err := c.Fail(ctx, "site2"); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var told []string
	c.notify = func(format string, a ...any) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, fmt.Sprintf(format, a...))
	}
	r, err := c.Repair(ctx, nil)
	if err != nil || r.Left <= toldLeft {
		t.Fatalf("%d stripes left: %v; want more than %d", r.Left, err, toldLeft)
	}
	if want := fmt.Sprintf("repair: %d more stripes could not be made whole", r.Left-toldLeft); len(told) != toldLeft+1 || told[toldLeft] != want {
		t.Errorf("told %q, want %d reasons and %q", told, toldLeft, want)
	}
}
