package placement

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// MaxLevels bounds the depth of a tree.
const MaxLevels = 16

// A Leaf is a disk with the names of the domains that hold it, from the top.
type Leaf struct {
	Disk
	Path []string
}

// A Tree is what tables are built on: disks below levels of failure domains, as many levels
// as there are. A Map is a Tree with the levels site, rack and host.
//
// Its disks stand in an order in which every domain is an interval and which does not
// depend on the order in which they were given: domains by their least disk number.
type Tree struct {
	levels []string
	leaves []Leaf
	domain [][]int32 // by level, and last for the disks, by disk: the number of its domain, rising
	at     map[DiskID]int32
}

// Limits is the largest number of shards of a group in one domain, by level; a level that
// is not named, or 0, has none. A disk holds one at most.
type Limits map[string]int

func (l Limits) String() string {
	var list []string
	for _, k := range slices.Sorted(maps.Keys(l)) {
		if l[k] > 0 {
			list = append(list, fmt.Sprintf("%s=%d", k, l[k]))
		}
	}
	return strings.Join(append(list, "disk=1"), ",")
}

// ParseLimits reads LEVEL=N with commas between, as String writes it. Which levels there are
// is the tree's to say.
func ParseLimits(text string) (Limits, error) {
	l := Limits{}
	for part := range strings.SplitSeq(text, ",") {
		name, number, ok := strings.Cut(strings.TrimSpace(part), "=")
		n, err := strconv.Atoi(number)
		_, twice := l[name]
		if !ok || err != nil || n < 1 || !validName(name) || twice {
			return nil, fmt.Errorf("limits %q: want LEVEL=N with commas between, each level once, such as site=5,host=1", text)
		}
		l[name] = n
	}
	return l, nil
}

// Limits is the rule as limits of a map's levels.
func (r Rule) Limits() Limits { return Limits{"site": r.Site, "rack": r.Rack, "host": r.Host} }

// NewTree makes a tree of disks whose paths have one name for each level. A disk with
// capacity 0 or Out takes no shards.
func NewTree(levels []string, leaves []Leaf) (*Tree, error) {
	if len(levels) > MaxLevels {
		return nil, fmt.Errorf("%w: %d levels of domains are more than %d", ErrMap, len(levels), MaxLevels)
	}
	for i, l := range levels {
		if !validName(l) || l == "disk" || slices.Contains(levels[:i], l) {
			return nil, fmt.Errorf("%w: level %q: want distinct names of letters, digits, '-', '_', none of them disk", ErrMap, l)
		}
	}
	if len(leaves) == 0 {
		return nil, fmt.Errorf("%w: no disk", ErrMap)
	}
	if len(leaves) > MaxDisks {
		return nil, fmt.Errorf("%w: %d disks are more than %d", ErrMap, len(leaves), MaxDisks)
	}
	t := &Tree{levels: levels, leaves: slices.Clone(leaves), at: make(map[DiskID]int32, len(leaves))}
	if err := t.check(); err != nil {
		return nil, err
	}
	t.order()
	return t, nil
}

func (t *Tree) check() error {
	paths := make(map[string]bool, len(t.leaves))
	for _, l := range t.leaves {
		path := l.String()
		switch _, twice := t.at[l.ID]; {
		case len(l.Path) != len(t.levels):
			return fmt.Errorf("%w: disk %s lies %d deep, and the levels are %s", ErrMap, path, len(l.Path), strings.Join(t.levels, ", "))
		case l.ID < 0:
			return fmt.Errorf("%w: disk %s has number %d", ErrMap, path, l.ID)
		case twice:
			return fmt.Errorf("%w: two disks have number %d, %s is one", ErrMap, l.ID, path)
		case paths[path]:
			return fmt.Errorf("%w: two disks are called %s", ErrMap, path)
		case l.Capacity < 0 || l.Capacity > maxCapacity:
			return fmt.Errorf("%w: disk %s has a capacity of %d bytes, which no disk has", ErrMap, path, l.Capacity)
		}
		t.at[l.ID] = 0
		paths[path] = true
	}
	return nil
}

