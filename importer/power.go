package importer

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Reading is the measured power of a server, or of a drive.
type Reading struct {
	Host   string
	From   string    // the meter: redfish, ipmi, kepler, csv, telemetry
	Phase  string    // "idle", "load" or "" when not told
	At     time.Time // zero when not told
	Watts  float64
	Drives int // in the server, 0 when not told
	Drive  bool
	shared string // chassis that several servers share
}

// Plausible watts of a server and of a drive: sensors were seen to read 160,000 W, and 0.
const (
	mostServerW  = 20000
	leastServerW = 5
	mostDriveW   = 60
)

// maxReadings bounds a calibration.
const maxReadings = 1 << 21

// ReadPower reads files of power readings: Redfish, Prometheus text (ipmi_dcmi, Kepler), CSV
// and openSeaChest's telemetry. Implausible readings are left out and told.
func ReadPower(files []File) (list []Reading, warnings []string, err error) {
	p := power{}
	for _, f := range files {
		if err := p.file(f); err != nil {
			return nil, nil, err
		}
	}
	for _, n := range p.warn {
		p.warnings = append(p.warnings, n.String())
	}
	if len(p.list) == 0 {
		return nil, nil, fmt.Errorf("%w: no power readings were found%s", ErrInput, tail(p.warnings))
	}
	return p.list, p.warnings, nil
}

func tail(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return ": " + strings.Join(list[:min(3, len(list))], "; ")
}

type power struct {
	list     []Reading
	warn     notes
	warnings []string
	at       File
}

func (p *power) file(f File) error {
	rc, err := f.Open()
	if err != nil {
		return &FileError{f.Name, "", err}
	}
	defer rc.Close()
	in, err := unpack(rc)
	if err != nil {
		return &FileError{f.Name, "", err}
	}
	kind, err := in.detect()
	p.at = f
	if err == nil {
		switch kind {
		case Redfish:
			err = p.redfish(in)
		case Prometheus:
			err = p.prometheus(in)
		case PowerCSV:
			err = p.csv(in)
		case Telemetry:
			err = p.telemetry(in)
		case IPMI:
			err = p.dcmi(in)
		default:
			err = errors.New("says nothing of power: give it to `wattle import`, or here as --cluster")
		}
	}
	if err != nil {
		return &FileError{f.Name, kind, err}
	}
	return nil
}

// add keeps a reading that can be.
func (p *power) add(r Reading) error {
	most, least, what := float64(mostServerW), float64(leastServerW), "server"
	if r.Drive {
		most, least, what = mostDriveW, 0.05, "drive"
	}
	if !(r.Watts >= least && r.Watts <= most) {
		p.warn.add(r.From, "%s W cannot be of a %s, left out", strconv.FormatFloat(r.Watts, 'g', 4, 64), what)
		return nil
	}
	if len(p.list) >= maxReadings {
		return fmt.Errorf("more than %d readings", maxReadings)
	}
	r.Host, r.Phase = clean(r.Host), strings.ToLower(clean(r.Phase))
	if r.Phase != "" && r.Phase != "idle" && r.Phase != "load" {
		return fmt.Errorf("phase %q: want idle or load", r.Phase)
	}
	p.list = append(p.list, r)
	return nil
}

