package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/erasure"
	"github.com/wattle-storage/wattle/placement"
	"github.com/wattle-storage/wattle/seal"
)

// Recover makes the catalog anew from the disks alone, by replaying the journals that ride
// in the shards in order of sequence. Up to as many disks as the scheme stands may be
// missing, or a site. The catalog that was there, if any, is kept beside the new one.
//
// A batch above the newest one that any shard knows to be committed comes back whole, when
// all its stripes can be decoded, or not at all, and is listed in Uncertain.
func Recover(ctx context.Context, dir string, o Options, p Progress) (RecoverReport, error) {
	var rep RecoverReport
	if _, err := os.Stat(dir); err != nil {
		return rep, fmt.Errorf("%s: %w", dir, ErrNoCluster)
	}
	opener := o.Open
	if opener == nil {
		opener = directories{dir}
	}
	lock, err := takeLock(filepath.Join(dir, "LOCK"))
	if err != nil {
		return rep, err
	}
	defer lock.release()
	cfg, present, err := findConfig(dir, opener)
	if err != nil {
		return rep, err
	}
	if err := cfg.unlocks(o.Keys); err != nil {
		return rep, fmt.Errorf("%s: %w", dir, err)
	}
	failed, err := readFaults(dir)
	if err != nil {
		return rep, err
	}
	r := newRecovery(cfg)
	r.keys = o.Keys
	r.around = o.around
	r.force = o.Force
	defer r.close()
	if err := r.begin(ctx, o.From); err != nil {
		return rep, err
	}
	if err := r.open(opener, present, failed, &rep); err != nil {
		return rep, err
	}
	if err := r.look(ctx, &rep, p); err != nil {
		return rep, err
	}
	err = r.replace(ctx, dir, &rep)
	r.sum(&rep)
	return rep, err
}

// look reads the headers off the disks.
func (r *recovery) look(ctx context.Context, rep *RecoverReport, p Progress) error {
	if err := r.scan(ctx, rep, p); err != nil {
		return err
	}
	return r.choose(ctx)
}

func (r *recovery) sum(rep *RecoverReport) {
	for _, d := range r.disks {
		rep.BytesRead += d.Counters().BytesRead
		rep.BytesUsed += d.Space().Used
	}
}

func newRecovery(cfg config) *recovery {
	return &recovery{cfg: cfg, stripes: map[uint64]*found{}, last: map[placement.DiskID]uint64{}, journals: map[uint64][]place{},
		cut: map[place]bool{}, before: map[uint64]uint64{}, kept: map[uint64]bool{}, disks: map[placement.DiskID]disks.Disk{}}
}

// begin opens the copy of a catalog to begin from, if there is one.
func (r *recovery) begin(ctx context.Context, path string) error {
	if path == "" {
		return nil
	}
	cat, err := openCatalog(path, frozen)
	if err != nil {
		return err
	}
	r.from = cat
	blob, err := cat.meta("config")
	var cfg config
	if err == nil {
		err = json.Unmarshal(blob, &cfg)
	}
	if err == nil && cfg.ID != r.cfg.ID {
		err = fmt.Errorf("it is of cluster %s, and the disks are of %s: %w", cfg.ID, r.cfg.ID, disks.ErrForeign)
	}
	if err == nil {
		r.floor, err = cat.number("sequence")
	}
	if err != nil {
		return fmt.Errorf("catalog %s: %w", path, err)
	}
	return r.beginShipped(path)
}

// beginShipped takes in the journals that were shipped after the copy of a catalog. All of
// them are of batches that were committed.
func (r *recovery) beginShipped(copy string) error {
	if r.asOf {
		return nil
	}
	l, err := openShipped(logOf(copy), r.cfg.ID)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, errMalformed) || err == nil && l.base != r.floor {
		return l.close() // a copy without a log
	}
	if err != nil {
		return err
	}
	r.shipped = l
	before := l.base
	for _, seq := range slices.Sorted(maps.Keys(l.at)) {
		r.journals[seq], r.before[seq] = nil, before
		before = seq
	}
	r.marked = max(r.marked, l.last.seq)
	r.newest.committed = max(r.newest.committed, l.last.seq)
	r.newest.sequence = max(r.newest.sequence, l.last.seq)
	r.newest.incarnation = max(r.newest.incarnation, l.last.incarnation)
	return nil
}

