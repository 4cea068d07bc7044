package importer

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/wattle-storage/wattle/erasure"
)

// assembleCeph makes hosts, drives and pools of what Ceph's dumps said.
func (b *build) assembleCeph(f *Found, hosts *hostSet) {
	c := b.ceph
	f.System, f.Version, f.Taken, f.full = "ceph", c.version, c.taken, c.full
	parent := c.parents()
	siteKind := c.siteKind(parent)
	j := join{b: b, hosts: hosts, parent: parent, siteKind: siteKind, machines: c.machines(parent), places: map[string]*Drive{}, where: map[string][3]string{}}
	for _, id := range sortedKeys(c.osds) {
		switch o := c.osds[id]; {
		case c.mapped && !o.mapped:
			b.miss.add("osdmap.osds", "daemons that the CRUSH map or statistics still name and the OSD map does not: left out")
		case !o.gone:
			j.osd(o)
		}
	}
	j.flush()
	b.poolsOf(f, siteKind)
	f.Sizes.Used = c.used
	b.check(f, hosts)
}

// siteKind is the kind of bucket that stands for a site, "" when the tree has none.
func (c *cephData) siteKind(parent map[int]int) string {
	n := map[string]int{}
	for _, p := range parent {
		_, kind := nameOf(c.above(p), siteKinds)
		n[kind]++
	}
	best := ""
	for _, k := range siteKinds {
		if n[k] > n[best] || best == "" && n[k] > 0 {
			best = k
		}
	}
	return best
}

// machines are the host names that daemons give of themselves, by the bucket that they lie in:
// buckets have short names, and daemons that are down say nothing.
func (c *cephData) machines(parent map[int]int) map[int]string {
	names := map[int]string{}
	for _, id := range sortedKeys(c.osds) {
		if at, ok := parent[id]; ok && names[at] == "" && !c.osds[id].gone {
			names[at] = c.osds[id].host
		}
	}
	return names
}

// A join turns daemons into drives: several daemons may share one.
type join struct {
	b        *build
	hosts    *hostSet
	parent   map[int]int
	siteKind string
	machines map[int]string // by bucket, the machine that its daemons say they run on
	places   map[string]*Drive
	where    map[string][3]string
	order    []string
}

// osd adds the drives of a daemon.
func (j *join) osd(o *osd) {
	place := j.place(o)
	d := Drive{ID: fmt.Sprintf("osd.%d", o.id), Osd: o.id, Class: o.class, Role: Data, State: stateOf(o), PGs: o.pgs, spins: o.spins, Used: o.kbUsed * 1024}
	d.Bytes = j.size(o)
	name, cache := dataDevice(o.data)
	if o.severalDisks() {
		j.b.guess.add("osd.devices", "a daemon lies on several disks (a RAID volume): counted as one drive")
	}
	if len(cache) > 0 {
		d.spins = unknown // a cache says of itself that it does not turn
	}
	if name == "" && len(o.ids) == 1 {
		for dev := range o.ids {
			name = dev
		}
	}
	d.Model, d.Serial = splitID(o.ids[name])
	j.add(j.key(place, name, d.Serial, d.ID), place, d)
	for _, dev := range cache {
		c := Drive{ID: dev, Osd: -1, Role: Journal, State: Working, spins: no}
		c.Model, c.Serial = splitID(o.ids[dev])
		j.add(j.key(place, dev, c.Serial, ""), place, c)
		j.b.guess.add("osd.cache", "a flash device before a disk (bcache, lvmcache): counted as one that keeps no data of its own")
	}
	for _, x := range []struct {
		devs []string
		size int64
	}{{o.db, o.dbSize}, {o.wal, o.walSize}} {
		for _, dev := range x.devs {
			if has(o.data, dev) {
				continue
			}
			db := Drive{ID: dev, Osd: -1, Role: Journal, State: Working, Bytes: x.size / int64(len(x.devs)), spins: spinsByName(dev)}
			db.Model, db.Serial = splitID(o.ids[dev])
			j.add(j.key(place, dev, db.Serial, ""), place, db)
		}
	}
}

// severalDisks tells whether disks of different serial numbers hold a daemon's data; both paths of
// a multipath drive have one.
func (o *osd) severalDisks() bool {
	first := ""
	for _, dev := range o.data {
		if _, serial := splitID(o.ids[dev]); strings.HasPrefix(dev, "sd") && isSerial(serial) {
			if first != "" && serial != first {
				return true
			}
			first = serial
		}
	}
	return false
}

