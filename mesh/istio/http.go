package istio

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// expressible leaves out requests that no AuthorizationPolicy can name: Istio
// takes braces for its own templates and refuses the whole policy over any other
// (pkg/config/security/security.go, CheckValidPathTemplate). False means that
// nothing of the flow is left.
func (a *authorization) expressible(f *model.Flow) (*model.Flow, bool) {
	var kept []model.HTTPMatch
	for _, h := range f.HTTP {
		var paths []string
		for _, path := range h.Paths {
			if strings.ContainsAny(path, "{}") {
				a.problem("PathNotExpressible", model.Error, f.Origin.Ref, "spec.http",
					fmt.Sprintf("Istio takes braces in a path for a template: requests to %s stay closed", path), "state the rule with other paths, or with a prefix")
				continue
			}
			paths = append(paths, path)
		}
		if len(h.Paths) > 0 && len(paths) == 0 {
			continue // no path would mean every path
		}
		kept = append(kept, model.HTTPMatch{Methods: h.Methods, Paths: paths})
	}
	if len(f.HTTP) > 0 && len(kept) == 0 {
		return f, false
	}
	copied := *f
	copied.HTTP = kept
	return &copied, true
}

// tcpProtocols are the names by which a Service declares that a port is no HTTP (pkg/config/protocol/instance.go).
var tcpProtocols = []string{"tcp", "https", "tls", "mongo", "redis", "mysql"}

// tcpByNumber are ports that Istio takes for TCP where their Service declares nothing (pkg/config/kube/conversion.go).
var tcpByNumber = []int32{25, 53, 3306, 27017}

// unseenHTTP says that requests cannot be told apart on ports that a Service
// declares as TCP: the proxy sees connections there, and rules on methods and
// paths never match.
func (a *authorization) unseenHTTP(f *model.Flow, w *model.Workload, ports []uint32) {
	if len(f.HTTP) == 0 || w.Facts.Mode == model.ModeProxyless {
		return
	}
	for _, s := range w.Services {
		for _, p := range s.Ports {
			if !slices.Contains(ports, targetPort(p, w)) || !declaredTCP(p) {
				continue
			}
			a.problem("HTTPOnTCPPort", model.Error, serviceRef(s), "spec.ports",
				fmt.Sprintf("%s is limited to HTTP requests, and port %d of the Service is declared as no HTTP, so Istio sees none there: it stays closed on that port", f.Origin, p.Port),
				"name the port http or http2, or set appProtocol; or drop http from the rule")
		}
	}
}

func declaredTCP(p corev1.ServicePort) bool {
	name := p.Name
	if p.AppProtocol != nil {
		name = *p.AppProtocol
		if strings.HasPrefix(name, "kubernetes.io/") {
			return name == "kubernetes.io/wss"
		}
	}
	prefix, _, _ := strings.Cut(strings.ToLower(name), "-")
	known := slices.Contains([]string{"http", "http2", "http_proxy", "grpc", "udp"}, prefix)
	return slices.Contains(tcpProtocols, prefix) || !known && slices.Contains(tcpByNumber, p.Port)
}
