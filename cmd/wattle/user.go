package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/cluster"
	"github.com/wattle-storage/wattle/gateway"
)

// secretKeyFile, in the cluster's directory, encrypts the users' secrets; keep a copy elsewhere.
const secretKeyFile = "secret.key"

func userCommand() *cli.Command {
	return &cli.Command{
		Name: "user", Category: "cluster", ArgsUsage: "add|list|limit|rm [ACCESS-KEY]",
		Usage: "say who may use the cluster over S3 beside the root key",
		Description: "Works with and without a running server. A secret is told once; it lies in the catalog, encrypted\nwith DIR/secret.key, which is made with the first user: keep a copy of it. A user that is taken away\nleaves its buckets to the administrators. limit bounds the bytes and objects of all buckets that a\nuser owns, and the requests that it makes.\n\n" +
			examples("wattle user add anna", "wattle user add backup --role userplus", "wattle user list", "wattle user limit anna --bytes 100GB --requests 200", "wattle user rm anna"),
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "role", Usage: "`ROLE`: user, userplus (makes buckets too) or admin", Value: gateway.RoleMaker},
			&cli.StringFlag{Name: "secret-file", Usage: "take the secret from `FILE`, or - for stdin, instead of making one"},
		}, limitFlags()...),
		Action: func(c *cli.Context) error {
			verb, access := c.Args().Get(0), c.Args().Get(1)
			switch {
			case verb == "list" && c.NArg() == 1:
				return userList(c)
			case verb == "add" && c.NArg() == 2:
				return userAdd(c, access)
			case verb == "limit" && c.NArg() == 2:
				return userLimit(c, access)
			case verb == "rm" && c.NArg() == 2:
				e := envOf(c)
				return e.withUsers(c.Context, func(s userStore) error { return s.Remove(c.Context, access) })
			}
			return usage("user takes add ACCESS-KEY, list, limit ACCESS-KEY, or rm ACCESS-KEY")
		},
	}
}

// userStore is what the user command works on: the cluster, or the server that has it open.
type userStore interface {
	Add(ctx context.Context, access, secret, role string) (gateway.User, error)
	Remove(ctx context.Context, access string) error
	List(ctx context.Context) ([]gateway.User, error)
	Limit(ctx context.Context, access string, l gateway.Limits) error
	LimitBucket(ctx context.Context, bucket string, l gateway.Limits) error
}

// withUsers calls f with the accounts, through the server if one runs.
func (e *env) withUsers(ctx context.Context, f func(userStore) error) error {
	cl, err := e.open(ctx, false)
	if errors.Is(err, cluster.ErrLocked) {
		if a, ok := e.server(ctx); ok {
			return f(a)
		}
	}
	if err != nil {
		return err
	}
	users, err := usersOf(cl, e.dir)
	if err == nil {
		err = f(users)
	}
	if e := cl.Close(); err == nil {
		err = e
	}
	return err
}

func usersOf(cl *cluster.Cluster, dir string) (*gateway.Users, error) {
	key, err := gateway.SecretKey(filepath.Join(dir, secretKeyFile))
	if err != nil {
		return nil, err
	}
	return gateway.NewUsers(cl, key)
}

func userAdd(c *cli.Context, access string) error {
	e := envOf(c)
	secret, err := readSecret(e, c.String("secret-file"))
	if err != nil {
		return err
	}
	return e.withUsers(c.Context, func(s userStore) error {
		u, err := s.Add(c.Context, access, secret, c.String("role"))
		if err != nil {
			if errors.Is(err, gateway.ErrRole) {
				return usageError{err}
			}
			return err
		}
		if secret != "" {
			u.Secret = "" // who gave it knows it
		}
		if e.json {
			return e.document(u)
		}
		fmt.Fprintf(e.out, "access key %s, role %s\n", u.Access, u.Role)
		if u.Secret != "" {
			fmt.Fprintf(e.out, "secret key %s\n", u.Secret)
		}
		return nil
	})
}

func userLimit(c *cli.Context, access string) error {
	e := envOf(c)
	return e.withUsers(c.Context, func(s userStore) error {
		list, err := s.List(c.Context)
		if err != nil {
			return err
		}
		var l gateway.Limits
		for _, u := range list {
			if u.Access == access && u.Limits != nil {
				l = *u.Limits
			}
		}
		if l, err = limits(c, l); err != nil {
			return err
		}
		if err := s.Limit(c.Context, access, l); err != nil {
			return err
		}
		if e.json {
			return e.document(l)
		}
		fmt.Fprintf(e.out, "%s: limits %s\n", access, tellLimits(l))
		return nil
	})
}

func userList(c *cli.Context) error {
	e := envOf(c)
	return e.withUsers(c.Context, func(s userStore) error {
		list, err := s.List(c.Context)
		if err != nil {
			return err
		}
		if e.json {
			return e.document(list)
		}
		t := newTable("access key", "role", "made", "limits")
		for _, u := range list {
			l := gateway.Limits{}
			if u.Limits != nil {
				l = *u.Limits
			}
			t.AppendRow([]any{u.Access, u.Role, u.Created.Format(time.DateTime), tellLimits(l)})
		}
		show(e.out, t)
		return nil
	})
}

// readSecret reads a secret from a file, "-" for stdin; none for "".
func readSecret(e *env, name string) (string, error) {
	if name == "" {
		return "", nil
	}
	r := e.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return "", usage("--secret-file: %w", err)
		}
		defer f.Close()
		r = f
	}
	b, err := io.ReadAll(io.LimitReader(r, 4096))
	secret := strings.TrimSpace(string(b))
	if err == nil && secret == "" {
		return "", usage("--secret-file %s: it is empty", name)
	}
	return secret, err
}
