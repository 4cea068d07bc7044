package whatif

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/wattle-storage/wattle/energy"
)

// A FacilityAnswer is what the building around an option does.
type FacilityAnswer struct {
	IT        float64     `json:"it_kwh_per_year"`
	Total     float64     `json:"kwh_per_year"`
	DCiE      float64     `json:"dcie"`
	ERE       *float64    `json:"ere"`
	WUE       *float64    `json:"wue"`
	DCEM      *energy.KPI `json:"dcem"`
	DCEMScore *float64    `json:"dcem_score,omitempty"`
	DCEMClass string      `json:"dcem_class,omitempty"`
	Free      *FreeHours  `json:"free_cooling,omitempty"`
	PUEAfter  *float64    `json:"pue_after_cut,omitempty"` // with cooling_cut
	SavedBill *float64    `json:"saved_by_cut,omitempty"`  // part of the facility's bill
	Advice    []string    `json:"advice,omitempty"`
}

// FreeHours is what the air outside saves in a year.
type FreeHours struct {
	Supply          float64        `json:"supply_c"`
	Approach        float64        `json:"approach_k"`
	Hours           int            `json:"hours"`
	Free            int            `json:"free_hours"`
	Partial         int            `json:"partial_hours"`
	Compressor      int            `json:"compressor_hours"`
	Under           map[string]int `json:"hours_by_ashrae_envelope"` // hours that the air outside, with the approach, stays at or below its upper end
	PUEWithout      float64        `json:"pue_without"`
	SavedOfCooling  float64        `json:"saved_of_cooling_bill"`
	SavedOfFacility float64        `json:"saved_of_facility_bill"`

	coolingShare float64 // of what is not IT, without free cooling
}

// facilityAnswer is that of the first site; the energy is of all.
func (a *answer) facilityAnswer(s *swing) *FacilityAnswer {
	o := &s.typical
	if s.p.boundary != AtFacility {
		return nil
	}
	f := &FacilityAnswer{IT: energy.Watts(o.q[qITW]).KWhPerYear(), Total: energy.Watts(o.q[qWatts]).KWhPerYear(), DCiE: o.q[qITW] / o.q[qWatts]}
	pue := o.q[qWatts] / o.q[qITW]
	reused, renewed := energy.Watts(o.q[qReused]).KWhPerYear(), energy.Watts(o.q[qRenewed]).KWhPerYear()
	if k, err := energy.DCEM(energy.Objective{Total: f.Total, IT: f.IT, Reused: reused, Renewable: renewed}); err == nil {
		f.DCEM = &k
		a.score(f, k)
	}
	if reused > 0 {
		f.ERE = ptr(energy.ERE(pue, reused/f.Total))
	}
	if s.p.wue >= 0 {
		f.WUE = ptr(o.q[qWUE])
	}
	conf := a.s.Facility
	if len(a.s.Sites) > 0 && a.s.Sites[0].Facility != nil {
		conf = *a.s.Sites[0].Facility
	}
	f.Free = a.freeHours(s, &conf)
	share := orElse(conf.CoolingShare, defaultCoolingShare)
	if f.Free != nil { // before free cooling, of which the share follows
		pue, share = f.Free.PUEWithout, f.Free.coolingShare
	}
	f.Advice = facilityAdvice(pue, share, conf.WishedSaving)
	if conf.CoolingCut > 0 {
		saved, after := energy.Saved(pue, share, conf.CoolingCut)
		f.SavedBill, f.PUEAfter = &saved, &after
		f.Advice = append(f.Advice, fmt.Sprintf("%.0f %% off the cooling's energy is %.1f %% off the facility's bill and leaves a PUE of %s", 100*conf.CoolingCut, 100*saved, energy.Four(after)))
	}
	return f
}

// score applies weights and classes that the user gave.
func (a *answer) score(f *FacilityAnswer, k energy.KPI) {
	d := a.s.Facility.DCEM
	if d == nil {
		return
	}
	f.DCEMScore = ptr(k.TaskEfficiency * (1 - d.ReuseWeight*k.Reuse) * (1 - d.RenewableWeight*k.Renewable))
	for _, c := range d.Classes {
		if *f.DCEMScore < c.Below {
			f.DCEMClass = c.Name
			return
		}
	}
}

