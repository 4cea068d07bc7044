package importer

import (
	"cmp"
	"math"
	"slices"

	"github.com/wattle-storage/wattle/energy"
	"github.com/wattle-storage/wattle/erasure"
	"github.com/wattle-storage/wattle/whatif"
)

// A shape is the cluster under a change: the servers that stay and the drives in them.
type shape struct {
	hosts  int
	drives int // with data
	bought int
	fleet  []whatif.Fleet
	bays   float64 // drives in a server, those aside too
}

// A change is what a shape is made for.
type change struct {
	pools []whatif.Pool
	fill  map[string]float64 // by class; of the bytes that the reserve leaves
	disk  string             // profile that replaces the turning data drives, "" for none
	tb    float64
}

// needs are raw terabytes by class at a fill of 1.
func needs(pools []whatif.Pool, reserve float64) map[string]float64 {
	need := map[string]float64{}
	for _, p := range pools {
		s, err := erasure.Parse(p.Scheme)
		if err != nil {
			continue
		}
		need[p.DeviceClass] += float64(p.StoredTB) * s.Overhead() * math.Max(1, p.Amplification) / (1 - reserve)
	}
	return need
}

// fills are how full the classes are today.
func (f *Found) fills(s whatif.Scenario) map[string]float64 {
	raw := map[string]float64{}
	for _, d := range s.Fleet {
		if !d.Aside {
			raw[d.DeviceClass] += float64(d.Count) * float64(d.CapacityTB)
		}
	}
	fill := map[string]float64{}
	for class, need := range needs(s.Pools, *s.Reserve) {
		fill[class] = need / math.Max(raw[class], 1e-9)
	}
	return fill
}

// leastHosts is how many servers the pools need: as many as shards where no two of a stripe
// share one, and one more, to repair to, where there is one today.
func (f *Found) leastHosts(pools []whatif.Pool) int {
	least := 1
	for _, p := range pools {
		s, err := erasure.Parse(p.Scheme)
		if err != nil {
			continue
		}
		n := s.N()
		if f.domainOf(p.Name) == "drive" { // sets lie over servers in turn, parity for each
			n = (n + s.M - 1) / max(1, s.M)
		}
		if f.hostsOf(p.DeviceClass) > n {
			n++
		}
		least = max(least, n)
	}
	return min(least, len(f.Hosts))
}

// domainOf is the failure domain of a pool.
func (f *Found) domainOf(pool string) string {
	for _, p := range f.Pools {
		if p.Name == pool {
			return p.Domain
		}
	}
	return ""
}

// setOf is the number of drives that are added together: those of a set in MinIO and RustFS.
func (f *Found) setOf(pools []whatif.Pool) int {
	set := 1
	for _, p := range pools {
		if s, err := erasure.Parse(p.Scheme); err == nil && (f.System == "minio" || f.System == "rustfs") {
			set = max(set, s.N())
		}
	}
	return set
}

// hostsOf counts the servers that hold data drives of a class.
func (f *Found) hostsOf(class string) (n int) {
	for _, h := range f.Hosts {
		if hasClass(h, class) {
			n++
		}
	}
	return n
}

func hasClass(h Host, class string) bool {
	return slices.ContainsFunc(h.Drives, func(d Drive) bool { return d.Role == Data && (class == "" || d.Class == class) })
}

// shapeFor finds the servers and drives that a change needs. Servers leave while the rest has
// room and is as many as the schemes ask for, the one that draws most for its terabytes
// first; then drives that are still too many leave.
func (f *Found) shapeFor(s whatif.Scenario, c change) shape {
	need := needs(c.pools, *s.Reserve)
	for class := range need {
		need[class] /= c.fill[class]
	}
	main := f.mainClass(s)
	if c.disk != "" {
		return f.replaced(s, c, need, main)
	}
	kept := f.keep(c.pools, need, f.leastHosts(c.pools))
	sh := shape{hosts: len(kept), fleet: f.fleetOf(kept, c.pools)}
	if f.setOf(c.pools) == 1 { // drives of a set cannot leave it
		sh.fleet = f.trim(sh.fleet, need)
	}
	hosts := map[string]int{}
	for _, h := range kept {
		hosts[h.Site]++
	}
	sh.count(s, hosts)
	return sh
}

