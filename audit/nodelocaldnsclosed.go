package audit

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// nodeLocalDNSClosed is policies that open DNS to the resolver's pods where pods ask
// a node-local cache. The cache runs on the node's network, out of reach of any
// podSelector, under an address that differs between distributions, or in pods of its own (kubernetes#70555, calico#3795).
func nodeLocalDNSClosed() Kind {
	return Kind{
		Code: "NodeLocalDNSClosed", Severities: []model.Severity{model.Error, model.Warning, model.Info},
		Says: "NetworkPolicies open the resolver's pods, and pods ask a node-local cache",
		Why:  "Selectors of the resolver's pods do not find the cache, so DNS fails on every node where the cache runs.",
		Fix:  "allow UDP and TCP port 53 to the addresses of the cache with an ipBlock, beside the rule for the resolver's pods",
		Find: findNodeLocalDNSClosed,
	}
}

func findNodeLocalDNSClosed(e *Evidence) []model.Finding {
	addresses, caches := e.cacheAddresses(), e.cachePods()
	if len(addresses)+len(caches) == 0 {
		return nil
	}
	byAddress, byPods := &blamed{}, &blamed{}
	for _, group := range e.isolatedFor(model.FilterEgress) {
		w := group.workloads[0]
		open := e.asksResolver(w)
		if open.Decision <= verdict.Unclear || len(open.Causes) == 0 {
			continue // DNSClosed says it
		}
		into := byAddress
		switch {
		case len(addresses) > 0 && e.refusedAt(w, addresses):
		case len(addresses) == 0 && e.refusedBy(w, caches):
			into = byPods
		default:
			continue
		}
		for _, w := range group.workloads {
			if asksForNames(w, &e.State.Cluster.DNS) {
				into.add(open.Causes[0], w)
			}
		}
	}
	var found []model.Finding
	for _, cause := range byAddress.causes {
		message := fmt.Sprintf("it opens DNS to %s, but not to the node-local cache at %s, which these ask: the cache is on the node's network, where no podSelector finds it",
			named(byAddress.of(cause)), addressTexts(addresses))
		found = append(found, e.closed(nodeLocalDNSClosed(), model.Error, cause, message, ""))
	}
	for _, cause := range byPods.causes {
		severity := model.Warning
		if e.redirectsLocally() {
			severity = model.Error
		}
		message := fmt.Sprintf("it opens DNS to %s, but not to the pods of the node-local cache (%s), to which the CNI redirects what they ask", named(byPods.of(cause)), caches[0].pod.ID)
		found = append(found, e.closed(nodeLocalDNSClosed(), severity, cause, message, "allow UDP and TCP port 53 to the pods of the cache as well, by their labels"))
	}
	return found
}

// refusedAt tells whether policies let a workload ask at none of some addresses.
func (e *Evidence) refusedAt(w *model.Workload, addresses []netip.Addr) bool {
	return !slices.ContainsFunc(addresses, func(a netip.Addr) bool {
		return e.sends(w, at(a), model.UDP(dnsPort)).Decision != verdict.Refused
	})
}

func (e *Evidence) refusedBy(w *model.Workload, pods []calledPod) bool {
	return !slices.ContainsFunc(pods, func(c calledPod) bool {
		return slices.ContainsFunc(c.ports, func(p model.Port) bool {
			return e.sends(w, verdict.End{Workload: c.pod}, p).Decision != verdict.Refused
		})
	})
}

// redirectsLocally tells whether the redirection to a cache in pods was read.
func (e *Evidence) redirectsLocally() bool {
	return slices.ContainsFunc(e.Model.Existing, func(o model.Object) bool { return o.Ref().Kind == "CiliumLocalRedirectPolicy" })
}

func addressTexts(addresses []netip.Addr) string {
	texts := make([]string, len(addresses))
	for i, a := range addresses {
		texts[i] = a.String()
	}
	return strings.Join(texts, ", ")
}
