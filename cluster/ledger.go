package cluster

import (
	"bufio"
	"bytes"
	"compress/flate"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/energy"
	"github.com/wattle-storage/wattle/placement"
)

// Spent is the modelled energy of a request: of drives at work, and of processor time for
// coding.
type Spent struct {
	Joules   float64       `json:"joules"`
	Status   energy.Status `json:"status"`
	Boundary string        `json:"boundary"`
	Starts   int64         `json:"starts,omitempty"` // drives that had to start for it
}

// Plus returns the energy of two requests. A start that both waited for counts twice.
func (s Spent) Plus(t Spent) Spent {
	return Spent{s.Joules + t.Joules, t.Status, t.Boundary, s.Starts + t.Starts}
}

// wallClock is the time as other processes see it too, without this one's monotonic clock.
func wallClock() time.Time { return time.Now().UTC().Round(0) }

// Keys of the catalog's meta.
const (
	ledgerKey   = "ledger"
	ledgerBad   = "ledger_bad"      // one that could not be read
	ledgerSeq   = "ledger_sequence" // newest batch that the ledger's holdings know
	ledgerEvery = time.Second       // a batch that comes so long after the last one that wrote the ledger writes it
	ledgerAlone = time.Minute       // without batches it is written by itself
)

// A book keeps the energy ledger of an open cluster. The writer keeps it in the catalog: in
// the transaction that makes it the writer, in that of a batch once a second, in one of its
// own each minute without batches, and when it closes. So no request waits for a sync on the
// ledger's account, and a crash loses the work of a minute at most, and no time. A reader
// keeps it to itself and leaves a note.
type book struct {
	mu      sync.Mutex
	l       *energy.Ledger                      // guarded by mu; of a reader, nil until it is needed
	note    energy.Note                         // guarded by mu; of a reader
	saved   time.Time                           // guarded by mu
	worked  bool                                // guarded by mu; since it was saved
	claimed map[placement.DiskID]disks.Counters // guarded by mu; work that somebody was charged for
	held    map[string]int64                    // guarded by mu; of a batch that is being committed
}

// A bill is what one piece of work used.
type bill struct {
	c      *Cluster
	why    energy.Cause
	shares []energy.Share

	mu     sync.Mutex
	used   energy.Amount // guarded by mu
	starts int64         // guarded by mu
}

// bill returns an empty bill. Without shares the work is borne by all buckets by the raw
// bytes that they hold.
func (c *Cluster) bill(why energy.Cause, shares ...energy.Share) *bill {
	return &bill{c: c, why: why, shares: shares}
}

type billKey struct{}

// on returns a context under which all I/O, and coding, goes on the bill.
func (b *bill) on(ctx context.Context) context.Context {
	return disks.Counting(context.WithValue(ctx, billKey{}, b), b.count)
}

// billOf returns the bill of a context, or nil.
func billOf(ctx context.Context) *bill {
	b, _ := ctx.Value(billKey{}).(*bill)
	return b
}

func (b *bill) count(disk int32, n disks.Counters) {
	used, starts := b.c.book.work(b.c, disk, b.why, n, b.shares)
	b.add(used, starts)
}

func (b *bill) add(used energy.Amount, starts int64) {
	b.mu.Lock()
	b.used = b.used.Plus(used)
	b.starts += starts
	b.mu.Unlock()
}

// coding runs f, which codes in this goroutine, and charges the processor time that its thread
// takes. Where that is not known it is the time by the clock, which goes on while others have the
// processor. A nil bill charges nobody.
func (b *bill) coding(f func() error) error {
	if b == nil {
		return f()
	}
	runtime.LockOSThread()
	start := time.Now()
	began, known := b.c.threadTime()
	err := f()
	used := time.Since(start)
	if end, ok := b.c.threadTime(); known && ok {
		used = end - began
	}
	runtime.UnlockOSThread()
	b.add(b.c.book.coded(b.c, used, b.shares), 0)
	return err
}

func (b *bill) spent() Spent {
	b.mu.Lock()
	defer b.mu.Unlock()
	return Spent{float64(b.used.Joules()), energy.Model, energy.Boundary, b.starts}
}

