package dashboard

import (
	"cmp"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/wattle-storage/wattle/energy"
	"github.com/wattle-storage/wattle/erasure"
	"github.com/wattle-storage/wattle/whatif"
)

// Choices are what the sliders of the what-if panel run over.
type Choices struct {
	Schemes []SchemeChoice `json:"schemes"` // least overhead first
	Disks   []DiskChoice   `json:"disks"`
}

// A SchemeChoice is a scheme and its raw bytes for each byte stored.
type SchemeChoice struct {
	Scheme   string  `json:"scheme"`
	Overhead float64 `json:"overhead"`
}

// A DiskChoice is a drive profile that was read in a document.
type DiskChoice struct {
	ID         string  `json:"id"`
	Model      string  `json:"model"`
	Kind       string  `json:"kind"`
	Technology string  `json:"technology"`
	CapacityTB float64 `json:"capacity_tb"`
	IdleW      float64 `json:"idle_w"`
}

// offered are the schemes of the slider.
var offered = []string{"replica:2", "replica:3", "replica:4", "rs:2+1", "rs:4+2", "rs:6+3", "rs:8+3", "rs:8+4", "rs:9+6", "rs:10+4", "rs:10+5", "rs:12+4", "rs:17+3", "lrc:12+2+2"}

func (s *Server) choices(w http.ResponseWriter, r *http.Request) {
	c := Choices{}
	names := offered
	if st, err := s.feed.look(r.Context()); err == nil && !slices.Contains(names, st.Scheme) {
		names = append(slices.Clone(names), st.Scheme)
	}
	for _, name := range names {
		if x, err := erasure.Parse(name); err == nil {
			c.Schemes = append(c.Schemes, SchemeChoice{name, x.Overhead()})
		}
	}
	slices.SortStableFunc(c.Schemes, func(a, b SchemeChoice) int { return cmp.Compare(a.Overhead, b.Overhead) })
	for _, p := range energy.Profiles() {
		if p.CapacityTB > 0 && p.Watts(energy.Idle) > 0 {
			c.Disks = append(c.Disks, DiskChoice{p.ID, strings.TrimSpace(p.Vendor + " " + p.Model), p.Kind, p.Technology, p.CapacityTB, float64(p.Watts(energy.Idle))})
		}
	}
	answer(w, c)
}

// whatif answers a scenario of the panel with the report that `wattle whatif --json` prints for
// the same options.
func (s *Server) whatif(w http.ResponseWriter, r *http.Request) {
	sc, err := scenarioOf(r.URL.Query())
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	select {
	case s.work <- struct{}{}:
		defer func() { <-s.work }()
	case <-r.Context().Done():
		return
	}
	report, err := whatif.Run(sc)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	answer(w, report)
}

// A parameter is one of the query, as the flag of `wattle whatif` of the same name.
type parameter struct {
	low, high float64
	set       func(*whatif.Scenario, float64)
}

var parameters = map[string]parameter{
	"usable_tb": {0.001, 1e9, func(s *whatif.Scenario, v float64) { s.UsableTB = whatif.Terabytes(v) }},
	"fill":      {0.001, 1, func(s *whatif.Scenario, v float64) { s.Fill = v }},
	"pue":       {1, 5, func(s *whatif.Scenario, v float64) { s.Facility.PUE = whatif.Exactly(v) }},
	"grid":      {0, 5000, func(s *whatif.Scenario, v float64) { s.Carbon.GPerKWh = whatif.Exactly(v) }},
	"price_kwh": {0, 100, func(s *whatif.Scenario, v float64) { s.Prices.EURPerKWh = whatif.Exactly(v) }},
	"sites":     {1, 16, func(s *whatif.Scenario, v float64) { s.Sweep.Sites = []int{int(v)} }},
}

func scenarioOf(q url.Values) (s whatif.Scenario, err error) {
	for name, values := range q {
		text := values[0]
		if len(values) > 1 || len(text) > 100 {
			return s, fmt.Errorf("%s: want one short value", clip(name))
		}
		switch p, ok := parameters[name]; {
		case name == "scheme":
			s.Sweep.Schemes = whatif.Words{text}
		case name == "disk":
			s.Sweep.Disks = whatif.Words{text}
		case name == "baseline":
			s.Baseline = text
		case !ok:
			return s, fmt.Errorf("%s: no such parameter", clip(name))
		default:
			v, err := strconv.ParseFloat(text, 64)
			if err != nil || !(v >= p.low && v <= p.high) || name == "sites" && v != math.Trunc(v) {
				return s, fmt.Errorf("%s %q: want a number from %v to %v", name, clip(text), p.low, p.high)
			}
			p.set(&s, v)
		}
	}
	return s, s.Validate()
}

func clip(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}
