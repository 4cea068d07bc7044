package cluster

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/seal"
)

// located opens disks in directories wherever they lie.
type located struct {
	at map[int32]string
	id []disks.Identity
}

// diskDepth is how far below a given directory disks are looked for: a cluster's own have
// sites/SITE/RACK/HOST/DISK.
const diskDepth = 6

// findDisks finds the disks in directories and below them.
func findDisks(paths []string) (*located, error) {
	l := &located{at: map[int32]string{}}
	for _, root := range paths {
		before := len(l.id)
		err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return err
			}
			if _, err := os.Stat(filepath.Join(p, "disk.json")); err == nil {
				return l.add(p)
			}
			if rel, err := filepath.Rel(root, p); err != nil || strings.Count(rel, string(filepath.Separator)) >= diskDepth {
				return fs.SkipDir
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if len(l.id) == before {
			return nil, fmt.Errorf("%s: %w: no disk of a cluster is there or below", root, ErrNoCluster)
		}
	}
	return l, nil
}

// add takes a disk in, unless it cannot be opened or is there already.
func (l *located) add(path string) error {
	d, err := disks.OpenDir(path, disks.Options{ReadOnly: true})
	if err != nil {
		return fmt.Errorf("disk in %s: %w", path, err)
	}
	id := d.Identity()
	d.Close()
	if was, ok := l.at[id.Number]; ok && filepath.Clean(was) != filepath.Clean(path) {
		return fmt.Errorf("%s and %s both say that they are disk %d; give one of them: %w", was, path, id.Number, disks.ErrForeign)
	} else if ok {
		return fs.SkipDir
	}
	l.at[id.Number] = path
	l.id = append(l.id, id)
	return fs.SkipDir
}

func (l *located) Create(disks.Identity) (disks.Disk, error) { return nil, ErrReadOnly }

func (l *located) Open(id disks.Identity, _ bool) (disks.Disk, error) {
	path, ok := l.at[id.Number]
	if !ok {
		return nil, fmt.Errorf("%w: it was not given", disks.ErrLost)
	}
	return disks.OpenDir(path, disks.Options{ReadOnly: true})
}

func (l *located) List() ([]disks.Identity, error) { return l.id, nil }

// OpenDisks opens for reading what disks hold that lie anywhere, without the catalog of their
// cluster: one is made in scratch, an empty directory, from the journals on the disks, or,
// with from, from a copy of a catalog: then the objects are those of that time, as far as
// their bytes are still there. Nothing is written to the disks.
func OpenDisks(ctx context.Context, paths []string, scratch, from string, keys seal.Ring) (*Cluster, RecoverReport, error) {
	var rep RecoverReport
	opener, err := findDisks(paths)
	if err != nil {
		return nil, rep, err
	}
	cfg, present, err := findConfig(strings.Join(paths, ", "), opener)
	if err != nil {
		return nil, rep, err
	}
	if err := cfg.unlocks(keys); err != nil {
		return nil, rep, err
	}
	r := newRecovery(cfg)
	r.keys = keys
	defer r.close()
	r.reading, r.force, r.asOf = true, true, from != ""
	if err := r.begin(ctx, from); err != nil {
		return nil, rep, err
	}
	if err := r.open(opener, present, nil, &rep); err != nil {
		return nil, rep, err
	}
	if err := r.look(ctx, &rep, nil); err != nil {
		return nil, rep, err
	}
	if err := r.build(ctx, filepath.Join(scratch, "catalog.db"), "", &rep); err != nil {
		return nil, rep, err
	}
	r.sum(&rep)
	c, err := Open(ctx, scratch, Options{ReadOnly: true, Open: opener, Keys: keys})
	return c, rep, err
}
