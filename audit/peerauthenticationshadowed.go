package audit

import "floe.dev/palisade/model"

// peerAuthenticationShadowed is reported by package mesh/istio, audit_peers.go.
func peerAuthenticationShadowed() Kind {
	return Kind{
		Code: "PeerAuthenticationShadowed", Severities: []model.Severity{model.Warning},
		Says: "an older PeerAuthentication of the same scope counts in its place",
		Why:  "Istio merges nothing: of several for one scope the oldest counts alone, so a mode that is written down here is not in force.",
		Fix:  "say it in one PeerAuthentication, and delete the other",
	}
}
