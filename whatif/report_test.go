package whatif

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
)

var reportOf = sync.OnceValues(func() (Report, error) {
	return Run(Scenario{Name: "a <b>name</b>", UsableTB: 1e4, Survive: "1", Prices: Prices{EURPerKWh: &Range{0.1, 0.2, 0.3}},
		Facility: Facility{Temperatures: orly(), WishedSaving: 0.3},
		Sweep:    Sweep{Schemes: []string{"replica:3", "rs:9+6", "lrc:12+2+2"}, Disks: []string{"seagate-ecv4-6tb-sas", "hgst-he12-12tb"}, Sites: []int{3}}})
})

func someReport(t *testing.T) Report {
	t.Helper()
	r, err := reportOf()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestHTML(t *testing.T) {
	r := someReport(t)
	var b bytes.Buffer
	if err := r.HTML(&b, false); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, want := range []string{"a &lt;b&gt;name", "<svg", "class=\"whisker\"", "prefers-color-scheme: dark", "@media print", "factor by factor", "PUE by hour", "less than asked for",
		r.InputsDigest, "EUR a year", "title=\"", "slot_w", "hgst-he12-12tb/idle"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	for _, bad := range []string{"http://", "https://", "<script", "<link", "NaN", "Inf", "ZgotmplZ", "%!"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
}

// TestLongPage: however long the sweep, the page stays small.
func TestLongPage(t *testing.T) {
	var fills []float64
	for i := range 100 {
		fills = append(fills, 0.3+float64(i)/200)
	}
	r := run(t, Scenario{UsableTB: 1e4, Sweep: Sweep{Schemes: someSchemes, Disks: someDisks, Sites: []int{1, 3}, Fills: fills}})
	var b bytes.Buffer
	if err := r.HTML(&b, true); err != nil {
		t.Fatal(err)
	}
	if b.Len() > 15e5 || r.Considered != 12800 {
		t.Errorf("%d bytes for %d options", b.Len(), r.Considered)
	}
}

func TestCSVAndMarkdown(t *testing.T) {
	r := someReport(t)
	var b bytes.Buffer
	r.CSV(&b)
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil || len(rows) != len(r.Options)+1 || rows[0][0] != "option" || rows[1][0] != r.Options[0].Name {
		t.Errorf("%v, %v", rows, err)
	}
	b.Reset()
	r.Markdown(&b, false)
	if n := strings.Count(b.String(), "\n|"); n != len(r.Options)+2 {
		t.Errorf("%d rows in\n%s", n, b.String())
	}
	b.Reset()
	r.Text(&b, true, false)
	for _, want := range []string{"TiB", "below: 3 shards", "what would change the winner", "it survives 1 site + 1 shard"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

// TestJSONNames: the names that others rely on.
func TestJSONNames(t *testing.T) {
	text, err := json.Marshal(someReport(t))
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields("boundary defaults inputs_digest sources baseline options") {
		if _, ok := doc[name]; !ok {
			t.Errorf("no %s", name)
		}
	}
	option := doc["options"].([]any)[1].(map[string]any)
	for _, name := range strings.Fields(`scheme disk sites fill reserve amplification raw_tb usable_tb stored_tb drives servers racks bound_by states iops_utilisation watts watts_by_part
		watts_by_site kw_per_rack w_per_raw_tb w_per_usable_tb w_per_stored_tb kwh_per_year pue erf ref litres_per_year kgco2e_location_per_year kgco2e_market_per_year
		kgco2e_embodied_per_year kgco2e_embodied_total eur_energy_per_year eur_capital sites_survived left_over reads_survive_sites writes_survive_sites read_ios ratio ratio_twin
		twin verdict factors growth warnings`) {
		if _, ok := option[name]; !ok {
			t.Errorf("no %s in an option", name)
		}
	}
	for _, e := range []any{option["watts"], option["ratio"], doc["defaults"].(map[string]any)["slot_w"]} {
		for _, name := range strings.Fields("low typical high unit status source") {
			if _, ok := e.(map[string]any)[name]; !ok {
				t.Errorf("no %s in %v", name, e)
			}
		}
		if _, ok := doc["sources"].(map[string]any)[e.(map[string]any)["source"].(string)]; !ok {
			t.Errorf("the source of %v is not listed", e)
		}
	}
	for _, name := range strings.Fields("idle random sequential standby") {
		if _, ok := option["states"].(map[string]any)[name]; !ok {
			t.Errorf("no state %s", name)
		}
	}
}

// TestExplain: the tornado and the corners frame the band.
func TestExplain(t *testing.T) {
	s := Scenario{UsableTB: 1e4, Workload: Workload{Reads: 5000, Standby: 0.2}, Sweep: Sweep{Schemes: []string{"rs:9+6"}, Disks: []string{"air-7w@6TB", "hgst-he6-6tb"}, Sites: []int{3}}}
	r := run(t, s)
	for _, name := range Fields() {
		list, err := Explain(s, name)
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range list {
			if !(e.AllLow <= e.Value.Low*(1+1e-9)+1e-12 && e.Value.High <= e.AllHigh*(1+1e-9)+1e-12) || e.Formula == "" {
				t.Errorf("%s of %s: %v within %v to %v", name, e.Option, e.Value, e.AllLow, e.AllHigh)
			}
			if v, err := r.Options[i].Field(name); err == nil && math.Abs(v-e.Value.Typical) > 1e-9*math.Abs(v) {
				t.Errorf("%s of %s: %v explained, %v answered", name, e.Option, e.Value.Typical, v)
			}
			for _, x := range e.Inputs {
				if _, ok := e.Sources[x.Value.Source]; !ok {
					t.Errorf("%s has no source", x.Input)
				}
			}
		}
	}
	list, err := Explain(s, "watts")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	WriteExplanations(&b, list)
	for _, want := range []string{"slot_w", "air-7w/idle", "CIO.Focus", "of the variance", "class/helium/standby:idle"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

// TestFlips: at a flip another option wins, and just before it does not.
func TestFlips(t *testing.T) {
	s := Scenario{UsableTB: 1e4, Sweep: Sweep{Schemes: []string{"replica:3", "rs:9+6"}, Disks: []string{"hgst-he12-12tb"}, Sites: []int{3}, Layouts: []string{"striped"}}}
	r := run(t, s)
	best := func(reads float64) string {
		s := s
		s.Workload.Reads = reads
		o := run(t, s).Options
		if o[0].WPerStoredTB.Typical <= o[1].WPerStoredTB.Typical*(1+1e-9) {
			return o[0].Name
		}
		return o[1].Name
	}
	for _, f := range r.Advice.Flips {
		if f.Parameter != "reads" {
			continue
		}
		if f.At == nil || best(*f.At*0.99) != f.Winner || best(*f.At*1.01) != f.Then {
			t.Errorf("%+v: %s before, %s after", f, best(*f.At*0.99), best(*f.At*1.01))
		}
		return
	}
	t.Error("striped reads never change the winner")
}

// TestEvidence: the parts of the watts by status sum to all.
func TestEvidence(t *testing.T) {
	for _, o := range someReport(t).Options {
		sum := 0.0
		for _, v := range o.Evidence {
			sum += v
		}
		if !near(sum, 1, 1e-9) {
			t.Errorf("%s: %v", o.Name, o.Evidence)
		}
	}
}

func ExampleWaterfall() {
	falls := Waterfall(7, 5, map[string]float64{"w_per_drive": 5.0 / 7})
	fmt.Printf("%.3f\n", falls["w_per_drive"])
	// Output: -2.000
}
