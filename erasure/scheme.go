package erasure

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A Kind is a family of schemes.
type Kind uint8

// The kinds. The zero Kind is that of no scheme.
const (
	Replica Kind = iota + 1
	RS
	LRC
	Product // modelled, not written: RS in each site, XOR over the sites
)

// A Scheme is a redundancy rule. The zero Scheme means that none was chosen. Schemes can be
// compared with ==.
type Scheme struct {
	Kind Kind
	K    int // data shards: 1 for copies
	M    int // further shards: copies, parities, or L+R
	L, R int // local and global parities of an lrc
	Rows int // sites of a product code, each with a row of N/Rows shards, the last the XOR of the others
}

// MaxShards is the largest number of shards of a stripe.
const MaxShards = 255

// ErrScheme is the error of a scheme that cannot be.
var ErrScheme = errors.New("bad scheme")

// Parse reads "replica:N", "rs:K+M" or "lrc:K+L+R".
func Parse(text string) (Scheme, error) {
	name, rest, _ := strings.Cut(text, ":")
	form, ok := forms[name]
	if name == "product" {
		return Scheme{}, fmt.Errorf("%w %q: product codes are modelled (wattle durability, compare, whatif) and not written: want replica:COPIES, rs:DATA+PARITY or lrc:DATA+LOCAL+GLOBAL", ErrScheme, text)
	}
	if !ok {
		return Scheme{}, fmt.Errorf("%w %q: want replica:COPIES, rs:DATA+PARITY or lrc:DATA+LOCAL+GLOBAL, for example rs:9+6%s", ErrScheme, text, suggest(text))
	}
	n, ok := numbers(rest)
	if !ok || len(n) != form.numbers {
		return Scheme{}, fmt.Errorf("%w %q: want %s", ErrScheme, text, form.want)
	}
	s := form.scheme(n)
	if why := s.flaw(); why != "" {
		return Scheme{}, fmt.Errorf("%w %q: %s", ErrScheme, text, why)
	}
	return s, nil
}

// ParseModelled reads what Parse does, and "product:K+MxSITES": rows of K+M shards in each of
// SITES sites, one of which is the XOR of the others. No Code writes a product.
func ParseModelled(text string) (Scheme, error) {
	rest, ok := strings.CutPrefix(text, "product:")
	if !ok {
		return Parse(text)
	}
	row, sites, _ := strings.Cut(rest, "x")
	n, ok1 := numbers(row)
	s, ok2 := numbers(sites)
	if !ok1 || !ok2 || len(n) != 2 || len(s) != 1 {
		return Scheme{}, fmt.Errorf("%w %q: want product:DATA+PARITYxSITES, for example product:10+4x3", ErrScheme, text)
	}
	out := Scheme{Kind: Product, K: n[0] * (s[0] - 1), M: n[0] + n[1]*s[0], Rows: s[0]}
	if why := out.flaw(); why != "" {
		return Scheme{}, fmt.Errorf("%w %q: %s", ErrScheme, text, why)
	}
	return out, nil
}

// Row is how many data shards and parities a row has that is read and rebuilt by itself: all of
// a stripe, but of a product code those of one site.
func (s Scheme) Row() (data, parity int) {
	if s.Kind != Product {
		return s.K, s.M
	}
	data = s.K / max(s.Rows-1, 1)
	return data, s.N()/max(s.Rows, 1) - data
}

// A form is how a kind of scheme is written.
type form struct {
	numbers int
	want    string
	scheme  func(n []int) Scheme
}

var forms = map[string]form{
	"replica": {1, "replica:COPIES, for example replica:3", func(n []int) Scheme { return Scheme{Kind: Replica, K: 1, M: n[0] - 1} }},
	"rs":      {2, "rs:DATA+PARITY, for example rs:9+6", func(n []int) Scheme { return Scheme{Kind: RS, K: n[0], M: n[1]} }},
	"lrc": {3, "lrc:DATA+LOCAL+GLOBAL, for example lrc:12+2+2", func(n []int) Scheme {
		return Scheme{Kind: LRC, K: n[0], M: n[1] + n[2], L: n[1], R: n[2]}
	}},
}

// numbers reads decimal numbers joined by "+", written in the one way that String has.
func numbers(text string) (list []int, ok bool) {
	for part := range strings.SplitSeq(text, "+") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 || n > 1e6 || strconv.Itoa(n) != part {
			return nil, false
		}
		list = append(list, n)
	}
	return list, true
}

