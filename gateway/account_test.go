package gateway

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestUsers(t *testing.T) {
	ctx := context.Background()
	add := func(access, role string) Credentials {
		u, err := users.Add(ctx, access, "", role)
		if err != nil {
			t.Fatal(err)
		}
		return Credentials{access, u.Secret}
	}
	anna, ben, boss := add("anna", RoleMaker), add("ben", RoleUser), add("boss", RoleAdmin)
	call{Method: "PUT", Path: "/annas", Key: anna}.want(t, 200, "")
	call{Method: "PUT", Path: "/annas/k", Body: "hers", Key: anna}.want(t, 200, "")
	call{Path: "/annas/k", Key: anna}.want(t, 200, "")
	call{Method: "PUT", Path: "/annas", Key: boss}.want(t, 409, "BucketAlreadyExists")
	call{Method: "PUT", Path: "/bens", Key: ben}.want(t, 403, "AccessDenied")
	for _, c := range []call{{Path: "/annas/k"}, {Path: "/annas"}, {Method: "PUT", Path: "/annas/x", Body: "x"}, {Method: "DELETE", Path: "/annas/k"}, {Method: "DELETE", Path: "/annas"}, {Path: "/annas?policy"}} {
		c.Key = ben
		c.want(t, 403, "AccessDenied")
	}
	call{Path: "/annas/k", Key: boss}.want(t, 200, "")
	call{Path: "/annas/k"}.want(t, 200, "") // the root sees all
	call{Path: "/annas/k", Key: Credentials{"anna", "wrong-secret"}}.want(t, 403, "SignatureDoesNotMatch")
	if a := (call{Path: "/", Key: anna}).want(t, 200, ""); strings.Count(a.Body, "<Bucket>") != 1 || !strings.Contains(a.Body, "<Name>annas</Name>") {
		t.Error(a.Body)
	}
	if a := (call{Path: "/", Key: ben}).want(t, 200, ""); strings.Contains(a.Body, "<Bucket>") {
		t.Error(a.Body)
	}
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["ben"]},"Action":["s3:GetObject"],"Resource":"arn:aws:s3:::annas/*"}]}`
	call{Method: "PUT", Path: "/annas?policy", Body: policy, Key: anna}.want(t, 204, "")
	call{Path: "/annas/k", Key: ben}.want(t, 200, "")
	call{Method: "PUT", Path: "/annas/k", Body: "x", Key: ben}.want(t, 403, "AccessDenied")
	if err := users.Remove(ctx, "ben"); err != nil {
		t.Fatal(err)
	}
	call{Path: "/annas/k", Key: ben}.want(t, 403, "InvalidAccessKeyId")
	if list, err := users.List(ctx); err != nil || len(list) != 2 || list[0].Access != "anna" || list[0].Secret != "" {
		t.Errorf("%+v, %v", list, err)
	}
	set, err := store.Settings(ctx, "")
	if err != nil || strings.Contains(set.Values[settingUser+"anna"], anna.Secret) {
		t.Errorf("the secret lies open: %v", err)
	}
	for _, c := range []struct {
		access, secret, role string
		want                 error
	}{{"anna", "", RoleUser, ErrUserExists}, {"new", "", "king", ErrRole}, {"a", "", RoleUser, nil}, {"a/b", "", RoleUser, nil}, {"new", "short", RoleUser, nil}} {
		if _, err := users.Add(ctx, c.access, c.secret, c.role); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	other, err := NewUsers(store, bytes.Repeat([]byte{8}, 32))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := other.secret(ctx, "anna"); !errors.Is(err, ErrSecretKey) {
		t.Errorf("another key: %v", err)
	}
}

func TestAdminSocket(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	path, done := filepath.Join(t.TempDir(), "admin.sock"), make(chan error, 1)
	go func() { done <- ServeAdmin(ctx, path, users) }()
	a := DialAdmin(path)
	var u User
	var err error
	for range 100 {
		if u, err = a.Add(ctx, "carl", "carls-secret", RoleUser); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil || u.Role != RoleUser {
		t.Fatalf("%+v, %v", u, err)
	}
	if _, err := a.Add(ctx, "carl", "", RoleUser); !errors.Is(err, ErrUserExists) || err.Error() != "carl: user exists already" {
		t.Errorf("again: %v", err)
	}
	if list, err := a.List(ctx); err != nil || len(list) == 0 {
		t.Errorf("%v, %v", list, err)
	}
	if err := errors.Join(a.Remove(ctx, "carl")); err != nil {
		t.Error(err)
	}
	if err := a.Remove(ctx, "carl"); !errors.Is(err, ErrUserNotFound) {
		t.Errorf("removed twice: %v", err)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
