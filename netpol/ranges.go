package netpol

import (
	"net/netip"
	"slices"

	"floe.dev/palisade/model"
)

// privateRanges are those that a cluster commonly takes its own addresses from.
var privateRanges = prefixes(
	"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", // RFC 1918
	"100.64.0.0/10", // RFC 6598, shared address space; EKS and GKE take pod addresses from it
	"fc00::/7",      // RFC 4193, unique local
)

// metadataRanges are the metadata and credential services of cloud providers. They hand out the node's or the pod's
// credentials and are never part of what an address or the Internet means.
var metadataRanges = prefixes(
	"169.254.169.254/32", // AWS, Google Cloud, Azure, OpenStack and others
	"169.254.170.2/32",   // AWS: credentials of ECS tasks
	"169.254.170.23/32",  // AWS: EKS Pod Identity
	"100.100.100.200/32", // Alibaba Cloud
	"168.63.129.16/32",   // Azure: WireServer
	"192.0.0.192/32",     // Oracle Cloud, older form
	"fd00:ec2::254/128",  // AWS
	"fd00:ec2::23/128",   // AWS: EKS Pod Identity
	"fd20:ce::254/128",   // Google Cloud
)

// specialRanges are those that are not public: the rows of IANA's IPv4 and IPv6 Special-Purpose Address Registries that
// are not globally reachable, and multicast. privateRanges are part of them.
var specialRanges = slices.Concat(privateRanges, prefixes(
	"0.0.0.0/8",       // RFC 791, this network
	"127.0.0.0/8",     // RFC 1122, loopback
	"169.254.0.0/16",  // RFC 3927, link-local
	"192.0.0.0/24",    // RFC 6890, protocol assignments
	"192.0.2.0/24",    // RFC 5737, documentation
	"192.88.99.0/24",  // RFC 7526, 6to4 relays, withdrawn
	"198.18.0.0/15",   // RFC 2544, benchmarks
	"198.51.100.0/24", // RFC 5737, documentation
	"203.0.113.0/24",  // RFC 5737, documentation
	"224.0.0.0/4",     // RFC 5771, multicast
	"240.0.0.0/4",     // RFC 1112, reserved; and broadcast

	"::/80",          // RFC 4291, unspecified, loopback, and both old ways to write IPv4 (::/96 and ::ffff:0:0/96)
	"64:ff9b:1::/48", // RFC 8215, NAT64 of local use
	"100::/64",       // RFC 6666, discard only
	"100:0:0:1::/64", // RFC 9780, dummy prefix
	"2001::/32",      // RFC 4380, Teredo, which carries IPv4
	"2001:2::/48",    // RFC 5180, benchmarks
	"2001:10::/28",   // RFC 4843, ORCHID, withdrawn
	"2001:db8::/32",  // RFC 3849, documentation
	"2002::/16",      // RFC 3056, 6to4, which carries IPv4
	"3fff::/20",      // RFC 9637, documentation
	"5f00::/16",      // RFC 9602, SRv6
	"fe80::/10",      // RFC 4291, link-local
	"fec0::/10",      // RFC 3879, site-local, withdrawn
	"ff00::/8",       // RFC 4291, multicast

	// RFC 6052: behind 64:ff9b::/96 a NAT64 reaches IPv4, and so the ranges above once more.
	"64:ff9b::a00:0/104", "64:ff9b::ac10:0/108", "64:ff9b::c0a8:0/112", "64:ff9b::6440:0/106",
	"64:ff9b::7f00:0/104", "64:ff9b::a9fe:0/112",
))

func prefixes(texts ...string) []netip.Prefix {
	var to []netip.Prefix
	for _, text := range texts {
		to = append(to, netip.MustParsePrefix(text))
	}
	return to
}

// egressHoles are the ranges that are never part of a target outside the cluster.
func egressHoles(cluster *model.Cluster) []netip.Prefix {
	return aggregate(slices.Concat(cluster.PodCIDRs, cluster.ServiceCIDRs, cluster.NodeCIDRs, metadataRanges))
}

// aggregate is the same set of addresses in the fewest prefixes, sorted: what
// lies in another is dropped, and two halves become one. A cluster that gives
// each node a range of its own would otherwise fill every policy with them.
func aggregate(from []netip.Prefix) []netip.Prefix {
	sorted := make([]netip.Prefix, 0, len(from))
	for _, p := range from {
		if p = unmapped(p).Masked(); p.IsValid() {
			sorted = append(sorted, p)
		}
	}
	slices.SortFunc(sorted, netip.Prefix.Compare)
	var to []netip.Prefix
	for _, p := range sorted {
		if len(to) > 0 && contains(to[len(to)-1], p) {
			continue
		}
		to = append(to, p)
		for len(to) > 1 && siblings(to[len(to)-2], to[len(to)-1]) {
			to = to[:len(to)-1]
			last := &to[len(to)-1]
			*last = netip.PrefixFrom(last.Addr(), last.Bits()-1)
		}
	}
	return to
}

// unmapped is the IPv4 prefix behind an IPv4-mapped one, which would be taken for IPv6.
func unmapped(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

// siblings tells whether two prefixes are the lower and the upper half of one.
func siblings(a, b netip.Prefix) bool {
	if a.Bits() != b.Bits() || a.Bits() == 0 || a.Addr().Is4() != b.Addr().Is4() {
		return false
	}
	whole := netip.PrefixFrom(a.Addr(), a.Bits()-1).Masked()
	return whole.Addr() == a.Addr() && whole.Contains(b.Addr()) && a != b
}

// contains tells whether the whole of b lies in a.
func contains(a, b netip.Prefix) bool { return a.Bits() <= b.Bits() && a.Contains(b.Addr()) }
