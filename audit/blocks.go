package audit

import (
	"fmt"
	"net/netip"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"

	"floe.dev/palisade/model"
)

// blockOf is an ipBlock as a range less some others; false where it is none.
func blockOf(b *networkingv1.IPBlock) (model.AddressBlock, bool) {
	cidr, err := netip.ParsePrefix(b.CIDR)
	if err != nil {
		return model.AddressBlock{}, false
	}
	block := model.AddressBlock{CIDR: cidr.Masked()}
	for _, text := range b.Except {
		hole, err := netip.ParsePrefix(text)
		if err != nil {
			return model.AddressBlock{}, false
		}
		block.Except = append(block.Except, hole.Masked())
	}
	return block, true
}

// within tells whether the whole of a range lies in another.
func within(a, in netip.Prefix) bool { return in.Bits() <= a.Bits() && in.Contains(a.Addr()) }

// touches tells whether a block holds a part of a range: what is left out of it counts where it covers the range.
func touches(b model.AddressBlock, r netip.Prefix) bool {
	return b.CIDR.Overlaps(r) && !slices.ContainsFunc(b.Except, func(hole netip.Prefix) bool { return within(r, hole) || within(b.CIDR, hole) })
}

// podRanges are the ranges of pods that are known, and the addresses of those that run.
func (e *Evidence) podRanges() []netip.Prefix {
	ranges := slices.Clone(e.State.Cluster.PodCIDRs)
	e.eachWorkload(func(w *model.Workload) {
		if w.Spec.HostNetwork {
			return
		}
		for _, a := range w.Addresses {
			one := netip.PrefixFrom(a, a.BitLen())
			if !slices.ContainsFunc(ranges, func(r netip.Prefix) bool { return within(one, r) }) {
				ranges = append(ranges, one)
			}
		}
	})
	return ranges
}

// eachBlock visits the blocks of the policies that palisade did not write itself.
func (e *Evidence) eachBlock(visit func(p *Policy, field string, layer model.FilterLayer, block model.AddressBlock, ports []networkingv1.NetworkPolicyPort)) {
	for i := range e.Policies {
		p := &e.Policies[i]
		if p.Labels[model.ManagedByLabel] == model.ManagedByValue {
			continue
		}
		eachRule(p, func(field string, layer model.FilterLayer, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) {
			list := "from"
			if layer == model.FilterEgress {
				list = "to"
			}
			for j := range peers {
				if peers[j].IPBlock == nil {
					continue
				}
				if block, ok := blockOf(peers[j].IPBlock); ok {
					visit(p, fmt.Sprintf("%s.%s[%d].ipBlock", field, list, j), layer, block, ports)
				}
			}
		})
	}
}

// isPrivate tells of ranges that networks take for themselves (RFC 1918, RFC 6598, RFC 4193).
func isPrivate(r netip.Prefix) bool {
	for _, text := range [...]string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"} {
		if netip.MustParsePrefix(text).Overlaps(r) {
			return true
		}
	}
	return false
}
