package linkerd

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// probeQueries made Linkerd compare probes without their query (linkerd2#10934).
var probeQueries = milestone{version: [3]int{2, 14, 0}, edge: [3]int{23, 6, 1}}

// probes reports calls of the kubelet that a proxy refuses. Linkerd permits
// everybody to GET the paths of HTTP probes as long as no route is attached to the
// port's Server, on the path alone; nothing else of the kubelet's is permitted of itself (linkerd2#8945).
func (a *auditor) probes(w *model.Workload) {
	claims := a.claims(w)
	for _, p := range probes(w) {
		if p.kind == probeTCP || skipsProxy(w, p.port) || isProxyPort(p.port) {
			continue
		}
		i := slices.IndexFunc(claims, func(c claim) bool { return c.port == p.port || c.server.unreadable })
		subject, why, fix := w.Ref(), "", ""
		switch {
		case i < 0:
			why, fix = a.refusedByDefault(w, &p)
		case claims[i].server.unreadable:
		default:
			subject = claims[i].server.ref
			why, fix = a.refusedByServer(claims[i].server, &p)
		}
		if why == "" {
			continue
		}
		field := w.TemplatePath() + p.field
		if what := fmt.Sprintf("the kubelet's %s", p.what()); i < 0 {
			a.find("ProbeRefused", model.Error, subject, field, fmt.Sprintf("%s is refused: %s", what, why), fix)
		} else {
			a.find("ProbeRefused", model.Error, subject, "spec", fmt.Sprintf("%s of %s (%s) is refused: %s", what, w.ID, field, why), fix)
		}
	}
	a.queries(w, claims)
}

// what is a probe in words: "GET /healthz of port 8080".
func (p *probe) what() string {
	switch {
	case p.kind == probeHTTP:
		return fmt.Sprintf("GET %s of port %d", p.path, p.port)
	case p.path != "":
		return fmt.Sprintf("HTTPS request of port %d", p.port)
	default:
		return fmt.Sprintf("gRPC probe of port %d", p.port)
	}
}

const (
	permitNodes = "permit the nodes by an AuthorizationPolicy with a NetworkAuthentication of their addresses"
	permitRoute = "add an HTTPRoute for the probe's path, and permit it to the nodes by an AuthorizationPolicy with a NetworkAuthentication"
)

// refusedByServer says why a Server refuses a probe, or is empty where it does not or where that is not known.
func (a *auditor) refusedByServer(s *serverEntry, p *probe) (why, fix string) {
	rules := a.authorizedOn(s)
	if !authenticates(s.accessPolicy()) || slices.ContainsFunc(rules, a.letsNodes) {
		return a.unmatched(s, p)
	}
	routes := a.attached(s)
	if len(routes) == 0 {
		return notOfItself(s, p)
	}
	if p.kind != probeHTTP {
		return "", "" // which route it takes is not known
	}
	if why, fix = a.unmatched(s, p); why != "" || slices.ContainsFunc(routes, func(r *routeEntry) bool { return a.letsBy(r, p) }) {
		return why, fix
	}
	return fmt.Sprintf("%s is attached to the Server, so Linkerd permits no probes of itself, and nothing lets in clients without an identity", routes[0].ref), permitRoute
}

// notOfItself says why Linkerd does not permit a probe of itself at a Server without routes, or is empty.
func notOfItself(s *serverEntry, p *probe) (why, fix string) {
	switch {
	case p.kind == probeHTTP && !s.showsRequests():
		return fmt.Sprintf("to a port of the protocol %s Linkerd permits no probes of itself, and nothing lets in clients without an identity", s.spec.ProxyProtocol), permitNodes
	case p.kind == probeHTTP && !p.hook && !p.rootless:
		return "", ""
	default:
		return "Linkerd permits no such call of itself, and nothing lets in clients without an identity", permitNodes
	}
}

// letsBy tells whether a probe may be let in by what a route's authorizations say.
func (a *auditor) letsBy(r *routeEntry, p *probe) bool {
	match := a.matches(r, p)
	return match == matchPerhaps || match == matchSurely && slices.ContainsFunc(a.authorizedBy(routeList{r}), a.letsNodes)
}

