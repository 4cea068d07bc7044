package gateway

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// quiet fails unless all requests have ended within a few seconds.
func quiet(t *testing.T) {
	t.Helper()
	stacks := make([]byte, 16<<20)
	for range 250 {
		all := stacks[:runtime.Stack(stacks, true)]
		if !bytes.Contains(all, []byte("gateway.(*front)")) && !bytes.Contains(all, []byte("cluster.(*stream)")) && store.Memory() == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("requests go on, with %d bytes of stripe memory:\n%.3000s", store.Memory(), stacks)
}

// dial opens a connection that lives 20 seconds at most.
func dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(endpoint, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	t.Cleanup(func() { conn.Close() })
	return conn
}

// wire is a request as it is sent.
func (c call) wire(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := c.request(t).Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestBrokenOff: uploads that break off at any point, of any kind, leave no object, no
// goroutine and no memory behind.
func TestBrokenOff(t *testing.T) {
	b := newBucket(t)
	body := randomText(600_000, 5)
	now := time.Now()
	id := start(t, b, "k", nil)
	kinds := map[string]call{
		"hash":     {Method: "PUT", Path: "/" + b + "/k", Body: body},
		"unsigned": {Method: "PUT", Path: "/" + b + "/k", Body: body, Payload: "UNSIGNED-PAYLOAD"},
		"part":     part(b, "k", id, 1, body),
		"signed chunks": chunkedBody{algorithm: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", chunk: 65536}.
			call(t, "/"+b+"/k", body, now),
		"chunks and trailer": chunkedBody{algorithm: "STREAMING-UNSIGNED-PAYLOAD-TRAILER", chunk: 65536, trailer: "x-amz-checksum-crc32"}.
			call(t, "/"+b+"/k", body, now),
	}
	var wg sync.WaitGroup
	for name, c := range kinds {
		whole := c.wire(t)
		head := bytes.Index(whole, []byte("\r\n\r\n")) + 4
		for _, cut := range []int{head / 2, head, head + 1, head + 70_000, len(whole) - 60_000, len(whole) - 10} {
			wg.Go(func() {
				conn := dial(t)
				defer conn.Close()
				conn.Write(whole[:cut])
				conn.(*net.TCPConn).CloseWrite()
				answer, _ := io.ReadAll(conn)
				if bytes.HasPrefix(answer, []byte("HTTP/1.1 200")) || bytes.HasPrefix(answer, []byte("HTTP/1.1 500")) {
					t.Errorf("%s cut at %d of %d: %.80q", name, cut, len(whole), answer)
				}
			})
		}
	}
	wg.Wait()
	call{Path: "/" + b + "/k"}.want(t, 404, "NoSuchKey")
	if a := (call{Path: "/" + b + "/k?uploadId=" + id}).want(t, 200, ""); strings.Contains(a.Body, "<Part>") {
		t.Errorf("a part that broke off is there: %s", a.Body)
	}
	quiet(t)
}

// TestLyingLengths: what a request says of its length must hold.
func TestLyingLengths(t *testing.T) {
	b := newBucket(t)
	send := func(name, raw string) string {
		conn := dial(t)
		defer conn.Close()
		io.WriteString(conn, raw)
		conn.(*net.TCPConn).CloseWrite()
		answer, _ := io.ReadAll(conn)
		line, _, _ := strings.Cut(string(answer), "\r\n")
		if strings.Contains(line, " 200 ") || strings.Contains(line, " 500 ") {
			t.Errorf("%s: %s", name, line)
		}
		return string(answer)
	}
	c := call{Method: "PUT", Path: "/" + b + "/k", Body: "hello", Payload: "UNSIGNED-PAYLOAD"}
	whole := string(c.wire(t))
	send("longer than it is", strings.Replace(whole, "Content-Length: 5", "Content-Length: 5000000000", 1)) // its length is signed, too
	send("past all bounds", strings.Replace(whole, "Content-Length: 5", "Content-Length: 99999999999999999999", 1))
	send("negative", strings.Replace(whole, "Content-Length: 5", "Content-Length: -1", 1))
	send("two lengths", strings.Replace(whole, "Content-Length: 5", "Content-Length: 5\r\nContent-Length: 50", 1))
	c.Headers = map[string]string{"x-amz-decoded-content-length": "-7", "Content-Encoding": "aws-chunked"}
	for _, payload := range []string{"STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"} {
		for _, n := range []string{"-7", "x", "99999999999999999999", ""} {
			c.Payload, c.Headers["x-amz-decoded-content-length"] = payload, n
			if a := c.do(t); a.Status < 400 || a.Status >= 500 {
				t.Errorf("%s, decoded length %q: %d %s", payload, n, a.Status, a.Code)
			}
		}
	}
	for _, size := range []string{"ffffffffffffffff", "7fffffffffffffff", "-1", "zz", ""} { // of a chunk
		c := call{Method: "PUT", Path: "/" + b + "/k", Payload: "STREAMING-UNSIGNED-PAYLOAD-TRAILER", Body: size + "\r\nhello\r\n0\r\n\r\n",
			Headers: map[string]string{"x-amz-decoded-content-length": "5", "Content-Encoding": "aws-chunked", "x-amz-trailer": "x-amz-checksum-crc32"}}
		if a := c.do(t); a.Status < 400 || a.Status >= 500 {
			t.Errorf("a chunk of %q bytes: %d %s", size, a.Status, a.Code)
		}
	}
	call{Path: "/" + b + "/k"}.want(t, 404, "NoSuchKey")
}

// TestReplayedSignature: a signature is of one request, and of one time.
func TestReplayedSignature(t *testing.T) {
	b := newBucket(t)
	putObject(t, b, "k", "hello")
	good := call{Path: "/" + b + "/k"}
	for name, change := range map[string]func(*http.Request){
		"another key":    func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/"+b+"/other", "" },
		"another method": func(r *http.Request) { r.Method = "DELETE" },
		"another query":  func(r *http.Request) { r.URL.RawQuery = "acl" },
		"another host":   func(r *http.Request) { r.Host = "elsewhere.example" },
		"another time": func(r *http.Request) {
			r.Header.Set("X-Amz-Date", time.Now().Add(time.Minute).UTC().Format("20060102T150405Z"))
		},
		"a header signed": func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", strings.Repeat("0", 64)) },
	} {
		req := good.request(t)
		change(req)
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != 403 && res.StatusCode != 400 {
			t.Errorf("%s: %d %.200s", name, res.StatusCode, text)
		}
	}
	good.want(t, 200, "")
	for name, c := range map[string]struct {
		header string
		status int
	}{
		"nothing":         {"AWS4-HMAC-SHA256", 400},
		"garbage":         {"AWS4-HMAC-SHA256 Credential=,SignedHeaders=,Signature=", 400},
		"another service": {"AWS4-HMAC-SHA256 Credential=root/20260101/us-east-1/ec2/aws4_request,SignedHeaders=host,Signature=00", 400},
		"another region":  {"AWS4-HMAC-SHA256 Credential=root/" + time.Now().UTC().Format("20060102") + "/mars-1/s3/aws4_request,SignedHeaders=host;x-amz-date,Signature=" + strings.Repeat("0", 64), 400},
		"version 2":       {"AWS root:AAAAAAAAAAAAAAAAAAAAAAAAAAA=", 400},
		"another kind":    {"Basic cm9vdDpyb290c2VjcmV0", 400},
	} {
		a := call{Path: "/" + b + "/k", Key: Credentials{Access: "-"}, Headers: map[string]string{"Authorization": c.header, "X-Amz-Date": time.Now().UTC().Format("20060102T150405Z"), "X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"}}.do(t)
		if a.Status != c.status && a.Status != 403 || a.Code == "" {
			t.Errorf("%s: %d %s", name, a.Status, a.Code)
		}
	}
}

// TestXMLBombs: documents that grow when they are read, nest without end, or never end.
func TestXMLBombs(t *testing.T) {
	b := newBucket(t)
	putObject(t, b, "k", "x")
	id := start(t, b, "up", nil)
	entity := `<?xml version="1.0"?><!DOCTYPE z [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>`
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for _, to := range []struct{ method, path string }{
		{"PUT", "/" + b + "/k?tagging"}, {"PUT", "/" + b + "?tagging"}, {"PUT", "/" + b + "?versioning"}, {"PUT", "/" + b + "?cors"}, {"PUT", "/" + b + "?lifecycle"},
		{"POST", "/" + b + "?delete"}, {"POST", "/" + b + "/up?uploadId=" + id}, {"PUT", "/" + b + "?acl"}, {"PUT", "/" + b + "?ownershipControls"}, {"PUT", "/" + b + "-new"},
	} {
		for name, doc := range map[string]string{
			"entities": entity + "<Tagging><TagSet><Tag><Key>&c;</Key><Value>&c;</Value></Tag></TagSet></Tagging>",
			"deep":     strings.Repeat("<a>", 200_000),
			"wide":     "<Delete>" + strings.Repeat("<x/>", 200_000),
			"zeros":    strings.Repeat("\x00", 1000),
			"external": `<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><Tagging><TagSet><Tag><Key>&e;</Key><Value>v</Value></Tag></TagSet></Tagging>`,
		} {
			a := call{Method: to.method, Path: to.path, Body: doc, Headers: md5Header(doc)}.do(t)
			if a.Status < 400 || a.Status >= 500 || strings.Contains(a.Body, "root:x:") {
				t.Errorf("%s to %s %s: %d %s", name, to.method, to.path, a.Status, a.Code)
			}
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 16<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	if a := (call{Path: "/" + b + "/k?tagging"}).want(t, 200, ""); strings.Contains(a.Body, "<Key>") {
		t.Errorf("a bomb left tags: %s", a.Body)
	}
}

// TestManyConnections: connections that say nothing, or little and slowly, are in nobody's way,
// and end without a trace.
func TestManyConnections(t *testing.T) {
	b := newBucket(t)
	body := randomText(3<<20, 1)
	stalled := call{Method: "PUT", Path: "/" + b + "/stalled", Body: body, Payload: "UNSIGNED-PAYLOAD"}.wire(t)
	var conns []net.Conn
	for i := range 1500 {
		conn := dial(t)
		conns = append(conns, conn)
		switch {
		case i%3 == 1:
			io.WriteString(conn, "GET /"+b+" HTTP/1.1\r\nHost: x\r\nX-Slow: ")
		case i < 150 && i%3 == 2: // three times what the stripe memory could hold, and no more comes
			conn.Write(stalled[:70_000])
		}
	}
	time.Sleep(100 * time.Millisecond)
	putObject(t, b, "small", "hello")
	if a := (call{Path: "/" + b + "/small"}).want(t, 200, ""); a.Body != "hello" {
		t.Error(a.Body)
	}
	for _, c := range conns {
		c.Close()
	}
	quiet(t)
	call{Path: "/" + b + "/stalled"}.want(t, 404, "NoSuchKey")
}

// TestPipelined: requests that come before the last was answered are each answered in turn.
func TestPipelined(t *testing.T) {
	b := newBucket(t)
	conn := dial(t)
	for i := range 5 {
		body := randomText(70_000*i, uint64(i))
		conn.Write(call{Method: "PUT", Path: fmt.Sprint("/", b, "/", i), Body: body}.wire(t))
		conn.Write(call{Path: fmt.Sprint("/", b, "/", i)}.wire(t))
	}
	r := bufio.NewReader(conn)
	for i := range 5 {
		for range 2 {
			res, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := io.ReadAll(res.Body)
			if res.StatusCode != 200 || len(got) > 0 && string(got) != randomText(70_000*i, uint64(i)) {
				t.Errorf("request %d: %d, %d bytes", i, res.StatusCode, len(got))
			}
		}
	}
}
