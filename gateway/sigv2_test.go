package gateway

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func version2Of(secret, text string) string {
	m := hmac.New(sha1.New, []byte(secret))
	io.WriteString(m, text)
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}

// TestVersion2 signs as clients did before version 4, in headers and in URLs.
func TestVersion2(t *testing.T) {
	b := newBucket(t)
	header := func(method, path, date, text string, key Credentials) call {
		return call{Method: method, Path: path, Key: Credentials{Access: "-"}, Headers: map[string]string{"Date": date,
			"Authorization": "AWS " + key.Access + ":" + version2Of(key.Secret, text)}}
	}
	now := time.Now().UTC().Format(http.TimeFormat)
	old := time.Now().UTC().Add(-time.Hour).Format(http.TimeFormat)
	put := header("PUT", "/"+b+"/a%20b", now, "PUT\n\ntext/plain\n"+now+"\nx-amz-meta-c:1 2\n/"+b+"/a%20b", root)
	put.Body, put.Headers["Content-Type"], put.Headers["x-amz-meta-c"] = "hello", "text/plain", "1  2"
	presigned := func(key Credentials, expires int64, path, sub string) call {
		sig := url.QueryEscape(version2Of(key.Secret, fmt.Sprintf("GET\n\n\n%d\n%s", expires, path+sub)))
		q := fmt.Sprintf("?AWSAccessKeyId=%s&Expires=%d&Signature=%s", key.Access, expires, sig)
		return call{Path: path + q + strings.Replace(sub, "?", "&", 1), Key: Credentials{Access: "-"}}
	}
	soon, past := time.Now().Add(time.Minute).Unix(), time.Now().Add(-time.Minute).Unix()
	for _, r := range []row{
		{name: "put", call: put, status: 200},
		{name: "get", call: header("GET", "/"+b+"/a%20b", now, "GET\n\n\n"+now+"\n/"+b+"/a%20b", root), status: 200, header: map[string]string{"X-Amz-Meta-C": "1  2", "Content-Type": "text/plain"}, body: "hello"},
		{name: "subresource", call: header("GET", "/"+b+"?acl", now, "GET\n\n\n"+now+"\n/"+b+"?acl", root), status: 200, body: "FULL_CONTROL"},
		{name: "a list", call: header("GET", "/"+b+"?prefix=a", now, "GET\n\n\n"+now+"\n/"+b, root), status: 200, body: "<Key>a b</Key>"},
		{name: "a list, signed with a slash", call: header("GET", "/"+b+"?prefix=a", now, "GET\n\n\n"+now+"\n/"+b+"/", root), status: 200, body: "<Key>a b</Key>"},
		{name: "an object, signed with a slash", call: header("GET", "/"+b+"/a%20b", now, "GET\n\n\n"+now+"\n/"+b+"/a%20b/", root), status: 403, code: "SignatureDoesNotMatch"},
		{name: "wrong", call: header("GET", "/"+b, now, "GET\n\n\n"+now+"\n/other", root), status: 403, code: "SignatureDoesNotMatch"},
		{name: "nobody", call: header("GET", "/"+b, now, "", Credentials{"nobody", "secret"}), status: 403, code: "InvalidAccessKeyId"},
		{name: "late", call: header("GET", "/"+b, old, "GET\n\n\n"+old+"\n/"+b, root), status: 403, code: "RequestTimeTooSkewed"},
		{name: "no date", call: header("GET", "/"+b, "", "GET\n\n\n\n/"+b, root), status: 403, code: "AccessDenied"},
		{name: "nonsense for a date", call: header("GET", "/"+b, "Bad Date", "GET\n\n\nBad Date\n/"+b, root), status: 403, code: "AccessDenied"},
		{name: "no signature", call: call{Path: "/" + b, Key: Credentials{Access: "-"}, Headers: map[string]string{"Authorization": "AWS HAHAHA"}}, status: 400, code: "InvalidArgument"},
		{name: "URL", call: presigned(root, soon, "/"+b+"/a%20b", ""), status: 200, body: "hello"},
		{name: "URL with an override", call: presigned(root, soon, "/"+b+"/a%20b", "?response-content-type=a"), status: 200, header: map[string]string{"Content-Type": "a"}},
		{name: "URL that ended", call: presigned(root, past, "/"+b+"/a%20b", ""), status: 403, code: "AccessDenied"},
		{name: "URL with another secret", call: presigned(Credentials{root.Access, "another"}, soon, "/"+b+"/a%20b", ""), status: 403, code: "SignatureDoesNotMatch"},
		{name: "no time in the URL", call: call{Path: "/" + b + "?AWSAccessKeyId=root&Signature=x&Expires=never", Key: Credentials{Access: "-"}}, status: 403, code: "AccessDenied"},
	} {
		r.check(t)
	}
}

