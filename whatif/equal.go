package whatif

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/wattle-storage/wattle/durability"
	"github.com/wattle-storage/wattle/erasure"
)

// Targets are what a scheme must meet, at the high AFR.
type Targets struct {
	Nines         float64   `json:"at_least"`           // of a year, by disks and bursts; 0: none asked
	DisasterNines float64   `json:"at_least_disasters"` // with disasters of sites at their typical rate; 0: none asked
	Survive       Tolerance `json:"survive"`
	MostShards    int       `json:"most_shards"`       // of a stripe; default 30
	Schemes       []string  `json:"schemes,omitempty"` // only these, product codes too; default all
}

// A Comparison is what meets the targets, ranked by watts for a stored terabyte.
type Comparison struct {
	Targets    Targets      `json:"targets"`
	Sites      []int        `json:"sites"`
	Considered int          `json:"considered"` // schemes that survive what is asked
	Qualifying []Qualified  `json:"qualifying"` // of each width of data, the fewest parities that do
	Twins      []Qualified  `json:"twins"`      // the copies that they are compared with, whether these meet the targets or not
	Best       *Reachable   `json:"best_reachable"`
	Front      []FrontPoint `json:"front"`
	Report     Report       `json:"report"` // defaults, inputs and sources of the options
}

// A Qualified option meets the targets. Ratios are of W per stored TB, to copies on the same
// disks and sites: the fewest that are as safe (above), and one copy less (below).
type Qualified struct {
	Option        Option    `json:"option"`
	Nines         float64   `json:"nines_at_high_afr"`
	DisasterNines float64   `json:"disaster_nines_at_high_afr"`
	TwinAbove     string    `json:"twin_above,omitempty"`
	RatioAbove    *Estimate `json:"ratio_above,omitempty"`
	TwinBelow     string    `json:"twin_below,omitempty"`
	RatioBelow    *Estimate `json:"ratio_below,omitempty"`
	NinesAbove    float64   `json:"twin_above_disaster_nines,omitempty"`
	NinesBelow    float64   `json:"twin_below_disaster_nines,omitempty"`

	system durability.System
}

// A Reachable option comes nearest to targets that nothing meets.
type Reachable struct {
	Qualified
	Missing []string `json:"missing"`
	Binding string   `json:"binding"` // the change that would help the most
	Levers  []Lever  `json:"levers"`
}

// A Lever is a change and the nines that it adds to the target that is missed the most.
type Lever struct {
	Term   string  `json:"term"`
	Change string  `json:"change"`
	Nines  float64 `json:"nines_gained"`
}

// A FrontPoint is an option on the Pareto front: none draws less and loses less.
type FrontPoint struct {
	Scheme        string  `json:"scheme"`
	Disk          string  `json:"disk"`
	Sites         int     `json:"sites"`
	WPerStoredTB  float64 `json:"w_per_stored_tb"`
	Nines         float64 `json:"nines_at_high_afr"`
	DisasterNines float64 `json:"disaster_nines_at_high_afr"`
	Meets         bool    `json:"meets"`
	OnFront       bool    `json:"on_front"`
}

const (
	defaultMostShards = 30
	mostCopies        = 8
	mostData          = 24
	mostParity        = 12
)

// Equal finds the schemes that meet the targets on a scenario's disks and sites. The schemes of
// the scenario's sweep are not looked at: all that a stripe of so many shards allows are.
func Equal(s Scenario, t Targets) (Comparison, error) {
	if err := t.valid(); err != nil {
		return Comparison{}, err
	}
	if t.MostShards == 0 {
		t.MostShards = defaultMostShards
	}
	if len(s.Pools) > 0 || len(s.Options) > 0 {
		return Comparison{}, &FieldError{Field: "pools", Err: errors.New("schemes are compared on one kind of disk: give disks and sites, no pools and no options")}
	}
	if len(s.Sweep.Sites) == 0 {
		s.Sweep.Sites = []int{max(len(s.Sites), 1)}
	}
	c := Comparison{Targets: t, Sites: s.Sweep.Sites, Qualifying: []Qualified{}}
	var all []Qualified
	for _, sites := range c.Sites {
		list, err := c.consider(s, sites)
		if err != nil {
			return c, err
		}
		all = append(all, list...)
	}
	if len(all) == 0 && len(t.Schemes) > 0 {
		return c, fmt.Errorf("none of %s survives %v over %v sites (a product code needs as many sites as it has rows): more sites, or less to survive", strings.Join(t.Schemes, ", "), t.Survive, c.Sites)
	}
	if len(all) == 0 {
		return c, fmt.Errorf("no scheme of up to %d shards survives %v over %v sites: more sites, or less to survive", t.MostShards, t.Survive, c.Sites)
	}
	c.Considered = len(all)
	c.Qualifying = fewest(all, t)
	if len(c.Qualifying) == 0 {
		best, err := reach(all, t)
		if err != nil {
			return c, err
		}
		c.Best = &best
	}
	c.Front = front(all, t)
	return c, errors.Join(c.findTwins(s), c.Rank("watts"))
}

