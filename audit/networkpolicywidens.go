package audit

import "floe.dev/palisade/model"

// networkPolicyWidens is reported by package intent, foreignpolicies.go.
func networkPolicyWidens() Kind {
	return Kind{
		Code: "NetworkPolicyWidens", Severities: []model.Severity{model.Warning},
		Says: "somebody else's NetworkPolicy counts beside what your rules declare",
		Why:  "NetworkPolicies add up: a connection passes if any rule of any policy that selects the pod has it.",
		Fix:  "Say the same in a TrafficRule or an ExternalAccess, look at the plan, apply it, and only then delete the policy",
	}
}
