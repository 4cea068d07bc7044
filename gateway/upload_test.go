package gateway

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"
)

// start begins an upload and returns its id.
func start(t testing.TB, bucket, key string, headers map[string]string) string {
	t.Helper()
	a := call{Method: "POST", Path: "/" + bucket + "/" + escape(key) + "?uploads", Headers: headers}.want(t, 200, "")
	var out struct{ Bucket, Key, UploadId string }
	if err := xml.Unmarshal([]byte(a.Body), &out); err != nil || out.UploadId == "" || out.Bucket != bucket || out.Key != key {
		t.Fatalf("%v: %+v", err, out)
	}
	return out.UploadId
}

func part(bucket, key, upload string, n int, body string) call {
	return call{Method: "PUT", Path: fmt.Sprintf("/%s/%s?partNumber=%d&uploadId=%s", bucket, escape(key), n, upload), Body: body}
}

// complete is the call that completes an upload of parts with these ETags, by number.
func complete(bucket, key, upload string, parts ...any) call {
	var doc strings.Builder
	doc.WriteString("<CompleteMultipartUpload>")
	for i := 0; i+1 < len(parts); i += 2 {
		fmt.Fprintf(&doc, "<Part><PartNumber>%v</PartNumber><ETag>%v</ETag></Part>", parts[i], parts[i+1])
	}
	doc.WriteString("</CompleteMultipartUpload>")
	return call{Method: "POST", Path: "/" + bucket + "/" + escape(key) + "?uploadId=" + upload, Body: doc.String()}
}

const mib = 1 << 20

func TestMultipart(t *testing.T) {
	b := newBucket(t)
	one, two, three := randomText(5*mib, 1), randomText(5*mib+7, 2), randomText(100, 3)
	id := start(t, b, "k", map[string]string{"Content-Type": "a/b", "x-amz-meta-k": "v", "x-amz-tagging": "t=1", "Cache-Control": "no-cache"})
	e1 := part(b, "k", id, 1, one).want(t, 200, "").Header.Get("ETag")
	part(b, "k", id, 5, randomText(5*mib, 9)).want(t, 200, "")
	e5 := part(b, "k", id, 5, two).want(t, 200, "").Header.Get("ETag") // in place of the one before
	e9 := part(b, "k", id, 9, three).want(t, 200, "").Header.Get("ETag")
	e10 := part(b, "k", id, 10, "unused").want(t, 200, "").Header.Get("ETag")
	if e1 != `"`+md5Of(one)+`"` {
		t.Errorf("ETag of a part: %s", e1)
	}
	call{Path: "/" + b + "/k"}.want(t, 404, "NoSuchKey")

	for name, c := range map[string]struct {
		call call
		code string
	}{
		"wrong ETag":   {complete(b, "k", id, 1, `"00000000000000000000000000000000"`), "InvalidPart"},
		"missing part": {complete(b, "k", id, 1, e1, 2, e5), "InvalidPart"},
		"order":        {complete(b, "k", id, 5, e5, 1, e1), "InvalidPartOrder"},
		"twice":        {complete(b, "k", id, 1, e1, 1, e1), "InvalidPartOrder"},
		"too small":    {complete(b, "k", id, 1, e1, 9, e9, 10, e10), "EntityTooSmall"},
		"no parts":     {complete(b, "k", id), "MalformedXML"},
		"no XML":       {call{Method: "POST", Path: "/" + b + "/k?uploadId=" + id, Body: "x"}, "MalformedXML"},
		"part zero":    {complete(b, "k", id, 0, e1), "InvalidArgument"},
	} {
		if a := c.call.do(t); a.Status != 400 || a.Code != c.code {
			t.Errorf("%s: %d %s, want 400 %s", name, a.Status, a.Code, c.code)
		}
	}
	complete(b, "k", "0000000000000001", 1, e1).want(t, 404, "NoSuchUpload")
	complete(b, "k", "nonsense", 1, e1).want(t, 404, "NoSuchUpload")
	complete(b, "other", id, 1, e1).want(t, 404, "NoSuchUpload")
	part(b, "k", "0000000000000001", 1, "x").want(t, 404, "NoSuchUpload")
	part(b, "k", id, 0, "x").want(t, 400, "InvalidArgument")
	part(b, "k", id, 10001, "x").want(t, 400, "InvalidArgument")
	part(b, "k", id, 1<<31-1, "x").want(t, 400, "InvalidArgument")

	done := complete(b, "k", id, 1, e1, 5, e5, 9, e9)
	first := done.want(t, 200, "")
	var out struct{ ETag, Bucket, Key, Location string }
	if err := xml.Unmarshal([]byte(first.Body), &out); err != nil || out.Bucket != b || out.Key != "k" || !strings.HasSuffix(out.Location, "/"+b+"/k") {
		t.Errorf("%v: %s", err, first.Body)
	}
	var sums []byte
	for _, p := range []string{one, two, three} {
		h := md5.Sum([]byte(p))
		sums = append(sums, h[:]...)
	}
	whole := md5.Sum(sums)
	if want := `"` + hex.EncodeToString(whole[:]) + `-3"`; out.ETag != want {
		t.Errorf("ETag %s, want %s", out.ETag, want)
	}
	if again := done.want(t, 200, ""); !strings.Contains(again.Body, "-3&#34;") { // its answer may have been lost
		t.Errorf("completed again: %s", again.Body)
	}
	got := call{Path: "/" + b + "/k"}.want(t, 200, "")
	if got.Body != one+two+three || got.Header.Get("Content-Type") != "a/b" || got.Header.Get("X-Amz-Meta-K") != "v" || got.Header.Get("Cache-Control") != "no-cache" || got.Header.Get("X-Amz-Tagging-Count") != "1" {
		t.Errorf("%d bytes, %v", len(got.Body), got.Header)
	}
	p2 := call{Path: "/" + b + "/k?partNumber=2"}.want(t, 206, "")
	if p2.Body != two || p2.Header.Get("X-Amz-Mp-Parts-Count") != "3" || p2.Header.Get("Content-Range") != fmt.Sprintf("bytes %d-%d/%d", len(one), len(one)+len(two)-1, len(got.Body)) {
		t.Errorf("part 2: %d bytes, %v", len(p2.Body), p2.Header)
	}
	call{Path: "/" + b + "/k?partNumber=4"}.want(t, 416, "InvalidPartNumber")
	call{Path: "/" + b + "/k?partNumber=1", Headers: map[string]string{"Range": "bytes=0-1"}}.want(t, 400, "InvalidRequest")
	if r := (call{Path: "/" + b + "/k", Headers: map[string]string{"Range": fmt.Sprintf("bytes=%d-%d", len(one)-3, len(one)+3)}}).want(t, 206, ""); r.Body != (one + two)[len(one)-3:len(one)+4] {
		t.Error("a range across parts is wrong")
	}
	part(b, "k", id, 1, "x").want(t, 404, "NoSuchUpload")
}

