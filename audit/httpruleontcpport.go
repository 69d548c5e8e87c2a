package audit

import "floe.dev/palisade/model"

// httpRuleOnTCPPort is reported by package mesh/istio, audit_http.go.
func httpRuleOnTCPPort() Kind {
	return Kind{
		Code: "HTTPRuleOnTCPPort", Severities: []model.Severity{model.Error},
		Says: "a rule on requests is for a port that carries none",
		Why:  "On a port that its Service declares as no HTTP the proxy sees connections: an ALLOW that asks for a method or a path never matches there, and a DENY matches every connection.",
		Fix:  "name the Service's port http or http2 (or set appProtocol), or limit the rule to ports that carry HTTP",
	}
}
