package cluster

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wattle-storage/wattle/placement"
)

// A lockFile is held by the one process that writes to a cluster. It names its holder.
type lockFile struct{ f *os.File }

func takeLock(path string) (*lockFile, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		var holder [256]byte
		n, _ := f.ReadAt(holder[:], 0)
		f.Close()
		return nil, fmt.Errorf("%w: %s; wait until it is done", ErrLocked, strings.TrimSpace(string(holder[:n])))
	}
	name := fmt.Sprintf("process %d (%s)\n", os.Getpid(), filepath.Base(os.Args[0]))
	if err := f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(name), 0)
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("lock: %w", err)
		}
	}
	return &lockFile{f}, nil
}

func (l *lockFile) release() error { return l.f.Close() }

// A lease tells the writer that another process reads what the catalog said at a sequence.
// It is a locked file with that number in it; the lock ends with the process.
type lease struct{ f *os.File }

var leases atomic.Int64

func takeLease(dir string) (*lease, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("lease: %w", err)
	}
	path := filepath.Join(dir, fmt.Sprintf("%d-%d", os.Getpid(), leases.Add(1)))
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, fmt.Errorf("lease: %w", err)
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
			f.Close()
			return nil, fmt.Errorf("lease: %w", err)
		}
		mine, err := f.Stat()
		there, e := os.Stat(path)
		if err == nil && e == nil && os.SameFile(mine, there) {
			return &lease{f}, nil // empty: holds everything until set
		}
		f.Close() // the writer found it before it was locked, and took it for one of a process that is gone
	}
}

func (l *lease) set(seq uint64) error {
	_, err := l.f.WriteAt(binary.LittleEndian.AppendUint64(nil, seq), 0)
	return err
}

func (l *lease) release() error {
	return errors.Join(os.Remove(l.f.Name()), l.f.Close())
}

// oldestLease is the smallest sequence that a living reader holds, or seq. Leases of
// processes that are gone are removed.
func oldestLease(dir string, seq uint64) uint64 {
	list, err := os.ReadDir(dir)
	if err != nil {
		return seq
	}
	for _, e := range list {
		path := filepath.Join(dir, e.Name())
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) == nil {
			os.Remove(path)
			f.Close()
			continue
		}
		var b [8]byte
		n, _ := f.ReadAt(b[:], 0)
		f.Close()
		if n < 8 {
			return 0
		}
		seq = min(seq, binary.LittleEndian.Uint64(b[:]))
	}
	return seq
}

// faultsFile lists the disks that `wattle fail` took out of service.
const faultsFile = "faults.json"

func readFaults(dir string) (map[string]bool, error) {
	p, err := os.ReadFile(filepath.Join(dir, faultsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]bool{}, nil
	}
	var list []string
	if err == nil {
		err = json.Unmarshal(p, &list)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w; remove the file to have all disks in service", faultsFile, err)
	}
	failed := map[string]bool{}
	for _, name := range list {
		failed[name] = true
	}
	return failed, nil
}

func writeFaults(dir string, failed map[string]bool) error {
	list := []string{}
	for name := range failed {
		list = append(list, name)
	}
	slices.Sort(list)
	p, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, faultsFile), append(p, '\n'))
}

// writeFile replaces a file at once and for good.
func writeFile(path string, p []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return err
	}
	_, err = f.Write(p)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	return syncDir(filepath.Dir(path))
}

// Fail takes the disks of a domain (a disk, host, rack or site) out of service, as if they
// were lost, until Restore. It returns their names.
func Fail(dir, domain string) ([]string, error) {
	return changeFaults(dir, domain, true, time.Now())
}

// Restore puts the disks of a domain back into service. A disk whose directory is gone is
// made anew, empty: `wattle repair` then fills it.
func Restore(dir, domain string) ([]string, error) {
	names, err := changeFaults(dir, domain, false, time.Now())
	if err != nil {
		return nil, err
	}
	return names, replaceAbsent(dir, names)
}

// changeFaults takes the disks of a domain out of service, or puts them back.
func changeFaults(dir, domain string, fail bool, now time.Time) ([]string, error) {
	cfg, err := readConfig(dir)
	if err != nil {
		return nil, err
	}
	_, ids, err := cfg.Map.Find(domain)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnknownDomain, err)
	}
	failed, err := readFaults(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	eachDisk(cfg.Map, func(d placementDisk, _ *placement.Disk) {
		if slices.Contains(ids, d.ID) {
			names = append(names, d.path())
			if fail {
				failed[d.path()] = true
			} else {
				delete(failed, d.path())
			}
		}
	})
	if err := writeFaults(dir, failed); err != nil {
		return nil, err
	}
	return names, noteFaults(dir, cfg, names, fail, now)
}