const maxCapacity = 1 << 56 // bytes

// String is the path of a disk.
func (l Leaf) String() string { return strings.Join(append(slices.Clone(l.Path), l.Name), "/") }

// weight is what a disk's share is in proportion to.
func (d Disk) weight() uint64 {
	if d.Out {
		return 0
	}
	return uint64(d.Capacity)
}

// order sorts the disks and numbers the domains.
func (t *Tree) order() {
	least := map[string]DiskID{} // of each domain, by path
	keys := make([][]string, len(t.leaves))
	for i, l := range t.leaves {
		for n := range l.Path {
			key := strings.Join(l.Path[:n+1], "/")
			keys[i] = append(keys[i], key)
			if old, ok := least[key]; !ok || l.ID < old {
				least[key] = l.ID
			}
		}
	}
	rank := make(map[DiskID][]DiskID, len(t.leaves))
	for i, l := range t.leaves {
		for _, key := range keys[i] {
			rank[l.ID] = append(rank[l.ID], least[key])
		}
	}
	slices.SortFunc(t.leaves, func(a, b Leaf) int {
		if c := slices.Compare(rank[a.ID], rank[b.ID]); c != 0 {
			return c
		}
		return int(a.ID) - int(b.ID)
	})
	t.domain = make([][]int32, len(t.levels)+1)
	for level := range t.domain {
		t.domain[level] = make([]int32, len(t.leaves))
		for i := range t.leaves {
			if level == len(t.levels) {
				t.domain[level][i] = int32(i)
				continue
			}
			if i > 0 {
				t.domain[level][i] = t.domain[level][i-1]
				if !slices.Equal(t.leaves[i].Path[:level+1], t.leaves[i-1].Path[:level+1]) {
					t.domain[level][i]++
				}
			}
		}
	}
	for i, l := range t.leaves {
		t.at[l.ID] = int32(i)
	}
}

// Levels names the levels of domains from the top, without the disks.
func (t *Tree) Levels() []string { return t.levels }

// Leaves lists the disks with their paths. It must not be changed.
func (t *Tree) Leaves() []Leaf { return t.leaves }

// Leaf returns a disk by number.
func (t *Tree) Leaf(id DiskID) (Leaf, bool) {
	i, ok := t.at[id]
	if !ok {
		return Leaf{}, false
	}
	return t.leaves[i], true
}

// Tree is the map as a tree. It must be valid.
func (m *Map) Tree() (*Tree, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	var list []Leaf
	for _, s := range m.Sites {
		for _, r := range s.Racks {
			for _, h := range r.Hosts {
				path := []string{s.Name, r.Name, h.Name}
				for _, d := range h.Disks {
					list = append(list, Leaf{d, path})
				}
			}
		}
	}
	return NewTree([]string{"site", "rack", "host"}, list)
}

// limits are the limits that can bind, from the top: those of levels that allow less than
// the ones above. The last level is the disks themselves.
type limits struct {
	level  []int     // of the tree
	domain [][]int32 // by disk: the number of its domain
	most   [][]int32 // by domain
}

// bind checks limits and spells them out, n where there is none.
func (t *Tree) bind(l Limits, n int) (limits, error) {
	for name, most := range l {
		if !slices.Contains(t.levels, name) && (name != "disk" || most != 1) && most != 0 {
			return limits{}, fmt.Errorf("%w: a limit of %d for %q: the levels are %s, and a disk holds 1", ErrRule, most, name, strings.Join(t.levels, ", "))
		}
		if most < 0 {
			return limits{}, fmt.Errorf("%w: a limit of %d for %s", ErrRule, most, name)
		}
	}
	var b limits
	for i, domain := range t.domain {
		limit := 1
		if i < len(t.levels) {
			limit = atMost(n, l[t.levels[i]])
		}
		most := make([]int32, domain[len(domain)-1]+1)
		for d := range most {
			most[d] = int32(limit)
		}
		b.level, b.domain, b.most = append(b.level, i), append(b.domain, domain), append(b.most, most)
	}
	return b, nil
}

