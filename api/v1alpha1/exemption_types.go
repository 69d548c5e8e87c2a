package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Layer is a layer that an Exemption can relax.
// +kubebuilder:validation:Enum=MTLS;Authorization;Network;PodSecurity
type Layer string

// The layers.
const (
	// LayerMTLS: the workload's ports take plaintext as well.
	LayerMTLS Layer = "MTLS"
	// LayerAuthorization: the workload's ports take any client that the network lets through.
	LayerAuthorization Layer = "Authorization"
	// LayerNetwork: the workload's ports take any client that the mesh lets through; without ports its egress is open, too.
	LayerNetwork Layer = "Network"
	// LayerPodSecurity: the namespace enforces a lower level.
	LayerPodSecurity Layer = "PodSecurity"
)

// ExemptionSpec says what is relaxed, why, by whom and until when.
// +kubebuilder:validation:XValidation:rule="has(self.podSecurityLevel) == ('PodSecurity' in self.layers)",message="goes with the layer PodSecurity, and only with it",fieldPath=".podSecurityLevel"
// +kubebuilder:validation:XValidation:rule="!has(self.ports) || self.layers.exists(layer, layer != 'PodSecurity')",message="do not apply to the layer PodSecurity",fieldPath=".ports"
type ExemptionSpec struct {
	// workloads chooses the workloads by their pod labels; an empty selector means every workload of the namespace.
	// +required
	Workloads metav1.LabelSelector `json:"workloads"`

	// ports limits the exemption to some ports; without them the whole workload is meant.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Ports []RulePort `json:"ports,omitempty"`

	// layers are those that are relaxed.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	Layers []Layer `json:"layers"`

	// podSecurityLevel is the level that the namespace enforces meanwhile.
	// +optional
	PodSecurityLevel PodSecurityLevel `json:"podSecurityLevel,omitempty"`

	// reason says why, for whoever reads the report.
	// +required
	// +kubebuilder:validation:MinLength=10
	// +kubebuilder:validation:MaxLength=1024
	Reason string `json:"reason"`

	// owner is who answers for it: a team or a person.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Owner string `json:"owner"`

	// expires is when the exemption stops counting, on the second.
	// +required
	Expires metav1.Time `json:"expires"`
}

// Exemption relaxes some layers for some workloads of its namespace, for a time.
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,shortName=exempt,categories=palisade
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Layers",type=string,JSONPath=`.spec.layers`
// +kubebuilder:printcolumn:name="Owner",type=string,JSONPath=`.spec.owner`
// +kubebuilder:printcolumn:name="Expires",type=date,JSONPath=`.spec.expires`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Exemption struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is what is wanted.
	// +required
	Spec ExemptionSpec `json:"spec"`

	// status is what became of it.
	// +optional
	Status RuleStatus `json:"status,omitzero"`
}

// ExemptionList is a list of Exemptions.
// +kubebuilder:object:root=true
type ExemptionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []Exemption `json:"items"`
}
