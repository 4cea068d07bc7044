package whatif

import "math"

// Factors names the factors of a ratio in their order.
var Factors = []string{"redundancy", "fill", "reserve", "amplification", "tb_per_drive", "drive_count", "w_per_drive", "overhead", "facility"}

// terms are the terms of W per stored TB, in the order of Factors: their product is it.
func terms(p *plan, o *outcome) [9]float64 {
	need := p.stored * p.overhead * p.amplification / (p.fill * (1 - p.reserve))
	n := o.q[qDrives]
	drive := o.q[qDriveW]
	it := o.q[qWatts] - o.q[qFacilityW]
	return [9]float64{
		p.overhead, 1 / p.fill, 1 / (1 - p.reserve), p.amplification,
		n / o.q[qRawTB],    // drives for each raw TB
		o.q[qRawTB] / need, // drives beyond those that hold the data
		drive / n,          // W of a drive, in its mix of states
		it / drive,         // all watts of the IT for each of the drives
		o.q[qWatts] / it,   // all watts for each of the IT
	}
}

// rounding is how far from 1 a factor may be by the rounding of sums alone.
const rounding = 1e-14

// factorsOf decomposes the ratio of W per stored TB of two plans; the product of the factors
// is the ratio.
func factorsOf(a *plan, x *outcome, b *plan, y *outcome) map[string]float64 {
	f, g := terms(a, x), terms(b, y)
	out := make(map[string]float64, len(Factors)+1)
	for i, name := range Factors {
		out[name] = f[i] / g[i]
		if math.Abs(out[name]-1) < rounding {
			out[name] = 1
		}
	}
	return out
}

// Waterfall gives each factor its part of the difference of two figures, free of order:
// (to − from)/ln(to/from) · ln f. The parts sum to to − from.
func Waterfall(from, to float64, factors map[string]float64) map[string]float64 {
	mean := from // the logarithmic mean of equal figures
	if from != to {
		mean = (to - from) / math.Log(to/from)
	}
	out := make(map[string]float64, len(factors))
	for name, f := range factors {
		if out[name] = mean * math.Log(f); out[name] == 0 {
			out[name] = 0 // never -0
		}
	}
	return out
}

// grid is the mean carbon intensity of a plan's electricity, g/kWh.
func grid(o *outcome) float64 {
	return o.q[qKgLocation] / (o.q[qWatts] * 8.766) * 1000
}
