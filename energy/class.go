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

// A Basis is how the watts of a state are known: a figure of the drive, times a ratio of its
// class where that figure is of another state. Two drives of a class share the ratio.
type Basis struct {
	OwnID   string // identity of the drive's figure
	Own     Estimate
	From    State  // the state that Own is of
	RatioID string // "" when the state itself is known
	Ratio   Estimate
}

// Estimate is the product.
func (b Basis) Estimate() Estimate {
	if b.RatioID == "" {
		return b.Own
	}
	return Estimate{b.Own.Low * b.Ratio.Low, b.Own.Typical * b.Ratio.Typical, b.Own.High * b.Ratio.High, "W", Model,
		b.OwnID + " by " + b.RatioID}
}

// Estimate is the draw in a state. A state that the profile lacks is one it has times the
// ratio of the two in drives of its class, the band being that of the ratios.
func (p Profile) Estimate(s State) Estimate {
	if s == Off {
		return Point(0, "W", Model, "no power")
	}
	return p.Basis(s).Estimate()
}

// Basis tells how the watts of a state, Off excepted, are known.
func (p Profile) Basis(s State) Basis {
	if w := p.given(s); w > 0 {
		return Basis{OwnID: p.ID + "/" + s.String(), Own: p.published(w), From: s}
	}
	for _, from := range []State{Idle, Active, Sequential, Standby} {
		if w := p.given(from); w > 0 {
			return p.scaled(p.published(w), from, from.String(), s)
		}
	}
	if p.MeanW > 0 { // a year's mean is taken as idle with a little work
		return p.scaled(p.published(p.MeanW), Idle, "mean", s)
	}
	e := ratio(p.Technology, s, Off)
	e.Unit = "W"
	return Basis{OwnID: "class/" + p.Technology + "/" + s.String(), Own: e, From: s}
}

func (p Profile) scaled(own Estimate, from State, name string, to State) Basis {
	b := Basis{OwnID: p.ID + "/" + name, Own: own, From: from}
	if to != from || name != from.String() {
		b.RatioID = fmt.Sprintf("class/%s/%s:%s", p.Technology, to, from)
		b.Ratio = ratio(p.Technology, to, from)
	}
	return b
}

func (p Profile) published(w float64) Estimate {
	if p.Band > 0 {
		return Around(w, p.Band, "W", Model, p.SourceID)
	}
	switch p.Status {
	case Claim:
		return Point(w, "W", Claim, p.SourceID)
	case Recalled:
		return Around(w, recalledBand, "W", Recalled, p.SourceID)
	case Input:
		return Point(w, "W", Input, p.SourceID)
	}
	return Around(w, datasheetBand, "W", Datasheet, p.SourceID)
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
	if resting := to == Idle || to == Standby || to >= IdleA && to <= IdleC; technology == "ssd" && resting && from != Off && from != Active && from != Sequential {
		e := Around(1, recalledBand, "", Model, "class ssd: no platters to stop, as idle")
		ratios.Store(key, e)
		return e
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
		e = Around(1, datasheetBand, "", Model, "class "+technology)
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
	if lo == hi {
		lo, hi = lo*(1-recalledBand), hi*(1+recalledBand)
	}
	return Estimate{lo, min(max(math.Exp(sum/float64(len(list))), lo), hi), hi, "", Model, "class " + technology}
}
