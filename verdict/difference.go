package verdict

import (
	"cmp"
	"iter"
	"slices"
)

// Difference is what changes between two states of a cluster.
type Difference struct {
	space  *space
	peers  []Peer
	deltas map[[2]accessID][]Delta
	index  memberIndex
}

// Delta is one change between two peers, on some ports. Before is nil where a
// connection is gained, After where it is lost; otherwise both are there and differ.
type Delta struct {
	Before, After *Allowance
}

// Change is a Delta between two peers, by their numbers in Peers.
type Change struct {
	From, To int
	Delta
}

// Compare judges all connections of two states. Workloads are the same where
// their names are; those that only one state has gain or lose all that they have.
func Compare(before, after Input) *Difference {
	d := &Difference{space: newSpace(before, after), deltas: map[[2]accessID][]Delta{}}
	d.index = d.space.index(func(p Peer) { d.peers = append(d.peers, p) })
	return d
}

// Peers are all that may stand at an end of a change.
func (d *Difference) Peers() []Peer { return d.peers }

// Changes are all that differs, by server and then by client, in the order of Peers.
func (d *Difference) Changes() iter.Seq[Change] {
	return func(yield func(Change) bool) {
		rows := make([]vector[[2]accessID], len(d.space.classes))
		done := make([]bool, len(d.space.classes))
		var cells []cell[[2]accessID]
		for to, class := range d.index.classes {
			if !done[class] {
				rows[class], done[class] = d.row(class), true
			}
			cells = spread(cells[:0], rows[class], d.index.byClass)
			for _, c := range cells {
				for _, delta := range d.deltasOf(c.value) {
					if c.from != to && !yield(Change{c.from, to, delta}) {
						return
					}
				}
			}
		}
	}
}

// DeltaGroup is what changes between all of some peers and each of others.
type DeltaGroup struct {
	From, To []int
	Deltas   []Delta
}

// Groups are the changes, put together as Map.Groups does.
func (d *Difference) Groups() []DeltaGroup {
	var groups []DeltaGroup
	grouped(d.index, d.row, func(ids [2]accessID) uint64 { return uint64(ids[0])<<32 | uint64(ids[1]) }, func(from, to []int, ids [2]accessID) {
		if list := d.deltasOf(ids); len(list) > 0 {
			groups = append(groups, DeltaGroup{from, to, list})
		}
	})
	return groups
}

// row is what both states say of a server; the zero value where they say the same.
func (d *Difference) row(class uint32) vector[[2]accessID] {
	return merge(d.space.views[0].row(class), d.space.views[1].row(class), func(a, b accessID) [2]accessID {
		if a == b {
			return [2]accessID{}
		}
		return [2]accessID{a, b}
	})
}

func (d *Difference) deltasOf(key [2]accessID) []Delta {
	list, known := d.deltas[key]
	if !known {
		list = d.space.tables.deltas(key[0], key[1])
		d.deltas[key] = list
	}
	return list
}

// grant is how some ports stand in an access; none tells that they are refused.
type grant struct {
	none       bool
	protection Protection
	standing   Standing
}

// grants takes an access apart, the ports that are refused last.
func (t *tables) grants(id accessID) (list []grant, ports []portsID) {
	rest := allPorts
	a := &t.accesses.values[id]
	for p := Plaintext; p < protections; p++ {
		for standing, set := range [...]portsID{a[p].allow, a[p].partly, a[p].unknown} {
			if set != noPorts {
				list, ports = append(list, grant{false, p, Standing(standing)}), append(ports, set)
				rest = t.minus(rest, set)
			}
		}
	}
	return append(list, grant{none: true}), append(ports, rest)
}

// deltas is what differs between two accesses.
func (t *tables) deltas(before, after accessID) []Delta {
	var list []Delta
	was, wasPorts := t.grants(before)
	is, isPorts := t.grants(after)
	for i := range was {
		for k := range is {
			if was[i] == is[k] {
				continue
			}
			for _, part := range t.sets[t.intersect(wasPorts[i], isPorts[k])].byProtocol() {
				list = append(list, Delta{was[i].allowance(part), is[k].allowance(part)})
			}
		}
	}
	slices.SortFunc(list, func(a, b Delta) int {
		x, y := cmp.Or(a.After, a.Before), cmp.Or(b.After, b.Before)
		return cmp.Or(cmp.Compare(x.Protocol, y.Protocol), cmp.Compare(x.Ports, y.Ports))
	})
	return list
}

func (g grant) allowance(part ProtocolPorts) *Allowance {
	if g.none {
		return nil
	}
	return &Allowance{part.Protocol, part.Ports, g.protection, g.standing}
}
