package controller

import (
	"sync"
	"time"
)

// How long changes are gathered before they are looked at.
const (
	// Urgent is what people wrote, and what was done to palisade's objects: the
	// next run begins when it has been quiet for the first, and after the second at the latest.
	urgentQuiet, urgentMost = 20 * time.Millisecond, 200 * time.Millisecond
	// All else waits so long.
	otherwise = time.Second
	// echoLater is how much longer what palisade itself wrote waits, where no rollout waits for it to be seen.
	echoLater = 4 * time.Second
	// busyMost is how much longer what is not urgent waits while writes are on their way.
	busyMost = 5 * time.Second
)

// bell gathers what calls for another run, and tells when that is due.
type bell struct {
	lock sync.Mutex
	// urgent and last are when the first and the last urgent call came, other when the first other one did; zero where none did.
	urgent, last, other time.Time
	// at is when time itself calls; zero where it does not.
	at time.Time
	// ran is when the last run ended, and took is how long it took.
	ran  time.Time
	took time.Duration
	woke chan struct{}
}

func newBell() *bell { return &bell{woke: make(chan struct{}, 1)} }

func (b *bell) ring(urgent bool, now time.Time) {
	b.lock.Lock()
	defer b.lock.Unlock()
	if urgent {
		if b.urgent.IsZero() {
			b.urgent = now
		}
		b.last = now
	} else if b.other.IsZero() || now.Before(b.other) {
		b.other = now
	}
	select {
	case b.woke <- struct{}{}:
	default:
	}
}

// ringLate calls for a run that has time.
func (b *bell) ringLate(now time.Time) {
	b.lock.Lock()
	defer b.lock.Unlock()
	if at := now.Add(echoLater); b.other.IsZero() || at.Before(b.other) {
		b.other = at
	}
	select {
	case b.woke <- struct{}{}:
	default:
	}
}

// begin takes all calls as heeded.
func (b *bell) begin() {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.urgent, b.last, b.other, b.at = time.Time{}, time.Time{}, time.Time{}, time.Time{}
}

// end notes a run, and when time itself will call; after is 0 where it will not.
func (b *bell) end(began, now time.Time, after time.Duration) {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.ran, b.took = now, now.Sub(began)
	if after > 0 {
		b.at = now.Add(after)
	}
}

// due is when the next run is to begin; zero where nothing calls. Runs leave
// others room: a large cluster that is always changing is not looked at all the time.
func (b *bell) due(busy bool) time.Time {
	b.lock.Lock()
	defer b.lock.Unlock()
	var due time.Time
	sooner := func(t time.Time) {
		if due.IsZero() || t.Before(due) {
			due = t
		}
	}
	if !b.urgent.IsZero() {
		t := b.last.Add(urgentQuiet)
		if most := b.urgent.Add(urgentMost); most.Before(t) {
			t = most
		}
		sooner(later(t, b.ran.Add(b.took/4)))
	}
	if !b.other.IsZero() {
		t := b.other.Add(otherwise)
		if busy {
			t = t.Add(busyMost)
		}
		sooner(later(t, b.ran.Add(2*b.took)))
	}
	if !b.at.IsZero() {
		sooner(b.at)
	}
	return due
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
