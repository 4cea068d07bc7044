package importer

import (
	"fmt"
	"strings"
)

// cephData is what any of Ceph's dumps says.
type cephData struct {
	version, taken string
	full           ratios
	osds           map[int]*osd
	buckets        map[int]*bucket
	rules          map[int]*rule
	pools          map[int]*pool
	profiles       map[string]profile
	used, total    int64 // bytes, as the cluster sums them
	mapped         bool  // whether the OSD map listed its OSDs
}

// An osd is a storage daemon.
type osd struct {
	id          int
	host        string // of its metadata
	class       string
	weight      float64 // in CRUSH, TiB
	size        int64   // of its data device
	kb, kbUsed  int64
	dbSize      int64
	walSize     int64
	up, in      tri
	mapped      bool // the OSD map lists it
	gone        bool // does not exist any more
	spins       tri
	pgs         int
	data        []string // devices
	db, wal     []string
	ids         map[string]string // device to MODEL_SERIAL
	metadata    bool
	objectstore string
}

// A bucket is an inner node of the CRUSH tree.
type bucket struct {
	id         int
	name, kind string
	items      []int
	parent     int // id, 0 for none
}

// A profile is an erasure-code profile.
type profile struct {
	plugin, domain, class string
	k, m, l               int
}

// A pool is a pool as Ceph tells it.
type pool struct {
	id, kind, size, minSize, pgs, rule int
	name, profile                      string
	width                              int // stripe width in bytes
	stored, raw, objects               int64
	described                          bool // whether the OSD map spoke of it
	tierOf                             int  // the pool that it is a cache of, -1 for none
}

func (b *build) cephOf() *cephData {
	if b.ceph == nil {
		b.ceph = &cephData{osds: map[int]*osd{}, buckets: map[int]*bucket{}, rules: map[int]*rule{}, pools: map[int]*pool{}, profiles: map[string]profile{}}
	}
	return b.ceph
}

func (c *cephData) osd(id int) *osd {
	o := c.osds[id]
	if o == nil {
		o = &osd{id: id}
		c.osds[id] = o
	}
	return o
}

func (c *cephData) pool(id int) *pool {
	p := c.pools[id]
	if p == nil {
		p = &pool{id: id, name: fmt.Sprintf("pool %d", id), rule: -1, tierOf: -1}
		c.pools[id] = p
	}
	return p
}

// osdID is a number of an OSD that can be.
func osdID(n node, key string) (int, bool) {
	id, ok := n.count(key)
	return id, ok && id < maxDrive
}

// cephReport reads `ceph report`.
func (b *build) cephReport(in *input) error {
	c := b.cephOf()
	w := newWalk(in, &b.miss)
	seen := map[string]bool{}
	err := w.object("report", func(key string) error {
		seen[key] = true
		switch key {
		case "version", "timestamp":
			n, err := w.value(key)
			if s, ok := n.v.(string); ok && key == "version" {
				c.version = clean(s)
			} else if ok {
				c.taken = clean(s)
			}
			return err
		case "osdmap":
			return b.osdmap(w, key)
		case "osd_metadata":
			return w.each(key, b.osdMetadata)
		case "crushmap":
			return b.crushmap(w, key)
		case "pool_stats":
			return w.each(key, b.poolStats)
		case "osd_stats":
			return w.each(key, b.osdStats)
		case "pgmap": // before Mimic the statistics lie in it
			seen["pool_stats"] = true
			return b.pgmap(w, key)
		case "num_pg_by_osd":
			return w.each(key, func(n node) {
				if id, ok := osdID(n, "osd"); ok {
					c.osd(id).pgs, _ = n.count("num_acting_pg")
				}
			})
		case "osd_sum":
			n, err := w.value(key)
			b.osdSum(n)
			return err
		}
		return w.skip() // auth among them
	})
	for _, key := range []string{"osdmap", "osd_metadata", "crushmap", "pool_stats"} {
		if err == nil && !seen[key] {
			b.miss.add(key, "the report lacks this section")
		}
	}
	return b.trailing(w, err)
}

func (b *build) pgmap(w *walk, path string) error {
	return w.object(path, func(key string) error {
		at := path + "." + key
		switch key {
		case "pool_stats":
			return w.each(at, b.poolStats)
		case "osd_stats":
			return w.each(at, b.osdStats)
		case "osd_stats_sum":
			n, err := w.value(at)
			b.osdSum(n)
			return err
		}
		return w.skip()
	})
}

