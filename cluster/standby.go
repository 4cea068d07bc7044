package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// standbyKeep is how many copies of the catalog a standby has: the newest, and the one before.
const standbyKeep = 2

const (
	standbyFile  = "standby.json"
	fencePrefix  = "wattle-promoted-"
	standbyRetry = time.Second    // between tries while the directory takes nothing
	standbyAgain = time.Minute    // after which the same trouble is told again
	standbyStay  = time.Minute    // that a reader follows before it should look at the map anew
	standbyLog   = int64(8) << 20 // bytes of journals from which a new copy is due, if that is no more
	standbySay   = time.Second    // between two writings of standbyFile
)

// StandbyStatus says how far a standby is behind. It is kept in the cluster's directory.
type StandbyStatus struct {
	Directory string    `json:"directory"`
	Copy      string    `json:"copy,omitempty"`
	CopyBatch uint64    `json:"copy_batch"`
	Batch     uint64    `json:"batch"`   // the newest that has reached it
	Even      time.Time `json:"even"`    // when it last lacked nothing
	Updated   time.Time `json:"updated"` // when the rest was so
	Error     string    `json:"error,omitempty"`

	Behind  int64   `json:"batches_behind"` // as of the catalog when it was asked
	Seconds float64 `json:"seconds_behind"` // at most; 0 when nothing is
}

// LastStandby returns how a standby of the cluster in dir stood last, and whether there is one.
func LastStandby(dir string) (StandbyStatus, bool, error) {
	return lastTold[StandbyStatus](dir, standbyFile)
}

// standby says how the standby stands against the catalog now; nil without one.
func (c *Cluster) standby(ctx context.Context, now time.Time) (*StandbyStatus, error) {
	st := c.following.Load()
	if st == nil {
		last, ok, err := LastStandby(c.dir)
		if err != nil || !ok {
			return nil, err
		}
		st = &last
	}
	seq, err := c.catalog.number("sequence")
	if err != nil {
		return nil, err
	}
	at := *st
	if at.Behind, at.Seconds = 0, 0; seq > at.Batch {
		n, err := c.catalog.carried(ctx, at.Batch)
		if err != nil {
			return nil, err
		}
		at.Behind, at.Seconds = max(1, n), max(0, now.Sub(at.Even).Seconds()) // a checkpoint may have taken the place of some
	}
	return &at, nil
}

// A follower ships the journals of committed batches to a directory.
type follower struct {
	c     *Cluster
	dir   string
	told  func(StandbyStatus, error)
	st    StandbyStatus
	best  bestCopy // to whose log is appended; without path: nothing was looked at yet
	size  int64    // of the copy
	saved time.Time

	trouble string // told last, "" when all is well
	toldAt  time.Time
	copyAt  time.Time // no copy for the sake of a long log before
}

// Follow keeps a second directory able to take over: a checked copy of the catalog, and a log
// of the journals of all batches committed since, each synced there soon after its commit,
// which never waits for it. Changes that come within every go together. What could not be
// shipped, since the directory was full or away, is shipped later, off the disks. told hears of
// each new copy, of trouble, and of its end. Follow ends with ctx; for a reader after a minute
// too, when it should look at the map anew; and when somebody took over (ErrFenced).
func (c *Cluster) Follow(ctx context.Context, dir string, every time.Duration, told func(StandbyStatus, error)) error {
	f, err := c.newFollower(dir, told)
	if err != nil {
		return err
	}
	shipped := c.outbox.begin()
	defer c.outbox.end()
	defer f.save(true)
	started := time.Now()
	for ctx.Err() == nil && !(c.readOnly && time.Since(started) > standbyStay) {
		wait, wake := every, shipped
		err := f.round(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrFenced):
			return err
		case err != nil:
			wait, wake = max(every, standbyRetry), nil
		case c.readOnly:
			wake = nil
		}
		f.tell(err)
		f.save(false)
		pause(ctx, wait, wake)
	}
	return nil
}

// pause waits for at least so long, and then, when it may be woken, until it is, or a second.
func pause(ctx context.Context, wait time.Duration, wake <-chan struct{}) {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return
	case <-t.C:
	}
	if wake == nil {
		return
	}
	t.Reset(time.Second)
	select {
	case <-ctx.Done():
	case <-wake:
	case <-t.C:
	}
}

