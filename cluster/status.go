package cluster

import (
	"context"
	"fmt"
	"strings"

	"github.com/wattle-storage/wattle/erasure"
	"github.com/wattle-storage/wattle/placement"
)

// Status looks at the catalog and the state of the disks; it reads no shard.
func (c *Cluster) Status(ctx context.Context) (Status, error) {
	s := Status{ID: c.config.ID, Dir: c.dir, Scheme: c.config.Scheme.String(), Overhead: c.config.Scheme.Overhead(),
		Rule: ruleString(c.config.Rule), Margin: c.config.Margin, Epoch: c.config.Map.Epoch}
	if id := c.sealing(); id != 0 {
		s.Key = id.String()
	}
	var err error
	if s.Buckets, s.Objects, s.StoredBytes, err = c.catalog.totals(ctx); err != nil {
		return s, err
	}
	disks, err := c.diskStatus(ctx, &s)
	if err != nil {
		return s, err
	}
	if err := c.targetFill(disks); err != nil {
		return s, err
	}
	for _, site := range c.config.Map.Sites {
		st := SiteStatus{Name: site.Name, Racks: len(site.Racks)}
		for _, r := range site.Racks {
			st.Hosts += len(r.Hosts)
			for _, h := range r.Hosts {
				for _, d := range h.Disks {
					st.Disks = append(st.Disks, *disks[d.ID])
				}
			}
		}
		s.Sites = append(s.Sites, st)
	}
	for _, d := range disks {
		s.CapacityBytes += d.Capacity
		s.RawBytes += d.Live
	}
	s.UsableBytes = int64(float64(s.CapacityBytes) / s.Overhead)
	c.writability(&s)
	s.Standby, err = c.standby(ctx, c.clock())
	return s, err
}

// targetFill says what each disk should hold of what is live.
func (c *Cluster) targetFill(list map[placement.DiskID]*DiskStatus) error {
	live := int64(0)
	for _, d := range list {
		live += d.Live
	}
	tree, err := c.config.Map.Tree()
	if err != nil {
		return err
	}
	shares, err := tree.Shares(c.table, c.config.Rule.Limits())
	if err != nil {
		return err
	}
	all := float64(c.table.PGs() * c.table.N())
	for id, d := range list {
		d.Target = int64(float64(live) * shares[id].Target / all)
		d.Draining = c.byID[id].Out
	}
	return nil
}

func ruleString(r placement.Rule) string {
	var parts []string
	for _, p := range []struct {
		name string
		n    int
	}{{"site", r.Site}, {"rack", r.Rack}, {"host", r.Host}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%s=%d", p.name, p.n))
		}
	}
	return strings.Join(append(parts, "disk=1"), ",")
}

// diskStatus counts stripes and what each disk holds of them.
func (c *Cluster) diskStatus(ctx context.Context, s *Status) (map[placement.DiskID]*DiskStatus, error) {
	list := map[placement.DiskID]*DiskStatus{}
	states := c.DiskStates()
	for id, d := range c.byID {
		list[id] = &DiskStatus{ID: int32(id), Name: d.path(), State: states[id], Why: c.whyAbsent(id), Profile: d.Profile, Capacity: d.Capacity}
		if disk := c.disk(id); disk != nil {
			space := disk.Space()
			list[id].Used, list[id].Preallocated = space.Used, space.Ahead
		}
	}
	bad, err := c.catalog.damage(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	for d := range c.damages {
		bad[d.stripe] = append(bad[d.stripe], d.shard)
	}
	c.mu.Unlock()
	shapes := c.shapes()
	err = c.catalog.stripes(ctx, func(st *stripe, freed bool) error {
		c.countStripe(st, freed, bad[st.ID], list, s, shapes)
		return nil
	})
	for _, d := range list {
		d.Padding = max(0, d.Used-d.Live-d.Dead-d.Pending-d.Preallocated)
		if d.State != stateActive && d.State != stateSuspect {
			d.Used, d.Padding, d.Preallocated = d.Live+d.Dead+d.Pending, 0, 0 // as the catalog has it: the disk cannot be asked
		} else {
			d.Used = d.Live + d.Dead + d.Pending + d.Padding + d.Preallocated
		}
	}
	c.mu.Lock()
	for id, n := range c.errors {
		if d := list[id]; d != nil {
			d.Errors = n
		}
	}
	c.mu.Unlock()
	s.Survives, s.Promise = shapes.worst, shapes.promise(c)
	if s.Stripes.Total == 0 {
		s.Survives = shapes.standing(c)
	}
	return list, err
}

func (c *Cluster) whyAbsent(id placement.DiskID) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if why := c.absent[id]; why != stateFailed {
		return why
	}
	return ""
}

