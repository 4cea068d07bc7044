package energy

import (
	"bufio"
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Cooling is how a facility rejects heat. The figures are kilowatts for each kilowatt of the
// IT.
type Cooling struct {
	Supply, Approach float64 // °C of the cold aisle; kelvin by which the air outside must be cooler
	Return           float64 // °C of the hot aisle; default 9 K above Supply
	Compressor       float64 // when it carries the full load
	Fans             float64 // economiser, fans and pumps, always
	Other            float64 // all that is neither IT nor cooling
}

// Air is what a year of temperatures does to a facility.
type Air struct {
	Hours           int
	Free            int     // hours without compressor
	Partial         int     // hours in which the air outside carries a part
	Full            int     // hours with the compressor at full load
	Load            float64 // mean part of the compressor's full load
	PUE             float64
	PUEWithout      float64 // were there no free cooling
	SavedOfCooling  float64 // part of the cooling's bill that free cooling saves
	SavedOfFacility float64 // part of the facility's bill
}

// Load is the part of the heat that the compressor must carry at a temperature outside: none
// up to Supply − Approach, all from Return − Approach on, in between in proportion.
func (c Cooling) Load(outside float64) float64 {
	ret := c.Return
	if ret == 0 {
		ret = c.Supply + 9
	}
	free, full := c.Supply-c.Approach, ret-c.Approach
	if outside <= free {
		return 0
	}
	if outside >= full {
		return 1
	}
	return (outside - free) / (full - free)
}

// PUE is the PUE at a compressor load of 0 to 1.
func (c Cooling) PUE(load float64) float64 { return 1 + c.Other + c.Fans + c.Compressor*load }

// Over applies the cooling to hourly temperatures.
func (c Cooling) Over(hourly []float64) (Air, error) {
	if err := c.Validate(); err != nil {
		return Air{}, err
	}
	if len(hourly) == 0 {
		return Air{}, fmt.Errorf("%w: no temperatures", ErrFacility)
	}
	a := Air{Hours: len(hourly)}
	for _, t := range hourly {
		load := c.Load(t)
		a.Load += load
		switch load {
		case 0:
			a.Free++
		case 1:
			a.Full++
		default:
			a.Partial++
		}
	}
	a.Load /= float64(a.Hours)
	a.PUE, a.PUEWithout = c.PUE(a.Load), c.PUE(1)
	if all := c.Fans + c.Compressor; all > 0 {
		a.SavedOfCooling = c.Compressor * (1 - a.Load) / all
	}
	a.SavedOfFacility = 1 - a.PUE/a.PUEWithout
	return a, nil
}

// Validate tells why a cooling cannot be, if so.
func (c Cooling) Validate() error {
	for _, f := range []struct {
		name          string
		v, low, above float64
	}{
		{"supply °C", c.Supply, -10, 60}, {"approach K", c.Approach, 0, 40}, {"return °C", c.Return, -10, 80},
		{"compressor", c.Compressor, 0, 5}, {"fans", c.Fans, 0, 5}, {"other", c.Other, 0, 5},
	} {
		if math.IsNaN(f.v) || f.v < f.low || f.v > f.above {
			return fmt.Errorf("%w: %s %v: want %v to %v", ErrFacility, f.name, f.v, f.low, f.above)
		}
	}
	if c.Return != 0 && c.Return <= c.Supply {
		return fmt.Errorf("%w: return %v °C is not above supply %v °C", ErrFacility, c.Return, c.Supply)
	}
	return nil
}

// HoursUpTo counts the hours at a temperature or below.
func HoursUpTo(hourly []float64, top float64) (n int) {
	for _, t := range hourly {
		if t <= top {
			n++
		}
	}
	return n
}

// An Envelope is a range of temperatures at the inlet of machines, in °C.
type Envelope struct {
	Name      string
	Low, High float64
	Recalled  bool // remembered, not read: for orientation
}

// ASHRAE lists the envelopes.
var ASHRAE = []Envelope{{"recommended", 18, 27, false}, {"A1", 15, 32, true}, {"A2", 10, 35, false}, {"A3", 5, 40, true}, {"A4", 5, 45, true}}

var monthDays = [12]int{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

// Months counts those with at least a number of days whose highest temperature stays below
// a limit, in 8,760 hourly temperatures.
func Months(hourly []float64, limit float64, days int) (n int) {
	h := 0
	for _, length := range monthDays {
		cool := 0
		for range length {
			top := math.Inf(-1)
			for range 24 {
				if h < len(hourly) {
					top = math.Max(top, hourly[h])
				}
				h++
			}
			if top < limit {
				cool++
			}
		}
		if cool >= days {
			n++
		}
	}
	return n
}

// SyntheticYear makes 8,760 hourly temperatures of monthly means, of the mean swing from a
// day's mean to its highest hour, and of the standard deviation of daily means within a
// month. It is no forecast: the days of a month take the quantiles of a normal distribution
// in a fixed, mixed order, so that the same figures give the same year.
func SyntheticYear(means, swing [12]float64, deviation float64) []float64 {
	year := make([]float64, 0, 8760)
	for m, days := range monthDays {
		for d := range days {
			mean := between(means, m, float64(d)+0.5, float64(days))
			_, q := math.Modf((float64(d) + 0.5) * math.Phi)
			mean += deviation * math.Sqrt2 * math.Erfinv(2*q-1)
			for h := range 24 {
				year = append(year, mean+swing[m]*math.Cos(2*math.Pi*float64(h-15)/24))
			}
		}
	}
	return year
}

// between runs from month to month so that the mean of each stays near its own.
func between(means [12]float64, m int, day, days float64) float64 {
	other, part := (m+1)%12, day/days-0.5
	if part < 0 {
		other, part = (m+11)%12, -part
	}
	return means[m] + (means[other]-means[m])*part
}

// ReadTemperatures reads 8,760 (or, in a leap year, 8,784) hourly temperatures in °C: an EPW
// weather file, or CSV whose last column they are, with or without a header. Errors name the
// line.
func ReadTemperatures(text []byte) ([]float64, error) {
	column, skip := -1, 0
	if bytes.HasPrefix(text, []byte("LOCATION,")) {
		column, skip = 6, 8
	}
	var year []float64
	scan := bufio.NewScanner(bytes.NewReader(text))
	for line := 1; scan.Scan(); line++ {
		row := strings.TrimSpace(scan.Text())
		if line <= skip || row == "" || strings.HasPrefix(row, "#") {
			continue
		}
		cells := strings.FieldsFunc(row, func(r rune) bool { return r == ',' || r == ';' || r == '\t' })
		at := column
		if at < 0 {
			at = len(cells) - 1
		}
		if at < 0 || at >= len(cells) {
			return nil, fmt.Errorf("%w: line %d: no temperature in %q", ErrFacility, line, clip(row))
		}
		t, err := strconv.ParseFloat(strings.TrimSpace(cells[at]), 64)
		if err != nil {
			if line == 1 {
				continue // a header
			}
			return nil, fmt.Errorf("%w: line %d: %q is not a temperature; fill gaps before", ErrFacility, line, clip(cells[at]))
		}
		if err := plausible(t); err != nil {
			return nil, fmt.Errorf("%w: line %d: %v", ErrFacility, line, err)
		}
		year = append(year, t)
	}
	if err := scan.Err(); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrFacility, err)
	}
	return year, WholeYear(year)
}

func clip(s string) string { return s[:min(len(s), 40)] }

func plausible(t float64) error {
	switch {
	case t > 200 && t < 340:
		return fmt.Errorf("%v looks like kelvin: want °C", t)
	case t > 60 && t < 130:
		return fmt.Errorf("%v looks like Fahrenheit: want °C", t)
	case !(t >= -80 && t <= 60):
		return fmt.Errorf("%v °C is not the air of this planet; EPW writes 99.9 for a gap", t)
	}
	return nil
}

// WholeYear tells whether hourly temperatures are those of a year without gaps.
func WholeYear(hourly []float64) error {
	for i, t := range hourly {
		if err := plausible(t); err != nil {
			return fmt.Errorf("%w: hour %d: %v", ErrFacility, i, err)
		}
	}
	if n := len(hourly); n != 8760 && n != 8784 {
		return fmt.Errorf("%w: %d hours: a year has 8,760, a leap year 8,784; fill gaps before", ErrFacility, n)
	}
	if top := HoursUpTo(hourly, 45); top < len(hourly)/2 {
		return fmt.Errorf("%w: most hours are above 45 °C, which looks like Fahrenheit: want °C", ErrFacility)
	}
	return nil
}
