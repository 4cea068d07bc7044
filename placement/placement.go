// Package placement chooses the disks that hold the shards of a stripe.
//
// Disks form a tree of failure domains: site, rack, host, disk. A Rule says how many shards
// of a stripe one domain may hold; a Tree has other levels, and more of them. A Table, built
// from them, gives each placement group the disks of its shards, and Change makes the next
// table when disks come, go, fail or change their size.
//
// # What it promises
//
// The rule holds by construction and is never relaxed. Each disk gets its share of shards,
// in proportion to capacity as far as the rule allows, to within one shard, and each shard
// index about equally often. A change moves as few shards as can be, or nearly. The same
// disks, rule and options give the same table on every machine, in whatever order they are
// given. A rule that cannot be met is an error that says why.
package placement

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A DiskID names a disk for as long as the cluster lives.
type DiskID int32

// None is where a shard is that has no disk.
const None DiskID = -1

// A Disk is a leaf of the tree.
type Disk struct {
	ID       DiskID `json:"id"`
	Name     string `json:"name"`
	Profile  string `json:"profile,omitempty"`
	Capacity int64  `json:"capacity"`      // bytes
	Out      bool   `json:"out,omitempty"` // takes no shards: it is being drained
}

// A Host holds disks.
type Host struct {
	Name  string `json:"name"`
	Disks []Disk `json:"disks"`
}

// A Rack holds hosts.
type Rack struct {
	Name  string `json:"name"`
	Hosts []Host `json:"hosts"`
}

// A Site holds racks.
type Site struct {
	Name  string `json:"name"`
	Racks []Rack `json:"racks"`
}

// A Map is the tree of a cluster at an epoch.
type Map struct {
	Epoch uint64 `json:"epoch"`
	Sites []Site `json:"sites"`
	Next  int32  `json:"next,omitempty"` // numbers below it were used, by disks that may be gone
}

// A Rule is the largest number of shards of a stripe that a domain may hold; 0 is no limit.
// A disk holds one at most.
type Rule struct {
	Site int `json:"site,omitempty"`
	Rack int `json:"rack,omitempty"`
	Host int `json:"host,omitempty"`
}

// Errors of maps and rules.
var (
	ErrMap     = errors.New("bad cluster map")
	ErrRule    = errors.New("the rule cannot be met")
	ErrUnknown = errors.New("unknown name")
)

// A leaf is a disk with the numbers of its domains, counted over the whole map.
type leaf struct {
	Disk
	site, rack, host int
	names            [3]string // of site, rack and host
}

func (l leaf) path() string {
	return strings.Join([]string{l.names[0], l.names[1], l.names[2], l.Name}, "/")
}

// leaves lists the disks in tree order.
func (m *Map) leaves() []leaf {
	var list []leaf
	rack, host := -1, -1
	for s, site := range m.Sites {
		for _, r := range site.Racks {
			rack++
			for _, h := range r.Hosts {
				host++
				for _, d := range h.Disks {
					list = append(list, leaf{d, s, rack, host, [3]string{site.Name, r.Name, h.Name}})
				}
			}
		}
	}
	return list
}

// Disks lists the disks in tree order.
func (m *Map) Disks() []Disk {
	var list []Disk
	for _, l := range m.leaves() {
		list = append(list, l.Disk)
	}
	return list
}

// MaxDisks bounds the size of a map.
const MaxDisks = 1 << 20

// Validate tells what is wrong with a map, if anything.
func (m *Map) Validate() error {
	if len(m.Sites) == 0 {
		return fmt.Errorf("%w: no site", ErrMap)
	}
	sites := map[string]bool{}
	ids := map[DiskID]string{}
	for _, s := range m.Sites {
		if err := unique(sites, "site", s.Name); err != nil {
			return err
		}
		if len(s.Racks) == 0 {
			return fmt.Errorf("%w: site %s has no rack", ErrMap, s.Name)
		}
		if err := s.validate(ids); err != nil {
			return err
		}
	}
	if len(ids) > MaxDisks {
		return fmt.Errorf("%w: %d disks are more than %d", ErrMap, len(ids), MaxDisks)
	}
	return nil
}

