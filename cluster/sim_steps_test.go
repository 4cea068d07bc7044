package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"time"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/placement"
)

// stepKinds are what a plan may do, and how often.
var stepKinds = []struct {
	name   string
	weight int
	do     func(*simulation)
}{
	{"put", 30, (*simulation).put},
	{"burst", 6, (*simulation).burst},
	{"get", 25, (*simulation).get},
	{"hold a reader", 4, (*simulation).hold},
	{"end a reader", 4, (*simulation).endReader},
	{"delete", 10, (*simulation).remove},
	{"copy", 6, (*simulation).copyOne},
	{"put if", 4, (*simulation).putIf},
	{"put a version", 6, (*simulation).putVersion},
	{"delete a version", 4, (*simulation).removeVersion},
	{"get a version", 3, (*simulation).readVersion},
	{"copy a version", 2, (*simulation).copyVersion},
	{"tag", 2, (*simulation).tag},
	{"set", 2, (*simulation).setting},
	{"upload", 8, (*simulation).upload},
	{"list", 3, (*simulation).list},
	{"bucket", 2, (*simulation).bucket},
	{"turns", 10, func(s *simulation) { s.turns(s.rng.IntN(200)) }},
	{"settle", 6, (*simulation).settle},
	{"pause", 1, (*simulation).pause},
	{"fault", 8, (*simulation).fault},
	{"lift", 3, (*simulation).lift},
	{"repair", 3, (*simulation).repair},
	{"scrub", 2, (*simulation).scrub},
	{"compact", 2, (*simulation).compact},
	{"checkpoint", 1, (*simulation).checkpoint},
	{"rebalance", 3, (*simulation).rebalance},
	{"change the map", 2, (*simulation).reshape},
	{"heal", 2, (*simulation).heal},
	{"power off", 2, (*simulation).crash},
	{"power off soon", 3, (*simulation).cut},
	{"reopen", 2, (*simulation).reopen},
	{"recover", 1, (*simulation).recover},
	{"old catalog", 1, (*simulation).oldCatalog},
}

func (s *simulation) key() string { return fmt.Sprint("k", s.rng.IntN(24)) }

// object draws the body of an object; most are small.
func (s *simulation) object() *content {
	n := 0
	switch d := s.rng.IntN(40); {
	case d < 24:
		n = s.rng.IntN(300)
	case d < 34:
		n = s.rng.IntN(9000)
	case d < 38:
		n = packLimit - 500 + s.rng.IntN(1000)
	case d < 39:
		n = int(s.shape.shard)*s.rng.IntN(10) + s.rng.IntN(3)
	default:
		n = s.rng.IntN(500_000)
	}
	return &content{p: randomBytes(n, s.rng.Uint64()), meta: []string{"", "a", "b"}[s.rng.IntN(3)]}
}

func (b *content) options() PutOptions {
	if b.meta == "" {
		return PutOptions{}
	}
	return PutOptions{ContentType: "text/" + b.meta, Meta: map[string]string{"m": b.meta}}
}

// some lets a few calls through, so that ops run beside each other.
func (s *simulation) some() {
	if len(s.ops) > 8 {
		s.settle()
		return
	}
	s.turns(s.rng.IntN(12))
}

func (s *simulation) put() {
	s.counts.Puts++
	key, b := s.key(), s.object()
	s.putAt(key, b)
	s.some()
}

func (s *simulation) putAt(key string, b *content) {
	s.change("put "+key, key, b, func() error {
		_, err := s.c.Put(ctx, "bucket", key, bytes.NewReader(b.p), b.options())
		return err
	}, nil)
}

// change begins an op that changes a cell to b. Errors of which clean is true are outcomes
// that leave things as they are.
func (s *simulation) change(name, key string, b *content, run func() error, clean func(error) bool) {
	s.changeCell(name, s.cell(key), b, run, clean)
}

