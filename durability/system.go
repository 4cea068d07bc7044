package durability

import (
	"errors"
	"fmt"
	"math"
	"sync"
)

// A Band is a figure between plausible extremes.
type Band struct {
	Low     float64 `json:"low"`
	Typical float64 `json:"typical"`
	High    float64 `json:"high"`
}

// Point is a band without width.
func Point(v float64) Band { return Band{v, v, v} }

func (b Band) validate(name string) error {
	for _, v := range []float64{b.Low, b.Typical, b.High} {
		if err := notNegative(name, v); err != nil {
			return err
		}
	}
	if b.Low > b.Typical || b.Typical > b.High {
		return inputf("%s %v, %v, %v: want low, typical, high in rising order", name, b.Low, b.Typical, b.High)
	}
	return nil
}

// A System is data under one code, on disks at sites. Zero fields from AFR on have their
// defaults; Options of other packages are turned into it.
type System struct {
	Code       Code    `json:"code"`
	Sites      int     `json:"sites"`
	Hosts      int     `json:"hosts_per_site"`
	Racks      int     `json:"racks_per_site,omitempty"` // 0: unknown, and no rack counts as a failure domain
	Feeds      int     `json:"feeds_per_site,omitempty"` // power feeds, of which each drive hangs on one; 0: unknown
	Disks      int     `json:"disks"`                    // at all sites
	CapacityTB float64 `json:"capacity_tb"`
	Fill       float64 `json:"fill"` // part of the raw capacity that holds shards

	AFR    Band   `json:"afr"` // failures in a drive-year
	Repair Repair `json:"repair"`

	SiteRate    Band    `json:"site_disasters_per_year"` // of one site
	NoDisasters bool    `json:"no_disasters,omitempty"`
	Bursts      []Burst `json:"bursts"`     // default DefaultPower; empty but not nil for none; over Hosts where they say none of their own
	Latent      float64 `json:"latent"`     // probability that a shard is unreadable when it is needed, at 30 days between scrubs
	ScrubDays   float64 `json:"scrub_days"` // between scrubs; default 30
	NoLatent    bool    `json:"no_latent,omitempty"`
	UBER        float64 `json:"uber"` // unreadable bits in a bit read, of ShardBytes; default none beside Latent
	ShardBytes  float64 `json:"shard_bytes"`

	HostOutages Outage `json:"host_outages"`
	SiteOutages Outage `json:"site_outages"`
	RackOutages Outage `json:"rack_outages,omitzero"` // where Racks are known
	Margin      int    `json:"margin"`                // shards that a write must have to spare; default 1
	NoMargin    bool   `json:"no_margin,omitempty"`
}

// An Outage is something that ends by itself: so many a year, each so many hours.
type Outage struct {
	PerYear float64 `json:"per_year"`
	Hours   float64 `json:"hours"`
}

// Unavailable is the part of the time that it takes.
func (o Outage) Unavailable() float64 {
	x := o.PerYear * o.Hours / YearHours
	return x / (1 + x)
}

// Defaults, with their sources.
var (
	// DefaultAFR: makers rate data-centre drives at 0.35 % (Ultrastar DC HC580 manual); 1.57 %
	// failed in the Backblaze fleet in 2024, and 2.28 % a year in its second quarter of 2023
	// (Drive Stats reports of Q3 2025 and Q2 2024).
	DefaultAFR = Band{0.0035, 0.0157, 0.0228}
	// DefaultSiteRate: 0.001 a year is the default of Ceph's reliability model; the band is a
	// factor of three either way.
	DefaultSiteRate = Band{0.0003, 0.001, 0.003}
	// DefaultLatent: scrubs of GFS find one bad checksum in 1e6 to 1e7 old blocks; this is between.
	DefaultLatent = 3e-7
	// DefaultPower: a power outage a year and site from which 1 % of the hosts do not return,
	// as SimEDC assumes.
	DefaultPower = Burst{Name: "power", Rate: 1 / YearHours, Share: 0.01}
	// DefaultHostOutages: a host is away every 2,890.8 h for 0.25 h, as SimEDC assumes.
	DefaultHostOutages = Outage{YearHours / 2890.8, 0.25}
	// DefaultRackOutages: a rack is away every 87,600 h for 34 h, as SimEDC assumes (24 h, and 10 h for
	// what starts again).
	DefaultRackOutages = Outage{YearHours / 87600, 34}
	// DefaultSiteOutages: a site is away once a year for 15 h, as SimEDC assumes.
	DefaultSiteOutages = Outage{1, 15}
)

