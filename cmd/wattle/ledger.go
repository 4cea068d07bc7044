package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/cluster"
	"github.com/wattle-storage/wattle/energy"
	"github.com/wattle-storage/wattle/gateway"
)

// groupings are what the ledger can be listed by.
var groupings = []string{"cause", "bucket", "user", "site", "drive"}

// A ledgerAnswer is the account since the cluster was made.
type ledgerAnswer struct {
	Since     time.Time               `json:"since"`
	At        time.Time               `json:"at"`
	Boundary  string                  `json:"boundary"`
	Status    energy.Status           `json:"status"`
	Joules    energy.Amount           `json:"joules"` // exact sum of the parts, by each key
	Band      energy.Estimate         `json:"band"`   // J
	KWh       float64                 `json:"kwh"`
	Spread    bool                    `json:"unallocated_spread"`
	By        map[string][]energy.Row `json:"by"`
	Seconds   map[string]float64      `json:"drive_seconds"` // by state, all drives
	Starts    int64                   `json:"starts"`
	CodingS   float64                 `json:"coding_seconds"`
	UnseenS   float64                 `json:"left_out_seconds"`
	Settings  ledgerSettings          `json:"settings"`
	Standby   []energy.Verdict        `json:"standby"`
	profiles  []string
	heldBytes map[string]int64
}

// ledgerSettings are the settings as a person writes them.
type ledgerSettings struct {
	SpinDown  string          `json:"spin_down"`
	Gap       string          `json:"gap"`
	CoreWatts energy.Estimate `json:"core_watts"`
}

func settingsOf(s energy.Settings) ledgerSettings {
	gap := "all"
	switch {
	case s.Gap == 0:
		gap = "none"
	case s.Gap > 0:
		gap = lasting(s.Gap)
	}
	return ledgerSettings{s.SpinDown.String(), gap, s.Core()}
}

// applySetting changes a setting as --set NAME=VALUE says.
func applySetting(s *energy.Settings, text string) error {
	name, value, ok := strings.Cut(text, "=")
	if !ok {
		return usage("--set %q: want NAME=VALUE", text)
	}
	switch name {
	case "spin-down":
		d, err := setLasting(value, "never", 0)
		if err != nil || d != 0 && d < time.Second {
			return usage("--set spin-down=%s: want never or a time of a second or more, such as 53m", value)
		}
		s.SpinDown.After = d
	case "gap":
		if value == "none" {
			s.Gap = 0
			return nil
		}
		d, err := setLasting(value, "all", -1)
		if err != nil || d == 0 {
			return usage("--set gap=%s: want all, none or a time, such as 24h or 7d", value)
		}
		s.Gap = d
	case "core-watts":
		w, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSuffix(value, "W"), " "), 64)
		if value == "default" {
			w = 0
		} else if err != nil || !(w > 0 && w <= 1000) {
			return usage("--set core-watts=%s: want watts of a core at work, above 0 and up to 1000, or default", value)
		}
		s.CoreW = w
	default:
		return usage("--set %s: want spin-down, gap or core-watts", name)
	}
	return nil
}

// setLasting reads a time, also in days, or a word that stands for special.
func setLasting(value, word string, special time.Duration) (time.Duration, error) {
	if value == word {
		return special, nil
	}
	if days, ok := strings.CutSuffix(value, "d"); ok {
		n, err := strconv.ParseFloat(days, 64)
		if err != nil || !(n > 0 && n <= 36500) {
			return 0, fmt.Errorf("%q is no number of days", days)
		}
		return time.Duration(n * 24 * float64(time.Hour)), nil
	}
	d, err := time.ParseDuration(value)
	if err == nil && (d < 0 || d > 100*energy.Year) {
		err = fmt.Errorf("%s is no time to wait", value)
	}
	return d, err
}

func ledgerReport(ctx context.Context, cl *cluster.Cluster, spread bool) (ledgerAnswer, error) {
	l, err := cl.Ledger()
	if err != nil {
		return ledgerAnswer{}, err
	}
	if err := l.Check(); err != nil {
		return ledgerAnswer{}, err
	}
	sum := l.Parts().Sum()
	a := ledgerAnswer{Since: l.Since.UTC(), At: l.At.UTC(), Boundary: energy.Boundary, Status: energy.Model, Joules: sum, Band: l.Band(),
		KWh: sum.Joules().KWh(), Spread: spread, By: map[string][]energy.Row{}, Seconds: map[string]float64{}, CodingS: l.CodingNS.Seconds(),
		UnseenS: l.Unseen.Seconds(), Settings: settingsOf(l.Settings), Standby: l.Rests(), profiles: l.Profiles(), heldBytes: map[string]int64{}}
	owners, err := ownersOf(ctx, cl)
	if err != nil {
		return a, err
	}
	for _, by := range groupings {
		if by == "user" {
			a.By[by] = l.ByUser(func(bucket string) string { return owners[bucket] }, spread)
			continue
		}
		if a.By[by], err = l.By(by, spread); err != nil {
			return a, err
		}
	}
	times, starts := l.TimesSum()
	a.Starts = starts
	for s, t := range times {
		if t > 0 {
			a.Seconds[energy.State(s).String()] = t.Seconds()
		}
	}
	for name, b := range l.Buckets {
		a.heldBytes[name] = b.Raw
	}
	return a, nil
}

