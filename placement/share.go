package placement

import (
	"cmp"
	"math/bits"
	"slices"
)

// unit is one shard in the fixed-point numbers of shares. The shares of a whole table stay
// below 2^58: 2^18 groups of 255 shards. Integers give the same table on every machine.
const unit = 1 << 32

// A node is a domain with its share of the shards of all groups.
type node struct {
	lo, hi   int32   // its disks
	children []int32 // none: a disk
	weight   uint64
	most     int    // shards of one group that fit
	share    uint64 // of all groups, by unit
	load     int64  // the share as a whole number
}

// A forest is the nodes of a tree, the root first, each before what is below it.
type forest []node

// newForest makes the nodes with their weights and with what fits of a group of n shards.
func (t *Tree) newForest(l Limits, n int) forest {
	shift := 0 // so that the weights' sum does not overflow
	for total := weights(t.leaves, 0); total > 1<<62; total = weights(t.leaves, shift) {
		shift++
	}
	f := forest{{lo: 0, hi: int32(len(t.leaves))}}
	var grow func(i int32, level int)
	grow = func(i int32, level int) {
		lo, hi := f[i].lo, f[i].hi
		if level == len(t.levels) {
			for d := lo; d < hi; d++ {
				w := t.leaves[d].weight() >> shift
				f = append(f, node{lo: d, hi: d + 1, weight: w, most: int(min(w, 1))})
				f[i].children = append(f[i].children, int32(len(f)-1))
			}
		} else {
			for a := lo; a < hi; {
				b := a + 1
				for b < hi && t.domain[level][b] == t.domain[level][a] {
					b++
				}
				f = append(f, node{lo: a, hi: b})
				c := int32(len(f) - 1)
				f[i].children = append(f[i].children, c)
				grow(c, level+1)
				if limit := l[t.levels[level]]; limit > 0 {
					f[c].most = min(f[c].most, limit)
				}
				a = b
			}
		}
		for _, c := range f[i].children {
			f[i].weight += f[c].weight
			f[i].most = min(f[i].most+f[c].most, n)
		}
	}
	grow(0, 0)
	return f
}

func weights(leaves []Leaf, shift int) float64 {
	sum := 0.0
	for _, l := range leaves {
		sum += float64(l.weight() >> shift)
	}
	return sum
}

// fill gives the root n shards of each group and spreads them below: in proportion to
// weight, a domain no more than fits, the rest over the others.
func (f forest) fill(n, pgs int) {
	f[0].share = uint64(n) * uint64(pgs) * unit
	for i := range f {
		f.spread(&f[i], uint64(pgs)*unit)
	}
}

func (f forest) spread(d *node, group uint64) {
	open := slices.Clone(d.children)
	left := d.share
	for len(open) > 0 {
		weight := uint64(0)
		for _, c := range open {
			weight += f[c].weight
		}
		if weight == 0 {
			return
		}
		took := uint64(0)
		under := open[:0:0]
		for _, c := range open {
			if most := uint64(f[c].most) * group; mulDiv(left, f[c].weight, weight) >= most {
				f[c].share = most
				took += most
			} else {
				under = append(under, c)
			}
		}
		if len(under) == len(open) {
			rest := left
			for _, c := range open {
				f[c].share = mulDiv(left, f[c].weight, weight)
				rest -= f[c].share
			}
			for i := 0; rest > 0 && i < len(open); i++ { // less than a unit each
				f[open[i]].share++
				rest--
			}
			return
		}
		left -= min(took, left)
		open = under
	}
}

// mulDiv is a*b/c for b <= c.
func mulDiv(a, b, c uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	q, _ := bits.Div64(hi, lo, c)
	return q
}

// round gives every domain a whole number of shards next to its share, below or above, the
// largest remainders first.
func (f forest) round() {
	f[0].load = int64(f[0].share / unit)
	for i := range f {
		d := &f[i]
		if len(d.children) == 0 {
			continue
		}
		rise := slices.Clone(d.children)
		slices.SortStableFunc(rise, func(a, b int32) int { return cmp.Compare(f[b].share%unit, f[a].share%unit) })
		left := d.load
		for _, c := range d.children {
			f[c].load = int64(f[c].share / unit)
			left -= f[c].load
		}
		for _, c := range rise[:left] {
			f[c].load++
		}
	}
}

// settle gives every disk a whole number of shards next to its share so that the fewest must
// come to the disks, which have old[d] now: those are rounded up first that have more
// already, then those with the largest remainders, as far as their domains have room, which
// is used up.
// Limits of nested domains are a matroid, so that taking the best next one is best.
func (f forest) settle(old, room []int64) {
	type disk struct {
		node int32
		rank int // 0: has more already, 1: has not, 2: next to no remainder
	}
	var list []disk
	left := int64(f[0].share / unit)
	up := f.parents()
	give := func(i int32, n int64) {
		f[i].load += n
		left -= n
		for ; ; i = up[i] {
			room[i] -= n
			if i == 0 {
				return
			}
		}
	}
	for i := range f {
		d := &f[i]
		d.load = 0
		if len(d.children) > 0 {
			continue
		}
		lo, hi := near(d.share)
		give(int32(i), lo)
		switch {
		case lo == hi:
			list = append(list, disk{int32(i), 2})
		case old[d.lo] > lo:
			list = append(list, disk{int32(i), 0})
		default:
			list = append(list, disk{int32(i), 1})
		}
	}
	slices.SortStableFunc(list, func(a, b disk) int {
		return cmp.Or(a.rank-b.rank, cmp.Compare(f[b.node].share%unit, f[a.node].share%unit))
	})
	for _, d := range list {
		if n := f[d.node].share; left > 0 && n > 0 && fits(d.node, up, room) {
			give(d.node, 1)
		} else if left < 0 && d.rank == 2 && f[d.node].load > 0 {
			give(d.node, -1)
		}
	}
	for i := len(f) - 1; i > 0; i-- {
		f[up[i]].load += f[i].load
	}
}

// room is what each node takes of all groups.
func (f forest) room(pgs int) []int64 {
	room := make([]int64, len(f))
	for i := range f {
		room[i] = int64(f[i].most) * int64(pgs)
	}
	return room
}

// fits tells whether a node and all above it have room.
func fits(i int32, up []int32, room []int64) bool {
	for ; room[i] > 0; i = up[i] {
		if i == 0 {
			return true
		}
	}
	return false
}

// walk calls do for each node with its level: -1 for the root, above that of its children.
func (f forest) walk(do func(i int32, level int)) {
	var down func(i int32, level int)
	down = func(i int32, level int) {
		do(i, level)
		for _, c := range f[i].children {
			down(c, level+1)
		}
	}
	down(0, -1)
}

// parents returns the parent of each node.
func (f forest) parents() []int32 {
	up := make([]int32, len(f))
	for i := range f {
		for _, c := range f[i].children {
			up[c] = int32(i)
		}
	}
	return up
}

// disks returns a number of each disk's node, by position.
func (f forest) disks(n int, of func(*node) int64) []int64 {
	list := make([]int64, n)
	for i := range f {
		if len(f[i].children) == 0 {
			list[f[i].lo] = of(&f[i])
		}
	}
	return list
}

// near rounds a share down and up to whole shards. What is within dust of a whole number is
// that number: the fixed-point numbers are not finer.
func near(share uint64) (lo, hi int64) {
	const dust = unit >> 16
	return int64((share + dust) / unit), int64((share + unit - 1 - min(dust, share)) / unit)
}
