// Package cluster is the store: buckets and objects on top of erasure codes, placement
// and disks.
//
// An object's bytes are extents of stripes. A put packs objects into stripes, codes them,
// appends the shards to the disks that the placement table names, syncs those disks,
// commits one catalog transaction, and only then acknowledges:
//
//	put ─> pack ─> encode ─> place ─> append+sync on n disks ─> commit catalog ─> ack
//
// # What it promises
//
// An acknowledged change (put, delete, copy, bucket made or removed) survives a crash at
// any point, and the loss of as many disks as the scheme stands. The same change is also
// a record in a journal on the disks, so that Recover can rebuild the catalog from them.
// No byte of a committed stripe changes; space is freed for whole stripes only. What a read
// returns was verified against checksums, rebuilt from other shards where needed, or is an
// error; it is never wrong bytes. One process writes to a cluster at a time; any number read.
package cluster

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/wattle-storage/wattle/erasure"
	"github.com/wattle-storage/wattle/placement"
	"github.com/wattle-storage/wattle/seal"
)

// Errors that callers branch on. Each is wrapped with what it concerns.
var (
	ErrNoCluster       = errors.New("no cluster here")
	ErrExists          = errors.New("exists already")
	ErrBucketNotFound  = errors.New("bucket not found")
	ErrBucketNotEmpty  = errors.New("bucket is not empty")
	ErrObjectNotFound  = errors.New("object not found")
	ErrVersionNotFound = errors.New("version not found")
	ErrDeleteMarker    = errors.New("the version is a delete marker")
	ErrUploadNotFound  = errors.New("multipart upload not found")
	ErrPart            = errors.New("part missing or changed")
	ErrNotSet          = errors.New("not set")
	ErrPrecondition    = errors.New("precondition failed")
	ErrBadName         = errors.New("bad name")
	ErrRange           = errors.New("range outside the object")
	ErrReadOnly        = errors.New("opened for reading only")
	ErrLocked          = errors.New("another process writes to this cluster")
	ErrTooManyFailures = errors.New("refused: would break the durability promise")
	ErrDataLost        = errors.New("data lost or corrupt beyond repair")
	ErrStaleCatalog    = errors.New("the catalog is older than its disks")
	ErrFenced          = errors.New("another writer took over")
	ErrNewer           = errors.New("made by a newer version of wattle")
	ErrNoSpace         = errors.New("no space left")
	ErrIncomplete      = errors.New("acknowledged changes would be missing; bring the disks back, or force it for good")
	ErrUnknownDomain   = errors.New("no such disk, host, rack or site")
)

// Limits of names, in bytes.
const (
	MaxKey    = 1024
	MaxBucket = 63
	minBucket = 3
)

// InitOptions say what cluster Init makes. The zero value is a three-site cluster,
// two racks a site, two hosts a rack, three disks a host, rs:9+6, helium and air
// disks in turn.
type InitOptions struct {
	Map      *placement.Map // nil: DefaultMap
	Scheme   erasure.Scheme // zero: rs:9+6
	Rule     placement.Rule // zero: the tightest even spread that the map allows
	Margin   int            // shards beyond K that a write must reach; 0 means 1, negative none
	PGs      int            // placement groups; 0 chooses
	Capacity int64          // bytes of each disk of DefaultMap; 0: by profile
	Key      seal.Key       // encrypts all that is written to the disks; zero: nothing is encrypted
}

// Options say how Open opens a cluster. The zero value opens it for writing.
type Options struct {
	ReadOnly bool
	// Memory bounds the bytes of stripes in flight; 0 means 96 MiB.
	Memory int64
	// Deadline is how long a disk may take over one write or sync before it counts as
	// missed; 0 means 2 s.
	Deadline time.Duration
	// Notify, when set, is told of things worth a line on stderr.
	Notify func(format string, a ...any)
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Keys are what the cluster is encrypted with. Who writes must have all of them; who reads
	// can do without, but for the bytes of objects.
	Keys seal.Ring
	// From, when set, is a copy of the catalog that Recover begins from, unless the disks hold a
	// newer checkpoint.
	From string
	// Force lets Recover do without batches that are missing.
	Force bool
	// Open, when set, opens the disks in place of directories (tests, simulation).
	Open DiskOpener

	around around       // of tests, for the catalog
	watch  func() error // likewise

	threadTime func() (time.Duration, bool) // of tests, in place of the system's
}