// latentDays is the time that DefaultLatent is taken to speak of.
const latentDays = 30.0

// WithDefaults returns s with its defaults filled in.
func (s System) WithDefaults() System {
	zero := Band{}
	if s.AFR == zero {
		s.AFR = DefaultAFR
	}
	if s.SiteRate == zero && !s.NoDisasters {
		s.SiteRate = DefaultSiteRate
	}
	if s.Latent == 0 && !s.NoLatent {
		s.Latent = DefaultLatent
	}
	if s.ShardBytes == 0 {
		s.ShardBytes = 256 << 10
	}
	if s.ScrubDays == 0 {
		s.ScrubDays = latentDays
	}
	if s.Bursts == nil {
		s.Bursts = []Burst{DefaultPower}
	}
	s.Bursts = append([]Burst{}, s.Bursts...)
	for i := range s.Bursts {
		if s.Bursts[i].Hosts == 0 {
			s.Bursts[i].Hosts = s.Hosts
		}
		if s.Bursts[i].Count == 0 {
			s.Bursts[i].Count = s.domains(s.Bursts[i].Domain)
		}
	}
	if s.RackOutages == (Outage{}) && s.Racks > 0 {
		s.RackOutages = DefaultRackOutages
	}
	if s.HostOutages == (Outage{}) {
		s.HostOutages = DefaultHostOutages
	}
	if s.SiteOutages == (Outage{}) {
		s.SiteOutages = DefaultSiteOutages
	}
	if s.Margin == 0 && !s.NoMargin {
		s.Margin = 1
	}
	s.Repair = s.Repair.WithDefaults()
	return s
}

// domains is how many of a kind a site has, 0 where that is unknown.
func (s System) domains(d Domain) int {
	switch d {
	case Rack:
		return s.Racks
	case Feed:
		return s.Feeds
	case Host:
		return s.Hosts
	}
	return 1
}

// stripeSites is how many of the sites a stripe touches.
func (s System) stripeSites() int { return min(s.Sites, s.Code.N()) }

func (s System) stripe() Stripe {
	return Stripe{Sites: Even(s.Code.N(), s.stripeSites()), Lose: s.Code.lose(), product: s.Code.product()}
}

