package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/cespare/xxhash/v2"

	"github.com/wattle-storage/wattle/cluster"
)

// Repair makes the file of one shard of an object anew, the plain way: read the same piece of
// k others, check it, decode, append, and sync at the end.
func (l *Loop) Repair(key string, lost int) error {
	p := l.stripes.Get().(*[]byte)
	defer l.stripes.Put(p)
	var files []*os.File
	defer func() { closeAll(files) }()
	var sums [][]byte
	size, piece := int64(0), 0
	var from []int
	for i := 0; len(from) < l.k; i++ {
		if i == lost {
			continue
		}
		f, err := os.Open(l.path(i, key))
		if err != nil {
			return err
		}
		files, from = append(files, f), append(from, i)
		var s []byte
		if s, size, piece, err = l.readEnd(f); err != nil {
			return fmt.Errorf("%s: %w", f.Name(), err)
		}
		sums = append(sums, s)
	}
	out, err := os.OpenFile(l.path(lost, key), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	var fresh []byte
	for left, at := size, int64(0); left > 0; at += int64(piece) {
		n := int(min(left, int64(l.k)*int64(piece)))
		left -= int64(n)
		made, err := l.decode(files, sums, from, lost, (*p), l.pieceOf(n), at)
		if err != nil {
			return err
		}
		fresh = binary.LittleEndian.AppendUint64(fresh, xxhash.Sum64(made))
		if err := l.write(out, made); err != nil {
			return err
		}
	}
	return l.end(out, l.trailer(fresh, size, piece))
}

// decode reads a piece of each file and computes that of the lost shard.
func (l *Loop) decode(files []*os.File, sums [][]byte, from []int, lost int, p []byte, c int, at int64) ([]byte, error) {
	shards := make([][]byte, l.k+l.m)
	for j, i := range from {
		shards[i] = p[j*c : (j+1)*c]
		if err := l.read(files[j], shards[i], at); err != nil {
			return nil, err
		}
		if xxhash.Sum64(shards[i]) != binary.LittleEndian.Uint64(sums[j]) {
			return nil, fmt.Errorf("%s: %d bytes at %d: %w", files[j].Name(), c, at, ErrMismatch)
		}
		sums[j] = sums[j][8:]
	}
	shards[lost] = p[l.k*c : l.k*c : (l.k+1)*c]
	required := make([]bool, len(shards))
	required[lost] = true
	return shards[lost][:c], l.coder.ReconstructSome(shards, required)
}

// Scrub reads the files of an object from their beginning to their end and checks every
// piece. It returns the bytes read.
func (l *Loop) Scrub(key string) (int64, error) {
	p := l.stripes.Get().(*[]byte)
	defer l.stripes.Put(p)
	total := int64(0)
	for i := range l.dirs {
		n, err := l.scrub(l.path(i, key), *p)
		total += n
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

func (l *Loop) scrub(path string, p []byte) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	sums, size, piece, err := l.readEnd(f)
	if err != nil {
		return 0, err
	}
	at := int64(0)
	for left := size; left > 0; left -= int64(l.k) * int64(piece) {
		c := l.pieceOf(int(min(left, int64(l.k)*int64(piece))))
		if err := l.read(f, p[:c], at); err != nil {
			return at, err
		}
		if xxhash.Sum64(p[:c]) != binary.LittleEndian.Uint64(sums) {
			return at, fmt.Errorf("%s: %d bytes at %d: %w", path, c, at, ErrMismatch)
		}
		sums, at = sums[8:], at+int64(c)
	}
	return at, nil
}

// Replace takes the first disk away for good and puts an empty one in its place.
func (s *Store) Replace(ctx context.Context) error {
	s.gone, s.commits = addCounters(s.gone, s.c.Counters()), s.commits+s.c.Commits()
	site := s.c.Map().Sites[0]
	host := site.Racks[0].Hosts[0]
	path := filepath.Join(site.Name, site.Racks[0].Name, host.Name, host.Disks[0].Name)
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

// upkeep measures making a lost disk anew and verifying all disks, of one large object,
// beside the plain ways.
func (b *bench) upkeep(ctx context.Context) error {
	loop, err := b.loop("loop")
	if !b.Upkeep || b.Large < 0 || err != nil {
		return err
	}
	defer os.RemoveAll(filepath.Join(b.dir, "loop"))
	source := filepath.Join(b.dir, "source")
	if err := writeSource(source, b.Large); err != nil {
		return err
	}
	put := func(store func(r io.Reader) error) error {
		return fromFile(source, func(f *os.File) error { return store(f) })
	}
	err = put(func(r io.Reader) error { return b.store.Put(ctx, "upkeep", r, b.Large) })
	if err == nil && loop != nil {
		err = put(func(r io.Reader) error { return loop.Put("upkeep", r) })
	}
	os.Remove(source)
	if err != nil {
		return err
	}
	repair := Row{Operation: "repair", Size: b.Large / int64(b.Scheme.K), Concurrency: 1, Against: "read k, decode, write 1"}
	scrub := Row{Operation: "scrub", Size: b.Large / int64(b.Scheme.K) * int64(b.Scheme.N()), Concurrency: 1, Against: "read and hash"}
	for round := range b.Rounds {
		b.Progress(fmt.Sprintf("repair and scrub, %d bytes a disk, round %d of %d", repair.Size, round+1, b.Rounds))
		if err := b.store.Replace(ctx); err != nil {
			return err
		}
		if err := b.turn(&repair.Store, repair.Size, b.store.Counts, func() error { _, err := b.store.Repair(ctx); return err }); err != nil {
			return err
		}
		if err := b.turn(&scrub.Store, scrub.Size, b.store.Counts, func() error { _, err := b.store.Scrub(ctx); return err }); err != nil {
			return err
		}
		if loop == nil {
			continue
		}
		if err := os.Remove(loop.path(0, "upkeep")); err != nil {
			return err
		}
		if err := b.turn(&repair.Other, repair.Size, loop.Counts, func() error { return loop.Repair("upkeep", 0) }); err != nil {
			return err
		}
		if err := b.turn(&scrub.Other, scrub.Size, loop.Counts, func() error { _, err := loop.Scrub("upkeep"); return err }); err != nil {
			return err
		}
	}
	b.report.Rows = append(b.report.Rows, repair, scrub)
	return b.store.Delete(ctx, "upkeep")
}

// turn measures one operation on a settled file system.
func (b *bench) turn(into *[]Sample, size int64, counts func() Counts, op func() error) error {
	settle(b.dir)
	s, err := once(size, counts, op)
	*into = append(*into, s)
	return err
}
