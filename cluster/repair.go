package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/energy"
	"github.com/wattle-storage/wattle/placement"
)

// RepairOptions say how a repair works. The zero value works as fast as it can.
type RepairOptions struct {
	Rate     int64 // bytes a second, read and written, over all disks; 0: no limit
	Parallel int   // wards of stripes at the same time; 0 means 3
	// AllowMisplaced puts shards where the rule does not allow them when no other disk is
	// left, for when a site is gone for good. Status counts such stripes until they are cured.
	AllowMisplaced bool
	Progress       Progress `json:"-"`
}

// RepairReport says what Repair did.
type RepairReport struct {
	Stripes    int64         `json:"stripes"` // made whole
	Shards     int64         `json:"shards"`  // made anew
	BytesRead  int64         `json:"bytes_read"`
	BytesWrite int64         `json:"bytes_written"`
	Joules     int64         `json:"joules"`              // estimate: the drives' draw while they read and wrote
	Checked    []string      `json:"checked,omitempty"`   // disks that were away and were read before their shards were trusted
	Kept       int64         `json:"kept"`                // sound shards on those, which needed nothing
	Misplaced  int64         `json:"misplaced,omitempty"` // shards put outside the rule, by wish
	Cured      int64         `json:"cured,omitempty"`     // shards moved from where the rule does not allow them
	Left       int64         `json:"left"`                // stripes still degraded, for want of disks
	Lost       int64         `json:"lost"`                // stripes beyond repair
	LostKeys   []string      `json:"lost_objects,omitempty"`
	Elapsed    time.Duration `json:"elapsed_ns"`
}

// A patient is a stripe to repair and the shards that it lacks.
type patient struct {
	*stripe
	freed bool
	bare  bool // only its journal can be made anew
	bad   []int
	gone  []int   // of bad: nothing of them is there to be read
	old   []place // of all shards, before some were made anew
}

// A sickness is a patient before its turn: no more than is needed to put it in order.
type sickness struct {
	id       uint64
	bad      []int
	gone     []int // of bad: not where they should be
	survives int   // how many more shards it may lose; the fewest come first
	bytes    int   // of memory that it takes
}

// urgent tells whether the next loss would be one of data.
func (s sickness) urgent() bool { return s.survives <= 0 }

const (
	toldLeft       = 3 // stripes that could not be made whole of which each is told why
	repairParallel = 8
	repairGroup    = 128  // shards whose new places are synced and recorded together, at least,
	repairMost     = 1024 // so many when they come within repairSoon of the last, and about twice that at most
	repairSoon     = 250 * time.Millisecond
	repairRounds   = 3 // at most, while others change what was looked after
)

// Repair is RepairWith with no more than a progress.
func (c *Cluster) Repair(ctx context.Context, p Progress) (RepairReport, error) {
	return c.RepairWith(ctx, RepairOptions{Progress: p})
}

// RepairWith makes lost and damaged shards anew on sound disks within the rule, the most
// endangered stripes first, and puts back copies of journals. It looks at what is on each
// disk, without reading shards that are sound, and frees shards that no stripe refers to. A
// disk that was away is read before its shards are trusted. What is done stays done when it
// is interrupted.
func (c *Cluster) RepairWith(ctx context.Context, o RepairOptions) (RepairReport, error) {
	if c.readOnly {
		return RepairReport{}, ErrReadOnly
	}
	if o.Parallel <= 0 {
		o.Parallel = wards
	}
	start := time.Now()
	ctx = c.bill(energy.ForRepair).on(ctx)
	r := &repair{c: c, o: o, pace: c.newPace(o.Rate), lost: map[uint64]bool{}, record: make(chan struct{}, 1), last: start}
	err := r.run(ctx)
	if more := r.rep.Left - toldLeft; more > 0 {
		c.notify("repair: %d more stripes could not be made whole", more)
	}
	if err == nil && len(r.lost) > 0 {
		err = r.checkpoint(ctx)
	}
	if err == nil && len(r.lost) > 0 {
		r.rep.LostKeys, err = c.catalog.keysOf(ctx, c.config.Scheme.K, r.lost)
	}
	r.rep.Joules = int64(r.joules)
	r.rep.Elapsed = time.Since(start)
	return r.rep, err
}

