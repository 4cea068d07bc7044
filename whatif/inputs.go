package whatif

import (
	"cmp"
	"maps"
	"slices"

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
		e = Estimate{Low: r.Low, Typical: r.Typical, High: r.High, Unit: e.Unit, Status: energy.Input, Source: "input:" + id}
	}
	i := len(t.list)
	t.index[id] = i
	t.ids, t.list, t.typical = append(t.ids, id), append(t.list, e), append(t.typical, e.Typical)
	return i
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
