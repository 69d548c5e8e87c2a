package admission

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"floe.dev/palisade/engine"
)

// MutatePath is where pods are given the defaults of their profile.
const MutatePath = "/mutate-pods"

// maxReview is the size of the greatest request that is read: an object of etcd's limit twice, and what is around it.
const maxReview = 7 << 20

// pods gives pods their defaults as they are created. It refuses none: where it does not know what is wanted it fails, and the
// API server does what the namespace chose for that (failurePolicy).
type pods struct {
	latest  func() *engine.Guard
	fresh   engine.Fresh
	now     func() time.Time
	log     logr.Logger
	buffers sync.Pool
	asked   *prometheus.CounterVec
}

// NewPods is the handler for MutatePath; fresh may be nil where latest lags behind nothing. Its metrics are registered at metrics.
func NewPods(latest func() *engine.Guard, fresh engine.Fresh, now func() time.Time, log logr.Logger, metrics prometheus.Registerer) (http.Handler, error) {
	p := &pods{latest: latest, fresh: fresh, now: now, log: log, buffers: sync.Pool{New: func() any { return new(bytes.Buffer) }}}
	p.asked = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "palisade_webhook_pods_total", Help: "Pods that the webhook was asked to give defaults, by what came of it: changed, unchanged, failed.",
	}, []string{"outcome"})
	for _, outcome := range []string{"changed", "unchanged", "failed"} {
		p.asked.WithLabelValues(outcome)
	}
	if err := metrics.Register(p.asked); err != nil {
		return nil, fmt.Errorf("registering the metrics of the webhook for pods: %w", err)
	}
	return p, nil
}

// errNotKnown tells that it is not known what is wanted.
var errNotKnown = errors.New("palisade has not read the cluster yet, or may not read its own kinds, so it is not known what pods are to be given")

// ServeHTTP answers one AdmissionReview.
func (p *pods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	in, _ := p.buffers.Get().(*bytes.Buffer)
	defer p.buffers.Put(in)
	in.Reset()
	if _, err := in.ReadFrom(http.MaxBytesReader(w, r.Body, maxReview)); err != nil {
		p.fail(w, http.StatusBadRequest, fmt.Errorf("reading the request: %w", err))
		return
	}
	latest := p.latest()
	if latest == nil {
		p.fail(w, http.StatusServiceUnavailable, errNotKnown)
		return
	}
	text := in.String()
	in.Reset()
	answer, err := latest.Answer(in.AvailableBuffer(), text, p.now(), p.fresh)
	if err != nil {
		p.fail(w, http.StatusBadRequest, err)
		return
	}
	if answer.Unread != nil {
		p.log.Error(answer.Unread, "a pod was judged by the exemptions that were known before")
	}
	outcome := "unchanged"
	if answer.Changed {
		outcome = "changed"
	}
	p.asked.WithLabelValues(outcome).Inc()
	w.Header()["Content-Type"] = jsonType
	_, _ = w.Write(answer.JSON) // who has hung up need not be told
}

// jsonType is what every answer is.
var jsonType = []string{"application/json"}

func (p *pods) fail(w http.ResponseWriter, code int, err error) {
	p.asked.WithLabelValues("failed").Inc()
	p.log.Error(err, "a pod was not given its defaults")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, err.Error()+"\n")
}
