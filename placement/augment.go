package placement

import "slices"

// A step hands a shard's place from disk from, or none, to disk to.
type step struct {
	from, to, spot int32
}

// augment places what direct moves left: along shortest chains in which each disk hands one
// shard to the next, from disks with too many to such with too few. A step costs 1 when the
// shard was not moved before, else nothing, since it only goes elsewhere, and -1 when it
// goes back to where it was. Where it makes a chain shorter, the disks that were to get the
// odd shards beyond the whole part of their shares change. What a step costs is by how many
// the group's disks differ more from what they were: the shards of a group stand in for each
// other.
func (c *changer) augment() {
	s := &search{changer: c, by: make([]step, len(c.tree.leaves)), cost: make([]int32, len(c.tree.leaves)), far: make([]int32, len(c.forest))}
	for c.need[0] > 0 {
		sources := c.sources()
		if len(sources) == 0 || !s.run(sources) {
			return
		}
	}
}

// sources are the disks that have too many shards, none first, and those that could give one
// in place of a disk that then keeps one more.
func (c *changer) sources() []int32 {
	var list []int32
	if c.surplus(noDisk) > 0 {
		list = append(list, noDisk)
	}
	keepers := c.keepers()
	for x := range c.load {
		if c.load[x] > c.want[x] || c.load[x] == c.want[x] && c.want[x] > c.least[x] && c.standIn(keepers, int32(x)) >= 0 {
			list = append(list, int32(x))
		}
	}
	return list
}

// keepers are the disks that have a shard too many and may keep it when another gives one
// instead.
func (c *changer) keepers() []int32 {
	var list []int32
	for s := range c.load {
		if c.load[s] > c.want[s] && c.want[s] < c.most[s] {
			list = append(list, int32(s))
		}
	}
	return list
}

// standIn finds a keeper for which x may give a shard.
func (c *changer) standIn(keepers []int32, x int32) int32 {
	for _, s := range keepers {
		if c.takes(s, x) {
			return s
		}
	}
	return noDisk
}

// waivers are the disks that lack a shard and may go without it when another takes one
// instead.
func (c *changer) waivers() []int32 {
	var list []int32
	for z := range c.load {
		if c.load[z] < c.want[z] && c.want[z] > c.least[z] {
			list = append(list, int32(z))
		}
	}
	return list
}

// waiver finds one in whose place y may take a shard.
func (c *changer) waiver(waivers []int32, y int32) int32 {
	for _, z := range waivers {
		if c.takes(y, z) {
			return z
		}
	}
	return noDisk
}

// takes tells whether disk x can want one more and z one less, for all the domains of x.
func (c *changer) takes(x, z int32) bool {
	for i := c.node[x]; i > 0 && !c.within(z, i); i = c.up[i] {
		if d := &c.forest[i]; d.load >= int64(d.most)*int64(c.pgs) {
			return false
		}
	}
	return true
}

// rewant makes x want one more and z one less.
func (c *changer) rewant(x, z int32) {
	if c.load[x] <= c.want[x] {
		c.lack(x, 1)
	}
	c.want[x]++
	if c.load[z] < c.want[z] {
		c.lack(z, -1)
	}
	c.want[z]--
	for i := c.node[x]; i > 0; i = c.up[i] {
		c.forest[i].load++
	}
	for i := c.node[z]; i > 0; i = c.up[i] {
		c.forest[i].load--
	}
}

// A search finds what it costs to reach each disk.
type search struct {
	*changer
	by     []step  // by disk: the step that reached it
	cost   []int32 // by disk
	far    []int32 // by node: the highest cost of a disk below
	layers [][]int32
	found  []int32
	next   []int   // by disk: which of its shards to look at first
	waive  []int32 // disks that others can take a shard for
}

const unreached = int32(1 << 30)

// run finds the chains of the least cost and moves along those that do not cross. It tells
// whether there was one.
func (s *search) run(sources []int32) bool {
	for i := range s.cost {
		s.cost[i] = unreached
	}
	for i := range s.far {
		s.far[i] = unreached
	}
	s.layers, s.found, s.waive = [][]int32{nil}, nil, s.waivers()
	for _, x := range sources {
		if x < 0 {
			s.layers[0] = append(s.layers[0], x)
		} else {
			s.reach(x, step{x, x, -1}, 0)
		}
	}
	for d := 0; d < len(s.layers); d++ {
		for i := 0; i < len(s.layers[d]); i++ { // at no cost, or less
			if x := s.layers[d][i]; s.costs(x) == int32(d) && s.again(x, int32(d)) {
				d, i = d-1, -1 // and then all of this layer once more
			}
		}
		if len(s.found) > 0 {
			break
		}
		for _, x := range s.layers[d] { // at the cost of a move
			if s.costs(x) == int32(d) {
				s.onward(x, int32(d)+1)
			}
		}
		s.layers[d] = nil
	}
	s.next = make([]int, len(s.spots))
	done := false
	for _, y := range s.found {
		for s.follow(y) {
			done = true
		}
	}
	return done
}

func (s *search) costs(x int32) int32 {
	if x < 0 {
		return 0
	}
	return s.cost[x]
}