// batchBill is the bill of a batch, shared by the bytes that its requests bring.
func (c *Cluster) batchBill(batch []*request) *bill {
	type bearer struct{ bucket, user string }
	at := map[bearer]int{}
	var shares []energy.Share
	for _, r := range batch {
		if r.rec.Bucket == "" {
			continue
		}
		who := bearer{r.rec.Bucket, r.user}
		i, ok := at[who]
		if !ok {
			i = len(shares)
			at[who] = i
			shares = append(shares, energy.Share{Bucket: who.bucket, User: who.user})
		}
		shares[i].Weight += r.weight()
	}
	return c.bill(energy.ForPut, shares...)
}

// weight is what a request brings to its batch, in bytes: data, and a record.
func (r *request) weight() uint64 {
	const recordBytes = 64
	n := recordBytes + len(r.data)
	if r.tail != nil {
		for _, c := range r.tail.Columns {
			n += int(c)
		}
	}
	return uint64(n)
}

// divide tells the requests of a batch what they used: their part of the batch, and what
// their streams used before.
func (b *bill) divide(batch []*request, results []result) {
	weights := make([]uint64, len(batch))
	for i, r := range batch {
		weights[i] = r.weight()
	}
	b.mu.Lock()
	parts, starts := b.used.Split(weights), b.starts
	b.mu.Unlock()
	for i, r := range batch {
		if results[i].err != nil {
			continue
		}
		s := Spent{float64(parts[i].Joules()), energy.Model, energy.Boundary, starts}
		if r.bill != nil {
			own := r.bill.spent()
			s.Joules += own.Joules
			s.Starts += own.Starts
		}
		results[i].object.Energy = &s
	}
}

// work charges I/O of a disk.
func (k *book) work(c *Cluster, disk int32, why energy.Cause, n disks.Counters, shares []energy.Share) (energy.Amount, int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.ledger(c)
	if l == nil {
		return energy.Amount{}, 0
	}
	id := placement.DiskID(disk)
	k.claimed[id] = k.claimed[id].Plus(n)
	k.worked = true
	starts := l.Starts(disk)
	used := l.Work(c.clock(), disk, why, energy.Work(n), shares)
	if c.readOnly {
		k.note.Add(disk, why, oneBucket(shares), energy.Work(n))
	}
	return used, l.Starts(disk) - starts
}

func (k *book) coded(c *Cluster, cpu time.Duration, shares []energy.Share) energy.Amount {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.ledger(c)
	if l == nil {
		return energy.Amount{}
	}
	k.worked = true
	if c.readOnly {
		k.note.AddCPU(oneBucket(shares), cpu)
	}
	return l.Coded(cpu, shares)
}

// oneBucket is the bucket of work that one alone bears, or "".
func oneBucket(shares []energy.Share) string {
	if len(shares) == 1 {
		return shares[0].Bucket
	}
	return ""
}

// ledger returns the ledger, which a reader loads when it first needs it; k.mu is held.
func (k *book) ledger(c *Cluster) *energy.Ledger {
	if k.l != nil || !c.readOnly {
		return k.l
	}
	l, err := c.loadLedger(c.clock())
	if err != nil {
		l = energy.NewLedger(c.clock())
		c.drivesOf(l, c.clock())
	}
	k.claimed = map[placement.DiskID]disks.Counters{}
	k.note.From, k.l = c.clock(), l
	return l
}

// loadLedger reads the catalog's ledger as of the last writer; one that begins now when
// there is none.
func (c *Cluster) loadLedger(now time.Time) (*energy.Ledger, error) {
	p, err := c.catalog.meta(ledgerKey)
	if err != nil {
		l := energy.NewLedger(now)
		c.drivesOf(l, now)
		return l, nil //nolint:nilerr // made before there were ledgers, or recovered
	}
	l, err := energy.DecodeLedger(p)
	if err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	return l, nil
}

// drivesOf tells a ledger what the drives are now, and whether that was news to it. Those that
// left the map are off.
func (c *Cluster) drivesOf(l *energy.Ledger, now time.Time) (news bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range c.diskIDs() {
		d := c.byID[id]
		_, off := c.absent[id]
		news = l.Set(now, int32(id), energy.Place{Site: d.site, Name: d.path(), Profile: d.Profile, Capacity: d.Capacity, Off: off}) || news
	}
	for id, d := range l.Drives {
		if _, ok := c.byID[placement.DiskID(id)]; !ok && !d.Off {
			p := d.Place
			p.Off = true
			news = l.Set(now, id, p) || news
		}
	}
	return news
}

