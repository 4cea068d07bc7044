package gateway

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/wattle-storage/wattle/cluster"
	"github.com/wattle-storage/wattle/erasure"
)

// The front end allows one server a process, so that all tests share this one.
var (
	endpoint string
	store    *cluster.Cluster
	users    *Users
	root     = Credentials{"root", "rootsecret"}
	logged   logLines
	client   = &http.Client{Transport: &http.Transport{DisableCompression: true}}
)

// testStall is long enough for the pauses of a busy machine.
const testStall = 5 * time.Second

func TestMain(m *testing.M) {
	code, err := serveTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func serveTests(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "gateway")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "c")
	if err := cluster.Init(path, cluster.InitOptions{Map: cluster.DefaultMap(3, 1, 1, 2, 1e12), Scheme: erasure.Scheme{Kind: erasure.RS, K: 4, M: 2}}); err != nil {
		return 1, err
	}
	if store, err = cluster.Open(context.Background(), path, cluster.Options{}); err != nil {
		return 1, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 1, err
	}
	address := l.Addr().String()
	l.Close()
	if users, err = NewUsers(store, bytes.Repeat([]byte{7}, 32)); err != nil {
		return 1, err
	}
	srv, err := New(store, Options{Address: address, Root: root, Users: users, Domain: "s3.example", Stall: testStall, Log: slog.New(slog.NewJSONHandler(&logged, nil))})
	if err != nil {
		return 1, err
	}
	endpoint = "http://" + address
	ready, done := make(chan bool), make(chan error, 1)
	go func() { done <- srv.Serve(func() { close(ready) }) }()
	select {
	case err := <-done:
		return 1, err
	case <-ready:
	}
	code = m.Run()
	client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return code, errors.Join(srv.Shutdown(ctx), <-done, store.Close())
}

// A call is one request; the zero value of all but Path works.
type call struct {
	Method  string // default GET
	Path    string // as it is sent, with the query
	Headers map[string]string
	Body    string
	Key     Credentials // default root; Access "-" sends it without a signature
	Payload string      // payload hash to sign; default: of the body
	Time    time.Time
	Broken  bool // spoils the signature
	Chunked bool // sends it without a length
}

// An answer is what came back.
type answer struct {
	Status int
	Header http.Header
	Body   string
	Code   string // of an error
}

func signer() *v4.Signer {
	return v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
}

func credentials(k Credentials) aws.Credentials {
	return aws.Credentials{AccessKeyID: k.Access, SecretAccessKey: k.Secret}
}

func (c call) request(t testing.TB) *http.Request {
	t.Helper()
	method := c.Method
	if method == "" {
		method = http.MethodGet
	}
	raw, rawQuery, _ := strings.Cut(c.Path, "?")
	path, err := url.PathUnescape(raw)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(method, endpoint, strings.NewReader(c.Body))
	if err != nil {
		t.Fatal(err)
	}
	req.URL.Path, req.URL.RawPath, req.URL.RawQuery = path, raw, rawQuery
	switch {
	case c.Chunked:
		req.ContentLength, req.Body = -1, io.NopCloser(io.MultiReader(strings.NewReader(c.Body), late{}))
	case c.Body == "":
		req.Body = http.NoBody
	}
	for k, v := range c.Headers {
		req.Header[http.CanonicalHeaderKey(k)] = []string{v}
	}
	if c.Key == (Credentials{}) {
		c.Key = root //nolint:staticcheck // it signs below
	}
	if c.Key.Access == "-" {
		return req
	}
	sum := c.Payload
	if sum == "" {
		h := sha256.Sum256([]byte(c.Body))
		sum = hex.EncodeToString(h[:])
	}
	req.Header.Set("X-Amz-Content-Sha256", sum)
	if c.Time.IsZero() {
		c.Time = time.Now()
	}
	err = signer().SignHTTP(context.Background(), credentials(c.Key), req, sum, "s3", "us-east-1", c.Time.UTC())
	if err != nil {
		t.Fatal(err)
	}
	if c.Broken {
		a := req.Header.Get("Authorization")
		req.Header.Set("Authorization", a[:len(a)-4]+"0000")
	}
	return req
}

func (c call) do(t testing.TB) answer {
	t.Helper()
	res, err := client.Do(c.request(t))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{Status: res.StatusCode, Header: res.Header, Body: string(b)}
	if a.Status >= 400 {
		var e struct{ Code string }
		xml.Unmarshal(b, &e)
		a.Code = e.Code
	}
	return a
}

// late is an end that comes a while after the rest, and so in a packet of its own.
type late struct{}

func (late) Read([]byte) (int, error) {
	time.Sleep(20 * time.Millisecond)
	return 0, io.EOF
}

// want does the call and fails unless it has that status and error code.
func (c call) want(t testing.TB, status int, code string) answer {
	t.Helper()
	a := c.do(t)
	if a.Status != status || a.Code != code {
		t.Errorf("%s %s: %d %s, want %d %s\n%.300s", c.Method, c.Path, a.Status, a.Code, status, code, a.Body)
	}
	return a
}

var buckets atomic.Int64

