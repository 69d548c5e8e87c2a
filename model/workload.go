package model

import (
	"cmp"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// WorkloadID names a workload: the controller that a person wrote (Deployment,
// CronJob, …), or the bare Pod. Replicas are one workload.
type WorkloadID struct {
	Namespace string `json:"namespace"`
	Kind      string `json:"kind"`
	Name      string `json:"name"`
}

// String is how a person reads it: "Deployment shop/frontend".
func (id WorkloadID) String() string { return id.Kind + " " + id.Namespace + "/" + id.Name }

// CompareWorkloadIDs orders by namespace, name and kind.
func CompareWorkloadIDs(a, b WorkloadID) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
}

// Workload is a set of equal pods. cluster fills what the manifest says, with
// the defaults of the API server; intent adds Services, Facts and Relaxed.
type Workload struct {
	ID WorkloadID
	// Owner is the workload that a Pod runs for, where it is one of Model.Pods.
	Owner WorkloadID
	// APIVersion of the object, for references in findings.
	APIVersion string
	// Labels and Annotations are those of the pods.
	Labels, Annotations map[string]string
	// Selector is what the controller selects its pods by; it tells this
	// workload's pods from all others of the namespace. For a bare Pod and for
	// Job and CronJob it is their pod labels.
	Selector metav1.LabelSelector
	// NamespaceLabels and NamespaceAnnotations are those of the home namespace.
	NamespaceLabels, NamespaceAnnotations map[string]string
	// ServiceAccount is never empty: "default" where the manifest names none.
	ServiceAccount string
	// Spec is the pod that would run, defaulted.
	Spec corev1.PodSpec
	// Replicas is the declared count; 1 where the kind has none.
	Replicas int32
	// Addresses are those of the pod, where it is one and they are known.
	Addresses []netip.Addr
	// Running tells that this is a real Pod (already admitted, injected or not), not a template.
	Running bool
	// Health is what the cluster says of it; nil where no status was read.
	Health *Health
	Source Source

	// Services are those that select these pods.
	Services []*Service
	// Facts is what the mesh makes of the workload.
	Facts Facts
	// Relaxed are the exemptions in force for it, at the time of the Model.
	Relaxed []Relaxation
}

// Health is the status of a workload, or of a pod, in pods.
type Health struct {
	// Desired should be there; for a DaemonSet, as many as nodes take one. Ready take traffic.
	Desired, Ready int32
}

// Ref names the workload's object.
func (w *Workload) Ref() Ref {
	return Ref{APIVersion: w.APIVersion, Kind: w.ID.Kind, Namespace: w.ID.Namespace, Name: w.ID.Name}
}

// TemplatePath is the path of the pod in the workload's object, with a dot at its end: "spec.template.", and empty for a Pod itself.
func (w *Workload) TemplatePath() string {
	switch w.ID.Kind {
	case "Pod":
		return ""
	case "CronJob":
		return "spec.jobTemplate.spec.template."
	default:
		return "spec.template."
	}
}

// ContainerPorts lists the declared ports of all containers (sidecars among
// the init containers included), sorted and without duplicates.
func (w *Workload) ContainerPorts() []NamedPort {
	var ports []NamedPort
	each := func(containers []corev1.Container) {
		for i := range containers {
			for _, p := range containers[i].Ports {
				ports = append(ports, NamedPort{Name: p.Name, Port: Port{Protocol: ProtocolOr(p.Protocol), Number: p.ContainerPort}})
			}
		}
	}
	for i := range w.Spec.InitContainers {
		if IsSidecar(&w.Spec.InitContainers[i]) {
			each(w.Spec.InitContainers[i : i+1])
		}
	}
	each(w.Spec.Containers)
	return compactNamedPorts(ports)
}

// PortNamed is the number that the containers give to a name, or 0. Where they
// share one, the first has it, as the API server and kubelets find it
// (k8s.io/kubernetes pkg/api/v1/pod, FindPort).
func (w *Workload) PortNamed(name string, protocol corev1.Protocol) int32 {
	in := func(c *corev1.Container) int32 {
		for _, p := range c.Ports {
			if p.Name == name && ProtocolOr(p.Protocol) == protocol {
				return p.ContainerPort
			}
		}
		return 0
	}
	for i := range w.Spec.Containers {
		if number := in(&w.Spec.Containers[i]); number != 0 {
			return number
		}
	}
	for i := range w.Spec.InitContainers {
		if number := in(&w.Spec.InitContainers[i]); number != 0 && IsSidecar(&w.Spec.InitContainers[i]) {
			return number
		}
	}
	return 0
}

// IsSidecar tells whether an init container goes on running beside the others.
func IsSidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// Service is a Service as far as flows and meshes care.
type Service struct {
	Namespace, Name     string
	Labels, Annotations map[string]string
	Selector            map[string]string
	Type                corev1.ServiceType
	// ClusterIPs as declared; "None" marks a headless Service.
	ClusterIPs []string
	Ports      []corev1.ServicePort
	Source     Source
}

// Namespace is a namespace that exists: its object was read, or something in it was.
type Namespace struct {
	Name string
	// Labels include kubernetes.io/metadata.name.
	Labels, Annotations map[string]string
	// Declared tells that the Namespace object itself was read.
	Declared bool
	Source   Source
	// Posture is nil where no profile governs the namespace.
	Posture *Posture
	// Contested are the profiles of one priority that select the namespace, so that none governs it; nil where there are none.
	Contested []string
}

// Ref names the namespace's object.
func (n *Namespace) Ref() Ref { return Ref{APIVersion: "v1", Kind: "Namespace", Name: n.Name} }

// TargetPort is the port of a workload that a port of a Service leads to; ok is
// false where it is a name that no container gives to a port.
func TargetPort(w *Workload, p *corev1.ServicePort) (port Port, ok bool) {
	protocol := ProtocolOr(p.Protocol)
	switch {
	case p.TargetPort.Type == intstr.String:
		number := w.PortNamed(p.TargetPort.StrVal, protocol)
		return Port{Protocol: protocol, Number: number}, number != 0
	case p.TargetPort.IntVal != 0:
		return Port{Protocol: protocol, Number: p.TargetPort.IntVal}, true
	default:
		return Port{Protocol: protocol, Number: p.Port}, true
	}
}