// A Bucket holds objects by key.
type Bucket struct {
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	Objects int64     `json:"objects"`
	Bytes   int64     `json:"bytes"`
}

// An Object is what the catalog knows of the bytes under a key.
type Object struct {
	Bucket      string            `json:"bucket"`
	Key         string            `json:"key"`
	Size        int64             `json:"size"`
	Modified    time.Time         `json:"modified"`
	ContentType string            `json:"content_type,omitempty"`
	Meta        map[string]string `json:"meta,omitempty"`
	Sequence    int64             `json:"sequence"` // version: the batch that wrote it, times 2^20, plus its place there
	Scheme      string            `json:"scheme,omitempty"`

	Attributes
	Versioned bool `json:"versioned,omitempty"`     // it has a version id of its own
	Marker    bool `json:"delete_marker,omitempty"` // a version that stands for a delete
	Latest    bool `json:"-"`

	// Energy is what a put used, with its part of the batch.
	Energy *Spent `json:"energy,omitempty"`

	// Missing is how many shards of the object's worst stripe the write could not place.
	// Survives is how many further shards that stripe may lose.
	Missing  int `json:"missing,omitempty"`
	Survives int `json:"survives,omitempty"`
}

// PutOptions carry what is stored beside an object's bytes.
type PutOptions struct {
	ContentType string
	Meta        map[string]string
	Size        int64 // a hint, 0 or negative when unknown
	IfAbsent    bool  // fail with ErrPrecondition when the key exists
	IfSequence  int64 // if not 0, fail unless the key has this sequence

	Attributes
	IfMatch string // if not empty, fail unless the key has this ETag; * is any
	// Finish, when set, is called after the last byte was read and before the object is
	// committed. It may fill in what is known only then, or refuse.
	Finish func(size int64, a *Attributes) error
	// Replace makes Copy take content type, metadata and attributes from here, though empty.
	Replace bool
	// Version is the version that Copy copies; empty means the latest.
	Version string
	// Room, when set, is what was reserved for it.
	Room *Reservation
	// User, when set, asks for it, and is charged for it in the energy ledger.
	User string
}

// GetOptions select a range: Length < 0 or 0 with Offset 0 means to the end. A negative
// Offset counts from the end.
type GetOptions struct {
	Offset, Length int64
	Version        string // empty: the latest
	User           string // asks for it, as with PutOptions
	// Select, when set, chooses Offset and Length for what was found, or refuses. A Length
	// of 0 then reads nothing.
	Select func(Object) (offset, length int64, err error)
}

// A Reader streams an object. Close releases its memory and its pin on the stripes.
type Reader interface {
	io.ReadCloser
	io.WriterTo
	Object() Object
	// Degraded says what the bytes read so far needed in rebuilt shards.
	Degraded() Degraded
	// Energy is what the bytes read so far took.
	Energy() Spent
}

// Degraded reports shards that a read found missing or bad and worked around.
type Degraded struct {
	Stripes int      `json:"stripes"`         // stripes that needed a rebuild
	Shards  int      `json:"shards"`          // shards missing or bad
	Disks   []string `json:"disks,omitempty"` // where, in order of name
}

// ListOptions select a page of keys in byte order.
type ListOptions struct {
	Prefix    string
	Delimiter string
	After     string // keys after this one
	Limit     int    // at most this many entries; 0 means 1000
}

// A Page is one answer of List. Next, when not empty, is the After of the next page.
type Page struct {
	Objects  []Object `json:"objects"`
	Prefixes []string `json:"prefixes,omitempty"`
	Next     string   `json:"next,omitempty"`
}

// FindOptions select objects by metadata; all that are set must hold.
type FindOptions struct {
	Bucket, Prefix string
	Meta           map[string]string // metadata that must be equal
	ContentType    string
	MinSize        int64
	MaxSize        int64 // 0: no limit
	After, Before  time.Time
}

