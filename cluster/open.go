package cluster

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/erasure"
	"github.com/wattle-storage/wattle/placement"
)

// A Cluster is an open cluster. All methods may be called at the same time.
type Cluster struct {
	dir      string
	readOnly bool
	config   config
	table    *placement.Table
	shard    uint32 // longest column
	deadline time.Duration
	notify   func(string, ...any)

	catalog *catalog
	pool    *pool
	opener  DiskOpener
	byID    map[placement.DiskID]placementDisk

	mu       sync.Mutex
	disks    map[placement.DiskID]disks.Disk // guarded by mu; those that are open
	absent   map[placement.DiskID]string     // guarded by mu; why the others are not
	suspects map[placement.DiskID]suspicion  // guarded by mu
	pins     map[uint64]int                  // guarded by mu; readers by sequence
	damages  map[damage]bool                 // guarded by mu; found, not yet in the catalog

	lock  *lockFile
	lease *lease

	incarnation uint32
	sequence    atomic.Uint64 // of the newest batch
	committed   atomic.Uint64 // of the newest batch that was committed
	stripes     atomic.Uint64
	commits     atomic.Int64
	tried       bool   // a batch after the last committed one was given up; of the committer
	reserved    uint64 // sequences up to this one may be used; of the committer

	told          atomic.Bool  // somebody was told that a file system is full
	submitting    atomic.Int64 // callers of submit
	seen          sync.Map     // names of buckets that were there a moment ago
	requests      chan *request
	closing       chan struct{}
	committerDone chan struct{}
	closeOnce     sync.Once
	closeErr      error
	reaping       sync.Mutex
	background    sync.WaitGroup

	codes sync.Map // erasure.Scheme -> *erasure.Code

	beforeCommit func() error // of tests: a crash between the disks and the catalog
}

// A placementDisk is a disk of the map with its path.
type placementDisk struct {
	placement.Disk
	site, rack, host string
}

func (d placementDisk) path() string {
	return strings.Join([]string{d.site, d.rack, d.host, d.Name}, "/")
}

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
}

const configFormat = 1

type suspicion struct {
	until time.Time
	err   error
}

type damage struct {
	stripe uint64
	shard  int
}

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
	eachDisk(cfg.Map, func(d placementDisk, _ *placement.Disk) {
		if made != nil {
			return
		}
		disk, err := opener.Create(cfg.identity(d))
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
	c := config{Format: configFormat, Map: o.Map, Scheme: o.Scheme, Rule: o.Rule, Margin: o.Margin, PGs: o.PGs, Seed: 1}
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
	return c, nil
}

func (c config) build() (*placement.Table, error) {
	return placement.Build(c.Map, c.Scheme.N(), c.Rule, placement.Options{PGs: c.PGs, Seed: c.Seed})
}

// identity is what disk d says of itself.
func (c config) identity(d placementDisk) disks.Identity {
	blob, _ := json.Marshal(c) // plain data: it marshals
	return disks.Identity{Cluster: c.ID, Disk: diskUUID(c.ID, d.ID), Number: int32(d.ID), Site: d.site, Rack: d.rack, Host: d.host,
		Name: d.Name, Profile: d.Profile, Capacity: d.Capacity, Epoch: c.Map.Epoch, Policies: []string{c.Scheme.String()}, Map: blob}
}

// diskUUID names disk d of a cluster.
func diskUUID(cluster string, d placement.DiskID) string {
	return fmt.Sprintf("%s%08x", cluster[:24], uint32(d))
}

// Open opens the cluster in dir.
func Open(ctx context.Context, dir string, o Options) (*Cluster, error) {
	c, err := prepare(dir, o)
	if err != nil {
		return nil, err
	}
	if err := c.open(ctx, o); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func prepare(dir string, o Options) (*Cluster, error) {
	path := filepath.Join(dir, "catalog.db")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(dir, "sites")); err == nil {
			return nil, fmt.Errorf("%s: %w: the catalog is gone, but the disks are there: `wattle recover` makes it anew from them", dir, ErrNoCluster)
		}
		return nil, fmt.Errorf("%s: %w: make one with `wattle init`, or name another with --dir or WATTLE_DIR", dir, ErrNoCluster)
	} else if err != nil {
		return nil, err
	}
	c := &Cluster{dir: dir, readOnly: o.ReadOnly, deadline: o.Deadline, notify: o.Notify, opener: o.Open,
		pool: newPool(cmpOr(o.Memory, defaultMemory)), byID: map[placement.DiskID]placementDisk{},
		disks: map[placement.DiskID]disks.Disk{}, absent: map[placement.DiskID]string{}, suspects: map[placement.DiskID]suspicion{},
		pins: map[uint64]int{}, damages: map[damage]bool{},
		requests: make(chan *request, 1024), closing: make(chan struct{}), committerDone: make(chan struct{})}
	if c.deadline == 0 {
		c.deadline = 2 * time.Second
	}
	if c.notify == nil {
		c.notify = func(string, ...any) {}
	}
	if c.opener == nil {
		c.opener = directories{dir}
	}
	return c, nil
}

