package audit

import "floe.dev/palisade/model"

// injectionBelowEnforce is reported by package pss, findings.go.
func injectionBelowEnforce() Kind {
	return Kind{
		Code: "InjectionBelowEnforce", Severities: []model.Severity{model.Error},
		Says: "what the mesh injects fails the Pod Security level",
		Why:  "Pod Security judges the pod after injection.",
		Fix:  "Install the mesh's CNI plugin, which redirects from the node, or use Istio's ambient mode, which injects nothing.",
	}
}
