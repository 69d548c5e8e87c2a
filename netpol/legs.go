package netpol

import (
	"slices"

	"floe.dev/palisade/model"
)

// leg is one stretch of a flow as the network sees it.
type leg struct {
	origin         model.Origin
	client, server *model.Peer
	// ports are what pods dial between them, the mesh's own included.
	ports []model.Port
	// plain are the ports without those of the mesh: what is in the node's network dials no tunnel, and listens on none.
	plain []model.Port
	base  bool
}

// legs is one stretch, or two where a waypoint stands between: then nothing is opened past the waypoint.
func legs(f *model.Flow) []leg {
	var tunnels []model.Port
	for _, number := range f.Tunnels {
		tunnels = append(tunnels, model.TCP(number))
	}
	direct := leg{origin: f.Origin, client: &f.Client, server: &f.Server, plain: f.Ports, base: f.Base}
	if f.Via == nil {
		direct.ports = slices.Concat(f.Ports, tunnels)
		return []leg{direct}
	}
	to, from := direct, direct
	to.server, to.ports, to.plain = f.Via, tunnels, nil
	from.client, from.ports, from.plain = f.Via, tunnels, nil
	return []leg{to, from}
}

func (c *compiler) flow(f *model.Flow) {
	if len(f.Ports) == 0 && f.Server.Kind != model.PeerDNS && f.Server.Kind != model.PeerAPIServer {
		c.problem(f.Origin, portsUnknown)
		return
	}
	if f.Via != nil && len(f.Tunnels) == 0 {
		c.problem(f.Origin, tunnelUnknown)
		return
	}
	for _, l := range legs(f) {
		c.egress(&l)
		c.ingress(&l)
	}
}

// egress writes the side of the clients.
func (c *compiler) egress(l *leg) {
	if !c.selectable(l.origin, l.client) {
		return
	}
	for _, h := range c.homesOf(l.client) {
		allowed, named := c.servers(l, h)
		if l.base && model.IsEverything(&l.client.PodSelector) && l.client.Namespace != "" {
			h.base = append(h.base, allowed...)
			h.everyone().special = append(h.everyone().special, named...)
			continue
		}
		c.add(h, l.client, nil, allowed, named)
	}
}

// ingress writes the side of the servers.
func (c *compiler) ingress(l *leg) {
	if !c.selectable(l.origin, l.server) {
		return
	}
	for _, h := range c.homesOf(l.server) {
		allowed, named := c.clients(l, h)
		c.add(h, l.server, allowed, nil, named)
	}
}

// add gives the pods of a peer in one namespace what was found for them. No
// policy comes to be where nothing was, or where all of the pods are in their
// node's network: policies do not reach them there.
func (c *compiler) add(h *home, pods *model.Peer, ingress, egress []permission, named []special) {
	if len(ingress)+len(egress)+len(named) == 0 || c.onlyHostNetwork(pods, h.namespace.Name) {
		return
	}
	s := h.subject(&pods.PodSelector)
	s.ingress = append(s.ingress, ingress...)
	s.egress = append(s.egress, egress...)
	s.special = append(s.special, named...)
}

// selectable tells whether the selector of a peer says what the peer means. The
// selector of a bare Pod without labels is empty, and would mean the whole namespace.
func (c *compiler) selectable(origin model.Origin, peer *model.Peer) bool {
	if peer.Kind != model.PeerPods {
		return true
	}
	if peer.Namespace == "" && peer.NamespaceSelector == nil {
		c.problem(origin, namespaceMissing)
		return false
	}
	if peer.Namespace == "" || len(peer.Workloads) == 0 || !model.IsEverything(&peer.PodSelector) {
		return true
	}
	if len(peer.Workloads) < len(c.m.WorkloadsIn(peer.Namespace)) {
		c.problem(origin, notSelectable.about(peer.Workloads[0].String()))
		return false
	}
	return true
}
