package audit

import "floe.dev/palisade/model"

// plaintextAuthorized is reported by package mesh/linkerd, findings.go and audit_openings.go.
func plaintextAuthorized() Kind {
	return Kind{
		Code: "PlaintextAuthorized", Severities: []model.Severity{model.Warning},
		Says: "a Linkerd policy lets in clients without an identity",
		Why:  "Linkerd adds authorizations up: one that asks for no identity opens the port, whatever others name.",
		Fix:  "Name identities, or say the same in a TrafficRule and delete the object",
	}
}
