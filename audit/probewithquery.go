package audit

import "floe.dev/palisade/model"

// probeWithQuery is reported by package mesh/linkerd, findings.go and audit_probes.go.
func probeWithQuery() Kind {
	return Kind{
		Code: "ProbeWithQuery", Severities: []model.Severity{model.Warning},
		Says: "Linkerd before 2.14 refuses a probe whose path has a query",
		Why:  "As long as no route is attached to the port, Linkerd lets the kubelet's probes in by itself: GET on the exact path that the manifest declares, from any address.",
		Fix:  "Probe a path that answers by itself, without a query and without a redirect",
	}
}
