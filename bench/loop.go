package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/reedsolomon"
)

// A Loop is the plain program: objects as one file a shard, each in a directory of its own
// as if that were a disk. It is written as well as a plain loop can be: memory is reused,
// pieces fit the caches, and the coder runs on the number of goroutines that suits it.
//
// A shard file holds its pieces one after another, then their sums, then the object's size
// and the length of a piece. The last stripe is as short as its bytes allow.
type Loop struct {
	k, m    int
	piece   int
	writers int
	coder   reedsolomon.Encoder
	dirs    []string
	stripes sync.Pool // *[]byte, a stripe each
	counted struct{ reads, writes, syncs, bytesRead, bytesWritten atomic.Int64 }
}

// ErrMismatch means that a piece does not match its sum.
var ErrMismatch = errors.New("checksum mismatch")

// LoopPiece is the length of a piece of a shard: 14 of them stay in a second-level cache
// and a call to write moves enough.
const LoopPiece = 256 << 10

// trailerSize is what follows the sums: size of the object, length of a piece.
const trailerSize = 16

// NewLoop makes the directories of a loop for k+m shards below dir. Of a small object,
// writers shards are written at a time; 0 means all.
func NewLoop(dir string, k, m, piece, writers int) (*Loop, error) {
	coder, err := newCoder(k, m)
	if err != nil {
		return nil, err
	}
	if writers <= 0 {
		writers = k + m
	}
	l := &Loop{k: k, m: m, piece: piece, writers: writers, coder: coder}
	l.stripes.New = func() any { p := make([]byte, (k+m)*piece); return &p }
	for i := range k + m {
		d := filepath.Join(dir, fmt.Sprintf("disk%d", i))
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, err
		}
		l.dirs = append(l.dirs, d)
	}
	return l, nil
}

// newCoder makes a coder that runs on the number of goroutines that suits it.
func newCoder(k, m int) (reedsolomon.Encoder, error) {
	goroutines := 1 // up to ten inputs; beyond, the library takes its quick path only with two
	if k > 10 {
		goroutines = 2
	}
	return reedsolomon.New(k, m, reedsolomon.WithMaxGoroutines(goroutines))
}

// Counts are what the loop has asked of the file system so far.
func (l *Loop) Counts() Counts {
	c := &l.counted
	return Counts{Reads: c.reads.Load(), Writes: c.writes.Load(), Syncs: c.syncs.Load(),
		BytesRead: c.bytesRead.Load(), BytesWritten: c.bytesWritten.Load()}
}

func (l *Loop) path(shard int, key string) string { return filepath.Join(l.dirs[shard], key) }

// pieceOf is the length of the pieces of a stripe that holds n bytes.
func (l *Loop) pieceOf(n int) int { return (n + l.k - 1) / l.k }

// Put stores what r gives. An object of one stripe has its shards written side by side;
// a longer one is read, coded, hashed and written stripe by stripe.
func (l *Loop) Put(key string, r io.Reader) error {
	p := l.stripes.Get().(*[]byte)
	defer l.stripes.Put(p)
	data := (*p)[:l.k*l.piece]
	n, err := io.ReadFull(r, data)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return l.putSmall(key, *p, n)
	} else if err != nil {
		return err
	}
	return l.putLarge(key, *p, r)
}

// encode lays n bytes out as a stripe and codes it.
func (l *Loop) encode(p []byte, n int) ([][]byte, error) {
	c := l.pieceOf(n)
	clear(p[n : l.k*c])
	shards := make([][]byte, l.k+l.m)
	for i := range shards {
		shards[i] = p[i*c : (i+1)*c]
	}
	if n == 0 {
		return shards, nil
	}
	return shards, l.coder.Encode(shards)
}

func (l *Loop) putSmall(key string, p []byte, n int) error {
	shards, err := l.encode(p, n)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	errs := make([]error, len(shards))
	for w := range min(l.writers, len(shards)) {
		write := func() {
			for i := w; i < len(shards); i += l.writers {
				errs[i] = l.putShard(l.path(i, key), shards[i], n)
			}
		}
		if l.writers == 1 {
			write()
		} else {
			wg.Go(write)
		}
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (l *Loop) putShard(path string, piece []byte, size int) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	file := make([]byte, 0, len(piece)+8+trailerSize)
	file = binary.LittleEndian.AppendUint64(append(file, piece...), xxhash.Sum64(piece))
	return l.end(f, l.trailer(file, int64(size), len(piece)))
}

func (l *Loop) trailer(p []byte, size int64, piece int) []byte {
	p = binary.LittleEndian.AppendUint64(p, uint64(size))
	return binary.LittleEndian.AppendUint64(p, uint64(piece))
}

// end writes the last bytes of a shard file and syncs it.
func (l *Loop) end(f *os.File, p []byte) error {
	if err := l.write(f, p); err != nil {
		return err
	}
	l.counted.syncs.Add(1)
	return datasync(f)
}

func (l *Loop) write(f *os.File, p []byte) error {
	l.counted.writes.Add(1)
	l.counted.bytesWritten.Add(int64(len(p)))
	_, err := f.Write(p)
	return err
}

// putLarge stores an object whose first stripe is in p already.
func (l *Loop) putLarge(key string, p []byte, r io.Reader) error {
	files, err := l.create(key)
	defer closeAll(files)
	if err != nil {
		return err
	}
	sums := make([][]byte, len(files))
	size, n := int64(0), l.k*l.piece
	for n > 0 {
		size += int64(n)
		if err := l.stripe(files, sums, p, n); err != nil {
			return err
		}
		if n, err = io.ReadFull(r, p[:l.k*l.piece]); err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return err
		}
	}
	for i, f := range files {
		if err := l.end(f, l.trailer(sums[i], size, l.piece)); err != nil {
			return err
		}
	}
	return nil
}

