package dashboard

import (
	"sync"
	"time"

	"github.com/wattle-storage/wattle/cluster"
)

// Upkeep is what is known of a store's repair, kept by whoever does it. All methods of a nil
// Upkeep do nothing.
type Upkeep struct {
	Rate int64 // bytes a second that it may read and write; 0: nobody repairs

	once  sync.Once
	hurry chan struct{}

	mu          sync.Mutex
	next        time.Time // guarded by mu; when the next round begins
	begun       time.Time // guarded by mu; zero between rounds
	done, total int64     // guarded by mu; bytes of shards
	last        cluster.RepairReport
	ended       time.Time // guarded by mu; of last
}

// Hurried tells when somebody wants the next round now.
func (u *Upkeep) Hurried() <-chan struct{} {
	if u == nil {
		return nil
	}
	u.once.Do(func() { u.hurry = make(chan struct{}, 1) })
	return u.hurry
}

// Hurry asks for the next round now.
func (u *Upkeep) Hurry() {
	u.Hurried()
	select {
	case u.hurry <- struct{}{}:
	default:
	}
}

// Next says when the next round begins.
func (u *Upkeep) Next(t time.Time) {
	if u != nil {
		u.mu.Lock()
		u.next = t
		u.mu.Unlock()
	}
}

// Begin says that repair begins, and End that it is over.
func (u *Upkeep) Begin(now time.Time) {
	if u != nil {
		u.mu.Lock()
		u.begun, u.done, u.total = now, 0, 0
		u.mu.Unlock()
	}
}

// Progress says how far repair is, in bytes of shards.
func (u *Upkeep) Progress(done, total int64) {
	if u != nil {
		u.mu.Lock()
		u.done, u.total = done, total
		u.mu.Unlock()
	}
}

// End says that repair is over.
func (u *Upkeep) End(now time.Time, r cluster.RepairReport) {
	if u != nil {
		u.mu.Lock()
		u.begun, u.last, u.ended = time.Time{}, r, now
		u.mu.Unlock()
	}
}

// A RepairState says when a store will be whole.
type RepairState struct {
	Automatic bool    `json:"automatic"` // the server repairs by itself
	Running   bool    `json:"running"`
	For       float64 `json:"running_seconds,omitempty"`
	Done      int64   `json:"done_bytes,omitempty"` // of shards, while it runs
	Total     int64   `json:"total_bytes,omitempty"`
	Pace      float64 `json:"bytes_per_second,omitempty"` // as measured, or what upkeep may do at most
	Measured  bool    `json:"pace_measured"`
	NextIn    float64 `json:"next_round_seconds,omitempty"`
	WholeIn   float64 `json:"whole_in_seconds,omitempty"` // estimate; absent when nothing can be said
	Blocked   int64   `json:"blocked_stripes,omitempty"`  // for want of disks, when the last round ended
	Lost      int64   `json:"lost_stripes,omitempty"`
}

// of says when the backlog of a status will be worked off. The status was taken at at.
func (u *Upkeep) of(s cluster.Status, now time.Time) (r RepairState) {
	if u == nil || u.Rate == 0 {
		return r
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	r = RepairState{Automatic: true, Running: !u.begun.IsZero(), Pace: float64(u.Rate), Lost: u.last.Lost}
	if s.PendingRepairs+s.Stripes.Degraded == 0 {
		return r
	}
	took := now.Sub(u.begun).Seconds()
	if r.Running {
		r.For = took
	}
	switch {
	case r.Running && u.done > 0 && took > 0:
		r.Done, r.Total, r.Measured, r.Pace = u.done, u.total, true, float64(u.done)/took
		r.WholeIn = float64(u.total-u.done) / r.Pace
	case r.Running:
		r.Total = u.total
		r.WholeIn = max(1, float64(s.RepairIO)/r.Pace-took) // nothing is recorded yet
	default:
		r.NextIn = max(0, u.next.Sub(now).Seconds())
		r.Blocked = u.last.Left
		if r.Blocked == 0 {
			r.WholeIn = r.NextIn + float64(s.RepairIO)/r.Pace
		}
	}
	return r
}
