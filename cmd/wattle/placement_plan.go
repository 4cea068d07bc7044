package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/energy"
	"github.com/wattle-storage/wattle/erasure"
	"github.com/wattle-storage/wattle/placement"
)

// A powerPlan says what a policy switches off and what that saves. Watts are of the drives
// alone, idle or in standby, by their profiles' typical figures; limits and fill are kept.
type powerPlan struct {
	Policy        string   `json:"policy"`
	Boundary      string   `json:"boundary"`
	On            int      `json:"drives_on"`
	Asleep        int      `json:"drives_asleep"`
	AllOnW        float64  `json:"watts_all_on"`
	Watts         float64  `json:"watts"`
	Saved         float64  `json:"saved"` // share of watts_all_on
	GPerHour      float64  `json:"g_co2e_per_hour,omitempty"`
	GPerHourAllOn float64  `json:"g_co2e_per_hour_all_on,omitempty"`
	Scatter       float64  `json:"scatter_width_mean,omitempty"`
	SpareAwake    int      `json:"spare_shards_awake"` // the worst group may lose so many of those awake and still be read with none woken
	FillMin       float64  `json:"fill_min"`           // of the emptiest and the fullest disk that holds shards, over their mean
	FillMax       float64  `json:"fill_max"`
	Violations    int      `json:"limit_violations"`
	Details       []string `json:"details,omitempty"`
	Wakes         []string `json:"wake_rules"`
	Not           []string `json:"does_not_pay"`
}

// A planner makes plans for one topology.
type planner struct {
	j      tableJob
	code   *erasure.Code
	draw   map[placement.DiskID]placement.Draw
	site   map[placement.DiskID]string
	carbon map[string]float64
	rest   string
	use    float64
}

func (j tableJob) plan(e *env, c *cli.Context) error {
	p, err := newPlanner(j, c)
	if err != nil {
		return err
	}
	makers := map[string]func() (powerPlan, error){"role-split": p.roleSplit, "site-gear": p.siteGear, "shedding": p.shedding, "read-choice": p.readChoice}
	names := []string{"role-split", "site-gear", "shedding", "read-choice"}
	if want := c.String("policy"); want != "all" {
		if makers[want] == nil {
			return usage("--policy %s: want %s or all", want, strings.Join(names, ", "))
		}
		names = []string{want}
	}
	var list []powerPlan
	for _, name := range names {
		plan, err := makers[name]()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		plan.Policy, plan.Boundary = name, "drives alone, idle or in standby"
		list = append(list, plan)
	}
	if e.json {
		return e.document(list)
	}
	for i, plan := range list {
		if i > 0 {
			fmt.Fprintln(e.out)
		}
		showPower(e.out, plan)
	}
	return nil
}

func newPlanner(j tableJob, c *cli.Context) (*planner, error) {
	p := &planner{j: j, draw: map[placement.DiskID]placement.Draw{}, site: map[placement.DiskID]string{}, carbon: map[string]float64{}, use: c.Float64("use") / 100}
	if p.use <= 0 || p.use >= 1 {
		return nil, usage("--use %g: want a share of the capacity between 0 and 100 percent", c.Float64("use"))
	}
	if len(j.tree.Levels()) == 0 {
		return nil, usage("the topology has no sites")
	}
	var err error
	if p.code, err = erasure.New(j.scheme); err != nil {
		return nil, err
	}
	breaks := map[string]string{}
	for _, l := range j.tree.Leaves() {
		profile, err := energy.Lookup(l.Profile)
		if err != nil {
			return nil, usageError{fmt.Errorf("disk %s: %w", l, err)}
		}
		p.draw[l.ID] = placement.Draw{On: float64(profile.Watts(energy.Idle)), Asleep: float64(profile.Watts(energy.Standby))}
		p.site[l.ID] = l.Path[0]
		if breaks[l.Profile] == "" {
			r := energy.NewMeter(profile).Rest()
			breaks[l.Profile] = fmt.Sprintf("%s has to rest %s before a start is paid for, and no more often than every %s to outlive its rated starts", l.Profile, r.BreakEven.Round(time.Second), r.Budget.Round(time.Minute))
		}
	}
	var rests []string
	for _, text := range breaks {
		rests = append(rests, text)
	}
	slices.Sort(rests)
	p.rest = strings.Join(rests, "; ")
	if text := c.String("carbon"); text != "" {
		for part := range strings.SplitSeq(text, ",") {
			name, number, ok := strings.Cut(part, "=")
			g, err := strconv.ParseFloat(number, 64)
			if !ok || err != nil || g < 0 || g > 5000 {
				return nil, usage("--carbon %q: want SITE=g/kWh with commas between", text)
			}
			p.carbon[name] = g
		}
		for _, name := range p.sites() {
			if _, ok := p.carbon[name]; !ok {
				return nil, usage("--carbon has no figure for site %s", name)
			}
		}
	}
	return p, nil
}

