package durability

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// A FleetAFR is what a fleet shows of one model: AFR = failures / drive-days · 365, with the
// exact 95 % interval of a Poisson count.
type FleetAFR struct {
	Model     string  `json:"model"`
	DriveDays int64   `json:"drive_days"`
	Failures  int64   `json:"failures"`
	AFR       float64 `json:"afr"`
	Low       float64 `json:"low"`
	High      float64 `json:"high"`
}

// ErrFleet is the error of a fleet file that cannot be read.
var ErrFleet = errors.New("bad fleet file")

const (
	longestLine = 1 << 20
	mostModels  = 100000
	longestName = 200
)

// A Fleet counts drive-days and failures by model, from daily files of one row for each drive
// and day with at least the columns model and failure, as Backblaze publishes them. Files are
// read line by line and kept in no part.
type Fleet struct {
	models map[string]*FleetAFR
}

// Read counts a file; name is for errors. Several files add up, and a header may come again
// within one.
func (f *Fleet) Read(name string, r io.Reader) error {
	if f.models == nil {
		f.models = map[string]*FleetAFR{}
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), longestLine)
	model, failure, n := -1, -1, 0
	for lines.Scan() {
		n++
		text := bytes.TrimSuffix(lines.Bytes(), []byte("\r"))
		if n == 1 {
			text = bytes.TrimPrefix(text, []byte("\ufeff"))
		}
		if len(text) == 0 {
			continue
		}
		bad := func(format string, a ...any) error {
			return fmt.Errorf("%s:%d: %w: %s", name, n, ErrFleet, fmt.Sprintf(format, a...))
		}
		if model < 0 || bytes.HasPrefix(text, []byte("date,")) {
			var err error
			if model, failure, err = columns(text); err != nil {
				return bad("%v", err)
			}
			continue
		}
		a, b, err := cells(text, model, failure)
		if err != nil {
			return bad("%v", err)
		}
		if err := f.count(a, b); err != nil {
			return bad("%v", err)
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return fmt.Errorf("%s:%d: %w: a line of more than %d bytes", name, n+1, ErrFleet, longestLine)
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	case model < 0:
		return fmt.Errorf("%s: %w: empty; want a header with model and failure, then a row for each drive and day", name, ErrFleet)
	}
	return nil
}

// columns finds model and failure in a header.
func columns(header []byte) (model, failure int, err error) {
	row, err := csv.NewReader(bytes.NewReader(header)).Read()
	if err != nil {
		return -1, -1, err
	}
	for i := range row {
		row[i] = strings.ToLower(strings.TrimSpace(row[i]))
	}
	model, failure = slices.Index(row, "model"), slices.Index(row, "failure")
	if model < 0 || failure < 0 {
		return -1, -1, errors.New("no columns model and failure in the header")
	}
	return model, failure, nil
}

// cells returns two cells of a row, the plain way where nothing is quoted.
func cells(text []byte, model, failure int) (a, b []byte, err error) {
	if bytes.IndexByte(text, '"') >= 0 {
		row, err := csv.NewReader(bytes.NewReader(text)).Read()
		if err != nil {
			return nil, nil, err
		}
		if max(model, failure) >= len(row) {
			return nil, nil, fmt.Errorf("%d cells: the header has more", len(row))
		}
		return []byte(row[model]), []byte(row[failure]), nil
	}
	last := max(model, failure)
	for i := 0; ; i++ {
		cell, rest, more := bytes.Cut(text, []byte(","))
		switch i {
		case model:
			a = cell
		case failure:
			b = cell
		}
		if i == last {
			return a, b, nil
		}
		if !more {
			return nil, nil, fmt.Errorf("%d cells: the header has more", i+1)
		}
		text = rest
	}
}

func (f *Fleet) count(model, failure []byte) error {
	model, failure = bytes.TrimSpace(model), bytes.TrimSpace(failure)
	var failed int64
	switch string(failure) {
	case "0":
	case "1":
		failed = 1
	default:
		return fmt.Errorf("failure %.20q: want 0 or 1", failure)
	}
	if len(model) == 0 || len(model) > longestName {
		return fmt.Errorf("model of %d bytes: want 1 to %d", len(model), longestName)
	}
	m, ok := f.models[string(model)]
	if !ok {
		if len(f.models) >= mostModels {
			return fmt.Errorf("more than %d models", mostModels)
		}
		m = &FleetAFR{Model: string(model)}
		f.models[m.Model] = m
	}
	m.DriveDays++
	m.Failures += failed
	return nil
}

// AFRs are the models, those with the most drive-days first, and the whole fleet.
func (f *Fleet) AFRs() (models []FleetAFR, all FleetAFR) {
	all.Model = "all"
	for _, m := range f.models {
		models = append(models, m.reckoned())
		all.DriveDays += m.DriveDays
		all.Failures += m.Failures
	}
	slices.SortFunc(models, func(a, b FleetAFR) int {
		return cmp.Or(cmp.Compare(b.DriveDays, a.DriveDays), cmp.Compare(a.Model, b.Model))
	})
	return models, all.reckoned()
}

func (m FleetAFR) reckoned() FleetAFR {
	if m.DriveDays == 0 {
		return m
	}
	years := float64(m.DriveDays) / 365
	low, high := PoissonInterval(m.Failures)
	m.AFR, m.Low, m.High = float64(m.Failures)/years, low/years, high/years
	return m
}

// PoissonInterval is the exact two-sided 95 % interval of the mean of a Poisson count (Garwood
// 1936): means below which so many or more, and above which so many or fewer, come in 2.5 % of
// the cases. From 500 on it is that of the cube-root normal (Wilson and Hilferty 1931), which
// is off by less than 1e-5.
func PoissonInterval(count int64) (low, high float64) {
	const z, tail = 1.959963984540054, 0.025
	if count >= 500 {
		quantile := func(n, z float64) float64 {
			return n * math.Pow(1-1/(9*n)+z/(3*math.Sqrt(n)), 3)
		}
		return quantile(float64(count), -z), quantile(float64(count+1), z)
	}
	// P(at most n | mean) by its terms
	atMost := func(n int64, mean float64) float64 {
		term := math.Exp(-mean)
		sum := term
		for i := int64(1); i <= n; i++ {
			term *= mean / float64(i)
			sum += term
		}
		return sum
	}
	solve := func(f func(mean float64) float64) float64 { // f falls
		a, b := 0.0, float64(count)*2+20
		for range 100 {
			if m := (a + b) / 2; f(m) > 0 {
				a = m
			} else {
				b = m
			}
		}
		return (a + b) / 2
	}
	if count > 0 {
		low = solve(func(mean float64) float64 { return atMost(count-1, mean) - (1 - tail) })
	}
	return low, solve(func(mean float64) float64 { return atMost(count, mean) - tail })
}
