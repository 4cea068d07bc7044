package cluster

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/placement"
)

// A ChangeReport says what a change of the map asks for. The shards move when Rebalance
// runs; until then all stay where they are and readable.
type ChangeReport struct {
	Epoch   uint64   `json:"epoch"`
	Added   []string `json:"added,omitempty"`
	Drained []string `json:"drained,omitempty"` // take no more shards, and give up theirs
	Dropped []string `json:"dropped,omitempty"` // were empty and are gone from the map
	Holding []string `json:"holding,omitempty"` // are being drained and hold shards still
	Groups  int      `json:"groups"`
	Moves   int      `json:"moves"` // shards of groups that change their disk
	Bound   int64    `json:"bound"` // the fewest that could
	Share   float64  `json:"share"` // of all shards
}

// AddOptions say what Add adds. Domains that are there already get more of what is below.
type AddOptions struct {
	Kind     string // site, rack, host or disk
	Path     string // its path, such as site4 or site1/rack3; parents must be there
	Racks    int    // in a new site; 0 means 1, also below
	Hosts    int    // in each new rack
	Disks    int    // on each new host
	Profiles []string
	Capacity func(profile string) int64
}

// Add adds a site, rack, host or disk to the map of the cluster in dir.
func Add(ctx context.Context, dir string, o Options, a AddOptions) (ChangeReport, error) {
	return change(ctx, dir, o, func(c *Cluster, m *placement.Map) error { return a.add(m) })
}

// Drain marks the disks of a domain so that they take no more shards and give up theirs.
func Drain(ctx context.Context, dir string, o Options, domain string) (ChangeReport, error) {
	return change(ctx, dir, o, func(c *Cluster, m *placement.Map) error {
		_, ids, err := m.Find(domain)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUnknownDomain, err)
		}
		eachDisk(m, func(_ placementDisk, d *placement.Disk) { d.Out = d.Out || slices.Contains(ids, d.ID) })
		return nil
	})
}

// Replace puts a new disk beside one, which gives up all its shards. A capacity of 0 and an
// empty profile are those of the old one.
func Replace(ctx context.Context, dir string, o Options, disk, profile string, capacity int64) (ChangeReport, error) {
	return change(ctx, dir, o, func(c *Cluster, m *placement.Map) error {
		kind, ids, err := m.Find(disk)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUnknownDomain, err)
		}
		if kind != "disk" {
			return fmt.Errorf("%w: %s is a %s; name one disk", ErrUnknownDomain, disk, kind)
		}
		next := nextDisk(m)
		eachHost(m, func(_ string, h *placement.Host) {
			i := slices.IndexFunc(h.Disks, func(d placement.Disk) bool { return d.ID == ids[0] })
			if i < 0 {
				return
			}
			fresh := h.Disks[i]
			fresh.ID, fresh.Name, fresh.Out = next, freeName(h, fresh.Name), false
			if profile != "" {
				fresh.Profile = profile
			}
			if capacity > 0 {
				fresh.Capacity = capacity
			}
			h.Disks[i].Out = true
			h.Disks = append(h.Disks, fresh)
		})
		return nil
	})
}

// Drop takes drained disks that hold nothing any more off the map, and removes them. Disks
// that still hold shards stay.
func Drop(ctx context.Context, dir string, o Options) (ChangeReport, error) {
	return change(ctx, dir, o, func(c *Cluster, m *placement.Map) error {
		used, err := c.holding(ctx)
		if err != nil {
			return err
		}
		drop := func(d placement.Disk) bool { return d.Out && !used[d.ID] }
		eachHost(m, func(_ string, h *placement.Host) { h.Disks = slices.DeleteFunc(h.Disks, drop) })
		for i := range m.Sites {
			for j := range m.Sites[i].Racks {
				r := &m.Sites[i].Racks[j]
				r.Hosts = slices.DeleteFunc(r.Hosts, func(h placement.Host) bool { return len(h.Disks) == 0 })
			}
			s := &m.Sites[i]
			s.Racks = slices.DeleteFunc(s.Racks, func(r placement.Rack) bool { return len(r.Hosts) == 0 })
		}
		m.Sites = slices.DeleteFunc(m.Sites, func(s placement.Site) bool { return len(s.Racks) == 0 })
		return nil
	})
}

