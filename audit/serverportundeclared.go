package audit

import "floe.dev/palisade/model"

// serverPortUndeclared is reported by package mesh/linkerd, audit_servers.go.
func serverPortUndeclared() Kind {
	return Kind{
		Code: "ServerPortUndeclared", Severities: []model.Severity{model.Error, model.Warning, model.Info},
		Says: "a Server of Linkerd's is for a port that its pods do not have, or that skips the proxy",
		Why:  "The Server holds nothing: the port that is meant falls to the default inbound policy, or goes around the proxy.",
		Fix:  "name the port on which the pods listen, and take it off the skipped inbound ports",
	}
}
