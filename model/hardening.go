package model

import (
	corev1 "k8s.io/api/core/v1"
)

// Hardening are the defaults that a profile has for pods that do not say. A part that is nil gives none.
type Hardening struct {
	SecurityContext *SecurityContextDefaults
	Workload        *WorkloadDefaults
}

// Empty tells that nothing is given.
func (h Hardening) Empty() bool { return h.SecurityContext == nil && h.Workload == nil }

// SecurityContextDefaults are for the security contexts of pods and containers.
type SecurityContextDefaults struct {
	RunAsNonRoot bool
	// RunAsUser, RunAsGroup and FSGroup are IDs from 1 on; 0 gives none.
	RunAsUser, RunAsGroup, FSGroup int64
	ReadOnlyRootFilesystem         bool
	// WritablePaths are absolute paths, mounted as emptyDir where the root file system is read-only.
	WritablePaths []string
	// AllowedCapabilities may be added by a container, written as in its security context: "NET_BIND_SERVICE".
	AllowedCapabilities []string
	Seccomp             LocalProfile
	// AppArmor gives none where its Type is empty.
	AppArmor LocalProfile
	// SELinuxType is empty where none is given.
	SELinuxType string
}

// LocalProfile is a seccomp or AppArmor profile.
type LocalProfile struct {
	// Type is "RuntimeDefault" or "Localhost".
	Type string
	// Name is that of a profile on the nodes, for Localhost.
	Name string
}

// WorkloadDefaults are for everything else of a pod.
type WorkloadDefaults struct {
	// NoToken has the token of the service account not mounted.
	NoToken           bool
	Resources         corev1.ResourceRequirements
	PriorityClassName string
	// SecretVolumes gives volumes of Secrets the mode 0400 and read-only mounts.
	SecretVolumes bool
	// PullMovingTags has images whose tag moves pulled always.
	PullMovingTags bool
	// Spread gives topology spread constraints over nodes and zones, AntiAffinity a preference for different nodes.
	Spread, AntiAffinity bool
	// DNSPolicy and DNSConfig give none where they are empty.
	DNSPolicy corev1.DNSPolicy
	DNSConfig *corev1.PodDNSConfig
}
