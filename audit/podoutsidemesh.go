package audit

import "floe.dev/palisade/model"

// podOutsideMesh is reported by package intent, findings.go, where a profile wants mTLS, and by package mesh, outside.go, elsewhere.
func podOutsideMesh() Kind {
	return Kind{
		Code: "PodOutsideMesh", Severities: []model.Severity{model.Error, model.Warning, model.Info},
		Says: "pods take no part in the mesh",
		Why:  "Without a proxy the pods accept plaintext from everyone whom the network lets in, and what they call in the mesh sees no identity.",
		Fix:  "Enrol it and restart the pods, then look for the proxy (in ambient mode for the annotation ambient.istio.io/redirection: enabled)",
	}
}
