// Package seal encrypts what a cluster stores, so that a disk alone tells nobody what is
// written on it.
//
// A Key is a cluster's secret of 32 bytes; a Ring holds the ones that a cluster has used. A
// Box encrypts one extent, or one journal, in units of at most 16 KiB: AES-256-GCM under a key
// that HKDF-SHA256 derives from the cluster's key, from a salt of 128 random bits drawn for
// that extent, and from what it is for. Each unit grows by its tag of 16 bytes, so that with it
// a full one is as long as a block that a disk sums: any range is still one contiguous read.
//
// # What it promises
//
// The nonce of a unit is its address: stripe, shard and place in the shard. No stripe id is
// used twice, and no unit is written twice, so a nonce never comes again under one key; and
// should a cluster be copied, or an old state of it come back, so that ids do come again, the
// salt is another, and with it the key. Bytes that were changed, or that lie at another
// address, of another stripe, extent, batch or cluster, do not open: ErrTampered.
//
// It does not hide how long things are, where they lie, or when they were written.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// Errors of this package, wrapped with what they concern.
var (
	ErrTampered = errors.New("encrypted bytes do not verify")
	ErrKey      = errors.New("encryption key missing or wrong")
)

// Sizes in bytes.
const (
	Unit     = 16 << 10        // of a full unit, sealed
	Overhead = 16              // by which a unit grows
	Plain    = Unit - Overhead // of a full unit before
	SaltSize = 16
)

// Len is the length of n bytes once they are sealed.
func Len(n int64) int64 { return n + Overhead*((n+Plain-1)/Plain) }

// PlainLen is how many bytes go into n sealed ones.
func PlainLen(n int64) int64 { return n/Unit*Plain + max(0, n%Unit-Overhead) }

// A Purpose keeps the keys of different things apart.
type Purpose string

// Purposes.
const (
	ForExtent  Purpose = "wattle extent 1"
	ForJournal Purpose = "wattle journal 1"
)

// A Salt makes the key of an extent or a journal its own.
type Salt [SaltSize]byte

// NewSalt returns a random salt.
func NewSalt() (s Salt) {
	rand.Read(s[:]) // never fails
	return s
}

// A Place is the address of a unit: shard and position in the stripe, in units or bytes as the
// extent counts. At is under 2^24.
type Place struct {
	Stripe uint64
	Shard  uint8
	At     uint32
}

func (p Place) nonce() (n [12]byte) {
	if p.At >= 1<<24 {
		panic(fmt.Sprintf("seal: position %d of a shard", p.At)) // shards are far shorter
	}
	binary.BigEndian.PutUint64(n[:], p.Stripe)
	binary.BigEndian.PutUint32(n[8:], uint32(p.Shard)<<24|p.At)
	return n
}

// A Box seals and opens the units of one extent or journal. It may be used by many at once.
type Box struct{ aead cipher.AEAD }

// Box returns the box for a purpose, a cluster and a salt.
func (k Key) Box(p Purpose, cluster string, s Salt) *Box {
	secret, err := hkdf.Key(sha256.New, k.secret[:], s[:], string(p)+"\x00"+cluster, 32)
	if err == nil {
		var block cipher.Block
		if block, err = aes.NewCipher(secret); err == nil {
			var aead cipher.AEAD
			if aead, err = cipher.NewGCM(block); err == nil {
				return &Box{aead}
			}
		}
	}
	panic(fmt.Sprintf("seal: %v", err)) // the sizes are ours
}

// Seal encrypts the first n bytes of p in place; the Overhead bytes that follow take the tag.
func (b *Box) Seal(at Place, p []byte, n int) {
	nonce := at.nonce()
	b.aead.Seal(p[:0:n+Overhead], nonce[:], p[:n], nil)
}

// Open decrypts p in place and returns what is left of it without the tag. After an error
// nothing in p is of use.
func (b *Box) Open(at Place, p []byte) ([]byte, error) {
	nonce := at.nonce()
	q, err := b.aead.Open(p[:0], nonce[:], p, nil)
	if err != nil {
		return nil, ErrTampered
	}
	return q, nil
}
