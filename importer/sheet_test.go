package importer

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	it "github.com/wattle-storage/wattle/importer/importertest"
	"github.com/wattle-storage/wattle/whatif"
)

func sheetOf(t *testing.T, facts Facts) *Sheet {
	t.Helper()
	f, err := Read(mems(it.Air().Report()), Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := f.Scenario()
	s.Facility.PUE = whatif.Exactly(1.25)
	facts.Year = 2025
	sh, err := f.Sheet(s, facts)
	if err != nil {
		t.Fatal(err)
	}
	return sh
}

func (s *Sheet) value(t *testing.T, name string) float64 {
	t.Helper()
	for _, f := range s.Fields {
		if f.Name == name && f.Value != nil {
			return *f.Value
		}
	}
	t.Fatalf("no %s", name)
	return 0
}

func TestSheet(t *testing.T) {
	bill := "period_start,period_end,kwh,cost,currency\n2025-01-01,2025-02-01,3100,620,EUR\n2025-03-01,2025-04-01,3100,620,EUR\n"
	m, err := ReadBill(strings.NewReader(bill), false)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Notes) != 1 || m.Days != 62 || m.Cost != 1240 {
		t.Errorf("%+v", m)
	}
	sh := sheetOf(t, Facts{Meter: m, Tenants: []Tenant{{Bucket: "a", Bytes: 60e12}, {Bucket: "b", Bytes: 30e12, Tenant: "x"}}})
	it := sh.value(t, "energy_it")
	if want := 6200 * 365.25 / 62; math.Abs(it-want) > 1e-6 || math.Abs(sh.value(t, "energy_total")-1.25*want) > 1e-6 {
		t.Errorf("%g kWh of the IT, want %g", it, want)
	}
	sum := 0.0
	for _, x := range sh.Split {
		sum += x.KWh
	}
	if math.Abs(sum-sh.value(t, "energy_total")) > 0.0005 {
		t.Errorf("the split sums to %g, the meter has %g", sum, sh.value(t, "energy_total"))
	}
	if !strings.Contains(strings.Join(sh.Missing, "\n"), "REF") || !strings.Contains(strings.Join(sh.Missing, "\n"), "no period from 2025-02-01") {
		t.Errorf("missing: %q", sh.Missing)
	}
	var text, page, table bytes.Buffer
	sh.Markdown(&text)
	if err := sh.HTML(&page); err != nil {
		t.Fatal(err)
	}
	if err := sh.CSV(&table); err != nil {
		t.Fatal(err)
	}
	if _, err := csv.NewReader(&table).ReadAll(); err != nil {
		t.Error(err)
	}
	for name, p := range map[string]string{"markdown": text.String(), "html": page.String()} {
		if !strings.Contains(p, "storage capacity, raw") || !strings.Contains(p, "sha256") || strings.Contains(p, "<no value>") {
			t.Errorf("%s: %s", name, p)
		}
	}
	if strings.Contains(page.String(), "http") {
		t.Error("the page asks for something from elsewhere")
	}
	if _, err := json.Marshal(sh); err != nil {
		t.Error(err)
	}
}

// TestSplitByRequests: a part goes with requests, the rest with raw bytes, and all sums to the meter.
func TestSplitByRequests(t *testing.T) {
	tenants, err := ReadTenants(strings.NewReader("bucket,bytes,requests\na,10TB,100\nb,10TB,300\nc,20TB,\n"))
	if err != nil {
		t.Fatal(err)
	}
	facts := Facts{Meter: &Meter{KWh: 50000, Source: "x"}, Tenants: tenants, ByRequests: 0.2}
	sh := sheetOf(t, facts)
	by, sum := map[string]Share{}, 0.0
	for _, x := range sh.Split {
		by[x.Bucket], sum = x, sum+x.KWh
	}
	total := sh.value(t, "energy_total")
	if math.Abs(sum-total) > 0.0005 || math.Abs(by["a"].ByRequests/total-0.05) > 1e-6 || math.Abs(by["b"].ByRequests/total-0.15) > 1e-6 || by["c"].ByRequests != 0 || by[""].ByRequests != 0 {
		t.Errorf("%+v of %v", by, total)
	}
	if d := by["b"].KWh - by["a"].KWh; math.Abs(d/total-0.1) > 1e-6 || math.Abs(2*(by["a"].KWh-by["a"].ByRequests)-by["c"].KWh) > 0.01 {
		t.Errorf("%+v", by)
	}
	facts.ByRequests = 0
	if !strings.Contains(strings.Join(sheetOf(t, facts).Remarks, "\n"), "requests were given and not used") {
		t.Error("unused requests are not told")
	}
}

