package placement

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
	"math/rand/v2"
)

// Options say how a table is built and changed. The zero value chooses.
type Options struct {
	PGs     int    // placement groups, a power of two; 0: enough for 100 shards on the smallest disk
	Seed    uint64 // of the mixing
	Scatter int    // disks that share a group with a disk, about; 0: as many as can be
	Holes   bool   // of Change: leave shards without a disk where fewer fit than there are
}

// Limits of tables.
const (
	MaxPGs    = 1 << 18
	MaxShards = 255
)

// A Table gives each placement group the disks of its shards.
type Table struct {
	n     int
	shift uint
	rows  []DiskID // n for each group
}

// NewTable makes a table of rows of n disks, None where a shard has none.
func NewTable(n int, rows []DiskID) (*Table, error) {
	if n < 1 || n > MaxShards || len(rows)%n != 0 {
		return nil, fmt.Errorf("%w: a table of %d disks in rows of %d", ErrRule, len(rows), n)
	}
	pgs := len(rows) / n
	if err := checkPGs(pgs); err != nil {
		return nil, err
	}
	return &Table{n, shiftOf(pgs), rows}, nil
}

func checkPGs(pgs int) error {
	if pgs < 1 || pgs > MaxPGs || pgs&(pgs-1) != 0 {
		return fmt.Errorf("%w: %d placement groups; want a power of two up to %d", ErrRule, pgs, MaxPGs)
	}
	return nil
}

func shiftOf(pgs int) uint { return uint(64 - bits.TrailingZeros(uint(pgs))) }

// PGs is the number of placement groups.
func (t *Table) PGs() int { return len(t.rows) / t.n }

// N is the number of shards of a group.
func (t *Table) N() int { return t.n }

// PG is the placement group of a stripe: the top bits of its number times 2^64 over the
// golden ratio. Stripes are numbered one after another, and so spread over the groups more
// evenly than by a hash, which would leave a disk of 1,000 stripes 3 % from its share.
func (t *Table) PG(stripe uint64) int { return int((stripe * 0x9e3779b97f4a7c15) >> t.shift) }

// Disks returns the disk of each shard of a group, None where there is none. It must not be
// changed.
func (t *Table) Disks(pg int) []DiskID { return t.rows[pg*t.n : (pg+1)*t.n : (pg+1)*t.n] }

// Split gives each group two successors with the same disks; no stripe changes its disks.
func (t *Table) Split() (*Table, error) {
	rows := make([]DiskID, 0, 2*len(t.rows))
	for pg := range t.PGs() {
		rows = append(append(rows, t.Disks(pg)...), t.Disks(pg)...)
	}
	return NewTable(t.n, rows)
}

// Digest is a SHA-256 of the table: equal tables have equal digests, on every machine.
func (t *Table) Digest() string {
	h := sha256.New()
	p := binary.LittleEndian.AppendUint32(nil, uint32(t.n))
	for _, d := range t.rows {
		p = binary.LittleEndian.AppendUint32(p, uint32(d))
	}
	h.Write(p)
	return hex.EncodeToString(h.Sum(nil))
}

// Build deals n shards of each placement group to the disks of m within the rule.
func Build(m *Map, n int, r Rule, o Options) (*Table, error) {
	t, err := m.Tree()
	if err != nil {
		return nil, err
	}
	return t.Build(n, r.Limits(), o)
}

// Build deals n shards of each placement group to the disks within the limits.
func (t *Tree) Build(n int, l Limits, o Options) (*Table, error) {
	s, err := t.solver(n, l, o)
	if err != nil {
		return nil, err
	}
	if s.fit < n {
		return nil, s.tooFew(l)
	}
	s.forest.round()
	s.deal()
	s.mix(o.Scatter)
	s.turn()
	return s.table(), nil
}

// tooFew is the error of limits that cannot be met.
func (s *solver) tooFew(l Limits) error {
	return fmt.Errorf("%w: at most %d of %d shards fit on %d disks with %s; add disks or domains, or use a narrower scheme",
		ErrRule, s.fit, s.n, len(s.tree.leaves), l)
}

// A solver makes and changes rows of positions of disks in the tree.
type solver struct {
	tree   *Tree
	n, pgs int
	fit    int    // shards of a group that fit, at most n
	limits limits // what is asked
	even   limits // what is tried first
	forest forest
	rows   []int32 // n for each group; -1: no disk
	rng    *rand.Rand
}

const noDisk = int32(-1)

// solver checks what is asked and works out the shares.
func (t *Tree) solver(n int, l Limits, o Options) (*solver, error) {
	if n < 1 || n > MaxShards {
		return nil, fmt.Errorf("%w: %d shards; want 1 to %d", ErrRule, n, MaxShards)
	}
	if o.Scatter < 0 {
		return nil, fmt.Errorf("%w: a scatter width of %d disks", ErrRule, o.Scatter)
	}
	b, err := t.bind(l, n)
	if err != nil {
		return nil, err
	}
	f := t.newForest(l, n)
	s := &solver{tree: t, n: n, pgs: o.PGs, fit: f[0].most, forest: f}
	if s.pgs == 0 {
		s.pgs = f.choosePGs(s.fit)
	}
	if err := checkPGs(s.pgs); err != nil {
		return nil, err
	}
	f.fill(s.fit, s.pgs)
	s.limits, s.even = b.prune(n), b.even(t, f, s.pgs).below(n)
	s.rng = rand.New(rand.NewPCG(o.Seed, uint64(s.pgs)))
	return s, nil
}

