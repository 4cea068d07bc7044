package energy

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

func sys(files map[string]string) fstest.MapFS {
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text + "\n")}
	}
	return m
}

// A locked is a file system in which some files may not be read.
type locked struct {
	fs.FS
	name string
}

func (l locked) Open(name string) (fs.File, error) {
	if name == l.name {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return l.FS.Open(name)
}

func TestMeasured(t *testing.T) {
	const zone, core, sensor = "class/powercap/intel-rapl:0/", "class/powercap/intel-rapl:0:0/", "class/hwmon/hwmon2/"
	before := sys(map[string]string{
		zone + "name": "package-0", zone + "energy_uj": "262143000000", zone + "max_energy_range_uj": "262143328850",
		core + "name": "core", core + "energy_uj": "1000000", core + "max_energy_range_uj": "262143328850",
		sensor + "name": "power_meter", sensor + "power1_average": "151000000", sensor + "power1_input": "150000000",
	})
	after := sys(map[string]string{
		zone + "name": "package-0", zone + "energy_uj": "99671150", zone + "max_energy_range_uj": "262143328850",
		core + "name": "core", core + "energy_uj": "41000000", core + "max_energy_range_uj": "262143328850",
		sensor + "name": "power_meter", sensor + "power1_average": "151000000", sensor + "power1_input": "152000000", sensor + "power1_label": "PSU 1",
		"class/hwmon/hwmon0/power1_input": "x", "class/hwmon/hwmon0/name": "broken",
	})
	got := Between(ReadMeters(before, epoch), ReadMeters(after, epoch.Add(2*time.Second)))
	want := map[string]float64{"package-0": 50, "core": 20, "power_meter PSU 1": 152, "broken": 0}
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for _, m := range got {
		if w, ok := want[m.Name]; !ok || m.Watts != w || (m.Reason != "") != (m.Name == "broken") {
			t.Errorf("%+v, want %v W", m, w)
		}
	}
	if got := Between(ReadMeters(before, epoch), ReadMeters(before, epoch)); got[0].Reason == "" || got[0].Watts != 0 || got[2].Watts != 150 {
		t.Errorf("one reading: %+v", got)
	}
	if got := ReadMeters(sys(nil), epoch); len(got.Meters) != 0 {
		t.Errorf("a machine without meters: %+v", got)
	}
	shut := ReadMeters(locked{before, zone + "energy_uj"}, epoch)
	if got := Between(shut, shut); !strings.Contains(got[0].Reason, "only root") {
		t.Errorf("%+v", got)
	}
	reset := sys(map[string]string{zone + "energy_uj": "5", zone + "name": "package-0"})
	if got := Between(ReadMeters(before, epoch), ReadMeters(reset, epoch.Add(time.Second))); got[0].Reason == "" {
		t.Errorf("a counter without range that went back: %+v", got)
	}
}
