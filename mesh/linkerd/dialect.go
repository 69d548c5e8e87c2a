package linkerd

import "floe.dev/palisade/model"

// Dialect is Linkerd with the facts of one installation.
type Dialect struct {
	mesh model.Mesh
}

// New makes a dialect of the facts of a mesh.
func New(mesh model.Mesh) *Dialect { return &Dialect{mesh: mesh} }

// Name is "linkerd", as --mesh takes it.
func (d *Dialect) Name() string { return string(model.MeshLinkerd) }

// Names that Linkerd gives things (linkerd2 pkg/k8s/labels.go, charts/linkerd-control-plane).
const (
	componentLabel     = "linkerd.io/control-plane-component"
	controlPlaneLabel  = "linkerd.io/control-plane-ns"
	isControlPlane     = "linkerd.io/is-control-plane"
	createdBy          = "linkerd.io/created-by"
	injectAnnotation   = "linkerd.io/inject"
	admissionWebhooks  = "config.linkerd.io/admission-webhooks"
	opaqueAnnotation   = "config.linkerd.io/opaque-ports"
	skipInbound        = "config.linkerd.io/skip-inbound-ports"
	skipOutbound       = "config.linkerd.io/skip-outbound-ports"
	skipSubnets        = "config.linkerd.io/skip-subnets"
	inboundPolicy      = "config.linkerd.io/default-inbound-policy"
	configName         = "linkerd-config"
	proxyContainer     = "linkerd-proxy"
	initContainer      = "linkerd-init"
	validatorContainer = "linkerd-network-validator"
)

// Ports of the proxy and of the control plane.
const (
	proxyInbound    = 4143
	proxyOutbound   = 4140
	proxyTap        = 4190
	proxyAdmin      = 4191
	identityPort    = 8080
	destinationPort = 8086
	policyPort      = 8090
)

// The transport modes of proxy.outboundTransportMode.
const (
	transportHeader      = "transport-header"
	transportTransparent = "transparent"
)

// isProxyPort tells whether a port is one of the proxy's own, which no Server should select.
func isProxyPort(number int32) bool {
	return number == proxyInbound || number == proxyOutbound || number == proxyTap || number == proxyAdmin
}
