package dashboard

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wattle-storage/wattle/cluster"
	"github.com/wattle-storage/wattle/energy"
	"github.com/wattle-storage/wattle/whatif"
)

// A fake store has two sites of two disks, of which some may be failed.
type fake struct {
	mu     sync.Mutex
	failed map[string]bool
	real   bool
	err    error
	ledger *energy.Ledger
	now    time.Time
}

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newFake() *fake {
	f := &fake{failed: map[string]bool{}, ledger: energy.NewLedger(start), now: start}
	for i, name := range fakeDisks {
		f.ledger.Set(start, int32(i), energy.Place{Site: name[:5], Name: name, Profile: "helium-5w", Capacity: 18e12})
	}
	return f
}

var fakeDisks = []string{"site1/rack1/host1/disk1", "site1/rack1/host1/disk2", "site2/rack1/host1/disk1", "site2/rack2/host1/disk1"}

func (f *fake) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *fake) pass(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
	f.ledger.Settle(f.now)
}

func (f *fake) Status(context.Context) (cluster.Status, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := cluster.Status{ID: "id", Scheme: "rs:2+2", Overhead: 2, CapacityBytes: 72e12, UsableBytes: 36e12, StoredBytes: 18e12, Writable: true}
	for i, name := range fakeDisks {
		d := cluster.DiskStatus{ID: int32(i), Name: name, State: "active", Profile: "helium-5w", Capacity: 18e12, Used: 9e12}
		if f.failed[name] {
			d.State = "failed"
			s.Stripes.Degraded, s.PendingRepairs, s.RepairIO = 7, 7, 300e6
		}
		if n := len(s.Sites); n == 0 || s.Sites[n-1].Name != name[:5] {
			s.Sites = append(s.Sites, cluster.SiteStatus{Name: name[:5]})
		}
		site := &s.Sites[len(s.Sites)-1]
		site.Disks = append(site.Disks, d)
	}
	return s, f.err
}

func (f *fake) Ledger() (*energy.Ledger, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, err := f.ledger.Encode()
	if err != nil {
		return nil, err
	}
	return energy.DecodeLedger(p)
}

func (f *fake) Simulated() bool { return !f.real }

func (f *fake) Fail(_ context.Context, domain string) ([]string, error) {
	return f.change(domain, true)
}
func (f *fake) Restore(_ context.Context, domain string) ([]string, error) {
	return f.change(domain, false)
}

