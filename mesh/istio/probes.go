package istio

import (
	"strconv"

	"floe.dev/palisade/model"
)

const rewriteAnnotation = "sidecar.istio.io/rewriteAppHTTPProbers"

// probePorts are the ports that the kubelet really dials. A sidecar's injector
// leads the application's probes and lifecycle hooks to its agent on 15020 and adds the proxy's own
// on 15021 (istio pkg/kube/inject/app_probe.go); the agent of proxyless gRPC
// leaves the application's alone; ambient changes nothing.
func (d *Dialect) probePorts(w *model.Workload, e enrolment) []model.Port {
	own := w.KubeletPorts(proxyContainer)
	switch {
	case e.gateway:
		own = append(own, model.TCP(portReady))
	case e.mode == model.ModeProxyless:
		own = append(own, model.TCP(portStatus))
	case e.mode == model.ModeSidecar && d.rewrites(w):
		if len(own) > 0 {
			own = []model.Port{model.TCP(statusPort(w))}
		}
		own = append(own, model.TCP(portReady))
	case e.mode == model.ModeSidecar:
		own = append(own, model.TCP(portReady))
	}
	return model.SortPorts(own)
}

// rewrites follows the pod's annotation, else the mesh.
func (d *Dialect) rewrites(w *model.Workload) bool {
	if said, err := strconv.ParseBool(w.Annotations[rewriteAnnotation]); err == nil {
		return said
	}
	return !d.mesh.KeepsProbes
}
