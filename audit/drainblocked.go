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
// A HorizontalPodAutoscaler's own least counts in place of the replicas that it takes over.
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
			found = append(found, drainBlocked().At(model.Warning, budgetRef(b), field,
				fmt.Sprintf("with %s of %s it allows no disruption at all, even while every pod is healthy: a drain of their nodes waits for ever", count(replicas, "replica"), named(pods)), ""))
		}
	}
	return found
}

// budgeted are the workloads that a budget is for, and their replicas together; none
// where the pods of a DaemonSet are among them, of which there are as many as nodes, and
// which a drain leaves alone. Pods of Jobs hold a drain up until they end, and not for ever.
func (e *Evidence) budgeted(b *policyv1.PodDisruptionBudget) (replicas int, pods []*model.Workload) {
	for _, w := range e.workloadsIn(b.Namespace) {
		if !budgets(b, w) {
			continue
		}
		switch w.ID.Kind {
		case "DaemonSet":
			return 0, nil
		case "Job", "CronJob":
			continue
		}
		n := int(w.Replicas)
		if least, scaled := e.scaledFrom(w.ID); scaled {
			n = max(n, least)
		}
		pods = append(pods, w)
		replicas += n
	}
	return replicas, pods
}

// scaledFrom is the least count of a workload's replicas that a HorizontalPodAutoscaler
// holds; 1 where it names none (k8s.io/api autoscaling/v2).
func (e *Evidence) scaledFrom(id model.WorkloadID) (least int, scaled bool) {
	for i := range e.Model.Existing {
		o := &e.Model.Existing[i]
		ref, target := o.Ref(), o.Map("spec", "scaleTargetRef")
		if ref.Kind != "HorizontalPodAutoscaler" || ref.Group() != "autoscaling" || ref.Namespace != id.Namespace || target["kind"] != id.Kind || target["name"] != id.Name {
			continue
		}
		if n, ok := o.Map("spec")["minReplicas"].(int64); ok {
			return int(n), true
		}
		return 1, true
	}
	return 0, false
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
