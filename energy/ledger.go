package energy

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// A Cause is what energy was used for.
type Cause uint8

// The causes. Put is every change of the catalog: puts, copies, deletes, with their
// journals. Upkeep is what no other claims: opening, freeing, compaction.
const (
	ForIdle Cause = iota
	ForPut
	ForGet
	ForRepair
	ForScrub
	ForRebalance
	ForCoding
	ForUpkeep
	causes = iota
)

var causeNames = [causes]string{"idle", "put", "get", "repair", "scrub", "rebalance", "coding", "upkeep"}

func (c Cause) String() string {
	if int(c) >= causes {
		return fmt.Sprintf("Cause(%d)", c)
	}
	return causeNames[c]
}

// MarshalText writes the name.
func (c Cause) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads a name.
func (c *Cause) UnmarshalText(p []byte) error {
	i := slices.Index(causeNames[:], string(p))
	if i < 0 {
		return fmt.Errorf("cause %.20q: want one of %v", p, causeNames)
	}
	*c = Cause(i)
	return nil
}

// Causes lists all causes in order.
func Causes() []Cause {
	list := make([]Cause, causes)
	for i := range list {
		list[i] = Cause(i)
	}
	return list
}

// Parts is energy by cause.
type Parts [causes]Amount

// Add adds q to p.
func (p *Parts) Add(q Parts) {
	for i := range p {
		p[i] = p[i].Plus(q[i])
	}
}

// Sum is the energy of all causes.
func (p Parts) Sum() (sum Amount) {
	for _, a := range p {
		sum = sum.Plus(a)
	}
	return sum
}

// MarshalJSON writes joules by name of cause, without those that are 0.
func (p Parts) MarshalJSON() ([]byte, error) { return p.append(nil), nil }

// UnmarshalJSON reads what MarshalJSON writes.
func (p *Parts) UnmarshalJSON(text []byte) error {
	var q Parts
	if eachNumber(text, func(name, number []byte) bool {
		i := slices.Index(causeNames[:], string(name))
		return i >= 0 && q[i].UnmarshalJSON(number) == nil
	}) {
		*p = q
		return nil
	}
	var by map[Cause]Amount // written in another way, or wrong
	if err := json.Unmarshal(text, &by); err != nil {
		return err
	}
	*p = Parts{}
	for c, a := range by {
		p[c] = a
	}
	return nil
}

// A Share is the part of a bucket in some work; Weight is relative, bytes as a rule. User, when
// it is known, is who asked for it.
type Share struct {
	Bucket string
	Weight uint64
	User   string
}

// A Place says which drive a number is.
type Place struct {
	Site     string `json:"site"`
	Name     string `json:"name"` // SITE/RACK/HOST/DISK
	Profile  string `json:"profile"`
	Capacity int64  `json:"capacity"`
	Off      bool   `json:"off,omitempty"` // failed, missing or no longer in the map: draws nothing
}

// A DriveAccount is what is known of one drive.
type DriveAccount struct {
	Place
	At     time.Time     `json:"at"`   // accounted up to; later than the clock while work is queued
	Used   time.Time     `json:"used"` // end of the last work
	Spent  Parts         `json:"spent"`
	Times  Times         `json:"times_ns"`
	Unseen time.Duration `json:"unseen_ns,omitempty"` // left out, see Settings.Gap
	Work   Work          `json:"work"`
	Starts int64         `json:"starts,omitempty"`
	// Gaps between uses that were longer than the profile's break-even, and the time in them
	// beyond it: what stopping the drive could have saved.
	Gaps   int64         `json:"gaps,omitempty"`
	Beyond time.Duration `json:"beyond_ns,omitempty"`
}

// A BucketAccount is what is known of one bucket. It stays when the bucket is removed.
type BucketAccount struct {
	Raw   int64 `json:"raw"` // bytes that its objects take under their scheme, now
	Spent Parts `json:"spent"`
	// Users is what of Spent users have asked for, by their access keys.
	Users map[string]*Parts `json:"users,omitempty"`
}

// book charges a bucket, and who asked.
func (b *BucketAccount) book(user string, why Cause, a Amount) {
	b.Spent[why] = b.Spent[why].Plus(a)
	if user == "" {
		return
	}
	p := b.Users[user]
	if p == nil {
		p = &Parts{}
		if b.Users == nil {
			b.Users = map[string]*Parts{}
		}
		b.Users[user] = p
	}
	p[why] = p[why].Plus(a)
}

