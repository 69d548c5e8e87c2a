package audit

import "floe.dev/palisade/model"

// authorizationMissingRef is reported by package mesh/linkerd, audit_references.go.
func authorizationMissingRef() Kind {
	return Kind{
		Code: "AuthorizationMissingRef", Severities: []model.Severity{model.Error, model.Warning},
		Says: "a Linkerd policy refers to an object that is not there",
		Why:  "Linkerd ignores a policy with a reference that leads nowhere, so it opens nothing, and nothing says so but the status of the object.",
		Fix:  "correct the name, or create what it refers to",
	}
}
