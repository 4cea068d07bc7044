package durability

import (
	"errors"
	"math"
	"os"
	"strings"
	"testing"
)

func runText(t *testing.T, text string) (CaseFile, []Outcome) {
	t.Helper()
	f, err := ReadCases("f.yaml", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var out []Outcome
	for _, c := range f.Cases {
		out = append(out, f.Check(c))
	}
	return f, out
}

// TestCaseErrors: what makes no sense is named, with its line, and fails alone.
func TestCaseErrors(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"unknown model":   {"{id: a, model: frob, expect: {pdl: 1}}", `f.yaml:2: case a: model "frob" is not known: want ceph_multi`},
		"missing input":   {"{id: a, model: ctmc_mds, inputs: {n: 6, m: 2, mu: 1}, expect: {pdl: 1}}", `input "lam" is missing`},
		"unknown input":   {"{id: a, model: ctmc_mds, inputs: {n: 6, m: 2, lam: 1, mu: 1, days: 3}, expect: {pdl: 1}}", `input "days" is not known here: want T,`},
		"negative":        {"{id: a, model: fixed_window, inputs: {n: 6, m: 2, afr: -0.1, days: 1}, expect: {pdl: 1}}", "input afr: -0.1: want more than 0"},
		"not a number":    {"{id: a, model: ctmc_mds, inputs: {n: 6, m: 2, lam: .nan, mu: 1}, expect: {pdl: 1}}", "not a finite number"},
		"infinite":        {"{id: a, model: ctmc_mds, inputs: {n: 6, m: 2, lam: 1, mu: .inf}, expect: {pdl: 1}}", "not a finite number"},
		"fraction":        {"{id: a, model: ctmc_mds, inputs: {n: 6.5, m: 2, lam: 1, mu: 1}, expect: {pdl: 1}}", "want a whole number"},
		"too wide":        {"{id: a, model: ctmc_mds, inputs: {n: 256, m: 2, lam: 1, mu: 1}, expect: {pdl: 1}}", "want 1 to 255 shards"},
		"repair mode":     {"{id: a, model: ctmc_mds, inputs: {n: 6, m: 2, lam: 1, mu: 1, repair: slow}, expect: {pdl: 1}}", "want parallel or single"},
		"two units":       {"{id: a, model: ctmc_mds, inputs: {n: 6, m: 2, lam: 1, afr: 1, mu: 1}, expect: {pdl: 1}}", "lam and afr contradict"},
		"lengths":         {"{id: a, model: chain_explicit, inputs: {fail: [1, 2], repair: [0]}, expect: {mttdl: 1}}", "2 fail rates and 1 repair rates"},
		"word in list":    {"{id: a, model: chain_explicit, inputs: {fail: [1, x], repair: [0, 1]}, expect: {mttdl: 1}}", "fail[1]: x is not a finite number"},
		"more lost":       {"{id: a, model: copysets, inputs: {N: 5, F: 9, R: 3, sets: 1}, expect: {pdl: 1}}", "9 of 5 nodes lost"},
		"unknown figure":  {"{id: a, model: copysets, inputs: {N: 5, F: 2, R: 3, sets: 1}, expect: {mttdl: 1}}", `expect "mttdl": copysets gives`},
		"no expect":       {"{id: a, model: copysets, inputs: {N: 5, F: 2, R: 3, sets: 1}}", "expect is missing"},
		"word expected":   {"{id: a, model: copysets, expect: {pdl: many}}", "expect pdl: want a finite number"},
		"no model":        {"{id: a, expect: {pdl: 1}}", "model is missing"},
		"given twice":     {"{id: a, id: b, model: copysets, expect: {pdl: 1}}", "id"},
		"bad tolerance":   {"{id: a, model: copysets, rel_tol: -1, expect: {pdl: 1}}", "rel_tol -1: want a number from 0 to 10"},
		"no return":       {"{id: a, model: sites_mds, inputs: {s: 3, c: 1, m: 2, lam: 1, mu: 1, sigma: 1}, expect: {pdl: 1}}", `input "rho" is missing`},
		"too many losses": {"{id: a, model: lrc_decodable, inputs: {k: 6, l: 2, r: 2, e: 11}, expect: {fraction: 1}}", "only 10 shards"},
		"too many kinds":  {"{id: a, model: product_loss, inputs: {rows: 8, cols: 20, row_m: 2, q: 0.1}, expect: {p: 1}}", "too many to add up"},
		"not a case":      {"7", "case number 1: want a mapping, not integer"},
		"a list":          {"{id: a, model: copysets, inputs: [1], expect: {pdl: 1}}", "inputs: want a mapping"},
	} {
		f, err := ReadCases("f.yaml", strings.NewReader("cases:\n- "+c.text+"\n- {id: sound, model: lrc_decodable, inputs: {k: 6, l: 2, r: 2, e: 4}, expect: {fraction: 0.8571428571428571}}\n"))
		if err != nil { // the reader itself may refuse: keys given twice
			if !strings.Contains(err.Error(), c.want) || !errors.Is(err, ErrCases) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		o := f.Check(f.Cases[0])
		if o.Err() == nil || !strings.Contains(o.Err().Error(), c.want) || o.Verdict != Bad {
			t.Errorf("%s: %v, want %q", name, o.Err(), c.want)
		}
		if sound := f.Check(f.Cases[1]); sound.Verdict != Pass {
			t.Errorf("%s: the sound case: %v", name, sound)
		}
	}
}

func TestCaseFiles(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "want one document",
		"cases: 3":                           "want a list named cases",
		"- 1":                                "want a mapping with version and cases",
		"version: 2\ncases: []":              "version 2: this reads version 1",
		"hours_per_year: 24\ncases: []":      "want 8760 or 8766",
		"cases: [\n":                         "[1:8]",
		"cases: " + strings.Repeat("[", 999): "nested more than",
	} {
		_, err := ReadCases("f.yaml", strings.NewReader(text))
		if !errors.Is(err, ErrCases) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// TestCaseForms: block and flow style, other names of the inputs, the year, a case that fails.
func TestCaseForms(t *testing.T) {
	_, out := runText(t, `
hours_per_year: 8760
cases:
- id: block
  model: ctmc_mds
  inputs:
    n: 6
    k: 4
    mttf_h: 1e5
    mttr_h: 50
  expect: {pdl: 1.2975638227e-6, mttdl_y: 7.6e5}
  rel_tol: 0.02
- {id: off, model: ctmc_mds, inputs: {n: 6, m: 2, lam: 1.0e-5, mu: 0.02}, expect: {pdl: 1.3e-6}, rel_tol: 1e-4}
- {id: untold, model: null, reproducible: false, expect: {x: 1}}
- {id: system, model: chain_explicit, inputs: {fail: [0.002, 0.001], repair: [0, 24], scale: 0.01, unit: day, T: 365}, expect: {mttdl: 120030, mttdl_h: 2880720, pdl: 0.003036}, rel_tol: 0.001}
`)
	for i, want := range []Verdict{Pass, Fail, Irreproducible, Pass} {
		if out[i].Verdict != want {
			t.Errorf("%s: %v %v", out[i].ID, out[i].Verdict, out[i].Err())
			for _, f := range out[i].Figures {
				t.Errorf("%s: %v, off by %v", f.Key, *f.Got, *f.RelDiff)
			}
		}
	}
}

// TestModelsRefuse: no model gives a figure that is not finite, whatever it is asked.
func TestModelsRefuse(t *testing.T) {
	names := map[string]bool{}
	for _, m := range models {
		in := &inputs{values: map[string]any{}, used: map[string]bool{}, year: YearHours}
		_, _ = m.run(in)
		for n := range in.used {
			names[n] = true
		}
		for _, v := range []any{0.0, -1.0, 1.0, 2.0, 1e300, 1e-300, 255.0, true, "x", nil, []any{1.0, 1e300}, []any{0.0, 0.0}} {
			values := map[string]any{}
			for n := range in.used {
				if n != "k" && n != "afr" && n != "mttf_h" && n != "mttr_h" && n != "n" || m.Name != "ctmc_mds" {
					values[n] = v
				}
			}
			got, err := m.Run(values, YearHours)
			for k, f := range got {
				if err == nil && (math.IsNaN(f) || math.IsInf(f, 0)) {
					t.Errorf("%s of %v: %s is %v", m.Name, v, k, f)
				}
			}
		}
	}
}

func FuzzCases(f *testing.F) {
	text, err := os.ReadFile("testdata/cases.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("cases: [{id: a, model: ctmc_mds, inputs: {n: 6, m: 2, lam: 1e-5, mu: 0.02}, expect: {pdl: 1}}]"))
	f.Add([]byte("cases:\n- &x {id: a}\n- *x\n- !!str 3\n"))
	f.Add([]byte("version: 1\nhours_per_year: 8766\ncases:\n- id: |\n    a\n  expect: {? a : 1}\n"))
	for _, model := range models {
		f.Add([]byte("cases: [{id: a, model: " + model.Name + ", inputs: {n: 4, m: 2, k: 2, q: 0.1}, expect: {pdl: 1}}]"))
	}
	maxSteps, maxWork, maxEliminated = 1e6, 1e6, 60 // what a case may take is bounded; here it is bounded to an instant
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := ReadCases("f", strings.NewReader(string(text)))
		if err != nil {
			return
		}
		for i, c := range file.Cases[:min(len(file.Cases), 5)] {
			if o := file.Check(c); o.Verdict == "" {
				t.Errorf("case %d has no verdict", i)
			}
		}
	})
}
