package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A BackupReport says what a copy of the catalog holds. The last one is kept in the
// cluster's directory.
type BackupReport struct {
	Path     string        `json:"path"`
	Time     time.Time     `json:"time"`
	Batch    uint64        `json:"batch"` // whose state it holds; what came after is in the journals
	Objects  int64         `json:"objects"`
	Bytes    int64         `json:"bytes"`
	Removed  []string      `json:"removed,omitempty"` // older copies
	Elapsed  time.Duration `json:"elapsed_ns"`
	Verified bool          `json:"verified"` // the copy was opened and checked
}

const (
	backupFile   = "backup.json"
	backupPrefix = "wattle-catalog-"
	backupKeep   = 7
)

// Backup copies the catalog, beside changes, into a directory, checks the copy, and removes
// all but the newest keep copies there (0 means 7). Recover can begin from it (Options.From).
func (c *Cluster) Backup(ctx context.Context, dir string, keep int) (BackupReport, error) {
	start := time.Now()
	rep := BackupReport{Time: start.UTC()}
	if keep <= 0 {
		keep = backupKeep
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return rep, err
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return rep, err
	}
	prefix := c.copyPrefix()
	temp := filepath.Join(dir, fmt.Sprintf(".%s%d.new", prefix, os.Getpid()))
	os.Remove(temp)
	defer os.Remove(temp)
	if err := c.catalog.copyTo(ctx, temp); err != nil {
		return rep, fmt.Errorf("copy the catalog to %s: %w", dir, catalogError(err))
	}
	if err := c.verifyCopy(ctx, temp, &rep); err != nil {
		return rep, fmt.Errorf("the copy of the catalog in %s: %w", dir, err)
	}
	rep.Path = filepath.Join(dir, fmt.Sprintf("%s%s-%012d.db", prefix, rep.Time.Format("20060102T150405"), rep.Batch))
	if err := os.Rename(temp, rep.Path); err != nil {
		return rep, err
	}
	if err := syncDir(dir); err != nil {
		return rep, err
	}
	if rep.Removed, err = prune(dir, prefix, keep); err != nil {
		return rep, err
	}
	rep.Elapsed = time.Since(start)
	p, err := json.MarshalIndent(rep, "", "  ")
	if err == nil {
		err = writeFile(filepath.Join(c.dir, backupFile), append(p, '\n'))
	}
	return rep, err
}

// verifyCopy syncs a copy of the catalog and checks that it is whole and this cluster's.
func (c *Cluster) verifyCopy(ctx context.Context, path string, rep *BackupReport) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	err = errors.Join(f.Chmod(0o600), f.Sync())
	if info, e := f.Stat(); e == nil {
		rep.Bytes = info.Size()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	cat, err := openCatalog(path, frozen)
	if err != nil {
		return err
	}
	defer cat.close()
	bad, err := cat.integrity(ctx)
	if err != nil {
		return err
	}
	if len(bad) > 0 {
		return fmt.Errorf("%w: %s", errMalformed, strings.Join(bad, "; "))
	}
	if rep.Batch, err = cat.number("sequence"); err != nil {
		return err
	}
	_, rep.Objects, _, err = cat.totals(ctx)
	rep.Verified = err == nil
	return err
}

// prune removes all but the newest copies; their names sort by time.
func prune(dir, prefix string, keep int) (removed []string, err error) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range list {
		if strings.HasPrefix(e.Name(), prefix) && strings.HasSuffix(e.Name(), ".db") && e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	for _, name := range names[:max(0, len(names)-keep)] {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			return removed, err
		}
		if err := os.Remove(logOf(filepath.Join(dir, name))); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a standby
			return removed, err
		}
		removed = append(removed, name)
	}
	return removed, nil
}

// LastBackup returns the report of the last backup, and whether there was one.
func LastBackup(dir string) (BackupReport, bool, error) {
	return lastTold[BackupReport](dir, backupFile)
}

// lastTold reads a file of dir that tells how something went last, and whether there is one.
func lastTold[T any](dir, name string) (told T, there bool, err error) {
	p, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return told, false, nil
	}
	if err == nil {
		err = json.Unmarshal(p, &told)
	}
	if err != nil {
		return told, false, fmt.Errorf("%s: %w; remove the file, it is made anew", name, err)
	}
	return told, true, nil
}