// raw is what bytes of objects take under the cluster's scheme.
func (c *Cluster) raw(n int64) int64 {
	s := c.config.Scheme
	return n/int64(s.K)*int64(s.N()) + n%int64(s.K)*int64(s.N())/int64(s.K)
}

// openBook begins the book of a writer: the ledger as the last one left it, with the time
// since, and the notes of readers. It is kept in the transaction of begin.
func (c *Cluster) openBook(ctx context.Context, begin func(*tx) error) error {
	now := c.clock()
	l, err := c.loadLedger(now)
	if err != nil {
		c.notify("%v; the energy ledger begins anew, the old one is kept in the catalog as %s", err, ledgerBad)
		l = energy.NewLedger(now)
		if bad, err := c.catalog.meta(ledgerKey); err == nil {
			keep := begin
			begin = func(t *tx) error { return errors.Join(keep(t), t.setMeta(ledgerBad, bad)) }
		}
	}
	notes, done := c.takeLedgerNotes()
	l.Absorb(notes, now)
	l.Resume(now)
	c.drivesOf(l, now)
	if n, err := c.catalog.number(ledgerSeq); err != nil || n != c.committed.Load() {
		held, err := c.catalog.held(ctx)
		if err != nil {
			return err
		}
		for name, b := range l.Buckets {
			l.Hold(now, name, c.raw(held[name])-b.Raw)
			delete(held, name)
		}
		for name, n := range held {
			l.Hold(now, name, c.raw(n))
		}
	}
	k := &c.book
	k.mu.Lock()
	k.l, k.saved, k.claimed = l, now.Add(-ledgerEvery), map[placement.DiskID]disks.Counters{} // the first batch writes it
	k.mu.Unlock()
	err = c.catalog.update(ctx, func(t *tx) error {
		p, err := l.Encode()
		if err != nil {
			return err
		}
		return errors.Join(begin(t), t.setMeta(ledgerKey, p), t.setNumber(ledgerSeq, c.committed.Load()), t.setMeta(ledgerNotes, []byte(done)))
	})
	if err == nil && done != "" {
		os.Remove(filepath.Join(c.notesDir(), done))
	}
	return err
}

// upkeep looks at the drives, and charges what nobody was charged for; k.mu is held.
func (k *book) upkeep(c *Cluster, now time.Time) {
	if c.drivesOf(k.l, now) {
		k.worked = true
	}
	for _, id := range c.diskIDs() {
		d := c.disk(id)
		if d == nil {
			continue
		}
		n := d.Counters()
		rest := n.Minus(k.claimed[id])
		k.claimed[id] = n
		if rest.Reads < 0 || rest.Writes < 0 || rest.ReadSeeks < 0 || rest.WriteSeeks < 0 || rest.BytesRead < 0 || rest.BytesWritten < 0 || rest.Syncs < 0 {
			continue // the disk was opened anew
		}
		if w := energy.Work(rest); w.Ops() > 0 {
			k.l.Work(now, int32(id), energy.ForUpkeep, w, nil)
			k.worked = true
		}
	}
}

// ride writes the ledger in the transaction of a batch, when the last time is long ago. The
// batch's changes of what buckets hold are in it, and are taken back unless kept is called.
func (k *book) ride(c *Cluster, t *tx, seq uint64) error {
	now := c.clock()
	k.mu.Lock()
	defer k.mu.Unlock()
	if now.Sub(k.saved) < ledgerEvery && !now.Before(k.saved) {
		k.held = t.held
		return nil
	}
	k.upkeep(c, now)
	k.l.Settle(now)
	k.hold(c, now, t.held, 1)
	p, err := k.l.Encode()
	k.hold(c, now, t.held, -1)
	k.held = t.held
	if err != nil {
		return err
	}
	k.saved, k.worked = now, false
	return errors.Join(t.setMeta(ledgerKey, p), t.setNumber(ledgerSeq, seq))
}

// kept is told that the transaction of the last ride was committed, or not.
func (k *book) kept(c *Cluster, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if ok {
		k.hold(c, c.clock(), k.held, 1)
	} else {
		k.saved, k.worked = time.Time{}, true
	}
	k.held = nil
}

func (k *book) hold(c *Cluster, now time.Time, held map[string]int64, sign int64) {
	for name, n := range held {
		k.l.Hold(now, name, sign*c.raw(n))
	}
}

