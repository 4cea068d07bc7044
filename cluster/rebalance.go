package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/energy"
	"github.com/wattle-storage/wattle/placement"
)

// RebalanceOptions say how Rebalance works. The zero value moves all there is to move as fast
// as it can.
type RebalanceOptions struct {
	Rate     int64 // bytes a second, read and written, over all disks; 0: no limit
	Parallel int   // stripes at the same time; 0 means 8
	// PairBytes bounds what goes from one site to another in this run, in bytes; 0: no limit.
	// Pairs has bounds of its own for pairs named "FROM>TO".
	PairBytes int64
	Pairs     map[string]int64
	Progress  Progress `json:"-"`
}

// RebalanceReport says what Rebalance did.
type RebalanceReport struct {
	Stripes int64            `json:"stripes"` // of which something moved
	Shards  int64            `json:"shards"`
	Bytes   int64            `json:"bytes"` // moved, with headers and checksums
	Between map[string]int64 `json:"between_sites,omitempty"`
	Wanted  int64            `json:"wanted_bytes"` // what had to move
	Held    int64            `json:"held_back"`    // shards left for a later run: the bound of a pair of sites
	Left    int64            `json:"left"`         // shards that could not move: a disk is away or full
	Lost    int64            `json:"lost"`         // shards that have to be made anew: `wattle repair`
	Elapsed time.Duration    `json:"elapsed_ns"`
	Reasons map[string]int64 `json:"why,omitempty"` // for which shards were left, with their number
}

// Why lists the reasons for which shards were left, with their number.
func (r RebalanceReport) Why() []string {
	var list []string
	for _, w := range slices.Sorted(maps.Keys(r.Reasons)) {
		list = append(list, fmt.Sprintf("%d: %s", r.Reasons[w], w))
	}
	return list
}

// Rebalance moves shards to the disks that the table wants them on, those of disks that are
// being drained first. Each stripe goes from one set of places within the rule to another in
// one transaction, so that reads and writes go on, and what was done stays done when it is
// interrupted: the places are all there is to remember.
func (c *Cluster) Rebalance(ctx context.Context, o RebalanceOptions) (RebalanceReport, error) {
	if c.readOnly {
		return RebalanceReport{}, ErrReadOnly
	}
	if o.Parallel <= 0 {
		o.Parallel = repairParallel
	}
	start := time.Now()
	bill := c.bill(energy.ForRebalance)
	r := &rebalance{c: c, o: o, pace: c.newPace(o.Rate), out: c.draining(),
		rep: RebalanceReport{Between: map[string]int64{}, Reasons: map[string]int64{}}}
	err := r.run(bill.on(ctx))
	r.rep.Elapsed = time.Since(start)
	return r.rep, err
}

// draining tells which disks give up their shards.
func (c *Cluster) draining() map[placement.DiskID]bool {
	out := map[placement.DiskID]bool{}
	for id, d := range c.byID {
		out[id] = d.Out
	}
	return out
}

// A rebalance is one run of Rebalance.
type rebalance struct {
	c    *Cluster
	o    RebalanceOptions
	pace *pace
	out  map[placement.DiskID]bool

	mu    sync.Mutex
	rep   RebalanceReport // guarded by mu
	moves []move          // guarded by mu; copied and not recorded
}

// A trip is a shard that should go elsewhere.
type trip struct {
	shard int
	to    placement.DiskID
}

// errand is a stripe with something to move.
type errand struct {
	id    uint64
	bytes int64
	drain bool
}