func (a *answer) freeHours(s *swing, conf *Facility) *FreeHours {
	p := &s.p.sites[0].pue
	if p.compressor < 0 || conf.Temperatures == nil {
		return nil
	}
	w, err := a.weather(conf)
	if err != nil {
		return nil
	}
	v := a.in.typical
	without := 1 + v[p.other] + v[p.fans] + v[p.compressor]
	h := &FreeHours{
		coolingShare: (v[p.fans] + v[p.compressor]) / max(without-1, 1e-9),
		Supply:       w.Supply, Approach: w.Approach, Hours: w.Hours, Free: w.Free, Partial: w.Partial, Compressor: w.Full, PUEWithout: without,
		SavedOfCooling:  v[p.compressor] * (1 - p.load) / (v[p.fans] + v[p.compressor]),
		SavedOfFacility: 1 - p.pue(v, 0)/without, Under: map[string]int{},
	}
	for _, e := range energy.ASHRAE {
		if e.Recalled {
			continue
		}
		h.Under[e.Name] = energy.HoursUpTo(w.Hourly, e.High-w.Approach)
	}
	return h
}

// facilityAdvice says what free cooling can save at most, and whether a wish can come true.
func facilityAdvice(pue, share, wish float64) []string {
	most := energy.MostSaved(pue, share)
	list := []string{fmt.Sprintf("at PUE %s, free cooling saves at most %.1f %% of the facility's bill (cooling is %.0f %% of what is not IT), and all that is not IT is %.1f %%",
		energy.Four(pue), 100*most, 100*share, 100*energy.MostSaved(pue, 1))}
	switch {
	case wish == 0:
	case wish > energy.MostSaved(pue, 1):
		list = append(list, fmt.Sprintf("a saving of %.0f %% of the bill is impossible: it takes a PUE of %s", 100*wish, energy.Four(energy.LeastPUE(wish, 1))))
	case wish > most:
		least := energy.LeastPUE(wish, share)
		if math.IsInf(least, 1) {
			list = append(list, fmt.Sprintf("a saving of %.0f %% of the bill is impossible by free cooling alone at any PUE: cooling is %.0f %% of what is not IT", 100*wish, 100*share))
			break
		}
		list = append(list, fmt.Sprintf("a saving of %.0f %% of the bill is impossible by free cooling alone: it takes a PUE of %s", 100*wish, energy.Four(least)))
	default:
		list = append(list, fmt.Sprintf("a saving of %.0f %% of the bill is possible: it leaves a PUE of %s", 100*wish, energy.Four(pue*(1-wish))))
	}
	return list
}

// report puts the answers together.
func (a *answer) report(options []Option, swings []*swing) (Report, error) {
	base, err := a.expand(a.baseChoice(), a.base)
	if err != nil {
		return Report{}, err
	}
	a.safety(&base)
	for i := range options {
		a.safety(&options[i])
	}
	r := Report{
		Name: a.s.Name, Boundary: a.boundary, Baseline: base, Options: options, Defaults: map[string]Estimate{}, Inputs: map[string]Estimate{},
		Sources: map[string]Source{}, Warnings: append([]string{}, a.s.Notes...),
	}
	for i, id := range a.in.ids {
		if e := a.in.list[i]; id != "one" && a.relevant(i, options) {
			r.Inputs[id] = e
			a.source(r.Sources, e.Source)
			if e.Status == energy.Default {
				r.Defaults[id] = e
			}
		}
	}
	a.plainDefaults(&r)
	r.NotCounted = []string{"the making of racks, switches, cables and buildings", "the power of coding, repair and scrubbing, unless given as reads and writes"}
	if a.s.Embodied.ServerKg == nil {
		r.NotCounted = append(r.NotCounted, "the making of servers (embodied.server_kg)")
	}
	a.source(r.Sources, "model")
	r.Advice = a.advise(options, swings)
	a.hours(&r)
	r.InputsDigest, err = digest(a.s, a.in)
	return r, err
}

// hours gives the report the year of the baseline's first site.
func (a *answer) hours(r *Report) {
	conf := &a.s.Facility
	if len(a.s.Sites) > 0 && a.s.Sites[0].Facility != nil {
		conf = a.s.Sites[0].Facility
	}
	p, v := a.base.p.sites[0].pue, a.in.typical
	if p.compressor < 0 || conf.Temperatures == nil {
		return
	}
	if w, err := a.weather(conf); err == nil {
		r.weather, r.pueAt = &w, func(load float64) float64 { return 1 + v[p.other] + v[p.fans] + v[p.compressor]*load }
	}
}

