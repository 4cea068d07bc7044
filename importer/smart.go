package importer

import (
	"regexp"
	"slices"
	"strings"
)

// smartctl reads the documents of `smartctl --json`: one, several after another, or a list.
func (b *build) smartctl(in *input) error {
	w := newWalk(in, &b.miss)
	if w.dec.PeekKind() == '[' {
		return b.trailing(w, w.each("smartctl", b.smart))
	}
	for {
		n, err := w.value("smartctl")
		if err != nil {
			return err
		}
		if n.isObject() {
			b.smart(n)
		}
		if !w.more() {
			return nil
		}
	}
}

// smart reads what one drive said.
func (b *build) smart(n node) {
	d := loose{from: Smartctl, host: b.at.Host, Drive: Drive{Osd: -1, Role: Data, State: Working}}
	dev := n.at("device")
	d.device = wholeDevice(dev.text("name"))
	if t := dev.text("type"); strings.Contains(t, ",") { // several drives behind one controller
		d.device += " " + t
	}
	d.ID = d.device
	d.Model = n.text("model_name", "scsi_model_name")
	if d.Model == "" {
		d.Model = strings.TrimSpace(n.text("vendor", "scsi_vendor") + " " + n.text("product", "scsi_product"))
	}
	d.serial = n.text("serial_number")
	if bytes, ok := n.at("user_capacity").size("bytes"); ok {
		d.Bytes = bytes
	} else if bytes, ok := n.size("nvme_total_capacity"); ok {
		d.Bytes = bytes
	} else if spaces := n.list("nvme_namespaces"); len(spaces) > 0 {
		for _, s := range spaces {
			bytes, _ := s.at("capacity").size("bytes")
			d.Bytes += bytes
		}
	}
	b.smartState(n, &d)
	b.smartCounters(n, &d)
	if dev.text("protocol") == "NVMe" {
		d.spins, d.Class = no, "nvme"
	}
	if rpm, ok := n.count("rotation_rate"); ok {
		d.rpm, d.spins = rpm, triOf(rpm > 0, true)
	}
	if d.Class == "" {
		d.Class = classOf(d.spins)
	}
	if d.Model == "" && d.Bytes == 0 && d.State != Asleep {
		b.miss.add("smartctl", "a device that did not answer (%s), left out", or(smartMessage(n), "no model, no capacity"))
		return
	}
	if d.Bytes == 0 {
		b.miss.add("user_capacity", "a drive without capacity")
	}
	b.loose = append(b.loose, d)
}

func classOf(spins tri) string {
	switch spins {
	case yes:
		return "hdd"
	case no:
		return "ssd"
	}
	return ""
}

func smartMessage(n node) string {
	for _, m := range n.at("smartctl").list("messages") {
		if s := m.text("string"); s != "" {
			return s
		}
	}
	return ""
}

// smartState tells a sleeping drive, which answers `smartctl -n standby` with exit status 2 and
// nothing else, from one that could not be opened.
func (b *build) smartState(n node, d *loose) {
	exit, _ := n.at("smartctl").count("exit_status")
	text := strings.ToUpper(smartMessage(n) + " " + n.at("power_mode").text("name"))
	switch {
	case strings.Contains(text, "STANDBY") || strings.Contains(text, "SLEEP"):
		d.State = Asleep
	case exit == 2 && d.Model != "":
		d.State = Asleep
		b.guess.add("smartctl.exit_status", "2 without a word: read as a drive in standby")
	}
	if passed, ok := n.at("smart_status").flag("passed"); ok && !passed {
		d.State = Broken
	}
}

// Numbers of SMART attributes: 22 is the helium level of HGST and WD, 23 and 24 the helium
// condition of Toshiba.
const (
	attrStarts = 4
	attrHours  = 9
	attrHelium = 22
	attrLower  = 23
	attrUpper  = 24
	attrLoads  = 193
)