// ownersOf returns the users that own buckets.
func ownersOf(ctx context.Context, cl *cluster.Cluster) (map[string]string, error) {
	names, err := cl.BucketNames(ctx)
	owners := map[string]string{}
	for _, name := range names {
		set, err := cl.Settings(ctx, name)
		if err != nil {
			return nil, err
		}
		owners[name] = gateway.OwnerOf(set.Values)
	}
	return owners, err
}

// showLedger prints the account by one key, with its sum.
func showLedger(w io.Writer, a ledgerAnswer, by string) {
	fmt.Fprintf(w, "since %s: %s = %s kWh in %s, modelled (boundary: %s)\n", a.Since.Format("2006-01-02 15:04 MST"), a.Band,
		kWh(a.KWh), lasting(a.At.Sub(a.Since)), a.Boundary)
	if a.UnseenS > 0 {
		fmt.Fprintf(w, "%s of that left out: nobody opened the cluster for longer than %s, so its drives are taken as shut down (--set gap=all counts them)\n",
			lasting(time.Duration(a.UnseenS*1e9)), a.Settings.Gap)
	}
	fmt.Fprintln(w)
	rows := a.By[by]
	causes := used(rows)
	if by == "cause" {
		causes = nil
		rows = slices.DeleteFunc(slices.Clone(rows), func(r energy.Row) bool { return r.Joules.IsZero() })
	}
	header := []any{by, "J", "kWh", "share"}
	if by == "bucket" {
		header = append(header, "raw held")
	}
	for _, c := range causes {
		header = append(header, c.String()+" J")
	}
	t := newTable(header...)
	line := func(r energy.Row, joules string) {
		cells := []any{r.Name, joules, kWh(r.KWh), fmt.Sprintf("%.2f %%", 100*r.Share)}
		if by == "bucket" {
			held := ""
			if n, ok := a.heldBytes[r.Name]; ok {
				held = size(n)
			}
			cells = append(cells, held)
		}
		for _, c := range causes {
			cells = append(cells, energy.Four(float64(r.Causes[c].Joules())))
		}
		t.AppendRow(cells)
	}
	total := energy.Row{Name: "sum", KWh: a.KWh, Share: 1, Joules: a.Joules}
	if a.Joules.IsZero() {
		total.Share = 0
	}
	var parts []energy.Amount
	for _, r := range rows {
		parts = append(parts, r.Joules)
		total.Causes.Add(r.Causes)
	}
	printed, whole := energy.Round(parts, 1e6)
	for i, r := range rows {
		line(r, thousands(printed[i]))
	}
	line(total, thousands(whole))
	show(w, t)
	verdict := "the parts sum to the whole, to the nanojoule"
	if total.Causes.Sum() != a.Joules {
		verdict = fmt.Sprintf("THE PARTS DO NOT SUM to the whole of %s J", a.Joules)
	}
	fmt.Fprintf(w, "\n%s\n", verdict)
	if by == "user" {
		fmt.Fprintf(w, "a user bears what it asked for, and of the buckets that it owns the rest; %s is of buckets that the command made\n", energy.NoUser)
	}
	if (by == "bucket" || by == "user") && !a.Spread {
		fmt.Fprintf(w, "%s is capacity that no object holds; --spread-unallocated shares it among the buckets\n", energy.Unallocated)
	}
}

// kWh prints an amount that may be very small.
func kWh(v float64) string {
	if v > 0 && v < 0.001 {
		return fmt.Sprintf("%.3g", v)
	}
	return energy.Four(v)
}

// used lists the causes that any row has.
func used(rows []energy.Row) (list []energy.Cause) {
	for _, c := range energy.Causes() {
		if slices.ContainsFunc(rows, func(r energy.Row) bool { return !r.Causes[c].IsZero() }) {
			list = append(list, c)
		}
	}
	return list
}

// thousands prints joules with three decimals, grouped.
func thousands(a energy.Amount) string {
	whole, part, _ := strings.Cut(a.String(), ".")
	if n, err := strconv.ParseInt(whole, 10, 64); err == nil {
		whole = humanize.Comma(n)
	}
	return whole + "." + (part + "000")[:3]
}

// lasting prints a time in its two largest units.
func lasting(d time.Duration) string {
	d = d.Round(time.Second)
	day := 24 * time.Hour
	switch {
	case d >= 2*day && d%day < time.Hour:
		return fmt.Sprintf("%dd", d/day)
	case d >= 2*day:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	case d >= time.Hour:
		s := strings.TrimSuffix(d.Truncate(time.Minute).String(), "0s")
		return strings.TrimSuffix(s, "h0m") + map[bool]string{true: "h"}[strings.HasSuffix(s, "h0m")]
	}
	return d.String()
}

