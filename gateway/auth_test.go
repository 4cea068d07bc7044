package gateway

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// presign makes a signed URL.
func presign(t testing.TB, method, path string, at time.Time, expires string) string {
	t.Helper()
	req, err := http.NewRequest(method, endpoint+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	q := req.URL.Query()
	q.Set("X-Amz-Expires", expires)
	req.URL.RawQuery = q.Encode()
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	u, _, err := signer.PresignHTTP(context.Background(), aws.Credentials{AccessKeyID: root.Access, SecretAccessKey: root.Secret}, req, "UNSIGNED-PAYLOAD", "s3", "us-east-1", at.UTC())
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func send(t testing.TB, method, url, body string, headers ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(b)
}

func TestPresigned(t *testing.T) {
	b := newBucket(t)
	now := time.Now()
	if status, body := send(t, "PUT", presign(t, "PUT", "/"+b+"/k", now, "60"), "hello"); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	if status, body := send(t, "GET", presign(t, "GET", "/"+b+"/k?response-content-type=x/y", now, "60"), ""); status != 200 || body != "hello" {
		t.Errorf("%d %s", status, body)
	}
	for name, c := range map[string]struct{ url, code string }{
		"expired":          {presign(t, "GET", "/"+b+"/k", now.Add(-2*time.Minute), "60"), "AccessDenied"},
		"too long":         {presign(t, "GET", "/"+b+"/k", now, "604801"), "AuthorizationQueryParametersError"},
		"negative":         {presign(t, "GET", "/"+b+"/k", now, "-1"), "AuthorizationQueryParametersError"},
		"no number":        {presign(t, "GET", "/"+b+"/k", now, "soon"), "AuthorizationQueryParametersError"},
		"another method":   {presign(t, "PUT", "/"+b+"/k", now, "60"), "SignatureDoesNotMatch"},
		"spoiled":          {presign(t, "GET", "/"+b+"/k", now, "60") + "0", "SignatureDoesNotMatch"},
		"signed for other": {strings.Replace(presign(t, "GET", "/"+b+"/other", now, "60"), "/other?", "/k?", 1), "SignatureDoesNotMatch"},
	} {
		if status, body := send(t, "GET", c.url, ""); status < 400 || status == 500 || !strings.Contains(body, "<Code>"+c.code+"</Code>") {
			t.Errorf("%s: %d %.200s, want %s", name, status, body, c.code)
		}
	}
}

// A chunkedBody is a body in signed chunks, with or without a trailer.
type chunkedBody struct {
	algorithm string // STREAMING-...
	chunk     int
	trailer   string // name of the trailing checksum
	spoil     func(string) string
}

// call makes the request that puts body to path.
func (s chunkedBody) call(t testing.TB, path, body string, now time.Time) call {
	t.Helper()
	c := call{Method: "PUT", Path: path, Time: now, Payload: s.algorithm, Headers: map[string]string{
		"Content-Encoding": "aws-chunked", "X-Amz-Decoded-Content-Length": fmt.Sprint(len(body))}}
	if s.trailer != "" {
		c.Headers["X-Amz-Trailer"] = s.trailer
	}
	c.Body = strings.Repeat("x", len(s.frame(t, body, now, ""))) // for its length, which is signed
	seed := c.request(t).Header.Get("Authorization")
	c.Body = s.frame(t, body, now, seed[strings.Index(seed, "Signature=")+10:])
	if s.spoil != nil {
		c.Body = s.spoil(c.Body)
	}
	return c
}

func (s chunkedBody) frame(t testing.TB, body string, now time.Time, previous string) string {
	signed := strings.Contains(s.algorithm, "HMAC")
	stamp := now.UTC().Format("20060102T150405Z")
	scope := stamp[:8] + "/us-east-1/s3/aws4_request"
	key := []byte("AWS4" + root.Secret)
	for _, p := range []string{stamp[:8], "us-east-1", "s3", "aws4_request"} {
		key = mac(key, p)
	}
	sign := func(kind, sums string) string {
		previous = hex.EncodeToString(mac(key, kind+"\n"+stamp+"\n"+scope+"\n"+previous+"\n"+sums))
		return previous
	}
	var out strings.Builder
	emit := func(p string) {
		fmt.Fprintf(&out, "%x", len(p))
		if signed {
			fmt.Fprintf(&out, ";chunk-signature=%s", sign("AWS4-HMAC-SHA256-PAYLOAD", hexSHA("")+"\n"+hexSHA(p)))
		}
		out.WriteString("\r\n" + p)
		if len(p) > 0 {
			out.WriteString("\r\n")
		}
	}
	for rest := body; len(rest) > 0; {
		n := min(s.chunk, len(rest))
		emit(rest[:n])
		rest = rest[n:]
	}
	emit("")
	if s.trailer != "" {
		line := s.trailer + ":" + crc32Of(body)
		out.WriteString(line + "\r\n")
		if signed {
			fmt.Fprintf(&out, "x-amz-trailer-signature:%s\r\n", sign("AWS4-HMAC-SHA256-TRAILER", hexSHA(line+"\n")))
		}
	}
	out.WriteString("\r\n")
	return out.String()
}

func mac(key []byte, s string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(s))
	return h.Sum(nil)
}

func hexSHA(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

func crc32Of(s string) string {
	h := crc32.NewIEEE()
	h.Write([]byte(s))
	return encode(h)
}

func TestChunkedBodies(t *testing.T) {
	b := newBucket(t)
	for _, algorithm := range []string{"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"} {
		for _, n := range []int{0, 1, 8192, 65536, 300_001} {
			for _, chunk := range []int{8192, 64 << 10, 100_000} {
				s := chunkedBody{algorithm: algorithm, chunk: chunk}
				if strings.HasSuffix(algorithm, "TRAILER") {
					s.trailer = "x-amz-checksum-crc32"
				}
				body := randomText(n, uint64(n))
				s.call(t, "/"+b+"/k", body, time.Now()).want(t, 200, "")
				a := call{Path: "/" + b + "/k", Headers: map[string]string{"x-amz-checksum-mode": "ENABLED"}}.want(t, 200, "")
				if a.Body != body || a.Header.Get("Content-Encoding") != "" || s.trailer != "" && a.Header.Get("X-Amz-Checksum-Crc32") != crc32Of(body) {
					t.Errorf("%s, %d bytes in chunks of %d: %d bytes, %v", algorithm, n, chunk, len(a.Body), a.Header)
				}
			}
		}
	}
}

// TestTransferChunked: bodies without a length, as some clients send streams. What is left of
// one on the connection must not become the next request.
func TestTransferChunked(t *testing.T) {
	b := newBucket(t)
	for _, n := range []int{0, 1, 10, 4000, 4096, 65536, 70_001, 1 << 20} {
		for range 3 {
			s := chunkedBody{algorithm: "STREAMING-UNSIGNED-PAYLOAD-TRAILER", chunk: 64 << 10, trailer: "x-amz-checksum-crc32"}
			body := randomText(n, uint64(n))
			c := s.call(t, "/"+b+"/k", body, time.Now())
			c.Chunked = true
			c.want(t, 200, "")
			if a := (call{Path: "/" + b + "/k"}).want(t, 200, ""); a.Body != body {
				t.Errorf("%d bytes came back as %d", n, len(a.Body))
			}
		}
		if n > 100_000 {
			continue
		}
		plain := call{Method: "PUT", Path: "/" + b + "/k", Body: randomText(n, 1), Chunked: true, Payload: "UNSIGNED-PAYLOAD"}
		if a := plain.do(t); a.Status != 200 && a.Status != 411 {
			t.Errorf("%d bytes without any length: %d %s", n, a.Status, a.Code)
		}
		call{Path: "/" + b}.want(t, 200, "")
	}
}

// TestSpoiledChunks: what was tampered with, or ends early, leaves nothing behind.
func TestSpoiledChunks(t *testing.T) {
	b := newBucket(t)
	body := randomText(200_000, 1)
	middle := func(s string) string { return s[:100_000] + string(s[100_000]^1) + s[100_001:] }
	for name, s := range map[string]chunkedBody{
		"a byte":               {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", 65536, "", middle},
		"a byte, with trailer": {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", 65536, "x-amz-checksum-crc32", middle},
		"a byte, unsigned":     {"STREAMING-UNSIGNED-PAYLOAD-TRAILER", 65536, "x-amz-checksum-crc32", middle},
		"the checksum": {"STREAMING-UNSIGNED-PAYLOAD-TRAILER", 65536, "x-amz-checksum-crc32", func(s string) string {
			return strings.Replace(s, "crc32:"+crc32Of(body), "crc32:"+crc32Of("other"), 1)
		}},
		"no last chunk": {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", 65536, "", func(s string) string {
			return s[:strings.LastIndex(s, "0;chunk")] + strings.Repeat(" ", len(s)-strings.LastIndex(s, "0;chunk"))
		}},
	} {
		a := s.call(t, "/"+b+"/k", body, time.Now()).do(t)
		if a.Status < 400 || a.Status >= 500 {
			t.Errorf("%s: %d %s", name, a.Status, a.Code)
		}
		call{Path: "/" + b + "/k"}.want(t, 404, "NoSuchKey")
	}
	lying := chunkedBody{algorithm: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", chunk: 65536}.call(t, "/"+b+"/k", body, time.Now())
	lying.Headers["X-Amz-Decoded-Content-Length"] = "100"
	if a := lying.do(t); a.Status < 400 || a.Status >= 500 {
		t.Errorf("a lying length: %d %s", a.Status, a.Code)
	}
	call{Path: "/" + b + "/k"}.want(t, 404, "NoSuchKey")
}

func TestPolicy(t *testing.T) {
	b := newBucket(t)
	putObject(t, b, "open/k", "hello")
	putObject(t, b, "shut/k", "secret")
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::%s/open/*"}]}`, b)
	anyone := Credentials{Access: "-"}
	call{Path: "/" + b + "/open/k", Key: anyone}.want(t, 403, "AccessDenied")
	call{Method: "PUT", Path: "/" + b + "?policy", Body: policy}.want(t, 204, "")
	if a := (call{Path: "/" + b + "/open/k", Key: anyone}).want(t, 200, ""); a.Body != "hello" {
		t.Error(a.Body)
	}
	call{Path: "/" + b + "/shut/k", Key: anyone}.want(t, 403, "AccessDenied")
	call{Method: "PUT", Path: "/" + b + "/open/k", Body: "x", Key: anyone}.want(t, 403, "AccessDenied")
	if a := (call{Path: "/" + b + "?policy"}).want(t, 200, ""); a.Body != policy {
		t.Error(a.Body)
	}
	call{Method: "PUT", Path: "/" + b + "?policy", Body: "{"}.want(t, 400, "MalformedPolicy")
	call{Method: "DELETE", Path: "/" + b + "?policy"}.want(t, 204, "")
	call{Path: "/" + b + "/open/k", Key: anyone}.want(t, 403, "AccessDenied")
	// a policy that locks everybody out does not lock out the owner
	deny := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::%s","arn:aws:s3:::%s/*"]}]}`, b, b)
	call{Method: "PUT", Path: "/" + b + "?policy", Body: deny}.want(t, 204, "")
	call{Method: "DELETE", Path: "/" + b + "?policy"}.want(t, 204, "")
	call{Path: "/" + b + "/shut/k"}.want(t, 200, "")
}

func TestCORS(t *testing.T) {
	b := newBucket(t)
	rules := "<CORSConfiguration><CORSRule><AllowedOrigin>http://a.example</AllowedOrigin><AllowedMethod>GET</AllowedMethod><AllowedHeader>*</AllowedHeader><ExposeHeader>ETag</ExposeHeader></CORSRule></CORSConfiguration>"
	call{Method: "PUT", Path: "/" + b + "?cors", Body: rules, Headers: md5Header(rules)}.want(t, 200, "")
	if a := (call{Path: "/" + b + "?cors"}).want(t, 200, ""); !strings.Contains(a.Body, "http://a.example") {
		t.Error(a.Body)
	}
	preflight := func(origin, method string) (int, http.Header) {
		req, _ := http.NewRequest("OPTIONS", endpoint+"/"+b+"/k", nil)
		req.Header.Set("Origin", origin)
		req.Header.Set("Access-Control-Request-Method", method)
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode, res.Header
	}
	if status, h := preflight("http://a.example", "GET"); status != 200 || h.Get("Access-Control-Allow-Origin") != "http://a.example" {
		t.Errorf("%d %v", status, h)
	}
	if status, _ := preflight("http://b.example", "GET"); status != 403 {
		t.Errorf("another origin: %d", status)
	}
	if status, _ := preflight("http://a.example", "PUT"); status != 403 {
		t.Errorf("another method: %d", status)
	}
	call{Method: "DELETE", Path: "/" + b + "?cors"}.want(t, 204, "")
	call{Path: "/" + b + "?cors"}.want(t, 404, "NoSuchCORSConfiguration")
}

// A form is a browser's upload.
func form(t testing.TB, bucket string, fields map[string]string, policy map[string]any, file string) (int, string) {
	t.Helper()
	doc, _ := json.Marshal(policy)
	text := base64.StdEncoding.EncodeToString(doc)
	stamp := time.Now().UTC().Format("20060102T150405Z")
	key := []byte("AWS4" + root.Secret)
	for _, p := range []string{stamp[:8], "us-east-1", "s3", "aws4_request"} {
		key = mac(key, p)
	}
	all := map[string]string{"policy": text, "x-amz-algorithm": "AWS4-HMAC-SHA256", "x-amz-credential": root.Access + "/" + stamp[:8] + "/us-east-1/s3/aws4_request",
		"x-amz-date": stamp, "x-amz-signature": hex.EncodeToString(mac(key, text))}
	for k, v := range fields {
		all[k] = v
	}
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for k, v := range all {
		w.WriteField(k, v)
	}
	part, _ := w.CreateFormFile("file", "fjord.jpg")
	io.WriteString(part, file)
	w.Close()
	res, err := client.Post(endpoint+"/"+bucket, w.FormDataContentType(), &body)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(b)
}

func TestForms(t *testing.T) {
	b := newBucket(t)
	stamp := time.Now().UTC().Format("20060102T150405Z")
	policy := func(expires time.Duration, most int) map[string]any {
		return map[string]any{"expiration": time.Now().Add(expires).UTC().Format("2006-01-02T15:04:05.000Z"), "conditions": []any{
			map[string]string{"bucket": b}, []string{"starts-with", "$key", "up/"}, []string{"starts-with", "$Content-Type", ""}, map[string]string{"success_action_status": "201"},
			map[string]string{"x-amz-algorithm": "AWS4-HMAC-SHA256"}, map[string]string{"x-amz-credential": root.Access + "/" + stamp[:8] + "/us-east-1/s3/aws4_request"},
			[]string{"starts-with", "$x-amz-date", ""}, []any{"content-length-range", 1, most}}}
	}
	fields := map[string]string{"key": "up/${filename}", "Content-Type": "image/jpeg", "success_action_status": "201"}
	file := randomText(200_000, 8)
	if status, body := form(t, b, fields, policy(time.Hour, 1<<20), file); status != 201 || !strings.Contains(body, "<Key>up/fjord.jpg</Key>") {
		t.Fatalf("%d %s", status, body)
	}
	if a := (call{Path: "/" + b + "/up/fjord.jpg"}).want(t, 200, ""); a.Body != file || a.Header.Get("Content-Type") != "image/jpeg" {
		t.Errorf("%d bytes, %v", len(a.Body), a.Header)
	}
	if status, _ := form(t, b, fields, policy(-time.Hour, 1<<20), file); status != 403 {
		t.Errorf("expired: %d", status)
	}
	if status, body := form(t, b, fields, policy(time.Hour, 1000), file); status != 400 || !strings.Contains(body, "EntityTooLarge") {
		t.Errorf("too large: %d %s", status, body)
	}
	fields["key"] = "down/x"
	if status, _ := form(t, b, fields, policy(time.Hour, 1<<20), file); status != 403 {
		t.Errorf("another key: %d", status)
	}
	fields["key"], fields["x-amz-signature"] = "up/x", strings.Repeat("0", 64)
	if status, _ := form(t, b, fields, policy(time.Hour, 1<<20), file); status != 403 {
		t.Errorf("a wrong signature: %d", status)
	}
	call{Path: "/" + b + "/up/x"}.want(t, 404, "NoSuchKey")
}

// TestRawAttacks sends what no client sends, and then sees that the server answers.
func TestRawAttacks(t *testing.T) {
	b := newBucket(t)
	bomb := `<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><Tagging><TagSet><Tag><Key>&b;</Key><Value>x</Value></Tag></TagSet></Tagging>`
	putObject(t, b, "k", "x")
	call{Method: "PUT", Path: "/" + b + "/k?tagging", Body: bomb}.want(t, 400, "MalformedXML")
	for name, raw := range map[string]string{
		"huge header":  "GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("y", 64<<10) + "\r\n\r\n",
		"many headers": "GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X: y\r\n", 10_000) + "\r\n",
		"garbage":      "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x00", 500) + "\r\n\r\n",
		"bad length":   "PUT /" + b + "/k HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
		"traversal":    "GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"traversal 2":  "GET /" + b + "/%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(endpoint, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		io.WriteString(conn, raw)
		line := make([]byte, 200)
		n, _ := conn.Read(line)
		if strings.Contains(string(line[:n]), " 200 ") || strings.Contains(string(line[:n]), " 500 ") {
			t.Errorf("%s: %.60q", name, line[:n])
		}
		conn.Close()
	}
	if status, _ := send(t, "GET", endpoint+readyPath, ""); status != 200 {
		t.Errorf("not ready: %d", status)
	}
	if u, _ := url.Parse(endpoint); u.Host == "" {
		t.Error("no host")
	}
}

func FuzzForm(f *testing.F) {
	f.Add([]byte("--x\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nup/${filename}\r\n--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jpg\"\r\n\r\nbody ${filename}\r\n--x--\r\n"), "x")
	f.Add([]byte("--x\r\nContent-Disposition: form-data; name=\"key\"; filename=\"key\"\r\n\r\nk\r\n--x\r\nContent-Disposition: form-data; name=\"FILE\"\r\n\r\n\r\n--x--\r\n"), "x")
	f.Fuzz(func(t *testing.T, body []byte, boundary string) {
		a, start, ok := parseForm(body, boundary)
		if !ok {
			return
		}
		if start < 0 || start > len(body) {
			t.Fatalf("the file starts at %d of %d", start, len(body))
		}
		b, end, ok := parseForm(a.encode(boundary), boundary)
		if !ok || end != len(a.encode(boundary)) || !slices.Equal(a.fields, b.fields) {
			t.Errorf("%+v became %+v", a, b)
		}
	})
}
