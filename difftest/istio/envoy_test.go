package difftest

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerpb "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	rbacpb "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	rbachttp "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	hcmpb "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	rbactcp "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"
	tlspb "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherpb "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// tri is no, "depends on the request", "depends on an external provider", or yes.
type tri int8

const (
	no tri = iota
	external
	some
	yes
)

func not(t tri) tri {
	switch t {
	case no:
		return yes
	case yes:
		return no
	default:
		return t
	}
}

// connection is what rules see of a connection.
type connection struct {
	// principal is the SPIFFE ID that the client proved, or "".
	principal           string
	source, destination netip.Addr
	port                int32
}

// rbac is what Envoy's RBAC engine lets through (source/extensions/filters/common/rbac).
func rbac(t *testing.T, rules *rbacpb.RBAC, c connection, http bool) tri {
	if rules == nil {
		return yes
	}
	matched := no
	for _, policy := range rules.Policies {
		permitted, is := no, no
		for _, p := range policy.GetPermissions() {
			permitted = max(permitted, permission(t, p, c))
		}
		for _, p := range policy.GetPrincipals() {
			is = max(is, principal(t, p, c, http))
		}
		matched = max(matched, min(permitted, is))
	}
	switch rules.Action {
	case rbacpb.RBAC_ALLOW:
		return matched
	case rbacpb.RBAC_DENY:
		return not(matched)
	default:
		return yes
	}
}

func permission(t *testing.T, p *rbacpb.Permission, c connection) tri {
	switch r := p.Rule.(type) {
	case *rbacpb.Permission_Any:
		return truth(r.Any)
	case *rbacpb.Permission_AndRules:
		return all(r.AndRules.Rules, func(p *rbacpb.Permission) tri { return permission(t, p, c) })
	case *rbacpb.Permission_OrRules:
		return anyOf(r.OrRules.Rules, func(p *rbacpb.Permission) tri { return permission(t, p, c) })
	case *rbacpb.Permission_NotRule:
		return not(permission(t, r.NotRule, c))
	case *rbacpb.Permission_DestinationPort:
		return truth(int32(r.DestinationPort) == c.port)
	case *rbacpb.Permission_DestinationIp:
		return truth(inCIDR(r.DestinationIp, c.destination))
	case *rbacpb.Permission_Header, *rbacpb.Permission_UrlPath, *rbacpb.Permission_UriTemplate, *rbacpb.Permission_Metadata, *rbacpb.Permission_RequestedServerName:
		return some
	default:
		require.Failf(t, "unread permission", "%T", r)
		return no
	}
}

func principal(t *testing.T, p *rbacpb.Principal, c connection, http bool) tri {
	switch r := p.Identifier.(type) {
	case *rbacpb.Principal_Any:
		return truth(r.Any)
	case *rbacpb.Principal_AndIds:
		return all(r.AndIds.Ids, func(p *rbacpb.Principal) tri { return principal(t, p, c, http) })
	case *rbacpb.Principal_OrIds:
		return anyOf(r.OrIds.Ids, func(p *rbacpb.Principal) tri { return principal(t, p, c, http) })
	case *rbacpb.Principal_NotId:
		return not(principal(t, r.NotId, c, http))
	case *rbacpb.Principal_Authenticated_:
		return truth(c.principal != "" && matches(t, r.Authenticated.PrincipalName, c.principal))
	case *rbacpb.Principal_FilterState:
		require.Equal(t, "io.istio.peer_principal", r.FilterState.Key)
		return truth(c.principal != "" && matches(t, r.FilterState.GetStringMatch(), c.principal))
	case *rbacpb.Principal_DirectRemoteIp:
		return truth(inCIDR(r.DirectRemoteIp, c.source))
	case *rbacpb.Principal_RemoteIp:
		if http {
			return some // as its headers say
		}
		return truth(inCIDR(r.RemoteIp, c.source))
	case *rbacpb.Principal_Header, *rbacpb.Principal_Metadata:
		return some
	default:
		require.Failf(t, "unread principal", "%T", r)
		return no
	}
}

