package linkerd

import (
	"cmp"
	"fmt"
	"slices"

	"floe.dev/palisade/model"
)

// Reader judges by the objects of a mesh, whoever wrote them: how clients'
// proxies send (Ways), and what servers' proxies enforce (Filters), by Linkerd's
// own rules. It answers for workloads that the same objects select once, and is
// for one goroutine.
type Reader struct {
	dialect *Dialect
	// cluster are the networks that count as the cluster's.
	cluster []model.AddressBlock
	// servers by namespace, the oldest first.
	servers map[string][]serverEntry
	// authorizations are AuthorizationPolicies and ServerAuthorizations, and routes those for Servers, by namespace.
	authorizations map[string][]authorization
	routes         map[string][]routeEntry
	// identities and networks are the authentications, by namespace and name.
	identities map[[2]string]*identityList
	networks   map[[2]string]*networkList
	// skipping tells that some client leads ports around its proxy.
	skipping bool
	// filters remember what was worked out, by all that it came from.
	filters  map[string]*model.Filter
	problems []model.Problem
}

// NewReader reads the objects of a state. Of the model it takes the facts of
// the cluster, and the workloads with their Facts and Services.
func NewReader(m *model.Model, objects []model.Object) *Reader {
	r := &Reader{
		dialect: New(m.Cluster.Mesh), cluster: clusterNetworks(&m.Cluster.Mesh.Linkerd),
		servers: map[string][]serverEntry{}, authorizations: map[string][]authorization{}, routes: map[string][]routeEntry{},
		identities: map[[2]string]*identityList{}, networks: map[[2]string]*networkList{}, filters: map[string]*model.Filter{},
	}
	r.read(objects)
	r.skipping = slices.ContainsFunc(m.Workloads, func(w model.Workload) bool { return len(skippedBy(&w).ports) > 0 })
	return r
}

// read takes the objects that count, the oldest first: policies refer to
// authentications of any namespace, so these come before all others.
func (r *Reader) read(objects []model.Object) {
	add := map[[2]string]func(*model.Object){
		{policyGroup, "MeshTLSAuthentication"}: r.addIdentities,
		{policyGroup, "NetworkAuthentication"}: r.addNetworks,
		{policyGroup, "Server"}:                r.addServer,
		{policyGroup, "ServerAuthorization"}:   r.addServerAuthorization,
		{policyGroup, "AuthorizationPolicy"}:   r.addPolicy,
		{policyGroup, "HTTPRoute"}:             r.addRoute,
		{gatewayGroup, "HTTPRoute"}:            r.addRoute,
		{gatewayGroup, "GRPCRoute"}:            r.addRoute,
	}
	var first, then []aged
	for i := range objects {
		ref := objects[i].Ref()
		a := aged{object: &objects[i], name: ref.Name, add: add[[2]string{ref.Group(), ref.Kind}]}
		switch {
		case a.add == nil:
			continue
		case ref.Kind == "MeshTLSAuthentication" || ref.Kind == "NetworkAuthentication":
			first = append(first, a)
		default:
			a.owned = objects[i].Owned()
			a.born, _ = objects[i].Map("metadata")["creationTimestamp"].(string)
			then = append(then, a)
		}
	}
	slices.SortStableFunc(then, compareAges)
	for _, list := range [][]aged{first, then} {
		for i := range list {
			list[i].add(list[i].object)
		}
	}
}

// aged is an object that counts, with what its age is told by.
type aged struct {
	object *model.Object
	add    func(*model.Object)
	name   string
	born   string
	owned  bool
}

// compareAges orders objects as Linkerd does where only the oldest counts: by
// creationTimestamp (RFC 3339 sorts as text), then by name. Without timestamps, as
// in a folder, somebody else's is taken for older than ours.
func compareAges(a, b aged) int {
	if a.owned != b.owned && a.born == b.born {
		if a.owned {
			return 1
		}
		return -1
	}
	return cmp.Or(cmp.Compare(a.born, b.born), cmp.Compare(a.name, b.name))
}

// Problems are objects that could not be read.
func (r *Reader) Problems() []model.Problem { return r.problems }

func (r *Reader) unreadable(o *model.Object, err error) {
	r.problems = append(r.problems, model.Problem{
		Code: "PolicyUnreadable", Severity: model.Error, Subject: o.Ref(), Field: "spec",
		Message: fmt.Sprintf("it cannot be read, so it is not known what it does: %v", err), Fix: "correct the object: an API server with Linkerd's CRDs would refuse it",
	})
}

// Filters are what stands before a server: its proxy's authorization. Outside the
// mesh nothing does. Linkerd has no mode of mTLS beside it: what lets clients in
// may demand an identity.
func (r *Reader) Filters(server *model.Workload) []*model.Filter {
	if !server.Facts.Meshed() {
		return nil
	}
	return []*model.Filter{r.authorization(server)}
}

// Between are the filters of what stands in front of a server beside its proxy, which is nothing.
func (r *Reader) Between(*model.Workload) []*model.Filter { return nil }

// authorization is the filter of a workload's proxy: what never passes it, then
// the ports of Servers, then the default policy on all others.
func (r *Reader) authorization(w *model.Workload) *model.Filter {
	gaps, claims, rest := r.gapsOf(w), r.claims(w), r.defaultOf(w)
	key := gapsKey(gaps) + claimsKey(claims) + rest.key()
	f, known := r.filters[key]
	if !known {
		f = &model.Filter{Layer: model.FilterAuthorization, Rules: gapRules(gaps)}
		for i := range claims {
			f.Rules = append(f.Rules, r.claimRules(&claims[i])...)
		}
		r.finish(f, &rest)
		r.filters[key] = f
	}
	return f
}
