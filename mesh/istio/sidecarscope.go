package istio

import (
	"slices"
	"strconv"
	"strings"

	"floe.dev/palisade/model"
)

// sidecarScope is a Sidecar as far as what a proxy knows of others goes.
type sidecarScope struct {
	number int
	ref    model.Ref
	// clients are the labels of the pods that it is for; it is for its whole
	// namespace where selects is false, or for the mesh in the root namespace.
	clients map[string]string
	selects bool
	// egress lists what it makes known; none means everything.
	egress []egressListener
	// ingress tells what its own ports carry; none leaves it to Services.
	ingress map[int32]carries
	// registryOnly tells that what no host names is refused; said is false where the Sidecar leaves it to the mesh.
	registryOnly, said bool
}

// egressListener makes hosts known, on one port of Services where port is not 0.
type egressListener struct {
	port            int32
	hosts, excluded []scopedHost
}

// scopedHost is "namespace/name"; the namespace may be "*", or "." for the client's own.
type scopedHost struct{ namespace, name string }

func itoa(n int) string { return strconv.Itoa(n) }

func (r *Reader) addScope(o *model.Object) {
	ref := o.Ref()
	s := sidecarScope{number: len(r.scopes[ref.Namespace]), ref: ref, clients: matchLabels(o, "workloadSelector", "labels"), selects: o.Map("spec", "workloadSelector") != nil}
	listeners, _ := o.Map("spec")["egress"].([]any)
	for _, listener := range listeners {
		fields, _ := listener.(map[string]any)
		s.egress = append(s.egress, egressOf(fields))
	}
	s.ingress = ingressOf(o)
	if policy := o.Map("spec", "outboundTrafficPolicy"); policy != nil {
		mode, _ := policy["mode"].(string)
		s.said, s.registryOnly = true, mode == "" || strings.EqualFold(mode, "REGISTRY_ONLY") // the enum's zero value
	}
	r.scopes[ref.Namespace] = append(r.scopes[ref.Namespace], s)
}

// egressOf reads a listener. A host without a namespace is ignored, and "~" before
// one takes hosts out again (pilot/pkg/model/sidecar.go, convertIstioListenerToWrapper).
func egressOf(fields map[string]any) egressListener {
	var e egressListener
	port, _ := fields["port"].(map[string]any)
	if protocol, _ := port["protocol"].(string); !strings.EqualFold(protocol, "HTTP_PROXY") {
		e.port = int32(number(port["number"]))
	}
	hosts, _ := fields["hosts"].([]any)
	for _, host := range hosts {
		text, _ := host.(string)
		namespace, name, found := strings.Cut(text, "/")
		if !found || strings.Contains(name, "/") {
			continue
		}
		if namespace, out := strings.CutPrefix(namespace, "~"); out {
			if namespace == "" {
				namespace = "*"
			}
			e.excluded = append(e.excluded, scopedHost{namespace, name})
			continue
		}
		e.hosts = append(e.hosts, scopedHost{namespace, name})
	}
	return e
}

func ingressOf(o *model.Object) map[int32]carries {
	ports := map[int32]carries{}
	listeners, _ := o.Map("spec")["ingress"].([]any)
	for _, listener := range listeners {
		fields, _ := listener.(map[string]any)
		port, _ := fields["port"].(map[string]any)
		protocol, _ := port["protocol"].(string)
		if at := int32(number(port["number"])); at > 0 {
			ports[at] = protocolNamed(protocol)
		}
	}
	return ports
}

// number reads a number of a JSON tree.
func number(value any) int64 {
	switch n := value.(type) {
	case int64:
		return n
	case float64:
		return int64(n)
	default:
		return 0
	}
}

// scopeOf finds the Sidecar that scopes a client's proxy: the oldest that selects
// it, else the oldest of its whole namespace, else that of the root namespace; nil
// where there is none. Gateways heed none.
func (r *Reader) scopeOf(client *model.Workload) *sidecarScope {
	if isGateway(client) {
		return nil
	}
	find := func(namespace string, counts func(*sidecarScope) bool) *sidecarScope {
		list := r.scopes[namespace]
		if i := slices.IndexFunc(list, func(s sidecarScope) bool { return counts(&s) }); i >= 0 {
			return &list[i]
		}
		return nil
	}
	whole := func(s *sidecarScope) bool { return !s.selects }
	if s := find(client.ID.Namespace, func(s *sidecarScope) bool { return s.selects && selects(s.clients, client.Labels) }); s != nil {
		return s
	}
	if s := find(client.ID.Namespace, whole); s != nil {
		return s
	}
	return find(r.root, whole)
}

// registryOnly tells whether a client's proxy refuses what it knows no host of.
func (r *Reader) registryOnly(s *sidecarScope) bool {
	if s != nil && s.said {
		return s.registryOnly
	}
	return r.mesh.RegistryOnly
}

// sees tells whether a proxy of a namespace, scoped by a Sidecar, knows a port of a Service.
func (r *Reader) sees(scope *sidecarScope, home string, s *model.Service, port int32) bool {
	if !exported(s, home) {
		return false
	}
	if scope == nil || len(scope.egress) == 0 {
		return true
	}
	names := func(hosts []scopedHost) bool {
		return slices.ContainsFunc(hosts, func(h scopedHost) bool {
			inside := h.namespace == "*" || h.namespace == s.Namespace || h.namespace == "." && home == s.Namespace
			return inside && r.spells(h.name, s)
		})
	}
	return slices.ContainsFunc(scope.egress, func(e egressListener) bool {
		return (e.port == 0 || e.port == port) && names(e.hosts) && !names(e.excluded)
	})
}

// spells tells whether a name is a Service's in full, or a wildcard over it: a Sidecar completes no short names.
func (r *Reader) spells(name string, s *model.Service) bool {
	return strings.ContainsAny(name, "*.") && hostMatches(name, s.Namespace, r.domain, s)
}

// exportAnnotation limits the namespaces that see a Service.
const exportAnnotation = "networking.istio.io/exportTo"

// exported tells whether a namespace sees a Service; "~" is for none.
func exported(s *model.Service, to string) bool {
	value, said := s.Annotations[exportAnnotation]
	if !said || value == "" {
		return true
	}
	for name := range strings.SplitSeq(value, ",") {
		name = strings.TrimSpace(name)
		if name == "*" || name == to || name == "." && to == s.Namespace {
			return true
		}
	}
	return false
}
