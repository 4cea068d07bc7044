package whatif

import (
	"github.com/wattle-storage/wattle/durability"
	"github.com/wattle-storage/wattle/energy"
)

// A Scenario is what is stored, on what, where, and for whom: all that the model needs. The
// zero value of a field is its default, which the answer tells (see Defaults). It is read
// from YAML by Parse, and `wattle whatif --schema` prints its JSON Schema.
//
// Pools and Fleet describe a whole cluster, as it is or as planned. Sweep and Options describe
// alternatives that store as many terabytes; without Pools they need UsableTB or StoredTB.
type Scenario struct {
	Name          string           `yaml:"name,omitempty" doc:"title of the reports"`
	Boundary      Boundary         `yaml:"boundary,omitempty" doc:"what the watts include: drive, server, rack or facility (default)"`
	UsableTB      Terabytes        `yaml:"usable_tb,omitempty" doc:"usable terabytes of the baseline, or a size such as 10PB; stored = usable x fill"`
	StoredTB      Terabytes        `yaml:"stored_tb,omitempty" doc:"terabytes that users store, or a size such as 7PB"`
	Pools         []Pool           `yaml:"pools,omitempty" doc:"what the cluster stores, pool by pool"`
	Fleet         []Fleet          `yaml:"fleet,omitempty" doc:"the drives of the cluster"`
	Sites         []Site           `yaml:"sites,omitempty" doc:"where the drives stand; one site when absent"`
	Sweep         Sweep            `yaml:"sweep,omitempty" doc:"alternatives: every combination of the lists"`
	Options       []Choice         `yaml:"options,omitempty" doc:"alternatives, one by one"`
	Baseline      string           `yaml:"baseline,omitempty" doc:"name of the option, or scheme or scheme@disk, that the others are compared with; default today's pools, else replica:3"`
	Survive       string           `yaml:"survive,omitempty" doc:"tolerance below which options are greyed: SITES or SITES+SHARDS, such as 1+1"`
	Fill          float64          `yaml:"fill,omitempty" doc:"part of the usable terabytes that is stored, 0 to 1"`
	Reserve       *float64         `yaml:"reserve,omitempty" doc:"part of the raw terabytes kept free, 0 to 1"`
	Amplification float64          `yaml:"amplification,omitempty" doc:"raw terabytes multiplied by under-filled stripes, minimum allocation and compaction slack, 1 or more"`
	Fractional    bool             `yaml:"fractional,omitempty" doc:"count fractions of drives, servers and racks"`
	Workload      Workload         `yaml:"workload,omitempty" doc:"what users ask for"`
	Drive         Drive            `yaml:"drive,omitempty" doc:"rates of the drives, where their profiles do not say"`
	Server        Server           `yaml:"server,omitempty" doc:"what the drives sit in"`
	Rack          Rack             `yaml:"rack,omitempty" doc:"what the servers sit in"`
	Facility      Facility         `yaml:"facility,omitempty" doc:"cooling and losses of the building"`
	Carbon        Carbon           `yaml:"carbon,omitempty" doc:"carbon of the electricity"`
	Embodied      Embodied         `yaml:"embodied,omitempty" doc:"carbon of making the drives and servers"`
	Prices        Prices           `yaml:"prices,omitempty" doc:"money; what has no price is not answered"`
	Growth        Growth           `yaml:"growth,omitempty" doc:"how the stored terabytes grow"`
	Profiles      []energy.Profile `yaml:"profiles,omitempty" doc:"drives of your own, in the form of wattle profiles --json"`
	Inputs        map[string]Range `yaml:"inputs,omitempty" doc:"any uncertain input by its identity, as --explain prints it"`
	Notes         []string         `yaml:"notes,omitempty" doc:"remarks that go into the reports"`

	NoDurability bool              `yaml:"-"` // leaves the durability of options out, for speed
	Durability   durability.System `yaml:"-"` // what options do not say of repair, failures and disasters; zero for the defaults
}

// A Pool is data under one scheme.
type Pool struct {
	Name          string    `yaml:"name,omitempty" json:"name,omitempty" doc:"name of the pool"`
	Scheme        string    `yaml:"scheme,omitempty" json:"scheme" doc:"replica:3, rs:9+6, lrc:12+2+2"`
	StoredTB      Terabytes `yaml:"stored_tb,omitempty" json:"stored_tb" doc:"terabytes that users store in it"`
	DeviceClass   string    `yaml:"device_class,omitempty" json:"device_class,omitempty" doc:"class of the drives that hold it; any when absent"`
	Amplification float64   `yaml:"amplification,omitempty" json:"amplification,omitempty" doc:"as of the scenario, for this pool"`
}

