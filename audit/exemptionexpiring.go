package audit

import "floe.dev/palisade/model"

// exemptionExpiring is reported by package intent, exemptions.go.
func exemptionExpiring() Kind {
	return Kind{
		Code: "ExemptionExpiring", Severities: []model.Severity{model.Warning},
		Says: "it ends within a week",
		Why:  "At spec.expires, to the second, it stops counting, and what it relaxed is closed with the next apply, whoever makes it and for whatever reason.",
		Fix:  "See today what will be then, and tell the owner that the Exemption names",
	}
}
