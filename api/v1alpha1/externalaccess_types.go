package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ExternalAccessSpec says which workloads of the namespace may leave the cluster, and where to. The cluster's own ranges and
// the metadata services of cloud providers are never part of it.
// +kubebuilder:validation:XValidation:rule="has(self.ports) || self.to.all(target, has(target.preset) && target.preset == 'APIServer')",message="may be left out only where every target is the preset APIServer, whose ports are known",fieldPath=".ports"
type ExternalAccessSpec struct {
	// from chooses the clients by their pod labels; an empty selector means every workload of the namespace.
	// +required
	From metav1.LabelSelector `json:"from"`

	// to lists the targets.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	To []Target `json:"to"`

	// ports of the targets, by number.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self.all(p, type(p.port) == int)",message="ports outside the cluster have numbers, not names"
	Ports []RulePort `json:"ports,omitempty"`
}

// TargetPreset names a target that needs no addresses.
// +kubebuilder:validation:Enum=Internet;APIServer
type TargetPreset string

// The presets of targets.
const (
	// TargetInternet is every public address: none that is private, the cluster's own, or a metadata service's.
	TargetInternet TargetPreset = "Internet"
	// TargetAPIServer is the Kubernetes API server.
	TargetAPIServer TargetPreset = "APIServer"
)

// Target is one kind of target; exactly one of cidr, host and preset is set.
// +kubebuilder:validation:XValidation:rule="(has(self.cidr) ? 1 : 0) + (has(self.host) ? 1 : 0) + (has(self.preset) ? 1 : 0) == 1",message="exactly one of cidr, host and preset must be set"
// +kubebuilder:validation:XValidation:rule="!has(self.except) || has(self.cidr)",message="goes with cidr",fieldPath=".except"
type Target struct {
	// cidr is a range of addresses.
	// +optional
	CIDR CIDR `json:"cidr,omitempty"`

	// except leaves parts of cidr out.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	Except []CIDR `json:"except,omitempty"`

	// host is a DNS name, "api.example.com", or with a leading "*." all names below one. NetworkPolicies cannot hold names: it
	// takes a mesh or a CNI that can, and elsewhere stays closed.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^(\*\.)?([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\.)+[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`
	Host string `json:"host,omitempty"`

	// preset is a target that needs no addresses.
	// +optional
	Preset TargetPreset `json:"preset,omitempty"`
}

// ExternalAccess says which workloads of its namespace may leave the cluster.
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,path=externalaccesses,shortName=extacc,categories=palisade
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ExternalAccess struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is what is wanted.
	// +required
	Spec ExternalAccessSpec `json:"spec"`

	// status is what became of it.
	// +optional
	Status RuleStatus `json:"status,omitzero"`
}

// ExternalAccessList is a list of ExternalAccesses.
// +kubebuilder:object:root=true
type ExternalAccessList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []ExternalAccess `json:"items"`
}
