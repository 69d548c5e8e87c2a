package linkerd

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// outside says why a workload takes no part in the mesh, or "" where it does.
func (d *Dialect) outside(w *model.Workload) string {
	if hasProxy(w) {
		return d.outsideWithProxy(w)
	}
	if w.Running {
		return "the running pods have no container linkerd-proxy: they were created while injection was off, or it was skipped"
	}
	switch value, found := injection(w); {
	case !found:
		return "neither the pods nor their namespace bear the annotation linkerd.io/inject"
	case value != "enabled" && value != "ingress":
		return "the annotation linkerd.io/inject is \"" + value + "\", which injects nothing"
	}
	return d.skipped(w)
}

// outsideWithProxy judges pods that already have a proxy.
func (d *Dialect) outsideWithProxy(w *model.Workload) string {
	switch namespace := w.Labels[controlPlaneLabel]; {
	case namespace == "":
		return "there is a container linkerd-proxy, but no label linkerd.io/control-plane-ns, without which the control plane takes the pods for unmeshed"
	case d.mesh.Namespace != "" && namespace != d.mesh.Namespace:
		return "the proxy belongs to another control plane, in namespace " + namespace
	default:
		return ""
	}
}

// skipped gives the injector's reasons to leave a pod alone (linkerd2 pkg/inject/report.go).
func (d *Dialect) skipped(w *model.Workload) string {
	automount := w.Spec.AutomountServiceAccountToken
	switch {
	case w.Spec.HostNetwork:
		return "pods on the host's network are never injected"
	case hasContainer(w, "istio-proxy") || hasContainer(w, "istio-init"):
		return "the pods already have a sidecar of another mesh"
	case hasContainer(w, initContainer) || hasContainer(w, validatorContainer):
		return "the pods already have an init container of Linkerd's, so the injector leaves them alone"
	case automount != nil && !*automount && d.mesh.Linkerd.NoTokenProjection:
		return "automountServiceAccountToken is false and token projection is off (identity.serviceAccountTokenProjection), so the injector skips the pods"
	case w.NamespaceLabels[admissionWebhooks] == "disabled":
		return "the namespace's label config.linkerd.io/admission-webhooks is \"disabled\""
	case w.ID.Namespace == "kube-system" || w.ID.Namespace == "cert-manager":
		return "the injector's webhook leaves the namespace " + w.ID.Namespace + " out"
	default:
		return ""
	}
}

// injection is the value of linkerd.io/inject that counts: the pod's before the namespace's.
func injection(w *model.Workload) (string, bool) {
	if value, found := w.Annotations[injectAnnotation]; found {
		return value, true
	}
	value, found := w.NamespaceAnnotations[injectAnnotation]
	return value, found
}

// hasProxy tells whether the pods run the proxy, as a container or as a native
// sidecar: an init container that keeps running.
func hasProxy(w *model.Workload) bool {
	named := func(c corev1.Container) bool { return c.Name == proxyContainer }
	return slices.ContainsFunc(w.Spec.Containers, named) ||
		slices.ContainsFunc(w.Spec.InitContainers, func(c corev1.Container) bool {
			return named(c) && c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
		})
}

func hasContainer(w *model.Workload, name string) bool {
	named := func(c corev1.Container) bool { return c.Name == name }
	return slices.ContainsFunc(w.Spec.Containers, named) || slices.ContainsFunc(w.Spec.InitContainers, named)
}

// injected is what injection will add (charts/partials _proxy.tpl, _proxy-init.tpl, _network-validator.tpl).
func (d *Dialect) injected() model.Injected {
	add := model.Injected{CopiesFirstCapabilities: true}
	if d.mesh.CNI {
		add.InitContainers = []corev1.Container{confined(validatorContainer, 65534,
			&corev1.Capabilities{Drop: []corev1.Capability{"ALL"}})}
	} else {
		add.InitContainers = []corev1.Container{confined(initContainer, 65534,
			&corev1.Capabilities{Add: []corev1.Capability{"NET_ADMIN", "NET_RAW"}})}
	}
	proxy := confined(proxyContainer, 2102, nil)
	proxy.Ports = []corev1.ContainerPort{
		{Name: proxyContainer, ContainerPort: proxyInbound, Protocol: corev1.ProtocolTCP},
		{Name: "linkerd-admin", ContainerPort: proxyAdmin, Protocol: corev1.ProtocolTCP},
	}
	add.Containers = []corev1.Container{proxy}
	return add
}

func confined(name string, uid int64, capabilities *corev1.Capabilities) corev1.Container {
	return corev1.Container{Name: name, SecurityContext: &corev1.SecurityContext{
		Capabilities:             capabilities,
		AllowPrivilegeEscalation: new(false),
		ReadOnlyRootFilesystem:   new(true),
		RunAsNonRoot:             new(true),
		RunAsUser:                new(uid),
		SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}}
}
