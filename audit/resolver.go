package audit

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// dnsAnswer is how pods come by the cluster's resolver.
type dnsAnswer struct {
	verdict.Answer
	// byService tells that nothing is open but the address of the resolver's Service:
	// that is of no use where the CNI translates it first (Refused), and may be (Unclear) where the CNI is not known.
	byService bool
}

// asksForNames tells whether pods ask the cluster's resolver, and not one of their own.
func asksForNames(w *model.Workload, dns *model.DNS) bool {
	switch w.Spec.DNSPolicy {
	case corev1.DNSDefault:
		return false
	case corev1.DNSNone:
		if w.Spec.DNSConfig == nil || len(w.Spec.DNSConfig.Nameservers) == 0 {
			return false
		}
		return !slices.ContainsFunc(w.Spec.DNSConfig.Nameservers, func(text string) bool {
			a, err := netip.ParseAddr(text)
			return err != nil || !slices.Contains(dns.ServiceIPs, a) && !slices.Contains(dns.NodeLocal, a)
		})
	default:
		return true
	}
}

// asksResolver is the widest way that policies leave a workload to the resolver over UDP.
func (e *Evidence) asksResolver(w *model.Workload) dnsAnswer {
	best := e.asksResolverPods(w)
	for _, a := range e.State.Cluster.DNS.NodeLocal {
		best.take(e.sends(w, at(a), model.UDP(dnsPort)), false)
	}
	e.asksService(w, &best)
	return best
}

// take keeps the wider of two answers.
func (d *dnsAnswer) take(a verdict.Answer, byService bool) {
	if a.Decision > d.Decision {
		*d = dnsAnswer{a, byService}
	}
}

func (e *Evidence) asksResolverPods(w *model.Workload) dnsAnswer {
	best := dnsAnswer{}
	for _, c := range e.resolverPods() {
		for _, p := range c.ports {
			answer := e.sends(w, verdict.End{Workload: c.pod}, p)
			if answer.Decision == verdict.Unclear && e.namesServices(e.filter(model.FilterEgress, w), answer.Causes) {
				continue // no pod has the address of a Service
			}
			best.take(answer, false)
		}
		if best.Decision == verdict.Refused && !c.read && mayFind(e.filter(model.FilterEgress, w), c) {
			best.Decision = verdict.Unclear
		}
	}
	return best
}

// asksService is for the address of the resolver's Service: it counts where a cache
// answers there, and where the CNI judges before it is translated.
func (e *Evidence) asksService(w *model.Workload, best *dnsAnswer) {
	dns := &e.State.Cluster.DNS
	sees := e.datapath().seesServices
	for _, a := range dns.ServiceIPs {
		for _, p := range udp(dns.ServicePorts) {
			answer := e.sends(w, at(a), p)
			switch {
			case slices.Contains(dns.CacheAddresses, a) || sees == yes:
				best.take(answer, false)
			case sees == unknown:
				answer.Decision = min(answer.Decision, verdict.Unclear)
				best.take(answer, true)
			case answer.Decision == verdict.Open && best.Decision == verdict.Refused:
				best.byService = true
			}
		}
	}
}

// calledPod is one kind of pods that others must reach, on some ports.
type calledPod struct {
	pod   *model.Workload
	ports []model.Port
	// read tells that the pods were read; otherwise the labels are those that the Service asks for, and there may be more.
	read bool
}

// resolverPods are the pods behind the resolver's Service, and caches that run in pods of their own.
func (e *Evidence) resolverPods() []calledPod {
	dns := &e.State.Cluster.DNS
	found := e.cachePods()
	if dns.Namespace == "" {
		return found
	}
	before := len(found)
	for _, w := range e.workloadsIn(dns.Namespace) {
		if model.Matches(&dns.PodSelector, w.Labels) {
			found = append(found, calledPod{w, udp(dns.Ports), true})
		}
	}
	if len(found) == before {
		found = append(found, e.standIn(dns.Namespace, &dns.PodSelector, udp(dns.Ports)))
	}
	return found
}

// standIn is for pods that were not read: all that is known of their labels is what a selector asks for.
func (e *Evidence) standIn(namespace string, selector *metav1.LabelSelector, ports []model.Port) calledPod {
	w := &model.Workload{ID: model.WorkloadID{Namespace: namespace, Kind: "Pod"}, Labels: selector.MatchLabels}
	if n := e.Model.Namespace(namespace); n != nil {
		w.NamespaceLabels = n.Labels
	}
	return calledPod{w, ports, false}
}

// cachePods are those of caches to which the CNI redirects.
func (e *Evidence) cachePods() []calledPod {
	var found []calledPod
	for _, c := range e.State.Cluster.DNS.Caches {
		for _, w := range e.workloadsIn(c.Namespace) {
			if model.Matches(&c.PodSelector, w.Labels) {
				found = append(found, calledPod{w, udp(c.Ports), true})
			}
		}
	}
	return found
}

// mayFind tells whether some rule would find pods of which not all labels are known.
func mayFind(f *model.Filter, c calledPod) bool {
	return slices.ContainsFunc(f.Rules, func(r model.FilterRule) bool {
		return slices.ContainsFunc(c.ports, func(p model.Port) bool { return holdsPort(&r, p, c.pod) }) &&
			slices.ContainsFunc(r.Peers, func(t model.Term) bool {
				return t.Pods != nil && (t.Pods.Namespace == c.pod.ID.Namespace || t.Pods.Namespace == "" && model.Matches(t.Pods.NamespaceSelector, c.pod.NamespaceLabels))
			})
	})
}

func udp(ports []model.Port) []model.Port {
	return slices.DeleteFunc(slices.Clone(ports), func(p model.Port) bool { return p.Protocol != corev1.ProtocolUDP })
}

// cacheAddresses are those of a node-local cache that pods dial: what kubelets hand
// out, where that is known; else the Service's where the cache takes these, for then
// nobody has to be told; else the cache's own.
func (e *Evidence) cacheAddresses() []netip.Addr {
	dns := &e.State.Cluster.DNS
	answers := slices.Clone(dns.CacheAddresses)
	for _, a := range dns.NodeLocal {
		if a.IsLinkLocalUnicast() {
			answers = append(answers, a)
		}
	}
	cached := func(a netip.Addr) bool { return slices.Contains(answers, a) }
	dialled := dns.Dialled
	switch {
	case len(dialled) > 0:
	case slices.ContainsFunc(dns.ServiceIPs, cached):
		dialled = dns.ServiceIPs
	default:
		dialled = dns.NodeLocal
	}
	return slices.DeleteFunc(slices.Clone(dialled), func(a netip.Addr) bool { return !cached(a) })
}

// namesServices tells whether all blocks of some rules hold addresses of Services alone.
func (e *Evidence) namesServices(f *model.Filter, rules []model.Cause) bool {
	services := slices.Clone(e.State.Cluster.ServiceCIDRs)
	for _, a := range e.State.Cluster.DNS.ServiceIPs {
		services = append(services, netip.PrefixFrom(a, a.BitLen()))
	}
	return !slices.ContainsFunc(f.Rules, func(r model.FilterRule) bool {
		return slices.Contains(rules, r.Cause) && slices.ContainsFunc(r.Peers, func(t model.Term) bool {
			return slices.ContainsFunc(t.In, func(b model.AddressBlock) bool {
				return !slices.ContainsFunc(services, func(s netip.Prefix) bool { return within(b.CIDR, s) })
			})
		})
	})
}
