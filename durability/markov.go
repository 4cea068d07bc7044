package durability

import (
	"fmt"
	"math"
	"slices"
)

// A Markov is a continuous-time Markov chain whose states lead to one another and to loss,
// which nothing leaves. The zero Markov has no states.
type Markov struct {
	arcs [][]arc   // by state
	loss []float64 // rate into loss, by state
}

type arc struct {
	to   int
	rate float64
}

// NewMarkov returns a chain of n states without any arcs.
func NewMarkov(n int) *Markov { return &Markov{make([][]arc, n), make([]float64, n)} }

// States is the number of states, without loss.
func (c *Markov) States() int { return len(c.loss) }

// Arc adds a transition at a rate; the last of the states plus one, States(), is loss.
// A rate of 0 and a transition to the same state add nothing.
func (c *Markov) Arc(from, to int, rate float64) {
	switch {
	case rate == 0 || from == to:
	case to == len(c.loss):
		c.loss[from] += rate
	default:
		for i := range c.arcs[from] {
			if c.arcs[from][i].to == to {
				c.arcs[from][i].rate += rate
				return
			}
		}
		c.arcs[from] = append(c.arcs[from], arc{to, rate})
	}
}

func (c *Markov) exit(state int) float64 {
	sum := c.loss[state]
	for _, a := range c.arcs[state] {
		sum += a.rate
	}
	return sum
}

func (c *Markov) valid() error {
	for s := range c.loss {
		if e := c.exit(s); math.IsNaN(e) || math.IsInf(e, 0) || e < 0 {
			return inputf("the rates out of a state add up to %v", e)
		}
	}
	return nil
}

// reachable tells the states that can be reached from one, and whether loss can.
func (c *Markov) reachable(start int) (states []bool, loss bool) {
	states = make([]bool, len(c.loss))
	states[start] = true
	for queue := []int{start}; len(queue) > 0; {
		s := queue[0]
		queue = queue[1:]
		loss = loss || c.loss[s] > 0
		for _, a := range c.arcs[s] {
			if !states[a.to] {
				states[a.to] = true
				queue = append(queue, a.to)
			}
		}
	}
	return states, loss
}

// PDL is the probability of loss within t, from a state.
func (c *Markov) PDL(start int, t float64) (float64, error) {
	return c.within(start, t, maxSteps)
}

// within is PDL in so much work.
func (c *Markov) within(start int, t, work float64) (float64, error) {
	p, err := c.accumulated(start, t, c.loss, work)
	return math.Min(p, 1), err
}

// maxSteps bounds the work of one answer, in multiplications.
var maxSteps = 2e9

// errTooMuch is the error of a chain that would take more.
var errTooMuch = fmt.Errorf("%w: too much to solve", ErrInput)

// Accumulated is the integral over t of the reward rates of the states visited, from a state
// on; loss earns nothing. With the rates into loss as rewards it is the probability of loss.
func (c *Markov) Accumulated(start int, t float64, rewards []float64) (float64, error) {
	return c.accumulated(start, t, rewards, maxSteps)
}

func (c *Markov) accumulated(start int, t float64, rewards []float64, work float64) (float64, error) {
	if err := c.valid(); err != nil {
		return 0, err
	}
	if err := notNegative("time", t); err != nil {
		return 0, err
	}
	seen, _ := c.reachable(start)
	fastest, arcs, worth := 0.0, 0, false
	for s := range seen {
		if seen[s] {
			fastest, arcs, worth = math.Max(fastest, c.exit(s)), arcs+len(c.arcs[s])+2, worth || rewards[s] > 0
		}
	}
	if !worth || t == 0 {
		return 0, nil
	}
	if fastest == 0 {
		return rewards[start] * t, nil
	}
	n, steps := float64(len(c.loss)), fastest*t
	byStep, byDoubling := (steps+9*math.Sqrt(steps)+50)*float64(arcs), n*n*n*(math.Log2(steps+1)+2)+n*float64(arcs)*60
	switch {
	case math.Min(byStep, byDoubling) > work:
		return 0, fmt.Errorf("%w: %d states with rates that differ by %.1g over the time asked; use slower repairs or fewer shards", errTooMuch, len(c.loss), steps)
	case byStep <= byDoubling:
		return c.uniformised(start, t, fastest, rewards), nil
	default:
		return c.doubled(start, t, fastest, rewards), nil
	}
}

