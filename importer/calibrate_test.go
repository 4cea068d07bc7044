package importer

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/wattle-storage/wattle/energy"
	it "github.com/wattle-storage/wattle/importer/importertest"
)

// truth is a server that does not exist.
var truth = struct{ server, nic, slot, idle, load, psu float64 }{150, 15, 2.5, 1.06, 0.95, 0.92}

func trueWatts(d energy.Profile, drives int, phase string) float64 {
	w := truth.idle * float64(d.Watts(energy.Idle))
	if phase == "load" {
		w = truth.load * float64(d.Watts(energy.Sequential))
	}
	return (truth.server + truth.nic + float64(drives)*(truth.slot+w)) / truth.psu
}

// series is a protocol of each phase: ten minutes that drift, then twenty.
func series(d energy.Profile, seed uint64, drives ...int) string {
	rng := rand.New(rand.NewPCG(seed, 9))
	var b strings.Builder
	b.WriteString("timestamp,watts,host,phase,drives\n")
	for i, n := range drives {
		for j, phase := range []string{"idle", "load"} {
			for s := 0; s < 1800; s += 30 {
				w := trueWatts(d, n, phase) * (1 + 0.01*rng.NormFloat64())
				if s < 600 {
					w *= 1.2 // not settled
				}
				count := fmt.Sprint(n)
				if n == 0 {
					count = "0"
				}
				fmt.Fprintf(&b, "%d,%.2f,h%d,%s,%s\n", 1790000000+7200*j+s, w, i, phase, count)
			}
		}
	}
	return b.String()
}

func calibrate(t *testing.T, text string, m Machine) *Calibration {
	t.Helper()
	readings, warnings, err := ReadPower([]File{mem("power.csv", []byte(text))})
	if err != nil {
		t.Fatal(err)
	}
	points, more := Means(readings)
	c, err := Calibrate(points, m)
	if err != nil {
		t.Fatal(err)
	}
	c.Warnings = append(append(warnings, more...), c.Warnings...)
	if _, err := json.Marshal(c); err != nil {
		t.Error(err)
	}
	return c
}

// TestCalibrateKnownTruth: from series made of known figures the fit finds watts that were not
// measured, its bands hold the truth and are narrower than before.
func TestCalibrateKnownTruth(t *testing.T) {
	d, err := energy.Lookup("seagate-es3-4tb-sata")
	if err != nil {
		t.Fatal(err)
	}
	c := calibrate(t, series(d, 1, 2, 12, 24, 36), Machine{Disk: d})
	want := [pCount]float64{truth.server, truth.slot, truth.idle, truth.load, truth.psu}
	for j, p := range c.Parameters {
		if !(p.After.Low <= want[j] && want[j] <= p.After.High) {
			t.Errorf("%s: %g is not in %v", p.Name, want[j], p.After)
		}
		before, after := math.Abs(coordinate(j, p.Before.High)-coordinate(j, p.Before.Low)), math.Abs(coordinate(j, p.After.High)-coordinate(j, p.After.Low))
		if after > before+1e-9 {
			t.Errorf("%s: the band went from %g to %g", p.Name, before, after)
		}
	}
	if w := math.Log(c.Parameters[pServer].After.High / c.Parameters[pServer].After.Low); w > 0.5*math.Log(4) {
		t.Errorf("the server's watts are hardly known better: %v", c.Parameters[pServer].After)
	}
	if c.Residual.Part > 0.01 || c.Residual.N != 8 {
		t.Errorf("residual %+v", c.Residual)
	}
	f := fitting{nic: 15, idle: float64(d.Watts(energy.Idle)), load: float64(d.Watts(energy.Sequential))}
	var x [pCount]float64
	for j, p := range c.Parameters {
		x[j] = coordinate(j, p.After.Typical)
	}
	for _, phase := range []string{"idle", "load"} {
		got, want := f.watts(Point{Drives: 18, Phase: phase}, x), trueWatts(d, 18, phase)
		if math.Abs(got/want-1) > 0.01 {
			t.Errorf("18 drives, %s: %g W, want %g", phase, got, want)
		}
	}
}

// TestCalibrateBandsHold: over many made servers the bands hold the truth as often as two
// standard deviations promise, or more.
func TestCalibrateBandsHold(t *testing.T) {
	d, _ := energy.Lookup("hgst-he12-12tb")
	held, all := 0, 0
	for seed := range uint64(40) {
		c := calibrate(t, series(d, seed, 4, 12, 36), Machine{Disk: d})
		want := [pCount]float64{truth.server, truth.slot, truth.idle, truth.load, truth.psu}
		for j, p := range c.Parameters {
			all++
			if p.After.Low <= want[j] && want[j] <= p.After.High {
				held++
			}
		}
	}
	if float64(held) < 0.9*float64(all) {
		t.Errorf("%d of %d bands hold the truth", held, all)
	}
}

