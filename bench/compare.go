package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/wattle-storage/wattle/cluster"
	"github.com/wattle-storage/wattle/erasure"
)

// A Config says what to measure. Zero fields take the values of Defaults.
type Config struct {
	Dir         string // where the scratch files go; they are removed
	Scheme      erasure.Scheme
	Sizes       []int64
	Concurrency []int
	Time        time.Duration // of one round of one kind of operation
	Rounds      int
	Large       int64 // size of the object that is streamed; negative: none
	Keys        int   // keys to list; negative: none
	Upkeep      int64 // measure scrub, and repair of a lost disk of so many bytes; 0: neither
	Loop        bool  // measure the plain loop too
	Writers     int   // shards of a small object that the loop writes at a time; 0 means 1, the plain way
	Progress    func(what string)
}

// Defaults are what Run measures when nothing else is asked for.
var Defaults = Config{Scheme: erasure.Scheme{Kind: erasure.RS, K: 10, M: 4}, Sizes: []int64{4 << 10, 64 << 10, 1 << 20},
	Concurrency: []int{1, 8, 32}, Time: time.Second, Rounds: 3, Large: 256 << 20, Keys: 20_000, Loop: true}

// A Row is one kind of operation: the store's rounds and, when it was measured, the rounds
// of the plain program that took turns with it.
type Row struct {
	Operation   string // "put", "get", "degraded get", "list"
	Size        int64
	Concurrency int
	Against     string // what Other is; "" for nothing
	Store       []Sample
	Other       []Sample
}

// Ratio is the median over the rounds of the store's seconds an operation, wall and
// processor, over the other's. Below 1 the store is faster.
func (r Row) Ratio() (wall, cpu float64) {
	var w, c []float64
	for i := range min(len(r.Store), len(r.Other)) {
		a, b := r.Store[i], r.Other[i]
		if a.Operations == 0 || b.Operations == 0 || b.Wall == 0 || b.CPU == 0 {
			continue
		}
		per := float64(b.Operations) / float64(a.Operations)
		w = append(w, per*a.Wall.Seconds()/b.Wall.Seconds())
		c = append(c, per*a.CPU.Seconds()/b.CPU.Seconds())
	}
	return Median(w), Median(c)
}

// Median is the middle of a list, 0 for an empty one.
func Median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	switch {
	case n == 0:
		return 0
	case n%2 == 1:
		return v[n/2]
	}
	return (v[n/2-1] + v[n/2]) / 2
}

// Typical is the round of the median rate, so that its numbers belong together.
func Typical(list []Sample) Sample {
	if len(list) == 0 {
		return Sample{}
	}
	sorted := slices.SortedFunc(slices.Values(list), func(a, b Sample) int {
		return int(a.Wall/time.Duration(max(1, a.Operations)) - b.Wall/time.Duration(max(1, b.Operations)))
	})
	return sorted[(len(sorted)-1)/2]
}

// A Report is what Run measured, and where.
type Report struct {
	Scheme     string
	FileSystem string
	Rows       []Row
	PeakMemory int64 // bytes; of this process, all rows together
}

// Run measures what the configuration asks for in a scratch directory below its Dir.
func Run(ctx context.Context, cfg Config) (Report, error) {
	cfg = cfg.withDefaults()
	dir, err := os.MkdirTemp(cfg.Dir, "wattle-bench-")
	if err != nil {
		return Report{}, err
	}
	defer os.RemoveAll(dir)
	if err := enoughSpace(dir, cfg.space()); err != nil {
		return Report{}, err
	}
	b := &bench{Config: cfg, dir: dir, report: Report{Scheme: cfg.Scheme.String(), FileSystem: fileSystem(dir)}}
	if b.store, err = NewStore(ctx, dir, cfg.Scheme); err != nil {
		return b.report, err
	}
	defer func() { b.store.Close() }()
	for _, step := range []func(context.Context) error{b.small, b.large, b.upkeep, b.list} {
		if err := step(ctx); err != nil {
			return b.report, err
		}
	}
	b.report.PeakMemory = peakMemory()
	return b.report, nil
}

