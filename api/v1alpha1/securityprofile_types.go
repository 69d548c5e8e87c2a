package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Enforcement tells whether a profile acts or only looks.
// +kubebuilder:validation:Enum=Observe;Enforce
type Enforcement string

// The enforcements.
const (
	// EnforcementObserve reports what would be written and writes nothing.
	EnforcementObserve Enforcement = "Observe"
	// EnforcementEnforce writes.
	EnforcementEnforce Enforcement = "Enforce"
)

// SecurityProfileSpec says which namespaces a profile governs, and the posture that it wants of them.
type SecurityProfileSpec struct {
	// priority decides between profiles that select the same namespace: the highest governs. Equal priorities are a
	// conflict: the namespace is then governed by none of them until it is resolved.
	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=-1000000
	// +kubebuilder:validation:Maximum=1000000
	Priority int32 `json:"priority"`

	// namespaceSelector chooses namespaces by their labels; kubernetes.io/metadata.name is the label that every namespace
	// has. An empty selector means every namespace but the system's own: kube-system, kube-public, kube-node-lease,
	// palisade's and the mesh's control plane are governed only where a profile names them by kubernetes.io/metadata.name.
	// +required
	NamespaceSelector metav1.LabelSelector `json:"namespaceSelector"`

	// enforcement is Observe (report what would be written, write nothing) or Enforce.
	// +optional
	// +kubebuilder:default=Enforce
	Enforcement Enforcement `json:"enforcement,omitempty"`

	// mesh is what is wanted of the service mesh.
	// +optional
	// +kubebuilder:default={}
	Mesh MeshPolicy `json:"mesh,omitempty"`

	// network is what is wanted of NetworkPolicies. Default deny, both ways, is part of every profile.
	// +optional
	// +kubebuilder:default={}
	Network NetworkPolicyTemplate `json:"network,omitempty"`

	// podSecurity sets the Pod Security labels of the namespaces.
	// +optional
	// +kubebuilder:default={}
	PodSecurity PodSecurityProfile `json:"podSecurity,omitempty"`

	// securityContext holds the defaults that pods without a securityContext are given at admission.
	// +optional
	SecurityContext *SecurityContextConfig `json:"securityContext,omitempty"`

	// workload holds further defaults and demands for pods and their controllers.
	// +optional
	Workload *WorkloadPolicy `json:"workload,omitempty"`

	// rollout says how fast and under which conditions namespaces are taken to this posture.
	// +optional
	Rollout *RolloutPolicy `json:"rollout,omitempty"`
}

// MTLSMode is what servers demand of their clients.
// +kubebuilder:validation:Enum=Strict;Permissive;Unmanaged
type MTLSMode string

// The modes of mutual TLS.
const (
	// MTLSStrict refuses clients without a mesh identity.
	MTLSStrict MTLSMode = "Strict"
	// MTLSPermissive takes mTLS and plaintext.
	MTLSPermissive MTLSMode = "Permissive"
	// MTLSUnmanaged leaves the mesh's own setting alone.
	MTLSUnmanaged MTLSMode = "Unmanaged"
)

// Switch turns something on or off by name.
// +kubebuilder:validation:Enum=Enabled;Disabled
type Switch string

// The positions of a switch.
const (
	Enabled  Switch = "Enabled"
	Disabled Switch = "Disabled"
)

// MeshPolicy is what a profile wants of the service mesh. Where no mesh is in use it has no effect, and a finding says so.
type MeshPolicy struct {
	// mtls is Strict (default), Permissive, or Unmanaged.
	// +optional
	// +kubebuilder:default=Strict
	MTLS MTLSMode `json:"mtls,omitempty"`

	// authorization writes a default deny and an allow for each flow into the mesh, with full identities.
	// +optional
	// +kubebuilder:default=Enabled
	Authorization Switch `json:"authorization,omitempty"`

	// sidecarScope limits what each Istio sidecar is told to the Services that its namespace's flows name.
	// +optional
	// +kubebuilder:default=Enabled
	SidecarScope Switch `json:"sidecarScope,omitempty"`
}

