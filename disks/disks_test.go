package disks_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/disks/diskstest"
)

func identity(capacity int64) disks.Identity {
	return disks.Identity{Cluster: "c0ffee", Disk: "d15c", Number: 3, Site: "s", Rack: "r", Host: "h", Name: "d", Capacity: capacity}
}

func TestDirectory(t *testing.T) { diskstest.TestDisk(t, directory(disks.Options{})) }

// Where the file system of the tests cannot do it, this is TestDirectory again.
func TestDirectoryPastThePageCache(t *testing.T) {
	diskstest.TestDisk(t, directory(disks.Options{Direct: 1}))
}

func directory(o disks.Options) diskstest.Kind {
	dirs := map[disks.Disk]string{}
	return diskstest.Kind{
		New: func(t *testing.T, capacity int64) disks.Disk {
			dir := filepath.Join(t.TempDir(), "disk")
			d, err := disks.CreateDir(dir, identity(capacity))
			if err != nil {
				t.Fatal(err)
			}
			d.Close()
			if d, err = disks.OpenDir(dir, o); err != nil {
				t.Fatal(err)
			}
			dirs[d] = dir
			t.Cleanup(func() { d.Close() })
			return d
		},
		Reopen: func(t *testing.T, d disks.Disk) disks.Disk {
			d.Close()
			again, err := disks.OpenDir(dirs[d], o)
			if err != nil {
				t.Fatal(err)
			}
			dirs[again] = dirs[d]
			t.Cleanup(func() { again.Close() })
			return again
		},
	}
}

func memory(wrap func(disks.Disk) disks.Disk) diskstest.Kind {
	files := map[disks.Disk]*disks.MemFS{}
	return diskstest.Kind{
		New: func(t *testing.T, capacity int64) disks.Disk {
			fs := disks.NewMemFS()
			d, err := disks.CreateMem(fs, identity(capacity))
			if err != nil {
				t.Fatal(err)
			}
			w := wrap(d)
			files[w] = fs
			return w
		},
		Reopen: func(t *testing.T, d disks.Disk) disks.Disk {
			d.Close()
			again, err := disks.OpenMem(files[d], disks.Options{})
			if err != nil {
				t.Fatal(err)
			}
			w := wrap(again)
			files[w] = files[d]
			return w
		},
	}
}

func TestMemory(t *testing.T) {
	diskstest.TestDisk(t, memory(func(d disks.Disk) disks.Disk { return d }))
}

func TestFaultyWithoutFault(t *testing.T) {
	diskstest.TestDisk(t, memory(func(d disks.Disk) disks.Disk { return disks.NewFaulty(d, nil) }))
}

