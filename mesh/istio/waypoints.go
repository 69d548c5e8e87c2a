package istio

import (
	"fmt"
	"net/netip"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"floe.dev/palisade/model"
)

// viaWaypoint are the ways to a server by the waypoint of a Service, which stands
// before all of its pods. It sends on by HBONE to those that take it. To others it
// sends plaintext on the port itself (pilot/pkg/networking/core/cluster_waypoint.go),
// which no Way can say of its second half.
func (r *Reader) viaWaypoint(s *model.Service, server *model.Workload) []model.Way {
	via := r.serviceWaypoint(s)
	if via == nil {
		return nil
	}
	w := model.Way{
		Dials: portHBONE, Protected: true, Via: via, ViaFilters: []*model.Filter{r.waypointFilter(via, s, server)},
		Cause: model.Cause{Object: serviceRef(s), Field: "metadata.labels[" + useWaypointLabel + "]", Message: "it goes by way of the waypoint " + via.ID.Namespace + "/" + via.ID.Name},
	}
	var ways []model.Way
	for _, port := range behind(s, server) {
		at := w
		at.Ports = []model.Port{port}
		switch {
		case !exported(s, via.ID.Namespace):
			at.Fails = "the waypoint does not see the Service, which is exported to other namespaces only"
		case isHeadless(s):
			at.Unknown = "the Service is headless: the waypoint has no address by which it would know its pods"
		case takesHBONE(server):
		case r.refusesPlaintext(server, port.Number):
			at.Fails = "the waypoint passes it on in plaintext, since the server takes no HBONE, and the server's proxy takes none"
		default:
			at.Unknown = "the waypoint passes it on in plaintext on the port itself, since the server takes no HBONE: what the server and the network do with that is judged as if it were HBONE"
		}
		if last := len(ways) - 1; last >= 0 && ways[last].Fails == at.Fails && ways[last].Unknown == at.Unknown {
			ways[last].Ports = append(ways[last].Ports, port)
			continue
		}
		ways = append(ways, at)
	}
	return ways
}

// refusesPlaintext tells whether a server's proxy keeps out who comes without mTLS.
func (r *Reader) refusesPlaintext(server *model.Workload, port int32) bool {
	return server.Facts.Meshed() && !isGateway(server) && captured(server, port) && r.refuses(server, r.modesOf(server).of(port).mode)
}

// toAddress is the way to a pod's address by its own waypoint, which sends on by HBONE whatever the pod takes.
func (r *Reader) toAddress(via, server *model.Workload) model.Way {
	w := model.Way{
		Dials: portHBONE, Protected: true, Via: via, ViaFilters: []*model.Filter{r.waypointFilter(via, nil, server)},
		Cause: model.Cause{Message: "ztunnel carries it by HBONE, by way of the waypoint " + via.ID.Namespace + "/" + via.ID.Name},
	}
	if !takesHBONE(server) {
		w.Fails = "the waypoint passes it on by HBONE, which the server does not take"
	}
	return w
}

// ingressAsks tells whether gateways ask the waypoint of a Service.
func (r *Reader) ingressAsks(s *model.Service) bool {
	n := r.m.Namespace(s.Namespace)
	return n != nil && ingressAsks(s, n.Labels)
}

// serviceWaypoint is the waypoint that calls to a Service go by, or nil: the
// Service's own label, else its namespace's, where it leads to a Gateway that
// takes Services (pilot/pkg/serviceregistry/ambient/waypoints.go). Waypoints have none themselves.
func (r *Reader) serviceWaypoint(s *model.Service) *model.Workload {
	if managed := s.Labels[gatewayManagedLabel]; managed == meshController || managed == eastWestController {
		return nil
	}
	wp, opted := useWaypoint(s.Labels, s.Namespace)
	if n := r.m.Namespace(s.Namespace); !opted && wp.Name == "" && n != nil {
		wp, _ = useWaypoint(n.Labels, s.Namespace)
	}
	return r.waypoint(wp, "service", s.Namespace)
}

