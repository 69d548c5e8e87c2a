package model

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Matches tells whether a label selector matches labels, as the API server
// judges: an empty selector matches everything; NotIn and DoesNotExist match
// where the key is absent. An operator that is not known matches nothing.
func Matches(selector *metav1.LabelSelector, labels map[string]string) bool {
	if selector == nil {
		return false
	}
	for key, want := range selector.MatchLabels {
		if got, ok := labels[key]; !ok || got != want {
			return false
		}
	}
	for i := range selector.MatchExpressions {
		if !matchesExpression(&selector.MatchExpressions[i], labels) {
			return false
		}
	}
	return true
}

func matchesExpression(e *metav1.LabelSelectorRequirement, labels map[string]string) bool {
	value, present := labels[e.Key]
	switch e.Operator {
	case metav1.LabelSelectorOpIn:
		return present && slices.Contains(e.Values, value)
	case metav1.LabelSelectorOpNotIn:
		return !present || !slices.Contains(e.Values, value)
	case metav1.LabelSelectorOpExists:
		return present
	case metav1.LabelSelectorOpDoesNotExist:
		return !present
	default:
		return false
	}
}

// IsEverything tells whether a selector matches whatever it is given.
func IsEverything(selector *metav1.LabelSelector) bool {
	return selector != nil && len(selector.MatchLabels) == 0 && len(selector.MatchExpressions) == 0
}

// SelectorKey is a canonical text of a selector: equal for selectors that say the same in another order.
func SelectorKey(selector *metav1.LabelSelector) string {
	if selector == nil {
		return "<nil>"
	}
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(selector.MatchLabels)) {
		parts = append(parts, key+"="+selector.MatchLabels[key])
	}
	var expressions []string
	for _, e := range selector.MatchExpressions {
		values := slices.Clone(e.Values)
		slices.Sort(values)
		expressions = append(expressions, fmt.Sprintf("%s %s (%s)", e.Key, e.Operator, strings.Join(slices.Compact(values), ",")))
	}
	slices.Sort(expressions)
	return strings.Join(append(parts, slices.Compact(expressions)...), ",")
}

// Exclude narrows a selector that matches labels so that it still does, and no
// longer matches those of a stray. It reports false where these bear nothing by
// which they could be told apart. The selector that is given is left as it was.
func Exclude(selector *metav1.LabelSelector, labels, stray map[string]string) (metav1.LabelSelector, bool) {
	to := *selector.DeepCopy()
	for _, key := range slices.SortedFunc(maps.Keys(labels), lastingFirst) {
		if value, ok := stray[key]; ok && value == labels[key] {
			continue
		}
		metav1.AddLabelToSelector(&to, key, labels[key])
		return to, true
	}
	for _, key := range slices.SortedFunc(maps.Keys(stray), lastingFirst) {
		if _, ok := labels[key]; ok {
			continue
		}
		to.MatchExpressions = append(to.MatchExpressions, metav1.LabelSelectorRequirement{Key: key, Operator: metav1.LabelSelectorOpDoesNotExist})
		return to, true
	}
	return to, false
}

// passingLabels change with every release, so that pods of the one before would drop out of a selector by them.
var passingLabels = []string{"app.kubernetes.io/version", "helm.sh/chart", "pod-template-hash", "version"}

// lastingFirst orders keys of labels by how long their values last, then by name.
func lastingFirst(a, b string) int {
	x, y := slices.Contains(passingLabels, a), slices.Contains(passingLabels, b)
	switch {
	case x == y:
		return strings.Compare(a, b)
	case x:
		return 1
	default:
		return -1
	}
}
