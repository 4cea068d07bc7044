package durability

import "math"

// An Availability is the part of the time in which objects can be read and written, by
// outages that end by themselves: hosts and sites that go and come back. Loss is not in it.
type Availability struct {
	Unreadable  float64 `json:"unreadable"`
	Unwritable  float64 `json:"unwritable"` // writes need shards to spare, as margin says
	ReadNines   float64 `json:"read_nines"`
	WriteNines  float64 `json:"write_nines"`
	ReadMinutes float64 `json:"unreadable_minutes_per_year"`
}

// availability adds up the states in which too many shards are away. Hosts and sites go away
// independently, each long enough up for its state to be independent of its past.
func (s System) availability() Availability {
	a := Availability{Unreadable: s.away(s.Code.lose()), Unwritable: 1}
	switch spare := s.Code.Tolerance() - s.Margin; {
	case s.Code.Rows > 0:
		a.Unreadable = s.rowsAway(s.Code.M)
		if spare := s.Code.M - s.Margin; spare >= 0 {
			a.Unwritable = s.rowsAway(spare)
		}
	case spare >= 0:
		a.Unwritable = s.away(MDSLose(spare))
	}
	a.ReadNines, a.WriteNines = Nines(a.Unreadable), Nines(a.Unwritable)
	a.ReadMinutes = a.Unreadable * YearHours * 60
	return a
}

// away is the probability that the shards that are away cannot be done without, where lose
// says so by their number.
func (s System) away(lose []float64) float64 {
	lost := []float64{1} // lost[i]: probability of i shards away, site by site
	for _, c := range Even(s.Code.N(), s.stripeSites()) {
		lost = convolved(lost, s.siteAway(c))
	}
	sum := 0.0
	for i := len(lost) - 1; i >= 0; i-- {
		sum += lost[i] * Stripe{Lose: lose}.loseAt(i)
	}
	return math.Min(sum, 1)
}

// siteAway is by number the probability that so many of the c shards of a site are away: with
// their hosts, their racks, or all.
func (s System) siteAway(c int) []float64 {
	host, site, rack := s.HostOutages.Unavailable(), s.SiteOutages.Unavailable(), 0.0
	racks := []int{c}
	if s.Racks > 0 {
		rack, racks = s.RackOutages.Unavailable(), Even(c, min(s.Racks, c))
	}
	p := []float64{1}
	for _, n := range racks {
		one := make([]float64, n+1)
		for h := range one {
			one[h] = (1 - rack) * binomial(n, h, host)
		}
		one[n] += rack
		p = convolved(p, one)
	}
	for i := range p {
		p[i] *= 1 - site
	}
	p[c] += site
	return p
}

// convolved is the distribution of a sum.
func convolved(a, b []float64) []float64 {
	out := make([]float64, len(a)+len(b)-1)
	for i, p := range a {
		for j, q := range b {
			out[i+j] += p * q
		}
	}
	return out
}

// rowsAway is the probability that a product code whose rows stand m losses cannot be read: two
// rows have lost the same m+1 columns, or three and more have lost too many.
func (s System) rowsAway(m int) float64 {
	c := Product{Rows: s.Code.Rows, Cols: s.Code.K + s.Code.M, RowM: m, ColM: 1}
	p := s.siteAway(c.Cols)
	bad, both := 0.0, 0.0
	for i := len(p) - 1; i > m; i-- {
		bad += p[i]
		for j := len(p) - 1; j > m; j-- {
			both += p[i] * p[j] * c.undecodable([]byte{byte(i), byte(j)})
		}
	}
	return math.Min(1, choose(c.Rows, 2)*both*math.Pow(1-bad, float64(c.Rows-2))+binomialTail(c.Rows, 3, bad))
}

// A Traffic is what repair moves in a year, and the energy of it.
type Traffic struct {
	LostTB    float64 `json:"lost_tb_per_year"` // on disks that failed, at the typical AFR
	ReadTB    float64 `json:"read_tb_per_year"`
	WrittenTB float64 `json:"written_tb_per_year"`
	WANTB     float64 `json:"wan_tb_per_year"`
	SiteWANTB float64 `json:"site_wan_tb_per_year"` // disasters times what a site's return moves
	SiteTB    float64 `json:"site_return_tb"`       // moved once if a site is lost
	ScrubTB   float64 `json:"scrub_tb_per_year"`    // read by scrubbing, for scale
}

