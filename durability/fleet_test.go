package durability

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
)

// TestPoissonInterval: the published table of exact intervals, and the two ways where they meet.
func TestPoissonInterval(t *testing.T) {
	for _, c := range []struct {
		n         int64
		low, high float64
	}{{0, 0, 3.6889}, {1, 0.0253, 5.5716}, {5, 1.6235, 11.6683}, {10, 4.7954, 18.3904}, {50, 37.1110, 65.9188}, {100, 81.3640, 121.6268}} {
		low, high := PoissonInterval(c.n)
		if math.Abs(low-c.low) > 1e-4 || math.Abs(high-c.high) > 2e-4 {
			t.Errorf("%d: %.4f–%.4f, want %v–%v", c.n, low, high, c.low, c.high)
		}
	}
	a, b := PoissonInterval(499)
	c, d := PoissonInterval(500)
	if c-a < 0.9 || c-a > 1.1 || d-b < 0.9 || d-b > 1.1 {
		t.Errorf("499: %v–%v, 500: %v–%v", a, b, c, d)
	}
}

func TestFleet(t *testing.T) {
	var f Fleet
	for _, text := range []string{
		"date,serial_number,model,capacity_bytes,failure,smart_1_raw\n2026-01-01,A,\"ST, odd\",1,0,\n2026-01-01,B,HGST X,2,0,7\r\n",
		"\ufeffmodel,failure\n HGST X ,1\n\ndate,model,failure\n2026-01-02,HGST X,0\n",
	} {
		if err := f.Read("x.csv", strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	models, all := f.AFRs()
	if len(models) != 2 || models[0].Model != "HGST X" || models[0].DriveDays != 3 || models[0].Failures != 1 || all.DriveDays != 4 {
		t.Errorf("%+v %+v", models, all)
	}
	near(t, "AFR", models[0].AFR, 365.0/3, 1e-12)
	if models[1].AFR != 0 || models[1].High <= 0 || models[1].Low != 0 {
		t.Errorf("no failures: %+v", models[1])
	}
}

// TestFleetInterval: drive-days and failures of a published quarter give its AFR.
func TestFleetInterval(t *testing.T) {
	m := FleetAFR{DriveDays: 1e6, Failures: 41}.reckoned()
	near(t, "AFR", m.AFR, 41*365/1e6, 1e-12)
	near(t, "low", m.Low, 29.4222*365/1e6, 1e-4)
	near(t, "high", m.High, 55.6212*365/1e6, 1e-4)
}

func TestFleetErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "empty",
		"date,serial,modle,failure\n": "no columns model and failure",
		"model,failure\nX\n":          "x.csv:2:",
		"model,failure\nX,2\n":        "failure \"2\": want 0 or 1",
		"model,failure\n,0\n":         "model of 0 bytes",
		"model,failure\n\"X,0\n":      "x.csv:2:",
		strings.Repeat("a", 2<<20):    "a line of more than",
		"model,failure\n" + strings.Repeat("b", 300) + ",0\n": "model of 300 bytes",
	} {
		var f Fleet
		if err := f.Read("x.csv", strings.NewReader(text)); !errors.Is(err, ErrFleet) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
	}
}

func FuzzFleet(f *testing.F) {
	f.Add("date,serial_number,model,capacity_bytes,failure\n2026-01-01,A,X,1,0\n")
	f.Add("model,failure\n\"a\"\"b\",1\n")
	f.Add("failure,model\n1\n")
	f.Fuzz(func(t *testing.T, text string) {
		var fleet Fleet
		if fleet.Read("f", strings.NewReader(text)) != nil {
			return
		}
		models, all := fleet.AFRs()
		var days int64
		for _, m := range append(models, all) {
			if math.IsNaN(m.AFR) || m.Low > m.AFR || m.AFR > m.High || m.Failures > m.DriveDays {
				t.Errorf("%+v", m)
			}
			days += m.DriveDays
		}
		if days != 2*all.DriveDays {
			t.Errorf("%d drive-days in models, %d in all", days-all.DriveDays, all.DriveDays)
		}
	})
}

func BenchmarkFleet(b *testing.B) {
	var text strings.Builder
	text.WriteString("date,serial_number,model,capacity_bytes,failure,smart_1_normalized,smart_1_raw\n")
	for i := range 10000 {
		fmt.Fprintf(&text, "2026-01-01,S%08d,ST16000NM%03dG,16000900661248,0,80,%d\n", i, i%30, i)
	}
	b.SetBytes(int64(text.Len()))
	for b.Loop() {
		var f Fleet
		if err := f.Read("x", io.Reader(strings.NewReader(text.String()))); err != nil {
			b.Fatal(err)
		}
	}
}

// TestMesh: at equal overhead more sites are safer and easier to read while sites fail
// independently, and repair crosses more of the WAN.
func TestMesh(t *testing.T) {
	for _, up := range []float64{0.9, 0.99, 0.999} {
		var last MeshAnswer
		for i, sites := range []int{3, 6, 12, 24, 48, 64} {
			a, err := Mesh{Sites: sites, Overhead: 1.5, Availability: up}.Evaluate()
			if err != nil {
				t.Fatal(err)
			}
			if a.K+a.M != sites || a.RealOverhead > 1.5+1e-9 {
				t.Errorf("%d sites: %d+%d", sites, a.K, a.M)
			}
			if i > 0 && (a.LossYear >= last.LossYear || a.WANRepair <= last.WANRepair || a.Unreadable >= last.Unreadable) {
				t.Errorf("%d sites at %v: %+v after %+v", sites, up, a, last)
			}
			last = a
		}
	}
	a, err := Mesh{Sites: 3, Overhead: 1.5, Availability: 0.9}.Evaluate()
	if err != nil {
		t.Fatal(err)
	}
	near(t, "two of three up", a.Unreadable, 1-(0.9*0.9*0.9+3*0.9*0.9*0.1), 1e-12)
	for _, m := range []Mesh{{Sites: 1, Overhead: 2, Availability: 0.9}, {Sites: 300, Overhead: 2, Availability: 0.9}, {Sites: 3, Overhead: 1.2, Availability: 0.9}, {Sites: 3, Overhead: 2, Availability: 1}, {Sites: 3, Overhead: math.NaN(), Availability: 0.5}, {Sites: 3, Overhead: 2, Availability: 0.9, ReturnH: -1}} {
		if _, err := m.Evaluate(); !errors.Is(err, ErrInput) {
			t.Errorf("%+v: %v", m, err)
		}
	}
}
