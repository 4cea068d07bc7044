package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/erasure"
	"github.com/wattle-storage/wattle/placement"
	"github.com/wattle-storage/wattle/seal"
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
	keys    seal.Ring
	pool    *pool
	opener  DiskOpener
	byID    map[placement.DiskID]placementDisk

	mu       sync.Mutex
	disks    map[placement.DiskID]disks.Disk // guarded by mu; those that are open
	absent   map[placement.DiskID]string     // guarded by mu; why the others are not
	suspects map[placement.DiskID]suspicion  // guarded by mu
	shelf    map[placement.DiskID]shelved    // guarded by mu; open, and out of service
	errors   map[placement.DiskID]int64      // guarded by mu; writes that failed, bad shards and missed deadlines
	pins     map[uint64]int                  // guarded by mu; readers by sequence
	damages  map[damage]bool                 // guarded by mu; found, not yet in the catalog
	retired  []retirement                    // guarded by mu; old places that somebody may still read

	faulting sync.Mutex // held while the list of failed disks is changed

	reserve *reserve // nil for readers, and where disks are not directories

	lock  *lockFile
	lease *lease

	incarnation uint32
	sequence    atomic.Uint64 // of the newest batch
	committed   atomic.Uint64 // of the newest batch that was committed
	checkpoint  atomic.Uint64 // the batch whose state the newest checkpoint holds
	spent       atomic.Bool   // journals that a checkpoint made useless may be left
	stripes     atomic.Uint64
	commits     atomic.Int64
	uncertain   atomic.Pointer[error] // a commit of which nobody knows how it ended; no other follows
	tried       bool                  // a batch after the last committed one was given up; of the committer
	unsaid      int64                 // bytes of the last batch, which no later one names; of the committer
	carrier     *stripe               // of the last batch, until its disks are marked; of the committer
	reserved    uint64                // sequences up to this one may be used; of the committer

	told          atomic.Bool  // somebody was told that a file system is full
	submitting    atomic.Int64 // callers of submit
	seen          sync.Map     // names of buckets that were there a moment ago
	settings      settingsCache
	usage         usage
	serving       atomic.Int64 // reads and writes of objects that are under way
	processors    int
	rebuilds      *rebuilds
	book          book
	outbox        outbox
	following     atomic.Pointer[StandbyStatus] // nil while this process ships nothing
	clock         func() time.Time
	threadTime    func() (time.Duration, bool)
	requests      chan *request
	closing       chan struct{}
	committerDone chan struct{}
	closeOnce     sync.Once
	closeErr      error
	reaping       *semaphore.Weighted // held across I/O, one at a time
	repairing     *semaphore.Weighted // likewise
	checkpointing *semaphore.Weighted // likewise
	background    sync.WaitGroup

	codes sync.Map // erasure.Scheme -> *erasure.Code

}

// A placementDisk is a disk of the map with its path.
type placementDisk struct {
	placement.Disk
	site, rack, host string
}

func (d placementDisk) path() string {
	return strings.Join([]string{d.site, d.rack, d.host, d.Name}, "/")
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
	return blank(dir, o), nil
}

