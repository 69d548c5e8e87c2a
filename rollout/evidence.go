package rollout

import (
	"time"

	"floe.dev/palisade/model"
)

// Evidence is what was seen of the cluster, and foreseen of it. What is nil or
// missing is unknown, and unknown holds: it never passes a gate.
type Evidence struct {
	// Audits tells that what meshes note in the stage Audit is being read and
	// counted (Observed.Audit). Without it the stage would prove nothing, and is left out.
	Audits bool
	// Namespaces holds what is known of each, clients' namespaces that nobody governs among them.
	Namespaces map[string]Observed
}

// Observed is what is known of one namespace.
type Observed struct {
	// Settled tells that the objects of Lower(model, memory), for the same model
	// and memory that go into Step, are in the cluster, and no others of palisade's.
	Settled bool
	// Ready is how its workloads are.
	Ready *Readiness
	// Capture is whether the mesh holds its pods.
	Capture *Capture
	// Foreseen is what each layer would break if it were enforced, the others
	// being as they are; see Raise.
	Foreseen map[model.Layer]Foresight
	// PodSecurity is the dry run of the level that is demanded.
	PodSecurity *DryRun
	// Verification is the last one on the wire.
	Verification *Verification
	// Audit is what the mesh noted in the stage Audit.
	Audit *Audit
}

// Readiness is how the workloads of a namespace are.
type Readiness struct {
	// Workloads is how many there are; 0 is known to be none.
	Workloads int
	// Unready are those that are not available: a Deployment below what its
	// strategy allows, not one that replaces a pod.
	Unready []model.WorkloadID
}

// Capture is whether the mesh holds the pods of a namespace.
type Capture struct {
	// Missing are workloads with running pods that no proxy, or no redirection, stands before.
	Missing []model.WorkloadID
}

// Foresight is what enforcing a layer would do, by package plan.
type Foresight struct {
	// Breaks counts connections in use (declared, or named by a client's manifest) that would end.
	Breaks int
	// Problems counts problems of severity Error: parts of the intent that would stay closed.
	Problems int
	// Names are a few of both, in words.
	Names []string
}

// DryRun is the judgement of Pod Security on the pods and templates of a namespace.
type DryRun struct {
	// Level and Version are those that were judged by.
	Level, Version string
	// Refused counts pods and templates that would be; Names are a few of them.
	Refused int
	Names   []string
}

// Result is what a verification came to.
type Result string

// The results.
const (
	// Green: everything was seen as expected.
	Green Result = "Green"
	// Red: something was seen that must not be.
	Red Result = "Red"
	// Unclear: something could not be judged.
	Unclear Result = "Unclear"
	// NotApplicable: nothing in the namespace can be verified, such as where no mesh is in use.
	NotApplicable Result = "NotApplicable"
)

// Verification is the last verification of a namespace on the wire.
type Verification struct {
	Result Result
	// Began is when its first probe went out: it tells of nothing that was written later.
	Began time.Time
	// Failed are a few of the workloads and ports that failed, in words.
	Failed []string
}

// Audit is what meshes noted of connections that enforcing would refuse.
type Audit struct {
	// From is since when violations were counted, without a gap.
	From time.Time
	// Violations counts them; Names are a few, in words.
	Violations int
	Names      []string
}