// dataDevice is the device that holds the data, of those that a daemon lies on: below a cache
// the disk, and not the flash that stands before it.
func dataDevice(devs []string) (data string, cache []string) {
	if len(devs) == 0 {
		return "", nil
	}
	data = devs[0]
	for _, dev := range devs {
		if strings.HasPrefix(dev, "sd") {
			data = dev
			break
		}
	}
	for _, dev := range devs {
		if strings.HasPrefix(data, "sd") && strings.HasPrefix(dev, "nvme") {
			cache = append(cache, dev)
		}
	}
	return data, cache
}

func stateOf(o *osd) State {
	switch {
	case o.in == no:
		return Out
	case o.up == no:
		return Down
	}
	return Working
}

// size is the capacity of a daemon's data device.
func (j *join) size(o *osd) int64 {
	switch {
	case o.size > 0:
		return o.size
	case o.kb > 0:
		return o.kb * 1024
	case o.weight > 0:
		j.b.guess.add("osd.size", "taken from the CRUSH weight, read as TiB")
		return int64(o.weight * (1 << 40))
	}
	return 0
}

// place is site, rack and host of a daemon. The host that its metadata names is the machine;
// the bucket may be one of several that stand for it.
func (j *join) place(o *osd) [3]string {
	above := j.b.ceph.above(j.parent[o.id])
	host, _ := nameOf(above, hostKinds)
	site, _ := nameOf(above, []string{j.siteKind})
	rack, _ := nameOf(above, rackKinds)
	switch {
	case o.host != "":
		host = o.host
	case j.machines[j.parent[o.id]] != "":
		host = j.machines[j.parent[o.id]]
	case host == "":
		j.b.miss.add("osd.host", "no host is known: counted as one host together")
		host = "unknown"
	}
	if j.siteKind != "" && site == "" {
		j.b.guess.add("osd.site", "stands under no %s: counted as a site of its own, with others like it", j.siteKind)
	}
	return [3]string{or(site, "site"), or(rack, "rack"), host}
}

// key tells one drive from another, on a host: virtual machines number their disks alike. What
// looks like a serial number may be that of a controller, so that the device tells too; of NVMe
// drives it may be one of several namespaces.
func (j *join) key(place [3]string, device, serial, id string) string {
	switch {
	case isSerial(serial) && (device == "" || strings.HasPrefix(device, "nvme")):
		return place[2] + " serial " + serial
	case device != "":
		return place[0] + " " + place[2] + " " + device + " " + serial
	}
	return id
}

// add adds a drive, or a part of one that is there already.
func (j *join) add(key string, place [3]string, d Drive) {
	old := j.places[key]
	if old == nil {
		j.places[key], j.where[key] = &d, place
		j.order = append(j.order, key)
		return
	}
	switch {
	case old.Role == Journal && d.Role == Journal:
		j.b.guess.add("db device", "shared by several daemons: counted once")
	case d.Role == Data && old.Role == Data:
		j.b.guess.add("drive", "several daemons lie on one drive: counted once")
		old.ID += "+" + strings.TrimPrefix(d.ID, "osd.")
		old.Used += d.Used
		old.PGs += d.PGs
	case d.Role == Data: // a drive that holds data and the database of others
		d.Bytes += old.Bytes
		*old = d
		return
	}
	old.Bytes += d.Bytes
}

// flush hands the drives to their hosts. A data drive that does not tell its model has that of
// all others of its size and class, if those agree; a database device has room for what the
// most loaded one of its model holds.
func (j *join) flush() {
	models := map[modelKey]string{}
	most := map[string]int64{}
	for _, key := range j.order {
		d := j.places[key]
		if d.Role == Journal {
			most[d.Model] = max(most[d.Model], d.Bytes)
			continue
		}
		d.Bytes = Nominal(d.Bytes)
		if k := keyOf(d); d.Model != "" && models[k] != d.Model {
			if _, ok := models[k]; ok {
				models[k] = "" // they differ
			} else {
				models[k] = d.Model
			}
		}
	}
	home := j.homes()
	for _, key := range j.order {
		d, p := j.places[key], j.where[key]
		if h, ok := home[p[2]]; ok {
			p = h
		}
		switch {
		case d.Role == Journal && most[d.Model] > 0:
			d.Bytes = roomFor(most[d.Model])
			j.b.guess.add("db device.capacity", "not told: the next usual size that holds what its daemons use of it")
		case d.Role == Data && d.Model == "" && models[keyOf(d)] != "":
			d.Model = models[keyOf(d)]
			j.b.guess.add("drive.model", "not told: taken from the others of its size and class, which are all alike")
		case d.Role == Data && d.Model == "":
			j.b.miss.add("osd_metadata[].device_ids", "the drive's model is not known")
		}
		j.hosts.add(p[0], p[1], p[2], *d)
	}
}

