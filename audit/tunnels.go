package audit

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// tunnels knows by which port a mesh carries what meshed pods send to each other.
type tunnels struct {
	e *Evidence
	// clients are the workloads that a mesh carries, in the order of the state.
	clients []*model.Workload
	// senders and receivers number what of clients and servers their ways depend on, and ways is what is known of a pair.
	senders, receivers map[*model.Workload]int
	numbers            map[string]int
	ways               map[pair]carriage
	// chosen are the workloads that the terms of rules find, by the term.
	chosen map[string]map[*model.Workload]bool
}

// carriage is how the mesh carries connections of some clients to a port of some servers.
type carriage struct {
	// port is the one that is dialled in place of the server's; 0 where the mesh does not carry all of them by one.
	port int32
	// perhaps tells that it is not known whether it is dialled.
	perhaps bool
	// via is the waypoint in between, or nil.
	via *model.Workload
}

// pair is clients and servers that a mesh treats alike, and a port of the servers.
type pair struct {
	sender, receiver int
	port             int32
}

// number is the same for equal texts.
func (t *tunnels) number(text string) int {
	n, known := t.numbers[text]
	if !known {
		n = len(t.numbers)
		t.numbers[text] = n
	}
	return n
}

func newTunnels(e *Evidence) *tunnels {
	t := &tunnels{
		e: e, senders: map[*model.Workload]int{}, receivers: map[*model.Workload]int{}, numbers: map[string]int{},
		ways: map[pair]carriage{}, chosen: map[string]map[*model.Workload]bool{},
	}
	e.eachWorkload(func(w *model.Workload) {
		if w.Facts.Meshed() && !w.Spec.HostNetwork {
			t.clients = append(t.clients, w)
			t.senders[w] = t.number(e.State.Mesh.Sender(w))
		}
	})
	return t
}

// carries tells how the mesh carries connections of a client to a port of a server: by
// the Services of the server where there are some, else by its address.
func (t *tunnels) carries(client, server *model.Workload, port model.Port) carriage {
	receiver, known := t.receivers[server]
	if !known {
		receiver = t.number(server.ID.Namespace + " " + t.e.State.Mesh.Receiver(server))
		t.receivers[server] = receiver
	}
	key := pair{t.senders[client], receiver, port.Number}
	c, known := t.ways[key]
	if !known {
		c = carriageOf(t.e.State.Mesh.Ways(client, server), port)
		t.ways[key] = c
	}
	return c
}

func carriageOf(ways []model.Way, port model.Port) carriage {
	ways = slices.DeleteFunc(slices.Clone(ways), func(w model.Way) bool {
		return w.Ports != nil && !slices.ContainsFunc(w.Ports, func(p model.Port) bool { return p.Contains(port.Protocol, port.Number) })
	})
	if services := slices.DeleteFunc(slices.Clone(ways), func(w model.Way) bool { return w.ByAddress }); len(services) > 0 {
		ways = services
	}
	var c carriage
	for i, w := range ways {
		if w.Dials == 0 || w.Fails != "" || i > 0 && c.port != w.Dials {
			return carriage{}
		}
		c.port, c.perhaps = w.Dials, c.perhaps || w.Either || w.Unknown != ""
		if w.Via != nil {
			c.via = w.Via
		}
	}
	return c
}

// finds tells which workloads some terms of a rule find; nil is for everybody. Terms for addresses find nobody here.
func (t *tunnels) finds(terms []model.Term) map[*model.Workload]bool {
	if terms == nil {
		return nil
	}
	found := map[*model.Workload]bool{}
	for i := range terms {
		if terms[i].Pods == nil {
			continue
		}
		for w := range t.findsPods(terms[i].Pods) {
			found[w] = true
		}
	}
	return found
}

func (t *tunnels) findsPods(p *model.PodTerm) map[*model.Workload]bool {
	key := p.Namespace + "\x00" + model.SelectorKey(p.NamespaceSelector) + "\x00" + model.SelectorKey(p.PodSelector)
	found, known := t.chosen[key]
	if known {
		return found
	}
	found = map[*model.Workload]bool{}
	for _, w := range t.clients {
		here := p.Namespace == w.ID.Namespace || p.Namespace == "" && model.Matches(p.NamespaceSelector, w.NamespaceLabels)
		if here && (p.PodSelector == nil || model.Matches(p.PodSelector, w.Labels)) {
			found[w] = true
		}
	}
	t.chosen[key] = found
	return found
}

// open is whom the rules of a filter let through on a port.
type open struct {
	everybody bool
	pods      map[*model.Workload]bool
	// blocks tells that some rule goes by addresses, so that each has to be asked for.
	blocks bool
}

// opens collects whom a filter lets through on a port of a server, nil for any.
func (t *tunnels) opens(f *model.Filter, port model.Port, server *model.Workload) open {
	o := open{pods: map[*model.Workload]bool{}}
	for i := range f.Rules {
		r := &f.Rules[i]
		if r.Effect != model.Allow || !holdsPort(r, port, server) {
			continue
		}
		found := t.finds(r.Peers)
		o.everybody = o.everybody || found == nil
		for w := range found {
			o.pods[w] = true
		}
		o.blocks = o.blocks || slices.ContainsFunc(r.Peers, func(term model.Term) bool { return term.In != nil })
	}
	return o
}

// lets tells whether a workload is among those that are let through; ask settles
// what goes by addresses, and what is not among the meshed workloads (a waypoint).
func (o *open) lets(w *model.Workload, c carriage, ask func() verdict.Decision) bool {
	return o.everybody || o.pods[w] || (o.blocks || c.via != nil) && ask() != verdict.Refused
}

// appPorts are the ports that a rule opens on a server for applications: those that
// are declared among its ports and ranges, else its single ports. Ports of proxies are none.
func appPorts(r *model.FilterRule, server *model.Workload) []model.Port {
	var ports []model.Port
	add := func(p model.Port) {
		if p.Protocol == corev1.ProtocolTCP && !isOfProxy(server, p) && !slices.Contains(ports, p) {
			ports = append(ports, p)
		}
	}
	for _, p := range server.ContainerPorts() {
		if holdsPort(r, p.Port, server) {
			add(p.Port)
		}
	}
	if len(ports) > 0 {
		return ports
	}
	for _, t := range r.Ports {
		if t.Name == "" && t.Number != 0 && t.Last() == t.Number {
			add(model.Port{Protocol: t.Protocol, Number: t.Number})
		}
	}
	return ports
}

// carrier says what carries connections on a port of a tunnel.
func carrier(port int32) string {
	if port == 4143 {
		return "Linkerd's proxies carry"
	}
	return "the mesh carries"
}