// sites names the domains of the first level in order.
func (p *planner) sites() []string {
	var list []string
	for _, l := range p.j.tree.Leaves() {
		if !slices.Contains(list, l.Path[0]) {
			list = append(list, l.Path[0])
		}
	}
	return list
}

// count fills in what follows from which disks are awake and from the table: watts, fill and
// the shards that can be spared. reads says which disks serve.
func (p *planner) count(table *placement.Table, awake func(placement.DiskID) bool) (plan powerPlan, err error) {
	for _, l := range p.j.tree.Leaves() {
		d := p.draw[l.ID]
		w := d.On
		if !awake(l.ID) {
			w = d.Asleep
			plan.Asleep++
		} else {
			plan.On++
		}
		plan.AllOnW += d.On
		plan.Watts += w
		g := p.carbon[p.site[l.ID]] / 1000
		plan.GPerHour += w * g
		plan.GPerHourAllOn += d.On * g
	}
	plan.Saved = 1 - plan.Watts/plan.AllOnW
	m, err := p.j.tree.Measure(table, p.j.limits)
	plan.Violations, plan.Scatter = m.LimitViolations+m.DuplicatePGs+m.ShortPGs, m.ScatterWidth
	p.fill(&plan, table)
	plan.SpareAwake = p.spare(table, awake)
	return plan, err
}

func (p *planner) fill(plan *powerPlan, table *placement.Table) {
	loads := map[placement.DiskID]float64{}
	for pg := range table.PGs() {
		for _, d := range table.Disks(pg) {
			loads[d]++
		}
	}
	sum, capacity := 0.0, 0.0
	for _, l := range p.j.tree.Leaves() {
		if loads[l.ID] > 0 {
			sum += loads[l.ID]
			capacity += float64(l.Capacity)
		}
	}
	for _, l := range p.j.tree.Leaves() {
		if n := loads[l.ID]; n > 0 {
			f := n / float64(l.Capacity) * capacity / sum
			if plan.FillMin == 0 || f < plan.FillMin {
				plan.FillMin = f
			}
			plan.FillMax = max(plan.FillMax, f)
		}
	}
}

// spare is how many more shards the worst group can miss and still be read from disks that
// are awake; -1 when it cannot be read as it is.
func (p *planner) spare(table *placement.Table, awake func(placement.DiskID) bool) int {
	least, seen := table.N(), map[string]bool{}
	for pg := range table.PGs() {
		have, key := make([]bool, table.N()), make([]byte, table.N())
		for i, d := range table.Disks(pg) {
			if have[i] = d != placement.None && awake(d); have[i] {
				key[i] = 1
			}
		}
		if !seen[string(key)] {
			seen[string(key)] = true
			least = min(least, p.stands(have, least))
		}
	}
	return least
}

// stands counts how many of have may be lost, whichever they are, up to most.
func (p *planner) stands(have []bool, most int) int {
	if p.j.scheme.Kind != erasure.LRC { // any K will do
		n := 0
		for _, ok := range have {
			if ok {
				n++
			}
		}
		return max(-1, n-p.j.scheme.K)
	}
	var ok func(from, lose int) bool
	ok = func(from, lose int) bool {
		if lose == 0 {
			return p.code.Decodable(have)
		}
		for i := from; i < len(have); i++ {
			if have[i] {
				have[i] = false
				good := ok(i+1, lose-1)
				have[i] = true
				if !good {
					return false
				}
			}
		}
		return true
	}
	n := -1
	for n < most && n < p.j.scheme.Tolerates() && ok(0, n+1) {
		n++
	}
	return n
}