// homes are the places of machines that several buckets stand for, in trees of their own for
// flash and disks: the first that names a rack, unless they are at different sites.
func (j *join) homes() map[string][3]string {
	home, apart := map[string][3]string{}, map[string]bool{}
	named := func(p [3]string) bool { return p[1] != "rack" }
	for _, key := range j.order {
		p := j.where[key]
		old, ok := home[p[2]]
		switch {
		case !ok || old[0] == "site" && p[0] != "site":
			home[p[2]] = p
		case p[0] != "site" && p[0] != old[0]:
			apart[p[2]] = true
		case p[0] == old[0] && named(p) && !named(old):
			home[p[2]] = p
		}
	}
	for host := range apart {
		delete(home, host)
	}
	return home
}

// A modelKey is what drives must share to be taken for the same model.
type modelKey struct {
	bytes int64
	class string
}

func keyOf(d *Drive) modelKey { return modelKey{d.Bytes, d.Class} }

// roomFor is the smallest usual capacity of a solid-state drive that holds n bytes.
func roomFor(n int64) int64 {
	for _, tb := range solidTB {
		if size := int64(math.Round(tb * 1e12)); size >= n {
			return size
		}
	}
	return Nominal(n)
}

func spinsByName(dev string) tri {
	if strings.HasPrefix(dev, "nvme") {
		return no
	}
	return unknown
}

// splitID takes the serial number, which is the last part, off "MODEL_WITH_PARTS_SERIAL".
func splitID(id string) (model, serial string) {
	i := strings.LastIndexByte(id, '_')
	if i < 0 || knownModel(id[i+1:]) {
		return strings.ReplaceAll(id, "_", " "), ""
	}
	return strings.ReplaceAll(id[:i], "_", " "), id[i+1:]
}

// Nominal is the capacity that a drive was sold with: bytes to the nearest usual size within
// 1.5 %, otherwise to three digits. Stores use a little less than the whole drive.
func Nominal(bytes int64) int64 {
	if bytes <= 0 {
		return 0
	}
	for _, tb := range usualTB {
		if math.Abs(float64(bytes)/(tb*1e12)-1) < 0.015 {
			return int64(math.Round(tb * 1e12))
		}
	}
	unit := math.Pow(10, math.Floor(math.Log10(float64(bytes)))-2)
	return int64(math.Round(float64(bytes)/unit) * unit)
}

// solidTB are usual capacities of solid-state drives.
var solidTB = []float64{0.24, 0.4, 0.48, 0.8, 0.96, 1.6, 1.92, 3.2, 3.84, 6.4, 7.68, 12.8, 15.36, 25.6, 30.72, 61.44, 122.88}

var usualTB = []float64{0.12, 0.24, 0.25, 0.3, 0.4, 0.48, 0.5, 0.512, 0.6, 0.8, 0.9, 0.96, 1, 1.2, 1.6, 1.8, 1.92, 2, 2.4, 3, 3.2, 3.84, 4, 5, 6, 6.4, 7.68, 8, 10, 12, 12.8, 14, 15, 15.36, 16, 18, 20, 22, 24, 25.6, 26, 28, 30, 30.72, 32, 36, 40, 61.44, 122.88}

// check compares the sum over drives with what the cluster says of itself.
func (b *build) check(f *Found, hosts *hostSet) {
	var sum int64
	hosts.each(func(_ *Host, d *Drive) {
		if d.Role == Data && d.State != Out {
			sum += d.Bytes
		}
	})
	for _, o := range b.ceph.osds { // what databases have counts as the cluster's
		if !o.gone && len(o.db) > 0 && b.ceph.total > sum {
			sum += min(o.dbSize, b.ceph.total-sum)
		}
	}
	if t := b.ceph.total; t > 0 && math.Abs(float64(sum)/float64(t)-1) > 0.03 {
		b.miss.add("capacity", "the drives add up to %.4g TB, the cluster says %.4g TB: part of one of the two is missing", float64(sum)/1e12, float64(t)/1e12)
	}
}