// A Fleet is drives of one kind.
type Fleet struct {
	Disk        string    `yaml:"disk,omitempty" json:"disk" doc:"id of a drive profile, also with a capacity: helium-5w@8TB"`
	CapacityTB  Terabytes `yaml:"capacity_tb,omitempty" json:"capacity_tb,omitempty" doc:"capacity of a drive, in place of the profile's"`
	Count       int       `yaml:"count,omitempty" json:"count,omitempty" doc:"drives there are; absent: as many as it takes"`
	Owned       bool      `yaml:"owned,omitempty" json:"owned,omitempty" doc:"bought before: no new embodied carbon, no capital"`
	AgeYears    float64   `yaml:"age_years,omitempty" json:"age_years,omitempty" doc:"age of owned drives"`
	DeviceClass string    `yaml:"device_class,omitempty" json:"device_class,omitempty" doc:"class that pools name; the profile's kind when absent"`
	Site        string    `yaml:"site,omitempty" json:"site,omitempty" doc:"site that they stand in; spread over all when absent"`
	Aside       bool      `yaml:"aside,omitempty" json:"aside,omitempty" doc:"drives that draw watts and hold no pool's terabytes: databases, journals, caches"`
}

// A Site is a place with its own air and grid.
type Site struct {
	Name     string    `yaml:"name,omitempty" doc:"name of the site"`
	Share    float64   `yaml:"share,omitempty" doc:"part of the drives, relative to the other sites; default equal"`
	Country  string    `yaml:"country,omitempty" doc:"country of its grid, such as FR"`
	GPerKWh  *Range    `yaml:"g_per_kwh,omitempty" doc:"carbon intensity of its electricity, g/kWh"`
	Facility *Facility `yaml:"facility,omitempty" doc:"its own facility"`
}

// A Choice is one alternative. What it leaves out is as in the scenario.
type Choice struct {
	Name          string             `yaml:"name,omitempty" doc:"name in tables"`
	Scheme        string             `yaml:"scheme,omitempty" doc:"redundancy rule"`
	Disk          string             `yaml:"disk,omitempty" doc:"id of a drive profile"`
	Pools         []Pool             `yaml:"pools,omitempty" doc:"in place of scheme"`
	Fleet         []Fleet            `yaml:"fleet,omitempty" doc:"in place of disk"`
	Sites         int                `yaml:"sites,omitempty" doc:"number of equal sites"`
	Fill          float64            `yaml:"fill,omitempty" doc:"part of the usable terabytes that is stored"`
	Reserve       *float64           `yaml:"reserve,omitempty" doc:"part of the raw terabytes kept free"`
	Amplification float64            `yaml:"amplification,omitempty" doc:"raw terabytes multiplied"`
	Layout        string             `yaml:"layout,omitempty" doc:"packed or striped"`
	States        map[string]float64 `yaml:"states,omitempty" doc:"parts of the time by state, as of the workload"`
	PUE           *Range             `yaml:"pue,omitempty" doc:"PUE of every site"`
	GPerKWh       *Range             `yaml:"g_per_kwh,omitempty" doc:"carbon intensity of every site"`
	SlotW         *Range             `yaml:"slot_w,omitempty" doc:"overhead of a drive's slot"`
	Bays          float64            `yaml:"bays,omitempty" doc:"drives in a server, on average"`
}

// A Sweep makes a Choice of every combination of its lists. An empty list stands for the
// scenario's own value.
type Sweep struct {
	Schemes        Words     `yaml:"schemes,omitempty" doc:"redundancy rules"`
	Disks          Words     `yaml:"disks,omitempty" doc:"ids of drive profiles"`
	Sites          []int     `yaml:"sites,omitempty" doc:"numbers of equal sites"`
	Fills          []float64 `yaml:"fills,omitempty" doc:"fills, 0 to 1"`
	Reserves       []float64 `yaml:"reserves,omitempty" doc:"reserves, 0 to 1"`
	Amplifications []float64 `yaml:"amplifications,omitempty" doc:"amplifications, 1 or more"`
	Layouts        Words     `yaml:"layouts,omitempty" doc:"packed, striped"`
	PUEs           []Range   `yaml:"pues,omitempty" doc:"PUEs"`
	GPerKWh        []Range   `yaml:"g_per_kwh,omitempty" doc:"carbon intensities"`
	SlotW          []Range   `yaml:"slot_w,omitempty" doc:"overheads of a drive's slot"`
}

