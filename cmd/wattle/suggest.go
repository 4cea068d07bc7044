package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

// nearest is the name that a mistyped word most likely stands for, "" when none is near: at most
// one slip for every three letters. A slip is a letter more, less, or other, or two exchanged.
func nearest(word string, names []string) string {
	best, least := "", 1+max(1, len(word)/3)
	for _, name := range names {
		if d := slips(word, name); d < least && d < len(name) {
			best, least = name, d
		}
	}
	return best
}

// slips is the Damerau-Levenshtein distance of neighbouring exchanges.
func slips(a, b string) int {
	before, last := []int(nil), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			other := 1
			if a[i-1] == b[j-1] {
				other = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+other)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

func didYouMean(app *cli.App, word string) string {
	var names []string
	for _, c := range app.Commands {
		names = append(names, c.Names()...)
	}
	if name := nearest(word, names); name != "" {
		return fmt.Sprintf("; did you mean %q", name)
	}
	return ""
}

// onUsage names the flag that an unknown one may stand for.
func onUsage(c *cli.Context, err error, _ bool) error {
	word, unknown := strings.CutPrefix(err.Error(), "flag provided but not defined: -")
	if !unknown || c == nil || c.Command == nil {
		return usageError{err}
	}
	word = strings.TrimLeft(word, "-")
	var names []string
	for _, f := range c.Command.Flags {
		names = append(names, f.Names()...)
	}
	hint := ""
	if name := nearest(word, names); name != "" && len(word) > 1 {
		hint = fmt.Sprintf("; did you mean --%s", name)
	}
	return usage("%s has no flag --%s%s; see `wattle %s --help`", c.Command.Name, word, hint, c.Command.Name)
}
