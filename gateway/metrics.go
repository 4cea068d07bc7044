package gateway

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/adaptor"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/wattle-storage/wattle/cluster"
	"github.com/wattle-storage/wattle/energy"
)

const metricsPath = "/metrics"

// A Reporter is a store that can say how it stands and what it used.
type Reporter interface {
	Status(ctx context.Context) (cluster.Status, error)
	Ledger() (*energy.Ledger, error)
}

// metrics counts requests, and asks the store for the rest when somebody looks.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
	bytes    *prometheus.CounterVec
	inFlight prometheus.GaugeFunc
	joules   *prometheus.HistogramVec
}

func newMetrics(s *Server, store Store) *metrics {
	m := &metrics{registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "wattle_s3_request_duration_seconds",
			Help:    "Time until the header of an answer, by action and class of status; of writes all of it.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 100}}, []string{"action", "code"}),
		bytes:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "wattle_s3_body_bytes_total", Help: "Bytes of bodies as announced, by direction (in, out)."}, []string{"direction"}),
		joules: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "wattle_request_joules", Help: "Modelled energy of requests in the drives and for coding, by kind.", Buckets: prometheus.ExponentialBuckets(1e-3, 4, 12)}, []string{"kind", "source"}),
	}
	m.inFlight = prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "wattle_s3_requests_in_flight", Help: "Requests that are being served."}, func() float64 { return float64(s.inFlight.Load()) })
	m.registry.MustRegister(m.requests, m.bytes, m.joules, m.inFlight, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.registry.MustRegister(s.front.quotas.refused, usageReport{s.front})
	if r, ok := store.(Reporter); ok {
		m.registry.MustRegister(&report{r: r, ctx: s.front.ctx})
	}
	return m
}

// handler serves the metrics to this machine, and to others that know the token.
func (m *metrics) handler(token string) fiber.Handler {
	serve := adaptor.HTTPHandler(promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	return func(c fiber.Ctx) error {
		given, _ := strings.CutPrefix(c.Get("Authorization"), "Bearer ")
		known := token != "" && subtle.ConstantTimeCompare([]byte(given), []byte(token)) == 1
		if !known && !loopback(c.IP()) {
			return c.Status(http.StatusForbidden).SendString("metrics are for this machine, or for a bearer of the token\n")
		}
		return serve(c)
	}
}

// observe counts a request when its header is ready.
func (m *metrics) observe(c fiber.Ctx, took time.Duration) {
	status := c.Response().StatusCode()
	m.requests.WithLabelValues(actionOf(c), strconv.Itoa(status/100)+"xx").Observe(took.Seconds())
	if n := c.Request().Header.ContentLength(); n > 0 {
		m.bytes.WithLabelValues("in").Add(float64(n))
	}
	if n := c.Response().Header.ContentLength(); n > 0 && c.Method() == http.MethodGet {
		m.bytes.WithLabelValues("out").Add(float64(n))
	}
}

func (m *metrics) spent(kind string, joules float64) {
	if m != nil {
		m.joules.WithLabelValues(kind, "modelled").Observe(joules)
	}
}

// subresources of the S3 API that make an action of their own.
var subresources = []string{"acl", "attributes", "cors", "delete", "legal-hold", "lifecycle", "location", "object-lock", "ownershipControls", "policy", "policyStatus", "publicAccessBlock", "retention", "tagging", "uploads", "uploadId", "versioning", "versions", "website"}

// actionOf names a request by method, depth and subresource: a set that no client can grow.
func actionOf(c fiber.Ctx) string {
	method := c.Method()
	if !slices.Contains([]string{"GET", "PUT", "HEAD", "POST", "DELETE", "OPTIONS"}, method) {
		method = "other"
	}
	depth := "service"
	if path := strings.Trim(c.Path(), "/"); path != "" {
		depth = "bucket"
		if strings.Contains(path, "/") {
			depth = "object"
		}
	}
	name := strings.ToLower(method) + "_" + depth
	args := c.Request().URI().QueryArgs()
	for _, s := range subresources {
		if args.Has(s) {
			return name + "_" + strings.ToLower(s)
		}
	}
	return name
}

// report collects what the store says of itself. Looking at all stripes costs, so that what
// was seen is kept for a while.
type report struct {
	r   Reporter
	ctx context.Context

	mu     sync.Mutex
	seen   time.Time // guarded by mu
	status cluster.Status
	ledger *energy.Ledger
	err    error
}

const reportAge = 5 * time.Second

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("wattle_"+name, help, labels, nil)
}

