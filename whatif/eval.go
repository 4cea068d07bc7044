package whatif

import (
	"math"

	"github.com/wattle-storage/wattle/energy"
)

// The quantities of an outcome.
const (
	qDrives = iota
	qServers
	qRacks
	qRawTB
	qDriveW // watts by part
	qSlotW
	qServerW
	qNICW
	qPSUW
	qSwitchW
	qFacilityW
	qWatts // all within the boundary
	qITW   // all IT, whatever the boundary
	qPeakW // of the IT
	qInrushW
	qKgLocation // a year
	qKgMarket
	qKgEmbodied // in all
	qEURCapital
	qReused  // watts of heat given to others
	qRenewed // watts from renewable sources
	qIdle    // parts of the time
	qRandom
	qSequential
	qStandby
	qIOPSInUse // at the peak
	qPrice     // EUR/kWh
	qWUE
	numQ
)

// An outcome is a plan at one set of inputs.
type outcome struct {
	q          [numQ]float64
	counts     []float64 // drives by line
	siteW      []float64 // watts within the boundary by site
	bound      bound
	overloaded bool
	dc, peak   []float64
	drives     []float64
}

// A bound is what sets the number of drives.
type bound uint8

const (
	unbound bound = iota
	byCapacity
	byIOPS
	byThroughput
	byTopology
	given
)

func (b bound) String() string {
	return [...]string{"", "capacity", "iops", "throughput", "topology", "given"}[b]
}

// eval is the whole arithmetic of the model, at the values v of the inputs.
func (p *plan) eval(v []float64, o *outcome) {
	o.q = [numQ]float64{}
	o.bound, o.overloaded = unbound, false
	o.counts, o.siteW = zeros(o.counts, len(p.lines)), zeros(o.siteW, len(p.sites))
	o.dc, o.peak, o.drives = zeros(o.dc, len(p.sites)), zeros(o.peak, len(p.sites)), zeros(o.drives, len(p.sites))
	for k := range p.classes {
		p.countClass(v, o, k)
		p.drawClass(v, o, k)
	}
	if n := o.q[qDrives]; n > 0 {
		for i := qIdle; i <= qIOPSInUse; i++ {
			o.q[i] /= n
		}
	}
	for s := range p.sites {
		p.draw(v, o, s)
	}
	p.makeUp(v, o)
}

func zeros(s []float64, n int) []float64 {
	if cap(s) < n {
		return make([]float64, n)
	}
	s = s[:n]
	clear(s)
	return s
}

func (p *plan) whole(n float64) float64 {
	if p.fractional {
		return n
	}
	return math.Ceil(n*(1-1e-12) - 1e-9)
}

// countClass finds the number of drives of a class: the larger of what capacity, I/Os,
// throughput and topology ask for.
func (p *plan) countClass(v []float64, o *outcome, k int) {
	c := &p.classes[k]
	open := -1
	raw, iops, mbs, n := 0.0, 0.0, 0.0, 0.0
	for i := range p.lines {
		l := &p.lines[i]
		switch {
		case l.class != k:
		case l.count < 0:
			open = i
		default:
			o.counts[i] = l.count
			raw, iops, mbs, n = raw+l.count*l.tb, iops+l.count*v[l.iops], mbs+l.count*v[l.mbs], n+l.count
		}
	}
	if open < 0 {
		o.setBound(given, n)
		return
	}
	l := &p.lines[open]
	random, seq := c.randomR+c.randomW, (c.seqR+c.seqW)/1e6
	most, why := math.Max(0, (c.need-raw)/l.tb), byCapacity
	larger := func(n float64, by bound) {
		if n > most*(1+1e-12) {
			most, why = n, by
		}
	}
	larger((p.peak*random/p.cap-iops)/v[l.iops], byIOPS)
	larger((p.peak*seq/p.cap-mbs)/v[l.mbs], byThroughput)
	if n == 0 { // no drive is busy for more than all of its time
		busy := random/v[l.iops] + seq/v[l.mbs]
		by := byThroughput
		if random/v[l.iops] > seq/v[l.mbs] {
			by = byIOPS
		}
		larger(math.Max(p.peak*busy, busy/math.Max(1-p.standby, 1e-9)), by)
	}
	larger(c.least-n, byTopology)
	o.counts[open] = p.whole(most)
	o.setBound(why, o.counts[open]+n)
}

