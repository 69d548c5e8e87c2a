package netpol

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
	selector, ok := c.exempted(w, r)
	if !ok {
		c.problem(r.Origin, notSelectable.about(w.ID.String()))
		return
	}
	s := h.subject(&selector)
	open := permission{peers: []peer{anyone}, origin: r.Origin}
	if len(r.Ports) == 0 {
		open.everyPort = true
		s.egress = append(s.egress, open)
	} else {
		open.ports = withTunnel(r.Ports, w.Facts.Tunnel)
	}
	s.ingress = append(s.ingress, open)
}

// exempted is a selector of the pods of a workload, and of no others but those
// that the same Exemption relaxes alike. It reports false where there is none.
func (c *compiler) exempted(w *model.Workload, r *model.Relaxation) (metav1.LabelSelector, bool) {
	selector, ok := w.Selector, !model.IsEverything(&w.Selector)
	neighbours := c.m.WorkloadsIn(w.ID.Namespace)
	for i := range neighbours {
		stray := &neighbours[i]
		if !ok || stray.ID == w.ID || !model.Matches(&selector, stray.Labels) || relaxedAlike(stray, r) {
			continue
		}
		selector, ok = model.Exclude(&selector, w.Labels, stray.Labels)
	}
	return selector, ok
}

func relaxedAlike(w *model.Workload, r *model.Relaxation) bool {
	return slices.ContainsFunc(w.Relaxed, func(other model.Relaxation) bool {
		return other.Layer == r.Layer && other.Origin == r.Origin && slices.Equal(other.Ports, r.Ports)
	})
}

// withTunnel adds the mesh's own port, by which meshed clients come for these.
func withTunnel(ports []model.Port, tunnel model.Tunnel) []model.Port {
	if !slices.ContainsFunc(ports, tunnel.Carries) {
		return ports
	}
	return append(slices.Clone(ports), model.TCP(tunnel.Port))
}
