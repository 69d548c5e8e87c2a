package verdict

import (
	"iter"
	"slices"
)

// Group is what all of some peers may do at each of others, by their numbers in
// Peers. Where a peer is on both sides, its traffic to itself is not meant.
type Group struct {
	From, To   []int
	Allowances []Allowance
}

// Groups are the connections of the map, put together: servers at which the same
// peers may do the same stand together, and so do clients. They come in the order of their first server.
func (m *Map) Groups() []Group {
	var groups []Group
	grouped(m.index, m.space.views[0].row, func(id accessID) uint64 { return uint64(id) }, func(from, to []int, value accessID) {
		if list := m.allowancesOf(value); len(list) > 0 {
			groups = append(groups, Group{from, to, list})
		}
	})
	return groups
}

// grouped calls for all clients that have the same value at all servers with the same row.
func grouped[V comparable](x memberIndex, row func(class uint32) vector[V], number func(V) uint64, visit func(from, to []int, value V)) {
	type servers struct {
		row vector[V]
		to  []int
	}
	var list []*servers
	byHash := map[uint64][]*servers{}
	byClass := make([]*servers, len(x.byClass))
	for to, class := range x.classes {
		if byClass[class] == nil {
			s := &servers{row: row(class)}
			hash := rowHash(s.row, number)
			if i := slices.IndexFunc(byHash[hash], func(o *servers) bool { return slices.Equal(o.row, s.row) }); i >= 0 {
				s = byHash[hash][i]
			} else {
				byHash[hash] = append(byHash[hash], s)
				list = append(list, s)
			}
			byClass[class] = s
		}
		byClass[class].to = append(byClass[class].to, to)
	}
	for _, s := range list {
		eachValue(spread(nil, s.row, x.byClass), func(from []int, value V) {
			if len(from) != 1 || len(s.to) != 1 || from[0] != s.to[0] {
				visit(from, s.to, value)
			}
		})
	}
}

// eachValue puts cells with the same value together, in the order in which values first come.
func eachValue[V comparable](cells []cell[V], visit func(from []int, value V)) {
	from := map[V][]int{}
	var order []V
	for _, c := range cells {
		if from[c.value] == nil {
			order = append(order, c.value)
		}
		from[c.value] = append(from[c.value], c.from)
	}
	for _, value := range order {
		visit(from[value], value)
	}
}

// rowHash is equal for equal rows.
func rowHash[V comparable](row vector[V], number func(V) uint64) uint64 {
	const prime = 1099511628211 // of FNV-1a
	hash := uint64(14695981039346656037)
	for _, s := range row {
		hash = (hash ^ uint64(s.end)) * prime
		hash = (hash ^ number(s.value)) * prime
	}
	return hash
}

// Bundle is peers that no rule tells apart, by their numbers in Peers.
type Bundle []int

// Bundles are the peers of the map, put together, in the order of the first of each.
func (m *Map) Bundles() []Bundle {
	var list []Bundle
	for peer, class := range m.index.classes {
		if all := m.index.byClass[class]; all[0] == peer {
			list = append(list, all)
		}
	}
	return list
}

// Edge is what each peer of a bundle may do at each of another, by the numbers of the bundles.
type Edge struct {
	From, To   int
	Allowances []Allowance
}

// Edges are the connections between bundles, by server and then by client. Within
// a bundle of one there are none.
func (m *Map) Edges() iter.Seq[Edge] {
	return func(yield func(Edge) bool) {
		number := make([]int, len(m.space.classes))
		bundles := m.Bundles()
		for i, b := range bundles {
			number[m.index.classes[b[0]]] = i
		}
		for to, b := range bundles {
			row := m.space.views[0].row(m.index.classes[b[0]])
			class := uint32(0)
			for _, s := range row {
				for list := m.allowancesOf(s.value); class < s.end; class++ {
					alone := len(b) == 1 && class == m.index.classes[b[0]]
					if len(list) > 0 && !alone && !yield(Edge{number[class], to, list}) {
						return
					}
				}
			}
		}
	}
}
