package placement

import "math"

// Metrics say how good a table is for a tree and limits. Loads are counted in shards, and a
// disk's target is its share by water-filling, a fraction.
type Metrics struct {
	PGs       int    `json:"pgs"`
	Shards    int    `json:"shards"`
	Disks     int    `json:"disks"`
	Digest    string `json:"digest"`
	TableSize int64  `json:"table_bytes"`

	ShardsOnSmallest float64 `json:"shards_on_smallest"` // target of the disk with the smallest, above 0
	MaxOverTarget    float64 `json:"max_over_target"`
	MinOverTarget    float64 `json:"min_over_target"`
	StddevOverTarget float64 `json:"stddev_over_target"`
	MaxShardsOff     float64 `json:"max_shards_off"`  // the farthest disk from its target, in shards
	UsableFraction   float64 `json:"usable_fraction"` // mean fill by capacity when the fullest disk is full
	ShareLimited     bool    `json:"share_limited"`   // limits keep some domain below its part of the capacity

	LimitViolations int     `json:"limit_violations"` // rows that break a limit
	DuplicatePGs    int     `json:"duplicate_pgs"`    // rows that name a disk twice
	ShortPGs        int     `json:"short_pgs"`        // rows with a shard without a disk
	UnknownDisks    int     `json:"unknown_disks"`    // shards on disks that the tree lacks
	ScatterWidth    float64 `json:"scatter_width_mean"`
	IndexSpread     float64 `json:"index_spread"` // of a disk's shards, how far the most frequent index is above 1/n, at worst
}

// Measure looks at a table.
func (t *Tree) Measure(tab *Table, l Limits) (Metrics, error) {
	s, err := t.solver(tab.n, l, Options{PGs: tab.PGs()})
	if err != nil {
		return Metrics{}, err
	}
	m := Metrics{PGs: tab.PGs(), Shards: tab.n, Disks: len(t.leaves), Digest: tab.Digest(), TableSize: int64(4 * len(tab.rows))}
	s.rows = make([]int32, len(tab.rows))
	loads := make([]int64, len(t.leaves))
	index := make([]int32, len(t.leaves)*tab.n)
	for j, id := range tab.rows {
		x, ok := t.at[id]
		s.rows[j] = noDisk
		switch {
		case ok:
			s.rows[j] = x
			loads[x]++
			index[int(x)*tab.n+j%tab.n]++
		case id != None:
			m.UnknownDisks++
		}
	}
	s.countRows(&m)
	s.countLoads(&m, loads)
	for x, load := range loads {
		for _, c := range index[x*tab.n : (x+1)*tab.n] {
			if load > 0 {
				m.IndexSpread = max(m.IndexSpread, float64(c)/float64(load)-1/float64(tab.n))
			}
		}
	}
	m.ScatterWidth = s.scatter()
	return m, nil
}

