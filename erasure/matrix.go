package erasure

// group is the local group of shard i, or -1 when it is in none.
func (s Scheme) group(i int) int {
	switch {
	case i < s.K:
		return i / (s.K / s.L)
	case i < s.K+s.L:
		return i - s.K
	}
	return -1
}

// generator has a row of K coefficients for each shard.
func (s Scheme) generator() [][]byte {
	rows := make([][]byte, s.N())
	for i := range rows {
		rows[i] = make([]byte, s.K)
		for j := range rows[i] {
			rows[i][j] = s.coefficient(i, j)
		}
	}
	return rows
}

func (s Scheme) coefficient(i, j int) byte {
	p := i - s.K
	switch {
	case p < 0:
		if i == j {
			return 1
		}
		return 0
	case s.Kind == Replica || s.Kind == RS && s.M == 1:
		return 1
	case s.Kind == RS:
		return inverse(byte(i) ^ byte(j))
	case p < s.L:
		if s.group(j) == p {
			return 1
		}
		return 0
	}
	g := p - s.L + 1
	if s.R > 2 {
		return mul(byte(s.K)^byte(j), inverse(byte(s.K+g)^byte(j)))
	}
	return power(s.element(j), g)
}

// element is what the global rows of an lrc with R <= 2 hold powers of.
func (s Scheme) element(j int) byte {
	per := s.K / s.L
	if s.L <= 17 && per <= 15 {
		return exps[j/per+17*(j%per)]
	}
	return exps[j]
}
