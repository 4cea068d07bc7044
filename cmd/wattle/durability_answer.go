package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/durability"
	"github.com/wattle-storage/wattle/energy"
	"github.com/wattle-storage/wattle/erasure"
)

// A durabilityAnswer is the durability of one scheme. Nines and shares lost are of one year.
type durabilityAnswer struct {
	Scheme           string                  `json:"scheme"`
	NinesIndependent energy.Estimate         `json:"nines_independent"`
	NinesBursts      energy.Estimate         `json:"nines_bursts"`
	NinesDisasters   energy.Estimate         `json:"nines_disasters"`
	NOMDL            energy.Estimate         `json:"nomdl"` // with disasters
	PDLAny           energy.Estimate         `json:"pdl_any"`
	Availability     float64                 `json:"availability"` // of reads
	FailuresSurvived int                     `json:"failures_survived"`
	SitesSurvived    int                     `json:"sites_survived"`
	LeftOver         int                     `json:"left_over"`
	RebuildHours     float64                 `json:"rebuild_hours"`
	Detail           durability.Result       `json:"detail"`
	Energy           durability.RepairEnergy `json:"repair_energy"`
	Simulated        *durability.Evidence    `json:"simulated,omitempty"` // a stripe's loss in a year, disasters included
	Against          *ratioAnswer            `json:"against,omitempty"`   // the same dice, another scheme
	Sources          map[string]string       `json:"sources"`

	scheme erasure.Scheme
}

// A ratioAnswer is the simulated loss of a scheme over that of another.
type ratioAnswer struct {
	Scheme string                   `json:"scheme"`
	Ratio  durability.RatioEvidence `json:"ratio"`
}

func runDurability(e *env, c *cli.Context) error {
	schemes, err := schemesOf(c.String("scheme"))
	if err != nil {
		return err
	}
	var answers []durabilityAnswer
	for _, scheme := range schemes {
		a, err := durabilityOf(c, scheme)
		if err != nil {
			return err
		}
		answers = append(answers, a)
	}
	switch {
	case e.json && len(answers) == 1:
		return e.document(answers[0])
	case e.json:
		for _, a := range answers {
			if err := e.emit(a); err != nil {
				return err
			}
		}
	case len(answers) == 1:
		answers[0].show(e.out, c.Bool("explain"))
	default:
		showDurabilities(e.out, answers)
	}
	return nil
}

func schemesOf(text string) ([]erasure.Scheme, error) {
	var list []erasure.Scheme
	for name := range strings.SplitSeq(text, ",") {
		s, err := erasure.ParseModelled(strings.TrimSpace(name))
		if err != nil {
			return nil, fmt.Errorf("--scheme: %w", err)
		}
		list = append(list, s)
	}
	return list, nil
}

