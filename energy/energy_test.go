package energy

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestQuantities(t *testing.T) {
	if got := Watts(100).Over(time.Hour).KWh(); math.Abs(got-0.1) > 1e-12 {
		t.Errorf("100 W for an hour is %v kWh", got)
	}
	if got := Watts(1000).KWhPerYear(); got != 8766 {
		t.Errorf("1 kW for a year is %v kWh", got)
	}
	if got := FromKWh(8.766).Mean(Year); math.Abs(float64(got)-1) > 1e-12 {
		t.Errorf("8.766 kWh in a year are %v W", float64(got))
	}
	for w, want := range map[Watts]string{0: "0 W", 5: "5.000 W", 12345: "12345 W", 0.87: "0.8700 W", 1234.5: "1234 W"} {
		if w.String() != want {
			t.Errorf("%v prints as %s, want %s", float64(w), w, want)
		}
	}
}

func TestEstimateJSON(t *testing.T) {
	b, err := json.Marshal(Estimate{1.0 / 3, 0.5, math.Inf(1), "W", Model, "x"})
	if want := `{"low":0.333333333333,"typical":0.5,"high":null,"unit":"W","status":"model","source":"x"}`; err != nil || string(b) != want {
		t.Errorf("got %s, %v", b, err)
	}
}

// TestProfiles: every profile that feeds a result was read somewhere and gives watts.
func TestProfiles(t *testing.T) {
	list := Profiles()
	if len(list) < 30 {
		t.Fatalf("%d profiles", len(list))
	}
	for _, p := range list {
		if !p.Verified || p.Source == "" || p.Source == " ()" || p.Status == Recalled || p.Warning() != "" {
			t.Errorf("%s: verified %v, source %q, status %s", p.ID, p.Verified, p.Source, p.Status)
		}
	}
	es3, err := Lookup("seagate-es3-4tb-sata")
	if err != nil || es3.Watts(Idle) != 7.4 || es3.Watts(Active) != 11.27 || es3.Watts(Standby) != 0.87 || es3.Watts(Off) != 0 || es3.Watts(IdleC) != 3.99 {
		t.Errorf("%+v, %v", es3, err)
	}
	if p, err := Lookup("recall-hgst-he8-8tb"); err != nil || p.Status != Recalled || p.Warning() == "" {
		t.Errorf("a recalled profile by name: %+v, %v", p, err)
	}
	if p, err := Lookup("helium-5w@8TB"); err != nil || p.CapacityTB != 8 {
		t.Errorf("%+v, %v", p, err)
	}
	var unknown *NameError
	if _, err := Lookup("helum-5w"); !errors.As(err, &unknown) || len(unknown.Near) == 0 || unknown.Near[0] != "helium-5w" {
		t.Errorf("%v", err)
	}
	for _, bad := range []string{"helium-5w@big", "helium-5w@0", "", "x"} {
		if _, err := Lookup(bad); !errors.Is(err, ErrProfile) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestStates: a state that a profile lacks is estimated, never 0, and says so.
func TestStates(t *testing.T) {
	for id, p := range load() {
		for s := range State(states) {
			e := p.Estimate(s)
			switch {
			case s == Off:
				if e.Typical != 0 {
					t.Errorf("%s draws %v when off", id, e)
				}
			case e.Validate() != nil || e.Low <= 0:
				t.Errorf("%s %s: %+v", id, s, e)
			case p.given(s) == 0 && (e.Status != Model || e.High < 1.1*e.Low):
				t.Errorf("%s %s is not given, yet %+v", id, s, e)
			case p.given(s) != 0 && e.Typical != p.given(s):
				t.Errorf("%s %s: %+v, want %v", id, s, e, p.given(s))
			}
		}
		if sb, idle := p.Watts(Standby), p.Watts(Idle); sb > idle {
			t.Errorf("%s draws %v in standby, %v idle", id, sb, idle)
		}
	}
	for s := range State(states) {
		if got, err := ParseState(s.String()); err != nil || got != s {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	if _, err := ParseState("asleep"); err == nil {
		t.Error("an unknown state was taken")
	}
}

func TestPlain(t *testing.T) {
	drives := []Drive{{"a", "air-7w", 10e12, Idle}, {"a", "helium-5w", 18e12, Idle}, {"b", "helium-5w", 18e12, Off}}
	a, err := Plain(drives, 20e12, 10e12)
	if err != nil {
		t.Fatal(err)
	}
	if a.Watts != 12 || a.RawBytes != 46e12 || math.Abs(a.WPerStoredTB-1.2) > 1e-12 || math.Abs(a.WPerUsableTB-0.6) > 1e-12 {
		t.Errorf("%+v", a)
	}
	if len(a.BySite) != 2 || len(a.ByProfile) != 2 {
		t.Errorf("%+v", a)
	}
	if _, err := Plain([]Drive{{Profile: "nonsense"}}, 0, 0); !errors.Is(err, ErrProfile) {
		t.Errorf("an unknown profile: %v", err)
	}
}

// TestPlainSums: sites, and profiles, sum to the whole, in any order of the drives.
func TestPlainSums(t *testing.T) {
	ids := Profiles()
	rapid.Check(t, func(t *rapid.T) {
		drives := rapid.SliceOf(rapid.Custom(func(t *rapid.T) Drive {
			return Drive{
				rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "site"),
				ids[rapid.IntRange(0, len(ids)-1).Draw(t, "profile")].ID,
				rapid.Int64Range(1, 30e12).Draw(t, "capacity"),
				State(rapid.IntRange(0, states-1).Draw(t, "state")),
			}
		})).Draw(t, "drives")
		a, err := Plain(drives, 1e12, 1e12)
		if err != nil {
			t.Fatal(err)
		}
		for _, list := range [][]Tally{a.BySite, a.ByProfile} {
			n, raw, w := 0, int64(0), 0.0
			for _, x := range list {
				n, raw, w = n+x.Drives, raw+x.RawBytes, w+x.Watts
			}
			if n != len(drives) || raw != a.RawBytes || math.Abs(w-a.Watts) > 1e-9*w {
				t.Fatalf("%d drives, %d bytes, %v W in parts of %+v", n, raw, w, a)
			}
		}
	})
}

func ExampleProfile_Estimate() {
	p, err := Lookup("hgst-he6-6tb")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Estimate(Idle), "·", p.Estimate(Idle).Status)
	fmt.Println(p.Estimate(Standby).Status, "·", p.Estimate(Standby).Source)
	// Output:
	// 5.300 (4.770–5.830) W · datasheet
	// model · hgst-he6-6tb/idle by class/helium/standby:idle
}

func TestClassProfiles(t *testing.T) {
	for _, id := range []string{"class-air", "class-helium", "class-smr", "class-hdd", "class-ssd"} {
		p, err := Lookup(id)
		if err != nil {
			t.Fatal(err)
		}
		e := p.Estimate(Idle)
		if e.Status != Model || !(0 < e.Low && e.Low < e.Typical && e.Typical < e.High) {
			t.Errorf("%s idle: %v %s", id, e, e.Status)
		}
	}
	for _, p := range Profiles() {
		if strings.HasPrefix(p.ID, "class-") {
			t.Errorf("%s is listed among the verified", p.ID)
		}
	}
	p, _ := Lookup("hgst-he10-10tb")
	p.Band = 0.2
	if e := p.Estimate(Idle); e.Status != Model || e.Low != 4 || e.High != 6 {
		t.Errorf("with a band of a fifth: %v %s", e, e.Status)
	}
}
