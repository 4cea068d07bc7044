package importer

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/wattle-storage/wattle/energy"
	"github.com/wattle-storage/wattle/erasure"
	"github.com/wattle-storage/wattle/whatif"
)

// A Lever is one change and what it does to the watts of a stored terabyte.
type Lever struct {
	Name     string           `json:"name"` // scheme, fill, drives, spin_down or pue
	What     string           `json:"what"`
	Factor   whatif.Estimate  `json:"factor"`          // alone
	Joint    *whatif.Estimate `json:"joint,omitempty"` // together with the levers before it
	Verdict  string           `json:"verdict"`         // less, more or indistinct
	KWh      whatif.Estimate  `json:"kwh_saved_per_year"`
	Kg       *whatif.Estimate `json:"kgco2e_saved_per_year"`
	EUR      *whatif.Estimate `json:"eur_saved_per_year"`
	Servers  int              `json:"servers"`
	Drives   int              `json:"drives"`
	Bought   int              `json:"drives_bought,omitempty"`
	Nines    *whatif.Estimate `json:"nines,omitempty"` // of a year, disks, bursts and disasters; today's are in the answer
	Needs    []string         `json:"needs"`
	Breaks   []string         `json:"breaks"`
	Feasible bool             `json:"feasible"`
	Why      string           `json:"why,omitempty"` // it is not

	change change
	pue    *whatif.Range
	states map[string]float64
	scheme map[int]string // of pools, by index
}

// What levers aim at when nothing else is asked for.
const (
	targetFill = 0.90 // of what the reserve leaves
	targetPUE  = 1.30
	sleepPart  = 0.5 // of the time
)

// newDisk is the largest helium drive whose idle and active watts were read and that writes as
// others do.
func newDisk() energy.Profile {
	var best energy.Profile
	for _, p := range energy.Profiles() {
		if p.Kind == "hdd" && p.Technology == "helium" && p.Status == energy.Datasheet && p.IdleW > 0 && p.ActiveW > 0 && p.CapacityTB > best.CapacityTB {
			best = p
		}
	}
	return best
}

// levers lists the changes that may be worth while, with their shapes.
func (f *Found) levers(s whatif.Scenario) []Lever {
	fill := f.fills(s)
	var list []Lever
	if f.Known() {
		list = append(list, f.schemeLevers(s, fill)...)
		list = append(list, f.fillLever(s, fill)...)
		list = append(list, f.driveLever(s, fill)...)
	}
	list = append(list, f.sleepLever()...)
	if p := s.Facility.PUE; len(s.Sweep.PUEs) == 0 && (p == nil || p.Typical > targetPUE) {
		l := Lever{Name: "pue", What: fmt.Sprintf("PUE to %.2f", targetPUE), pue: whatif.Exactly(targetPUE), Feasible: p != nil,
			Needs: []string{"cooling with outside air most of the year, or another building"}, Breaks: []string{"nothing in the store"}}
		if p == nil {
			l.Why = "today's PUE is not known (1.58 is a survey's mean): give --pue"
		}
		list = append(list, l)
	}
	return list
}

// codes are the erasure codes that are tried.
var codes = []string{"rs:4+2", "rs:6+3", "rs:8+3", "rs:8+4", "rs:9+3", "rs:10+4", "rs:12+4", "rs:16+4", "rs:3+3", "rs:9+6"}

// schemeLevers are the codes that stand as much as today's schemes, need no more servers than
// there are, and store with less.
func (f *Found) schemeLevers(s whatif.Scenario, fill map[string]float64) (list []Lever) {
	if f.System == "minio" || f.System == "rustfs" {
		return nil // sets are fixed when a pool is made
	}
	for _, code := range codes {
		c, _ := erasure.Parse(code)
		pools, changed := f.recode(s.Pools, c)
		if len(changed) == 0 {
			continue
		}
		l := Lever{Name: "scheme", scheme: changed, change: change{pools: pools, fill: fill}, Feasible: true, What: f.whatChanged(s.Pools, changed)}
		hosts := f.hostsOf(f.mainClass(s))
		l.Needs = []string{fmt.Sprintf("%d servers, better %d to repair to; %d are there", c.N(), c.N()+1, hosts), "every object of those pools copied once to a new pool (wattle plan)"}
		l.Breaks = []string{fmt.Sprintf("a small read touches %d drives where each object is cut in %d, one where copies are kept", c.K, c.K), "small objects take at least the smallest allocation in each shard"}
		if f.System == "ceph" {
			l.Breaks = append(l.Breaks, "block devices and file systems need allow_ec_overwrites and a replicated pool for metadata")
		}
		list = append(list, l)
	}
	return list
}

// recode gives the pools that a code would serve better that code. Small pools stay: indexes
// and metadata want copies.
func (f *Found) recode(pools []whatif.Pool, c erasure.Scheme) ([]whatif.Pool, map[int]string) {
	total := 0.0
	for _, p := range pools {
		total += float64(p.StoredTB)
	}
	out, changed := slices.Clone(pools), map[int]string{}
	for i, p := range pools {
		s, err := erasure.Parse(p.Scheme)
		if err != nil || float64(p.StoredTB) < 0.02*total || c.Overhead() > 0.97*s.Overhead() {
			continue
		}
		if f.stands(p, s, c) && f.hostsOf(p.DeviceClass) >= c.N() {
			out[i].Scheme, changed[i] = c.String(), c.String()
		}
	}
	return out, changed
}