// NetworkPolicyTemplate is the part of a profile that becomes NetworkPolicies in every governed namespace. Default deny for ingress and
// egress and DNS to the cluster's resolver are always part of it.
type NetworkPolicyTemplate struct {
	// intraNamespace opens every declared port between the workloads of a namespace. Disabled by default.
	// +optional
	// +kubebuilder:default=Disabled
	IntraNamespace Switch `json:"intraNamespace,omitempty"`

	// kubeletProbes opens the ports of declared probes to the nodes. Enabled by default.
	// +optional
	// +kubebuilder:default=Enabled
	KubeletProbes Switch `json:"kubeletProbes,omitempty"`

	// apiServerWebhooks opens the ports that webhook configurations name to the API server. Enabled by default.
	// +optional
	// +kubebuilder:default=Enabled
	APIServerWebhooks Switch `json:"apiServerWebhooks,omitempty"`

	// metricsScrapes opens the ports that pods announce by the annotations prometheus.io/scrape and prometheus.io/port, and those of
	// their proxies, to Prometheus. Disabled by default: a metrics port is then opened by a TrafficRule only.
	// +optional
	// +kubebuilder:default=Disabled
	MetricsScrapes Switch `json:"metricsScrapes,omitempty"`

	// tiers opens each tier of a namespace to the tier before it, and to nothing else.
	// +optional
	Tiers *Tiers `json:"tiers,omitempty"`

	// ingressGateways says what the preset IngressGateway means. Without it, gateways are found by their well-known labels.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	IngressGateways []PodPeer `json:"ingressGateways,omitempty"`

	// prometheus says what the preset Prometheus means. Without it, Prometheus is found by its well-known labels.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Prometheus []PodPeer `json:"prometheus,omitempty"`

	// verifiers are pods that open connections to prove that mutual TLS holds, such as palisade's own. The NetworkPolicies let them reach
	// every TCP port of the namespace; the mesh lets them in no further. Without them nothing behind a default deny can be verified.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Verifiers []PodPeer `json:"verifiers,omitempty"`
}

// Tiers orders the workloads of a namespace: the first tier may call the second, the second the third, and so on, on the
// ports that the servers declare.
type Tiers struct {
	// labelKey is the pod label whose value names the tier.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=316
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`
	LabelKey string `json:"labelKey"`

	// order lists the values of the label from the outermost tier inwards, for example web, app, data.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=2
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`
	// +kubebuilder:validation:XValidation:rule="self.all(tier, self.exists_one(other, other == tier))",message="a tier may be named only once"
	Order []string `json:"order"`
}