// holding tells which disks hold a shard or a journal that is needed.
func (c *Cluster) holding(ctx context.Context) (map[placement.DiskID]bool, error) {
	c.reapNow()
	used := map[placement.DiskID]bool{}
	err := c.catalog.stripes(ctx, func(s *stripe, freed bool) error {
		for i, p := range s.Places {
			if p.Disk != none && (!freed || s.carries(i) && c.needed(s)) {
				used[p.Disk] = true
			}
		}
		return nil
	})
	return used, err
}

// change edits the map of the cluster in dir and makes the table that follows from it. New
// disks are made first, empty; then the catalog takes map and table in one transaction; then
// all disks get the new description. A crash leaves the old map or the new one.
func change(ctx context.Context, dir string, o Options, edit func(*Cluster, *placement.Map) error) (rep ChangeReport, err error) {
	o.ReadOnly = false
	c, err := Open(ctx, dir, o)
	if err != nil {
		return rep, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	next := c.config
	next.Map = cloneMap(c.config.Map)
	if err := edit(c, next.Map); err != nil {
		return rep, err
	}
	if err := next.Map.Validate(); err != nil {
		return rep, err
	}
	rep = compareMaps(c.config.Map, next.Map)
	rep.Epoch, rep.Groups = c.config.Map.Epoch, c.table.PGs()
	if len(rep.Added)+len(rep.Drained)+len(rep.Dropped) == 0 {
		return rep, nil
	}
	next.Map.Epoch++
	next.Map.Next = int32(max(nextDisk(c.config.Map), nextDisk(next.Map)))
	p, err := placement.Change(c.table, next.Map, c.config.Rule, placement.Options{Seed: next.Map.Epoch})
	if errors.Is(err, placement.ErrRule) {
		return rep, fmt.Errorf("%w: %v", ErrTooManyFailures, err)
	}
	if err != nil {
		return rep, err
	}
	rep.Epoch, rep.Moves, rep.Bound = next.Map.Epoch, len(p.Moves), p.Bound
	rep.Share = float64(rep.Moves) / float64(p.Table.PGs()*p.Table.N())
	made, err := c.makeDisks(next)
	if err != nil {
		return rep, err
	}
	defer func() {
		for _, d := range made {
			err = errors.Join(err, d.Close())
		}
	}()
	blob, err := json.Marshal(next)
	if err != nil {
		return rep, err
	}
	if err := c.catalog.update(ctx, func(t *tx) error {
		return errors.Join(t.setMeta("config", blob), t.setMeta("table", encodeTable(p.Table)))
	}); err != nil {
		return rep, err
	}
	for id, d := range made {
		c.disks[id] = d
	}
	clear(made) // Close closes them
	old := c.config
	c.config = next
	return rep, c.announce(old)
}

// announce gives all disks the new description of the cluster, and closes and removes those
// that are no longer in it. What a disk misses it gets when the cluster is opened next.
func (c *Cluster) announce(old config) error {
	c.byID = map[placement.DiskID]placementDisk{}
	eachDisk(c.config.Map, func(d placementDisk, _ *placement.Disk) { c.byID[d.ID] = d })
	c.refreshIdentities()
	failed, err := readFaults(c.dir)
	eachDisk(old.Map, func(d placementDisk, _ *placement.Disk) {
		if _, kept := c.byID[d.ID]; kept {
			return
		}
		delete(failed, d.path())
		if disk := c.disks[d.ID]; disk != nil {
			delete(c.disks, d.ID)
			err = errors.Join(err, disk.Close())
		}
		if r, ok := c.opener.(interface{ Remove(disks.Identity) error }); ok {
			err = errors.Join(err, r.Remove(old.identity(d)))
		}
	})
	if err != nil {
		return err
	}
	return writeFaults(c.dir, failed)
}

// refreshIdentities brings disks up to date that have an older description of the cluster.
func (c *Cluster) refreshIdentities() {
	for id, d := range c.disks {
		if d.Identity().Epoch == c.config.Map.Epoch {
			continue
		}
		if err := d.SetIdentity(c.config.identity(c.byID[id])); err != nil {
			c.notify("disk %s: the description of the cluster: %v", c.name(id), err)
		}
	}
}

// makeDisks makes the disks of a new map that the old one lacks. They still describe the old
// cluster: only the catalog makes the new one true.
func (c *Cluster) makeDisks(next config) (map[placement.DiskID]disks.Disk, error) {
	made := map[placement.DiskID]disks.Disk{}
	var failed error
	eachDisk(next.Map, func(d placementDisk, _ *placement.Disk) {
		if _, there := c.byID[d.ID]; there || failed != nil {
			return
		}
		disk, err := c.makeDisk(c.config.identity(d))
		if err != nil {
			failed = fmt.Errorf("disk %s: %w", d.path(), err)
			return
		}
		made[d.ID] = disk
	})
	if failed != nil {
		for _, d := range made {
			d.Close()
		}
		return nil, failed
	}
	return made, nil
}

// makeDisk makes a disk, or takes the empty one that a change left that was cut short.
func (c *Cluster) makeDisk(id disks.Identity) (disks.Disk, error) {
	d, err := c.opener.Create(id)
	if !errors.Is(err, fs.ErrExist) {
		return d, err
	}
	d, e := c.opener.Open(id, false)
	if e != nil {
		return nil, errors.Join(err, e)
	}
	got, empty := d.Identity(), true
	e = d.Scan(context.Background(), func(disks.Entry) error { empty = false; return nil })
	if e != nil || got.Cluster != id.Cluster || got.Number != id.Number || !empty {
		return nil, errors.Join(fmt.Errorf("%w; it is not an empty disk of this cluster: take it away first", err), e, d.Close())
	}
	return d, nil
}

// Remove takes the directory of a disk away, and those above it that are empty then.
func (d directories) Remove(id disks.Identity) error {
	path := d.path(id)
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	for range 3 { // host, rack, site
		path = path[:strings.LastIndexByte(path, os.PathSeparator)]
		if os.Remove(path) != nil {
			break // something else is in it
		}
	}
	return nil
}

func cloneMap(m *placement.Map) *placement.Map {
	c := &placement.Map{Epoch: m.Epoch, Sites: slices.Clone(m.Sites)}
	for i := range c.Sites {
		s := &c.Sites[i]
		s.Racks = slices.Clone(s.Racks)
		for j := range s.Racks {
			r := &s.Racks[j]
			r.Hosts = slices.Clone(r.Hosts)
			for k := range r.Hosts {
				r.Hosts[k].Disks = slices.Clone(r.Hosts[k].Disks)
			}
		}
	}
	return c
}

func compareMaps(old, next *placement.Map) ChangeReport {
	var rep ChangeReport
	had, has := map[placement.DiskID]placement.Disk{}, map[placement.DiskID]bool{}
	eachDisk(old, func(d placementDisk, _ *placement.Disk) { had[d.ID] = d.Disk })
	eachDisk(next, func(d placementDisk, _ *placement.Disk) {
		if d.Out {
			rep.Holding = append(rep.Holding, d.path())
		}
		before, there := had[d.ID]
		has[d.ID] = true
		switch {
		case !there:
			rep.Added = append(rep.Added, d.path())
		case d.Out && !before.Out:
			rep.Drained = append(rep.Drained, d.path())
		}
	})
	eachDisk(old, func(d placementDisk, _ *placement.Disk) {
		if !has[d.ID] {
			rep.Dropped = append(rep.Dropped, d.path())
		}
	})
	return rep
}

func eachHost(m *placement.Map, f func(path string, h *placement.Host)) {
	for i := range m.Sites {
		for j := range m.Sites[i].Racks {
			for k := range m.Sites[i].Racks[j].Hosts {
				h := &m.Sites[i].Racks[j].Hosts[k]
				f(m.Sites[i].Name+"/"+m.Sites[i].Racks[j].Name+"/"+h.Name, h)
			}
		}
	}
}

// nextDisk is a number that no disk has; those of drained disks are not used again while
// they are on the map.
func nextDisk(m *placement.Map) placement.DiskID {
	next := placement.DiskID(0)
	eachDisk(m, func(d placementDisk, _ *placement.Disk) { next = max(next, d.ID+1) })
	return max(next, placement.DiskID(m.Next))
}

func freeName(h *placement.Host, name string) string {
	for n := 2; ; n++ {
		try := fmt.Sprintf("%s-%d", name, n)
		if !slices.ContainsFunc(h.Disks, func(d placement.Disk) bool { return d.Name == try }) {
			return try
		}
	}
}

// add puts what the options ask for into a map.
func (a AddOptions) add(m *placement.Map) error {
	names := strings.Split(strings.Trim(a.Path, "/"), "/")
	kinds := []string{"site", "rack", "host", "disk"}
	if depth := slices.Index(kinds, a.Kind) + 1; depth == 0 || len(names) != depth {
		return fmt.Errorf("%w: add %s %s: want %s", ErrUnknownDomain, a.Kind, a.Path, strings.Join([]string{"SITE", "SITE/RACK", "SITE/RACK/HOST", "SITE/RACK/HOST/DISK"}, " or "))
	}
	g := &grower{a: a, next: nextDisk(m)}
	return g.site(m, names)
}

// A grower gives new disks their numbers and profiles.
type grower struct {
	a    AddOptions
	next placement.DiskID
}

func (g *grower) site(m *placement.Map, names []string) error {
	i := slices.IndexFunc(m.Sites, func(s placement.Site) bool { return s.Name == names[0] })
	if i >= 0 && len(names) > 1 {
		return g.rack(&m.Sites[i], names[0], names[1:])
	}
	if i >= 0 || len(names) > 1 {
		return g.odd(i >= 0, "site", names[0])
	}
	s := placement.Site{Name: names[0]}
	for n := range max(1, g.a.Racks) {
		s.Racks = append(s.Racks, g.newRack(fmt.Sprint("rack", n+1)))
	}
	m.Sites = append(m.Sites, s)
	return nil
}

func (g *grower) rack(s *placement.Site, path string, names []string) error {
	path += "/" + names[0]
	i := slices.IndexFunc(s.Racks, func(r placement.Rack) bool { return r.Name == names[0] })
	if i >= 0 && len(names) > 1 {
		return g.host(&s.Racks[i], path, names[1:])
	}
	if i >= 0 || len(names) > 1 {
		return g.odd(i >= 0, "rack", path)
	}
	s.Racks = append(s.Racks, g.newRack(names[0]))
	return nil
}

func (g *grower) host(r *placement.Rack, path string, names []string) error {
	path += "/" + names[0]
	i := slices.IndexFunc(r.Hosts, func(h placement.Host) bool { return h.Name == names[0] })
	if i < 0 || len(names) == 1 {
		if i >= 0 || len(names) > 1 {
			return g.odd(i >= 0, "host", path)
		}
		r.Hosts = append(r.Hosts, g.newHost(names[0]))
		return nil
	}
	h := &r.Hosts[i]
	if slices.ContainsFunc(h.Disks, func(d placement.Disk) bool { return d.Name == names[1] }) {
		return g.odd(true, "disk", path+"/"+names[1])
	}
	h.Disks = append(h.Disks, g.disk(names[1]))
	return nil
}

// odd is the error of a domain that is there and should not be, or the reverse.
func (g *grower) odd(there bool, kind, path string) error {
	if there {
		return fmt.Errorf("%s %s: %w; `wattle add` names what is new", kind, path, ErrExists)
	}
	return fmt.Errorf("%w: %s %s is not there; `wattle add %s %s` first", ErrUnknownDomain, kind, path, kind, path)
}

func (g *grower) newRack(name string) placement.Rack {
	r := placement.Rack{Name: name}
	for n := range max(1, g.a.Hosts) {
		r.Hosts = append(r.Hosts, g.newHost(fmt.Sprint("host", n+1)))
	}
	return r
}

func (g *grower) newHost(name string) placement.Host {
	h := placement.Host{Name: name}
	for n := range max(1, g.a.Disks) {
		h.Disks = append(h.Disks, g.disk(fmt.Sprint("disk", n+1)))
	}
	return h
}

func (g *grower) disk(name string) placement.Disk {
	d := placement.Disk{ID: g.next, Name: name}
	if n := len(g.a.Profiles); n > 0 {
		d.Profile = g.a.Profiles[int(g.next)%n]
	}
	d.Capacity = g.a.Capacity(d.Profile)
	g.next++
	return d
}

const tableFormat = 1

// encodeTable is how the catalog keeps a table: its version, shards a group, then the disk
// of each shard plus one, as varints.
func encodeTable(t *placement.Table) []byte {
	p := []byte{tableFormat}
	p = binary.AppendUvarint(p, uint64(t.N()))
	p = binary.AppendUvarint(p, uint64(t.PGs()))
	for pg := range t.PGs() {
		for _, d := range t.Disks(pg) {
			p = binary.AppendUvarint(p, uint64(d+1))
		}
	}
	return p
}

func decodeTable(p []byte) (*placement.Table, error) {
	if len(p) == 0 || p[0] != tableFormat {
		return nil, fmt.Errorf("placement table: %w", ErrNewer)
	}
	d := &decoder{p: p[1:]}
	n, pgs := int(d.atMost(placement.MaxShards)), int(d.atMost(placement.MaxPGs))
	if n*pgs > len(d.p) && d.err == nil {
		d.err = errMalformed
	}
	if d.err != nil {
		return nil, fmt.Errorf("placement table: %w", d.err)
	}
	rows := make([]placement.DiskID, n*pgs)
	for i := range rows {
		rows[i] = placement.DiskID(d.atMost(1<<31)) - 1
	}
	if d.err != nil || n == 0 {
		return nil, fmt.Errorf("placement table: %w", errMalformed)
	}
	return placement.NewTable(n, rows)
}

// loadTable is the table that the last change of the map made, or the one that the first map
// gives.
func (c *Cluster) loadTable() (*placement.Table, error) {
	p, err := c.catalog.meta("table")
	if errors.Is(err, sql.ErrNoRows) {
		return c.config.build()
	}
	if err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	t, err := decodeTable(p)
	if err == nil && (t.N() != c.config.Scheme.N() || t.PGs() != c.config.PGs) {
		err = fmt.Errorf("placement table of %d groups of %d shards: %w", t.PGs(), t.N(), errMalformed)
	}
	return t, err
}

// keepTable gives a recovered catalog the table of a map that was changed. Such a table does
// not follow from the map; it is read off the places of the shards: each group has its shards
// where most of its stripes have them, and the rest by the fewest moves.
func (r *recovery) keepTable(ctx context.Context, cat *catalog) error {
	if r.cfg.Map.Epoch <= 1 {
		return nil
	}
	first, err := r.cfg.build() // for its groups
	if err != nil {
		return err
	}
	type seat struct{ pg, shard int }
	votes := map[seat]map[placement.DiskID]int{}
	for id, f := range r.stripes {
		for i, p := range f.Places {
			if at := (seat{first.PG(id), i}); p.Disk != none {
				if votes[at] == nil {
					votes[at] = map[placement.DiskID]int{}
				}
				votes[at][p.Disk]++
			}
		}
	}
	rows := make([]placement.DiskID, first.PGs()*first.N())
	for i := range rows {
		rows[i] = none
		most := 0
		for d, n := range votes[seat{i / first.N(), i % first.N()}] {
			if n > most || n == most && d < rows[i] {
				rows[i], most = d, n
			}
		}
	}
	seen, err := placement.NewTable(first.N(), rows)
	if err != nil {
		return err
	}
	p, err := placement.Change(seen, r.cfg.Map, r.cfg.Rule, placement.Options{Seed: r.cfg.Map.Epoch, Holes: true})
	if err != nil {
		return err
	}
	return cat.update(ctx, func(t *tx) error { return t.setMeta("table", encodeTable(p.Table)) })
}
