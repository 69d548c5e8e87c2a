package audit

import (
	"fmt"
	"slices"

	"floe.dev/palisade/model"
)

// policyPortIsServicePort is a policy that opens the port of a Service where its pods
// listen on another. Policies are held against the pod's own port: the Service's is translated before.
func policyPortIsServicePort() Kind {
	return Kind{
		Code: "PolicyPortIsServicePort", Severities: []model.Severity{model.Warning},
		Says: "a NetworkPolicy opens the port of a Service in place of the one on which its pods listen",
		Why:  "Policies see the port of the container, so the rule opens a port on which nothing answers, and the calls are refused.",
		Fix:  "name the port of the container (the Service's targetPort)",
		Find: findPolicyPortIsServicePort,
	}
}

func findPolicyPortIsServicePort(e *Evidence) []model.Finding {
	var found []model.Finding
	e.eachRuledPort(func(r ruledPort) {
		port, named := policyPort(&r.port)
		if named || port.Number == 0 || port.Last() > port.Number {
			return
		}
		s, w, target := servicePort(r.servers, port)
		if s == nil || namesPort(r.beside, target) || slices.ContainsFunc(r.servers, func(w *model.Workload) bool { return listensOn(w, port) }) {
			return
		}
		found = append(found, policyPortIsServicePort().At(model.Warning, r.policy.Ref(), r.field,
			fmt.Sprintf("%s is the port of Service %s/%s, whose pods (%s) listen on %s: it opens a port on which nothing answers", port, s.Namespace, s.Name, w.ID, target), ""))
	})
	return found
}
