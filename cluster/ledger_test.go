package cluster

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/energy"
)

// A hand is a clock that a test sets.
type hand struct{ at atomic.Int64 }

func newHand() *hand {
	h := &hand{}
	h.at.Store(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	return h
}

func (h *hand) now() time.Time          { return time.Unix(0, h.at.Load()).UTC() }
func (h *hand) advance(d time.Duration) { h.at.Add(int64(d)) }

// account returns the ledger, which must sum.
func account(t testing.TB, c *Cluster) *energy.Ledger {
	t.Helper()
	l, err := c.Ledger()
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Check(); err != nil {
		t.Error(err)
	}
	return l
}

// sameHoldings holds what the ledger thinks that buckets hold against the catalog.
func sameHoldings(t testing.TB, c *Cluster, l *energy.Ledger) {
	t.Helper()
	want, err := c.catalog.held(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range l.Buckets {
		if d := b.Raw - c.raw(want[name]); d < -100 || d > 100 { // rounded by batch
			t.Errorf("bucket %s holds %d raw bytes in the ledger, %d in the catalog", name, b.Raw, c.raw(want[name]))
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("not in the ledger: %v", want)
	}
}

// ledgerCluster is a cluster of 12 drives under a clock, with two buckets.
func ledgerCluster(t *testing.T) (*Cluster, *hand) {
	h := newHand()
	dir := filepath.Join(t.TempDir(), "c")
	if err := Init(dir, InitOptions{Map: DefaultMap(3, 2, 1, 2, 1e12), Scheme: scheme(t, "rs:4+2")}); err != nil {
		t.Fatal(err)
	}
	c := open(t, dir, Options{Now: h.now})
	for _, b := range []string{"bucket", "other"} {
		if err := c.MakeBucket(ctx, b); err != nil {
			t.Fatal(err)
		}
	}
	return c, h
}

// TestLedger follows a cluster through puts, gets, a lost drive and repair, over processes
// and time: all causes are there, the parts sum, and times are those of the clock.
func TestLedger(t *testing.T) {
	c, h := ledgerCluster(t)
	large, small := randomBytes(9<<20, 1), randomBytes(1000, 2)
	o := put(t, c, "large", large)
	if o.Energy == nil || o.Energy.Joules <= 0 || o.Energy.Status != energy.Model {
		t.Errorf("a put used %+v", o.Energy)
	}
	if _, err := c.Put(ctx, "other", "small", bytes.NewReader(small), PutOptions{}); err != nil {
		t.Fatal(err)
	}
	r, err := c.Get(ctx, "bucket", "large", GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, r); err != nil || r.Energy().Joules <= 0 {
		t.Errorf("a get used %+v, %v", r.Energy(), err)
	}
	r.Close()
	h.advance(time.Hour)
	l := account(t, c)
	sameHoldings(t, c, l)
	for id, d := range l.Drives {
		if got := d.Times.Sum(); got != time.Hour {
			t.Errorf("drive %d: times of %s in an hour", id, got)
		}
	}

	victim := c.diskIDs()[0]
	dir := c.dir
	c.Close()
	if _, err := changeFaults(dir, c.name(victim), true, h.now()); err != nil {
		t.Fatal(err)
	}
	c = open(t, dir, Options{Now: h.now})
	h.advance(2 * time.Hour)
	if _, err := c.Repair(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Scrub(ctx, ScrubOptions{Parity: -1}); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(ctx, "other", "small"); err != nil {
		t.Fatal(err)
	}
	l = account(t, c)
	sameHoldings(t, c, l)
	p := l.Parts()
	for _, why := range []energy.Cause{energy.ForIdle, energy.ForPut, energy.ForGet, energy.ForRepair, energy.ForScrub, energy.ForCoding} {
		if p[why].IsZero() {
			t.Errorf("nothing was used for %s: %v", why, p)
		}
	}
	if off := l.Drives[int32(victim)].Times[energy.Off]; off != 2*time.Hour {
		t.Errorf("the failed drive was off for %s", off)
	}
	if l.Buckets["other"].Raw != 0 || l.Buckets["bucket"].Raw != c.raw(int64(len(large))) {
		t.Errorf("%+v", l.Buckets)
	}

	c.Close()
	h.advance(5 * time.Hour)
	c = open(t, dir, Options{Now: h.now})
	again := account(t, c)
	if got := again.Drives[5].Times.Sum() + again.Drives[5].Unseen; got < 8*time.Hour || got > 8*time.Hour+time.Second { // some work is queued
		t.Errorf("a drive is %s old after 8 h", got)
	}
	h.advance(time.Minute)
	c.Close()
	h.advance(30 * 24 * time.Hour)
	c = open(t, dir, Options{Now: h.now})
	if l := account(t, c); l.Unseen < 22*24*time.Hour || l.Unseen > 23*24*time.Hour {
		t.Errorf("%s of 30 days alone were left out", l.Unseen)
	}
}

// TestLedgerOfReaders: what a reading process used is in the account of the next writer,
// once, and in that of readers before.
func TestLedgerOfReaders(t *testing.T) {
	c, h := ledgerCluster(t)
	large := randomBytes(3<<20, 1)
	put(t, c, "large", large)
	dir := c.dir
	before := account(t, c).Parts()
	c.Close()
	for range 2 {
		h.advance(time.Minute)
		r := open(t, dir, Options{Now: h.now, ReadOnly: true})
		wantBytes(t, r, "large", large)
		r.Close()
	}
	r := open(t, dir, Options{Now: h.now, ReadOnly: true})
	seen := account(t, r).Parts()
	if !before[energy.ForGet].Less(seen[energy.ForGet]) {
		t.Errorf("gets used %s J before and %s J after", before[energy.ForGet], seen[energy.ForGet])
	}
	r.Close()
	for range 3 {
		c = open(t, dir, Options{Now: h.now})
		if l := account(t, c); l.Parts()[energy.ForGet] != seen[energy.ForGet] {
			t.Errorf("gets used %s J, readers counted %s J", l.Parts()[energy.ForGet], seen[energy.ForGet])
		}
		c.Close()
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "notes", "*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestLedgerCrash: a ledger that was not written with the last batches knows at the next
// opening what buckets hold all the same, and notes that were counted are not counted again.
func TestLedgerCrash(t *testing.T) {
	c, h := ledgerCluster(t)
	for i := range 5 {
		put(t, c, fmt.Sprint(i), randomBytes(10_000, uint64(i)))
	}
	dir := c.dir
	c.Close()
	reader := open(t, dir, Options{Now: h.now, ReadOnly: true})
	wantBytes(t, reader, "1", randomBytes(10_000, 1))
	reader.Close()
	path := filepath.Join(dir, "notes", ledgerNotes)
	notes, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c = open(t, dir, Options{Now: h.now})
	gets := account(t, c).Parts()[energy.ForGet]
	name, err := c.catalog.meta(ledgerNotes)
	if err != nil || len(name) == 0 {
		t.Fatalf("absorbed %q, %v", name, err)
	}
	if err := c.catalog.update(ctx, func(t *tx) error { return t.setNumber(ledgerSeq, 1) }); err != nil {
		t.Fatal(err)
	}
	c.book.mu.Lock()
	c.book.worked = false // as if killed: nothing is written on closing
	c.book.mu.Unlock()
	c.Close()
	if err := os.WriteFile(filepath.Join(dir, "notes", string(name)), notes, 0o600); err != nil { // as if not removed yet
		t.Fatal(err)
	}
	c = open(t, dir, Options{Now: h.now})
	l := account(t, c)
	sameHoldings(t, c, l)
	if got := l.Parts()[energy.ForGet]; got != gets {
		t.Errorf("gets used %s J, after a crash %s J", gets, got)
	}
}

// TestLedgerRecovered: the account goes on after recover when the old catalog can be read.
func TestLedgerRecovered(t *testing.T) {
	c, h := ledgerCluster(t)
	put(t, c, "k", randomBytes(100_000, 1))
	h.advance(time.Hour)
	puts, dir := account(t, c).Parts()[energy.ForPut], c.dir
	c.Close()
	if _, err := Recover(ctx, dir, Options{}, nil); err != nil {
		t.Fatal(err)
	}
	c = open(t, dir, Options{Now: h.now})
	l := account(t, c)
	sameHoldings(t, c, l)
	if l.Parts()[energy.ForPut].Less(puts) {
		t.Errorf("puts used %s J, after recover %s J", puts, l.Parts()[energy.ForPut])
	}
}

// TestLedgerNeverSyncs: a request costs no more transactions and syncs than without ledger:
// one each, of which the ledger is a part.
func TestLedgerNeverSyncs(t *testing.T) {
	c, h := ledgerCluster(t)
	updates := 0
	c.catalog.watch = func() error { updates++; return nil }
	for i := range 5 {
		h.advance(10 * time.Second)
		put(t, c, fmt.Sprint(i), randomBytes(1000, uint64(i)))
	}
	if updates != 5 {
		t.Errorf("%d transactions for 5 puts", updates)
	}
	c.Close()
	if updates != 5 {
		t.Errorf("%d transactions after closing", updates)
	}
}

// TestStandbyPolicy: drives that stop by policy are started by who needs them, who is told.
func TestStandbyPolicy(t *testing.T) {
	c, h := ledgerCluster(t)
	if err := c.SetLedger(func(s *energy.Settings) { s.SpinDown.After = time.Hour }); err != nil {
		t.Fatal(err)
	}
	put(t, c, "k", randomBytes(1000, 1))
	h.advance(3 * time.Hour)
	r, err := c.Get(ctx, "bucket", "k", GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.Copy(io.Discard, r); err != nil || r.Energy().Starts != 1 || r.Energy().Joules < 50 {
		t.Errorf("%+v, %v", r.Energy(), err)
	}
	l := account(t, c)
	times, starts := l.TimesSum()
	if starts != 1 || times[energy.Standby] < 20*time.Hour {
		t.Errorf("%d starts, %v", starts, times)
	}
	if w := l.Parts().Sum().Joules().Mean(3 * time.Hour); math.Abs(float64(w)) > 12*7 {
		t.Errorf("%s", w)
	}
}

// TestCounted: all that reached the disks is in the account, as work of somebody or upkeep.
func TestCounted(t *testing.T) {
	c, _ := ledgerCluster(t)
	put(t, c, "k", randomBytes(5<<20, 1))
	wantBytes(t, c, "k", randomBytes(5<<20, 1))
	l := account(t, c)
	got := map[int32]energy.Work{}
	for id, d := range l.Drives {
		got[id] = d.Work
	}
	want := map[int32]energy.Work{}
	for _, id := range c.diskIDs() {
		want[int32(id)] = energy.Work(c.disk(id).(interface{ Counters() disks.Counters }).Counters())
	}
	if !maps.Equal(got, want) {
		t.Errorf("accounted %v\ncounted %v", got, want)
	}
}

// TestLedgerWhileBusy: the account sums at every moment while clients put, get and delete,
// and while it is written by itself.
func TestLedgerWhileBusy(t *testing.T) {
	c, h := ledgerCluster(t)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 15 {
				bucket, key := []string{"bucket", "other"}[i%2], fmt.Sprint(w, "/", i)
				p := randomBytes(100+w*60_000, uint64(i))
				if _, err := c.Put(ctx, bucket, key, bytes.NewReader(p), PutOptions{}); err != nil {
					t.Error(err)
					return
				}
				if r, err := c.Get(ctx, bucket, key, GetOptions{}); err != nil {
					t.Error(err)
				} else {
					io.Copy(io.Discard, r)
					r.Close()
				}
				if i%3 == 0 {
					if err := c.Delete(ctx, bucket, key); err != nil {
						t.Error(err)
					}
				}
				h.advance(300 * time.Millisecond)
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for busy := true; busy; {
		select {
		case <-done:
			busy = false
		default:
		}
		account(t, c)
		c.saveWork()
	}
	sameHoldings(t, c, account(t, c))
	c = reopen(t, c, Options{Now: h.now})
	sameHoldings(t, c, account(t, c))
}

// TestLedgerFromCheckpoint: with the catalog gone, the account goes on from the newest checkpoint.
func TestLedgerFromCheckpoint(t *testing.T) {
	for _, with := range []bool{false, true} {
		c, dir := newCluster(t, InitOptions{})
		put(t, c, "k", randomBytes(2<<20, 1))
		var at *energy.Ledger
		if with {
			if _, _, err := c.Checkpoint(ctx); err != nil {
				t.Fatal(err)
			}
		}
		at, err := c.Ledger()
		if err != nil {
			t.Fatal(err)
		}
		put(t, c, "later", randomBytes(2<<20, 2))
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		removeCatalog(filepath.Join(dir, "catalog.db"))
		if _, err := Recover(ctx, dir, Options{}, nil); err != nil {
			t.Fatal(err)
		}
		c = open(t, dir, Options{})
		l, err := c.Ledger()
		if err != nil || l.Check() != nil {
			t.Fatal(err, l.Check())
		}
		before, after := at.Buckets["bucket"].Spent[energy.ForPut], l.Buckets["bucket"].Spent[energy.ForPut]
		if since := l.Since.Equal(at.Since); since != with || with && (after.IsZero() || before.Less(after)) {
			t.Errorf("checkpoint %v: begun %s, was %s; %s J for puts, was %s", with, l.Since, at.Since, after, before)
		}
		if want := c.raw(4 << 20); l.Buckets["bucket"].Raw != want {
			t.Errorf("checkpoint %v: %d raw bytes, want %d", with, l.Buckets["bucket"].Raw, want)
		}
	}
}

// TestEstimate: what a read is said to take before it begins is near what it takes.
func TestEstimate(t *testing.T) {
	c, _ := newMemCluster(t, InitOptions{}, 0)
	for i, n := range []int{5000, 300_000, 3 << 20, 20 << 20} {
		key := fmt.Sprint(i)
		put(t, c, key, randomBytes(n, 1))
		for _, o := range []GetOptions{{}, {Offset: int64(n / 3), Length: int64(n / 2)}} {
			r, err := c.Get(ctx, "bucket", key, o)
			if err != nil {
				t.Fatal(err)
			}
			before := r.(*reader).Estimate()
			if _, err := r.WriteTo(io.Discard); err != nil {
				t.Fatal(err)
			}
			after := r.Energy()
			r.Close()
			if q := before.Joules / after.Joules; !(q > 0.7 && q < 1.5) || before.Status != energy.Model || before.Boundary != after.Boundary {
				t.Errorf("%d bytes, %+v: estimated %v, then it took %v", n, o, before, after)
			}
		}
	}
}
