package istio

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	securityapi "istio.io/api/security/v1beta1"
	typeapi "istio.io/api/type/v1beta1"
	security "istio.io/client-go/pkg/apis/security/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gateway "sigs.k8s.io/gateway-api/apis/v1"

	"floe.dev/palisade/model"
)

// servicePolicy is what a waypoint allows for one Service.
type servicePolicy struct {
	service *model.Service
	*ruleSet
}

func (a *authorization) servicePolicy(s *model.Service) *servicePolicy {
	if a.waypoints[s.Name] == nil {
		a.waypoints[s.Name] = &servicePolicy{service: s, ruleSet: newRuleSet()}
	}
	return a.waypoints[s.Name]
}

// servicesCarry allows a flow at the waypoint, for each Service of the workload
// that has some of its ports, and returns those of the pods' that are carried. Every Service gets a
// policy, if an empty one: the pods let in the waypoint, so a Service without
// any would lead everybody to them.
func (a *authorization) servicesCarry(w *model.Workload, f *model.Flow, sources []string, ports []uint32) []uint32 {
	var carried []uint32
	for _, s := range w.Services {
		policy := a.servicePolicy(s)
		policy.from.add(f.Origin)
		at := servicePorts(s, w, ports)
		if len(at) == 0 || isHeadless(s) {
			continue
		}
		if others := a.notServed(s, f); len(others) > 0 {
			a.problem("ServiceSpansWorkloads", model.Error, serviceRef(s), "spec.selector",
				fmt.Sprintf("%s is not meant for %s, to which the Service leads as well, and the waypoint cannot tell its pods apart: it stays closed there", f.Origin, strings.Join(others, ", ")),
				"let the rule choose all of the Service's pods, or give them Services of their own")
			continue
		}
		policy.allow(f.Origin, sources, at, f.HTTP)
		for _, p := range ports {
			if len(servicePorts(s, w, []uint32{p})) > 0 {
				carried = append(carried, p)
			}
		}
	}
	slices.Sort(carried)
	return slices.Compact(carried)
}

func serviceRef(s *model.Service) model.Ref {
	return model.Ref{APIVersion: "v1", Kind: "Service", Namespace: s.Namespace, Name: s.Name}
}

// notServed are workloads behind a Service that a flow does not mean. A flow
// may come in parts, one a server; then its parts have one origin.
func (a *authorization) notServed(s *model.Service, f *model.Flow) []string {
	var others []string
	for _, w := range a.behind(s) {
		if !slices.ContainsFunc(a.byServer[w.ID], func(other *model.Flow) bool { return other.Origin == f.Origin }) {
			others = append(others, w.ID.String())
		}
	}
	return others
}

// servicePorts are the Service's own ports that lead to some container ports.
// A waypoint's connections end at the Service's address, so destination ports of
// its policies are those of the Service (pilot/pkg/networking/core/listener_waypoint.go).
func servicePorts(s *model.Service, w *model.Workload, ports []uint32) []uint32 {
	if slices.Contains(ports, everyPort) {
		return []uint32{everyPort}
	}
	var at []uint32
	for _, p := range s.Ports {
		if p.Protocol != "" && p.Protocol != corev1.ProtocolTCP {
			continue
		}
		if slices.Contains(ports, targetPort(p, w)) {
			at = append(at, uint32(p.Port))
		}
	}
	slices.Sort(at)
	return slices.Compact(at)
}

// targetPort is the port of a workload behind one of a Service; nowhere where it is a name that no container gives to a port.
func targetPort(p corev1.ServicePort, w *model.Workload) uint32 {
	port, ok := model.TargetPort(w, &p)
	if !ok {
		return nowhere
	}
	return uint32(port.Number)
}

// nowhere is no port, and as an int32 below all of them.
const nowhere = 0xffffffff

// relaxServices opens the waypoint in front of an exempted workload as well, for
// Services that lead to nothing which is not exempted alike.
func (a *authorization) relaxServices(w *model.Workload, origin model.Origin, ports []uint32) {
	if w.Facts.Mode != model.ModeAmbient || !w.Facts.Waypoint.Bound && !a.wantsHTTP(w) {
		return
	}
	for _, s := range w.Services {
		at := servicePorts(s, w, ports)
		if len(at) == 0 {
			continue
		}
		if others := a.notExempted(s, origin); len(others) > 0 {
			a.problem("ServiceSpansWorkloads", model.Error, serviceRef(s), "spec.selector",
				fmt.Sprintf("%s does not exempt %s, to which the Service leads as well, and the waypoint cannot tell its pods apart: it stays closed there", origin, strings.Join(others, ", ")),
				"exempt all of the Service's pods, or give them Services of their own")
			continue
		}
		a.servicePolicy(s).allow(origin, []string{anySource}, at, nil)
	}
}

func (a *authorization) notExempted(s *model.Service, origin model.Origin) []string {
	var others []string
	for _, w := range a.behind(s) {
		if !slices.ContainsFunc(w.Relaxed, func(r model.Relaxation) bool { return r.Layer == model.LayerAuthorization && r.Origin == origin }) {
			others = append(others, w.ID.String())
		}
	}
	return others
}

// writeWaypoints writes the policies of waypoints, which heed those with
// targetRefs only. A Service in front of
// which traffic passes a waypoint needs its own deny: the namespace's does not
// reach waypoints. An ALLOW that matches nothing else is that.
func (a *authorization) writeWaypoints() {
	for _, name := range slices.Sorted(maps.Keys(a.waypoints)) {
		p := a.waypoints[name]
		policy := &security.AuthorizationPolicy{
			TypeMeta: authorizationPolicyType, ObjectMeta: meta(a.namespace, model.NameFor("waypoint-"+name, "waypoint service "+name), p.from),
		}
		policy.Spec.TargetRefs = []*typeapi.PolicyTargetReference{{Kind: "Service", Name: name}}
		policy.Spec.Action = securityapi.AuthorizationPolicy_ALLOW
		policy.Spec.Rules = p.rules()
		a.policy(policy, model.PhaseAllow)
	}
}

func (a *authorization) waypointGateway() *gateway.Gateway {
	// Routes from the same namespace are the default; a server writes it down, and a plan would find it too many.
	same := gateway.NamespacesFromSame
	routes := &gateway.AllowedRoutes{Namespaces: &gateway.RouteNamespaces{From: &same}}
	g := &gateway.Gateway{
		TypeMeta:   metav1.TypeMeta{APIVersion: "gateway.networking.k8s.io/v1", Kind: "Gateway"},
		ObjectMeta: meta(a.namespace, waypointName, a.asksWaypoint),
		Spec: gateway.GatewaySpec{
			GatewayClassName: waypointClass,
			Listeners:        []gateway.Listener{{Name: "mesh", Port: portHBONE, Protocol: "HBONE", AllowedRoutes: routes}},
		},
	}
	g.Labels[waypointForLabel] = "service"
	if a.mesh.Revision != "" {
		g.Labels[revisionLabel] = a.mesh.Revision
	}
	return g
}
