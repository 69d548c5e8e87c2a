package audit

import "floe.dev/palisade/model"

// authorizationPolicyDryRun is reported by package mesh/istio, audit_policies.go.
func authorizationPolicyDryRun() Kind {
	return Kind{
		Code: "AuthorizationPolicyDryRun", Severities: []model.Severity{model.Warning},
		Says: "an AuthorizationPolicy is in dry run and refuses nobody",
		Why:  "It looks like protection, and shows in debug logs and counters alone what it would do.",
		Fix:  "take the annotation off once the counters show what you expect",
	}
}
