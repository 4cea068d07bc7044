package importer

import (
	"fmt"
	"math"
	"slices"

	"github.com/wattle-storage/wattle/energy"
	"github.com/wattle-storage/wattle/whatif"
)

// A Calibration is the energy model fitted to measured watts, in the JSON that doc/import.md
// documents.
type Calibration struct {
	Parameters []Parameter             `json:"parameters"`
	Residual   Residual                `json:"residual"`
	Points     []Point                 `json:"points"`
	Inputs     map[string]whatif.Range `json:"inputs"` // for a scenario
	Warnings   []string                `json:"warnings"`
}

// A Parameter is a figure before and after.
type Parameter struct {
	Name   string          `json:"name"`
	Before whatif.Estimate `json:"before"`
	After  whatif.Estimate `json:"after"`
}

// A Residual is what the fit leaves, of the measured watts.
type Residual struct {
	N       int     `json:"points"`
	RMS     float64 `json:"rms_w"`
	Part    float64 `json:"rms_part"`
	Worst   float64 `json:"worst_part"`
	WorstAt string  `json:"worst_at,omitempty"`
}

// A Machine is what stands at a meter when the readings don't tell.
type Machine struct {
	Drives int            // in a server, where neither reading nor cluster tells
	Disk   energy.Profile // its drives
	Found  *Found         // with names kept; hosts are matched by name
}

// The parameters of the fit. Server and network card stand together at a meter; the card is
// taken as it is.
const (
	pServer = iota
	pSlot
	pIdle // factor of the drives' idle watts
	pLoad // factor of their sequential watts
	pPSU
	pCount
)

var parameterNames = [pCount]string{"server_w", "slot_w", "drive_idle", "drive_load", "psu_efficiency"}

// noisePart is the least error of a meter, as a part of what it reads.
const noisePart = 0.02

// Calibrate fits the model to the means of readings. What was assumed of a parameter is its
// prior, normal in its coordinate with the extremes at two standard deviations; a meter errs by its standard
// error, 2 % at least. The fit is the most likely one (Gauss-Newton), its band that of the
// curvature there: bands can narrow, never widen, except for what the readings contradict.
func Calibrate(points []Point, m Machine) (*Calibration, error) {
	prior, nic, err := priors(m.Disk)
	if err != nil {
		return nil, err
	}
	c := &Calibration{Inputs: map[string]whatif.Range{}, Warnings: []string{}}
	fit := fitting{nic: nic, idle: float64(m.Disk.Watts(energy.Idle)), load: float64(m.Disk.Watts(energy.Sequential))}
	for j, e := range prior {
		fit.mu[j], fit.sd[j] = coordinate(j, e.Typical), math.Max(math.Abs(coordinate(j, e.High)-coordinate(j, e.Low))/4, 1e-6)
	}
	if fit.points = c.place(points, m); len(fit.points) == 0 {
		return nil, fmt.Errorf("%w: no reading can be placed: say what stands at the meter with --cluster, or --drives and --disk", ErrInput)
	}
	x, cov, err := fit.solve()
	if err != nil {
		return nil, err
	}
	for j, e := range prior {
		after := e
		sd := math.Sqrt(cov[j][j])
		a, b := figureAt(j, x[j]-2*sd), figureAt(j, x[j]+2*sd)
		after.Low, after.Typical, after.High = math.Min(a, b), figureAt(j, x[j]), math.Max(a, b)
		after.Status, after.Source = energy.Model, "calibrated"
		c.Parameters = append(c.Parameters, Parameter{parameterNames[j], e, after})
	}
	c.residual(&fit, x)
	c.inputs(m.Disk)
	c.doubts(&fit, x)
	return c, nil
}

// coordinate is where a parameter stands in the fit: the logarithm of watts and factors, and of
// the supplies' loss over what they give, so that none leaves the range in which it can be.
func coordinate(j int, v float64) float64 {
	if j == pPSU {
		v = 1/v - 1
	}
	return math.Log(v)
}

// figureAt is the reverse of coordinate.
func figureAt(j int, x float64) float64 {
	if j == pPSU {
		return 1 / (1 + math.Exp(x))
	}
	return math.Exp(x)
}

