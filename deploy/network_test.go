package deploy_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/cluster"
	"floe.dev/palisade/engine"
	"floe.dev/palisade/model"
)

// now is when palisade judges.
var now = time.Date(2026, time.November, 24, 12, 0, 0, 0, time.UTC)

// TestPalisadeReachesAndIsReachedByWhatItNeedsAlone has palisade itself judge
// the rendered chart, in the cluster of testdata/network.
func TestPalisadeReachesAndIsReachedByWhatItNeedsAlone(t *testing.T) {
	const (
		palisade   = "palisade-system/palisade"
		prometheus = "monitoring/prometheus"
		grafana    = "monitoring/grafana"
		web        = "shop/web" // bears Prometheus' label, in another namespace
		dns        = "kube-system/coredns"
		server     = "172.18.0.2"  // an API server
		outside    = "203.0.113.7" // somewhere
	)
	type question struct{ from, to string }
	tests := map[string]map[question]string{
		"manifests": {
			{server, palisade + ":9443"}:     "allowed",
			{outside, palisade + ":9443"}:    "allowed", // the address of the API server is not known
			{prometheus, palisade + ":8080"}: "allowed",
			{grafana, palisade + ":8080"}:    "denied",
			{web, palisade + ":8080"}:        "denied",
			{outside, palisade + ":8080"}:    "denied",
			{prometheus, palisade + ":8081"}: "denied",
			{palisade, server + ":6443"}:     "allowed",
			{palisade, server + ":10250"}:    "denied",
			{palisade, dns + ":53/udp"}:      "allowed",
			{palisade, web + ":8080"}:        "allowed", // a handshake
			{palisade, web + ":53/udp"}:      "denied",
			{palisade, "169.254.169.254:80"}: "denied", // where clouds keep secrets of machines
			{palisade, outside + ":80"}:      "denied",
			{palisade, outside + ":53/udp"}:  "denied",
		},
		"linkerd-only-known-addresses": {
			{server, palisade + ":9443"}:       "allowed",
			{outside, palisade + ":9443"}:      "denied",
			{web, palisade + ":9443"}:          "denied",
			{prometheus, palisade + ":8080"}:   "allowed",
			{grafana, palisade + ":8080"}:      "denied",
			{palisade, server + ":6443"}:       "allowed",
			{"172.18.0.5", palisade + ":8081"}: "allowed", // a node
			{outside, palisade + ":8081"}:      "denied",
			{palisade, outside + ":6443"}:      "denied",
			{palisade, "169.254.20.10:53/udp"}: "allowed",
			{palisade, dns + ":53/udp"}:        "denied",
			{palisade, web + ":8080"}:          "allowed",
		},
		"no-mesh-admission-off": {
			{server, palisade + ":9443"}:     "denied",
			{prometheus, palisade + ":8080"}: "allowed",
			{palisade, server + ":6443"}:     "allowed",
			{palisade, web + ":8080"}:        "denied",
		},
		"nothing-open": {
			{server, palisade + ":9443"}:     "denied",
			{prometheus, palisade + ":8080"}: "denied",
			{palisade, server + ":6443"}:     "allowed",
			{palisade, dns + ":53/udp"}:      "denied",
			{palisade, web + ":8080"}:        "denied",
		},
		"not-isolated-placed-by-hand": {
			{web, palisade + ":8080"}: "allowed",
		},
	}
	for name, questions := range tests {
		t.Run(name, func(t *testing.T) {
			view := engine.Look(snapshot(t, name), engine.ViewOptions{Options: engine.Options{Now: now}, When: engine.Current})
			for q, want := range questions {
				from, err := engine.ParseName(q.from, "default")
				require.NoError(t, err)
				to, port, err := engine.ParseTarget(q.to, "default")
				require.NoError(t, err)
				answers, err := view.Ask(from, to, port)
				require.NoError(t, err)
				require.Len(t, answers, 1)
				assert.Equal(t, want, answers[0].Decision.String(), "%s → %s", q.from, q.to)
			}
		})
	}
}

// TestPalisadeFindsNoFaultInItself audits the rendered chart. Without the
// addresses of nodes it says that probes depend on the CNI, for the record.
func TestPalisadeFindsNoFaultInItself(t *testing.T) {
	for _, name := range []string{"manifests", "linkerd-only-known-addresses", "no-mesh-admission-off"} {
		t.Run(name, func(t *testing.T) {
			for _, f := range engine.Inspect(snapshot(t, name), engine.Options{Now: now}).Findings {
				ours := f.Subject.Namespace == "palisade-system" || f.Subject.Name == "palisade"
				if ours && (f.Code != "ProbesClosed" || f.Severity != model.Info || name == "linkerd-only-known-addresses") {
					t.Errorf("%s %s: %s: %s", f.Severity, f.Code, f.Subject, f.Message)
				}
			}
		})
	}
}

// snapshot is a rendering, in the cluster around it.
func snapshot(t *testing.T, name string) *engine.Snapshot {
	t.Helper()
	s, err := cluster.Read([]string{"testdata/network/cluster.yaml", renderings(t)[name]}, nil, cluster.Options{})
	require.NoError(t, err)
	return s
}
