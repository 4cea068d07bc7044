package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/wattle-storage/wattle/cluster"
)

// TestDropUploads: uploads that are older than is kept go, with a line of the log each, and
// others stay.
func TestDropUploads(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "c")
	if err := cluster.Init(dir, cluster.InitOptions{Map: cluster.DefaultMap(3, 1, 1, 5, 1e12)}); err != nil {
		t.Fatal(err)
	}
	cl, err := cluster.Open(t.Context(), dir, cluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.MakeBucket(t.Context(), "photos"); err != nil {
		t.Fatal(err)
	}
	old, err := cl.StartUpload(t.Context(), "photos", "old", cluster.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	between := time.Now()
	young, err := cl.StartUpload(t.Context(), "photos", "young", cluster.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	dropUploads(t.Context(), cl, slog.New(slog.NewJSONHandler(&lines, nil)), between)
	var said struct{ Msg, Bucket, Key, Upload string }
	if err := json.Unmarshal(lines.Bytes(), &said); err != nil || said.Msg != "old upload dropped" || said.Bucket != "photos" || said.Key != "old" || said.Upload != old.ID {
		t.Errorf("the log says %s, %v", lines.Bytes(), err)
	}
	if _, err := cl.Upload(t.Context(), "photos", "old", old.ID); err == nil {
		t.Error("the old upload is still there")
	}
	if _, err := cl.Upload(t.Context(), "photos", "young", young.ID); err != nil {
		t.Errorf("the young upload: %v", err)
	}
}