func TestAbort(t *testing.T) {
	b := newBucket(t)
	id := start(t, b, "k", nil)
	part(b, "k", id, 1, "x").want(t, 200, "")
	abort := call{Method: "DELETE", Path: "/" + b + "/k?uploadId=" + id}
	abort.want(t, 204, "")
	abort.want(t, 404, "NoSuchUpload")
	call{Path: "/" + b + "/k?uploadId=" + id}.want(t, 404, "NoSuchUpload")
	call{Method: "POST", Path: "/no-such-bucket/k?uploads"}.want(t, 404, "NoSuchBucket")
}

func TestListParts(t *testing.T) {
	b := newBucket(t)
	id := start(t, b, "k", nil)
	for n := range 5 {
		part(b, "k", id, n+1, strings.Repeat("x", n+1)).want(t, 200, "")
	}
	type page struct {
		PartNumberMarker, NextPartNumberMarker, MaxParts int
		IsTruncated                                      bool
		Part                                             []struct {
			PartNumber int
			Size       int64
			ETag       string
		}
		Initiator, Owner struct{ ID string }
	}
	get := func(query string) (p page, numbers []int) {
		a := call{Path: "/" + b + "/k?uploadId=" + id + query}.want(t, 200, "")
		if err := xml.Unmarshal([]byte(a.Body), &p); err != nil {
			t.Fatal(err)
		}
		for _, x := range p.Part {
			numbers = append(numbers, x.PartNumber)
		}
		return p, numbers
	}
	if p, n := get(""); !slices.Equal(n, []int{1, 2, 3, 4, 5}) || p.IsTruncated || p.MaxParts != 1000 || p.Part[2].Size != 3 || p.Part[2].ETag != `"`+md5Of("xxx")+`"` || p.Owner.ID != "root" {
		t.Errorf("%+v", p)
	}
	if p, n := get("&max-parts=2"); !slices.Equal(n, []int{1, 2}) || !p.IsTruncated || p.NextPartNumberMarker != 2 {
		t.Errorf("%+v", p)
	}
	if p, n := get("&max-parts=2&part-number-marker=4"); !slices.Equal(n, []int{5}) || p.IsTruncated || p.PartNumberMarker != 4 {
		t.Errorf("%+v", p)
	}
	call{Path: "/" + b + "/k?uploadId=" + id + "&max-parts=x"}.want(t, 400, "InvalidArgument")
	call{Path: "/" + b + "/k?uploadId=" + id + "&part-number-marker=x"}.want(t, 400, "InvalidArgument")
}