// blank is a cluster of which nothing was read yet.
func blank(dir string, o Options) *Cluster {
	c := &Cluster{dir: dir, readOnly: o.ReadOnly, keys: o.Keys, deadline: o.Deadline, notify: o.Notify, opener: o.Open, reaping: semaphore.NewWeighted(1), repairing: semaphore.NewWeighted(1), checkpointing: semaphore.NewWeighted(1),
		pool: newPool(cmpOr(o.Memory, defaultMemory)), byID: map[placement.DiskID]placementDisk{},
		disks: map[placement.DiskID]disks.Disk{}, absent: map[placement.DiskID]string{}, suspects: map[placement.DiskID]suspicion{},
		shelf: map[placement.DiskID]shelved{}, errors: map[placement.DiskID]int64{},
		pins: map[uint64]int{}, damages: map[damage]bool{},
		requests: make(chan *request, 1024), closing: make(chan struct{}), committerDone: make(chan struct{})}
	c.processors = runtime.GOMAXPROCS(0)
	if c.deadline == 0 {
		c.deadline = 2 * time.Second
	}
	if c.notify == nil {
		c.notify = func(string, ...any) {}
	}
	if c.clock = o.Now; c.clock == nil {
		c.clock = wallClock
	}
	if c.threadTime = o.threadTime; c.threadTime == nil {
		c.threadTime = threadTime
	}
	if c.opener == nil {
		c.opener = directories{dir}
	}
	return c
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
		if o.Open == nil {
			c.reserve = openReserve(c.dir)
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
	c.catalog.around, c.catalog.watch = o.around, o.watch
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
	if err := c.unlock(); err != nil {
		return fmt.Errorf("%s: %w", c.dir, err)
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
	if err := c.readCheckpointed(); err != nil {
		return err
	}
	if c.readOnly {
		return c.warnOfAge()
	}
	if err := c.begin(ctx); err != nil {
		return err
	}
	started = true
	go c.commitLoop()
	c.background.Go(c.keepBook)
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
	if c.table, err = c.loadTable(); err != nil {
		return fmt.Errorf("placement: %w", err)
	}
	c.shard = shardLength(c.config.Scheme)
	c.rebuilds = newRebuilds(c.config.Scheme)
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
	identity := c.config.identities()
	for id, d := range c.byID {
		if failed[d.path()] {
			c.absent[id] = stateFailed
			continue
		}
		wg.Go(func() {
			disk, err := c.openDisk(identity(d))
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

func (c *Cluster) openDisk(want disks.Identity) (disks.Disk, error) {
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
	c.refreshIdentities()
	unchecked, err := c.catalog.unchecked()
	if err != nil {
		return err
	}
	for id := range c.absent {
		if name := c.name(id); !slices.Contains(unchecked, name) {
			unchecked = append(unchecked, name)
		}
	}
	slices.Sort(unchecked)
	return c.openBook(ctx, func(t *tx) error {
		return errors.Join(t.setNumber("incarnation", uint64(c.incarnation)), t.setUnchecked(unchecked))
	})
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
			h, _, err := newest.Newest(ctx)
			if err != nil {
				return
			}
			m := disks.MarkOf(d)
			h.Incarnation, h.Committed = max(h.Incarnation, m.Incarnation), max(h.Committed, m.Committed)
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

// warnOfAge tells a reader of a catalog that is older than its disks what it does not show. It
// asks only for marks, which cost little.
func (c *Cluster) warnOfAge() error {
	newest, name := disks.Mark{}, ""
	for _, id := range c.diskIDs() {
		if m := disks.MarkOf(c.disk(id)); m.Committed > newest.Committed {
			newest, name = m, c.name(id)
		}
	}
	now, err := c.catalog.number("sequence") // a writer marks its disks after it has committed
	if err == nil && newest.Committed > now {
		c.notify("%s: %v: it knows batch %d, and disk %s has seen %d; what came after is not shown: `wattle recover` brings it back",
			c.dir, ErrStaleCatalog, now, name, newest.Committed)
	}
	return err
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
			c.saveWork() // time needs no writing: the next writer counts it
		} else {
			c.leaveNotes()
			c.leaveLedgerNote()
		}
		err = errors.Join(err, c.catalog.close())
	}
	for _, id := range c.diskIDs() {
		if d := c.disk(id); d != nil {
			err = errors.Join(err, d.Close())
		}
		if s, ok := c.shelf[id]; ok {
			err = errors.Join(err, s.disk.Close())
		}
	}
	if c.lease != nil {
		err = errors.Join(err, c.lease.release())
	}
	c.reserve.close()
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

// Counters sums the calls that reached the disks.
func (c *Cluster) Counters() disks.Counters {
	var sum disks.Counters
	for _, id := range c.diskIDs() {
		if d := c.disk(id); d != nil {
			sum = sum.Plus(d.Counters())
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
