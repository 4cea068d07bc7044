package importertest

import (
	"encoding/json"
	"fmt"
)

const tb = int64(1e12)

// Air is a replicated cluster of drives in air: three copies, a pool of two copies that goes on
// with one, shared NVMe databases, two racks, a daemon that is down.
func Air() Ceph {
	c := Ceph{Version: "16.2.15",
		Rules: []CephRule{{"replicated_rule", []string{"take default", "chooseleaf_firstn 0 host"}}, {"by_osd", []string{"take default~hdd", "choose_firstn 0 osd"}}},
		Pools: []CephPool{
			{Name: "customer-a.rgw.buckets.data", Size: 3, MinSize: 2, PGs: 4096, Rule: 0, Stored: 118 * tb, Object: 31e6},
			{Name: "customer-b.images", Size: 2, MinSize: 1, PGs: 512, Rule: 1, Stored: 24 * tb, Object: 6e6},
			{Name: ".mgr", Size: 3, MinSize: 2, PGs: 1, Rule: 0, Stored: 900e6, Object: 200},
		}}
	for i := range 12 {
		h := CephHost{Name: fmt.Sprintf("hel-ceph%d", i+1), Rack: fmt.Sprintf("rackrow%d", i/6+1), Drives: 12, Model: "ATA ST4000NM0033-9ZM170", Bytes: 4000787030016, Used: 0.71, DB: "INTEL SSDPE2KX010T8"}
		if i >= 8 {
			h.Model, h.Bytes, h.Drives, h.Used = "HGST HUS726060ALE614", 6001175126016, 10, 0.66
		}
		if i == 3 {
			h.Down = 1
		}
		c.Hosts = append(c.Hosts, h)
	}
	return c
}

// TwoSites is an erasure-coded cluster over two sites, of helium drives: 4+4 with four shards a
// site survives one; 8+3 by host does not.
func TwoSites() Ceph {
	c := Ceph{Version: "18.2.4",
		Profiles: map[string]map[string]string{
			"default": {"k": "2", "m": "2", "plugin": "jerasure", "technique": "reed_sol_van"},
			"ec44":    {"k": "4", "m": "4", "plugin": "isa", "technique": "reed_sol_van", "crush-failure-domain": "host", "crush-device-class": "hdd", "crush-root": "default"},
			"ec83":    {"k": "8", "m": "3", "plugin": "isa", "technique": "reed_sol_van", "crush-failure-domain": "host"}},
		Rules: []CephRule{{"replicated_rule", []string{"take default~nvme", "chooseleaf_firstn 0 host"}},
			{"ec_sites", []string{"take default~hdd", "choose_indep 2 datacenter", "chooseleaf_indep 4 host"}},
			{"ec_hosts", []string{"take default~hdd", "chooseleaf_indep 0 host"}}},
		Pools: []CephPool{
			{Name: "customer-backup", Size: 8, MinSize: 5, Profile: "ec44", PGs: 1024, Rule: 1, Stored: 560 * tb, Object: 140e6},
			{Name: "customer-archive", Size: 11, MinSize: 8, Profile: "ec83", PGs: 64, Rule: 2, Stored: 310 * tb, Object: 70e6},
			{Name: "index", Size: 3, MinSize: 2, PGs: 128, Rule: 0, Stored: 2 * tb, Object: 1e6},
		}}
	for i := range 12 {
		site, n := "paris-north", i
		if i >= 6 {
			site, n = "paris-south", i-6
		}
		h := CephHost{Name: fmt.Sprintf("hel-ceph%02d", i+1), Site: site, Rack: fmt.Sprintf("%s-rackrow%d", site, n/3+1), Drives: 12, Model: "SEAGATE ST16000NM001G", Bytes: 16000900661248, Used: 0.62}
		if n%2 == 1 {
			h.Model, h.Bytes, h.Used = "HGST HUH721010ALE604", 10000831348736, 0.63
		}
		c.Hosts = append(c.Hosts, h)
	}
	for i := range 4 {
		site := []string{"paris-north", "paris-south"}[i/2]
		c.Hosts = append(c.Hosts, CephHost{Name: fmt.Sprintf("hel-ceph-nvme%d", i+1), Site: site, Rack: site + "-rackrow1", Drives: 2, Model: "SAMSUNG MZQL23T8HCLS-00A07", Bytes: 3840755982336, Used: 0.2, Class: "nvme"})
	}
	return c
}

// Large is a cluster of n daemons with about bytes of text.
func Large(n, bytes int) Ceph {
	c := Air()
	c.Pad = max(0, bytes-n*6200)
	c.Hosts = nil
	for i := 0; n > 0; i++ {
		d := min(24, n)
		c.Hosts = append(c.Hosts, CephHost{Name: fmt.Sprintf("hel-ceph%d", i), Drives: d, Model: "ATA ST8000NM0055-1RM112", Bytes: 8001563222016, Used: 0.6})
		n -= d
	}
	return c
}

// Mimic is an old cluster: no device ids, empty metadata for daemons that are down.
func Mimic() Ceph {
	c := Air()
	c.Version, c.Mimic, c.NaN = "13.2.10", true, true
	return c
}

