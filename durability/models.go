package durability

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A Model is a named way to compute figures from inputs, as case files ask for it. Public
// says whose calculator it is when it is not Wattle's own.
type Model struct {
	Name   string
	Public string
	run    func(in *inputs) (results, error)
}

type results map[string]float64

// Models returns all models in order of name.
func Models() []Model { return slices.Clone(models) }

var models = []Model{
	{"ceph_multi", "Ceph reliability model", runCephMulti},
	{"ceph_rados", "Ceph reliability model", runCephRados},
	{"chain_explicit", "", runChain},
	{"copysets", "", runCopysets},
	{"ctmc_lrc", "", runCTMCLRC},
	{"ctmc_mds", "", runCTMC},
	{"fixed_window", "Backblaze calculator", runWindow(FixedWindow)},
	{"lrc_decodable", "", runLRC},
	{"mttdl_approx", "first-order formula", runApprox},
	{"poisson_binomial_mttdl", "Tiger", runPoissonBinomial},
	{"poisson_tail", "Storj table", runPoissonTail},
	{"product_loss", "", runProduct},
	{"raid_mttdl", "RAID closed forms", runRAID},
	{"sites_mds", "", runSites},
	{"sliding_window", "first-order formula", runWindow(SlidingWindow)},
	{"vitastor_ec", "Vitastor calculator", runVitastor(false)},
	{"vitastor_rep", "Vitastor calculator", runVitastor(true)},
}

func findModel(name string) (Model, bool) {
	i, ok := slices.BinarySearchFunc(models, name, func(m Model, n string) int { return strings.Compare(m.Name, n) })
	if !ok {
		return Model{}, false
	}
	return models[i], true
}

// Run computes a model's figures; year is the length of a year in hours.
func (m Model) Run(in map[string]any, year float64) (map[string]float64, error) {
	i := &inputs{values: in, used: map[string]bool{}, year: year}
	out, err := m.run(i)
	if e := i.err(); e != nil { // an input that is missing or unknown explains more
		return nil, e
	}
	if err != nil {
		return nil, err
	}
	for k, v := range out {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, inputf("%s has no finite value for these inputs", k)
		}
	}
	return out, nil
}

// inputs hands out the inputs of a case by name, and collects what is wrong with them.
type inputs struct {
	values map[string]any
	used   map[string]bool
	wrong  []string
	year   float64
}

func (in *inputs) err() error {
	for _, k := range sortedKeys(in.values) {
		if !in.used[k] {
			in.wrong = append(in.wrong, fmt.Sprintf("input %q is not known here: want %s", k, strings.Join(sortedKeys(in.used), ", ")))
		}
	}
	if len(in.wrong) == 0 {
		return nil
	}
	return inputf("%s", strings.Join(in.wrong, "; "))
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (in *inputs) fault(format string, a ...any) {
	in.wrong = append(in.wrong, fmt.Sprintf(format, a...))
}

func (in *inputs) has(name string) bool {
	in.used[name] = true
	v, ok := in.values[name]
	return ok && v != nil
}

func asNumber(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case string:
		f, err := strconv.ParseFloat(v, 64)
		return f, err == nil
	}
	return 0, false
}

// number returns an input, or its default; without one it must be there.
func (in *inputs) number(name string, byDefault ...float64) float64 {
	if !in.has(name) {
		if len(byDefault) == 0 {
			in.fault("input %q is missing", name)
			return 1
		}
		return byDefault[0]
	}
	f, ok := asNumber(in.values[name])
	if !ok || math.IsNaN(f) || math.IsInf(f, 0) {
		in.fault("input %s: %v is not a finite number", name, in.values[name])
		return 1
	}
	return f
}

// over0 is a number that must be more than 0.
func (in *inputs) over0(name string, byDefault ...float64) float64 {
	f := in.number(name, byDefault...)
	if f <= 0 {
		in.fault("input %s: %v: want more than 0", name, f)
		return 1
	}
	return f
}

// from0 is a number that may be 0.
func (in *inputs) from0(name string, byDefault ...float64) float64 {
	f := in.number(name, byDefault...)
	if f < 0 {
		in.fault("input %s: %v: want 0 or more", name, f)
		return 0
	}
	return f
}

// part is a number from 0 to 1.
func (in *inputs) part(name string, byDefault ...float64) float64 {
	f := in.from0(name, byDefault...)
	if f > 1 {
		in.fault("input %s: %v: want 0 to 1", name, f)
		return 1
	}
	return f
}

