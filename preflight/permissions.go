package preflight

import (
	"fmt"
	"slices"

	"floe.dev/palisade/model"
)

// Write is a kind that palisade writes.
type Write struct {
	Served
	Resource string
	// verbs beside reading; nil means create, update, patch and delete.
	verbs []string
	// unless says what is lost where it is not served, for kinds that are not always needed.
	unless string
	// builtIn tells that every API server serves it.
	builtIn bool
}

var writeVerbs = []string{"create", "update", "patch", "delete"}

// Writes lists the kinds that palisade writes into a cluster. A test holds it
// against what the compilers write.
func Writes(cluster *model.Cluster) []Write {
	mesh := &cluster.Mesh
	kinds := []Write{
		{Served: Served{"", "v1", "Namespace"}, Resource: "namespaces", verbs: []string{"patch"}, builtIn: true},
		{Served: Served{"networking.k8s.io", "v1", "NetworkPolicy"}, Resource: "networkpolicies", builtIn: true},
		{Served: Served{"policy", "v1", "PodDisruptionBudget"}, Resource: "poddisruptionbudgets", builtIn: true},
	}
	if cluster.CNI == "cilium" {
		kinds = append(kinds, Write{Served: Served{"cilium.io", "v2", "CiliumNetworkPolicy"}, Resource: "ciliumnetworkpolicies", unless: "what Cilium's own policies alone can name (hosts, nodes, the API server) stays closed"})
	}
	switch mesh.Kind {
	case model.MeshIstio:
		if mesh.Ambient || mesh.AssumedMode == model.ModeAmbient { // a waypoint of palisade's
			kinds = append(kinds, Write{Served: Served{"gateway.networking.k8s.io", "v1", "Gateway"}, Resource: "gateways", unless: "rules on methods and paths are not held for ambient workloads"})
		}
		return append(kinds,
			Write{Served: Served{"security.istio.io", "v1", "PeerAuthentication"}, Resource: "peerauthentications"},
			Write{Served: Served{"security.istio.io", "v1", "AuthorizationPolicy"}, Resource: "authorizationpolicies"},
			Write{Served: Served{"networking.istio.io", "v1", "Sidecar"}, Resource: "sidecars"},
			Write{Served: Served{"networking.istio.io", "v1", "ServiceEntry"}, Resource: "serviceentries"},
			Write{Served: Served{"networking.istio.io", "v1", "DestinationRule"}, Resource: "destinationrules"},
		)
	case model.MeshLinkerd:
		server := "v1beta1"
		if v := mesh.Linkerd.ServerVersion; v != "" {
			server = v
		}
		return append(kinds,
			Write{Served: Served{"policy.linkerd.io", server, "Server"}, Resource: "servers"},
			Write{Served: Served{"policy.linkerd.io", "v1alpha1", "AuthorizationPolicy"}, Resource: "authorizationpolicies"},
			Write{Served: Served{"policy.linkerd.io", "v1alpha1", "MeshTLSAuthentication"}, Resource: "meshtlsauthentications"},
			Write{Served: Served{"policy.linkerd.io", "v1alpha1", "NetworkAuthentication"}, Resource: "networkauthentications"},
			Write{Served: Served{"policy.linkerd.io", "v1beta3", "HTTPRoute"}, Resource: "httproutes", unless: "rules on methods and paths are not held"},
		)
	default:
		return kinds
	}
}

// LeaseName is the Lease by which a controller of palisade leads, in its own namespace.
const LeaseName = "palisade"

const (
	ownGroup = "palisade.floe.dev"
	// webhookName and webhookSecret are the controller's own; the Secret is in its namespace.
	webhookName   = "palisade"
	webhookSecret = "palisade-webhook"
)

