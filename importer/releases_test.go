package importer

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	it "github.com/wattle-storage/wattle/importer/importertest"
)

// edited is a report whose members a test changed.
func edited(t *testing.T, c it.Ceph, change func(r map[string]any)) []byte {
	t.Helper()
	var r map[string]any
	if err := json.Unmarshal(c.Report(), &r); err != nil {
		t.Fatal(err)
	}
	change(r)
	out, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// daemon is the metadata of a daemon in a report.
func daemon(r map[string]any, i int) map[string]any {
	return r["osd_metadata"].([]any)[i].(map[string]any)
}

func section(r map[string]any, path ...string) map[string]any {
	for _, p := range path {
		r = r[p].(map[string]any)
	}
	return r
}

// twelve is a cluster of three hosts with four drives each.
func twelve() it.Ceph {
	c := it.Air()
	c.Hosts = c.Hosts[:3]
	for i := range c.Hosts {
		c.Hosts[i].Drives, c.Hosts[i].DB, c.Hosts[i].Down = 4, "", 0
	}
	return c
}

func noted(notes []Note, text string) bool {
	for _, n := range notes {
		if strings.Contains(n.String(), text) {
			return true
		}
	}
	return false
}

// TestReleases: what real reports hold that tidy ones do not. Each is twelve drives of data.
func TestReleases(t *testing.T) {
	for _, c := range []struct {
		name           string
		change         func(r map[string]any)
		data, journals int
		hosts          int
		tb             float64
		model          string // of the first batch of data, "" for any
		guess, miss    string
	}{
		{"serials that virtual machines share", func(r map[string]any) {
			for i := range 12 {
				m := daemon(r, i)
				dev := fmt.Sprintf("sd%c", 'b'+i%4)
				m["bluestore_bdev_devices"], m["devices"], m["device_ids"] = dev, dev, fmt.Sprintf("%s=QEMU_HARDDISK_drive-scsi0-0-%d-0", dev, i%4)
			}
		}, 12, 0, 3, 48, "QEMU HARDDISK", "", ""},
		{"a controller's serial for each of its volumes", func(r map[string]any) {
			for i := range 12 {
				m := daemon(r, i)
				dev := fmt.Sprintf("sd%c", 'b'+i%4)
				m["bluestore_bdev_devices"], m["devices"], m["device_ids"] = dev, dev, fmt.Sprintf("%s=HPE_LOGICAL_VOLUME_PDNLH0BRH9F2Q%d", dev, i/4)
			}
		}, 12, 0, 3, 48, "HPE LOGICAL VOLUME", "", ""},
		{"two daemons on the namespaces of one NVMe drive", func(r map[string]any) {
			for i := range 12 {
				m := daemon(r, i)
				dev := fmt.Sprintf("nvme%dn%d", i%4/2, i%2+1)
				m["bluestore_bdev_devices"], m["devices"], m["bluestore_bdev_rotational"] = dev, dev, "0"
				m["device_ids"] = fmt.Sprintf("%s=SAMSUNG_MZQL27T6HBLA-00A07_S6CKNE0T9%02d", dev, i/2)
			}
		}, 6, 0, 3, 48, "SAMSUNG MZQL27T6HBLA-00A07", "several daemons lie on one drive", ""},
		{"two daemons on one disk, by logical volumes", func(r map[string]any) {
			for i := range 12 {
				m := daemon(r, i)
				dev := fmt.Sprintf("sd%c", 'b'+i%4/2)
				m["bluestore_bdev_devices"], m["devices"], m["device_ids"] = dev, dev, fmt.Sprintf("%s=ST8000NM000A-2KE101_WSD0%04d", dev, i/2)
			}
		}, 6, 0, 3, 48, "ST8000NM000A-2KE101", "several daemons lie on one drive", ""},
		{"a flash cache before each disk", func(r map[string]any) {
			for i := range 12 {
				m := daemon(r, i)
				dev := fmt.Sprintf("sd%c", 'b'+i%4)
				m["bluestore_bdev_devices"], m["devices"], m["bluestore_bdev_rotational"] = "nvme0n1,"+dev, "nvme0n1,"+dev, "0"
				m["device_ids"] = fmt.Sprintf("nvme0n1=INTEL_SSDPE2KX010T8_PHLJ%03d,%s=ST4000NM0033-9ZM170_Z1Z%04d", i/4, dev, i)
			}
		}, 12, 3, 3, 48, "ST4000NM0033-9ZM170", "a flash device before a disk", ""},
		{"both paths of a multipath drive", func(r map[string]any) {
			for i := range 12 {
				m := daemon(r, i)
				a, b := fmt.Sprintf("sd%c", 'b'+i%4), fmt.Sprintf("sda%c", 'b'+i%4)
				m["bluestore_bdev_devices"], m["devices"] = "dm-3,"+a+","+b, "dm-3,"+a+","+b
				m["device_ids"] = fmt.Sprintf("%s=ST4000NM0033-9ZM170_Z1Z%04d,%s=ST4000NM0033-9ZM170_Z1Z%04d", a, i, b, i)
			}
		}, 12, 0, 3, 48, "ST4000NM0033-9ZM170", "", ""},
		{"filestore with a journal on flash", func(r map[string]any) {
			for i := range 12 {
				m := daemon(r, i)
				dev := fmt.Sprintf("sd%c", 'b'+i%4)
				for k := range m {
					if strings.HasPrefix(k, "blue") {
						delete(m, k)
					}
				}
				m["backend_filestore_dev_node"], m["devices"], m["device_ids"], m["osd_objectstore"] = dev, "nvme0n1,"+dev, "", "filestore"
			}
			for _, s := range r["osd_stats"].([]any) {
				s.(map[string]any)["kb"] = 4000787030016 / 1024
			}
		}, 12, 3, 3, 48, "", "", "model is not known"},
		{"daemons removed and destroyed", func(r map[string]any) {
			osds := section(r, "osdmap")["osds"].([]any)
			osds[4].(map[string]any)["state"] = []any{"destroyed", "exists"}
			section(r, "osdmap")["osds"] = append(osds[:0:0], osds[1:]...)
		}, 10, 0, 3, 40, "", "", "destroyed daemons"},
		{"names of pods for hosts", func(r map[string]any) {
			for i := range 12 {
				daemon(r, i)["hostname"] = fmt.Sprintf("rook-ceph-osd-%d-5d6c9f7b8-x2k4p", i)
			}
		}, 12, 0, 3, 48, "", "", ""},
		{"nobody in the pool's placement", func(r map[string]any) {
			r["num_pg_by_osd"] = append(r["num_pg_by_osd"].([]any), map[string]any{"osd": 2147483647, "num_acting_pg": 0})
		}, 12, 0, 3, 48, "", "", ""},
		{"a cache tier", func(r map[string]any) {
			pool := section(r, "osdmap")["pools"].([]any)[1].(map[string]any)
			pool["tier_of"], pool["cache_mode"] = 1, "writeback"
		}, 12, 0, 3, 48, "", "a cache tier", ""},
		{"holes in the list of devices", func(r map[string]any) {
			crush := section(r, "crushmap")
			crush["devices"] = append(crush["devices"].([]any), map[string]any{"id": 12, "name": "device12"}, map[string]any{"id": 13, "name": "osd.13", "class": "hdd"})
		}, 12, 0, 3, 48, "", "", "that the CRUSH map or statistics still name"},
	} {
		f, err := Read(mems(edited(t, twelve(), c.change)), Options{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		data, journals, model, raw := 0, 0, "", int64(0)
		for _, b := range f.Fleet {
			if b.Role != Data {
				journals += b.Count
				continue
			}
			data, raw = data+b.Count, raw+b.Bytes*int64(b.Count)
			if model == "" {
				model = b.Model
			}
		}
		if data != c.data || journals != c.journals || len(f.Hosts) != c.hosts || float64(raw) < c.tb*0.999e12 || float64(raw) > c.tb*1.001e12 || c.model != "" && model != c.model {
			t.Errorf("%s: %d drives of %s with %.4g TB, %d journals on %d hosts; want %d of %s with %v TB, %d on %d", c.name, data, model, float64(raw)/1e12, journals, len(f.Hosts), c.data, c.model, c.tb, c.journals, c.hosts)
		}
		if c.guess != "" && !noted(f.Guessed, c.guess) || c.miss != "" && !noted(f.Missing, c.miss) {
			t.Errorf("%s: guessed %v, missing %v; want %q and %q", c.name, texts(f.Guessed), texts(f.Missing), c.guess, c.miss)
		}
	}
}

// TestStretch: a rule that takes one site after the other is understood; one over classes is not.
func TestStretch(t *testing.T) {
	step := func(op, name string, num int, kind string) map[string]any {
		if op == "take" {
			return map[string]any{"op": op, "item": -1, "item_name": name}
		}
		return map[string]any{"op": op, "num": num, "type": kind}
	}
	for _, c := range []struct {
		name    string
		steps   []any
		perSite int
		odd     bool
	}{
		{"stretched", []any{step("take", "paris-north", 0, ""), step("chooseleaf_firstn", "", 2, "host"), step("emit", "", 0, ""), step("take", "paris-south", 0, ""), step("chooseleaf_firstn", "", 2, "host"), step("emit", "", 0, "")}, 2, false},
		{"three and the rest", []any{step("take", "paris-north", 0, ""), step("chooseleaf_firstn", "", 3, "host"), step("emit", "", 0, ""), step("take", "paris-south", 0, ""), step("chooseleaf_firstn", "", 1, "host"), step("emit", "", 0, "")}, 3, false},
		{"flash first", []any{step("take", "default~nvme", 0, ""), step("chooseleaf_firstn", "", 1, "host"), step("emit", "", 0, ""), step("take", "default~hdd", 0, ""), step("chooseleaf_firstn", "", -1, "host"), step("emit", "", 0, "")}, 4, true},
	} {
		doc := edited(t, it.TwoSites(), func(r map[string]any) {
			pool := section(r, "osdmap")["pools"].([]any)[2].(map[string]any)
			pool["size"], pool["min_size"] = 4, 2
			section(r, "crushmap")["rules"].([]any)[0].(map[string]any)["steps"] = c.steps
		})
		f, err := Read(mems(doc), Options{KeepNames: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range f.Pools {
			if p.Name == "index" && (p.PerSite != c.perSite || noted(f.Guessed, "not understood") != c.odd) {
				t.Errorf("%s: %+v, guessed %v", c.name, p, texts(f.Guessed))
			}
		}
	}
}

// TestTalk: what a shell that joins stderr leaves before the report.
func TestTalk(t *testing.T) {
	for _, talk := range []string{
		"report 3742384293\n",
		"Inferring fsid 1f0177f6-66fb-11ef-8000-d97c6183ef66\nInferring config /var/lib/ceph/x/config\nUsing ceph image with id '2bc0b0f4375d' and tag 'v18' created on 2024-07-23 22:19:35 +0000 UTC\nquay.io/ceph/ceph@sha256:6ac7f923aa1d23b43248ce0ddec7e1388855ee3d00813b52c3172b0b23b37906\nreport 1\n",
		"2024-09-22T18:58:27.092+0000 7f1c8b7fe700 -1 auth: unable to find a keyring on /etc/ceph: (2) No such file or directory\nreport 12\r\n",
		"Using recent ceph image quay.io/ceph/ceph@sha256:0560b16bec6e84345f29fb6693cd2430884e6efff16a95d5bdd0bb06d7661c45\n",
	} {
		f, err := Read(mems(append([]byte(talk), twelve().Report()...)), Options{})
		if err != nil || f.DriveCount() != 12 {
			t.Errorf("%q: %v", talk, err)
		}
	}
}