func TestCalibrateDoubts(t *testing.T) {
	d, _ := energy.Lookup("seagate-es3-4tb-sata")
	m := Machine{Disk: d, Drives: 12}
	want := func(c *Calibration, part string) {
		t.Helper()
		if !strings.Contains(strings.Join(c.Warnings, "\n"), part) {
			t.Errorf("no %q in %q", part, c.Warnings)
		}
	}
	w := trueWatts(d, 12, "idle")
	want(calibrate(t, fmt.Sprintf("watts,host\n%g,a\n%g,b\n", w, 2.1*w), m), "both supplies twice")
	want(calibrate(t, fmt.Sprintf("watts,host\n160000,a\n%g,b\n0,c\n", w), m), "cannot be of a server")
	want(calibrate(t, fmt.Sprintf("watts,host\n%g,a\n,a\n", w), m), "gap")
	want(calibrate(t, fmt.Sprintf("watts,host\n%g,a\n", w), m), "measure one without drives")
	if _, _, err := ReadPower([]File{mem("x.csv", []byte("watts\n0\n"))}); err == nil || !strings.Contains(err.Error(), "no power readings") {
		t.Errorf("nothing plausible: %v", err)
	}
	points, _ := Means([]Reading{{Watts: 300, Host: "a"}})
	if _, err := Calibrate(points, Machine{Disk: d}); err == nil || !strings.Contains(err.Error(), "--drives") {
		t.Errorf("no drives told: %v", err)
	}
}