func (f *fake) change(domain string, fail bool) (names []string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range fakeDisks {
		if n == domain || strings.HasPrefix(n, domain+"/") {
			f.failed[n] = fail
			names = append(names, n)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%q: %w", domain, cluster.ErrUnknownDomain)
	}
	return names, nil
}

// A visit is a request and what of its answer is looked at.
type visit struct {
	method, path, body string
	from, host         string
	header             map[string]string
}

func (v visit) do(t *testing.T, s *Server) *http.Response {
	t.Helper()
	r := httptest.NewRequest(v.method, v.path, strings.NewReader(v.body))
	r.Host, r.RemoteAddr = "127.0.0.1:9001", "127.0.0.1:5000"
	if v.host != "" {
		r.Host = v.host
	}
	if v.from != "" {
		r.RemoteAddr = v.from
	}
	if v.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for k, x := range v.header {
		r.Header.Set(k, x)
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w.Result()
}

func text(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func newServer(t *testing.T, f *fake, o Options) *Server {
	t.Helper()
	o.Now = f.clock
	o.Admin = func(_ context.Context, access, secret string) (bool, error) {
		if access == "broken" {
			return false, errors.New("no catalog")
		}
		return access == "root" && secret == "secret123", nil
	}
	s, err := New(f, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAssets(t *testing.T) {
	s := newServer(t, newFake(), Options{})
	for path, kind := range map[string]string{"/": "text/html; charset=utf-8", "/app.js": "text/javascript; charset=utf-8", "/app.css": "text/css; charset=utf-8", "/icon.svg": "image/svg+xml"} {
		r := visit{method: "GET", path: path}.do(t, s)
		body := text(t, r)
		if r.StatusCode != 200 || r.Header.Get("Content-Type") != kind || len(body) < 200 {
			t.Errorf("%s: %d, %s, %d bytes", path, r.StatusCode, r.Header.Get("Content-Type"), len(body))
		}
		for name, part := range map[string]string{"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer"} {
			if !strings.Contains(r.Header.Get(name), part) {
				t.Errorf("%s: %s is %q, want %s", path, name, r.Header.Get(name), part)
			}
		}
		if strings.Contains(r.Header.Get("Content-Security-Policy"), "unsafe") {
			t.Errorf("%s: the policy allows what is unsafe", path)
		}
		for _, foreign := range []string{"http://", "https://", "//cdn", "@import", "eval("} {
			if i := strings.Index(strings.ReplaceAll(body, "http://www.w3.org/2000/svg", ""), foreign); i >= 0 {
				t.Errorf("%s: speaks of %s", path, foreign)
			}
		}
		again := visit{method: "GET", path: path, header: map[string]string{"If-None-Match": r.Header.Get("ETag")}}.do(t, s)
		if again.StatusCode != http.StatusNotModified {
			t.Errorf("%s asked again: %d, want 304", path, again.StatusCode)
		}
	}
	html := text(t, visit{method: "GET", path: "/"}.do(t, s))
	for _, inline := range []string{"<style", "style=", "onclick=", "onload=", "javascript:"} {
		if strings.Contains(html, inline) {
			t.Errorf("the page has %s, which its policy forbids", inline)
		}
	}
}

// TestBundleIsOfSources: what is embedded was made from the sources beside it.
func TestBundleIsOfSources(t *testing.T) {
	names, err := filepath.Glob("web/*.*")
	if err != nil || len(names) < 5 {
		t.Fatalf("%d sources: %v", len(names), err)
	}
	slices.Sort(names)
	sum := sha256.New()
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		sum.Write(b)
	}
	want, err := dist.ReadFile("dist/sources.sha256")
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != strings.TrimSpace(string(want)) {
		t.Errorf("dashboard/web has changed since dashboard/dist was made: run `make web`")
	}
}

func TestMethodsAndPaths(t *testing.T) {
	s := newServer(t, newFake(), Options{})
	for _, c := range []struct {
		v    visit
		want int
	}{
		{visit{method: "GET", path: "/api/state"}, 200},
		{visit{method: "HEAD", path: "/"}, 200},
		{visit{method: "POST", path: "/"}, 405},
		{visit{method: "DELETE", path: "/api/state"}, 405},
		{visit{method: "GET", path: "/api/fail"}, 405},
		{visit{method: "GET", path: "/nothing"}, 404},
		{visit{method: "GET", path: "/../../etc/passwd"}, 307},
		{visit{method: "GET", path: "/dist/sources.sha256"}, 404},
		{visit{method: "POST", path: "/api/fail", body: `{"domain":"site1"}`}, 200},
		{visit{method: "POST", path: "/api/restore", body: `{"domain":"site1"}`}, 200},
		{visit{method: "POST", path: "/api/fail", body: `{"domain":"site9"}`}, 404},
		{visit{method: "POST", path: "/api/fail", body: `{"domain":1}`}, 400},
		{visit{method: "POST", path: "/api/fail", body: `{"disk":"site1"}`}, 400},
		{visit{method: "POST", path: "/api/fail", body: `{`}, 400},
		{visit{method: "POST", path: "/api/fail", body: `{"domain":"` + strings.Repeat("x", bodyLimit) + `"}`}, 400},
		{visit{method: "POST", path: "/api/fail", body: `{"domain":"site1"}`, header: map[string]string{"Content-Type": "text/plain"}}, 415},
		{visit{method: "POST", path: "/api/fail", body: `{"domain":"site1"}`, header: map[string]string{"Origin": "https://elsewhere.example"}}, 403},
		{visit{method: "POST", path: "/api/fail", body: `{"domain":"site1"}`, header: map[string]string{"Sec-Fetch-Site": "cross-site"}}, 403},
		{visit{method: "GET", path: "/api/power?after=x"}, 400},
		{visit{method: "GET", path: "/api/power?after=-1"}, 200},
		{visit{method: "POST", path: "/api/repair", body: `{}`}, 409},
	} {
		if r := c.v.do(t, s); r.StatusCode != c.want {
			t.Errorf("%s %s %.40s: %d, want %d: %s", c.v.method, c.v.path, c.v.body, r.StatusCode, c.want, text(t, r))
		}
	}
}

// TestWho: who may look, and who may press.
func TestWho(t *testing.T) {
	const fail = `{"domain":"site1"}`
	for _, c := range []struct {
		name       string
		o          Options
		v          visit
		real       bool
		look, push int
	}{
		{"this machine", Options{}, visit{}, false, 200, 200},
		{"this machine by name", Options{}, visit{host: "localhost:9001"}, false, 200, 200},
		{"a name that leads here", Options{}, visit{host: "evil.example:9001"}, false, 421, 421},
		{"no name", Options{}, visit{host: "192.168.0.7"}, false, 421, 421},
		{"a proxy", Options{}, visit{header: map[string]string{"X-Forwarded-For": "1.2.3.4"}}, false, 401, 401},
		{"told to sign in", Options{SignIn: true}, visit{}, false, 401, 401},
		{"read-only", Options{ReadOnly: true}, visit{}, false, 200, 403},
		{"disks that are disks", Options{}, visit{}, true, 200, 403},
		{"from outside", Options{Address: "0.0.0.0:9001", Insecure: true}, visit{from: "10.0.0.9:4000", host: "storage.example"}, false, 401, 401},
		{"this machine, open to others", Options{Address: "0.0.0.0:9001", Insecure: true}, visit{}, false, 401, 401},
		{"everywhere", Options{Address: ":9001", Insecure: true}, visit{}, false, 401, 401},
	} {
		f := newFake()
		f.real = c.real
		s := newServer(t, f, c.o)
		look := c.v
		look.method, look.path = "GET", "/api/state"
		if r := look.do(t, s); r.StatusCode != c.look {
			t.Errorf("%s: looking gives %d, want %d", c.name, r.StatusCode, c.look)
		}
		push := c.v
		push.method, push.path, push.body = "POST", "/api/fail", fail
		if r := push.do(t, s); r.StatusCode != c.push {
			t.Errorf("%s: pressing gives %d, want %d", c.name, r.StatusCode, c.push)
		}
		if got := f.failed[fakeDisks[0]]; got != (c.push == 200) {
			t.Errorf("%s: the disk is failed: %v", c.name, got)
		}
	}
}

func TestSignIn(t *testing.T) {
	f := newFake()
	o := Options{Address: ":9001", Insecure: true}
	gone := false
	o.Still = func(context.Context, string) bool { return !gone }
	s := newServer(t, f, o)
	in := func(access, secret string) *http.Response {
		return visit{method: "POST", path: "/api/session", body: fmt.Sprintf(`{"access_key":%q,"secret_key":%q}`, access, secret), host: "storage.example"}.do(t, s)
	}
	for _, c := range []struct {
		access, secret string
		want           int
	}{{"root", "wrong", 403}, {"", "", 403}, {"root", "", 403}, {"broken", "x", 500}, {"root", "secret123", 204}} {
		r := in(c.access, c.secret)
		if r.StatusCode != c.want || (len(r.Cookies()) > 0) != (c.want == 204) {
			t.Errorf("%s %s: %d with %d cookies, want %d", c.access, c.secret, r.StatusCode, len(r.Cookies()), c.want)
		}
		if strings.Contains(text(t, r), c.secret) && c.secret != "" {
			t.Errorf("the answer repeats the secret")
		}
	}
	cookie := in("root", "secret123").Cookies()[0]
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode {
		t.Errorf("cookie %+v: want HttpOnly and SameSite=Strict", cookie)
	}
	with := func(value string) int {
		return visit{method: "GET", path: "/api/state", host: "storage.example", header: map[string]string{"Cookie": cookieName + "=" + value}}.do(t, s).StatusCode
	}
	if got := with(cookie.Value); got != 200 {
		t.Errorf("signed in: %d, want 200", got)
	}
	if got := with(cookie.Value + "x"); got != 401 {
		t.Errorf("another token: %d, want 401", got)
	}
	gone = true
	if got := with(cookie.Value); got != 401 {
		t.Errorf("no administrator any more: %d, want 401", got)
	}
	gone = false
	f.pass(sessionTime + time.Second)
	if got := with(cookie.Value); got != 401 {
		t.Errorf("a day later: %d, want 401", got)
	}
	cookie = in("root", "secret123").Cookies()[0]
	visit{method: "DELETE", path: "/api/session", host: "storage.example", header: map[string]string{"Cookie": cookieName + "=" + cookie.Value}}.do(t, s)
	if got := with(cookie.Value); got != 401 {
		t.Errorf("signed out: %d, want 401", got)
	}
	tries := 0
	for in("root", "guess").StatusCode != http.StatusTooManyRequests {
		if tries++; tries > attemptBurst {
			t.Fatal("guessing is not bounded")
		}
	}
	f.pass(time.Minute)
	if got := in("root", "secret123").StatusCode; got != 204 {
		t.Errorf("a minute later: %d, want 204", got)
	}
	for range 2 * mostSessions {
		s.sessions.add("root")
	}
	if n := len(s.sessions.by); n > mostSessions {
		t.Errorf("%d sessions are kept, want at most %d", n, mostSessions)
	}
}

func TestAddresses(t *testing.T) {
	for address, want := range map[string]string{"": "", "127.0.0.1:0": "", "[::1]:9001": "", "localhost:1": "", "nonsense": "want HOST:PORT", "0.0.0.0:9001": "plain HTTP", ":9001": "plain HTTP", "10.0.0.1:9001": "plain HTTP"} {
		_, err := New(newFake(), Options{Address: address})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", address, err, want)
		}
	}
	if _, err := New(newFake(), Options{Address: ":1", CertFile: "none.pem", KeyFile: "none.key"}); err == nil {
		t.Error("a certificate that is not there was taken")
	}
}

func TestState(t *testing.T) {
	f := newFake()
	up := &Upkeep{Rate: 50e6}
	s := newServer(t, f, Options{Upkeep: up})
	f.pass(time.Hour)
	get := func() (st State) {
		t.Helper()
		f.pass(time.Hour)
		if err := json.NewDecoder(visit{method: "GET", path: "/api/state"}.do(t, s).Body).Decode(&st); err != nil {
			t.Fatal(err)
		}
		return st
	}
	st := get()
	if st.Health != "whole" || len(st.Sites) != 2 || len(st.Sites[1].Racks) != 2 || len(st.Sites[0].Racks[0].Hosts[0].Disks) != 2 {
		t.Errorf("state %+v", st)
	}
	if st.Energy.Watts != 20 || st.Energy.WPerStoredTB == nil || math.Abs(*st.Energy.WPerStoredTB-20.0/18) > 1e-9 || st.Energy.Joules != 20*7200 {
		t.Errorf("energy %+v", st.Energy)
	}
	if len(st.Buckets) != 1 || st.Buckets[0].Name != energy.Unallocated || st.Buckets[0].Joules != st.Energy.Joules {
		t.Errorf("buckets %+v do not sum to %v J", st.Buckets, st.Energy.Joules)
	}
	visit{method: "POST", path: "/api/fail", body: `{"domain":"site2"}`}.do(t, s)
	select {
	case <-up.Hurried():
	default:
		t.Error("nobody told repair of the change")
	}
	up.Next(f.clock().Add(time.Hour + 30*time.Second))
	st = get()
	if st.Health != "degraded" || st.Totals.Away != 2 || st.Repair.NextIn != 30 || st.Repair.WholeIn != 30+300e6/50e6 {
		t.Errorf("%s, %d away, repair %+v; want it whole 36 s from now", st.Health, st.Totals.Away, st.Repair)
	}
	up.Begin(f.clock().Add(time.Hour - 10*time.Second))
	if st = get(); !st.Repair.Running || st.Repair.Measured || st.Repair.For != 10 || st.Repair.WholeIn != 1 {
		t.Errorf("repair %+v; want it running for 10 s, and 6 s of work estimated", st.Repair)
	}
	up.Begin(f.clock().Add(time.Hour - 10*time.Second))
	up.Progress(100e6, 400e6)
	if st = get(); !st.Repair.Running || !st.Repair.Measured || st.Repair.WholeIn != 30 {
		t.Errorf("repair %+v; want 30 s left at the measured pace", st.Repair)
	}
	up.End(f.clock(), cluster.RepairReport{Left: 7})
	if st = get(); st.Repair.Blocked != 7 || st.Repair.WholeIn != 0 {
		t.Errorf("repair %+v; want it blocked", st.Repair)
	}
	f.err = errors.New("catalog: gone")
	f.pass(time.Hour)
	if r := (visit{method: "GET", path: "/api/state"}).do(t, s); r.StatusCode != 503 || !strings.Contains(text(t, r), "catalog: gone") {
		t.Errorf("a store that cannot say: %d", r.StatusCode)
	}
}

// TestManyBuckets: however many there are, few are told by name, and all sum to the meter.
func TestManyBuckets(t *testing.T) {
	f := newFake()
	for i := range 100 {
		f.ledger.Work(f.now, 0, energy.ForPut, energy.Work{Writes: int64(1 + i), WriteSeeks: int64(1 + i)}, []energy.Share{{Bucket: fmt.Sprint("bucket", i), Weight: 1}})
	}
	f.pass(time.Minute)
	list := bearers(f.ledger)
	if len(list) != mostBuckets+2 || list[0].Name != "bucket99" || list[mostBuckets].Name != energy.Unallocated && list[mostBuckets].Name != "(88 others)" {
		t.Errorf("%d rows, first %s", len(list), list[0].Name)
	}
	sum := 0.0
	for _, b := range list {
		sum += b.Joules
	}
	if want := float64(f.ledger.Parts().Sum().Joules()); math.Abs(sum-want) > 1e-6*want {
		t.Errorf("buckets sum to %v J, the meter says %v J", sum, want)
	}
}

// TestWhatif: the panel gets what the model says, for the same scenario.
func TestWhatif(t *testing.T) {
	s := newServer(t, newFake(), Options{})
	r := visit{method: "GET", path: "/api/whatif?usable_tb=10000&scheme=rs:9%2B6&disk=hgst-he12-12tb&sites=3&fill=0.6&pue=1.4&grid=100&price_kwh=0.2"}.do(t, s)
	var got, want whatif.Report
	if err := json.NewDecoder(r.Body).Decode(&got); err != nil || r.StatusCode != 200 {
		t.Fatalf("%d: %v", r.StatusCode, err)
	}
	sc := whatif.Scenario{UsableTB: 10000, Fill: 0.6, Facility: whatif.Facility{PUE: whatif.Exactly(1.4)}, Carbon: whatif.Carbon{GPerKWh: whatif.Exactly(100)},
		Prices: whatif.Prices{EURPerKWh: whatif.Exactly(0.2)}, Sweep: whatif.Sweep{Schemes: whatif.Words{"rs:9+6"}, Disks: whatif.Words{"hgst-he12-12tb"}, Sites: []int{3}}}
	run, err := whatif.Run(sc)
	if err != nil {
		t.Fatal(err)
	}
	p, err := json.Marshal(run)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(p, &want); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want.Options, got.Options); d != "" {
		t.Errorf("the panel and the model differ:\n%s", d)
	}
	for _, q := range []string{"usable_tb=-1", "usable_tb=NaN", "usable_tb=1e300", "usable_tb=", "sites=2.5", "sites=0", "sites=9999", "scheme=rs:9", "scheme=", "disk=no-such-disk", "pue=0.5", "pue=Inf",
		"fill=0", "fill=2", "grid=-1", "price_kwh=1e9", "nothing=1", "fill=0.5&fill=0.6", "scheme=" + strings.Repeat("x", 200), "scheme=rs:200%2B200"} {
		r := visit{method: "GET", path: "/api/whatif?" + q}.do(t, s)
		if body := text(t, r); r.StatusCode != 400 || !strings.Contains(body, `"error":"`) {
			t.Errorf("%s: %d %s; want a refusal that says why", q, r.StatusCode, body)
		}
	}
}

func FuzzWhatif(f *testing.F) {
	f.Add("usable_tb=10000&scheme=rs:9%2B6&sites=3&fill=0.6&pue=1.4")
	f.Add("disk=helium-5w@8TB&baseline=replica:2&usable_tb=1")
	f.Add("scheme=lrc:12%2B2%2B2&grid=0&price_kwh=0")
	s, err := New(newFake(), Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, q string) {
		r := httptest.NewRequest("GET", "/api/whatif", nil)
		r.Host, r.RemoteAddr, r.URL.RawQuery = "localhost", "127.0.0.1:1", q
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		var doc map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil || w.Code != 200 && w.Code != 400 {
			t.Errorf("%s: %d: %v", q, w.Code, err)
		}
	})
}

func TestChoices(t *testing.T) {
	var c Choices
	if err := json.NewDecoder(visit{method: "GET", path: "/api/choices"}.do(t, newServer(t, newFake(), Options{})).Body).Decode(&c); err != nil {
		t.Fatal(err)
	}
	if len(c.Schemes) < 10 || len(c.Disks) < 20 || !slices.IsSortedFunc(c.Schemes, func(a, b SchemeChoice) int { return int(1000 * (a.Overhead - b.Overhead)) }) {
		t.Errorf("%d schemes, %d disks", len(c.Schemes), len(c.Disks))
	}
	if !slices.ContainsFunc(c.Schemes, func(s SchemeChoice) bool { return s.Scheme == "rs:2+2" }) {
		t.Error("the cluster's own scheme is not offered")
	}
}
