package whatif

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/wattle-storage/wattle/energy"
)

const cluster = `name: a cluster of two pools
pools:
  - {name: rbd, scheme: replica:3, stored_tb: 120, device_class: hdd}
  - {name: archive, scheme: rs:8+3, stored_tb: 1PB, device_class: hdd}
  - {name: index, scheme: replica:3, stored_tb: 2 TB, device_class: ssd}
fleet:
  - {disk: hgst-he12-12tb, count: 200, owned: true, age_years: 3}
  - {disk: micron-6500ion-31tb, count: 6}
sites:
  - {name: paris, country: FR}
  - {name: lyon, share: 2}
sweep:
  schemes: [rs:9+6, "replica:3"]
  disks: [seagate-x22-22tb]
facility:
  pue: {low: 1.2, typical: 1.3, high: 1.5}
server: {slot_w: 2/4/8}
workload: {reads_per_s: 1000, read_size: 64KiB}
`

func TestParse(t *testing.T) {
	s, err := Parse("x.yaml", []byte(cluster))
	if err != nil {
		t.Fatal(err)
	}
	if s.Pools[1].StoredTB != 1000 || s.Pools[2].StoredTB != 2 || *s.Facility.PUE != (Range{1.2, 1.3, 1.5}) || *s.Server.SlotW != (Range{2, 4, 8}) || s.Workload.ReadSize != 65536 {
		t.Errorf("%+v", s)
	}
	text, err := yaml.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse("again.yaml", text)
	if d := cmp.Diff(s, again); err != nil || d != "" {
		t.Errorf("%v\n%s\n%s", err, d, text)
	}
}

// TestFlowLists: the library reads rs:9+6 as a field where braces stand around the list.
func TestFlowLists(t *testing.T) {
	for _, text := range []string{"sweep: {schemes: [rs:9+6, replica:3], disks: [hgst-he12-12tb, helium-5w@8TB]}", "sweep:\n  schemes:\n    - rs:9+6\n    - 'replica:3'\n  disks: [hgst-he12-12tb, helium-5w@8TB]"} {
		s, err := Parse("x.yaml", []byte(text))
		want := Sweep{Schemes: Words{"rs:9+6", "replica:3"}, Disks: Words{"hgst-he12-12tb", "helium-5w@8TB"}}
		if d := cmp.Diff(want, s.Sweep); err != nil || d != "" {
			t.Errorf("%v %s", err, d)
		}
	}
}

