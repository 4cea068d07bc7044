package importer

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
)

// columns says which column holds what; -1 is none.
type columns struct {
	model, count, capacity, serial, date, failure, host, rack, site int
	technology, class, role, state, hours, starts, loads            int
	helium                                                          []int
}

// names of columns, lower case, of the minimal form and of fleet logs such as Backblaze's.
var columnNames = map[string]func(*columns) *int{
	"model": func(c *columns) *int { return &c.model }, "model_name": func(c *columns) *int { return &c.model }, "drive": func(c *columns) *int { return &c.model },
	"count": func(c *columns) *int { return &c.count }, "drives": func(c *columns) *int { return &c.count }, "quantity": func(c *columns) *int { return &c.count }, "qty": func(c *columns) *int { return &c.count },
	"capacity": func(c *columns) *int { return &c.capacity }, "capacity_bytes": func(c *columns) *int { return &c.capacity }, "capacity_tb": func(c *columns) *int { return &c.capacity }, "size": func(c *columns) *int { return &c.capacity },
	"serial": func(c *columns) *int { return &c.serial }, "serial_number": func(c *columns) *int { return &c.serial },
	"date": func(c *columns) *int { return &c.date }, "failure": func(c *columns) *int { return &c.failure },
	"host": func(c *columns) *int { return &c.host }, "hostname": func(c *columns) *int { return &c.host }, "server": func(c *columns) *int { return &c.host }, "rack": func(c *columns) *int { return &c.rack },
	"site": func(c *columns) *int { return &c.site }, "datacenter": func(c *columns) *int { return &c.site },
	"technology": func(c *columns) *int { return &c.technology }, "class": func(c *columns) *int { return &c.class }, "type": func(c *columns) *int { return &c.class },
	"role": func(c *columns) *int { return &c.role }, "state": func(c *columns) *int { return &c.state },
	"hours": func(c *columns) *int { return &c.hours }, "power_on_hours": func(c *columns) *int { return &c.hours }, "smart_9_raw": func(c *columns) *int { return &c.hours },
	"start_stop": func(c *columns) *int { return &c.starts }, "smart_4_raw": func(c *columns) *int { return &c.starts }, "smart_193_raw": func(c *columns) *int { return &c.loads },
}

// columnsOf reads a header.
func columnsOf(header []string) columns {
	c := columns{-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, nil}
	for i, h := range header {
		h = strings.ToLower(strings.TrimSpace(strings.TrimPrefix(h, "\ufeff")))
		if f := columnNames[strings.ReplaceAll(h, " ", "_")]; f != nil && *f(&c) < 0 {
			*f(&c) = i
		}
		if h == "smart_22_raw" || h == "smart_23_raw" || h == "smart_24_raw" {
			c.helium = append(c.helium, i)
		}
	}
	return c
}

// drives tells whether the columns describe drives.
func (c columns) drives() bool {
	return c.model >= 0 && (c.capacity >= 0 || c.count >= 0 || c.serial >= 0)
}

// A table is a CSV of drives being read.
type table struct {
	b      *build
	c      columns
	unit   string // of bare capacities: "TB" when the header says so
	commas bool   // whether a comma is the decimal point
	line   int
	last   map[string]int // serial to index in b.loose
	dates  map[string]bool
	newest string
}

// csv reads an inventory or a fleet's log.
func (b *build) csv(in *input) error {
	head, _ := in.Peek(4096)
	line, _, _ := strings.Cut(string(head), "\n")
	r := csv.NewReader(&lineGuard{r: in})
	r.Comma = delimiter(line)
	r.Comment, r.LazyQuotes, r.ReuseRecord, r.FieldsPerRecord, r.TrimLeadingSpace = '#', true, true, -1, true
	header, err := r.Read()
	if err != nil {
		return err
	}
	t := &table{b: b, c: columnsOf(header), commas: r.Comma != ',', last: map[string]int{}, dates: map[string]bool{}}
	if !t.c.drives() {
		return errors.New("the header names no drives: want model and capacity, and count or serial_number")
	}
	if t.c.capacity >= 0 && strings.HasSuffix(strings.ToLower(header[t.c.capacity]), "_tb") {
		t.unit = "TB"
	}
	width := len(header)
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		t.line, _ = r.FieldPos(0)
		if len(row) < width && len(row) <= t.widest() {
			return fmt.Errorf("line %d has %d columns, the header %d: was the file cut?", t.line, len(row), width)
		}
		if err := t.row(row); err != nil {
			return fmt.Errorf("line %d: %w", t.line, err)
		}
	}
	if in.tail != '\n' {
		b.miss.add("file", "the last line has no end: if the file was cut, drives are missing")
	}
	t.finish()
	return nil
}

