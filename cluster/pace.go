package cluster

import (
	"context"
	"sync"
	"time"
)

// A pace holds what is read or written for upkeep to so many bytes a second, over all who
// share it. The zero pace holds nothing back.
type pace struct {
	rate int64       // bytes a second; 0: no limit
	busy func() bool // whether requests are being served, which come first; nil: never

	mu   sync.Mutex
	next time.Time // guarded by mu; when what was let through is paid for
}

// newPace is a pace that yields to the cluster's requests.
func (c *Cluster) newPace(rate int64) *pace {
	return &pace{rate: rate, busy: func() bool { return c.serving.Load() > 0 }}
}

// burst is how far a pace lets its users run ahead.
const burst = 100 * time.Millisecond

// yielding is the part of its rate that upkeep takes while requests are being served.
const yielding = 8

type urgentKey struct{}

// urgent returns a context whose work does not yield to requests.
func urgent(ctx context.Context) context.Context { return context.WithValue(ctx, urgentKey{}, true) }

// delay counts n bytes and returns how long to wait before moving them.
func (p *pace) delay(now time.Time, n int) time.Duration {
	if p == nil || p.rate <= 0 {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next.Before(now.Add(-burst)) {
		p.next = now.Add(-burst)
	}
	wait := max(0, p.next.Sub(now))
	p.next = p.next.Add(time.Duration(float64(n) / float64(p.rate) * float64(time.Second)))
	return wait
}

// wait lets n bytes through.
func (p *pace) wait(ctx context.Context, n int) error {
	if p != nil && p.busy != nil && ctx.Value(urgentKey{}) == nil && p.busy() {
		n *= yielding
	}
	d := p.delay(time.Now(), n)
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
