package energy

import (
	"errors"
	"fmt"
	"math"
)

// DCiE is IT energy over facility energy.
func DCiE(pue float64) float64 { return 1 / pue }

// ERE is the energy not reused, over that of the IT (The Green Grid).
func ERE(pue, erf float64) float64 { return pue * (1 - erf) }

// CUE is kilograms of CO2e for each kilowatt-hour of the IT (ISO/IEC 30134-8), at a carbon
// intensity in grams a kilowatt-hour.
func CUE(pue, gPerKWh float64) float64 { return pue * gPerKWh / 1000 }

// MostSaved is the largest part of a facility's bill that can be saved when only a share of
// what is not IT can go: share·(1 − 1/PUE). A share of 1 is all of it.
func MostSaved(pue, share float64) float64 { return share * (1 - 1/pue) }

// LeastPUE is the PUE below which a part of the bill cannot be saved out of a share of what
// is not IT; +Inf when it never can.
func LeastPUE(saving, share float64) float64 {
	if saving >= share {
		return math.Inf(1)
	}
	return 1 / (1 - saving/share)
}

// Saved is the part of the facility's bill saved when a part of the cooling's bill is, and
// the PUE that follows.
func Saved(pue, coolingShare, ofCooling float64) (ofFacility, after float64) {
	cut := (pue - 1) * coolingShare * ofCooling
	return cut / pue, pue - cut
}

// PUEAfter is the PUE when a part of the facility's bill was saved outside the IT. The error
// says that so much cannot be.
func PUEAfter(pue, saving float64) (float64, error) {
	if after := pue * (1 - saving); after >= 1 {
		return after, nil
	}
	return 0, fmt.Errorf("%w: %s %% of the bill at PUE %s is more than all that is not IT (%s %%); it takes a PUE of %s",
		ErrSaving, Four(100*saving), Four(pue), Four(100*MostSaved(pue, 1)), Four(LeastPUE(saving, 1)))
}

// ErrSaving is the error of a saving that cannot be.
var ErrSaving = errors.New("impossible saving")

// An Objective is what the ETSI global KPIs of data centre energy management (DCEM, ES 205
// 200-2-1) take: energies of a year in kilowatt-hours.
type Objective struct {
	Total     float64 // all energy
	IT        float64
	Reused    float64 // heat given to others
	Renewable float64 // produced on site from renewable sources
}

// A KPI is the four objective indicators. Wattle gives them without class or score: the
// limits of the classes were not read in the standard.
type KPI struct {
	Consumption    float64 `json:"kpi_ec"` // kWh a year
	TaskEfficiency float64 `json:"kpi_te"` // total over IT
	Reuse          float64 `json:"kpi_reuse"`
	Renewable      float64 `json:"kpi_ren"`
}

// DCEM returns the four indicators.
func DCEM(o Objective) (KPI, error) {
	if !(o.Total > 0 && o.IT > 0 && o.IT <= o.Total && o.Reused >= 0 && o.Renewable >= 0) {
		return KPI{}, fmt.Errorf("%w: DCEM wants 0 < IT ≤ total and no negative energy, not %+v", ErrFacility, o)
	}
	return KPI{o.Total, o.Total / o.IT, o.Reused / o.Total, o.Renewable / o.Total}, nil
}

// ErrFacility is the error of a facility that cannot be.
var ErrFacility = errors.New("bad facility")

// BreakEven is the gap between two uses, in seconds, from which stopping a drive saves energy:
// in standby it draws less, but the start costs joules within spinUp seconds.
func BreakEven(idle, standby Watts, start Joules, spinUp float64) float64 {
	if idle <= standby {
		return math.Inf(1)
	}
	return math.Max(spinUp, (float64(start)-float64(standby)*spinUp)/float64(idle-standby))
}

// SpinDownTimer is the wait after the last use that never costs more than twice the best
// (the transitions' energy above idle and active, over what standby saves), as the
// simulators of multi-state disks set it.
func SpinDownTimer(down, downS, up, upS float64, idle, active, standby Watts) float64 {
	return math.Max(0, (downS*(down-float64(idle))+upS*(up-float64(active)))/float64(idle-standby)) + downS
}

// StartsPerDay is how many starts a day spend a budget of start/stop cycles over a life.
func StartsPerDay(cycles, lifeYears float64) float64 { return cycles / (lifeYears * 365.25) }
