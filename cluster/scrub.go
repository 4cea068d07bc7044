package cluster

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/energy"
	"github.com/wattle-storage/wattle/erasure"
	"github.com/wattle-storage/wattle/placement"
)

// ScrubOptions say how a scrub works. The zero value reads as fast as it can, checks the
// parity of a hundredth of the stripes, and repairs what it finds.
type ScrubOptions struct {
	Rate     int64         // bytes a second over all disks; 0: no limit
	Joules   energy.Joules // that the drives may use for it in a day (UTC); 0: no limit
	Parity   float64       // part of the stripes whose parity is checked against the data; 0 means 0.01, negative none
	NoRepair bool          // leave what is found as it is, orphans too
	Restart  bool          // begin anew, though an earlier scrub was not finished
	Progress Progress      `json:"-"`
}

// ScrubReport says what a pass of Scrub has found so far. A pass that was interrupted is
// continued by the next, and its counts go on.
type ScrubReport struct {
	Pass     int64     `json:"pass"`
	Started  time.Time `json:"started"`
	Updated  time.Time `json:"updated"`
	Complete bool      `json:"complete"`          // all disks that were there were read to their end
	Stopped  string    `json:"stopped,omitempty"` // why, when not
	Absent   []string  `json:"absent_disks,omitempty"`

	Segments     int64  `json:"segments"`
	Shards       int64  `json:"shards"`        // verified
	BytesRead    int64  `json:"bytes_read"`    // of shards, then of stripes for their parity
	Corrupt      int64  `json:"corrupt"`       // shards whose header, data or journal does not verify
	Missing      int64  `json:"missing"`       // shards that are not where the catalog says
	Orphans      int64  `json:"orphans"`       // shards that nothing refers to
	OrphanBytes  int64  `json:"orphan_bytes"`  // their space
	Leftovers    int64  `json:"leftovers"`     // shards of freed stripes whose data was still there
	Parity       int64  `json:"parity"`        // stripes whose parity was computed anew
	ParityBad    int64  `json:"parity_bad"`    // of these, stripes with a shard that disagrees with the others
	Inconsistent int64  `json:"inconsistent"`  // of these, stripes that do not tell which shard it is
	Joules       int64  `json:"joules"`        // estimate: the drives' draw while they read
	JoulesToday  int64  `json:"joules_today"`  // the part since midnight UTC, which the budget bounds
	Day          string `json:"day,omitempty"` // that JoulesToday is of

	Findings []string      `json:"findings,omitempty"` // the first of them, in words
	Repair   *RepairReport `json:"repair,omitempty"`
}

const (
	scrubFile     = "scrub.json"
	maxFindings   = 100
	defaultSample = 0.01
	scrubDisks    = 8 // read at the same time
	scrubSave     = 5 * time.Second
)

// scrubState is the report of the pass with how far it came. It is saved after what was
// found is in the catalog, so that nothing is lost by an interruption.
type scrubState struct {
	ScrubReport
	Next   map[string]uint32 `json:"next"`        // by disk: the segment to check next
	Stripe uint64            `json:"next_stripe"` // whose parity to check next
}

// LastScrub returns the report of the last or running pass, and whether there was one. It
// opens no disk.
func LastScrub(dir string) (ScrubReport, bool, error) {
	st, err := readScrub(dir)
	return st.ScrubReport, st.Pass > 0, err
}

func readScrub(dir string) (scrubState, error) {
	st := scrubState{Next: map[string]uint32{}}
	p, err := os.ReadFile(filepath.Join(dir, scrubFile))
	if errors.Is(err, fs.ErrNotExist) {
		return st, nil
	}
	if err == nil {
		err = json.Unmarshal(p, &st)
	}
	if err != nil {
		return st, fmt.Errorf("%s: %w; remove the file to begin anew", scrubFile, err)
	}
	if st.Next == nil {
		st.Next = map[string]uint32{}
	}
	return st, nil
}

