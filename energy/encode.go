package energy

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"
)

// A busy cluster writes its ledger every second, and each opening reads it. So it is written
// without reflection, byte for byte as encoding/json would.

// Encode writes a ledger as JSON.
func (l *Ledger) Encode() ([]byte, error) {
	settings, err := json.Marshal(l.Settings)
	if err != nil {
		return nil, err
	}
	e := &encoder{p: make([]byte, 0, 1024+512*len(l.Drives)+256*len(l.Buckets))}
	e.time(`{"since":`, l.Since)
	e.time(`,"at":`, l.At)
	e.time(`,"settled":`, l.Settled)
	e.raw(`,"settings":`, settings)
	e.drives(l.Drives)
	e.p = l.Coding.append(append(e.p, `,"coding":`...))
	e.number(`,"coding_ns":`, int64(l.CodingNS))
	e.buckets(l.Buckets)
	e.p = l.Free.append(append(e.p, `,"unallocated":`...))
	e.p = l.Pending.append(append(e.p, `,"pending":`...))
	e.optional(`,"unseen_ns":`, int64(l.Unseen))
	return append(e.p, '}'), e.err
}

// An encoder appends JSON; each of its methods first what comes before the value.
type encoder struct {
	p   []byte
	err error // the first
}

func (e *encoder) raw(before string, p []byte) { e.p = append(append(e.p, before...), p...) }

func (e *encoder) number(before string, n int64) {
	e.p = strconv.AppendInt(append(e.p, before...), n, 10)
}

func (e *encoder) optional(before string, n int64) {
	if n != 0 {
		e.number(before, n)
	}
}

func (e *encoder) text(before, s string) {
	e.p = append(e.p, before...)
	if plain(s) {
		e.p = append(append(append(e.p, '"'), s...), '"')
		return
	}
	p, _ := json.Marshal(s) // a string: it marshals
	e.p = append(e.p, p...)
}

// plain tells whether text stands in JSON as it is.
func plain[T string | []byte](s T) bool {
	for i := range len(s) {
		switch b := s[i]; {
		case b < ' ' || b > '~' || b == '"' || b == '\\' || b == '<' || b == '>' || b == '&':
			return false
		}
	}
	return true
}

func (e *encoder) time(before string, t time.Time) {
	p, err := t.AppendText(append(append(e.p, before...), '"'))
	if err != nil && e.err == nil {
		e.err = err
	}
	e.p = append(p, '"')
}

// drives writes accounts in the order of their numbers as text, which is that of encoding/json.
func (e *encoder) drives(by map[int32]*DriveAccount) {
	names := make([]string, 0, len(by))
	for id := range by {
		names = append(names, strconv.Itoa(int(id)))
	}
	slices.Sort(names)
	e.p = append(e.p, `,"drives":{`...)
	for i, name := range names {
		id, _ := strconv.ParseInt(name, 10, 32) // it was formatted above
		e.comma(i)
		e.text("", name)
		e.drive(by[int32(id)])
	}
	e.p = append(e.p, '}')
}

func (e *encoder) comma(i int) {
	if i > 0 {
		e.p = append(e.p, ',')
	}
}

func (e *encoder) drive(d *DriveAccount) {
	e.text(`:{"site":`, d.Site)
	e.text(`,"name":`, d.Name)
	e.text(`,"profile":`, d.Profile)
	e.number(`,"capacity":`, d.Capacity)
	if d.Off {
		e.p = append(e.p, `,"off":true`...)
	}
	e.time(`,"at":`, d.At)
	e.time(`,"used":`, d.Used)
	e.p = d.Spent.append(append(e.p, `,"spent":`...))
	e.p = d.Times.append(append(e.p, `,"times_ns":`...))
	e.optional(`,"unseen_ns":`, int64(d.Unseen))
	e.work(d.Work)
	e.optional(`,"starts":`, d.Starts)
	e.optional(`,"gaps":`, d.Gaps)
	e.optional(`,"beyond_ns":`, int64(d.Beyond))
	e.p = append(e.p, '}')
}

