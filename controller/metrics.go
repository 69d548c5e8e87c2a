package controller

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"floe.dev/palisade/rollout"
)

// counts is what metrics tell of the last run. Its keys are the values of labels.
type counts struct {
	// namespaces by profile and stage.
	namespaces map[[2]string]int
	// stages by namespace and layer.
	stages map[[2]string]string
	// findings and problems by namespace, code and severity.
	findings, problems map[[3]string]int
	// held by namespace, layer and code.
	held map[[3]string]bool
}

func (b *books) counts() counts {
	c := counts{
		namespaces: map[[2]string]int{}, stages: map[[2]string]string{}, findings: map[[3]string]int{}, problems: map[[3]string]int{}, held: map[[3]string]bool{},
	}
	for name, n := range b.turn.Memory {
		c.namespaces[[2]string{n.Profile, string(n.Stage())}]++
		for _, l := range n.Layers {
			c.stages[[2]string{name, string(l.Layer)}] = string(l.Stage)
		}
	}
	for i := range b.turn.Problems {
		p := &b.turn.Problems[i]
		c.problems[[3]string{p.Subject.Home(), p.Code, string(p.Severity)}]++
	}
	for i := range b.turn.Findings {
		f := &b.turn.Findings[i]
		c.findings[[3]string{f.Subject.Home(), f.Code, string(f.Severity)}]++
	}
	for name, list := range b.held {
		for _, n := range list {
			if !quiet[n.Code] {
				c.held[[3]string{name, string(n.Layer), n.Code}] = true
			}
		}
	}
	return c
}

// collector is palisade's metrics: what the last run came to is told when it is asked for, what happens is counted.
type collector struct {
	governor *governor
	blocked  atomic.Bool

	namespaces, stage, findings, problems, held, standstill *prometheus.Desc

	stepBacks, writes, drift *prometheus.CounterVec
	lastRun                  prometheus.Gauge
	duration                 prometheus.Histogram
}

func newCollector(g *governor) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	return &collector{
		governor:   g,
		namespaces: desc("palisade_namespaces", "Namespaces by the profile that governs them and the stage of their rollout.", "profile", "stage"),
		stage:      desc("palisade_namespace_stage", "1 for the stage that a layer of a namespace is at.", "namespace", "layer", "stage"),
		findings:   desc("palisade_findings", "Findings of the last run.", "namespace", "code", "severity"),
		problems:   desc("palisade_problems", "Problems of the last run.", "namespace", "code", "severity"),
		held:       desc("palisade_rollout_held", "1 for every gate that holds a rollout.", "namespace", "layer", "code"),
		standstill: desc("palisade_blocked", "1 where a kind that says what is wanted cannot be read, so that nothing is written."),
		stepBacks:  counter("palisade_rollout_step_backs_total", "Steps that were taken back since a gate broke after them.", "namespace", "layer", "code"),
		writes:     counter("palisade_writes_total", "Writes to the API server.", "kind", "action", "result"),
		drift:      counter("palisade_drift_repaired_total", "Objects of palisade's that somebody else changed, and that were mended.", "namespace", "kind"),
		lastRun:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "palisade_last_run_timestamp_seconds", Help: "When the cluster was last looked at as a whole."}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "palisade_run_duration_seconds", Help: "How long looking at the cluster took.", Buckets: prometheus.ExponentialBuckets(0.005, 2, 12),
		}),
	}
}

func (c *collector) all() []prometheus.Collector {
	return []prometheus.Collector{c.stepBacks, c.writes, c.drift, c.lastRun, c.duration}
}

// Describe is there for prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.namespaces, c.stage, c.findings, c.problems, c.held, c.standstill} {
		out <- d
	}
	for _, m := range c.all() {
		m.Describe(out)
	}
}

// Collect is there for prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	for _, m := range c.all() {
		m.Collect(out)
	}
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	standstill := 0.0
	if c.blocked.Load() {
		standstill = 1
	}
	gauge(c.standstill, standstill)
	o := c.governor.current.Load()
	if o == nil {
		return
	}
	for k, n := range o.counts.namespaces {
		gauge(c.namespaces, float64(n), k[:]...)
	}
	for k, stage := range o.counts.stages {
		gauge(c.stage, 1, k[0], k[1], stage)
	}
	for k, n := range o.counts.findings {
		gauge(c.findings, float64(n), k[:]...)
	}
	for k, n := range o.counts.problems {
		gauge(c.problems, float64(n), k[:]...)
	}
	for k := range o.counts.held {
		gauge(c.held, 1, k[:]...)
	}
}

func (c *collector) ran(began, now time.Time) {
	c.lastRun.Set(float64(now.UnixMilli()) / 1000)
	c.duration.Observe(now.Sub(began).Seconds())
}

func (c *collector) wrote(kind, action string, err error) {
	result := "ok"
	if err != nil {
		result = "failed"
	}
	c.writes.WithLabelValues(kind, action, result).Inc()
}

func (c *collector) repaired(namespace, kind string) { c.drift.WithLabelValues(namespace, kind).Inc() }

func (c *collector) noted(n *rollout.Note) {
	if n.Kind == rollout.Changed && n.Code == rollout.SteppedBack {
		c.stepBacks.WithLabelValues(n.Namespace, string(n.Layer), n.Gate).Inc()
	}
}