func (s Site) validate(ids map[DiskID]string) error {
	racks := map[string]bool{}
	for _, r := range s.Racks {
		if err := unique(racks, "rack", r.Name); err != nil {
			return fmt.Errorf("site %s: %w", s.Name, err)
		}
		if len(r.Hosts) == 0 {
			return fmt.Errorf("%w: rack %s/%s has no host", ErrMap, s.Name, r.Name)
		}
		hosts := map[string]bool{}
		for _, h := range r.Hosts {
			where := s.Name + "/" + r.Name + "/" + h.Name
			if err := unique(hosts, "host", h.Name); err != nil {
				return fmt.Errorf("rack %s/%s: %w", s.Name, r.Name, err)
			}
			if len(h.Disks) == 0 {
				return fmt.Errorf("%w: host %s has no disk", ErrMap, where)
			}
			if err := h.validate(where, ids); err != nil {
				return err
			}
		}
	}
	return nil
}

func (h Host) validate(where string, ids map[DiskID]string) error {
	names := map[string]bool{}
	for _, d := range h.Disks {
		if err := unique(names, "disk", d.Name); err != nil {
			return fmt.Errorf("host %s: %w", where, err)
		}
		path := where + "/" + d.Name
		switch {
		case d.ID < 0:
			return fmt.Errorf("%w: disk %s has number %d", ErrMap, path, d.ID)
		case ids[d.ID] != "":
			return fmt.Errorf("%w: disks %s and %s both have number %d", ErrMap, ids[d.ID], path, d.ID)
		case d.Capacity <= 0:
			return fmt.Errorf("%w: disk %s has a capacity of %d bytes; give one, such as 18TB", ErrMap, path, d.Capacity)
		case d.Capacity > maxCapacity:
			return fmt.Errorf("%w: disk %s has a capacity of %d bytes, which no disk has", ErrMap, path, d.Capacity)
		}
		ids[d.ID] = path
	}
	return nil
}

func unique(seen map[string]bool, kind, name string) error {
	switch {
	case !validName(name):
		return fmt.Errorf("%w: %s name %q: 1 to 63 letters, digits, '-', '_' and '.' are allowed, not first or last '.'", ErrMap, kind, name)
	case seen[name]:
		return fmt.Errorf("%w: two of the %ss are called %s", ErrMap, kind, name)
	}
	seen[name] = true
	return nil
}

func validName(name string) bool {
	if name == "" || len(name) > 63 || name[0] == '.' || name[len(name)-1] == '.' {
		return false
	}
	return strings.IndexFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.", r)
	}) < 0
}

