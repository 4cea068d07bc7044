package energy

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/goccy/go-yaml"
)

var update = flag.Bool("update", false, "write data/drives.json anew")

// TestEmbedded: data/drives.json says what data/drives.yaml says.
func TestEmbedded(t *testing.T) {
	text, err := os.ReadFile("data/drives.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file figures
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	want := []byte("[\n")
	for i, p := range file.profiles(Datasheet) {
		line, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			want = append(want, ",\n"...)
		}
		want = append(want, line...)
	}
	want = append(want, "\n]\n"...)
	if *update {
		if err := os.WriteFile("data/drives.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got, err := os.ReadFile("data/drives.json"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("data/drives.json is not what data/drives.yaml says (%v): `make golden` writes it anew", err)
	}
}
