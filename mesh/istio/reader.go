package istio

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// Reader judges by the objects of a mesh, whoever wrote them: how clients'
// proxies send (Ways), and what servers' proxies enforce (Filters), by Istio's
// own rules. It answers for workloads that the same objects select once, and is
// for one goroutine.
type Reader struct {
	mesh   model.Mesh
	root   string
	domain string
	m      *model.Model
	// peers and policies are PeerAuthentications and AuthorizationPolicies by namespace, the oldest first.
	peers    map[string][]peerAuthentication
	policies map[string][]authorizationPolicy
	rules    ruleIndex
	scopes   map[string][]sidecarScope
	// limited tells that some Service is hidden from some namespaces.
	limited  bool
	gateways map[[2]string]*model.Object
	// waypoints are the workloads that run them, by namespace and name.
	waypoints map[[2]string]*model.Workload
	// modes and filters remember what was worked out, by all that it came from.
	modes   map[string]*portModes
	filters map[string]*model.Filter
	// gaps are those of workloads without bypasses, by mode and by what names the status port.
	gaps     map[[2]string]gaps
	problems []model.Problem
}

// NewReader reads the objects of a state. Of the model it takes the facts of
// the cluster, the workloads with their Facts, and the Services.
func NewReader(m *model.Model, objects []model.Object) *Reader {
	r := &Reader{
		mesh: m.Cluster.Mesh, root: rootNamespace(&m.Cluster.Mesh), domain: m.Cluster.Domain, m: m,
		peers: map[string][]peerAuthentication{}, policies: map[string][]authorizationPolicy{},
		scopes: map[string][]sidecarScope{}, gateways: map[[2]string]*model.Object{}, waypoints: map[[2]string]*model.Workload{},
		modes: map[string]*portModes{}, filters: map[string]*model.Filter{}, gaps: map[[2]string]gaps{}, limited: limited(m.Services),
	}
	read := readExisting(objects, r.root)
	for _, list := range [][]model.Object{read.peerAuthentications, read.authorizationPolicies, read.destinationRules, read.sidecars} {
		slices.SortStableFunc(list, byAge)
	}
	for i := range read.peerAuthentications {
		r.addPeerAuthentication(&read.peerAuthentications[i])
	}
	for i := range read.authorizationPolicies {
		r.addPolicy(&read.authorizationPolicies[i])
	}
	r.readRules(read.destinationRules)
	for i := range read.sidecars {
		r.addScope(&read.sidecars[i])
	}
	for i := range read.gateways {
		ref := read.gateways[i].Ref()
		r.gateways[[2]string{ref.Namespace, ref.Name}] = &read.gateways[i]
	}
	for i := range m.Workloads {
		if w := &m.Workloads[i]; isWaypoint(w) {
			r.waypoints[[2]string{w.ID.Namespace, w.Labels[gatewayNameLabel]}] = w
		}
	}
	return r
}

// Problems are objects that could not be read.
func (r *Reader) Problems() []model.Problem { return r.problems }

func (r *Reader) unreadable(o *model.Object, err error) {
	r.problems = append(r.problems, model.Problem{
		Code: "PolicyUnreadable", Severity: model.Error, Subject: o.Ref(), Field: "spec",
		Message: fmt.Sprintf("it cannot be read, so it is not known what it does: %v", err), Fix: "correct the object: an API server with Istio's CRDs would refuse it",
	})
}

// Implied are the workloads that Istio runs for Gateways of waypoints which were
// read without their pods (istio-discovery/files/waypoint.yaml). They have no Facts yet.
func Implied(m *model.Model, objects []model.Object) []model.Workload {
	var list []model.Workload
	for i := range objects {
		o := &objects[i]
		ref := o.Ref()
		if ref.Group() != gatewayGroup || ref.Kind != "Gateway" || text(o, "spec", "gatewayClassName") != waypointClass {
			continue
		}
		runs := slices.ContainsFunc(m.WorkloadsIn(ref.Namespace), func(w model.Workload) bool { return w.Labels[gatewayNameLabel] == ref.Name })
		if runs {
			continue
		}
		list = append(list, impliedWaypoint(m, o))
	}
	return list
}

func impliedWaypoint(m *model.Model, o *model.Object) model.Workload {
	ref := o.Ref()
	labels := map[string]string{}
	for key, value := range o.Labels() {
		labels[key] = value
	}
	for key, value := range map[string]string{
		gatewayNameLabel: ref.Name, gatewayClassLabel: waypointClass, gatewayManagedLabel: meshController,
		dataplaneLabel: "none", injectLabel: "false",
	} {
		labels[key] = value
	}
	w := model.Workload{
		ID: model.WorkloadID{Namespace: ref.Namespace, Kind: ref.Kind, Name: ref.Name}, APIVersion: ref.APIVersion, Labels: labels,
		ServiceAccount: cmp.Or(o.Annotations()["gateway.istio.io/service-account"], ref.Name), Source: o.Source, Replicas: 1,
	}
	w.Selector.MatchLabels = map[string]string{gatewayNameLabel: ref.Name}
	w.Spec.Containers = []corev1.Container{{Name: proxyContainer}}
	if n := m.Namespace(ref.Namespace); n != nil {
		w.NamespaceLabels, w.NamespaceAnnotations = n.Labels, n.Annotations
	}
	return w
}

