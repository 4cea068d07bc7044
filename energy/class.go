package energy

import (
	"fmt"
	"math"
	"slices"
	"sync"
)

// Bands of published figures. Two copies of one drive's sheet differ by up to 8 % (ES.3 4 TB
// by SATA 7.40 W idle, by SAS 7.97 W; Hs14 6.2 and 6.4 W), so 10 % covers what was read.
const (
	datasheetBand = 0.10
	recalledBand  = 0.20
)

// given returns the figure of a state that the profile itself holds, or 0.
func (p Profile) given(s State) float64 {
	return [states]float64{p.IdleW, p.ActiveW, p.StandbyW, 0, p.IdleAW, p.IdleBW, p.IdleCW,
		p.ActiveWriteW, p.SeqW, p.SeqWriteW, p.SpinUpW}[s]
}

// Watts is the typical draw in a state.
func (p Profile) Watts(s State) Watts { return Watts(p.Estimate(s).Typical) }

// Estimate is the draw in a state. A state that the profile lacks is one it has times the
// ratio of the two in drives of its class, the band being that of the ratios.
func (p Profile) Estimate(s State) Estimate {
	if s == Off {
		return Point(0, "W", Model, "no power")
	}
	if w := p.given(s); w > 0 {
		return p.published(w)
	}
	if p.Technology == "ssd" && s != Active && s != RandomWrite && s != Sequential && s != SequentialWrite && p.IdleW > 0 {
		return Around(p.IdleW, recalledBand, "W", Model, p.ID+": an SSD has no platters to stop: as idle")
	}
	for _, from := range []State{Idle, Active, Sequential, Standby} {
		if w := p.given(from); w > 0 {
			return p.scaled(w, ratio(p.Technology, s, from), s, from.String())
		}
	}
	if p.MeanW > 0 { // a year's mean is taken as idle with a little work
		return p.scaled(p.MeanW, ratio(p.Technology, s, Idle), s, "mean")
	}
	return ratio(p.Technology, s, Off)
}

func (p Profile) published(w float64) Estimate {
	switch p.Status {
	case Claim:
		return Point(w, "W", Input, p.Source)
	case Recalled:
		return Around(w, recalledBand, "W", Default, p.ID)
	case Input:
		return Around(w, datasheetBand, "W", Input, p.ID)
	}
	return Around(w, datasheetBand, "W", Datasheet, p.ID)
}

func (p Profile) scaled(w float64, r Estimate, s State, from string) Estimate {
	lo, hi := 1-datasheetBand, 1+datasheetBand
	return Estimate{w * r.Low * lo, w * r.Typical, w * r.High * hi, "W", Model,
		fmt.Sprintf("%s: %s of class %s by its %s watts", p.ID, s, p.Technology, from)}
}

type ratioKey struct {
	technology string
	to, from   State
}

var ratios sync.Map // of ratioKey to Estimate

// ratio is the ratio of the watts in two states over the verified drives of a technology,
// or of all disks (all drives at last) when fewer than two of it give both: the geometric
// mean, and the extremes. From Off it is the watts themselves.
func ratio(technology string, to, from State) Estimate {
	key := ratioKey{technology, to, from}
	if e, ok := ratios.Load(key); ok {
		return e.(Estimate)
	}
	turning := func(p Profile) bool { return p.Kind == "hdd" }
	if technology == "ssd" {
		turning = func(p Profile) bool { return p.Kind == "ssd" }
	}
	var list []float64
	for _, class := range []func(Profile) bool{
		func(p Profile) bool { return p.Technology == technology },
		turning,
		func(Profile) bool { return true },
	} {
		list = list[:0]
		for _, p := range Profiles() {
			if a, b := p.given(to), p.given(from); class(p) && p.Status == Datasheet && a > 0 && (b > 0 || from == Off) {
				if from == Off {
					b = 1
				}
				list = append(list, a/b)
			}
		}
		if len(list) >= 2 {
			break
		}
	}
	e := spread(list, technology)
	if to == from {
		e = Point(1, "", Model, "class "+technology)
	}
	ratios.Store(key, e)
	return e
}

// spread is the geometric mean and the extremes of a list.
func spread(list []float64, technology string) Estimate {
	if len(list) == 0 {
		return Estimate{0.5, 1, 2, "", Model, "class " + technology + ": no drive gives both"}
	}
	sum := 0.0
	for _, v := range list {
		sum += math.Log(v)
	}
	lo, hi := slices.Min(list), slices.Max(list)
	return Estimate{lo, min(max(math.Exp(sum/float64(len(list))), lo), hi), hi, "", Model, "class " + technology}
}