func (s *search) reach(x int32, by step, cost int32) {
	if s.cost[x] == unreached && by.spot >= 0 && (s.load[x] < s.want[x] || s.load[x] == s.want[x] && s.want[x] < s.most[x] && s.waiver(s.waive, x) >= 0) {
		s.found = append(s.found, x)
	}
	s.by[x], s.cost[x] = by, cost
	for len(s.layers) <= int(cost) {
		s.layers = append(s.layers, nil)
	}
	s.layers[cost] = append(s.layers[cost], x)
	far := cost
	for i := s.node[x]; s.far[i] > far; i = s.up[i] {
		s.far[i] = far
		if i == 0 {
			return
		}
		for _, k := range s.forest[s.up[i]].children {
			far = max(far, s.far[k])
		}
	}
}

// again reaches the disks to which x can hand a shard that was moved already, and those that
// a group had before, which it can have again in place of x. It tells whether one of them now
// costs less than x.
func (s *search) again(x, cost int32) bool {
	if x < 0 {
		return false
	}
	less := false
	for _, j := range s.come[x] {
		if s.rows[j] != x || s.orig[j] == x {
			continue
		}
		if cost > 0 {
			less = s.home(x, j, cost-1) || less
		}
		if s.far[0] > cost {
			row, _ := s.group(j)
			s.spread(0, row, step{x, x, j}, cost)
		}
	}
	for _, j := range s.fresh(x) {
		if s.orig[j] == x && s.altered[j/int32(s.n)] {
			s.home(x, j, cost)
		}
	}
	return less
}

// home reaches the disks that the group of the j-th shard had before and lacks, for that cost.
func (s *search) home(x, j, cost int32) bool {
	row, at := s.group(j)
	first, found := j-int32(at), false
	for i := range row {
		o := s.orig[first+int32(i)]
		if o < 0 || row[i] == o || s.role != nil && i != at || s.cost[o] <= cost || !s.limits.fits(row, at, o) {
			continue
		}
		s.reach(o, step{x, o, j}, cost)
		found = true
	}
	return found
}

// onward reaches the disks to which x can hand a shard that was not moved yet.
func (s *search) onward(x, cost int32) {
	for _, j := range s.fresh(x) {
		if s.far[0] <= cost {
			return
		}
		if s.orig[j] == x {
			row, _ := s.group(j)
			s.spread(0, row, step{x, x, j}, cost)
		}
	}
}

// spread reaches the disks below node d that may stand in for by.from in row, where that
// costs less than was known.
func (s *search) spread(d int32, row []int32, by step, cost int32) {
	for _, k := range s.forest[d].children {
		if s.far[k] <= cost {
			continue
		}
		if (by.from < 0 || !s.within(by.from, k)) && !s.room(d, k, row) {
			continue
		}
		if len(s.forest[k].children) > 0 {
			s.spread(k, row, by, cost)
		} else if y := s.forest[k].lo; s.want[y] > 0 && !slices.Contains(row, y) && (s.role == nil || s.role(by.spot, y)) {
			s.reach(y, step{by.from, y, by.spot}, cost)
		}
	}
}

// follow moves along the chain that ends at y, if all its steps still can be made.
func (s *search) follow(y int32) bool {
	var chain []step
	for y >= 0 && s.by[y].spot >= 0 {
		chain = append(chain, s.by[y])
		if y = s.by[y].from; len(chain) > len(s.by) {
			return false
		}
	}
	if len(chain) == 0 || !s.agree(y, chain[0].to) {
		return false
	}
	slices.Reverse(chain)
	for i, b := range chain {
		j, ok := s.another(b)
		if !ok {
			for _, undo := range slices.Backward(chain[:i]) {
				row, at := s.group(undo.spot)
				s.put(undo.spot-int32(at)+int32(slices.Index(row, undo.to)), undo.from)
			}
			return false
		}
		chain[i].spot = j
		s.put(j, b.to)
	}
	return true
}

// another is the shard of a step, or another that does at the same cost when it cannot be
// moved any more.
func (s *search) another(b step) (int32, bool) {
	can := func(j int32) bool {
		row, at := s.group(j)
		return s.rows[j] == b.from && s.limits.fits(row, at, b.to) && (s.role == nil || s.role(j, b.to))
	}
	if can(b.spot) {
		return b.spot, true
	}
	first, back := s.orig[b.spot] == b.from, s.had(b.spot, b.to)
	list := s.come[s.at(b.from)]
	if first {
		list = s.fresh(b.from)
	}
	next := &s.next[s.at(b.from)]
	for i := range list {
		j := list[(*next+i)%len(list)]
		if (s.orig[j] == b.from) == first && s.had(j, b.to) == back && can(j) {
			*next = (*next + i) % len(list)
			return j, true
		}
	}
	return 0, false
}

// had tells whether disk y, which the group of the j-th shard lacks, was one of its disks.
func (s *search) had(j, y int32) bool {
	return s.orig[j] == y || s.exile(j, y) >= 0
}

// agree tells whether x has a shard too many and y one too few, or can make it so.
func (s *search) agree(x, y int32) bool {
	give, take := noDisk, noDisk
	if s.surplus(x) <= 0 {
		if x < 0 || s.load[x] < s.want[x] || s.want[x] <= s.least[x] {
			return false
		}
		if give = s.standIn(s.keepers(), x); give < 0 {
			return false
		}
	}
	if s.load[y] >= s.want[y] {
		if s.load[y] > s.want[y] || s.want[y] >= s.most[y] {
			return false
		}
		if take = s.waiver(s.waivers(), y); take < 0 {
			return false
		}
	}
	if give >= 0 {
		s.rewant(give, x)
	}
	if take >= 0 {
		s.rewant(y, take)
	}
	return true
}
