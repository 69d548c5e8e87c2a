package verdict

import (
	"cmp"
	"maps"
	"slices"

	"floe.dev/palisade/model"
)

// way is a model.Way between clients with one sender and servers with one receiver.
type way struct {
	source *model.Way
	ports  portsID
	// dials is the port that is dialled, or the zero Port for the port itself.
	dials model.Port
	// via is the class of the waypoint; filters are what it enforces.
	via     uint32
	hasVia  bool
	filters []filterID
}

// resultKey is all that an access comes from: what the network lets through,
// who sends how, to whom, and what the server's proxy and a waypoint on the way say of both.
type resultKey struct {
	network, named, nameless outcomeID
	sender, receiver         uint32
	toVia, fromVia, atVia    outcomeID
	behindVia                outcomeID
}

// judgedKey is a list of a mesh's filters, for peers with their identity or without, at servers that name their ports alike.
type judgedKey struct {
	mesh, names uint32
	named       bool
}

// network is what NetworkPolicies on both sides let every class send to a server.
func (v *view) network(server uint32) vector[outcomeID] {
	g := v.group(server)
	out := v.base[g.kind]
	for _, id := range v.touching[server] {
		f := v.filters[id]
		outcome := v.walk(f, func(r *rule) (certainty, portsID) {
			return v.matches(r, server, false), v.portsAt(r, g.names)
		})
		out = out.change(v.clients[id], func(outcomeID) outcomeID { return outcome })
	}
	if g.ingress == noFilter {
		return out
	}
	return merge(out, v.judge(v.filters[g.ingress], g.names, false), v.tables.and)
}

// judge is what a filter of a server does with the connections of every class.
func (v *view) judge(f *filter, names uint32, named bool) vector[outcomeID] {
	at := constant(v.size, stateID(0))
	for i := range f.rules {
		r := &f.rules[i]
		ports := v.portsAt(r, names)
		if ports == noPorts {
			continue
		}
		take := func(match certainty) func(stateID) stateID {
			id := v.tables.steps.id(step{r.effect, ports, min(match, r.limit)})
			return func(s stateID) stateID { return v.tables.apply(s, id) }
		}
		if r.everybody {
			at = at.change(classSet{{0, v.size}}, take(always))
			continue
		}
		terms := r.nameless
		if named {
			terms = r.named
		}
		for match := perhaps; match <= always; match++ {
			for _, t := range terms {
				at = at.change(v.terms[t].classes[match], take(match))
			}
		}
	}
	out := make(vector[outcomeID], 0, len(at))
	for _, s := range at {
		out = out.add(s.end, v.tables.finish(s.value, f.source.Otherwise))
	}
	return out
}

// proxy is what the proxy of a server lets every class do, with its identity or without.
func (v *view) proxy(list, names uint32, named bool) vector[outcomeID] {
	key := judgedKey{list, names, named}
	if known, ok := v.judged[key]; ok {
		return known
	}
	out := v.all(v.lists[list], names, named)
	v.judged[key] = out
	return out
}

// all is what passes every one of some filters.
func (v *view) all(filters []filterID, names uint32, named bool) vector[outcomeID] {
	out := constant(v.size, allowed)
	for _, id := range filters {
		out = merge(out, v.judge(v.filters[id], names, named), v.tables.and)
	}
	return out
}

// row is what every client class may do at a server class.
func (v *view) row(server uint32) vector[accessID] {
	g := v.group(server)
	if g == nil {
		return constant(v.size, accessID(0))
	}
	network := v.network(server)
	if !v.meshed {
		out := make(vector[accessID], 0, len(network))
		for _, s := range network {
			out = out.add(s.end, v.plain(s.value))
		}
		return v.known(server, out)
	}
	r := &rowOf{view: v, server: server, g: g, network: network}
	r.named, r.nameless = v.proxy(g.mesh, g.names, true), v.proxy(g.mesh, g.names, false)
	r.findWays()
	return v.known(server, r.build())
}

// known takes out clients that are not there, and traffic from outside to outside.
func (v *view) known(server uint32, row vector[accessID]) vector[accessID] {
	if v.space.classes[server].kind == addresses {
		row = row.change(v.outer, func(accessID) accessID { return 0 })
	}
	return row.change(v.missing, func(accessID) accessID { return 0 })
}

