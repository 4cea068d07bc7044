// Package gateway serves a store of objects over the S3 protocol.
//
// The protocol's front end (signatures, chunked bodies, XML, policies) is the s3api package
// of the Versity gateway; front in this package is its back end. What it asks of a store is
// the interface Store, which a *cluster.Cluster satisfies, so that either side can be
// replaced.
//
// Bodies stream both ways. An object becomes visible when its last byte was read, its
// length, signature and checksums agree, and the store has acknowledged it; else nothing of
// it stays. Strings that the front end hands over are views of the request's buffer, which
// the next request on the connection overwrites: all are cloned where they enter.
package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/valyala/fasthttp"
	"github.com/versity/versitygw/s3api"
	"github.com/versity/versitygw/s3api/middlewares"
	"github.com/versity/versitygw/s3api/utils"
	"github.com/versity/versitygw/s3err"

	"github.com/wattle-storage/wattle/cluster"
	"github.com/wattle-storage/wattle/energy"
)

// A Store is what the gateway asks of a store of objects. Errors are those of package
// cluster.
type Store interface {
	MakeBucketWith(ctx context.Context, name string, settings map[string]string) error
	RemoveBucket(ctx context.Context, name string) error
	BucketNames(ctx context.Context) ([]string, error)
	Settings(ctx context.Context, bucket string) (*cluster.Settings, error)
	Set(ctx context.Context, bucket, name, value string) error
	Unset(ctx context.Context, bucket, name string) error

	Put(ctx context.Context, bucket, key string, r io.Reader, o cluster.PutOptions) (cluster.Object, error)
	Head(ctx context.Context, bucket, key, version string) (cluster.Object, error)
	Get(ctx context.Context, bucket, key string, o cluster.GetOptions) (cluster.Reader, error)
	Copy(ctx context.Context, fromBucket, fromKey, bucket, key string, o cluster.PutOptions) (cluster.Object, error)
	DeleteVersion(ctx context.Context, bucket, key string, o cluster.DeleteOptions) (cluster.Object, error)
	List(ctx context.Context, bucket string, o cluster.ListOptions) (cluster.Page, error)
	Versions(ctx context.Context, bucket, prefix, after, version string, yield func(cluster.Object) bool) error
	ObjectParts(ctx context.Context, o cluster.Object) ([]cluster.Part, error)
	SetTags(ctx context.Context, bucket, key, version string, tags map[string]string) error
	SetRetention(ctx context.Context, bucket, key, version string, r cluster.Retention) error
	SetLegalHold(ctx context.Context, bucket, key, version string, on bool) error
	SetACL(ctx context.Context, bucket, key, version, acl string) error

	StartUpload(ctx context.Context, bucket, key string, o cluster.PutOptions) (cluster.Upload, error)
	Upload(ctx context.Context, bucket, key, upload string) (cluster.Upload, error)
	Uploads(ctx context.Context, bucket, prefix, after, upload string, yield func(cluster.Upload) bool) error
	PutPart(ctx context.Context, bucket, key, upload string, number int, r io.Reader, o cluster.PutOptions) (cluster.Part, error)
	Parts(ctx context.Context, bucket, key, upload string, after, limit int) ([]cluster.Part, error)
	CompleteUpload(ctx context.Context, bucket, key, upload string, parts []cluster.Part, o cluster.PutOptions) (cluster.Object, error)
	AbortUpload(ctx context.Context, bucket, key, upload string) error
}

// Options say how a Server serves. The zero value of all but Root works.
type Options struct {
	Address string // host:port; default 127.0.0.1:9000
	Region  string // default us-east-1
	Root    Credentials
	Users   *Users // beside the root; nil: none
	// Domain, when set, also takes requests for bucket.Domain.
	Domain string
	// CertFile and KeyFile, when set, make it HTTPS; Reload reads them again.
	CertFile, KeyFile string
	// Insecure allows plain HTTP on an address that others can reach.
	Insecure bool
	// OpaqueETags leaves the MD5 of bodies out unless the client sent one to compare with.
	OpaqueETags bool
	// Connections and Requests bound what is served at a time; 0 means 4096 and 1024.
	Connections, Requests int
	// Stall is how long a client may send or take nothing; 0 means 60 s.
	Stall time.Duration
	// MetricsToken, when set, opens /metrics to whoever bears it; else it is for this machine.
	MetricsToken string
	Log          *slog.Logger // nil: none
	// Grid, in g/kWh, puts the carbon that goes with the energy of requests on answers; zero
	// does not.
	Grid energy.Estimate
}

