package gateway

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// newUser makes a user and returns its key.
func newUser(t *testing.T, name, role string) Credentials {
	t.Helper()
	u, err := users.Add(context.Background(), name, "", role)
	if err != nil {
		t.Fatal(err)
	}
	return Credentials{name, u.Secret}
}

// setPolicy puts a policy whose statements may write BUCKET.
func setPolicy(t *testing.T, bucket string, statements ...string) {
	t.Helper()
	doc := strings.ReplaceAll(`{"Version":"2012-10-17","Statement":[`+strings.Join(statements, ",")+`]}`, "BUCKET", bucket)
	call{Method: "PUT", Path: "/" + bucket + "?policy", Body: doc}.want(t, 204, "")
}

// say is a statement for everyone.
func say(effect, actions, resource, condition string) string {
	s := fmt.Sprintf(`{"Effect":%q,"Principal":"*","Action":[%s],"Resource":"arn:aws:s3:::%s"`, effect, `"s3:`+strings.ReplaceAll(actions, " ", `","s3:`)+`"`, resource)
	if condition != "" {
		s += `,"Condition":` + condition
	}
	return s + "}"
}

var anyone = Credentials{Access: "-"}

// with returns a call with headers, which come in pairs of name and value.
func (c call) with(headers ...string) call {
	all := map[string]string{}
	for k, v := range c.Headers {
		all[k] = v
	}
	for i := 0; i+1 < len(headers); i += 2 {
		all[headers[i]] = headers[i+1]
	}
	c.Headers = all
	return c
}

