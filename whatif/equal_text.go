package whatif

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/wattle-storage/wattle/durability"
)

// Asked says the targets in a sentence.
func (c Comparison) Asked() string {
	t := c.Targets
	var asks []string
	if t.Nines > 0 {
		asks = append(asks, fmt.Sprintf("%s nines a year by disks and bursts", short(t.Nines)))
	}
	if t.DisasterNines > 0 {
		asks = append(asks, fmt.Sprintf("%s with disasters of sites", short(t.DisasterNines)))
	}
	asks = append(asks, "surviving "+t.Survive.String())
	afr := c.afr()
	return fmt.Sprintf("asked, at an AFR of %.3g %%: %s; %d schemes over %s sites survive it, %s meet it all",
		100*afr.High, strings.Join(asks, ", "), c.Considered, strings.Trim(strings.ReplaceAll(fmt.Sprint(c.Sites), " ", " or "), "[]"), numbered(len(c.Qualifying)))
}

func numbered(n int) string {
	if n == 0 {
		return "none"
	}
	return fmt.Sprint(n)
}

func (c Comparison) afr() durability.Band {
	for _, list := range [][]Qualified{c.Qualifying, c.Twins} {
		if len(list) > 0 {
			return list[0].system.WithDefaults().AFR
		}
	}
	if c.Best != nil {
		return c.Best.system.WithDefaults().AFR
	}
	return durability.DefaultAFR
}

// Reading says how the figures are meant.
func (c Comparison) Reading() string {
	return fmt.Sprintf("Boundary %s. Nines are −log10 of the share of the stored bytes lost in a year, at the high AFR; disasters at their typical rate. Bands of watts are [low–high]; ratios are of W per stored TB, to copies that survive as much and lose no more (as safe), and to a copy less. Those copies are listed too, whether they meet the targets or not. Not in the nines: %s.",
		c.Report.Boundary, strings.Join(durability.NotCovered, "; "))
}

// Rank orders what qualifies by watts, kwh, co2e, eur, nines or raw.
func (c *Comparison) Rank(by string) error {
	of := func(e *Estimate) float64 {
		if e == nil {
			return math.Inf(1)
		}
		return e.Typical
	}
	keys := map[string]func(Qualified) float64{
		"watts": func(q Qualified) float64 { return q.Option.WPerStoredTB.Typical },
		"kwh":   func(q Qualified) float64 { return q.Option.KWhPerYear.Typical },
		"co2e":  func(q Qualified) float64 { return of(q.Option.KgLocation) },
		"eur":   func(q Qualified) float64 { return of(q.Option.EUREnergy) },
		"nines": func(q Qualified) float64 { return -q.DisasterNines },
		"raw":   func(q Qualified) float64 { return q.Option.RawTB },
	}
	key, ok := keys[by]
	if !ok {
		return fmt.Errorf("%q: want watts, kwh, co2e, eur, nines or raw", clip(by))
	}
	if by == "eur" && len(c.Qualifying) > 0 && c.Qualifying[0].Option.EUREnergy == nil {
		return fmt.Errorf("eur: no price was given (--price-kwh)")
	}
	slices.SortStableFunc(c.Qualifying, func(a, b Qualified) int {
		return cmp.Or(cmp.Compare(key(a), key(b)), cmp.Compare(b.DisasterNines, a.DisasterNines), cmp.Compare(b.Nines, a.Nines))
	})
	return nil
}

//go:embed equal.html
var equalHTML string

// HTML writes a page that opens offline: what was asked, the Pareto front, the table.
func (c Comparison) HTML(w io.Writer) error {
	t, err := template.New("equal").Funcs(template.FuncMap{
		"short": Short, "ptr": shortPtr, "nines": func(v float64) string { return fmt.Sprintf("%.1f", v) }, "raw": func(o Option) string { return fmt.Sprintf("%.2f×", o.RawTB*(1-o.Reserve)/o.UsableTB) },
	}).Parse(equalHTML)
	if err != nil {
		return err
	}
	return t.Execute(w, struct {
		Comparison
		Chart frontChart
	}{c, c.frontChart()})
}