// A Workload is what users ask for on average.
type Workload struct {
	Reads     float64            `yaml:"reads_per_s,omitempty" doc:"reads a second"`
	Writes    float64            `yaml:"writes_per_s,omitempty" doc:"writes a second"`
	ReadSize  Bytes              `yaml:"read_size,omitempty" doc:"size of an object read, such as 64KiB"`
	WriteSize Bytes              `yaml:"write_size,omitempty" doc:"size of an object written"`
	Peak      float64            `yaml:"peak,omitempty" doc:"peak rate over mean rate, 1 or more"`
	Burst     float64            `yaml:"burst,omitempty" doc:"objects that share a stripe when written"`
	Degraded  float64            `yaml:"degraded,omitempty" doc:"part of the reads that are degraded, 0 to 1"`
	Layout    string             `yaml:"layout,omitempty" doc:"packed (Wattle's) or striped (every object cut in k)"`
	Utilised  float64            `yaml:"utilisation_cap,omitempty" doc:"part of a drive's rate in use at the peak, at most"`
	IdleState string             `yaml:"idle_state,omitempty" doc:"state between requests: idle, idle_a, idle_b or idle_c"`
	Standby   float64            `yaml:"standby,omitempty" doc:"part of the drives' time in standby, 0 to 1"`
	States    map[string]float64 `yaml:"states,omitempty" doc:"parts of the time by state, in place of all the above"`
}

// A Drive holds rates for drives whose profiles do not give them.
type Drive struct {
	IOPS *Range `yaml:"iops,omitempty" doc:"random I/Os a second of a drive"`
	MBs  *Range `yaml:"mb_s,omitempty" doc:"sequential MB a second of a drive"`
	AFR  *Range `yaml:"afr,omitempty" doc:"part of the drives that fails in a year"`
}

// A Server holds drives.
type Server struct {
	SlotW   *Range  `yaml:"slot_w,omitempty" doc:"watts of a drive's slot (backplane, expander, fans), behind the power supply"`
	Watts   *Range  `yaml:"watts,omitempty" doc:"watts of a server without drives, behind the power supply"`
	NICW    *Range  `yaml:"nic_w,omitempty" doc:"watts of its network card"`
	Drives  int     `yaml:"drives,omitempty" doc:"drives in a server"`
	PSU     *Range  `yaml:"psu_efficiency,omitempty" doc:"efficiency of its power supplies, 0 to 1"`
	PSUPlus string  `yaml:"psu_curve,omitempty" doc:"80 PLUS class in place of psu_efficiency: bronze, silver, gold, platinum, titanium"`
	PSULoad float64 `yaml:"psu_load,omitempty" doc:"load of the power supplies for psu_curve, 0.1 to 1"`
}

// A Rack holds servers.
type Rack struct {
	Servers int     `yaml:"servers,omitempty" doc:"servers in a rack"`
	SwitchW *Range  `yaml:"switch_w,omitempty" doc:"watts of the switches of a rack"`
	MaxKW   float64 `yaml:"max_kw,omitempty" doc:"most kilowatts of a rack at the peak"`
}

// A Facility is the building around the IT. PUE is constant, or follows the load (Fixed and
// Proportional), or the temperatures outside.
type Facility struct {
	PUE          *Range        `yaml:"pue,omitempty" doc:"all energy over that of the IT"`
	FixedW       *Range        `yaml:"fixed_w,omitempty" doc:"losses that do not follow the load, watts of the whole building"`
	Proportional *Range        `yaml:"proportional,omitempty" doc:"losses for each watt of the IT"`
	OtherITW     float64       `yaml:"other_it_w,omitempty" doc:"watts of other IT in the same building, for fixed_w"`
	Temperatures *Temperatures `yaml:"temperatures,omitempty" doc:"the year outside"`
	Cooling      *Cooling      `yaml:"cooling,omitempty" doc:"how the temperatures make a PUE"`
	CoolingShare float64       `yaml:"cooling_share,omitempty" doc:"cooling's part of what is not IT, for advice on free cooling"`
	CoolingCut   float64       `yaml:"cooling_cut,omitempty" doc:"part of cooling's energy that a measure saves; the answer tells what becomes of PUE and bill"`
	WishedSaving float64       `yaml:"wished_saving,omitempty" doc:"saving of the facility's bill that free cooling is said to give, 0 to 1"`
	ERF          *Range        `yaml:"erf,omitempty" doc:"part of the energy reused as heat, 0 to 1"`
	REF          *Range        `yaml:"ref,omitempty" doc:"part of the energy from renewable sources, 0 to 1"`
	WUE          *Range        `yaml:"wue,omitempty" doc:"litres of water for each kWh of the IT"`
	HeatPrice    *float64      `yaml:"heat_eur_per_kwh,omitempty" doc:"price of the heat that reuse displaces"`
	HeatGPerKWh  *float64      `yaml:"heat_g_per_kwh,omitempty" doc:"carbon intensity of the heat that reuse displaces"`
	DCEM         *DCEM         `yaml:"dcem,omitempty" doc:"weights and classes for a DCEM score"`
}

