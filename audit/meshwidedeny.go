package audit

import "floe.dev/palisade/model"

// meshWideDeny is reported by package mesh/istio, audit_policies.go.
func meshWideDeny() Kind {
	return Kind{
		Code: "MeshWideDeny", Severities: []model.Severity{model.Warning, model.Info},
		Says: "a policy in the root namespace closes the whole mesh, gateways included",
		Why:  "What lies in Istio's root namespace counts for every proxy of the mesh: traffic from outside ends at the gateway.",
		Fix:  "write an ALLOW for the gateways beside it, by their labels, or move the policy to the namespace that is meant",
	}
}
