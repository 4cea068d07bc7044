package energy

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// Boundary is what a ledger counts.
const Boundary = "drives, and processor time for coding"

// A Row is the part of a name in a ledger.
type Row struct {
	Name   string  `json:"name"`
	Joules Amount  `json:"joules"`
	KWh    float64 `json:"kwh"`
	Share  float64 `json:"share"` // of the whole
	Causes Parts   `json:"by_cause"`
}

// Names of rows that are no drive, site or bucket.
const (
	Unallocated = "(unallocated)" // capacity that no object holds
	CodingRow   = "(coding)"      // processor time, on no drive
)

// By lists the parts of a settled ledger by "cause", "bucket", "site" or "drive", in order
// of name, causes in their own. They sum to the whole. With spread, buckets bear what no
// bucket holds, in proportion to what they bear already.
func (l *Ledger) By(what string, spread bool) ([]Row, error) {
	by := map[string]Parts{}
	add := func(name string, p Parts) {
		q := by[name]
		q.Add(p)
		by[name] = q
	}
	switch what {
	case "cause":
		return l.byCause(), nil
	case "bucket":
		for name, p := range l.borne(spread) {
			add(name, p)
		}
	case "site", "drive":
		for id, d := range l.Drives {
			name := d.Site
			if what == "drive" || name == "" {
				name = cmpOr(d.Name, fmt.Sprintf("drive %d", id))
			}
			add(name, d.Spent)
		}
		var coding Parts
		coding[ForCoding] = l.Coding
		add(CodingRow, coding)
	default:
		return nil, fmt.Errorf("%w: no account by %q: want cause, bucket, site or drive", ErrLedger, what)
	}
	var rows []Row
	for _, name := range slices.Sorted(maps.Keys(by)) {
		rows = append(rows, l.row(name, by[name]))
	}
	return rows, nil
}

// NoUser bears what nobody with an access key asked for, in buckets that nobody with one owns.
const NoUser = "(no user)"

