package durability

import (
	"errors"
	"math"
	mathbits "math/bits"
	"slices"
	"testing"
)

// racksTogether is the chain of a site whose racks are told apart, each shard from the others.
func racksTogether(racks []int, m int, fail, repair, burst float64) *Markov {
	n, masks := 0, []int{}
	for _, c := range racks {
		masks = append(masks, (1<<c-1)<<n)
		n += c
	}
	chain := NewMarkov(1 << n)
	for state := range chain.States() {
		to := func(next int, rate float64) {
			if mathbits.OnesCount(uint(next)) > m {
				next = chain.States()
			}
			chain.Arc(state, next, rate)
		}
		for i := range n {
			if state>>i&1 == 0 {
				to(state|1<<i, fail)
			} else {
				to(state&^(1<<i), repair)
			}
		}
		for _, mask := range masks {
			to(state|mask, burst)
		}
	}
	return chain
}

// TestRacks: with a rack for each shard a rack's loss is a shard's, which is exact; with shards
// that share racks the chain is near the one that tells racks apart; the simulation is right.
func TestRacks(t *testing.T) {
	const fail, repair, burst = 2e-5, 1.0 / 24, 4e-6
	for _, c := range []struct {
		n, m, racks int
		burst       float64
		least, most float64 // of the chain over the truth
	}{
		{6, 2, 6, burst, 1 - 1e-9, 1 + 1e-9}, {6, 2, 3, burst, 0.999, 1.001}, {6, 3, 2, burst, 0.998, 1.01}, {8, 3, 4, burst, 0.99, 1.05},
		{8, 3, 4, burst / 100, 0.98, 1.15}, {8, 5, 2, burst, 0.99, 1.05},
	} {
		burst := c.burst
		b := Burst{Name: "rack", Rate: burst, Share: 1, Hosts: 24, Domain: Rack, Count: c.racks}
		s := Stripe{Sites: []int{c.n}, Lose: MDSLose(c.m)}
		chain, lumped, err := s.Chain(Rates{Fail: fail, Repair: Repairs(repair, Parallel), Bursts: []Burst{b}}, QuickStates)
		if err != nil || lumped {
			t.Fatal(lumped, err)
		}
		got, _ := chain.PDL(0, YearHours)
		want, err := racksTogether(Even(c.n, c.racks), c.m, fail, repair, burst).PDL(0, YearHours)
		if err != nil {
			t.Fatal(err)
		}
		r := got / want
		t.Logf("%+v: %.4g is %.4f of %.4g", c, got, r, want)
		if r < c.least || r > c.most {
			t.Errorf("%+v: %.4g is %.4f of %.4g", c, got, r, want)
		}
		sys := System{Code: Code{K: c.n - c.m, M: c.m}, Sites: 1, Hosts: 24, Disks: 240, CapacityTB: 1, Fill: 0.5, AFR: Point(fail * YearHours),
			NoDisasters: true, NoLatent: true, Bursts: []Burst{b}, Racks: c.racks, Repair: Repair{FixedH: 1 / repair}}
		e, err := Simulate(sys, Simulation{Seed: 5, Cycles: 1000, Exponential: true})
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(e.Point/want-1) > 4*e.RelError+0.005 || e.RelError > 0.5 {
			t.Errorf("%+v: simulated %.4g (%.4g–%.4g), want %.4g", c, e.Point, e.Low, e.High, want)
		}
	}
}

