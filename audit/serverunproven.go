package audit

import "floe.dev/palisade/model"

// serverUnproven is reported by package verify, findings.go.
func serverUnproven() Kind {
	return Kind{
		Code: "ServerUnproven", Severities: []model.Severity{model.Error}, OnWire: true,
		Says: "what answers on a port does not prove to be the workload",
		Why:  "Clients of the mesh will refuse it, or somebody else stands in its place.",
		Fix:  "Compare the pod's service account and trust bundle with what is expected; restart the pod where its certificate is old.",
	}
}
