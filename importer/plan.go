package importer

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/wattle-storage/wattle/energy"
	"github.com/wattle-storage/wattle/erasure"
	"github.com/wattle-storage/wattle/whatif"
)

// A Target is what a cluster is to become. The zero value of a field leaves it as it is.
type Target struct {
	Scheme string // of the pools that hold at least a fiftieth of the data
	Disk   string // profile, also with a capacity, for all drives that turn
	Fill   float64
}

// ParseTarget reads SCHEME, DISK, SCHEME@DISK or SCHEME/DISK.
func ParseTarget(text string) (Target, error) {
	scheme, disk, both := strings.Cut(text, "@")
	if i := strings.IndexByte(text, '/'); i > 0 {
		scheme, disk, both = text[:i], text[i+1:], true
	}
	if _, err := erasure.Parse(scheme); err != nil {
		if strings.Contains(scheme, ":") {
			return Target{}, err
		}
		scheme, disk = "", text
	} else if both && disk == "" {
		return Target{}, fmt.Errorf("%q: want SCHEME, DISK or SCHEME@DISK, such as rs:8+3@seagate-x22-22tb", clean(text))
	}
	if disk != "" {
		p, err := energy.Lookup(disk)
		if err != nil {
			return Target{}, err
		}
		if p.CapacityTB == 0 {
			return Target{}, fmt.Errorf("%s has no capacity of its own: write it as %s@8TB", disk, disk)
		}
	}
	return Target{Scheme: scheme, Disk: disk}, nil
}

// Pace is how fast data moves.
type Pace struct {
	Drive whatif.Range // MB/s that the move may take of each drive that it touches
	WAN   float64      // MB/s between sites, 0 for no bound
}

// DefaultPace is assumed when nothing is given: a tenth of a drive's sequential rate, so that
// users hardly notice; the ends are half and twice that.
var DefaultPace = Pace{Drive: whatif.Range{Low: 12, Typical: 25, High: 50}}

// A Plan is a migration, in the JSON that doc/import.md documents.
type Plan struct {
	From         *whatif.Option   `json:"from"`
	To           *whatif.Option   `json:"to"`
	What         []string         `json:"what"`
	BytesRead    int64            `json:"bytes_read"`
	BytesWritten int64            `json:"bytes_written"`
	BytesWAN     int64            `json:"bytes_wan"`
	Days         whatif.Estimate  `json:"days"`
	Pace         string           `json:"pace"`
	KWhMove      whatif.Estimate  `json:"kwh_move"`
	KWhSaved     whatif.Estimate  `json:"kwh_saved_per_year"`
	KgBought     whatif.Estimate  `json:"kgco2e_bought"`
	KgOff        float64          `json:"kgco2e_written_off"`
	KgSaved      *whatif.Estimate `json:"kgco2e_saved_per_year"`
	EURBought    *whatif.Estimate `json:"eur_bought"`
	EURSaved     *whatif.Estimate `json:"eur_saved_per_year"`
	NinesFrom    *whatif.Estimate `json:"nines_from"`
	NinesTo      *whatif.Estimate `json:"nines_to"`
	NinesDuring  *whatif.Estimate `json:"nines_during"`
	ShortTB      float64          `json:"space_short_tb"` // raw, beside what is there
	BreakEven    BreakEvens       `json:"break_even"`
	Growth       float64          `json:"growth_per_year"`
	FullIn       *float64         `json:"years_until_full"` // of the target, at that growth
	Verdict      string           `json:"verdict"`          // go, wait or no
	Why          []string         `json:"why"`
	Not          []string         `json:"not_counted"`
	Steps        []string         `json:"steps"`

	Digest string `json:"inputs_digest"`

	shape shape
	pools []whatif.Pool
}

// BreakEvens are when a move has paid back; nil is never, or not answered.
type BreakEvens struct {
	Energy *BreakEven `json:"energy"`
	Carbon *BreakEven `json:"carbon"`
	Money  *BreakEven `json:"money"`
}

// A BreakEven is a day, with the band that the saving leaves.
type BreakEven struct {
	Years    whatif.Estimate `json:"years"`    // from the start of the move; High may be absent
	Date     string          `json:"date"`     // typical
	Earliest string          `json:"earliest"` // at the most saving
	Latest   string          `json:"latest"`   // at the least; "never" where nothing may be saved
}