// widest is the last column that is read.
func (t *table) widest() int {
	c := t.c
	return max(c.model, c.count, c.capacity, c.serial, c.date, c.failure, c.host, c.rack, c.site, c.technology, c.class, c.role, c.state, c.hours, c.starts, c.loads)
}

func cell(row []string, i int) string {
	if i < 0 || i >= len(row) {
		return ""
	}
	return strings.TrimSpace(row[i])
}

// row reads one line.
func (t *table) row(row []string) error {
	c := t.c
	model := clean(cell(row, c.model))
	if model == "" && cell(row, c.capacity) == "" {
		return nil
	}
	if c.date >= 0 && c.serial >= 0 {
		return t.logged(row, model)
	}
	n := 1
	if text := cell(row, c.count); text != "" {
		v, err := strconv.Atoi(strings.ReplaceAll(text, "_", ""))
		if err != nil || v < 0 {
			return fmt.Errorf("count %q: want a whole number of drives", clean(text))
		}
		n = v
	}
	d, err := t.drive(row, model)
	if err != nil {
		return err
	}
	if len(t.b.loose)+n > t.b.most {
		return fmt.Errorf("more than %d drives", t.b.most)
	}
	for range n {
		t.b.loose = append(t.b.loose, d)
	}
	return nil
}

// drive is the drive of a line.
func (t *table) drive(row []string, model string) (loose, error) {
	c := t.c
	d := loose{from: DriveCSV, serial: clean(cell(row, c.serial)), host: or(clean(cell(row, c.host)), t.b.at.Host), rack: clean(cell(row, c.rack)), site: clean(cell(row, c.site)),
		Drive: Drive{Osd: -1, Role: Data, State: Working, Model: model, Class: strings.ToLower(clean(cell(row, c.class)))}}
	if text := cell(row, c.capacity); text != "" {
		size, err := t.size(text)
		if err != nil {
			return d, err
		}
		d.Bytes = size
	}
	d.Hours, d.Starts, d.Loads = t.count(row, c.hours), t.count(row, c.starts), t.count(row, c.loads)
	for _, i := range c.helium {
		if cell(row, i) != "" {
			d.helium = yes
		}
	}
	switch role := strings.ToLower(cell(row, c.role)); role {
	case "", "data":
	case "db", "journal", "wal", "cache", "metadata":
		d.Role = Journal
	default:
		return d, fmt.Errorf("role %q: want data or db", clean(role))
	}
	if state := strings.ToLower(cell(row, c.state)); state == "standby" || state == "sleeping" || state == "asleep" {
		d.State = Asleep
	}
	switch tech := strings.ToLower(cell(row, c.technology)); tech {
	case "helium":
		d.helium, d.spins = yes, yes
	case "air":
		d.helium, d.spins = no, yes
	case "ssd", "nvme", "flash", "qlc":
		d.spins = no
	case "hdd":
		d.spins = yes
	}
	switch d.Class {
	case "hdd":
		d.spins = yes
	case "ssd", "nvme":
		d.spins = no
	}
	return d, nil
}

// size reads a capacity. A bare number is bytes from 1 GB up, else what the header says, else TB
// below 1,000 and GB above.
func (t *table) size(text string) (int64, error) {
	if t.commas {
		text = strings.ReplaceAll(text, ",", ".")
	}
	if v, err := strconv.ParseFloat(text, 64); err == nil && v <= 0 {
		t.b.miss.add("capacity", "zero or less, left out")
		return 0, nil
	}
	unit := t.unit
	if v, err := strconv.ParseFloat(text, 64); err == nil && unit == "" && v < 1e9 {
		unit = "TB"
		if v >= 1000 {
			unit = "GB"
		}
		t.b.guess.add("capacity", "a number without unit, read as %s", unit)
	} else if err == nil && unit == "TB" && v >= 1e6 {
		unit = ""
		t.b.guess.add("capacity", "a number of a million and more under a header in TB, read as bytes")
	}
	size, err := parseSize(text, unit)
	if err != nil {
		return 0, err
	}
	return size, nil
}

