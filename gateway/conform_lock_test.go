package gateway

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// lockedBucket makes a bucket with object lock.
func lockedBucket(t *testing.T) string {
	t.Helper()
	b := fmt.Sprintf("locked-%d", buckets.Add(1))
	at("PUT", "/"+b, "", "x-amz-bucket-object-lock-enabled", "true").want(t, 200, "")
	return b
}

// document is a call that puts a document with its digest.
func document(path, doc string, headers ...string) call {
	c := at("PUT", path, doc, headers...)
	c.Headers["Content-MD5"] = md5Header(doc)["Content-MD5"]
	return c
}

func TestLockRows(t *testing.T) {
	b, plain := lockedBucket(t), newBucket(t)
	putObject(t, plain, "k", "x")
	v := putObject(t, b, "k", "x").Header.Get("X-Amz-Version-Id")
	putObject(t, b, "k2", "x")
	lock := func(enabled, rule string) call {
		return document("/"+b+"?object-lock", "<ObjectLockConfiguration><ObjectLockEnabled>"+enabled+"</ObjectLockEnabled>"+rule+"</ObjectLockConfiguration>")
	}
	rule := func(mode, period string) string {
		return "<Rule><DefaultRetention><Mode>" + mode + "</Mode>" + period + "</DefaultRetention></Rule>"
	}
	retain := func(bucket, mode string, until time.Time, headers ...string) call {
		return document("/"+bucket+"/k?retention", "<Retention><Mode>"+mode+"</Mode><RetainUntilDate>"+until.UTC().Format(time.RFC3339)+"</RetainUntilDate></Retention>", headers...)
	}
	hold := func(bucket, status string) call {
		return document("/"+bucket+"/k?legal-hold", "<LegalHold><Status>"+status+"</Status></LegalHold>")
	}
	put := func(headers ...string) call {
		return at("PUT", "/"+b+"/put", "x", append(headers, "Content-MD5", md5Header("x")["Content-MD5"])...)
	}
	const bypass = "x-amz-bypass-governance-retention"
	day := func(n int) time.Time { return time.Now().AddDate(0, 0, n) }
	in := func(n int) string { return day(n).UTC().Format(time.RFC3339) }
	del := "<Delete><Object><Key>k</Key><VersionId>" + v + "</VersionId></Object><Object><Key>k2</Key></Object></Delete>"
	many := call{Method: "POST", Path: "/" + b + "?delete", Body: del, Headers: md5Header(del)}
	checkAll(t, []row{
		{name: "default by days", call: lock("Enabled", rule("GOVERNANCE", "<Days>1</Days>")), status: 200},
		{name: "default by days is told", call: at("GET", "/"+b+"?object-lock", ""), status: 200, body: "<Mode>GOVERNANCE</Mode>"},
		{name: "default by years", call: lock("Enabled", rule("COMPLIANCE", "<Years>1</Years>")), status: 200},
		{name: "default by years is told", call: at("GET", "/"+b+"?object-lock", ""), status: 200, body: "<Years>1</Years>"},
		{name: "days and years", call: lock("Enabled", rule("GOVERNANCE", "<Days>1</Days><Years>1</Years>")), status: 400, code: "MalformedXML"},
		{name: "neither days nor years", call: lock("Enabled", rule("GOVERNANCE", "")), status: 400, code: "MalformedXML"},
		{name: "0 days", call: lock("Enabled", rule("GOVERNANCE", "<Days>0</Days>")), status: 400, code: "InvalidArgument"},
		{name: "years below 0", call: lock("Enabled", rule("GOVERNANCE", "<Years>-1</Years>")), status: 400, code: "InvalidArgument"},
		{name: "100 years and more", call: lock("Enabled", rule("GOVERNANCE", "<Years>101</Years>")), status: 400, code: "InvalidArgument"},
		{name: "a mode of no kind", call: lock("Enabled", rule("abc", "<Years>1</Years>")), status: 400, code: "MalformedXML"},
		{name: "a mode in small letters", call: lock("Enabled", rule("governance", "<Years>1</Years>")), status: 400, code: "MalformedXML"},
		{name: "disabled", call: lock("Disabled", rule("GOVERNANCE", "<Years>1</Years>")), status: 400, code: "MalformedXML"},
		{name: "not XML", call: document("/"+b+"?object-lock", "<no"), status: 400, code: "MalformedXML"},
		{name: "no default", call: lock("Enabled", ""), status: 200},
		{name: "versions cannot be suspended", call: at("PUT", "/"+b+"?versioning", "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>"), status: 409, code: "InvalidBucketState"},
		{name: "configuration of a bucket without", call: at("GET", "/"+plain+"?object-lock", ""), status: 404, code: "ObjectLockConfigurationNotFoundError"},
		{name: "lock of a bucket without versions", call: document("/"+plain+"?object-lock", "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>"), status: 409, code: "InvalidBucketState"},

		{name: "hold of which nothing was said", call: at("GET", "/"+b+"/k?legal-hold", ""), status: 404, code: "NoSuchObjectLockConfiguration"},
		{name: "it is not told", call: at("HEAD", "/"+b+"/k", ""), status: 200, header: map[string]string{"X-Amz-Object-Lock-Legal-Hold": "", "X-Amz-Object-Lock-Mode": ""}},
		{name: "hold", call: hold(b, "ON"), status: 200},
		{name: "hold is told", call: at("GET", "/"+b+"/k?legal-hold", ""), status: 200, body: "<Status>ON</Status>"},
		{name: "hold is told in a header", call: at("HEAD", "/"+b+"/k", ""), status: 200, header: map[string]string{"X-Amz-Object-Lock-Legal-Hold": "ON"}},
		{name: "held", call: at("DELETE", "/"+b+"/k?versionId="+v, ""), status: 403, code: "AccessDenied"},
		{name: "held, whoever bypasses", call: at("DELETE", "/"+b+"/k?versionId="+v, "", bypass, "true"), status: 403, code: "AccessDenied"},
		{name: "no hold", call: hold(b, "OFF"), status: 200},
		{name: "no hold is told", call: at("GET", "/"+b+"/k?legal-hold", ""), status: 200, body: "<Status>OFF</Status>"},
		{name: "no hold is told in a header", call: at("GET", "/"+b+"/k", ""), status: 200, header: map[string]string{"X-Amz-Object-Lock-Legal-Hold": "OFF"}},
		{name: "hold of no kind", call: hold(b, "abc"), status: 400, code: "MalformedXML"},
		{name: "hold in a bucket without lock", call: hold(plain, "ON"), status: 400, code: "InvalidRequest"},
		{name: "hold asked for in a bucket without lock", call: at("GET", "/"+plain+"/k?legal-hold", ""), status: 400, code: "InvalidRequest"},
		{name: "hold of no object", call: document("/"+b+"/none?legal-hold", "<LegalHold><Status>ON</Status></LegalHold>"), status: 404, code: "NoSuchKey"},

		{name: "retention of which nothing was said", call: at("GET", "/"+b+"/k?retention", ""), status: 404, code: "NoSuchObjectLockConfiguration"},
		{name: "retention in a bucket without lock", call: retain(plain, "GOVERNANCE", day(3)), status: 400, code: "InvalidRequest"},
		{name: "retention asked for in a bucket without lock", call: at("GET", "/"+plain+"/k?retention", ""), status: 400, code: "InvalidRequest"},
		{name: "retention of no kind", call: retain(b, "abc", day(3)), status: 400, code: "MalformedXML"},
		{name: "retention in small letters", call: retain(b, "governance", day(3)), status: 400, code: "MalformedXML"},
		{name: "retention until yesterday", call: retain(b, "GOVERNANCE", day(-1)), status: 400, code: "InvalidArgument"},
		{name: "retention", call: retain(b, "GOVERNANCE", day(3)), status: 200},
		{name: "longer", call: retain(b, "GOVERNANCE", day(5)), status: 200},
		{name: "shorter", call: retain(b, "GOVERNANCE", day(4)), status: 403, code: "AccessDenied"},
		{name: "stricter", call: retain(b, "COMPLIANCE", day(5)), status: 403, code: "AccessDenied"},
		{name: "many, of which one is retained", call: many, status: 200, body: "<Code>AccessDenied</Code><Key>k</Key>"},
		{name: "and the other gone", call: at("GET", "/"+b+"/k2", ""), status: 404, code: "NoSuchKey"},
		{name: "shorter, bypassing", call: retain(b, "GOVERNANCE", day(4), bypass, "true"), status: 200},
		{name: "it is told", call: at("GET", "/"+b+"/k?retention", ""), status: 200, body: "<Mode>GOVERNANCE</Mode><RetainUntilDate>" + in(4)[:10]},
		{name: "it is told in a header", call: at("HEAD", "/"+b+"/k?versionId="+v, ""), status: 200, header: map[string]string{"X-Amz-Object-Lock-Mode": "GOVERNANCE", "X-Amz-Object-Lock-Retain-Until-Date": "*"}},
		{name: "stricter, bypassing", call: retain(b, "COMPLIANCE", day(5), bypass, "true"), status: 200},
		{name: "laxer, bypassing", call: retain(b, "GOVERNANCE", day(5), bypass, "true"), status: 403, code: "AccessDenied"},
		{name: "retained, whoever bypasses", call: at("DELETE", "/"+b+"/k?versionId="+v, "", bypass, "true"), status: 403, code: "AccessDenied"},

		{name: "put with a mode alone", call: put("x-amz-object-lock-mode", "GOVERNANCE"), status: 400, code: "InvalidArgument"},
		{name: "put with a date alone", call: put("x-amz-object-lock-retain-until-date", in(3)), status: 400, code: "InvalidArgument"},
		{name: "put with a mode of no kind", call: put("x-amz-object-lock-mode", "abc", "x-amz-object-lock-retain-until-date", in(3)), status: 400, code: "InvalidArgument"},
		{name: "put until yesterday", call: put("x-amz-object-lock-mode", "GOVERNANCE", "x-amz-object-lock-retain-until-date", in(-1)), status: 400, code: "InvalidArgument"},
		{name: "put until a day that is none", call: put("x-amz-object-lock-mode", "GOVERNANCE", "x-amz-object-lock-retain-until-date", "soon"), status: 400, code: "InvalidArgument"},
		{name: "put with a hold of no kind", call: put("x-amz-object-lock-legal-hold", "abc"), status: 400, code: "InvalidArgument"},
		{name: "put without a digest", call: at("PUT", "/"+b+"/put", "x", "x-amz-object-lock-legal-hold", "OFF"), status: 400, code: "InvalidRequest"},
		{name: "put with all", call: put("x-amz-object-lock-mode", "GOVERNANCE", "x-amz-object-lock-retain-until-date", in(3), "x-amz-object-lock-legal-hold", "OFF"), status: 200},
		{name: "all is told", call: at("HEAD", "/"+b+"/put", ""), status: 200, header: map[string]string{"X-Amz-Object-Lock-Mode": "GOVERNANCE", "X-Amz-Object-Lock-Legal-Hold": "OFF", "X-Amz-Object-Lock-Retain-Until-Date": "*"}},
		{name: "put locked without lock", call: at("PUT", "/"+plain+"/put", "x", "x-amz-object-lock-legal-hold", "ON", "Content-MD5", md5Header("x")["Content-MD5"]), status: 400, code: "InvalidRequest"},
		{name: "a copy is not locked", call: at("PUT", "/"+b+"/copy", "", "x-amz-copy-source", b+"/put"), status: 200},
		{name: "it is not", call: at("HEAD", "/"+b+"/copy", ""), status: 200, header: map[string]string{"X-Amz-Object-Lock-Mode": "", "X-Amz-Object-Lock-Legal-Hold": ""}},
		{name: "a copy that is", call: at("PUT", "/"+b+"/copy", "", "x-amz-copy-source", b+"/put", "x-amz-object-lock-legal-hold", "ON"), status: 200},
		{name: "it is", call: at("HEAD", "/"+b+"/copy", ""), status: 200, header: map[string]string{"X-Amz-Object-Lock-Legal-Hold": "ON"}},
		{name: "upload locked without lock", call: at("POST", "/"+plain+"/up?uploads", "", "x-amz-object-lock-legal-hold", "ON"), status: 400, code: "InvalidRequest"},
		{name: "upload with a mode alone", call: at("POST", "/"+b+"/up?uploads", "", "x-amz-object-lock-mode", "GOVERNANCE"), status: 400, code: "InvalidArgument"},
	})
	id := start(t, b, "up", map[string]string{"x-amz-object-lock-mode": "COMPLIANCE", "x-amz-object-lock-retain-until-date": in(3)})
	tag := part(b, "up", id, 1, "x").want(t, 200, "").Header.Get("ETag")
	checkAll(t, []row{
		{name: "a locked upload", call: complete(b, "up", id, 1, tag), status: 200, header: map[string]string{"X-Amz-Version-Id": "*"}},
		{name: "it is locked", call: at("HEAD", "/"+b+"/up", ""), status: 200, header: map[string]string{"X-Amz-Object-Lock-Mode": "COMPLIANCE"}},
	})
}

