package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/cluster"
	"github.com/wattle-storage/wattle/seal"
)

func keyCommand() *cli.Command {
	return &cli.Command{
		Name: "key", Category: "cluster", ArgsUsage: "list|new|rotate",
		Usage: "show and change the keys that an encrypted cluster is encrypted with",
		Description: "list says what is encrypted with which key. new adds a key to --key-file and changes no cluster.\n" +
			"rotate encrypts what is written from now on with the newest key of the file, or, when the cluster\n" +
			"uses that already, with one that it makes and adds to the file first; what is there stays as it is,\n" +
			"and needs the old keys. On a cluster that is not encrypted it begins to. The cluster must not be\n" +
			"open elsewhere. Keys are lines of text; the file must be readable by its owner alone.\n\n" +
			examples("wattle key list --key-file ~/.wattle-keys", "wattle key rotate --key-file ~/.wattle-keys", "wattle key new --key-file ~/.wattle-keys"),
		Action: func(c *cli.Context) error {
			verb := c.Args().First()
			if c.NArg() != 1 {
				verb = ""
			}
			e := envOf(c)
			switch verb {
			case "list":
				return keyList(c, e)
			case "new":
				k, err := e.makeKey()
				if err != nil {
					return err
				}
				return e.tellKey(k, "added to "+e.keyFile)
			case "rotate":
				return keyRotate(c, e)
			}
			return usage("key takes list, new or rotate")
		},
	}
}

// ring returns the keys of --key-file, or those in the environment.
func (e *env) ring() (seal.Ring, error) {
	if e.keyFile != "" {
		return seal.ReadFile(e.keyFile)
	}
	r, err := seal.ParseRing([]byte(e.getenv("WATTLE_KEYS")))
	if err != nil {
		return nil, fmt.Errorf("WATTLE_KEYS: %w: %w", err, seal.ErrKey)
	}
	return r, nil
}

// makeKey makes a key and adds it to the key file.
func (e *env) makeKey() (seal.Key, error) {
	if e.keyFile == "" {
		return seal.Key{}, usage("name the file for the key with --key-file or WATTLE_KEY_FILE")
	}
	if inside(e.keyFile, e.dir) {
		return seal.Key{}, usage("--key-file %s: it lies in the cluster's directory, where a key does not belong", e.keyFile)
	}
	k := seal.NewKey()
	return k, seal.AddToFile(e.keyFile, k)
}

// inside tells whether a path lies in a directory, links resolved as far as there are any.
func inside(path, dir string) bool {
	real := func(p string) string {
		if abs, err := filepath.Abs(p); err == nil {
			p = abs
		}
		if r, err := filepath.EvalSymlinks(p); err == nil {
			return r
		}
		if r, err := filepath.EvalSymlinks(filepath.Dir(p)); err == nil {
			return filepath.Join(r, filepath.Base(p))
		}
		return p
	}
	rel, err := filepath.Rel(real(dir), real(path))
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// initKey returns the key for a new cluster: the newest that was given, or one that it makes.
func (e *env) initKey() (seal.Key, error) {
	r, err := e.ring()
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(r) == 0 {
		return e.makeKey()
	}
	if err != nil {
		return seal.Key{}, err
	}
	if e.keyFile != "" && inside(e.keyFile, e.dir) {
		return seal.Key{}, usage("--key-file %s: it lies in the cluster's directory, where a key does not belong", e.keyFile)
	}
	return r[len(r)-1], nil
}

func (e *env) tellKey(k seal.Key, what string) error {
	if e.json {
		return e.document(map[string]string{"key": k.ID().String(), "fingerprint": string(k.Print())})
	}
	_, err := fmt.Fprintf(e.out, "key %s %s\n", k.ID(), what)
	return err
}

func keyList(c *cli.Context, e *env) error {
	return e.with(c.Context, true, func(cl *cluster.Cluster) error {
		r, err := cl.Keys(c.Context)
		if err != nil {
			return err
		}
		if e.json {
			return e.document(r)
		}
		if !r.Encrypted {
			fmt.Fprintln(e.out, "not encrypted")
			return nil
		}
		t := newTable("key", "state", "stripes", "bytes")
		for _, u := range r.Keys {
			state := "old"
			if u.Current {
				state = "current"
			}
			if !u.Known {
				state += ", not given"
			}
			t.AppendRow([]any{u.Key, state, u.Stripes, size(u.Bytes)})
		}
		if r.Plain.Stripes > 0 {
			t.AppendRow([]any{"none", "not encrypted", r.Plain.Stripes, size(r.Plain.Bytes)})
		}
		show(e.out, t)
		return nil
	})
}

func keyRotate(c *cli.Context, e *env) error {
	o, err := e.options()
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a file that is not there is made
		return err
	}
	known, err := keysOf(c.Context, e.dir, o)
	if err != nil {
		return err
	}
	key, fresh := newest(o.Keys, known)
	if !fresh {
		if key, err = e.makeKey(); err != nil {
			return err
		}
		o.Keys = append(o.Keys, key)
	}
	if err := cluster.RotateKey(c.Context, e.dir, o, key); err != nil {
		return e.alone(c.Context, err)
	}
	return e.tellKey(key, "encrypts what is written to "+e.dir+" from now on; keep a copy of it elsewhere")
}

// keysOf returns the keys of a cluster, all of which must have been given.
func keysOf(ctx context.Context, dir string, o cluster.Options) (r cluster.KeyReport, err error) {
	o.ReadOnly = true
	cl, err := cluster.Open(ctx, dir, o)
	if err != nil {
		return r, err
	}
	defer cl.Close()
	r, err = cl.Keys(ctx)
	for _, u := range r.Keys {
		if !u.Known {
			return r, fmt.Errorf("%w: the cluster is encrypted with key %s, and %s was given", cluster.ErrKey, u.Key, o.Keys.IDs())
		}
	}
	return r, err
}

// newest returns the last key of a ring, and whether a cluster has not used it.
func newest(r seal.Ring, known cluster.KeyReport) (seal.Key, bool) {
	if len(r) == 0 {
		return seal.Key{}, false
	}
	k := r[len(r)-1]
	for _, u := range known.Keys {
		if u.Key == k.ID().String() {
			return k, false
		}
	}
	return k, true
}
