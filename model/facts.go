package model

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// MeshMode is how a workload takes part in a mesh.
type MeshMode string

// The modes; the empty mode means outside the mesh.
const (
	ModeNone      MeshMode = ""
	ModeSidecar   MeshMode = "sidecar"
	ModeAmbient   MeshMode = "ambient"
	ModeProxyless MeshMode = "proxyless"
	ModeLinkerd   MeshMode = "linkerd"
)

// Facts is what a mesh makes of one workload: its dialect answers it.
type Facts struct {
	// Mode is empty where the workload is outside the mesh.
	Mode MeshMode
	// Outside says, in words, why the workload is outside the mesh, or why its inbound traffic is not captured.
	Outside string
	// Identity is what the mesh authenticates the workload as: "cluster.local/ns/shop/sa/cart" as Istio's
	// principals write it, or "cart.shop.serviceaccount.identity.linkerd.cluster.local". Empty where unknown or outside.
	Identity string
	// Tunnel is how meshed clients reach it, beside the port they mean.
	Tunnel Tunnel
	// DialsTunnel tells that, as a client, it reaches peers by their tunnel.
	DialsTunnel bool
	// ControlPlane is what the workload's own network namespace must reach for its proxy to work.
	ControlPlane []ControlPlaneFlow
	// ProbeSources are addresses that the kubelet's probes come from, where it is not the node's own.
	ProbeSources []netip.Prefix
	// ProbePorts are the ports that the kubelet really dials.
	ProbePorts []Port
	// MetricsPorts are the proxy's own metrics ports, plaintext by design.
	MetricsPorts []Port
	// MergesMetrics tells that the proxy serves the application's announced metrics with its own, on MetricsPorts.
	MergesMetrics bool
	// HoldsHTTP tells that rules on methods and paths can be enforced at, or in front of, the workload.
	HoldsHTTP bool
	// NoAudit says, in words, why the mesh cannot note what it would refuse at the workload and let it through; empty where it can.
	NoAudit string
	// Waypoint names the waypoint that stands in front of it, or is zero.
	Waypoint Waypoint
	// Gateway tells that it is a gateway or waypoint of the mesh, whose listeners are as their Gateway says.
	Gateway bool
	// OpaquePorts are those on which the proxy does not look into the stream, nor end TLS (Linkerd).
	OpaquePorts []Port
	// Bypasses are ways around the proxy that the workload asks for.
	Bypasses []Bypass
	// Injected is what injection will add to the pod.
	Injected Injected
}

// Meshed tells whether the workload takes part in the mesh.
func (f Facts) Meshed() bool { return f.Mode != ModeNone }

// Tunnel is the port on which a mesh carries traffic meant for others.
type Tunnel struct {
	// Port is 15008 or 4143; 0 means no tunnel.
	Port int32
	// Only limits the tunnel to traffic for these ports; nil means all.
	Only []Port
}

// Carries tells whether traffic for the port may arrive by the tunnel.
func (t Tunnel) Carries(p Port) bool {
	if t.Port == 0 || p.Protocol != corev1.ProtocolTCP {
		return false
	}
	if t.Only == nil {
		return true
	}
	return slices.ContainsFunc(t.Only, func(o Port) bool {
		return o.Protocol == p.Protocol && (p.Number == 0 || o.Number <= p.Last() && p.Number <= o.Last())
	})
}

// ControlPlaneFlow is one thing that a proxy must reach.
type ControlPlaneFlow struct {
	// To are pods of the mesh's control plane.
	To    Peer
	Ports []Port
	// Why is a few words: "xDS and certificates from istiod".
	Why string
}

// Waypoint is an Istio waypoint proxy.
type Waypoint struct {
	Namespace, Name string
	// ServiceAccount is the account that the waypoint's pods run as.
	ServiceAccount string
	// Bound tells that traffic really goes through it; otherwise it is only asked for.
	Bound bool
}

// Bypass is one annotation, label or field that leads traffic around the proxy.
type Bypass struct {
	// Field is where it stands: "metadata.annotations[traffic.sidecar.istio.io/excludeInboundPorts]".
	Field string
	// Ports are the inbound ports left out; nil means all of them.
	Ports []Port
	// Inbound tells that traffic to the workload is concerned; otherwise only what it sends.
	Inbound bool
	Message string
}

// Injected is what a mesh's injector will add to a pod, as far as Pod Security looks.
type Injected struct {
	InitContainers []corev1.Container
	Containers     []corev1.Container
	// CopiesFirstCapabilities tells that the injector gives its proxy the
	// capabilities of the first application container (Linkerd).
	CopiesFirstCapabilities bool
}