// A scrubber is one run of Scrub.
type scrubber struct {
	c     *Cluster
	o     ScrubOptions
	pace  *pace
	total int64
	keep  bool // how far it came, in scrubFile

	mu     sync.Mutex
	st     scrubState // guarded by mu
	saved  time.Time  // guarded by mu
	done   int64      // guarded by mu
	joules float64    // guarded by mu; not counted yet, less than one

	orphans, left map[placement.DiskID][]disks.Address // guarded by mu; to free
}

func newScrubber(c *Cluster, o ScrubOptions, st scrubState) *scrubber {
	return &scrubber{c: c, o: o, pace: c.newPace(o.Rate), st: st, saved: time.Now(),
		orphans: map[placement.DiskID][]disks.Address{}, left: map[placement.DiskID][]disks.Address{}}
}

// errBudget ends a run whose joules are used up.
var errBudget = errors.New("the day's joules are used up")

// Scrub reads every shard on every disk in the order in which it lies there and verifies it,
// checks the parity of a part of the stripes against their data, removes what nothing refers
// to, and repairs what it found. It goes on where an earlier, interrupted one stopped.
func (c *Cluster) Scrub(ctx context.Context, o ScrubOptions) (ScrubReport, error) {
	if c.readOnly {
		return ScrubReport{}, ErrReadOnly
	}
	st, err := readScrub(c.dir)
	if err != nil {
		return st.ScrubReport, err
	}
	if o.Restart || st.Complete || st.Pass == 0 {
		st = scrubState{ScrubReport: ScrubReport{Pass: st.Pass + 1, Started: time.Now().UTC(), Day: st.Day, JoulesToday: st.JoulesToday}, Next: map[string]uint32{}}
	}
	st.Stopped, st.Absent, st.Repair = "", nil, nil
	if o.Parity == 0 {
		o.Parity = defaultSample
	}
	ctx = c.bill(energy.ForScrub).on(ctx)
	s := newScrubber(c, o, st)
	s.keep = true
	err = s.disks(ctx)
	if err == nil {
		err = s.parity(ctx)
	}
	switch {
	case errors.Is(err, errBudget):
		s.st.Stopped = fmt.Sprintf("%s J of %s J were used on %s; it goes on with the next scrub from tomorrow", energy.Four(float64(s.st.JoulesToday)), energy.Four(float64(o.Joules)), s.st.Day)
		err = nil
	case err != nil:
		s.st.Stopped = err.Error()
	default:
		s.st.Complete = true
	}
	if e := s.settle(); err == nil {
		err = e
	}
	if err == nil && !o.NoRepair {
		err = s.repair(ctx)
	}
	return s.st.ScrubReport, errors.Join(err, s.save())
}

// repair mends what this pass found, if anything.
func (s *scrubber) repair(ctx context.Context) error {
	if s.st.Corrupt+s.st.Missing+s.st.ParityBad == 0 {
		return nil
	}
	rep, err := s.c.Repair(ctx, s.o.Progress)
	s.st.Repair = &rep
	return err
}

// An expectation is a shard that the catalog places in a segment.
type expectation struct {
	stripe  uint64
	offset  uint32
	index   uint8
	carries bool
	freed   bool // only the journal is left
}

// expected lists what the catalog places on some disks, by segment.
func (s *scrubber) expected(ctx context.Context, of []placement.DiskID) (map[placement.DiskID]map[uint32][]expectation, error) {
	list := map[placement.DiskID]map[uint32][]expectation{}
	for _, id := range of {
		list[id] = map[uint32][]expectation{}
	}
	return list, s.c.catalog.stripes(ctx, func(st *stripe, freed bool) error {
		for i, p := range st.Places {
			if by := list[p.Disk]; by != nil {
				by[p.Segment] = append(by[p.Segment], expectation{st.ID, p.Offset, uint8(i), st.carries(i) && s.c.needed(st), freed})
			}
		}
		return nil
	})
}