func (b *build) smartCounters(n node, d *loose) {
	d.Hours, _ = n.at("power_on_time").count("hours")
	for _, a := range n.at("ata_smart_attributes").list("table") {
		id, ok := a.count("id")
		if !ok {
			continue
		}
		raw, ok := a.at("raw").num("value")
		switch id {
		case attrHelium, attrLower, attrUpper:
			if name := strings.ToLower(a.text("name")); strings.Contains(name, "helium") || name == "unknown_attribute" || name == "" {
				d.helium = yes
			}
		case attrStarts:
			d.Starts = counter(raw, ok)
		case attrLoads:
			d.Loads = counter(raw, ok)
		case attrHours:
			if d.Hours == 0 { // the upper bytes hold other things
				d.Hours = counter(raw, ok) & 0xffffff
			}
		}
	}
	starts, loads := n.at("scsi_start_stop_cycle_counter"), n
	if v, ok := starts.count("accumulated_start_stop_cycles"); ok && d.Starts == 0 {
		d.Starts = v
		d.Loads, _ = loads.at("scsi_start_stop_cycle_counter").count("accumulated_load_unload_cycles")
	}
	if d.Hours > 1e6 { // 114 years
		b.miss.add("power_on_time", "more than a million hours cannot be, left out")
		d.Hours = 0
	}
}

func counter(v float64, ok bool) int {
	if !ok || v < 0 || v > 1<<40 {
		return 0
	}
	return int(v)
}

// lsblk reads `lsblk -J`.
func (b *build) lsblk(in *input) error {
	w := newWalk(in, &b.miss)
	err := w.object("lsblk", func(key string) error {
		if key == "blockdevices" {
			return w.each(key, b.blockDevice)
		}
		return w.skip()
	})
	return b.trailing(w, err)
}

// What lsblk lists besides drives.
var (
	notDrive  = regexp.MustCompile(`^(loop|zram|ram|sr|dm-|md|fd)`)
	partTypes = regexp.MustCompile(`^(part|lvm|crypt|raid.*|rom|loop|mpath|dm|md|linear)$`)
)

func (b *build) blockDevice(n node) {
	name := wholeDevice(n.text("name", "kname"))
	kind := n.text("type")
	switch {
	case notDrive.MatchString(name), partTypes.MatchString(kind):
		return
	case kind != "disk" && kind != "":
		b.miss.add("blockdevices[].type", "%q is not known, left out", kind)
		return
	case kind == "":
		b.guess.add("blockdevices[].type", "not told: counted as a drive")
	}
	d := loose{from: LSBLK, host: b.at.Host, device: name, serial: n.text("serial"), Drive: Drive{ID: name, Osd: -1, Role: Data, State: Working, Model: n.text("model")}}
	d.Bytes = b.lsblkSize(n)
	d.spins = triOf(n.flag("rota"))
	d.Class = classOf(d.spins)
	if n.text("tran") == "nvme" || strings.HasPrefix(name, "nvme") {
		d.Class, d.spins = "nvme", no
	}
	if d.Bytes == 0 {
		b.miss.add("blockdevices[].size", "a device without size, left out")
		return
	}
	b.loose = append(b.loose, d)
}

// lsblkSize reads bytes (lsblk -b), or a rounded figure such as 16.4T, whose T are 1024⁴.
func (b *build) lsblkSize(n node) int64 {
	m, ok := n.get("size")
	if s, text := m.v.(string); ok && text && !digits(s) {
		size, err := parseSize(strings.TrimSuffix(strings.TrimSpace(s), "B")+"iB", "")
		if err != nil {
			b.miss.add(m.path, "%v", err)
			return 0
		}
		b.guess.add(m.path, "rounded by lsblk: use `lsblk -J -b` for bytes")
		return size
	}
	size, _ := n.size("size")
	return size
}

