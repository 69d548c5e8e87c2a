package intent

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"floe.dev/palisade/model"
)

// probeTargets are the ports that the kubelet dials on some servers, workload by workload.
func (r *resolver) probeTargets(server model.Peer) []target {
	var targets []target
	for _, w := range r.workloads(&server) {
		if ports := probePorts(w); len(ports) > 0 && !w.Spec.HostNetwork {
			targets = append(targets, target{server: r.workloadPeer(w), ports: ports})
		}
	}
	return targets
}

// probePorts are the ports that the kubelet dials: as the mesh rewrites them, or as declared.
func probePorts(w *model.Workload) []model.Port {
	if w.Facts.Meshed() {
		return w.Facts.ProbePorts
	}
	return declaredProbePorts(w)
}

// declaredProbePorts are the ports of the probes in the pod's own words. exec probes have none.
func declaredProbePorts(w *model.Workload) []model.Port {
	var ports []model.Port
	each := func(containers []corev1.Container) {
		for i := range containers {
			c := &containers[i]
			for _, probe := range []*corev1.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
				if number := probePort(c, probe); number != 0 {
					ports = append(ports, model.TCP(number))
				}
			}
		}
	}
	each(w.Spec.InitContainers) // only sidecars among them may have probes
	each(w.Spec.Containers)
	return model.SortPorts(ports)
}

func probePort(c *corev1.Container, probe *corev1.Probe) int32 {
	if probe == nil {
		return 0
	}
	switch {
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
	for i := range c.Ports {
		if c.Ports[i].Name == port.StrVal {
			return c.Ports[i].ContainerPort
		}
	}
	return 0
}

// probeFlows opens declared probes to the nodes. The proxies' own probe ports
// are opened for the whole namespace where all of its pods have them, so that they
// take one rule and not one a workload.
func (r *resolver) probeFlows(namespace string, origin model.Origin) {
	base := model.Flow{Origin: origin, Client: model.Peer{Kind: model.PeerNodes}}
	shared := r.sharedProxyPorts(namespace)
	if len(shared) > 0 {
		r.add(base, target{server: r.podsIn(namespace, everyPod()), ports: shared})
	}
	for _, w := range r.workloadsIn(namespace) {
		if w.Spec.HostNetwork {
			continue
		}
		ports := slices.DeleteFunc(slices.Clone(probePorts(w)), func(p model.Port) bool { return slices.Contains(shared, p) })
		r.add(base, target{server: r.workloadPeer(w), ports: ports})
	}
}

// sharedProxyPorts are the probe ports that every pod of the namespace has by its proxy, and none by its application.
func (r *resolver) sharedProxyPorts(namespace string) []model.Port {
	var shared []model.Port
	first := true
	for _, w := range r.workloadsIn(namespace) {
		if w.Spec.HostNetwork {
			continue
		}
		if !w.Facts.Meshed() {
			return nil
		}
		own := declaredProbePorts(w)
		proxy := slices.DeleteFunc(slices.Clone(w.Facts.ProbePorts), func(p model.Port) bool { return slices.Contains(own, p) })
		if first {
			shared, first = proxy, false
			continue
		}
		shared = slices.DeleteFunc(shared, func(p model.Port) bool { return !slices.Contains(proxy, p) })
	}
	return shared
}
