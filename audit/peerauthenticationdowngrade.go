package audit

import "floe.dev/palisade/model"

// peerAuthenticationDowngrade is reported by package mesh/istio, findings.go.
func peerAuthenticationDowngrade() Kind {
	return Kind{
		Code: "PeerAuthenticationDowngrade", Severities: []model.Severity{model.Error, model.Warning},
		Says: "a PeerAuthentication lets plaintext in",
		Why:  "The narrower one wins: a policy with a selector overrides the namespace's, and ports override that.",
		Fix:  "Set the mode STRICT, or delete the object; where a profile governs and plaintext is needed, write it as an Exemption, with a reason and an end",
	}
}
