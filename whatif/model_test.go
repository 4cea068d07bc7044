package whatif

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/wattle-storage/wattle/energy"
)

var (
	someSchemes = []string{"replica:1", "replica:2", "replica:3", "rs:4+2", "rs:9+6", "rs:10+5", "rs:17+3", "lrc:12+2+2"}
	someDisks   = []string{"hgst-he12-12tb", "seagate-ecv4-6tb-sas", "seagate-x22-22tb", "air-7w@6TB", "helium-5w@8TB", "micron-6500ion-31tb", "seagate-x12-12tb", "toshiba-mg11-24tb"}
)

// scenarios draws scenarios of a few options.
func scenarios(t *rapid.T) Scenario {
	r := func(name string, low, high float64) *Range {
		a := rapid.Float64Range(low, high).Draw(t, name)
		b := rapid.Float64Range(a, high).Draw(t, name+" high")
		return &Range{a, (a + b) / 2, b}
	}
	s := Scenario{
		Boundary: Boundary(rapid.SampledFrom(boundaries).Draw(t, "boundary")),
		UsableTB: Terabytes(rapid.Float64Range(1, 1e6).Draw(t, "usable")),
		Baseline: rapid.SampledFrom(someSchemes).Draw(t, "baseline"),
		Sweep: Sweep{
			Schemes: rapid.SliceOfNDistinct(rapid.SampledFrom(someSchemes), 1, 3, rapid.ID[string]).Draw(t, "schemes"),
			Disks:   rapid.SliceOfNDistinct(rapid.SampledFrom(someDisks), 1, 2, rapid.ID[string]).Draw(t, "disks"),
			Sites:   []int{rapid.IntRange(1, 5).Draw(t, "sites")},
			Fills:   []float64{rapid.Float64Range(0.1, 1).Draw(t, "fill")},
			PUEs:    []Range{*r("pue", 1, 3), *r("pue2", 1, 3)},
			GPerKWh: []Range{*r("grid", 1, 900)},
			Layouts: layouts,
		},
		Fractional: rapid.Bool().Draw(t, "fractional"),
		Workload: Workload{Reads: rapid.SampledFrom([]float64{0, 10, 1e5}).Draw(t, "reads"), Writes: rapid.SampledFrom([]float64{0, 1000}).Draw(t, "writes"),
			ReadSize: Bytes(rapid.SampledFrom([]float64{4096, 65536, 1e7}).Draw(t, "size")), Standby: rapid.SampledFrom([]float64{0, 0.3, 1}).Draw(t, "standby"), Peak: 2},
		Server: Server{SlotW: r("slot", 0, 20), Watts: r("server", 0, 500)},
		Rack:   Rack{MaxKW: rapid.SampledFrom([]float64{0, 12}).Draw(t, "rack")},
		Prices: Prices{EURPerKWh: r("price", 0.01, 0.5), EURPerTB: r("tb", 5, 30)},
	}
	return s
}

// TestModel: what must hold for any scenario.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := scenarios(t)
		r, err := Run(s)
		if err != nil {
			t.Fatal(err)
		}
		var briefs []Brief
		if err := EachBrief(s, func(b Brief) { briefs = append(briefs, b) }); err != nil {
			t.Fatal(err)
		}
		for i, o := range r.Options {
			checkOption(t, r, o)
			if b := briefs[i]; b.WPerStoredTB != o.WPerStoredTB || !sameBand(b.Ratio, *o.Ratio) || b.Drives != o.Drives {
				t.Fatalf("%s: the quick way gives %+v, the whole one %v and %v", o.Name, b, o.WPerStoredTB, *o.Ratio)
			}
		}
	})
}

func sameBand(a, b Estimate) bool {
	return near(a.Low, b.Low, 1e-12) && near(a.Typical, b.Typical, 1e-12) && near(a.High, b.High, 1e-12)
}

