package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// S3Config says what to ask of an S3 endpoint.
type S3Config struct {
	URL            string // scheme, host and port
	Against        string // of another endpoint with the same key, which takes turns with URL; may be empty
	Region         string // default us-east-1
	Access, Secret string
	Sizes          []int64
	Concurrency    []int
	Time           time.Duration // of a round of one kind
	Rounds         int
	Mixed          bool // add rounds in which one in four requests is a put
	Verify         bool // compare all bytes that are read; costs the client's processor
	Keys           int  // keys to list; 0 leaves listing out
	PID            int  // server process; 0: whoever listens on the URL's port of this machine
	Progress       func(string)
}

// An S3Row is one kind of request. Round i of Others is that of the other endpoint, measured
// beside round i of Rounds.
type S3Row struct {
	Operation   string
	Size        int64
	Concurrency int
	Rounds      []S3Sample
	Others      []S3Sample
}

// Ratio is the median over the rounds of the endpoint's rate over the other's; 0 without one.
func (r S3Row) Ratio() float64 {
	var ratios []float64
	for i, o := range r.Others {
		ratios = append(ratios, r.Rounds[i].Rate()/o.Rate())
	}
	if len(ratios) == 0 {
		return 0
	}
	slices.Sort(ratios)
	return (ratios[(len(ratios)-1)/2] + ratios[len(ratios)/2]) / 2
}

// An S3Sample is a Sample of requests; its CPU is the client's.
type S3Sample struct {
	Sample
	ServerCPU time.Duration // 0 when the server is not a process of this machine
}

// Rate is how many requests a second were answered.
func (s Sample) Rate() float64 { return float64(s.Operations) / s.Wall.Seconds() }

// An S3Report is what RunS3 measured.
type S3Report struct {
	URL        string
	PID        int // 0: the server is not of this machine
	PeakMemory int64
	Rows       []S3Row
}

// endpoint sends signed requests.
type endpoint struct {
	base   *url.URL
	region string
	keys   aws.Credentials
	http   *http.Client
	sign   *v4.Signer
}

const (
	unsignedPayload = "UNSIGNED-PAYLOAD"
	emptySHA        = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

func (c S3Config) endpoint(at string) (*endpoint, error) {
	u, err := url.Parse(at)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("URL %q: want http://HOST:PORT or https://HOST:PORT", at)
	}
	most := 1
	for _, n := range c.Concurrency {
		most = max(most, n)
	}
	e := &endpoint{base: u, region: c.Region, keys: aws.Credentials{AccessKeyID: c.Access, SecretAccessKey: c.Secret},
		http: &http.Client{Transport: &http.Transport{MaxIdleConns: most, MaxIdleConnsPerHost: most, DisableCompression: true, WriteBufferSize: 64 << 10, ReadBufferSize: 64 << 10}},
		sign: v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })}
	if e.region == "" {
		e.region = "us-east-1"
	}
	return e, nil
}

// do sends a request and gives the body of a good answer to take.
func (e *endpoint) do(ctx context.Context, method, path string, body []byte, take func(io.Reader) error) error {
	raw, query, _ := strings.Cut(path, "?")
	u := *e.base
	u.Path, u.RawQuery = raw, query
	var r io.Reader
	sum := emptySHA
	if body != nil {
		r, sum = bytes.NewReader(body), unsignedPayload
		if query != "" { // a document
			h := sha256.Sum256(body)
			sum = hex.EncodeToString(h[:])
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), r)
	if err != nil {
		return err
	}
	req.Header.Set("X-Amz-Content-Sha256", sum)
	if err := e.sign.SignHTTP(ctx, e.keys, req, sum, "s3", e.region, time.Now()); err != nil {
		return err
	}
	res, err := e.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 300))
		return fmt.Errorf("%s %s: %s: %s", method, raw, res.Status, text)
	}
	if take == nil {
		take = func(r io.Reader) error { _, err := swallow(r); return err }
	}
	return take(res.Body)
}