func (s *simulation) changeCell(name string, c *cell, b *content, run func() error, clean func(error) bool) {
	c.begin(b)
	var err error
	o := &op{name: name, run: func() { err = run() }}
	o.finish = func() {
		s.note("%s, %v: %v", name, b, err)
		if err != nil && clean != nil && clean(err) {
			c.end(b, refused)
			return
		}
		s.changed(o, c, b, err)
		s.expected(o, name, err)
		s.writable(name, err)
	}
	s.begin(o)
}

// writable fails when a change was refused although fewer shards can be affected than a
// write may miss.
func (s *simulation) writable(name string, err error) {
	if err == nil || s.powerIsOff() || s.wild {
		return
	}
	if m := s.c.config.Scheme.Tolerates() - s.c.config.Margin; s.shards(s.affected) <= m {
		s.fail("%s, with disks %v affected, and %d missing shards allowed: %v", name, sortedKeys(s.affected), m, err)
	}
}

func (s *simulation) burst() {
	for range 2 + s.rng.IntN(10) {
		s.counts.Puts++
		b := &content{p: randomBytes(s.rng.IntN(500), s.rng.Uint64())}
		s.putAt(s.key(), b)
	}
	s.turns(s.rng.IntN(60))
}

func (s *simulation) remove() {
	key := s.key()
	s.change("delete "+key, key, nil, func() error { return s.c.Delete(ctx, "bucket", key) }, func(err error) bool {
		if !errors.Is(err, ErrObjectNotFound) {
			return false
		}
		if !s.cell(key).may(absent) {
			s.fail("delete %s: %v, and it is there", key, err)
		}
		return true
	})
	s.some()
}

// putIf puts on a condition about a key that nobody else changes meanwhile.
func (s *simulation) putIf() {
	key, b := s.key(), s.object()
	c := s.cell(key)
	if c.writers > 0 {
		s.settle()
	}
	s.change("put if absent "+key, key, b, func() error {
		o := b.options()
		o.IfAbsent = true
		_, err := s.c.Put(ctx, "bucket", key, bytes.NewReader(b.p), o)
		return err
	}, func(err error) bool {
		if !errors.Is(err, ErrPrecondition) {
			return false
		}
		if !c.may(present) {
			s.fail("put if absent %s: %v, and it is absent", key, err)
		}
		return true
	})
	s.some()
}

// copyOne copies between keys of which nobody changes the source meanwhile.
func (s *simulation) copyOne() {
	from, to := s.key(), s.key()
	if s.cell(from).writers > 0 || s.cell(to).writers > 0 {
		s.settle()
	}
	src := s.cell(from)
	if len(src.values) != 1 {
		s.look(from)
		s.settle()
	}
	if s.err != nil || len(src.values) != 1 || s.powerIsOff() {
		return
	}
	b := src.values[0]
	s.change("copy "+from+" to "+to, to, b, func() error {
		_, err := s.c.Copy(ctx, "bucket", from, "bucket", to, PutOptions{})
		return err
	}, func(err error) bool { return errors.Is(err, ErrObjectNotFound) && b == nil })
	s.settle()
}

func (s *simulation) get() {
	s.look(s.key())
	s.some()
}

// look begins to read a key, or a range of it.
func (s *simulation) look(key string) {
	s.counts.Gets++
	c := s.cell(key)
	l := c.look()
	whole := s.rng.IntN(3) > 0
	at, size := s.rng.IntN(70_000), 1+s.rng.IntN(70_000)
	var got *content
	var err error
	o := &op{name: "get " + key}
	o.run = func() {
		opts := GetOptions{}
		if !whole {
			opts = GetOptions{Offset: int64(at), Length: int64(size)}
		}
		got, err = s.fetch(key, opts)
	}
	o.finish = func() {
		defer c.gone(l)
		switch {
		case errors.Is(err, ErrRange) && !whole:
			if !slices.ContainsFunc(l.allowed, func(b *content) bool { return b != nil && len(b.p) <= at }) {
				s.fail("get %s from %d: %v", key, at, err)
			}
			return
		case errors.Is(err, ErrObjectNotFound):
			got = nil
		case err != nil:
			s.unreadable(key, err)
			return
		case !whole:
			if !slices.ContainsFunc(l.allowed, func(b *content) bool {
				return b != nil && at <= len(b.p) && b.meta == got.meta && bytes.Equal(b.p[at:min(len(b.p), at+size)], got.p)
			}) {
				s.fail("get %s, %d bytes from %d: %v, which is not a part of %v", key, size, at, got, l.allowed)
			}
			return
		}
		if !c.found(l, got) {
			s.fail("get %s: %v, which is none of %v", key, got, l.allowed)
		}
	}
	s.begin(o)
}

