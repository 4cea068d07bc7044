package gateway

import (
	"fmt"
	"strings"
	"testing"
)

func TestUploadRows(t *testing.T) {
	b := newBucket(t)
	id := start(t, b, "k", map[string]string{"x-amz-storage-class": "STANDARD_IA", "x-amz-checksum-algorithm": "CRC32"})
	tags := map[int]string{}
	for n := 1; n <= 3; n++ {
		c := part(b, "k", id, n, strings.Repeat("x", n))
		c.Headers = map[string]string{"x-amz-checksum-crc32": crc32Of(c.Body)}
		tags[n] = c.want(t, 200, "").Header.Get("ETag")
	}
	other := start(t, b, "a+b/c d", nil)
	gone := start(t, b, "gone", nil)
	call{Method: "DELETE", Path: "/" + b + "/gone?uploadId=" + gone}.want(t, 204, "")
	parts := func(q string) call { return at("GET", "/"+b+"/k?uploadId="+id+q, "") }
	ups := func(q string) call { return at("GET", "/"+b+"?uploads"+q, "") }
	withMD5 := part(b, "k", id, 9, "x")
	withMD5.Headers = map[string]string{"Content-MD5": "short"}
	bigger := complete(b, "k", id, 1, tags[1])
	bigger.Headers = map[string]string{"x-amz-mp-object-size": "77"}
	missing := func(doc string) call {
		return at("POST", "/"+b+"/k?uploadId="+id, "<CompleteMultipartUpload>"+doc+"</CompleteMultipartUpload>")
	}
	checkAll(t, []row{
		{name: "parts", call: parts(""), status: 200, body: "<StorageClass>STANDARD_IA</StorageClass>"},
		{name: "parts know their checksums", call: parts(""), status: 200, body: "<ChecksumCRC32>" + crc32Of("x") + "</ChecksumCRC32>"},
		{name: "the upload's checksum", call: parts(""), status: 200, body: "<ChecksumAlgorithm>CRC32</ChecksumAlgorithm>"},
		{name: "first parts", call: parts("&max-parts=2"), status: 200, body: "<NextPartNumberMarker>2</NextPartNumberMarker>"},
		{name: "more parts than are allowed", call: parts("&max-parts=5000"), status: 200, body: "<MaxParts>1000</MaxParts>"},
		{name: "no parts", call: parts("&max-parts=0"), status: 200, body: "<IsTruncated>false</IsTruncated>", not: "<Part>"},
		{name: "parts behind the last", call: parts("&part-number-marker=3"), status: 200, body: "<PartNumberMarker>3</PartNumberMarker>", not: "<Part>"},
		{name: "part marker in words", call: parts("&part-number-marker=three"), status: 400, code: "InvalidArgument"},
		{name: "part marker below 0", call: parts("&part-number-marker=-3"), status: 400, code: "InvalidArgument"},
		{name: "max-parts in words", call: parts("&max-parts=many"), status: 400, code: "InvalidArgument"},
		{name: "parts of an upload that was aborted", call: at("GET", "/"+b+"/gone?uploadId="+gone, ""), status: 404, code: "NoSuchUpload"},
		{name: "part for an upload that was aborted", call: part(b, "gone", gone, 1, "x"), status: 404, code: "NoSuchUpload"},
		{name: "abort in another bucket", call: at("DELETE", "/"+newBucket(t)+"/k?uploadId="+id, ""), status: 404, code: "NoSuchUpload"},
		{name: "digest of a part", call: withMD5, status: 400, code: "InvalidDigest"},
		{name: "part number in words", call: at("PUT", "/"+b+"/k?partNumber=one&uploadId="+id, "x"), status: 400, code: "InvalidArgument"},

		{name: "uploads", call: ups(""), status: 200, body: "<UploadId>" + id + "</UploadId>"},
		{name: "uploads tell their class", call: ups("&prefix=k"), status: 200, body: "<StorageClass>STANDARD_IA</StorageClass>"},
		{name: "uploads tell who", call: ups(""), status: 200, body: "<Initiator><ID>root</ID>"},
		{name: "encoded uploads", call: ups("&encoding-type=url"), status: 200, body: "<Key>a%2Bb/c%20d</Key>"},
		{name: "encoded prefixes of uploads", call: ups("&encoding-type=url&delimiter=/"), status: 200, body: "<Prefix>a%2Bb/</Prefix>"},
		{name: "first upload", call: ups("&max-uploads=1"), status: 200, body: "<NextKeyMarker>a+b/c d</NextKeyMarker><NextUploadIdMarker>" + other + "</NextUploadIdMarker>"},
		{name: "it is not the last", call: ups("&max-uploads=1"), status: 200, body: "<IsTruncated>true</IsTruncated>"},
		{name: "the next upload", call: ups("&max-uploads=1&key-marker=a%2Bb/c%20d&upload-id-marker=" + other), status: 200, body: "<UploadId>" + id + "</UploadId>"},
		{name: "the id alone is no marker", call: ups("&upload-id-marker=" + other), status: 200, body: "<UploadId>" + other + "</UploadId>"},
		{name: "no uploads", call: ups("&max-uploads=0"), status: 200, body: "<IsTruncated>false</IsTruncated>", not: "<Upload>"},
		{name: "more uploads than are allowed", call: ups("&max-uploads=5000"), status: 200, body: "<MaxUploads>1000</MaxUploads>"},
		{name: "max-uploads in words", call: ups("&max-uploads=many"), status: 400, code: "InvalidArgument"},
		{name: "uploads by prefix", call: ups("&prefix=zzz"), status: 200, body: "<Prefix>zzz</Prefix>", not: "<Upload>"},

		{name: "no part number", call: missing("<Part><ETag>" + tags[1] + "</ETag></Part>"), status: 400, code: "MalformedXML"},
		{name: "no ETag", call: missing("<Part><PartNumber>1</PartNumber></Part>"), status: 400, code: "MalformedXML"},
		{name: "part number in words, completing", call: missing("<Part><PartNumber>one</PartNumber><ETag>x</ETag></Part>"), status: 400, code: "MalformedXML"},
		{name: "another document", call: at("POST", "/"+b+"/k?uploadId="+id, "<Finish/>"), status: 400, code: "MalformedXML"},
		{name: "no document", call: at("POST", "/"+b+"/k?uploadId="+id, ""), status: 400, code: "MalformedXML"},
		{name: "part beyond the last", call: complete(b, "k", id, 9999, tags[1]), status: 400, code: "InvalidPart"},
		{name: "size", call: bigger, status: 400, code: "InvalidRequest"},
		{name: "checksums of the parts are wanted", call: complete(b, "k", id, 1, tags[1], 2, tags[2]), status: 400, code: "InvalidRequest"},
		{name: "class of no kind", call: at("POST", "/"+b+"/k?uploads", "", "x-amz-storage-class", "WARM"), status: 400, code: "InvalidStorageClass"},
		{name: "checksum of no kind", call: at("POST", "/"+b+"/k?uploads", "", "x-amz-checksum-algorithm", "ROT13"), status: 400, code: "InvalidRequest"},
		{name: "checksum type without an algorithm", call: at("POST", "/"+b+"/k?uploads", "", "x-amz-checksum-type", "COMPOSITE"), status: 400, code: "InvalidRequest"},
		{name: "a checksum that has no parts", call: at("POST", "/"+b+"/k?uploads", "", "x-amz-checksum-algorithm", "CRC64NVME", "x-amz-checksum-type", "COMPOSITE"), status: 400, code: "InvalidRequest"},
		{name: "checksums are told at the start", call: at("POST", "/"+b+"/c?uploads", "", "x-amz-checksum-algorithm", "SHA256"), status: 200, header: map[string]string{"X-Amz-Checksum-Algorithm": "SHA256", "X-Amz-Checksum-Type": "COMPOSITE"}},
		{name: "upload in no bucket", call: at("POST", "/"+b+"-none/k?uploads", ""), status: 404, code: "NoSuchBucket"},
		{name: "bare ETags", call: missing("<Part><PartNumber>1</PartNumber><ETag>" + strings.Trim(tags[1], `"`) + "</ETag><ChecksumCRC32>" + crc32Of("x") + "</ChecksumCRC32></Part>"), status: 200, body: "<Bucket>" + b + "</Bucket><Key>k</Key>"},
		{name: "class of what was completed", call: at("HEAD", "/"+b+"/k", ""), status: 200, header: map[string]string{"X-Amz-Storage-Class": "STANDARD_IA", "Content-Length": "1"}},
		{name: "its part", call: at("GET", "/"+b+"/k?partNumber=1", ""), status: 206, body: "x", header: map[string]string{"X-Amz-Mp-Parts-Count": "1", "Content-Range": "bytes 0-0/1"}},
		{name: "its part, of head", call: at("HEAD", "/"+b+"/k?partNumber=1", ""), status: 206, header: map[string]string{"X-Amz-Mp-Parts-Count": "1"}},
		{name: "no parts without asking", call: at("HEAD", "/"+b+"/k", ""), status: 200, header: map[string]string{"X-Amz-Mp-Parts-Count": ""}},
		{name: "abort what was completed", call: at("DELETE", "/"+b+"/k?uploadId="+id, ""), status: 404, code: "NoSuchUpload"},
	})
	sums := start(t, b, "sums", map[string]string{"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": "FULL_OBJECT"})
	one := part(b, "sums", sums, 1, "x")
	one.Headers = map[string]string{"x-amz-checksum-crc32": crc32Of("x")}
	tag := one.want(t, 200, "").Header.Get("ETag")
	whole := func(sum string) call {
		c := complete(b, "sums", sums, 1, tag)
		c.Headers = map[string]string{"x-amz-checksum-crc32": sum, "x-amz-checksum-type": "FULL_OBJECT"}
		return c
	}
	checkAll(t, []row{
		{name: "checksum of another whole", call: whole("AAAAAA=="), status: 400, code: "BadDigest"},
		{name: "checksum that is none", call: whole("nonsense"), status: 400, code: "InvalidRequest"},
		{name: "checksum of the whole", call: whole(crc32Of("x")), status: 200, body: "<ChecksumCRC32>" + crc32Of("x") + "</ChecksumCRC32>"},
	})
	row{name: "completed again, with other parts", call: complete(b, "k", "0000000000000077", 1, tags[1]), status: 404, code: "NoSuchUpload"}.check(t)
}

