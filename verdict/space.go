package verdict

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
	"sync"

	"floe.dev/palisade/model"
)

// space is one or two states of a cluster with the classes of their peers: what
// no rule of any of them tells apart is one class, in whatever namespace it lives.
type space struct {
	tables *tables
	sides  []*side
	// members are the workloads of all sides, by name; then the parts of the addresses.
	members []member
	// memberOf is the member of each workload of each side.
	memberOf [2][]uint32
	// workloads is how many of the members are workloads.
	workloads int
	classes   []class
	// classOf is the class of each member.
	classOf []uint32
	// views are the sides, seen in classes.
	views []*view
}

// member is one workload, or one part of the addresses, on each side; absent where it is not there.
type member struct {
	// workload is that of the last side that has it; nil for addresses.
	workload *model.Workload
	groups   [2]groupID
}

const absent = ^groupID(0)

// class is a set of members.
type class struct {
	kind    kind
	groups  [2]groupID
	members []uint32
}

// newSpace prepares one or two states. What each takes by itself is done at the same time.
func newSpace(inputs ...Input) *space {
	sp := &space{tables: newTables()}
	for _, in := range inputs {
		sp.sides = append(sp.sides, newSide(in, sp.tables))
	}
	told := make([][]told, len(inputs))
	if len(inputs) > 1 && inputs[0].Mesh != nil && inputs[0].Mesh == inputs[1].Mesh {
		for i, s := range sp.sides { // one reader is for one goroutine
			told[i] = s.ask()
		}
	} else {
		sp.each(func(i int, s *side) { told[i] = s.ask() })
	}
	answers := make([][]asked, len(inputs))
	var prefixes []netip.Prefix
	for i, s := range sp.sides {
		answers[i] = s.number(told[i])
		prefixes = append(prefixes, s.prefixes()...)
	}
	p := newPartition(prefixes)
	sp.each(func(i int, s *side) {
		s.gather(answers[i], p)
		s.match()
	})
	sp.join()
	sp.classify()
	for i := range sp.sides {
		sp.views = append(sp.views, sp.newView(i))
	}
	return sp
}

// each does something for all sides, at the same time. It may touch nothing that they share.
func (sp *space) each(do func(i int, s *side)) {
	var all sync.WaitGroup
	for i, s := range sp.sides[1:] {
		all.Go(func() { do(i+1, s) })
	}
	do(0, sp.sides[0])
	all.Wait()
}

// join lists the members of all sides, workloads by their names.
func (sp *space) join() {
	index := map[model.WorkloadID]int{}
	for side, s := range sp.sides {
		for i := range s.in.Workloads {
			id := s.in.Workloads[i].ID
			at, known := index[id]
			if side == 0 || !known {
				at = len(sp.members)
				if len(sp.sides) > 1 {
					index[id] = at
				}
				sp.members = append(sp.members, member{groups: [2]groupID{absent, absent}})
			}
			sp.members[at].workload = &s.in.Workloads[i]
			sp.members[at].groups[side] = s.groupOf[i]
			sp.memberOf[side] = append(sp.memberOf[side], uint32(at))
		}
	}
	sp.workloads = len(sp.members)
	for part := range sp.sides[0].partition.parts {
		m := member{groups: [2]groupID{absent, absent}}
		for side, s := range sp.sides {
			m.groups[side] = s.firstAddress() + groupID(part)
		}
		sp.members = append(sp.members, m)
	}
}

// signatures numbers the groups of a side by all that rules see of them; absent is none.
func (s *side) signatures() []uint32 {
	ids := map[string]uint32{}
	list := make([]uint32, len(s.groups))
	key := make([]byte, 0, 256)
	for i := range s.groups {
		g := &s.groups[i]
		key = append(key[:0], byte(g.kind))
		for _, n := range [...]uint32{uint32(g.egress), uint32(g.ingress), g.mesh, g.sender, g.receiver, g.names} {
			key = binary.LittleEndian.AppendUint32(key, n)
		}
		for _, m := range g.memberships {
			key = binary.LittleEndian.AppendUint32(key, uint32(m.term)<<2|uint32(m.match))
		}
		id, known := ids[string(key)]
		if !known {
			id = uint32(len(ids))
			ids[string(key)] = id
		}
		list[i] = id
	}
	return list
}

// classify puts the members that no rule tells apart into classes. Those that
// nothing isolates come first and addresses last, so that runs are long.
func (sp *space) classify() {
	const none = ^uint32(0)
	signatures := make([][]uint32, len(sp.sides))
	for i, s := range sp.sides {
		signatures[i] = s.signatures()
	}
	ids := map[[2]uint32]uint32{}
	firstOf := make([]uint32, len(sp.members))
	for i := range sp.members {
		key := [2]uint32{none, none}
		for side := range sp.sides {
			if g := sp.members[i].groups[side]; g != absent {
				key[side] = signatures[side][g]
			}
		}
		id, known := ids[key]
		if !known {
			id = uint32(len(sp.classes))
			ids[key] = id
			sp.classes = append(sp.classes, class{kind: sp.kindOf(i), groups: sp.members[i].groups})
		}
		sp.classes[id].members = append(sp.classes[id].members, uint32(i))
		firstOf[i] = id
	}
	slices.SortStableFunc(sp.classes, func(a, b class) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(sp.isolated(&a), sp.isolated(&b)))
	})
	sp.classOf = firstOf
	for id := range sp.classes {
		for _, m := range sp.classes[id].members {
			sp.classOf[m] = uint32(id)
		}
	}
}

func (sp *space) kindOf(member int) kind {
	for side, s := range sp.sides {
		if g := sp.members[member].groups[side]; g != absent {
			return s.groups[g].kind
		}
	}
	return addresses
}

// isolated counts on how many sides policies isolate a class's egress.
func (sp *space) isolated(c *class) int {
	n := 0
	for side, s := range sp.sides {
		if g := c.groups[side]; g != absent && s.groups[g].egress != noFilter {
			n++
		}
	}
	return n
}
