package importer

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// A build is a cluster being put together from files.
type build struct {
	opt      Options
	at       File
	sources  []Source
	guess    notes
	miss     notes
	ceph     *cephData
	mc       *minioData
	loose    []loose // drives of inventories, smartctl and lsblk
	fleetLog bool    // whether loose drives come from a log without hosts
	most     int     // drives of inventories
}

// loose is a drive that no store spoke of, on a host known by the file it came from.
type loose struct {
	Drive
	host, rack, site string
	serial           string
	device           string // "sda"
	from             Kind
}

func newBuild(o Options) *build { return &build{opt: o, most: maxDrive} }

// found puts everything together.
func (b *build) found() (*Found, error) {
	f := &Found{System: "drives", Sources: b.sources}
	hosts := newHostSet()
	switch {
	case b.ceph != nil && b.mc != nil:
		return nil, fmt.Errorf("%w: the files are of two clusters, a Ceph and a MinIO: import them one at a time", ErrInput)
	case b.ceph != nil:
		b.assembleCeph(f, hosts)
	case b.mc != nil:
		b.assembleMinIO(f, hosts)
	}
	b.addLoose(f, hosts)
	f.Hosts = hosts.list()
	if n := f.DriveCount(); n == 0 {
		return nil, fmt.Errorf("%w: no drive was found in %s%s", ErrInput, b.names(), b.firstNotes())
	} else if n > maxDrive {
		return nil, fmt.Errorf("%w: %d drives, and at most %d are handled", ErrInput, n, maxDrive)
	}
	if !b.opt.KeepNames {
		f.redact()
	}
	f.tally()
	b.judge(f)
	f.Guessed, f.Missing = b.guess, b.miss
	return f, nil
}

func (b *build) names() string {
	if len(b.sources) == 1 {
		return fmt.Sprintf("%s (%s)", b.sources[0].Name, b.sources[0].Kind)
	}
	return fmt.Sprintf("%d files", len(b.sources))
}

func (b *build) firstNotes() string {
	s := ""
	for i, n := range b.miss {
		if i == 3 {
			break
		}
		s += "; " + n.String()
	}
	return s
}

// judge notes what the whole leaves open.
func (b *build) judge(f *Found) {
	for _, t := range f.Fleet {
		if t.Bytes == 0 {
			b.miss.add("drives.capacity", "%d drives (%s) have no capacity: they count in watts, not in terabytes", t.Count, or(t.Model, "model not known"))
		}
	}
	switch {
	case f.System == "drives":
	case f.Sizes.Used == 0:
		b.miss.add("used", "the raw bytes in use are not known")
	case b.ceph != nil && b.ceph.used == 0:
		b.guess.add("used", "the cluster's sum is not there: summed over the drives that tell")
	}
	if len(f.Pools) == 0 {
		b.miss.add("pools", "no redundancy scheme and no stored bytes: give --scheme and --stored")
	}
	for _, p := range f.Pools {
		if !p.known {
			b.miss.add("pools.scheme", "%s: no scheme was found: give it with --scheme", p.Name)
		}
	}
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// hostSet gathers drives by host, in order of appearance.
type hostSet struct {
	byKey map[[3]string]int
	hosts []Host
}

func newHostSet() *hostSet { return &hostSet{byKey: map[[3]string]int{}} }

func (s *hostSet) add(site, rack, name string, d Drive) {
	key := [3]string{site, rack, name}
	i, ok := s.byKey[key]
	if !ok {
		i = len(s.hosts)
		s.byKey[key] = i
		s.hosts = append(s.hosts, Host{Site: site, Rack: rack, Name: name})
	}
	s.hosts[i].Drives = append(s.hosts[i].Drives, d)
}

// group says with which others a host can only leave.
func (s *hostSet) group(site, rack, name, group string) {
	if i, ok := s.byKey[[3]string{site, rack, name}]; ok {
		s.hosts[i].Group = group
	}
}

func (s *hostSet) list() []Host { return s.hosts }

// each calls f with each drive, which it may change.
func (s *hostSet) each(f func(h *Host, d *Drive)) {
	for i := range s.hosts {
		for j := range s.hosts[i].Drives {
			f(&s.hosts[i], &s.hosts[i].Drives[j])
		}
	}
}

// redact renames sites, racks, hosts and pools by number, in the natural order of their names,
// and drops serial numbers and names of files.
func (f *Found) redact() {
	slices.SortFunc(f.Hosts, func(a, b Host) int {
		if c := natural(a.Site, b.Site); c != 0 {
			return c
		}
		if c := natural(a.Rack, b.Rack); c != 0 {
			return c
		}
		return natural(a.Name, b.Name)
	})
	width := func(n int) int { return len(strconv.Itoa(n)) }
	sites, racks := numbering{}, numbering{}
	for _, h := range f.Hosts {
		sites.number(h.Site)
		racks.number(h.Site + "\x00" + h.Rack)
	}
	for i := range f.Hosts {
		h := &f.Hosts[i]
		site, rack := sites.number(h.Site), racks.number(h.Site+"\x00"+h.Rack)
		h.Site = fmt.Sprintf("site%0*d", width(len(sites)), site)
		h.Rack = fmt.Sprintf("rack%0*d", width(len(racks)), rack)
		h.Name = fmt.Sprintf("host%0*d", width(len(f.Hosts)), i+1)
		for j := range h.Drives {
			h.Drives[j].Serial = ""
		}
	}
	for i := range f.Pools {
		f.Pools[i].Name = fmt.Sprintf("pool %d", f.Pools[i].ID)
	}
	for i := range f.Sources {
		f.Sources[i].Name = fmt.Sprintf("file %d", i+1)
	}
}

// numbering gives names numbers from 1 in order of first use.
type numbering map[string]int

func (n numbering) number(name string) int {
	if _, ok := n[name]; !ok {
		n[name] = len(n) + 1
	}
	return n[name]
}

// natural compares names with numbers in them as people do: host2 before host10.
func natural(a, b string) int {
	for a != "" && b != "" {
		x, y := lead(a), lead(b)
		if unicode.IsDigit(rune(x[0])) && unicode.IsDigit(rune(y[0])) {
			p, q := strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
			if len(p) != len(q) {
				return len(p) - len(q)
			}
			if c := strings.Compare(p, q); c != 0 {
				return c
			}
		} else if c := strings.Compare(x, y); c != 0 {
			return c
		}
		a, b = a[len(x):], b[len(y):]
	}
	return len(a) - len(b)
}

// lead is the first run of digits, or of anything else.
func lead(s string) string {
	digit := unicode.IsDigit(rune(s[0]))
	for i := range len(s) {
		if unicode.IsDigit(rune(s[i])) != digit {
			return s[:i]
		}
	}
	return s
}

// isSerial tells a serial number from a placeholder: exporters write REDACTED, zeros or nothing.
func isSerial(s string) bool {
	return len(s) >= 4 && strings.ContainsAny(s, "123456789") && strings.Count(s, s[:1]) < len(s)
}
