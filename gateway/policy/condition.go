package policy

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Condition compares values of a request with those of a statement.
type Condition struct {
	Operator string // without its parts below
	Every    bool   // ForAllValues: all values of the request, also none, must compare
	Any      bool   // ForAnyValue: one must
	IfExists bool   // a request without values is as good as one that compares
	Key      string // in lower case but for what stands behind a slash
	Values   []string
}

// An operator compares a value of a request with one of a statement.
type operator struct {
	compare func(want, got string, vars func(string) []string) bool
	not     bool // holds when none of the statement's values compares
}

var operators = map[string]operator{}

func init() {
	plain := func(f func(want, got string) bool) func(string, string, func(string) []string) bool {
		return func(want, got string, vars func(string) []string) bool {
			text, ok := spell(want, vars, false)
			return ok && f(string(text), got)
		}
	}
	fixed := func(f func(want, got string) bool) func(string, string, func(string) []string) bool {
		return func(want, got string, _ func(string) []string) bool { return f(want, got) }
	}
	equal := func(a, b string) bool { return a == b }
	for name, f := range map[string]func(string, string, func(string) []string) bool{
		"StringEquals": plain(equal), "StringEqualsIgnoreCase": plain(strings.EqualFold), "StringLike": match,
		"ArnEquals": match, "ArnLike": match, "IpAddress": fixed(within), "Bool": fixed(strings.EqualFold), "BinaryEquals": fixed(equal),
		"NumericEquals": numbers(func(d float64) bool { return d == 0 }), "DateEquals": dates(func(d time.Duration) bool { return d == 0 }),
	} {
		operators[name] = operator{compare: f}
		if head, tail, ok := strings.Cut(name, "Equals"); ok && head != "Binary" {
			operators[head+"NotEquals"+tail] = operator{f, true}
		}
		if head, ok := strings.CutSuffix(name, "Like"); ok {
			operators[head+"NotLike"] = operator{f, true}
		}
	}
	operators["NotIpAddress"] = operator{fixed(within), true}
	for name, signs := range map[string][]int{"LessThan": {-1}, "LessThanEquals": {-1, 0}, "GreaterThan": {1}, "GreaterThanEquals": {1, 0}} {
		operators["Numeric"+name] = operator{compare: numbers(func(d float64) bool { return slices.Contains(signs, sign(d)) })}
		operators["Date"+name] = operator{compare: dates(func(d time.Duration) bool { return slices.Contains(signs, sign(d)) })}
	}
}

func sign[T float64 | time.Duration](d T) int {
	switch {
	case d < 0:
		return -1
	case d > 0:
		return 1
	}
	return 0
}

// numbers compares by the request's value less the statement's. What is no number compares
// with nothing.
func numbers(f func(d float64) bool) func(string, string, func(string) []string) bool {
	return func(want, got string, _ func(string) []string) bool {
		a, e1 := strconv.ParseFloat(want, 64)
		b, e2 := strconv.ParseFloat(got, 64)
		return e1 == nil && e2 == nil && f(b-a)
	}
}

func dates(f func(d time.Duration) bool) func(string, string, func(string) []string) bool {
	return func(want, got string, _ func(string) []string) bool {
		a, ok1 := date(want)
		b, ok2 := date(got)
		return ok1 && ok2 && f(b.Sub(a))
	}
}

// date reads a time of ISO 8601, or seconds since 1970.
func date(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return time.Unix(n, 0), err == nil
}

// network reads an address or a range of them.
func network(s string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err == nil
}

func within(want, got string) bool {
	p, ok := network(want)
	a, err := netip.ParseAddr(got)
	return ok && err == nil && p.Contains(a.Unmap())
}