// asked sums what users have asked for.
func (b *BucketAccount) asked() (sum Parts) {
	for _, p := range b.Users {
		sum.Add(*p)
	}
	return sum
}

// Settings say how a ledger counts.
type Settings struct {
	SpinDown SpinDown      `json:"spin_down"`
	Gap      time.Duration `json:"gap_ns"`     // time without any process that is counted at most; below 0: all
	CoreW    float64       `json:"core_watts"` // of a core at work; 0: CoreWatts
}

// DefaultGap is how much of a time in which nobody opened the cluster counts: a week. Longer,
// the drives that a directory stands for are taken as shut down.
const DefaultGap = 7 * 24 * time.Hour

// CoreWatts is the draw of a processor core at work.
var CoreWatts = Estimate{2.1, 4.2, 10, "W", Default,
	"Etsy Cloud Jewels: 2.10 Wh a vCPU hour, a core taken as two of them; low: one, high: assumed"}

// Core is the draw of a core under the settings.
func (s Settings) Core() Estimate {
	if s.CoreW > 0 {
		return Point(s.CoreW, "W", Input, "set with `wattle energy --set core-watts`")
	}
	return CoreWatts
}

// A Ledger is the account of a cluster's energy from Since on. Its boundary is the drives,
// and the processor's time for coding.
//
// Every drive is active, starting, idle, in standby or off. Work is queued on it: time in
// which it is active follows from its I/Os and bytes and its profile, not from a clock, and
// whatever time is then left until now it was idle, or in standby as the settings say. So
// the times of a drive sum to its age. Energy is kept twice: by drive (and coding) and
// cause, and by bucket (and what no bucket holds) and cause; both sum to the same for every
// cause, at every moment.
//
// A Ledger takes the time as an argument and does no I/O. It is not safe for use by many
// goroutines.
type Ledger struct {
	Since    time.Time                 `json:"since"`
	At       time.Time                 `json:"at"`      // latest time seen
	Settled  time.Time                 `json:"settled"` // time of the last Settle
	Settings Settings                  `json:"settings"`
	Drives   map[int32]*DriveAccount   `json:"drives"`
	Coding   Amount                    `json:"coding"`
	CodingNS time.Duration             `json:"coding_ns"`
	Buckets  map[string]*BucketAccount `json:"buckets"`
	Free     Parts                     `json:"unallocated"`
	// Pending is not shared out yet: the next Settle does.
	Pending Parts         `json:"pending"`
	Unseen  time.Duration `json:"unseen_ns,omitempty"`
}

// NewLedger returns an account that begins now.
func NewLedger(now time.Time) *Ledger {
	return &Ledger{Since: now, At: now, Settled: now, Settings: Settings{Gap: DefaultGap}, Drives: map[int32]*DriveAccount{}, Buckets: map[string]*BucketAccount{}}
}

// Set says what drive id is from now on, and tells whether that is a change. Until now it was
// what it was.
func (l *Ledger) Set(now time.Time, id int32, p Place) bool {
	d := l.drive(now, id)
	if d.Place == p {
		return false
	}
	l.advance(d, now)
	d.Place = p
	return true
}

func (l *Ledger) drive(now time.Time, id int32) *DriveAccount {
	d := l.Drives[id]
	if d == nil {
		d = &DriveAccount{At: now, Used: now}
		l.Drives[id] = d
	}
	return d
}

func (l *Ledger) bucket(name string) *BucketAccount {
	b := l.Buckets[name]
	if b == nil {
		b = &BucketAccount{}
		l.Buckets[name] = b
	}
	return b
}

// Resume goes on after a time in which no process had the cluster open. Of a gap longer than
// Settings.Gap the rest is left out: the drives are taken as shut down.
func (l *Ledger) Resume(now time.Time) {
	if most := l.Settings.Gap; most >= 0 && now.Sub(l.At) > most {
		stop := l.At.Add(most)
		for _, d := range l.Drives {
			l.advance(d, stop)
			if left := now.Sub(d.At); left > 0 && !d.Off {
				d.Unseen += left
				d.At = now
				d.Used = now
			}
		}
		l.Unseen += now.Sub(stop)
	}
	l.Settle(now)
}

