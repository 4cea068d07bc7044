package durability

import (
	"math"
	"testing"
)

// Faults that public calculators have been found to have, with the figures measured: here they
// are not.

// TestFaultPlainElimination: LU on RS(10,4), lam 1e-6 and mu 0.1, is 73 % off; see also
// TestElimination.
func TestFaultPlainElimination(t *testing.T) {
	c, _ := MDS(14, 4, 1e-6, 0.1, Parallel)
	want := bigMTTDL(c)
	agree(t, "recurrence", c.MTTDL(), want, 3e-15)
	got, err := c.Markov().MTTDL(0)
	if err != nil {
		t.Fatal(err)
	}
	agree(t, "elimination", got, want, 3e-15)
}

// TestFaultOneMinus: a probability of loss as 1 minus the probability of the sound states is 0
// below 1e-16; ours keeps its digits.
func TestFaultOneMinus(t *testing.T) {
	c, _ := MDS(40, 12, 1.14e-6, 0.1, Parallel)
	p, err := c.PDL(10 * YearHours)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "28+12", p, 7.5253463097e-50, 1e-9)
	if 1-(1-p) != 0 {
		t.Error("the fault is not shown")
	}
}

// TestFaultWindows: a fixed window misses the losses that straddle two; counting overlap gives
// m+1 times as much, and the chain agrees with that.
func TestFaultWindows(t *testing.T) {
	fixed, sliding := FixedWindow(20, 3, 0.00405, 6.5), SlidingWindow(20, 3, 0.00405, 6.5)
	near(t, "sliding over fixed", sliding/fixed, 4, 0.002)
	c, _ := MDS(20, 3, 0.00405/8760, 1/(6.5*24), Parallel)
	p, err := c.PDL(8760)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "chain", p, 2.8433e-11, 1e-4)
	near(t, "chain against sliding", p, sliding, 0.04)
	if n := Nines(p); math.Abs(n-10.5) > 0.05 {
		t.Errorf("%.1f nines, want 10.5", n)
	}
}

// TestFaultCephSites: the tool overwrites what its recursion still needs. With sites that never
// burn, two with one copy each give 1.2415e-9, and the tool 1.023e-10.
func TestFaultCephSites(t *testing.T) {
	c := DefaultCeph()
	c.SiteRate = 1e-12
	p, _ := c.Sites(2, 1)
	near(t, "two sites of one copy", p, 1.2415e-9, 1e-4)
}

// TestFaultUnavailability: times until data cannot be read are not times until it is lost. The
// model named after such figures is a chain with its own rates, and no durability is made of it.
func TestFaultUnavailability(t *testing.T) {
	r3 := Chain{[]float64{0.02439, 0.01626, 0.00813}, []float64{0, 66, 66}}
	near(t, "days until three copies cannot be read", r3.MTTDL(), 1.35e9, 0.01)
}

// TestFaultTooFewDigits: a table made with 1−p is 0.27 % low beyond 1e-15; adding up the tail
// is not.
func TestFaultTooFewDigits(t *testing.T) {
	near(t, "15+5", FixedWindow(20, 5, 0.00405, 6.5), 3.0608e-19, 1e-4)
}

// TestFaultStartUp: T/MTTDL overstates by the time to fill the chain.
func TestFaultStartUp(t *testing.T) {
	c, _ := MDS(14, 4, 1.6e-6, 0.04, Parallel)
	p, err := c.PDL(YearHours)
	if err != nil {
		t.Fatal(err)
	}
	if over := YearHours/c.MTTDL()/p - 1; over < 0.001 || over > 0.05 {
		t.Errorf("T/MTTDL is %.2g over", over)
	}
}
