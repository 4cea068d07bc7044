package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// raw sends a request as it is written here, signed for what it says, and returns the answer.
func raw(t *testing.T, c call, change func(wire string) string) answer {
	t.Helper()
	conn := dial(t)
	defer conn.Close()
	io.WriteString(conn, change(string(c.wire(t))))
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: c.Method})
	if err != nil {
		t.Fatalf("%s %s: %v", c.Method, c.Path, err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	a := answer{Status: res.StatusCode, Header: res.Header, Body: string(b)}
	if _, code, ok := strings.Cut(a.Body, "<Code>"); ok {
		a.Code, _, _ = strings.Cut(code, "</Code>")
	}
	return a
}

// TestRawHeaders: headers that no client library sends.
func TestRawHeaders(t *testing.T) {
	b := newBucket(t)
	putObject(t, b, "there", "x")
	without := func(name string) func(string) string {
		return func(s string) string {
			from := strings.Index(s, "\r\n"+name+":")
			if from < 0 {
				t.Fatalf("no %s in %q", name, s)
			}
			return s[:from] + s[from+2+strings.Index(s[from+2:], "\r\n"):]
		}
	}
	with := func(line string) func(string) string {
		return func(s string) string { return strings.Replace(s, "\r\n\r\n", "\r\n"+line+"\r\n\r\n", 1) }
	}
	as := func(name, value string) func(string) string {
		return func(s string) string { return with(name + ": " + value)(without(name)(s)) }
	}
	put := call{Method: "PUT", Path: "/" + b + "/k", Payload: "UNSIGNED-PAYLOAD"}
	unsigned := call{Method: "PUT", Path: "/" + b + "/k", Key: Credentials{Access: "-"}}
	for _, c := range []struct {
		name   string
		call   call
		change func(string) string
		status int
		code   string
	}{
		{"object without a length", put, without("Content-Length"), 411, "MissingContentLength"},
		{"part without a length", call{Method: "PUT", Path: "/" + b + "/k?partNumber=1&uploadId=x", Payload: "UNSIGNED-PAYLOAD"}, without("Content-Length"), 411, "MissingContentLength"},
		{"copy without a length", at("PUT", "/"+b+"/copy", "", "x-amz-copy-source", b+"/there"), without("Content-Length"), 200, ""},
		{"bucket without a length", call{Method: "PUT", Path: "/" + b + "-nolength"}, without("Content-Length"), 200, ""},
		{"negative length", put, as("Content-Length", "-1"), 400, ""},
		{"length that is none", put, as("Content-Length", "three"), 400, ""},
		{"more than 5 GiB", put, func(s string) string { return as("Content-Length", "5368709121")(s) + strings.Repeat("x", 64<<10) }, 400, "EntityTooLarge"},
		{"control characters in metadata", put, with("x-amz-meta-a: \x04mymeta"), 400, ""},
		{"a header of S3 that is not signed", put, with("x-amz-meta-a: 1"), 403, "AccessDenied"},
		{"empty Content-MD5", put, with("Content-MD5:"), 400, "InvalidDigest"},
		{"Content-MD5 of 11 bytes", put, with("Content-MD5: YWJyYWNhZGFicmE="), 400, "InvalidDigest"},
		{"Content-MD5 in words", put, with("Content-MD5: AWS HAHAHA"), 400, "InvalidDigest"},
		{"Content-MD5 of another body", put, with("Content-MD5: rL0Y20xC+Fzt72VPzMSk2A=="), 400, "BadDigest"},
		{"Expect that nobody knows", put, with("Expect: 200"), 200, ""},
		{"empty Expect", put, with("Expect:"), 200, ""},
		{"empty Content-Type", put, with("Content-Type:"), 200, ""},
		{"no User-Agent", put, without("User-Agent"), 200, ""},
		{"no signature", unsigned, with("x-nothing: 1"), 403, "AccessDenied"},
		{"empty Authorization", unsigned, with("Authorization:"), 403, "AccessDenied"},
		{"Authorization in words", unsigned, with("Authorization: AWS HAHAHA"), 400, "InvalidArgument"},
		{"Authorization of version 4 in words", unsigned, with("x-amz-date: " + time.Now().UTC().Format(amzTime) + "\r\nAuthorization: AWS4-HMAC-SHA256 HAHAHA"), 400, "AuthorizationHeaderMalformed"},
		{"Authorization of a key that is not there", unsigned, func(s string) string {
			return with("Authorization: AWS AKIAIGR7ZNNBHC5BKSUB:FWeDfwojDSdS2Ztmpfeubhd9isU=")(with("x-amz-date: " + time.Now().UTC().Format(http.TimeFormat))(s))
		}, 403, "InvalidAccessKeyId"},
		{"no date", put, without("X-Amz-Date"), 403, "AccessDenied"},
		{"empty date", put, as("X-Amz-Date", ""), 403, "AccessDenied"},
		{"date in words", put, as("X-Amz-Date", "Bad Date"), 403, "AccessDenied"},
		{"date long ago", put, as("X-Amz-Date", "20100707T215304Z"), 403, "RequestTimeTooSkewed"},
		{"date before 1970", put, as("X-Amz-Date", "19500707T215304Z"), 403, "RequestTimeTooSkewed"},
		{"date in the future", put, as("X-Amz-Date", "20990707T215304Z"), 403, "RequestTimeTooSkewed"},
		{"date of the end", put, as("X-Amz-Date", "99990707T215304Z"), 403, "RequestTimeTooSkewed"},
		{"version 2, long ago", unsigned, func(s string) string {
			return with("Authorization: AWS root:AAAAAAAAAAAAAAAAAAAAAAAAAAA=")(with("x-amz-date: Wed, 07 Jul 2010 21:53:04 GMT")(s))
		}, 403, "RequestTimeTooSkewed"},
		{"version 2, no date", unsigned, with("Authorization: AWS root:AAAAAAAAAAAAAAAAAAAAAAAAAAA="), 403, "AccessDenied"},
		{"version 2, date in words", unsigned, func(s string) string {
			return with("Authorization: AWS root:AAAAAAAAAAAAAAAAAAAAAAAAAAA=")(with("x-amz-date: Bad Date")(s))
		}, 403, "AccessDenied"},
		{"no digest of the body", put, without("X-Amz-Content-Sha256"), 400, "InvalidRequest"},
		{"digest in words", put, as("X-Amz-Content-Sha256", "sha"), 400, "InvalidArgument"},
		{"digest of a stream, for a bucket", call{Path: "/" + b}, as("X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"), 400, "InvalidRequest"},
	} {
		if a := raw(t, c.call, c.change); a.Status != c.status || c.code != "" && a.Code != c.code {
			t.Errorf("%s: %d %s, want %d %s\n%.300s", c.name, a.Status, a.Code, c.status, c.code, a.Body)
		}
	}
	if a := (call{Method: "HEAD", Path: "/" + b + "/k"}).want(t, 200, ""); a.Header.Get("Content-Type") != "binary/octet-stream" {
		t.Errorf("%v", a.Header)
	}
}

func TestObjectRows(t *testing.T) {
	b := newBucket(t)
	long := strings.Repeat("k", 1025)
	putObject(t, b, "k", "hello world", "Content-Type", "text/plain; charset=utf-8", "Cache-Control", "public, max-age=14400", "Expires", "Thu, 01 Dec 2033 16:00:00 GMT",
		"Content-Language", "no, en", "x-amz-meta-Mixed-Case", "V", "x-amz-website-redirect-location", "/other")
	putObject(t, b, "empty", "", "x-amz-meta-empty", "")
	putObject(t, b, "class", "x", "x-amz-storage-class", "GLACIER_IR")
	putObject(t, b, "reduced", "x", "x-amz-storage-class", "REDUCED_REDUNDANCY")
	putObject(t, b, "dir/", "")
	tag := `"` + md5Of("hello world") + `"`
	ranged := func(r string) call { return at("GET", "/"+b+"/k", "", "Range", r) }
	old, soon := time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat), time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	checkAll(t, []row{
		{name: "headers are told again", call: at("GET", "/"+b+"/k", ""), status: 200, body: "hello world", header: map[string]string{"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "public, max-age=14400",
			"Expires": "Thu, 01 Dec 2033 16:00:00 GMT", "Content-Language": "no, en", "X-Amz-Meta-Mixed-Case": "V", "X-Amz-Website-Redirect-Location": "/other", "Etag": tag, "Accept-Ranges": "bytes", "Last-Modified": "*", "X-Amz-Id-2": "*"}},
		{name: "an empty object", call: at("GET", "/"+b+"/empty", ""), status: 200, header: map[string]string{"Content-Length": "0", "Etag": `"d41d8cd98f00b204e9800998ecf8427e"`}},
		{name: "class", call: at("HEAD", "/"+b+"/class", ""), status: 200, header: map[string]string{"X-Amz-Storage-Class": "GLACIER_IR"}},
		{name: "reduced", call: at("HEAD", "/"+b+"/reduced", ""), status: 200, header: map[string]string{"X-Amz-Storage-Class": "REDUCED_REDUNDANCY"}},
		{name: "what looks like a folder", call: at("HEAD", "/"+b+"/dir/", ""), status: 200, header: map[string]string{"Content-Length": "0"}},
		{name: "the same without the slash", call: at("HEAD", "/"+b+"/dir", ""), status: 404},
		{name: "a key that goes up and stays within", call: at("PUT", "/"+b+"/a/%2e%2e/b", "x"), status: 200},
		{name: "a key that goes up and out", call: at("PUT", "/"+b+"/%2e%2e/b", "x"), status: 400, code: "400"},
		{name: "a key of one dot", call: at("PUT", "/"+b+"/%2e", "x"), status: 400, code: "400"},
		{name: "put a long key", call: at("PUT", "/"+b+"/"+long, "x"), status: 400, code: "KeyTooLongError"},
		{name: "get a long key", call: at("GET", "/"+b+"/"+long, ""), status: 400, code: "KeyTooLongError"},
		{name: "head a long key", call: at("HEAD", "/"+b+"/"+long, ""), status: 400},
		{name: "delete a long key", call: at("DELETE", "/"+b+"/"+long, ""), status: 400, code: "KeyTooLongError"},
		{name: "copy to a long key", call: at("PUT", "/"+b+"/"+long, "", "x-amz-copy-source", b+"/k"), status: 400, code: "KeyTooLongError"},
		{name: "upload to a long key", call: at("POST", "/"+b+"/"+long+"?uploads", ""), status: 400, code: "KeyTooLongError"},
		{name: "tags of a long key", call: at("GET", "/"+b+"/"+long+"?tagging", ""), status: 400, code: "KeyTooLongError"},

		{name: "first bytes", call: ranged("bytes=4-7"), status: 206, body: "o wo", header: map[string]string{"Content-Range": "bytes 4-7/11", "Content-Length": "4", "Etag": tag}},
		{name: "leading bytes left out", call: ranged("bytes=4-"), status: 206, body: "o world", header: map[string]string{"Content-Range": "bytes 4-10/11"}},
		{name: "trailing bytes", call: ranged("bytes=-7"), status: 206, body: "o world", header: map[string]string{"Content-Range": "bytes 4-10/11"}},
		{name: "more than there are", call: ranged("bytes=-100"), status: 206, body: "hello world", header: map[string]string{"Content-Range": "bytes 0-10/11"}},
		{name: "beyond the end", call: ranged("bytes=40-50"), status: 416, code: "InvalidRange", body: "<ActualObjectSize>11</ActualObjectSize>", header: map[string]string{"Content-Range": "bytes */11"}},
		{name: "none from the end", call: ranged("bytes=-0"), status: 416, code: "InvalidRange", header: map[string]string{"Content-Range": "bytes */11"}},
		{name: "beyond the end, of head", call: at("HEAD", "/"+b+"/k", "", "Range", "bytes=40-50"), status: 416, header: map[string]string{"Content-Range": "bytes */11"}},
		{name: "of an empty object", call: at("GET", "/"+b+"/empty", "", "Range", "bytes=40-50"), status: 416, code: "InvalidRange", header: map[string]string{"Content-Range": "bytes */0"}},
		{name: "two ranges", call: ranged("bytes=0-1,3-4"), status: 200, body: "hello world", header: map[string]string{"Content-Range": ""}},
		{name: "no unit", call: ranged("0-4"), status: 200, body: "hello world"},
		{name: "backwards", call: ranged("bytes=7-4"), status: 200, body: "hello world"},

		{name: "If-Match and If-None-Match", call: at("GET", "/"+b+"/k", "", "If-Match", tag, "If-None-Match", tag), status: 304},
		{name: "If-Match, bare", call: at("GET", "/"+b+"/k", "", "If-Match", strings.Trim(tag, `"`)), status: 200},
		{name: "If-None-Match: *", call: at("GET", "/"+b+"/k", "", "If-None-Match", "*"), status: 304},
		{name: "304 has the ETag", call: at("GET", "/"+b+"/k", "", "If-None-Match", tag), status: 304, header: map[string]string{"Etag": tag, "Last-Modified": "*"}},
		{name: "304 has the ETag, of head", call: at("HEAD", "/"+b+"/k", "", "If-None-Match", tag), status: 304, header: map[string]string{"Etag": tag}},
		{name: "If-None-Match wins", call: at("GET", "/"+b+"/k", "", "If-None-Match", `"x"`, "If-Modified-Since", soon), status: 200},
		{name: "If-Modified-Since later", call: at("GET", "/"+b+"/k", "", "If-Modified-Since", soon), status: 200},
		{name: "If-Unmodified-Since later", call: at("GET", "/"+b+"/k", "", "If-Unmodified-Since", soon), status: 200},
		{name: "which condition failed", call: at("GET", "/"+b+"/k", "", "If-Unmodified-Since", old), status: 412, code: "PreconditionFailed", body: "<Condition>If-Unmodified-Since</Condition>"},
		{name: "which condition failed, If-Match", call: at("GET", "/"+b+"/k", "", "If-Match", `"x"`), status: 412, code: "PreconditionFailed", body: "<Condition>If-Match</Condition>"},

		{name: "the error names the key", call: at("GET", "/"+b+"/none", ""), status: 404, code: "NoSuchKey", body: "<Key>none</Key>"},
		{name: "the error names the bucket", call: at("GET", "/"+b+"-none", ""), status: 404, code: "NoSuchBucket", body: "<BucketName>" + b + "-none</BucketName>"},
		{name: "delete what is not there", call: at("DELETE", "/"+b+"/none", ""), status: 204, header: map[string]string{"X-Amz-Version-Id": "", "X-Amz-Delete-Marker": ""}},
		{name: "delete what is not there, if it matches", call: at("DELETE", "/"+b+"/none", "", "If-Match", tag), status: 204},
		{name: "delete in no bucket", call: at("DELETE", "/"+b+"-none/k", ""), status: 404, code: "NoSuchBucket"},
		{name: "head of a bucket", call: at("HEAD", "/"+b, ""), status: 200, header: map[string]string{"X-Amz-Bucket-Region": "us-east-1"}},
		{name: "redirect to nonsense", call: at("PUT", "/"+b+"/r", "", "x-amz-website-redirect-location", "nonsense"), status: 400, code: "InvalidRedirectLocation"},
		{name: "post to an object", call: at("POST", "/"+b+"/k", ""), status: 405, code: "MethodNotAllowed"},

		{name: "checksum that was announced and not sent", call: at("PUT", "/"+b+"/c", "x", "x-amz-sdk-checksum-algorithm", "SHA256"), status: 400, code: "InvalidRequest"},
		{name: "checksum of another kind than announced", call: at("PUT", "/"+b+"/c", "x", "x-amz-sdk-checksum-algorithm", "SHA256", "x-amz-checksum-crc32", "jNwdgw=="), status: 400, code: "InvalidRequest"},
		{name: "checksum of no kind", call: at("PUT", "/"+b+"/c", "x", "x-amz-sdk-checksum-algorithm", "ROT13"), status: 400, code: "InvalidRequest"},
		{name: "the checksum that S3 takes itself", call: at("GET", "/"+b+"/k", "", "x-amz-checksum-mode", "ENABLED"), status: 200, header: map[string]string{"X-Amz-Checksum-Crc64nvme": "*", "X-Amz-Checksum-Type": "FULL_OBJECT"}},
		{name: "checksum mode", call: at("GET", "/"+b+"/k", "", "x-amz-checksum-mode", "MAYBE"), status: 400, code: "InvalidRequest"},
		{name: "attributes", call: at("GET", "/"+b+"/k?attributes", "", "x-amz-object-attributes", "ETag,Checksum,ObjectParts,StorageClass,ObjectSize"), status: 200, body: "<ETag>" + md5Of("hello world") + "</ETag>", not: "<ObjectParts>", header: map[string]string{"Last-Modified": "*"}},
		{name: "attributes of what is not there", call: at("GET", "/"+b+"/none?attributes", "", "x-amz-object-attributes", "ETag"), status: 404, code: "NoSuchKey"},

		{name: "part 0", call: at("GET", "/"+b+"/k?partNumber=0", ""), status: 400, code: "InvalidArgument"},
		{name: "part that is no number", call: at("GET", "/"+b+"/k?partNumber=x", ""), status: 400, code: "InvalidArgument"},
		{name: "head of part 1", call: at("HEAD", "/"+b+"/k?partNumber=1", ""), status: 206, header: map[string]string{"Content-Length": "11"}},
		{name: "head of part 2", call: at("HEAD", "/"+b+"/k?partNumber=2", ""), status: 416},
	})
}

