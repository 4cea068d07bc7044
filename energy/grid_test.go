package energy

import (
	"errors"
	"math"
	"testing"
	"time"
)

func TestReadProfiles(t *testing.T) {
	for _, text := range []string{"- {id: a, capacity_tb: 8, idle_w: 5}", "disks:\n  - {id: a, capacity_tb: 8, idle_w: 5, source: mine}\nsources: {mine: {title: 'measured', publisher: us}}", "profiles: [{id: a, capacity_tb: 8, idle_w: 5}]"} {
		list, err := ReadProfiles([]byte(text))
		if err != nil || len(list) != 1 || list[0].Watts(Idle) != 5 || list[0].Status != Input {
			t.Errorf("%q: %+v, %v", text, list, err)
		}
	}
	for _, bad := range []string{"- {id: a, idle_w: 400}", "- {idle_w: 4}", "- {id: a, idle_watts: 4}", "- {id: a@b, idle_w: 4}", "- {id: a, idle_w: 4}\n- {id: a, idle_w: 4}", "- {id: a}", "x", "[", "- {id: a, idle_w: -.inf}"} {
		if list, err := ReadProfiles([]byte(bad)); !errors.Is(err, ErrProfile) {
			t.Errorf("%q: %+v, %v", bad, list, err)
		}
	}
}

func FuzzReadProfiles(f *testing.F) {
	f.Add([]byte("- {id: a, capacity_tb: 8, idle_w: 5, active_w: 7}\n"))
	f.Add([]byte("disks:\n  - id: b\n    mean_w: 4\nsources:\n  x: {title: y}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := ReadProfiles(text)
		for _, p := range list {
			if err != nil || p.Validate() != nil || p.Estimate(Standby).Validate() != nil {
				t.Errorf("%+v, %v", p, err)
			}
		}
	})
}

func TestIntensity(t *testing.T) {
	for _, c := range []struct {
		country, table string
		want           float64
		from           string
	}{{"", "", 380, "boavizta-2019"}, {"FR", "", 98, "boavizta-2019"}, {"fr", "electricitymaps-2025", 10.4, "electricitymaps-2025"}, {"JP", "", 485.4, "codecarbon-2023"}} {
		e, err := Intensity(c.country, c.table)
		if err != nil || e.Typical != c.want || e.Low != e.High || e.Source != c.from {
			t.Errorf("%q in %q: %v from %s, %v", c.country, c.table, e, e.Source, err)
		}
	}
	for _, bad := range [][2]string{{"XX", ""}, {"FR", "nowhere"}, {"DE", "electricitymaps-2025"}} {
		if _, err := Intensity(bad[0], bad[1]); !errors.Is(err, ErrGrid) {
			t.Errorf("%v: %v", bad, err)
		}
	}
	for _, g := range GridTables() {
		if g.Title == "" || g.Year == 0 || g.Method == "" || len(g.GPerKWh) == 0 {
			t.Errorf("%+v", g)
		}
	}
}

func TestPSUEfficiency(t *testing.T) {
	for class := range PSUCurves {
		for load := 0.2; load <= 1; load += 0.05 {
			if e, err := PSUEfficiency(class, load); err != nil || e < 0.8 || e > 0.97 {
				t.Errorf("%s at %v: %v, %v", class, load, e, err)
			}
		}
	}
	for _, bad := range []float64{0, 1.1, math.NaN()} {
		if _, err := PSUEfficiency("gold", bad); !errors.Is(err, ErrFacility) {
			t.Errorf("%v: %v", bad, err)
		}
	}
	if _, err := PSUEfficiency("lead", 0.5); !errors.Is(err, ErrFacility) {
		t.Error(err)
	}
}

func TestLifeShare(t *testing.T) {
	for _, bad := range []struct {
		total      float64
		used, life time.Duration
	}{{1, 2, 1}, {1, 1, 0}, {-1, 1, 2}, {math.NaN(), 1, 2}, {1, -1, 2}} {
		if _, err := LifeShare(bad.total, bad.used, bad.life); !errors.Is(err, ErrShare) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestValidateProfile(t *testing.T) {
	for id, p := range load() {
		if err := p.Validate(); err != nil && p.MeanW+p.IdleW+p.ActiveW > 0 {
			t.Errorf("%s: %v", id, err)
		}
	}
	for _, bad := range []Profile{{ID: "a"}, {ID: "b", IdleW: 400}, {ID: "c", IdleW: -1}, {ID: "d", IdleW: math.NaN()}, {ID: "e", IdleW: 5, AFR: 2}, {ID: "f", IdleW: 5, SpinUpW: 1e9}, {ID: "g", IdleW: 5, CapacityTB: -3}} {
		if err := bad.Validate(); !errors.Is(err, ErrProfile) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
