package whatif

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/wattle-storage/wattle/durability"
)

// equalScenario is 10 PB on three sites, with few schemes to look at.
func equalScenario(sites ...int) Scenario {
	s := Scenario{UsableTB: 10e3, Sweep: Sweep{Sites: sites}}
	s.Drive.AFR = &Range{0.005, 0.01, 0.02}
	return s
}

// TestEqual: all that qualify meet the targets when reckoned anew, ranked by watts, each with
// its twins: as many copies as lose no more, and one less.
func TestEqual(t *testing.T) {
	s := equalScenario(3)
	targets := Targets{Nines: 11, DisasterNines: 5.5, Survive: Tolerance{1, 1}, MostShards: 15}
	c, err := Equal(s, targets)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Qualifying) == 0 || c.Best != nil || c.Considered < len(c.Qualifying) {
		t.Fatalf("%d qualify of %d, best %v", len(c.Qualifying), c.Considered, c.Best)
	}
	twins := map[string]Qualified{}
	for _, q := range c.Twins {
		twins[q.Option.Scheme] = q
	}
	last := 0.0
	for _, q := range c.Qualifying {
		sys, err := SystemOf(q.Option, baseSystem(s))
		if err != nil {
			t.Fatal(err)
		}
		r, err := durability.Evaluate(sys)
		if err != nil {
			t.Fatal(err)
		}
		if n := durability.Nines(r.WithBursts.NOMDL.High); n < 11 || n != q.Nines || durability.Nines(r.SitesHighAFR) < 5.5 || r.Survives.Sites < 1 || r.Survives.Sites == 1 && r.Survives.LeftOver < 1 {
			t.Errorf("%s does not meet the targets: %v nines, %+v", q.Option.Scheme, n, r.Survives)
		}
		if w := q.Option.WPerStoredTB.Typical; w < last {
			t.Errorf("%s: %v W after %v", q.Option.Scheme, w, last)
		} else {
			last = w
		}
		if q.TwinAbove != "" && twins[q.TwinAbove].DisasterNines < q.DisasterNines-1e-9 || twins[q.TwinBelow].DisasterNines > q.DisasterNines && twins[q.TwinBelow].Option.SitesSurvived > q.Option.SitesSurvived {
			t.Errorf("%s: twins %s and %s", q.Option.Scheme, q.TwinAbove, q.TwinBelow)
		}
		if q.RatioAbove != nil {
			want := q.Option.WPerStoredTB.Typical / twins[q.TwinAbove].Option.WPerStoredTB.Typical
			if math.Abs(q.RatioAbove.Typical/want-1) > 1e-9 || q.RatioAbove.High-q.RatioAbove.Low > 0.2 {
				t.Errorf("%s: ratio %v to %s, want %v", q.Option.Scheme, q.RatioAbove, q.TwinAbove, want)
			}
		}
		if q.Option.NinesDisasters == nil {
			t.Errorf("%s has no nines", q.Option.Scheme)
		}
	}
	if q := c.Qualifying[0]; q.TwinAbove != "replica:3" || q.TwinBelow != "replica:2" {
		t.Errorf("the best is %s between %s and %s, want three copies and two", q.Option.Scheme, q.TwinAbove, q.TwinBelow)
	}
	// on the front nothing is beaten in both
	for _, p := range c.Front {
		for _, o := range c.Front {
			if p.OnFront && o.WPerStoredTB < p.WPerStoredTB && o.DisasterNines >= p.DisasterNines {
				t.Errorf("%s is on the front and %s beats it", p.Scheme, o.Scheme)
			}
		}
	}
	for _, by := range []string{"kwh", "co2e", "nines", "raw", "watts"} {
		if err := c.Rank(by); err != nil {
			t.Error(err)
		}
	}
	if c.Rank("eur") == nil || c.Rank("beauty") == nil {
		t.Error("ranked by what is not known")
	}
	var page bytes.Buffer
	if err := c.HTML(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<svg", strings.ReplaceAll(c.Qualifying[0].Option.Scheme, "+", "&#43;"), "software faults"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page.String(), "NaN") || strings.Contains(page.String(), "http") {
		t.Error("the page has NaN or goes outside")
	}
}

// TestEqualNothing: when nothing qualifies the best is shown, with what holds it back.
func TestEqualNothing(t *testing.T) {
	c, err := Equal(equalScenario(3), Targets{Nines: 11, DisasterNines: 14, Survive: Tolerance{1, 0}, MostShards: 9})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Qualifying) != 0 || c.Best == nil || len(c.Best.Missing) == 0 {
		t.Fatalf("%d qualify, best %v", len(c.Qualifying), c.Best)
	}
	if c.Best.Binding != "disaster rate" || c.Best.Levers[0].Nines < 1 {
		t.Errorf("bound by %s, %v", c.Best.Binding, c.Best.Levers)
	}
	var page bytes.Buffer
	if err := c.HTML(&page); err != nil || !strings.Contains(page.String(), "a tenth of the disasters") {
		t.Errorf("the page does not say so: %v", err)
	}
	// without disasters something else binds
	s := equalScenario(3)
	s.Durability.NoDisasters = true
	c, err = Equal(s, Targets{Nines: 60, Survive: Tolerance{1, 0}, MostShards: 6})
	if err != nil {
		t.Fatal(err)
	}
	if c.Best == nil || c.Best.Binding == "disaster rate" || c.Best.Binding == "site return" {
		t.Errorf("bound by %+v", c.Best)
	}
}

func TestEqualErrors(t *testing.T) {
	s := equalScenario(3)
	for want, f := range map[string]func() error{
		"survives":   func() error { _, err := Equal(s, Targets{Nines: 5, Survive: Tolerance{3, 0}}); return err },
		"at_least":   func() error { _, err := Equal(s, Targets{Nines: math.NaN()}); return err },
		"most_shard": func() error { _, err := Equal(s, Targets{Nines: 5, MostShards: 999}); return err },
		"pools": func() error {
			p := s
			p.Pools = []Pool{{Scheme: "rs:4+2", StoredTB: 10}}
			_, err := Equal(p, Targets{Nines: 5})
			return err
		},
	} {
		var field *FieldError
		if err := f(); err == nil || !strings.Contains(err.Error(), want) && !errors.As(err, &field) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