// findConfig takes the newest description of the cluster that any disk holds.
func findConfig(dir string, opener DiskOpener) (config, map[placement.DiskID]bool, error) {
	var cfg config
	list, err := opener.List()
	if err != nil {
		return cfg, nil, err
	}
	present := map[placement.DiskID]bool{}
	newest := -1
	for i, id := range list {
		if newest >= 0 && id.Cluster != list[newest].Cluster {
			return cfg, nil, fmt.Errorf("%s: disks of two clusters, %s and %s: %w; take the foreign ones out", dir, list[newest].Cluster, id.Cluster, disks.ErrForeign)
		}
		if newest < 0 || id.Epoch > list[newest].Epoch {
			newest = i
		}
		present[placement.DiskID(id.Number)] = true
	}
	if newest < 0 {
		return cfg, nil, fmt.Errorf("%s: %w: no disk of a cluster was found under sites/", dir, ErrNoCluster)
	}
	if err := json.Unmarshal(list[newest].Map, &cfg); err != nil {
		return cfg, nil, fmt.Errorf("disk %s: description of the cluster: %w", list[newest].Name, err)
	}
	if cfg.Format > configFormat {
		return cfg, nil, fmt.Errorf("%s: format %d: %w", dir, cfg.Format, ErrNewer)
	}
	if cfg.Map == nil {
		return cfg, nil, fmt.Errorf("disk %s: description of the cluster: no map", list[newest].Name)
	}
	if err := errors.Join(cfg.Map.Validate(), cfg.Scheme.Validate()); err != nil { // names become paths
		return cfg, nil, fmt.Errorf("disk %s: description of the cluster: %w", list[newest].Name, err)
	}
	return cfg, present, nil
}

// A recovery is what has been read off the disks.
type recovery struct {
	cfg      config
	keys     seal.Ring
	around   around
	disks    map[placement.DiskID]disks.Disk
	stripes  map[uint64]*found
	last     map[placement.DiskID]uint64 // the newest batch of each disk
	scanned  scanned                     // the shard that was seen last
	cut      map[place]bool              // shards that another incarnation went on behind: the write of one may have failed half way
	aborted  map[uint64]bool             // batches that were given up
	journals map[uint64][]place          // by sequence
	before   map[uint64]uint64           // by sequence: the newest committed when it was tried
	kept     map[uint64]bool             // sequences of batches that count and are above the checkpoint
	spoilt   []damage                    // shards that were chosen for their data: their journals do not verify
	from     *catalog                    // a copy of a catalog to begin from, or nil
	floor    uint64                      // the batch whose state from holds
	shipped  *shipped                    // the journals after it that a standby has, or nil
	fromLog  int64                       // batches above floor that no disk had
	asOf     bool                        // that state is wanted, without what came after
	reading  bool                        // the disks are not written to
	force    bool                        // do with what there is
	marked   uint64                      // the newest batch that a disk was marked with
	newest   struct {
		incarnation         uint32
		sequence, committed uint64
	}
}

// A found is a stripe as its shards describe it. Recovery gives the catalog a copy.
type found struct {
	*stripe
	claims []claim
}

// A claim is a shard of a stripe that was found on a disk.
type claim struct {
	at      place
	seq     uint64
	journal uint32 // bytes
	index   uint8
	copied  bool
}

// A scanned is a shard that a scan met.
type scanned struct {
	at          place
	incarnation uint32
}

func (r *recovery) close() {
	for _, d := range r.disks {
		d.Close()
	}
	if r.from != nil {
		r.from.close()
	}
	r.shipped.close()
}

