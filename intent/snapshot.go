package intent

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/model"
)

// Snapshot is everything that was read of a cluster or a folder, gathered
// before anything is decided. Each list is sorted by namespace and name.
type Snapshot struct {
	// Namespaces that were read or that something read lives in.
	Namespaces []model.Namespace
	// Workloads are the pods that would run, without Services, Facts and Relaxed.
	Workloads []model.Workload
	// Pods are those that run for one of these (Owner says which), where they were read.
	Pods []model.Workload
	// Unready are the workloads of a running cluster that are not available.
	Unready        []model.WorkloadID
	Services       []model.Service
	EndpointSlices []discoveryv1.EndpointSlice
	// Endpoints are the older form, still what many folders hold for the API server.
	Endpoints          []corev1.Endpoints
	Nodes              []corev1.Node
	ValidatingWebhooks []admissionregistrationv1.ValidatingWebhookConfiguration
	MutatingWebhooks   []admissionregistrationv1.MutatingWebhookConfiguration

	Profiles       []v1alpha1.SecurityProfile
	Rules          []v1alpha1.TrafficRule
	ExternalAccess []v1alpha1.ExternalAccess
	Exemptions     []v1alpha1.Exemption
	// Postures and Reports are what palisade itself noted, in a running cluster.
	Postures []v1alpha1.NamespacePosture
	Reports  []v1alpha1.MTLSReport

	// Objects are all others that a layer or the detection of facts looks at:
	// NetworkPolicies, objects of the meshes and of Gateway API, CRDs of the
	// meshes, ConfigMaps and Namespaces, as JSON trees.
	Objects []model.Object
	// Unknown counts the objects of kinds that palisade does not look at, by "apiVersion kind".
	Unknown map[string]int
	// Problems are what could not be read of a running cluster.
	Problems []model.Problem
	// Sources tells where each object was read, in a folder.
	Sources map[model.Ref]model.Source
}

// Given are facts that the user supplies by flags; they win over what objects show.
// Empty fields are not given.
type Given struct {
	// Mesh is "auto" (or empty), "istio", "linkerd" or "none".
	Mesh string
	// MeshMode is the mode of namespaces that carry no enrolment of their own: "sidecar", "ambient", "proxyless", or empty.
	MeshMode string
	// MeshNamespace is where the mesh's control plane runs.
	MeshNamespace    string
	TrustDomain      string
	ClusterDomain    string
	LinkerdTransport string
	// PodCIDRs, ServiceCIDRs, NodeCIDRs, DNSServers and APIServers are addresses as text; each is checked.
	PodCIDRs, ServiceCIDRs, NodeCIDRs []string
	DNSServers                        []string
	// APIServers are "address" or "address:port" (port 6443 where absent… never assumed: both 443 and 6443 must be named).
	APIServers []string
}
