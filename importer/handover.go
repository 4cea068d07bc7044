package importer

import (
	"fmt"
	"strings"

	"github.com/wattle-storage/wattle/erasure"
	"github.com/wattle-storage/wattle/whatif"
)

// steps are the commands of a move, in the words of the cluster's own tools. They are printed
// and never run.
func (f *Found) steps(p *Plan, t Target, changed map[int]string) []string {
	switch f.System {
	case "ceph":
		return f.cephSteps(p, t, changed)
	case "minio", "rustfs":
		return f.minioSteps(p, t)
	}
	return []string{"# the dump names no store: see --store for the settings of ceph, minio, seaweedfs or garage"}
}

// perSite is how many shards of a code lie on each of some sites.
func perSite(s erasure.Scheme, sites int) int { return (s.N() + sites - 1) / max(1, sites) }

// cephSteps are profile, rule, pool and copy for each scheme, and drives out and in.
func (f *Found) cephSteps(p *Plan, t Target, changed map[int]string) (list []string) {
	add := func(format string, a ...any) { list = append(list, fmt.Sprintf(format, a...)) }
	done := map[string]bool{}
	if len(changed) > 0 && strings.HasPrefix(p.pools[0].Name, "pool ") {
		add("# POOL_n stands for the pool numbered n: its name was not kept (--keep-names)")
	}
	for _, i := range sortedKeys(changed) {
		s, _ := erasure.Parse(changed[i])
		name := "wattle-" + strings.NewReplacer(":", "", "+", "-").Replace(changed[i])
		class := p.pools[i].DeviceClass
		if class == "" {
			class = "hdd"
		}
		if !done[changed[i]] {
			done[changed[i]] = true
			list = append(list, f.cephProfile(s, name, class)...)
		}
		old := f.poolName(p.pools[i].Name)
		pgs := powerOfTwo(100 * f.drivesOf(p.pools[i].DeviceClass) / s.N())
		if s.Kind == erasure.Replica {
			add("ceph osd pool create %s.new %d replicated %s", old, pgs, name)
			add("ceph osd pool set %s.new size %d && ceph osd pool set %s.new min_size %d", old, s.N(), old, min(2, s.N()))
		} else {
			add("ceph osd pool create %s.new %d erasure %s %s", old, pgs, name, name)
			add("ceph osd pool set %s.new min_size %d", old, s.K+1)
		}
		add("# copy, client by client: rados cppool loses snapshots and omap; for RGW sync buckets to a placement target on %s.new, for RBD `rbd migration prepare --data-pool %s.new`, for CephFS set a file layout and rewrite", old, old)
		add("ceph osd pool delete %s %s --yes-i-really-really-mean-it   # after the copy was verified", old, old)
	}
	if t.Disk != "" || p.shape.hosts < len(f.Hosts) {
		add("ceph config set osd osd_max_backfills 1   # the pace: %s", p.Pace)
		add("for id in OSDS; do ceph osd crush reweight osd.$id 0; done   # drain; wait for active+clean")
		add("for id in OSDS; do ceph osd safe-to-destroy osd.$id && ceph osd purge osd.$id --yes-i-really-mean-it; done")
	}
	return list
}

// cephProfile is the erasure-code profile and the rule of a scheme.
func (f *Found) cephProfile(s erasure.Scheme, name, class string) (list []string) {
	sites := f.spreadSites(s)
	switch s.Kind {
	case erasure.Replica:
		return []string{fmt.Sprintf("ceph osd crush rule create-replicated %s default host %s", name, class)}
	case erasure.LRC:
		list = append(list, fmt.Sprintf("# the lrc plugin has its local parities over global ones too: it is near to %s, not the same", s),
			fmt.Sprintf("ceph osd erasure-code-profile set %s plugin=lrc k=%d m=%d l=%d crush-failure-domain=host crush-device-class=%s", name, s.K, s.R, (s.K+s.R)/max(1, s.L), class))
	default:
		list = append(list, fmt.Sprintf("ceph osd erasure-code-profile set %s plugin=isa technique=reed_sol_van k=%d m=%d crush-failure-domain=host crush-device-class=%s", name, s.K, s.M, class))
	}
	if sites > 1 {
		list = append(list, fmt.Sprintf("# over %d sites at most %d shards each: no command makes this rule; put it into the map (wattle plan --crushmap FILE)", sites, perSite(s, sites)))
		list = append(list, strings.Split(strings.TrimSpace(ruleText(s, sites, 9, name, class)), "\n")...)
		return list
	}
	return append(list, fmt.Sprintf("ceph osd crush rule create-erasure %s %s", name, name))
}

