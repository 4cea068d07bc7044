package erasure

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func mustParse(t rapid.TB, text string) Scheme {
	t.Helper()
	s, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestParse(t *testing.T) {
	for text, want := range map[string]Scheme{
		"replica:1":   {Kind: Replica, K: 1},
		"replica:3":   {Kind: Replica, K: 1, M: 2},
		"replica:255": {Kind: Replica, K: 1, M: 254},
		"rs:9+6":      {Kind: RS, K: 9, M: 6},
		"rs:1+254":    {Kind: RS, K: 1, M: 254},
		"rs:254+1":    {Kind: RS, K: 254, M: 1},
		"lrc:12+2+2":  {Kind: LRC, K: 12, M: 4, L: 2, R: 2},
		"lrc:12+4+2":  {Kind: LRC, K: 12, M: 6, L: 4, R: 2},
	} {
		got, err := Parse(text)
		if got != want || err != nil {
			t.Errorf("Parse(%q) = %+v, %v; want %+v", text, got, err, want)
		}
		if got.String() != text {
			t.Errorf("%q prints as %q", text, got)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for text, hint := range map[string]string{
		"":                          "want replica:COPIES",
		"rs":                        "want rs:DATA+PARITY",
		"rs:10":                     "want rs:DATA+PARITY, for example rs:9+6",
		"rs:10+":                    "want rs:DATA+PARITY",
		"rs:0+3":                    "one data shard",
		"rs:3+0":                    "one parity shard",
		"rs:200+56":                 "256 shards are more than 255",
		"rs:1000+4":                 "1004 shards are more than 255",
		"rs:-1+2":                   "want rs:",
		"rs:+1+2":                   "want rs:",
		"rs:03+2":                   "want rs:",
		"rs:1+2+3":                  "want rs:",
		"rs:9+6 ":                   "want rs:",
		"rs:9e9+6":                  "want rs:",
		"replica:0":                 "one copy or more",
		"replica:256":               "more than 255",
		"replica:x":                 "want replica:COPIES",
		"lrc:12+2":                  "want lrc:DATA+LOCAL+GLOBAL",
		"lrc:12+5+2":                "make DATA a multiple of LOCAL",
		"lrc:2+2+2":                 "fewer LOCAL",
		"lrc:12+2+0":                "use rs",
		"raid:5":                    "want replica:COPIES",
		"RS:9+6":                    "did you mean rs:9+6?",
		"r:9+6":                     "did you mean rs:9+6?",
		"lcr:12+2+2":                "did you mean lrc:12+2+2?",
		"replicas:3":                "did you mean replica:3?",
		"9+6":                       "did you mean rs:9+6?",
		"12+2+2":                    "did you mean lrc:12+2+2?",
		"3":                         "did you mean replica:3?",
		"rs:99999999999999999999+1": "want rs:",
	} {
		s, err := Parse(text)
		if !errors.Is(err, ErrScheme) || !strings.Contains(err.Error(), hint) {
			t.Errorf("Parse(%q) = %v, %v; want an ErrScheme with %q", text, s, err, hint)
		}
	}
	if _, err := Parse("lattice:9+6"); strings.Contains(err.Error(), "did you mean") {
		t.Errorf("far from any kind, yet: %v", err)
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "rs", 2}, {"rs", "", 2}, {"rs", "rs", 0}, {"lcr", "lrc", 2}, {"kitten", "sitting", 3}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func drawScheme(t *rapid.T) Scheme {
	switch rapid.SampledFrom([]Kind{Replica, RS, LRC}).Draw(t, "kind") {
	case Replica:
		return Scheme{Kind: Replica, K: 1, M: rapid.IntRange(0, 254).Draw(t, "m")}
	case RS:
		k := rapid.IntRange(1, 254).Draw(t, "k")
		return Scheme{Kind: RS, K: k, M: rapid.IntRange(1, 255-k).Draw(t, "m")}
	}
	l, per := rapid.IntRange(1, 12).Draw(t, "l"), rapid.IntRange(2, 18).Draw(t, "per")
	r := rapid.IntRange(1, 255-l-l*per).Draw(t, "r")
	return Scheme{Kind: LRC, K: l * per, M: l + r, L: l, R: r}
}

// TestForms: text, JSON and the header's four bytes all give back the scheme.
func TestForms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawScheme(t)
		if err := s.Validate(); err != nil {
			t.Fatalf("%+v: %v", s, err)
		}
		if got := mustParse(t, s.String()); got != s {
			t.Fatalf("%v parses as %+v, want %+v", s, got, s)
		}
		if got, err := SchemeFromCode(s.Code()); got != s || err != nil {
			t.Fatalf("%v: code %v gives %+v, %v", s, s.Code(), got, err)
		}
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var got Scheme
		if err := json.Unmarshal(text, &got); got != s || err != nil {
			t.Fatalf("%s gives %+v, %v", text, got, err)
		}
	})
}

func TestZeroScheme(t *testing.T) {
	var s Scheme
	text, err := json.Marshal(s)
	if string(text) != `""` || err != nil {
		t.Errorf("the zero scheme marshals as %s, %v", text, err)
	}
	s = Scheme{Kind: RS, K: 2, M: 1}
	if err := json.Unmarshal(text, &s); s != (Scheme{}) || err != nil {
		t.Errorf("the empty text gives %v, %v", s, err)
	}
	if err := s.Validate(); !errors.Is(err, ErrScheme) {
		t.Errorf("the zero scheme is valid: %v", err)
	}
	if _, err := New(s); !errors.Is(err, ErrScheme) {
		t.Errorf("the zero scheme has a code: %v", err)
	}
	if _, err := json.Marshal(Scheme{Kind: RS, K: 2}); !errors.Is(err, ErrScheme) {
		t.Errorf("an invalid scheme marshals: %v", err)
	}
}

func TestSchemeFromCodeRefuses(t *testing.T) {
	for _, code := range [][4]byte{{}, {9, 1, 1, 0}, {byte(Replica), 2, 1, 0}, {byte(RS), 9, 6, 1}, {byte(RS), 0, 6, 0}, {byte(LRC), 12, 5, 2}, {byte(RS), 200, 200, 0}} {
		if s, err := SchemeFromCode(code); !errors.Is(err, ErrScheme) {
			t.Errorf("code %v gives %+v, %v", code, s, err)
		}
	}
}

func TestOverhead(t *testing.T) {
	for text, want := range map[string]float64{"replica:3": 3, "rs:10+5": 1.5, "lrc:12+2+2": 16.0 / 12, "rs:4+2": 1.5} {
		if got := mustParse(t, text).Overhead(); got != want {
			t.Errorf("%s: overhead %v, want %v", text, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range slices.Concat(schemes, []string{"rs:9+", "lrc:1+1+1", "replica:-1", "x:1", "RS:9+6", "9+6"}) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		switch {
		case err != nil && (!errors.Is(err, ErrScheme) || s != Scheme{}):
			t.Errorf("%q gives %+v and %v", text, s, err)
		case err == nil && (s.String() != text || s.Validate() != nil):
			t.Errorf("%q gives %+v, which prints as %q", text, s, s)
		}
	})
}
