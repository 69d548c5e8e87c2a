package controller

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verify"
)

// wireCollector tells what was last seen on the wire, where something verifies.
type wireCollector struct {
	v                                         *verifier
	ports, verified, notAfter, notBefore, due *prometheus.Desc
	ca                                        *prometheus.Desc
}

func newWireCollector(v *verifier) *wireCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &wireCollector{
		v:         v,
		ports:     desc("palisade_verification_ports", "Ports by what the last verification of their namespace came to.", "namespace", "result"),
		verified:  desc("palisade_verification_timestamp_seconds", "When the namespace was last verified.", "namespace"),
		notAfter:  desc("palisade_certificate_not_after_timestamp_seconds", "End of the certificate that was last seen of a workload, of several the earliest.", "namespace", "workload"),
		notBefore: desc("palisade_certificate_not_before_timestamp_seconds", "Beginning of that certificate.", "namespace", "workload"),
		due:       desc("palisade_certificate_rotation", "1 for the state of a workload's renewal: due, overdue or stalled.", "namespace", "workload", "state"),
		ca:        desc("palisade_ca_not_after_timestamp_seconds", "End of a certificate authority of the mesh.", "ca"),
	}
}

// Describe is there for prometheus.Collector.
func (c *wireCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.ports, c.verified, c.notAfter, c.notBefore, c.due, c.ca} {
		out <- d
	}
}

// Collect is there for prometheus.Collector.
func (c *wireCollector) Collect(out chan<- prometheus.Metric) {
	w := c.v.told.Load()
	if w == nil {
		return
	}
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	for name, s := range w.namespaces {
		for _, verdict := range verify.Verdicts() {
			gauge(c.ports, float64(s.Counts.Of(verdict)), name, string(verdict))
		}
		gauge(c.verified, seconds(s.At), name)
	}
	for id, r := range renewals(w.entries) {
		gauge(c.notAfter, seconds(r.leaf.NotAfter), id.Namespace, id.Kind+"/"+id.Name)
		gauge(c.notBefore, seconds(r.leaf.NotBefore), id.Namespace, id.Kind+"/"+id.Name)
		for state := range r.states {
			gauge(c.due, 1, id.Namespace, id.Kind+"/"+id.Name, state)
		}
	}
	for name, end := range ends(w.authorities) {
		gauge(c.ca, seconds(end), name)
	}
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// renewal is how the certificates of a workload stand.
type renewal struct {
	leaf   *verify.Leaf
	states map[string]bool
}

func renewals(entries []verify.Entry) map[model.WorkloadID]*renewal {
	by := map[model.WorkloadID]*renewal{}
	for i := range entries {
		e := &entries[i]
		r := by[e.Workload]
		if r == nil {
			r = &renewal{leaf: e.Current(), states: map[string]bool{}}
			by[e.Workload] = r
		}
		if leaf := e.Current(); leaf.NotAfter.Before(r.leaf.NotAfter) {
			r.leaf = leaf
		}
		switch {
		case e.State == nil:
		case e.State.Stalled:
			r.states["stalled"] = true
		case e.State.Phase == verify.Due:
			r.states["due"] = true
		case e.State.Phase == verify.Overdue, e.State.Phase == verify.Lapsed:
			r.states["overdue"] = true
		}
	}
	return by
}

// ends are the ends of authorities, by a name that stays when one is renewed.
func ends(authorities []verify.CA) map[string]time.Time {
	by := map[string]time.Time{}
	for i := range authorities {
		a := &authorities[i]
		name := a.Role + " " + a.Subject
		if a.NotAfter.After(by[name]) {
			by[name] = a.NotAfter
		}
	}
	return by
}
