package importer

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"strings"

	"github.com/wattle-storage/wattle/erasure"
)

// minioData is what `mc admin info --json` says.
type minioData struct {
	version, system string
	parity          int
	parityKnown     bool
	parities        []int // by pool, where they are told
	setsOf          []int // drives of a set, by pool
	sets            []int // sets of a pool, by pool
	single          bool  // one copy on one drive, without sets
	stored          int64
	objects         int64
	drives          []minioDrive
	pools           map[int]minioPool
}

type minioDrive struct {
	host      string
	pool, set int    // set is -1 when not told
	device    string // number of the device that its file system lies on, "" when not told
	Drive
}

// A minioPool is the sums over a pool's erasure sets.
type minioPool struct {
	raw, used, stored, objects int64
}

// minio reads one document or several, of which the one that answers is taken.
func (b *build) minio(in *input) error {
	w := newWalk(in, &b.miss)
	for {
		n, err := w.value("info")
		if err != nil {
			return err
		}
		info, wrapped := n.get("info")
		if !wrapped {
			info = n
		}
		if s := n.text("status"); s == "error" {
			return errors.New("`mc` reports an error: " + clean(n.at("error").text("message")))
		}
		if err := b.minioInfo(info, wrapped); err != nil {
			return err
		}
		if !w.more() {
			return nil
		}
	}
}

func (b *build) minioInfo(n node, wrapped bool) error {
	servers := n.list("servers")
	if _, old := n.get("storage"); old && len(servers) == 0 {
		return errors.New("is the answer of a server of 2019 or older, which tells no drive's size: ask a newer one, or give a CSV of the drives (model,count,capacity)")
	}
	drives := n.list("disks", "drives") // of a store's storage state, which names no servers
	if len(servers) == 0 && len(drives) == 0 {
		return errors.New("names no servers: was the user allowed to ask for ServerInfo?")
	}
	if b.mc != nil {
		return errors.New("a second cluster's state: import one at a time")
	}
	m := &minioData{system: "minio", pools: map[int]minioPool{}}
	b.mc = m
	if !wrapped {
		m.system = "rustfs"
	}
	b.minioBackend(n.at("backend"))
	m.stored, _ = n.at("usage").size("size")
	objects, _ := n.at("objects").count("count")
	m.objects = int64(objects)
	b.minioPools(n)
	for i, s := range servers {
		b.minioServer(s, i)
	}
	if len(servers) == 0 {
		for _, d := range drives {
			host := ""
			if at := d.text("endpoint"); strings.Contains(at, "://") {
				host = hostOf(at)
			}
			b.minioDrive(or(host, "server1"), d)
		}
	}
	return nil
}

// minioBackend reads the shape of the erasure sets.
func (b *build) minioBackend(n node) {
	m := b.mc
	m.parity, m.parityKnown = n.count("standardSCParity", "StandardSCParity")
	kind := strings.ToUpper(n.text("backendType", "BackendType", "type"))
	m.single = kind == "FS" && !m.parityKnown
	m.parities = numbersOf(n, "standardSCParities", "StandardSCParities")
	m.setsOf = numbersOf(n, "totalDrivesPerSet", "drivesPerSet")
	m.sets = numbersOf(n, "totalSets", "TotalSets")
	if data, ok := n.count("standardSCData"); ok && len(m.setsOf) == 0 && m.parityKnown && data > 0 {
		m.setsOf = []int{data + m.parity}
	}
}

// numbersOf lists small numbers that are told one a pool; one that cannot be is 0.
func numbersOf(n node, keys ...string) (list []int) {
	for _, s := range n.list2(keys...) {
		v, ok := s.number()
		if !ok || v < 0 || v > 1<<16 || v != math.Trunc(v) {
			v = 0
		}
		list = append(list, int(v))
	}
	return list
}

func (b *build) minioPools(n node) {
	names, pools := n.members("pools")
	for i, p := range pools {
		if !digits(names[i]) || len(names[i]) > 4 || !p.isObject() {
			continue
		}
		var sum minioPool
		_, sets := p.members()
		for _, s := range sets {
			if !s.isObject() {
				continue
			}
			raw, _ := s.size("rawCapacity")
			used, _ := s.size("rawUsage")
			stored, _ := s.size("usage")
			objects, _ := s.count("objectsCount")
			sum.raw, sum.used, sum.stored, sum.objects = sum.raw+raw, sum.used+used, sum.stored+stored, sum.objects+int64(objects)
		}
		b.mc.pools[atoi(names[i])] = sum
	}
}

func atoi(s string) (n int) {
	for _, c := range s {
		n = n*10 + int(c-'0')
	}
	return n
}

