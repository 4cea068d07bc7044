package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/wattle-storage/wattle/cluster"
)

// Upkeep is repair, scrub, compaction and rebalancing of a cluster that a server has open. It
// knows what is under way, whoever asked for it.
type Upkeep struct {
	c *cluster.Cluster

	mu   sync.Mutex
	jobs []*Job // guarded by mu; in the order in which they began
}

// A Job is a piece of upkeep under way.
type Job struct {
	What  string    `json:"what"` // repair, scrub, compact or rebalance
	Began time.Time `json:"began"`
	Done  int64     `json:"done_bytes"`
	Total int64     `json:"total_bytes"` // 0 while it is not known
}

// NewUpkeep returns the upkeep of a cluster that is open for writing.
func NewUpkeep(c *cluster.Cluster) *Upkeep { return &Upkeep{c: c} }

// Jobs lists what is under way.
func (u *Upkeep) Jobs(context.Context) ([]Job, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	list := []Job{}
	for _, j := range u.jobs {
		list = append(list, *j)
	}
	return list, nil
}

// begin lists a job. It returns a progress that is told to the job and to told, and what ends
// the job.
func (u *Upkeep) begin(what string, told cluster.Progress) (cluster.Progress, func()) {
	j := &Job{What: what, Began: time.Now().UTC()}
	u.mu.Lock()
	u.jobs = append(u.jobs, j)
	u.mu.Unlock()
	progress := func(done, total int64) {
		u.mu.Lock()
		j.Done, j.Total = done, total
		u.mu.Unlock()
		if told != nil {
			told(done, total)
		}
	}
	return progress, func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.jobs = slices.DeleteFunc(u.jobs, func(k *Job) bool { return k == j })
	}
}

// RepairWith is that of the cluster, and so are the others.
func (u *Upkeep) RepairWith(ctx context.Context, o cluster.RepairOptions) (cluster.RepairReport, error) {
	p, end := u.begin("repair", o.Progress)
	defer end()
	o.Progress = p
	return u.c.RepairWith(ctx, o)
}

func (u *Upkeep) Scrub(ctx context.Context, o cluster.ScrubOptions) (cluster.ScrubReport, error) {
	p, end := u.begin("scrub", o.Progress)
	defer end()
	o.Progress = p
	return u.c.Scrub(ctx, o)
}

func (u *Upkeep) Compact(ctx context.Context, o cluster.CompactOptions) (cluster.CompactReport, error) {
	p, end := u.begin("compact", o.Progress)
	defer end()
	o.Progress = p
	return u.c.Compact(ctx, o)
}

func (u *Upkeep) Rebalance(ctx context.Context, o cluster.RebalanceOptions) (cluster.RebalanceReport, error) {
	p, end := u.begin("rebalance", o.Progress)
	defer end()
	o.Progress = p
	return u.c.Rebalance(ctx, o)
}

func (u *Upkeep) SetTrash(ctx context.Context, d time.Duration) error { return u.c.SetTrash(ctx, d) }

func (u *Upkeep) Trash(ctx context.Context) (time.Duration, error) { return u.c.Trash(ctx) }

// A jobLine is one line of the answer to a job: its progress, or, at the end, its report and
// what went wrong.
type jobLine[R any] struct {
	Done   int64  `json:"done,omitempty"`
	Total  int64  `json:"total,omitempty"`
	Report *R     `json:"report,omitempty"`
	Error  string `json:"error,omitempty"`
	Kind   string `json:"kind,omitempty"` // of the error
}

// jobErrors are those that callers branch on, by the name they have on the socket.
var jobErrors = map[string]error{
	"lost": cluster.ErrDataLost, "refused": cluster.ErrTooManyFailures, "no space": cluster.ErrNoSpace, "read-only": cluster.ErrReadOnly,
}

// progressEvery is how often a job says how far it is.
const progressEvery = 200 * time.Millisecond

func (u *Upkeep) handle(mux *http.ServeMux) {
	mux.HandleFunc("GET /upkeep", func(w http.ResponseWriter, r *http.Request) {
		list, _ := u.Jobs(r.Context())
		_ = json.NewEncoder(w).Encode(list)
	})
	mux.HandleFunc("GET /trash", func(w http.ResponseWriter, r *http.Request) {
		d, err := u.Trash(r.Context())
		answerJob(w, jobLine[time.Duration]{Report: &d}, err)
	})
	job(mux, "trash", func(ctx context.Context, d time.Duration, _ cluster.Progress) (time.Duration, error) {
		return d, u.SetTrash(ctx, d)
	})
	job(mux, "repair", func(ctx context.Context, o cluster.RepairOptions, p cluster.Progress) (cluster.RepairReport, error) {
		o.Progress = p
		return u.RepairWith(ctx, o)
	})
	job(mux, "scrub", func(ctx context.Context, o cluster.ScrubOptions, p cluster.Progress) (cluster.ScrubReport, error) {
		o.Progress = p
		return u.Scrub(ctx, o)
	})
	job(mux, "compact", func(ctx context.Context, o cluster.CompactOptions, p cluster.Progress) (cluster.CompactReport, error) {
		o.Progress = p
		return u.Compact(ctx, o)
	})
	job(mux, "rebalance", func(ctx context.Context, o cluster.RebalanceOptions, p cluster.Progress) (cluster.RebalanceReport, error) {
		o.Progress = p
		return u.Rebalance(ctx, o)
	})
}

