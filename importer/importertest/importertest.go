// Package importertest makes dumps of clusters that do not exist, with the members and the
// traps of real ones, for tests and for trying the command out.
package importertest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Secrets are texts in the dumps that must never be kept: names, addresses, serial numbers, keys.
var Secrets = []string{"hel-ceph", "10.77.", "ZC1SECRET", "AQSECRETKEY", "customer-", "paris-north", "paris-south", "rackrow", "minio-node", "S6SECRET"}

// obj is a JSON object whose members keep their order.
type obj []any // key, value, key, value …

// MarshalJSON writes the members in order.
func (o obj) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i := 0; i+1 < len(o); i += 2 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:", o[i])
		v, err := json.Marshal(o[i+1])
		if err != nil {
			return nil, err
		}
		b.Write(v)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// A Ceph is a cluster to make a report of.
type Ceph struct {
	Version  string // default 18.2.4
	Hosts    []CephHost
	Pools    []CephPool
	Profiles map[string]map[string]string // of erasure codes; "k" and "m" are texts, as Ceph has them
	Rules    []CephRule
	Pad      int  // bytes of further text, in sections that nobody reads
	Mimic    bool // no device ids; capacities in osd_stats
	NaN      bool // bare nan, as old versions write
}

// A CephHost is a machine with drives of one kind.
type CephHost struct {
	Name, Rack, Site string
	Drives           int
	Model            string // "" hides it
	Bytes            int64
	Used             float64 // fill of its drives
	DB               string  // model of the NVMe device that its daemons share, "" for none
	Down, Out        int     // daemons
	Class            string  // default hdd
}

// A CephPool is a pool.
type CephPool struct {
	Name           string
	Size, MinSize  int
	Profile        string // "" for copies
	PGs, Rule      int
	Stored, Object int64
}

// A CephRule is a rule of steps such as "take default", "choose_indep 2 datacenter".
type CephRule struct {
	Name  string
	Steps []string
}

// Report is `ceph report`.
func (c Ceph) Report() []byte {
	if c.Version == "" {
		c.Version = "18.2.4"
	}
	var metadata, osds, stats, pgs, devices []any
	var poolStats, pools []any
	var total, used int64
	id := 0
	for hi, h := range c.Hosts {
		for i := range h.Drives {
			metadata = append(metadata, c.metadata(h, hi, id, i))
			osds = append(osds, c.osd(h, id, i))
			devices = append(devices, obj{"id", id, "name", fmt.Sprintf("osd.%d", id), "class", or(h.Class, "hdd")})
			u := int64(float64(h.Bytes) * h.Used)
			st := obj{"osd", id, "seq", 1176821242199 + id}
			if c.Mimic {
				st = append(st, "num_pgs", 100, "kb", h.Bytes/1024, "kb_used", u/1024, "kb_avail", (h.Bytes-u)/1024)
			}
			stats = append(stats, st)
			pgs = append(pgs, obj{"osd", id, "num_primary_pg", 40, "num_acting_pg", 120, "num_up_pg", 120})
			if i >= h.Out {
				total += h.Bytes
				used += u
			}
			id++
		}
	}
	for i, p := range c.Pools {
		pools = append(pools, c.pool(p, i+1))
		n, k := p.Size, 1
		if p.Profile != "" {
			_, _ = fmt.Sscan(c.Profiles[p.Profile]["k"], &k)
		}
		raw := p.Stored * int64(n) / int64(k)
		poolStats = append(poolStats, obj{"poolid", i + 1, "num_pg", p.PGs, "stat_sum", obj{"num_bytes", p.Stored, "num_objects", p.Object, "num_read", 1000, "num_read_kb", 5000, "num_write", 100, "num_write_kb", 900},
			"store_stats", obj{"total", 0, "available", 0, "allocated", raw, "data_stored", raw}})
	}
	profiles := map[string]any{}
	for k, v := range c.Profiles {
		profiles[k] = v
	}
	report := obj{
		"cluster_fingerprint", "6b1f87f6-0000-4000-8000-e87803cfee7b", "version", c.Version, "commit", "0000", "timestamp", "2026-10-02T08:30:00.092502+0000", "tag", "",
		"health", obj{"status", "HEALTH_WARN", "checks", obj{"OSD_DOWN", obj{"severity", "HEALTH_WARN", "detail", []any{obj{"message", "osd.0 (root=default,host=hel-ceph1) is down"}}}}},
		"monmap", obj{"mons", []any{obj{"name", "hel-ceph1", "addr", "10.77.0.1:6789/0"}}},
		"osdmap", obj{"epoch", 401, "full_ratio", 0.949999988, "backfillfull_ratio", 0.899999976, "nearfull_ratio", 0.850000024, "require_osd_release", "reef",
			"pools", pools, "osds", osds, "erasure_code_profiles", profiles},
		"osd_metadata", metadata,
		"crushmap", c.crush(devices),
		"auth", obj{"first_committed", 1, "entries", []any{obj{"entity", "client.admin", "key", "AQSECRETKEY=="}}},
		"osd_sum", obj{"num_osds", id, "kb", total / 1024, "kb_used", used / 1024, "kb_avail", (total - used) / 1024},
		"pool_stats", poolStats, "osd_stats", stats, "num_pg_by_osd", pgs,
		"paxos", obj{"first_committed", 1966837, "pinned_maps", padding(c.Pad)},
	}
	out, err := json.MarshalIndent(report, "", "    ")
	if err != nil {
		panic(err) // our own structs
	}
	if c.NaN {
		out = bytes.Replace(out, []byte(`"epoch": 401,`), []byte(`"epoch": 401, "stretch": -nan, "utilization": nan,`), 1)
	}
	return out
}

