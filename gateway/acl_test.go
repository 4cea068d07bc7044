package gateway

import (
	"context"
	"strings"
	"testing"
)

func TestACL(t *testing.T) {
	ctx := context.Background()
	u, err := users.Add(ctx, "dora", "", RoleUser)
	if err != nil {
		t.Fatal(err)
	}
	dora, anyone := Credentials{"dora", u.Secret}, Credentials{Access: "-"}
	b := newBucket(t)
	putObject(t, b, "k", "x")
	if a := (call{Path: "/" + b + "?acl"}).want(t, 200, ""); !strings.Contains(a.Body, "<ID>root</ID>") || !strings.Contains(a.Body, "FULL_CONTROL") {
		t.Error(a.Body)
	}
	put := func(acl string) call {
		return call{Method: "PUT", Path: "/" + b + "?acl", Headers: map[string]string{"x-amz-acl": acl}}
	}
	own := func(rule string) {
		doc := "<OwnershipControls><Rule><ObjectOwnership>" + rule + "</ObjectOwnership></Rule></OwnershipControls>"
		call{Method: "PUT", Path: "/" + b + "?ownershipControls", Body: doc, Headers: md5Header(doc)}.want(t, 200, "")
	}
	own("BucketOwnerEnforced")
	put("public-read").want(t, 400, "AccessControlListNotSupported")
	own("BucketOwnerPreferred")
	if a := (call{Path: "/" + b + "?ownershipControls"}).want(t, 200, ""); !strings.Contains(a.Body, "BucketOwnerPreferred") {
		t.Error(a.Body)
	}
	put("nonsense").want(t, 400, "InvalidArgument")
	put("public-read").want(t, 200, "")
	call{Path: "/" + b, Key: anyone}.want(t, 200, "")
	call{Path: "/" + b + "/k", Key: anyone}.want(t, 403, "AccessDenied") // a bucket's list is not its objects'
	call{Path: "/" + b + "/none", Key: anyone}.want(t, 404, "NoSuchKey")
	call{Method: "PUT", Path: "/" + b + "/x", Body: "x", Key: anyone}.want(t, 403, "AccessDenied")
	put("private").want(t, 200, "")
	call{Path: "/" + b + "/k", Key: anyone}.want(t, 403, "AccessDenied")
	call{Path: "/" + b, Key: dora}.want(t, 403, "AccessDenied")
	grant := call{Method: "PUT", Path: "/" + b + "?acl", Headers: map[string]string{"x-amz-grant-read": `id="dora", uri="http://acs.amazonaws.com/groups/s3/LogDelivery"`}}
	grant.want(t, 200, "")
	call{Path: "/" + b, Key: dora}.want(t, 200, "")
	call{Path: "/" + b + "/k", Key: dora}.want(t, 403, "AccessDenied")
	call{Method: "PUT", Path: "/" + b + "/x", Body: "x", Key: dora}.want(t, 403, "AccessDenied")
	for value, code := range map[string]string{"nobody": "InvalidArgument", `uri="http://example.com/"`: "InvalidArgument", `emailAddress="a@example.com"`: "UnresolvableGrantByEmailAddress", "name=dora": "InvalidArgument"} {
		grant.Headers["x-amz-grant-read"] = value
		grant.want(t, 400, code)
	}
}

