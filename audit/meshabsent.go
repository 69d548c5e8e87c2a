package audit

import "floe.dev/palisade/model"

// meshAbsent is reported by package intent, findings.go.
func meshAbsent() Kind {
	return Kind{
		Code: "MeshAbsent", Severities: []model.Severity{model.Warning},
		Says: "a profile wants mTLS, and there is no mesh",
		Why:  "Traffic between pods stays in plaintext, and nobody's identity is checked: whoever gets a pod's address in a range that a NetworkPolicy lets in is let in.",
		Fix:  "If there is a mesh, show it to palisade by its control plane's manifests, or say it",
	}
}
