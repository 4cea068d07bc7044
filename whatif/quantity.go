package whatif

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"

	"github.com/dustin/go-humanize"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// Terabytes is an amount of data in decimal terabytes. In YAML it is a number of terabytes
// or a size with its unit: 10PB, 9 TiB.
type Terabytes float64

// ParseTerabytes reads a number of terabytes or a size with its unit.
func ParseTerabytes(text string) (Terabytes, error) {
	if v, err := strconv.ParseFloat(strings.TrimSpace(text), 64); err == nil {
		return Terabytes(v), nil
	}
	n, err := parseSize(text)
	if err != nil {
		return 0, err
	}
	return Terabytes(n / 1e12), nil
}

// UnmarshalYAML reads a Terabytes.
func (t *Terabytes) UnmarshalYAML(n ast.Node) (err error) {
	*t, err = ParseTerabytes(scalar(n))
	return at(n, err)
}

// Bytes is a size in bytes, in YAML also with its unit: 64KiB.
type Bytes float64

// UnmarshalYAML reads a Bytes.
func (b *Bytes) UnmarshalYAML(n ast.Node) error {
	v, err := parseSize(scalar(n))
	*b = Bytes(v)
	return at(n, err)
}

// parseSize reads a size in bytes. Unlike humanize it knows sizes beyond 2^64.
func parseSize(text string) (float64, error) {
	text = strings.TrimSpace(text)
	digits := strings.TrimRightFunc(text, func(r rune) bool { return unicode.IsLetter(r) || r == ' ' })
	v, err := strconv.ParseFloat(digits, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("size %q: want a number with its unit, such as 10PB or 9TiB", clip(text))
	}
	unit := strings.ToUpper(strings.TrimSpace(text[len(digits):]))
	if unit == "" {
		return v, nil
	}
	one, err := humanize.ParseBytes("1" + unit)
	if err != nil {
		return 0, fmt.Errorf("size %q: unit %q: want B, kB, MB, GB, TB, PB, EB, or KiB, MiB, GiB, TiB, PiB, EiB", clip(text), unit)
	}
	return v * float64(one), nil
}

// A Range is a figure given by the user: a number, or one with its plausible extremes. It is
// written 1.5, or 1.3/1.5/1.8 (low, typical, high), or {low: 1.3, typical: 1.5, high: 1.8}.
type Range struct {
	Low, Typical, High float64
}

// Exactly is a Range without width.
func Exactly(v float64) *Range { return &Range{v, v, v} }

// ParseRange reads the first two forms of a Range.
func ParseRange(text string) (Range, error) {
	parts := strings.Split(text, "/")
	var v []float64
	for _, p := range parts {
		x, err := strconv.ParseFloat(strings.TrimSpace(p), 64)
		if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
			return Range{}, fmt.Errorf("%q: want a number, or LOW/TYPICAL/HIGH", clip(text))
		}
		v = append(v, x)
	}
	switch {
	case len(v) == 1:
		return Range{v[0], v[0], v[0]}, nil
	case len(v) == 3 && v[0] <= v[1] && v[1] <= v[2]:
		return Range{v[0], v[1], v[2]}, nil
	case len(v) == 3:
		return Range{}, fmt.Errorf("%q: want low ≤ typical ≤ high", clip(text))
	}
	return Range{}, fmt.Errorf("%q: want a number, or LOW/TYPICAL/HIGH", clip(text))
}

// UnmarshalYAML reads any form of a Range.
func (r *Range) UnmarshalYAML(n ast.Node) (err error) {
	if n.Type() == ast.MappingType || n.Type() == ast.SequenceType {
		return r.fromParts(n)
	}
	*r, err = ParseRange(scalar(n))
	return at(n, err)
}

func (r *Range) fromParts(n ast.Node) (err error) {
	var parts struct{ Low, Typical, High *float64 }
	var list []float64
	if n.Type() == ast.MappingType {
		err = yaml.NodeToValue(n, &parts, yaml.Strict())
	} else if err = yaml.NodeToValue(n, &list); err == nil && len(list) == 3 {
		parts.Low, parts.Typical, parts.High = &list[0], &list[1], &list[2]
	}
	if err != nil || parts.Low == nil || parts.Typical == nil || parts.High == nil {
		return at(n, errors.New("a band: want exactly low, typical and high"))
	}
	*r, err = ParseRange(fmt.Sprintf("%v/%v/%v", *parts.Low, *parts.Typical, *parts.High))
	return at(n, err)
}

// MarshalYAML writes what ParseRange reads.
func (r Range) MarshalYAML() (any, error) {
	if r.Low == r.High {
		return r.Typical, nil
	}
	return r.String(), nil
}

// MarshalJSON writes low, typical and high.
func (r Range) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]float64{"low": r.Low, "typical": r.Typical, "high": r.High})
}

// String is the form that ParseRange reads.
func (r Range) String() string {
	if r.Low == r.High {
		return strconv.FormatFloat(r.Typical, 'g', 10, 64)
	}
	return fmt.Sprintf("%s/%s/%s", strconv.FormatFloat(r.Low, 'g', 10, 64), strconv.FormatFloat(r.Typical, 'g', 10, 64), strconv.FormatFloat(r.High, 'g', 10, 64))
}

// Words is a list of texts. Within braces the YAML library takes rs:9+6 for a field; here it
// is a text again.
type Words []string

// UnmarshalYAML reads a list of texts, or one.
func (w *Words) UnmarshalYAML(n ast.Node) error {
	list := []ast.Node{n}
	if s, ok := n.(*ast.SequenceNode); ok {
		list = s.Values
	}
	*w = nil
	for _, n := range list {
		switch x := n.(type) {
		case *ast.MappingValueNode:
			*w = append(*w, scalar(x.Key)+":"+scalar(x.Value))
		case *ast.MappingNode:
			if len(x.Values) != 1 {
				return at(n, errors.New("want a text, not fields"))
			}
			*w = append(*w, scalar(x.Values[0].Key)+":"+scalar(x.Values[0].Value))
		case *ast.SequenceNode:
			return at(n, errors.New("want a text, not a list"))
		default:
			*w = append(*w, scalar(n))
		}
	}
	return nil
}

// A Boundary says how much around the drives the watts include.
type Boundary string

// The boundaries, from the inside out. Server includes slots, power supplies and network
// cards, rack its switches, facility the losses and the cooling of the building.
const (
	AtDrive    Boundary = "drive"
	AtServer   Boundary = "server"
	AtRack     Boundary = "rack"
	AtFacility Boundary = "facility"
)

var boundaries = []string{"drive", "server", "rack", "facility"}

// scalar is the text of a node that should be one value.
func scalar(n ast.Node) string {
	if n.Type() == ast.StringType {
		return n.(*ast.StringNode).Value
	}
	return n.String()
}

func clip(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}