// poolsOf makes pools with schemes.
func (b *build) poolsOf(f *Found, siteKind string) {
	c := b.ceph
	mapped := slices.ContainsFunc(sortedKeys(c.pools), func(id int) bool { return c.pools[id].described })
	for _, id := range sortedKeys(c.pools) {
		p := c.pools[id]
		if mapped && !p.described {
			b.miss.add("osdmap.pools", "pools of which only statistics are left: left out")
			continue
		}
		out := Pool{ID: id, Name: p.name, MinSize: p.minSize, PGs: p.pgs, Stored: p.stored, Raw: p.raw, Objects: p.objects}
		out.scheme, out.known = b.schemeOf(p)
		if out.known {
			out.Scheme, out.Overhead = out.scheme.String(), out.scheme.Overhead()
			b.ruleOf(&out, p, siteKind)
		}
		f.Pools = append(f.Pools, out)
	}
	slices.SortStableFunc(f.Pools, func(a, b Pool) int {
		switch {
		case a.Stored > b.Stored:
			return -1
		case a.Stored < b.Stored:
			return 1
		}
		return 0
	})
}

// ruleOf fills in what the pool's CRUSH rule says.
func (b *build) ruleOf(out *Pool, p *pool, siteKind string) {
	r := b.ceph.rules[p.rule]
	n := out.scheme.N()
	prof := b.ceph.profiles[p.profile]
	if r == nil {
		out.Domain, out.Class, out.PerSite = prof.domain, prof.class, n
		if p.described {
			b.miss.add("crushmap.rules", "the rule of a pool is not known: its failure domain may be %s", or(prof.domain, "anything"))
		}
		return
	}
	if p.tierOf >= 0 {
		b.guess.add("pools", "a cache tier: what it keeps is in its base pool too, and is counted in both")
	}
	s := b.ceph.spreadOf(r, n, siteKind)
	out.Domain, out.Class, out.PerSite = s.domain, s.class, s.perSite
	if s.odd {
		b.guess.add("crushmap.rules", "%s takes more than one tree, or chooses nothing: its spread is not understood, no site tolerance is counted", "a rule")
		out.PerSite = n
	}
	if out.Class == "" {
		out.Class = prof.class
	}
}

// schemeOf is the redundancy rule of a pool.
func (b *build) schemeOf(p *pool) (erasure.Scheme, bool) {
	text := ""
	switch {
	case p.kind == 1 && p.size > 0:
		text = fmt.Sprintf("replica:%d", p.size)
	case p.kind == 3:
		text = b.ecScheme(p)
	case p.kind == 0 && p.stored > 0 && p.raw > 0:
		if r := float64(p.raw) / float64(p.stored); math.Abs(r-math.Round(r)) < 0.05*r && r > 1.5 {
			text = fmt.Sprintf("replica:%d", int(math.Round(r)))
			b.guess.add("pools.scheme", "%s: from %.2f bytes used for each stored; `ceph osd dump -f json` would tell", text, r)
		}
	}
	s, err := erasure.Parse(text)
	if err != nil && text != "" {
		b.miss.add("pools.scheme", "%s cannot be: %v", text, err)
	}
	return s, err == nil
}

// ecScheme is the scheme of an erasure-coded pool by its profile, or by its sizes.
func (b *build) ecScheme(p *pool) string {
	prof, ok := b.ceph.profiles[p.profile]
	switch {
	case ok && prof.plugin == "lrc" && prof.k > 0 && prof.m > 0 && prof.l > 0 && (prof.k+prof.m)%prof.l == 0:
		b.guess.add("erasure_code_profiles", "Ceph's lrc plugin has its local parities over global ones too: read as lrc:k+l+r")
		return fmt.Sprintf("lrc:%d+%d+%d", prof.k, (prof.k+prof.m)/prof.l, prof.m)
	case ok && prof.k > 0 && prof.m > 0:
		if prof.plugin == "shec" {
			b.guess.add("erasure_code_profiles", "plugin shec stands fewer losses than its m: read as rs:k+m")
		}
		if p.size > 0 && p.size != prof.k+prof.m {
			b.guess.add("osdmap.pools[].size", "is %d and the profile has k+m = %d: the profile is believed", p.size, prof.k+prof.m)
		}
		return fmt.Sprintf("rs:%d+%d", prof.k, prof.m)
	case p.width > 0 && p.width%4096 == 0 && p.width/4096 < p.size:
		b.guess.add("osdmap.pools[].scheme", "the profile is not there: k from the stripe width over 4 KiB")
		return fmt.Sprintf("rs:%d+%d", p.width/4096, p.size-p.width/4096)
	case p.minSize > 1 && p.minSize-1 < p.size:
		b.guess.add("osdmap.pools[].scheme", "the profile is not there: k from min_size − 1")
		return fmt.Sprintf("rs:%d+%d", p.minSize-1, p.size-p.minSize+1)
	}
	return ""
}
