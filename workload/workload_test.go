package workload

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestRead(t *testing.T) {
	for _, c := range []struct {
		name string
		l    Load
		k    int
		want float64
	}{
		{"packed small", Load{}, 10, 1},
		{"striped small", Load{Layout: Striped}, 10, 10},
		{"copies", Load{Layout: Striped}, 1, 1},
		{"packed 1 MiB spreads over four", Load{ReadBytes: 1 << 20}, 10, 4},
		{"packed 1 GiB spreads over all", Load{ReadBytes: 1 << 30}, 10, 10},
		{"degraded", Load{Degraded: 1}, 10, 10},
		{"a third degraded", Load{Degraded: 1.0 / 3}, 10, 4},
		{"copies degraded", Load{Degraded: 1}, 1, 1},
	} {
		if got := c.l.Read(c.k).Random; math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%s: %v I/Os, want %v", c.name, got, c.want)
		}
	}
}

func TestWrite(t *testing.T) {
	if got := (Load{}).Write(10, 15).Random; got != 15 {
		t.Errorf("a lone write costs %v I/Os, want 15", got)
	}
	if got := (Load{Burst: 10}).Write(10, 15).Random; got != 1.5 {
		t.Errorf("a write in a burst of ten costs %v I/Os, want 1.5", got)
	}
	if got := (Load{Burst: 10, Layout: Striped}).Write(10, 15).Random; got != 15 {
		t.Errorf("a striped write in a burst costs %v I/Os, want 15", got)
	}
}

func TestValidate(t *testing.T) {
	for _, l := range []Load{{Reads: -1}, {Writes: math.NaN()}, {Peak: 0.5}, {Burst: 0.1}, {Degraded: 2}, {Layout: "sparse"}} {
		if err := l.Validate(); !errors.Is(err, ErrLoad) {
			t.Errorf("%+v: %v", l, err)
		}
	}
	if err := (Load{}).WithDefaults().Validate(); err != nil {
		t.Error(err)
	}
}

// TestBytes: I/Os carry at least the bytes asked for, and packing never costs more I/Os.
func TestBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k, m := rapid.IntRange(1, 20).Draw(t, "k"), rapid.IntRange(0, 10).Draw(t, "m")
		size := rapid.Float64Range(1, 1e9).Draw(t, "size")
		p := Load{ReadBytes: size, WriteBytes: size, Degraded: rapid.Float64Range(0, 1).Draw(t, "degraded"), Burst: 1}
		s := p
		s.Layout = Striped
		r, w := p.Read(k), p.Write(k, k+m)
		if r.Random*Small+r.Sequential < size*(1-1e-9) || w.Random*Small+w.Sequential < size*(1-1e-9) {
			t.Fatalf("%v bytes: read %+v, write %+v", size, r, w)
		}
		if r.Random > s.Read(k).Random*(1+1e-12) {
			t.Fatalf("packed %+v, striped %+v", r, s.Read(k))
		}
	})
}

func ExampleLoad_Read() {
	packed, striped := Load{}, Load{Layout: Striped}
	fmt.Println(packed.Read(10).Random, striped.Read(10).Random)
	// Output: 1 10
}
