package whatif

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// A chart is lines over years, in a frame of 480 by 240.
type chart struct {
	Lines  []chartLine
	Ticks  []tick // of watts
	Years  []tick
	Legend []legend
}

type chartLine struct{ Points, Class, Name string }

type tick struct {
	At   float64
	Text string
}

// The frame of charts, in units of their view box.
const (
	chartLeft, chartRight = 62.0, 470.0
	chartTop, chartBottom = 10.0, 210.0
	mostLines             = 5
	heatLeft, heatTop     = 44.0, 6.0
	heatWidth, heatHeight = 8.0, 7.0
	weeksOfYear           = 53
)

// growthChart shows the baseline, the best option and the next ones.
func (r *Report) growthChart() *chart {
	list := []Option{r.Baseline}
	byWatts := slices.Clone(r.Options)
	slices.SortStableFunc(byWatts, func(a, b Option) int { return int(math.Copysign(1, a.WPerStoredTB.Typical-b.WPerStoredTB.Typical)) })
	if r.Advice != nil {
		if best := r.option(r.Advice.Best); best != nil && best.Name != r.Baseline.Name {
			list = append(list, *best)
		}
	}
	for _, o := range byWatts {
		if len(list) < mostLines && !o.BelowSurvive && !slices.ContainsFunc(list, func(x Option) bool { return x.Name == o.Name }) {
			list = append(list, o)
		}
	}
	years := len(r.Baseline.Growth) - 1
	if years < 1 {
		return nil
	}
	top := 0.0
	for _, o := range list {
		for _, g := range o.Growth {
			top = math.Max(top, g.Watts)
		}
	}
	c := &chart{}
	x := func(year int) float64 { return chartLeft + (chartRight-chartLeft)*float64(year)/float64(years) }
	y := func(w float64) float64 { return chartBottom - (chartBottom-chartTop)*w/top }
	for i, o := range list {
		var points []string
		for _, g := range o.Growth {
			points = append(points, fmt.Sprintf("%.1f,%.1f", x(g.Year), y(g.Watts)))
		}
		class := fmt.Sprintf("line%d", i)
		c.Lines = append(c.Lines, chartLine{strings.Join(points, " "), class, o.Name})
		c.Legend = append(c.Legend, legend{o.Name, class})
	}
	for _, v := range ticks(top / 1000) {
		c.Ticks = append(c.Ticks, tick{y(v * 1000), short(v) + " kW"})
	}
	for year := 0; year <= years; year += max(1, years/5) {
		c.Years = append(c.Years, tick{x(year), fmt.Sprint(year)})
	}
	return c
}

// ticks are three to six round figures from 0 to a top.
func ticks(top float64) (list []float64) {
	step := math.Pow(10, math.Floor(math.Log10(top)))
	for _, f := range []float64{0.2, 0.5, 1} {
		if top/(step*f) <= 6 {
			step *= f
			break
		}
	}
	for v := 0.0; v <= top*(1+1e-9); v += step {
		list = append(list, v)
	}
	return list
}

// A heat is the hourly PUE of a year, a cell for each hour of the day and week of the year.
type heat struct {
	Cells     []heatCell
	Low, High string
	Hours     []tick
	Weeks     []tick
	W, H      float64
}

type heatCell struct {
	X, Y    float64
	Opacity string
	Hover   string
}

// heatMap is of the first site with hourly temperatures.
func (r *Report) heatMap() *heat {
	w := r.weather
	if w == nil {
		return nil
	}
	sum, n := [weeksOfYear][24]float64{}, [weeksOfYear][24]float64{}
	for i, load := range w.Loads {
		week, hour := min(i/24/7, weeksOfYear-1), i%24
		sum[week][hour] += r.pueAt(load)
		n[week][hour]++
	}
	low, high := r.pueAt(0), r.pueAt(1)
	h := &heat{Low: short(low), High: short(high), W: heatWidth, H: heatHeight}
	for week := range weeksOfYear {
		for hour := range 24 {
			if n[week][hour] == 0 {
				continue
			}
			pue := sum[week][hour] / n[week][hour]
			part := 0.0
			if high > low {
				part = (pue - low) / (high - low)
			}
			h.Cells = append(h.Cells, heatCell{heatLeft + heatWidth*float64(week), heatTop + heatHeight*float64(hour), fmt.Sprintf("%.2f", part), fmt.Sprintf("week %d, %d h: PUE %.3f", week+1, hour, pue)})
		}
	}
	for hour := 0; hour < 24; hour += 6 {
		h.Hours = append(h.Hours, tick{heatTop + heatHeight*(float64(hour)+1), fmt.Sprintf("%d h", hour)})
	}
	for week := 0; week < 52; week += 13 {
		h.Weeks = append(h.Weeks, tick{heatLeft + heatWidth*float64(week), fmt.Sprintf("week %d", week+1)})
	}
	return h
}