func (c *Cluster) countStripe(st *stripe, freed bool, bad []int, list map[placement.DiskID]*DiskStatus, s *Status, shapes *shapes) {
	total := int64(0)
	for _, n := range st.Columns {
		total += int64(n)
	}
	for _, p := range st.Places {
		d := list[p.Disk]
		switch {
		case d == nil || freed && st.Journal == 0:
		case freed || total == 0: // a journal alone: overhead
		case st.Refs == 0:
			d.Pending += int64(p.Length)
		default:
			live := int64(float64(p.Length) * float64(min(st.Live, total)) / float64(total))
			d.Live += live
			d.Dead += int64(p.Length) - live
		}
	}
	if freed || st.Refs == 0 {
		if c.journalShort(st) {
			s.PendingRepairs++
		}
		return
	}
	s.Stripes.Total++
	if c.misplaced(st) {
		s.Stripes.Misplaced++
	}
	have := st.have(c.readable)
	for _, i := range bad {
		have[i] = false
		if d := list[st.Places[i].Disk]; d != nil {
			d.Bad++
		}
	}
	gone := 0
	for i, ok := range have {
		if !ok && st.stored(i) {
			gone++
			s.RepairIO += int64(st.size(i))
		}
	}
	if gone > 0 {
		s.RepairIO += total // k shards are read for all that are missing
	}
	if gone > 0 || c.journalShort(st) {
		s.Stripes.Degraded++
		s.PendingRepairs++
	}
	if gone > 0 && !c.code(st.Scheme).Decodable(have) {
		s.Stripes.Unreadable++
	}
	shapes.add(c, st, have)
}

// journalShort tells whether a copy of the journal in a stripe is out of reach.
func (c *Cluster) journalShort(st *stripe) bool {
	if !c.needed(st) {
		return false
	}
	for i, p := range st.Places {
		if st.carries(i) && (p.Disk == none || !c.readable(p.Disk)) {
			return true
		}
	}
	return false
}

// shapes keeps what the worst stripe survives. Stripes whose shards lie in the same sites
// survive the same, so each shape is worked out once.
type shapes struct {
	seen  map[string]bool
	worst Survival
}

func (c *Cluster) shapes() *shapes {
	return &shapes{seen: map[string]bool{}, worst: Survival{Sites: len(c.config.Map.Sites), Disks: 1 << 30}}
}

func (h *shapes) add(c *Cluster, st *stripe, have []bool) {
	sites := make([]int, len(have))
	key := make([]byte, 0, len(have)+4)
	code := st.Scheme.Code()
	key = append(key, code[:]...)
	for i, p := range st.Places {
		sites[i] = -1 // a known zero, or gone: no site takes it away
		if have[i] && p.Disk != none && st.size(i) > 0 {
			sites[i] = c.siteIndex(p.Disk)
		}
		b := byte(sites[i] + 2)
		if !have[i] {
			b = 0
		}
		key = append(key, b)
	}
	if h.seen[string(key)] {
		return
	}
	h.seen[string(key)] = true
	if v := survival(c.code(st.Scheme), have, sites, len(c.config.Map.Sites), st.Scheme.Tolerates()); worse(v, h.worst) {
		h.worst = v
	}
}

