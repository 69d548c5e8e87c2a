package audit

import (
	"fmt"

	"floe.dev/palisade/model"
)

// policySelectsNothing is a NetworkPolicy whose podSelector matches no pod of its
// namespace: what it is meant to protect stays as open as it was.
func policySelectsNothing() Kind {
	return Kind{
		Code: "PolicySelectsNothing", Severities: []model.Severity{model.Warning, model.Info},
		Says: "a NetworkPolicy selects no pod",
		Why:  "A policy protects the pods that it selects and nothing else, so those that it was written for stay open.",
		Fix:  "name labels that the pods bear (those of the template in their Deployment), or delete the policy",
		Find: findPolicySelectsNothing,
	}
}

func findPolicySelectsNothing(e *Evidence) []model.Finding {
	var found []model.Finding
	for i := range e.Policies {
		p := &e.Policies[i]
		selector := &p.Spec.PodSelector
		report := func(severity model.Severity, message, fix string) {
			found = append(found, policySelectsNothing().At(severity, p.Ref(), "spec.podSelector", message, fix))
		}
		matched := e.bears(p.Namespace, selector)
		switch {
		case matched == somebody:
		case !e.runs(p.Namespace):
			report(model.Info, fmt.Sprintf("no pod of namespace %s was read, so it is not known whether the policy selects any", p.Namespace),
				"read the manifests of the namespace as well, or delete the policy if nothing runs there")
		case matched == hostsOnly:
			report(model.Warning, fmt.Sprintf("its podSelector (%s) matches only pods on their node's network, which policies do not find: it protects nothing", selectorText(selector)),
				"take the pods off their node's network, or close their ports on the node")
		default:
			report(model.Warning, fmt.Sprintf("its podSelector (%s) matches no pod of namespace %s that was read: it protects nothing%s",
				selectorText(selector), p.Namespace, e.serviceHint(p.Namespace, selector)), "")
		}
	}
	return found
}
