package model

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// FilterLayer is where connections are judged.
type FilterLayer string

// The layers, in the order in which a connection meets them.
const (
	// FilterTransport is how the client's side sends: what it dials, and whether it speaks mTLS.
	FilterTransport FilterLayer = "transport"
	// FilterEgress is what NetworkPolicies let out of the client's pods.
	FilterEgress FilterLayer = "egress"
	// FilterIngress is what NetworkPolicies let into the server's pods.
	FilterIngress FilterLayer = "ingress"
	// FilterMTLS is what the server's proxy demands before it looks at who calls.
	FilterMTLS FilterLayer = "mtls"
	// FilterAuthorization is what the server's proxy, or a waypoint in front of it, lets whom do.
	FilterAuthorization FilterLayer = "authorization"
)

// Effect is what a rule does with what it matches.
type Effect int8

// The effects.
const (
	Deny Effect = iota
	Allow
)

// Cause is what decided: a part of an object, or a fact in words.
type Cause struct {
	// Object is zero where no object stands behind it.
	Object Ref
	// Field is the part of the object: "spec.ingress[0]". May be empty.
	Field string
	// Message says in words what it does; it may be empty where Object and Field say it all.
	Message string
}

// Filter is what one layer enforces for one workload, in a form that all layers
// share: the first rule that matches a connection decides, and Otherwise where
// none does. Readers make filters of objects, whoever wrote these; package verdict judges by them.
//
// Workloads for which the same holds share one Filter: whoever judges many may compare pointers.
type Filter struct {
	Layer FilterLayer
	// Rules are tried in order.
	Rules []FilterRule
	// Otherwise is what happens to a connection that no rule matches.
	Otherwise Effect
	// Because are the objects that make Otherwise what it is.
	Because []Cause
}

// FilterRule matches connections by their peer (the other end, seen from the
// workload that the filter is for) and by the port of the server.
type FilterRule struct {
	Effect Effect
	// Peers are terms of which one suffices; nil matches every peer, an empty list none.
	Peers []Term
	// Ports of which one suffices; nil matches every port of every protocol, an empty list none.
	Ports []PortTerm
	// Requests says what of a request the rule depends on beside ("method GET"); empty: nothing.
	Requests string
	// Unknown says why it is not known whether the rule matches; empty: it is known.
	Unknown string
	Cause   Cause
}

// PortTerm is a port by number, a range, or a name that the server's containers give to a port.
type PortTerm struct {
	Port
	// Name counts where it is not empty; then of Port only the protocol does.
	Name string
}

// Term describes peers. All of its parts that are set must hold; a term without any holds for every peer.
type Term struct {
	// Pods holds for pods in the cluster's network, found by namespace and labels.
	Pods *PodTerm
	// In holds for addresses in one of these blocks, NotIn for those in none.
	In, NotIn []AddressBlock
	// PodAddresses tells whether In and NotIn look at the addresses of pods at all.
	PodAddresses PodAddresses
	// Names hold for the identity that a peer presents.
	Names []NameTerm
	// Requests and Unknown are as in FilterRule.
	Requests, Unknown string
}

// PodAddresses tells whether an address block finds pods, which differs between CNIs.
type PodAddresses int8

// What address blocks do with pods.
const (
	// PodAddressesCount is what Kubernetes' conformance tests demand of NetworkPolicies, and what a mesh does.
	PodAddressesCount PodAddresses = iota
	// PodAddressesIgnored is what Cilium does.
	PodAddressesIgnored
	// PodAddressesUnclear is where the CNI is not known: pods whose addresses are known count.
	PodAddressesUnclear
)

// PodTerm finds pods as the peers of a NetworkPolicy do.
type PodTerm struct {
	// Namespace is the one namespace that is meant; where it is empty NamespaceSelector chooses.
	Namespace string
	// NamespaceSelector chooses namespaces by their labels; nil with an empty Namespace chooses none.
	NamespaceSelector *metav1.LabelSelector
	// PodSelector chooses among their pods; nil chooses all.
	PodSelector *metav1.LabelSelector
}

// NameOf is a part of an identity.
type NameOf int8

// The parts. Each is a text that patterns are compared with; a peer without identity has none of them.
const (
	// NamePrincipal is the whole name, as the mesh writes it.
	NamePrincipal NameOf = iota
	// NameNamespace is the namespace of the service account.
	NameNamespace
	// NameAccount is "namespace/name" of the service account.
	NameAccount
)

// NameTerm holds where some pattern matches a part of the peer's identity.
type NameTerm struct {
	Of NameOf
	// Patterns are exact, "prefix*", "*suffix", or "*" for whatever is there.
	Patterns []string
	// Not turns it around: it holds where no pattern matches, and so for peers without identity.
	Not bool
}

// Identity is what a peer is authenticated as; the zero Identity is nobody.
type Identity struct {
	// Present tells that the peer proves who it is.
	Present bool
	// Principal is the whole name, as Facts.Identity has it; empty where it is not known in full.
	Principal          string
	Namespace, Account string
}

// Part is the text of one part of an identity, or "" where it is not there, or not known.
func (i Identity) Part(of NameOf) string {
	switch {
	case !i.Present:
		return ""
	case of == NameNamespace:
		return i.Namespace
	case of == NameAccount:
		return i.Namespace + "/" + i.Account
	default:
		return i.Principal
	}
}

// String is the name by which it is authenticated, empty for nobody.
func (i Identity) String() string {
	switch {
	case !i.Present:
		return ""
	case i.Principal == "":
		return i.Namespace + "/" + i.Account
	default:
		return i.Principal
	}
}

// IdentityOf is the identity that a workload presents where it speaks mTLS.
func IdentityOf(w *Workload) Identity {
	if !w.Facts.Meshed() {
		return Identity{}
	}
	return Identity{Present: true, Principal: w.Facts.Identity, Namespace: w.ID.Namespace, Account: w.ServiceAccount}
}

// Way is how TCP connections of one client to some ports of one server travel.
type Way struct {
	// Ports are those of the server, as it listens, for which this is the way; nil means every TCP port.
	Ports []Port
	// Dials is the port that is dialled in their place: 15008, 4143; 0 dials the port itself.
	Dials int32
	// Either tells that it is not known whether Dials or the port itself is dialled.
	Either bool
	// Protected tells that the connection is mTLS, so that the client presents its identity.
	Protected bool
	// Via is the waypoint that stands in between, or nil. It is dialled on Dials,
	// lets through what ViaFilters do, and calls the server on Dials under its own identity.
	Via *Workload
	// ViaFilters judge by the client's identity, and by the ports of the server.
	ViaFilters []*Filter
	// ByAddress tells that this is the way of a client who dials the address of a pod, and no Service.
	ByAddress bool
	// Fails says why the connection cannot work at all; empty: it may.
	Fails string
	// Unknown says what is not known about the way, so that it may not be what happens; empty: it is.
	Unknown string
	// Cause names what made it so.
	Cause Cause
}

// AllTCP is every TCP port.
func AllTCP() Port { return Port{Protocol: corev1.ProtocolTCP} }
