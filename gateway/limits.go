package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/versity/versitygw/s3err"

	"github.com/wattle-storage/wattle/cluster"
)

// Limits bound a bucket or a user; what is 0 is not bounded. A user's Bytes and Objects are of
// all buckets that it owns, the rest of the requests that it makes.
type Limits struct {
	Bytes    int64   `json:"bytes,omitempty"`
	Objects  int64   `json:"objects,omitempty"`
	Requests float64 `json:"requests_per_second,omitempty"`
	Rate     int64   `json:"bytes_per_second,omitempty"`
}

// ErrLimits is the error of limits that cannot be.
var ErrLimits = errors.New("bad limits")

func (l Limits) check() error {
	if l.Bytes < 0 || l.Objects < 0 || l.Rate < 0 || !(l.Requests >= 0 && l.Requests <= 1e9) {
		return fmt.Errorf("%w: none may be below 0", ErrLimits)
	}
	return nil
}

const settingLimits = "limits"

// LimitsOf returns the limits in a bucket's settings.
func LimitsOf(set map[string]string) (l Limits) {
	if text := set[settingLimits]; text != "" {
		json.Unmarshal([]byte(text), &l) //nolint:errcheck // we wrote it
	}
	return l
}

// SetLimits sets the limits of a bucket; none takes them away.
func SetLimits(ctx context.Context, s settingStore, bucket string, l Limits) error {
	if err := l.check(); err != nil {
		return err
	}
	if _, err := s.Settings(ctx, bucket); err != nil || bucket == "" {
		return errors.Join(err, cluster.ErrBucketNotFound)
	}
	if l == (Limits{}) {
		return s.Unset(ctx, bucket, settingLimits)
	}
	return s.Set(ctx, bucket, settingLimits, asJSON(l))
}

// An accountant is a store that knows what its buckets hold. Without it nothing is bounded by
// a quota.
type accountant interface {
	TrackUsage(ctx context.Context) error
	Usages(ctx context.Context) (map[string]cluster.Usage, error)
	Reserve(bucket string) *cluster.Reservation
}

// A meter measures what is taken of a thing that comes at a rate. What is taken at once may be
// as much as comes in a second, or one thing; more is owed.
type meter struct {
	mu   sync.Mutex
	paid time.Time // guarded by mu; when what was taken is paid for
}

// take takes n at now.
func (m *meter) take(now time.Time, n, rate float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.paid = m.from(now, rate).Add(time.Duration(min(n/rate, 1e8) * float64(time.Second)))
}

// owed is how long it lasts from now until another may be taken.
func (m *meter) owed(now time.Time, n, rate float64) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return max(0, m.from(now, rate).Add(time.Duration(n/rate*float64(time.Second))).Sub(now))
}

// from is paid, but no longer ago than what may be taken at once takes to come; m.mu is held.
func (m *meter) from(now time.Time, rate float64) time.Time {
	if full := now.Add(-time.Duration(max(1, 1/rate) * float64(time.Second))); m.paid.Before(full) {
		return full
	}
	return m.paid
}

// quotas decide on limits.
type quotas struct {
	store accountant // nil: no quotas
	ctx   context.Context

	mu     sync.Mutex
	meters map[string]*meter // guarded by mu

	refused *prometheus.CounterVec
}

func newQuotas(ctx context.Context, s Store) (*quotas, error) {
	q := &quotas{ctx: ctx, meters: map[string]*meter{},
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "wattle_s3_refused_total", Help: "Requests that were refused by a limit of a bucket or a user, by limit."}, []string{"limit"})}
	if a, ok := s.(accountant); ok {
		if err := a.TrackUsage(ctx); err != nil {
			return nil, err
		}
		q.store = a
	}
	return q, nil
}

// meter returns that of a bucket or user and a thing. There are as many as have limits.
func (q *quotas) meter(name string) *meter {
	q.mu.Lock()
	defer q.mu.Unlock()
	m := q.meters[name]
	if m == nil {
		m = &meter{}
		q.meters[name] = m
	}
	return m
}

// A hold is what one request has been admitted with. A nil one is of a request without limits.
type hold struct {
	f      *front
	bucket string
	limits Limits // of the bucket
	owner  string
	owners Limits // of the owner
	flow   []flow // what bytes count against

	room  *cluster.Reservation // nil without quotas
	bytes int64                // reserved for the body
	read  int64                // of the body
}

// A flow is a meter of bytes and its rate.
type flow struct {
	*meter
	rate float64
}

// limitsOfUser returns the limits of an account. The root has none.
func (f *front) limitsOfUser(access string) Limits {
	if f.users == nil || access == "" || access == f.root {
		return Limits{}
	}
	u, err := f.users.get(f.ctx, access)
	if err != nil || u.Limits == nil {
		return Limits{}
	}
	return *u.Limits
}

