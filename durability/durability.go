// Package durability says how likely stored bytes are to be lost, and what is not known about it.
//
// What a scheme on a topology loses in a year is given as three figures, never as one: by
// independent failures of disks; with bursts (many disks at once); with disasters of whole
// sites. The headline of each is NOMDL, the expected share of the stored bytes lost in a year,
// and its nines, −log10 of it. The probability that anything at all is lost stands apart.
//
// # Exact
//
// Exponential lifetimes and repairs make a Markov chain: Chain is a line of losses, Markov a
// general one. They are solved with additions, multiplications and divisions of positive
// numbers alone, so that a probability of 1e-50 has as many sound digits as one of 0.5;
// nothing is ever computed as 1 minus something near 1. Sources: uniformisation (Jensen
// 1953) and elimination without subtraction (Grassmann, Taksar and Heyman 1985).
//
// # Simulated
//
// Ages, shared repair bandwidth and the like have no exact answer. They are simulated with
// rare-event methods, and every result carries its evidence: an interval, the hits it rests
// on, and the exact figure of the nearest Markov chain.
//
// Rates are per hour, times are in hours, a year has 8,766 of them, sizes are in bytes,
// unless a name says otherwise.
package durability

import (
	"errors"
	"fmt"
	"math"
)

// YearHours is the length of a year.
const YearHours = 8766.0

// MaxNines stands for all that a float64 cannot tell from no loss at all.
const MaxNines = 300.0

// ErrInput is the error of figures that cannot be.
var ErrInput = errors.New("bad durability input")

func inputf(format string, a ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInput}, a...)...)
}

// Nines is −log10 of a probability of loss: 0 for a sure one, at most MaxNines.
func Nines(p float64) float64 {
	if p >= 1 {
		return 0
	}
	if p <= math.Pow(10, -MaxNines) {
		return MaxNines
	}
	return -math.Log10(p)
}

// An AFR is an annual failure rate. As a rate it counts failures in a drive-year, as drive
// statistics do; as a probability it is the chance that a drive fails within a year.
type AFR struct {
	Value       float64
	Probability bool
}

// PerHour is the failure rate of a drive of constant hazard.
func (a AFR) PerHour() (float64, error) {
	switch v := a.Value; {
	case math.IsNaN(v) || math.IsInf(v, 0) || v <= 0:
		return 0, inputf("AFR %v: want more than 0, for example 0.015 for 1.5 %% a year", v)
	case a.Probability && v >= 1:
		return 0, inputf("AFR %v as a probability: want less than 1; percents are written 0.015 or 1.5%%", v)
	case !a.Probability && v > maxAFR:
		return 0, inputf("AFR %v as a rate: want at most %v failure in a drive-year; percents are written 0.015 or 1.5%%", v, maxAFR)
	case a.Probability:
		return -math.Log1p(-v) / YearHours, nil
	default:
		return v / YearHours, nil
	}
}

const maxAFR = 1.0

// AnyOf is the probability that at least one of count independent events of probability p happens.
func AnyOf(p, count float64) float64 {
	if p >= 1 {
		return 1
	}
	return -math.Expm1(count * math.Log1p(-p))
}

// positive refuses what is not a finite number over 0.
func positive(name string, v float64) error {
	if math.IsNaN(v) || math.IsInf(v, 0) || v <= 0 {
		return inputf("%s %v: want a finite number more than 0", name, v)
	}
	return nil
}

// notNegative refuses what is not a finite number of 0 or more.
func notNegative(name string, v float64) error {
	if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
		return inputf("%s %v: want a finite number of 0 or more", name, v)
	}
	return nil
}

// MaxShards is the largest number of shards of a stripe.
const MaxShards = 255

func shards(n, m int) error {
	if n < 1 || n > MaxShards || m < 0 || m >= n {
		return inputf("%d shards of which %d may be lost: want 1 to %d shards and fewer losses than shards", n, m, MaxShards)
	}
	return nil
}