// ErrSpace means that the scratch files would not fit their file system.
var ErrSpace = errors.New("too little space for the scratch files")

// space is how many bytes the scratch files take at most: coded bytes of both programs, of a
// large object its source and the copy too. The store keeps what it has deleted for a while.
func (c Config) space() int64 {
	coded := func(n int64) int64 { return int64(float64(n) * c.Scheme.Overhead()) }
	most := int64(0)
	for _, size := range c.Sizes {
		most = max(most, 2*coded(max(size, mostBytes)))
	}
	if c.Large >= 0 {
		most = max(most, 2*c.Large+2*coded(c.Large))
	}
	most = max(most, int64(c.Scheme.N())*c.Upkeep)
	return most + most/64 + 64<<20
}

// enoughSpace refuses to begin what would fill a file system.
func enoughSpace(dir string, n int64) error {
	free, ok := freeSpace(dir)
	if ok && free < n {
		return fmt.Errorf("%s: %w: %s are free of the %s that they may take; measure less, or name another directory",
			dir, ErrSpace, humanize.IBytes(uint64(free)), humanize.IBytes(uint64(n)))
	}
	return nil
}

func (c Config) withDefaults() Config {
	d := Defaults
	if c.Scheme.N() == 0 {
		c.Scheme = d.Scheme
	}
	if c.Sizes == nil {
		c.Sizes = d.Sizes
	}
	if c.Concurrency == nil {
		c.Concurrency = d.Concurrency
	}
	if c.Time == 0 {
		c.Time = d.Time
	}
	if c.Rounds == 0 {
		c.Rounds = d.Rounds
	}
	if c.Large == 0 {
		c.Large = d.Large
	}
	if c.Keys == 0 {
		c.Keys = d.Keys
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	return c
}

type bench struct {
	Config
	dir    string
	store  *Store
	report Report
}

// loop makes a plain loop of the same shape, or none when the scheme is not one that it
// knows.
func (b *bench) loop(name string) (*Loop, error) {
	if !b.loops() {
		return nil, nil
	}
	return NewLoop(filepath.Join(b.dir, name), b.Scheme.K, b.Scheme.M, LoopPiece, max(1, b.Writers))
}

// loops tells whether plain programs are measured too.
func (b *bench) loops() bool { return b.Loop && b.Scheme.Kind == erasure.RS }

// data is bytes that do not compress, the same every time.
func data(n int64) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(p)
	return p
}

// most bounds what one round writes, so that it fits small scratch disks.
const mostBytes = 512 << 20

