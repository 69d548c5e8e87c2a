package audit

import "floe.dev/palisade/model"

// authorizationPolicySelectsNothing is reported by packages mesh/istio, audit_policies.go, and mesh/linkerd, audit_servers.go.
func authorizationPolicySelectsNothing() Kind {
	return Kind{
		Code: "AuthorizationPolicySelectsNothing", Severities: []model.Severity{model.Warning, model.Info},
		Says: "a policy of the mesh is for pods, or for a target, that no proxy stands before",
		Why:  "Nothing enforces it: what it would refuse is let through, and what it would open stays closed where others close it.",
		Fix:  "correct the labels, which are those of the pods, or the target; or enrol the pods in the mesh",
	}
}
