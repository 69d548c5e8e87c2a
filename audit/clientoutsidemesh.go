package audit

import "floe.dev/palisade/model"

// clientOutsideMesh is reported by package intent, findings.go.
func clientOutsideMesh() Kind {
	return Kind{
		Code: "ClientOutsideMesh", Severities: []model.Severity{model.Error},
		Says: "a declared client has no identity, and its strict server will refuse it",
		Why:  "The call works today and breaks the moment STRICT is applied.",
		Fix:  "Enrol the client, in Istio by the label of its namespace, in Linkerd by an annotation, and restart its pods",
	}
}
