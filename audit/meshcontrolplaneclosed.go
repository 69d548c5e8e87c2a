package audit

import (
	"fmt"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// meshControlPlaneClosed is meshed pods that policies isolate for egress and that may not
// reach the mesh's control plane, from which their proxies have certificates and
// configuration; or a control plane whose own policies keep them out. Ambient pods need none: ztunnel asks for them.
func meshControlPlaneClosed() Kind {
	return Kind{
		Code: "MeshControlPlaneClosed", Severities: []model.Severity{model.Error, model.Info},
		Says: "NetworkPolicies keep proxies from the mesh's control plane",
		Why:  "A proxy without certificates and configuration never becomes ready, so new pods do not start, and running ones stop when their certificates end.",
		Fix:  "allow the pods of the control plane on their ports: istiod on TCP 15012; linkerd-destination on 8086 and 8090, linkerd-identity on 8080",
		Find: findMeshControlPlaneClosed,
	}
}

func findMeshControlPlaneClosed(e *Evidence) []model.Finding {
	closed := &blamed{}
	closedTo := map[model.Cause]model.ControlPlaneFlow{}
	e.eachWorkload(func(w *model.Workload) {
		for _, need := range w.Facts.ControlPlane {
			cause, is := e.controlPlaneClosed(w, need)
			if !is {
				continue
			}
			if _, known := closedTo[cause]; !known {
				closedTo[cause] = need
			}
			closed.add(cause, w)
		}
	})
	var found []model.Finding
	for _, cause := range closed.causes {
		need := closedTo[cause]
		message := fmt.Sprintf("no rule lets %s reach the pods %s in namespace %s on %s: their proxies lack %s", named(closed.of(cause)), model.SelectorKey(&need.To.PodSelector), need.To.Namespace, portTexts(need.Ports), need.Why)
		found = append(found, e.closed(meshControlPlaneClosed(), model.Error, cause, message, ""))
	}
	return found
}

// controlPlane are the pods that a proxy must reach; a stand-in with the labels that are asked for where they were not read.
func (e *Evidence) controlPlane(need model.ControlPlaneFlow) []calledPod {
	var found []calledPod
	for _, w := range e.workloadsIn(need.To.Namespace) {
		if model.Matches(&need.To.PodSelector, w.Labels) {
			found = append(found, calledPod{w, need.Ports, true})
		}
	}
	if len(found) == 0 {
		found = append(found, e.standIn(need.To.Namespace, &need.To.PodSelector, need.Ports))
	}
	return found
}

// controlPlaneClosed finds what keeps a workload's proxy from all pods of a control
// plane, on some port that it needs: the policies of the workload, else those of these pods.
func (e *Evidence) controlPlaneClosed(w *model.Workload, need model.ControlPlaneFlow) (model.Cause, bool) {
	own := e.filter(model.FilterEgress, w)
	for _, port := range need.Ports {
		var blame *model.Filter
		field, reached := "spec.egress", false
		for _, p := range e.controlPlane(need) {
			egress, ingress := e.network(verdict.End{Workload: w}, verdict.End{Workload: p.pod}, port)
			switch {
			case p.pod == w:
				reached = true
			case egress.Decision == verdict.Refused && (p.read || !mayFind(own, p)):
				if blame == nil {
					blame = own
				}
			case p.read && ingress.Decision == verdict.Refused:
				blame, field = e.filter(model.FilterIngress, p.pod), "spec.ingress"
			default:
				reached = true
			}
		}
		if !reached && blame != nil {
			cause := e.isolator(blame)
			cause.Field = field
			return cause, true
		}
	}
	return model.Cause{}, false
}