// disks reads all disks, some at a time.
func (s *scrubber) disks(ctx context.Context) error {
	there := map[placement.DiskID]disks.Disk{}
	for _, id := range s.c.diskIDs() {
		d := s.c.disk(id)
		if d == nil {
			s.st.Absent = append(s.st.Absent, s.c.name(id))
			continue
		}
		there[id] = d
		s.total += d.Space().Used
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	slots := make(chan struct{}, scrubDisks)
	for group := range slices.Chunk(slices.Sorted(maps.Keys(there)), scrubDisks) {
		look := sync.OnceValues(func() (map[placement.DiskID]map[uint32][]expectation, error) { return s.expected(ctx, group) })
		for _, id := range group {
			d := there[id]
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				expected, err := look()
				if err == nil {
					err = s.disk(ctx, d, id, expected[id])
				}
				if err != nil {
					cancel(fmt.Errorf("disk %s: %w", s.c.name(id), err))
				}
			})
		}
	}
	wg.Wait()
	return context.Cause(ctx)
}

// disk checks the segments of a disk that this pass has not checked yet.
func (s *scrubber) disk(ctx context.Context, d disks.Disk, id placement.DiskID, expected map[uint32][]expectation) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	checker, ok := d.(disks.Checker)
	if !ok {
		return errors.New("it cannot be checked in order")
	}
	segments, err := checker.Segments()
	if err != nil {
		return err
	}
	s.mu.Lock()
	next := s.st.Next[s.c.name(id)]
	s.mu.Unlock()
	for _, seg := range segments {
		want := expected[seg.Number]
		delete(expected, seg.Number)
		if seg.Number < next {
			continue
		}
		if err := s.segment(ctx, id, checker, seg.Number, want); err != nil {
			return err
		}
		if err := s.checked(id, seg.Number+1); err != nil {
			return err
		}
	}
	for _, n := range slices.Sorted(maps.Keys(expected)) {
		if n < next {
			continue
		}
		if err := s.lacks(ctx, id, n, expected[n]); err != nil {
			return err
		}
	}
	return nil
}

// segment checks one segment against what the catalog expects in it.
func (s *scrubber) segment(ctx context.Context, id placement.DiskID, d disks.Checker, n uint32, want []expectation) error {
	at := make(map[uint32]expectation, len(want))
	for _, w := range want {
		at[w.offset] = w
	}
	err := d.Check(ctx, n, func(bytes int) error { return s.spend(ctx, id, bytes) }, func(found disks.Checked) error {
		w, ok := at[found.Offset]
		if ok && w.stripe == found.Stripe && w.index == found.Index {
			delete(at, found.Offset)
			return s.known(ctx, id, w, found)
		}
		return s.unknown(ctx, id, found)
	})
	if err != nil {
		return err
	}
	var rest []expectation
	for _, w := range want {
		if _, ok := at[w.offset]; ok {
			rest = append(rest, w)
		}
	}
	return s.lacks(ctx, id, n, rest)
}

// known takes note of a shard that the catalog has where it was found.
func (s *scrubber) known(ctx context.Context, id placement.DiskID, w expectation, found disks.Checked) error {
	bad := found.Data
	if w.freed {
		bad = nil
	}
	if bad == nil && w.carries {
		bad = found.Journal
	}
	s.mu.Lock()
	s.st.Shards++
	leftover := w.freed && found.Data == nil && found.Size > 0
	if leftover {
		s.st.Leftovers++
		s.left[id] = append(s.left[id], found.Address)
	}
	s.mu.Unlock()
	if bad == nil {
		return nil
	}
	return s.bad(ctx, id, w, found.Address, &s.st.Corrupt, bad.Error())
}

// lacks takes note of shards that are not where the catalog has them.
func (s *scrubber) lacks(ctx context.Context, id placement.DiskID, segment uint32, list []expectation) error {
	for _, w := range list {
		if err := s.bad(ctx, id, w, disks.Address{Segment: segment, Offset: w.offset}, &s.st.Missing, "not there"); err != nil {
			return err
		}
	}
	return nil
}

