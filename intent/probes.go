package intent

import (
	"slices"

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
	return w.KubeletPorts()
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
		own := w.KubeletPorts()
		proxy := slices.DeleteFunc(slices.Clone(w.Facts.ProbePorts), func(p model.Port) bool { return slices.Contains(own, p) })
		if first {
			shared, first = proxy, false
			continue
		}
		shared = slices.DeleteFunc(shared, func(p model.Port) bool { return !slices.Contains(proxy, p) })
	}
	return shared
}
