package gateway

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// put makes objects of these keys, with the key as the body.
func putKeys(t *testing.T, bucket string, keys ...string) {
	t.Helper()
	for _, k := range keys {
		putObject(t, bucket, k, k)
	}
}

// TestDelimiters lists by delimiters and prefixes of all kinds, in both versions.
func TestDelimiters(t *testing.T) {
	for _, c := range []struct {
		stored         string // keys, by |
		query          string
		keys, prefixes string
	}{
		{"foo/bar|foo/bar/xyzzy|quux/thud|asdf", "delimiter=/", "asdf", "foo/|quux/"},
		{"asdf/", "delimiter=/&prefix=asdf/", "asdf/", ""},
		{"bar|baz|cab|foo", "delimiter=a", "foo", "ba|ca"},
		{"b%ar|b%az|c%ab|foo", "delimiter=%25", "foo", "b%|c%"},
		{"b ar|b az|c ab|foo", "delimiter=%20", "foo", "b |c "},
		{"b.ar|b.az|c.ab|foo", "delimiter=.", "foo", "b.|c."},
		{"bar|baz|cab|foo", "delimiter=%0A", "bar|baz|cab|foo", ""},
		{"bar|baz|cab|foo", "delimiter=", "bar|baz|cab|foo", ""},
		{"bar|baz|cab|foo", "delimiter=/", "bar|baz|cab|foo", ""},
		{"a--b--c|a--d|e", "delimiter=--", "e", "a--"},
		{"a--b--c|a--d|e", "delimiter=--&prefix=a--", "a--d", "a--b--"},
		{"日本/x|日本/y|ø", "delimiter=/", "ø", "日本/"},
		{"日本|日記|ø", "delimiter=%E6%9C%AC", "ø|日記", "日本"},
		{"foo/bar|foo/baz|quux", "prefix=foo/", "foo/bar|foo/baz", ""},
		{"bar|baz|foo", "prefix=ba", "bar|baz", ""},
		{"foo/bar|foo/baz|quux", "prefix=d", "", ""},
		{"foo/bar|foo/baz|quux", "prefix=%0A", "", ""},
		{"foo/bar|foo/baz/xyzzy|quux/thud|asdf", "prefix=foo/&delimiter=/", "foo/bar", "foo/baz/"},
		{"bar|bazar|cab|foo", "prefix=ba&delimiter=a", "bar", "baza"},
		{"b/a/r|b/a/c|b/a/g|g", "prefix=/&delimiter=d", "", ""},
		{"b/a/c|b/a/g|b/a/r|g", "prefix=b&delimiter=z", "b/a/c|b/a/g|b/a/r", ""},
		{"b/a/c|b/a/g|b/a/r|g", "prefix=y&delimiter=z", "", ""},
		{"_obj1_|_under1/bar|_under1/baz/xyzzy|_under2/thud|_under2/bla", "delimiter=/", "_obj1_", "_under1/|_under2/"},
		{"0/|0/1|0/2|1999|1999#|1999+|2000", "delimiter=/", "1999|1999#|1999+|2000", "0/"},
		{"a|a/|a//|a//b", "delimiter=/&prefix=a/", "a/", "a//"},
		{"a|a/b|a0|a!", "delimiter=/", "a|a!|a0", "a/"},
	} {
		b := newBucket(t)
		putKeys(t, b, strings.Split(c.stored, "|")...)
		for _, v := range []string{"", "list-type=2&", "versions&"} {
			l := list(t, b, v+c.query)
			keys := l.keys()
			for _, e := range l.Versions {
				keys = append(keys, e.Key)
			}
			if got := strings.Join(keys, "|"); got != c.keys || strings.Join(l.prefixes(), "|") != c.prefixes || l.IsTruncated {
				t.Errorf("%s of %s: %q and %q, want %q and %q", v+c.query, c.stored, got, l.prefixes(), c.keys, c.prefixes)
			}
			q, _ := url.ParseQuery(c.query)
			if l.Prefix != q.Get("prefix") || l.Delimiter != q.Get("delimiter") {
				t.Errorf("%s: told of prefix %q, delimiter %q", v+c.query, l.Prefix, l.Delimiter)
			}
		}
	}
}

