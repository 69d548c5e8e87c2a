package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the API group and version of palisade's kinds.
var GroupVersion = schema.GroupVersion{Group: "palisade.floe.dev", Version: "v1alpha1"}

// AddToScheme registers the kinds.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion,
		&SecurityProfile{}, &SecurityProfileList{},
		&TrafficRule{}, &TrafficRuleList{},
		&ExternalAccess{}, &ExternalAccessList{},
		&Exemption{}, &ExemptionList{},
		&NamespacePosture{}, &NamespacePostureList{},
		&MTLSReport{}, &MTLSReportList{},
	)
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
