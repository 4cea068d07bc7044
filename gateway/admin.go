package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/wattle-storage/wattle/cluster"
)

// While a server runs it is the cluster's only writer. Commands that must write go through a
// socket in the cluster's directory, which the file system guards.

// ServeAdmin serves accounts and upkeep on a socket until ctx ends.
func ServeAdmin(ctx context.Context, path string, u *Users, k *Upkeep) error {
	os.Remove(path) // of a server that crashed: whoever holds the cluster's lock is the only one
	l, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("admin socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return fmt.Errorf("admin socket: %w", err)
	}
	srv := &http.Server{Handler: adminHandler(u, k), ReadTimeout: 10 * time.Second, MaxHeaderBytes: 8 << 10}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func adminHandler(u *Users, k *Upkeep) http.Handler {
	mux := http.NewServeMux()
	k.handle(mux)
	answer := func(w http.ResponseWriter, v any, err error) {
		if err != nil {
			status := http.StatusBadRequest
			switch {
			case errors.Is(err, ErrUserNotFound):
				status = http.StatusNotFound
			case errors.Is(err, cluster.ErrBucketNotFound):
				status = http.StatusGone
			case errors.Is(err, cluster.ErrUnknownDomain):
				status = http.StatusUnprocessableEntity
			case errors.Is(err, ErrUserExists):
				status = http.StatusConflict
			}
			http.Error(w, err.Error(), status)
			return
		}
		_ = json.NewEncoder(w).Encode(v) // who asked may be gone
	}
	mux.HandleFunc("GET /users", func(w http.ResponseWriter, r *http.Request) {
		list, err := u.List(r.Context())
		answer(w, list, err)
	})
	mux.HandleFunc("POST /users", func(w http.ResponseWriter, r *http.Request) {
		var in User
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&in); err != nil {
			answer(w, nil, err)
			return
		}
		user, err := u.Add(r.Context(), in.Access, in.Secret, in.Role)
		answer(w, user, err)
	})
	mux.HandleFunc("DELETE /users/{access}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, struct{}{}, u.Remove(r.Context(), r.PathValue("access")))
	})
	limit := func(set func(context.Context, string, Limits) error) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			var l Limits
			err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096)).Decode(&l)
			if err == nil {
				err = set(r.Context(), r.PathValue("name"), l)
			}
			answer(w, struct{}{}, err)
		}
	}
	mux.HandleFunc("PUT /users/{name}/limits", limit(u.Limit))
	mux.HandleFunc("PUT /buckets/{name}/limits", limit(u.LimitBucket))
	faults(mux, u.s, answer)
	return mux
}

// An Admin does over the socket what Users and Upkeep do.
type Admin struct{ c *http.Client }

// DialAdmin talks to the server that listens on the socket at path.
func DialAdmin(path string) Admin {
	return Admin{&http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}}}
}

// Answers tells whether a server listens there.
func (a Admin) Answers(ctx context.Context) bool {
	_, err := a.Jobs(ctx)
	return err == nil
}

// do asks for an answer within a minute.
func (a Admin) do(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	res, err := a.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	return json.NewDecoder(res.Body).Decode(out)
}

// send returns an answer whose body is to be closed, or what the server refused it for.
func (a Admin) send(ctx context.Context, method, path string, in any) (*http.Response, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://wattle"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	res, err := a.c.Do(req)
	if err != nil {
		return nil, fmt.Errorf("the server does not answer on its socket: %w", err)
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer res.Body.Close()
	var text bytes.Buffer
	_, _ = text.ReadFrom(http.MaxBytesReader(nil, res.Body, 4096))
	message := errors.New(string(bytes.TrimSpace(text.Bytes())))
	switch res.StatusCode {
	case http.StatusNotFound:
		return nil, fmt.Errorf("%w%w", message, silent{ErrUserNotFound})
	case http.StatusGone:
		return nil, fmt.Errorf("%w%w", message, silent{cluster.ErrBucketNotFound})
	case http.StatusUnprocessableEntity:
		return nil, fmt.Errorf("%w%w", message, silent{cluster.ErrUnknownDomain})
	case http.StatusConflict:
		return nil, fmt.Errorf("%w%w", message, silent{ErrUserExists})
	}
	return nil, message
}

// silent is an error that is there to be asked for, and says nothing itself.
type silent struct{ error }

func (silent) Error() string   { return "" }
func (s silent) Unwrap() error { return s.error }

// Add makes a user.
func (a Admin) Add(ctx context.Context, access, secret, role string) (u User, err error) {
	err = a.do(ctx, http.MethodPost, "/users", User{Access: access, Secret: secret, Role: role}, &u)
	return u, err
}

// Limit sets the limits of a user.
func (a Admin) Limit(ctx context.Context, access string, l Limits) error {
	return a.do(ctx, http.MethodPut, "/users/"+url.PathEscape(access)+"/limits", l, &struct{}{})
}

// LimitBucket sets the limits of a bucket.
func (a Admin) LimitBucket(ctx context.Context, bucket string, l Limits) error {
	return a.do(ctx, http.MethodPut, "/buckets/"+url.PathEscape(bucket)+"/limits", l, &struct{}{})
}

// Remove takes a user away.
func (a Admin) Remove(ctx context.Context, access string) error {
	return a.do(ctx, http.MethodDelete, "/users/"+url.PathEscape(access), nil, &struct{}{})
}

// List returns all users in order.
func (a Admin) List(ctx context.Context) (list []User, err error) {
	err = a.do(ctx, http.MethodGet, "/users", nil, &list)
	return list, err
}
