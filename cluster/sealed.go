package cluster

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/seal"
)

// ErrKey means that a key of an encrypted cluster was not given, or is another one.
var ErrKey = seal.ErrKey

// Objects are encrypted before they are coded. So parity, repair, rebalance, scrub and fsck
// work on what is stored, and none of them needs a key or ever encrypts anything a second time.

// transformSealed is the transform of a shard whose data and journal are encrypted.
const transformSealed = 1

// unlocks tells whether a ring holds all the keys of a cluster.
func (c config) unlocks(ring seal.Ring) error {
	for _, p := range c.Keys {
		switch k, ok := ring.Find(p.ID()); {
		case !ok:
			return fmt.Errorf("%w: the cluster is encrypted with key %s, and %s was given; name the file that holds it with --key-file or WATTLE_KEY_FILE",
				ErrKey, p.ID(), ring.IDs())
		case k.Print() != p:
			return fmt.Errorf("%w: another key has the name %s; the cluster's has the fingerprint %s", ErrKey, p.ID(), p)
		}
	}
	return nil
}

// unlock refuses a cluster whose keys are not there. Who only reads may go on without, but not
// with a wrong one.
func (c *Cluster) unlock() error {
	err := c.config.unlocks(c.keys)
	if c.readOnly && len(c.keys) == 0 {
		return nil
	}
	return err
}

// sealing is the key that new stripes are encrypted with; 0 without encryption.
func (c *Cluster) sealing() seal.ID {
	if n := len(c.config.Keys); n > 0 {
		return c.config.Keys[n-1].ID()
	}
	return 0
}

func (c *Cluster) sealingKey() (seal.Key, bool) {
	if id := c.sealing(); id != 0 {
		return c.keys.Find(id)
	}
	return seal.Key{}, false
}

// box returns what opens an extent.
func (c *Cluster) box(id seal.ID, salt seal.Salt) (*seal.Box, error) {
	k, ok := c.keys.Find(id)
	if !ok {
		return nil, fmt.Errorf("%w: it is encrypted with key %s, and %s was given; name the file that holds it with --key-file or WATTLE_KEY_FILE", ErrKey, id, c.keys.IDs())
	}
	return k.Box(seal.ForExtent, c.config.ID, salt), nil
}

// columnRoom is how many bytes of an object a column of a spread stripe takes, if it is at most
// shard bytes long on its disk.
func (c *Cluster) columnRoom(shard uint32) uint32 {
	if c.sealing() == 0 {
		return shard
	}
	return uint32(seal.PlainLen(int64(shard)))
}

// packedLen is the room that n bytes to pack take.
func (c *Cluster) packedLen(n int) int {
	if c.sealing() == 0 {
		return n
	}
	return n + seal.Overhead
}

// packInto puts data into its column, encrypted or not, and returns its extent, complete.
func (c *Cluster) packInto(column []byte, e extent, data []byte) extent {
	p := column[e.Off:][:c.packedLen(len(data))]
	copy(p, data)
	if key, ok := c.sealingKey(); ok {
		e.Key, e.Salt = key.ID(), seal.NewSalt()
		key.Box(seal.ForExtent, c.config.ID, e.Salt).Seal(e.place(), p, len(data))
	}
	e.Sum = packedSum(e.Stripe, e.Col, e.Off, p)
	return e
}

// place is the address that a packed extent is sealed with.
func (e extent) place() seal.Place { return seal.Place{Stripe: e.Stripe, Shard: e.Col, At: e.Off} }

// A plaintext is what lies in a buffer's memory before it is encrypted: size bytes, for columns
// of shard bytes each.
type plaintext struct {
	box   *seal.Box
	size  int64
	shard uint32
}

