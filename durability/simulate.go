package durability

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
)

// A Simulation is what a System has beyond exponential lifetimes and repairs of its own. Its
// zero value, with Exponential set, is the System's Markov chain.
type Simulation struct {
	Seed        uint64   `json:"seed"`
	Cycles      int      `json:"cycles"`    // of each stratum; default 4,000
	Years       float64  `json:"years"`     // of the mission; default 1
	AgeYears    float64  `json:"age_years"` // the fleet's ages lie evenly from 0 to this; default 5
	Life        Lifetime `json:"life"`
	Batch       Batch    `json:"batch"`
	Exponential bool     `json:"exponential"` // repairs take exponential times, not fixed ones, and disks do not wait for one another
}

// An Evidence is a simulated probability of loss of a stripe in a year, and what it rests on.
type Evidence struct {
	Point    float64   `json:"point"`
	Low      float64   `json:"low"` // of the 95 % interval
	High     float64   `json:"high"`
	RelError float64   `json:"relative_error"` // standard error over the point
	Runs     int       `json:"runs"`
	Hits     int       `json:"hits"`                  // runs with a weight
	ESS      float64   `json:"effective_sample_size"` // of the hits
	Largest  float64   `json:"largest_weight_share"`
	Seed     uint64    `json:"seed"`
	Nines    *Band     `json:"nines"` // null when the evidence is thin
	Thin     string    `json:"thin,omitempty"`
	Exact    float64   `json:"exact_stand_in"` // of the nearest Markov chain
	Strata   []Stratum `json:"strata"`
}

// A Stratum is the loss of cycles that begin with one kind of event.
type Stratum struct {
	Name  string  `json:"name"`
	Rate  float64 `json:"begins_per_year"`
	Loss  float64 `json:"loss_per_cycle"`
	Error float64 `json:"standard_error"`
	Hits  int     `json:"hits"`
}

// Simulate estimates the probability that a stripe of a System is lost in a mission, at its
// typical AFR, with bursts and disasters. Cycles begin and end with all shards sound; a stratum
// is the cycles that begin with a disk, a burst or a disaster, each as often as it happens, so
// that rare kinds are not left to chance. In a degraded state the next loss is drawn more often
// than it comes, as the Markov stand-in advises, and the weight makes up for it within the
// cycle alone (Shahabuddin 1994; Reijsbergen et al. on zero-variance biasing); a loss that would
// end the stripe is added up, not drawn.
func Simulate(s System, m Simulation) (Evidence, error) {
	w, exact, err := s.world(m)
	if err != nil {
		return Evidence{}, err
	}
	e := w.run()
	e.Exact = exact
	return e, nil
}

// withDefaults fills in and checks what a simulation is asked.
func (m Simulation) withDefaults() (Simulation, error) {
	if m.Cycles == 0 {
		m.Cycles = 4000
	}
	if m.AgeYears == 0 {
		m.AgeYears = 5
	}
	if m.Years == 0 {
		m.Years = 1
	}
	if !(m.Years > 0 && m.Years <= 100) {
		return m, inputf("%v years to simulate: want more than 0 and at most 100", m.Years)
	}
	if m.Cycles < 100 || m.Cycles > 1e8 || !(m.AgeYears > 0 && m.AgeYears <= 50) {
		return m, inputf("%d cycles of a fleet up to %v years old: want 100 to 100,000,000 cycles, and more than 0 up to 50 years", m.Cycles, m.AgeYears)
	}
	return m, errors.Join(m.Life.validate(), m.Batch.validate())
}

// world makes a system's world, and the exact probability of loss of its stand-in.
func (s System) world(m Simulation) (*world, float64, error) {
	s = s.WithDefaults()
	if err := s.validate(); err != nil {
		return nil, 0, err
	}
	if s.Code.Rows > 0 {
		return nil, 0, inputf("product codes are not simulated: their chain says what can be said")
	}
	m, err := m.withDefaults()
	if err != nil {
		return nil, 0, err
	}
	stripe, repair := s.stripe(), s.repairTime()
	exact, err := s.standIn(stripe, repair, m.Years)
	if err != nil {
		return nil, 0, err
	}
	return newWorld(s, m, stripe, repair), exact, nil
}