func checkOption(t *rapid.T, r Report, o Option) {
	product, fall := 1.0, 0.0
	for _, name := range Factors {
		product *= o.Factors[name]
		fall += o.Waterfall[name]
	}
	if !near(product, o.Ratio.Typical, 1e-12) {
		t.Fatalf("%s: factors %v give %v, ratio %v", o.Name, o.Factors, product, o.Ratio.Typical)
	}
	if r.Boundary == AtDrive && (o.Factors["overhead"] != 1 || o.Factors["facility"] != 1) {
		t.Fatalf("%s: %v at the drive", o.Name, o.Factors)
	}
	if d := o.WPerStoredTB.Typical - r.Baseline.WPerStoredTB.Typical; math.Abs(fall-d) > 1e-9*o.WPerStoredTB.Typical {
		t.Fatalf("%s: the waterfall sums to %v, want %v", o.Name, fall, d)
	}
	carbon := product * o.CarbonFactors["grid"]
	if want := o.KgLocation.Typical / r.Baseline.KgLocation.Typical; !near(carbon, want, 1e-9) {
		t.Fatalf("%s: carbon factors give %v, want %v", o.Name, carbon, want)
	}
	sum, sites := 0.0, 0.0
	for _, part := range parts {
		sum += o.WattsByPart[part.name].Typical
	}
	for _, e := range o.WattsBySite {
		sites += e.Typical
	}
	if sum != o.Watts.Typical || !near(sites, o.Watts.Typical, 1e-12) {
		t.Fatalf("%s: parts %v, sites %v, whole %v", o.Name, sum, sites, o.Watts.Typical)
	}
	for _, e := range []Estimate{o.Watts, *o.Ratio, *o.RatioTwin, o.WPerRawTB, o.KWPerRack, o.InrushKW, *o.KgTotal, *o.EUREnergy, *o.EURCapital, o.IOPSInUse} {
		if e.Validate() != nil || e.Typical < 0 {
			t.Fatalf("%s: %+v", o.Name, e)
		}
	}
	if want := verdict(*o.Ratio); o.Verdict != want || (want == "indistinct") != o.Ratio.Contains(1) {
		t.Fatalf("%s: %s, %v", o.Name, o.Verdict, o.Ratio)
	}
	if !near(o.Fill*o.UsableTB, o.StoredTB, 1e-12) || o.Fill > o.PlannedFill*(1+1e-9) {
		t.Fatalf("%s: stored %v, usable %v, fill %v, planned %v", o.Name, o.StoredTB, o.UsableTB, o.Fill, o.PlannedFill)
	}
	if st := o.States; math.Abs(st.Idle+st.Random+st.Sequential+st.Standby-1) > 1e-9 {
		t.Fatalf("%s: %+v", o.Name, st)
	}
	if _, err := json.Marshal(o); err != nil {
		t.Fatalf("%s: %v", o.Name, err)
	}
}

// TestItself: an option against itself is exactly 1, without width.
func TestItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := scenarios(t)
		s.Sweep.PUEs, s.Sweep.Layouts = s.Sweep.PUEs[:1], nil
		s.Sweep.Schemes, s.Sweep.Disks = s.Sweep.Schemes[:1], s.Sweep.Disks[:1]
		s.Baseline = s.Sweep.Schemes[0]
		if e := last(t, s).Ratio; e.Low != 1 || e.Typical != 1 || e.High != 1 || verdict(*e) != "indistinct" {
			t.Fatalf("%+v", e)
		}
	})
}

// last is the last option of a scenario, without the advice of a report.
func last(t *rapid.T, s Scenario) (o Option) {
	if err := Each(s, func(x Option) error { o = x; return nil }); err != nil {
		t.Fatal(err)
	}
	return o
}

// TestFiveNinths: what two options share cancels, however uncertain it is.
func TestFiveNinths(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := scenarios(t)
		s.Fractional, s.UsableTB, s.Baseline = true, 1e5, "replica:3"
		s.Workload = Workload{IdleState: "idle_b"}
		s.Rack.MaxKW = 0
		s.Sweep.PUEs, s.Sweep.Layouts, s.Sweep.Disks = s.Sweep.PUEs[:1], nil, s.Sweep.Disks[:1]
		s.Sweep.Schemes = []string{"replica:3", "rs:9+6"}
		whole := s
		whole.Fractional, whole.Server.Drives = false, 0 // and before drives are made whole it is so whatever the fleet
		if e := last(t, whole).RatioPlain; !near(e.Typical, 5.0/9, 1e-12) || e.Low != e.Typical || e.High != e.Typical {
			t.Fatalf("before rounding: %+v", e)
		}
		if e := last(t, s).Ratio; !near(e.Typical, 5.0/9, 1e-12) || e.Low != e.Typical || e.High != e.Typical || verdict(*e) != "less" {
			t.Fatalf("%+v", e)
		}
	})
}

// TestFiveNinthsOfWholeDrives: whole drives and servers give 5/9 too where they divide.
func TestFiveNinthsOfWholeDrives(t *testing.T) {
	zero := 0.0
	s := Scenario{StoredTB: 38880, Fill: 1, Reserve: &zero, Server: Server{Drives: 36}, Rack: Rack{Servers: 10},
		Sweep: Sweep{Schemes: []string{"replica:3", "rs:9+6"}, Disks: []string{"hgst-he12-12tb"}, Sites: []int{3}}}
	e := run(t, s).Options[1].Ratio
	if !near(e.Typical, 5.0/9, 1e-12) || e.Low != e.Typical || e.High != e.Typical {
		t.Errorf("%+v", e)
	}
}

