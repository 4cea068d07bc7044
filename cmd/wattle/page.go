package main

import (
	"context"
	"errors"
	"log/slog"
	"net"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/wattle-storage/wattle/cluster"
	"github.com/wattle-storage/wattle/dashboard"
	"github.com/wattle-storage/wattle/gateway"
)

// A page is the dashboard of a server, on a listener of its own.
type page struct {
	s *dashboard.Server
	l net.Listener
}

// newPage makes the dashboard that the flags ask for. Nil: none. Where nobody chose the
// address, one that is taken is no reason not to serve.
func newPage(c *cli.Context, cl *cluster.Cluster, o gateway.Options, kept *dashboard.Upkeep, log *slog.Logger) (*page, error) {
	if c.String("dashboard") == "off" {
		return nil, nil
	}
	s, err := dashboard.New(cl, dashboard.Options{Address: c.String("dashboard"), CertFile: o.CertFile, KeyFile: o.KeyFile, Insecure: o.Insecure,
		SignIn: c.Bool("dashboard-sign-in"), ReadOnly: c.Bool("dashboard-read-only"), Upkeep: kept, Log: log,
		Admin: func(ctx context.Context, access, secret string) (bool, error) {
			return o.Root.Admin(ctx, o.Users, access, secret)
		},
		Still:  func(ctx context.Context, access string) bool { return o.Root.Still(ctx, o.Users, access) },
		Quotas: func(ctx context.Context) ([]dashboard.Quota, error) { return quotas(ctx, cl) }})
	if err != nil {
		return nil, usageError{err}
	}
	l, err := s.Listen()
	if errors.Is(err, unix.EADDRINUSE) && !c.IsSet("dashboard") {
		log.Warn("no dashboard: its address is taken; --dashboard names another", "address", c.String("dashboard"))
		return nil, nil
	}
	return &page{s, l}, err
}

func (p *page) run(ctx context.Context) error { return p.s.Run(ctx, p.l) }

func (p *page) url() string { return p.s.URL(p.l) }

func (p *page) reload() error {
	if p == nil {
		return nil
	}
	return p.s.Reload()
}

// quotas are those of a cluster, as the page shows them.
func quotas(ctx context.Context, cl *cluster.Cluster) ([]dashboard.Quota, error) {
	list, err := gateway.Quotas(ctx, cl)
	out := make([]dashboard.Quota, len(list))
	for i, q := range list {
		out[i] = dashboard.Quota{Name: q.Bucket + q.User, User: q.User != "", Bytes: q.Usage.Bytes, Objects: q.Usage.Objects, MostBytes: q.Limits.Bytes, MostObjects: q.Limits.Objects, Part: q.Part}
	}
	return out, err
}
