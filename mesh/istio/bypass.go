package istio

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// Annotations that lead traffic around the proxy (istio.io/api annotation package).
const (
	interceptionAnnotation   = "sidecar.istio.io/interceptionMode"
	proxyConfigAnnotation    = "proxy.istio.io/config"
	ambientBypassAnnotation  = "ambient.istio.io/bypass-inbound-capture"
	excludeInboundAnnotation = "traffic.sidecar.istio.io/excludeInboundPorts"
	includeInboundAnnotation = "traffic.sidecar.istio.io/includeInboundPorts"
)

// proxyUID is the user whose traffic redirection leaves alone, since it is the proxy's own.
const proxyUID = 1337

// outboundBypasses are annotations that concern only what the workload sends.
var outboundBypasses = []string{
	"traffic.sidecar.istio.io/excludeOutboundPorts",
	"traffic.sidecar.istio.io/excludeOutboundIPRanges",
	"traffic.sidecar.istio.io/includeOutboundPorts",
	"traffic.sidecar.istio.io/includeOutboundIPRanges",
}

// wholeInterfaces are annotations that take interfaces out of redirection, in both directions.
var wholeInterfaces = []string{
	"traffic.sidecar.istio.io/excludeInterfaces",
	"traffic.sidecar.istio.io/kubevirtInterfaces",
	"istio.io/reroute-virtual-interfaces",
}

// bypasses are the ways around the proxy that a meshed workload asks for.
func bypasses(w *model.Workload, e enrolment) []model.Bypass {
	var list []model.Bypass
	switch {
	case e.gateway, e.mode == model.ModeProxyless:
		return nil
	case e.mode == model.ModeAmbient:
		if w.Annotations[ambientBypassAnnotation] == "true" {
			list = append(list, inbound(ambientBypassAnnotation, nil, "inbound traffic is not captured: STRICT and authorization are not enforced"))
		}
		return list
	}
	if interceptsNothing(w) {
		list = append(list, inbound(interceptionAnnotation, nil, "interception mode NONE: the proxy captures nothing, plaintext reaches the application"))
	}
	list = append(list, inboundPorts(w)...)
	for _, name := range outboundBypasses {
		if value := w.Annotations[name]; value != "" && value != "*" {
			list = append(list, model.Bypass{Field: annotationField(name), Message: fmt.Sprintf("outbound traffic goes around the proxy: %s", value)})
		}
	}
	for _, name := range wholeInterfaces {
		if value := w.Annotations[name]; value != "" {
			list = append(list, inbound(name, nil, fmt.Sprintf("traffic of the interfaces %s is redirected differently or not at all", value)))
		}
	}
	return append(list, runsAsProxy(w)...)
}

func inbound(annotation string, ports []model.Port, message string) model.Bypass {
	return model.Bypass{Field: annotationField(annotation), Ports: ports, Inbound: true, Message: message}
}

func annotationField(name string) string { return "metadata.annotations[" + name + "]" }

func inboundPorts(w *model.Workload) []model.Bypass {
	var list []model.Bypass
	excluded := parsePorts(w.Annotations[excludeInboundAnnotation])
	excluded = slices.DeleteFunc(excluded, func(p model.Port) bool {
		return p.Number == statusPort(w) || p.Number == portReady || p.Number == portEnvoy // the injector's own
	})
	if len(excluded) > 0 {
		list = append(list, inbound(excludeInboundAnnotation, excluded, "these ports are not captured: plaintext reaches the application, no policy applies"))
	}
	value, set := w.Annotations[includeInboundAnnotation]
	if !set || strings.TrimSpace(value) == "*" {
		return list
	}
	included := parsePorts(value)
	if len(included) == 0 {
		return append(list, inbound(includeInboundAnnotation, nil, "no inbound port is captured: plaintext reaches the application, no policy applies"))
	}
	left := []model.Port{}
	for _, p := range w.ContainerPorts() {
		if p.Protocol == corev1.ProtocolTCP && !slices.Contains(included, p.Port) {
			left = append(left, p.Port)
		}
	}
	return append(list, inbound(includeInboundAnnotation, model.SortPorts(left), fmt.Sprintf("only the ports %s are captured: plaintext reaches every other port, no policy applies there", value)))
}

// parsePorts reads "8080,9090"; what is no port number is left out.
func parsePorts(value string) []model.Port {
	var ports []model.Port
	for part := range strings.SplitSeq(value, ",") {
		if n, err := strconv.ParseUint(strings.TrimSpace(part), 10, 16); err == nil && n > 0 {
			ports = append(ports, model.TCP(int32(n)))
		}
	}
	return model.SortPorts(ports)
}

// interceptsNothing reads the annotation, and the same setting inside the proxy's configuration.
func interceptsNothing(w *model.Workload) bool {
	if mode := w.Annotations[interceptionAnnotation]; mode != "" {
		return mode == "NONE"
	}
	config := podProxyConfig(w)
	return config.InterceptionMode == "NONE"
}

// runsAsProxy finds applications that run as the proxy's user: what they send is taken for the proxy's own.
func runsAsProxy(w *model.Workload) []model.Bypass {
	const message = "runs as user 1337, the proxy's own: what it sends is not captured and leaves in plaintext"
	var list []model.Bypass
	if pod := w.Spec.SecurityContext; pod != nil && pod.RunAsUser != nil && *pod.RunAsUser == proxyUID {
		list = append(list, model.Bypass{Field: "spec.securityContext.runAsUser", Message: message})
	}
	for i := range w.Spec.Containers {
		c := &w.Spec.Containers[i]
		if c.Name != proxyContainer && c.SecurityContext != nil && c.SecurityContext.RunAsUser != nil && *c.SecurityContext.RunAsUser == proxyUID {
			list = append(list, model.Bypass{Field: fmt.Sprintf("spec.containers[%d].securityContext.runAsUser", i), Message: message})
		}
	}
	return list
}

// notCaptured says why what comes in does not pass the proxy of a meshed workload, or is empty.
func notCaptured(w *model.Workload, e enrolment) string {
	for _, b := range bypasses(w, e) {
		if b.Inbound && b.Ports == nil && !slices.ContainsFunc(wholeInterfaces, func(name string) bool { return b.Field == annotationField(name) }) {
			return b.Field + ": " + b.Message
		}
	}
	return ""
}

// optOuts are the labels and annotations by which a workload leaves the mesh that its namespace is in.
func optOuts(w *model.Workload) []model.Bypass {
	var list []model.Bypass
	enrolled := w.NamespaceLabels[injectionLabel] == "enabled" || w.NamespaceLabels[revisionLabel] != ""
	switch {
	case enrolled && w.Labels[injectLabel] == "false":
		list = append(list, model.Bypass{Field: "metadata.labels[" + injectLabel + "]", Inbound: true, Message: "opts out of the sidecar that its namespace asks for"})
	case enrolled && w.Labels[injectLabel] == "" && w.Annotations[injectLabel] == "false":
		list = append(list, inbound(injectLabel, nil, "opts out of the sidecar that its namespace asks for"))
	}
	if w.NamespaceLabels[dataplaneLabel] == "ambient" && w.Labels[dataplaneLabel] == "none" {
		list = append(list, model.Bypass{Field: "metadata.labels[" + dataplaneLabel + "]", Inbound: true, Message: "opts out of the ambient mode that its namespace asks for"})
	}
	return list
}