func (s System) validate() error {
	if err := s.Code.Validate(); err != nil {
		return err
	}
	switch n := s.Code.N(); {
	case s.Sites < 1 || s.Sites > MaxShards:
		return inputf("%d sites: want 1 to %d", s.Sites, MaxShards)
	case s.Hosts < 1:
		return inputf("%d hosts a site: want 1 or more", s.Hosts)
	case s.Disks < n:
		return inputf("%d disks for %d shards: want a disk for each shard of a stripe at least", s.Disks, n)
	case s.Disks < s.Sites*s.Hosts:
		return inputf("%d disks in %d hosts at %d sites: want a disk in each host at least", s.Disks, s.Hosts*s.Sites, s.Sites)
	case s.Disks/s.Sites < Even(n, s.stripeSites())[0]:
		return inputf("%d disks a site for %d shards of a stripe: want as many disks as shards at least", s.Disks/s.Sites, Even(n, s.stripeSites())[0])
	}
	if err := s.validateDomains(); err != nil {
		return err
	}
	if err := positive("capacity", s.CapacityTB); err != nil {
		return err
	}
	if math.IsNaN(s.Fill) || s.Fill <= 0 || s.Fill > 1 {
		return inputf("fill %v: want more than 0 and at most 1", s.Fill)
	}
	for name, b := range map[string]Band{"AFR": s.AFR, "site disasters a year": s.SiteRate} {
		if err := b.validate(name); err != nil {
			return err
		}
	}
	if s.AFR.Low <= 0 {
		return inputf("AFR %v: want more than 0", s.AFR.Low)
	}
	if s.AFR.High > maxAFR {
		return inputf("AFR %v: want at most %v failure in a drive-year; percents are written 0.015 or 1.5%%", s.AFR.High, maxAFR)
	}
	if s.SiteRate.High > maxSiteRate {
		return inputf("%v disasters of a site in a year: want at most %v", s.SiteRate.High, maxSiteRate)
	}
	if err := positive("scrub days", s.ScrubDays); err != nil {
		return err
	}
	if p := s.latent(); math.IsNaN(p) || s.Latent < 0 || s.UBER < 0 || s.ShardBytes < 0 || p > 0.5 {
		return inputf("latent %v, scrub days %v, UBER %v: %v of the shards would be unreadable; want 0 to 0.5", s.Latent, s.ScrubDays, s.UBER, p)
	}
	for name, o := range map[string]Outage{"host": s.HostOutages, "rack": s.RackOutages, "site": s.SiteOutages} {
		if notNegative("", o.PerYear) != nil || notNegative("", o.Hours) != nil {
			return inputf("%s outages %v a year of %v h: want 0 or more of both", name, o.PerYear, o.Hours)
		}
	}
	if s.Margin < 0 {
		return inputf("margin %d: want 0 or more", s.Margin)
	}
	return s.Repair.validate()
}

func (s System) validateDomains() error {
	switch {
	case s.Code.Rows > 0 && s.Code.Rows != s.Sites:
		return inputf("a product code of %d rows lies over %d sites, one row a site, not over %d", s.Code.Rows, s.Code.Rows, s.Sites)
	case s.Racks < 0 || s.Racks > s.Hosts || s.Feeds < 0 || s.Feeds > s.Hosts:
		return inputf("%d racks and %d feeds for %d hosts of a site: want a host in each at least", s.Racks, s.Feeds, s.Hosts)
	}
	for _, b := range s.Bursts {
		switch b.Domain {
		case "", Site, Host:
		case Rack, Feed:
			if b.Count == 0 {
				return inputf("burst %s strikes a %s: say how many of them a site has", b.Name, b.Domain)
			}
		default:
			return inputf("burst %s strikes a %q: want site, feed, rack or host", b.Name, b.Domain)
		}
	}
	return nil
}

// maxSiteRate bounds the disasters of a site in a year.
const maxSiteRate = 10.0

// A Figure is the expected share of the stored bytes lost in a year, and its nines. The band
// is that of the AFR, and with disasters of their rate too: low nines go with the high rates.
type Figure struct {
	NOMDL Band `json:"nomdl"`
	Nines Band `json:"nines"`
}

func figureOf(p [3]float64) Figure {
	return Figure{Band{p[0], p[1], p[2]}, Band{Nines(p[2]), Nines(p[1]), Nines(p[0])}}
}

// A Result is what a System's durability is. All figures are of one year.
type Result struct {
	System System `json:"system"` // as answered, with defaults
	Layout []int  `json:"layout"` // shards of a stripe at each of its sites

	Independent Figure `json:"independent"` // disks fail one by one
	WithBursts  Figure `json:"bursts"`      // and many at once
	WithSites   Figure `json:"disasters"`   // and whole sites

	// SitesHighAFR is WithSites at the high AFR and the typical rate of disasters, which targets are held against.
	SitesHighAFR float64 `json:"disasters_nomdl_at_high_afr"`

	PDLAny         Band     `json:"pdl_any"` // probability that anything at all is lost
	StoredTB       float64  `json:"stored_tb"`
	LostGBYear     Band     `json:"expected_gb_lost_per_year"` // with disasters
	MTTDLYears     *float64 `json:"mttdl_stripe_years"`        // of one stripe set by independent failures: a rate, not a lifetime; null when too long or too large to solve
	PlacementGroup float64  `json:"placement_groups"`          // distinct stripe sets

	Survives      Survival     `json:"reads_survive"`
	WritesSurvive Survival     `json:"writes_survive"`
	Repair        RepairTime   `json:"repair"`
	Availability  Availability `json:"availability"`
	Traffic       Traffic      `json:"traffic"`
	Approximate   []string     `json:"approximate"` // what was put together, and how
	NotCovered    []string     `json:"not_covered"`

	lumped bool
	slowed float64
}