func (s *simulation) fetch(key string, o GetOptions) (*content, error) {
	r, err := s.c.Get(ctx, "bucket", key, o)
	if err != nil {
		return nil, err
	}
	return readAll(r)
}

func readAll(r Reader) (*content, error) {
	defer r.Close()
	p, err := io.ReadAll(r)
	return &content{p, r.Object().Meta["m"]}, err
}

// unreadable judges a read that failed.
func (s *simulation) unreadable(key string, err error) {
	switch {
	case s.powerIsOff():
	case s.wild && s.lostAny && errors.Is(err, ErrDataLost):
		s.counts.Lost++
	default:
		s.fail("get %s, with disks %v affected: %v", key, sortedKeys(s.affected), err)
	}
}

// A heldReader is open while other things happen.
type heldReader struct {
	key string
	l   *look
	r   Reader
}

func (s *simulation) hold() {
	if len(s.held) > 3 {
		return
	}
	key := s.key()
	c := s.cell(key)
	l := c.look()
	var r Reader
	var err error
	s.call("open "+key, func() { r, err = s.c.Get(ctx, "bucket", key, GetOptions{}) })
	switch {
	case s.err != nil || s.powerIsOff() || r == nil && err == nil:
		c.gone(l)
	case errors.Is(err, ErrObjectNotFound):
		if !c.found(l, nil) {
			s.fail("open %s: %v, and it is there", key, err)
		}
	case err != nil:
		s.unreadable(key, err)
	default:
		if s.w.bug.reading != nil {
			s.w.bug.reading(s)
		}
		s.held = append(s.held, &heldReader{key: key, l: &look{allowed: slices.Clone(l.allowed)}, r: r})
		c.gone(l)
	}
}

// endReader reads what a reader that is open began with, whatever came after.
func (s *simulation) endReader() {
	if len(s.held) == 0 {
		return
	}
	h := s.held[0]
	s.held = s.held[1:]
	var p []byte
	var err error
	s.call("read on "+h.key, func() {
		p, err = io.ReadAll(h.r)
		h.r.Close()
	})
	if s.powerIsOff() || s.err != nil {
		return
	}
	got := &content{p, h.r.Object().Meta["m"]}
	if err != nil {
		s.unreadable(h.key, err)
	} else if !slices.ContainsFunc(h.l.allowed, got.same) {
		s.fail("a reader of %s: %v, and when it was opened there were %v", h.key, got, h.l.allowed)
	}
}

// drop forgets the readers that are open.
func (s *simulation) drop() {
	for _, h := range s.held {
		h.r.Close()
	}
	s.held = nil
}

// list compares a listing with the model where nothing changes meanwhile.
func (s *simulation) list() {
	s.settle()
	if s.err != nil || s.powerIsOff() {
		return
	}
	there := map[string]Object{}
	after := ""
	for {
		page, err := s.c.List(ctx, "bucket", ListOptions{After: after, Limit: 1 + s.rng.IntN(9)})
		if err != nil {
			s.fail("list: %v", err)
			return
		}
		for _, o := range page.Objects {
			there[o.Key] = o
		}
		if after = page.Next; after == "" {
			break
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.cells)) {
		o, ok := there[key]
		delete(there, key)
		if !s.cells[key].may(func(b *content) bool {
			return !ok && b == nil || ok && b != nil && o.Size == int64(len(b.p)) && o.Meta["m"] == b.meta
		}) {
			s.fail("list: %s is there: %v, %+v; it may be %v", key, ok, o, s.cells[key].values)
		}
	}
	if len(there) > 0 {
		s.fail("list: %v", there)
	}
}