// spreadSites is over how many sites a scheme is spread: all, where it then survives one.
func (f *Found) spreadSites(s erasure.Scheme) int {
	if n := len(f.Sites); n > 1 && whatif.ToleranceOf(s, n).Sites > 0 {
		return n
	}
	return 1
}

// poolName is a pool's name for a command line, or a placeholder.
func (f *Found) poolName(name string) string {
	if strings.HasPrefix(name, "pool ") {
		return strings.ToUpper(strings.ReplaceAll(name, " ", "_"))
	}
	return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
}

// minioSteps are a new server pool and the end of the old ones.
func (f *Found) minioSteps(p *Plan, t Target) (list []string) {
	tool := "mc"
	if t.Scheme != "" {
		if s, err := erasure.Parse(t.Scheme); err == nil && s.Kind == erasure.RS {
			list = append(list, fmt.Sprintf("# sets of %d drives with %d parities: the set size is a divisor of the pool's drives, the parity a storage class of the cluster", s.N(), s.M),
				fmt.Sprintf("%s admin config set ALIAS storage_class standard=EC:%d", tool, s.M))
		} else {
			list = append(list, "# copies are not to be had: the store codes every object")
		}
	}
	if t.Disk != "" || p.shape.hosts < len(f.Hosts) {
		n := max(1, p.shape.drives/max(1, p.shape.hosts))
		list = append(list,
			fmt.Sprintf("minio server OLD_POOLS… https://NEW{1...%d}/data{1...%d}   # on all servers, restarted together", p.shape.hosts, n),
			tool+" admin decommission start ALIAS OLD_POOL   # one pool after another",
			tool+" admin decommission status ALIAS")
	}
	return append(list, "# objects keep the code they were written with until they are rewritten or decommissioned")
}

// StoreSettings are a scheme in the words of a store, and what that store cannot say.
func StoreSettings(store string, s erasure.Scheme, sites int) ([]string, error) {
	switch store {
	case "seaweedfs":
		return seaweedSettings(s, sites), nil
	case "garage":
		return garageSettings(s, sites), nil
	case "minio", "rustfs":
		if s.Kind != erasure.RS {
			return []string{"# " + store + " codes every object: neither copies nor local groups are to be had"}, nil
		}
		return []string{fmt.Sprintf("# a set of %d drives, dealt over the servers in turn", s.N()), fmt.Sprintf("MINIO_STORAGE_CLASS_STANDARD=EC:%d", s.M)}, nil
	case "ceph":
		f := &Found{Sites: make([]Site, max(1, sites))}
		return f.cephProfile(s, "wattle", "hdd"), nil
	}
	return nil, fmt.Errorf("store %q: want ceph, minio, rustfs, seaweedfs or garage", clean(store))
}

// seaweedSettings: replication XYZ counts copies in other data centres, racks and servers; the
// code of sealed volumes is 10+4.
func seaweedSettings(s erasure.Scheme, sites int) []string {
	if s.Kind == erasure.Replica {
		more, dc := s.N()-1, 0
		if sites > 1 {
			dc = min(more, sites-1)
		}
		if dc > 2 || more-dc > 2 {
			return []string{fmt.Sprintf("# %d copies are more than replication=XYZ with digits 0 to 2 says", s.N())}
		}
		return []string{fmt.Sprintf("weed master -defaultReplication=%d0%d   # copies in other data centres, racks, servers", dc, more-dc)}
	}
	if s.Kind == erasure.RS && s.K == 10 && s.M == 4 {
		return []string{"# hot volumes keep their copies; sealed ones are coded 10+4:", "weed shell: ec.encode -fullPercent=95 -quietFor=1h", "weed shell: ec.balance -force"}
	}
	return []string{fmt.Sprintf("# %s is not to be had: SeaweedFS codes sealed volumes 10+4, and keeps copies otherwise", s)}
}

// garageSettings: Garage keeps copies, one a zone as far as zones go.
func garageSettings(s erasure.Scheme, sites int) []string {
	if s.Kind != erasure.Replica {
		return []string{fmt.Sprintf("# %s is not to be had: Garage keeps copies only; the twin of the same tolerance is %s", s, whatif.Twin(s, max(1, sites)))}
	}
	return []string{fmt.Sprintf("replication_factor = %d   # garage.toml, on every node", s.N()), fmt.Sprintf("garage layout config -r %d   # zones that hold a copy each", min(s.N(), max(1, sites))), "garage layout assign NODE -z SITE -c CAPACITY   # for every node", "garage layout apply --version N"}
}