// redfish reads the Power resource of a chassis. Supplies that feed several servers, and a
// PowerControl for each of them with the same figure, are counted once.
func (p *power) redfish(in *input) error {
	miss := notes{}
	w := newWalk(in, &miss)
	for {
		n, err := w.value("redfish")
		if err != nil {
			return err
		}
		host := or(p.at.Host, n.text("HostName", "SystemName"))
		if _, newer := n.get("PowerWatts"); newer {
			if err := p.environment(n, host); err != nil {
				return err
			}
			if !w.more() {
				return nil
			}
			continue
		}
		seen, sum := map[float64]bool{}, 0.0
		for _, c := range n.list("PowerControl") {
			v, ok := c.num("PowerConsumedWatts")
			if !ok {
				v, ok = c.at("PowerMetrics").num("AverageConsumedWatts")
			}
			if !ok {
				continue
			}
			if partOfServer.MatchString(c.text("Name") + " " + c.text("PhysicalContext")) {
				p.warn.add("redfish", "PowerControl entries of processors, memory or fans, which the server's holds already: left out")
				continue
			}
			if seen[v] {
				p.warn.add("redfish", "several PowerControl entries read the same: one chassis, counted once")
				continue
			}
			seen[v] = true
			sum += v
		}
		supplies := 0.0
		for _, s := range n.list("PowerSupplies") {
			v, ok := s.num("PowerInputWatts", "LineInputWatts")
			if ok {
				supplies += v
			}
		}
		switch {
		case sum == 0 && supplies == 0:
			p.warn.add("redfish", "neither PowerConsumedWatts nor PowerInputWatts")
		case sum == 0:
			sum = supplies
		case supplies > 1.7*sum:
			p.warn.add("redfish", "the supplies read %.1f times what the chassis does: they are shared, the chassis is believed", supplies/sum)
		}
		if sum > 0 {
			if err := p.add(Reading{Host: host, From: "redfish", Watts: sum}); err != nil {
				return err
			}
		}
		if !w.more() {
			return nil
		}
	}
}

// partOfServer is what a reading is called that is of a part of a server.
var partOfServer = regexp.MustCompile(`(?i)\b(CPU|processor|memory|DIMM|GPU|accelerator|fan|sub-?system)`)

// environment reads the EnvironmentMetrics of newer servers: of a chassis, or of a drive.
func (p *power) environment(n node, host string) error {
	v, ok := n.at("PowerWatts").num("Reading")
	at := n.text("@odata.id")
	switch of := at + " " + n.text("Name"); {
	case !ok:
		p.warn.add("redfish", "PowerWatts without a reading")
	case strings.Contains(at, "/Drives/"):
		return p.add(Reading{Host: host, From: "redfish", Drive: true, Watts: v})
	case strings.Contains(at, "/PowerEquipment/"):
		p.warn.add("redfish", "a distribution unit, which feeds servers that it does not name: left out")
	case partOfServer.MatchString(of) || strings.Contains(at, "/Processors/"):
		p.warn.add("redfish", "of a part of a server: left out")
	default:
		return p.add(Reading{Host: host, From: "redfish", Watts: v})
	}
	return nil
}

var dcmiLine = regexp.MustCompile(`(?i)^(?:instantaneous power reading|current power)\s*:\s*([\d.]+)\s*watts`)

// dcmi reads what `ipmitool dcmi power reading` and FreeIPMI's `ipmi-dcmi` print, once or over and over.
func (p *power) dcmi(in *input) error {
	sc := bufio.NewScanner(in)
	sc.Buffer(make([]byte, 64<<10), 1<<20)
	for sc.Scan() {
		m := dcmiLine.FindStringSubmatch(strings.TrimSpace(sc.Text()))
		if m == nil {
			continue
		}
		v, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return fmt.Errorf("%q is no number of watts", clean(m[1]))
		}
		if err := p.add(Reading{Host: p.at.Host, From: "ipmi", Watts: v}); err != nil {
			return err
		}
	}
	return sc.Err()
}

var metricLine = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+(-?\d+))?\s*$`)
var labelPair = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"`)