func TestTagRows(t *testing.T) {
	b := newBucket(t)
	putObject(t, b, "k", "x", "x-amz-tagging", "foo=bar&bar")
	set := func(n, key, value int) string {
		var s strings.Builder
		for i := range n {
			fmt.Fprintf(&s, "<Tag><Key>%s</Key><Value>%s</Value></Tag>", fmt.Sprint(i)+strings.Repeat("k", key-1), strings.Repeat("v", value))
		}
		return "<Tagging><TagSet>" + s.String() + "</TagSet></Tagging>"
	}
	put := func(doc string) call { return document("/"+b+"/k?tagging", doc) }
	versioned := newBucket(t)
	versioning(t, versioned, "Enabled")
	v := putObject(t, versioned, "k", "x").Header.Get("X-Amz-Version-Id")
	m := call{Method: "DELETE", Path: "/" + versioned + "/k"}.want(t, 204, "").Header.Get("X-Amz-Version-Id")
	checkAll(t, []row{
		{name: "tags of a header, by key", call: at("GET", "/"+b+"/k?tagging", ""), status: 200, body: "<TagSet><Tag><Key>bar</Key><Value></Value></Tag><Tag><Key>foo</Key><Value>bar</Value></Tag></TagSet>"},
		{name: "ten", call: put(set(10, 1, 1)), status: 200},
		{name: "ten by key", call: at("GET", "/"+b+"/k?tagging", ""), status: 200, body: "<Tag><Key>0</Key><Value>v</Value></Tag><Tag><Key>1</Key><Value>v</Value></Tag><Tag><Key>2</Key>"},
		{name: "they are counted", call: at("HEAD", "/"+b+"/k", ""), status: 200, header: map[string]string{"X-Amz-Tagging-Count": "10"}},
		{name: "eleven", call: put(set(11, 1, 1)), status: 400, code: "BadRequest"},
		{name: "the largest", call: put(set(10, 128, 256)), status: 200},
		{name: "too large a key", call: put(set(10, 129, 256)), status: 400, code: "InvalidTag"},
		{name: "too large a value", call: put(set(10, 128, 257)), status: 400, code: "InvalidTag"},
		{name: "an empty key", call: put("<Tagging><TagSet><Tag><Key></Key><Value>x</Value></Tag></TagSet></Tagging>"), status: 400, code: "InvalidTag"},
		{name: "a key twice", call: put("<Tagging><TagSet><Tag><Key>a</Key><Value>x</Value></Tag><Tag><Key>a</Key><Value>y</Value></Tag></TagSet></Tagging>"), status: 400, code: "InvalidTag"},
		{name: "not XML", call: put("tags"), status: 400, code: "MalformedXML"},
		{name: "no set", call: put("<Tagging></Tagging>"), status: 400, code: "MalformedXML"},
		{name: "an empty set", call: put("<Tagging><TagSet></TagSet></Tagging>"), status: 200},
		{name: "no tags are an empty set", call: at("GET", "/"+b+"/k?tagging", ""), status: 200, body: "<TagSet></TagSet>"},
		{name: "delete none", call: at("DELETE", "/"+b+"/k?tagging", ""), status: 204},
		{name: "delete of no key", call: at("DELETE", "/"+b+"/none?tagging", ""), status: 404, code: "NoSuchKey"},
		{name: "put to no key", call: document("/"+b+"/none?tagging", set(1, 1, 1)), status: 404, code: "NoSuchKey"},
		{name: "of a version", call: document("/"+versioned+"/k?tagging&versionId="+v, set(1, 1, 1)), status: 200, header: map[string]string{"X-Amz-Version-Id": v}},
		{name: "asked for of a version", call: at("GET", "/"+versioned+"/k?tagging&versionId="+v, ""), status: 200, body: "<Key>0</Key>", header: map[string]string{"X-Amz-Version-Id": v}},
		{name: "of a version that is not there", call: at("GET", "/"+versioned+"/k?tagging&versionId=00000000deadbeef", ""), status: 404, code: "NoSuchVersion"},
		{name: "of a delete marker", call: at("GET", "/"+versioned+"/k?tagging&versionId="+m, ""), status: 405, code: "MethodNotAllowed"},
		{name: "of what was deleted", call: at("GET", "/"+versioned+"/k?tagging", ""), status: 404, code: "NoSuchKey"},
		{name: "header with an odd key", call: at("PUT", "/"+b+"/k", "x", "x-amz-tagging", "a%00b=1"), status: 400, code: "InvalidTag"},
		{name: "header with a large key", call: at("PUT", "/"+b+"/k", "x", "x-amz-tagging", strings.Repeat("k", 129)+"=1"), status: 400, code: "InvalidTag"},
		{name: "header that is encoded", call: at("PUT", "/"+b+"/k", "x", "x-amz-tagging", "a%2Fb=c%20d"), status: 200},
		{name: "it is decoded", call: at("GET", "/"+b+"/k?tagging", ""), status: 200, body: "<Key>a/b</Key><Value>c d</Value>"},
	})
}