// seal moves the bytes of a spread stripe, which lie end to end, to their units and encrypts
// them. It begins at the end, since each unit's place is at or behind where its bytes are.
func (b *buffer) seal() {
	p := b.plain
	if p == nil {
		return
	}
	b.plain = nil
	cols := spread(p.size, len(b.Columns), p.shard)
	at := p.size
	for i := len(cols) - 1; i >= 0; i-- {
		for n := int64(cols[i]); n > 0; {
			unit := (n - 1) / seal.Plain
			part := n - unit*seal.Plain
			at -= part
			dst := b.shards[i][unit*seal.Unit:][:part+seal.Overhead]
			copy(dst, b.mem[at:at+part])
			p.box.Seal(seal.Place{Stripe: b.ID, Shard: uint8(i), At: uint32(unit)}, dst, int(part))
			n -= part
		}
	}
}

// readSealed reads and decrypts a range of an encrypted spread stripe. A column of which a unit
// does not verify is made anew from the other shards, once.
func (r *reader) readSealed(s *stripe, p part, mem []byte) ([][]byte, error) {
	box, err := r.c.box(p.key, p.salt)
	if err != nil {
		return nil, err
	}
	order, lo, hi := p.ranges(len(s.Columns))
	from, to := make([]int, len(lo)), make([]int, len(hi)) // of whole units, as they are stored
	for _, i := range order {
		from[i] = lo[i] / seal.Plain * seal.Unit
		to[i] = min((hi[i]+seal.Plain-1)/seal.Plain*seal.Unit, int(s.size(i)))
		if from[i] >= to[i] {
			return nil, fmt.Errorf("stripe %x: %w: extent outside its column", s.ID, ErrDataLost)
		}
	}
	column := uint32(seal.Len(int64(p.shard)))
	for bad := map[int]bool{}; ; {
		if err := r.readSpread(s, column, order, from, to, bad, mem); err != nil {
			return nil, err
		}
		plain, at, err := openSpread(box, s, mem, int(column), order, lo, hi)
		if err == nil {
			return [][]byte{plain}, nil
		}
		if bad[at] {
			return nil, fmt.Errorf("stripe %x: column %d: %w: %w", s.ID, at, ErrDataLost, err)
		}
		bad[at] = true
		r.note(s, at, errors.Join(disks.ErrCorrupt, err))
	}
}

// openSpread decrypts the ranges lo to hi of columns, each of which takes column bytes in mem,
// and returns them end to end at the beginning of mem. With an error it tells which column it
// is about.
func openSpread(box *seal.Box, s *stripe, mem []byte, column int, order, lo, hi []int) ([]byte, int, error) {
	out := mem[:0]
	for _, i := range order {
		for u := lo[i] / seal.Plain; u*seal.Plain < hi[i]; u++ {
			end := min((u+1)*seal.Unit, int(s.size(i)))
			plain, err := box.Open(seal.Place{Stripe: s.ID, Shard: uint8(i), At: uint32(u)}, mem[i*column+u*seal.Unit:i*column+end])
			a, b := max(lo[i]-u*seal.Plain, 0), min(hi[i]-u*seal.Plain, seal.Plain)
			if err == nil && b > len(plain) {
				err = fmt.Errorf("%w: %d bytes of a unit of %d", errMalformed, b, len(plain))
			}
			if err != nil {
				return nil, i, err
			}
			out = append(out, plain[a:b]...) // never ahead of what is still to be opened
		}
	}
	return out, 0, nil
}

// Journals name buckets and keys. Encrypted, one is: version, ID of the key, salt, and the
// journal as it was, sealed at the address of its batch.

const (
	sealedJournal     = 2
	sealedJournalHead = 1 + 4 + seal.SaltSize
)

func (c *Cluster) sealJournal(plain []byte, seq uint64) []byte {
	key, ok := c.sealingKey()
	if !ok {
		return plain
	}
	salt := seal.NewSalt()
	p := make([]byte, sealedJournalHead+len(plain)+seal.Overhead)
	p[0] = sealedJournal
	binary.LittleEndian.PutUint32(p[1:], uint32(key.ID()))
	copy(p[5:], salt[:])
	copy(p[sealedJournalHead:], plain)
	key.Box(seal.ForJournal, c.config.ID, salt).Seal(seal.Place{Stripe: seq}, p[sealedJournalHead:], len(plain))
	return p
}

