package audit

import "floe.dev/palisade/model"

// peerAuthenticationIgnored is reported by package mesh/istio, findings.go.
func peerAuthenticationIgnored() Kind {
	return Kind{
		Code: "PeerAuthenticationIgnored", Severities: []model.Severity{model.Info},
		Says: "one with a selector in the root namespace has no effect",
		Why:  "Istio ignores it, without a word.",
		Fix:  "Write it in the workloads' own namespace, or leave that to palisade, and delete this one",
	}
}
