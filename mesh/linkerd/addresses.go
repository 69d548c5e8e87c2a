package linkerd

import (
	"fmt"
	"net/netip"
	"slices"

	"floe.dev/palisade/model"
)

// privateRanges are those that clusters take their own addresses from.
var privateRanges = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("fc00::/7"),
}

// blocks are the address ranges of a flow's clients, less the pods' own. Clients
// by address are outside the cluster; a NetworkAuthentication knows addresses
// only, so it would let in every pod of the range, meshed ones by 4143 too, where
// a NetworkPolicy cannot tell ports apart.
func (c *compiler) blocks(f *model.Flow) []network {
	var networks []network
	for _, b := range f.Client.Addresses {
		cidr := b.CIDR.Masked()
		pods := c.podsOf(cidr)
		switch {
		case len(pods) == 0 && c.usesFamily(cidr) && slices.ContainsFunc(privateRanges, cidr.Overlaps):
			c.flowProblem(f, "ClusterRangesUnknown", model.Error,
				fmt.Sprintf("the range of pods is not known, so %s might let in all of them by their addresses: it stays closed in the mesh", cidr), "give --pod-cidr")
			continue
		case slices.ContainsFunc(pods, func(p netip.Prefix) bool { return p.Bits() <= cidr.Bits() && p.Contains(cidr.Addr()) }):
			c.flowProblem(f, "ClientNotExpressible", model.Error,
				fmt.Sprintf("%s lies in the range of pods, and pods are let in by their identity: it stays closed in the mesh", cidr), "name the clients by pods")
			continue
		}
		networks = append(networks, without(cidr, slices.Concat(b.Except, pods)))
	}
	return networks
}

// podsOf are the ranges of pods that overlap a range's, or at least tell that those of its family are known.
func (c *compiler) podsOf(cidr netip.Prefix) []netip.Prefix {
	var pods []netip.Prefix
	for _, p := range c.model.Cluster.PodCIDRs {
		if p.Addr().Is4() == cidr.Addr().Is4() {
			pods = append(pods, p.Masked())
		}
	}
	return pods
}

// usesFamily tells whether the cluster uses the family of a range, as far as is known.
func (c *compiler) usesFamily(cidr netip.Prefix) bool {
	cluster := &c.model.Cluster
	if !cluster.IPv4 && !cluster.IPv6 {
		return true
	}
	if cidr.Addr().Is4() {
		return cluster.IPv4
	}
	return cluster.IPv6
}

// without is a range less the parts of it that are listed.
func without(cidr netip.Prefix, parts []netip.Prefix) network {
	n := network{CIDR: cidr.String()}
	for _, p := range parts {
		if p = p.Masked(); p.Bits() >= cidr.Bits() && cidr.Contains(p.Addr()) {
			n.Except = append(n.Except, p.String())
		}
	}
	n.Except = sorted(n.Except)
	return n
}
