package audit

import "floe.dev/palisade/model"

// clientNotVerified is reported by package verify, findings.go.
func clientNotVerified() Kind {
	return Kind{
		Code: "ClientNotVerified", Severities: []model.Severity{model.Error}, OnWire: true,
		Says: "a port takes clients without a certificate that proves who they are",
		Why:  "Whoever reaches the port is let in: mTLS is there by name, and authorization by identity has nothing to go by.",
		Fix:  "See that the mesh's proxy ends TLS on the port, and look at the trust bundle that it was given.",
	}
}
