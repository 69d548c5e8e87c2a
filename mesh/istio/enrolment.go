package istio

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// Labels, annotations and values by which pods and namespaces take part in an
// Istio mesh (istio.io/api label and annotation packages).
const (
	injectionLabel       = "istio-injection"
	revisionLabel        = "istio.io/rev"
	tagLabel             = "istio.io/tag"
	injectLabel          = "sidecar.istio.io/inject"
	dataplaneLabel       = "istio.io/dataplane-mode"
	tunnelLabel          = "networking.istio.io/tunnel"
	tlsModeLabel         = "security.istio.io/tlsMode"
	gatewayGroup         = "gateway.networking.k8s.io"
	gatewayNameLabel     = "gateway.networking.k8s.io/gateway-name"
	gatewayClassLabel    = "gateway.networking.k8s.io/gateway-class-name"
	gatewayManagedLabel  = "gateway.istio.io/managed"
	legacyGatewayLabel   = "istio.io/gateway-name"
	useWaypointLabel     = "istio.io/use-waypoint"
	useWaypointNSLabel   = "istio.io/use-waypoint-namespace"
	waypointForLabel     = "istio.io/waypoint-for"
	ingressWaypointLabel = "istio.io/ingress-use-waypoint"

	statusAnnotation      = "sidecar.istio.io/status"
	redirectionAnnotation = "ambient.istio.io/redirection"
	templatesAnnotation   = "inject.istio.io/templates"

	// The values of gatewayManagedLabel on what Istio runs for waypoints and for gateways between networks.
	meshController     = "istio.io-mesh-controller"
	eastWestController = "istio.io-eastwest-controller"

	proxyContainer  = "istio-proxy"
	routerRole      = "router" // of the agent: istio-proxy with the arguments "proxy router"
	waypointClass   = "istio-waypoint"
	defaultRevision = "default"
)

// systemNamespaces are never injected (istio pkg/kube/inject/inject.go).
var systemNamespaces = []string{"kube-system", "kube-public", "kube-node-lease", "local-path-storage"}

// enrolment is how a workload takes part in the mesh, or why it does not.
type enrolment struct {
	mode    model.MeshMode
	gateway bool
	outside string
}

func outside(format string, args ...any) enrolment {
	return enrolment{outside: fmt.Sprintf(format, args...)}
}

// enrolment decides by proof where there is one, and by what labels ask for in templates.
func (d *Dialect) enrolment(w *model.Workload) enrolment {
	if w.Spec.HostNetwork {
		return outside("pods on the host network are never part of the mesh")
	}
	if isGateway(w) {
		return enrolment{mode: model.ModeSidecar, gateway: true}
	}
	if proven := proof(w); proven != model.ModeNone {
		return enrolment{mode: proven}
	}
	asked := d.asked(w)
	if !w.Running || asked.mode == model.ModeNone {
		return asked
	}
	if w.Annotations[redirectionAnnotation] == "pending" {
		return outside("ambient redirection of the pod is only partly set up (%s is pending)", redirectionAnnotation)
	}
	if asked.mode == model.ModeAmbient {
		return outside("the pod is enrolled in ambient mode, but redirection was never set up (%s is not enabled)", redirectionAnnotation)
	}
	return outside("the pod is to be injected, but runs without a proxy: it was created before; restart it")
}

// proof is the mode that a pod, or a template that was injected by hand, shows.
func proof(w *model.Workload) model.MeshMode {
	if _, injected := w.Annotations[statusAnnotation]; injected && proxy(w) != nil {
		if isProxyless(w) {
			return model.ModeProxyless
		}
		return model.ModeSidecar
	}
	if w.Annotations[redirectionAnnotation] == "enabled" {
		return model.ModeAmbient
	}
	return model.ModeNone
}

// proxy is the istio-proxy container: an ordinary one, or a native sidecar
// among the init containers, which tools that look at spec.containers only miss.
func proxy(w *model.Workload) *corev1.Container {
	for i := range w.Spec.Containers {
		if w.Spec.Containers[i].Name == proxyContainer {
			return &w.Spec.Containers[i]
		}
	}
	for i := range w.Spec.InitContainers {
		c := &w.Spec.InitContainers[i]
		if c.Name == proxyContainer && c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			return c
		}
	}
	return nil
}

func isProxyless(w *model.Workload) bool {
	if hasTemplate(w, "grpc-agent") || hasTemplate(w, "grpc-simple") {
		return true
	}
	c := proxy(w)
	return c != nil && slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool {
		return e.Name == "ISTIO_META_GENERATOR" && e.Value == "grpc" || e.Name == "DISABLE_ENVOY" && e.Value == "true"
	})
}

func hasTemplate(w *model.Workload, name string) bool {
	for template := range strings.SplitSeq(w.Annotations[templatesAnnotation], ",") {
		if strings.TrimSpace(template) == name {
			return true
		}
	}
	return false
}

// isGateway tells gateways and waypoints of Istio from those of other controllers, which use the same names of Gateway API.
func isGateway(w *model.Workload) bool {
	if hasTemplate(w, "gateway") || w.Labels[gatewayManagedLabel] != "" || w.Labels[legacyGatewayLabel] != "" {
		return true
	}
	c := proxy(w)
	if c != nil && slices.Contains(c.Args, routerRole) {
		return true // as istioctl's default profile and the older charts install it, with injection switched off
	}
	if w.Labels[gatewayNameLabel] == "" {
		return false
	}
	return strings.HasPrefix(w.Labels[gatewayClassLabel], "istio") || c != nil
}