// keepBook writes the ledger while there are reads and no batches, until the cluster closes.
func (c *Cluster) keepBook() {
	tick := time.NewTicker(ledgerAlone)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.saveWork()
		case <-c.closing:
			return
		}
	}
}

// saveWork writes the ledger if there was work that the catalog has not heard of.
func (c *Cluster) saveWork() {
	k := &c.book
	k.mu.Lock()
	if k.l != nil {
		k.upkeep(c, c.clock())
	}
	due := k.worked
	k.mu.Unlock()
	if !due {
		return
	}
	if err := c.saveBook(nil); err != nil {
		c.notify("energy ledger: %v", err)
	}
}

// saveBook writes the ledger in a transaction of its own, after change, when not nil, has
// changed how it counts. The book is locked within the transaction, as in ride.
func (c *Cluster) saveBook(change func(*energy.Settings)) error {
	k := &c.book
	err := c.catalog.update(context.Background(), func(t *tx) error {
		now := c.clock()
		k.mu.Lock()
		defer k.mu.Unlock()
		k.upkeep(c, now)
		k.l.Settle(now)
		if change != nil {
			change(&k.l.Settings)
		}
		p, err := k.l.Encode()
		if err != nil {
			return err
		}
		k.saved, k.worked = now, false
		return errors.Join(t.setMeta(ledgerKey, p), t.setNumber(ledgerSeq, c.committed.Load()))
	})
	if err != nil {
		k.mu.Lock()
		k.worked = true
		k.mu.Unlock()
	}
	return err
}

// Ledger returns the energy account as of now: a copy, all time and work counted, also what
// readers have noted.
func (c *Cluster) Ledger() (*energy.Ledger, error) {
	k, now := &c.book, c.clock()
	if c.readOnly {
		l, err := c.loadLedger(now)
		if err != nil {
			return nil, err
		}
		notes, err := c.readLedgerNotes(filepath.Join(c.notesDir(), ledgerNotes))
		if err != nil {
			return nil, err
		}
		k.mu.Lock()
		if mine := k.note; !mine.IsEmpty() {
			mine.To = now
			notes = append(notes, mine)
		}
		l.Absorb(notes, now)
		k.mu.Unlock()
		l.Resume(now)
		c.drivesOf(l, now)
		return l, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.upkeep(c, now)
	k.l.Settle(now)
	p, err := k.l.Encode()
	if err != nil {
		return nil, err
	}
	return energy.DecodeLedger(p)
}

// SetLedger changes how the ledger counts, from now on.
func (c *Cluster) SetLedger(change func(*energy.Settings)) error {
	if c.readOnly {
		return ErrReadOnly
	}
	return c.saveBook(change)
}

// ledgerNotes is the file of readers' notes, a line each, and the key under which the
// catalog names the file that its ledger has absorbed.
const ledgerNotes = "ledger.notes"

// leaveLedgerNote adds the note of a reader to the file. It is not synced: a crash of the
// machine may lose what was read a moment before.
func (c *Cluster) leaveLedgerNote() {
	k := &c.book
	k.mu.Lock()
	note := k.note
	k.mu.Unlock()
	if note.To = c.clock(); note.IsEmpty() {
		return
	}
	if err := addLedgerNote(c.dir, note); err != nil && !errors.Is(err, unix.EROFS) {
		c.notify("note for the energy ledger: %v", err)
	}
}

// addLedgerNote appends a line, alone in the file for the moment.
func addLedgerNote(dir string, note energy.Note) error {
	p, err := json.Marshal(note)
	if err != nil {
		return err
	}
	notes := filepath.Join(dir, "notes")
	if err := os.MkdirAll(notes, 0o700); err != nil {
		return err
	}
	for {
		f, err := os.OpenFile(filepath.Join(notes, ledgerNotes), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return err
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if err == nil && moved(f) { // a writer took the file meanwhile
			f.Close()
			continue
		}
		if err == nil {
			_, err = f.Write(append(p, '\n'))
		}
		return errors.Join(err, f.Close())
	}
}

// moved tells whether a file is no longer under its name.
func moved(f *os.File) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Stat(f.Name())
	return err != nil || !os.SameFile(a, b)
}

// takeLedgerNotes renames the file of notes, so that no reader adds to it, and reads it. The
// name under which it is then is kept in the catalog with what it held, so that a crash
// before it is removed counts nothing twice.
func (c *Cluster) takeLedgerNotes() ([]energy.Note, string) {
	old, _ := c.catalog.meta(ledgerNotes)
	left, err := filepath.Glob(filepath.Join(c.notesDir(), ledgerNotes+".*"))
	if err != nil {
		return nil, ""
	}
	var path string
	for _, p := range left {
		if filepath.Base(p) == string(old) {
			os.Remove(p)
			continue
		}
		path = p // of a writer that crashed before it was counted
	}
	if path == "" {
		from := filepath.Join(c.notesDir(), ledgerNotes)
		path = fmt.Sprintf("%s.%d", from, c.incarnation)
		f, err := os.Open(from)
		if err != nil {
			return nil, ""
		}
		defer f.Close()
		if unix.Flock(int(f.Fd()), unix.LOCK_EX) != nil || os.Rename(from, path) != nil {
			return nil, ""
		}
	}
	notes, err := c.readLedgerNotes(path)
	if err != nil {
		c.notify("%v", err)
	}
	return notes, filepath.Base(path)
}

// readLedgerNotes reads a file of notes. Lines that say nothing are left out with a word.
func (c *Cluster) readLedgerNotes(path string) ([]energy.Note, error) {
	p, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("notes for the energy ledger: %w", err)
	}
	var notes []energy.Note
	lines := bufio.NewScanner(bytes.NewReader(p))
	lines.Buffer(nil, 16<<20)
	for n := 1; lines.Scan(); n++ {
		note, err := energy.DecodeNote(lines.Bytes())
		if err != nil {
			c.notify("notes for the energy ledger, line %d left out: %v", n, err)
			continue
		}
		notes = append(notes, note)
	}
	return notes, lines.Err()
}

