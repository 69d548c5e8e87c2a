package model

import (
	"slices"
	"time"
)

// Enforcement tells whether a profile acts or only looks.
type Enforcement string

// The enforcements.
const (
	Observe Enforcement = "Observe"
	Enforce Enforcement = "Enforce"
)

// MTLSMode is what a server demands of its clients.
type MTLSMode string

// The modes. The empty mode means that the profile does not govern mTLS.
const (
	MTLSStrict     MTLSMode = "Strict"
	MTLSPermissive MTLSMode = "Permissive"
)

// Stage is how far a layer of a namespace is written on the way to what its
// profile demands. All but StageEnforce refuse nothing that was let through before.
type Stage string

// The stages, in the order in which a layer goes through those that it has.
const (
	// StageObserve: nothing is written.
	StageObserve Stage = "Observe"
	// StagePrepare: an object that lets everything through, and what enforcement needs to find there.
	StagePrepare Stage = "Prepare"
	// StageAudit: what the rules would refuse is noted, and let through.
	StageAudit Stage = "Audit"
	// StagePermissive: all rules, beside the object that lets everything through; of mTLS: mTLS and plaintext.
	StagePermissive Stage = "Permissive"
	// StageEnforce: what no rule lets through is refused.
	StageEnforce Stage = "Enforce"
)

// Rank orders stages; -1 for what is none.
func (s Stage) Rank() int {
	return slices.Index([]Stage{StageObserve, StagePrepare, StageAudit, StagePermissive, StageEnforce}, s)
}

// Posture is what a profile demands of a namespace, or what package rollout
// left of that: the layers that are not proven yet are lowered.
type Posture struct {
	// Profile is the name of the SecurityProfile that governs.
	Profile     string
	Enforcement Enforcement
	Mesh        MeshPosture
	Network     NetworkPosture
	PodSecurity PodSecurityPosture
	Hardening   Hardening
	Rollout     RolloutPosture
	// DisruptionBudgets tells that workloads are given PodDisruptionBudgets.
	DisruptionBudgets bool
}

// RolloutPosture says how fast, and under which conditions, the namespaces of a
// profile are taken to its posture.
type RolloutPosture struct {
	// MaxNamespaces is how many of them may change stage at once, at least 1.
	MaxNamespaces int
	// Soak is how long a namespace stays in a stage, without a fault, before the next.
	Soak time.Duration
	// MaxFailed is how many of them may stand stepped back before no other goes on, at least 1.
	MaxFailed int
	// Paused lets none of them go on to a further stage.
	Paused bool
	// Unverified lets them be enforced though nothing was verified on the wire.
	Unverified bool
}

// MeshPosture is the mesh's part of a posture.
type MeshPosture struct {
	MTLS MTLSMode
	// KeepStrict tells that MTLSPermissive is a stage on the way to MTLSStrict:
	// nothing is written where it would open a mesh that is strict without palisade.
	KeepStrict bool
	// Authorization tells that default deny and the allows of the flows are written.
	Authorization bool
	// Stage is what of it is written ahead while Authorization is false:
	// StagePrepare, StageAudit or StagePermissive; empty means nothing. Linkerd,
	// which has one switch for both, audits mTLS with it.
	Stage Stage
	// SidecarScope tells that Istio proxies are scoped to the declared flows.
	SidecarScope bool
}

// NetworkPosture is the network's part of a posture.
type NetworkPosture struct {
	// DefaultDeny tells that what no flow opens is closed.
	DefaultDeny bool
	// Stage is what of the NetworkPolicies is written ahead while DefaultDeny is
	// false: StagePrepare or StagePermissive; empty means nothing.
	Stage Stage
	// Verifiers are pods that may open a connection to every TCP port, to see what the mesh makes of them.
	Verifiers []Peer
}

// PodSecurityPosture holds the labels of Pod Security admission; an empty level sets no label.
type PodSecurityPosture struct {
	// Levels are "privileged", "baseline" or "restricted".
	Enforce, Audit, Warn string
	// Versions are "latest" or "v1.37".
	EnforceVersion, AuditVersion, WarnVersion string
	// Origin is set where an Exemption lowered Enforce.
	Origin *Origin
}

// Layer is a layer that an Exemption can relax.
type Layer string

// The layers.
const (
	LayerMTLS          Layer = "MTLS"
	LayerAuthorization Layer = "Authorization"
	LayerNetwork       Layer = "Network"
	LayerPodSecurity   Layer = "PodSecurity"
)

// Relaxation is an Exemption in force for one workload.
type Relaxation struct {
	Layer Layer
	// Ports of the workload; nil means all of it.
	Ports  []Port
	Origin Origin
	// Until is when it ends.
	Until time.Time
	// PodSecurityLevel is the level that the namespace falls back to (LayerPodSecurity only).
	PodSecurityLevel string
}

// Exempts tells whether an Exemption in force relaxes a layer for all of a port or range.
func (w *Workload) Exempts(layer Layer, port Port) bool {
	return slices.ContainsFunc(w.Relaxed, func(r Relaxation) bool {
		return r.Layer == layer && (r.Ports == nil || slices.ContainsFunc(r.Ports, func(p Port) bool {
			return p.Contains(port.Protocol, port.Number) && p.Last() >= port.Last()
		}))
	})
}

// ExemptsAll tells whether every one of some ports is exempted from a layer.
func (w *Workload) ExemptsAll(layer Layer, ports []Port) bool {
	return !slices.ContainsFunc(ports, func(p Port) bool { return !w.Exempts(layer, p) })
}
