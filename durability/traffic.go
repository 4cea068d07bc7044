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
	if spare := s.Code.Tolerance() - s.Margin; spare >= 0 {
		a.Unwritable = s.away(MDSLose(spare))
	}
	a.ReadNines, a.WriteNines = Nines(a.Unreadable), Nines(a.Unwritable)
	a.ReadMinutes = a.Unreadable * YearHours * 60
	return a
}

// away is the probability that the shards that are away cannot be done without, where lose
// says so by their number.
func (s System) away(lose []float64) float64 {
	sites := Even(s.Code.N(), s.stripeSites())
	host, site := s.HostOutages.Unavailable(), s.SiteOutages.Unavailable()
	// lost[i]: probability of i shards away, site by site
	lost := []float64{1}
	for _, c := range sites {
		next := make([]float64, len(lost)+c)
		for i, p := range lost {
			for h := range c + 1 {
				next[i+h] += p * (1 - site) * binomial(c, h, host)
			}
			next[i+c] += p * site
		}
		lost = next
	}
	sum := 0.0
	for i := len(lost) - 1; i >= 0; i-- {
		sum += lost[i] * Stripe{Lose: lose}.loseAt(i)
	}
	return math.Min(sum, 1)
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
	if s.Code.K == 1 {
		return siteTB
	}
	gathered := math.Max(0, float64(s.Code.K-here))
	return siteTB * (gathered/float64(here) + 1)
}

// Intensities are joules for each byte that repair moves. Zero ones are not counted.
type Intensities struct {
	DiskJPerGB    Band // reading or writing, over the idle disk
	WANKWhPerGB   Band // allocated: the network's energy over its traffic
	LANKWhPerGB   Band
	CPUJPerGB     Band // decoding
	SpinUpJ       float64
	SpinUpsRepair float64 // disks that a lost disk's repair wakes
}

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
	SpinUps      Band `json:"spin_up_kwh"`
	Marginal     Band `json:"marginal_kwh"`
	Allocated    Band `json:"allocated_kwh"`
}

// Energy works out the energy of a year's repair traffic; the parts sum to the whole.
func (t Traffic) Energy(i Intensities, failures float64) RepairEnergy {
	scale := func(b Band, by float64) Band { return Band{b.Low * by, b.Typical * by, b.High * by} }
	moved := (t.ReadTB + t.WrittenTB) * 1000
	e := RepairEnergy{
		DiskKWh: scale(i.DiskJPerGB, moved/3.6e6), CPU: scale(i.CPUJPerGB, t.WrittenTB*1000/3.6e6), LAN: scale(i.LANKWhPerGB, moved),
		WANAllocated: scale(i.WANKWhPerGB, (t.WANTB+t.SiteWANTB)*1000), SpinUps: Point(i.SpinUpJ * i.SpinUpsRepair * failures / 3.6e6),
	}
	for _, b := range []Band{e.DiskKWh, e.CPU, e.SpinUps, e.WANMarginal} {
		e.Marginal = addBands(e.Marginal, b)
	}
	e.Allocated = addBands(addBands(e.Marginal, e.WANAllocated), e.LAN)
	return e
}

func addBands(a, b Band) Band { return Band{a.Low + b.Low, a.Typical + b.Typical, a.High + b.High} }
