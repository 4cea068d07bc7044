package placement

import (
	"cmp"
	"math/bits"
	"slices"
)

// A side is a child of a node that must give shards to its siblings or get some from them.
// The root has one more: the shards without a disk.
type side struct {
	node  int32 // noDisk for those without
	count int64
}

// A candidate is a shard that may leave a giver, for the receivers in the mask.
type candidate struct {
	spot  int32
	giver int32 // index
	mask  uint64
}

// exchange moves what must cross between the children of a node, and then goes on below it.
func (c *changer) exchange(i int32) {
	d := &c.forest[i]
	if len(d.children) == 0 {
		return
	}
	givers, receivers := c.sides(i)
	for chunk := range slices.Chunk(receivers, 64) {
		c.trade(i, givers, chunk)
	}
	for _, k := range d.children {
		if c.need[k] > 0 {
			c.exchange(k)
		}
	}
}

// sides compares what the children of a node have with what they should.
func (c *changer) sides(i int32) (givers, receivers []side) {
	if i == 0 {
		if n := c.surplus(noDisk); n > 0 {
			givers = append(givers, side{noDisk, n})
		}
	}
	for _, k := range c.forest[i].children {
		net := c.forest[k].load
		for d := c.forest[k].lo; d < c.forest[k].hi; d++ {
			net -= c.load[d]
		}
		if net > 0 {
			receivers = append(receivers, side{k, net})
		} else if net < 0 {
			givers = append(givers, side{k, -net})
		}
	}
	slices.SortStableFunc(receivers, func(a, b side) int { return cmp.Compare(b.count, a.count) })
	return givers, receivers
}

// trade takes shards from givers to receivers, of which there are at most 64.
func (c *changer) trade(i int32, givers, receivers []side) {
	var list []candidate
	supply := map[class]int64{}
	for g := range givers {
		if givers[g].count > 0 {
			list = c.candidates(i, list, supply, g, givers[g], receivers)
		}
	}
	flow := assign(supply, givers, receivers)
	for _, strict := range []bool{true, false} { // then whatever is still possible
		for _, can := range list {
			c.send(can, givers, receivers, flow, strict)
		}
	}
}

// send moves a candidate to a receiver, if there is one for it still.
func (c *changer) send(can candidate, givers, receivers []side, flow map[class][]int64, strict bool) {
	g := &givers[can.giver]
	x := c.rows[can.spot]
	if g.count == 0 || x >= 0 && c.load[x] <= c.want[x] || g.node < 0 && x >= 0 || g.node >= 0 && !c.within(x, g.node) {
		return
	}
	row, _ := c.group(can.spot)
	quota := flow[class{can.giver, can.mask}]
	for m := can.mask; m != 0; m &= m - 1 {
		r := bits.TrailingZeros64(m)
		if receivers[r].count == 0 || strict && quota[r] == 0 || !c.room(c.up[receivers[r].node], receivers[r].node, row) {
			continue
		}
		y, ok := c.seek(receivers[r].node, row)
		if !ok {
			continue
		}
		c.put(can.spot, y)
		g.count--
		receivers[r].count--
		if strict {
			quota[r]--
		}
		return
	}
}

func (c *changer) within(x, node int32) bool {
	return x >= c.forest[node].lo && x < c.forest[node].hi
}

// candidates adds shards that may leave giver g, until there are plenty for each receiver.
func (c *changer) candidates(i int32, list []candidate, supply map[class]int64, g int, giver side, receivers []side) []candidate {
	lists := c.leaving(giver.node)
	plenty := make([]int64, len(receivers))
	short := 0
	for r := range receivers {
		plenty[r] = 4*min(giver.count, receivers[r].count) + 64
		short++
	}
	for k := 0; len(lists) > 0 && short > 0; k++ {
		left := lists[:0]
		for _, l := range lists {
			if k >= len(l) {
				continue
			}
			left = append(left, l)
			if c.wide {
				o := k + c.rng.IntN(len(l)-k)
				l[k], l[o] = l[o], l[k]
			}
			row, at := c.group(l[k])
			mask := uint64(0)
			for r := range receivers {
				if c.room(i, receivers[r].node, row) {
					mask |= 1 << r
					if plenty[r]--; plenty[r] == 0 {
						short--
					}
				}
			}
			if mask != 0 && (row[at] < 0) == (giver.node < 0) {
				list = append(list, candidate{l[k], int32(g), mask})
				supply[class{int32(g), mask}]++
			}
		}
		lists = left
	}
	return list
}

// leaving returns the lists of shards that may leave a giver: those of its disks that have
// too many, or those without a disk.
func (c *changer) leaving(node int32) [][]int32 {
	if node < 0 {
		return [][]int32{c.fresh(noDisk)}
	}
	var lists [][]int32
	for x := c.forest[node].lo; x < c.forest[node].hi; x++ {
		if c.load[x] > c.want[x] {
			lists = append(lists, c.fresh(x))
		}
	}
	return lists
}

// fresh drops what is out of date from the list of a disk's shards, and returns it.
func (c *changer) fresh(x int32) []int32 {
	at := c.at(x)
	if c.stale[at] {
		c.spots[at] = slices.DeleteFunc(c.spots[at], func(j int32) bool { return c.rows[j] != x })
		c.stale[at] = false
	}
	return c.spots[at]
}

// A class is shards of one giver that may go to the same receivers.
type class struct {
	giver int32
	mask  uint64
}

// assign finds how many shards of each class should go to each receiver, so that as many as
// possible find a place: a maximum flow from givers by classes to receivers.
func assign(supply map[class]int64, givers, receivers []side) map[class][]int64 {
	classes := make([]class, 0, len(supply))
	for k := range supply {
		classes = append(classes, k)
	}
	slices.SortFunc(classes, func(a, b class) int {
		return cmp.Or(cmp.Compare(bits.OnesCount64(a.mask), bits.OnesCount64(b.mask)), cmp.Compare(a.giver, b.giver), cmp.Compare(a.mask, b.mask))
	})
	f := newFlow(2 + len(givers) + len(classes) + len(receivers))
	source, sink := 0, 1
	giver := func(i int) int { return 2 + i }
	kind := func(i int) int { return 2 + len(givers) + i }
	receiver := func(i int) int { return 2 + len(givers) + len(classes) + i }
	for i, g := range givers {
		f.arc(source, giver(i), g.count)
	}
	flow := make(map[class][]int64, len(classes))
	out := make([][]int, len(classes))
	for i, k := range classes {
		f.arc(giver(int(k.giver)), kind(i), supply[k])
		for r := range receivers {
			if k.mask&(1<<r) != 0 {
				out[i] = append(out[i], f.arc(kind(i), receiver(r), supply[k]))
			}
		}
	}
	for r, side := range receivers {
		f.arc(receiver(r), sink, side.count)
	}
	f.run(source, sink)
	for i, k := range classes {
		quota := make([]int64, len(receivers))
		for _, a := range out[i] {
			quota[f.to[a]-receiver(0)] = f.flow(a)
		}
		flow[k] = quota
	}
	return flow
}
