package importer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/wattle-storage/wattle/erasure"
)

// A Finding is something about the cluster's safety.
type Finding struct {
	Level string `json:"level"` // danger, warning or note
	What  string `json:"what"`
	Why   string `json:"why"`
	Do    string `json:"do"`
}

// The levels of findings.
const (
	Danger  = "danger"
	Warning = "warning"
	Remark  = "note"
)

// fewPGs is the number of placement groups a drive below which its fill and load scatter: a
// third of the hundred that Ceph's documentation aims at, below which its autoscaler acts.
const fewPGs = 33

// Findings lists what is unsafe, the worst first.
func (f *Found) Findings() []Finding {
	list := []Finding{}
	for _, p := range f.Pools {
		if p.known {
			list = append(list, f.poolFindings(p)...)
		}
	}
	list = append(list, f.driveFindings()...)
	order := []string{Danger, Warning, Remark}
	slices.SortStableFunc(list, func(a, b Finding) int {
		return slices.Index(order, a.Level) - slices.Index(order, b.Level)
	})
	return list
}

func (f *Found) poolFindings(p Pool) (list []Finding) {
	add := func(level, do, why, what string, a ...any) {
		list = append(list, Finding{level, p.Name + ": " + fmt.Sprintf(what, a...), why, do})
	}
	n, k := p.scheme.N(), p.scheme.K
	hosts := f.hostsOf(p.Class)
	if hosts == 0 {
		hosts = f.hostsOf("")
	}
	if p.Domain == "osd" {
		add(Danger, "a rule with failure domain host", "shards of one stripe may share a server: one server lost may lose data", "failure domain osd")
	}
	switch {
	case p.MinSize > 0 && p.scheme.Kind != erasure.Replica && p.MinSize <= k:
		add(Danger, fmt.Sprintf("min_size %d", k+1), "writes go on without a spare shard: one more failure loses what was just acknowledged", "min_size %d = k", p.MinSize)
	case p.MinSize == 1 && p.scheme.Kind == erasure.Replica && n > 1:
		add(Danger, "min_size 2", "writes go on to a single copy: one more failure loses what was just acknowledged", "min_size 1")
	}
	if p.scheme.Tolerates() < 2 && p.Stored > 0 {
		add(Danger, "three copies, or two parity shards at least", "a second failure during the repair of the first loses data", "%s stands %d lost", p.Scheme, p.scheme.Tolerates())
	}
	list = append(list, f.spreadFindings(p, n, hosts)...)
	if drives := f.drivesOf(p.Class); p.PGs > 0 && drives > 0 && p.scheme.Kind != erasure.Replica {
		if per := float64(p.PGs*n) / float64(drives); per < fewPGs {
			add(Warning, fmt.Sprintf("pg_num %d", powerOfTwo(100*drives/n)), "few large groups fill drives unevenly, and the fullest drive stops the pool", "%.0f shards of groups a drive (%d groups over %d drives)", per, p.PGs, drives)
		}
	}
	return list
}

// spreadFindings are about servers and sites.
func (f *Found) spreadFindings(p Pool, n, hosts int) (list []Finding) {
	switch {
	case (p.Domain == "host" || p.Domain == "") && hosts < n:
		list = append(list, Finding{Danger, fmt.Sprintf("%s: %d servers for %d shards", p.Name, hosts, n), "not every shard finds a server of its own: the pool is short of shards, or shares servers", fmt.Sprintf("a scheme of %d shards at most", hosts)})
	case p.Domain == "host" && hosts == n:
		list = append(list, Finding{Warning, fmt.Sprintf("%s: %d servers for %d shards", p.Name, hosts, n), "with a server down there is none to repair to", "one server more, or a scheme with a shard less"})
	}
	if over := p.perHost; over > p.scheme.Tolerates() {
		list = append(list, Finding{Danger, fmt.Sprintf("%s: a server holds %d shards of %d, %s stands %d", p.Name, over, n, p.Scheme, p.scheme.Tolerates()),
			"with one server down nothing of the pool can be read, with one lost it is lost", "more servers, or more parity for each set"})
	}
	if sites := len(f.Sites); sites > 1 && p.Stored > 0 {
		if t := f.toleranceOf(p.Name, p.scheme); t.Sites == 0 {
			list = append(list, Finding{Warning, fmt.Sprintf("%s: no site may be lost, though there are %d", p.Name, sites),
				fmt.Sprintf("up to %d of %d shards of a stripe may lie on one site, %s stands %d", p.PerSite, n, p.Scheme, p.scheme.Tolerates()),
				fmt.Sprintf("a rule and a scheme with at most m shards a site: %.2fx raw at least over %d sites", float64(sites)/float64(sites-1), sites)})
		}
	}
	return list
}