// TestMarkers goes through a listing by markers of all kinds.
func TestMarkers(t *testing.T) {
	b := newBucket(t)
	putKeys(t, b, "bar", "baz", "foo", "quxx")
	for _, c := range []struct {
		query, keys, marker string
		truncated           bool
	}{
		{"marker=", "bar|baz|foo|quxx", "", false},
		{"marker=%0A", "bar|baz|foo|quxx", "\n", false},
		{"marker=bar", "baz|foo|quxx", "bar", false},
		{"marker=blah", "foo|quxx", "blah", false},
		{"marker=quxx", "", "quxx", false},
		{"marker=zzz", "", "zzz", false},
		{"max-keys=1", "bar", "", true},
		{"max-keys=1&marker=foo", "quxx", "foo", false},
		{"max-keys=4", "bar|baz|foo|quxx", "", false},
		{"max-keys=3", "bar|baz|foo", "", true},
		{"max-keys=0", "", "", false},
		{"max-keys=0&marker=bar", "", "bar", false},
	} {
		for _, v := range []string{"", "list-type=2&", "versions&"} {
			query := v + c.query
			switch v {
			case "list-type=2&":
				query = strings.ReplaceAll(query, "marker=", "start-after=")
			case "versions&":
				query = strings.ReplaceAll(query, "marker=", "key-marker=")
			}
			l := list(t, b, query)
			keys := l.keys()
			for _, e := range l.Versions {
				keys = append(keys, e.Key)
			}
			if got := strings.Join(keys, "|"); got != c.keys || l.IsTruncated != c.truncated || l.Marker+l.StartAfter+l.KeyMarker != c.marker {
				t.Errorf("%s: %q after %q, truncated %v, want %q after %q, %v", query, got, l.Marker+l.StartAfter+l.KeyMarker, l.IsTruncated, c.keys, c.marker, c.truncated)
			}
		}
	}
	one := list(t, b, "list-type=2&max-keys=1&start-after=bar")
	two := list(t, b, "list-type=2&start-after=bar&continuation-token="+url.QueryEscape(one.NextContinuationToken))
	if !slices.Equal(two.keys(), []string{"foo", "quxx"}) || two.StartAfter != "bar" || two.ContinuationToken != one.NextContinuationToken || two.NextContinuationToken != "" {
		t.Errorf("token and start-after: %+v", two)
	}
}

