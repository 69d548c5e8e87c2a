package verify

import (
	"cmp"
	"net/netip"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// Target is one port of one pod.
type Target struct {
	Workload model.WorkloadID `json:"workload"`
	// Pod is empty where no pod of the workload is known.
	Pod string `json:"pod,omitempty"`
	// Address is that of the pod, invalid where it is not known. A pod of two families is two targets.
	Address netip.Addr `json:"address,omitzero"`
	Port    int32      `json:"port"`
	// Protocol is TCP where it is empty.
	Protocol corev1.Protocol `json:"protocol,omitempty"`
	// Undeclared tells that nothing names the port: it is tried to find out whether something listens there all the same.
	Undeclared bool `json:"undeclared,omitempty"`
}

// String is "Deployment shop/cart 8080 at 10.244.1.7 (cart-1)".
func (t *Target) String() string {
	text := t.Workload.String() + " " + t.PortText()
	if t.Address.IsValid() {
		text += " at " + t.Address.String()
	}
	if t.Pod != "" && t.Pod != t.Workload.Name {
		text += " (" + t.Pod + ")"
	}
	return text
}

// PortText is "8080", or "53/UDP".
func (t *Target) PortText() string {
	text := strconv.Itoa(int(t.Port))
	if t.Protocol != "" && t.Protocol != corev1.ProtocolTCP {
		text += "/" + string(t.Protocol)
	}
	return text
}

// CompareTargets orders by workload, pod, port and address.
func CompareTargets(a, b *Target) int {
	return cmp.Or(
		model.CompareWorkloadIDs(a.Workload, b.Workload),
		cmp.Compare(a.Pod, b.Pod),
		cmp.Compare(a.Port, b.Port),
		cmp.Compare(a.Protocol, b.Protocol),
		a.Address.Compare(b.Address),
	)
}

// Expectation is what the wire must show at one target.
type Expectation struct {
	Target
	Way      Way      `json:"way"`
	Standing Standing `json:"standing"`
	// Why says in words what made the standing, where it is not the posture alone.
	Why string `json:"why,omitempty"`
	// Identity is what the server must prove to be, as model.Facts has it; empty where it is not known.
	Identity string `json:"identity,omitempty"`
	// Opaque tells that Linkerd ends no TLS on the port itself.
	Opaque bool `json:"opaque,omitempty"`
	// Authorized tells that only Callers are let in, and not every identity of the mesh.
	Authorized bool `json:"authorized,omitempty"`
	// Callers are the identities that the rules let in, sorted.
	Callers []string `json:"callers,omitempty"`
	Checks  []Check  `json:"checks,omitempty"`
	// Untested says in words what about the port no check shows.
	Untested []string `json:"untested,omitempty"`
}

// Meshed tells whether a proxy of the mesh is expected to answer on the port.
func (e *Expectation) Meshed() bool { return e.Standing == Strict || e.Standing == Permissive }