// unmatched tells whether no route of a Server matches a probe: a 404 answers it, whoever is let in.
func (a *auditor) unmatched(s *serverEntry, p *probe) (why, fix string) {
	routes := a.attached(s)
	if p.kind != probeHTTP || len(routes) == 0 || slices.ContainsFunc(routes, func(r *routeEntry) bool { return a.matches(r, p) != matchNever }) {
		return "", ""
	}
	return fmt.Sprintf("%s is attached to the Server, no route matches the probe's path, and a 404 answers what none matches", routes[0].ref), permitRoute
}

// routeMatch is how surely a route matches a request.
type routeMatch int8

const (
	matchNever routeMatch = iota
	matchPerhaps
	matchSurely
)

// matches tells whether a route matches a probe. What looks at headers, queries or hosts, and expressions, may.
func (a *auditor) matches(r *routeEntry, p *probe) routeMatch {
	o := a.objects[keyOf(r.ref)]
	var spec existingRouteSpec
	if r.everything {
		return matchSurely
	}
	if o == nil || r.unreadable || readSpec(o, &spec, noFault) != nil || spec.Rules == nil {
		return matchPerhaps
	}
	best := matchNever
	for _, rule := range *spec.Rules {
		if len(rule.Matches) == 0 {
			best = matchSurely
		}
		for _, m := range rule.Matches {
			match := pathMatches(m.Path, p.pathOnly())
			if method, _ := m.Method.(string); method != "" && method != "GET" {
				match = matchNever
			}
			if len(m.Headers)+len(m.QueryParams) > 0 {
				match = min(match, matchPerhaps)
			}
			best = max(best, match)
		}
	}
	if len(spec.Hostnames) > 0 {
		best = min(best, matchPerhaps)
	}
	return best
}

func pathMatches(m *httpPathMatch, path string) routeMatch {
	if m == nil {
		return matchSurely
	}
	hit := false
	switch m.Type {
	case "Exact":
		hit = m.Value == path
	case "", "PathPrefix":
		prefix := strings.TrimSuffix(m.Value, "/")
		hit = path == prefix || strings.HasPrefix(path, prefix+"/")
	default:
		return matchPerhaps
	}
	if hit {
		return matchSurely
	}
	return matchNever
}

// letsNodes tells whether a rule may let in the kubelet, which brings no identity.
func (a *auditor) letsNodes(rule model.FilterRule) bool {
	if rule.Unknown != "" || rule.Peers == nil {
		return true
	}
	nodes := a.m.Cluster.NodeCIDRs
	return slices.ContainsFunc(rule.Peers, func(t model.Term) bool {
		if slices.ContainsFunc(t.Names, func(n model.NameTerm) bool { return !n.Not }) || t.Requests == bareTLS {
			return false
		}
		return t.In == nil || len(nodes) == 0 || slices.ContainsFunc(t.In, func(b model.AddressBlock) bool {
			return slices.ContainsFunc(nodes, func(n netip.Prefix) bool { return b.CIDR.Overlaps(n) })
		})
	})
}

// refusedByDefault says why the default policy refuses a probe of a port without a Server.
func (a *auditor) refusedByDefault(w *model.Workload, p *probe) (why, fix string) {
	d := a.defaultOf(w)
	required := contains(d.required, p.port)
	if d.policy == "" || !authenticates(d.policy) && !required {
		return "", ""
	}
	own := *w
	own.Services = nil
	opaque := contains(a.dialect.opaquePorts(&own), p.port)
	if p.kind == probeHTTP && !p.hook && !p.rootless && !opaque {
		return "", ""
	}
	policy := d.policy
	if required {
		policy = "all-authenticated"
	}
	return fmt.Sprintf("no Server selects the port, the default inbound policy is %q, and Linkerd permits no such call of itself", policy), "write a Server for the port, and " + permitNodes
}