func (t Targets) valid() error {
	for name, v := range map[string]float64{"at_least": t.Nines, "at_least_disasters": t.DisasterNines} {
		if math.IsNaN(v) || v < 0 || v > 100 {
			return &FieldError{Field: name, Err: fmt.Errorf("%v nines: want 0 to 100", v)}
		}
	}
	for _, text := range t.Schemes {
		if _, err := erasure.ParseModelled(text); err != nil {
			return &FieldError{Field: "scheme", Err: err}
		}
	}
	if t.MostShards < 0 || t.MostShards > erasure.MaxShards {
		return &FieldError{Field: "most_shards", Err: fmt.Errorf("%d: want 1 to %d", t.MostShards, erasure.MaxShards)}
	}
	return nil
}

// candidates are the schemes that survive what is asked.
func (t Targets) candidates(sites int) []string {
	var list []string
	for _, text := range t.Schemes {
		s, err := erasure.ParseModelled(text)
		if err == nil && (s.Rows == 0 || s.Rows == sites) && !ToleranceOf(s, sites).Less(t.Survive) {
			list = append(list, text)
		}
	}
	if len(t.Schemes) > 0 {
		return list
	}
	add := func(s erasure.Scheme) {
		if s.Validate() == nil && s.N() <= t.MostShards && !ToleranceOf(s, sites).Less(t.Survive) {
			list = append(list, s.String())
		}
	}
	for n := 2; n <= mostCopies; n++ {
		add(erasure.Scheme{Kind: erasure.Replica, K: 1, M: n - 1})
	}
	for k := 2; k <= mostData; k++ {
		for m := 1; m <= mostParity; m++ {
			add(erasure.Scheme{Kind: erasure.RS, K: k, M: m})
		}
		for l := 2; l <= 4; l++ {
			for r := 1; r <= 6; r++ {
				if k%l == 0 && k/l >= 2 {
					add(erasure.Scheme{Kind: erasure.LRC, K: k, L: l, R: r, M: l + r})
				}
			}
		}
	}
	return list
}

// consider reckons the candidates over a number of sites.
func (c *Comparison) consider(s Scenario, sites int) ([]Qualified, error) {
	var out []Qualified
	s.Sweep.Sites, s.Baseline, s.NoDurability = []int{sites}, "replica:3", true
	for chunk := range slices.Chunk(c.Targets.candidates(sites), mostOptions) {
		s.Sweep.Schemes = chunk
		r, err := Run(s)
		if err != nil {
			return nil, err
		}
		c.Report = r
		for _, o := range r.Options {
			q, err := qualify(o, s)
			if err != nil {
				return nil, err
			}
			out = append(out, q)
		}
	}
	c.Report.Options = nil
	return out, nil
}

func qualify(o Option, s Scenario) (Qualified, error) {
	sys, err := SystemOf(o, baseSystem(s))
	if err != nil {
		return Qualified{}, err
	}
	q := Qualified{Option: o, system: sys}
	return q, q.reckon()
}

// baseSystem is what a scenario says of failures and repair.
func baseSystem(s Scenario) durability.System {
	base := s.Durability
	if r := s.Drive.AFR; r != nil && base.AFR == (durability.Band{}) {
		base.AFR = durability.Band{Low: r.Low, Typical: r.Typical, High: r.High}
	}
	return base
}

func (q *Qualified) reckon() error {
	bursts, disasters, err := durability.AtHighAFR(q.system)
	q.Nines, q.DisasterNines = durability.Nines(bursts), durability.Nines(disasters)
	return err
}

// short is by how many nines an option misses the targets, 0 or less when it meets them.
func (q Qualified) short(t Targets) float64 {
	miss := math.Inf(-1)
	if t.Nines > 0 {
		miss = t.Nines - q.Nines
	}
	if t.DisasterNines > 0 {
		miss = math.Max(miss, t.DisasterNines-q.DisasterNines)
	}
	return miss
}