// TestPartCopyRows copies ranges of objects with strange names into parts.
func TestPartCopyRows(t *testing.T) {
	b := newBucket(t)
	id := start(t, b, "to", nil)
	n := 0
	cp := func(source string, headers ...string) call {
		n++
		return at("PUT", fmt.Sprintf("/%s/to?partNumber=%d&uploadId=%s", b, n, id), "", append([]string{"x-amz-copy-source", source}, headers...)...)
	}
	var rows []row
	for _, key := range []string{" ", "_", "__", "?versionId", "a+b", "日本", "a%20b", "a/b?c&d"} {
		putObject(t, b, key, "hello")
		rows = append(rows, row{name: key, call: cp(b+"/"+escape(key), "x-amz-copy-source-range", "bytes=0-1"), status: 200, body: "<CopyPartResult"})
	}
	for _, r := range []string{"0-2", "bytes=0", "bytes=hello-world", "bytes=0-bar", "bytes=hello-", "bytes=0-2,3-5", "bytes=-3", "bytes=3-", "bytes=2-1", "bytes=0-21", "bytes=7-9"} {
		rows = append(rows, row{name: r, call: cp(b+"/_", "x-amz-copy-source-range", r), status: 400, code: "InvalidArgument"})
	}
	checkAll(t, append(rows, []row{
		{name: "all of it", call: cp(b + "/_"), status: 200, body: "<ETag>&#34;" + md5Of("hello") + "&#34;</ETag>"},
		{name: "no such key", call: cp(b + "/none"), status: 404, code: "NoSuchKey"},
		{name: "no such bucket", call: cp(b + "-none/_"), status: 404, code: "NoSuchBucket"},
		{name: "no such version", call: cp(b + "/_?versionId=00000000deadbeef"), status: 404, code: "NoSuchVersion"},
		{name: "no key", call: cp(b), status: 400, code: "InvalidArgument"},
		{name: "condition", call: cp(b+"/_", "x-amz-copy-source-if-none-match", `"`+md5Of("hello")+`"`), status: 412, code: "PreconditionFailed"},
		{name: "no such upload", call: at("PUT", "/"+b+"/to?partNumber=1&uploadId=0000000000000077", "", "x-amz-copy-source", b+"/_"), status: 404, code: "NoSuchUpload"},
		{name: "part 0", call: at("PUT", "/"+b+"/to?partNumber=0&uploadId="+id, "", "x-amz-copy-source", b+"/_"), status: 400, code: "InvalidArgument"},
	}...))
	versioned := newBucket(t)
	versioning(t, versioned, "Enabled")
	v := putObject(t, versioned, "k", "old").Header.Get("X-Amz-Version-Id")
	putObject(t, versioned, "k", "new")
	row{name: "an older version", call: cp(versioned + "/k?versionId=" + v), status: 200, body: md5Of("old"), header: map[string]string{"X-Amz-Copy-Source-Version-Id": v}}.check(t)
}