// TestEmptyMetadata: metadata without a value is told, and without a name not taken.
func TestEmptyMetadata(t *testing.T) {
	b := newBucket(t)
	for _, v := range []string{"old", ""} {
		putObject(t, b, "k", "x", "x-amz-meta-a", v)
		if a := (call{Method: "HEAD", Path: "/" + b + "/k"}).want(t, 200, ""); len(a.Header["X-Amz-Meta-A"]) != 1 || a.Header.Get("X-Amz-Meta-A") != v {
			t.Errorf("%q is told as %q", v, a.Header["X-Amz-Meta-A"])
		}
	}
}

// TestConditionsOfWrites beside TestWriteConditions.
func TestConditionsOfWrites(t *testing.T) {
	b := newBucket(t)
	tag := putObject(t, b, "k", "x").Header.Get("ETag")
	versioned := newBucket(t)
	versioning(t, versioned, "Enabled")
	vtag := putObject(t, versioned, "k", "x").Header.Get("ETag")
	up, up2 := start(t, b, "k", nil), start(t, b, "new", nil)
	ptag := part(b, "k", up, 1, "y").want(t, 200, "").Header.Get("ETag")
	part(b, "new", up2, 1, "y").want(t, 200, "")
	done := func(key, id, name, value string) call {
		c := complete(b, key, id, 1, ptag)
		c.Headers = map[string]string{name: value}
		return c
	}
	many := func(etag string) call {
		doc := "<Delete><Object><Key>k</Key><ETag>" + etag + "</ETag></Object></Delete>"
		return call{Method: "POST", Path: "/" + versioned + "?delete", Body: doc, Headers: md5Header(doc)}
	}
	checkAll(t, []row{
		{name: "If-Match: *", call: at("PUT", "/"+b+"/k", "x", "If-Match", "*"), status: 200},
		{name: "If-Match: * of none", call: at("PUT", "/"+b+"/none", "x", "If-Match", "*"), status: 404, code: "NoSuchKey"},
		{name: "If-Match, bare", call: at("PUT", "/"+b+"/k", "x", "If-Match", strings.Trim(tag, `"`)), status: 200},
		{name: "If-None-Match: * of one that is there", call: at("PUT", "/"+b+"/k", "x", "If-None-Match", "*"), status: 412, code: "PreconditionFailed", body: "<Condition>If-None-Match</Condition>"},
		{name: "complete over one that is there", call: done("k", up, "If-None-Match", "*"), status: 412, code: "PreconditionFailed"},
		{name: "complete over another", call: done("k", up, "If-Match", `"x"`), status: 412, code: "PreconditionFailed"},
		{name: "complete over this one", call: done("k", up, "If-Match", tag), status: 200},
		{name: "complete where none was to match", call: done("new", up2, "If-Match", tag), status: 404, code: "NoSuchKey"},
		{name: "complete where none is", call: done("new", up2, "If-None-Match", "*"), status: 200},
		{name: "delete another", call: at("DELETE", "/"+b+"/k", "", "If-Match", `"x"`), status: 412, code: "PreconditionFailed"},
		{name: "delete any", call: at("DELETE", "/"+b+"/k", "", "If-Match", "*"), status: 204},
		{name: "delete many, another", call: many(`"x"`), status: 200, body: "<Code>PreconditionFailed</Code>"},
		{name: "delete many, this one", call: many(vtag), status: 200, body: "<DeleteMarker>true</DeleteMarker>"},
		{name: "put on a delete marker", call: at("PUT", "/"+versioned+"/k", "x", "If-None-Match", "*"), status: 200},
		{name: "copy over one that is there", call: at("PUT", "/"+versioned+"/k", "", "x-amz-copy-source", versioned+"/k", "If-None-Match", "*", "x-amz-metadata-directive", "REPLACE"), status: 412, code: "PreconditionFailed"},
		{name: "copy to where none is", call: at("PUT", "/"+versioned+"/k2", "", "x-amz-copy-source", versioned+"/k", "If-None-Match", "*"), status: 200},
		{name: "copy over another", call: at("PUT", "/"+versioned+"/k2", "", "x-amz-copy-source", versioned+"/k", "If-Match", `"x"`), status: 412, code: "PreconditionFailed"},
	})
}