func truth(b bool) tri {
	if b {
		return yes
	}
	return no
}

func all[T any](list []T, of func(T) tri) tri {
	t := yes
	for _, x := range list {
		t = min(t, of(x))
	}
	return t
}

func anyOf[T any](list []T, of func(T) tri) tri {
	t := no
	for _, x := range list {
		t = max(t, of(x))
	}
	return t
}

func inCIDR(cidr *corepb.CidrRange, a netip.Addr) bool {
	base := netip.MustParseAddr(cidr.AddressPrefix)
	return netip.PrefixFrom(base, int(cidr.PrefixLen.GetValue())).Contains(a)
}

func matches(t *testing.T, m *matcherpb.StringMatcher, text string) bool {
	switch p := m.MatchPattern.(type) {
	case *matcherpb.StringMatcher_Exact:
		return text == p.Exact
	case *matcherpb.StringMatcher_Prefix:
		return strings.HasPrefix(text, p.Prefix)
	case *matcherpb.StringMatcher_Suffix:
		return strings.HasSuffix(text, p.Suffix)
	case *matcherpb.StringMatcher_SafeRegex:
		return regexp.MustCompile("^(?:" + p.SafeRegex.Regex + ")$").MatchString(text) // Envoy matches the whole
	default:
		require.Failf(t, "unread matcher", "%T", p)
		return false
	}
}

// unpack reads a typed config.
func unpack[T proto.Message](t *testing.T, a *anypb.Any, into T) T {
	t.Helper()
	require.NoError(t, a.UnmarshalTo(into))
	return into
}

// httpFilters is what the HTTP filters of a connection manager let through. An
// RBAC filter of CUSTOM only marks requests; the provider decides about those.
func httpFilters(t *testing.T, filters []*hcmpb.HttpFilter, c connection) tri {
	out := yes
	for _, f := range filters {
		if f.GetTypedConfig().MessageIs(&rbachttp.RBAC{}) {
			r := unpack(t, f.GetTypedConfig(), &rbachttp.RBAC{})
			out = min(out, rbac(t, r.Rules, c, true), custom(t, r.ShadowRulesStatPrefix, r.ShadowRules, c, true))
		}
	}
	return out
}

func custom(t *testing.T, prefix string, shadow *rbacpb.RBAC, c connection, http bool) tri {
	if prefix != "istio_ext_authz_" || rbac(t, shadow, c, http) == yes { // it is made with the action DENY
		return yes
	}
	return external
}

// networkFilters is what the filters of a chain let through, and whether the chain speaks HTTP.
func networkFilters(t *testing.T, filters []*listenerpb.Filter, c connection) (tri, bool) {
	out, http := yes, false
	for _, f := range filters {
		switch config := f.GetTypedConfig(); {
		case config.MessageIs(&rbactcp.RBAC{}):
			r := unpack(t, config, &rbactcp.RBAC{})
			out = min(out, rbac(t, r.Rules, c, false), custom(t, r.ShadowRulesStatPrefix, r.ShadowRules, c, false))
		case config.MessageIs(&hcmpb.HttpConnectionManager{}):
			http = true
			out = min(out, httpFilters(t, unpack(t, config, &hcmpb.HttpConnectionManager{}).HttpFilters, c))
		}
	}
	return out, http
}

// wire is how a connection looks before anything is decided.
type wire struct {
	// transport is "raw_buffer" or "tls", alpn what a TLS client offers.
	transport string
	alpn      []string
	// http tells that plaintext, or what is inside of TLS, is HTTP.
	http bool
}