func (e *encoder) work(w Work) {
	e.p = append(e.p, `,"work":`...)
	from := len(e.p)
	e.optional(`,"reads":`, w.Reads)
	e.optional(`,"writes":`, w.Writes)
	e.optional(`,"syncs":`, w.Syncs)
	e.optional(`,"read_seeks":`, w.ReadSeeks)
	e.optional(`,"write_seeks":`, w.WriteSeeks)
	e.optional(`,"bytes_read":`, w.BytesRead)
	e.optional(`,"bytes_written":`, w.BytesWritten)
	e.p = braced(e.p, from)
}

func (e *encoder) buckets(by map[string]*BucketAccount) {
	e.p = append(e.p, `,"buckets":{`...)
	for i, name := range slices.Sorted(maps.Keys(by)) {
		b := by[name]
		e.comma(i)
		e.text("", name)
		e.number(`:{"raw":`, b.Raw)
		e.p = b.Spent.append(append(e.p, `,"spent":`...))
		e.users(b.Users)
		e.p = append(e.p, '}')
	}
	e.p = append(e.p, '}')
}

func (e *encoder) users(by map[string]*Parts) {
	if len(by) == 0 {
		return
	}
	e.p = append(e.p, `,"users":{`...)
	for i, name := range slices.Sorted(maps.Keys(by)) {
		e.comma(i)
		e.text("", name)
		e.p = by[name].append(append(e.p, ':'))
	}
	e.p = append(e.p, '}')
}

func (p Parts) append(to []byte) []byte {
	from := len(to)
	for i, a := range p {
		if !a.IsZero() {
			to = append(append(append(to, ',', '"'), causeNames[i]...), '"', ':')
			to = a.append(to)
		}
	}
	return braced(to, from)
}

// braced puts braces around the members of an object from an offset on, each of which has a
// comma before it.
func braced(p []byte, from int) []byte {
	if len(p) == from {
		return append(p, '{', '}')
	}
	p[from] = '{'
	return append(p, '}')
}

func (t Times) append(to []byte) []byte {
	from := len(to)
	for i, d := range t {
		if d != 0 {
			to = append(append(append(to, ',', '"'), State(i).String()...), '"', ':')
			to = strconv.AppendInt(to, int64(d), 10)
		}
	}
	return braced(to, from)
}

// append appends a in joules, exactly.
func (a Amount) append(to []byte) []byte {
	if a.hi > 0 {
		return append(to, a.String()...)
	}
	const joule = 1_000_000_000
	to = strconv.AppendUint(to, a.lo/joule, 10)
	rest := a.lo % joule
	if rest == 0 {
		return to
	}
	at := len(to)
	to = strconv.AppendUint(to, joule+rest, 10) // 1 and nine digits
	to[at] = '.'
	return bytes.TrimRight(to, "0")
}

// eachNumber calls f for every member of a JSON object of numbers that is written as here, and
// tells whether it was one, and f always true.
func eachNumber(text []byte, f func(name, number []byte) bool) bool {
	if len(text) < 2 || text[0] != '{' || text[len(text)-1] != '}' {
		return false
	}
	rest := text[1 : len(text)-1]
	for len(rest) > 0 {
		if rest[0] != '"' {
			return false
		}
		name, after, ok := bytes.Cut(rest[1:], []byte(`":`))
		number, more, next := bytes.Cut(after, []byte{','})
		if !ok || next && len(more) == 0 || !plain(name) || !proper(number) || !f(name, number) {
			return false
		}
		rest = more
	}
	return true
}

// proper tells whether a number begins and ends as JSON wants it.
func proper(p []byte) bool {
	p = bytes.TrimPrefix(p, []byte{'-'})
	if len(p) == 0 || p[0] < '0' || p[0] > '9' || p[0] == '0' && len(p) > 1 && p[1] != '.' {
		return false
	}
	return p[len(p)-1] != '.'
}
