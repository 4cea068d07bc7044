package energy

import (
	"fmt"
	"math"
	"strconv"
)

// A Status says where a figure comes from.
type Status string

// The statuses, from the firmest to the weakest.
const (
	Input     Status = "input"     // given by the user
	Datasheet Status = "datasheet" // read in a document that the source names
	Model     Status = "model"     // computed, or taken from drives of the same class
	Default   Status = "default"   // assumed, since nothing better was given
	Claim     Status = "claim"     // said in an article, taken as given
	Recalled  Status = "recalled"  // remembered without a document at hand
)

// An Estimate is a figure between plausible extremes. Source is an id or a title.
type Estimate struct {
	Low, Typical, High float64
	Unit               string
	Status             Status
	Source             string
}

// Point returns an estimate without width.
func Point(v float64, unit string, status Status, source string) Estimate {
	return Estimate{v, v, v, unit, status, source}
}

// Around returns v with the band v·(1−part) to v·(1+part).
func Around(v, part float64, unit string, status Status, source string) Estimate {
	return Estimate{v * (1 - part), v, v * (1 + part), unit, status, source}
}

// Contains reports whether v lies in the band.
func (e Estimate) Contains(v float64) bool { return e.Low <= v && v <= e.High }

// Validate tells why an estimate cannot be, if so.
func (e Estimate) Validate() error {
	for _, v := range []float64{e.Low, e.Typical, e.High} {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("%v is not a number", v)
		}
	}
	if e.Low > e.Typical || e.Typical > e.High {
		return fmt.Errorf("low %s, typical %s, high %s: want low ≤ typical ≤ high", Four(e.Low), Four(e.Typical), Four(e.High))
	}
	return nil
}

// String is the typical figure with its band, to four digits.
func (e Estimate) String() string {
	s := Four(e.Typical)
	if Four(e.Low) != s || Four(e.High) != s {
		s += fmt.Sprintf(" (%s–%s)", Four(e.Low), Four(e.High))
	}
	if e.Unit != "" {
		s += " " + e.Unit
	}
	return s
}

// MarshalJSON writes twelve digits, on which every machine agrees.
func (e Estimate) MarshalJSON() ([]byte, error) {
	b := append(make([]byte, 0, 96), `{"low":`...)
	b = AppendNumber(b, e.Low)
	b = AppendNumber(append(b, `,"typical":`...), e.Typical)
	b = AppendNumber(append(b, `,"high":`...), e.High)
	b = strconv.AppendQuote(append(b, `,"unit":`...), e.Unit)
	b = strconv.AppendQuote(append(b, `,"status":`...), string(e.Status))
	b = strconv.AppendQuote(append(b, `,"source":`...), e.Source)
	return append(b, '}'), nil
}

// AppendNumber appends v as JSON with twelve digits; what JSON cannot hold becomes null.
func AppendNumber(b []byte, v float64) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(b, "null"...)
	}
	v, _ = strconv.ParseFloat(strconv.FormatFloat(v, 'g', 12, 64), 64)
	return strconv.AppendFloat(b, v, 'g', -1, 64)
}
