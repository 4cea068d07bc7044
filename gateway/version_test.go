package gateway

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func versioning(t testing.TB, bucket, status string) {
	t.Helper()
	call{Method: "PUT", Path: "/" + bucket + "?versioning", Body: "<VersioningConfiguration><Status>" + status + "</Status></VersioningConfiguration>"}.want(t, 200, "")
}

func TestVersioning(t *testing.T) {
	b := newBucket(t)
	if a := (call{Path: "/" + b + "?versioning"}).want(t, 200, ""); strings.Contains(a.Body, "<Status>") {
		t.Error(a.Body)
	}
	putObject(t, b, "k", "before")
	versioning(t, b, "Enabled")
	if a := (call{Path: "/" + b + "?versioning"}).want(t, 200, ""); !strings.Contains(a.Body, "<Status>Enabled</Status>") {
		t.Error(a.Body)
	}
	if a := (call{Path: "/" + b + "/k"}).want(t, 200, ""); a.Body != "before" || a.Header.Get("X-Amz-Version-Id") != "null" {
		t.Errorf("%q, %v", a.Body, a.Header)
	}
	v1 := putObject(t, b, "k", "one").Header.Get("X-Amz-Version-Id")
	v2 := putObject(t, b, "k", "two").Header.Get("X-Amz-Version-Id")
	if v1 == "" || v1 == v2 {
		t.Errorf("versions %q and %q", v1, v2)
	}
	for version, want := range map[string]string{"null": "before", v1: "one", v2: "two"} {
		for _, method := range []string{"GET", "HEAD"} {
			a := call{Method: method, Path: "/" + b + "/k?versionId=" + version}.want(t, 200, "")
			if method == "GET" && a.Body != want || a.Header.Get("X-Amz-Version-Id") != version {
				t.Errorf("%s %s: %q, %v", method, version, a.Body, a.Header)
			}
		}
	}
	del := call{Method: "DELETE", Path: "/" + b + "/k"}.want(t, 204, "")
	marker := del.Header.Get("X-Amz-Version-Id")
	if marker == "" || del.Header.Get("X-Amz-Delete-Marker") != "true" {
		t.Errorf("%v", del.Header)
	}
	if a := (call{Path: "/" + b + "/k"}).want(t, 404, "NoSuchKey"); a.Header.Get("X-Amz-Delete-Marker") != "true" {
		t.Errorf("%v", a.Header)
	}
	if a := (call{Path: "/" + b + "/k?versionId=" + marker}).want(t, 405, "MethodNotAllowed"); a.Header.Get("X-Amz-Delete-Marker") != "true" || a.Header.Get("Allow") != "DELETE" {
		t.Errorf("%v", a.Header)
	}
	call{Method: "HEAD", Path: "/" + b + "/k?versionId=" + marker}.want(t, 405, "")
	if l := list(t, b, ""); len(l.Contents) > 0 {
		t.Errorf("listed %q", l.keys())
	}
	call{Method: "DELETE", Path: "/" + b}.want(t, 409, "BucketNotEmpty")
	if a := (call{Method: "DELETE", Path: "/" + b + "/k?versionId=" + marker}).want(t, 204, ""); a.Header.Get("X-Amz-Delete-Marker") != "true" || a.Header.Get("X-Amz-Version-Id") != marker {
		t.Errorf("%v", a.Header)
	}
	if a := (call{Path: "/" + b + "/k"}).want(t, 200, ""); a.Body != "two" {
		t.Errorf("after the marker: %q", a.Body)
	}
	call{Method: "DELETE", Path: "/" + b + "/k?versionId=" + v2}.want(t, 204, "")
	if a := (call{Path: "/" + b + "/k"}).want(t, 200, ""); a.Body != "one" {
		t.Errorf("after the newest: %q", a.Body)
	}
	call{Method: "DELETE", Path: "/" + b + "/k?versionId=" + v2}.want(t, 204, "")
	call{Path: "/" + b + "/k?versionId=" + v2}.want(t, 404, "NoSuchVersion")

	versioning(t, b, "Suspended")
	if a := putObject(t, b, "k", "null again"); a.Header.Get("X-Amz-Version-Id") != "null" {
		t.Errorf("%v", a.Header)
	}
	if a := (call{Path: "/" + b + "/k?versionId=null"}).want(t, 200, ""); a.Body != "null again" {
		t.Errorf("null: %q", a.Body)
	}
	if a := (call{Method: "DELETE", Path: "/" + b + "/k"}).want(t, 204, ""); a.Header.Get("X-Amz-Version-Id") != "null" || a.Header.Get("X-Amz-Delete-Marker") != "true" {
		t.Errorf("%v", a.Header)
	}
	l := list(t, b, "versions")
	if len(l.Versions) != 1 || l.Versions[0].VersionId != v1 || len(l.DeleteMarkers) != 1 || l.DeleteMarkers[0].VersionId != "null" || !l.DeleteMarkers[0].IsLatest {
		t.Errorf("%+v", l)
	}
	call{Method: "DELETE", Path: "/" + b + "/k?versionId=null"}.want(t, 204, "")
	call{Method: "DELETE", Path: "/" + b + "/k?versionId=" + v1}.want(t, 204, "")
	call{Method: "DELETE", Path: "/" + b}.want(t, 204, "")
}

