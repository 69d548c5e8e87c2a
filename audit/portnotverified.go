package audit

import "floe.dev/palisade/model"

// portNotVerified is reported by package verify, findings.go.
func portNotVerified() Kind {
	return Kind{
		Code: "PortNotVerified", Severities: []model.Severity{model.Warning}, OnWire: true,
		Says: "it is not known whether a port holds",
		Why:  "What was not seen is not known: silence is no proof that plaintext is refused.",
		Fix:  "See that the pod runs and the network lets the probe reach it, then verify again.",
	}
}
