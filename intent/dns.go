package intent

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"floe.dev/palisade/model"
)

// dns finds the resolver that pods really use: the DNS Service with its pods,
// addresses of a node-local cache, and servers given by flag.
func (f *facts) dns() {
	dns := &f.cluster.DNS
	dialled := f.dialledResolvers()
	dns.Caches = f.caches()
	dns.CacheAddresses = addresses(f.nodeLocal())
	if dns.Dialled = addresses(f.given.DNSServers); len(dns.Dialled) == 0 {
		dns.Dialled = dialled
	}
	dns.NodeLocal = addresses(append(f.nodeLocal(), f.given.DNSServers...))
	for _, a := range dialled {
		if !inside(f.cluster.ServiceCIDRs, a) { // a cluster IP is worth nothing without what is behind it
			dns.NodeLocal = append(dns.NodeLocal, a)
		}
	}
	slices.SortFunc(dns.NodeLocal, netip.Addr.Compare)
	dns.NodeLocal = slices.Compact(dns.NodeLocal)
	service := f.dnsService(append(dialled, addresses(f.given.DNSServers)...))
	if service == nil {
		if len(dns.NodeLocal) > 0 {
			dns.Ports = []model.Port{model.TCP(53), model.UDP(53)}
		}
		return
	}
	dns.ServiceIPs = addresses(service.ClusterIPs)
	dns.NodeLocal = slices.DeleteFunc(dns.NodeLocal, func(a netip.Addr) bool { return slices.Contains(dns.ServiceIPs, a) })
	target := map[int32]bool{}
	for i := range service.Ports {
		p := &service.Ports[i]
		if !isDNSPort(*p) {
			continue // metrics, most often
		}
		dns.ServicePorts = append(dns.ServicePorts, model.TCP(p.Port), model.UDP(p.Port))
		for _, number := range f.dnsTargets(service, p) {
			target[number] = true
		}
	}
	dns.ServicePorts = model.SortPorts(dns.ServicePorts)
	for _, number := range slices.Sorted(maps.Keys(target)) {
		dns.Ports = append(dns.Ports, model.TCP(number), model.UDP(number))
	}
	dns.Ports = model.SortPorts(dns.Ports)
	if len(dns.Ports) == 0 {
		f.problem("DNSPortUnknown", model.Error, model.Ref{APIVersion: "v1", Kind: "Service", Namespace: service.Namespace, Name: service.Name},
			"the Service's target port has a name that no pod and no EndpointSlice that was read explains: its pods stay closed",
			"read the resolver's Deployment (-f), or give --dns-server")
		return
	}
	dns.Namespace = service.Namespace
	dns.PodSelector = metav1.LabelSelector{MatchLabels: service.Selector}
}

// dialledResolvers are the addresses that kubelets write into resolv.conf, where
// kubeadm's configuration of them was read.
func (f *facts) dialledResolvers() []netip.Addr {
	var kubelet struct {
		ClusterDNS []string `json:"clusterDNS"`
	}
	if yaml.Unmarshal([]byte(f.configMap("kube-system", "kubelet-config", "kubelet")), &kubelet) != nil {
		return nil // said where the domain is read from it
	}
	return addresses(kubelet.ClusterDNS)
}

func inside(ranges []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(ranges, func(p netip.Prefix) bool { return p.Contains(a) })
}