// priors are what the model assumes.
func priors(d energy.Profile) (list [pCount]whatif.Estimate, nic float64, err error) {
	r, err := whatif.Run(whatif.Scenario{StoredTB: 100, Sweep: whatif.Sweep{Schemes: []string{"replica:3"}}})
	if err != nil {
		return list, 0, err
	}
	list[pServer], list[pSlot], list[pPSU] = r.Inputs["server_w"], r.Inputs["slot_w"], r.Inputs["psu_efficiency"]
	for j, s := range map[int]energy.State{pIdle: energy.Idle, pLoad: energy.Sequential} {
		e := d.Estimate(s)
		if e.Typical <= 0 {
			return list, 0, fmt.Errorf("%w: %s draws nothing", energy.ErrProfile, d.ID)
		}
		list[j] = whatif.Estimate{Low: math.Min(e.Low/e.Typical, 0.97), Typical: 1, High: math.Max(e.High/e.Typical, 1.03), Unit: "of " + d.ID, Status: e.Status, Source: e.Source}
	}
	return list, r.Inputs["nic_w"].Typical, nil
}

// place gives each point its number of drives, and leaves out what has none.
func (c *Calibration) place(points []Point, m Machine) (list []Point) {
	byName := map[string]int{}
	if m.Found != nil {
		for _, h := range m.Found.Hosts {
			byName[h.Name] = len(h.Drives)
		}
	}
	var warn notes
	for _, p := range points {
		switch {
		case p.Drive || p.Drives > 0:
		case byName[p.Host] > 0:
			p.Drives = byName[p.Host]
		case m.Drives > 0:
			p.Drives = m.Drives
		case m.Found != nil:
			warn.add("host", "readings of servers that the cluster does not have, left out")
			continue
		default:
			warn.add("drives", "how many drives stand at the meter is not told, left out")
			continue
		}
		list = append(list, p)
	}
	for _, n := range warn {
		c.Warnings = append(c.Warnings, n.String())
	}
	return list
}

// A fitting is the problem of least squares in the coordinates of the parameters.
type fitting struct {
	points     []Point
	nic        float64
	idle, load float64
	mu, sd     [pCount]float64
}

// watts is what the model says a meter reads.
func (f *fitting) watts(p Point, x [pCount]float64) float64 {
	drive := math.Exp(x[pIdle]) * f.idle
	if p.Phase == "load" {
		drive = math.Exp(x[pLoad]) * f.load
	}
	if p.Drive {
		return drive
	}
	return (math.Exp(x[pServer]) + f.nic + float64(p.Drives)*(math.Exp(x[pSlot])+drive)) / figureAt(pPSU, x[pPSU])
}

func (f *fitting) sigma(p Point) float64 { return math.Max(p.Spread, noisePart*p.Watts) }

// cost is minus twice the logarithm of the likelihood.
func (f *fitting) cost(x [pCount]float64) (sum float64) {
	for _, p := range f.points {
		r := (p.Watts - f.watts(p, x)) / f.sigma(p)
		sum += r * r
	}
	for j := range x {
		r := (x[j] - f.mu[j]) / f.sd[j]
		sum += r * r
	}
	return sum
}

// solve goes downhill by Gauss-Newton, halving steps that go up, and returns the place and the
// covariance there.
func (f *fitting) solve() (x [pCount]float64, cov [][]float64, err error) {
	x = f.mu
	cost := f.cost(x)
	for range 100 {
		h, g := f.normal(x)
		if cov, err = invert(h); err != nil {
			return x, nil, err
		}
		var step [pCount]float64
		for i := range step {
			for j := range g {
				step[i] += cov[i][j] * g[j]
			}
		}
		next, t := x, 1.0
		for t > 1e-6 {
			for j := range next {
				next[j] = x[j] + t*step[j]
			}
			if c := f.cost(next); c < cost {
				break
			}
			t /= 2
		}
		c := f.cost(next)
		if !(c < cost-1e-10*cost) {
			break
		}
		x, cost = next, c
	}
	h, _ := f.normal(x)
	cov, err = invert(h)
	return x, cov, err
}

// normal is the curvature and the slope downhill.
func (f *fitting) normal(x [pCount]float64) (h [][]float64, g [pCount]float64) {
	h = make([][]float64, pCount)
	for i := range h {
		h[i] = make([]float64, pCount)
		h[i][i] = 1 / (f.sd[i] * f.sd[i])
		g[i] = (f.mu[i] - x[i]) / (f.sd[i] * f.sd[i])
	}
	const eps = 1e-6
	for _, p := range f.points {
		w, s := f.watts(p, x), f.sigma(p)
		var d [pCount]float64
		for j := range d {
			y := x
			y[j] += eps
			d[j] = (f.watts(p, y) - w) / eps
		}
		for i := range d {
			g[i] += d[i] * (p.Watts - w) / (s * s)
			for j := range d {
				h[i][j] += d[i] * d[j] / (s * s)
			}
		}
	}
	return h, g
}

