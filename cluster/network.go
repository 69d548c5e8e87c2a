package cluster

import (
	"cmp"
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"floe.dev/palisade/model"
)

func readService(o *object, it *item) InputErrors {
	s, wrong := decode[corev1.Service](o)
	if wrong != nil {
		return InputErrors{wrong}
	}
	var faults InputErrors
	for i := range s.Spec.Ports {
		port := &s.Spec.Ports[i]
		port.Protocol = cmp.Or(port.Protocol, corev1.ProtocolTCP)
		if port.TargetPort == (intstr.IntOrString{}) || port.TargetPort == intstr.FromString("") {
			port.TargetPort = intstr.FromInt32(port.Port)
		}
		faults = append(faults, o.checkPort(fmt.Sprintf("spec.ports[%d]", i), "port", port.Port, port.Protocol)...)
	}
	if len(s.Spec.ClusterIPs) == 0 && s.Spec.ClusterIP != "" {
		s.Spec.ClusterIPs = []string{s.Spec.ClusterIP}
	}
	it.value = &model.Service{
		Namespace: o.ref.Namespace, Name: o.ref.Name,
		Labels: s.Labels, Annotations: s.Annotations,
		Selector:   s.Spec.Selector,
		Type:       cmp.Or(s.Spec.Type, corev1.ServiceTypeClusterIP),
		ClusterIPs: s.Spec.ClusterIPs,
		Ports:      s.Spec.Ports,
	}
	return faults
}

func readEndpointSlice(o *object, it *item) InputErrors {
	s, wrong := decode[discoveryv1.EndpointSlice](o)
	if wrong != nil {
		return InputErrors{wrong}
	}
	for i := range s.Ports {
		if s.Ports[i].Protocol == nil {
			tcp := corev1.ProtocolTCP
			s.Ports[i].Protocol = &tcp
		}
	}
	it.value = s
	return nil
}

func readEndpoints(o *object, it *item) InputErrors {
	e, wrong := decode[corev1.Endpoints](o)
	if wrong != nil {
		return InputErrors{wrong}
	}
	for i := range e.Subsets {
		for j := range e.Subsets[i].Ports {
			port := &e.Subsets[i].Ports[j]
			port.Protocol = cmp.Or(port.Protocol, corev1.ProtocolTCP)
		}
	}
	it.value = e
	return nil
}

// readNode keeps a Node without its list of images, which is long and of no use here.
func readNode(o *object, it *item) InputErrors {
	n, wrong := decode[corev1.Node](o)
	if wrong != nil {
		return InputErrors{wrong}
	}
	n.Status.Images = nil
	it.value = n
	return nil
}

func readValidatingWebhooks(o *object, it *item) InputErrors {
	c, wrong := decode[admissionregistrationv1.ValidatingWebhookConfiguration](o)
	if wrong != nil {
		return InputErrors{wrong}
	}
	for i := range c.Webhooks {
		w := &c.Webhooks[i]
		defaultWebhook(&w.ClientConfig, &w.FailurePolicy, &w.NamespaceSelector, &w.ObjectSelector)
	}
	it.value = c
	return nil
}

func readMutatingWebhooks(o *object, it *item) InputErrors {
	c, wrong := decode[admissionregistrationv1.MutatingWebhookConfiguration](o)
	if wrong != nil {
		return InputErrors{wrong}
	}
	for i := range c.Webhooks {
		w := &c.Webhooks[i]
		defaultWebhook(&w.ClientConfig, &w.FailurePolicy, &w.NamespaceSelector, &w.ObjectSelector)
	}
	it.value = c
	return nil
}

// defaultWebhook fills in the defaults of k8s.io/kubernetes pkg/apis/admissionregistration/v1/defaults.go.
func defaultWebhook(client *admissionregistrationv1.WebhookClientConfig, failure **admissionregistrationv1.FailurePolicyType, selectors ...**metav1.LabelSelector) {
	if client.Service != nil && client.Service.Port == nil {
		port := int32(443)
		client.Service.Port = &port
	}
	if *failure == nil {
		fail := admissionregistrationv1.Fail
		*failure = &fail
	}
	for _, selector := range selectors {
		if *selector == nil {
			*selector = &metav1.LabelSelector{}
		}
	}
}

// readNamespace reads a Namespace; its tree is kept, too, for the labels to be compared with.
func readNamespace(o *object, it *item) InputErrors {
	n, wrong := decode[corev1.Namespace](o)
	if wrong != nil {
		return InputErrors{wrong}
	}
	faults := o.checkNamespaceName("metadata.name", o.ref.Name)
	it.value = &model.Namespace{Name: n.Name, Labels: n.Labels, Annotations: n.Annotations, Declared: true}
	it.tree = o.tree
	return faults
}
