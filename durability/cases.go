package durability

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// A CaseFile is a list of figures that a model must give, each with its source. The format is
// described in doc/durability.md.
type CaseFile struct {
	Name      string
	YearHours float64
	Cases     []Case
}

// A Case asks a model for figures that are known.
type Case struct {
	ID, Title, Model string
	Line             int
	Inputs           map[string]any
	Expect           []Expectation
	RelTol           float64
	NotReproducible  bool // its printed inputs do not determine it
	ValueFrom        string
	Source           string

	fault error // why it cannot be run
}

// An Expectation is a figure wanted.
type Expectation struct {
	Key   string
	Value float64
}

// A CaseError says which case of a file is wrong, and where.
type CaseError struct {
	File string
	Line int
	ID   string // "" before it is known
	Err  error
}

func (e *CaseError) Error() string {
	at := e.File
	if e.Line > 0 {
		at = fmt.Sprintf("%s:%d", e.File, e.Line)
	}
	if e.ID != "" {
		at += ": case " + e.ID
	}
	return fmt.Sprintf("%s: %v", at, e.Err)
}

func (e *CaseError) Unwrap() error { return e.Err }

// ErrCases is the error of a case file that cannot be read.
var ErrCases = errors.New("bad case file")

const (
	maxCaseFile = 4 << 20
	maxNesting  = 200
	// defaultRelTol is the agreement asked for where a case names none.
	defaultRelTol = 1e-9
)

// ReadCases reads a case file. A case that makes no sense is an error only when it is run, so
// that the others of its file still are; a file that makes none is one here.
func ReadCases(name string, r io.Reader) (CaseFile, error) {
	f := CaseFile{Name: name, YearHours: YearHours}
	text, err := io.ReadAll(io.LimitReader(r, maxCaseFile+1))
	if err != nil {
		return f, err
	}
	bad := func(line int, format string, a ...any) (CaseFile, error) {
		return f, &CaseError{name, line, "", fmt.Errorf("%w: "+format, append([]any{ErrCases}, a...)...)}
	}
	if len(text) > maxCaseFile {
		return bad(0, "more than %d MiB", maxCaseFile>>20)
	}
	if line := tooDeep(text); line > 0 {
		return bad(line, "nested more than %d deep", maxNesting)
	}
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return bad(0, "%s", strings.TrimSpace(err.Error()))
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		return bad(0, "want one document with a list of cases")
	}
	top, err := fields(file.Docs[0].Body)
	if err != nil {
		return bad(line(file.Docs[0].Body), "want a mapping with version and cases: %v", err)
	}
	if v, ok := top["version"]; ok {
		if n, _ := value(v); n != 1.0 {
			return bad(line(v), "version %v: this reads version 1", n)
		}
	}
	if v, ok := top["hours_per_year"]; ok {
		n, _ := value(v)
		h, ok := asNumber(n)
		if !ok || h < 8000 || h > 9000 || math.IsNaN(h) {
			return bad(line(v), "hours_per_year %v: want 8760 or 8766", n)
		}
		f.YearHours = h
	}
	list, ok := top["cases"].(*ast.SequenceNode)
	if !ok {
		return bad(1, "want a list named cases")
	}
	seen := map[string]int{}
	for i, node := range list.Values {
		c := readCase(node)
		if c.ID == "" {
			c.ID = fmt.Sprintf("number %d", i+1)
		}
		if at, twice := seen[c.ID]; twice && c.fault == nil {
			c.fault = fmt.Errorf("the case of line %d has the same id", at)
		}
		seen[c.ID] = c.Line
		f.Cases = append(f.Cases, c)
	}
	return f, nil
}

// tooDeep returns the line where flow collections nest too deep, before a parser recurses into
// them; and lines that open more levels than any case needs.
func tooDeep(text []byte) int {
	depth, at, opened := 0, 1, 0
	for i, c := range text {
		switch c {
		case '\n':
			at, opened = at+1, 0
			if i+1 < len(text) && strings.IndexByte(" \t\n", text[i+1]) < 0 {
				depth = 0
			}
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(0, depth-1)
		case '-', '?', '!', '&', ':', '>', '|', ' ', '\t':
			if opened++; c == ' ' || c == '\t' {
				opened--
			}
		}
		if depth > maxNesting || opened > 20*maxNesting {
			return at
		}
	}
	return 0
}