func create(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "disk")
	d, err := disks.CreateDir(dir, identity(1<<40))
	if err != nil {
		t.Fatal(err)
	}
	diskstest.Put(t, d, diskstest.Shard(1, 1000, 10))
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestOpenRefuses(t *testing.T) {
	dir := create(t)
	if _, err := disks.OpenDir(filepath.Join(dir, "nowhere"), disks.Options{}); !errors.Is(err, disks.ErrLost) {
		t.Errorf("no directory: %v", err)
	}
	if _, err := disks.CreateDir(dir, identity(1)); !errors.Is(err, os.ErrExist) {
		t.Errorf("a second disk in one directory: %v", err)
	}
	d, err := disks.OpenDir(dir, disks.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := disks.OpenDir(dir, disks.Options{}); !errors.Is(err, disks.ErrLocked) {
		t.Errorf("a second writer: %v", err)
	}
	beside, err := disks.OpenDir(dir, disks.Options{ReadOnly: true})
	if err != nil {
		t.Fatalf("a reader beside the writer: %v", err)
	}
	s := diskstest.Shard(2, 3<<20, 0) // into a segment that the reader has not seen
	diskstest.Want(t, beside, s, diskstest.Put(t, d, s)[0])
	if _, err := beside.Append(t.Context(), []disks.Shard{s}, disks.AppendOptions{}); !errors.Is(err, disks.ErrReadOnly) {
		t.Errorf("append by a reader: %v", err)
	}
	for _, err := range []error{beside.Free(t.Context(), nil, false), beside.SetIdentity(identity(1)), beside.Harden(t.Context())} {
		if !errors.Is(err, disks.ErrReadOnly) {
			t.Errorf("change by a reader: %v", err)
		}
	}
	beside.Close()
	d.Close()
	id := filepath.Join(dir, "disk.json")
	for text, want := range map[string]error{`{"format": 99}`: disks.ErrVersion, `{`: disks.ErrCorrupt} {
		if err := os.WriteFile(id, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := disks.OpenDir(dir, disks.Options{}); !errors.Is(err, want) {
			t.Errorf("identity %s: %v, want %v", text, err, want)
		}
	}
	os.Remove(id)
	if _, err := disks.OpenDir(dir, disks.Options{}); !errors.Is(err, disks.ErrLost) {
		t.Errorf("no identity: %v", err)
	}
}

// TestForeignSegment: a segment of another disk, or of another place, is not read.
func TestForeignSegment(t *testing.T) {
	a, b := create(t), create(t)
	p, err := os.ReadFile(filepath.Join(a, "segments", "00000001.seg"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b, "segments", "00000002.seg"), p, 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := disks.OpenDir(b, disks.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	s := diskstest.Shard(1, 1000, 10)
	err = d.Read(t.Context(), diskstest.Ref(s, disks.Address{Segment: 2, Offset: 64, Length: 1280}), 0, make([]byte, 10))
	if !errors.Is(err, disks.ErrForeign) {
		t.Errorf("a segment under another number: %v", err)
	}
}

func TestFaults(t *testing.T) {
	ctx := t.Context()
	s := diskstest.Shard(1, 40_000, 10)
	two := []disks.Shard{diskstest.Shard(2, 100, 0), diskstest.Shard(3, 100, 0)}
	read := func(f *disks.Faulty, at disks.Ref) error { return f.Read(ctx, at, 0, make([]byte, 40_000)) }
	for name, c := range map[string]struct {
		fault disks.Fault
		check func(t *testing.T, f *disks.Faulty, at disks.Ref)
	}{
		"lost": {disks.Fault{Lost: true}, func(t *testing.T, f *disks.Faulty, at disks.Ref) {
			_, appended := f.Append(ctx, two, disks.AppendOptions{})
			for _, err := range []error{appended, f.Sync(ctx), read(f, at), f.Free(ctx, nil, false), f.Scan(ctx, nil)} {
				if !errors.Is(err, disks.ErrLost) {
					t.Errorf("%v, want ErrLost", err)
				}
			}
		}},
		"full": {disks.Fault{Full: true}, func(t *testing.T, f *disks.Faulty, at disks.Ref) {
			if _, err := f.Append(ctx, two, disks.AppendOptions{}); !errors.Is(err, disks.ErrFull) {
				t.Errorf("%v, want ErrFull", err)
			}
			if err := read(f, at); err != nil {
				t.Errorf("a full disk cannot be read: %v", err)
			}
		}},
		"rot": {disks.Fault{Rot: true}, func(t *testing.T, f *disks.Faulty, at disks.Ref) {
			if err := read(f, at); !errors.Is(err, disks.ErrCorrupt) {
				t.Errorf("%v, want ErrCorrupt", err)
			}
			p := make([]byte, 40_000)
			if err := f.ReadRaw(ctx, at, 0, p); err != nil || string(p) == string(s.Data) {
				t.Errorf("raw bytes are to come back wrong, and without error: %v", err)
			}
		}},
		"stale": {disks.Fault{Stale: true}, func(t *testing.T, f *disks.Faulty, at disks.Ref) {
			if err := read(f, at); !errors.Is(err, disks.ErrCorrupt) {
				t.Errorf("%v, want ErrCorrupt", err)
			}
		}},
		"second append fails, torn": {disks.Fault{FailAppend: 2, Torn: true}, func(t *testing.T, f *disks.Faulty, _ disks.Ref) {
			if _, err := f.Append(ctx, two, disks.AppendOptions{}); err != nil {
				t.Fatal(err)
			}
			if _, err := f.Append(ctx, two, disks.AppendOptions{}); err == nil {
				t.Error("the second append went through")
			}
			n := 0
			if err := f.Scan(ctx, func(disks.Entry) error { n++; return nil }); err != nil || n != 1+2+1 {
				t.Errorf("%d shards, %v; want the first of the torn append too", n, err)
			}
		}},
		"first sync fails": {disks.Fault{FailSync: 1}, func(t *testing.T, f *disks.Faulty, _ disks.Ref) {
			if f.Sync(ctx) == nil || f.Sync(ctx) != nil {
				t.Error("not the first sync, or not it alone, failed")
			}
		}},
		"third read fails": {disks.Fault{FailRead: 3}, func(t *testing.T, f *disks.Faulty, at disks.Ref) {
			for i := range 4 {
				if err := read(f, at); (err != nil) != (i == 2) {
					t.Errorf("read %d: %v", i+1, err)
				}
			}
		}},
		"hang": {disks.Fault{Hang: true}, func(t *testing.T, f *disks.Faulty, at disks.Ref) {
			done := make(chan error, 1)
			go func() { done <- read(f, at) }()
			select {
			case err := <-done:
				t.Fatalf("it did not hang: %v", err)
			case <-time.After(20 * time.Millisecond):
			}
			f.Set(disks.Fault{})
			if err := <-done; err != nil {
				t.Errorf("after the fault was lifted: %v", err)
			}
		}},
		"slow": {disks.Fault{Slow: 20 * time.Millisecond}, func(t *testing.T, f *disks.Faulty, at disks.Ref) {
			start := time.Now()
			if err := read(f, at); err != nil || time.Since(start) < 20*time.Millisecond {
				t.Errorf("%v after %v", err, time.Since(start))
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := disks.CreateMem(disks.NewMemFS(), identity(1<<40))
			if err != nil {
				t.Fatal(err)
			}
			f := disks.NewFaulty(d, nil)
			at := diskstest.Ref(s, diskstest.Put(t, f, s)[0])
			f.Set(c.fault)
			c.check(t, f, at)
			f.Set(disks.Fault{})
			diskstest.Want(t, f, s, at.Address)
		})
	}
}
