package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/durability"
	"github.com/wattle-storage/wattle/energy"
	"github.com/wattle-storage/wattle/erasure"
	"github.com/wattle-storage/wattle/whatif"
)

func durabilityCommand() *cli.Command {
	return &cli.Command{
		Name: "durability", Usage: "say how likely stored bytes are to be lost, and what that leaves out", Category: "energy", ArgsUsage: "[check FILE.yaml | afr FILE.csv...]",
		Description: `Three figures, never one: by independent failures of disks, with bursts, with disasters of
whole sites. A RANGE is a number or LOW/TYPICAL/HIGH, also in percent. Times are 90m, 24h, 30d.

check runs a file of cases whose figures are known: each case with what was expected, what
came out, the tolerance and the verdict. It exits 1 when a case fails and 2 when one makes
no sense. The models and the format are in doc/durability.md.

afr counts failures and drive-days by model in daily files of a fleet, a row for each drive and
day with the columns model and failure, as Backblaze publishes them.

` + examples(
			"wattle durability",
			"wattle durability --scheme replica:3,rs:9+6,lrc:12+2+2 --sites 3 --usable 10PB",
			"wattle durability --scheme rs:10+4 --sites 1 --afr 0.4%/1.5%/2.5% --repair 24h --burst none",
			"wattle durability --scheme rs:9+6 --wan 1 --explain",
			"wattle durability --scheme rs:6+3 --simulate --lifetime bathtub --batch 10%:5 --seed 7",
			"wattle durability --scheme rs:9+6 --simulate --against replica:3",
			"wattle durability --racks 4 --burst power:1:1% --burst fire:0.001:100%@rack",
			"wattle durability --scheme product:10+4x3,rs:9+6",
			"wattle durability check durability/testdata/cases.yaml",
			"cat 2026-*.csv | wattle durability afr -"),
		Flags: append(systemFlags(),
			&cli.StringFlag{Name: "scheme", Value: "rs:9+6", Usage: "`SCHEMES`, with commas; also product:DATA+PARITYxSITES, rows of rs and XOR over the sites, which is modelled and not written"},
			&cli.Float64Flag{Name: "parked", Usage: "`PART` of the drives in standby, 0 to 1, that repair wakes"},
			&cli.BoolFlag{Name: "simulate", Usage: "simulate too: fixed repair times, shared bandwidth, ages and batches"},
			&cli.StringFlag{Name: "against", Usage: "simulate another `SCHEME` with the same random numbers, and give the ratio of the losses"},
			&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "`SEED` of the simulation"},
			&cli.IntFlag{Name: "cycles", Value: 4000, Usage: "`N` cycles for each kind of beginning"},
			&cli.StringFlag{Name: "lifetime", Value: "constant", Usage: "how failures go with age: constant, bathtub or weibull:`SHAPE`"},
			&cli.Float64Flag{Name: "fleet-age", Value: 5, Usage: "`YEARS`: the fleet's ages lie evenly from 0 to this"},
			&cli.StringFlag{Name: "batch", Usage: "`SHARE:FACTOR` of the disks, site by site, that fail so many times as often"},
			&cli.BoolFlag{Name: "explain", Usage: "show what was assumed, with sources, and what the figures are made of"}),
		Action: func(c *cli.Context) error {
			e := envOf(c)
			if c.Args().First() == "check" {
				if err := arguments(c, 2, 2, "check and one file (- for stdin)"); err != nil {
					return err
				}
				return checkCases(e, c.Args().Get(1))
			}
			if c.Args().First() == "afr" {
				if err := arguments(c, 2, -1, "afr and files (- for stdin)"); err != nil {
					return err
				}
				return fleetAFR(e, c)
			}
			if err := arguments(c, 0, 0, "no arguments, or check and a file, or afr and files"); err != nil {
				return err
			}
			return runDurability(e, c)
		},
	}
}

// systemFlags describe where shards lie.
func systemFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.IntFlag{Name: "sites", Value: 3, Usage: "`N` sites"},
		&cli.IntFlag{Name: "hosts", Usage: "`N` hosts a site (default: one for 12 disks)"},
		&cli.IntFlag{Name: "disks", Usage: "`N` disks at all sites (default: as many as --usable takes)"},
		&cli.StringFlag{Name: "usable", Value: "10PB", Usage: "`SIZE` that can be stored, where --disks is not given"},
		&cli.StringFlag{Name: "disk", Value: "seagate-x22-22tb", Usage: "drive `PROFILE`, also with a capacity: helium-5w@8TB"},
		&cli.Float64Flag{Name: "fill", Value: 0.7, Usage: "part of the raw capacity that holds shards, 0 to 1"},
	}, rateFlags()...)
}

