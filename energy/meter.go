package energy

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

// Work is what a drive was asked for. Seeks are the reads and writes that do not go on where
// the last one ended. A sync counts as one random write more: what the file system writes
// down to find the data again.
type Work struct {
	Reads        int64 `json:"reads,omitempty"`
	Writes       int64 `json:"writes,omitempty"`
	Syncs        int64 `json:"syncs,omitempty"`
	ReadSeeks    int64 `json:"read_seeks,omitempty"`
	WriteSeeks   int64 `json:"write_seeks,omitempty"`
	BytesRead    int64 `json:"bytes_read,omitempty"`
	BytesWritten int64 `json:"bytes_written,omitempty"`
}

// Plus returns the sum of w and v.
func (w Work) Plus(v Work) Work {
	return Work{w.Reads + v.Reads, w.Writes + v.Writes, w.Syncs + v.Syncs, w.ReadSeeks + v.ReadSeeks, w.WriteSeeks + v.WriteSeeks,
		w.BytesRead + v.BytesRead, w.BytesWritten + v.BytesWritten}
}

// Ops counts the I/Os.
func (w Work) Ops() int64 { return w.Reads + w.Writes + w.Syncs }

// Times is time by state.
type Times [states]time.Duration

// MarshalJSON writes nanoseconds by state, without those that are 0.
func (t Times) MarshalJSON() ([]byte, error) { return t.append(nil), nil }

// UnmarshalJSON reads what MarshalJSON writes.
func (t *Times) UnmarshalJSON(p []byte) error {
	var u Times
	if eachNumber(p, func(name, number []byte) bool {
		s := slices.Index(stateNames[:], string(name))
		n, err := strconv.ParseInt(string(number), 10, 64)
		if s < 0 || err != nil {
			return false
		}
		u[s] = time.Duration(n)
		return true
	}) {
		*t = u
		return nil
	}
	var by map[string]time.Duration // written in another way, or wrong
	if err := json.Unmarshal(p, &by); err != nil {
		return err
	}
	*t = Times{}
	for name, d := range by {
		s, err := ParseState(name)
		if err != nil {
			return err
		}
		t[s] = d
	}
	return nil
}

// Sum is the time in all states.
func (t Times) Sum() (sum time.Duration) {
	for _, d := range t {
		sum += d
	}
	return sum
}

// A Meter turns the work and the rest of one kind of drive into time by state and energy.
// It is computed from a profile, and from the class where the profile says nothing.
type Meter struct {
	Profile Profile
	Watts   [states]Estimate
	// Random I/Os: seek and half a turn, milliseconds.
	ReadMS, WriteMS Estimate
	// Sequential transfer, MB/s.
	MBs Estimate
	// A start, from standby to idle.
	StartS, StartJ Estimate

	rest Rest
}

// Figures of drives whose profiles do not give them.
const (
	hc310Source = "Ultrastar HC310 manual, pp. 23 and 33: seek 7.4 ms to read, 8.2 ms to write, half a turn 4.16 ms; ends assumed, 75 to 150 a second: queues shorten seeks"
	ssdSource   = "assumed for flash: 100,000 a second, 20,000 to 500,000"
	startSource = "Constellation ES.2 manual and two drives of a published simulator: 12 to 15 s"
	peakSource  = "peak at start times time to ready, times 0.76: mean over peak of the one drive read that gives both (Hitachi 5K320: 3.8 of 5.0 W)"
)

// meters are made once. Every I/O looks for its own, so that they stand in a map that nobody
// changes: a new one comes with a copy of it.
var meters atomic.Pointer[map[string]*Meter]

// MeterOf returns the meter of the profile with a name. The meter of one that is not known
// is that of its class, air drives.
func MeterOf(name string) *Meter {
	known := meters.Load()
	if known != nil && (*known)[name] != nil {
		return (*known)[name]
	}
	p, err := Lookup(name)
	if err != nil {
		p = Profile{ID: name, Kind: "hdd", Technology: "air", Status: Default, Source: "not known; taken as an air drive"}
	}
	m := NewMeter(p)
	more := map[string]*Meter{name: m}
	if known != nil {
		maps.Copy(more, *known)
	}
	meters.CompareAndSwap(known, &more) // else the next one who asks makes it
	return m
}