// whole is a whole number from least on.
func (in *inputs) whole(name string, least int, byDefault ...int) int {
	var d []float64
	for _, v := range byDefault {
		d = append(d, float64(v))
	}
	f := in.number(name, d...)
	if f != math.Trunc(f) || f < float64(least) || f > 1e9 {
		if in.has(name) || len(byDefault) > 0 {
			in.fault("input %s: %v: want a whole number of %d or more", name, f, least)
		}
		return max(least, 1)
	}
	return int(f)
}

// list is a list of numbers.
func (in *inputs) list(name string) []float64 {
	if !in.has(name) {
		in.fault("input %q is missing", name)
		return nil
	}
	items, ok := in.values[name].([]any)
	if !ok {
		in.fault("input %s: want a list of numbers", name)
		return nil
	}
	out := make([]float64, len(items))
	for i, v := range items {
		if out[i], ok = asNumber(v); !ok || math.IsNaN(out[i]) || math.IsInf(out[i], 0) {
			in.fault("input %s[%d]: %v is not a finite number", name, i, v)
		}
	}
	return out
}

func (in *inputs) word(name, byDefault string) string {
	if !in.has(name) {
		return byDefault
	}
	s, ok := in.values[name].(string)
	if !ok {
		in.fault("input %s: %v: want a word such as %s", name, in.values[name], byDefault)
		return byDefault
	}
	return s
}

func (in *inputs) flag(name string) bool {
	if !in.has(name) {
		return false
	}
	b, ok := in.values[name].(bool)
	if !ok {
		in.fault("input %s: %v: want true or false", name, in.values[name])
	}
	return b
}

// oneOf tells which of several inputs that say the same in different units is given.
func (in *inputs) oneOf(names ...string) string {
	var given []string
	for _, n := range names {
		if in.has(n) {
			given = append(given, n)
		}
	}
	switch len(given) {
	case 1:
		return given[0]
	case 0:
		in.fault("input %q is missing", names[0])
	default:
		in.fault("inputs %s contradict each other: give one of them", strings.Join(given, " and "))
	}
	return ""
}

// lam is the failure rate of a shard per hour.
func (in *inputs) lam() float64 {
	switch in.oneOf("lam", "afr", "mttf_h") {
	case "lam":
		return in.over0("lam")
	case "afr":
		return in.over0("afr") / in.year
	case "mttf_h":
		return 1 / in.over0("mttf_h")
	}
	return 1
}

// mu is the repair rate of a shard per hour.
func (in *inputs) mu() float64 {
	switch in.oneOf("mu", "mttr_h") {
	case "mu":
		return in.over0("mu")
	case "mttr_h":
		return 1 / in.over0("mttr_h")
	}
	return 1
}

// tolerance is m, or n−k.
func (in *inputs) tolerance(n int) int {
	if in.oneOf("m", "k") == "k" {
		k := in.whole("k", 1)
		if k > n {
			in.fault("input k: %d of %d shards hold data: want no more data shards than shards", k, n)
		}
		return max(n-k, 0)
	}
	return in.whole("m", 0)
}

func probability(p float64) results {
	return results{"pdl": p, "p": p, "loss": p, "nines": Nines(p)}
}

// meanTime adds a mean time in hours.
func (r results) meanTime(hours, year float64) results {
	r["mttdl"], r["mttdl_h"], r["mttdl_d"], r["mttdl_y"] = hours, hours, hours/24, hours/year
	return r
}

func runWindow(model func(n, m int, afr, days float64) float64) func(*inputs) (results, error) {
	return func(in *inputs) (results, error) {
		n := in.whole("n", 1)
		m, afr, days := in.tolerance(n), in.over0("afr"), in.over0("days")
		if err := shards(n, m); err != nil {
			return nil, err
		}
		return probability(model(n, m, afr, days)), nil
	}
}