// TestMetadataWords: what is not ASCII goes out as RFC 2047 has it, and comes in so too.
func TestMetadataWords(t *testing.T) {
	b := newBucket(t)
	for i, c := range []struct{ sent, told string }{
		{"ascii only", "ascii only"},
		{"blåbær", "=?UTF-8?B?YmzDpWLDpnI=?="},
		{"bl\xe5", "=?UTF-8?B?YmzDpQ==?="}, // Latin-1
		{"=?UTF-8?Q?bl=C3=A5?=", "=?UTF-8?B?YmzDpQ==?="},
		{"=?UTF-8?B?YmzDpQ==?=", "=?UTF-8?B?YmzDpQ==?="},
		{"=?UTF-8?Q?plain?=", "plain"},
		{"=?nonsense?Q?x?=", "=?nonsense?Q?x?="},
	} {
		key := fmt.Sprint("k", i)
		putObject(t, b, key, "x", "x-amz-meta-word", c.sent)
		for _, method := range []string{"GET", "HEAD"} {
			if a := (call{Method: method, Path: "/" + b + "/" + key}).want(t, 200, ""); a.Header.Get("X-Amz-Meta-Word") != c.told {
				t.Errorf("%s: %q is told as %q, want %q", method, c.sent, a.Header.Get("X-Amz-Meta-Word"), c.told)
			}
		}
	}
}

