package netpol

import (
	"net/netip"
	"slices"

	"floe.dev/palisade/model"
)

// addresses are the blocks of an address peer without the holes: the cluster's
// own ranges, which some CNIs find in a block and others do not, and towards
// servers the metadata services.
func (c *compiler) addresses(origin model.Origin, of *model.Peer, inbound bool) []peer {
	holes := c.egressHoles
	if inbound {
		holes = c.ingressHoles
	}
	if len(of.Addresses) == 0 {
		c.problem(origin, addressesMissing)
	}
	var peers []peer
	for i := range of.Addresses {
		cidr := unmapped(of.Addresses[i].CIDR).Masked()
		if !cidr.IsValid() {
			c.problem(origin, addressesMissing)
			continue
		}
		if !c.mayOpen(origin, cidr, inbound) {
			continue
		}
		p, left := carve(cidr, slices.Concat(of.Addresses[i].Except, holes))
		if !left {
			c.problem(origin, nothingLeft.about(cidr.String()))
			continue
		}
		peers = append(peers, p)
	}
	return peers
}

// mayOpen tells whether enough is known to open a block. Where the cluster's own
// ranges are not, a block that may well contain them stays closed, and a public
// one is opened aloud.
func (c *compiler) mayOpen(origin model.Origin, cidr netip.Prefix, inbound bool) bool {
	private := slices.ContainsFunc(privateRanges, cidr.Overlaps)
	switch {
	case !c.rangesKnown(cidr, inbound) && private:
		c.problem(origin, clusterRangesUnknown.about(cidr.String()))
		return false
	case !c.rangesKnown(cidr, inbound):
		c.problem(origin, clusterRangesAssumed.about(cidr.String()))
	case private && !inbound && len(c.m.Cluster.NodeCIDRs) == 0 && !c.onCilium():
		c.problem(origin, nodesNotLeftOut.about(cidr.String()))
	}
	return true
}

// internet is every public address, by the families that the cluster uses.
func (c *compiler) internet(origin model.Origin) []peer {
	var peers []peer
	for _, everything := range prefixes("0.0.0.0/0", "::/0") {
		if !c.uses(everything) {
			continue
		}
		if !c.rangesKnown(everything, false) {
			c.problem(origin, clusterRangesAssumed.about("the Internet"))
		}
		if p, left := carve(everything, slices.Concat(specialRanges, c.egressHoles)); left {
			peers = append(peers, p)
		}
	}
	return peers
}

// carve is a block less its holes; false where nothing is left of it. Every
// exception lies strictly inside the block, as the API demands.
func carve(cidr netip.Prefix, holes []netip.Prefix) (peer, bool) {
	var except []netip.Prefix
	for _, hole := range aggregate(holes) {
		if contains(hole, cidr) {
			return peer{}, false
		}
		if contains(cidr, hole) {
			except = append(except, hole)
		}
	}
	return block(cidr, except), true
}

// uses tells whether the cluster uses the family of a prefix, as far as is known.
func (c *compiler) uses(p netip.Prefix) bool {
	cluster := &c.m.Cluster
	if !cluster.IPv4 && !cluster.IPv6 {
		return true
	}
	if p.Addr().Is4() {
		return cluster.IPv4
	}
	return cluster.IPv6
}

// rangesKnown tells whether the ranges of pods, and towards servers those of
// Services, are known in the family of a prefix. A family that the cluster does
// not use has none.
func (c *compiler) rangesKnown(p netip.Prefix, inbound bool) bool {
	sameFamily := func(q netip.Prefix) bool { return unmapped(q).Addr().Is4() == p.Addr().Is4() }
	return !c.uses(p) || slices.ContainsFunc(c.m.Cluster.PodCIDRs, sameFamily) &&
		(inbound || slices.ContainsFunc(c.m.Cluster.ServiceCIDRs, sameFamily))
}