// plain is the access where nothing is carried by a mesh.
func (v *view) plain(network outcomeID) accessID {
	key := resultKey{network: network}
	id, known := v.results[key]
	if !known {
		id = v.tables.accesses.id(access{Plaintext: v.tables.outcomes.values[network]})
		v.results[key] = id
	}
	return id
}

// rowOf is the work on one row with a mesh.
type rowOf struct {
	*view
	server                   uint32
	g                        *group
	network, named, nameless vector[outcomeID]
	// ways of each sender that may reach the server at all.
	ways map[uint32][]way
	// vias are the waypoints on these ways.
	vias []*viaRow
}

// viaRow is what every class may do at one waypoint in front of a server.
type viaRow struct {
	class   uint32
	filters []filterID
	// to is what the network lets them send to the waypoint, at what its filters let through.
	to, at vector[outcomeID]
	// from and behind are what the network lets the waypoint send to the server, and what the server's proxy lets it do.
	from, behind outcomeID
}

// findWays asks the mesh about each sender whose connections the network may let
// through. By way of a waypoint they may come whatever the network says of the direct way.
func (r *rowOf) findWays() {
	r.ways = map[uint32][]way{}
	mergeWhere(r.network, r.senders, r.matters, func(_ outcomeID, sender uint32) bool {
		if _, known := r.ways[sender]; !known {
			r.ways[sender] = nil
		}
		return false
	})
	for sender := range r.ways {
		r.ways[sender] = r.waysOf(sender)
		for i := range r.ways[sender] {
			if w := &r.ways[sender][i]; w.hasVia {
				r.addVia(w)
			}
		}
	}
}

// matters tells whether anything depends on who sends, where the network has spoken.
func (r *rowOf) matters(network outcomeID) bool { return network != denied || r.g.relayed }

// waysOf are the ways of the clients with a sender, remembered by the server's receiver.
func (r *rowOf) waysOf(sender uint32) []way {
	key := [2]uint32{sender, r.g.receiver}
	known, ok := r.view.ways[key]
	if ok {
		return known
	}
	list := r.in.Mesh.Ways(r.sending[sender], r.g.first)
	ways := make([]way, len(list))
	for i := range list {
		ways[i] = r.way(&list[i])
	}
	r.view.ways[key] = ways
	return ways
}

func (r *rowOf) way(from *model.Way) way {
	tcp := []model.Port{model.AllTCP()}
	if from.Ports != nil {
		tcp = from.Ports
	}
	w := way{source: from, ports: r.tables.intern(newPortSet(tcp).intersect(newPortSet([]model.Port{model.AllTCP()})))}
	if from.Dials != 0 {
		w.dials = model.TCP(from.Dials)
	}
	if from.Via != nil {
		w.via, w.hasVia = r.classOfWorkload(from.Via)
		for _, f := range from.ViaFilters {
			w.filters = append(w.filters, r.filterIDs[f])
		}
	}
	return w
}

func (r *rowOf) viaOf(w *way) *viaRow {
	i := slices.IndexFunc(r.vias, func(v *viaRow) bool { return v.class == w.via && slices.Equal(v.filters, w.filters) })
	if i < 0 {
		return nil
	}
	return r.vias[i]
}

func (r *rowOf) addVia(w *way) {
	if r.viaOf(w) != nil {
		return
	}
	r.vias = append(r.vias, &viaRow{
		class: w.via, filters: w.filters, to: r.view.network(w.via), at: r.all(w.filters, r.g.names, true),
		from: r.network.at(w.via), behind: r.named.at(w.via),
	})
}

// build joins everything that a row depends on, run by run.
func (r *rowOf) build() vector[accessID] {
	type parts struct{ network, named, nameless outcomeID }
	joined := merge(merge(r.network, r.named, func(a, b outcomeID) parts { return parts{network: a, named: b} }),
		r.nameless, func(p parts, c outcomeID) parts { p.nameless = c; return p })
	// What the network refuses is refused whoever sends: its key is the zero value, and so is its access.
	keys := mergeWhere(joined, r.senders, func(p parts) bool { return r.matters(p.network) }, func(p parts, sender uint32) resultKey {
		return resultKey{network: p.network, named: p.named, nameless: p.nameless, sender: sender, receiver: r.g.receiver}
	})
	if len(r.vias) > 1 {
		return r.buildByClass(keys)
	}
	for _, via := range r.vias {
		keys = merge(keys, merge(via.to, via.at, func(a, b outcomeID) [2]outcomeID { return [2]outcomeID{a, b} }), func(k resultKey, o [2]outcomeID) resultKey {
			k.toVia, k.atVia, k.fromVia, k.behindVia = o[0], o[1], via.from, via.behind
			return k
		})
	}
	out := make(vector[accessID], 0, len(keys))
	for _, s := range keys {
		id, known := r.results[s.value]
		if !known {
			id = r.tables.accesses.id(r.accessOf(s.value, func(*way) resultKey { return s.value }))
			r.results[s.value] = id
		}
		out = out.add(s.end, id)
	}
	return out
}

