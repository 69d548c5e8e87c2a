package audit

import "floe.dev/palisade/model"

// authorizationPolicyBlocks is reported by package mesh/istio, blocks.go.
func authorizationPolicyBlocks() Kind {
	return Kind{
		Code: "AuthorizationPolicyBlocks", Severities: []model.Severity{model.Error, model.Info},
		Says: "somebody else's DENY or CUSTOM refuses what your rules declare",
		Why:  "Istio judges CUSTOM and DENY before it looks at any ALLOW.",
		Fix:  "Decide which of the two is right: take the clients and ports out of the policy, or out of the rule.",
	}
}
