package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/cluster"
	"github.com/wattle-storage/wattle/energy"
	"github.com/wattle-storage/wattle/erasure"
	"github.com/wattle-storage/wattle/placement"
)

func initCommand() *cli.Command {
	return &cli.Command{
		Name: "init", Usage: "make a cluster in a directory", Category: "cluster",
		Description: examples("wattle init", "wattle init --sites 4 --scheme lrc:12+2+2", "wattle init --dir lab --topology lab.yaml --scheme rs:4+2", "wattle init --encrypt --key-file ~/.wattle-keys"),
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "sites", Value: 3, Usage: "`N` sites"},
			&cli.IntFlag{Name: "racks", Value: 2, Usage: "`N` racks a site"},
			&cli.IntFlag{Name: "hosts", Value: 2, Usage: "`N` hosts a rack"},
			&cli.IntFlag{Name: "disks", Value: 3, Usage: "`N` disks a host"},
			&cli.StringFlag{Name: "scheme", Value: "rs:9+6", Usage: "replica:N, rs:K+M or lrc:K+L+R"},
			&cli.StringFlag{Name: "capacity", Usage: "`SIZE` of each disk, such as 18TB (default: 18TB helium, 10TB air)"},
			&cli.StringFlag{Name: "profile", Usage: "drive `PROFILES` that the disks have in turn, with commas (default: helium-5w,air-7w)"},
			&cli.StringFlag{Name: "topology", Usage: "`FILE` with the tree of sites, racks, hosts and disks, in place of the numbers"},
			&cli.BoolFlag{Name: "encrypt", Usage: "encrypt all that is written to the disks with the newest key of --key-file, which is made if it is not there"},
			&cli.IntFlag{Name: "margin", Value: 1, Usage: "losses that a write must still stand when it is acknowledged with disks missing"},
		},
		Action: func(c *cli.Context) error {
			if err := arguments(c, 0, 0, "no arguments"); err != nil {
				return err
			}
			o, err := initOptions(c)
			if err != nil {
				return err
			}
			e := envOf(c)
			if c.Bool("encrypt") {
				if o.Key, err = e.initKey(); err != nil {
					return err
				}
			}
			return runInit(c, e, o)
		},
	}
}

func initOptions(c *cli.Context) (o cluster.InitOptions, err error) {
	if o.Scheme, err = erasure.Parse(c.String("scheme")); err != nil {
		return o, err
	}
	if o.Margin = c.Int("margin"); o.Margin <= 0 {
		o.Margin = -1
	}
	if file := c.String("topology"); file != "" {
		for _, f := range []string{"sites", "racks", "hosts", "disks", "capacity", "profile"} {
			if c.IsSet(f) {
				return o, usage("--topology and --%s contradict each other: give one of them", f)
			}
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return o, err
		}
		if o.Map, err = placement.ParseTopology(text); err != nil {
			return o, fmt.Errorf("%s: %w", file, err)
		}
		return o, checkProfiles(o.Map)
	}
	for _, f := range []string{"sites", "racks", "hosts", "disks"} {
		if n := c.Int(f); n < 1 || n > 10_000 {
			return o, usage("--%s %d: want 1 or more", f, n)
		}
	}
	var capacity uint64
	if s := c.String("capacity"); s != "" {
		if capacity, err = humanize.ParseBytes(s); err != nil || capacity == 0 || capacity > 1<<56 {
			return o, usage("--capacity %q: want a size such as 18TB", s)
		}
	}
	if n := c.Int("sites") * c.Int("racks") * c.Int("hosts") * c.Int("disks"); n > 10_000 {
		return o, usage("%d disks are more than a simulated cluster can have (10,000)", n)
	}
	o.Map = cluster.DefaultMap(c.Int("sites"), c.Int("racks"), c.Int("hosts"), c.Int("disks"), int64(capacity))
	if s := c.String("profile"); s != "" {
		if err := setProfiles(o.Map, strings.Split(s, ","), capacity == 0); err != nil {
			return o, err
		}
	}
	return o, checkProfiles(o.Map)
}

// setProfiles gives the disks of a map profiles in turn, and with them their capacities.
func setProfiles(m *placement.Map, names []string, sizes bool) error {
	i := 0
	for s := range m.Sites {
		for r := range m.Sites[s].Racks {
			for h := range m.Sites[s].Racks[r].Hosts {
				for d := range m.Sites[s].Racks[r].Hosts[h].Disks {
					disk := &m.Sites[s].Racks[r].Hosts[h].Disks[d]
					p, err := energy.Lookup(names[i%len(names)])
					if err != nil {
						return usageError{err}
					}
					disk.Profile, _, _ = strings.Cut(names[i%len(names)], "@")
					if sizes && p.CapacityTB > 0 {
						disk.Capacity = int64(p.CapacityTB * 1e12)
					}
					i++
				}
			}
		}
	}
	return nil
}

func checkProfiles(m *placement.Map) error {
	for _, d := range m.Disks() {
		if _, err := energy.Lookup(d.Profile); err != nil {
			return usageError{err}
		}
	}
	return nil
}

func runInit(c *cli.Context, e *env, o cluster.InitOptions) error {
	if err := cluster.Init(e.dir, o); err != nil {
		return err
	}
	return e.with(c.Context, true, func(cl *cluster.Cluster) error {
		s, err := cl.Status(c.Context)
		if err != nil {
			return err
		}
		if e.json {
			return e.document(s)
		}
		n := 0
		for _, site := range s.Sites {
			n += len(site.Disks)
		}
		fmt.Fprintf(e.out, "%s: %s over %d sites and %d disks, %.2fx raw, at most %s shards of a stripe\n", e.dir, s.Scheme, len(s.Sites), n, s.Overhead, s.Rule)
		fmt.Fprintf(e.out, "survives %s; %s\n", survives(s.Promise), down(s))
		if s.Key != "" {
			fmt.Fprintf(e.out, "encrypted with key %s: without it all that is stored here is gone; keep a copy of it elsewhere\n", s.Key)
		}
		return nil
	})
}

// survives says a Survival in words.
func survives(s cluster.Survival) string {
	switch {
	case s.Disks < 0:
		return "nothing: some objects cannot be read now"
	case s.Sites == 0 && s.Disks == 0:
		return "no further loss"
	case s.Sites == 0:
		return "any " + count(s.Disks, "disk")
	case s.Disks == 0:
		return "any " + count(s.Sites, "site") + ", with nothing left over"
	}
	return fmt.Sprintf("any %s and then any %s", count(s.Sites, "site"), count(s.Disks, "disk"))
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	if strings.HasSuffix(thing, "s") || strings.HasSuffix(thing, "ch") {
		thing += "e"
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

func down(s cluster.Status) string {
	if s.WritableDown {
		return "puts go on with one site down"
	}
	return "with one site down it is read-only, since a put could not stand one loss more"
}
