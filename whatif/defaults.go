package whatif

import "github.com/wattle-storage/wattle/energy"

// Values that a scenario has when it gives none.
const (
	defaultFill          = 0.70
	defaultReserve       = 0.10
	defaultAmplification = 1
	defaultUtilised      = 0.6
	defaultBays          = 36
	defaultServers       = 10
	defaultLife          = 5
	defaultYears         = 5
	defaultGrowth        = 0.20
	defaultPSULoad       = 0.5
	defaultCoolingShare  = 0.7
	defaultDisk          = "seagate-x22-22tb"
)

var defaultSchemes = []string{"replica:3", "rs:9+6"}

// A Source says where a figure comes from.
type Source struct {
	Title     string `json:"title"`
	Publisher string `json:"publisher,omitempty"`
	Year      int    `json:"year,omitempty"`
	Method    string `json:"method,omitempty"`
}

// assumed holds the uncertain inputs that are assumed when nobody gives them, and why so.
var assumed = map[string]struct {
	Range
	unit, why string
}{
	"slot_w":              {Range{1, 4, 12}, "W", "published enclosures solve to 1–2 W a slot in racks made for cold storage, at most 3.7 W and 5–12 W in two others"},
	"server_w":            {Range{100, 200, 400}, "W", "assumed; accounts of cold storage racks take 150 to 400 W"},
	"nic_w":               {Range{8, 15, 25}, "W", "assumed"},
	"switch_w":            {Range{80, 150, 400}, "W", "assumed, for the switches of one rack"},
	"psu_efficiency":      {Range{0.85, 0.90, 0.94}, "", "80 PLUS at 230 V, redundant, 20–50 % load: bronze at the low end, platinum at the high"},
	"pue":                 {Range{1.1, 1.58, 1.9}, "", "Uptime Institute survey, mean of 2023: 1.58; ends assumed"},
	"iops/hdd":            {Range{75, 87, 150}, "/s", "HC310 manual: 7.4 ms seek and 4.16 ms turn give 87 a second; ends assumed, queues shorten seeks"},
	"iops/ssd":            {Range{2e4, 1e5, 5e5}, "/s", "assumed"},
	"mb_s/hdd":            {Range{170, 230, 300}, "MB/s", "verified profiles give 180 to 309 MB/s on the outer tracks"},
	"mb_s/ssd":            {Range{1000, 3000, 7000}, "MB/s", "assumed; a verified profile gives 7000"},
	"afr/hdd":             {Range{0.0035, 0.0157, 0.0228}, "", "0.35 % is rated (HC580 manual); 1.57 % failed in the Backblaze fleet in 2024, 2.28 % a year in its second quarter of 2023"},
	"afr/ssd":             {Range{0.002, 0.0044, 0.01}, "", "assumed"},
	"embodied/hdd":        {Range{16.2, 31.11, 64.4}, "kgCO2e", "Boavizta's unit of 31.11 kg between the life-cycle studies of Exos X12 and an 8 TB air drive"},
	"embodied/ssd":        {Range{5.6, 30, 160}, "kgCO2e/TB", "life-cycle studies of Nytro 3331 (5.6) and of a 30.72 TB drive (160); typical is their geometric mean, rounded"},
	"embodied/hdd per TB": {Range{1.35, 2.5, 8.05}, "kgCO2e/TB", "life-cycle studies of Exos X12 (1.35) and an 8 TB air drive (8.05); typical assumed"},
	"compressor":          {Range{0.25, 0.33, 0.45}, "", "assumed: a coefficient of performance of 2.2 to 4"},
	"fans":                {Range{0.05, 0.08, 0.12}, "", "assumed"},
	"other":               {Range{0.08, 0.17, 0.25}, "", "assumed: losses of power supply and lighting"},
	"fixed_w":             {Range{0, 0, 0}, "W", "none given"},
	"proportional":        {Range{0, 0, 0}, "", "none given"},
}

func assumption(id string) energy.Estimate {
	a, ok := assumed[id]
	if !ok {
		panic("no assumption " + id)
	}
	return energy.Estimate{Low: a.Low, Typical: a.Typical, High: a.High, Unit: a.unit, Status: energy.Default, Source: "default:" + id}
}