// noteFaults notes when disks go out of service and come back.
func noteFaults(dir string, cfg config, names []string, off bool, now time.Time) error {
	note := energy.Note{From: now, To: now, Off: map[int32]bool{}}
	eachDisk(cfg.Map, func(d placementDisk, _ *placement.Disk) {
		if slices.Contains(names, d.path()) {
			note.Off[int32(d.ID)] = off
		}
	})
	return addLedgerNote(dir, note)
}

// settingLedger is the setting of the cluster under which a checkpoint has the ledger, deflated,
// since it may be larger than all the rest. No journal
// has it: the next checkpoint brings a newer one.
const settingLedger = "energy/ledger"

// deflaters are kept, since one takes a megabyte.
var deflaters = sync.Pool{New: func() any {
	z, _ := flate.NewWriter(io.Discard, flate.BestCompression) // a level that there is
	return z
}}

// ledgerIntoCheckpoint puts the ledger, as it is now, where the next checkpoint takes it along.
func (c *Cluster) ledgerIntoCheckpoint(ctx context.Context) error {
	l, err := c.Ledger()
	if err != nil {
		return err
	}
	p, err := l.Encode()
	if err != nil {
		return err
	}
	var small bytes.Buffer
	z := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(z)
	z.Reset(&small)
	if _, err := z.Write(p); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	r := record{Kind: recSetting, Name: settingLedger, Value: small.String()}
	err = c.catalog.update(ctx, func(t *tx) error { return t.set(r) })
	c.settings.forget([]record{r})
	return err
}

// carryLedger gives a recovered catalog the ledger of the old one, or, when that cannot be read,
// of the checkpoint that recovery began from. Without either a new one begins.
func carryLedger(ctx context.Context, old string, into *catalog) error {
	for _, read := range []func() ([]byte, error){
		func() ([]byte, error) {
			from, err := openCatalog(old, forReading)
			if err != nil {
				return nil, err
			}
			defer from.close()
			return from.meta(ledgerKey)
		},
		func() ([]byte, error) {
			set, err := into.settings(ctx, "")
			if err != nil {
				return nil, err
			}
			const most = 64 << 20 // of a ledger; far above any
			return io.ReadAll(io.LimitReader(flate.NewReader(strings.NewReader(set.Values[settingLedger])), most))
		},
	} {
		p, err := read()
		if err == nil {
			_, err = energy.DecodeLedger(p)
		}
		if err == nil {
			return into.update(ctx, func(t *tx) error { return t.setMeta(ledgerKey, p) })
		}
	}
	return nil
}
