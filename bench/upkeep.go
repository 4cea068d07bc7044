package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/reedsolomon"

	"github.com/wattle-storage/wattle/cluster"
)

// A Plain is the program that keeps disks up in the plain way. A disk is to it a list of files,
// read one after another as a string of bytes, piece by piece, whatever is in them.
type Plain struct {
	k       int
	piece   int
	coder   reedsolomon.Encoder
	memory  []byte
	counted struct{ reads, writes, syncs, bytesRead, bytesWritten atomic.Int64 }
}

// NewPlain makes a program for disks of which any k give the others.
func NewPlain(k, m, piece int) (*Plain, error) {
	coder, err := newCoder(k, m)
	return &Plain{k: k, piece: piece, coder: coder, memory: make([]byte, (k+1)*piece)}, err
}

// Counts are what it has asked of the file system so far.
func (p *Plain) Counts() Counts {
	c := &p.counted
	return Counts{Reads: c.reads.Load(), Writes: c.writes.Load(), Syncs: c.syncs.Load(),
		BytesRead: c.bytesRead.Load(), BytesWritten: c.bytesWritten.Load()}
}

// Repair makes the first size bytes of the first disk anew in a file, from as many of the next
// disks as it takes: it reads a piece of each, sums and decodes them, sums and appends what
// comes out, and syncs the file at the end, which holds the sums too. Disks that are shorter go
// on as zeros.
func (p *Plain) Repair(from [][]string, path string, size int64) error {
	out, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	var in []*tape
	defer func() {
		for _, t := range in {
			t.close()
		}
	}()
	for _, files := range from[:p.k] {
		in = append(in, &tape{p: p, files: files})
	}
	var sums []byte
	for left := size; left > 0; left -= int64(p.piece) {
		made, read, err := p.decode(in, int(min(left, int64(p.piece))))
		if err != nil {
			return err
		}
		sums = binary.LittleEndian.AppendUint64(append(sums, read...), xxhash.Sum64(made))
		if err := p.write(out, made); err != nil {
			return err
		}
	}
	if err := p.write(out, sums); err != nil {
		return err
	}
	p.counted.syncs.Add(1)
	return datasync(out)
}

// decode reads n bytes of each disk and computes those of the lost one. It returns them and the
// sums of what it read.
func (p *Plain) decode(in []*tape, n int) (made, sums []byte, err error) {
	shards := make([][]byte, 1, p.k+1)
	for i, t := range in {
		piece := p.memory[i*p.piece:][:n]
		got, err := t.read(piece)
		if err != nil {
			return nil, nil, err
		}
		clear(piece[got:])
		sums = binary.LittleEndian.AppendUint64(sums, xxhash.Sum64(piece))
		shards = append(shards, piece)
	}
	all := make([][]byte, p.coder.(reedsolomon.Extensions).TotalShards())
	copy(all, shards)
	all[0] = p.memory[p.k*p.piece:][:0:n]
	required := make([]bool, len(all))
	required[0] = true
	return all[0][:n], sums, p.coder.ReconstructSome(all, required)
}

// Scrub reads disks from their beginning to their end and sums every piece. It returns how many
// bytes there were, and a sum of the sums.
func (p *Plain) Scrub(of [][]string) (total int64, sum uint64, err error) {
	for _, files := range of {
		t := &tape{p: p, files: files}
		defer t.close()
		for {
			n, err := t.read(p.memory[:p.piece])
			if err != nil {
				return total, sum, err
			}
			if n == 0 {
				break
			}
			total += int64(n)
			sum = sum*31 + xxhash.Sum64(p.memory[:n])
		}
	}
	return total, sum, nil
}

func (p *Plain) write(f *os.File, b []byte) error {
	p.counted.writes.Add(1)
	p.counted.bytesWritten.Add(int64(len(b)))
	_, err := f.Write(b)
	return err
}

// A tape reads files one after another.
type tape struct {
	p     *Plain
	files []string
	f     *os.File
}

// read fills b as far as there are bytes.
func (t *tape) read(b []byte) (n int, err error) {
	for n < len(b) {
		if t.f == nil && len(t.files) == 0 {
			return n, nil
		}
		if t.f == nil {
			if t.f, err = os.Open(t.files[0]); err != nil {
				return n, err
			}
			t.files = t.files[1:]
		}
		m, err := t.f.Read(b[n:])
		n += m
		t.p.counted.reads.Add(1)
		t.p.counted.bytesRead.Add(int64(m))
		if err == io.EOF {
			t.close()
		} else if err != nil {
			return n, err
		}
	}
	return n, nil
}

func (t *tape) close() {
	if t.f != nil {
		t.f.Close()
		t.f = nil
	}
}

// Replace takes the first disk away for good and puts an empty one in its place.
func (s *Store) Replace(ctx context.Context) error {
	s.gone, s.commits = addCounters(s.gone, s.c.Counters()), s.commits+s.c.Commits()
	path := s.disks()[0]
	if err := s.c.Close(); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(s.dir, "sites", path)); err != nil {
		return err
	}
	if _, err := cluster.Restore(s.dir, filepath.ToSlash(path)); err != nil {
		return err
	}
	return s.open(ctx)
}

