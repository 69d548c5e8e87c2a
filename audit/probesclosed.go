package audit

import (
	"fmt"
	"net/netip"
	"slices"

	"go4.org/netipx"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// probesClosed is pods with probes that policies isolate and whose nodes are let in by
// no rule. The API exempts what comes from a pod's own node (k8s.io/api networking/v1,
// NetworkPolicySpec.Ingress), and most CNIs keep to it; some have not (kind#3875, k3s#10030).
// Ambient pods are AmbientProbesClosed.
func probesClosed() Kind {
	return Kind{
		Code: "ProbesClosed", Severities: []model.Severity{model.Error, model.Info},
		Says: "NetworkPolicies let no node in, and probes pass only if the CNI exempts the node",
		Why:  "Where the CNI holds policies against its own node, the kubelet's probes fail: the pods are restarted or never become ready.",
		Fix:  "allow ingress from the addresses of the nodes to the ports of the probes, or see that the CNI exempts the node",
		Find: findProbesClosed,
	}
}

func findProbesClosed(e *Evidence) []model.Finding {
	exempts := e.datapath().exemptsNode
	if exempts == yes || e.State.Cluster.CNI == "flannel" {
		return nil
	}
	closed := &blamed{}
	for _, group := range e.isolatedFor(model.FilterIngress) {
		for _, w := range group.workloads {
			ports := kubeletDials(w)
			if len(ports) == 0 || w.Facts.Mode == model.ModeAmbient || e.letsNodesIn(group.filter, w, ports) {
				continue
			}
			cause := e.isolator(group.filter)
			cause.Field = "spec.ingress"
			closed.add(cause, w)
		}
	}
	var found []model.Finding
	for _, cause := range closed.causes {
		pods := named(closed.of(cause))
		if exempts == no {
			found = append(found, e.closed(probesClosed(), model.Error, cause,
				fmt.Sprintf("no rule lets the nodes of %s in, and %s holds policies against the kubelet as well: their probes fail", pods, e.State.Cluster.CNI), ""))
			continue
		}
		which := "which CNI is in use is not known"
		if cni := e.State.Cluster.CNI; cni != "" {
			which = "of this release of " + cni + " it is not known"
		}
		found = append(found, e.closed(probesClosed(), model.Info, cause,
			fmt.Sprintf("no rule lets the nodes of %s in: their probes pass where the CNI exempts a pod's own node, as most do and Kubernetes asks; %s", pods, which), ""))
	}
	return found
}

// kubeletDials are the ports of a workload that the kubelet dials.
func kubeletDials(w *model.Workload) []model.Port {
	if w.Facts.Meshed() {
		return w.Facts.ProbePorts
	}
	return w.KubeletPorts()
}

// letsNodesIn tells whether some node reaches each of some ports of a workload, or may, where
// the addresses of nodes are not known. Of those that are, not all are such that a kubelet dials from them.
func (e *Evidence) letsNodesIn(f *model.Filter, w *model.Workload, ports []model.Port) bool {
	return !slices.ContainsFunc(ports, func(port model.Port) bool {
		if len(e.State.Cluster.NodeCIDRs) == 0 {
			return !slices.ContainsFunc(f.Rules, func(r model.FilterRule) bool { return namesAddresses(&r, port, w) })
		}
		return !slices.ContainsFunc(e.State.Cluster.NodeCIDRs, func(nodes netip.Prefix) bool {
			first, last := e.takes(w, at(nodes.Addr()), port), e.takes(w, at(netipx.PrefixLastIP(nodes)), port)
			return first.Decision != verdict.Refused || last.Decision != verdict.Refused
		})
	})
}