// Ship has a directory catch up once, as Follow does all the time.
func (c *Cluster) Ship(ctx context.Context, dir string) (StandbyStatus, error) {
	f, err := c.newFollower(dir, func(StandbyStatus, error) {})
	if err != nil {
		return StandbyStatus{}, err
	}
	err = f.round(ctx)
	if err != nil {
		f.st.Error = err.Error()
	}
	f.save(true)
	return f.st, err
}

func (c *Cluster) newFollower(dir string, told func(StandbyStatus, error)) (*follower, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	f := &follower{c: c, dir: dir, told: told, st: StandbyStatus{Directory: dir}}
	last, known, err := LastStandby(c.dir)
	if err == nil && known && last.Directory == dir {
		f.st.Even = last.Even // a directory that was in use and is gone is not made anew: it may be unmounted
		return f, nil
	}
	return f, errors.Join(err, os.MkdirAll(dir, 0o700))
}

func (c *Cluster) copyPrefix() string {
	return backupPrefix + c.config.ID[:min(8, len(c.config.ID))] + "-"
}

// round brings the directory up to the catalog as it is now.
func (f *follower) round(ctx context.Context) error {
	if err := f.c.fenced(f.dir); err != nil {
		return err
	}
	if err := f.c.uncertain.Load(); err != nil { // the last batch may be there and not be committed
		return *err
	}
	if f.best.path == "" || f.best.size == 0 {
		if err := f.resume(); err != nil {
			return err
		}
	}
	start := time.Now()
	seq, err := f.c.catalog.number("sequence")
	if err != nil {
		return err
	}
	if f.c.lease != nil {
		if err := f.c.lease.set(seq); err != nil {
			return err
		}
	}
	switch {
	case f.best.path == "":
		err = f.copy(ctx)
	case f.best.upTo > seq:
		return fmt.Errorf("%w: the standby %s holds batch %d, and the catalog only %d; `wattle standby --promote` takes it back from there", ErrStaleCatalog, f.dir, f.best.upTo, seq)
	case f.best.upTo < seq:
		err = f.ship(ctx, seq)
	}
	if err != nil {
		f.forget()
		return err
	}
	if f.best.upTo >= seq {
		f.st.Even = start.UTC()
	}
	if f.best.size > max(standbyLog, f.size) && start.After(f.copyAt) {
		f.copyAt = start.Add(standbyAgain)
		return f.copy(ctx)
	}
	return nil
}

// forget has the next round look at what is there.
func (f *follower) forget() { f.best = bestCopy{} }

// resume finds what is in the directory already.
func (f *follower) resume() (err error) {
	f.best, err = furthestCopy(f.dir, f.c.copyPrefix(), f.c.config.ID)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is not there: %w; is it mounted?", f.dir, err)
	}
	if err != nil || f.best.path == "" {
		return err
	}
	if f.best.size == 0 {
		if err := errors.Join(startShipped(logOf(f.best.path), f.c.config.ID, f.best.batch), syncDir(f.dir)); err != nil {
			f.forget()
			return err
		}
		f.best.size = shippedHead
	}
	info, err := os.Stat(f.best.path)
	if err == nil {
		f.size = info.Size()
	}
	f.note()
	return err
}

// copy makes a new copy of the catalog and begins its log.
func (f *follower) copy(ctx context.Context) error {
	if _, err := os.Stat(f.dir); err != nil {
		return fmt.Errorf("%s is not there: %w; is it mounted?", f.dir, err)
	}
	rep, err := f.c.Backup(ctx, f.dir, standbyKeep)
	if err != nil {
		return err
	}
	if err := errors.Join(startShipped(logOf(rep.Path), f.c.config.ID, rep.Batch), syncDir(f.dir)); err != nil {
		return err
	}
	f.best = bestCopy{path: rep.Path, batch: rep.Batch, upTo: rep.Batch, size: shippedHead}
	f.size = rep.Bytes
	f.note()
	f.told(f.st, nil)
	return nil
}