// suggest names the scheme that a mistyped one was meant to be, when one is near.
func suggest(text string) string {
	name, rest, ok := strings.Cut(strings.ToLower(strings.TrimSpace(text)), ":")
	if !ok {
		name, rest = "", name
	}
	best, least := "", 3
	for _, kind := range []string{"rs", "lrc", "replica"} {
		if _, err := Parse(kind + ":" + rest); err != nil {
			continue
		}
		d := distance(name, kind)
		if !ok {
			d = 0 // only numbers: the kind that takes as many
		}
		if d < least {
			best, least = kind+":"+rest, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// distance is the number of letters to insert, remove or change to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := corner
			if a[i] != b[j] {
				d = 1 + min(corner, row[j], row[j+1])
			}
			corner, row[j+1] = row[j+1], d
		}
	}
	return row[len(b)]
}

// String is the form that Parse reads, or "none" for the zero Scheme.
func (s Scheme) String() string {
	switch s.Kind {
	case Replica:
		return fmt.Sprintf("replica:%d", s.M+1)
	case RS:
		return fmt.Sprintf("rs:%d+%d", s.K, s.M)
	case LRC:
		return fmt.Sprintf("lrc:%d+%d+%d", s.K, s.L, s.R)
	case Product:
		data, parity := s.Row()
		return fmt.Sprintf("product:%d+%dx%d", data, parity, s.Rows)
	}
	return "none"
}

// MarshalText is String for a valid scheme, and empty for the zero Scheme.
func (s Scheme) MarshalText() ([]byte, error) {
	if s == (Scheme{}) {
		return nil, nil
	}
	if err := s.Validate(); err != nil {
		return nil, err
	}
	return []byte(s.String()), nil
}

// UnmarshalText is the reverse of MarshalText.
func (s *Scheme) UnmarshalText(text []byte) (err error) {
	if len(text) == 0 {
		*s = Scheme{}
		return nil
	}
	*s, err = Parse(string(text))
	return err
}

// Validate tells why a scheme cannot be, if so.
func (s Scheme) Validate() error {
	if why := s.flaw(); why != "" {
		return fmt.Errorf("%w: %s", ErrScheme, why)
	}
	return nil
}

func (s Scheme) flaw() string {
	switch s.Kind {
	case Replica:
		if s.K != 1 || s.M < 0 || s.L != 0 || s.R != 0 {
			return "replica needs one copy or more, for example replica:3"
		}
	case RS:
		if s.K < 1 || s.M < 1 || s.L != 0 || s.R != 0 {
			return "rs needs one data shard and one parity shard or more, for example rs:9+6; replica:1 has no redundancy"
		}
	case LRC:
		switch {
		case s.K < 1 || s.L < 1 || s.R < 1 || s.M != s.L+s.R:
			return "lrc needs data, local and global shards, for example lrc:12+2+2; without globals or locals use rs"
		case s.K%s.L != 0:
			return fmt.Sprintf("%d data shards do not split into %d equal local groups: make DATA a multiple of LOCAL", s.K, s.L)
		case s.K/s.L < 2:
			return "a local group needs two data shards or more: use fewer LOCAL or more DATA"
		}
	case Product:
		if s.Rows < 3 || s.Rows > 8 || s.K < s.Rows-1 || s.M < s.Rows+s.K/(s.Rows-1) || s.N()%s.Rows != 0 {
			return "product needs 3 to 8 sites, and a data shard and a parity or more in the row of each, for example product:10+4x3"
		}
	default:
		return "no kind: want replica, rs or lrc"
	}
	if s.N() > MaxShards {
		return fmt.Sprintf("%d shards are more than %d", s.N(), MaxShards)
	}
	return ""
}

// N is the number of shards of a stripe.
func (s Scheme) N() int { return s.K + s.M }

// Overhead is raw bytes for each byte stored, in full stripes.
func (s Scheme) Overhead() float64 { return float64(s.N()) / float64(s.K) }

// Tolerates is the number of shards that may be lost, whichever they are. For an lrc that is
// R+1, and no code with its local groups can promise more; most patterns of a few more are
// decodable too.
func (s Scheme) Tolerates() int {
	switch s.Kind {
	case LRC:
		return s.R + 1
	case Product: // the smallest fatal pattern is two rows that lost the same columns, one more than their parities
		_, parity := s.Row()
		return 2*parity + 1
	}
	return s.M
}

// Code is the form that a shard's header holds: kind, K, and M or L and R.
func (s Scheme) Code() [4]byte {
	if s.Kind == LRC {
		return [4]byte{byte(s.Kind), byte(s.K), byte(s.L), byte(s.R)}
	}
	return [4]byte{byte(s.Kind), byte(s.K), byte(s.M), 0}
}

// SchemeFromCode is the reverse of Code.
func SchemeFromCode(c [4]byte) (Scheme, error) {
	s := Scheme{Kind: Kind(c[0]), K: int(c[1]), M: int(c[2])}
	if s.Kind == LRC {
		s.L, s.R, s.M = int(c[2]), int(c[3]), int(c[2])+int(c[3])
	} else if c[3] != 0 {
		return Scheme{}, fmt.Errorf("%w: code %v", ErrScheme, c)
	}
	return s, s.Validate()
}