// Status is what the cluster knows of itself.
type Status struct {
	ID             string       `json:"id"`
	Dir            string       `json:"dir"`
	Scheme         string       `json:"scheme"`
	Overhead       float64      `json:"overhead"`
	Rule           string       `json:"rule"`
	Margin         int          `json:"margin"`
	Epoch          uint64       `json:"epoch"`
	Sites          []SiteStatus `json:"sites"`
	Buckets        int64        `json:"buckets"`
	Objects        int64        `json:"objects"`
	StoredBytes    int64        `json:"stored_bytes"` // logical bytes of objects
	RawBytes       int64        `json:"raw_bytes"`    // live bytes on disks, as placed
	CapacityBytes  int64        `json:"capacity_bytes"`
	UsableBytes    int64        `json:"usable_bytes"`
	Stripes        StripeStatus `json:"stripes"`
	PendingRepairs int64        `json:"pending_repairs"`
	RepairIO       int64        `json:"repair_io_bytes"` // that repair reads and writes for them, at most
	Survives       Survival     `json:"survives"`        // as the cluster stands now
	Promise        Survival     `json:"promise"`         // with everything sound
	Writable       bool         `json:"writable"`
	WritableDown   bool         `json:"writable_site_down"` // puts go on with one site down
	Why            string       `json:"why,omitempty"`
	Key            string       `json:"key,omitempty"` // that what is written is encrypted with

	Standby *StandbyStatus `json:"standby,omitempty"`
}

// SiteStatus is one site of Status.
type SiteStatus struct {
	Name  string       `json:"name"`
	Racks int          `json:"racks"`
	Hosts int          `json:"hosts"`
	Disks []DiskStatus `json:"disks"`
}

// DiskStatus is one disk of Status. Used = Live + Dead + Pending + Padding + Preallocated.
type DiskStatus struct {
	ID       int32  `json:"id"`
	Name     string `json:"name"` // SITE/RACK/HOST/DISK
	State    string `json:"state"`
	Why      string `json:"why,omitempty"`
	Profile  string `json:"profile"`
	Capacity int64  `json:"capacity"`
	Used     int64  `json:"used"`
	Live     int64  `json:"live"`
	Dead     int64  `json:"dead"`
	Pending  int64  `json:"pending"`
	Padding  int64  `json:"padding"`
	Target   int64  `json:"target"`             // of Live, by the placement table's shares
	Draining bool   `json:"draining,omitempty"` // takes no shards, and gives up its own
	Bad      int64  `json:"bad_shards"`         // known to be damaged, and not repaired yet
	Errors   int64  `json:"errors"`             // failed or late I/Os and bad shards met since this process opened it

	Preallocated int64 `json:"preallocated"`
}

// StripeStatus counts stripes by what is left of them.
type StripeStatus struct {
	Total      int64 `json:"total"`
	Degraded   int64 `json:"degraded"`
	Unreadable int64 `json:"unreadable"`
	Misplaced  int64 `json:"misplaced"` // with shards where the rule does not allow them
}

// Survival is how much more may be lost with all still readable: any that many sites, and
// with them gone any that many disks more.
type Survival struct {
	Sites int `json:"sites"`
	Disks int `json:"disks"`
}

// Progress is told of long work: bytes done and the total when it is known.
type Progress func(done, total int64)

// RecoverReport says what Recover found on the disks.
type RecoverReport struct {
	Disks       int      `json:"disks"`
	Missing     []string `json:"missing_disks,omitempty"`
	Segments    int64    `json:"segments"`
	Shards      int64    `json:"shards"`
	Batches     int64    `json:"batches"`
	Records     int64    `json:"records"`
	Buckets     int64    `json:"buckets"`
	Objects     int64    `json:"objects"`
	Degraded    int64    `json:"degraded_stripes"`
	Unreadable  []string `json:"unreadable_objects,omitempty"`
	Uncertain   []string `json:"uncertain,omitempty"` // changes that were not known committed, and what became of them
	Incarnation uint32   `json:"incarnation"`
	Checkpoint  uint64   `json:"checkpoint"` // the batch whose state it began from; 0: none
	Sequence    uint64   `json:"sequence"`
	Gaps        []uint64 `json:"missing_batches,omitempty"` // committed, and nowhere on the disks that are there
	Shipped     int64    `json:"shipped_batches,omitempty"` // that only the log of a standby had
	BytesRead   int64    `json:"bytes_read"`
	BytesUsed   int64    `json:"bytes_used"` // of the disks
}

// A NameError says what is wrong with a bucket name or a key, and what would be right.
type NameError struct {
	Kind, Name, Why string
}

func (e *NameError) Error() string { return fmt.Sprintf("%s %q: %s", e.Kind, e.Name, e.Why) }

// Unwrap makes a NameError an ErrBadName.
func (e *NameError) Unwrap() error { return ErrBadName }
