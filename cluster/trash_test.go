package cluster

import (
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestRipe: nothing is freed before it was dead for the trash time, and everything is within
// the trash time and a step more; the list stays short.
func TestRipe(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		trash := time.Duration(rapid.IntRange(1, 1000).Draw(r, "trash")) * time.Second
		now, batch := time.Unix(1e9, 0), uint64(1)
		when := map[uint64]time.Time{1: now}
		var list []moment
		for range rapid.IntRange(1, 200).Draw(r, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(trash/4)).Draw(r, "wait")))
			if rapid.Bool().Draw(r, "commit") {
				batch++
				when[batch] = now
			}
			var free uint64
			free, list = ripe(list, moment{batch, now}, trash)
			if free > 0 && now.Sub(when[free]) < trash {
				r.Fatalf("batch %d is freed %v after it was committed", free, now.Sub(when[free]))
			}
			if len(list) > trashSteps+3 {
				r.Fatalf("%d moments are kept", len(list))
			}
		}
		free, _ := ripe(list, moment{batch, now.Add(trash)}, trash)
		later, rest := ripe(list, moment{batch, now.Add(trash / trashSteps)}, trash)
		if last, _ := ripe(rest, moment{batch, now.Add(2*trash + trash/trashSteps)}, trash); last != batch {
			r.Errorf("batch %d is never freed: %d, %d, %d", batch, free, later, last)
		}
	})
}

func TestTrash(t *testing.T) {
	c, dir := newCluster(t, InitOptions{})
	p := randomBytes(300_000, 1)
	put(t, c, "a", p)
	if err := c.SetTrash(ctx, time.Hour); err != nil {
		t.Fatal(err)
	}
	if d, err := c.Trash(ctx); err != nil || d != time.Hour {
		t.Fatalf("%v, %v", d, err)
	}
	before := c.used()
	rep, err := c.Backup(ctx, t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(ctx, "bucket", "a"); err != nil {
		t.Fatal(err)
	}
	c = reopen(t, c, Options{})
	if _, err := c.Compact(ctx, CompactOptions{}); err != nil {
		t.Fatal(err)
	}
	if c.used() < before {
		t.Errorf("%d bytes in use, %d before: the trash was emptied", c.used(), before)
	}
	asOf, _, err := OpenDisks(ctx, []string{filepath.Join(dir, "sites")}, t.TempDir(), rep.Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantBytes(t, asOf, "a", p)
	asOf.Close()
	if err := c.SetTrash(ctx, 0); err != nil {
		t.Fatal(err)
	}
	c = reopen(t, c, Options{})
	if c.used() > before/2 {
		t.Errorf("%d bytes in use without trash, %d before", c.used(), before)
	}
	for text, want := range map[string]time.Duration{"off": 0, "36h": 36 * time.Hour, "7d": 7 * 24 * time.Hour, "1.5d": 36 * time.Hour} {
		if d, err := ParseTrash(text); err != nil || d != want {
			t.Errorf("%s: %v, %v", text, d, err)
		}
	}
	for _, text := range []string{"", "d", "-1h", "1000000d", "week"} {
		if d, err := ParseTrash(text); err == nil {
			t.Errorf("%q: %v", text, d)
		}
	}
}
