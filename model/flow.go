package model

import (
	"net/netip"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PeerKind is what kind of thing stands at one end of a flow.
type PeerKind string

// The kinds of peers.
const (
	// PeerPods are pods found by namespace and labels.
	PeerPods PeerKind = "Pods"
	// PeerAddresses are address ranges.
	PeerAddresses PeerKind = "Addresses"
	// PeerInternet is every public address: neither private, nor the cluster's, nor a metadata service's.
	PeerInternet PeerKind = "Internet"
	// PeerHost is a DNS name outside the cluster.
	PeerHost PeerKind = "Host"
	// PeerAPIServer is the Kubernetes API server.
	PeerAPIServer PeerKind = "APIServer"
	// PeerNodes are the nodes: kubelets and hostNetwork pods.
	PeerNodes PeerKind = "Nodes"
	// PeerDNS is the cluster's resolver.
	PeerDNS PeerKind = "DNS"
)

// AddressBlock is a range less some parts of it.
type AddressBlock struct {
	CIDR   netip.Prefix
	Except []netip.Prefix
}

// Peer is one end of a flow. Which fields count depends on Kind.
type Peer struct {
	Kind PeerKind
	// Namespace is set where the pods live in exactly one namespace; otherwise
	// NamespaceSelector chooses (an empty selector means every namespace).
	Namespace         string
	NamespaceSelector *metav1.LabelSelector
	// PodSelector chooses among the pods of those namespaces; empty means all.
	PodSelector metav1.LabelSelector
	// Workloads are those that the selectors match today, sorted.
	Workloads []WorkloadID
	// Addresses of a PeerAddresses peer.
	Addresses []AddressBlock
	// Host of a PeerHost peer: "api.example.com" or "*.example.com".
	Host string
}

// HTTPMatch limits a flow to some requests. Empty lists mean any.
type HTTPMatch struct {
	// Methods in upper case.
	Methods []string
	// Paths are exact, or end in "*" and match as a prefix.
	Paths []string
}

// Origin tells what a flow came from.
type Origin struct {
	// Ref is the object of the intent: TrafficRule, ExternalAccess, Exemption, SecurityProfile; or what it derives from.
	Ref Ref
	// Part says which part, in words: "from[1]", "kubelet probes", "DNS". May be empty.
	Part string
}

// String is "TrafficRule shop/cart from[1]".
func (o Origin) String() string {
	if o.Part == "" {
		return o.Ref.String()
	}
	return o.Ref.String() + " " + o.Part
}

// Flow is one permission of the intent: these clients may open connections to
// these servers on these ports. It opens both sides: the server's ingress and
// authorization, and the client's egress.
type Flow struct {
	Origin         Origin
	Client, Server Peer
	// Ports are those of the servers, never empty.
	Ports []Port
	// HTTP limits the flow to these requests; empty means any traffic.
	HTTP []HTTPMatch
	// Tunnels are the ports of the mesh (15008, 4143) by which this flow also travels, between the same peers.
	Tunnels []int32
	// Via is the waypoint's pods where traffic passes one, else nil: client → Via and Via → server, on Tunnels.
	Via *Peer
	// Plaintext tells that the clients present no mesh identity (API server,
	// kubelet, addresses outside, pods outside the mesh that must be let in),
	// so that the server must take them without one on these ports.
	Plaintext bool
	// Base marks what every pod of a namespace needs to work at all: DNS and the mesh's control plane.
	Base bool
}
