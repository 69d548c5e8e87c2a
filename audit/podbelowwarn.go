package audit

import "floe.dev/palisade/model"

// podBelowWarn is reported by package pss, findings.go.
func podBelowWarn() Kind {
	return Kind{
		Code: "PodBelowWarn", Severities: []model.Severity{model.Info},
		Says: "a stricter level would refuse the pods",
		Why:  "It is what would be refused if the namespace enforced that level, so it is the list of what to mend before you raise enforce.",
		Fix:  "Change the fields named.",
	}
}
