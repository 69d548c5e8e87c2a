package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// TrafficRuleSpec says who may call which workloads of the rule's namespace, and on which ports. It opens both sides: the
// servers' ingress and mesh authorization, and the clients' egress.
// +kubebuilder:validation:XValidation:rule="has(self.ports) || self.from.all(client, has(client.preset) && client.preset != 'IngressGateway')",message="may be left out only where every client is the preset APIServer, Kubelet or Prometheus, whose ports are known from the workloads",fieldPath=".ports"
// +kubebuilder:validation:XValidation:rule="!has(self.http) || self.from.all(client, has(client.pods) || (has(client.preset) && client.preset == 'IngressGateway'))",message="goes with clients that are pods or ingress gateways",fieldPath=".http"
type TrafficRuleSpec struct {
	// to chooses the servers by their pod labels; an empty selector means every workload of the namespace.
	// +required
	To metav1.LabelSelector `json:"to"`

	// from lists the clients. An empty list is refused: it would not mean "nobody" to every reader.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	From []Client `json:"from"`

	// ports are those on which the servers' containers listen (the targetPort of a Service, not its port), by number or by the
	// name that the container gives them.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Ports []RulePort `json:"ports,omitempty"`

	// http limits the rule to some HTTP requests. It needs a mesh that can hold it: elsewhere the flow stays closed and a
	// problem says so.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	HTTP []HTTPRequests `json:"http,omitempty"`
}

// ClientPreset names a client that every cluster has.
// +kubebuilder:validation:Enum=IngressGateway;Prometheus;APIServer;Kubelet
type ClientPreset string

// The presets of clients.
const (
	// PresetIngressGateway is the cluster's ingress controllers and gateways.
	PresetIngressGateway ClientPreset = "IngressGateway"
	// PresetPrometheus is whatever scrapes metrics.
	PresetPrometheus ClientPreset = "Prometheus"
	// PresetAPIServer is the API server, calling webhooks and aggregated APIs.
	PresetAPIServer ClientPreset = "APIServer"
	// PresetKubelet is the kubelet, probing.
	PresetKubelet ClientPreset = "Kubelet"
)

// Client is one kind of client; exactly one of its fields is set.
// +kubebuilder:validation:XValidation:rule="(has(self.pods) ? 1 : 0) + (has(self.preset) ? 1 : 0) + (has(self.cidr) ? 1 : 0) == 1",message="exactly one of pods, preset and cidr must be set"
// +kubebuilder:validation:XValidation:rule="!has(self.except) || has(self.cidr)",message="goes with cidr",fieldPath=".except"
type Client struct {
	// pods are clients in the cluster.
	// +optional
	Pods *PodPeer `json:"pods,omitempty"`

	// preset is a client that every cluster has.
	// +optional
	Preset ClientPreset `json:"preset,omitempty"`

	// cidr is a range of addresses outside the cluster.
	// +optional
	CIDR CIDR `json:"cidr,omitempty"`

	// except leaves parts of cidr out.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	Except []CIDR `json:"except,omitempty"`
}

// CIDR is a range of IPv4 or IPv6 addresses, "192.0.2.0/24" or "2001:db8::/32".
// +kubebuilder:validation:MaxLength=49
// +kubebuilder:validation:XValidation:rule="isCIDR(self)",message="must be a CIDR such as 192.0.2.0/24 or 2001:db8::/32"
type CIDR string

// RulePort is a port or a range of ports.
// +kubebuilder:validation:XValidation:rule="!has(self.endPort) || type(self.port) == int",message="goes with a port number, not with a name",fieldPath=".endPort"
// +kubebuilder:validation:XValidation:rule="!has(self.endPort) || type(self.port) != int || self.endPort >= self.port",message="must not be below port",fieldPath=".endPort"
// +kubebuilder:validation:XValidation:rule="type(self.port) != int || (self.port >= 1 && self.port <= 65535)",message="must be from 1 to 65535",fieldPath=".port"
type RulePort struct {
	// port is a number from 1 to 65535, or the name of a container port: at most 15 lower-case letters, digits and dashes, one
	// letter among them.
	// +required
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=15
	// +kubebuilder:validation:Pattern=`^([0-9][0-9-]*)?[a-z]([a-z0-9-]*[a-z0-9])?$`
	Port intstr.IntOrString `json:"port"`

	// endPort closes a range that begins with port.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	EndPort *int32 `json:"endPort,omitempty"`

	// protocol is TCP (default), UDP or SCTP. Only TCP can be protected by a mesh.
	// +optional
	// +kubebuilder:default=TCP
	// +kubebuilder:validation:Enum=TCP;UDP;SCTP
	Protocol corev1.Protocol `json:"protocol,omitempty"`
}

// HTTPRequests chooses HTTP requests.
// +kubebuilder:validation:XValidation:rule="has(self.methods) || has(self.paths)",message="methods or paths must be set"
type HTTPRequests struct {
	// methods in upper case; without them any method is meant.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=16
	// +kubebuilder:validation:items:Pattern=`^[A-Z]+$`
	Methods []string `json:"methods,omitempty"`

	// paths are matched exactly, or as a prefix where they end in "*"; without them any path is meant.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=1024
	// +kubebuilder:validation:items:Pattern=`^/[^*]*\*?$`
	Paths []string `json:"paths,omitempty"`
}

// RuleStatus is what became of a TrafficRule, an ExternalAccess or an Exemption.
type RuleStatus struct {
	// observedGeneration is the generation of the spec that the status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions: Ready.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// TrafficRule says who may call which workloads of its namespace.
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,shortName=tr,categories=palisade
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Ports",type=string,JSONPath=`.spec.ports[*].port`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type TrafficRule struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is what is wanted.
	// +required
	Spec TrafficRuleSpec `json:"spec"`

	// status is what became of it.
	// +optional
	Status RuleStatus `json:"status,omitzero"`
}

// TrafficRuleList is a list of TrafficRules.
// +kubebuilder:object:root=true
type TrafficRuleList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []TrafficRule `json:"items"`
}