func TestLifecycleRows(t *testing.T) {
	b := newBucket(t)
	put := func(doc string) call { return document("/"+b+"?lifecycle", doc) }
	rule := func(s string) call {
		return put(lifecycleDoc("<Rule><ID>r</ID><Status>Enabled</Status>" + s + "</Rule>"))
	}
	const days, abort = "<Expiration><Days>1</Days></Expiration>", "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>"
	tag := "<Tag><Key>a</Key><Value>b</Value></Tag>"
	wrong := put(lifecycleDoc("<Rule><Filter/><Status>Enabled</Status>" + days + "</Rule>"))
	wrong.Headers = md5Header("other")
	invalid := put("x")
	invalid.Headers = map[string]string{"Content-MD5": "x"}
	sum := put(lifecycleDoc("<Rule><Filter/><Status>Enabled</Status>" + days + "</Rule>"))
	sum.Headers = map[string]string{"x-amz-checksum-crc32": "AAAAAA=="}
	checkAll(t, []row{
		{name: "by days", call: rule("<Prefix>a/</Prefix>" + days), status: 200},
		{name: "it is told", call: at("GET", "/"+b+"?lifecycle", ""), status: 200, body: "<Rule><ID>r</ID><Prefix>a/</Prefix><Status>Enabled</Status>" + days + "</Rule>"},
		{name: "by a date", call: rule("<Prefix/><Expiration><Date>2033-09-27T00:00:00Z</Date></Expiration>"), status: 200},
		{name: "by a date in milliseconds", call: rule("<Prefix/><Expiration><Date>2033-09-27T00:00:00.000Z</Date></Expiration>"), status: 200},
		{name: "by a day alone", call: rule("<Prefix/><Expiration><Date>2017-09-27</Date></Expiration>"), status: 200},
		{name: "by a date without hyphens", call: rule("<Prefix/><Expiration><Date>20200101</Date></Expiration>"), status: 400, code: "MalformedXML"},
		{name: "by a date at noon", call: rule("<Prefix/><Expiration><Date>2033-09-27T12:00:00Z</Date></Expiration>"), status: 400, code: "InvalidArgument"},
		{name: "after 0 days", call: rule("<Prefix/><Expiration><Days>0</Days></Expiration>"), status: 400, code: "InvalidArgument"},
		{name: "after days in words", call: rule("<Prefix/><Expiration><Days>two</Days></Expiration>"), status: 400, code: "MalformedXML"},
		{name: "days and a date", call: rule("<Prefix/><Expiration><Days>1</Days><Date>2033-09-27T00:00:00Z</Date></Expiration>"), status: 400, code: "MalformedXML"},
		{name: "an empty expiration", call: rule("<Prefix/><Expiration></Expiration>"), status: 400, code: "InvalidArgument"},
		{name: "lone markers", call: rule("<Prefix>a</Prefix><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"), status: 200},
		{name: "lone markers are told", call: at("GET", "/"+b+"?lifecycle", ""), status: 200, body: "<ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>"},
		{name: "lone markers and days", call: rule("<Prefix>a</Prefix><Expiration><Days>1</Days><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"), status: 400, code: "MalformedXML"},
		{name: "old versions", call: rule("<Prefix>a</Prefix><NoncurrentVersionExpiration><NoncurrentDays>2</NoncurrentDays></NoncurrentVersionExpiration>"), status: 200},
		{name: "old versions after 0 days", call: rule("<Prefix/><NoncurrentVersionExpiration><NoncurrentDays>0</NoncurrentDays></NoncurrentVersionExpiration>"), status: 400, code: "InvalidArgument"},
		{name: "more newer versions than may be kept", call: rule("<Filter/><NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>101</NewerNoncurrentVersions></NoncurrentVersionExpiration>"), status: 400, code: "InvalidArgument"},
		{name: "newer versions below 0", call: rule("<Filter/><NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>-1</NewerNoncurrentVersions></NoncurrentVersionExpiration>"), status: 400, code: "InvalidArgument"},
		{name: "uploads", call: rule("<Prefix>a</Prefix>" + abort), status: 200},
		{name: "uploads after 0 days", call: rule("<Filter/><AbortIncompleteMultipartUpload><DaysAfterInitiation>0</DaysAfterInitiation></AbortIncompleteMultipartUpload>"), status: 400, code: "InvalidArgument"},
		{name: "uploads by tag", call: rule("<Filter>" + tag + "</Filter>" + abort), status: 400, code: "InvalidRequest"},
		{name: "lone markers by tag", call: rule("<Filter>" + tag + "</Filter><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"), status: 400, code: "InvalidRequest"},
		{name: "prefix and filter", call: rule("<Prefix>a</Prefix><Filter/>" + days), status: 400, code: "MalformedXML"},
		{name: "neither prefix nor filter", call: rule(days), status: 400, code: "MalformedXML"},
		{name: "an empty filter", call: rule("<Filter></Filter>" + days), status: 200},
		{name: "by tag", call: rule("<Filter>" + tag + "</Filter>" + days), status: 200},
		{name: "by size", call: rule("<Filter><ObjectSizeGreaterThan>500</ObjectSizeGreaterThan></Filter>" + days), status: 200},
		{name: "by prefix and tag beside each other", call: rule("<Filter><Prefix>a</Prefix>" + tag + "</Filter>" + days), status: 400, code: "MalformedXML"},
		{name: "by prefix and tag together", call: rule("<Filter><And><Prefix>a</Prefix>" + tag + "</And></Filter>" + days), status: 200},
		{name: "by all together", call: rule("<Filter><And><Prefix>a</Prefix>" + tag + "<ObjectSizeGreaterThan>5</ObjectSizeGreaterThan><ObjectSizeLessThan>9</ObjectSizeLessThan></And></Filter>" + days), status: 200},
		{name: "by a size that none has", call: rule("<Filter><And><ObjectSizeGreaterThan>9</ObjectSizeGreaterThan><ObjectSizeLessThan>5</ObjectSizeLessThan></And></Filter>" + days), status: 400, code: "InvalidRequest"},
		{name: "by a tag twice", call: rule("<Filter><And>" + tag + tag + "</And></Filter>" + days), status: 400, code: "InvalidRequest"},
		{name: "status in small letters", call: put(lifecycleDoc("<Rule><Prefix/><Status>disabled</Status>" + days + "</Rule>")), status: 400, code: "MalformedXML"},
		{name: "status of no kind", call: put(lifecycleDoc("<Rule><Prefix/><Status>invalid</Status>" + days + "</Rule>")), status: 400, code: "MalformedXML"},
		{name: "more rules than may be", call: put(lifecycleDoc(strings.Repeat("<Rule><Filter/><Status>Enabled</Status>"+days+"</Rule>", 1001))), status: 400, code: "MalformedXML"},
		{name: "a transition by a date without hyphens", call: rule("<Prefix/><Transition><Date>20220927</Date><StorageClass>GLACIER</StorageClass></Transition>"), status: 400, code: "MalformedXML"},
		{name: "a transition to no class", call: rule("<Prefix/><Transition><Days>1</Days><StorageClass>WARM</StorageClass></Transition>"), status: 400, code: "MalformedXML"},
		{name: "a transition", call: rule("<Prefix/><Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>"), status: 501, code: "NotImplemented"},
		{name: "no document", call: put(""), status: 400, code: "MissingRequestBodyError"},
		{name: "digest of another document", call: wrong, status: 400, code: "BadDigest"},
		{name: "digest that is none", call: invalid, status: 400, code: "InvalidDigest"},
		{name: "checksum of another document", call: sum, status: 400, code: "BadDigest"},
		{name: "of no bucket", call: document("/"+b+"-none?lifecycle", lifecycleDoc("<Rule><Filter/><Status>Enabled</Status>"+days+"</Rule>")), status: 404, code: "NoSuchBucket"},
		{name: "rules without names get some", call: put(lifecycleDoc("<Rule><Prefix>x</Prefix><Status>Enabled</Status>"+days+"</Rule>", "<Rule><Prefix>y</Prefix><Status>Enabled</Status>"+days+"</Rule>")), status: 200},
		{name: "they are told", call: at("GET", "/"+b+"?lifecycle", ""), status: 200, body: "<Rule><ID>", not: "<ID></ID>"},
		{name: "when an upload ends", call: rule("<Filter/>" + abort), status: 200},
		{name: "is told at its start", call: at("POST", "/"+b+"/up?uploads", ""), status: 200, header: map[string]string{"X-Amz-Abort-Date": "*", "X-Amz-Abort-Rule-Id": "r"}},
		{name: "delete", call: at("DELETE", "/"+b+"?lifecycle", ""), status: 204},
		{name: "delete again", call: at("DELETE", "/"+b+"?lifecycle", ""), status: 204},
	})
}