// TestACLMatrix: what a list of a bucket and one of an object let others do.
func TestACLMatrix(t *testing.T) {
	u, err := users.Add(context.Background(), "emil", "", RoleUser)
	if err != nil {
		t.Fatal(err)
	}
	emil, anyone := Credentials{"emil", u.Secret}, Credentials{Access: "-"}
	status := func(ok bool) (int, string) {
		if ok {
			return 200, ""
		}
		return 403, "AccessDenied"
	}
	for _, c := range []struct {
		bucket, object               string
		list, write, read, anonymous bool
	}{
		{"private", "private", false, false, false, false},
		{"private", "public-read", false, false, true, true},
		{"private", "public-read-write", false, false, true, true},
		{"private", "authenticated-read", false, false, true, false},
		{"public-read", "private", true, false, false, false},
		{"public-read", "public-read", true, false, true, true},
		{"public-read-write", "private", true, true, false, false},
		{"public-read-write", "public-read-write", true, true, true, true},
	} {
		t.Run(c.bucket+"/"+c.object, func(t *testing.T) {
			b := newBucket(t)
			call{Method: "PUT", Path: "/" + b + "?acl", Headers: map[string]string{"x-amz-acl": c.bucket}}.want(t, 200, "")
			putObject(t, b, "set", "x", "x-amz-acl", c.object)
			putObject(t, b, "later", "x")
			call{Method: "PUT", Path: "/" + b + "/later?acl", Headers: map[string]string{"x-amz-acl": c.object}}.want(t, 200, "")
			putObject(t, b, "default", "x")
			for _, key := range []string{"set", "later"} {
				call{Path: "/" + b + "/" + key, Key: emil}.want(t, first(status(c.read)), second(status(c.read)))
				call{Path: "/" + b + "/" + key, Key: anyone}.want(t, first(status(c.anonymous)), second(status(c.anonymous)))
				copied := call{Method: "PUT", Path: "/" + b + "/copy", Key: emil, Headers: map[string]string{"x-amz-copy-source": b + "/" + key}}
				copied.want(t, first(status(c.read && c.write)), second(status(c.read && c.write)))
			}
			call{Path: "/" + b + "/default", Key: emil}.want(t, 403, "AccessDenied")
			call{Path: "/" + b, Key: emil}.want(t, first(status(c.list)), second(status(c.list)))
			call{Path: "/" + b, Key: anyone}.want(t, first(status(c.list)), second(status(c.list)))
			call{Method: "PUT", Path: "/" + b + "/default", Body: "y", Key: emil}.want(t, first(status(c.write)), second(status(c.write)))
			call{Path: "/" + b + "?acl", Key: emil}.want(t, 403, "AccessDenied")
			call{Method: "PUT", Path: "/" + b + "/set?acl", Key: emil, Headers: map[string]string{"x-amz-acl": "public-read"}}.want(t, 403, "AccessDenied")
		})
	}
}

func first(n int, _ string) int     { return n }
func second(_ int, s string) string { return s }