// Credentials are an access key and its secret.
type Credentials struct{ Access, Secret string }

// ErrInsecure means that the address may be reached from outside and the service is not
// encrypted.
var ErrInsecure = errors.New("plain HTTP on an address that others can reach")

// A Server serves one store. A process can have one, since the front end has state that is
// global.
type Server struct {
	o       Options
	api     *s3api.S3ApiServer
	front   *front
	metrics *metrics

	listening chan struct{}
	inFlight  atomic.Int64
	once      sync.Once
	stopping  atomic.Bool
}

// New makes a server; Serve starts it.
func New(s Store, o Options) (*Server, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	f := &front{store: s, ctx: ctx, cancel: cancel, log: o.Log, opaque: o.OpaqueETags, stall: o.Stall, root: o.Root.Access, users: o.Users, grid: o.Grid}
	var err error
	if f.quotas, err = newQuotas(ctx, s); err != nil {
		return nil, err
	}
	srv := &Server{o: o, front: f, listening: make(chan struct{})}
	f.metrics = newMetrics(srv, s)
	srv.metrics = f.metrics
	options := []s3api.Option{
		s3api.WithQuiet(), s3api.WithKeepAlive(), s3api.WithConcurrencyLimiter(o.Connections, o.Requests), s3api.WithMpMaxParts(maxParts),
		s3api.WithOnListen(func() { close(srv.listening) }),
		s3api.WithRoute(http.MethodGet, healthPath, unsigned(srv.health)), s3api.WithRoute(http.MethodGet, readyPath, unsigned(srv.ready)),
		s3api.WithRoute(http.MethodGet, metricsPath, unsigned(f.metrics.handler(o.MetricsToken))),
		s3api.WithMiddleware("/", srv.around),
	}
	if o.Domain != "" {
		options = append(options, s3api.WithHostStyle(o.Domain))
	}
	srv.api, err = s3api.New(limited{f}, middlewares.RootUserConfig{Access: o.Root.Access, Secret: o.Root.Secret}, o.Region, accounts{f}, nil, nil, nil, nil, options...)
	if err != nil {
		return nil, err
	}
	if o.CertFile != "" {
		srv.api.CertStorage = newOf(srv.api.CertStorage)
		if err := srv.Reload(); err != nil {
			return nil, err
		}
	}
	return srv, nil
}

// newOf makes what p would point to: the front end keeps the type to itself.
func newOf[T any](p *T) *T { return new(T) }

