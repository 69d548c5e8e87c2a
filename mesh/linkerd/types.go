package linkerd

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The kinds of policy.linkerd.io as far as palisade writes them. Linkerd's own
// Go types do not build beside current Gateway API modules, and these are few.
// Field by field they follow the CRDs (linkerd2 charts/linkerd-crds/templates/policy).

// policyGroup is the API group of Linkerd's policy.
const policyGroup = "policy.linkerd.io"

// Versions of the kinds: one for each kind but Server, whose version depends on
// the release (Mesh.Linkerd.ServerVersion).
const (
	authVersion  = policyGroup + "/v1alpha1" // AuthorizationPolicy, MeshTLSAuthentication, NetworkAuthentication: all releases
	routeVersion = policyGroup + "/v1beta3"  // HTTPRoute: served since 2.14
)

type server struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        metav1.ObjectMeta `json:"metadata"`
	Spec            serverSpec        `json:"spec"`
}

// serverSpec selects one port of some pods.
type serverSpec struct {
	PodSelector metav1.LabelSelector `json:"podSelector"`
	Port        int32                `json:"port"`
	// ProxyProtocol is empty (detect), "HTTP/1", "HTTP/2" or "opaque".
	ProxyProtocol string `json:"proxyProtocol,omitempty"`
	// AccessPolicy applies where nothing authorizes; only v1beta3 has it, and "deny" is its default.
	AccessPolicy string `json:"accessPolicy,omitempty"`
}

type authorizationPolicy struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        metav1.ObjectMeta       `json:"metadata"`
	Spec            authorizationPolicySpec `json:"spec"`
}

// authorizationPolicySpec permits clients that pass all authentications. An
// empty list would permit everyone, so it is never written.
type authorizationPolicySpec struct {
	TargetRef                  objectRef   `json:"targetRef"`
	RequiredAuthenticationRefs []objectRef `json:"requiredAuthenticationRefs"`
}

// objectRef names an object of the same namespace.
type objectRef struct {
	Group string `json:"group,omitempty"`
	Kind  string `json:"kind"`
	Name  string `json:"name"`
}

type meshTLSAuthentication struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        metav1.ObjectMeta         `json:"metadata"`
	Spec            meshTLSAuthenticationSpec `json:"spec"`
}

// meshTLSAuthenticationSpec lists identities; "*" is any identity of the mesh.
type meshTLSAuthenticationSpec struct {
	Identities []string `json:"identities"`
}

type networkAuthentication struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        metav1.ObjectMeta         `json:"metadata"`
	Spec            networkAuthenticationSpec `json:"spec"`
}

type networkAuthenticationSpec struct {
	Networks []network `json:"networks"`
}

// network is a range less some parts of it.
type network struct {
	CIDR   string   `json:"cidr"`
	Except []string `json:"except,omitempty"`
}

type httpRoute struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        metav1.ObjectMeta `json:"metadata"`
	Spec            httpRouteSpec     `json:"spec"`
}

type httpRouteSpec struct {
	ParentRefs []objectRef     `json:"parentRefs"`
	Rules      []httpRouteRule `json:"rules"`
}

type httpRouteRule struct {
	Matches []httpRouteMatch `json:"matches"`
}

// httpRouteMatch matches requests that meet all its parts.
type httpRouteMatch struct {
	Path   *httpPathMatch `json:"path,omitempty"`
	Method string         `json:"method,omitempty"`
}

// httpPathMatch compares the path without its query. A RegularExpression must match the whole path.
type httpPathMatch struct {
	// Type is "Exact", "PathPrefix" or "RegularExpression".
	Type  string `json:"type"`
	Value string `json:"value"`
}
