package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RolloutLayer is a layer of a namespace that is taken to its posture on its own.
// +kubebuilder:validation:Enum=PodSecurity;MTLS;Authorization;Network
type RolloutLayer string

// RolloutStage is how far a layer is written; all stages but Enforce refuse nothing that was let through before.
// +kubebuilder:validation:Enum=Observe;Prepare;Audit;Permissive;Enforce
type RolloutStage string

// RolloutStatus is how far a namespace is on its way to its posture, and what a
// restarted controller must know of what was before. docs/rollout.md tells how to read it.
type RolloutStatus struct {
	// profile governs the namespace, or governed it last, while layers are on their way down.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Profile string `json:"profile,omitempty"`

	// layers are those that the profile demands, or that are on their way down, in the order in which they are enforced.
	// +optional
	// +listType=map
	// +listMapKey=layer
	// +kubebuilder:validation:MaxItems=4
	Layers []RolloutLayerStatus `json:"layers,omitempty"`

	// watch is the last change, while it is not proven.
	// +optional
	Watch *RolloutWatch `json:"watch,omitempty"`

	// breakGlass is how a person opened the namespace; gone with the annotation.
	// +optional
	BreakGlass *BreakGlassStatus `json:"breakGlass,omitempty"`

	// released is the last value of the annotation palisade.floe.dev/release that was heeded.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Released string `json:"released,omitempty"`

	// holds say what the namespace, or a layer of it, waits for, and what people should mend.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	Holds []RolloutHold `json:"holds,omitempty"`

	// transitions are the last changes of stage, the oldest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	Transitions []RolloutTransition `json:"transitions,omitempty"`
}

// RolloutLayerStatus is how far one layer is.
type RolloutLayerStatus struct {
	// layer of the namespace.
	// +required
	Layer RolloutLayer `json:"layer"`

	// stage that is, or is about to be, written.
	// +required
	Stage RolloutStage `json:"stage"`

	// since is when the stage was first seen to be written; missing until then.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`

	// level is the Pod Security level and version that was proven, "baseline/latest"; it
	// stays enforced while another is only audited.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Level string `json:"level,omitempty"`

	// exempted is the level that an Exemption lowers what is enforced to.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Exempted string `json:"exempted,omitempty"`

	// failures counts the steps back since the last step that was proven.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Failures int32 `json:"failures,omitempty"`

	// retryAt is before when the layer does not go up again after a failure.
	// +optional
	RetryAt *metav1.Time `json:"retryAt,omitempty"`
}

// RolloutWatch is a change that is not proven yet.
type RolloutWatch struct {
	// at is when it was decided.
	// +required
	At metav1.Time `json:"at"`

	// moves are where its layers came from, and go back to if a gate breaks.
	// +required
	// +listType=map
	// +listMapKey=layer
	// +kubebuilder:validation:MaxItems=4
	Moves []RolloutMove `json:"moves"`
}

// RolloutMove is where a layer came from.
type RolloutMove struct {
	// layer that moved.
	// +required
	Layer RolloutLayer `json:"layer"`

	// from is the stage before the change.
	// +required
	From RolloutStage `json:"from"`

	// level is the Pod Security level that was proven before the change.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Level string `json:"level,omitempty"`
}

// BreakGlassStage is how far a person opens a namespace.
// +kubebuilder:validation:Enum=Permissive;Observe
type BreakGlassStage string

// BreakGlassStatus is a namespace that a person opened by the annotation palisade.floe.dev/break-glass.
type BreakGlassStatus struct {
	// stage is Permissive or Observe.
	// +required
	Stage BreakGlassStage `json:"stage"`

	// reason is why, as the annotation gives it.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Reason string `json:"reason,omitempty"`

	// by is who, as the annotation gives it.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	By string `json:"by,omitempty"`

	// given is the end as it was written, to tell one order from the next.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Given string `json:"given,omitempty"`

	// since is when it began.
	// +required
	Since metav1.Time `json:"since"`

	// until is when it ends.
	// +required
	Until metav1.Time `json:"until"`

	// over tells that it ended, though the annotation is still there.
	// +optional
	Over bool `json:"over,omitempty"`
}

// RolloutHold is what a namespace, or a layer of it, waits for.
type RolloutHold struct {
	// layer is missing where the whole namespace waits.
	// +optional
	Layer RolloutLayer `json:"layer,omitempty"`

	// code names the gate that holds.
	// +required
	// +kubebuilder:validation:MaxLength=64
	Code string `json:"code"`

	// message says what is waited for.
	// +required
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message"`
}

// RolloutTransition is a change of stage that was decided.
type RolloutTransition struct {
	// at is when.
	// +required
	At metav1.Time `json:"at"`

	// layer that changed.
	// +required
	Layer RolloutLayer `json:"layer"`

	// from is the stage before.
	// +required
	From RolloutStage `json:"from"`

	// to is the stage after.
	// +required
	To RolloutStage `json:"to"`

	// code says why, such as Advanced or SteppedBack.
	// +required
	// +kubebuilder:validation:MaxLength=64
	Code string `json:"code"`
}
