package placement

import (
	"cmp"
	"fmt"
	"slices"
)

// A Draw is what a disk draws, in watts.
type Draw struct {
	On     float64 // turning
	Asleep float64 // at rest, and answering after a start
}

// perByte orders disks by what they draw for their size, then by number.
func perByte(draw map[DiskID]Draw) func(a, b Leaf) int {
	of := func(l Leaf) float64 { return draw[l.ID].On / float64(max(1, l.weight())) }
	return func(a, b Leaf) int { return cmp.Or(cmp.Compare(of(a), of(b)), int(a.ID)-int(b.ID)) }
}

// tops groups the disks that take shards by domain of the first level.
func (t *Tree) tops() [][]Leaf {
	var list [][]Leaf
	for i, l := range t.leaves {
		if i == 0 || t.domain[0][i] != t.domain[0][i-1] {
			list = append(list, nil)
		}
		if l.weight() > 0 {
			list[len(list)-1] = append(list[len(list)-1], l)
		}
	}
	return list
}

// without returns the tree with the disks that out names marked Out.
func (t *Tree) without(out func(DiskID) bool) (*Tree, error) {
	leaves := slices.Clone(t.leaves)
	for i := range leaves {
		leaves[i].Out = leaves[i].Out || out(leaves[i].ID)
	}
	return NewTree(t.levels, leaves)
}

// RoleSplit builds a table in which the k data shards lie on an always-on set of disks, and
// the n-k others on disks that may sleep: in each site those that draw the least for their
// size are on, as many as the data shards need. Limits hold for both roles together. It
// returns the disks that are on.
func (t *Tree) RoleSplit(k, n int, l Limits, draw map[DiskID]Draw, o Options) (*Table, map[DiskID]bool, error) {
	if k < 1 || k >= n {
		return nil, nil, fmt.Errorf("%w: %d data shards of %d leave no parity to sleep", ErrRule, k, n)
	}
	on := map[DiskID]bool{}
	for _, site := range t.tops() {
		slices.SortFunc(site, perByte(draw))
		all, sum := uint64(0), uint64(0)
		for _, d := range site {
			all += d.weight() / uint64(n)
		}
		for _, d := range site {
			if sum+d.weight()/2 < all*uint64(k) {
				on[d.ID] = true
				sum += d.weight()
			}
		}
	}
	if o.PGs == 0 {
		s, err := t.solver(n, l, o)
		if err != nil {
			return nil, nil, err
		}
		o.PGs = s.pgs
	}
	data, err := t.without(func(d DiskID) bool { return !on[d] })
	if err != nil {
		return nil, nil, err
	}
	rest, err := t.without(func(d DiskID) bool { return on[d] })
	if err != nil {
		return nil, nil, err
	}
	first, err := data.Build(k, l, o)
	if err != nil {
		return nil, nil, fmt.Errorf("data shards on the disks that stay on: %w", err)
	}
	table, err := rest.addParity(t, first, n, on, l, o)
	return table, on, err
}

// addParity extends the rows of a table of data shards by parity on the disks of t.
func (t *Tree) addParity(whole *Tree, data *Table, n int, on map[DiskID]bool, l Limits, o Options) (*Table, error) {
	parity, err := t.solver(n-data.n, l, o)
	if err != nil {
		return nil, err
	}
	if parity.fit < n-data.n {
		return nil, fmt.Errorf("parity on the disks that may sleep: %w", parity.tooFew(l))
	}
	joint, err := whole.solver(n, l, o)
	if err != nil {
		return nil, err
	}
	if joint.fit < n {
		return nil, joint.tooFew(l)
	}
	s := &solver{tree: t, n: n, pgs: joint.pgs, fit: n, limits: joint.limits, even: joint.even, forest: parity.forest, rng: joint.rng}
	rows := make([]DiskID, 0, s.pgs*n)
	for pg := range s.pgs {
		rows = append(rows, data.Disks(pg)...)
		for range n - data.n {
			rows = append(rows, None)
		}
	}
	c := s.change(&Table{n, shiftOf(s.pgs), rows}, o.Scatter == 0)
	c.fix(data.n, on, joint.forest)
	for _, limits := range []*limits{&s.even, &s.limits} {
		c.by(limits)
		c.exchange(0)
	}
	c.augment()
	c.unblock(data.n)
	if left := c.surplus(noDisk); left > 0 {
		return nil, fmt.Errorf("%w: %d parity shards found no disk beside the data shards with %s", ErrRule, left, l)
	}
	return c.table(), nil
}

