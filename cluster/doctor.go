package cluster

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/wattle-storage/wattle/placement"
)

// Levels of an Advice.
const (
	AdviceNote    = "note"    // worth knowing
	AdviceWarning = "warning" // less safe than it may look
	AdviceDanger  = "danger"  // data or its secrecy is at risk now
)

// An Advice is something that makes a cluster less safe than it may look, and the way out.
type Advice struct {
	Level string `json:"level"`
	What  string `json:"what"`
	Do    string `json:"do"`
}

// A doctor is one run of Doctor.
type doctor struct {
	c    *Cluster
	now  time.Time
	st   Status
	list []Advice
}

func (d *doctor) say(level, do, what string, a ...any) {
	d.list = append(d.list, Advice{level, fmt.Sprintf(what, a...), do})
}

// Doctor looks for unsafe settings and neglected care: failure domains that are one, no
// spare, no backup, no scrub, clock jumps, files that others may read. It reads the catalog
// and asks the file system, and reads no shard. now is the present.
func (c *Cluster) Doctor(ctx context.Context, now time.Time) ([]Advice, error) {
	st, err := c.Status(ctx)
	if err != nil {
		return nil, err
	}
	d := &doctor{c: c, now: now, st: st}
	d.state()
	d.promise()
	d.devices()
	if err := d.care(); err != nil {
		return nil, err
	}
	if err := d.clock(ctx); err != nil {
		return nil, err
	}
	d.standby()
	d.modes()
	d.plain()
	order := []string{AdviceDanger, AdviceWarning, AdviceNote}
	slices.SortStableFunc(d.list, func(a, b Advice) int { return slices.Index(order, a.Level) - slices.Index(order, b.Level) })
	return d.list, nil
}

// state speaks of what is wrong already.
func (d *doctor) state() {
	s := d.st
	if n := s.Stripes.Unreadable; n > 0 {
		d.say(AdviceDanger, "bring disks back; `wattle fsck` names the objects", "%d stripes cannot be read", n)
	}
	if n := s.Stripes.Degraded; n > s.Stripes.Unreadable {
		level := AdviceWarning
		if s.Survives.Sites == 0 && s.Survives.Disks <= 0 {
			level = AdviceDanger
		}
		d.say(level, "wattle repair", "%d stripes lack shards", n)
	}
	if n := s.Stripes.Misplaced; n > 0 {
		d.say(AdviceWarning, "bring the site back, or add disks where they lack, then wattle repair", "%d stripes lie where the rule does not allow them", n)
	}
	var away []string
	for _, site := range s.Sites {
		for _, disk := range site.Disks {
			if disk.State == stateFailed || disk.State == stateMissing {
				away = append(away, disk.Name)
			}
		}
	}
	if len(away) > 0 {
		slices.Sort(away)
		d.say(AdviceWarning, "bring them back and `wattle restore` them, or `wattle replace` them, then `wattle repair`", "%d disks are out of service: %s", len(away), few(away))
	}
	if names, err := d.c.catalog.unchecked(); err == nil && len(names) > 0 {
		d.say(AdviceNote, "wattle repair, once they are there", "not read since they were away: %s", few(names))
	}
	for _, site := range s.Sites {
		for _, disk := range site.Disks {
			if disk.Capacity > 0 && float64(disk.Used) > 0.85*float64(disk.Capacity) {
				d.say(AdviceWarning, "delete and `wattle compact`, or add disks", "disk %s is %d %% full", disk.Name, disk.Used*100/disk.Capacity)
			}
		}
	}
}

