package intent

import (
	"fmt"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
)

// DefaultWaypoint is the waypoint that is asked for where a rule needs one and none is bound.
const DefaultWaypoint = model.NamePrefix + "waypoint"

// routeFlows settles how each declared flow travels in the mesh: by which
// tunnels, and through which waypoint.
func (r *resolver) routeFlows() {
	if r.dialect == nil {
		return
	}
	waypoints := map[model.Waypoint]bool{}
	var routed []model.Flow
	for i := range r.model.Flows {
		flow := r.model.Flows[i]
		if flow.Server.Kind != model.PeerPods || flow.Client.Kind != model.PeerPods || flow.Base {
			routed = append(routed, flow)
			continue
		}
		for _, part := range r.splitByWaypoint(&flow) {
			direct := flow
			direct.Server = part.server
			direct.Tunnels = r.tunnels(&direct)
			r.everyPort(&direct)
			if part.waypoint.Name == "" || !r.passesWaypoint(&flow) {
				routed = append(routed, direct)
				continue
			}
			waypoints[part.waypoint] = true
			via := r.podsIn(part.waypoint.Namespace, metav1.LabelSelector{MatchLabels: map[string]string{gatewayNameLabel: part.waypoint.Name}})
			guarded := direct
			guarded.Via = &via
			routed = append(routed, guarded)
			if r.someBypassWaypoints(&flow) {
				routed = append(routed, direct)
			}
		}
	}
	r.model.Flows = routed
	r.waypointFlows(waypoints)
}

// part is the share of a flow's servers that stands behind one waypoint.
type part struct {
	server   model.Peer
	waypoint model.Waypoint
}

// splitByWaypoint parts a flow's servers by the waypoint in front of them; the common case is one part.
func (r *resolver) splitByWaypoint(flow *model.Flow) []part {
	var parts []part
	servers := r.workloads(&flow.Server)
	for _, w := range servers {
		waypoint := waypointOf(w, len(flow.HTTP) > 0)
		if len(parts) == 0 {
			parts = append(parts, part{server: flow.Server, waypoint: waypoint})
		}
		if parts[0].waypoint != waypoint {
			return r.splitServers(servers, len(flow.HTTP) > 0)
		}
	}
	if len(parts) == 0 {
		return []part{{server: flow.Server}}
	}
	return parts
}

func (r *resolver) splitServers(servers []*model.Workload, needsHTTP bool) []part {
	var parts []part
	for _, w := range servers {
		parts = append(parts, part{server: r.workloadPeer(w), waypoint: waypointOf(w, needsHTTP)})
	}
	return parts
}

// waypointOf is the waypoint that traffic to a workload passes, or that it would have to pass for the sake of HTTP rules.
func waypointOf(w *model.Workload, needsHTTP bool) model.Waypoint {
	if w.Facts.Mode != model.ModeAmbient {
		return model.Waypoint{}
	}
	if w.Facts.Waypoint.Bound || w.Facts.Waypoint.Name != "" && needsHTTP {
		return w.Facts.Waypoint
	}
	if needsHTTP {
		return model.Waypoint{Namespace: w.ID.Namespace, Name: DefaultWaypoint, ServiceAccount: DefaultWaypoint}
	}
	return model.Waypoint{}
}

// passesWaypoint tells whether some client is one that waypoints see: ambient
// pods are; sidecars, gateways and pods outside the mesh dial the server itself.
func (r *resolver) passesWaypoint(flow *model.Flow) bool {
	return len(flow.Client.Workloads) == 0 || slices.ContainsFunc(r.workloads(&flow.Client), func(w *model.Workload) bool {
		return w.Facts.Mode == model.ModeAmbient
	})
}

func (r *resolver) someBypassWaypoints(flow *model.Flow) bool {
	return slices.ContainsFunc(r.workloads(&flow.Client), func(w *model.Workload) bool {
		return w.Facts.Mode != model.ModeAmbient
	})
}

// tunnels are the mesh ports by which a flow also travels. Where one side has
// no workload yet, what its namespace would make of one counts.
func (r *resolver) tunnels(flow *model.Flow) []int32 {
	if !slices.ContainsFunc(r.orStranger(&flow.Client), func(w *model.Workload) bool { return w.Facts.DialsTunnel }) {
		return nil
	}
	var tunnels []int32
	for _, w := range r.orStranger(&flow.Server) {
		for _, port := range flow.Ports {
			if w.Facts.Tunnel.Carries(port) {
				tunnels = append(tunnels, w.Facts.Tunnel.Port)
				break
			}
		}
	}
	slices.Sort(tunnels)
	return slices.Compact(tunnels)
}

// everyPort says where the port of a tunnel, the only one that the network sees,
// stands for every port of the server, and nothing judges the ports behind it.
func (r *resolver) everyPort(flow *model.Flow) {
	if len(flow.Tunnels) == 0 {
		return
	}
	var open []model.WorkloadID
	for _, w := range r.workloads(&flow.Server) {
		if posture := r.posture(w.ID.Namespace); w.Facts.Meshed() && (posture == nil || !posture.Mesh.Authorization) {
			open = append(open, w.ID)
		}
	}
	if len(open) == 0 {
		return
	}
	r.problem("TunnelOpensEveryPort", model.Warning, flow.Origin.Ref, "",
		fmt.Sprintf("the mesh carries it to %s on port %d, and NetworkPolicies see no other: the clients reach every port there, since palisade writes no authorization for the server",
			joinIDs(open), flow.Tunnels[0]),
		"have a SecurityProfile with authorization govern the server's namespace as well")
}

func (r *resolver) orStranger(peer *model.Peer) []*model.Workload {
	found := r.workloads(peer)
	namespace := r.model.Namespace(peer.Namespace)
	if len(found) > 0 || namespace == nil {
		return found
	}
	stranger := r.stranger(namespace)
	return []*model.Workload{&stranger}
}

// waypointFlows lets waypoints in governed namespaces reach their control plane.
func (r *resolver) waypointFlows(waypoints map[model.Waypoint]bool) {
	sorted := slices.SortedFunc(maps.Keys(waypoints), func(a, b model.Waypoint) int {
		return slices.Compare([]string{a.Namespace, a.Name}, []string{b.Namespace, b.Name})
	})
	for _, waypoint := range sorted {
		posture := r.posture(waypoint.Namespace)
		if posture == nil {
			continue
		}
		labels := map[string]string{gatewayNameLabel: waypoint.Name, gatewayClassLabel: waypointClass}
		w := model.Workload{
			ID:     model.WorkloadID{Namespace: waypoint.Namespace, Kind: "Deployment", Name: waypoint.Name},
			Labels: labels, ServiceAccount: waypoint.ServiceAccount,
			NamespaceLabels: r.model.Namespace(waypoint.Namespace).Labels,
		}
		facts := r.dialect.Facts(&w)
		client := r.podsIn(waypoint.Namespace, metav1.LabelSelector{MatchLabels: map[string]string{gatewayNameLabel: waypoint.Name}})
		profile := ruleRef("SecurityProfile", "", posture.Profile)
		for i := range facts.ControlPlane {
			facts.ControlPlane[i].Why = fmt.Sprintf("waypoint %s: %s", waypoint.Name, facts.ControlPlane[i].Why)
		}
		r.addControlPlane(profile, client, facts.ControlPlane, false)
	}
}