var (
	plainHTTP = wire{transport: "raw_buffer", http: true}
	plainTCP  = wire{transport: "raw_buffer"}
	meshHTTP  = wire{transport: "tls", alpn: []string{"istio-http/1.1", "istio", "http/1.1"}, http: true}
	meshTCP   = wire{transport: "tls", alpn: []string{"istio-peer-exchange", "istio"}}
	ownTLS    = wire{transport: "tls"}
)

// chainFor finds the filter chain that takes a connection to a port, or nil
// (Envoy's source/common/listener_manager/filter_chain_manager_impl.cc).
func chainFor(l *listenerpb.Listener, port int32, w wire) *listenerpb.FilterChain {
	if w.transport == "tls" && !inspects(l, "tls_inspector", port) {
		w = wire{transport: "raw_buffer"} // nobody looks: bytes like any
	}
	protocols := w.alpn
	if w.transport == "raw_buffer" && w.http && inspects(l, "http_inspector", port) {
		protocols = []string{"http/1.1"}
	}
	chains := narrowest(l.FilterChains, func(c *listenerpb.FilterChain) bool {
		return c.GetFilterChainMatch().GetDestinationPort() != nil
	}, func(c *listenerpb.FilterChain) bool {
		return int32(c.GetFilterChainMatch().GetDestinationPort().GetValue()) == port
	})
	chains = narrowest(chains, func(c *listenerpb.FilterChain) bool {
		return c.GetFilterChainMatch().GetTransportProtocol() != ""
	}, func(c *listenerpb.FilterChain) bool {
		return c.GetFilterChainMatch().GetTransportProtocol() == w.transport
	})
	chains = narrowest(chains, func(c *listenerpb.FilterChain) bool {
		return len(c.GetFilterChainMatch().GetApplicationProtocols()) > 0
	}, func(c *listenerpb.FilterChain) bool {
		return slices.ContainsFunc(protocols, func(p string) bool { return slices.Contains(c.GetFilterChainMatch().GetApplicationProtocols(), p) })
	})
	if len(chains) == 0 {
		return nil
	}
	return chains[0]
}

// narrowest keeps the chains that say something and match, else those that say nothing.
func narrowest(chains []*listenerpb.FilterChain, says, matches func(*listenerpb.FilterChain) bool) []*listenerpb.FilterChain {
	var specific, general []*listenerpb.FilterChain
	for _, c := range chains {
		switch {
		case !says(c):
			general = append(general, c)
		case matches(c):
			specific = append(specific, c)
		}
	}
	if len(specific) > 0 {
		return specific
	}
	return general
}

// inspects tells whether a listener filter looks at connections to a port.
func inspects(l *listenerpb.Listener, name string, port int32) bool {
	for _, f := range l.ListenerFilters {
		if strings.HasSuffix(f.Name, name) {
			return !predicate(f.FilterDisabled, port)
		}
	}
	return false
}

func predicate(p *listenerpb.ListenerFilterChainMatchPredicate, port int32) bool {
	switch r := p.GetRule().(type) {
	case *listenerpb.ListenerFilterChainMatchPredicate_OrMatch:
		return slices.ContainsFunc(r.OrMatch.Rules, func(p *listenerpb.ListenerFilterChainMatchPredicate) bool { return predicate(p, port) })
	case *listenerpb.ListenerFilterChainMatchPredicate_NotMatch:
		return !predicate(r.NotMatch, port)
	case *listenerpb.ListenerFilterChainMatchPredicate_DestinationPortRange:
		return r.DestinationPortRange.Start <= port && port < r.DestinationPortRange.End
	default:
		return false
	}
}

// endsTLS tells whether a chain ends TLS and demands a certificate.
func endsTLS(t *testing.T, c *listenerpb.FilterChain) bool {
	if c.TransportSocket == nil {
		return false
	}
	context := unpack(t, c.TransportSocket.GetTypedConfig(), &tlspb.DownstreamTlsContext{})
	require.True(t, context.RequireClientCertificate.GetValue(), "every chain of the mesh that ends TLS demands a certificate")
	return true
}
