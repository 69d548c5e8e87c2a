package audit

import "floe.dev/palisade/model"

// httpRuleOnZtunnel is reported by package mesh/istio, audit_http.go.
func httpRuleOnZtunnel() Kind {
	return Kind{
		Code: "HTTPRuleOnZtunnel", Severities: []model.Severity{model.Error},
		Says: "a policy asks of ztunnel what only a waypoint can do",
		Why:  "ztunnel sees connections and no requests: it drops rules of ALLOW that look at requests, holds those of DENY without that part or not at all, and asks no external provider.",
		Fix:  "give the pods' Services a waypoint, and attach the policy to it by spec.targetRefs",
	}
}
