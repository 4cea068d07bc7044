package gateway

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// exchange sends bytes as they are, says that no more come, and returns what comes back.
func exchange(t *testing.T, raw string) string {
	t.Helper()
	conn := dial(t)
	defer conn.Close()
	io.WriteString(conn, raw)
	conn.(*net.TCPConn).CloseWrite()
	got, _ := io.ReadAll(conn)
	return string(got)
}

// codeOf is the code of the error in an answer, after its status.
func codeOf(answer string) string {
	fields := strings.Fields(answer)
	if len(fields) < 2 {
		return "none"
	}
	_, rest, _ := strings.Cut(answer, "<Code>")
	code, _, _ := strings.Cut(rest, "</Code>")
	return strings.TrimSpace(fields[1] + " " + code)
}

// TestTimes: a request is of its time.
func TestTimes(t *testing.T) {
	b := newBucket(t)
	putObject(t, b, "k", "x")
	now := time.Now()
	for _, r := range []row{
		{name: "a little late", call: call{Path: "/" + b + "/k", Time: now.Add(-14 * time.Minute)}, status: 200},
		{name: "a little early", call: call{Path: "/" + b + "/k", Time: now.Add(14 * time.Minute)}, status: 200},
		{name: "late", call: call{Path: "/" + b + "/k", Time: now.Add(-16 * time.Minute)}, status: 403, code: "RequestTimeTooSkewed"},
		{name: "early", call: call{Path: "/" + b + "/k", Time: now.Add(16 * time.Minute)}, status: 403, code: "RequestTimeTooSkewed"},
		{name: "a late put", call: call{Method: "PUT", Path: "/" + b + "/l", Body: "x", Time: now.Add(-24 * time.Hour)}, status: 403, code: "RequestTimeTooSkewed"},
		{name: "which left nothing", call: call{Path: "/" + b + "/l"}, status: 404, code: "NoSuchKey"},
	} {
		r.check(t)
	}
	url := presign(t, "GET", "/"+b+"/k", now.Add(time.Hour), "60")
	if status, body := send(t, "GET", url, ""); status != 403 || !strings.Contains(body, "<Code>AccessDenied</Code>") {
		t.Errorf("a URL of tomorrow: %d %.200s", status, body)
	}
}

