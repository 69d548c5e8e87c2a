package harden

import (
	"slices"
)

// meshContainers are what the injectors of Istio and Linkerd add (istio: manifests/charts/istio-control/istio-discovery/files/
// injection-template.yaml; linkerd2: charts/partials/templates, pkg/k8s/labels.go). They say for themselves what they need.
var meshContainers = []string{
	"istio-proxy", "istio-init", "istio-validation", "enable-core-dump",
	"linkerd-proxy", "linkerd-init", "linkerd-network-validator", "linkerd-debug",
}

// The users that redirection leaves alone, Istio's proxy and Linkerd's: who runs as one of these goes around the mesh, or is it.
const (
	istioUser   = 1337
	linkerdUser = 2102
)

// ofMesh tells whether a container is of a mesh, be it a sidecar, native or not, or its init container.
// An application that takes such a name gets no defaults; Pod Security judges it all the same.
func ofMesh(c *container) bool {
	return slices.Contains(meshContainers, c.name) || c.context.user.is(istioUser) || c.context.user.is(linkerdUser)
}