func cmpOr(a, b int64) int64 {
	if a != 0 {
		return a
	}
	return b
}

func (c *Cluster) open(ctx context.Context, o Options) (err error) {
	if !c.readOnly {
		if c.lock, err = takeLock(filepath.Join(c.dir, "LOCK")); err != nil {
			close(c.committerDone)
			return err
		}
	}
	started := false
	defer func() {
		if !started {
			close(c.committerDone)
		}
	}()
	how := forWriting
	if c.readOnly {
		how = forReading
		c.lease, err = takeLease(filepath.Join(c.dir, "leases"))
		if errors.Is(err, syscall.EROFS) { // nobody can write here, so nobody needs to be told of a reader
			how, err = frozen, nil
		}
		if err != nil {
			return err
		}
	}
	if c.catalog, err = openCatalog(filepath.Join(c.dir, "catalog.db"), how); err != nil {
		return err
	}
	blob, err := c.catalog.meta("config")
	if err == nil {
		err = json.Unmarshal(blob, &c.config)
	}
	if err != nil {
		return fmt.Errorf("catalog: cluster's description: %w: `wattle recover` makes the catalog anew", err)
	}
	if c.config.Format > configFormat {
		return fmt.Errorf("%s: format %d: %w", c.dir, c.config.Format, ErrNewer)
	}
	if err := c.setUp(); err != nil {
		return err
	}
	seq, err := c.catalog.number("sequence")
	if err != nil {
		return err
	}
	if c.reserved, err = c.catalog.number("reserved"); err != nil {
		return err
	}
	c.sequence.Store(c.reserved)
	c.committed.Store(seq)
	if c.lease != nil {
		if err := c.lease.set(seq); err != nil {
			return err
		}
	}
	if err := c.openDisks(); err != nil {
		return err
	}
	if c.readOnly {
		return nil
	}
	if err := c.begin(ctx); err != nil {
		return err
	}
	started = true
	go c.commitLoop()
	if c.tried {
		c.fence(ctx)
	}
	return nil
}

// fence commits a batch that changes nothing after one that was given up, by this process
// or by one that crashed. Without it, the catalog gone, recovery would find the last batch
// of which nothing says that it was given up, and keep it if it is whole.
func (c *Cluster) fence(ctx context.Context) {
	if _, err := c.submit(ctx, &request{rec: record{Kind: recFence, Time: c.now()}}); err != nil {
		c.notify("the last change that failed may come back if the catalog is lost before the next one: %v", err)
	}
}

// setUp derives what follows from the configuration.
func (c *Cluster) setUp() (err error) {
	if c.table, err = c.config.build(); err != nil {
		return fmt.Errorf("placement: %w", err)
	}
	c.shard = shardLength(c.config.Scheme)
	eachDisk(c.config.Map, func(d placementDisk, _ *placement.Disk) { c.byID[d.ID] = d })
	return nil
}

