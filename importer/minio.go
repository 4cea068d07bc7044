package importer

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/wattle-storage/wattle/erasure"
)

// minioData is what `mc admin info --json` says.
type minioData struct {
	version, system string
	parity          int
	parityKnown     bool
	setsOf          []int // drives of a set, by pool
	stored          int64
	objects         int64
	drives          []minioDrive
	pools           map[int]minioPool
}

type minioDrive struct {
	host string
	pool int
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
	if len(servers) == 0 {
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
	backend := n.at("backend")
	m.parity, m.parityKnown = backend.count("standardSCParity", "StandardSCParity")
	for _, s := range backend.list2("totalDrivesPerSet", "drivesPerSet") {
		if v, ok := s.number(); ok && v > 0 && v <= 256 {
			m.setsOf = append(m.setsOf, int(v))
		}
	}
	if data, ok := backend.count("standardSCData"); ok && len(m.setsOf) == 0 && m.parityKnown && data > 0 {
		m.setsOf = []int{data + m.parity}
	}
	m.stored, _ = n.at("usage").size("size")
	objects, _ := n.at("objects").count("count")
	m.objects = int64(objects)
	b.minioPools(n)
	for i, s := range servers {
		b.minioServer(s, i)
	}
	return nil
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
	state := s.text("state")
	drives := s.list("drives", "disks")
	if len(drives) == 0 {
		b.miss.add("servers[].drives", "a server without drives (state %s)", or(state, "not told"))
	}
	for _, d := range drives {
		if !d.isObject() {
			continue
		}
		out := minioDrive{host: host, Drive: Drive{ID: d.text("path", "drivePath"), Osd: -1, Role: Data, State: Working, Model: d.text("model")}}
		out.Bytes, _ = d.size("totalspace", "totalSpace")
		out.Used, _ = d.size("usedspace", "usedSpace")
		out.pool = max(0, int(numOr(d, 0, "pool_index", "poolIndex")))
		switch st := d.text("state"); st {
		case "ok", "online", "":
		case "offline":
			out.State = Down
		default:
			out.State = Broken
		}
		if out.Bytes == 0 {
			b.miss.add("servers[].drives[].totalspace", "a drive without capacity")
		}
		if out.Model == "" {
			b.miss.add("servers[].drives[].model", "the drive's model is not known")
		}
		b.mc.drives = append(b.mc.drives, out)
	}
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
	for _, d := range m.drives {
		d.Bytes = Nominal(d.Bytes)
		raw[d.pool] += d.Bytes
		used += d.Used
		hosts.add("site", "rack", d.host, d.Drive)
		hosts.group("site", "rack", d.host, fmt.Sprintf("pool %d", d.pool))
	}
	f.Sizes.Used = used
	if !m.parityKnown {
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

// minioPool adds a server pool. What it stores is told by its sets, or is its part of the whole.
func (b *build) minioPool(f *Found, i int, raw, total int64) {
	m := b.mc
	p := Pool{ID: i, Name: fmt.Sprintf("pool %d", i), Domain: "drive"}
	n := 0
	switch {
	case i < len(m.setsOf):
		n = m.setsOf[i]
	case len(m.setsOf) == 1:
		n = m.setsOf[0]
	}
	if sum := m.pools[i]; sum.stored > 0 {
		p.Stored, p.Objects, p.Raw = sum.stored, sum.objects, sum.used
	} else if total > 0 {
		b.guess.add("pools.stored", "not told by the pool's sets: the cluster's usage in proportion to raw capacity")
		p.Stored = int64(float64(m.stored) * float64(raw) / float64(total))
		p.Objects = int64(float64(m.objects) * float64(raw) / float64(total))
	}
	if m.parityKnown && n > m.parity && m.parity >= 0 {
		text := fmt.Sprintf("rs:%d+%d", n-m.parity, m.parity)
		if m.parity == 0 {
			text = "replica:1"
		}
		if s, err := erasure.Parse(text); err == nil {
			p.scheme, p.known, p.Scheme, p.Overhead, p.PerSite = s, true, s.String(), s.Overhead(), s.N()
			p.Domain = b.minioDomain(n, i)
		}
	}
	f.Pools = append(f.Pools, p)
}

// minioDomain tells how many drives of a set lie on one server: sets are dealt over servers in
// turn, so that n drives over h servers put n/h on each.
func (b *build) minioDomain(n, pool int) string {
	servers := map[string]bool{}
	for _, d := range b.mc.drives {
		if d.pool == pool {
			servers[d.host] = true
		}
	}
	if len(servers) >= n {
		return "host"
	}
	return "drive"
}
