package durability

import (
	"math"
	"math/rand/v2"
)

// A Lifetime is how the hazard of a disk goes with its age, relative to a constant one: the sum
// of a constant part and Weibull parts. The zero Lifetime is constant.
type Lifetime struct {
	Constant float64   `json:"constant"`
	Parts    []Weibull `json:"parts,omitempty"`
}

// A Weibull is a hazard (Shape/ScaleH)·(age/ScaleH)^(Shape−1): falling below Shape 1, rising above.
type Weibull struct {
	Shape  float64 `json:"shape"`
	ScaleH float64 `json:"scale_h"`
}

// WeibullLifetime is a single Weibull. Its scale does not matter, since hazards are brought to
// the AFR over the ages of the fleet.
func WeibullLifetime(shape float64) Lifetime {
	return Lifetime{Parts: []Weibull{{shape, 10 * YearHours}}}
}

// Bathtub is a hazard that falls through the first year, is constant, and rises from the
// fifth: early failures of shape 0.5, wear-out of shape 4. The parts are assumed; where a
// fleet's own ages at failure are known they should be fitted.
var Bathtub = Lifetime{
	Constant: 1 / (80 * YearHours),
	Parts:    []Weibull{{0.5, 4000 * YearHours}, {4, 12 * YearHours}},
}

// youngest is the age below which a hazard is taken as of that age: falling ones are infinite at 0.
const youngest = 24.0

// hazard is per hour, before it is brought to an AFR.
func (l Lifetime) hazard(age float64) float64 {
	if len(l.Parts) == 0 {
		return 1
	}
	h, age := l.Constant, math.Max(age, youngest)
	for _, w := range l.Parts {
		h += w.Shape / w.ScaleH * math.Pow(age/w.ScaleH, w.Shape-1)
	}
	return h
}

func (l Lifetime) validate() error {
	if err := notNegative("constant hazard", l.Constant); err != nil {
		return err
	}
	for _, w := range l.Parts {
		if !(w.Shape >= 0.2 && w.Shape <= 20) || !(w.ScaleH > 0) || math.IsInf(w.ScaleH, 0) {
			return inputf("Weibull of shape %v and scale %v h: want a shape of 0.2 to 20 and a scale of more than 0", w.Shape, w.ScaleH)
		}
	}
	return nil
}

// A Batch is a part of the disks that fails more often: whole deliveries, so that the disks of a
// stripe at one site are all of it or none.
type Batch struct {
	Share  float64 `json:"share"`
	Factor float64 `json:"factor"`
}

func (b Batch) validate() error {
	if !(b.Share >= 0 && b.Share <= 1) || !(b.Factor >= 0) || b.Factor > 1e4 {
		return inputf("batch of %v of the disks that fails %v times as often: want a share of 0 to 1 and a factor of 0 to 10,000", b.Share, b.Factor)
	}
	return nil
}

// A population draws the hazards of the disks of a stripe.
type population struct {
	life    Lifetime
	batch   Batch
	ageH    float64 // ages at the start lie evenly from 0 to this
	scale   float64 // brings the mean hazard at the start to the AFR
	perHour float64
}

func newPopulation(l Lifetime, b Batch, ageYears, afr float64) population {
	p := population{life: l, batch: b, ageH: ageYears * YearHours, perHour: afr / YearHours}
	const steps = 2000
	mean := 0.0
	for i := range steps {
		mean += l.hazard((float64(i)+0.5)/steps*p.ageH) / steps
	}
	if b.Share > 0 {
		mean *= 1 + b.Share*(b.Factor-1)
	}
	p.scale = p.perHour / mean
	return p
}

// draw sets the hazards of disks after a time t of the year; bad tells the sites of a bad
// batch. A disk that failed and was replaced before t is younger.
func (p population) draw(hazards []float64, site []int, t float64, rng *rand.Rand) {
	if len(p.life.Parts) == 0 && p.batch.Share == 0 {
		for i := range hazards {
			hazards[i] = p.perHour
		}
		return
	}
	bad, last := false, -1
	for i := range hazards {
		if site[i] != last {
			bad, last = p.batch.Share > 0 && rng.Float64() < p.batch.Share, site[i]
		}
		age := rng.Float64()*p.ageH + t
		h := p.life.hazard(age) * p.scale
		if since := rng.ExpFloat64() / h; since < t { // the last replacement, at about the hazard now
			age = since
			h = p.life.hazard(age) * p.scale
		}
		if bad {
			h *= p.batch.Factor
		}
		hazards[i] = h
	}
}
