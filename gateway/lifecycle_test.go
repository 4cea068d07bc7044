package gateway

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

func lifecycleDoc(rules ...string) string {
	return "<LifecycleConfiguration>" + strings.Join(rules, "") + "</LifecycleConfiguration>"
}

func TestLifecycleAPI(t *testing.T) {
	b := newBucket(t)
	put := func(doc string) call {
		return call{Method: "PUT", Path: "/" + b + "?lifecycle", Body: doc, Headers: md5Header(doc)}
	}
	good := lifecycleDoc(`<Rule><ID>one</ID><Filter><Prefix>tmp/</Prefix></Filter><Status>Enabled</Status><Expiration><Days>3</Days></Expiration></Rule>`,
		`<Rule><ID>two</ID><Prefix></Prefix><Status>Disabled</Status><AbortIncompleteMultipartUpload><DaysAfterInitiation>2</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>`)
	put(good).want(t, 200, "")
	a := call{Path: "/" + b + "?lifecycle"}.want(t, 200, "")
	for _, want := range []string{"<ID>one</ID>", "<Prefix>tmp/</Prefix>", "<Days>3</Days>", "<Status>Disabled</Status>", "<DaysAfterInitiation>2</DaysAfterInitiation>"} {
		if !strings.Contains(a.Body, want) {
			t.Errorf("%s is missing in %s", want, a.Body)
		}
	}
	if h := putObject(t, b, "tmp/x", "x").Header.Get("X-Amz-Expiration"); !strings.Contains(h, `rule-id="one"`) {
		t.Errorf("x-amz-expiration %q", h)
	}
	if h := putObject(t, b, "x", "x").Header.Get("X-Amz-Expiration"); h != "" {
		t.Errorf("x-amz-expiration %q", h)
	}
	rule := func(s string) string { return lifecycleDoc("<Rule><Filter/>" + s + "</Rule>") }
	for doc, code := range map[string]string{
		"<no": "MalformedXML", lifecycleDoc(): "MalformedXML",
		rule(`<Status>enabled</Status><Expiration><Days>1</Days></Expiration>`):                                                               "MalformedXML",
		rule(`<Status>Enabled</Status>`):                                                                                                      "MalformedXML",
		rule(`<Status>Enabled</Status><Expiration><Days>0</Days></Expiration>`):                                                               "InvalidArgument",
		rule(`<Status>Enabled</Status><Expiration><Days>-1</Days></Expiration>`):                                                              "InvalidArgument",
		rule(`<Status>Enabled</Status><Expiration><Date>2030-01-01T05:00:00Z</Date></Expiration>`):                                            "InvalidArgument",
		rule(`<Status>Enabled</Status><Expiration><Date>tomorrow</Date></Expiration>`):                                                        "MalformedXML",
		rule(`<ID>` + strings.Repeat("x", 256) + `</ID><Status>Enabled</Status><Expiration><Days>1</Days></Expiration>`):                      "InvalidArgument",
		lifecycleDoc(strings.Repeat(`<Rule><ID>same</ID><Filter/><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>`, 2)): "InvalidArgument",
	} {
		put(doc).want(t, 400, code)
	}
	put(rule(`<Status>Enabled</Status><Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>`)).want(t, 501, "NotImplemented")
	spoiled := put(good)
	spoiled.Broken = true
	spoiled.want(t, 403, "SignatureDoesNotMatch")
	if a := (call{Path: "/" + b + "?lifecycle", Key: Credentials{Access: "-"}}).do(t); a.Status < 400 || a.Status >= 500 {
		t.Errorf("without a signature: %d", a.Status)
	}
	call{Method: "DELETE", Path: "/" + b + "?lifecycle"}.want(t, 204, "")
	call{Path: "/" + b + "?lifecycle"}.want(t, 404, "NoSuchLifecycleConfiguration")
	call{Path: "/no-such-bucket?lifecycle"}.want(t, 404, "NoSuchBucket")
}

// TestExpire lets days pass.
func TestExpire(t *testing.T) {
	ctx := context.Background()
	b := newBucket(t)
	versioning(t, b, "Enabled")
	doc := lifecycleDoc(`<Rule><ID>tmp</ID><Filter><Prefix>tmp/</Prefix></Filter><Status>Enabled</Status><Expiration><Days>3</Days></Expiration></Rule>`,
		`<Rule><ID>tag</ID><Filter><Tag><Key>short</Key><Value>yes</Value></Tag></Filter><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>`,
		`<Rule><ID>old</ID><Filter/><Status>Enabled</Status><NoncurrentVersionExpiration><NoncurrentDays>5</NoncurrentDays><NewerNoncurrentVersions>1</NewerNoncurrentVersions></NoncurrentVersionExpiration></Rule>`,
		`<Rule><ID>up</ID><Filter/><Status>Enabled</Status><AbortIncompleteMultipartUpload><DaysAfterInitiation>2</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>`,
		`<Rule><ID>markers</ID><Filter/><Status>Enabled</Status><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration></Rule>`)
	call{Method: "PUT", Path: "/" + b + "?lifecycle", Body: doc, Headers: md5Header(doc)}.want(t, 200, "")
	putObject(t, b, "tmp/a", "x")
	putObject(t, b, "keep", "1")
	putObject(t, b, "keep", "2")
	putObject(t, b, "keep", "3")
	putObject(t, b, "tagged", "x", "x-amz-tagging", "short=yes")
	start(t, b, "upload", nil)
	state := func() string {
		l := list(t, b, "versions")
		ups := call{Path: "/" + b + "?uploads"}.want(t, 200, "")
		return fmt.Sprintf("%d versions, %d markers, %d uploads", len(l.Versions), len(l.DeleteMarkers), strings.Count(ups.Body, "<UploadId>"))
	}
	for _, c := range []struct {
		days int
		want string
	}{
		{0, "5 versions, 0 markers, 1 uploads"},
		{2, "5 versions, 1 markers, 1 uploads"}, // tagged got a marker
		{3, "5 versions, 1 markers, 0 uploads"},
		{4, "5 versions, 2 markers, 0 uploads"}, // and so did tmp/a
		{7, "4 versions, 2 markers, 0 uploads"}, // of keep's three one is two behind the latest
	} {
		if _, err := Expire(ctx, store, time.Now().Add(time.Duration(c.days)*24*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if got := state(); got != c.want {
			t.Errorf("after %d days: %s, want %s", c.days, got, c.want)
		}
	}
	for _, o := range list(t, b, "versions").Versions {
		if o.Key != "keep" {
			call{Method: "DELETE", Path: "/" + b + "/" + o.Key + "?versionId=" + o.VersionId}.want(t, 204, "")
		}
	}
	if _, err := Expire(ctx, store, time.Now()); err != nil {
		t.Fatal(err)
	}
	if got := state(); got != "2 versions, 0 markers, 0 uploads" {
		t.Errorf("markers that stand alone: %s", got)
	}
}

func FuzzLifecycle(f *testing.F) {
	f.Add([]byte(lifecycleDoc(`<Rule><ID>one</ID><Filter><Prefix>tmp/</Prefix></Filter><Status>Enabled</Status><Expiration><Days>3</Days></Expiration></Rule>`)))
	f.Fuzz(func(t *testing.T, doc []byte) {
		l, err := readLifecycle(doc)
		if err != nil {
			return
		}
		if again, ok := lifecycleOf(map[string]string{settingLifecycle: asJSON(l)}); !ok || len(again.Rules) != len(l.Rules) {
			t.Errorf("%q did not come back", doc)
		}
	})
}
