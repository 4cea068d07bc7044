package whatif

import "github.com/wattle-storage/wattle/energy"

// An Estimate of a pointer that is nil is not answered; Option.Because says why.
type Estimate = energy.Estimate

// An Option is the answer for one alternative, in the JSON that doc/whatif.md documents.
// Watts and what follows from them are of the answer's boundary.
type Option struct {
	Name          string   `json:"name"`
	Scheme        string   `json:"scheme,omitempty"`
	Disk          string   `json:"disk,omitempty"`
	Pools         []Pool   `json:"pools,omitempty"`
	Fleet         []Drives `json:"fleet,omitempty"`
	Sites         int      `json:"sites"`
	Layout        string   `json:"layout"`
	Fill          float64  `json:"fill"` // stored over usable, with whole drives
	PlannedFill   float64  `json:"fill_planned"`
	Reserve       float64  `json:"reserve"`
	Amplification float64  `json:"amplification"`
	RawTB         float64  `json:"raw_tb"`
	UsableTB      float64  `json:"usable_tb"`
	StoredTB      float64  `json:"stored_tb"`
	Drives        float64  `json:"drives"`
	Servers       float64  `json:"servers"`
	Racks         float64  `json:"racks"`
	BoundBy       string   `json:"bound_by"` // capacity, iops, throughput, topology, or given

	States     States   `json:"states"`
	IOPSInUse  Estimate `json:"iops_utilisation"` // at the peak
	ReadIOs    float64  `json:"read_ios"`         // I/Os of one read
	WriteIOs   float64  `json:"write_ios"`        // I/Os of one write
	DrivesBand Estimate `json:"drives_estimate"`

	Watts        Estimate            `json:"watts"`
	WattsByPart  map[string]Estimate `json:"watts_by_part"`
	WattsBySite  map[string]Estimate `json:"watts_by_site"`
	KWPerRack    Estimate            `json:"kw_per_rack"`        // at the peak
	InrushKW     Estimate            `json:"inrush_kw_per_rack"` // all drives of a rack starting at once
	WPerRawTB    Estimate            `json:"w_per_raw_tb"`
	WPerUsableTB Estimate            `json:"w_per_usable_tb"`
	WPerStoredTB Estimate            `json:"w_per_stored_tb"`
	KWhPerYear   Estimate            `json:"kwh_per_year"`
	PUE          *Estimate           `json:"pue"`
	ERF          *Estimate           `json:"erf"`
	REF          *Estimate           `json:"ref"`
	CUE          *Estimate           `json:"cue"` // kgCO2e a kWh of the IT
	Litres       *Estimate           `json:"litres_per_year"`

	KgLocation *Estimate  `json:"kgco2e_location_per_year"`
	KgMarket   *Estimate  `json:"kgco2e_market_per_year"`
	KgEmbodied *Estimate  `json:"kgco2e_embodied_per_year"`
	KgTotal    *Estimate  `json:"kgco2e_embodied_total"`
	WrittenOff float64    `json:"kgco2e_written_off,omitempty"` // of owned drives that the baseline has and this option has not
	EUREnergy  *Estimate  `json:"eur_energy_per_year"`
	EURCapital *Estimate  `json:"eur_capital"`
	HeatReuse  *HeatReuse `json:"heat_reuse,omitempty"`

	SitesSurvived int  `json:"sites_survived"`
	LeftOver      int  `json:"left_over"`
	ReadsSurvive  int  `json:"reads_survive_sites"`
	WritesSurvive int  `json:"writes_survive_sites"`
	BelowSurvive  bool `json:"below_survive,omitempty"`

	Ratio         *Estimate          `json:"ratio"`            // of W per stored TB, to the baseline
	RatioPlain    *Estimate          `json:"ratio_fractional"` // to the baseline, before drives, servers and racks are made whole
	RatioTwin     *Estimate          `json:"ratio_twin"`
	Twin          string             `json:"twin"`
	Verdict       string             `json:"verdict"` // less, more or indistinct, to the baseline
	VerdictTwin   string             `json:"verdict_twin"`
	Factors       map[string]float64 `json:"factors"`                  // their product is the ratio
	CarbonFactors map[string]float64 `json:"factors_carbon,omitempty"` // with grid; their product is the ratio of operational carbon
	Waterfall     map[string]float64 `json:"waterfall_w_per_stored_tb,omitempty"`
	Growth        []GrowthYear       `json:"growth"`
	Rebound       *Rebound           `json:"rebound,omitempty"`
	Facility      *FacilityAnswer    `json:"facility,omitempty"`
	SpinDown      *SpinDown          `json:"spin_down,omitempty"` // of its first drives
	Evidence      map[string]float64 `json:"evidence,omitempty"`  // parts of the watts by the status they rest on

	NinesIndependent *Estimate `json:"nines_independent,omitempty"` // of a year: disks fail one by one; see doc/durability.md
	NinesBursts      *Estimate `json:"nines_bursts,omitempty"`      // and many at once
	NinesDisasters   *Estimate `json:"nines_disasters,omitempty"`   // and whole sites
	NOMDL            *Estimate `json:"nomdl,omitempty"`             // expected share of the stored bytes lost, disasters included
	PDLAny           *Estimate `json:"pdl_any,omitempty"`           // probability that anything is lost
	Availability     *float64  `json:"availability,omitempty"`      // of reads
	FailuresSurvived *int      `json:"failures_survived,omitempty"` // shards of a stripe, whichever they are
	RebuildHours     *float64  `json:"rebuild_hours,omitempty"`     // of a lost disk

	Warnings []string          `json:"warnings"`
	Because  map[string]string `json:"because,omitempty"` // why a field is null
}