// parseSize reads a size such as 18TB or 16.4TiB.
func parseSize(text, unit string) (int64, error) {
	v, err := humanize.ParseBigBytes(text + unit)
	if err != nil || v.Sign() <= 0 || !v.IsInt64() || v.Int64() > maxBytes {
		return 0, fmt.Errorf("capacity %q: want a size such as 18TB, 16.4TiB or 18000207937536", clean(text))
	}
	return v.Int64(), nil
}

// count is a counter that may be missing; fleet logs write them as floats.
func (t *table) count(row []string, i int) int {
	text := cell(row, i)
	if text == "" {
		return 0
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || v < 0 || v > 1e9 || math.IsNaN(v) {
		t.b.miss.add("counters", "not a number, left out")
		return 0
	}
	return int(v)
}

// logged reads a line of a fleet's log: one drive on one day. The newest line of a drive counts;
// the fleet is what was there on the newest day.
func (t *table) logged(row []string, model string) error {
	date, serial := cell(row, t.c.date), clean(cell(row, t.c.serial))
	if serial == "" {
		return errors.New("a drive without serial number in a log by day")
	}
	i, ok := t.last[serial]
	if !ok {
		if len(t.b.loose) >= t.b.most {
			return fmt.Errorf("more than %d drives", t.b.most)
		}
		i = len(t.b.loose)
		t.b.loose = append(t.b.loose, loose{})
		t.last[strings.Clone(serial)] = i
	}
	old := &t.b.loose[i]
	failed, days := old.failed, old.days+1
	if cell(row, t.c.failure) == "1" {
		failed++
	}
	if !ok || date >= old.rack { // rack keeps the date until the end
		d, err := t.drive(row, strings.Clone(model))
		if err != nil {
			return err
		}
		d.serial, d.rack = strings.Clone(serial), strings.Clone(date)
		d.site, d.host, d.Class = strings.Clone(d.site), strings.Clone(d.host), strings.Clone(d.Class)
		*old = d
	}
	old.failed, old.days = failed, days
	t.newest = max(t.newest, strings.Clone(date))
	t.dates[strings.Clone(date)] = true
	return nil
}

// finish drops drives that were gone on the newest day, whose failures count for their model.
func (t *table) finish() {
	if t.newest == "" {
		t.fill()
		return
	}
	b := t.b
	gone := map[string]*loose{}
	b.loose = slices.DeleteFunc(b.loose, func(d loose) bool {
		if _, mine := t.last[d.serial]; !mine || d.from != DriveCSV || d.rack == t.newest {
			return false
		}
		o := gone[d.Model]
		if o == nil {
			o = &loose{}
			gone[d.Model] = o
		}
		o.failed, o.days = o.failed+d.failed, o.days+d.days
		return true
	})
	for i := range b.loose {
		d := &b.loose[i]
		if o := gone[d.Model]; o != nil {
			d.failed, d.days = d.failed+o.failed, d.days+o.days
			delete(gone, d.Model)
		}
		if d.rack == t.newest {
			d.rack = ""
		}
	}
	if len(t.dates) > 1 {
		b.guess.add("date", "a log of %d days: the fleet is that of the newest, failures are of all", len(t.dates))
	}
	t.fill()
}

// fill gives drives without capacity that of others of their model.
func (t *table) fill() {
	known := map[string]int64{}
	for _, d := range t.b.loose {
		if d.Bytes > 0 {
			known[d.Model] = d.Bytes
		}
	}
	for i := range t.b.loose {
		d := &t.b.loose[i]
		if d.Bytes == 0 && known[d.Model] > 0 {
			d.Bytes = known[d.Model]
			t.b.guess.add("capacity", "missing: taken from others of the same model")
		}
	}
}

// lineGuard ends the reading at a line that is too long.
type lineGuard struct {
	r    io.Reader
	line int
}

func (g *lineGuard) Read(p []byte) (int, error) {
	n, err := g.r.Read(p)
	for _, c := range p[:n] {
		g.line++
		if c == '\n' {
			g.line = 0
		}
	}
	if g.line > maxToken {
		return n, fmt.Errorf("a line of more than %d MB", maxToken>>20)
	}
	return n, err
}
