package placement

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// check holds a table against the rule, counting independently.
func check(t interface{ Fatalf(string, ...any) }, m *Map, tab *Table, n int, r Rule) map[DiskID]int {
	where := map[DiskID]leaf{}
	for _, l := range m.leaves() {
		where[l.ID] = l
	}
	loads := map[DiskID]int{}
	for pg := range tab.PGs() {
		row := tab.Disks(pg)
		site, rack, host, disk := map[int]int{}, map[int]int{}, map[int]int{}, map[DiskID]int{}
		if len(row) != n {
			t.Fatalf("group %d has %d shards", pg, len(row))
		}
		for _, d := range row {
			l, ok := where[d]
			if !ok {
				t.Fatalf("group %d: disk %d is not in the map", pg, d)
			}
			site[l.site]++
			rack[l.rack]++
			host[l.host]++
			disk[d]++
			loads[d]++
			if r.Site > 0 && site[l.site] > r.Site || r.Rack > 0 && rack[l.rack] > r.Rack || r.Host > 0 && host[l.host] > r.Host || disk[d] > 1 {
				t.Fatalf("group %d breaks %+v: %v", pg, r, row)
			}
		}
	}
	return loads
}

func TestDefault(t *testing.T) {
	m := Uniform(3, 2, 2, 3, []string{"a", "b"}, 1e12)
	r, err := Tightest(m, 15)
	if err != nil || r != (Rule{Site: 5, Rack: 3, Host: 2}) {
		t.Fatalf("Tightest = %+v, %v", r, err)
	}
	tab, err := Build(m, 15, r, Options{})
	if err != nil {
		t.Fatal(err)
	}
	loads := check(t, m, tab, 15, r)
	want := tab.PGs() * 15 / 36
	for d, n := range loads {
		if n < want || n > want+1 {
			t.Errorf("disk %d has %d shards, want %d or %d", d, n, want, want+1)
		}
	}
	had := map[DiskID]map[int]int{}
	for pg := range tab.PGs() {
		for i, d := range tab.Disks(pg) {
			if had[d] == nil {
				had[d] = map[int]int{}
			}
			had[d][i]++
		}
	}
	for d, by := range had {
		lo, hi := 1<<30, 0
		for i := range 15 {
			lo, hi = min(lo, by[i]), max(hi, by[i])
		}
		if hi-lo > 4 {
			t.Errorf("disk %d has shard indexes %d to %d times", d, lo, hi)
		}
	}
}

// TestTight: 12 shards on exactly 12 hosts of mixed size, one each, always fit.
func TestTight(t *testing.T) {
	m := Uniform(3, 1, 4, 2, nil, 1)
	for i := range m.Sites {
		for j := range m.Sites[i].Racks[0].Hosts {
			for k := range m.Sites[i].Racks[0].Hosts[j].Disks {
				m.Sites[i].Racks[0].Hosts[j].Disks[k].Capacity = int64(10+8*(j%2)) * 1e12
			}
		}
	}
	r := Rule{Host: 1}
	tab, err := Build(m, 12, r, Options{PGs: 4096})
	if err != nil {
		t.Fatal(err)
	}
	check(t, m, tab, 12, r)
}

// drawMap is any small tree.
func drawMap(t *rapid.T) *Map {
	m := &Map{Epoch: 1}
	id := DiskID(0)
	for s := range rapid.IntRange(1, 4).Draw(t, "sites") {
		site := Site{Name: fmt.Sprint("s", s)}
		for r := range rapid.IntRange(1, 3).Draw(t, "racks") {
			rack := Rack{Name: fmt.Sprint("r", r)}
			for h := range rapid.IntRange(1, 3).Draw(t, "hosts") {
				host := Host{Name: fmt.Sprint("h", h)}
				for d := range rapid.IntRange(1, 4).Draw(t, "disks") {
					host.Disks = append(host.Disks, Disk{ID: id, Name: fmt.Sprint("d", d), Capacity: rapid.Int64Range(1, 1e13).Draw(t, "capacity")})
					id++
				}
				rack.Hosts = append(rack.Hosts, host)
			}
			site.Racks = append(site.Racks, rack)
		}
		m.Sites = append(m.Sites, site)
	}
	return m
}

func TestBuildProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawMap(t)
		n := rapid.IntRange(1, 12).Draw(t, "n")
		r, err := Tightest(m, n)
		if err != nil {
			if len(m.Disks()) >= n {
				t.Fatalf("%d disks, %d shards: %v", len(m.Disks()), n, err)
			}
			return
		}
		r.Site += rapid.IntRange(0, 2).Draw(t, "slack")
		tab, err := Build(m, n, r, Options{PGs: 1 << rapid.IntRange(0, 7).Draw(t, "pgs"), Seed: 9})
		if err != nil {
			t.Fatalf("%+v: %v", r, err)
		}
		check(t, m, tab, n, r)
		again, _ := Build(m, n, r, Options{PGs: tab.PGs(), Seed: 9})
		if !reflect.DeepEqual(tab, again) {
			t.Fatalf("two builds differ")
		}
		row := append([]DiskID(nil), tab.Disks(0)...)
		row[0] = None
		for _, d := range m.Candidates(r, row, func(DiskID) bool { return false }) {
			full := append([]DiskID(nil), row...)
			full[0] = d
			check(t, m, &Table{n: n, shift: 64, rows: full}, n, r)
		}
		if !m.Allowed(r, row, tab.Disks(0)[0]) {
			t.Fatalf("the disk that the table chose is not allowed back")
		}
	})
}

func TestImpossible(t *testing.T) {
	m := Uniform(3, 1, 1, 4, nil, 1e12)
	for _, r := range []Rule{{Site: 4}, {Rack: 1}, {Host: 3}} {
		if _, err := Build(m, 15, r, Options{}); !errors.Is(err, ErrRule) {
			t.Errorf("%+v: %v", r, err)
		}
	}
	if _, err := Tightest(m, 13); !errors.Is(err, ErrRule) {
		t.Errorf("13 shards on 12 disks: %v", err)
	}
}

func TestFind(t *testing.T) {
	m := Uniform(2, 2, 1, 2, nil, 1e12)
	for name, want := range map[string]struct {
		kind string
		n    int
	}{"site2": {"site", 4}, "site1/rack2": {"rack", 2}, "site1/rack1/host1": {"host", 2}, "site2/rack1/host1/disk2": {"disk", 1}, "7": {"disk", 1}, "/site1/": {"site", 4}} {
		kind, ids, err := m.Find(name)
		if err != nil || kind != want.kind || len(ids) != want.n {
			t.Errorf("Find(%q) = %s, %v, %v", name, kind, ids, err)
		}
	}
	for _, name := range []string{"", "site3", "rack1", "host1/disk1", "99"} {
		if _, _, err := m.Find(name); !errors.Is(err, ErrUnknown) {
			t.Errorf("Find(%q): %v", name, err)
		}
	}
}

func TestParseTopology(t *testing.T) {
	m, err := ParseTopology([]byte("sites:\n  - name: paris\n    racks:\n      - hosts:\n          - disks: [{count: 2, profile: helium-5w, capacity: 18TB}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if l := m.leaves(); len(l) != 2 || l[1].path() != "paris/rack1/host1/disk2" || l[1].Capacity != 18e12 || l[1].ID != 1 {
		t.Errorf("%+v", l)
	}
	for text, want := range map[string]string{
		"":                                     "empty",
		"sites: []":                            "no site",
		"sites:\n  - nam: paris\n":             "[2:5]",
		"sites:\n  - name: paris\n":            "no rack",
		"sites:\n  - {name: 'a/b', racks: []}": "site name",
		"sites: [{racks: [{hosts: [{disks: [{count: 1, capacity: big}]}]}]}]":                                                           "such as 18TB",
		"sites: [{racks: [{hosts: [{disks: [{count: -1, capacity: 1TB}]}]}]}]":                                                          "-1 disks",
		"sites: [{name: a, racks: [{hosts: [{disks: [{capacity: 1TB}]}]}]}, {name: a, racks: [{hosts: [{disks: [{capacity: 1TB}]}]}]}]": "two of the sites",
	} {
		if _, err := ParseTopology([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", text, err, want)
		}
	}
}

func FuzzParseTopology(f *testing.F) {
	f.Add([]byte("sites:\n  - name: paris\n    racks:\n      - hosts:\n          - disks: [{count: 2, profile: helium-5w, capacity: 18TB}]\n"))
	f.Add([]byte("sites: [{racks: [{hosts: [{disks: [{count: 99999999, capacity: 1TB}]}]}]}]"))
	f.Add([]byte("sites: &a [*a]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if m, err := ParseTopology(text); err == nil && m.Validate() != nil {
			t.Errorf("accepted a map that is not valid: %q", text)
		}
	})
}

func BenchmarkBuild(b *testing.B) {
	m := Uniform(3, 4, 4, 12, nil, 1e13)
	for b.Loop() {
		if _, err := Build(m, 15, Rule{Site: 5, Host: 1}, Options{PGs: 1 << 16}); err != nil {
			b.Fatal(err)
		}
	}
}