func TestListVersions(t *testing.T) {
	b := newBucket(t)
	versioning(t, b, "Enabled")
	var want []string
	for _, k := range []string{"a", "b/1", "b/2", "c"} {
		var mine []string
		for i := range 4 {
			if i == 2 && k == "c" {
				v := call{Method: "DELETE", Path: "/" + b + "/" + k}.want(t, 204, "").Header.Get("X-Amz-Version-Id")
				mine = append(mine, k+" "+v)
				continue
			}
			mine = append(mine, k+" "+putObject(t, b, k, fmt.Sprint(i)).Header.Get("X-Amz-Version-Id"))
		}
		slices.Reverse(mine)
		want = append(want, mine...)
	}
	for _, limit := range []int{1, 2, 5, 16, 1000} {
		var got []string
		query := ""
		for range 40 {
			l := list(t, b, fmt.Sprintf("versions&max-keys=%d%s", limit, query))
			page := append([]entry{}, l.Versions...)
			page = append(page, l.DeleteMarkers...)
			slices.SortStableFunc(page, func(x, y entry) int {
				if x.Key != y.Key {
					return strings.Compare(x.Key, y.Key)
				}
				return strings.Compare(y.VersionId, x.VersionId)
			})
			for _, e := range page {
				got = append(got, e.Key+" "+e.VersionId)
			}
			if !l.IsTruncated {
				break
			}
			query = "&key-marker=" + l.NextKeyMarker + "&version-id-marker=" + l.NextVersionIdMarker
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d a page:\n%q, want\n%q", limit, got, want)
		}
	}
	if l := list(t, b, "versions&delimiter=/"); len(l.Versions) != 7 || len(l.DeleteMarkers) != 1 || !slices.Equal(l.prefixes(), []string{"b/"}) {
		t.Errorf("%+v", l)
	}
	if l := list(t, b, "versions&prefix=b/1"); len(l.Versions) != 4 || !l.Versions[0].IsLatest || l.Versions[1].IsLatest {
		t.Errorf("%+v", l)
	}
	if l := list(t, b, "versions&key-marker=b/2"); len(l.Versions)+len(l.DeleteMarkers) != 4 {
		t.Errorf("%+v", l)
	}
	call{Path: "/" + b + "?versions&version-id-marker=0000000000000001"}.want(t, 400, "InvalidArgument")
}

func TestVersionsOfCopiesAndTags(t *testing.T) {
	b := newBucket(t)
	versioning(t, b, "Enabled")
	v1 := putObject(t, b, "k", "one").Header.Get("X-Amz-Version-Id")
	v2 := putObject(t, b, "k", "two").Header.Get("X-Amz-Version-Id")
	a := call{Method: "PUT", Path: "/" + b + "/copy", Headers: map[string]string{"x-amz-copy-source": b + "/k?versionId=" + v1}}.want(t, 200, "")
	if a.Header.Get("X-Amz-Copy-Source-Version-Id") != v1 || a.Header.Get("X-Amz-Version-Id") == "" {
		t.Errorf("%v", a.Header)
	}
	if a := (call{Path: "/" + b + "/copy"}).want(t, 200, ""); a.Body != "one" {
		t.Errorf("copied %q", a.Body)
	}
	// restoring an old version by copying it over the key
	call{Method: "PUT", Path: "/" + b + "/k", Headers: map[string]string{"x-amz-copy-source": b + "/k?versionId=" + v1}}.want(t, 200, "")
	if a := (call{Path: "/" + b + "/k"}).want(t, 200, ""); a.Body != "one" {
		t.Errorf("restored %q", a.Body)
	}
	if a := (call{Path: "/" + b + "/k?versionId=" + v2}).want(t, 200, ""); a.Body != "two" {
		t.Errorf("the one between: %q", a.Body)
	}
	set := "<Tagging><TagSet><Tag><Key>c</Key><Value>3</Value></Tag></TagSet></Tagging>"
	call{Method: "PUT", Path: "/" + b + "/k?tagging&versionId=" + v1, Body: set}.want(t, 200, "")
	if a := (call{Path: "/" + b + "/k?tagging"}).want(t, 200, ""); strings.Contains(a.Body, "<Tag>") {
		t.Error("the latest got the tags of another version")
	}
	if a := (call{Path: "/" + b + "/k?tagging&versionId=" + v1}).want(t, 200, ""); !strings.Contains(a.Body, "<Key>c</Key>") {
		t.Error(a.Body)
	}
	del := fmt.Sprintf("<Delete><Object><Key>k</Key><VersionId>%s</VersionId></Object><Object><Key>copy</Key></Object></Delete>", v2)
	res := call{Method: "POST", Path: "/" + b + "?delete", Body: del, Headers: md5Header(del)}.want(t, 200, "")
	if !strings.Contains(res.Body, "<VersionId>"+v2+"</VersionId>") || !strings.Contains(res.Body, "<DeleteMarker>true</DeleteMarker>") {
		t.Error(res.Body)
	}
	call{Path: "/" + b + "/k?versionId=" + v2}.want(t, 404, "NoSuchVersion")
}