func (s *solver) countRows(m *Metrics) {
	for p := range s.pgs {
		row := s.row(p)
		short, double, broken := false, false, false
		for i, x := range row {
			if x < 0 {
				short = true
				continue
			}
			for _, y := range row[:i] {
				double = double || x == y
			}
			for level, dom := range s.limits.domain {
				if s.limits.level[level] < len(s.tree.levels) {
					broken = broken || s.limits.count(level, row, dom[x]) > s.limits.most[level][dom[x]]
				}
			}
		}
		m.ShortPGs += count(short)
		m.DuplicatePGs += count(double)
		m.LimitViolations += count(broken)
	}
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (s *solver) countLoads(m *Metrics, loads []int64) {
	shares := s.forest.disks(len(loads), func(d *node) int64 { return int64(d.share) })
	m.MinOverTarget, m.ShardsOnSmallest = math.Inf(1), math.Inf(1)
	var sum, squares, fill, full, capacity float64
	used := 0
	for x, load := range loads {
		target, weight := float64(shares[x])/unit, float64(s.tree.leaves[x].weight())
		if target == 0 {
			continue
		}
		used++
		r := float64(load) / target
		m.MaxOverTarget, m.MinOverTarget = max(m.MaxOverTarget, r), min(m.MinOverTarget, r)
		m.MaxShardsOff = max(m.MaxShardsOff, math.Abs(float64(load)-target))
		m.ShardsOnSmallest = min(m.ShardsOnSmallest, target)
		sum += r
		squares += r * r
		full = max(full, float64(load)/weight)
		fill += float64(load)
		capacity += weight
	}
	if used == 0 {
		m.MinOverTarget, m.ShardsOnSmallest = 0, 0
		return
	}
	n := float64(used)
	m.StddevOverTarget = math.Sqrt(max(0, squares/n-(sum/n)*(sum/n)))
	if full > 0 {
		m.UsableFraction = fill / capacity / full
	}
	for i := range s.forest {
		d := &s.forest[i]
		even := float64(s.forest[0].share) * float64(d.weight) / float64(max(1, s.forest[0].weight))
		m.ShareLimited = m.ShareLimited || math.Abs(float64(d.share)-even) > 1e-6*even+unit/1e3
	}
}

// A Distance says how far two tables are apart.
type Distance struct {
	MovedShards     int64   `json:"moved_pos"` // shard indexes that change their disk
	MovedMembers    int64   `json:"moved_set"` // disks that a group did not have before
	LostShards      int64   `json:"lost"`      // shards of disks that are gone
	Collateral      int64   `json:"collateral_moves"`
	BoundOwn        int64   `json:"bound_own_loads"`
	BoundIdeal      float64 `json:"bound_ideal"`
	MovedOverOwn    float64 `json:"moved_over_bound_own"`
	MovedOverIdeal  float64 `json:"moved_over_bound"`
	MovedOfAll      float64 `json:"moved_fraction"`
	CollateralRatio float64 `json:"collateral_over_lost"`
}

// Compare measures the way from one table, made for tree from, to another, made for tree t:
// how much moves, the least that had to between tables that have exactly their shares, and
// the least from the loads that there were. Collateral moves leave disks that both have.
func (t *Tree) Compare(old, now *Table, from *Tree, l Limits) (Distance, error) {
	var d Distance
	if old.n != now.n || old.PGs() != now.PGs() {
		return d, errShape(old, now)
	}
	for pg := range old.PGs() {
		a, b := old.Disks(pg), now.Disks(pg)
		had := make(map[DiskID]bool, len(a))
		for _, x := range a {
			had[x] = true
		}
		for i := range a {
			_, lives := t.at[a[i]]
			gone := a[i] != None && !lives
			d.LostShards += int64(count(gone))
			if b[i] == None || a[i] == b[i] {
				continue
			}
			d.MovedShards++
			d.Collateral += int64(count(a[i] != None && lives && !t.leaves[t.at[a[i]]].Out))
			d.MovedMembers += int64(count(!had[b[i]]))
		}
	}
	before, err := from.solver(old.n, l, Options{PGs: old.PGs()})
	if err != nil {
		return d, err
	}
	after, err := t.solver(old.n, l, Options{PGs: old.PGs()})
	if err != nil {
		return d, err
	}
	d.BoundIdeal = ideal(before, after)
	d.BoundOwn = after.change(old, true).bound
	if d.BoundOwn > 0 {
		d.MovedOverOwn = float64(d.MovedShards) / float64(d.BoundOwn)
	}
	if d.BoundIdeal > 0 {
		d.MovedOverIdeal = float64(d.MovedShards) / d.BoundIdeal
	}
	if d.LostShards > 0 {
		d.CollateralRatio = float64(d.Collateral) / float64(d.LostShards)
	}
	d.MovedOfAll = float64(d.MovedShards) / float64(len(old.rows))
	return d, nil
}

// ideal is the sum of what disks gain between exact shares.
func ideal(before, after *solver) float64 {
	had := before.forest.disks(len(before.tree.leaves), func(d *node) int64 { return int64(d.share) })
	gain := 0.0
	for x, share := range after.forest.disks(len(after.tree.leaves), func(d *node) int64 { return int64(d.share) }) {
		old := int64(0)
		if at, ok := before.tree.at[after.tree.leaves[x].ID]; ok {
			old = had[at]
		}
		gain += float64(max(0, share-old)) / unit
	}
	if gain < 1e-3 { // dust of the fixed-point numbers
		return 0
	}
	return gain
}
