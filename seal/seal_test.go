package seal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func ExampleBox() {
	key, salt := NewKey(), NewSalt()
	box := key.Box(ForExtent, "cluster", salt)
	p := make([]byte, 5+Overhead)
	copy(p, "fjord")
	box.Seal(Place{Stripe: 7, Shard: 1}, p, 5)

	moved := bytes.Clone(p)
	_, err := box.Open(Place{Stripe: 7, Shard: 2}, moved)
	fmt.Println(err)
	plain, err := key.Box(ForExtent, "cluster", salt).Open(Place{Stripe: 7, Shard: 1}, p)
	fmt.Println(string(plain), err)
	// Output:
	// encrypted bytes do not verify
	// fjord <nil>
}

func TestLengths(t *testing.T) {
	for _, c := range []struct{ plain, sealed int64 }{{0, 0}, {1, 17}, {Plain - 1, Unit - 1}, {Plain, Unit}, {Plain + 1, Unit + 17}, {16 * Plain, 16 * Unit}, {100_000, 100_000 + 7*Overhead}} {
		if got := Len(c.plain); got != c.sealed {
			t.Errorf("Len(%d) = %d, want %d", c.plain, got, c.sealed)
		}
		if got := PlainLen(c.sealed); got != c.plain {
			t.Errorf("PlainLen(%d) = %d, want %d", c.sealed, got, c.plain)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, 1<<40).Draw(t, "n")
		if Len(PlainLen(n)) > n {
			t.Errorf("%d bytes go into %d, which take %d", PlainLen(n), n, Len(PlainLen(n)))
		}
	})
}

// TestBinding: what was sealed opens with the same key, purpose, cluster, salt and place, and
// with nothing else, nor with a bit changed.
func TestBinding(t *testing.T) {
	key, salt, at := NewKey(), NewSalt(), Place{1 << 41, 3, 5}
	other := salt
	other[15] ^= 1
	sealed := make([]byte, 100+Overhead)
	key.Box(ForExtent, "c1", salt).Seal(at, sealed, 100)
	if bytes.Contains(sealed, make([]byte, 8)) {
		t.Error("a hundred zeros show through")
	}
	open := func(b *Box, at Place, p []byte) error {
		_, err := b.Open(at, bytes.Clone(p))
		return err
	}
	if err := open(key.Box(ForExtent, "c1", salt), at, sealed); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"another key":     open(NewKey().Box(ForExtent, "c1", salt), at, sealed),
		"another purpose": open(key.Box(ForJournal, "c1", salt), at, sealed),
		"another cluster": open(key.Box(ForExtent, "c2", salt), at, sealed),
		"another salt":    open(key.Box(ForExtent, "c1", other), at, sealed),
		"another stripe":  open(key.Box(ForExtent, "c1", salt), Place{1<<41 + 1, 3, 5}, sealed),
		"another shard":   open(key.Box(ForExtent, "c1", salt), Place{1 << 41, 4, 5}, sealed),
		"another unit":    open(key.Box(ForExtent, "c1", salt), Place{1 << 41, 3, 4}, sealed),
		"cut":             open(key.Box(ForExtent, "c1", salt), at, sealed[:99]),
		"nothing":         open(key.Box(ForExtent, "c1", salt), at, nil),
	} {
		if !errors.Is(err, ErrTampered) {
			t.Errorf("%s: %v", name, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		p := bytes.Clone(sealed)
		p[rapid.IntRange(0, len(p)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if err := open(key.Box(ForExtent, "c1", salt), at, p); !errors.Is(err, ErrTampered) {
			t.Errorf("a flipped bit: %v", err)
		}
	})
}

// TestNonces: no two places have the same nonce.
func TestNonces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		place := rapid.Custom(func(t *rapid.T) Place {
			return Place{rapid.Uint64().Draw(t, "stripe"), rapid.Uint8().Draw(t, "shard"), rapid.Uint32Range(0, 1<<24-1).Draw(t, "at")}
		})
		a, b := place.Draw(t, "a"), place.Draw(t, "b")
		if (a == b) != (a.nonce() == b.nonce()) {
			t.Errorf("%+v and %+v: %x and %x", a, b, a.nonce(), b.nonce())
		}
	})
}

