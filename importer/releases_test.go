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
		{"a volume over two disks", func(r map[string]any) {
			for i := range 12 {
				m := daemon(r, i)
				a, b := fmt.Sprintf("sd%c", 'b'+2*(i%4)), fmt.Sprintf("sd%c", 'c'+2*(i%4))
				m["bluestore_bdev_devices"], m["devices"] = a+","+b, a+","+b
				m["device_ids"] = fmt.Sprintf("%s=ST2000NM0033_Z1A%04d,%s=ST2000NM0033_Z1B%04d", a, i, b, i)
			}
		}, 12, 0, 3, 48, "", "several disks", ""},
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
		{"one device and its model, as before Nautilus", func(r map[string]any) {
			for i := range 12 {
				m := daemon(r, i)
				delete(m, "bluestore_bdev_devices")
				delete(m, "device_ids")
				delete(m, "devices")
				dev := fmt.Sprintf("sd%c", 'b'+i%4)
				m["bluestore_bdev_dev_node"], m["bluestore_bdev_model"], m["bluestore_bdev_partition_path"] = dev, "ST4000NM0023", "/dev/"+dev+"2"
				m["bluefs_db_dev_node"], m["bluefs_db_model"], m["bluefs_db_size"], m["bluefs_db_rotational"] = "nvme0n1", "INTEL SSDPEDMD400G4", "32106328064", "0"
				m["bluefs_single_shared_device"] = "0"
			}
		}, 12, 3, 3, 48, "ST4000NM0023", "", ""},
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
		{"long names of hosts, and daemons that are down", func(r map[string]any) {
			for i := range 12 {
				daemon(r, i)["hostname"] = daemon(r, i)["hostname"].(string) + ".storage.example"
			}
			r["osd_metadata"].([]any)[5] = map[string]any{"id": 5}
		}, 12, 0, 3, 48, "", "", "the daemons were down"},
		{"a tree of its own for flash on the same machines", func(r map[string]any) {
			crush := section(r, "crushmap")
			buckets := crush["buckets"].([]any)
			var flash []any
			for i, b := range buckets {
				m := b.(map[string]any)
				if items := m["items"].([]any); m["type_name"] == "host" && len(items) == 4 && !strings.Contains(m["name"].(string), "~") {
					id := -100 - i
					flash = append(flash, map[string]any{"id": id, "weight": 1})
					buckets = append(buckets, map[string]any{"id": id, "name": m["name"].(string) + "-ssd", "type_name": "host", "items": items[:1]})
					m["items"] = items[1:]
				}
			}
			crush["buckets"] = append(buckets, map[string]any{"id": -99, "name": "flash", "type_name": "root", "items": flash})
		}, 12, 0, 3, 48, "", "", ""},
		{"nobody in the pool's placement", func(r map[string]any) {
			r["num_pg_by_osd"] = append(r["num_pg_by_osd"].([]any), map[string]any{"osd": 2147483647, "num_acting_pg": 0})
		}, 12, 0, 3, 48, "", "", ""},
		{"statistics in the map of groups, as before Mimic", func(r map[string]any) {
			r["pgmap"] = map[string]any{"version": 1, "pg_stats": []any{}, "pool_stats": r["pool_stats"], "osd_stats": r["osd_stats"], "osd_stats_sum": r["osd_sum"]}
			delete(r, "pool_stats")
			delete(r, "osd_stats")
			delete(r, "osd_sum")
		}, 12, 0, 3, 48, "", "", ""},
		{"statistics of a pool that is gone", func(r map[string]any) {
			r["pool_stats"] = append(r["pool_stats"].([]any), map[string]any{"poolid": 99, "stat_sum": map[string]any{"num_bytes": 5e15, "num_objects": 1}})
		}, 12, 0, 3, 48, "", "", "only statistics are left"},
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
		if f.Sizes.Stored == 0 || f.Sizes.Used == 0 {
			t.Errorf("%s: stored %d, used %d", c.name, f.Sizes.Stored, f.Sizes.Used)
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

// TestDatabasesInTheSum: the cluster's sum counts databases on devices of their own, as capacity and
// as used whole; neither is missing, and what data takes is in use.
func TestDatabasesInTheSum(t *testing.T) {
	const drive, db = 4000787030016, 400000000000
	f, err := Read(mems(edited(t, twelve(), func(r map[string]any) {
		for i := range 12 {
			m := daemon(r, i)
			m["bluefs_db_devices"], m["bluefs_db_size"] = "nvme1n2", fmt.Sprint(int64(db))
			m["device_ids"] = fmt.Sprintf("nvme1n2=MZXLR6T4HALA-000H3_S6C1NA0T40%d,%s", i/4, m["device_ids"])
		}
		sum := section(r, "osd_sum")
		sum["kb"], sum["kb_used"] = 12*(drive+db)/1024, 12*(drive*7/10+db)/1024
		sum["kb_used_data"], sum["kb_used_omap"], sum["kb_used_meta"] = 12*drive*69/100/1024, 12*drive/200/1024, 12*drive/200/1024
	})), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if noted(f.Missing, "add up to") {
		t.Errorf("missing: %v", texts(f.Missing))
	}
	if used := float64(f.Sizes.Used) / (12 * drive); used < 0.699 || used > 0.701 {
		t.Errorf("%.4f of the drives are in use, want 0.7", used)
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

// TestSmartctlShapes: what smartctl writes for kinds of drives and for those that do not answer.
func TestSmartctlShapes(t *testing.T) {
	const head = `{"json_format_version":[1,0],"smartctl":{"version":[7,4],"argv":["smartctl"],"exit_status":%d%s},"local_time":{"time_t":1},"device":{"name":"/dev/%s","info_name":"x","type":"%s","protocol":"%s"}%s}`
	standby := `,"messages":[{"string":"Device is in STANDBY mode, exit(2)","severity":"information"}]`
	absent := `,"messages":[{"string":"Smartctl open device: /dev/sdz failed: No such device","severity":"error"}]`
	for _, c := range []struct {
		name, doc  string
		drives     int
		tb         float64
		technology string
		asleep     int
		hours      int
		miss       string
	}{
		{"SATA with helium", fmt.Sprintf(head, 0, "", "sda", "sat", "ATA", `,"model_family":"HGST Ultrastar He8","model_name":"HGST HUH728080ALE600","serial_number":"2EJ0AAAA","user_capacity":{"blocks":15628053168,"bytes":8001563222016},"rotation_rate":7200,"smart_status":{"passed":true},"ata_smart_attributes":{"revision":16,"table":[{"id":22,"name":"Helium_Level","value":100,"raw":{"value":100,"string":"100"}},{"id":9,"name":"Power_On_Hours","value":96,"raw":{"value":31000,"string":"31000"}}]},"power_on_time":{"hours":31000},"power_cycle_count":12`), 1, 8, "helium", 0, 31000, ""},
		{"SAS", fmt.Sprintf(head, 0, "", "sdb", "scsi", "SCSI", `,"vendor":"SEAGATE","product":"ST12000NM0158","model_name":"SEAGATE ST12000NM0158","revision":"RSL2","scsi_version":"SPC-4","user_capacity":{"blocks":23437770752,"bytes":12000138625024},"logical_block_size":512,"rotation_rate":7200,"serial_number":"ZHZ0AAAA0000C9000000","device_type":{"scsi_value":0,"name":"disk"},"smart_status":{"passed":true},"power_on_time":{"hours":40123,"minutes":7},"scsi_start_stop_cycle_counter":{"year_of_manufacture":"2019","specified_cycle_count_over_device_lifetime":50000,"accumulated_start_stop_cycles":71,"specified_load_unload_count_over_device_lifetime":600000,"accumulated_load_unload_cycles":1804},"scsi_grown_defect_list":0`), 1, 12, "helium", 0, 40123, ""},
		{"SAS by newer names", fmt.Sprintf(head, 0, "", "sdc", "scsi", "SCSI", `,"scsi_vendor":"HGST","scsi_product":"HUH721212AL5200","scsi_model_name":"HGST HUH721212AL5200","scsi_revision":"A3D0","user_capacity":{"blocks":2929721344,"bytes":12000138625024},"rotation_rate":7200,"serial_number":"8HJ0AAAA"`), 1, 12, "helium", 0, 0, ""},
		{"NVMe", fmt.Sprintf(head, 0, "", "nvme0", "nvme", "NVMe", `,"model_name":"SAMSUNG MZQL23T8HCLS-00A07","serial_number":"S64HNE0R","firmware_version":"GDC5602Q","nvme_total_capacity":3840755982336,"nvme_unallocated_capacity":0,"nvme_number_of_namespaces":32,"smart_status":{"passed":true,"nvme":{"value":0}},"nvme_smart_health_information_log":{"power_on_hours":9012,"data_units_read":1},"power_on_time":{"hours":9012}`), 1, 3.84, "ssd", 0, 9012, ""},
		{"NVMe that tells its namespaces", fmt.Sprintf(head, 0, "", "nvme1", "nvme", "NVMe", `,"model_name":"KIOXIA KCD61LUL3T84","serial_number":"12E0A0AA","nvme_namespaces":[{"id":1,"size":{"blocks":7501476528,"bytes":3840755982336},"capacity":{"blocks":7501476528,"bytes":3840755982336}}]`), 1, 3.84, "ssd", 0, 0, ""},
		{"asleep", fmt.Sprintf(head, 2, standby, "sdd", "sat", "ATA", ""), 1, 0, "hdd", 1, 0, "no capacity"},
		{"behind a USB bridge that hides it", fmt.Sprintf(head, 4, "", "sde", "scsi", "SCSI", `,"scsi_vendor":"ASMT","scsi_product":"2115","scsi_model_name":"ASMT 2115","user_capacity":{"blocks":7814037168,"bytes":4000787030016},"serial_number":"00000000000000000000"`), 1, 4, "air", 0, 0, ""},
		{"two behind one controller", fmt.Sprintf(head, 0, "", "bus/0", "sat+megaraid,4", "ATA", `,"model_name":"ST4000NM0033-9ZM170","serial_number":"Z1Z0AAA4","user_capacity":{"bytes":4000787030016},"rotation_rate":7200`) + "\n" +
			fmt.Sprintf(head, 0, "", "bus/0", "sat+megaraid,5", "ATA", `,"model_name":"ST4000NM0033-9ZM170","serial_number":"Z1Z0AAA5","user_capacity":{"bytes":4000787030016},"rotation_rate":7200`), 2, 8, "air", 0, 0, ""},
		{"a volume beside its drives", fmt.Sprintf(head, 4, "", "sda", "scsi", "SCSI", `,"scsi_vendor":"DELL","scsi_product":"PERC H730P Mini","scsi_model_name":"DELL PERC H730P Mini","user_capacity":{"bytes":8001563222016},"serial_number":"00a1"`) + "\n" +
			fmt.Sprintf(head, 0, "", "bus/0", "megaraid,2", "SCSI", `,"scsi_model_name":"TOSHIBA MG06SCA800E","serial_number":"Z1Z0AAA4","user_capacity":{"bytes":8001563222016},"rotation_rate":7200`), 1, 8, "air", 0, 0, ""},
		{"one that is not there beside one that is", fmt.Sprintf(head, 2, absent, "sdz", "scsi", "SCSI", "") + "\n" +
			fmt.Sprintf(head, 64, "", "sdf", "sat", "ATA", `,"model_name":"WDC WUH721414ALE6L4","serial_number":"9LH0AAAA","user_capacity":{"bytes":14000519643136},"rotation_rate":7200`), 1, 14, "helium", 0, 0, "did not answer"},
	} {
		f, err := Read(mems([]byte(c.doc)), Options{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		b := f.Fleet[0]
		if f.DriveCount() != c.drives || float64(f.Sizes.Raw)/1e12 != c.tb || b.Technology != c.technology || b.Asleep != c.asleep || b.Hours != c.hours {
			t.Errorf("%s: %d drives, %v TB, %+v", c.name, f.DriveCount(), float64(f.Sizes.Raw)/1e12, b)
		}
		if c.miss != "" && !noted(f.Missing, c.miss) {
			t.Errorf("%s: missing %v, want %q", c.name, texts(f.Missing), c.miss)
		}
	}
}

// TestMinIOShapes: what servers of several years answer.
func TestMinIOShapes(t *testing.T) {
	drive := func(host, name string, set, disk int) string {
		return fmt.Sprintf(`{"endpoint":"https://%s:9000/%s","rootDisk":true,"path":"/%s","state":"ok","uuid":"u","totalspace":16000900661248,"usedspace":8000450330624,"availspace":8000450330624,"pool_index":0,"set_index":%d,"disk_index":%d}`, host, name, name, set, disk)
	}
	servers := func(list string) string {
		var out []string
		for i := range 4 {
			host := fmt.Sprintf("n%d", i)
			var drives []string
			for j := range 4 {
				drives = append(drives, drive(host, fmt.Sprintf("data%d", j), 0, 4*i+j))
			}
			out = append(out, fmt.Sprintf(`{"state":"online","endpoint":"%s:9000","uptime":1,"version":"v","network":{"n1:9000":"online"},"%s":[%s],"poolNumber":1}`, host, list, strings.Join(drives, ",")))
		}
		return "[" + strings.Join(out, ",") + "]"
	}
	usage := `"mode":"online","domain":[],"deploymentID":"d","buckets":{"count":3},"objects":{"count":12},"versions":{"count":0},"usage":{"size":90000000000000}`
	for name, doc := range map[string]string{
		"2025": `{"status":"success","info":{` + usage + `,"backend":{"backendType":"Erasure","onlineDisks":16,"offlineDisks":0,"standardSCParity":4,"rrSCParity":2,"totalSets":[1],"totalDrivesPerSet":[16]},"servers":` + servers("drives") + `,"pools":{"0":{"0":{"id":0,"rawUsage":1,"rawCapacity":256000000000000,"usage":90000000000000,"objectsCount":12,"versionsCount":0,"healDisks":0}}}}}`,
		"2021": `{"status":"success","info":{` + usage + `,"backend":{"backendType":"Erasure","onlineDisks":16,"offlineDisks":0,"standardSCData":12,"standardSCParity":4,"rrSCData":14,"rrSCParity":2},"servers":` + servers("disks") + `}}`,
		"one number for all pools, a text for the parity": `{"status":"success","info":{` + usage + `,"backend":{"backendType":"Erasure","standardSCParity":"4","totalDrivesPerSet":16},"servers":` + servers("drives") + `}}`,
		"RustFS":                              `{` + usage + `,"backend":{"backendType":"Erasure","standardSCParity":4,"totalDrivesPerSet":[16]},"servers":` + servers("drives") + `}`,
		"an error of another alias before it": `{"status":"success","alias":"x"}` + "\n" + `{"status":"success","info":{` + usage + `,"backend":{"standardSCParity":4,"totalDrivesPerSet":[16]},"servers":` + servers("drives") + `}}`,
	} {
		f, err := Read(mems([]byte(doc)), Options{})
		if err != nil {
			if !strings.HasPrefix(name, "an error") { // a document without servers says so
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if f.DriveCount() != 16 || len(f.Hosts) != 4 || len(f.Pools) != 1 || f.Pools[0].Scheme != "rs:12+4" || f.Pools[0].Stored != 90e12 || f.Sizes.Raw != 256e12 {
			t.Errorf("%s: %d drives on %d hosts, %+v, %+v", name, f.DriveCount(), len(f.Hosts), f.Pools, f.Sizes)
		}
	}
}

// minioDoc is a cluster of servers with drives of 16 TB in sets of 16, edited drive by drive.
func minioDoc(servers, drives, parity, used int, wrap bool, edit func(s, d int, drive map[string]any) map[string]any) []byte {
	var list []any
	n := 0
	for s := range servers {
		var ds []any
		for d := range drives {
			x := map[string]any{"endpoint": fmt.Sprintf("http://n%d:9000/data%d", s, d), "path": fmt.Sprintf("/data%d", d), "state": "ok", "totalspace": int64(16000900661248), "usedspace": int64(used) * 1e12, "pool_index": 0, "set_index": n / 16, "disk_index": n % 16}
			if edit != nil {
				x = edit(s, d, x)
			}
			if x != nil {
				ds = append(ds, x)
			}
			n++
		}
		list = append(list, map[string]any{"state": "online", "endpoint": fmt.Sprintf("n%d:9000", s), "version": "v", "drives": ds})
	}
	info := map[string]any{"usage": map[string]any{"size": int64(90e12)}, "servers": list,
		"backend": map[string]any{"backendType": "Erasure", "standardSCParity": parity, "totalSets": []int{servers * drives / 16}, "totalDrivesPerSet": []int{16}}}
	var doc any = map[string]any{"status": "success", "info": info}
	if !wrap {
		doc = info
	}
	out, _ := json.Marshal(doc)
	return out
}

// TestMinIODrives: servers that are down, file systems that several drives share, sets that one
// server may take with it, objects that a lifecycle rule moved away.
func TestMinIODrives(t *testing.T) {
	offline := func(s, d int, x map[string]any) map[string]any {
		if s == 1 { // of a server that is down only the places are told
			return map[string]any{"endpoint": x["endpoint"], "state": "offline", "major": 0, "minor": 0, "pool_index": 0, "set_index": x["set_index"], "disk_index": x["disk_index"]}
		}
		return x
	}
	for _, c := range []struct {
		name    string
		doc     []byte
		drives  int
		raw     int64
		stored  int64
		system  string
		note    string // in what is guessed or missing
		finding string
	}{
		{"a server down", minioDoc(4, 4, 4, 8, true, offline), 16, 256e12, 90e12, "minio", "not told (the drive is offline)", "4 drives down"},
		{"a server down that lists no drives", minioDoc(8, 4, 4, 8, true, func(s, d int, x map[string]any) map[string]any {
			if s == 2 {
				return nil
			}
			return x
		}), 28, 448e12, 90e12, "minio", "4 of 32 drives are not listed", ""},
		{"four directories of one file system", minioDoc(4, 4, 4, 8, true, func(s, d int, x map[string]any) map[string]any {
			x["major"], x["minor"] = 253, 4
			return x
		}), 4, 64e12, 24e12, "minio", "lie on one file system", "12 drives of the store on file systems"},
		{"eight shards a server", minioDoc(2, 8, 4, 8, true, nil), 16, 256e12, 90e12, "minio", "", "a server holds 8 shards of 16, rs:12+4 stands 4"},
		{"tiered away", minioDoc(4, 4, 4, 4, true, nil), 16, 256e12, 48e12, "minio", "lies in another tier", ""},
		{"RustFS through mc", []byte(strings.ReplaceAll(string(minioDoc(4, 4, 4, 8, true, nil)), `"v"`, `"2026-06-09T14:08:58Z@1.0.0-beta.8"`)), 16, 256e12, 90e12, "rustfs", "", ""},
		{"storage state of RustFS", []byte(`{"admin_discovery":{"x":"/y"},"info":{"backend":{"BackendType":"Erasure","DrivesPerSet":[4],"OfflineDisks":{},"StandardSCData":[3],"StandardSCParities":[1],"StandardSCParity":1,"TotalSets":[1]},"disks":[` +
			strings.TrimSuffix(strings.Repeat(`{"endpoint":"http://n0:9000/d","state":"ok","runtimeState":"online","totalspace":16000900661248,"usedspace":4000000000000,"pool_index":0,"set_index":0},`, 4), ",") + `]}}`), 4, 64e12, 0, "rustfs", "", ""},
	} {
		f, err := Read(mems(c.doc), Options{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if f.System != c.system || f.DriveCount() != c.drives || f.Sizes.Raw != c.raw || len(f.Pools) != 1 || f.Pools[0].Stored != c.stored {
			t.Errorf("%s: %s, %d drives, %+v, %+v", c.name, f.System, f.DriveCount(), f.Sizes, f.Pools)
		}
		if c.note != "" && !noted(f.Guessed, c.note) && !noted(f.Missing, c.note) {
			t.Errorf("%s: no word of %q in %v %v", c.name, c.note, f.Guessed, f.Missing)
		}
		said := false
		for _, x := range f.Findings() {
			said = said || strings.Contains(x.What, c.finding)
		}
		if c.finding != "" && !said {
			t.Errorf("%s: no finding %q in %v", c.name, c.finding, f.Findings())
		}
	}
}

// TestOldMinIO: servers of 2019 tell no drive's size, and are told so.
func TestOldMinIO(t *testing.T) {
	doc := `{"status":"success","service":"on","address":"minio0:9000","error":"","storage":{"used":1681449463808,"backend":{"backendType":"Erasure","onlineDisks":12,"standardSCData":6,"standardSCParity":6,"sets":[[{"uuid":"u","endpoint":"http://minio0:9000/export0","state":"ok"}]]}}}`
	if _, err := Read(mems([]byte(doc)), Options{}); err == nil || !strings.Contains(err.Error(), "2019 or older") {
		t.Error(err)
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
