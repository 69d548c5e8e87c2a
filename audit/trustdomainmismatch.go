package audit

import "floe.dev/palisade/model"

// trustDomainMismatch is reported by packages mesh/istio, audit_names.go, and mesh/linkerd, audit_names.go.
func trustDomainMismatch() Kind {
	return Kind{
		Code: "TrustDomainMismatch", Severities: []model.Severity{model.Error},
		Says: "an authorization names clients in a way that no identity of the mesh matches",
		Why:  "The name never matches: an ALLOW lets in nobody by it, and a DENY refuses nobody.",
		Fix:  "write the name as the mesh's certificates have it, with the mesh's own trust domain",
	}
}