// newBucket makes a bucket of the test's own.
func newBucket(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("bucket-%d", buckets.Add(1))
	call{Method: "PUT", Path: "/" + name}.want(t, 200, "")
	return name
}

// escape encodes a key as clients do: all but unreserved characters and '/'.
func escape(key string) string {
	var b strings.Builder
	for _, c := range []byte(key) {
		if c == '/' || c == '-' || c == '_' || c == '.' || c == '~' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func putObject(t testing.TB, bucket, key, body string, headers ...string) answer {
	t.Helper()
	h := map[string]string{}
	for i := 0; i+1 < len(headers); i += 2 {
		h[headers[i]] = headers[i+1]
	}
	return call{Method: "PUT", Path: "/" + bucket + "/" + escape(key), Body: body, Headers: h}.want(t, 200, "")
}

func randomText(n int, seed uint64) string {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), 3}).Read(p)
	return string(p)
}

func md5Of(s string) string {
	h := md5.Sum([]byte(s))
	return hex.EncodeToString(h[:])
}

func md5Header(body string) map[string]string {
	h := md5.Sum([]byte(body))
	return map[string]string{"Content-MD5": base64.StdEncoding.EncodeToString(h[:])}
}

func TestPutAndGet(t *testing.T) {
	b := newBucket(t)
	for _, n := range []int{0, 1, 4096, 64 << 10, 64<<10 + 1, 300_000, 3 << 20} {
		body := randomText(n, uint64(n))
		put := putObject(t, b, "k", body, "Content-Type", "a/b", "X-Amz-Meta-Colour", "Green", "Cache-Control", "no-cache", "Content-Disposition", "inline",
			"Content-Encoding", "gzip,aws-chunked", "Content-Language", "fr", "Expires", "Thu, 01 Dec 2033 16:00:00 GMT")
		want := `"` + md5Of(body) + `"`
		if put.Header.Get("ETag") != want {
			t.Errorf("%d bytes: ETag %s, want %s", n, put.Header.Get("ETag"), want)
		}
		for _, method := range []string{"GET", "HEAD"} {
			got := call{Method: method, Path: "/" + b + "/k"}.want(t, 200, "")
			if method == "GET" && got.Body != body {
				t.Errorf("%d bytes came back as %d others", n, len(got.Body))
			}
			for name, value := range map[string]string{"ETag": want, "Content-Type": "a/b", "X-Amz-Meta-Colour": "Green", "Cache-Control": "no-cache", "Content-Disposition": "inline",
				"Content-Encoding": "gzip", "Content-Language": "fr", "Expires": "Thu, 01 Dec 2033 16:00:00 GMT", "Accept-Ranges": "bytes", "Content-Length": fmt.Sprint(n),
				"X-Amz-Version-Id": "", "X-Amz-Checksum-Crc64nvme": ""} {
				if v := got.Header.Get(name); v != value {
					t.Errorf("%s of %d bytes: %s %q, want %q", method, n, name, v, value)
				}
			}
		}
	}
}

func TestKeys(t *testing.T) {
	b := newBucket(t)
	keys := []string{"plain", "å b+c%20.txt", "a//b", "/leading", "trailing/", "a b", "q?x=1&y", "#", "dot/./x", "é/日本", "+", "%2F", "~tilde", "'quote\"", strings.Repeat("k", 1024)}
	for _, k := range keys {
		escaped := escape(k)
		call{Method: "PUT", Path: "/" + b + "/" + escaped, Body: k}.want(t, 200, "")
		if got := (call{Path: "/" + b + "/" + escaped}).want(t, 200, ""); got.Body != k {
			t.Errorf("%q came back as %q", k, got.Body)
		}
	}
	list := list(t, b, "")
	var got []string
	for _, o := range list.Contents {
		got = append(got, o.Key)
	}
	slices.Sort(keys)
	if !slices.Equal(got, keys) {
		t.Errorf("listed %q, want %q", got, keys)
	}
	call{Method: "PUT", Path: "/" + b + "/" + strings.Repeat("k", 1025), Body: "x"}.want(t, 400, "KeyTooLongError")
	call{Method: "PUT", Path: "/" + b + "/%FF", Body: "x"}.want(t, 400, "InvalidArgument")
}

func TestRanges(t *testing.T) {
	b := newBucket(t)
	body := randomText(1_000_000, 1)
	putObject(t, b, "k", body)
	putObject(t, b, "empty", "")
	for r, want := range map[string]string{
		"bytes=0-0": "0-0", "bytes=5-9": "5-9", "bytes=999999-": "999999-999999", "bytes=-7": "999993-999999", "bytes=-2000000": "0-999999",
		"bytes=500000-2000000": "500000-999999", "bytes=100-800000": "100-800000",
	} {
		got := call{Path: "/" + b + "/k", Headers: map[string]string{"Range": r}}.want(t, 206, "")
		var first, last int
		fmt.Sscanf(want, "%d-%d", &first, &last)
		if got.Body != body[first:last+1] || got.Header.Get("Content-Range") != "bytes "+want+"/1000000" {
			t.Errorf("%s: %d bytes, %s", r, len(got.Body), got.Header.Get("Content-Range"))
		}
	}
	for _, r := range []string{"bytes=1000000-", "bytes=2000000-3000000", "bytes=-0"} {
		call{Path: "/" + b + "/k", Headers: map[string]string{"Range": r}}.want(t, 416, "InvalidRange")
	}
	for _, r := range []string{"bytes=9-5", "lines=1-2", "bytes=a-b", "bytes=0-1,3-4"} { // passed over
		if got := (call{Path: "/" + b + "/k", Headers: map[string]string{"Range": r}}).want(t, 200, ""); got.Body != body {
			t.Errorf("%s: %d bytes", r, len(got.Body))
		}
	}
	call{Path: "/" + b + "/empty", Headers: map[string]string{"Range": "bytes=0-"}}.want(t, 416, "InvalidRange")
	call{Method: "HEAD", Path: "/" + b + "/k", Headers: map[string]string{"Range": "bytes=0-9"}}.want(t, 206, "")
}

