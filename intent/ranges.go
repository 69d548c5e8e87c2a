package intent

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// ranges reads the cluster's own address ranges.
func (f *facts) ranges() {
	const kubeadm, configuration = "kubeadm-config", "ClusterConfiguration"
	pods := f.given.PodCIDRs
	if len(pods) == 0 {
		pods = split(firstOf(
			f.configValue("kube-system", kubeadm, configuration, "networking", "podSubnet"),
			f.configValue("kube-system", "kube-proxy", "config.conf", "clusterCIDR"),
			f.argument("kube-controller-manager", "--cluster-cidr"),
		))
		pods = append(pods, f.pools()...)
	}
	services := f.given.ServiceCIDRs
	if len(services) == 0 {
		services = split(firstOf(
			f.configValue("kube-system", kubeadm, configuration, "networking", "serviceSubnet"),
			f.argument("kube-apiserver", "--service-cluster-ip-range"),
			f.argument("kube-controller-manager", "--service-cluster-ip-range"),
		))
		services = append(services, f.listed("ServiceCIDR", "cidrs")...)
	}
	f.cluster.PodCIDRs = prefixes(pods)
	f.cluster.ServiceCIDRs = prefixes(services)
	f.nodeRanges(len(pods) == 0)
}

// pools are the ranges from which a CNI takes the addresses of pods: Calico's
// IPPools, and Cilium's cluster pool. They count beside what kubeadm was told:
// a range too many closes more, and one too few would open pods as if they were outside.
func (f *facts) pools() []string {
	found := f.listed("IPPool", "cidr")
	for _, key := range []string{"cluster-pool-ipv4-cidr", "cluster-pool-ipv6-cidr"} {
		found = append(found, split(f.configMap("kube-system", "cilium-config", key))...)
	}
	return found
}

// listed collects a field of the specs of all objects of a kind, a text or a list of texts.
func (f *facts) listed(kind, field string) []string {
	var found []string
	for i := range f.snapshot.Objects {
		o := &f.snapshot.Objects[i]
		if o.Ref().Kind != kind {
			continue
		}
		switch value := o.Map("spec")[field].(type) {
		case string:
			found = append(found, value)
		case []any:
			for _, one := range value {
				text, _ := one.(string)
				found = append(found, text)
			}
		}
	}
	return found
}

// nodeRanges reads the nodes' addresses, and their pod ranges where nothing wider is known.
func (f *facts) nodeRanges(podsToo bool) {
	nodes := f.given.NodeCIDRs
	for i := range f.snapshot.Nodes {
		node := &f.snapshot.Nodes[i]
		if podsToo {
			f.cluster.PodCIDRs = append(f.cluster.PodCIDRs, prefixes(podRanges(node))...)
		}
		if len(f.given.NodeCIDRs) > 0 {
			continue
		}
		for _, address := range node.Status.Addresses {
			if address.Type == corev1.NodeInternalIP || address.Type == corev1.NodeExternalIP {
				nodes = append(nodes, address.Address)
			}
		}
	}
	f.cluster.PodCIDRs = sortPrefixes(f.cluster.PodCIDRs)
	f.cluster.NodeCIDRs = sortPrefixes(prefixes(nodes))
}

func podRanges(node *corev1.Node) []string {
	if len(node.Spec.PodCIDRs) > 0 {
		return node.Spec.PodCIDRs
	}
	return split(node.Spec.PodCIDR)
}

func split(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

// prefixes parses ranges; a bare address is a range of one. What does not parse is left out.
func prefixes(texts []string) []netip.Prefix {
	var parsed []netip.Prefix
	for _, text := range texts {
		if p, err := netip.ParsePrefix(strings.TrimSpace(text)); err == nil {
			parsed = append(parsed, p.Masked())
		} else if a, err := netip.ParseAddr(strings.TrimSpace(text)); err == nil {
			parsed = append(parsed, netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()))
		}
	}
	return sortPrefixes(parsed)
}

func sortPrefixes(list []netip.Prefix) []netip.Prefix {
	slices.SortFunc(list, netip.Prefix.Compare)
	return slices.Compact(list)
}

// addresses parses single addresses, sorted; what does not parse is left out.
func addresses(texts []string) []netip.Addr {
	var parsed []netip.Addr
	for _, text := range texts {
		if a, err := netip.ParseAddr(strings.TrimSpace(text)); err == nil {
			parsed = append(parsed, a.Unmap())
		}
	}
	slices.SortFunc(parsed, netip.Addr.Compare)
	return slices.Compact(parsed)
}