func (b *build) minioServer(s node, i int) {
	if !s.isObject() {
		return
	}
	host := hostOf(s.text("endpoint"))
	if host == "" {
		host = fmt.Sprintf("server%d", i+1)
	}
	b.mc.version = or(b.mc.version, s.text("version"))
	if strings.Contains(b.mc.version, "@") { // RustFS puts its release behind the day
		b.mc.system = "rustfs"
	}
	state := s.text("state")
	drives := s.list("drives", "disks")
	if len(drives) == 0 {
		b.miss.add("servers[].drives", "a server without drives (state %s)", or(state, "not told"))
	}
	for _, d := range drives {
		b.minioDrive(host, d)
	}
}

func (b *build) minioDrive(host string, d node) {
	if !d.isObject() {
		return
	}
	out := minioDrive{host: host, Drive: Drive{ID: d.text("path", "drivePath"), Osd: -1, Role: Data, State: Working, Model: d.text("model")}}
	out.Bytes, _ = d.size("totalspace", "totalSpace")
	out.Used, _ = d.size("usedspace", "usedSpace")
	out.pool, out.set = max(0, int(numOr(d, 0, "pool_index", "poolIndex"))), int(numOr(d, -1, "set_index", "setIndex"))
	if major, minor := numOr(d, 0, "major"), numOr(d, 0, "minor"); major > 0 || minor > 0 {
		out.device = fmt.Sprintf("%g:%g", major, minor)
	}
	switch st := d.text("state"); st {
	case "ok", "online", "":
	case "offline":
		out.State = Down
	default:
		out.State = Broken
	}
	if d.text("runtimeState") != "" {
		b.mc.system = "rustfs"
	}
	b.mc.drives = append(b.mc.drives, out)
}

func numOr(n node, other float64, keys ...string) float64 {
	if v, ok := n.num(keys...); ok && v >= -1 && v < 1e4 {
		return v
	}
	return other
}

// hostOf is the host of an endpoint such as https://node1:9000/data1 or node1:9000.
func hostOf(endpoint string) string {
	if u, err := url.Parse(endpoint); err == nil && u.Host != "" {
		return u.Hostname()
	}
	if i := strings.LastIndexByte(endpoint, ':'); i > 0 && digits(endpoint[i+1:]) {
		return endpoint[:i]
	}
	return endpoint
}

func (b *build) assembleMinIO(f *Found, hosts *hostSet) {
	m := b.mc
	f.System, f.Version = m.system, m.version
	b.guess.add("sites", "the dump names none: all servers are counted as one site and one rack")
	raw, used := map[int]int64{}, int64(0)
	b.unlisted()
	f.folded = m.foldDevices(&b.guess)
	b.likeTheirSet()
	for _, d := range m.drives {
		if d.Model == "" {
			b.miss.add("servers[].drives[].model", "the drive's model is not known")
		}
		d.Bytes = Nominal(d.Bytes)
		raw[d.pool] += d.Bytes
		used += d.Used
		hosts.add("site", "rack", d.host, d.Drive)
		hosts.group("site", "rack", d.host, fmt.Sprintf("pool %d", d.pool))
	}
	f.Sizes.Used = used
	if !m.parityKnown && !m.single {
		b.miss.add("backend.standardSCParity", "the parity is not known")
	}
	var total int64
	for _, v := range raw {
		total += v
	}
	for _, i := range sortedKeys(raw) {
		b.minioPool(f, i, raw[i], total)
	}
}

// unlisted notes drives that the sets have and no server lists: a server that is offline may list none.
func (b *build) unlisted() {
	listed := map[int]int{}
	for _, d := range b.mc.drives {
		listed[d.pool]++
	}
	for i, sets := range b.mc.sets {
		if want := sets * b.mc.setSize(i); want > listed[i] {
			b.miss.add("servers[].drives", "pool %d: %d of %d drives are not listed (their servers are offline): their watts and terabytes are not counted", i, want-listed[i], want)
		}
	}
}

// foldDevices counts once what are directories of one file system: servers tell its device's
// number. It returns how many drives of the store were none of their own.
func (m *minioData) foldDevices(guess *notes) (folded int) {
	seen := map[string]bool{}
	var list []minioDrive
	for _, d := range m.drives {
		key := d.host + " " + d.device
		if d.device != "" && seen[key] {
			guess.add("servers[].drives", "several of a server lie on one file system (major and minor are the same): counted as one drive")
			folded++
			continue
		}
		seen[key] = true
		list = append(list, d)
	}
	m.drives = list
	return folded
}

