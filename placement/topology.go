package placement

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/dustin/go-humanize"
	"github.com/goccy/go-yaml"
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
type topology struct {
	Sites []struct {
		Name  string `yaml:"name"`
		Racks []struct {
			Name  string `yaml:"name"`
			Hosts []struct {
				Name  string `yaml:"name"`
				Disks []struct {
					Count    int    `yaml:"count"`
					Profile  string `yaml:"profile"`
					Capacity string `yaml:"capacity"`
				} `yaml:"disks"`
			} `yaml:"hosts"`
		} `yaml:"racks"`
	} `yaml:"sites"`
}

// MaxTopology bounds the size of a topology file in bytes.
const MaxTopology = 16 << 20

// ParseTopology reads a topology file. Errors name the line and column.
func ParseTopology(text []byte) (*Map, error) {
	if len(text) > MaxTopology {
		return nil, fmt.Errorf("%w: the topology file has %d bytes, and at most %d are read", ErrMap, len(text), MaxTopology)
	}
	var t topology
	err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(&t)
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: the topology file is empty; want sites: [{name, racks: [{name, hosts: [{name, disks: [{count, profile, capacity}]}]}]}]", ErrMap)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrMap, yaml.FormatError(err, false, true))
	}
	m := &Map{Epoch: 1}
	id := DiskID(0)
	for i, s := range t.Sites {
		site := Site{Name: or(s.Name, "site", i)}
		for j, r := range s.Racks {
			rack := Rack{Name: or(r.Name, "rack", j)}
			for k, h := range r.Hosts {
				host := Host{Name: or(h.Name, "host", k)}
				for _, d := range h.Disks {
					where := site.Name + "/" + rack.Name + "/" + host.Name
					size, err := humanize.ParseBytes(d.Capacity)
					if err != nil || size == 0 || size > math.MaxInt64 {
						return nil, fmt.Errorf("%w: host %s: capacity %q: want a size such as 18TB", ErrMap, where, d.Capacity)
					}
					if d.Count < 0 || int(id)+d.Count > MaxDisks {
						return nil, fmt.Errorf("%w: host %s: %d disks", ErrMap, where, d.Count)
					}
					for range max(1, d.Count) {
						host.Disks = append(host.Disks, Disk{ID: id, Name: fmt.Sprintf("disk%d", len(host.Disks)+1), Profile: d.Profile, Capacity: int64(size)})
						id++
					}
				}
				rack.Hosts = append(rack.Hosts, host)
			}
			site.Racks = append(site.Racks, rack)
		}
		m.Sites = append(m.Sites, site)
	}
	return m, m.Validate()
}

func or(name, kind string, i int) string {
	if name != "" {
		return name
	}
	return fmt.Sprintf("%s%d", kind, i+1)
}