// rateFlags describe what fails how often, and how it is repaired.
func rateFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "afr", Usage: "annual failure rate of a disk, `RANGE` such as 1.5% or 0.35%/1.57%/2.28% (default: that band)"},
		&cli.BoolFlag{Name: "afr-probability", Usage: "--afr is the probability to fail within a year, not failures in a drive-year"},
		&cli.StringFlag{Name: "repair", Usage: "`TIME` in which a lost disk's shards are made anew, in place of what follows from the disks and links"},
		&cli.StringFlag{Name: "detect", Value: "10m", Usage: "`TIME` until a disk is given up"},
		&cli.Float64Flag{Name: "disk-rate", Usage: "sequential `MB/S` of a disk (default: its profile's, or 250)"},
		&cli.Float64Flag{Name: "disk-share", Value: 0.2, Usage: "part of it that repair may take"},
		&cli.Float64Flag{Name: "host-net", Value: 5, Usage: "`GB/S` (gigabit) of a host's network that repair may take"},
		&cli.Float64Flag{Name: "wan", Value: 10, Usage: "`GB/S` (gigabit) of a site's link that repair may take"},
		&cli.BoolFlag{Name: "clustered", Usage: "a lost disk is rebuilt on one spare, not over all disks"},
		&cli.BoolFlag{Name: "unordered", Usage: "stripes that lost the most do not go first"},
		&cli.IntFlag{Name: "pgs", Value: 100, Usage: "`N` placement groups a disk"},
		&cli.StringFlag{Name: "site-rate", Usage: "disasters of a site in a year, `RANGE`; 0 for none (default 0.0003/0.001/0.003)"},
		&cli.StringFlag{Name: "site-replace", Value: "30d", Usage: "`TIME` until a destroyed site's hardware stands again"},
		&cli.StringFlag{Name: "site-return", Usage: "`TIME` until a destroyed site is back whole, in place of that and its bytes over --wan"},
		&cli.StringSliceFlag{Name: "burst", Usage: "`NAME:RATE:SHARE[@DOMAIN]` a burst of so many a year that takes a share of the hosts of a site, or of a feed, rack or host at one, or none (default power:1:1%)"},
		&cli.IntFlag{Name: "racks", Usage: "`N` racks a site, over which a stripe's shards lie evenly (default: unknown)"},
		&cli.IntFlag{Name: "feeds", Usage: "`N` power feeds a site, of which each host hangs on one (default: unknown)"},
		&cli.Float64Flag{Name: "latent", Value: durability.DefaultLatent, Usage: "`PROBABILITY` that a shard is unreadable when needed, at 30 days between scrubs; 0 for none"},
		&cli.StringFlag{Name: "scrub", Value: "30d", Usage: "`TIME` between scrubs"},
		&cli.Float64Flag{Name: "uber", Usage: "unreadable bits in a bit read, beside --latent, such as 1e-15"},
		&cli.IntFlag{Name: "margin", Value: 1, Usage: "losses that a write must still stand"},
	}
}

// systemOf reads the flags for a scheme.
func systemOf(c *cli.Context, scheme erasure.Scheme) (s durability.System, p energy.Profile, err error) {
	if s, err = baseOf(c); err != nil {
		return s, p, err
	}
	name, size, sized := strings.Cut(c.String("disk"), "@")
	if p, err = energy.Lookup(name); err != nil {
		return s, p, usageError{fmt.Errorf("--disk: %w", err)}
	}
	s.Code, s.Sites, s.Hosts, s.Disks, s.CapacityTB, s.Fill = whatif.CodeOf(scheme), c.Int("sites"), c.Int("hosts"), c.Int("disks"), p.CapacityTB, c.Float64("fill")
	if sized {
		if s.CapacityTB, err = terabytes("disk", size); err != nil {
			return s, p, err
		}
	}
	if s.CapacityTB == 0 {
		return s, p, usage("--disk %s: the profile has no capacity; add one, such as %s@20TB", name, name)
	}
	if !c.IsSet("disk-rate") {
		s.Repair.DiskMBs = p.SeqMBs
	}
	return s, p, fleetOf(c, &s)
}

