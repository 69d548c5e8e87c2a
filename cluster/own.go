package cluster

import (
	"fmt"
	"reflect"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"floe.dev/palisade/api/v1alpha1"
)

var metaType = reflect.TypeFor[metav1.ObjectMeta]()

// decodeOwn makes the typed value of an admitted object of palisade's own, and
// checks what a CRD cannot: label selectors, as the API server checks those of built-in kinds.
func (o *object) decodeOwn(it *item) InputErrors {
	switch o.ref.Kind {
	case "SecurityProfile":
		return readOwn(o, it, profileSelectors)
	case "TrafficRule":
		return readOwn(o, it, ruleSelectors)
	case "ExternalAccess":
		return readOwn(o, it, func(a *v1alpha1.ExternalAccess) []selectorAt {
			return []selectorAt{{"spec.from", &a.Spec.From}}
		})
	case "NamespacePosture":
		return readOwn(o, it, func(*v1alpha1.NamespacePosture) []selectorAt { return nil })
	case "MTLSReport":
		return readOwn(o, it, func(*v1alpha1.MTLSReport) []selectorAt { return nil })
	default:
		return readOwn(o, it, func(e *v1alpha1.Exemption) []selectorAt {
			return []selectorAt{{"spec.workloads", &e.Spec.Workloads}}
		})
	}
}

// selectorAt is a label selector with its path.
type selectorAt struct {
	path     string
	selector *metav1.LabelSelector
}

func readOwn[T any](o *object, it *item, selectors func(*T) []selectorAt) InputErrors {
	value, wrong := decode[T](o)
	if wrong != nil {
		return InputErrors{wrong}
	}
	var faults InputErrors
	for _, s := range selectors(value) {
		for _, err := range metav1validation.ValidateLabelSelector(s.selector, metav1validation.LabelSelectorValidationOptions{}, field.NewPath(s.path)) {
			faults = append(faults, o.invalid(err))
		}
	}
	it.value = value
	return faults
}

func profileSelectors(p *v1alpha1.SecurityProfile) []selectorAt {
	all := []selectorAt{{"spec.namespaceSelector", &p.Spec.NamespaceSelector}}
	for i := range p.Spec.Network.IngressGateways {
		all = append(all, peerSelectors(&p.Spec.Network.IngressGateways[i], fmt.Sprintf("spec.network.ingressGateways[%d]", i))...)
	}
	for i := range p.Spec.Network.Prometheus {
		all = append(all, peerSelectors(&p.Spec.Network.Prometheus[i], fmt.Sprintf("spec.network.prometheus[%d]", i))...)
	}
	return all
}

func ruleSelectors(r *v1alpha1.TrafficRule) []selectorAt {
	all := []selectorAt{{"spec.to", &r.Spec.To}}
	for i, client := range r.Spec.From {
		if client.Pods != nil {
			all = append(all, peerSelectors(client.Pods, fmt.Sprintf("spec.from[%d].pods", i))...)
		}
	}
	return all
}

func peerSelectors(peer *v1alpha1.PodPeer, at string) []selectorAt {
	var all []selectorAt
	if peer.NamespaceSelector != nil {
		all = append(all, selectorAt{at + ".namespaceSelector", peer.NamespaceSelector})
	}
	if peer.PodSelector != nil {
		all = append(all, selectorAt{at + ".podSelector", peer.PodSelector})
	}
	return all
}