func (p *planner) roleSplit() (powerPlan, error) {
	table, on, err := p.j.tree.RoleSplit(p.j.scheme.K, p.j.scheme.N(), p.j.limits, p.draw, p.j.options)
	if err != nil {
		return powerPlan{}, err
	}
	if err := writeMapping(p.j.mapping, table); err != nil {
		return powerPlan{}, err
	}
	plan, err := p.count(table, func(d placement.DiskID) bool { return on[d] })
	plan.Wakes = []string{
		"a read of sound data wakes nothing: all data shards are on",
		"a lost or late data disk wakes parity disks of the groups that are read: one more shard for each missing, after a start of 10 to 30 s",
		"puts stage parity in a log on disks that are on, and flush it in batches: a wake for each batch, not for each put",
		"scrub and repair wake a disk and work through it before it rests again",
	}
	plan.Not = []string{
		"puts all day long: parity is written with every put, and without staging no disk rests; " + p.rest,
		"reads that are already limited by spindles: only the disks that are on serve them",
		"servers that stay on for a few disks that turn: their draw is not in these watts",
	}
	return plan, err
}

func (p *planner) siteGear() (powerPlan, error) {
	table, err := p.j.tree.Build(p.j.scheme.N(), p.j.limits, p.j.options)
	if err != nil {
		return powerPlan{}, err
	}
	var best powerPlan
	var lines []string
	found := false
	for _, site := range p.sites() {
		plan, err := p.count(table, func(d placement.DiskID) bool { return p.site[d] != site })
		if err != nil {
			return plan, err
		}
		line := fmt.Sprintf("%s asleep: %.0f W", site, plan.Watts)
		if len(p.carbon) > 0 {
			line += fmt.Sprintf(", %.0f g CO2e an hour", plan.GPerHour)
		}
		if plan.SpareAwake < 0 {
			lines = append(lines, site+" must stay awake: without it some groups cannot be read")
			continue
		}
		lines = append(lines, line+fmt.Sprintf(", %d shards to spare awake", plan.SpareAwake))
		better := plan.Watts < best.Watts
		if len(p.carbon) > 0 {
			better = plan.GPerHour < best.GPerHour
		}
		if !found || better {
			best, found = plan, true
		}
	}
	if !found {
		return powerPlan{}, fmt.Errorf("%w: with %s no site can sleep and leave %s readable; lower the site limit or add parity", placement.ErrRule, p.j.limits, p.j.scheme)
	}
	best.Details = lines
	best.Wakes = []string{
		"the first fault anywhere wakes the site, since what is awake has no more than the shards to spare above",
		"puts wake it, or leave its shards to a log at the other sites that is copied when it is awake; bulk writes wait for its hours",
		"the site that sleeps may change by the hour, to the dirtiest or dearest power: no shard moves",
	}
	best.Not = []string{
		"when reads are many: with a site asleep a part of them decodes, from K disks in place of one",
		"when hours of one kind of power are short: all disks of a site start at once, and " + p.rest,
	}
	return best, nil
}

func (p *planner) shedding() (powerPlan, error) {
	const full = 0.9
	var lines []string
	for _, use := range []float64{0.3, 0.4, 0.5, 0.6, 0.7, 0.8} {
		on, err := p.j.tree.Shed(p.j.scheme.N(), p.j.limits, p.draw, use, full)
		if err != nil {
			lines = append(lines, fmt.Sprintf("%.0f %% in use: %v", 100*use, err))
			continue
		}
		all, now := 0.0, 0.0
		for id, d := range p.draw {
			all += d.On
			if now += d.Asleep; on[id] {
				now += d.On - d.Asleep
			}
		}
		lines = append(lines, fmt.Sprintf("%.0f %% in use: %d of %d on, %.0f W (%+.1f %%)", 100*use, len(on), len(p.draw), now, 100*(now/all-1)))
	}
	on, err := p.j.tree.Shed(p.j.scheme.N(), p.j.limits, p.draw, p.use, full)
	if err != nil {
		return powerPlan{}, err
	}
	table, err := p.j.tree.Only(on)
	if err != nil {
		return powerPlan{}, err
	}
	t, err := table.Build(p.j.scheme.N(), p.j.limits, p.j.options)
	if err != nil {
		return powerPlan{}, err
	}
	if err := writeMapping(p.j.mapping, t); err != nil {
		return powerPlan{}, err
	}
	plan, err := p.count(t, func(d placement.DiskID) bool { return on[d] })
	plan.Details = lines
	plan.Wakes = []string{
		"growth wakes disks, in order of watts per byte, when those that are on are 90 % full; each wake is a change of the map and moves no more than its share",
		"a lost disk is repaired onto those that are on; a spare wakes when they have no room",
		"disks that hold nothing answer no read, scrub or repair: they rest for months",
	}
	plan.Not = []string{
		"when the cluster is nearly full: nothing can be off",
		"when reads or puts need all spindles",
		"when disks come and go by the day: what is moved on and off costs more than it saves; " + p.rest,
	}
	return plan, err
}

