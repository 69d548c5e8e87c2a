package v1alpha1

// Types of conditions.
const (
	// ConditionReady tells that an object is in force as it is written: of a
	// NamespacePosture, that everything its profile demands is enforced, and written.
	ConditionReady = "Ready"
	// ConditionHeld of a NamespacePosture tells that its rollout waits; the reason is the gate's code.
	ConditionHeld = "Held"
	// ConditionConflict of a SecurityProfile tells that another one of the same priority selects a namespace of its own.
	ConditionConflict = "Conflict"
)

// Reasons of conditions. Codes of problems, findings and gates are reasons too.
const (
	// ReasonInForce goes with Ready.
	ReasonInForce = "InForce"
	// ReasonProgressing: the rollout is on its way.
	ReasonProgressing = "Progressing"
	// ReasonObserved: the profile only observes, so nothing is written.
	ReasonObserved = "Observed"
	// ReasonReverting: nothing governs the namespace any more, and what was written goes.
	ReasonReverting = "Reverting"
	// ReasonWriteFailed: the API server refused a write.
	ReasonWriteFailed = "WriteFailed"
	// ReasonFrozen: the intent cannot be read, so that everything stays as it is.
	ReasonFrozen = "Frozen"
	// ReasonExpired of an Exemption: its time is over.
	ReasonExpired = "Expired"
	// ReasonNone goes with a condition that does not hold.
	ReasonNone = "None"
)

// PostureName is the name of every NamespacePosture: there is one a namespace.
const PostureName = "posture"