// TestDomains: bursts of parts of a site ask how many it has, and never help.
func TestDomains(t *testing.T) {
	s := System{Code: Code{K: 6, M: 3}, Sites: 3, Hosts: 12, Disks: 360, CapacityTB: 10, Fill: 0.7, Bursts: []Burst{}}
	none, err := Evaluate(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []Domain{Site, Feed, Rack, Host} {
		with := s
		with.Racks, with.Feeds, with.Bursts = 4, 2, []Burst{{Name: string(d), Rate: 0.01 / YearHours, Share: 1, Domain: d}}
		r, err := Evaluate(with)
		if err != nil {
			t.Fatal(err)
		}
		if r.WithBursts.NOMDL.Typical <= none.WithBursts.NOMDL.Typical || r.Survives.Racks != 3 {
			t.Errorf("%s: %v after %v, %d racks survived", d, r.WithBursts.NOMDL, none.WithBursts.NOMDL, r.Survives.Racks)
		}
		if r.Availability.Unreadable <= none.Availability.Unreadable {
			t.Errorf("%s: racks that go away do not harm", d)
		}
	}
	for name, change := range map[string]func(*System){
		"no racks":  func(s *System) { s.Bursts = []Burst{{Name: "x", Rate: 1, Share: 1, Domain: Rack}} },
		"many":      func(s *System) { s.Racks = 13 },
		"feeds":     func(s *System) { s.Feeds = -1 },
		"no domain": func(s *System) { s.Bursts = []Burst{{Name: "x", Rate: 1, Share: 1, Domain: "row"}} },
	} {
		bad := s
		change(&bad)
		if _, err := Evaluate(bad); !errors.Is(err, ErrInput) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestProductByRows: by the losses of rows a product code is as likely lost as by its columns.
func TestProductByRows(t *testing.T) {
	c := Product{Rows: 3, Cols: 14, RowM: 4, ColM: 1}
	for _, q := range []float64{0.001, 0.01, 0.05} {
		exact, err := c.Loss(q)
		if err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for i := range 15 {
			for j := range 15 {
				for k := range 15 {
					sum += binomial(14, i, q) * binomial(14, j, q) * binomial(14, k, q) * c.undecodable([]byte{byte(i), byte(j), byte(k)})
				}
			}
		}
		if r := sum / exact.P; r < 1-1e-9 || r > 1.35 {
			t.Errorf("q %v: %.4g is %.4f of %.4g", q, sum, r, exact.P)
		}
	}
}

// productEverySet is the chain of a product code whose state is the set of its lost shards.
func productEverySet(c Product, fail, repair float64) *Markov {
	n := c.Rows * c.Cols
	chain := NewMarkov(1 << n)
	lost := func(set int) bool {
		for again := true; again; {
			again = false
			fill := func(mask, m int) {
				if l := mathbits.OnesCount(uint(set & mask)); l > 0 && l <= m {
					set, again = set&^mask, true
				}
			}
			for r := range c.Rows {
				fill((1<<c.Cols-1)<<(r*c.Cols), c.RowM)
			}
			for k := range c.Cols {
				mask := 0
				for r := range c.Rows {
					mask |= 1 << (r*c.Cols + k)
				}
				fill(mask, c.ColM)
			}
		}
		return set != 0
	}
	for state := range chain.States() {
		for i := range n {
			next, rate := state^1<<i, fail
			if state>>i&1 == 1 {
				rate = repair
			} else if lost(next) {
				next = chain.States()
			}
			chain.Arc(state, next, rate)
		}
	}
	return chain
}

// TestProductChain: the chain by losses of rows against that of all sets of shards.
func TestProductChain(t *testing.T) {
	for _, c := range []Product{{Rows: 3, Cols: 3, RowM: 1, ColM: 1}, {Rows: 3, Cols: 4, RowM: 1, ColM: 1}} {
		const fail, repair = 1e-4, 0.05
		want, err := productEverySet(c, fail, repair).PDL(0, YearHours)
		if err != nil {
			t.Fatal(err)
		}
		s := Stripe{Sites: slices.Repeat([]int{c.Cols}, c.Rows), Lose: MDSLose(2*c.RowM + 1), product: &c}
		chain, _, err := s.Chain(Rates{Fail: fail, Repair: Repairs(repair, Parallel)}, MostStates)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := chain.PDL(0, YearHours)
		if r := got / want; r < 0.98 || r > 1.15 {
			t.Errorf("%+v: %.4g is %.3f of %.4g", c, got, r, want)
		}
	}
}

// TestProductSystem: f4's code stands a site and four shards of each of the others, rebuilds shards
// at home and moves a lost site twice.
func TestProductSystem(t *testing.T) {
	s := System{Code: Code{K: 10, M: 4, Rows: 3}, Sites: 3, Hosts: 14, Disks: 14 * 30 * 3, CapacityTB: 4, Fill: 0.7, AFR: Point(0.015), SiteRate: Point(0.001),
		Repair: Repair{FixedH: 24, SiteFixedH: 720}, Bursts: []Burst{}, NoLatent: true}
	near(t, "overhead", s.Code.Overhead(), 2.1, 1e-12)
	r, err := Evaluate(s)
	if err != nil {
		t.Fatal(err)
	}
	if r.Survives != (Survival{Shards: 9, Sites: 1, LeftOver: 4}) || r.WritesSurvive != (Survival{Shards: 8, Sites: 1, LeftOver: 3}) {
		t.Errorf("survives %+v, writes %+v", r.Survives, r.WritesSurvive)
	}
	if r.Traffic.WANTB != 0 || math.Abs(r.Traffic.SiteTB/r.Repair.SiteTB-2) > 1e-9 || r.Traffic.ReadTB != 10*r.Traffic.LostTB {
		t.Errorf("traffic %+v", r.Traffic)
	}
	// any code that survives exactly one of three sites sits on the floor 6 σ² D T = 4.9e-7
	if p := r.WithSites.NOMDL.Typical; p < 4.2e-7 || p > 4.9e-7 {
		t.Errorf("with disasters %.3g, want about 4.6e-7", p)
	}
	row, _ := Evaluate(System{Code: Code{K: 10, M: 4}, Sites: 1, Hosts: 14, Disks: 420, CapacityTB: 4, Fill: 0.7, AFR: Point(0.015), NoDisasters: true, Repair: s.Repair, Bursts: s.Bursts, NoLatent: true})
	if r.Independent.NOMDL.Typical >= row.Independent.NOMDL.Typical*1e-6 {
		t.Errorf("three sites lose %.3g, a row alone %.3g", r.Independent.NOMDL.Typical, row.Independent.NOMDL.Typical)
	}
	s.Sites = 4
	if _, err := Evaluate(s); !errors.Is(err, ErrInput) {
		t.Errorf("over four sites: %v", err)
	}
	s.Sites = 3
	if _, err := Simulate(s, Simulation{}); !errors.Is(err, ErrInput) {
		t.Errorf("simulated: %v", err)
	}
}

// TestRatio: two systems under the same dice. The interval of the ratio holds the exact one in at
// least nine of ten seeds, is narrower than that of two figures, and one of a system to itself is 1.
func TestRatio(t *testing.T) {
	slow := simulated
	slow.Code, slow.NoDisasters, slow.SiteRate = Code{K: 6, M: 3}, true, Band{}
	fast, wide := slow, slow
	fast.Repair.FixedH = 18
	wide.Code = Code{K: 9, M: 3}
	same, err := Ratio(slow, slow, Simulation{Seed: 1, Cycles: 200})
	if err != nil || same.Point != 1 || same.Low != 1 || same.High != 1 || same.Correlation < 1-1e-9 {
		t.Errorf("to itself: %+v, %v", same, err)
	}
	for name, to := range map[string]System{"repair in 18 h": fast, "rs:9+3": wide} {
		inside, narrow, correlation, seeds := 0, 0.0, 0.0, 60
		if name != "rs:9+3" {
			seeds = 10 // enough to see how much narrower it is
		}
		for seed := range uint64(seeds) {
			r, err := Ratio(slow, to, Simulation{Seed: seed, Cycles: 100, Exponential: true})
			if err != nil {
				t.Fatal(err)
			}
			if r.Low <= r.Exact && r.Exact <= r.High {
				inside++
			}
			narrow += r.RelError / r.Apart / float64(seeds)
			correlation += r.Correlation / float64(seeds)
		}
		if inside < seeds*9/10 || narrow >= 0.97 || correlation <= 0 {
			t.Errorf("%s: %d of %d hold the ratio, intervals are %.2f of those apart, correlation %.2f", name, inside, seeds, narrow, correlation)
		}
		t.Logf("%s: %d of %d intervals hold the ratio, %.2f as wide as apart, correlation %.2f", name, inside, seeds, narrow, correlation)
	}
}