// readChoice compares which shards serve a read of a whole stripe.
func (p *planner) readChoice() (powerPlan, error) {
	table, err := p.j.tree.Build(p.j.scheme.N(), p.j.limits, p.j.options)
	if err != nil {
		return powerPlan{}, err
	}
	plan, err := p.count(table, func(placement.DiskID) bool { return true })
	if err != nil {
		return plan, err
	}
	work := map[placement.DiskID]float64{}
	for _, l := range p.j.tree.Leaves() {
		profile, err := energy.Lookup(l.Profile)
		if err != nil {
			return plan, err
		}
		work[l.ID] = float64(profile.Watts(energy.Sequential) - profile.Watts(energy.Idle))
	}
	var first, least, clean, dirty float64
	for pg := range table.PGs() {
		row := slices.Clone(table.Disks(pg))
		for _, d := range row[:p.j.scheme.K] {
			first += work[d]
			dirty += work[d] * p.carbon[p.site[d]]
		}
		slices.SortStableFunc(row, func(a, b placement.DiskID) int { return cmpFloat(work[a], work[b]) })
		for _, d := range row[:p.j.scheme.K] {
			least += work[d]
		}
		slices.SortStableFunc(row, func(a, b placement.DiskID) int {
			return cmpFloat(work[a]*p.carbon[p.site[a]], work[b]*p.carbon[p.site[b]])
		})
		for _, d := range row[:p.j.scheme.K] {
			clean += work[d] * p.carbon[p.site[d]]
		}
	}
	n := float64(table.PGs())
	plan.Details = []string{
		fmt.Sprintf("a whole stripe from its data shards: %.2f W above idle while it is read; from the %d cheapest of %d: %.2f W", first/n, p.j.scheme.K, p.j.scheme.N(), least/n),
		"an object of up to 64 KiB: one disk, the one that holds it",
	}
	if dirty > 0 {
		plan.Details = append(plan.Details, fmt.Sprintf("by carbon: the %d cleanest shards cause %.1f %% less than the data shards", p.j.scheme.K, 100*(1-clean/dirty)))
	}
	plan.Wakes = []string{
		"data shards first: they need no decoding",
		"a shard on a disk that sleeps is asked last, when those awake do not decode",
		"a disk that was late a moment ago is asked as late as one that sleeps",
	}
	plan.Not = []string{
		"when all disks are awake and alike: it changes nothing, since idle watts are drawn anyway",
		"when decoding costs more than the disks save: processor energy is not in these watts",
	}
	return plan, nil
}

func cmpFloat(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func showPower(w io.Writer, p powerPlan) {
	fmt.Fprintf(w, "%s: %d drives on, %d asleep; %.0f W in place of %.0f W (%+.1f %%; %s)\n", p.Policy, p.On, p.Asleep, p.Watts, p.AllOnW, -100*p.Saved, p.Boundary)
	if p.GPerHourAllOn > 0 {
		fmt.Fprintf(w, "  %.0f g CO2e an hour in place of %.0f g\n", p.GPerHour, p.GPerHourAllOn)
	}
	fmt.Fprintf(w, "  fill %.4f to %.4f of the mean, %s break a limit, %.0f peers a disk\n", p.FillMin, p.FillMax, count(p.Violations, "group"), p.Scatter)
	fmt.Fprintf(w, "  all readable with none woken, and still after the loss of any %s more\n", count(p.SpareAwake, "shard"))
	for _, l := range p.Details {
		fmt.Fprintf(w, "  %s\n", l)
	}
	for _, l := range p.Wakes {
		fmt.Fprintf(w, "  wakes: %s\n", l)
	}
	for _, l := range p.Not {
		fmt.Fprintf(w, "  does not pay: %s\n", l)
	}
}