// choosePGs takes enough groups for 100 shards on the disk with the smallest share, from 64
// up, as far as the table stays small.
func (f forest) choosePGs(n int) int {
	const few = 1 << 10
	f.fill(n, few)
	least := uint64(few * unit)
	for i := range f {
		if len(f[i].children) == 0 && f[i].share > 0 {
			least = min(least, f[i].share)
		}
	}
	pgs := 64
	for pgs < 1<<16 && uint64(pgs)*(least>>10) < 100*unit {
		pgs *= 2
	}
	return pgs
}

func (s *solver) row(pg int) []int32 { return s.rows[pg*s.n : (pg+1)*s.n : (pg+1)*s.n] }

func (s *solver) table() *Table {
	rows := make([]DiskID, len(s.rows))
	for i, x := range s.rows {
		rows[i] = None
		if x >= 0 {
			rows[i] = s.tree.leaves[x].ID
		}
	}
	return &Table{s.n, shiftOf(s.pgs), rows}
}

// deal lists the shards in tree order and gives the j-th to group j mod pgs. A domain is an
// interval of the list, so a group gets at most ceil(load/pgs) of it, which is within its
// limit, and a disk at most once.
func (s *solver) deal() {
	s.rows = make([]int32, s.pgs*s.n)
	pg, i := 0, 0
	for d, load := range s.forest.disks(len(s.tree.leaves), func(d *node) int64 { return d.load }) {
		for range load {
			s.rows[pg*s.n+i] = int32(d)
			if pg++; pg == s.pgs {
				pg, i = 0, i+1
			}
		}
	}
}

// mix swaps shards between groups where both stay evenly spread, so that the shards of
// a disk have many peers; no disk's number of shards changes. Peers are disks whose shards
// were dealt to groups near each other: with a scatter width, groups swap with near ones.
func (s *solver) mix(scatter int) {
	if s.pgs < 2 {
		return
	}
	if scatter == 0 || scatter >= len(s.tree.leaves)-1 {
		s.swap(s.pgs/2, s.tries())
		return
	}
	dealt := append([]int32(nil), s.rows...)
	reach, step := 0, 1
	for step*2 <= s.pgs/2 {
		step *= 2
	}
	for ; step > 0; step /= 2 { // the widest reach that gives no more peers than were asked for
		copy(s.rows, dealt)
		s.rng = rand.New(rand.NewPCG(uint64(reach+step), uint64(s.pgs)))
		s.swap(reach+step, s.tries())
		if s.scatter() <= float64(scatter) {
			reach += step
		}
	}
	copy(s.rows, dealt)
	s.rng = rand.New(rand.NewPCG(uint64(reach), uint64(s.pgs)))
	s.swap(reach, s.tries())
}

// tries is how many swaps a shard tries: enough for each disk to meet every other.
func (s *solver) tries() int {
	perDisk := len(s.rows)/len(s.tree.leaves) + 1
	return min(8, max(1, 1200/perDisk))
}

// swap lets every shard try to change places with one of a group at most reach away.
func (s *solver) swap(reach, tries int) {
	if reach < 1 {
		return
	}
	span := uint64(2*reach + 1)
	for p := range s.pgs {
		row := s.row(p)
		for a := range row {
			for range tries {
				r := s.rng.Uint64()
				q := p + int((r>>32)*span>>32) - reach
				b := int((r & 0xffffffff) * uint64(s.n) >> 32)
				if q < 0 {
					q += s.pgs
				} else if q >= s.pgs {
					q -= s.pgs
				}
				other := s.row(q)
				x, y := row[a], other[b]
				if p != q && x != y && s.even.fits(row, a, y) && s.even.fits(other, b, x) {
					row[a], other[b] = y, x
				}
			}
		}
	}
}

// scatter is the mean number of disks that share a group with a disk.
func (s *solver) scatter() float64 { return scatter(s.rows, s.n, len(s.tree.leaves)) }

// scatter counts the peers of every disk, or of some when there are many.
func scatter(rows []int32, n, disks int) float64 {
	const most = 2048
	words, step := (disks+63)/64, 1+(disks-1)/(8*most)
	peers := make([]uint64, words*((disks+step-1)/step))
	for i := 0; i+n <= len(rows); i += n {
		for _, x := range rows[i : i+n] {
			if x < 0 || int(x)%step != 0 {
				continue
			}
			set := peers[int(x)/step*words : (int(x)/step+1)*words]
			for _, y := range rows[i : i+n] {
				if y >= 0 && y != x {
					set[y>>6] |= 1 << (y & 63)
				}
			}
		}
	}
	sum, used := 0, 0
	for at := 0; at < len(peers); at += words {
		c := 0
		for _, w := range peers[at : at+words] {
			c += bits.OnesCount64(w)
		}
		sum += c
		used += min(c, 1)
	}
	return float64(sum) / float64(max(used, 1))
}

// turn orders the disks of each row so that every disk has every shard index about equally
// often: each index in turn goes to the disk that had it the least.
func (s *solver) turn() {
	had := make([]int32, len(s.tree.leaves)*s.n)
	left := make([]int32, s.n)
	for p := range s.pgs {
		row := s.row(p)
		copy(left, row)
		rest := left
		for step := range s.n { // the index that chooses first changes from row to row
			i := (p + step) % s.n
			best, least := 0, int32(0)
			for j, d := range rest {
				if h := had[int(d)*s.n+i]; j == 0 || h < least || h == least && d < rest[best] {
					best, least = j, h
				}
			}
			d := rest[best]
			row[i] = d
			had[int(d)*s.n+i]++
			rest[best] = rest[len(rest)-1]
			rest = rest[:len(rest)-1]
		}
	}
}