// PodPeer finds pods by the labels of their namespace and their own.
// +kubebuilder:validation:XValidation:rule="!(has(self.namespace) && has(self.namespaceSelector))",message="namespace and namespaceSelector exclude each other"
type PodPeer struct {
	// namespace names one namespace. Without it and without namespaceSelector, the rule's own namespace is meant.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace,omitempty"`

	// namespaceSelector chooses namespaces by label; an empty selector means every namespace.
	// +optional
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`

	// podSelector chooses pods by label; without it all pods of the namespaces are meant.
	// +optional
	PodSelector *metav1.LabelSelector `json:"podSelector,omitempty"`
}

// PodSecurityLevel is a level of the Pod Security Standards.
// +kubebuilder:validation:Enum=privileged;baseline;restricted
type PodSecurityLevel string

// The levels of the Pod Security Standards.
const (
	LevelPrivileged PodSecurityLevel = "privileged"
	LevelBaseline   PodSecurityLevel = "baseline"
	LevelRestricted PodSecurityLevel = "restricted"
)

// PodSecurityVersion pins a level to the checks of a Kubernetes release.
// +kubebuilder:validation:Pattern=`^(latest|v1\.(0|[1-9][0-9]{0,3}))$`
// +kubebuilder:validation:MaxLength=16
type PodSecurityVersion string

// PodSecurityProfile sets the labels of Pod Security admission.
// +kubebuilder:validation:XValidation:rule="!has(self.audit) || !has(self.enforce) || {'privileged': 0, 'baseline': 1, 'restricted': 2}[self.audit] >= {'privileged': 0, 'baseline': 1, 'restricted': 2}[self.enforce]",message="must not be below enforce",fieldPath=".audit"
// +kubebuilder:validation:XValidation:rule="!has(self.warn) || !has(self.enforce) || {'privileged': 0, 'baseline': 1, 'restricted': 2}[self.warn] >= {'privileged': 0, 'baseline': 1, 'restricted': 2}[self.enforce]",message="must not be below enforce",fieldPath=".warn"
type PodSecurityProfile struct {
	// enforce is the level below which pods are refused.
	// +optional
	// +kubebuilder:default=baseline
	Enforce PodSecurityLevel `json:"enforce,omitempty"`

	// audit is the level below which pods are noted in the audit log.
	// +optional
	// +kubebuilder:default=restricted
	Audit PodSecurityLevel `json:"audit,omitempty"`

	// warn is the level below which whoever creates a pod is warned.
	// +optional
	// +kubebuilder:default=restricted
	Warn PodSecurityLevel `json:"warn,omitempty"`

	// version pins all three levels to the checks of one Kubernetes release, "v1.37", or follows with "latest".
	// +optional
	// +kubebuilder:default=latest
	Version PodSecurityVersion `json:"version,omitempty"`
}

// SecurityContextConfig holds the defaults that pods without a securityContext are given at admission.
type SecurityContextConfig struct {
	// runAsNonRoot demands a user other than root.
	// +optional
	// +kubebuilder:default=true
	RunAsNonRoot *bool `json:"runAsNonRoot,omitempty"`

	// runAsUser is the user ID given to pods that name none.
	// +optional
	// +kubebuilder:default=1000
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4294967294
	RunAsUser *int64 `json:"runAsUser,omitempty"`

	// runAsGroup is the group ID given to pods that name none.
	// +optional
	// +kubebuilder:default=1000
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4294967294
	RunAsGroup *int64 `json:"runAsGroup,omitempty"`

	// fsGroup is the group that owns the volumes of pods that name none.
	// +optional
	// +kubebuilder:default=1000
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4294967294
	FSGroup *int64 `json:"fsGroup,omitempty"`

	// readOnlyRootFilesystem mounts the root file system read-only.
	// +optional
	// +kubebuilder:default=true
	ReadOnlyRootFilesystem *bool `json:"readOnlyRootFilesystem,omitempty"`

	// writablePaths are mounted as emptyDir volumes where the root file system is read-only.
	// +optional
	// +listType=set
	// +kubebuilder:default={"/tmp"}
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=256
	// +kubebuilder:validation:items:Pattern=`^(/[A-Za-z0-9._-]+)+$`
	// +kubebuilder:validation:XValidation:rule="self.all(path, !path.split('/').exists(part, part == '..' || part == '.'))",message="a path must not contain . or .. parts"
	// +kubebuilder:validation:XValidation:rule="self.all(path, !['/proc', '/sys', '/dev', '/etc', '/run', '/var/run', '/bin', '/sbin', '/lib', '/usr'].exists(system, path == system || path.startsWith(system + '/')))",message="system directories cannot be made writable"
	WritablePaths []string `json:"writablePaths,omitempty"`

	// allowedCapabilities may be added back by a container; all others are dropped.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=64
	// +kubebuilder:validation:items:Pattern=`^[A-Z][A-Z_]*$`
	// +kubebuilder:validation:XValidation:rule="self.all(capability, !(capability in ['ALL', 'SYS_ADMIN', 'NET_ADMIN', 'SYS_MODULE', 'SYS_PTRACE']))",message="ALL, SYS_ADMIN, NET_ADMIN, SYS_MODULE and SYS_PTRACE cannot be allowed"
	AllowedCapabilities []string `json:"allowedCapabilities,omitempty"`

	// seccompProfile is RuntimeDefault, or Localhost with a profile's name.
	// +optional
	SeccompProfile *LocalProfile `json:"seccompProfile,omitempty"`

	// appArmorProfile is RuntimeDefault, or Localhost with a profile's name. No default is set without it.
	// +optional
	AppArmorProfile *LocalProfile `json:"appArmorProfile,omitempty"`

	// seLinuxType is given to pods that name none; no default is set without it.
	// +optional
	// +kubebuilder:validation:Enum=container_t;container_init_t;container_kvm_t;container_engine_t
	SELinuxType string `json:"seLinuxType,omitempty"`
}

// LocalProfile names a seccomp or AppArmor profile. Unconfined is not among the choices.
// +kubebuilder:validation:XValidation:rule="(self.type == 'Localhost') == has(self.localhostProfile)",message="goes with type Localhost, and only with it",fieldPath=".localhostProfile"
type LocalProfile struct {
	// type is RuntimeDefault or Localhost.
	// +required
	// +kubebuilder:validation:Enum=RuntimeDefault;Localhost
	Type string `json:"type"`

	// localhostProfile names a profile that the nodes have.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	LocalhostProfile string `json:"localhostProfile,omitempty"`
}

// WorkloadPolicy holds further defaults and demands for pods and their controllers.
// +kubebuilder:validation:XValidation:rule="!has(self.dnsPolicy) || self.dnsPolicy != 'None' || has(self.dnsConfig) && has(self.dnsConfig.nameservers) && self.dnsConfig.nameservers.size() > 0",message="None needs nameservers in dnsConfig",fieldPath=".dnsPolicy"
type WorkloadPolicy struct {
	// automountServiceAccountToken is the default for pods that do not say.
	// +optional
	// +kubebuilder:default=false
	AutomountServiceAccountToken *bool `json:"automountServiceAccountToken,omitempty"`

	// resources are the requests and limits given to containers that have none.
	// +optional
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`

	// priorityClassName is given to pods that name none.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('system-')",message="system priority classes are for the system"
	PriorityClassName string `json:"priorityClassName,omitempty"`

	// secretVolumes gives volumes of Secrets the mode 0400, and mounts them read-only, where pods do not say. Enabled by default.
	// +optional
	// +kubebuilder:default=Enabled
	SecretVolumes Switch `json:"secretVolumes,omitempty"`

	// pullMovingTags gives the imagePullPolicy Always to images of no tag, or of one that is moved by custom (latest, main, stable).
	// Enabled by default.
	// +optional
	// +kubebuilder:default=Enabled
	PullMovingTags Switch `json:"pullMovingTags,omitempty"`

	// dnsPolicy is given to pods that name none, or only the default.
	// +optional
	// +kubebuilder:validation:Enum=ClusterFirst;ClusterFirstWithHostNet;Default;None
	DNSPolicy corev1.DNSPolicy `json:"dnsPolicy,omitempty"`

	// dnsConfig is given to pods that have none.
	// +optional
	DNSConfig *corev1.PodDNSConfig `json:"dnsConfig,omitempty"`

	// antiAffinity prefers different nodes for the replicas of pods that have no anti-affinity. Disabled by default.
	// +optional
	// +kubebuilder:default=Disabled
	AntiAffinity Switch `json:"antiAffinity,omitempty"`

	// disruptionBudgets writes a PodDisruptionBudget for each workload that has replicas to spare.
	// +optional
	// +kubebuilder:default=Disabled
	DisruptionBudgets Switch `json:"disruptionBudgets,omitempty"`

	// spread gives pods topology spread constraints over nodes and zones where they have none.
	// +optional
	// +kubebuilder:default=Disabled
	Spread Switch `json:"spread,omitempty"`

	// allowedRegistries limits where images come from; empty means anywhere.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	AllowedRegistries []string `json:"allowedRegistries,omitempty"`
}