// job serves a job: it runs while the caller stays, and answers with a line of JSON now and
// then, and with the report.
func job[O, R any](mux *http.ServeMux, what string, run func(context.Context, O, cluster.Progress) (R, error)) {
	mux.HandleFunc("POST /upkeep/"+what, func(w http.ResponseWriter, r *http.Request) {
		var o O
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&o); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		rc := http.NewResponseController(w)
		if err := rc.SetReadDeadline(time.Time{}); err != nil { // it may take days
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		var mu sync.Mutex
		var last time.Time // guarded by mu
		progress := func(done, total int64) {
			mu.Lock()
			defer mu.Unlock()
			if now := time.Now(); now.Sub(last) >= progressEvery {
				last = now
				_ = json.NewEncoder(w).Encode(jobLine[R]{Done: done, Total: total})
				rc.Flush() //nolint:errcheck // the caller is gone; ctx tells
			}
		}
		rep, err := run(r.Context(), o, progress)
		mu.Lock()
		defer mu.Unlock()
		answerJob(w, jobLine[R]{Report: &rep}, err)
	})
}

func answerJob[R any](w http.ResponseWriter, line jobLine[R], err error) {
	if err != nil {
		line.Error = err.Error()
		for kind, e := range jobErrors {
			if errors.Is(err, e) {
				line.Kind = kind
			}
		}
	}
	_ = json.NewEncoder(w).Encode(line)
}

// Jobs lists what is under way in the server.
func (a Admin) Jobs(ctx context.Context) (list []Job, err error) {
	err = a.do(ctx, http.MethodGet, "/upkeep", nil, &list)
	return list, err
}

// RepairWith has the server do it, and so have the others. They end when ctx does.
func (a Admin) RepairWith(ctx context.Context, o cluster.RepairOptions) (cluster.RepairReport, error) {
	return ask[cluster.RepairReport](ctx, a, "repair", o, o.Progress)
}

func (a Admin) Scrub(ctx context.Context, o cluster.ScrubOptions) (cluster.ScrubReport, error) {
	return ask[cluster.ScrubReport](ctx, a, "scrub", o, o.Progress)
}

func (a Admin) Compact(ctx context.Context, o cluster.CompactOptions) (cluster.CompactReport, error) {
	return ask[cluster.CompactReport](ctx, a, "compact", o, o.Progress)
}

func (a Admin) Rebalance(ctx context.Context, o cluster.RebalanceOptions) (cluster.RebalanceReport, error) {
	return ask[cluster.RebalanceReport](ctx, a, "rebalance", o, o.Progress)
}

func (a Admin) SetTrash(ctx context.Context, d time.Duration) error {
	_, err := ask[time.Duration](ctx, a, "trash", d, nil)
	return err
}

func (a Admin) Trash(ctx context.Context) (time.Duration, error) {
	var line jobLine[time.Duration]
	if err := a.do(ctx, http.MethodGet, "/trash", nil, &line); err != nil {
		return 0, err
	}
	return line.end()
}

// ask has the server do a job, and follows it.
func ask[R any](ctx context.Context, a Admin, what string, options any, told cluster.Progress) (report R, err error) {
	res, err := a.send(ctx, http.MethodPost, "/upkeep/"+what, options)
	if err != nil {
		return report, err
	}
	defer res.Body.Close()
	lines := json.NewDecoder(res.Body)
	for {
		var l jobLine[R]
		switch err := lines.Decode(&l); {
		case ctx.Err() != nil:
			return report, ctx.Err()
		case err != nil:
			return report, fmt.Errorf("the server ended before its %s: %w", what, err)
		case l.Report != nil:
			return l.end()
		case told != nil:
			told(l.Done, l.Total)
		}
	}
}

func (l jobLine[R]) end() (R, error) {
	if l.Error == "" {
		return *l.Report, nil
	}
	err := errors.New(l.Error)
	if kind := jobErrors[l.Kind]; kind != nil {
		err = fmt.Errorf("%w%w", err, silent{kind})
	}
	return *l.Report, err
}