// likeTheirSet gives drives that are offline, of which the server tells nothing, the capacity and
// model that most others of their set have, or of their pool.
func (b *build) likeTheirSet() {
	type place struct{ pool, set int }
	most := map[place]*minioDrive{}
	count := map[place]map[int64]int{}
	for i, d := range b.mc.drives {
		for _, p := range []place{{d.pool, d.set}, {d.pool, -2}} {
			if d.Bytes == 0 {
				continue
			}
			if count[p] == nil {
				count[p] = map[int64]int{}
			}
			count[p][d.Bytes]++
			if most[p] == nil || count[p][d.Bytes] > count[p][most[p].Bytes] {
				most[p] = &b.mc.drives[i]
			}
		}
	}
	for i := range b.mc.drives {
		d := &b.mc.drives[i]
		like := most[place{d.pool, d.set}]
		if like == nil {
			like = most[place{d.pool, -2}]
		}
		switch {
		case d.Bytes > 0:
		case like == nil:
			b.miss.add("servers[].drives[].totalspace", "a drive without capacity")
		default:
			d.Bytes, d.Model = like.Bytes, or(d.Model, like.Model)
			b.guess.add("servers[].drives[].totalspace", "not told (the drive is %s): that of the others of its set", map[bool]string{true: "offline", false: "not formatted"}[d.State == Down])
		}
	}
}

// setSize is the number of drives of a set in a pool: as told, else as the drives number their
// sets, else all of a small cluster; 0 is not known.
func (m *minioData) setSize(pool int) int {
	switch {
	case pool < len(m.setsOf):
		return m.setsOf[pool]
	case len(m.setsOf) == 1:
		return m.setsOf[0]
	}
	sets, all := map[int]int{}, 0
	for _, d := range m.drives {
		if d.pool == pool {
			sets[d.set]++
			all++
		}
	}
	if n := sets[0]; n > 1 && n*len(sets) == all {
		return n
	}
	if len(sets) == 1 && all <= mostSet {
		return all
	}
	return 0
}

// mostSet is the number of drives that a set of MinIO has at most.
const mostSet = 16

// parityOf is the parity of a pool.
func (m *minioData) parityOf(pool int) (int, bool) {
	if pool < len(m.parities) {
		return m.parities[pool], true
	}
	return m.parity, m.parityKnown
}

// minioPool adds a server pool. What it stores is told by its sets, or is its part of the whole.
func (b *build) minioPool(f *Found, i int, raw, total int64) {
	m := b.mc
	p := Pool{ID: i, Name: fmt.Sprintf("pool %d", i), Domain: "drive"}
	n := m.setSize(i)
	if sum := m.pools[i]; sum.stored > 0 {
		p.Stored, p.Objects, p.Raw = sum.stored, sum.objects, sum.used
	} else if total > 0 {
		b.guess.add("pools.stored", "not told by the pool's sets: the cluster's usage in proportion to raw capacity")
		p.Stored = int64(float64(m.stored) * float64(raw) / float64(total))
		p.Objects = int64(float64(m.objects) * float64(raw) / float64(total))
	}
	parity, known := m.parityOf(i)
	text := ""
	switch {
	case m.single, known && parity == 0 && n > 0:
		text, n = "replica:1", max(n, 1)
	case known && n > parity:
		text = fmt.Sprintf("rs:%d+%d", n-parity, parity)
	case known && n == 0:
		b.miss.add("backend.totalDrivesPerSet", "how many drives a set has is not known")
	}
	if s, err := erasure.Parse(text); err == nil {
		p.scheme, p.known, p.Scheme, p.Overhead, p.PerSite = s, true, s.String(), s.Overhead(), s.N()
		p.Domain = b.minioDomain(n, i)
		p.perHost = (n + max(1, b.minioServers(i)) - 1) / max(1, b.minioServers(i))
		b.tiered(&p)
	}
	f.Pools = append(f.Pools, p)
}

// tiered lowers what a pool stores to what its drives can hold of it: objects that a lifecycle
// rule moved to another store are counted as the pool's, and draw their watts elsewhere.
func (b *build) tiered(p *Pool) {
	used, all, telling := int64(0), int64(0), int64(0)
	for _, d := range b.mc.drives {
		if d.pool == p.ID {
			used, all = used+d.Used, all+1
			if d.Used > 0 {
				telling++
			}
		}
	}
	if telling > 0 { // drives that are offline hold as much as the others
		used = int64(float64(used) * float64(all) / float64(telling))
	}
	used = max(used, p.Raw)
	if most := int64(float64(used) / p.Overhead); used > 0 && float64(p.Stored) > 1.05*float64(most) {
		b.guess.add("pools.stored", "%s: %s are told, and what its drives have in use is %s of them under %s: the rest lies in another tier (lifecycle rules), or is compressed; counted is what lies here", p.Name, tb(p.Stored), tb(most), p.Scheme)
		p.Stored = most
	}
}

// minioDomain tells how many drives of a set lie on one server: sets are dealt over servers in
// turn, so that n drives over h servers put n/h on each.
func (b *build) minioDomain(n, pool int) string {
	if b.minioServers(pool) >= n {
		return "host"
	}
	return "drive"
}

// minioServers is how many servers a pool has.
func (b *build) minioServers(pool int) int {
	servers := map[string]bool{}
	for _, d := range b.mc.drives {
		if d.pool == pool {
			servers[d.host] = true
		}
	}
	return len(servers)
}
