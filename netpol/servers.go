package netpol

import "floe.dev/palisade/model"

// servers finds what the clients of a leg may dial, as written in the policy of a home.
func (c *compiler) servers(l *leg, h *home) ([]permission, []special) {
	switch l.server.Kind {
	case model.PeerPods:
		return c.pods(l, l.server, h, false)
	case model.PeerDNS:
		return c.resolver(l, h)
	case model.PeerAPIServer:
		return c.apiServer(l)
	case model.PeerNodes:
		return c.nodes(l, false)
	case model.PeerAddresses:
		return c.permit(l, c.addresses(l.origin, l.server, false)), nil
	case model.PeerInternet:
		return c.permit(l, c.internet(l.origin)), nil
	case model.PeerHost:
		return c.host(l, h)
	default:
		c.problem(l.origin, peerUnknown.about(string(l.server.Kind)))
		return nil, nil
	}
}

// clients finds who may dial the servers of a leg, as written in the policy of a home.
func (c *compiler) clients(l *leg, h *home) ([]permission, []special) {
	switch l.client.Kind {
	case model.PeerPods:
		return c.pods(l, l.client, h, true)
	case model.PeerAPIServer:
		return c.apiServerCalls(l)
	case model.PeerNodes:
		return c.nodes(l, true)
	case model.PeerAddresses:
		return c.permit(l, c.addresses(l.origin, l.client, true)), nil
	case model.PeerInternet:
		return c.permit(l, c.internet(l.origin)), nil
	default: // names and the resolver are dialled, they do not dial
		c.problem(l.origin, peerUnknown.about(string(l.client.Kind)))
		return nil, nil
	}
}

// permit opens the ports of a leg to peers; without peers it opens nothing.
func (c *compiler) permit(l *leg, peers []peer) []permission {
	if len(peers) == 0 || len(l.ports) == 0 {
		return nil
	}
	return []permission{{peers: peers, ports: l.ports, origin: l.origin}}
}

// pods opens a leg to pods, and to the nodes where some of these pods run in
// their node's network, out of reach of any pod selector.
func (c *compiler) pods(l *leg, of *model.Peer, h *home, inbound bool) ([]permission, []special) {
	if !c.selectable(l.origin, of) {
		return nil, nil
	}
	allowed := c.permit(l, []peer{podPeer(of, h.namespace.Name)})
	if len(l.plain) == 0 || !c.matchesHostNetwork(of) {
		return allowed, nil
	}
	blocks, named := c.nodeBlocks(l, inbound)
	if len(blocks) == 0 && len(named) == 0 {
		c.problem(l.origin, hostNetworkPeerUnknown)
	}
	return append(allowed, blocks...), named
}