// dnsService chooses the Service that serves DNS for the cluster. A Service is a
// candidate where it has port 53 and a selector, and has one of the addresses
// that pods dial or bears a name or label of a cluster resolver; kube-dns, the
// name that every distribution keeps for compatibility, comes before others.
func (f *facts) dnsService(dialled []netip.Addr) *model.Service {
	dnsRank := func(s *model.Service) int {
		if slices.ContainsFunc(addresses(s.ClusterIPs), func(a netip.Addr) bool { return slices.Contains(dialled, a) }) {
			return surest
		}
		return dnsRank(s)
	}
	var candidates []*model.Service
	for i := range f.snapshot.Services {
		s := &f.snapshot.Services[i]
		if len(s.Selector) > 0 && dnsRank(s) > 0 && slices.ContainsFunc(s.Ports, isDNSPort) {
			candidates = append(candidates, s)
		}
	}
	if len(candidates) == 0 {
		return nil
	}
	slices.SortStableFunc(candidates, func(a, b *model.Service) int {
		return cmp.Or(dnsRank(b)-dnsRank(a), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	if len(candidates) > 1 && dnsRank(candidates[0]) == dnsRank(candidates[1]) {
		f.problem("DNSAmbiguous", model.Warning, model.Ref{APIVersion: "v1", Kind: "Service", Namespace: candidates[0].Namespace, Name: candidates[0].Name},
			fmt.Sprintf("this Service and %s/%s both look like the cluster's resolver; the first is taken", candidates[1].Namespace, candidates[1].Name),
			"give --dns-server for the other one if pods use it")
	}
	return candidates[0]
}

func isDNSPort(p corev1.ServicePort) bool { return p.Port == 53 }

// surest is the rank of a Service with an address that pods are known to dial.
const surest = 5

// dnsRank tells how surely a Service is the cluster's resolver; 0 means that it is not.
func dnsRank(s *model.Service) int {
	known := slices.Contains([]string{"kube-dns", "coredns", "rke2-coredns-rke2-coredns", "dns-default"}, s.Name)
	labelled := s.Labels["k8s-app"] == "kube-dns" || s.Labels["k8s-app"] == "coredns" || s.Labels["dns.operator.openshift.io/owning-dns"] != ""
	switch {
	case s.Namespace == "kube-system" && s.Name == "kube-dns":
		return 4
	case known && labelled:
		return 3
	case s.Namespace == "kube-system" && (known || labelled):
		return 2
	case known || labelled:
		return 1
	default:
		return 0
	}
}

// dnsTargets are the numbers behind one port of the DNS Service.
func (f *facts) dnsTargets(service *model.Service, p *corev1.ServicePort) []int32 {
	if number := p.TargetPort.IntVal; p.TargetPort.StrVal == "" && number != 0 {
		return []int32{number}
	}
	if p.TargetPort.StrVal == "" {
		return []int32{p.Port}
	}
	var numbers []int32
	for i := range f.snapshot.Workloads {
		w := &f.snapshot.Workloads[i]
		if w.ID.Namespace == service.Namespace && containsAll(w.Labels, service.Selector) {
			if number := w.PortNamed(p.TargetPort.StrVal, model.ProtocolOr(p.Protocol)); number != 0 {
				numbers = append(numbers, number)
			}
		}
	}
	if len(numbers) > 0 {
		return numbers
	}
	return f.sliceTargets(service, p.Name)
}

// sliceTargets are the numbers that EndpointSlices and Endpoints give to a port of a Service.
func (f *facts) sliceTargets(service *model.Service, portName string) []int32 {
	var numbers []int32
	for i := range f.snapshot.EndpointSlices {
		slice := &f.snapshot.EndpointSlices[i]
		if slice.Namespace != service.Namespace || slice.Labels[discoveryv1.LabelServiceName] != service.Name {
			continue
		}
		for _, p := range slice.Ports {
			if p.Port != nil && (p.Name == nil || *p.Name == portName) {
				numbers = append(numbers, *p.Port)
			}
		}
	}
	for i := range f.snapshot.Endpoints {
		e := &f.snapshot.Endpoints[i]
		if e.Namespace != service.Namespace || e.Name != service.Name {
			continue
		}
		for _, subset := range e.Subsets {
			for _, p := range subset.Ports {
				if p.Name == portName {
					numbers = append(numbers, p.Port)
				}
			}
		}
	}
	return numbers
}

// caches finds node-local caches in pods of their own, as Cilium's local
// redirect and GKE's data plane run them; those in the node's network have addresses instead.
func (f *facts) caches() []model.DNSCache {
	var found []model.DNSCache
	for i := range f.snapshot.Workloads {
		w := &f.snapshot.Workloads[i]
		if !isNodeLocalDNS(w) || w.Spec.HostNetwork || model.IsEverything(&w.Selector) {
			continue
		}
		ports := []model.Port{model.TCP(53), model.UDP(53)}
		for _, p := range w.ContainerPorts() {
			if p.Name == "dns" || p.Name == "dns-tcp" {
				ports = append(ports, model.TCP(p.Number), model.UDP(p.Number))
			}
		}
		found = append(found, model.DNSCache{Namespace: w.ID.Namespace, PodSelector: w.Selector, Ports: model.SortPorts(ports)})
	}
	return found
}

func isNodeLocalDNS(w *model.Workload) bool {
	return w.Labels["k8s-app"] == "node-local-dns" || w.ID.Name == "node-local-dns"
}

// nodeLocal finds the addresses of a node-local DNS cache: from its -localip
// argument, and from the bind lines of its Corefile.
func (f *facts) nodeLocal() []string {
	var found []string
	for i := range f.snapshot.Workloads {
		w := &f.snapshot.Workloads[i]
		if !isNodeLocalDNS(w) {
			continue
		}
		for j := range w.Spec.Containers {
			args := append(slices.Clone(w.Spec.Containers[j].Command), w.Spec.Containers[j].Args...)
			found = append(found, split(firstOf(flagValue(args, "-localip"), flagValue(args, "--localip")))...)
		}
	}
	for line := range strings.Lines(f.configMap("kube-system", "node-local-dns", "Corefile")) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "bind" {
			found = append(found, words[1:]...)
		}
	}
	return found
}
