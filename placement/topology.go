package placement

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/goccy/go-yaml"
	"github.com/xrash/smetrics"
)

// A topology is the file that people write:
//
//	sites:
//	  - name: paris
//	    racks:
//	      - hosts:
//	          - disks: [{count: 12, profile: helium-5w, capacity: 18TB}]
//
// Names that are left out become site1, rack1, host1; disks are disk1, disk2, … of a host.
// Disks are numbered from 0 on in the order of the file, unless they have an id; with a
// count, the id is the first one's.
//
// A tree with other levels names them, and nests as deep as they are many:
//
//	levels: [region, room, host]
//	tree:
//	  - name: north
//	    children:
//	      - name: room1
//	        children:
//	          - name: h1
//	            disks: [{count: 12, capacity: 18TB}]
type topology struct {
	Sites []struct {
		Name  string `yaml:"name"`
		Racks []struct {
			Name  string `yaml:"name"`
			Hosts []struct {
				Name  string  `yaml:"name"`
				Disks []disks `yaml:"disks"`
			} `yaml:"hosts"`
		} `yaml:"racks"`
	} `yaml:"sites"`
	Levels []string `yaml:"levels"`
	Tree   []branch `yaml:"tree"`
}

// disks are equal disks of one host.
type disks struct {
	Count    int    `yaml:"count"`
	Name     string `yaml:"name"`
	ID       *int32 `yaml:"id"`
	Profile  string `yaml:"profile"`
	Capacity string `yaml:"capacity"`
	Out      bool   `yaml:"out"`
}

// A branch is a domain of a tree with levels of its own.
type branch struct {
	Name     string   `yaml:"name"`
	Children []branch `yaml:"children"`
	Disks    []disks  `yaml:"disks"`
}

// MaxTopology bounds the size of a topology file in bytes.
const MaxTopology = 16 << 20

// ParseTopology reads a topology file with sites, racks and hosts. Errors name the line and
// column, or the host.
func ParseTopology(text []byte) (*Map, error) {
	t, err := decodeTopology(text)
	if err != nil {
		return nil, err
	}
	if t.Tree != nil || t.Levels != nil {
		return nil, fmt.Errorf("%w: the topology has levels of its own; a cluster has sites, racks and hosts: want sites: […]", ErrMap)
	}
	return t.build()
}

// ParseTree reads a topology file of either form.
func ParseTree(text []byte) (*Tree, error) {
	t, err := decodeTopology(text)
	if err != nil {
		return nil, err
	}
	switch {
	case t.Tree == nil && t.Levels == nil:
		m, err := t.build()
		if err != nil {
			return nil, err
		}
		return m.Tree()
	case t.Sites != nil:
		return nil, fmt.Errorf("%w: the topology has both sites and a tree: give one of them", ErrMap)
	case len(t.Levels) == 0:
		return nil, fmt.Errorf("%w: the topology has a tree and no levels: name them from the top, such as levels: [region, room, host]", ErrMap)
	}
	var list []Leaf
	next := nextID{}
	if err := t.leaves(t.Tree, nil, &next, &list); err != nil {
		return nil, err
	}
	return NewTree(t.Levels, list)
}

func decodeTopology(text []byte) (_ *topology, err error) {
	defer func() { // the YAML library panics on some odd tags
		if recover() != nil {
			err = fmt.Errorf("%w: the topology file is not YAML that makes sense; leave out tags such as !x", ErrMap)
		}
	}()
	if len(text) > MaxTopology {
		return nil, fmt.Errorf("%w: the topology file has %d bytes, and at most %d are read", ErrMap, len(text), MaxTopology)
	}
	var t topology
	err = yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(&t)
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: the topology file is empty; want sites: [{name, racks: [{name, hosts: [{name, disks: [{count, profile, capacity}]}]}]}]", ErrMap)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s%s", ErrMap, yaml.FormatError(err, false, true), nearField(err))
	}
	return &t, nil
}

var topologyFields = []string{"sites", "racks", "hosts", "disks", "name", "count", "id", "profile", "capacity", "out", "levels", "tree", "children"}