// ship appends what came after the log, up to a batch; where that is not to be had any more
// a new copy takes its place.
func (f *follower) ship(ctx context.Context, seq uint64) error {
	list, ok := f.c.outbox.after(f.best.upTo)
	if !ok {
		return f.catchUp(ctx, seq)
	}
	return f.append(list)
}

func (f *follower) append(list []shipment) (err error) {
	if len(list) == 0 {
		return nil
	}
	if f.best.size, err = appendShipped(logOf(f.best.path), f.best.size, list); err != nil {
		return err
	}
	last := list[len(list)-1]
	f.best.upTo, f.best.time = last.seq, time.Unix(0, last.time).UTC()
	f.note()
	return nil
}

// catchUp reads journals off the disks, as long as no checkpoint has taken their place.
func (f *follower) catchUp(ctx context.Context, seq uint64) error {
	const few = 64
	for f.best.upTo < seq {
		carriers, err := f.c.catalog.carriers(ctx, f.best.upTo, few)
		if err != nil {
			return err
		}
		at, err := f.c.catalog.checkpointed() // asked after: then what it freed was not missing above
		if err != nil {
			return err
		}
		if at.Batch > f.best.upTo || len(carriers) == 0 {
			return f.copy(ctx)
		}
		list := make([]shipment, 0, len(carriers))
		before := f.best.upTo
		for _, s := range carriers {
			j, _, err := f.c.journal(ctx, s, nil)
			if err != nil {
				return f.copy(ctx) // what cannot be read the catalog has
			}
			list = append(list, shipment{seq: s.Seq, before: before, time: f.c.timeOf(j, s.Seq), incarnation: uint32(s.ID >> 40), journal: j})
			before = s.Seq
		}
		if err := f.append(list); err != nil {
			return err
		}
	}
	return nil
}

// timeOf is when the changes of a batch were made, 0 when its journal does not say.
func (c *Cluster) timeOf(journal []byte, seq uint64) int64 {
	newest := int64(0)
	records, err := openJournal(journal, c.keys, c.config.ID, seq)
	if err != nil {
		return 0
	}
	for _, r := range records {
		newest = max(newest, r.Time)
	}
	return newest
}

// note takes down where the directory is.
func (f *follower) note() {
	f.st.Copy, f.st.CopyBatch, f.st.Batch = f.best.path, f.best.batch, f.best.upTo
}

// tell tells of trouble when it begins, each minute, and when it ends.
func (f *follower) tell(err error) {
	now := time.Now()
	what := ""
	if err != nil {
		what = err.Error()
	}
	f.st.Error = what
	if what == "" && f.trouble != "" || what != "" && (f.trouble == "" || now.Sub(f.toldAt) > standbyAgain) {
		f.toldAt = now
		f.told(f.st, err)
	}
	f.trouble = what
}

// save lets others know how the standby stands: at most once a second, unless it is the last
// time. It is not synced: nothing but what status says hangs on it.
func (f *follower) save(last bool) {
	f.st.Updated = time.Now().UTC()
	st := f.st
	f.c.following.Store(&st)
	if !last && time.Since(f.saved) < standbySay {
		return
	}
	f.saved = time.Now()
	p, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return
	}
	path := filepath.Join(f.c.dir, standbyFile)
	temp := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := os.WriteFile(temp, append(p, '\n'), 0o600); err != nil || os.Rename(temp, path) != nil {
		os.Remove(temp)
	}
}

// A fence says in the directory of a standby who took over from there.
type fence struct {
	Incarnation uint32    `json:"incarnation"`
	Time        time.Time `json:"time"`
}

func (c *Cluster) fencePath(dir string) string {
	return filepath.Join(dir, fencePrefix+c.config.ID[:min(8, len(c.config.ID))]+".json")
}

