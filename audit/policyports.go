package audit

import (
	"fmt"
	"slices"
	"strconv"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
)

// ruledPort is a port of a rule, with the pods on which it would have to be.
type ruledPort struct {
	policy *Policy
	field  string
	port   networkingv1.NetworkPolicyPort
	// beside are all ports of the rule.
	beside  []networkingv1.NetworkPolicyPort
	servers []*model.Workload
}

// eachRuledPort visits the ports of the rules whose servers are known: for ingress the
// pods that the policy selects, for egress those of the peers, where these are pods that were read.
func (e *Evidence) eachRuledPort(visit func(ruledPort)) {
	for i := range e.Policies {
		p := &e.Policies[i]
		selected := e.selected(p)
		eachRule(p, func(field string, layer model.FilterLayer, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) {
			servers := selected
			if layer == model.FilterEgress {
				servers = e.peersRead(p, peers)
			}
			if len(servers) == 0 {
				return
			}
			for j := range ports {
				visit(ruledPort{p, fmt.Sprintf("%s.ports[%d]", field, j), ports[j], ports, servers})
			}
		})
	}
}

// peersRead are the pods that peers choose; nil where some of these are no pods, or were not read for certain.
func (e *Evidence) peersRead(p *Policy, peers []networkingv1.NetworkPolicyPeer) []*model.Workload {
	var found []*model.Workload
	for i := range peers {
		namespaces := []string{p.Namespace}
		if selector := peers[i].NamespaceSelector; selector != nil {
			namespaces = e.chosenNamespaces(selector)
			if len(pinned(selector)) != len(namespaces) && !e.podsListed() {
				return nil
			}
		}
		if peers[i].IPBlock != nil {
			return nil
		}
		pods := e.podsOf(namespaces, peers[i].PodSelector)
		if len(pods) == 0 {
			return nil
		}
		found = append(found, pods...)
	}
	return found
}

// podsOf are the workloads of some namespaces that a selector, or nil for all of them, may find.
func (e *Evidence) podsOf(namespaces []string, selector *metav1.LabelSelector) []*model.Workload {
	var found []*model.Workload
	for _, namespace := range namespaces {
		for _, w := range e.workloadsIn(namespace) {
			if !w.Spec.HostNetwork && (selector == nil || mayBear(w, selector)) {
				found = append(found, w)
			}
		}
	}
	return found
}

// listensOn tells whether anything says that a workload listens on a port: a
// container, a Service, a probe, a scrape, or the mesh.
func listensOn(w *model.Workload, port model.Port) bool {
	same := func(p model.Port) bool { return p.Contains(port.Protocol, port.Number) }
	if slices.ContainsFunc(w.ContainerPorts(), func(p model.NamedPort) bool { return same(p.Port) }) {
		return true
	}
	for _, s := range w.Services {
		for i := range s.Ports {
			if p, ok := model.TargetPort(w, &s.Ports[i]); ok && same(p) {
				return true
			}
		}
	}
	return slices.ContainsFunc(w.KubeletPorts(), same) || w.Annotations["prometheus.io/port"] == strconv.Itoa(int(port.Number)) || isOfProxy(w, port)
}

// isOfProxy tells of ports that a mesh's proxy has in a pod, and of those that the mesh's own pods use.
func isOfProxy(w *model.Workload, port model.Port) bool {
	if port == model.TCP(w.Facts.Tunnel.Port) || slices.Contains(w.Facts.MetricsPorts, port) {
		return true
	}
	n := port.Number
	return port.Protocol == model.AllTCP().Protocol && (n >= 15000 && n <= 15090 || n == 4143 || n == 4190 || n == 4191)
}

// saysSomething tells whether a manifest says at all on which ports a workload listens.
func saysSomething(w *model.Workload) bool { return len(w.ContainerPorts()) > 0 || len(w.Services) > 0 }

// servicePort finds a Service of some workloads that has the port itself, and leads it to another of its pods.
func servicePort(servers []*model.Workload, port model.Port) (s *model.Service, w *model.Workload, target model.Port) {
	for _, w := range servers {
		for _, s := range w.Services {
			for i := range s.Ports {
				p := &s.Ports[i]
				if p.Port != port.Number || model.ProtocolOr(p.Protocol) != port.Protocol {
					continue
				}
				if target, ok := model.TargetPort(w, p); ok && target.Number != port.Number {
					return s, w, target
				}
			}
		}
	}
	return nil, nil, model.Port{}
}
