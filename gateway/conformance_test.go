package gateway

import (
	"context"
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A row is a request and what S3's reference says of its answer.
type row struct {
	name   string
	call   call
	status int
	code   string
	header map[string]string // of the answer; "" for one that must not be there, "*" for one that must
	body   string            // is part of the answer's
	not    string            // is no part of it
}

// at is a call with headers, given as names and values.
func at(method, path, body string, headers ...string) call {
	c := call{Method: method, Path: path, Body: body, Headers: map[string]string{}}
	for i := 0; i+1 < len(headers); i += 2 {
		c.Headers[headers[i]] = headers[i+1]
	}
	return c
}

// checkAll checks rows in their order.
func checkAll(t *testing.T, rows []row) {
	t.Helper()
	for _, r := range rows {
		r.check(t)
	}
}

func (r row) check(t *testing.T) {
	t.Helper()
	a := r.call.do(t)
	if a.Status != r.status || a.Code != r.code {
		t.Errorf("%s: %s %.150s: %d %s, want %d %s\n%.300s", r.name, r.call.Method, r.call.Path, a.Status, a.Code, r.status, r.code, a.Body)
		return
	}
	for name, want := range r.header {
		if got := a.Header.Get(name); got != want && (want != "*" || got == "") {
			t.Errorf("%s: %s %q, want %q", r.name, name, got, want)
		}
	}
	if !strings.Contains(a.Body, r.body) {
		t.Errorf("%s: %q is not in %.500s", r.name, r.body, a.Body)
	}
	if r.not != "" && strings.Contains(a.Body, r.not) {
		t.Errorf("%s: %q is in %.500s", r.name, r.not, a.Body)
	}
	if a.Header.Get("X-Amz-Request-Id") == "" {
		t.Errorf("%s: no request id", r.name)
	}
	if a.Status >= 400 && r.call.Method != "HEAD" {
		var e struct{ Code, Message, RequestId string }
		if err := xml.Unmarshal([]byte(a.Body), &e); err != nil || e.Message == "" || e.RequestId == "" || a.Header.Get("Content-Type") != "application/xml" {
			t.Errorf("%s: the error has no message or no id, or is not XML: %v %.300s", r.name, err, a.Body)
		}
	}
}

// Raw bytes of a path that clients may leave as they are.
func TestRawPaths(t *testing.T) {
	b := newBucket(t)
	for raw, key := range map[string]string{"a+b": "a+b", "a%2Bb+c": "a+b+c", "a%20b": "a b", "a=b&c;d": "a=b&c;d", "a,b:c@d!$'()*": "a,b:c@d!$'()*", "%7Etilde~": "~tilde~"} {
		call{Method: "PUT", Path: "/" + b + "/" + raw, Body: key}.want(t, 200, "")
		if a := (call{Path: "/" + b + "/" + escape(key)}).want(t, 200, ""); a.Body != key {
			t.Errorf("%s was put and is not under %q", raw, key)
		}
		call{Method: "DELETE", Path: "/" + b + "/" + raw}.want(t, 204, "")
	}
	if l := list(t, b, ""); len(l.Contents) > 0 {
		t.Errorf("left: %q", l.keys())
	}
	putObject(t, b, "a+b", "x")
	call{Method: "PUT", Path: "/" + b + "/copy+1", Headers: map[string]string{"x-amz-copy-source": b + "/a%2Bb"}}.want(t, 200, "")
	if l := list(t, b, "prefix=copy%2B"); len(l.Contents) != 1 {
		t.Errorf("copies: %q", l.keys())
	}
}

func TestBucketSubresources(t *testing.T) {
	b := newBucket(t)
	at := func(sub string) call { return call{Path: "/" + b + "?" + sub} }
	twice := "<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag><Tag><Key>a</Key><Value>2</Value></Tag></TagSet></Tagging>"
	for _, r := range []row{
		{name: "location", call: at("location"), status: 200, body: "<LocationConstraint"},
		{name: "versioning of a bucket that never had it", call: at("versioning"), status: 200, body: "<VersioningConfiguration"},
		{name: "acl", call: at("acl"), status: 200, body: "<Permission>FULL_CONTROL</Permission>"},
		{name: "website", call: at("website"), status: 404, code: "NoSuchWebsiteConfiguration"},
		{name: "policy status without a policy", call: at("policyStatus"), status: 404, code: "NoSuchBucketPolicy"},
		{name: "uploads", call: at("uploads"), status: 200, body: "<ListMultipartUploadsResult"},
		{name: "another region", call: call{Method: "PUT", Path: "/" + b + "-x", Body: "<CreateBucketConfiguration><LocationConstraint>mars-1</LocationConstraint></CreateBucketConfiguration>"}, status: 400, code: "InvalidLocationConstraint"},
		{name: "expected owner", call: call{Path: "/" + b, Headers: map[string]string{"x-amz-expected-bucket-owner": "nobody"}}, status: 403, code: "AccessDenied"},
		{name: "versioning without a document", call: call{Method: "PUT", Path: "/" + b + "?versioning"}, status: 400, code: "MissingRequestBodyError"},
		{name: "tags twice", call: call{Method: "PUT", Path: "/" + b + "?tagging", Body: twice, Headers: md5Header(twice)}, status: 400, code: "InvalidTag"},
		{name: "lock of a bucket made without", call: call{Method: "PUT", Path: "/" + b + "?object-lock", Body: "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>", Headers: md5Header("<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>")}, status: 409, code: "InvalidBucketState"},
		{name: "a post that is no form", call: call{Method: "POST", Path: "/" + b}, status: 412, code: "PreconditionFailed"},
		{name: "patch", call: call{Method: "PATCH", Path: "/" + b + "/k"}, status: 405, code: "MethodNotAllowed"},
	} {
		r.check(t)
	}
}

func TestObjectHeaders(t *testing.T) {
	b := newBucket(t)
	putObject(t, b, "k", "hello", "x-amz-storage-class", "STANDARD_IA", "x-amz-meta-a", "1", "x-amz-tagging", "a=1&b=2")
	putObject(t, b, "plain", "hello")
	many := map[string]string{}
	for i := range 30 {
		many[fmt.Sprint("x-amz-meta-", i)] = strings.Repeat("v", 90)
	}
	override := "response-cache-control=no-store&response-content-disposition=inline&response-content-encoding=gzip&response-content-language=fr&response-content-type=a%2Fb&response-expires=Thu%2C%2001%20Dec%202033%2016%3A00%3A00%20GMT"
	overridden := map[string]string{"Cache-Control": "no-store", "Content-Disposition": "inline", "Content-Encoding": "gzip", "Content-Language": "fr", "Content-Type": "a/b", "Expires": "Thu, 01 Dec 2033 16:00:00 GMT"}
	for _, r := range []row{
		{name: "storage class", call: call{Path: "/" + b + "/k"}, status: 200, header: map[string]string{"X-Amz-Storage-Class": "STANDARD_IA", "X-Amz-Meta-A": "1", "X-Amz-Tagging-Count": "2", "Etag": `"` + md5Of("hello") + `"`}},
		{name: "the plain class is not told", call: call{Path: "/" + b + "/plain"}, status: 200, header: map[string]string{"X-Amz-Storage-Class": "", "X-Amz-Tagging-Count": "", "Content-Type": "binary/octet-stream", "X-Amz-Version-Id": ""}},
		{name: "overrides", call: call{Path: "/" + b + "/k?" + override}, status: 200, header: overridden, body: "hello"},
		{name: "overrides of head", call: call{Method: "HEAD", Path: "/" + b + "/k?" + override}, status: 200, header: overridden},
		{name: "overrides without a signature", call: call{Path: "/" + b + "/k?response-content-type=a", Key: Credentials{Access: "-"}}, status: 400, code: "InvalidRequest"},
		{name: "too much metadata", call: call{Method: "PUT", Path: "/" + b + "/meta", Headers: many}, status: 400, code: "MetadataTooLarge"},
		{name: "too many tags", call: call{Method: "PUT", Path: "/" + b + "/t", Headers: map[string]string{"x-amz-tagging": "1=&2=&3=&4=&5=&6=&7=&8=&9=&10=&11="}}, status: 400, code: "BadRequest"},
		{name: "a tag twice", call: call{Method: "PUT", Path: "/" + b + "/t", Headers: map[string]string{"x-amz-tagging": "a=1&a=2"}}, status: 400, code: "InvalidArgument"},
		{name: "attributes of what", call: call{Path: "/" + b + "/k?attributes"}, status: 400, code: "InvalidRequest"},
		{name: "attributes of nonsense", call: call{Path: "/" + b + "/k?attributes", Headers: map[string]string{"x-amz-object-attributes": "Weight"}}, status: 400, code: "InvalidArgument"},
		{name: "attributes", call: call{Path: "/" + b + "/k?attributes", Headers: map[string]string{"x-amz-object-attributes": "ETag,ObjectSize,StorageClass"}}, status: 200, body: "<ObjectSize>5</ObjectSize>"},
		{name: "torrent", call: call{Path: "/" + b + "/k?torrent"}, status: 501, code: "NotImplemented"},
		{name: "select", call: call{Method: "POST", Path: "/" + b + "/k?select&select-type=2", Body: "<x/>"}, status: 501, code: "NotImplemented"},
		{name: "restore", call: call{Method: "POST", Path: "/" + b + "/k?restore", Body: "<RestoreRequest/>"}, status: 501, code: "NotImplemented"},
		{name: "hold without lock", call: call{Method: "PUT", Path: "/" + b + "/k?legal-hold", Body: "<LegalHold><Status>ON</Status></LegalHold>", Headers: md5Header("<LegalHold><Status>ON</Status></LegalHold>")}, status: 400, code: "InvalidRequest"},
		{name: "lock header without lock", call: call{Method: "PUT", Path: "/" + b + "/l", Headers: map[string]string{"x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": time.Now().Add(time.Hour).UTC().Format(time.RFC3339)}}, status: 400, code: "InvalidRequest"},
		{name: "two checksums", call: call{Method: "PUT", Path: "/" + b + "/c", Body: "x", Headers: map[string]string{"x-amz-checksum-crc32": "jNwdgw==", "x-amz-checksum-sha1": "EfatjsUqKYS0uZspbgRPI4h5ptw="}}, status: 400, code: "InvalidRequest"},
		{name: "part number of what has no parts", call: call{Path: "/" + b + "/k?partNumber=1"}, status: 206, body: "hello"},
		{name: "part number too high", call: call{Path: "/" + b + "/k?partNumber=2"}, status: 416, code: "InvalidPartNumber"},
		{name: "part number and range", call: call{Path: "/" + b + "/k?partNumber=1", Headers: map[string]string{"Range": "bytes=0-1"}}, status: 400, code: "InvalidRequest"},
		{name: "empty version", call: call{Path: "/" + b + "/k?versionId="}, status: 400, code: "InvalidArgument"},
		{name: "null version", call: call{Path: "/" + b + "/k?versionId=null"}, status: 200, body: "hello"},
		{name: "a date that is none", call: call{Path: "/" + b + "/k", Headers: map[string]string{"If-Modified-Since": "yesterday"}}, status: 200},
	} {
		r.check(t)
	}
	a := call{Method: "HEAD", Path: "/" + b + "/k"}.want(t, 200, "")
	if _, err := time.Parse(http.TimeFormat, a.Header.Get("Last-Modified")); err != nil || a.Header.Get("Content-Length") != "5" {
		t.Errorf("%v", a.Header)
	}
	if a := (call{Method: "HEAD", Path: "/" + b + "/none"}).want(t, 404, ""); a.Body != "" {
		t.Errorf("HEAD has a body: %s", a.Body)
	}
}

func TestCopyErrors(t *testing.T) {
	b := newBucket(t)
	putObject(t, b, "k", "hello", "x-amz-meta-a", "1")
	cp := func(source string, headers ...string) call {
		c := call{Method: "PUT", Path: "/" + b + "/to", Headers: map[string]string{"x-amz-copy-source": source}}
		for i := 0; i+1 < len(headers); i += 2 {
			c.Headers[headers[i]] = headers[i+1]
		}
		return c
	}
	self := cp(b + "/k")
	self.Path = "/" + b + "/k"
	for _, r := range []row{
		{name: "no key", call: cp(b), status: 400, code: "InvalidArgument"},
		{name: "no such bucket", call: cp("no-such-bucket/k"), status: 404, code: "NoSuchBucket"},
		{name: "no such key", call: cp(b + "/none"), status: 404, code: "NoSuchKey"},
		{name: "no such version", call: cp(b + "/k?versionId=00000000deadbeef"), status: 404, code: "NoSuchVersion"},
		{name: "nonsense version", call: cp(b + "/k?versionId=x"), status: 400, code: "InvalidArgument"},
		{name: "onto itself", call: self, status: 400, code: "InvalidRequest"},
		{name: "directive", call: cp(b+"/k", "x-amz-metadata-directive", "KEEP"), status: 400, code: "InvalidArgument"},
		{name: "tag directive", call: cp(b+"/k", "x-amz-tagging-directive", "KEEP"), status: 400, code: "InvalidArgument"},
		{name: "condition", call: cp(b+"/k", "x-amz-copy-source-if-match", `"x"`), status: 412, code: "PreconditionFailed"},
		{name: "condition that does not match", call: cp(b+"/k", "x-amz-copy-source-if-none-match", `"`+md5Of("hello")+`"`), status: 412, code: "PreconditionFailed"},
		{name: "copied", call: cp("/" + b + "/k"), status: 200, body: "<CopyObjectResult"},
		{name: "metadata came along", call: call{Path: "/" + b + "/to"}, status: 200, header: map[string]string{"X-Amz-Meta-A": "1"}, body: "hello"},
		{name: "replaced", call: cp(b+"/k", "x-amz-metadata-directive", "REPLACE", "x-amz-meta-b", "2", "Content-Type", "a/b"), status: 200},
		{name: "metadata was replaced", call: call{Path: "/" + b + "/to"}, status: 200, header: map[string]string{"X-Amz-Meta-A": "", "X-Amz-Meta-B": "2", "Content-Type": "a/b"}},
	} {
		r.check(t)
	}
}

func TestUploadErrors(t *testing.T) {
	b := newBucket(t)
	id := start(t, b, "k", nil)
	tag := part(b, "k", id, 1, "small").want(t, 200, "").Header.Get("ETag")
	tag2 := part(b, "k", id, 2, "small").want(t, 200, "").Header.Get("ETag")
	copied := part(b, "k", id, 3, "")
	copied.Headers = map[string]string{"x-amz-copy-source": b + "/src", "x-amz-copy-source-range": "bytes=0-100"}
	putObject(t, b, "src", "hello")
	wrong := part(b, "k", id, 1, "x")
	wrong.Headers = map[string]string{"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="}
	for _, r := range []row{
		{name: "part 0", call: part(b, "k", id, 0, "x"), status: 400, code: "InvalidArgument"},
		{name: "part 10001", call: part(b, "k", id, 10001, "x"), status: 400, code: "InvalidArgument"},
		{name: "huge part", call: call{Method: "PUT", Path: "/" + b + "/k?partNumber=99999999999999999999&uploadId=" + id, Body: "x"}, status: 400, code: "InvalidArgument"},
		{name: "marker of no upload", call: call{Path: "/" + b + "?uploads&key-marker=a&upload-id-marker=nonsense"}, status: 400, code: "InvalidArgument"},
		{name: "no such upload", call: part(b, "k", "nonsense", 1, "x"), status: 404, code: "NoSuchUpload"},
		{name: "upload of another key", call: part(b, "other", id, 1, "x"), status: 404, code: "NoSuchUpload"},
		{name: "digest", call: wrong, status: 400, code: "BadDigest"},
		{name: "range past the end", call: copied, status: 400, code: "InvalidArgument"},
		{name: "no parts", call: complete(b, "k", id), status: 400, code: "MalformedXML"},
		{name: "not XML", call: call{Method: "POST", Path: "/" + b + "/k?uploadId=" + id, Body: "hello"}, status: 400, code: "MalformedXML"},
		{name: "order", call: complete(b, "k", id, 2, tag2, 1, tag), status: 400, code: "InvalidPartOrder"},
		{name: "unknown part", call: complete(b, "k", id, 1, tag, 7, tag), status: 400, code: "InvalidPart"},
		{name: "another tag", call: complete(b, "k", id, 1, `"`+md5Of("x")+`"`), status: 400, code: "InvalidPart"},
		{name: "too small", call: complete(b, "k", id, 1, tag, 2, tag2), status: 400, code: "EntityTooSmall"},
		{name: "complete nothing", call: complete(b, "k", "nonsense", 1, tag), status: 404, code: "NoSuchUpload"},
		{name: "abort nothing", call: call{Method: "DELETE", Path: "/" + b + "/k?uploadId=nonsense"}, status: 404, code: "NoSuchUpload"},
		{name: "parts of nothing", call: call{Path: "/" + b + "/k?uploadId=nonsense"}, status: 404, code: "NoSuchUpload"},
		{name: "max parts", call: call{Path: "/" + b + "/k?max-parts=-1&uploadId=" + id}, status: 400, code: "InvalidArgument"},
		{name: "a page of parts", call: call{Path: "/" + b + "/k?max-parts=1&uploadId=" + id}, status: 200, body: "<IsTruncated>true</IsTruncated>"},
		{name: "nothing is there yet", call: call{Path: "/" + b + "/k"}, status: 404, code: "NoSuchKey"},
		{name: "one small part", call: complete(b, "k", id, 1, tag), status: 200, body: "-1"},
		{name: "it is there", call: call{Path: "/" + b + "/k"}, status: 200, body: "small"},
	} {
		r.check(t)
	}
}

func TestListingEdges(t *testing.T) {
	b := newBucket(t)
	for _, k := range []string{"a/1", "a/2", "b", "c d", "é"} {
		putObject(t, b, k, "x")
	}
	at := func(q string) call { return call{Path: "/" + b + "?" + q} }
	for _, r := range []row{
		{name: "no keys", call: at("max-keys=0"), status: 200, body: "<IsTruncated>false</IsTruncated>"},
		{name: "no keys, version 2", call: at("list-type=2&max-keys=0"), status: 200, body: "<KeyCount>0</KeyCount>"},
		{name: "more than are allowed", call: at("max-keys=5000"), status: 200, body: "<MaxKeys>1000</MaxKeys>"},
		{name: "encoded", call: at("encoding-type=url&prefix=c%20d"), status: 200, body: "<Key>c%20d</Key>"},
		{name: "not encoded", call: at("prefix=%C3%A9"), status: 200, body: "<Key>é</Key>"},
		{name: "delimiter", call: at("delimiter=%2F"), status: 200, body: "<CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes>"},
		{name: "owner in version 1", call: at(""), status: 200, body: "<Owner>"},
		{name: "owner when asked for", call: at("list-type=2&fetch-owner=true"), status: 200, body: "<Owner>"},
		{name: "after", call: at("list-type=2&start-after=b"), status: 200, body: "<StartAfter>b</StartAfter>"},
		{name: "marker past the end", call: at("marker=zzz"), status: 200, body: "<IsTruncated>false</IsTruncated>"},
		{name: "prefix that is not there", call: at("list-type=2&prefix=x"), status: 200, body: "<KeyCount>0</KeyCount>"},
		{name: "empty token", call: at("list-type=2&continuation-token="), status: 200, body: "<KeyCount>5</KeyCount>"},
		{name: "versions of a plain bucket", call: at("versions"), status: 200, body: "<VersionId>null</VersionId>"},
		{name: "version marker alone", call: at("versions&version-id-marker=null"), status: 400, code: "InvalidArgument"},
	} {
		r.check(t)
	}
	if a := at("list-type=2").do(t); strings.Contains(a.Body, "<Owner>") || !strings.Contains(a.Body, "<KeyCount>5</KeyCount>") {
		t.Errorf("version 2: %.400s", a.Body)
	}
	if a := at("delimiter=").do(t); strings.Contains(a.Body, "<Delimiter>") {
		t.Errorf("an empty delimiter is echoed: %.300s", a.Body)
	}
	if l := list(t, b, "max-keys=1&delimiter=%2F"); l.NextMarker != "a/" || !l.IsTruncated {
		t.Errorf("%+v", l)
	}
	if l := list(t, b, "max-keys=1&delimiter=%2F&marker=a%2F"); len(l.Contents) != 1 || l.Contents[0].Key != "b" {
		t.Errorf("behind a prefix: %+v", l)
	}
}

func TestDeleteManyErrors(t *testing.T) {
	b := newBucket(t)
	del := func(body string, headers map[string]string) call {
		return call{Method: "POST", Path: "/" + b + "?delete", Body: body, Headers: headers}
	}
	long := "<Delete>" + strings.Repeat("<Object><Key>k</Key></Object>", 1001) + "</Delete>"
	one := "<Delete><Object><Key>k</Key></Object></Delete>"
	for _, r := range []row{
		{name: "too many", call: del(long, md5Header(long)), status: 400, code: "MalformedXML"},
		{name: "none", call: del("<Delete></Delete>", md5Header("<Delete></Delete>")), status: 400, code: "MalformedXML"},
		{name: "wrong digest", call: del(one, md5Header("x")), status: 400, code: "BadDigest"},
		{name: "checksum in its place", call: del(one, map[string]string{"x-amz-checksum-crc32": crc32Of(one)}), status: 200, body: "<Key>k</Key>"},
		{name: "a version that is none", call: del("<Delete><Object><Key>k</Key><VersionId>x</VersionId></Object></Delete>", md5Header("<Delete><Object><Key>k</Key><VersionId>x</VersionId></Object></Delete>")), status: 200, body: "<Error>"},
	} {
		r.check(t)
	}
}

// TestChecksumAlgorithms: a right checksum of each algorithm is taken and told again, a wrong
// one is refused.
func TestChecksumAlgorithms(t *testing.T) {
	b := newBucket(t)
	for algorithm, sum := range map[string]string{ // of "hello"
		"crc32": "NhCmhg==", "sha1": "qvTGHdzF6KLavt4PO0gs2a6pQ00=", "sha256": "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=", "md5": "XUFAKrxLKna5cZ2REBfFkg==",
		"sha512": "m3HSJL1i83hdltRq0+o9czGb+8KJDKra4t/3JRlnPKcjI8PZm6XBHXx6zG4UuMXaDEZjR1wuXDre9G9zvN7AQw==",
		"crc32c": "", "crc64nvme": "", "xxhash64": "", "xxhash3": "", "xxhash128": "", // these as the front end takes them too
	} {
		header := "x-amz-checksum-" + algorithm
		h, err := newHash(strings.ToUpper(algorithm))
		if err != nil {
			t.Fatal(err)
		}
		h.Write([]byte("hello"))
		if got := encode(h); sum != "" && got != sum {
			t.Errorf("%s is %s, want %s", algorithm, got, sum)
		} else {
			sum = got
		}
		put := call{Method: "PUT", Path: "/" + b + "/" + algorithm, Body: "hello", Headers: map[string]string{header: sum}}
		if a := put.want(t, 200, ""); a.Header.Get(header) != sum {
			t.Errorf("%s: put %q, want %q", algorithm, a.Header.Get(header), sum)
		}
		if a := (call{Path: put.Path, Headers: map[string]string{"x-amz-checksum-mode": "ENABLED"}}).want(t, 200, ""); a.Header.Get(header) != sum {
			t.Errorf("%s: get %q, want %q", algorithm, a.Header.Get(header), sum)
		}
		put.Body = "jello"
		put.want(t, 400, "BadDigest")
		put.Headers[header] = "nonsense"
		put.want(t, 400, "InvalidRequest")
	}
}

func TestNamesAndLengths(t *testing.T) {
	b := newBucket(t)
	for _, name := range []string{"a", "aa", "_x", "foo_bar", "foo-", "foo..bar", "foo.-bar", "foo-.bar", "Foo", "192.168.5.123", "alpha!soup", strings.Repeat("x", 64), strings.Repeat("x", 3000)} {
		row{name: name, call: call{Method: "PUT", Path: "/" + name}, status: 400, code: "InvalidBucketName"}.check(t)
	}
	big := strings.Repeat("x", minPart)
	id := start(t, b, "parts", nil)
	tag := part(b, "parts", id, 1, big).want(t, 200, "").Header.Get("ETag")
	tag2 := part(b, "parts", id, 2, "x").want(t, 200, "").Header.Get("ETag")
	complete(b, "parts", id, 1, tag, 2, tag2).want(t, 200, "")
	row{name: "parts", call: call{Path: "/" + b + "/parts?attributes", Headers: map[string]string{"x-amz-object-attributes": "ObjectParts"}}, status: 200, body: "<PartsCount>2</PartsCount>"}.check(t)
}

// TestBypass: the owner of a bucket may bypass governance when it says so.
func TestBypass(t *testing.T) {
	u, err := users.Add(context.Background(), "hanne", "", RoleMaker)
	if err != nil {
		t.Fatal(err)
	}
	hanne := Credentials{"hanne", u.Secret}
	call{Method: "PUT", Path: "/of-hanne", Key: hanne, Headers: map[string]string{"x-amz-bucket-object-lock-enabled": "true"}}.want(t, 200, "")
	put := call{Method: "PUT", Path: "/of-hanne/k", Body: "x", Key: hanne, Headers: map[string]string{"x-amz-object-lock-mode": "GOVERNANCE",
		"x-amz-object-lock-retain-until-date": time.Now().Add(time.Hour).UTC().Format(time.RFC3339), "Content-MD5": md5Header("x")["Content-MD5"]}}
	v := put.want(t, 200, "").Header.Get("X-Amz-Version-Id")
	gone := call{Method: "DELETE", Path: "/of-hanne/k?versionId=" + v, Key: hanne}
	gone.want(t, 403, "AccessDenied")
	gone.Headers = map[string]string{"x-amz-bypass-governance-retention": "true"}
	gone.want(t, 204, "")
	put.Headers["x-amz-object-lock-mode"] = "COMPLIANCE"
	gone.Path = "/of-hanne/k?versionId=" + put.want(t, 200, "").Header.Get("X-Amz-Version-Id")
	gone.want(t, 403, "AccessDenied")
}