func TestListRows(t *testing.T) {
	b := newBucket(t)
	putKeys(t, b, "foo+1/bar", "foo/bar/xyzzy", "quux ab/thud", "asdf+b", "ø", "<&>")
	putObject(t, b, "tab\there", "x")
	putObject(t, b, "class", "x", "x-amz-storage-class", "ONEZONE_IA")
	get := func(q string) call { return at("GET", "/"+b+"?"+q, "") }
	checkAll(t, []row{
		{name: "encoded prefixes", call: get("delimiter=/&encoding-type=url"), status: 200, body: "<CommonPrefixes><Prefix>foo%2B1/</Prefix></CommonPrefixes><CommonPrefixes><Prefix>foo/</Prefix></CommonPrefixes><CommonPrefixes><Prefix>quux%20ab/</Prefix></CommonPrefixes>"},
		{name: "encoded key", call: get("delimiter=/&encoding-type=url"), status: 200, body: "<Key>asdf%2Bb</Key>"},
		{name: "encoded key of another alphabet", call: get("encoding-type=url"), status: 200, body: "<Key>%C3%B8</Key>"},
		{name: "encoded tab", call: get("encoding-type=url"), status: 200, body: "<Key>tab%09here</Key>"},
		{name: "encoded marker", call: get("encoding-type=url&marker=a%2Bb"), status: 200, body: "<Marker>a%2Bb</Marker>"},
		{name: "encoded prefix", call: get("encoding-type=url&prefix=a%2Bb"), status: 200, body: "<Prefix>a%2Bb</Prefix>"},
		{name: "encoded delimiter", call: get("encoding-type=url&delimiter=%2B"), status: 200, body: "<Delimiter>%2B</Delimiter>"},
		{name: "encoded start-after", call: get("list-type=2&encoding-type=url&start-after=a%2Bb"), status: 200, body: "<StartAfter>a%2Bb</StartAfter>"},
		{name: "encoded next marker", call: get("encoding-type=url&delimiter=/&max-keys=2&prefix=foo&marker="), status: 200, not: "foo+1"},
		{name: "encoded key marker", call: get("versions&encoding-type=url&key-marker=a%2Bb"), status: 200, body: "<KeyMarker>a%2Bb</KeyMarker>"},
		{name: "encoded next key marker", call: get("versions&encoding-type=url&max-keys=1&prefix=asdf%2B"), status: 200, body: "<Key>asdf%2Bb</Key>"},
		{name: "encoded keys of versions", call: get("versions&encoding-type=url&prefix=%C3%B8"), status: 200, body: "<Key>%C3%B8</Key>"},
		{name: "the encoding is told", call: get("encoding-type=url"), status: 200, body: "<EncodingType>url</EncodingType>"},
		{name: "no encoding is told", call: get(""), status: 200, not: "<EncodingType>"},
		{name: "markup in keys", call: get("prefix=%3C"), status: 200, body: "<Key>&lt;&amp;&gt;</Key>"},
		{name: "encoding of another kind", call: get("list-type=2&encoding-type=base64"), status: 400, code: "InvalidArgument"},
		{name: "encoding of another kind, of versions", call: get("versions&encoding-type=base64"), status: 400, code: "InvalidArgument"},
		{name: "encoding of another kind, of uploads", call: get("uploads&encoding-type=base64"), status: 400, code: "InvalidArgument"},
		{name: "class", call: get("prefix=class"), status: 200, body: "<StorageClass>ONEZONE_IA</StorageClass>"},
		{name: "standard class", call: get("prefix=asdf"), status: 200, body: "<StorageClass>STANDARD</StorageClass>"},
		{name: "owner when not asked for", call: get("list-type=2&fetch-owner=false"), status: 200, not: "<Owner>"},
		{name: "marker is told", call: get(""), status: 200, body: "<Marker></Marker>"},
		{name: "prefix is told", call: get("list-type=2"), status: 200, body: "<Prefix></Prefix>"},
		{name: "no token is told", call: get("list-type=2"), status: 200, not: "<ContinuationToken>"},
		{name: "an empty token is told", call: get("list-type=2&continuation-token="), status: 200, body: "<ContinuationToken></ContinuationToken>"},
		{name: "no next marker without a delimiter", call: get("max-keys=1"), status: 200, body: "<IsTruncated>true</IsTruncated>", not: "<NextMarker>"},
		{name: "max-keys in words", call: get("max-keys=many"), status: 400, code: "InvalidArgument"},
		{name: "max-keys in words, version 2", call: get("list-type=2&max-keys=many"), status: 400, code: "InvalidArgument"},
		{name: "max-keys in words, versions", call: get("versions&max-keys=many"), status: 400, code: "InvalidArgument"},
		{name: "max-keys below 0, version 2", call: get("list-type=2&max-keys=-1"), status: 400, code: "InvalidArgument"},
		{name: "max-keys below 0, versions", call: get("versions&max-keys=-1"), status: 400, code: "InvalidArgument"},
		{name: "max-keys beyond numbers", call: get("max-keys=99999999999999"), status: 400, code: "InvalidArgument"},
		{name: "max-keys that is empty", call: get("max-keys="), status: 200, body: "<MaxKeys>1000</MaxKeys>"},
		{name: "a token of nobody", call: get("list-type=2&continuation-token=%24%24"), status: 400, code: "InvalidArgument"},
		{name: "null versions", call: get("versions"), status: 200, body: "<VersionId>null</VersionId><"},
		{name: "more versions than are allowed", call: get("versions&max-keys=5000"), status: 200, body: "<MaxKeys>1000</MaxKeys>"},
		{name: "a version marker that is none", call: get("versions&key-marker=a&version-id-marker=what_is_none"), status: 400, code: "InvalidArgument"},
		{name: "versions of no bucket", call: at("GET", "/"+b+"-none?versions", ""), status: 404, code: "NoSuchBucket"},
		{name: "uploads of no bucket", call: at("GET", "/"+b+"-none?uploads", ""), status: 404, code: "NoSuchBucket"},
		{name: "list of no bucket, version 2", call: at("GET", "/"+b+"-none?list-type=2", ""), status: 404, code: "NoSuchBucket"},
		{name: "checksums of what is listed", call: get("list-type=2&prefix=asdf"), status: 200, body: "<ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType>"},
		{name: "a bucket of a strange name", call: at("GET", "/a_B", ""), status: 400, code: "InvalidBucketName"},
		{name: "no encoding of versions is told", call: get("versions"), status: 200, not: "<EncodingType>"},
		{name: "no encoding of uploads is told", call: get("uploads"), status: 200, not: "<EncodingType>"},
		{name: "buckets by prefix", call: at("GET", "/?prefix="+b, ""), status: 200, body: "<Name>" + b + "</Name>"},
		{name: "one bucket of many", call: at("GET", "/?max-buckets=1", ""), status: 200, body: "<ContinuationToken>"},
		{name: "too many buckets", call: at("GET", "/?max-buckets=10001", ""), status: 400, code: "InvalidArgument"},
	})
}