// small measures puts and gets of whole objects at each size and concurrency.
func (b *bench) small(ctx context.Context) error {
	for _, size := range b.Sizes {
		for _, n := range b.Concurrency {
			if err := b.pair(ctx, size, n); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) pair(ctx context.Context, size int64, concurrency int) error {
	p := data(size)
	put := Row{Operation: "put", Size: size, Concurrency: concurrency}
	get := Row{Operation: "get", Size: size, Concurrency: concurrency}
	l := load{Concurrency: concurrency, Time: b.Time, Most: max(1, mostBytes/max(1, size))}
	for round := range b.Rounds {
		b.Progress(fmt.Sprintf("put and get, %d bytes, %d at a time, round %d of %d", size, concurrency, round+1, b.Rounds))
		name := func(i int64) string { return fmt.Sprintf("%d-%d-%d/%08d", size, concurrency, round, i) }
		settle(b.dir)
		s, err := l.run(ctx, size, b.store.Counts, func(ctx context.Context, _ int, i int64) error {
			return b.store.Put(ctx, name(i), bytes.NewReader(p), size)
		})
		if err != nil {
			return err
		}
		put.Store = append(put.Store, s)
		reads := l
		s2, err := reads.run(ctx, size, b.store.Counts, func(ctx context.Context, _ int, i int64) error {
			return b.store.Get(ctx, name(i*7919%s.Operations), io.Discard)
		})
		if err != nil {
			return err
		}
		get.Store = append(get.Store, s2)
		if err := b.clear(ctx, s.Operations, name); err != nil {
			return err
		}
		if err := b.pairLoop(ctx, p, l, round, &put, &get); err != nil {
			return err
		}
	}
	b.report.Rows = append(b.report.Rows, put, get)
	return nil
}

// clear deletes what a round stored, 64 at a time so that batches form.
func (b *bench) clear(ctx context.Context, n int64, name func(int64) string) error {
	_, err := load{Concurrency: 64, Time: time.Hour, Most: n}.run(ctx, 0, b.store.Counts, func(ctx context.Context, _ int, i int64) error {
		return b.store.Delete(ctx, name(i))
	})
	return err
}

// pairLoop is the plain loop's turn.
func (b *bench) pairLoop(ctx context.Context, p []byte, l load, round int, put, get *Row) error {
	loop, err := b.loop(fmt.Sprintf("loop%d", round))
	if loop == nil || err != nil {
		return err
	}
	defer os.RemoveAll(filepath.Join(b.dir, fmt.Sprintf("loop%d", round)))
	size := int64(len(p))
	put.Against, get.Against = "one synced file a shard", "its reverse"
	name := func(i int64) string { return fmt.Sprintf("%08d", i) }
	settle(b.dir)
	s, err := l.run(ctx, size, loop.Counts, func(_ context.Context, _ int, i int64) error {
		return loop.Put(name(i), bytes.NewReader(p))
	})
	if err != nil {
		return err
	}
	put.Other = append(put.Other, s)
	s2, err := l.run(ctx, size, loop.Counts, func(_ context.Context, _ int, i int64) error {
		return loop.Get(name(i*7919%s.Operations), io.Discard)
	})
	get.Other = append(get.Other, s2)
	return err
}

// once measures one operation.
func once(size int64, counts func() Counts, op func() error) (Sample, error) {
	return load{Concurrency: 1, Most: 1}.run(context.Background(), size, counts, func(context.Context, int, int64) error { return op() })
}

// large measures one object streamed from a file and to a pipe.
func (b *bench) large(ctx context.Context) error {
	if b.Large < 0 {
		return nil
	}
	source := filepath.Join(b.dir, "source")
	if err := writeSource(source, b.Large); err != nil {
		return err
	}
	defer os.Remove(source)
	loop, err := b.loop("loop")
	if err != nil {
		return err
	}
	defer os.RemoveAll(filepath.Join(b.dir, "loop"))
	put := Row{Operation: "put", Size: b.Large, Concurrency: 1}
	copied := Row{Operation: "put", Size: b.Large, Concurrency: 1}
	get := Row{Operation: "get", Size: b.Large, Concurrency: 1}
	degraded := Row{Operation: "degraded get", Size: b.Large, Concurrency: 1, Against: "sound get"}
	none := func() Counts { return Counts{} }
	for round := range b.Rounds {
		b.Progress(fmt.Sprintf("one object of %d bytes, round %d of %d", b.Large, round+1, b.Rounds))
		key := fmt.Sprint("large-", round)
		type turn struct {
			into   *[]Sample
			counts func() Counts
			op     func() error
		}
		turns := []turn{
			{&put.Store, b.store.Counts, func() error {
				return fromFile(source, func(f *os.File) error { return b.store.Put(ctx, key, f, b.Large) })
			}},
			{&get.Store, b.store.Counts, func() error { return toPipe(b.Large, func(w *os.File) error { return b.store.Get(ctx, key, w) }) }},
		}
		if loop != nil {
			put.Against, get.Against, copied.Against = "plain loop", "its reverse", "cp and sync"
			turns = append(turns, turn{&put.Other, loop.Counts, func() error { return fromFile(source, func(f *os.File) error { return loop.Put("large", f) }) }},
				turn{&get.Other, loop.Counts, func() error { return toPipe(b.Large, func(w *os.File) error { return loop.Get("large", w) }) }},
				turn{&copied.Other, none, func() error { return copyFile(ctx, source, filepath.Join(b.dir, "copy")) }})
		}
		for _, t := range turns {
			settle(b.dir)
			s, err := once(b.Large, t.counts, t.op)
			if err != nil {
				return err
			}
			*t.into = append(*t.into, s)
		}
		if err := b.degraded(ctx, key, &degraded); err != nil {
			return err
		}
		if err := b.store.Delete(ctx, key); err != nil {
			return err
		}
		os.Remove(filepath.Join(b.dir, "copy"))
	}
	copied.Store = put.Store
	b.report.Rows = append(b.report.Rows, put)
	if copied.Against != "" {
		b.report.Rows = append(b.report.Rows, copied)
	}
	b.report.Rows = append(b.report.Rows, get, degraded)
	return nil
}

// degraded reads an object sound and then with as many disks gone as the scheme stands.
func (b *bench) degraded(ctx context.Context, key string, row *Row) error {
	read := func(into *[]Sample) error {
		s, err := once(b.Large, b.store.Counts, func() error {
			return toPipe(b.Large, func(w *os.File) error { return b.store.Get(ctx, key, w) })
		})
		*into = append(*into, s)
		return err
	}
	if err := b.store.Lose(ctx, b.Scheme.Tolerates()); err != nil {
		return err
	}
	if err := read(&row.Store); err != nil {
		return err
	}
	if err := b.store.Lose(ctx, 0); err != nil {
		return err
	}
	return read(&row.Other)
}

// sourceOf makes bytes that do not compress as they are read.
func sourceOf(size int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{2}), size)
}

