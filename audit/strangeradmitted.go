package audit

import "floe.dev/palisade/model"

// strangerAdmitted is reported by package verify, findings.go.
func strangerAdmitted() Kind {
	return Kind{
		Code: "StrangerAdmitted", Severities: []model.Severity{model.Error}, OnWire: true,
		Says: "an identity that no rule lets in gets in",
		Why:  "Authorization does not hold: every workload of the mesh, or more than the rules name, reaches the port.",
		Fix:  "palisade audit and palisade explain show whose policy lets it in beside what the rules declare.",
	}
}
