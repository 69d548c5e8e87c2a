package audit

import "floe.dev/palisade/model"

// serverAccessPolicyOpen is reported by package mesh/linkerd, audit_servers.go.
func serverAccessPolicyOpen() Kind {
	return Kind{
		Code: "ServerAccessPolicyOpen", Severities: []model.Severity{model.Warning},
		Says: "a Server of Linkerd's lets in clients without an identity",
		Why:  "What no authorization covers falls to the Server's access policy, and this one asks for no identity: the port is open to plaintext.",
		Fix:  "set it to deny, and let clients in by AuthorizationPolicies; or to all-authenticated",
	}
}
