package verdict

import (
	"net/netip"
	"slices"
	"strings"

	"go4.org/netipx"

	"floe.dev/palisade/model"
)

// certainty is how surely something matches. The smaller of two is how surely
// both do, the larger how surely at least one does.
type certainty int8

const (
	// never matches.
	never certainty = iota
	// perhaps matches: something that decides it is not known.
	perhaps
	// partly matches: some requests do, and others do not.
	partly
	// always matches.
	always
)

// peer is one end of a connection, as rules see it.
type peer struct {
	// workload is nil for what is outside of the cluster's workloads.
	workload *model.Workload
	// identity is what it presents; zero where it comes without.
	identity model.Identity
	// addresses are its own where they are known; otherwise they lie in ranges, one
	// set for each family that it has addresses of; without ranges they may be anywhere.
	addresses []netip.Addr
	ranges    []*netipx.IPSet
}

// newPeer is a workload as a peer, without identity. The addresses of a
// template's pods are unknown, and lie where the cluster has its pods, or its nodes.
func newPeer(w *model.Workload, cluster *model.Cluster) peer {
	p := peer{workload: w, addresses: w.Addresses}
	if len(w.Addresses) > 0 {
		return p
	}
	cidrs := cluster.PodCIDRs
	if w.Spec.HostNetwork {
		cidrs = cluster.NodeCIDRs
	}
	for _, is4 := range []bool{true, false} {
		var family netipx.IPSetBuilder
		for _, cidr := range cidrs {
			if cidr.Addr().Is4() == is4 {
				family.AddPrefix(cidr)
			}
		}
		switch set := must(&family); {
		case len(set.Ranges()) > 0:
			p.ranges = append(p.ranges, set)
		case len(cidrs) == 0 && (is4 && cluster.IPv4 || !is4 && cluster.IPv6):
			p.ranges = append(p.ranges, wholeFamily(is4))
		}
	}
	return p
}

// wholeFamily is every address of a family.
func wholeFamily(is4 bool) *netipx.IPSet {
	all := netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	if is4 {
		all = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	var b netipx.IPSetBuilder
	b.AddPrefix(all)
	return must(&b)
}

// must builds a set of valid prefixes, which cannot fail.
func must(b *netipx.IPSetBuilder) *netipx.IPSet {
	set, err := b.IPSet()
	if err != nil {
		panic("verdict: " + err.Error())
	}
	return set
}

// outside is an address that no workload of the cluster has.
func outside(address netip.Addr) peer { return peer{addresses: []netip.Addr{address}} }

// matchTerms is how surely some term matches. The list nil matches everybody.
func matchTerms(terms []model.Term, p *peer) certainty {
	if terms == nil {
		return always
	}
	best := never
	for i := range terms {
		best = max(best, matchTerm(&terms[i], p))
	}
	return best
}

func matchTerm(t *model.Term, p *peer) certainty {
	match := matchWho(t, p)
	if match > never && (t.In != nil || t.NotIn != nil) {
		match = min(match, matchAddresses(t, p))
	}
	return match
}

// matchWho is matchTerm without regard to addresses.
func matchWho(t *model.Term, p *peer) certainty {
	match := limit(always, t.Requests, t.Unknown)
	if t.Pods != nil {
		match = min(match, matchPods(t.Pods, p.workload))
	}
	for i := range t.Names {
		match = min(match, matchName(&t.Names[i], p.identity))
	}
	return match
}

// limit lowers a match by what it depends on beside.
func limit(match certainty, requests, unknown string) certainty {
	if requests != "" {
		match = min(match, partly)
	}
	if unknown != "" {
		match = min(match, perhaps)
	}
	return match
}

// matchPods judges as NetworkPolicies do: pods on their node's network are nodes, and no selector finds them.
func matchPods(t *model.PodTerm, w *model.Workload) certainty {
	if w == nil || w.Spec.HostNetwork {
		return never
	}
	if t.Namespace != "" && t.Namespace != w.ID.Namespace || t.Namespace == "" && !model.Matches(t.NamespaceSelector, w.NamespaceLabels) {
		return never
	}
	if t.PodSelector != nil && !model.Matches(t.PodSelector, w.Labels) {
		return never
	}
	return always
}

func matchName(t *model.NameTerm, identity model.Identity) certainty {
	name := identity.Part(t.Of)
	matches := never
	for _, pattern := range t.Patterns {
		switch {
		case globMatches(pattern, name):
			matches = always
		case identity.Present && name == "" && pattern == "*":
			matches = always
		case identity.Present && name == "":
			matches = max(matches, perhaps)
		}
	}
	if t.Not {
		return not(matches)
	}
	return matches
}

// globMatches compares exactly, by "prefix*", by "*suffix", or by "*"; nothing matches a name that is not there.
func globMatches(pattern, name string) bool {
	switch {
	case name == "":
		return false
	case pattern == "*":
		return true
	case strings.HasPrefix(pattern, "*"):
		return strings.HasSuffix(name, pattern[1:])
	case strings.HasSuffix(pattern, "*"):
		return strings.HasPrefix(name, pattern[:len(pattern)-1])
	default:
		return pattern == name
	}
}

// matchAddresses judges In and NotIn of a term.
func matchAddresses(t *model.Term, p *peer) certainty {
	if p.workload != nil && t.PodAddresses == model.PodAddressesIgnored {
		return never
	}
	match := always
	if t.In != nil {
		match = inBlocks(t.In, p)
	}
	if t.NotIn != nil {
		match = min(match, not(inBlocks(t.NotIn, p)))
	}
	if p.workload != nil && len(p.addresses) == 0 && t.PodAddresses == model.PodAddressesUnclear {
		match = min(match, perhaps)
	}
	return match
}

func not(c certainty) certainty {
	switch c {
	case always:
		return never
	case never:
		return always
	default:
		return c
	}
}

// inBlocks is how surely a connection of the peer has its address in some block.
func inBlocks(blocks []model.AddressBlock, p *peer) certainty {
	if len(p.addresses) > 0 {
		if slices.ContainsFunc(p.addresses, func(a netip.Addr) bool {
			return slices.ContainsFunc(blocks, func(b model.AddressBlock) bool { return inBlock(b, a) })
		}) {
			return always
		}
		return never
	}
	set := setOf(blocks)
	best := never
	for _, candidates := range p.ranges {
		switch {
		case !set.Overlaps(candidates):
		case covers(set, candidates):
			return always
		default:
			best = perhaps
		}
	}
	if p.ranges != nil {
		return best
	}
	switch {
	case covers(set, wholeFamily(true)) && covers(set, wholeFamily(false)):
		return always
	case len(set.Ranges()) == 0:
		return never
	default:
		return perhaps
	}
}

func inBlock(b model.AddressBlock, a netip.Addr) bool {
	return b.CIDR.Contains(a) && !slices.ContainsFunc(b.Except, func(hole netip.Prefix) bool { return hole.Contains(a) })
}

// setOf is the union of blocks, each less its exceptions.
func setOf(blocks []model.AddressBlock) *netipx.IPSet {
	var union netipx.IPSetBuilder
	for _, b := range blocks {
		if len(b.Except) == 0 {
			union.AddPrefix(b.CIDR)
			continue
		}
		var one netipx.IPSetBuilder
		one.AddPrefix(b.CIDR)
		for _, hole := range b.Except {
			one.RemovePrefix(hole)
		}
		union.AddSet(must(&one))
	}
	return must(&union)
}

func covers(set, candidates *netipx.IPSet) bool {
	return !slices.ContainsFunc(candidates.Ranges(), func(r netipx.IPRange) bool { return !set.ContainsRange(r) })
}
