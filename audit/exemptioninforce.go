package audit

import "floe.dev/palisade/model"

// exemptionInForce is reported by package intent, exemptions.go.
func exemptionInForce() Kind {
	return Kind{
		Code: "ExemptionInForce", Severities: []model.Severity{model.Info},
		Says: "the record of what is relaxed, why, by whom, until when",
		Why:  "Every Exemption is a hole that somebody wanted: plaintext on a port, clients without an identity, a lower Pod Security level.",
		Fix:  "None is needed.",
	}
}