// count sums the drives up; hosts are the servers by site, or evenly spread where that is nil.
func (sh *shape) count(s whatif.Scenario, hosts map[string]int) {
	all, bySite := 0, map[string]int{}
	for _, d := range sh.fleet {
		all += d.Count
		bySite[d.Site] += d.Count
		if !d.Aside {
			sh.drives += d.Count
		}
		if !d.Owned {
			sh.bought += d.Count
		}
	}
	sh.bays = math.Max(1, float64(all)/float64(max(1, sh.hosts)))
	for site, n := range hosts {
		if site != "" && len(s.Sites) > 1 {
			sh.bays = math.Max(sh.bays, float64(bySite[site])/float64(n))
		}
	}
}

// mainClass is the class with the most bytes.
func (f *Found) mainClass(s whatif.Scenario) string {
	best, most := "", 0.0
	sum := map[string]float64{}
	for _, d := range s.Fleet {
		if !d.Aside {
			sum[d.DeviceClass] += float64(d.Count) * float64(d.CapacityTB)
		}
	}
	for _, class := range sortedKeys(sum) {
		if sum[class] > most {
			best, most = class, sum[class]
		}
	}
	return best
}

// replaced puts new drives for all that turn in the main class, in as few servers as their
// bays and the schemes allow.
func (f *Found) replaced(s whatif.Scenario, c change, need map[string]float64, main string) shape {
	n := int(math.Ceil(need[main]/c.tb - 1e-9))
	sites := max(1, len(s.Sites))
	least := f.leastHosts(c.pools)
	bays := max(1, s.Server.Drives)
	hosts := min(max((n+bays-1)/bays, least), len(f.Hosts))
	hosts = (hosts + sites - 1) / sites * sites
	n = max(n, hosts)
	set := f.setOf(c.pools)
	n = (n + sites*set - 1) / (sites * set) * sites * set
	sh := shape{hosts: min(hosts, max(len(f.Hosts), sites))}
	sh.fleet = []whatif.Fleet{{Disk: c.disk, CapacityTB: whatif.Terabytes(c.tb), Count: n, DeviceClass: className(main, c.pools)}}
	for _, d := range s.Fleet { // other classes stay, databases leave with their drives
		if !d.Aside && d.DeviceClass != main {
			sh.fleet = append(sh.fleet, d)
		} else if d.Aside {
			d.Count = max(1, int(math.Round(float64(d.Count)*float64(hosts)/float64(len(f.Hosts)))))
			sh.fleet = append(sh.fleet, d)
		}
	}
	sh.count(s, nil)
	return sh
}

func className(class string, pools []whatif.Pool) string {
	if servesByName(class, pools) {
		return class
	}
	return ""
}

// keep lists the hosts that stay.
func (f *Found) keep(pools []whatif.Pool, need map[string]float64, least int) []Host {
	groups := f.groups()
	raw, siteRaw := map[string]float64{}, map[string]map[string]float64{}
	count, siteHosts := len(f.Hosts), map[string]int{}
	for _, h := range f.Hosts {
		siteHosts[h.Site]++
		for class, tb := range rawOf(h, pools) {
			raw[class] += tb
			if siteRaw[class] == nil {
				siteRaw[class] = map[string]float64{}
			}
			siteRaw[class][h.Site] += tb
		}
	}
	gone := map[int]bool{}
	sites := len(f.Sites)
	for _, g := range groups {
		fits := count-len(g) >= least
		loss := map[string]float64{}
		for _, i := range g {
			for class, tb := range rawOf(f.Hosts[i], pools) {
				loss[class] += tb
				fits = fits && siteRaw[class][f.Hosts[i].Site]-tb >= need[class]/float64(sites)
			}
			fits = fits && siteHosts[f.Hosts[i].Site]-1 >= (least+sites-1)/sites
		}
		for class, tb := range loss {
			fits = fits && raw[class]-tb >= need[class]
		}
		if !fits || len(loss) == 0 {
			continue
		}
		for _, i := range g {
			gone[i] = true
			count--
			siteHosts[f.Hosts[i].Site]--
			for class, tb := range rawOf(f.Hosts[i], pools) {
				raw[class] -= tb
				siteRaw[class][f.Hosts[i].Site] -= tb
			}
		}
	}
	var kept []Host
	for i, h := range f.Hosts {
		if !gone[i] {
			kept = append(kept, h)
		}
	}
	return kept
}