// openDisks opens every disk that is not marked as failed; one that cannot be opened is
// absent, and says why.
func (c *Cluster) openDisks() error {
	failed, err := readFaults(c.dir)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	var lockedErr error
	for id, d := range c.byID {
		if failed[d.path()] {
			c.absent[id] = stateFailed
			continue
		}
		wg.Go(func() {
			disk, err := c.openDisk(d)
			c.mu.Lock()
			defer c.mu.Unlock()
			switch {
			case errors.Is(err, disks.ErrLocked):
				lockedErr = fmt.Errorf("disk %s: %w", d.path(), err)
			case err != nil:
				c.absent[id] = err.Error()
			default:
				c.disks[id] = disk
			}
		})
	}
	wg.Wait()
	return lockedErr
}

func (c *Cluster) openDisk(d placementDisk) (disks.Disk, error) {
	want := c.config.identity(d)
	disk, err := c.opener.Open(want, c.readOnly)
	if err != nil {
		return nil, err
	}
	if got := disk.Identity(); got.Cluster != want.Cluster || got.Number != want.Number {
		disk.Close()
		return nil, fmt.Errorf("%w: it is disk %d of cluster %s", disks.ErrForeign, got.Number, got.Cluster)
	}
	return disk, nil
}

// begin makes this process the cluster's writer under a new incarnation, if the catalog is
// no older than the disks.
func (c *Cluster) begin(ctx context.Context) error {
	last, err := c.catalog.number("incarnation")
	if err != nil {
		return err
	}
	if err := c.checkAge(ctx, uint32(last)); err != nil {
		return err
	}
	c.incarnation = uint32(last) + 1
	if err := c.absorbNotes(); err != nil {
		return err
	}
	return c.catalog.update(ctx, func(t *tx) error { return t.setNumber("incarnation", uint64(c.incarnation)) })
}

// checkAge refuses a catalog that is older than what the disks hold: a copy that was put
// back, or one whose write-ahead log was lost.
func (c *Cluster) checkAge(ctx context.Context, incarnation uint32) error {
	var mu sync.Mutex
	var wg sync.WaitGroup
	var stale error
	committed := c.committed.Load()
	for id, d := range c.disks {
		newest, ok := d.(interface {
			Newest(context.Context) (disks.Header, bool, error)
		})
		if !ok {
			continue
		}
		wg.Go(func() {
			h, found, err := newest.Newest(ctx)
			if err != nil || !found {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			c.tried = c.tried || h.Sequence > committed
			if h.Incarnation > incarnation || h.Committed > committed {
				stale = fmt.Errorf("%s: %w: it knows writer %d and batch %d, and disk %s has seen writer %d and batch %d; `wattle recover` makes it anew from the disks",
					c.dir, ErrStaleCatalog, incarnation, committed, c.name(id), h.Incarnation, h.Committed)
			}
		})
	}
	wg.Wait()
	return stale
}

// Close ends all work in order: requests that were taken are committed first.
func (c *Cluster) Close() error {
	c.closeOnce.Do(func() {
		close(c.closing)
		<-c.committerDone
		c.background.Wait()
		c.closeErr = c.shut()
	})
	return c.closeErr
}

func (c *Cluster) shut() error {
	var err error
	if c.catalog != nil {
		if !c.readOnly {
			c.reapNow()
			err = c.absorbDamage()
		} else {
			c.leaveNotes()
		}
		err = errors.Join(err, c.catalog.close())
	}
	for _, id := range c.diskIDs() {
		if d := c.disk(id); d != nil {
			err = errors.Join(err, d.Close())
		}
	}
	if c.lease != nil {
		err = errors.Join(err, c.lease.release())
	}
	if c.lock != nil {
		err = errors.Join(err, c.lock.release())
	}
	return err
}

func (c *Cluster) stripeID() uint64 {
	return uint64(c.incarnation)<<40 | c.stripes.Add(1)
}

func (c *Cluster) code(s erasure.Scheme) *erasure.Code {
	if v, ok := c.codes.Load(s); ok {
		return v.(*erasure.Code)
	}
	code, err := erasure.New(s)
	if err != nil {
		panic(fmt.Sprintf("scheme %v: %v", s, err)) // it was validated when it was read
	}
	c.codes.Store(s, code)
	return code
}

func (c *Cluster) disk(id placement.DiskID) disks.Disk {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.disks[id]
}

func (c *Cluster) name(id placement.DiskID) string { return c.byID[id].path() }

// diskIDs returns all disks of the map in order.
func (c *Cluster) diskIDs() []placement.DiskID {
	var list []placement.DiskID
	for id := range c.byID {
		list = append(list, id)
	}
	slices.Sort(list)
	return list
}

// readable tells whether a disk can be asked for shards.
func (c *Cluster) readable(id placement.DiskID) bool { return c.disk(id) != nil }

// usable tells whether new shards may go to a disk.
func (c *Cluster) usable(id placement.DiskID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.disks[id] == nil {
		return false
	}
	s, ok := c.suspects[id]
	return !ok || time.Now().After(s.until)
}

// late tells whether a disk missed a deadline a moment ago.
func (c *Cluster) late(id placement.DiskID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.suspects[id]
	return ok && errors.Is(s.err, errLate) && time.Now().Before(s.until)
}

// suspect keeps new shards away from a disk that just failed a write.
func (c *Cluster) suspect(id placement.DiskID, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	c.mu.Lock()
	_, known := c.suspects[id]
	c.suspects[id] = suspicion{time.Now().Add(30 * time.Second), err}
	c.mu.Unlock()
	switch {
	case known:
	case !errors.Is(err, disks.ErrNoSpace):
		c.notify("disk %s: %v; its shards go elsewhere", c.name(id), err)
	case !c.told.Swap(true): // disks that share a file system fill together
		c.notify("disk %s: %v", c.name(id), err)
	}
}

// cause is what refusals add to ErrTooManyFailures: ErrNoSpace when that is why.
func (c *Cluster) cause() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.suspects {
		if time.Now().Before(s.until) && (errors.Is(s.err, disks.ErrNoSpace) || errors.Is(s.err, disks.ErrFull)) {
			return fmt.Errorf("%w: %w", ErrTooManyFailures, ErrNoSpace)
		}
	}
	return ErrTooManyFailures
}

