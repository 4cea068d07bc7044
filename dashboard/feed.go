package dashboard

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wattle-storage/wattle/cluster"
	"github.com/wattle-storage/wattle/energy"
)

// A State is what the page shows of a cluster at a moment.
type State struct {
	At       time.Time   `json:"at"`
	ID       string      `json:"id"`
	Scheme   string      `json:"scheme"`
	Overhead float64     `json:"overhead"`
	Rule     string      `json:"rule"`
	Epoch    uint64      `json:"epoch"`
	Health   string      `json:"health"` // whole, degraded, or lost: some stripes cannot be read
	Totals   Totals      `json:"totals"`
	Energy   EnergyState `json:"energy"`
	Repair   RepairState `json:"repair"`
	Sites    []Site      `json:"sites"`
	Buckets  []Bucket    `json:"buckets"` // most energy first; what is beyond mostBuckets is one, and (unallocated)
	Quotas   []Quota     `json:"quotas"`  // the fullest first, at most mostBuckets
}

// Totals are those of a cluster.Status.
type Totals struct {
	Buckets      int64                `json:"buckets"`
	Objects      int64                `json:"objects"`
	Stored       int64                `json:"stored_bytes"`
	Raw          int64                `json:"raw_bytes"`
	Capacity     int64                `json:"capacity_bytes"`
	Usable       int64                `json:"usable_bytes"`
	Stripes      cluster.StripeStatus `json:"stripes"`
	Pending      int64                `json:"pending_repairs"`
	Survives     cluster.Survival     `json:"survives"`
	Promise      cluster.Survival     `json:"promise"`
	Writable     bool                 `json:"writable"`
	WritableDown bool                 `json:"writable_site_down"`
	Why          string               `json:"why,omitempty"`
	Away         int                  `json:"disks_away"` // failed or missing
	Disks        int                  `json:"disks"`
}

// EnergyState is the account of the ledger, with its boundary.
type EnergyState struct {
	Watts        float64   `json:"watts"` // of the drives, in the states that they are in
	WPerUsableTB float64   `json:"w_per_usable_tb"`
	WPerStoredTB *float64  `json:"w_per_stored_tb"` // null below leastFill
	Joules       float64   `json:"joules"`
	Since        time.Time `json:"since"`
	Boundary     string    `json:"boundary"`
	Status       string    `json:"status"`
}

// A Site, rack, host and disk of the map.
type Site struct {
	Name  string `json:"name"`
	Racks []Rack `json:"racks"`
}

// A Rack is one of a site.
type Rack struct {
	Name  string `json:"name"`
	Hosts []Host `json:"hosts"`
}

// A Host is one of a rack.
type Host struct {
	Name  string `json:"name"`
	Disks []Disk `json:"disks"`
}

// A Disk is one of a host. State is that of the store: active, suspect, failed or missing;
// Power that of the drive it stands for.
type Disk struct {
	Name     string  `json:"name"`
	State    string  `json:"state"`
	Why      string  `json:"why,omitempty"`
	Power    string  `json:"power"`
	Watts    float64 `json:"watts"`
	Joules   float64 `json:"joules"`
	Starts   int64   `json:"starts"`
	Profile  string  `json:"profile"`
	Capacity int64   `json:"capacity"`
	Used     int64   `json:"used"`
	Live     int64   `json:"live"`
	Target   int64   `json:"target"`
	Bad      int64   `json:"bad_shards"`
	Errors   int64   `json:"errors"`
	Draining bool    `json:"draining,omitempty"`
}

// A Bucket is what one bears of the energy, by cause.
type Bucket struct {
	Name   string             `json:"name"`
	Joules float64            `json:"joules"`
	Share  float64            `json:"share"`
	Causes map[string]float64 `json:"by_cause"`
}

// A Quota is what a bucket, or all buckets of a user, hold of what they may; what is 0 of
// MostBytes and MostObjects is not bounded.
type Quota struct {
	Name        string  `json:"name"`
	User        bool    `json:"user"`
	Bytes       int64   `json:"bytes"`
	Objects     int64   `json:"objects"`
	MostBytes   int64   `json:"most_bytes"`
	MostObjects int64   `json:"most_objects"`
	Part        float64 `json:"part"`
}

// leastFill is the part of the usable bytes that is stored from which on watts for each
// stored terabyte say something.
const leastFill = 0.01

// mostBuckets is how many buckets are told by name.
const mostBuckets = 12

// A feed looks at a store: at its ledger all the time, so that the last hour is known, and at
// the rest when somebody asks, seldom enough that looking costs little.
type feed struct {
	store  Store
	upkeep *Upkeep
	quotas func(context.Context) ([]Quota, error) // nil: none
	now    func() time.Time

	history history

	mu     sync.Mutex
	status cluster.Status // guarded by mu
	seen   time.Time      // guarded by mu; when status was taken
	cost   time.Duration  // guarded by mu; what that took
	err    error          // guarded by mu
}

func newFeed(s Store, o Options, now func() time.Time) *feed {
	return &feed{store: s, upkeep: o.Upkeep, quotas: o.Quotas, now: now}
}