// TestForms2 sends forms as libraries do: signed with version 2, and each field with a file
// name.
func TestForms2(t *testing.T) {
	b := newBucket(t)
	call{Method: "PUT", Path: "/" + b + "-open", Headers: map[string]string{"x-amz-acl": "public-read-write"}}.want(t, 200, "")
	in := func(d time.Duration) string { return time.Now().UTC().Add(d).Format("2006-01-02T15:04:05Z") }
	conditions := `[{"bucket":"` + b + `"},["starts-with","$key","foo"],{"acl":"private"},["starts-with","$Content-Type","text/plain"],["content-length-range",0,1024]]`
	policy := func(more string) string {
		return `{"expiration":"` + in(time.Hour) + `","conditions":` + strings.TrimSuffix(conditions, "]") + more + `]}`
	}
	post := func(bucket string, fields ...string) (int, string) {
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		for i := 0; i+1 < len(fields); i += 2 {
			p, _ := w.CreateFormFile(fields[i], fields[i])
			io.WriteString(p, fields[i+1])
		}
		w.Close()
		res, err := client.Post(endpoint+"/"+bucket, w.FormDataContentType(), &body)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		out, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(out)
	}
	signed := func(policy string, fields ...string) (int, string) {
		p := base64.StdEncoding.EncodeToString([]byte(policy))
		all := []string{"key", "foo.txt", "AWSAccessKeyId", root.Access, "acl", "private", "signature", version2Of(root.Secret, p), "policy", p, "Content-Type", "text/plain"}
		for i := 0; i+1 < len(fields); i += 2 {
			replaced := false
			for j := 0; j < len(all); j += 2 {
				if strings.EqualFold(all[j], fields[i]) {
					all[j], all[j+1], replaced = fields[i], fields[i+1], true
				}
			}
			if !replaced {
				all = append(all, fields[i], fields[i+1])
			}
		}
		return post(b, append(all, "file", "bar")...)
	}
	for _, c := range []struct {
		name, policy string
		fields       []string
		status       int
	}{
		{"good", policy(""), nil, 204},
		{"metadata", policy(`,["starts-with","$x-amz-meta-foo","bar"]`), []string{"x-amz-meta-foo", "barclamp"}, 204},
		{"ignored", policy(""), []string{"x-ignore-foo", "bar"}, 204},
		{"case of names", strings.NewReplacer(`"acl"`, `"AcL"`, "$key", "$KeY", "starts-with", "StArTs-WiTh").Replace(policy("")), []string{"kEy", "foo.txt", "pOLICy", "", "aCl", "private"}[:2], 204},
		{"status", policy(`,{"success_action_status":"201"}`), []string{"success_action_status", "201"}, 201},
		{"no such key", policy(""), []string{"AWSAccessKeyId", "foo"}, 403},
		{"wrong", policy(""), []string{"signature", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="}, 403},
		{"another key", policy(""), []string{"key", "bar.txt"}, 403},
		{"missing field", policy(`,["starts-with","$x-amz-meta-foo","bar"]`), nil, 403},
		{"extra field", policy(""), []string{"x-amz-meta-foo", "x"}, 403},
		{"other value", policy(`,["eq","$x-amz-meta-foo",""]`), []string{"x-amz-meta-foo", "barclamp"}, 403},
		{"no bucket", strings.Replace(policy(""), `{"bucket":"`+b+`"},`, "", 1), nil, 403},
		{"expired", strings.Replace(policy(""), in(time.Hour)[:13], in(-2 * time.Hour)[:13], 1), nil, 403},
		{"date", strings.Replace(policy(""), "T", " ", 1), nil, 400},
		{"no key", policy(""), []string{"key", ""}, 400},
		{"no expiration", `{"conditions":` + conditions + `}`, nil, 400},
		{"EXPIRATION", strings.Replace(policy(""), "expiration", "EXPIRATION", 1), nil, 400},
		{"no conditions", `{"expiration":"` + in(time.Hour) + `"}`, nil, 400},
		{"CONDITIONS", strings.Replace(policy(""), "conditions", "CONDITIONS", 1), nil, 400},
		{"empty condition", `{"expiration":"` + in(time.Hour) + `","conditions":[{}]}`, nil, 400},
		{"not JSON", "hello", nil, 400},
		{"too large", strings.Replace(policy(""), "0,1024", "0,0", 1), nil, 400},
		{"too small", strings.Replace(policy(""), "0,1024", "512,1000", 1), nil, 400},
		{"half a range", strings.Replace(policy(""), "0,1024", "0", 1), nil, 400},
		{"negative range", strings.Replace(policy(""), "0,1024", "-1,0", 1), nil, 400},
	} {
		call{Method: "DELETE", Path: "/" + b + "/foo.txt"}.want(t, 204, "")
		status, body := signed(c.policy, c.fields...)
		if status != c.status {
			t.Errorf("%s: %d, want %d: %.300s", c.name, status, c.status, body)
		}
		stored := call{Path: "/" + b + "/foo.txt"}.do(t)
		if (status < 300) != (stored.Status == 200 && stored.Body == "bar") {
			t.Errorf("%s: %d, and then %d %q", c.name, status, stored.Status, stored.Body)
		}
	}
	if status, body := post(b+"-open", "key", "foo.txt", "acl", "public-read", "success_action_status", "201", "Content-Type", "text/plain", "file", "bar"); status != 201 || !strings.Contains(body, "<Key>foo.txt</Key>") {
		t.Errorf("without a signature: %d %s", status, body)
	}
	if a := (call{Path: "/" + b + "-open/foo.txt", Key: Credentials{Access: "-"}}).want(t, 200, ""); a.Body != "bar" || a.Header.Get("Content-Type") != "text/plain" {
		t.Errorf("%q %v", a.Body, a.Header)
	}
	if status, body := post(b+"-open", "key", "foo.txt", "success_action_status", "404", "file", "bar"); status != 204 || body != "" {
		t.Errorf("a status that is none: %d %s", status, body)
	}
	if status, _ := post(b, "key", "foo.txt", "file", "bar"); status != 403 {
		t.Errorf("without a signature, into a private bucket: %d", status)
	}
}