func worse(a, b Survival) bool {
	return a.Sites < b.Sites || a.Sites == b.Sites && a.Disks < b.Disks
}

// survival is what a stripe stands: any that many sites, and then any that many shards.
// Nothing, not even now, is Disks -1.
func survival(code *erasure.Code, have []bool, sites []int, nsites, tolerates int) Survival {
	stands := func(x, more int) bool {
		return eachChoice(nsites, x, func(gone []bool) bool {
			left := make([]bool, len(have))
			for i := range have {
				left[i] = have[i] && (sites[i] < 0 || !gone[sites[i]])
			}
			return standsLoss(code.Decodable, left, more)
		})
	}
	if !stands(0, 0) {
		return Survival{0, -1}
	}
	v := Survival{}
	for v.Sites < nsites-1 && stands(v.Sites+1, 0) {
		v.Sites++
	}
	for v.Disks < tolerates && stands(v.Sites, v.Disks+1) {
		v.Disks++
	}
	return v
}

// eachChoice calls f for every choice of x out of n until it returns false.
func eachChoice(n, x int, f func([]bool) bool) bool {
	gone := make([]bool, n)
	var choose func(from, left int) bool
	choose = func(from, left int) bool {
		if left == 0 {
			return f(gone)
		}
		for i := from; i <= n-left; i++ {
			gone[i] = true
			ok := choose(i+1, left-1)
			gone[i] = false
			if !ok {
				return false
			}
		}
		return true
	}
	return choose(0, x)
}

func (c *Cluster) siteIndex(id placement.DiskID) int {
	for i, s := range c.config.Map.Sites {
		if s.Name == c.byID[id].site {
			return i
		}
	}
	return -1
}

// full is a stripe as the table would place it, with every column in use.
func (c *Cluster) full(pg int) *stripe {
	columns := make([]uint32, c.config.Scheme.K)
	for i := range columns {
		columns[i] = 1
	}
	st := newStripe(0, c.config.Scheme, columns)
	for i, d := range c.table.Disks(pg) {
		st.Places[i].Disk = d
	}
	return st
}

// promise is what a new stripe survives with everything sound.
func (h *shapes) promise(c *Cluster) Survival {
	return c.tableShapes(func(placement.DiskID) bool { return true })
}

// standing is what the table's stripes would survive as the disks are.
func (h *shapes) standing(c *Cluster) Survival { return c.tableShapes(c.readable) }

func (c *Cluster) tableShapes(usable func(placement.DiskID) bool) Survival {
	h := c.shapes()
	for pg := range c.table.PGs() {
		st := c.full(pg)
		h.add(c, st, st.have(usable))
	}
	return h.worst
}

// writability says whether puts are taken now, and would be with any one site down.
func (c *Cluster) writability(s *Status) {
	can := func(usable func(placement.DiskID) bool) error {
		for pg := range c.table.PGs() {
			st := c.full(pg)
			var without []int
			for i, p := range st.Places {
				if p.Disk != none && !usable(p.Disk) {
					st.Places[i].Disk = none
					without = append(without, i)
				}
			}
			if c.enough(st) == nil { // also without those; looking for others is dear
				continue
			}
			for _, i := range without {
				spare := c.config.Map.Candidates(c.config.Rule, st.row(), func(d placement.DiskID) bool { return !usable(d) })
				if len(spare) > 0 {
					st.Places[i].Disk = spare[0]
				}
			}
			if err := c.enough(st); err != nil {
				return err
			}
		}
		return nil
	}
	err := can(c.usable)
	s.Writable = err == nil
	if err != nil {
		s.Why = err.Error()
	}
	s.WritableDown = len(c.config.Map.Sites) > 1
	for _, site := range c.config.Map.Sites {
		if can(func(d placement.DiskID) bool { return c.byID[d].site != site.Name }) != nil {
			s.WritableDown = false
		}
	}
}
