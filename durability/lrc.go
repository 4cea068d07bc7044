package durability

import (
	"slices"
)

// An LRC is a locally repairable code: k data shards in l groups, each with a parity of its
// own, and r global parities. It is taken to decode whatever any code of that shape can: once
// each group's parity has absorbed one loss of its group, the losses left may be r.
type LRC struct {
	K, L, R int
}

// Validate tells why a code cannot be, if so.
func (c LRC) Validate() error {
	if c.K < 1 || c.L < 0 || c.R < 0 || c.L > c.K || c.K+c.L+c.R > MaxShards {
		return inputf("lrc of %d data, %d local and %d global shards: want 1 data shard or more, no more groups than data shards, and at most %d shards", c.K, c.L, c.R, MaxShards)
	}
	return nil
}

// N is the number of shards.
func (c LRC) N() int { return c.K + c.L + c.R }

// groups are the sizes of the local groups with their parities, and of the shards that have
// none (globals, and all data when there are no groups).
func (c LRC) groups() (sizes []int, rest int) {
	if c.L == 0 {
		return nil, c.K + c.R
	}
	for _, data := range Even(c.K, c.L) {
		sizes = append(sizes, data+1)
	}
	return sizes, c.R
}

// Patterns returns how many patterns of e lost shards cannot be decoded, and how many there are.
func (c LRC) Patterns(e int) (lost, all float64) {
	return c.undecodable(c.ways(), e), choose(c.N(), e)
}

// ways[i][x] is the number of patterns of i losses in the local groups of which x are not absorbed.
func (c LRC) ways() [][]float64 {
	sizes, _ := c.groups()
	ways := [][]float64{{1}}
	for _, size := range sizes {
		next := make([][]float64, len(ways)+size)
		for i := range next {
			next[i] = make([]float64, i+1)
		}
		for add := range size + 1 {
			c := choose(size, add)
			for i, row := range ways {
				for x, w := range row {
					next[i+add][x+max(add-1, 0)] += w * c
				}
			}
		}
		ways = next
	}
	return ways
}

func (c LRC) undecodable(ways [][]float64, e int) float64 {
	_, rest := c.groups()
	lost := 0.0
	for i, row := range ways[:min(len(ways), e+1)] {
		for x, w := range row {
			if x+(e-i) > c.R {
				lost += w * choose(rest, e-i)
			}
		}
	}
	return lost
}

// Lose is the Lose of a Stripe: by number of losses, the share of patterns that cannot be decoded.
func (c LRC) Lose() []float64 {
	var list []float64
	ways := c.ways()
	for e := 0; e <= c.L+c.R; e++ {
		list = append(list, c.undecodable(ways, e)/choose(c.N(), e))
	}
	return list
}

// Chain is the exact chain of a stripe by class of pattern: the losses of each group, in no
// order, and those of the globals. All shards fail at rate fail; with j lost, repair(j) is the
// rate at which one of them, whichever it is, is made anew.
func (c LRC) Chain(fail float64, repair func(int) float64) (*Markov, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if err := positive("failure rate", fail); err != nil {
		return nil, err
	}
	sizes, rest := c.groups()
	sizes = append(slices.Sorted(slices.Values(sizes)), rest)
	last := len(sizes) - 1
	chain, ok := explore(string(make([]byte, len(sizes))), MostStates, func(key string, add func(string, float64)) {
		lost := []byte(key)
		total := 0
		for _, l := range lost {
			total += int(l)
		}
		move := func(i int, by int, rate float64) {
			was := lost[i]
			lost[i] = byte(int(was) + by)
			if c.decodes(lost[:last], lost[last]) {
				add(canonical(sizes[:last], lost[:last])+string(lost[last:]), rate)
			} else {
				add("", rate)
			}
			lost[i] = was
		}
		for i, l := range lost {
			if int(l) < sizes[i] {
				move(i, 1, float64(sizes[i]-int(l))*fail)
			}
			if l > 0 {
				move(i, -1, repair(total)*float64(l)/float64(total))
			}
		}
	})
	if !ok {
		return nil, inputf("lrc of %d+%d+%d has too many classes of losses to solve", c.K, c.L, c.R)
	}
	return chain, nil
}

func (c LRC) decodes(groups []byte, rest byte) bool {
	left := int(rest)
	for _, l := range groups {
		left += max(int(l)-1, 0)
	}
	return left <= c.R
}