// TestOversize: what is too large is refused before it is held.
func TestOversize(t *testing.T) {
	b := newBucket(t)
	putObject(t, b, "k", "x")
	id := start(t, b, "up", nil)
	tags := func(n int) string {
		var s strings.Builder
		for i := range n {
			fmt.Fprintf(&s, "<Tag><Key>k%d</Key><Value>v</Value></Tag>", i)
		}
		return "<Tagging><TagSet>" + s.String() + "</TagSet></Tagging>"
	}
	put := func(headers ...string) call {
		return call{Method: "PUT", Path: "/" + b + "/k", Body: "x"}.with(headers...)
	}
	doc := func(method, path, body string) call {
		return call{Method: method, Path: path, Body: body, Headers: md5Header(body)}
	}
	many := "<Delete>" + strings.Repeat("<Object><Key>k</Key></Object>", 100_000) + "</Delete>"
	for _, r := range []row{
		{name: "metadata", call: put("x-amz-meta-a", strings.Repeat("a", 2048)), status: 400, code: "MetadataTooLarge"},
		{name: "a header", call: put("x-a", strings.Repeat("a", 9000)), status: 400, code: "RequestHeaderSectionTooLarge"},
		{name: "a query", call: call{Path: "/" + b + "?prefix=" + strings.Repeat("a", 100_000)}, status: 400, code: "RequestHeaderSectionTooLarge"},
		{name: "a query that fits", call: call{Path: "/" + b + "?prefix=" + strings.Repeat("a", 1024)}, status: 200},
		{name: "many parameters", call: call{Path: "/" + b + "?" + strings.Repeat("a&", 2000) + "z"}, status: 200},
		{name: "a key", call: call{Method: "PUT", Path: "/" + b + "/" + strings.Repeat("k", 1025), Body: "x"}, status: 400, code: "KeyTooLongError"},
		{name: "tags of an object", call: doc("PUT", "/"+b+"/k?tagging", tags(11)), status: 400, code: "BadRequest"},
		{name: "tags of a bucket", call: doc("PUT", "/"+b+"?tagging", tags(51)), status: 400, code: "BadRequest"},
		{name: "fifty thousand tags", call: doc("PUT", "/"+b+"/k?tagging", tags(50_000)), status: 400, code: "BadRequest"},
		{name: "the key of a tag", call: doc("PUT", "/"+b+"/k?tagging", strings.Replace(tags(1), "k0", strings.Repeat("k", 129), 1)), status: 400, code: "InvalidTag"},
		{name: "the value of a tag", call: doc("PUT", "/"+b+"/k?tagging", strings.Replace(tags(1), "v<", strings.Repeat("v", 257)+"<", 1)), status: 400, code: "InvalidTag"},
		{name: "tags in a header", call: put("x-amz-tagging", strings.Repeat("a=b&", 11)), status: 400, code: "InvalidArgument"},
		{name: "a delete of a hundred thousand", call: doc("POST", "/"+b+"?delete", many), status: 400, code: "MalformedXML"},
		{name: "a policy", call: call{Method: "PUT", Path: "/" + b + "?policy", Body: `{"Id":"` + strings.Repeat("x", 21<<10) + `"}`}, status: 400, code: "MalformedPolicy"},
		{name: "the object is as it was", call: call{Path: "/" + b + "/k"}, status: 200, body: "x", header: map[string]string{"X-Amz-Tagging-Count": ""}},
	} {
		r.check(t)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for _, path := range []string{"PUT /" + b + "/k?tagging", "PUT /" + b + "/k?acl", "PUT /" + b + "?tagging", "PUT /" + b + "?acl", "PUT /" + b + "?policy", "PUT /" + b + "?lifecycle", "PUT /" + b + "?publicAccessBlock",
		"PUT /" + b + "?versioning", "POST /" + b + "?delete", "POST /" + b + "/up?uploadId=" + id, "PUT /" + b + "-new", "GET /" + b + "/k", "DELETE /" + b + "/k"} {
		method, path, _ := strings.Cut(path, " ")
		whole := string(call{Method: method, Path: path, Payload: "UNSIGNED-PAYLOAD", Body: "x"}.wire(t)) // unsigned would be refused without reading
		for name, change := range map[string]string{"announced": "Content-Length: 8000000000", "not announced": "Transfer-Encoding: chunked"} {
			head, _, _ := strings.Cut(whole, "\r\n\r\n")
			conn := dial(t)
			io.WriteString(conn, strings.Replace(head, "Content-Length: 1", change, 1)+"\r\n\r\n")
			piece := bytes.Repeat([]byte("x"), 1<<20)
			for range 32 {
				if change[0] == 'T' {
					fmt.Fprintf(conn, "%x\r\n", len(piece))
				}
				if _, err := conn.Write(piece); err != nil {
					break
				}
				if change[0] == 'T' {
					io.WriteString(conn, "\r\n")
				}
			}
			got := make([]byte, 4096)
			n, _ := io.ReadAtLeast(conn, got, 12)
			conn.Close()
			if code := codeOf(string(got[:n])); n > 0 && !strings.HasPrefix(code, "4") {
				t.Errorf("%s %s, %s: %s", method, path, name, code)
			}
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.TotalAlloc - before.TotalAlloc); grown > 512<<20 { // of 26 × 32 MiB that were sent
		t.Errorf("%d MB were allocated for bodies that are refused", grown>>20)
	}
	if a := (call{Path: "/" + b + "/k"}).want(t, 200, ""); a.Body != "x" {
		t.Errorf("the object became %.20q", a.Body)
	}
	quiet(t)
}

// TestKeysAsTheyAre: keys are names and no paths, and none of them leaves its bucket.
func TestKeysAsTheyAre(t *testing.T) {
	b := newBucket(t)
	other := newBucket(t)
	putObject(t, other, "k", "other")
	var want []string
	for raw, key := range map[string]string{"a/../b": "a/../b", "%2e%2e/x": "../x", "a//b": "a//b", "/lead": "/lead", "a/./b": "a/./b", "..%2f..%2fetc%2fpasswd": "../../etc/passwd", "%2F..%2F" + other + "%2Fk": "/../" + other + "/k",
		"a%5C..%5Cb": `a\..\b`, "wattle.db": "wattle.db", ".wattle%2Fsettings": ".wattle/settings", "user%2Froot": "user/root", "con%3F%23%25": "con?#%", "a%0Ab": "a\nb", "%E2%80%AE": "\u202e", "dir/": "dir/"} {
		a := call{Method: "PUT", Path: "/" + b + "/" + raw, Body: key}.do(t)
		if a.Status != 200 {
			if a.Status != 400 || a.Code == "" {
				t.Errorf("%q: %d %s", raw, a.Status, a.Code)
			}
			t.Logf("%q is refused: %d %s", raw, a.Status, a.Code)
			continue
		}
		want = append(want, key)
		if got := (call{Path: "/" + b + "/" + raw}).want(t, 200, ""); got.Body != key {
			t.Errorf("%q holds %q", raw, got.Body)
		}
	}
	keys := func(bucket string) []string {
		var doc struct {
			Contents []struct{ Key string }
		}
		if err := xml.Unmarshal([]byte(call{Path: "/" + bucket + "?encoding-type=url"}.want(t, 200, "").Body), &doc); err != nil {
			t.Fatal(err)
		}
		var list []string
		for _, o := range doc.Contents {
			list = append(list, o.Key)
		}
		return list
	}
	if got := keys(b); len(got) != len(want) {
		t.Errorf("%q were put, and %q are there", want, got)
	}
	if got := keys(other); !slices.Equal(got, []string{"k"}) {
		t.Errorf("the other bucket has %q", got)
	}
	for _, raw := range []string{"a%00b", "%00", "%ff%fe", "%C0%AE%C0%AE/x"} { // NUL, and what is no UTF-8
		if a := (call{Method: "PUT", Path: "/" + b + "/" + raw, Body: "x"}).do(t); a.Status != 400 || a.Code == "" {
			t.Errorf("%q: %d %s", raw, a.Status, a.Code)
		}
	}
	for _, path := range []string{"/../" + b, "/%2e%2e/" + b + "/k", "//" + b + "/k", "/" + b + "/..", "/..", "/%00/k"} {
		if got := codeOf(exchange(t, "GET "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")); !strings.HasPrefix(got, "4") {
			t.Errorf("GET %s: %s", path, got)
		}
	}
}

// TestPartNumbers: of a part to write and to read.
func TestPartNumbers(t *testing.T) {
	b := newBucket(t)
	putObject(t, b, "k", "x")
	id := start(t, b, "up", nil)
	for _, n := range []string{"0", "-1", "10001", "2147483648", "4294967297", "9223372036854775807", "9223372036854775808", "1e3", "0x1", "%201", ""} {
		row{name: "write " + n, call: call{Method: "PUT", Path: "/" + b + "/up?partNumber=" + n + "&uploadId=" + id, Body: "x"}, status: 400, code: "InvalidArgument"}.check(t)
		if a := (call{Path: "/" + b + "/k?partNumber=" + n}).do(t); a.Status != 400 && a.Status != 416 && n != "" {
			t.Errorf("read %s: %d %s", n, a.Status, a.Code)
		}
	}
	for _, query := range []string{"max-keys", "list-type=2&max-keys", "versions&max-keys", "uploads&max-uploads"} {
		for _, n := range []string{"-1", "4294967297", "9223372036854775808", "1e3", "x"} {
			row{name: query + " " + n, call: call{Path: "/" + b + "?" + query + "=" + n}, status: 400, code: "InvalidArgument"}.check(t)
		}
	}
	for _, n := range []string{"-1", "4294967297", "9223372036854775808", "x"} {
		row{name: "from part " + n, call: call{Path: "/" + b + "/up?part-number-marker=" + n + "&uploadId=" + id}, status: 400, code: "InvalidArgument"}.check(t)
	}
	for _, n := range []string{"0", "-1", "10001", "9223372036854775808"} {
		doc := "<CompleteMultipartUpload><Part><PartNumber>" + n + "</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>"
		if a := (call{Method: "POST", Path: "/" + b + "/up?uploadId=" + id, Body: doc}).do(t); a.Status != 400 || a.Code == "" {
			t.Errorf("complete %s: %d %s", n, a.Status, a.Code)
		}
	}
	if a := (call{Path: "/" + b + "/up?uploadId=" + id}).want(t, 200, ""); strings.Contains(a.Body, "<Part>") {
		t.Errorf("parts are there: %s", a.Body)
	}
}

// TestSmuggled: where a request ends is never in doubt, so that none hides in another.
func TestSmuggled(t *testing.T) {
	b := newBucket(t)
	putObject(t, b, "k", "x")
	hidden := "GET /" + b + "/hidden HTTP/1.1\r\nHost: x\r\n\r\n"
	inner := "0\r\n\r\n" + hidden
	head := "PUT /" + b + "/up HTTP/1.1\r\nHost: x\r\n"
	for name, raw := range map[string]string{
		"length and transfer":      head + fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n", len(inner)) + inner,
		"transfer and length":      head + fmt.Sprintf("Transfer-Encoding: chunked\r\nContent-Length: %d\r\n\r\n", len(inner)) + inner,
		"two lengths":              head + fmt.Sprintf("Content-Length: 0\r\nContent-Length: %d\r\n\r\n", len(hidden)) + hidden,
		"two lengths in one":       head + fmt.Sprintf("Content-Length: 0, %d\r\n\r\n", len(hidden)) + hidden,
		"a length with a sign":     head + fmt.Sprintf("Content-Length: +%d\r\n\r\n", len(hidden)) + hidden,
		"an unknown transfer":      head + fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: xchunked\r\n\r\n", len(inner)) + inner,
		"two transfers":            head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + inner,
		"transfer behind a blank":  head + fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding : chunked\r\n\r\n", len(inner)) + inner,
		"transfer with a tab":      head + fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding:\tchunked\r\n\r\n", len(inner)) + inner,
		"a folded header":          head + fmt.Sprintf("Content-Length: %d\r\nX-A: b\r\n Transfer-Encoding: chunked\r\n\r\n", len(inner)) + inner,
		"chunk past all bounds":    head + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n" + hidden,
		"a chunk with a sign":      head + "Transfer-Encoding: chunked\r\n\r\n-1\r\n" + hidden,
		"no line end of its chunk": head + "Transfer-Encoding: chunked\r\n\r\n1\r\nxx" + inner,
		"a NUL in a header":        head + "X-A: a\x00b\r\nContent-Length: 0\r\n\r\n",
		"no host":                  "GET /" + b + "/k HTTP/1.1\r\n\r\n",
		"no version":               "GET /" + b + "/k\r\n\r\n",
		"garbage":                  strings.Repeat("\x16\x03\x01", 100) + "\r\n\r\n",
	} {
		got := exchange(t, raw)
		if n := strings.Count(got, "HTTP/1.1 "); n > 1 {
			t.Errorf("%s: the hidden request was answered:\n%.600s", name, got)
		}
		if code := codeOf(got); got != "" && (strings.HasPrefix(code, "2") || strings.HasPrefix(code, "5")) {
			t.Errorf("%s: %s", name, code)
		}
		t.Logf("%s: %d answers, %s", name, strings.Count(got, "HTTP/1.1 "), codeOf(got))
	}
	call{Path: "/" + b + "/up"}.want(t, 404, "NoSuchKey")
}

// TestStalled: who sends or takes nothing for a while is given up, whatever it had begun, and
// nobody waits for it.
func TestStalled(t *testing.T) {
	b := newBucket(t)
	large := randomText(12<<20, 1)
	putObject(t, b, "large", large)
	doc := "<Tagging><TagSet></TagSet></Tagging>" + strings.Repeat(" ", 20_000)
	form := "POST /" + b + " HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 100000\r\n\r\n--x\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nk"
	var wg sync.WaitGroup
	begun := func(name, raw string, want string) {
		wg.Go(func() {
			conn := dial(t)
			defer conn.Close()
			io.WriteString(conn, raw)
			got, _ := io.ReadAll(conn) // until the server closes it
			if _, err := conn.Write([]byte("x")); err == nil {
				_, err = conn.Write([]byte("x"))
				if time.Sleep(50 * time.Millisecond); err == nil {
					if _, err = conn.Write([]byte("x")); err == nil {
						t.Errorf("%s: the connection stands", name)
					}
				}
			}
			if len(got) > 0 && codeOf(string(got)) != want {
				t.Errorf("%s: %s, want %s", name, codeOf(string(got)), want)
			}
		})
	}
	cut := func(c call, n int) string {
		whole := string(c.wire(t))
		return whole[:strings.Index(whole, "\r\n\r\n")+4+n]
	}
	begun("a header", "GET /"+b+" HTTP/1.1\r\nHost: x\r\nX-Slow: ", "400 RequestTimeout")
	begun("a document", cut(call{Method: "PUT", Path: "/" + b + "?tagging", Body: doc, Headers: md5Header(doc)}, 10_000), "400 RequestTimeout")
	begun("the first of a body", cut(call{Method: "PUT", Path: "/" + b + "/k", Body: doc, Payload: "UNSIGNED-PAYLOAD"}, 10), "400 RequestTimeout")
	begun("a body", cut(call{Method: "PUT", Path: "/" + b + "/k", Body: large, Payload: "UNSIGNED-PAYLOAD"}, 3<<20), "400 RequestTimeout")
	begun("a body that is hashed", cut(call{Method: "PUT", Path: "/" + b + "/k", Body: large}, 3<<20), "400 RequestTimeout")
	for range 40 {
		begun("a form", form, "400 RequestTimeout")
	}
	wg.Go(func() { // a body that nobody takes
		conn := dial(t)
		defer conn.Close()
		conn.Write(call{Path: "/" + b + "/large"}.wire(t))
		time.Sleep(testStall + 3*time.Second)
		if got, _ := io.ReadAll(conn); len(got) >= len(large) {
			t.Error("a body that nobody took was kept for it")
		}
	})
	putObject(t, b, "small", "hello") // nobody waits
	if a := (call{Path: "/" + b + "/small"}).want(t, 200, ""); a.Body != "hello" {
		t.Error(a.Body)
	}
	wg.Wait()
	call{Path: "/" + b + "/k"}.want(t, 404, "NoSuchKey")
	quiet(t)
}

// TestHostStyle: a request for a bucket's own host is the same as one with the bucket in its
// path, of whatever it is about.
func TestHostStyle(t *testing.T) {
	b := newBucket(t)
	at := func(method, path, body string) (int, string) {
		c := call{Method: method, Path: path, Body: body}
		req := c.request(t)
		req.Host = b + ".s3.example"
		req.Header.Del("Authorization")
		sign(t, req, body)
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		got, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(got)
	}
	policy := `{"Statement":{"Effect":"Deny","NotPrincipal":{"AWS":"root"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::` + b + `/*"}}`
	for _, c := range []struct {
		method, path, body string
		status             int
		part               string
	}{
		{"PUT", "/k", "hello", 200, ""}, {"GET", "/k", "", 200, "hello"}, {"PUT", "/dir/", "x", 200, ""}, {"GET", "/dir/", "", 200, "x"}, {"GET", "/?list-type=2", "", 200, "<Key>dir/</Key>"},
		{"PUT", "/large", strings.Repeat("x", 5<<20), 200, ""},
		{"PUT", "/?policy", policy, 204, ""}, {"GET", "/?policy", "", 200, policy}, {"DELETE", "/?policy", "", 204, ""}, {"GET", "/?acl", "", 200, "FULL_CONTROL"}, {"GET", "/k?acl", "", 200, "FULL_CONTROL"},
		{"GET", "/?publicAccessBlock", "", 404, "NoSuchPublicAccessBlockConfiguration"}, {"GET", "/?lifecycle", "", 404, "NoSuchLifecycleConfiguration"}, {"DELETE", "/k", "", 204, ""},
	} {
		if status, got := at(c.method, c.path, c.body); status != c.status || !strings.Contains(got, c.part) {
			t.Errorf("%s %s: %d %.300s, want %d and %q", c.method, c.path, status, got, c.status, c.part)
		}
	}
	call{Path: "/" + b + "/dir/"}.want(t, 200, "")
	call{Path: "/" + b + "/k"}.want(t, 404, "NoSuchKey")
}

// sign signs a request anew.
func sign(t *testing.T, req *http.Request, body string) {
	t.Helper()
	if err := signer().SignHTTP(t.Context(), credentials(root), req, hexSHA(body), "s3", "us-east-1", time.Now().UTC()); err != nil {
		t.Fatal(err)
	}
}