// writePermissions are what the controller needs beside reading.
func writePermissions(cluster *model.Cluster, home string) []Permission {
	var all []Permission
	add := func(p Permission, verbs ...string) {
		for _, p.Verb = range verbs {
			all = append(all, p)
		}
	}
	for _, w := range Writes(cluster) {
		verbs := w.verbs
		if verbs == nil {
			verbs = writeVerbs
		}
		add(Permission{Group: w.Group, Resource: w.Resource}, verbs...)
	}
	for _, resource := range []string{"securityprofiles", "trafficrules", "externalaccesses", "exemptions"} {
		add(Permission{Group: ownGroup, Resource: resource, Subresource: "status"}, "patch")
	}
	for _, resource := range []string{"namespacepostures", "mtlsreports"} {
		add(Permission{Group: ownGroup, Resource: resource}, writeVerbs...)
		add(Permission{Group: ownGroup, Resource: resource, Subresource: "status"}, "patch")
	}
	add(Permission{Group: "events.k8s.io", Resource: "events"}, "create", "patch")
	add(Permission{Resource: "events", Namespace: home}, "create", "patch") // of the election, which client-go still tells the old way
	add(Permission{Group: "coordination.k8s.io", Resource: "leases", Namespace: home}, "create")
	add(Permission{Group: "coordination.k8s.io", Resource: "leases", Namespace: home, Name: LeaseName}, "get", "update")
	add(Permission{Resource: "secrets", Namespace: home}, "create")
	add(Permission{Resource: "secrets", Namespace: home, Name: webhookSecret}, "get", "update")
	for _, resource := range []string{"validatingwebhookconfigurations", "mutatingwebhookconfigurations"} {
		add(Permission{Group: "admissionregistration.k8s.io", Resource: resource, Name: webhookName}, "patch")
	}
	return all
}

// NeedsOf is what a Survey must ask for an Input, whose Survey may still be nil.
func NeedsOf(in *Input) Needs {
	n := Needs{For: in.For, Home: in.Home}
	for _, s := range in.secrets() {
		n.Secrets = append(n.Secrets, s)
		n.Access = append(n.Access, Permission{Verb: "get", Resource: "secrets", Namespace: s.Namespace, Name: s.Name, Optional: true})
	}
	n.Access = append(n.Access, Permission{Verb: "list", Group: "coordination.k8s.io", Resource: "leases", Optional: true})
	if in.For == Controller {
		n.Access = append(n.Access, writePermissions(&in.Model.Cluster, in.Home)...)
	}
	for _, c := range in.calls() {
		if c.service != (ServiceName{}) && !slices.Contains(n.Services, c.service) {
			n.Services = append(n.Services, c.service)
		}
	}
	return n
}

func permissionsToRead() Check {
	return Check{
		ID: "PermissionsToRead", Category: Permissions, Live: true,
		What: "whoever asks may read all that palisade looks at",
		Why:  "What it may not read it cannot judge, and says so with every result.",
		Fix:  "grant these rights by a ClusterRole, bound cluster-wide; the secrets by name",
		Run:  func(in *Input) Outcome { return accesses(in, isReading) },
	}
}

func permissionsToWrite() Check {
	return Check{
		ID: "PermissionsToWrite", Category: Permissions, Live: true,
		What: "whoever asks may write what the controller writes",
		Why:  "A rollout that cannot write one of its objects stops half-way.",
		Fix:  "grant these rights by a ClusterRole, and those in palisade's own namespace by a Role",
		Run: func(in *Input) Outcome {
			if in.For != Controller {
				return outcome(Skipped, "the command line writes nothing; --for controller asks")
			}
			return accesses(in, func(p Permission) bool { return !isReading(p) })
		},
	}
}

// isReading tells rights to read; those to the controller's own objects count as writing.
func isReading(p Permission) bool {
	return slices.Contains([]string{"get", "list", "watch"}, p.Verb) && (p.Optional || p.Name == "")
}

func accesses(in *Input, choose func(Permission) bool) Outcome {
	var t tally
	all := slices.Clone(in.Survey.Access)
	slices.SortFunc(all, func(a, b Access) int { return comparePermissions(a.Permission, b.Permission) })
	for i := range all {
		switch a := &all[i]; {
		case !choose(a.Permission):
		case a.Unread != "":
			t.look(Unknown, "%s: not known: %s", a.Permission, a.Unread)
		case a.Allowed:
			t.look(Passed, "")
		case a.Optional:
			t.look(Warning, "%s: may not (only palisade check reads it)", a.Permission)
		default:
			t.look(Failed, "%s: may not", a.Permission)
		}
	}
	if t.looked == 0 {
		return outcome(Unknown, "nothing was asked")
	}
	who := in.Survey.User
	if who == "" {
		who = "whoever asks"
	}
	return t.outcome(who+" has all "+plural(t.looked, "right"), fmt.Sprintf("%s lacks %d of %s", who, len(t.details), plural(t.looked, "right")))
}
