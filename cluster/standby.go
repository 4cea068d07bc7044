package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// standbyKeep is how many copies of the catalog a standby has: the newest, and the one before.
const standbyKeep = 2

// Follow keeps a checked copy of the catalog in a second directory, made anew whenever it
// changed, but not more often than every so long, until ctx ends; told hears of each copy. The
// journals on the disks have what came after the copy, so Promote loses nothing.
func (c *Cluster) Follow(ctx context.Context, dir string, every time.Duration, told func(BackupReport, error)) {
	var last BackupReport
	tick := time.NewTicker(every)
	defer tick.Stop()
	for ctx.Err() == nil {
		rep, fresh, err := c.CopyChanged(ctx, dir, last)
		if ctx.Err() == nil && (fresh || err != nil) {
			told(rep, err)
		}
		if fresh {
			last = rep
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// CopyChanged copies the catalog into the directory of a standby when it holds a newer batch
// than the last copy, and tells whether it did.
func (c *Cluster) CopyChanged(ctx context.Context, dir string, last BackupReport) (rep BackupReport, fresh bool, err error) {
	seq, err := c.catalog.number("sequence")
	if err != nil || last.Verified && seq == last.Batch {
		return last, false, err
	}
	rep, err = c.Backup(ctx, dir, standbyKeep)
	return rep, err == nil, err
}

// A PromoteReport says what Promote began from and what it brought back.
type PromoteReport struct {
	Copy        string        `json:"copy"`
	CopyTime    time.Time     `json:"copy_time"`
	CopyBatch   uint64        `json:"copy_batch"`  // whose state the copy held
	Batch       uint64        `json:"batch"`       // the recovery point: the newest that is back
	Changed     time.Time     `json:"changed"`     // when the newest change was made that stands
	Incarnation uint32        `json:"incarnation"` // of the new writer; older ones are refused from now on
	Elapsed     time.Duration `json:"elapsed_ns"`
	Recovery    RecoverReport `json:"recovery"`
}

// Promote makes the catalog of the cluster in dir from the newest copy in the directory of a
// standby and from the journals on the disks, and begins a new incarnation, which the disks are
// told: a writer with the old catalog is refused by them. It is refused itself while a writer
// lives, and when acknowledged changes would be missing (Options.Force does without).
func Promote(ctx context.Context, dir string, o Options, standby string) (PromoteReport, error) {
	start := time.Now()
	var rep PromoteReport
	var err error
	if rep.Copy, err = newestCopy(standby); err != nil {
		return rep, err
	}
	o.From, o.ReadOnly = rep.Copy, false
	cat, err := openCatalog(rep.Copy, frozen)
	if err != nil {
		return rep, err
	}
	rep.CopyBatch, err = cat.number("sequence")
	if info, e := os.Stat(rep.Copy); e == nil {
		rep.CopyTime = info.ModTime().UTC()
	}
	if err = errors.Join(err, cat.close()); err != nil {
		return rep, err
	}
	if rep.Recovery, err = Recover(ctx, dir, o, nil); err != nil {
		return rep, err
	}
	rep.Batch = rep.Recovery.Sequence
	c, err := Open(ctx, dir, o)
	if err != nil {
		return rep, err
	}
	rep.Incarnation = c.incarnation
	rep.Changed, _, err = c.catalog.times(ctx)
	if err == nil { // the first batch of the new incarnation, and so on the disks
		_, err = c.submit(ctx, &request{rec: record{Kind: recFence, Time: c.now()}})
	}
	err = errors.Join(err, c.Close())
	rep.Elapsed = time.Since(start)
	return rep, err
}

// newestCopy is the newest copy that backup or a standby left in a directory, by batch.
func newestCopy(dir string) (string, error) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	var names []string
	for _, e := range list {
		if strings.HasPrefix(e.Name(), backupPrefix) && strings.HasSuffix(e.Name(), ".db") && e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	if len(names) == 0 {
		return "", fmt.Errorf("%s: %w: no copy of a catalog (%s….db) is there; `wattle standby DIRECTORY` or `wattle backup` makes them", dir, ErrNoCluster, backupPrefix)
	}
	return filepath.Join(dir, slices.Max(names)), nil
}
