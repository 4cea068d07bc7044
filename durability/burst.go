package durability

import "math"

// A Burst is what takes many hosts of a failure domain at once: a power cut after which some
// never start again, a bad batch, a rack that burns.
type Burst struct {
	Name   string  `json:"name"`
	Rate   float64 `json:"per_hour_and_domain"`
	Share  float64 `json:"share"`            // of the hosts of the domain that lose their disks
	Hosts  int     `json:"hosts"`            // hosts at a site; 0 for so many that each shard is hit by itself
	Domain Domain  `json:"domain,omitempty"` // what it strikes; default Site
	Count  int     `json:"domains_per_site"` // domains at a site; default 1
}

// A Domain is what a burst strikes: a site whole or a part of it. Racks, feeds and hosts have
// their shares of a site's shards, as even as can be.
type Domain string

// The domains.
const (
	Site Domain = "site"
	Feed Domain = "feed" // what hangs on one power feed
	Rack Domain = "rack"
	Host Domain = "host"
)

func (b Burst) validate() error {
	if err := notNegative("rate of burst "+b.Name, b.Rate); err != nil {
		return err
	}
	if math.IsNaN(b.Share) || b.Share < 0 || b.Share > 1 {
		return inputf("share of burst %s %v: want 0 to 1", b.Name, b.Share)
	}
	if b.Hosts < 0 || b.Count < 0 {
		return inputf("hosts of burst %s %d, domains %d: want 0 or more", b.Name, b.Hosts, b.Count)
	}
	return nil
}

// count is how many domains a site has.
func (b Burst) count() int { return max(b.Count, 1) }

// siteRate is how often it strikes somewhere at a site, an hour.
func (b Burst) siteRate() float64 { return b.Rate * float64(b.count()) }

// inside is the burst as the domain that it strikes sees it.
func (b Burst) inside() Burst {
	if b.Hosts > 0 {
		b.Hosts = max(1, b.Hosts/b.count())
	}
	b.Count = 1
	return b
}

// hits is the distribution of how many of a site's alive shards, of size, are lost when it
// strikes one of the site's domains. Sound shards are taken to lie together, in as few domains
// as hold them: so they do when domains were lost whole, and else it is near (TestRacks).
func (b Burst) hits(alive, size int) []float64 {
	domains := b.count()
	if domains == 1 {
		return b.hitsIn(alive)
	}
	p, in, left := make([]float64, alive+1), b.inside(), alive
	for _, c := range Even(size, min(domains, max(size, 1))) {
		there := min(c, left)
		left -= there
		for h, q := range in.hitsIn(there) {
			if h > 0 {
				p[h] += q / float64(domains)
			}
		}
	}
	hit := 0.0
	for _, q := range p {
		hit += q
	}
	p[0] = math.Max(0, 1-hit)
	return p
}

// hitsIn is the distribution of how many of alive shards in the domain are lost. Where there are fewer
// hosts than shards they cannot lie apart, and each disk is hit by itself.
func (b Burst) hitsIn(alive int) []float64 {
	p := make([]float64, alive+1)
	if b.Hosts < max(alive, 1) {
		for h := range p {
			p[h] = binomial(alive, h, b.Share)
		}
		return p
	}
	whole, part := math.Modf(b.Share * float64(b.Hosts)) // that many hosts, and one more in part of the bursts
	for h := range p {
		p[h] = (1 - part) * hypergeometric(b.Hosts, alive, int(whole), h)
		if part > 0 {
			p[h] += part * hypergeometric(b.Hosts, alive, int(whole)+1, h)
		}
	}
	return p
}

// hitTable is what each burst does to a site of size by its sound shards.
func hitTable(bursts []Burst, size int) [][][]float64 {
	table := make([][][]float64, len(bursts))
	for i, b := range bursts {
		for alive := range size + 1 {
			table[i] = append(table[i], b.hits(alive, size))
		}
	}
	return table
}

// binomial is the probability of i successes in n.
func binomial(n, i int, p float64) float64 {
	if i < 0 || i > n {
		return 0
	}
	return choose(n, i) * math.Pow(p, float64(i)) * math.Pow(1-p, float64(n-i))
}

// binomialTail is the probability of at least i successes in n, added up from its terms.
func binomialTail(n, i int, p float64) float64 {
	sum := 0.0
	for j := n; j >= max(i, 0); j-- {
		sum += binomial(n, j, p)
	}
	return math.Min(sum, 1)
}

// choose is n over i, exact while it is below 2^53.
func choose(n, i int) float64 {
	if i < 0 || i > n {
		return 0
	}
	c := 1.0
	for j := 1; j <= min(i, n-i); j++ {
		c = c * float64(n-j+1) / float64(j)
	}
	return c
}

// hypergeometric is the probability that i of drawn ones are marked, of total with marked ones.
func hypergeometric(total, marked, drawn, i int) float64 {
	if i < 0 || i > drawn || i > marked || drawn-i > total-marked {
		return 0
	}
	if drawn > marked { // it is the same to mark those drawn, and less work
		drawn, marked = marked, drawn
	}
	if total < 60 {
		return choose(marked, i) * choose(total-marked, drawn-i) / choose(total, drawn)
	}
	// C(drawn, i) · marked!/(marked−i)! · (total−marked)!/… / (total!/(total−drawn)!), factor by factor
	p := choose(drawn, i)
	for j := range drawn {
		num := float64(marked - j)
		if j >= i {
			num = float64(total - marked - (j - i))
		}
		p *= num / float64(total-j)
	}
	return p
}

// A Copyset is what a one-shot loss of many nodes does to stripes.
type Copyset struct {
	Nodes, Lost int     // nodes, and how many of them are lost at once
	Width       int     // nodes of a stripe
	Tolerance   int     // losses that a stripe stands
	Sets        float64 // distinct sets of nodes that hold stripes
}

// Loss returns the probability that a given set loses data, and that any does, for sets that
// were drawn independently.
func (c Copyset) Loss() (set, any float64, err error) {
	switch {
	case c.Nodes < 1 || c.Width < 1 || c.Width > c.Nodes || c.Width > MaxShards:
		return 0, 0, inputf("stripes over %d of %d nodes: want 1 to %d, and no more than there are", c.Width, c.Nodes, MaxShards)
	case c.Lost < 0 || c.Lost > c.Nodes:
		return 0, 0, inputf("%d of %d nodes lost: want 0 to %d", c.Lost, c.Nodes, c.Nodes)
	case c.Tolerance < 0 || c.Tolerance >= c.Width:
		return 0, 0, inputf("tolerance %d of %d shards: want 0 to %d", c.Tolerance, c.Width, c.Width-1)
	}
	if err := positive("number of sets", c.Sets); err != nil {
		return 0, 0, err
	}
	for i := c.Width; i > c.Tolerance; i-- {
		set += hypergeometric(c.Nodes, c.Lost, c.Width, i)
	}
	return set, AnyOf(set, c.Sets), nil
}