func TestSheetModelled(t *testing.T) {
	sh := sheetOf(t, Facts{})
	for _, f := range sh.Fields {
		if f.Name == "energy_it" && (f.Method != Modelled || f.Low == nil || !(*f.Low < *f.Value && *f.Value < *f.High)) {
			t.Errorf("%+v", f)
		}
		if f.Value != nil && (math.IsNaN(*f.Value) || f.Source == "") {
			t.Errorf("%+v", f)
		}
	}
	if math.Abs(sh.value(t, "energy_total")/sh.value(t, "energy_it")-1.25) > 1e-9 {
		t.Error("total over IT is not the PUE")
	}
}

// TestApportion: a whole number is dealt out to the last one.
func TestApportion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.Int64Range(0, 1e15).Draw(t, "total")
		weights := rapid.SliceOfN(rapid.Float64Range(0, 1e18), 1, 50).Draw(t, "weights")
		sum := 0.0
		for _, w := range weights {
			sum += w
		}
		got := int64(0)
		for i, n := range apportion(total, weights, sum) {
			if n < 0 || sum > 0 && math.Abs(float64(n)-float64(total)*weights[i]/sum) > 1+1e-9*float64(total) {
				t.Errorf("share %d of %d is %d", i, total, n)
			}
			got += n
		}
		if got != total {
			t.Errorf("%d dealt of %d", got, total)
		}
	})
}

func TestBadSheets(t *testing.T) {
	for text, want := range map[string]string{
		"": "no rows", "a,b\n1,2\n": `no column "period_start"`,
		"period_start,period_end,kwh\n2025-01-01,2025-02-01,x\n":                                           "line 2",
		"period_start,period_end,kwh\n2025-02-01,2025-01-01,5\n":                                           "ends after its start",
		"period_start,period_end,kwh\n2025-01-01,2025-02-01,5\n2025-01-15,2025-02-15,5\n":                  "overlap",
		"period_start,period_end,kwh\n1.1.25,2025-02-01,5\n":                                               "YYYY-MM-DD",
		"period_start,period_end,kwh,currency\n2025-01-01,2025-02-01,5,EUR\n2025-02-01,2025-03-01,5,USD\n": "want one",
	} {
		if _, err := ReadBill(strings.NewReader(text), false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	for text, want := range map[string]string{
		"bucket,bytes,requests\na,5TB,-1\n": "want a count", "bucket,bytes\na,many\n": "line 2", "bucket,bytes\n,5TB\n": "without a name", "bucket,bytes,overhead\na,5TB,0.5\n": "1 to 100",
	} {
		if _, err := ReadTenants(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzBill(f *testing.F) {
	f.Add("period_start,period_end,kwh,cost,currency\n2025-01-01,2025-02-01,3100,620,EUR\n2025-03-01,2025-04-01,3100,620,EUR\n")
	f.Add("bucket,bytes,tenant,overhead\na,60TB,x,1.5\n")
	f.Fuzz(func(t *testing.T, text string) {
		if m, err := ReadBill(strings.NewReader(text), true); err == nil && (m.KWh < 0 || math.IsNaN(m.KWh) || m.Days <= 0) {
			t.Errorf("%+v", m)
		}
		_, _ = ReadTenants(strings.NewReader(text))
	})
}

// TestIndicators: every indicator of the regulation has a field or says why not, and fields are those that exist.
func TestIndicators(t *testing.T) {
	sh := sheetOf(t, Facts{})
	answered := map[string]bool{}
	for _, x := range sh.Indicators {
		if (len(x.Fields) == 0) != (x.Why != "") {
			t.Errorf("%s: answered by %v, why not %q", x.Symbol, x.Fields, x.Why)
		}
		for _, name := range x.Fields {
			sh.value(t, name)
			answered[x.Symbol] = true
		}
	}
	for _, want := range []string{"EDC", "EIT", "CSTOR", "PUE"} {
		if !answered[want] {
			t.Errorf("%s is not answered", want)
		}
	}
	if answered["CSERV"] || answered["WIN"] {
		t.Error("what nobody told is answered")
	}
}
