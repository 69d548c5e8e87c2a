package verdict

import (
	"iter"
	"net/netip"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// Map is who may reach whom: every connection that all layers let through.
type Map struct {
	space *space
	peers []Peer
	index memberIndex
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
	m := &Map{space: newSpace(in), allowances: map[accessID][]Allowance{}}
	m.index = m.space.index(func(p Peer) { m.peers = append(m.peers, p) })
	return m
}

// Peers are all that may stand at an end of a connection: workloads in their order, then addresses outside.
func (m *Map) Peers() []Peer { return m.peers }

// Connections are all that are not refused, by server and then by client, in
// the order of Peers. What a peer sends to itself is left out.
func (m *Map) Connections() iter.Seq[Connection] {
	return func(yield func(Connection) bool) {
		rows := make([]vector[accessID], len(m.space.classes))
		var cells []cell[accessID]
		for to, class := range m.index.classes {
			if rows[class] == nil {
				rows[class] = m.space.views[0].row(class)
			}
			cells = spread(cells[:0], rows[class], m.index.byClass)
			for _, c := range cells {
				for _, a := range m.allowancesOf(c.value) {
					if c.from != to && !yield(Connection{c.from, to, a}) {
						return
					}
				}
			}
		}
	}
}

func (m *Map) allowancesOf(id accessID) []Allowance {
	list, known := m.allowances[id]
	if !known {
		list = m.space.tables.allowances(id)
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

// Rows works all rows out and counts them.
func (m *Map) Rows() int {
	n := 0
	for class := range uint32(len(m.space.classes)) {
		n += len(m.space.views[0].row(class))
	}
	return n
}

// Covers tells whether a single port is among those of an allowance.
func (a *Allowance) Covers(p model.Port) bool {
	if a.Protocol != p.Protocol {
		return false
	}
	for part := range strings.SplitSeq(a.Ports, ",") {
		first, last, ranged := strings.Cut(part, "-")
		if !ranged {
			last = first
		}
		from, errFrom := strconv.Atoi(first)
		to, errTo := strconv.Atoi(last)
		if errFrom == nil && errTo == nil && from <= int(p.Number) && int(p.Number) <= to {
			return true
		}
	}
	return false
}
