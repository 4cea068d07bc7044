package placement

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestExampleTopologies: the files for people in testdata/topology are what they say.
func TestExampleTopologies(t *testing.T) {
	want := map[string]int{
		"three-sites.yaml": 36, "mixed-576.yaml": 576, "rooms.yaml": 48,
	}
	files, err := filepath.Glob("../testdata/topology/*.yaml")
	if err != nil || len(files) != len(want) {
		t.Fatalf("%d files, want %d: %v", len(files), len(want), err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		w := want[filepath.Base(f)]
		tree, err := ParseTree(text)
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		if got := len(tree.Leaves()); got != w {
			t.Errorf("%s has %d disks, want %d", f, got, w)
		}
	}
}

// TestUnknownField: an unknown field is named with its line and column, and what it was
// likely meant to be.
func TestUnknownField(t *testing.T) {
	for text, want := range map[string][]string{
		"sites:\n  - name: a\n    rakcs: []\n": {"[3:5]", `unknown field "rakcs"`, `did you mean "racks"?`},
		"sties: []\n":                          {"[1:1]", `did you mean "sites"?`},
		"sites:\n  - weight: 7\n":              {"[2:5]", "the fields are sites, racks"},
	} {
		_, err := ParseTopology([]byte(text))
		if !errors.Is(err, ErrMap) {
			t.Fatalf("%q: %v", text, err)
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%q gives %q, without %q", text, err, w)
			}
		}
	}
}
