package main

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// table is the nftables table that the enforcer owns, and all that it writes.
const table = "inet palisade_e2e"

// A world is what the API server holds.
type world struct {
	namespaces map[string]labels.Set
	pods       []*corev1.Pod
	policies   []*networkingv1.NetworkPolicy
	// network is that of the pods: an address of it that is no pod's (yet) reaches nobody.
	network netip.Prefix
}

// render writes the ruleset that holds the policies of a world, for `nft -f`, which
// puts it in the place of the one before in one transaction. The meaning is that of
// k8s.io/api/networking/v1; IPv4 only. Each packet that opens a connection passes the
// egress chain of the pod it comes from and the ingress chain of the pod it goes to; a
// chain returns what a rule allows, and drops the rest. What the node sends itself,
// probes of the kubelet among it, is let through.
func render(w world) (string, error) {
	pods := w.networked()
	var known []string
	for _, p := range pods {
		known = append(known, p.Status.PodIP)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "table %[1]s\ndelete table %[1]s\ntable %[1]s {\n", table)
	fmt.Fprintf(&b, "\tset pods { type ipv4_addr; %s}\n", elements(known))
	jumps := map[networkingv1.PolicyType][]string{}
	for i, p := range pods {
		for _, direction := range []networkingv1.PolicyType{networkingv1.PolicyTypeEgress, networkingv1.PolicyTypeIngress} {
			rules, isolated, err := w.rules(p, direction)
			if err != nil {
				return "", err
			}
			if !isolated {
				continue
			}
			chain := fmt.Sprintf("%s_%d", strings.ToLower(string(direction)), i)
			jumps[direction] = append(jumps[direction], fmt.Sprintf("%s : jump %s", p.Status.PodIP, chain))
			fmt.Fprintf(&b, "\tchain %s { # %s/%s\n", chain, p.Namespace, p.Name)
			for _, r := range rules {
				fmt.Fprintf(&b, "\t\t%s return\n", r)
			}
			b.WriteString("\t\tdrop\n\t}\n")
		}
	}
	fmt.Fprintf(&b, "\tmap egress { type ipv4_addr : verdict; %s}\n", elements(jumps[networkingv1.PolicyTypeEgress]))
	fmt.Fprintf(&b, "\tmap ingress { type ipv4_addr : verdict; %s}\n", elements(jumps[networkingv1.PolicyTypeIngress]))
	fmt.Fprintf(&b, `	chain forward {
		type filter hook forward priority -10; policy accept;
		ct state established,related accept
		ip saddr %[1]s ip saddr != @pods drop
		ip daddr %[1]s ip daddr != @pods drop
		ip saddr vmap @egress
		ip daddr vmap @ingress
	}
	chain input {
		type filter hook input priority -10; policy accept;
		ct state established,related accept
		ip saddr %[1]s ip saddr != @pods drop
		ip saddr vmap @egress
	}
}
`, w.network.Masked())
	return b.String(), nil
}

func elements(all []string) string {
	if len(all) == 0 {
		return ""
	}
	return "elements = { " + strings.Join(all, ", ") + " }; "
}

// networked are the pods that have an address of their own and have not ended, in order of their names.
// Of two with one address only the newer has it: the older one is ending.
func (w world) networked() []*corev1.Pod {
	holder := map[netip.Addr]*corev1.Pod{}
	for _, p := range w.pods {
		address, err := netip.ParseAddr(p.Status.PodIP)
		ended := p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
		if err != nil || !address.Is4() || p.Spec.HostNetwork || ended {
			continue
		}
		if other := holder[address]; other == nil || other.CreationTimestamp.Before(&p.CreationTimestamp) {
			holder[address] = p
		}
	}
	return slices.SortedFunc(maps.Values(holder), func(a, b *corev1.Pod) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
}

// rules are the matches that a pod's policies allow in one direction; isolated tells whether any policy speaks of it.
func (w world) rules(p *corev1.Pod, direction networkingv1.PolicyType) (rules []string, isolated bool, err error) {
	for _, policy := range w.policies {
		if policy.Namespace != p.Namespace || !slices.Contains(directions(policy.Spec), direction) {
			continue
		}
		mine, err := matches(&policy.Spec.PodSelector, p.Labels)
		if err != nil {
			return nil, false, fmt.Errorf("NetworkPolicy %s/%s: %w", policy.Namespace, policy.Name, err)
		}
		if !mine {
			continue
		}
		isolated = true
		of, err := w.policyRules(policy, p, direction)
		if err != nil {
			return nil, false, fmt.Errorf("NetworkPolicy %s/%s: %w", policy.Namespace, policy.Name, err)
		}
		rules = append(rules, of...)
	}
	slices.Sort(rules)
	return slices.Compact(rules), isolated, nil
}

// directions are the policy's types; the API server fills them, and this is how.
func directions(spec networkingv1.NetworkPolicySpec) []networkingv1.PolicyType {
	if len(spec.PolicyTypes) > 0 {
		return spec.PolicyTypes
	}
	if len(spec.Egress) > 0 {
		return []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}
	}
	return []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
}

func matches(selector *metav1.LabelSelector, set labels.Set) (bool, error) {
	s, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && s.Matches(set), err
}