func TestPresignedRows(t *testing.T) {
	b := newBucket(t)
	putObject(t, b, "k", "x")
	now := time.Now()
	good := presign(t, "GET", "/"+b+"/k", now, "60")
	for name, c := range map[string]struct {
		url    string
		status int
		code   string
	}{
		"a week":             {presign(t, "GET", "/"+b+"/k", now, "604800"), 200, ""},
		"more than a week":   {presign(t, "GET", "/"+b+"/k", now, "604801"), 400, "AuthorizationQueryParametersError"},
		"negative":           {presign(t, "GET", "/"+b+"/k", now, "-7"), 400, "AuthorizationQueryParametersError"},
		"no number":          {presign(t, "GET", "/"+b+"/k", now, "week"), 400, "AuthorizationQueryParametersError"},
		"no expiry":          {strings.Replace(good, "X-Amz-Expires=60", "X-Amz-Exp=60", 1), 400, "AuthorizationQueryParametersError"},
		"no credential":      {strings.Replace(good, "X-Amz-Credential", "X-Amz-Cred", 1), 400, "AuthorizationQueryParametersError"},
		"another algorithm":  {strings.Replace(good, "AWS4-HMAC-SHA256", "AWS5-HMAC-SHA512", 1), 400, "AuthorizationQueryParametersError"},
		"a date that is not": {strings.Replace(good, "X-Amz-Date=", "X-Amz-Date=x", 1), 400, "AuthorizationQueryParametersError"},
		"another region":     {strings.Replace(good, "us-east-1", "mars-east-1", 1), 400, "AuthorizationQueryParametersError"},
		"nobody":             {strings.Replace(good, "Credential=root", "Credential=nobody", 1), 403, "InvalidAccessKeyId"},
		"not yet":            {presign(t, "GET", "/"+b+"/k", now.Add(time.Hour), "60"), 403, "AccessDenied"},
		"expired":            {presign(t, "GET", "/"+b+"/k", now.Add(-2*time.Minute), "60"), 403, "AccessDenied"},
	} {
		if status, body := send(t, "GET", c.url, ""); status != c.status || !strings.Contains(body, c.code) {
			t.Errorf("%s: %d %.300s, want %d %s", name, status, body, c.status, c.code)
		}
	}
	if status, body := send(t, "PUT", presign(t, "PUT", "/"+b+"/k2", now, "60"), "x", "x-amz-meta-a", "1"); status != 403 || !strings.Contains(body, "<Code>AccessDenied</Code>") {
		t.Errorf("a header of S3 that is not signed: %d %.300s", status, body)
	}
	if status, body := send(t, "PUT", presign(t, "PUT", "/"+b+"/k2", now, "60"), "x", "Content-Type", "a/b"); status != 200 {
		t.Errorf("a header that need not be signed: %d %.300s", status, body)
	}
}

