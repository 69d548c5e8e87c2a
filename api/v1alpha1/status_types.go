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
// +kubebuilder:validation:Enum=Pass;Fail;Inconclusive;Unprotected;Plaintext;NotCovered
type VerificationResult string

// The results of a verification.
const (
	// VerificationPass: what was seen is what must be.
	VerificationPass VerificationResult = "Pass"
	// VerificationFail: something was seen that must not be.
	VerificationFail VerificationResult = "Fail"
	// VerificationInconclusive: something was not seen that must be, nor its contrary.
	VerificationInconclusive VerificationResult = "Inconclusive"
	// VerificationUnprotected: plaintext reaches the port, since its pods are out of the mesh's reach.
	VerificationUnprotected VerificationResult = "Unprotected"
	// VerificationPlaintext: the port is plaintext by design.
	VerificationPlaintext VerificationResult = "Plaintext"
	// VerificationNotCovered: no handshake can show anything of the port.
	VerificationNotCovered VerificationResult = "NotCovered"
)

// VerificationLight is what the verification of a namespace comes to in a word.
// +kubebuilder:validation:Enum=Green;Red;Unknown
type VerificationLight string

// The lights.
const (
	// VerificationGreen: every port that must hold was tried, and held.
	VerificationGreen VerificationLight = "Green"
	// VerificationRed: something was seen that must not be.
	VerificationRed VerificationLight = "Red"
	// VerificationUnknown: something was not seen, or there was nothing to see.
	VerificationUnknown VerificationLight = "Unknown"
)

// ConditionVerified is the condition of an MTLSReport: True is Green, False is Red. Its reasons are the lights.
const ConditionVerified = "Verified"

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

	// result is the worst of any pod: Pass, Fail, Inconclusive, Unprotected, Plaintext or NotCovered.
	// +required
	Result VerificationResult `json:"result"`

	// protocol is TCP where it is empty.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	Protocol string `json:"protocol,omitempty"`

	// pods is at how many addresses of pods the port was looked at.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Pods int32 `json:"pods,omitempty"`

	// affected is at how many of them it came to result.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Affected int32 `json:"affected,omitempty"`

	// certificate is the leaf that the port showed; of several pods, the one that expires first.
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

// CertificateCounts counts the leaf certificates of a namespace by where they stand in their life.
type CertificateCounts struct {
	// leaves is how many pods showed one.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Leaves int32 `json:"leaves,omitempty"`

	// due may be renewed at any moment.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Due int32 `json:"due,omitempty"`

	// overdue should have been renewed.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Overdue int32 `json:"overdue,omitempty"`

	// expired have ended.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Expired int32 `json:"expired,omitempty"`

	// stalled were signed by an issuer that had been replaced before.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Stalled int32 `json:"stalled,omitempty"`

	// firstExpiry is when the first of them ends.
	// +optional
	FirstExpiry *metav1.Time `json:"firstExpiry,omitempty"`
}

// VerifiedWorkloads names workloads by what they came to, as far as there is room.
type VerifiedWorkloads struct {
	// failing have a port that failed, "Deployment/cart".
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=320
	Failing []string `json:"failing,omitempty"`

	// unclear have a port that could not be judged, and none that failed.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=320
	Unclear []string `json:"unclear,omitempty"`

	// unprotected have a port that is out of the mesh's reach.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=320
	Unprotected []string `json:"unprotected,omitempty"`

	// others counts names of the three lists for which there was no room.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Others int32 `json:"others,omitempty"`
}

// MTLSReportStatus is the last verification of a namespace. It is bounded: counts, and the worst few.
type MTLSReportStatus struct {
	// started is when its first probe went out: it tells of nothing that was written later.
	// +optional
	Started *metav1.Time `json:"started,omitempty"`

	// light is Green, Red or Unknown.
	// +optional
	Light VerificationLight `json:"light,omitempty"`

	// time is when the verification ended.
	// +optional
	Time *metav1.Time `json:"time,omitempty"`

	// passed counts ports of pods that held what was expected.
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

	// unprotected counts ports out of the mesh's reach.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Unprotected int32 `json:"unprotected,omitempty"`

	// plaintext counts ports that are plaintext by design.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Plaintext int32 `json:"plaintext,omitempty"`

	// notCovered counts ports of which no handshake can show anything, such as UDP.
	// +optional
	// +kubebuilder:validation:Minimum=0
	NotCovered int32 `json:"notCovered,omitempty"`

	// workloads names those that did not pass.
	// +optional
	Workloads VerifiedWorkloads `json:"workloads,omitzero"`

	// certificates counts the leaves that were shown.
	// +optional
	Certificates CertificateCounts `json:"certificates,omitzero"`

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
// +kubebuilder:printcolumn:name="Verified",type=string,JSONPath=`.status.light`
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
