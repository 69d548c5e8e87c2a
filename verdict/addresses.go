package verdict

import (
	"net/netip"
	"slices"

	"go4.org/netipx"

	"floe.dev/palisade/model"
)

// partition cuts the whole space of addresses, IPv4 and IPv6, at every border
// of a block that some rule names. Within a part no rule tells addresses apart.
type partition struct {
	// parts are sorted and leave no gap within a family.
	parts []netipx.IPRange
}

// newPartition cuts at the borders of all prefixes, exceptions among them.
func newPartition(prefixes []netip.Prefix) *partition {
	starts := []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	for _, p := range prefixes {
		r := netipx.RangeOfPrefix(p)
		starts = append(starts, r.From())
		if after := r.To().Next(); after.IsValid() {
			starts = append(starts, after)
		}
	}
	slices.SortFunc(starts, netip.Addr.Compare)
	starts = slices.Compact(starts)
	p := &partition{parts: make([]netipx.IPRange, len(starts))}
	for i, from := range starts {
		to := lastOf(from)
		if i+1 < len(starts) && starts[i+1].BitLen() == from.BitLen() {
			to = starts[i+1].Prev()
		}
		p.parts[i] = netipx.IPRangeFrom(from, to)
	}
	return p
}

// lastOf is the last address of the family of another.
func lastOf(a netip.Addr) netip.Addr {
	return netipx.PrefixLastIP(netip.PrefixFrom(a, 0).Masked())
}

// find is the number of the part that holds an address.
func (p *partition) find(a netip.Addr) int {
	i, found := slices.BinarySearchFunc(p.parts, a, func(r netipx.IPRange, a netip.Addr) int { return r.From().Compare(a) })
	if !found {
		i--
	}
	return i
}

// in appends the numbers of the parts that lie in a block; borders of blocks are borders of parts.
func (p *partition) in(block model.AddressBlock, into []int) []int {
	r := netipx.RangeOfPrefix(block.CIDR)
	for i, last := p.find(r.From()), p.find(r.To()); i <= last; i++ {
		if !slices.ContainsFunc(block.Except, func(hole netip.Prefix) bool { return hole.Contains(p.parts[i].From()) }) {
			into = append(into, i)
		}
	}
	return into
}

// cidrs are the fewest prefixes that make up some parts, which are sorted.
func (p *partition) cidrs(numbers []int) []netip.Prefix {
	var set netipx.IPSetBuilder
	for _, i := range numbers {
		set.AddRange(p.parts[i])
	}
	return must(&set).Prefixes()
}