// TestOverheadTerm: 7 → 5 W of a drive under 4 W of overhead is 0.714 · 1.145 = 0.818.
func TestOverheadTerm(t *testing.T) {
	s := bare(1e4, "air-7w@8TB", "helium-5w@8TB")
	s.Boundary = AtServer
	s.Server = Server{SlotW: Exactly(4), Watts: Exactly(0), NICW: Exactly(0), PSU: Exactly(1)}
	o := run(t, s).Options[1]
	within(t, "w_per_drive", o.Factors["w_per_drive"], 5.0/7, 1e-12)
	within(t, "overhead", o.Factors["overhead"], (9.0/5)/(11.0/7), 1e-12)
	within(t, "ratio", o.Ratio.Typical, 9.0/11, 1e-12)
}

// TestTwins: the two ratios of a code over three sites.
func TestTwins(t *testing.T) {
	s := bare(1e5, "hgst-he12-12tb")
	s.Baseline = "replica:3"
	s.Sweep.Schemes, s.Sweep.Sites = []string{"rs:10+5", "rs:9+6", "replica:3", "replica:2", "lrc:12+2+2"}, []int{3}
	o := run(t, s).Options
	for i, want := range []struct {
		ratio, twinRatio float64
		twin             string
		sites, left      int
		writes           int
	}{{0.5, 0.75, "replica:2", 1, 0, 0}, {5.0 / 9, 5.0 / 9, "replica:3", 1, 1, 1}, {1, 1, "replica:3", 2, 0, 1}, {2.0 / 3, 1, "replica:2", 1, 0, 0}, {4.0 / 9, 1.0 / 3, "replica:4", 0, 3, 0}} {
		g := o[i]
		if !near(g.Ratio.Typical, want.ratio, 1e-12) || !near(g.RatioTwin.Typical, want.twinRatio, 1e-12) || g.Twin != want.twin ||
			g.SitesSurvived != want.sites || g.LeftOver != want.left || g.WritesSurvive != want.writes {
			t.Errorf("%s: ratio %v, twin %s %v, survives %d+%d, writes %d", g.Name, g.Ratio.Typical, g.Twin, g.RatioTwin.Typical, g.SitesSurvived, g.LeftOver, g.WritesSurvive)
		}
	}
}

// TestBounds: what binds the number of drives.
func TestBounds(t *testing.T) {
	bound := func(change func(*Scenario)) Option {
		s := bare(1000, "hgst-he12-12tb")
		s.Fractional = false
		s.Sweep.Schemes, s.Sweep.Sites = []string{"rs:9+6"}, []int{3}
		change(&s)
		return run(t, s).Options[0]
	}
	if o := bound(func(*Scenario) {}); o.BoundBy != "capacity" || o.Drives != 139 { // 1000 · 15/9 / 12
		t.Errorf("%s, %v drives", o.BoundBy, o.Drives)
	}
	if o := bound(func(s *Scenario) { s.StoredTB = 1 }); o.BoundBy != "topology" || o.Drives != 15 {
		t.Errorf("%s, %v drives", o.BoundBy, o.Drives)
	}
	if o := bound(func(s *Scenario) { s.Workload.Reads, s.Drive.IOPS = 12000, Exactly(100) }); o.BoundBy != "iops" || o.Drives != 200 || !near(o.IOPSInUse.Typical, 0.6, 1e-12) {
		t.Errorf("%s, %v drives, %v in use", o.BoundBy, o.Drives, o.IOPSInUse)
	}
	striped := bound(func(s *Scenario) { s.Workload.Reads, s.Workload.Layout, s.Drive.IOPS = 12000, "striped", Exactly(100) })
	if striped.Drives != 1800 || striped.ReadIOs != 9 {
		t.Errorf("striped: %v drives, %v I/Os a read", striped.Drives, striped.ReadIOs)
	}
	if o := bound(func(s *Scenario) { s.Workload.Reads, s.Workload.ReadSize, s.Drive.MBs = 1000, 1<<30, Exactly(200) }); o.BoundBy != "throughput" {
		t.Errorf("%s, %v drives", o.BoundBy, o.Drives)
	}
	given := bound(func(s *Scenario) {
		s.StoredTB, s.Sweep, s.Fill = 0, Sweep{}, 0
		s.Pools, s.Fleet = []Pool{{Scheme: "rs:9+6", StoredTB: 1000}}, []Fleet{{Disk: "hgst-he12-12tb", Count: 200, Owned: true}}
	})
	if given.BoundBy != "given" || given.Drives != 200 || !near(given.Fill, 1000*15.0/9/2400, 1e-12) || given.KgTotal.Typical != 0 {
		t.Errorf("%+v", given)
	}
}

