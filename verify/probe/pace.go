package probe

import (
	"context"
	"sync"
	"time"
)

// pace spaces connections out evenly.
type pace struct {
	rate float64
	mu   sync.Mutex
	next time.Time
}

// wait returns when the next connection is due; false where the context ended before.
func (p *pace) wait(ctx context.Context) bool {
	if p.rate <= 0 {
		return ctx.Err() == nil
	}
	p.mu.Lock()
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	due := p.next
	p.next = due.Add(time.Duration(float64(time.Second) / p.rate))
	p.mu.Unlock()
	return sleep(ctx, time.Until(due))
}

// sleep waits; false where the context ended before.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
