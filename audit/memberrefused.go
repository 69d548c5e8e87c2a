package audit

import "floe.dev/palisade/model"

// memberRefused is reported by package verify, findings.go.
func memberRefused() Kind {
	return Kind{
		Code: "MemberRefused", Severities: []model.Severity{model.Error}, OnWire: true,
		Says: "a client that the rules let in is refused on the wire",
		Why:  "The call that the intent declares fails: a policy somewhere closes it, or the proxy has not taken its configuration.",
		Fix:  "palisade explain names the rule that should let it in; look for a DENY and for proxies behind with their configuration.",
	}
}
