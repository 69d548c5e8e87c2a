package verdict

import (
	"cmp"
	"net/netip"
	"slices"
)

// memberIndex finds the class of each peer of a result, and the peers of each class.
type memberIndex struct {
	classes []uint32
	byClass [][]int
}

// index lists the peers of a space: every workload, then every class of addresses outside.
func (sp *space) index(add func(Peer)) memberIndex {
	x := memberIndex{byClass: make([][]int, len(sp.classes))}
	place := func(class uint32, p Peer) {
		x.byClass[class] = append(x.byClass[class], len(x.classes))
		x.classes = append(x.classes, class)
		add(p)
	}
	for i := range sp.workloads {
		place(sp.classOf[i], Peer{Workload: sp.members[i].workload})
	}
	for class := range sp.classes {
		if sp.classes[class].kind == addresses {
			place(uint32(class), Peer{CIDRs: sp.cidrs(uint32(class))})
		}
	}
	return x
}

// cidrs are the addresses of a class.
func (sp *space) cidrs(class uint32) []netip.Prefix {
	members := sp.classes[class].members
	parts := make([]int, len(members))
	for i, m := range members {
		parts[i] = int(m) - sp.workloads
	}
	return sp.sides[0].partition.cidrs(parts)
}

// cell is what a row says of one client.
type cell[V comparable] struct {
	from  int
	value V
}

// spread turns a row into cells, in the order of clients; those with the zero value are left out.
func spread[V comparable](into []cell[V], row vector[V], byClass [][]int) []cell[V] {
	var zero V
	class := uint32(0)
	for _, s := range row {
		for ; class < s.end; class++ {
			if s.value == zero {
				continue
			}
			for _, from := range byClass[class] {
				into = append(into, cell[V]{from, s.value})
			}
		}
	}
	slices.SortFunc(into, func(a, b cell[V]) int { return cmp.Compare(a.from, b.from) })
	return into
}