func TestListUploads(t *testing.T) {
	b := newBucket(t)
	ids := map[string]string{}
	for _, k := range []string{"a/1", "a/2", "b", "c/1", "c/2", "d"} {
		ids[k] = start(t, b, k, nil)
	}
	type page struct {
		KeyMarker, NextKeyMarker, NextUploadIdMarker, Prefix, Delimiter string
		MaxUploads                                                      int
		IsTruncated                                                     bool
		Upload                                                          []struct{ Key, UploadId string }
		CommonPrefixes                                                  []struct{ Prefix string }
	}
	get := func(query string) (p page, lines []string) {
		a := call{Path: "/" + b + "?uploads" + query}.want(t, 200, "")
		if err := xml.Unmarshal([]byte(a.Body), &p); err != nil {
			t.Fatal(err)
		}
		for _, u := range p.Upload {
			if ids[u.Key] != u.UploadId && u.Key != "d" {
				t.Errorf("upload %s of %s, want %s", u.UploadId, u.Key, ids[u.Key])
			}
			lines = append(lines, u.Key)
		}
		for _, c := range p.CommonPrefixes {
			lines = append(lines, c.Prefix)
		}
		return p, lines
	}
	for query, want := range map[string]string{
		"": "a/1 a/2 b c/1 c/2 d", "&prefix=a/": "a/1 a/2", "&delimiter=/": "b d a/ c/", "&key-marker=b": "c/1 c/2 d", "&max-uploads=2": "a/1 a/2",
		"&delimiter=/&max-uploads=1": "a/", "&delimiter=/&max-uploads=2&key-marker=a/": "b c/", "&delimiter=/&prefix=c": "c/", "&key-marker=zzz": "",
	} {
		if _, got := get(query); strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	second := start(t, b, "d", nil)
	var all []string
	p, lines := get("&max-uploads=3")
	for all = lines; p.IsTruncated; all = append(all, lines...) {
		p, lines = get("&max-uploads=3&key-marker=" + p.NextKeyMarker + "&upload-id-marker=" + p.NextUploadIdMarker)
	}
	if strings.Join(all, " ") != "a/1 a/2 b c/1 c/2 d d" {
		t.Errorf("page by page: %q", all)
	}
	call{Method: "DELETE", Path: "/" + b + "/d?uploadId=" + second}.want(t, 204, "")
	call{Method: "DELETE", Path: "/" + b}.want(t, 204, "") // uploads do not keep a bucket
}

func TestPartCopy(t *testing.T) {
	b := newBucket(t)
	body := randomText(6*mib, 7)
	putObject(t, b, "src", body)
	id := start(t, b, "k", nil)
	cp := func(n int, headers ...string) call {
		h := map[string]string{"x-amz-copy-source": b + "/src"}
		for i := 0; i+1 < len(headers); i += 2 {
			h[headers[i]] = headers[i+1]
		}
		return call{Method: "PUT", Path: fmt.Sprintf("/%s/k?partNumber=%d&uploadId=%s", b, n, id), Headers: h}
	}
	tag := func(a answer) string {
		var out struct{ ETag string }
		xml.Unmarshal([]byte(a.Body), &out)
		return out.ETag
	}
	e1 := tag(cp(1).want(t, 200, ""))
	e2 := tag(cp(2, "x-amz-copy-source-range", "bytes=10-29").want(t, 200, ""))
	for _, r := range []string{"bytes=10", "bytes=9-5", "0-5", "bytes=a-b", "bytes=0-99999999"} {
		if a := cp(3, "x-amz-copy-source-range", r).do(t); a.Status != 400 && a.Status != 416 {
			t.Errorf("%s: %d %s", r, a.Status, a.Code)
		}
	}
	cp(3, "x-amz-copy-source", b+"/none").want(t, 404, "NoSuchKey")
	cp(3, "x-amz-copy-source-if-match", `"x"`).want(t, 412, "PreconditionFailed")
	complete(b, "k", id, 1, e1, 2, e2).want(t, 200, "")
	if a := (call{Path: "/" + b + "/k"}).want(t, 200, ""); a.Body != body+body[10:30] {
		t.Errorf("%d bytes", len(a.Body))
	}
}

func TestPartChecksums(t *testing.T) {
	b := newBucket(t)
	one, two := randomText(5*mib, 1), randomText(1000, 2)
	crc := func(s string) string {
		h := crc32.New(castagnoli)
		h.Write([]byte(s))
		return encode(h)
	}
	enabled := map[string]string{"x-amz-checksum-mode": "ENABLED"}
	head := func(key string) (value, kind string) {
		a := call{Method: "HEAD", Path: "/" + b + "/" + key, Headers: enabled}.want(t, 200, "")
		return a.Header.Get("x-amz-checksum-crc32c"), a.Header.Get("x-amz-checksum-type")
	}
	for _, kind := range []string{"COMPOSITE", "FULL_OBJECT"} {
		id := start(t, b, kind, map[string]string{"x-amz-checksum-algorithm": "CRC32C", "x-amz-checksum-type": kind})
		upload := func(n int, body string) string {
			c := part(b, kind, id, n, body)
			c.Headers = map[string]string{"x-amz-checksum-crc32c": crc(body)}
			a := c.want(t, 200, "")
			if a.Header.Get("x-amz-checksum-crc32c") != crc(body) {
				t.Errorf("part: %v", a.Header)
			}
			return a.Header.Get("ETag")
		}
		e1, e2 := upload(1, one), upload(2, two)
		wrong := part(b, kind, id, 3, "x")
		wrong.Headers = map[string]string{"x-amz-checksum-sha256": base64.StdEncoding.EncodeToString(make([]byte, 32))}
		wrong.want(t, 400, "InvalidRequest")
		doc := func(c1 string) call {
			return call{Method: "POST", Path: "/" + b + "/" + kind + "?uploadId=" + id, Body: fmt.Sprintf("<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>%s</ETag><ChecksumCRC32C>%s</ChecksumCRC32C></Part>"+
				"<Part><PartNumber>2</PartNumber><ETag>%s</ETag><ChecksumCRC32C>%s</ChecksumCRC32C></Part></CompleteMultipartUpload>", e1, c1, e2, crc(two))}
		}
		doc(crc("other")).want(t, 400, "InvalidPart")
		doc(crc(one)+"</ChecksumCRC32C><ChecksumCRC32>AAAAAA==</ChecksumCRC32><ChecksumCRC32C>"+crc(one)).want(t, 400, "InvalidArgument")
		other := doc(crc(one))
		other.Body = strings.NewReplacer("<ChecksumCRC32C>", "<ChecksumCRC32>", "</ChecksumCRC32C>", "</ChecksumCRC32>").Replace(other.Body)
		other.want(t, 400, "BadDigest")
		if kind == "COMPOSITE" {
			complete(b, kind, id, 1, e1, 2, e2).want(t, 400, "InvalidRequest")
		}
		doc(crc(one)).want(t, 200, "")
		want := crc(one + two)
		if kind == "COMPOSITE" {
			a, _ := base64.StdEncoding.DecodeString(crc(one))
			c, _ := base64.StdEncoding.DecodeString(crc(two))
			want = crc(string(a)+string(c)) + "-2"
		}
		if value, got := head(kind); value != want || got != kind {
			t.Errorf("%s: %s of type %s, want %s", kind, value, got, want)
		}
		a := call{Path: "/" + b + "/" + kind + "?attributes", Headers: map[string]string{"x-amz-object-attributes": "ETag,Checksum,ObjectParts,ObjectSize,StorageClass"}}.want(t, 200, "")
		if !strings.Contains(a.Body, "<ChecksumCRC32C>"+want) || strings.Count(a.Body, "<PartNumber>") != 2 || !strings.Contains(a.Body, "<ObjectSize>5243880</ObjectSize>") {
			t.Error(a.Body)
		}
	}
	id := start(t, b, "plain", nil) // no checksum was asked for: CRC64NVME of the whole
	e1 := part(b, "plain", id, 1, one).want(t, 200, "").Header.Get("ETag")
	c2 := part(b, "plain", id, 2, two)
	c2.Headers = map[string]string{"x-amz-checksum-crc32c": crc(two)}
	e2 := c2.want(t, 200, "").Header.Get("ETag")
	complete(b, "plain", id, 1, e1, 2, e2).want(t, 200, "")
	h, _ := newHash(defaultAlgorithm)
	h.Write([]byte(one + two))
	if a := (call{Method: "HEAD", Path: "/" + b + "/plain", Headers: enabled}).want(t, 200, ""); a.Header.Get("x-amz-checksum-crc64nvme") != encode(h) || a.Header.Get("x-amz-checksum-type") != "FULL_OBJECT" {
		t.Errorf("%v, want %s", a.Header, encode(h))
	}
	if a := (call{Method: "POST", Path: "/" + b + "/x?uploads", Headers: map[string]string{"x-amz-checksum-algorithm": "SHA256", "x-amz-checksum-type": "FULL_OBJECT"}}).do(t); a.Status != 400 {
		t.Errorf("SHA256 of the whole from parts: %d %s", a.Status, a.Code)
	}
}
