package netpol_test

import (
	"encoding/json"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	networkingv1 "k8s.io/api/networking/v1"

	"floe.dev/palisade/model"
)

// end is one end of a connection: a pod with its address, or an address alone.
type end struct {
	name       string
	namespace  string // empty outside the cluster and in the node's network
	namespaced map[string]string
	labels     map[string]string
	address    netip.Addr
}

// policies are NetworkPolicies that a naive evaluator walks one by one. It finds
// pods in address blocks too, as the strictest CNIs do.
type policies []networkingv1.NetworkPolicy

// policiesOf takes the NetworkPolicies out of objects, refusing fields that the API does not have.
func policiesOf(t testing.TB, objects []model.Object) policies {
	t.Helper()
	var all policies
	for _, object := range objects {
		if object.Ref().Kind != "NetworkPolicy" {
			continue
		}
		data, err := json.Marshal(object.Tree)
		require.NoError(t, err)
		var p networkingv1.NetworkPolicy
		require.NoError(t, json.Unmarshal(data, &p))
		again, err := json.Marshal(model.ObjectFrom(&p, object.Phase).Tree)
		require.NoError(t, err)
		require.JSONEq(t, string(data), string(again), "the API type loses something")
		all = append(all, p)
	}
	return all
}

// allow tells whether both ends let a connection pass.
func (ps policies) allow(from, to end, port model.Port) bool {
	return ps.egress(from, to, port) && ps.ingress(from, to, port)
}

func (ps policies) egress(from, to end, port model.Port) bool {
	isolated := false
	for i := range ps {
		p := &ps[i]
		if !selects(p, from) || !slices.Contains(p.Spec.PolicyTypes, networkingv1.PolicyTypeEgress) {
			continue
		}
		isolated = true
		for _, rule := range p.Spec.Egress {
			if peersMatch(rule.To, p.Namespace, to) && portsMatch(rule.Ports, port) {
				return true
			}
		}
	}
	return !isolated
}

func (ps policies) ingress(from, to end, port model.Port) bool {
	isolated := false
	for i := range ps {
		p := &ps[i]
		if !selects(p, to) || !slices.Contains(p.Spec.PolicyTypes, networkingv1.PolicyTypeIngress) {
			continue
		}
		isolated = true
		for _, rule := range p.Spec.Ingress {
			if peersMatch(rule.From, p.Namespace, from) && portsMatch(rule.Ports, port) {
				return true
			}
		}
	}
	return !isolated
}

func selects(p *networkingv1.NetworkPolicy, e end) bool {
	return e.namespace == p.Namespace && model.Matches(&p.Spec.PodSelector, e.labels)
}

func peersMatch(peers []networkingv1.NetworkPolicyPeer, home string, e end) bool {
	return len(peers) == 0 || slices.ContainsFunc(peers, func(p networkingv1.NetworkPolicyPeer) bool { return peerMatches(p, home, e) })
}

func peerMatches(p networkingv1.NetworkPolicyPeer, home string, e end) bool {
	if p.IPBlock != nil {
		inside := func(cidr string) bool { return netip.MustParsePrefix(cidr).Contains(e.address) }
		return inside(p.IPBlock.CIDR) && !slices.ContainsFunc(p.IPBlock.Except, inside)
	}
	if e.namespace == "" {
		return false
	}
	if p.NamespaceSelector == nil && e.namespace != home || p.NamespaceSelector != nil && !model.Matches(p.NamespaceSelector, e.namespaced) {
		return false
	}
	return p.PodSelector == nil || model.Matches(p.PodSelector, e.labels)
}

func portsMatch(ports []networkingv1.NetworkPolicyPort, port model.Port) bool {
	return len(ports) == 0 || slices.ContainsFunc(ports, func(p networkingv1.NetworkPolicyPort) bool {
		if *p.Protocol != port.Protocol {
			return false
		}
		if p.Port == nil {
			return true
		}
		last := p.Port.IntVal
		if p.EndPort != nil {
			last = *p.EndPort
		}
		return p.Port.IntVal <= port.Number && port.Number <= last
	})
}

// requireWellFormed holds what no policy of ours may ever break.
func requireWellFormed(t testing.TB, ps policies) {
	t.Helper()
	for _, p := range ps {
		require.Equal(t, []networkingv1.PolicyType{"Ingress", "Egress"}, p.Spec.PolicyTypes, "policyTypes are said")
		require.Equal(t, model.ManagedByValue, p.Labels[model.ManagedByLabel])
		for _, rule := range p.Spec.Ingress {
			requirePeers(t, rule.From)
			require.NotEmpty(t, rule.Ports)
		}
		for _, rule := range p.Spec.Egress {
			requirePeers(t, rule.To)
			require.NotEmpty(t, rule.Ports)
		}
	}
}

func requirePeers(t testing.TB, peers []networkingv1.NetworkPolicyPeer) {
	t.Helper()
	require.NotEmpty(t, peers, "an empty peer list is everywhere")
	for _, p := range peers {
		require.True(t, p.IPBlock != nil || p.PodSelector != nil || p.NamespaceSelector != nil)
		if p.IPBlock == nil {
			continue
		}
		whole := netip.MustParsePrefix(p.IPBlock.CIDR)
		require.Equal(t, whole, whole.Masked())
		for i, text := range p.IPBlock.Except {
			hole := netip.MustParsePrefix(text)
			require.True(t, hole.Bits() > whole.Bits() && whole.Contains(hole.Addr()), "%s must lie strictly in %s", hole, whole)
			for _, other := range p.IPBlock.Except[:i] {
				require.False(t, netip.MustParsePrefix(other).Overlaps(hole), "%s and %s overlap", other, hole)
			}
		}
	}
}

// pod is a workload as an end; its address counts its place in the model.
func pod(m *model.Model, index int) end {
	w := &m.Workloads[index]
	e := end{name: w.ID.String(), labels: w.Labels, address: netip.AddrFrom4([4]byte{10, 1, byte(index >> 8), byte(index)})}
	if w.Spec.HostNetwork {
		e.labels = nil
		e.address = netip.AddrFrom4([4]byte{10, 9, 0, byte(index)})
		return e
	}
	e.namespace, e.namespaced = w.ID.Namespace, m.Namespace(w.ID.Namespace).Labels
	return e
}

func outside(address string) end { return end{name: address, address: netip.MustParseAddr(address)} }
