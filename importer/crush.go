package importer

import (
	"math"
	"slices"
	"strings"
)

// A rule is a CRUSH rule.
type rule struct {
	id    int
	name  string
	steps []step
}

// A step of a rule: take a bucket, choose num buckets of a kind, emit.
type step struct {
	op   string
	num  int
	kind string // for take: the name of the bucket
	item int
}

// crushmap reads the map as report and `ceph osd crush dump` hold it.
func (b *build) crushmap(w *walk, path string) error {
	c := b.cephOf()
	return w.object(path, func(key string) error {
		at := path + "." + key
		switch key {
		case "devices":
			return w.each(at, func(n node) {
				if id, ok := osdID(n, "id"); ok {
					if class := n.text("class"); class != "" {
						c.osd(id).class = class
					}
				}
			})
		case "buckets":
			return w.each(at, b.crushBucket)
		case "rules":
			return w.each(at, b.crushRule)
		}
		return w.skip()
	})
}

// crushBucket reads a bucket, whose weights are in 1/65536 TiB.
func (b *build) crushBucket(n node) {
	v, ok := n.num("id")
	if !ok || v >= 0 || v < -maxDrive || v != math.Trunc(v) {
		b.miss.add(n.path, "a bucket without a number, left out")
		return
	}
	c := b.cephOf()
	name := n.text("name")
	shadow := strings.Contains(name, "~")
	var items []int
	for _, item := range n.list("items") {
		id, ok := item.num("id")
		if !ok || id != math.Trunc(id) || id >= maxDrive || id < -maxDrive {
			b.miss.add(item.path, "an item without a number, left out")
			continue
		}
		items = append(items, int(id))
		if weight, ok := item.num("weight"); ok && id >= 0 && !shadow && weight > 0 {
			c.osd(int(id)).weight = weight / 65536
		}
	}
	c.bucket(int(v), name, n.text("type_name"), items)
}

// bucket keeps a bucket; those named x~class are only views of others.
func (c *cephData) bucket(id int, name, kind string, items []int) {
	if strings.Contains(name, "~") {
		return
	}
	c.buckets[id] = &bucket{id: id, name: name, kind: kind, items: items}
}

func (b *build) crushRule(n node) {
	id, ok := n.count("rule_id")
	if !ok || id > maxDrive {
		b.miss.add(n.path, "a rule without a number, left out")
		return
	}
	r := &rule{id: id, name: n.text("rule_name")}
	for _, s := range n.list("steps") {
		st := step{op: s.text("op"), kind: s.text("type", "item_name")}
		if v, ok := s.num("num"); ok && math.Abs(v) < 1e6 {
			st.num = int(v)
		}
		if v, ok := s.num("item"); ok && math.Abs(v) < maxDrive {
			st.item = int(v)
		}
		r.steps = append(r.steps, st)
	}
	b.cephOf().rules[id] = r
}

// parents fills in which bucket holds which; the first one found wins, roots in order of number
// from −1 down, so that the ordinary tree comes before trees made for single pools.
func (c *cephData) parents() (ofOSD map[int]int) {
	ofOSD = map[int]int{}
	ids := sortedKeys(c.buckets)
	slices.Reverse(ids)
	for _, id := range ids {
		for _, item := range c.buckets[id].items {
			if item >= 0 {
				if _, ok := ofOSD[item]; !ok {
					ofOSD[item] = id
				}
			} else if child := c.buckets[item]; child != nil && child.parent == 0 && item != id {
				child.parent = id
			}
		}
	}
	return ofOSD
}

// above lists the buckets above one, from near to far, itself first.
func (c *cephData) above(id int) (list []*bucket) {
	for range 32 { // a tree that bites its tail ends here
		b := c.buckets[id]
		if b == nil {
			break
		}
		list = append(list, b)
		id = b.parent
	}
	return list
}

// Kinds of bucket that stand for a site, a rack and a host, the likeliest first.
var (
	siteKinds = []string{"datacenter", "zone", "region"}
	rackKinds = []string{"rack", "row", "pod", "room", "chassis"}
	hostKinds = []string{"host"}
)

// nameOf is the name of the nearest bucket of the first kind that occurs.
func nameOf(above []*bucket, kinds []string) (name, kind string) {
	for _, k := range kinds {
		for _, b := range above {
			if b.kind == k {
				return b.name, k
			}
		}
	}
	return "", ""
}

// A spread is how a rule places the n shards of a placement group.
type spread struct {
	domain  string // the kind of bucket of which each holds perDomain
	per     int
	perSite int
	class   string
	root    string
	shards  int  // that it chooses in all
	odd     bool // the rule takes more than once: not understood
}

// spreadOf reads a rule for n shards. A rule that takes several sites in turn, as stretched
// clusters have it, is one rule for each, of which the site with the most shards counts.
func (c *cephData) spreadOf(r *rule, n int, siteKind string) spread {
	whole := spreadOf(r, n, siteKind)
	if !whole.odd || siteKind == "" {
		return whole
	}
	here, left, out := map[string]int{}, n, spread{}
	for _, part := range r.takes() {
		s := spreadOf(&part, left, siteKind)
		site := c.siteOf(s.root, siteKind)
		if s.odd || site == "" || left <= 0 {
			return whole
		}
		shards := min(s.shards, left)
		here[site], left = here[site]+shards, left-shards
		if out.domain == "" || out.domain == s.domain {
			out.domain, out.class, out.per = s.domain, s.class, max(out.per, s.per)
		}
	}
	if left > 0 || len(here) < 2 {
		return whole
	}
	for _, shards := range here {
		out.perSite = max(out.perSite, shards)
	}
	return out
}

// takes are the parts of a rule from each take on.
func (r *rule) takes() (list []rule) {
	for _, st := range r.steps {
		if st.op == "take" {
			list = append(list, rule{})
		}
		if len(list) > 0 {
			last := &list[len(list)-1]
			last.steps = append(last.steps, st)
		}
	}
	return list
}

// siteOf is the site that a bucket is, or lies in.
func (c *cephData) siteOf(bucket, siteKind string) string {
	for _, id := range sortedKeys(c.buckets) {
		if c.buckets[id].name == bucket {
			name, _ := nameOf(c.above(id), []string{siteKind})
			return name
		}
	}
	return ""
}

// spreadOf reads a rule for n shards. siteKind is the kind of bucket that stands for a site.
func spreadOf(r *rule, n int, siteKind string) spread {
	s := spread{domain: "osd", per: 1, perSite: n}
	takes, site := 0, -1
	var nums []int
	var kinds []string
	for _, st := range r.steps {
		switch {
		case st.op == "take":
			takes++
			s.root, s.class, _ = strings.Cut(st.kind, "~")
		case strings.HasPrefix(st.op, "choose"):
			num := st.num
			if num <= 0 {
				num += n
			}
			nums = append(nums, max(1, num))
			kinds = append(kinds, st.kind)
			if st.kind == siteKind {
				site = len(nums) - 1
			}
		}
	}
	s.odd = takes != 1 || len(nums) == 0
	if len(nums) == 0 {
		return s
	}
	s.shards = 1
	for _, num := range nums {
		s.shards = min(s.shards*num, 1<<20)
	}
	last := len(nums) - 1
	if kinds[last] == "osd" && last > 0 {
		s.per, last = nums[last], last-1
	}
	s.domain = kinds[last]
	if site >= 0 {
		s.perSite = 1
		for _, num := range nums[site+1:] {
			s.perSite *= num
		}
		s.perSite = min(s.perSite, n)
	}
	return s
}
