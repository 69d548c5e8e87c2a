package istio

import (
	"fmt"
	"slices"
	"strings"

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