// TestBadScenarios: every mistake is named with line, column and a way out.
func TestBadScenarios(t *testing.T) {
	for text, want := range map[string]string{
		"usable_tb: 10PB\nshceme: x\n":                                               `x.yaml:2:1: unknown field "shceme"; did you mean scheme?`,
		"pools:\n  - {scheme: rs:9+6, stored: 5}":                                    `x.yaml:2:22: unknown field "stored"; did you mean stored_tb?`,
		"pools:\n  - scheme: rz:9+6\n    stored_tb: 5":                               `x.yaml:2:13: pools[0].scheme: bad scheme "rz:9+6"`,
		"usable_tb: 10\nfill: 7\n":                                                   "x.yaml:2:7: fill: 7: want 0.001 to 1; for 7 % write 0.07",
		"usable_tb: -10PB\n":                                                         "x.yaml:1:12: usable_tb: -10000: want",
		"usable_tb: .nan\n":                                                          "x.yaml:1:12",
		"facility: {pue: 0.8}\n":                                                     "x.yaml:1:17: facility.pue: 0.8: want 1 to 5; PUE is",
		"facility: {pue: 1.5/1.2/2}\n":                                               "low ≤ typical ≤ high",
		"facility: {pue: [1, 2]}\n":                                                  "want exactly low, typical and high",
		"facility: {pue: {low: 1, typical: 2}}\n":                                    "want exactly low, typical and high",
		"sweep: {disks: [hgst-he12-12t]}\n":                                          "did you mean hgst-he12-12tb?",
		"sweep: {disks: [helium-5w]}\n":                                              "write it as helium-5w@8TB",
		"profiles:\n  - {id: mine, capacity_tb: 20, idle_w: 400}\n":                  `400 W: want 0 to 60 W for a drive`,
		"profiles:\n  - {id: mine, capacity_tb: 20}\n":                               "no watts in any state",
		"usable_tb: 5\nstored_tb: 5\n":                                               "contradicts usable_tb",
		"workload: {states: {idle: 0.5, random: 0.2}}\n":                             "sum to 0.7: want 1",
		"workload: {states: {idle: 0.5, asleep: 0.5}}\n":                             `"asleep": want idle`,
		"workload: {peak: 0.5}\n":                                                    "peak",
		"carbon: {country: XX}\n":                                                    `no "XX" in any table`,
		"carbon: {source: boavizta}\n":                                               `no table "boavizta"`,
		"boundary: facilty\n":                                                        "did you mean facility?",
		"fleet:\n  - {disk: hgst-he12-12tb, site: pariss}\nsites: [{name: paris}]\n": "did you mean paris?",
		"facility: {temperatures: {monthly_means: [1,2]}}\n":                         "2 monthly means: want 12",
		"facility: {cooling: {supply: 18}}\n":                                        "needs temperatures",
		"usable_tb: 10\nusable_tb: 11\n":                                             "x.yaml:2:1",
		"usable_tb: [1]\n":                                                           "x.yaml:1:12",
		"usable_tb: 10 XB\n":                                                         "want B, kB, MB",
		"pools: 5\n":                                                                 "want a list, not a number",
		"a: [\n":                                                                     "x.yaml:",
		"---\nfill: 0.5\n---\nfill: 0.6\n":                                           "more than one YAML document",
		"sites: [{name: a}, {name: a}]\n":                                            "want a name of its own",
		"survive: one\n":                                                             "want SITES or SITES+SHARDS",
		"server: {psu_curve: golden}\n":                                              "did you mean gold?",
		"prices: {eur_per_drive: 300, eur_per_tb: 15}\n":                             "contradicts eur_per_drive",
	} {
		_, err := Parse("x.yaml", []byte(text))
		if !errors.Is(err, ErrScenario) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q:\n got %v\nwant %s", text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(cluster))
	f.Add([]byte("usable_tb: 10PB\nsweep: {pues: [1.1, 1.2/1.3/1.4], sites: [1, 3]}\n"))
	f.Add([]byte("facility: {temperatures: {monthly_means: [1,2,3,4,5,6,7,8,9,10,11,12], daily_swing: [5]}}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := Parse("f.yaml", text)
		if err != nil {
			if !errors.Is(err, ErrScenario) {
				t.Errorf("%v is no ErrScenario", err)
			}
			return
		}
		if len(s.Sites) > 20 || s.Sweep.Size() > 20 || len(s.Options) > 20 || len(s.Pools) > 20 {
			return
		}
		r, err := Run(s)
		if err != nil {
			return
		}
		if _, err := json.Marshal(r); err != nil {
			t.Errorf("%v", err)
		}
		for _, o := range r.Options {
			if !finite(o.Watts.Typical) || o.Watts.Validate() != nil || o.Watts.Typical < 0 {
				t.Errorf("%+v", o.Watts)
			}
		}
	})
}

func TestSchema(t *testing.T) {
	s := Schema()
	p := s["properties"].(map[string]any)
	if p["pools"].(map[string]any)["type"] != "array" || p["inputs"].(map[string]any)["type"] != "object" {
		t.Errorf("%v", p)
	}
	for name, field := range p {
		if field.(map[string]any)["description"] == nil {
			t.Errorf("%s has no description", name)
		}
	}
}

func TestGridAndPSU(t *testing.T) {
	if e, err := energy.Intensity("FR", "codecarbon-2023"); err != nil || e.Typical != 56 {
		t.Errorf("%v %v", e, err)
	}
	for _, x := range []struct{ load, want float64 }{{0.2, 0.88}, {0.35, 0.90}, {0.5, 0.92}, {1, 0.88}} {
		if got, err := energy.PSUEfficiency("gold", x.load); err != nil || !near(got, x.want, 1e-12) {
			t.Errorf("gold at %v: %v, %v", x.load, got, err)
		}
	}
	if _, err := energy.PSUEfficiency("gold", 0.1); err == nil {
		t.Error("gold promises nothing at 10 %")
	}
}

func near(got, want, part float64) bool {
	return got == want || got/want-1 < part && got/want-1 > -part
}

func TestAside(t *testing.T) {
	s := Scenario{Pools: []Pool{{Scheme: "replica:3", StoredTB: 100}}, Fleet: []Fleet{{Disk: "hgst-he12-12tb", Count: 36}}}
	plain, err := Run(s)
	if err != nil {
		t.Fatal(err)
	}
	s.Fleet = append(s.Fleet, Fleet{Disk: "solidigm-p5316-15tb", Count: 4, Aside: true})
	aside, err := Run(s)
	if err != nil {
		t.Fatal(err)
	}
	a, b := plain.Baseline, aside.Baseline
	if a.RawTB != b.RawTB || a.Fill != b.Fill || b.Drives != a.Drives+4 || b.Watts.Typical <= a.Watts.Typical {
		t.Errorf("raw %g and %g TB, %g and %g drives, %g and %g W", a.RawTB, b.RawTB, a.Drives, b.Drives, a.Watts.Typical, b.Watts.Typical)
	}
	s.Fleet[1].Count = 0
	if _, err := Run(s); err == nil || !strings.Contains(err.Error(), "need a count") {
		t.Errorf("without count: %v", err)
	}
}

func TestChoiceOfBays(t *testing.T) {
	s := Scenario{Pools: []Pool{{Scheme: "replica:3", StoredTB: 100}}, Fleet: []Fleet{{Disk: "seagate-es3-4tb-sata", Count: 96}}, Server: Server{Drives: 12},
		Options: []Choice{{Name: "wide", Bays: 24}}}
	r, err := Run(s)
	if err != nil {
		t.Fatal(err)
	}
	if wide := r.Options[1]; r.Baseline.Servers != 8 || wide.Servers != 4 {
		t.Errorf("%g and %g servers, want 8 and 4", r.Baseline.Servers, wide.Servers)
	}
}
