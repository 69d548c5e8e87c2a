package linkerd

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
)

// Facts tells what Linkerd makes of a workload. Without the control plane's
// namespace or the trust domain it has no identity: those are read, not assumed.
func (d *Dialect) Facts(w *model.Workload) model.Facts {
	if reason := d.outside(w); reason != "" {
		return model.Facts{Outside: reason, Bypasses: optOut(w)}
	}
	f := model.Facts{
		Mode:         model.ModeLinkerd,
		Identity:     d.identity(w.ServiceAccount, w.ID.Namespace),
		Tunnel:       d.tunnel(w),
		DialsTunnel:  true,
		ControlPlane: d.controlPlane(),
		ProbePorts:   []model.Port{model.TCP(proxyAdmin)},
		MetricsPorts: []model.Port{model.TCP(proxyAdmin)},
		HoldsHTTP:    true,
		OpaquePorts:  d.opaquePorts(w),
		NoAudit:      d.noAudit(w),
		Bypasses:     d.bypasses(w),
	}
	for _, p := range probes(w) {
		f.ProbePorts = append(f.ProbePorts, model.TCP(p.port))
	}
	f.ProbePorts = model.SortPorts(f.ProbePorts)
	if !hasProxy(w) {
		f.Injected = d.injected()
	}
	return f
}

// identity is the DNS-like name in a workload's certificate (linkerd2 pkg/identity), or "" where a part of it is unknown.
func (d *Dialect) identity(serviceAccount, namespace string) string {
	if d.mesh.Namespace == "" || d.mesh.TrustDomain == "" {
		return ""
	}
	return fmt.Sprintf("%s.%s.serviceaccount.identity.%s.%s", serviceAccount, namespace, d.mesh.Namespace, d.mesh.TrustDomain)
}

// tunnel is port 4143: for everything where clients send transport headers or
// may do so, for opaque ports alone where they are transparent.
func (d *Dialect) tunnel(w *model.Workload) model.Tunnel {
	if d.mesh.Linkerd.Transport != transportTransparent {
		return model.Tunnel{Port: proxyInbound}
	}
	opaque := d.opaquePorts(w)
	if len(opaque) == 0 {
		return model.Tunnel{}
	}
	return model.Tunnel{Port: proxyInbound, Only: opaque}
}

// controlPlane is what every proxy must reach: straight at the pods' own ports, by headless Services.
func (d *Dialect) controlPlane() []model.ControlPlaneFlow {
	if d.mesh.Namespace == "" {
		return nil
	}
	pods := func(component string) model.Peer {
		return model.Peer{
			Kind: model.PeerPods, Namespace: d.mesh.Namespace,
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{componentLabel: component}},
		}
	}
	return []model.ControlPlaneFlow{
		{To: pods("destination"), Ports: []model.Port{model.TCP(destinationPort), model.TCP(policyPort)}, Why: "discovery and policy from linkerd-destination"},
		{To: pods("identity"), Ports: []model.Port{model.TCP(identityPort)}, Why: "certificates from linkerd-identity"},
	}
}

// optOut reports pods that leave a mesh their namespace is in.
func optOut(w *model.Workload) []model.Bypass {
	own, found := w.Annotations[injectAnnotation]
	if !found || own == "enabled" || own == "ingress" {
		return nil
	}
	if home := w.NamespaceAnnotations[injectAnnotation]; home != "enabled" && home != "ingress" {
		return nil
	}
	return []model.Bypass{{
		Field: "metadata.annotations[" + injectAnnotation + "]", Inbound: true,
		Message: "the pods opt out of the mesh that their namespace is in: they accept and send plaintext",
	}}
}

// bypasses are the ways around the proxy that the workload asks for.
func (d *Dialect) bypasses(w *model.Workload) []model.Bypass {
	var all []model.Bypass
	if value, field, found := annotation(w, skipInbound); !found {
		all = append(all, d.skippedByDefault(w)...)
	} else if value != "" {
		ports, _ := parsePorts(value, w.ContainerPorts())
		all = append(all, model.Bypass{
			Field: field, Ports: append([]model.Port{}, ports...), Inbound: true,
			Message: fmt.Sprintf("connections to the ports %q go around the proxy: plaintext, without any policy", value),
		})
	}
	if value, field, _ := annotation(w, skipOutbound); value != "" {
		ports, _ := parsePorts(value, nil)
		all = append(all, model.Bypass{
			Field: field, Ports: append([]model.Port{}, ports...),
			Message: fmt.Sprintf("connections that the pods open to the ports %q go around the proxy: plaintext, without an identity", value),
		})
	}
	if value, field, _ := annotation(w, skipSubnets); value != "" {
		all = append(all, model.Bypass{
			Field: field, Inbound: true,
			Message: fmt.Sprintf("connections with the subnets %q go around the proxy, in and out: plaintext, without any policy", value),
		})
	}
	return append(all, proxyUsers(w)...)
}

// skippedByDefault finds declared ports that the installation leaves out for every pod (proxyInit.ignoreInboundPorts).
func (d *Dialect) skippedByDefault(w *model.Workload) []model.Bypass {
	var ports []model.Port
	for _, p := range w.ContainerPorts() {
		if p.Protocol == corev1.ProtocolTCP && contains(d.mesh.Linkerd.SkipInboundPorts, p.Number) {
			ports = append(ports, p.Port)
		}
	}
	if len(ports) == 0 {
		return nil
	}
	return []model.Bypass{{
		Field: "spec.containers", Ports: model.SortPorts(ports), Inbound: true,
		Message: fmt.Sprintf("the installation leads connections to %s of every pod around the proxy (proxyInit.ignoreInboundPorts): plaintext, without any policy", joinPorts(ports)),
	}}
}

// proxyUsers finds containers that run as the proxy's user, whose traffic the redirection leaves alone.
func proxyUsers(w *model.Workload) []model.Bypass {
	const proxyUID = 2102
	var all []model.Bypass
	for i := range w.Spec.Containers {
		c := &w.Spec.Containers[i]
		uid := c.SecurityContext != nil && c.SecurityContext.RunAsUser != nil && *c.SecurityContext.RunAsUser == proxyUID
		if !uid && (c.SecurityContext == nil || c.SecurityContext.RunAsUser == nil) && w.Spec.SecurityContext != nil && w.Spec.SecurityContext.RunAsUser != nil {
			uid = *w.Spec.SecurityContext.RunAsUser == proxyUID
		}
		if uid && c.Name != proxyContainer {
			all = append(all, model.Bypass{
				Field:   "spec.containers[" + c.Name + "].securityContext.runAsUser",
				Message: "the container runs as the proxy's user 2102: what it sends goes around the proxy in plaintext",
			})
		}
	}
	return all
}

func joinPorts(ports []model.Port) string {
	parts := make([]string, len(ports))
	for i, p := range ports {
		parts[i] = p.String()
	}
	return strings.Join(parts, ", ")
}

// skipsProxy tells whether connections to a port go around the proxy.
func skipsProxy(w *model.Workload, number int32) bool {
	return slices.ContainsFunc(w.Facts.Bypasses, func(b model.Bypass) bool { return b.Inbound && contains(b.Ports, number) })
}
