package durability

import (
	"math"
)

// What follows are the models of public calculators, as their authors published them, faults
// of principle included (each says which). They serve `durability check` alone, to lay
// Wattle's figures beside theirs; nothing else in Wattle asks them.

// FixedWindow is Backblaze's model (github.com/Backblaze/erasure-coding-durability): a year is
// cut in windows of so many days, and data is lost when more than m of n shards
// fail within one window. Losses that straddle two windows are not seen.
func FixedWindow(n, m int, afr, days float64) float64 {
	windows := math.Max(1, 365/days)
	return AnyOf(binomialTail(n, m+1, math.Min(1, afr/windows)), windows)
}

// SlidingWindow counts overlapping repairs of fixed length instead, to first order:
// n·C(n−1,m)·afr^(m+1)·(days/365)^m a year.
func SlidingWindow(n, m int, afr, days float64) float64 {
	return -math.Expm1(-float64(n) * choose(n-1, m) * math.Pow(afr, float64(m+1)) * math.Pow(days/365, float64(m)))
}

// PoissonTail is Storj's model: of n pieces each lost with probability p in a period, fewer
// than k are left, with the number of losses taken as Poisson of mean n·p.
func PoissonTail(n, k int, p float64) float64 {
	mean := float64(n) * p
	term := math.Exp(-mean)
	for i := 1; i <= n-k+1; i++ {
		term *= mean / float64(i)
	}
	sum := 0.0
	for i := n - k + 1; term > 1e-18*sum || float64(i) < mean; i++ {
		sum += term
		term *= mean / float64(i+1)
		if term == 0 {
			break
		}
	}
	return math.Min(sum, 1)
}

// RAID is the closed form of Patterson, Gibson and Katz (1988) and its kin:
// MTTF^power / (groups·MTTR^(power−1)), in hours.
func RAID(groups, mttf, mttr, power float64) float64 {
	return math.Pow(mttf, power) / (groups * math.Pow(mttr, power-1))
}

// RAIDYearHours is the year of that literature.
const RAIDYearHours = 8760.0

// MTTDLApprox is the first-order MTTDL of an MDS stripe with parallel repair:
// mu^m / (k·C(n,k)·lam^(m+1)) with m = n−k.
func MTTDLApprox(n, k int, lam, mu float64) float64 {
	return math.Pow(mu/lam, float64(n-k)) / (float64(k) * choose(n, k) * lam)
}

// PoissonBinomialMTTDL is the model of Tiger (github.com/Thesys-lab/heterogeneous-mttdl-estimation)
// for shards of different failure rates: one over the rate at which exactly k−1 of n shards are
// found up, each up with probability mu/(mu+lam).
func PoissonBinomialMTTDL(k int, lams []float64, mu float64) float64 {
	up := make([]float64, len(lams)+1) // up[i]: exactly i shards up
	up[0] = 1
	for s, lam := range lams {
		p, q := mu/(mu+lam), lam/(mu+lam)
		for i := s + 1; i >= 0; i-- {
			up[i] *= q
			if i > 0 {
				up[i] += up[i-1] * p
			}
		}
	}
	return 1 / (mu * float64(len(lams)-k+1) * up[k-1])
}

// A Ceph holds the inputs of the Ceph reliability model (github.com/ceph/ceph-tools,
// models/reliability), whose defaults DefaultCeph has.
type Ceph struct {
	FIT         float64 // drive failures in 1e9 hours
	SizeTB      float64
	Fill        float64
	PGs         float64 // of a drive
	SpeedMBs    float64 // of recovery, for each placement group
	MarkOutH    float64 // hours until a drive is given up
	SiteRate    float64 // disasters a year
	SiteReturnH float64
	WANMBs      float64
	Period      float64 // hours
}

// DefaultCeph has the defaults of the tool.
func DefaultCeph() Ceph {
	return Ceph{FIT: 826, SizeTB: 2, Fill: 0.75, PGs: 200, SpeedMBs: 50, MarkOutH: 1.0 / 6, SiteRate: 0.001, SiteReturnH: 720, WANMBs: 10, Period: YearHours}
}

