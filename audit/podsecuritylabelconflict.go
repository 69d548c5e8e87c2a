package audit

import "floe.dev/palisade/model"

// podSecurityLabelConflict is reported by package pss, findings.go.
func podSecurityLabelConflict() Kind {
	return Kind{
		Code: "PodSecurityLabelConflict", Severities: []model.Severity{model.Warning},
		Says: "somebody else sets the same Pod Security label",
		Why:  "Palisade takes the label over.",
		Fix:  "Remove the label from the manifest or the controller that sets it.",
	}
}