func TestObjectLock(t *testing.T) {
	plain := newBucket(t)
	putObject(t, plain, "k", "x")
	call{Method: "PUT", Path: "/" + plain + "/k?legal-hold", Body: "<LegalHold><Status>ON</Status></LegalHold>", Headers: md5Header("<LegalHold><Status>ON</Status></LegalHold>")}.want(t, 400, "InvalidRequest")
	b := fmt.Sprintf("locked-%d", buckets.Add(1))
	call{Method: "PUT", Path: "/" + b, Headers: map[string]string{"x-amz-bucket-object-lock-enabled": "true"}}.want(t, 200, "")
	if a := (call{Path: "/" + b + "?versioning"}).want(t, 200, ""); !strings.Contains(a.Body, "Enabled") {
		t.Error(a.Body)
	}
	if a := (call{Path: "/" + b + "?object-lock"}).want(t, 200, ""); !strings.Contains(a.Body, "<ObjectLockEnabled>Enabled") {
		t.Error(a.Body)
	}
	call{Method: "PUT", Path: "/" + b + "?versioning", Body: "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>"}.want(t, 409, "InvalidBucketState")
	until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	v := putObject(t, b, "k", "x", "x-amz-object-lock-mode", "GOVERNANCE", "x-amz-object-lock-retain-until-date", until, "Content-MD5", md5Header("x")["Content-MD5"]).Header.Get("X-Amz-Version-Id")
	if a := (call{Method: "HEAD", Path: "/" + b + "/k"}).want(t, 200, ""); a.Header.Get("X-Amz-Object-Lock-Mode") != "GOVERNANCE" || a.Header.Get("X-Amz-Object-Lock-Retain-Until-Date") == "" {
		t.Errorf("%v", a.Header)
	}
	if a := (call{Path: "/" + b + "/k?retention"}).want(t, 200, ""); !strings.Contains(a.Body, "<Mode>GOVERNANCE</Mode>") {
		t.Error(a.Body)
	}
	call{Method: "DELETE", Path: "/" + b + "/k?versionId=" + v}.want(t, 403, "AccessDenied")
	call{Method: "DELETE", Path: "/" + b + "/k"}.want(t, 204, "") // a marker: nothing is lost
	call{Method: "DELETE", Path: "/" + b + "/k?versionId=" + v, Headers: map[string]string{"x-amz-bypass-governance-retention": "true"}}.want(t, 204, "")
	v = putObject(t, b, "held", "x").Header.Get("X-Amz-Version-Id")
	on, off := "<LegalHold><Status>ON</Status></LegalHold>", "<LegalHold><Status>OFF</Status></LegalHold>"
	call{Method: "PUT", Path: "/" + b + "/held?legal-hold", Body: on, Headers: md5Header(on)}.want(t, 200, "")
	call{Method: "DELETE", Path: "/" + b + "/held?versionId=" + v}.want(t, 403, "AccessDenied")
	call{Method: "PUT", Path: "/" + b + "/held?legal-hold", Body: off, Headers: md5Header(off)}.want(t, 200, "")
	call{Method: "DELETE", Path: "/" + b + "/held?versionId=" + v}.want(t, 204, "")
	for _, other := range []string{v, "01KF2YVN948NAZ4JJR4X1AAVRA"} { // gone, and of another store
		call{Method: "DELETE", Path: "/" + b + "/held?versionId=" + other}.want(t, 204, "")
		call{Path: "/" + b + "/held?versionId=" + other}.want(t, 404, "NoSuchVersion")
		call{Path: "/" + b + "/held?retention&versionId=" + other}.want(t, 404, "NoSuchVersion")
	}
	call{Path: "/" + b + "/held?versionId=what_is_no_version_id"}.want(t, 400, "InvalidArgument")
}
