package linkerd

import (
	"slices"
	"strings"
)

// protocol is the Server's proxyProtocol. Detection serves all protocols but
// those in which the server speaks first, so beside opaque ports only what a
// Service states by appProtocol is written.
//
// "gRPC" is never written: such Servers take no HTTPRoutes. HTTP/2 does for it,
// but not where the kubelet probes the port, which it does with HTTP/1.
func (p *portOf) protocol() string {
	if p.opaque {
		return "opaque"
	}
	switch p.appProtocol() {
	case "http":
		return "HTTP/1"
	case "http2", "h2c", "kubernetes.io/h2c", "grpc":
		for _, w := range p.group {
			if slices.ContainsFunc(probes(w), func(probe probe) bool { return probe.port == p.number && probe.kind == probeHTTP }) {
				return ""
			}
		}
		return "HTTP/2"
	default:
		return ""
	}
}

// appProtocol is what the Services in front of the port agree on, in lower case, or "".
func (p *portOf) appProtocol() string {
	agreed := ""
	for _, w := range p.group {
		for _, service := range w.Services {
			for i := range service.Ports {
				sp := &service.Ports[i]
				if sp.AppProtocol == nil || targetPort(w, sp) != p.number {
					continue
				}
				stated := strings.ToLower(*sp.AppProtocol)
				if agreed != "" && agreed != stated {
					return ""
				}
				agreed = stated
			}
		}
	}
	return agreed
}
