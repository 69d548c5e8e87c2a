package netpol

import (
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
)

// Policies are written as trees at once: by way of typed values and their JSON
// text a compile makes half as many allocations again. Tests hold the trees to the API's types.

// ruleTree writes a rule. The list of peers is left out for anyone, and for nobody else.
func ruleTree(r *rule, peersKey string) map[string]any {
	tree := map[string]any{}
	var peers []any
	for i := range r.peers {
		if !r.peers[i].anyone {
			peers = append(peers, peerTree(&r.peers[i].written))
		}
	}
	if len(peers) > 0 {
		tree[peersKey] = peers
	}
	if !r.everyPort {
		tree["ports"] = portTrees(r.ports)
	}
	return tree
}

func peerTree(p *networkingv1.NetworkPolicyPeer) map[string]any {
	tree := map[string]any{}
	if p.IPBlock != nil {
		block := map[string]any{"cidr": p.IPBlock.CIDR}
		if len(p.IPBlock.Except) > 0 {
			block["except"] = texts(p.IPBlock.Except)
		}
		tree["ipBlock"] = block
	}
	if p.NamespaceSelector != nil {
		tree["namespaceSelector"] = selectorTree(p.NamespaceSelector)
	}
	if p.PodSelector != nil {
		tree["podSelector"] = selectorTree(p.PodSelector)
	}
	return tree
}

// portTrees writes every port of a protocol as the protocol alone.
func portTrees(ports []model.Port) []any {
	to := make([]any, 0, len(ports))
	for _, p := range ports {
		tree := map[string]any{"protocol": string(p.Protocol)}
		if p.Number != 0 {
			tree["port"] = int64(p.Number)
		}
		if p.Number != 0 && p.Last() > p.Number {
			tree["endPort"] = int64(p.End)
		}
		to = append(to, tree)
	}
	return to
}

func selectorTree(selector *metav1.LabelSelector) map[string]any {
	tree := map[string]any{}
	if len(selector.MatchLabels) > 0 {
		labels := make(map[string]any, len(selector.MatchLabels))
		for key, value := range selector.MatchLabels {
			labels[key] = value
		}
		tree["matchLabels"] = labels
	}
	var expressions []any
	for _, e := range selector.MatchExpressions {
		expression := map[string]any{"key": e.Key, "operator": string(e.Operator)}
		if len(e.Values) > 0 {
			expression["values"] = texts(e.Values)
		}
		expressions = append(expressions, expression)
	}
	if len(expressions) > 0 {
		tree["matchExpressions"] = expressions
	}
	return tree
}

func texts(from []string) []any {
	to := make([]any, len(from))
	for i, s := range from {
		to[i] = s
	}
	return to
}