// run samples until ctx ends.
func (f *feed) run(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	failed := false
	for {
		l, err := f.store.Ledger()
		if err == nil {
			f.history.add(l)
		} else if !failed && ctx.Err() == nil {
			log.Error("dashboard: ledger", "error", err)
		}
		failed = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

const (
	statusAge  = time.Second // a status is not older than this, or than
	statusCost = 20          // so many times what it took to look
)

// look returns the status, a fresh one when the last is too old.
func (f *feed) look(ctx context.Context) (cluster.Status, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if start := f.now(); start.Sub(f.seen) > max(statusAge, statusCost*f.cost) {
		f.status, f.err = f.store.Status(context.WithoutCancel(ctx))
		f.seen = f.now()
		f.cost = f.seen.Sub(start)
	}
	return f.status, f.err
}

// stale makes the next look a fresh one.
func (f *feed) stale() {
	f.mu.Lock()
	f.seen = time.Time{}
	f.mu.Unlock()
}

func (f *feed) state(ctx context.Context) (State, error) {
	s, err := f.look(ctx)
	if err != nil {
		return State{}, err
	}
	l, err := f.store.Ledger()
	if err != nil {
		return State{}, err
	}
	quotas := []Quota{}
	if f.quotas != nil {
		if quotas, err = f.quotas(ctx); err != nil {
			return State{}, err
		}
		quotas = quotas[:min(len(quotas), mostBuckets)]
	}
	now := f.now()
	st := State{At: now.UTC(), ID: s.ID, Scheme: s.Scheme, Overhead: s.Overhead, Rule: s.Rule, Epoch: s.Epoch, Health: "whole",
		Totals: Totals{Buckets: s.Buckets, Objects: s.Objects, Stored: s.StoredBytes, Raw: s.RawBytes, Capacity: s.CapacityBytes, Usable: s.UsableBytes,
			Stripes: s.Stripes, Pending: s.PendingRepairs, Survives: s.Survives, Promise: s.Promise, Writable: s.Writable, WritableDown: s.WritableDown, Why: s.Why},
		Energy: EnergyState{Joules: float64(l.Parts().Sum().Joules()), Since: l.Since, Boundary: energy.Boundary, Status: string(energy.Model)},
		Repair: f.upkeep.of(s, now), Sites: []Site{}, Buckets: bearers(l), Quotas: quotas}
	for _, site := range s.Sites {
		st.Sites = append(st.Sites, siteOf(site, l, &st))
	}
	switch {
	case s.Stripes.Unreadable > 0:
		st.Health = "lost"
	case st.Totals.Away > 0 || s.Stripes.Degraded > 0 || s.PendingRepairs > 0:
		st.Health = "degraded"
	}
	if s.UsableBytes > 0 {
		st.Energy.WPerUsableTB = st.Energy.Watts / (float64(s.UsableBytes) / 1e12)
	}
	if float64(s.StoredBytes) > leastFill*float64(s.UsableBytes) {
		w := st.Energy.Watts / (float64(s.StoredBytes) / 1e12)
		st.Energy.WPerStoredTB = &w
	}
	return st, nil
}

// siteOf lays out the disks of a site, which come in the order of the map.
func siteOf(s cluster.SiteStatus, l *energy.Ledger, st *State) Site {
	site := Site{Name: s.Name, Racks: []Rack{}}
	for _, d := range s.Disks {
		p := strings.SplitN(d.Name, "/", 4)
		if len(p) < 4 {
			p = []string{s.Name, "", "", d.Name}
		}
		if n := len(site.Racks); n == 0 || site.Racks[n-1].Name != p[1] {
			site.Racks = append(site.Racks, Rack{Name: p[1]})
		}
		rack := &site.Racks[len(site.Racks)-1]
		if n := len(rack.Hosts); n == 0 || rack.Hosts[n-1].Name != p[2] {
			rack.Hosts = append(rack.Hosts, Host{Name: p[2]})
		}
		host := &rack.Hosts[len(rack.Hosts)-1]
		disk := Disk{Name: p[3], State: d.State, Why: d.Why, Profile: d.Profile, Capacity: d.Capacity, Used: d.Used, Live: d.Live, Target: d.Target,
			Bad: d.Bad, Errors: d.Errors, Draining: d.Draining, Power: energy.Off.String()}
		if a := l.Drives[d.ID]; a != nil {
			state, w := l.Now(a)
			disk.Power, disk.Watts, disk.Joules, disk.Starts = state.String(), float64(w), float64(a.Spent.Sum().Joules()), a.Starts
		}
		host.Disks = append(host.Disks, disk)
		st.Totals.Disks++
		if d.State == "failed" || d.State == "missing" {
			st.Totals.Away++
		}
		st.Energy.Watts += disk.Watts
	}
	return site
}

// bearers are the buckets with what they bear, the rest in one, and what no bucket holds
// last.
func bearers(l *energy.Ledger) []Bucket {
	rows, err := l.By("bucket", false)
	if err != nil {
		return []Bucket{}
	}
	slices.SortStableFunc(rows, func(a, b energy.Row) int {
		switch energy.Unallocated {
		case a.Name:
			return 1
		case b.Name:
			return -1
		}
		return cmp.Compare(b.Joules.Joules(), a.Joules.Joules())
	})
	list, more, rest := []Bucket{}, 0, energy.Row{}
	for i, r := range rows {
		if i >= mostBuckets && r.Name != energy.Unallocated {
			more++
			rest.Causes.Add(r.Causes)
			rest.Share += r.Share
			continue
		}
		list = append(list, bearer(r))
	}
	if more > 0 {
		rest.Name, rest.Joules = fmt.Sprintf("(%d others)", more), rest.Causes.Sum()
		list = append(list, bearer(rest))
	}
	return list
}

func bearer(r energy.Row) Bucket {
	b := Bucket{Name: r.Name, Joules: float64(r.Joules.Joules()), Share: r.Share, Causes: map[string]float64{}}
	for c, a := range r.Causes {
		if !a.IsZero() {
			b.Causes[energy.Cause(c).String()] = float64(a.Joules())
		}
	}
	return b
}

func (f *feed) power(after time.Time) Power { return f.history.since(after) }