// ByUser lists what users bear: what they asked for, in whatever bucket, and of the buckets that
// they own the rest: idling, upkeep, and what nobody known asked for. owner names the user that
// owns a bucket now, "" for none. The rows sum to the whole, as those of By do.
func (l *Ledger) ByUser(owner func(bucket string) string, spread bool) []Row {
	by := map[string]Parts{}
	add := func(name string, p Parts) {
		q := by[name]
		q.Add(p)
		by[name] = q
	}
	for bucket, rest := range l.borne(spread) {
		b := l.Buckets[bucket]
		if b == nil {
			add(bucket, rest) // Unallocated
			continue
		}
		for c, a := range b.asked() {
			rest[c] = rest[c].Minus(a)
		}
		for user, p := range b.Users {
			add(user, *p)
		}
		add(cmpOr(owner(bucket), NoUser), rest)
	}
	var rows []Row
	for _, name := range slices.Sorted(maps.Keys(by)) {
		rows = append(rows, l.row(name, by[name]))
	}
	return rows
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func (l *Ledger) row(name string, p Parts) Row {
	sum, all := p.Sum(), l.Parts().Sum()
	r := Row{Name: name, Joules: sum, KWh: sum.Joules().KWh(), Causes: p}
	if !all.IsZero() {
		r.Share = float64(sum.Joules()) / float64(all.Joules())
	}
	return r
}

func (l *Ledger) byCause() []Row {
	var rows []Row
	for c, a := range l.Parts() {
		var p Parts
		p[c] = a
		rows = append(rows, l.row(Cause(c).String(), p))
	}
	return rows
}

// borne is what buckets bear, and Unallocated.
func (l *Ledger) borne(spread bool) map[string]Parts {
	by := map[string]Parts{}
	free := l.Free
	free.Add(l.Pending)
	names := slices.Sorted(maps.Keys(l.Buckets))
	var top Amount
	for _, n := range names {
		by[n] = l.Buckets[n].Spent
		top = top.Plus(by[n].Sum())
	}
	if !spread || top.IsZero() {
		by[Unallocated] = free
		return by
	}
	weights := make([]uint64, len(names))
	for i, n := range names {
		weights[i] = by[n].Sum().weight(top)
	}
	for c, a := range free {
		for i, part := range a.Split(weights) {
			p := by[names[i]]
			p[c] = p[c].Plus(part)
			by[names[i]] = p
		}
	}
	return by
}

// TimesSum is the time of all drives by state, and their starts.
func (l *Ledger) TimesSum() (sum Times, starts int64) {
	for _, d := range l.Drives {
		for s, t := range d.Times {
			sum[s] += t
		}
		starts += d.Starts
	}
	return sum, starts
}

// Profiles lists the profiles of the drives in order.
func (l *Ledger) Profiles() []string {
	names := map[string]bool{}
	for _, d := range l.Drives {
		names[d.Profile] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// Rests judges for each profile what stopping its drives would have brought, in order.
func (l *Ledger) Rests() []Verdict {
	var list []Verdict
	for _, name := range l.Profiles() {
		v := Verdict{Profile: name, Rest: MeterOf(name).Rest()}
		for _, d := range l.Drives {
			if d.Profile == name {
				v.Gaps += d.Gaps
				v.Beyond += d.Beyond
				v.Age += d.Times.Sum() - d.Times[Off]
				if even := v.Rest.BreakEven; even > 0 && d.At.Sub(d.Used) > even { // the gap that lasts
					v.Gaps++
					v.Beyond += d.At.Sub(d.Used) - even
				}
			}
		}
		v.Words = v.Rest.Judge(v.Gaps, v.Beyond, v.Age)
		v.Warning = v.Rest.Warn(l.Settings.SpinDown)
		list = append(list, v)
	}
	return list
}

// A Verdict is what stopping the drives of a profile would have brought.
type Verdict struct {
	Profile string        `json:"profile"`
	Rest    Rest          `json:"-"`
	Gaps    int64         `json:"gaps"`
	Beyond  time.Duration `json:"beyond_ns"`
	Age     time.Duration `json:"age_ns"`
	Words   string        `json:"verdict"`
	Warning string        `json:"warning,omitempty"` // about the policy that is set
}

// Band is the whole with its ends: each input (watts of a state of a profile, times of its
// I/Os, a core's watts) at its low and at its high end by itself, and the deviations of the
// logarithms added in quadrature. Longer I/Os leave less time idle.
func (l *Ledger) Band() Estimate {
	groups := map[string]*group{}
	for _, d := range l.Drives {
		g := groups[d.Profile]
		if g == nil {
			g = &group{Meter: MeterOf(d.Profile)}
			groups[d.Profile] = g
		}
		for s, t := range d.Times {
			g.times[s] += t.Seconds()
		}
		g.starts += float64(d.Starts)
	}
	core := l.Settings.Core()
	whole := func(pick func(string, Estimate) float64) float64 {
		sum := pick("core", core) * l.CodingNS.Seconds()
		for _, name := range slices.Sorted(maps.Keys(groups)) {
			sum += groups[name].joules(pick)
		}
		return sum
	}
	inputs := map[string]bool{}
	typical := whole(func(id string, e Estimate) float64 {
		inputs[id] = true
		return e.Typical
	})
	e := Estimate{typical, typical, typical, "J", Model, "times by state of each drive, times the watts of its profile"}
	if typical <= 0 {
		return e
	}
	var down, up float64
	for _, id := range slices.Sorted(maps.Keys(inputs)) {
		for _, high := range []bool{false, true} {
			v := whole(func(other string, e Estimate) float64 {
				switch {
				case other != id:
					return e.Typical
				case high:
					return e.High
				}
				return e.Low
			})
			dev := math.Log(v / typical)
			if dev < 0 {
				down += dev * dev
			} else {
				up += dev * dev
			}
		}
	}
	e.Low, e.High = typical*math.Exp(-math.Sqrt(down)), typical*math.Exp(math.Sqrt(up))
	return e
}

// A group is the drives of a profile together, times in seconds.
type group struct {
	*Meter
	times  [states]float64
	starts float64
}

func (g *group) joules(pick func(string, Estimate) float64) float64 {
	t := g.times
	for s, e := range map[State]Estimate{Active: g.ReadMS, RandomWrite: g.WriteMS} {
		longer := t[s] * (pick(e.Source+s.String(), e)/e.Typical - 1)
		t[s], t[Idle] = t[s]+longer, t[Idle]-longer
	}
	for _, s := range []State{Sequential, SequentialWrite} {
		longer := t[s] * (g.MBs.Typical/pick(g.MBs.Source+s.String(), g.MBs) - 1)
		t[s], t[Idle] = t[s]+longer, t[Idle]-longer
	}
	t[Idle] = math.Max(0, t[Idle])
	sum := g.starts * pick(g.Profile.ID+"/start", g.StartJ)
	for s := range t {
		if t[s] == 0 || State(s) == Off || State(s) == SpinUp {
			continue
		}
		b := g.Profile.Basis(State(s))
		w := pick(b.OwnID, b.Own)
		if b.RatioID != "" {
			w *= pick(b.RatioID, b.Ratio)
		}
		sum += w * t[s]
	}
	return sum
}