// holds tells whether a condition is met. All of its values must fail to compare where its
// operator is one of those with "Not"; else one must compare.
func (c Condition) holds(values, vars func(string) []string) bool {
	var got []string
	if values != nil {
		got = values(c.Key)
	}
	if c.Operator == "Null" {
		return slices.ContainsFunc(c.Values, func(v string) bool { return strings.EqualFold(v, strconv.FormatBool(len(got) == 0)) })
	}
	op := operators[c.Operator]
	compares := func(v string) bool {
		return slices.ContainsFunc(c.Values, func(want string) bool { return op.compare(want, v, vars) }) != op.not
	}
	switch {
	case len(got) == 0:
		return c.Every || c.IfExists || op.not && !c.Any
	case c.Any:
		return slices.ContainsFunc(got, compares)
	case c.Every, op.not:
		return !slices.ContainsFunc(got, func(v string) bool { return !compares(v) })
	}
	return slices.ContainsFunc(got, compares)
}

// scalars are texts, numbers and truths, one or a list of them, as text.
type scalars []string

func (s *scalars) UnmarshalJSON(data []byte) error {
	var list []json.RawMessage
	if json.Unmarshal(data, &list) != nil || list == nil {
		list = []json.RawMessage{data}
	}
	*s = scalars{}
	for _, raw := range list {
		var text string
		var number json.Number
		var truth bool
		switch {
		case string(raw) == "null":
			return ErrJSON
		case json.Unmarshal(raw, &text) == nil:
		case json.Unmarshal(raw, &number) == nil:
			text = number.String()
		case json.Unmarshal(raw, &truth) == nil:
			text = strconv.FormatBool(truth)
		default:
			return ErrJSON
		}
		*s = append(*s, text)
	}
	return nil
}

// conditions reads those of a statement about actions.
func conditions(raw *json.RawMessage, actions set) (list []Condition, err error) {
	if raw == nil {
		return nil, nil
	}
	var block map[string]map[string]scalars
	if json.Unmarshal(*raw, &block) != nil {
		return nil, ErrJSON
	}
	for _, name := range sorted(block) {
		c := Condition{Operator: name}
		c.Operator, c.Every = strings.CutPrefix(c.Operator, "ForAllValues:")
		if !c.Every {
			c.Operator, c.Any = strings.CutPrefix(c.Operator, "ForAnyValue:")
		}
		if op, ok := strings.CutSuffix(c.Operator, "IfExists"); ok && operators[op].compare != nil {
			c.Operator, c.IfExists = op, true
		}
		if operators[c.Operator].compare == nil && c.Operator != "Null" {
			return nil, refuse("Invalid Condition type : %.100s", name)
		}
		for _, key := range sorted(block[name]) {
			c.Key, c.Values = foldKey(key), block[name][key]
			if err := c.check(actions); err != nil {
				return nil, err
			}
			list = append(list, c)
		}
	}
	return list, nil
}

func sorted[V any](m map[string]V) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// check tells whether a condition can be one of a statement about actions.
func (c Condition) check(actions set) error {
	k, ok := keyOf(c.Key)
	if !ok {
		return ErrKey
	}
	if len(c.Values) == 0 {
		return refuse("Condition key %.100s has no value", c.Key)
	}
	for _, a := range actions.list {
		if !actions.not && !strings.ContainsAny(a, "*?") && !k.applies(a) {
			return ErrKeyMismatch
		}
	}
	for _, v := range c.Values {
		_, isDate := date(v)
		_, notNumber := strconv.ParseFloat(v, 64)
		switch {
		case c.Key == "aws:sourceip":
			if _, ok := network(v); !ok {
				return ErrIP
			}
		case strings.HasPrefix(c.Operator, "Numeric") && notNumber != nil, strings.HasPrefix(c.Operator, "Date") && !isDate,
			(c.Operator == "Bool" || c.Operator == "Null") && !strings.EqualFold(v, "true") && !strings.EqualFold(v, "false"):
			return refuse("Invalid value in Conditions: %s of %.100s is compared with %.100s", c.Operator, c.Key, v)
		}
	}
	return nil
}
