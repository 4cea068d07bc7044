package placement

import (
	"encoding/binary"
	"fmt"
	"math/big"
	"math/bits"
	"math/rand/v2"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// Options say how Build builds. The zero value chooses.
type Options struct {
	PGs  int    // placement groups, a power of two; 0: enough for 100 shards on the smallest disk
	Seed uint64 // of the mixing
}

// MaxPGs bounds the size of a table.
const MaxPGs = 1 << 18

// A Table gives each placement group the disks of its shards.
type Table struct {
	n     int
	shift uint
	rows  []DiskID // n for each group
}

// PGs is the number of placement groups.
func (t *Table) PGs() int { return len(t.rows) / t.n }

// PG is the placement group of a stripe.
func (t *Table) PG(stripe uint64) int {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], stripe)
	return int(xxhash.Sum64(b[:]) >> t.shift)
}

// Disks returns the disk of each shard of a group. It must not be changed.
func (t *Table) Disks(pg int) []DiskID { return t.rows[pg*t.n : (pg+1)*t.n : (pg+1)*t.n] }

// Build deals n shards of each placement group to the disks of m within the rule.
func Build(m *Map, n int, r Rule, o Options) (*Table, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	if n < 1 || n > 255 {
		return nil, fmt.Errorf("%w: %d shards", ErrRule, n)
	}
	leaves := m.leaves()
	if most := feasible(leaves, r, n); most < n {
		return nil, fmt.Errorf("%w: at most %d of %d shards fit with site=%d, rack=%d, host=%d and one a disk; add disks or domains, or use a narrower scheme",
			ErrRule, most, n, r.Site, r.Rack, r.Host)
	}
	root := tree(m, r)
	root.fill(n)
	pgs := o.PGs
	if pgs == 0 {
		pgs = choosePGs(root, n)
	}
	if pgs < 1 || pgs > MaxPGs || pgs&(pgs-1) != 0 {
		return nil, fmt.Errorf("%w: %d placement groups; want a power of two up to %d", ErrRule, pgs, MaxPGs)
	}
	root.round(int64(pgs), int64(pgs)*int64(n))
	t := &Table{n: n, shift: uint(64 - bits.TrailingZeros(uint(pgs))), rows: make([]DiskID, 0, pgs*n)}
	where := map[DiskID]leaf{}
	for _, l := range leaves {
		where[l.ID] = l
	}
	rows := deal(root, pgs, n)
	rng := rand.New(rand.NewPCG(o.Seed, uint64(pgs)))
	mix(rows, where, r, rng)
	turn(rows, n)
	for _, row := range rows {
		t.rows = append(t.rows, row...)
	}
	return t, nil
}

// A node is a domain with its share of the shards of one group, a fraction.
type node struct {
	children []*node
	disk     DiskID
	weight   int64    // capacity below
	most     int      // shards of one group that fit
	share    *big.Rat // expected shards of one group
	load     int64    // shards of all groups
}

// tree is the map with limits: a domain takes what its rule says, and no more than what is
// below it does.
func tree(m *Map, r Rule) *node {
	root := &node{disk: None}
	for _, s := range m.Sites {
		site := root.add()
		for _, k := range s.Racks {
			rack := site.add()
			for _, h := range k.Hosts {
				host := rack.add()
				for _, d := range h.Disks {
					leaf := host.add()
					leaf.disk, leaf.weight, leaf.most = d.ID, d.Capacity, 1
				}
				host.sum(r.Host)
			}
			rack.sum(r.Rack)
		}
		site.sum(r.Site)
	}
	root.sum(0)
	return root
}

func (d *node) add() *node {
	c := &node{disk: None}
	d.children = append(d.children, c)
	return c
}

func (d *node) sum(limit int) {
	for _, c := range d.children {
		d.weight += c.weight
		d.most += c.most
	}
	d.most = atMost(d.most, limit)
}

// fill gives the node n shards of a group and spreads them below: in proportion to
// capacity, a child no more than fits, the rest over the others.
func (d *node) fill(n int) {
	d.share = big.NewRat(int64(n), 1)
	d.spread()
}

func (d *node) spread() {
	if len(d.children) == 0 {
		return
	}
	open := slices.Clone(d.children)
	left := new(big.Rat).Set(d.share)
	for len(open) > 0 {
		weight := int64(0)
		for _, c := range open {
			weight += c.weight
		}
		var under []*node
		took := new(big.Rat)
		for _, c := range open {
			want := new(big.Rat).Mul(left, new(big.Rat).SetFrac(big.NewInt(c.weight), big.NewInt(weight)))
			if most := big.NewRat(int64(c.most), 1); want.Cmp(most) >= 0 {
				c.share = most
				took.Add(took, most)
			} else {
				c.share = want
				under = append(under, c)
			}
		}
		if len(under) == len(open) {
			break
		}
		left.Sub(left, took)
		open = under
	}
	for _, c := range d.children {
		c.spread()
	}
}