// Uniform is a map of equal sites whose disks have the profiles in turn. Sites are called
// site1, …; racks, hosts and disks rack1, host1, disk1, … within what holds them.
func Uniform(sites, racks, hosts, disks int, profiles []string, capacity int64) *Map {
	m := &Map{Epoch: 1}
	id := DiskID(0)
	for s := range sites {
		site := Site{Name: fmt.Sprintf("site%d", s+1)}
		for r := range racks {
			rack := Rack{Name: fmt.Sprintf("rack%d", r+1)}
			for h := range hosts {
				host := Host{Name: fmt.Sprintf("host%d", h+1)}
				for d := range disks {
					disk := Disk{ID: id, Name: fmt.Sprintf("disk%d", d+1), Capacity: capacity}
					if len(profiles) > 0 {
						disk.Profile = profiles[int(id)%len(profiles)]
					}
					host.Disks = append(host.Disks, disk)
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

// Find returns the kind ("site", "rack", "host" or "disk") and the disks of a domain, named
// by its path, by the end of its path where only one domain ends so, or by "disk N".
func (m *Map) Find(name string) (kind string, disks []DiskID, err error) {
	kinds := []string{"site", "rack", "host", "disk"}
	name = strings.Trim(name, "/")
	matches := map[string][]DiskID{}
	for _, l := range m.leaves() {
		parts := strings.Split(l.path(), "/")
		for n := 1; n <= len(parts); n++ {
			path := strings.Join(parts[:n], "/")
			if path == name {
				kind = kinds[n-1]
				disks = append(disks, l.ID)
			} else if strings.HasSuffix(path, "/"+name) || n == 4 && name == fmt.Sprint(l.ID) {
				matches[path] = append(matches[path], l.ID)
			}
		}
	}
	if kind != "" {
		return kind, disks, nil
	}
	var paths []string
	for p := range matches {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	switch {
	case name == "" || len(paths) == 0:
		return "", nil, fmt.Errorf("%w %q: name a site, rack, host or disk by its path, such as %s", ErrUnknown, name, m.example())
	case len(paths) > 1:
		return "", nil, fmt.Errorf("%w %q: it could be any of %s; give more of the path", ErrUnknown, name, strings.Join(paths[:min(4, len(paths))], ", "))
	}
	return kinds[strings.Count(paths[0], "/")], matches[paths[0]], nil
}

func (m *Map) example() string {
	for _, l := range m.leaves() {
		return fmt.Sprintf("%s or %s", l.names[0], l.path())
	}
	return "site1"
}

// Tightest is the tightest even spread of n shards that the map allows: as few on a site as
// can be, then on a rack, then on a host.
func Tightest(m *Map, n int) (Rule, error) {
	leaves := m.leaves()
	if len(leaves) < n {
		return Rule{}, fmt.Errorf("%w: %d shards need %d disks and the map has %d", ErrRule, n, n, len(leaves))
	}
	var r Rule
	for _, limit := range []*int{&r.Site, &r.Rack, &r.Host} {
		for *limit = 1; feasible(leaves, r, n) < n; *limit++ {
		}
	}
	return r, nil
}

// feasible is how many shards of a stripe fit on the disks within the rule, up to n.
func feasible(leaves []leaf, r Rule, n int) int {
	host, rack, site := map[int]int{}, map[int]int{}, map[int]int{}
	hostRack, rackSite := map[int]int{}, map[int]int{}
	for _, l := range leaves {
		host[l.host]++
		hostRack[l.host], rackSite[l.rack] = l.rack, l.site
	}
	for h, count := range host {
		rack[hostRack[h]] += atMost(count, r.Host)
	}
	for k, count := range rack {
		site[rackSite[k]] += atMost(count, r.Rack)
	}
	total := 0
	for _, count := range site {
		total += atMost(count, r.Site)
	}
	return min(total, n)
}

func atMost(n, limit int) int {
	if limit > 0 {
		return min(n, limit)
	}
	return n
}

// Allowed tells whether disk d may take one more shard of a stripe whose other shards lie
// on the disks of row.
func (m *Map) Allowed(r Rule, row []DiskID, d DiskID) bool {
	var to leaf
	var others []leaf
	found := false
	for _, l := range m.leaves() {
		if l.ID == d {
			to, found = l, true
		}
		if slices.Contains(row, l.ID) {
			others = append(others, l)
		}
	}
	site, rack, host := 0, 0, 0
	for _, l := range others {
		if l.ID == d {
			return false
		}
		site += count(l.site == to.site)
		rack += count(l.rack == to.rack)
		host += count(l.host == to.host)
	}
	return found && (r.Site == 0 || site < r.Site) && (r.Rack == 0 || rack < r.Rack) && (r.Host == 0 || host < r.Host)
}

// Candidates lists the disks that may take one more shard of a stripe whose other shards
// lie on the disks of row, without those that are down: the ones in the emptiest domains
// first, then the largest, then by number.
func (m *Map) Candidates(r Rule, row []DiskID, down func(DiskID) bool) []DiskID {
	leaves := m.leaves()
	sites, racks, hosts, used := map[int]int{}, map[int]int{}, map[int]int{}, map[DiskID]bool{}
	for _, l := range leaves {
		if slices.Contains(row, l.ID) {
			sites[l.site]++
			racks[l.rack]++
			hosts[l.host]++
			used[l.ID] = true
		}
	}
	var list []leaf
	for _, l := range leaves {
		fits := (r.Site == 0 || sites[l.site] < r.Site) && (r.Rack == 0 || racks[l.rack] < r.Rack) && (r.Host == 0 || hosts[l.host] < r.Host)
		if fits && !l.Out && !used[l.ID] && !down(l.ID) {
			list = append(list, l)
		}
	}
	spin := 0 // so that equal disks take turns
	for _, d := range row {
		spin = spin*31 + int(d) + 1
	}
	slices.SortStableFunc(list, func(a, b leaf) int {
		for _, by := range [][2]int{{sites[a.site], sites[b.site]}, {racks[a.rack], racks[b.rack]}, {hosts[a.host], hosts[b.host]}} {
			if by[0] != by[1] {
				return by[0] - by[1]
			}
		}
		return (int(a.ID)*7919+spin)&0xffff - (int(b.ID)*7919+spin)&0xffff
	})
	ids := make([]DiskID, len(list))
	for i, l := range list {
		ids[i] = l.ID
	}
	return ids
}