func TestRing(t *testing.T) {
	a, b := NewKey(), NewKey()
	wrong := []byte(a.line())
	if at := len(keyWord) + 12; wrong[at] == 'A' { // another digit of the secret, which is in base64
		wrong[at] = 'B'
	} else {
		wrong[at] = 'A'
	}
	for name, c := range map[string]struct {
		text string
		want Ring
		err  string
	}{
		"empty":     {"", nil, ""},
		"one":       {a.line(), Ring{a}, ""},
		"comments":  {"# c\n\n " + a.line() + " # first\n" + b.line() + "\n", Ring{a, b}, ""},
		"one line":  {a.line() + " " + b.line(), Ring{a, b}, ""},
		"twice":     {a.line() + "\n" + a.line(), nil, "line 2: key " + a.ID().String() + " stands there twice"},
		"no key":    {"\nhunter2", nil, "line 2: not a key"},
		"short":     {keyWord + "00000000:AAAA", nil, "line 1: not a key"},
		"wrong":     {string(wrong), nil, "a copy went wrong"},
		"other id":  {strings.Replace(a.line(), a.ID().String(), b.ID().String(), 1), nil, "a copy went wrong"},
		"endless":   {strings.Repeat("x", 1<<17), nil, "far too long"},
		"no secret": {keyWord + a.ID().String(), nil, "line 1: not a key"},
	} {
		got, err := ParseRing([]byte(c.text))
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: error %v, want %q", name, err, c.err)
		}
		if got.IDs() != c.want.IDs() {
			t.Errorf("%s: got %s, want %s", name, got.IDs(), c.want.IDs())
		}
		if err != nil && len(c.text) > 20 && strings.Contains(err.Error(), c.text[len(c.text)-20:]) {
			t.Errorf("%s: the error tells the secret: %v", name, err)
		}
	}
	if k, ok := (Ring{a, b}).Find(b.ID()); !ok || k != b {
		t.Errorf("found %v, %v", k.ID(), ok)
	}
	if a.Print().ID() != a.ID() || Print("xyz").ID() != 0 || Print("").ID() != 0 {
		t.Error("the ID of a fingerprint")
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	a, b := NewKey(), NewKey()
	if _, err := ReadFile(path); !errors.Is(err, ErrKey) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	for _, k := range []Key{a, b, a} {
		if err := AddToFile(path, k); err != nil {
			t.Fatal(err)
		}
	}
	r, err := ReadFile(path)
	if err != nil || r.IDs() != (Ring{a, b}).IDs() {
		t.Errorf("got %s, %v", r.IDs(), err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadFile(path); !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("mode %o: %v", mode, err)
		}
		if err := AddToFile(path, NewKey()); !errors.Is(err, ErrKey) {
			t.Errorf("mode %o, add: %v", mode, err)
		}
	}
	if _, err := ReadFile(t.TempDir()); !errors.Is(err, ErrKey) {
		t.Errorf("a directory: %v", err)
	}
}

func FuzzRing(f *testing.F) {
	k := keyOf([32]byte{1})
	for _, s := range []string{"", k.line(), "# c\n" + k.line() + "\n", keyWord + "::", "x", k.line() + k.line()} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := ParseRing(text)
		if err != nil {
			return
		}
		var again strings.Builder
		for _, k := range r {
			again.WriteString(k.line() + "\n")
		}
		if got, err := ParseRing([]byte(again.String())); err != nil || got.IDs() != r.IDs() {
			t.Errorf("%s came back as %s, %v", r.IDs(), got.IDs(), err)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	box := NewKey().Box(ForExtent, "c", NewSalt())
	p := make([]byte, Unit)
	b.SetBytes(Plain)
	for b.Loop() {
		box.Seal(Place{1, 2, 3}, p, Plain)
	}
}

func BenchmarkBox(b *testing.B) {
	k, s := NewKey(), NewSalt()
	for b.Loop() {
		k.Box(ForExtent, "0123456789abcdef0123456789abcdef", s)
	}
}

// TestFormat pins what is on disks: key, derivation, nonce and tag.
func TestFormat(t *testing.T) {
	k := keyOf([32]byte{1, 2, 3})
	p := make([]byte, 5+Overhead)
	copy(p, "fjord")
	k.Box(ForExtent, "0123456789abcdef", Salt{9, 8, 7}).Seal(Place{Stripe: 1<<40 + 5, Shard: 3, At: 15}, p, 5)
	if got, want := fmt.Sprintf("%s %x", k.Print(), p), "9dee492a4897f02adf5e5ee0d5a9d8712d3b7b01 8de4cbc38acf9f29fab4e325a4bbc18d93c6aee6dd"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