// disks lists the disks, as paths below the sites.
func (s *Store) disks() []string {
	var list []string
	site := s.c.Map().Sites[0]
	for _, h := range site.Racks[0].Hosts {
		list = append(list, filepath.Join(site.Name, site.Racks[0].Name, h.Name, h.Disks[0].Name))
	}
	return list
}

// files lists the segments of each disk, in order, and their bytes.
func (s *Store) files() (of [][]string, size []int64, err error) {
	for _, d := range s.disks() {
		list, err := filepath.Glob(filepath.Join(s.dir, "sites", d, "segments", "*.seg"))
		if err != nil {
			return nil, nil, err
		}
		slices.Sort(list)
		n := int64(0)
		for _, path := range list {
			info, err := os.Stat(path)
			if err != nil {
				return nil, nil, err
			}
			n += info.Size()
		}
		of, size = append(of, list), append(size, n)
	}
	return of, size, nil
}

// Repair makes what is lost anew and returns the bytes written.
func (s *Store) Repair(ctx context.Context) (int64, error) {
	r, err := s.c.Repair(ctx, nil)
	if err == nil && r.Left+r.Lost > 0 {
		err = fmt.Errorf("%d stripes are left and %d lost", r.Left, r.Lost)
	}
	return r.BytesWrite, err
}

// Scrub verifies all shards, without parity, and returns the bytes read.
func (s *Store) Scrub(ctx context.Context) (int64, error) {
	r, err := s.c.Scrub(ctx, cluster.ScrubOptions{Parity: -1, NoRepair: true, Restart: true})
	if err == nil && (!r.Complete || r.Corrupt+r.Missing > 0) {
		err = fmt.Errorf("scrub: %+v", r)
	}
	return r.BytesRead, err
}

// upkeep measures making a lost disk anew and verifying all disks, beside the plain ways, which
// read the same files.
func (b *bench) upkeep(ctx context.Context) error {
	if b.Upkeep == 0 {
		return nil
	}
	b.Progress(fmt.Sprintf("putting %d bytes on each of %d disks", b.Upkeep, b.Scheme.N()))
	size := b.Upkeep * int64(b.Scheme.K)
	if err := b.store.Put(ctx, "upkeep", sourceOf(size), size); err != nil {
		return err
	}
	plain, err := b.plain()
	if err != nil {
		return err
	}
	u := &upkeep{bench: b, plain: plain,
		repair: Row{Operation: "repair", Size: b.Upkeep, Concurrency: 1},
		scrub:  Row{Operation: "scrub", Size: b.Upkeep * int64(b.Scheme.N()), Concurrency: 1}}
	if plain != nil {
		u.repair.Against, u.scrub.Against = "read k, decode, write 1", "read and hash"
	}
	for round := range b.Rounds {
		b.Progress(fmt.Sprintf("repair and scrub, %d bytes a disk, round %d of %d", b.Upkeep, round+1, b.Rounds))
		if err := u.round(ctx, round); err != nil {
			return err
		}
	}
	b.report.Rows = append(b.report.Rows, u.repair, u.scrub)
	return b.store.Delete(ctx, "upkeep")
}

// plain makes the plain program, or none when the scheme is not one that it knows.
func (b *bench) plain() (*Plain, error) {
	if !b.loops() {
		return nil, nil
	}
	return NewPlain(b.Scheme.K, b.Scheme.M, LoopPiece)
}

// An upkeep is the measuring of repair and scrub.
type upkeep struct {
	*bench
	plain         *Plain
	repair, scrub Row
}

// round loses the first disk and has it made anew by both, and then all disks verified by both.
// Who begins changes from round to round.
func (u *upkeep) round(ctx context.Context, n int) error {
	_, sizes, err := u.store.files()
	if err == nil {
		err = u.store.Replace(ctx)
	}
	if err != nil {
		return err
	}
	copied := filepath.Join(u.dir, "made-anew")
	defer os.Remove(copied)
	repair := []func() error{
		func() error {
			return u.turn(&u.repair.Store, u.repair.Size, u.store.Counts, func() error { _, err := u.store.Repair(ctx); return err })
		},
		func() error {
			of, _, err := u.store.files()
			if err != nil || u.plain == nil {
				return err
			}
			err = u.turn(&u.repair.Other, u.repair.Size, u.plain.Counts, func() error { return u.plain.Repair(of[1:], copied, sizes[0]) })
			return errors.Join(err, os.Remove(copied))
		},
	}
	scrub := []func() error{
		func() error {
			return u.turn(&u.scrub.Store, u.scrub.Size, u.store.Counts, func() error { _, err := u.store.Scrub(ctx); return err })
		},
		func() error {
			of, _, err := u.store.files()
			if err != nil || u.plain == nil {
				return err
			}
			return u.turn(&u.scrub.Other, u.scrub.Size, u.plain.Counts, func() error { _, _, err := u.plain.Scrub(of); return err })
		},
	}
	for _, pair := range [][]func() error{repair, scrub} {
		if n%2 == 1 {
			slices.Reverse(pair)
		}
		for _, turn := range pair {
			if err := turn(); err != nil {
				return err
			}
		}
	}
	return nil
}

// turn measures one operation on a settled file system, of whose files nothing is in memory.
func (b *bench) turn(into *[]Sample, size int64, counts func() Counts, op func() error) error {
	settle(b.dir)
	if err := forget(b.dir); err != nil {
		return err
	}
	s, err := once(size, counts, op)
	*into = append(*into, s)
	return err
}