// bucket makes or removes a bucket.
func (s *simulation) bucket() {
	name := fmt.Sprint("extra", s.rng.IntN(3))
	if s.buckets[name] == nil {
		s.buckets[name] = &cell{values: []*content{nil}}
	}
	c, b, run, clean := s.buckets[name], &content{}, s.c.MakeBucket, ErrExists
	if c.writers > 0 {
		s.settle()
	}
	is := present
	if s.rng.IntN(2) == 0 {
		b, run, clean, is = nil, s.c.RemoveBucket, ErrBucketNotFound, absent
	}
	c.begin(b)
	var err error
	o := &op{name: "bucket " + name, run: func() { err = run(ctx, name) }}
	o.finish = func() {
		if errors.Is(err, clean) {
			if !c.may(is) {
				s.fail("bucket %s to %v: %v; it may be %v", name, b, err, c.values)
			}
			c.end(b, refused)
			return
		}
		s.changed(o, c, b, err)
		s.expected(o, o.name, err)
	}
	s.begin(o)
	s.settle()
}

func (s *simulation) pause() {
	s.settle()
	if !s.powerIsOff() && s.err == nil {
		time.Sleep(31 * time.Second)
	}
}

// budget tells whether disks may be affected too.
func (s *simulation) budget(more []int32) bool {
	set := maps.Clone(s.affected)
	for _, n := range more {
		set[n] = true
	}
	if s.shards(set) <= s.c.config.Scheme.Tolerates() {
		return true
	}
	if s.wild && s.rng.IntN(4) == 0 {
		s.lostAny = true
		return true
	}
	return false
}

// fault breaks something, within the budget.
func (s *simulation) fault() {
	ids := s.c.diskIDs()
	n := int32(ids[s.rng.IntN(len(ids))])
	list := []int32{n}
	st := diskState{}
	after := 1 + s.rng.IntN(6)
	taint := false
	what := ""
	switch d := s.rng.IntN(14); {
	case d < 3:
		what, st.lost = "lost", true
		list = s.domain(n)
	case d < 4:
		what, st.full = "full", true
	case d < 5:
		what, st.slow = "slow", time.Duration(1+s.rng.IntN(12_000))*time.Millisecond
	case d < 6:
		what, st.slow = "slow", time.Duration(1+s.rng.IntN(900))*time.Millisecond
	case d < 9:
		call := []string{"sync", "write", "read", "create", "punch", "syncdir"}[s.rng.IntN(6)]
		what, st.failing, st.err = fmt.Sprintf("%s %d fails", call, after), map[string]int{call: after}, errInjected
	case d < 10:
		what, st.failing, st.err = "no space", map[string]int{"write": -1, "create": -1}, disks.ErrNoSpace
	case d < 11:
		what, st.failing, st.err = "read-only", map[string]int{"write": -1, "create": -1, "sync": -1, "punch": -1, "remove": -1, "rename": -1, "syncdir": -1}, disks.ErrNoSpace
	default:
		what, taint = "rot", true
	}
	if !s.budget(list) {
		return
	}
	s.counts.Faults++
	s.note("fault: %s on %v", what, list)
	for _, n := range list {
		s.affected[n] = true
		s.tainted[n] = s.tainted[n] || taint
		if taint {
			s.rotted[n] = true
		}
		if what == "rot" {
			s.rot(n)
			continue
		}
		s.w.set(n, st)
	}
}

// domain is a disk alone, or all disks of its host or site.
func (s *simulation) domain(n int32) []int32 {
	d, level := s.byID[placement.DiskID(n)], s.rng.IntN(4)
	var list []int32
	for id, e := range s.byID {
		if int32(id) == n || level > 0 && e.site == d.site && (level == 1 || e.rack == d.rack && e.host == d.host) {
			list = append(list, int32(id))
		}
	}
	slices.Sort(list)
	return list
}