func TestCopyRows(t *testing.T) {
	b, other := newBucket(t), newBucket(t)
	putObject(t, b, "k", "hello", "Content-Type", "a/b", "Cache-Control", "no-cache", "x-amz-meta-a", "1", "x-amz-tagging", "t=1", "x-amz-storage-class", "STANDARD_IA", "x-amz-website-redirect-location", "/there")
	putObject(t, b, "?versionId", "strange")
	putObject(t, b, "empty", "")
	putObject(t, b, "plain", "x")
	tag := `"` + md5Of("hello") + `"`
	cp := func(to, source string, headers ...string) call {
		return at("PUT", "/"+to, "", append([]string{"x-amz-copy-source", source}, headers...)...)
	}
	checkAll(t, []row{
		{name: "copy", call: cp(other+"/k", b+"/k"), status: 200, body: "<ETag>&#34;" + md5Of("hello") + "&#34;</ETag>"},
		{name: "what comes along, and what not", call: at("HEAD", "/"+other+"/k", ""), status: 200, header: map[string]string{"Content-Type": "a/b", "Cache-Control": "no-cache", "X-Amz-Meta-A": "1", "X-Amz-Tagging-Count": "1", "X-Amz-Storage-Class": "", "X-Amz-Website-Redirect-Location": ""}},
		{name: "metadata that is not taken", call: cp(other+"/kept", b+"/k", "x-amz-meta-a", "2", "Content-Type", "c/d"), status: 200},
		{name: "it was not", call: at("HEAD", "/"+other+"/kept", ""), status: 200, header: map[string]string{"X-Amz-Meta-A": "1", "Content-Type": "a/b"}},
		{name: "tags that are not taken", call: cp(other+"/tags", b+"/k", "x-amz-tagging", "x=1&y=2"), status: 200},
		{name: "they were not", call: at("GET", "/"+other+"/tags?tagging", ""), status: 200, body: "<Key>t</Key>"},
		{name: "tags that are", call: cp(other+"/tags", b+"/k", "x-amz-tagging", "x=1&y=2", "x-amz-tagging-directive", "REPLACE"), status: 200},
		{name: "they were", call: at("GET", "/"+other+"/tags?tagging", ""), status: 200, body: "<Key>x</Key><Value>1</Value>", not: "<Key>t</Key>"},
		{name: "tags taken away", call: cp(other+"/tags", b+"/k", "x-amz-tagging-directive", "REPLACE"), status: 200},
		{name: "they are gone", call: at("HEAD", "/"+other+"/tags", ""), status: 200, header: map[string]string{"X-Amz-Tagging-Count": ""}},
		{name: "a class", call: cp(other+"/class", b+"/k", "x-amz-storage-class", "GLACIER"), status: 200},
		{name: "it is told", call: at("HEAD", "/"+other+"/class", ""), status: 200, header: map[string]string{"X-Amz-Storage-Class": "GLACIER"}},
		{name: "a class of no kind", call: cp(other+"/class", b+"/k", "x-amz-storage-class", "WARM"), status: 400, code: "InvalidStorageClass"},
		{name: "a redirect", call: cp(other+"/redirect", b+"/k", "x-amz-website-redirect-location", "/here"), status: 200},
		{name: "it is told", call: at("HEAD", "/"+other+"/redirect", ""), status: 200, header: map[string]string{"X-Amz-Website-Redirect-Location": "/here"}},
		{name: "another checksum", call: cp(other+"/sum", b+"/k", "x-amz-checksum-algorithm", "SHA256"), status: 200, body: "<ChecksumSHA256>LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=</ChecksumSHA256>"},
		{name: "it is kept", call: at("HEAD", "/"+other+"/sum", "", "x-amz-checksum-mode", "ENABLED"), status: 200, header: map[string]string{"X-Amz-Checksum-Sha256": "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="}},
		{name: "it comes along", call: cp(other+"/sum2", other+"/sum"), status: 200, body: "<ChecksumSHA256>"},
		{name: "a checksum of no kind", call: cp(other+"/sum", b+"/k", "x-amz-checksum-algorithm", "ROT13"), status: 400, code: "InvalidRequest"},
		{name: "a source with a slash before", call: cp(other+"/k", "/"+b+"/k"), status: 200},
		{name: "a source that is encoded", call: cp(other+"/k", b+"%2Fk"), status: 200},
		{name: "a source with a strange name", call: cp(other+"/strange", b+"/%3FversionId"), status: 200},
		{name: "it came", call: at("GET", "/"+other+"/strange", ""), status: 200, body: "strange"},
		{name: "an empty source", call: cp(other+"/empty", b+"/empty"), status: 200},
		{name: "it came empty", call: at("HEAD", "/"+other+"/empty", ""), status: 200, header: map[string]string{"Content-Length": "0"}},
		{name: "a source that is a bucket", call: cp(other+"/k", b+"/"), status: 400, code: "InvalidArgument"},
		{name: "a source that cannot be decoded", call: cp(other+"/k", b+"/%zz"), status: 400, code: "InvalidArgument"},
		{name: "into no bucket", call: cp(b+"-none/k", b+"/k"), status: 404, code: "NoSuchBucket"},
		{name: "onto itself", call: cp(b+"/plain", b+"/plain"), status: 400, code: "InvalidRequest"},
		{name: "onto itself, with the same directive", call: cp(b+"/plain", b+"/plain", "x-amz-metadata-directive", "COPY"), status: 400, code: "InvalidRequest"},
		{name: "onto itself, of another class", call: cp(b+"/k", b+"/k", "x-amz-storage-class", "ONEZONE_IA"), status: 200},
		{name: "onto itself, with metadata", call: cp(b+"/k", b+"/k", "x-amz-metadata-directive", "REPLACE", "x-amz-meta-b", "2"), status: 200},
		{name: "it has the metadata", call: at("GET", "/"+b+"/k", ""), status: 200, body: "hello", header: map[string]string{"X-Amz-Meta-A": "", "X-Amz-Meta-B": "2", "Content-Type": "binary/octet-stream", "X-Amz-Tagging-Count": "1"}},
		{name: "if it matches", call: cp(other+"/k", b+"/k", "x-amz-copy-source-if-match", tag), status: 200},
		{name: "if it matches something", call: cp(other+"/k", b+"/k", "x-amz-copy-source-if-match", "ABCORZ"), status: 412, code: "PreconditionFailed"},
		{name: "if it does not match something", call: cp(other+"/k", b+"/k", "x-amz-copy-source-if-none-match", "ABCORZ"), status: 200},
		{name: "if it was modified since tomorrow", call: cp(other+"/k", b+"/k", "x-amz-copy-source-if-unmodified-since", "Thu, 01 Jan 1998 00:00:00 GMT"), status: 412, code: "PreconditionFailed"},
		{name: "if it was modified since long ago", call: cp(other+"/k", b+"/k", "x-amz-copy-source-if-modified-since", "Thu, 01 Jan 1998 00:00:00 GMT"), status: 200},
		{name: "matching wins over time", call: cp(other+"/k", b+"/k", "x-amz-copy-source-if-match", tag, "x-amz-copy-source-if-unmodified-since", "Thu, 01 Jan 1998 00:00:00 GMT"), status: 200},
		{name: "a source header on a read", call: at("GET", "/"+b+"/k", "", "x-amz-copy-source", b+"/k"), status: 400, code: "InvalidArgument"},
	})
	versioned := newBucket(t)
	versioning(t, versioned, "Enabled")
	putObject(t, versioned, "k", "x")
	m := call{Method: "DELETE", Path: "/" + versioned + "/k"}.want(t, 204, "").Header.Get("X-Amz-Version-Id")
	checkAll(t, []row{
		{name: "of what was deleted", call: cp(other+"/k", versioned+"/k"), status: 404, code: "NoSuchKey"},
		{name: "of a delete marker", call: cp(other+"/k", versioned+"/k?versionId="+m), status: 400, code: "InvalidRequest"},
		{name: "into versions", call: cp(versioned+"/new", b+"/k"), status: 200, header: map[string]string{"X-Amz-Version-Id": "*", "X-Amz-Copy-Source-Version-Id": ""}},
	})
}
