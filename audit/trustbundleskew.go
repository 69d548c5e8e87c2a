package audit

import "floe.dev/palisade/model"

// trustBundleSkew is reported by package verify, findings.go.
func trustBundleSkew() Kind {
	return Kind{
		Code: "TrustBundleSkew", Severities: []model.Severity{model.Error, model.Warning}, OnWire: true,
		Says: "pods hold another trust bundle than the one that is meant",
		Why:  "A pod refuses whoever has a certificate of a root that it does not hold, and goes on trusting a root that was dropped.",
		Fix:  "Follow the step that palisade verify shows under root rotation; restart the pods that are behind.",
	}
}