// Work charges what a drive was asked for at now, and returns its energy. Without shares it
// is shared out among buckets by the raw bytes they hold.
func (l *Ledger) Work(now time.Time, id int32, why Cause, w Work, shares []Share) Amount {
	d := l.drive(now, id)
	m := MeterOf(d.Profile)
	spent := l.wake(d, m, now)
	busy := m.Busy(w)
	for s, t := range busy {
		d.Times[s] += t
	}
	d.At = d.At.Add(busy.Sum())
	d.Used = d.At
	d.Work = d.Work.Plus(w)
	spent = spent.Plus(m.Energy(busy))
	d.Spent[why] = d.Spent[why].Plus(spent)
	l.share(why, spent, shares)
	l.seen(now)
	return spent
}

// wake brings a drive to the moment of work and starts it if it stands still.
func (l *Ledger) wake(d *DriveAccount, m *Meter, now time.Time) Amount {
	l.advance(d, now)
	d.Off = false // what answers is not off
	if gap, even := d.At.Sub(d.Used), m.rest.BreakEven; even > 0 && gap > even {
		d.Gaps++
		d.Beyond += gap - even
	}
	if s, _ := l.Settings.SpinDown.Next(d.Used, d.At); s != Standby {
		return Amount{}
	}
	t, spent := m.Start()
	d.Starts++
	d.Times[SpinUp] += t
	d.At = d.At.Add(t)
	return spent
}

// Now is what a drive of the ledger is doing at its latest time, and what it draws at that.
func (l *Ledger) Now(d *DriveAccount) (State, Watts) {
	if d.Off {
		return Off, 0
	}
	state := Active
	if !d.Used.After(l.At) { // no work is queued
		state, _ = l.Settings.SpinDown.Next(d.Used, l.At)
	}
	return state, Watts(MeterOf(d.Profile).Watts[state].Typical)
}

// Starts is how often drive id was started.
func (l *Ledger) Starts(id int32) int64 {
	if d := l.Drives[id]; d != nil {
		return d.Starts
	}
	return 0
}

// Coded charges processor time for coding, and returns its energy.
func (l *Ledger) Coded(cpu time.Duration, shares []Share) Amount {
	spent := Watts(l.Settings.Core().Typical).Exactly(cpu)
	l.CodingNS += max(0, cpu)
	l.Coding = l.Coding.Plus(spent)
	l.share(ForCoding, spent, shares)
	return spent
}

// share books energy that a drive or coding used on buckets.
func (l *Ledger) share(why Cause, a Amount, shares []Share) {
	switch len(shares) {
	case 0:
		l.Pending[why] = l.Pending[why].Plus(a)
	case 1:
		l.bucket(shares[0].Bucket).book(shares[0].User, why, a)
	default:
		weights := make([]uint64, len(shares))
		for i, s := range shares {
			weights[i] = s.Weight
		}
		for i, part := range a.Split(weights) {
			l.bucket(shares[i].Bucket).book(shares[i].User, why, part)
		}
	}
}

// Hold changes the raw bytes that a bucket holds. What was used before is first shared out
// among those who held then, when the last time is not only a moment ago.
func (l *Ledger) Hold(now time.Time, bucket string, raw int64) {
	if now.Sub(l.Settled) >= moment {
		l.Settle(now)
	}
	b := l.bucket(bucket)
	b.Raw = max(0, b.Raw+raw)
}

// moment is the time that is too short to matter for who held what.
const moment = 100 * time.Millisecond

// Settle accounts for all time until now and shares out what is pending: idling among
// buckets and unallocated space by raw bytes, other work among the buckets alone.
func (l *Ledger) Settle(now time.Time) {
	for _, d := range l.Drives {
		l.advance(d, now)
	}
	l.seen(now)
	l.Settled = now
	names := slices.Sorted(maps.Keys(l.Buckets))
	weights := make([]uint64, 0, len(names)+1)
	held := int64(0)
	for _, n := range names {
		weights = append(weights, uint64(l.Buckets[n].Raw))
		held += l.Buckets[n].Raw
	}
	free := uint64(max(0, l.Capacity()-held))
	for c, a := range l.Pending {
		if a.IsZero() {
			continue
		}
		w := weights
		if Cause(c) == ForIdle || held == 0 {
			w = append(weights, free)
		}
		if held == 0 && free == 0 {
			w[len(names)] = 1
		}
		for i, part := range a.Split(w) {
			to := &l.Free
			if i < len(names) {
				to = &l.Buckets[names[i]].Spent
			}
			to[c] = to[c].Plus(part)
		}
		l.Pending[c] = Amount{}
	}
}