// A Survival is what may be lost at the same time, whichever it is.
type Survival struct {
	Shards   int `json:"shards"`
	Sites    int `json:"sites"`
	LeftOver int `json:"left_over"`       // further shards while those sites are down
	Racks    int `json:"racks,omitempty"` // whole racks, where they are known
}

// NotCovered is what no figure here has in it.
var NotCovered = []string{
	"software faults, operators, and what an attacker or a script deletes",
	"causes common to several sites (one operator, one software version, one region)",
	"ages of disks and bad batches, unless simulated",
	"the backlog of repair after a burst: stripes are repaired as fast as after one disk, unless simulated",
	"silent corruption that no scrub and no read finds",
}

// Evaluate answers a system. Equal systems are answered once.
func Evaluate(s System) (Result, error) {
	s = s.WithDefaults()
	if err := s.validate(); err != nil {
		return Result{}, err
	}
	stripe, repair := s.stripe(), s.repairTime()
	r := Result{System: s, Layout: stripe.Sites, Repair: repair, StoredTB: float64(s.Disks) * s.CapacityTB * s.Fill / s.Code.Overhead(),
		PlacementGroup: math.Max(1, float64(s.Disks*s.Repair.PGsPerDisk)/float64(s.Code.N())), NotCovered: NotCovered}
	var alone, bursts, sites, any [3]float64
	for i, in := range []struct{ afr, site float64 }{{s.AFR.Low, s.SiteRate.Low}, {s.AFR.Typical, s.SiteRate.Typical}, {s.AFR.High, s.SiteRate.High}} {
		p, err := s.yearly(stripe, repair, in.afr, in.site)
		if err != nil {
			return Result{}, err
		}
		alone[i], bursts[i], sites[i] = p.alone, p.bursts, p.sites
		any[i] = s.any(p, stripe, repair, in.site, r.PlacementGroup)
		r.lumped, r.slowed = r.lumped || p.lumped, max(r.slowed, p.slowed)
	}
	p, err := s.yearly(stripe, repair, s.AFR.High, s.SiteRate.Typical)
	if err != nil {
		return Result{}, err
	}
	r.SitesHighAFR = p.sites
	r.Approximate = s.approximate(r)
	r.Independent, r.WithBursts, r.WithSites = figureOf(alone), figureOf(bursts), figureOf(sites)
	r.PDLAny = Band{any[0], any[1], any[2]}
	gb := r.StoredTB * 1000
	r.LostGBYear = Band{sites[0] * gb, sites[1] * gb, sites[2] * gb}
	r.MTTDLYears = s.mttdl(stripe, repair)
	r.Survives, r.WritesSurvive = s.survival(0), s.survival(s.Margin)
	r.Availability, r.Traffic = s.availability(), s.traffic()
	return r, nil
}

// approximate says what the chains put together.
func (s System) approximate(r Result) []string {
	list := []string{}
	if r.lumped {
		list = append(list, "too many states over the sites: losses lie evenly over those that stand, which errs on the side of loss")
	}
	if r.slowed > 0 {
		list = append(list, fmt.Sprintf("many states and quick repairs: none is counted as done in less than %.0f min, which errs on the side of loss", 60/r.slowed))
	}
	if s.Code.L > 0 {
		list = append(list, "patterns of the lrc by their number of losses: the share that cannot be decoded")
	}
	if s.Code.Rows > 0 {
		list = append(list, "product code: rows that lost too many at three sites, and stripes with many more losses than can be fatal, are counted as lost")
	}
	if s.sharedDomains(r.Layout[0]) {
		list = append(list, "racks or feeds with several shards of a stripe: sound shards are taken to lie together in as few as hold them, which is near")
	}
	if s.Hosts < r.Layout[0] {
		list = append(list, fmt.Sprintf("%d hosts for %d shards at a site: shards share hosts, whose loss as a whole is not counted; bursts take disks one by one", s.Hosts, r.Layout[0]))
	}
	if busy := s.busy(r.Repair); busy > 0.1 {
		list = append(list, fmt.Sprintf("repair is busy %.0f %% of the time, and disks then wait for one another, which is not counted", 100*math.Min(busy, 1)))
	}
	return list
}