// TestOwnerWithPolicy: a policy that is about others takes nothing from a bucket's owner,
// and what it denies it denies the owner too.
func TestOwnerWithPolicy(t *testing.T) {
	u, err := users.Add(context.Background(), "gro", "", RoleMaker)
	if err != nil {
		t.Fatal(err)
	}
	gro := Credentials{"gro", u.Secret}
	call{Method: "PUT", Path: "/of-gro", Key: gro}.want(t, 200, "")
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"root"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::of-gro/*"},
		{"Effect":"Deny","Principal":"*","Action":"s3:DeleteObject","Resource":"arn:aws:s3:::of-gro/*"}]}`
	call{Method: "PUT", Path: "/of-gro?policy", Body: policy, Key: gro}.want(t, 204, "")
	call{Method: "PUT", Path: "/of-gro/k", Body: "x", Key: gro}.want(t, 200, "")
	call{Path: "/of-gro/k", Key: gro}.want(t, 200, "")
	call{Path: "/of-gro", Key: gro}.want(t, 200, "")
	call{Method: "DELETE", Path: "/of-gro/k", Key: gro}.want(t, 403, "AccessDenied")
	if a := (call{Path: "/of-gro?policy", Key: gro}).want(t, 200, ""); a.Body != policy {
		t.Errorf("the policy came back as %s", a.Body)
	}
	call{Method: "DELETE", Path: "/of-gro?policy", Key: gro}.want(t, 204, "")
	call{Method: "DELETE", Path: "/of-gro/k", Key: gro}.want(t, 204, "")
	call{Method: "DELETE", Path: "/of-gro", Key: gro}.want(t, 204, "")
}

// TestObjectACL: lists of objects are told as they were given, and belong to who wrote.
func TestObjectACL(t *testing.T) {
	u, err := users.Add(context.Background(), "fia", "", RoleMaker)
	if err != nil {
		t.Fatal(err)
	}
	fia := Credentials{"fia", u.Secret}
	b := newBucket(t)
	const groups = "http://acs.amazonaws.com/groups/global/"
	at := "/" + b + "/k?acl"
	doc := func(owner, grantee, permission string) string {
		kind := "CanonicalUser"
		switch {
		case strings.HasPrefix(grantee, "<URI>"):
			kind = "Group"
		case strings.HasPrefix(grantee, "<Email"):
			kind = "AmazonCustomerByEmail"
		}
		return `<AccessControlPolicy><Owner><ID>` + owner + `</ID></Owner><AccessControlList><Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="` + kind + `">` +
			grantee + `</Grantee><Permission>` + permission + `</Permission></Grant></AccessControlList></AccessControlPolicy>`
	}
	put := func(body string, key Credentials, headers ...string) call {
		c := call{Method: "PUT", Path: at, Body: body, Key: key, Headers: map[string]string{}}
		for i := 0; i+1 < len(headers); i += 2 {
			c.Headers[headers[i]] = headers[i+1]
		}
		return c
	}
	putObject(t, b, "k", "x", "x-amz-acl", "public-read")
	for _, r := range []row{
		{name: "canned at the put", call: call{Path: at}, status: 200, body: "<URI>" + groups + "AllUsers</URI></Grantee><Permission>READ</Permission>"},
		{name: "of the owner too", call: call{Path: at}, status: 200, body: "<ID>root</ID><DisplayName>root</DisplayName></Grantee><Permission>FULL_CONTROL</Permission>"},
		{name: "none of it is another's", call: call{Path: at, Key: fia}, status: 403, code: "AccessDenied"},
		{name: "a user", call: put(doc("root", "<ID>fia</ID>", "FULL_CONTROL"), root), status: 200},
		{name: "who reads it", call: call{Path: at, Key: fia}, status: 200, body: "<ID>fia</ID>"},
		{name: "and gives it on", call: put(doc("root", "<ID>fia</ID>", "READ_ACP"), fia), status: 200, header: map[string]string{"Content-Length": "0"}},
		{name: "the owner stays", call: call{Path: at, Key: fia}, status: 200, body: "<Owner><ID>root</ID>"},
		{name: "no more than was left", call: put(doc("root", "<ID>fia</ID>", "READ"), fia), status: 403, code: "AccessDenied"},
		{name: "another owner", call: put(doc("fia", "<ID>fia</ID>", "READ"), root), status: 400, code: "InvalidArgument"},
		{name: "a permission that is none", call: put(doc("root", "<ID>fia</ID>", "EAT"), root), status: 400, code: "MalformedACLError"},
		{name: "nobody", call: put(doc("root", "", "READ"), root), status: 400, code: "MalformedACLError"},
		{name: "an unknown user", call: put(doc("root", "<ID>_foo</ID>", "READ"), root), status: 400, code: "InvalidArgument"},
		{name: "an address", call: put(doc("root", "<EmailAddress>a@example.com</EmailAddress>", "READ"), root), status: 400, code: "UnresolvableGrantByEmailAddress"},
		{name: "a kind of grantee that is none", call: put(strings.Replace(doc("root", "<ID>fia</ID>", "READ"), "CanonicalUser", "Robot", 1), root), status: 400, code: "MalformedACLError"},
		{name: "a kind without its element", call: put(strings.Replace(doc("root", "<ID>fia</ID>", "READ"), "CanonicalUser", "Group", 1), root), status: 400, code: "MalformedACLError"},
		{name: "no XML", call: put("hello", root), status: 400, code: "MalformedACLError"},
		{name: "nothing", call: put("", root), status: 404, code: "MissingSecurityHeader"},
		{name: "both", call: put("", root, "x-amz-acl", "private", "x-amz-grant-read", "fia"), status: 400, code: "InvalidRequest"},
		{name: "all headers", call: put("", root, "x-amz-grant-read", "id=fia", "x-amz-grant-write", "id=fia", "x-amz-grant-read-acp", "id=fia", "x-amz-grant-write-acp", "id=fia"), status: 200},
		{name: "a group", call: put(doc("root", "<URI>"+groups+"AuthenticatedUsers</URI>", "READ"), root), status: 200},
		{name: "which reads", call: call{Path: "/" + b + "/k", Key: fia}, status: 200, body: "x"},
		{name: "and others not", call: call{Path: "/" + b + "/k", Key: Credentials{Access: "-"}}, status: 403, code: "AccessDenied"},
		{name: "no object", call: call{Path: "/" + b + "/none?acl"}, status: 404, code: "NoSuchKey"},
		{name: "no bucket", call: call{Path: "/no-such-bucket?acl"}, status: 404, code: "NoSuchBucket"},
		{name: "a wrong signature", call: call{Path: at, Broken: true}, status: 403, code: "SignatureDoesNotMatch"},
		{name: "a bucket with a list", call: call{Method: "PUT", Path: "/" + b + "-l", Headers: map[string]string{"x-amz-acl": "public-read-write"}}, status: 200},
		{name: "a stranger writes", call: call{Method: "PUT", Path: "/" + b + "-l/k", Body: "x", Key: fia, Headers: map[string]string{"x-amz-acl": "bucket-owner-read"}}, status: 200},
		{name: "and owns it", call: call{Path: "/" + b + "-l/k?acl", Key: fia}, status: 200, body: "<Owner><ID>fia</ID>"},
		{name: "the bucket's owner reads", call: call{Path: "/" + b + "-l/k?acl"}, status: 200, body: "<ID>root</ID><DisplayName>root</DisplayName></Grantee><Permission>READ</Permission>"},
		{name: "grants at the making", call: call{Method: "PUT", Path: "/" + b + "-g", Headers: map[string]string{"x-amz-grant-read": "id=fia"}}, status: 200},
		{name: "are the bucket's", call: call{Path: "/" + b + "-g?acl"}, status: 200, body: "<ID>fia</ID><DisplayName>fia</DisplayName></Grantee><Permission>READ</Permission>"},
		{name: "lists and enforced ownership", call: call{Method: "PUT", Path: "/" + b + "-h", Headers: map[string]string{"x-amz-acl": "public-read", "x-amz-object-ownership": "BucketOwnerEnforced"}}, status: 400, code: "InvalidBucketAclWithObjectOwnership"},
	} {
		r.check(t)
	}
	versions := newBucket(t)
	versioning(t, versions, "Enabled")
	v1 := call{Method: "PUT", Path: "/" + versions + "/k", Body: "1"}.want(t, 200, "").Header.Get("X-Amz-Version-Id")
	call{Method: "PUT", Path: "/" + versions + "/k", Body: "2"}.want(t, 200, "")
	call{Method: "PUT", Path: "/" + versions + "/k?acl&versionId=" + v1, Headers: map[string]string{"x-amz-acl": "public-read"}}.want(t, 200, "")
	call{Path: "/" + versions + "/k?versionId=" + v1, Key: Credentials{Access: "-"}}.want(t, 200, "")
	call{Path: "/" + versions + "/k", Key: Credentials{Access: "-"}}.want(t, 403, "AccessDenied")
}

func TestBuckets(t *testing.T) {
	b := newBucket(t)
	if a := (call{Path: "/" + b + "?location"}).want(t, 200, ""); !strings.Contains(a.Body, "LocationConstraint") {
		t.Error(a.Body)
	}
	call{Method: "PUT", Path: "/" + b + "-x", Body: "<CreateBucketConfiguration><LocationConstraint>mars-1</LocationConstraint></CreateBucketConfiguration>"}.want(t, 400, "InvalidLocationConstraint")
	call{Path: "/?max-buckets=1"}.want(t, 200, "")
	if a := (call{Method: "HEAD", Path: "/" + b, Headers: map[string]string{"x-amz-expected-bucket-owner": "someone"}}).do(t); a.Status != 403 {
		t.Errorf("another owner was expected: %d", a.Status)
	}
	call{Method: "DELETE", Path: "/" + b}.want(t, 204, "")
	call{Method: "DELETE", Path: "/" + b}.want(t, 404, "NoSuchBucket")
	call{Method: "PUT", Path: "/" + b}.want(t, 200, "") // the name is free again
	putObject(t, b, "k", "x")
	if l := list(t, b, ""); len(l.Contents) != 1 {
		t.Errorf("%+v", l)
	}
}
