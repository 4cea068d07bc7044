package whatif

import (
	"fmt"
)

// A site is a place with its part of the drives.
type site struct {
	name     string
	share    float64
	pue      pueOf
	grid     int // -1: none
	erf, ref int
}

// A pueOf is how a site's PUE follows: 1 + Σ coefficient·input, or by the load.
type pueOf struct {
	constant    int // -1: not constant
	compressor  int // -1: not by temperatures
	fans, other int
	load        float64 // mean part of the compressor's full load
	fixed, prop int
	otherIT     float64
}

// A sitesKey tells apart the sites of choices.
type sitesKey struct {
	sites     int
	pue, grid Range
}

// placeSites gives a plan its sites, each with its PUE and grid.
func (m *model) placeSites(p *plan, c Choice) error {
	key := sitesKey{sites: c.Sites}
	if c.PUE != nil {
		key.pue = *c.PUE
	}
	if c.GPerKWh != nil {
		key.grid = *c.GPerKWh
	}
	if list, ok := m.placed[key]; ok {
		p.sites = list
		return nil
	}
	list := m.s.Sites
	if c.Sites > 0 && c.Sites != len(list) {
		list = make([]Site, c.Sites)
		for i := range list {
			list[i].Name = fmt.Sprintf("site%d", i+1)
		}
	}
	if len(list) == 0 {
		list = []Site{{Name: "site1"}}
	}
	sum := 0.0
	for _, s := range list {
		sum += orElse(s.Share, 1)
	}
	for _, s := range list {
		x, err := m.siteOf(s, c)
		if err != nil {
			return err
		}
		x.share = orElse(s.Share, 1) / sum
		p.sites = append(p.sites, x)
	}
	m.placed[key] = p.sites
	return nil
}