// baseOf reads what does not depend on scheme and disks: repair, and what fails how often.
func baseOf(c *cli.Context) (s durability.System, err error) {
	s = durability.System{
		Racks: c.Int("racks"), Feeds: c.Int("feeds"),
		UBER: c.Float64("uber"), Latent: c.Float64("latent"), NoLatent: c.Float64("latent") == 0, Margin: c.Int("margin"), NoMargin: c.Int("margin") == 0,
		Repair: durability.Repair{
			DiskMBs: c.Float64("disk-rate"), DiskShare: c.Float64("disk-share"), HostGbps: c.Float64("host-net"), WANGbps: c.Float64("wan"),
			PGsPerDisk: c.Int("pgs"), Clustered: c.Bool("clustered"), Unordered: c.Bool("unordered"),
		},
	}
	for flag, to := range map[string]*float64{"detect": &s.Repair.DetectH, "site-replace": &s.Repair.ReplaceH, "repair": &s.Repair.FixedH, "site-return": &s.Repair.SiteFixedH, "scrub": &s.ScrubDays} {
		if c.String(flag) != "" {
			if *to, err = hoursOf(flag, c.String(flag)); err != nil {
				return s, err
			}
		}
	}
	s.ScrubDays /= 24
	for flag, zero := range map[string]bool{
		"disk-share": s.Repair.DiskShare == 0, "host-net": s.Repair.HostGbps == 0, "wan": s.Repair.WANGbps == 0, "pgs": s.Repair.PGsPerDisk == 0,
		"disk-rate": c.IsSet("disk-rate") && s.Repair.DiskMBs == 0,
	} {
		if zero {
			return s, usage("--%s 0: want more than 0", flag)
		}
	}
	return s, ratesOf(c, &s)
}

// ratesOf reads what fails how often.
func ratesOf(c *cli.Context, s *durability.System) (err error) {
	if text := c.String("afr"); text != "" {
		if s.AFR, err = bandOf("afr", text); err != nil {
			return err
		}
		for _, v := range []*float64{&s.AFR.Low, &s.AFR.Typical, &s.AFR.High} {
			h, err := durability.AFR{Value: *v, Probability: c.Bool("afr-probability")}.PerHour()
			if err != nil {
				return usageError{fmt.Errorf("--afr: %w", err)}
			}
			*v = h * durability.YearHours
		}
	} else if c.Bool("afr-probability") {
		return usage("--afr-probability says what --afr is: give --afr too")
	}
	if text := c.String("site-rate"); text != "" {
		if s.SiteRate, err = bandOf("site-rate", text); err != nil {
			return err
		}
		s.NoDisasters = s.SiteRate == (durability.Band{})
	}
	for _, name := range []string{"racks", "feeds"} {
		if c.IsSet(name) && c.Int(name) < 1 {
			return usage("--%s %d: want 1 or more", name, c.Int(name))
		}
	}
	list := c.StringSlice("burst")
	if len(list) == 1 && list[0] == "none" {
		s.Bursts = []durability.Burst{}
		return nil
	}
	for _, text := range list {
		b, err := burstOf(text)
		if err != nil {
			return err
		}
		s.Bursts = append(s.Bursts, b)
	}
	return nil
}

// fleetOf works out the disks and hosts that were not given.
func fleetOf(c *cli.Context, s *durability.System) error {
	if s.Sites < 1 {
		return usage("--sites %d: want 1 or more", s.Sites)
	}
	if c.IsSet("disks") && s.Disks < 1 || c.IsSet("hosts") && s.Hosts < 1 {
		return usage("--disks %d, --hosts %d: want 1 or more", s.Disks, s.Hosts)
	}
	if c.IsSet("disks") && c.IsSet("usable") {
		return usage("--disks and --usable contradict each other: give one")
	}
	if s.Disks == 0 {
		usable, err := terabytes("usable", c.String("usable"))
		if err != nil {
			return err
		}
		const reserve = 0.1
		n := math.Ceil(usable * s.Code.Overhead() / (1 - reserve) / s.CapacityTB)
		if n > 1e8 {
			return usage("--usable %s on disks of %.4g TB: %.0f disks are more than 100,000,000", c.String("usable"), s.CapacityTB, n)
		}
		s.Disks = max(int(n), s.Code.N())
		s.Disks = (s.Disks + s.Sites - 1) / s.Sites * s.Sites
	}
	if s.Hosts == 0 {
		s.Hosts = max(1, s.Disks/s.Sites/12)
	}
	return nil
}

func terabytes(flag, text string) (float64, error) {
	tb, err := whatif.ParseTerabytes(text)
	if err != nil || tb <= 0 {
		return 0, usage("--%s %q: want a size such as 20TB", flag, text)
	}
	return float64(tb), nil
}