// standIn is the exact probability of loss by the nearest Markov chain.
func (s System) standIn(stripe Stripe, repair RepairTime, years float64) (float64, error) {
	r := s.rates(repair, s.AFR.Typical)
	r.Bursts = s.Bursts
	if s.SiteRate.Typical > 0 {
		r.Site, r.Return = s.SiteRate.Typical/YearHours, 1/repair.SiteH
	}
	chain, _, err := stripe.Chain(r, QuickStates)
	if err != nil {
		return 0, err
	}
	return chain.PDL(0, years*YearHours)
}

// Thin evidence gives no nines.
const (
	leastHits    = 100
	mostRelError = 0.2
	mostLargest  = 0.05
)

// judge says whether the evidence carries nines.
func (e *Evidence) judge() {
	switch {
	case e.Hits == 0:
		e.Thin = fmt.Sprintf("no loss in %d runs: the figure is an upper bound", e.Runs)
		e.Point = 0
	case e.Hits < leastHits:
		e.Thin = fmt.Sprintf("%d hits: want %d at least; run more cycles", e.Hits, leastHits)
	case e.RelError > mostRelError:
		e.Thin = fmt.Sprintf("relative error %.0f %%: want at most %.0f %%; run more cycles", 100*e.RelError, 100*mostRelError)
	case e.Largest > mostLargest:
		e.Thin = fmt.Sprintf("one run has %.0f %% of the weight: want at most %.0f %%; run more cycles", 100*e.Largest, 100*mostLargest)
	default:
		e.Nines = &Band{Nines(e.High), Nines(e.Point), Nines(e.Low)}
	}
}

// A world simulates the cycles of one stripe.
type world struct {
	s       System
	m       Simulation
	stripe  Stripe
	repair  RepairTime
	people  population
	rng     dice
	step    func(from, to int) (survive, gone float64)
	hits    [][][]float64 // by burst and sound shards of a domain, how many it takes
	domain  [][]int       // by burst and shard, its domain at its site
	used    [][]int       // by burst and site, the domains that have shards
	alive   []int         // scratch: sound shards by domain
	value   [][]float64   // value[d][j]: how much j losses with d sites down lead to loss, by the stand-in
	others  float64       // other disks that are being rebuilt, on average
	perHost float64       // disks of a host

	// The state of a cycle.
	now      float64 // hours since it began
	hazards  []float64
	site     []int // site of each shard
	lost     []bool
	down     []float64 // when a destroyed site is back; 0 for one that stands
	ready    []float64 // when a lost shard is made anew, where each has its own
	next     float64   // when the next is, where they share
	backlog  float64   // disks lost in a burst, beside the stripe's
	lostHere []int     // lost shards by site
	total    int       // shards that cannot be read
	disks    int       // lost shards at sites that stand
}

func newWorld(s System, m Simulation, stripe Stripe, repair RepairTime) *world {
	w := &world{s: s, m: m, stripe: stripe, repair: repair, people: newPopulation(m.Life, m.Batch, m.AgeYears, s.AFR.Typical), rng: newDice(m.Seed)}
	n := stripe.N()
	w.step = tabled(stripe.steps(s.rates(repair, s.AFR.Typical)), n)
	for i, c := range stripe.Sites {
		for range c {
			w.site = append(w.site, i)
		}
	}
	for _, b := range s.Bursts {
		w.spread(b)
	}
	w.hazards, w.lost, w.ready = make([]float64, n), make([]bool, n), make([]float64, n)
	w.down, w.lostHere = make([]float64, len(stripe.Sites)), make([]int, len(stripe.Sites))
	if !m.Exponential {
		w.others = s.AFR.Typical / YearHours * float64(s.Disks-n) * repair.TransferH
	}
	w.perHost = float64(s.Disks) / float64(s.Sites*s.Hosts)
	for d := range len(stripe.Sites) + 1 {
		w.value = append(w.value, w.values(d))
	}
	return w
}

// spread lays the shards of each site over the domains of a burst.
func (w *world) spread(b Burst) {
	var domain, used []int
	for _, c := range w.stripe.Sites {
		parts := Even(c, min(b.count(), c))
		used = append(used, len(parts))
		for d, n := range parts {
			for range n {
				domain = append(domain, d)
			}
		}
	}
	most := slices.Max(w.stripe.Sites)
	w.hits = append(w.hits, hitTable([]Burst{b.inside()}, most)[0])
	w.domain, w.used = append(w.domain, domain), append(w.used, used)
	w.alive = make([]int, most)
}

