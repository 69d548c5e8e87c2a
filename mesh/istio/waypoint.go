package istio

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"floe.dev/palisade/model"
)

// waypointName is the waypoint that is written where HTTP rules need one and none is bound.
const waypointName = model.NamePrefix + "waypoint"

// waypointOf finds the waypoint in front of an ambient workload. Clients call
// Services, so the label of the Service decides, else that of the namespace; a
// pod's own label only concerns calls to its address
// (istio pilot/pkg/serviceregistry/ambient/waypoints.go). Where its Services
// disagree, some traffic goes past the waypoint: it is named, but not bound.
func waypointOf(w *model.Workload) model.Waypoint {
	if len(w.Services) == 0 {
		wp, _ := useWaypoint(w.Labels, w.ID.Namespace)
		return wp
	}
	var found model.Waypoint
	agree := true
	for i, s := range w.Services {
		wp, opted := useWaypoint(s.Labels, s.Namespace)
		if !opted && wp.Name == "" {
			wp, _ = useWaypoint(w.NamespaceLabels, s.Namespace)
		}
		agree = agree && (i == 0 || wp == found)
		if found.Name == "" {
			found = wp
		}
	}
	found.Bound = found.Bound && agree
	return found
}

// useWaypoint reads the label; none opts out. A waypoint runs as the
// ServiceAccount of its Gateway's name, unless the Gateway says otherwise.
func useWaypoint(labels map[string]string, namespace string) (wp model.Waypoint, optedOut bool) {
	name, said := labels[useWaypointLabel]
	if name == "" || name == "none" {
		return model.Waypoint{}, said // an empty name is that of no Gateway
	}
	if other := labels[useWaypointNSLabel]; other != "" {
		namespace = other
	}
	return model.Waypoint{Namespace: namespace, Name: name, ServiceAccount: name, Bound: true}, false
}

// gate is a waypoint as one workload's policies see it.
type gate struct {
	principal string
	// bound tells that traffic really passes it.
	bound bool
}

// waypointFor decides whether a flow to a workload is judged at a waypoint.
func (a *authorization) waypointFor(w *model.Workload, f *model.Flow) *gate {
	if w.Facts.Mode != model.ModeAmbient {
		return nil
	}
	if wp := w.Facts.Waypoint; wp.Bound {
		return a.boundGate(w, wp)
	}
	if len(f.HTTP) == 0 && !a.wantsHTTP(w) {
		return nil
	}
	return &gate{principal: a.mesh.TrustDomain + "/ns/" + w.ID.Namespace + "/sa/" + waypointName}
}

// wantsHTTP tells whether some flow to a workload is limited to HTTP requests.
func (a *authorization) wantsHTTP(w *model.Workload) bool {
	return slices.ContainsFunc(a.byServer[w.ID], func(f *model.Flow) bool { return len(f.HTTP) > 0 })
}

// boundGate looks up who the waypoint runs as. Without its Gateway the label
// leads nowhere, and ztunnel sends traffic past it.
func (a *authorization) boundGate(w *model.Workload, wp model.Waypoint) *gate {
	account := wp.ServiceAccount
	known := false
	for i := range a.existing.gateways {
		o := &a.existing.gateways[i]
		if ref := o.Ref(); ref.Namespace == wp.Namespace && ref.Name == wp.Name {
			known = true
			if other := o.Annotations()["gateway.istio.io/service-account"]; other != "" {
				account = other
			}
			if kind := o.Labels()[waypointForLabel]; kind == "workload" || kind == "none" {
				a.problem("WaypointNotForServices", model.Error, ref, "metadata.labels["+waypointForLabel+"]",
					fmt.Sprintf("%s is bound to this waypoint, but it takes no traffic for Services: calls go past it and are refused", w.ID), "set the label to service or all")
			}
		}
	}
	if !known && !a.runsWaypoint(wp) {
		a.problem("WaypointMissing", model.Error, w.Ref(), "",
			fmt.Sprintf("the label %s leads to waypoint %s/%s, which was not read: without it, traffic goes past it and is refused", useWaypointLabel, wp.Namespace, wp.Name),
			"create the Gateway, or read its manifest (-f)")
	}
	return &gate{principal: a.mesh.TrustDomain + "/ns/" + wp.Namespace + "/sa/" + account, bound: true}
}

func (a *authorization) runsWaypoint(wp model.Waypoint) bool {
	return slices.ContainsFunc(a.m.WorkloadsIn(wp.Namespace), func(w model.Workload) bool {
		return w.Labels[gatewayNameLabel] == wp.Name
	})
}

