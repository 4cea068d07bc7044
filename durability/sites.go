package durability

import (
	"fmt"
	"slices"
)

// A Stripe is what its chain needs to know of a code, and of where the shards lie.
type Stripe struct {
	Sites []int // shards at each site

	// Lose[e] is the share of the patterns of e lost shards that cannot be decoded: 0 up to
	// the tolerance; beyond its end it is 1. For an MDS code it has m+1 zeros.
	Lose []float64

	// product, of product codes, says it by the losses of each site instead.
	product *Product
}

// Even spreads n shards over sites as evenly as can be.
func Even(n, sites int) []int {
	list := make([]int, sites)
	for i := range list {
		list[i] = n / sites
		if i < n%sites {
			list[i]++
		}
	}
	return list
}

// together is the stripe where only the number of losses matters, on one site.
func (s Stripe) together() Stripe {
	if s.product != nil {
		return s
	}
	return Stripe{Sites: []int{s.N()}, Lose: s.Lose}
}

// MDSLose is the Lose of a code that stands any m losses.
func MDSLose(m int) []float64 { return make([]float64, m+1) }

// N is the number of shards.
func (s Stripe) N() int {
	n := 0
	for _, c := range s.Sites {
		n += c
	}
	return n
}

func (s Stripe) loseAt(e int) float64 {
	if e >= len(s.Lose) {
		return 1
	}
	return s.Lose[e]
}

// Tolerance is the number of losses stood whichever they are.
func (s Stripe) Tolerance() int {
	for e, p := range s.Lose {
		if p > 0 {
			return e - 1
		}
	}
	return len(s.Lose) - 1
}

// SitesSurvived is how many whole sites may be lost, and LeftOver how many further shards then,
// whichever they are.
func (s Stripe) SitesSurvived() (sites, leftOver int) {
	sizes := slices.Sorted(slices.Values(s.Sites))
	slices.Reverse(sizes)
	left := s.Tolerance()
	for _, c := range sizes {
		if c > left {
			break
		}
		left -= c
		sites++
	}
	return sites, left
}

// Rates are how fast things happen to a stripe, per hour.
type Rates struct {
	Fail   float64           // a shard is lost
	Repair func(int) float64 // with so many lost shards at sites that stand, one of them is made anew
	Site   float64           // a site is destroyed with all on it
	Return float64           // a destroyed site is back whole
	Bursts []Burst           // many shards of a site at once
	Latent float64           // probability that a shard is found unreadable when it is needed
}

// Repairs returns the Repair of lost shards that each are made anew at rate mu, all at once or
// one after another.
func Repairs(mu float64, mode RepairMode) func(int) float64 {
	return func(lost int) float64 {
		if mode == Single {
			return mu
		}
		return float64(lost) * mu
	}
}

// Chain is the Markov chain of the stripe, from no losses at state 0. Sites of as many shards
// are alike, so that a state is the multiset of their losses, at most most of them. lumped is the chain of
// (sites down, shards lost) where there are too many of those: losses then lie evenly over
// the sites that stand, which is exact without sites destroyed and bursts, and near or on the
// side of loss with them.
func (s Stripe) Chain(r Rates, most int) (chain *Markov, lumped bool, err error) {
	if err := s.validate(r); err != nil {
		return nil, false, err
	}
	if s.product != nil {
		most = MostStates
	}
	if c, ok := s.exactChain(r, most); ok {
		return c, false, nil
	}
	if s.product != nil {
		return nil, false, inputf("a product code of %d sites with %d shards each has more than %d states: too many to solve", len(s.Sites), s.Sites[0], most)
	}
	return s.lumpedChain(r), true, nil
}

