package audit

import "floe.dev/palisade/model"

// ruleMatchesNoServer is reported by package intent, rules.go.
func ruleMatchesNoServer() Kind {
	return Kind{
		Code: "RuleMatchesNoServer", Severities: []model.Severity{model.Warning},
		Says: "no workload is the server that a rule names",
		Why:  "The rule opens nothing today: a rule lies in the namespace of the **servers**, and spec.to is matched with the labels of their pods.",
		Fix:  "Compare the labels, and the namespace of the rule",
	}
}
