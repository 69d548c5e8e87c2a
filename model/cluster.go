package model

import (
	"net/netip"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Cluster holds the facts of a cluster, read from its objects or given by
// flags. A zero field is unknown, never "none": what needs it stays closed.
type Cluster struct {
	// Domain is the DNS domain of the cluster, for example "cluster.local".
	Domain string
	Mesh   Mesh
	DNS    DNS
	// APIServer is where pods reach the Kubernetes API.
	APIServer APIServer
	// PodCIDRs, ServiceCIDRs and NodeCIDRs are the cluster's ranges. NodeCIDRs
	// holds single addresses (/32, /128) where only Nodes were read.
	PodCIDRs, ServiceCIDRs, NodeCIDRs []netip.Prefix
	// IPv4 and IPv6 tell which families the cluster uses; both false is unknown.
	IPv4, IPv6 bool
	// CNI is "cilium", "calico", … where its objects show it.
	CNI string
}

// IsSystem tells of namespaces that hold the cluster's own pods, or those of the mesh's control plane.
func (c *Cluster) IsSystem(namespace string) bool {
	return strings.HasPrefix(namespace, "kube-") || strings.HasPrefix(namespace, "openshift-") ||
		namespace != "" && (namespace == c.Mesh.Namespace || namespace == c.Mesh.RootNamespace)
}

// MeshKind is which mesh is in use.
type MeshKind string

// The meshes; the empty kind means none.
const (
	MeshNone    MeshKind = ""
	MeshIstio   MeshKind = "istio"
	MeshLinkerd MeshKind = "linkerd"
)

// Mesh holds the facts of the mesh.
type Mesh struct {
	Kind MeshKind
	// Why says from what the kind was decided.
	Why string
	// Namespace is where the control plane runs ("istio-system" and "linkerd"
	// are defaults of theirs, not facts).
	Namespace string
	// RootNamespace is Istio's MeshConfig.rootNamespace.
	RootNamespace string
	TrustDomain   string
	// TrustDomainAliases count as the same trust domain in Istio's authorization.
	TrustDomainAliases []string
	// KeepsProbes tells that the injector leaves probes as they are (rewriteAppHTTPProbe is off; its default is on).
	KeepsProbes bool
	// KeepsMetrics tells that sidecars do not merge the application's metrics into theirs (enablePrometheusMerge is off; its default is on).
	KeepsMetrics bool
	// Revision of the Istio control plane, empty for the default one.
	Revision string
	// Revisions are those that Istio's webhooks inject for, tags among them,
	// "default" for namespaces labelled istio-injection; nil where no webhook was read.
	Revisions []string
	// Version of the control plane, "1.31.1" or "2.18.0" or "edge-25.4.4", where it shows.
	Version string
	// Ambient tells that Istio's ambient mode is installed.
	Ambient bool
	// SidecarHBONE tells that the injector makes sidecars take HBONE on 15008
	// (ISTIO_META_ENABLE_HBONE in the mesh's proxy configuration, as the ambient profile has it).
	SidecarHBONE bool
	// CNI tells that a CNI plugin of the mesh sets up redirection, so that pods need no privileged init container.
	CNI bool
	// AssumedMode is the mode given by flag for namespaces that carry no
	// enrolment of their own; empty assumes nothing.
	AssumedMode MeshMode
	// InjectByDefault tells that the mesh enrols namespaces that say nothing.
	InjectByDefault bool
	// RegistryOnly tells that sidecars refuse what no Service or ServiceEntry names (outboundTrafficPolicy; the default is ALLOW_ANY).
	RegistryOnly bool
	// AutoMTLS is Istio's enableAutoMtls (its default is true).
	AutoMTLS bool
	// Linkerd holds what only Linkerd has.
	Linkerd LinkerdFacts
}

// LinkerdFacts is what only Linkerd has.
type LinkerdFacts struct {
	// Transport is how proxies dial each other: "transport-header" (all on
	// 4143, the default since 2.18), "transparent" (original port; 4143 for
	// opaque ports only), or empty where unknown: then both are provided for.
	Transport string
	// ServerVersion is the served version of policy.linkerd.io Server to write:
	// "v1beta1" is served by every release since 2.12.
	ServerVersion string
	// OpaquePorts are the cluster's default opaque ports.
	OpaquePorts []Port
	// DefaultInboundPolicy is proxy.defaultInboundPolicy, empty where unknown.
	DefaultInboundPolicy string
	// ClusterNetworks as configured.
	ClusterNetworks []netip.Prefix
	// SkipInboundPorts are those that the installation leads around every proxy (proxyInit.ignoreInboundPorts).
	SkipInboundPorts []Port
	// NoTokenProjection tells that identity.serviceAccountTokenProjection is off; the chart's default is on.
	NoTokenProjection bool
}

// DNS tells which resolver pods really use.
type DNS struct {
	// ServiceIPs are the cluster IPs of the DNS Service.
	ServiceIPs []netip.Addr
	// Namespace and PodSelector find the resolver's pods; Namespace is empty where unknown.
	Namespace   string
	PodSelector metav1.LabelSelector
	// Ports are those on which the pods listen; ServicePorts those of the Service. Both UDP and TCP.
	Ports, ServicePorts []Port
	// NodeLocal are the addresses of a node-local cache, which no pod selector can match.
	NodeLocal []netip.Addr
	// CacheAddresses are those at which a node-local cache on the node's network
	// answers: its own, and the Service's where it takes these as well.
	CacheAddresses []netip.Addr
	// Dialled are the addresses that kubelets write into the pods' resolv.conf, where they are known.
	Dialled []netip.Addr
	// Caches are node-local caches that run in pods of their own, to which the CNI redirects.
	Caches []DNSCache
}

// DNSCache are the pods of a resolver beside the cluster's.
type DNSCache struct {
	Namespace   string
	PodSelector metav1.LabelSelector
	// Ports on which the pods listen.
	Ports []Port
}

// Known tells whether any way to the resolver is known.
func (d DNS) Known() bool { return d.Namespace != "" || len(d.ServiceIPs) > 0 || len(d.NodeLocal) > 0 }

// APIServer is the Service "kubernetes" and what is behind it. A ClusterIP may be
// translated before or after policy is applied, so both sides count.
type APIServer struct {
	ServiceIPs   []netip.Addr
	ServicePorts []Port
	Endpoints    []netip.Addr
	Ports        []Port
	// At says which ports each endpoint serves; without it, each serves all of Ports.
	At []netip.AddrPort
}

// APIServerGroup are endpoints that serve the same ports.
type APIServerGroup struct {
	Endpoints []netip.Addr
	Ports     []Port
}

// Groups parts the endpoints by the ports that they serve, in a stable order.
func (a *APIServer) Groups() []APIServerGroup {
	if len(a.At) == 0 {
		return []APIServerGroup{{Endpoints: a.Endpoints, Ports: a.Ports}}
	}
	var groups []APIServerGroup
	for _, endpoint := range a.Endpoints {
		var ports []Port
		for _, at := range a.At {
			if at.Addr() == endpoint {
				ports = append(ports, TCP(int32(at.Port())))
			}
		}
		ports = SortPorts(ports)
		i := slices.IndexFunc(groups, func(g APIServerGroup) bool { return slices.Equal(g.Ports, ports) })
		if i < 0 {
			groups = append(groups, APIServerGroup{Ports: ports})
			i = len(groups) - 1
		}
		groups[i].Endpoints = append(groups[i].Endpoints, endpoint)
	}
	return groups
}

// Known tells whether the addresses behind the Service are known.
func (a APIServer) Known() bool { return len(a.Endpoints) > 0 && len(a.Ports) > 0 }