func line(n ast.Node) int {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 0
}

// fields returns the values of a mapping by key.
func fields(n ast.Node) (map[string]ast.Node, error) {
	var list []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		list = n.Values
	case *ast.MappingValueNode:
		list = []*ast.MappingValueNode{n}
	default:
		return nil, fmt.Errorf("want a mapping, not %s", kind(n))
	}
	m := map[string]ast.Node{}
	for _, kv := range list {
		if kv == nil || kv.Key == nil || kv.Key.GetToken() == nil {
			return nil, errors.New("a key is missing")
		}
		key := kv.Key.GetToken().Value
		if _, twice := m[key]; twice {
			return nil, fmt.Errorf("%s is given twice", key)
		}
		m[key] = kv.Value
	}
	return m, nil
}

func kind(n ast.Node) string {
	if n == nil {
		return "nothing"
	}
	return strings.ToLower(n.Type().String())
}

// value turns a node into a number, string, bool, nil, list or mapping; numbers are float64.
func value(n ast.Node) (any, error) {
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return nil, nil
	case *ast.IntegerNode:
		switch v := n.Value.(type) {
		case int64:
			return float64(v), nil
		case uint64:
			return float64(v), nil
		}
	case *ast.FloatNode:
		return n.Value, nil
	case *ast.InfinityNode:
		return n.Value, nil
	case *ast.NanNode:
		return math.NaN(), nil
	case *ast.BoolNode:
		return n.Value, nil
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		if n.Value != nil {
			return n.Value.Value, nil
		}
	case *ast.SequenceNode:
		list := make([]any, len(n.Values))
		for i, item := range n.Values {
			v, err := value(item)
			if err != nil {
				return nil, err
			}
			list[i] = v
		}
		return list, nil
	}
	return nil, fmt.Errorf("%s is not taken here: want a number, a word or a list", kind(n))
}

// readCase reads one case; what is wrong with it is kept in it.
func readCase(n ast.Node) Case {
	c := Case{Line: line(n), RelTol: defaultRelTol}
	m, err := fields(n)
	if err != nil {
		c.fault = err
		return c
	}
	if first, ok := n.(*ast.MappingNode); ok && len(first.Values) > 0 { // the brace or the first key, whichever is first
		c.Line = min(c.Line, line(first.Values[0].Key))
	}
	text := func(key string) string {
		v, err := value(m[key])
		if err == nil && v != nil {
			return fmt.Sprint(v)
		}
		return ""
	}
	c.ID, c.Title, c.ValueFrom, c.Source = text("id"), text("title"), text("value_from"), text("source")
	c.fault = errors.Join(c.readModel(m), c.readInputs(m["inputs"]), c.readExpect(m["expect"]), c.readTolerance(m["rel_tol"]))
	return c
}

func (c *Case) readModel(m map[string]ast.Node) error {
	v, err := value(m["model"])
	if err != nil {
		return fmt.Errorf("model: %w", err)
	}
	reproducible, err := value(m["reproducible"])
	if err != nil {
		return fmt.Errorf("reproducible: %w", err)
	}
	if _, named := m["model"]; !named && reproducible != false {
		return errors.New("model is missing: name one, or null with reproducible: false")
	}
	c.NotReproducible = v == nil || reproducible == false
	if v == nil {
		return nil
	}
	c.Model = fmt.Sprint(v)
	if _, ok := findModel(c.Model); !ok {
		var names []string
		for _, m := range models {
			names = append(names, m.Name)
		}
		return fmt.Errorf("model %q is not known: want %s", c.Model, strings.Join(names, ", "))
	}
	return nil
}

func (c *Case) readInputs(n ast.Node) error {
	c.Inputs = map[string]any{}
	if n == nil || n.Type() == ast.NullType {
		return nil
	}
	m, err := fields(n)
	if err != nil {
		return fmt.Errorf("inputs: %w", err)
	}
	for k, node := range m {
		if c.Inputs[k], err = value(node); err != nil {
			return fmt.Errorf("input %s: %w", k, err)
		}
	}
	return nil
}

