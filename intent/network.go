package intent

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// networkFaults reports what keeps the cluster's network from holding policies, or the mesh from seeing traffic.
func (r *resolver) networkFaults() {
	cluster := &r.model.Cluster
	if flannel := r.daemonSet("kube-flannel-ds", "kube-flannel"); cluster.CNI == "flannel" && flannel != nil && !r.policyEngine() {
		r.finding("NetworkPolicyNotEnforced", model.Error, flannel.Ref(), "",
			"flannel does not enforce NetworkPolicies: they are accepted and have no effect",
			"install a policy engine beside it, or another CNI")
	}
	if r.dialect == nil {
		return
	}
	for i := range r.model.Existing {
		object := &r.model.Existing[i]
		ref := object.Ref()
		if ref.Kind == "ConfigMap" && ref.Name == "cilium-config" {
			r.ciliumFaults(ref, object.Map("data"))
		}
	}
}

// ciliumFaults reports settings by which Cilium translates Services inside the
// pod, before the mesh sees them: traffic then leaves in plaintext (cilium#16583).
func (r *resolver) ciliumFaults(ref model.Ref, data map[string]any) {
	replacement := fmt.Sprint(data["kube-proxy-replacement"])
	if (replacement == "true" || replacement == "strict") && fmt.Sprint(data["bpf-lb-sock-hostns-only"]) != "true" {
		r.finding("SocketLoadBalancingBypassesMesh", model.Error, ref, "data[bpf-lb-sock-hostns-only]",
			"Cilium replaces kube-proxy and translates Services at the socket, inside pods: the mesh's proxies then do not recognise the traffic, and mTLS is lost",
			"set socketLB.hostNamespaceOnly=true in Cilium's Helm values")
	}
	if r.model.Cluster.Mesh.CNI && fmt.Sprint(data["cni-exclusive"]) == "true" {
		r.finding("CiliumExclusiveRemovesMeshCNI", model.Error, ref, "data[cni-exclusive]",
			"Cilium removes other CNI configurations, so the mesh's CNI plugin is switched off and new pods are not captured",
			"set cni.exclusive=false in Cilium's Helm values")
	}
}

func (r *resolver) daemonSet(names ...string) *model.Workload {
	for i := range r.model.Workloads {
		if w := &r.model.Workloads[i]; w.ID.Kind == "DaemonSet" && slices.Contains(names, w.ID.Name) {
			return w
		}
	}
	return nil
}

// policyEngine tells whether some pod enforces NetworkPolicies beside a CNI that does not.
func (r *resolver) policyEngine() bool {
	return slices.ContainsFunc(r.model.Workloads, func(w model.Workload) bool {
		return slices.ContainsFunc(w.Spec.Containers, func(c corev1.Container) bool {
			return strings.Contains(c.Image, "kube-network-policies") || strings.Contains(c.Image, "kube-router")
		})
	})
}
