package verify

// Way is how clients of the mesh reach a port.
type Way string

// The ways.
const (
	// Sidecar is Istio's mTLS on the port itself, told by its ALPN.
	Sidecar Way = "sidecar"
	// HBONE is a CONNECT to port 15008 of the pod (Istio ambient).
	HBONE Way = "hbone"
	// Proxyless is mTLS of the application's own gRPC server, configured by Istio.
	Proxyless Way = "proxyless"
	// Linkerd is its mTLS on the port itself, told by the server name, which is the pod's identity.
	Linkerd Way = "linkerd"
	// LinkerdTransport is port 4143 with a header that names the port.
	LinkerdTransport Way = "linkerdTransport"
	// Direct is a port without a proxy before it.
	Direct Way = "direct"
)

// The ports on which a mesh takes connections meant for others.
const (
	PortHBONE            = 15008
	PortLinkerdTransport = 4143
)

// Standing is how protected a port is meant to be.
type Standing string

// The standings.
const (
	// Strict ports take mTLS and nothing else.
	Strict Standing = "strict"
	// Permissive ports take mTLS, and plaintext beside it: on the way into the mesh, or by an Exemption.
	Permissive Standing = "permissive"
	// ByDesign ports are plaintext: the proxy's own, for the kubelet and Prometheus.
	ByDesign Standing = "plaintext"
	// Outside ports are out of the mesh's reach although their namespace is governed: plaintext gets there.
	Outside Standing = "outside"
	// NotCovered ports cannot be tried: UDP, or listeners that no posture governs.
	NotCovered Standing = "notCovered"
)