// TestExpectedOwners: who is expected to own a bucket must.
func TestExpectedOwners(t *testing.T) {
	b := newBucket(t)
	putObject(t, b, "k", "x")
	id := start(t, b, "up", nil)
	for _, c := range []call{at("GET", "/"+b+"/k", ""), at("PUT", "/"+b+"/k", "y"), at("DELETE", "/"+b+"/k", ""), at("GET", "/"+b+"?list-type=2", ""), at("GET", "/"+b+"?versions", ""),
		at("POST", "/"+b+"/k?uploads", ""), part(b, "up", id, 1, "x"), at("GET", "/"+b+"/up?uploadId="+id, ""), at("DELETE", "/"+b+"/up?uploadId="+id, ""), at("GET", "/"+b+"/k?tagging", ""), at("GET", "/"+b+"?lifecycle", "")} {
		if c.Headers == nil {
			c.Headers = map[string]string{}
		}
		c.Headers["x-amz-expected-bucket-owner"] = "somebody"
		c.want(t, 403, "AccessDenied")
		c.Headers["x-amz-expected-bucket-owner"] = root.Access
		if a := c.do(t); a.Status >= 400 && a.Code != "NoSuchLifecycleConfiguration" && a.Code != "NoSuchKey" && a.Code != "NoSuchUpload" {
			t.Errorf("%s %s of its owner: %d %s", c.Method, c.Path, a.Status, a.Code)
		}
	}
	putObject(t, b, "k", "x")
	checkAll(t, []row{
		{name: "source of another", call: at("PUT", "/"+b+"/to", "", "x-amz-copy-source", b+"/k", "x-amz-source-expected-bucket-owner", "somebody"), status: 403, code: "AccessDenied"},
		{name: "source of its owner", call: at("PUT", "/"+b+"/to", "", "x-amz-copy-source", b+"/k", "x-amz-source-expected-bucket-owner", root.Access), status: 200},
	})
}

