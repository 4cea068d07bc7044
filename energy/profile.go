package energy

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/dustin/go-humanize"
)

// A Profile is what is known of a kind of drive. A figure of 0 is not known.
type Profile struct {
	ID            string  `yaml:"id" json:"id"`
	Kind          string  `yaml:"kind" json:"kind"`
	Vendor        string  `yaml:"vendor" json:"vendor,omitempty"`
	Model         string  `yaml:"model" json:"model"`
	Technology    string  `yaml:"technology" json:"technology"`
	CapacityTB    float64 `yaml:"capacity_tb" json:"capacity_tb,omitempty"`
	IdleW         float64 `yaml:"idle_w" json:"idle_w,omitempty"`
	IdleAW        float64 `yaml:"idle_a_w" json:"idle_a_w,omitempty"`
	IdleBW        float64 `yaml:"idle_b_w" json:"idle_b_w,omitempty"`
	IdleCW        float64 `yaml:"idle_c_w" json:"idle_c_w,omitempty"`
	ActiveW       float64 `yaml:"active_w" json:"active_w,omitempty"`
	ActiveWriteW  float64 `yaml:"active_write_w" json:"active_write_w,omitempty"`
	SeqW          float64 `yaml:"seq_w" json:"seq_w,omitempty"`
	SeqWriteW     float64 `yaml:"seq_write_w" json:"seq_write_w,omitempty"`
	StandbyW      float64 `yaml:"standby_w" json:"standby_w,omitempty"`
	MeanW         float64 `yaml:"mean_w" json:"mean_w,omitempty"`
	SpinUpW       float64 `yaml:"spinup_w" json:"spinup_w,omitempty"`
	SpinUpS       float64 `yaml:"spinup_s" json:"spinup_s,omitempty"`
	SpinUpJ       float64 `yaml:"spinup_j" json:"spinup_j,omitempty"`
	SpinDownW     float64 `yaml:"spindown_w" json:"spindown_w,omitempty"`
	SpinDownS     float64 `yaml:"spindown_s" json:"spindown_s,omitempty"`
	SeqMBs        float64 `yaml:"seq_mb_s" json:"seq_mb_s,omitempty"`
	IOPS          float64 `yaml:"iops" json:"iops,omitempty"`
	AFR           float64 `yaml:"afr" json:"afr,omitempty"`
	MTBFH         float64 `yaml:"mtbf_h" json:"mtbf_h,omitempty"`
	StartStops    float64 `yaml:"start_stop_cycles" json:"start_stop_cycles,omitempty"`
	LoadUnloads   float64 `yaml:"load_unload_cycles" json:"load_unload_cycles,omitempty"`
	Platters      int     `yaml:"platters" json:"platters,omitempty"`
	WeightG       float64 `yaml:"weight_g" json:"weight_g,omitempty"`
	EmbodiedKgCO2 float64 `yaml:"embodied_kgco2e" json:"embodied_kgco2e,omitempty"`
	SourceID      string  `yaml:"source" json:"source_id,omitempty"`
	SourceYear    int     `yaml:"source_year" json:"source_year,omitempty"`
	Source        string  `yaml:"-" json:"source"`
	Verified      bool    `yaml:"verified" json:"verified"`
	Band          float64 `yaml:"band" json:"band,omitempty"` // half the width of its watts over them, when they are of a drive like it; 0: by status
	Status        Status  `yaml:"-" json:"status"`            // datasheet, claim, recalled, or input
	Note          string  `yaml:"note" json:"note,omitempty"`
}

// Warning is a word to whoever uses the profile, or "".
func (p Profile) Warning() string {
	if p.Status == Recalled {
		return fmt.Sprintf("%s is recalled, no document was read: check its figures before use", p.ID)
	}
	return ""
}

// Validate tells why a profile cannot be that of a drive, if so.
func (p Profile) Validate() error {
	turning := []float64{p.IdleW, p.IdleAW, p.IdleBW, p.IdleCW, p.ActiveW, p.ActiveWriteW, p.SeqW, p.SeqWriteW, p.StandbyW, p.MeanW}
	for _, w := range append(turning, p.SpinDownW) {
		if !(w >= 0 && w <= maxDriveW) {
			return fmt.Errorf("%w %q: %v W: want 0 to %v W for a drive", ErrProfile, p.ID, w, maxDriveW)
		}
	}
	for _, f := range []struct {
		name     string
		v, above float64
	}{
		{"capacity_tb", p.CapacityTB, 1000}, {"spinup_w", p.SpinUpW, 4 * maxDriveW}, {"spinup_s", p.SpinUpS, 600}, {"spinup_j", p.SpinUpJ, 1e5},
		{"seq_mb_s", p.SeqMBs, 1e6}, {"iops", p.IOPS, 1e8}, {"afr", p.AFR, 1}, {"embodied_kgco2e", p.EmbodiedKgCO2, 1e5}, {"spindown_s", p.SpinDownS, 600},
	} {
		if !(f.v >= 0 && f.v <= f.above) {
			return fmt.Errorf("%w %q: %s %v: want 0 to %v", ErrProfile, p.ID, f.name, f.v, f.above)
		}
	}
	if slices.Max(turning) == 0 {
		return fmt.Errorf("%w %q: no watts in any state: give idle_w at least", ErrProfile, p.ID)
	}
	return nil
}

