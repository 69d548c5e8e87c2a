package netpol

import (
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"floe.dev/palisade/model"
)

// Evaluator reads NetworkPolicies, whoever wrote them, and tells what they do
// with the connections of a workload's pods (k8s.io/api networking/v1). It
// answers for pods with equal labels, as far as policies look at these, once.
type Evaluator struct {
	homes map[string]*evaluatedHome
	// pods tells whether address blocks find pods.
	pods model.PodAddresses
}

// evaluatedHome is one namespace with policies.
type evaluatedHome struct {
	// remembering guards what is worked out when first asked for: Evaluators share homes.
	remembering sync.Mutex
	policies    []evaluatedPolicy
	// keys are the labels that some policy's podSelector reads, sorted.
	keys []string
	// byLabels are the filters of pods, by the values of these labels; byPolicies by which policies select them.
	byLabels   map[string]direction
	byPolicies [2]map[string]*model.Filter
}

// direction holds the filters of some pods.
type direction struct{ egress, ingress *model.Filter }

// evaluatedPolicy is one policy with its rules as filters have them.
type evaluatedPolicy struct {
	ref             model.Ref
	selector        *metav1.LabelSelector
	egress, ingress []model.FilterRule
	// isolates tells for which directions the policy isolates the pods that it selects.
	isolatesEgress, isolatesIngress bool
}

// NewEvaluator reads policies as an API server holds them: what is invalid is
// refused when it is read, and here matches nothing. cni is model.Cluster.CNI:
// whether an address block finds pods depends on it.
func NewEvaluator(policies []networkingv1.NetworkPolicy, cni string) *Evaluator {
	e := &Evaluator{homes: map[string]*evaluatedHome{}, pods: podAddresses(cni)}
	for i := range policies {
		h := e.homes[policies[i].Namespace]
		if h == nil {
			h = newHome()
			e.homes[policies[i].Namespace] = h
		}
		h.add(readPolicy(&policies[i], e.pods))
	}
	return e
}

func newHome() *evaluatedHome {
	return &evaluatedHome{byLabels: map[string]direction{}, byPolicies: [2]map[string]*model.Filter{{}, {}}}
}

// Change is one NetworkPolicy in place of another.
type Change struct {
	// Evaluator judges by the policies after the change; it shares with the one before what stays the same.
	Evaluator *Evaluator
	// Rules are those of the policy before and after: what they do not name stays as
	// it is, unless pods become isolated or cease to be.
	Rules []model.FilterRule

	namespace string
	selectors []*metav1.LabelSelector
}

// Selects tells whether the policy, before or after, is for the pods of a workload.
func (c *Change) Selects(w *model.Workload) bool {
	return w.ID.Namespace == c.namespace && !w.Spec.HostNetwork &&
		slices.ContainsFunc(c.selectors, func(s *metav1.LabelSelector) bool { return model.Matches(s, w.Labels) })
}

// Replace puts a policy in the place of the one of its namespace and name, or adds
// it where there is none; nil removes it. It reads the policies of that namespace alone.
func (e *Evaluator) Replace(namespace, name string, policy *networkingv1.NetworkPolicy) Change {
	c := Change{Evaluator: &Evaluator{homes: maps.Clone(e.homes), pods: e.pods}, namespace: namespace}
	h := newHome()
	take := func(p *evaluatedPolicy) {
		c.Rules = append(append(c.Rules, p.egress...), p.ingress...)
		c.selectors = append(c.selectors, p.selector)
	}
	if before := e.homes[namespace]; before != nil {
		for i := range before.policies {
			if p := &before.policies[i]; p.ref.Name != name {
				h.add(*p)
			} else {
				take(p)
			}
		}
	}
	if policy != nil {
		read := readPolicy(policy, e.pods)
		take(&read)
		h.add(read)
	}
	c.Evaluator.homes[namespace] = h
	return c
}

// podAddresses: Cilium's CIDR rules never match pods; conformance asks all others to match them
// (k8s.io/kubernetes test/e2e/network/netpol, "IPBlock.CIDR and IPBlock.Except").
func podAddresses(cni string) model.PodAddresses {
	switch cni {
	case "cilium":
		return model.PodAddressesIgnored
	case "":
		return model.PodAddressesUnclear
	default:
		return model.PodAddressesCount
	}
}

