package verdict

import (
	"cmp"
	"iter"
	"slices"

	"floe.dev/palisade/model"
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

// Around says what to look at where little changes.
type Around struct {
	// Touched are the workloads that a change is for.
	Touched func(*model.Workload) bool
	// Rules are those that the change brings or takes away. A connection whose other
	// end they do not name stays as it is, unless the touched end is isolated in one state only.
	Rules []model.FilterRule
	// Hidden tells of workloads through which others may be reached: where one of
	// these is touched or named, everything is looked at.
	Hidden func(*model.Workload) bool
}

// CompareAround is Compare for two states that differ by what is said of some
// workloads, and by nothing else: it judges the connections of these, and of these
// only with peers that the rules name. Both states have the same workloads.
func CompareAround(before, after Input, a Around) *Difference {
	if near, ok := a.near(before, after); ok {
		before.Workloads, after.Workloads = near, near
	}
	return Compare(before, after)
}

// near are the workloads whose connections may change; ok is false where it may be all of them.
func (a *Around) near(before, after Input) (list []model.Workload, ok bool) {
	named := make([][]model.Term, 0, len(a.Rules))
	for i := range a.Rules {
		if a.Rules[i].Peers == nil {
			return nil, false
		}
		named = append(named, a.Rules[i].Peers)
	}
	for i := range before.Workloads {
		w := &before.Workloads[i]
		touched := a.Touched(w)
		if touched && ((before.Network.Egress(w) == nil) != (after.Network.Egress(w) == nil) || (before.Network.Ingress(w) == nil) != (after.Network.Ingress(w) == nil)) {
			return nil, false
		}
		if !touched && !names(named, w, before.Cluster) {
			continue
		}
		if a.Hidden(w) {
			return nil, false
		}
		list = append(list, *w)
	}
	return list, true
}

func names(lists [][]model.Term, w *model.Workload, cluster *model.Cluster) bool {
	for _, terms := range lists {
		for i := range terms {
			t := &terms[i]
			if matchWho(t, &peer{workload: w}) == never {
				continue
			}
			p := peer{workload: w}
			if t.In != nil || t.NotIn != nil {
				p = newPeer(w, cluster)
			}
			if matchTerm(t, &p) > never {
				return true
			}
		}
	}
	return false
}

// Peers are all that may stand at an end of a change.
func (d *Difference) Peers() []Peer { return d.peers }

// Bundles are the peers that no rule of either state tells apart, by their numbers.
// Every peer is in one.
func (d *Difference) Bundles() []Bundle {
	list := make([]Bundle, len(d.index.byClass))
	for class, members := range d.index.byClass {
		list[class] = members
	}
	return list
}

// BundleOf is the number of a peer's bundle.
func (d *Difference) BundleOf(peer int) int { return int(d.index.classes[peer]) }

// DeltaRun is what changes for the clients of some bundles in a row, First to
// before Last, at one server. There is none for clients for which nothing changes.
type DeltaRun struct {
	First, Last int
	Deltas      []Delta
}

// To are the changes at the servers of a bundle, in the order of the clients'
// bundles. The traffic of a peer to itself is not meant.
func (d *Difference) To(bundle int) []DeltaRun {
	var list []DeltaRun
	first := 0
	for _, s := range d.row(uint32(bundle)) {
		if deltas := d.deltasOf(s.value); len(deltas) > 0 {
			list = append(list, DeltaRun{first, int(s.end), deltas})
		}
		first = int(s.end)
	}
	return list
}

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
