package netpol

import (
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
)

// DefaultName is the policy of the whole namespace: it closes what no policy opens.
const DefaultName = model.NamePrefix + "default"

// everyone is the subject of the whole namespace.
func (h *home) everyone() *subject { return h.subject(&metav1.LabelSelector{}) }

// name is the name of a subject's policies, and when they are written.
func (s *subject) name() (string, model.Phase) {
	if model.IsEverything(&s.selector) {
		return DefaultName, model.PhaseDeny
	}
	return model.NameForSelector(&s.selector), model.PhaseAllow
}

// policy is the NetworkPolicy of a subject. Both policyTypes are always said:
// left out they would follow from which rules happen to be there.
func (h *home) policy(s *subject) model.Object {
	ingress := merge(s.ingress)
	egress := merge(slices.Concat(h.base, s.egress))
	name, phase := s.name()
	policy := networkingv1.NetworkPolicy{
		TypeMeta: metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: h.namespace.Name, Name: name, Labels: h.labels(), Annotations: origins(ingress, egress),
		},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: s.selector,
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
		},
	}
	for _, r := range ingress {
		policy.Spec.Ingress = append(policy.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{
			From: writtenPeers(r.peers), Ports: writtenPorts(r.ports),
		})
	}
	for _, r := range egress {
		policy.Spec.Egress = append(policy.Spec.Egress, networkingv1.NetworkPolicyEgressRule{
			To: writtenPeers(r.peers), Ports: writtenPorts(r.ports),
		})
	}
	return model.ObjectFrom(&policy, phase)
}

func (h *home) labels() map[string]string {
	return map[string]string{model.ManagedByLabel: model.ManagedByValue, model.ProfileLabel: h.namespace.Posture.Profile}
}

// writtenPeers leaves the list out for anyone, and only for anyone.
func writtenPeers(peers []peer) []networkingv1.NetworkPolicyPeer {
	var to []networkingv1.NetworkPolicyPeer
	for i := range peers {
		if !peers[i].anyone {
			to = append(to, peers[i].written)
		}
	}
	return to
}

func origins(ingress, egress []rule) map[string]string {
	var lines []string
	for i := range ingress {
		lines = append(lines, originLine("ingress", i, ingress[i].origins))
	}
	for i := range egress {
		lines = append(lines, originLine("egress", i, egress[i].origins))
	}
	if len(lines) == 0 {
		return nil
	}
	return map[string]string{model.OriginAnnotation: originText(lines)}
}

func originLine(direction string, index int, origins []string) string {
	return fmt.Sprintf("%s[%d]: %s", direction, index, strings.Join(origins, "; "))
}
