package whatif

import (
	"slices"
)

// settleUses lists the inputs with a band that a plan may depend on.
func (m *model) settleUses(p *plan) {
	key := m.usesKey(p)
	if u, ok := m.uses[key]; ok && key != (usesKey{}) {
		p.uses, p.wattUses, p.all = u[0], u[1], u[2]
		return
	}
	watts := m.inputsOfWatts(p)
	p.all = slices.Concat(m.otherInputs(p), watts)
	p.wattUses, p.uses = m.wide(watts), m.wide(slices.Clone(p.all))
	m.uses[key] = [3][]int{p.uses, p.wattUses, p.all}
}

// A usesKey tells plans apart whose inputs differ; the zero key is for plans that are not
// that simple.
type usesKey struct {
	line *line
	site *site
	slot int
	work [2]bool
}

func (m *model) usesKey(p *plan) usesKey {
	if len(p.lines) != 1 || len(p.states) > 0 || len(p.classes) != 1 {
		return usesKey{}
	}
	random, seq := p.work()
	return usesKey{line: m.templates[p.lines[0].disk], site: &p.sites[0], slot: p.slot, work: [2]bool{random, seq}}
}

// work tells whether there are random I/Os and sequential bytes.
func (p *plan) work() (random, seq bool) {
	for _, c := range p.classes {
		random, seq = random || c.randomR+c.randomW > 0, seq || c.seqR+c.seqW > 0
	}
	return random, seq
}

func (m *model) inputsOfWatts(p *plan) (list []int) {
	random, seq := p.work()
	for i := range p.lines {
		l := &p.lines[i]
		in := map[int]bool{lineIdle: true, lineStandby: p.standby > 0, lineRandomRead: random, lineRandomWrite: random, lineSeqRead: seq, lineSeqWrite: seq}
		for state, w := range l.watts {
			if in[state] && len(p.states) == 0 {
				list = append(list, w.own, w.ratio)
			}
		}
		for _, x := range p.states {
			list = append(list, x.watts[i].own, x.watts[i].ratio)
		}
		if random || seq {
			list = append(list, l.iops, l.mbs)
		}
	}
	list = append(list, p.slot, p.server, p.nic, p.psu, p.sw)
	for i := range p.sites {
		u := &p.sites[i].pue
		list = append(list, u.constant, u.compressor, u.fans, u.other, u.fixed, u.prop)
	}
	return list
}

func (m *model) otherInputs(p *plan) (list []int) {
	for i := range p.lines {
		l := &p.lines[i]
		list = append(list, l.iops, l.mbs, l.afr, l.embodied, l.watts[lineSpinUp].own, l.watts[lineSpinUp].ratio)
	}
	list = append(list, p.eurKWh, p.eurDrive, p.eurTB, p.eurServer, p.serverKg, p.wue, p.market)
	for i := range p.sites {
		list = append(list, p.sites[i].grid, p.sites[i].erf, p.sites[i].ref)
	}
	return list
}

// wide sorts a list of inputs and leaves those with a band.
func (m *model) wide(list []int) []int {
	slices.Sort(list)
	return slices.DeleteFunc(slices.Compact(list), func(i int) bool { return i < 0 || !m.in.wide(i) })
}
