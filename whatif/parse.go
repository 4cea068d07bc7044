package whatif

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/xrash/smetrics"
)

// ErrScenario is the error of a scenario that cannot be read or cannot be.
var ErrScenario = errors.New("bad scenario")

// A FieldError is what is wrong with a field. Line and Column are 0 when the scenario was not
// read from a file.
type FieldError struct {
	File         string
	Line, Column int
	Field        string // such as pools[0].scheme
	Err          error
}

func (e *FieldError) Error() string {
	s := ""
	if e.Line > 0 {
		s = fmt.Sprintf("%d:%d: ", e.Line, e.Column)
		if e.File != "" {
			s = e.File + ":" + s
		}
	}
	if e.Field != "" {
		s += e.Field + ": "
	}
	return s + e.Err.Error()
}

// Unwrap makes a FieldError an ErrScenario and its cause.
func (e *FieldError) Unwrap() []error { return []error{ErrScenario, e.Err} }

// at gives an error the place of a node.
func at(n ast.Node, err error) error {
	if err == nil {
		return nil
	}
	p := n.GetToken().Position
	return &FieldError{Line: p.Line, Column: p.Column, Err: err}
}

// maxScenario is the size of the largest scenario file that is read: a year of temperatures
// in it takes 60 kB.
const maxScenario = 16 << 20

// Parse reads a scenario. Every field is checked: errors name file, line, column and field,
// and the field or value that was likely meant.
func Parse(file string, text []byte) (s Scenario, err error) {
	defer func() {
		if r := recover(); r != nil { // the YAML parser, on text that is none
			err = &FieldError{File: file, Err: fmt.Errorf("not YAML: %v", r)}
		}
	}()
	if len(text) > maxScenario {
		return s, &FieldError{File: file, Err: fmt.Errorf("%d bytes: a scenario has %d at most", len(text), maxScenario)}
	}
	tree, err := parser.ParseBytes(text, 0)
	if err != nil {
		return s, located(file, err)
	}
	if len(tree.Docs) > 1 {
		return s, &FieldError{File: file, Err: errors.New("more than one YAML document: want one scenario")}
	}
	if len(tree.Docs) == 0 || tree.Docs[0].Body == nil {
		return s, nil
	}
	if err := yaml.NodeToValue(tree.Docs[0].Body, &s, yaml.Strict()); err != nil {
		return s, located(file, err)
	}
	return s, placed(file, tree, s.Validate())
}

// located turns an error of the YAML library into a FieldError.
func located(file string, err error) error {
	var field *FieldError
	if errors.As(err, &field) {
		field.File = file
		return field
	}
	e := &FieldError{File: file, Err: err}
	var y yaml.Error
	if !errors.As(err, &y) {
		return e
	}
	e.Err = errors.New(y.GetMessage())
	if t := y.GetToken(); t != nil && t.Position != nil {
		e.Line, e.Column = t.Position.Line, t.Position.Column
		var unknown *yaml.UnknownFieldError
		if errors.As(err, &unknown) {
			e.Err = fmt.Errorf("unknown field %q%s", t.Value, suggestion(t.Value, fieldNames))
		}
	}
	var node *yaml.UnexpectedNodeTypeError
	if errors.As(err, &node) {
		e.Err = fmt.Errorf("want %s, not %s", nodeNoun(node.Expected), nodeNoun(node.Actual))
	}
	var kind *yaml.TypeError
	if errors.As(err, &kind) {
		e.Err = fmt.Errorf("want %s, not %s", noun(kind.DstType), noun(kind.SrcType))
	}
	return e
}

// noun names a kind of value as a user of YAML would.
func noun(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return noun(t.Elem())
	case reflect.Struct, reflect.Map:
		return "fields"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	}
	return "a number"
}

func nodeNoun(t ast.NodeType) string {
	switch t {
	case ast.SequenceType:
		return "a list"
	case ast.MappingType, ast.MappingValueType:
		return "fields"
	case ast.IntegerType, ast.FloatType, ast.InfinityType, ast.NanType:
		return "a number"
	case ast.BoolType:
		return "true or false"
	}
	return "text"
}

// placed gives the errors of validation the lines of the file.
func placed(file string, tree *ast.File, err error) error {
	if err == nil {
		return nil
	}
	list := []error{err}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		if _, one := err.(*FieldError); !one {
			list = many.Unwrap()
		}
	}
	for _, err := range list {
		if field, ok := err.(*FieldError); ok {
			field.File = file
			field.Line, field.Column = position(tree, field.Field)
		}
	}
	return errors.Join(list...)
}

// position finds a field in the file, or the nearest one around it.
func position(tree *ast.File, field string) (line, column int) {
	for field != "" {
		if path, err := yaml.PathString("$." + field); err == nil {
			if n, err := path.FilterFile(tree); err == nil && n != nil && n.GetToken() != nil {
				p := n.GetToken().Position
				return p.Line, p.Column
			}
		}
		field = field[:max(strings.LastIndexByte(field, '.'), strings.LastIndexByte(field, '['), 0)]
	}
	return 0, 0
}

// suggestion is "; did you mean X?" for the nearest of a list of names, or "".
func suggestion(name string, list []string) string {
	best, least := "", math.MaxInt
	for _, s := range list {
		d := smetrics.WagnerFischer(strings.ToLower(name), strings.ToLower(s), 1, 1, 1)
		if len(name) > 2 && strings.HasPrefix(s, name) {
			d = 1
		}
		if d < least {
			best, least = s, d
		}
	}
	if best == "" || least > max(2, len(name)/3) || best == name {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", best)
}

// fieldNames are the names of all fields of a scenario, for suggestions.
var fieldNames = func() []string {
	names := map[string]bool{}
	var walk func(reflect.Type)
	walk = func(t reflect.Type) {
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice:
			walk(t.Elem())
		case reflect.Struct:
			for i := range t.NumField() {
				if name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ","); name != "" && name != "-" && !names[name] {
					names[name] = true
					walk(t.Field(i).Type)
				}
			}
		}
	}
	walk(reflect.TypeFor[Scenario]())
	list := make([]string, 0, len(names))
	for n := range names {
		list = append(list, n)
	}
	slices.Sort(list)
	return list
}()