// Plan works out the move of a cluster to a target, starting now, with stored bytes growing by a
// part a year.
func (f *Found) Plan(s whatif.Scenario, t Target, pace Pace, growth float64, now time.Time) (*Plan, error) {
	if !f.Known() {
		return nil, fmt.Errorf("%w: what is stored is not known: give --scheme and --stored", ErrInput)
	}
	if t.Scheme == "" && t.Disk == "" && t.Fill == 0 {
		return nil, fmt.Errorf("%w: nothing to move to: give a scheme, a disk or a fill", ErrInput)
	}
	p := &Plan{Growth: growth, Verdict: "go"}
	changed, err := f.target(s, t, p)
	if err != nil {
		return nil, err
	}
	s.Options = []whatif.Choice{{Name: "target", Pools: p.pools, Fleet: p.shape.fleet, Bays: p.shape.bays}}
	r, err := whatif.Run(s)
	if err != nil {
		return nil, err
	}
	base, to := r.Baseline, byName(r, "target")
	p.From, p.To = &base, to
	f.bytes(s, p, t, changed)
	f.pace(p, s, pace)
	p.saving(s)
	p.invest(s)
	p.safety()
	p.breakEven(now)
	f.verdict(p, t, changed)
	p.Steps = f.steps(p, t, changed)
	p.Digest = r.InputsDigest
	return p, nil
}

// target shapes the cluster under a target.
func (f *Found) target(s whatif.Scenario, t Target, p *Plan) (changed map[int]string, err error) {
	ch := change{pools: slices.Clone(s.Pools), fill: f.fills(s)}
	changed = map[int]string{}
	if t.Scheme != "" {
		c, err := erasure.Parse(t.Scheme)
		if err != nil {
			return nil, err
		}
		total := 0.0
		for _, x := range s.Pools {
			total += float64(x.StoredTB)
		}
		for i, x := range s.Pools {
			if float64(x.StoredTB) >= 0.02*total && x.Scheme != c.String() {
				ch.pools[i].Scheme, changed[i] = c.String(), c.String()
			}
		}
		if len(changed) > 0 {
			p.What = append(p.What, f.whatChanged(s.Pools, changed))
		}
	}
	if t.Disk != "" {
		d, err := energy.Lookup(t.Disk)
		if err != nil {
			return nil, err
		}
		ch.disk, ch.tb = t.Disk, d.CapacityTB
		p.What = append(p.What, fmt.Sprintf("all turning drives to %s of %v TB", strings.TrimSpace(d.Vendor+" "+d.Model), d.CapacityTB))
	}
	for class := range ch.fill {
		if t.Fill > 0 {
			ch.fill[class] = t.Fill
		}
	}
	p.pools, p.shape = ch.pools, f.shapeFor(s, ch)
	if gone := len(f.Hosts) - p.shape.hosts; gone > 0 {
		p.What = append(p.What, fmt.Sprintf("%d of %d servers retired", gone, len(f.Hosts)))
	}
	return changed, nil
}

// bytes counts what the move reads, writes and sends between sites. A pool whose scheme
// changes is copied: each stored byte is read once and written under the new scheme. A pool
// that only changes drives has its shards moved, which Ceph does for coded pools by reading k
// shards for each one written. What stays on drives that stay does not move.
func (f *Found) bytes(s whatif.Scenario, p *Plan, t Target, changed map[int]string) {
	sites := float64(max(1, len(s.Sites)))
	main := f.mainClass(s)
	left := f.movedPart(s, p)
	for i, x := range s.Pools {
		from, err := erasure.Parse(x.Scheme)
		if err != nil {
			continue
		}
		stored := float64(x.StoredTB) * 1e12
		read, written := 0.0, 0.0
		if code := changed[i]; code != "" {
			to, _ := erasure.Parse(code)
			read, written = stored, stored*to.Overhead()
			p.BytesWAN += int64(read*remote(from, sites) + written*(sites-1)/sites)
		} else if x.DeviceClass == main {
			written = stored * from.Overhead() * left
			read = written
			if from.Kind != erasure.Replica && f.System == "ceph" {
				read = written * float64(from.K)
			}
			if f.System == "minio" || f.System == "rustfs" { // a pool is decommissioned object by object
				read, written = stored*left, stored*from.Overhead()*left
			}
			if from.Kind != erasure.Replica {
				p.BytesWAN += int64(read * remote(from, sites))
			}
		}
		p.BytesRead += int64(read)
		p.BytesWritten += int64(written)
	}
}