// hoursOf reads 90m, 24h, 30d or 2w.
func hoursOf(flag, text string) (float64, error) {
	unit := map[byte]float64{'s': 1.0 / 3600, 'm': 1.0 / 60, 'h': 1, 'd': 24, 'w': 168, 'y': durability.YearHours}
	if text != "" {
		if hours, ok := unit[text[len(text)-1]]; ok {
			if v, err := strconv.ParseFloat(text[:len(text)-1], 64); err == nil && v > 0 && v < 1e9 {
				return v * hours, nil
			}
		}
	}
	return 0, usage("--%s %q: want a time of more than 0 such as 90m, 24h or 30d", flag, text)
}

// bandOf reads a number or LOW/TYPICAL/HIGH, each also in percent.
func bandOf(flag, text string) (durability.Band, error) {
	var v []float64
	for part := range strings.SplitSeq(text, "/") {
		f, err := fraction(part)
		if err != nil || f < 0 {
			return durability.Band{}, usage("--%s %q: want a number of 0 or more, or LOW/TYPICAL/HIGH, such as 1.5%% or 0.4%%/1.5%%/2%%", flag, text)
		}
		v = append(v, f)
	}
	switch {
	case len(v) == 1:
		return durability.Point(v[0]), nil
	case len(v) == 3 && v[0] <= v[1] && v[1] <= v[2]:
		return durability.Band{Low: v[0], Typical: v[1], High: v[2]}, nil
	}
	return durability.Band{}, usage("--%s %q: want LOW/TYPICAL/HIGH in rising order", flag, text)
}

// fraction reads 0.015 or 1.5%.
func fraction(text string) (float64, error) {
	number, percent := strings.CutSuffix(strings.TrimSpace(text), "%")
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, fmt.Errorf("%q is not a number", text)
	}
	if percent {
		f /= 100
	}
	return f, nil
}

// simulationOf reads the flags of a simulation; false when none is asked for.
func simulationOf(c *cli.Context) (m durability.Simulation, asked bool, err error) {
	if !c.Bool("simulate") {
		for _, name := range []string{"against", "seed", "cycles", "lifetime", "fleet-age", "batch"} {
			if c.IsSet(name) {
				return m, false, usage("--%s is of a simulation: give --simulate too", name)
			}
		}
		return m, false, nil
	}
	m = durability.Simulation{Seed: c.Uint64("seed"), Cycles: c.Int("cycles"), AgeYears: c.Float64("fleet-age")}
	if m.Cycles == 0 || m.AgeYears == 0 {
		return m, true, usage("--cycles %d, --fleet-age %v: want more than 0", m.Cycles, m.AgeYears)
	}
	shape, weibull := strings.CutPrefix(c.String("lifetime"), "weibull:")
	switch {
	case weibull:
		f, err := strconv.ParseFloat(shape, 64)
		if err != nil || !(f > 0) {
			return m, true, usage("--lifetime %q: want a shape of more than 0, such as weibull:1.2", c.String("lifetime"))
		}
		m.Life = durability.WeibullLifetime(f)
	case shape == "bathtub":
		m.Life = durability.Bathtub
	case shape != "constant":
		return m, true, usage("--lifetime %q: want constant, bathtub or weibull:SHAPE", c.String("lifetime"))
	}
	if text := c.String("batch"); text != "" {
		share, factor, ok := strings.Cut(text, ":")
		s, err1 := fraction(share)
		f, err2 := fraction(factor)
		if !ok || err1 != nil || err2 != nil {
			return m, true, usage("--batch %q: want SHARE:FACTOR, such as 10%%:5", text)
		}
		m.Batch = durability.Batch{Share: s, Factor: f}
	}
	return m, true, nil
}

func burstOf(text string) (durability.Burst, error) {
	where, domain, within := strings.Cut(text, "@")
	known := map[string]durability.Domain{"site": durability.Site, "feed": durability.Feed, "rack": durability.Rack, "host": durability.Host}
	strikes, ok := known[domain]
	if parts := strings.Split(where, ":"); len(parts) == 3 && (ok || !within) {
		rate, err1 := fraction(parts[1])
		share, err2 := fraction(parts[2])
		if err1 == nil && err2 == nil && rate > 0 && rate < 1e4 && share > 0 && share <= 1 {
			return durability.Burst{Name: parts[0], Rate: rate / durability.YearHours, Share: share, Domain: strikes}, nil
		}
	}
	return durability.Burst{}, usage("--burst %q: want NAME:RATE:SHARE[@site|feed|rack|host] with so many a year and domain and a share of its hosts, such as power:1:1%% or fire:0.001:100%%@rack, or none", text)
}