// trailing notes text after the value, as a shell that joins stderr leaves it.
func (b *build) trailing(w *walk, err error) error {
	if err == nil && w.more() {
		b.miss.add("file", "more text follows the first document and was not read")
	}
	return err
}

func (b *build) osdSum(n node) {
	if kb, ok := n.size("kb"); ok && kb < maxBytes/1024 {
		b.cephOf().total = kb * 1024
	}
	if kb, ok := n.size("kb_used"); ok && kb < maxBytes/1024 {
		b.cephOf().used = kb * 1024
	}
	// kb_used counts database devices of their own as used whole; what data takes is told beside it
	data, ok := n.size("kb_used_data")
	omap, _ := n.size("kb_used_omap")
	meta, _ := n.size("kb_used_meta")
	if sum := data + omap + meta; ok && sum < b.cephOf().used/1024 {
		b.cephOf().used = sum * 1024
	}
}

// osdmap reads the OSD map, as report and `ceph osd dump` hold it.
func (b *build) osdmap(w *walk, path string) error {
	c := b.cephOf()
	return w.object(path, func(key string) error {
		at := path + "." + key
		switch key {
		case "nearfull_ratio", "full_ratio":
			n, err := w.value(at)
			v, ok := n.number()
			if ok && (v <= 0 || v > 1) {
				b.miss.add(at, "no ratio between 0 and 1, left out")
			} else if ok && key == "full_ratio" {
				c.full.full = v
			} else if ok {
				c.full.near = v
			}
			return err
		case "pools":
			return w.each(at, b.osdmapPool)
		case "osds":
			return w.each(at, b.osdmapOSD)
		case "erasure_code_profiles":
			n, err := w.value(at)
			if err == nil {
				b.profiles(n)
			}
			return err
		}
		return w.skip()
	})
}

func (b *build) osdmapPool(n node) {
	id, ok := n.count("pool", "id", "pool_id")
	if !ok || id > maxDrive {
		b.miss.add(n.path, "a pool without a number, left out")
		return
	}
	p := b.cephOf().pool(id)
	p.described = true
	if s := n.text("pool_name"); s != "" {
		p.name = s
	}
	p.kind, _ = n.count("type")
	p.size, _ = n.count("size")
	p.minSize, _ = n.count("min_size")
	p.pgs, _ = n.count("pg_num")
	p.width, _ = n.count("stripe_width")
	p.profile = n.text("erasure_code_profile")
	if of, ok := n.num("tier_of"); ok && of >= 0 && of < maxDrive {
		p.tierOf = int(of)
	}
	if r, ok := n.count("crush_rule", "crush_ruleset"); ok {
		p.rule = r
	}
}

func (b *build) osdmapOSD(n node) {
	id, ok := osdID(n, "osd")
	if !ok {
		b.miss.add(n.path, "an OSD without a number, left out")
		return
	}
	o := b.cephOf().osd(id)
	o.mapped, b.cephOf().mapped = true, true
	o.up = triOf(n.flag("up"))
	o.in = triOf(n.flag("in"))
	if state, ok := n.get("state"); ok {
		o.gone = true
		for _, s := range state.list() {
			if s.v == "exists" {
				o.gone = false
			}
		}
		for _, s := range state.list() {
			if s.v == "destroyed" {
				o.gone = true
				b.miss.add("osdmap.osds[].state", "destroyed daemons, whose drives are to be replaced: left out")
			}
		}
	}
}

func (b *build) profiles(n node) {
	if !n.isObject() {
		return
	}
	names, values := n.members()
	for i, v := range values {
		p := profile{plugin: v.text("plugin"), domain: v.text("crush-failure-domain", "ruleset-failure-domain"), class: v.text("crush-device-class")}
		p.k, _ = v.count("k")
		p.m, _ = v.count("m")
		p.l, _ = v.count("l")
		b.cephOf().profiles[clean(names[i])] = p
	}
}