// fenced tells whether somebody took over from a standby: then this writer takes nothing more.
func (c *Cluster) fenced(dir string) error {
	p, err := os.ReadFile(c.fencePath(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var f fence
	if err == nil {
		err = json.Unmarshal(p, &f)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.fencePath(dir), err)
	}
	mine := uint64(c.incarnation)
	if c.readOnly {
		if mine, err = c.catalog.number("incarnation"); err != nil {
			return err
		}
	}
	if mine >= uint64(f.Incarnation) {
		return nil
	}
	err = fmt.Errorf("%w: from %s on %s, as writer %d, and this is writer %d", ErrFenced, dir, f.Time.Format(time.RFC3339), f.Incarnation, mine)
	if !c.readOnly {
		c.uncertain.Store(&err)
	}
	return err
}

// A PromoteReport says what Promote began from and what it brought back.
type PromoteReport struct {
	Copy         string        `json:"copy"`
	CopyTime     time.Time     `json:"copy_time"`
	CopyBatch    uint64        `json:"copy_batch"`            // whose state the copy held
	ShippedBatch uint64        `json:"shipped_batch"`         // the last in the log beside it
	ShippedTime  time.Time     `json:"shipped_time,omitzero"` // when that was committed
	Batch        uint64        `json:"batch"`                 // the recovery point: the newest that is back
	Changed      time.Time     `json:"changed"`               // when the newest change was made that stands
	OnlyShipped  int64         `json:"batches_only_shipped"`  // that the log had and no disk
	Missing      int64         `json:"batches_missing"`       // acknowledged, and nowhere; only by force
	Incarnation  uint32        `json:"incarnation"`           // of the new writer; older ones are refused from now on
	Elapsed      time.Duration `json:"elapsed_ns"`
	Recovery     RecoverReport `json:"recovery"`
}

// Promote makes the catalog of the cluster in dir from the copy in the directory of a standby
// that reaches furthest, the journals that were shipped after it, and those on the disks, and
// begins a new incarnation, of which the disks and the directory are told: a writer with the
// old catalog is refused by them. It is refused itself while a writer lives, and when
// acknowledged changes would be missing (Options.Force does without).
func Promote(ctx context.Context, dir string, o Options, standby string) (PromoteReport, error) {
	start := time.Now()
	var rep PromoteReport
	if err := rep.choose(dir, o, standby); err != nil {
		return rep, err
	}
	o.From, o.ReadOnly = rep.Copy, false
	var err error
	if rep.Recovery, err = Recover(ctx, dir, o, nil); err != nil {
		return rep, err
	}
	rep.Batch, rep.OnlyShipped, rep.Missing = rep.Recovery.Sequence, rep.Recovery.Shipped, int64(len(rep.Recovery.Gaps))
	c, err := Open(ctx, dir, o)
	if err != nil {
		return rep, err
	}
	rep.Incarnation = c.incarnation
	rep.Changed, _, err = c.catalog.times(ctx)
	if err == nil { // the first batch of the new incarnation, and so on the disks
		_, err = c.submit(ctx, &request{rec: record{Kind: recFence, Time: c.now()}})
	}
	if err == nil && rep.OnlyShipped+rep.Missing > 0 { // the disks lack them: should the catalog be lost again, it must not want them
		_, _, err = c.Checkpoint(ctx)
	}
	if err == nil {
		p, _ := json.Marshal(fence{c.incarnation, time.Now().UTC()}) //nolint:errchkjson // two plain fields
		err = writeFile(c.fencePath(standby), append(p, '\n'))
	}
	err = errors.Join(err, c.Close())
	rep.Elapsed = time.Since(start)
	return rep, err
}

// choose finds the copy to begin from.
func (rep *PromoteReport) choose(dir string, o Options, standby string) error {
	opener := o.Open
	if opener == nil {
		opener = directories{dir}
	}
	if _, err := os.Stat(standby); err != nil {
		return err
	}
	cfg, _, err := findConfig(dir, opener)
	if err != nil {
		return err
	}
	best, err := furthestCopy(standby, backupPrefix+cfg.ID[:min(8, len(cfg.ID))]+"-", cfg.ID)
	if err != nil {
		return err
	}
	if best.path == "" {
		return fmt.Errorf("%s: %w: no copy of this cluster's catalog (%s%s….db) is there; `wattle standby DIRECTORY` or `wattle backup` makes them",
			standby, ErrNoCluster, backupPrefix, strings.ToLower(cfg.ID[:min(8, len(cfg.ID))]))
	}
	rep.Copy, rep.CopyBatch, rep.ShippedBatch, rep.ShippedTime = best.path, best.batch, best.upTo, best.time
	info, err := os.Stat(best.path)
	if err == nil {
		rep.CopyTime = info.ModTime().UTC()
	}
	return err
}
