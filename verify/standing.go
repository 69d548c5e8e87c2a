package verify

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// tlsModeLabel makes a proxyless server strict where its namespace is permissive (istio pilot/pkg/networking/grpcgen/lds.go).
const tlsModeLabel = "security.istio.io/tlsMode"

// standing decides how protected a port is meant to be.
type standing struct {
	m *model.Model
	// w is the workload, with its exemptions; pod is the pod that runs for it, with its facts.
	w, pod  *model.Workload
	posture *model.Posture
	port    model.Port
	// flows are those to the port.
	flows []*model.Flow
}

// decide says how the port stands, and why where the posture alone does not say it.
func (s *standing) decide() (Standing, string) {
	facts := &s.pod.Facts
	switch {
	case s.w.Replicas == 0 && !s.pod.Running:
		return NotCovered, "no pod is to run"
	case s.port.Protocol != corev1.ProtocolTCP:
		return NotCovered, "a mesh carries TCP only: no handshake can show anything of " + string(s.port.Protocol)
	case s.pod.Spec.HostNetwork:
		return Outside, "the pod is on its node's network, out of reach of the mesh"
	case !facts.Meshed():
		return Outside, outsideWords(facts.Outside)
	case facts.Gateway:
		return NotCovered, "the listeners of a gateway are as its Gateway says"
	case slices.ContainsFunc(ownPorts(s.pod), contains(s.port)):
		return ByDesign, "the port is the proxy's own, in plaintext by design"
	case facts.Outside != "":
		return Outside, facts.Outside
	}
	for _, b := range facts.Bypasses {
		if b.Inbound && slices.ContainsFunc(b.Ports, contains(s.port)) {
			return Outside, b.Field + ": " + b.Message
		}
	}
	return s.meshed()
}

func outsideWords(reason string) string {
	if reason == "" {
		return "the workload is outside the mesh"
	}
	return reason
}

// meshed decides between strict and permissive.
func (s *standing) meshed() (Standing, string) {
	namespace := s.w.ID.Namespace
	if s.m.IsHeld(namespace, model.LayerMTLS) {
		return Permissive, "the mode of the namespace is not written, since what it needs could not be worked out"
	}
	if s.posture.Mesh.MTLS == model.MTLSPermissive {
		if s.pod.Facts.Mode == model.ModeProxyless && s.pod.Labels[tlsModeLabel] == "istio" {
			return Strict, "a proxyless server with the label " + tlsModeLabel + " has no permissive mode"
		}
		return Permissive, "the profile is permissive"
	}
	why := s.relaxed()
	switch {
	case why == "":
		return Strict, ""
	case s.pod.Facts.Mode == model.ModeProxyless:
		return Strict, why + ", which a proxyless server cannot hold: it stays strict"
	default:
		return Permissive, why
	}
}

// relaxed says which exemption or flow lets plaintext in beside mTLS; empty for none.
func (s *standing) relaxed() string {
	for _, f := range s.flows {
		if f.Plaintext && !s.passesBy(f) {
			return fmt.Sprintf("%s lets in clients without an identity", f.Origin)
		}
	}
	exempt := s.w.Exempts(model.LayerMTLS, s.port)
	if s.pod.Facts.Mode == model.ModeLinkerd && s.authorized() {
		// Whom authorization asks for brings an identity, and that comes by mTLS.
		exempt = false
	}
	if !exempt {
		return ""
	}
	for _, r := range s.w.Relaxed {
		if r.Layer == model.LayerMTLS && (r.Ports == nil || slices.ContainsFunc(r.Ports, contains(s.port))) {
			return fmt.Sprintf("%s, until %s", r.Origin, stamp(r.Until))
		}
	}
	return "an Exemption"
}

// passesBy tells of the kubelet's probes of ambient pods, which redirection lets by without opening the port.
func (s *standing) passesBy(f *model.Flow) bool {
	return s.pod.Facts.Mode == model.ModeAmbient && f.Client.Kind == model.PeerNodes && slices.ContainsFunc(s.pod.Facts.ProbePorts, contains(s.port))
}

// authorized tells whether only the clients of flows are let in.
func (s *standing) authorized() bool {
	return s.posture.Mesh.Authorization && !s.m.IsHeld(s.w.ID.Namespace, model.LayerAuthorization) &&
		!s.w.Exempts(model.LayerAuthorization, s.port)
}

// proxies are the containers that a mesh adds to pods.
var proxies = []string{"istio-proxy", "linkerd-proxy"}

// ownPorts are the proxy's own: its metrics, and the probes that are not the application's.
func ownPorts(w *model.Workload) []model.Port {
	own := slices.Clone(w.Facts.MetricsPorts)
	applications := w.KubeletPorts(proxies...)
	for _, p := range w.Facts.ProbePorts {
		if !slices.Contains(applications, p) {
			own = append(own, p)
		}
	}
	return model.SortPorts(own)
}

// ports are those of a pod that something is expected of: what its own
// containers declare, what Services lead to, what flows open, and the proxy's own.
func (e *expecter) ports(w, pod *model.Workload) []model.Port {
	var ports []model.Port
	for _, from := range []*model.Workload{w, pod} {
		ports = append(ports, declared(from)...)
	}
	for _, service := range pod.Services {
		for i := range service.Ports {
			if p, ok := model.TargetPort(pod, &service.Ports[i]); ok {
				ports = append(ports, p)
			}
		}
	}
	for _, f := range e.byServer[w.ID] {
		for _, p := range f.Ports {
			if p.Number != 0 && p.Last() == p.Number {
				ports = append(ports, model.Port{Protocol: p.Protocol, Number: p.Number})
			}
		}
	}
	ports = append(ports, ownPorts(pod)...)
	tunnel := pod.Facts.Tunnel.Port
	return slices.DeleteFunc(model.SortPorts(ports), func(p model.Port) bool {
		return p.Number == 0 || tunnel != 0 && p.Number == tunnel
	})
}

// declared are the ports of all containers but the mesh's.
func declared(w *model.Workload) []model.Port {
	own := *w
	own.Spec.Containers = slices.DeleteFunc(slices.Clone(w.Spec.Containers), func(c corev1.Container) bool { return slices.Contains(proxies, c.Name) })
	own.Spec.InitContainers = slices.DeleteFunc(slices.Clone(w.Spec.InitContainers), func(c corev1.Container) bool { return slices.Contains(proxies, c.Name) })
	var ports []model.Port
	for _, p := range own.ContainerPorts() {
		ports = append(ports, p.Port)
	}
	return ports
}