// soundIn counts the sound shards in the domains of a burst at a site.
func (w *world) soundIn(burst, at int) []int {
	n := w.alive[:w.used[burst][at]]
	clear(n)
	for i, s := range w.site {
		if s == at && w.sound(i) {
			n[w.domain[burst][i]]++
		}
	}
	return n
}

// dice are the random numbers of a cycle, a stream for each use, so that two systems that are
// given the same dice meet the same ages, the same times and the same luck as far as they can.
type dice struct {
	seed  uint64
	ages  stream // of disks, batches, and the time of the year
	fate  stream // what happens next, and to which
	clock stream // when
}

type stream struct {
	*rand.Rand
	source *rand.PCG
}

func newDice(seed uint64) dice {
	one := func() stream {
		source := rand.NewPCG(seed, 0)
		return stream{rand.New(source), source}
	}
	return dice{seed, one(), one(), one()}
}

// cast sets the streams to the beginning of a cycle.
func (d *dice) cast(stratum string, cycle int) {
	h := fnv.New64a()
	h.Write([]byte(stratum))
	base := mixed(d.seed) ^ mixed(h.Sum64())
	for i, s := range []stream{d.ages, d.fate, d.clock} {
		s.source.Seed(mixed(base+uint64(i)), mixed(base^mixed(uint64(cycle)*4+uint64(i))))
	}
}