func (s Stripe) validate(r Rates) error {
	if len(s.Sites) == 0 {
		return inputf("no sites")
	}
	for _, c := range s.Sites {
		if c < 1 {
			return inputf("a site without shards: want as many shards as sites or more")
		}
	}
	if n := s.N(); n > MaxShards || len(s.Lose) == 0 || len(s.Lose) > n {
		return inputf("%d shards of which %d may be lost: want 1 to %d shards and fewer losses than shards", n, len(s.Lose)-1, MaxShards)
	}
	for name, v := range map[string]float64{"failure rate": r.Fail, "site disaster rate": r.Site, "site return rate": r.Return, "latent probability": r.Latent} {
		if err := notNegative(name, v); err != nil {
			return err
		}
	}
	if r.Latent >= 1 {
		return inputf("latent probability %v: want less than 1", r.Latent)
	}
	if r.Fail == 0 && r.Site == 0 {
		return inputf("no shard and no site ever fails: want a failure rate more than 0")
	}
	for _, b := range r.Bursts {
		if err := b.validate(); err != nil {
			return err
		}
	}
	return nil
}

// States of the exact chain of a stripe over sites: as many as are solved in the time of a
// glance, and as many as are solved at all.
const (
	QuickStates = 100
	MostStates  = 30000
)

// quickSteps is the work that a System's chains are solved in; repairs are slowed to keep it.
const quickSteps float64 = 1e8

const down = 255 // in place of the number of losses of a site

// A builder collects the states of a chain as they are met.
type builder struct {
	index map[string]int
	queue []string
}

func (b *builder) state(key string) int {
	i, ok := b.index[key]
	if !ok {
		i = len(b.queue)
		b.index[key] = i
		b.queue = append(b.queue, key)
	}
	return i
}

// exactChain walks all states from the one without losses; false when there are too many.
func (s Stripe) exactChain(r Rates, most int) (*Markov, bool) {
	sizes := slices.Sorted(slices.Values(s.Sites))
	step, hits := s.moves(sizes, r), s.hitTables(r.Bursts)
	return explore(string(make([]byte, len(sizes))), most, func(key string, add func(to string, rate float64)) {
		lost, before := []byte(key), []byte(key)
		move := func(site int, to byte, rate float64) {
			was := lost[site]
			lost[site] = to
			survive, gone := step(before, lost)
			if survive > 0 {
				add(canonical(sizes, lost), rate*survive)
			}
			add("", rate*gone)
			lost[site] = was
		}
		standing := 0
		for _, l := range lost {
			if l != down {
				standing += int(l)
			}
		}
		for i, l := range lost {
			if l == down {
				move(i, 0, r.Return)
				continue
			}
			if l > 0 {
				move(i, l-1, r.Repair(standing)*float64(l)/float64(standing))
			}
			alive := sizes[i] - int(l)
			if alive > 0 {
				move(i, l+1, float64(alive)*r.Fail)
			}
			for k, b := range r.Bursts {
				for h, p := range hits[sizes[i]][k][alive] {
					if h > 0 {
						move(i, l+byte(h), b.siteRate()*p)
					}
				}
			}
			if r.Site > 0 {
				move(i, down, r.Site)
			}
		}
	})
}

// hitTables are the hits of bursts by the size of a site.
func (s Stripe) hitTables(bursts []Burst) map[int][][][]float64 {
	tables := map[int][][][]float64{}
	for _, c := range s.Sites {
		if _, ok := tables[c]; !ok {
			tables[c] = hitTable(bursts, c)
		}
	}
	return tables
}

// moves returns what becomes of a stripe that goes from losses by site to others: the
// probability to survive, and the rest.
func (s Stripe) moves(sizes []int, r Rates) func(before, after []byte) (survive, gone float64) {
	if s.product != nil {
		return s.product.moves(r.Latent)
	}
	step := s.steps(r)
	return func(before, after []byte) (float64, float64) {
		from, to := lostShards(sizes, before), lostShards(sizes, after)
		if to <= from {
			return 1, 0
		}
		return step(from, to)
	}
}

// explore makes a chain by asking, state by state, where it leads; loss is the empty key.
func explore(start string, most int, leave func(key string, add func(to string, rate float64))) (*Markov, bool) {
	b := builder{index: map[string]int{}}
	b.state(start)
	type flow struct {
		from, to int
		rate     float64
	}
	var flows []flow
	for i := 0; i < len(b.queue); i++ {
		if len(b.queue) > most {
			return nil, false
		}
		leave(b.queue[i], func(to string, rate float64) {
			switch {
			case rate == 0:
			case to == "":
				flows = append(flows, flow{i, -1, rate})
			default:
				flows = append(flows, flow{i, b.state(to), rate})
			}
		})
	}
	c := NewMarkov(len(b.queue))
	for _, f := range flows {
		if f.to < 0 {
			f.to = c.States()
		}
		c.Arc(f.from, f.to, f.rate)
	}
	return c, true
}

