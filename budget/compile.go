package budget

import (
	"fmt"
	"slices"
	"strings"

	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"floe.dev/palisade/model"
)

// manyReplicas is from how many replicas on a tenth of them may be gone at once, lest a drain take them one by one.
const manyReplicas = 10

// Compile writes a PodDisruptionBudget for each workload with replicas to spare in
// the namespaces whose posture asks for them, sorted by model.CompareObjects.
//
//	replicas, or the least that an autoscaler keeps   spec.maxUnavailable
//	0 or 1                                            no budget: it would block, or hold nothing
//	2 to 9, and all of a StatefulSet                  1
//	10 and more                                       10%, which is rounded up
//
// maxUnavailable, unlike minAvailable, never blocks a workload that was scaled down
// since. Pods that are not ready may always be evicted (KEP-3017, AlwaysAllow).
func Compile(m *model.Model) ([]model.Object, []model.Problem) {
	var objects []model.Object
	var problems []model.Problem
	each(m, func(h *home, w *model.Workload) {
		if len(h.budgetsOf(w)) > 0 {
			return
		}
		if others := h.sharers(w); len(others) > 0 {
			problems = append(problems, selectorShared(w, others))
			return
		}
		objects = append(objects, h.budget(w))
	})
	slices.SortFunc(objects, model.CompareObjects)
	slices.SortFunc(problems, model.CompareProblems)
	return objects, problems
}

// Findings tells of the workloads that are given no budget because somebody else wrote one.
func Findings(m *model.Model) []model.Finding {
	var findings []model.Finding
	each(m, func(h *home, w *model.Workload) {
		for _, b := range h.budgetsOf(w) {
			findings = append(findings, model.NewFinding("BudgetOfOthers", model.Info, b.ref, "spec.selector",
				fmt.Sprintf("it selects pods of %s, for which SecurityProfile %s wants a budget: palisade writes none beside it, since no pod with two can be evicted", w.ID, h.namespace.Posture.Profile),
				"nothing, if this budget is meant; else delete it"))
		}
	})
	slices.SortFunc(findings, model.CompareFindings)
	return findings
}

// each visits the workloads with replicas to spare of the namespaces that ask for budgets.
func each(m *model.Model, visit func(*home, *model.Workload)) {
	var scaled map[model.WorkloadID]int32
	var others map[string][]foreign
	for i := range m.Namespaces {
		n := &m.Namespaces[i]
		if n.Posture == nil || !n.Posture.DisruptionBudgets {
			continue
		}
		if scaled == nil {
			scaled, others = autoscaled(m), foreigns(m)
		}
		h := newHome(m, n, scaled, others[n.Name])
		for j := range h.workloads {
			if w := &h.workloads[j]; h.replicas(w) > 1 {
				visit(h, w)
			}
		}
	}
}

// autoscaled is the least count of replicas that a HorizontalPodAutoscaler keeps of
// each workload that it scales; 1 where it names none (k8s.io/api autoscaling/v2).
func autoscaled(m *model.Model) map[model.WorkloadID]int32 {
	least := map[model.WorkloadID]int32{}
	for i := range m.Existing {
		o := &m.Existing[i]
		ref := o.Ref()
		if ref.Kind != "HorizontalPodAutoscaler" || ref.Group() != "autoscaling" {
			continue
		}
		target := o.Map("spec", "scaleTargetRef")
		kind, _ := target["kind"].(string)
		name, _ := target["name"].(string)
		id := model.WorkloadID{Namespace: ref.Namespace, Kind: kind, Name: name}
		n := int32(1)
		switch given := o.Map("spec")["minReplicas"].(type) {
		case int64:
			n = int32(min(max(given, 0), 1<<30))
		case float64:
			n = int32(min(max(given, 0), 1<<30))
		}
		if known, twice := least[id]; !twice || n < known {
			least[id] = n
		}
	}
	return least
}

// replicas is how many there are at the least. 0 is for kinds that no budget is for:
// a drain leaves the pods of DaemonSets alone, and those of Jobs end; for a bare Pod
// the disruption controller cannot tell how many there should be.
func (h *home) replicas(w *model.Workload) int32 {
	switch w.ID.Kind {
	case "Deployment", "StatefulSet", "ReplicaSet", "ReplicationController":
	default:
		return 0
	}
	if w.Replicas == 0 { // autoscalers leave alone what was scaled to none
		return 0
	}
	if least, scaled := h.scaled[w.ID]; scaled {
		return least
	}
	return w.Replicas
}

// budget is that of a workload.
func (h *home) budget(w *model.Workload) model.Object {
	most := intstr.FromInt32(1)
	if w.ID.Kind != "StatefulSet" && h.replicas(w) >= manyReplicas { // those of a StatefulSet may be a quorum
		most = intstr.FromString("10%")
	}
	always := policyv1.AlwaysAllow
	origin := model.Origin{Ref: model.Ref{Kind: "SecurityProfile", Name: h.namespace.Posture.Profile}, Part: "spec.workload.disruptionBudgets"}
	return model.ObjectFrom(&policyv1.PodDisruptionBudget{
		TypeMeta: metav1.TypeMeta{APIVersion: policyv1.SchemeGroupVersion.String(), Kind: "PodDisruptionBudget"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.ID.Namespace, Name: model.NameFor(w.ID.Name, strings.ToLower(w.ID.Kind)+"/"+w.ID.Name),
			Labels:      map[string]string{model.ManagedByLabel: model.ManagedByValue, model.ProfileLabel: model.LabelValue(h.namespace.Posture.Profile)},
			Annotations: map[string]string{model.OriginAnnotation: fmt.Sprintf("%s, for %s %s", origin, w.ID.Kind, w.ID.Name)},
		},
		Spec: policyv1.PodDisruptionBudgetSpec{MaxUnavailable: &most, Selector: w.Selector.DeepCopy(), UnhealthyPodEvictionPolicy: &always},
	}, model.PhaseAllow)
}

func selectorShared(w *model.Workload, others []model.WorkloadID) model.Problem {
	names := make([]string, 0, len(others))
	for _, id := range others {
		names = append(names, id.String())
	}
	const most = 3
	more := ""
	if rest := len(names) - most; rest > 0 {
		names, more = names[:most], fmt.Sprintf(" and %d more", rest)
	}
	return model.Problem{
		Code: "BudgetSelectorShared", Severity: model.Warning, Subject: w.Ref(), Field: "spec.selector",
		Message: fmt.Sprintf("its selector matches pods of %s%s as well, so a budget would count, and hold, pods that are not its own: it is given none", strings.Join(names, ", "), more),
		Fix:     "give its pods, and its selector, a label that no other pod of the namespace has; or write a PodDisruptionBudget yourself",
	}
}
