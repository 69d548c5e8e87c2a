package audit

import (
	"fmt"

	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"floe.dev/palisade/model"
)

// drainBlocked is a PodDisruptionBudget that lets no pod be evicted even while all
// are healthy: spec.minAvailable as large as the replicas, spec.maxUnavailable 0.
// Percentages are rounded up, as the disruption controller does (kubernetes#66811).
func drainBlocked() Kind {
	return Kind{
		Code: "DrainBlocked", Severities: []model.Severity{model.Warning},
		Says: "a PodDisruptionBudget never lets a pod be evicted",
		Why:  "Draining a node waits for the eviction without end, so upgrades of nodes stop there.",
		Fix:  "allow at least one disruption, or run one replica more than minAvailable asks for",
		Find: findDrainBlocked,
	}
}

func findDrainBlocked(e *Evidence) []model.Finding {
	var found []model.Finding
	for i := range e.Budgets {
		b := &e.Budgets[i]
		replicas, pods := e.budgeted(b)
		if len(pods) == 0 || replicas == 0 {
			continue
		}
		field, left := disruptions(b, replicas)
		if field != "" && left <= 0 {
			found = append(found, drainBlocked().At(model.Warning,
				model.Ref{APIVersion: policyv1.SchemeGroupVersion.String(), Kind: "PodDisruptionBudget", Namespace: b.Namespace, Name: b.Name}, field,
				fmt.Sprintf("with %s of %s it allows no disruption at all, even while every pod is healthy: a drain of their nodes waits for ever", count(replicas, "replica"), named(pods)), ""))
		}
	}
	return found
}

// budgeted are the workloads that a budget is for, and their replicas together.
func (e *Evidence) budgeted(b *policyv1.PodDisruptionBudget) (replicas int, pods []*model.Workload) {
	list := e.Model.WorkloadsIn(b.Namespace)
	for i := range list {
		if w := &list[i]; b.Spec.Selector != nil && model.Matches(b.Spec.Selector, w.Labels) {
			pods = append(pods, w)
			replicas += int(w.Replicas)
		}
	}
	return replicas, pods
}

// disruptions is how many pods may be gone at once, and the field that says so.
func disruptions(b *policyv1.PodDisruptionBudget, replicas int) (field string, left int) {
	switch {
	case b.Spec.MaxUnavailable != nil:
		n, err := intstr.GetScaledValueFromIntOrPercent(b.Spec.MaxUnavailable, replicas, true)
		if err != nil {
			return "", 0
		}
		return "spec.maxUnavailable", n
	case b.Spec.MinAvailable != nil:
		n, err := intstr.GetScaledValueFromIntOrPercent(b.Spec.MinAvailable, replicas, true)
		if err != nil {
			return "", 0
		}
		return "spec.minAvailable", replicas - n
	default:
		return "", 0
	}
}
