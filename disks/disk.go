// Package disks stores the shards of stripes on disks.
//
// A disk is a set of append-only segments; a shard is appended to the newest one, and no
// byte of it ever changes until it is freed. What makes a disk is the contract Disk, with
// the test that every kind passes in diskstest: a directory (CreateDir, OpenDir), memory
// that can crash (CreateMem, OpenMem), and a wrapper that fails on demand (Faulty).
//
// # What it promises
//
// A shard that was appended before a Sync that returned nil is there after a crash. What
// Read returns was verified against checksums whose seeds hold the segment's generation, the
// stripe, the shard index and the block, so that stale, misplaced or rotten bytes give
// ErrCorrupt. Space that was freed returns to the file system where it can punch holes, and
// with the segment everywhere. The format is in doc/format.md.
package disks

import (
	"context"
	"encoding/json"
	"errors"
)

// Errors of disks, wrapped with what they concern.
var (
	ErrLost     = errors.New("the disk cannot be reached")
	ErrFull     = errors.New("the disk is full")
	ErrNoSpace  = errors.New("the file system is full")
	ErrCorrupt  = errors.New("checksum mismatch")
	ErrGone     = errors.New("nothing is stored there any more")
	ErrForeign  = errors.New("the disk belongs elsewhere")
	ErrLocked   = errors.New("another process writes to the disk")
	ErrReadOnly = errors.New("the disk was opened for reading only")
	ErrVersion  = errors.New("made by a newer version of wattle")
)

// An Address is where a shard lies on its disk. Length counts header, checksums, journal and
// padding.
type Address struct {
	Segment, Offset, Length uint32
}

// A Header is what every shard says of itself.
type Header struct {
	Stripe      uint64
	Index       uint8
	K           uint8   // data columns of the stripe
	Scheme      [4]byte // as the caller codes it
	Incarnation uint32  // the writing process
	Sequence    uint64  // the batch that was open when it was written
	Committed   uint64  // the newest batch that was known to be committed then
	Copied      bool    // made from other shards, or moved, after its batch was committed
	Paged       bool    // padded to the end of a page; Append decides
	Transform   uint8   // how Data was changed before it was stored; 0: not at all
	KeyID       uint32  // of the key of the transform
	Columns     []uint32
}

// A Shard is what Append stores.
type Shard struct {
	Header
	Data    []byte
	Journal []byte // nil unless this shard carries its batch's journal
}

// A Ref is what it takes to read any range of a shard with one contiguous read.
type Ref struct {
	Address
	Stripe   uint64
	Index, K uint8
	Size     uint32 // of the shard's data
}

// An Entry is a shard as Scan finds it.
type Entry struct {
	Address
	Header
	Size, JournalSize uint32
}

// An Identity says which disk of which cluster this is. Map is the newest description of
// the cluster that the disk has seen, for recovery.
type Identity struct {
	Format   int             `json:"format"`
	Cluster  string          `json:"cluster"`
	Disk     string          `json:"disk"`
	Number   int32           `json:"number"`
	Site     string          `json:"site"`
	Rack     string          `json:"rack"`
	Host     string          `json:"host"`
	Name     string          `json:"name"`
	Profile  string          `json:"profile"`
	Capacity int64           `json:"capacity"`
	Epoch    uint64          `json:"epoch"`
	Policies []string        `json:"policies"`
	Map      json.RawMessage `json:"map,omitempty"`
}

// Space is how a disk's bytes are used. Free is what puts may still take; Ahead is the part
// of Used that was written ahead of what is to come, and free all the same.
type Space struct {
	Capacity, Used, Ahead, Free int64
}

// Counters count the calls that reached the device. Seeks are those reads and writes that do
// not go on where the last one ended: what makes a drive move its heads.
type Counters struct {
	Reads, Writes, Syncs    int64
	ReadSeeks, WriteSeeks   int64
	BytesRead, BytesWritten int64
}

// AppendOptions modify Append.
type AppendOptions struct {
	// UseReserve lets the append take the space that is kept from puts, so that deletes,
	// repair and compaction finish on a full disk.
	UseReserve bool
	// Direct asks for more than 64 KiB to go past the system's page cache, where the file
	// system can: for bytes whose sync somebody waits for.
	Direct bool
}

// A Disk stores shards. All methods may be called at the same time; appends are taken one
// after another.
type Disk interface {
	Identity() Identity
	// SetIdentity replaces the identity at once and for good.
	SetIdentity(Identity) error

	// Append stores shards, in one write where they fit the segment. They are durable
	// after the next Sync. After an error nothing is known of them, and the segment takes no
	// more.
	Append(ctx context.Context, shards []Shard, o AppendOptions) ([]Address, error)
	// Sync makes durable what was appended before the call, save what an earlier failure made
	// doubtful (Doubtful).
	Sync(ctx context.Context) error
	// Harden makes durable all that is there, also what processes appended that are gone.
	Harden(ctx context.Context) error

	// Read fills dst with the bytes of a shard from off on, verified by block.
	Read(ctx context.Context, r Ref, off int, dst []byte) error
	// ReadRaw is Read without verifying, of no more than the range. The caller has a checksum
	// of its own.
	ReadRaw(ctx context.Context, r Ref, off int, dst []byte) error
	// ReadShard reads all of a shard, verified.
	ReadShard(ctx context.Context, a Address) (Shard, error)
	// ReadJournal reads header and journal of a shard, verified, and not its data.
	ReadJournal(ctx context.Context, a Address) (Header, []byte, error)

	// Free gives back the space of shards; freeing again does nothing. With keepJournal,
	// header and journal of those that carry one stay.
	Free(ctx context.Context, list []Address, keepJournal bool) error
	// Scan calls yield for every shard that is there, without reading data.
	Scan(ctx context.Context, yield func(Entry) error) error

	Space() Space
	Counters() Counters
	Close() error
}

// A Doubter is a disk that remembers which of its shards a failed write or sync has made
// doubtful: the segment is never synced again, so a later Sync says nothing of them.
type Doubter interface {
	Doubtful(a Address) bool
}

// Doubtful tells whether a shard that was appended to d may be gone although it was synced.
func Doubtful(d Disk, a Address) bool {
	q, ok := d.(Doubter)
	return ok && q.Doubtful(a)
}
