package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wattle-storage/wattle/cluster"
)

// TestExportVersions: older versions are exported whole, and delete markers are listed.
func TestExportVersions(t *testing.T) {
	ctx := context.Background()
	dir, out := filepath.Join(t.TempDir(), "c"), filepath.Join(t.TempDir(), "saved")
	if err := cluster.Init(dir, cluster.InitOptions{}); err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Open(ctx, dir, cluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	put := func(key, body string) string {
		t.Helper()
		o, err := c.Put(ctx, "bucket", key, strings.NewReader(body), cluster.PutOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return o.VersionID()
	}
	if err := c.MakeBucket(ctx, "bucket"); err != nil {
		t.Fatal(err)
	}
	put("a/b", "null")
	if err := c.Set(ctx, "bucket", cluster.SettingVersioning, cluster.VersioningEnabled); err != nil {
		t.Fatal(err)
	}
	first := put("a/b", "first")
	put("a/b", "second")
	gone := put("gone", "was here")
	if err := c.Delete(ctx, "bucket", "gone"); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	x := &export{e: &env{getenv: func(string) string { return "" }, out: &said, errOut: io.Discard}, out: out, versions: true}
	if err := x.run(ctx, []string{dir}, ""); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"bucket/a/b": "second", "bucket.versions/key-a%2Fb/" + first: "first",
		"bucket.versions/key-a%2Fb/" + cluster.NullVersion: "null", "bucket.versions/key-gone/" + gone: "was here"} {
		if got, err := os.ReadFile(filepath.Join(out, path)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", path, got, err, want)
		}
	}
	list, err := os.ReadFile(filepath.Join(out, "bucket.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	markers := 0
	for line := range bytes.Lines(list) {
		var l manifestLine
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatal(err)
		}
		if l.Marker {
			markers++
		}
	}
	if markers != 1 || x.found.Versions != 3 || x.found.Objects != 1 || !strings.Contains(said.String(), "3 older versions") {
		t.Errorf("%d markers, %+v\n%s", markers, x.found, &said)
	}
}