// addLoose adds the drives that no store spoke of. Where a store did speak, they only tell it
// more of drives that it has, by serial number or by device.
func (b *build) addLoose(f *Found, hosts *hostSet) {
	drives := b.withoutVolumes(b.dedupe())
	if f.System == "drives" {
		if len(drives) > 0 {
			b.guessPlace(drives)
		}
		for _, d := range drives {
			d.Bytes = Nominal(d.Bytes)
			d.Serial = d.serial
			hosts.add(or(d.site, "site"), or(d.rack, "rack"), or(d.host, "host"), d.Drive)
		}
		return
	}
	b.enrich(drives, hosts)
}

func (b *build) guessPlace(drives []loose) {
	sites, hosts := map[string]bool{}, map[string]bool{}
	for _, d := range drives {
		sites[d.site] = true
		hosts[d.host] = true
	}
	if sites[""] {
		b.guess.add("sites", "not told: counted as one site")
	}
	if hosts[""] {
		b.guess.add("hosts", "not told for some drives: counted as one host; a column host in CSV, or a directory for each host, tells")
		b.fleetLog = true
	}
}

// withoutVolumes leaves out the volumes of a RAID controller on hosts where its drives were read
// behind it too: they are the same platters twice.
func (b *build) withoutVolumes(list []loose) []loose {
	behind := map[string]bool{} // hosts
	for _, d := range list {
		behind[d.host] = behind[d.host] || strings.Contains(d.device, ",")
	}
	return slices.DeleteFunc(list, func(d loose) bool {
		if !behind[d.host] || strings.Contains(d.device, ",") || hiddenBy(d.Model) != byController {
			return false
		}
		b.guess.add("drives", "a volume of a RAID controller whose drives are listed too: counted are the drives")
		return true
	})
}

// dedupe joins what several files say of the same drive.
func (b *build) dedupe() (list []loose) {
	index := map[string]int{}
	for _, d := range b.loose {
		key := ""
		switch {
		case isSerial(d.serial):
			key = "serial " + d.serial
		case d.device != "" && (d.host != "" || d.from == LSBLK):
			key = d.host + " " + d.device
		}
		i, ok := index[key]
		if key == "" || !ok {
			if key != "" {
				index[key] = len(list)
			}
			list = append(list, d)
			continue
		}
		list[i].join(d)
		b.guess.add("drives", "seen more than once (by serial number or device): counted once")
	}
	return list
}

// join takes over what another look at the same drive adds.
func (d *loose) join(o loose) {
	d.Model, d.host = or(d.Model, o.Model), or(d.host, o.host)
	if d.Bytes == 0 {
		d.Bytes = o.Bytes
	}
	if d.helium == unknown {
		d.helium = o.helium
	}
	if d.spins == unknown {
		d.spins = o.spins
	}
	d.rpm, d.Hours, d.Starts, d.Loads = max(d.rpm, o.rpm), max(d.Hours, o.Hours), max(d.Starts, o.Starts), max(d.Loads, o.Loads)
	d.failed, d.days = d.failed+o.failed, d.days+o.days
	if o.State == Asleep {
		d.State = Asleep
	}
	d.Class = or(d.Class, o.Class)
}

// enrich tells a store's drives what smartctl and lsblk know of them.
func (b *build) enrich(drives []loose, hosts *hostSet) {
	bySerial := map[string]*loose{}
	for i, d := range drives {
		if isSerial(d.serial) {
			bySerial[d.serial] = &drives[i]
		}
	}
	left := len(drives)
	hosts.each(func(_ *Host, d *Drive) {
		o := bySerial[d.Serial]
		if d.Serial == "" || o == nil {
			return
		}
		left--
		d.Model = or(o.Model, d.Model)
		d.helium, d.rpm, d.Hours, d.Starts, d.Loads = o.helium, o.rpm, o.Hours, o.Starts, o.Loads
		if o.State == Asleep || o.State == Broken {
			d.State = o.State
		}
	})
	if left > 0 {
		b.miss.add("smartctl", "%d drives match none of the store's by serial number and are left out", left)
	}
}
