package audit

import "floe.dev/palisade/model"

// undeclaredPortsOpen is reported by package mesh/linkerd, findings.go.
func undeclaredPortsOpen() Kind {
	return Kind{
		Code: "UndeclaredPortsOpen", Severities: []model.Severity{model.Warning},
		Says: "Linkerd leaves ports open that no manifest declares",
		Why:  "In Linkerd a port is closed by a Server, and palisade writes one for each port that a manifest declares, a probe uses or a rule names.",
		Fix:  "Deny by default, then restart the workloads",
	}
}
