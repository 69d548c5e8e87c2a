package budget

import (
	"slices"

	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"floe.dev/palisade/model"
)

// home is a namespace whose workloads are given budgets.
type home struct {
	namespace *model.Namespace
	workloads []model.Workload
	// scaled is the least count of each workload that an autoscaler scales.
	scaled map[model.WorkloadID]int32
	// sets are all sets of pods with equal labels: templates, and pods that run.
	sets []set
	// all are the places of all sets.
	all []int
	// byLabel finds sets by one of their labels, "key=value".
	byLabel map[string][]int
	// others are the budgets of somebody else's.
	others []foreign
}

// set is some pods of a workload.
type set struct {
	id     model.WorkloadID
	labels map[string]string
}

// foreign is a budget that is not palisade's; its selector is nil where it selects nothing.
type foreign struct {
	ref      model.Ref
	selector *metav1.LabelSelector
}

func newHome(m *model.Model, n *model.Namespace, scaled map[model.WorkloadID]int32, others []foreign) *home {
	h := &home{namespace: n, workloads: m.WorkloadsIn(n.Name), scaled: scaled, others: others, byLabel: map[string][]int{}}
	for i := range h.workloads {
		h.add(h.workloads[i].ID, h.workloads[i].Labels)
	}
	pods := m.PodsIn(n.Name)
	for i := range pods {
		h.add(pods[i].Owner, pods[i].Labels)
	}
	return h
}

// foreigns are the budgets of somebody else's, by their namespace.
func foreigns(m *model.Model) map[string][]foreign {
	others := map[string][]foreign{}
	for i := range m.Existing {
		o := &m.Existing[i]
		if ref := o.Ref(); ref.Kind == "PodDisruptionBudget" && ref.Group() == policyv1.GroupName && !o.Owned() {
			others[ref.Namespace] = append(others[ref.Namespace], foreign{ref, selectorOf(o)})
		}
	}
	return others
}

func (h *home) add(id model.WorkloadID, labels map[string]string) {
	for key, value := range labels {
		h.byLabel[key+"="+value] = append(h.byLabel[key+"="+value], len(h.sets))
	}
	h.all = append(h.all, len(h.sets))
	h.sets = append(h.sets, set{id, labels})
}

// selectorOf is what a budget selects. One that cannot be understood is taken for one
// of every pod: then nothing is written beside it.
func selectorOf(o *model.Object) *metav1.LabelSelector {
	var b policyv1.PodDisruptionBudget
	if runtime.DefaultUnstructuredConverter.FromUnstructured(o.Tree, &b) != nil {
		return &metav1.LabelSelector{}
	}
	if b.Spec.Selector != nil {
		if _, err := metav1.LabelSelectorAsSelector(b.Spec.Selector); err != nil {
			return &metav1.LabelSelector{}
		}
	}
	return b.Spec.Selector
}

// selected are the sets of pods that a selector matches.
func (h *home) selected(selector *metav1.LabelSelector) []set {
	var found []set
	for _, i := range h.candidates(selector) {
		if model.Matches(selector, h.sets[i].labels) {
			found = append(found, h.sets[i])
		}
	}
	return found
}

// candidates are the sets that may match: those that have the rarest label which every one that matches has.
func (h *home) candidates(selector *metav1.LabelSelector) []int {
	least := h.all
	for key, value := range selector.MatchLabels {
		if with := h.byLabel[key+"="+value]; len(with) < len(least) {
			least = with
		}
	}
	return least
}

// sharers are other workloads, some of whose pods the selector of one matches, sorted.
func (h *home) sharers(w *model.Workload) []model.WorkloadID {
	var ids []model.WorkloadID
	for _, s := range h.selected(&w.Selector) {
		if s.id != w.ID {
			ids = append(ids, s.id)
		}
	}
	slices.SortFunc(ids, model.CompareWorkloadIDs)
	return slices.Compact(ids)
}

// budgetsOf are the budgets of somebody else's for pods of a workload.
func (h *home) budgetsOf(w *model.Workload) []foreign {
	var found []foreign
	for _, b := range h.others {
		if b.selector == nil {
			continue
		}
		if slices.ContainsFunc(h.selected(b.selector), func(s set) bool { return s.id == w.ID }) {
			found = append(found, b)
		}
	}
	return found
}