// padding is numbers of about n bytes of indented JSON, as old maps pin thousands of epochs.
func padding(n int) []int {
	list := make([]int, n/20)
	for i := range list {
		list[i] = 960000 + i
	}
	return list
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func serial(id int) string { return fmt.Sprintf("ZC1SECRET%04d", id) }

// metadata is the entry of a daemon: all values are texts.
func (c Ceph) metadata(h CephHost, hi, id, i int) obj {
	if i < h.Down {
		return obj{"id", id}
	}
	dev := "sd" + string(rune('a'+i%26))
	if i >= 26 {
		dev = "sda" + string(rune('a'+i-26))
	}
	m := obj{"id", id, "arch", "x86_64", "back_addr", fmt.Sprintf("10.77.%d.%d:6802/1", hi/250, hi%250), "bluefs", "1",
		"bluestore_bdev_block_size", "4096", "bluestore_bdev_rotational", rotational(h), "bluestore_bdev_size", fmt.Sprint(h.Bytes - h.Bytes/100000),
		"bluestore_bdev_type", or(h.Class, "hdd"), "ceph_version", "ceph version " + c.Version, "ceph_version_short", c.Version, "cpu", "Xeon", "default_device_class", or(h.Class, "hdd")}
	ids := dev + "=" + strings.ReplaceAll(h.Model, " ", "_") + "_" + serial(id)
	switch {
	case c.Mimic:
		m = append(m, "bluestore_bdev_model", "", "devices", fmt.Sprintf("dm-%d,%s1", i, dev))
	case h.Model == "":
		m = append(m, "bluestore_bdev_devices", dev, "device_ids", "", "devices", dev)
	case h.DB != "":
		m = append(m, "bluestore_bdev_devices", dev, "bluefs_dedicated_db", "1", "bluefs_db_devices", "nvme0n1", "bluefs_db_size", "60000000000", "bluefs_db_rotational", "0",
			"device_ids", fmt.Sprintf("nvme0n1=%s_S6SECRET%03d,%s", strings.ReplaceAll(h.DB, " ", "_"), hi, ids), "devices", "nvme0n1,"+dev)
	default:
		m = append(m, "bluestore_bdev_devices", dev, "device_ids", ids, "devices", dev)
	}
	return append(m, "hostname", h.Name, "mem_total_kb", "65412056", "osd_data", fmt.Sprintf("/var/lib/ceph/osd/ceph-%d", id), "osd_objectstore", "bluestore", "rotational", rotational(h))
}

func rotational(h CephHost) string {
	if h.Class == "ssd" || h.Class == "nvme" {
		return "0"
	}
	return "1"
}

func (c Ceph) osd(h CephHost, id, i int) obj {
	up, in := 1, 1
	if i < h.Down {
		up = 0
	}
	if i < h.Out {
		in = 0
	}
	return obj{"osd", id, "uuid", "f9dd0997-8704-40d4-bebc-630b65ef6e7e", "up", up, "in", in, "weight", in, "public_addr", "10.77.1.1:6801/1", "state", []string{"exists", "up"}}
}

func (c Ceph) pool(p CephPool, id int) obj {
	kind := 1
	if p.Profile != "" {
		kind = 3
	}
	return obj{"pool", id, "pool_name", p.Name, "flags", 1, "type", kind, "size", p.Size, "min_size", p.MinSize, "crush_rule", p.Rule, "pg_num", p.PGs,
		"erasure_code_profile", p.Profile, "stripe_width", 0, "removed_snaps", "[1~3,5~2]", "application_metadata", obj{"rgw", obj{}}}
}

// crush is the map: hosts in racks in datacenters under default, weights in 1/65536 TiB.
func (c Ceph) crush(devices []any) obj {
	next := -2
	var buckets []any
	tree := map[string]map[string][]any{}
	osd := 0
	for _, h := range c.Hosts {
		w := int(float64(h.Bytes) / (1 << 40) * 65536)
		var items []any
		for i := range h.Drives {
			items = append(items, obj{"id", osd + i, "weight", w, "pos", i})
		}
		osd += h.Drives
		buckets = append(buckets, bucket(next, h.Name, 1, "host", items), bucket(next-1, h.Name+"~hdd", 1, "host", items))
		if tree[h.Site] == nil {
			tree[h.Site] = map[string][]any{}
		}
		tree[h.Site][h.Rack] = append(tree[h.Site][h.Rack], obj{"id", next, "weight", w * h.Drives})
		next -= 2
	}
	var roots []any
	for _, site := range slices.Sorted(maps.Keys(tree)) {
		var racks []any
		for _, rack := range slices.Sorted(maps.Keys(tree[site])) {
			if rack == "" {
				racks = append(racks, tree[site][rack]...)
				continue
			}
			buckets = append(buckets, bucket(next, rack, 3, "rack", tree[site][rack]))
			racks = append(racks, obj{"id", next, "weight", 1})
			next--
		}
		if site == "" {
			roots = append(roots, racks...)
			continue
		}
		buckets = append(buckets, bucket(next, site, 8, "datacenter", racks))
		roots = append(roots, obj{"id", next, "weight", 1})
		next--
	}
	buckets = append([]any{bucket(-1, "default", 11, "root", roots)}, buckets...)
	var rules []any
	for i, r := range c.Rules {
		rules = append(rules, rule(i, r))
	}
	return obj{"devices", devices, "types", []any{obj{"type_id", 0, "name", "osd"}, obj{"type_id", 1, "name", "host"}}, "buckets", buckets, "rules", rules, "tunables", obj{"profile", "jewel"}, "choose_args", obj{}}
}

func bucket(id int, name string, kind int, kindName string, items []any) obj {
	return obj{"id", id, "name", name, "type_id", kind, "type_name", kindName, "weight", 1, "alg", "straw2", "hash", "rjenkins1", "items", items}
}

func rule(id int, r CephRule) obj {
	var steps []any
	for _, s := range r.Steps {
		f := strings.Fields(s)
		if f[0] == "take" {
			steps = append(steps, obj{"op", "take", "item", -1, "item_name", f[1]})
			continue
		}
		n := 0
		_, _ = fmt.Sscan(f[1], &n)
		steps = append(steps, obj{"op", f[0], "num", n, "type", f[2]})
	}
	return obj{"rule_id", id, "rule_name", r.Name, "type", 1, "steps", append(steps, obj{"op", "emit"})}
}

// Tree is `ceph osd tree -f json`.
func (c Ceph) Tree() []byte {
	var kids []int
	var nodes []any
	osd := 0
	for hi, h := range c.Hosts {
		var children []int
		for i := range h.Drives {
			children = append(children, osd)
			status := "up"
			if i < h.Down {
				status = "down"
			}
			nodes = append(nodes, obj{"id", osd, "device_class", or(h.Class, "hdd"), "name", fmt.Sprintf("osd.%d", osd), "type", "osd", "type_id", 0,
				"crush_weight", float64(h.Bytes) / (1 << 40), "depth", 2, "exists", 1, "status", status, "reweight", 1.0, "primary_affinity", 1.0})
			osd++
		}
		nodes = append(nodes, obj{"id", -2 - hi, "name", h.Name, "type", "host", "type_id", 1, "children", children})
		kids = append(kids, -2-hi)
	}
	nodes = append([]any{obj{"id", -1, "name", "default", "type", "root", "type_id", 11, "children", kids}}, nodes...)
	out, _ := json.MarshalIndent(obj{"nodes", nodes, "stray", []any{}}, "", " ")
	return out
}

// DF is `ceph df -f json`.
func (c Ceph) DF() []byte {
	var total, used int64
	for _, h := range c.Hosts {
		total += h.Bytes * int64(h.Drives)
		used += int64(float64(h.Bytes) * h.Used * float64(h.Drives))
	}
	var pools []any
	for i, p := range c.Pools {
		n, k := p.Size, 1
		if p.Profile != "" {
			_, _ = fmt.Sscan(c.Profiles[p.Profile]["k"], &k)
		}
		pools = append(pools, obj{"name", p.Name, "id", i + 1, "stats", obj{"stored", p.Stored, "objects", p.Object, "kb_used", p.Stored / 1024, "bytes_used", p.Stored * int64(n) / int64(k), "percent_used", 0.5, "max_avail", 1000}})
	}
	out, _ := json.MarshalIndent(obj{"stats", obj{"total_bytes", total, "total_avail_bytes", total - used, "total_used_bytes", used, "total_used_raw_bytes", used, "total_used_raw_ratio", 0.5, "num_osds", 3},
		"stats_by_class", obj{"hdd", obj{"total_bytes", total}}, "pools", pools}, "", " ")
	return out
}

// Metadata is `ceph osd metadata -f json`.
func (c Ceph) Metadata() []byte {
	if c.Version == "" {
		c.Version = "18.2.4"
	}
	var list []any
	id := 0
	for hi, h := range c.Hosts {
		for i := range h.Drives {
			list = append(list, c.metadata(h, hi, id, i))
			id++
		}
	}
	out, _ := json.MarshalIndent(list, "", " ")
	return out
}
