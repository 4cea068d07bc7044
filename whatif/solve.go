package whatif

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
)

// Solve finds the value of an uncertain input at which the typical value of a field of an
// option ("" is the first) is a target. The field is named as in JSON, and may be one of a
// part: watts_by_part.slot.
func Solve(s Scenario, option, input, field string, target float64) (float64, error) {
	at := func(v float64) (float64, error) {
		inputs := map[string]Range{input: {v, v, v}}
		for id, r := range s.Inputs {
			if id != input {
				inputs[id] = r
			}
		}
		s := s
		s.Inputs = inputs
		r, err := Run(s)
		if err != nil {
			return 0, err
		}
		o := r.option(option)
		if option == "" && len(r.Options) > 0 {
			o = &r.Options[0]
		}
		if o == nil {
			return 0, fmt.Errorf("no option %q", option)
		}
		return o.Field(field)
	}
	return bisect(at, 0, 1e7, target)
}

// bisect finds where a monotonic function has a value, between 0 and a top.
func bisect(f func(float64) (float64, error), low, high, target float64) (float64, error) {
	a, err := f(low + 1e-9)
	if err != nil {
		return 0, err
	}
	for top := 1e-3; top <= high; top *= 4 {
		b, err := f(top)
		if err != nil {
			return 0, err
		}
		if (a-target)*(b-target) <= 0 {
			return closeIn(f, low, top, target, b > a)
		}
	}
	return 0, fmt.Errorf("no value up to %v gives %v; at 0 it is %.6g", high, target, a)
}

func closeIn(f func(float64) (float64, error), low, high, target float64, rising bool) (float64, error) {
	for range 60 {
		mid := (low + high) / 2
		v, err := f(mid)
		if err != nil {
			return 0, err
		}
		if (v < target) == rising {
			low = mid
		} else {
			high = mid
		}
		if high-low < 1e-12*math.Max(high, 1e-9) {
			break
		}
	}
	return (low + high) / 2, nil
}

// Field is the typical value of a field of an option, named as in JSON.
func (o *Option) Field(name string) (float64, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return 0, err
	}
	var tree map[string]any
	if err := json.Unmarshal(text, &tree); err != nil {
		return 0, err
	}
	var v any = tree
	for _, part := range strings.Split(name, ".") {
		fields, ok := v.(map[string]any)
		if !ok {
			return 0, fmt.Errorf("field %q: no such field", name)
		}
		if v, ok = fields[part]; !ok {
			return 0, fmt.Errorf("field %q: no such field%s", name, suggestion(part, sortedKeys(fields)))
		}
	}
	if e, ok := v.(map[string]any); ok {
		v = e["typical"]
	}
	if x, ok := v.(float64); ok {
		return x, nil
	}
	return 0, fmt.Errorf("field %q is no number", name)
}