func readConfig(dir string) (config, error) {
	var cfg config
	c, err := prepare(dir, Options{ReadOnly: true})
	if err != nil {
		return cfg, err
	}
	if c.catalog, err = openCatalog(filepath.Join(dir, "catalog.db"), forReading); err != nil {
		return cfg, err
	}
	defer c.catalog.close()
	blob, err := c.catalog.meta("config")
	if err == nil {
		err = json.Unmarshal(blob, &cfg)
	}
	return cfg, err
}

// replaceAbsent makes the named disks anew where their directories are gone.
func replaceAbsent(dir string, names []string) error {
	gone := false
	for _, n := range names {
		if _, err := os.Stat(filepath.Join(dir, "sites", filepath.FromSlash(n))); errors.Is(err, fs.ErrNotExist) {
			gone = true
		}
	}
	if !gone {
		return nil
	}
	c, err := Open(context.Background(), dir, Options{})
	if err != nil {
		return err
	}
	err = c.replace(names)
	return errors.Join(err, c.Close())
}

// replace makes the named disks anew, if they are gone, and forgets the shards they held.
func (c *Cluster) replace(names []string) error {
	for _, id := range c.diskIDs() {
		d := c.byID[id]
		if c.disk(id) != nil || !slices.Contains(names, d.path()) {
			continue
		}
		if _, err := os.Stat(filepath.Join(c.dir, "sites", filepath.FromSlash(d.path()))); !errors.Is(err, fs.ErrNotExist) {
			continue // something is there: not ours to replace
		}
		disk, err := c.opener.Create(c.config.identity(d))
		if err != nil {
			return fmt.Errorf("disk %s: %w", d.path(), err)
		}
		if err := c.forget(id); err != nil {
			disk.Close()
			return err
		}
		c.mu.Lock()
		c.disks[id] = disk
		delete(c.absent, id)
		c.mu.Unlock()
		c.notify("disk %s: its directory was gone; made anew, empty", d.path())
	}
	return nil
}

// forget takes all shards off a disk that is known to hold nothing.
func (c *Cluster) forget(id placement.DiskID) error {
	var held []*stripe
	err := c.catalog.stripes(context.Background(), func(s *stripe, _ bool) error {
		if slices.Contains(s.row(), id) {
			held = append(held, s)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.catalog.update(context.Background(), func(t *tx) error {
		for _, s := range held {
			for i, p := range s.Places {
				if p.Disk != id {
					continue
				}
				if _, err := t.move(s.ID, i, p, place{Disk: none}); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// Notes are what a reading process leaves for the writer: shards to repair.

func (c *Cluster) notesDir() string { return filepath.Join(c.dir, "notes") }

// leaveNotes writes down the damage that this reader found. A note that cannot be written
// is only a repair that waits for the next reader.
func (c *Cluster) leaveNotes() {
	if len(c.damages) == 0 {
		return
	}
	var b strings.Builder
	for d := range c.damages {
		fmt.Fprintf(&b, "damage %d %d\n", d.stripe, d.shard)
	}
	err := os.MkdirAll(c.notesDir(), 0o700)
	if err == nil {
		err = writeFile(filepath.Join(c.notesDir(), fmt.Sprintf("%d-%d.note", os.Getpid(), leases.Add(1))), []byte(b.String()))
	}
	if err != nil {
		c.notify("note for repair: %v", err)
	}
}

// absorbNotes takes what readers found into the catalog and removes their notes.
func (c *Cluster) absorbNotes() error {
	paths, err := filepath.Glob(filepath.Join(c.notesDir(), "*.note"))
	if err != nil || len(paths) == 0 {
		return err
	}
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			var d damage
			if n, _ := fmt.Sscanf(lines.Text(), "damage %d %d", &d.stripe, &d.shard); n == 2 && d.shard >= 0 && d.shard < 256 {
				c.damages[d] = true
			}
		}
		f.Close()
	}
	if err := c.absorbDamage(); err != nil {
		return err
	}
	for _, path := range paths {
		os.Remove(path)
	}
	return nil
}
