package receiver

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"floe.dev/palisade/falco"
)

// other is the label of what is not told apart: rules of others, and namespaces that nobody governs. Senders choose neither.
const other = "other"

// metrics are those of docs/runtime.md.
type metrics struct {
	events, refused *prometheus.CounterVec
	unkept          prometheus.Counter
	last            prometheus.Gauge
	waiting         prometheus.GaugeFunc
}

func newMetrics(waiting func() float64) *metrics {
	return &metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "palisade_runtime_events_total", Help: "Events of Falco that were taken in.",
		}, []string{"namespace", "rule", "severity"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "palisade_runtime_events_refused_total", Help: "Events of Falco that were turned away, by why.",
		}, []string{"reason"}),
		unkept: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "palisade_runtime_events_unkept_total", Help: "Events of Falco that were counted, and for which there was no room to be kept.",
		}),
		last: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "palisade_runtime_last_event_timestamp_seconds", Help: "When an event of Falco was last taken in.",
		}),
		waiting: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "palisade_runtime_events_waiting", Help: "Events of Falco that wait to be worked off.",
		}, waiting),
	}
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.events, m.refused, m.unkept, m.last, m.waiting}
}

// Describe is there for prometheus.Collector.
func (m *metrics) Describe(out chan<- *prometheus.Desc) {
	for _, c := range m.all() {
		c.Describe(out)
	}
}

// Collect is there for prometheus.Collector.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	for _, c := range m.all() {
		c.Collect(out)
	}
}

// count counts an event under labels that are bounded.
func (m *metrics) count(e falco.Event, governed bool, now time.Time) {
	namespace, rule := other, other
	if governed {
		namespace = e.Namespace
	}
	if _, ours := falco.PromiseOf(e.Rule); ours {
		rule = e.Rule
	}
	m.events.WithLabelValues(namespace, rule, string(e.Priority.Severity())).Inc()
	m.last.Set(float64(now.Unix()))
}