func (r *recovery) open(opener DiskOpener, present map[placement.DiskID]bool, failed map[string]bool, rep *RecoverReport) (err error) {
	identity := r.cfg.identities()
	eachDisk(r.cfg.Map, func(d placementDisk, _ *placement.Disk) {
		if err != nil {
			return
		}
		if !present[d.ID] || failed[d.path()] {
			rep.Missing = append(rep.Missing, d.path())
			return
		}
		disk, e := opener.Open(identity(d), r.reading)
		if errors.Is(e, disks.ErrLocked) {
			err = fmt.Errorf("disk %s: %w", d.path(), e)
		}
		if e != nil {
			rep.Missing = append(rep.Missing, d.path())
			return
		}
		r.disks[d.ID] = disk
		rep.Disks++
	})
	return err
}

// scan reads the headers of all shards.
func (r *recovery) scan(ctx context.Context, rep *RecoverReport, p Progress) error {
	for n, id := range slices.Sorted(maps.Keys(r.disks)) {
		if r.reading {
			// nothing of it is kept
		} else if err := r.disks[id].Harden(ctx); err != nil { // what comes back must not go with the next power cut
			rep.Uncertain = append(rep.Uncertain, fmt.Sprintf("disk %d cannot be synced and is left out: %v", id, err))
			continue
		}
		mark := disks.MarkOf(r.disks[id])
		r.marked = max(r.marked, mark.Committed)
		r.newest.incarnation = max(r.newest.incarnation, mark.Incarnation)
		r.newest.committed = max(r.newest.committed, mark.Committed)
		err := r.disks[id].Scan(ctx, func(e disks.Entry) error {
			rep.Shards++
			return r.shard(place{id, e.Address}, e)
		})
		if err != nil && ctx.Err() != nil {
			return err
		}
		if err != nil {
			rep.Uncertain = append(rep.Uncertain, fmt.Sprintf("disk %d could not be read to its end: %v", id, err))
		}
		if p != nil {
			p(int64(n+1), int64(len(r.disks)))
		}
	}
	return nil
}

func (r *recovery) shard(at place, e disks.Entry) error {
	if was := r.scanned; was.at.Disk == at.Disk && was.at.Segment == at.Segment && was.incarnation != e.Incarnation {
		r.cut[was.at] = true
	}
	r.scanned = scanned{at, e.Incarnation}
	r.newest.incarnation = max(r.newest.incarnation, e.Incarnation)
	r.newest.sequence = max(r.newest.sequence, e.Sequence)
	r.newest.committed = max(r.newest.committed, e.Committed)
	if e.JournalSize > 0 {
		r.journals[e.Sequence] = append(r.journals[e.Sequence], at)
		if old, ok := r.before[e.Sequence]; !ok || e.Committed < old {
			r.before[e.Sequence] = e.Committed
		}
	}
	if disks.Doubtful(r.disks[at.Disk], e.Address) {
		return nil // a sync failed that it waited for: it reads well, until the power goes off
	}
	scheme, err := erasure.SchemeFromCode(e.Scheme)
	if err != nil || len(e.Columns) != scheme.K || int(e.Index) >= scheme.N() {
		return nil // a header that verifies and makes no sense to this version: not ours to use
	}
	f := r.stripes[e.Stripe]
	if f == nil {
		f = &found{stripe: newStripe(e.Stripe, scheme, e.Columns)}
		f.Key = seal.ID(e.KeyID)
		r.stripes[e.Stripe] = f
	}
	if f.longest() == 0 { // a journal kept after the data was freed may have been rewritten without columns
		f.Columns = e.Columns
	}
	f.claims = append(f.claims, claim{at, e.Sequence, e.JournalSize, e.Index, e.Copied})
	if !e.Copied {
		r.last[at.Disk] = max(r.last[at.Disk], e.Sequence)
	}
	return nil
}

