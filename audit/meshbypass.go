package audit

import "floe.dev/palisade/model"

// meshBypass is reported by package intent, findings.go, where a profile wants mTLS, and by package mesh, outside.go, elsewhere.
func meshBypass() Kind {
	return Kind{
		Code: "MeshBypass", Severities: []model.Severity{model.Error, model.Warning},
		Says: "an annotation, label or user id leads traffic around the proxy",
		Why:  "On such a port plaintext reaches the application, whatever mode is set, and no authorization applies; it defeats STRICT without a trace.",
		Fix:  "Remove it from the pod template.",
	}
}