var (
	driveWatts     = desc("drive_watts", "What a drive draws in the state that it is in.", "site", "host", "drive", "model", "state", "source")
	driveJoules    = desc("drive_joules_total", "Energy of a drive since the cluster was made.", "site", "host", "drive", "model", "source")
	driveStarts    = desc("drive_starts_total", "Times that a drive was started.", "site", "host", "drive")
	driveUsed      = desc("drive_used_bytes", "Bytes of a drive in use, by kind.", "site", "host", "drive", "kind")
	driveCapacity  = desc("drive_capacity_bytes", "Capacity of a drive.", "site", "host", "drive")
	driveUp        = desc("drive_up", "1 when a drive is served from, by its state.", "site", "host", "drive", "state")
	bucketJoules   = desc("bucket_joules_total", "Energy that a bucket bears, by kind; (unallocated) bears what no bucket holds.", "bucket", "kind", "source")
	bucketRaw      = desc("bucket_raw_bytes", "Raw bytes that a bucket's objects take.", "bucket")
	clusterJoules  = desc("cluster_joules_total", "Energy of the cluster's drives and its coding, by kind.", "kind", "source")
	clusterWatts   = desc("cluster_watts", "What the drives draw now.", "source")
	wattsPerTB     = desc("cluster_watts_per_stored_terabyte", "What the drives draw for each terabyte (1e12 bytes) of objects.", "source")
	clusterStored  = desc("cluster_stored_bytes", "Logical bytes of objects, all versions.")
	clusterObjects = desc("cluster_objects", "Objects, without older versions.")
	clusterRaw     = desc("cluster_capacity_raw_bytes", "Capacity of all drives.")
	clusterUsable  = desc("cluster_capacity_usable_bytes", "Capacity for objects, after redundancy and reserve.")
	stripes        = desc("stripes", "Stripes, by what is left of them.", "state")
	repairBacklog  = desc("repair_pending_shards", "Bad shards that are queued for repair.")
	survivesSites  = desc("survives_sites", "Sites that may be lost as things stand.")
	writable       = desc("writable", "1 when puts are taken.")
	standbyBatches = desc("standby_batches_behind", "Batches that were committed and have not reached the standby.", "directory")
	standbySeconds = desc("standby_seconds_behind", "How long the standby has lacked something, at most; 0 when it has everything.", "directory")
	standbyUp      = desc("standby_up", "1 when the last try to ship to the standby went well.", "directory")
	collectErrors  = desc("report_up", "1 when the store could say all of this.")
)

// Describe sends nothing: the drives and buckets are not known before.
func (*report) Describe(chan<- *prometheus.Desc) {}