func (s System) traffic() Traffic {
	raw := float64(s.Disks) * s.CapacityTB * s.Fill
	here := Even(s.Code.N(), s.stripeSites())[0]
	t := Traffic{LostTB: raw * s.AFR.Typical, ScrubTB: raw * 365.25 / s.ScrubDays}
	t.ReadTB, t.WrittenTB = t.LostTB*s.Code.Reads(), t.LostTB
	if s.stripeSites() > 1 {
		t.WANTB = t.LostTB * s.Code.WANReads(here)
		t.SiteTB = s.siteMove(raw/float64(s.Sites), here)
		t.SiteWANTB = t.SiteTB * s.SiteRate.Typical * float64(s.Sites)
	}
	return t
}

// siteMove is what crosses between sites to give a site its shards back: k shards of each
// stripe are gathered at one of the others, which has some of them, and the new ones are sent.
func (s System) siteMove(siteTB float64, here int) float64 {
	switch {
	case s.Code.Rows > 0: // each of the other sites sends as much, to the next one or to the lost one
		return siteTB * float64(s.Code.Rows-1)
	case s.Code.K == 1:
		return siteTB
	}
	gathered := math.Max(0, float64(s.Code.K-here))
	return siteTB * (gathered/float64(here) + 1)
}

// Intensities are joules for each byte that repair moves. Zero ones are not counted.
type Intensities struct {
	DiskJPerGB  Band    // reading or writing, over the idle disk
	WANKWhPerGB Band    // allocated: the network's energy over its traffic
	LANKWhPerGB Band    // allocated, as the WAN's
	CPUJPerGB   Band    // of what is made anew
	SpinUpJ     Band    // of a disk that is woken
	AwakeW      Band    // what it then draws more than in standby
	Parked      float64 // part of the disks that are in standby
}

// DefaultLAN: a byte passes a network card at both ends. A card of 8, 15 or 25 W (as wattle whatif
// assumes) that carries 100, 25 or 10 Gb/s when it is full; switches are left out.
var DefaultLAN = Band{2 * 8 / 12.5 / 3.6e6, 2 * 15 / 3.125 / 3.6e6, 2 * 25 / 1.25 / 3.6e6}

// DefaultCPUSeconds of a core for a GB made anew: 2.4 is what SeaweedFS's ec.encode took (measured
// for this project); the others are assumed, of codes that use the vector units well.
var DefaultCPUSeconds = Band{0.2, 0.6, 2.4}

// DefaultWAN: cross-site traffic from nothing, since capacity is lit already, to 0.001 kWh/GB
// (Cloud Carbon Footprint's coefficient). Mytton, Lundén and Malmodin (2024) find that the
// power of networks hardly follows their traffic.
var DefaultWAN = Band{0, 0.0005, 0.001}

// A RepairEnergy is the kWh of a year's repair: what it adds, and what is allocated to it where
// networks are shared by traffic.
type RepairEnergy struct {
	DiskKWh      Band `json:"disk_kwh"`
	WANAllocated Band `json:"wan_allocated_kwh"`
	WANMarginal  Band `json:"wan_marginal_kwh"`
	LAN          Band `json:"lan_kwh"`
	CPU          Band `json:"cpu_kwh"`
	SpinUps      Band `json:"spin_up_kwh"` // and what the woken disks draw until repair is done
	Marginal     Band `json:"marginal_kwh"`
	Allocated    Band `json:"allocated_kwh"`
}

// Energy works out the energy of a year's repair traffic, with so many lost disks of which each
// keeps readers disks busy for hours; the parts sum to the whole.
func (t Traffic) Energy(i Intensities, failures, readers, hours float64) RepairEnergy {
	scale := func(b Band, by float64) Band { return Band{b.Low * by, b.Typical * by, b.High * by} }
	moved := (t.ReadTB + t.WrittenTB) * 1000
	e := RepairEnergy{
		DiskKWh: scale(i.DiskJPerGB, moved/3.6e6), CPU: scale(i.CPUJPerGB, t.WrittenTB*1000/3.6e6), LAN: scale(i.LANKWhPerGB, moved),
		WANAllocated: scale(i.WANKWhPerGB, (t.WANTB+t.SiteWANTB)*1000), SpinUps: scale(addBands(i.SpinUpJ, scale(i.AwakeW, hours*3600)), failures*readers*i.Parked/3.6e6),
	}
	for _, b := range []Band{e.DiskKWh, e.CPU, e.SpinUps, e.WANMarginal} {
		e.Marginal = addBands(e.Marginal, b)
	}
	e.Allocated = addBands(addBands(e.Marginal, e.WANAllocated), e.LAN)
	return e
}

func addBands(a, b Band) Band { return Band{a.Low + b.Low, a.Typical + b.Typical, a.High + b.High} }