func runChain(in *inputs) (results, error) {
	c := Chain{in.list("fail"), in.list("repair")}
	scale, unit, t := in.over0("scale", 1), in.word("unit", "hour"), 0.0
	hours, ok := map[string]float64{"hour": 1, "day": 24, "year": in.year}[unit]
	if !ok {
		in.fault("input unit: %q: want hour, day or year", unit)
	}
	timed := in.has("T")
	if timed {
		t = in.over0("T")
	}
	if len(in.wrong) > 0 {
		return nil, nil
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	mttdl := c.MTTDL() * scale
	out := results{}.meanTime(mttdl*hours, in.year)
	out["mttdl"] = mttdl
	if timed {
		p, err := c.PDL(t)
		if err != nil {
			return nil, err
		}
		for k, v := range probability(AnyOf(p, 1/scale)) {
			out[k] = v
		}
	}
	return out, nil
}

func runLRC(in *inputs) (results, error) {
	c := LRC{in.whole("k", 1), in.whole("l", 0), in.whole("r", 0)}
	e := in.whole("e", 0)
	if len(in.wrong) > 0 {
		return nil, nil
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if e > c.N() {
		return nil, inputf("e %d: the code has only %d shards", e, c.N())
	}
	lost, all := c.Patterns(e)
	return results{"fraction": (all - lost) / all, "lost": lost / all, "patterns": all, "decodable": all - lost, "undecodable": lost}, nil
}

func runCopysets(in *inputs) (results, error) {
	c := Copyset{Nodes: in.whole("N", 1), Lost: in.whole("F", 0), Width: in.whole("R", 1), Sets: in.over0("sets")}
	c.Tolerance = in.whole("m", 0, c.Width-1)
	if len(in.wrong) > 0 {
		return nil, nil
	}
	set, loss, err := c.Loss()
	out := probability(loss)
	out["p_set"] = set
	return out, err
}

func runRAID(in *inputs) (results, error) {
	groups, mttf, mttr, power := in.over0("groups_div"), in.over0("mttf_h"), in.over0("mttr_h"), in.over0("power")
	return results{}.meanTime(RAID(groups, mttf, mttr, power), in.over0("hours_per_year", RAIDYearHours)), nil
}

func runPoissonTail(in *inputs) (results, error) {
	n, k, p := in.whole("n", 1), in.whole("k", 1), in.part("p")
	if k > n || n > 1e6 {
		in.fault("inputs k %d and n %d: want k no more than n, and n at most a million", k, n)
		return nil, nil
	}
	return probability(PoissonTail(n, k, p)), nil
}

func runApprox(in *inputs) (results, error) {
	n := in.whole("n", 1)
	m, lam, mu := in.tolerance(n), in.lam(), in.mu()
	if err := shards(n, m); err != nil {
		return nil, err
	}
	return results{}.meanTime(MTTDLApprox(n, n-m, lam, mu), in.year), nil
}

func runPoissonBinomial(in *inputs) (results, error) {
	n := in.whole("n", 1)
	m, lams, mu := in.tolerance(n), in.list("lams"), in.mu()
	if err := shards(n, m); err != nil {
		return nil, err
	}
	if len(lams) != n {
		in.fault("input lams: %d rates for %d shards", len(lams), n)
		return nil, nil
	}
	for i, lam := range lams {
		if lam <= 0 {
			in.fault("input lams[%d]: %v: want more than 0", i, lam)
		}
	}
	return results{}.meanTime(PoissonBinomialMTTDL(n-m, lams, mu), in.year), nil
}

func cephInputs(in *inputs) Ceph {
	d := DefaultCeph()
	return Ceph{
		FIT: in.over0("fit", d.FIT), SizeTB: in.over0("size_tb", d.SizeTB), Fill: in.part("fill", d.Fill), PGs: in.over0("pgs", d.PGs),
		SpeedMBs: in.over0("speed_mbs", d.SpeedMBs), MarkOutH: in.from0("mark_out_h", d.MarkOutH), SiteRate: in.from0("site_rate", d.SiteRate),
		SiteReturnH: in.over0("site_return_h", d.SiteReturnH), WANMBs: in.over0("wan_mbs", d.WANMBs), Period: in.over0("T", d.Period),
	}
}

func runCephRados(in *inputs) (results, error) {
	c, copies := cephInputs(in), in.whole("copies", 1, 2)
	out := probability(c.Copies(min(copies, MaxShards), c.Period))
	out["p_copies"] = out["pdl"]
	return out, nil
}

func runCephMulti(in *inputs) (results, error) {
	c, sites, copies := cephInputs(in), in.whole("sites", 1), in.whole("copies", 1, 1)
	if sites > 16 || copies > MaxShards {
		in.fault("inputs sites %d and copies %d: want at most 16 sites and %d copies", sites, copies, MaxShards)
		return nil, nil
	}
	byCopies, bySites := c.Sites(sites, copies)
	out := probability(byCopies + bySites)
	out["p_copies"], out["p_site"] = byCopies, bySites
	return out, nil
}

func runVitastor(replicas bool) func(*inputs) (results, error) {
	return func(in *inputs) (results, error) {
		v := Vitastor{
			Hosts: in.whole("n_hosts", 1), Drives: in.whole("n_drives", 1), AFRDrive: in.part("afr_drive"), AFRHost: in.part("afr_host", 0),
			CapacityGB: in.over0("capacity_gb"), SpeedGBs: in.over0("speed_gbs"), PGs: in.over0("pgs", 1), DownOutS: in.from0("down_out_interval", 600),
			Everywhere: in.flag("osd_rm"), Degraded: in.flag("degraded_replacement"), Replicas: replicas, Data: 1,
		}
		if replicas {
			v.Parity = in.whole("replicas", 2) - 1
		} else {
			v.Data, v.Parity = in.whole("ec_data", 1), in.whole("ec_parity", 1)
		}
		if v.Hosts < 2 || v.Data+v.Parity > MaxShards {
			in.fault("%d hosts and %d shards: want two hosts or more and at most %d shards", v.Hosts, v.Data+v.Parity, MaxShards)
			return nil, nil
		}
		return probability(v.Loss()), nil
	}
}

func runCTMC(in *inputs) (results, error) {
	n := in.whole("n", 1)
	m, lam, mu, mode, t := in.tolerance(n), in.lam(), in.mu(), RepairMode(in.word("repair", string(Parallel))), in.over0("T", in.year)
	if len(in.wrong) > 0 {
		return nil, nil
	}
	c, err := MDS(n, m, lam, mu, mode)
	if err != nil {
		return nil, err
	}
	p, err := c.PDL(t)
	return probability(p).meanTime(c.MTTDL(), in.year), err
}

func runCTMCLRC(in *inputs) (results, error) {
	c := LRC{in.whole("k", 1), in.whole("l", 0), in.whole("r", 0)}
	lam, mu, mode, t := in.lam(), in.mu(), RepairMode(in.word("repair", string(Parallel))), in.over0("T", in.year)
	if len(in.wrong) > 0 {
		return nil, nil
	}
	if mode != Parallel && mode != Single {
		return nil, inputf("repair %q: want parallel or single", mode)
	}
	chain, err := c.Chain(lam, Repairs(mu, mode))
	if err != nil {
		return nil, err
	}
	return solved(chain, t, in.year)
}

// solved gives the loss within t and, where the chain is small enough, the mean time to it.
func solved(chain *Markov, t, year float64) (results, error) {
	p, err := chain.PDL(0, t)
	if err != nil {
		return nil, err
	}
	out := probability(p)
	if chain.States() <= maxEliminated {
		if hours, err := chain.MTTDL(0); err == nil {
			out.meanTime(hours, year)
		}
	}
	return out, nil
}

func runProduct(in *inputs) (results, error) {
	c := Product{Rows: in.whole("rows", 1), Cols: in.whole("cols", 1), RowM: in.whole("row_m", 0), ColM: in.whole("col_m", 0, 1)}
	q := in.part("q")
	if len(in.wrong) > 0 {
		return nil, nil
	}
	l, err := c.Loss(q)
	out := probability(l.P)
	out["min_erasures"], out["count_min"] = float64(l.Least), l.Count
	return out, err
}

func runSites(in *inputs) (results, error) {
	s := in.whole("s", 1)
	var stripe Stripe
	if in.oneOf("c", "n") == "n" {
		n := in.whole("n", 1)
		if n < s {
			in.fault("inputs n %d and s %d: want a shard at each site at least", n, s)
		}
		stripe.Sites = Even(n, min(s, MaxShards))
	} else {
		stripe.Sites = Even(min(s, MaxShards)*min(in.whole("c", 1), MaxShards), min(s, MaxShards))
	}
	m, t := in.tolerance(stripe.N()), in.over0("T", in.year)
	r := Rates{Fail: in.lam(), Site: in.from0("sigma", 0), Repair: Repairs(in.mu(), RepairMode(in.word("repair", string(Parallel))))}
	if in.has("rho") || r.Site > 0 {
		r.Return = in.over0("rho")
	}
	if mode := in.word("repair", string(Parallel)); mode != string(Parallel) && mode != string(Single) {
		in.fault("input repair: %q: want parallel or single", mode)
	}
	if len(in.wrong) > 0 {
		return nil, nil
	}
	if err := shards(stripe.N(), m); err != nil {
		return nil, err
	}
	stripe.Lose = MDSLose(m)
	chain, lumped, err := stripe.Chain(r, MostStates)
	if err != nil {
		return nil, err
	}
	if lumped {
		return nil, inputf("%d shards over %d sites have more than %d states: too many to solve exactly", stripe.N(), s, MostStates)
	}
	out, err := solved(chain, t, in.year)
	if err == nil {
		x, left := stripe.SitesSurvived()
		out["sites_survived"], out["left_over"] = float64(x), float64(left)
	}
	return out, err
}