// fewest are the options that meet the targets, of each kind and width of data the one with
// the fewest parities.
func fewest(all []Qualified, t Targets) []Qualified {
	type family struct {
		kind           erasure.Kind
		k, l, sites    int
		rows           int
		disk           string
		fill, pue, amp float64
	}
	best := map[family]Qualified{}
	var order []family
	for _, q := range all {
		if q.short(t) > 0 {
			continue
		}
		s, err := erasure.ParseModelled(q.Option.Scheme)
		if err != nil {
			continue
		}
		f := family{s.Kind, s.K, s.L, q.Option.Sites, s.Rows, q.Option.Disk, q.Option.PlannedFill, 0, q.Option.Amplification}
		old, ok := best[f]
		if !ok {
			order = append(order, f)
		}
		if !ok || q.Option.Drives*q.Option.RawTB < old.Option.Drives*old.Option.RawTB {
			best[f] = q
		}
	}
	list := []Qualified{}
	for _, f := range order {
		list = append(list, best[f])
	}
	return list
}

// reach is the option that misses the targets by the least, and what holds it back.
func reach(all []Qualified, t Targets) (Reachable, error) {
	q := slices.MinFunc(all, func(a, b Qualified) int {
		return cmp.Or(cmp.Compare(a.short(t), b.short(t)), cmp.Compare(a.Option.WPerStoredTB.Typical, b.Option.WPerStoredTB.Typical))
	})
	r := Reachable{Qualified: q}
	if t.Nines > q.Nines {
		r.Missing = append(r.Missing, fmt.Sprintf("%.1f nines by disks and bursts, %.1f are asked", q.Nines, t.Nines))
	}
	if t.DisasterNines > q.DisasterNines {
		r.Missing = append(r.Missing, fmt.Sprintf("%.1f nines with disasters, %.1f are asked", q.DisasterNines, t.DisasterNines))
	}
	for _, l := range changes {
		changed := q
		changed.system = q.system.WithDefaults()
		if l.change(&changed.system) {
			if err := changed.reckon(); err != nil {
				continue
			}
			r.Levers = append(r.Levers, Lever{l.term, l.text, q.short(t) - changed.short(t)})
		}
	}
	slices.SortStableFunc(r.Levers, func(a, b Lever) int { return cmp.Compare(b.Nines, a.Nines) })
	if len(r.Levers) > 0 {
		r.Binding = r.Levers[0].Term
	}
	return r, nil
}

// changes are what is tried when nothing meets the targets.
var changes = []struct {
	term, text string
	change     func(*durability.System) bool
}{
	{"disaster rate", "a tenth of the disasters", func(s *durability.System) bool {
		s.SiteRate = durability.Band{Low: s.SiteRate.Low / 10, Typical: s.SiteRate.Typical / 10, High: s.SiteRate.High / 10}
		return s.SiteRate.Typical > 0
	}},
	{"site return", "a destroyed site back in half the time", func(s *durability.System) bool {
		s.Repair.ReplaceH, s.Repair.WANGbps, s.Repair.SiteFixedH = s.Repair.ReplaceH/2, s.Repair.WANGbps*2, s.Repair.SiteFixedH/2
		return s.SiteRate.Typical > 0
	}},
	{"number of sites", "the same scheme over a site more", func(s *durability.System) bool {
		s.Disks += s.Disks / s.Sites
		s.Sites++
		return s.Sites <= s.Code.N()
	}},
	{"repair time", "repair of disks twice as fast", func(s *durability.System) bool {
		r := &s.Repair
		r.DetectH, r.DiskMBs, r.HostGbps, r.WANGbps, r.FixedH = r.DetectH/2, r.DiskMBs*2, r.HostGbps*2, r.WANGbps*2, r.FixedH/2
		r.SiteFixedH = siteReturn(*s) // only the disks' repair changes
		return true
	}},
	{"bursts", "no bursts", func(s *durability.System) bool {
		had := len(s.Bursts) > 0
		s.Bursts = []durability.Burst{}
		return had
	}},
	{"AFR", "half the AFR", func(s *durability.System) bool {
		s.AFR = durability.Band{Low: s.AFR.Low / 2, Typical: s.AFR.Typical / 2, High: s.AFR.High / 2}
		return true
	}},
}

// siteReturn is the hours of a site's return with the WAN as it was before it doubled.
func siteReturn(s durability.System) float64 {
	if s.Repair.SiteFixedH > 0 {
		return s.Repair.SiteFixedH
	}
	tb := s.CapacityTB * s.Fill * float64(s.Disks) / float64(s.Sites)
	return s.Repair.ReplaceH + tb*8e12/(s.Repair.WANGbps/2*1e9)/3600
}

