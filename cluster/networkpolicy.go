package cluster

import (
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// readNetworkPolicy keeps the tree, with policyTypes and protocols as the API
// server would fill them in: a policy that names no type isolates for ingress,
// whether it has ingress rules or not (k8s.io/api networking/v1).
func readNetworkPolicy(o *object, it *item) InputErrors {
	policy, wrong := decode[networkingv1.NetworkPolicy](o)
	if wrong != nil {
		return InputErrors{wrong}
	}
	it.tree = o.tree
	spec, _ := o.tree["spec"].(map[string]any)
	if spec == nil {
		return InputErrors{o.fault("spec", "must be set")}
	}
	if faults := o.checkPolicy(&policy.Spec); len(faults) > 0 {
		return faults
	}
	if len(policy.Spec.PolicyTypes) == 0 {
		types := []any{string(networkingv1.PolicyTypeIngress)}
		if len(policy.Spec.Egress) > 0 {
			types = append(types, string(networkingv1.PolicyTypeEgress))
		}
		spec["policyTypes"] = types
		it.defaulted = []string{"spec.policyTypes"}
	}
	defaultRuleProtocols(spec["ingress"])
	defaultRuleProtocols(spec["egress"])
	return nil
}

func defaultRuleProtocols(rules any) {
	list, _ := rules.([]any)
	for _, rule := range list {
		ports, _ := rule.(map[string]any)
		portList, _ := ports["ports"].([]any)
		for _, port := range portList {
			if port, ok := port.(map[string]any); ok && text(port["protocol"]) == "" {
				port["protocol"] = string(corev1.ProtocolTCP)
			}
		}
	}
}

// checkPolicy refuses what an API server would (k8s.io/kubernetes pkg/apis/networking/validation).
func (o *object) checkPolicy(spec *networkingv1.NetworkPolicySpec) InputErrors {
	faults := o.checkSelector(&spec.PodSelector, "spec.podSelector")
	for i := range spec.Ingress {
		at := fmt.Sprintf("spec.ingress[%d]", i)
		faults = append(append(faults, o.checkPeers(spec.Ingress[i].From, at+".from")...), o.checkPolicyPorts(spec.Ingress[i].Ports, at+".ports")...)
	}
	for i := range spec.Egress {
		at := fmt.Sprintf("spec.egress[%d]", i)
		faults = append(append(faults, o.checkPeers(spec.Egress[i].To, at+".to")...), o.checkPolicyPorts(spec.Egress[i].Ports, at+".ports")...)
	}
	for i, policyType := range spec.PolicyTypes {
		if policyType != networkingv1.PolicyTypeIngress && policyType != networkingv1.PolicyTypeEgress {
			faults = append(faults, o.fault(fmt.Sprintf("spec.policyTypes[%d]", i), "%q is not one of Ingress, Egress", policyType))
		}
	}
	return faults
}

func (o *object) checkSelector(selector *metav1.LabelSelector, at string) InputErrors {
	var faults InputErrors
	for _, err := range metav1validation.ValidateLabelSelector(selector, metav1validation.LabelSelectorValidationOptions{}, field.NewPath(at)) {
		faults = append(faults, o.invalid(err))
	}
	return faults
}

func (o *object) checkPeers(peers []networkingv1.NetworkPolicyPeer, at string) InputErrors {
	var faults InputErrors
	for i := range peers {
		p, path := &peers[i], fmt.Sprintf("%s[%d]", at, i)
		selects := p.PodSelector != nil || p.NamespaceSelector != nil
		switch {
		case p.IPBlock == nil && !selects:
			faults = append(faults, o.fault(path, "must have a podSelector, a namespaceSelector or an ipBlock"))
		case p.IPBlock != nil && selects:
			faults = append(faults, o.fault(path+".ipBlock", "may not stand beside a selector in one peer"))
		case p.IPBlock != nil:
			faults = append(faults, o.checkBlock(p.IPBlock, path+".ipBlock")...)
		}
		if p.PodSelector != nil {
			faults = append(faults, o.checkSelector(p.PodSelector, path+".podSelector")...)
		}
		if p.NamespaceSelector != nil {
			faults = append(faults, o.checkSelector(p.NamespaceSelector, path+".namespaceSelector")...)
		}
	}
	return faults
}

func (o *object) checkBlock(b *networkingv1.IPBlock, at string) InputErrors {
	cidr, err := netip.ParsePrefix(b.CIDR)
	if err != nil {
		return InputErrors{o.fault(at+".cidr", "%q is not a CIDR such as 10.0.0.0/8 or fd00::/8", b.CIDR)}
	}
	var faults InputErrors
	for i, text := range b.Except {
		path := fmt.Sprintf("%s.except[%d]", at, i)
		hole, err := netip.ParsePrefix(text)
		switch {
		case err != nil:
			faults = append(faults, o.fault(path, "%q is not a CIDR such as 10.0.0.0/8 or fd00::/8", text))
		case !cidr.Contains(hole.Addr()) || hole.Bits() <= cidr.Bits():
			faults = append(faults, o.fault(path, "%q must lie strictly within cidr %s", text, b.CIDR))
		}
	}
	return faults
}

func (o *object) checkPolicyPorts(ports []networkingv1.NetworkPolicyPort, at string) InputErrors {
	var faults InputErrors
	for i := range ports {
		p, path := &ports[i], fmt.Sprintf("%s[%d]", at, i)
		if p.Protocol != nil && *p.Protocol != corev1.ProtocolTCP && *p.Protocol != corev1.ProtocolUDP && *p.Protocol != corev1.ProtocolSCTP {
			faults = append(faults, o.fault(path+".protocol", "%q is not one of %q", *p.Protocol, protocols))
		}
		faults = append(faults, o.checkPolicyPort(p, path)...)
	}
	return faults
}

func (o *object) checkPolicyPort(p *networkingv1.NetworkPolicyPort, at string) InputErrors {
	switch {
	case p.Port == nil && p.EndPort != nil:
		return InputErrors{o.fault(at+".endPort", "may not stand without port")}
	case p.Port == nil:
		return nil
	case p.Port.Type == intstr.String:
		if problems := validation.IsValidPortName(p.Port.StrVal); len(problems) > 0 {
			return InputErrors{o.fault(at+".port", "%q: %s", p.Port.StrVal, problems[0])}
		}
		if p.EndPort != nil {
			return InputErrors{o.fault(at+".endPort", "may not stand beside a port that is given by name")}
		}
	case p.Port.IntVal < 1 || p.Port.IntVal > 65535:
		return InputErrors{o.fault(at+".port", "%d must be from 1 to 65535", p.Port.IntVal)}
	case p.EndPort != nil && (*p.EndPort < p.Port.IntVal || *p.EndPort > 65535):
		return InputErrors{o.fault(at+".endPort", "%d must be from port (%d) to 65535", *p.EndPort, p.Port.IntVal)}
	}
	return nil
}