// remote is the part of the shards read to get an object that lies on other sites.
func remote(s erasure.Scheme, sites float64) float64 {
	if s.Kind == erasure.Replica {
		return math.Max(0, 1-float64(s.N())/sites)
	}
	return math.Max(0, 1-float64(s.N())/sites/float64(s.K))
}

// movedPart is the part of the main class's bytes that lies on drives that leave.
func (f *Found) movedPart(s whatif.Scenario, p *Plan) float64 {
	main := f.mainClass(s)
	before, kept := 0.0, 0.0
	for _, d := range s.Fleet {
		if !d.Aside && d.DeviceClass == main {
			before += float64(d.Count) * float64(d.CapacityTB)
		}
	}
	for _, d := range p.shape.fleet {
		if !d.Aside && d.Owned && d.DeviceClass == main {
			kept += float64(d.Count) * float64(d.CapacityTB)
		}
	}
	if before == 0 {
		return 0
	}
	return math.Max(0, 1-kept/before)
}

// pace finds the days, and the energy: what is bought runs beside what goes, and drives that
// read and write draw more than idle ones.
func (f *Found) pace(p *Plan, s whatif.Scenario, pace Pace) {
	oldDrives, newDrives := 0.0, 0.0
	for _, d := range s.Fleet {
		if !d.Aside {
			oldDrives += float64(d.Count)
		}
	}
	for _, d := range p.shape.fleet {
		if !d.Aside {
			newDrives += float64(d.Count)
		}
	}
	days := func(mbs float64) float64 {
		read, written := float64(p.BytesRead)/(oldDrives*mbs*1e6), float64(p.BytesWritten)/(newDrives*mbs*1e6)
		seconds := math.Max(read, written)
		if p.shape.bought == 0 { // the same drives do both
			seconds = float64(p.BytesRead+p.BytesWritten) / (math.Max(oldDrives, newDrives) * mbs * 1e6)
		}
		if pace.WAN > 0 {
			seconds = math.Max(seconds, float64(p.BytesWAN)/(pace.WAN*1e6))
		}
		return seconds / 86400
	}
	p.Days = whatif.Estimate{Low: days(pace.Drive.High), Typical: days(pace.Drive.Typical), High: days(pace.Drive.Low), Unit: "days", Status: energy.Model, Source: "model"}
	p.Pace = fmt.Sprintf("%s MB/s of each drive", pace.Drive)
	if pace.WAN > 0 {
		p.Pace += fmt.Sprintf(", at most %.4g MB/s between sites", pace.WAN)
	}
	beside := 0.0 // watts
	if p.shape.bought > 0 {
		beside = p.To.Watts.Typical
	}
	busy := f.busyKWh(s, p)
	kwh := func(days, band float64) float64 { return beside*band*days*24/1000 + busy }
	w := p.To.Watts
	p.KWhMove = whatif.Estimate{Low: kwh(p.Days.Low, ratioOf(w.Low, w.Typical)), Typical: kwh(p.Days.Typical, 1), High: kwh(p.Days.High, ratioOf(w.High, w.Typical)), Unit: "kWh", Status: energy.Model, Source: "model"}
}

func ratioOf(a, b float64) float64 {
	if b == 0 {
		return 1
	}
	return a / b
}

// busyKWh is what reading and writing add to idle drives, at the sequential rate.
func (f *Found) busyKWh(s whatif.Scenario, p *Plan) float64 {
	perByte := func(disk string) float64 { // joules
		d, err := energy.Find(s.Profiles, disk)
		if err != nil {
			return 0
		}
		rate := d.SeqMBs
		if rate == 0 {
			rate = 200
		}
		return math.Max(0, float64(d.Watts(energy.Sequential)-d.Watts(energy.Idle))) / (rate * 1e6)
	}
	mean := func(fleet []whatif.Fleet) float64 {
		sum, n := 0.0, 0.0
		for _, d := range fleet {
			if !d.Aside {
				sum, n = sum+perByte(d.Disk)*float64(d.Count), n+float64(d.Count)
			}
		}
		return sum / math.Max(1, n)
	}
	return energy.Joules(float64(p.BytesRead)*mean(s.Fleet) + float64(p.BytesWritten)*mean(p.shape.fleet)).KWh()
}