func durabilityOf(c *cli.Context, scheme erasure.Scheme) (durabilityAnswer, error) {
	s, profile, err := systemOf(c, scheme)
	if err != nil {
		return durabilityAnswer{}, err
	}
	if p := c.Float64("parked"); !(p >= 0 && p <= 1) {
		return durabilityAnswer{}, usage("--parked %v: want a part from 0 to 1", p)
	}
	r, err := durability.Evaluate(s)
	if err != nil {
		return durabilityAnswer{}, fmt.Errorf("%v: %w", scheme, err)
	}
	var simulated *durability.Evidence
	var against *ratioAnswer
	if m, asked, err := simulationOf(c); err != nil {
		return durabilityAnswer{}, err
	} else if asked {
		e, err := durability.Simulate(s, m)
		if err != nil {
			return durabilityAnswer{}, fmt.Errorf("%v: %w", scheme, err)
		}
		simulated = &e
		if text := c.String("against"); text != "" {
			if against, err = simulateAgainst(c, s, text, m); err != nil {
				return durabilityAnswer{}, err
			}
		}
	}
	afr, source := energy.Default, "Drive Stats reports; HC580 manual"
	if c.String("afr") != "" {
		afr, source = energy.Input, "--afr"
	}
	of := func(b durability.Band, unit string) energy.Estimate {
		return energy.Estimate{Low: b.Low, Typical: b.Typical, High: b.High, Unit: unit, Status: energy.Model, Source: "AFR " + string(afr) + ": " + source}
	}
	return durabilityAnswer{
		Scheme: scheme.String(), scheme: scheme,
		NinesIndependent: of(r.Independent.Nines, "nines a year"), NinesBursts: of(r.WithBursts.Nines, "nines a year"), NinesDisasters: of(r.WithSites.Nines, "nines a year"),
		NOMDL: of(r.WithSites.NOMDL, "of the stored bytes a year"), PDLAny: of(r.PDLAny, "a year"),
		Availability: 1 - r.Availability.Unreadable, FailuresSurvived: r.Survives.Shards, SitesSurvived: r.Survives.Sites, LeftOver: r.Survives.LeftOver,
		RebuildHours: r.Repair.TotalH, Detail: r,
		Energy:    r.Traffic.Energy(intensities(profile, c.Float64("parked")), r.System.AFR.Typical*float64(r.System.Disks), r.Repair.Readers, r.Repair.TransferH),
		Simulated: simulated, Against: against, Sources: durabilitySources,
	}, nil
}

// simulateAgainst lays another scheme, on disks of its own for the same terabytes, beside a system.
func simulateAgainst(c *cli.Context, s durability.System, text string, m durability.Simulation) (*ratioAnswer, error) {
	others, err := schemesOf(text)
	if err != nil {
		return nil, usageError{fmt.Errorf("--against: %w", err)}
	}
	if len(others) != 1 {
		return nil, usage("--against %q: want one scheme", text)
	}
	other, _, err := systemOf(c, others[0])
	if err != nil {
		return nil, err
	}
	r, err := durability.Ratio(s, other, m)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", others[0], err)
	}
	return &ratioAnswer{others[0].String(), r}, nil
}

// intensities are what repair costs on drives of a profile, of which a part is in standby.
func intensities(p energy.Profile, parked float64) durability.Intensities {
	core, meter, band := energy.CoreWatts, energy.NewMeter(p), func(e energy.Estimate) durability.Band {
		return durability.Band{Low: e.Low, Typical: e.Typical, High: e.High}
	}
	cpu := durability.DefaultCPUSeconds
	i := durability.Intensities{
		WANKWhPerGB: durability.DefaultWAN, LANKWhPerGB: durability.DefaultLAN, Parked: parked, SpinUpJ: band(meter.StartJ),
		CPUJPerGB: durability.Band{Low: cpu.Low * core.Low, Typical: cpu.Typical * core.Typical, High: cpu.High * core.High},
	}
	if awake, asleep := meter.Watts[energy.Idle], meter.Watts[energy.Standby]; awake.Typical > asleep.Typical {
		i.AwakeW = durability.Band{Low: math.Max(0, awake.Low-asleep.High), Typical: awake.Typical - asleep.Typical, High: awake.High - asleep.Low}
	}
	seq, idle := p.Estimate(energy.Sequential), p.Estimate(energy.Idle)
	rate := p.SeqMBs
	if rate == 0 {
		rate = 250
	}
	j := func(w float64) float64 { return math.Max(0, w) * 1000 / rate }
	typical := seq.Typical - idle.Typical
	spread := math.Hypot(seq.High-seq.Typical, idle.Typical-idle.Low)
	i.DiskJPerGB = durability.Band{Low: j(typical - spread), Typical: j(typical), High: j(typical + spread)}
	return i
}

