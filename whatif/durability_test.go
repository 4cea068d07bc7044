package whatif

import (
	"math"
	"testing"

	"github.com/wattle-storage/wattle/durability"
)

// TestDurability: options carry the nines of their scheme on their own drives and sites.
func TestDurability(t *testing.T) {
	s := Scenario{UsableTB: 10e3, Sweep: Sweep{Schemes: []string{"replica:3", "rs:9+6"}, Sites: []int{3}}}
	s.Drive.AFR = &Range{0.01, 0.015, 0.02}
	r, err := Run(s)
	if err != nil {
		t.Fatal(err)
	}
	for i, code := range []durability.Code{{K: 1, M: 2}, {K: 9, M: 6}} {
		o := r.Options[i]
		if o.NinesIndependent == nil {
			t.Fatal(o.Because)
		}
		want, err := durability.Evaluate(durability.System{
			Code: code, Sites: 3, Hosts: int(math.Ceil(o.Servers/3 - 1e-9)), Disks: int(o.Drives), CapacityTB: o.RawTB / o.Drives, Fill: o.StoredTB * o.Amplification * code.Overhead() / o.RawTB,
			AFR: durability.Band{Low: 0.01, Typical: 0.015, High: 0.02},
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := o.NinesDisasters.Typical; math.Abs(got-want.WithSites.Nines.Typical) > 1e-9 || o.NinesIndependent.Low > o.NinesIndependent.High {
			t.Errorf("%s: %v nines, want %v", o.Scheme, got, want.WithSites.Nines)
		}
		if *o.FailuresSurvived != code.Tolerance() || *o.RebuildHours != want.Repair.TotalH || *o.Availability != 1-want.Availability.Unreadable {
			t.Errorf("%s: %v %v %v", o.Scheme, *o.FailuresSurvived, *o.RebuildHours, *o.Availability)
		}
	}
	if r.Baseline.NOMDL == nil || r.Baseline.PDLAny == nil {
		t.Error("the baseline has no durability")
	}
}

// TestDurabilityOfPools: shares lost add up by what is stored, and the weakest pool is the weakest.
func TestDurabilityOfPools(t *testing.T) {
	o := Option{Pools: []Pool{{Scheme: "replica:2", StoredTB: 1000}, {Scheme: "rs:4+2", StoredTB: 3000}}, Sites: 3, Drives: 600, Servers: 60, RawTB: 12000, StoredTB: 4000, Amplification: 1}
	if err := o.SetDurability(durability.System{}); err != nil {
		t.Fatal(err)
	}
	single := func(scheme string, drives float64) Option {
		p := Option{Scheme: scheme, Sites: 3, Drives: drives, Servers: drives / 10, RawTB: drives * 20, StoredTB: 1, Amplification: 1}
		p.StoredTB = p.RawTB * 6500 / 12000 / map[string]float64{"replica:2": 2, "rs:4+2": 1.5}[scheme]
		if err := p.SetDurability(durability.System{}); err != nil {
			t.Fatal(err)
		}
		return p
	}
	a, b := single("replica:2", 600*2000/6500.0), single("rs:4+2", 600*4500/6500.0)
	want := a.NOMDL.Typical/4 + b.NOMDL.Typical*3/4
	if math.Abs(o.NOMDL.Typical/want-1) > 0.02 {
		t.Errorf("share lost %g, want about %g", o.NOMDL.Typical, want)
	}
	if *o.FailuresSurvived != 1 {
		t.Errorf("%d failures survived", *o.FailuresSurvived)
	}
}

// TestSmallPool: a pool too small for drives of its own lies on those of the others.
func TestSmallPool(t *testing.T) {
	r, err := Run(Scenario{Pools: []Pool{{Scheme: "replica:3", StoredTB: 100}, {Scheme: "rs:8+3", StoredTB: 0.001}}, Fleet: []Fleet{{Disk: "hgst-he12-12tb", Count: 60}}, Sites: []Site{{Name: "a"}, {Name: "b"}}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Baseline.NinesIndependent == nil {
		t.Error(r.Baseline.Because["nines"])
	}
}
