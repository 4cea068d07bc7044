package cluster

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/erasure"
	"github.com/wattle-storage/wattle/placement"
	"github.com/wattle-storage/wattle/seal"
)

// none is the disk of a shard that is nowhere.
const none = placement.DiskID(-1)

// A place is where a shard lies.
type place struct {
	Disk placement.DiskID
	disks.Address
}

// A stripe is what the catalog knows of a coded stripe: the lengths of its columns and the
// places of its shards. Places are the only truth for reads; the placement table is the
// intention.
type stripe struct {
	ID      uint64
	Scheme  erasure.Scheme
	Seq     uint64  // batch that committed it
	Journal uint32  // bytes of the batch's journal that rides in it, or 0
	Key     seal.ID // that its data and journal are encrypted with; 0: they are not
	Columns []uint32
	Places  []place

	Refs int64 // extents of objects that lie in it
	Live int64 // bytes of those extents
}

func newStripe(id uint64, s erasure.Scheme, columns []uint32) *stripe {
	st := &stripe{ID: id, Scheme: s, Columns: columns, Places: make([]place, s.N())}
	for i := range st.Places {
		st.Places[i].Disk = none
	}
	return st
}

// longest is the length of the longest column, which is that of the parity shards.
func (s *stripe) longest() uint32 { return slices.Max(s.Columns) }

// first is the data shard that carries the journal, when one rides in the stripe.
func (s *stripe) first() int {
	for i, n := range s.Columns {
		if n > 0 {
			return i
		}
	}
	return 0
}

// size is the length of shard i.
func (s *stripe) size(i int) uint32 {
	if i < len(s.Columns) {
		return s.Columns[i]
	}
	return s.longest()
}

// carries tells whether shard i holds a copy of the journal.
func (s *stripe) carries(i int) bool {
	return s.Journal > 0 && (i >= len(s.Columns) || i == s.first())
}

// stored tells whether shard i should be on a disk: an empty column is a known zero.
func (s *stripe) stored(i int) bool { return s.size(i) > 0 || s.carries(i) }

// needs tells whether shard i must be kept whole: of a stripe that no object uses only the
// journal, if it carries one.
func (s *stripe) needs(i int, freed bool) bool {
	if freed || s.Refs == 0 {
		return s.carries(i)
	}
	return s.stored(i)
}

// missing counts the shards that should be on a disk and have no place.
func (s *stripe) missing() int {
	n := 0
	for i, p := range s.Places {
		if s.stored(i) && p.Disk == none {
			n++
		}
	}
	return n
}

// have tells for each shard whether it can be had: it is a known zero, or it has a place
// on a disk for which usable is true.
func (s *stripe) have(usable func(placement.DiskID) bool) []bool {
	have := make([]bool, len(s.Places))
	for i, p := range s.Places {
		have[i] = s.size(i) == 0 || p.Disk != none && usable(p.Disk)
	}
	return have
}

// row is the stripe's disks by shard, none where it has no place.
func (s *stripe) row() []placement.DiskID {
	row := make([]placement.DiskID, len(s.Places))
	for i, p := range s.Places {
		row[i] = p.Disk
	}
	return row
}

func (s *stripe) ref(i int) disks.Ref {
	return disks.Ref{Address: s.Places[i].Address, Stripe: s.ID, Index: uint8(i), K: uint8(len(s.Columns)), Size: s.size(i)}
}

// appendInfo appends what the catalog's row holds in one column: scheme, columns, places, and
// the key when there is one.
func (s *stripe) appendInfo(p []byte) []byte {
	code := s.Scheme.Code()
	p = append(p, code[:]...)
	for _, n := range s.Columns {
		p = binary.AppendUvarint(p, uint64(n))
	}
	for _, a := range s.Places {
		p = binary.AppendUvarint(p, uint64(a.Disk+1))
		if a.Disk == none {
			continue
		}
		p = binary.AppendUvarint(p, uint64(a.Segment))
		p = binary.AppendUvarint(p, uint64(a.Offset))
		p = binary.AppendUvarint(p, uint64(a.Length))
	}
	if s.Key != 0 {
		p = binary.AppendUvarint(p, uint64(s.Key))
	}
	return p
}

func (s *stripe) decodeInfo(p []byte) error {
	if len(p) < 4 {
		return fmt.Errorf("stripe %x: %w", s.ID, errMalformed)
	}
	scheme, err := erasure.SchemeFromCode([4]byte(p))
	if err != nil {
		return fmt.Errorf("stripe %x: %w", s.ID, err)
	}
	s.Scheme = scheme
	d := &decoder{p: p[4:]}
	s.Columns = make([]uint32, scheme.K)
	for i := range s.Columns {
		s.Columns[i] = uint32(d.atMost(1 << 30))
	}
	s.Places = make([]place, scheme.N())
	for i := range s.Places {
		disk := d.atMost(math.MaxInt32)
		s.Places[i].Disk = placement.DiskID(disk) - 1
		if disk == 0 {
			s.Places[i].Disk = none
			continue
		}
		s.Places[i].Segment = uint32(d.atMost(1<<32 - 1))
		s.Places[i].Offset = uint32(d.atMost(1<<32 - 1))
		s.Places[i].Length = uint32(d.atMost(1<<32 - 1))
	}
	if d.err == nil && len(d.p) > 0 {
		s.Key = seal.ID(d.atMost(1<<32 - 1))
	}
	if d.err != nil {
		return fmt.Errorf("stripe %x: %w", s.ID, d.err)
	}
	return nil
}
