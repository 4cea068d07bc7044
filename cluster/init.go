package cluster

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/erasure"
	"github.com/wattle-storage/wattle/placement"
	"github.com/wattle-storage/wattle/seal"
)

// A config is what a cluster is made of. It stands in the catalog and in every disk's
// identity, so that recovery finds it on any disk.
type config struct {
	Format int            `json:"format"`
	ID     string         `json:"id"`
	Map    *placement.Map `json:"map"`
	Scheme erasure.Scheme `json:"scheme"`
	Rule   placement.Rule `json:"rule"`
	Margin int            `json:"margin"`
	PGs    int            `json:"pgs"`
	Seed   uint64         `json:"seed"`
	// Keys are the fingerprints of the keys that the cluster's data is encrypted with, the
	// newest last: what is written is encrypted with that. Without any nothing is encrypted.
	Keys []seal.Print `json:"keys,omitempty"`
}

// Formats of a cluster. One that is encrypted says 2, so that a version of wattle that cannot
// read it refuses it.
const (
	plainFormat  = 1
	sealedFormat = 2
	configFormat = sealedFormat // the newest that this version reads
)

// A DiskOpener makes and opens disks by identity; directories by default.
type DiskOpener interface {
	Create(disks.Identity) (disks.Disk, error)
	Open(id disks.Identity, readOnly bool) (disks.Disk, error)
	// List returns the identities of the disks that are there, whatever the catalog says.
	List() ([]disks.Identity, error)
}

// directories keeps disks in sites/SITE/RACK/HOST/DISK below a cluster's directory.
type directories struct{ dir string }

func (d directories) path(id disks.Identity) string {
	return filepath.Join(d.dir, "sites", id.Site, id.Rack, id.Host, id.Name)
}

func (d directories) Create(id disks.Identity) (disks.Disk, error) {
	if err := os.MkdirAll(filepath.Dir(d.path(id)), 0o700); err != nil {
		return nil, err
	}
	return disks.CreateDir(d.path(id), id)
}

func (d directories) Open(id disks.Identity, readOnly bool) (disks.Disk, error) {
	return disks.OpenDir(d.path(id), disks.Options{ReadOnly: readOnly})
}

func (d directories) List() ([]disks.Identity, error) {
	paths, err := filepath.Glob(filepath.Join(d.dir, "sites", "*", "*", "*", "*"))
	if err != nil {
		return nil, err
	}
	var list []disks.Identity
	for _, p := range paths {
		disk, err := disks.OpenDir(p, disks.Options{ReadOnly: true})
		if err != nil {
			continue // not a disk, or not a sound one
		}
		list = append(list, disk.Identity())
		disk.Close()
	}
	return list, nil
}

// shardLength is the longest column for a scheme: 256 KiB, less for wide codes so that a
// stripe stays under 8 MiB, but long enough that a stripe holds more than packLimit.
func shardLength(s erasure.Scheme) uint32 {
	const most, stripe = 256 << 10, 8 << 20
	n := min(most, stripe/s.N()/16384*16384)
	least := (packLimit/s.K/4096 + 1) * 4096
	return uint32(max(n, least))
}

// DefaultMap is a map of equal sites, its disks helium and air in turn. A capacity of 0 is
// 18 TB for helium and 10 TB for air.
func DefaultMap(sites, racks, hosts, perHost int, capacity int64) *placement.Map {
	m := placement.Uniform(sites, racks, hosts, perHost, []string{"helium-5w", "air-7w"}, capacity)
	if capacity > 0 {
		return m
	}
	eachDisk(m, func(_ placementDisk, d *placement.Disk) {
		d.Capacity = 10e12
		if strings.HasPrefix(d.Profile, "helium") {
			d.Capacity = 18e12
		}
	})
	return m
}

func eachDisk(m *placement.Map, f func(placementDisk, *placement.Disk)) {
	for i := range m.Sites {
		s := &m.Sites[i]
		for j := range s.Racks {
			r := &s.Racks[j]
			for k := range r.Hosts {
				h := &r.Hosts[k]
				for l := range h.Disks {
					f(placementDisk{h.Disks[l], s.Name, r.Name, h.Name}, &h.Disks[l])
				}
			}
		}
	}
}

// Init makes a cluster in dir, which must be empty or absent.
func Init(dir string, o InitOptions) error { return initWith(dir, o, directories{dir}) }

