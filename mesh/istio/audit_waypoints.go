package istio

import (
	"fmt"
	"slices"

	"floe.dev/palisade/model"
)

// waypointLabels reports labels that ask for a waypoint which nothing is led through: ztunnel
// then goes straight to the pods, and what the waypoint would enforce is not
// (pilot/pkg/serviceregistry/ambient/waypoints.go).
func (a *auditor) waypointLabels() {
	for i := range a.m.Namespaces {
		n := &a.m.Namespaces[i]
		a.waypointLabel(n.Ref(), "metadata.labels", n.Labels, n.Name, "")
	}
	for i := range a.m.Services {
		s := &a.m.Services[i]
		a.waypointLabel(serviceRef(s), "metadata.labels", s.Labels, s.Namespace, "service")
	}
	for i := range a.m.Workloads {
		w := &a.m.Workloads[i]
		if w.Facts.Mode == model.ModeAmbient {
			a.waypointLabel(w.Ref(), w.TemplatePath()+"metadata.labels", w.Labels, w.ID.Namespace, "workload")
		}
	}
}

// waypointLabel judges the label of one object; takes is the traffic that the waypoint has to take, empty for either.
func (a *auditor) waypointLabel(ref model.Ref, field string, labels map[string]string, namespace, takes string) {
	wp, _ := useWaypoint(labels, namespace)
	if wp.Name == "" {
		return
	}
	u := a.unfit(wp, namespace, takes)
	if u.why == "" {
		return
	}
	a.find("WaypointMissing", u.severity, ref, field+"["+useWaypointLabel+"]",
		fmt.Sprintf("it asks for the waypoint %s/%s, %s: traffic goes straight to the pods, and nothing enforces what is attached to the waypoint", wp.Namespace, wp.Name, u.why), u.fix)
}

// unfit says why a Gateway serves as no waypoint; why is empty where it does.
type unfit struct {
	severity model.Severity
	why, fix string
}

// unfit judges whether a Gateway serves a namespace as waypoint.
func (a *auditor) unfit(wp model.Waypoint, namespace, takes string) unfit {
	const create = "create the waypoint's Gateway and wait until it is programmed, or take the label off"
	o := a.gateways[[2]string{wp.Namespace, wp.Name}]
	if o == nil {
		switch {
		case a.runsGatewayNamed(wp.Namespace, wp.Name):
			return unfit{}
		case a.runsIn(wp.Namespace) || a.wholeCluster():
			return unfit{model.Error, "and no such Gateway was read", create}
		default:
			return unfit{model.Warning, "and nothing of its namespace was read, so it is not known whether it is there; if it is not", create}
		}
	}
	switch class := text(o, "spec", "gatewayClassName"); {
	case class == "istio" && !listensHBONE(o):
		return unfit{model.Error, "which is a Gateway of class istio, for traffic from outside, and no waypoint", "name a Gateway of the class " + waypointClass}
	case notReady(o):
		return unfit{model.Error, "which is not ready (its status has no address)", "look at the Gateway's conditions and at its pods"}
	case !a.admits(o, namespace):
		return unfit{model.Error, "whose listener admits no traffic of namespace " + namespace, "admit the namespace at the Gateway's listener (allowedRoutes.namespaces)"}
	}
	const label = "set the Gateway's label " + waypointForLabel + " to all"
	switch kind := o.Labels()[waypointForLabel]; {
	case kind == "none", takes == "service" && kind == "workload":
		return unfit{model.Error, fmt.Sprintf("which takes no traffic for Services (%s=%s)", waypointForLabel, kind), label}
	case takes == "workload" && (kind == "" || kind == "service"):
		return unfit{model.Error, fmt.Sprintf("which takes no traffic for the addresses of pods (%s is service)", waypointForLabel), label}
	}
	return unfit{}
}

func listensHBONE(o *model.Object) bool {
	listeners, _ := o.Map("spec")["listeners"].([]any)
	return slices.ContainsFunc(listeners, func(item any) bool {
		listener, _ := item.(map[string]any)
		return listener["protocol"] == "HBONE"
	})
}

// notReady tells that a controller has looked at a Gateway and given it no address: it gets one with the first pod that is ready, for good.
func notReady(o *model.Object) bool {
	conditions, _ := o.Map("status")["conditions"].([]any)
	addresses, _ := o.Map("status")["addresses"].([]any)
	return len(conditions) > 0 && len(addresses) == 0
}

// targetsWithoutWaypoint reports policies for Services that no waypoint stands before: ztunnel
// and sidecars heed no policy with targetRefs (pilot/pkg/model/policyattachment.go).
func (a *auditor) targetsWithoutWaypoint(p *authorizationPolicy) {
	for i, t := range p.spec.TargetRefs {
		if t.Kind != "Service" || t.Group != "" && t.Group != "core" || t.Namespace != "" && t.Namespace != p.ref.Namespace {
			continue
		}
		s := a.service(p.ref.Namespace, t.Name)
		if s == nil || a.serviceWaypoint(s) != nil || a.perhapsElsewhere(s) {
			continue
		}
		a.find("WaypointMissing", model.Error, p.ref, fmt.Sprintf("spec.targetRefs[%d]", i),
			fmt.Sprintf("no waypoint stands before Service %s/%s, and nothing else enforces a policy with targetRefs: who calls the Service is not held to it", s.Namespace, s.Name),
			fmt.Sprintf("label the Service or its namespace %s with the name of a waypoint, or choose the pods by a selector", useWaypointLabel))
	}
}

// perhapsElsewhere tells whether a Service asks for a waypoint of which it is not known whether it is
// there, or that is of a class whose pods are not known to be a waypoint's.
func (a *auditor) perhapsElsewhere(s *model.Service) bool {
	wp, opted := useWaypoint(s.Labels, s.Namespace)
	if n := a.m.Namespace(s.Namespace); !opted && wp.Name == "" && n != nil {
		wp, _ = useWaypoint(n.Labels, s.Namespace)
	}
	if n := a.m.Namespace(s.Namespace); wp.Name == "" {
		return n == nil || !n.Declared && !opted
	}
	return a.unfit(wp, s.Namespace, "service").severity != model.Error
}
