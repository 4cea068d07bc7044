package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/wattle-storage/wattle/durability"
)

// A checkAnswer is what came of a file of cases.
type checkAnswer struct {
	File            string               `json:"file"`
	YearHours       float64              `json:"hours_per_year"`
	Cases           []durability.Outcome `json:"cases"`
	Passed          int                  `json:"passed"`
	Failed          int                  `json:"failed"` // with those that could not be run
	NotReproducible int                  `json:"not_reproducible"`
}

// checkCases runs a file of cases and says what came of each. A case that makes no sense is a
// usage error, after the others were run; one whose figure is off is a plain one.
func checkCases(e *env, path string) error {
	in := e.in
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	file, err := durability.ReadCases(path, in)
	if errors.Is(err, durability.ErrCases) {
		return usageError{err}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	a := checkAnswer{File: path, YearHours: file.YearHours, Cases: []durability.Outcome{}}
	var bad []error
	for _, c := range file.Cases {
		o := file.Check(c)
		a.Cases = append(a.Cases, o)
		switch o.Verdict {
		case durability.Pass:
			a.Passed++
		case durability.Irreproducible:
			a.NotReproducible++
		default:
			a.Failed++
		}
		if err := o.Err(); err != nil {
			bad = append(bad, err)
		}
	}
	if e.json {
		if err := e.document(a); err != nil {
			return err
		}
	} else {
		showCheck(e.out, a)
	}
	switch {
	case len(bad) > 0:
		return usageError{errors.Join(bad...)}
	case a.Failed > 0:
		return fmt.Errorf("%s: %d of %d cases failed", path, a.Failed, len(a.Cases))
	}
	return nil
}

func showCheck(w io.Writer, a checkAnswer) {
	t := newTable("case", "model", "figure", "expected", "got", "off by", "tolerance", "verdict")
	t.SetColumnConfigs([]table.ColumnConfig{
		{Name: "expected", Align: text.AlignRight}, {Name: "got", Align: text.AlignRight}, {Name: "off by", Align: text.AlignRight}, {Name: "tolerance", Align: text.AlignRight},
	})
	for _, o := range a.Cases {
		model := o.Model
		if o.Public != "" {
			model += " (" + o.Public + ")"
		}
		if len(o.Figures) == 0 {
			t.AppendRow([]any{o.ID, model, "", "", "", "", "", o.Verdict})
		}
		for _, f := range o.Figures {
			row := []any{o.ID, model, f.Key, significant(f.Expected), "", "", "", o.Verdict}
			if f.Got != nil {
				row[4], row[5], row[6] = significant(*f.Got), fmt.Sprintf("%.1e", *f.RelDiff), fmt.Sprintf("%.1e", o.RelTol)
				if row[7] = durability.Pass; !f.Pass {
					row[7] = durability.Fail
				}
			}
			t.AppendRow(row)
		}
	}
	show(w, t)
	fmt.Fprintln(w)
	if a.NotReproducible > 0 {
		fmt.Fprintf(w, "%d not reproducible: the inputs printed at their source do not determine them\n", a.NotReproducible)
	}
	fmt.Fprintf(w, "%d passed, %d failed\n", a.Passed, a.Failed)
}

// significant prints ten digits, which the tightest tolerances are about.
func significant(v float64) string { return strconv.FormatFloat(v, 'g', 10, 64) }