// osdMetadata reads one entry of `ceph osd metadata`, whose values are all strings.
func (b *build) osdMetadata(n node) {
	id, ok := osdID(n, "id")
	if !ok {
		b.miss.add(n.path, "an entry without an OSD's number, left out")
		return
	}
	o := b.cephOf().osd(id)
	if m, _ := n.v.(map[string]any); len(m) < 3 {
		b.miss.add(n.path, "entries without content (the daemons were down)")
		return
	}
	o.metadata = true
	if host := n.text("hostname"); !strings.Contains(host, "rook-ceph-osd") { // a pod is no machine
		o.host = or(host, o.host)
	}
	o.class = or(o.class, n.text("default_device_class"))
	o.objectstore = n.text("osd_objectstore")
	if size, ok := n.size("bluestore_bdev_size"); ok {
		o.size = size
	}
	o.dbSize, _ = n.size("bluefs_db_size")
	o.walSize, _ = n.size("bluefs_wal_size")
	o.spins = triOf(n.flag("bluestore_bdev_rotational", "rotational"))
	o.ids = deviceIDs(n.text2("device_ids"))
	o.data = devices(n.text2("bluestore_bdev_devices"))
	o.db, o.wal = devices(n.text2("bluefs_db_devices")), devices(n.text2("bluefs_wal_devices"))
	o.olderMetadata(n)
	if file := devices(n.text("backend_filestore_dev_node")); len(file) > 0 && len(o.data) == 0 {
		o.data = file
		for _, d := range devices(n.text2("devices")) { // the journal
			if !has(file, d) {
				o.wal = append(o.wal, d)
			}
		}
	}
	if all := devices(n.text2("devices")); len(o.data) == 0 {
		for _, d := range all {
			if !has(o.db, d) && !has(o.wal, d) {
				o.data = append(o.data, d)
			}
		}
	}
	if c := b.cephOf(); c.version == "" {
		c.version = n.text("ceph_version_short")
	}
}

// olderMetadata reads what Luminous and Mimic tell in place of lists of devices and of their ids:
// one device and, where no logical volume hides it, its model.
func (o *osd) olderMetadata(n node) {
	for _, x := range []struct {
		devs        *[]string
		node, model string
	}{{&o.data, "bluestore_bdev_dev_node", "bluestore_bdev_model"}, {&o.db, "bluefs_db_dev_node", "bluefs_db_model"}, {&o.wal, "bluefs_wal_dev_node", "bluefs_wal_model"}} {
		if len(*x.devs) == 0 {
			*x.devs = devices(n.text(x.node))
		}
		if model := n.text(x.model); model != "" && len(*x.devs) > 0 && o.ids[(*x.devs)[0]] == "" {
			o.ids[(*x.devs)[0]] = strings.ReplaceAll(model, " ", "_") + "_" // without a serial number
		}
	}
	if single, _ := n.flag("bluefs_single_shared_device"); single {
		o.db, o.wal = nil, nil
	}
}