func TestReadPower(t *testing.T) {
	for _, c := range []struct {
		name, text, host string
		watts            []float64
		warns            string
	}{
		{"redfish", `{"Id":"Power","PowerControl":[{"PowerConsumedWatts":344},{"PowerConsumedWatts":344}],"PowerSupplies":[{"PowerInputWatts":180},{"PowerInputWatts":176}]}`, "", []float64{344}, "counted once"},
		{"redfish supplies", `{"PowerSupplies":[{"PowerInputWatts":180},{"PowerInputWatts":176}]}`, "", []float64{356}, ""},
		{"redfish shared", `{"PowerControl":[{"PowerConsumedWatts":344}],"PowerSupplies":[{"PowerInputWatts":350},{"PowerInputWatts":352}]}`, "", []float64{344}, "shared"},
		{"redfish with its parts", `{"PowerControl":[{"Name":"Server Power Control","PowerConsumedWatts":344,"PhysicalContext":"Chassis"},{"Name":"CPU Sub-system Power","PowerConsumedWatts":122},{"Name":"Memory Sub-system Power","PowerConsumedWatts":24}]}`, "", []float64{344}, "holds already"},
		{"redfish mean", `{"PowerControl":[{"PowerConsumedWatts":null,"PowerMetrics":{"AverageConsumedWatts":340}}]}`, "", []float64{340}, ""},
		{"redfish environment", `{"@odata.id":"/redfish/v1/Chassis/1U/EnvironmentMetrics","PowerWatts":{"Reading":374}}{"@odata.id":"/redfish/v1/Chassis/1U/Drives/3/EnvironmentMetrics","PowerWatts":{"Reading":6.5}}{"@odata.id":"/redfish/v1/Systems/1/Processors/1/EnvironmentMetrics","PowerWatts":{"Reading":61.5}}{"@odata.id":"/redfish/v1/PowerEquipment/RackPDUs/1/Metrics","PowerWatts":{"Reading":6438}}`, "", []float64{374, 6.5}, "distribution unit"},
		{"ipmitool", "\n    Instantaneous power reading:                   220 Watts\n    Minimum during sampling period:                 18 Watts\n    Power reading state is:                   activated\n", "", []float64{220}, ""},
		{"freeipmi", "Current Power                        : 164 Watts\nMinimum Power over sampling duration : 6 watts\n", "", []float64{164}, ""},
		{"wattle itself", "# TYPE a gauge\nwattle_drive_watts{host=\"a\"} 6\nipmi_dcmi_power_consumption_watts 300\n", "", []float64{300}, "modelled"},
		{"ipmi", "# HELP ipmi_dcmi_power_consumption_watts x\nipmi_dcmi_power_consumption_watts{instance=\"node7:9290\"} 412\n", "node7", []float64{412}, ""},
		{"kepler", "# TYPE kepler_platform_watts gauge\nkepler_platform_watts{source=\"redfish\",node_name=\"n1\",bmc_id=\"b\",chassis_id=\"c\"} 400.5 1790000000000\nkepler_node_cpu_watts{zone=\"package\"} 88\n", "n1", []float64{400.5}, "a part of a server"},
		{"telemetry", "Time (s)  5 Volts (W)  12 Volts (W)  Total (W)\n0  2.1  4.2  6.3\n1  2.0  4.4  6.4\n4  2.0  4.4  6.4\n", "", []float64{6.3, 6.4, 6.4}, "missing"},
	} {
		list, warnings, err := ReadPower([]File{mem(c.name, []byte(c.text))})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var got []float64
		for _, r := range list {
			got = append(got, r.Watts)
			if r.Host != c.host {
				t.Errorf("%s: host %q, want %q", c.name, r.Host, c.host)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(c.watts) {
			t.Errorf("%s: %v W, want %v", c.name, got, c.watts)
		}
		if !strings.Contains(strings.Join(warnings, ";"), c.warns) {
			t.Errorf("%s: %q, want %q", c.name, warnings, c.warns)
		}
	}
	for text, want := range map[string]string{
		"timestamp,watts\n2026-01-01,many\n": "line 2: watts", "watts,phase\n300,busy\n": "want idle or load",
		"watts,drives\n300,-4\n": "drives", "# HELP a_watts x\nnot a metric line at all {\n": "no line of metrics",
		"model,count,capacity\na,1,4TB\n": "wattle import",
	} {
		if _, _, err := ReadPower([]File{mem("x", []byte(text))}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestMetersOnce(t *testing.T) {
	points, warnings := Means([]Reading{
		{Host: "a", From: "ipmi", Watts: 300}, {Host: "a", From: "kepler", Watts: 310},
		{Host: "b", From: "kepler", Watts: 800, shared: "c1"}, {Host: "c", From: "kepler", Watts: 800, shared: "c1"},
	})
	if len(points) != 2 || !strings.Contains(strings.Join(warnings, ";"), "second meter") || !strings.Contains(strings.Join(warnings, ";"), "of their chassis") {
		t.Errorf("%+v %q", points, warnings)
	}
}

// TestCalibrateCluster places meters by the names of a cluster's hosts.
func TestCalibrateCluster(t *testing.T) {
	f, err := Read(mems(it.Air().Report()), Options{KeepNames: true})
	if err != nil {
		t.Fatal(err)
	}
	d, _ := energy.Lookup(f.MainProfile())
	text := fmt.Sprintf("watts,host\n%g,hel-ceph1\n%g,hel-ceph9\n%g,stranger\n", trueWatts(d, 13, "idle"), trueWatts(d, 11, "idle"), 300.0)
	c := calibrate(t, text, Machine{Disk: d, Found: f})
	if c.Residual.N != 2 || !strings.Contains(strings.Join(c.Warnings, ";"), "does not have") {
		t.Errorf("%+v %q", c.Residual, c.Warnings)
	}
}

func FuzzPower(f *testing.F) {
	f.Add([]byte(`{"PowerControl":[{"PowerConsumedWatts":344}],"PowerSupplies":[{"PowerInputWatts":350}]}`))
	f.Add([]byte("# TYPE kepler_platform_watts gauge\nkepler_platform_watts{source=\"redfish\",node_name=\"n1\",chassis_id=\"c\"} 400.5 1790000000000\n"))
	f.Add([]byte("timestamp,watts,host,phase,drives\n2026-01-01,300,a,idle,12\n1790000000,310,b,load,24\n"))
	f.Add([]byte("Time (s)  5 Volts (W)  12 Volts (W)  Total (W)\n0  2.1  4.2  6.3\n"))
	f.Add([]byte(`{"@odata.id":"/redfish/v1/Chassis/1U/EnvironmentMetrics","PowerWatts":{"Reading":374}}`))
	f.Add([]byte("    Instantaneous power reading:                   220 Watts\n"))
	d, err := energy.Lookup("seagate-x16-16tb")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		readings, _, err := ReadPower([]File{mem("x", p)})
		if err != nil {
			return
		}
		points, _ := Means(readings)
		c, err := Calibrate(points, Machine{Disk: d, Drives: 12})
		if err != nil {
			return
		}
		for _, x := range c.Parameters {
			if !(x.After.Low > 0 && x.After.Low <= x.After.Typical && x.After.Typical <= x.After.High) || math.IsInf(x.After.High, 0) {
				t.Errorf("%s: %+v", x.Name, x.After)
			}
		}
		if math.IsNaN(c.Residual.RMS) {
			t.Errorf("%+v", c.Residual)
		}
	})
}