// TestPolicyConditions: policies decide by what the request says of itself, and by the object
// that is there.
func TestPolicyConditions(t *testing.T) {
	ines := newUser(t, "ines", RoleUser)
	b := newBucket(t)
	get := func(key string) call { return call{Path: "/" + b + "/" + key, Key: ines} }
	put := func(key string, headers ...string) call {
		return call{Method: "PUT", Path: "/" + b + "/" + key, Body: "x", Key: ines}.with(headers...)
	}
	list := func(query string) call { return call{Path: "/" + b + "?" + query, Key: ines} }
	putObject(t, b, "red", "x", "x-amz-tagging", "color=red")
	putObject(t, b, "blue", "x", "x-amz-tagging", "color=blue")
	putObject(t, b, "home/ines/k", "x")
	putObject(t, b, "a*", "x")
	putObject(t, b, "ab", "x")
	tags := func(key, value string) call {
		doc := "<Tagging><TagSet><Tag><Key>" + key + "</Key><Value>" + value + "</Value></Tag></TagSet></Tagging>"
		return call{Method: "PUT", Path: "/" + b + "/red?tagging", Body: doc, Key: ines, Headers: md5Header(doc)}
	}
	copied := func(source string, headers ...string) call {
		return call{Method: "PUT", Path: "/" + b + "/copy", Key: ines}.with(append(headers, "x-amz-copy-source", source)...)
	}
	yes := func(name string, c call) row { return row{name: name, call: c, status: 200} }
	no := func(name string, c call) row { return row{name: name, call: c, status: 403, code: "AccessDenied"} }
	for _, c := range []struct {
		name       string
		statements []string
		rows       []row
	}{
		{"the tag of an object", []string{say("Allow", "GetObject GetObjectTagging", "BUCKET/*", `{"StringEquals":{"s3:ExistingObjectTag/color":"red"}}`)},
			[]row{yes("has it", get("red")), yes("its tags", call{Path: "/" + b + "/red?tagging", Key: ines}), no("another value", get("blue")), no("none", get("home/ines/k")), no("not there", get("none")), no("another action", put("red"))}},
		{"the tags that are given", []string{say("Allow", "PutObject PutObjectTagging", "BUCKET/*", `{"StringEquals":{"s3:RequestObjectTag/team":"a"},"ForAllValues:StringEquals":{"s3:RequestObjectTagKeys":["team","color"]}}`)},
			[]row{yes("right", put("k", "x-amz-tagging", "team=a&color=x")), no("wrong", put("k", "x-amz-tagging", "team=b")), no("none", put("k")), no("one more", put("k", "x-amz-tagging", "team=a&x=y")),
				no("a document", tags("team", "b")), yes("a right document", tags("team", "a"))}},
		{"where a copy comes from", []string{say("Allow", "PutObject", "BUCKET/*", `{"StringLike":{"s3:x-amz-copy-source":"/BUCKET/re*"}}`), say("Allow", "GetObject", "BUCKET/*", "")},
			[]row{yes("there", copied(b+"/red")), yes("with a slash", copied("/"+b+"/red")), no("elsewhere", copied(b+"/blue")), no("no copy", put("k"))}},
		{"where a copy comes from, as clients write it", []string{say("Allow", "PutObject GetObject", "BUCKET/*", ""), say("Deny", "PutObject", "BUCKET/*", `{"StringNotLike":{"s3:x-amz-copy-source":"BUCKET/re*"}}`)},
			[]row{yes("there", copied("/"+b+"/red")), no("elsewhere", copied(b+"/blue")), no("no copy", put("k"))}},
		{"that metadata is copied", []string{say("Allow", "PutObject", "BUCKET/*", `{"StringEquals":{"s3:x-amz-metadata-directive":"COPY"}}`), say("Allow", "GetObject", "BUCKET/*", "")},
			[]row{yes("said", copied(b+"/red", "x-amz-metadata-directive", "COPY")), no("not said", copied(b+"/red"))}},
		{"what becomes of metadata", []string{say("Allow", "PutObject", "BUCKET/*", `{"StringEquals":{"s3:x-amz-metadata-directive":"REPLACE"}}`), say("Allow", "GetObject", "BUCKET/*", "")},
			[]row{yes("replaced", copied(b+"/red", "x-amz-metadata-directive", "REPLACE")), no("copied", copied(b+"/red"))}},
		{"the source of a copy may be denied", []string{say("Allow", "PutObject GetObject", "BUCKET/*", ""), say("Deny", "GetObject", "BUCKET/blue", "")},
			[]row{yes("another", copied(b+"/red")), no("denied", copied(b+"/blue"))}},
		{"a canned list", []string{say("Allow", "PutObject", "BUCKET/*", ""), say("Deny", "PutObject", "BUCKET/*", `{"StringLike":{"s3:x-amz-acl":"public*"}}`)},
			[]row{yes("none", put("k")), yes("private", put("k", "x-amz-acl", "private")), no("public", put("k", "x-amz-acl", "public-read"))}},
		{"a grant", []string{say("Allow", "PutObject", "BUCKET/*", `{"StringEquals":{"s3:x-amz-grant-full-control":"id=root"}}`)},
			[]row{yes("it", put("k", "x-amz-grant-full-control", "id=root")), no("none", put("k"))}},
		{"what is listed", []string{say("Allow", "ListBucket", "BUCKET", `{"StringLike":{"s3:prefix":["home/${aws:username}/*",""]},"StringEqualsIfExists":{"s3:delimiter":"/"},"NumericLessThanEqualsIfExists":{"s3:max-keys":10}}`)},
			[]row{yes("home", list("prefix=home%2Fines%2F")), yes("the top", list("prefix=&delimiter=%2F")), no("another's", list("prefix=home%2Fanna%2F")), no("all", list("list-type=2")),
				no("another delimiter", list("prefix=&delimiter=-")), yes("few", list("prefix=&max-keys=10")), no("many", list("prefix=&max-keys=11"))}},
		{"homes", []string{say("Allow", "GetObject PutObject", "BUCKET/home/${aws:username}/*", "")}, []row{yes("read", get("home/ines/k")), yes("write", put("home/ines/l")), no("another's", get("home/anna/k"))}},
		{"where it comes from", []string{say("Allow", "GetObject", "BUCKET/red", `{"IpAddress":{"aws:SourceIp":"127.0.0.0/8"}}`), say("Allow", "GetObject", "BUCKET/blue", `{"NotIpAddress":{"aws:SourceIp":"127.0.0.0/8"}}`)},
			[]row{yes("here", get("red")), no("elsewhere", get("blue"))}},
		{"the connection", []string{say("Allow", "GetObject", "BUCKET/*", ""), say("Deny", "GetObject", "BUCKET/red", `{"Bool":{"aws:SecureTransport":"false"}}`)}, []row{no("plain", get("red")), yes("any", get("blue"))}},
		{"a referer", []string{say("Allow", "GetObject", "BUCKET/*", `{"StringLike":{"aws:Referer":["http://a.example/*"]}}`)},
			[]row{yes("right", get("red").with("Referer", "http://a.example/x")), no("wrong", get("red").with("Referer", "http://b.example/x")), no("none", get("red"))}},
		{"a referer if there is one", []string{say("Allow", "GetObject", "BUCKET/*", `{"StringLikeIfExists":{"aws:Referer":"http://a.example/*"}}`)},
			[]row{yes("right", get("red").with("Referer", "http://a.example/x")), no("wrong", get("red").with("Referer", "http://b.example/x")), yes("none", get("red"))}},
		{"an agent", []string{say("Allow", "GetObject", "BUCKET/*", `{"StringEquals":{"aws:UserAgent":"good"}}`)}, []row{yes("right", get("red").with("User-Agent", "good")), no("wrong", get("red").with("User-Agent", "bad"))}},
		{"a time", []string{say("Allow", "GetObject", "BUCKET/red", `{"DateGreaterThan":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}}`), say("Allow", "GetObject", "BUCKET/blue", `{"DateLessThan":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}}`)},
			[]row{yes("after", get("red")), no("before", get("blue"))}},
		{"encryption", []string{say("Allow", "PutObject", "BUCKET/*", ""), say("Deny", "PutObject", "BUCKET/*", `{"Null":{"s3:x-amz-server-side-encryption":"true"}}`)}, []row{no("none", put("k"))}},
		{"a kind of storage", []string{say("Allow", "PutObject", "BUCKET/*", `{"StringEquals":{"s3:x-amz-storage-class":"STANDARD_IA"}}`)}, []row{yes("right", put("k", "x-amz-storage-class", "STANDARD_IA")), no("none", put("k"))}},
		{"how it was signed", []string{say("Allow", "GetObject", "BUCKET/*", `{"StringEquals":{"s3:authType":"REST-HEADER","s3:signatureversion":"AWS4-HMAC-SHA256"}}`)}, []row{yes("header", get("red")), no("not at all", call{Path: "/" + b + "/red", Key: anyone})}},
		{"all but a user", []string{`{"Effect":"Deny","NotPrincipal":{"AWS":["arn:aws:iam:::user/ines","root"]},"Action":"s3:*","Resource":["arn:aws:s3:::BUCKET","arn:aws:s3:::BUCKET/*"]}`, say("Allow", "GetObject", "BUCKET/*", "")},
			[]row{yes("the user", get("red")), no("others", call{Path: "/" + b + "/red", Key: anyone})}},
		{"all but an action", []string{`{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::123456789012:user/ines"]},"NotAction":["s3:PutObject","s3:DeleteObject"],"Resource":["arn:aws:s3:::BUCKET","arn:aws:s3:::BUCKET/*"]}`},
			[]row{yes("read", get("red")), yes("list", list("")), no("write", put("red")), no("a stranger", call{Path: "/" + b + "/red", Key: anyone})}},
		{"all but a resource", []string{`{"Effect":"Allow","Principal":{"AWS":"ines"},"Action":"s3:GetObject","NotResource":"arn:aws:s3:::BUCKET/b*"}`}, []row{yes("read", get("red")), no("not that", get("blue"))}},
		{"keys that look like patterns", []string{say("Allow", "GetObject", "BUCKET/a${*}", "")}, []row{yes("that key", get("a*")), no("not others", get("ab"))}},
		{"only the objects", []string{say("Allow", "GetObject", "BUCKET/*", "")}, []row{yes("one", get("red")), no("whether one is there", get("none")), no("nor its list", call{Path: "/" + b + "/none?acl", Key: ines})}},
		{"objects and keys", []string{say("Allow", "GetObject", "BUCKET/*", ""), say("Allow", "ListBucket", "BUCKET", "")}, []row{{name: "not there", call: get("none"), status: 404, code: "NoSuchKey"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			setPolicy(t, b, c.statements...)
			for _, r := range c.rows {
				r.check(t)
			}
		})
	}
	call{Method: "DELETE", Path: "/" + b + "?policy"}.want(t, 204, "")
}

// TestPolicyAndLists: what either allows is allowed, but what the policy denies is not.
func TestPolicyAndLists(t *testing.T) {
	jan := newUser(t, "jan", RoleUser)
	b := newBucket(t)
	call{Method: "PUT", Path: "/" + b + "?acl"}.with("x-amz-acl", "public-read").want(t, 200, "")
	putObject(t, b, "open", "x", "x-amz-acl", "public-read")
	putObject(t, b, "shut", "x", "x-amz-acl", "public-read")
	putObject(t, b, "own", "x")
	setPolicy(t, b, say("Deny", "GetObject", "BUCKET/shut", ""), say("Allow", "PutObject", "BUCKET/in/*", ""))
	row{name: "the list of what is not there", call: call{Path: "/" + b + "/none?acl", Key: jan}, status: 403, code: "AccessDenied"}.check(t)
	row{name: "to set it, unsigned", call: call{Method: "PUT", Path: "/" + b + "/none?acl", Key: anyone}.with("x-amz-acl", "private"), status: 403, code: "AccessDenied"}.check(t)
	row{name: "as the owner", call: call{Path: "/" + b + "/none?acl"}, status: 404, code: "NoSuchKey"}.check(t)
	for _, key := range []Credentials{jan, anyone} {
		call{Path: "/" + b, Key: key}.want(t, 200, "")
		call{Path: "/" + b + "/open", Key: key}.want(t, 200, "")
		call{Path: "/" + b + "/shut", Key: key}.want(t, 403, "AccessDenied")
		call{Path: "/" + b + "/own", Key: key}.want(t, 403, "AccessDenied")
		call{Method: "PUT", Path: "/" + b + "/in/k", Body: "x", Key: key}.want(t, 200, "")
		call{Method: "PUT", Path: "/" + b + "/k", Body: "x", Key: key}.want(t, 403, "AccessDenied")
	}
}

// TestPolicyOfOwner: what a policy denies to all it denies to its bucket's owner and to
// administrators; they may always see and replace it.
func TestPolicyOfOwner(t *testing.T) {
	kari, lars := newUser(t, "kari", RoleMaker), newUser(t, "lars", RoleUser)
	const b = "of-kari"
	call{Method: "PUT", Path: "/" + b, Key: kari}.want(t, 200, "")
	call{Method: "PUT", Path: "/" + b + "/k", Body: "x", Key: kari}.want(t, 200, "")
	everything := `{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::BUCKET","arn:aws:s3:::BUCKET/*"]}`
	many := "<Delete><Object><Key>k</Key></Object></Delete>"
	for _, key := range []Credentials{kari, root} {
		setPolicy(t, b, everything)
		for _, r := range []row{
			{name: "read", call: call{Path: "/" + b + "/k"}},
			{name: "write", call: call{Method: "PUT", Path: "/" + b + "/k", Body: "y"}},
			{name: "delete", call: call{Method: "DELETE", Path: "/" + b + "/k"}},
			{name: "list", call: call{Path: "/" + b}},
			{name: "tags", call: call{Path: "/" + b + "/k?tagging"}},
			{name: "acl", call: call{Path: "/" + b + "?acl"}},
			{name: "block", call: call{Path: "/" + b + "?publicAccessBlock"}},
			{name: "versioning", call: call{Path: "/" + b + "?versioning"}},
			{name: "uploads", call: call{Method: "POST", Path: "/" + b + "/k?uploads"}},
			{name: "status", call: call{Path: "/" + b + "?policyStatus"}},
			{name: "bucket", call: call{Method: "DELETE", Path: "/" + b}},
			{name: "copy", call: call{Method: "PUT", Path: "/" + b + "/l"}.with("x-amz-copy-source", b+"/k")},
		} {
			r.call.Key, r.status, r.code = key, 403, "AccessDenied"
			r.check(t)
		}
		if a := (call{Method: "POST", Path: "/" + b + "?delete", Body: many, Key: key, Headers: md5Header(many)}).do(t); a.Status == 200 && !strings.Contains(a.Body, "<Code>AccessDenied</Code>") {
			t.Errorf("%s deletes many: %s", key.Access, a.Body)
		}
		call{Path: "/" + b + "?policy", Key: lars}.want(t, 403, "AccessDenied")
		call{Path: "/" + b + "?policy", Key: key}.want(t, 200, "")
		call{Method: "DELETE", Path: "/" + b + "?policy", Key: key}.want(t, 204, "")
		call{Path: "/" + b + "/k", Key: key}.want(t, 200, "")
	}
	setPolicy(t, b, say("Allow", "GetBucketPolicy PutBucketPolicy GetBucketVersioning", "BUCKET", ""))
	call{Path: "/" + b + "?policy", Key: lars}.want(t, 405, "MethodNotAllowed") // a policy is of the owner's account
	call{Method: "PUT", Path: "/" + b + "?policy", Body: "{}", Key: lars}.want(t, 405, "MethodNotAllowed")
	call{Path: "/" + b + "?versioning", Key: lars}.want(t, 200, "")
}

// TestPublicAccessBlock: each of its switches does what it says.
func TestPublicAccessBlock(t *testing.T) {
	mona := newUser(t, "mona", RoleUser)
	b := newBucket(t)
	at := "/" + b + "?publicAccessBlock"
	block := func(switches ...string) call {
		doc := "<PublicAccessBlockConfiguration>"
		for _, s := range switches {
			doc += "<" + s + ">true</" + s + ">"
		}
		doc += "</PublicAccessBlockConfiguration>"
		return call{Method: "PUT", Path: at, Body: doc, Headers: md5Header(doc)}
	}
	acl := func(path, name string) call {
		return call{Method: "PUT", Path: "/" + b + path + "?acl"}.with("x-amz-acl", name)
	}
	public := strings.ReplaceAll(`{"Version":"2012-10-17","Statement":[`+say("Allow", "GetObject", "BUCKET/*", "")+`]}`, "BUCKET", b)
	few := strings.Replace(public, `"Principal":"*"`, `"Principal":{"AWS":"mona"}`, 1)
	policy := func(doc string) call { return call{Method: "PUT", Path: "/" + b + "?policy", Body: doc} }
	status := call{Path: "/" + b + "?policyStatus"}
	upload := call{Method: "POST", Path: "/" + b + "/u?uploads"}
	putObject(t, b, "k", "x", "x-amz-acl", "public-read")
	acl("", "public-read").want(t, 200, "")
	get, list := call{Path: "/" + b + "/k"}, call{Path: "/" + b}
	by := func(c call, key Credentials) call { c.Key = key; return c }
	for _, r := range []row{
		{name: "none", call: call{Path: at}, status: 404, code: "NoSuchPublicAccessBlockConfiguration"},
		{name: "a stranger sees none", call: by(call{Path: at}, mona), status: 403, code: "AccessDenied"},
		{name: "a stranger sets none", call: by(block(), mona), status: 403, code: "AccessDenied"},
		{name: "nobody sets none", call: by(block(), anyone), status: 403, code: "AccessDenied"},
		{name: "no XML", call: call{Method: "PUT", Path: at, Body: "x"}, status: 400, code: "MalformedXML"},
		{name: "a wrong digest", call: block().with("Content-MD5", md5Header("x")["Content-MD5"]), status: 400, code: "BadDigest"},
		{name: "no bucket", call: call{Path: "/no-such-bucket?publicAccessBlock"}, status: 404, code: "NoSuchBucket"},

		{name: "no public lists", call: block("BlockPublicAcls"), status: 200},
		{name: "told", call: call{Path: at}, status: 200, body: "<BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>false</IgnorePublicAcls><BlockPublicPolicy>false</BlockPublicPolicy><RestrictPublicBuckets>false</RestrictPublicBuckets>"},
		{name: "a bucket's", call: acl("", "public-read-write"), status: 403, code: "AccessDenied"},
		{name: "of all users", call: acl("", "authenticated-read"), status: 403, code: "AccessDenied"},
		{name: "by headers", call: call{Method: "PUT", Path: "/" + b + "?acl"}.with("x-amz-grant-read", `uri="http://acs.amazonaws.com/groups/global/AllUsers"`), status: 403, code: "AccessDenied"},
		{name: "an object's", call: acl("/k", "public-read"), status: 403, code: "AccessDenied"},
		{name: "an object to put", call: call{Method: "PUT", Path: "/" + b + "/l", Body: "x"}.with("x-amz-acl", "public-read"), status: 403, code: "AccessDenied"},
		{name: "which is not there", call: call{Path: "/" + b + "/l"}, status: 404, code: "NoSuchKey"},
		{name: "an object to copy", call: call{Method: "PUT", Path: "/" + b + "/l"}.with("x-amz-acl", "public-read", "x-amz-copy-source", b+"/k"), status: 403, code: "AccessDenied"},
		{name: "an upload", call: upload.with("x-amz-acl", "public-read"), status: 403, code: "AccessDenied"},
		{name: "private ones", call: call{Method: "PUT", Path: "/" + b + "/l", Body: "x"}.with("x-amz-acl", "private"), status: 200},
		{name: "of a user", call: call{Method: "PUT", Path: "/" + b + "/l?acl"}.with("x-amz-grant-read", "id=mona"), status: 200},
		{name: "what was public is", call: by(get, anyone), status: 200},

		{name: "ignored lists", call: block("IgnorePublicAcls"), status: 200},
		{name: "no read", call: by(get, anyone), status: 403, code: "AccessDenied"},
		{name: "of users neither", call: by(get, mona), status: 403, code: "AccessDenied"},
		{name: "no listing", call: by(list, anyone), status: 403, code: "AccessDenied"},
		{name: "by users neither", call: by(list, mona), status: 403, code: "AccessDenied"},
		{name: "but by the owner", call: list, status: 200},
		{name: "a user's own grant", call: call{Path: "/" + b + "/l", Key: mona}, status: 200},
		{name: "which are still told", call: call{Path: "/" + b + "?acl"}, status: 200, body: "AllUsers"},
		{name: "and set", call: acl("", "public-read"), status: 200},

		{name: "no public policy", call: block("BlockPublicPolicy", "IgnorePublicAcls"), status: 200},
		{name: "refused", call: policy(public), status: 403, code: "AccessDenied"},
		{name: "and not there", call: status, status: 404, code: "NoSuchBucketPolicy"},
		{name: "one for a user", call: policy(few), status: 204},
		{name: "is not public", call: status, status: 200, body: "<IsPublic>false</IsPublic>"},
		{name: "and holds", call: by(get, mona), status: 200},

		{name: "restricted", call: block("RestrictPublicBuckets", "IgnorePublicAcls"), status: 200},
		{name: "not what is not public", call: by(get, mona), status: 200},
		{name: "a public policy", call: policy(public), status: 204},
		{name: "is public", call: status, status: 200, body: "<IsPublic>true</IsPublic>"},
		{name: "not for strangers", call: by(get, anyone), status: 403, code: "AccessDenied"},
		{name: "nor users", call: by(get, mona), status: 403, code: "AccessDenied"},
		{name: "but for the owner", call: get, status: 200},

		{name: "taken away", call: call{Method: "DELETE", Path: at}, status: 204},
		{name: "again", call: call{Method: "DELETE", Path: at}, status: 204},
		{name: "gone", call: call{Path: at}, status: 404, code: "NoSuchPublicAccessBlockConfiguration"},
		{name: "all is open", call: by(get, anyone), status: 200},
	} {
		r.check(t)
	}
}

// TestAbsentSettings: of what no bucket has S3's answers for a bucket without it are given,
// and what would switch it on is refused.
func TestAbsentSettings(t *testing.T) {
	nora := newUser(t, "nora", RoleUser)
	b := newBucket(t)
	at := func(method, sub, body string) call {
		return call{Method: method, Path: "/" + b + "?" + sub, Body: body, Headers: md5Header(body)}
	}
	for _, r := range []row{
		{name: "payer", call: at("GET", "requestPayment", ""), status: 200, body: "<Payer>BucketOwner</Payer>"},
		{name: "the payer as it is", call: at("PUT", "requestPayment", "<RequestPaymentConfiguration><Payer>BucketOwner</Payer></RequestPaymentConfiguration>"), status: 200},
		{name: "another payer", call: at("PUT", "requestPayment", "<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>"), status: 501, code: "NotImplemented"},
		{name: "acceleration", call: at("GET", "accelerate", ""), status: 200, body: `<AccelerateConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></AccelerateConfiguration>`},
		{name: "to accelerate", call: at("PUT", "accelerate", "<AccelerateConfiguration><Status>Enabled</Status></AccelerateConfiguration>"), status: 501, code: "NotImplemented"},
		{name: "logging", call: at("GET", "logging", ""), status: 200, body: "></BucketLoggingStatus>"},
		{name: "no logging", call: at("PUT", "logging", "<BucketLoggingStatus/>"), status: 200},
		{name: "to log", call: at("PUT", "logging", "<BucketLoggingStatus><LoggingEnabled><TargetBucket>x</TargetBucket></LoggingEnabled></BucketLoggingStatus>"), status: 501, code: "NotImplemented"},
		{name: "notification", call: at("GET", "notification", ""), status: 200, body: "></NotificationConfiguration>"},
		{name: "no notification", call: at("PUT", "notification", "<NotificationConfiguration></NotificationConfiguration>"), status: 200},
		{name: "to notify", call: at("PUT", "notification", "<NotificationConfiguration><EventBridgeConfiguration/></NotificationConfiguration>"), status: 501, code: "NotImplemented"},
		{name: "encryption", call: at("GET", "encryption", ""), status: 404, code: "ServerSideEncryptionConfigurationNotFoundError"},
		{name: "to encrypt", call: at("PUT", "encryption", "<ServerSideEncryptionConfiguration/>"), status: 501, code: "NotImplemented"},
		{name: "not to encrypt", call: at("DELETE", "encryption", ""), status: 204},
		{name: "replication", call: at("GET", "replication", ""), status: 404, code: "ReplicationConfigurationNotFoundError"},
		{name: "to replicate", call: at("PUT", "replication", "<ReplicationConfiguration/>"), status: 501, code: "NotImplemented"},
		{name: "not to replicate", call: at("DELETE", "replication", ""), status: 204},
		{name: "inventories", call: at("GET", "inventory", ""), status: 200, body: "<IsTruncated>false</IsTruncated>"},
		{name: "an inventory", call: at("GET", "inventory&id=x", ""), status: 404, code: "NoSuchConfiguration"},
		{name: "no inventory", call: at("DELETE", "inventory&id=x", ""), status: 404, code: "NoSuchConfiguration"},
		{name: "to take one", call: at("PUT", "inventory&id=x", "<InventoryConfiguration/>"), status: 501, code: "NotImplemented"},
		{name: "metrics", call: at("GET", "metrics&id=x", ""), status: 404, code: "NoSuchConfiguration"},
		{name: "analytics", call: at("GET", "analytics", ""), status: 200, body: "<ListBucketAnalyticsConfigurationResult"},
		{name: "tiering", call: at("GET", "intelligent-tiering", ""), status: 200, body: "<IsTruncated>false</IsTruncated>"},
		{name: "no bucket", call: call{Path: "/no-such-bucket?logging"}, status: 404, code: "NoSuchBucket"},
		{name: "a wrong signature", call: call{Path: "/" + b + "?logging", Broken: true}, status: 403, code: "SignatureDoesNotMatch"},
		{name: "another owner", call: at("GET", "logging", "").with("x-amz-expected-bucket-owner", "nora"), status: 403, code: "AccessDenied"},
		{name: "a stranger", call: call{Path: "/" + b + "?logging", Key: nora}, status: 403, code: "AccessDenied"},
	} {
		r.check(t)
	}
	setPolicy(t, b, say("Allow", "GetBucketLogging", "BUCKET", ""))
	call{Path: "/" + b + "?logging", Key: nora}.want(t, 200, "")
	call{Path: "/" + b + "?notification", Key: nora}.want(t, 403, "AccessDenied")
	if a := (call{Path: "/" + b + "?policy"}).want(t, 200, ""); a.Header.Get("Content-Type") != "application/json" || http.StatusText(a.Status) == "" {
		t.Errorf("a policy is %q", a.Header.Get("Content-Type"))
	}
}
