package audit

import "floe.dev/palisade/model"

// exemptionMatchesNothing is reported by package intent, exemptions.go.
func exemptionMatchesNothing() Kind {
	return Kind{
		Code: "ExemptionMatchesNothing", Severities: []model.Severity{model.Warning},
		Says: "it selects no workload",
		Why:  "The Exemption relaxes nothing, so the workload that it was meant for is held as strictly as all others.",
		Fix:  "Compare the labels, correct the selector or delete the Exemption",
	}
}