// sharedDomains tells whether a burst strikes parts of a site that hold more than one of its shards.
func (s System) sharedDomains(here int) bool {
	for _, b := range s.Bursts {
		if b.count() > 1 && b.count() < here {
			return true
		}
	}
	return false
}

// busy is the part of the time that shared repair is at work, at the high AFR.
func (s System) busy(t RepairTime) float64 {
	if !t.shared {
		return 0
	}
	return s.AFR.High / YearHours * float64(s.Disks) * t.TransferH
}

// latent is the probability that a shard is unreadable when it is needed.
func (s System) latent() float64 {
	return s.Latent*s.ScrubDays/latentDays - math.Expm1(8*s.ShardBytes*math.Log1p(-s.UBER))
}

// AtHighAFR is the expected share of the stored bytes lost in a year at the high AFR, with
// bursts, and with disasters at their typical rate: what targets are held against, for less
// work than a whole Result.
func AtHighAFR(s System) (bursts, disasters float64, err error) {
	s = s.WithDefaults()
	if err := s.validate(); err != nil {
		return 0, 0, err
	}
	p, err := s.yearly(s.stripe(), s.repairTime(), s.AFR.High, s.SiteRate.Typical)
	return p.bursts, p.sites, err
}

// survival counts what may go while margin shards are to spare.
func (s System) survival(margin int) Survival {
	spare := s.Code.Tolerance() - margin
	if spare < 0 {
		return Survival{}
	}
	racks := s.racksSurvived(spare)
	if s.Code.Rows > 0 {
		if left := s.Code.M - margin; left >= 0 {
			return Survival{spare, 1, left, racks}
		}
		return Survival{Shards: spare, Racks: racks}
	}
	x, left := Stripe{Sites: Even(s.Code.N(), s.stripeSites()), Lose: MDSLose(min(spare, s.Code.N()-1))}.SitesSurvived()
	return Survival{spare, x, left, racks}
}

// racksSurvived is how many whole racks may go, whichever they are, with so many shards to spare.
func (s System) racksSurvived(spare int) int {
	if s.Racks == 0 {
		return 0
	}
	var racks []int
	for _, c := range Even(s.Code.N(), s.stripeSites()) {
		racks = append(racks, Even(c, min(s.Racks, c))...)
	}
	x, _ := Stripe{Sites: racks, Lose: MDSLose(min(spare, s.Code.N()-1))}.SitesSurvived()
	return x
}

// losses are the probabilities that a stripe is lost in a year.
type losses struct {
	alone, bursts, sites float64
	lumped               bool
	slowed               float64 // repairs an hour above which none is counted; 0: all are as they are
}

func (s System) rates(repair RepairTime, afr float64) Rates {
	return Rates{Fail: afr / YearHours, Repair: repair.rate, Latent: s.latent()}
}

// yearly solves the three chains of a stripe.
func (s System) yearly(stripe Stripe, repair RepairTime, afr, site float64) (losses, error) {
	key := fmt.Sprint(s.Code, s.stripeSites(), afr, repair.DetectH, repair.TransferH, repair.factor, repair.shared, repair.SiteH, site, s.Bursts, s.latent())
	if p, ok := memo.get(key); ok {
		return p, nil
	}
	var out losses
	solve := func(st Stripe, r Rates) (float64, error) {
		p, lumped, slowed, err := st.quick(r)
		out.lumped = out.lumped || lumped
		if slowed > 0 && (out.slowed == 0 || slowed < out.slowed) {
			out.slowed = slowed
		}
		return p, err
	}
	r := s.rates(repair, afr)
	var err error
	if out.alone, err = solve(stripe.together(), r); err != nil {
		return out, err
	}
	out.bursts = out.alone
	if len(s.Bursts) > 0 {
		r.Bursts = s.Bursts
		if out.bursts, err = solve(stripe, r); err != nil {
			return out, err
		}
	}
	out.sites = out.bursts
	if site > 0 {
		r.Site, r.Return = site/YearHours, 1/repair.SiteH
		if out.sites, err = solve(stripe, r); err != nil {
			return out, err
		}
	}
	memo.put(key, out)
	return out, nil
}

