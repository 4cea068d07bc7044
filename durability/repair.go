package durability

import (
	"math"
)

// A Code is a redundancy rule in plain numbers: K data shards, L local and M other parities.
// Copies have K 1. With L the code is an LRC whose M parities are global. With Rows it is a
// product code: each of so many sites has a row of K+M shards, and the shards of one row are the
// XOR of those of the others.
type Code struct {
	K    int `json:"k"`
	M    int `json:"m"`
	L    int `json:"l,omitempty"`
	Rows int `json:"rows,omitempty"`
}

// N is the number of shards.
func (c Code) N() int { return (c.K + c.L + c.M) * max(c.Rows, 1) }

// Overhead is raw bytes for a byte stored.
func (c Code) Overhead() float64 { return float64(c.N()) / float64(c.K*max(c.Rows-1, 1)) }

// product is the code as one of rows and columns, nil when it has none.
func (c Code) product() *Product {
	if c.Rows == 0 {
		return nil
	}
	return &Product{Rows: c.Rows, Cols: c.K + c.M, RowM: c.M, ColM: 1}
}

// Tolerance is the number of losses stood whichever they are.
func (c Code) Tolerance() int {
	switch {
	case c.Rows > 0:
		return 2*(c.M+1) - 1 // the smallest fatal pattern is two rows with the same M+1 columns
	case c.L > 0:
		return c.M + 1
	}
	return c.M
}

// Validate tells why a code cannot be, if so.
func (c Code) Validate() error {
	if c.K < 1 || c.M < 0 || c.L < 0 || c.L > c.K || c.L > 0 && c.M < 1 || c.N() > MaxShards {
		return inputf("code of %d data, %d local and %d other parity shards: want 1 data shard or more, and at most %d shards", c.K, c.L, c.M, MaxShards)
	}
	if c.Rows != 0 && (c.Rows < 3 || c.Rows > 8 || c.M < 1 || c.L > 0) {
		return inputf("product code of %d rows of %d+%d shards: want 3 to 8 rows, each with a parity at least", c.Rows, c.K, c.M)
	}
	return nil
}

// lose is the Lose of a stripe; a product code's is that of what it stands whichever it is, since
// beyond that it counts where the losses are.
func (c Code) lose() []float64 {
	if c.L > 0 {
		return LRC{c.K, c.L, c.M}.Lose()
	}
	return MDSLose(c.Tolerance())
}

// Reads is how many shards are read, on average over the shards of a stripe, to make a single
// lost one anew. Source for the LRC: ((k+l)·k/l + r·k)/n, Huang et al., ATC 2012.
func (c Code) Reads() float64 {
	if c.K == 1 {
		return math.Min(1, float64(c.N()-1))
	}
	if c.L == 0 {
		return float64(c.K)
	}
	k, l, r := float64(c.K), float64(c.L), float64(c.M)
	return ((k+l)*k/l + r*k) / float64(c.N())
}

// WANReads is how many of those shards come from other sites, with here shards of the stripe
// at a site. Shards at hand are read first; a local group lies over the sites as its stripe does.
func (c Code) WANReads(here int) float64 {
	others := float64(here - 1)
	switch {
	case here >= c.N():
		return 0
	case c.Rows > 0: // a row gives its own back
		return 0
	case c.K == 1:
		if here > 1 {
			return 0
		}
		return math.Min(1, float64(c.N()-1))
	case c.L == 0:
		return math.Max(0, float64(c.K)-others)
	}
	return c.Reads() * (1 - others/float64(c.N()-1))
}

// A Repair is how lost shards are made anew. Zero fields have their defaults.
type Repair struct {
	DetectH    float64 `json:"detect_h"`               // until a disk is given up; default 10 min, as Ceph marks out
	DiskMBs    float64 `json:"disk_mb_s"`              // sequential rate of a disk; default 250
	DiskShare  float64 `json:"disk_share"`             // part of it that repair may take; default 0.2, Ceph's 50 MB/s of 250
	HostGbps   float64 `json:"host_gb_s"`              // of a host's network that repair may take; default 5
	WANGbps    float64 `json:"wan_gb_s"`               // of a site's that repair may take; default 10
	PGsPerDisk int     `json:"pgs_per_disk"`           // how many stripe sets a disk is in; default 100
	Clustered  bool    `json:"clustered"`              // a lost disk is rebuilt on one spare, not over all disks
	Unordered  bool    `json:"unordered"`              // stripes that lost more do not go first
	ReplaceH   float64 `json:"site_replace_h"`         // until a destroyed site's hardware stands again; default 720, as Ceph's model
	FixedH     float64 `json:"fixed_h,omitempty"`      // each lost disk takes this long by itself, in place of all but the site's return
	SiteFixedH float64 `json:"site_fixed_h,omitempty"` // a destroyed site takes this long
}

