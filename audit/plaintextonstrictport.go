package audit

import "floe.dev/palisade/model"

// plaintextOnStrictPort is reported by package verify, findings.go.
func plaintextOnStrictPort() Kind {
	return Kind{
		Code: "PlaintextOnStrictPort", Severities: []model.Severity{model.Error}, OnWire: true,
		Says: "a port that must be strict takes plaintext",
		Why:  "Whoever reaches the port reads and writes there without an identity, whatever the objects say.",
		Fix:  "palisade explain shows which object lets plaintext in; look for annotations that lead around the proxy.",
	}
}
