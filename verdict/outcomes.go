package verdict

import "floe.dev/palisade/model"

// portsID, stateID, outcomeID and accessID number values of a table: equal
// numbers are equal values, so that rows are compared, and operations
// remembered, by number.
type (
	portsID   uint32
	stateID   uint32
	outcomeID uint32
	accessID  uint32
)

// noPorts and allPorts stand first in every table.
const (
	noPorts portsID = iota
	allPorts
)

// state is how far the rules of a filter have come with a connection, port by port.
type state struct {
	// allow and deny are ports that some rule so far may allow, or deny.
	allow, deny portsID
	// settled are ports whose rule was found: later ones do not count for them.
	settled portsID
	// unclear are ports that a rule may have settled, where it is not known whether it did.
	unclear portsID
}

// outcome is what a filter, or several, do with a connection. What is in none of the three is denied.
type outcome struct {
	allow portsID
	// partly are ports on which some requests are let through, and others are not.
	partly portsID
	// unknown are ports of which it is not known.
	unknown portsID
}

// The outcomes that stand first in every table.
const (
	denied outcomeID = iota
	allowed
)

// Protection is what keeps others from reading a connection.
type Protection uint8

// The protections.
const (
	// Plaintext is a connection that no mesh encrypts; what the applications do themselves is not known.
	Plaintext Protection = iota
	// MTLS is mutual TLS between the mesh's proxies.
	MTLS
	protections
)

// String is as in JSON.
func (p Protection) String() string {
	if p == MTLS {
		return "mtls"
	}
	return "plaintext"
}

// access is what one peer may do at another, by how it is protected. The same port stands in one of them only.
type access [protections]outcome

// step is one rule as it is applied to a state: its effect, its ports, and how surely it matches.
type step struct {
	effect model.Effect
	ports  portsID
	match  certainty
}

// tables number values and remember operations. They belong to one
// computation and are used by one goroutine.
type tables struct {
	sets     []portSet
	setIDs   map[string]portsID
	states   numbered[state, stateID]
	outcomes numbered[outcome, outcomeID]
	accesses numbered[access, accessID]
	steps    numbered[step, uint32]

	unions, intersections, differences map[[2]portsID]portsID
	applied                            map[uint64]stateID
	finished                           map[uint64]outcomeID
	both                               map[[2]outcomeID]outcomeID
}

// numbered gives values numbers, in the order in which they first come.
type numbered[V comparable, ID ~uint32] struct {
	values []V
	ids    map[V]ID
}

func (n *numbered[V, ID]) id(v V) ID {
	id, known := n.ids[v]
	if !known {
		id = ID(len(n.values))
		n.values = append(n.values, v)
		n.ids[v] = id
	}
	return id
}

func newNumbered[V comparable, ID ~uint32](first ...V) numbered[V, ID] {
	n := numbered[V, ID]{ids: map[V]ID{}}
	for _, v := range first {
		n.id(v)
	}
	return n
}

func newTables() *tables {
	t := &tables{
		setIDs:        map[string]portsID{},
		states:        newNumbered[state, stateID](state{}),
		outcomes:      newNumbered[outcome, outcomeID](outcome{}, outcome{allow: allPorts}),
		accesses:      newNumbered[access, accessID](access{}),
		steps:         newNumbered[step, uint32](),
		unions:        map[[2]portsID]portsID{},
		intersections: map[[2]portsID]portsID{},
		differences:   map[[2]portsID]portsID{},
		applied:       map[uint64]stateID{},
		finished:      map[uint64]outcomeID{},
		both:          map[[2]outcomeID]outcomeID{},
	}
	t.intern(nil)
	t.intern(everyPort())
	return t
}

func (t *tables) intern(s portSet) portsID {
	key := s.key()
	id, known := t.setIDs[key]
	if !known {
		id = portsID(len(t.sets))
		t.sets = append(t.sets, s)
		t.setIDs[key] = id
	}
	return id
}

func (t *tables) union(a, b portsID) portsID {
	switch {
	case a == b, b == noPorts, a == allPorts:
		return a
	case a == noPorts, b == allPorts:
		return b
	}
	return t.remembered(t.unions, [2]portsID{min(a, b), max(a, b)}, portSet.union)
}