func (a *answer) baseChoice() Choice {
	c, err := a.baseline()
	if err != nil {
		panic(err) // newAnswer found it before
	}
	return c
}

// relevant leaves out inputs of states that no drive is in.
func (a *answer) relevant(i int, options []Option) bool {
	id := a.in.ids[i]
	if !strings.Contains(id, "/standby") && !strings.Contains(id, "/sequential") && !strings.Contains(id, "/random_write") && !strings.Contains(id, "/spin_up") {
		return true
	}
	return slices.ContainsFunc(append(options, Option{}), func(o Option) bool {
		return o.States.Standby > 0 && strings.Contains(id, "standby") || o.States.Sequential > 0 && strings.Contains(id, "sequential") ||
			o.States.Random > 0 && strings.Contains(id, "random_write")
	}) || strings.Contains(id, "/spin_up")
}

// plainDefaults tells the plain numbers that nobody gave.
func (a *answer) plainDefaults(r *Report) {
	say := func(given bool, id string, v float64, unit, why string) {
		if !given {
			r.Defaults[id] = energy.Point(v, unit, energy.Default, "default:"+id)
			r.Sources["default:"+id] = Source{Title: why}
		}
	}
	s := a.s
	fillKnown := s.Fill != 0 || len(s.Sweep.Fills) > 0 || a.todayFill != defaultFill
	say(fillKnown, "fill", defaultFill, "", "assumed: part of the usable terabytes in use; the same for all options, so no ratio depends on it")
	say(s.Reserve != nil || len(s.Sweep.Reserves) > 0, "reserve", defaultReserve, "", "assumed: room for repair and compaction")
	say(s.Server.Drives != 0 || a.boundary == AtDrive, "drives_per_server", defaultBays, "", "assumed")
	say(s.Rack.Servers != 0 || a.boundary == AtDrive, "servers_per_rack", defaultServers, "", "assumed: 4 units each in a rack of 42")
	say(s.Embodied.LifeYears != 0, "life_years", defaultLife, "years", "assumed, as the life-cycle studies of drives do")
	say(s.Growth.PerYear != 0, "growth_per_year", defaultGrowth, "", "assumed")
	say(len(s.Sites) > 0 || len(s.Sweep.Sites) > 0, "sites", 1, "", "assumed: what survives the loss of a site needs more")
	work := s.Workload
	say(work.Reads != 0 || work.Writes != 0 || work.States != nil, "reads_per_s", 0, "/s", "no work was given: the drives idle")
	say(work.Utilised != 0 || work.Reads == 0 && work.Writes == 0, "utilisation_cap", defaultUtilised, "", "assumed: beyond it, queues grow")
	if len(s.Sweep.Disks) == 0 && len(s.Fleet) == 0 && r.Baseline.Disk == defaultDisk {
		r.Warnings = append(r.Warnings, "no disk was given: "+defaultDisk+" (helium, 22 TB) was taken")
	}
}

// source fills in where a figure comes from.
func (a *answer) source(to map[string]Source, id string) {
	if _, ok := to[id]; ok {
		return
	}
	if rest, ok := strings.CutPrefix(id, "default:"); ok {
		to[id] = Source{Title: assumed[rest].why}
		return
	}
	if rest, ok := strings.CutPrefix(id, "input:"); ok {
		to[id] = Source{Title: "given by the user: " + rest}
		return
	}
	switch id {
	case "model":
		to[id] = Source{Title: "reckoned by Wattle's fleet model; doc/whatif.md has the formulas"}
		return
	case "class":
		to[id] = Source{Title: "ratio of the watts of two states over the verified drives of the class: geometric mean and extremes"}
		return
	case "80plus":
		to[id] = Source{Title: "80 PLUS, 230 V redundant"}
		return
	}
	for _, t := range energy.GridTables() {
		if t.ID == id {
			to[id] = Source{t.Title, t.Publisher, t.Year, t.Method}
			return
		}
	}
	for _, p := range a.profiles {
		if p.SourceID == id {
			to[id] = Source{Title: p.Source, Year: p.SourceYear}
			return
		}
	}
	to[id] = Source{Title: id}
}
