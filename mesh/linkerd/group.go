package linkerd

import (
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
)

// group is the meshed workloads of a namespace whose pods bear the same labels:
// no selector tells them apart, so a Server speaks for all of them.
type group []*model.Workload

func (c *compiler) groups(namespace string) []group {
	index := map[string]int{}
	var groups []group
	workloads := c.model.WorkloadsIn(namespace)
	for i := range workloads {
		w := &workloads[i]
		if !w.Facts.Meshed() {
			continue
		}
		key := model.SelectorKey(&metav1.LabelSelector{MatchLabels: w.Labels})
		at, found := index[key]
		if !found {
			at = len(groups)
			index[key] = at
			groups = append(groups, nil)
		}
		groups[at] = append(groups[at], w)
	}
	return groups
}

// selector finds the group's pods and those of no other group. It is the
// workload's own, which holds through every rollout, narrowed only where that
// finds pods of others as well: of two Servers for one pod and port Linkerd counts
// the older alone, and the clients of the one would be let in to the other.
func (g group) selector(groups []group) metav1.LabelSelector {
	selector := *g[0].Selector.DeepCopy()
	for _, other := range groups {
		if stray := other[0]; stray != g[0] && model.Matches(&selector, stray.Labels) {
			exclude(&selector, g[0].Labels, stray)
		}
	}
	return selector
}

// exclude narrows a selector so that it finds pods with the labels still and
// those of a stray no longer. Labels that differ always allow it.
func exclude(selector *metav1.LabelSelector, labels map[string]string, stray *model.Workload) {
	stable := slices.Sorted(maps.Keys(stray.Selector.MatchLabels))
	for _, key := range append(stable, slices.Sorted(maps.Keys(stray.Labels))...) {
		value, has := stray.Labels[key]
		if own, both := labels[key]; !has || both && own == value {
			continue
		}
		excludeValue(selector, key, value)
		return
	}
	for _, key := range slices.Sorted(maps.Keys(labels)) { // all that the stray bears is here, so something here is not there
		if _, both := stray.Labels[key]; both {
			continue
		}
		if selector.MatchLabels == nil {
			selector.MatchLabels = map[string]string{}
		}
		selector.MatchLabels[key] = labels[key]
		return
	}
}

// excludeValue leaves out pods that bear a label with a value.
func excludeValue(selector *metav1.LabelSelector, key, value string) {
	for i := range selector.MatchExpressions {
		if e := &selector.MatchExpressions[i]; e.Key == key && e.Operator == metav1.LabelSelectorOpNotIn {
			e.Values = sorted(append(slices.Clone(e.Values), value))
			return
		}
	}
	selector.MatchExpressions = append(selector.MatchExpressions, metav1.LabelSelectorRequirement{
		Key: key, Operator: metav1.LabelSelectorOpNotIn, Values: []string{value},
	})
}