// lostShards counts the shards that cannot be read.
func lostShards(sizes []int, lost []byte) int {
	n := 0
	for i, l := range lost {
		if l == down {
			n += sizes[i]
		} else {
			n += int(l)
		}
	}
	return n
}

// canonical is one name for all states that differ only in which of the sites of a size is which.
func canonical(sizes []int, lost []byte) string {
	key := slices.Clone(lost)
	for i := 0; i < len(sizes); {
		j := i
		for j < len(sizes) && sizes[j] == sizes[i] {
			j++
		}
		slices.Sort(key[i:j])
		i = j
	}
	return string(key)
}

// steps returns what becomes of a stripe that goes from a number of losses to a larger one: the
// probability to survive, and the rest, each without subtracting near-equals.
func (s Stripe) steps(r Rates) func(from, to int) (survive, gone float64) {
	n := s.N()
	latent := make([]float64, len(s.Lose))
	for e := 1; e < len(s.Lose); e++ {
		latent[e] = s.latentLoss(n, e, r.Latent)
	}
	return func(from, to int) (float64, float64) {
		worse, before := s.loseAt(to), s.loseAt(from)
		if worse >= 1 {
			return 0, 1
		}
		gone := (worse - before) / (1 - before)
		l := 0.0
		if to < len(latent) {
			l = latent[to]
		}
		return (1 - gone) * (1 - l), gone + (1-gone)*l
	}
}

// latentLoss is the probability that enough of the n−e shards left are unreadable.
func (s Stripe) latentLoss(n, e int, p float64) float64 {
	if p == 0 {
		return 0
	}
	sum, before := 0.0, s.loseAt(e)
	for i := 1; e+i <= n; i++ {
		after := s.loseAt(e + i)
		if after > before {
			sum += binomial(n-e, i, p) * (after - before) / (1 - before)
		}
	}
	return sum
}

// lumpedChain has states (sites down, shards lost at those that stand). Where sites differ in
// their shards, those that are down are the largest, which errs on the side of loss.
func (s Stripe) lumpedChain(r Rates) *Markov {
	n, sites := s.N(), len(s.Sites)
	sizes := slices.Sorted(slices.Values(s.Sites))
	goneWith := func(d int) int {
		sum := 0
		for _, c := range sizes[sites-d:] {
			sum += c
		}
		return sum
	}
	step, hits := s.steps(r), hitTable(r.Bursts, sizes[sites-1])
	c, _ := explore(fmt.Sprintf("%c%c", rune(1), rune(1)), 1<<16, func(key string, add func(string, float64)) {
		var d, j int
		for i, ch := range []rune(key) {
			if i == 0 {
				d = int(ch) - 1
			} else {
				j = int(ch) - 1
			}
		}
		gone := goneWith(d)
		move := func(d2, j2 int, rate float64) {
			survive, lost := 1.0, 0.0
			if after := goneWith(d2) + j2; after > gone+j {
				survive, lost = step(gone+j, after)
			}
			if survive > 0 {
				add(fmt.Sprintf("%c%c", rune(d2+1), rune(j2+1)), rate*survive)
			}
			add("", rate*lost)
		}
		up := sites - d
		size := n - gone
		if d > 0 {
			move(d-1, j, r.Return*float64(d))
		}
		if j > 0 {
			move(d, j-1, r.Repair(j))
		}
		if size > j {
			move(d, j+1, float64(size-j)*r.Fail)
		}
		if up == 0 {
			return
		}
		per := goneWith(d+1) - gone
		for there := 0; there <= min(per, j); there++ {
			p := hypergeometric(size, per, j, there)
			for k, b := range r.Bursts {
				for h, q := range hits[k][per-there] {
					if h > 0 && j+h <= size {
						move(d, j+h, float64(up)*b.siteRate()*p*q)
					}
				}
			}
			if r.Site > 0 {
				move(d+1, j-there, float64(up)*r.Site*p)
			}
		}
	})
	return c
}
