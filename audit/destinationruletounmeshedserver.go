package audit

import "floe.dev/palisade/model"

// destinationRuleToUnmeshedServer is reported by package mesh/istio, findings.go.
func destinationRuleToUnmeshedServer() Kind {
	return Kind{
		Code: "DestinationRuleToUnmeshedServer", Severities: []model.Severity{model.Error},
		Says: "clients are told to speak mTLS to servers outside the mesh",
		Why:  "The client's sidecar opens the connection with a TLS handshake, and the server, which has no proxy, takes it for garbage: clients see 503 with upstream connect error.",
		Fix:  "Enrol the servers and restart them.",
	}
}
