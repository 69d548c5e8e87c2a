package netpol

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// host opens a DNS name. A NetworkPolicy cannot hold one: Cilium can, and an
// Istio sidecar that is scoped to the declared hosts can, behind a network that is open.
func (c *compiler) host(l *leg, h *home) ([]permission, []special) {
	switch {
	case l.server.Host == "":
		c.problem(l.origin, peerUnknown.about("Host without a name"))
	case c.onCilium() && (c.m.Cluster.DNS.Namespace == "" || len(c.m.Cluster.DNS.Ports) == 0):
		c.problem(l.origin, hostNeedsResolver.about(l.server.Host))
	case c.onCilium():
		return nil, []special{{host: l.server.Host, ports: l.ports, origin: l.origin}}
	case c.meshHoldsHosts(l.client, h):
		return c.publicTCP(l), nil
	default:
		c.problem(l.origin, hostNotExpressible.about(l.server.Host))
	}
	return nil, nil
}

// meshHoldsHosts tells whether a proxy that only knows the declared hosts stands before every client of the home.
func (c *compiler) meshHoldsHosts(client *model.Peer, h *home) bool {
	if !h.namespace.Posture.Mesh.SidecarScope {
		return false
	}
	found := false
	for _, id := range client.Workloads {
		if id.Namespace != h.namespace.Name {
			continue
		}
		w := c.m.Workload(id)
		if w == nil || w.Facts.Mode != model.ModeSidecar || w.Spec.HostNetwork || leavesPastProxy(w) {
			return false
		}
		found = true
	}
	return found
}

// leavesPastProxy tells whether some of what a workload sends is led around its proxy.
func leavesPastProxy(w *model.Workload) bool {
	return slices.ContainsFunc(w.Facts.Bypasses, func(b model.Bypass) bool { return !b.Inbound })
}

// publicTCP opens what the preset Internet opens, on the TCP ports only: a sidecar leaves UDP alone.
func (c *compiler) publicTCP(l *leg) []permission {
	to := *l
	to.ports = slices.DeleteFunc(slices.Clone(l.ports), func(p model.Port) bool { return p.Protocol != corev1.ProtocolTCP })
	if len(to.ports) < len(l.ports) {
		c.problem(l.origin, hostNotExpressible.about(l.server.Host))
	}
	if len(to.ports) == 0 {
		return nil
	}
	c.problem(l.origin, hostHeldByMeshOnly.about(l.server.Host))
	return c.permit(&to, c.internet(l.origin))
}
