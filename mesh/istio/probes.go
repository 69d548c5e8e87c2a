package istio

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"floe.dev/palisade/model"
)

const rewriteAnnotation = "sidecar.istio.io/rewriteAppHTTPProbers"

// probePorts are the ports that the kubelet really dials. A sidecar's injector
// leads the application's probes to its agent on 15020 and adds the proxy's own
// on 15021 (istio pkg/kube/inject/app_probe.go); the agent of proxyless gRPC
// leaves the application's alone; ambient changes nothing.
func (d *Dialect) probePorts(w *model.Workload, e enrolment) []model.Port {
	own := declaredProbes(w)
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

// declaredProbes are the ports of the application's probes; exec probes have none.
func declaredProbes(w *model.Workload) []model.Port {
	var ports []model.Port
	each := func(containers []corev1.Container) {
		for i := range containers {
			c := &containers[i]
			if c.Name == proxyContainer {
				continue
			}
			for _, probe := range []*corev1.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
				if number := probePort(c, probe); number > 0 {
					ports = append(ports, model.TCP(number))
				}
			}
		}
	}
	each(w.Spec.InitContainers)
	each(w.Spec.Containers)
	return model.SortPorts(ports)
}

func probePort(c *corev1.Container, probe *corev1.Probe) int32 {
	switch {
	case probe == nil:
		return 0
	case probe.HTTPGet != nil:
		return containerPort(c, probe.HTTPGet.Port)
	case probe.TCPSocket != nil:
		return containerPort(c, probe.TCPSocket.Port)
	case probe.GRPC != nil:
		return probe.GRPC.Port
	default:
		return 0
	}
}

func containerPort(c *corev1.Container, port intstr.IntOrString) int32 {
	if port.Type == intstr.Int {
		return port.IntVal
	}
	for _, p := range c.Ports {
		if p.Name == port.StrVal {
			return p.ContainerPort
		}
	}
	return 0
}