// RolloutPolicy says how fast and under which conditions namespaces are taken to the posture.
type RolloutPolicy struct {
	// maxNamespaces is how many namespaces may be on their way to a further stage at once.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MaxNamespaces int32 `json:"maxNamespaces,omitempty"`

	// soak is how long a namespace stays in a stage, without a fault, before the next: "90s", "10m" or "1h30m".
	// +optional
	// +kubebuilder:default="10m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]{1,5}(ms|s|m|h)){1,4}$`
	Soak metav1.Duration `json:"soak,omitempty"`

	// maxFailed is how many namespaces may stand stepped back, or stuck, before no other goes on.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MaxFailed int32 `json:"maxFailed,omitempty"`

	// paused keeps every namespace from going on to a further stage; the way back stays open.
	// +optional
	Paused bool `json:"paused,omitempty"`

	// verification is Required (default): traffic is refused only after everything that is there was seen to hold on the
	// wire. Optional goes on without; a verification that failed still holds, and takes a step back.
	// +optional
	// +kubebuilder:default=Required
	Verification Verification `json:"verification,omitempty"`
}

// Verification says whether a rollout waits for proof on the wire.
// +kubebuilder:validation:Enum=Required;Optional
type Verification string

// What a rollout may demand.
const (
	VerificationRequired Verification = "Required"
	VerificationOptional Verification = "Optional"
)

// SecurityProfileStatus is what became of a profile.
type SecurityProfileStatus struct {
	// observedGeneration is the generation of the spec that the status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions: Ready and Conflict.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// namespaces counts those that the profile governs.
	// +optional
	Namespaces int32 `json:"namespaces,omitempty"`
}

// SecurityProfile says which namespaces are governed and what posture they shall have.
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=secprof,categories=palisade
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Priority",type=integer,JSONPath=`.spec.priority`
// +kubebuilder:printcolumn:name="Enforcement",type=string,JSONPath=`.spec.enforcement`
// +kubebuilder:printcolumn:name="mTLS",type=string,JSONPath=`.spec.mesh.mtls`
// +kubebuilder:printcolumn:name="Pod Security",type=string,JSONPath=`.spec.podSecurity.enforce`
// +kubebuilder:printcolumn:name="Namespaces",type=integer,JSONPath=`.status.namespaces`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type SecurityProfile struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is what is wanted.
	// +required
	Spec SecurityProfileSpec `json:"spec"`

	// status is what became of it.
	// +optional
	Status SecurityProfileStatus `json:"status,omitzero"`
}

// SecurityProfileList is a list of SecurityProfiles.
// +kubebuilder:object:root=true
type SecurityProfileList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []SecurityProfile `json:"items"`
}