// checkpoint makes a checkpoint anew when the one there is was lost: the catalog has all that
// it held.
func (r *repair) checkpoint(ctx context.Context) error {
	p, err := r.c.catalog.checkpointed()
	if err != nil {
		return err
	}
	of := map[uint64]bool{}
	for _, e := range p.Layout {
		e.stripes(r.c.config.Scheme.K, func(id uint64, _ int64) { of[id] = r.lost[id] })
	}
	if !slices.Contains(slices.Collect(maps.Values(of)), true) {
		return nil
	}
	if _, _, err := r.c.Checkpoint(ctx); err != nil {
		return err
	}
	for id, lost := range of {
		if lost {
			delete(r.lost, id)
			r.rep.Lost--
		}
	}
	return nil
}

// A repair is one run of RepairWith.
type repair struct {
	c    *Cluster
	o    RepairOptions
	pace *pace

	total  int64         // shards to make anew
	record chan struct{} // whoever sends records moves

	mu     sync.Mutex
	done   int64           // guarded by mu; of total, those that had their turn
	rep    RepairReport    // guarded by mu
	joules float64         // guarded by mu
	moves  []move          // guarded by mu; made and not recorded
	sound  []damage        // guarded by mu; reported as bad, and good
	last   time.Time       // guarded by mu; when some were recorded
	lost   map[uint64]bool // guarded by mu
	outrun bool            // guarded by mu; some stripes were freed or moved before what was made of them was recorded
}

func (r *repair) run(ctx context.Context) error {
	c := r.c
	if err := c.absorbDamage(); err != nil {
		return err
	}
	if err := r.checkReturned(ctx); err != nil {
		return err
	}
	for range repairRounds {
		if err := r.round(ctx); err != nil {
			return err
		}
		if !r.outrun {
			break
		}
	}
	if r.o.AllowMisplaced {
		return nil
	}
	return r.cure(ctx)
}

// round looks after all who are sick now.
func (r *repair) round(ctx context.Context) error {
	r.outrun, r.rep.Left, r.rep.Lost = false, 0, 0
	clear(r.lost)
	list, err := r.c.patients(ctx)
	if err != nil {
		return err
	}
	for _, s := range list {
		r.total += int64(len(s.bad))
	}
	g, part := errgroup.WithContext(ctx)
	g.SetLimit(r.o.Parallel)
	for len(list) > 0 && part.Err() == nil {
		var next []sickness
		next, list = r.nextWard(list)
		g.Go(func() error {
			err := r.ward(part, next)
			r.did(next)
			if err == nil {
				err = r.recordSome(context.WithoutCancel(ctx))
			}
			return err
		})
	}
	err = g.Wait()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if e := r.recordAll(context.WithoutCancel(ctx)); err == nil { // what can be kept is kept
		err = e
	}
	return err
}

// did takes note of shards that had their turn. Progress counts each as a full one.
func (r *repair) did(list []sickness) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range list {
		r.done += int64(len(s.bad))
	}
	if r.o.Progress != nil {
		r.o.Progress(r.done*int64(r.c.shard), r.total*int64(r.c.shard))
	}
}