// choosePGs takes enough groups for 100 shards on the disk with the smallest share, from 64
// up, as far as the table stays small.
func choosePGs(root *node, n int) int {
	least := 1.0
	var walk func(*node)
	walk = func(d *node) {
		if len(d.children) == 0 {
			if f, _ := d.share.Float64(); f > 0 {
				least = min(least, f)
			}
		}
		for _, c := range d.children {
			walk(c)
		}
	}
	walk(root)
	pgs := 64
	for pgs < 1<<16 && float64(pgs)*least < 100 {
		pgs *= 2
	}
	return pgs
}

// round gives the node a whole number of shards of all groups, and its children whole
// numbers next to their shares, the largest remainders first, each within what fits.
func (d *node) round(pgs, load int64) {
	d.load = load
	if len(d.children) == 0 {
		return
	}
	type part struct {
		c    *node
		rest *big.Rat
	}
	var parts []part
	loads := make([]int64, len(d.children))
	left := load
	total := new(big.Rat)
	for _, c := range d.children {
		total.Add(total, c.share)
	}
	for i, c := range d.children {
		exact := new(big.Rat)
		if total.Sign() > 0 {
			exact.Mul(new(big.Rat).Quo(c.share, total), new(big.Rat).SetInt64(load))
		}
		whole := new(big.Int).Quo(exact.Num(), exact.Denom()).Int64()
		loads[i] = min(whole, pgs*int64(c.most))
		left -= loads[i]
		parts = append(parts, part{c, exact.Sub(exact, new(big.Rat).SetInt64(loads[i]))})
	}
	order := make([]int, len(parts))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return parts[b].rest.Cmp(parts[a].rest) })
	for left > 0 {
		for _, i := range order {
			if left > 0 && loads[i] < pgs*int64(parts[i].c.most) {
				loads[i]++
				left--
			}
		}
	}
	for i, c := range d.children {
		c.round(pgs, loads[i])
	}
}

// deal lists the shards in tree order and gives the j-th to group j mod pgs. A domain is an
// interval of the list, so a group gets at most ceil(load/pgs) of it, which is within its
// limit, and a disk at most once.
func deal(root *node, pgs, n int) [][]DiskID {
	rows := make([][]DiskID, pgs)
	for i := range rows {
		rows[i] = make([]DiskID, 0, n)
	}
	j := 0
	var walk func(*node)
	walk = func(d *node) {
		for range d.load * int64(btoi(len(d.children) == 0)) {
			rows[j] = append(rows[j], d.disk)
			j = (j + 1) % pgs
		}
		for _, c := range d.children {
			walk(c)
		}
	}
	walk(root)
	return rows
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// mix swaps shards between groups where both stay within the rule, so that the shards of a
// disk have many peers; no disk's number of shards changes.
func mix(rows [][]DiskID, where map[DiskID]leaf, r Rule, rng *rand.Rand) {
	const tries = 3
	if len(rows) < 2 {
		return
	}
	for p := range rows {
		for a := range rows[p] {
			for range tries {
				q := rng.IntN(len(rows))
				b := rng.IntN(len(rows[q]))
				if p == q || rows[p][a] == rows[q][b] {
					continue
				}
				x, y := rows[p][a], rows[q][b]
				if fits(rows[p], a, y, where, r) && fits(rows[q], b, x, where, r) {
					rows[p][a], rows[q][b] = y, x
				}
			}
		}
	}
}

// fits tells whether row, with d in place of its i-th disk, keeps the rule.
func fits(row []DiskID, i int, d DiskID, where map[DiskID]leaf, r Rule) bool {
	l := where[d]
	site, rack, host := 0, 0, 0
	for j, x := range row {
		if j == i {
			continue
		}
		if x == d {
			return false
		}
		o := where[x]
		site += btoi(o.site == l.site)
		rack += btoi(o.rack == l.rack)
		host += btoi(o.host == l.host)
	}
	return (r.Site == 0 || site < r.Site) && (r.Rack == 0 || rack < r.Rack) && (r.Host == 0 || host < r.Host)
}

// turn orders the disks of each row so that every disk has every shard index about equally
// often: each index in turn goes to the disk that had it the least.
func turn(rows [][]DiskID, n int) {
	had := map[DiskID][]int32{}
	for p, row := range rows {
		for _, d := range row {
			if had[d] == nil {
				had[d] = make([]int32, n)
			}
		}
		assign(row, had, p, n)
	}
}

// assign orders one row; the index that chooses first changes from row to row.
func assign(row []DiskID, had map[DiskID][]int32, p, n int) {
	left := slices.Clone(row)
	for step := range n {
		i := (p + step) % n
		best := 0
		for j, d := range left {
			if had[d][i] < had[left[best]][i] || had[d][i] == had[left[best]][i] && d < left[best] {
				best = j
			}
		}
		row[i] = left[best]
		had[left[best]][i]++
		left = slices.Delete(left, best, best+1)
	}
}