func isWaypoint(w *model.Workload) bool { return w.Labels[gatewayClassLabel] == waypointClass }

// asked is what labels of namespace and pod ask for. Where both planes are
// asked for the sidecar wins: the CNI plugin leaves injected pods alone.
func (d *Dialect) asked(w *model.Workload) enrolment {
	injected := d.injection(w)
	if injected.mode != model.ModeNone {
		return injected
	}
	ambient := ambientEnrolment(w)
	if ambient.mode != model.ModeNone {
		return ambient
	}
	if d.saysNothing(w) {
		if d.mesh.AssumedMode != model.ModeNone && w.ID.Namespace != d.mesh.Namespace && !slices.Contains(systemNamespaces, w.ID.Namespace) {
			return enrolment{mode: d.mesh.AssumedMode}
		}
		return outside("namespace %s has no label %s, %s or %s, and neither have the pods", w.ID.Namespace, injectionLabel, revisionLabel, dataplaneLabel)
	}
	if ambient.outside != "" && injected.outside == "" {
		return ambient
	}
	return injected
}

func (d *Dialect) saysNothing(w *model.Workload) bool {
	for _, label := range []string{injectionLabel, revisionLabel, dataplaneLabel} {
		if w.NamespaceLabels[label] != "" {
			return false
		}
	}
	for _, label := range []string{injectLabel, revisionLabel, dataplaneLabel} {
		if w.Labels[label] != "" {
			return false
		}
	}
	return w.Annotations[injectLabel] == ""
}

func ambientEnrolment(w *model.Workload) enrolment {
	pod, namespace := w.Labels[dataplaneLabel], w.NamespaceLabels[dataplaneLabel]
	switch {
	case w.ID.Namespace == "kube-system" && (pod == "ambient" || namespace == "ambient"):
		return outside("ambient mode leaves out namespace kube-system")
	case pod == "ambient", namespace == "ambient" && pod != "none":
		return enrolment{mode: model.ModeAmbient}
	case namespace == "ambient":
		return outside("the pods' label %s=none takes them out of ambient mode", dataplaneLabel)
	default:
		return enrolment{}
	}
}

// injection follows the selectors of Istio's webhooks (templates/mutatingwebhook.yaml)
// and then the injector's own test (injectRequired in pkg/kube/inject/inject.go):
// istio-injection rules over istio.io/rev, the pod's label over its annotation.
//
//nolint:cyclop // an ordered table of rules, a row each
func (d *Dialect) injection(w *model.Workload) enrolment {
	namespace, podLabel := w.NamespaceLabels[injectionLabel], w.Labels[injectLabel]
	revision := w.NamespaceLabels[revisionLabel]
	said := namespace != "" || revision != ""
	switch {
	case slices.Contains(systemNamespaces, w.ID.Namespace):
		return outside("namespace %s is never injected", w.ID.Namespace)
	case namespace != "" && namespace != "enabled":
		return outside("namespace %s has the label %s=%s", w.ID.Namespace, injectionLabel, namespace)
	case podLabel == "false":
		return outside("the pods' label %s=false opts out", injectLabel)
	case podLabel == "" && w.Annotations[injectLabel] == "false":
		return outside("the pods' annotation %s=false opts out", injectLabel)
	case namespace == "enabled":
		return d.byDefault(w)
	case revision != "":
		return d.revised(w, revision, "namespace "+w.ID.Namespace+" asks")
	case w.Labels[revisionLabel] != "":
		return d.revised(w, w.Labels[revisionLabel], "the pods ask")
	case !said && podLabel == "true", !said && podLabel == "" && d.mesh.InjectByDefault:
		return d.byDefault(w)
	default:
		return enrolment{}
	}
}

// revised holds a revision label against the webhooks that were read: some
// revision or tag among them has to answer to it. Where none was read, a label that
// is not the control plane's revision is taken for a tag of it: see revisionUnknown.
func (d *Dialect) revised(w *model.Workload, revision, who string) enrolment {
	if d.mesh.Revisions != nil && !slices.Contains(d.mesh.Revisions, revision) {
		return outside("%s for revision %s (label %s), and Istio's webhooks inject for %s only",
			who, revision, revisionLabel, strings.Join(d.mesh.Revisions, ", "))
	}
	return d.injected(w)
}

// byDefault is injection for those that name no revision. It takes a control
// plane without one, or the tag "default" (templates/revision-tags-mwc.yaml).
func (d *Dialect) byDefault(w *model.Workload) enrolment {
	if d.mesh.Revisions != nil && !slices.Contains(d.mesh.Revisions, defaultRevision) {
		return outside("injection without a revision is asked for, and Istio's webhooks inject for %s only; none has the tag %s",
			strings.Join(d.mesh.Revisions, ", "), defaultRevision)
	}
	return d.injected(w)
}

func (d *Dialect) injected(w *model.Workload) enrolment {
	if isProxyless(w) {
		return enrolment{mode: model.ModeProxyless}
	}
	return enrolment{mode: model.ModeSidecar}
}
