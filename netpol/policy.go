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
	ingress := merge(slices.Concat(h.wideIngress, s.ingress))
	egress := merge(slices.Concat(h.base, h.wideEgress, s.egress))
	spec := map[string]any{
		"podSelector": selectorTree(&s.selector),
		"policyTypes": []any{string(networkingv1.PolicyTypeIngress), string(networkingv1.PolicyTypeEgress)},
	}
	lines := make([]string, 0, len(ingress)+len(egress))
	write := func(direction, peers string, rules []rule) {
		var trees []any
		for i := range rules {
			trees = append(trees, ruleTree(&rules[i], peers))
			lines = append(lines, originLine(direction, i, rules[i].origins))
		}
		if len(trees) > 0 {
			spec[direction] = trees
		}
	}
	write("ingress", "from", ingress)
	write("egress", "to", egress)
	name, phase := s.name()
	return h.object("networking.k8s.io/v1", "NetworkPolicy", name, phase, spec, lines)
}

// object is a policy of the namespace with palisade's mark and the origin of each of its rules.
func (h *home) object(apiVersion, kind, name string, phase model.Phase, spec map[string]any, origins []string) model.Object {
	metadata := map[string]any{
		"namespace": h.namespace.Name, "name": name,
		"labels": map[string]any{model.ManagedByLabel: model.ManagedByValue, model.ProfileLabel: model.LabelValue(h.namespace.Posture.Profile)},
	}
	if len(origins) > 0 {
		metadata["annotations"] = map[string]any{model.OriginAnnotation: originText(origins)}
	}
	return model.Object{Phase: phase, Tree: map[string]any{
		"apiVersion": apiVersion, "kind": kind, "metadata": metadata, "spec": spec,
	}}
}

func originLine(direction string, index int, origins []string) string {
	return fmt.Sprintf("%s[%d]: %s", direction, index, strings.Join(origins, "; "))
}
