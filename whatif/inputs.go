package whatif

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/wattle-storage/wattle/energy"
)

// An inputs is the table of all uncertain inputs of a scenario. Options that share an input
// hold the same index, so that it takes the same value on both sides of a ratio.
type inputs struct {
	ids      []string
	list     []Estimate
	index    map[string]int
	given    map[string]Range // the user's figures by identity
	used     map[string]bool  // of given
	errs     []error          // of given
	typical  []float64
	constant int // index of an input that is 1
}

func newInputs(given map[string]Range) *inputs {
	t := &inputs{index: map[string]int{}, given: given, used: map[string]bool{}}
	t.constant = t.add("one", energy.Point(1, "", energy.Model, "model"))
	return t
}

// add gives an input its index; one known before keeps it.
func (t *inputs) add(id string, e Estimate) int {
	if i, ok := t.index[id]; ok {
		return i
	}
	if r, ok := t.given[id]; ok {
		t.used[id] = true
		if low, high := bounds(id, e.Unit); !(r.Low >= low && r.High <= high) {
			t.errs = append(t.errs, &FieldError{Field: "inputs", Err: fmt.Errorf("%s: %s: want %v to %v %s", id, r, low, high, e.Unit)})
		}
		e = Estimate{Low: r.Low, Typical: r.Typical, High: r.High, Unit: e.Unit, Status: energy.Input, Source: "input:" + id}
	}
	i := len(t.list)
	t.index[id] = i
	t.ids, t.list, t.typical = append(t.ids, id), append(t.list, e), append(t.typical, e.Typical)
	return i
}

// bounds are the plausible ends of an input that the user gives by its identity.
func bounds(id, unit string) (low, high float64) {
	switch {
	case strings.HasSuffix(id, "pue"):
		return 1, 5
	case id == "psu_efficiency":
		return 0.3, 1
	case strings.HasPrefix(id, "afr/"), strings.HasSuffix(id, "erf"), strings.HasSuffix(id, "ref"):
		return 0, 1
	case strings.Contains(id, ":"): // a ratio of two states
		return 1e-3, 100
	case strings.Contains(id, "/spin_up"):
		return 0, 300
	case unit == "/s", unit == "MB/s":
		return 0.1, 1e8
	case unit == "W" && strings.Contains(id, "/") && !strings.HasPrefix(id, "site/"):
		return 0, 60
	}
	return 0, 1e9
}

// either is the user's range under an id, or what was assumed.
func (t *inputs) either(id string, r *Range) int { return t.eitherOf(id, id, r) }

// eitherOf is either, with the assumption under another id.
func (t *inputs) eitherOf(id, assumed string, r *Range) int {
	a := assumption(assumed)
	if r == nil {
		return t.add(id, a)
	}
	return t.add(id, from(*r, a.Unit, id))
}

// own is a user's range that has no assumption: each value is an input of its own.
func (t *inputs) own(id, unit string, r Range) int { return t.add(id, from(r, unit, id)) }

func from(r Range, unit, id string) Estimate {
	return Estimate{Low: r.Low, Typical: r.Typical, High: r.High, Unit: unit, Status: energy.Input, Source: "input:" + id}
}

// wide lists the inputs with a band.
func (t *inputs) wide(i int) bool { return t.list[i].Low != t.list[i].High }

// sortedKeys are the keys of a map in order.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
