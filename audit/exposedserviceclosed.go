package audit

import "floe.dev/palisade/model"

// exposedServiceClosed is reported by package intent, findings.go.
func exposedServiceClosed() Kind {
	return Kind{
		Code: "ExposedServiceClosed", Severities: []model.Severity{model.Warning},
		Says: "a LoadBalancer or NodePort that no rule opens to the outside",
		Why:  "With default deny its traffic is dropped: clients see a timeout, and the load balancer's health checks fail.",
		Fix:  "Let the clients in by their range, or by way of an ingress gateway (preset",
	}
}