// Capacity is the raw bytes of all drives that are not off.
func (l *Ledger) Capacity() (n int64) {
	for _, d := range l.Drives {
		if !d.Off {
			n += d.Capacity
		}
	}
	return n
}

func (l *Ledger) seen(now time.Time) {
	if now.After(l.At) {
		l.At = now
	}
}

// advance accounts for the time of a drive from where its work ended to now.
func (l *Ledger) advance(d *DriveAccount, now time.Time) {
	if !d.At.Before(now) {
		return
	}
	m := MeterOf(d.Profile)
	for d.At.Before(now) {
		state, until := Off, time.Time{}
		if !d.Off {
			state, until = l.Settings.SpinDown.Next(d.Used, d.At)
		}
		if until.IsZero() || until.After(now) {
			until = now
		}
		t := until.Sub(d.At)
		d.At = until
		d.Times[state] += t
		if a := m.draw(state, t); !a.IsZero() {
			d.Spent[ForIdle] = d.Spent[ForIdle].Plus(a)
			l.Pending[ForIdle] = l.Pending[ForIdle].Plus(a)
		}
	}
}

// Parts is the energy of the whole by cause.
func (l *Ledger) Parts() Parts {
	var sum Parts
	for _, d := range l.Drives {
		sum.Add(d.Spent)
	}
	sum[ForCoding] = sum[ForCoding].Plus(l.Coding)
	return sum
}

// ErrLedger is the error of an account that cannot be.
var ErrLedger = errors.New("bad energy ledger")

// Check tells where the parts do not sum to the whole, if so.
func (l *Ledger) Check() error {
	held := l.Free
	held.Add(l.Pending)
	for _, b := range l.Buckets {
		held.Add(b.Spent)
	}
	for c, a := range l.Parts() {
		if held[c] != a {
			return fmt.Errorf("%w: %s: drives and coding used %s J, buckets and unallocated space were charged %s J", ErrLedger, Cause(c), a, held[c])
		}
	}
	for name, b := range l.Buckets {
		for c, a := range b.asked() {
			if b.Spent[c].Less(a) {
				return fmt.Errorf("%w: bucket %q: users asked for %s J of %s, and it bears %s J", ErrLedger, name, a, Cause(c), b.Spent[c])
			}
		}
	}
	for id, d := range l.Drives {
		if got, want := d.Times.Sum()+d.Unseen, d.At.Sub(l.Since); got > want {
			return fmt.Errorf("%w: drive %d (%s): times of %s sum to more than its age, %s", ErrLedger, id, d.Name, got, want)
		}
	}
	return nil
}

// century is longer than any account lasts, and short enough that times add up.
const century = 100 * Year

// DecodeLedger reads what Encode wrote and checks it.
func DecodeLedger(p []byte) (*Ledger, error) {
	l, err := unmarshalLedger(p)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLedger, err)
	}
	if l.Drives == nil {
		l.Drives = map[int32]*DriveAccount{}
	}
	if l.Buckets == nil {
		l.Buckets = map[string]*BucketAccount{}
	}
	for id, d := range l.Drives {
		if d == nil || d.Capacity < 0 || d.At.Before(l.Since) || d.At.Sub(l.Since) > century {
			return nil, fmt.Errorf("%w: drive %d: no account, or one of the time before it began", ErrLedger, id)
		}
		for _, t := range d.Times {
			if t < 0 {
				return nil, fmt.Errorf("%w: drive %d: a time of %s", ErrLedger, id, t)
			}
		}
	}
	for name, b := range l.Buckets {
		if b == nil || b.Raw < 0 {
			return nil, fmt.Errorf("%w: bucket %q: less than nothing held", ErrLedger, name)
		}
		for user, p := range b.Users {
			if p == nil {
				return nil, fmt.Errorf("%w: bucket %q: user %q: no account", ErrLedger, name, user)
			}
		}
	}
	return l, l.Check()
}
