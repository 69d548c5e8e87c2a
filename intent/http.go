package intent

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// holdHTTP keeps of the flows that are limited to HTTP requests what some mesh
// will limit. Without one the network would open their ports to every request: a
// NetworkPolicy knows no methods and paths.
func (r *resolver) holdHTTP() {
	var kept []model.Flow
	for i := range r.model.Flows {
		flow := &r.model.Flows[i]
		if len(flow.HTTP) == 0 {
			kept = append(kept, *flow)
			continue
		}
		kept = append(kept, r.heldHTTP(flow)...)
	}
	r.model.Flows = kept
}

// heldHTTP is the share of a flow whose servers have a proxy that judges its requests.
func (r *resolver) heldHTTP(flow *model.Flow) []model.Flow {
	servers := r.orStranger(&flow.Server)
	var held []*model.Workload
	for _, w := range servers {
		if why := r.withoutHTTP(w, flow.Ports); why != "" {
			r.httpNotHeld(flow, w, why)
			continue
		}
		held = append(held, w)
	}
	if len(held) == len(servers) {
		if len(servers) == 0 {
			return nil // RuleMatchesNoServer was said, and nothing would judge a pod that is yet to come
		}
		return []model.Flow{*flow}
	}
	var parts []model.Flow
	for _, w := range held {
		if r.findsOthers(w, held) {
			r.httpNotHeld(flow, w, "its selector also finds pods whose requests nothing judges")
			continue
		}
		part := *flow
		part.Server = r.workloadPeer(w)
		parts = append(parts, part)
	}
	return parts
}

func (r *resolver) httpNotHeld(flow *model.Flow, w *model.Workload, why string) {
	at := w.ID.String()
	if w.ID.Name == "" {
		at = "pods of namespace " + w.ID.Namespace
	}
	r.problem("HTTPNotHeld", model.Error, flow.Origin.Ref, "spec.http",
		fmt.Sprintf("%s: nothing can hold requests to %s to methods and paths (%s), and a NetworkPolicy would let every request pass: it stays closed",
			flow.Origin.Part, at, why),
		"enrol the servers in a mesh that knows HTTP under a profile with mesh.authorization, or drop http from the rule")
}

// findsOthers tells whether a workload's selector finds pods that are not among some workloads.
func (r *resolver) findsOthers(w *model.Workload, among []*model.Workload) bool {
	selector := r.ownSelector(w)
	return slices.ContainsFunc(r.match(w.ID.Namespace, &selector, nil), func(id model.WorkloadID) bool {
		return !slices.ContainsFunc(among, func(a *model.Workload) bool { return a.ID == id })
	})
}

// withoutHTTP says why requests to some ports of a workload cannot be limited,
// or nothing. Ambient workloads can always ask for a waypoint.
func (r *resolver) withoutHTTP(w *model.Workload, ports []model.Port) string {
	posture := r.posture(w.ID.Namespace)
	switch {
	case r.dialect == nil:
		return "no mesh is in use"
	case posture == nil:
		return "no SecurityProfile governs its namespace"
	case !posture.Mesh.Authorization:
		return "the profile " + posture.Profile + " writes no authorization"
	case !w.Facts.Meshed():
		return "it is outside the mesh"
	case w.Facts.Outside != "":
		return "what comes in does not pass its proxy"
	case w.Facts.Identity == "":
		return "the trust domain of the mesh is not known"
	case !w.Facts.HoldsHTTP && w.Facts.Mode != model.ModeAmbient:
		return "its proxy does not know HTTP"
	}
	for _, p := range ports {
		if p.Protocol != corev1.ProtocolTCP || bypassed(w, p) {
			return fmt.Sprintf("port %s does not pass its proxy", p)
		}
	}
	return ""
}

// bypassed tells whether some of a port leads around the workload's proxy.
func bypassed(w *model.Workload, port model.Port) bool {
	return slices.ContainsFunc(w.Facts.Bypasses, func(b model.Bypass) bool {
		return b.Inbound && (b.Ports == nil || slices.ContainsFunc(b.Ports, func(p model.Port) bool {
			return p.Protocol == port.Protocol && (p.Number == 0 || p.Number <= port.Last() && port.Number <= p.Last())
		}))
	})
}