// openJournal is decodeJournal for one that may be encrypted.
func openJournal(p []byte, keys seal.Ring, cluster string, seq uint64) ([]record, error) {
	if len(p) < sealedJournalHead || p[0] != sealedJournal {
		return decodeJournal(p)
	}
	id := seal.ID(binary.LittleEndian.Uint32(p[1:]))
	key, ok := keys.Find(id)
	if !ok {
		return nil, fmt.Errorf("journal: encrypted with key %s: %w", id, ErrKey)
	}
	plain, err := key.Box(seal.ForJournal, cluster, seal.Salt(p[5:])).Open(seal.Place{Stripe: seq}, slices.Clone(p[sealedJournalHead:]))
	if err != nil {
		return nil, fmt.Errorf("journal of batch %d: %w", seq, err)
	}
	return decodeJournal(plain)
}

// KeyReport says which keys a cluster is encrypted with.
type KeyReport struct {
	Encrypted bool       `json:"encrypted"`
	Keys      []KeyUsage `json:"keys"`
	Plain     KeyUsage   `json:"plain"` // what is not encrypted
}

// KeyUsage is what is encrypted with a key.
type KeyUsage struct {
	Key     string `json:"key,omitempty"`
	Current bool   `json:"current,omitempty"` // what is written is encrypted with it
	Known   bool   `json:"known"`             // it was given
	Stripes int64  `json:"stripes"`
	Bytes   int64  `json:"bytes"` // live, before coding
}

// Keys counts what is encrypted with which key.
func (c *Cluster) Keys(ctx context.Context) (KeyReport, error) {
	rep := KeyReport{Encrypted: c.sealing() != 0, Plain: KeyUsage{Known: true}}
	at := map[seal.ID]int{}
	for i, p := range c.config.Keys {
		_, known := c.keys.Find(p.ID())
		at[p.ID()] = i
		rep.Keys = append(rep.Keys, KeyUsage{Key: p.ID().String(), Current: p.ID() == c.sealing(), Known: known})
	}
	err := c.catalog.stripes(ctx, func(s *stripe, freed bool) error {
		u := &rep.Plain
		if i, ok := at[s.Key]; ok {
			u = &rep.Keys[i]
		}
		u.Stripes++
		if !freed {
			u.Bytes += s.Live
		}
		return nil
	})
	return rep, err
}

// RotateKey has the cluster in dir encrypt what is written from now on with another key, or
// begin to encrypt. What is there stays as it is: o.Keys must hold its keys, and the new one.
func RotateKey(ctx context.Context, dir string, o Options, key seal.Key) (err error) {
	o.ReadOnly = false
	c, err := Open(ctx, dir, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	for _, p := range c.config.Keys {
		if p.ID() == key.ID() {
			return fmt.Errorf("key %s: the cluster has used it: %w", key.ID(), ErrExists)
		}
	}
	if k, ok := c.keys.Find(key.ID()); !ok || k != key {
		return fmt.Errorf("%w: the new key %s is not among those given", ErrKey, key.ID())
	}
	next := c.config
	next.Format, next.Keys = sealedFormat, append(slices.Clone(c.config.Keys), key.Print())
	next.Map = cloneMap(c.config.Map)
	next.Map.Next = c.config.Map.Next
	next.Map.Epoch++ // by which disks and recovery tell the newest description
	blob, err := json.Marshal(next)
	if err != nil {
		return err
	}
	if err := c.catalog.update(ctx, func(t *tx) error {
		return errors.Join(t.setMeta("config", blob), t.setMeta("table", encodeTable(c.table)))
	}); err != nil {
		return err
	}
	c.config = next
	c.refreshIdentities()
	return nil
}