func TestReadConditions(t *testing.T) {
	b := newBucket(t)
	tag := putObject(t, b, "k", "body").Header.Get("ETag")
	modified := call{Method: "HEAD", Path: "/" + b + "/k"}.do(t).Header.Get("Last-Modified")
	old := time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)
	for _, c := range []struct {
		headers map[string]string
		status  int
		code    string
	}{
		{map[string]string{"If-Match": tag}, 200, ""},
		{map[string]string{"If-Match": "*"}, 200, ""},
		{map[string]string{"If-Match": `"x", ` + tag}, 200, ""},
		{map[string]string{"If-Match": `"x"`}, 412, "PreconditionFailed"},
		{map[string]string{"If-None-Match": tag}, 304, ""},
		{map[string]string{"If-None-Match": `"x"`}, 200, ""},
		{map[string]string{"If-Modified-Since": modified}, 304, ""},
		{map[string]string{"If-Modified-Since": old}, 200, ""},
		{map[string]string{"If-Unmodified-Since": modified}, 200, ""},
		{map[string]string{"If-Unmodified-Since": old}, 412, "PreconditionFailed"},
		{map[string]string{"If-Match": tag, "If-Unmodified-Since": old}, 200, ""},
		{map[string]string{"If-None-Match": tag, "If-Modified-Since": old}, 304, ""},
		{map[string]string{"If-None-Match": `"x"`, "If-Modified-Since": modified}, 200, ""},
	} {
		call{Path: "/" + b + "/k", Headers: c.headers}.want(t, c.status, c.code)
		call{Method: "HEAD", Path: "/" + b + "/k", Headers: c.headers}.want(t, c.status, "")
	}
}

func TestWriteConditions(t *testing.T) {
	b := newBucket(t)
	put := func(key, name, value string) call {
		return call{Method: "PUT", Path: "/" + b + "/" + key, Body: "new", Headers: map[string]string{name: value}}
	}
	put("k", "If-Match", `"x"`).want(t, 404, "NoSuchKey")
	tag := put("k", "If-None-Match", "*").want(t, 200, "").Header.Get("ETag")
	put("k", "If-None-Match", "*").want(t, 412, "PreconditionFailed")
	put("k", "If-None-Match", tag).want(t, 501, "NotImplemented")
	put("k", "If-Match", `"x"`).want(t, 412, "PreconditionFailed")
	put("k", "If-Match", tag).want(t, 200, "")
	call{Method: "DELETE", Path: "/" + b + "/k", Headers: map[string]string{"If-Match": `"x"`}}.want(t, 412, "PreconditionFailed")
	call{Method: "DELETE", Path: "/" + b + "/k", Headers: map[string]string{"If-Match": tag}}.want(t, 204, "")

	const racers = 20 // of which one may win
	var won, lost atomic.Int64
	done := make(chan bool)
	for range racers {
		go func() {
			switch a := put("race", "If-None-Match", "*").do(t); a.Status {
			case 200:
				won.Add(1)
			case 412, 409:
				lost.Add(1)
			}
			done <- true
		}()
	}
	for range racers {
		<-done
	}
	if won.Load() != 1 || lost.Load() != racers-1 {
		t.Errorf("%d won, %d lost", won.Load(), lost.Load())
	}
}

