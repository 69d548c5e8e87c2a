package audit

import "floe.dev/palisade/model"

// rulePortIsServicePort is reported by package intent, ports.go.
func rulePortIsServicePort() Kind {
	return Kind{
		Code: "RulePortIsServicePort", Severities: []model.Severity{model.Error},
		Says: "a rule names the Service's port in place of the container's",
		Why:  "NetworkPolicies, and the mesh on the server's side, see traffic after the Service's address and port are translated: the port of the container.",
		Fix:  "Name the container's port, by its number or better by its name, which survives a change of the number",
	}
}