// choose gives each stripe its shards. One that was found more than once, because a disk was
// late, a batch was tried again or a move was cut short, is taken from where it reads well,
// and not from a batch that was given up while there is another. Shards that may have been on
// their way when the power went off are read before they are believed: copies, which no
// journal vouches for, the last batch of each disk, unless a disk was marked after it, and the last
// shard of each incarnation in a segment.
func (r *recovery) choose(ctx context.Context) error {
	r.aborted = r.abandoned()
	for _, id := range slices.Sorted(maps.Keys(r.stripes)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		f := r.stripes[id]
		slices.SortStableFunc(f.claims, func(a, b claim) int {
			return cmp.Or(btoi(r.aborted[a.seq])-btoi(r.aborted[b.seq]), cmp.Compare(b.seq, a.seq),
				btoi(a.copied)-btoi(b.copied), cmp.Compare(b.journal, a.journal))
		})
		f.Seq, f.Journal = f.claims[0].seq, 0
		for _, c := range f.claims {
			if c.seq == f.Seq {
				f.Journal = max(f.Journal, c.journal)
			}
		}
		for i := range f.Places {
			r.chooseShard(ctx, f, i, false)
		}
		if !r.decodable(id) { // two of its shards on one disk are better than none
			for i := range f.Places {
				if f.Places[i].Disk == none {
					r.chooseShard(ctx, f, i, true)
				}
			}
		}
		f.claims = slices.DeleteFunc(f.claims, func(c claim) bool { return c.journal == 0 || f.Places[c.index].Disk != none })
	}
	return nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// chooseShard chooses shard i, from a disk that holds another of the stripe only when it is
// crowded: repairs that were cut short leave copies that no rule binds any more.
func (r *recovery) chooseShard(ctx context.Context, f *found, i int, crowded bool) {
	var list []claim
	taken := f.row()
	for _, c := range f.claims {
		if int(c.index) == i && (crowded || !slices.Contains(taken, c.at.Disk)) {
			list = append(list, c)
		}
	}
	if len(list) == 1 && !list[0].copied && !r.cut[list[0].at] && (list[0].seq != r.last[list[0].at.Disk] || list[0].seq <= r.marked) {
		f.Places[i] = list[0].at
		return
	}
	for n, good := range []func(context.Context, *stripe, int) bool{r.intact, r.emptied, r.sound} {
		for _, c := range list {
			if f.Places[i] = c.at; good(ctx, f.stripe, i) {
				if n == 2 {
					r.spoilt = append(r.spoilt, damage{f.ID, i})
				}
				return
			}
		}
	}
	f.Places[i] = place{Disk: none}
}

// intact tells whether all of a shard can be read and verifies.
func (r *recovery) intact(ctx context.Context, s *stripe, i int) bool {
	at := s.Places[i]
	sh, err := r.disks[at.Disk].ReadShard(ctx, at.Address)
	return err == nil && sh.Stripe == s.ID && int(sh.Index) == i
}

// sound tells whether a shard's data can be read and verifies: the journal beside it may have
// rotted when a checkpoint had made it useless.
func (r *recovery) sound(ctx context.Context, s *stripe, i int) bool {
	p := make([]byte, s.size(i))
	if len(p) == 0 {
		return r.intact(ctx, s, i)
	}
	return r.disks[s.Places[i].Disk].Read(ctx, s.ref(i), 0, p) == nil
}

// emptied tells whether a shard's data was freed and its journal is there.
func (r *recovery) emptied(ctx context.Context, s *stripe, i int) bool {
	at := s.Places[i]
	if _, j, err := r.disks[at.Disk].ReadJournal(ctx, at.Address); err != nil || len(j) == 0 {
		return false
	}
	p := make([]byte, s.size(i))
	err := r.disks[at.Disk].ReadRaw(ctx, s.ref(i), 0, p)
	return err == nil && !slices.ContainsFunc(p, func(b byte) bool { return b != 0 })
}

// keepJournals places the shards of a stripe that nobody refers to where their journals can be
// read, whatever became of their data.
func (r *recovery) keepJournals(ctx context.Context, f *found) {
	for _, c := range f.claims {
		if c.seq != f.Seq || f.Places[c.index].Disk != none || slices.Contains(f.row(), c.at.Disk) {
			continue
		}
		h, j, err := r.disks[c.at.Disk].ReadJournal(ctx, c.at.Address)
		if err == nil && h.Stripe == f.ID && h.Index == c.index && len(j) == int(f.Journal) {
			f.Places[c.index] = c.at
		}
	}
}

// replace replays the journals into a new catalog and puts it in the old one's place.
func (r *recovery) replace(ctx context.Context, dir string, rep *RecoverReport) error {
	tmp := filepath.Join(dir, "catalog.db.new")
	if err := r.build(ctx, tmp, filepath.Join(dir, "catalog.db"), rep); err != nil {
		return err
	}
	path := filepath.Join(dir, "catalog.db")
	// The database goes before its log: without that it would be an older one, and the log of
	// the old must not be there when the new one comes.
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(path+suffix, path+".old"+suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if err := syncDir(dir); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return syncDir(dir)
}

// build makes a catalog at path; it takes the ledger over from old, if that can be read.
func (r *recovery) build(ctx context.Context, path, old string, rep *RecoverReport) error {
	// A disk that is missing may have seen a writer or a batch that the others have not.
	const beyond = 16
	rep.Incarnation = r.newest.incarnation + beyond
	removeCatalog(path)
	cat, err := newCatalog(path, r.cfg, numbers{incarnation: rep.Incarnation, reserved: max(r.newest.sequence, r.newest.committed) + sequenceBlock})
	if err != nil {
		return err
	}
	cat.around = r.around
	if err = r.replay(ctx, cat, rep); err == nil {
		rep.Buckets, rep.Objects, _, err = cat.totals(ctx)
	}
	if err == nil {
		err = r.assess(ctx, cat, rep)
	}
	if err == nil {
		err = r.keepTable(ctx, cat)
	}
	if err == nil {
		err = carryLedger(ctx, old, cat)
	}
	if err == nil {
		_, err = cat.writes.conn.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`)
	}
	if err = errors.Join(err, cat.close()); err != nil {
		removeCatalog(path)
	}
	return err
}

func removeCatalog(path string) {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		os.Remove(path + suffix)
	}
}

// A batch is the journal of one sequence.
type batch struct {
	seq     uint64
	records []record
}

func (r *recovery) replay(ctx context.Context, cat *catalog, rep *RecoverReport) error {
	base, batches, err := r.history(ctx, rep)
	rep.Shipped = r.fromLog
	if err != nil {
		return err
	}
	if len(rep.Gaps) > 0 && !r.force {
		return fmt.Errorf("%d batches are missing, the newest of them %d, with %d disks away: %w", len(rep.Gaps), rep.Gaps[len(rep.Gaps)-1], len(rep.Missing), ErrIncomplete)
	}
	if err := r.apply(ctx, cat, base, batches, rep); err != nil {
		return err
	}
	return cat.update(ctx, func(t *tx) error {
		for _, d := range r.spoilt {
			if f := r.stripes[d.stripe]; !f.carries(d.shard) || !r.kept[f.Seq] {
				continue
			}
			if err := t.addDamage(d.stripe, d.shard); err != nil {
				return err
			}
		}
		return nil
	})
}

// apply makes the changes of batches to the state of base.
func (r *recovery) apply(ctx context.Context, cat *catalog, base checkpointed, batches []batch, rep *RecoverReport) error {
	k := r.cfg.Scheme.K
	return cat.update(ctx, func(t *tx) error {
		t.find = func(id uint64) *stripe {
			if f := r.stripes[id]; f != nil {
				return f.stripe
			}
			return nil
		}
		if err := r.load(ctx, t, base); err != nil {
			return err
		}
		rep.Checkpoint, rep.Sequence = max(base.Batch, r.floor), max(base.Batch, r.floor)
		for _, b := range batches {
			rep.Batches++
			t.seq, rep.Sequence = b.seq, b.seq
			for i, rec := range b.records {
				rep.Records++
				r.invent(rec, k)
				if _, fatal, err := t.apply(rec, i); fatal {
					return fmt.Errorf("batch %d, record %d: %w", b.seq, i, err)
				}
			}
		}
		for id, f := range r.stripes {
			if f.Journal == 0 || !r.kept[f.Seq] {
				continue
			}
			if f.Refs+t.delta[id].refs == 0 {
				r.keepJournals(ctx, f)
			}
			if t.fresh[id] == nil {
				t.addStripe(f.stripe)
			}
		}
		if r.force { // batches that are left out are so for good
			rep.Sequence = max(rep.Sequence, r.newest.committed)
		}
		return errors.Join(t.setNumber("sequence", rep.Sequence), t.setUnchecked(rep.Missing))
	})
}

// abandoned tells which batches were given up: those between a batch and the newest that was
// committed before it.
func (r *recovery) abandoned() map[uint64]bool {
	aborted := map[uint64]bool{}
	later := ^uint64(0) // the oldest "newest committed" that any later batch names
	for _, seq := range slices.Backward(slices.Sorted(maps.Keys(r.journals))) {
		aborted[seq] = later < seq
		later = min(later, r.before[seq])
	}
	return aborted
}

// load puts what a checkpoint holds into an empty catalog.
func (r *recovery) load(ctx context.Context, t *tx, base checkpointed) error {
	t.seq = base.Batch
	row := func(table string, columns []string, values []any) error {
		return t.load(table, columns, values, func(layout []extent) { r.invent(record{Layout: layout}, r.cfg.Scheme.K) })
	}
	var err error
	switch {
	case base.Layout != nil && base.Batch >= r.floor:
		err = r.readCheckpoint(ctx, base, row)
	case r.from != nil:
		in, out := io.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			out.CloseWithError(r.from.dump(ctx, out, func(uint64) {}))
		}()
		_, err = readCheckpoint(in, row)
		in.CloseWithError(errClosed)
		<-done
		if err == nil && base.Layout != nil { // below the copy: should the catalog be lost again, it is needed
			r.invent(record{Layout: base.Layout}, r.cfg.Scheme.K)
			err = t.checkpoint(record{Size: base.Size, FromSequence: int64(base.Batch), Layout: base.Layout})
		}
	}
	if err != nil {
		return fmt.Errorf("state to begin from: %w", err)
	}
	return nil
}

// readCheckpoint reads a checkpoint off the disks.
func (r *recovery) readCheckpoint(ctx context.Context, p checkpointed, yield func(string, []string, []any) error) error {
	in, out := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		out.CloseWithError(r.view().assemble(ctx, p.Layout, r.stripe, out))
	}()
	seq, err := readCheckpoint(in, yield)
	in.CloseWithError(errClosed)
	<-done
	if err == nil && seq != p.Batch {
		err = fmt.Errorf("it is of batch %d: %w", seq, errMalformed)
	}
	return err
}

// stripe returns a stripe as it was found on the disks.
func (r *recovery) stripe(id uint64) (*stripe, error) {
	if f := r.stripes[id]; f != nil {
		return f.stripe, nil
	}
	return nil, fmt.Errorf("stripe %x: %w: no shard of it was found", id, ErrDataLost)
}

// view is a cluster that reads what recovery found; it has no catalog.
func (r *recovery) view() *Cluster {
	c := blank("", Options{ReadOnly: true})
	c.config, c.disks, c.keys, c.rebuilds = r.cfg, r.disks, r.keys, newRebuilds(r.cfg.Scheme)
	eachDisk(r.cfg.Map, func(d placementDisk, _ *placement.Disk) { c.byID[d.ID] = d })
	return c
}

// history is the newest checkpoint that counts and can be read, and the batches above it, in
// order of sequence, without those that were given up. Without a checkpoint it is all batches.
func (r *recovery) history(ctx context.Context, rep *RecoverReport) (base checkpointed, list []batch, err error) {
	numbers := slices.Sorted(maps.Keys(r.journals))
	var uncertain []string
	newer, want := r.marked+1, r.marked // the batch that was looked at last, and the one it follows
	gap := func(below uint64) {
		if want > max(below, base.Batch, r.floor) && want < newer { // a copy that repair made names later ones
			rep.Gaps = append(rep.Gaps, want)
		}
	}
	defer func() {
		gap(0)
		slices.Reverse(rep.Gaps)
		slices.Reverse(list)
		slices.Reverse(uncertain)
		rep.Uncertain = append(rep.Uncertain, uncertain...)
	}()
	if r.asOf {
		return base, nil, nil
	}
	for _, seq := range slices.Backward(numbers) {
		if seq <= base.Batch {
			break
		}
		if r.aborted[seq] {
			continue
		}
		gap(seq)
		newer, want = seq, r.before[seq]
		b, err := r.read(ctx, seq)
		if err != nil {
			rep.Gaps = append(rep.Gaps, seq)
			uncertain = append(uncertain, fmt.Sprintf("batch %d: no copy of its journal can be read: %v", seq, err))
			continue
		}
		if seq > r.newest.committed {
			if !r.whole(ctx, b, r.cfg.Scheme.K) {
				uncertain = append(uncertain, fmt.Sprintf("batch %d was never acknowledged and is not whole: dropped (%s)", seq, summary(b)))
				continue
			}
			if r.idle(ctx, b) {
				uncertain = append(uncertain, fmt.Sprintf("batch %d was not known to be committed and %s: dropped (%s)", seq, idleBatch, summary(b)))
				continue
			}
			if slices.ContainsFunc(b.records, func(rec record) bool { return rec.Kind != recFence }) {
				uncertain = append(uncertain, fmt.Sprintf("batch %d was not known to be committed and is whole: kept (%s)", seq, summary(b)))
			}
		}
		r.kept[seq] = true
		if seq > r.floor {
			list = append(list, b)
		}
		if base.Layout == nil {
			var lost string
			if base, lost, err = r.checkpointIn(ctx, b); err != nil {
				return base, nil, err
			}
			if lost != "" {
				uncertain = append(uncertain, lost)
			}
		}
	}
	return base, list, nil
}

// checkpointIn returns the checkpoint that a batch published, when it can be read, or says
// that it is lost.
func (r *recovery) checkpointIn(ctx context.Context, b batch) (p checkpointed, lost string, err error) {
	for _, rec := range b.records {
		if rec.Kind != recCheckpoint {
			continue
		}
		p = checkpointed{uint64(rec.FromSequence), rec.Size, rec.Layout}
		err := r.readCheckpoint(ctx, p, func(string, []string, []any) error { return nil })
		if ctx.Err() != nil || errors.Is(err, ErrNewer) {
			return p, "", err
		}
		if err != nil {
			lost = fmt.Sprintf("the checkpoint of batch %d cannot be read: %v; what only it held is missing", p.Batch, err)
			p = checkpointed{}
		}
	}
	return p, lost, nil
}

func (r *recovery) read(ctx context.Context, seq uint64) (batch, error) {
	var failed error
	for _, at := range r.journals[seq] {
		h, j, err := r.disks[at.Disk].ReadJournal(ctx, at.Address)
		if err == nil && h.Sequence == seq {
			records, err := openJournal(j, r.keys, r.cfg.ID, seq)
			if err == nil {
				return batch{seq, records}, nil
			}
			failed = err
			continue
		}
		failed = err
	}
	if j, ok := r.shipped.journal(seq); ok {
		records, err := openJournal(j, r.keys, r.cfg.ID, seq)
		if err == nil {
			r.fromLog += int64(btoi(seq > r.floor))
			return batch{seq, records}, nil
		}
		failed = err
	}
	return batch{}, failed
}

// whole tells whether every stripe that the batch's puts lie in can be decoded from what
// reads well.
func (r *recovery) whole(ctx context.Context, b batch, k int) bool {
	for _, rec := range b.records {
		for _, e := range rec.Layout {
			ok := true
			e.stripes(k, func(id uint64, _ int64) { ok = ok && r.verified(ctx, id) })
			if !ok {
				return false
			}
		}
	}
	return true
}

// verified forgets the shards of a stripe that cannot be read and tells whether the rest
// decodes.
func (r *recovery) verified(ctx context.Context, id uint64) bool {
	if f := r.stripes[id]; f != nil {
		for i := range f.Places {
			if f.Places[i].Disk != none && !r.sound(ctx, f.stripe, i) {
				f.Places[i] = place{Disk: none}
			}
		}
	}
	return r.decodable(id)
}

const idleBatch = "only moves objects from where they stand more losses"

// idle tells whether a batch does nothing but move extents from where they stand more losses. It
// may have been cut short, and then what it moved has fewer shards there than a commit would want.
func (r *recovery) idle(ctx context.Context, b batch) bool {
	was, now := map[uint64]bool{}, map[uint64]bool{}
	for _, rec := range b.records {
		if rec.Kind != recMoved {
			return false
		}
		rec.Old.stripes(r.cfg.Scheme.K, func(id uint64, _ int64) { was[id] = true })
		rec.Layout[0].stripes(r.cfg.Scheme.K, func(id uint64, _ int64) { now[id] = true })
	}
	least := r.least(ctx, was)
	return len(was) > 0 && least >= 0 && least > r.least(ctx, now)
}

// least is the spare of the stripe that has the fewest.
func (r *recovery) least(ctx context.Context, ids map[uint64]bool) int {
	n := math.MaxInt
	for id := range ids {
		n = min(n, r.spare(ctx, id))
	}
	return n
}

// spare is how many sound shards a stripe has above its data shards; below 0 it is not there.
func (r *recovery) spare(ctx context.Context, id uint64) int {
	f := r.stripes[id]
	if f == nil || !r.decodable(id) {
		return -1
	}
	n := -f.Scheme.K
	for i, at := range f.Places {
		if f.size(i) == 0 || at.Disk != none && r.sound(ctx, f.stripe, i) {
			n++
		}
	}
	return n
}

func (r *recovery) decodable(id uint64) bool {
	f := r.stripes[id]
	if f == nil {
		return false
	}
	code, err := erasure.New(f.Scheme)
	return err == nil && code.Decodable(f.have(func(placement.DiskID) bool { return true }))
}

// invent gives stripes of a committed put of which no shard was found a row without
// places, so that the object is there and its loss is told.
func (r *recovery) invent(rec record, k int) {
	for _, e := range rec.Layout {
		e.stripes(k, func(id uint64, n int64) {
			if r.stripes[id] != nil {
				return
			}
			s := newStripe(id, r.cfg.Scheme, e.columns(n, k))
			s.Key = e.Key
			r.stripes[id] = &found{stripe: s}
		})
	}
}

func summary(b batch) string {
	puts, deletes, others := 0, 0, 0
	for _, rec := range b.records {
		switch rec.Kind {
		case recPut:
			puts++
		case recDelete:
			deletes++
		default:
			others++
		}
	}
	return fmt.Sprintf("%d puts, %d deletes, %d other changes", puts, deletes, others)
}

// assess counts what is not whole in the new catalog.
func (r *recovery) assess(ctx context.Context, cat *catalog, rep *RecoverReport) error {
	lost := map[uint64]bool{}
	err := cat.stripes(ctx, func(s *stripe, _ bool) error {
		if s.Refs > 0 && s.missing() > 0 {
			rep.Degraded++
			if !r.decodable(s.ID) {
				lost[s.ID] = true
			}
		}
		return nil
	})
	if err != nil || len(lost) == 0 {
		return err
	}
	rep.Unreadable, err = cat.keysOf(ctx, r.cfg.Scheme.K, lost)
	return err
}