// TestSuspended: what is written where versions were suspended is the null version.
func TestSuspended(t *testing.T) {
	b := newBucket(t)
	putObject(t, b, "k", "first")
	versioning(t, b, "Suspended")
	null := map[string]string{"X-Amz-Version-Id": "null"}
	id := start(t, b, "up", nil)
	tag := part(b, "up", id, 1, "x").want(t, 200, "").Header.Get("ETag")
	checkAll(t, []row{
		{name: "put", call: at("PUT", "/"+b+"/k", "second"), status: 200, header: null},
		{name: "get", call: at("GET", "/"+b+"/k", ""), status: 200, body: "second", header: null},
		{name: "copy", call: at("PUT", "/"+b+"/copy", "", "x-amz-copy-source", b+"/k"), status: 200, header: map[string]string{"X-Amz-Version-Id": "null", "X-Amz-Copy-Source-Version-Id": "null"}},
		{name: "complete", call: complete(b, "up", id, 1, tag), status: 200, header: null},
		{name: "delete", call: at("DELETE", "/"+b+"/k", ""), status: 204, header: map[string]string{"X-Amz-Version-Id": "null", "X-Amz-Delete-Marker": "true"}},
		{name: "it is gone", call: at("GET", "/"+b+"/k", ""), status: 404, code: "NoSuchKey", header: map[string]string{"X-Amz-Delete-Marker": "true"}},
		{name: "delete what never was", call: at("DELETE", "/"+b+"/never", ""), status: 204, header: map[string]string{"X-Amz-Version-Id": "null", "X-Amz-Delete-Marker": "true"}},
		{name: "delete the null version", call: at("DELETE", "/"+b+"/copy?versionId=null", ""), status: 204, header: map[string]string{"X-Amz-Version-Id": "null", "X-Amz-Delete-Marker": ""}},
		{name: "it is gone for good", call: at("GET", "/"+b+"/copy", ""), status: 404, code: "NoSuchKey", header: map[string]string{"X-Amz-Delete-Marker": ""}},
		{name: "enabled with MFA delete off", call: at("PUT", "/"+b+"?versioning", "<VersioningConfiguration><Status>Enabled</Status><MfaDelete>Disabled</MfaDelete></VersioningConfiguration>"), status: 200},
		{name: "put again", call: at("PUT", "/"+b+"/k", "third"), status: 200, header: map[string]string{"X-Amz-Version-Id": "*"}},
		{name: "versioning of no kind", call: at("PUT", "/"+b+"?versioning", "<VersioningConfiguration><Status>enabled</Status></VersioningConfiguration>"), status: 400, code: "MalformedXML"},
		{name: "versioning of no bucket", call: at("GET", "/"+b+"-none?versioning", ""), status: 404, code: "NoSuchBucket"},
	})
}
