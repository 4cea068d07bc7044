package cluster

import (
	"errors"
	"fmt"
	"slices"

	"github.com/wattle-storage/wattle/placement"
)

// reshape changes the map: disks, hosts and sites come, are drained, replaced and dropped.
func (s *simulation) reshape() {
	s.settle()
	if s.powerIsOff() || s.err != nil {
		return
	}
	ids := s.c.diskIDs()
	n := ids[s.rng.IntN(len(ids))]
	if len(s.byID) > 2*s.shape.sites*s.shape.racks*s.shape.hosts*s.shape.disks {
		n = slices.Max(ids)
	}
	d := s.byID[n]
	host, site := d.site+"/"+d.rack+"/"+d.host, d.site
	s.names++
	add := AddOptions{Kind: "disk", Path: fmt.Sprintf("%s/new%d", host, s.names), Capacity: func(string) int64 { return 1 << 40 }}
	var what string
	var run func(o Options) (ChangeReport, error)
	switch k := s.rng.IntN(10); {
	case len(s.byID) > 2*s.shape.sites*s.shape.racks*s.shape.hosts*s.shape.disks || k < 2:
		what, run = "drain "+d.path(), func(o Options) (ChangeReport, error) { return Drain(ctx, s.dir, o, d.path()) }
	case k < 3:
		what, run = "drain "+host, func(o Options) (ChangeReport, error) { return Drain(ctx, s.dir, o, host) }
	case k < 5:
		what, run = "replace "+d.path(), func(o Options) (ChangeReport, error) { return Replace(ctx, s.dir, o, d.path(), "", 0) }
	case k < 8:
		what, run = "drop", func(o Options) (ChangeReport, error) { return Drop(ctx, s.dir, o) }
	case k < 9:
		add.Kind, add.Path, add.Disks = "host", fmt.Sprintf("%s/%s/new%d", site, d.rack, s.names), s.shape.disks
		fallthrough
	default:
		what, run = "add "+add.Path, func(o Options) (ChangeReport, error) { return Add(ctx, s.dir, o, add) }
	}
	s.close()
	if s.err != nil {
		return
	}
	var rep ChangeReport
	var err error
	calm := len(s.affected) == 0
	o := s.w.options()
	s.call(what, func() { rep, err = run(o) })
	off := s.powerIsOff()
	if off {
		s.counts.Crashes++
	}
	s.w.restart()
	s.note("%s: %+v, %v", what, rep, err)
	if err == nil && !off && len(rep.Added)+len(rep.Drained)+len(rep.Dropped) > 0 {
		s.counts.Maps++
	}
	if err != nil && !off && calm && !errors.Is(err, ErrTooManyFailures) {
		s.fail("%s, with nothing wrong: %v", what, err)
	}
	s.open()
	if s.err == nil {
		if err := s.audit(false); err != nil {
			s.fail("after %s: %v", what, err)
		}
	}
}

func (s *simulation) rebalance() {
	var rep RebalanceReport
	var err error
	o := &op{name: "rebalance", run: func() { rep, err = s.c.Rebalance(ctx, RebalanceOptions{}) }}
	o.finish = func() {
		s.note("rebalance: %+v, %v", rep, err)
		s.counts.Moved += int(rep.Shards)
		s.expected(o, "rebalance", err)
	}
	s.begin(o)
	s.turns(s.rng.IntN(300))
}

// rebalanced moves all to where it belongs, when all is whole, and then no disk that is
// drained holds anything.
func (s *simulation) rebalanced() {
	var rep RebalanceReport
	var err error
	s.call("rebalance", func() { rep, err = s.c.Rebalance(ctx, RebalanceOptions{}) })
	if s.powerIsOff() || s.err != nil {
		return
	}
	if err != nil || rep.Lost > 0 || rep.Left > 0 {
		s.fail("rebalance with all whole: %+v %v, %v", rep, rep.Why(), err)
		return
	}
	used, err := s.c.holding(ctx)
	if err != nil {
		s.fail("holding: %v", err)
	}
	for id := range used {
		if s.byID[id].Out && len(rep.Reasons) == 0 {
			s.fail("disk %d is drained and holds shards after a rebalance: %+v", id, rep)
		}
	}
	if err := s.audit(true); err != nil {
		s.fail("after rebalance: %v", err)
	}
}

// know takes over what the map says now.
func (s *simulation) know() {
	s.byID, s.rule = s.c.byID, s.c.config.Rule
	for n := range s.affected {
		if _, ok := s.byID[placement.DiskID(n)]; !ok {
			delete(s.affected, n)
			delete(s.tainted, n)
			delete(s.rotted, n)
		}
	}
}
