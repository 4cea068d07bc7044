package placement

import "slices"

// A changer takes shards from disks that have too many, and from none, to disks that have
// too few. It works down the tree: what must cross from one site to another does so first,
// then what must cross between the racks of a site, and so on; at each step a small maximum
// flow decides, by classes of groups, which shard may go where. What is left, if anything,
// finds its way by shortest augmenting paths, which always exist, since tables that meet
// the shares do (the deal is one).
type changer struct {
	*solver
	orig    []int32                     // the rows as they were, noDisk where the disk is gone or was evicted
	want    []int64                     // by disk
	least   []int64                     // by disk: its share rounded down
	most    []int64                     // by disk: and up
	load    []int64                     // by disk
	spots   [][]int32                   // by disk, and last for no disk: indexes into rows, some of them out of date
	node    []int32                     // by disk: its node
	up      []int32                     // by node: its parent
	need    []int64                     // by node: what the disks below it lack
	turns   []int                       // by node: the child to look at first
	keep    *limits                     // those that are kept now
	depth   []int                       // by node: which of them its children are under, or -1
	role    func(spot, disk int32) bool // when set: which shards a disk may have
	stale   []bool                      // by disk: its list has shards that left
	come    [][]int32                   // by disk: the shards that came to it, some of which left again
	altered []bool                      // by group: some of its shards were moved
	placed  int64                       // shards that have a disk
	bound   int64
	wide    bool // disks are to share groups with as many others as can be
}

// change prepares a change: rows as positions in the new tree, what breaks the limits
// evicted, shares rounded next to the loads.
func (s *solver) change(old *Table, wide bool) *changer {
	c := &changer{solver: s, load: make([]int64, len(s.tree.leaves)), wide: wide}
	s.rows = make([]int32, len(old.rows))
	for i, id := range old.rows {
		s.rows[i] = noDisk
		if x, ok := s.tree.at[id]; ok {
			s.rows[i] = x
			c.load[x]++
			c.placed++
		}
	}
	before, without := slices.Clone(c.load), int64(len(s.rows))-c.placed
	broken := c.evict()
	c.orig = slices.Clone(s.rows)
	s.forest.settle(c.load, s.forest.room(s.pgs))
	c.want = s.forest.disks(len(s.tree.leaves), func(d *node) int64 { return d.load })
	c.least, c.most = make([]int64, len(c.load)), make([]int64, len(c.load))
	gain, lose := int64(0), int64(0)
	for i := range s.forest {
		if d := &s.forest[i]; len(d.children) == 0 {
			c.least[d.lo], c.most[d.lo] = near(d.share)
			gain += max(0, c.least[d.lo]-before[d.lo])
			lose += max(0, before[d.lo]-c.most[d.lo])
		}
	}
	c.index()
	holes := int64(s.pgs) * int64(s.n-s.fit)
	c.bound = max(gain, without+max(lose, broken)-holes)
	return c
}

// evict takes shards out of rows that break the limits, as few as can be, from the fullest
// disks first, and counts them.
func (c *changer) evict() int64 {
	shares := c.forest.disks(len(c.tree.leaves), func(d *node) int64 { return int64(d.share / unit) })
	count := make([]int32, len(c.tree.leaves))
	before := c.placed
	for p := range c.pgs {
		row := c.row(p)
		for level := range slices.Backward(c.limits.level) { // else a wide domain may give what no narrow one has to
			for c.over(row, level, count) {
				c.drop(row, level, shares)
			}
		}
	}
	return before - c.placed
}

// over tells whether some domain of a level has too many of row. count is all zero.
func (c *changer) over(row []int32, level int, count []int32) bool {
	dom, over := c.limits.domain[level], false
	for _, x := range row {
		if x >= 0 {
			k := dom[x]
			count[k]++
			over = over || count[k] > c.limits.most[level][k]
		}
	}
	for _, x := range row {
		if x >= 0 {
			count[dom[x]] = 0
		}
	}
	return over
}

// drop takes one shard off row that is in a domain with too many, from the fullest disk.
func (c *changer) drop(row []int32, level int, shares []int64) {
	worst, dom := -1, c.limits.domain[level]
	for i, x := range row {
		if x >= 0 && c.limits.count(level, row, dom[x]) > c.limits.most[level][dom[x]] &&
			(worst < 0 || c.load[x]-shares[x] > c.load[row[worst]]-shares[row[worst]]) {
			worst = i
		}
	}
	c.load[row[worst]]--
	c.placed--
	row[worst] = noDisk
}