// Filters are what stands before a server: its proxy's mTLS mode, and its
// authorization. Outside the mesh nothing does.
func (r *Reader) Filters(server *model.Workload) []*model.Filter {
	switch {
	case !server.Facts.Meshed(), isWaypoint(server):
		return nil
	case isGateway(server):
		return []*model.Filter{r.authorization(server)} // its listeners decide on TLS
	default:
		return []*model.Filter{r.mtls(server), r.authorization(server)}
	}
}

// gaps are rules for what never passes a server's proxy. They come first in each of its filters.
type gaps struct {
	rules []model.FilterRule
	key   string
}

// otherProtocols is everything but TCP.
var otherProtocols = []model.PortTerm{{Port: model.Port{Protocol: corev1.ProtocolUDP}}, {Port: model.Port{Protocol: corev1.ProtocolSCTP}}}

func (r *Reader) gapsOf(w *model.Workload) gaps {
	if slices.ContainsFunc(w.Facts.Bypasses, func(b model.Bypass) bool { return b.Inbound }) {
		return newGaps(w)
	}
	like := [2]string{string(w.Facts.Mode), w.Annotations[statusPortAt]}
	g, known := r.gaps[like]
	if !known {
		g = newGaps(w)
		r.gaps[like] = g
	}
	return g
}

func newGaps(w *model.Workload) gaps {
	g := gaps{rules: []model.FilterRule{passes(otherProtocols, model.Cause{Message: "a mesh carries TCP only: neither mTLS nor authorization covers the port"})}}
	if own := ownPorts(w); len(own) > 0 {
		var terms []model.PortTerm
		for _, port := range own {
			terms = append(terms, model.PortTerm{Port: model.TCP(port)})
			g.key += " " + strconv.Itoa(int(port))
		}
		g.rules = append(g.rules, passes(terms, model.Cause{Message: "the port is the proxy's own, in plaintext by design"}))
	}
	for _, b := range w.Facts.Bypasses {
		if !b.Inbound {
			continue
		}
		// What comes by HBONE passes the proxy all the same, and mTLS on the port itself comes to nothing: see takesMTLS.
		rule := passes(nil, model.Cause{Object: w.Ref(), Field: w.TemplatePath() + b.Field, Message: b.Message})
		rule.Peers = nameless()
		if b.Ports != nil {
			rule.Ports = []model.PortTerm{}
			for _, p := range b.Ports {
				rule.Ports = append(rule.Ports, model.PortTerm{Port: p})
			}
		} else if w.Facts.Outside == "" {
			rule.Peers, rule.Unknown = nil, b.Message
		}
		g.rules = append(g.rules, rule)
		g.key += fmt.Sprint("|", w.ID, b.Field, b.Ports)
	}
	return g
}

func passes(ports []model.PortTerm, cause model.Cause) model.FilterRule {
	return model.FilterRule{Effect: model.Allow, Ports: ports, Cause: cause}
}

// ownPorts are those of the proxy that it never protects.
func ownPorts(w *model.Workload) []int32 {
	switch w.Facts.Mode {
	case model.ModeSidecar:
		return []int32{statusPort(w), portReady, portEnvoy}
	case model.ModeProxyless:
		return []int32{statusPort(w)}
	default:
		return nil
	}
}

// captured tells whether a port of a server passes its proxy.
func captured(w *model.Workload, port int32) bool {
	if w.Facts.Outside != "" || slices.Contains(ownPorts(w), port) {
		return false
	}
	return !slices.ContainsFunc(w.Facts.Bypasses, func(b model.Bypass) bool {
		return b.Inbound && slices.ContainsFunc(b.Ports, func(p model.Port) bool { return p.Contains(corev1.ProtocolTCP, port) })
	})
}

// remembered is the filter of a key, made once.
func (r *Reader) remembered(k key, build func() *model.Filter) *model.Filter {
	f, known := r.filters[string(k)]
	if !known {
		f = build()
		r.filters[string(k)] = f
	}
	return f
}

// anybody without an identity.
func nameless() []model.Term {
	return []model.Term{{Names: []model.NameTerm{{Of: model.NamePrincipal, Patterns: []string{"*"}, Not: true}}}}
}

// numbersKey writes numbers for a key.
func numbersKey(numbers []int) string {
	var b strings.Builder
	for _, n := range numbers {
		b.WriteString(strconv.Itoa(n))
		b.WriteByte(',')
	}
	return b.String()
}
