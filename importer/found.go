package importer

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/wattle-storage/wattle/erasure"
)

// A Source is a file that was read.
type Source struct {
	Name   string `json:"name"`
	Kind   Kind   `json:"kind"`
	Bytes  int64  `json:"bytes"` // unpacked
	SHA256 string `json:"sha256"`
}

// Found is a cluster as its dumps describe it.
type Found struct {
	System  string   `json:"system"` // "ceph", "minio", "rustfs" or "drives"
	Version string   `json:"version,omitempty"`
	Taken   string   `json:"taken,omitempty"` // when the dump was taken, as it says
	Sources []Source `json:"sources"`

	Sites []Site   `json:"sites"`
	Fleet []Batch  `json:"drives"`
	Pools []Pool   `json:"pools"`
	Wear  *Wear    `json:"wear,omitempty"`
	Sizes Capacity `json:"capacity"`

	Hosts []Host `json:"-"` // in order of site, rack and name

	Guessed []Note `json:"-"`
	Missing []Note `json:"-"`

	full   ratios
	folded int // drives of the store that lie on the file system of another
}

// ratios are the fill at which a cluster warns and stops; 0 is not known.
type ratios struct{ near, full float64 }

// A Capacity is the cluster's space in bytes; 0 is not known.
type Capacity struct {
	Raw    int64 `json:"raw_bytes"`    // of the drives that hold data
	Used   int64 `json:"used_bytes"`   // of Raw
	Stored int64 `json:"stored_bytes"` // as users see it
	Usable int64 `json:"usable_bytes"` // what Raw less the reserve holds for users, under the overhead of what is stored
	// Fill is Stored over Usable.
	Fill float64 `json:"fill"`
	// Reserve is the part of Raw that is to stay free.
	Reserve float64 `json:"reserve"`
	// Fullest is the fill of the fullest drive.
	Fullest float64 `json:"fullest_drive,omitempty"`
}

// A Site is a place as far as the dump tells.
type Site struct {
	Name   string `json:"name"`
	Racks  int    `json:"racks"`
	Hosts  int    `json:"hosts"`
	Drives int    `json:"drives"`
	Raw    int64  `json:"raw_bytes"`
}

// A Host is a server with its drives.
type Host struct {
	Site, Rack, Name string
	Group            string // hosts that can only leave together, "" for none
	Drives           []Drive
}

// A State is what a drive was doing.
type State string

// The states of a drive.
const (
	Working State = "working"
	Down    State = "down"    // its daemon does not run; it draws power all the same
	Out     State = "out"     // holds no data any more; it draws power all the same
	Asleep  State = "standby" // the platters stood still when it was asked
	Broken  State = "faulty"
)

// A Role is what a drive is for.
type Role string

// The roles of a drive.
const (
	Data    Role = "data"
	Journal Role = "db" // metadata, database or write-ahead log of other drives
)

// A Drive is one drive.
type Drive struct {
	ID     string // "osd.5", a device name, or "" ; no serial number
	Model  string
	Serial string // "" unless names are kept
	Bytes  int64  // nominal, 0 when not known
	Used   int64
	Class  string // as the store calls it: hdd, ssd, nvme
	Role   Role
	State  State
	Osd    int // number of the daemon, -1 where there is none
	PGs    int

	spins  tri // whether platters turn
	rpm    int
	helium tri
	Hours  int // powered on; 0 is not known
	Starts int // start/stop cycles
	Loads  int // load/unload cycles
	failed int // failures in a fleet's log
	days   int // drive-days in a fleet's log
	batch  int // index of the drive's batch
}

// tri is a truth that may not be known.
type tri int8

const (
	unknown tri = iota
	yes
	no
)

func triOf(v, known bool) tri {
	switch {
	case !known:
		return unknown
	case v:
		return yes
	}
	return no
}

// A Batch is the drives of one model, capacity, class and role.
type Batch struct {
	Model      string  `json:"model"` // "" when not known
	Class      string  `json:"class,omitempty"`
	Role       Role    `json:"role"`
	Bytes      int64   `json:"capacity_bytes"`
	Count      int     `json:"count"`
	Asleep     int     `json:"standby,omitempty"` // how many slept
	Down       int     `json:"down,omitempty"`    // how many were down, out or faulty
	Technology string  `json:"technology"`
	Profile    string  `json:"profile"` // of the energy model
	How        How     `json:"how"`
	Why        string  `json:"why"`
	Hours      int     `json:"hours_median,omitempty"`
	AFR        float64 `json:"afr,omitempty"` // failures a drive-year, when a log tells

	match Match
}