func TestErrors(t *testing.T) {
	b := newBucket(t)
	putObject(t, b, "k", "body")
	for _, c := range []struct {
		call   call
		status int
		code   string
	}{
		{call{Path: "/" + b + "/none"}, 404, "NoSuchKey"},
		{call{Path: "/no-such-bucket/k"}, 404, "NoSuchBucket"},
		{call{Path: "/no-such-bucket"}, 404, "NoSuchBucket"},
		{call{Method: "HEAD", Path: "/no-such-bucket"}, 404, ""},
		{call{Method: "HEAD", Path: "/" + b}, 200, ""},
		{call{Method: "PUT", Path: "/no-such-bucket/k", Body: "x"}, 404, "NoSuchBucket"},
		{call{Method: "DELETE", Path: "/no-such-bucket"}, 404, "NoSuchBucket"},
		{call{Method: "DELETE", Path: "/" + b}, 409, "BucketNotEmpty"},
		{call{Method: "PUT", Path: "/" + b}, 409, "BucketAlreadyOwnedByYou"},
		{call{Method: "PUT", Path: "/UPPER"}, 400, "InvalidBucketName"},
		{call{Method: "PUT", Path: "/ab"}, 400, "InvalidBucketName"},
		{call{Method: "PUT", Path: "/192.168.5.4"}, 400, "InvalidBucketName"},
		{call{Method: "DELETE", Path: "/" + b + "/none"}, 204, ""},
		{call{Path: "/" + b + "/k", Broken: true}, 403, "SignatureDoesNotMatch"},
		{call{Path: "/" + b + "/k", Key: Credentials{"nobody", "rootsecret"}}, 403, "InvalidAccessKeyId"},
		{call{Path: "/" + b + "/k", Key: Credentials{"root", "wrong"}}, 403, "SignatureDoesNotMatch"},
		{call{Path: "/" + b + "/k", Key: Credentials{Access: "-"}}, 403, "AccessDenied"},
		{call{Path: "/" + b + "/k", Time: time.Now().Add(-20 * time.Minute)}, 403, "RequestTimeTooSkewed"},
		{call{Path: "/" + b + "/k", Time: time.Now().Add(20 * time.Minute)}, 403, "RequestTimeTooSkewed"},
		{call{Method: "PUT", Path: "/" + b + "/k", Body: "x", Payload: strings.Repeat("0", 64)}, 400, "XAmzContentSHA256Mismatch"},
		{call{Method: "PUT", Path: "/" + b + "/k", Body: "x", Headers: map[string]string{"Content-MD5": base64.StdEncoding.EncodeToString(make([]byte, 16))}}, 400, "BadDigest"},
		{call{Method: "PUT", Path: "/" + b + "/k", Body: "x", Headers: map[string]string{"Content-MD5": "short"}}, 400, "InvalidDigest"},
		{call{Method: "PUT", Path: "/" + b + "/k", Body: "x", Headers: map[string]string{"x-amz-checksum-crc32": "AAAAAA=="}}, 400, "BadDigest"},
		{call{Method: "PUT", Path: "/" + b + "/k", Body: "x", Headers: map[string]string{"x-amz-checksum-crc32": "nonsense"}}, 400, "InvalidRequest"},
		{call{Method: "PUT", Path: "/" + b + "/k", Body: "x", Headers: map[string]string{"x-amz-storage-class": "NOPE"}}, 400, "InvalidStorageClass"},
		{call{Method: "PUT", Path: "/" + b + "/k", Body: "x", Headers: map[string]string{"x-amz-server-side-encryption": "AES256"}}, 501, "NotImplemented"},
		{call{Path: "/" + b + "/k", Headers: map[string]string{"x-amz-server-side-encryption-customer-algorithm": "AES256"}}, 501, "NotImplemented"},
		{call{Path: "/" + b + "/k?versionId=nonsense"}, 400, "InvalidArgument"},
		{call{Path: "/" + b + "/k?versionId=00000000deadbeef"}, 404, "NoSuchVersion"},
		{call{Path: "/" + b + "?lifecycle"}, 404, "NoSuchLifecycleConfiguration"},
		{call{Path: "/" + b + "?policy"}, 404, "NoSuchBucketPolicy"},
		{call{Path: "/" + b + "?cors"}, 404, "NoSuchCORSConfiguration"},
		{call{Path: "/" + b + "?tagging"}, 404, "NoSuchTagSet"},
		{call{Path: "/" + b + "?object-lock"}, 404, "ObjectLockConfigurationNotFoundError"},
		{call{Path: "/" + b + "?uploads&max-uploads=-1"}, 400, "InvalidArgument"},
		{call{Path: "/" + b + "?max-keys=x"}, 400, "InvalidArgument"},
		{call{Path: "/" + b + "?max-keys=-1"}, 400, "InvalidArgument"},
		{call{Path: "/" + b + "?encoding-type=rot13"}, 400, "InvalidArgument"},
		{call{Path: "/" + b + "?list-type=2&continuation-token=!"}, 400, "InvalidArgument"},
		{call{Method: "POST", Path: "/" + b + "?delete", Body: "<no", Headers: md5Header("<no")}, 400, "MalformedXML"},
		{call{Method: "PUT", Path: "/" + b + "?versioning", Body: "<VersioningConfiguration><Status>On</Status></VersioningConfiguration>"}, 400, "MalformedXML"},
	} {
		c.call.want(t, c.status, c.code)
	}
	if got := (call{Path: "/" + b + "/k"}).do(t); got.Body != "body" {
		t.Errorf("after refused puts the object is %q", got.Body)
	}
}

