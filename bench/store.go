package bench

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/wattle-storage/wattle/cluster"
	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/erasure"
)

const bucket = "bench"

// A Store is a scratch cluster of as many disks as the scheme has shards, each on a host of
// its own, so that it writes as many shards to as many files as the loop.
type Store struct {
	c   *cluster.Cluster
	dir string

	gone    disks.Counters // of clusters closed since
	commits int64
}

// NewStore makes a cluster below dir.
func NewStore(ctx context.Context, dir string, s erasure.Scheme) (*Store, error) {
	dir = filepath.Join(dir, "store")
	o := cluster.InitOptions{Map: cluster.DefaultMap(1, 1, s.N(), 1, 18e12), Scheme: s, PGs: 64}
	if err := cluster.Init(dir, o); err != nil {
		return nil, err
	}
	st := &Store{dir: dir}
	if err := st.open(ctx); err != nil {
		return nil, err
	}
	return st, st.c.MakeBucket(ctx, bucket)
}

func (s *Store) open(ctx context.Context) (err error) {
	s.c, err = cluster.Open(ctx, s.dir, cluster.Options{})
	return err
}

// Close closes the cluster. Its directory stays.
func (s *Store) Close() error { return s.c.Close() }

// Counts are what the store has asked of its disks so far. The catalog's own writes are not
// in them: it syncs once a batch.
func (s *Store) Counts() Counts {
	c, g := s.c.Counters(), s.gone
	return Counts{Reads: c.Reads + g.Reads, Writes: c.Writes + g.Writes, Syncs: c.Syncs + g.Syncs,
		BytesRead: c.BytesRead + g.BytesRead, BytesWritten: c.BytesWritten + g.BytesWritten, Batches: s.c.Commits() + s.commits}
}

// Put stores what r gives.
func (s *Store) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	_, err := s.c.Put(ctx, bucket, key, r, cluster.PutOptions{Size: size})
	return err
}

// Get writes an object to w.
func (s *Store) Get(ctx context.Context, key string, w io.Writer) error {
	r, err := s.c.Get(ctx, bucket, key, cluster.GetOptions{})
	if err != nil {
		return err
	}
	defer r.Close()
	n, err := r.WriteTo(w)
	if err == nil && n != r.Object().Size {
		err = fmt.Errorf("%s: %d bytes of %d", key, n, r.Object().Size)
	}
	return err
}

// Delete removes an object.
func (s *Store) Delete(ctx context.Context, key string) error { return s.c.Delete(ctx, bucket, key) }

// Lose makes n disks fail, or, for 0, brings all back. The cluster is opened anew.
func (s *Store) Lose(ctx context.Context, n int) error {
	s.gone, s.commits = addCounters(s.gone, s.c.Counters()), s.commits+s.c.Commits()
	hosts := s.c.Map().Sites[0].Racks[0].Hosts
	site := s.c.Map().Sites[0].Name
	if err := s.c.Close(); err != nil {
		return err
	}
	if n == 0 {
		if _, err := cluster.Restore(s.dir, site); err != nil {
			return err
		}
	}
	for _, h := range hosts[:n] {
		if _, err := cluster.Fail(s.dir, site+"/"+s.c.Map().Sites[0].Racks[0].Name+"/"+h.Name); err != nil {
			return err
		}
	}
	return s.open(ctx)
}

func addCounters(a, b disks.Counters) disks.Counters {
	a.Reads += b.Reads
	a.Writes += b.Writes
	a.Syncs += b.Syncs
	a.BytesRead += b.BytesRead
	a.BytesWritten += b.BytesWritten
	return a
}
