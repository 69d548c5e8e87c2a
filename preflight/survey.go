package preflight

import (
	"cmp"
	"slices"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"

	"floe.dev/palisade/model"
)

// Survey is what was asked of a running cluster beside its objects.
type Survey struct {
	// Host is the URL of the API server, User who asks, as the server knows them; User is empty where it does not tell.
	Host, User string
	// Version is the server's gitVersion, such as "v1.37.2".
	Version string
	// Date is the server's clock (header Date, RFC 9110 §6.6.1: whole seconds; zero where absent),
	// Clock the one of this machine, half-way through the answer, which took Trip.
	Date, Clock time.Time
	Trip        time.Duration
	// Served are the kinds that the server serves, of the groups that palisade cares for.
	Served []Served
	// Silent are the group versions whose servers do not answer, with why.
	Silent []string
	Access []Access
	// Definitions are palisade's own kinds, each of them.
	Definitions []Definition
	// Bundles are the Secrets that were looked for.
	Bundles []Bundle
	// Leases are those named as palisade's, in every namespace; LeasesUnread says why they could not be read.
	Leases       []Lease
	LeasesUnread string
	// Backends are the EndpointSlices of the Services that NeedsOf names.
	Backends []Backend
}

// Sort puts answers into one order, whichever came first.
func (s *Survey) Sort() {
	slices.SortFunc(s.Access, func(a, b Access) int { return comparePermissions(a.Permission, b.Permission) })
	slices.SortFunc(s.Definitions, func(a, b Definition) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Bundles, func(a, b Bundle) int { return model.CompareRefs(a.Ref, b.Ref) })
	slices.SortFunc(s.Backends, func(a, b Backend) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Service, b.Service))
	})
	slices.SortFunc(s.Leases, func(a, b Lease) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}

// Served is one kind in one version.
type Served struct{ Group, Version, Kind string }

// Permission is something that whoever asks would have to be allowed.
type Permission struct {
	Verb, Group, Resource, Subresource string
	// Namespace and Name are empty for all of them.
	Namespace, Name string
	// Optional tells that only a check needs it.
	Optional bool
}

// String is how kubectl auth can-i says it: "list networkpolicies.networking.k8s.io".
func (p Permission) String() string {
	text := p.Verb + " " + p.Resource
	if p.Group != "" {
		text += "." + p.Group
	}
	if p.Subresource != "" {
		text += "/" + p.Subresource
	}
	if p.Name != "" {
		text += " " + p.Name
	}
	if p.Namespace != "" {
		text += " in " + p.Namespace
	}
	return text
}

func comparePermissions(a, b Permission) int {
	return cmp.Or(
		cmp.Compare(a.Group, b.Group), cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Subresource, b.Subresource),
		cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Verb, b.Verb),
	)
}

// Access is the answer to a Permission (SelfSubjectAccessReview).
type Access struct {
	Permission
	Allowed bool
	// Unread says why there is no answer.
	Unread string
}

// Definition is one of palisade's CustomResourceDefinitions as the cluster has it.
type Definition struct {
	// Name is "trafficrules.palisade.floe.dev".
	Name string
	// Found, Established: it is there, and the server serves it.
	Found, Established bool
	// Difference says where its schema is not the one of this palisade; empty where it is the same.
	Difference string
	// Unread says why it could not be read.
	Unread string
}

// Bundle is a Secret or a ConfigMap that may hold certificates. Private keys are never kept.
type Bundle struct {
	Ref   model.Ref
	Found bool
	// Certificates are the PEM blocks of type CERTIFICATE by key of the object's data.
	Certificates map[string][]byte
	// Written is when what it holds was last written; zero where that is not known.
	Written time.Time
	// Unread says why it could not be read.
	Unread string
}

// Lease is who leads a controller (coordination.k8s.io/v1).
type Lease struct {
	Namespace, Name, Holder string
	Renewed                 time.Time
	// Duration is how long it holds without being renewed.
	Duration time.Duration
}

// Backend is what stands behind one Service.
type Backend struct {
	Namespace, Service string
	Slices             []discoveryv1.EndpointSlice
	// Unread says why they could not be read.
	Unread string
}

// ServiceName names a Service.
type ServiceName struct{ Namespace, Name string }

func (n ServiceName) String() string { return n.Namespace + "/" + n.Name }

// Needs is what a Survey must ask beside what is the same for all clusters.
type Needs struct {
	For Audience
	// Home is palisade's own namespace.
	Home string
	// Access are the rights to write; those to read follow from what is served.
	Access   []Permission
	Secrets  []model.Ref
	Services []ServiceName
}

// Audience is whose work is checked for.
type Audience string

// The audiences.
const (
	// CLI reads and judges, and writes nothing.
	CLI Audience = "cli"
	// Controller writes as well.
	Controller Audience = "controller"
)

// ReadVerbs are what an audience does to the kinds that it looks at.
func (a Audience) ReadVerbs() []string {
	if a == Controller {
		return []string{"get", "list", "watch"}
	}
	return []string{"list"}
}