func (w world) policyRules(policy *networkingv1.NetworkPolicy, p *corev1.Pod, direction networkingv1.PolicyType) ([]string, error) {
	var all []string
	if direction == networkingv1.PolicyTypeIngress {
		for _, r := range policy.Spec.Ingress {
			peers, err := w.peers(policy.Namespace, r.From)
			if err != nil {
				return nil, err
			}
			// A named port is one of the pod's own.
			all = append(all, join(peers.matches("saddr"), portMatches(r.Ports, p))...)
		}
		return all, nil
	}
	for _, r := range policy.Spec.Egress {
		peers, err := w.peers(policy.Namespace, r.To)
		if err != nil {
			return nil, err
		}
		all = append(all, join(peers.matches("daddr"), portMatches(r.Ports, nil))...)
		// A named port is one of whom it goes to, so each of these has rules of its own.
		for _, peer := range peers.pods {
			named := slices.DeleteFunc(slices.Clone(r.Ports), func(port networkingv1.NetworkPolicyPort) bool { return !isNamed(port) })
			if len(named) > 0 {
				all = append(all, join([]string{"ip daddr " + peer.Status.PodIP}, portMatches(named, peer))...)
			}
		}
	}
	return all, nil
}

// join is every combination.
func join(peers, ports []string) []string {
	var all []string
	for _, peer := range peers {
		for _, port := range ports {
			all = append(all, strings.TrimSpace(peer+" "+port))
		}
	}
	return all
}

// peers are whom one rule speaks of.
type peers struct {
	anybody bool
	pods    []*corev1.Pod
	blocks  []networkingv1.IPBlock
}

func (w world) peers(namespace string, of []networkingv1.NetworkPolicyPeer) (peers, error) {
	found := peers{anybody: len(of) == 0}
	pods := w.networked()
	if found.anybody {
		found.pods = pods
	}
	for _, peer := range of {
		if peer.IPBlock != nil {
			found.blocks = append(found.blocks, *peer.IPBlock)
			continue
		}
		for _, p := range pods {
			is, err := w.isPeer(namespace, peer, p)
			if err != nil {
				return peers{}, err
			}
			if is {
				found.pods = append(found.pods, p)
			}
		}
	}
	return found, nil
}

func (w world) isPeer(namespace string, peer networkingv1.NetworkPolicyPeer, p *corev1.Pod) (bool, error) {
	if peer.NamespaceSelector == nil && p.Namespace != namespace {
		return false, nil
	}
	if peer.NamespaceSelector != nil {
		set, known := w.namespaces[p.Namespace]
		is, err := matches(peer.NamespaceSelector, set)
		if err != nil || !is || !known {
			return false, err
		}
	}
	if peer.PodSelector == nil {
		return true, nil
	}
	return matches(peer.PodSelector, p.Labels)
}

// matches are expressions of nft; none, if nobody is meant. An empty one matches everybody.
func (p peers) matches(field string) []string {
	if p.anybody {
		return []string{""}
	}
	var all, addresses []string
	for _, pod := range p.pods {
		addresses = append(addresses, pod.Status.PodIP)
	}
	if len(addresses) > 0 {
		slices.Sort(addresses)
		all = append(all, fmt.Sprintf("ip %s { %s }", field, strings.Join(slices.Compact(addresses), ", ")))
	}
	for _, block := range p.blocks {
		if prefix, err := netip.ParsePrefix(block.CIDR); err != nil || !prefix.Addr().Is4() {
			continue // of the other family
		}
		match := fmt.Sprintf("ip %s %s", field, block.CIDR)
		for _, except := range block.Except {
			match += fmt.Sprintf(" ip %s != %s", field, except)
		}
		all = append(all, match)
	}
	return all
}

func isNamed(port networkingv1.NetworkPolicyPort) bool {
	return port.Port != nil && port.Port.Type == intstr.String
}

// portMatches are expressions of nft; named ports are those of server, and match nothing without one.
func portMatches(ports []networkingv1.NetworkPolicyPort, server *corev1.Pod) []string {
	if len(ports) == 0 {
		return []string{""}
	}
	var all []string
	for _, port := range ports {
		protocol := corev1.ProtocolTCP
		if port.Protocol != nil {
			protocol = *port.Protocol
		}
		nft := strings.ToLower(string(protocol))
		switch {
		case port.Port == nil:
			all = append(all, "meta l4proto "+nft)
		case isNamed(port):
			for _, number := range namedPorts(server, port.Port.StrVal, protocol) {
				all = append(all, fmt.Sprintf("%s dport %d", nft, number))
			}
		case port.EndPort != nil:
			all = append(all, fmt.Sprintf("%s dport %d-%d", nft, port.Port.IntVal, *port.EndPort))
		default:
			all = append(all, fmt.Sprintf("%s dport %d", nft, port.Port.IntVal))
		}
	}
	return all
}

func namedPorts(p *corev1.Pod, name string, protocol corev1.Protocol) []int32 {
	var all []int32
	if p == nil {
		return nil
	}
	for _, c := range slices.Concat(p.Spec.Containers, p.Spec.InitContainers) {
		for _, port := range c.Ports {
			declared := port.Protocol
			if declared == "" {
				declared = corev1.ProtocolTCP
			}
			if port.Name == name && declared == protocol {
				all = append(all, port.ContainerPort)
			}
		}
	}
	return all
}