func (c *Case) readExpect(n ast.Node) error {
	if n == nil {
		return errors.New("expect is missing")
	}
	m, err := fields(n)
	if err != nil {
		return fmt.Errorf("expect: %w", err)
	}
	for _, k := range sortedKeys(m) {
		v, err := value(m[k])
		f, ok := asNumber(v)
		if err != nil || !ok || math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Errorf("expect %s: want a finite number", k)
		}
		c.Expect = append(c.Expect, Expectation{k, f})
	}
	if len(c.Expect) == 0 {
		return errors.New("expect is empty")
	}
	return nil
}

func (c *Case) readTolerance(n ast.Node) error {
	if n == nil {
		return nil
	}
	v, err := value(n)
	f, ok := asNumber(v)
	if err != nil || !ok || math.IsNaN(f) || f < 0 || f > 10 {
		return fmt.Errorf("rel_tol %v: want a number from 0 to 10", v)
	}
	c.RelTol = f
	return nil
}

// A Verdict is how a case ends.
type Verdict string

// The verdicts.
const (
	Pass           Verdict = "pass"
	Fail           Verdict = "fail"
	Irreproducible Verdict = "not reproducible"
	Bad            Verdict = "error"
)

// An Outcome is what became of a case.
type Outcome struct {
	ID      string    `json:"id"`
	Title   string    `json:"title"`
	Model   string    `json:"model,omitempty"`
	Public  string    `json:"public_calculator,omitempty"`
	Line    int       `json:"line"`
	RelTol  float64   `json:"rel_tol"`
	Figures []Checked `json:"figures"`
	Verdict Verdict   `json:"verdict"`
	Error   string    `json:"error,omitempty"`

	err error
}

// Err is why the case could not be run, or nil.
func (o Outcome) Err() error { return o.err }

// A Checked figure is what a case wants and what it got; Got is not there where nothing was computed.
type Checked struct {
	Key      string   `json:"key"`
	Expected float64  `json:"expected"`
	Got      *float64 `json:"got"`
	RelDiff  *float64 `json:"relative_difference"`
	Pass     bool     `json:"pass"`
}

// Check runs a case of the file.
func (f CaseFile) Check(c Case) Outcome {
	o := Outcome{ID: c.ID, Title: c.Title, Model: c.Model, Line: c.Line, RelTol: c.RelTol}
	for _, e := range c.Expect {
		o.Figures = append(o.Figures, Checked{Key: e.Key, Expected: e.Value})
	}
	if c.fault != nil {
		return o.bad(f, c, c.fault)
	}
	if c.NotReproducible {
		o.Verdict = Irreproducible
		return o
	}
	m, _ := findModel(c.Model)
	o.Public = m.Public
	got, err := m.Run(c.Inputs, f.YearHours)
	if err != nil {
		return o.bad(f, c, err)
	}
	o.Verdict = Pass
	for i := range o.Figures {
		x := &o.Figures[i]
		v, ok := got[x.Key]
		if !ok {
			return o.bad(f, c, fmt.Errorf("expect %q: %s gives %s", x.Key, c.Model, strings.Join(sortedKeys(got), ", ")))
		}
		diff := relativeDifference(v, x.Expected)
		x.Got, x.RelDiff, x.Pass = &v, &diff, diff <= c.RelTol
		if !x.Pass {
			o.Verdict = Fail
		}
	}
	return o
}

func (o Outcome) bad(f CaseFile, c Case, err error) Outcome {
	o.err = &CaseError{f.Name, c.Line, c.ID, err}
	o.Verdict, o.Error = Bad, o.err.Error()
	return o
}

// relativeDifference is against the value wanted, and absolute where that is 0.
func relativeDifference(got, want float64) float64 {
	if want == 0 {
		return math.Abs(got)
	}
	return math.Min(math.Abs(got-want)/math.Abs(want), math.MaxFloat64)
}
