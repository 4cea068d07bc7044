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
	put("public-read").want(t, 400, "AccessControlListNotSupported")
	own := "<OwnershipControls><Rule><ObjectOwnership>BucketOwnerPreferred</ObjectOwnership></Rule></OwnershipControls>"
	call{Method: "PUT", Path: "/" + b + "?ownershipControls", Body: own, Headers: md5Header(own)}.want(t, 200, "")
	if a := (call{Path: "/" + b + "?ownershipControls"}).want(t, 200, ""); !strings.Contains(a.Body, "BucketOwnerPreferred") {
		t.Error(a.Body)
	}
	put("nonsense").want(t, 400, "InvalidArgument")
	put("public-read").want(t, 200, "")
	call{Path: "/" + b + "/k", Key: anyone}.want(t, 200, "")
	call{Path: "/" + b, Key: anyone}.want(t, 200, "")
	call{Method: "PUT", Path: "/" + b + "/x", Body: "x", Key: anyone}.want(t, 403, "AccessDenied")
	put("private").want(t, 200, "")
	call{Path: "/" + b + "/k", Key: anyone}.want(t, 403, "AccessDenied")
	call{Path: "/" + b + "/k", Key: dora}.want(t, 403, "AccessDenied")
	grant := call{Method: "PUT", Path: "/" + b + "?acl", Headers: map[string]string{"x-amz-grant-read": "dora"}}
	grant.want(t, 200, "")
	call{Path: "/" + b + "/k", Key: dora}.want(t, 200, "")
	call{Method: "PUT", Path: "/" + b + "/x", Body: "x", Key: dora}.want(t, 403, "AccessDenied")
	grant.Headers["x-amz-grant-read"] = "nobody"
	grant.want(t, 400, "InvalidArgument")
}

func TestBuckets(t *testing.T) {
	b := newBucket(t)
	if a := (call{Path: "/" + b + "?location"}).want(t, 200, ""); !strings.Contains(a.Body, "LocationConstraint") {
		t.Error(a.Body)
	}
	call{Method: "PUT", Path: "/" + b + "-x", Body: "<CreateBucketConfiguration><LocationConstraint>mars-1</LocationConstraint></CreateBucketConfiguration>"}.want(t, 400, "InvalidLocationConstraint")
	call{Path: "/" + b + "?publicAccessBlock"}.want(t, 501, "NotImplemented")
	call{Path: "/" + b + "?encryption"}.want(t, 501, "NotImplemented")
	call{Path: "/" + b + "?replication"}.want(t, 501, "NotImplemented")
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