// behindWaypoint allows one flow to one workload by way of its waypoint: the
// pods let in the waypoint alone, and the waypoint judges the clients. Clients
// whose proxies ask no waypoint come straight to the pods.
func (a *authorization) behindWaypoint(w *model.Workload, wp *gate, f *model.Flow, ports []uint32) {
	labels := a.ownLabels(w, []*model.Workload{w})
	if labels == nil {
		return
	}
	through, straight := a.ways(w, f)
	a.straightToPods(w, f, labels, straight, ports)
	if len(through) == 0 {
		return
	}
	carried := a.servicesCarry(w, f, through, ports)
	a.target(labels).allow(f.Origin, []string{wp.principal}, carried, nil)
	left := slices.DeleteFunc(slices.Clone(ports), func(p uint32) bool { return slices.Contains(carried, p) })
	headless := slices.ContainsFunc(w.Services, isHeadless)
	switch {
	case !wp.bound && len(f.HTTP) > 0:
		a.waypointNotBound(w, f)
	case !wp.bound, headless && len(f.HTTP) == 0:
		// Until the waypoint is bound, and where a headless Service hands out the
		// pods' addresses, which waypoints never see, clients come by themselves.
		a.target(labels).allow(f.Origin, through, ports, nil)
	case len(left) > 0:
		a.waypointNeedsService(w, f, left)
	}
}

// ways parts the sources of a flow by whether their proxies ask waypoints:
// ambient's do; sidecars never, and gateways where the Service or its namespace
// asks for it (pilot/pkg/xds/endpoints/endpoint_builder.go, findServiceWaypoint).
func (a *authorization) ways(w *model.Workload, f *model.Flow) (through, straight []string) {
	for _, source := range a.sources(f, w) {
		asks, dials := false, source == noIdentity || source == anySource
		for _, id := range f.Client.Workloads {
			client := a.m.Workload(id)
			if client == nil || client.Facts.Identity != source {
				continue
			}
			by := client.Facts.Mode == model.ModeAmbient || isGateway(client) && ingressUsesWaypoint(w)
			asks, dials = asks || by, dials || !by
		}
		if asks {
			through = append(through, source)
		}
		if dials {
			straight = append(straight, source)
		}
	}
	return through, straight
}

func ingressUsesWaypoint(w *model.Workload) bool {
	return slices.ContainsFunc(w.Services, func(s *model.Service) bool { return ingressAsks(s, w.NamespaceLabels) })
}

// ingressAsks tells whether gateways ask the waypoint of a Service: as its own
// label says, else its namespace's (pilot/pkg/serviceregistry/ambient/services.go).
func ingressAsks(s *model.Service, namespace map[string]string) bool {
	label, said := s.Labels[ingressWaypointLabel]
	if !said {
		label = namespace[ingressWaypointLabel]
	}
	asks, _ := strconv.ParseBool(label)
	return asks
}

func isHeadless(s *model.Service) bool { return slices.Contains(s.ClusterIPs, "None") }

func (a *authorization) waypointNeedsService(w *model.Workload, f *model.Flow, ports []uint32) {
	a.problem("WaypointNeedsService", model.Error, w.Ref(), "",
		fmt.Sprintf("%s: waypoints judge calls to Services with a cluster IP, and none of this workload's can carry %s for this flow: it stays closed", f.Origin, portList(ports)),
		"create a Service for the port")
}

// straightToPods allows clients that no waypoint sees. HTTP limits cannot be held for them: ztunnel knows no HTTP.
func (a *authorization) straightToPods(w *model.Workload, f *model.Flow, labels map[string]string, sources []string, ports []uint32) {
	if len(sources) == 0 {
		return
	}
	if len(f.HTTP) > 0 {
		a.problem("HTTPNotHeld", model.Error, f.Origin.Ref, "spec.http",
			fmt.Sprintf("%s: %s is ambient, and these clients do not go by its waypoint, so nothing could hold them to methods and paths; they stay closed: %s",
				f.Origin, w.ID, sourceNames(sources)),
			"move the clients to ambient mode, or the server to a sidecar, or drop http from the rule")
		return
	}
	a.target(labels).allow(f.Origin, sources, ports, nil)
}

func sourceNames(sources []string) string {
	names := slices.Clone(sources)
	for i, name := range names {
		if name == noIdentity || name == anySource {
			names[i] = "clients without identity"
		}
	}
	return strings.Join(names, ", ")
}

func (a *authorization) waypointNotBound(w *model.Workload, f *model.Flow) {
	if a.asksWaypoint == nil {
		a.asksWaypoint = origins{}
	}
	a.asksWaypoint.add(f.Origin)
	a.problem("WaypointNotBound", model.Error, w.Ref(), "",
		fmt.Sprintf("%s is limited to HTTP requests, which only a waypoint can tell apart in ambient mode, and none is bound: waypoint %s is written, and the flow stays closed until traffic goes through it",
			f.Origin, waypointName),
		fmt.Sprintf("label %s: %s=%s", servicesOf(w), useWaypointLabel, waypointName))
}

func servicesOf(w *model.Workload) string {
	if len(w.Services) == 0 {
		return "namespace " + w.ID.Namespace
	}
	names := make([]string, len(w.Services))
	for i, s := range w.Services {
		names[i] = s.Namespace + "/" + s.Name
	}
	slices.Sort(names)
	return "Service " + strings.Join(names, ", ")
}