// rot flips bits of shards that lie on a disk.
func (s *simulation) rot(n int32) {
	d, ok := s.c.disk(placement.DiskID(n)).(*simDisk)
	if !ok {
		return
	}
	var list []disks.Entry
	if err := d.inner.Scan(ctx, func(e disks.Entry) error { list = append(list, e); return nil }); err != nil || len(list) == 0 {
		return
	}
	for range 1 + s.rng.IntN(8) {
		e := list[s.rng.IntN(len(list))]
		if behind := int(e.Length) - disks.HeaderSize(int(e.K)); behind > 0 { // data, sums, journal or padding
			s.w.flip(s.rng, n, e, behind)
		}
	}
}

// lift takes the faults of one disk away; what they left stays.
func (s *simulation) lift() {
	if list := sortedKeys(s.affected); len(list) > 0 {
		n := list[s.rng.IntN(len(list))]
		s.note("disk %d is well again", n)
		s.w.set(n, diskState{})
	}
}

func (s *simulation) repair() {
	var rep RepairReport
	var err error
	o := &op{name: "repair", run: func() { rep, err = s.c.Repair(ctx, nil) }}
	o.finish = func() {
		s.note("repair: %+v, %v", rep, err)
		s.repaired(o, rep, err)
	}
	s.begin(o)
	s.turns(s.rng.IntN(300))
}

// scrub checks the disks and repairs what it finds.
func (s *simulation) scrub() {
	var rep ScrubReport
	var err error
	o := &op{name: "scrub", run: func() { rep, err = s.c.Scrub(ctx, ScrubOptions{Parity: 1}) }}
	o.finish = func() {
		s.note("scrub: %+v, %v", rep, err)
		if rep.Inconsistent > 0 && !s.wild {
			s.fail("scrub: %d stripes are inconsistent: %v", rep.Inconsistent, rep.Findings)
		}
		if rep.Repair != nil {
			s.repaired(o, *rep.Repair, err)
			return
		}
		s.expected(o, "scrub", err)
	}
	s.begin(o)
	s.turns(s.rng.IntN(300))
}

func (s *simulation) compact() {
	with := s.rng.IntN(2) == 0
	var rep CompactReport
	var err error
	o := &op{name: "compact", run: func() { rep, err = s.c.Compact(ctx, CompactOptions{Checkpoint: with}) }}
	o.finish = func() {
		s.note("compact: %+v, %v", rep, err)
		s.expected(o, "compact", err)
	}
	s.begin(o)
	s.turns(s.rng.IntN(400))
}

func (s *simulation) checkpoint() {
	var seq uint64
	var err error
	o := &op{name: "checkpoint", run: func() { seq, _, err = s.c.Checkpoint(ctx) }}
	o.finish = func() {
		s.note("checkpoint: %d, %v", seq, err)
		s.expected(o, "checkpoint", err)
	}
	s.begin(o)
	s.turns(s.rng.IntN(100))
}

func (s *simulation) repaired(o *op, rep RepairReport, err error) {
	switch {
	case s.powerIsOff() || s.wild && s.lostAny:
	case rep.Lost > 0:
		s.fail("repair with disks %v affected lost %d stripes: %v", sortedKeys(s.affected), rep.Lost, rep.LostKeys)
	default:
		s.expected(o, "repair", err)
	}
}

// heal lifts all faults, opens the cluster anew and repairs, and then all must be whole.
func (s *simulation) heal() {
	s.counts.Heals++
	for s.err == nil {
		s.w.mu.Lock()
		s.w.cut = 0
		for _, st := range s.w.state {
			*st = diskState{}
		}
		s.w.mu.Unlock()
		s.close()
		time.Sleep(31 * time.Second)
		s.open()
		if s.err == nil && s.makeWhole() {
			if s.rng.IntN(2) == 0 && len(s.affected) == 0 {
				s.rebalanced()
			}
			return
		}
	}
}

