package importer

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/wattle-storage/wattle/energy"
	"github.com/wattle-storage/wattle/erasure"
	"github.com/wattle-storage/wattle/whatif"
)

// Price of electricity when none is given: Eurostat, second half of 2023, users that are no
// households, from the cheapest country of the EU (FI) over the mean to the dearest (CY).
var euroPrice = whatif.Range{Low: 0.089, Typical: 0.20, High: 0.276}

const priceSource = "Eurostat, second half of 2023, not households: EU from the cheapest to the dearest country"

// familyBand is half the width of figures taken from a sister drive, over them: twice that of
// a drive's own, which two sheets of one drive already need.
const familyBand = 0.20

// Assume gives pools without scheme one, and pools to a cluster without any.
func (f *Found) Assume(scheme string, stored int64) error {
	if scheme == "" && stored == 0 {
		return nil
	}
	s, err := erasure.Parse(scheme)
	if scheme != "" && err != nil {
		return err
	}
	if len(f.Pools) == 0 {
		f.Pools = []Pool{{Name: "all", PerSite: s.N()}}
	}
	for i := range f.Pools {
		p := &f.Pools[i]
		if scheme != "" && (!p.known || p.Scheme == "") {
			p.scheme, p.known, p.Scheme, p.Overhead, p.PerSite = s, true, s.String(), s.Overhead(), s.N()
		}
	}
	if stored > 0 && len(f.Pools) == 1 {
		f.Pools[0].Stored, f.Sizes.Stored = stored, stored
	} else if stored > 0 {
		return fmt.Errorf("--stored: the dump tells what each of %d pools stores", len(f.Pools))
	}
	f.Missing = slices.DeleteFunc(f.Missing, func(n Note) bool { return n.Field == "pools" || scheme != "" && n.Field == "pools.scheme" })
	f.capacity()
	return nil
}

// Scenario is the cluster as found, as the energy model takes it.
func (f *Found) Scenario() whatif.Scenario {
	s := whatif.Scenario{Name: f.title(), Workload: whatif.Workload{Layout: "striped"}}
	reserve := f.reserve()
	if f.full.near > 0 {
		f.guess("reserve", "%.3g of the raw bytes, above which the cluster warns (nearfull_ratio)", reserve)
	} else {
		f.guess("reserve", "a tenth of the raw bytes is kept free")
	}
	s.Reserve = &reserve
	f.scenarioPools(&s)
	f.scenarioFleet(&s)
	f.scenarioPlaces(&s)
	s.Prices.EURPerKWh = &euroPrice
	f.guess("eur_per_kwh", "%s EUR (%s): give --price-kwh", euroPrice, priceSource)
	f.guess("grid", "no country is known, the model's default counts: give --country or --grid")
	f.guess("workload", "reads and writes a second are not in the dump, the drives are counted as idle: give --reads and --writes")
	if asleep, all := f.asleep(); asleep > 0 {
		s.Workload.Standby = float64(asleep) / float64(all)
		f.guess("standby", "%d of %d drives slept when they were asked: taken as the part of the time in standby", asleep, all)
	}
	return s
}

// guess notes what the scenario assumed, once.
func (f *Found) guess(field, format string, a ...any) {
	n := notes(f.Guessed)
	text := fmt.Sprintf(format, a...)
	for _, x := range n {
		if x.Field == field && x.Text == text {
			return
		}
	}
	n.add(field, "%s", text)
	f.Guessed = n
}

func (f *Found) title() string {
	return strings.TrimSpace(fmt.Sprintf("%s %s", f.System, f.Version)) + fmt.Sprintf(", %d drives", f.DriveCount())
}

func (f *Found) asleep() (asleep, all int) {
	for _, b := range f.Fleet {
		if b.Technology != "ssd" {
			asleep, all = asleep+b.Asleep, all+b.Count
		}
	}
	return asleep, all
}

// Known tells whether it is known what is stored, and how.
func (f *Found) Known() bool {
	return slices.ContainsFunc(f.Pools, func(p Pool) bool { return p.known && p.Stored > 0 })
}