// saving is what a year at the target saves; its band is that of the ratio.
func (p *Plan) saving(s whatif.Scenario) {
	r := *p.To.Ratio
	of := func(e whatif.Estimate) whatif.Estimate {
		return whatif.Estimate{Low: e.Typical * (1 - r.High), Typical: e.Typical * (1 - r.Typical), High: e.Typical * (1 - r.Low), Unit: e.Unit, Status: energy.Model, Source: "model"}
	}
	p.KWhSaved = of(p.From.KWhPerYear)
	if p.From.KgLocation != nil {
		e := of(*p.From.KgLocation)
		p.KgSaved = &e
	}
	if p.From.EUREnergy != nil {
		e := of(*p.From.EUREnergy)
		p.EURSaved = &e
	}
}

// invest is what is bought. Drives owned already are sunk; those that leave before the end of
// their service are shown as written off.
func (p *Plan) invest(s whatif.Scenario) {
	p.KgBought = whatif.Estimate{Unit: "kgCO2e", Status: energy.Model, Source: "model"}
	if p.shape.bought > 0 && p.To.KgTotal != nil {
		p.KgBought = *p.To.KgTotal
	}
	p.KgOff = p.To.WrittenOff
	if p.shape.bought > 0 && p.To.EURCapital != nil && (s.Prices.EURPerDrive != nil || s.Prices.EURPerTB != nil) {
		p.EURBought = p.To.EURCapital
	}
	if p.shape.bought == 0 {
		p.EURBought = &whatif.Estimate{Unit: "EUR", Status: energy.Model, Source: "model"}
	}
	p.Not = []string{"work of people", "making of servers, unless --server-kg says it", "wear by the move"}
}

// safety is the durability on the way: every byte is under the old scheme, the new one, or
// both, so that the weaker of the two bounds it.
func (p *Plan) safety() {
	p.NinesFrom, p.NinesTo = p.From.NinesDisasters, p.To.NinesDisasters
	switch {
	case p.NinesFrom == nil || p.NinesTo == nil:
	case p.NinesTo.Typical < p.NinesFrom.Typical:
		p.NinesDuring = p.NinesTo
	default:
		p.NinesDuring = p.NinesFrom
	}
}

// breakEven finds when what is saved is more than what it took.
func (p *Plan) breakEven(now time.Time) {
	start := p.Days.Typical / 365.25
	pays := func(cost whatif.Estimate, saved *whatif.Estimate) *BreakEven {
		if saved == nil || saved.Typical <= 0 {
			return nil
		}
		b := &BreakEven{Years: whatif.Estimate{Low: start + grown(cost.Low/saved.High, p.Growth), Typical: start + grown(cost.Typical/saved.Typical, p.Growth), Unit: "years", Status: energy.Model, Source: "model"}}
		b.Date, b.Earliest, b.Latest = day(now, b.Years.Typical), day(now, b.Years.Low), "never"
		b.Years.High = b.Years.Typical
		if saved.Low > 0 {
			b.Years.High = start + grown(cost.High/saved.Low, p.Growth)
			b.Latest = day(now, b.Years.High)
		}
		return b
	}
	p.BreakEven.Energy = pays(p.KWhMove, &p.KWhSaved)
	kg := p.KgBought
	if p.From.KgLocation != nil && p.From.KWhPerYear.Typical > 0 {
		per := p.From.KgLocation.Typical / p.From.KWhPerYear.Typical
		kg.Low, kg.Typical, kg.High = kg.Low+p.KWhMove.Low*per, kg.Typical+p.KWhMove.Typical*per, kg.High+p.KWhMove.High*per
		p.BreakEven.Carbon = pays(kg, p.KgSaved)
	}
	if p.EURBought != nil && p.From.EUREnergy != nil {
		per := p.From.EUREnergy.Typical / p.From.KWhPerYear.Typical
		eur := *p.EURBought
		eur.Low, eur.Typical, eur.High = eur.Low+p.KWhMove.Low*per, eur.Typical+p.KWhMove.Typical*per, eur.High+p.KWhMove.High*per
		p.BreakEven.Money = pays(eur, p.EURSaved)
	}
}

// grown is the time in which a saving that grows by g a year adds up to years of today's.
func grown(years, g float64) float64 {
	if g == 0 || years <= 0 {
		return math.Max(0, years)
	}
	k := math.Log1p(g)
	x := 1 + years*k
	if x <= 0 {
		return math.Inf(1)
	}
	return math.Log(x) / k
}

