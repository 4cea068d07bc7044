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
)

var kindNames = map[string]Kind{"replica": Replica, "rs": RS, "lrc": LRC}

// A Scheme is a redundancy rule. The zero Scheme means that none was chosen. Schemes can be
// compared with ==.
type Scheme struct {
	Kind Kind
	K    int // data shards: 1 for copies
	M    int // further shards: copies, parities, or L+R
	L, R int // local and global parities of an lrc
}

// MaxShards is the largest number of shards of a stripe.
const MaxShards = 255

// ErrScheme is the error of a scheme that cannot be.
var ErrScheme = errors.New("bad scheme")

// Parse reads "replica:N", "rs:K+M" or "lrc:K+L+R".
func Parse(text string) (Scheme, error) {
	name, rest, ok := strings.Cut(text, ":")
	kind := kindNames[name]
	if !ok || kind == 0 {
		return Scheme{}, fmt.Errorf("%w %q: want replica:COPIES, rs:DATA+PARITY or lrc:DATA+LOCAL+GLOBAL, for example rs:9+6%s", ErrScheme, text, suggest(name))
	}
	var n []int
	for _, part := range strings.Split(rest, "+") {
		v, err := strconv.Atoi(part)
		if err != nil || len(part) > 3 || strconv.Itoa(v) != part {
			return Scheme{}, malformed(text, kind)
		}
		n = append(n, v)
	}
	if len(n) != map[Kind]int{Replica: 1, RS: 2, LRC: 3}[kind] {
		return Scheme{}, malformed(text, kind)
	}
	var s Scheme
	switch kind {
	case Replica:
		s = Scheme{Kind: Replica, K: 1, M: n[0] - 1}
	case RS:
		s = Scheme{Kind: RS, K: n[0], M: n[1]}
	case LRC:
		s = Scheme{Kind: LRC, K: n[0], M: n[1] + n[2], L: n[1], R: n[2]}
	}
	if err := s.Validate(); err != nil {
		return Scheme{}, fmt.Errorf("%q: %w", text, err)
	}
	return s, nil
}

func malformed(text string, kind Kind) error {
	want := map[Kind]string{
		Replica: "replica:COPIES, for example replica:3",
		RS:      "rs:DATA+PARITY, for example rs:9+6",
		LRC:     "lrc:DATA+LOCAL+GLOBAL, for example lrc:12+2+2",
	}[kind]
	return fmt.Errorf("%w %q: want %s", ErrScheme, text, want)
}

// suggest names the kind that a mistyped one was meant to be.
func suggest(name string) string {
	switch n := strings.ToLower(strings.TrimSpace(name)); {
	case n == "":
		return ""
	case strings.HasPrefix(n, "rep") || strings.HasPrefix(n, "cop") || strings.HasPrefix(n, "mirror"):
		return "; did you mean replica:3?"
	case strings.HasPrefix(n, "lr") || strings.HasPrefix(n, "local"):
		return "; did you mean lrc:12+2+2?"
	case strings.HasPrefix(n, "r") || strings.HasPrefix(n, "ec") || strings.HasPrefix(n, "erasure"):
		return "; did you mean rs:9+6?"
	}
	return ""
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
	}
	return "none"
}

// MarshalText is String for a valid scheme.
func (s Scheme) MarshalText() ([]byte, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	return []byte(s.String()), nil
}

// UnmarshalText is Parse.
func (s *Scheme) UnmarshalText(text []byte) (err error) {
	*s, err = Parse(string(text))
	return err
}

// Validate tells why a scheme cannot be, if so.
func (s Scheme) Validate() error {
	bad := func(why string) error { return fmt.Errorf("%w: %s", ErrScheme, why) }
	switch s.Kind {
	case Replica:
		if s.K != 1 || s.M < 0 || s.L != 0 || s.R != 0 {
			return bad("replica needs one copy or more, for example replica:3")
		}
	case RS:
		if s.K < 1 || s.M < 1 || s.L != 0 || s.R != 0 {
			return bad("rs needs one data shard and one parity shard or more, for example rs:9+6")
		}
	case LRC:
		switch {
		case s.K < 2 || s.L < 1 || s.R < 1 || s.M != s.L+s.R:
			return bad("lrc needs data, local and global shards, for example lrc:12+2+2")
		case s.K%s.L != 0:
			return bad(fmt.Sprintf("%d data shards cannot be split into %d equal local groups: make DATA a multiple of LOCAL", s.K, s.L))
		case s.K/s.L < 2:
			return bad("a local group needs two data shards or more: fewer LOCAL or more DATA")
		}
	default:
		return bad("no kind")
	}
	if s.N() > MaxShards {
		return bad(fmt.Sprintf("%d shards are more than %d", s.N(), MaxShards))
	}
	return nil
}

// N is the number of shards of a stripe.
func (s Scheme) N() int { return s.K + s.M }

// Overhead is raw bytes for each byte stored, in full stripes.
func (s Scheme) Overhead() float64 { return float64(s.N()) / float64(s.K) }

// Tolerates is the number of shards that may be lost, whichever they are. An lrc stands any
// R+1, and most patterns of more.
func (s Scheme) Tolerates() int {
	if s.Kind == LRC {
		return s.R + 1
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

// group is the local group of shard i, or -1 when it is in none.
func (s Scheme) group(i int) int {
	switch {
	case i < s.K:
		return i / (s.K / s.L)
	case i < s.K+s.L:
		return i - s.K
	}
	return -1
}

// members are the shards of a local group: its columns and its parity.
func (s Scheme) members(g int) []int {
	per := s.K / s.L
	var list []int
	for i := g * per; i < (g+1)*per; i++ {
		list = append(list, i)
	}
	return append(list, s.K+g)
}

// generator has a row of K coefficients for each shard.
func (s Scheme) generator() [][]byte {
	rows := make([][]byte, s.N())
	for i := range rows {
		rows[i] = make([]byte, s.K)
		for j := range rows[i] {
			rows[i][j] = s.coefficient(i, j)
		}
	}
	return rows
}

func (s Scheme) coefficient(i, j int) byte {
	p := i - s.K
	switch {
	case p < 0:
		if i == j {
			return 1
		}
		return 0
	case s.Kind == Replica || s.Kind == RS && s.M == 1:
		return 1
	case s.Kind == RS:
		return inverse(byte(i) ^ byte(j))
	case p < s.L:
		if s.group(j) == p {
			return 1
		}
		return 0
	}
	c, v := s.element(j), byte(1)
	for range p - s.L + 1 {
		v = mul(v, c)
	}
	return v
}

// element is the coefficient c_j of an lrc.
func (s Scheme) element(j int) byte {
	per := s.K / s.L
	if s.L == 2 && per <= 15 {
		return byte(j%per+1) << (4 * (j / per))
	}
	return exps[j]
}