// groups lists hosts that leave together, those that draw most for their terabytes first.
func (f *Found) groups() [][]int {
	var list [][]int
	index := map[string]int{}
	for i, h := range f.Hosts {
		if j, ok := index[h.Group]; ok && h.Group != "" {
			list[j] = append(list[j], i)
			continue
		}
		index[h.Group] = len(list)
		list = append(list, []int{i})
	}
	worth := func(g []int) float64 {
		w, tb := 0.0, 0.0
		for _, i := range g {
			w += serverW
			for _, d := range f.Hosts[i].Drives {
				w += slotW + f.Fleet[d.batch].idleW()
				if d.Role == Data {
					tb += float64(d.Bytes) / 1e12
				}
			}
		}
		return w / math.Max(tb, 1e-9)
	}
	slices.SortStableFunc(list, func(a, b []int) int { return cmp.Compare(worth(b), worth(a)) })
	return list
}

// Watts around drives, typical of the energy model's; here they only put servers in order.
const (
	slotW   = 4
	serverW = 215
)

func (b Batch) idleW() float64 {
	id, own := b.profile()
	if own != nil {
		return float64(own.Watts(energy.Idle))
	}
	p, err := energy.Lookup(id)
	if err != nil {
		return 0
	}
	return float64(p.Watts(energy.Idle))
}

// rawOf are a host's terabytes by the class that pools name.
func rawOf(h Host, pools []whatif.Pool) map[string]float64 {
	raw := map[string]float64{}
	for _, d := range h.Drives {
		if d.Role == Data && d.State != Out && serves(d.Class, pools) {
			raw[className(d.Class, pools)] += float64(d.Bytes) / 1e12
		}
	}
	return raw
}

// trim takes drives away that are not needed, those that draw most for a terabyte first, from
// each site in turn.
func (f *Found) trim(fleet []whatif.Fleet, need map[string]float64) []whatif.Fleet {
	raw := map[string]float64{}
	for _, d := range fleet {
		if !d.Aside {
			raw[d.DeviceClass] += float64(d.Count) * float64(d.CapacityTB)
		}
	}
	order := make([]int, 0, len(fleet))
	for i, d := range fleet {
		if !d.Aside {
			order = append(order, i)
		}
	}
	perTB := func(i int) float64 { return (f.watts(fleet[i].Disk) + slotW) / float64(fleet[i].CapacityTB) }
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(perTB(b), perTB(a)) })
	for _, i := range order {
		d := &fleet[i]
		tb := float64(d.CapacityTB)
		same := 0 // lines of the same drives at other sites
		for _, j := range order {
			if fleet[j].Disk == d.Disk && fleet[j].CapacityTB == d.CapacityTB && fleet[j].DeviceClass == d.DeviceClass {
				same++
			}
		}
		spare := raw[d.DeviceClass] - need[d.DeviceClass]
		n := min(int(spare/tb/float64(same)), d.Count)
		if same > 1 { // the others take as much
			n = min(int(spare/tb)/same, d.Count)
		}
		if n > 0 {
			d.Count -= n
			raw[d.DeviceClass] -= float64(n) * tb
		}
	}
	return slices.DeleteFunc(fleet, func(d whatif.Fleet) bool { return d.Count == 0 })
}

func (f *Found) watts(disk string) float64 {
	for _, b := range f.Fleet {
		if id, _ := b.profile(); id == disk {
			return b.idleW()
		}
	}
	return 0
}
