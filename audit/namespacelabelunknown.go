package audit

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
)

// namespaceLabelUnknown is a namespaceSelector that means a namespace by a label
// that it does not bear: most often name=kube-system. The label that every namespace
// bears is kubernetes.io/metadata.name (KEP-2161).
func namespaceLabelUnknown() Kind {
	return Kind{
		Code: "NamespaceLabelUnknown", Severities: []model.Severity{model.Warning},
		Says: "a namespaceSelector names a namespace by a label that it does not bear",
		Why:  "The selector chooses no namespace, so the rule opens nothing, and nothing says so.",
		Fix:  "use the label " + corev1.LabelMetadataName + ", which every namespace bears",
		Find: findNamespaceLabelUnknown,
	}
}

func findNamespaceLabelUnknown(e *Evidence) []model.Finding {
	var found []model.Finding
	for i := range e.Policies {
		p := &e.Policies[i]
		eachPeer(p, func(field string, peer *networkingv1.NetworkPolicyPeer) {
			if peer.NamespaceSelector == nil || e.choosesSome(peer.NamespaceSelector) {
				return
			}
			if key, name := e.meant(peer.NamespaceSelector); name != "" {
				found = append(found, namespaceLabelUnknown().At(model.Warning, p.Ref(), field+".namespaceSelector",
					fmt.Sprintf("no namespace bears the label %s=%s, so the rule opens nothing; namespace %s bears %s=%s", key, name, name, corev1.LabelMetadataName, name), ""))
			}
		})
	}
	return found
}

// eachPeer visits the peers of all rules of a policy, with their paths.
func eachPeer(p *Policy, visit func(field string, peer *networkingv1.NetworkPolicyPeer)) {
	for i := range p.Spec.Ingress {
		for j := range p.Spec.Ingress[i].From {
			visit(fmt.Sprintf("spec.ingress[%d].from[%d]", i, j), &p.Spec.Ingress[i].From[j])
		}
	}
	for i := range p.Spec.Egress {
		for j := range p.Spec.Egress[i].To {
			visit(fmt.Sprintf("spec.egress[%d].to[%d]", i, j), &p.Spec.Egress[i].To[j])
		}
	}
}

func (e *Evidence) choosesSome(selector *metav1.LabelSelector) bool {
	return slices.ContainsFunc(e.Model.Namespaces, func(n model.Namespace) bool { return model.Matches(selector, n.Labels) })
}

// meant finds a label of a selector whose value is the name of a namespace.
func (e *Evidence) meant(selector *metav1.LabelSelector) (key, name string) {
	for key, value := range selector.MatchLabels {
		if key != corev1.LabelMetadataName && e.Model.Namespace(value) != nil {
			return key, value
		}
	}
	return "", ""
}