// WithDefaults returns r with its defaults filled in.
func (r Repair) WithDefaults() Repair {
	for p, v := range map[*float64]float64{&r.DetectH: 1.0 / 6, &r.DiskMBs: 250, &r.DiskShare: 0.2, &r.HostGbps: 5, &r.WANGbps: 10, &r.ReplaceH: 720} {
		if *p == 0 {
			*p = v
		}
	}
	if r.PGsPerDisk == 0 {
		r.PGsPerDisk = 100
	}
	return r
}

func (r Repair) validate() error {
	for _, f := range []struct {
		name string
		v    float64
	}{
		{"repair detection", r.DetectH}, {"disk rate", r.DiskMBs}, {"host network", r.HostGbps}, {"WAN", r.WANGbps}, {"site replacement", r.ReplaceH},
	} {
		if err := positive(f.name, f.v); err != nil {
			return err
		}
	}
	if math.IsNaN(r.DiskShare) || r.DiskShare <= 0 || r.DiskShare > 1 {
		return inputf("disk share %v of repair: want more than 0 and at most 1", r.DiskShare)
	}
	if r.PGsPerDisk < 1 {
		return inputf("%d placement groups a disk: want 1 or more", r.PGsPerDisk)
	}
	if err := notNegative("site return", r.SiteFixedH); err != nil {
		return err
	}
	return notNegative("repair time", r.FixedH)
}

// A RepairTime is how long it takes to make the shards of a lost disk anew, and why.
type RepairTime struct {
	DetectH   float64 `json:"detect_h"`
	TransferH float64 `json:"transfer_h"`
	TotalH    float64 `json:"total_h"`
	BoundBy   string  `json:"bound_by"`   // detection, disks, spare, hosts, wan, or given
	Width     float64 `json:"width"`      // disks that read and write at once
	Readers   float64 `json:"readers"`    // disks that hold what is read
	Critical  float64 `json:"critical_h"` // until a stripe that stands no further loss is repaired
	SiteH     float64 `json:"site_return_h"`
	SiteTB    float64 `json:"site_tb"` // bytes that a destroyed site gets back over its WAN

	factor float64 // part of a lost disk's stripes that have one loss more
	shared bool
}

// rate is the rate at which one of j lost shards of a stripe is made anew. Over all disks the
// bandwidth is shared, so that j lost disks take j times as long and a stripe's j shards come
// at the rate of one; stripes with j losses are a part factor^(j−1) of those of a disk, and go
// first. On spares each lost disk has its own bandwidth.
func (t RepairTime) rate(j int) float64 {
	if j == 0 {
		return 0
	}
	if !t.shared {
		return float64(j) / t.TotalH
	}
	return 1 / (t.DetectH + t.TransferH*math.Pow(t.factor, float64(j-1)))
}

// repairTime works out the times of a System whose defaults are filled in.
func (s System) repairTime() RepairTime {
	r, code := s.Repair, s.Code
	here := Even(code.N(), s.stripeSites())[0]
	held := s.CapacityTB * 1e6 * s.Fill // MB on a disk
	atSite := float64(s.Disks) / float64(s.Sites)
	t := RepairTime{DetectH: r.DetectH, shared: !r.Clustered, SiteTB: s.CapacityTB * s.Fill * atSite}
	t.SiteH = r.ReplaceH + t.SiteTB*8e12/(r.WANGbps*1e9)/3600
	disk, readers, writers := r.DiskMBs*r.DiskShare, float64(s.Disks-1), math.Max(1, atSite-1)
	if !r.Clustered {
		writers = math.Min(writers, float64(r.PGsPerDisk))
		readers = math.Min(readers, float64(r.PGsPerDisk*(code.N()-1)))
	} else {
		writers, readers = 1, math.Min(readers, float64(code.N()-1))
	}
	t.Width, t.Readers = writers, readers
	hosts := float64(s.Sites * s.Hosts)
	candidates := []struct {
		name string
		s    float64
	}{
		{"disks", held * (code.Reads() + 1) / (math.Max(readers, writers) * disk)},
		{"spare", held / (writers * disk)},
		{"hosts", held * (code.Reads() + 1) * 8e6 / (math.Min(hosts, math.Max(readers, writers)) * r.HostGbps * 1e9)},
		{"wan", held * code.WANReads(here) * 8e6 / (r.WANGbps * 1e9)},
	}
	for _, c := range candidates {
		if h := c.s / 3600; h > t.TransferH {
			t.TransferH, t.BoundBy = h, c.name
		}
	}
	if r.FixedH > 0 {
		t.DetectH, t.TransferH, t.BoundBy, t.shared = 0, r.FixedH, "given", false
	}
	if r.SiteFixedH > 0 {
		t.SiteH = r.SiteFixedH
	}
	if t.DetectH > t.TransferH {
		t.BoundBy = "detection"
	}
	t.TotalH = t.DetectH + t.TransferH
	t.factor = 1
	if t.shared && !r.Unordered && s.Disks > code.N() {
		t.factor = float64(code.N()-1) / float64(s.Disks-1)
	}
	t.Critical = t.TotalH
	if m := code.Tolerance(); m > 0 {
		t.Critical = 1 / t.rate(m)
	}
	return t
}