// Wear is how far drives have come in their life; counts are of drives that tell.
type Wear struct {
	Drives      int `json:"drives"`
	HoursMedian int `json:"hours_median"`
	HoursMax    int `json:"hours_max"`
	PastFive    int `json:"older_than_5_years"`
	StartsMax   int `json:"start_stop_max"`
	LoadsMax    int `json:"load_cycle_max"`
	WornStarts  int `json:"over_half_of_start_stop_budget"`
}

// A Pool is data under one redundancy rule.
type Pool struct {
	ID       int     `json:"id"`
	Name     string  `json:"name"`
	Scheme   string  `json:"scheme"` // "" when not known
	MinSize  int     `json:"min_size,omitempty"`
	PGs      int     `json:"pgs,omitempty"`
	Class    string  `json:"class,omitempty"` // device class, "" for any
	Domain   string  `json:"failure_domain,omitempty"`
	PerSite  int     `json:"per_site,omitempty"` // shards of a stripe that one site may hold at worst
	Stored   int64   `json:"stored_bytes"`
	Raw      int64   `json:"raw_bytes,omitempty"` // allocated
	Objects  int64   `json:"objects"`
	Overhead float64 `json:"overhead"`

	scheme  erasure.Scheme
	known   bool // whether scheme is
	perHost int  // shards of a stripe that one server holds, 0 when the rule tells
}

// less orders hosts.
func (h Host) less(o Host) int {
	return cmp.Or(strings.Compare(h.Site, o.Site), strings.Compare(h.Rack, o.Rack), strings.Compare(h.Name, o.Name))
}

// DriveCount counts the drives of all hosts.
func (f *Found) DriveCount() (n int) {
	for _, h := range f.Hosts {
		n += len(h.Drives)
	}
	return n
}

// tally fills in sites, batches, wear and capacity from the hosts and pools.
func (f *Found) tally() {
	slices.SortFunc(f.Hosts, Host.less)
	f.sites()
	f.batches()
	f.wear()
	f.capacity()
}

func (f *Found) sites() {
	f.Sites = nil
	for i, h := range f.Hosts {
		if len(f.Sites) == 0 || f.Sites[len(f.Sites)-1].Name != h.Site {
			f.Sites = append(f.Sites, Site{Name: h.Site})
		}
		s := &f.Sites[len(f.Sites)-1]
		if i == 0 || f.Hosts[i-1].Site != h.Site || f.Hosts[i-1].Rack != h.Rack {
			s.Racks++
		}
		s.Hosts++
		s.Drives += len(h.Drives)
		for _, d := range h.Drives {
			if d.Role == Data {
				s.Raw += d.Bytes
			}
		}
	}
}

type batchKey struct {
	model, class string
	role         Role
	bytes        int64
	technology   string
}

func (f *Found) batches() {
	index := map[batchKey]int{}
	hours := map[int][]int{}
	failed, days := map[int]int{}, map[int]int{}
	f.Fleet = nil
	for i := range f.Hosts {
		for j := range f.Hosts[i].Drives {
			d := &f.Hosts[i].Drives[j]
			m := Recognise(*d)
			key := batchKey{d.Model, d.Class, d.Role, d.Bytes, m.Technology}
			n, ok := index[key]
			if !ok {
				n = len(f.Fleet)
				index[key] = n
				f.Fleet = append(f.Fleet, Batch{Model: d.Model, Class: d.Class, Role: d.Role, Bytes: d.Bytes,
					Technology: m.Technology, Profile: m.Profile, How: m.How, Why: m.Why, match: m})
			}
			b := &f.Fleet[n]
			d.batch = n
			b.Count++
			switch d.State {
			case Asleep:
				b.Asleep++
			case Down, Out, Broken:
				b.Down++
			}
			if d.Hours > 0 {
				hours[n] = append(hours[n], d.Hours)
			}
			failed[n] += d.failed
			days[n] += d.days
		}
	}
	for n := range f.Fleet {
		if h := hours[n]; len(h) > 0 {
			slices.Sort(h)
			f.Fleet[n].Hours = h[len(h)/2]
		}
		if days[n] > 0 {
			f.Fleet[n].AFR = float64(failed[n]) / float64(days[n]) * 365
		}
	}
	f.sortBatches()
}

// sortBatches puts the largest batch first and renumbers the drives.
func (f *Found) sortBatches() {
	order := make([]int, len(f.Fleet))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := f.Fleet[a], f.Fleet[b]
		return cmp.Or(cmp.Compare(y.Count, x.Count), strings.Compare(x.Model, y.Model), cmp.Compare(x.Bytes, y.Bytes), strings.Compare(string(x.Role), string(y.Role)), strings.Compare(x.Class, y.Class))
	})
	sorted := make([]Batch, len(order))
	place := make([]int, len(order))
	for i, o := range order {
		sorted[i] = f.Fleet[o]
		place[o] = i
	}
	f.Fleet = sorted
	for i := range f.Hosts {
		for j := range f.Hosts[i].Drives {
			f.Hosts[i].Drives[j].batch = place[f.Hosts[i].Drives[j].batch]
		}
	}
}

