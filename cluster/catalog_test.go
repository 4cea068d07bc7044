package cluster

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/wattle-storage/wattle/disks"
)

// TestChange: what a change did is there when it was committed, and else nothing of it is, and
// the next change goes through.
func TestChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	c, err := createCatalog(path)
	if err != nil {
		t.Fatal(err)
	}
	wrong := errors.New("no")
	for name, test := range map[string]struct {
		change func(context.CancelFunc) error
		watch  error
		want   error
	}{
		"committed":  {},
		"failed":     {change: func(context.CancelFunc) error { return wrong }, want: wrong},
		"cancelled":  {change: func(cancel context.CancelFunc) error { cancel(); return nil }, want: context.Canceled},
		"not synced": {watch: wrong, want: wrong},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if err := c.update(context.Background(), func(t *tx) error { return t.setNumber("n", 1) }); err != nil {
				t.Fatal(err)
			}
			c.watch = func() error { return test.watch }
			err := c.update(ctx, func(t *tx) error {
				err := t.setNumber("n", 2)
				if err == nil && test.change != nil {
					err = test.change(cancel)
				}
				return err
			})
			c.watch = nil
			if !errors.Is(err, test.want) || errors.Is(err, errUncertain) {
				t.Errorf("%v, want %v", err, test.want)
			}
			want := uint64(2)
			if test.want != nil {
				want = 1
			}
			if n, err := c.number("n"); err != nil || n != want {
				t.Errorf("%d, %v, want %d", n, err, want)
			}
		})
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if err := c.update(ended, func(*tx) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	if c, err = openCatalog(path, forWriting); err != nil {
		t.Fatal(err)
	}
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkOpen opens a cluster of 36 disks for writing and closes it, as every command does.
func BenchmarkOpen(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "c")
	m := newMemDisks()
	if err := initWith(dir, InitOptions{}, m); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		c, err := Open(ctx, dir, Options{Open: m})
		if err == nil {
			err = c.Close()
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkChange makes a change of the catalog that is as small as can be.
func BenchmarkChange(b *testing.B) {
	c, err := createCatalog(filepath.Join(b.TempDir(), "catalog.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer c.close()
	for b.Loop() {
		if err := c.update(ctx, func(t *tx) error { return t.setNumber("n", 1) }); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStripes looks through a thousand stripes.
func BenchmarkStripes(b *testing.B) {
	c, err := createCatalog(filepath.Join(b.TempDir(), "catalog.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer c.close()
	if err := c.update(ctx, func(t *tx) error {
		for id := range uint64(1000) {
			s := newStripe(1<<40|id, rs21, []uint32{uint32(id), 0})
			for i := range s.Places {
				s.Places[i] = place{0, disks.Address{Segment: 1, Offset: uint32(id) << 10, Length: 1 << 10}}
			}
			t.addStripe(s)
		}
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := c.stripes(ctx, func(*stripe, bool) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