// maxDriveW is more than any disk or NVMe drive draws.
const maxDriveW = 60.0

// ErrProfile is the error of a profile that is not known or cannot be.
var ErrProfile = errors.New("bad drive profile")

// A NameError is a profile that is not known, with those that come near.
type NameError struct {
	Name string
	Near []string
}

func (e *NameError) Error() string {
	s := fmt.Sprintf("drive profile %q is not known; `wattle profiles` lists them", e.Name)
	if len(e.Near) > 0 {
		s += fmt.Sprintf("; did you mean %s?", e.Near[0])
	}
	return s
}

func (e *NameError) Unwrap() error { return ErrProfile }

// drivesJSON is data/drives.yaml with its sources filled in, a profile a line, in a form that is
// read twenty times faster; a test holds one against the other.
//
//go:embed data/drives.json
var drivesJSON []byte

const (
	articleSource = "CIO.Focus, November 2015, quoting HGST: 7 W to 5 W per drive"
	articleNote   = "one figure for every turning state; no capacity of its own"
)

// article holds the two drives of the 2015 article that the project starts from: 7 W in
// air, 5 W in helium. It gives no capacity for either.
var article = []Profile{articleDrive("air-7w", "air", 7), articleDrive("helium-5w", "helium", 5)}

func articleDrive(id, technology string, w float64) Profile {
	return Profile{
		ID: id, Kind: "hdd", Model: technology + " drive of the article", Technology: technology,
		IdleW: w, ActiveW: w, ActiveWriteW: w, SeqW: w, SeqWriteW: w,
		Verified: true, Status: Claim, SourceID: "article", Source: articleSource, SourceYear: 2015, Note: articleNote,
	}
}

// classes stand for any drive of a technology: profiles without figures of their own, whose
// watts are those of the verified drives of the class, with their extremes. "hdd" is any disk.
var classes = []Profile{anyDrive("air", "hdd"), anyDrive("helium", "hdd"), anyDrive("smr", "hdd"), anyDrive("hdd", "hdd"), anyDrive("ssd", "ssd")}

func anyDrive(technology, kind string) Profile {
	return Profile{ID: "class-" + technology, Kind: kind, Model: "any drive of the class", Technology: technology, Status: Model, SourceID: "class", Source: "verified drives of the class"}
}

var load = sync.OnceValue(func() map[string]Profile {
	var drives []Profile
	if err := json.Unmarshal(drivesJSON, &drives); err != nil {
		panic(fmt.Sprintf("embedded drive figures: %v", err)) // a test reads them
	}
	all := map[string]Profile{}
	for _, p := range slices.Concat(article, classes, drives) {
		all[p.ID] = p
	}
	return all
})

// Profiles returns all verified profiles in order of id.
func Profiles() []Profile {
	var list []Profile
	for _, p := range load() {
		if p.Verified {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b Profile) int { return strings.Compare(a.ID, b.ID) })
	return list
}

// Lookup returns a profile by id, a recalled one too (see Warning), and class-air,
// class-helium, class-smr, class-hdd and class-ssd for drives of which no more is known.
// "helium-5w@8TB" is helium-5w with a capacity of 8 TB.
func Lookup(name string) (Profile, error) { return Find(nil, name) }

// Find is Lookup in a user's own profiles, then in the embedded ones.
func Find(own []Profile, name string) (Profile, error) {
	id, size, sized := strings.Cut(name, "@")
	p, ok := load()[id]
	for _, o := range own {
		if o.ID == id {
			p, ok = o, true
		}
	}
	if !ok {
		return Profile{}, &NameError{name, near(own, id)}
	}
	if sized {
		n, err := humanize.ParseBytes(size)
		if err != nil || n == 0 {
			return Profile{}, fmt.Errorf("%w %q: capacity %q: want a size such as 8TB", ErrProfile, name, size)
		}
		p.CapacityTB = float64(n) / 1e12
	}
	return p, nil
}

// near lists ids by the number of three-letter parts that they share with name, one at least.
func near(own []Profile, name string) []string {
	score := func(id string) (n int) {
		for i := 0; i+3 <= len(name); i++ {
			if strings.Contains(id, strings.ToLower(name[i:i+3])) {
				n++
			}
		}
		return n
	}
	var list []string
	for _, p := range append(Profiles(), own...) {
		if score(p.ID) > 1 {
			list = append(list, p.ID)
		}
	}
	slices.SortStableFunc(list, func(a, b string) int { return score(b) - score(a) })
	return list
}
