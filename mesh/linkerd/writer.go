package linkerd

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
)

// writer makes the objects of one namespace. Authentications are shared by all
// policies that ask for the same clients.
type writer struct {
	compiler  *compiler
	namespace string
	posture   *model.Posture
	// audit tells that Servers note what they would refuse, and let it through.
	audit   bool
	objects []model.Object
	// authentications by what they hold, with the origins of all that refer to them.
	authentications map[string]*authentication
}

// authentication is a MeshTLSAuthentication or a NetworkAuthentication to be.
type authentication struct {
	name    string
	clients clientSet // either identities or networks
	origins []model.Origin
}

func newWriter(c *compiler, n *model.Namespace) *writer {
	return &writer{compiler: c, namespace: n.Name, posture: n.Posture, audit: audits(&n.Posture.Mesh), authentications: map[string]*authentication{}}
}

// profile is the origin of what exists because of the posture alone.
func (out *writer) profile() model.Origin {
	return model.Origin{Ref: model.Ref{Kind: "SecurityProfile", Name: out.posture.Profile}}
}

func (out *writer) meta(name string, origins []model.Origin) metav1.ObjectMeta {
	lines := make([]string, len(origins))
	for i, origin := range origins {
		lines[i] = origin.String()
	}
	return metav1.ObjectMeta{
		Namespace: out.namespace, Name: name,
		Labels:      map[string]string{model.ManagedByLabel: model.ManagedByValue, model.ProfileLabel: model.LabelValue(out.posture.Profile)},
		Annotations: map[string]string{model.OriginAnnotation: strings.Join(sorted(lines), "\n")},
	}
}

func (out *writer) add(object any, phase model.Phase) {
	out.objects = append(out.objects, model.ObjectFrom(object, phase))
}

// port writes a Server and its authorizations.
func (out *writer) port(p *portOf, relaxed []model.Origin) {
	readable := p.group[0].ID.Name + "-" + strconv.Itoa(int(p.number))
	name := model.NameFor(readable, model.SelectorKey(&p.selector)+" "+strconv.Itoa(int(p.number)))
	out.server(name, p)
	target := objectRef{Group: policyGroup, Kind: "Server", Name: name}
	bare := append(slices.Clone(relaxed), out.profile())
	switch p.stance {
	case open:
		out.authorize(target, readable, anyone(), forAll(bare))
		return
	case byMesh:
		out.authorize(target, readable, anyIdentity(), forAll(bare))
	}
	clients, origins, requests := p.split()
	out.authorize(target, readable, clients, origins)
	if len(requests) == 0 {
		return
	}
	if p.stance == byMesh || !clients.empty() {
		// Whom the Server itself permits must find a route for every request, else a 404 answers.
		requests = append(requests, grant{http: []model.HTTPMatch{{}}, origin: out.profile()})
	}
	out.routes(name, readable, requests)
}

func (out *writer) server(name string, p *portOf) {
	version := out.compiler.dialect.mesh.Linkerd.ServerVersion
	if version == "" {
		version = "v1beta1" // served by every release since 2.12
	}
	s := server{
		TypeMeta: metav1.TypeMeta{APIVersion: policyGroup + "/" + version, Kind: "Server"},
		Metadata: out.meta(name, []model.Origin{out.profile()}),
		Spec:     serverSpec{PodSelector: p.selector, Port: p.number, ProxyProtocol: p.protocol()},
	}
	switch {
	case out.audit:
		s.Spec.AccessPolicy = policyAudit
	case version == "v1beta3":
		s.Spec.AccessPolicy = policyDeny
	}
	out.add(s, model.PhaseDeny)
}

// split parts the grants into those to clients for all they send, merged, and those for some requests.
func (p *portOf) split() (clients clientSet, from clientOrigins, requests []grant) {
	for _, g := range p.grants {
		if len(g.http) > 0 {
			requests = append(requests, g)
			continue
		}
		clients = clients.with(g.clients)
		if len(g.clients.identities) > 0 {
			from.identities = append(from.identities, g.origin)
		}
		if len(g.clients.networks) > 0 {
			from.networks = append(from.networks, g.origin)
		}
	}
	return clients, from, requests
}

// clientOrigins tell what the two halves of a set of clients came from.
type clientOrigins struct{ identities, networks []model.Origin }

func forAll(origins []model.Origin) clientOrigins {
	return clientOrigins{identities: origins, networks: origins}
}

// authorize permits clients on a Server or an HTTPRoute: one policy for those
// with an identity and one for those without, since a policy wants all of its
// authentications at once.
func (out *writer) authorize(target objectRef, readable string, clients clientSet, from clientOrigins) {
	if len(clients.identities) > 0 {
		out.policy(target, readable+"-identities", out.authentication(clientSet{identities: clients.identities}, from.identities), from.identities)
	}
	if len(clients.networks) > 0 {
		out.policy(target, readable+"-networks", out.authentication(clientSet{networks: clients.networks}, from.networks), from.networks)
	}
}

func (out *writer) policy(target objectRef, readable string, required objectRef, origins []model.Origin) {
	name := model.NameFor(readable, target.Kind+" "+target.Name+" "+required.Kind)
	out.add(authorizationPolicy{
		TypeMeta: metav1.TypeMeta{APIVersion: authVersion, Kind: "AuthorizationPolicy"},
		Metadata: out.meta(name, origins),
		Spec:     authorizationPolicySpec{TargetRef: target, RequiredAuthenticationRefs: []objectRef{required}},
	}, model.PhaseAllow)
}

// authentication returns a reference to the object that holds these clients.
func (out *writer) authentication(clients clientSet, origins []model.Origin) objectRef {
	key := clients.key()
	a := out.authentications[key]
	if a == nil {
		a = &authentication{name: model.NameFor(readableClients(clients), key), clients: clients}
		out.authentications[key] = a
	}
	a.origins = append(a.origins, origins...)
	kind := "MeshTLSAuthentication"
	if len(clients.identities) == 0 {
		kind = "NetworkAuthentication"
	}
	return objectRef{Group: policyGroup, Kind: kind, Name: a.name}
}

// readableClients says in a few words who is meant: "frontend-shop-and-2-more".
func readableClients(clients clientSet) string {
	first, count := "", len(clients.identities)
	switch {
	case count > 0 && clients.identities[0] == "*":
		return "any-identity"
	case count > 0:
		first, _, _ = strings.Cut(clients.identities[0], ".serviceaccount.")
	case clients.key() == anyone().key():
		return "anyone"
	default:
		first, count = clients.networks[0].CIDR, len(clients.networks)
	}
	if count > 1 {
		return fmt.Sprintf("%s-and-%d-more", first, count-1)
	}
	return first
}

// finish writes the authentications, before the policies that refer to them: one
// that refers to nothing permits nobody. It returns all objects.
func (out *writer) finish() []model.Object {
	for _, a := range out.authentications {
		meta := out.meta(a.name, a.origins)
		if len(a.clients.identities) > 0 {
			out.add(meshTLSAuthentication{
				TypeMeta: metav1.TypeMeta{APIVersion: authVersion, Kind: "MeshTLSAuthentication"},
				Metadata: meta, Spec: meshTLSAuthenticationSpec{Identities: a.clients.identities},
			}, model.PhaseFirst)
			continue
		}
		out.add(networkAuthentication{
			TypeMeta: metav1.TypeMeta{APIVersion: authVersion, Kind: "NetworkAuthentication"},
			Metadata: meta, Spec: networkAuthenticationSpec{Networks: a.clients.networks},
		}, model.PhaseFirst)
	}
	slices.SortFunc(out.objects, model.CompareObjects)
	return out.objects
}