// A jump is a chain looked at by the moments of a Poisson process of some rate: by state, where
// a moment leads with which probability, what it loses and what it earns.
type jump struct {
	from               []int // arcs of a state: from[s] to from[s+1]
	to                 []int
	p                  []float64
	stay, lose, earned []float64
}

func (c *Markov) jumps(rate float64, rewards []float64) *jump {
	j := &jump{from: make([]int, 1, len(c.loss)+1)}
	for s, arcs := range c.arcs {
		for _, a := range arcs {
			j.to, j.p = append(j.to, a.to), append(j.p, a.rate/rate)
		}
		j.from = append(j.from, len(j.to))
		j.stay = append(j.stay, math.Max(0, 1-c.exit(s)/rate))
		j.lose = append(j.lose, c.loss[s]/rate)
		j.earned = append(j.earned, rewards[s]/rate)
	}
	return j
}

// step moves a distribution on by one moment; what is lost leaves it. It returns what that
// moment earned and lost.
func (j *jump) step(x, next []float64) (earned, lost float64) {
	for s, v := range x {
		earned += v * j.earned[s]
		lost += v * j.lose[s]
		next[s] = v * j.stay[s]
	}
	for s, v := range x {
		if v == 0 {
			continue
		}
		from, to := j.from[s], j.from[s+1]
		targets := j.to[from:to]
		for i, p := range j.p[from:to] {
			next[targets[i]] += v * p
		}
	}
	return earned, lost
}

// uniformised looks at the chain at the moments of a Poisson process of the rate of its
// fastest state: the answer is the sum over the number of moments of its probability times
// what was earned until then.
func (c *Markov) uniformised(start int, t, rate float64, rewards []float64) float64 {
	w, j := newPoisson(rate*t), c.jumps(rate, rewards)
	x, next := make([]float64, len(c.loss)), make([]float64, len(c.loss))
	x[start] = 1
	earned, lost, sum, quiet := 0.0, 0.0, 0.0, 0
	atLeast := w.first + min(len(c.loss), 300) + 10
	for k := 0; ; k++ {
		p := w.at(k)
		term := p * earned
		sum += term
		if quiet++; term > 1e-18*sum {
			quiet = 0
		}
		if k > atLeast && quiet > 8 && float64(k) > rate*t || k > w.mode && p == 0 {
			break
		}
		e, l := j.step(x, next)
		earned, lost = earned+e, lost+l
		x, next = next, x
		if k%64 == 63 {
			renormalise(x, lost)
		}
	}
	return sum / w.total
}

// renormalise takes out the drift of rounding: a distribution and what is lost are 1 together.
func renormalise(x []float64, lost float64) {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	if sum == 0 || lost >= 1 {
		return
	}
	scale := (1 - lost) / sum
	if math.Abs(scale-1) > 1e-6 { // lost is most of it, and 1−lost says nothing
		return
	}
	for i := range x {
		x[i] *= scale
	}
}

// A poisson holds weights in proportion to the probabilities of a Poisson distribution, by
// recurrence from the mode, so that no logarithm of a large factorial costs digits.
type poisson struct {
	mean  float64
	mode  int
	first int       // weights before it are negligible
	left  []float64 // weights from first to mode
	right float64   // weight of the last k asked for beyond the mode
	last  int
	total float64
}

func newPoisson(mean float64) *poisson {
	p := &poisson{mean: mean, mode: int(mean)}
	for k, w := p.mode, 1.0; ; k-- {
		p.left = append(p.left, w)
		p.total += w
		if k == 0 || w < 1e-25 {
			p.first = k
			break
		}
		w *= float64(k) / mean
	}
	slices.Reverse(p.left)
	p.right, p.last = 1, p.mode
	for k, w := p.mode+1, 1.0; ; k++ {
		if w *= mean / float64(k); w < 1e-25 {
			break
		}
		p.total += w
	}
	return p
}

// at returns the weight of k; beyond the mode k must rise by one from call to call.
func (p *poisson) at(k int) float64 {
	switch {
	case k < p.first:
		return 0
	case k <= p.mode:
		return p.left[k-p.first]
	}
	for p.last < k {
		p.last++
		p.right *= p.mean / float64(p.last)
	}
	return p.right
}