// queries reports HTTP probes with a query where their permission is Linkerd's own
// and the release compares the query as well, or may.
func (a *auditor) queries(w *model.Workload, claims []claim) {
	release, known := parseRelease(a.m.Cluster.Mesh.Version)
	if a.governed(w.ID.Namespace) || known && release.atLeast(probeQueries) {
		return
	}
	for _, p := range probes(w) {
		if p.kind != probeHTTP || p.hook || !strings.Contains(p.path, "?") || skipsProxy(w, p.port) {
			continue
		}
		held := authenticates(a.defaultOf(w).policy)
		if i := slices.IndexFunc(claims, func(c claim) bool { return c.port == p.port }); i >= 0 {
			s := claims[i].server
			held = authenticates(s.accessPolicy()) && len(a.attached(s)) == 0 && !slices.ContainsFunc(a.authorizedOn(s), a.letsNodes)
		}
		if held {
			a.find("ProbeWithQuery", model.Warning, w.Ref(), w.TemplatePath()+p.field, queryMessage(&p), queryFix)
		}
	}
}

const queryFix = "probe a path without a query, or bring Linkerd to 2.14 or newer"

func queryMessage(p *probe) string {
	return fmt.Sprintf("the probe of port %d asks for %q: Linkerd before 2.14 permits probes by their exact path, query and all, and refuses this one (403), unless a route permits it", p.port, p.path)
}

// serverFirst reports ports on which the proxy waits for the client to speak, and the client for the
// server: those that Linkerd's own list leaves to no detection, and that another list has put aside.
func (a *auditor) serverFirst(w *model.Workload) {
	opaque := a.opaqueAt(w)
	var ports []model.Port
	for _, p := range listening(w) {
		if p.Protocol != corev1.ProtocolTCP || contains(opaque, p.Number) || skipsProxy(w, p.Number) || !speaksFirst(p.Number) || a.declaredAt(w, p.Number) {
			continue
		}
		ports = append(ports, p)
	}
	if len(ports) == 0 {
		return
	}
	subject, field, message := w.Ref(), "", "no list of opaque ports holds it"
	if _, at, found := annotation(w, opaqueAnnotation); found {
		message = "the annotation " + opaqueAnnotation + " replaces Linkerd's own list of opaque ports, and leaves it out"
		cause := causeAt(w, at, "")
		subject, field = cause.Object, cause.Field
	}
	a.find("ServerFirstPort", model.Warning, subject, field,
		fmt.Sprintf("the proxy of %s looks for a protocol on %s, where the server speaks first or Linkerd cannot tell what is spoken (%s): connections wait up to ten seconds, or fail", w.ID, joinPorts(ports), message),
		"name these ports in "+opaqueAnnotation+" beside the others")
}

// furtherFirst are ports of protocols in which the server speaks first that Linkerd's own list does not hold.
var furtherFirst = []int32{21, 22, 110, 143, 2525}

func speaksFirst(number int32) bool {
	return contains(defaultOpaque, number) || slices.Contains(furtherFirst, number)
}

// listening are the ports of a workload that its containers declare or Services lead to.
func listening(w *model.Workload) []model.Port {
	var ports []model.Port
	for _, p := range w.ContainerPorts() {
		ports = append(ports, p.Port)
	}
	for _, s := range w.Services {
		for i := range s.Ports {
			if target := targetPort(w, &s.Ports[i]); target != 0 && model.ProtocolOr(s.Ports[i].Protocol) == corev1.ProtocolTCP {
				ports = append(ports, model.TCP(target))
			}
		}
	}
	return model.SortPorts(ports)
}

// declaredAt tells whether a Server or a Service says what a port carries.
func (a *auditor) declaredAt(w *model.Workload, number int32) bool {
	for _, c := range a.claims(w) {
		if c.port == number && c.server.spec.ProxyProtocol != "" && c.server.spec.ProxyProtocol != "unknown" {
			return true
		}
	}
	return slices.ContainsFunc(w.Services, func(s *model.Service) bool {
		return slices.ContainsFunc(s.Ports, func(p corev1.ServicePort) bool { return p.AppProtocol != nil && targetPort(w, &p) == number })
	})
}
