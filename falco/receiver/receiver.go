// Package receiver takes in Falco's events over HTTP, as Falco's http_output and
// falcosidekick's webhook send them: one JSON object a POST. Everything is bounded:
// who may send, how much at a time, how fast, how many wait, and what is kept.
package receiver

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"floe.dev/palisade/falco"
)

// Options are how events are taken in. Token or Clients must be given: nobody sends unnamed.
type Options struct {
	// Token is the bearer token that senders must show (RFC 6750); it is asked for at each request, so that it can be renewed. Empty refuses.
	Token func() string
	// Clients are the DNS names or URIs (such as SPIFFE IDs) in certificates of senders. The server must have verified
	// these against a CA of its own: tls.Config with ClientAuth VerifyClientCertIfGiven or RequireAndVerifyClientCert.
	Clients []string
	// Governed tells whether a namespace is governed: others share one label in metrics, and nothing is kept of them.
	Governed func(namespace string) bool
	// Now is the clock; time.Now by default.
	Now func() time.Time
	// Body is the most that an event may have, in bytes; 64 KiB by default.
	Body int64
	// PerSecond and Burst are how many events are taken in; 50 a second and 500 at once by default.
	PerSecond float64
	Burst     int
	// Queue is how many events may wait; 1024 by default.
	Queue int
	// Keep is how long events stand; 24 hours by default.
	Keep time.Duration
	// Notify is told of each event that was kept, by one goroutine, the event already being in the ledger. It may be nil.
	Notify func(context.Context, falco.Event)
}

// Receiver is an http.Handler that takes events in, and a prometheus.Collector. Run
// works off what waits.
type Receiver struct {
	o     Options
	limit *rate.Limiter
	queue chan falco.Event
	*metrics

	mu     sync.RWMutex
	ledger *falco.Ledger
}

// New makes a Receiver. It is an error if nobody could prove who they are.
func New(o Options) (*Receiver, error) {
	if o.Token == nil && len(o.Clients) == 0 {
		return nil, errors.New("a receiver of events needs a token or names of clients: without, anybody could make up events")
	}
	if slices.Contains(o.Clients, "") {
		return nil, errors.New("a name of a client is empty")
	}
	if o.Governed == nil {
		return nil, errors.New("a receiver of events needs to know which namespaces are governed")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Body, o.PerSecond, o.Burst, o.Queue, o.Keep = or(o.Body, 64<<10), or(o.PerSecond, 50), or(o.Burst, 500), or(o.Queue, 1024), or(o.Keep, 24*time.Hour)
	r := &Receiver{o: o, limit: rate.NewLimiter(rate.Limit(o.PerSecond), o.Burst), queue: make(chan falco.Event, o.Queue), ledger: falco.NewLedger(o.Keep)}
	r.metrics = newMetrics(func() float64 { return float64(len(r.queue)) })
	return r, nil
}

// or is a value, or what stands in for one that is not given or not above nought.
func or[T int | int64 | float64 | time.Duration](value, otherwise T) T {
	if value <= 0 {
		return otherwise
	}
	return value
}

// ServeHTTP takes one event in: 202 where it waits to be worked off; 401, 405, 413,
// 400 where it is refused; 429 where there are too many, 503 where too many wait.
// An event that is turned away is counted and lost: Falco does not send it again.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	refuse := func(status int, reason, text string) {
		r.refused.WithLabelValues(reason).Inc()
		http.Error(w, text, status)
	}
	switch {
	case !r.knows(req):
		w.Header().Set("WWW-Authenticate", "Bearer")
		refuse(http.StatusUnauthorized, "unauthorized", "who are you?")
		return
	case req.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		refuse(http.StatusMethodNotAllowed, "method", "send events with POST")
		return
	case !r.limit.AllowN(r.o.Now(), 1):
		w.Header().Set("Retry-After", "1")
		refuse(http.StatusTooManyRequests, "rate", "too many events")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, r.o.Body))
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			refuse(http.StatusRequestEntityTooLarge, "too-large", "the event is too large")
		} else {
			refuse(http.StatusBadRequest, "malformed", "the event could not be read")
		}
		return
	}
	e, err := falco.Read(body, r.o.Now())
	if err != nil {
		refuse(http.StatusBadRequest, "malformed", err.Error())
		return
	}
	select {
	case r.queue <- e:
		w.WriteHeader(http.StatusAccepted)
	default:
		w.Header().Set("Retry-After", "1")
		refuse(http.StatusServiceUnavailable, "queue", "too many events wait")
	}
}

// knows tells whether a request proves to be from a sender.
func (r *Receiver) knows(req *http.Request) bool {
	if r.o.Token != nil {
		token := r.o.Token()
		scheme, shown, _ := strings.Cut(req.Header.Get("Authorization"), " ")
		if token != "" && strings.EqualFold(scheme, "Bearer") && equal(strings.TrimSpace(shown), token) {
			return true
		}
	}
	if req.TLS == nil || len(req.TLS.VerifiedChains) == 0 || len(req.TLS.VerifiedChains[0]) == 0 {
		return false
	}
	leaf := req.TLS.VerifiedChains[0][0]
	for _, name := range leaf.DNSNames {
		if slices.Contains(r.o.Clients, name) {
			return true
		}
	}
	for _, uri := range leaf.URIs {
		if slices.Contains(r.o.Clients, uri.String()) {
			return true
		}
	}
	return false
}

// equal compares in a time that tells neither where two texts differ nor how long the right one is.
func equal(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// forgetEvery is how often what has passed is dropped.
const forgetEvery = 10 * time.Minute

// Run works off what waits until the context ends; then what still waits is worked off, without telling anybody.
func (r *Receiver) Run(ctx context.Context) {
	tick := time.NewTicker(forgetEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			r.drain()
			return
		case e := <-r.queue:
			if r.take(e) && r.o.Notify != nil {
				r.o.Notify(ctx, e)
			}
		case <-tick.C:
			r.mu.Lock()
			r.ledger.Forget(r.o.Now())
			r.mu.Unlock()
		}
	}
}

func (r *Receiver) drain() {
	for {
		select {
		case e := <-r.queue:
			r.take(e)
		default:
			return
		}
	}
}

// take counts an event, and keeps it where its namespace is governed.
func (r *Receiver) take(e falco.Event) bool {
	governed := e.Namespace != "" && r.o.Governed(e.Namespace)
	r.count(e, governed, r.o.Now())
	if !governed {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.ledger.Unkept
	kept := r.ledger.Add(e, r.o.Now())
	r.unkept.Add(float64(r.ledger.Unkept - before))
	return kept
}

// Of is what stands for a namespace, the gravest first.
func (r *Receiver) Of(namespace string) []falco.Standing {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.ledger.Of(namespace, r.o.Now())
}

// Namespaces are those of which something stands, sorted.
func (r *Receiver) Namespaces() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.ledger.Namespaces(r.o.Now())
}
