package cluster

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wattle-storage/wattle/placement"
)

// follow has a cluster ship to a directory until stop, and until then wait waits for it to
// lack nothing, or fails the test.
func follow(t *testing.T, c *Cluster, to string) (wait func(), stop func() error) {
	t.Helper()
	until, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- c.Follow(until, to, time.Millisecond, func(StandbyStatus, error) {}) }()
	wait = func() {
		t.Helper()
		for range 5000 {
			if st, err := c.standby(ctx, time.Now()); err != nil {
				t.Fatal(err)
			} else if st != nil && st.Batch == c.committed.Load() && st.Behind == 0 {
				return
			}
			time.Sleep(2 * time.Millisecond)
		}
		t.Fatal("it never caught up")
	}
	return wait, func() error { cancel(); return <-done }
}

// TestStandby: what is promoted has all that was acknowledged, also after what was shipped, and
// the old catalog, though it lacks nothing, is refused from then on.
func TestStandby(t *testing.T) {
	c, dir := newCluster(t, InitOptions{})
	to := t.TempDir()
	if _, err := Promote(ctx, dir, Options{}, to); !errors.Is(err, ErrNoCluster) {
		t.Errorf("an empty directory: %v", err)
	}
	put(t, c, "a", []byte("one"))
	wait, stop := follow(t, c, to)
	wait()
	copied := c.committed.Load()
	put(t, c, "a", []byte("two"))
	wait()
	if st, err := c.Status(ctx); err != nil || st.Standby == nil || st.Standby.Behind != 0 || st.Standby.CopyBatch > copied || st.Standby.Batch != c.committed.Load() {
		t.Errorf("%+v, %v", st.Standby, err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	shipped := c.committed.Load()
	put(t, c, "b", []byte("three"))
	if _, err := Promote(ctx, dir, Options{}, to); !errors.Is(err, ErrLocked) {
		t.Errorf("while the writer lives: %v", err)
	}
	newest := c.committed.Load()
	if st, err := c.standby(ctx, time.Now()); err != nil || st.Behind != 1 || st.Seconds <= 0 {
		t.Errorf("%+v, %v", st, err)
	}
	c.Close()
	old, err := os.ReadFile(filepath.Join(dir, "catalog.db"))
	if err != nil {
		t.Fatal(err)
	}
	rep, err := Promote(ctx, dir, Options{}, to)
	if err != nil || rep.Batch < newest || rep.CopyBatch > copied || rep.ShippedBatch != shipped || rep.ShippedTime.IsZero() ||
		rep.OnlyShipped+rep.Missing != 0 || rep.Incarnation <= c.incarnation || rep.Changed.IsZero() {
		t.Fatalf("%+v, %v; the newest batch is %d", rep, err, newest)
	}
	n := open(t, dir, Options{})
	wantBytes(t, n, "a", []byte("two"))
	wantBytes(t, n, "b", []byte("three"))
	if _, err := n.Ship(ctx, to); err != nil { // it goes on with the same directory
		t.Error(err)
	}
	n.Close()
	if err := os.WriteFile(filepath.Join(dir, "catalog.db"), old, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(ctx, dir, Options{}); !errors.Is(err, ErrStaleCatalog) {
		t.Errorf("the old writer's catalog: %v", err)
	}
}

// TestStandbyHasWhatDisksLost: the catalog gone, and with it every disk that holds the journals
// of the last changes: the standby has them, and they are safe again after it took over.
func TestStandbyHasWhatDisksLost(t *testing.T) {
	c, dir := newCluster(t, InitOptions{Scheme: scheme(t, "rs:2+1"), Map: DefaultMap(3, 1, 1, 3, 1e12)})
	to := t.TempDir()
	kept := randomBytes(10_000, 1)
	put(t, c, "kept", kept)
	put(t, c, "gone", kept)
	wait, stop := follow(t, c, to)
	wait()
	if err := c.Delete(ctx, "bucket", "gone"); err != nil {
		t.Fatal(err)
	}
	wait()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	lost := map[placement.DiskID]bool{}
	carriers, err := c.catalog.carriers(ctx, c.committed.Load()-1, 10)
	if err != nil || len(carriers) != 1 {
		t.Fatal(carriers, err)
	}
	for _, p := range carriers[0].Places {
		lost[p.Disk] = p.Disk != none
	}
	_, layout, err := c.catalog.lookup(ctx, "bucket", "kept")
	if err != nil {
		t.Fatal(err)
	}
	of, err := c.catalog.stripeByID(ctx, layout[0].Stripe)
	if err != nil {
		t.Fatal(err)
	}
	holds := slices.ContainsFunc(of.Places, func(p place) bool { return lost[p.Disk] })
	put(t, c, "fence", nil) // so that the disks know of the batch before
	c.Close()
	removeCatalog(filepath.Join(dir, "catalog.db"))
	for id := range lost {
		if id != none {
			os.RemoveAll(filepath.Join(dir, "sites", filepath.FromSlash(c.name(id))))
		}
	}
	if _, err := Recover(ctx, dir, Options{}, nil); !errors.Is(err, ErrIncomplete) {
		t.Fatalf("the disks alone: %v", err)
	}
	rep, err := Promote(ctx, dir, Options{}, to)
	if err != nil || rep.OnlyShipped != 1 || rep.Missing != 0 {
		t.Fatalf("%+v, %v", rep, err)
	}
	for range 2 {
		n := open(t, dir, Options{})
		if !holds {
			wantBytes(t, n, "kept", kept)
		}
		if _, err := n.Stat(ctx, "bucket", "gone"); !errors.Is(err, ErrObjectNotFound) {
			t.Errorf("what was deleted: %v", err)
		}
		n.Close()
		removeCatalog(filepath.Join(dir, "catalog.db"))
		if _, err := Recover(ctx, dir, Options{}, nil); err != nil { // without the standby
			t.Fatal(err)
		}
	}
}

// TestStandbyTrouble: a directory that is away, or full, or cut short in the middle of a write,
// holds up no change, is told of, and catches up; what cannot be had any more is in a new copy.
func TestStandbyTrouble(t *testing.T) {
	c, dir := newCluster(t, InitOptions{Scheme: scheme(t, "rs:2+1"), Map: DefaultMap(3, 1, 1, 1, 1e12)})
	to := filepath.Join(t.TempDir(), "to")
	ship := func() StandbyStatus {
		t.Helper()
		st, err := c.Ship(ctx, to)
		if err != nil || st.Batch != c.committed.Load() {
			t.Fatalf("%+v, %v", st, err)
		}
		return st
	}
	first := ship()
	put(t, c, "a", []byte("one"))
	if err := os.Rename(to, to+".away"); err != nil {
		t.Fatal(err)
	}
	if st, err := c.Ship(ctx, to); err == nil || st.Error == "" {
		t.Error("there is no directory")
	}
	put(t, c, "b", []byte("two"))
	if st, err := c.Status(ctx); err != nil || st.Standby.Behind < 2 || !strings.Contains(st.Standby.Error, "mounted") {
		t.Errorf("%+v, %v", st.Standby, err)
	}
	if err := os.Rename(to+".away", to); err != nil {
		t.Fatal(err)
	}
	if st := ship(); st.CopyBatch != first.CopyBatch {
		t.Error("a new copy, and the journals are on the disks")
	}
	log := logOf(ship().Copy)
	whole, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{len(whole) - 1, len(whole) - 30, shippedHead, shippedHead - 1, 0} {
		torn := append(slices.Clone(whole[:n]), bytes.Repeat([]byte{7}, n%3*20)...)
		if err := os.WriteFile(log, torn, 0o600); err != nil {
			t.Fatal(err)
		}
		ship()
		if got, err := os.ReadFile(log); err != nil || !bytes.Equal(got, whole) {
			t.Errorf("cut to %d bytes: %d bytes are not the %d again, %v", n, len(got), len(whole), err)
		}
	}
	put(t, c, "c", []byte("three"))
	if _, _, err := c.Checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	if st := ship(); st.CopyBatch == first.CopyBatch {
		t.Error("no new copy, and a checkpoint has taken the journals")
	}
	if st, err := c.Ship(ctx, filepath.Join(dir, "catalog.db")); err == nil {
		t.Errorf("a file: %+v", st)
	}
}

// TestStandbyFull: the file system of the directory fills up, and empties.
func TestStandbyFull(t *testing.T) {
	to := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=2m", "none", to).CombinedOutput(); err != nil {
		t.Skipf("mount: %v, %s", err, out)
	}
	t.Cleanup(func() { exec.Command("umount", to).Run() })
	c, dir := newCluster(t, InitOptions{Scheme: scheme(t, "rs:2+1"), Map: DefaultMap(3, 1, 1, 1, 1e12)})
	wait, stop := follow(t, c, to)
	wait()
	filler := filepath.Join(to, "filler")
	if err := os.WriteFile(filler, make([]byte, 4<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	long := strings.Repeat("k", 1000)
	for i := range 40 {
		put(t, c, long+string(rune('a'+i)), []byte("x"))
	}
	for range 5000 { // until it was told
		if st, err := c.standby(ctx, time.Now()); err != nil {
			t.Fatal(err)
		} else if strings.Contains(st.Error, "space") {
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	if st, err := c.standby(ctx, time.Now()); err != nil || st.Behind == 0 || !strings.Contains(st.Error, "space") {
		t.Fatalf("%+v, %v", st, err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	wait()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	c.Close()
	removeCatalog(filepath.Join(dir, "catalog.db"))
	if rep, err := Promote(ctx, dir, Options{}, to); err != nil || rep.Recovery.Objects != 40 || rep.ShippedBatch < rep.CopyBatch {
		t.Fatalf("%+v, %v", rep, err)
	}
}

// TestStandbyFenced: a writer whose lock the one who took over could not see takes nothing more
// once it has looked at the directory of the standby.
func TestStandbyFenced(t *testing.T) {
	c, dir := newCluster(t, InitOptions{Scheme: scheme(t, "rs:2+1"), Map: DefaultMap(3, 1, 1, 1, 1e12)})
	to, other := t.TempDir(), filepath.Join(t.TempDir(), "other")
	if err := os.CopyFS(other, os.DirFS(dir)); err != nil { // before it is followed: that makes files, and takes them away
		t.Fatal(err)
	}
	wait, stop := follow(t, c, to)
	wait()
	removeCatalog(filepath.Join(other, "catalog.db"))
	if _, err := Promote(ctx, other, Options{}, to); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil && !errors.Is(err, ErrFenced) {
		t.Errorf("%v", err)
	}
	if _, err := c.Ship(ctx, to); !errors.Is(err, ErrFenced) {
		t.Errorf("shipping: %v", err)
	}
	if err := c.MakeBucket(ctx, "more"); !errors.Is(err, ErrFenced) {
		t.Errorf("a change: %v", err)
	}
}

// TestOutbox: it keeps no more than its bound, and tells when that was not enough.
func TestOutbox(t *testing.T) {
	var o outbox
	o.add(shipment{seq: 1, journal: make([]byte, 10)})
	if _, ok := o.after(0); ok {
		t.Error("it kept what nobody waited for")
	}
	wake := o.begin()
	for seq := uint64(2); seq <= 20; seq++ {
		o.add(shipment{seq: seq, before: seq - 1, journal: make([]byte, 1<<20)})
	}
	select {
	case <-wake:
	default:
		t.Error("nobody was told")
	}
	if _, ok := o.after(5); ok {
		t.Error("batch 6 is kept beyond the bound")
	}
	list, ok := o.after(17)
	if !ok || len(list) != 3 || list[0].seq != 18 || o.bytes > outboxBytes {
		t.Errorf("%d, %v, %d bytes", len(list), ok, o.bytes)
	}
	if o.end(); o.bytes != 0 {
		t.Error("it keeps after its end")
	}
}
