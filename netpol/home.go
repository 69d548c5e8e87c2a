package netpol

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
)

// home is one governed namespace with the policies that it will get.
type home struct {
	namespace *model.Namespace
	stage     model.Stage
	// subjects by the key of their selector; the empty key is the whole namespace.
	subjects map[string]*subject
	// base is the egress that every pod needs: each policy carries it, since
	// each isolates its pods from the moment it is written.
	base []permission
	// wideIngress and wideEgress are what the whole namespace may do, where it is little: each policy carries it as well.
	wideIngress, wideEgress []permission
}

// mostCarried is how many rules of the whole namespace every policy repeats, a
// direction. Past that they would fill all policies, and a moment between two writes weighs less.
const mostCarried = 8

// subject is a set of pods of a namespace, and what they may do.
type subject struct {
	selector        metav1.LabelSelector
	ingress, egress []permission
	// special is what only a CiliumNetworkPolicy can say.
	special []special
}

func (h *home) subject(selector *metav1.LabelSelector) *subject {
	key := model.SelectorKey(selector)
	s := h.subjects[key]
	if s == nil {
		s = &subject{selector: canonical(selector)}
		h.subjects[key] = s
	}
	return s
}

func (h *home) objects(m *model.Model) []model.Object {
	var objects []model.Object
	if h.stage != model.StageEnforce {
		objects = append(objects, h.open())
	}
	if h.stage == model.StagePrepare {
		return objects
	}
	h.carry()
	for _, key := range slices.Sorted(maps.Keys(h.subjects)) {
		s := h.subjects[key]
		if len(s.ingress)+len(s.egress) > 0 || model.IsEverything(&s.selector) {
			objects = append(objects, h.policy(s))
		}
		if len(s.special) > 0 {
			objects = append(objects, h.ciliumPolicy(s, &m.Cluster.DNS))
		}
	}
	return objects
}

// carry has every policy carry what the whole namespace may do.
func (h *home) carry() {
	everyone := h.everyone()
	if len(merge(everyone.ingress)) <= mostCarried {
		h.wideIngress = everyone.ingress
	}
	if len(merge(everyone.egress)) <= mostCarried {
		h.wideEgress = everyone.egress
	}
}

// verifiers lets those in who prove what the mesh does. No port is named: what must be refused is tried as well.
func (h *home) verifiers() {
	p := h.namespace.Posture
	origin := model.Origin{Ref: model.Ref{Kind: "SecurityProfile", Name: p.Profile}, Part: "spec.network.verifiers"}
	everyone := h.everyone()
	for i := range p.Network.Verifiers {
		everyone.ingress = append(everyone.ingress, permission{
			peers: []peer{podPeer(&p.Network.Verifiers[i], h.namespace.Name)}, ports: []model.Port{{Protocol: corev1.ProtocolTCP}}, origin: origin,
		})
	}
}

// canonical is a copy of a selector in one order, whatever order it was written in.
func canonical(selector *metav1.LabelSelector) metav1.LabelSelector {
	if len(selector.MatchExpressions) == 0 {
		return *selector
	}
	to := *selector.DeepCopy()
	for i := range to.MatchExpressions {
		slices.Sort(to.MatchExpressions[i].Values)
	}
	slices.SortFunc(to.MatchExpressions, func(a, b metav1.LabelSelectorRequirement) int {
		return slices.Compare(append([]string{a.Key, string(a.Operator)}, a.Values...), append([]string{b.Key, string(b.Operator)}, b.Values...))
	})
	return to
}