// index lists the shards of each disk, and what the nodes need.
func (c *changer) index() {
	disks := len(c.tree.leaves)
	c.spots, c.come, c.stale = make([][]int32, disks+1), make([][]int32, disks+1), make([]bool, disks+1)
	c.altered = make([]bool, c.pgs)
	for d, load := range c.load {
		c.spots[d] = make([]int32, 0, load+load/8)
	}
	for j, x := range c.rows {
		if x < 0 {
			x = int32(disks)
		}
		c.spots[x] = append(c.spots[x], int32(j))
	}
	nodes := len(c.forest)
	c.need, c.turns, c.node = make([]int64, nodes), make([]int, nodes), make([]int32, disks)
	c.up = c.forest.parents()
	for i := nodes - 1; i >= 0; i-- {
		d := &c.forest[i]
		if len(d.children) == 0 {
			c.need[i] = max(0, c.want[d.lo]-c.load[d.lo])
			c.node[d.lo] = int32(i)
		}
		for _, k := range d.children {
			c.need[i] += c.need[k]
		}
	}
}

// by makes the changer keep limits b.
func (c *changer) by(b *limits) {
	c.keep = b
	c.depth = make([]int, len(c.forest))
	c.forest.walk(func(i int32, level int) { c.depth[i] = slices.Index(b.level, level+1) })
}

// surplus is what a disk has above what it wants; for noDisk, the shards that have none and
// could have one.
func (c *changer) surplus(x int32) int64 {
	if x >= 0 {
		return c.load[x] - c.want[x]
	}
	return int64(c.pgs)*int64(c.fit) - c.placed
}

// at is a disk's place in spots.
func (c *changer) at(x int32) int32 {
	if x < 0 {
		return int32(len(c.tree.leaves))
	}
	return x
}

// put moves the j-th shard to disk y. If y is where another shard of the group came from,
// that one goes back and the j-th takes its place: the group has the same disks, and one
// move less leads to it.
func (c *changer) put(j, y int32) {
	if i := c.exile(j, y); i >= 0 {
		place := c.rows[i]
		c.set(j, place)
		j = i
	}
	c.set(j, y)
}

// exile is the shard that came from disk y and is not there, in the j-th shard's group, or -1.
func (c *changer) exile(j, y int32) int32 {
	if c.role != nil || y < 0 { // the shards of a group do not stand in for each other
		return -1
	}
	first := j - j%int32(c.n)
	for i := first; i < first+int32(c.n); i++ {
		if c.orig[i] == y && c.rows[i] != y && i != j {
			return i
		}
	}
	return -1
}

func (c *changer) set(j, y int32) {
	if x := c.rows[j]; x >= 0 {
		c.load[x]--
		c.placed--
		if c.load[x] < c.want[x] {
			c.lack(x, 1)
		}
	}
	c.stale[c.at(c.rows[j])] = true
	c.altered[int(j)/c.n] = true
	c.rows[j] = y
	c.spots[c.at(y)] = append(c.spots[c.at(y)], j)
	c.come[c.at(y)] = append(c.come[c.at(y)], j)
	if y < 0 {
		return
	}
	if c.load[y] < c.want[y] {
		c.lack(y, -1)
	}
	c.load[y]++
	c.placed++
}

func (c *changer) lack(x int32, n int64) {
	for i := c.node[x]; ; i = c.up[i] {
		c.need[i] += n
		if i == 0 {
			return
		}
	}
}

// group is the row that the j-th shard is of, and its place there.
func (c *changer) group(j int32) (row []int32, i int) {
	p := int(j) / c.n
	return c.row(p), int(j) - p*c.n
}

// room tells whether row may have one more shard in child k of node d.
func (c *changer) room(d, k int32, row []int32) bool {
	level := c.depth[d]
	return level < 0 || !c.keep.full(level, row, c.keep.domain[level][c.forest[k].lo])
}

// seek finds a disk below node d that lacks shards and may have one more of row.
func (c *changer) seek(d int32, row []int32) (int32, bool) {
	children := c.forest[d].children
	if len(children) == 0 {
		x := c.forest[d].lo
		return x, !slices.Contains(row, x)
	}
	for i := range children {
		at := (c.turns[d] + i) % len(children)
		k := children[at]
		if c.need[k] == 0 || !c.room(d, k, row) {
			continue
		}
		if x, ok := c.seek(k, row); ok {
			c.turns[d] = at
			if c.wide {
				c.turns[d]++
			}
			return x, true
		}
	}
	return 0, false
}
