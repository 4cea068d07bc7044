package cluster

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestStandby: what is promoted has all that was acknowledged, also after the copy, and the old
// catalog, though it lacks nothing, is refused from then on.
func TestStandby(t *testing.T) {
	c, dir := newCluster(t, InitOptions{})
	to := t.TempDir()
	if _, err := Promote(ctx, dir, Options{}, to); !errors.Is(err, ErrNoCluster) {
		t.Errorf("an empty directory: %v", err)
	}
	put(t, c, "a", []byte("one"))
	follow, stop := context.WithCancel(ctx)
	copies := make(chan BackupReport, 10)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Follow(follow, to, 10*time.Millisecond, func(r BackupReport, err error) {
			if err != nil {
				t.Error(err)
			}
			copies <- r
		})
	}()
	first := <-copies
	put(t, c, "a", []byte("two"))
	if second := <-copies; second.Batch <= first.Batch {
		t.Errorf("batch %d, then %d", first.Batch, second.Batch)
	}
	stop()
	<-done
	put(t, c, "b", []byte("three"))
	if _, err := Promote(ctx, dir, Options{}, to); !errors.Is(err, ErrLocked) {
		t.Errorf("while the writer lives: %v", err)
	}
	newest := c.committed.Load()
	c.Close()
	old, err := os.ReadFile(filepath.Join(dir, "catalog.db"))
	if err != nil {
		t.Fatal(err)
	}
	rep, err := Promote(ctx, dir, Options{}, to)
	if err != nil || rep.Batch < newest || rep.CopyBatch >= newest || rep.Incarnation <= c.incarnation || rep.Changed.IsZero() {
		t.Fatalf("%+v, %v; the newest batch is %d", rep, err, newest)
	}
	n := open(t, dir, Options{})
	wantBytes(t, n, "a", []byte("two"))
	wantBytes(t, n, "b", []byte("three"))
	n.Close()
	if err := os.WriteFile(filepath.Join(dir, "catalog.db"), old, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(ctx, dir, Options{}); !errors.Is(err, ErrStaleCatalog) {
		t.Errorf("the old writer's catalog: %v", err)
	}
}
