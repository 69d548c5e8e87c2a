package netpol

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// resolver opens DNS: to the resolver's pods, to its Service (some CNIs judge
// before the address is translated), and to a node-local cache, which runs in
// the node's network where no selector finds it. Always UDP and TCP: a truncated
// answer is asked for again by TCP.
func (c *compiler) resolver(l *leg, h *home) ([]permission, []special) {
	dns := &c.m.Cluster.DNS
	if !dns.Known() {
		c.problem(l.origin, dnsUnknown)
		return nil, nil
	}
	allowed, named := c.resolverPods(l, h)
	service := bothProtocols(dns.ServicePorts)
	if len(service) == 0 {
		service = bothProtocols(dialledByResolvConf)
	}
	allowed = append(allowed, addressesOn(l.origin, dns.ServiceIPs, service)...)
	return append(allowed, addressesOn(l.origin, dns.NodeLocal, bothProtocols(dialledByResolvConf))...), named
}

// dialledByResolvConf is the only port that /etc/resolv.conf can mean (resolv.conf(5)).
var dialledByResolvConf = []model.Port{model.UDP(53)}

// resolverPods opens the pods of the DNS Service, and those of caches beside it.
func (c *compiler) resolverPods(l *leg, h *home) (allowed []permission, named []special) {
	dns := &c.m.Cluster.DNS
	resolvers := dns.Caches
	switch {
	case dns.Namespace == "":
	case len(dns.Ports) == 0:
		c.problem(l.origin, dnsPortsUnknown)
	default:
		resolvers = append([]model.DNSCache{{Namespace: dns.Namespace, PodSelector: dns.PodSelector, Ports: dns.Ports}}, resolvers...)
	}
	for i := range resolvers {
		a, n := c.podsOf(l, h, &resolvers[i])
		allowed, named = append(allowed, a...), append(named, n...)
	}
	return allowed, named
}

func (c *compiler) podsOf(l *leg, h *home, resolver *model.DNSCache) ([]permission, []special) {
	pods := &model.Peer{Kind: model.PeerPods, Namespace: resolver.Namespace, PodSelector: resolver.PodSelector}
	workloads := c.m.WorkloadsIn(resolver.Namespace)
	for i := range workloads {
		if model.Matches(&resolver.PodSelector, workloads[i].Labels) {
			pods.Workloads = append(pods.Workloads, workloads[i].ID)
		}
	}
	to := *l
	to.ports = bothProtocols(resolver.Ports)
	to.plain = to.ports
	return c.pods(&to, pods, h, false)
}

// bothProtocols lists each port by UDP and by TCP.
func bothProtocols(ports []model.Port) []model.Port {
	var both []model.Port
	for _, p := range ports {
		for _, protocol := range []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP} {
			p.Protocol = protocol
			both = append(both, p)
		}
	}
	return model.SortPorts(slices.Clip(both))
}
