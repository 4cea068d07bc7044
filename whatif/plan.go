package whatif

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/wattle-storage/wattle/energy"
	"github.com/wattle-storage/wattle/erasure"
	"github.com/wattle-storage/wattle/workload"
)

// A plan is a choice, resolved: plain numbers, and indices into the table of inputs. What it
// holds does not change while inputs vary; eval does the arithmetic.
type plan struct {
	name         string
	scheme, disk string // of a single-pool choice
	pools        []Pool
	layout       string
	boundary     Boundary
	fractional   bool

	fill, reserve float64
	fillGiven     bool
	stored        float64 // TB
	overhead      float64 // raw over stored, of all pools
	amplification float64
	classes       []class
	lines         []line
	sites         []site

	slot, server, nic, psu, sw int
	bays, perRack              float64
	maxRackW                   float64
	standby                    float64
	states                     []stateShare // in place of the work
	peak, cap                  float64
	life                       float64
	eurKWh, eurDrive, eurTB    int // -1: no price
	eurServer, serverKg        int
	embodiedPerTB              bool
	wue, market                int

	readIOs, writeIOs float64
	tolerance         Tolerance
	writesSurvive     int
	twin              string
	uses              []int // inputs with a band, in order
	wattUses          []int // those of them that the watts depend on
	all               []int // all inputs, with a band or without
	warnings          []string
}

// A class is drives that serve the same pools.
type class struct {
	need       float64 // TB raw, at the planned fill
	randomR    float64 // random reads a second
	randomW    float64
	seqR, seqW float64 // bytes a second
	least      float64 // drives that the topology asks for
}

// A line is drives of one kind.
type line struct {
	class     int
	kind      string
	warning   string
	disk      string
	site      string
	tb        float64
	own       float64 // TB of the profile itself
	count     float64 // as given, or -1
	owned     bool
	aside     bool // holds no pool's terabytes
	age       float64
	watts     [lineStates]product
	iops, mbs int
	afr       int
	embodied  int // per drive, or per TB
	perTB     bool
	share     []float64 // parts of its drives by site
}

// A product is the watts of a state: a figure of the drive, times a ratio of its class.
type product struct{ own, ratio int }

// The states of a line.
const (
	lineIdle = iota
	lineRandomRead
	lineRandomWrite
	lineSeqRead
	lineSeqWrite
	lineStandby
	lineSpinUp
	lineStates
)

// A stateShare is a part of the time in a state, as the user gave it.
type stateShare struct {
	watts []product // by line
	state energy.State
	part  float64
}

// A site is a place with its part of the drives.
type site struct {
	name           string
	share          float64
	pue            pueOf
	grid           int // -1: none
	erf, ref       int
	gridID, source string
}

// A pueOf is how a site's PUE follows: 1 + Σ coefficient·input, or by the load.
type pueOf struct {
	constant    int // -1: not constant
	compressor  int // -1: not by temperatures
	fans, other int
	load        float64 // mean part of the compressor's full load
	fixed, prop int
	otherIT     float64
}

func (w Workload) load(layout string) workload.Load {
	return workload.Load{
		Reads: w.Reads, Writes: w.Writes, ReadBytes: float64(w.ReadSize), WriteBytes: float64(w.WriteSize),
		Layout: workload.Layout(layout), Burst: w.Burst, Degraded: w.Degraded, Peak: w.Peak,
	}
}

// parseState reads a state of workload.states; random and write are words for active and
// random_write.
func parseState(name string) (energy.State, error) {
	switch name {
	case "random", "read":
		name = "active"
	case "write":
		name = "random_write"
	}
	s, err := energy.ParseState(name)
	if err != nil || s == energy.Off || s == energy.SpinUp {
		return 0, fmt.Errorf("%q: want idle, idle_a, idle_b, idle_c, random, random_write, sequential, sequential_write or standby%s", clip(name),
			suggestion(name, []string{"idle", "random", "random_write", "sequential", "sequential_write", "standby"}))
	}
	return s, nil
}

