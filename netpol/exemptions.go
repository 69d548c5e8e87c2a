package netpol

import (
	"slices"

	"floe.dev/palisade/model"
)

// exemptions opens what an Exemption in force relaxes. Here alone a rule without
// peers, or without ports, is meant.
func (c *compiler) exemptions() {
	for i := range c.m.Workloads {
		w := &c.m.Workloads[i]
		h := c.byName[w.ID.Namespace]
		if h == nil {
			continue
		}
		for j := range w.Relaxed {
			if w.Relaxed[j].Layer == model.LayerNetwork {
				c.relax(h, w, &w.Relaxed[j])
			}
		}
	}
}

func (c *compiler) relax(h *home, w *model.Workload, r *model.Relaxation) {
	if model.IsEverything(&w.Selector) {
		c.problem(r.Origin, notSelectable.about(w.ID.String()))
		return
	}
	s := h.subject(&w.Selector)
	open := permission{peers: []peer{anyone}, origin: r.Origin}
	if len(r.Ports) == 0 {
		open.everyPort = true
		s.egress = append(s.egress, open)
	} else {
		open.ports = withTunnel(r.Ports, w.Facts.Tunnel)
	}
	s.ingress = append(s.ingress, open)
}

// withTunnel adds the mesh's own port, by which meshed clients come for these.
func withTunnel(ports []model.Port, tunnel model.Tunnel) []model.Port {
	if !slices.ContainsFunc(ports, tunnel.Carries) {
		return ports
	}
	return append(slices.Clone(ports), model.TCP(tunnel.Port))
}