func (r *rebalance) run(ctx context.Context) error {
	r.c.reapNow() // what is dead need not move
	list, total, err := r.errands(ctx)
	if err != nil {
		return err
	}
	done := int64(0)
	for chunk := range slices.Chunk(list, repairGroup) {
		g, part := errgroup.WithContext(ctx)
		g.SetLimit(r.o.Parallel)
		for _, e := range chunk {
			g.Go(func() error { return r.stripe(part, e.id) })
		}
		err := g.Wait()
		moves := r.moves
		r.moves = nil
		if _, e := r.c.relocate(context.WithoutCancel(ctx), moves, nil); err == nil {
			err = e
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		for _, e := range chunk {
			done += e.bytes
		}
		if r.o.Progress != nil {
			r.o.Progress(done, total)
		}
	}
	return nil
}

// errands lists the stripes that have shards to move, those on disks that are drained first,
// and sums the bytes.
func (r *rebalance) errands(ctx context.Context) ([]errand, int64, error) {
	var list []errand
	total := int64(0)
	err := r.c.catalog.stripes(ctx, func(s *stripe, freed bool) error {
		e := errand{id: s.ID}
		for _, t := range r.trips(s, freed) {
			p := s.Places[t.shard]
			e.bytes += int64(p.Length)
			e.drain = e.drain || r.out[p.Disk]
		}
		if e.bytes > 0 {
			list = append(list, e)
			total += e.bytes
		}
		return nil
	})
	slices.SortStableFunc(list, func(a, b errand) int {
		if a.drain == b.drain {
			return 0
		}
		if a.drain {
			return -1
		}
		return 1
	})
	r.rep.Wanted = total
	return list, total, err
}

// trips compares a stripe's places with the table. A shard on any disk of the group stays;
// of the others each takes the disk of its own index where that is free, else any that is.
// What waits in the trash moves too: it may wait for long, and its disk be drained.
func (r *rebalance) trips(s *stripe, freed bool) []trip {
	if freed && !r.c.needed(s) {
		return nil
	}
	row := slices.Clone(r.c.table.Disks(r.c.table.PG(s.ID)))
	var away []int
	for i, p := range s.Places {
		if p.Disk == none || freed && !s.carries(i) {
			continue
		}
		if at := slices.Index(row, p.Disk); at >= 0 {
			row[at] = none
			continue
		}
		away = append(away, i)
	}
	var list []trip
	var others []int
	for _, i := range away {
		if row[i] == none {
			others = append(others, i)
			continue
		}
		list = append(list, trip{i, row[i]})
		row[i] = none
	}
	for _, i := range others {
		if at := slices.IndexFunc(row, func(d placement.DiskID) bool { return d != none }); at >= 0 {
			list = append(list, trip{i, row[at]})
			row[at] = none
		}
	}
	return list
}

// stripe copies the shards of a stripe that should go elsewhere. The catalog is asked again,
// since moves and deletes may have come since the list was made.
func (r *rebalance) stripe(ctx context.Context, id uint64) error {
	s, freed, err := r.c.catalog.standing(ctx, id)
	if err != nil || s == nil {
		return err
	}
	var moves []move
	for _, t := range r.trips(s, freed) {
		m, why, err := r.move(ctx, s, freed, t)
		if err != nil {
			return err
		}
		if why != "" {
			r.mu.Lock()
			r.rep.Reasons[why]++
			r.mu.Unlock()
			continue
		}
		moves = append(moves, m)
	}
	if moves = r.within(s, freed, moves); len(moves) == 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rep.Stripes++
	for _, m := range moves {
		r.rep.Shards++
		r.rep.Bytes += int64(m.new.Length)
	}
	r.moves = append(r.moves, moves...)
	return nil
}

// goesWithTrash is why shards of a deleted stripe stay where they are.
const goesWithTrash = "deleted and damaged: they go when the trash does"

// move copies one shard; why says for what reason it stays, if it does.
func (r *rebalance) move(ctx context.Context, s *stripe, freed bool, t trip) (m move, why string, err error) {
	from := s.Places[t.shard]
	if !r.c.readable(from.Disk) {
		r.mu.Lock()
		r.rep.Lost++
		r.mu.Unlock()
		return m, "disk " + r.c.name(from.Disk) + " is away: `wattle repair` makes its shards anew elsewhere", nil
	}
	if !r.c.usable(t.to) {
		r.left()
		return m, "disk " + r.c.name(t.to) + " takes no shards now", nil
	}
	if !r.allow(from.Disk, t.to, int64(from.Length)) {
		return m, "the bound of bytes from " + r.c.byID[from.Disk].site + " to " + r.c.byID[t.to].site + " is reached", nil
	}
	if err := r.pace.wait(ctx, 2*int(from.Length)); err != nil {
		return m, "", err
	}
	if m, err = r.c.copyShard(ctx, s, freed, t.shard, t.to, disks.AppendOptions{}); err == nil {
		return m, "", nil
	}
	r.unallow(from.Disk, t.to, int64(from.Length))
	switch {
	case ctx.Err() != nil:
		return m, "", ctx.Err()
	case s.Refs == 0 && !freed && (errors.Is(err, disks.ErrCorrupt) || errors.Is(err, disks.ErrGone)):
		return m, goesWithTrash, nil
	case errors.Is(err, disks.ErrCorrupt), errors.Is(err, disks.ErrGone):
		r.c.damaged(s, t.shard, err)
		r.mu.Lock()
		r.rep.Lost++
		r.mu.Unlock()
		return m, "damaged: `wattle repair` makes them anew", nil
	}
	r.left()
	return m, err.Error(), nil
}

func (r *rebalance) left() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rep.Left++
}

// allow counts bytes against the bound of a pair of sites.
func (r *rebalance) allow(from, to placement.DiskID, n int64) bool {
	a, b := r.c.byID[from].site, r.c.byID[to].site
	if a == b {
		return true
	}
	most, ok := r.o.Pairs[a+">"+b]
	if !ok {
		most = r.o.PairBytes
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	sum := r.rep.Between[a+">"+b]
	if (ok || most > 0) && sum+n > most {
		r.rep.Held++
		return false
	}
	r.rep.Between[a+">"+b] += n
	return true
}

// unallow takes back what allow counted.
func (r *rebalance) unallow(from, to placement.DiskID, n int64) {
	if a, b := r.c.byID[from].site, r.c.byID[to].site; a != b {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.rep.Between[a+">"+b] -= n
	}
}

// within drops moves until what is left keeps the rule: the rest of the stripe may stand in
// the way when some of its moves could not be made. What was copied for them is given back.
func (r *rebalance) within(s *stripe, freed bool, moves []move) []move {
	for len(moves) > 0 {
		row := s.row()
		for i := range row {
			if freed && !s.carries(i) { // gone with the data
				row[i] = none
			}
		}
		for _, m := range moves {
			row[m.shard] = m.new.Disk
		}
		bad := slices.IndexFunc(moves, func(m move) bool {
			others := slices.Clone(row)
			others[m.shard] = none
			return !r.c.config.Map.Allowed(r.c.config.Rule, others, m.new.Disk)
		})
		if bad < 0 {
			return moves
		}
		m := moves[bad]
		r.c.freeAt(map[placement.DiskID][]disks.Address{m.new.Disk: {m.new.Address}}, false)
		r.unallow(m.old.Disk, m.new.Disk, int64(m.old.Length))
		why := "the rest of its stripe is in the way"
		if s.Refs == 0 && !freed { // what of it is damaged is not made anew
			why = goesWithTrash
		} else {
			r.left()
		}
		r.mu.Lock()
		r.rep.Reasons[why]++
		r.mu.Unlock()
		moves = slices.Delete(moves, bad, bad+1)
	}
	return moves
}
