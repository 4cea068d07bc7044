package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/placement"
)

// together has the committer take what f does, one call after another, into one batch.
func together(t *testing.T, c *Cluster, calls ...func() error) []error {
	t.Helper()
	held, release := make(chan bool), make(chan bool)
	var once sync.Once
	c.catalog.around = func(change func() error) error {
		once.Do(func() {
			close(held)
			<-release
		})
		return change()
	}
	errs := make([]error, len(calls))
	var wg sync.WaitGroup
	wg.Go(func() { put(t, c, "first", nil) })
	<-held
	for i, call := range calls {
		wg.Go(func() { errs[i] = call() })
		for len(c.requests) <= i {
			time.Sleep(time.Millisecond)
		}
	}
	close(release)
	wg.Wait()
	return errs
}

func recoverCatalog(t *testing.T, c *Cluster) (*Cluster, RecoverReport) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"catalog.db", "catalog.db-wal", "catalog.db-shm"} {
		os.Remove(filepath.Join(c.dir, name))
	}
	rep, err := Recover(ctx, c.dir, Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return open(t, c.dir, Options{}), rep
}

// TestRecoverLastBatch: what died in the last batch is not freed before another one, since
// recovery would take the batch for one that was never whole, and drop it.
func TestRecoverLastBatch(t *testing.T) {
	c, _ := newCluster(t, InitOptions{})
	put(t, c, "a", []byte("old"))
	put(t, c, "there", []byte("is"))
	replace := func(key string, p []byte, o PutOptions) func() error {
		return func() error {
			_, err := c.Put(ctx, "bucket", key, bytes.NewReader(p), o)
			return err
		}
	}
	errs := together(t, c, replace("a", randomBytes(300_000, 1), PutOptions{}), func() error { return c.Delete(ctx, "bucket", "a") },
		replace("there", randomBytes(300_000, 2), PutOptions{IfAbsent: true}), replace("b", []byte("new"), PutOptions{}))
	if errs[0] != nil || errs[1] != nil || !errors.Is(errs[2], ErrPrecondition) || errs[3] != nil {
		t.Fatal(errs)
	}
	c.reapNow()
	c, rep := recoverCatalog(t, c)
	if _, err := c.Stat(ctx, "bucket", "a"); !errors.Is(err, ErrObjectNotFound) {
		t.Errorf("a was deleted: %v; %+v", err, rep.Uncertain)
	}
	wantBytes(t, c, "b", []byte("new"))
	wantBytes(t, c, "there", []byte("is"))
}

// TestUncertainCommit: after a commit of which nobody knows how it ended its shards stay, and
// nothing more is written until the cluster is opened again.
func TestUncertainCommit(t *testing.T) {
	c, _ := newCluster(t, InitOptions{})
	put(t, c, "a", []byte("old"))
	shards := func() (n int) {
		for _, id := range c.diskIDs() {
			if err := c.disk(id).Scan(ctx, func(disks.Entry) error { n++; return nil }); err != nil {
				t.Fatal(err)
			}
		}
		return n
	}
	before := shards()
	c.catalog.watch = func() error { return fmt.Errorf("sync: %w", errUncertain) }
	if _, err := c.Put(ctx, "bucket", "a", bytes.NewReader([]byte("new")), PutOptions{}); !errors.Is(err, errUncertain) {
		t.Fatalf("put: %v", err)
	}
	if shards() == before {
		t.Error("the shards are gone, and the catalog may name them")
	}
	c.catalog.watch = nil
	if _, err := c.Put(ctx, "bucket", "b", bytes.NewReader(nil), PutOptions{}); !errors.Is(err, errUncertain) {
		t.Errorf("another put: %v", err)
	}
	wantBytes(t, c, "a", []byte("old"))
	c = reopen(t, c, Options{})
	wantBytes(t, c, "a", []byte("old"))
	put(t, c, "a", []byte("new"))
}

// TestRecoverBesideRottenJournal: a shard whose journal rotted when a checkpoint had made that
// useless holds its data as before, and recovery uses it, on a disk that it was moved to as well.
func TestRecoverBesideRottenJournal(t *testing.T) {
	c, m := newMemCluster(t, InitOptions{Map: DefaultMap(1, 1, 6, 1, 1e12), Scheme: scheme(t, "rs:2+2")}, 0)
	body := randomBytes(50_000, 1)
	put(t, c, "k", body)
	s, _ := firstStripe(t, c)
	moveShard(t, c, s, 0)
	if _, _, err := c.Checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	s, _ = firstStripe(t, c)
	rotJournal(t, c, m, s, 0)
	c = recoverMem(t, c, m, s.Places[2].Disk, s.Places[3].Disk)
	wantBytes(t, c, "k", body)
}