// scenarioPools gives the scenario the pools that store anything. Without one, the drives count
// as one copy, so that watts and W per raw TB stand.
func (f *Found) scenarioPools(s *whatif.Scenario) {
	for _, p := range f.Pools {
		if !p.known || p.Stored <= 0 {
			continue
		}
		s.Pools = append(s.Pools, whatif.Pool{Name: p.Name, Scheme: p.Scheme, StoredTB: whatif.Terabytes(float64(p.Stored) / 1e12), DeviceClass: f.classOf(p), Amplification: f.amplification(p)})
	}
	if len(s.Pools) == 0 {
		f.guess("pools", "what is stored is not known: counted as one copy that fills the drives, so that only watts and W per raw TB mean anything")
		s.Pools = []whatif.Pool{{Name: "unknown", Scheme: "replica:1", StoredTB: whatif.Terabytes(math.Max(float64(f.Sizes.Raw)/1e12*(1-*s.Reserve), 0.001))}}
	}
}

// amplification is raw bytes allocated over those that the scheme needs, where both are told.
func (f *Found) amplification(p Pool) float64 {
	if p.Raw <= 0 {
		return 0
	}
	a := float64(p.Raw) / (float64(p.Stored) * p.Overhead)
	if a < 0.999 {
		f.guess("amplification", "a pool has fewer raw bytes than its scheme needs (compressed, or not whole): counted as 1")
	}
	if a < 1.0005 || a > 100 {
		return 0
	}
	return a
}

// classes lists the device classes that data drives have, the one with the most bytes first.
func (f *Found) classes() []string {
	raw := map[string]int64{}
	for _, b := range f.Fleet {
		if b.Role == Data && b.Class != "" {
			raw[b.Class] += b.Bytes * int64(b.Count)
		}
	}
	list := sortedKeys(raw)
	slices.SortStableFunc(list, func(a, b string) int { return cmp.Compare(raw[b], raw[a]) })
	return list
}

// classOf is the class of drives that hold a pool: "" where there is but one. A pool that may
// lie on any is counted on the largest.
func (f *Found) classOf(p Pool) string {
	classes := f.classes()
	switch {
	case len(classes) < 2:
		return ""
	case slices.Contains(classes, p.Class):
		return p.Class
	}
	f.guess("pools.device_class", "a pool may lie on drives of any class: counted on those of the largest, %s", classes[0])
	return classes[0]
}

// scenarioFleet counts the drives by batch and site, with a profile for each.
func (f *Found) scenarioFleet(s *whatif.Scenario) {
	s.Fleet = f.fleetOf(f.Hosts, s.Pools)
	for _, b := range f.Fleet {
		id, own := b.profile()
		if own != nil && !slices.ContainsFunc(s.Profiles, func(p energy.Profile) bool { return p.ID == id }) {
			s.Profiles = append(s.Profiles, *own)
		}
	}
}

// fleetOf counts the drives of hosts.
func (f *Found) fleetOf(hosts []Host, pools []whatif.Pool) []whatif.Fleet {
	type key struct {
		batch int
		site  string
	}
	count := map[key]int{}
	for _, h := range hosts {
		for _, d := range h.Drives {
			count[key{d.batch, h.Site}]++
		}
	}
	keys := make([]key, 0, len(count))
	for k := range count {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b key) int { return cmp.Or(cmp.Compare(a.batch, b.batch), strings.Compare(a.site, b.site)) })
	var list []whatif.Fleet
	for _, k := range keys {
		b := f.Fleet[k.batch]
		id, _ := b.profile()
		line := whatif.Fleet{Disk: id, Count: count[k], Owned: true, CapacityTB: whatif.Terabytes(float64(b.Bytes) / 1e12), AgeYears: math.Round(float64(b.Hours)/energy.YearHours*10) / 10}
		if len(f.Sites) > 1 {
			line.Site = k.site
		}
		line.Aside = b.Role != Data || b.Bytes < 1e9 || !serves(b.Class, pools)
		if line.Aside {
			line.CapacityTB = 0
		} else if servesByName(b.Class, pools) {
			line.DeviceClass = b.Class
		}
		list = append(list, line)
	}
	return list
}

// serves tells whether drives of a class hold any of the pools.
func serves(class string, pools []whatif.Pool) bool {
	return servesByName(class, pools) || slices.ContainsFunc(pools, func(p whatif.Pool) bool { return p.DeviceClass == "" })
}

