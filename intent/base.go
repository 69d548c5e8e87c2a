package intent

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/model"
)

// baseFlows adds what the pods of a governed namespace need to work at all: the
// resolver, and the control plane of their mesh.
func (r *resolver) baseFlows() {
	for i := range r.model.Namespaces {
		namespace := &r.model.Namespaces[i]
		if namespace.Posture == nil {
			continue
		}
		profile := ruleRef("SecurityProfile", "", namespace.Posture.Profile)
		r.dnsFlow(namespace.Name, profile)
		r.controlPlaneFlows(namespace, profile)
	}
	r.dnsServerFlow()
}

// dnsFlow opens the resolver. Where it is not known the namespace is held: a
// default deny without DNS would be an outage, and an open port 53 a hole.
func (r *resolver) dnsFlow(namespace string, profile model.Ref) {
	dns := &r.model.Cluster.DNS
	if len(dns.NodeLocal) == 0 && !r.resolverPodsInReach() {
		r.model.Held = append(r.model.Held, model.Hold{Namespace: namespace, Layer: model.LayerNetwork})
		r.problem("DNSUnknown", model.Error, model.Ref{APIVersion: "v1", Kind: "Namespace", Name: namespace}, "",
			"the cluster's resolver is not known as policies see it, and a default deny without DNS would cut every workload: no NetworkPolicy is written for the namespace",
			"read the DNS Service and its pods (kube-system/kube-dns or the like, -f), and the Nodes where these pods are on their network, or give --dns-server")
		return
	}
	r.model.Flows = append(r.model.Flows, model.Flow{
		Origin: model.Origin{Ref: profile, Part: "DNS"}, Client: r.podsIn(namespace, everyPod()),
		Server: model.Peer{Kind: model.PeerDNS}, Ports: slices.Clone(dns.Ports), Base: true,
	})
}

// resolverPodsInReach tells whether a policy can find the resolver's pods. The
// address of their Service does not do: most CNIs judge after its translation.
// Pods in their node's network are found by the nodes' addresses alone.
func (r *resolver) resolverPodsInReach() bool {
	cluster := &r.model.Cluster
	if cluster.DNS.Namespace == "" || len(cluster.DNS.Ports) == 0 {
		return false
	}
	pods := r.podsIn(cluster.DNS.Namespace, cluster.DNS.PodSelector)
	unreachable := len(cluster.NodeCIDRs) == 0 && cluster.CNI != "cilium"
	return len(pods.Workloads) == 0 || !unreachable || slices.ContainsFunc(r.workloads(&pods), func(w *model.Workload) bool { return !w.Spec.HostNetwork })
}

// dnsServerFlow keeps the resolver reachable where its own namespace is governed.
func (r *resolver) dnsServerFlow() {
	dns := &r.model.Cluster.DNS
	posture := r.posture(dns.Namespace)
	if posture == nil || len(dns.Ports) == 0 {
		return
	}
	everywhere := &v1alpha1.PodPeer{NamespaceSelector: &metav1.LabelSelector{}}
	r.add(model.Flow{
		Origin: model.Origin{Ref: ruleRef("SecurityProfile", "", posture.Profile), Part: "DNS server"},
		Client: r.podPeer(everywhere, dns.Namespace),
	}, target{server: r.podsIn(dns.Namespace, dns.PodSelector), ports: slices.Clone(dns.Ports)})
}

// controlPlaneFlows opens the mesh's control plane: for the namespace as a whole
// where all of its pods need the same, otherwise workload by workload.
func (r *resolver) controlPlaneFlows(namespace *model.Namespace, profile model.Ref) {
	if r.dialect == nil {
		return
	}
	workloads := slices.DeleteFunc(r.workloadsIn(namespace.Name), func(w *model.Workload) bool {
		return w.Spec.HostNetwork // which no policy finds, and no mesh takes
	})
	if len(workloads) == 0 {
		stranger := r.stranger(namespace)
		workloads = []*model.Workload{&stranger}
	}
	if r.needTheSame(workloads) {
		r.addControlPlane(profile, r.podsIn(namespace.Name, everyPod()), workloads[0].Facts.ControlPlane, true)
		return
	}
	for _, w := range workloads {
		r.addControlPlane(profile, r.workloadPeer(w), w.Facts.ControlPlane, false)
	}
}

// stranger is a pod that says nothing of itself: what a namespace makes of it is the namespace's own doing.
func (r *resolver) stranger(namespace *model.Namespace) model.Workload {
	w := model.Workload{
		ID:              model.WorkloadID{Namespace: namespace.Name, Kind: "Pod"},
		NamespaceLabels: namespace.Labels, NamespaceAnnotations: namespace.Annotations, ServiceAccount: "default",
	}
	w.Facts = r.dialect.Facts(&w)
	return w
}

func (r *resolver) needTheSame(workloads []*model.Workload) bool {
	first := fmt.Sprint(workloads[0].Facts.ControlPlane)
	return !slices.ContainsFunc(workloads, func(w *model.Workload) bool {
		return fmt.Sprint(w.Facts.ControlPlane) != first
	})
}

func (r *resolver) addControlPlane(profile model.Ref, client model.Peer, needs []model.ControlPlaneFlow, base bool) {
	for _, need := range needs {
		r.model.Flows = append(r.model.Flows, model.Flow{
			Origin: model.Origin{Ref: profile, Part: need.Why}, Client: client,
			Server: r.seen(need.To), Ports: need.Ports, Base: base,
		})
	}
}

// seen fills in which workloads a peer of the dialect's matches.
func (r *resolver) seen(peer model.Peer) model.Peer {
	if peer.Kind == model.PeerPods && peer.Namespace != "" && peer.Workloads == nil {
		peer.Workloads = r.match(peer.Namespace, &peer.PodSelector, nil)
	}
	return peer
}