// makeWhole checks what may have rotted, repairs, and tells whether all is whole.
func (s *simulation) makeWhole() bool {
	if err := s.audit(false); err != nil {
		s.fail("before repair: %v", err)
		return false
	}
	if err := s.examine(); err != nil {
		s.fail("examine: %v", err)
		return false
	}
	var rep RepairReport
	var err error
	s.call("repair", func() { rep, err = s.c.Repair(ctx, nil) })
	s.note("heal: %+v, %v", rep, err)
	switch {
	case s.err != nil:
		return false
	case s.wild && s.lostAny && rep.Lost > 0:
		return true // it stays so
	case err != nil || rep.Lost > 0 || rep.Left > 0:
		s.fail("repair with all disks back: %+v, %v", rep, err)
		return false
	}
	if err := s.audit(true); err != nil {
		s.fail("after repair: %v", err)
		return false
	}
	if st, err := s.c.Status(ctx); err != nil || st.Stripes.Degraded > 0 || st.PendingRepairs > 0 {
		s.fail("status after repair: %+v, %d pending, %v", st.Stripes, st.PendingRepairs, err)
	}
	clear(s.affected)
	clear(s.tainted)
	s.lostAny = false
	return true
}

// examine reports shards on tainted disks that do not read well, as a scrub would.
func (s *simulation) examine() error {
	if len(s.tainted) == 0 {
		return nil
	}
	return s.c.catalog.stripes(ctx, func(st *stripe, freed bool) error {
		for i, at := range st.Places {
			if at.Disk == none || !s.tainted[int32(at.Disk)] || !st.needs(i, freed) {
				continue
			}
			if _, err := s.auditShard(st, freed, i, true, true); err != nil {
				s.c.damaged(st, i, disks.ErrCorrupt)
			}
		}
		return nil
	})
}

// cut has the power go off in the near future.
func (s *simulation) cut() {
	s.w.mu.Lock()
	if s.w.cut == 0 {
		s.w.cut = 1 + s.rng.IntN(150)
	}
	s.w.mu.Unlock()
}

func (s *simulation) reopen() {
	s.note("close and open")
	s.close()
	s.open()
	if s.err == nil {
		if err := s.audit(false); err != nil {
			s.fail("after opening again: %v", err)
		}
	}
}

func (s *simulation) catalogFiles() []string {
	var list []string
	for _, suffix := range []string{"", "-wal", "-shm"} {
		list = append(list, filepath.Join(s.dir, "catalog.db"+suffix))
	}
	return list
}

// recover throws the catalog away and makes it anew from the disks.
func (s *simulation) recover() {
	s.settle()
	if s.powerIsOff() || s.err != nil {
		return
	}
	hard := s.rng.IntN(2) == 0
	before, err := s.picture()
	if err != nil {
		s.fail("picture: %v", err)
		return
	}
	if hard {
		s.crash()
		if s.err != nil {
			return
		}
		if before, err = s.picture(); err != nil {
			s.fail("picture: %v", err)
			return
		}
	}
	s.close()
	if s.err != nil {
		return
	}
	s.counts.Recoveries++
	for _, name := range s.catalogFiles() {
		if s.rng.IntN(3) > 0 || name == s.catalogFiles()[0] {
			os.Remove(name)
		}
	}
	s.recoverAgain(before)
}

