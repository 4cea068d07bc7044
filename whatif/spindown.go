package whatif

import (
	"math"

	"github.com/wattle-storage/wattle/energy"
)

// A SpinDown says when stopping a drive between two uses pays.
type SpinDown struct {
	IdleW        float64  `json:"idle_w"`
	StandbyW     float64  `json:"standby_w"`
	StartJ       float64  `json:"start_j"`        // of a start, at most
	BreakEvenS   *float64 `json:"break_even_s"`   // gap from which stopping saves; null: never
	TimerS       *float64 `json:"timer_s"`        // wait that costs at most twice the best; null without spindown figures
	StartsPerDay *float64 `json:"starts_per_day"` // that spend the rated start/stop cycles in the years of service
	Source       string   `json:"source"`
}

// Values where a profile has none: the longest start and the rating that manuals give.
const (
	defaultSpinUpS = 15
	defaultCycles  = 50000
)

// spinDown is that of the first drives of a plan; nil for drives without platters.
func (m *model) spinDown(p *plan) *SpinDown {
	d, err := energy.Find(m.s.Profiles, p.lines[0].disk)
	if err != nil || d.Kind == "ssd" {
		return nil
	}
	up := orElse(d.SpinUpS, defaultSpinUpS)
	start := energy.Joules(orElse(d.SpinUpJ, float64(d.Watts(energy.SpinUp))*up))
	idle, standby := d.Watts(energy.Idle), d.Watts(energy.Standby)
	s := &SpinDown{IdleW: float64(idle), StandbyW: float64(standby), StartJ: float64(start), Source: "model"}
	if d.SpinUpW > 0 && d.IdleW > 0 && d.StandbyW > 0 {
		s.Source = d.SourceID
	}
	if at := energy.BreakEven(idle, standby, start, up); !math.IsInf(at, 0) {
		s.BreakEvenS = &at
	}
	if d.SpinDownS > 0 {
		down := orElse(d.SpinDownW, float64(idle))
		if at := energy.SpinDownTimer(down, d.SpinDownS, float64(start)/up, up, idle, d.Watts(energy.Active), standby); finite(at) {
			s.TimerS = &at
		}
	}
	if years := p.life; years > 0 {
		s.StartsPerDay = ptr(energy.StartsPerDay(orElse(d.StartStops, defaultCycles), years))
	}
	return s
}
