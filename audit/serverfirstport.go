package audit

import "floe.dev/palisade/model"

// serverFirstPort is reported by packages mesh/istio, audit_ports.go, and mesh/linkerd, audit_probes.go.
func serverFirstPort() Kind {
	return Kind{
		Code: "ServerFirstPort", Severities: []model.Severity{model.Warning},
		Says: "proxies look for a protocol on a port where the server speaks first",
		Why:  "The proxy waits for the client's first bytes to find out what it speaks, and the client waits for the server: the connection hangs.",
		Fix:  "name the port tcp-… or set appProtocol: tcp in Istio, or add it to the opaque ports in Linkerd",
	}
}
