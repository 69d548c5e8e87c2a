package netpol

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAggregateKeepsTheSetAndLeavesNothingToMerge(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	address := func() netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(random.IntN(64))}) }
	for range 2000 {
		var from []netip.Prefix
		for range random.IntN(12) {
			from = append(from, netip.PrefixFrom(address(), 26+random.IntN(7)))
		}
		to := aggregate(from)
		inside := func(all []netip.Prefix, a netip.Addr) bool {
			return slices.ContainsFunc(all, func(p netip.Prefix) bool { return p.Contains(a) })
		}
		for range 64 {
			a := address()
			require.Equal(t, inside(from, a), inside(to, a), "%s in %v and %v", a, from, to)
		}
		require.Equal(t, to, aggregate(to))
		for i := range to {
			for j := range to[:i] {
				require.False(t, to[i].Overlaps(to[j]) || siblings(to[j], to[i]), "%v", to)
			}
		}
	}
}

func TestTablesOfRangesStayInTheirFamily(t *testing.T) {
	for _, p := range slices.Concat(privateRanges, metadataRanges, specialRanges) {
		require.Equal(t, p.Masked(), p)
		require.Equal(t, p, unmapped(p), "an IPv4-mapped row would close all of IPv4")
	}
}