// fix keeps the first k shards of each row on the disks of on, where they are, and the others
// off them. What the others get is rounded within what the first leave of each domain.
func (c *changer) fix(k int, on map[DiskID]bool, joint forest) {
	room := make([]int64, len(c.forest))
	for i := range c.forest {
		d := &c.forest[i]
		d.most = joint[i].most
		room[i] = int64(d.most) * int64(c.pgs)
		for x := d.lo; x < d.hi; x++ {
			room[i] -= c.load[x]
		}
	}
	c.forest.settle(c.load, room)
	for i := range c.forest {
		d := &c.forest[i]
		for x := d.lo; x < d.hi; x++ {
			d.load += c.load[x]
		}
	}
	c.want = c.forest.disks(len(c.load), func(d *node) int64 { return d.load })
	c.index()
	c.role = func(spot, x int32) bool { return (int(spot)%c.n < k) == on[c.tree.leaves[x].ID] }
}

// unblock places parity shards for which the data shards of their groups leave no room, by
// exchanging one of those with one of another group: the two roles together are no single
// flow, so that augmenting paths may end before all is placed.
func (c *changer) unblock(k int) {
	for _, j := range slices.Clone(c.spots[c.at(noDisk)]) {
		if c.rows[j] < 0 && c.surplus(noDisk) > 0 {
			c.unblockOne(j, k)
		}
	}
}

func (c *changer) unblockOne(j int32, k int) {
	const tries = 2000
	row, at := c.group(j)
	for y, load := range c.load {
		if load >= c.want[y] {
			continue
		}
		for range tries {
			other, a, b := c.row(c.rng.IntN(c.pgs)), c.rng.IntN(k), c.rng.IntN(k)
			if row[a] == other[b] || !c.limits.fits(row, a, other[b]) || !c.limits.fits(other, b, row[a]) {
				continue
			}
			row[a], other[b] = other[b], row[a]
			if c.limits.fits(row, at, int32(y)) {
				c.put(j, int32(y))
				return
			}
			row[a], other[b] = other[b], row[a]
		}
	}
}

// Shed chooses the disks that stay on when only a part of the capacity is in use: in each
// site those that draw the least for their size, as many as hold use of all bytes with none
// fuller than full, within the limits.
func (t *Tree) Shed(n int, l Limits, draw map[DiskID]Draw, use, full float64) (map[DiskID]bool, error) {
	sites := t.tops()
	most, capacity := 0, 0.0
	for _, site := range sites {
		slices.SortFunc(site, perByte(draw))
		most = max(most, len(site))
		for _, d := range site {
			capacity += float64(d.weight())
		}
	}
	fits := func(step int) (map[DiskID]bool, bool) {
		on := map[DiskID]bool{}
		for _, site := range sites {
			for _, d := range site[:(len(site)*step+most-1)/most] {
				on[d.ID] = true
			}
		}
		part, err := t.without(func(d DiskID) bool { return !on[d] })
		if err != nil {
			return nil, false
		}
		s, err := part.solver(n, l, Options{PGs: 1 << 12})
		if err != nil || s.fit < n {
			return nil, false
		}
		for i := range s.forest {
			if d := &s.forest[i]; len(d.children) == 0 && float64(d.share)*use*capacity > full*float64(part.leaves[d.lo].weight())*float64(s.forest[0].share) {
				return nil, false
			}
		}
		return on, true
	}
	step := 1
	if most > 64 { // close in, then walk: what fits at a step fits above it but for the odd disk
		lo, hi := 1, most
		for lo < hi {
			if mid := (lo + hi) / 2; func() bool { _, ok := fits(mid); return ok }() {
				hi = mid
			} else {
				lo = mid + 1
			}
		}
		step = lo
	}
	for ; step <= most; step++ {
		if on, ok := fits(step); ok {
			return on, nil
		}
	}
	return nil, fmt.Errorf("%w: %.0f %% of the capacity do not fit on the disks at %.0f %% each with %s", ErrRule, 100*use, 100*full, l)
}

// Only returns the tree in which no disks but those of on take shards.
func (t *Tree) Only(on map[DiskID]bool) (*Tree, error) {
	return t.without(func(d DiskID) bool { return !on[d] })
}
