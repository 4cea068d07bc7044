package whatif

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/wattle-storage/wattle/energy"
)

// A line is drives of one kind.
type line struct {
	class     int
	kind      string
	warning   string
	disk      string
	site      string
	tb        float64
	own       float64 // TB of the profile itself
	count     float64 // as given, or -1
	owned     bool
	aside     bool // holds no pool's terabytes
	age       float64
	watts     [lineStates]product
	iops, mbs int
	afr       int
	embodied  int // per drive, or per TB
	perTB     bool
	share     []float64 // parts of its drives by site
}

// A product is the watts of a state: a figure of the drive, times a ratio of its class.
type product struct{ own, ratio int }

// The states of a line.
const (
	lineIdle = iota
	lineRandomRead
	lineRandomWrite
	lineSeqRead
	lineSeqWrite
	lineStandby
	lineSpinUp
	lineStates
)

// A stateShare is a part of the time in a state, as the user gave it.
type stateShare struct {
	watts []product // by line
	state energy.State
	part  float64
}

// parseState reads a state of workload.states; random and write are words for active and
// random_write.
func parseState(name string) (energy.State, error) {
	switch name {
	case "random", "read":
		name = "active"
	case "write":
		name = "random_write"
	}
	s, err := energy.ParseState(name)
	if err != nil || s == energy.Off || s == energy.SpinUp {
		return 0, fmt.Errorf("%q: want idle, idle_a, idle_b, idle_c, random, random_write, sequential, sequential_write or standby%s", clip(name),
			suggestion(name, []string{"idle", "random", "random_write", "sequential", "sequential_write", "standby"}))
	}
	return s, nil
}

// fillLines gives a plan its drives.
func (m *model) fillLines(p *plan, c Choice) error {
	fleet := c.Fleet
	if len(fleet) == 0 && c.Disk == "" && len(m.s.Fleet) > 0 && len(p.pools) > 0 {
		fleet = m.s.Fleet
	}
	if len(fleet) == 0 {
		p.disk = either(c.Disk, m.firstDisk)
		for _, name := range m.classNames {
			fleet = append(fleet, Fleet{Disk: p.disk, DeviceClass: name})
		}
	}
	for i, f := range fleet {
		l, err := m.lineOf(p, f)
		if err != nil {
			return fmt.Errorf("fleet[%d]: %w", i, err)
		}
		p.lines = append(p.lines, l)
	}
	for k, name := range m.classNames {
		open, any := 0, false
		for _, l := range p.lines {
			if l.class == k {
				any = true
				if l.count < 0 {
					open++
				}
			}
		}
		if !any {
			return &FieldError{Field: "fleet", Err: fmt.Errorf("no drives of class %q, which a pool names", name)}
		}
		if open > 1 {
			return &FieldError{Field: "fleet", Err: fmt.Errorf("%d kinds of drives of class %q without count: give the count of all but one", open, name)}
		}
	}
	return nil
}

func (m *model) lineOf(p *plan, f Fleet) (l line, err error) {
	t, ok := m.templates[f.Disk]
	if !ok {
		if t, err = m.template(f.Disk); err != nil {
			return l, err
		}
		m.templates[f.Disk] = t
	}
	l = *t
	l.site, l.tb, l.count, l.owned, l.age = f.Site, orElse(float64(f.CapacityTB), t.tb), float64(f.Count), f.Owned, f.AgeYears
	if f.Count == 0 {
		l.count = -1
	}
	if f.Aside {
		l.aside, l.tb = true, 0
		p.classes = append(p.classes, class{}) // one that nothing is asked of
	} else if l.tb <= 0 {
		return l, fmt.Errorf("%s has no capacity of its own: write it as %s@8TB", f.Disk, f.Disk)
	}
	if w := mixedUnits(f.Disk, l.tb, t.own); w != "" && !f.Aside {
		p.warnings = append(p.warnings, w)
	}
	if t.warning != "" {
		p.warnings = append(p.warnings, t.warning)
	}
	l.share = shares(p.sites, f.Site)
	if l.aside {
		l.class = len(p.classes) - 1
		return l, nil
	}
	l.class, err = m.classOf(f, l.kind)
	return l, err
}

// mixedUnits warns of a capacity that differs from the profile's as TB do from TiB.
func mixedUnits(disk string, tb, own float64) string {
	const factor = (1 << 40) / 1e12
	for _, f := range []float64{factor, 1 / factor} {
		if own > 0 && math.Abs(tb/own/f-1) < 0.006 {
			return fmt.Sprintf("%s: %s TB where its profile has %s TB: were TB and TiB mixed up?", disk, energy.Four(tb), energy.Four(own))
		}
	}
	return ""
}

