package cluster

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/wattle-storage/wattle/disks"
)

// aCheckpoint is a small checkpoint of every kind of value.
func aCheckpoint(t testing.TB, tables map[string][][]any) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := newCheckpointWriter(&b, 77)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"buckets", "objects", "shared"} {
		if err := w.table(name, []string{"a", "b"}); err != nil {
			t.Fatal(err)
		}
		for _, row := range tables[name] {
			if err := w.row(row); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.endTable(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.end(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestCheckpointFormat: what is written comes back, and no part of it can be changed or cut
// without an error.
func TestCheckpointFormat(t *testing.T) {
	value := rapid.OneOf(rapid.Just[any](nil), rapid.Map(rapid.Int64(), func(v int64) any { return v }),
		rapid.Map(rapid.String(), func(v string) any { return v }), rapid.Map(rapid.SliceOf(rapid.Byte()), func(v []byte) any { return v }))
	rapid.Check(t, func(r *rapid.T) {
		want := map[string][][]any{}
		for _, name := range []string{"buckets", "objects"} {
			want[name] = rapid.SliceOfN(rapid.SliceOfN(value, 2, 2), 0, 5).Draw(r, name)
		}
		p := aCheckpoint(t, want)
		got := map[string][][]any{}
		seq, err := readCheckpoint(bytes.NewReader(p), func(table string, columns []string, values []any) error {
			if !slices.Equal(columns, []string{"a", "b"}) {
				r.Fatalf("columns %q", columns)
			}
			got[table] = append(got[table], values)
			return nil
		})
		if err != nil || seq != 77 {
			r.Fatalf("batch %d, %v", seq, err)
		}
		for _, name := range []string{"buckets", "objects"} {
			if fmt.Sprint(got[name]) != fmt.Sprint(want[name]) {
				r.Fatalf("%s: %v, want %v", name, got[name], want[name])
			}
		}
		ignore := func(string, []string, []any) error { return nil }
		cut := rapid.IntRange(0, len(p)-1).Draw(r, "cut")
		if _, err := readCheckpoint(bytes.NewReader(p[:cut]), ignore); err == nil {
			r.Fatalf("%d of %d bytes pass for all", cut, len(p))
		}
		bad := bytes.Clone(p)
		bad[cut] ^= 1 << rapid.IntRange(0, 7).Draw(r, "bit")
		if _, err := readCheckpoint(bytes.NewReader(bad), ignore); err == nil {
			r.Fatalf("byte %d changed and nothing was said", cut)
		}
	})
}

func FuzzCheckpoint(f *testing.F) {
	f.Add([]byte{})
	f.Add(aCheckpoint(f, nil))
	f.Add(aCheckpoint(f, map[string][][]any{"objects": {{nil, int64(-5)}, {"text", []byte("bytes")}}}))
	f.Fuzz(func(t *testing.T, p []byte) {
		rows := 0
		_, err := readCheckpoint(bytes.NewReader(p), func(string, []string, []any) error { rows++; return nil })
		if err == nil && rows > len(p) {
			t.Errorf("%d rows in %d bytes", rows, len(p))
		}
	})
}

// TestCheckpointHoldsEveryTable: a table that is added to the catalog is in a checkpoint,
// unless it says where shards lie.
func TestCheckpointHoldsEveryTable(t *testing.T) {
	c, _ := newCluster(t, InitOptions{})
	rows, err := c.catalog.read.Query(`SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		if slices.Contains(logicalTables(), name) == slices.Contains(physical, name) {
			t.Errorf("table %s: in a checkpoint or physical, one of both", name)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

// TestCheckpointHoldsAll: versions, settings, uploads and attributes come back from a
// checkpoint as they were.
func TestCheckpointHoldsAll(t *testing.T) {
	s := newStill(t, InitOptions{}, func(c *Cluster, m *memDisks) map[string][]byte { return mixed(t, c) })
	c, m := s.open(t)
	if err := c.Set(ctx, "bucket", SettingVersioning, VersioningEnabled); err != nil {
		t.Fatal(err)
	}
	put(t, c, "k1", randomBytes(50, 8))
	s.want["k1"] = randomBytes(50, 8)
	if err := c.Delete(ctx, "bucket", "k2"); err != nil {
		t.Fatal(err)
	}
	delete(s.want, "k2")
	up, err := c.StartUpload(ctx, "bucket", "up", PutOptions{ContentType: "text/plain"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutPart(ctx, "bucket", "up", up.ID, 1, bytes.NewReader(randomBytes(9000, 4)), PutOptions{}); err != nil {
		t.Fatal(err)
	}
	dump := func(c *Cluster) string {
		var b bytes.Buffer
		if err := c.catalog.dump(ctx, &b, func(uint64) {}); err != nil {
			t.Fatal(err)
		}
		text := ""
		if _, err := readCheckpoint(&b, func(table string, columns []string, values []any) error {
			text += fmt.Sprintln(table, columns, values)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return text
	}
	want := dump(c)
	if _, err := c.Compact(ctx, CompactOptions{Checkpoint: true}); err != nil {
		t.Fatal(err)
	}
	moved := dump(c)
	c = s.recovered(t, c, m)
	if got := dump(c); got != moved {
		t.Errorf("recovered:\n%s\nwas:\n%s", got, moved)
	}
	for n := int32(0); n < 6; n += 2 { // whatever shard of the checkpoint is rotten
		m.set(n, disks.Fault{Rot: true})
		m.set(n+1, disks.Fault{Rot: true})
		c = s.recovered(t, c, m)
		if err := s.check(c); err != nil {
			t.Fatalf("disks %d and %d rotten: %v", n, n+1, err)
		}
		m.set(n, disks.Fault{})
		m.set(n+1, disks.Fault{})
	}
	if len(want) != len(moved) && moved == "" {
		t.Error("the dump is empty")
	}
	if err := s.check(c); err != nil {
		t.Fatal(err)
	}
	parts, err := c.Parts(ctx, "bucket", "up", up.ID, 0, 10)
	if err != nil || len(parts) != 1 || parts[0].Size != 9000 {
		t.Errorf("parts %+v, %v", parts, err)
	}
}
