package whatif

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/wattle-storage/wattle/erasure"
)

// A Tolerance is what a scheme survives: any Sites whole sites, and while they are down any
// Left further shards. Tolerances order by sites, then by shards.
type Tolerance struct {
	Sites int
	Left  int
}

// ParseTolerance reads SITES or SITES+SHARDS, such as 1 or 1+1.
func ParseTolerance(text string) (Tolerance, error) {
	sites, left, both := strings.Cut(text, "+")
	a, err := strconv.Atoi(sites)
	b := 0
	if err == nil && both {
		b, err = strconv.Atoi(left)
	}
	if err != nil || a < 0 || b < 0 {
		return Tolerance{}, fmt.Errorf("%q: want SITES or SITES+SHARDS, such as 1+1", clip(text))
	}
	return Tolerance{a, b}, nil
}

// String names a tolerance: "1 site + 1 shard".
func (t Tolerance) String() string {
	s := fmt.Sprintf("%d site%s", t.Sites, plural(t.Sites))
	if t.Sites == 0 {
		return fmt.Sprintf("%d shard%s", t.Left, plural(t.Left))
	}
	if t.Left > 0 {
		s += fmt.Sprintf(" + %d shard%s", t.Left, plural(t.Left))
	}
	return s
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}

// Less orders tolerances.
func (t Tolerance) Less(o Tolerance) bool {
	return t.Sites < o.Sites || t.Sites == o.Sites && t.Left < o.Left
}

// ToleranceOf is what a scheme survives when its shards spread evenly over sites. For an lrc
// it counts on no more than Scheme.Tolerates promises for any pattern.
func ToleranceOf(s erasure.Scheme, sites int) Tolerance {
	if s.Kind == erasure.Product {
		_, parity := s.Row()
		return Tolerance{1, parity}
	}
	j, lost := survived(s, sites, s.Tolerates())
	return Tolerance{j, s.Tolerates() - lost}
}

// WritesSurvive is how many sites may be down while writes go on: one shard more than those
// of the sites must be spare, as Wattle's margin asks.
func WritesSurvive(s erasure.Scheme, sites int) int {
	if s.Kind == erasure.Product {
		return 1
	}
	j, _ := survived(s, sites, s.Tolerates()-1)
	return j
}

// survived is how many of the fullest sites may go within a number of shards, and the shards
// on them.
func survived(s erasure.Scheme, sites, shards int) (j, lost int) {
	for j < sites-1 && fullest(s.N(), sites, j+1) <= shards {
		j++
	}
	return j, fullest(s.N(), sites, j)
}

// Twin is the replication with the fewest copies that, with as many sites down as a scheme
// survives, can lose as many shards more.
func Twin(s erasure.Scheme, sites int) erasure.Scheme {
	want := ToleranceOf(s, sites)
	r := erasure.Scheme{Kind: erasure.Replica, K: 1}
	for r.M = want.Sites + want.Left; r.N() < erasure.MaxShards; r.M++ {
		if r.M-fullest(r.N(), sites, want.Sites) >= want.Left {
			break
		}
	}
	return r
}

// fullest is the number of n shards on the j fullest sites.
func fullest(n, sites, j int) int { return j*(n/sites) + min(j, n%sites) }