func (s *simulation) recoverAgain(before picture) {
	var rep RecoverReport
	var err error
	for s.err == nil {
		o := s.w.options()
		s.call("recover", func() { rep, err = Recover(ctx, s.dir, o, nil) })
		if !s.powerIsOff() {
			s.w.restart()
			break
		}
		s.w.restart()
	}
	s.note("recover: %+v, %v", rep, err)
	if s.err != nil {
		return
	}
	if wild := s.wild && s.lostAny; err != nil || len(rep.Unreadable) > 0 && !wild {
		s.fail("recover with disks %v affected: %+v, %v", sortedKeys(s.affected), rep, err)
		return
	}
	for n := range s.affected { // what such a disk took late and unsynced may be torn
		s.tainted[n], s.rotted[n] = true, true
	}
	if len(s.affected) > 0 { // where the shard is away that took its place, recovery finds the bad one, and no scrub yet
		for n := range s.rotted {
			s.tainted[n] = true
		}
	}
	revived := s.reviveHistory() || len(s.ghosts) > 0
	for _, g := range s.ghosts {
		g.c.values = append(g.c.values, g.b)
	}
	s.ghosts = nil
	s.open()
	if s.err != nil || s.wild {
		return
	}
	after, err := s.picture()
	if err != nil {
		s.fail("picture: %v", err)
		return
	}
	if slices.ContainsFunc(rep.Uncertain, func(u string) bool { return strings.Contains(u, idleBatch) }) {
		before.Uses, after.Uses = nil, nil // objects lie where they were before the moves
	}
	if diff := before.diff(after); diff != "" && !revived {
		s.fail("recovery gave another catalog:\n%s", diff)
		return
	}
	s.check()
}

// check reads all keys.
func (s *simulation) check() {
	s.settle()
	for _, key := range slices.Sorted(maps.Keys(s.cells)) {
		if s.err != nil || s.powerIsOff() {
			return
		}
		c := s.cells[key]
		l := c.look()
		var got *content
		var err error
		s.call("check "+key, func() { got, err = s.fetch(key, GetOptions{}) })
		switch {
		case s.powerIsOff():
			c.gone(l)
			return
		case errors.Is(err, ErrObjectNotFound):
			got, err = nil, nil
			fallthrough
		case err == nil:
			if !c.found(l, got) {
				s.fail("%s: %v, which is none of %v", key, got, l.allowed)
			}
		default:
			s.unreadable(key, err)
		}
	}
	s.checkHistory()
}

// oldCatalog puts a copy of the catalog back that is older than the disks, which must be
// refused, and then the right one.
func (s *simulation) oldCatalog() {
	if s.wild || len(s.affected) > 0 {
		return
	}
	s.close()
	old, err := os.ReadFile(s.catalogFiles()[0])
	if err != nil {
		s.fail("%v", err)
		return
	}
	s.open()
	before := s.counts.Acked
	for range 1 + s.rng.IntN(3) {
		s.put()
	}
	s.settle()
	if s.counts.Acked == before { // it is no older then
		return
	}
	if s.powerIsOff() || s.err != nil {
		return
	}
	s.close()
	if s.err != nil {
		return
	}
	fresh, err := os.ReadFile(s.catalogFiles()[0])
	if err == nil {
		err = os.WriteFile(s.catalogFiles()[0], old, 0o600)
	}
	if err != nil {
		s.fail("%v", err)
		return
	}
	if s.w.bug.catalog != nil {
		s.w.bug.catalog(s)
	}
	var c *Cluster
	o := s.w.options()
	s.call("open with an old catalog", func() { c, err = Open(ctx, s.dir, o) })
	switch {
	case c != nil && s.w.bug.catalog != nil && !s.powerIsOff(): // see what comes of it
		s.c = c
		s.call("repair with an old catalog", func() { c.Repair(ctx, nil) }) //nolint:errcheck // whatever it says
		s.call("close", func() { err = c.Close() })
	case c != nil:
		s.c = c
		s.fail("an old catalog was opened")
		return
	case !errors.Is(err, ErrStaleCatalog) && !s.powerIsOff():
		s.fail("an old catalog: %v", err)
		return
	}
	s.w.restart()
	for _, name := range s.catalogFiles() {
		os.Remove(name)
	}
	if err := os.WriteFile(s.catalogFiles()[0], fresh, 0o600); err != nil {
		s.fail("%v", err)
	}
	s.open()
	if s.err == nil {
		if err := s.audit(false); err != nil {
			s.fail("after an old catalog: %v", err)
		}
	}
}