// few names the first of a list.
func few(names []string) string {
	const most = 4
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// promise speaks of what the scheme and the map allow.
func (d *doctor) promise() {
	s, cfg := d.st, d.c.config
	if s.Promise.Sites == 0 {
		level := AdviceNote
		if len(s.Sites) > 1 {
			level = AdviceWarning
		}
		d.say(level, "choose a scheme with more parity, or more sites, when the cluster is made", "%s over %d sites does not survive the loss of a site", s.Scheme, len(s.Sites))
	}
	if cfg.Margin == 0 {
		d.say(AdviceWarning, "make the cluster with a margin of 1 or more", "writes are acknowledged with no shard to spare")
	}
	if len(s.Sites) > 1 && !s.WritableDown && s.Promise.Sites > 0 {
		d.say(AdviceNote, "one parity shard more would let puts go on", "with one site down the cluster is read-only")
	}
	if where := d.spare(); where != "" {
		d.say(AdviceWarning, "add a disk to that domain, so that lost shards have somewhere to go", "no spare: when %s is lost, its shards have no other disk within the rule", where)
	}
	if host := d.parityHost(); host != "" {
		d.say(AdviceWarning, "spread over more hosts", "all parity of some stripes lies on host %s", host)
	}
	if host, n := d.crowded(); n > 1 {
		level := AdviceNote
		if n >= cfg.Scheme.Tolerates() {
			level = AdviceWarning
		}
		d.say(level, "spread over more hosts", "host %s holds up to %d shards of a stripe, of which %d may be lost", host, n, cfg.Scheme.Tolerates())
	}
	d.room()
}

// crowded returns the host that holds the most shards of a placement group, and how many.
func (d *doctor) crowded() (host string, most int) {
	c := d.c
	for pg := range c.table.PGs() {
		on := map[string]int{}
		for _, id := range c.table.Disks(pg) {
			if id == none {
				continue
			}
			b := c.byID[id]
			at := b.site + "/" + b.rack + "/" + b.host
			if on[at]++; on[at] > most {
				host, most = at, on[at]
			}
		}
	}
	return host, most
}

// spare returns a disk whose shards would have nowhere to go, or "".
func (d *doctor) spare() string {
	c := d.c
	for pg := range c.table.PGs() {
		row := c.table.Disks(pg)
		for i, id := range row {
			if id == none {
				continue
			}
			rest := slices.Clone(row)
			rest[i] = none
			if len(c.config.Map.Candidates(c.config.Rule, rest, func(x placement.DiskID) bool { return x == id })) == 0 {
				return c.name(id)
			}
		}
		if pg >= 64 { // the table deals evenly: the others are alike
			break
		}
	}
	return ""
}

// parityHost returns a host that holds all the parity of a placement group, or "".
func (d *doctor) parityHost() string {
	c, s := d.c, d.c.config.Scheme
	if s.M < 2 {
		return ""
	}
	for pg := range c.table.PGs() {
		hosts := map[string]bool{}
		for _, id := range c.table.Disks(pg)[s.K:] {
			b := c.byID[id]
			hosts[b.site+"/"+b.rack+"/"+b.host] = true
		}
		for h := range hosts {
			if len(hosts) == 1 {
				return h
			}
		}
	}
	return ""
}

// room speaks of sites that could not take what another holds.
func (d *doctor) room() {
	used, capacity := int64(0), int64(0)
	for _, site := range d.st.Sites {
		for _, disk := range site.Disks {
			used += disk.Used
			capacity += disk.Capacity
		}
	}
	if capacity > 0 && float64(used) > 0.7*float64(capacity) {
		d.say(AdviceNote, "plan for more disks", "%d %% of the raw space is in use", used*100/capacity)
	}
}

// devices speaks of failure domains that share a device.
func (d *doctor) devices() {
	byDevice := map[uint64][]placementDisk{}
	for _, id := range d.c.diskIDs() {
		b := d.c.byID[id]
		info, err := os.Stat(filepath.Join(d.c.dir, "sites", filepath.FromSlash(b.path())))
		if err != nil {
			continue
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			byDevice[uint64(st.Dev)] = append(byDevice[uint64(st.Dev)], b)
		}
	}
	for _, list := range byDevice {
		sites, hosts := map[string]bool{}, map[string]bool{}
		for _, b := range list {
			sites[b.site] = true
			hosts[b.site+"/"+b.rack+"/"+b.host] = true
		}
		switch {
		case len(sites) > 1:
			d.say(AdviceWarning, "mount a file system of its own at each disk's directory, or take the sites for a simulation", "%d disks of %d sites share one file system, and fail together", len(list), len(sites))
		case len(hosts) > 1 || len(list) > 1:
			d.say(AdviceWarning, "mount a file system of its own at each disk's directory", "%d disks, %s among them, share one file system, and fail together", len(list), list[0].path())
		}
	}
}

// care speaks of backups and scrubs.
func (d *doctor) care() error {
	b, ok, err := LastBackup(d.c.dir)
	if err != nil {
		return err
	}
	const week, month = 7 * 24 * time.Hour, 30 * 24 * time.Hour
	switch {
	case !ok:
		d.say(AdviceNote, "wattle backup DIRECTORY, on another device", "the catalog has no copy; without it service stops until `wattle recover` has read the disks' indexes")
	case d.now.Sub(b.Time) > week && (d.st.Standby == nil || d.st.Standby.Behind > 0):
		d.say(AdviceNote, "wattle backup "+filepath.Dir(b.Path), "the last copy of the catalog is %d days old", int(d.now.Sub(b.Time).Hours()/24))
	}
	if ok {
		if _, err := os.Stat(b.Path); err != nil {
			d.say(AdviceWarning, "wattle backup "+filepath.Dir(b.Path), "the last copy of the catalog, %s, is not there", b.Path)
		} else if d.st.Standby == nil && sameDevice(b.Path, d.c.dir) {
			d.say(AdviceWarning, "name a directory on another device", "the copies of the catalog lie on its own file system")
		}
	}
	s, ok, err := LastScrub(d.c.dir)
	switch {
	case err != nil:
		return err
	case !ok && d.st.Objects > 0:
		d.say(AdviceNote, "wattle scrub", "nothing was ever scrubbed")
	case ok && d.now.Sub(s.Updated) > month:
		d.say(AdviceWarning, "wattle scrub", "the last scrub was %d days ago", int(d.now.Sub(s.Updated).Hours()/24))
	case ok && s.Inconsistent > 0:
		d.say(AdviceDanger, "wattle scrub --status names them", "%d stripes disagree with their parity", s.Inconsistent)
	}
	return nil
}

// standby speaks of a second directory that could not take over as it should.
func (d *doctor) standby() {
	s := d.st.Standby
	if s == nil {
		return
	}
	switch {
	case s.Error != "":
		d.say(AdviceWarning, "make room, or mount it; `wattle standby "+s.Directory+"` catches up", "the standby is behind by %d batches: %s", s.Behind, s.Error)
	case s.Seconds > 3600:
		d.say(AdviceWarning, "wattle standby "+s.Directory+", or serve --standby", "the standby %s has been behind for %v, by %d batches", s.Directory, time.Duration(s.Seconds*float64(time.Second)).Round(time.Minute), s.Behind)
	}
	if sameDevice(s.Directory, d.c.dir) {
		d.say(AdviceWarning, "name a directory on another machine or site", "the standby lies on the catalog's own file system")
	}
}

func sameDevice(a, b string) bool {
	device := func(path string) (uint64, bool) {
		info, err := os.Stat(path)
		if err != nil {
			return 0, false
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return 0, false
		}
		return uint64(st.Dev), true
	}
	x, ok1 := device(a)
	y, ok2 := device(b)
	return ok1 && ok2 && x == y
}

// clock speaks of objects from the future: sequence numbers order changes, and times do not,
// but people, retention and lifecycles go by them.
func (d *doctor) clock(ctx context.Context) error {
	newest, backwards, err := d.c.catalog.times(ctx)
	if err != nil {
		return err
	}
	const slack = 5 * time.Minute
	if ahead := newest.Sub(d.now); ahead > slack {
		d.say(AdviceWarning, "set the clock, and keep it by NTP", "an object is from %s, %v ahead of this machine's clock", newest.Format(time.RFC3339), ahead.Round(time.Second))
	}
	if backwards > slack {
		d.say(AdviceNote, "keep the clock by NTP", "the clock went back by %v between two changes", backwards.Round(time.Second))
	}
	return nil
}

// plain speaks of what encryption leaves out.
func (d *doctor) plain() {
	if d.st.Key != "" {
		d.say(AdviceNote, "keep "+d.c.dir+" and its backups on an encrypted file system", "the disks are encrypted, catalog.db and its copies are not: they name buckets, keys, sizes and metadata of objects")
	}
}

// modes speaks of files that others may read or write.
func (d *doctor) modes() {
	var open []string
	filepath.WalkDir(d.c.dir, func(p string, e fs.DirEntry, err error) error { //nolint:errcheck // what cannot be seen is not open
		if err != nil {
			return nil //nolint:nilerr // as above
		}
		info, err := e.Info()
		if err == nil && info.Mode()&fs.ModeSymlink == 0 && info.Mode().Perm()&0o077 != 0 {
			open = append(open, p)
		}
		return nil
	})
	if len(open) > 0 {
		d.say(AdviceDanger, "chmod -R go-rwx "+d.c.dir, "%d files and directories may be used by others, %s among them", len(open), open[0])
	}
}
