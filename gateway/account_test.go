package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wattle-storage/wattle/cluster"
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
	go func() { done <- ServeAdmin(ctx, path, users, NewUpkeep(store)) }()
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
	if !a.Answers(ctx) || DialAdmin(path+"x").Answers(ctx) {
		t.Error("which socket has a server is not known")
	}
	if names, err := a.Fail(ctx, "site1/rack1/host1/disk1"); err != nil || len(names) != 1 {
		t.Errorf("failed %v, %v", names, err)
	}
	if names, err := a.Restore(ctx, "site1/rack1/host1"); err != nil || len(names) == 0 {
		t.Errorf("restored %v, %v", names, err)
	}
	if _, err := a.Fail(ctx, "site77"); !errors.Is(err, cluster.ErrUnknownDomain) {
		t.Errorf("failing what is not there: %v", err)
	}
	if err := a.Remove(ctx, "carl"); !errors.Is(err, ErrUserNotFound) {
		t.Errorf("removed twice: %v", err)
	}
	if r, err := a.Scrub(ctx, cluster.ScrubOptions{Parity: 1, Restart: true}); err != nil || !r.Complete || r.Corrupt > 0 {
		t.Errorf("scrub: %+v, %v", r, err)
	}
	if r, err := a.RepairWith(ctx, cluster.RepairOptions{}); err != nil || r.Lost > 0 {
		t.Errorf("repair: %+v, %v", r, err)
	}
	if r, err := a.Compact(ctx, cluster.CompactOptions{Checkpoint: true}); err != nil || r.Checkpoint == 0 {
		t.Errorf("compact: %+v, %v", r, err)
	}
	if _, err := a.Rebalance(ctx, cluster.RebalanceOptions{}); err != nil {
		t.Errorf("rebalance: %v", err)
	}
	if err := a.SetTrash(ctx, time.Hour); err != nil {
		t.Errorf("trash: %v", err)
	}
	if d, err := a.Trash(ctx); err != nil || d != time.Hour {
		t.Errorf("trash: %v, %v", d, err)
	}
	if err := a.SetTrash(ctx, 0); err != nil {
		t.Errorf("trash: %v", err)
	}
	if list, err := a.Jobs(ctx); err != nil || len(list) > 0 {
		t.Errorf("jobs: %v, %v", list, err)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestUpkeepEnds: a job ends when its caller goes, is listed while it lasts, and keeps the kind
// of its error over the socket.
func TestUpkeepEnds(t *testing.T) {
	mux := http.NewServeMux()
	u := NewUpkeep(store)
	u.handle(mux)
	job(mux, "wait", func(ctx context.Context, _ int, p cluster.Progress) (int, error) {
		p, end := u.begin("wait", p)
		defer end()
		p(3, 4)
		<-ctx.Done()
		return 0, ctx.Err()
	})
	job(mux, "lose", func(context.Context, int, cluster.Progress) (int, error) {
		return 7, fmt.Errorf("a stripe: %w", cluster.ErrDataLost)
	})
	srv := httptest.NewUnstartedServer(mux)
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv.Listener = l
	srv.Start()
	defer srv.Close()
	a := DialAdmin(path)
	ctx, stop := context.WithCancel(context.Background())
	_, err = ask[int](ctx, a, "wait", 1, func(done, total int64) {
		if list, err := a.Jobs(context.Background()); err != nil || len(list) != 1 || list[0].What != "wait" || list[0].Done != 3 || done != 3 || total != 4 {
			t.Errorf("%v, %v; %d of %d", list, err, done, total)
		}
		stop()
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a job that was left: %v", err)
	}
	for range 500 {
		if list, err := a.Jobs(context.Background()); err != nil || len(list) == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if list, err := a.Jobs(context.Background()); err != nil || len(list) > 0 {
		t.Errorf("it goes on: %v, %v", list, err)
	}
	if n, err := ask[int](context.Background(), a, "lose", 1, nil); n != 7 || !errors.Is(err, cluster.ErrDataLost) || err.Error() != "a stripe: "+cluster.ErrDataLost.Error() {
		t.Errorf("%d, %v", n, err)
	}
}
