// Package dashboard is a page to look at: the map of a cluster, what is degraded, what its
// drives draw and who bears it, and what another plan would draw.
//
// It is a listener of its own beside the S3 endpoint, and takes nothing from elsewhere: the
// page is embedded, and its content security policy lets it speak to its own origin only. A
// listener on a loopback address is for whoever uses this machine, and knows other hosts'
// names as none of its own; any other listener wants TLS, and a key of an administrator before
// it shows anything. Disks can be failed and restored only where they merely stand for disks.
//
// doc/dashboard.md describes the JSON that it serves.
package dashboard

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/wattle-storage/wattle/cluster"
	"github.com/wattle-storage/wattle/energy"
)

// A Store is what the page shows and, when it is simulated, changes. A *cluster.Cluster is
// one.
type Store interface {
	Status(ctx context.Context) (cluster.Status, error)
	Ledger() (*energy.Ledger, error)
	Simulated() bool
	Fail(ctx context.Context, domain string) ([]string, error)
	Restore(ctx context.Context, domain string) ([]string, error)
}

// Options say how a Server serves. The zero value serves this machine at DefaultAddress.
type Options struct {
	Address string // host:port; "" means DefaultAddress
	// CertFile and KeyFile, when set, make it HTTPS; Reload reads them again.
	CertFile, KeyFile string
	// Insecure allows plain HTTP on an address that others can reach. They sign in all the same.
	Insecure bool
	// SignIn wants a key from this machine too, as is right behind a proxy.
	SignIn bool
	// ReadOnly offers no button that changes anything.
	ReadOnly bool
	// Admin tells whether an access key and its secret are those of an administrator. With
	// nil nobody can sign in.
	Admin func(ctx context.Context, access, secret string) (bool, error)
	// Still, when set, tells whether who signed in is an administrator yet.
	Still func(ctx context.Context, access string) bool
	// Upkeep, when set, is what repairs the store.
	Upkeep *Upkeep
	// Quotas, when set, tells what buckets and users hold of what they may, the fullest first.
	Quotas func(context.Context) ([]Quota, error)
	Log    *slog.Logger // nil: none
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// DefaultAddress is where the page is unless somebody says otherwise.
const DefaultAddress = "127.0.0.1:9001"

// ErrInsecure means that the address may be reached from outside and the page is not
// encrypted.
var ErrInsecure = errors.New("plain HTTP on an address that others can reach")

// A Server serves the page of one store.
type Server struct {
	o        Options
	store    Store
	feed     *feed
	sessions sessions
	work     chan struct{} // one for each model that is being reckoned
	cert     atomic.Pointer[tls.Certificate]
	local    bool // the address is for this machine alone
}

// Limits of what is served at a time.
const (
	mostConnections = 256
	mostModels      = 2
)

// New makes a server; Run starts it.
func New(s Store, o Options) (*Server, error) {
	if o.Address == "" {
		o.Address = DefaultAddress
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	host, _, err := net.SplitHostPort(o.Address)
	if err != nil {
		return nil, fmt.Errorf("dashboard address %q: %w; want HOST:PORT, or off", o.Address, err)
	}
	srv := &Server{o: o, store: s, feed: newFeed(s, o, o.Now), work: make(chan struct{}, mostModels), local: loopback(host)}
	srv.sessions.now = o.Now
	if o.CertFile == "" && !o.Insecure && !srv.local {
		return nil, fmt.Errorf("dashboard at %s: %w: give a certificate and its key, listen on 127.0.0.1, or allow it", o.Address, ErrInsecure)
	}
	return srv, srv.Reload()
}

// Reload reads the certificate again; connections that stand keep the old one.
func (s *Server) Reload() error {
	if s.o.CertFile == "" {
		return nil
	}
	c, err := tls.LoadX509KeyPair(s.o.CertFile, s.o.KeyFile)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	s.cert.Store(&c)
	return nil
}

// Listen takes the address. URL then says what it is.
func (s *Server) Listen() (net.Listener, error) {
	l, err := net.Listen("tcp", s.o.Address)
	if err != nil {
		return nil, fmt.Errorf("dashboard: %w", err)
	}
	return &limited{Listener: l, slots: make(chan struct{}, mostConnections)}, nil
}

// URL is where a listener's page is found.
func (s *Server) URL(l net.Listener) string {
	if s.o.CertFile != "" {
		return "https://" + l.Addr().String() + "/"
	}
	return "http://" + l.Addr().String() + "/"
}

// Run serves on a listener, and samples what the drives draw, until ctx ends.
func (s *Server) Run(ctx context.Context, l net.Listener) error {
	h := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 20 * time.Second, WriteTimeout: time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug)}
	if s.o.CertFile != "" {
		h.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.cert.Load(), nil }}
		l = tls.NewListener(l, h.TLSConfig)
	}
	sampled := make(chan struct{})
	ctx, stop := context.WithCancel(ctx)
	go func() {
		defer close(sampled)
		s.feed.run(ctx, s.o.Log)
	}()
	after := context.AfterFunc(ctx, func() {
		limit, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		if h.Shutdown(limit) != nil {
			h.Close()
		}
	})
	err := h.Serve(l)
	after()
	stop()
	<-sampled
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// A limited listener has so many connections open at a time; more wait to be accepted.
type limited struct {
	net.Listener
	slots chan struct{}
}

func (l *limited) Accept() (net.Conn, error) {
	l.slots <- struct{}{}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &slotted{Conn: c, release: func() { <-l.slots }}, nil
}

type slotted struct {
	net.Conn
	closed  atomic.Bool
	release func()
}

func (c *slotted) Close() error {
	err := c.Conn.Close()
	if !c.closed.Swap(true) {
		c.release()
	}
	return err
}