// why says which disks cannot be written, for an error.
func (c *Cluster) why() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	sites := map[string][]string{}
	total := map[string]int{}
	for id, d := range c.byID {
		total[d.site]++
		if c.disks[id] == nil {
			sites[d.site] = append(sites[d.site], d.path())
		} else if s, ok := c.suspects[id]; ok && time.Now().Before(s.until) {
			sites[d.site] = append(sites[d.site], fmt.Sprintf("%s (%v)", d.path(), s.err))
		}
	}
	var list []string
	for site, names := range sites {
		if len(names) == total[site] {
			list = append(list, "all of "+site)
			continue
		}
		list = append(list, names...)
	}
	slices.Sort(list)
	if len(list) > 6 {
		list = append(list[:6], fmt.Sprintf("and %d more", len(list)-6))
	}
	if len(list) == 0 {
		return "too few disks"
	}
	return "down: " + strings.Join(list, ", ")
}

// pin keeps what is in the catalog now on the disks until the returned function is called.
func (c *Cluster) pin() (func(), error) {
	if c.readOnly {
		return func() {}, nil // the lease holds it
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	seq := c.committed.Load()
	c.pins[seq]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.pins[seq]--; c.pins[seq] == 0 {
			delete(c.pins, seq)
		}
	}, nil
}

// pinned is the oldest sequence that a reader may still see.
func (c *Cluster) pinned() uint64 {
	c.mu.Lock()
	seq := c.committed.Load()
	for s := range c.pins {
		seq = min(seq, s)
	}
	c.mu.Unlock()
	return min(seq, oldestLease(filepath.Join(c.dir, "leases"), seq))
}

// reap frees, beside other work, stripes that no object and no reader needs.
func (c *Cluster) reap() {
	if !c.reaping.TryLock() {
		return
	}
	c.background.Go(func() {
		defer c.reaping.Unlock()
		if err := c.reapSome(1024); err != nil {
			c.notify("free space: %v", err)
		}
	})
}