func fails(fit, hours float64) float64 { return -math.Expm1(-fit * 1e-9 * hours) }

func (c Ceph) rebuild(mbs float64) float64 {
	return c.SizeTB * 1e6 * c.Fill / (mbs * c.PGs) / 3600
}

// Copies is the probability that all copies at one site are lost within a period: the first,
// then each of the others during the recovery of the one before.
func (c Ceph) Copies(copies int, period float64) float64 {
	p := fails(c.FIT*float64(copies), period)
	for left := copies - 1; left > 0; left-- {
		p *= fails(c.FIT*float64(left)*c.PGs, c.MarkOutH+c.rebuild(c.SpeedMBs))
	}
	return p
}

// Sites is the probability that the copies at all sites are lost, the last of them by drives
// (copies), and that all sites are destroyed (site). The tool's own recursion overwrites what
// it still needs, which makes it up to 12 times lower; here the formula is as it is meant.
func (c Ceph) Sites(sites, copies int) (byCopies, bySites float64) {
	return c.descend(c.Period, 1, 0, sites, copies)
}

func (c Ceph) descend(period, p float64, drives, left, copies int) (byCopies, bySites float64) {
	site := -math.Expm1(-c.SiteRate / YearHours * float64(left) * period)
	drive := c.Copies(copies, period)
	if left == 1 {
		if drives == 0 {
			bySites = p * site
		}
		return p * drive, bySites
	}
	c1, s1 := c.descend(c.SiteReturnH, p*site, drives, left-1, copies)
	c2, s2 := c.descend(c.rebuild(c.WANMBs), p*drive, drives+1, left-1, copies)
	return c1 + c2, s1 + s2
}

// A Vitastor holds the inputs of Vitastor's calculator (github.com/vitalif/vitastor,
// mon/scripts/afr.js at b30635b).
type Vitastor struct {
	Hosts, Drives     int // drives of a host
	AFRDrive, AFRHost float64
	CapacityGB        float64
	SpeedGBs          float64 // of backfill, for each drive
	Data, Parity      int     // 1 and copies−1 for copies
	Replicas          bool
	PGs               float64 // peers of a drive
	Everywhere        bool    // a failed drive is rebuilt over all hosts
	Degraded          bool    // drives are replaced before they are rebuilt
	DownOutS          float64
}

// Loss is the probability of any loss in a year.
func (v Vitastor) Loss() float64 {
	others := float64((v.Hosts - 1) * v.Drives)
	size := float64(v.Data + v.Parity)
	pgs := math.Min(v.PGs, others/(size-1))
	hostPGs := math.Min(pgs*float64(v.Drives), others/(size-1))
	helpers := float64(v.Drives - 1)
	if v.Drives == 1 || v.Everywhere {
		helpers = pgs
	}
	if v.Degraded {
		helpers = 1
	}
	const secondsYear = 86400 * 365
	drive := (v.DownOutS + v.CapacityGB/helpers/v.SpeedGBs) / secondsYear
	host := (v.DownOutS + float64(v.Drives)*v.CapacityGB/pgs/v.SpeedGBs) / secondsYear
	rate := v.AFRDrive + v.AFRHost/float64(v.Drives)
	byDrive := v.AFRDrive * AnyOf(v.set(rate*drive), pgs)
	byHost := v.AFRHost * AnyOf(v.set(rate*host), hostPGs)
	none := float64(v.Hosts*v.Drives)*math.Log1p(-byDrive) + float64(v.Hosts)*math.Log1p(-byHost)
	return -math.Expm1(none)
}

// set is the probability that a set loses enough others while one is being rebuilt.
func (v Vitastor) set(p float64) float64 {
	if v.Replicas {
		return math.Pow(p, float64(v.Parity))
	}
	return binomialTail(v.Data+v.Parity-1, v.Parity, math.Min(1, p))
}
