package energy

import (
	"errors"
	"fmt"
	"math/big"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An Amount is an exact amount of energy: a whole number of nanojoules below 2^128. Parts of
// a ledger are Amounts, so that they sum to the whole to the last nanojoule, however many
// drives and years there are.
type Amount struct{ hi, lo uint64 }

// Nano returns n nanojoules.
func Nano(n uint64) Amount { return Amount{lo: n} }

// Plus returns a + b.
func (a Amount) Plus(b Amount) Amount {
	lo, carry := bits.Add64(a.lo, b.lo, 0)
	hi, _ := bits.Add64(a.hi, b.hi, carry)
	return Amount{hi, lo}
}

// Minus returns a − b, which must not be negative.
func (a Amount) Minus(b Amount) Amount {
	lo, borrow := bits.Sub64(a.lo, b.lo, 0)
	hi, _ := bits.Sub64(a.hi, b.hi, borrow)
	return Amount{hi, lo}
}

// IsZero tells whether a is nothing.
func (a Amount) IsZero() bool { return a == Amount{} }

// Joules is a as a rounded figure.
func (a Amount) Joules() Joules { return Joules((float64(a.hi)*(1<<64) + float64(a.lo)) / 1e9) }

// times returns a·n.
func (a Amount) times(n uint64) Amount {
	hi, lo := bits.Mul64(a.lo, n)
	return Amount{hi + a.hi*n, lo}
}

// over returns a/n and the rest.
func (a Amount) over(n uint64) (Amount, uint64) {
	hi, rest := a.hi/n, a.hi%n
	lo, rest := bits.Div64(rest, a.lo, n)
	return Amount{hi, lo}, rest
}

// Exactly returns the energy of drawing w for d, to the nanojoule, w being rounded to a
// microwatt. Less than nothing is nothing.
func (w Watts) Exactly(d time.Duration) Amount {
	if w <= 0 || d <= 0 {
		return Amount{}
	}
	a, _ := Nano(uint64(float64(w)*1e6 + 0.5)).times(uint64(d)).over(1e6) // µW·ns are 1e-15 J
	return a
}

// Split divides a among weights by the largest remainder: each part is its exact share
// rounded down, and those with the largest rests, the first of equal ones, get one nanojoule
// more until all is given. Without any weight all are equal.
func (a Amount) Split(weights []uint64) []Amount {
	if len(weights) == 0 {
		return nil
	}
	weights, sum := comparable64(weights)
	parts := make([]Amount, len(weights))
	rests := make([]uint64, len(weights))
	whole, rest := a.over(sum)
	left := a
	for i, w := range weights {
		hi, lo := bits.Mul64(rest, w)
		extra, r := Amount{hi, lo}.over(sum)
		parts[i], rests[i] = whole.times(w).Plus(extra), r
		left = left.Minus(parts[i])
	}
	order := make([]int, len(weights))
	for i := range order {
		order[i] = i
	}
	if left.lo > 0 { // fewer than there are parts
		slices.SortStableFunc(order, func(i, j int) int {
			switch {
			case rests[i] > rests[j]:
				return -1
			case rests[i] < rests[j]:
				return 1
			}
			return 0
		})
		for _, i := range order[:left.lo] {
			parts[i] = parts[i].Plus(Nano(1))
		}
	}
	return parts
}

// comparable64 returns weights whose sum fits 64 bits, and that sum. All zero become all one.
func comparable64(weights []uint64) ([]uint64, uint64) {
	var sum Amount
	for _, w := range weights {
		sum = sum.Plus(Nano(w))
	}
	if !sum.IsZero() && sum.hi == 0 {
		return weights, sum.lo
	}
	shift := bits.Len64(sum.hi)
	scaled, total := make([]uint64, len(weights)), uint64(0)
	for i, w := range weights {
		scaled[i] = w >> shift
		if sum.IsZero() {
			scaled[i] = 1
		}
		total += scaled[i]
	}
	return scaled, total
}

// weight is a as a weight beside others whose largest is top.
func (a Amount) weight(top Amount) uint64 {
	if n := uint(bits.Len64(top.hi)); n > 0 {
		return a.hi<<(64-n) | a.lo>>n
	}
	return a.lo
}

// Less tells whether a is less than b.
func (a Amount) Less(b Amount) bool { return a.hi < b.hi || a.hi == b.hi && a.lo < b.lo }

// String is a in joules, exactly.
func (a Amount) String() string {
	if a.hi == 0 {
		return string(a.append(nil))
	}
	n := new(big.Int).SetUint64(a.hi)
	n.Lsh(n, 64).Or(n, new(big.Int).SetUint64(a.lo))
	s := n.String()
	if len(s) < 10 {
		s = strings.Repeat("0", 10-len(s)) + s
	}
	s = s[:len(s)-9] + "." + s[len(s)-9:]
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// Round rounds parts to multiples of unit nanojoules so that they sum to their rounded sum,
// for print: by the largest remainder.
func Round(parts []Amount, unit uint64) (rounded []Amount, sum Amount) {
	var down Amount
	rests := make([]uint64, len(parts))
	rounded = make([]Amount, len(parts))
	for i, p := range parts {
		n, rest := p.over(unit)
		rounded[i], rests[i] = n.times(unit), rest
		sum, down = sum.Plus(p), down.Plus(rounded[i])
	}
	n, rest := sum.over(unit)
	if rest*2 >= unit {
		n = n.Plus(Nano(1))
	}
	sum = n.times(unit)
	for left := sum.Minus(down); !left.IsZero(); left = left.Minus(Nano(unit)) {
		i := slices.Index(rests, slices.Max(rests))
		rounded[i], rests[i] = rounded[i].Plus(Nano(unit)), 0
	}
	return rounded, sum
}

// MarshalJSON writes joules as a number with up to nine decimals.
func (a Amount) MarshalJSON() ([]byte, error) { return a.append(nil), nil }

var errAmount = errors.New("want joules as a decimal number, 0 or more, with at most nine decimals")

// UnmarshalJSON reads what MarshalJSON writes.
func (a *Amount) UnmarshalJSON(p []byte) error {
	whole, part, _ := strings.Cut(string(p), ".")
	if whole == "" || len(whole) > 30 || len(part) > 9 || strings.Trim(whole+part, "0123456789") != "" {
		return fmt.Errorf("energy %.40q: %w", p, errAmount)
	}
	if len(whole) <= 10 {
		n, err := strconv.ParseUint(whole+part+"000000000"[len(part):], 10, 64)
		*a = Nano(n)
		return err
	}
	n, ok := new(big.Int).SetString(whole+part+strings.Repeat("0", 9-len(part)), 10)
	if !ok || n.BitLen() > 128 {
		return fmt.Errorf("energy %.40q: %w", p, errAmount)
	}
	lo := new(big.Int).And(n, new(big.Int).SetUint64(1<<64-1))
	*a = Amount{n.Rsh(n, 64).Uint64(), lo.Uint64()}
	return nil
}
