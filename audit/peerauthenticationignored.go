package audit

import "floe.dev/palisade/model"

// peerAuthenticationIgnored is reported by package mesh/istio, findings.go and audit_peers.go.
func peerAuthenticationIgnored() Kind {
	return Kind{
		Code: "PeerAuthenticationIgnored", Severities: []model.Severity{model.Warning, model.Info},
		Says: "a PeerAuthentication, or a mode of its ports, counts for nothing",
		Why:  "Istio ignores it without a word, and whoever wrote it believes that some pods are strict, or permissive, and they are not.",
		Fix:  "Write it in the workloads' own namespace, with a selector of the pods' labels and the ports on which they listen",
	}
}
