package istio

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// viaWaypoints are the ways to a server by those of its Services that have a waypoint.
func (r *Reader) viaWaypoints(server *model.Workload) []model.Way {
	var ways []model.Way
	for _, s := range server.Services {
		ways = append(ways, r.viaWaypoint(s, server)...)
	}
	return ways
}

func (r *Reader) viaWaypoint(s *model.Service, server *model.Workload) []model.Way {
	via := r.serviceWaypoint(s)
	if via == nil || isHeadless(s) {
		return nil
	}
	w := model.Way{
		Dials: portHBONE, Protected: true, Via: via, ViaFilters: []*model.Filter{r.waypointFilter(via, s, server)},
		Cause: model.Cause{Object: serviceRef(s), Field: "metadata.labels[" + useWaypointLabel + "]", Message: "it goes by way of the waypoint " + via.ID.Namespace + "/" + via.ID.Name},
	}
	for _, p := range s.Ports {
		if target := int32(targetPort(p, server)); model.ProtocolOr(p.Protocol) == corev1.ProtocolTCP && target > 0 {
			w.Ports = append(w.Ports, model.TCP(target))
		}
	}
	if w.Ports == nil {
		return nil
	}
	return []model.Way{w}
}

// serviceWaypoint is the waypoint that calls to a Service go by, or nil: the
// Service's own label, else its namespace's, where it leads to a Gateway that takes Services.
func (r *Reader) serviceWaypoint(s *model.Service) *model.Workload {
	wp, opted := useWaypoint(s.Labels, s.Namespace)
	if n := r.m.Namespace(s.Namespace); !opted && wp.Name == "" && n != nil {
		wp, _ = useWaypoint(n.Labels, s.Namespace)
	}
	return r.waypoint(wp, "service")
}

// workloadWaypoint is the waypoint that calls to a pod's address go by, or nil.
func (r *Reader) workloadWaypoint(w *model.Workload) *model.Workload {
	wp, opted := useWaypoint(w.Labels, w.ID.Namespace)
	if !opted && wp.Name == "" {
		wp, _ = useWaypoint(w.NamespaceLabels, w.ID.Namespace)
	}
	return r.waypoint(wp, "workload")
}

// waypoint finds the pods of a waypoint that takes traffic for Services, or for
// workloads. Without its Gateway the label leads nowhere.
func (r *Reader) waypoint(wp model.Waypoint, takes string) *model.Workload {
	if wp.Name == "" {
		return nil
	}
	key := [2]string{wp.Namespace, wp.Name}
	runs := r.waypoints[key]
	if runs == nil {
		return nil
	}
	kind := runs.Labels[waypointForLabel]
	if o := r.gateways[key]; o != nil {
		kind = o.Labels()[waypointForLabel]
	}
	if kind == "all" || kind == takes || kind == "" && takes == "service" {
		return runs
	}
	return nil
}

// waypointFilter is what a waypoint enforces for a Service, or for a pod that is
// called by its address where s is nil. It heeds policies with targetRefs only:
// to the Service, to its Gateway, or to the class of all waypoints in the root namespace.
func (r *Reader) waypointFilter(via *model.Workload, s *model.Service, server *model.Workload) *model.Filter {
	namespaces := []string{r.root, via.ID.Namespace}
	if s != nil {
		namespaces = append(namespaces, s.Namespace)
	}
	policies := r.policiesIn(namespaces, func(p *authorizationPolicy) bool {
		return slices.ContainsFunc(p.spec.TargetRefs, func(t targetRef) bool {
			switch {
			case t.Kind == "Service" && t.Group == "":
				return s != nil && t.Name == s.Name && p.ref.Namespace == s.Namespace
			case t.Kind == "GatewayClass":
				return p.ref.Namespace == r.root && t.Name == waypointClass
			default:
				return t.isGateway(via.Labels[gatewayNameLabel]) && p.ref.Namespace == via.ID.Namespace
			}
		})
	})
	e := enforcer{kind: envoy}
	key := fmt.Sprint("waypoint ", via.ID)
	if s != nil {
		e.at = func(port int32) []int32 { return targetsOf(s, port, server) }
		e.tcp = tcpServicePorts(s)
		key += fmt.Sprint(" ", s.Namespace, "/", s.Name)
		for _, p := range s.Ports {
			key += fmt.Sprint(" ", p.Port, ">", targetPort(p, server))
		}
	}
	return r.remembered(key, func() *model.Filter { return r.join(policies, e, nil) })
}

// targetsOf are the server's ports behind a port of a Service.
func targetsOf(s *model.Service, port int32, server *model.Workload) []int32 {
	var targets []int32
	for _, p := range s.Ports {
		if target := int32(targetPort(p, server)); p.Port == port && target > 0 {
			targets = append(targets, target)
		}
	}
	return targets
}

// tcpServicePorts are the Service's own ports that are declared to carry no HTTP.
func tcpServicePorts(s *model.Service) []int32 {
	var ports []int32
	for _, p := range s.Ports {
		if declaredTCP(p) {
			ports = append(ports, p.Port)
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// Between are the filters of all waypoints that may stand in front of a server.
func (r *Reader) Between(server *model.Workload) []*model.Filter {
	if server.Facts.Mode != model.ModeAmbient {
		return nil
	}
	var all []*model.Filter
	for _, w := range r.fromZtunnel(server) {
		all = append(all, w.ViaFilters...)
	}
	if ingressUsesWaypoint(server) {
		for _, w := range r.viaWaypoints(server) {
			all = append(all, w.ViaFilters...)
		}
	}
	return all
}
