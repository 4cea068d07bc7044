package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/valyala/fasthttp"

	"github.com/wattle-storage/wattle/cluster"
	"github.com/wattle-storage/wattle/energy"
)

func limit(t testing.TB, bucket string, l Limits) {
	t.Helper()
	if err := SetLimits(t.Context(), store, bucket, l); err != nil {
		t.Fatal(err)
	}
}

func holds(t testing.TB, bucket string, want cluster.Usage) {
	t.Helper()
	if got, err := store.Usage(t.Context(), bucket); err != nil || got != want {
		t.Errorf("%s holds %+v, want %+v, %v", bucket, got, want, err)
	}
}

// TestQuotaExact: of many puts at the same time as many are stored as fit, no more and no less.
func TestQuotaExact(t *testing.T) {
	for name, l := range map[string]Limits{"bytes": {Bytes: 10_000}, "objects": {Objects: 10}} {
		b := newBucket(t)
		limit(t, b, l)
		var wg sync.WaitGroup
		var mu sync.Mutex
		codes := map[string]int{}
		for i := range 25 {
			wg.Go(func() {
				a := call{Method: "PUT", Path: fmt.Sprintf("/%s/%d", b, i), Body: randomText(1000, uint64(i))}.do(t)
				mu.Lock()
				codes[fmt.Sprint(a.Status, a.Code)]++
				mu.Unlock()
			})
		}
		wg.Wait()
		if codes["200"] != 10 || codes["403QuotaExceeded"] != 15 {
			t.Errorf("%s: %v", name, codes)
		}
		holds(t, b, cluster.Usage{Bytes: 10_000, Objects: 10})
	}
}

// TestQuota: every way to store something is bounded, what is refused leaves nothing, and what
// is deleted makes room.
func TestQuota(t *testing.T) {
	b, other := newBucket(t), newBucket(t)
	putObject(t, b, "k", strings.Repeat("a", 600))
	putObject(t, other, "large", strings.Repeat("a", 500))
	limit(t, b, Limits{Bytes: 1000, Objects: 2})
	const denied = "QuotaExceeded"
	full := cluster.Usage{Bytes: 600, Objects: 1}
	call{Method: "PUT", Path: "/" + b + "/x", Body: strings.Repeat("b", 401)}.want(t, 403, denied)
	call{Method: "PUT", Path: "/" + b + "/k", Body: strings.Repeat("b", 401)}.want(t, 403, denied) // beside what it replaces
	call{Method: "PUT", Path: "/" + b + "/x", Headers: map[string]string{"X-Amz-Copy-Source": other + "/large"}}.want(t, 403, denied)
	holds(t, b, full)
	call{Path: "/" + b + "/x"}.want(t, 404, "NoSuchKey")
	up := call{Method: "POST", Path: "/" + b + "/m?uploads="}.want(t, 200, "")
	id := between(up.Body, "<UploadId>", "</UploadId>")
	part := func(n int, size int) call {
		return call{Method: "PUT", Path: fmt.Sprintf("/%s/m?partNumber=%d&uploadId=%s", b, n, id), Body: strings.Repeat("c", size)}
	}
	part(1, 401).want(t, 403, denied)
	call{Method: "PUT", Path: fmt.Sprintf("/%s/m?partNumber=1&uploadId=%s", b, id), Headers: map[string]string{"X-Amz-Copy-Source": other + "/large"}}.want(t, 403, denied)
	call{Method: "PUT", Path: fmt.Sprintf("/%s/m?partNumber=1&uploadId=%s", b, id), Headers: map[string]string{"X-Amz-Copy-Source": other + "/large", "X-Amz-Copy-Source-Range": "bytes=0-99"}}.want(t, 200, "")
	tag := part(1, 300).want(t, 200, "").Header.Get("ETag")
	holds(t, b, cluster.Usage{Bytes: 900, Objects: 1})
	done := call{Method: "POST", Path: "/" + b + "/m?uploadId=" + id, Body: "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" + tag + "</ETag></Part></CompleteMultipartUpload>"}
	limit(t, b, Limits{Objects: 1})
	done.want(t, 403, denied)
	limit(t, b, Limits{Bytes: 900, Objects: 2})
	done.want(t, 200, "")
	holds(t, b, cluster.Usage{Bytes: 900, Objects: 2})
	call{Method: "PUT", Path: "/" + b + "/y", Body: "c"}.want(t, 403, denied)
	call{Method: "DELETE", Path: "/" + b + "/k"}.want(t, 204, "")
	call{Method: "PUT", Path: "/" + b + "/y", Body: "c"}.want(t, 200, "")
	limit(t, b, Limits{})
	call{Method: "PUT", Path: "/" + b + "/z", Body: strings.Repeat("b", 5000)}.want(t, 200, "")
	if err := SetLimits(t.Context(), store, b, Limits{Bytes: -1}); !errors.Is(err, ErrLimits) {
		t.Errorf("%v", err)
	}
	if err := SetLimits(t.Context(), store, "nowhere", Limits{Bytes: 1}); !errors.Is(err, cluster.ErrBucketNotFound) {
		t.Errorf("%v", err)
	}
}

