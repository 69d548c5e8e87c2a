package audit

import (
	"fmt"

	policyv1 "k8s.io/api/policy/v1"

	"floe.dev/palisade/model"
)

// overlappingBudgets is two PodDisruptionBudgets for one pod: the eviction API takes
// that for an error of the server (kubernetes pkg/registry/core/pod/storage/eviction.go; kubernetes#75957).
func overlappingBudgets() Kind {
	return Kind{
		Code: "OverlappingBudgets", Severities: []model.Severity{model.Error},
		Says: "two PodDisruptionBudgets select the same pod",
		Why:  "The eviction API answers 500 for such a pod whatever the budgets allow, so its node can never be drained.",
		Fix:  "delete one of the budgets, or narrow their selectors so that each pod has one",
		Find: findOverlappingBudgets,
	}
}

func findOverlappingBudgets(e *Evidence) []model.Finding {
	var found []model.Finding
	for i := range e.Budgets {
		b := &e.Budgets[i]
		for j := range e.Budgets[:i] {
			other := &e.Budgets[j]
			if other.Namespace != b.Namespace {
				continue
			}
			if pods := e.budgetedByBoth(b, other); len(pods) > 0 {
				found = append(found, overlappingBudgets().At(model.Error, budgetRef(b), "spec.selector",
					fmt.Sprintf("it selects %s, and so does PodDisruptionBudget %s/%s: every eviction of these pods fails with an error of the server", named(pods), other.Namespace, other.Name), ""))
				break
			}
		}
	}
	return found
}

// budgetedByBoth are the workloads whose pods two budgets are for. The pods of a
// DaemonSet count as well: whoever evicts them meets the same error.
func (e *Evidence) budgetedByBoth(a, b *policyv1.PodDisruptionBudget) []*model.Workload {
	var both []*model.Workload
	for _, w := range e.workloadsIn(a.Namespace) {
		if w.Replicas > 0 && budgets(a, w) && budgets(b, w) {
			both = append(both, w)
		}
	}
	return both
}

// budgets tells whether a budget is for the pods of a workload. In policy/v1 an empty
// selector is for every pod of the namespace, and none is for no pod.
func budgets(b *policyv1.PodDisruptionBudget, w *model.Workload) bool {
	return b.Spec.Selector != nil && model.Matches(b.Spec.Selector, w.Labels)
}

func budgetRef(b *policyv1.PodDisruptionBudget) model.Ref {
	return model.Ref{APIVersion: policyv1.SchemeGroupVersion.String(), Kind: "PodDisruptionBudget", Namespace: b.Namespace, Name: b.Name}
}
