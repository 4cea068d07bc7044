package cluster

import (
	"bytes"
	"fmt"
	"slices"
)

// A content is what an object may hold; a nil *content is no object.
type content struct {
	p    []byte
	meta string
}

func (b *content) String() string {
	if b == nil {
		return "nothing"
	}
	return fmt.Sprintf("%d bytes %q", len(b.p), b.meta)
}

// A cell is what the model knows of one key: the contents that a read may find. There is one,
// unless changes are under way, or ended without an answer.
type cell struct {
	values  []*content
	writers int
	news    []*content // of changes under way, and of those that ended beside one
	acked   []*content
	unknown []*content
	readers []*look // under way
}

// A look is a read under way and the contents that it may find.
type look struct {
	allowed []*content
	alone   bool // no change ran beside it
}

// An outcome is how a change ended for who asked for it.
type outcome int

const (
	acked   outcome = iota
	refused         // an error, and nothing happened
	unknown         // the process died
)

// begin says that a change to b is under way.
func (c *cell) begin(b *content) {
	c.writers++
	c.news = append(c.news, b)
	for _, l := range c.readers {
		l.allowed, l.alone = append(l.allowed, b), false
	}
}

// end says how it ended.
func (c *cell) end(b *content, o outcome) {
	switch o {
	case acked:
		c.acked = append(c.acked, b)
	case unknown:
		c.unknown = append(c.unknown, b)
	}
	if c.writers--; c.writers > 0 {
		return
	}
	if len(c.acked) > 0 {
		c.values = c.acked
	}
	c.values = slices.Concat(c.values, c.unknown)
	c.news, c.acked, c.unknown = nil, nil, nil
}

// look begins a read.
func (c *cell) look() *look {
	l := &look{allowed: slices.Concat(c.values, c.news), alone: c.writers == 0}
	c.readers = append(c.readers, l)
	return l
}

// found ends a read that found b, and tells whether it may.
func (c *cell) found(l *look, b *content) bool {
	c.readers = slices.DeleteFunc(c.readers, func(m *look) bool { return m == l })
	i := slices.IndexFunc(l.allowed, func(a *content) bool { return a.same(b) })
	if i >= 0 && l.alone && c.writers == 0 {
		c.values = []*content{l.allowed[i]}
	}
	return i >= 0
}

// gone ends a read that was cut short.
func (c *cell) gone(l *look) {
	c.readers = slices.DeleteFunc(c.readers, func(m *look) bool { return m == l })
}

func (b *content) same(a *content) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.meta == b.meta && bytes.Equal(a.p, b.p)
}

// may tells whether a read may find what is is true for.
func (c *cell) may(is func(*content) bool) bool {
	return slices.ContainsFunc(c.values, is) || slices.ContainsFunc(c.news, is)
}

func absent(b *content) bool  { return b == nil }
func present(b *content) bool { return b != nil }

// A ghost is a change that failed and that recovery may find whole on the disks, until a
// batch that began later is committed.
type ghost struct {
	c  *cell
	b  *content
	at int // events by then
}
