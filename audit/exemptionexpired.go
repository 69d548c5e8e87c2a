package audit

import "floe.dev/palisade/model"

// exemptionExpired is reported by package intent, exemptions.go.
func exemptionExpired() Kind {
	return Kind{
		Code: "ExemptionExpired", Severities: []model.Severity{model.Warning},
		Says: "it has reached its end and no longer counts",
		Why:  "What it relaxed is closed in this plan: plaintext ports become strict, the Pod Security level of the namespace goes back up, closed flows are closed again.",
		Fix:  "Delete it.",
	}
}
