package difftest

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"istio.io/istio/pkg/workloadapi"
	"istio.io/istio/pkg/workloadapi/security"
)

// tunnels holds what istiod tells ztunnels (pkg/workloadapi).
type tunnels struct {
	t *testing.T
	// workloads are by address, services by "namespace/hostname".
	workloads map[netip.Addr]*workloadapi.Workload
	services  map[string]*workloadapi.Service
	policies  []*security.Authorization
}

func (i *istiod) tell() *tunnels {
	z := &tunnels{t: i.t, workloads: map[netip.Addr]*workloadapi.Workload{}, services: map[string]*workloadapi.Service{}}
	infos, _ := i.AmbientIndex.AddressInformation(nil)
	for _, info := range infos {
		if w := info.GetWorkload(); w != nil {
			for _, raw := range w.Addresses {
				address, ok := netip.AddrFromSlice(raw)
				require.True(i.t, ok)
				z.workloads[address] = w
			}
		}
		if s := info.GetService(); s != nil {
			z.services[s.Namespace+"/"+s.Hostname] = s
		}
	}
	for _, p := range i.AmbientIndex.Policies(nil) {
		z.policies = append(z.policies, p.Authorization)
	}
	return z
}

// converted tells whether a policy stands for PeerAuthentications.
func converted(p *security.Authorization) bool {
	return strings.HasPrefix(p.Name, "istio_converted_static_strict") || strings.HasPrefix(p.Name, "converted_peer_authentication_")
}

// lets is what ztunnel lets through to a workload by the policies of one sort:
// no DENY may match, and where some ALLOW is there one of them must (ztunnel's src/state.rs, assert_rbac).
func (z *tunnels) lets(w *workloadapi.Workload, c connection, sort func(*security.Authorization) bool) tri {
	allows, allowed := false, false
	for _, p := range z.policies {
		applies := p.Scope == security.Scope_GLOBAL || p.Scope == security.Scope_NAMESPACE && p.Namespace == w.Namespace ||
			p.Scope == security.Scope_WORKLOAD_SELECTOR && slices.Contains(w.AuthorizationPolicies, p.Namespace+"/"+p.Name)
		if !applies || !sort(p) || p.DryRun {
			continue
		}
		matched := authorizes(p, c)
		if p.Action == security.Action_DENY && matched {
			return no
		}
		if p.Action == security.Action_ALLOW {
			allows, allowed = true, allowed || matched
		}
	}
	return truth(!allows || allowed)
}

// authorizes: groups are joined by or, their rules by and, the matches of a rule by or (ztunnel's src/rbac.rs).
func authorizes(p *security.Authorization, c connection) bool {
	return slices.ContainsFunc(p.Groups, func(g *security.Group) bool {
		return !slices.ContainsFunc(g.Rules, func(r *security.Rules) bool {
			return len(r.Matches) > 0 && !slices.ContainsFunc(r.Matches, func(m *security.Match) bool { return !empty(m) && matched(m, c) })
		})
	})
}

// empty is a match without a field: it matches nothing ("empty clause").
func empty(m *security.Match) bool { return proto.Size(m) == 0 }

// matched: every field that is set must hold, by one of its values.
func matched(m *security.Match, c connection) bool {
	name := strings.TrimPrefix(c.principal, "spiffe://")
	var namespace, account string
	if parts := strings.Split(name, "/"); len(parts) == 5 {
		namespace, account = parts[2], parts[4]
	}
	texts := func(list []*security.StringMatch, text string) bool {
		return slices.ContainsFunc(list, func(s *security.StringMatch) bool { return textMatches(s, text) })
	}
	accounts := func(list []*security.ServiceAccountMatch) bool {
		return slices.ContainsFunc(list, func(a *security.ServiceAccountMatch) bool {
			return name != "" && a.Namespace == namespace && a.ServiceAccount == account
		})
	}
	within := func(list []*security.Address, a netip.Addr) bool {
		return slices.ContainsFunc(list, func(b *security.Address) bool {
			base, _ := netip.AddrFromSlice(b.Address)
			return netip.PrefixFrom(base, int(b.Length)).Contains(a)
		})
	}
	port := uint32(c.port)
	for _, f := range []struct {
		set, holds, not bool
	}{
		{len(m.Namespaces) > 0, texts(m.Namespaces, namespace), texts(m.NotNamespaces, namespace)},
		{len(m.Principals) > 0, texts(m.Principals, name), texts(m.NotPrincipals, name)},
		{len(m.ServiceAccounts) > 0, accounts(m.ServiceAccounts), accounts(m.NotServiceAccounts)},
		{len(m.SourceIps) > 0, within(m.SourceIps, c.source), within(m.NotSourceIps, c.source)},
		{len(m.DestinationIps) > 0, within(m.DestinationIps, c.destination), within(m.NotDestinationIps, c.destination)},
		{len(m.DestinationPorts) > 0, slices.Contains(m.DestinationPorts, port), slices.Contains(m.NotDestinationPorts, port)},
	} {
		if f.set && !f.holds || f.not {
			return false
		}
	}
	return true
}

func textMatches(s *security.StringMatch, text string) bool {
	if text == "" {
		return false
	}
	switch m := s.MatchType.(type) {
	case *security.StringMatch_Exact:
		return text == m.Exact
	case *security.StringMatch_Prefix:
		return strings.HasPrefix(text, m.Prefix)
	case *security.StringMatch_Suffix:
		return strings.HasSuffix(text, m.Suffix)
	default:
		return true // it is there
	}
}

// key is how waypoints are addressed.
func waypointOf(a *workloadapi.GatewayAddress) string {
	h := a.GetHostname()
	if h == nil {
		return ""
	}
	return h.Namespace + "/" + strings.TrimSuffix(h.Hostname, "."+h.Namespace+".svc.cluster.local")
}