// Drives are the drives of one kind in an Option.
type Drives struct {
	Disk       string  `json:"disk"`
	Count      float64 `json:"count"`
	CapacityTB float64 `json:"capacity_tb"`
	Owned      bool    `json:"owned,omitempty"`
	Site       string  `json:"site,omitempty"`
}

// States are parts of the drives' time.
type States struct {
	Idle       float64 `json:"idle"`
	Random     float64 `json:"random"`
	Sequential float64 `json:"sequential"`
	Standby    float64 `json:"standby"`
}

// A GrowthYear is a year of growth.
type GrowthYear struct {
	Year     int     `json:"year"`
	StoredTB float64 `json:"stored_tb"`
	Watts    float64 `json:"watts"`
	KWh      float64 `json:"kwh"`
}

// A Rebound says what becomes of a saving when what it frees gets filled again.
type Rebound struct {
	Part        *float64 `json:"part"`          // of the freed watts that gets filled again; null when not given
	Watts       *float64 `json:"watts"`         // then
	GoneAt      float64  `json:"gone_at"`       // the part at which the saving is gone
	GoneAtData  *float64 `json:"gone_at_data"`  // the same as growth of the stored terabytes, 1/ratio − 1
	YearsToGrow *float64 `json:"years_to_grow"` // until growth eats the saving, ln(1/ratio)/ln(1+g)
	PerYear     float64  `json:"growth_per_year"`
}

// A HeatReuse is what heat given to others is worth. Its carbon is never taken off Wattle's.
type HeatReuse struct {
	KWhPerYear Estimate  `json:"kwh_per_year"`
	EURPerYear *Estimate `json:"eur_per_year"`
	AvoidedKg  *Estimate `json:"kgco2e_avoided_per_year"` // at the user of the heat; not netted
}

// A Report is the whole answer, in the JSON that doc/whatif.md documents.
type Report struct {
	Name         string              `json:"name,omitempty"`
	Boundary     Boundary            `json:"boundary"`
	Defaults     map[string]Estimate `json:"defaults"` // what was assumed since nobody gave it
	Inputs       map[string]Estimate `json:"inputs"`   // all uncertain inputs
	InputsDigest string              `json:"inputs_digest"`
	Sources      map[string]Source   `json:"sources"`
	Baseline     Option              `json:"baseline"`
	Options      []Option            `json:"options"`
	Considered   int                 `json:"options_considered"`
	Advice       *Advice             `json:"advice,omitempty"`
	Warnings     []string            `json:"warnings"`
	NotCounted   []string            `json:"not_counted"`

	weather  *Weather              // of the first site, for the map of hours
	pueAt    func(float64) float64 // PUE at a part of the compressor's full load
	Sections []Section             `json:"-"` // for the page, after the evidence
}
