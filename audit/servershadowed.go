package audit

import "floe.dev/palisade/model"

// serverShadowed is reported by package mesh/linkerd, audit_servers.go.
func serverShadowed() Kind {
	return Kind{
		Code: "ServerShadowed", Severities: []model.Severity{model.Warning},
		Says: "an older Server of Linkerd's holds the same port of the same pods",
		Why:  "Linkerd merges nothing: the oldest Server holds the port alone, and what is attached to the other counts for nothing.",
		Fix:  "leave one Server for the port, and attach the authorizations to it",
	}
}
