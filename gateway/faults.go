package gateway

import (
	"context"
	"encoding/json"
	"net/http"
)

// A Faulty store can take a disk, host, rack or site out of service, as if it were lost, and
// put it back.
type Faulty interface {
	Fail(ctx context.Context, domain string) ([]string, error)
	Restore(ctx context.Context, domain string) ([]string, error)
}

// faults serves POST /fail and /restore of a store that can, on the socket.
func faults(mux *http.ServeMux, store any, answer func(http.ResponseWriter, any, error)) {
	f, ok := store.(Faulty)
	if !ok {
		return
	}
	for path, do := range map[string]func(context.Context, string) ([]string, error){"/fail": f.Fail, "/restore": f.Restore} {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			var domain string
			if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10)).Decode(&domain); err != nil {
				answer(w, nil, err)
				return
			}
			names, err := do(r.Context(), domain)
			answer(w, names, err)
		})
	}
}

// Fail takes a domain of the server's store out of service.
func (a Admin) Fail(ctx context.Context, domain string) (names []string, err error) {
	err = a.do(ctx, http.MethodPost, "/fail", domain, &names)
	return names, err
}

// Restore puts it back.
func (a Admin) Restore(ctx context.Context, domain string) (names []string, err error) {
	err = a.do(ctx, http.MethodPost, "/restore", domain, &names)
	return names, err
}