// planOf resolves a choice.
func (m *model) planOf(c Choice) (*plan, error) {
	s := m.s
	p := &plan{
		name: c.Name, boundary: m.boundary, fractional: s.Fractional, layout: either(c.Layout, either(s.Workload.Layout, "packed")),
		bays: orElse(c.Bays, orElse(float64(s.Server.Drives), defaultBays)), perRack: orElse(float64(s.Rack.Servers), defaultServers), maxRackW: s.Rack.MaxKW * 1000,
		standby: s.Workload.Standby, peak: orElse(s.Workload.Peak, 1), cap: orElse(s.Workload.Utilised, defaultUtilised),
		life: orElse(s.Embodied.LifeYears, defaultLife), amplification: orElse(c.Amplification, orElse(s.Amplification, defaultAmplification)),
		fill: orElse(c.Fill, orElse(s.Fill, m.todayFill)), fillGiven: c.Fill != 0 || s.Fill != 0, reserve: m.reserve(c),
	}
	m.common(p, c)
	if err := m.placeSites(p, c); err != nil {
		return nil, err
	}
	if err := m.fillPools(p, c); err != nil {
		return nil, err
	}
	if err := m.fillLines(p, c); err != nil {
		return nil, err
	}
	m.fillStates(p, c)
	p.settleFill()
	if p.name == "" {
		p.name = strings.TrimSpace(p.scheme + " " + p.disk)
	}
	m.settleUses(p)
	return p, nil
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func orElse(v, other float64) float64 {
	if v != 0 {
		return v
	}
	return other
}

func (m *model) reserve(c Choice) float64 {
	switch {
	case c.Reserve != nil:
		return *c.Reserve
	case m.s.Reserve != nil:
		return *m.s.Reserve
	}
	return defaultReserve
}

// common gives a plan the inputs that all choices share, save those that it overrides.
func (m *model) common(p *plan, c Choice) {
	s, in := m.s, m.in
	p.slot = in.either("slot_w", s.Server.SlotW)
	if c.SlotW != nil {
		p.slot = in.own("slot_w="+c.SlotW.String(), "W", *c.SlotW)
	}
	p.server, p.nic, p.sw = in.either("server_w", s.Server.Watts), in.either("nic_w", s.Server.NICW), in.either("switch_w", s.Rack.SwitchW)
	p.psu = m.psu
	price := func(id, unit string, r *Range) int {
		if r == nil {
			return -1
		}
		return in.own(id, unit, *r)
	}
	p.eurKWh, p.eurDrive = price("eur_per_kwh", "EUR/kWh", s.Prices.EURPerKWh), price("eur_per_drive", "EUR", s.Prices.EURPerDrive)
	p.eurTB, p.eurServer = price("eur_per_tb", "EUR/TB", s.Prices.EURPerTB), price("eur_per_server", "EUR", s.Prices.EURPerServer)
	p.serverKg, p.wue = price("server_kg", "kgCO2e", s.Embodied.ServerKg), price("wue", "L/kWh", s.Facility.WUE)
	p.market = -1
	if s.Carbon.Market != nil {
		p.market = in.own("market_g_per_kwh", "g/kWh", s.Carbon.Market.GPerKWh)
	}
}

// A sitesKey tells apart the sites of choices.
type sitesKey struct {
	sites     int
	pue, grid Range
}

// placeSites gives a plan its sites, each with its PUE and grid.
func (m *model) placeSites(p *plan, c Choice) error {
	key := sitesKey{sites: c.Sites}
	if c.PUE != nil {
		key.pue = *c.PUE
	}
	if c.GPerKWh != nil {
		key.grid = *c.GPerKWh
	}
	if list, ok := m.placed[key]; ok {
		p.sites = list
		return nil
	}
	list := m.s.Sites
	if c.Sites > 0 && c.Sites != len(list) {
		list = make([]Site, c.Sites)
		for i := range list {
			list[i].Name = fmt.Sprintf("site%d", i+1)
		}
	}
	if len(list) == 0 {
		list = []Site{{Name: "site1"}}
	}
	sum := 0.0
	for _, s := range list {
		sum += orElse(s.Share, 1)
	}
	for _, s := range list {
		x, err := m.siteOf(s, c)
		if err != nil {
			return err
		}
		x.share = orElse(s.Share, 1) / sum
		p.sites = append(p.sites, x)
	}
	m.placed[key] = p.sites
	return nil
}

// fillPools gives a plan what its classes need.
func (m *model) fillPools(p *plan, c Choice) error {
	pools := c.Pools
	if len(pools) == 0 && c.Scheme == "" && len(m.s.Pools) > 0 {
		pools = m.s.Pools
	}
	if len(pools) == 0 {
		p.scheme = either(c.Scheme, defaultSchemes[0])
		pools = []Pool{{Scheme: p.scheme, StoredTB: Terabytes(m.stored)}}
	} else {
		p.pools = pools
	}
	names := []string{}
	for _, pool := range pools {
		if !slices.Contains(names, pool.DeviceClass) {
			names = append(names, pool.DeviceClass)
		}
		p.stored += float64(pool.StoredTB)
	}
	if p.stored <= 0 {
		return &FieldError{Field: "stored_tb", Err: fmt.Errorf("no terabytes: give usable_tb, stored_tb, or pools with stored_tb")}
	}
	m.classNames = names
	p.classes = make([]class, len(names))
	p.tolerance, p.writesSurvive = Tolerance{math.MaxInt, 0}, math.MaxInt
	weighted, coded := 0.0, 0.0
	for _, pool := range pools {
		scheme, err := m.scheme(pool.Scheme)
		if err != nil {
			return err
		}
		share := float64(pool.StoredTB) / p.stored
		amp := orElse(pool.Amplification, p.amplification)
		coded += share * scheme.Overhead()
		weighted += share * scheme.Overhead() * amp
		p.demand(&p.classes[slices.Index(names, pool.DeviceClass)], scheme, m.s.Workload, share, amp)
	}
	p.overhead, p.amplification = coded, weighted/coded
	return nil
}

// demand adds what a pool asks of a class; raw terabytes are for a fill of 1.
func (p *plan) demand(c *class, scheme erasure.Scheme, w Workload, share, amplification float64) {
	sites := len(p.sites)
	load := w.load(p.layout).WithDefaults()
	read, write := load.Read(scheme.K), load.Write(scheme.K, scheme.N())
	c.need += share * p.stored * scheme.Overhead() * amplification / (1 - p.reserve)
	c.randomR += share * load.Reads * read.Random
	c.randomW += share * load.Writes * write.Random
	c.seqR += share * load.Reads * read.Sequential
	c.seqW += share * load.Writes * write.Sequential
	n := scheme.N()
	c.least = math.Max(c.least, math.Max(float64(n), float64(min(sites, n)*((n+sites-1)/sites))))
	p.readIOs += share * read.Random
	p.writeIOs += share * write.Random
	if t := ToleranceOf(scheme, sites); t.Less(p.tolerance) {
		p.tolerance = t
		p.twin = Twin(scheme, sites).String()
	}
	p.writesSurvive = min(p.writesSurvive, WritesSurvive(scheme, sites))
}

// fillLines gives a plan its drives.
func (m *model) fillLines(p *plan, c Choice) error {
	fleet := c.Fleet
	if len(fleet) == 0 && c.Disk == "" && len(m.s.Fleet) > 0 && len(p.pools) > 0 {
		fleet = m.s.Fleet
	}
	if len(fleet) == 0 {
		p.disk = either(c.Disk, m.firstDisk)
		for _, name := range m.classNames {
			fleet = append(fleet, Fleet{Disk: p.disk, DeviceClass: name})
		}
	}
	for i, f := range fleet {
		l, err := m.lineOf(p, f)
		if err != nil {
			return fmt.Errorf("fleet[%d]: %w", i, err)
		}
		p.lines = append(p.lines, l)
	}
	for k, name := range m.classNames {
		open, any := 0, false
		for _, l := range p.lines {
			if l.class == k {
				any = true
				if l.count < 0 {
					open++
				}
			}
		}
		if !any {
			return &FieldError{Field: "fleet", Err: fmt.Errorf("no drives of class %q, which a pool names", name)}
		}
		if open > 1 {
			return &FieldError{Field: "fleet", Err: fmt.Errorf("%d kinds of drives of class %q without count: give the count of all but one", open, name)}
		}
	}
	return nil
}

func (m *model) lineOf(p *plan, f Fleet) (l line, err error) {
	t, ok := m.templates[f.Disk]
	if !ok {
		if t, err = m.template(f.Disk); err != nil {
			return l, err
		}
		m.templates[f.Disk] = t
	}
	l = *t
	l.site, l.tb, l.count, l.owned, l.age = f.Site, orElse(float64(f.CapacityTB), t.tb), float64(f.Count), f.Owned, f.AgeYears
	if f.Count == 0 {
		l.count = -1
	}
	if f.Aside {
		l.aside, l.tb = true, 0
		p.classes = append(p.classes, class{}) // one that nothing is asked of
	} else if l.tb <= 0 {
		return l, fmt.Errorf("%s has no capacity of its own: write it as %s@8TB", f.Disk, f.Disk)
	}
	if w := mixedUnits(f.Disk, l.tb, t.own); w != "" && !f.Aside {
		p.warnings = append(p.warnings, w)
	}
	if t.warning != "" {
		p.warnings = append(p.warnings, t.warning)
	}
	l.share = shares(p.sites, f.Site)
	if l.aside {
		l.class = len(p.classes) - 1
		return l, nil
	}
	l.class, err = m.classOf(f, l.kind)
	return l, err
}

// mixedUnits warns of a capacity that differs from the profile's as TB do from TiB.
func mixedUnits(disk string, tb, own float64) string {
	const factor = (1 << 40) / 1e12
	for _, f := range []float64{factor, 1 / factor} {
		if own > 0 && math.Abs(tb/own/f-1) < 0.006 {
			return fmt.Sprintf("%s: %s TB where its profile has %s TB: were TB and TiB mixed up?", disk, energy.Four(tb), energy.Four(own))
		}
	}
	return ""
}

// template is a line of a kind of drive, with its inputs.
func (m *model) template(disk string) (*line, error) {
	d, err := energy.Find(m.s.Profiles, disk)
	if err != nil {
		return nil, err
	}
	m.profiles[d.ID] = d
	id, _, _ := strings.Cut(disk, "@")
	own, err := energy.Find(m.s.Profiles, id)
	if err != nil {
		return nil, err
	}
	l := &line{disk: disk, tb: d.CapacityTB, own: own.CapacityTB, kind: either(d.Kind, "hdd"), warning: d.Warning()}
	for i, s := range [lineStates]energy.State{idleState(m.s.Workload.IdleState), energy.Active, energy.RandomWrite, energy.Sequential, energy.SequentialWrite, energy.Standby, energy.SpinUp} {
		l.watts[i] = m.product(d, s)
	}
	kind := l.kind
	if kind != "ssd" {
		kind = "hdd"
	}
	in := m.in
	l.iops, l.mbs = in.eitherOf("iops/"+kind, "iops/"+kind, m.s.Drive.IOPS), in.eitherOf("mb_s/"+kind, "mb_s/"+kind, m.s.Drive.MBs)
	if d.IOPS > 0 && m.s.Drive.IOPS == nil {
		l.iops = in.add(d.ID+"/iops", energy.Around(d.IOPS, 0.1, "/s", d.Status, d.SourceID))
	}
	if d.SeqMBs > 0 && m.s.Drive.MBs == nil { // the published rate is that of the outer tracks
		l.mbs = in.add(d.ID+"/mb_s", Estimate{Low: 0.5 * d.SeqMBs, Typical: 0.8 * d.SeqMBs, High: d.SeqMBs, Unit: "MB/s", Status: d.Status, Source: d.SourceID})
	}
	l.afr = in.eitherOf("afr/"+kind, "afr/"+kind, m.s.Drive.AFR)
	l.embodied, l.perTB = m.embodied(d, kind, m.s.Embodied.Method == "per_tb")
	return l, nil
}

// shares are the parts of a line's drives by site.
func shares(sites []site, only string) []float64 {
	list := make([]float64, len(sites))
	for i, s := range sites {
		list[i] = s.share
		if only != "" {
			list[i] = 0
			if s.name == only {
				list[i] = 1
			}
		}
	}
	if only != "" && slices.Max(list) == 0 { // a choice with other sites
		return shares(sites, "")
	}
	return list
}

func idleState(name string) energy.State {
	s, err := energy.ParseState(either(name, "idle"))
	if err != nil {
		return energy.Idle
	}
	return s
}

// embodied is the input of a drive's embodied carbon, and whether it is per terabyte.
func (m *model) embodied(d energy.Profile, kind string, perTB bool) (int, bool) {
	in, e := m.in, m.s.Embodied
	switch {
	case kind == "ssd" && e.Flash != nil && d.CapacityTB > 0:
		kg := energy.SSDEmbodied(1000*d.CapacityTB, e.Flash.GBPerCm2, e.Flash.KgPerCm2, e.Flash.BaseKg)
		return in.add(d.ID+"@"+fmt.Sprint(d.CapacityTB)+"/embodied", energy.Point(kg, "kgCO2e", energy.Input, "input:embodied.flash")), false
	case perTB && e.KgPerTB == nil && kind == "hdd":
		return in.either("embodied/hdd per TB", nil), true
	case perTB:
		return in.eitherOf("embodied/"+kind+" per TB", "embodied/ssd", e.KgPerTB), true
	case e.KgPerDrive != nil:
		return in.own("embodied/"+kind, "kgCO2e", *e.KgPerDrive), false
	case d.EmbodiedKgCO2 > 0:
		return in.add(d.ID+"/embodied", energy.Around(d.EmbodiedKgCO2, 0.3, "kgCO2e", d.Status, d.SourceID)), false
	}
	return in.either("embodied/"+kind, nil), kind == "ssd"
}

// classOf is the class whose pools a fleet serves.
func (m *model) classOf(f Fleet, kind string) (int, error) {
	name := either(f.DeviceClass, kind)
	if i := slices.Index(m.classNames, name); i >= 0 {
		return i, nil
	}
	if i := slices.Index(m.classNames, ""); i >= 0 {
		return i, nil
	}
	if len(m.classNames) == 1 && f.DeviceClass == "" {
		return 0, nil
	}
	return 0, fmt.Errorf("drives of class %q serve no pool (pools name %q)%s", name, m.classNames, suggestion(name, m.classNames))
}

// product gives the watts of a state their inputs.
func (m *model) product(d energy.Profile, s energy.State) product {
	key := d.ID + "/" + s.String()
	if p, ok := m.products[key]; ok {
		return p
	}
	b := d.Basis(s)
	if given, ok := m.in.given[key]; ok && b.RatioID != "" { // the user knows this state
		b = energy.Basis{OwnID: key, Own: from(given, "W", key)}
	}
	p := product{m.in.add(b.OwnID, b.Own), m.in.constant}
	if b.RatioID != "" {
		r := b.Ratio
		r.Source = "class"
		p.ratio = m.in.add(b.RatioID, r)
	}
	m.products[key] = p
	return p
}

// fillStates turns states that the user gave into watts.
func (m *model) fillStates(p *plan, c Choice) {
	given := m.s.Workload.States
	if len(c.States) > 0 {
		given = c.States
	}
	for _, name := range sortedKeys(given) {
		state, err := parseState(name)
		if err != nil {
			continue // Validate told
		}
		x := stateShare{state: state, part: given[name]}
		for _, l := range p.lines {
			d, err := energy.Find(m.s.Profiles, l.disk)
			if err == nil {
				x.watts = append(x.watts, m.product(d, state))
			}
		}
		p.states = append(p.states, x)
	}
}

// settleFill sets the fill of a plan whose drives are all counted: it follows. The need was
// reckoned for a fill of 1.
func (p *plan) settleFill() {
	raw, open := 0.0, false
	for _, l := range p.lines {
		raw += math.Max(l.count, 0) * l.tb
		open = open || l.count < 0
	}
	need := 0.0
	for i := range p.classes {
		need += p.classes[i].need
	}
	if !open {
		p.fill = need / raw
		if p.fill > 1 {
			p.warnings = append(p.warnings, fmt.Sprintf("the pools need %s TB raw, the fleet has %s TB: %.0f %% full", energy.Four(need), energy.Four(raw), 100*p.fill))
		}
	}
	for i := range p.classes {
		p.classes[i].need /= p.fill
	}
}

// settleUses lists the inputs with a band that a plan may depend on.
func (m *model) settleUses(p *plan) {
	key := m.usesKey(p)
	if u, ok := m.uses[key]; ok && key != (usesKey{}) {
		p.uses, p.wattUses, p.all = u[0], u[1], u[2]
		return
	}
	watts := m.inputsOfWatts(p)
	p.all = slices.Concat(m.otherInputs(p), watts)
	p.wattUses, p.uses = m.wide(watts), m.wide(slices.Clone(p.all))
	m.uses[key] = [3][]int{p.uses, p.wattUses, p.all}
}

// A usesKey tells plans apart whose inputs differ; the zero key is for plans that are not
// that simple.
type usesKey struct {
	line *line
	site *site
	slot int
	work [2]bool
}

func (m *model) usesKey(p *plan) usesKey {
	if len(p.lines) != 1 || len(p.states) > 0 || len(p.classes) != 1 {
		return usesKey{}
	}
	random, seq := p.work()
	return usesKey{line: m.templates[p.lines[0].disk], site: &p.sites[0], slot: p.slot, work: [2]bool{random, seq}}
}

// work tells whether there are random I/Os and sequential bytes.
func (p *plan) work() (random, seq bool) {
	for _, c := range p.classes {
		random, seq = random || c.randomR+c.randomW > 0, seq || c.seqR+c.seqW > 0
	}
	return random, seq
}

func (m *model) inputsOfWatts(p *plan) (list []int) {
	random, seq := p.work()
	for i := range p.lines {
		l := &p.lines[i]
		in := map[int]bool{lineIdle: true, lineStandby: p.standby > 0, lineRandomRead: random, lineRandomWrite: random, lineSeqRead: seq, lineSeqWrite: seq}
		for state, w := range l.watts {
			if in[state] && len(p.states) == 0 {
				list = append(list, w.own, w.ratio)
			}
		}
		for _, x := range p.states {
			list = append(list, x.watts[i].own, x.watts[i].ratio)
		}
		if random || seq {
			list = append(list, l.iops, l.mbs)
		}
	}
	list = append(list, p.slot, p.server, p.nic, p.psu, p.sw)
	for i := range p.sites {
		u := &p.sites[i].pue
		list = append(list, u.constant, u.compressor, u.fans, u.other, u.fixed, u.prop)
	}
	return list
}

func (m *model) otherInputs(p *plan) (list []int) {
	for i := range p.lines {
		l := &p.lines[i]
		list = append(list, l.iops, l.mbs, l.afr, l.embodied, l.watts[lineSpinUp].own, l.watts[lineSpinUp].ratio)
	}
	list = append(list, p.eurKWh, p.eurDrive, p.eurTB, p.eurServer, p.serverKg, p.wue, p.market)
	for i := range p.sites {
		list = append(list, p.sites[i].grid, p.sites[i].erf, p.sites[i].ref)
	}
	return list
}

// wide sorts a list of inputs and leaves those with a band.
func (m *model) wide(list []int) []int {
	slices.Sort(list)
	return slices.DeleteFunc(slices.Compact(list), func(i int) bool { return i < 0 || !m.in.wide(i) })
}
