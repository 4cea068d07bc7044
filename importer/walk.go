package importer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// lenient accepts what exporters write: members twice, and device names in odd encodings.
var lenient = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

// A walk goes through a JSON text value by value and keeps what is asked for. Values that are
// not of the kind asked for are noted and skipped.
type walk struct {
	dec  *jsontext.Decoder
	in   *guard
	miss *notes
}

func newWalk(r io.Reader, miss *notes) *walk {
	g := &guard{r: r, most: maxToken}
	return &walk{jsontext.NewDecoder(bufio.NewReaderSize(&finite{r: g}, 64<<10), lenient...), g, miss}
}

// guard ends the reading when one value grows beyond a bound.
type guard struct {
	r    io.Reader
	read int64
	mark int64 // where the current value began
	most int64
}

func (g *guard) Read(p []byte) (int, error) {
	if g.read-g.mark > g.most {
		return 0, fmt.Errorf("a value of more than %d MB begins at byte %d", g.most>>20, g.mark)
	}
	n, err := g.r.Read(p)
	g.read += int64(n)
	return n, err
}

// finite replaces the bare nan and inf that old versions of Ceph write, outside strings, by an
// empty text, which is no number. It never changes the number of bytes. It wants long reads.
type finite struct {
	r       io.Reader
	quoted  bool
	escaped bool
	held    [16]byte // the beginning of a word that the last read cut
	nheld   int
}

func (f *finite) Read(p []byte) (int, error) {
	if len(p) <= 2*len(f.held) {
		return 0, io.ErrShortBuffer
	}
	n := copy(p, f.held[:f.nheld])
	f.nheld = 0
	m, err := f.r.Read(p[n:])
	n += m
	i := 0
	for i < n {
		c := p[i]
		switch {
		case f.escaped:
			f.escaped = false
		case f.quoted:
			f.escaped, f.quoted = c == '\\', c != '"'
		case c == '"':
			f.quoted = true
		case c == 'n' || c == 'N' || c == 'i' || c == 'I' || c == '-':
			end := i + 1
			for end < n && end-i < len(f.held) && isWord(p[end]) {
				end++
			}
			if end == n && err == nil && end-i < len(f.held) { // cut: wait for the rest of the word
				f.nheld = copy(f.held[:], p[i:end])
				return i, nil
			}
			blank(p[i:end])
			i = end
			continue
		}
		i++
	}
	return n, err
}

func isWord(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// blank overwrites a number that JSON lacks.
func blank(word []byte) {
	switch strings.ToLower(strings.TrimPrefix(string(word), "-")) {
	case "nan", "inf", "infinity":
		copy(word, append([]byte(`""`), bytes.Repeat([]byte{' '}, len(word)-2)...))
	}
}

// place is an error with the byte where it happened.
func (w *walk) place(err error) error {
	var syntax *jsontext.SyntacticError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fmt.Errorf("ends at byte %d in the middle of the text: was it cut? Get a whole copy", w.in.read)
	case errors.As(err, &syntax):
		return fmt.Errorf("no sound JSON at byte %d: %w", syntax.ByteOffset, syntax.Err)
	}
	return err
}

func (w *walk) begin(most int64) { w.in.mark, w.in.most = w.dec.InputOffset(), most }