// front marks what no other option beats in both watts and nines.
func front(all []Qualified, t Targets) []FrontPoint {
	list := make([]FrontPoint, len(all))
	for i, q := range all {
		list[i] = FrontPoint{q.Option.Scheme, q.Option.Disk, q.Option.Sites, q.Option.WPerStoredTB.Typical, q.Nines, q.DisasterNines, q.short(t) <= 0, false}
	}
	slices.SortStableFunc(list, func(a, b FrontPoint) int {
		return cmp.Or(cmp.Compare(a.WPerStoredTB, b.WPerStoredTB), cmp.Compare(b.DisasterNines, a.DisasterNines), cmp.Compare(b.Nines, a.Nines))
	})
	best := math.Inf(-1)
	for i, p := range list {
		if p.DisasterNines > best {
			best, list[i].OnFront = p.DisasterNines, true
		}
	}
	return list
}

// findTwins gives the qualifying options their replication twins, with the ratios to them.
func (c *Comparison) findTwins(s Scenario) error {
	type place struct {
		sites int
		disk  string
	}
	copies := map[place][]Qualified{}
	list := c.Qualifying
	if c.Best != nil {
		list = []Qualified{c.Best.Qualified}
	}
	named := map[place]map[string]bool{}
	for i := range list {
		q := &list[i]
		if err := q.Option.SetDurability(baseSystem(s)); err != nil {
			return err
		}
		at := place{q.Option.Sites, q.Option.Disk}
		if _, ok := copies[at]; !ok {
			twins, err := copiesAt(s, at.sites, at.disk)
			if err != nil {
				return err
			}
			copies[at], named[at] = twins, map[string]bool{}
		}
		if err := q.setTwins(s, copies[at]); err != nil {
			return err
		}
		for _, name := range []string{q.TwinAbove, q.TwinBelow} {
			for _, twin := range copies[at] {
				if twin.Option.Scheme == name && !named[at][name] {
					named[at][name] = true
					c.Twins = append(c.Twins, twin)
				}
			}
		}
	}
	if c.Best != nil {
		c.Best.Qualified = list[0]
	}
	return nil
}

// copiesAt are one to mostCopies copies on a kind of disk over a number of sites.
func copiesAt(s Scenario, sites int, disk string) ([]Qualified, error) {
	s.Sweep.Schemes, s.Sweep.Sites, s.Baseline = nil, []int{sites}, "replica:3"
	if disk != "" {
		s.Sweep.Disks = []string{disk}
	}
	for n := 1; n <= mostCopies; n++ {
		s.Sweep.Schemes = append(s.Sweep.Schemes, fmt.Sprintf("replica:%d", n))
	}
	r, err := Run(s)
	if err != nil {
		return nil, err
	}
	var list []Qualified
	for _, o := range r.Options {
		q, err := qualify(o, s)
		if err != nil {
			return nil, err
		}
		list = append(list, q)
	}
	return list, nil
}

// setTwins finds the fewest copies that survive as much and lose no more, and one copy less.
func (q *Qualified) setTwins(s Scenario, copies []Qualified) error {
	want := Tolerance{q.Option.SitesSurvived, q.Option.LeftOver}
	for i, twin := range copies {
		has := Tolerance{twin.Option.SitesSurvived, twin.Option.LeftOver}
		if has.Less(want) || twin.DisasterNines < q.DisasterNines-1e-9 {
			continue
		}
		q.TwinAbove, q.NinesAbove = twin.Option.Scheme, twin.DisasterNines
		if i > 0 {
			q.TwinBelow, q.NinesBelow = copies[i-1].Option.Scheme, copies[i-1].DisasterNines
		}
		break
	}
	if q.TwinAbove == "" {
		last := copies[len(copies)-1]
		q.TwinBelow, q.NinesBelow = last.Option.Scheme, last.DisasterNines
	}
	var err error
	if q.RatioAbove, err = q.ratio(s, q.TwinAbove); err != nil {
		return err
	}
	q.RatioBelow, err = q.ratio(s, q.TwinBelow)
	return err
}

// ratio is W per stored TB over that of copies, as one function of the inputs.
func (q *Qualified) ratio(s Scenario, twin string) (*Estimate, error) {
	if twin == "" || twin == q.Option.Scheme {
		return nil, nil
	}
	s.Sweep.Schemes, s.Sweep.Sites, s.Baseline, s.NoDurability = []string{q.Option.Scheme}, []int{q.Option.Sites}, twin, true
	if q.Option.Disk != "" {
		s.Sweep.Disks = []string{q.Option.Disk}
	}
	r, err := Run(s)
	if err != nil {
		return nil, err
	}
	return r.Options[0].Ratio, nil
}