func initWith(dir string, o InitOptions, opener DiskOpener) error {
	cfg, err := o.config()
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, "catalog.db")); err == nil {
		return fmt.Errorf("%s holds a cluster: %w", dir, ErrExists)
	}
	if list, err := os.ReadDir(dir); err == nil && len(list) > 0 {
		return fmt.Errorf("%s is not empty: %w; give an empty or a new directory", dir, ErrExists)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	var made error
	identity := cfg.identities()
	eachDisk(cfg.Map, func(d placementDisk, _ *placement.Disk) {
		if made != nil {
			return
		}
		disk, err := opener.Create(identity(d))
		if err == nil {
			err = disk.Close()
		}
		made = err
	})
	if made != nil {
		return fmt.Errorf("make disks in %s: %w", dir, made)
	}
	cat, err := newCatalog(filepath.Join(dir, "catalog.db"), cfg, numbers{})
	if err != nil {
		return err
	}
	if err := cat.close(); err != nil {
		return err
	}
	return syncDir(dir)
}

// numbers are where a catalog's counters stand: the last writer's incarnation, the newest
// committed batch, and the newest that may have been tried.
type numbers struct {
	incarnation        uint32
	sequence, reserved uint64
}

// newCatalog makes a catalog that knows the cluster and nothing else.
func newCatalog(path string, cfg config, n numbers) (*catalog, error) {
	cat, err := createCatalog(path)
	if err != nil {
		return nil, err
	}
	blob, err := json.Marshal(cfg)
	if err == nil {
		err = cat.update(context.Background(), func(t *tx) error {
			return errors.Join(t.setMeta("config", blob), t.setNumber("incarnation", uint64(n.incarnation)),
				t.setNumber("sequence", n.sequence), t.setNumber("reserved", n.reserved))
		})
	}
	if err != nil {
		cat.close()
		return nil, err
	}
	return cat, nil
}

func (o InitOptions) config() (config, error) {
	c := config{Format: plainFormat, Map: o.Map, Scheme: o.Scheme, Rule: o.Rule, Margin: o.Margin, PGs: o.PGs, Seed: 1}
	var id [16]byte
	rand.Read(id[:])
	c.ID = hex.EncodeToString(id[:])
	if c.Map == nil {
		c.Map = DefaultMap(3, 2, 2, 3, o.Capacity)
	}
	if c.Scheme == (erasure.Scheme{}) {
		c.Scheme = erasure.Scheme{Kind: erasure.RS, K: 9, M: 6}
	}
	switch {
	case c.Margin == 0:
		c.Margin = 1
	case c.Margin < 0:
		c.Margin = 0
	}
	if err := c.Scheme.Validate(); err != nil {
		return c, err
	}
	if err := c.Map.Validate(); err != nil {
		return c, err
	}
	if c.Rule == (placement.Rule{}) {
		r, err := placement.Tightest(c.Map, c.Scheme.N())
		if err != nil {
			return c, err
		}
		c.Rule = r
	}
	t, err := c.build()
	if err != nil {
		return c, err
	}
	c.PGs = t.PGs()
	if o.Key != (seal.Key{}) {
		c.Format, c.Keys = sealedFormat, []seal.Print{o.Key.Print()}
	}
	return c, nil
}

func (c config) build() (*placement.Table, error) {
	return placement.Build(c.Map, c.Scheme.N(), c.Rule, placement.Options{PGs: c.PGs, Seed: c.Seed})
}

// identity is what disk d says of itself.
func (c config) identity(d placementDisk) disks.Identity { return c.identities()(d) }

// identities returns identity for many disks, which all have the same description.
func (c config) identities() func(placementDisk) disks.Identity {
	blob, _ := json.Marshal(c) // plain data: it marshals
	return func(d placementDisk) disks.Identity {
		return disks.Identity{Cluster: c.ID, Disk: diskUUID(c.ID, d.ID), Number: int32(d.ID), Site: d.site, Rack: d.rack, Host: d.host,
			Name: d.Name, Profile: d.Profile, Capacity: d.Capacity, Epoch: c.Map.Epoch, Policies: []string{c.Scheme.String()}, Map: blob}
	}
}

// diskUUID names disk d of a cluster.
func diskUUID(cluster string, d placement.DiskID) string {
	return fmt.Sprintf("%s%08x", cluster[:24], uint32(d))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
