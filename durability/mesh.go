package durability

import "math"

// A Mesh is many small sites that hold a stripe each with one shard: how safe, how available
// and how busy they are at equal overhead. Whether a mesh of boilers or pools should store at
// all is not asked here.
type Mesh struct {
	Sites        int     `json:"sites"`
	Overhead     float64 `json:"overhead"`     // raw over stored; the parities are the whole number at or below it
	Availability float64 `json:"availability"` // of a site, 0 to 1
	OutageH      float64 `json:"outage_h"`     // length of an outage; default 15
	LossRate     float64 `json:"loss_rate"`    // lasting losses of a site a year; default 0.05
	ReturnH      float64 `json:"return_h"`     // until a lost site's shard is made anew elsewhere; default 72
	PatienceH    float64 `json:"patience_h"`   // outages longer than this are repaired; default 24
}

// A MeshAnswer is what a mesh is.
type MeshAnswer struct {
	Mesh
	K            int     `json:"k"`
	M            int     `json:"m"`
	RealOverhead float64 `json:"real_overhead"`
	Unreadable   float64 `json:"unreadable"` // part of the time
	ReadNines    float64 `json:"read_nines"`
	LossYear     float64 `json:"loss_per_year"` // of a stripe
	LossNines    float64 `json:"loss_nines"`
	WANRead      float64 `json:"wan_read"`   // bytes from other sites for a byte read at a site
	WANRepair    float64 `json:"wan_repair"` // bytes moved in a year of repair for a byte stored
}

// Evaluate answers a mesh of 3 to 64 sites and more, up to 255.
func (m Mesh) Evaluate() (MeshAnswer, error) {
	for p, v := range map[*float64]float64{&m.OutageH: 15, &m.LossRate: 0.05, &m.ReturnH: 72, &m.PatienceH: 24} {
		if *p == 0 {
			*p = v
		}
	}
	a := MeshAnswer{Mesh: m}
	if err := m.validate(); err != nil {
		return a, err
	}
	a.K = int(math.Ceil(float64(m.Sites)/m.Overhead - 1e-9))
	a.M = m.Sites - a.K
	if a.M < 1 {
		return a, inputf("overhead %v over %d sites leaves no parity: want at least %.3g", m.Overhead, m.Sites, float64(m.Sites)/float64(m.Sites-1))
	}
	a.RealOverhead = float64(m.Sites) / float64(a.K)
	a.Unreadable = binomialTail(m.Sites, a.M+1, 1-m.Availability)
	a.ReadNines = Nines(a.Unreadable)
	chain, err := MDS(m.Sites, a.M, m.LossRate/YearHours, 1/m.ReturnH, Parallel)
	if err != nil {
		return a, err
	}
	if a.LossYear, err = chain.PDL(YearHours); err != nil {
		return a, err
	}
	a.LossNines = Nines(a.LossYear)
	a.WANRead = float64(a.K-1) / float64(a.K)
	// a shard made anew reads k shards, or one for copies; long outages count as losses
	down := 1 - m.Availability
	outages := down / m.Availability * YearHours / m.OutageH
	long := outages * math.Exp(-m.PatienceH/m.OutageH)
	a.WANRepair = (m.LossRate + long) * a.RealOverhead * float64(a.K)
	return a, nil
}

func (m Mesh) validate() error {
	if m.Sites < 2 || m.Sites > MaxShards {
		return inputf("%d sites: want 2 to %d", m.Sites, MaxShards)
	}
	if !(m.Availability > 0 && m.Availability < 1) {
		return inputf("availability %v of a site: want more than 0 and less than 1, for example 0.99", m.Availability)
	}
	if !(m.Overhead > 1) || math.IsInf(m.Overhead, 0) {
		return inputf("overhead %v: want more than 1", m.Overhead)
	}
	for _, f := range []struct {
		name string
		v    float64
	}{{"outage hours", m.OutageH}, {"losses of a site a year", m.LossRate}, {"return hours", m.ReturnH}, {"patience hours", m.PatienceH}} {
		if err := positive(f.name, f.v); err != nil {
			return err
		}
	}
	return nil
}