// RunS3 measures an endpoint in a bucket of its own, which it removes; with Against two of
// them, in turn.
func RunS3(ctx context.Context, c S3Config) (rep S3Report, err error) {
	var runs []*s3Run
	defer func() {
		for _, r := range runs {
			err = errors.Join(err, r.remove(context.WithoutCancel(ctx)))
		}
	}()
	for _, at := range []string{c.URL, c.Against} {
		if at == "" && len(runs) > 0 {
			break
		}
		r, err := c.begin(ctx, at)
		if err != nil {
			return rep, err
		}
		runs = append(runs, r)
	}
	rep.URL, rep.PID = c.URL, runs[0].pid
	for _, size := range c.Sizes {
		for _, n := range c.Concurrency {
			rows, err := c.size(ctx, runs, size, n)
			if err != nil {
				return rep, err
			}
			rep.Rows = append(rep.Rows, rows...)
			for _, r := range runs {
				if err := r.clear(ctx); err != nil {
					return rep, err
				}
			}
		}
	}
	if c.Keys > 0 {
		row, err := runs[0].list(ctx)
		if err != nil {
			return rep, err
		}
		rep.Rows = append(rep.Rows, row)
	}
	_, rep.PeakMemory = processUse(rep.PID)
	return rep, nil
}

type s3Run struct {
	c      S3Config
	e      *endpoint
	bucket string
	pid    int
}

// begin makes the bucket at an endpoint.
func (c S3Config) begin(ctx context.Context, at string) (*s3Run, error) {
	e, err := c.endpoint(at)
	if err != nil {
		return nil, err
	}
	var id [6]byte
	rand.Read(id[:])
	r := &s3Run{c: c, e: e, bucket: "/wattle-bench-" + hex.EncodeToString(id[:]), pid: listener(e.base)}
	if at == c.URL && c.PID != 0 {
		r.pid = c.PID
	}
	return r, e.do(ctx, http.MethodPut, r.bucket, nil, nil)
}

// body is what lies under every key of a size.
func body(size int64) []byte {
	p := make([]byte, size)
	rand.Read(p)
	return p
}

func (r *s3Run) progress(format string, a ...any) {
	if r.c.Progress != nil {
		r.c.Progress(fmt.Sprintf(format, a...))
	}
}

// size measures puts, gets of what they put, and perhaps both mixed. The endpoints take turns
// within a round, in the other order the next time.
func (c S3Config) size(ctx context.Context, runs []*s3Run, size int64, at int) ([]S3Row, error) {
	p := body(size)
	names := []string{"put", "get"}
	if c.Mixed {
		names = append(names, "mixed")
	}
	rows := make([]S3Row, len(names))
	turns := make([]*turn, len(runs))
	for i, r := range runs {
		turns[i] = &turn{r: r, body: p, prefix: fmt.Sprintf("%s/%d-%d/", r.bucket, size, at)}
	}
	for round := range c.Rounds {
		for i, name := range names {
			rows[i].Operation, rows[i].Size, rows[i].Concurrency = name, size, at
			samples := make([]S3Sample, len(runs))
			for j := range runs {
				if round%2 == 1 {
					j = len(runs) - 1 - j
				}
				t := turns[j]
				t.r.progress("%s of %d bytes, %d at a time, %s", name, size, at, t.r.e.base)
				s, err := t.r.measure(ctx, at, size, t.operation(name))
				if err != nil {
					return nil, err
				}
				t.known, samples[j] = t.put.Load(), s
			}
			rows[i].Rounds = append(rows[i].Rounds, samples[0])
			if len(samples) > 1 {
				rows[i].Others = append(rows[i].Others, samples[1])
			}
		}
	}
	return rows, nil
}

// A turn is what one endpoint has of one size.
type turn struct {
	r      *s3Run
	body   []byte
	prefix string
	put    atomic.Int64
	known  int64 // keys that can be read
}

func (t *turn) operation(name string) func(context.Context, int, int64) error {
	put := func(ctx context.Context, _ int, _ int64) error {
		return t.r.e.do(ctx, http.MethodPut, t.prefix+fmt.Sprint(t.put.Add(1)-1), t.body, nil)
	}
	get := func(ctx context.Context, worker int, i int64) error {
		return t.r.e.do(ctx, http.MethodGet, t.prefix+fmt.Sprint((i*7919+int64(worker))%t.known), nil, t.r.check(t.body))
	}
	switch name {
	case "put":
		return put
	case "get":
		return get
	}
	return func(ctx context.Context, worker int, i int64) error {
		if i%4 == 0 {
			return put(ctx, worker, i)
		}
		return get(ctx, worker, i)
	}
}

