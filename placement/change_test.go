package placement

import (
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// failer is what checks need of a test.
type failer interface {
	Fatalf(string, ...any)
	Helper()
}

// hold checks the rows of a table against limits by counting names, and returns the loads
// and how many shards have no disk.
func hold(t failer, tree *Tree, tab *Table, l Limits) (map[DiskID]int64, int) {
	t.Helper()
	loads, holes := map[DiskID]int64{}, 0
	for pg := range tab.PGs() {
		count := map[string]int{}
		for _, d := range tab.Disks(pg) {
			if d == None {
				holes++
				continue
			}
			leaf, ok := tree.Leaf(d)
			if !ok || leaf.Out {
				t.Fatalf("group %d: disk %d is not in service", pg, d)
			}
			loads[d]++
			count[fmt.Sprint("disk", d)]++
			if count[fmt.Sprint("disk", d)] > 1 {
				t.Fatalf("group %d: disk %d twice: %v", pg, d, tab.Disks(pg))
			}
			path := ""
			for i, level := range tree.Levels() {
				path += "/" + leaf.Path[i]
				count[path]++
				if l[level] > 0 && count[path] > l[level] {
					t.Fatalf("group %d: more than %d in %s %s: %v", pg, l[level], level, path, tab.Disks(pg))
				}
			}
		}
	}
	return loads, holes
}

// A domainOf is the oracle's tree: plain maps and fractions.
type domainOf struct {
	children []*domainOf
	disk     DiskID
	weight   *big.Rat
	most     int
	share    *big.Rat
}

// oracleTree groups disks by path.
func oracleTree(leaves []Leaf, levels []string, l Limits) *domainOf {
	root := &domainOf{disk: None}
	at := map[string]*domainOf{"": root}
	sorted := slices.Clone(leaves)
	slices.SortFunc(sorted, func(a, b Leaf) int { return int(a.ID - b.ID) })
	for _, leaf := range sorted {
		path, d := "", root
		for _, name := range leaf.Path {
			path += "/" + name
			if at[path] == nil {
				at[path] = &domainOf{disk: None}
				d.children = append(d.children, at[path])
			}
			d = at[path]
		}
		c := &domainOf{disk: leaf.ID, weight: new(big.Rat), most: 1}
		c.weight.SetInt64(leaf.Capacity)
		if leaf.Out || leaf.Capacity == 0 {
			c.weight, c.most = new(big.Rat), 0
		}
		d.children = append(d.children, c)
	}
	root.sum(-1, levels, l)
	return root
}

func (d *domainOf) sum(level int, levels []string, l Limits) {
	if d.weight != nil {
		return
	}
	d.weight = new(big.Rat)
	for _, c := range d.children {
		c.sum(level+1, levels, l)
		d.weight.Add(d.weight, c.weight)
		d.most += c.most
	}
	if level >= 0 && l[levels[level]] > 0 {
		d.most = min(d.most, l[levels[level]])
	}
}

// fill is water-filling by fractions: who would get more than fits gets what fits.
func (d *domainOf) fill(share *big.Rat, shares map[DiskID]*big.Rat) {
	d.share = share
	if d.disk != None {
		shares[d.disk] = share
		return
	}
	open, left := slices.Clone(d.children), new(big.Rat).Set(share)
	for {
		weight := new(big.Rat)
		for _, c := range open {
			weight.Add(weight, c.weight)
		}
		var full, rest []*domainOf
		for _, c := range open {
			want := new(big.Rat)
			if weight.Sign() > 0 {
				want.Mul(left, new(big.Rat).Quo(c.weight, weight))
			}
			c.share = want
			if want.Cmp(big.NewRat(int64(c.most), 1)) >= 0 {
				c.share = big.NewRat(int64(c.most), 1)
				full = append(full, c)
			} else {
				rest = append(rest, c)
			}
		}
		if len(full) == 0 || len(rest) == 0 {
			break
		}
		for _, c := range full {
			left.Sub(left, c.share)
		}
		open = rest
	}
	for _, c := range d.children {
		c.fill(c.share, shares)
	}
}

// ends rounds a share of all groups down and up. As in the tables, what is within dust of a
// whole number is that number.
func ends(share *big.Rat, pgs int) (lo, hi int64) {
	x := new(big.Rat).Mul(share, big.NewRat(int64(pgs), 1))
	lo = new(big.Int).Div(x.Num(), x.Denom()).Int64()
	part, dust := new(big.Rat).Sub(x, big.NewRat(lo, 1)), big.NewRat(1, 1<<16)
	switch {
	case part.Cmp(dust) <= 0:
		return lo, lo
	case part.Add(part, dust).Cmp(big.NewRat(1, 1)) >= 0:
		return lo + 1, lo + 1
	}
	return lo, lo + 1
}

// fewest is the oracle: the least number of shards that must move from old to any table
// within the limits whose disks are within a shard of their shares, by successive shortest
// paths in the full network of groups, domains and disks.
func fewest(old *Table, leaves []Leaf, levels []string, l Limits, shares map[DiskID]*big.Rat) int {
	g := &costFlow{}
	source, sink := g.node(), g.node()
	out := map[DiskID]int{}
	const must = 1 << 20
	for _, leaf := range leaves {
		out[leaf.ID] = g.node()
		lo, hi := ends(shares[leaf.ID], old.PGs())
		g.arc(out[leaf.ID], sink, int(lo), -must)
		g.arc(out[leaf.ID], sink, int(hi-lo), 0)
	}
	musts := 0
	for pg := range old.PGs() {
		root := g.node()
		g.arc(source, root, old.N(), 0)
		at := map[string]int{"": root}
		for _, leaf := range leaves {
			path, from := "", root
			for i, name := range leaf.Path {
				path += "/" + name
				if _, ok := at[path]; !ok {
					at[path] = g.node()
					room := old.N()
					if l[levels[i]] > 0 {
						room = l[levels[i]]
					}
					g.arc(from, at[path], room, 0)
				}
				from = at[path]
			}
			cost := 1
			if slices.Contains(old.Disks(pg), leaf.ID) {
				cost = 0
			}
			g.arc(from, out[leaf.ID], 1, cost)
		}
	}
	for _, leaf := range leaves {
		lo, _ := ends(shares[leaf.ID], old.PGs())
		musts += int(lo)
	}
	flow, cost := g.run(source, sink)
	if flow != old.PGs()*old.N() {
		return -1
	}
	return cost + must*musts
}

// A costFlow is a network with costs.
type costFlow struct {
	arcs [][]int // by node
	to   []int
	room []int
	cost []int
}

func (g *costFlow) node() int {
	g.arcs = append(g.arcs, nil)
	return len(g.arcs) - 1
}

func (g *costFlow) arc(from, to, room, cost int) {
	g.arcs[from] = append(g.arcs[from], len(g.to))
	g.arcs[to] = append(g.arcs[to], len(g.to)+1)
	g.to, g.room, g.cost = append(g.to, to, from), append(g.room, room, 0), append(g.cost, cost, -cost)
}

// run is Bellman and Ford's shortest paths, one after another.
func (g *costFlow) run(source, sink int) (flow, cost int) {
	for {
		const far = 1 << 60
		dist, by, queued := make([]int, len(g.arcs)), make([]int, len(g.arcs)), make([]bool, len(g.arcs))
		for i := range dist {
			dist[i], by[i] = far, -1
		}
		dist[source] = 0
		queue := []int{source}
		for len(queue) > 0 {
			u := queue[0]
			queue = queue[1:]
			queued[u] = false
			for _, a := range g.arcs[u] {
				if v := g.to[a]; g.room[a] > 0 && dist[u]+g.cost[a] < dist[v] {
					dist[v], by[v] = dist[u]+g.cost[a], a
					if !queued[v] {
						queued[v] = true
						queue = append(queue, v)
					}
				}
			}
		}
		if dist[sink] == far {
			return flow, cost
		}
		n := 1 << 30
		for v := sink; v != source; v = g.to[by[v]^1] {
			n = min(n, g.room[by[v]])
		}
		for v := sink; v != source; v = g.to[by[v]^1] {
			g.room[by[v]] -= n
			g.room[by[v]^1] += n
		}
		flow, cost = flow+n, cost+n*dist[sink]
	}
}

// drawTree is a tree of one to four levels.
func drawTree(t *rapid.T) ([]string, []Leaf) {
	levels := []string{"region", "site", "rack", "host"}[:rapid.IntRange(1, 4).Draw(t, "levels")]
	var leaves []Leaf
	var grow func(path []string)
	grow = func(path []string) {
		if len(path) == len(levels) {
			for range rapid.IntRange(1, 3).Draw(t, "disks") {
				leaves = append(leaves, drawDisk(t, len(leaves), path))
			}
			return
		}
		for i := range rapid.IntRange(1, 3).Draw(t, levels[len(path)]) {
			grow(append(slices.Clone(path), fmt.Sprint("d", i)))
		}
	}
	grow(nil)
	return levels, leaves
}

func drawDisk(t *rapid.T, id int, path []string) Leaf {
	return Leaf{Disk{ID: DiskID(id), Name: fmt.Sprint("disk", id), Capacity: rapid.SampledFrom([]int64{10e12, 18e12, 3e12 + 7}).Draw(t, "capacity")}, path}
}

// drawLimits are limits within which n shards fit.
func drawLimits(t *rapid.T, levels []string, leaves []Leaf, n int) (Limits, bool) {
	l := Limits{}
	for _, level := range levels {
		l[level] = rapid.IntRange(0, 4).Draw(t, "limit "+level)
	}
	for try := 0; ; try++ {
		root := oracleTree(leaves, levels, l)
		if root.most >= n {
			return l, true
		}
		if try == 40 {
			return l, false
		}
		for _, level := range levels {
			if l[level] > 0 {
				l[level]++
			}
		}
	}
}

// edit changes some disks: one is gone, out, another size, or new.
func edit(t *rapid.T, leaves []Leaf, next int) []Leaf {
	list := slices.Clone(leaves)
	for range rapid.IntRange(1, 3).Draw(t, "edits") {
		i := rapid.IntRange(0, len(list)-1).Draw(t, "which")
		switch rapid.SampledFrom([]string{"gone", "out", "size", "new", "domain"}).Draw(t, "what") {
		case "gone":
			if len(list) > 1 {
				list = slices.Delete(list, i, i+1)
			}
		case "out":
			list[i].Out = !list[i].Out
		case "size":
			list[i].Capacity = rapid.SampledFrom([]int64{1e12, 10e12, 22e12}).Draw(t, "size")
		case "new":
			list = append(list, drawDisk(t, next, list[i].Path))
			next++
		case "domain":
			path := slices.Clone(list[i].Path)
			path[len(path)-1] = fmt.Sprint("new", next)
			list = append(list, drawDisk(t, next, path))
			next++
		}
	}
	return list
}

// TestChangeProperties edits random trees and holds each table against the limits, the
// shares by fractions, and the fewest moves by an oracle.
func TestChangeProperties(t *testing.T) {
	moved, least := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		levels, leaves := drawTree(t)
		n := rapid.IntRange(1, 6).Draw(t, "n")
		l, ok := drawLimits(t, levels, leaves, n)
		if !ok {
			return
		}
		tree, err := NewTree(levels, leaves)
		if err != nil {
			t.Fatalf("%v", err)
		}
		tab, err := tree.Build(n, l, Options{PGs: 1 << rapid.IntRange(0, 5).Draw(t, "pgs")})
		if err != nil {
			t.Fatalf("%v", err)
		}
		next := len(leaves)
		for range rapid.IntRange(1, 4).Draw(t, "steps") {
			leaves = edit(t, leaves, next)
			next += 3
			root := oracleTree(leaves, levels, l)
			if tree, err = NewTree(levels, leaves); err != nil {
				t.Fatalf("%v", err)
			}
			p, err := tree.Change(tab, l, Options{})
			if root.most < n {
				if err == nil {
					t.Fatalf("%d shards do not fit, and there is a plan", n)
				}
				if _, err = tree.Change(tab, l, Options{Holes: true}); err != nil {
					t.Fatalf("with holes: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatalf("%v", err)
			}
			shares := map[DiskID]*big.Rat{}
			root.fill(big.NewRat(int64(n), 1), shares)
			m, f := holdPlan(t, tree, tab, p, l, shares), fewest(tab, leaves, levels, l, shares)
			if int64(m) < p.Bound || m > f+2+f/10 {
				t.Fatalf("moved %d, oracle %d, bound %d", m, f, p.Bound)
			}
			moved, least = moved+m, least+f
			tab = p.Table
		}
	})
	t.Logf("moved %d, fewest %d: %.4f", moved, least, float64(moved)/float64(max(least, 1)))
}

// holdPlan checks a plan and returns its number of moves.
func holdPlan(t failer, tree *Tree, old *Table, p *Plan, l Limits, shares map[DiskID]*big.Rat) int {
	t.Helper()
	loads, holes := hold(t, tree, p.Table, l)
	if holes != 0 || len(p.Holes) != 0 {
		t.Fatalf("%d holes", holes)
	}
	for id, share := range shares {
		lo, hi := ends(share, old.PGs())
		if lo == hi { // by fixed-point numbers it may be a dust off
			lo, hi = lo-1, hi+1
		}
		if loads[id] < lo || loads[id] > hi {
			t.Fatalf("disk %d has %d shards, its share is %d to %d", id, loads[id], lo, hi)
		}
	}
	rows := slices.Clone(old.rows)
	for _, m := range p.Moves {
		j := m.PG*old.n + m.Shard
		if rows[j] != m.From {
			t.Fatalf("move %+v: the shard is on %d", m, rows[j])
		}
		rows[j] = m.To
	}
	if !slices.Equal(rows, p.Table.rows) {
		t.Fatalf("the moves do not lead to the table")
	}
	return len(p.Moves)
}

// TestChain: hundreds of edits, and neither balance nor movement nor scatter drifts.
func TestChain(t *testing.T) {
	m := Uniform(3, 3, 4, 2, nil, 1e13)
	l := Limits{"site": 5, "host": 1}
	tree, _ := m.Tree()
	tab, err := tree.Build(15, l, Options{PGs: 1 << 9})
	if err != nil {
		t.Fatal(err)
	}
	all := tree.Leaves()
	first, _ := tree.Measure(tab, l)
	gone := map[DiskID]bool{}
	rng := rand.New(rand.NewPCG(7, 7))
	moved, bound := int64(0), int64(0)
	for step := range 500 {
		id := all[rng.IntN(len(all))].ID
		gone[id] = !gone[id] && len(gone) < 12
		if !gone[id] {
			delete(gone, id)
		}
		left := slices.DeleteFunc(slices.Clone(all), func(l Leaf) bool { return gone[l.ID] })
		if tree, err = NewTree(tree.Levels(), left); err != nil {
			t.Fatal(err)
		}
		p, err := tree.Change(tab, l, Options{})
		if err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
		moved, bound = moved+int64(len(p.Moves)), bound+p.Bound
		tab = p.Table
		if step%100 != 99 {
			continue
		}
		root, shares := oracleTree(left, tree.Levels(), l), map[DiskID]*big.Rat{}
		root.fill(big.NewRat(15, 1), shares)
		loads, holes := hold(t, tree, tab, l)
		for id, share := range shares {
			if lo, hi := ends(share, tab.PGs()); loads[id] < lo-1 || loads[id] > hi+1 || holes > 0 {
				t.Fatalf("step %d: disk %d has %d shards, its share is %d to %d; %d holes", step, id, loads[id], lo, hi, holes)
			}
		}
	}
	last, _ := tree.Measure(tab, l)
	if float64(moved) > 1.02*float64(bound) {
		t.Errorf("moved %d shards in 500 edits, and the bound is %d", moved, bound)
	}
	if last.ScatterWidth < 0.95*first.ScatterWidth*float64(last.Disks)/float64(first.Disks) || last.IndexSpread > first.IndexSpread+0.1 {
		t.Errorf("scatter went from %.1f to %.1f of %d disks, index spread from %.3f to %.3f", first.ScatterWidth, last.ScatterWidth, last.Disks, first.IndexSpread, last.IndexSpread)
	}
	t.Logf("moved %d, bound %d, scatter %.1f to %.1f, index spread %.3f to %.3f", moved, bound, first.ScatterWidth, last.ScatterWidth, first.IndexSpread, last.IndexSpread)
}

// TestTightRack: where a site limit is tight, shards must still reach other sites.
func TestTightRack(t *testing.T) {
	tree, _ := Uniform(4, 10, 3, 2, nil, 1e13).Tree()
	l := Limits{"site": 4, "rack": 2, "host": 1}
	tab, err := tree.Build(15, l, Options{PGs: 1 << 11})
	if err != nil {
		t.Fatal(err)
	}
	left := slices.DeleteFunc(slices.Clone(tree.Leaves()), func(l Leaf) bool { return l.Path[0] == "site1" && l.Path[1] == "rack1" })
	tree, _ = NewTree(tree.Levels(), left)
	p, err := tree.Change(tab, l, Options{})
	if err != nil {
		t.Fatal(err)
	}
	hold(t, tree, p.Table, l)
	if float64(len(p.Moves)) > 1.02*float64(p.Bound) {
		t.Errorf("moved %d, bound %d", len(p.Moves), p.Bound)
	}
}

// TestHoles: what fits nowhere is a named hole, and is filled when there is room again.
func TestHoles(t *testing.T) {
	tree, _ := Uniform(3, 1, 5, 2, nil, 1e13).Tree()
	l := Limits{"site": 5, "host": 1}
	tab, err := tree.Build(15, l, Options{PGs: 64})
	if err != nil {
		t.Fatal(err)
	}
	two, _ := NewTree(tree.Levels(), slices.DeleteFunc(slices.Clone(tree.Leaves()), func(l Leaf) bool { return l.Path[0] == "site2" }))
	if _, err := two.Change(tab, l, Options{}); !errors.Is(err, ErrRule) {
		t.Fatalf("15 shards on two sites of 5: %v", err)
	}
	p, err := two.Change(tab, l, Options{Holes: true})
	if err != nil || len(p.Holes) != 5*64 || len(p.Moves) != 0 {
		t.Fatalf("%d holes and %d moves, %v", len(p.Holes), len(p.Moves), err)
	}
	hold(t, two, p.Table, l)
	p, err = tree.Change(p.Table, l, Options{})
	if err != nil || len(p.Holes) != 0 || len(p.Moves) != 5*64 {
		t.Fatalf("the site is back: %d holes and %d moves, %v", len(p.Holes), len(p.Moves), err)
	}
	hold(t, tree, p.Table, l)
}

// TestStricter: a stricter limit moves what breaks it and no more.
func TestStricter(t *testing.T) {
	tree, _ := Uniform(2, 2, 2, 3, nil, 1e13).Tree()
	rows := make([]DiskID, 0, 64)
	for range 16 { // all four on one site, in turn
		rows = append(rows, 0, 3, 6, 9)
	}
	tab, err := NewTable(4, rows)
	if err != nil {
		t.Fatal(err)
	}
	l := Limits{"site": 2}
	p, err := tree.Change(tab, l, Options{})
	if err != nil {
		t.Fatal(err)
	}
	hold(t, tree, p.Table, l)
	if p.Bound > int64(len(p.Moves)) || p.Bound < 32 {
		t.Errorf("moved %d, bound %d", len(p.Moves), p.Bound)
	}
}

// TestOrder: the endangered go first.
func TestOrder(t *testing.T) {
	tree, _ := Uniform(3, 2, 3, 3, nil, 1e13).Tree()
	l := Limits{"site": 3}
	tab, _ := tree.Build(6, l, Options{PGs: 256})
	left := slices.DeleteFunc(slices.Clone(tree.Leaves()), func(l Leaf) bool { return l.ID < 4 })
	next, _ := NewTree(tree.Levels(), left)
	p, err := next.Change(tab, l, Options{})
	if err != nil {
		t.Fatal(err)
	}
	lost := map[int]int{}
	for _, m := range p.Moves {
		if m.Lost {
			lost[m.PG]++
		}
	}
	for i, m := range p.Moves[1:] {
		if lost[m.PG] > lost[p.Moves[i].PG] {
			t.Fatalf("move %d is of a group that lost %d, the one before of one that lost %d", i+1, lost[m.PG], lost[p.Moves[i].PG])
		}
	}
}