func (l *Loop) create(key string) ([]*os.File, error) {
	var files []*os.File
	for i := range l.dirs {
		f, err := os.OpenFile(l.path(i, key), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return files, err
		}
		files = append(files, f)
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

func (l *Loop) stripe(files []*os.File, sums [][]byte, p []byte, n int) error {
	shards, err := l.encode(p, n)
	if err != nil {
		return err
	}
	for i, piece := range shards {
		sums[i] = binary.LittleEndian.AppendUint64(sums[i], xxhash.Sum64(piece))
		if err := l.write(files[i], piece); err != nil {
			return err
		}
	}
	return nil
}

// Get reads an object's data shards, checks every piece and joins them into w.
func (l *Loop) Get(key string, w io.Writer) error {
	p := l.stripes.Get().(*[]byte)
	defer l.stripes.Put(p)
	var files []*os.File
	defer func() { closeAll(files) }()
	var sums [][]byte
	size, piece := int64(0), 0
	for i := range l.k {
		f, err := os.Open(l.path(i, key))
		if err != nil {
			return err
		}
		files = append(files, f)
		var s []byte
		if s, size, piece, err = l.readEnd(f); err != nil {
			return fmt.Errorf("%s: %w", f.Name(), err)
		}
		sums = append(sums, s)
	}
	for left, at := size, int64(0); left > 0; {
		n := int(min(left, int64(l.k)*int64(piece)))
		if err := l.join(files, sums, (*p)[:n], at); err != nil {
			return err
		}
		if _, err := w.Write((*p)[:n]); err != nil {
			return err
		}
		left -= int64(n)
		at += int64(piece)
	}
	return nil
}

// readEnd reads what follows the pieces of a shard file. The sums are returned from the
// first on.
func (l *Loop) readEnd(f *os.File) (sums []byte, size int64, piece int, err error) {
	info, err := f.Stat()
	if err != nil {
		return nil, 0, 0, err
	}
	var t [trailerSize]byte
	if err := l.read(f, t[:], info.Size()-trailerSize); err != nil {
		return nil, 0, 0, err
	}
	size, length := int64(binary.LittleEndian.Uint64(t[:])), int64(binary.LittleEndian.Uint64(t[8:]))
	if size < 0 || length < 0 || length > int64(l.piece) || length == 0 && size > 0 {
		return nil, 0, 0, fmt.Errorf("%d bytes in pieces of %d: %w", size, length, ErrMismatch)
	}
	if size == 0 {
		return nil, 0, 0, nil
	}
	stripes := (size-1)/(int64(l.k)*length) + 1
	if stripes > info.Size()/8 || 8*stripes+trailerSize > info.Size() {
		return nil, 0, 0, fmt.Errorf("%d stripes in %d bytes: %w", stripes, info.Size(), ErrMismatch)
	}
	sums = make([]byte, 8*stripes)
	return sums, size, int(length), l.read(f, sums, info.Size()-trailerSize-8*stripes)
}

func (l *Loop) read(f *os.File, p []byte, at int64) error {
	l.counted.reads.Add(1)
	l.counted.bytesRead.Add(int64(len(p)))
	_, err := f.ReadAt(p, at)
	return err
}

// join fills p with the bytes of the stripe whose pieces begin at an offset of their files.
// Columns lie end to end, so that each piece is read where it belongs. The padding of the
// last stripe is read into what p has to spare.
func (l *Loop) join(files []*os.File, sums [][]byte, p []byte, at int64) error {
	c := l.pieceOf(len(p))
	p = p[:l.k*c]
	for i, f := range files {
		piece := p[i*c : (i+1)*c]
		if err := l.read(f, piece, at); err != nil {
			return err
		}
		if xxhash.Sum64(piece) != binary.LittleEndian.Uint64(sums[i]) {
			return fmt.Errorf("%s: %d bytes at %d: %w", f.Name(), c, at, ErrMismatch)
		}
		sums[i] = sums[i][8:]
	}
	return nil
}