// Temperatures are hourly, from a file, or made of monthly figures.
type Temperatures struct {
	File      string    `yaml:"file,omitempty" doc:"CSV or EPW file of 8,760 hours"`
	Hourly    []float64 `yaml:"hourly,omitempty" doc:"8,760 temperatures"`
	Means     []float64 `yaml:"monthly_means,omitempty" doc:"twelve mean temperatures"`
	Maxima    []float64 `yaml:"monthly_maxima,omitempty" doc:"twelve mean daily maxima"`
	Swing     []float64 `yaml:"daily_swing,omitempty" doc:"kelvin from a day's mean to its warmest hour: one figure or twelve"`
	Deviation float64   `yaml:"deviation,omitempty" doc:"standard deviation of the daily means in a month, kelvin"`
}

// Cooling is how heat leaves the building; figures are watts for each watt of the IT.
type Cooling struct {
	Supply     float64 `yaml:"supply,omitempty" doc:"temperature of the cold aisle"`
	Return     float64 `yaml:"return,omitempty" doc:"temperature of the hot aisle"`
	Approach   float64 `yaml:"approach,omitempty" doc:"kelvin by which the air outside must be cooler"`
	Compressor *Range  `yaml:"compressor,omitempty" doc:"compressor at full load"`
	Fans       *Range  `yaml:"fans,omitempty" doc:"fans, pumps and economiser, always"`
	Other      *Range  `yaml:"other,omitempty" doc:"all that is neither IT nor cooling"`
}

// A DCEM is what a score needs beyond the four indicators.
type DCEM struct {
	ReuseWeight     float64     `yaml:"reuse_weight,omitempty" doc:"weight of reused energy"`
	RenewableWeight float64     `yaml:"renewable_weight,omitempty" doc:"weight of renewable energy"`
	Classes         []DCEMClass `yaml:"classes,omitempty" doc:"classes, best first"`
}

// A DCEMClass is a class and the score that it stays below.
type DCEMClass struct {
	Name  string  `yaml:"name,omitempty" doc:"name of the class"`
	Below float64 `yaml:"below,omitempty" doc:"the class is for scores below"`
}

// Carbon is the carbon of electricity.
type Carbon struct {
	Country string  `yaml:"country,omitempty" doc:"country of the grid, such as FR"`
	Source  string  `yaml:"source,omitempty" doc:"table and year of the intensity, such as codecarbon-2023"`
	GPerKWh *Range  `yaml:"g_per_kwh,omitempty" doc:"location-based intensity, g/kWh"`
	Market  *Market `yaml:"market,omitempty" doc:"contract or residual mix for the market-based figure"`
}

// A Market is a contract for electricity, or the residual mix.
type Market struct {
	GPerKWh Range  `yaml:"g_per_kwh,omitempty" doc:"intensity, g/kWh"`
	Source  string `yaml:"source,omitempty" doc:"contract or residual mix, and year"`
}

// Embodied is the carbon of making things.
type Embodied struct {
	Method     string  `yaml:"method,omitempty" doc:"per_drive or per_tb"`
	KgPerDrive *Range  `yaml:"kg_per_drive,omitempty" doc:"kgCO2e of a drive"`
	KgPerTB    *Range  `yaml:"kg_per_tb,omitempty" doc:"kgCO2e of a raw terabyte"`
	ServerKg   *Range  `yaml:"server_kg,omitempty" doc:"kgCO2e of a server without drives; not counted when absent"`
	Flash      *Flash  `yaml:"flash,omitempty" doc:"carbon of SSDs from the area of their dies"`
	LifeYears  float64 `yaml:"life_years,omitempty" doc:"years of service"`
}

// A Flash reckons an SSD's carbon from the area of its dies.
type Flash struct {
	GBPerCm2 float64 `yaml:"gb_per_cm2,omitempty" doc:"density of the dies"`
	KgPerCm2 float64 `yaml:"kg_per_cm2,omitempty" doc:"kgCO2e of a square centimetre"`
	BaseKg   float64 `yaml:"base_kg,omitempty" doc:"kgCO2e of all but the dies"`
}

// Prices are in euro; a null price leaves its answers null.
type Prices struct {
	EURPerKWh    *Range `yaml:"eur_per_kwh,omitempty" doc:"price of electricity"`
	EURPerDrive  *Range `yaml:"eur_per_drive,omitempty" doc:"price of a drive"`
	EURPerTB     *Range `yaml:"eur_per_tb,omitempty" doc:"price of a raw terabyte, in place of eur_per_drive"`
	EURPerServer *Range `yaml:"eur_per_server,omitempty" doc:"price of a server without drives"`
}

// Growth is how the stored terabytes grow.
type Growth struct {
	PerYear float64  `yaml:"per_year,omitempty" doc:"growth of a year, 0.2 for 20 %"`
	Years   int      `yaml:"years,omitempty" doc:"years to show"`
	Rebound *float64 `yaml:"rebound,omitempty" doc:"part of the freed watts that gets filled again; also over 1"`
}
