package audit

import "floe.dev/palisade/model"

// ruleMatchesNoClient is reported by package intent, rules.go.
func ruleMatchesNoClient() Kind {
	return Kind{
		Code: "RuleMatchesNoClient", Severities: []model.Severity{model.Warning},
		Says: "no workload is the client that a rule names",
		Why:  "NetworkPolicies go by labels, so they are written and hold for pods that come later.",
		Fix:  "Compare with the labels of pods and namespaces",
	}
}
