package dashboard

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/wattle-storage/wattle/cluster"
)

// dist is what `make web` makes of web.
//
//go:embed dist
var dist embed.FS

// policy lets the page load and speak to its own origin, and nothing else; nobody may frame it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// Handler serves the page and its JSON.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // it is embedded
	}
	for _, f := range []struct{ path, name, kind string }{
		{"/{$}", "index.html", "text/html; charset=utf-8"}, {"/app.js", "app.js", "text/javascript; charset=utf-8"},
		{"/app.css", "app.css", "text/css; charset=utf-8"}, {"/icon.svg", "icon.svg", "image/svg+xml"},
	} {
		mux.Handle("GET "+f.path, asset(files, f.name, f.kind))
	}
	mux.HandleFunc("GET /api/session", s.showSession)
	mux.HandleFunc("POST /api/session", s.signIn)
	mux.HandleFunc("DELETE /api/session", s.signOut)
	mux.Handle("GET /api/state", s.seen(s.state))
	mux.Handle("GET /api/power", s.seen(s.power))
	mux.Handle("GET /api/choices", s.seen(s.choices))
	mux.Handle("GET /api/whatif", s.seen(s.whatif))
	mux.Handle("POST /api/fail", s.pressed(s.change(s.store.Fail)))
	mux.Handle("POST /api/restore", s.pressed(s.change(s.store.Restore)))
	mux.Handle("POST /api/repair", s.pressed(s.repair))
	return s.guard(http.NewCrossOriginProtection().Handler(mux))
}

// guard refuses names that are not this host's, and says on every answer what a browser may
// do with it.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		h.Set("Cache-Control", "no-store")
		if s.local && !loopback(hostOf(r.Host)) { // a name that was made to lead here
			refuse(w, http.StatusMisdirectedRequest, "this listener is for this machine: open it as localhost or 127.0.0.1")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func hostOf(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// asset serves an embedded file, which a browser keeps and asks about by the digest of its
// content.
func asset(files fs.FS, name, kind string) http.Handler {
	body, err := fs.ReadFile(files, name)
	if err != nil {
		panic(err) // it is embedded
	}
	tag := `"` + digest(body) + `"`
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.Write(body) //nolint:errcheck // the client went
	})
}

// answer writes a document.
func answer(w http.ResponseWriter, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(append(body, '\n')) //nolint:errcheck // the client went
}

// refuse writes what is wrong, in the one form that all refusals have.
func refuse(w http.ResponseWriter, status int, why string) {
	body, _ := json.Marshal(map[string]string{"error": why}) //nolint:errcheck // a map of texts
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(body, '\n')) //nolint:errcheck // the client went
}

const bodyLimit = 4 << 10

// decode reads a small JSON body, and answers when it is none. Only application/json is
// taken, which no form of another site can send.
func decode(w http.ResponseWriter, r *http.Request, into any) bool {
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); kind != "application/json" {
		refuse(w, http.StatusUnsupportedMediaType, "want Content-Type: application/json")
		return false
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, bodyLimit))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		refuse(w, http.StatusBadRequest, "body: "+err.Error())
		return false
	}
	return true
}

func (s *Server) state(w http.ResponseWriter, r *http.Request) {
	st, err := s.feed.state(r.Context())
	if err != nil {
		s.o.Log.Error("dashboard: status", "error", err)
		refuse(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	answer(w, st)
}

// power answers the samples after a moment in milliseconds, or all.
func (s *Server) power(w http.ResponseWriter, r *http.Request) {
	after := time.Time{}
	if text := r.URL.Query().Get("after"); text != "" {
		ms, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			refuse(w, http.StatusBadRequest, "after: want milliseconds since 1970")
			return
		}
		after = time.UnixMilli(ms)
	}
	answer(w, s.feed.power(after))
}

// change fails or restores the domain that a body names.
func (s *Server) change(do func(ctx context.Context, domain string) ([]string, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Domain string `json:"domain"`
		}
		if !decode(w, r, &in) {
			return
		}
		names, err := do(r.Context(), in.Domain)
		s.feed.stale()
		s.o.Log.Info("dashboard: "+r.URL.Path, "domain", in.Domain, "disks", len(names), "from", r.RemoteAddr, "error", err)
		switch {
		case errors.Is(err, cluster.ErrUnknownDomain):
			refuse(w, http.StatusNotFound, err.Error())
		case err != nil:
			refuse(w, http.StatusInternalServerError, err.Error())
		default:
			if s.o.Upkeep != nil {
				s.o.Upkeep.Hurry()
			}
			answer(w, map[string]any{"domain": in.Domain, "disks": names})
		}
	}
}

// repair has upkeep begin its next round now.
func (s *Server) repair(w http.ResponseWriter, r *http.Request) {
	if s.o.Upkeep == nil || s.o.Upkeep.Rate == 0 {
		refuse(w, http.StatusConflict, "this server leaves repair to the command: stop it and run `wattle repair`")
		return
	}
	s.o.Upkeep.Hurry()
	w.WriteHeader(http.StatusNoContent)
}