var durabilitySources = map[string]string{
	"afr":          "0.35 % rated (Ultrastar DC HC580 manual); 1.57 % in the Backblaze fleet in 2024; 2.28 % in its second quarter of 2023",
	"bursts":       "a power outage a year and site after which 1 % of the hosts do not return: as SimEDC assumes",
	"disasters":    "0.001 a year and site, 30 days until hardware stands again: defaults of Ceph's reliability model; a factor of three either way is assumed",
	"latent":       "scrubs of GFS find a bad checksum in 1e-6 to 1e-7 of old blocks; 3e-7 is between",
	"detection":    "10 min: Ceph's mark-out",
	"disk share":   "0.2 of the sequential rate: Ceph's 50 MB/s of 250 MB/s",
	"links":        "10 Gb/s a site and 5 Gb/s a host for repair: assumed",
	"availability": "hosts away every 2,890.8 h for 0.25 h, sites once a year for 15 h: as SimEDC assumes",
	"cpu energy":   "0.2 to 2.4 s of a core for a GB made anew (2.4: SeaweedFS's ec.encode, measured; the others assumed), at 2.1 to 10 W a core",
	"lan energy":   "a card of 8 to 25 W (assumed) at 100 to 10 Gb/s, at both ends; allocated only, since its power hardly follows its traffic",
	"wan energy":   "0 (capacity is lit already) to 0.001 kWh/GB (Cloud Carbon Footprint)",
}

func tb(v float64) string {
	switch {
	case v >= 1000:
		return brief(v/1000) + " PB"
	default:
		return brief(v) + " TB"
	}
}

func span(hours float64) string {
	switch {
	case hours < 2:
		return fmt.Sprintf("%.0f min", hours*60)
	case hours < 72:
		return fmt.Sprintf("%.1f h", hours)
	case hours < 2*durability.YearHours:
		return fmt.Sprintf("%.0f days", hours/24)
	}
	return fmt.Sprintf("%.1f years", hours/durability.YearHours)
}

func ninesText(v float64) string {
	if v >= durability.MaxNines {
		return fmt.Sprintf("> %.0f", durability.MaxNines)
	}
	return fmt.Sprintf("%.1f", v)
}

func lossText(v float64) string {
	if v == 0 {
		return "0"
	}
	return fmt.Sprintf("%.1e", v)
}

func layoutText(layout []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(layout), " ", "+"), "[]")
}

func mayLose(s durability.Survival) string {
	if s.Sites == 0 && s.Racks == 0 {
		return fmt.Sprintf("any %s, no whole site", count(s.Shards, "shard"))
	}
	if s.Racks > 0 {
		without := s
		without.Racks = 0
		return fmt.Sprintf("%s; any %s", mayLose(without), count(s.Racks, "rack"))
	}
	if s.LeftOver == 0 {
		return "any " + count(s.Sites, "site") + ", with nothing left over"
	}
	return fmt.Sprintf("any %s and then any %s", count(s.Sites, "site"), count(s.LeftOver, "shard"))
}