// admit decides whether a request may begin, and counts it. A bucket that is not there has no
// limits.
func (f *front) admit(ctx context.Context, bucket string) (*hold, error) {
	access := who(ctx)
	h := &hold{f: f, bucket: bucket}
	if bucket != "" {
		set, err := f.store.Settings(f.ctx, bucket)
		if err != nil {
			return nil, nil //nolint:nilerr // whoever looks for the bucket says it
		}
		h.limits, h.owner = LimitsOf(set.Values), f.ownerOf(set.Values)
		h.owners = f.limitsOfUser(h.owner)
	}
	user := f.limitsOfUser(access)
	if h.limits == (Limits{}) && h.owners == (Limits{}) && user == (Limits{}) {
		return nil, nil
	}
	now := time.Now()
	var counts []flow
	for _, of := range []struct {
		name string
		Limits
	}{{"bucket " + bucket, h.limits}, {"user " + access, user}} {
		if of.Requests > 0 {
			counts = append(counts, flow{f.quotas.meter(of.name + " requests"), of.Requests})
		}
		if of.Rate > 0 {
			h.flow = append(h.flow, flow{f.quotas.meter(of.name + " bytes"), float64(of.Rate)})
		}
	}
	for _, c := range counts {
		if d := c.owed(now, 1, c.rate); d > 0 {
			return nil, f.slowDown(ctx, "requests", d)
		}
	}
	for _, b := range h.flow {
		if d := b.owed(now, 0, b.rate); d > 0 {
			return nil, f.slowDown(ctx, "bytes", d)
		}
	}
	for _, c := range counts {
		c.take(now, 1, c.rate)
	}
	return h, nil
}

// slowDown refuses a request, and says when it may come again.
func (f *front) slowDown(ctx context.Context, limit string, d time.Duration) error {
	f.quotas.refused.WithLabelValues(limit).Inc()
	if r := request(ctx); r != nil {
		r.Response.Header.Set("Retry-After", strconv.Itoa(int(min(math.Ceil(d.Seconds()), 1e6))))
	}
	return s3err.GetAPIError(s3err.ErrSlowDown)
}

// reserve takes room for what is on its way, or refuses it. The store gives it back in the moment
// in which it counts what it stored, so that neither is ever more stored and on its way than is
// allowed, nor anything refused that fits. What replaces an object needs room beside it.
func (h *hold) reserve(more cluster.Usage) error {
	if h == nil || h.f.quotas.store == nil || h.limits.Bytes+h.limits.Objects+h.owners.Bytes+h.owners.Objects == 0 {
		return nil
	}
	if h.room == nil {
		h.room = h.f.quotas.store.Reserve(h.bucket)
	}
	h.bytes += more.Bytes
	return h.room.Take(more, func(now cluster.Held) error {
		limit := h.limits.exceeded(now.Of(h.bucket), more)
		if limit == "" && h.owners.Bytes+h.owners.Objects > 0 {
			sum, err := h.f.owned(now, h.owner)
			if err != nil {
				return err
			}
			limit = h.owners.exceeded(sum, more)
		}
		if limit == "" {
			return nil
		}
		h.f.quotas.refused.WithLabelValues(limit).Inc()
		return s3err.APIError{Code: "QuotaExceeded", HTTPStatusCode: http.StatusForbidden, Description: "The quota of " + limit + " of the bucket or of its owner is exceeded."}
	})
}

// exceeded names the quota that more would exceed.
func (l Limits) exceeded(now, more cluster.Usage) string {
	switch {
	case l.Bytes > 0 && more.Bytes > 0 && now.Bytes+more.Bytes > l.Bytes:
		return "bytes"
	case l.Objects > 0 && more.Objects > 0 && now.Objects+more.Objects > l.Objects:
		return "objects"
	}
	return ""
}

// owned sums what the buckets of an owner hold and have reserved.
func (f *front) owned(now cluster.Held, owner string) (sum cluster.Usage, err error) {
	for _, name := range now.Buckets() {
		set, err := f.store.Settings(f.ctx, name)
		if errors.Is(err, cluster.ErrBucketNotFound) {
			continue
		}
		if err != nil {
			return sum, err
		}
		if f.ownerOf(set.Values) == owner {
			sum = sum.Plus(now.Of(name))
		}
	}
	return sum, nil
}

// pass lets n bytes of a body through: it waits where they come too fast, and reserves room
// for those that were not announced.
func (h *hold) pass(n int) error {
	if h == nil || n <= 0 {
		return nil
	}
	h.read += int64(n)
	if beyond := h.read - h.bytes; beyond > 0 {
		if err := h.reserve(cluster.Usage{Bytes: beyond}); err != nil {
			return err
		}
	}
	return h.slow(n)
}

