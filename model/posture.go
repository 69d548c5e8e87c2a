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

// Posture is what a profile demands of a namespace.
type Posture struct {
	// Profile is the name of the SecurityProfile that governs.
	Profile     string
	Enforcement Enforcement
	Mesh        MeshPosture
	Network     NetworkPosture
	PodSecurity PodSecurityPosture
}

// MeshPosture is the mesh's part of a posture.
type MeshPosture struct {
	MTLS MTLSMode
	// Authorization tells that default deny and the allows of the flows are written.
	Authorization bool
	// SidecarScope tells that Istio proxies are scoped to the declared flows.
	SidecarScope bool
}

// NetworkPosture is the network's part of a posture.
type NetworkPosture struct {
	// DefaultDeny tells that NetworkPolicies are written at all.
	DefaultDeny bool
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