// check reads a body, and compares it when that was asked for.
func (r *s3Run) check(want []byte) func(io.Reader) error {
	return func(body io.Reader) error {
		if !r.c.Verify {
			n, err := swallow(body)
			if err == nil && n != int64(len(want)) {
				err = fmt.Errorf("%d bytes came of %d", n, len(want))
			}
			return err
		}
		got, err := io.ReadAll(body)
		if err == nil && !bytes.Equal(got, want) {
			err = errors.New("what came back is not what was put")
		}
		return err
	}
}

// sinks are memory to read bodies into: as much at a time as the socket holds, since what the
// client takes of the machine the server does not have.
var sinks = sync.Pool{New: func() any { return new([256 << 10]byte) }}

// swallow reads a body to its end.
func swallow(r io.Reader) (n int64, err error) {
	p := sinks.Get().(*[256 << 10]byte)
	defer sinks.Put(p)
	for {
		m, err := r.Read(p[:])
		if n += int64(m); err == io.EOF {
			return n, nil
		} else if err != nil {
			return n, err
		}
	}
}

func (r *s3Run) measure(ctx context.Context, at int, size int64, op func(context.Context, int, int64) error) (S3Sample, error) {
	cpu, _ := processUse(r.pid)
	s, err := load{Concurrency: at, Time: r.c.Time, Most: 1 << 40}.run(ctx, size, func() Counts { return Counts{} }, op)
	after, _ := processUse(r.pid)
	return S3Sample{s, after - cpu}, err
}

// list measures listing keys, a thousand a page.
func (r *s3Run) list(ctx context.Context) (S3Row, error) {
	row := S3Row{Operation: "list", Concurrency: 1}
	prefix := r.bucket + "/keys/"
	var n atomic.Int64
	r.progress("%d keys to list", r.c.Keys)
	if _, err := (load{Concurrency: 32, Time: time.Hour, Most: int64(r.c.Keys)}).run(ctx, 0, func() Counts { return Counts{} }, func(ctx context.Context, _ int, i int64) error {
		return r.e.do(ctx, http.MethodPut, prefix+fmt.Sprintf("%08d", n.Add(1)), []byte{}, nil)
	}); err != nil {
		return row, err
	}
	for range r.c.Rounds {
		cpu, _ := processUse(r.pid)
		start, own, keys, after := time.Now(), cpuTime(), int64(0), ""
		for {
			var page bytes.Buffer
			if err := r.e.do(ctx, http.MethodGet, r.bucket+"?list-type=2&prefix=keys%2F&start-after="+url.QueryEscape(after), nil, func(b io.Reader) error { _, err := page.ReadFrom(b); return err }); err != nil {
				return row, err
			}
			text := page.String()
			keys += int64(strings.Count(text, "<Key>"))
			if !strings.Contains(text, "<IsTruncated>true") {
				break
			}
			last := text[strings.LastIndex(text, "<Key>")+5:]
			after = last[:strings.Index(last, "<")]
		}
		after2, _ := processUse(r.pid)
		row.Rounds = append(row.Rounds, S3Sample{Sample{Operations: keys, Wall: time.Since(start), CPU: cpuTime() - own}, after2 - cpu})
		if keys < int64(r.c.Keys) {
			return row, fmt.Errorf("%d keys were listed of %d", keys, r.c.Keys)
		}
	}
	return row, nil
}

// clear removes what was put.
func (r *s3Run) clear(ctx context.Context) error {
	r.progress("removing what was put")
	for {
		var page bytes.Buffer
		if err := r.e.do(ctx, http.MethodGet, r.bucket+"?list-type=2", nil, func(b io.Reader) error { _, err := page.ReadFrom(b); return err }); err != nil {
			return err
		}
		keys := strings.Split(page.String(), "<Key>")[1:]
		if len(keys) == 0 {
			return nil
		}
		_, err := load{Concurrency: 32, Time: time.Hour, Most: int64(len(keys))}.run(ctx, 0, func() Counts { return Counts{} }, func(ctx context.Context, _ int, i int64) error {
			key, _, _ := strings.Cut(keys[i], "<")
			return r.e.do(ctx, http.MethodDelete, r.bucket+"/"+key, nil, nil)
		})
		if err != nil {
			return err
		}
	}
}

// remove removes what was put, and the bucket.
func (r *s3Run) remove(ctx context.Context) error {
	return errors.Join(r.clear(ctx), r.e.do(ctx, http.MethodDelete, r.bucket, nil, nil))
}
