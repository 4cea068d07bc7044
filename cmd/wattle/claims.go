package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/whatif"
)

func claimsCommand() *cli.Command {
	return &cli.Command{
		Name: "claims", Usage: "check what is said of storage and energy with the model", Category: "energy",
		Description: "The article is the one of November 2015 that Wattle starts from.\n\n" + examples("wattle claims", "wattle claims --explain", "wattle claims --json"),
		Flags:       []cli.Flag{&cli.BoolFlag{Name: "explain", Usage: "show inputs and results too"}},
		Action: func(c *cli.Context) error {
			if err := arguments(c, 0, 0, "no arguments"); err != nil {
				return err
			}
			list, err := whatif.Claims()
			if err != nil {
				return err
			}
			e := envOf(c)
			if e.json {
				return e.document(list)
			}
			showClaims(e.out, list, c.Bool("explain"))
			return nil
		},
	}
}

func showClaims(w io.Writer, list []whatif.Claim, explain bool) {
	t := newTable("source", "claim", "verdict", "condition")
	wrapped := func(n, width int) table.ColumnConfig {
		return table.ColumnConfig{Number: n, WidthMax: width, WidthMaxEnforcer: text.WrapSoft}
	}
	t.SetColumnConfigs([]table.ColumnConfig{wrapped(2, 36), wrapped(4, 62)})
	for _, c := range list {
		t.AppendRow(table.Row{c.Source, c.Claim, c.Verdict, c.Condition})
		if explain {
			t.AppendRow(table.Row{"", "", "given", joined(c.Inputs, func(v any) string { return fmt.Sprint(v) })})
			t.AppendRow(table.Row{"", "", "result", joined(c.Result, func(v float64) string { return fmt.Sprintf("%.4g", v) })})
		}
		t.AppendRow(table.Row{"", "", "", ""})
	}
	for line := range strings.Lines(t.Render() + "\n") {
		fmt.Fprintln(w, strings.TrimRight(line, " \n"))
	}
}

// joined lists a map in order of its keys.
func joined[V any](m map[string]V, show func(V) string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, k+" = "+show(m[k]))
	}
	return strings.Join(parts, ", ")
}