func between(s, a, b string) string {
	_, s, _ = strings.Cut(s, a)
	s, _, _ = strings.Cut(s, b)
	return s
}

// TestUserLimits: a user's quota is of all buckets that it owns, whoever writes to them, and its
// rate of the requests that it makes.
func TestUserLimits(t *testing.T) {
	u, err := users.Add(t.Context(), "limited", "limitedsecret", RoleMaker)
	if err != nil {
		t.Fatal(err)
	}
	key := Credentials{u.Access, u.Secret}
	for _, b := range []string{"limited-1", "limited-2"} {
		call{Method: "PUT", Path: "/" + b, Key: key}.want(t, 200, "")
	}
	if err := users.Limit(t.Context(), u.Access, Limits{Bytes: 1000}); err != nil {
		t.Fatal(err)
	}
	call{Method: "PUT", Path: "/limited-1/a", Body: strings.Repeat("a", 600), Key: key}.want(t, 200, "")
	call{Method: "PUT", Path: "/limited-2/a", Body: strings.Repeat("a", 401), Key: key}.want(t, 403, "QuotaExceeded")
	call{Method: "PUT", Path: "/limited-2/a", Body: strings.Repeat("a", 401)}.want(t, 403, "QuotaExceeded")
	call{Method: "PUT", Path: "/limited-2/a", Body: strings.Repeat("a", 400), Key: key}.want(t, 200, "")
	limit(t, "limited-1", Limits{Bytes: 1200, Objects: 1})
	want := []Quota{{Bucket: "limited-1", Usage: cluster.Usage{Bytes: 600, Objects: 1}, Limits: Limits{Bytes: 1200, Objects: 1}, Part: 1},
		{User: "limited", Usage: cluster.Usage{Bytes: 1000, Objects: 2}, Limits: Limits{Bytes: 1000}, Part: 1}}
	all, err := Quotas(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	var ours []Quota
	for _, q := range all {
		if strings.HasPrefix(q.Bucket+q.User, "limited") {
			ours = append(ours, q)
		}
	}
	if d := cmp.Diff(want, ours); d != "" {
		t.Error(d)
	}
	_, text := send(t, "GET", endpoint+metricsPath, "")
	for _, line := range []string{`wattle_bucket_quota_bytes{bucket="limited-1"} 1200`, `wattle_bucket_quota_objects{bucket="limited-1"} 1`, `wattle_user_stored_bytes{user="limited"} 1000`, `wattle_user_quota_bytes{user="limited"} 1000`} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no metric %s", line)
		}
	}
	limit(t, "limited-1", Limits{})
	if err := users.Limit(t.Context(), u.Access, Limits{Requests: 0.001}); err != nil {
		t.Fatal(err)
	}
	call{Path: "/limited-1/a", Key: key}.want(t, 200, "")
	a := call{Path: "/limited-1/a", Key: key}.want(t, 503, "SlowDown")
	if s := a.Header.Get("Retry-After"); len(s) < 3 || len(s) > 4 {
		t.Errorf("Retry-After %q, want about 1000", s)
	}
	call{Path: "/limited-1/a"}.want(t, 200, "") // another's request
	if err := users.Limit(t.Context(), u.Access, Limits{}); err != nil {
		t.Fatal(err)
	}
	call{Path: "/limited-1/a", Key: key}.want(t, 200, "")
	if err := users.Limit(t.Context(), "nobody", Limits{}); !errors.Is(err, ErrUserNotFound) {
		t.Errorf("%v", err)
	}
}

