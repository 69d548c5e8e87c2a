package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// FindingCount counts findings of one severity.
type FindingCount struct {
	// severity is info, warning or error.
	// +required
	// +kubebuilder:validation:Enum=info;warning;error
	Severity string `json:"severity"`

	// count is how many there are.
	// +required
	// +kubebuilder:validation:Minimum=0
	Count int32 `json:"count"`
}

// FindingSummary is one finding, in short.
type FindingSummary struct {
	// code names the kind of finding; its page is docs/findings/<code>.md.
	// +required
	// +kubebuilder:validation:MaxLength=64
	Code string `json:"code"`

	// severity is info, warning or error.
	// +required
	// +kubebuilder:validation:Enum=info;warning;error
	Severity string `json:"severity"`

	// subject is the object at fault, "Deployment shop/frontend".
	// +required
	// +kubebuilder:validation:MaxLength=512
	Subject string `json:"subject"`

	// message says what is wrong and what follows from it.
	// +required
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message"`
}

// OwnedObject names an object that palisade owns.
type OwnedObject struct {
	// apiVersion of the object.
	// +required
	// +kubebuilder:validation:MaxLength=253
	APIVersion string `json:"apiVersion"`

	// kind of the object.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind"`

	// name of the object.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// NamespacePostureStatus is what a namespace's posture is now. It is bounded: counts, and the worst few.
type NamespacePostureStatus struct {
	// observedGeneration is the generation of the governing profile that the status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// profile governs the namespace; empty where none does.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Profile string `json:"profile,omitempty"`

	// mesh is istio or linkerd, empty where there is none.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Mesh string `json:"mesh,omitempty"`

	// modes counts the workloads by the way they take part in the mesh.
	// +optional
	// +listType=map
	// +listMapKey=mode
	// +kubebuilder:validation:MaxItems=8
	Modes []ModeCount `json:"modes,omitempty"`

	// stage of the rollout: the least of the stages of its layers.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Stage string `json:"stage,omitempty"`

	// rollout tells how far each layer is, and what it waits for; missing where nothing was ever written.
	// +optional
	Rollout *RolloutStatus `json:"rollout,omitempty"`

	// findings counts the findings by severity.
	// +optional
	// +listType=map
	// +listMapKey=severity
	// +kubebuilder:validation:MaxItems=3
	Findings []FindingCount `json:"findings,omitempty"`

	// worst holds the gravest few findings.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	Worst []FindingSummary `json:"worst,omitempty"`

	// inventory lists the objects that palisade owns in the namespace.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Inventory []OwnedObject `json:"inventory,omitempty"`

	// conditions: Ready.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ModeCount counts workloads of one mode.
type ModeCount struct {
	// mode is sidecar, ambient, proxyless, linkerd, or none.
	// +required
	// +kubebuilder:validation:Enum=sidecar;ambient;proxyless;linkerd;none
	Mode string `json:"mode"`

	// count is how many workloads there are.
	// +required
	// +kubebuilder:validation:Minimum=0
	Count int32 `json:"count"`
}

// NamespacePosture tells how its namespace stands. palisade writes it; nobody else need.
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,shortName=posture,categories=palisade
// +kubebuilder:subresource:status
// +kubebuilder:validation:XValidation:rule="self.metadata.name == 'posture'",message="there is one NamespacePosture a namespace, and its name is posture"
// +kubebuilder:printcolumn:name="Profile",type=string,JSONPath=`.status.profile`
// +kubebuilder:printcolumn:name="Mesh",type=string,JSONPath=`.status.mesh`
// +kubebuilder:printcolumn:name="Stage",type=string,JSONPath=`.status.stage`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type NamespacePosture struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// status is how the namespace stands.
	// +optional
	Status NamespacePostureStatus `json:"status,omitzero"`
}

// NamespacePostureList is a list of NamespacePostures.
// +kubebuilder:object:root=true
type NamespacePostureList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []NamespacePosture `json:"items"`
}

// VerificationResult is what a verification of one port came to.
// +kubebuilder:validation:Enum=Pass;Fail;Inconclusive
type VerificationResult string

// The results of a verification.
const (
	VerificationPass         VerificationResult = "Pass"
	VerificationFail         VerificationResult = "Fail"
	VerificationInconclusive VerificationResult = "Inconclusive"
)

// PortVerification is what was expected of a port, and what was seen.
type PortVerification struct {
	// workload is "Deployment/frontend".
	// +required
	// +kubebuilder:validation:MaxLength=320
	Workload string `json:"workload"`

	// port of the workload.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port"`

	// expected is what the intent demands: strict, permissive or plaintext.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Expected string `json:"expected"`

	// observed is what the handshakes showed.
	// +required
	// +kubebuilder:validation:MaxLength=256
	Observed string `json:"observed"`

	// result is Pass, Fail or Inconclusive.
	// +required
	Result VerificationResult `json:"result"`

	// certificate is the leaf that the port showed.
	// +optional
	Certificate *CertificateSummary `json:"certificate,omitempty"`
}

// CertificateSummary tells of one leaf certificate.
type CertificateSummary struct {
	// serial in hexadecimal.
	// +required
	// +kubebuilder:validation:MaxLength=64
	Serial string `json:"serial"`

	// issuer is the distinguished name of the issuer.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Issuer string `json:"issuer,omitempty"`

	// notAfter is when it expires.
	// +required
	NotAfter metav1.Time `json:"notAfter"`

	// lastRotation is when the serial was last seen to change.
	// +optional
	LastRotation *metav1.Time `json:"lastRotation,omitempty"`

	// nextRotation is when the next one is due.
	// +optional
	NextRotation *metav1.Time `json:"nextRotation,omitempty"`
}

// MTLSReportStatus is the last verification of a namespace.
type MTLSReportStatus struct {
	// began is when its first probe went out: it tells of nothing that was written later.
	// +optional
	Began *metav1.Time `json:"began,omitempty"`

	// time is when the verification ended.
	// +optional
	Time *metav1.Time `json:"time,omitempty"`

	// passed, failed and inconclusive count ports.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Passed int32 `json:"passed,omitempty"`

	// failed counts ports that did not hold what was expected.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Failed int32 `json:"failed,omitempty"`

	// inconclusive counts ports that could not be judged.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Inconclusive int32 `json:"inconclusive,omitempty"`

	// ports holds the failed ones first; what does not fit is in the full report.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Ports []PortVerification `json:"ports,omitempty"`

	// conditions: Verified.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// MTLSReport is the last verification of its namespace on the wire. palisade writes it; nobody else need.
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,shortName=mtlsr,categories=palisade
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Passed",type=integer,JSONPath=`.status.passed`
// +kubebuilder:printcolumn:name="Failed",type=integer,JSONPath=`.status.failed`
// +kubebuilder:printcolumn:name="Inconclusive",type=integer,JSONPath=`.status.inconclusive`
// +kubebuilder:printcolumn:name="Time",type=date,JSONPath=`.status.time`
type MTLSReport struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// status is the last verification.
	// +optional
	Status MTLSReportStatus `json:"status,omitzero"`
}

// MTLSReportList is a list of MTLSReports.
// +kubebuilder:object:root=true
type MTLSReportList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []MTLSReport `json:"items"`
}