// quick is the probability of loss in a year by a chain that is solved in bounded work: where
// states are many and repairs quick, repairs are slowed, which errs on the side of loss.
func (s Stripe) quick(r Rates) (p float64, lumped bool, slowed float64, err error) {
	repair, work := r.Repair, quickSteps
	if s.product != nil { // few ask for them, and slower repair shows in their many losses
		work = 5 * quickSteps
	}
	for slowed = fastest(repair, s.N()); ; slowed /= 2 {
		var chain *Markov
		if chain, lumped, err = s.Chain(r, QuickStates); err != nil {
			return 0, lumped, 0, err
		}
		p, err = chain.within(0, YearHours, work)
		if !errors.Is(err, errTooMuch) || slowed < 1e-3 {
			break
		}
		r.Repair = func(lost int) float64 { return math.Min(repair(lost), slowed/2) }
	}
	if slowed == fastest(repair, s.N()) {
		slowed = 0
	}
	return p, lumped, slowed, err
}

func fastest(repair func(int) float64, n int) float64 {
	most := 0.0
	for j := range n {
		most = math.Max(most, repair(j))
	}
	return most
}

// any is the probability that any stripe set loses data. Independent failures strike each set
// by itself; a burst strikes all at once, and a site disaster too: they count as often as
// they happen.
func (s System) any(p losses, stripe Stripe, repair RepairTime, site, sets float64) float64 {
	none := math.Log1p(-math.Min(p.alone, 1-1e-16)) * sets
	if extra := p.bursts - p.alone; extra > 0 {
		n := 0.0
		for _, b := range s.Bursts {
			n += b.siteRate() * YearHours * float64(s.stripeSites())
		}
		none -= n * AnyOf(math.Min(1, extra/n), sets)
	}
	if site > 0 {
		whole := s.sitesAlone(stripe, repair, site)
		none += math.Log1p(-math.Min(whole, 1-1e-16))
		if extra := p.sites - p.bursts - whole; extra > 0 {
			n := site * float64(s.stripeSites())
			none -= n * AnyOf(math.Min(1, extra/n), sets)
		}
	}
	return -math.Expm1(none)
}

// sitesAlone is the probability that so many sites are destroyed at once that nothing else is
// needed to lose all.
func (s System) sitesAlone(stripe Stripe, repair RepairTime, site float64) float64 {
	p, _, _, err := stripe.quick(Rates{Site: site / YearHours, Return: 1 / repair.SiteH, Repair: repair.rate})
	if err != nil {
		return 0
	}
	return p
}

func (s System) mttdl(stripe Stripe, repair RepairTime) *float64 {
	chain, _, err := stripe.together().Chain(s.rates(repair, s.AFR.Typical), QuickStates)
	if err != nil {
		return nil
	}
	h, err := chain.MTTDL(0)
	if y := h / YearHours; err == nil && !math.IsInf(y, 0) && !math.IsNaN(y) {
		return &y
	}
	return nil
}

// A cache remembers solved chains; it forgets all when it is full.
type cache struct {
	mu sync.Mutex // guards m
	m  map[string]losses
}

const cacheSize = 1 << 16

var memo = cache{m: map[string]losses{}}

func (c *cache) get(key string) (losses, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, ok := c.m[key]
	return p, ok
}

func (c *cache) put(key string, p losses) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.m) >= cacheSize {
		clear(c.m)
	}
	c.m[key] = p
}