// TestBucketRate: requests that come too fast are refused, whatever they are, and bodies come out
// whole however slow.
func TestBucketRate(t *testing.T) {
	b := newBucket(t)
	body := randomText(300_000, 1)
	putObject(t, b, "k", body)
	limit(t, b, Limits{Rate: 2_000_000})
	if a := (call{Path: "/" + b + "/k"}).want(t, 200, ""); a.Body != body {
		t.Errorf("%d bytes came of %d", len(a.Body), len(body))
	}
	call{Method: "PUT", Path: "/" + b + "/l", Body: body}.want(t, 200, "")
	limit(t, b, Limits{Requests: 0.001})
	call{Method: "HEAD", Path: "/" + b + "/k"}.want(t, 200, "")
	for _, c := range []call{{Path: "/" + b + "/k"}, {Path: "/" + b + "?list-type=2"}, {Method: "DELETE", Path: "/" + b + "/k"}, {Method: "PUT", Path: "/" + b + "/n", Body: "x"},
		{Path: "/" + b + "?versions="}, {Path: "/" + b + "?uploads="}, {Method: "POST", Path: "/" + b + "/m?uploads="}} {
		c.want(t, 503, "SlowDown")
	}
	limit(t, b, Limits{})
	call{Path: "/" + b + "/k"}.want(t, 200, "")
	if a := (call{Path: "/metrics", Key: Credentials{Access: "-"}}).want(t, 200, ""); !strings.Contains(a.Body, `wattle_s3_refused_total{limit="requests"}`) ||
		!strings.Contains(a.Body, `wattle_bucket_objects{bucket="`+b+`"} 2`) {
		t.Error("metrics say nothing of limits")
	}
}

