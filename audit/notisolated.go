package audit

import (
	"fmt"
	"slices"

	"floe.dev/palisade/model"
)

// notIsolated is workloads that no NetworkPolicy isolates. It is told once a
// namespace: of ingress, and of egress beside it. Pods on their node's network cannot
// be isolated, and are a finding of their own (HostNetworkUnprotected).
func notIsolated() Kind {
	return Kind{
		Code: "NotIsolated", Severities: []model.Severity{model.Warning, model.Info},
		Says: "no NetworkPolicy isolates workloads",
		Why:  "Whoever runs in the cluster reaches every port of these pods, and a captured one of them reaches whatever the network reaches.",
		Fix:  "write a default deny for the namespace (podSelector {}, policyTypes [Ingress, Egress]) and allow what is needed",
		Find: findNotIsolated,
	}
}

func findNotIsolated(e *Evidence) []model.Finding {
	var found []model.Finding
	for i := range e.Model.Namespaces {
		n := &e.Model.Namespaces[i]
		var all, forIngress, forEgress []*model.Workload
		for _, w := range e.workloadsIn(n.Name) {
			if w.Spec.HostNetwork {
				continue
			}
			all = append(all, w)
			if e.filter(model.FilterIngress, w) == nil {
				forIngress = append(forIngress, w)
			}
			if e.filter(model.FilterEgress, w) == nil {
				forEgress = append(forEgress, w)
			}
		}
		if len(forIngress)+len(forEgress) > 0 {
			found = append(found, e.notIsolatedIn(n, len(all), forIngress, forEgress))
		}
	}
	return found
}

func (e *Evidence) notIsolatedIn(n *model.Namespace, all int, forIngress, forEgress []*model.Workload) model.Finding {
	severity := model.Warning
	message := fmt.Sprintf("no NetworkPolicy isolates %s: whoever is in the cluster's network reaches all of their ports", ofAll(forIngress, all, "ingress"))
	switch {
	case len(forIngress) == 0:
		severity = model.Info
		message = fmt.Sprintf("no NetworkPolicy isolates %s: they may send anything to anybody", ofAll(forEgress, all, "egress"))
	case slices.Equal(forIngress, forEgress):
		message = fmt.Sprintf("no NetworkPolicy isolates %s: whoever is in the cluster's network reaches all of their ports, and they may send anything to anybody", ofAll(forIngress, all, "ingress or egress"))
	case len(forEgress) > 0:
		message += fmt.Sprintf("; and none isolates %s", ofAll(forEgress, all, "egress"))
	}
	fix := ""
	if p := n.Posture; p != nil && p.Network.DefaultDeny {
		fix = "apply the plan of SecurityProfile " + p.Profile + ", which closes the namespace by default"
	}
	switch other := e.besides(n.Name); {
	case e.isSystem(n.Name):
		severity, fix = model.Info, "nothing, if these are components of the cluster itself"
	case other != (model.Ref{}):
		severity = model.Info
		message += fmt.Sprintf(" (unless %s, which is not judged here, or another of its kind isolates them)", other)
	}
	return notIsolated().At(severity, n.Ref(), "", message, fix)
}

// ofAll is "2 of 5 workloads for ingress (Deployment shop/a, Deployment shop/b)".
func ofAll(some []*model.Workload, all int, direction string) string {
	return fmt.Sprintf("%d of %s for %s (%s)", len(some), count(all, "workload"), direction, named(some))
}