// prometheus reads lines such as kepler_platform_watts{node_name="a"} 412.
func (p *power) prometheus(in *input) error {
	sc := bufio.NewScanner(in)
	sc.Buffer(make([]byte, 64<<10), 1<<20)
	for line := 1; sc.Scan(); line++ {
		text := strings.TrimSpace(sc.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		m := metricLine.FindStringSubmatch(text)
		if m == nil {
			return fmt.Errorf("line %d: %q is no line of metrics", line, clean(text))
		}
		v, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			return fmt.Errorf("line %d: value %q", line, clean(m[3]))
		}
		from := ""
		switch {
		case m[1] == "ipmi_dcmi_power_consumption_watts":
			from = "ipmi"
		case m[1] == "kepler_platform_watts":
			from = "kepler"
		case strings.HasPrefix(m[1], "wattle_"):
			p.warn.add(m[1], "what Wattle modelled, not measured: left out")
			continue
		case strings.HasPrefix(m[1], "kepler_"):
			p.warn.add(m[1], "a part of a server, or of a drive nothing: left out")
			continue
		case strings.HasSuffix(m[1], "_watts") || strings.HasSuffix(m[1], "_watt"):
			from = m[1]
		default:
			continue
		}
		labels := map[string]string{}
		for _, l := range labelPair.FindAllStringSubmatch(m[2], -1) {
			labels[l[1]] = l[2]
		}
		r := Reading{From: from, Watts: v, Phase: labels["phase"], shared: labels["chassis_id"]}
		for _, k := range []string{"node_name", "nodename", "host", "node", "instance"} {
			if r.Host == "" {
				r.Host = labels[k]
			}
		}
		r.Host = or(hostOf(r.Host), p.at.Host)
		if m[4] != "" {
			ms, _ := strconv.ParseInt(m[4], 10, 64)
			r.At = time.UnixMilli(ms)
		}
		if err := p.add(r); err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
	}
	return sc.Err()
}

// csv reads watts with timestamp, host, phase and drives, as far as there are such columns.
func (p *power) csv(in *input) error {
	c := csv.NewReader(&lineGuard{r: in})
	c.ReuseRecord, c.TrimLeadingSpace, c.Comment, c.FieldsPerRecord = true, true, '#', -1
	header, err := c.Read()
	if err != nil {
		return err
	}
	col := map[string]int{}
	for i, h := range header {
		h = strings.ToLower(strings.TrimSpace(h))
		switch h {
		case "w", "power_w", "power":
			h = "watts"
		case "time":
			h = "timestamp"
		}
		col[h] = i
	}
	get := func(row []string, name string) string {
		i, ok := col[name]
		if !ok || i >= len(row) {
			return ""
		}
		return strings.Clone(strings.TrimSpace(row[i]))
	}
	for line := 2; ; line++ {
		row, err := c.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		text := get(row, "watts")
		if text == "" {
			p.warn.add("csv", "lines without watts (a gap), left out")
			continue
		}
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("line %d: watts %q: want a number", line, clean(text))
		}
		r := Reading{Host: or(get(row, "host"), p.at.Host), From: "csv", Phase: get(row, "phase"), Watts: v}
		if d := get(row, "drives"); d != "" {
			n, err := strconv.Atoi(d)
			if err != nil || n < 0 || n > 1000 {
				return fmt.Errorf("line %d: drives %q: want 0 to 1000", line, clean(d))
			}
			r.Drives = n
		}
		if at := get(row, "timestamp"); at != "" {
			if r.At, err = parseTime(at); err != nil {
				return fmt.Errorf("line %d: %w", line, err)
			}
		}
		if err := p.add(r); err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
	}
}

func parseTime(text string) (time.Time, error) {
	if v, err := strconv.ParseFloat(text, 64); err == nil && v > 0 && v < 1e11 {
		return time.UnixMilli(int64(v * 1000)), nil
	}
	return parseDay(text)
}

var numbers = regexp.MustCompile(`-?\d+(?:\.\d+)?`)

// telemetry reads openSeaChest's table of a drive: time, 5 V, 12 V and, last, their sum in watts.
func (p *power) telemetry(in *input) error {
	sc := bufio.NewScanner(in)
	sc.Buffer(make([]byte, 64<<10), 1<<20)
	last := -1.0
	for sc.Scan() {
		text := strings.TrimSpace(sc.Text())
		if text == "" || !(text[0] >= '0' && text[0] <= '9') {
			continue
		}
		var v []float64
		for _, n := range numbers.FindAllString(text, -1) {
			x, err := strconv.ParseFloat(n, 64)
			if err == nil {
				v = append(v, x)
			}
		}
		if len(v) < 3 {
			continue
		}
		if last >= 0 && v[0] > last+1 && v[0] == math.Trunc(v[0]) && last == math.Trunc(last) {
			p.warn.add("telemetry", "samples are missing")
		}
		last = v[0]
		total := v[len(v)-1]
		if len(v) >= 4 && math.Abs(v[len(v)-2]+v[len(v)-3]-total) > 0.05*math.Max(total, 1) {
			total = v[len(v)-2] + v[len(v)-1] // without a column of sums
		}
		if err := p.add(Reading{Host: p.at.Host, From: "telemetry", Drive: true, Watts: total, Phase: "idle"}); err != nil {
			return err
		}
	}
	return sc.Err()
}

