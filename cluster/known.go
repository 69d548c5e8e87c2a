package cluster

import (
	"path"
	"slices"

	"floe.dev/palisade/model"
)

// knownKind is a kind that palisade looks at.
type knownKind struct {
	group, kind string
	// versions that are understood; nil means any. Objects of others count as unknown.
	versions []string
	// cluster tells that the kind is not namespaced.
	cluster bool
	read    func(*object, *item) InputErrors
}

var v1 = []string{"v1"}

// knownKinds are the built-in kinds that palisade looks at.
var knownKinds = []knownKind{
	// What runs.
	{"", "Pod", v1, false, readPod},
	{"", "ReplicationController", v1, false, readReplicationController},
	{"apps", "Deployment", v1, false, readDeployment},
	{"apps", "ReplicaSet", v1, false, readReplicaSet},
	{"apps", "StatefulSet", v1, false, readStatefulSet},
	{"apps", "DaemonSet", v1, false, readDaemonSet},
	{"batch", "Job", v1, false, readJob},
	{"batch", "CronJob", v1, false, readCronJob},
	// Where it runs, and who finds whom.
	{"", "Namespace", v1, true, readNamespace},
	{"", "Node", v1, true, readNode},
	{"", "Service", v1, false, readService},
	{"", "Endpoints", v1, false, readEndpoints},
	{"discovery.k8s.io", "EndpointSlice", v1, false, readEndpointSlice},
	{"admissionregistration.k8s.io", "ValidatingWebhookConfiguration", v1, true, readValidatingWebhooks},
	{"admissionregistration.k8s.io", "MutatingWebhookConfiguration", v1, true, readMutatingWebhooks},
	// What layers and the detection of facts look at, as trees.
	{"networking.k8s.io", "NetworkPolicy", v1, false, readNetworkPolicy},
	{"networking.k8s.io", "ServiceCIDR", []string{"v1", "v1beta1"}, true, keepTree},
	{"", "ConfigMap", v1, false, keepConfigMap},
	{"", "Secret", v1, false, keepSecret},
	{"apiextensions.k8s.io", "CustomResourceDefinition", v1, true, keepDefinition},
	{"apiregistration.k8s.io", "APIService", v1, true, keepTree},
	{"", "ServiceAccount", v1, false, keepTree},
	{"", "LimitRange", v1, false, keepTree},
	{"", "ResourceQuota", v1, false, keepTree},
	{"policy", "PodDisruptionBudget", v1, false, keepTree},
	{"autoscaling", "HorizontalPodAutoscaler", nil, false, keepTree},
}

// keptGroup is an API group all of whose kinds are kept as trees.
type keptGroup struct {
	group string
	// namespaced and cluster list the kinds of a group that has both scopes, whichever are fewer; both nil means all are namespaced.
	namespaced, cluster []string
}

// keptGroups are those of the meshes, of Gateway API and of CNIs.
var keptGroups = []keptGroup{
	{group: "security.istio.io"},
	{group: "networking.istio.io"},
	{group: "telemetry.istio.io"},
	{group: "extensions.istio.io"},
	{group: "policy.linkerd.io"},
	{group: "linkerd.io"},
	{group: "workload.linkerd.io"},
	{group: "multicluster.linkerd.io"},
	{group: "gateway.networking.k8s.io", cluster: []string{"GatewayClass"}},
	{group: "policy.networking.k8s.io", cluster: []string{"AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy"}},
	{group: "cilium.io", namespaced: []string{
		"CiliumNetworkPolicy", "CiliumEndpoint", "CiliumLocalRedirectPolicy", "CiliumEnvoyConfig", "CiliumNodeConfig", "CiliumGatewayClassConfig",
	}},
	{group: "crd.projectcalico.org", namespaced: calicoNamespaced},
	{group: "projectcalico.org", namespaced: calicoNamespaced},
}

var calicoNamespaced = []string{"NetworkPolicy", "NetworkSet", "StagedNetworkPolicy", "StagedKubernetesNetworkPolicy"}

// lookup finds what is known of the kind of a reference.
func lookup(ref model.Ref) (knownKind, bool) {
	group := ref.Group()
	for _, k := range knownKinds {
		if k.group == group && k.kind == ref.Kind {
			return k, k.versions == nil || slices.Contains(k.versions, path.Base(ref.APIVersion))
		}
	}
	for _, g := range keptGroups {
		if g.group == group {
			clusterWide := slices.Contains(g.cluster, ref.Kind) || g.namespaced != nil && !slices.Contains(g.namespaced, ref.Kind)
			return knownKind{group: group, kind: ref.Kind, cluster: clusterWide, read: keepTree}, true
		}
	}
	return knownKind{}, false
}
