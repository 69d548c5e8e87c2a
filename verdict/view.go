package verdict

import (
	"slices"

	"floe.dev/palisade/model"
)

// view is one side seen in classes: all that a row is made of.
type view struct {
	*side
	space  *space
	number int
	// size is how many classes there are.
	size uint32
	// clients are the classes of each egress filter.
	clients map[filterID]classSet
	// base is what each client may send to servers of a kind that no rule of its own names.
	base [kinds]vector[outcomeID]
	// touching are, for each server class, the egress filters with a rule that names it.
	touching [][]filterID
	// senders number how the clients send; meshed is false where nothing is carried by a mesh.
	senders vector[uint32]
	// sending is one of the clients of each sender; nil for addresses outside.
	sending map[uint32]*model.Workload
	meshed  bool
	// missing are the classes that are not there on this side; outer are the addresses.
	missing, outer classSet
	ways           map[[2]uint32][]way
	results        map[resultKey]accessID
	judged         map[judgedKey]vector[outcomeID]
}

func (sp *space) newView(number int) *view {
	v := &view{
		space: sp, side: sp.sides[number], number: number, size: uint32(len(sp.classes)),
		clients: map[filterID]classSet{}, touching: make([][]filterID, len(sp.classes)),
		ways: map[[2]uint32][]way{}, results: map[resultKey]accessID{}, judged: map[judgedKey]vector[outcomeID]{},
	}
	v.placeTerms()
	v.placeClients()
	v.placeSenders()
	return v
}

// group is what a class is on this side, or nil where it is not there.
func (v *view) group(class uint32) *group {
	g := v.space.classes[class].groups[v.number]
	if g == absent {
		return nil
	}
	return &v.groups[g]
}

// placeTerms turns the groups of each term into classes.
func (v *view) placeTerms() {
	lists := make([][always + 1][]uint32, len(v.terms))
	for class := range v.size {
		g := v.group(class)
		if g == nil {
			continue
		}
		for _, m := range g.memberships {
			lists[m.term][m.match] = append(lists[m.term][m.match], class)
		}
	}
	for id, t := range v.terms {
		for match, list := range lists[id] {
			t.classes[match] = newClassSet(list)
		}
	}
}

// placeClients works out, for each egress filter, who it is for, what it lets
// out to anybody, and which servers its other rules name.
func (v *view) placeClients() {
	lists := map[filterID][]uint32{}
	for class := range v.size {
		if g := v.group(class); g != nil && g.egress != noFilter {
			lists[g.egress] = append(lists[g.egress], class)
		}
	}
	for k := range kinds {
		v.base[k] = constant(v.size, allowed)
	}
	for _, id := range sortedKeys(lists) {
		v.clients[id] = newClassSet(lists[id])
	}
	for k := range kinds {
		v.base[k] = v.baseOf(k)
	}
	for _, id := range sortedKeys(lists) {
		v.touch(id)
	}
}

// baseOf is what every client may send to servers of a kind.
func (v *view) baseOf(k kind) vector[outcomeID] {
	outcomes := map[filterID]outcomeID{noFilter: allowed}
	base := make(vector[outcomeID], 0, 16)
	for class := range v.size {
		g := v.group(class)
		if g == nil {
			base = base.add(class+1, denied)
			continue
		}
		out, known := outcomes[g.egress]
		if !known {
			out = v.walk(v.filters[g.egress], func(r *rule) (certainty, portsID) {
				if !v.universal(r, k) {
					return never, noPorts
				}
				return r.limit, r.ports
			})
			outcomes[g.egress] = out
		}
		base = base.add(class+1, out)
	}
	return base
}

// universal tells whether a rule treats all peers of a kind alike: it names every one of them, always, by the same ports.
func (v *view) universal(r *rule, k kind) bool {
	if r.names != nil {
		return false
	}
	return r.everybody || slices.ContainsFunc(r.nameless, func(t termID) bool { return v.terms[t].whole[k] })
}

// touch notes for each server that some rule of an egress filter names, and not
// all of its kind, that the filter has to be walked for it.
func (v *view) touch(id filterID) {
	f := v.filters[id]
	for i := range f.rules {
		r := &f.rules[i]
		if r.everybody && r.names != nil {
			for class := range v.size {
				v.touchClass(class, id)
			}
			continue
		}
		for _, t := range r.nameless {
			for match := perhaps; match <= always; match++ {
				for _, run := range v.terms[t].classes[match] {
					for class := run.first; class < run.last; class++ {
						if !v.universal(r, v.space.classes[class].kind) {
							v.touchClass(class, id)
						}
					}
				}
			}
		}
	}
}

func (v *view) touchClass(class uint32, id filterID) {
	if list := v.touching[class]; len(list) == 0 || list[len(list)-1] != id {
		v.touching[class] = append(list, id)
	}
}

// walk takes one connection through a filter; match says how surely a rule matches, and on which ports.
func (v *view) walk(f *filter, match func(*rule) (certainty, portsID)) outcomeID {
	at := stateID(0)
	for i := range f.rules {
		r := &f.rules[i]
		if m, ports := match(r); m > never && ports != noPorts {
			at = v.tables.apply(at, v.tables.steps.id(step{r.effect, ports, m}))
		}
	}
	return v.tables.finish(at, f.source.Otherwise)
}

// matches is how surely a rule names a class, presenting its identity or not.
func (v *view) matches(r *rule, class uint32, named bool) certainty {
	if r.everybody {
		return r.limit
	}
	terms := r.nameless
	if named {
		terms = r.named
	}
	best := never
	for _, t := range terms {
		for match := always; match > best; match-- {
			if v.terms[t].classes[match].contains(class) {
				best = match
			}
		}
	}
	return min(best, r.limit)
}

// placeSenders numbers how clients send.
func (v *view) placeSenders() {
	v.meshed, v.sending = v.in.Mesh != nil, map[uint32]*model.Workload{}
	var missing, outer []uint32
	for class := range v.size {
		g := v.group(class)
		switch {
		case g == nil:
			missing = append(missing, class)
			v.senders = v.senders.add(class+1, 0)
			continue
		case g.kind == addresses:
			outer = append(outer, class)
		case g.sender != 0:
			v.sending[g.sender] = g.first
		}
		v.senders = v.senders.add(class+1, g.sender)
	}
	v.missing, v.outer = newClassSet(missing), newClassSet(outer)
}

// classOfWorkload is the class of a workload of this side.
func (v *view) classOfWorkload(w *model.Workload) (uint32, bool) {
	i, found := slices.BinarySearchFunc(v.in.Workloads, w.ID, func(w model.Workload, id model.WorkloadID) int { return model.CompareWorkloadIDs(w.ID, id) })
	if !found {
		return 0, false
	}
	return v.space.classOf[v.space.memberOf[v.number][i]], true
}