func writeSource(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(f, sourceOf(size)); err != nil {
		return err
	}
	return f.Sync()
}

func fromFile(path string, put func(*os.File) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return put(f)
}

// toPipe gives get a pipe whose reader throws everything away and counts it.
func toPipe(size int64, get func(*os.File) error) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	widen(w)
	type end struct {
		n   int64
		err error
	}
	done := make(chan end, 1)
	go func() {
		n, err := drain(r)
		done <- end{n, err}
	}()
	err = get(w)
	w.Close()
	e := <-done
	switch {
	case err != nil:
		return err
	case e.err != nil:
		return e.err
	case e.n != size:
		return fmt.Errorf("%d bytes came out of %d", e.n, size)
	}
	return nil
}

// copyFile copies with the system's own program and syncs the copy.
func copyFile(ctx context.Context, from, to string) error {
	args := []string{"--reflink=never", from, to}
	if err := exec.CommandContext(ctx, "cp", args...).Run(); err != nil {
		if err := exec.CommandContext(ctx, "cp", from, to).Run(); err != nil { // not the GNU program
			return fmt.Errorf("cp: %w", err)
		}
	}
	f, err := os.OpenFile(to, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return datasync(f)
}

// list measures listing all keys of a bucket in pages of 1000.
func (b *bench) list(ctx context.Context) error {
	if b.Keys < 0 {
		return nil
	}
	b.Progress(fmt.Sprintf("list %d keys", b.Keys))
	name := func(i int64) string { return fmt.Sprintf("list/%03d/object-%08d", i%100, i) }
	if _, err := (load{Concurrency: 256, Time: time.Hour, Most: int64(b.Keys)}).run(ctx, 0, b.store.Counts, func(ctx context.Context, _ int, i int64) error {
		return b.store.Put(ctx, name(i), bytes.NewReader(nil), 0)
	}); err != nil {
		return err
	}
	row := Row{Operation: "list", Concurrency: 1}
	for range b.Rounds {
		s, err := once(0, b.store.Counts, func() error { return b.listAll(ctx) })
		if err != nil {
			return err
		}
		s.Operations = int64(b.Keys)
		row.Store = append(row.Store, s)
	}
	b.report.Rows = append(b.report.Rows, row)
	return nil
}

func (b *bench) listAll(ctx context.Context) error {
	n := 0
	for o := (cluster.ListOptions{Prefix: "list/", Limit: 1000}); ; {
		page, err := b.store.c.List(ctx, bucket, o)
		if err != nil {
			return err
		}
		n += len(page.Objects)
		if page.Next == "" {
			break
		}
		o.After = page.Next
	}
	if n != b.Keys {
		return fmt.Errorf("%d keys listed of %d", n, b.Keys)
	}
	return nil
}
