package audit

import "floe.dev/palisade/model"

// principalUnknown is reported by packages mesh/istio, audit_names.go, and mesh/linkerd, audit_names.go.
func principalUnknown() Kind {
	return Kind{
		Code: "PrincipalUnknown", Severities: []model.Severity{model.Warning, model.Info},
		Says: "an authorization names a client that nobody is",
		Why:  "The name is misspelt or gone: what is allowed to it helps nobody, and what is refused to it refuses nobody.",
		Fix:  "correct the name, or take it out",
	}
}