// bad queues a shard for repair, unless it moved or was freed since the catalog was read.
func (s *scrubber) bad(ctx context.Context, id placement.DiskID, w expectation, at disks.Address, count *int64, what string) error {
	st, freed, err := s.c.catalog.standing(ctx, w.stripe)
	if err != nil {
		return err
	}
	if st == nil || freed != w.freed || !freed && st.Refs == 0 || freed && !w.carries {
		return nil
	}
	if p := st.Places[w.index]; p.Disk != id || p.Segment != at.Segment || p.Offset != at.Offset {
		return nil
	}
	s.c.mu.Lock()
	s.c.damages[damage{w.stripe, int(w.index)}] = true
	s.c.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	*count++
	s.find("disk %s: shard %d of stripe %x: %s", s.c.name(id), w.index, w.stripe, what)
	return nil
}

// find keeps a finding in words; s.mu is held.
func (s *scrubber) find(format string, a ...any) {
	if len(s.st.Findings) < maxFindings {
		s.st.Findings = append(s.st.Findings, fmt.Sprintf(format, a...))
	}
}

// unknown takes note of a shard that the catalog did not have there. It is an orphan when
// it was written by a process that is gone and the catalog does not have it there now.
func (s *scrubber) unknown(ctx context.Context, id placement.DiskID, found disks.Checked) error {
	if found.Incarnation >= s.c.incarnation {
		return nil // may be on its way into the catalog
	}
	st, _, err := s.c.catalog.standing(ctx, found.Stripe)
	if err != nil {
		return err
	}
	if st != nil && int(found.Index) < len(st.Places) && st.Places[found.Index] == (place{id, found.Address}) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.st.Orphans++
	s.st.OrphanBytes += int64(found.Length)
	s.orphans[id] = append(s.orphans[id], found.Address)
	return nil
}

// spend waits until n bytes of a disk may be read, and counts them and their joules.
func (s *scrubber) spend(ctx context.Context, id placement.DiskID, n int) error {
	if err := s.pace.wait(ctx, n); err != nil {
		return err
	}
	j := readJoules(s.c.byID[id].Profile, n)
	s.mu.Lock()
	defer s.mu.Unlock()
	if day := time.Now().UTC().Format(time.DateOnly); s.st.Day != day {
		s.st.Day, s.st.JoulesToday = day, 0
	}
	s.joules += j
	whole := int64(s.joules)
	s.joules -= float64(whole)
	s.st.Joules += whole
	s.st.JoulesToday += whole
	if s.o.Joules > 0 && s.st.JoulesToday >= int64(s.o.Joules) {
		return errBudget
	}
	s.st.BytesRead += int64(n)
	s.done += int64(n)
	if s.o.Progress != nil {
		s.o.Progress(s.done, max(s.total, s.done))
	}
	return nil
}

// readJoules estimates what a drive draws while it reads n bytes that lie together, all of it,
// as the energy ledger counts it. Boundary: the drive.
func readJoules(profile string, n int) float64 {
	m := energy.MeterOf(profile)
	return float64(m.Energy(m.Busy(energy.Work{Reads: 1, ReadSeeks: 1, BytesRead: int64(n)})).Joules())
}

// checked takes note that a disk was read up to a segment, and saves that now and then.
func (s *scrubber) checked(id placement.DiskID, next uint32) error {
	s.mu.Lock()
	s.st.Segments++
	s.st.Next[s.c.name(id)] = next
	due := time.Since(s.saved) > scrubSave
	s.mu.Unlock()
	if !due {
		return nil
	}
	if err := s.settle(); err != nil {
		return err
	}
	return s.save()
}

// settle puts what was found into the catalog and frees what nothing refers to.
func (s *scrubber) settle() error {
	if err := s.c.absorbDamage(); err != nil {
		return err
	}
	s.mu.Lock()
	orphans, left := s.orphans, s.left
	s.orphans, s.left = map[placement.DiskID][]disks.Address{}, map[placement.DiskID][]disks.Address{}
	s.mu.Unlock()
	if s.o.NoRepair {
		return nil
	}
	s.c.freeAt(left, true)
	if s.c.pinned() == s.c.committed.Load() {
		s.c.freeAt(orphans, false)
	}
	return nil
}

