package energy

import (
	"fmt"
	"math"
	"time"
)

// SpinDown is when a drive stops by itself: After its last I/O. The zero value never does.
type SpinDown struct {
	After time.Duration
}

// Next returns the state a drive last used at lastIO should have at now, and when to ask
// again; the zero time means not before its next use.
func (p SpinDown) Next(lastIO, now time.Time) (State, time.Time) {
	if p.After <= 0 {
		return Idle, time.Time{}
	}
	if stop := lastIO.Add(p.After); now.Before(stop) {
		return Idle, stop
	}
	return Standby, time.Time{}
}

func (p SpinDown) String() string {
	if p.After <= 0 {
		return "never"
	}
	return p.After.String()
}

// Starts that a drive is rated for and the life over which it may spend them, where its
// profile does not say: 50,000 in five years (Ultrastar DC HC580 manual, p. 34).
const (
	ratedStarts = 50_000
	RatedYears  = 5
)

// A Rest is what stopping a kind of drive would bring.
type Rest struct {
	Saves     Watts         // idle less standby
	BreakEven time.Duration // gap between two uses from which a stop saves energy; 0: never
	Budget    time.Duration // mean time between starts that spends the rated ones over its life
}

// Rest returns what stopping the drive would bring.
func (m *Meter) Rest() Rest { return m.rest }

func (m *Meter) restOf() Rest {
	idle, standby := m.Watts[Idle].Typical, m.Watts[Standby].Typical
	starts := m.Profile.StartStops
	if starts == 0 {
		starts = ratedStarts
	}
	r := Rest{Saves: Watts(idle - standby), Budget: seconds(86400 / StartsPerDay(starts, RatedYears))}
	if s := BreakEven(Watts(idle), Watts(standby), Joules(m.StartJ.Typical), m.StartS.Typical); !math.IsInf(s, 1) && m.StartJ.Typical > 0 {
		r.BreakEven = seconds(s)
	}
	return r
}

func seconds(s float64) time.Duration { return time.Duration(s * 1e9) }

// Timer is the shortest SpinDown.After that neither loses energy in the worst case beyond
// twice the best (the break-even gap) nor, should a start follow every stop, spends the rated
// starts before the end of the drive's life.
func (r Rest) Timer() SpinDown { return SpinDown{max(r.BreakEven, r.Budget)} }

// Warn says what is wrong with stopping by a policy, or "".
func (r Rest) Warn(p SpinDown) string {
	switch {
	case p.After <= 0:
		return ""
	case r.BreakEven == 0:
		return "stopping saves nothing"
	case p.After < r.BreakEven:
		return fmt.Sprintf("a spin-down after %s is shorter than the break-even of %s, from which on no pattern of use costs more than twice the best", p, r.BreakEven.Round(time.Second))
	case p.After < r.Budget:
		return fmt.Sprintf("a spin-down after %s may start drives more often than once in %s, and so spend the rated starts within %d years", p, r.Budget.Round(time.Minute), RatedYears)
	}
	return ""
}

// Judge says in words whether stopping would have paid on drives whose gaps between uses are
// known: gaps of break-even or longer, the time in them beyond break-even, and all the time.
func (r Rest) Judge(gaps int64, beyond, all time.Duration) string {
	saved := r.Saves.Over(beyond)
	switch {
	case r.BreakEven == 0:
		return "does not pay: stopping saves nothing"
	case all <= 0 || gaps == 0 || beyond <= 0:
		return fmt.Sprintf("does not pay: no gap between uses was longer than the break-even of %s", r.BreakEven.Round(time.Second))
	case float64(all)/float64(gaps) < float64(r.Budget):
		return fmt.Sprintf("would save at most %s, but a start every %s spends the rated starts too early (one every %s lasts %d years)",
			saved, (all / time.Duration(gaps)).Round(time.Second), r.Budget.Round(time.Minute), RatedYears)
	}
	return fmt.Sprintf("would save at most %s in %s, with %d starts", saved, all.Round(time.Second), gaps)
}
