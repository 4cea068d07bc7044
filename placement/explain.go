package placement

import "fmt"

// A Share is what a disk has of a table and what it should have.
type Share struct {
	Shards int64   `json:"shards"`
	Target float64 `json:"target"`
}

// Shares returns the shards of each disk in a table beside its target.
func (t *Tree) Shares(tab *Table, l Limits) (map[DiskID]Share, error) {
	s, err := t.solver(tab.n, l, Options{PGs: tab.PGs()})
	if err != nil {
		return nil, err
	}
	list := make(map[DiskID]Share, len(t.leaves))
	for x, share := range s.forest.disks(len(t.leaves), func(d *node) int64 { return int64(d.share) }) {
		list[t.leaves[x].ID] = Share{Target: float64(share) / unit}
	}
	for _, d := range tab.rows {
		if s, ok := list[d]; ok {
			s.Shards++
			list[d] = s
		}
	}
	return list, nil
}

// Spread says for each limited level how many shards of a row its fullest domain has, such
// as "site 5 of 5 (north), host 1 of 1 (north/r1/h2)".
func (t *Tree) Spread(row []DiskID, l Limits) string {
	text := ""
	for i, level := range t.levels {
		if l[level] == 0 {
			continue
		}
		count, best := map[int32]int{}, int32(-1)
		for _, id := range row {
			if x, ok := t.at[id]; ok {
				k := t.domain[i][x]
				if count[k]++; best < 0 || count[k] > count[t.domain[i][best]] {
					best = x
				}
			}
		}
		if best < 0 {
			continue
		}
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf("%s %d of %d (%s)", level, count[t.domain[i][best]], l[level], Leaf{Disk{Name: t.leaves[best].Path[i]}, t.leaves[best].Path[:i]})
	}
	return text
}
