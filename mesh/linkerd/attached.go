package linkerd

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"floe.dev/palisade/model"
)

const (
	gatewayGroup   = "gateway.networking.k8s.io"
	protocolOpaque = "opaque"
	protocolGRPC   = "gRPC"
	protocolTLS    = "TLS"
)

// routeEntry is an HTTPRoute or GRPCRoute as far as judging goes (linkerd2
// policy-controller/k8s/index/src/inbound/routes.rs).
type routeEntry struct {
	ref model.Ref
	key routeKey
	// servers are those that it is attached to.
	servers []string
	// everything tells that it matches every request.
	everything bool
	// unreadable tells that it may be attached to any Server, and match anything.
	unreadable bool
}

// routeKey names a route within a namespace, whatever the case: "policy.linkerd.io/httproute/x".
type routeKey string

func newRouteKey(group, kind, name string) routeKey {
	return routeKey(strings.ToLower(group + "/" + kind + "/" + name))
}

// routeList are the routes of one Server.
type routeList []*routeEntry

type existingRouteSpec struct {
	ParentRefs []struct {
		Group       *string `json:"group"`
		Kind        string  `json:"kind"`
		Name        string  `json:"name"`
		Namespace   string  `json:"namespace"`
		SectionName *string `json:"sectionName"`
		Port        *int32  `json:"port"`
	} `json:"parentRefs"`
	Hostnames []string             `json:"hostnames"`
	Rules     *[]existingRouteRule `json:"rules"`
}

type existingRouteRule struct {
	Matches []struct {
		Path *httpPathMatch `json:"path"`
		// Method is a text in an HTTPRoute, and an object in a GRPCRoute.
		Method      any   `json:"method"`
		Headers     []any `json:"headers"`
		QueryParams []any `json:"queryParams"`
	} `json:"matches"`
}

var errParent = errors.New("a route cannot be attached to a part of a Server, or to one of another namespace")

func (r *Reader) addRoute(o *model.Object) {
	ref := o.Ref()
	route := routeEntry{ref: ref, key: newRouteKey(ref.Group(), ref.Kind, ref.Name)}
	var spec existingRouteSpec
	if err := readSpec(o, &spec, noFault); err != nil {
		r.unreadable(o, err)
		route.unreadable = true
	} else if servers, err := spec.parents(ref); err == nil && len(servers) > 0 {
		route.servers, route.everything = servers, spec.everything()
	} else {
		return // none of Linkerd's, or one that it ignores as a whole
	}
	r.routes[ref.Namespace] = append(r.routes[ref.Namespace], route)
}

// parents are the Servers that a route names. Without a group Linkerd's own routes
// mean Linkerd's (the default in their CRD), and those of Gateway API do not.
func (s *existingRouteSpec) parents(route model.Ref) ([]string, error) {
	var servers []string
	for _, p := range s.ParentRefs {
		parent := reference{Group: route.Group(), Kind: p.Kind}
		if p.Group != nil {
			parent.Group = *p.Group
		}
		if p.Name == "" || !parent.is(policyGroup, "Server") {
			continue
		}
		if p.Namespace != "" && p.Namespace != route.Namespace || p.Port != nil || p.SectionName != nil {
			return nil, errParent
		}
		servers = append(servers, p.Name)
	}
	return servers, nil
}

// everything tells whether some rule matches every request, as far as that shows
// at once. Without rules the CRDs put in one that does.
func (s *existingRouteSpec) everything() bool {
	if len(s.Hostnames) > 0 {
		return false
	}
	return s.Rules == nil || slices.ContainsFunc(*s.Rules, func(rule existingRouteRule) bool {
		if len(rule.Matches) == 0 {
			return true
		}
		for _, m := range rule.Matches {
			anyPath := m.Path == nil || (m.Path.Type == "" || m.Path.Type == "PathPrefix") && (m.Path.Value == "" || m.Path.Value == "/")
			if anyPath && m.Method == nil && len(m.Headers)+len(m.QueryParams) == 0 {
				return true
			}
		}
		return false
	})
}

// showsRequests tells whether the proxy looks into what a Server's port carries for requests of HTTP, gRPC left apart.
func (s *serverEntry) showsRequests() bool {
	return !slices.Contains([]string{protocolOpaque, protocolTLS, protocolGRPC}, s.spec.ProxyProtocol)
}

// attached are the routes that count for a Server: GRPCRoutes where its protocol
// is gRPC, HTTPRoutes where it is HTTP or looked for, none where no requests
// show (linkerd2 policy-controller/grpc/src/inbound.rs, to_server).
func (r *Reader) attached(s *serverEntry) routeList {
	kind := "HTTPRoute"
	if s.spec.ProxyProtocol == protocolGRPC {
		kind = "GRPCRoute"
	} else if !s.showsRequests() {
		return nil
	}
	var routes routeList
	list := r.routes[s.ref.Namespace]
	for i := range list {
		if route := &list[i]; route.ref.Kind == kind && (route.unreadable || slices.Contains(route.servers, s.ref.Name)) {
			routes = append(routes, route)
		}
	}
	return routes
}

// narrow limits what is let in on a Server to requests that some route matches: a 404 answers all others.
func (list routeList) narrow(rules []model.FilterRule) []model.FilterRule {
	if len(list) == 0 || slices.ContainsFunc(list, func(r *routeEntry) bool { return r.everything }) {
		return rules
	}
	requests, unknown := "what a route of the Server matches", ""
	if i := slices.IndexFunc(list, func(r *routeEntry) bool { return r.unreadable }); i >= 0 {
		unknown = fmt.Sprintf("%s cannot be read, and may take requests away from the Server", list[i].ref)
	}
	for i := range rules {
		rules[i].Requests = requests
		if unknown != "" {
			rules[i].Unknown = unknown
		}
	}
	return rules
}