func servesByName(class string, pools []whatif.Pool) bool {
	return class != "" && slices.ContainsFunc(pools, func(p whatif.Pool) bool { return p.DeviceClass == class })
}

// profile is the id of a batch's profile, and the profile itself when the model has none.
func (b Batch) profile() (id string, own *energy.Profile) {
	switch b.How {
	case Exact:
		return b.Profile, nil
	case Family:
		p, err := energy.Lookup(b.Profile)
		if err != nil {
			break
		}
		p.ID, p.Band, p.Note = "like-"+b.Profile, familyBand, "of another drive of its line"
		p.CapacityTB = 0
		return p.ID, &p
	}
	return "class-" + b.Technology, nil
}

// scenarioPlaces gives the scenario its sites, and servers and racks as many as there are.
func (f *Found) scenarioPlaces(s *whatif.Scenario) {
	hosts := 0
	for _, x := range f.Sites {
		s.Sites = append(s.Sites, whatif.Site{Name: x.Name, Share: float64(max(x.Drives, 1))})
		hosts += x.Hosts
	}
	s.Server.Drives = perUnit(f.Sites, hosts, func(x Site) int { return x.Drives })
	racks := 0
	for _, x := range f.Sites {
		racks += x.Racks
	}
	s.Rack.Servers = perUnit(f.Sites, racks, func(x Site) int { return x.Hosts })
}

// perUnit is how many go in a unit so that the sites together need as many units as there are.
func perUnit(sites []Site, units int, of func(Site) int) int {
	most := 1
	for _, s := range sites {
		most = max(most, of(s))
	}
	best, off := 1, math.MaxInt
	for d := 1; d <= most; d++ {
		sum := 0
		for _, s := range sites {
			sum += (of(s) + d - 1) / d
		}
		if diff := max(sum-units, units-sum); diff < off {
			best, off = d, diff
		}
	}
	return best
}

// ScenarioYAML writes a scenario that a person can read and edit, with why each drive is taken
// for what.
func (f *Found) ScenarioYAML(s whatif.Scenario) ([]byte, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "# The cluster as found by `wattle import`. Edit it, then: wattle whatif FILE\n")
	for _, n := range f.Guessed {
		fmt.Fprintf(&b, "# guessed: %s\n", n)
	}
	for _, n := range f.Missing {
		fmt.Fprintf(&b, "# missing: %s\n", n)
	}
	fmt.Fprintf(&b, "name: %q\n", s.Name)
	b.WriteString("pools:\n")
	for _, p := range s.Pools {
		fmt.Fprintf(&b, "  - {name: %q, scheme: %q, stored_tb: %v", p.Name, p.Scheme, float64(p.StoredTB))
		optional(&b, "device_class", p.DeviceClass)
		if p.Amplification != 0 {
			fmt.Fprintf(&b, ", amplification: %v", p.Amplification)
		}
		b.WriteString("}\n")
	}
	b.WriteString("fleet:\n")
	for _, d := range s.Fleet {
		f.fleetYAML(&b, d)
	}
	if err := profilesYAML(&b, s.Profiles); err != nil {
		return nil, err
	}
	s.Name, s.Pools, s.Fleet, s.Profiles = "", nil, nil, nil
	rest, err := yaml.Marshal(s)
	if err != nil {
		return nil, err
	}
	b.Write(rest)
	return []byte(b.String()), nil
}

func optional(b *strings.Builder, key, v string) {
	if v != "" {
		fmt.Fprintf(b, ", %s: %q", key, v)
	}
}

func (f *Found) fleetYAML(b *strings.Builder, d whatif.Fleet) {
	for _, x := range f.Fleet {
		if id, _ := x.profile(); id == d.Disk && (d.Aside || math.Abs(float64(x.Bytes)/1e12-float64(d.CapacityTB)) < 1e-9) {
			fmt.Fprintf(b, "  # %s: %s (%s)\n", or(x.Model, "model not known"), x.Why, x.How)
		}
	}
	fmt.Fprintf(b, "  - {disk: %q, count: %d, owned: %v", d.Disk, d.Count, d.Owned)
	if d.CapacityTB != 0 {
		fmt.Fprintf(b, ", capacity_tb: %v", float64(d.CapacityTB))
	}
	if d.AgeYears != 0 {
		fmt.Fprintf(b, ", age_years: %v", d.AgeYears)
	}
	optional(b, "device_class", d.DeviceClass)
	optional(b, "site", d.Site)
	if d.Aside {
		b.WriteString(", aside: true")
	}
	b.WriteString("}\n")
}