// invert inverts a positive definite matrix by elimination with pivots.
func invert(a [][]float64) ([][]float64, error) {
	n := len(a)
	m := make([][]float64, n)
	for i := range m {
		m[i] = append(slices.Clone(a[i]), make([]float64, n)...)
		m[i][n+i] = 1
	}
	for c := range n {
		p := c
		for r := c + 1; r < n; r++ {
			if math.Abs(m[r][c]) > math.Abs(m[p][c]) {
				p = r
			}
		}
		if v := m[p][c]; v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("%w: the readings do not make a fit", ErrInput)
		}
		m[c], m[p] = m[p], m[c]
		pivot := m[c][c]
		for k := range m[c] {
			m[c][k] /= pivot
		}
		for r := range n {
			if r != c {
				f := m[r][c]
				for k := range m[r] {
					m[r][k] -= f * m[c][k]
				}
			}
		}
	}
	out := make([][]float64, n)
	for i := range out {
		out[i] = m[i][n:]
	}
	return out, nil
}

// residual keeps what the fit leaves.
func (c *Calibration) residual(f *fitting, x [pCount]float64) {
	r := Residual{N: len(f.points)}
	part := 0.0
	for i := range f.points {
		p := &f.points[i]
		p.Model = f.watts(*p, x)
		d := p.Watts - p.Model
		r.RMS += d * d
		part += d * d / (p.Watts * p.Watts)
		if w := d / p.Watts; math.Abs(w) > math.Abs(r.Worst) {
			r.Worst, r.WorstAt = w, p.Host
		}
	}
	n := float64(len(f.points))
	r.RMS, r.Part = math.Sqrt(r.RMS/n), math.Sqrt(part/n)
	c.Residual, c.Points = r, f.points
}

// inputs are the fitted figures as a scenario takes them.
func (c *Calibration) inputs(d energy.Profile) {
	for j, p := range c.Parameters {
		r := whatif.Range{Low: p.After.Low, Typical: p.After.Typical, High: p.After.High}
		switch j {
		case pServer, pSlot, pPSU:
			c.Inputs[p.Name] = r
		case pIdle:
			if b := d.Basis(energy.Idle); b.RatioID == "" {
				w := b.Own.Typical
				c.Inputs[b.OwnID] = whatif.Range{Low: r.Low * w, Typical: r.Typical * w, High: r.High * w}
			}
		}
	}
}

// doubts are readings that the model can hardly explain.
func (c *Calibration) doubts(f *fitting, x [pCount]float64) {
	for _, p := range f.points {
		before := f.watts(p, f.mu)
		switch r := p.Watts / before; {
		case r > 1.6 && r < 2.4 && !p.Drive:
			c.Warnings = append(c.Warnings, fmt.Sprintf("%s reads %.1f times the model: are two servers, or both supplies twice, at the meter?", or(p.Host, "a meter"), r))
		case r > 3 || r < 1/3.0:
			c.Warnings = append(c.Warnings, fmt.Sprintf("%s reads %.2g times the model: is it watts, and of this machine alone?", or(p.Host, "a meter"), r))
		}
	}
	if c.Residual.Part > 0.15 {
		c.Warnings = append(c.Warnings, fmt.Sprintf("the fit leaves %.0f %% of the watts: the machines differ in more than their number of drives", 100*c.Residual.Part))
	}
	for j, p := range c.Parameters {
		if z := math.Abs(x[j]-f.mu[j]) / f.sd[j]; z > 2.5 {
			c.Warnings = append(c.Warnings, fmt.Sprintf("%s went from %s to %s, beyond what was thought plausible", p.Name, energy.Four(p.Before.Typical), energy.Four(p.After.Typical)))
		}
	}
	drives := map[int]bool{}
	for _, p := range f.points {
		drives[p.Drives] = true
	}
	if len(drives) < 2 {
		c.Warnings = append(c.Warnings, "all meters have as many drives: what is the server's and what the drives' rests on what was assumed; measure one without drives")
	}
}