// doubled takes the transition matrix of a short time, by its series, and squares it until
// the time is reached. Everything is positive; each row with its loss is brought back to a
// sum of 1, so that the errors of rounding add up and are not doubled.
func (c *Markov) doubled(start int, t, rate float64, rewards []float64) float64 {
	n, doublings := len(c.loss), 0
	h := t
	for ; rate*h > 0.5; h /= 2 {
		doublings++
	}
	x, lost, earned := c.shortTime(h, rate, rewards)
	y := make([]float64, n*n)
	for range doublings {
		multiplySquare(y, x, n)
		lost, earned = apply(x, lost, n), apply(x, earned, n)
		x, y = y, x
		for i := range n {
			sum := lost[i]
			for _, v := range x[i*n : i*n+n] {
				sum += v
			}
			for j := range n {
				x[i*n+j] /= sum
			}
			lost[i] /= sum
		}
	}
	return earned[start]
}

// negligible is the part of a sum that a term may be to end it.
const negligible = 1e-17

// shortTime returns the transition matrix of a time h, and by state what is lost and earned in it.
func (c *Markov) shortTime(h, rate float64, rewards []float64) (x, lost, earned []float64) {
	n := len(c.loss)
	x, lost, earned = make([]float64, n*n), make([]float64, n), make([]float64, n)
	row, next, j := make([]float64, n), make([]float64, n), c.jumps(rate, rewards)
	for i := range n {
		clear(row)
		row[i] = 1
		won, gone, total := 0.0, 0.0, 0.0
		for k, w, more := 0, 1.0, true; more && w > 0; k++ {
			more = w*gone > negligible*lost[i] || w*won > negligible*earned[i]
			for k, v := range row {
				more = more || w*v > negligible*x[i*n+k]
				x[i*n+k] += w * v
			}
			total += w
			lost[i] += w * gone
			earned[i] += w * won
			e, l := j.step(row, next)
			won, gone = won+e, gone+l
			row, next = next, row
			w *= rate * h / float64(k+1)
		}
		for k := range n {
			x[i*n+k] /= total
		}
		lost[i] /= total
		earned[i] /= total
	}
	return x, lost, earned
}

// multiplySquare sets y to x·x.
func multiplySquare(y, x []float64, n int) {
	clear(y)
	for i := range n {
		out := y[i*n : i*n+n]
		for k, v := range x[i*n : i*n+n] {
			if v == 0 {
				continue
			}
			for j, u := range x[k*n : k*n+n] {
				out[j] += v * u
			}
		}
	}
}

// apply returns v + x·v.
func apply(x, v []float64, n int) []float64 {
	out := make([]float64, n)
	for i := range n {
		sum := v[i]
		for j, u := range x[i*n : i*n+n] {
			sum += u * v[j]
		}
		out[i] = sum
	}
	return out
}

// maxEliminated bounds the number of states that elimination is asked to take.
var maxEliminated = 800

// MTTDL is the mean time to loss from a state, by elimination without subtraction; it is an
// error when loss cannot be reached.
func (c *Markov) MTTDL(start int) (float64, error) {
	if err := c.valid(); err != nil {
		return 0, err
	}
	seen, loss := c.reachable(start)
	if !loss {
		return 0, inputf("nothing is ever lost: no mean time to it")
	}
	n := len(c.loss)
	if n > maxEliminated {
		return 0, inputf("%d states are more than %d: no mean time to loss", n, maxEliminated)
	}
	rates, gone, time := make([]float64, n*n), slices.Clone(c.loss), make([]float64, n)
	for s, arcs := range c.arcs {
		time[s] = 1
		for _, a := range arcs {
			rates[s*n+a.to] += a.rate
		}
	}
	for s := n - 1; s >= 0; s-- {
		if s != start && seen[s] {
			if err := eliminate(rates, gone, time, n, s); err != nil {
				return 0, err
			}
		}
	}
	return time[start] / gone[start], nil
}

// eliminate sends what flows into a state on to where the state leads.
func eliminate(rates, gone, time []float64, n, s int) error {
	row := rates[s*n : s*n+n]
	exit := gone[s]
	for j, r := range row {
		if j != s {
			exit += r
		}
	}
	if exit == 0 {
		return inputf("a state is never left: no mean time to loss")
	}
	for i := range n {
		in := rates[i*n+s]
		if i == s || in == 0 {
			continue
		}
		part := in / exit
		for j, r := range row {
			if j != i && j != s {
				rates[i*n+j] += part * r
			}
		}
		gone[i] += part * gone[s]
		time[i] += part * time[s]
		rates[i*n+s] = 0
	}
	clear(row)
	return nil
}
