package netpol

import (
	"net/netip"
	"slices"

	"floe.dev/palisade/model"
)

// apiServer opens the way to the Kubernetes API: to its Service and to what is
// behind it, each with its own ports, because a policy may be applied before or
// after the Service's address is translated.
func (c *compiler) apiServer(l *leg) ([]permission, []special) {
	api := &c.m.Cluster.APIServer
	own := slices.Concat(api.ServicePorts, api.Ports)
	if len(own) > 0 && len(l.plain) > 0 && !anyShared(own, l.plain) {
		c.problem(l.origin, apiServerOtherPort)
		return nil, nil
	}
	if !api.Known() {
		c.problem(l.origin, apiServerUnknown)
	} else if len(api.ServiceIPs) == 0 || len(api.ServicePorts) == 0 {
		c.problem(l.origin, apiServerServiceUnknown)
	}
	var allowed []permission
	allowed = append(allowed, addressesOn(l.origin, api.ServiceIPs, api.ServicePorts)...)
	for _, group := range api.Groups() {
		allowed = append(allowed, addressesOn(l.origin, group.Endpoints, group.Ports)...)
	}
	if c.onCilium() && len(api.Ports) > 0 {
		return allowed, []special{{entities: []string{"kube-apiserver"}, ports: api.Ports, origin: l.origin}}
	}
	return allowed, nil
}

// apiServerCalls lets the API server in, to webhooks and the like. It dials from
// its own addresses: its Service's is never a source.
func (c *compiler) apiServerCalls(l *leg) ([]permission, []special) {
	var named []special
	if c.onCilium() {
		named = []special{{inbound: true, entities: []string{"kube-apiserver"}, ports: l.ports, origin: l.origin}}
	}
	allowed := addressesOn(l.origin, c.m.Cluster.APIServer.Endpoints, l.ports)
	if len(allowed)+len(named) == 0 {
		c.problem(l.origin, apiServerUnknown)
	}
	return allowed, named
}

// addressesOn opens ports at single addresses; it opens nothing where either is missing.
func addressesOn(origin model.Origin, addresses []netip.Addr, ports []model.Port) []permission {
	var peers []peer
	for _, a := range addresses {
		if a.IsValid() {
			peers = append(peers, single(a))
		}
	}
	if len(peers) == 0 || len(ports) == 0 {
		return nil
	}
	return []permission{{peers: peers, ports: ports, origin: origin}}
}

func anyShared(a, b []model.Port) bool {
	return slices.ContainsFunc(a, func(p model.Port) bool {
		return slices.ContainsFunc(b, func(q model.Port) bool { return q.Contains(p.Protocol, p.Number) })
	})
}
