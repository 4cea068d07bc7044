package energy

import (
	"cmp"
	"slices"
)

// A Drive is one drive of a cluster, for Plain.
type Drive struct {
	Site     string
	Profile  string
	Capacity int64 // bytes
	State    State
}

// A Tally is the watts of some drives.
type Tally struct {
	Name     string  `json:"name"`
	Drives   int     `json:"drives"`
	RawBytes int64   `json:"raw_bytes"`
	Watts    float64 `json:"watts"`
	WPerTB   float64 `json:"w_per_raw_tb"`
	Source   string  `json:"source,omitempty"`
	Status   Status  `json:"status,omitempty"`
}

// An Account is the plain account of a cluster: what its drives draw, and for each terabyte.
// Its boundary is the drives alone.
type Account struct {
	Boundary     string  `json:"boundary"`
	Drives       int     `json:"drives"`
	Watts        float64 `json:"watts"`
	KWhPerYear   float64 `json:"kwh_per_year"`
	RawBytes     int64   `json:"raw_bytes"`
	UsableBytes  int64   `json:"usable_bytes"`
	StoredBytes  int64   `json:"stored_bytes"`
	WPerRawTB    float64 `json:"w_per_raw_tb"`
	WPerUsableTB float64 `json:"w_per_usable_tb"`
	WPerStoredTB float64 `json:"w_per_stored_tb"`
	BySite       []Tally `json:"by_site"`
	ByProfile    []Tally `json:"by_profile"`
}

// Plain sums the watts of drives in their states. usable and stored are bytes as users see
// them. Sites and profiles come in order of name. The error names a profile that is not
// known.
func Plain(drives []Drive, usable, stored int64) (Account, error) {
	a := Account{Boundary: "drive", Drives: len(drives), UsableBytes: usable, StoredBytes: stored}
	sites, profiles, known := map[string]*Tally{}, map[string]*Tally{}, map[string]Profile{}
	for _, d := range drives {
		p, ok := known[d.Profile]
		if !ok {
			var err error
			if p, err = Lookup(d.Profile); err != nil {
				return a, err
			}
			known[d.Profile] = p
		}
		e := p.Estimate(d.State)
		a.RawBytes += d.Capacity
		add(sites, d.Site, d, e, "")
		add(profiles, d.Profile, d, e, p.Source)
	}
	a.BySite, a.ByProfile = tallies(sites), tallies(profiles)
	for i := range a.BySite {
		a.BySite[i].Status = ""
		a.Watts += a.BySite[i].Watts
	}
	total := Watts(a.Watts)
	a.KWhPerYear = total.KWhPerYear()
	a.WPerRawTB, a.WPerUsableTB, a.WPerStoredTB = total.PerTB(a.RawBytes), total.PerTB(usable), total.PerTB(stored)
	return a, nil
}

// add counts d in the tally of a name. The weakest status of its drives becomes its own.
func add(list map[string]*Tally, name string, d Drive, e Estimate, source string) {
	t := list[name]
	if t == nil {
		t = &Tally{Name: name, Source: source, Status: e.Status}
		list[name] = t
	}
	if e.Status == Model {
		t.Status = Model
	}
	t.Drives++
	t.RawBytes += d.Capacity
	t.Watts += e.Typical
}

func tallies(list map[string]*Tally) []Tally {
	out := make([]Tally, 0, len(list))
	for _, t := range list {
		t.WPerTB = Watts(t.Watts).PerTB(t.RawBytes)
		out = append(out, *t)
	}
	slices.SortFunc(out, func(a, b Tally) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
