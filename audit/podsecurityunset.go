package audit

import "floe.dev/palisade/model"

// podSecurityUnset is reported by package pss, standing.go.
func podSecurityUnset() Kind {
	return Kind{
		Code: "PodSecurityUnset", Severities: []model.Severity{model.Warning, model.Info},
		Says: "a namespace enforces no Pod Security level",
		Why:  "Whoever may create pods there may create one that takes over its node.",
		Fix:  "label the namespace pod-security.kubernetes.io/enforce with the level that its pods pass",
	}
}
