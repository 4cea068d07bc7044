package durability

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestSiteTable: the table of layouts, AFR 1.5 %, 24 h parallel repair, 0.001 disasters a year
// and site, 30 days to return: annual loss of a stripe with and without disasters.
func TestSiteTable(t *testing.T) {
	for _, c := range []struct {
		code          Code
		sites         int
		survive, left int
		with, without float64
	}{
		{Code{K: 1, M: 2}, 3, 2, 0, 6.6e-10, 7.6e-11},
		{Code{K: 1, M: 3}, 4, 3, 0, 1.1e-13, 4.1e-15},
		{Code{K: 1, M: 3}, 2, 1, 1, 1.5e-7, 4.1e-15},
		{Code{K: 4, M: 2}, 3, 1, 0, 1.4e-5, 1.5e-9},
		{Code{K: 6, M: 3}, 3, 1, 0, 2.1e-5, 5.2e-13},
		{Code{K: 5, M: 4}, 3, 1, 1, 4.6e-7, 2.7e-17},
		{Code{K: 9, M: 6}, 3, 1, 1, 4.6e-7, 3.2e-24},
		{Code{K: 7, M: 5}, 4, 1, 2, 9.0e-7, 9.6e-21},
		{Code{K: 8, M: 7}, 3, 1, 2, 4.5e-7, 1.5e-28},
		{Code{K: 12, M: 4}, 16, 4, 0, 6.9e-14, 9.3e-16},
		{Code{K: 10, M: 4}, 1, 0, 4, 1.0e-3, 4.2e-16},
	} {
		r, err := Evaluate(System{
			Code: c.code, Sites: c.sites, Hosts: 16, Disks: 16 * 12 * c.sites, CapacityTB: 10, Fill: 0.7, AFR: Point(0.015), SiteRate: Point(0.001),
			Repair: Repair{FixedH: 24, SiteFixedH: 720}, Bursts: []Burst{}, NoLatent: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprint(c.code, " over ", c.sites)
		for what, v := range map[string][2]float64{"with": {r.WithSites.NOMDL.Typical, c.with}, "without": {r.Independent.NOMDL.Typical, c.without}} {
			if math.Abs(v[0]/v[1]-1) > 0.05 {
				t.Errorf("%s, %s disasters: %.3g, want %.2g", name, what, v[0], v[1])
			}
		}
		if r.Survives.Sites != c.survive || r.Survives.LeftOver != c.left {
			t.Errorf("%s survives %+v, want %d sites and %d shards", name, r.Survives, c.survive, c.left)
		}
	}
}

// TestSiteReturn: 10 PB at 1.67x on 3 sites are 5.6 PB a site, 51 days at 10 Gb/s.
func TestSiteReturn(t *testing.T) {
	s := System{Code: Code{K: 9, M: 6}, Sites: 3, Hosts: 30, Disks: 1000 * 3, CapacityTB: 10e3 * 15.0 / 9 / 3000, Fill: 1}
	r, err := Evaluate(s)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "TB a site", r.Repair.SiteTB, 5556, 1e-3)
	near(t, "days", r.Repair.SiteH/24-30, 51.4, 1e-3)
}

// TestRepairTime: what bounds a repair, and how it scales.
func TestRepairTime(t *testing.T) {
	base := System{Code: Code{K: 10, M: 4}, Sites: 1, Hosts: 50, Disks: 600, CapacityTB: 20, Fill: 0.8}
	at := func(change func(*System)) RepairTime {
		t.Helper()
		s := base
		change(&s)
		r, err := Evaluate(s)
		if err != nil {
			t.Fatal(err)
		}
		return r.Repair
	}
	wide := at(func(*System) {})
	// 16 TB, read ten times and written once by 599 disks at 50 MB/s; written by 100 at 50 MB/s; by 50 hosts at 5 Gb/s
	near(t, "by disks, writers or hosts", wide.TransferH, 16e6*11/(599*50)/3600, 1e-9)
	if wide.BoundBy != "disks" {
		t.Errorf("bound by %s", wide.BoundBy)
	}
	one := at(func(s *System) { s.Repair.Clustered = true })
	near(t, "one spare", one.TransferH, 16e6/50/3600, 1e-9)
	if one.BoundBy != "spare" || one.Width != 1 || one.Critical >= one.TotalH {
		t.Errorf("clustered: %+v", one)
	}
	// two sites of seven: six shards are at hand, four of ten come over the WAN
	wan := at(func(s *System) { s.Sites, s.Hosts = 2, 25; s.Repair.WANGbps = 1 })
	near(t, "over the WAN", wan.TransferH, 16e12*4*8/1e9/3600, 1e-9)
	if wan.BoundBy != "wan" {
		t.Errorf("bound by %s", wan.BoundBy)
	}
	few := at(func(s *System) { s.CapacityTB = 0.001 })
	if few.BoundBy != "detection" {
		t.Errorf("bound by %s", few.BoundBy)
	}
	if ordered, not := wide.Critical, at(func(s *System) { s.Repair.Unordered = true }).Critical; ordered >= not {
		t.Errorf("critical stripes wait %v h in order and %v h without", ordered, not)
	}
}

// TestReads: shards read for one lost, as published.
func TestReads(t *testing.T) {
	for _, c := range []struct {
		code Code
		want float64
	}{
		{Code{K: 1, M: 2}, 1}, {Code{K: 10, M: 4}, 10}, {Code{K: 6, L: 2, M: 2}, 3.6}, {Code{K: 12, L: 2, M: 2}, 6.75}, {Code{K: 12, L: 4, M: 2}, 4},
	} {
		near(t, fmt.Sprint(c.code), c.code.Reads(), c.want, 1e-12)
	}
	for _, c := range []struct {
		code Code
		here int
		want float64
	}{{Code{K: 9, M: 6}, 5, 5}, {Code{K: 1, M: 2}, 1, 1}, {Code{K: 1, M: 3}, 2, 0}, {Code{K: 10, M: 4}, 14, 0}, {Code{K: 4, M: 11}, 5, 0}} {
		near(t, fmt.Sprint("WAN ", c.code), c.code.WANReads(c.here)+1, c.want+1, 1e-12)
	}
}

// TestTraffic: 1.5 % of 3 PB raw for a usable PB of three copies is 45 TB lost, read and written.
func TestTraffic(t *testing.T) {
	for _, c := range []struct {
		code       Code
		lost, read float64
	}{{Code{K: 1, M: 2}, 45, 45}, {Code{K: 6, M: 3}, 22.5, 135}, {Code{K: 10, M: 4}, 21, 210}, {Code{K: 12, L: 4, M: 2}, 22.5, 90}} {
		s := System{Code: c.code, Sites: 1, Hosts: 20, Disks: 400, CapacityTB: 1000 * c.code.Overhead() / 400, Fill: 1, AFR: Point(0.015)}
		r, err := Evaluate(s)
		if err != nil {
			t.Fatal(err)
		}
		near(t, fmt.Sprint(c.code, " lost"), r.Traffic.LostTB, c.lost, 1e-9)
		near(t, fmt.Sprint(c.code, " read"), r.Traffic.ReadTB, c.read, 1e-9)
	}
	// about 1.1 kWh at 17 J/GB for 210 TB read and 21 written
	e := Traffic{ReadTB: 210, WrittenTB: 21}.Energy(Intensities{DiskJPerGB: Point(17)}, 0, 0, 0)
	near(t, "kWh", e.Marginal.Typical, 1.09, 0.01)
	// half of 100 readers woken for each of 20 disks, at 500 J and 5 W for 10 h
	woken := Traffic{}.Energy(Intensities{SpinUpJ: Point(500), AwakeW: Point(5), Parked: 0.5}, 20, 100, 10)
	near(t, "woken", woken.SpinUps.Typical, 20*50*(500+5*36000)/3.6e6, 1e-12)
	near(t, "marginal of woken", woken.Marginal.High, woken.SpinUps.High, 1e-12)
	near(t, "allocated", e.Allocated.Typical, e.Marginal.Typical+e.WANAllocated.Typical+e.LAN.Typical, 1e-12)
}

// TestAvailability: three copies on three sites, each away a share u of the time.
func TestAvailability(t *testing.T) {
	s := System{Code: Code{K: 1, M: 2}, Sites: 3, Hosts: 10, Disks: 300, CapacityTB: 10, Fill: 0.5}
	r, err := Evaluate(s)
	if err != nil {
		t.Fatal(err)
	}
	d := s.WithDefaults()
	h, u := d.HostOutages.Unavailable(), d.SiteOutages.Unavailable()
	each := u + (1-u)*h
	near(t, "reads", r.Availability.Unreadable, each*each*each, 1e-12)
	near(t, "writes", r.Availability.Unwritable, 3*each*each*(1-each)+each*each*each, 1e-12)
}

// TestAny: independent losses count for each stripe set, a disaster that takes all counts once.
func TestAny(t *testing.T) {
	s := System{Code: Code{K: 4, M: 2}, Sites: 3, Hosts: 10, Disks: 600, CapacityTB: 10, Fill: 0.5, SiteRate: Point(0.001), AFR: Point(0.01), Bursts: []Burst{}, NoLatent: true,
		Repair: Repair{FixedH: 24, SiteFixedH: 720}}
	r, err := Evaluate(s)
	if err != nil {
		t.Fatal(err)
	}
	if r.PlacementGroup != 1e4 {
		t.Fatalf("%v groups", r.PlacementGroup)
	}
	// with a site down nothing is left over, so among 10,000 sets one surely goes: three sites times 0.001
	if p := r.PDLAny.Typical; p < 2.9e-3 || p > 3.1e-3 {
		t.Errorf("any loss %g, want about 0.003", p)
	}
	s.NoDisasters, s.SiteRate = true, Band{}
	if r, err = Evaluate(s); err != nil {
		t.Fatal(err)
	}
	near(t, "independent", r.PDLAny.Typical, AnyOf(r.Independent.NOMDL.Typical, 1e4), 1e-9)
}

// TestLatent: shards found unreadable when a disk is lost count as lost then.
func TestLatent(t *testing.T) {
	c := Stripe{Sites: []int{6}, Lose: MDSLose(2)}
	r := Rates{Fail: 1e-6, Repair: Repairs(0.05, Parallel), Latent: 1e-4}
	chain, _, err := c.Chain(r, MostStates)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := chain.PDL(0, YearHours)
	// two disks lost at once, then one of four shards unreadable, or a third disk
	plain, _ := MDS(6, 1, 1e-6, 0.05, Parallel)
	two, _ := plain.PDL(YearHours)
	three, _ := MDS(6, 2, 1e-6, 0.05, Parallel)
	alone, _ := three.PDL(YearHours)
	// or one disk, and two of five unreadable
	near(t, "latent", got, alone+two*(1-math.Pow(1-1e-4, 4))+6e-6*YearHours*binomialTail(5, 2, 1e-4), 0.01)
}

// TestHits: of 14 hosts two die; with fewer hosts than shards each disk is hit by itself.
func TestHits(t *testing.T) {
	for _, c := range []struct {
		b     Burst
		alive int
		mean  float64
	}{
		{Burst{Share: 2.0 / 14, Hosts: 14}, 5, 5 * 2.0 / 14}, {Burst{Share: 0.01, Hosts: 14}, 5, 0.05}, {Burst{Share: 0.25, Hosts: 4}, 6, 1.5},
		{Burst{Share: 1, Hosts: 3}, 7, 7}, {Burst{Share: 0.3}, 6, 1.8}, {Burst{Share: 0.5, Hosts: 1}, 4, 2},
	} {
		sum, mean := 0.0, 0.0
		for h, p := range c.b.hitsIn(c.alive) {
			sum, mean = sum+p, mean+float64(h)*p
		}
		near(t, fmt.Sprint(c, " sum"), sum, 1, 1e-12)
		near(t, fmt.Sprint(c, " mean"), mean, c.mean, 1e-12)
	}
	if p := (Burst{Share: 0.01, Hosts: 14}).hitsIn(5); p[2] != 0 || p[1] == 0 {
		t.Errorf("one host of 14 at most: %v", p)
	}
}

// TestOrder: the three figures never fall, and more of what harms never helps.
func TestOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sites := rapid.IntRange(1, 4).Draw(t, "sites")
		s := System{
			Code:  Code{K: rapid.IntRange(1, 9).Draw(t, "k"), M: rapid.IntRange(1, 4).Draw(t, "m")},
			Sites: sites, Hosts: rapid.IntRange(1, 40).Draw(t, "hosts"), Disks: 600 * sites, CapacityTB: 20, Fill: 0.7,
		}
		r, err := Evaluate(s)
		if err != nil {
			t.Fatal(err)
		}
		const slack = 1 - 1e-9
		a, b, d := r.Independent.NOMDL, r.WithBursts.NOMDL, r.WithSites.NOMDL
		if b.Typical < a.Typical*slack || d.Typical < b.Typical*slack || a.Low > a.Typical || a.Typical > a.High || d.Low > d.Typical || d.Typical > d.High {
			t.Fatalf("%v %v %v", a, b, d)
		}
		if r.PDLAny.Typical < d.Typical*slack*0.5 || r.PDLAny.High > 1 {
			t.Fatalf("any %v, share %v", r.PDLAny, d)
		}
		s.AFR, s.SiteRate, s.ScrubDays = DefaultAFR, DefaultSiteRate, 90
		worse, err := Evaluate(s)
		if err != nil {
			t.Fatal(err)
		}
		if worse.WithSites.NOMDL.Typical < d.Typical*slack {
			t.Fatalf("fewer scrubs help: %v %v", worse.WithSites, d)
		}
	})
}