func powerOfTwo(n int) int {
	p := 1
	for p < n {
		p *= 2
	}
	return p
}

func (f *Found) drivesOf(class string) (n int) {
	for _, b := range f.Fleet {
		if b.Role == Data && (class == "" || b.Class == class) {
			n += b.Count
		}
	}
	return n
}

// driveFindings are about fill, drives that do not work, wear and sites.
func (f *Found) driveFindings() (list []Finding) {
	add := func(level, what, why, do string) { list = append(list, Finding{level, what, why, do}) }
	near := f.full.near
	if near == 0 {
		near = 0.85
	}
	used := 0.0
	if f.Sizes.Raw > 0 {
		used = float64(f.Sizes.Used) / float64(f.Sizes.Raw)
	}
	switch {
	case f.full.full > 0 && f.Sizes.Fullest >= f.full.full:
		add(Danger, fmt.Sprintf("the fullest drive is %.0f %% full", 100*f.Sizes.Fullest), "the cluster stops writes at full_ratio", "add drives, or delete and rebalance")
	case f.Sizes.Fullest >= near:
		add(Warning, fmt.Sprintf("the fullest drive is %.0f %% full", 100*f.Sizes.Fullest), "the first full drive stops the pool, however much room others have", "rebalance, or add drives")
	case used >= 0.9*near:
		add(Warning, fmt.Sprintf("%.0f %% of the raw bytes are in use", 100*used), fmt.Sprintf("the cluster warns at %.0f %%", 100*near), "add drives before a server is lost: its data must fit on the others")
	}
	if f.folded > 0 {
		add(Danger, count(f.folded, "drive")+" of the store on file systems that it has already", "shards of one stripe share a drive: the scheme stands fewer drives lost than it says", "a file system of its own for each drive")
	}
	down, asleep := 0, 0
	for _, b := range f.Fleet {
		down, asleep = down+b.Down, asleep+b.Asleep
	}
	if down > 0 {
		add(Warning, count(down, "drive")+" down, out or faulty", "they draw watts and hold nothing that can be read", "repair or remove them")
	}
	if len(f.Sites) == 1 && f.System != "drives" {
		add(Remark, "all in one site, as far as the dump tells", "no scheme survives the loss of it", "if the racks stand apart, name the sites in the topology")
	}
	if w := f.Wear; w != nil && w.PastFive > 0 {
		add(Remark, fmt.Sprintf("%s of %d older than five years", count(w.PastFive, "drive"), w.Drives), "makers rate drives for five years", "plan their replacement")
	}
	if w := f.Wear; w != nil && w.WornStarts > 0 {
		add(Warning, fmt.Sprintf("%s past half of %d starts", count(w.WornStarts, "drive"), startBudget), "makers rate drives for so many starts and stops", "let them sleep less often")
	}
	if hidden := f.hiddenDrives(); len(hidden) > 0 {
		add(Remark, "drives behind "+strings.Join(hidden, " and "), "what turns there, and how much of it, is not known", "read smartctl on the machines themselves")
	}
	return list
}

func (f *Found) hiddenDrives() (list []string) {
	for _, b := range f.Fleet {
		if b.How == Hidden && !slices.Contains(list, hiddenBy(b.Model)) {
			list = append(list, hiddenBy(b.Model))
		}
	}
	slices.Sort(list)
	return list
}