// roomOf is what was reserved for a request, or nil.
func roomOf(ctx context.Context) *cluster.Reservation {
	if h := holdOf(ctx); h != nil {
		return h.room
	}
	return nil
}

// slow counts bytes and waits for what is owed.
func (h *hold) slow(n int) error {
	if h == nil {
		return nil
	}
	for _, b := range h.flow {
		b.take(time.Now(), float64(n), b.rate)
		if d := b.owed(time.Now(), 0, b.rate); d > 0 {
			timer := time.NewTimer(d)
			select {
			case <-timer.C:
			case <-h.f.ctx.Done():
				timer.Stop()
				return h.f.ctx.Err()
			}
		}
	}
	return nil
}

// holdKey is where a request keeps its hold for the reader of its body.
const holdKey = "wattle-hold"

func holdOf(ctx context.Context) *hold {
	if r := request(ctx); r != nil {
		h, _ := r.UserValue(holdKey).(*hold)
		return h
	}
	return nil
}

// slowBody is a body that goes out no faster than it may.
type slowBody struct {
	io.ReadCloser
	h  *hold
	to taker
}

func (b slowBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if e := b.h.slow(n); e != nil {
		err = e
	}
	return n, err
}

// WriteTo keeps what the body says when it was sent.
func (b slowBody) WriteTo(w io.Writer) (int64, error) {
	if to, ok := b.ReadCloser.(io.WriterTo); ok {
		return to.WriteTo(slowWriter{w, b.h, b.to})
	}
	return io.Copy(slowWriter{w, b.h, b.to}, b.ReadCloser)
}

type slowWriter struct {
	w  io.Writer
	h  *hold
	to taker
}

func (s slowWriter) Write(p []byte) (total int, err error) {
	const piece = 64 << 10 // what a connection has waited for before the next is sent
	for err == nil && len(p) > 0 {
		n := min(len(p), piece)
		if err = s.h.slow(n); err == nil {
			s.to.renew() // it has waited
			n, err = s.w.Write(p[:n])
			total += n
			p = p[n:]
		}
	}
	return total, err
}

var (
	bucketStored  = desc("bucket_stored_bytes", "Bytes that a bucket holds, all versions and parts of uploads.", "bucket")
	bucketObjects = desc("bucket_objects", "Versions of objects that a bucket holds, delete markers aside.", "bucket")
	bucketQuota   = desc("bucket_quota_bytes", "Bytes that a bucket may hold.", "bucket")
	bucketMost    = desc("bucket_quota_objects", "Versions of objects that a bucket may hold.", "bucket")
	userStored    = desc("user_stored_bytes", "Bytes that the buckets of a user with a quota hold.", "user")
	userObjects   = desc("user_objects", "Versions of objects that the buckets of a user with a quota hold.", "user")
	userQuota     = desc("user_quota_bytes", "Bytes that the buckets of a user may hold.", "user")
	userMost      = desc("user_quota_objects", "Versions of objects that the buckets of a user may hold.", "user")
)

// usageReport collects what buckets hold, and may.
type usageReport struct{ f *front }

// Describe sends nothing: the buckets are not known before.
func (usageReport) Describe(chan<- *prometheus.Desc) {}

// Collect sends what is known; a store that does not answer is told of by the rest.
func (r usageReport) Collect(ch chan<- prometheus.Metric) {
	q := r.f.quotas
	if q.store == nil {
		return
	}
	names, err := r.f.store.BucketNames(q.ctx)
	all, e := q.store.Usages(q.ctx)
	if err != nil || e != nil {
		return
	}
	gauge := func(d *prometheus.Desc, v float64, name string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, name)
	}
	for _, name := range names {
		gauge(bucketStored, float64(all[name].Bytes), name)
		gauge(bucketObjects, float64(all[name].Objects), name)
	}
	list, err := Quotas(q.ctx, quotaView{r.f.store, q.store})
	if err != nil {
		return
	}
	for _, x := range list {
		name, bytes, objects := x.Bucket, bucketQuota, bucketMost
		if x.User != "" {
			name, bytes, objects = x.User, userQuota, userMost
			gauge(userStored, float64(x.Usage.Bytes), name)
			gauge(userObjects, float64(x.Usage.Objects), name)
		}
		if x.Limits.Bytes > 0 {
			gauge(bytes, float64(x.Limits.Bytes), name)
		}
		if x.Limits.Objects > 0 {
			gauge(objects, float64(x.Limits.Objects), name)
		}
	}
}

// quotaView is a store with its account of what buckets hold.
type quotaView struct {
	Store
	accountant
}