// setBound keeps the bound of the largest class.
func (o *outcome) setBound(by bound, n float64) {
	if o.bound == unbound || n > o.q[qDrives] {
		o.bound = by
	}
	o.q[qDrives] += n
}

// drawClass adds what the drives of a class draw.
func (p *plan) drawClass(v []float64, o *outcome, k int) {
	c := &p.classes[k]
	iops, mbs := 0.0, 0.0
	for i := range p.lines {
		if l := &p.lines[i]; l.class == k {
			iops, mbs = iops+o.counts[i]*v[l.iops], mbs+o.counts[i]*v[l.mbs]
		}
	}
	t := p.times(c, iops, mbs, 1)
	peak := p.times(c, iops, mbs, p.peak)
	if t.random+t.seq > 1+1e-9 {
		o.overloaded = true
	}
	for i := range p.lines {
		l := &p.lines[i]
		if l.class != k {
			continue
		}
		n := o.counts[i]
		w := p.mean(v, l, i, t)
		wPeak := math.Max(w, p.mean(v, l, i, peak))
		spin := v[l.watts[lineSpinUp].own] * v[l.watts[lineSpinUp].ratio]
		o.q[qRawTB] += n * l.tb
		o.q[qDriveW] += n * w
		o.q[qInrushW] += n * spin
		o.q[qIdle], o.q[qRandom] = o.q[qIdle]+n*t.idle, o.q[qRandom]+n*t.random
		o.q[qSequential], o.q[qStandby] = o.q[qSequential]+n*t.seq, o.q[qStandby]+n*t.standby
		if iops > 0 {
			o.q[qIOPSInUse] += n * p.peak * (c.randomR + c.randomW) / iops
		}
		for s, part := range l.share {
			o.dc[s] += n * part * w
			o.peak[s] += n * part * (wPeak + v[p.slot])
			o.drives[s] += n * part
		}
		p.make(v, o, l, n)
	}
}

// A mix is the parts of a drive's time.
type mix struct {
	idle, random, seq, standby float64
	writes, seqWrites          float64 // parts of random and seq
}

// times is how a class's drives spend their time at a multiple of the mean work.
func (p *plan) times(c *class, iops, mbs, times float64) mix {
	if len(p.states) > 0 {
		return p.givenTimes()
	}
	var t mix
	if random := c.randomR + c.randomW; random > 0 {
		t.random, t.writes = times*random/iops, c.randomW/random
	}
	if seq := c.seqR + c.seqW; seq > 0 {
		t.seq, t.seqWrites = times*seq/1e6/mbs, c.seqW/seq
	}
	if busy := t.random + t.seq; busy > 1 {
		t.random, t.seq = t.random/busy, t.seq/busy
		if times == 1 {
			t.random, t.seq = t.random*(1+2e-9), t.seq*(1+2e-9) // told as overloaded
		}
	}
	t.standby = math.Max(0, math.Min(p.standby, 1-t.random-t.seq))
	t.idle = math.Max(0, 1-t.random-t.seq-t.standby)
	return t
}

func (p *plan) givenTimes() (t mix) {
	for _, s := range p.states {
		switch s.state {
		case energy.Active, energy.RandomWrite:
			t.random += s.part
		case energy.Sequential, energy.SequentialWrite:
			t.seq += s.part
		case energy.Standby:
			t.standby += s.part
		default:
			t.idle += s.part
		}
	}
	return t
}

// mean is the watts of a drive of line i that spends its time so.
func (p *plan) mean(v []float64, l *line, i int, t mix) (w float64) {
	if len(p.states) > 0 {
		for _, s := range p.states {
			w += s.part * v[s.watts[i].own] * v[s.watts[i].ratio]
		}
		return w
	}
	at := func(state int) float64 { return v[l.watts[state].own] * v[l.watts[state].ratio] }
	w = t.idle * at(lineIdle)
	if t.standby > 0 {
		w += t.standby * at(lineStandby)
	}
	if t.random > 0 {
		w += t.random * ((1-t.writes)*at(lineRandomRead) + t.writes*at(lineRandomWrite))
	}
	if t.seq > 0 {
		w += t.seq * ((1-t.seqWrites)*at(lineSeqRead) + t.seqWrites*at(lineSeqWrite))
	}
	return w
}