func (o Options) withDefaults() Options {
	if o.Address == "" {
		o.Address = "127.0.0.1:9000"
	}
	if o.Region == "" {
		o.Region = "us-east-1"
	}
	if o.Connections == 0 {
		o.Connections = 4096
	}
	if o.Requests == 0 {
		o.Requests = 1024
	}
	if o.Stall == 0 {
		o.Stall = time.Minute
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

func (o Options) check() error {
	if o.Root.Access == "" || len(o.Root.Secret) < 8 {
		return errors.New("the root key needs an access key and a secret of at least 8 characters")
	}
	host, _, err := net.SplitHostPort(o.Address)
	if err != nil {
		return fmt.Errorf("address %q: %w; want HOST:PORT", o.Address, err)
	}
	if (o.CertFile == "") != (o.KeyFile == "") {
		return errors.New("a certificate needs its key, and a key its certificate")
	}
	if o.CertFile == "" && !o.Insecure && !loopback(host) {
		return fmt.Errorf("%s: %w: give a certificate and its key, listen on 127.0.0.1, or allow it", o.Address, ErrInsecure)
	}
	return nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Reload reads the certificate again; connections that stand keep the old one.
func (s *Server) Reload() error {
	if s.o.CertFile == "" {
		return nil
	}
	if _, err := tls.LoadX509KeyPair(s.o.CertFile, s.o.KeyFile); err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	return s.api.CertStorage.SetCertificate(s.o.CertFile, s.o.KeyFile)
}

// Serve serves until Shutdown. ready, when set, is called once requests are taken.
func (s *Server) Serve(ready func()) error {
	done := make(chan error, 1)
	go func() { done <- s.api.ServeMultiPort([]string{s.o.Address}) }()
	select {
	case err := <-done:
		return err
	case <-s.listening:
	}
	if err := s.greet(); err != nil {
		_ = s.api.ShutDown()
		return errors.Join(err, <-done)
	}
	if ready != nil {
		ready()
	}
	if err := <-done; !s.stopping.Load() {
		return err
	}
	return nil
}

// greet sends the first request itself: only from inside of one can the time limits of the
// front end's server be set.
func (s *Server) greet() error {
	host, port, err := net.SplitHostPort(s.o.Address)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	scheme := "http"
	if s.o.CertFile != "" {
		scheme = "https"
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // ourselves
	res, err := client.Get(scheme + "://" + net.JoinHostPort(host, port) + healthPath)
	if err != nil {
		return fmt.Errorf("the server does not answer itself: %w", err)
	}
	return res.Body.Close()
}

// limits sets the time limits of the front end's server, once. Reading the body of an object has
// none as a whole, however long it is; but see payload, and readBody for others.
func (s *Server) limits(srv *fasthttp.Server) {
	s.once.Do(func() {
		srv.IdleTimeout = 2 * time.Minute
		srv.ReadTimeout = min(30*time.Second, s.o.Stall) // of the header
		srv.WriteTimeout = 0
		srv.DisablePreParseMultipartForm = true // it loses the order of the parts
		srv.HeaderReceived = func(*fasthttp.RequestHeader) fasthttp.RequestConfig {
			return fasthttp.RequestConfig{ReadTimeout: s.o.Stall, WriteTimeout: s.o.Stall} // until who reads or writes a body says more
		}
		unread := srv.ErrorHandler
		srv.ErrorHandler = func(c *fasthttp.RequestCtx, err error) {
			e := s3err.GetAPIError(s3err.ErrIncompleteBody) // the client broke off in the first bytes of its body
			switch timeout := (net.Error)(nil); {
			case errors.As(err, &timeout) && timeout.Timeout():
				e = errSlow()
			case !errors.Is(err, io.ErrUnexpectedEOF):
				unread(c, err)
				return
			}
			c.Response.Header.SetContentType(fiber.MIMEApplicationXML)
			c.Response.Header.SetConnectionClose()
			c.SetStatusCode(e.HTTPStatusCode)
			c.SetBody(e.XMLBody("", ""))
		}
	})
}

// Shutdown stops taking requests, waits for those in flight until ctx is done, and then
// breaks them off.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stopping.Store(true)
	done := make(chan error, 1)
	go func() { done <- s.api.ShutDown() }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for s.inFlight.Load() > 0 {
		select {
		case <-ctx.Done():
			s.front.cancel()
			return errors.Join(ctx.Err(), <-done)
		case <-tick.C:
		}
	}
	s.front.cancel()
	<-done //nolint:errcheck // its time ran out on idle connections at the worst
	return nil
}

const (
	healthPath = "/healthz"
	readyPath  = "/readyz"
)

func (s *Server) health(c fiber.Ctx) error {
	s.limits(c.App().Server())
	return c.SendString("ok\n")
}

// ready tells whether the store takes requests.
func (s *Server) ready(c fiber.Ctx) error {
	if s.stopping.Load() {
		return c.Status(http.StatusServiceUnavailable).SendString("stopping\n")
	}
	if _, err := s.front.store.Settings(s.front.ctx, ""); err != nil {
		return c.Status(http.StatusServiceUnavailable).SendString("the store does not answer\n")
	}
	return c.SendString("ok\n")
}

// unsigned makes a handler that leaves requests to a bucket of its name to S3: those are
// signed.
func unsigned(h fiber.Handler) fiber.Handler {
	return func(c fiber.Ctx) error {
		if strings.HasPrefix(c.Get("Authorization"), "AWS4-") || c.Request().URI().QueryArgs().Has("X-Amz-Signature") {
			return c.Next()
		}
		return h(c)
	}
}

// around runs around every request.
func (s *Server) around(c fiber.Ctx) error {
	if c.RequestCtx().UserValue(formAnew) != nil { // it was begun with the form that this one stands for
		err := c.Next()
		mend(c)
		c.Response().Header.Set("Server", "wattle")
		return err
	}
	s.inFlight.Add(1)
	defer s.inFlight.Add(-1)
	start := time.Now()
	c.Response().Header.Set("Server", "wattle")
	var err error
	refusal, answered := refused(&c.Request().Header), false
	restore := s.pathStyle(c)
	if refusal == nil {
		if refusal = improper(c); refusal == nil {
			refusal = unlike(c)
		}
		s.signRawPath(c)
	}
	if refusal == nil {
		e := s.readDocument(c)
		if e == nil {
			e = s.signVersion2(c)
		}
		if e == nil {
			e, answered = s.form(c)
		}
		if e == nil && !answered {
			e = s.permitACL(c)
		}
		if e == nil && !answered {
			e, answered = s.answer(c)
		}
		if e != nil && !errors.As(e, &refusal) {
			s.o.Log.Error("request failed", "path", c.Path(), "error", e)
			refusal = s3err.GetAPIError(s3err.ErrInternalError)
		}
	}
	switch {
	case answered && refusal == nil:
	case refusal != nil:
		id, host := utils.EnsureRequestIDs(c)
		c.Response().Header.SetContentType(fiber.MIMEApplicationXML)
		err = c.Status(refusal.StatusCode()).Send(refusal.XMLBody(id, host))
	default:
		restore()
		body := trackBody(c)
		err = c.Next()
		body.finish(c)
		mend(c)
	}
	if t, ok := c.RequestCtx().UserValue(trackedBody).(*tracked); chunked(c) && !(ok && t.ended) {
		c.Response().Header.SetConnectionClose() // what is left of it must not be taken for a request
	}
	s.metrics.observe(c, time.Since(start))
	s.o.Log.LogAttrs(s.front.ctx, slog.LevelInfo, "request", slog.String("id", utils.RequestID(c)), slog.String("method", c.Method()),
		slog.String("path", c.Path()), slog.Int("status", c.Response().StatusCode()), slog.String("from", c.IP()),
		slog.Duration("took", time.Since(start)), slog.Int("received", max(0, c.Request().Header.ContentLength())))
	return err
}

// answer answers what the front end cannot, or not rightly.
func (s *Server) answer(c fiber.Ctx) (err error, answered bool) {
	switch {
	case isLifecycle(c):
		err, answered = s.lifecycle(c), true
	case isACL(c):
		err, answered = s.acl(c), true
	case isPolicy(c):
		err, answered = s.policy(c), true
	case isBlock(c):
		err, answered = s.block(c), true
	case absentOf(c) != "":
		err, answered = s.absent(c, absentOf(c)), true
	default:
		return nil, false
	}
	utils.EnsureRequestIDs(c)
	if e := middlewares.ApplyBucketCORS(s.front, bucketOfPath, "")(c); err == nil {
		err = e
	}
	return err, answered
}

func bucketOfPath(c fiber.Ctx) (string, error) {
	bucket, _, _ := strings.Cut(strings.TrimPrefix(c.Path(), "/"), "/")
	return strings.Clone(bucket), nil
}

// partsCount is the user value with the parts of an object whose attributes are told.
const partsCount = "wattle-parts-count"

// mend corrects what the front end answers.
func mend(c fiber.Ctx) {
	h := &c.Response().Header
	for _, name := range []string{"X-Amz-Request-Id", "X-Amz-Id-2"} { // it sets these twice, in two spellings
		h.DisableNormalizing()
		if v := h.Peek(strings.ToLower(name)); len(v) > 0 {
			h.Del(name)
		}
	}
	if n, ok := c.RequestCtx().UserValue(partsCount).(int); ok { // it does not tell how many there are
		c.Response().SetBody(bytes.Replace(c.Response().Body(), []byte("<ObjectParts>"), fmt.Appendf(nil, "<ObjectParts><PartsCount>%d</PartsCount>", n), 1))
	}
	mendXML(c)
	if c.Method() == http.MethodPost && c.Request().URI().QueryArgs().Has("delete") && malformed(c) {
		id, host := utils.EnsureRequestIDs(c)
		c.Status(http.StatusBadRequest).Response().SetBody(s3err.GetAPIError(s3err.ErrMalformedXML).XMLBody(id, host))
	}
}

// malformed tells whether a request to delete many was not XML, or named nothing.
func malformed(c fiber.Ctx) bool {
	switch c.Response().StatusCode() {
	case http.StatusBadRequest:
		return bytes.Contains(c.Response().Body(), []byte("<Message>Invalid Request.</Message>"))
	case http.StatusOK:
		return !bytes.Contains(c.Request().Body(), []byte("<Object"))
	}
	return false
}

// encryption are the headers that ask for encryption by the server.
var encryption = []string{
	"X-Amz-Server-Side-Encryption", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id", "X-Amz-Server-Side-Encryption-Context",
	"X-Amz-Server-Side-Encryption-Customer-Algorithm", "X-Amz-Server-Side-Encryption-Customer-Key", "X-Amz-Server-Side-Encryption-Customer-Key-Md5",
	"X-Amz-Copy-Source-Server-Side-Encryption-Customer-Algorithm", "X-Amz-Copy-Source-Server-Side-Encryption-Customer-Key",
}

// refused tells what a request asks for that would be ignored, and must not be.
func refused(h *fasthttp.RequestHeader) s3err.S3Error {
	for _, name := range encryption {
		if len(h.Peek(name)) > 0 {
			return notEncrypted(name)
		}
	}
	return nil
}

func notEncrypted(name string) s3err.S3Error {
	return s3err.APIError{Code: "NotImplemented", HTTPStatusCode: http.StatusNotImplemented,
		Description: "Encryption by the server as " + name + " asks for it is not implemented, and the object would not be encrypted."}
}

// improper tells what the front end would take for another request than the one that it is.
func improper(c fiber.Ctx) s3err.S3Error {
	q := c.Request().URI().QueryArgs()
	notImplemented := func(what string) s3err.S3Error {
		return s3err.APIError{Code: "NotImplemented", HTTPStatusCode: http.StatusNotImplemented, Description: what + " is not implemented."}
	}
	switch {
	case c.Method() == http.MethodGet && q.Has("torrent"):
		return notImplemented("A torrent of an object")
	case c.Method() == http.MethodPost && q.Has("select") && q.Has("select-type"):
		return notImplemented("Selecting from the contents of an object")
	case chunked(c) && twoLengths(c.Request().Header.RawHeaders()):
		c.Response().Header.SetConnectionClose()
		return s3err.APIError{Code: "InvalidRequest", HTTPStatusCode: http.StatusBadRequest, Description: "Content-Length and Transfer-Encoding must not both be given."}
	case q.Has("X-Amz-Signature") && tooEarly(string(q.Peek("X-Amz-Date")), time.Now()):
		return s3err.APIError{Code: "AccessDenied", HTTPStatusCode: http.StatusForbidden, Description: "Request is not valid yet"}
	case outOfRange(q) != "":
		return s3err.APIError{Code: "InvalidArgument", HTTPStatusCode: http.StatusBadRequest, Description: "Argument " + outOfRange(q) + " must be an integer of at most 2147483647."}
	case q.Has("versionId") && len(q.Peek("versionId")) == 0 && !q.Has("legal-hold") && !q.Has("retention"): // there clients send it for the latest
		return s3err.APIError{Code: "InvalidArgument", HTTPStatusCode: http.StatusBadRequest, Description: "Version id cannot be the empty string."}
	case len(c.Request().Header.Peek("Authorization")) == 0 && !q.Has("X-Amz-Signature") && !q.Has("Signature") && overrides(q):
		return s3err.APIError{Code: "InvalidRequest", HTTPStatusCode: http.StatusBadRequest, Description: "Request specific response headers cannot be used for anonymous GET requests."}
	}
	return nil
}

// overrides tells whether a query asks for other headers in the answer than the object has.
func overrides(q *fasthttp.Args) bool {
	for name := range q.All() {
		if bytes.HasPrefix(name, []byte("response-")) {
			return true
		}
	}
	return false
}