// TestDoesNotPay: an option that saves by one factor and loses by another says so.
func TestDoesNotPay(t *testing.T) {
	s := bare(1000, "seagate-ecv4-6tb-sas", "hgst-he12-12tb")
	s.Workload.Reads, s.Drive.IOPS = 1e5, Exactly(87)
	s.Drive.MBs = Exactly(200)
	s.Sweep.Schemes, s.Sweep.Layouts, s.Baseline = []string{"replica:3", "rs:9+6"}, []string{"striped"}, "replica:3"
	r := run(t, s)
	o := r.option("rs:9+6 · seagate-ecv4-6tb-sas")
	if o == nil || o.Verdict != "more" || len(o.Warnings) == 0 || o.BoundBy != "iops" {
		t.Fatalf("%+v", o)
	}
	helium := r.option("replica:3 · hgst-he12-12tb")
	if helium.Factors["tb_per_drive"] != 0.5 || !near(helium.Factors["drive_count"], 2, 1e-9) {
		t.Errorf("the terabytes of helium should vanish under I/Os: %v", helium.Factors)
	}
}

func TestDeterministic(t *testing.T) {
	s := Scenario{UsableTB: 1e4, Sweep: Sweep{Schemes: someSchemes, Disks: someDisks, Sites: []int{3}}}
	a, err := json.Marshal(run(t, s))
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(run(t, s))
	if err != nil || string(a) != string(b) {
		t.Errorf("two runs differ; %v", err)
	}
}

// TestLongSweep: a report of many options holds the baseline, the front and the best.
func TestLongSweep(t *testing.T) {
	s := Scenario{UsableTB: 1e4, Sweep: Sweep{Schemes: someSchemes, Disks: someDisks[:5], Sites: []int{1, 3}, Fills: []float64{0.5, 0.6, 0.7, 0.8}, Layouts: layouts}}
	least := map[Tolerance]float64{}
	if err := EachBrief(s, func(b Brief) {
		if w, ok := least[b.Tolerance]; !ok || b.WPerStoredTB.Typical < w {
			least[b.Tolerance] = b.WPerStoredTB.Typical
		}
	}); err != nil {
		t.Fatal(err)
	}
	r := run(t, s)
	if r.Considered != 640 || len(r.Options) > 80 {
		t.Errorf("%d of %d options", len(r.Options), r.Considered)
	}
	for _, o := range r.Options {
		if k := (Tolerance{o.SitesSurvived, o.LeftOver}); o.WPerStoredTB.Typical == least[k] {
			delete(least, k)
		}
	}
	if len(least) > 0 {
		t.Errorf("the front lacks %v", least)
	}
}

func ExampleRun() {
	r, err := Run(Scenario{UsableTB: 10000, Boundary: AtDrive, Sweep: Sweep{Schemes: []string{"replica:3", "rs:9+6"}, Disks: []string{"helium-5w@8TB"}, Sites: []int{3}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, o := range r.Options {
		fmt.Println(o.Name, o.Drives, "drives,", energy.Watts(o.Watts.Typical), energy.Four(o.Ratio.Typical), o.Verdict)
	}
	// Output:
	// replica:3 4167 drives, 20835 W 1.000 indistinct
	// rs:9+6 2315 drives, 11575 W 0.5556 less
}

// BenchmarkOptions answers a sweep of 100,000 options in the quick way.
func BenchmarkOptions(b *testing.B) {
	var fills []float64
	for i := range 125 {
		fills = append(fills, 0.3+float64(i)/250)
	}
	s := Scenario{UsableTB: 1e4, Sweep: Sweep{Schemes: someSchemes, Disks: someDisks[:5], Sites: []int{1, 2, 3, 4, 5}, Fills: fills, Layouts: layouts, PUEs: []Range{{1.1, 1.2, 1.3}, {1.3, 1.5, 1.8}}}}
	n := s.Sweep.Size()
	b.ReportAllocs()
	for b.Loop() {
		if err := EachBrief(s, func(Brief) {}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/option")
	b.ReportMetric(float64(n), "options")
}