// NewMeter returns the meter of a profile.
func NewMeter(p Profile) *Meter {
	m := &Meter{Profile: p, MBs: p.rate()}
	for s := range m.Watts {
		m.Watts[s] = p.Estimate(State(s))
	}
	flash := p.Kind == "ssd"
	switch {
	case p.IOPS > 0:
		m.ReadMS = Around(1000/p.IOPS, datasheetBand, "ms", p.Status, p.SourceID)
		m.WriteMS = m.ReadMS
	case flash:
		m.ReadMS = Estimate{0.002, 0.01, 0.05, "ms", Default, ssdSource}
		m.WriteMS = m.ReadMS
	default:
		m.ReadMS = Estimate{1000. / 150, 7.4 + 4.16, 1000. / 75, "ms", Default, hc310Source}
		m.WriteMS = Estimate{1000. / 150, 8.2 + 4.16, 1000. / 75, "ms", Default, hc310Source}
	}
	m.StartS, m.StartJ = p.start(m.Watts[SpinUp])
	m.rest = m.restOf()
	return m
}

// start is the time and energy from standby to ready. Flash has nothing to start.
func (p Profile) start(peak Estimate) (s, j Estimate) {
	if p.Kind == "ssd" {
		return Point(0, "s", Model, "class ssd: nothing turns"), Point(0, "J", Model, "class ssd: nothing turns")
	}
	s = Estimate{12, 14, 15, "s", Model, startSource}
	if p.SpinUpS > 0 {
		s = p.published(p.SpinUpS)
		s.Unit = "s"
	}
	if p.SpinUpJ > 0 {
		j = p.published(p.SpinUpJ)
		j.Unit = "J"
		return s, j
	}
	return s, Estimate{0.5 * peak.Low * s.Low, 0.76 * peak.Typical * s.Typical, peak.High * s.High, "J", Model, peakSource}
}

// rate is the sequential rate in MB/s: the profile's, or the geometric mean and the extremes
// of verified drives of its kind.
func (p Profile) rate() Estimate {
	if p.SeqMBs > 0 {
		e := p.published(p.SeqMBs)
		e.Unit = "MB/s"
		return e
	}
	var list []float64
	for _, q := range Profiles() {
		if q.Kind == p.Kind && q.SeqMBs > 0 {
			list = append(list, q.SeqMBs)
		}
	}
	if len(list) == 0 {
		return Estimate{100, 200, 300, "MB/s", Default, "assumed"}
	}
	sum := 0.0
	for _, v := range list {
		sum += math.Log(v)
	}
	return Estimate{slices.Min(list), math.Exp(sum / float64(len(list))), slices.Max(list), "MB/s", Model, "drives of kind " + p.Kind}
}

// Busy is the time that work takes by state: a random access for each seek and sync, and the
// bytes at the sequential rate.
func (m *Meter) Busy(w Work) Times {
	var t Times
	ms := func(v float64) time.Duration { return time.Duration(v * 1e6) }
	bytes := func(n int64) time.Duration { return time.Duration(float64(n) / m.MBs.Typical * 1e3) }
	t[Active] = ms(m.ReadMS.Typical * float64(w.ReadSeeks))
	t[RandomWrite] = ms(m.WriteMS.Typical * float64(w.WriteSeeks+w.Syncs))
	t[Sequential], t[SequentialWrite] = bytes(w.BytesRead), bytes(w.BytesWritten)
	return t
}

// Energy is what the drive uses in times, starts apart.
func (m *Meter) Energy(t Times) Amount {
	var sum Amount
	for s, d := range t {
		if State(s) != SpinUp {
			sum = sum.Plus(m.draw(State(s), d))
		}
	}
	return sum
}

func (m *Meter) draw(s State, d time.Duration) Amount { return Watts(m.Watts[s].Typical).Exactly(d) }

// Start is the time and the energy from standby to ready.
func (m *Meter) Start() (time.Duration, Amount) {
	return time.Duration(m.StartS.Typical * 1e9), Watts(m.StartJ.Typical).Exactly(time.Second)
}