// Hidden is a cluster of volumes behind controllers and of virtual disks.
func Hidden() Ceph {
	c := Air()
	for i := range c.Hosts {
		c.Hosts[i].DB = ""
		switch i % 4 {
		case 0:
			c.Hosts[i].Model = "DELL PERC H710"
		case 1:
			c.Hosts[i].Model = "QEMU HARDDISK"
		case 2:
			c.Hosts[i].Model = "Amazon Elastic Block Store"
		default:
			c.Hosts[i].Model = ""
		}
	}
	return c
}

// MinIO is `mc admin info --json` of two pools of servers with mixed drives, some without model.
func MinIO() []byte {
	out, _ := json.MarshalIndent(obj{"status", "success", "info", minioInfo("standardSCParity", "totalDrivesPerSet", "totalspace", "usedspace")}, "", " ")
	return out
}

// RustFS is the same without the wrapper, with other capitals.
func RustFS() []byte {
	out, _ := json.MarshalIndent(minioInfo("StandardSCParity", "drivesPerSet", "totalSpace", "usedSpace"), "", " ")
	return out
}

func minioInfo(parity, perSet, total, used string) obj {
	models := []struct {
		model string
		bytes int64
	}{{"ST16000NM001G-2KK103", 16000900661248}, {"TOSHIBA MG08ACA16TE", 16000900661248}, {"", 12000138625024}, {"WDC WD4000F9YZ", 4000787030016}}
	var servers []any
	for s := range 12 {
		var drives []any
		pool := s / 8
		for d := range 8 {
			m := models[(s%8)/4]
			if pool == 1 {
				m = models[2+d%2]
			}
			state := "ok"
			if s == 9 && d == 0 {
				state = "offline"
			}
			drives = append(drives, obj{"endpoint", fmt.Sprintf("https://minio-node%d:9000/data%d", s+1, d+1), "path", fmt.Sprintf("/data%d", d+1), "state", state, "uuid", "c1f8dbf8-39c8-46cd-bab6-2c87d18db06a",
				"model", m.model, total, m.bytes, used, m.bytes * 55 / 100, "pool_index", pool, "set_index", s % 8 / 2, "disk_index", d})
		}
		servers = append(servers, obj{"state", "online", "endpoint", fmt.Sprintf("minio-node%d:9000", s+1), "uptime", 41216, "version", "2025-09-07T16:13:09Z", "drives", drives})
	}
	return obj{"mode", "online", "deploymentID", "728e91fd-ed0c-4500-b13d-d143561518bf", "buckets", obj{"count", 158}, "objects", obj{"count", 120920000}, "usage", obj{"size", 480 * tb},
		"backend", obj{"backendType", "Erasure", "onlineDisks", 95, "offlineDisks", 1, parity, 4, "rrSCParity", 2, "totalSets", []int{4, 2}, perSet, []int{16, 16}},
		"servers", servers,
		"pools", obj{"0", obj{"0", obj{"id", 0, "rawUsage", 563 * tb, "rawCapacity", 1024 * tb, "usage", 422 * tb, "objectsCount", 100e6}}, "1", obj{"0", obj{"id", 0, "rawUsage", 141 * tb, "rawCapacity", 256 * tb, "usage", 105 * tb, "objectsCount", 20e6}}}}
}

// Smart is `smartctl -x --json` of a drive. A sleeping one answers with exit status 2 only.
func Smart(model, serial string, bytes int64, hours, starts int, helium, asleep bool) []byte {
	doc := obj{"json_format_version", []int{1, 0}}
	if asleep {
		doc = append(doc, "smartctl", obj{"version", []int{7, 3}, "exit_status", 2, "messages", []any{obj{"string", "Device is in STANDBY mode, exit(2)", "severity", "information"}}},
			"device", obj{"name", "/dev/sdz", "info_name", "/dev/sdz [SAT]", "type", "sat", "protocol", "ATA"})
	} else {
		table := []any{obj{"id", 4, "name", "Start_Stop_Count", "value", 100, "raw", obj{"value", starts, "string", fmt.Sprint(starts)}},
			obj{"id", 9, "name", "Power_On_Hours", "value", 96, "raw", obj{"value", hours, "string", fmt.Sprint(hours)}},
			obj{"id", 193, "name", "Load_Cycle_Count", "value", 100, "raw", obj{"value", starts * 8, "string", ""}}}
		if helium {
			table = append(table, obj{"id", 22, "name", "Helium_Level", "value", 100, "raw", obj{"value", 100, "string", "100"}})
		}
		doc = append(doc, "smartctl", obj{"version", []int{7, 3}, "exit_status", 0}, "device", obj{"name", "/dev/sda", "info_name", "/dev/sda [SAT]", "type", "sat", "protocol", "ATA"},
			"model_name", "  "+model, "serial_number", serial, "user_capacity", obj{"blocks", bytes / 512, "bytes", bytes}, "rotation_rate", 7200,
			"ata_smart_attributes", obj{"revision", 16, "table", table}, "power_on_time", obj{"hours", hours}, "temperature", obj{"current", 31})
	}
	out, _ := json.MarshalIndent(doc, "", "  ")
	return out
}