// TestVersionPages: prefixes among versions, page by page, with markers and delete markers.
func TestVersionPages(t *testing.T) {
	b := newBucket(t)
	versioning(t, b, "Enabled")
	for range 2 {
		putKeys(t, b, "a", "b/1", "b/2", "c/1", "d")
	}
	call{Method: "DELETE", Path: "/" + b + "/d"}.want(t, 204, "")
	want := []string{"a", "a", "b/", "c/", "d", "d", "d"}
	for _, limit := range []int{1, 2, 3, 7} {
		var got []string
		query := ""
		for range 10 {
			l := list(t, b, fmt.Sprintf("versions&delimiter=/&max-keys=%d%s", limit, query))
			for _, e := range append(l.Versions, l.DeleteMarkers...) {
				got = append(got, e.Key)
			}
			got = append(got, l.prefixes()...)
			if !l.IsTruncated {
				if l.NextKeyMarker+l.NextVersionIdMarker != "" {
					t.Errorf("the last page tells of a next one: %+v", l)
				}
				break
			}
			query = "&key-marker=" + url.QueryEscape(l.NextKeyMarker)
			if l.NextVersionIdMarker != "" {
				query += "&version-id-marker=" + l.NextVersionIdMarker
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%d a page: %q, want %q", limit, got, want)
		}
	}
}

func TestDeleteManyRows(t *testing.T) {
	b, versioned := newBucket(t), newBucket(t)
	putKeys(t, b, "a", "b", "c", "<d>")
	versioning(t, versioned, "Enabled")
	v := putObject(t, versioned, "k", "x").Header.Get("X-Amz-Version-Id")
	del := func(bucket, doc string) call {
		return call{Method: "POST", Path: "/" + bucket + "?delete", Body: doc, Headers: md5Header(doc)}
	}
	thousand := "<Delete><Quiet>true</Quiet>" + strings.Repeat("<Object><Key>k</Key></Object>", 1000) + "</Delete>"
	checkAll(t, []row{
		{name: "no digest", call: at("POST", "/"+b+"?delete", "<Delete><Object><Key>a</Key></Object></Delete>"), status: 400, code: "InvalidRequest"},
		{name: "digest that is none", call: at("POST", "/"+b+"?delete", "<Delete><Object><Key>a</Key></Object></Delete>", "Content-MD5", "x"), status: 400, code: "InvalidDigest"},
		{name: "a checksum that is wrong", call: at("POST", "/"+b+"?delete", "<Delete><Object><Key>a</Key></Object></Delete>", "x-amz-checksum-crc32", "AAAAAA=="), status: 400, code: "BadDigest"},
		{name: "nothing of it was done", call: at("HEAD", "/"+b+"/a", ""), status: 200},
		{name: "of no bucket", call: del(b+"-none", "<Delete><Object><Key>a</Key></Object></Delete>"), status: 404, code: "NoSuchBucket"},
		{name: "another document", call: del(b, "<Remove><Object><Key>a</Key></Object></Remove>"), status: 400, code: "MalformedXML"},
		{name: "no document", call: del(b, ""), status: 400, code: "MissingRequestBodyError"},
		{name: "with a namespace", call: del(b, `<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Object><Key>a</Key></Object></Delete>`), status: 200, body: "<Deleted><Key>a</Key></Deleted>", not: "VersionId"},
		{name: "what is not there", call: del(b, "<Delete><Object><Key>none</Key></Object></Delete>"), status: 200, body: "<Deleted><Key>none</Key></Deleted>"},
		{name: "markup in a key", call: del(b, "<Delete><Object><Key>&lt;d&gt;</Key></Object></Delete>"), status: 200, body: "<Key>&lt;d&gt;</Key>"},
		{name: "quietly", call: del(b, "<Delete><Object><Key>b</Key></Object><Quiet>true</Quiet></Delete>"), status: 200, not: "<Deleted>"},
		{name: "quietly, what cannot be", call: del(b, "<Delete><Quiet>true</Quiet><Object><Key>c</Key><VersionId>x_y</VersionId></Object></Delete>"), status: 200, body: "<VersionId>x_y</VersionId></Error>"},
		{name: "a thousand", call: del(b, thousand), status: 200, not: "<Error>"},
		{name: "a marker is made", call: del(versioned, "<Delete><Object><Key>k</Key></Object></Delete>"), status: 200, body: "<DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>"},
		{name: "a marker is made of nothing", call: del(versioned, "<Delete><Object><Key>never</Key></Object></Delete>"), status: 200, body: "<DeleteMarkerVersionId>"},
		{name: "a version", call: del(versioned, "<Delete><Object><Key>k</Key><VersionId>"+v+"</VersionId></Object></Delete>"), status: 200, body: "<VersionId>" + v + "</VersionId>", not: "<DeleteMarker>"},
		{name: "the version again", call: del(versioned, "<Delete><Object><Key>k</Key><VersionId>"+v+"</VersionId></Object></Delete>"), status: 200, body: "<VersionId>" + v + "</VersionId>", not: "<Error>"},
	})
	l := list(t, versioned, "versions")
	if len(l.Versions) != 0 || len(l.DeleteMarkers) != 2 {
		t.Fatalf("%+v", l)
	}
	m := l.DeleteMarkers[0].VersionId
	row{name: "a delete marker", call: del(versioned, "<Delete><Object><Key>k</Key><VersionId>"+m+"</VersionId></Object></Delete>"), status: 200, body: "<DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>" + m + "</DeleteMarkerVersionId>"}.check(t)
}

// TestKeysOfAllBytes: each byte but NUL may be in a key, and comes back in lists as it was.
func TestKeysOfAllBytes(t *testing.T) {
	b := newBucket(t)
	var keys []string
	for c := 1; c < 128; c++ {
		key := fmt.Sprintf("k%cz", c)
		keys = append(keys, key)
		call{Method: "PUT", Path: "/" + b + "/" + escape(key), Body: key}.want(t, 200, "")
		if a := (call{Path: "/" + b + "/" + escape(key)}).want(t, 200, ""); a.Body != key {
			t.Errorf("%q came back as %q", key, a.Body)
		}
	}
	for _, q := range []string{"", "list-type=2&", "versions&"} {
		l := list(t, b, q+"encoding-type=url")
		var got []string
		for _, e := range append(l.Contents, l.Versions...) {
			key, err := url.PathUnescape(e.Key)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, key)
		}
		if !slices.Equal(got, keys) {
			t.Errorf("%s: %q", q, got)
		}
	}
}
