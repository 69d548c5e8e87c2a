package audit

import "floe.dev/palisade/model"

// probeRefused is reported by package mesh/linkerd, audit_probes.go.
func probeRefused() Kind {
	return Kind{
		Code: "ProbeRefused", Severities: []model.Severity{model.Error},
		Says: "Linkerd refuses the kubelet's probe",
		Why:  "Linkerd permits HTTP probes of itself only while no route is attached to their port; a probe that is refused keeps the pods from becoming ready, or has them killed.",
		Fix:  "permit the nodes by an AuthorizationPolicy with a NetworkAuthentication of their addresses",
	}
}
