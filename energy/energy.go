// Package energy turns drives into watts, and watts into joules.
//
// Every figure is an Estimate: low, typical and high, with a unit, a status (input,
// datasheet, model or default) and a source. A Profile holds what was published of a kind of
// drive. A figure read in a named document is verified; one recalled without a document
// serves only who asks for that profile by name. A state that nobody published comes from
// the drives of the same class, with status model and a wider band, and is never 0.
//
// Quantities are float64 in SI base units; terabytes are decimal.
package energy

import (
	"math"
	"strconv"
	"time"
)

// Watts is a rate of energy use.
type Watts float64

// Joules is an amount of energy; a kilowatt-hour is 3.6e6 J.
type Joules float64

// Year is the year of annual figures, 8,766 hours.
const Year = 8766 * time.Hour

// YearHours is Year in hours.
const YearHours = 8766.0

// Over returns the energy used by drawing w for d.
func (w Watts) Over(d time.Duration) Joules { return Joules(float64(w) * d.Seconds()) }

// KWhPerYear returns the energy of a year at w.
func (w Watts) KWhPerYear() float64 { return float64(w) * YearHours / 1000 }

// PerTB returns w for each terabyte of bytes, and 0 when there are none.
func (w Watts) PerTB(bytes int64) float64 {
	if bytes <= 0 {
		return 0
	}
	return float64(w) / (float64(bytes) / 1e12)
}

// FromKWh returns an amount given in kilowatt-hours.
func FromKWh(kwh float64) Joules { return Joules(kwh * 3.6e6) }

// KWh returns the energy in kilowatt-hours.
func (j Joules) KWh() float64 { return float64(j) / 3.6e6 }

// Mean returns the rate that uses j in d.
func (j Joules) Mean(d time.Duration) Watts { return Watts(float64(j) / d.Seconds()) }

func (w Watts) String() string  { return Four(float64(w)) + " W" }
func (j Joules) String() string { return Four(float64(j)) + " J" }

// Four rounds to four significant digits, so that output agrees on every machine.
func Four(v float64) string {
	if v == 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	digits := max(0, 3-int(math.Floor(math.Log10(math.Abs(v)))))
	return strconv.FormatFloat(v, 'f', min(digits, 6), 64)
}