// stands tells whether code c stands as much as scheme s of a pool does today: as many shards,
// and as many sites with as many shards more; wide codes three shards at least.
func (f *Found) stands(p whatif.Pool, s, c erasure.Scheme) bool {
	least := max(s.Tolerates(), 2)
	if c.K > 6 {
		least = max(least, 3)
	}
	if c.Tolerates() < least {
		return false
	}
	today := f.toleranceOf(p.Name, s)
	if today.Sites == 0 {
		return true
	}
	return !whatif.ToleranceOf(c, len(f.Sites)).Less(today)
}

// toleranceOf is what a pool survives with the rule that it has.
func (f *Found) toleranceOf(pool string, s erasure.Scheme) whatif.Tolerance {
	t := whatif.Tolerance{Left: s.Tolerates()}
	sites := len(f.Sites)
	for _, p := range f.Pools {
		if p.Name != pool || p.PerSite <= 0 {
			continue
		}
		for t.Sites < sites-1 && t.Left >= p.PerSite {
			t.Sites, t.Left = t.Sites+1, t.Left-p.PerSite
		}
	}
	return t
}

func (f *Found) whatChanged(pools []whatif.Pool, changed map[int]string) string {
	var parts []string
	for _, i := range sortedKeys(changed) {
		parts = append(parts, fmt.Sprintf("%s: %s to %s", pools[i].Name, pools[i].Scheme, changed[i]))
	}
	return strings.Join(parts, ", ")
}

func (f *Found) fillLever(s whatif.Scenario, fill map[string]float64) []Lever {
	fuller, any := map[string]float64{}, false
	for class, v := range fill {
		fuller[class] = math.Max(v, targetFill)
		any = any || v < targetFill-0.03
	}
	if !any {
		return nil
	}
	l := Lever{Name: "fill", change: change{pools: s.Pools, fill: fuller}, Feasible: true,
		Needs:  []string{"the servers that go drained first, their data moved to the others"},
		Breaks: []string{fmt.Sprintf("room to grow: the rest would be %.0f %% full of what may be filled", 100*targetFill)}}
	sh := f.shapeFor(s, l.change)
	switch {
	case len(f.Hosts) > sh.hosts && f.System != "ceph" && f.System != "drives":
		l.What = fmt.Sprintf("retire %d of %d servers, as whole server pools", len(f.Hosts)-sh.hosts, len(f.Hosts))
	case len(f.Hosts) > sh.hosts:
		l.What = fmt.Sprintf("retire %d of %d servers", len(f.Hosts)-sh.hosts, len(f.Hosts))
	case f.System == "minio" || f.System == "rustfs":
		return nil // drives of a set cannot leave
	default:
		l.What = "retire drives, no whole server"
	}
	return []Lever{l}
}

func (f *Found) driveLever(s whatif.Scenario, fill map[string]float64) []Lever {
	p := newDisk()
	main := f.mainClass(s)
	raw, n := 0.0, 0.0
	for _, d := range s.Fleet {
		if !d.Aside && d.DeviceClass == main {
			raw, n = raw+float64(d.Count)*float64(d.CapacityTB), n+float64(d.Count)
		}
	}
	if n == 0 || raw/n > 0.9*p.CapacityTB || !f.turns(main) {
		return nil
	}
	l := Lever{Name: "drives", What: fmt.Sprintf("%s %s of %v TB for drives of %.3g TB on average", p.Vendor, p.Model, p.CapacityTB, raw/n), Feasible: true,
		change: change{pools: s.Pools, fill: fill, disk: p.ID, tb: p.CapacityTB}}
	sh := f.shapeFor(s, l.change)
	l.Needs = []string{fmt.Sprintf("%d drives bought for %.0f", sh.bought, n), "all data moved to them"}
	if set := f.setOf(s.Pools); set > 1 {
		l.Needs[1] = fmt.Sprintf("a new server pool with sets of %d, and the old ones decommissioned", set)
	}
	l.Breaks = []string{fmt.Sprintf("random I/Os fall to %.0f %%: they go with the number of drives, not with terabytes", 100*float64(sh.bought)/n), "repair of a drive takes as many times longer as it is larger"}
	return []Lever{l}
}

func (f *Found) turns(class string) bool {
	for _, b := range f.Fleet {
		if b.Role == Data && b.Technology != "ssd" && (class == "" || b.Class == class) {
			return true
		}
	}
	return false
}

func (f *Found) sleepLever() []Lever {
	if !f.turns("") {
		return nil
	}
	l := Lever{Name: "spin_down", What: "drives asleep half of the time", states: map[string]float64{"idle": 1 - sleepPart, "standby": sleepPart}, Feasible: f.System == "drives",
		Needs:  []string{"long gaps without a request: below about a minute sleep costs energy", fmt.Sprintf("at most %.0f starts a day for %d starts in five years", energy.StartsPerDay(startBudget, 5), startBudget)},
		Breaks: []string{"the first read of a sleeping drive waits for its spin-up, 8 to 20 s"}}
	if asleep, _ := f.asleep(); asleep > 0 {
		return nil // they do already
	}
	if !l.Feasible {
		l.Why = "daemons of " + f.System + " write to every drive all the time, and scrub it"
	}
	return []Lever{l}
}