func (c *Cluster) reapNow() {
	c.reaping.Lock()
	defer c.reaping.Unlock()
	if err := c.reapSome(1 << 20); err != nil {
		c.notify("free space: %v", err)
	}
}

// reapSome frees up to limit stripes: their shards together, then their rows. The journal
// of a stripe stays, since recovery replays it.
func (c *Cluster) reapSome(limit int) error {
	list, err := c.catalog.dead(context.Background(), c.pinned()+1, limit)
	if err != nil || len(list) == 0 {
		return err
	}
	at := map[placement.DiskID][]disks.Address{}
	for _, s := range list {
		for _, p := range s.Places {
			if p.Disk != none {
				at[p.Disk] = append(at[p.Disk], p.Address)
			}
		}
	}
	failed := c.freeAt(at, true)
	done := list[:0]
	for _, s := range list {
		if !slices.ContainsFunc(s.Places, func(p place) bool { return p.Disk != none && failed[p.Disk] != nil }) {
			done = append(done, s)
		}
	}
	if len(done) == 0 {
		return nil
	}
	return c.catalog.update(context.Background(), func(t *tx) error { return t.freeStripes(done) })
}

// damaged queues a bad shard for repair.
func (c *Cluster) damaged(s *stripe, i int, err error) {
	if errors.Is(err, disks.ErrLost) || errors.Is(err, errLate) || errors.Is(err, context.DeadlineExceeded) {
		return // the disk is away, which its state says already
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.damages[damage{s.ID, i}] = true
}

// absorbDamage moves what reads found bad into the catalog.
func (c *Cluster) absorbDamage() error {
	c.mu.Lock()
	found := c.damages
	c.damages = map[damage]bool{}
	c.mu.Unlock()
	if len(found) == 0 {
		return nil
	}
	return c.catalog.update(context.Background(), func(t *tx) error {
		for d := range found {
			if err := t.addDamage(d.stripe, d.shard); err != nil {
				return err
			}
		}
		return nil
	})
}

// Counters sums the calls that reached the disks.
func (c *Cluster) Counters() disks.Counters {
	var sum disks.Counters
	for _, id := range c.diskIDs() {
		if d := c.disk(id); d != nil {
			n := d.Counters()
			sum.Reads += n.Reads
			sum.Writes += n.Writes
			sum.Syncs += n.Syncs
			sum.BytesRead += n.BytesRead
			sum.BytesWritten += n.BytesWritten
		}
	}
	return sum
}

// Commits counts the catalog transactions that committed batches.
func (c *Cluster) Commits() int64 { return c.commits.Load() }

// Map returns the cluster's map, which must not be changed.
func (c *Cluster) Map() *placement.Map { return c.config.Map }

// Scheme returns the redundancy of new objects.
func (c *Cluster) Scheme() erasure.Scheme { return c.config.Scheme }

// States of a disk in a Status.
const (
	stateActive  = "active"
	stateFailed  = "failed"
	stateMissing = "missing"
	stateSuspect = "suspect"
)

// DiskStates returns the state of every disk: active, failed (by `wattle fail`), missing
// (gone or damaged) or suspect (a write failed a moment ago).
func (c *Cluster) DiskStates() map[placement.DiskID]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	states := map[placement.DiskID]string{}
	for id := range c.byID {
		switch why, gone := c.absent[id]; {
		case gone && why == stateFailed:
			states[id] = stateFailed
		case gone:
			states[id] = stateMissing
		case time.Now().Before(c.suspects[id].until):
			states[id] = stateSuspect
		default:
			states[id] = stateActive
		}
	}
	return states
}

func (t *tx) setNumber(k string, n uint64) error {
	return t.setMeta(k, binary.LittleEndian.AppendUint64(nil, n))
}

// number reads a number of meta.
func (c *catalog) number(k string) (uint64, error) {
	v, err := c.meta(k)
	if err == nil && len(v) != 8 {
		err = errMalformed
	}
	if err != nil {
		return 0, fmt.Errorf("catalog: %s: %w", k, err)
	}
	return binary.LittleEndian.Uint64(v), nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