// A frontChart is the front as points in a picture of Width by Height.
type frontChart struct {
	Width, Height            int
	Left, Right, Top, Bottom float64
	XTicks, YTicks           []frontTick
	Points                   []frontDot
	Line                     string
	Target                   float64 // y of the target for disasters, or 0
}

type frontTick struct {
	At    float64
	Label string
}

type frontDot struct {
	X, Y         float64
	Class, Label string
	Name         string // beside the dot, on the front
}

// frontChart lays the options out: watts to the right, nines with disasters upwards.
func (c Comparison) frontChart() frontChart {
	p := frontChart{Width: 860, Height: 460, Left: 60, Right: 840, Top: 20, Bottom: 410}
	minW, maxW, minN, maxN := math.Inf(1), math.Inf(-1), 0.0, math.Ceil(c.Targets.DisasterNines)
	for _, f := range c.Front {
		minW, maxW, maxN = math.Min(minW, f.WPerStoredTB), math.Max(maxW, f.WPerStoredTB), math.Max(maxN, f.DisasterNines)
	}
	if len(c.Front) == 0 {
		return p
	}
	minW, maxW, maxN = math.Max(0, minW-(maxW-minW)*0.08), maxW+(maxW-minW)*0.08+1e-9, math.Min(maxN*1.08+0.5, 40)
	x := func(v float64) float64 { return p.Left + (v-minW)/(maxW-minW)*(p.Right-p.Left) }
	y := func(v float64) float64 { return p.Bottom - (math.Min(v, maxN)-minN)/(maxN-minN)*(p.Bottom-p.Top) }
	for _, v := range frontTicks(minW, maxW) {
		p.XTicks = append(p.XTicks, frontTick{x(v), short(v)})
	}
	for _, v := range frontTicks(minN, maxN) {
		p.YTicks = append(p.YTicks, frontTick{y(v), short(v)})
	}
	var line []string
	for _, f := range c.Front {
		d := frontDot{X: x(f.WPerStoredTB), Y: y(f.DisasterNines), Class: "misses", Label: fmt.Sprintf("%s over %d sites on %s: %s W per stored TB, %.1f nines, %.1f with disasters", f.Scheme, f.Sites, f.Disk, short(f.WPerStoredTB), f.Nines, f.DisasterNines)}
		if f.Meets {
			d.Class = "meets"
		}
		if f.OnFront {
			d.Class += " front"
			if len(c.Sites) == 1 {
				d.Name = f.Scheme
			} else {
				d.Name = fmt.Sprintf("%s/%d", f.Scheme, f.Sites)
			}
			line = append(line, fmt.Sprintf("%.1f,%.1f", d.X, d.Y))
		}
		p.Points = append(p.Points, d)
	}
	p.thinNames()
	p.Line = strings.Join(line, " ")
	if c.Targets.DisasterNines > 0 {
		p.Target = y(c.Targets.DisasterNines)
	}
	return p
}

// thinNames leaves out names that would lie on others, or over the edge.
func (p *frontChart) thinNames() {
	type box struct{ left, right, y float64 }
	var taken []box
	for i := range p.Points {
		d := &p.Points[i]
		if d.Name == "" {
			continue
		}
		b := box{d.X - 12 - 7.5*float64(len(d.Name)), d.X, d.Y}
		if b.left < p.Left || slices.ContainsFunc(taken, func(o box) bool { return math.Abs(o.y-b.y) < 14 && b.left < o.right && o.left < b.right }) {
			d.Name = ""
			continue
		}
		taken = append(taken, b)
	}
}

// frontTicks are about six round figures between two.
func frontTicks(low, high float64) []float64 {
	step := math.Pow(10, math.Floor(math.Log10((high-low)/6)))
	for _, f := range []float64{1, 2, 5, 10} {
		if (high-low)/(step*f) <= 10 {
			step *= f
			break
		}
	}
	var list []float64
	for v := math.Ceil(low/step) * step; v <= high+step*1e-9; v += step {
		list = append(list, math.Round(v/step)*step)
	}
	return list
}
