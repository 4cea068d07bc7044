package dashboard

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/wattle-storage/wattle/energy"
)

const (
	sampleEvery = 5 * time.Second
	hour        = 720 // samples
	mostSites   = 16  // that are told apart; the rest are one
)

// shownStates are the states of drives in the order in which they are stacked.
var shownStates = []energy.State{energy.Standby, energy.IdleC, energy.IdleB, energy.IdleA, energy.Idle, energy.Sequential, energy.SequentialWrite,
	energy.RandomWrite, energy.Active, energy.SpinUp}

// Power is what the drives drew, sample by sample: means over the time since the sample
// before.
type Power struct {
	Every   float64  `json:"every_seconds"`
	Sites   []string `json:"sites"`
	States  []string `json:"states"`
	Samples []Sample `json:"samples"`
}

// A Sample is a mean power until a moment, by site and state, and that of coding.
type Sample struct {
	At     int64       `json:"at"`      // milliseconds since 1970
	Span   float64     `json:"seconds"` // that it is a mean over
	Watts  [][]float64 `json:"watts"`   // by site, then state
	Coding float64     `json:"coding_watts"`
}

// A history is the last hour of a ledger. Its memory is bounded by the sites and states.
//
// The ledger charges a drive for work when it is given, ahead of the time that the work takes
// it. The history draws that work out over the drive's own time: what is not worked off when
// a sample is taken waits for the next, so that no drive draws more than a drive can, and the
// samples and what waits sum to the ledger.
type history struct {
	mu     sync.Mutex
	sites  []string         // guarded by mu; in order of first sight
	ring   []Sample         // guarded by mu
	next   int              // guarded by mu; where the next sample goes once the ring is full
	last   time.Time        // guarded by mu
	drives map[int32]*drawn // guarded by mu
	coding energy.Amount    // guarded by mu
}

// drawn is how far a drive was sampled.
type drawn struct {
	times   energy.Times // as the ledger had them
	waiting energy.Times // charged, and not worked off
}

// add samples a ledger as of its own time.
func (h *history) add(l *energy.Ledger) {
	h.mu.Lock()
	defer h.mu.Unlock()
	first := h.last.IsZero()
	span := l.At.Sub(h.last)
	if !first && span <= 0 {
		return // the clock stood still, or was set back
	}
	if first {
		h.drives = map[int32]*drawn{}
	}
	s := Sample{At: l.At.UnixMilli(), Span: span.Seconds(), Watts: make([][]float64, len(h.sites))}
	for _, id := range slices.Sorted(maps.Keys(l.Drives)) {
		d := l.Drives[id]
		was := h.drives[id]
		if was == nil {
			was = &drawn{times: d.Times}
			h.drives[id] = was
		}
		worked := was.advance(d.Times, span)
		if first {
			continue
		}
		at := h.site(d.Site)
		for len(s.Watts) <= at {
			s.Watts = append(s.Watts, nil)
		}
		if s.Watts[at] == nil {
			s.Watts[at] = make([]float64, len(shownStates))
		}
		m := energy.MeterOf(d.Profile)
		for i, state := range shownStates {
			s.Watts[at][i] += draw(m, state) * worked[state].Seconds() / span.Seconds()
		}
	}
	s.Coding = float64(l.Coding.Minus(h.coding).Joules()) / span.Seconds()
	h.coding, h.last = l.Coding, l.At
	if !first {
		h.keep(s)
	}
}

// advance takes what the ledger has charged since, and returns how the drive spent a span:
// what waited and what came, in its proportions, as far as the span goes.
func (d *drawn) advance(times energy.Times, span time.Duration) (worked energy.Times) {
	for s := range times {
		if more := times[s] - d.times[s]; more > 0 && energy.State(s) != energy.Off {
			d.waiting[s] += more
		}
	}
	d.times = times
	part := 1.0
	if all := d.waiting.Sum(); all > span {
		part = float64(span) / float64(all)
	}
	for s, t := range d.waiting {
		worked[s] = time.Duration(float64(t) * part)
		d.waiting[s] -= worked[s]
	}
	return worked
}

// draw is the mean watts of a drive in a state.
func draw(m *energy.Meter, s energy.State) float64 {
	if s == energy.SpinUp && m.StartS.Typical > 0 {
		return m.StartJ.Typical / m.StartS.Typical
	}
	return m.Watts[s].Typical
}

// site is the place of a site in samples.
func (h *history) site(name string) int {
	if i := slices.Index(h.sites, name); i >= 0 {
		return i
	}
	if len(h.sites) == mostSites {
		h.sites = append(h.sites, "others")
	}
	if len(h.sites) > mostSites {
		return mostSites
	}
	h.sites = append(h.sites, name)
	return len(h.sites) - 1
}

func (h *history) keep(s Sample) {
	if len(h.ring) < hour {
		h.ring = append(h.ring, s)
		return
	}
	h.ring[h.next] = s
	h.next = (h.next + 1) % hour
}

// since returns the samples after a moment, in order.
func (h *history) since(t time.Time) Power {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := Power{Every: sampleEvery.Seconds(), Sites: append([]string{}, h.sites...), Samples: []Sample{}}
	for _, s := range shownStates {
		p.States = append(p.States, s.String())
	}
	for i := range h.ring {
		if s := h.ring[(h.next+i)%len(h.ring)]; s.At > t.UnixMilli() {
			p.Samples = append(p.Samples, s)
		}
	}
	return p
}
