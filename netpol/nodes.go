package netpol

import (
	"net/netip"

	"floe.dev/palisade/model"
)

// nodeBlocks opens the plain ports of a leg to every node: nobody can tell one
// node's pods of the host network from another's.
func (c *compiler) nodeBlocks(l *leg, inbound bool) ([]permission, []special) {
	if len(l.plain) == 0 {
		return nil, nil
	}
	var named []special
	if c.onCilium() {
		named = []special{{inbound: inbound, entities: []string{"host", "remote-node"}, ports: l.plain, origin: l.origin}}
	}
	peers := blocks(aggregate(c.m.Cluster.NodeCIDRs))
	if len(peers) == 0 {
		return nil, named
	}
	return []permission{{peers: peers, ports: l.plain, origin: l.origin}}, named
}

// nodes opens a leg to the nodes themselves. The kubelet's probes may come from
// an address that is not the node's (Workload.Facts.ProbeSources).
func (c *compiler) nodes(l *leg, inbound bool) ([]permission, []special) {
	allowed, named := c.nodeBlocks(l, inbound)
	switch {
	case len(allowed)+len(named) > 0:
	case inbound:
		c.problem(l.origin, probesFromUnknownNodes)
	default:
		c.problem(l.origin, nodesUnknown)
	}
	if inbound {
		allowed = append(allowed, c.permit(l, c.probeSources(l.server))...)
	}
	return allowed, named
}

func (c *compiler) probeSources(servers *model.Peer) []peer {
	var sources []netip.Prefix
	for _, id := range servers.Workloads {
		w := c.m.Workload(id)
		if w == nil {
			continue
		}
		sources = append(sources, w.Facts.ProbeSources...)
	}
	return blocks(aggregate(sources))
}