// nearField names the field that an unknown one was likely meant to be.
func nearField(err error) string {
	var unknown *yaml.UnknownFieldError
	if !errors.As(err, &unknown) || unknown.Token == nil {
		return ""
	}
	distance := func(field string) int { return smetrics.WagnerFischer(unknown.Token.Value, field, 1, 1, 1) }
	near := slices.MinFunc(topologyFields, func(a, b string) int { return distance(a) - distance(b) })
	if distance(near) > 2 {
		return fmt.Sprintf("\nthe fields are %s", strings.Join(topologyFields, ", "))
	}
	return fmt.Sprintf("\ndid you mean %q?", near)
}

func (t *topology) build() (*Map, error) {
	m := &Map{Epoch: 1}
	next := nextID{}
	for i, s := range t.Sites {
		site := Site{Name: or(s.Name, "site", i)}
		for j, r := range s.Racks {
			rack := Rack{Name: or(r.Name, "rack", j)}
			for k, h := range r.Hosts {
				host := Host{Name: or(h.Name, "host", k)}
				var err error
				if host.Disks, err = next.list(h.Disks, []string{site.Name, rack.Name, host.Name}); err != nil {
					return nil, err
				}
				rack.Hosts = append(rack.Hosts, host)
			}
			site.Racks = append(site.Racks, rack)
		}
		m.Sites = append(m.Sites, site)
	}
	return m, m.Validate()
}

// leaves walks a tree with levels of its own.
func (t *topology) leaves(list []branch, path []string, next *nextID, out *[]Leaf) error {
	seen := map[string]bool{}
	for i, b := range list {
		level := t.Levels[len(path)]
		name := or(b.Name, level, i)
		if err := unique(seen, level, name); err != nil {
			return err
		}
		at := append(slices.Clone(path), name)
		where := strings.Join(at, "/")
		last := len(at) == len(t.Levels)
		switch {
		case last && len(b.Children) > 0:
			return fmt.Errorf("%w: %s %s has children, and %s is the last of the levels", ErrMap, level, where, level)
		case !last && len(b.Disks) > 0:
			return fmt.Errorf("%w: %s %s has disks, and they belong below %s", ErrMap, level, where, t.Levels[len(t.Levels)-1])
		case !last && len(b.Children) == 0:
			return fmt.Errorf("%w: %s %s has no %s", ErrMap, level, where, t.Levels[len(at)])
		case !last:
			if err := t.leaves(b.Children, at, next, out); err != nil {
				return err
			}
			continue
		case len(b.Disks) == 0:
			return fmt.Errorf("%w: %s %s has no disk", ErrMap, level, where)
		}
		disks, err := next.list(b.Disks, at)
		if err != nil {
			return err
		}
		for _, d := range disks {
			*out = append(*out, Leaf{d, at})
		}
	}
	return nil
}

// A nextID numbers disks.
type nextID struct{ id, made int }

// list spells out the disks of a host.
func (n *nextID) list(groups []disks, path []string) ([]Disk, error) {
	where := strings.Join(path, "/")
	var list []Disk
	for _, g := range groups {
		size, err := humanize.ParseBytes(g.Capacity)
		if err != nil || size == 0 || size > math.MaxInt64 {
			return nil, fmt.Errorf("%w: host %s: capacity %q: want a size such as 18TB", ErrMap, where, g.Capacity)
		}
		n.made += max(1, g.Count)
		if g.Count < 0 || n.made > MaxDisks {
			return nil, fmt.Errorf("%w: host %s: %d disks", ErrMap, where, g.Count)
		}
		if g.ID != nil {
			if *g.ID < 0 || *g.ID > math.MaxInt32-MaxDisks {
				return nil, fmt.Errorf("%w: host %s: id %d: want 0 or more", ErrMap, where, *g.ID)
			}
			n.id = int(*g.ID)
		}
		for range max(1, g.Count) {
			name := g.Name
			if name == "" || g.Count > 1 {
				name = fmt.Sprintf("%s%d", cmp.Or(g.Name, "disk"), len(list)+1)
			}
			list = append(list, Disk{ID: DiskID(n.id), Name: name, Profile: g.Profile, Capacity: int64(size), Out: g.Out})
			n.id++
		}
	}
	return list, nil
}

func or(name, kind string, i int) string {
	if name != "" {
		return name
	}
	return fmt.Sprintf("%s%d", kind, i+1)
}
