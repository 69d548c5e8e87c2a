package audit

import "floe.dev/palisade/model"

// resolverCutOff is reported by package intent, resolverfault.go.
func resolverCutOff() Kind {
	return Kind{
		Code: "ResolverCutOff", Severities: []model.Severity{model.Warning},
		Says: "the cluster's DNS is governed, and nothing lets it reach the API server",
		Why:  "CoreDNS learns Services from the API server and asks other resolvers for names outside the cluster.",
		Fix:  "Write an ExternalAccess in its namespace, with the servers of /etc/resolv.conf of a node",
	}
}
