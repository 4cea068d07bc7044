package whatif

// A Brief is what the quick way answers of an option, without the provenance of an Option.
type Brief struct {
	Index        int
	WPerStoredTB Estimate
	Ratio        Estimate
	Drives       float64
	Tolerance    Tolerance
}

// EachBrief answers a scenario option by option, in the quick way.
func EachBrief(s Scenario, f func(Brief)) error {
	a, err := newAnswer(s)
	if err != nil {
		return err
	}
	return a.briefs(f)
}

func (a *answer) briefs(f func(Brief)) error {
	q := quick{a: a}
	for i := range a.size() {
		b, err := q.brief(i)
		if err != nil {
			return err
		}
		f(b)
	}
	return nil
}

// A quick evaluates plans in scratch space of its own.
type quick struct {
	a         *answer
	o, p      outcome
	low, high []float64 // of the baseline, by input
	base      float64
}

// brief evaluates choice i, and its ratio to the baseline, at both ends of every input.
func (q *quick) brief(i int) (Brief, error) {
	a := q.a
	p, err := a.planOf(a.unnamed(i))
	if err != nil {
		return Brief{}, err
	}
	v := a.in.typical
	p.eval(v, &q.o)
	q.baseline()
	w := deviation{typical: perStored(p, &q.o)}
	r := deviation{typical: w.typical / q.base}
	for _, in := range p.wattUses {
		e := &a.in.list[in]
		v[in] = e.Low
		p.eval(v, &q.p)
		low := perStored(p, &q.p)
		v[in] = e.High
		p.eval(v, &q.p)
		high := perStored(p, &q.p)
		v[in] = e.Typical
		w.add(low, high)
		r.add(low/q.low[in], high/q.high[in])
	}
	for _, in := range a.base.p.wattUses {
		if !contains(p.wattUses, in) {
			r.add(w.typical/q.low[in], w.typical/q.high[in])
		}
	}
	return Brief{i, w.estimate("W/TB"), r.estimate(""), q.o.q[qDrives], p.tolerance}, nil
}

// baseline keeps the baseline's W per stored TB at both ends of every input.
func (q *quick) baseline() {
	b := q.a.base
	q.base = perStored(b.p, &b.typical)
	for in := len(q.low); in < len(q.a.in.list); in++ {
		low, high := b.ends(in)
		q.low, q.high = append(q.low, perStored(b.p, low)), append(q.high, perStored(b.p, high))
	}
}

// contains tells whether an input is in a list in order, which is short.
func contains(list []int, in int) bool {
	for _, i := range list {
		if i >= in {
			return i == in
		}
	}
	return false
}
