package whatif

import (
	"strings"
)

// A plan is a choice, resolved: plain numbers, and indices into the table of inputs. What it
// holds does not change while inputs vary; eval does the arithmetic.
type plan struct {
	name         string
	scheme, disk string // of a single-pool choice
	pools        []Pool
	layout       string
	boundary     Boundary
	fractional   bool

	fill, reserve float64
	fillGiven     bool
	stored        float64 // TB
	overhead      float64 // raw over stored, of all pools
	amplification float64
	classes       []class
	lines         []line
	sites         []site

	slot, server, nic, psu, sw int
	bays, perRack              float64
	maxRackW                   float64
	standby                    float64
	states                     []stateShare // in place of the work
	peak, cap                  float64
	life                       float64
	eurKWh, eurDrive, eurTB    int // -1: no price
	eurServer, serverKg        int
	wue, market                int

	readIOs, writeIOs float64
	tolerance         Tolerance
	writesSurvive     int
	twin              string
	uses              []int // inputs with a band, in order
	wattUses          []int // those of them that the watts depend on
	all               []int // all inputs, with a band or without
	warnings          []string
}

// planOf resolves a choice.
func (m *model) planOf(c Choice) (*plan, error) {
	s := m.s
	p := &plan{
		name: c.Name, boundary: m.boundary, fractional: s.Fractional, layout: either(c.Layout, either(s.Workload.Layout, "packed")),
		bays: orElse(c.Bays, orElse(float64(s.Server.Drives), defaultBays)), perRack: orElse(float64(s.Rack.Servers), defaultServers), maxRackW: s.Rack.MaxKW * 1000,
		standby: s.Workload.Standby, peak: orElse(s.Workload.Peak, 1), cap: orElse(s.Workload.Utilised, defaultUtilised),
		life: orElse(s.Embodied.LifeYears, defaultLife), amplification: orElse(c.Amplification, orElse(s.Amplification, defaultAmplification)),
		fill: orElse(c.Fill, orElse(s.Fill, m.todayFill)), fillGiven: c.Fill != 0 || s.Fill != 0, reserve: m.reserve(c),
	}
	m.common(p, c)
	if err := m.placeSites(p, c); err != nil {
		return nil, err
	}
	if err := m.fillPools(p, c); err != nil {
		return nil, err
	}
	if err := m.fillLines(p, c); err != nil {
		return nil, err
	}
	m.fillStates(p, c)
	p.settleFill()
	if p.name == "" {
		p.name = strings.TrimSpace(p.scheme + " " + p.disk)
	}
	m.settleUses(p)
	return p, nil
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func orElse(v, other float64) float64 {
	if v != 0 {
		return v
	}
	return other
}

func (m *model) reserve(c Choice) float64 {
	switch {
	case c.Reserve != nil:
		return *c.Reserve
	case m.s.Reserve != nil:
		return *m.s.Reserve
	}
	return defaultReserve
}

// common gives a plan the inputs that all choices share, save those that it overrides.
func (m *model) common(p *plan, c Choice) {
	s, in := m.s, m.in
	p.slot = in.either("slot_w", s.Server.SlotW)
	if c.SlotW != nil {
		p.slot = in.own("slot_w="+c.SlotW.String(), "W", *c.SlotW)
	}
	p.server, p.nic, p.sw = in.either("server_w", s.Server.Watts), in.either("nic_w", s.Server.NICW), in.either("switch_w", s.Rack.SwitchW)
	p.psu = m.psu
	price := func(id, unit string, r *Range) int {
		if r == nil {
			return -1
		}
		return in.own(id, unit, *r)
	}
	p.eurKWh, p.eurDrive = price("eur_per_kwh", "EUR/kWh", s.Prices.EURPerKWh), price("eur_per_drive", "EUR", s.Prices.EURPerDrive)
	p.eurTB, p.eurServer = price("eur_per_tb", "EUR/TB", s.Prices.EURPerTB), price("eur_per_server", "EUR", s.Prices.EURPerServer)
	p.serverKg, p.wue = price("server_kg", "kgCO2e", s.Embodied.ServerKg), price("wue", "L/kWh", s.Facility.WUE)
	p.market = -1
	if s.Carbon.Market != nil {
		p.market = in.own("market_g_per_kwh", "g/kWh", s.Carbon.Market.GPerKWh)
	}
}