func TestAttributeRows(t *testing.T) {
	b := newBucket(t)
	versioning(t, b, "Enabled")
	id := start(t, b, "parts", map[string]string{"x-amz-checksum-algorithm": "SHA256"})
	big := strings.Repeat("x", minPart)
	sum := func(s string) string {
		h, _ := newHash("SHA256")
		h.Write([]byte(s))
		return encode(h)
	}
	var doc strings.Builder
	for n, body := range []string{big, big, "end"} {
		c := part(b, "parts", id, n+1, body)
		c.Headers = map[string]string{"x-amz-checksum-sha256": sum(body)}
		fmt.Fprintf(&doc, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag><ChecksumSHA256>%s</ChecksumSHA256></Part>", n+1, c.want(t, 200, "").Header.Get("ETag"), sum(body))
	}
	v := call{Method: "POST", Path: "/" + b + "/parts?uploadId=" + id, Body: "<CompleteMultipartUpload>" + doc.String() + "</CompleteMultipartUpload>"}.want(t, 200, "").Header.Get("X-Amz-Version-Id")
	get := func(key string, headers ...string) call { return at("GET", "/"+b+"/"+key, "", headers...) }
	const all = "ETag,Checksum,ObjectParts,StorageClass,ObjectSize"
	putObject(t, b, "gone", "x")
	m := call{Method: "DELETE", Path: "/" + b + "/gone"}.want(t, 204, "").Header.Get("X-Amz-Version-Id")
	checkAll(t, []row{
		{name: "all", call: get("parts?attributes", "x-amz-object-attributes", all), status: 200, body: "<PartsCount>3</PartsCount>", header: map[string]string{"X-Amz-Version-Id": v}},
		{name: "checksum", call: get("parts?attributes", "x-amz-object-attributes", all), status: 200, body: "<ChecksumType>COMPOSITE</ChecksumType>"},
		{name: "checksum alone", call: get("parts?attributes", "x-amz-object-attributes", "Checksum"), status: 200, body: "-3</ChecksumSHA256>", not: "<ETag>"},
		{name: "parts have checksums", call: get("parts?attributes", "x-amz-object-attributes", "ObjectParts"), status: 200, body: "<ChecksumSHA256>" + sum("end") + "</ChecksumSHA256>"},
		{name: "first part", call: get("parts?attributes", "x-amz-object-attributes", "ObjectParts", "x-amz-max-parts", "1"), status: 200, body: "<NextPartNumberMarker>1</NextPartNumberMarker>", not: "<PartNumber>2"},
		{name: "it is not the last", call: get("parts?attributes", "x-amz-object-attributes", "ObjectParts", "x-amz-max-parts", "1"), status: 200, body: "<IsTruncated>true</IsTruncated>"},
		{name: "the last", call: get("parts?attributes", "x-amz-object-attributes", "ObjectParts", "x-amz-part-number-marker", "2"), status: 200, body: "<PartNumber>3</PartNumber>", not: "<PartNumber>2"},
		{name: "by version", call: get("parts?attributes&versionId="+v, "x-amz-object-attributes", "ObjectSize"), status: 200, body: fmt.Sprintf("<ObjectSize>%d</ObjectSize>", 2*minPart+3)},
		{name: "of no version", call: get("parts?attributes&versionId=00000000deadbeef", "x-amz-object-attributes", "ObjectSize"), status: 404, code: "NoSuchVersion"},
		{name: "of what was deleted", call: get("gone?attributes", "x-amz-object-attributes", "ObjectSize"), status: 404, code: "NoSuchKey", header: map[string]string{"X-Amz-Delete-Marker": "true"}},
		{name: "of a delete marker", call: get("gone?attributes&versionId="+m, "x-amz-object-attributes", "ObjectSize"), status: 405, code: "MethodNotAllowed", header: map[string]string{"X-Amz-Delete-Marker": "true"}},
		{name: "checksum of the whole is told", call: at("HEAD", "/"+b+"/parts", "", "x-amz-checksum-mode", "ENABLED"), status: 200, header: map[string]string{"X-Amz-Checksum-Type": "COMPOSITE", "X-Amz-Checksum-Sha256": "*"}},
		{name: "the first part", call: get("parts?partNumber=1", "x-amz-checksum-mode", "ENABLED"), status: 206, header: map[string]string{"Content-Length": fmt.Sprint(minPart), "X-Amz-Mp-Parts-Count": "3", "X-Amz-Checksum-Sha256": sum(big)}},
		{name: "the last part, of head", call: at("HEAD", "/"+b+"/parts?partNumber=3", "", "x-amz-checksum-mode", "ENABLED"), status: 206, header: map[string]string{"Content-Length": "3", "X-Amz-Checksum-Sha256": sum("end")}},
		{name: "a range of it", call: get("parts", "Range", fmt.Sprintf("bytes=%d-", 2*minPart-1)), status: 206, body: "xend", header: map[string]string{"Content-Length": "4"}},
		{name: "a copy is of one part", call: at("PUT", "/"+b+"/copy", "", "x-amz-copy-source", b+"/parts"), status: 200, header: map[string]string{"X-Amz-Copy-Source-Version-Id": v}},
	})
}

// TestIfRange: a range is of what the client has the beginning of, or it is not taken.
func TestIfRange(t *testing.T) {
	b := newBucket(t)
	tag := putObject(t, b, "k", "hello").Header.Get("ETag")
	modified := call{Method: "HEAD", Path: "/" + b + "/k"}.want(t, 200, "").Header.Get("Last-Modified")
	for _, c := range []struct {
		ifRange string
		status  int
		body    string
	}{{tag, 206, "he"}, {`"x"`, 200, "hello"}, {"W/" + tag, 200, "hello"}, {modified, 206, "he"}, {"Thu, 01 Jan 1998 00:00:00 GMT", 200, "hello"}, {"nonsense", 200, "hello"}} {
		row{name: c.ifRange, call: at("GET", "/"+b+"/k", "", "Range", "bytes=0-1", "If-Range", c.ifRange), status: c.status, body: c.body}.check(t)
	}
}

// TestReservedNames are of buckets that S3 keeps for itself.
func TestReservedNames(t *testing.T) {
	for _, name := range []string{"xn--bucket", "sthree-bucket", "amzn-s3-demo-bucket", "bucket-s3alias", "bucket--ol-s3", "bucket.mrap", "bucket--x-s3", "bucket--table-s3", "192.168.0.1", "ends-", "ends.", ".begins", "-begins", "with space"} {
		row{name: name, call: at("PUT", "/"+escape(name), ""), status: 400, code: "InvalidBucketName"}.check(t)
	}
	for _, name := range []string{"a.b.c", "1.2.3.4.5", "abc", "a-b", "0ab", strings.Repeat("n", 63)} {
		row{name: name, call: at("PUT", "/"+name, ""), status: 200, header: map[string]string{"Location": "/" + name}}.check(t)
	}
}