// TestRecoverJournalAlone: of a deleted stripe the journal counts, though what was left of the
// data beside it rotted.
func TestRecoverJournalAlone(t *testing.T) {
	c, m := newMemCluster(t, InitOptions{Map: DefaultMap(1, 1, 6, 1, 1e12), Scheme: scheme(t, "rs:2+2")}, 0)
	put(t, c, "k", randomBytes(50_000, 1))
	put(t, c, "other", randomBytes(100, 2))
	s, _ := firstStripe(t, c)
	for i := range s.Places {
		if s.carries(i) { // recovery reads what was copied
			moveShard(t, c, s, i)
			s, _ = firstStripe(t, c)
		}
	}
	if err := c.Delete(ctx, "bucket", "k"); err != nil {
		t.Fatal(err)
	}
	for i, at := range s.Places {
		if s.carries(i) {
			if err := c.disk(at.Disk).Free(ctx, []disks.Address{at.Address}, true); err != nil {
				t.Fatal(err)
			}
			name := fmt.Sprintf("segments/%08d.seg", at.Segment)
			if err := m.fs[int32(at.Disk)].Flip(name, int64(at.Offset)+4096, 1); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(t, c, "last", randomBytes(100, 3))
	c = recoverMem(t, c, m)
	now, _, err := c.catalog.standing(ctx, s.ID)
	if err != nil || now == nil || !c.needed(now) {
		t.Fatalf("%+v, %v", now, err)
	}
	for i := range s.Places {
		if _, _, err := c.journalOf(ctx, now, i); s.carries(i) && err != nil {
			t.Errorf("shard %d: %v", i, err)
		}
	}
	if rep, err := c.Repair(ctx, nil); err != nil || rep.Left > 0 {
		t.Errorf("%+v, %v", rep, err)
	}
}

// moveShard moves a shard to a disk that has none of its stripe.
func moveShard(t *testing.T, c *Cluster, s *stripe, i int) {
	t.Helper()
	m, err := c.copyShard(ctx, s, false, i, spare(t, c, s, i), disks.AppendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := c.relocate(ctx, []move{m}, nil); err != nil || n != 1 {
		t.Fatalf("%d moved: %v", n, err)
	}
}

// recoverMem loses the catalog of a cluster, and disks for a while, and opens what recovery makes
// of the rest.
func recoverMem(t *testing.T, c *Cluster, m *memDisks, lost ...placement.DiskID) *Cluster {
	t.Helper()
	c.Close()
	removeCatalog(filepath.Join(c.dir, "catalog.db"))
	for _, id := range lost {
		m.faults[int32(id)] = disks.Fault{Lost: true}
	}
	rep, err := Recover(ctx, c.dir, Options{Open: m}, nil)
	if err != nil || len(rep.Unreadable) > 0 {
		t.Fatalf("%+v, %v", rep, err)
	}
	n, err := Open(ctx, c.dir, Options{Open: m})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

// TestIdleBatch: a batch that nobody knows to be committed, and that only moves extents to where
// fewer shards are, is none to keep.
func TestIdleBatch(t *testing.T) {
	c, _ := newMemCluster(t, InitOptions{Map: DefaultMap(1, 1, 6, 1, 1e12), Scheme: scheme(t, "rs:2+2")}, 0)
	for i := range 8 {
		put(t, c, fmt.Sprint(i), randomBytes(4096, uint64(i)))
	}
	unpin, err := c.pin()
	if err != nil {
		t.Fatal(err)
	}
	defer unpin()
	if rep, err := c.Compact(ctx, CompactOptions{}); err != nil || rep.Objects == 0 {
		t.Fatalf("%+v, %v", rep, err)
	}
	r := newRecovery(c.config)
	r.disks, r.reading = c.disks, true
	if err := errors.Join(r.scan(ctx, &RecoverReport{}, nil), r.choose(ctx)); err != nil {
		t.Fatal(err)
	}
	var b batch
	for seq := range r.journals {
		if got, err := r.read(ctx, seq); err == nil && len(got.records) > 0 && got.records[0].Kind == recMoved {
			b = got
		}
	}
	if len(b.records) == 0 {
		t.Fatal("no batch of moves")
	}
	lose := func(e extent) {
		at := slices.IndexFunc(r.stripes[e.Stripe].Places, func(p place) bool { return p.Disk != none })
		r.stripes[e.Stripe].Places[at].Disk = none
	}
	moved := b.records[0]
	if r.idle(ctx, b) {
		t.Error("with all shards in both places")
	}
	if lose(moved.Layout[0]); !r.idle(ctx, b) {
		t.Error("with a shard less where it was moved to")
	}
	if lose(moved.Old); r.idle(ctx, b) {
		t.Error("with a shard less in both places")
	}
	lose(moved.Layout[0])
	if b.records = append(b.records, record{Kind: recPut}); r.idle(ctx, b) {
		t.Error("with a put in it")
	}
}
