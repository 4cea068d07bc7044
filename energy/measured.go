package energy

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Reading is what the machine's own meters say at a moment.
type Reading struct {
	At     time.Time
	Meters []Counter
}

// A Counter is one meter of the machine. RAPL counts microjoules, and begins again at 0 past
// Range; hwmon gives microwatts.
type Counter struct {
	Name  string // of the zone or the sensor, such as package-0
	Kind  string // rapl or hwmon
	Path  string // below /sys
	Value uint64
	Range uint64
	Err   error // why there is no value
}

// ReadMeters reads the powercap zones (RAPL) and the power sensors (hwmon) below a file
// system rooted at /sys. A machine without any has no meters in its reading.
func ReadMeters(sys fs.FS, now time.Time) Reading {
	r := Reading{At: now}
	zones, _ := fs.Glob(sys, "class/powercap/*/energy_uj") // the pattern is sound
	for _, p := range zones {
		c := Counter{Kind: "rapl", Path: p, Name: cmpOr(text(sys, path.Dir(p)+"/name"), path.Base(path.Dir(p)))}
		if c.Value, c.Err = number(sys, p); c.Err == nil {
			c.Range, _ = number(sys, path.Dir(p)+"/max_energy_range_uj")
		}
		r.Meters = append(r.Meters, c)
	}
	for _, pattern := range []string{"class/hwmon/*/power*_input", "class/hwmon/*/power*_average"} {
		sensors, _ := fs.Glob(sys, pattern)
		for _, p := range sensors {
			stem := p[:strings.LastIndexByte(p, '_')]
			if slices.ContainsFunc(r.Meters, func(c Counter) bool { return c.Err == nil && strings.HasPrefix(c.Path, stem+"_") }) {
				continue // the same sensor, now and on average
			}
			c := Counter{Kind: "hwmon", Path: p, Name: text(sys, path.Dir(p)+"/name")}
			if label := text(sys, stem+"_label"); label != "" {
				c.Name = strings.TrimPrefix(c.Name+" "+label, " ")
			}
			c.Name = cmpOr(c.Name, path.Base(path.Dir(p)))
			c.Value, c.Err = number(sys, p)
			r.Meters = append(r.Meters, c)
		}
	}
	return r
}

func text(sys fs.FS, name string) string {
	p, err := fs.ReadFile(sys, name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(p))
}

func number(sys fs.FS, name string) (uint64, error) {
	p, err := fs.ReadFile(sys, name)
	if errors.Is(err, fs.ErrPermission) {
		return 0, fmt.Errorf("/sys/%s: only root may read it", name)
	}
	if err != nil {
		return 0, fmt.Errorf("/sys/%s: %w", name, err)
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(p)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("/sys/%s: %.20q is not a number", name, p)
	}
	return n, nil
}

// Measured is power as the machine measures it. It is never part of a model's figure: it
// holds whatever the machine does, and drives as a rule are not in it.
type Measured struct {
	Name   string  `json:"name"`
	Kind   string  `json:"kind"`
	Path   string  `json:"path"`
	Watts  float64 `json:"watts"`
	Over   float64 `json:"seconds"` // 0: of the moment, as the sensor gives it
	Reason string  `json:"reason,omitempty"`
}

// Between returns the power between two readings: of RAPL the mean, with one turn of the
// counter taken into account, of hwmon the second value.
func Between(a, b Reading) []Measured {
	var list []Measured
	over := b.At.Sub(a.At)
	for _, c := range b.Meters {
		m := Measured{Name: c.Name, Kind: c.Kind, Path: c.Path}
		i := slices.IndexFunc(a.Meters, func(x Counter) bool { return x.Path == c.Path })
		switch {
		case c.Err != nil:
			m.Reason = c.Err.Error()
		case c.Kind == "hwmon":
			m.Watts = float64(c.Value) / 1e6
		case i < 0 || a.Meters[i].Err != nil || over <= 0:
			m.Reason = "it counts joules: power takes two readings (--measure 2s)"
		default:
			used, ok := c.since(a.Meters[i].Value)
			if !ok {
				m.Reason = "the counter went back"
				break
			}
			m.Over = over.Seconds()
			m.Watts = float64(used) / 1e6 / m.Over
		}
		list = append(list, m)
	}
	return list
}

// since is what a counter has counted since it stood at old.
func (c Counter) since(old uint64) (uint64, bool) {
	switch {
	case c.Value >= old:
		return c.Value - old, true
	case c.Range >= old && c.Range > 0:
		return c.Range - old + c.Value, true
	}
	return 0, false
}
