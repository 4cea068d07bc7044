package gateway

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A post is a form of fields in their order, after which the file comes.
type post struct {
	fields   []string // names and values
	filename string
	file     string
	after    string // what is sent behind the file
}

func (p post) send(t *testing.T, bucket string) answer {
	t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for i := 0; i+1 < len(p.fields); i += 2 {
		w.WriteField(p.fields[i], p.fields[i+1])
	}
	part, _ := w.CreateFormFile("file", p.filename)
	io.WriteString(part, p.file)
	if p.after != "" {
		w.WriteField("after", p.after)
	}
	w.Close()
	req, err := http.NewRequest("POST", endpoint+"/"+bucket, &body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", w.FormDataContentType())
	noRedirect := &http.Client{Transport: client.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := noRedirect.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	a := answer{Status: res.StatusCode, Header: res.Header, Body: string(b)}
	if _, code, ok := strings.Cut(a.Body, "<Code>"); ok {
		a.Code, _, _ = strings.Cut(code, "</Code>")
	}
	return a
}

// signedForm are the fields of a form, and those that sign for them and for the conditions.
func signedForm(bucket string, conditions []any, fields ...string) []string {
	stamp := time.Now().UTC().Format(amzTime)
	credential := root.Access + "/" + stamp[:8] + "/us-east-1/s3/aws4_request"
	conditions = append(conditions, map[string]string{"bucket": bucket}, map[string]string{"x-amz-algorithm": "AWS4-HMAC-SHA256"}, map[string]string{"x-amz-credential": credential}, map[string]string{"x-amz-date": stamp})
	doc, _ := json.Marshal(map[string]any{"expiration": time.Now().Add(time.Hour).UTC().Format("2006-01-02T15:04:05Z"), "conditions": conditions})
	text := base64.StdEncoding.EncodeToString(doc)
	sign := signature{scope: strings.Split(credential, "/")[1:]}.sum(root.Secret, text)
	return append(append([]string(nil), fields...), "policy", text, "x-amz-algorithm", "AWS4-HMAC-SHA256", "x-amz-credential", credential, "x-amz-date", stamp, "x-amz-signature", sign)
}

// TestFormRows posts forms of all sizes.
func TestFormRows(t *testing.T) {
	b := newBucket(t)
	starts := func(names ...string) (list []any) {
		for _, n := range names {
			list = append(list, []string{"starts-with", "$" + n, ""})
		}
		return list
	}
	const tagging = "<Tagging><TagSet><Tag><Key>0</Key><Value>zero</Value></Tag><Tag><Key>1</Key><Value>one</Value></Tag></TagSet></Tagging>"
	large := randomText(9<<20, 4)
	for _, c := range []struct {
		name   string
		post   post
		status int
		code   string
		key    string
		header map[string]string // of the object
	}{
		{"plain", post{fields: signedForm(b, starts("key"), "key", "plain"), file: "x"}, 204, "", "plain", map[string]string{"Content-Type": "binary/octet-stream"}},
		{"empty", post{fields: signedForm(b, starts("key"), "key", "empty")}, 204, "", "empty", nil},
		{"name of the file", post{fields: signedForm(b, starts("key"), "key", "up/${filename}"), filename: "fjord.jpg", file: "x"}, 204, "", "up/fjord.jpg", nil},
		{"path of the file", post{fields: signedForm(b, starts("key"), "key", "up/${filename}"), filename: "a/b/fjell.jpg", file: "x"}, 204, "", "up/fjell.jpg", nil},
		{"name twice", post{fields: signedForm(b, starts("key"), "key", "${filename}/${filename}"), filename: "a", file: "x"}, 204, "", "a/a", nil},
		{"large, with the name of its file", post{fields: signedForm(b, append(starts("key"), []any{"content-length-range", 0, 9 << 20}), "key", "large/${filename}"), filename: "fjord.tiff", file: large}, 204, "", "large/fjord.tiff", nil},
		{"larger than may be", post{fields: signedForm(b, append(starts("key"), []any{"content-length-range", 0, 199_999}), "key", "larger"), file: large[:200_000]}, 400, "EntityTooLarge", "", nil},
		{"what comes after the file is nothing", post{fields: signedForm(b, append(starts("key"), []any{"content-length-range", 3, 3}), "key", "after"), file: "abc", after: "more"}, 204, "", "after", map[string]string{"Content-Length": "3"}},
		{"fields", post{fields: signedForm(b, starts("key", "Content-Type", "Cache-Control", "Content-Disposition", "Content-Encoding", "Expires", "x-amz-meta-a"), "key", "fields", "Content-Type", "text/plain", "Cache-Control", "no-cache",
			"Content-Disposition", "inline", "Content-Encoding", "gzip", "Expires", "Thu, 01 Dec 2033 16:00:00 GMT", "x-amz-meta-a", "1"), file: "x"}, 204, "", "fields", map[string]string{"Content-Type": "text/plain", "Cache-Control": "no-cache",
			"Content-Disposition": "inline", "Content-Encoding": "gzip", "Expires": "Thu, 01 Dec 2033 16:00:00 GMT", "X-Amz-Meta-A": "1"}},
		{"tags", post{fields: signedForm(b, starts("key", "tagging"), "key", "tags", "tagging", tagging), file: "x"}, 204, "", "tags", map[string]string{"X-Amz-Tagging-Count": "2"}},
		{"tags that are none", post{fields: signedForm(b, starts("key", "tagging"), "key", "notags", "tagging", "x=1"), file: "x"}, 400, "MalformedXML", "", nil},
		{"class", post{fields: signedForm(b, starts("key", "x-amz-storage-class"), "key", "class", "x-amz-storage-class", "STANDARD_IA"), file: "x"}, 204, "", "class", map[string]string{"X-Amz-Storage-Class": "STANDARD_IA"}},
		{"status 200", post{fields: signedForm(b, starts("key", "success_action_status"), "key", "s200", "success_action_status", "200"), file: "x"}, 200, "", "s200", nil},
		{"status 201", post{fields: signedForm(b, starts("key", "success_action_status"), "key", "s201", "success_action_status", "201"), file: "x"}, 201, "", "s201", nil},
		{"redirect", post{fields: signedForm(b, starts("key", "success_action_redirect"), "key", "redirect", "success_action_redirect", "http://example.com/done?x=1"), file: "x"}, 303, "", "redirect", nil},
		{"checksum", post{fields: signedForm(b, starts("key", "x-amz-checksum-crc32"), "key", "sum", "x-amz-checksum-crc32", crc32Of("x")), file: "x"}, 204, "", "sum", nil},
		{"wrong checksum", post{fields: signedForm(b, starts("key", "x-amz-checksum-crc32"), "key", "wrong", "x-amz-checksum-crc32", "AAAAAA=="), file: "x"}, 400, "BadDigest", "", nil},
		{"too many fields", post{fields: signedForm(b, starts("key", "x-amz-meta-a"), "key", "big", "x-amz-meta-a", strings.Repeat("x", 30<<10)), file: "x"}, 400, "MaxPostPreDataLengthExceededError", "", nil},
		{"a long key", post{fields: signedForm(b, starts("key"), "key", strings.Repeat("k", 1025)), file: "x"}, 400, "KeyTooLongError", "", nil},
		{"encryption", post{fields: signedForm(b, starts("key", "x-amz-server-side-encryption"), "key", "sse", "x-amz-server-side-encryption", "AES256"), file: "x"}, 501, "NotImplemented", "", nil},
		{"lock", post{fields: signedForm(b, starts("key", "x-amz-object-lock-mode"), "key", "lock", "x-amz-object-lock-mode", "GOVERNANCE"), file: "x"}, 501, "NotImplemented", "", nil},
		{"no such bucket", post{fields: signedForm(b+"-none", starts("key"), "key", "k"), file: "x"}, 404, "NoSuchBucket", "", nil},
	} {
		bucket := b
		if c.name == "no such bucket" {
			bucket += "-none"
		}
		a := c.post.send(t, bucket)
		if a.Status != c.status || a.Code != c.code {
			t.Errorf("%s: %d %s, want %d %s\n%.300s", c.name, a.Status, a.Code, c.status, c.code, a.Body)
			continue
		}
		if len(a.Header.Values("X-Amz-Request-Id")) != 1 || a.Header.Get("Server") != "wattle" {
			t.Errorf("%s: %v", c.name, a.Header)
		}
		if c.key == "" {
			continue
		}
		got := call{Path: "/" + b + "/" + escape(c.key)}.want(t, 200, "")
		if got.Body != c.post.file {
			t.Errorf("%s: %d bytes came back as %d", c.name, len(c.post.file), len(got.Body))
		}
		for name, value := range c.header {
			if got.Header.Get(name) != value {
				t.Errorf("%s: %s %q, want %q", c.name, name, got.Header.Get(name), value)
			}
		}
		if c.status == 303 && (!strings.HasPrefix(a.Header.Get("Location"), "http://example.com/done?") || !strings.Contains(a.Header.Get("Location"), "key=redirect") || !strings.Contains(a.Header.Get("Location"), "x=1")) {
			t.Errorf("%s: to %s", c.name, a.Header.Get("Location"))
		}
		if c.status == 201 && (!strings.Contains(a.Body, "<PostResponse ") || !strings.Contains(a.Body, "<Key>s201</Key>") || a.Header.Get("Location") == "") {
			t.Errorf("%s: %s %v", c.name, a.Body, a.Header)
		}
	}
	if a := (call{Path: "/" + b + "/tags?tagging"}).want(t, 200, ""); !strings.Contains(a.Body, "<Key>1</Key><Value>one</Value>") {
		t.Error(a.Body)
	}
}
