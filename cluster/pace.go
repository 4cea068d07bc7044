package cluster

import (
	"context"
	"sync"
	"time"
)

// A pace holds what is read or written for upkeep to so many bytes a second, over all who
// share it. The zero pace holds nothing back.
type pace struct {
	rate int64 // bytes a second; 0: no limit

	mu   sync.Mutex
	next time.Time // guarded by mu; when what was let through is paid for
}

// burst is how far a pace lets its users run ahead.
const burst = 100 * time.Millisecond

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