// Start/stop budget and life that makers rate drives for: 50,000 starts, in five years (the
// Ultrastar DC HC580 specification, p. 34, and the SMART of others, name the first).
const (
	startBudget = 50000
	fiveYears   = 5 * 8766
)

func (f *Found) wear() {
	var w Wear
	var hours []int
	for _, h := range f.Hosts {
		for _, d := range h.Drives {
			if d.Hours == 0 && d.Starts == 0 && d.Loads == 0 {
				continue
			}
			w.Drives++
			if d.Hours > 0 {
				hours = append(hours, d.Hours)
			}
			if d.Hours > fiveYears {
				w.PastFive++
			}
			if d.Starts > startBudget/2 {
				w.WornStarts++
			}
			w.HoursMax, w.StartsMax, w.LoadsMax = max(w.HoursMax, d.Hours), max(w.StartsMax, d.Starts), max(w.LoadsMax, d.Loads)
		}
	}
	if f.Wear = nil; w.Drives > 0 {
		slices.Sort(hours)
		if len(hours) > 0 {
			w.HoursMedian = hours[len(hours)/2]
		}
		f.Wear = &w
	}
}

func (f *Found) capacity() {
	c := Capacity{Used: f.Sizes.Used, Stored: f.Sizes.Stored}
	var used int64
	for _, h := range f.Hosts {
		for _, d := range h.Drives {
			if d.Role != Data {
				continue
			}
			if d.State != Out {
				c.Raw += d.Bytes
			}
			used += d.Used
			if d.Bytes > 0 {
				c.Fullest = max(c.Fullest, float64(d.Used)/float64(d.Bytes))
			}
		}
	}
	if c.Used == 0 {
		c.Used = used
	}
	if c.Stored == 0 {
		for _, p := range f.Pools {
			c.Stored += p.Stored
		}
	}
	c.Reserve = f.reserve()
	c.Usable, c.Fill = f.usable(c.Raw)
	f.Sizes = c
}

// usable is the bytes that the drives hold for users under the overhead of what they store,
// class by class, and how full they are. Classes that hold nothing count as the others do.
func (f *Found) usable(raw int64) (usable int64, fill float64) {
	type sums struct{ raw, stored, need float64 }
	by := map[string]*sums{}
	of := func(class string) *sums {
		if by[class] == nil {
			by[class] = &sums{}
		}
		return by[class]
	}
	var all sums
	for _, p := range f.Pools {
		if p.known {
			s := of(f.classOf(p))
			s.stored, s.need = s.stored+float64(p.Stored), s.need+float64(p.Stored)*p.Overhead
			all.stored, all.need = all.stored+float64(p.Stored), all.need+float64(p.Stored)*p.Overhead
		}
	}
	if all.stored == 0 {
		if len(f.Pools) > 0 && f.Pools[0].known {
			return int64(float64(raw) * (1 - f.reserve()) / f.Pools[0].Overhead), 0
		}
		return 0, 0
	}
	several := len(f.classes()) > 1
	for _, h := range f.Hosts {
		for _, d := range h.Drives {
			if d.Role != Data || d.State == Out {
				continue
			}
			if several {
				of(d.Class).raw += float64(d.Bytes)
			} else {
				of("").raw += float64(d.Bytes)
			}
		}
	}
	total := 0.0
	for _, class := range sortedKeys(by) {
		if s := by[class]; s.stored > 0 {
			total += s.raw * s.stored / s.need
		} else {
			total += s.raw * all.stored / all.need
		}
	}
	total *= 1 - f.reserve()
	if total > 0 {
		fill = all.stored / total
	}
	return int64(math.Min(total, maxBytes)), fill
}

// reserve is the part of the raw bytes that is to stay free: what lies above the fill at which
// the cluster warns, or a tenth.
func (f *Found) reserve() float64 {
	if f.full.near > 0 && f.full.near < 1 {
		return math.Round((1-f.full.near)*1000) / 1000
	}
	return 0.10
}

// MainProfile is the profile of the largest batch that holds data.
func (f *Found) MainProfile() string {
	for _, b := range f.Fleet {
		if b.Role == Data {
			if b.Profile != "" {
				return b.Profile
			}
			return "class-" + b.Technology
		}
	}
	return "class-hdd"
}
