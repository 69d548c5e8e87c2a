package verdict

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// Map is who may reach whom: every connection that all layers let through.
type Map struct {
	space *space
	view  *view
	// peers are the workloads in order, then the addresses outside.
	peers []Peer
	// classes are the classes of the peers, byClass the peers of each class.
	classes []uint32
	byClass [][]int
	// allowances of each access, taken apart once.
	allowances map[accessID][]Allowance
}

// Peer is one end of connections: a workload, or addresses outside that no rule tells apart.
type Peer struct {
	// Workload is nil for addresses.
	Workload *model.Workload
	// CIDRs make up the addresses, sorted.
	CIDRs []netip.Prefix
}

// Standing is how surely a connection is let through.
type Standing uint8

// The standings.
const (
	// Allowed is let through.
	Allowed Standing = iota
	// InPart lets some requests through, and others not.
	InPart
	// Unknown may be let through or not: something that decides is not known.
	Unknown
)

// Allowance is what a peer may do at another, on some ports.
type Allowance struct {
	Protocol corev1.Protocol
	// Ports are numbers and ranges, "80,443-445".
	Ports      string
	Protection Protection
	Standing   Standing
}

// Connection is an allowance between two peers, by their numbers in Peers.
type Connection struct {
	From, To int
	Allowance
}

// NewMap judges all connections of one state.
func NewMap(in Input) *Map {
	sp := newSpace(in)
	m := &Map{space: sp, view: sp.views[0], allowances: map[accessID][]Allowance{}, byClass: make([][]int, len(sp.classes))}
	for i := range in.Workloads {
		m.add(sp.classOf[i], Peer{Workload: &in.Workloads[i]})
	}
	for class := range sp.classes {
		if sp.classes[class].kind == addresses {
			m.add(uint32(class), Peer{CIDRs: sp.cidrs(uint32(class))})
		}
	}
	return m
}

func (m *Map) add(class uint32, p Peer) {
	m.byClass[class] = append(m.byClass[class], len(m.peers))
	m.classes = append(m.classes, class)
	m.peers = append(m.peers, p)
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

// Peers are all that may stand at an end of a connection.
func (m *Map) Peers() []Peer { return m.peers }

// Connections are all that are not refused, by server and then by client, in
// the order of Peers. What a peer sends to itself is left out.
func (m *Map) Connections() iter.Seq[Connection] {
	return func(yield func(Connection) bool) {
		rows := make([]vector[accessID], len(m.space.classes))
		var cells []cell
		for to, class := range m.classes {
			if rows[class] == nil {
				rows[class] = m.view.row(class)
			}
			cells = m.cells(cells[:0], rows[class])
			for _, c := range cells {
				for _, a := range m.allowancesOf(c.access) {
					if c.from != to && !yield(Connection{c.from, to, a}) {
						return
					}
				}
			}
		}
	}
}

// cell is what one client may do in a row.
type cell struct {
	from   int
	access accessID
}

// cells spreads a row over the clients that may do anything, in their order.
func (m *Map) cells(into []cell, row vector[accessID]) []cell {
	class := uint32(0)
	for _, s := range row {
		for ; class < s.end; class++ {
			if s.value == 0 {
				continue
			}
			for _, from := range m.byClass[class] {
				into = append(into, cell{from, s.value})
			}
		}
	}
	slices.SortFunc(into, func(a, b cell) int { return cmp.Compare(a.from, b.from) })
	return into
}

func (m *Map) allowancesOf(id accessID) []Allowance {
	list, known := m.allowances[id]
	if !known {
		list = m.view.tables.allowances(id)
		m.allowances[id] = list
	}
	return list
}

// allowances takes an access apart: by standing, protection and protocol.
func (t *tables) allowances(id accessID) []Allowance {
	var list []Allowance
	a := &t.accesses.values[id]
	for p := Plaintext; p < protections; p++ {
		for standing, ports := range [...]portsID{a[p].allow, a[p].partly, a[p].unknown} {
			for _, part := range t.sets[ports].byProtocol() {
				list = append(list, Allowance{part.Protocol, part.Ports, p, Standing(standing)})
			}
		}
	}
	return list
}