func (t *tables) intersect(a, b portsID) portsID {
	switch {
	case a == b, b == allPorts, a == noPorts:
		return a
	case a == allPorts, b == noPorts:
		return b
	}
	return t.remembered(t.intersections, [2]portsID{min(a, b), max(a, b)}, portSet.intersect)
}

func (t *tables) minus(a, b portsID) portsID {
	switch {
	case a == b, a == noPorts, b == allPorts:
		return noPorts
	case b == noPorts:
		return a
	}
	return t.remembered(t.differences, [2]portsID{a, b}, portSet.minus)
}

func (t *tables) remembered(memory map[[2]portsID]portsID, key [2]portsID, operation func(a, b portSet) portSet) portsID {
	id, known := memory[key]
	if !known {
		id = t.intern(operation(t.sets[key[0]], t.sets[key[1]]))
		memory[key] = id
	}
	return id
}

// apply takes a state past one rule that matches.
func (t *tables) apply(s stateID, stepID uint32) stateID {
	key := uint64(s)<<32 | uint64(stepID)
	next, known := t.applied[key]
	if !known {
		next = t.states.id(t.applyTo(t.states.values[s], t.steps.values[stepID]))
		t.applied[key] = next
	}
	return next
}

func (t *tables) applyTo(s state, by step) state {
	ports := t.minus(by.ports, s.settled)
	if by.effect == model.Allow {
		s.allow = t.union(s.allow, ports)
	} else {
		s.deny = t.union(s.deny, ports)
	}
	switch by.match {
	case always:
		s.settled = t.union(s.settled, ports)
	case perhaps:
		s.unclear = t.union(s.unclear, ports)
	}
	return s
}

// finish turns a state into an outcome, after the last rule.
func (t *tables) finish(s stateID, otherwise model.Effect) outcomeID {
	key := uint64(s)<<1 | uint64(otherwise)
	out, known := t.finished[key]
	if !known {
		end := t.applyTo(t.states.values[s], step{effect: otherwise, ports: allPorts, match: always})
		doubtful := t.intersect(end.allow, end.deny)
		out = t.outcomes.id(outcome{
			allow:   t.minus(end.allow, end.deny),
			partly:  t.minus(doubtful, end.unclear),
			unknown: t.intersect(doubtful, end.unclear),
		})
		t.finished[key] = out
	}
	return out
}

// and is what passes both of two.
func (t *tables) and(a, b outcomeID) outcomeID {
	switch {
	case a == b, b == allowed, a == denied:
		return a
	case a == allowed, b == denied:
		return b
	}
	key := [2]outcomeID{min(a, b), max(a, b)}
	both, known := t.both[key]
	if !known {
		both = t.outcomes.id(t.andOf(t.outcomes.values[a], t.outcomes.values[b]))
		t.both[key] = both
	}
	return both
}

func (t *tables) andOf(a, b outcome) outcome {
	allow := t.intersect(a.allow, b.allow)
	known := t.intersect(t.union(a.allow, a.partly), t.union(b.allow, b.partly))
	possible := t.intersect(t.open(a), t.open(b))
	return outcome{allow: allow, partly: t.minus(known, allow), unknown: t.minus(possible, known)}
}

// open are the ports that are not surely closed.
func (t *tables) open(o outcome) portsID { return t.union(t.union(o.allow, o.partly), o.unknown) }

// within is an outcome on some ports only.
func (t *tables) within(o outcome, ports portsID) outcome {
	return outcome{allow: t.intersect(o.allow, ports), partly: t.intersect(o.partly, ports), unknown: t.intersect(o.unknown, ports)}
}

// doubted is an outcome of which it is not known whether it is what happens.
func (t *tables) doubted(o outcome) outcome { return outcome{unknown: t.open(o)} }

// either is an outcome where it is not known which of two happens.
func (t *tables) either(a, b outcome) outcome {
	sure := t.andOf(a, b)
	return outcome{allow: sure.allow, partly: sure.partly, unknown: t.minus(t.union(t.open(a), t.open(b)), t.union(sure.allow, sure.partly))}
}

// at is what an outcome says of one port, spread over others: a tunnel carries all of them or none.
func (t *tables) at(o outcome, port model.Port, ports portsID) outcome {
	switch {
	case t.sets[o.allow].contains(port):
		return outcome{allow: ports}
	case t.sets[o.partly].contains(port):
		return outcome{partly: ports}
	case t.sets[o.unknown].contains(port):
		return outcome{unknown: ports}
	default:
		return outcome{}
	}
}