// buildByClass is for servers behind several waypoints, which are few: nothing is remembered.
func (r *rowOf) buildByClass(keys vector[resultKey]) vector[accessID] {
	out := make(vector[accessID], 0, len(keys))
	for class := range r.size {
		key := keys.at(class)
		out = out.add(class+1, r.tables.accesses.id(r.accessOf(key, func(w *way) resultKey {
			via := r.viaOf(w)
			return resultKey{toVia: via.to.at(class), atVia: via.at.at(class), fromVia: via.from, behindVia: via.behind}
		})))
	}
	return out
}

// accessOf works one access out: every way in turn, the first that is let through counting for its ports.
func (r *rowOf) accessOf(key resultKey, via func(*way) resultKey) access {
	t := r.tables
	network := t.outcomes.values[key.network]
	tcp := t.intern(newPortSet([]model.Port{model.AllTCP()}))
	var sum access
	sum[Plaintext] = t.within(network, t.minus(allPorts, tcp)) // a mesh carries TCP only
	ways := r.ways[key.sender]
	if len(ways) == 0 {
		r.take(&sum, Plaintext, t.within(t.outcomes.values[t.and(key.network, key.nameless)], tcp))
		return sum
	}
	for i := range ways {
		w := &ways[i]
		protection := Plaintext
		if w.source.Protected {
			protection = MTLS
		}
		r.take(&sum, protection, r.along(w, key, via))
	}
	return sum
}

// along is what passes on one way.
func (r *rowOf) along(w *way, key resultKey, via func(*way) resultKey) outcome {
	t := r.tables
	if w.source.Fails != "" {
		return outcome{}
	}
	proxy := key.nameless
	if w.source.Protected {
		proxy = key.named
	}
	network := t.outcomes.values[key.network]
	var passes outcome
	switch {
	case w.hasVia:
		k := via(w)
		passes = t.andOf(t.at(t.outcomes.values[k.toVia], w.dials, w.ports), t.at(t.outcomes.values[k.fromVia], w.dials, w.ports))
		passes = t.andOf(passes, t.outcomes.values[k.atVia])
		passes = t.andOf(passes, t.outcomes.values[k.behindVia])
	case w.dials.Number != 0:
		passes = t.at(network, w.dials, w.ports)
		if w.source.Either {
			passes = t.either(passes, t.within(network, w.ports))
		}
		passes = t.andOf(passes, t.outcomes.values[proxy])
	default:
		passes = t.within(t.andOf(network, t.outcomes.values[proxy]), w.ports)
	}
	if w.source.Unknown != "" {
		passes = t.doubted(passes)
	}
	return passes
}

// take adds what passes on a further way, as far as it is more than what passed before.
func (r *rowOf) take(sum *access, protection Protection, o outcome) {
	t := r.tables
	var before outcome
	for p := range sum {
		before.allow, before.partly = t.union(before.allow, sum[p].allow), t.union(before.partly, sum[p].partly)
		before.unknown = t.union(before.unknown, sum[p].unknown)
	}
	o.allow = t.minus(o.allow, before.allow)
	o.partly = t.minus(o.partly, t.union(before.allow, before.partly))
	o.unknown = t.minus(o.unknown, t.open(before))
	for p := range sum {
		sum[p].partly = t.minus(sum[p].partly, o.allow)
		sum[p].unknown = t.minus(sum[p].unknown, t.union(o.allow, o.partly))
	}
	at := &sum[protection]
	at.allow, at.partly, at.unknown = t.union(at.allow, o.allow), t.union(at.partly, o.partly), t.union(at.unknown, o.unknown)
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