// workloadWaypoint is the waypoint that calls to a pod's address go by, or nil.
func (r *Reader) workloadWaypoint(w *model.Workload) *model.Workload {
	if w.Labels[gatewayNameLabel] != "" && r.waypoints[[2]string{w.ID.Namespace, w.Labels[gatewayNameLabel]}] != nil {
		return nil // it runs a waypoint itself
	}
	wp, opted := useWaypoint(w.Labels, w.ID.Namespace)
	if !opted && wp.Name == "" {
		wp, _ = useWaypoint(w.NamespaceLabels, w.ID.Namespace)
	}
	return r.waypoint(wp, "workload", w.ID.Namespace)
}

// waypoint finds the pods of a waypoint that takes traffic for Services, or for
// workloads, of a namespace. Without its Gateway the label leads nowhere.
func (r *Reader) waypoint(wp model.Waypoint, takes, namespace string) *model.Workload {
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
		if !r.admits(o, namespace) {
			return nil
		}
	}
	if kind == "all" || kind == takes || kind == "" && takes == "service" {
		return runs
	}
	return nil
}

// admits tells whether a waypoint's Gateway lets a namespace use it: its own, and
// those that its HBONE listener admits routes from.
func (r *Reader) admits(o *model.Object, namespace string) bool {
	listeners, _ := o.Map("spec")["listeners"].([]any)
	for _, item := range listeners {
		listener, _ := item.(map[string]any)
		if protocol, _ := listener["protocol"].(string); protocol != "HBONE" || number(listener["port"]) != portHBONE {
			continue
		}
		routes, _ := listener["allowedRoutes"].(map[string]any)
		from, _ := routes["namespaces"].(map[string]any)
		switch from["from"] {
		case "All":
			return true
		case "Selector":
			return r.selectsNamespace(from["selector"], namespace)
		}
		break
	}
	return o.Ref().Namespace == namespace
}

// selectsNamespace tells whether a label selector, as a JSON tree, chooses a namespace.
func (r *Reader) selectsNamespace(tree any, namespace string) bool {
	fields, _ := tree.(map[string]any)
	var selector metav1.LabelSelector
	n := r.m.Namespace(namespace)
	if fields == nil || n == nil || runtime.DefaultUnstructuredConverter.FromUnstructured(fields, &selector) != nil {
		return false
	}
	return model.Matches(&selector, n.Labels)
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
			case t.Kind == "Service" && (t.Group == "" || t.Group == "core"):
				return s != nil && t.Name == s.Name && p.ref.Namespace == s.Namespace
			case t.Kind == "GatewayClass":
				return t.Group == gatewayGroup && p.ref.Namespace == r.root && t.Name == waypointClass
			default:
				return t.isGateway(via.Labels[gatewayNameLabel], via.ID.Namespace) && p.ref.Namespace == via.ID.Namespace
			}
		})
	})
	e := enforcer{kind: envoy, addresses: server.Addresses}
	k := key{}.of("waypoint", via.ID.String())
	if s != nil {
		e.at = targetsOf(s, server)
		e.carry(carriedBy(s))
		e.addresses = clusterIPs(s)
		k = k.of(s.Namespace, s.Name)
		for _, p := range s.Ports {
			k = k.number(int(p.Port)).number(int(targetPort(p, server)))
		}
	}
	if slices.ContainsFunc(policies, (*authorizationPolicy).namesDestination) {
		k = k.of(fmt.Sprint(e.addresses))
	}
	return r.remembered(k, func() *model.Filter { return r.join(policies, e, nil) })
}

// clusterIPs are the addresses of a Service.
func clusterIPs(s *model.Service) []netip.Addr {
	var list []netip.Addr
	for _, text := range s.ClusterIPs {
		if a, err := netip.ParseAddr(text); err == nil {
			list = append(list, a)
		}
	}
	return list
}

// targetsOf are the ports of a Service, with the server's behind each.
func targetsOf(s *model.Service, server *model.Workload) []namedTarget {
	targets := []namedTarget{}
	for _, p := range s.Ports {
		if target := int32(targetPort(p, server)); target > 0 {
			targets = append(targets, namedTarget{p.Port, target})
		}
	}
	return targets
}

// Between are the filters of all waypoints that may stand in front of a server.
func (r *Reader) Between(server *model.Workload) []*model.Filter {
	if len(r.waypoints) == 0 {
		return nil
	}
	var all []*model.Filter
	for _, w := range r.fromZtunnel(server) {
		all = append(all, w.ViaFilters...)
	}
	return all
}