func TestSystemErrors(t *testing.T) {
	sound := System{Code: Code{K: 9, M: 6}, Sites: 3, Hosts: 10, Disks: 300, CapacityTB: 20, Fill: 0.7}
	if _, err := Evaluate(sound); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*System){
		"270 data":              func(s *System) { s.Code.K = 270 },
		"0 sites":               func(s *System) { s.Sites = 0 },
		"0 hosts":               func(s *System) { s.Hosts = 0 },
		"10 disks for 15":       func(s *System) { s.Disks = 10 },
		"300 disks in 600":      func(s *System) { s.Hosts = 200 },
		"capacity":              func(s *System) { s.CapacityTB = math.NaN() },
		"fill 1.5":              func(s *System) { s.Fill = 1.5 },
		"AFR -0.1":              func(s *System) { s.AFR = Band{-0.1, 0.1, 0.2} },
		"AFR 0: want more":      func(s *System) { s.AFR = Band{0, 0.1, 0.2} },
		"AFR 2: want at most":   func(s *System) { s.AFR = Point(2) },
		"rising order":          func(s *System) { s.AFR = Band{0.3, 0.1, 0.2} },
		"disasters of a site":   func(s *System) { s.SiteRate = Point(20) },
		"site disasters a year": func(s *System) { s.SiteRate = Point(math.Inf(1)) },
		"disk share 2":          func(s *System) { s.Repair.DiskShare = 2 },
		"WAN":                   func(s *System) { s.Repair.WANGbps = math.Inf(1) },
		"repair detection":      func(s *System) { s.Repair.DetectH = -1 },
		"repair time":           func(s *System) { s.Repair.FixedH = math.Inf(1) },
		"site return":           func(s *System) { s.Repair.SiteFixedH = math.NaN() },
		"placement groups":      func(s *System) { s.Repair.PGsPerDisk = -1 },
		"share of burst x":      func(s *System) { s.Bursts = []Burst{{Name: "x", Rate: 1, Share: 2}} },
		"rate of burst x":       func(s *System) { s.Bursts = []Burst{{Name: "x", Rate: math.NaN(), Share: 1}} },
		"unreadable":            func(s *System) { s.Latent = 0.9 },
		"scrub days":            func(s *System) { s.ScrubDays = -1 },
		"host outages":          func(s *System) { s.HostOutages = Outage{-1, 2} },
		"margin":                func(s *System) { s.Margin = -1 },
	} {
		s := sound
		change(&s)
		if _, err := Evaluate(s); !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func BenchmarkWithoutSites(b *testing.B) { benchmarkSystem(b, 1, true) }
func BenchmarkWithSites(b *testing.B)    { benchmarkSystem(b, 3, false) }

// benchmarkSystem solves for one AFR without the memo: one configuration.
func benchmarkSystem(b *testing.B, sites int, none bool) {
	for _, code := range []Code{{K: 1, M: 2}, {K: 4, M: 2}, {K: 9, M: 6}, {K: 10, M: 4}, {K: 17, M: 3}, {K: 28, M: 12}} {
		for _, years := range []float64{1, 10} {
			b.Run(fmt.Sprintf("n=%d/sites=%d/years=%v", code.N(), sites, years), func(b *testing.B) {
				s := System{Code: code, Sites: sites, Hosts: 40, Disks: 480 * sites, CapacityTB: 20, Fill: 0.7, NoDisasters: none}.WithDefaults()
				stripe, repair := s.stripe(), s.repairTime()
				r := s.rates(repair, 0.015)
				if !none {
					r.Bursts, r.Site, r.Return = s.Bursts, 0.001/YearHours, 1/repair.SiteH
				}
				for b.Loop() {
					chain, _, err := stripe.Chain(r, QuickStates)
					if err != nil {
						b.Fatal(err)
					}
					if _, err = chain.PDL(0, years*YearHours); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "configs/s")
			})
		}
	}
}

func BenchmarkSweep(b *testing.B) {
	s := System{Code: Code{K: 9, M: 6}, Sites: 3, Hosts: 40, Disks: 1440, CapacityTB: 20, Fill: 0.7}
	for b.Loop() {
		if _, err := Evaluate(s); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleEvaluate() {
	r, err := Evaluate(System{Code: Code{K: 9, M: 6}, Sites: 3, Hosts: 12, Disks: 432, CapacityTB: 20, Fill: 0.7})
	if err != nil {
		panic(err)
	}
	fmt.Printf("survives %d site and then %d shard\n", r.Survives.Sites, r.Survives.LeftOver)
	fmt.Printf("%.1f nines with disasters of sites\n", r.WithSites.Nines.Typical)
	// Output:
	// survives 1 site and then 1 shard
	// 6.1 nines with disasters of sites
}