// even is the limits with which shards are spread as evenly as they can be over each level:
// a domain has no more of a group than its share rounded up. The deal keeps them.
func (b limits) even(t *Tree, f forest, pgs int) limits {
	e := b
	e.most = make([][]int32, len(b.most))
	for i, most := range b.most {
		e.most[i] = slices.Clone(most)
	}
	f.walk(func(i int32, level int) {
		if level < 0 {
			return
		}
		d := &f[i]
		k := t.domain[level][d.lo]
		_, share := near(d.share / uint64(pgs))
		e.most[level][k] = min(e.most[level][k], max(1, int32(share)))
	})
	return e
}

// prune leaves out the levels that limit nothing.
func (b limits) prune(n int) limits {
	var p limits
	above := make([]int32, len(b.domain[0]))
	for x := range above {
		above[x] = int32(n)
	}
	for i, domain := range b.domain {
		binds := false
		for x, d := range domain {
			if b.most[i][d] < above[x] {
				binds = true
				above[x] = b.most[i][d]
			}
		}
		if binds {
			p.level, p.domain, p.most = append(p.level, b.level[i]), append(p.domain, domain), append(p.most, b.most[i])
		}
	}
	return p
}

// below leaves out the levels whose domains all may have n. What a level above would make
// needless stays: rows of an old table may have more than that allows.
func (b limits) below(n int) limits {
	var p limits
	for i, most := range b.most {
		if slices.ContainsFunc(most, func(k int32) bool { return k < int32(n) }) {
			p.level, p.domain, p.most = append(p.level, b.level[i]), append(p.domain, b.domain[i]), append(p.most, most)
		}
	}
	return p
}

// fits tells whether row may have disk y in place of the one at i.
func (b *limits) fits(row []int32, i int, y int32) bool {
	x := row[i]
	for level, dom := range b.domain {
		if x >= 0 && dom[x] == dom[y] {
			continue
		}
		if b.full(level, row, dom[y]) {
			return false
		}
	}
	return true
}

// full tells whether domain d of a level has as many of row as it may.
func (b *limits) full(level int, row []int32, d int32) bool {
	return b.count(level, row, d) >= b.most[level][d]
}

// count is how many of row lie in domain d of a level.
func (b *limits) count(level int, row []int32, d int32) int32 {
	c := int32(0)
	dom := b.domain[level]
	for _, z := range row {
		if z >= 0 && dom[z] == d {
			c++
		}
	}
	return c
}

// Renumber gives the disks of t the numbers that disks of the same path have in old, and the
// others numbers that old does not use.
func (t *Tree) Renumber(old *Tree) (*Tree, error) {
	known, next := map[string]DiskID{}, DiskID(0)
	for _, l := range old.leaves {
		known[l.String()] = l.ID
		next = max(next, l.ID+1)
	}
	list := slices.Clone(t.leaves)
	for i := range list {
		id, ok := known[list[i].String()]
		if !ok {
			id = next
			next++
		}
		list[i].ID = id
	}
	return NewTree(t.levels, list)
}

// Tightest is the tightest even spread of n shards that the tree allows: as few in a domain
// of the first level as can be, then of the second, and so on.
func (t *Tree) Tightest(n int) (Limits, error) {
	l := Limits{}
	if most := t.newForest(nil, n)[0].most; most < n {
		return nil, fmt.Errorf("%w: %d shards need %d disks and %d take shards", ErrRule, n, n, most)
	}
	for _, level := range t.levels {
		for l[level] = 1; t.newForest(l, n)[0].most < n; l[level]++ {
		}
	}
	return l, nil
}