// TestShortBody: a body that ends before its announced length leaves nothing behind.
func TestShortBody(t *testing.T) {
	b := newBucket(t)
	req := call{Method: "PUT", Path: "/" + b + "/k", Body: randomText(400_000, 4), Payload: "UNSIGNED-PAYLOAD"}.request(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(endpoint, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	var wire bytes.Buffer
	req.Write(&wire)
	conn.Write(wire.Bytes()[:wire.Len()-100_000])
	conn.(*net.TCPConn).CloseWrite()
	io.Copy(io.Discard, conn)
	conn.Close()
	call{Path: "/" + b + "/k"}.want(t, 404, "NoSuchKey")
}

// A listing is ListBucketResult of either version, or ListVersionsResult.
type listing struct {
	Name, Prefix, Marker, NextMarker, Delimiter, EncodingType string
	StartAfter, ContinuationToken, NextContinuationToken      string
	KeyMarker, VersionIdMarker                                string
	NextKeyMarker, NextVersionIdMarker                        string
	MaxKeys, KeyCount                                         int
	IsTruncated                                               bool
	Contents                                                  []entry
	CommonPrefixes                                            []struct{ Prefix string }
	Versions                                                  []entry `xml:"Version"`
	DeleteMarkers                                             []entry `xml:"DeleteMarker"`
}

type entry struct {
	Key, ETag, StorageClass, VersionId string
	Size                               int64
	IsLatest                           bool
	LastModified                       time.Time
	Owner                              *struct{ ID string }
}

func (l listing) keys() []string {
	var keys []string
	for _, o := range l.Contents {
		keys = append(keys, o.Key)
	}
	return keys
}

func (l listing) prefixes() []string {
	var list []string
	for _, p := range l.CommonPrefixes {
		list = append(list, p.Prefix)
	}
	return list
}

func list(t testing.TB, bucket, query string) listing {
	t.Helper()
	a := call{Path: "/" + bucket + "?" + query}.want(t, 200, "")
	var l listing
	if err := xml.Unmarshal([]byte(a.Body), &l); err != nil {
		t.Fatalf("%s: %v\n%s", query, err, a.Body)
	}
	return l
}

func TestListing(t *testing.T) {
	b := newBucket(t)
	for _, k := range []string{"asdf", "boo/bar", "boo/baz/xyzzy", "cquux/thud", "cquux/bla", "foo bar", "zed"} {
		putObject(t, b, k, k)
	}
	for _, c := range []struct {
		query          string
		keys, prefixes []string
		truncated      bool
	}{
		{"", []string{"asdf", "boo/bar", "boo/baz/xyzzy", "cquux/bla", "cquux/thud", "foo bar", "zed"}, nil, false},
		{"delimiter=/", []string{"asdf", "foo bar", "zed"}, []string{"boo/", "cquux/"}, false},
		{"delimiter=/&prefix=boo/", []string{"boo/bar"}, []string{"boo/baz/"}, false},
		{"delimiter=/&prefix=boo", nil, []string{"boo/"}, false},
		{"delimiter=/&max-keys=1", []string{"asdf"}, nil, true},
		{"delimiter=/&max-keys=1&marker=asdf", nil, []string{"boo/"}, true},
		{"delimiter=/&max-keys=1&marker=boo/", nil, []string{"cquux/"}, true},
		{"delimiter=/&marker=cquux/", []string{"foo bar", "zed"}, nil, false},
		{"prefix=zed", []string{"zed"}, nil, false},
		{"prefix=none", nil, nil, false},
		{"prefix=", []string{"asdf", "boo/bar", "boo/baz/xyzzy", "cquux/bla", "cquux/thud", "foo bar", "zed"}, nil, false},
		{"delimiter=", []string{"asdf", "boo/bar", "boo/baz/xyzzy", "cquux/bla", "cquux/thud", "foo bar", "zed"}, nil, false},
		{"delimiter=o", []string{"asdf", "cquux/bla", "cquux/thud", "zed"}, []string{"bo", "fo"}, false},
		{"delimiter=%20", []string{"asdf", "boo/bar", "boo/baz/xyzzy", "cquux/bla", "cquux/thud", "zed"}, []string{"foo "}, false},
		{"max-keys=0", nil, nil, false},
		{"max-keys=2000", []string{"asdf", "boo/bar", "boo/baz/xyzzy", "cquux/bla", "cquux/thud", "foo bar", "zed"}, nil, false},
		{"marker=foo", []string{"foo bar", "zed"}, nil, false},
		{"marker=zed", nil, nil, false},
		{"marker=zzz", nil, nil, false},
		{"encoding-type=url&prefix=foo", []string{"foo%20bar"}, nil, false},
	} {
		for _, v := range []string{"", "list-type=2&"} {
			query := v + c.query
			if v != "" {
				query = strings.ReplaceAll(query, "marker=", "start-after=")
			}
			l := list(t, b, query)
			if !slices.Equal(l.keys(), c.keys) || !slices.Equal(l.prefixes(), c.prefixes) || l.IsTruncated != c.truncated || l.Name != b {
				t.Errorf("%s: keys %q prefixes %q truncated %v, want %q %q %v", query, l.keys(), l.prefixes(), l.IsTruncated, c.keys, c.prefixes, c.truncated)
			}
			if v != "" && l.KeyCount != len(c.keys)+len(c.prefixes) {
				t.Errorf("%s: KeyCount %d", query, l.KeyCount)
			}
		}
	}
	if l := list(t, b, "max-keys=2000"); l.MaxKeys != 1000 {
		t.Errorf("max-keys 2000 was taken as %d", l.MaxKeys)
	}
	if l := list(t, b, "list-type=2&max-keys=1"); l.Contents[0].Owner != nil {
		t.Error("an owner that nobody asked for")
	}
	if l := list(t, b, "list-type=2&max-keys=1&fetch-owner=true"); l.Contents[0].Owner == nil || l.Contents[0].Owner.ID != "root" {
		t.Error("no owner")
	}
}

// TestPages walks listings page by page, with every way to go on.
func TestPages(t *testing.T) {
	b := newBucket(t)
	var keys []string
	for i := range 37 {
		keys = append(keys, fmt.Sprintf("d%d/%02d", i%5, i))
		putObject(t, b, keys[i], "x")
	}
	slices.Sort(keys)
	for _, delimiter := range []string{"", "/"} {
		want := keys
		if delimiter != "" {
			want = []string{"d0/", "d1/", "d2/", "d3/", "d4/"}
		}
		for _, limit := range []int{1, 3, 7, 37, 1000} {
			var v1, v2 []string
			marker, token := "", ""
			for range 100 {
				l := list(t, b, fmt.Sprintf("max-keys=%d&delimiter=%s&marker=%s", limit, delimiter, url.QueryEscape(marker)))
				v1 = append(append(v1, l.keys()...), l.prefixes()...)
				if !l.IsTruncated {
					break
				}
				if marker = l.NextMarker; marker == "" {
					marker = l.Contents[len(l.Contents)-1].Key
				}
			}
			for range 100 {
				l := list(t, b, fmt.Sprintf("list-type=2&max-keys=%d&delimiter=%s%s", limit, delimiter, token))
				v2 = append(append(v2, l.keys()...), l.prefixes()...)
				if !l.IsTruncated {
					break
				}
				token = "&continuation-token=" + url.QueryEscape(l.NextContinuationToken)
			}
			if !slices.Equal(v1, want) || !slices.Equal(v2, want) {
				t.Errorf("delimiter %q, %d a page: %q and %q", delimiter, limit, v1, v2)
			}
		}
	}
}

func TestDeleteMany(t *testing.T) {
	b := newBucket(t)
	var doc strings.Builder
	doc.WriteString("<Delete>")
	for i := range 100 {
		putObject(t, b, fmt.Sprint("k", i), "x")
		fmt.Fprintf(&doc, "<Object><Key>k%d</Key></Object>", i)
	}
	doc.WriteString("<Object><Key>never</Key></Object></Delete>")
	del := func(body string) answer {
		return call{Method: "POST", Path: "/" + b + "?delete", Body: body, Headers: md5Header(body)}.want(t, 200, "")
	}
	var res struct {
		Deleted []struct{ Key string }
		Error   []struct{ Key, Code string }
	}
	if err := xml.Unmarshal([]byte(del(doc.String()).Body), &res); err != nil || len(res.Deleted) != 101 || len(res.Error) > 0 || res.Deleted[7].Key != "k7" {
		t.Errorf("%v: %+v", err, res)
	}
	if l := list(t, b, ""); len(l.Contents) > 0 {
		t.Errorf("left: %q", l.keys())
	}
	if a := del("<Delete><Quiet>true</Quiet><Object><Key>k1</Key></Object></Delete>"); strings.Contains(a.Body, "<Deleted>") {
		t.Errorf("quiet: %s", a.Body)
	}
	call{Method: "DELETE", Path: "/" + b}.want(t, 204, "")
}

func TestCopy(t *testing.T) {
	b, other := newBucket(t), newBucket(t)
	body := randomText(200_000, 9)
	tag := putObject(t, b, "src", body, "Content-Type", "a/b", "x-amz-meta-k", "v", "x-amz-tagging", "t=1").Header.Get("ETag")
	cp := func(to string, headers ...string) call {
		h := map[string]string{"x-amz-copy-source": "/" + b + "/src"}
		for i := 0; i+1 < len(headers); i += 2 {
			h[headers[i]] = headers[i+1]
		}
		return call{Method: "PUT", Path: to, Headers: h}
	}
	check := func(path, contentType, meta string) {
		t.Helper()
		a := call{Path: path}.want(t, 200, "")
		if a.Body != body || a.Header.Get("Content-Type") != contentType || a.Header.Get("X-Amz-Meta-K") != meta || a.Header.Get("ETag") != tag {
			t.Errorf("%s: %d bytes, %v", path, len(a.Body), a.Header)
		}
	}
	cp("/"+other+"/dst").want(t, 200, "")
	check("/"+other+"/dst", "a/b", "v")
	if a := (call{Path: "/" + other + "/dst?tagging"}).want(t, 200, ""); !strings.Contains(a.Body, "<Key>t</Key>") {
		t.Errorf("tags: %s", a.Body)
	}
	cp("/"+b+"/replaced", "x-amz-metadata-directive", "REPLACE", "Content-Type", "c/d", "x-amz-meta-k", "w").want(t, 200, "")
	check("/"+b+"/replaced", "c/d", "w")
	cp("/"+b+"/src").want(t, 400, "InvalidRequest")
	cp("/"+b+"/src", "x-amz-metadata-directive", "REPLACE", "x-amz-meta-k", "self").want(t, 200, "")
	check("/"+b+"/src", "binary/octet-stream", "self")
	cp("/"+b+"/x", "x-amz-copy-source", "/"+b+"/none").want(t, 404, "NoSuchKey")
	cp("/"+b+"/x", "x-amz-copy-source", "/none-such/none").want(t, 404, "NoSuchBucket")
	cp("/"+b+"/x", "x-amz-copy-source-if-match", `"x"`).want(t, 412, "PreconditionFailed")
	cp("/"+b+"/x", "x-amz-copy-source-if-none-match", tag).want(t, 412, "PreconditionFailed")
	cp("/"+b+"/x", "x-amz-copy-source-if-match", tag).want(t, 200, "")
	cp("/"+b+"/x", "x-amz-metadata-directive", "NOPE").want(t, 400, "InvalidArgument")
	putObject(t, b, "å b+c", "z")
	cp("/"+b+"/y", "x-amz-copy-source", "/"+b+"/%C3%A5%20b%2Bc").want(t, 200, "")
	call{Method: "DELETE", Path: "/" + b + "/src"}.want(t, 204, "")
	check("/"+other+"/dst", "a/b", "v") // its bytes are its own now
}

func TestTags(t *testing.T) {
	b := newBucket(t)
	putObject(t, b, "k", "x", "x-amz-tagging", "a=1&b=%20")
	if a := (call{Method: "HEAD", Path: "/" + b + "/k"}).do(t); a.Header.Get("X-Amz-Tagging-Count") != "2" {
		t.Errorf("%v", a.Header)
	}
	set := "<Tagging><TagSet><Tag><Key>c</Key><Value>3</Value></Tag></TagSet></Tagging>"
	call{Method: "PUT", Path: "/" + b + "/k?tagging", Body: set}.want(t, 200, "")
	if a := (call{Path: "/" + b + "/k?tagging"}).want(t, 200, ""); !strings.Contains(a.Body, "<Key>c</Key><Value>3</Value>") || strings.Contains(a.Body, "<Key>a</Key>") {
		t.Error(a.Body)
	}
	call{Method: "DELETE", Path: "/" + b + "/k?tagging"}.want(t, 204, "")
	if a := (call{Path: "/" + b + "/k?tagging"}).want(t, 200, ""); strings.Contains(a.Body, "<Tag>") {
		t.Error(a.Body)
	}
	call{Path: "/" + b + "/none?tagging"}.want(t, 404, "NoSuchKey")
	var eleven []string
	for i := range 11 {
		eleven = append(eleven, fmt.Sprintf("k%d=v", i))
	}
	call{Method: "PUT", Path: "/" + b + "/k", Body: "x", Headers: map[string]string{"x-amz-tagging": strings.Join(eleven, "&")}}.want(t, 400, "BadRequest")
	call{Method: "PUT", Path: "/" + b + "?tagging", Body: set, Headers: md5Header(set)}.want(t, 204, "")
	if a := (call{Path: "/" + b + "?tagging"}).want(t, 200, ""); !strings.Contains(a.Body, "<Key>c</Key>") {
		t.Error(a.Body)
	}
	call{Method: "DELETE", Path: "/" + b + "?tagging"}.want(t, 204, "")
	call{Path: "/" + b + "?tagging"}.want(t, 404, "NoSuchTagSet")
}

func TestChecksums(t *testing.T) {
	b := newBucket(t)
	body := randomText(300_000, 5)
	for algorithm, header := range map[string]string{"CRC32": "x-amz-checksum-crc32", "CRC32C": "x-amz-checksum-crc32c", "CRC64NVME": "x-amz-checksum-crc64nvme", "SHA1": "x-amz-checksum-sha1", "SHA256": "x-amz-checksum-sha256"} {
		h, err := newHash(algorithm)
		if err != nil {
			t.Fatal(err)
		}
		h.Write([]byte(body))
		value := encode(h)
		if a := putObject(t, b, "k", body, header, value); a.Header.Get(header) != value {
			t.Errorf("put: %s %s, want %s", header, a.Header.Get(header), value)
		}
		for _, method := range []string{"GET", "HEAD"} {
			a := call{Method: method, Path: "/" + b + "/k", Headers: map[string]string{"x-amz-checksum-mode": "ENABLED"}}.want(t, 200, "")
			if a.Header.Get(header) != value || a.Header.Get("x-amz-checksum-type") != "FULL_OBJECT" {
				t.Errorf("%s: %v", method, a.Header)
			}
		}
		for _, method := range []string{"GET", "HEAD"} {
			if a := (call{Method: method, Path: "/" + b + "/k", Headers: map[string]string{"x-amz-checksum-mode": "ENABLED", "Range": "bytes=0-9"}}).want(t, 206, ""); a.Header.Get(header) != "" {
				t.Errorf("%s: a range has the checksum of the whole", method)
			}
		}
		h.Write([]byte{0})
		call{Method: "PUT", Path: "/" + b + "/k", Body: body, Headers: map[string]string{header: encode(h)}}.want(t, 400, "BadDigest")
	}
	call{Method: "PUT", Path: "/" + b + "/k", Body: "x", Headers: map[string]string{"x-amz-checksum-crc32": "jO+v2A==", "x-amz-checksum-crc32c": "jO+v2A=="}}.want(t, 400, "InvalidRequest")
}

// TestConnectionReuse: what is kept of a request must not be a view of its buffer, which the
// next one on the connection overwrites.
func TestConnectionReuse(t *testing.T) {
	b := newBucket(t)
	want := map[string]string{}
	for i := range 200 {
		key, value := fmt.Sprintf("key-%03d-%s", i, strings.Repeat("x", i%50)), fmt.Sprintf("value-%d", i)
		want[key] = value
		putObject(t, b, key, value, "x-amz-meta-v", value, "Content-Type", "t/"+value, "x-amz-tagging", "v="+value)
	}
	for key, value := range want {
		a := call{Path: "/" + b + "/" + key}.want(t, 200, "")
		if a.Body != value || a.Header.Get("X-Amz-Meta-V") != value || a.Header.Get("Content-Type") != "t/"+value {
			t.Errorf("%s: %q, %v", key, a.Body, a.Header)
		}
	}
	if got := list(t, b, "").keys(); !slices.Equal(got, slices.Sorted(maps.Keys(want))) {
		t.Errorf("listed %q", got)
	}
	call{Method: "PUT", Path: "/" + b + "-other?versioning", Body: "x"}.do(t)
	if a := (call{Path: "/"}).want(t, 200, ""); !strings.Contains(a.Body, "<Name>"+b+"</Name>") {
		t.Error(a.Body)
	}
}

func TestJoulesAndMetrics(t *testing.T) {
	b := newBucket(t)
	limit(t, b, Limits{Bytes: 1 << 40})
	put := putObject(t, b, "k", randomText(10_000, 1))
	get := call{Path: "/" + b + "/k"}.want(t, 200, "")
	for _, a := range []answer{put, get} {
		if g := a.Header.Get("X-Wattle-Grams-Co2e"); g != "" {
			t.Errorf("carbon is told, and was not asked for: %s", g)
		}
		var joules float64
		if _, err := fmt.Sscan(a.Header.Get("X-Wattle-Joules"), &joules); err != nil || joules <= 0 || !strings.HasPrefix(a.Header.Get("X-Wattle-Energy"), "modelled") {
			t.Errorf("%v", a.Header)
		}
	}
	if _, err := store.Ship(t.Context(), t.TempDir()); err != nil {
		t.Fatal(err)
	}
	status, text := send(t, "GET", endpoint+metricsPath, "")
	if status != 200 {
		t.Fatalf("%d %s", status, text)
	}
	sum := map[string]float64{}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if i := strings.LastIndex(line, "} "); i >= 0 {
			name, value, ok = line[:strings.Index(line, "{")], strings.TrimSpace(line[i+2:]), true
		}
		var v float64
		if _, err := fmt.Sscan(value, &v); ok && err == nil && !strings.HasPrefix(line, "#") {
			sum[name] += v
		}
	}
	for _, name := range []string{"wattle_drive_watts", "wattle_bucket_joules_total", "wattle_cluster_watts_per_stored_terabyte", "wattle_s3_request_duration_seconds_count", "wattle_request_joules_count", "wattle_drive_up", "wattle_report_up"} {
		if sum[name] <= 0 {
			t.Errorf("%s: %v", name, sum[name])
		}
	}
	if d := sum["wattle_bucket_joules_total"] / sum["wattle_cluster_joules_total"]; d < 0.999999 || d > 1.000001 {
		t.Errorf("buckets bear %v of the cluster's energy", d)
	}
	if sum["wattle_drive_watts"] != sum["wattle_cluster_watts"] {
		t.Errorf("drives draw %v, the cluster %v", sum["wattle_drive_watts"], sum["wattle_cluster_watts"])
	}
	for _, name := range []string{"grafana.json", "alerts.yml"} { // they ask for nothing that is not there
		doc, err := os.ReadFile(filepath.Join("..", "deploy", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, metric := range regexp.MustCompile(`wattle_[a-z0-9_]+`).FindAllString(string(doc), -1) {
			if _, ok := sum[metric]; !ok {
				t.Errorf("%s asks for %s", name, metric)
			}
		}
	}
	call{Method: "PUT", Path: "/metrics"}.want(t, 200, "") // a bucket may have that name all the same
	putObject(t, "metrics", "k", "x")
	if l := list(t, "metrics", ""); len(l.Contents) != 1 {
		t.Errorf("%+v", l)
	}
}

// TestManyLargeBodies: the MD5s of bodies that come at the same time are those of each.
func TestManyLargeBodies(t *testing.T) {
	b := newBucket(t)
	done := make(chan bool)
	for i := range 12 {
		go func() {
			defer func() { done <- true }()
			for j := range 3 {
				body := randomText(1<<20+i*7919+j, uint64(i*3+j))
				tag := putObject(t, b, fmt.Sprint("k", i), body).Header.Get("ETag")
				if want := `"` + md5Of(body) + `"`; tag != want {
					t.Errorf("ETag %s, want %s", tag, want)
				}
			}
		}()
	}
	for range 12 {
		<-done
	}
}
