package whatif

import (
	"fmt"
	"math"
	"slices"

	"github.com/wattle-storage/wattle/energy"
	"github.com/wattle-storage/wattle/erasure"
	"github.com/wattle-storage/wattle/workload"
)

// A class is drives that serve the same pools.
type class struct {
	need       float64 // TB raw, at the planned fill
	randomR    float64 // random reads a second
	randomW    float64
	seqR, seqW float64 // bytes a second
	least      float64 // drives that the topology asks for
}

func (w Workload) load(layout string) workload.Load {
	return workload.Load{
		Reads: w.Reads, Writes: w.Writes, ReadBytes: float64(w.ReadSize), WriteBytes: float64(w.WriteSize),
		Layout: workload.Layout(layout), Burst: w.Burst, Degraded: w.Degraded, Peak: w.Peak,
	}
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
		if scheme.Rows > 0 && scheme.Rows != len(p.sites) {
			return &FieldError{Field: "sites", Err: fmt.Errorf("%v lies over %d sites, one row a site, not over %d", scheme, scheme.Rows, len(p.sites))}
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
	k, _ := scheme.Row()
	read, write := load.Read(k), load.Write(k, k*scheme.N()/scheme.K)
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