// TestLimitsThroughSocket: a command sets limits while the server runs.
func TestLimitsThroughSocket(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	path, done := filepath.Join(t.TempDir(), "s"), make(chan error, 1)
	go func() { done <- ServeAdmin(ctx, path, users, NewUpkeep(store)) }()
	defer func() { stop(); <-done }()
	a, b := DialAdmin(path), newBucket(t)
	for range 200 {
		if _, err := os.Stat(path); err == nil {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err := a.LimitBucket(ctx, b, Limits{Bytes: 5, Requests: 7}); err != nil {
		t.Fatal(err)
	}
	set, err := store.Settings(ctx, b)
	if got := LimitsOf(set.Values); err != nil || got != (Limits{Bytes: 5, Requests: 7}) {
		t.Errorf("%+v, %v", got, err)
	}
	if err := a.LimitBucket(ctx, "nowhere", Limits{Bytes: 5}); !errors.Is(err, cluster.ErrBucketNotFound) {
		t.Errorf("%v", err)
	}
	if err := a.Limit(ctx, "nobody", Limits{Bytes: 5}); !errors.Is(err, ErrUserNotFound) {
		t.Errorf("%v", err)
	}
	if err := a.LimitBucket(ctx, b, Limits{Bytes: -5}); err == nil || !strings.Contains(err.Error(), "below 0") {
		t.Errorf("%v", err)
	}
}

// TestUnannounced: what a body has beyond its announced length is bounded as it comes.
func TestUnannounced(t *testing.T) {
	b := newBucket(t)
	limit(t, b, Limits{Bytes: 1000})
	set, err := store.Settings(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	q, err := newQuotas(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	h := &hold{f: &front{ctx: t.Context(), store: store, quotas: q}, bucket: b, limits: LimitsOf(set.Values)}
	if err := h.reserve(cluster.Usage{Bytes: 100, Objects: 1}); err != nil {
		t.Fatal(err)
	}
	read := 0
	for err == nil {
		if err = h.pass(90); err == nil {
			read += 90
		}
	}
	if want := "QuotaExceeded"; read != 990 || !strings.Contains(fmt.Sprint(err), want) {
		t.Errorf("%d bytes of 1000 were let through, %v", read, err)
	}
	h.room.Release()
	h.room.Release()
	if err := (&hold{f: h.f, bucket: b, limits: h.limits}).reserve(cluster.Usage{Bytes: 1000}); err != nil {
		t.Errorf("nothing was given back: %v", err)
	}
}

// TestMeter: as much as comes in a second may be taken at once, and then no more than comes.
func TestMeter(t *testing.T) {
	m, now := &meter{}, time.Unix(1e9, 0)
	taken := 0
	for range 1000 { // ten seconds
		for m.owed(now, 1, 5) == 0 {
			m.take(now, 1, 5)
			taken++
		}
		now = now.Add(10 * time.Millisecond)
	}
	if taken != 54 && taken != 55 {
		t.Errorf("%d in ten seconds at 5 a second", taken)
	}
	if now = now.Add(time.Hour); m.owed(now, 5, 5) != 0 || m.owed(now, 6, 5) == 0 {
		t.Error("after a pause")
	}
	slow := &meter{}
	if slow.owed(now, 1, 0.1) > 0 {
		t.Error("one a tenth of a second: the first must wait")
	}
	slow.take(now, 1, 0.1)
	if d := slow.owed(now, 1, 0.1); d != 10*time.Second {
		t.Errorf("the second waits %v", d)
	}
}

func TestSlowBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		h := &hold{f: &front{ctx: ctx}, flow: []flow{{&meter{}, 1000}}}
		start := time.Now()
		var sent strings.Builder
		n, err := slowBody{http.NoBody, h, taker{}}.WriteTo(&sent)
		if err != nil || n != 0 {
			t.Errorf("%d, %v", n, err)
		}
		for range 10 {
			if _, err := (slowWriter{&sent, h, taker{}}).Write(make([]byte, 600)); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(start); d != 5*time.Second || sent.Len() != 6000 {
			t.Errorf("%d bytes at 1000 a second, of which 1000 at once, took %v", sent.Len(), d)
		}
		cancel()
		if err := h.slow(1e6); !errors.Is(err, context.Canceled) {
			t.Errorf("the server stops: %v", err)
		}
	})
}

// TestTell: carbon goes with energy when a grid is given, and the factor is told with it.
func TestTell(t *testing.T) {
	grid, err := energy.Intensity("FR", "codecarbon-2023")
	if err != nil {
		t.Fatal(err)
	}
	r := &fasthttp.RequestCtx{}
	(&front{grid: grid}).tell(r, cluster.Spent{Joules: 3.6e6, Boundary: "drives"}, "estimated")
	for name, want := range map[string]string{"x-wattle-joules": "3.6e+06", "x-wattle-energy": "modelled; boundary=drives; estimated", "x-wattle-grams-co2e": "56",
		"x-wattle-grid": "56 g/kWh; datasheet; codecarbon-2023"} {
		if got := string(r.Response.Header.Peek(name)); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// TestEnergyByUser: who asks is charged, in whatever bucket, and a long get says before its body
// what it is likely to take.
func TestEnergyByUser(t *testing.T) {
	u, err := users.Add(t.Context(), "consumer", "consumersecret", RoleAdmin)
	if err != nil {
		t.Fatal(err)
	}
	b, key := newBucket(t), Credentials{u.Access, u.Secret}
	call{Method: "PUT", Path: "/" + b + "/k", Body: randomText(1<<20, 1), Key: key}.want(t, 200, "")
	a := call{Path: "/" + b + "/k", Key: key}.want(t, 200, "")
	if joules, err := strconv.ParseFloat(a.Header.Get("X-Wattle-Joules"), 64); err != nil || !(joules > 0) || !strings.Contains(a.Header.Get("X-Wattle-Energy"), "estimated") {
		t.Errorf("a long get: %q, %q", a.Header.Get("X-Wattle-Joules"), a.Header.Get("X-Wattle-Energy"))
	}
	l, err := store.Ledger()
	if err != nil || l.Check() != nil {
		t.Fatal(err, l.Check())
	}
	var sum energy.Amount
	found := false
	for _, r := range l.ByUser(func(bucket string) string { return root.Access }, false) {
		sum = sum.Plus(r.Joules)
		if r.Name == u.Access {
			found = !r.Causes[energy.ForPut].IsZero() && !r.Causes[energy.ForGet].IsZero() && r.Causes[energy.ForIdle].IsZero()
		}
	}
	if !found || sum != l.Parts().Sum() {
		t.Errorf("consumer was charged: %v; %s J of %s", found, sum, l.Parts().Sum())
	}
}