// Collect sends what the store says.
func (r *report) Collect(ch chan<- prometheus.Metric) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.seen) > reportAge {
		var e1, e2 error
		r.status, e1 = r.r.Status(r.ctx)
		r.ledger, e2 = r.r.Ledger()
		r.seen, r.err = time.Now(), errors.Join(e1, e2)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(collectErrors, flag(r.err == nil))
	if r.err != nil {
		return
	}
	collectStatus(r.status, gauge)
	watts := collectEnergy(r.ledger, ch, gauge)
	if r.status.StoredBytes > 0 {
		gauge(wattsPerTB, watts/(float64(r.status.StoredBytes)/1e12), "modelled")
	}
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func collectStatus(s cluster.Status, gauge func(*prometheus.Desc, float64, ...string)) {
	gauge(clusterStored, float64(s.StoredBytes))
	gauge(clusterObjects, float64(s.Objects))
	gauge(clusterRaw, float64(s.CapacityBytes))
	gauge(clusterUsable, float64(s.UsableBytes))
	gauge(stripes, float64(s.Stripes.Total-s.Stripes.Degraded-s.Stripes.Unreadable), "whole")
	gauge(stripes, float64(s.Stripes.Degraded), "degraded")
	gauge(stripes, float64(s.Stripes.Unreadable), "unreadable")
	gauge(repairBacklog, float64(s.PendingRepairs))
	gauge(survivesSites, float64(s.Survives.Sites))
	gauge(writable, flag(s.Writable))
	if by := s.Standby; by != nil {
		gauge(standbyBatches, float64(by.Behind), by.Directory)
		gauge(standbySeconds, by.Seconds, by.Directory)
		gauge(standbyUp, flag(by.Error == ""), by.Directory)
	}
	for _, site := range s.Sites {
		for _, d := range site.Disks {
			_, host, drive := place(d.Name)
			gauge(driveUp, flag(d.State == "active"), site.Name, host, drive, d.State)
			gauge(driveCapacity, float64(d.Capacity), site.Name, host, drive)
			for kind, n := range map[string]int64{"live": d.Live, "dead": d.Dead, "pending": d.Pending, "padding": d.Padding} {
				gauge(driveUsed, float64(n), site.Name, host, drive, kind)
			}
		}
	}
}

// place takes SITE/RACK/HOST/DISK apart; a host's name is only its own with its rack's.
func place(name string) (site, host, drive string) {
	p := strings.SplitN(name, "/", 4)
	if len(p) < 4 {
		return "", "", name
	}
	return p[0], p[1] + "/" + p[2], p[3]
}

// collectEnergy sends the ledger and returns what the drives draw now.
func collectEnergy(l *energy.Ledger, ch chan<- prometheus.Metric, gauge func(*prometheus.Desc, float64, ...string)) (watts float64) {
	count := func(d *prometheus.Desc, a energy.Amount, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(a.Joules()), labels...)
	}
	for _, d := range l.Drives {
		site, host, drive := place(d.Name)
		if drive == "" {
			continue
		}
		state, draw := l.Now(d)
		w := float64(draw)
		watts += w
		gauge(driveWatts, w, site, host, drive, d.Profile, state.String(), "modelled")
		count(driveJoules, d.Spent.Sum(), site, host, drive, d.Profile, "modelled")
		ch <- prometheus.MustNewConstMetric(driveStarts, prometheus.CounterValue, float64(d.Starts), site, host, drive)
	}
	gauge(clusterWatts, watts, "modelled")
	for name, b := range l.Buckets {
		gauge(bucketRaw, float64(b.Raw), name)
	}
	if rows, err := l.By("bucket", false); err == nil {
		for _, row := range rows {
			for cause, a := range row.Causes {
				count(bucketJoules, a, row.Name, energy.Cause(cause).String(), "modelled")
			}
		}
	}
	for cause, a := range l.Parts() {
		count(clusterJoules, a, energy.Cause(cause).String(), "modelled")
	}
	return watts
}

// spent puts the energy of a request on its answer, and counts it.
func (f *front) spent(ctx context.Context, kind string, s *cluster.Spent) {
	if s == nil {
		return
	}
	f.metrics.spent(kind, s.Joules)
	f.tell(ctx, *s, "")
}

// tell puts energy on an answer, and the carbon that goes with it when that is switched on. how
// says what else is to be known of the figure.
func (f *front) tell(ctx context.Context, s cluster.Spent, how string) {
	r := request(ctx)
	if r == nil {
		return
	}
	about := "modelled; boundary=" + s.Boundary
	if how != "" {
		about += "; " + how
	}
	h := &r.Response.Header
	h.Set("x-wattle-joules", strconv.FormatFloat(s.Joules, 'g', 4, 64))
	h.Set("x-wattle-energy", about)
	if g := f.grid.Typical; g > 0 {
		h.Set("x-wattle-grams-co2e", strconv.FormatFloat(energy.Joules(s.Joules).KWh()*g, 'g', 4, 64))
		h.Set("x-wattle-grid", fmt.Sprintf("%s g/kWh; %s; %s", strconv.FormatFloat(g, 'g', 6, 64), f.grid.Status, f.grid.Source))
	}
}
