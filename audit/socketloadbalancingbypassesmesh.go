package audit

import "floe.dev/palisade/model"

// socketLoadBalancingBypassesMesh is reported by package intent, network.go.
func socketLoadBalancingBypassesMesh() Kind {
	return Kind{
		Code: "SocketLoadBalancingBypassesMesh", Severities: []model.Severity{model.Error},
		Says: "Cilium translates Services before the proxy sees them",
		Why:  "The application calls the Service's address, and connect() already goes to a pod's address before redirection sees the packet.",
		Fix:  "Restrict it to the host's own processes; for pods Cilium then translates on the wire, behind the proxy",
	}
}