func readPolicy(p *networkingv1.NetworkPolicy, pods model.PodAddresses) evaluatedPolicy {
	r := ruleReader{pods: pods, ref: model.Ref{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy", Namespace: p.Namespace, Name: p.Name}}
	read := evaluatedPolicy{ref: r.ref, selector: &p.Spec.PodSelector}
	read.isolatesIngress, read.isolatesEgress = Isolates(&p.Spec)
	for i := range p.Spec.Ingress {
		read.ingress = append(read.ingress, r.rule("spec.ingress", i, p.Spec.Ingress[i].From, p.Spec.Ingress[i].Ports))
	}
	for i := range p.Spec.Egress {
		read.egress = append(read.egress, r.rule("spec.egress", i, p.Spec.Egress[i].To, p.Spec.Egress[i].Ports))
	}
	return read
}

func (h *evaluatedHome) add(p evaluatedPolicy) {
	h.policies = append(h.policies, p)
	for key := range p.selector.MatchLabels {
		h.reads(key)
	}
	for _, expression := range p.selector.MatchExpressions {
		h.reads(expression.Key)
	}
}

// Isolates tells in which directions a policy isolates the pods that it selects.
// One that names no type isolates for ingress, rules or none, and for egress where it has rules for it.
func Isolates(spec *networkingv1.NetworkPolicySpec) (ingress, egress bool) {
	if len(spec.PolicyTypes) == 0 {
		return true, len(spec.Egress) > 0
	}
	return slices.Contains(spec.PolicyTypes, networkingv1.PolicyTypeIngress), slices.Contains(spec.PolicyTypes, networkingv1.PolicyTypeEgress)
}

func (h *evaluatedHome) reads(key string) {
	if i, found := slices.BinarySearch(h.keys, key); !found {
		h.keys = slices.Insert(h.keys, i, key)
	}
}

// Egress is what the policies let the pods of a workload send; nil where none isolates them.
func (e *Evaluator) Egress(w *model.Workload) *model.Filter { return e.filters(w).egress }

// Ingress is what the policies let the pods of a workload receive; nil where none isolates them.
func (e *Evaluator) Ingress(w *model.Workload) *model.Filter { return e.filters(w).ingress }

// filters: policies do not find pods on their node's network.
func (e *Evaluator) filters(w *model.Workload) direction {
	h := e.homes[w.ID.Namespace]
	if h == nil || w.Spec.HostNetwork {
		return direction{}
	}
	key := make([]byte, 0, 64)
	for _, label := range h.keys {
		if value, there := w.Labels[label]; there {
			key = append(append(key, 1), value...)
		}
		key = append(key, 0)
	}
	h.remembering.Lock()
	defer h.remembering.Unlock()
	d, known := h.byLabels[string(key)]
	if !known {
		d = h.selected(w.Labels)
		h.byLabels[string(key)] = d
	}
	return d
}

func (h *evaluatedHome) selected(labels map[string]string) direction {
	var in, out []int
	for i := range h.policies {
		p := &h.policies[i]
		if !model.Matches(p.selector, labels) {
			continue
		}
		if p.isolatesIngress {
			in = append(in, i)
		}
		if p.isolatesEgress {
			out = append(out, i)
		}
	}
	return direction{
		egress:  h.filter(0, model.FilterEgress, out, func(p *evaluatedPolicy) []model.FilterRule { return p.egress }),
		ingress: h.filter(1, model.FilterIngress, in, func(p *evaluatedPolicy) []model.FilterRule { return p.ingress }),
	}
}

// filter joins the rules of policies: what any of them allows is allowed, and nothing else.
func (h *evaluatedHome) filter(side int, layer model.FilterLayer, numbers []int, rules func(*evaluatedPolicy) []model.FilterRule) *model.Filter {
	if len(numbers) == 0 {
		return nil
	}
	key := make([]byte, 0, 64)
	for _, n := range numbers {
		key = binary.AppendUvarint(key, uint64(n))
	}
	f := h.byPolicies[side][string(key)]
	if f != nil {
		return f
	}
	f = &model.Filter{Layer: layer, Otherwise: model.Deny}
	for _, n := range numbers {
		p := &h.policies[n]
		f.Rules = append(f.Rules, rules(p)...)
		f.Because = append(f.Because, model.Cause{Object: p.ref, Field: "spec.podSelector"})
	}
	h.byPolicies[side][string(key)] = f
	return f
}

// ruleReader turns rules of one policy into those of filters.
type ruleReader struct {
	ref  model.Ref
	pods model.PodAddresses
}

func (r *ruleReader) rule(field string, number int, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) model.FilterRule {
	rule := model.FilterRule{Effect: model.Allow, Cause: model.Cause{Object: r.ref, Field: fmt.Sprintf("%s[%d]", field, number)}}
	if len(peers) > 0 {
		rule.Peers = []model.Term{}
		for i := range peers {
			if term, ok := r.term(&peers[i]); ok {
				rule.Peers = append(rule.Peers, term)
			}
		}
	}
	if len(ports) > 0 {
		rule.Ports = []model.PortTerm{}
		for i := range ports {
			if term, ok := portTerm(&ports[i]); ok {
				rule.Ports = append(rule.Ports, term)
			}
		}
	}
	return rule
}

func (r *ruleReader) term(p *networkingv1.NetworkPolicyPeer) (model.Term, bool) {
	if p.IPBlock != nil {
		block, ok := addressBlock(p.IPBlock)
		return model.Term{In: []model.AddressBlock{block}, PodAddresses: r.pods}, ok && p.PodSelector == nil && p.NamespaceSelector == nil
	}
	pods := &model.PodTerm{NamespaceSelector: p.NamespaceSelector, PodSelector: p.PodSelector}
	if p.NamespaceSelector == nil {
		pods.Namespace = r.ref.Namespace
	}
	return model.Term{Pods: pods}, p.NamespaceSelector != nil || p.PodSelector != nil
}

func addressBlock(b *networkingv1.IPBlock) (model.AddressBlock, bool) {
	cidr, err := netip.ParsePrefix(b.CIDR)
	if err != nil {
		return model.AddressBlock{}, false
	}
	block := model.AddressBlock{CIDR: unmapped(cidr).Masked()}
	for _, text := range b.Except {
		hole, err := netip.ParsePrefix(text)
		if err != nil {
			return model.AddressBlock{}, false // less is open than somebody meant, and not more
		}
		block.Except = append(block.Except, unmapped(hole).Masked())
	}
	return block, true
}

func portTerm(p *networkingv1.NetworkPolicyPort) (model.PortTerm, bool) {
	term := model.PortTerm{}
	term.Protocol = model.ProtocolOr("")
	if p.Protocol != nil {
		term.Protocol = model.ProtocolOr(*p.Protocol)
	}
	switch {
	case p.Port == nil:
		return term, p.EndPort == nil
	case p.Port.Type == intstr.String:
		term.Name = p.Port.StrVal
		return term, p.EndPort == nil && term.Name != ""
	}
	term.Number = p.Port.IntVal
	if p.EndPort != nil {
		term.End = *p.EndPort
	}
	return term, term.Number > 0 && (p.EndPort == nil || term.End >= term.Number)
}
