package placement

import (
	"errors"
	"testing"
)

// mixed is the topology of air and helium hosts in turn.
func mixed(t *testing.T) (*Tree, map[DiskID]Draw) {
	t.Helper()
	m := Uniform(3, 2, 4, 3, nil, 10e12)
	draw := map[DiskID]Draw{}
	for s := range m.Sites {
		for r := range m.Sites[s].Racks {
			for h := range m.Sites[s].Racks[r].Hosts {
				for d := range m.Sites[s].Racks[r].Hosts[h].Disks {
					disk := &m.Sites[s].Racks[r].Hosts[h].Disks[d]
					draw[disk.ID] = Draw{7, 1}
					if h%2 == 1 {
						disk.Capacity = 18e12
						draw[disk.ID] = Draw{5, 1}
					}
				}
			}
		}
	}
	tree, err := m.Tree()
	if err != nil {
		t.Fatal(err)
	}
	return tree, draw
}

func TestRoleSplit(t *testing.T) {
	tree, draw := mixed(t)
	l := Limits{"site": 5, "host": 1}
	tab, on, err := tree.RoleSplit(10, 15, l, draw, Options{PGs: 1 << 10})
	if err != nil {
		t.Fatal(err)
	}
	loads, holes := hold(t, tree, tab, l)
	if holes > 0 {
		t.Errorf("%d holes", holes)
	}
	for pg := range tab.PGs() {
		for i, d := range tab.Disks(pg) {
			if on[d] != (i < 10) {
				t.Fatalf("group %d: shard %d is on disk %d, which is on: %v", pg, i, d, on[d])
			}
		}
	}
	total := int64(0)
	for _, leaf := range tree.Leaves() {
		total += leaf.Capacity
	}
	for _, leaf := range tree.Leaves() {
		fill := float64(loads[leaf.ID]) / float64(15*tab.PGs()) * float64(total) / float64(leaf.Capacity)
		if fill < 0.9 || fill > 1.1 {
			t.Errorf("disk %d is filled to %.3f of the mean", leaf.ID, fill)
		}
	}
	if _, _, err := tree.RoleSplit(3, 3, l, draw, Options{}); !errors.Is(err, ErrRule) {
		t.Errorf("no parity: %v", err)
	}
}

func TestShed(t *testing.T) {
	tree, draw := mixed(t)
	l := Limits{"site": 5, "host": 1}
	before := 0
	for _, use := range []float64{0.1, 0.3, 0.5, 0.7, 0.9} {
		on, err := tree.Shed(15, l, draw, use, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		if len(on) < before {
			t.Errorf("%.0f %% in use: %d disks on, and %d for less", 100*use, len(on), before)
		}
		before = len(on)
		part, _ := tree.without(func(d DiskID) bool { return !on[d] })
		tab, err := part.Build(15, l, Options{PGs: 256})
		if err != nil {
			t.Fatal(err)
		}
		hold(t, part, tab, l)
	}
	if _, err := tree.Shed(15, l, draw, 0.99, 0.9); !errors.Is(err, ErrRule) {
		t.Errorf("99 %% in use at 90 %%: %v", err)
	}
}