func has(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// deviceIDs reads "sda=MODEL_SERIAL,nvme0n1=…".
func deviceIDs(s string) map[string]string {
	ids := map[string]string{}
	for part := range strings.SplitSeq(s, ",") {
		if dev, id, ok := strings.Cut(part, "="); ok && id != "" {
			ids[wholeDevice(strings.TrimSpace(dev))] = clean(id)
		}
	}
	return ids
}

// devices lists whole devices of "dm-21,sdv1": mappers and caches stand for what lies below.
func devices(s string) (list []string) {
	for part := range strings.SplitSeq(s, ",") {
		dev := wholeDevice(strings.TrimSpace(part))
		if dev == "" || strings.HasPrefix(dev, "dm-") || strings.HasPrefix(dev, "md") || strings.HasPrefix(dev, "bcache") || has(list, dev) {
			continue
		}
		list = append(list, dev)
	}
	return list
}

// wholeDevice is the device of a partition: sdv1 is on sdv, nvme0n1p2 on nvme0n1.
func wholeDevice(dev string) string {
	dev = strings.TrimPrefix(dev, "/dev/")
	switch {
	case strings.HasPrefix(dev, "nvme") || strings.HasPrefix(dev, "mmcblk"):
		if i := strings.LastIndexByte(dev, 'p'); i > 0 && digits(dev[i+1:]) && digits(dev[i-1:i]) {
			return dev[:i]
		}
	case strings.HasPrefix(dev, "sd"), strings.HasPrefix(dev, "vd"), strings.HasPrefix(dev, "hd"), strings.HasPrefix(dev, "xvd"):
		return strings.TrimRight(dev, "0123456789")
	}
	return dev
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func (b *build) poolStats(n node) {
	id, ok := n.count("poolid", "pool_id", "id")
	if !ok || id > maxDrive {
		b.miss.add(n.path, "statistics without a pool's number, left out")
		return
	}
	p := b.cephOf().pool(id)
	sum := n.at("stat_sum")
	if v, ok := sum.num("num_bytes"); ok && v >= 0 && v < maxBytes {
		p.stored = int64(v)
	} else {
		b.miss.add(n.path+".stat_sum.num_bytes", "the bytes that a pool stores are not known")
	}
	objects, _ := sum.count("num_objects")
	p.objects = int64(objects)
	p.raw, _ = n.at("store_stats").size("allocated")
}

func (b *build) osdStats(n node) {
	id, ok := osdID(n, "osd")
	if !ok {
		return
	}
	o := b.cephOf().osd(id)
	b.osdSpace(o, n)
	if pgs, ok := n.count("num_pgs"); ok && o.pgs == 0 {
		o.pgs = pgs
	}
}

func (b *build) osdSpace(o *osd, n node) {
	if kb, ok := n.size("kb"); ok && kb < maxBytes/1024 {
		o.kb = kb
	}
	if kb, ok := n.size("kb_used"); ok && kb < maxBytes/1024 {
		o.kbUsed = kb
	}
}

// cephTree reads `ceph osd tree`, `osd df` and `osd df tree`.
func (b *build) cephTree(in *input) error {
	w := newWalk(in, &b.miss)
	err := w.object("tree", func(key string) error {
		switch key {
		case "nodes", "stray":
			return w.each(key, b.treeNode)
		}
		return w.skip()
	})
	return b.trailing(w, err)
}

func (b *build) treeNode(n node) {
	v, ok := n.num("id")
	id := int(v)
	if !ok || v != float64(id) || id >= maxDrive || id < -maxDrive {
		b.miss.add(n.path, "a node without a number, left out")
		return
	}
	c := b.cephOf()
	if id < 0 {
		var items []int
		for _, child := range n.list("children") {
			if v, ok := child.number(); ok && v > -maxDrive && v < maxDrive {
				items = append(items, int(v))
			}
		}
		c.bucket(id, n.text("name"), n.text("type"), items)
		return
	}
	o := c.osd(id)
	o.class = or(n.text("device_class"), o.class)
	if w, ok := n.num("crush_weight"); ok && w > 0 && w < 1e6 {
		o.weight = w
	}
	switch n.text("status") {
	case "up":
		o.up = yes
	case "down":
		o.up = no
	}
	if r, ok := n.num("reweight"); ok {
		o.in = triOf(r > 0, true)
	}
	if exists, ok := n.flag("exists"); ok && !exists {
		o.gone = true
	}
	b.osdSpace(o, n)
	if pgs, ok := n.count("pgs"); ok {
		o.pgs = pgs
	}
}

// cephDF reads `ceph df`.
func (b *build) cephDF(in *input) error {
	c := b.cephOf()
	w := newWalk(in, &b.miss)
	err := w.object("df", func(key string) error {
		switch key {
		case "stats":
			n, err := w.value(key)
			c.total, _ = n.size("total_bytes")
			c.used, _ = n.size("total_used_raw_bytes", "total_used_bytes")
			return err
		case "pools":
			return w.each(key, b.dfPool)
		}
		return w.skip()
	})
	return b.trailing(w, err)
}

func (b *build) dfPool(n node) {
	id, ok := n.count("id")
	if !ok || id > maxDrive {
		b.miss.add(n.path, "a pool without a number, left out")
		return
	}
	p := b.cephOf().pool(id)
	p.name = or(n.text("name"), p.name)
	s := n.at("stats")
	used, _ := s.size("bytes_used")
	if stored, ok := s.get("stored"); ok {
		p.stored, _ = stored.size()
		p.raw = used
	} else { // before Nautilus bytes_used is what users see
		p.stored = used
	}
	objects, _ := s.count("objects")
	p.objects = int64(objects)
}

// cephMetadata reads `ceph osd metadata`.
func (b *build) cephMetadata(in *input) error {
	w := newWalk(in, &b.miss)
	if w.dec.PeekKind() == '{' { // of one OSD
		n, err := w.value("osd_metadata")
		if err == nil {
			b.osdMetadata(n)
		}
		return b.trailing(w, err)
	}
	return b.trailing(w, w.each("osd_metadata", b.osdMetadata))
}

// cephDump reads `ceph osd dump`.
func (b *build) cephDump(in *input) error {
	w := newWalk(in, &b.miss)
	return b.trailing(w, b.osdmap(w, "osdmap"))
}

// cephCrush reads `ceph osd crush dump`.
func (b *build) cephCrush(in *input) error {
	w := newWalk(in, &b.miss)
	return b.trailing(w, b.crushmap(w, "crushmap"))
}
