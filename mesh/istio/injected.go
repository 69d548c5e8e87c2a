package istio

import (
	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// injectedContainers are what injection adds to a pod, as far as Pod Security
// looks (istio-discovery/files/injection-template.yaml and grpc-agent.yaml).
// Pods that already hold their proxy get nothing more, nor do ambient pods.
func (d *Dialect) injectedContainers(w *model.Workload, e enrolment) model.Injected {
	if proxy(w) != nil || w.Running {
		return model.Injected{}
	}
	switch {
	case e.gateway && hasTemplate(w, "gateway"):
		return model.Injected{Containers: []corev1.Container{{
			Name:            proxyContainer,
			SecurityContext: &corev1.SecurityContext{RunAsUser: new(int64(proxyUID)), RunAsGroup: new(int64(proxyUID))},
		}}}
	case e.gateway, e.mode == model.ModeAmbient:
		return model.Injected{}
	case e.mode == model.ModeProxyless:
		// The template gives its agent no securityContext at all.
		return model.Injected{Containers: []corev1.Container{{Name: proxyContainer}}}
	default:
		return d.sidecar(w)
	}
}

func (d *Dialect) sidecar(w *model.Workload) model.Injected {
	tproxy := w.Annotations[interceptionAnnotation] == "TPROXY"
	sidecar := restricted(proxyContainer)
	if tproxy || w.Annotations["sidecar.istio.io/capNetBindService"] == "true" {
		s := sidecar.SecurityContext
		s.RunAsUser, s.RunAsNonRoot = new(int64(0)), new(false)
		if tproxy {
			s.Capabilities.Add = append(s.Capabilities.Add, "NET_ADMIN")
		}
		if w.Annotations["sidecar.istio.io/capNetBindService"] == "true" {
			s.Capabilities.Add = append(s.Capabilities.Add, "NET_BIND_SERVICE")
		}
	}
	injected := model.Injected{Containers: []corev1.Container{sidecar}}
	switch {
	case interceptsNothing(w): // nothing to redirect, no init container
	case d.mesh.CNI:
		injected.InitContainers = []corev1.Container{restricted("istio-validation")}
	default:
		injected.InitContainers = []corev1.Container{redirector()}
	}
	return injected
}

// restricted is a container as Istio hardens its own: it sets no seccompProfile by default.
func restricted(name string) corev1.Container {
	return corev1.Container{Name: name, SecurityContext: &corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false), Privileged: new(false), ReadOnlyRootFilesystem: new(true),
		RunAsNonRoot: new(true), RunAsUser: new(int64(proxyUID)), RunAsGroup: new(int64(proxyUID)),
		Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}}
}

// redirector is istio-init, which programs the redirection where no CNI plugin does: root, with the right to do so.
func redirector() corev1.Container {
	return corev1.Container{Name: "istio-init", SecurityContext: &corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false), Privileged: new(false), ReadOnlyRootFilesystem: new(false),
		RunAsNonRoot: new(false), RunAsUser: new(int64(0)), RunAsGroup: new(int64(0)),
		Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"NET_ADMIN", "NET_RAW"}, Drop: []corev1.Capability{"ALL"}},
	}}
}
