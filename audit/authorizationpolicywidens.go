package audit

import "floe.dev/palisade/model"

// authorizationPolicyWidens is reported by package mesh/istio, findings.go.
func authorizationPolicyWidens() Kind {
	return Kind{
		Code: "AuthorizationPolicyWidens", Severities: []model.Severity{model.Warning},
		Says: "somebody else's ALLOW counts beside what your rules declare",
		Why:  "Istio adds allows up: a request is let in if any rule of any ALLOW policy for the workload matches.",
		Fix:  "Say the same in a TrafficRule, look at the plan, apply it, and only then delete the policy",
	}
}