// showStates prints how the drives spent their time, and whether stopping them pays.
func showStates(w io.Writer, a ledgerAnswer) {
	var parts []string
	for s := energy.State(0); int(s) < 16; s++ {
		if t := a.Seconds[s.String()]; t > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", strings.ReplaceAll(s.String(), "_", " "), drives(t)))
		}
	}
	fmt.Fprintf(w, "\ntime of the drives: %s; %s; spin-down: %s (--set spin-down=53m changes it)\n", strings.Join(parts, ", "), count(int(a.Starts), "start"), a.Settings.SpinDown)
	for _, v := range a.Standby {
		fmt.Fprintf(w, "stopping %s: %s\n", v.Profile, v.Words)
		if v.Warning != "" {
			fmt.Fprintf(w, "  %s\n", v.Warning)
		}
	}
}

// drives prints seconds of drives together.
func drives(t float64) string {
	if t < 3600 {
		return energy.Four(t) + " s"
	}
	return energy.Four(t/3600) + " h"
}

func showMeasured(w io.Writer, list []energy.Measured) {
	if len(list) == 0 {
		fmt.Fprintln(w, "\nmeasured: this machine gives no power readings (no RAPL zone in /sys/class/powercap, no power sensor in /sys/class/hwmon)")
		return
	}
	fmt.Fprintln(w, "\nmeasured by this machine, whatever it does; no part of the model above, and drives as a rule are not in it:")
	for _, m := range list {
		switch {
		case m.Reason != "":
			fmt.Fprintf(w, "  %s (%s): %s\n", m.Name, m.Kind, m.Reason)
		case m.Over > 0:
			fmt.Fprintf(w, "  %s (%s): %s over %s\n", m.Name, m.Kind, energy.Watts(m.Watts), time.Duration(m.Over*1e9).Round(time.Millisecond))
		default:
			fmt.Fprintf(w, "  %s (%s): %s\n", m.Name, m.Kind, energy.Watts(m.Watts))
		}
	}
}

func explainLedger(w io.Writer, a ledgerAnswer) {
	fmt.Fprintln(w, `
ledger: each drive is active, starting, idle, in standby or off; joules = sum over drives of time by state × watts of the state
active time = reads that seek × seek + (writes that seek + syncs) × seek + bytes / sequential rate: counted I/Os, no clock; work queues
idle time = what the clock leaves; standby from the spin-down time after the last I/O on; a drive out of service draws nothing
idle joules go to buckets by the raw bytes that their objects take under the scheme (copies and old versions count), the rest of the
capacity is (unallocated); put, get and coding joules go to their bucket, of a batch by bytes; repair, scrub, rebalance, upkeep by raw bytes held
all is counted in whole nanojoules, split by the largest remainder
band: each input alone at its low and high end, deviations of the logarithms in quadrature`)
	fmt.Fprintf(w, "coding = %s s of processor time × %s [%s: %s]\n", energy.Four(a.CodingS), a.Settings.CoreWatts, a.Settings.CoreWatts.Status, a.Settings.CoreWatts.Source)
	fmt.Fprintf(w, "time in which no process had the cluster open counts up to %s at a time\n", a.Settings.Gap)
	for _, name := range a.profiles {
		m := energy.MeterOf(name)
		fmt.Fprintf(w, "%s:\n", name)
		for _, s := range []energy.State{energy.Idle, energy.Active, energy.RandomWrite, energy.Sequential, energy.SequentialWrite, energy.Standby} {
			fmt.Fprintf(w, "  %-16s %s [%s: %s]\n", s, m.Watts[s], m.Watts[s].Status, m.Watts[s].Source)
		}
		for _, x := range []struct {
			name string
			e    energy.Estimate
		}{{"seek to read", m.ReadMS}, {"seek to write", m.WriteMS}, {"sequential rate", m.MBs}, {"start", m.StartJ}, {"time to start", m.StartS}} {
			fmt.Fprintf(w, "  %-16s %s [%s: %s]\n", x.name, x.e, x.e.Status, x.e.Source)
		}
		if r := m.Rest(); r.BreakEven > 0 {
			fmt.Fprintf(w, "  a stop saves %s and pays from %s on; rated starts last %d years at one every %s, so: --set spin-down=%s or more\n",
				r.Saves, lasting(r.BreakEven), energy.RatedYears, lasting(r.Budget), lasting(r.Timer().After.Round(time.Minute)))
		}
	}
}

// measure reads the machine's meters twice, wait apart.
func measure(wait time.Duration) []energy.Measured {
	sys := os.DirFS("/sys")
	a := energy.ReadMeters(sys, time.Now())
	if wait <= 0 {
		return energy.Between(a, a)
	}
	time.Sleep(wait)
	return energy.Between(a, energy.ReadMeters(sys, time.Now()))
}

// told says the energy of a request.
func told(s cluster.Spent) string {
	text := fmt.Sprintf("%s modelled (%s)", energy.Joules(s.Joules), s.Boundary)
	if s.Starts > 0 {
		text += fmt.Sprintf(", %s started", count(int(s.Starts), "drive"))
	}
	return text
}

var verboseFlag = &cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "say the energy that it took, as modelled"}
