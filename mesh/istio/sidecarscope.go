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
	// clients are the labels of the pods that it is for; nil for its whole namespace, or for the mesh in the root namespace.
	clients map[string]string
	// hosts are "namespace/name", as egress lists them; none means all.
	hosts []string
	// registryOnly tells that what no host names is refused; said is false where the Sidecar leaves it to the mesh.
	registryOnly, said bool
}

func itoa(n int) string { return strconv.Itoa(n) }

func (r *Reader) addScope(o *model.Object) {
	ref := o.Ref()
	s := sidecarScope{number: len(r.scopes[ref.Namespace]), ref: ref, clients: matchLabels(o, "workloadSelector", "labels")}
	listeners, _ := o.Map("spec")["egress"].([]any)
	for _, listener := range listeners {
		fields, _ := listener.(map[string]any)
		hosts, _ := fields["hosts"].([]any)
		for _, host := range hosts {
			if text, ok := host.(string); ok {
				s.hosts = append(s.hosts, text)
			}
		}
	}
	if policy := o.Map("spec", "outboundTrafficPolicy"); policy != nil {
		mode, _ := policy["mode"].(string)
		s.said, s.registryOnly = true, mode == "" || strings.EqualFold(mode, "REGISTRY_ONLY") // the enum's zero value
	}
	r.scopes[ref.Namespace] = append(r.scopes[ref.Namespace], s)
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
	whole := func(s *sidecarScope) bool { return s.clients == nil }
	if s := find(client.ID.Namespace, func(s *sidecarScope) bool { return s.clients != nil && selects(s.clients, client.Labels) }); s != nil {
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

// sees tells whether a proxy of a namespace, scoped by a Sidecar, knows a Service.
func (r *Reader) sees(scope *sidecarScope, home string, s *model.Service) bool {
	if !exported(s, home) {
		return false
	}
	if scope == nil || len(scope.hosts) == 0 {
		return true
	}
	return slices.ContainsFunc(scope.hosts, func(host string) bool {
		namespace, name, found := strings.Cut(host, "/")
		if !found {
			namespace, name = "*", host
		}
		if namespace == "." {
			namespace = home
		}
		return (namespace == "*" || namespace == s.Namespace) && hostMatches(name, s.Namespace, r.domain, s)
	})
}

// exportAnnotation limits the namespaces that see a Service.
const exportAnnotation = "networking.istio.io/exportTo"

func exported(s *model.Service, to string) bool {
	value, said := s.Annotations[exportAnnotation]
	if !said || strings.TrimSpace(value) == "" {
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
