package importer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/wattle-storage/wattle/erasure"
)

// CrushMap is a crushmap of the cluster in the text that crushtool compiles, with a rule for
// copies and one, number 1, for a scheme: as many shards a site as the scheme stands losing
// where it is spread over sites, each on a server of its own. Names are those that were kept.
func (f *Found) CrushMap(s erasure.Scheme) ([]byte, error) {
	var b strings.Builder
	b.WriteString("# begin crush map, written by wattle: try it with\n#   crushtool -c FILE -o MAP && crushtool -i MAP --test --rule 1 --num-rep " + fmt.Sprint(s.N()) + " --show-bad-mappings\n")
	for _, t := range []string{"choose_local_tries 0", "choose_local_fallback_tries 0", "choose_total_tries 50", "chooseleaf_descend_once 1", "chooseleaf_vary_r 1", "chooseleaf_stable 1", "straw_calc_version 1", "allowed_bucket_algs 54"} {
		fmt.Fprintf(&b, "tunable %s\n", t)
	}
	class := f.crushDevices(&b)
	if class == "" {
		return nil, fmt.Errorf("%w: no drive is numbered as a Ceph daemon is: a crushmap needs a Ceph dump", ErrInput)
	}
	b.WriteString("\n# types\ntype 0 osd\ntype 1 host\ntype 3 rack\ntype 8 datacenter\ntype 11 root\n\n# buckets\n")
	f.crushBuckets(&b)
	fmt.Fprintf(&b, "\n# rules\n%s", ruleText(erasure.Scheme{Kind: erasure.Replica, K: 1, M: 2}, 1, 0, "replicated_rule", class))
	b.WriteString(ruleText(s, f.spreadSites(s), 1, "wattle", class))
	b.WriteString("\n# end crush map\n")
	return []byte(b.String()), nil
}

// crushDevices lists the daemons and returns the class that most have.
func (f *Found) crushDevices(b *strings.Builder) string {
	b.WriteString("\n# devices\n")
	type device struct {
		id    int
		class string
	}
	var list []device
	n := map[string]int{}
	for _, h := range f.Hosts {
		for _, d := range h.Drives {
			if d.Role == Data && d.Osd >= 0 {
				class := or(d.Class, "hdd")
				list = append(list, device{d.Osd, class})
				n[class]++
			}
		}
	}
	slices.SortFunc(list, func(x, y device) int { return x.id - y.id })
	for _, d := range list {
		fmt.Fprintf(b, "device %d osd.%d class %s\n", d.id, d.id, word(d.class))
	}
	best := ""
	for _, c := range sortedKeys(n) {
		if best == "" || n[c] > n[best] {
			best = c
		}
	}
	return word(best)
}

// word makes a name that crushtool reads.
func word(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' {
			return r
		}
		return '_'
	}, s)
}

// crushBuckets writes hosts, racks, sites and the root, each after what it holds.
func (f *Found) crushBuckets(b *strings.Builder) {
	id := -1
	bucket := func(kind, name string, items []string, weights []float64) float64 {
		id--
		sum := 0.0
		fmt.Fprintf(b, "%s %s {\n\tid %d\n\talg straw2\n\thash 0\n", kind, name, id)
		for i, it := range items {
			fmt.Fprintf(b, "\titem %s weight %.5f\n", it, weights[i])
			sum += weights[i]
		}
		b.WriteString("}\n")
		return sum
	}
	var sites, racks, hosts []string
	var siteW, rackW, hostW []float64
	flush := func(h, next *Host) {
		if next == nil || next.Rack != h.Rack || next.Site != h.Site {
			name := word("r-" + h.Site + "-" + h.Rack)
			racks, rackW = append(racks, name), append(rackW, bucket("rack", name, hosts, hostW))
			hosts, hostW = nil, nil
		}
		if next == nil || next.Site != h.Site {
			name := word("dc-" + h.Site)
			sites, siteW = append(sites, name), append(siteW, bucket("datacenter", name, racks, rackW))
			racks, rackW = nil, nil
		}
	}
	var with []*Host
	for i := range f.Hosts {
		if slices.ContainsFunc(f.Hosts[i].Drives, func(d Drive) bool { return d.Role == Data && d.Osd >= 0 }) {
			with = append(with, &f.Hosts[i])
		}
	}
	for i, h := range with {
		var items []string
		var w []float64
		for _, d := range h.Drives {
			if d.Role == Data && d.Osd >= 0 {
				items, w = append(items, fmt.Sprintf("osd.%d", d.Osd)), append(w, float64(d.Bytes)/(1<<40))
			}
		}
		name := word("h-" + h.Name)
		hosts, hostW = append(hosts, name), append(hostW, bucket("host", name, items, w))
		var next *Host
		if i+1 < len(with) {
			next = with[i+1]
		}
		flush(h, next)
	}
	bucket("root", "default", sites, siteW)
}

// ruleText is a rule of a scheme over some sites. The sizes are for versions before Quincy,
// whose crushtool wants them; later ones pass over them.
func ruleText(s erasure.Scheme, sites, id int, name, class string) string {
	kind, mode, low, high := "erasure", "indep", 3, 40
	if s.Kind == erasure.Replica {
		kind, mode, low, high = "replicated", "firstn", 1, 10
	}
	var b strings.Builder
	fmt.Fprintf(&b, "rule %s {\n\tid %d\n\ttype %s\n\tmin_size %d\n\tmax_size %d\n", name, id, kind, low, high)
	if kind == "erasure" {
		b.WriteString("\tstep set_chooseleaf_tries 5\n\tstep set_choose_tries 100\n")
	}
	fmt.Fprintf(&b, "\tstep take default class %s\n", class)
	if sites > 1 {
		fmt.Fprintf(&b, "\tstep choose %s %d type datacenter\n\tstep chooseleaf %s %d type host\n", mode, sites, mode, perSite(s, sites))
	} else {
		fmt.Fprintf(&b, "\tstep chooseleaf %s 0 type host\n", mode)
	}
	b.WriteString("\tstep emit\n}\n")
	return b.String()
}