// draw adds what stands around the drives of a site.
func (p *plan) draw(v []float64, o *outcome, s int) {
	x := &p.sites[s]
	n := o.drives[s]
	servers := p.whole(n / p.bays)
	inServers := servers * (v[p.server] + v[p.nic])
	slots := n * v[p.slot]
	peak := (o.peak[s] + inServers) / v[p.psu]
	racks := p.whole(servers / p.perRack)
	if p.maxRackW > 0 {
		racks = math.Max(racks, p.whole(peak/math.Max(p.maxRackW-v[p.sw], 1)))
	}
	dc := o.dc[s] + slots + inServers
	switches := racks * v[p.sw]
	it := dc/v[p.psu] + switches
	pue := x.pue.pue(v, it)
	o.q[qServers] += servers
	o.q[qRacks] += racks
	o.q[qITW] += it
	o.q[qPeakW] += peak + switches
	within := o.dc[s]
	if p.boundary != AtDrive {
		o.q[qSlotW] += slots
		o.q[qServerW] += servers * v[p.server]
		o.q[qNICW] += servers * v[p.nic]
		o.q[qPSUW] += dc/v[p.psu] - dc
		within = dc / v[p.psu]
	}
	if p.boundary == AtRack || p.boundary == AtFacility {
		o.q[qSwitchW] += switches
		within = it
	}
	if p.boundary == AtFacility {
		o.q[qFacilityW] += it * (pue - 1)
		within = it * pue
	}
	o.siteW[s] = within
	o.q[qWatts] += within
	o.q[qKgLocation] += energy.Watts(within).KWhPerYear() * v[x.grid] / 1000
	if x.erf >= 0 {
		o.q[qReused] += within * v[x.erf]
	}
	if x.ref >= 0 {
		o.q[qRenewed] += within * v[x.ref]
	}
}

// make adds what it takes to make the drives of a line: those bought, and those that
// replace failed ones over the years of service. Owned drives add nothing.
func (p *plan) make(v []float64, o *outcome, l *line, n float64) {
	kg, eur := v[l.embodied], 0.0
	if l.perTB {
		kg *= l.tb
	}
	if p.eurDrive >= 0 {
		eur = v[p.eurDrive]
	} else if p.eurTB >= 0 {
		eur = v[p.eurTB] * l.tb
	}
	if !l.owned {
		o.q[qEURCapital] += n * eur
		o.q[qKgEmbodied] += n * (1 + v[l.afr]*p.life) * kg
	}
}

// makeUp adds what depends on the sums.
func (p *plan) makeUp(v []float64, o *outcome) {
	parts := 0.0
	for i := qDriveW; i <= qFacilityW; i++ {
		parts += o.q[i]
	}
	o.q[qWatts] = parts // the parts sum to the whole, to the last bit
	kwh := energy.Watts(parts).KWhPerYear()
	newServers := o.q[qServers] * p.newPart(o)
	if p.market >= 0 {
		o.q[qKgMarket] = kwh * v[p.market] / 1000
	}
	if p.serverKg >= 0 {
		o.q[qKgEmbodied] += newServers * v[p.serverKg]
	}
	if p.eurServer >= 0 {
		o.q[qEURCapital] += newServers * v[p.eurServer]
	}
	if p.eurKWh >= 0 {
		o.q[qPrice] = v[p.eurKWh]
	}
	if p.wue >= 0 {
		o.q[qWUE] = v[p.wue]
	}
	o.q[qInrushW] = (o.q[qInrushW] + o.q[qDrives]*v[p.slot] + o.q[qServers]*(v[p.server]+v[p.nic])) / v[p.psu]
}

// newPart is the part of the drives that is not owned already; servers are taken to be owned
// with their drives.
func (p *plan) newPart(o *outcome) float64 {
	fresh := 0.0
	for i := range p.lines {
		if !p.lines[i].owned {
			fresh += o.counts[i]
		}
	}
	if o.q[qDrives] == 0 {
		return 0
	}
	return fresh / o.q[qDrives]
}
