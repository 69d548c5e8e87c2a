package audit

import (
	"fmt"
	"slices"
	"strings"

	"floe.dev/palisade/model"
)

// inertLookingIsolation is a manifest that names neither policyTypes nor rules for
// ingress, and isolates for ingress all the same: the API server fills in Ingress (k8s.io/api
// networking/v1, NetworkPolicySpec.PolicyTypes). It is no fault where another policy
// isolates the pods for ingress openly, for then this one changes nothing; and
// whoever writes an empty list of rules means that nobody is let in.
func inertLookingIsolation() Kind {
	return Kind{
		Code: "InertLookingIsolation", Severities: []model.Severity{model.Warning, model.Info},
		Says: "a NetworkPolicy says nothing of ingress and closes it all the same",
		Why:  "Without policyTypes the API server takes it for one that isolates for ingress, so nobody reaches the pods any more.",
		Fix:  "name policyTypes: [Egress] if only that is meant, or [Ingress] if the pods are to be closed",
		Find: findInertLookingIsolation,
	}
}

func findInertLookingIsolation(e *Evidence) []model.Finding {
	var found []model.Finding
	for i := range e.Policies {
		p := &e.Policies[i]
		if !looksInert(p) {
			continue
		}
		pods := e.selected(p)
		closed := slices.DeleteFunc(slices.Clone(pods), e.isolatedOpenly)
		if len(pods) > 0 && len(closed) == 0 {
			continue
		}
		whom := "the pods that it selects"
		if len(closed) > 0 {
			whom = named(closed)
		}
		severity, fix := model.Warning, ""
		if len(p.Spec.Egress) == 0 && strings.Contains(p.Name, "deny") {
			severity, fix = model.Info, "say so in the manifest: policyTypes: [Ingress]" // its name says what it does
		}
		found = append(found, inertLookingIsolation().At(severity, p.Ref(), "spec.policyTypes",
			fmt.Sprintf("it names no policyTypes and has no ingress rule, so it is taken for one that isolates for ingress: nobody reaches %s", whom), fix))
	}
	return found
}

func looksInert(p *Policy) bool {
	return slices.Contains(p.Defaulted, "spec.policyTypes") && !p.NamesIngress
}

// isolatedOpenly tells whether a policy that says so isolates a workload for ingress.
func (e *Evidence) isolatedOpenly(w *model.Workload) bool {
	f := e.filter(model.FilterIngress, w)
	return f != nil && slices.ContainsFunc(f.Because, func(c model.Cause) bool {
		p := e.Policy(c.Object)
		return p != nil && !looksInert(p)
	})
}