// mixed is the finaliser of splitmix64 (Steele, Lea and Flood 2014).
func mixed(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// tabled remembers all answers of a step.
func tabled(step func(from, to int) (float64, float64), n int) func(from, to int) (float64, float64) {
	type answer struct{ survive, gone float64 }
	table := make([]answer, (n+1)*(n+1))
	for from := range n + 1 {
		for to := from + 1; to <= n; to++ {
			survive, gone := 0.0, 1.0
			if s, _ := step(0, from); from == 0 || s > 0 {
				survive, gone = step(from, to)
			}
			table[from*(n+1)+to] = answer{survive, gone}
		}
	}
	return func(from, to int) (float64, float64) {
		a := table[from*(n+1)+to]
		return a.survive, a.gone
	}
}

// values are, for so many sites down, the probabilities of the stand-in to go on to loss
// before all disks are repaired.
func (w *world) values(d int) []float64 {
	gone := 0
	for _, c := range w.stripe.Sites[:d] {
		gone += c
	}
	most := len(w.stripe.Lose) - gone
	if most < 1 {
		return nil
	}
	c := Chain{make([]float64, most), make([]float64, most)}
	for j := range most {
		c.Fail[j], c.Repair[j] = math.Max(1, float64(w.stripe.N()-gone-j))*w.s.AFR.Typical/YearHours, w.repair.rate(j)
	}
	return c.Escape()
}

// A beginning is what cycles of a stratum begin with.
type beginning struct {
	name  string
	rate  float64        // an hour
	begin func() float64 // starts a cycle; its weight
}

func (w *world) beginnings() []beginning {
	sites := float64(len(w.stripe.Sites))
	list := []beginning{{"disk", float64(w.stripe.N()) * w.s.AFR.Typical / YearHours, w.beginDisk}}
	for k, b := range w.s.Bursts {
		domains := 0
		for _, n := range w.used[k] {
			domains += n
		}
		list = append(list, beginning{b.Name, b.Rate * float64(domains), func() float64 { return w.beginBurst(k, w.rng.fate.IntN(domains)) }})
	}
	if rate := w.s.SiteRate.Typical / YearHours; rate > 0 {
		list = append(list, beginning{"site disaster", rate * sites, w.beginSite})
	}
	return list
}

// sums are what strata add up to. unsound and its variance are of the hours in cycles for each hour
// without.
type sums struct {
	point, variance, bound   float64
	weight, squares, largest float64
	unsound, unsoundVariance float64
	startUp                  float64 // square of what the first hours are off by
}

// run makes the cycles of all strata and puts them together.
func (w *world) run() Evidence {
	var e Evidence
	var s sums
	for _, k := range w.beginnings() {
		e.Strata = append(e.Strata, w.stratum(k, &s))
		w.lengths(k, &s)
	}
	w.settle(&e, s, 0)
	return e
}

// settle turns the sums over the strata into the evidence.
func (w *world) settle(e *Evidence, s sums, exact float64) {
	e.Seed, e.Exact = w.m.Seed, exact
	for _, st := range e.Strata {
		e.Hits, e.Runs = e.Hits+st.Hits, e.Runs+w.m.Cycles
	}
	sound := 1 + s.unsound
	point := s.point / sound
	half := 1.96 * math.Sqrt(s.variance+point*point*(s.unsoundVariance+s.startUp)) / sound
	if point > 0 {
		e.RelError, e.ESS, e.Largest = half/1.96/point, s.weight*s.weight/s.squares, s.largest/s.weight
	}
	e.Point, e.Low, e.High = -math.Expm1(-point), -math.Expm1(-math.Max(0, point-half)), -math.Expm1(-(point + half + s.bound))
	e.judge()
}

// stratum makes the cycles that begin with one kind of event.
func (w *world) stratum(k beginning, s *sums) Stratum {
	t := w.tally(k)
	for cycle := range w.m.Cycles {
		t.add(w.one(k, cycle), s)
	}
	return t.end(s)
}

// one makes a biased cycle; its weighted loss.
func (w *world) one(k beginning, cycle int) float64 {
	w.rng.cast(k.name, cycle)
	w.reset()
	if weight := k.begin(); weight > 0 {
		return w.cycle(weight, w.m.Years*YearHours, false)
	}
	return 0
}

// A tally adds up the cycles of a stratum.
type tally struct {
	name          string
	rate, hours   float64
	cycles, hits  int
	total, square float64
}

func (w *world) tally(k beginning) *tally {
	return &tally{name: k.name, rate: k.rate, hours: w.m.Years * YearHours, cycles: w.m.Cycles}
}

func (t *tally) times() float64 { return t.rate * t.hours }

func (t *tally) add(y float64, s *sums) {
	t.total, t.square = t.total+y, t.square+y*y
	if y > 0 {
		t.hits++
		v := y * t.times() / float64(t.cycles)
		s.weight, s.squares, s.largest = s.weight+v, s.squares+v*v, math.Max(s.largest, v)
	}
}

// end adds the stratum to the whole.
func (t *tally) end(s *sums) Stratum {
	n := float64(t.cycles)
	st := Stratum{Name: t.name, Rate: t.rate * YearHours, Loss: t.total / n, Hits: t.hits}
	st.Error = math.Sqrt(math.Max(0, t.square/n-st.Loss*st.Loss) / n)
	s.point += t.times() * st.Loss
	s.variance += math.Pow(t.times()*st.Error, 2)
	if st.Hits == 0 {
		s.bound += t.times() * 3 / n
	}
	return st
}

// lengths finds how long cycles of a kind last, from some without weights.
func (w *world) lengths(k beginning, s *sums) {
	t := w.lengthTally(k)
	for cycle := range t.cycles {
		t.add(w.natural(k, cycle))
	}
	t.end(s)
}

// natural makes a cycle without bias; its hours.
func (w *world) natural(k beginning, cycle int) float64 {
	w.rng.cast(k.name+", natural", cycle)
	w.reset()
	weight := k.begin()
	if weight > 0 {
		w.cycle(weight, w.m.Years*YearHours, true)
	}
	return weight * w.now
}

// A lengthTally adds up the hours of the cycles of a stratum.
type lengthTally struct {
	rate, hours  float64
	cycles       int
	sum, squares float64
}

func (w *world) lengthTally(k beginning) *lengthTally {
	return &lengthTally{rate: k.rate, hours: w.m.Years * YearHours, cycles: max(10, w.m.Cycles/5)}
}

func (t *lengthTally) add(hours float64) { t.sum, t.squares = t.sum+hours, t.squares+hours*hours }

// end adds the hours in cycles to the whole. To their error comes what the first hours, when all
// is sound yet, are off by.
func (t *lengthTally) end(s *sums) {
	n := float64(t.cycles)
	mean := t.sum / n
	s.unsound += t.rate * mean
	s.unsoundVariance += t.rate * t.rate * math.Max(0, t.squares/n-mean*mean) / n
	s.startUp += math.Pow(t.rate*mean*mean/t.hours, 2)
}

func (w *world) reset() {
	w.now, w.backlog, w.next, w.total, w.disks = 0, 0, 0, 0, 0
	clear(w.lost)
	clear(w.down)
	clear(w.lostHere)
	w.people.draw(w.hazards, w.site, w.rng.ages.Float64()*w.m.Years*YearHours, w.rng.ages.Rand)
}

// beginDisk loses a disk, each by its hazard.
func (w *world) beginDisk() float64 {
	sum := 0.0
	for _, h := range w.hazards {
		sum += h
	}
	w.loseDisk(w.pick(sum))
	return sum / (float64(len(w.hazards)) * w.s.AFR.Typical / YearHours)
}

// pick draws a sound shard by its hazard.
func (w *world) pick(sum float64) int {
	u, last := w.rng.fate.Float64()*sum, -1
	for i, h := range w.hazards {
		if w.sound(i) {
			last = i
			if u -= h; u < 0 {
				break
			}
		}
	}
	return last
}

func (w *world) sound(i int) bool { return !w.lost[i] && w.down[w.site[i]] == 0 }

// beginBurst strikes one of the domains that have shards.
func (w *world) beginBurst(k, which int) float64 {
	at := 0
	for which >= w.used[k][at] {
		which -= w.used[k][at]
		at++
	}
	hits := w.hits[k][w.soundIn(k, at)[which]]
	none := hits[0]
	if none >= 1 {
		return 0
	}
	u, h := w.rng.fate.Float64()*(1-none), 1
	for ; h < len(hits)-1; h++ {
		if u -= hits[h]; u < 0 {
			break
		}
	}
	w.hit(outcome{site: at, domain: which, h: h, burst: k})
	return 1 - none
}

// hit loses so many of the sound shards of a domain, with the disks of their hosts.
func (w *world) hit(o outcome) {
	if b := w.s.Bursts[o.burst]; !w.m.Exponential {
		w.backlog += math.Max(float64(o.h), b.Share*float64(w.s.Hosts)/float64(b.count())*w.perHost)
	}
	var sound []int
	for i, s := range w.site {
		if s == o.site && w.domain[o.burst][i] == o.domain && w.sound(i) {
			sound = append(sound, i)
		}
	}
	for range o.h {
		k := w.rng.fate.IntN(len(sound))
		w.loseDisk(sound[k])
		sound = slices.Delete(sound, k, k+1)
	}
}

func (w *world) beginSite() float64 {
	w.loseSite(w.rng.fate.IntN(len(w.stripe.Sites)))
	return 1
}

func (w *world) loseDisk(i int) {
	w.lost[i] = true
	w.lostHere[w.site[i]]++
	w.disks++
	w.total++
	w.ready[i] = w.now + w.repair.TotalH
	w.plan(true)
}

func (w *world) loseSite(at int) {
	for i, s := range w.site {
		if s == at && w.lost[i] {
			w.lost[i] = false
			w.disks--
		}
	}
	w.total += w.stripe.Sites[at] - w.lostHere[at]
	w.lostHere[at] = 0
	w.down[at] = w.now + w.repair.SiteH
	w.plan(false)
}

// plan sets when the next shard is made anew where repair is shared: a loss may only bring it
// forward. Other disks that are being rebuilt share the bandwidth, except where stripes that
// lost more go first.
func (w *world) plan(sooner bool) {
	if w.disks == 0 || !w.repair.shared || w.m.Exponential {
		w.next = 0
		return
	}
	load := 1.0
	if w.disks == 1 || w.repair.factor == 1 {
		load += w.backlog + float64(w.poisson(w.others))
	}
	at := w.now + w.repair.DetectH + w.repair.TransferH*math.Pow(w.repair.factor, float64(w.disks-1))*load
	if !sooner || w.next == 0 || at < w.next {
		w.next = at
	}
}

func (w *world) poisson(mean float64) int {
	n, u := 0, w.rng.clock.ExpFloat64()
	for u < mean {
		n++
		u += w.rng.clock.ExpFloat64()
	}
	return n
}

// An outcome is a loss that may come next.
type outcome struct {
	rate           float64
	survive, gone  float64
	worth          float64 // how much it leads to loss, by the stand-in
	site, h, burst int     // of a burst; site alone of a disaster; all -1 of a disk
	domain         int     // of a burst, at its site
}

// outcomes are the losses that may come next, and the sum of their rates.
func (w *world) outcomes(list []outcome) ([]outcome, float64) {
	sum := 0.0
	add := func(rate float64, more, site, h, burst, domain int) {
		if rate > 0 && more > 0 {
			o := outcome{rate: rate, site: site, h: h, burst: burst, domain: domain}
			o.survive, o.gone = w.step(w.total, w.total+more)
			o.worth = w.worth(o)
			list, sum = append(list, o), sum+rate
		}
	}
	hazard := 0.0
	for i, h := range w.hazards {
		if w.sound(i) {
			hazard += h
		}
	}
	add(hazard, 1, -1, -1, -1, 0)
	for at, c := range w.stripe.Sites {
		if w.down[at] > 0 {
			continue
		}
		add(w.s.SiteRate.Typical/YearHours, c-w.lostHere[at], at, -1, -1, 0)
		for k, b := range w.s.Bursts {
			for domain, alive := range w.soundIn(k, at) {
				for h, p := range w.hits[k][alive] {
					add(b.Rate*p, h, at, h, k, domain)
				}
			}
		}
	}
	return list, sum
}

// sitesDown counts the destroyed sites.
func (w *world) sitesDown() int {
	n := 0
	for _, back := range w.down {
		if back > 0 {
			n++
		}
	}
	return n
}

// worth is what the stand-in makes of a state: with disks lost, the probability to lose the
// stripe before they are repaired; with a site more down, that within its return.
func (w *world) worth(o outcome) float64 {
	d := w.sitesDown()
	if o.site >= 0 && o.burst < 0 {
		v := 1.0
		if d+1 < len(w.value) && len(w.value[d+1]) > 1 {
			v = w.value[d+1][1]
		}
		return math.Min(1, float64(len(w.hazards)-w.total)*w.people.perHour*w.repair.SiteH*v)
	}
	return w.lostWorth(d, w.disks+max(1, o.h))
}

// lostWorth is the worth of a number of lost disks.
func (w *world) lostWorth(sites, disks int) float64 {
	v := w.value[sites]
	if len(v) == 0 {
		return 1
	}
	return v[min(disks, len(v)-1)]
}

// longestCycle bounds the steps of a cycle; one that long has no weight left that matters.
const longestCycle = 100000

// cycle goes on until all shards are sound again, or lost, and returns the weighted probability
// of loss within the hours from its beginning, which lies anywhere in them. A natural cycle is
// not biased; it serves for its length, w.now.
func (w *world) cycle(weight, hours float64, natural bool) float64 {
	survive, gone := w.step(0, w.total)
	y := weight * gone
	weight *= survive
	var list []outcome
	for step := 0; w.total > 0 && weight > 0 && step < longestCycle; step++ {
		var rate float64
		list, rate = w.outcomes(list[:0])
		wait, repairs := w.waiting()
		bad, mean := rate/(rate+repairs), 1/(rate+repairs)
		if !w.m.Exponential {
			bad, mean = -math.Expm1(-rate*wait), wait/2
		}
		fatal, milder, worth := 0.0, 0.0, 0.0
		for _, o := range list {
			fatal, milder, worth = fatal+o.rate*o.gone, milder+o.rate*o.survive, worth+o.rate*o.survive*o.worth
		}
		if rate > 0 {
			y += weight * bad * fatal / rate * math.Max(0, 1-(w.now+mean)/hours)
			milder, worth = milder*bad/rate, worth*bad/rate
		}
		choose := w.bias(milder, worth, 1-bad)
		if natural {
			choose = milder / (milder + 1 - bad)
		}
		if w.rng.fate.Float64() < choose {
			weight *= milder / choose
			w.now += w.lossAfter(rate, repairs, wait, bad)
			weight *= w.lose(list)
			continue
		}
		weight *= (1 - bad) / (1 - choose)
		if w.m.Exponential {
			w.now += w.rng.clock.ExpFloat64() / (rate + repairs)
		} else {
			w.now += wait
		}
		w.mend()
	}
	return y
}

// waiting is the time until the next repair or return where times are fixed, and their rate
// where they are exponential.
func (w *world) waiting() (wait, rate float64) {
	at := math.Inf(1)
	for i, l := range w.lost {
		if l && !w.repair.shared {
			at = math.Min(at, w.ready[i])
		}
	}
	if w.repair.shared && w.disks > 0 {
		at = w.next
	}
	rate = w.repair.rate(w.disks)
	for _, back := range w.down {
		if back > 0 {
			at, rate = math.Min(at, back), rate+1/w.repair.SiteH
		}
	}
	return math.Max(0, at-w.now), rate
}

// bias is the probability with which a loss that the stripe survives is drawn before a repair:
// what the stand-in makes of both, kept away from 0 and 1 so that no way out is shut.
func (w *world) bias(loss, worth, repair float64) float64 {
	if loss == 0 || repair == 0 {
		return loss / (loss + repair)
	}
	sites, back := w.sitesDown(), 0.0
	switch {
	case w.disks > 1:
		back = w.lostWorth(sites, w.disks-1)
	case w.disks == 1 && sites > 0:
		back = 0.05 * w.lostWorth(sites, 1)
	}
	if worth+repair*back == 0 {
		return 0.5
	}
	return math.Min(0.95, math.Max(0.2, worth/(worth+repair*back)))
}

// lossAfter draws the time of a loss that comes before the next repair.
func (w *world) lossAfter(rate, repairs, wait, bad float64) float64 {
	if w.m.Exponential {
		return w.rng.clock.ExpFloat64() / (rate + repairs)
	}
	return math.Min(wait, -math.Log1p(-w.rng.clock.Float64()*bad)/rate)
}

// lose draws one of the outcomes that the stripe survives, by how much each leads to loss, and
// returns the weight that makes up for it.
func (w *world) lose(list []outcome) float64 {
	const byRate, evenly = 0.15, 0.05
	sum, worth, kinds := 0.0, 0.0, 0
	for _, o := range list {
		if o.survive > 0 {
			sum, worth, kinds = sum+o.rate*o.survive, worth+o.rate*o.survive*o.worth, kinds+1
		}
	}
	u := w.rng.fate.Float64()
	for _, o := range list {
		if o.survive == 0 {
			continue
		}
		natural := o.rate * o.survive / sum
		drawn := byRate*natural + evenly/float64(kinds)
		if worth > 0 {
			drawn += (1 - byRate - evenly) * o.rate * o.survive * o.worth / worth
		} else {
			drawn += (1 - byRate - evenly) * natural
		}
		if u -= drawn; u < 0 {
			w.happen(o)
			return natural / drawn
		}
	}
	return 0 // rounding left a crumb
}

func (w *world) happen(o outcome) {
	switch {
	case o.burst >= 0:
		w.hit(o)
	case o.site >= 0:
		w.loseSite(o.site)
	default:
		sum := 0.0
		for i, h := range w.hazards {
			if w.sound(i) {
				sum += h
			}
		}
		w.loseDisk(w.pick(sum))
	}
}

// mend makes the next shard anew, or brings the next site back.
func (w *world) mend() {
	if w.m.Exponential {
		w.mendOne()
		return
	}
	for at, back := range w.down {
		if back > 0 && back <= w.now {
			w.bringBack(at)
			return
		}
	}
	for i, l := range w.lost {
		if l && (w.repair.shared || w.ready[i] <= w.now) {
			w.repaired(w.oneLost(i))
			return
		}
	}
}

// mendOne draws what exponential repair does next.
func (w *world) mendOne() {
	u := w.rng.fate.Float64()
	_, rate := w.waiting()
	u *= rate
	if u -= w.repair.rate(w.disks); u < 0 && w.disks > 0 {
		w.repaired(w.oneLost(-1))
		return
	}
	for at, back := range w.down {
		if back > 0 {
			if u -= 1 / w.repair.SiteH; u < 0 {
				w.bringBack(at)
				return
			}
		}
	}
}

// oneLost is the shard that is made anew: where repair is not shared the one that is due, else any.
func (w *world) oneLost(due int) int {
	if !w.repair.shared && !w.m.Exponential {
		return due
	}
	k := w.rng.fate.IntN(w.disks)
	for i, l := range w.lost {
		if l {
			if k == 0 {
				return i
			}
			k--
		}
	}
	return due
}

func (w *world) repaired(i int) {
	w.lost[i] = false
	w.lostHere[w.site[i]]--
	w.disks--
	w.total--
	w.plan(false)
}

func (w *world) bringBack(at int) {
	w.down[at] = 0
	w.total -= w.stripe.Sites[at]
}