// day is the date some years after now; a hundred years stand for never.
func day(now time.Time, years float64) string {
	if !(years < 100) {
		return "never"
	}
	return now.AddDate(0, 0, int(math.Ceil(years*365.25))).Format(time.DateOnly)
}

// verdict says whether to move, and when not to.
func (f *Found) verdict(p *Plan, t Target, changed map[int]string) {
	no := func(format string, a ...any) {
		p.Verdict = "no"
		p.Why = append(p.Why, fmt.Sprintf(format, a...))
	}
	wait := func(format string, a ...any) {
		if p.Verdict == "go" {
			p.Verdict = "wait"
		}
		p.Why = append(p.Why, fmt.Sprintf(format, a...))
	}
	f.fitting(p, changed, no)
	switch {
	case p.To.Ratio.Typical >= 1:
		no("the target draws %.2f times today's watts for each stored TB", p.To.Ratio.Typical)
	case p.To.Verdict != "less":
		wait("the saving is within the band: %s of today's watts", whatif.Short(*p.To.Ratio))
	}
	const service = 5 // years
	if b := p.BreakEven.Energy; b == nil || b.Years.Typical > service {
		no("the energy of the move is not saved within %d years", service)
	}
	if b := p.BreakEven.Carbon; p.KgSaved != nil && (b == nil || b.Years.Typical > service) {
		wait("the carbon of what is bought is not saved within %d years: replace drives as they fail", service)
	}
	if b := p.BreakEven.Money; p.EURBought != nil && (b == nil || b.Years.Typical > service) {
		wait("what is bought is not paid back by electricity within %d years", service)
	}
	if p.NinesFrom != nil && p.NinesTo != nil && p.NinesTo.Typical < p.NinesFrom.Typical-0.3 {
		wait("the target loses more: %.1f nines a year, today %.1f", p.NinesTo.Typical, p.NinesFrom.Typical)
	}
	if p.Growth > 0 && p.To.Fill > 0 && p.To.Fill < 1 {
		y := math.Log(1/p.To.Fill) / math.Log1p(p.Growth)
		p.FullIn = &y
		if y < 1 {
			wait("at %.0f %% growth the target is full in %.1f years", 100*p.Growth, y)
		}
	}
	if p.Verdict == "go" {
		p.Why = append(p.Why, fmt.Sprintf("%s of today's watts for each stored TB, at no less tolerance", whatif.Short(*p.To.Ratio)))
	}
}

// fitting refuses what the servers and the drives cannot hold.
func (f *Found) fitting(p *Plan, changed map[int]string, no func(string, ...any)) {
	if p.To.Fill > 1.0001 {
		no("the target's drives would be %.0f %% full", 100*p.To.Fill)
	}
	for _, i := range sortedKeys(changed) {
		to, _ := erasure.Parse(changed[i])
		from, _ := erasure.Parse(p.From.Pools[i].Scheme)
		hosts := f.hostsOf(p.pools[i].DeviceClass)
		if p.shape.bought > 0 {
			hosts = p.shape.hosts
		}
		if hosts < to.N() && f.System != "minio" && f.System != "rustfs" {
			no("%s needs %d servers, there would be %d", to, to.N(), hosts)
		}
		if to.Tolerates() < from.Tolerates() {
			no("%s: %s stands %d lost shards, %s %d", p.pools[i].Name, to, to.Tolerates(), from, from.Tolerates())
		}
		today := f.toleranceOf(p.pools[i].Name, from)
		if after := whatif.ToleranceOf(to, len(f.Sites)); today.Sites > 0 && after.Less(today) {
			no("%s: %s survives %s, today's %s", p.pools[i].Name, to, after, today)
		}
	}
	if p.shape.bought == 0 && len(changed) > 0 {
		free := float64(f.Sizes.Raw)*(1-f.Sizes.Reserve) - float64(f.Sizes.Used)
		largest := 0.0 // pools are copied one after another, the old one deleted after each
		for _, i := range sortedKeys(changed) {
			to, _ := erasure.Parse(changed[i])
			largest = math.Max(largest, float64(p.pools[i].StoredTB)*1e12*to.Overhead())
		}
		if short := largest - free; short > 0 {
			p.ShortTB = short / 1e12
			no("the copy of the largest pool lacks %.4g TB of raw space beside what is there: add drives first, or copy a part at a time", p.ShortTB)
		}
	}
}