// cure moves shards that lie where the rule does not allow them to where it does, as far as
// there are such disks by now.
func (r *repair) cure(ctx context.Context) error {
	var ids []uint64
	err := r.c.catalog.stripes(ctx, func(s *stripe, freed bool) error {
		if !freed && s.Refs > 0 && r.c.misplaced(s) {
			ids = append(ids, s.ID)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(ids, repairGroup) {
		for _, id := range chunk {
			if err := r.cureStripe(ctx, id); err != nil {
				return errors.Join(err, r.recordAll(context.WithoutCancel(ctx)))
			}
		}
		if err := r.recordAll(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r *repair) cureStripe(ctx context.Context, id uint64) error {
	s, freed, err := r.c.catalog.standing(ctx, id)
	if err != nil || s == nil || freed || s.Refs == 0 {
		return err
	}
	for i, p := range s.Places {
		row := s.row()
		row[i] = none
		if p.Disk == none || !r.c.readable(p.Disk) || r.c.config.Map.Allowed(r.c.config.Rule, row, p.Disk) {
			continue
		}
		targets, within := r.c.targets(s, i, false)
		if within == 0 {
			continue
		}
		if err := r.count(ctx, p.Disk, int(p.Length), &r.rep.BytesRead); err != nil {
			return err
		}
		m, err := r.c.copyShard(ctx, s, false, i, targets[0], disks.AppendOptions{UseReserve: true})
		if err != nil {
			r.c.notify("stripe %x: %v", s.ID, err)
			continue
		}
		s.Places[i] = m.new
		r.moves = append(r.moves, m)
		r.rep.Cured++
		if err := r.count(ctx, m.new.Disk, int(m.new.Length), &r.rep.BytesWrite); err != nil {
			return err
		}
	}
	return nil
}

// recordSome makes moves durable and known when they are many, or some and the last were
// recorded a while ago: a sync costs the same for few and many. Others go on meanwhile.
func (r *repair) recordSome(ctx context.Context) error {
	r.mu.Lock()
	n, due := len(r.moves), time.Since(r.last) >= repairSoon
	r.mu.Unlock()
	if n < repairGroup || n < repairMost && !due {
		return nil
	}
	if n < 2*repairMost {
		select {
		case r.record <- struct{}{}:
		default:
			return nil // somebody is at it
		}
	} else {
		r.record <- struct{}{}
	}
	defer func() { <-r.record }()
	return r.recordAll(ctx)
}

// recordAll makes all moves so far durable and known.
func (r *repair) recordAll(ctx context.Context) error {
	r.mu.Lock()
	moves, sound := r.moves, r.sound
	r.moves, r.sound = nil, nil
	r.mu.Unlock()
	won, err := r.c.relocate(ctx, moves, func(t *tx) error {
		for _, d := range sound {
			if err := t.clearDamage(d.stripe, d.shard); err != nil {
				return err
			}
		}
		return nil
	})
	r.mu.Lock()
	r.last = time.Now()
	r.outrun = r.outrun || err == nil && won < len(moves)
	r.mu.Unlock()
	return err
}

// patients finds the stripes that lack shards: never placed, on a disk that is away, known
// to be damaged, or not on the disk that should hold them.
func (c *Cluster) patients(ctx context.Context) ([]sickness, error) {
	missing, err := c.inventory(ctx)
	if err != nil {
		return nil, err
	}
	bad, err := c.catalog.damage(ctx)
	if err != nil {
		return nil, err
	}
	var list []sickness
	err = c.catalog.stripes(ctx, func(s *stripe, freed bool) error {
		if s.Refs == 0 && !c.needed(s) {
			return nil // about to be freed, or its journal is not needed any more
		}
		p := sickness{id: s.ID}
		for i, at := range s.Places {
			if !s.needs(i, freed) {
				continue
			}
			if at.Disk == none || !c.readable(at.Disk) || missing[damage{s.ID, i}] || slices.Contains(bad[s.ID], i) {
				p.bad = append(p.bad, i)
			}
			if missing[damage{s.ID, i}] {
				p.gone = append(p.gone, i)
			}
		}
		if len(p.bad) > 0 {
			p.survives = c.survives(s, c.readable)
			p.bytes = (&patient{stripe: s, freed: freed}).bytes()
			list = append(list, p)
		}
		return nil
	})
	slices.SortStableFunc(list, func(a, b sickness) int { return a.survives - b.survives })
	return list, err
}

// disksTogether is how many disks one look through the catalog is for. All of them at once would
// take memory for all shards.
const disksTogether = 16

// inventory compares what lies on the disks that can be read with the catalog, some disks at
// a time. It returns the shards that are not where they should be, and frees what nobody
// refers to: shards of stripes that the catalog does not know, written by processes that are
// gone, and old places of shards that moved.
func (c *Cluster) inventory(ctx context.Context) (map[damage]bool, error) {
	missing := map[damage]bool{}
	orphans := map[placement.DiskID][]disks.Address{}
	var there []placement.DiskID
	for _, id := range c.diskIDs() {
		if c.readable(id) {
			there = append(there, id)
		}
	}
	for group := range slices.Chunk(there, disksTogether) {
		expected := make([]map[disks.Address]damage, len(group))
		for j := range group {
			expected[j] = map[disks.Address]damage{}
		}
		if err := c.catalog.stripes(ctx, func(s *stripe, _ bool) error {
			for i, p := range s.Places {
				if j := slices.Index(group, p.Disk); j >= 0 {
					expected[j][p.Address] = damage{s.ID, i}
				}
			}
			return nil
		}); err != nil {
			return nil, err
		}
		unknown := make([][]disks.Address, len(group))
		g, part := errgroup.WithContext(ctx)
		for j, id := range group {
			g.Go(func() (err error) {
				unknown[j], err = c.compare(part, id, expected[j])
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return nil, err
		}
		for j, id := range group {
			if len(unknown[j]) > 0 {
				orphans[id] = unknown[j]
			}
			for _, d := range expected[j] {
				missing[d] = true
			}
		}
	}
	if c.pinned() == c.committed.Load() {
		c.freeAt(orphans, false)
	}
	return missing, nil
}

// compare takes from expected what lies on a disk, and returns what nobody refers to.
func (c *Cluster) compare(ctx context.Context, id placement.DiskID, expected map[disks.Address]damage) (orphans []disks.Address, err error) {
	d := c.disk(id)
	if d == nil { // it was failed a moment ago
		return nil, nil
	}
	err = d.Scan(ctx, func(e disks.Entry) error {
		switch want, ok := expected[e.Address]; {
		case ok && want == (damage{e.Stripe, int(e.Index)}):
			delete(expected, e.Address)
		case e.Incarnation < c.incarnation:
			s, _, err := c.catalog.standing(ctx, e.Stripe)
			if err != nil {
				return err
			}
			if s == nil || int(e.Index) >= len(s.Places) || s.Places[e.Index] != (place{id, e.Address}) {
				orphans = append(orphans, e.Address)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("disk %s: %w", c.name(id), err)
	}
	return orphans, nil
}

// freedMeanwhile tells whether a stripe was given up by its last object since it was looked at:
// then its shards go one by one, and it is not lost.
func (r *repair) freedMeanwhile(ctx context.Context, s *stripe, freed bool) bool {
	now, gone, err := r.c.catalog.standing(ctx, s.ID)
	return err == nil && (now == nil || gone != freed || now.Refs == 0 && s.Refs > 0)
}

// confirm reads shards that are on a disk that is there; those that verify are sound, and are
// taken off the patient's list. It tells whether some of the rest could not be asked, so that
// they may come back.
func (r *repair) confirm(ctx context.Context, p *patient) (away bool) {
	var bad []int
	for _, i := range p.bad {
		at := p.Places[i]
		if at.Disk == none || !r.c.readable(at.Disk) {
			away = away || at.Disk != none
			bad = append(bad, i)
			continue
		}
		if slices.Contains(p.gone, i) { // at its address a disk begun anew may hold another by now
			bad = append(bad, i)
			continue
		}
		var err error
		if !p.freed {
			err = r.read(ctx, p.stripe, i, make([]byte, p.size(i)))
		}
		if err == nil && p.carries(i) && r.c.needed(p.stripe) {
			_, _, err = r.c.journalOf(ctx, p.stripe, i)
		}
		if err != nil {
			away = away || unreachable(err)
			bad = append(bad, i)
			continue
		}
		r.mu.Lock()
		r.sound = append(r.sound, damage{p.ID, i})
		r.mu.Unlock()
	}
	p.bad = bad
	return away
}

// unreachable tells whether an error of a read says nothing about the shard.
func unreachable(err error) bool {
	return errors.Is(err, disks.ErrLost) || !errors.Is(err, disks.ErrCorrupt) && !errors.Is(err, disks.ErrGone)
}

// read reads and counts a whole shard.
func (r *repair) read(ctx context.Context, s *stripe, i int, dst []byte) error {
	if len(dst) == 0 {
		return nil
	}
	if err := r.count(ctx, s.Places[i].Disk, len(dst), &r.rep.BytesRead); err != nil {
		return err
	}
	return r.c.readShard(ctx, s, i, 0, dst, false)
}

// count waits for the pace and accounts n bytes of a disk.
func (r *repair) count(ctx context.Context, id placement.DiskID, n int, into *int64) error {
	if err := r.pace.wait(ctx, n); err != nil {
		return err
	}
	j := readJoules(r.c.byID[id].Profile, n)
	r.mu.Lock()
	defer r.mu.Unlock()
	*into += int64(n)
	r.joules += j
	return nil
}

// cannot is why a stripe cannot be made whole.
func (r *repair) cannot(b *bed, err error) error {
	if b.away {
		return fmt.Errorf("too many of its disks are out of reach (%s)", r.c.why()) // they may come back
	}
	return fmt.Errorf("%w: %w", ErrDataLost, err)
}

// cost is what reading a shard costs a repair: nothing when it was read or is a known zero.
func (r *repair) cost(s *stripe, i int, read [][]byte) float64 {
	if read[i] != nil || s.size(i) == 0 {
		return 0
	}
	if d := s.Places[i].Disk; d != none && r.c.late(d) {
		return float64(len(s.Places)) // any other way first
	}
	return float64(s.size(i)) / float64(s.longest())
}

// placeOne appends a shard to the first disk that takes it.
func (r *repair) placeOne(ctx context.Context, w shardIn) error {
	i := w.bed.bad[w.n]
	targets, within := r.c.targets(w.bed.stripe, i, r.o.AllowMisplaced)
	for n, id := range targets {
		d := r.c.disk(id)
		if d == nil { // it was failed a moment ago
			continue
		}
		at, err := d.Append(ctx, w.bed.shards[w.n:w.n+1], disks.AppendOptions{UseReserve: true, Direct: true})
		if err != nil {
			r.c.suspect(id, err)
			continue
		}
		if n >= within {
			r.mu.Lock()
			r.rep.Misplaced++
			r.mu.Unlock()
		}
		return r.moved(ctx, w, place{id, at[0]})
	}
	rule := " within the rule"
	if r.o.AllowMisplaced {
		rule = ""
	}
	return fmt.Errorf("no disk%s can take shard %d (%s)", rule, i, r.c.why())
}

// journal returns the journal of a stripe, and the newest batch that was committed before:
// recovery tells by that which were given up. Copies in bad shards come last: the data beside
// one may be gone and it be whole.
func (c *Cluster) journal(ctx context.Context, s *stripe, bad []int) ([]byte, uint64, error) {
	for _, spoilt := range []bool{false, true} {
		for i, p := range s.Places {
			if slices.Contains(bad, i) != spoilt || !s.carries(i) || p.Disk == none {
				continue
			}
			if h, j, err := c.journalOf(ctx, s, i); err == nil {
				return j, h.Committed, nil
			}
		}
	}
	return nil, 0, fmt.Errorf("stripe %x: no copy of its journal can be read", s.ID)
}

// journalOf reads the copy of the journal in shard i. What lies at its address may be another
// shard: a disk that was lost begins anew, and gives addresses again.
func (c *Cluster) journalOf(ctx context.Context, s *stripe, i int) (disks.Header, []byte, error) {
	p := s.Places[i]
	d := c.disk(p.Disk)
	if d == nil {
		return disks.Header{}, nil, disks.ErrLost
	}
	h, j, err := d.ReadJournal(ctx, p.Address)
	if err == nil && (h.Stripe != s.ID || int(h.Index) != i) {
		err = disks.ErrGone
	}
	if err != nil {
		return h, nil, fmt.Errorf("disk %s: %w", c.name(p.Disk), err)
	}
	return h, j, nil
}

// targets returns the disks that may take shard i: the table's first, then others. The first
// within of them are allowed by the rule; with anywhere, the others follow, one shard a disk
// in any case.
func (c *Cluster) targets(s *stripe, i int, anywhere bool) (list []placement.DiskID, within int) {
	row := s.row()
	row[i] = none // disks that are away count: they may come back
	down := func(d placement.DiskID) bool { return !c.usable(d) }
	list = c.config.Map.Candidates(c.config.Rule, row, down)
	want := c.table.Disks(c.table.PG(s.ID))[i]
	if at := slices.Index(list, want); at > 0 {
		list = slices.Insert(slices.Delete(list, at, at+1), 0, want)
	}
	within = len(list)
	if anywhere {
		for _, d := range c.config.Map.Candidates(placement.Rule{}, row, down) {
			if !slices.Contains(list, d) {
				list = append(list, d)
			}
		}
	}
	return list, within
}

// checkReturned reads what lies on disks that were away, and queues what is bad. Their sound
// shards are used again.
func (r *repair) checkReturned(ctx context.Context) error {
	names, err := r.c.catalog.unchecked()
	if err != nil {
		return err
	}
	var left []string
	for _, name := range names {
		id, ok := r.c.diskNamed(name)
		if !ok {
			continue
		}
		d := r.c.disk(id)
		if d == nil {
			left = append(left, name)
			continue
		}
		s := newScrubber(r.c, ScrubOptions{NoRepair: true, Rate: r.o.Rate}, scrubState{Next: map[string]uint32{}})
		expected, err := s.expected(ctx, []placement.DiskID{id})
		if err == nil {
			err = s.disk(ctx, d, id, expected[id])
		}
		if err != nil {
			return fmt.Errorf("disk %s: %w", name, err)
		}
		r.rep.Checked = append(r.rep.Checked, name)
		r.rep.Kept += s.st.Shards - s.st.Corrupt
		r.rep.BytesRead += s.st.BytesRead
		r.joules += float64(s.st.Joules)
	}
	if len(left) == len(names) {
		return nil
	}
	if err := r.c.absorbDamage(); err != nil {
		return err
	}
	return r.c.changeUnchecked(ctx, func(now []string) []string {
		return slices.DeleteFunc(now, func(name string) bool { // those that were failed in the meantime stay
			id, ok := r.c.diskNamed(name)
			return !ok || slices.Contains(names, name) && !slices.Contains(left, name) && r.c.readable(id)
		})
	})
}

// misplaced tells whether a stripe's shards lie where the rule does not allow them.
func (c *Cluster) misplaced(s *stripe) bool {
	r := c.config.Rule
	for _, p := range s.Places {
		if p.Disk == none {
			continue
		}
		a, site, rack, host := c.byID[p.Disk], 0, 0, 0
		for _, q := range s.Places {
			b := c.byID[q.Disk]
			if q.Disk == none || a.site != b.site {
				continue
			}
			site++
			if a.rack == b.rack {
				rack++
				if a.host == b.host {
					host++
				}
			}
		}
		if r.Site > 0 && site > r.Site || r.Rack > 0 && rack > r.Rack || r.Host > 0 && host > r.Host {
			return true
		}
	}
	return false
}

func (c *Cluster) diskNamed(name string) (placement.DiskID, bool) {
	for id, d := range c.byID {
		if d.path() == name {
			return id, true
		}
	}
	return none, false
}

// Corrupt flips bits in that many shards of each stripe of an object, for people who want
// to see what happens. It returns where.
func (c *Cluster) Corrupt(ctx context.Context, bucket, key string, shards int, seed uint64) ([]string, error) {
	_, layout, err := c.catalog.lookup(ctx, bucket, key)
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	var where []string
	for _, e := range layout {
		for n := uint64(0); n < max(1, uint64(e.Count)); n++ {
			s, err := c.catalog.stripeByID(ctx, e.Stripe+n)
			if err != nil {
				return where, err
			}
			names, err := c.corruptStripe(s, e, shards, rng)
			where = append(where, names...)
			if err != nil {
				return where, err
			}
		}
	}
	return where, nil
}

func (c *Cluster) corruptStripe(s *stripe, e extent, shards int, rng *rand.Rand) ([]string, error) {
	order, bits := rng.Perm(len(s.Places)), 3
	if e.Count == 0 { // begin with the shard that a read would use, and do not miss the object in it
		bits = min(1<<16, 16*int(s.longest())/max(1, int(e.Len))+3)
		order = append([]int{int(e.Col)}, slices.DeleteFunc(order, func(i int) bool { return i == int(e.Col) })...)
	}
	var where []string
	for _, i := range order {
		if len(where) == shards {
			break
		}
		p := s.Places[i]
		d, ok := c.disk(p.Disk).(interface {
			Corrupt(a disks.Address, bits int, rng *rand.Rand) error
		})
		if p.Disk == none || !ok || s.size(i) == 0 {
			continue
		}
		if err := d.Corrupt(p.Address, bits, rng); err != nil {
			return where, fmt.Errorf("disk %s: %w", c.name(p.Disk), err)
		}
		where = append(where, fmt.Sprintf("shard %d of stripe %x on %s", i, s.ID, c.name(p.Disk)))
	}
	return where, nil
}
