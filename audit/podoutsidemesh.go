package audit

import "floe.dev/palisade/model"

// podOutsideMesh is reported by package intent, findings.go.
func podOutsideMesh() Kind {
	return Kind{
		Code: "PodOutsideMesh", Severities: []model.Severity{model.Error, model.Warning},
		Says: "pods without the mesh in a namespace that wants mTLS",
		Why:  "Without a proxy the pods accept plaintext from everyone whom the network lets in, and what they call in the mesh sees no identity.",
		Fix:  "Enrol it and restart the pods, then look for the proxy (in ambient mode for the annotation ambient.istio.io/redirection: enabled)",
	}
}