// profilesYAML writes profiles without the figures that they lack.
func profilesYAML(b *strings.Builder, list []energy.Profile) error {
	if len(list) == 0 {
		return nil
	}
	b.WriteString("profiles:\n")
	for _, p := range list {
		text, err := yaml.Marshal(p)
		if err != nil {
			return err
		}
		first := true
		for line := range strings.Lines(string(text)) {
			key, v, _ := strings.Cut(strings.TrimSpace(line), ": ")
			if v == "" || v == "0" || v == "0.0" || v == `""` || v == "false" || key == "verified" {
				continue
			}
			lead := "    "
			if first {
				lead, first = "  - ", false
			}
			fmt.Fprintf(b, "%s%s: %s\n", lead, key, v)
		}
	}
	return nil
}

// UnknownYAML is a template for the drives of which no figures were read: fill in their watts
// and give the file as --profiles.
func (f *Found) UnknownYAML() []byte {
	var b strings.Builder
	b.WriteString("# Drives of which no figures were read. Fill in watts from the maker's sheet, name the\n# profiles in the scenario's fleet, and give this file as --profiles.\n")
	for _, x := range f.Fleet {
		if x.How != Class || x.Model == "" {
			continue
		}
		kind := "hdd"
		if x.Technology == "ssd" {
			kind = "ssd"
		}
		fmt.Fprintf(&b, "- id: %s\n  kind: %s\n  model: %q\n  technology: %s\n  capacity_tb: %v\n  idle_w:          # platters at full speed, no requests\n  active_w:        # random reads\n  standby_w:\n  source:          # the sheet, with its revision\n",
			slug(x.Model), kind, x.Model, x.Technology, float64(x.Bytes)/1e12)
	}
	return []byte(b.String())
}

func slug(s string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, s), "-")
}

// TopologyYAML writes the data drives as placement reads them.
func (f *Found) TopologyYAML() []byte {
	var b strings.Builder
	b.WriteString("# The drives that hold data, as found by `wattle import`. See `wattle init --topology`.\nsites:\n")
	site, rack := "\x00", "\x00"
	for _, h := range f.Hosts {
		kinds := map[int]int{}
		for _, d := range h.Drives {
			if d.Role == Data && d.Bytes > 0 {
				kinds[d.batch]++
			}
		}
		if len(kinds) == 0 {
			continue
		}
		if h.Site != site {
			fmt.Fprintf(&b, "  - name: %q\n    racks:\n", h.Site)
			site, rack = h.Site, "\x00"
		}
		if h.Rack != rack {
			fmt.Fprintf(&b, "      - name: %q\n        hosts:\n", h.Rack)
			rack = h.Rack
		}
		fmt.Fprintf(&b, "          - name: %q\n            disks:\n", h.Name)
		for _, k := range sortedKeys(kinds) {
			id, _ := f.Fleet[k].profile()
			fmt.Fprintf(&b, "              - {count: %d, profile: %q, capacity: %d}\n", kinds[k], strings.TrimPrefix(id, "like-"), f.Fleet[k].Bytes)
		}
	}
	return []byte(b.String())
}

// Given takes back guesses about what the user has told.
func (f *Found) Given(price, work, grid bool) {
	f.Guessed = slices.DeleteFunc(f.Guessed, func(n Note) bool {
		return price && n.Field == "eur_per_kwh" || work && n.Field == "workload" || grid && n.Field == "grid"
	})
}

// Survives is what the weakest pool that stores anything survives.
func (f *Found) Survives() whatif.Tolerance {
	worst, any := whatif.Tolerance{}, false
	for _, p := range f.Pools {
		if !p.known || p.Stored <= 0 {
			continue
		}
		if t := f.toleranceOf(p.Name, p.scheme); !any || t.Less(worst) {
			worst, any = t, true
		}
	}
	return worst
}