// brief prints up to four digits and no zeros for show.
func brief(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1e4 && a < 1e9:
		return fmt.Sprintf("%.0f", v)
	case v != 0 && a < 1e-4:
		return fmt.Sprintf("%.3g", v)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// show writes the answer for people.
func (a durabilityAnswer) show(w io.Writer, explain bool) {
	r := a.Detail
	s := r.System
	fmt.Fprintf(w, "%s over %s (%s), %d disks of %s in %d hosts, fill %.2g: %s stored, %.2fx raw\n",
		a.Scheme, count(len(r.Layout), "site"), layoutText(r.Layout), s.Disks, tb(s.CapacityTB), s.Hosts*s.Sites, s.Fill, tb(r.StoredTB), s.Code.Overhead())
	fmt.Fprintf(w, "reads survive %s; writes %s\n\n", mayLose(r.Survives), mayLose(r.WritesSurvive))
	t := newTable("lost in a year", "nines", "low", "high", "share of the stored bytes")
	for _, row := range []struct {
		name string
		f    durability.Figure
	}{
		{"disks, one by one", r.Independent},
		{"and bursts" + burstText(s.Bursts), r.WithBursts},
		{fmt.Sprintf("and site disasters (%s a year and site)", brief(s.SiteRate.Typical)), r.WithSites},
	} {
		t.AppendRow([]any{row.name, ninesText(row.f.Nines.Typical), ninesText(row.f.Nines.Low), ninesText(row.f.Nines.High), lossText(row.f.NOMDL.Typical)})
	}
	show(w, t)
	fmt.Fprintf(w, "\nAFR %s–%s %%, typically %s %%; probability that anything is lost %s (%s–%s); on average %s a year\n", brief(100*s.AFR.Low), brief(100*s.AFR.High),
		brief(100*s.AFR.Typical), lossText(r.PDLAny.Typical), lossText(r.PDLAny.Low), lossText(r.PDLAny.High), bytesText(r.LostGBYear.Typical))
	p := r.Repair
	fmt.Fprintf(w, "disk repair   %s (%s to notice, %s to move, bound by %s); stripes that stand no more: %s\n", span(p.TotalH), span(p.DetectH), span(p.TransferH), p.BoundBy, span(p.Critical))
	if len(r.Layout) > 1 {
		fmt.Fprintf(w, "site return   %s (%s for hardware, then %s over %s Gb/s)\n", span(p.SiteH), span(s.Repair.ReplaceH), tb(p.SiteTB), brief(s.Repair.WANGbps))
	}
	fmt.Fprintf(w, "availability  reads %s nines (%.3g minutes a year away), writes %s nines, by outages that end by themselves\n",
		ninesText(r.Availability.ReadNines), r.Availability.ReadMinutes, ninesText(r.Availability.WriteNines))
	f := r.Traffic
	fmt.Fprintf(w, "repair moves  %s lost, %s read, %s written, %s over the WAN a year; a site's return %s\n", tb(f.LostTB), tb(f.ReadTB), tb(f.WrittenTB), tb(f.WANTB+f.SiteWANTB), tb(f.SiteTB))
	g := a.Energy
	fmt.Fprintf(w, "its energy    %s kWh a year marginal (drives %s, processors %s, drives woken %s); with networks allocated %s (%s–%s: LAN %s, WAN %s)\n",
		brief(g.Marginal.Typical), brief(g.DiskKWh.Typical), brief(g.CPU.Typical), brief(g.SpinUps.Typical),
		brief(g.Allocated.Typical), brief(g.Allocated.Low), brief(g.Allocated.High), brief(g.LAN.Typical), brief(g.WANAllocated.Typical))
	fmt.Fprintf(w, "scrubs read   %s a year\n", tb(f.ScrubTB))
	if a.Simulated != nil {
		a.showSimulated(w)
	}
	if a.Against != nil {
		a.Against.show(w, a.Scheme)
	}
	for _, note := range r.Approximate {
		fmt.Fprintln(w, "note          "+note)
	}
	fmt.Fprintln(w, "\nNot in the nines: "+strings.Join(r.NotCovered, "; ")+".")
	if explain {
		a.explain(w)
	}
}

// showSimulated writes a simulated figure with its evidence, beside the exact one.
func (a durabilityAnswer) showSimulated(w io.Writer) {
	e := a.Simulated
	nines := "no nines: " + e.Thin
	if e.Nines != nil {
		nines = fmt.Sprintf("%s nines", ninesBand(*e.Nines))
	}
	fmt.Fprintf(w, "simulated     %s (95 %%: %s–%s), %s; the chain says %s\n", lossText(e.Point), lossText(e.Low), lossText(e.High), nines, lossText(e.Exact))
	fmt.Fprintf(w, "              %d cycles, %d hits, effective %.0f, relative error %.1f %%, largest weight %.1f %%, seed %d\n", e.Runs, e.Hits, e.ESS, 100*e.RelError, 100*e.Largest, e.Seed)
	for _, s := range e.Strata {
		fmt.Fprintf(w, "              begun by %s: %s a year, of which %s are lost\n", s.Name, brief(s.Rate), lossText(s.Loss))
	}
}

// show writes the ratio with its interval, beside that of the chains.
func (r ratioAnswer) show(w io.Writer, scheme string) {
	e := r.Ratio
	if e.Point == 0 {
		fmt.Fprintf(w, "against       %s: no ratio: %s\n", r.Scheme, e.Thin)
		return
	}
	fmt.Fprintf(w, "against       %s: %s loses %s of what it does (95 %%: %s–%s); the chains say %s\n", r.Scheme, scheme, brief(e.Point), brief(e.Low), brief(e.High), brief(e.Exact))
	fmt.Fprintf(w, "              same random numbers: correlation %.2f, relative error %.1f %% where figures apart have %.1f %%\n", e.Correlation, 100*e.RelError, 100*e.Apart)
	if e.Thin != "" {
		fmt.Fprintln(w, "              thin: "+e.Thin)
	}
}

func bytesText(gb float64) string {
	units := []string{"GB", "MB", "kB", "bytes"}
	for i, u := range units {
		if gb >= 1 || i == len(units)-1 {
			if gb < 1 {
				return "less than a byte"
			}
			return brief(gb) + " " + u
		}
		gb *= 1000
	}
	return ""
}

func burstText(list []durability.Burst) string {
	var names []string
	for _, b := range list {
		names = append(names, fmt.Sprintf("%s: %s a year and %s, %s %% of its hosts", b.Name, brief(b.Rate*durability.YearHours), cmp.Or(string(b.Domain), "site"), brief(100*b.Share)))
	}
	if len(names) == 0 {
		return " (none)"
	}
	return " (" + strings.Join(names, "; ") + ")"
}

func (a durabilityAnswer) explain(w io.Writer) {
	r := a.Detail
	fmt.Fprintf(w, "\nA stripe is lost when its losses cannot be decoded. State: losses at each site; up: shards left x AFR/8766 h,\nbursts, disasters; down: repair, shared over the disks, stripes that lost the most first. Solved exactly, by additions only.\n")
	fmt.Fprintf(w, "repair: %.0f disks write at %s MB/s each; a lost shard costs %s reads\n", r.Repair.Width, brief(r.System.Repair.DiskMBs*r.System.Repair.DiskShare), brief(r.System.Code.Reads()))
	fmt.Fprintf(w, "placement groups: %s distinct stripe sets; any-loss counts independent failures once for each, a disaster once\n", brief(r.PlacementGroup))
	if r.MTTDLYears != nil {
		fmt.Fprintf(w, "mean time to loss of one set by independent failures: %.2e years (a rate, not a lifetime)\n", *r.MTTDLYears)
	}
	fmt.Fprintln(w, "\nSources:")
	for _, k := range slices.Sorted(maps.Keys(a.Sources)) {
		fmt.Fprintf(w, "  %-13s %s\n", k, a.Sources[k])
	}
}

// showDurabilities writes several answers side by side.
func showDurabilities(w io.Writer, list []durabilityAnswer) {
	t := newTable("scheme", "raw", "layout", "survives", "independent", "bursts", "disasters", "any loss", "disk repair", "site return", "reads away min/y")
	for _, a := range list {
		r := a.Detail
		t.AppendRow([]any{a.Scheme, fmt.Sprintf("%.2fx", r.System.Code.Overhead()), layoutText(r.Layout), mayLose(r.Survives),
			ninesBand(r.Independent.Nines), ninesBand(r.WithBursts.Nines), ninesBand(r.WithSites.Nines), lossText(r.PDLAny.Typical),
			span(r.Repair.TotalH), span(r.Repair.SiteH), fmt.Sprintf("%.3g", r.Availability.ReadMinutes)})
	}
	show(w, t)
	fmt.Fprintln(w, "\nnines a year of the share of the stored bytes lost, low–high by AFR (and disasters). Not in them: "+strings.Join(durability.NotCovered, "; ")+".")
}

func ninesBand(b durability.Band) string {
	return fmt.Sprintf("%s (%s–%s)", ninesText(b.Typical), ninesText(b.Low), ninesText(b.High))
}
