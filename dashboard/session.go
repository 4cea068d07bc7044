package dashboard

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"sync"
	"time"
)

// A session is an administrator who signed in. It ends after a time, with the process, or by
// signing out.
type session struct {
	access  string
	expires time.Time
}

// sessions are known by the digest of their token, so that looking one up takes no time that
// tells of it.
type sessions struct {
	now func() time.Time

	mu       sync.Mutex
	by       map[[32]byte]session // guarded by mu
	attempts float64              // guarded by mu; left in the bucket that fills by attemptRate
	filled   time.Time            // guarded by mu
}

const (
	cookieName   = "wattle"
	sessionTime  = 12 * time.Hour
	mostSessions = 256
	attemptBurst = 8
	attemptRate  = 0.5 // a second
)

// attempt takes one from the attempts to sign in, over all who try.
func (s *sessions) attempt() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.filled.IsZero() {
		s.attempts, s.filled = attemptBurst, now
	}
	s.attempts = min(attemptBurst, s.attempts+attemptRate*now.Sub(s.filled).Seconds())
	s.filled = now
	if s.attempts < 1 {
		return false
	}
	s.attempts--
	return true
}

// add makes a session and returns its token. The oldest gives way when there are too many.
func (s *sessions) add(access string) string {
	token := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by == nil {
		s.by = map[[32]byte]session{}
	}
	now, oldest := s.now(), [32]byte{}
	for k, v := range s.by {
		if now.After(v.expires) {
			delete(s.by, k)
		} else if first, ok := s.by[oldest]; !ok || v.expires.Before(first.expires) {
			oldest = k
		}
	}
	if len(s.by) >= mostSessions {
		delete(s.by, oldest)
	}
	s.by[sha256.Sum256([]byte(token))] = session{access, now.Add(sessionTime)}
	return token
}

// of returns who sent a request, or "".
func (s *sessions) of(r *http.Request) string {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.by[sha256.Sum256([]byte(c.Value))]
	if !ok || s.now().After(v.expires) {
		return ""
	}
	return v.access
}

func (s *sessions) drop(r *http.Request) {
	if c, err := r.Cookie(cookieName); err == nil {
		s.mu.Lock()
		delete(s.by, sha256.Sum256([]byte(c.Value)))
		s.mu.Unlock()
	}
}

// atHome tells whether a request comes from this machine, through no proxy that says so, to a
// listener that only this machine reaches.
func (s *Server) atHome(r *http.Request) bool {
	for _, name := range []string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip"} {
		if r.Header.Get(name) != "" {
			return false
		}
	}
	return s.local && !s.o.SignIn && loopback(hostOf(r.RemoteAddr))
}

// visitor is who signed in and may still, or "".
func (s *Server) visitor(r *http.Request) string {
	who := s.sessions.of(r)
	if who != "" && s.o.Still != nil && !s.o.Still(r.Context(), who) {
		return ""
	}
	return who
}

// seen lets those in who may look.
func (s *Server) seen(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.atHome(r) && s.visitor(r) == "" {
			refuse(w, http.StatusUnauthorized, "sign in with the key of an administrator")
			return
		}
		next(w, r)
	})
}

// pressed lets those in who may press buttons, where there are any.
func (s *Server) pressed(next http.HandlerFunc) http.Handler {
	return s.seen(func(w http.ResponseWriter, r *http.Request) {
		if why := s.noButtons(); why != "" {
			refuse(w, http.StatusForbidden, why)
			return
		}
		next(w, r)
	})
}

// noButtons says why nothing can be changed from the page, or "".
func (s *Server) noButtons() string {
	switch {
	case s.o.ReadOnly:
		return "this dashboard is for looking only"
	case !s.store.Simulated():
		return "disks of this cluster are no simulation: use the command"
	}
	return ""
}

// A sessionAnswer says what a visitor may do.
type sessionAnswer struct {
	SignedIn string `json:"signed_in,omitempty"` // the access key
	Required bool   `json:"sign_in_required"`
	Buttons  bool   `json:"buttons"`
	Why      string `json:"why,omitempty"` // there are none
}

func (s *Server) showSession(w http.ResponseWriter, r *http.Request) {
	who := s.visitor(r)
	a := sessionAnswer{SignedIn: who, Required: who == "" && !s.atHome(r)}
	if !a.Required {
		a.Why = s.noButtons()
		a.Buttons = a.Why == ""
	}
	answer(w, a)
}

func (s *Server) signIn(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Access string `json:"access_key"`
		Secret string `json:"secret_key"`
	}
	if !decode(w, r, &in) {
		return
	}
	if !s.sessions.attempt() {
		w.Header().Set("Retry-After", "2")
		refuse(w, http.StatusTooManyRequests, "too many attempts to sign in; try again in some seconds")
		return
	}
	ok, err := false, error(nil)
	if s.o.Admin != nil {
		ok, err = s.o.Admin(r.Context(), in.Access, in.Secret)
	}
	if err != nil {
		s.o.Log.Error("dashboard: sign in", "error", err)
		refuse(w, http.StatusInternalServerError, "the key could not be checked")
		return
	}
	if !ok {
		s.o.Log.Warn("dashboard: sign in refused", "from", r.RemoteAddr)
		refuse(w, http.StatusForbidden, "not the key of an administrator")
		return
	}
	s.o.Log.Info("dashboard: signed in", "access", in.Access, "from", r.RemoteAddr)
	http.SetCookie(w, s.cookie(s.sessions.add(in.Access), int(sessionTime.Seconds())))
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) signOut(w http.ResponseWriter, r *http.Request) {
	s.sessions.drop(r)
	http.SetCookie(w, s.cookie("", -1))
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) cookie(token string, age int) *http.Cookie {
	return &http.Cookie{Name: cookieName, Value: token, Path: "/", MaxAge: age, HttpOnly: true, Secure: s.o.CertFile != "", SameSite: http.SameSiteStrictMode}
}

func digest(p []byte) string {
	sum := sha256.Sum256(p)
	return hex.EncodeToString(sum[:8])
}
