package energy

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
)

// unmarshalLedger reads a ledger: one that is written as Encode writes it without reflection,
// and any other JSON as encoding/json does.
func unmarshalLedger(p []byte) (*Ledger, error) {
	if l, ok := plainLedger(p); ok {
		return l, nil
	}
	l := &Ledger{}
	return l, json.Unmarshal(p, l)
}

// plainLedger reads what Encode writes; ok is false where that is not plain.
func plainLedger(p []byte) (l *Ledger, ok bool) {
	s := &scanner{p: p, ok: true}
	l = &Ledger{}
	l.Since = s.time(`{"since":`)
	l.At = s.time(`,"at":`)
	l.Settled = s.time(`,"settled":`)
	s.decode(`,"settings":`, func(p []byte) error { return json.Unmarshal(p, &l.Settings) })
	l.Drives = s.drives()
	s.decode(`,"coding":`, l.Coding.UnmarshalJSON)
	l.CodingNS = time.Duration(s.number(`,"coding_ns":`))
	l.Buckets = s.buckets()
	s.decode(`,"unallocated":`, l.Free.UnmarshalJSON)
	s.decode(`,"pending":`, l.Pending.UnmarshalJSON)
	l.Unseen = time.Duration(s.optional(`,"unseen_ns":`))
	s.want(`}`)
	return l, s.ok && len(s.p) == 0
}

// A scanner takes JSON from the beginning of p; each of its methods first what comes before the
// value. What it does not expect makes ok false, for good.
type scanner struct {
	p  []byte
	ok bool
}

// take takes text that may come next, and tells whether it did.
func (s *scanner) take(text string) bool {
	if len(s.p) < len(text) || string(s.p[:len(text)]) != text {
		return false
	}
	s.p = s.p[len(text):]
	return true
}

func (s *scanner) want(text string) { s.ok = s.ok && s.take(text) }

// until takes what comes before one of some bytes.
func (s *scanner) until(any string) []byte {
	i := bytes.IndexAny(s.p, any)
	if i < 0 {
		s.ok = false
		return nil
	}
	p := s.p[:i]
	s.p = s.p[i:]
	return p
}

// text takes a string in which nothing is escaped.
func (s *scanner) text(before string) string {
	s.want(before)
	s.want(`"`)
	p := s.until(`"`)
	s.want(`"`)
	s.ok = s.ok && plain(p)
	return string(p)
}

func (s *scanner) number(before string) int64 {
	s.want(before)
	p := s.until(`,}`)
	n, err := strconv.ParseInt(string(p), 10, 64)
	s.ok = s.ok && err == nil && proper(p)
	return n
}

func (s *scanner) optional(before string) int64 {
	if !s.take(before) {
		return 0
	}
	return s.number("")
}

func (s *scanner) time(before string) (t time.Time) {
	if err := t.UnmarshalText([]byte(s.text(before))); err != nil {
		s.ok = false
	}
	return t
}

// decode has a number, or an object without strings in it but names, decoded.
func (s *scanner) decode(before string, f func([]byte) error) {
	s.want(before)
	n, depth := 0, 0
	for ; n < len(s.p); n++ {
		switch b := s.p[n]; {
		case b == '{':
			depth++
			continue
		case b == '}' && depth > 0:
			depth--
		case b == ',' || b == '}':
		default:
			continue
		}
		if depth == 0 {
			break
		}
	}
	if s.ok && n < len(s.p) && s.p[0] == '{' {
		n++
	}
	p := s.p[:n]
	s.ok = s.ok && n > 0 && (p[0] == '{' || proper(p)) && f(p) == nil
	s.p = s.p[n:]
}

// members takes an object: value takes what comes after each name.
func (s *scanner) members(before string, value func(name string)) {
	s.want(before)
	s.want(`{`)
	for n := 0; s.ok && !s.take(`}`); n++ {
		if n > 0 {
			s.want(`,`)
		}
		name := s.text("")
		s.want(`:`)
		value(name)
	}
}

func (s *scanner) drives() map[int32]*DriveAccount {
	by := map[int32]*DriveAccount{}
	s.members(`,"drives":`, func(name string) {
		id, err := strconv.ParseInt(name, 10, 32)
		s.ok = s.ok && err == nil
		by[int32(id)] = s.drive()
	})
	return by
}

func (s *scanner) drive() *DriveAccount {
	d := &DriveAccount{}
	d.Site = s.text(`{"site":`)
	d.Name = s.text(`,"name":`)
	d.Profile = s.text(`,"profile":`)
	d.Capacity = s.number(`,"capacity":`)
	d.Off = s.take(`,"off":true`)
	d.At = s.time(`,"at":`)
	d.Used = s.time(`,"used":`)
	s.decode(`,"spent":`, d.Spent.UnmarshalJSON)
	s.decode(`,"times_ns":`, d.Times.UnmarshalJSON)
	d.Unseen = time.Duration(s.optional(`,"unseen_ns":`))
	d.Work = s.work()
	d.Starts = s.optional(`,"starts":`)
	d.Gaps = s.optional(`,"gaps":`)
	d.Beyond = time.Duration(s.optional(`,"beyond_ns":`))
	s.want(`}`)
	return d
}

func (s *scanner) work() (w Work) {
	s.want(`,"work":{`)
	comma := ""
	next := func(name string, n *int64) {
		if *n = s.optional(comma + name); *n != 0 {
			comma = `,`
		}
	}
	next(`"reads":`, &w.Reads)
	next(`"writes":`, &w.Writes)
	next(`"syncs":`, &w.Syncs)
	next(`"read_seeks":`, &w.ReadSeeks)
	next(`"write_seeks":`, &w.WriteSeeks)
	next(`"bytes_read":`, &w.BytesRead)
	next(`"bytes_written":`, &w.BytesWritten)
	s.want(`}`)
	return w
}

func (s *scanner) buckets() map[string]*BucketAccount {
	by := map[string]*BucketAccount{}
	s.members(`,"buckets":`, func(name string) {
		b := &BucketAccount{Raw: s.number(`{"raw":`)}
		s.decode(`,"spent":`, b.Spent.UnmarshalJSON)
		if !s.take(`}`) {
			b.Users = map[string]*Parts{}
			s.members(`,"users":`, func(user string) {
				p := &Parts{}
				s.decode("", p.UnmarshalJSON)
				b.Users[user] = p
			})
			s.want(`}`)
		}
		by[name] = b
	})
	return by
}
