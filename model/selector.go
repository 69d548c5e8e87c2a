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