// A Point is the mean of a server's or drive's readings in a phase.
type Point struct {
	Host   string  `json:"host,omitempty"`
	From   string  `json:"meter"`
	Phase  string  `json:"phase"`
	Drives int     `json:"drives"`
	Watts  float64 `json:"watts"`
	Spread float64 `json:"standard_error"`
	N      int     `json:"readings"`
	Drive  bool    `json:"of_a_drive,omitempty"`
	Model  float64 `json:"model"`
}

// Settling and window of the tender's protocol: ten minutes to settle, twenty of mean.
const (
	settle = 10 * time.Minute
	window = 20 * time.Minute
)

// Means takes the mean of each server and phase, by the protocol where the series is long
// enough, and drops what counts twice.
func Means(list []Reading) (points []Point, warnings []string) {
	var warn notes
	list = onceOnly(list, &warn)
	type key struct {
		host, from, phase string
		drives            int
		drive             bool
	}
	groups := map[key][]Reading{}
	var keys []key
	for _, r := range list {
		phase := r.Phase
		if phase == "" {
			phase = "idle"
			warn.add("phase", "not told: taken as idle")
		}
		k := key{r.Host, r.From, phase, r.Drives, r.Drive}
		if groups[k] == nil {
			keys = append(keys, k)
		}
		groups[k] = append(groups[k], r)
	}
	for _, k := range keys {
		in := byProtocol(groups[k], &warn)
		sum, sq := 0.0, 0.0
		for _, r := range in {
			sum += r.Watts
		}
		mean := sum / float64(len(in))
		for _, r := range in {
			sq += (r.Watts - mean) * (r.Watts - mean)
		}
		n := float64(len(in))
		points = append(points, Point{Host: k.host, From: k.from, Phase: k.phase, Drives: k.drives, Drive: k.drive, Watts: mean, Spread: math.Sqrt(sq/math.Max(1, n-1)) / math.Sqrt(n), N: len(in)})
	}
	for _, n := range warn {
		warnings = append(warnings, n.String())
	}
	return points, warnings
}

// byProtocol keeps the readings between settling and the end of the window.
func byProtocol(list []Reading, warn *notes) []Reading {
	slices.SortStableFunc(list, func(a, b Reading) int { return a.At.Compare(b.At) })
	first, last := list[0].At, list[len(list)-1].At
	if first.IsZero() {
		return list
	}
	if last.Sub(first) < (settle+window)*95/100 { // the last sample may be an interval short
		if len(list) > 1 {
			warn.add("protocol", "series shorter than 30 minutes: nothing was dropped for settling")
		}
		return list
	}
	from := first.Add(settle)
	var out []Reading
	for _, r := range list {
		if !r.At.Before(from) && r.At.Before(from.Add(window)) {
			out = append(out, r)
		}
	}
	if len(out) == 0 {
		warn.add("protocol", "no reading between 10 and 30 minutes: all count")
		return list
	}
	return out
}

// onceOnly drops the second meter of a server, and servers that share the figure of a chassis.
func onceOnly(list []Reading, warn *notes) []Reading {
	meter := map[string]string{}
	chassis := map[string]string{}
	var out []Reading
	for _, r := range list {
		if r.Drive {
			out = append(out, r)
			continue
		}
		if m, ok := meter[r.Host]; ok && m != r.From {
			warn.add(r.From, "a second meter of servers that %s measures too: left out", m)
			continue
		}
		meter[r.Host] = r.From
		if r.shared != "" {
			key := r.shared + fmt.Sprintf(" %.3f", r.Watts)
			if h, ok := chassis[key]; ok && h != r.Host {
				warn.add("chassis_id", "servers that read the same as another of their chassis: counted once")
				continue
			}
			chassis[key] = r.Host
		}
		out = append(out, r)
	}
	return out
}
