package audit

import "floe.dev/palisade/model"

// inboundNotCaptured is reported by package intent, findings.go, where a profile wants mTLS, and by package mesh, outside.go, elsewhere.
func inboundNotCaptured() Kind {
	return Kind{
		Code: "InboundNotCaptured", Severities: []model.Severity{model.Error},
		Says: "the pods have a proxy, and inbound traffic does not pass it",
		Why:  "This is the hole that hides best: the pod looks meshed, its certificate is fine, and STRICT is set, yet plaintext reaches the application and no authorization applies.",
		Fix:  "Remove the annotation from the pod template; the pods are created anew",
	}
}
