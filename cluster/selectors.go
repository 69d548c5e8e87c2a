package cluster

import (
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"floe.dev/palisade/api/v1alpha1"
)

// FieldFault is something wrong with a field of an object.
type FieldFault struct {
	Field, Message string
}

// SelectorFaults checks the label selectors of an object of palisade's own kinds (a
// pointer to it), to whose rules no CustomResourceDefinition holds them.
func SelectorFaults(object any) []FieldFault {
	var selectors []selectorAt
	switch o := object.(type) {
	case *v1alpha1.SecurityProfile:
		selectors = profileSelectors(o)
	case *v1alpha1.TrafficRule:
		selectors = ruleSelectors(o)
	case *v1alpha1.ExternalAccess:
		selectors = accessSelectors(o)
	case *v1alpha1.Exemption:
		selectors = exemptionSelectors(o)
	}
	var faults []FieldFault
	for _, err := range invalidSelectors(selectors) {
		faults = append(faults, FieldFault{Field: err.Field, Message: worded(err)})
	}
	return faults
}

func invalidSelectors(selectors []selectorAt) field.ErrorList {
	var faults field.ErrorList
	for _, s := range selectors {
		faults = append(faults, metav1validation.ValidateLabelSelector(s.selector, metav1validation.LabelSelectorValidationOptions{}, field.NewPath(s.path))...)
	}
	return faults
}

func accessSelectors(a *v1alpha1.ExternalAccess) []selectorAt {
	return []selectorAt{{"spec.from", &a.Spec.From}}
}

func exemptionSelectors(e *v1alpha1.Exemption) []selectorAt {
	return []selectorAt{{"spec.workloads", &e.Spec.Workloads}}
}
