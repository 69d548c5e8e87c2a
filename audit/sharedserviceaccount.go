package audit

import "floe.dev/palisade/model"

// sharedServiceAccount is reported by package intent, findings.go.
func sharedServiceAccount() Kind {
	return Kind{
		Code: "SharedServiceAccount", Severities: []model.Severity{model.Warning},
		Says: "a client shares its identity with workloads that are no clients",
		Why:  "A mesh knows workloads by their service account alone: it is the whole identity in the certificate (spiffe://…/ns/shop/sa/default, or default.shop.serviceaccount.identity… in Linkerd).",
		Fix:  "Give each workload an account of its own",
	}
}