// save writes down how far the pass came.
func (s *scrubber) save() error {
	if !s.keep {
		return nil
	}
	s.mu.Lock()
	s.st.Updated, s.saved = time.Now().UTC(), time.Now()
	p, err := json.MarshalIndent(s.st, "", "  ")
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(s.c.dir, scrubFile), append(p, '\n'))
}

// parity compares parity with data in a part of the stripes, another part in every pass.
func (s *scrubber) parity(ctx context.Context) error {
	var ids []uint64
	err := s.c.catalog.stripes(ctx, func(st *stripe, freed bool) error {
		if !freed && st.Refs > 0 && st.ID >= s.st.Stripe && sampled(st.ID, s.st.Pass, s.o.Parity) {
			ids = append(ids, st.ID)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := s.stripe(ctx, id); err != nil {
			return err
		}
		s.mu.Lock()
		s.st.Stripe = id + 1
		due := time.Since(s.saved) > scrubSave
		s.mu.Unlock()
		if due {
			if err := errors.Join(s.settle(), s.save()); err != nil {
				return err
			}
		}
	}
	return nil
}

// sampled tells whether a stripe is among the part that a pass looks at.
func sampled(id uint64, pass int64, part float64) bool {
	if part >= 1 {
		return true
	}
	var p [16]byte
	binary.LittleEndian.PutUint64(p[:], id)
	binary.LittleEndian.PutUint64(p[8:], uint64(pass))
	return float64(xxhash.Sum64(p[:]))/(1<<64) < part
}

// stripe reads all shards of a stripe and compares. One that lacks a shard is left to repair.
func (s *scrubber) stripe(ctx context.Context, id uint64) error {
	st, freed, err := s.c.catalog.standing(ctx, id)
	if err != nil || st == nil || freed || st.Refs == 0 {
		return err
	}
	mem, err := s.c.pool.get(ctx, stripeBytes(st.Scheme, st.Columns))
	if err != nil {
		return err
	}
	defer s.c.pool.put(mem)
	b := newBuffer(id, st.Scheme, st.Columns, mem)
	for i := range b.shards {
		if len(b.shards[i]) == 0 {
			continue
		}
		if st.Places[i].Disk == none || !s.c.readable(st.Places[i].Disk) {
			return nil
		}
		if err := s.spend(ctx, st.Places[i].Disk, len(b.shards[i])); err != nil {
			return err
		}
		if err := s.c.readShard(ctx, st, i, 0, b.shards[i], false); err != nil {
			return ctx.Err() // the disks' own check has found it, or will
		}
	}
	code := s.c.code(st.Scheme)
	ok, err := code.Verify(b.shards)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.st.Parity++
	s.mu.Unlock()
	if ok {
		return nil
	}
	return s.disagree(st, code, b.shards)
}

// disagree finds the one shard without which the others agree.
func (s *scrubber) disagree(st *stripe, code *erasure.Code, shards [][]byte) error {
	var suspects []int
	for i := range shards {
		if len(shards[i]) == 0 {
			continue
		}
		trial, dst := slices.Clone(shards), make([][]byte, len(shards))
		trial[i], dst[i] = nil, make([]byte, len(shards[i]))
		if err := code.Rebuild(trial, dst, int(st.longest())); err != nil {
			continue
		}
		trial[i] = dst[i]
		if ok, err := code.Verify(trial); err == nil && ok {
			suspects = append(suspects, i)
		}
	}
	s.mu.Lock()
	s.st.ParityBad++
	if len(suspects) != 1 {
		s.st.Inconsistent++
		s.find("stripe %x: every shard verifies and they disagree, and %d of them could be the wrong one", st.ID, len(suspects))
		s.mu.Unlock()
		return nil
	}
	i := suspects[0]
	s.find("disk %s: shard %d of stripe %x: verifies, and disagrees with all others", s.c.name(st.Places[i].Disk), i, st.ID)
	s.mu.Unlock()
	// Repair confirms damage by reading, which this shard passes: its place is given up.
	return s.c.catalog.update(context.Background(), func(t *tx) error {
		_, err := t.move(st.ID, i, st.Places[i], place{Disk: none})
		return err
	})
}
