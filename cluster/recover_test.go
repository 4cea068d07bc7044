package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/wattle-storage/wattle/disks"
)

// together has the committer take what f does, one call after another, into one batch.
func together(t *testing.T, c *Cluster, calls ...func() error) []error {
	t.Helper()
	held, release := make(chan bool), make(chan bool)
	var once sync.Once
	c.catalog.around = func(change func() error) error {
		once.Do(func() {
			close(held)
			<-release
		})
		return change()
	}
	errs := make([]error, len(calls))
	var wg sync.WaitGroup
	wg.Go(func() { put(t, c, "first", nil) })
	<-held
	for i, call := range calls {
		wg.Go(func() { errs[i] = call() })
		for len(c.requests) <= i {
			time.Sleep(time.Millisecond)
		}
	}
	close(release)
	wg.Wait()
	return errs
}

func recoverCatalog(t *testing.T, c *Cluster) (*Cluster, RecoverReport) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"catalog.db", "catalog.db-wal", "catalog.db-shm"} {
		os.Remove(filepath.Join(c.dir, name))
	}
	rep, err := Recover(ctx, c.dir, Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return open(t, c.dir, Options{}), rep
}

// TestRecoverLastBatch: what died in the last batch is not freed before another one, since
// recovery would take the batch for one that was never whole, and drop it.
func TestRecoverLastBatch(t *testing.T) {
	c, _ := newCluster(t, InitOptions{})
	put(t, c, "a", []byte("old"))
	put(t, c, "there", []byte("is"))
	replace := func(key string, p []byte, o PutOptions) func() error {
		return func() error {
			_, err := c.Put(ctx, "bucket", key, bytes.NewReader(p), o)
			return err
		}
	}
	errs := together(t, c, replace("a", randomBytes(300_000, 1), PutOptions{}), func() error { return c.Delete(ctx, "bucket", "a") },
		replace("there", randomBytes(300_000, 2), PutOptions{IfAbsent: true}), replace("b", []byte("new"), PutOptions{}))
	if errs[0] != nil || errs[1] != nil || !errors.Is(errs[2], ErrPrecondition) || errs[3] != nil {
		t.Fatal(errs)
	}
	c.reapNow()
	c, rep := recoverCatalog(t, c)
	if _, err := c.Stat(ctx, "bucket", "a"); !errors.Is(err, ErrObjectNotFound) {
		t.Errorf("a was deleted: %v; %+v", err, rep.Uncertain)
	}
	wantBytes(t, c, "b", []byte("new"))
	wantBytes(t, c, "there", []byte("is"))
}

// TestUncertainCommit: after a commit of which nobody knows how it ended its shards stay, and
// nothing more is written until the cluster is opened again.
func TestUncertainCommit(t *testing.T) {
	c, _ := newCluster(t, InitOptions{})
	put(t, c, "a", []byte("old"))
	shards := func() (n int) {
		for _, id := range c.diskIDs() {
			if err := c.disk(id).Scan(ctx, func(disks.Entry) error { n++; return nil }); err != nil {
				t.Fatal(err)
			}
		}
		return n
	}
	before := shards()
	c.catalog.watch = func() error { return fmt.Errorf("sync: %w", errUncertain) }
	if _, err := c.Put(ctx, "bucket", "a", bytes.NewReader([]byte("new")), PutOptions{}); !errors.Is(err, errUncertain) {
		t.Fatalf("put: %v", err)
	}
	if shards() == before {
		t.Error("the shards are gone, and the catalog may name them")
	}
	c.catalog.watch = nil
	if _, err := c.Put(ctx, "bucket", "b", bytes.NewReader(nil), PutOptions{}); !errors.Is(err, errUncertain) {
		t.Errorf("another put: %v", err)
	}
	wantBytes(t, c, "a", []byte("old"))
	c = reopen(t, c, Options{})
	wantBytes(t, c, "a", []byte("old"))
	put(t, c, "a", []byte("new"))
}