// template is a line of a kind of drive, with its inputs.
func (m *model) template(disk string) (*line, error) {
	d, err := energy.Find(m.s.Profiles, disk)
	if err != nil {
		return nil, err
	}
	m.profiles[d.ID] = d
	id, _, _ := strings.Cut(disk, "@")
	own, err := energy.Find(m.s.Profiles, id)
	if err != nil {
		return nil, err
	}
	l := &line{disk: disk, tb: d.CapacityTB, own: own.CapacityTB, kind: either(d.Kind, "hdd"), warning: d.Warning()}
	for i, s := range [lineStates]energy.State{idleState(m.s.Workload.IdleState), energy.Active, energy.RandomWrite, energy.Sequential, energy.SequentialWrite, energy.Standby, energy.SpinUp} {
		l.watts[i] = m.product(d, s)
	}
	kind := l.kind
	if kind != "ssd" {
		kind = "hdd"
	}
	in := m.in
	l.iops, l.mbs = in.eitherOf("iops/"+kind, "iops/"+kind, m.s.Drive.IOPS), in.eitherOf("mb_s/"+kind, "mb_s/"+kind, m.s.Drive.MBs)
	if d.IOPS > 0 && m.s.Drive.IOPS == nil {
		l.iops = in.add(d.ID+"/iops", energy.Around(d.IOPS, 0.1, "/s", d.Status, d.SourceID))
	}
	if d.SeqMBs > 0 && m.s.Drive.MBs == nil { // the published rate is that of the outer tracks
		l.mbs = in.add(d.ID+"/mb_s", Estimate{Low: 0.5 * d.SeqMBs, Typical: 0.8 * d.SeqMBs, High: d.SeqMBs, Unit: "MB/s", Status: d.Status, Source: d.SourceID})
	}
	l.afr = in.eitherOf("afr/"+kind, "afr/"+kind, m.s.Drive.AFR)
	l.embodied, l.perTB = m.embodied(d, kind, m.s.Embodied.Method == "per_tb")
	return l, nil
}

// shares are the parts of a line's drives by site.
func shares(sites []site, only string) []float64 {
	list := make([]float64, len(sites))
	for i, s := range sites {
		list[i] = s.share
		if only != "" {
			list[i] = 0
			if s.name == only {
				list[i] = 1
			}
		}
	}
	if only != "" && slices.Max(list) == 0 { // a choice with other sites
		return shares(sites, "")
	}
	return list
}

func idleState(name string) energy.State {
	s, err := energy.ParseState(either(name, "idle"))
	if err != nil {
		return energy.Idle
	}
	return s
}

// embodied is the input of a drive's embodied carbon, and whether it is per terabyte.
func (m *model) embodied(d energy.Profile, kind string, perTB bool) (int, bool) {
	in, e := m.in, m.s.Embodied
	switch {
	case kind == "ssd" && e.Flash != nil && d.CapacityTB > 0:
		kg := energy.SSDEmbodied(1000*d.CapacityTB, e.Flash.GBPerCm2, e.Flash.KgPerCm2, e.Flash.BaseKg)
		return in.add(d.ID+"@"+fmt.Sprint(d.CapacityTB)+"/embodied", energy.Point(kg, "kgCO2e", energy.Input, "input:embodied.flash")), false
	case perTB && e.KgPerTB == nil && kind == "hdd":
		return in.either("embodied/hdd per TB", nil), true
	case perTB:
		return in.eitherOf("embodied/"+kind+" per TB", "embodied/ssd", e.KgPerTB), true
	case e.KgPerDrive != nil:
		return in.own("embodied/"+kind, "kgCO2e", *e.KgPerDrive), false
	case d.EmbodiedKgCO2 > 0:
		return in.add(d.ID+"/embodied", energy.Around(d.EmbodiedKgCO2, 0.3, "kgCO2e", d.Status, d.SourceID)), false
	}
	return in.either("embodied/"+kind, nil), kind == "ssd"
}

// classOf is the class whose pools a fleet serves.
func (m *model) classOf(f Fleet, kind string) (int, error) {
	name := either(f.DeviceClass, kind)
	if i := slices.Index(m.classNames, name); i >= 0 {
		return i, nil
	}
	if i := slices.Index(m.classNames, ""); i >= 0 {
		return i, nil
	}
	if len(m.classNames) == 1 && f.DeviceClass == "" {
		return 0, nil
	}
	return 0, fmt.Errorf("drives of class %q serve no pool (pools name %q)%s", name, m.classNames, suggestion(name, m.classNames))
}

// product gives the watts of a state their inputs.
func (m *model) product(d energy.Profile, s energy.State) product {
	key := d.ID + "/" + s.String()
	if p, ok := m.products[key]; ok {
		return p
	}
	b := d.Basis(s)
	if given, ok := m.in.given[key]; ok && b.RatioID != "" { // the user knows this state
		b = energy.Basis{OwnID: key, Own: from(given, "W", key)}
	}
	p := product{m.in.add(b.OwnID, b.Own), m.in.constant}
	if b.RatioID != "" {
		r := b.Ratio
		r.Source = "class"
		p.ratio = m.in.add(b.RatioID, r)
	}
	m.products[key] = p
	return p
}

// fillStates turns states that the user gave into watts.
func (m *model) fillStates(p *plan, c Choice) {
	given := m.s.Workload.States
	if len(c.States) > 0 {
		given = c.States
	}
	for _, name := range sortedKeys(given) {
		state, err := parseState(name)
		if err != nil {
			continue // Validate told
		}
		x := stateShare{state: state, part: given[name]}
		for _, l := range p.lines {
			d, err := energy.Find(m.s.Profiles, l.disk)
			if err == nil {
				x.watts = append(x.watts, m.product(d, state))
			}
		}
		p.states = append(p.states, x)
	}
}