// skip passes over the next value.
func (w *walk) skip() error {
	for depth := 0; ; {
		w.begin(maxToken)
		t, err := w.dec.ReadToken()
		if err != nil {
			return w.place(err)
		}
		switch t.Kind() {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

// object calls f for each member; f must consume its value.
func (w *walk) object(path string, f func(key string) error) error {
	if ok, err := w.want('{', path); !ok {
		return err
	}
	for w.dec.PeekKind() == '"' {
		w.begin(maxToken)
		key, err := w.dec.ReadToken()
		if err != nil {
			return w.place(err)
		}
		if err := f(key.String()); err != nil {
			return err
		}
	}
	_, err := w.dec.ReadToken()
	return w.place(err)
}

// array calls f for each element; f must consume it.
func (w *walk) array(path string, f func() error) error {
	if ok, err := w.want('[', path); !ok {
		return err
	}
	for {
		switch k := w.dec.PeekKind(); k {
		case ']':
			_, err := w.dec.ReadToken()
			return w.place(err)
		case 0:
			_, err := w.dec.ReadToken()
			if err == nil {
				err = io.ErrUnexpectedEOF
			}
			return w.place(err)
		}
		if err := f(); err != nil {
			return err
		}
	}
}

// each calls f with each object of an array.
func (w *walk) each(path string, f func(node)) error {
	return w.array(path, func() error {
		n, err := w.value(path + "[]")
		if err == nil && n.isObject() {
			f(n)
		}
		return err
	})
}

// want opens a value of a kind; one of another kind is noted and skipped.
func (w *walk) want(kind jsontext.Kind, path string) (bool, error) {
	w.begin(maxToken)
	got := w.dec.PeekKind()
	if got == kind {
		_, err := w.dec.ReadToken()
		return err == nil, w.place(err)
	}
	if got == 0 {
		_, err := w.dec.ReadToken()
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		return false, w.place(err)
	}
	w.miss.add(path, "not %s, left out", kindName(kind))
	return false, w.skip()
}

func kindName(k jsontext.Kind) string {
	if k == '{' {
		return "an object"
	}
	return "a list"
}

// value keeps the next value.
func (w *walk) value(path string) (node, error) {
	w.begin(maxValue)
	raw, err := w.dec.ReadValue()
	n := node{path: path, miss: w.miss}
	if err != nil {
		return n, w.place(err)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&n.v); err != nil {
		return n, fmt.Errorf("no sound JSON in %s: %w", path, err)
	}
	return n, nil
}

// more tells whether another top-level value follows; what is no JSON is left alone.
func (w *walk) more() bool {
	w.begin(maxToken)
	k := w.dec.PeekKind()
	return k == '{' || k == '['
}

// A node is a JSON value that was kept, with its path. Looking something up that is not there
// gives a zero; what is there and of a wrong type is noted too. Members are found in any case.
type node struct {
	v    any
	path string
	miss *notes
}

func (n node) isObject() bool {
	_, ok := n.v.(map[string]any)
	if !ok {
		n.miss.add(n.path, "not an object, left out")
	}
	return ok
}

// get is the first of the named members that is there and not null; without names it is n.
func (n node) get(keys ...string) (node, bool) {
	if len(keys) == 0 {
		return n, n.v != nil
	}
	m, _ := n.v.(map[string]any)
	for _, key := range keys {
		if v, ok := m[key]; ok && v != nil {
			return node{v, n.path + "." + key, n.miss}, true
		}
	}
	for _, key := range keys {
		first := ""
		for k, v := range m {
			if len(k) == len(key) && v != nil && (first == "" || k < first) && strings.EqualFold(k, key) {
				first = k
			}
		}
		if first != "" {
			return node{m[first], n.path + "." + key, n.miss}, true
		}
	}
	return node{nil, n.path + "." + keys[0], n.miss}, false
}

// at is the member of a path of names, or nothing.
func (n node) at(keys ...string) node {
	for _, k := range keys {
		n, _ = n.get(k)
	}
	return n
}

// num is a number, or the number that a string holds.
func (n node) num(keys ...string) (float64, bool) {
	m, ok := n.get(keys...)
	if !ok {
		return 0, false
	}
	return m.number()
}

func (n node) number() (float64, bool) {
	var v float64
	var err error
	switch x := n.v.(type) {
	case json.Number:
		v, err = strconv.ParseFloat(string(x), 64)
	case string:
		v, err = strconv.ParseFloat(strings.TrimSpace(x), 64)
		if strings.TrimSpace(x) == "" {
			return 0, false
		}
	case []any: // newer versions of some stores give one number a pool
		if len(x) > 0 {
			return node{x[0], n.path, n.miss}.number()
		}
		return 0, false
	default:
		err = strconv.ErrSyntax
	}
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		n.miss.add(n.path, "not a number, left out")
		return 0, false
	}
	return v, true
}

// size is a whole number of bytes of 1 or more; 0 is not known.
func (n node) size(keys ...string) (int64, bool) {
	v, ok := n.num(keys...)
	if ok && (v < 1 || v > maxBytes || v != math.Trunc(v)) {
		if v != 0 {
			m, _ := n.get(keys...)
			n.miss.add(m.path, "%s bytes cannot be, left out", strconv.FormatFloat(v, 'g', 4, 64))
		}
		return 0, false
	}
	return int64(v), ok
}

// maxBytes bounds a size: 1 EB.
const maxBytes = 1e18

// count is a whole number of 0 to a million million.
func (n node) count(keys ...string) (int, bool) {
	v, ok := n.num(keys...)
	if ok && (v < 0 || v > 1e12 || v != math.Trunc(v)) {
		m, _ := n.get(keys...)
		n.miss.add(m.path, "not a count, left out")
		return 0, false
	}
	return int(v), ok
}

// text is a string; a number counts as one.
func (n node) text(keys ...string) string {
	m, ok := n.get(keys...)
	if !ok {
		return ""
	}
	switch x := m.v.(type) {
	case string:
		return clean(x)
	case json.Number:
		return x.String()
	}
	n.miss.add(m.path, "not a text, left out")
	return ""
}

// flag is a truth value in any of the ways of writing it.
func (n node) flag(keys ...string) (value, known bool) {
	m, ok := n.get(keys...)
	if !ok {
		return false, false
	}
	switch x := m.v.(type) {
	case bool:
		return x, true
	case json.Number:
		return x.String() != "0", true
	case string:
		switch strings.ToLower(strings.TrimSpace(x)) {
		case "1", "true", "yes":
			return true, true
		case "0", "false", "no":
			return false, true
		}
	}
	n.miss.add(m.path, "neither true nor false, left out")
	return false, false
}

// list is the elements of a list.
func (n node) list(keys ...string) []node {
	m, ok := n.get(keys...)
	if !ok {
		return nil
	}
	x, ok := m.v.([]any)
	if !ok {
		n.miss.add(m.path, "not a list, left out")
		return nil
	}
	out := make([]node, len(x))
	for i, v := range x {
		out[i] = node{v, m.path + "[]", n.miss}
	}
	return out
}

// members lists the members of an object in order of name.
func (n node) members(keys ...string) (names []string, values []node) {
	m, ok := n.get(keys...)
	if !ok {
		return nil, nil
	}
	x, ok := m.v.(map[string]any)
	if !ok {
		n.miss.add(m.path, "not an object, left out")
		return nil, nil
	}
	for _, k := range sortedKeys(x) {
		names = append(names, k)
		values = append(values, node{x[k], m.path + "." + "*", n.miss})
	}
	return names, values
}

// text2 is a text of any length: lists of devices are longer than names.
func (n node) text2(key string) string {
	m, ok := n.get(key)
	if !ok {
		return ""
	}
	s, ok := m.v.(string)
	if !ok {
		n.miss.add(m.path, "not a text, left out")
	}
	return s[:min(len(s), 4096)]
}

// list2 is list, where one number stands for a list of one.
func (n node) list2(keys ...string) []node {
	m, ok := n.get(keys...)
	if _, single := m.v.(json.Number); ok && single {
		return []node{m}
	}
	return n.list(keys...)
}
